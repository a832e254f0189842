"""The engine: blocks cover the array once, halos are cut off, progress is reported and cancelling cancels."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import napari_cutout as nc
from napari_cutout import _plan
from napari_cutout._plan import Halo, Pass, PerVoxel, Reduce, blocks_of, boxes_of, run_plan, with_halo

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


@pytest.mark.parametrize("name", ["threshold", "multi_otsu", "threshold_at", "histogram_segmentation"])
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
