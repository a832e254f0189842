"""Recipes in sweeps over tiles: the labels of the whole, and no more blocks alive than planned."""

from __future__ import annotations

import itertools
import pickle
import re
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

import napari_cutout as nc
from napari_cutout._compiled import n_threads
from napari_cutout._method import Method
from napari_cutout.blockwise import Stored, Threads, keep, lazy, n_labels_of, regions_of, source_of, sweeping
from napari_cutout.blockwise._recent import remembering
from napari_cutout.blockwise._tiled import narrowed
from napari_cutout.processing._runs import label_runs
from napari_cutout.recipe import Recipe, Step
from napari_cutout.running._execute import execute
from napari_cutout.running._in_sweeps import in_sweeps

from .cases import METHODS, NETWORKS, WALKS, arrays_of, settings_of, two_humps
from .counting import swept

SHAPE, TILE = (17, 22, 20), (8, 11, 9)

CLEANED = {
    "sigma": 0.7,
    "fill_holes": True,
    "clear_border": True,
    "min_size": 3,
    "one_per_object": True,
    "connectivity": 2,
}

OTHERS = [entry for entry in METHODS if entry not in NETWORKS and not entry.network]


def options_of(entry: Method, options: dict[str, Any]) -> dict[str, Any]:
    """Return the settings without a default, and those of the options that the method has and allows."""
    known = {p.name: p for p in entry.settings}
    fitting = {
        name: value
        for name, value in options.items()
        if name in known and (known[name].range is None or known[name].range.min <= value <= known[name].range.max)
    }
    return {**settings_of(entry), **fitting}


@pytest.mark.parametrize("options", [{}, CLEANED], ids=["plain", "cleaned"])
@pytest.mark.parametrize("entry", OTHERS, ids=lambda entry: entry.name)
def test_sweeps_give_the_labels_of_the_whole(entry: Method, options: dict[str, Any]) -> None:
    image = two_humps(SHAPE)
    arrays = arrays_of(entry, image)
    recipe = Recipe([Step(entry.name, options_of(entry, options))])
    whole = execute(recipe, arrays)
    labels, steps, sources, _ = swept(recipe, arrays, TILE)
    if entry.agreement == "exact":
        np.testing.assert_array_equal(labels, whole.labels)
        assert labels.dtype == whole.labels.dtype
    else:
        assert labels.shape == whole.labels.shape
    if entry in WALKS:
        assert (labels == whole.labels).mean() > 0.98
    assert steps[0]["method"] == entry.name
    for source in sources.values():
        assert source.most_alive <= 2
        assert source.n_alive == 0


@st.composite
def cut_in_tiles(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, ...]]:
    """Draw an image and the edges of tiles."""
    ndim = draw(st.integers(2, 3))
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=ndim, max_size=ndim)))
    tile = tuple(draw(st.lists(st.integers(1, 5), min_size=ndim, max_size=ndim)))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    image = rng.integers(0, draw(st.sampled_from([3, 40])), shape).astype(draw(st.sampled_from(["uint8", "float32"])))
    image.flat[:2] = 0, 2
    return image, tile


@given(
    cut_in_tiles(),
    st.sampled_from(["threshold_at", "kmeans"]),
    st.fixed_dictionaries(
        {
            "fill_holes": st.booleans(),
            "clear_border": st.booleans(),
            "min_size": st.sampled_from([0, 3]),
            "one_per_object": st.booleans(),
            "connectivity": st.integers(1, 3),
            "sigma": st.sampled_from([0.0, 0.6]),
        }
    ),
)
def test_tiles_of_any_size_give_the_labels_of_the_whole(
    case: tuple[np.ndarray, tuple[int, ...]], name: str, options: dict[str, Any]
) -> None:
    image, tile = case
    own = {"value": 1.0} if name == "threshold_at" else {"n_clusters": 2}
    recipe = Recipe([Step(name, {**own, **options})])
    try:
        expected = execute(recipe, {"image": image}).labels
    except ValueError as error:
        with pytest.raises(ValueError, match=re.escape(str(error))):
            swept(recipe, {"image": image}, tile)
        return
    labels, _, sources, _ = swept(recipe, {"image": image}, tile)
    np.testing.assert_array_equal(labels, expected)
    assert labels.dtype == expected.dtype
    assert sources["image"].most_alive <= 2


@pytest.mark.parametrize("options", [{}, {"one_per_object": True, "fill_holes": True, "sigma": 0.8}], ids=str)
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_tiles_outside_the_mask_are_neither_read_nor_written(options: dict[str, Any], dtype: str) -> None:
    image = two_humps(SHAPE).astype(dtype)
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:7, 13:20, 1:8] = 1  # one tile
    recipe = Recipe([Step("threshold", options, {"image": "image", "mask": "mask"})])
    expected = execute(recipe, {"image": image, "mask": mask}).labels
    assert expected.any()
    labels, _, sources, kept = swept(recipe, {"image": image, "mask": mask}, TILE)
    np.testing.assert_array_equal(labels, expected)
    assert len(kept.regions) == 1
    of_tile = [(slice(0, 8), slice(11, 22), slice(0, 9))]
    reach = 3 if options else 0
    for region in sources["image"].regions:
        for s, own in zip(region, of_tile[0], strict=True):
            assert own.start - reach <= s.start
            assert s.stop <= own.stop + reach


def test_nothing_inside_a_mask_is_said_as_of_the_whole() -> None:
    image, mask = two_humps(SHAPE), np.zeros(SHAPE, np.uint8)
    recipe = Recipe([Step("threshold", {}, {"image": "image", "mask": "mask"})])
    with pytest.raises(ValueError, match="no finite voxel") as whole:
        execute(recipe, {"image": image, "mask": mask})
    with pytest.raises(ValueError, match=re.escape(str(whole.value))):
        swept(recipe, {"image": image, "mask": mask}, TILE)


def test_every_sweep_reads_a_tile_once_and_what_is_costly_is_made_once() -> None:
    image, n_tiles = two_humps(SHAPE), 18
    plain = Recipe([Step("threshold", {"one_per_object": True, "fill_holes": True, "min_size": 4})])
    *_, sources, _ = swept(plain, {"image": image}, TILE)
    assert sources["image"].n_reads == 3 * n_tiles  # counting, holes, objects: the mask is kept from there on
    smooth = Recipe([Step("threshold", {"sigma": 1.0, "one_per_object": True, "fill_holes": True})])
    *_, sources, _ = swept(smooth, {"image": image}, TILE)
    assert sources["image"].n_reads == n_tiles


def test_how_many_objects_there_are_is_known_before_they_are_written() -> None:
    image = two_humps(SHAPE)
    with sweeping(sweeper := Threads(TILE, 2)):
        found = source_of(nc.threshold(lazy(Stored(image)), min_size=3, one_per_object=True))
    assert n_labels_of(found) == nc.threshold(image, min_size=3, one_per_object=True).max()
    assert sweeper.device == "cpu"


def test_sweeps_come_in_the_same_order_with_the_same_numbers() -> None:
    recipe = Recipe([Step("threshold", {"sigma": 1.0, "one_per_object": True})])
    image = two_humps(SHAPE)

    def told() -> list[tuple[str, int]]:
        class Noted(Threads):
            def each(self, name: str, work: Any, numbers: Any) -> Any:
                sweeps.append((name, len(numbers)))
                return super().each(name, work, numbers)

        sweeps: list[tuple[str, int]] = []
        in_sweeps(recipe, {"image": Stored(image)}, Noted(TILE, 2))
        return sweeps

    assert told() == told()
    assert [name for name, _ in told()] == [
        "finding the range of grey levels",
        "counting grey levels",
        "finding objects",
    ]


def test_the_work_of_a_tile_can_be_cut_down_to_what_it_needs() -> None:
    image = two_humps(SHAPE)
    with sweeping(sweeper := Threads(TILE, 1)):
        array = nc.threshold(lazy(Stored(image)), fill_holes=True, clear_border=True)
        found = source_of(array)
        regions = regions_of(array.chunks)
        one = narrowed(found, regions[5])
    np.testing.assert_array_equal(one.read(regions[5]), found.read(regions[5]))
    with pytest.raises(KeyError):
        one.read(regions[0])
    assert sweeper.n_workers == 1


def test_jobs_beside_each_other_share_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert n_threads() == 8
    assert Threads((4, 4), 3).map("asking", lambda _: n_threads(), 5) == [2] * 5
    assert Threads((4, 4), 20).map("asking", lambda _: n_threads(), 1) == [1]


@given(
    st.lists(st.integers(1, 7), min_size=1, max_size=3), st.integers(1, 3), st.floats(0.1, 0.9), st.integers(0, 2**16)
)
def test_runs_are_labelled_as_voxels_are(shape: list[int], connectivity: int, share: float, seed: int) -> None:
    inside = np.random.default_rng(seed).random(shape) < share
    labels, first, size = label_runs(inside, connectivity)
    structure = ndimage.generate_binary_structure(inside.ndim, min(connectivity, inside.ndim))
    expected, n = ndimage.label(inside, structure)
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_array_equal(size, np.bincount(expected.ravel(), minlength=n + 1))
    assert first[1:].tolist() == [int(np.flatnonzero(expected == number)[0]) for number in range(1, n + 1)]


class Chunked:
    """An array in chunks that notes what was asked for."""

    shape, chunks, dtype = (20, 18), (8, 6), np.dtype("uint16")
    data = np.arange(360, dtype="uint16").reshape(20, 18)
    asked: ClassVar[list[tuple[slice, ...]]] = []

    def __getitem__(self, region: Any) -> np.ndarray:
        self.asked.append(region)
        return self.data[region]


def test_chunks_that_neighbours_meet_are_decoded_once() -> None:
    source = remembering(Stored(Chunked()))
    for region in ((slice(5, 13), slice(3, 9)), (slice(7, 20), slice(5, 18)), (slice(0, 20), slice(0, 18))):
        np.testing.assert_array_equal(source.read(region), Chunked.data[region])
    assert len(Chunked.asked) == 9 + 1  # every chunk once, and all of them together as they are
    assert remembering(Stored(Chunked.data)).array is Chunked.data  # type: ignore[attr-defined]  # one piece
    assert not pickle.loads(pickle.dumps(source)).memory.chunks  # what it has read is not sent along


@pytest.mark.parametrize("connectivity", [1, 2, 3])
def test_two_voxels_are_one_object_if_a_step_between_them_crosses_few_axes(connectivity: int) -> None:
    for step in itertools.product((-1, 0, 1), repeat=3):
        inside = np.zeros((3, 3, 3), bool)
        inside[1, 1, 1] = inside[tuple(1 + s for s in step)] = True
        _, _, size = label_runs(inside, connectivity)
        apart = sum(map(abs, step)) > connectivity
        assert len(size) == (3 if apart else 2), step


def test_a_network_is_asked_of_every_tile_once() -> None:
    image = two_humps(SHAPE).astype(np.float32)
    image[3, 4, 5] = np.nan
    (entry,) = (e for e in NETWORKS if e.name == "unet_predict")
    arrays, settings = arrays_of(entry, image), settings_of(entry)
    asked: list[tuple[str, int]] = []

    class Told(Threads):
        def map(self, name: str, work: Any, n: int) -> list[Any]:
            asked.append((name, n))
            return Threads.map(self, name, work, n)

    with sweeping(Told(TILE, 2)):
        labels = entry(**{name: lazy(Stored(a)) for name, a in arrays.items()}, **settings)
        found = keep(source_of(labels), "writing").array
    np.testing.assert_array_equal(found, entry(**arrays, **settings))
    assert [name for name, _ in asked] == ["asking the network", "writing"]
