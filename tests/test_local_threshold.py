"""Local thresholds against scikit-image and against sums written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage import data, filters

import napari_cutout as nc
from napari_cutout.methods.local_threshold import box_sums

from .cases import two_humps


@pytest.mark.parametrize("window", [3, 15, 51])
@pytest.mark.parametrize("k", [-0.3, 0.0, 0.2])
@pytest.mark.parametrize("picture", ["coins", "page", "camera"])
def test_niblack_and_sauvola_equal_scikit_image(window: int, k: float, picture: str) -> None:
    image = getattr(data, picture)()
    for name in ("niblack", "sauvola"):
        for objects, sign in (("bright", -1), ("dark", 1)):
            threshold = getattr(filters, f"threshold_{name}")(image.astype(float), window, sign * k, **_spread(name))
            ties = np.isclose(image, threshold, rtol=1e-9, atol=1e-9)  # scikit-image's running sums round differently
            assert ties.mean() < 0.15  # windows of one grey level
            labels = getattr(nc, name)(image, window=float(window), k=k, objects=objects)
            expected = image > threshold if objects == "bright" else image <= threshold
            np.testing.assert_array_equal(labels[~ties], expected[~ties])


def _spread(name: str) -> dict[str, float]:
    return {"r": 127.5} if name == "sauvola" else {}


@pytest.mark.parametrize("offset", [0.0, -7.5])
def test_local_mean_equals_a_uniform_filter(offset: float) -> None:
    image = two_humps((9, 30, 31))
    mean = ndimage.uniform_filter(image.astype(np.float64), 7, mode="mirror")
    labels = nc.local_mean(image, window=7.0, offset=offset)
    ties = np.isclose(image, mean + offset, rtol=1e-12) | np.isclose(image, mean - offset, rtol=1e-12)
    np.testing.assert_array_equal(labels[~ties], (image > mean + offset)[~ties])
    dark = nc.local_mean(image, window=7.0, offset=offset, objects="dark")
    np.testing.assert_array_equal(dark[~ties], (image <= mean - offset)[~ties])


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 12), st.integers(0, 12), st.integers(0, 2**32 - 1))
def test_box_sums_are_the_sums_of_the_mirrored_window(ny: int, nx: int, ry: int, rx: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 100, (ny, nx)).astype(np.float64)
    padded = np.pad(image, ((ry, ry), (rx, rx)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * ry + 1, 2 * rx + 1))
    np.testing.assert_array_equal(box_sums(image, (ry, rx)), windows.sum(axis=(2, 3)))


def test_box_sums_of_a_part_are_bit_identical() -> None:
    image = np.random.default_rng(0).random((60, 50))
    whole = box_sums(image, (6, 9))
    part = box_sums(image[11:47, 13:44], (6, 9))
    np.testing.assert_array_equal(part[6:-6, 9:-9], whole[17:41, 22:35])


def test_masked_voxels_and_nan_are_left_out_of_windows() -> None:
    image = np.array([[1.0, 5.0, 100.0, 5.0, 1.0]])
    # Window 3, mirrored; without the 100 the means are 11/3 (5 1 5), (1+5)/2, -, (5+1)/2, 11/3.
    for left_out in ({"mask": image < 50}, {}):
        given = image if left_out else np.where(image < 50, image, np.nan)
        assert nc.local_mean(given, window=3.0, **left_out).tolist() == [[0, 1, 0, 1, 0]]


def test_spacing_shapes_the_window() -> None:
    image = two_humps((12, 40, 40), dtype="float32")
    labels = nc.local_mean(image, window=11.0, spacing=(2.5, 0.5, 0.5))  # 1/5 of the voxels in z: radius 1
    mean = ndimage.uniform_filter(image.astype(np.float64), (3, 11, 11), mode="mirror")
    ties = np.isclose(image, mean, rtol=1e-9)
    np.testing.assert_array_equal(labels[~ties], (image > mean)[~ties])
    np.testing.assert_array_equal(labels, nc.local_mean(image, window=11.0, spacing=(2500, 500, 500)))


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_sauvola_does_not_depend_on_the_scale_of_floats(scale: float) -> None:
    image = two_humps((40, 40), dtype="uint8").astype(np.float64)
    with nc.watch() as seen:
        np.testing.assert_array_equal(nc.sauvola(image * scale), nc.sauvola(image))
    assert seen.facts["r"] == np.ptp(image) / 2
    assert 0 < nc.sauvola(image * scale).mean() < 1


def test_sauvola_refuses_no_spread() -> None:
    with pytest.raises(ValueError, match="r must be positive, got 0"):
        nc.sauvola(data.coins(), r=0.0)


@pytest.mark.parametrize("name", ["sauvola", "niblack", "local_mean"])
@pytest.mark.parametrize("level", [0.1, 0.3, 123.456, -7.7, 1e-30])
@pytest.mark.parametrize("objects", ["bright", "dark"])
def test_a_flat_window_holds_no_object_at_any_level(name: str, level: float, objects: str) -> None:
    image = np.full((30, 31), level)
    image[0, 0] = level * 2
    call: Any = getattr(nc, name)
    labels = call(image, window=7.0, objects=objects, **({"k": 0.0} if name == "niblack" else {}))
    assert not labels[5:, 5:].any()


@pytest.mark.parametrize("name", ["sauvola", "niblack", "local_mean"])
def test_infinity_spoils_no_window_but_its_own_voxel(name: str) -> None:
    image = two_humps((20, 20), dtype="float32")
    spoilt = image.copy()
    spoilt[9, 9], spoilt[4, 4] = np.inf, -np.inf
    mask = np.isfinite(spoilt)
    call: Any = getattr(nc, name)
    labels = call(spoilt, window=5.0)
    np.testing.assert_array_equal(labels[mask], call(np.where(mask, image, 0), mask, window=5.0)[mask])
    assert (labels[9, 9], labels[4, 4]) == (1, 0)


@pytest.mark.parametrize("name", ["sauvola", "niblack", "local_mean"])
def test_a_flat_background_is_not_an_object(name: str) -> None:
    y, x = np.mgrid[:60, :60]
    spots = 40.0 * ((y % 30 - 15) ** 2 + (x % 30 - 15) ** 2 < 30)
    more: dict[str, Any] = {"offset": 5.0} if name == "local_mean" else {}
    bright: Any = getattr(nc, name)(100 + spots, window=21.0, **more)
    assert nc.evaluate(bright, spots.astype(bool)).mean_iou > 0.95
    dark: Any = getattr(nc, name)(100 - spots, window=21.0, objects="dark", **more)
    assert nc.evaluate(dark, spots.astype(bool)).mean_iou > 0.95


def test_uneven_light_is_where_local_thresholds_win() -> None:
    truth = ndimage.zoom(np.random.default_rng(0).random((12, 12)) > 0.5, 16, order=0)
    light = np.linspace(0, 300, truth.shape[1])
    image = (truth * 60 + light).astype(np.uint16)
    local = nc.evaluate(nc.local_mean(image, window=65.0), truth.astype(int)).mean_iou
    whole = nc.evaluate(nc.threshold(image), truth.astype(int)).mean_iou
    assert local > 0.75 > whole
