"""The watershed kernels: levels, labels and minima against the definition and against scikit-image."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import ndimage
from skimage.segmentation import watershed

from napari_cutout import kernels
from napari_cutout._array import dtype_name, to_numpy
from napari_cutout.methods import _basins, _flood

from .. import strict
from ..cases import scattered, tie_free
from ..conftest import read_only
from ..reference import watershed as reference

NEVER = reference.NEVER
GPU = pytest.param("cupy", marks=pytest.mark.gpu)


@pytest.fixture(params=[pytest.param("numpy", marks=pytest.mark.kernels), GPU])
def move(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """Return what takes an array to where the kernels run."""
    if request.param == "cupy":
        return request.getfixturevalue("to_gpu")
    request.getfixturevalue("on_cpu")
    return read_only


@pytest.fixture(params=[(32, "int"), (1024, "int"), (32, "long long")], ids=["many blocks", "one block", "64 bits"])
def build(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run small images as many blocks or as one, and name voxels in 64 bits as volumes that need them."""
    threads, index = request.param
    monkeypatch.setattr(kernels, "THREADS", threads)
    monkeypatch.setattr(kernels, "MAX_NARROW", 0 if index == "long long" else kernels.MAX_NARROW)


class Case(NamedTuple):
    """What a flood is asked."""

    key: np.ndarray
    markers: np.ndarray
    territory: np.ndarray | None
    connectivity: int

    def moved(self, move: Callable[[Any], Any]) -> tuple[Any, Any, Any, int]:
        territory = None if self.territory is None else move(self.territory)
        return move(self.key), move(self.markers), territory, self.connectivity


def pitted(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.where(rng.random(shape) < 0.1, 0, 1)


def plateaus(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    coarse = rng.integers(0, 4, [-(-n // 3) for n in shape])
    return np.kron(coarse, np.ones((3,) * len(shape), int))[tuple(map(slice, shape))]


def holed(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.where(rng.random(shape) < 0.2, NEVER, rng.integers(0, 5, shape))


def ramp(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return one long way down, so that pointers have far to jump."""
    return np.arange(int(np.prod(shape)))[::-1].reshape(shape)


IMAGES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "no ties": lambda rng, shape: rng.permutation(int(np.prod(shape))).reshape(shape),
    "few ties": lambda rng, shape: rng.integers(0, 30, shape),
    "many ties": lambda rng, shape: rng.integers(0, 3, shape),
    "constant": lambda rng, shape: np.full(shape, 7),
    "highest": lambda rng, shape: NEVER - 1 - rng.integers(0, 2, shape),
    "pits": pitted,
    "plateaus": plateaus,
    "holes": holed,
    "ramp": ramp,
}
SHAPES = [(1, 1), (1, 9), (11, 1), (9, 8), (1, 5, 6), (4, 1, 6), (5, 6, 7)]


@cache
def random_case(image: str, shape: tuple[int, ...], seed: int) -> Case:
    """Return an image with some markers, touching ones too, inside two territories or none."""
    rng = np.random.default_rng(seed)
    key = IMAGES[image](rng, shape).astype(np.uint32)
    markers = np.where(rng.random(shape) < rng.choice([0.03, 0.2]), rng.integers(1, 2**31, shape), 0).astype(np.int32)
    territory = [None, rng.integers(0, 2, shape), rng.integers(-1, 2, shape) * 5][seed % 3]
    if territory is not None:
        territory = territory.astype(np.int32)
        markers[territory == 0] = 0
    return Case(key, markers, territory, int(rng.integers(1, len(shape) + 1)))


def start_of(case: Case) -> np.ndarray:
    """Return where water enters: at some voxels, at their key or a little above."""
    rng = np.random.default_rng(case.key.size)
    enters = (rng.random(case.key.shape) < 0.3) & (case.key < NEVER - 3)
    return np.where(enters, case.key + rng.integers(0, 4, case.key.shape), NEVER).astype(np.uint32)


@cache
def answers(image: str) -> list[tuple[Case, np.ndarray, np.ndarray, np.ndarray]]:
    """Return labels, levels and minima by the definition."""
    cases = [random_case(image, shape, seed) for shape in SHAPES for seed in range(3)]
    return [
        (
            case,
            reference.flood(*case),
            reference.levels(case.key, start_of(case), case.territory, case.connectivity),
            reference.regional_minima(case.key, case.territory, case.connectivity),
        )
        for case in cases
    ]


def check(got: Any, expected: np.ndarray, case: Case) -> None:
    assert dtype_name(got) == expected.dtype.name
    np.testing.assert_array_equal(to_numpy(got), expected, repr(case))


@pytest.mark.usefixtures("build")
@pytest.mark.parametrize("image", IMAGES)
def test_small_images_follow_the_definition(image: str, move: Callable[[Any], Any]) -> None:
    for case, labels, level, minima in answers(image):
        key, markers, territory, connectivity = case.moved(move)
        check(_basins.flood(key, markers, territory, connectivity), labels, case)
        check(_basins.levels(key, move(start_of(case)), territory, connectivity), level, case)
        check(_basins.regional_minima(key, territory, connectivity), minima, case)


@pytest.mark.parametrize("image", IMAGES)
def test_racing_threads_change_nothing(image: str, move: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The sanitizers run this one: small enough for a CPU thread to each of the GPU's."""
    monkeypatch.setattr(kernels, "THREADS", 13)
    case = random_case(image, (4, 5, 6), 2)
    key, markers, territory, connectivity = case.moved(move)
    check(_basins.flood(key, markers, territory, connectivity), reference.flood(*case), case)
    check(
        _basins.regional_minima(key, None, connectivity), reference.regional_minima(case.key, None, connectivity), case
    )


@pytest.mark.kernels
@pytest.mark.usefixtures("on_cpu")
@pytest.mark.parametrize("image", IMAGES)
def test_nothing_is_converted_to_numpy_on_the_way(image: str) -> None:
    case, labels, level, minima = answers(image)[-1]
    key, markers, territory, connectivity = case.moved(strict.on_device)
    start = strict.on_device(start_of(case))
    for got, expected in (
        (_basins.flood(key, markers, territory, connectivity), labels),
        (_basins.levels(key, start, territory, connectivity), level),
        (_basins.regional_minima(key, territory, connectivity), minima),
    ):
        assert got.device == strict.DEVICE
        check(got, expected, case)


@pytest.mark.parametrize("shape", [(64, 64, 32), (300, 200)])
@pytest.mark.parametrize("is_masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("is_full", [False, True], ids=["faces", "full"])
def test_images_without_ties_are_flooded_as_by_scikit_image(
    shape: tuple[int, ...], is_masked: bool, is_full: bool, move: Callable[[Any], Any]
) -> None:
    key, connectivity = tie_free(shape, 0), len(shape) if is_full else 1
    inside = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal(shape), 2) < 0.05 if is_masked else None
    markers = np.where(True if inside is None else inside, scattered(shape, 150, 2), 0).astype(np.int32)
    territory = None if inside is None else inside.astype(np.int32)
    got = to_numpy(_basins.flood(*Case(key, markers, territory, connectivity).moved(move)))
    box = ndimage.generate_binary_structure(len(shape), connectivity)
    np.testing.assert_array_equal(got, watershed(key.astype(np.int64), markers, box, mask=inside))


def test_larger_images_with_ties(move: Callable[[Any], Any]) -> None:
    for seed, shape in enumerate([(40, 50), (12, 16, 20)]):
        key = (tie_free(shape, seed) // 150).astype(np.uint32)
        case = Case(key, scattered(shape, 12, seed), None, 1)
        np.testing.assert_array_equal(to_numpy(_basins.flood(*case.moved(move))), reference.flood(*case))


@pytest.mark.parametrize("n_levels", [4, 60, 5000])
def test_host_and_kernels_find_the_same(n_levels: int, move: Callable[[Any], Any]) -> None:
    shape, connectivity = (40, 64, 70), 1 + n_levels % 3
    noise = tie_free(shape, n_levels)
    key = (noise // (noise.size // n_levels)).astype(np.uint32)
    territory = (ndimage.zoom(scattered((4, 8, 7), 40, 0), (10, 8, 10), order=0) % 4).astype(np.int32)
    case = Case(key, np.where(territory > 0, scattered(shape, 900, 1), 0).astype(np.int32), territory, connectivity)
    moved = case.moved(move)
    check(_basins.flood(*moved), _flood.flood(*case), case)
    raised = key + np.uint32(n_levels // 20 + 1)
    level = _basins.levels(moved[0], move(raised), moved[2], connectivity)
    check(level, _flood.levels(key, raised, territory, connectivity), case)
    check(
        _basins.regional_minima(level, moved[2], connectivity),
        _flood.regional_minima(to_numpy(level), territory, connectivity),
        case,
    )


def test_a_flat_image_is_divided_by_distance(move: Callable[[Any], Any]) -> None:
    markers = np.zeros((5, 7), np.int32)
    markers[2, 1], markers[2, 5] = 4, 9
    got = to_numpy(_basins.flood(move(np.zeros((5, 7), np.uint32)), move(markers), None, 1))
    np.testing.assert_array_equal(got, np.where(np.arange(7) < 4, 4, 9) + np.zeros((5, 1), int))  # the middle ties


def test_water_stays_in_its_territory(move: Callable[[Any], Any]) -> None:
    territory = np.array([[1, 1, 2, 2, 0, 2]], np.int32)
    markers = np.array([[3, 0, 0, 0, 0, 0]], np.int32)
    key = np.zeros((1, 6), np.uint32)
    got = to_numpy(_basins.flood(move(key), move(markers), move(territory), 2))
    np.testing.assert_array_equal(got, [[3, 3, 0, 0, 0, 0]])
    np.testing.assert_array_equal(
        to_numpy(_basins.regional_minima(move(key), move(territory), 2)), [[1, 1, 2, 2, 0, 3]]
    )


def test_shallow_minima_are_filled(move: Callable[[Any], Any]) -> None:
    key = np.array([[5, 3, 5, 4, 5, 0, 9]], np.uint32)
    level = _basins.levels(move(key), move(key + np.uint32(2)), None, 1)
    np.testing.assert_array_equal(to_numpy(level), [[5, 5, 5, 5, 5, 2, 9]])
    np.testing.assert_array_equal(to_numpy(_basins.regional_minima(level, None, 1)), [[0, 0, 0, 0, 0, 1, 0]])


def test_arrays_in_any_order_of_axes(move: Callable[[Any], Any]) -> None:
    case = random_case("few ties", (5, 6, 7), 1)
    assert case.territory is not None
    got = _basins.flood(move(case.key.T).T, move(case.markers.T).T, move(case.territory.T).T, case.connectivity)
    np.testing.assert_array_equal(to_numpy(got), reference.flood(*case))


def test_a_circle_of_pointers_is_an_error_and_not_a_hang(move: Callable[[Any], Any]) -> None:
    key = move(np.zeros((1, 12), np.uint32))
    circle = move(np.array([[*range(1, 12), 0]], np.int32)) + 0  # a copy that may be written to
    with pytest.raises(RuntimeError, match="a flood of 12 voxels goes round in a circle"):
        _basins._jump(circle, _basins._volume(key, None, 1))


@pytest.mark.parametrize("ndim", [2, 3])
def test_no_voxels(move: Callable[[Any], Any], ndim: int) -> None:
    shape = (0, 4, 5)[:ndim]
    key, markers = move(np.zeros(shape, np.uint32)), move(np.zeros(shape, np.int32))
    assert _basins.flood(key, markers, None, 1).shape == shape
    assert _basins.regional_minima(key, None, 1).shape == shape


@pytest.mark.kernels
@pytest.mark.usefixtures("on_cpu")
@pytest.mark.parametrize(("wide", "flood", "minima"), [(False, 24, 20), (True, 28, 36)], ids=["int", "long long"])
def test_memory(wide: bool, flood: int, minima: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "MAX_NARROW", 0 if wide else kernels.MAX_NARROW)
    key, markers = tie_free((40, 50, 60), 0), scattered((40, 50, 60), 20, 0)
    assert peak(lambda: _basins.flood(key, markers, None, 1)) / key.size == pytest.approx(flood, rel=0.05)
    assert peak(lambda: _basins.regional_minima(key, None, 1)) / key.size == pytest.approx(minima, rel=0.05)


def peak(run: Callable[[], Any]) -> int:
    """Return the most bytes that were held at one time, the result's among them."""
    run()  # what is loaded once does not count
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
