"""The watershed on the host: against scikit-image, against its definition, and by what must not matter."""

from __future__ import annotations

import heapq
import itertools
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from skimage.segmentation import watershed as skimage_watershed

import napari_cutout as nc
from napari_cutout._checks import REAL_DTYPES
from napari_cutout.methods import _flood, _voxel_grid
from napari_cutout.methods._bucket_queue import new_queue, next_level, push

from .cases import scattered, tie_free
from .kernels.test_watershed_kernels import IMAGES, answers, start_of
from .reference import watershed as reference

NEVER = reference.NEVER
SHAPES = [(40, 45), (11, 12, 13)]


def by_scikit_image(image: np.ndarray, markers: np.ndarray, mask: np.ndarray | None, connectivity: int) -> np.ndarray:
    return skimage_watershed(image, markers, ndimage.generate_binary_structure(image.ndim, connectivity), mask=mask)


# Without ties: scikit-image ----------------------------------------------------------------------------


def noise(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return smoothed noise in which no two voxels are equal."""
    for seed in itertools.count():
        image = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1.2).astype(dtype)
        if len(np.unique(image)) == image.size:
            return image
    raise AssertionError


TIE_FREE: dict[str, Callable[[tuple[int, ...]], np.ndarray]] = {
    "permutation": lambda shape: np.random.default_rng(7).permutation(int(np.prod(shape))).reshape(shape),
    "levels": lambda shape: tie_free(shape, 3).astype(np.uint16),
    "float32": lambda shape: noise(shape, "float32"),
    "float64": lambda shape: noise(shape, "float64"),
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", TIE_FREE)
@pytest.mark.parametrize("is_masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("is_full", [False, True], ids=["faces", "full"])
def test_without_ties_it_is_scikit_image(kind: str, shape: tuple[int, ...], is_masked: bool, is_full: bool) -> None:
    image, connectivity = TIE_FREE[kind](shape), len(shape) if is_full else 1
    mask = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal(shape), 1.5) < 0.05 if is_masked else None
    for n_markers in (2, 40):
        markers = scattered(shape, n_markers, seed=1, inside=mask)
        found = nc.watershed(image, markers, mask, connectivity=connectivity)
        assert found.dtype == np.int32
        np.testing.assert_array_equal(found, by_scikit_image(image, markers, mask, connectivity))


@pytest.mark.parametrize(
    ("file", "key", "part"),
    [
        ("embryo3d_8cell.npz", "image", np.s_[10:40, 20:100, 20:100]),
        ("stardist3d_crop.npz", "image", np.s_[:]),
        ("fibsem_medulla250.npz", "image", np.s_[40:70, 50:130, 50:130]),
        ("dsb2018_fluo.npz", "img_003", np.s_[:]),
        ("isbi2012_em.npz", "images", np.s_[0]),
    ],
    ids=lambda v: v if isinstance(v, str) and v.endswith("npz") else "",
)
def test_real_images_with_their_ties_broken(file: str, key: str, part: Any, data_dir: Path) -> None:
    grey = np.load(data_dir / file)[key][part]
    image = np.argsort(np.argsort(grey, axis=None, kind="stable")).reshape(grey.shape)
    markers, mask = scattered(image.shape, 60, seed=0), grey > np.quantile(grey, 0.2)
    for connectivity, inside in itertools.product((1, image.ndim), (None, mask)):
        found = nc.watershed(image, markers, inside, connectivity=connectivity)
        np.testing.assert_array_equal(found, by_scikit_image(image, markers, inside, connectivity))


# With ties: the definition -----------------------------------------------------------------------------


@pytest.mark.parametrize("image", IMAGES)
def test_small_images_follow_the_definition(image: str) -> None:
    """The cases of the kernels: pits, plateaus, holes, markers that touch, territories."""
    for case, labels, level, minima in answers(image):
        key, markers, territory, connectivity = case
        np.testing.assert_array_equal(_flood.flood(key, markers, territory, connectivity), labels, repr(case))
        found = _flood.levels(key, start_of(case), territory, connectivity)
        np.testing.assert_array_equal(found, level, repr(case))
        found = _flood.regional_minima(key, territory, connectivity)
        np.testing.assert_array_equal(found, minima, repr(case))


def test_larger_images_with_ties_follow_the_definition() -> None:
    for seed, shape in enumerate([(50, 60), (14, 16, 20)]):
        for step in (3, 150):
            key = (tie_free(shape, seed) // step).astype(np.uint32)
            markers = scattered(shape, 12, seed)
            for connectivity in (1, len(shape)):
                expected = reference.flood(key, markers, None, connectivity)
                np.testing.assert_array_equal(nc.watershed(key, markers, connectivity=connectivity), expected)


@st.composite
def floods(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, int]:
    """Draw an image of few levels with NaN, with markers, a mask or none, and a connectivity."""
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=2, max_size=3)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    image = rng.integers(0, draw(st.integers(1, 6)), shape).astype(np.float32)
    image[rng.random(shape) < draw(st.sampled_from([0.0, 0.2]))] = np.nan
    mask = rng.random(shape) < 0.8 if draw(st.booleans()) else None
    markers = np.where(rng.random(shape) < draw(st.sampled_from([0.05, 0.4])), rng.integers(1, 5, shape), 0)
    inside = ~np.isnan(image) if mask is None else ~np.isnan(image) & mask
    if not (markers[inside] > 0).any():
        first = np.flatnonzero(inside)[:1]
        markers.flat[first] = 3
        if not first.size:
            image.flat[0], markers.flat[0] = 1, 3
            mask = None if mask is None else np.ones(shape, bool)
    return image, markers, mask, draw(st.integers(1, 3))


@given(floods())
def test_any_image_follows_the_definition(case: tuple[np.ndarray, np.ndarray, np.ndarray | None, int]) -> None:
    image, markers, mask, connectivity = case
    known = ~np.isnan(image)
    key = np.where(known, np.nan_to_num(image).astype(np.int64), NEVER).astype(np.uint32)
    inside = known if mask is None else known & mask
    expected = reference.flood(key, np.where(inside, markers, 0), mask, connectivity)
    np.testing.assert_array_equal(nc.watershed(image, markers, mask, connectivity=connectivity), expected)


def test_plateaus_by_hand() -> None:
    flat = np.zeros((3, 7), np.uint8)
    markers = np.zeros(flat.shape, int)
    markers[1, 1], markers[1, 5] = 4, 9
    halves = np.where(np.arange(7) < 4, 4, 9) + np.zeros((3, 1), int)  # in the middle both are near: the first wins
    np.testing.assert_array_equal(nc.watershed(flat, markers), halves)
    pitted = flat + 1
    pitted[0, 2:5] = 0  # a pit that nobody marked tilts nothing
    np.testing.assert_array_equal(nc.watershed(pitted, markers), halves)
    swapped = np.where(markers == 4, 9, np.where(markers == 9, 4, 0))
    np.testing.assert_array_equal(nc.watershed(pitted, swapped), np.where(halves == 4, 9, 4))


def test_touching_markers_stay_as_painted() -> None:
    image = np.array([[3, 1, 2, 2, 0, 5]])
    markers = np.array([[0, 2, 1, 1, 2, 0]])
    assert nc.watershed(image, markers).tolist() == [[2, 2, 1, 1, 2, 2]]


def test_water_rises_over_the_lowest_pass_and_waits_at_a_high_marker() -> None:
    image = np.array([[0, 5, 1, 7, 9, 7, 2]])
    assert nc.watershed(image, np.array([[1, 0, 0, 0, 2, 0, 0]])).tolist() == [[1, 1, 1, 1, 2, 2, 2]]
    walled = np.array([[0, 1, np.nan, 1, 0]])
    assert nc.watershed(walled, np.array([[1, 0, 0, 0, 0]])).tolist() == [[1, 1, 0, 0, 0]]


def grid_distances(inside: np.ndarray, seeds: np.ndarray, connectivity: int) -> np.ndarray:
    """Return the steps from the nearest of `seeds`, by SciPy's shortest paths on the graph of touching voxels."""
    around = reference.touching(inside.shape, inside.astype(int), connectivity)
    rows = np.repeat(np.arange(inside.size), [len(a) for a in around])
    columns = np.array(list(itertools.chain.from_iterable(around)), int)
    graph = coo_array((np.ones(len(rows)), (rows, columns)), (inside.size,) * 2).tocsr()
    found = dijkstra(graph, indices=np.flatnonzero(seeds), unweighted=True, min_only=True)
    return np.asarray(found).reshape(inside.shape)


@pytest.mark.parametrize("shape", [(30, 33), (9, 10, 11)], ids=str)
@pytest.mark.parametrize("has_pits", [False, True], ids=["flat", "unmarked pits"])
@pytest.mark.parametrize("is_full", [False, True], ids=["faces", "full"])
def test_every_voxel_of_a_plateau_gets_a_nearest_marker(shape: tuple[int, ...], has_pits: bool, is_full: bool) -> None:
    connectivity = len(shape) if is_full else 1
    for seed in range(4):
        rng = np.random.default_rng(seed)
        inside = rng.random(shape) < 0.8
        markers = np.where(inside, scattered(shape, 8, seed), 0)
        image = np.where((rng.random(shape) < 0.1) & (markers == 0) & has_pits, 3, 5)
        labels = nc.watershed(image, markers, inside, connectivity=connectivity)
        nearest = grid_distances(inside, markers, connectivity)
        np.testing.assert_array_equal(labels > 0, np.isfinite(nearest))
        for label in range(1, 9):
            own = labels == label
            np.testing.assert_array_equal(
                grid_distances(inside, markers == label, connectivity)[own] if own.any() else [], nearest[own]
            )


# What must not matter ----------------------------------------------------------------------------------


@given(
    st.integers(0, 2**32 - 1), st.sampled_from(["uint8", "int16", "uint32", "int64", "uint64", "float32", "float64"])
)
def test_strictly_rising_maps_change_nothing(seed: int, dtype: str) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 9, rng.integers(2, 4)))
    image, markers = rng.integers(0, 9, shape), np.where(rng.random(shape) < 0.2, rng.integers(1, 5, shape), 0)
    markers.flat[0] = 7
    if dtype.startswith("float"):
        levels = np.sort(rng.choice(np.append(rng.standard_normal(20).astype(dtype), [-np.inf, np.inf]), 9, False))
    else:
        limits = np.iinfo(dtype)
        levels = np.sort(rng.choice(np.array([limits.min, limits.max, *range(5, 25)], dtype), 9, False))
    mapped = np.asarray(levels, dtype)[image]
    np.testing.assert_array_equal(nc.watershed(mapped, markers), nc.watershed(image, markers))


def test_other_names_of_the_markers_rename_the_labels() -> None:
    image, markers = np.random.default_rng(2).integers(0, 4, (20, 30)), scattered((20, 30), 9, seed=1)
    names = np.array([0, 8, 2**31 - 1, 1, 5, 3, 3_000_000, 2, 9, 77])
    np.testing.assert_array_equal(nc.watershed(image, names[markers]), names[nc.watershed(image, markers)])


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int8", "int16", "uint16", "uint32", "int64", "uint64", ">i4", ">u8"]
)
def test_markers_of_any_integers(dtype: str) -> None:
    image, markers = np.random.default_rng(2).integers(0, 4, (20, 30)), scattered((20, 30), 9, seed=1)
    markers = (markers > 0).astype(markers.dtype) if dtype == "bool" else markers
    np.testing.assert_array_equal(nc.watershed(image, markers.astype(dtype)), nc.watershed(image, markers))


@pytest.mark.parametrize(
    "move", [np.flipud, np.fliplr, lambda a: np.flip(a, 2), np.transpose], ids=["z", "y", "x", "T"]
)
def test_flips_move_the_regions_where_no_voxels_tie(move: Callable[[np.ndarray], np.ndarray]) -> None:
    image, markers = tie_free((10, 12, 14), 5), scattered((10, 12, 14), 12, seed=6)
    np.testing.assert_array_equal(nc.watershed(move(image), move(markers)), move(nc.watershed(image, markers)))


def test_markers_outside_are_left_out() -> None:
    image = np.array([[1.0, np.nan, 2.0, 3.0, 1.0]])
    markers, mask = np.array([[1, 2, 0, 3, 4]]), np.array([[1, 1, 1, 1, 0]])
    with nc.watch() as watched:
        assert nc.watershed(image, markers, mask).tolist() == [[1, 0, 3, 3, 0]]
    assert watched.facts["n_markers"] == 2


def test_a_mask_of_numbers_has_no_walls_inside() -> None:
    image, markers = tie_free((20, 21), 1), scattered((20, 21), 6, seed=1)
    mask = np.random.default_rng(0).choice([-1, 0, 1, 2, 70_000], (20, 21))
    mask[markers > 0] = 2
    np.testing.assert_array_equal(nc.watershed(image, markers, mask), nc.watershed(image, markers, mask != 0))


# Every dtype -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["native", "swapped"])
@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_every_dtype_is_flooded_alike(dtype: str, order: str) -> None:
    image, markers = tie_free((11, 11), 8) + 3, scattered((11, 11), 7, seed=9)
    given = image.astype(dtype)
    given = given.astype(given.dtype.newbyteorder()) if order == "swapped" else given
    np.testing.assert_array_equal(nc.watershed(given, markers), nc.watershed(image, markers))


WIDE = {
    "int64": np.array([-(2**63), -(2**62), -1, 0, 1, 2**53, 2**53 + 1, 2**63 - 2, 2**63 - 1], np.int64),
    "uint64": np.array([0, 1, 2**32 - 2, 2**32 - 1, 2**32, 2**53 + 1, 2**63, 2**64 - 2, 2**64 - 1], np.uint64),
    "int32": np.array([-(2**31), -(2**31) + 1, -2, -1, 0, 1, 2**30, 2**31 - 2, 2**31 - 1], np.int32),
    "uint32": np.array([0, 1, 2, 2**16, 2**31 - 1, 2**31, 2**32 - 3, 2**32 - 2, 2**32 - 1], np.uint32),
    "float64": np.array([-np.inf, -1e308, -1.0, -5e-324, 0.0, 1.0, 1.0 + 2**-52, 1e308, np.inf]),
    "float32": np.array([-np.inf, -3e38, -1.0, -1e-45, 0.0, 1e-45, 1.0, 3e38, np.inf], np.float32),
    "float16": np.array([-np.inf, -65504, -1, -6e-8, 0.0, 6e-8, 1, 65504, np.inf], np.float16),
}


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("order", ["<", ">"])
def test_levels_at_both_ends_of_a_dtype(dtype: str, order: str) -> None:
    rng = np.random.default_rng(3)
    image, markers = rng.integers(0, 9, (12, 14)), scattered((12, 14), 8, seed=4)
    given = WIDE[dtype].astype(WIDE[dtype].dtype.newbyteorder(order))[image]
    assert given.dtype.byteorder in ("=", order)
    np.testing.assert_array_equal(nc.watershed(given, markers), nc.watershed(image, markers))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_minus_zero_is_zero_and_nan_of_any_sign_is_outside(dtype: str) -> None:
    image = np.array([[0.0, 0.0, 0.0, 0.0, -0.0, np.nan, 1.0, -np.nan]], dtype)
    flat = np.array([[1, 0, 0, 0, 2, 3, 5, 0]])
    assert nc.watershed(image, flat).tolist() == [[1, 1, 1, 2, 2, 0, 5, 0]]  # were -0.0 lower, 2 would win the middle


# What is flooded, and what comes after -----------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "uint16", "int32", "int64", "uint64", "float32", "float64"]
)
def test_inverted_floods_from_the_bright(dtype: str) -> None:
    rng = np.random.default_rng(0)
    image, markers = rng.integers(0, 9, (12, 14)), scattered((12, 14), 8, seed=4)
    levels = WIDE[dtype] if dtype in WIDE else np.linspace(np.iinfo(dtype).min, np.iinfo(dtype).max, 9).astype(dtype)
    expected = nc.watershed(8 - image, markers)
    np.testing.assert_array_equal(nc.watershed(levels[image], markers, surface="inverted"), expected)


def test_the_gradient_is_flooded_after_smoothing_and_knows_the_spacing() -> None:
    image = ndimage.gaussian_filter(np.random.default_rng(3).random((9, 30, 30)), 1.0).astype(np.float32)
    markers, spacing = scattered(image.shape, 9, seed=1), (3.0, 1.0, 1.0)
    found = nc.watershed(image, markers, surface="gradient", sigma=0.8, spacing=spacing)
    smooth = nc.gaussian(image, sigma=0.8, spacing=spacing)
    expected = nc.watershed(nc.gradient_magnitude(smooth, spacing=spacing), markers)
    np.testing.assert_array_equal(found, expected)
    assert (found != nc.watershed(image, markers, surface="gradient", sigma=0.8)).any()


def test_a_disc_is_cut_out_along_its_edge() -> None:
    y, x = np.mgrid[:41, :41]
    disc = (y - 20) ** 2 + (x - 20) ** 2 < 144
    image = np.where(disc, 200, 60).astype(np.uint8)
    markers = np.zeros(image.shape, int)
    markers[20, 20], markers[1, 1] = 5, 2
    found = nc.watershed(image, markers, surface="gradient")
    wrong = (found == 5) != disc
    assert not (wrong & ~(ndimage.binary_dilation(disc) & ~ndimage.binary_erosion(disc))).any()


def test_small_and_cut_off_regions_go_and_the_others_keep_their_labels() -> None:
    image = np.tile(np.array([0, 1, 9, 1, 0, 9, 0]), (5, 1))
    markers = np.zeros(image.shape, int)
    markers[2, 0], markers[2, 4], markers[2, 6] = 30, 20, 10
    whole = nc.watershed(image, markers)
    assert np.unique(whole, return_counts=True)[1].tolist() == [5, 15, 15]
    np.testing.assert_array_equal(nc.watershed(image, markers, min_size=6), np.where(whole == 10, 0, whole))
    assert not nc.watershed(image, markers, clear_border=True).any()
    framed = nc.watershed(np.pad(image, 1), np.pad(markers, 1), np.pad(np.ones_like(image), 1), clear_border=True)
    np.testing.assert_array_equal(framed[1:-1, 1:-1], whole)


# The queue ---------------------------------------------------------------------------------------------


@st.composite
def pushes(draw: st.DrawFn) -> tuple[int, list[list[int]]]:
    """Draw a largest key, and how far above the level in turn the voxels of each round are pushed."""
    largest = draw(st.sampled_from([0, 255, 65535, 65536, 2**24, 2**32 - 2]))
    steps = st.sampled_from([1, 2, 63, 64, 65, 65535, 65536, 2**17, 2**31])
    return largest, draw(st.lists(st.lists(steps, max_size=80), min_size=1, max_size=8))


@given(pushes())
@example((255, [[1] * 70, [2] * 33 + [1] * 70]))
@example((2**32 - 2, [[65536 + i for i in range(70)] * 2, [63, 64, 65] * 40]))
def test_the_queue_gives_levels_in_order_and_voxels_as_they_came(case: tuple[int, list[list[int]]]) -> None:
    largest, rounds = case
    capacity = sum(map(len, rounds)) + 2
    queue, voxels = new_queue(capacity, largest), np.empty(capacity, np.int32)
    expected: list[tuple[int, int]] = []

    def pushed(keys: list[int]) -> None:
        for key in keys:
            push(number := len(seen), np.uint32(key), *queue)
            seen.append(key)
            heapq.heappush(expected, (key, number))

    seen: list[int] = []
    pushed([0, largest])
    for steps in (*rounds, *[[]] * capacity):
        level, n = next_level(voxels, *queue)
        if not n:
            break
        assert level == expected[0][0]
        assert voxels[:n].tolist() == [heapq.heappop(expected)[1] for _ in range(n)]
        assert not expected or expected[0][0] > level
        pushed([level + step for step in steps if level + step <= largest])
    assert not expected


def test_one_level_and_all_levels_of_16_bits() -> None:
    markers = scattered((256, 256), 30, seed=2)
    image = np.random.default_rng(0).permutation(2**16).astype(np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(nc.watershed(image, markers), by_scikit_image(image, markers, None, 1))
    flat = nc.watershed(np.full((256, 256), 65535, np.uint16), markers)
    np.testing.assert_array_equal(flat, nc.watershed(np.zeros((256, 256), np.uint8), markers))


def test_keys_at_both_ends_of_32_bits_and_in_one_bucket() -> None:
    rng = np.random.default_rng(5)
    for levels in ([0, NEVER - 1], range(NEVER - 41, NEVER), [0, 1, 2**16 - 1, 2**16, NEVER - 2**16, NEVER - 1]):
        key = np.asarray(levels, np.uint32)[rng.integers(0, len(levels), (15, 17))]
        markers = scattered(key.shape, 6, seed=1)
        np.testing.assert_array_equal(_flood.flood(key, markers, None, 1), reference.flood(key, markers, None, 1))


# Running -----------------------------------------------------------------------------------------------


def polls(after: int, stage: str, monitor: list[Any]) -> Iterator[bool]:
    """Yield False until a stage was looked at so many times."""
    n = 0
    while True:
        n += monitor[0].stage == stage
        yield n > after


@pytest.mark.parametrize("after", [1, 3])
def test_cancelling_in_mid_flood_leaves_nothing(after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_flood, "STEP", 100)
    image, markers = tie_free((30, 40), 0), scattered((30, 40), 5, seed=0)
    before = image.copy(), markers.copy()
    expected = nc.watershed(image, markers)
    monitor: list[Any] = []
    asked = polls(after, "flooding", monitor)
    with nc.watch(is_cancelled=lambda: next(asked)) as watched:
        monitor.append(watched)
        with pytest.raises(nc.Cancelled, match="cancelled while flooding; nothing was changed"):
            nc.watershed(image, markers)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(markers, before[1])
    np.testing.assert_array_equal(nc.watershed(image, markers), expected)


def test_progress_rises_to_the_last_voxel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_flood, "STEP", 100)
    seen: list[float] = []
    with nc.watch(on_progress=lambda stage, done: seen.append(done) if stage == "flooding" else None):
        nc.watershed(tie_free((30, 40), 0), scattered((30, 40), 5, seed=0))
    assert len(seen) > 5  # levels are flooded as a whole, so there are at most thirteen
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


AGAIN = """
import numpy as np
import napari_cutout as nc
from napari_cutout.methods import _bucket_queue, _flood, _keys, _voxel_grid
image = np.random.default_rng(0).random((6, 7, 8), np.float32)
markers = np.zeros(image.shape, np.int32)
markers[1, 1, 1], markers[4, 5, 6] = 1, 2
nc.watershed(image, markers)
nc.watershed_from_minima(image.astype(np.float64), image > 0.1)
nc.split_touching(image > 0.3)
loops = [f.dispatcher() for m in (_flood, _bucket_queue, _keys, _voxel_grid) for f in vars(m).values()
         if hasattr(f, "dispatcher")]
print(sum(sum(f.stats.cache_hits.values()) for f in loops), sum(sum(f.stats.cache_misses.values()) for f in loops))
"""


def test_a_second_process_compiles_nothing() -> None:
    command = [sys.executable, "-c", AGAIN]
    _, again = (subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(2))
    assert int(again[0]) >= 8
    assert int(again[1]) == 0


# Bad input ---------------------------------------------------------------------------------------------

IMAGE = np.arange(20, dtype=np.float32).reshape(4, 5)
ONE = np.eye(4, 5, dtype=int)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param((IMAGE, 0 * ONE), "markers have no painted voxel, all are 0; paint at least one", id="none"),
        pytest.param((IMAGE, ONE, ONE == 0), "markers lie outside mask, or where image is NaN.*widen", id="outside"),
        pytest.param((IMAGE * np.nan, ONE), "markers lie outside mask, or where image is NaN", id="nan"),
        pytest.param((IMAGE, ONE * 1.0), "markers must hold integers, got dtype float64", id="float-markers"),
        pytest.param((IMAGE, -3 * ONE), "markers must be labels from 0 to 2147483647, got -3; renumber", id="negative"),
        pytest.param((IMAGE, ONE * 2**31), "from 0 to 2147483647, got 2147483648; renumber", id="above"),
        pytest.param((IMAGE, ONE.astype(np.uint64) * 2**63), f"got {2**63}; renumber", id="far-above"),
        pytest.param((IMAGE, ONE[:3]), r"markers must have the shape of image, \(4, 5\), but has \(3, 5\)", id="shape"),
        pytest.param((IMAGE, ONE, ONE[:, :2]), r"mask must have the shape of image, \(4, 5\)", id="mask-shape"),
        pytest.param((IMAGE, ONE, IMAGE), "mask must hold booleans, got dtype float32", id="mask-float"),
        pytest.param((IMAGE[:0], ONE[:0]), r"image has shape \(0, 5\) and so no voxels", id="empty"),
        pytest.param((IMAGE[0], ONE[0]), r"2-D \(Y, X\) or 3-D .* got shape \(5,\)", id="1-D"),
        pytest.param((IMAGE[None, None], ONE[None, None]), r"got shape \(1, 1, 4, 5\)", id="4-D"),
        pytest.param((IMAGE > 3, ONE), "image is boolean, so it is cut already", id="boolean"),
    ],
)
def test_bad_arrays_are_refused(arguments: tuple[Any, ...], sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        nc.watershed(*arguments)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"connectivity": 4}, "connectivity must be between 1 and 3, got 4"),
        ({"connectivity": 1.0}, "connectivity must be of type int, got 1.0"),
        ({"surface": "edges"}, "surface must be one of 'intensity', 'inverted', 'gradient', 'distance', got 'edges'"),
        ({"spacing": (1.0, 2.0, 3.0)}, "spacing must have one length per axis, 2 of them"),
    ],
    ids=["range", "type", "choice", "axes"],
)
def test_bad_settings_are_refused(more: dict[str, Any], sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        nc.watershed(IMAGE, ONE, **more)


def test_an_image_of_more_places_than_can_be_numbered_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_voxel_grid, "MAX_PLACES", 63)
    key = np.zeros((4, 5), np.uint8)
    with pytest.raises(ValueError, match=r"shape \(4, 5\) has 64 places, border included, and at most 63 .*dask"):
        _flood.flood(key, ONE, None, 1)


@pytest.mark.parametrize(
    ("shape", "places"),
    [
        ((1000, 1000, 1000), 1.02),
        ((1, 26000, 26000), 1.01),
        ((26000, 1, 26000), 1.01),
        ((26000, 26000, 1), 1.01),
        ((26000, 26000), 1.01),
        ((2, 9000, 9000), 2.01),
        ((3, 9000, 9000), 2.01),
        ((9000, 9000, 3), 2.01),
        ((2, 10**8), 2.01),
        ((10**8, 1), 3.01),
    ],
    ids=str,
)
def test_border_and_filling_stay_small_whatever_the_shape(shape: tuple[int, ...], places: float) -> None:
    grid = _voxel_grid.grid_of(shape)
    assert 1 <= grid.size / math.prod(shape) <= places
    assert (1 << grid.bz + grid.by + grid.bx) == 64


@pytest.mark.parametrize(
    ("shape", "fits"),
    [
        ((1000, 1000, 1000), True),
        ((1, 26000, 26000), True),
        ((3, 26000, 26000), False),
        ((2, 5 * 10**8), False),
        ((1022, 1022, 1022), False),
        ((1022, 1022, 1018), True),
    ],
    ids=str,
)
def test_what_is_flooded_as_one_can_be_numbered_twice(shape: tuple[int, ...], fits: bool) -> None:
    assert _voxel_grid.fits(shape) is fits
    if fits:
        assert 2 * _voxel_grid.grid_of(shape).size < 2**31
    else:
        with pytest.raises(ValueError, match="border included"):
            _voxel_grid.grid_of(shape)


@pytest.mark.parametrize(
    "shape", [(2, 9, 30), (3, 9, 30), (9, 30, 3), (30, 2, 9), (5, 5, 5), (2, 40), (40, 3)], ids=str
)
@pytest.mark.parametrize("whole", [False, True], ids=["faces", "corners"])
def test_bricks_of_every_shape_give_the_same_labels(shape: tuple[int, ...], whole: bool) -> None:
    connectivity = len(shape) if whole else 1
    image, markers = np.random.default_rng(5).integers(0, 4, shape), scattered(shape, 4, seed=5)
    np.testing.assert_array_equal(
        nc.watershed(image, markers, connectivity=connectivity), reference.flood(image, markers, None, connectivity)
    )


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "columns first": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "backwards": lambda a: a[::-1].copy()[::-1],
    "other byte order": lambda a: a.astype(a.dtype.newbyteorder()),
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "unaligned": lambda a: np.frombuffer(b" " + a.tobytes(), a.dtype, offset=1).reshape(a.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_layout_in_memory_compiles_a_loop_again_or_changes_a_label(layout: str) -> None:
    key, markers = tie_free((6, 7, 8), 1).astype(np.uint16), scattered((6, 7, 8), 3, seed=1)
    territory = np.where(np.arange(8) < 6, 1, 2) * np.ones(key.shape, np.int32)
    labels = _flood.flood(key, markers, territory, 1)
    loops = [getattr(loop, "dispatcher")() for loop in (_flood._fill_keys, _flood._plant, _voxel_grid.fill)]  # noqa: B009
    known = [len(loop.signatures) for loop in loops]
    again = [LAYOUTS[layout](a) for a in (key, markers, territory)]
    np.testing.assert_array_equal(_flood.flood(again[0], again[1], again[2], 1), labels)
    assert [len(loop.signatures) for loop in loops] == known


def test_the_volume_of_an_ordinary_array_is_no_copy_and_leaves_it_writeable() -> None:
    image = np.zeros((4, 1, 5), np.uint16)
    volume = _flood._volume(image, _voxel_grid.grid_of(image.shape))
    assert volume.shape == (1, 4, 5)
    assert np.shares_memory(volume, image)
    assert (volume.flags.writeable, image.flags.writeable) == (False, True)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.02, 0.3, 0.9, 1.0]), st.booleans(), st.integers(1, 3))
def test_dense_markers_flood_as_the_definition_says(seed: int, share: float, masked: bool, connectivity: int) -> None:
    rng = np.random.default_rng(seed)
    image, markers = rng.integers(0, 3, (4, 5, 6)), rng.integers(1, 4, (4, 5, 6)) * (rng.random((4, 5, 6)) < share)
    markers[0, 0, 0] = 1
    territory = rng.integers(0, 3, image.shape) if masked else None
    found = _flood.flood(image.astype(np.uint8), markers, territory, connectivity)
    np.testing.assert_array_equal(found, reference.flood(image, markers, territory, connectivity))


def test_markers_that_touch_nothing_unmarked_never_wait() -> None:
    key, markers = np.zeros((5, 5), np.uint8), np.ones((5, 5), np.int32)
    markers[0, 0] = 0
    grid, records, walls = _flood._laid_out(key, None)
    _flood._plant(records, markers[None], grid)
    steps = _voxel_grid.neighbour_steps(grid, 1)
    assert _flood._push_markers(new_queue(grid.size, 0), records, walls, steps) == 22


def test_connectivity_3_means_2_on_an_image() -> None:
    image, markers = tie_free((20, 21), 1), scattered((20, 21), 6, seed=1)
    np.testing.assert_array_equal(
        nc.watershed(image, markers, connectivity=3), nc.watershed(image, markers, connectivity=2)
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (1, 1, 7), (7, 1, 1), (1, 6, 5)], ids=str)
def test_thin_images(shape: tuple[int, ...]) -> None:
    image, markers = tie_free(shape, 2), np.zeros(shape, int)
    markers.flat[0], markers.flat[-1] = 1, 2
    np.testing.assert_array_equal(nc.watershed(image, markers), reference.flood(image, markers, None, 1))


def test_a_key_that_looks_like_a_turn_is_none() -> None:
    # Both markers are passed in turn 1 and reach the voxel between them. The dry voxel above it is the first of its
    # neighbours in scan order, and its key is what a voxel passed in turn 1 keeps in place of its own.
    image = np.array([[9, 2**31 + 1, 7], [0, 5, 0]], np.uint32)
    markers = np.array([[0, 0, 0], [1, 0, 2]])
    np.testing.assert_array_equal(nc.watershed(image, markers), [[1, 1, 2], [1, 1, 2]])
