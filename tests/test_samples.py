"""Sample data: the same from the same seed, like real images, with a truth that fits them."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from skimage import measure

from napari_cutout import samples
from napari_cutout._coins import OUTLINES
from napari_cutout.samples import Sample

NUCLEI: dict[str, Callable[..., Sample]] = {"2d": samples.nuclei_2d, "3d": samples.nuclei_3d}


@pytest.fixture(scope="module", params=NUCLEI)
def nuclei(request: pytest.FixtureRequest) -> Sample:
    return NUCLEI[request.param]()


def touching_pairs(labels: np.ndarray) -> set[tuple[int, int]]:
    pairs: set[tuple[int, int]] = set()
    for axis in range(labels.ndim):
        left, right = (np.moveaxis(labels, axis, 0)[part] for part in (slice(None, -1), slice(1, None)))
        border = (left != right) & (left > 0) & (right > 0)
        pairs |= {(min(a, b), max(a, b)) for a, b in zip(left[border], right[border], strict=True)}
    return pairs


def first_pixels(labels: np.ndarray) -> np.ndarray:
    values, first = np.unique(labels, return_index=True)
    return first[values > 0]


def test_nuclei_know_their_world(nuclei: Sample) -> None:
    spacing = {"yx": (0.5, 0.5), "zyx": (2.0, 0.5, 0.5)}[nuclei.image.axes]
    assert nuclei.truth is not None
    for volume in (nuclei.image, nuclei.truth):
        assert (volume.spacing, volume.units, volume.axes) == (spacing, "micrometer", nuclei.image.axes)
        assert volume.metadata["seed"] == 0
    assert nuclei.image.data.dtype == np.uint16
    assert nuclei.truth.data.dtype == np.int32
    assert nuclei.truth.data.shape == nuclei.image.data.shape == {2: (256, 256), 3: (32, 128, 128)}[len(spacing)]


@pytest.mark.parametrize("make", NUCLEI.values(), ids=NUCLEI)
def test_the_seed_is_all_there_is_to_chance(make: Callable[..., Sample]) -> None:
    np.random.seed(3)  # noqa: NPY002 (the global state must not matter)
    first, again, other = make(seed=7), make(seed=7), make(seed=8)
    np.testing.assert_array_equal(first.image.data, again.image.data)
    np.testing.assert_array_equal(first.truth.data, again.truth.data)
    assert (first.image.data != other.image.data).mean() > 0.9
    assert (first.truth.data != other.truth.data).any()


def test_nuclei_are_numbered_in_scan_order_and_whole(nuclei: Sample) -> None:
    labels = nuclei.truth.data
    count = nuclei.truth.metadata["n_nuclei"]
    assert np.unique(labels).tolist() == list(range(count + 1))
    assert (np.diff(first_pixels(labels)) > 0).all()
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        assert ndimage.label(labels[box] == label)[1] == 1


def test_nuclei_have_the_size_of_nuclei(nuclei: Sample) -> None:
    labels = nuclei.truth.data
    inner = labels.copy()
    for axis in range(labels.ndim):  # those at the border are cut
        for edge in (0, -1):
            cut = np.unique(np.take(labels, edge, axis))
            inner[np.isin(inner, cut)] = 0
    sizes = np.bincount(inner.ravel())[1:]
    volumes = sizes[sizes > 0] * np.prod(nuclei.truth.spacing)
    ndim = labels.ndim
    diameters = 2 * (volumes / np.pi) ** 0.5 if ndim == 2 else 2 * (volumes * 0.75 / np.pi) ** (1 / 3)
    assert len(diameters) > 10
    assert 5.5 < diameters.min() < diameters.max() < 15.5
    assert np.ptp(diameters) > 3
    assert 0.12 < (labels > 0).mean() < 0.28


def test_some_nuclei_touch_and_some_do_not(nuclei: Sample) -> None:
    pairs = touching_pairs(nuclei.truth.data)
    count = nuclei.truth.metadata["n_nuclei"]
    assert len(pairs) > 0.45 * count  # half of that by chance, the rest because they were set side by side
    assert len({label for pair in pairs for label in pair}) < 0.9 * count


def test_nuclei_press_against_each_other_and_do_not_overlap() -> None:
    # One that lay under another would be a crescent.
    assert min(region.solidity for region in measure.regionprops(samples.nuclei_2d().truth.data)) > 0.88


def test_nuclei_look_like_a_micrograph(nuclei: Sample) -> None:
    image, labels = nuclei.image.data, nuclei.truth.data
    assert 90 < image.min() < 150
    assert 1000 < image.max() < 2500
    means = ndimage.mean(image, labels, range(1, labels.max() + 1))
    ground = ndimage.distance_transform_edt(labels == 0) > 6
    background = image[ground]
    assert means.min() > background.mean() + 40
    assert means.max() > 2.5 * means.min()
    # From one pixel to the next there is photon noise, which is more than the read noise of 4.
    steps = np.diff(image.astype(float))[ground[..., 1:] & ground[..., :-1]] / np.sqrt(2)
    assert 7 < steps.std() < 14
    # The ground is uneven.
    half = image.shape[-1] // 2
    smooth = ndimage.gaussian_filter(np.where(labels == 0, image, background.mean()).astype(float), 8)
    assert np.ptp(smooth[..., half]) > 10


def test_the_blur_is_longer_along_the_optical_axis() -> None:
    sharp = samples.nuclei_3d(shape=(96, 96, 96), spacing=(0.25, 0.25, 0.25), n_nuclei=3)
    image, inside = sharp.image.data.astype(float), sharp.truth.data > 0
    # The light that leaves a nucleus goes further along z.
    tall, wide = np.zeros((7, 1, 1), bool), np.zeros((1, 1, 7), bool)
    tall[:], wide[:] = True, True
    along_z = ndimage.binary_dilation(inside, tall) & ~ndimage.binary_dilation(inside, wide)
    along_x = ndimage.binary_dilation(inside, wide) & ~ndimage.binary_dilation(inside, tall)
    assert image[along_z].mean() > 1.2 * image[along_x].mean()


def test_the_number_of_nuclei_can_be_asked_for() -> None:
    assert samples.nuclei_2d(n_nuclei=5).truth.data.max() == 5
    assert samples.nuclei_3d(n_nuclei=1).truth.data.max() == 1
    assert samples.nuclei_2d(n_nuclei=0).truth.data.max() == 0


def test_larger_volumes_hold_more_nuclei() -> None:
    small = samples.nuclei_3d(shape=(32, 64, 64)).truth.data.max()
    large = samples.nuclei_3d(shape=(64, 128, 128)).truth.data.max()
    assert large == pytest.approx(8 * small, rel=0.05)


@pytest.mark.parametrize(
    ("make", "settings", "sentence"),
    [
        (samples.nuclei_2d, {"shape": (20, 200)}, r"\(20, 200\) voxels of \(0.5, 0.5\) micrometers is too small"),
        (samples.nuclei_3d, {"shape": (5, 128, 128)}, "every side must be 12.8 micrometers or more"),
        (samples.nuclei_3d, {"spacing": (2.0, -0.5, 0.5)}, r"of \(2.0, -0.5, 0.5\) micrometers is too small"),
        (
            samples.nuclei_2d,
            {"shape": (64, 64), "n_nuclei": 40},
            r"40 nuclei do not fit into \(64, 64\) voxels, \d+ do; ask for",
        ),
        (samples.nuclei_2d, {"n_nuclei": -1}, "n_nuclei must be 0 or more, but is -1"),
        (samples.bundled, {"name": "kidney"}, "there is no picture 'kidney'; there are astronaut, brick"),
        (samples.sample, {"name": "mitosis"}, "there is no sample 'mitosis'; there are nuclei_2d, nuclei_3d, coins"),
    ],
)
def test_what_there_is_not(make: Callable[..., Any], settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make(**settings)


def test_coins_have_an_outline_each() -> None:
    coins = samples.coins()
    image, labels = coins.image.data, coins.truth.data
    assert image.shape == labels.shape == (303, 384)
    assert (image.dtype, labels.dtype) == (np.uint8, np.int32)
    assert len(OUTLINES) == 24
    assert np.unique(labels).tolist() == list(range(25))
    assert (np.diff(first_pixels(labels)) > 0).all()
    assert ndimage.label(labels > 0)[1] == 24
    assert touching_pairs(labels) == set()
    for label, (row, column, major, minor, _) in enumerate(OUTLINES, start=1):
        assert major >= minor > 15
        inside = labels == label
        assert inside.sum() == pytest.approx(np.pi * major * minor, rel=0.02)
        assert ndimage.center_of_mass(inside) == pytest.approx((row, column), abs=0.2)
        assert row - major > 0 < column - major
        assert row + major < 303
        assert column + major < 384


def test_coins_outlines_lie_on_the_rims() -> None:
    coins = samples.coins()
    image = coins.image.data.astype(float)
    for label in range(1, 25):
        depth = ndimage.distance_transform_edt(coins.truth.data == label)
        height = ndimage.distance_transform_edt(coins.truth.data != label)
        # Mean brightness in rings one pixel wide, from four pixels inside to four outside.
        rings = [image[(depth > d) & (depth <= d + 1)].mean() for d in (3, 2, 1, 0)]
        rings += [image[(height > d) & (height <= d + 1)].mean() for d in (0, 1, 2, 3)]
        falls = -np.diff(rings)
        assert falls.argmax() in (2, 3, 4), f"coin {label}: rings {np.round(rings)}"
        assert rings[1] - rings[6] > 20


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a sample went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    # Without pooch, scikit-image cannot fetch and raises.
    monkeypatch.setitem(sys.modules, "pooch", None)


@pytest.mark.usefixtures("offline")
def test_every_sample_is_there_without_network() -> None:
    assert len(set(samples.SAMPLES)) == len(samples.SAMPLES) > 20
    for name in samples.SAMPLES:
        sample = samples.sample(name)
        assert sample.name == sample.image.name == name
        assert sample.image.data.size > 10_000
        assert sample.image.metadata["source"]
        assert (sample.truth is not None) == (name in ("nuclei_2d", "nuclei_3d", "coins"))


@pytest.mark.parametrize(
    ("name", "axes", "shape"),
    [("camera", "yx", (512, 512)), ("immunohistochemistry", "yxc", (512, 512, 3)), ("horse", "yx", (328, 400))],
)
def test_bundled_pictures(name: str, axes: str, shape: tuple[int, ...]) -> None:
    sample = samples.bundled(name)
    assert (sample.image.axes, sample.image.data.shape, sample.truth) == (axes, shape, None)
