"""Global thresholds against scikit-image, brute force, and answers worked out by hand."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import ndimage
from skimage import data, filters

import napari_cutout as nc
from napari_cutout import catalog
from napari_cutout.methods.threshold import THRESHOLDS, falling_points

from .cases import two_humps

RULES = list(THRESHOLDS)
PICTURES = ["coins", "camera", "page", "moon", "cell", "text", "brick", "grass", "gravel"]


def sixteen_bits(seed: int) -> np.ndarray:
    """Return nuclei-like blobs on a camera's offset with about 1,100 grey levels."""
    rng = np.random.default_rng(seed)
    blobs = ndimage.gaussian_filter(rng.random((24, 96, 96)), 3) - 0.5
    return rng.poisson(100 + 400 * np.clip(blobs * 40, 0, 2)).astype(np.uint16)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("picture", PICTURES)
def test_labels_equal_scikit_image_on_pictures(rule: str, picture: str) -> None:
    image = getattr(data, picture)()
    try:
        value = getattr(filters, f"threshold_{rule}")(image)
    except RuntimeError:  # minimum finds no two maxima
        with pytest.raises(ValueError, match=r"humps? after smoothing, and minimum needs two"):
            nc.threshold(image, method=rule)
        return
    np.testing.assert_array_equal(nc.threshold(image, method=rule), image > value)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", ["uint16", "int16", "int32", "uint64"])
def test_labels_equal_scikit_image_on_wide_integers(rule: str, kind: str) -> None:
    image = (two_humps((40, 50), dtype="uint8").astype(np.int64) * 9 - (700 if kind[0] == "i" else 0)).astype(kind)
    value = getattr(filters, f"threshold_{rule}")(image.astype(np.int64))  # NumPy before 2.3 counts no uint64
    np.testing.assert_array_equal(nc.threshold(image, method=rule), image > value)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rule", sorted(set(RULES) - {"minimum"}))  # scikit-image's takes minutes on 1,100 levels
def test_labels_equal_scikit_image_on_a_16_bit_volume(rule: str, seed: int) -> None:
    image = sixteen_bits(seed)
    value = getattr(filters, f"threshold_{rule}")(image.astype(np.int64))  # NumPy before 2.3 counts no uint64
    np.testing.assert_array_equal(nc.threshold(image, method=rule), image > value)


@pytest.mark.parametrize("rule", RULES)
def test_labels_equal_scikit_image_on_real_nuclei(rule: str, data_dir: Path) -> None:
    compared = 0
    with np.load(data_dir / "dsb2018_fluo.npz") as images:
        for key in [f"img_{i:03d}" for i in range(0, 64, 4)]:
            image = images[key]
            try:
                value = getattr(filters, f"threshold_{rule}")(image)
            except RuntimeError:
                assert rule == "minimum"
                continue
            compared += 1
            np.testing.assert_array_equal(nc.threshold(image, method=rule), image > value, err_msg=key)
    assert compared >= 10


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("picture", PICTURES)
def test_multi_otsu_equals_scikit_image(n_classes: int, picture: str) -> None:
    image = getattr(data, picture)()[::2, ::2]
    if len(np.unique(image)) < n_classes:
        pytest.skip(f"{picture} has too few grey levels")
    expected = np.digitize(image, filters.threshold_multiotsu(image, n_classes), right=True) + 1
    np.testing.assert_array_equal(nc.multi_otsu(image, n_classes=n_classes), expected)


@pytest.mark.parametrize("picture", PICTURES)
def test_multi_otsu_of_four_classes_is_as_good_as_scikit_image_or_better(picture: str) -> None:
    image = getattr(data, picture)()[::2, ::2]
    expected = np.digitize(image, filters.threshold_multiotsu(image, 4), right=True) + 1
    found = nc.multi_otsu(image, n_classes=4)
    # scikit-image adds in float32 and misses the optimum of "camera" by one grey level.
    assert inner_variance(image.astype(float), found) <= inner_variance(image.astype(float), expected) + 1e-6
    if picture != "camera":
        np.testing.assert_array_equal(found, expected)


def inner_variance(image: np.ndarray, labels: np.ndarray) -> float:
    return sum(float(((image[labels == c] - image[labels == c].mean()) ** 2).sum()) for c in np.unique(labels))


@given(st.lists(st.integers(0, 40), min_size=8, max_size=60), st.integers(2, 5))
@example([0, 0, 1, 1, 2, 2, 3, 3], 3)
def test_multi_otsu_is_the_global_optimum(grey: list[int], n_classes: int) -> None:
    image = np.array([grey, grey], np.uint8)
    levels = np.unique(image)
    if len(levels) < n_classes:
        with pytest.raises(ValueError, match=f"at least {n_classes} grey levels"):
            nc.multi_otsu(image, n_classes=n_classes)
        return
    best = min(
        inner_variance(image.astype(float), np.digitize(image, cuts, right=True))
        for cuts in itertools.combinations(levels[:-1], n_classes - 1)
    )
    found = nc.multi_otsu(image, n_classes=n_classes)
    assert len(np.unique(found)) == n_classes
    assert inner_variance(image.astype(float), found) == pytest.approx(best, abs=1e-9)


def test_multi_otsu_takes_the_lowest_of_equal_cuts() -> None:
    # 0 1 2 with one voxel each: {0}{1,2} and {0,1}{2} leave the same variance inside, 1/2.
    assert nc.multi_otsu(np.array([[0, 1, 2]], np.uint8), n_classes=2).tolist() == [[1, 2, 2]]


@pytest.mark.parametrize("n_classes", [2, 3, 7, 40])
def test_multi_otsu_on_65536_bins(n_classes: int) -> None:
    image = np.random.default_rng(0).integers(0, 2**16, (64, 64, 33)).astype(np.uint16)
    labels = nc.multi_otsu(image, n_classes=n_classes)
    steps = np.array([image[labels == c].max() for c in range(1, n_classes)])
    even = 2**16 * np.arange(1, n_classes) / n_classes  # a flat histogram is cut evenly
    assert np.abs(steps - even).max() < 2**16 * 0.02


def test_otsu_is_multi_otsu_of_two_classes() -> None:
    image = sixteen_bits(5)
    np.testing.assert_array_equal(nc.threshold(image) + 1, nc.multi_otsu(image, n_classes=2))


@pytest.mark.parametrize("rule", sorted(set(RULES) - {"li"}))
@given(scale=st.sampled_from([1, 2, 3, 7]), shift=st.integers(0, 500))
def test_linear_maps_of_the_grey_scale_leave_the_mask(rule: str, scale: int, shift: int) -> None:
    image = two_humps((24, 24), seed=1, dtype="uint8").astype(np.int32)
    if rule in ("triangle", "isodata", "minimum") and scale > 1:
        scale = 1  # these look at neighbouring bins, so gaps between grey levels matter; scikit-image's do too
    expected = nc.threshold(image, method=rule)
    np.testing.assert_array_equal(nc.threshold(image * scale + shift, method=rule), expected)


@pytest.mark.parametrize("scale", [2.0**-30, 1.0, 2.0**40])
@pytest.mark.parametrize("rule", RULES)
def test_floats_of_any_scale_are_cut_alike(rule: str, scale: float) -> None:
    image = two_humps((40, 40), dtype="float32")
    expected = nc.threshold(image, method=rule)
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(nc.threshold((image * scale).astype(np.float64), method=rule), expected)


@pytest.mark.parametrize("rule", ["otsu", "li", "yen", "isodata", "mean"])
def test_float_thresholds_are_close_to_scikit_image(rule: str) -> None:
    image = two_humps((64, 64), dtype="float32").astype(np.float64)
    with nc.watch() as seen:
        nc.threshold(image, method=rule)
    arguments = {} if rule in ("li", "mean") else {"nbins": 65_536}
    expected = getattr(filters, f"threshold_{rule}")(image, **arguments)
    assert seen.facts["threshold"] == pytest.approx(expected, abs=np.ptp(image) * 2e-3)


def test_dark_objects_are_the_rest() -> None:
    image = data.coins()
    for rule in RULES:
        bright = nc.threshold(image, method=rule)
        np.testing.assert_array_equal(nc.threshold(image, method=rule, objects="dark"), 1 - bright)


@pytest.mark.parametrize("rule", RULES)
def test_bins_are_not_finer_than_floats(rule: str) -> None:
    image = 1e12 + two_humps((50, 50), dtype="uint8").astype(np.float64) / 100
    labels = nc.threshold(image, method=rule)
    assert 0 < labels.mean() < 1


def test_wide_integers_are_counted_to_the_limits_of_int64() -> None:
    info = np.iinfo(np.int64)
    image = np.array([[info.min, info.min + 5, info.max - 9, info.max]])
    assert nc.threshold(image).tolist() == [[0, 0, 1, 1]]
    assert nc.histogram(image).total == 4
    assert nc.threshold(np.array([[2**53 - 3, 2**53 - 2, 2**53 - 1, 2**53]])).sum() == 2


def test_a_hot_pixel_does_not_blind_the_bins() -> None:
    image = two_humps((64, 64), dtype="float32").astype(np.float64)
    expected = nc.threshold(image)
    image[3, 3] = 1e12
    with nc.watch() as seen:
        labels = nc.threshold(image)
    assert "quantiles" in seen.facts["histogram"]
    assert labels[3, 3] == 1
    labels[3, 3] = expected[3, 3]
    assert (labels != expected).mean() < 0.002
    lazy = nc.threshold(da.from_array(image, (20, 30))).compute(scheduler="sync")
    lazy[3, 3] = expected[3, 3]
    np.testing.assert_array_equal(lazy, labels)


def test_a_range_too_wide_for_bins_is_refused() -> None:
    with pytest.raises(ValueError, match="which float64 cannot divide into 65536 bins; rescale"):
        nc.threshold(np.array([[-1e308, 1e308, 0.0]]))


def test_infinite_voxels_are_not_counted_but_have_a_side() -> None:
    image = two_humps((20, 20), dtype="float32")
    image[0, 0], image[0, 1] = np.inf, -np.inf
    labels = nc.threshold(image)
    assert labels[0, :2].tolist() == [1, 0]
    mask = np.isfinite(image)
    finite = np.where(mask, image, 0).astype(np.float32)
    np.testing.assert_array_equal(labels[mask], nc.threshold(finite, mask)[mask])


@pytest.mark.parametrize(
    ("dtype", "value", "bright"),
    [
        ("uint8", 2.0, [0, 0, 0, 1]),  # a voxel equal to the value is not above it
        ("uint8", 2.5, [0, 0, 0, 1]),
        ("uint8", -1.0, [1, 1, 1, 1]),
        ("uint8", 1e30, [0, 0, 0, 0]),
        ("uint8", 255.0, [0, 0, 0, 0]),
        ("int64", -1e300, [1, 1, 1, 1]),
        ("float32", 2.0, [0, 0, 0, 1]),
        ("float32", 2.9999999999, [0, 0, 0, 1]),
        ("float32", 3.0, [0, 0, 0, 0]),
        ("float16", 1.9999, [0, 0, 1, 1]),
    ],
)
def test_threshold_at_compares_exactly(dtype: str, value: float, bright: list[int]) -> None:
    image = np.array([[0, 1, 2, 3]], dtype)
    assert nc.threshold_at(image, value=value).tolist() == [bright]
    assert nc.threshold_at(image, value=value, objects="dark").tolist() == [[1 - b for b in bright]]


@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=30),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_float32_is_compared_as_real_numbers(grey: list[float], value: float) -> None:
    image = np.array([grey], np.float32)
    expected = image.astype(np.float64) > value
    np.testing.assert_array_equal(nc.threshold_at(image, value=value), expected)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "high", None])
def test_threshold_at_refuses_what_is_no_number(value: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="value must be"):
        nc.threshold_at(np.zeros((2, 2)), value=value)


def test_classes_at_by_hand() -> None:
    image = np.array([[0, 10, 11, 20], [21, 255, 10, 0]], np.uint8)
    assert nc.classes_at(image, values=(10.0, 20.0)).tolist() == [[1, 1, 2, 2], [3, 3, 1, 1]]
    assert nc.classes_at(image, values=[10, 20.5, 300]).tolist() == [[1, 1, 2, 2], [3, 3, 1, 1]]
    mask = image > 0
    assert nc.classes_at(image, mask, values=(-5.0,)).tolist() == [[0, 2, 2, 2], [2, 2, 2, 0]]


def test_classes_at_leaves_nan_out_and_classifies_infinity() -> None:
    image = np.array([[np.nan, -np.inf, 1.0, np.inf]], np.float32)
    assert nc.classes_at(image, values=(0.0, 1.0)).tolist() == [[0, 1, 2, 3]]


@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=30),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5, unique=True),
)
def test_classes_at_counts_the_values_below(grey: list[float], values: list[float]) -> None:
    expected = [1 + sum(g > v for v in values) for g in grey]
    labels = nc.classes_at(np.array([grey], np.float32), values=tuple(sorted(values)))
    assert labels.tolist() == [expected]


def test_classes_at_repeats_multi_otsu() -> None:
    with nc.watch() as seen:
        labels = nc.multi_otsu(data.coins(), n_classes=4)
    again = nc.classes_at(data.coins(), values=tuple(seen.facts["thresholds"]))
    np.testing.assert_array_equal(again, labels)


def test_what_is_removed_from_the_objects_of_classes_at_goes_to_the_next_class() -> None:
    image = np.array([[0, 9, 0, 9, 9]], np.uint8)
    assert nc.classes_at(image, values=(5.0,), min_size=2).tolist() == [[1, 1, 1, 2, 2]]
    assert nc.classes_at(image, values=(5.0,), min_size=2, objects="dark").tolist() == [[2, 2, 2, 2, 2]]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ((), "values must have 1 to 63 entries, got 0"),
        (tuple(range(64)), "values must have 1 to 63 entries, got 64"),
        ((2.0, 1.0), r"values must rise, each greater than the one before, got \(2.0, 1.0\); sort them"),
        ((1.0, 1.0), "values must rise"),
        ((1.0, float("nan")), "every entry of values must be a finite number, got nan"),
        ((float("-inf"),), "every entry of values must be a finite number, got -inf"),
        ((1.0, "2"), "every entry of values must be of type float, got '2' of type str"),
        (3.0, "values must be a tuple of numbers, got 3.0 of type float"),
        (None, "values must be a tuple of numbers, got None"),
    ],
    ids=str,
)
def test_classes_at_refuses_values_that_make_no_classes(values: Any, sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        nc.classes_at(np.zeros((2, 2)), values=values)


def test_grey_levels_are_marked_among_the_settings() -> None:
    marked = {m.name: [p.name for p in m.settings if p.grey_level] for m in catalog.methods().values()}
    assert marked["threshold_at"] == ["value"]
    assert marked["classes_at"] == ["values"]
    assert marked["hysteresis"] == ["low", "high"]
    assert marked["threshold"] == marked["multi_otsu"] == []


@given(st.integers(0, 2**32 - 1), st.sampled_from(["bright", "dark"]))
def test_hysteresis_equals_scikit_image(seed: int, objects: Any) -> None:
    image = np.random.default_rng(seed).integers(0, 20, (9, 11)).astype(np.uint8)
    labels = nc.hysteresis(image, low=8, high=14, objects=objects)
    if objects == "dark":  # v <= high that reach v <= low is -v >= -high: above -15, reaching above -9
        image = -image.astype(np.int16)
        expected = filters.apply_hysteresis_threshold(image, -15, -9)
    else:
        expected = filters.apply_hysteresis_threshold(image, 8, 14)
    np.testing.assert_array_equal(labels, expected)


def test_hysteresis_finds_its_levels() -> None:
    image = data.coins()
    with nc.watch() as seen:
        labels = nc.hysteresis(image)
    low, high = filters.threshold_multiotsu(image)
    assert (seen.facts["low"], seen.facts["high"]) == (low, high)
    np.testing.assert_array_equal(labels, filters.apply_hysteresis_threshold(image, low, high))


@pytest.mark.parametrize("levels", [{"low": 5.0, "high": 4.0}, {"low": 250.0}, {"high": 1.0}])
def test_hysteresis_refuses_crossed_levels(levels: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="low must not exceed high, got low="):
        nc.hysteresis(data.coins(), **levels)


def test_minimum_says_when_there_are_no_two_humps() -> None:
    image = np.repeat(np.arange(100, dtype=np.uint8), 100).reshape(100, 100)
    with pytest.raises(ValueError, match=r"humps? after smoothing, and minimum needs two; choose another method"):
        nc.threshold(image, method="minimum")


def test_minimum_survives_many_levels() -> None:
    image = two_humps((60, 60), dtype="uint16")  # 4,000 to 22,000: too many bins to smooth one by one
    labels = nc.threshold(image, method="minimum")
    np.testing.assert_array_equal(labels, image > 10_000)


@pytest.mark.parametrize(
    ("counts", "points"),
    [([1, 3, 2, 5, 1], [1, 3]), ([1, 3, 3, 2], [2]), ([3, 2, 1], [0]), ([1, 2, 3], []), ([2, 2], []), ([1], [])],
)
def test_falling_points(counts: list[int], points: list[int]) -> None:
    assert falling_points(np.array(counts, float)).tolist() == points


def test_facts_are_kept() -> None:
    with nc.watch() as seen:
        nc.threshold(np.array([[10, 12, 90], [11, 95, 13]], np.uint8))
    assert seen.facts == {"method": "threshold", "threshold": 13.0}


def test_isodata_by_hand() -> None:
    # Means 0 and 2: half-way is 1, an empty bin, whose distance from half-way is exactly 0.
    with nc.watch() as seen:
        labels = nc.threshold(np.array([[0, 0, 2, 2]], np.uint8), method="isodata")
    assert seen.facts["threshold"] == 1.0
    assert labels.tolist() == [[0, 0, 1, 1]]
