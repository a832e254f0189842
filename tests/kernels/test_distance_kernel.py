"""The distance kernel finds the integers that the host finds, launched as on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

import napari_cutout as nc
from napari_cutout import kernels
from napari_cutout._array import to_numpy
from napari_cutout.processing import distance as module
from napari_cutout.processing.distance import FAR, MAX_SQUARED, squared_distance

from .. import strict
from .cpu_module import CpuModule

pytestmark = pytest.mark.kernels

SHAPES = [(1, 1), (1, 9), (9, 1), (37, 41), (1, 8, 11), (8, 1, 11), (8, 11, 1), (7, 19, 34)]

WEIGHTS = [(1, 1, 1), (3, 1, 2), (1485, 1024, 2048)]
"""The last ones need int64 on all but the smallest shapes."""


def objects(shape: tuple[int, ...], dtype: str = "int32") -> np.ndarray:
    """Return objects that touch, some with background between."""
    smooth = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal(shape), 1.5, mode="wrap")
    return np.digitize(smooth / (smooth.std() or 1), (-0.5, 0.4, 1.0)).astype(dtype)


@pytest.mark.usefixtures("on_cpu")
@pytest.mark.parametrize("to_device", [strict.on_host, strict.on_device])
@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_kernel_and_host_find_the_same(
    shape: tuple[int, ...], weights: tuple[int, ...], to_device: Callable[[Any], Any]
) -> None:
    labels, weights = objects(shape), weights[-len(shape) :]
    found = squared_distance(to_device(labels), weights)
    expected = squared_distance(labels, weights)
    assert found.shape == shape
    assert to_numpy(found).dtype == expected.dtype
    np.testing.assert_array_equal(to_numpy(found), expected)


@pytest.mark.usefixtures("on_cpu")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=3, max_side=9), elements=st.integers(0, 2)),
    st.tuples(*[st.integers(1, 9)] * 3),
)
def test_kernel_and_host_find_the_same_on_anything(labels: np.ndarray, weights: tuple[int, ...]) -> None:
    weights = weights[-labels.ndim :]
    found = squared_distance(strict.on_device(labels), weights)
    np.testing.assert_array_equal(to_numpy(found), squared_distance(labels, weights))


@pytest.mark.usefixtures("on_cpu")
@pytest.mark.parametrize("spacing", [None, (3.0, 1.0, 1.0), (0.29, 0.2, 0.2)], ids=str)
@pytest.mark.parametrize("dtype", sorted(module.LABEL_TYPES))
def test_any_labels_in_any_layout(dtype: str, spacing: tuple[float, ...] | None) -> None:
    labels = objects((9, 12, 14), dtype)
    found = nc.distance(strict.on_device(np.asfortranarray(labels)), spacing=spacing)
    assert found.device == strict.DEVICE
    np.testing.assert_array_equal(to_numpy(found), nc.distance(labels, spacing=spacing))
    turned = strict.on_device(labels).mT  # not in C order
    expected = nc.distance(labels.swapaxes(1, 2), spacing=spacing)
    np.testing.assert_array_equal(to_numpy(nc.distance(turned, spacing=spacing)), expected)


@pytest.mark.usefixtures("on_cpu")
@pytest.mark.parametrize("threads", [1, 64, 4096])
def test_one_block_and_many_find_the_same(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = objects((11, 13, 17))
    monkeypatch.setattr(kernels, "THREADS", threads)
    found = squared_distance(strict.on_device(labels), (3, 1, 2))
    np.testing.assert_array_equal(to_numpy(found), squared_distance(labels, (3, 1, 2)))


@pytest.mark.usefixtures("on_cpu")
def test_an_image_without_an_outside() -> None:
    assert (to_numpy(nc.distance(strict.on_device(np.full((4, 5), 7)))) == np.inf).all()
    wide = strict.on_device(np.ones((4, 5, 6), bool))
    assert (to_numpy(squared_distance(wide, (1485, 2**20, 1024))) == FAR["int64"]).all()
    assert (to_numpy(nc.distance(strict.on_device(np.zeros((4, 5), int)))) == 0).all()


@pytest.mark.usefixtures("on_cpu")
def test_the_largest_distances_do_not_overflow() -> None:
    labels = np.ones((300, 2), np.uint8)
    labels[0, 0] = 0
    weights = (int(MAX_SQUARED**0.5) // 299 - 1, 1)
    for layout, order in ((labels, weights), (np.ascontiguousarray(labels.T), weights[::-1])):
        found = squared_distance(strict.on_device(layout), order)
        np.testing.assert_array_equal(to_numpy(found), squared_distance(layout, order))


@pytest.mark.parametrize("index", ["int", "long long"])
def test_one_sweep_by_hand(compiler: None, index: str) -> None:
    scalar = {"int": np.int32, "long long": np.int64}[index]
    compiled = CpuModule(kernels.FOLDER / "distance.cu", (f"-I{kernels.FOLDER}", f"-DINDEX={index}"))
    labels = np.array([[0, 1, 1, 1, 1, 2, 2, 2]], np.int32)
    after = np.zeros_like(labels)
    shape = (scalar(8), scalar(8), scalar(1))
    kernels.launch(compiled, "distance_sweep", 8, labels, None, after, *shape, np.int64(4))
    assert after.tolist() == [[0, 4, 16, 16, 4, 4, 16, 36]]
    before = np.array([[0, 4, 1, 90, 90, 90, 90, 2]], np.int32)
    kernels.launch(compiled, "distance_sweep", 8, labels, before, after, *shape, np.int64(1))
    assert after.tolist() == [[0, 1, 1, 2, 1, 1, 3, 2]]
