"""Exact distances: against SciPy, against every pair of voxels, in blocks, and worked out by hand."""

from __future__ import annotations

import itertools
import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

import napari_cutout as nc
from napari_cutout._compiled import n_threads
from napari_cutout._plan import BLOCK_VOXELS
from napari_cutout.blockwise._distance import _swept_block
from napari_cutout.processing.distance import FAR, MAX_SQUARED, squared_distance, squared_dtype, weights_of

SHAPES = [(1, 1), (1, 9), (9, 1), (13, 17), (40, 33), (1, 8, 11), (8, 1, 11), (8, 11, 1), (7, 19, 34), (3, 2, 90)]
SPACINGS = [None, (3.0, 1.0, 1.0), (0.29, 0.2, 0.2), (1.0, 2.5, 0.7)]

label_arrays = hnp.arrays(
    st.sampled_from([np.uint8, np.int16]),
    hnp.array_shapes(min_dims=2, max_dims=3, max_side=6),
    elements=st.integers(0, 3),
)
weightings = st.tuples(*[st.integers(1, 9)] * 3)


def by_every_pair(labels: np.ndarray, weights: tuple[int, ...]) -> np.ndarray:
    """Return squared distances by looking at all pairs of voxels."""
    places = np.indices(labels.shape).reshape(labels.ndim, -1).T * np.array(weights[-labels.ndim :], np.int64)
    squares = ((places[:, None] - places) ** 2).sum(axis=-1)
    flat = labels.ravel()
    squares[flat[:, None] == flat] = np.iinfo(np.int64).max
    return np.where(flat == 0, 0, squares.min(axis=1)).reshape(labels.shape)


def blobs(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Return objects of a few sizes that touch one another, with background between some."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.standard_normal(shape), 2.0, mode="wrap")
    return np.digitize(smooth / smooth.std(), (-0.5, 0.4, 1.0)).astype(np.int32)


@given(label_arrays, weightings)
def test_equals_the_nearest_of_all_pairs(labels: np.ndarray, weights: tuple[int, ...]) -> None:
    expected = by_every_pair(labels, weights)
    found = squared_distance(labels, weights[-labels.ndim :])
    alone = expected == np.iinfo(np.int64).max
    assert alone.all() or not alone.any()
    np.testing.assert_array_equal(found, np.where(alone, FAR["int32"], expected))


@given(label_arrays, weightings)
def test_int64_finds_what_int32_finds(labels: np.ndarray, weights: tuple[int, ...]) -> None:
    weights, large = weights[-labels.ndim :], 2**15
    narrow = squared_distance(labels, weights)
    wide = squared_distance(labels, tuple(w * large for w in weights))
    assert narrow.dtype == np.int32
    if wide.dtype == np.int64 and narrow.flat[0] != FAR["int32"]:
        np.testing.assert_array_equal(wide, narrow.astype(np.int64) * large**2)


@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_scipy_on_masks(shape: tuple[int, ...], spacing: tuple[float, ...] | None) -> None:
    ratios = [1.0] * len(shape)
    if spacing is not None:
        spacing = spacing[-len(shape) :]
        ratios = [round(s / min(spacing) * 1024) / 1024 for s in spacing]
    for density in (0.05, 0.5, 0.97):
        mask = np.random.default_rng(3).random(shape) < density
        mask.flat[-1] = False  # SciPy has no rule for an image without background
        expected = ndimage.distance_transform_edt(mask, sampling=ratios)
        found = nc.distance(mask, spacing=spacing)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected.astype(np.float32))


@pytest.mark.parametrize("spacing", [None, (3.0, 1.0, 1.0), (0.29, 0.2, 0.2)], ids=str)
@pytest.mark.parametrize("shape", [(60, 70), (20, 30, 50)], ids=str)
def test_touching_objects_equal_scipy_one_by_one(shape: tuple[int, ...], spacing: tuple[float, ...] | None) -> None:
    labels = blobs(shape)
    ratios = [1.0] * len(shape)
    if spacing is not None:
        spacing = spacing[-len(shape) :]
        ratios = [round(s / min(spacing) * 1024) / 1024 for s in spacing]
    expected = np.zeros(shape)
    for label in range(1, labels.max() + 1):
        expected += ndimage.distance_transform_edt(labels == label, sampling=ratios)
    np.testing.assert_array_equal(nc.distance(labels, spacing=spacing), expected.astype(np.float32))


def test_more_lines_and_voxels_than_one_task_takes() -> None:
    labels = (ndimage.gaussian_filter(np.random.default_rng(0).random((40, 257, 261)), 3) > 0.5).astype(np.uint8)
    expected = ndimage.distance_transform_edt(labels)
    np.testing.assert_array_equal(nc.distance(labels), expected.astype(np.float32))


def test_by_hand() -> None:
    labels = np.array(
        [
            [1, 1, 1, 2, 2],
            [1, 1, 1, 2, 2],
            [1, 1, 1, 0, 0],
        ]
    )
    root = math.sqrt
    expected = [
        [3, 2, 1, 1, root(2 * 2)],
        [3, 2, 1, 1, 1],
        [3, 2, 1, 0, 0],
    ]
    expected[0][4] = 2  # down to the background two rows below, or left to label 1 two columns away
    expected[1][3] = expected[1][4] = 1
    np.testing.assert_array_equal(nc.distance(labels), np.array(expected, np.float32))
    diagonal = ~np.eye(3, dtype=bool)[:, ::-1]
    diagonal[0, 2] = diagonal[2, 0] = True  # the centre alone is outside
    corner, side = np.float32(root(2)), np.float32(1)
    np.testing.assert_array_equal(
        nc.distance(diagonal), [[corner, side, corner], [side, 0, side], [corner, side, corner]]
    )
    corner = np.float32(root(1 + 2.5**2))
    np.testing.assert_array_equal(
        nc.distance(diagonal, spacing=(5, 2)), [[corner, 2.5, corner], [side, 0, side], [corner, 2.5, corner]]
    )


def test_the_edge_of_the_image_is_no_background() -> None:
    mask = np.ones((3, 40), bool)
    mask[:, 0] = False
    np.testing.assert_array_equal(nc.distance(mask), np.broadcast_to(np.arange(40), (3, 40)))


def test_an_image_that_is_one_object_has_no_outside() -> None:
    assert (nc.distance(np.full((4, 5), 7)) == np.inf).all()
    assert (nc.distance(np.ones((3, 4, 5), bool), spacing=(0.29, 0.2, 0.2)) == np.inf).all()
    assert (nc.distance(np.zeros((4, 5), int)) == 0).all()
    assert nc.distance(da.ones((4, 5), chunks=2, dtype=int)).compute(scheduler="sync").min() == np.inf


def test_only_ratios_of_spacing_count() -> None:
    labels = blobs((9, 20, 20))
    found = nc.distance(labels, spacing=(3.0, 1.0, 1.0))
    np.testing.assert_array_equal(found, nc.distance(labels, spacing=(3e-7, 1e-7, 1e-7)))
    np.testing.assert_array_equal(nc.distance(labels), nc.distance(labels, spacing=(0.5, 0.5, 0.5)))
    assert weights_of(None, 3) == weights_of((2, 2, 2), 3) == (1, 1, 1)
    assert weights_of((3, 1, 1), 3) == (3, 1, 1)
    assert weights_of((0.29, 0.2, 0.2), 3) == (1485, 1024, 1024)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", ">i2", "uint16", "int32", ">u4", "int64", "uint64"])
def test_any_labels_in_any_layout(dtype: str) -> None:
    labels = blobs((12, 14, 16)).astype(dtype)
    expected = sum(ndimage.distance_transform_edt(labels == value) for value in np.unique(labels)[1:])
    layouts: list[Callable[[np.ndarray], np.ndarray]] = [
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=2)[:, :, ::2],
        lambda a: a[::-1, :, ::-1].copy()[::-1, :, ::-1],
    ]
    for layout in layouts:
        given_labels = layout(labels)
        given_labels.flags.writeable = False
        np.testing.assert_array_equal(nc.distance(given_labels), expected.astype(np.float32))


def test_names_of_labels_do_not_matter() -> None:
    labels = blobs((30, 40))
    renamed = np.array([0, -5, 2**40, 3])[labels]
    np.testing.assert_array_equal(nc.distance(renamed), nc.distance(labels))


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))), ids=str)
def test_turning_the_image_turns_the_result(axes: tuple[int, ...]) -> None:
    labels, spacing = blobs((9, 12, 15)), (3.0, 1.5, 1.0)
    turned = nc.distance(labels.transpose(axes), spacing=[spacing[a] for a in axes])
    np.testing.assert_array_equal(turned, nc.distance(labels, spacing=spacing).transpose(axes))


# Sizes -----------------------------------------------------------------------------------------------


def test_int32_as_long_as_it_holds_all_that_can_be() -> None:
    assert squared_dtype((46341,), (1,)) == "int32"  # 46,340 squared is 2,147,395,600
    assert squared_dtype((46342,), (1,)) == "int64"
    assert squared_dtype((2,), (math.isqrt(MAX_SQUARED),)) == "int64"
    with pytest.raises(ValueError, match=r"at most 2.3e\+18 is exact"):
        squared_dtype((2,), (math.isqrt(MAX_SQUARED) + 1,))


def test_the_largest_distances_do_not_overflow() -> None:
    n = 600
    weight = math.isqrt(MAX_SQUARED // (n - 1) ** 2)
    labels = np.ones((n, 2), np.uint8)
    labels[0, 0] = 0
    found = squared_distance(labels, (weight, 1))
    expected = (weight * np.arange(n, dtype=object)) ** 2
    assert found[:, 0].tolist() == expected.tolist()
    assert found[:, 1].tolist() == (expected + 1).tolist()
    across = squared_distance(np.ascontiguousarray(labels.T), (1, weight))
    np.testing.assert_array_equal(across, found.T)


def test_edges_too_unequal_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"shape \(4, 5\) whose voxels have edges of 1 : 1048576000000 has squared dist"
    ):
        nc.distance(np.ones((4, 5), int), spacing=(1e-9, 1e3 * 1.048576))
    with pytest.raises(ValueError, match="check spacing, or resample the image to voxels with less unequal edges"):
        nc.distance(np.ones((4, 5), int), spacing=(1e-300, 1e300))
    flat = np.array([[0, 1, 1]])  # an axis of one voxel has no distances
    assert nc.distance(flat, spacing=(1e300, 1e-300)).tolist() == [[0, 1, 2]]


def test_memory_beyond_the_result_is_as_declared() -> None:
    labels = np.ones((64, 256, 256), np.uint8)
    labels[:, ::5] = 0
    few_blocks = n_threads() * BLOCK_VOXELS // 8 * 20 / labels.size  # float64 twice and float32 on every processor
    for spacing, declared in ((None, 0), ((0.29, 0.2, 0.2), 8)):
        nc.distance(labels[:2, :8], spacing=spacing)
        tracemalloc.start()
        nc.distance(labels, spacing=spacing)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert declared <= peak / labels.size - 4 < 1.25 * declared + few_blocks


# Blocks, progress ------------------------------------------------------------------------------------


@given(label_arrays, st.sampled_from(SPACINGS), st.integers(1, 400), st.data())
def test_blocks_find_what_the_whole_finds(
    labels: np.ndarray, spacing: tuple[float, ...] | None, chunk_bytes: int, data: st.DataObject
) -> None:
    spacing = None if spacing is None else spacing[-labels.ndim :]
    chunks = tuple(data.draw(st.integers(1, n)) for n in labels.shape)
    with dask.config.set({"array.chunk-size": f"{chunk_bytes}B"}):
        lazy = nc.distance(da.from_array(labels, chunks), spacing=spacing)
    assert lazy.chunks == da.from_array(labels, chunks).chunks
    assert lazy.dtype == np.float32
    found = lazy.compute(scheduler="sync")
    np.testing.assert_array_equal(found, nc.distance(labels, spacing=spacing))


def test_a_graph_is_made_without_computing() -> None:
    read: list[int] = []
    empty = da.zeros((64, 64), chunks=16, dtype=np.uint8)
    lazy = da.map_blocks(lambda block: read.append(1) or block, empty, meta=np.empty((0, 0), np.uint8))
    distances = nc.distance(lazy)
    assert not read
    assert distances.compute(scheduler="sync").max() == 0
    assert read


def test_blocks_that_are_asked_for_twice_are_swept_once() -> None:
    labels = blobs((30, 40))
    lazy = nc.distance(da.from_array(labels, 10))
    twice = dask.compute(lazy, lazy[::-1], scheduler="threads")
    expected = nc.distance(labels)
    np.testing.assert_array_equal(twice[0], expected)
    np.testing.assert_array_equal(twice[1], expected[::-1])


def test_progress_is_told_and_a_cancel_heard() -> None:
    labels = np.ones((40, 256, 256), np.uint8)
    labels[:, 0] = 0
    told: list[tuple[str, float]] = []
    with nc.watch(on_progress=lambda name, done: told.append((name, done))):
        nc.distance(labels)
    for axis in "zyx":
        fractions = [done for name, done in told if name == f"measuring distances along {axis}"]
        assert len(fractions) > 2
        assert fractions == sorted(fractions)
    with nc.watch(is_cancelled=lambda: True), pytest.raises(nc.Cancelled, match="measuring distances along x"):
        nc.distance(labels)


@pytest.mark.gpu
@pytest.mark.parametrize("spacing", [None, (0.29, 0.2, 0.2)], ids=str)
@pytest.mark.parametrize("shape", [(300, 500), (40, 90, 130)], ids=str)
def test_gpu_and_host_find_the_same(
    shape: tuple[int, ...], spacing: tuple[float, ...] | None, to_gpu: Callable[[Any], Any]
) -> None:
    labels = blobs(shape)
    spacing = None if spacing is None else spacing[-len(shape) :]
    np.testing.assert_array_equal(
        nc.distance(to_gpu(labels), spacing=spacing).get(), nc.distance(labels, spacing=spacing)
    )


def test_a_block_is_left_as_it_was() -> None:
    labels, squared = np.array([[1, 1, 1]]), np.array([[1, 4, 9]], np.int32)
    squared.flags.writeable = False
    found = _swept_block(labels, squared, axis=1, weight=1, dtype="int32")
    assert found.tolist() == [[1, 2, 5]]
    assert squared.tolist() == [[1, 4, 9]]


# Bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "spacing", "sentence"),
    [
        (np.ones((4, 4)), None, "labels must hold integers, got dtype float64; convert it"),
        (np.ones(4, int), None, r"labels must be 2-D \(Y, X\) or 3-D \(Z, Y, X\), got shape \(4,\)"),
        (np.ones((2, 2, 2, 2), int), None, "pass one time point of it"),
        (np.ones((0, 4), int), None, r"labels has shape \(0, 4\) and so no voxels"),
        (np.ones((4, 4), int), (1, 1, 1), "spacing must have one length per axis, 2 of them"),
        (np.ones((4, 4), int), (1, 0), "spacing must be positive and finite"),
        (np.ones((4, 4), int), (1, np.nan), "spacing must be positive and finite"),
        (np.ones((4, 4), int), "ab", "spacing must be one length per axis"),
        ([[0, 1]], None, "an array was expected, got list"),
    ],
)
def test_what_cannot_be_measured_is_refused(labels: Any, spacing: Any, sentence: str) -> None:
    with pytest.raises((TypeError, ValueError), match=sentence):
        nc.distance(labels, spacing=spacing)
