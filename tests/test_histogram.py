"""The histogram, its peaks and valleys, and back-projection."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import napari_cutout as nc
from napari_cutout.methods._grey_levels import N_BINS, Cuts, Histogram, comparable

from .cases import two_humps


def three_humps(seed: int = 0) -> np.ndarray:
    """Return a strip with 60 % of its voxels about 50, 30 % about 120 and 10 % about 200."""
    rng = np.random.default_rng(seed)
    means = np.repeat([50, 120, 200], [6000, 3000, 1000])
    return rng.normal(means, 8).clip(0, 255).astype(np.uint8).reshape(100, 100)


@given(hnp.arrays(np.int16, hnp.array_shapes(min_dims=2, max_dims=3), elements=st.integers(-300, 300)))
def test_integers_are_counted_one_by_one(image: np.ndarray) -> None:
    found = nc.histogram(image)
    values, counts = np.unique(image, return_counts=True)
    assert found.exact
    np.testing.assert_array_equal(found.values, np.arange(values[0], values[-1] + 1))
    np.testing.assert_array_equal(found.values[found.counts > 0], values)
    np.testing.assert_array_equal(found.counts[found.counts > 0], counts)
    assert found.total == image.size


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint32"])
def test_wide_images_have_equal_bins(dtype: str) -> None:
    rng = np.random.default_rng(0)
    image = (rng.random((30, 40)) * 1e7).astype(dtype)
    found = nc.histogram(image)
    low, high = float(image.min()), float(image.max())
    counts, edges = np.histogram(image.astype(np.float64), bins=N_BINS, range=(low, high))
    assert not found.exact
    assert found.total == image.size
    np.testing.assert_allclose(found.edges[[0, -1]], edges[[1, -1]])
    differing = np.flatnonzero(found.counts != counts)
    assert len(differing) <= 2  # numpy corrects bins by the rounded edges, we do not


def test_mask_nan_and_infinity_are_left_out() -> None:
    image = np.array([[1, 2, np.nan], [np.inf, 4, -np.inf]])
    mask = np.array([[1, 1, 1], [1, 0, 1]])
    found = nc.histogram(image, mask)
    assert found.total == 2
    assert found.edges[-1] == 2.0


def test_histogram_refuses_dask_and_shapes() -> None:
    import dask.array as da

    with pytest.raises(TypeError, match=r"array in memory, got a dask array; call .compute\(\)"):
        nc.histogram(da.zeros((4, 4)))
    with pytest.raises(ValueError, match="mask must have the shape of image"):
        nc.histogram(np.zeros((4, 4)), np.ones((3, 3), bool))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=2000), st.integers(1, 300))
def test_rebinning_keeps_the_voxels_and_the_order(counts: list[int], n_bins: int) -> None:
    counts = [*counts, 1]
    values = np.arange(len(counts), dtype=float)
    fine = Histogram(np.array(counts), values, values)
    coarse = fine.rebinned(n_bins)
    assert coarse.total == fine.total
    assert 1 <= len(coarse.counts) <= min(len(counts), n_bins)
    assert len(coarse.counts) == min(len(counts), n_bins) or (coarse.narrowed and len(coarse.counts) > 1)
    assert coarse.edges[-1] == fine.edges[-1] or coarse.narrowed
    if not coarse.narrowed:
        for count, edge, before in zip(coarse.counts, coarse.edges, [-1.0, *coarse.edges[:-1]], strict=True):
            assert count == fine.counts[(fine.edges > before) & (fine.edges <= edge)].sum()


def test_rebinning_ignores_a_hot_pixel() -> None:
    image = two_humps((50, 50), dtype="uint8").astype(np.uint16) + 100
    image[0, 0] = 65_535
    coarse = nc.histogram(image).rebinned()
    assert coarse.narrowed
    assert coarse.edges[-1] < 300
    assert coarse.total == image.size


@pytest.mark.parametrize("n_classes", [None, 3])
def test_three_humps_are_three_classes(n_classes: int | None) -> None:
    image = three_humps()
    with nc.watch() as seen:
        labels = nc.histogram_segmentation(image, n_classes=n_classes)
    truth = np.repeat([1, 2, 3], [6000, 3000, 1000]).reshape(100, 100)
    assert (labels == truth).mean() > 0.999
    np.testing.assert_allclose(seen.facts["peaks"], [50, 120, 200], atol=4)
    assert seen.facts["n_classes"] == 3


def test_a_given_number_takes_the_most_prominent_peaks() -> None:
    labels = nc.histogram_segmentation(three_humps(), n_classes=2)
    assert np.unique(labels).tolist() == [1, 2]
    assert (labels == 2).mean() == pytest.approx(0.4, abs=0.01)  # the two larger humps: 50 and 120


def test_valleys_by_hand() -> None:
    # counts 5 1 0 4: peaks at 0 and 3; the lowest bin between them is 2, and it belongs below.
    image = np.array([[0, 0, 0, 0, 0, 1, 3, 3, 3, 3]], np.uint8)
    labels = nc.histogram_segmentation(image, smoothing=0.0, prominence=0.0)
    assert labels.tolist() == [[1, 1, 1, 1, 1, 1, 2, 2, 2, 2]]


def test_too_few_peaks_are_said() -> None:
    with pytest.raises(ValueError, match=r"at least 5 peaks in the histogram, but 3 stand out with smoothing=3"):
        nc.histogram_segmentation(three_humps(), n_classes=5)


def test_a_prominence_that_finds_enough_peaks_is_named() -> None:
    with pytest.raises(ValueError, match=r"prominence=[\d.]+ finds 2") as info:
        nc.histogram_segmentation(three_humps(), prominence=0.99)
    enough = float(str(info.value).partition("; prominence=")[2].split()[0])
    assert len(np.unique(nc.histogram_segmentation(three_humps(), prominence=enough))) == 2


@pytest.mark.parametrize(("n_bright", "way_out"), [(1, "no higher than chance"), (100, r"prominence=0\.\d+ finds 2")])
def test_a_peak_of_a_single_voxel_is_not_recommended(n_bright: int, way_out: str) -> None:
    image = np.full((300, 300), 50, np.uint8)
    image[0, :n_bright] = 200  # a root of 1 voxel rises by 0.36 where smoothing is 3, that of 100 by 3.6
    with pytest.raises(ValueError, match=way_out):
        nc.histogram_segmentation(image, prominence=0.1)


@pytest.mark.parametrize(("objects", "class_of_objects", "below"), [("bright", 3, 2), ("dark", 1, 2)])
def test_clean_up_works_on_the_class_of_the_objects(objects: Any, class_of_objects: int, below: int) -> None:
    image = np.full((30, 30), 120, np.uint8)
    image[:, :4] = 200 if objects == "dark" else 50
    extreme = 200 if objects == "bright" else 50
    image[10:20, 10:20] = extreme
    image[12, 12] = 120  # a hole
    image[25, 25] = extreme  # a speck
    labels = nc.histogram_segmentation(image, smoothing=0.0, fill_holes=True, min_size=5, objects=objects)
    assert labels[12, 12] == class_of_objects
    assert labels[25, 25] == below
    numbers = nc.histogram_segmentation(image, smoothing=0.0, one_per_object=True, objects=objects)
    assert numbers.dtype == np.int32
    assert numbers.max() == 2
    assert numbers[25, 25] == 2


def test_back_projection_gives_every_voxel_the_label_it_looks_like() -> None:
    image = three_humps()
    markers = np.zeros(image.shape, np.int32)
    markers[2, :40], markers[70, :40], markers[95, :40] = 3, 1, 2
    labels = nc.back_projection(image, markers, fit=0.0)
    truth = np.repeat([3, 1, 2], [6000, 3000, 1000]).reshape(100, 100)
    assert (labels == truth).mean() > 0.998


def test_back_projection_of_one_label_selects_what_is_typical() -> None:
    image = three_humps()
    markers = np.zeros(image.shape, bool)
    markers[70, :60] = True
    labels = nc.back_projection(image, markers)
    middle = np.repeat([0, 1, 0], [6000, 3000, 1000]).reshape(100, 100)
    assert (labels == middle).mean() > 0.99


def test_back_projection_by_hand() -> None:
    # Grey levels 0 to 3 with 4, 2, 2, 2 voxels. Strokes of label 1: one voxel of 0, one of 1; label 2: two of 3.
    # Shares under the strokes: label 1 has 1/2, 1/2, 0, 0; label 2 has 0, 0, 0, 1; the image 4, 2, 2, 2 of 10.
    # Ratios: grey 0: 0.5 / 0.4 = 1.25 for 1; grey 1: 0.5 / 0.2 = 2.5 for 1; grey 2: 0; grey 3: 1 / 0.2 = 5 for 2.
    image = np.array([[0, 0, 0, 0, 1], [1, 2, 2, 3, 3]], np.uint8)
    markers = np.array([[1, 0, 0, 0, 1], [0, 0, 0, 2, 2]])
    call: Any = nc.back_projection
    assert call(image, markers, smoothing=0.0).tolist() == [[1, 1, 1, 1, 1], [1, 0, 0, 2, 2]]
    assert call(image, markers, smoothing=0.0, fit=2.0).tolist() == [[0, 0, 0, 0, 1], [1, 0, 0, 2, 2]]


@pytest.mark.parametrize(
    ("markers", "sentence"),
    [
        (np.zeros((100, 100), int), "markers have no painted voxel .* paint strokes with label 1"),
        (np.full((100, 100), -2), "labels from 0 to 255, got -2; renumber"),
        (np.full((100, 100), 300), "labels from 0 to 255, got 300"),
        (np.ones((100, 100)), "markers must hold integers, got dtype float64"),
        (np.ones((9, 9), int), r"markers must have the shape of image, \(100, 100\), but has \(9, 9\)"),
    ],
    ids=["unpainted", "negative", "large", "float", "shape"],
)
def test_bad_strokes_are_refused(markers: np.ndarray, sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        nc.back_projection(three_humps(), markers)


def test_strokes_outside_the_mask_do_not_count() -> None:
    markers = np.zeros((100, 100), int)
    markers[:5] = 1
    mask = np.ones((100, 100), bool)
    mask[:5] = False
    with pytest.raises(ValueError, match="outside mask"):
        nc.back_projection(three_humps(), markers, mask)


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5).map(sorted),
    hnp.arrays(np.float32, (3, 7), elements=st.floats(-1e6, 1e6, width=32)),
)
def test_cuts_count_the_thresholds_below(thresholds: list[float], image: np.ndarray) -> None:
    limits = comparable(tuple(thresholds), "float32")
    for limit, threshold in zip(limits, thresholds, strict=True):
        np.testing.assert_array_equal(image > limit, image.astype(np.float64) > threshold)


def test_cuts_of_bins_join_equal_neighbours() -> None:
    cuts = Cuts.of_bins(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 0, 2, 0]))
    assert cuts == Cuts((2.0, 3.0), (0, 2, 0))
