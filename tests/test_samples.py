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
        (samples.membranes, {"shape": (4, 16, 64)}, r"\(4, 16, 64\) voxels is too small for cells"),
        (samples.bundled, {"name": "kidney"}, "there is no picture 'kidney'; there are astronaut, brick"),
        (
            samples.sample,
            {"name": "mitosis"},
            "there is no sample 'mitosis'; there are nuclei_2d, nuclei_3d, coins, membr",
        ),
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


# Membranes ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stack() -> Sample:
    return samples.membranes(shape=(4, 160, 128))


def test_a_stack_of_membranes_knows_its_world_and_its_classes(stack: Sample) -> None:
    assert stack.truth is not None
    for volume in (stack.image, stack.truth):
        assert (volume.data.dtype, volume.data.shape) == (np.uint8, (4, 160, 128))
        assert (volume.spacing, volume.units, volume.axes) == ((0.04, 0.008, 0.008), "micrometer", "zyx")
    assert np.unique(stack.truth.data).tolist() == [1, 2]
    again, other = samples.membranes(shape=(4, 160, 128)), samples.membranes(1, (4, 160, 128))
    np.testing.assert_array_equal(again.image.data, stack.image.data)
    assert (again.truth.data != other.truth.data).any()


def test_membranes_are_thin_and_close_around_cells_of_the_size_asked_for(stack: Sample) -> None:
    for truth in stack.truth.data:
        is_membrane = truth == 1
        assert 0.12 < is_membrane.mean() < 0.3
        # Half of their thickness of three, at all but the few places where walls fold.
        assert np.quantile(ndimage.distance_transform_edt(is_membrane)[is_membrane], 0.9) <= 2.3
        cells, n = ndimage.label(~is_membrane)
        sizes = np.bincount(cells.ravel())[1:]
        assert n > 10  # 160 x 128 pixels hold 27 of 750
        assert 200 < np.median(sizes) < 900


def test_membranes_move_little_from_section_to_section(stack: Sample) -> None:
    membranes = stack.truth.data == 1
    near = ndimage.binary_dilation(membranes[0], iterations=4)
    assert near[membranes[1]].mean() > 0.9 > near.mean() + 0.1


def test_bodies_in_cells_are_as_dark_as_membranes(stack: Sample) -> None:
    smooth = ndimage.gaussian_filter(stack.image.data.astype(float), (0, 1, 1))
    is_membrane = stack.truth.data == 1
    inside = ndimage.distance_transform_edt(~is_membrane, sampling=(100, 1, 1)) > 4
    assert smooth[is_membrane].mean() < smooth[inside].mean() - 15
    assert np.mean(smooth[inside] < smooth[is_membrane].mean()) > 0.04


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
        assert (sample.truth is not None) == (name in ("nuclei_2d", "nuclei_3d", "coins", "membranes"))


@pytest.mark.parametrize(
    ("name", "axes", "shape"),
    [("camera", "yx", (512, 512)), ("immunohistochemistry", "yxc", (512, 512, 3)), ("horse", "yx", (328, 400))],
)
def test_bundled_pictures(name: str, axes: str, shape: tuple[int, ...]) -> None:
    sample = samples.bundled(name)
    assert (sample.image.axes, sample.image.data.shape, sample.truth) == (axes, shape, None)
