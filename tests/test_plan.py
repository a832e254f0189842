"""The engine: blocks cover the array once, halos are cut off, progress is reported and cancelling cancels."""

from __future__ import annotations

import dataclasses
import tracemalloc
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import napari_cutout as nc
from napari_cutout import _plan
from napari_cutout._plan import (
    Derived,
    Halo,
    Pass,
    PerVoxel,
    Reduce,
    blocks_of,
    boxes_of,
    map_many,
    run_plan,
    with_halo,
)

from .cases import two_humps

shapes = st.lists(st.integers(1, 12), min_size=1, max_size=4).map(tuple)


@given(shapes, st.integers(1, 400))
def test_blocks_cover_every_voxel_once(shape: tuple[int, ...], voxels: int) -> None:
    seen = np.zeros(shape, int)
    for region in blocks_of(seen, voxels):
        assert seen[region].size <= voxels
        assert seen[region].flags.c_contiguous
        seen[region] += 1
    assert (seen == 1).all()


@given(shapes, st.data())
def test_halos_are_read_and_cut_off(shape: tuple[int, ...], data: st.DataObject) -> None:
    array = np.arange(int(np.prod(shape))).reshape(shape)
    region = tuple(
        slice(a, data.draw(st.integers(a + 1, n))) for n in shape for a in [data.draw(st.integers(0, n - 1))]
    )
    width = tuple(data.draw(st.integers(0, 5)) for _ in shape)
    read, keep = with_halo(region, width, shape)
    np.testing.assert_array_equal(array[read][keep], array[region])
    for r, s, w, n in zip(read, region, width, shape, strict=True):
        assert (r.start, r.stop) == (max(0, s.start - w), min(n, s.stop + w))


@given(shapes, st.data(), st.integers(1, 400))
def test_boxes_cover_every_voxel_once_and_stay_small(shape: tuple[int, ...], data: st.DataObject, voxels: int) -> None:
    width = tuple(data.draw(st.integers(0, 3)) for _ in shape)
    seen = np.zeros(shape, int)
    for region in boxes_of(seen, width, voxels):
        seen[region] += 1
        edges = [s.stop - s.start for s in region]
        read = np.prod([min(e + 2 * w, n) for e, w, n in zip(edges, width, shape, strict=True)])
        assert read <= voxels or all(e <= max(2 * w, 1) for e, w in zip(edges, width, strict=True))
    assert (seen == 1).all()


def test_plans_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_plan, "BLOCK_VOXELS", 4)
    image = np.arange(12.0).reshape(4, 3)
    np.testing.assert_array_equal(run_plan(PerVoxel(lambda a: a * 2, "float64"), image), image * 2)

    def above(block: np.ndarray) -> np.ndarray:
        return np.vstack([block[:1], block[:-1]])  # each voxel takes what is above it

    np.testing.assert_array_equal(run_plan(Halo(above, (1, 0), "float64"), image), above(image))
    total = Pass(lambda s, a: a.sum(), lambda a, b: a + b, lambda s, a: s + a, lambda s: True, "adding")
    never = Pass(lambda s, a: 1 / 0, lambda a, b: a, lambda s, a: a, lambda s: False, "never")
    plan = Reduce(1.0, (total, never, total), lambda s: s, lambda model, a: a + model, "float64")
    np.testing.assert_array_equal(run_plan(plan, image), image + 1 + 2 * image.sum())


def test_progress_goes_from_nothing_to_all_and_names_its_stages() -> None:
    seen: list[tuple[str, float]] = []
    with nc.watch(on_progress=lambda stage, done: seen.append((stage, done))):
        nc.threshold(two_humps((64, 256, 256), dtype="uint8"), sigma=1.0, one_per_object=True)
    stages = list(dict.fromkeys(stage for stage, _ in seen))
    assert stages == [
        "smoothing",
        "finding the range of grey levels",
        "counting grey levels",
        "labelling voxels",
        "numbering objects",
    ]
    for stage in stages[:-1]:
        parts = [done for name, done in seen if name == stage]
        assert parts == sorted(parts)
        assert parts[0] == 0.0
        assert all(0 <= p < 1 for p in parts)


@pytest.mark.parametrize("after", [0, 1, 5, 9])
def test_cancelling_stops_between_blocks(after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_plan, "BLOCK_VOXELS", 1000)
    polls = iter(range(10**6))
    image = two_humps((40, 50, 20), dtype="uint8")
    with (
        nc.watch(is_cancelled=lambda: next(polls) >= after),
        pytest.raises(nc.Cancelled, match="nothing was changed"),
    ):
        nc.threshold(image)
    assert next(polls) == after + 1


def test_an_error_in_one_block_is_the_error_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_plan, "BLOCK_VOXELS", 8)

    def fail(block: np.ndarray) -> np.ndarray:
        if 37 in block:
            raise ValueError("no 37")
        return block

    with pytest.raises(ValueError, match="no 37"):
        run_plan(PerVoxel(fail, "int64"), np.arange(100).reshape(10, 10))


def test_nobody_watching_costs_nothing_and_nested_watches_are_apart() -> None:
    image = two_humps((20, 20), dtype="uint8")
    with nc.watch() as outer:
        with nc.watch() as inner:
            nc.threshold(image)
        assert inner.facts
        assert not outer.facts
    nc.threshold(image)


@pytest.mark.parametrize(
    "name", ["threshold", "multi_otsu", "threshold_at", "histogram_segmentation", "kmeans", "gaussian_mixture"]
)
def test_temporaries_stay_small(name: str) -> None:
    image = two_humps((128, 256, 256), dtype="uint16")
    call: Any = getattr(nc, name)
    settings = {"value": 10_000.0} if name == "threshold_at" else {}
    call(image[:2], **settings)  # compiles
    tracemalloc.start()
    call(image, **settings)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - image.size < image.size  # the labels, and less than a byte per voxel beyond


# Sweeps again and again, over what is made of blocks ----------------------------------------------------


def neighbours_above(block: np.ndarray, mask: np.ndarray | None) -> list[np.ndarray | None]:
    """Return what stands one line and two lines above each voxel, 0 beyond the edge, and the mask."""
    n = len(block)
    return [np.pad(block, [(reach, 0), (0, 0)])[:n] for reach in (1, 2)] + [mask]  # type: ignore[return-value]


DERIVED = Derived(neighbours_above, (2, 0), 3)
SWEEP = Pass(
    lambda state, one, two, mask: int((one + 10 * two).sum()) + 1000 * (mask is not None) + state,
    lambda a, b: a + b,
    lambda state, found: state + found % 7 + 1,
    lambda state: state < 12,
    "looking up",
    most=100,
    derived=DERIVED,
)


def swept_by_hand(image: np.ndarray, sweep: Pass, n_blocks: int = 1, masked: bool = False) -> tuple[int, int]:
    """Return the last state, and how many sweeps it took, from 0."""
    one, two = (np.pad(image, [(reach, 0), (0, 0)])[: len(image)].sum() for reach in (1, 2))
    state = n = 0
    while n < sweep.most and state < 12:
        total = int(one + 10 * two) + n_blocks * (1000 * masked + state)
        state, n = state + total % 7 + 1, n + 1
    return state, n


@pytest.mark.parametrize("most", [1, 2, 100])
@pytest.mark.parametrize("voxels", [8, 10**6])
def test_a_sweep_runs_as_long_as_it_is_needed_and_no_more_often_than_it_may(
    most: int, voxels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_plan, "_fewer", lambda array, n: voxels)
    image = np.arange(60).reshape(12, 5)
    sweep = dataclasses.replace(SWEEP, most=most)
    n_blocks = len(_plan.boxes_for(image, DERIVED))
    assert (n_blocks == 1) == (voxels > 100)
    seen: list[str] = []
    with nc.watch(on_progress=lambda stage, done: seen.append(stage) if done == 0 else None):
        state = _plan.reduce_passes(0, (sweep,), image, None)
    expected, n_sweeps = swept_by_hand(image, sweep, n_blocks)
    assert state == expected
    assert n_sweeps == min(most, n_sweeps) > 0
    assert seen.count("looking up") == 2 * n_sweeps  # the stage is named, and its first block begins
    masked = _plan.reduce_passes(0, (sweep,), image, np.ones(image.shape, bool))
    assert masked == swept_by_hand(image, sweep, n_blocks, masked=True)[0]


def test_what_is_made_of_a_block_sees_its_neighbourhood_and_is_cut_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []
    gather = Pass(
        lambda _, one, two, mask: [(one, two)], lambda a, b: a + b, lambda _, found: found, lambda _: True, "gathering",
        derived=DERIVED,
    )  # fmt: skip
    monkeypatch.setattr(_plan, "_fewer", lambda array, n: 8)
    image = np.arange(60).reshape(12, 5)
    parts = _plan.reduce_passes(None, (gather,), image, None)
    whole = neighbours_above(image, None)
    for region, (one, two) in zip(_plan.boxes_for(image, DERIVED), parts, strict=True):
        np.testing.assert_array_equal(one, whole[0][region])
        np.testing.assert_array_equal(two, whole[1][region])
        seen.append(one)
    assert len(seen) > 3


def test_blocks_are_the_smaller_the_more_is_made_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_plan, "BLOCK_VOXELS", 1 << 15)
    image = np.zeros((64, 64, 64), np.uint8)
    one, four, many = (
        max(image[box].size for box in _plan.boxes_for(image, Derived(neighbours_above, (0, 0, 0), n)))
        for n in (1, 4, 99)
    )
    assert one == 1 << 15
    assert four == 1 << 13
    assert many == 1 << 12  # no smaller: a block costs, too


@pytest.mark.parametrize("voxels", [8, 10**6])
def test_many_arrays_are_made_of_blocks(voxels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_plan, "_fewer", lambda array, n: voxels)
    image = np.arange(60).reshape(12, 5)
    out = np.full((2, 12, 5), -1)
    map_many(lambda block, mask: iter(neighbours_above(block, mask)[:2]), (image, None), out, DERIVED)
    np.testing.assert_array_equal(out, np.stack(neighbours_above(image, None)[:2]))


def test_applying_what_was_decided_sees_the_neighbourhood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_plan, "_fewer", lambda array, n: 8)
    image = np.arange(60.0).reshape(12, 5)
    total = Pass(lambda s, a: a.sum(), lambda a, b: a + b, lambda s, a: s + a, lambda s: True, "adding")
    plan = Reduce(
        1.0, (total,), lambda s: s, lambda model, a: np.pad(a, [(2, 0), (0, 0)])[: len(a)] + model, "float64", (2, 0), 5
    )
    expected = np.pad(image, [(2, 0), (0, 0)])[:12] + 1 + image.sum()
    np.testing.assert_array_equal(run_plan(plan, image), expected)
    np.testing.assert_array_equal(run_plan(plan, da.from_array(image, (3, 2))).compute(), expected)
