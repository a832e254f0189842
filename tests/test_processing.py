"""Filters and clean-up against SciPy and scikit-image, whole, in blocks and on dask."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage import measure

import napari_cutout as nc
from napari_cutout import _array, _plan
from napari_cutout.processing.filters import gaussian_weights, mirrored, per_axis
from napari_cutout.processing.labels import select, select_regions

from .cases import two_humps

masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=3, max_side=9))


@pytest.mark.parametrize("sigma", [0.4, 1.0, 3.7])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64", "int32"])
def test_gaussian_equals_scipy(sigma: float, dtype: str) -> None:
    image = two_humps((14, 30, 27), dtype=dtype)
    smooth = nc.gaussian(image, sigma=sigma)
    assert smooth.dtype == ("float64" if dtype in ("float64", "int32") else "float32")
    expected = ndimage.gaussian_filter(image.astype(np.float64), sigma)
    np.testing.assert_allclose(smooth, expected, rtol=1e-12 if smooth.dtype == np.float64 else 3e-6)


@pytest.mark.parametrize("step", ["gaussian", "median", "background", "gradient", "holed gradient"])
def test_blocks_do_not_show(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = two_humps((33, 40, 20), dtype="float32")
    calls: dict[str, Any] = {
        "gaussian": lambda a: nc.gaussian(a, sigma=2.0, spacing=(2, 1, 1)),
        "median": lambda a: nc.median(a, radius=1),
        "background": lambda a: nc.subtract_background(a, radius=3),
        "gradient": lambda a: nc.gradient_magnitude(a, spacing=(2, 1, 1)),
        "holed gradient": lambda a: nc.gradient_magnitude(a),
    }
    if step == "holed gradient":
        image[image > np.quantile(image, 0.95)] = np.nan
    whole = calls[step](image)
    np.testing.assert_array_equal(calls[step](da.from_array(image, (7, 12, 20))).compute(), whole)
    monkeypatch.setattr(_plan, "BLOCK_VOXELS", 1000)
    np.testing.assert_array_equal(calls[step](image), whole)


def test_gaussian_leaves_nan_where_it_is() -> None:
    image = two_humps((20, 24), dtype="float64")
    image[5, 6] = np.nan
    smooth = nc.gaussian(image, sigma=1.5)
    assert np.isnan(smooth).sum() == 1
    number = ~np.isnan(image)
    share = ndimage.gaussian_filter(number.astype(float), 1.5)
    expected = ndimage.gaussian_filter(np.where(number, image, 0), 1.5)[number] / share[number]
    np.testing.assert_allclose(smooth[number], expected, rtol=1e-12)
    np.testing.assert_array_equal(nc.gaussian(da.from_array(image, (6, 9)), sigma=1.5).compute(), smooth)


def test_weights_sum_to_one_and_zero_is_off() -> None:
    weights = gaussian_weights(2.3)
    assert len(weights) == 10
    assert weights[0] + 2 * sum(weights[1:]) == pytest.approx(1.0, abs=1e-15)
    image = two_humps((9, 9), dtype="float32")
    np.testing.assert_array_equal(nc.gaussian(image, sigma=0), image)


def test_lengths_are_in_edges_of_the_smallest_voxel() -> None:
    assert per_axis(6.0, (3.0, 1.0, 1.0), 3) == (2.0, 6.0, 6.0)
    assert per_axis(6.0, (0.3, 0.1, 0.1), 3) == per_axis(6.0, (3e-7, 1e-7, 1e-7), 3)  # um or m
    assert per_axis(6.0, None, 2) == (6.0, 6.0)
    image = two_humps((9, 30, 30), dtype="float32")
    expected = ndimage.gaussian_filter(image.astype(np.float64), (0.5, 2, 2))
    np.testing.assert_allclose(nc.gaussian(image, sigma=2.0, spacing=(4, 1, 1)), expected, rtol=1e-5)


@given(st.integers(1, 7), st.integers(0, 20))
def test_mirrored_is_numpy_pad(n: int, reach: int) -> None:
    row = np.arange(n)
    np.testing.assert_array_equal(mirrored(row, reach, 0, edge=True), np.pad(row, reach, mode="symmetric"))
    np.testing.assert_array_equal(mirrored(row, reach, 0, edge=False), np.pad(row, reach, mode="reflect"))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float16"])
def test_median_equals_scipy(dtype: str) -> None:
    image = two_humps((8, 20, 20), dtype="uint8").astype(dtype)
    found = nc.median(image, radius=2, spacing=(2, 1, 1))
    assert found.dtype == image.dtype
    np.testing.assert_array_equal(found, ndimage.median_filter(image.astype(np.float64), (3, 5, 5), mode="reflect"))


@pytest.mark.parametrize("dark", [False, True])
def test_background_goes_and_objects_stay(dark: bool) -> None:
    y, x = np.mgrid[:80, :80]
    light = 100 + x * 2.0 + y
    spots = ((y % 20 - 10) ** 2 + (x % 20 - 10) ** 2 < 16) * 50.0
    flat = nc.subtract_background(light - spots if dark else light + spots, radius=10, dark=dark)
    inner = np.s_[20:60, 20:60]
    contrast = flat[inner][spots[inner] > 0].mean() - flat[inner][spots[inner] == 0].mean()
    assert contrast == pytest.approx(-50 if dark else 50, abs=5)
    assert abs(flat[inner][spots[inner] == 0].mean()) < 3
    assert flat[inner][spots[inner] == 0].std() < 0.15 * light[inner].std()


@pytest.mark.parametrize(
    "call",
    [lambda a: nc.median(a, radius=1), lambda a: nc.subtract_background(a, radius=2)],
    ids=["median", "background"],
)
def test_rank_filters_refuse_nan(call: Any) -> None:
    image = np.ones((5, 5))
    image[2, 2] = np.nan
    with pytest.raises(ValueError, match=r"image holds NaN, and .* has no rule for it; replace NaN first"):
        call(image)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: nc.gaussian(np.ones((4, 4)), sigma=-1), "sigma must be between 0 and 1000, got -1"),
        (lambda: nc.median(np.ones((4, 4)), radius=99), "radius must be between 0 and 50, got 99"),
        (lambda: nc.grey(np.ones((4, 4))), r"grey needs a channel axis, got shape \(4, 4\)"),
        (lambda: nc.components(np.ones((4, 4))), "mask must hold booleans, got dtype float64"),
        (lambda: nc.components(np.ones((4, 4), bool), connectivity=4), "connectivity must be between 1 and 3, got 4"),
        (lambda: nc.remove_small(np.ones((4, 4), bool), min_size=-1), "min_size must be between 0 and"),
    ],
    ids=["sigma", "radius", "grey", "float-mask", "connectivity", "min_size"],
)
def test_bad_arguments_are_refused(call: Any, sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()


def slope_by_definition(image: np.ndarray, spacing: tuple[float, ...] | None) -> np.ndarray:
    """Return the length of the central differences, from NumPy's padding of the whole, in float64."""
    steps = np.ones(image.ndim) if spacing is None else np.asarray(spacing) / min(spacing)
    wide = np.pad(image.astype(np.float64), 1, mode="symmetric")
    middle = tuple(slice(1, -1) for _ in image.shape)
    changes = [(np.roll(wide, -1, a)[middle] - np.roll(wide, 1, a)[middle]) / (2 * s) for a, s in enumerate(steps)]
    return np.sqrt(np.sum(np.square(changes), axis=0))


@pytest.mark.parametrize("spacing", [None, (3.0, 1.5, 0.5)], ids=["even", "spacing"])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32", "float16", "float32", "float64"])
def test_gradient_is_the_length_of_central_differences(dtype: str, spacing: tuple[float, ...] | None) -> None:
    image = two_humps((9, 14, 11), dtype="int8" if dtype == "int8" else "uint8").astype(dtype)
    found = nc.gradient_magnitude(image, spacing=spacing)
    assert found.dtype == ("float64" if dtype in ("float64", "int32") else "float32")
    np.testing.assert_allclose(found, slope_by_definition(image, spacing), rtol=3e-7, atol=1e-6)
    steps = np.ones(3) if spacing is None else np.asarray(spacing) / 0.5
    inner = np.sqrt(sum(g**2 for g in np.gradient(image.astype(float), *steps)))[1:-1, 1:-1, 1:-1]
    np.testing.assert_allclose(found[1:-1, 1:-1, 1:-1], inner, rtol=3e-7, atol=1e-6)


def test_gradient_of_a_ramp_is_its_slope_in_the_unit_of_the_smallest_edge() -> None:
    z, _, x = np.indices((6, 7, 8))
    assert np.unique(nc.gradient_magnitude(3.0 * x)[..., 1:-1]).tolist() == [3.0]
    assert np.unique(nc.gradient_magnitude(6.0 * z, spacing=(2e-3, 1e-3, 1e-3))[1:-1]).tolist() == [3.0]
    assert nc.gradient_magnitude(3.0 * x)[0, 0].tolist() == [1.5, 3, 3, 3, 3, 3, 3, 1.5]  # half beside the mirror


def test_gradient_beside_what_is_not_finite() -> None:
    image = np.array([[1.0, 3.0, np.nan, 4.0, 8.0, np.inf, np.inf, np.inf, -np.inf]])
    found = nc.gradient_magnitude(image)
    assert found[0, [0, 1, 3]].tolist() == [1.0, 1.0, 2.0]  # a neighbour that is NaN counts as equal
    np.testing.assert_array_equal(np.isnan(found), np.isnan(image))
    assert found[0, 4:].tolist() == [np.inf, np.inf, 0.0, np.inf, np.inf]
    holed = two_humps((9, 12), dtype="float32")
    holed[3, 4] = holed[7, 2] = np.nan
    np.testing.assert_array_equal(np.isnan(nc.gradient_magnitude(holed)), np.isnan(holed))
    huge = np.array([[0, 3e38, -3e38]], np.float32)
    assert nc.gradient_magnitude(huge)[0, 1:].tolist() == [np.inf, np.inf]


def test_grey_averages_colours_and_drops_alpha() -> None:
    image = np.zeros((5, 6, 4), np.uint8)
    image[..., 0], image[..., 1], image[..., 2], image[..., 3] = 30, 60, 90, 255
    assert np.unique(nc.grey(image)).tolist() == [60.0]
    assert np.unique(nc.grey(np.moveaxis(image, -1, 0), channel_axis=0)).tolist() == [60.0]


# Clean-up --------------------------------------------------------------------------------------------


@given(masks, st.integers(1, 3))
def test_components_are_those_of_scikit_image_in_scan_order(mask: np.ndarray, connectivity: int) -> None:
    labels = nc.components(mask, connectivity=connectivity)
    assert labels.dtype == np.int32
    expected = measure.label(mask, connectivity=min(connectivity, mask.ndim))
    first = {label: i for i, label in reversed(list(enumerate(labels.ravel().tolist()))) if label}
    assert sorted(first) == list(range(1, len(first) + 1))
    assert sorted(first, key=lambda label: first[label]) == sorted(first)
    np.testing.assert_array_equal(labels, expected)


@given(masks, st.integers(1, 3))
def test_filled_holes_are_those_of_scipy(mask: np.ndarray, connectivity: int) -> None:
    structure = ndimage.generate_binary_structure(mask.ndim, min(connectivity, mask.ndim))
    filled = nc.fill_holes(mask, connectivity=connectivity)
    thick = np.array(mask.shape) > 1
    if thick.all():
        np.testing.assert_array_equal(filled, ndimage.binary_fill_holes(mask, structure))
    np.testing.assert_array_equal(nc.fill_holes(filled, connectivity=connectivity), filled)


def test_a_plane_of_a_volume_is_filled_like_an_image() -> None:
    ring = np.zeros((1, 7, 7), bool)
    ring[0, 1:6, 1:6] = True
    ring[0, 3, 3] = False
    assert nc.fill_holes(ring)[0, 3, 3]


@given(masks, st.integers(1, 3), st.integers(0, 12), st.booleans())
def test_selected_objects_by_definition(mask: np.ndarray, connectivity: int, min_size: int, inside: bool) -> None:
    labels = nc.components(mask, connectivity=connectivity)
    rim = np.ones(mask.shape, bool)
    rim[tuple(slice(1, -1) if n > 1 else slice(None) for n in mask.shape)] = False
    expected = np.zeros(mask.shape, np.int32)
    for label in range(1, labels.max() + 1):
        one = labels == label
        if one.sum() >= min_size and not (inside and (one & rim).any()):
            expected[one] = expected.max() + 1
    found = select(mask, connectivity=connectivity, min_size=min_size, inside=inside)
    np.testing.assert_array_equal(found, expected)


@given(masks, st.integers(1, 3), st.integers(0, 6), st.booleans(), st.data())
def test_dask_components_are_those_of_the_whole(
    mask: np.ndarray, connectivity: int, min_size: int, inside: bool, data: st.DataObject
) -> None:
    chunks = tuple(data.draw(st.integers(1, n)) for n in mask.shape)
    lazy = da.from_array(mask, chunks)
    found = select(lazy, connectivity=connectivity, min_size=min_size, inside=inside).compute(scheduler="sync")
    np.testing.assert_array_equal(found, select(mask, connectivity=connectivity, min_size=min_size, inside=inside))
    holes = nc.fill_holes(lazy, connectivity=connectivity).compute(scheduler="sync")
    np.testing.assert_array_equal(holes, nc.fill_holes(mask, connectivity=connectivity))


@pytest.mark.parametrize("connectivity", [1, 2, 3])
@pytest.mark.parametrize("seed", range(6))
def test_objects_join_across_faces_edges_and_corners_of_blocks(connectivity: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((6, 7, 8)) < 0.12 * (4 - connectivity) ** 0.5
    lazy = nc.components(da.from_array(mask, (2, 3, 3)), connectivity=connectivity)
    np.testing.assert_array_equal(lazy.compute(scheduler="sync"), nc.components(mask, connectivity=connectivity))


@pytest.mark.parametrize("connectivity", [1, 2, 3])
@pytest.mark.parametrize("step", [(0, 0, 1), (0, 1, 1), (0, 1, -1), (1, 1, 1), (1, -1, 1), (-1, 1, 1), (1, 0, -1)])
def test_two_voxels_on_both_sides_of_a_block_face(connectivity: int, step: tuple[int, ...]) -> None:
    joined = sum(map(abs, step)) <= connectivity
    for axis in range(3):  # blocks meet between 1 and 2 along one axis only
        if not step[axis]:
            continue
        mask = np.zeros((4, 4, 4), bool)
        here = tuple(1 if s >= 0 else 2 for s in step)
        mask[here] = mask[tuple(h + s for h, s in zip(here, step, strict=True))] = True
        chunks = tuple(2 if a == axis else 4 for a in range(3))
        labels = nc.components(da.from_array(mask, chunks), connectivity=connectivity).compute(scheduler="sync")
        assert labels.max() == (1 if joined else 2)


def regions_by_hand(labels: np.ndarray, min_size: int, inside: bool) -> np.ndarray:
    """Return the regions that are kept, one after the other."""
    rim = np.ones(labels.shape, bool)
    rim[tuple(slice(1, -1) if n > 1 else slice(None) for n in labels.shape)] = False
    kept = np.zeros_like(labels)
    for label in np.unique(labels[labels != 0]):
        one = labels == label
        if one.sum() >= min_size and not (inside and (one & rim).any()):
            kept[one] = label
    return kept


@given(
    hnp.arrays(
        np.int32, hnp.array_shapes(min_dims=2, max_dims=3, max_side=7), elements=st.sampled_from([0, 1, 5, 2**31 - 1])
    ),
    st.integers(0, 9),
    st.booleans(),
    st.data(),
)
def test_regions_that_are_kept_keep_their_labels(
    labels: np.ndarray, min_size: int, inside: bool, data: st.DataObject
) -> None:
    expected = regions_by_hand(labels, min_size, inside)
    np.testing.assert_array_equal(select_regions(labels, min_size=min_size, inside=inside), expected)
    lazy = da.from_array(labels, tuple(data.draw(st.integers(1, n)) for n in labels.shape))
    found = select_regions(lazy, min_size=min_size, inside=inside)
    assert isinstance(found, da.Array)
    np.testing.assert_array_equal(found.compute(scheduler="sync"), expected)


def test_regions_are_counted_over_all_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.random.default_rng(0).integers(0, 40, (30, 21, 3)).astype(np.int32)
    middle = int(np.median(np.bincount(labels.ravel())))
    expected = regions_by_hand(labels, middle, False)
    assert 5 < len(np.unique(expected)) < 36
    monkeypatch.setattr(_plan, "BLOCK_VOXELS", 64)
    np.testing.assert_array_equal(select_regions(labels, min_size=middle), expected)


@pytest.mark.parametrize("more", [{}, {"min_size": 9}, {"inside": True}, {"min_size": 1000}], ids=str)
def test_every_library_keeps_the_same_regions(more: dict[str, Any], to_library: Any) -> None:
    labels = nc.components(two_humps((30, 33)) > 12_000).astype(np.int32)
    given = to_library(labels)
    found = select_regions(given, **more)
    assert type(found) is type(given)
    assert found.device == given.device
    np.testing.assert_array_equal(_array.to_numpy(found), select_regions(labels, **more))
    np.testing.assert_array_equal(_array.to_numpy(given), labels)


def test_regions_of_frames_that_share_their_statistics_are_each_their_own() -> None:
    image = np.full((2, 3, 9), 9, np.uint8)
    markers = np.zeros(image.shape, np.uint8)
    markers[0, 1, 1], markers[0, 1, 8], markers[1, 1, 0], markers[1, 1, 7] = 1, 2, 1, 2
    frames = nc.Selection("tyx", each="t", pooled=True)
    step = nc.Step("watershed", {"min_size": 13}, {"markers": "markers"})
    result = nc.execute(nc.Recipe([step], frames), {"image": image, "markers": markers})
    each = [nc.watershed(i, m, min_size=13) for i, m in zip(image, markers, strict=True)]
    assert not np.array_equal(*each)
    for frame, expected in zip(result.labels, each, strict=True):
        np.testing.assert_array_equal(frame > 0, expected > 0)


def test_holes_that_the_mask_leaves_out_stay_empty() -> None:
    image = np.full((7, 7), 9.0)
    image[2, 2] = image[4, 4] = 0.0
    mask = np.ones((7, 7), bool)
    mask[4, 4] = False
    image[0] = image[-1] = image[:, 0] = image[:, -1] = 0.0
    labels = nc.threshold_at(image, mask, value=5.0, fill_holes=True)
    assert labels[2, 2] == 1
    assert labels[4, 4] == 0


def test_steps_by_hand() -> None:
    mask = np.array(
        [
            [1, 1, 0, 0, 0, 0, 0],
            [0, 0, 0, 1, 1, 1, 0],
            [0, 0, 0, 1, 0, 1, 0],
            [0, 1, 0, 1, 1, 1, 0],
            [0, 0, 0, 0, 0, 0, 0],
        ],
        bool,
    )
    assert nc.components(mask)[1].tolist() == [0, 0, 0, 2, 2, 2, 0]
    assert nc.fill_holes(mask)[2, 4]
    assert nc.remove_small(mask, min_size=2).sum() == 10
    assert nc.clear_border(mask).sum() == 9
