"""Minima, middles of objects and their cuts: against slow twins in plain Python, and drawn by hand."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage.morphology import local_minima, reconstruction

import napari_cutout as nc
from napari_cutout.methods import _flood
from napari_cutout.methods._flooding import deep_minima

from .cases import same_partition, tie_free

SHAPES = [(20, 23), (7, 8, 9)]


def box(ndim: int, connectivity: int) -> np.ndarray:
    return ndimage.generate_binary_structure(ndim, connectivity)


def bumpy(shape: tuple[int, ...], seed: int, n_levels: int = 30) -> np.ndarray:
    """Return smoothed noise in so many levels."""
    return (tie_free(shape, seed) // -(-int(np.prod(shape)) // n_levels)).astype(np.uint16)


# Levels and minima -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("is_full", [False, True], ids=["faces", "full"])
def test_levels_are_the_reconstruction_by_erosion(shape: tuple[int, ...], is_full: bool) -> None:
    connectivity = len(shape) if is_full else 1
    for seed, rise in itertools.product(range(3), (0, 1, 4, 40)):
        image = bumpy(shape, seed)
        start = (image + rise).astype(np.uint32)
        found = _flood.levels(image, start, None, connectivity)
        expected = reconstruction(start.astype(float), image.astype(float), "erosion", box(len(shape), connectivity))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("is_full", [False, True], ids=["faces", "full"])
@pytest.mark.parametrize("dtype", ["uint8", "uint32"])
def test_flat_minima_are_those_of_scikit_image(shape: tuple[int, ...], is_full: bool, dtype: str) -> None:
    connectivity = len(shape) if is_full else 1
    for seed in range(4):
        image = bumpy(shape, seed).astype(dtype)
        found = _flood.regional_minima(image.astype(np.uint32), None, connectivity)
        expected = local_minima(image, connectivity=connectivity)
        labels = ndimage.label(expected, box(len(shape), connectivity))[0]
        np.testing.assert_array_equal(found, labels)  # SciPy numbers by first voxel, too
        np.testing.assert_array_equal(nc.markers_from_minima(image, depth=0, connectivity=connectivity), labels)


def deep_by_thresholds(image: np.ndarray, territory: np.ndarray, depth: float, connectivity: int) -> np.ndarray:
    """Return the deep minima level by level, one object at a time.

    What lies at or below a level plus `depth` and is connected is one minimum if its lowest voxel is at that level: a
    way out that rises less would have joined it to something lower.
    """
    found = []
    for part, level in itertools.product(np.unique(territory[territory != 0]), np.unique(image)):
        labels, n = ndimage.label((territory == part) & (image <= level + depth), box(image.ndim, connectivity))
        bottoms = ndimage.minimum(image, labels, range(1, n + 1))
        found += [labels == k for k, bottom in enumerate(bottoms, 1) if bottom == level]
    minima = np.zeros(image.shape, np.int32)
    for n, where in enumerate(sorted(found, key=lambda where: int(np.flatnonzero(where)[0])), 1):
        minima[where] = n
    return minima


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.sampled_from([0, 1, 2, 3.5, 7]))
def test_deep_minima_follow_their_definition(seed: int, connectivity: int, depth: float) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 8, rng.integers(2, 4)))
    image, territory = rng.integers(0, 12, shape), rng.integers(0, 3, shape)
    connectivity = min(connectivity, len(shape))
    expected = deep_by_thresholds(image, territory, depth, connectivity)
    for dtype in ("uint8", "int64", "float32", "float64"):  # integers count whole steps, and so do levels here
        np.testing.assert_array_equal(deep_minima(image.astype(dtype), territory, depth, connectivity), expected)
    whole = np.ones(shape, int)
    territory.flat[0] = 1
    found = nc.markers_from_minima(image, territory > 0, depth=float(depth), connectivity=connectivity)
    np.testing.assert_array_equal(found, deep_by_thresholds(image, (territory > 0).astype(int), depth, connectivity))
    found = nc.markers_from_minima(image, depth=float(depth), connectivity=connectivity)
    np.testing.assert_array_equal(found, deep_by_thresholds(image, whole, depth, connectivity))


def test_deep_minima_by_hand() -> None:
    image = np.array([[9, 2, 5, 3, 9, 1, 4, 1, 9]])
    for depth, expected in {
        0: [0, 1, 0, 2, 0, 3, 0, 4, 0],
        1: [0, 1, 0, 2, 0, 3, 0, 4, 0],
        1.9: [0, 1, 0, 2, 0, 3, 0, 4, 0],  # whole steps count
        2: [0, 1, 0, 0, 0, 2, 0, 3, 0],  # out of 3 the way leads over 5, which is no more than 2 above it
        3: [0, 1, 1, 1, 0, 2, 2, 2, 0],  # two equal minima in one basin count once
        6: [0, 1, 1, 1, 0, 2, 2, 2, 0],
        7: [0, 0, 0, 0, 0, 1, 1, 1, 0],  # out of 2 the way to 1 leads over 9
        8: [1] * 9,
    }.items():
        assert nc.markers_from_minima(image, depth=depth).tolist() == [expected], depth
    assert nc.markers_from_minima(image, surface="inverted", depth=1.0).max() == 5


@pytest.mark.parametrize(
    ("dtype", "levels", "depth", "n"),
    [
        pytest.param("int8", [-128, 127, -120], 8, 2, id="int8"),
        pytest.param("int64", [-(2**63), 2**63 - 1, -(2**63) + 5], 5, 2, id="int64"),
        pytest.param("int64", [0, 4, 2**62], 10, 1, id="int64-shallow"),
        pytest.param("uint64", [2**64 - 9, 2**64 - 1, 2**64 - 9], 7, 2, id="uint64"),
        pytest.param("uint64", [2**64 - 9, 2**64 - 1, 2**64 - 9], 8, 1, id="uint64-top"),
        pytest.param("uint8", [250, 255, 250], 1e9, 1, id="higher-than-all"),
        pytest.param("float64", [0.0, 1.0 + 2**-40, 0.0], 1.0, 2, id="float64"),
        pytest.param("float32", [0.0, np.inf, 1.0], 1e9, 2, id="inf"),
        pytest.param("float16", [0.0, 3.0, 1.0], 1.5, 2, id="float16"),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_depth_counts_in_the_grey_levels_of_any_dtype(
    dtype: str, levels: list[Any], depth: float, n: int, order: str
) -> None:
    image = np.array([levels], np.dtype(dtype).newbyteorder(order))
    assert nc.markers_from_minima(image, depth=depth).max() == n


def test_depth_is_a_tenth_of_the_range_if_nothing_is_said() -> None:
    image = np.full((5, 9), 100, np.uint8)
    image[1:3, 1], image[2, 4], image[2, 7] = 0, 91, 89
    with nc.watch() as watched:
        found = nc.markers_from_minima(image)
    assert found.max() == 2
    assert watched.facts["depth"] == 10.0
    assert watched.facts["n_minima"] == 2
    np.testing.assert_array_equal(found, nc.markers_from_minima(image, depth=watched.facts["depth"]))
    masked = nc.markers_from_minima(image, np.arange(9) > 2 + np.zeros((5, 1)))
    assert masked.max() == 2  # the range there is no wider than 11


@pytest.mark.parametrize("surface", ["intensity", "inverted", "gradient"])
def test_flooding_from_minima_is_flooding_from_their_markers(surface: Any) -> None:
    image = ndimage.gaussian_filter(np.random.default_rng(1).random((8, 30, 31)), 1.5).astype(np.float32)
    image[2, 3, 4] = np.nan
    mask = tie_free(image.shape, 1) > 900
    settings = {"surface": surface, "sigma": 0.5, "connectivity": 2, "spacing": (2.0, 1.0, 1.0)}
    markers = nc.markers_from_minima(image, mask, depth=0.002, **settings)
    assert markers.max() > 5
    found = nc.watershed_from_minima(image, mask, depth=0.002, **settings)
    np.testing.assert_array_equal(found, nc.watershed(image, markers, mask, **settings))
    np.testing.assert_array_equal(found > 0, mask & ~np.isnan(image))


@pytest.mark.parametrize("method", [nc.markers_from_minima, nc.watershed_from_minima])
@pytest.mark.parametrize("depth", [None, 1.0])
def test_nothing_inside_is_said(method: Any, depth: float | None) -> None:
    image = np.random.default_rng(0).random((5, 6))
    for grey, mask in ((image, np.zeros((5, 6), bool)), (image * np.nan, None)):
        with pytest.raises(ValueError, match=r"no finite voxel to count|so it has no minimum"):
            method(grey, mask, depth=depth)


# Touching objects --------------------------------------------------------------------------------------


def discs(shape: tuple[int, ...], *middles: tuple[float, ...]) -> np.ndarray:
    """Return discs or balls, each given by its middle and its radius."""
    at = np.indices(shape)
    inside = [((at - np.reshape(c, (-1,) + (1,) * len(shape))) ** 2).sum(0) < r * r for *c, r in middles]
    return np.any(inside, axis=0)


TWO = discs((24, 44), (11, 13, 9), (12, 29, 9))


def test_two_discs_are_cut_where_they_are_narrow() -> None:
    cut = nc.split_touching(TWO)
    np.testing.assert_array_equal(cut > 0, TWO)
    assert cut.dtype == np.int32
    assert (cut[11, 13], cut[12, 29]) == (1, 2)
    column = np.indices(TWO.shape)[1]
    assert (cut[TWO & (column < 20)] == 1).all()
    assert (cut[TWO & (column > 22)] == 2).all()
    with nc.watch() as watched:
        middles = nc.markers_from_distance(TWO)
    assert watched.facts["n_objects"] == middles.max() == 2
    assert (middles[11, 13], middles[12, 29]) == (1, 2)
    assert not middles[~TWO].any()
    np.testing.assert_array_equal(cut[middles > 0], middles[middles > 0])


def test_a_disc_alone_stays_whole_and_depth_decides_about_a_neck() -> None:
    assert nc.split_touching(discs((24, 24), (11.5, 11.5, 9))).max() == 1
    assert nc.split_touching(TWO, depth=9.0).max() == 1  # a neck cannot be narrower than nothing
    rough = TWO & (np.random.default_rng(0).random(TWO.shape) < 0.97)
    assert nc.split_touching(rough, smoothing=1.0).max() == 2
    assert nc.split_touching(rough, smoothing=0.0, depth=0.0).max() > 10


def test_five_discs_in_a_chain_and_one_apart() -> None:
    image = discs((30, 100), *[(12, 12 + 15 * i, 9) for i in range(5)], (20, 90, 7))
    cut = nc.split_touching(image)
    assert len({int(cut[12, 12 + 15 * i]) for i in range(5)} | {int(cut[20, 90])}) == cut.max() == 6
    sizes = np.bincount(cut.ravel())
    assert sizes.argmin() == cut[20, 90]
    small = nc.split_touching(image, min_size=int(sizes.min()) + 1)
    np.testing.assert_array_equal(small, np.where(cut == cut[20, 90], 0, cut))
    edged = nc.split_touching(image[:, 8:])
    cleared = nc.split_touching(image[:, 8:], clear_border=True)
    np.testing.assert_array_equal(cleared, np.where(edged == edged[12, 4], 0, edged))


def test_different_labels_are_never_joined_nor_cut_by_each_other() -> None:
    labels = np.zeros((12, 30), np.uint16)
    labels[2:10, 2:15], labels[2:10, 15:28] = 700, 3
    cut = nc.split_touching(labels)
    assert same_partition(cut, labels)
    assert nc.split_touching(labels > 0).max() == 1
    far = nc.split_touching(labels, min_separation=1000.0)  # joins middles of one object only
    assert same_partition(far, labels)


def test_a_volume_with_coarse_planes_is_cut_as_with_fine_ones() -> None:
    fine = discs((22, 24, 44), (11, 11, 13, 9), (11, 12, 29, 9))
    coarse = fine[1::2]
    cut = nc.split_touching(coarse, spacing=(2.0, 1.0, 1.0))
    assert cut.max() == 2
    agree = cut == nc.split_touching(fine)[1::2]
    assert agree[coarse].mean() > 0.99
    stretched = np.repeat(fine, 3, axis=0)  # three thin planes for one
    found = nc.split_touching(stretched, spacing=(1.0, 3.0, 3.0), smoothing=3.0, depth=3.0)
    assert found.max() == 2
    assert (found[1::3] == nc.split_touching(fine))[fine].mean() > 0.97
    for unit in (1e-3, 7.0):
        in_unit = nc.split_touching(coarse, spacing=(2.0 * unit, unit, unit))
        np.testing.assert_array_equal(in_unit, cut)


def test_min_separation_by_hand() -> None:
    image = discs((30, 75), (14, 12, 11), (14, 29, 9), (14, 46, 10), (14, 62, 7))
    middles = nc.markers_from_distance(image)
    assert middles.max() == 4
    tops = [(14, 12), (14, 29), (14, 46), (14, 62)]  # radius 11, 9, 10, 7: 17, 17 and 16 apart
    assert [int(middles[p]) for p in tops] == [1, 2, 3, 4]
    for apart, kept in {
        16: [1, 2, 3, 4],
        16.5: [1, 2, 3, 0],
        17.5: [1, 0, 2, 0],
        35: [1, 0, 0, 2],
        60: [1, 0, 0, 0],
    }.items():
        found = nc.markers_from_distance(image, min_separation=apart)
        assert [int(found[p]) for p in tops] == kept, apart
        np.testing.assert_array_equal(found > 0, np.isin(middles, [n + 1 for n in range(4) if kept[n]]))
        turned = nc.markers_from_distance(image[:, ::-1], min_separation=apart)
        np.testing.assert_array_equal(turned > 0, (found > 0)[:, ::-1])  # the highest is not the first there
    wide = np.repeat(image, 2, axis=1)
    found = nc.markers_from_distance(wide, min_separation=16.5, spacing=(2.0, 1.0), smoothing=2.0, depth=2.0)
    assert found.max() == 4  # lengths are in edges of the smallest voxel, of which there are two now
    found = nc.markers_from_distance(wide, min_separation=33.0, spacing=(2.0, 1.0), smoothing=2.0, depth=2.0)
    assert found.max() == 3


def test_frames_that_share_their_statistics_keep_their_middles() -> None:
    frames = np.stack([discs((30, 75), (14, 12, 11), (14, 29, 9)), discs((30, 75), (14, 12, 7), (14, 60, 9))])
    settings = {"min_separation": 17.5}
    recipe = nc.Recipe([nc.Step("split_touching", settings)], nc.Selection("tyx", each="t", pooled=True))
    found = nc.execute(recipe, {"labels": frames.astype(np.uint8)}).labels
    assert found[0].max() == 1
    assert sorted(np.unique(found[1])) == [0, 2, 3]
    np.testing.assert_array_equal(found[1] > 0, frames[1])


def test_corners_connect_objects_only_if_asked() -> None:
    image = np.zeros((18, 18), bool)
    image[1:9, 1:9] = image[9:17, 9:17] = True
    assert nc.split_touching(image, min_separation=1000.0).max() == 2
    assert nc.split_touching(image, min_separation=1000.0, connectivity=2).max() == 1


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", ">i2"]
)
def test_labels_of_any_integers(dtype: str) -> None:
    labels = np.where(TWO, np.where(np.indices(TWO.shape)[0] > 15, 2, 1), 0)
    labels = labels > 0 if dtype == "bool" else labels
    expected = nc.split_touching(labels)
    np.testing.assert_array_equal(nc.split_touching(labels.astype(dtype)), expected)
    np.testing.assert_array_equal(nc.split_touching(np.asfortranarray(labels.astype(dtype))), expected)


def test_no_objects_are_not_cut() -> None:
    for method in (nc.split_touching, nc.markers_from_distance):
        found = method(np.zeros((4, 5), bool))
        assert found.dtype == np.int32
        assert not found.any()


@pytest.mark.parametrize("method", [nc.split_touching, nc.markers_from_distance])
@pytest.mark.parametrize(
    ("labels", "more", "sentence"),
    [
        pytest.param(np.ones((4, 5), int), {}, "labels cover the whole image with one label.*background", id="full"),
        pytest.param(np.ones((4, 5)), {}, "labels must hold integers, got dtype float64", id="floats"),
        pytest.param(-TWO.astype(int), {}, "labels must be from 0 to 2147483647, got -1; renumber", id="negative"),
        pytest.param(-TWO.astype(np.int8), {}, "labels must be from 0 to 2147483647, got -1; renumber", id="int8"),
        pytest.param(TWO * 2**31, {}, "labels must be from 0 to 2147483647, got 2147483648; renumber", id="large"),
        pytest.param(TWO[0], {}, r"2-D \(Y, X\) or 3-D .* got shape \(44,\)", id="1-D"),
        pytest.param(TWO, {"depth": -1.0}, "depth must be between 0 and 1000, got -1.0", id="depth"),
        pytest.param(TWO, {"spacing": (1.0,)}, "one length per axis, 2 of them", id="spacing"),
    ],
)
def test_bad_labels_are_refused(method: Any, labels: np.ndarray, more: dict[str, Any], sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        method(labels, **more)


def test_markers_of_ones_own_can_be_flooded_on_the_distance() -> None:
    y, x = np.mgrid[:21, :41]
    discs = ((y - 10) ** 2 + (x - 12) ** 2 < 90) | ((y - 10) ** 2 + (x - 28) ** 2 < 90)
    image = np.random.default_rng(0).random(discs.shape)  # which is not looked at
    middles = nc.markers_from_distance(discs)
    cut = nc.watershed(image, middles, discs, surface="distance", sigma=1.0)
    np.testing.assert_array_equal(cut, nc.split_touching(discs))
    with pytest.raises(ValueError, match="there is no mask; give one"):
        nc.watershed(image, middles, surface="distance")
    with pytest.raises(ValueError, match="no voxel is outside"):
        nc.watershed(image, middles, np.ones_like(discs), surface="distance")
