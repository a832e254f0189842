"""Objects of classes, and lines between labels: by hand, against slow twins, the same for every tiling and library."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import label as skimage_label

import napari_cutout as nc
from napari_cutout import _array, _plan

from .cases import same_partition
from .reference.watershed import touching


def class_map(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Return a map of classes 0, 1, 2 and 7 in blobs that touch one another."""
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1.2, mode="wrap")
    cuts = np.quantile(smooth, [0.4, 0.6, 0.8])
    return np.asarray([0, 1, 2, 7], np.uint8)[np.searchsorted(cuts, smooth)]


def test_touching_classes_are_different_objects_numbered_by_their_first_voxel() -> None:
    labels = np.array([
        [0, 5, 5, 2, 2],
        [5, 0, 0, 2, 5],
        [5, 2, 0, 0, 5],
    ])  # fmt: skip
    assert nc.objects(labels).tolist() == [[0, 1, 1, 2, 2], [3, 0, 0, 2, 4], [3, 5, 0, 0, 4]]
    assert nc.objects(labels, connectivity=2).tolist() == [[0, 1, 1, 2, 2], [1, 0, 0, 2, 3], [1, 4, 0, 0, 3]]
    assert nc.objects(labels, classes=(2,)).tolist() == [[0, 0, 0, 1, 1], [0, 0, 0, 1, 0], [0, 2, 0, 0, 0]]
    assert nc.objects(labels, min_size=2).tolist() == [[0, 1, 1, 2, 2], [3, 0, 0, 2, 4], [3, 0, 0, 0, 4]]
    assert not nc.objects(labels, clear_border=True).any()
    assert nc.objects(np.pad(labels, 1), clear_border=True).max() == 5
    assert nc.objects(labels).dtype == np.int32


@pytest.mark.parametrize("shape", [(40, 51), (9, 21, 26)], ids=str)
@pytest.mark.parametrize("connectivity", [1, 2, 3])
def test_scikit_image_finds_the_same(shape: tuple[int, ...], connectivity: int) -> None:
    labels = class_map(shape)
    found = nc.objects(labels, connectivity=connectivity)
    expected = skimage_label(labels, background=0, connectivity=min(connectivity, len(shape)))
    assert same_partition(found, expected)
    first = [int(np.flatnonzero(found == n)[0]) for n in range(1, found.max() + 1)]
    assert first == sorted(first)


@pytest.mark.parametrize("chunks", [(9, 21, 26), (4, 7, 5), (1, 21, 3)], ids=str)
@pytest.mark.parametrize("connectivity", [1, 2, 3])
@pytest.mark.parametrize(
    "more",
    [{}, {"classes": (1, 7)}, {"min_size": 6, "clear_border": True}],
    ids=["all", "some", "cleaned"],
)
def test_dask_gives_the_objects_of_the_whole(chunks: tuple[int, ...], connectivity: int, more: dict[str, Any]) -> None:
    labels = class_map((9, 21, 26), seed=2)
    lazy = nc.objects(da.from_array(labels, chunks), connectivity=connectivity, **more)
    assert isinstance(lazy, da.Array)
    assert lazy.dtype == np.int32
    whole = nc.objects(labels, connectivity=connectivity, **more)
    assert whole.any()
    np.testing.assert_array_equal(lazy.compute(scheduler="sync"), whole)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int64", "uint64"])
def test_every_library_and_dtype_gives_the_same_objects(dtype: str, to_library: Any) -> None:
    labels = class_map((9, 21, 26)).astype(dtype)
    given = to_library(labels)
    found = nc.objects(given, connectivity=2, min_size=3, classes=(1, 7, 300))
    assert type(found) is type(given)
    assert found.device == given.device
    expected = nc.objects(labels.astype(int), connectivity=2, min_size=3, classes=(1, 7, 300))
    np.testing.assert_array_equal(_array.to_numpy(found), expected)
    np.testing.assert_array_equal(_array.to_numpy(given), labels)


@pytest.mark.gpu
def test_gpu_gives_the_objects_of_the_host(to_gpu: Any) -> None:
    labels = class_map((20, 61, 66))
    np.testing.assert_array_equal(_array.to_numpy(nc.objects(to_gpu(labels))), nc.objects(labels))


def test_one_class_gives_the_components_of_its_mask() -> None:
    labels = class_map((31, 44))
    for connectivity in (1, 2):
        expected = nc.components(labels == 2, connectivity=connectivity)
        np.testing.assert_array_equal(nc.objects(labels, classes=(2,), connectivity=connectivity), expected)
    strided = np.asfortranarray(labels)[::-1, 3::2]
    np.testing.assert_array_equal(nc.objects(strided), nc.objects(np.ascontiguousarray(strided)))


def test_measure_tells_the_class_of_each_object() -> None:
    labels = class_map((31, 44))
    found = nc.objects(labels)
    table = nc.measure(found, labels).table
    assert len(table) == found.max()
    assert all(row["min"] == row["max"] == labels[found == row["label"]][0] for row in table)


def test_nothing_gives_nothing() -> None:
    assert not nc.objects(np.zeros((4, 5), int)).any()
    assert not nc.objects(np.ones((4, 5), int), classes=(2,)).any()


@pytest.mark.parametrize(
    ("labels", "more", "sentence"),
    [
        pytest.param(np.ones((3, 3)), {}, "labels must hold integers, got dtype float64", id="floats"),
        pytest.param(np.ones(3, int), {}, r"2-D \(Y, X\) or 3-D .* got shape \(3,\)", id="1-D"),
        pytest.param(np.eye(3, dtype=int), {"classes": (0, 1)}, r"1 or more, got \(0, 1\); 0 is background", id="zero"),
        pytest.param(np.eye(3, dtype=int), {"classes": (1, 1)}, r"different labels .* got \(1, 1\)", id="twice"),
        pytest.param(np.eye(3, dtype=int), {"classes": (1.5,)}, "every entry of classes must be of type int", id="1.5"),
        pytest.param(np.eye(3, dtype=int), {"classes": ()}, "classes must have 1 to 255 entries, got 0", id="none"),
        pytest.param(np.eye(3, dtype=int), {"connectivity": 4}, "connectivity must be between 1 and 3", id="steps"),
        pytest.param(np.arange(400).reshape(20, 20), {}, "399 different labels, and at most 255", id="objects"),
        pytest.param(np.full((3, 3), 2**63, np.uint64), {}, "at most 9223372036854775807", id="beyond-int64"),
    ],
)
def test_bad_input_is_refused(labels: np.ndarray, more: dict[str, Any], sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        nc.objects(labels, **more)


# Lines -------------------------------------------------------------------------------------------------


def lines_by_definition(labels: np.ndarray, connectivity: int) -> np.ndarray:
    """Return the labels with 0 at the first voxel of every touching pair that differs, pair by pair."""
    values, out = labels.ravel().tolist(), labels.ravel().copy()
    for p, around in enumerate(touching(labels.shape, None, connectivity)):
        if any(q > p and values[q] != values[p] and values[q] and values[p] for q in around):
            out[p] = 0
    return out.reshape(labels.shape)


def test_a_line_lies_on_the_side_of_the_lower_indices() -> None:
    labels = np.array([
        [1, 1, 1, 2, 2],
        [1, 1, 1, 2, 2],
        [3, 3, 0, 2, 2],
        [3, 3, 3, 0, 2],
    ])  # fmt: skip
    assert nc.draw_lines(labels).tolist() == [[1, 1, 0, 2, 2], [0, 0, 0, 2, 2], [3, 3, 0, 2, 2], [3, 3, 3, 0, 2]]
    full = nc.draw_lines(labels, connectivity=2)
    assert full.tolist() == [[1, 1, 0, 0, 2], [0, 0, 0, 2, 2], [3, 3, 0, 0, 2], [3, 3, 3, 0, 2]]
    np.testing.assert_array_equal(nc.draw_lines(labels, connectivity=3), full)


@pytest.mark.parametrize("shape", [(7, 8), (1, 6), (4, 5, 4), (3, 1, 5)], ids=str)
@pytest.mark.parametrize("connectivity", [1, 2, 3])
def test_lines_follow_their_definition(shape: tuple[int, ...], connectivity: int) -> None:
    for seed in range(4):
        labels = np.random.default_rng(seed).integers(0, 4, shape)
        found = nc.draw_lines(labels, connectivity=connectivity)
        np.testing.assert_array_equal(found, lines_by_definition(labels, connectivity))
        np.testing.assert_array_equal(nc.draw_lines(found, connectivity=connectivity), found)


def test_lines_part_what_a_watershed_has_found() -> None:
    image = ndimage.gaussian_filter(np.random.default_rng(4).standard_normal((12, 30, 33)), 2).astype(np.float32)
    regions = nc.watershed_from_minima(image)
    assert (regions > 0).all()
    for connectivity in (1, 2, 3):
        parted = nc.draw_lines(regions, connectivity=connectivity)
        parts = nc.components(parted > 0, connectivity=connectivity)
        assert parts.max() >= regions.max() > 3
        pairs = np.unique(np.stack([parts.ravel(), parted.ravel()]), axis=1)
        assert pairs.shape[1] == parts.max() + 1  # no part holds two labels


@pytest.mark.parametrize("chunks", [(9, 21, 26), (4, 7, 5), (1, 21, 3), (1, 1, 1)], ids=str)
@pytest.mark.parametrize("connectivity", [1, 2, 3])
def test_blocks_do_not_show_in_lines(
    chunks: tuple[int, ...], connectivity: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = class_map((9, 21, 26), seed=2)[: chunks[0] * 3, : chunks[1] * 4, : chunks[2] * 4].astype(np.int32) * 1000
    whole = nc.draw_lines(labels, connectivity=connectivity)
    lazy = nc.draw_lines(da.from_array(labels, chunks), connectivity=connectivity)
    assert isinstance(lazy, da.Array)
    assert lazy.dtype == whole.dtype == np.int32
    np.testing.assert_array_equal(lazy.compute(scheduler="sync"), whole)
    monkeypatch.setattr(_plan, "BLOCK_VOXELS", 64)
    np.testing.assert_array_equal(nc.draw_lines(labels, connectivity=connectivity), whole)


def test_other_names_of_labels_draw_the_same_lines() -> None:
    labels = class_map((31, 44))
    names = np.array([0, 9, 4, 0, 0, 0, 0, 2])
    lines = nc.draw_lines(labels, connectivity=2)
    np.testing.assert_array_equal(nc.draw_lines(names[labels], connectivity=2), names[lines])


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "uint16", "int32", "int64", "uint64", ">i4"])
def test_lines_in_every_library_and_dtype(dtype: str, to_library: Any) -> None:
    labels = class_map((9, 21, 26)).astype(dtype)
    if np.dtype(dtype).newbyteorder("=") != dtype and to_library.__name__ != "read_only":
        labels = labels.astype(np.int32)  # only NumPy knows two byte orders
    given = to_library(labels)
    found = nc.draw_lines(given, connectivity=2)
    assert type(found) is type(given)
    assert found.device == given.device
    assert _array.dtype_name(found) == ("uint8" if dtype == "bool" else _array.dtype_name(given))
    np.testing.assert_array_equal(_array.to_numpy(found), nc.draw_lines(labels.astype(int), connectivity=2))
    np.testing.assert_array_equal(_array.to_numpy(given), labels)
    strided = np.asfortranarray(labels)[::-1, :, 3::2]
    np.testing.assert_array_equal(nc.draw_lines(strided), nc.draw_lines(np.ascontiguousarray(strided)))


def test_labels_beyond_32_bits_keep_their_names() -> None:
    labels = np.array([[2**63 - 1, 2**63 - 1, 2**62], [5, 5, 2**62]])
    assert nc.draw_lines(labels).tolist() == [[0, 0, 2**62], [5, 0, 2**62]]
    assert nc.draw_lines(np.array([[-3, -3, 2]])).tolist() == [[-3, 0, 2]]


@pytest.mark.parametrize(
    ("labels", "more", "sentence"),
    [
        pytest.param(np.ones((3, 3)), {}, "labels must hold integers, got dtype float64", id="floats"),
        pytest.param(np.ones((2, 3, 3, 3), int), {}, r"2-D \(Y, X\) or 3-D .* got shape \(2, 3, 3, 3\)", id="4-D"),
        pytest.param(np.ones((0, 3), int), {}, r"shape \(0, 3\) and so no voxels", id="empty"),
        pytest.param(np.eye(3, dtype=int), {"connectivity": 0}, "connectivity must be between 1 and 3", id="steps"),
    ],
)
def test_no_lines_in_bad_input(labels: np.ndarray, more: dict[str, Any], sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        nc.draw_lines(labels, **more)
