"""Sweeps whose tiles are computed on a GPU, or on a device that stands for one, against the whole on the host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from napari_cutout import _device, kernels
from napari_cutout._method import Method
from napari_cutout.blockwise import Stored, Threads, regions_of, write_labels
from napari_cutout.recipe import Recipe, Step
from napari_cutout.running._execute import execute
from napari_cutout.running._in_sweeps import in_sweeps

from . import strict
from .cases import METHODS, NETWORKS, arrays_of, two_humps
from .conftest import on_the_cpu

SHAPE, TILE = (30, 41, 36), (16, 24, 20)

OPTIONS: dict[str, Any] = {
    "background_radius": 4.0, "median_radius": 1, "sigma": 0.7, "fill_holes": True, "clear_border": True,
    "min_size": 3, "one_per_object": True,
}  # fmt: skip
"""What a method has of these is on; `min_size` is a share for one of them."""

VALUES: dict[str, Any] = {"threshold_at": {"value": 4000.0}, "classes_at": {"values": (4000.0, 8000.0)}}


def droplets() -> np.ndarray:
    """Return blobs with holes, most of which are apart from each other and from the border."""
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.standard_normal(SHAPE), 1.8)
    levels = np.quantile(smooth, [0.75, 0.9, 0.99])
    return (np.array([20, 90, 130, 25])[np.searchsorted(levels, smooth)] * 100 + 2000 * rng.random(SHAPE)).astype(
        "uint16"
    )


class Written:
    """Labels in memory, written block by block."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.labels = np.zeros(shape, np.int32)

    def write(self, region: tuple[slice, ...], block: np.ndarray) -> None:
        assert isinstance(block, np.ndarray)
        self.labels[region] = block


@pytest.fixture(params=[pytest.param("strict", marks=pytest.mark.kernels), pytest.param("cupy", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let ``"gpu"`` mean the GPU, or a device from which data come back only where the code says so."""
    if request.param == "cupy":
        request.getfixturevalue("to_gpu")
    else:
        monkeypatch.setitem(kernels.LOADERS, "array_api_strict", on_the_cpu)
        monkeypatch.setattr(_device, "place", placed)
    return str(request.param)


def placed(array: Any, used: str) -> Any:
    return strict.on_device(array) if used == "gpu" and isinstance(array, np.ndarray) else array


def in_tiles(recipe: Recipe, arrays: dict[str, np.ndarray], n_workers: int = 2) -> np.ndarray:
    sweeper = Threads(TILE, n_workers, "gpu")
    found = in_sweeps(recipe, {name: Stored(array, "gpu") for name, array in arrays.items()}, sweeper)
    target = Written(found.labels.shape)
    write_labels(found.labels, target, regions_of(sweeper.chunks(target.labels.shape)), sweeper)
    return target.labels


@pytest.mark.parametrize("entry", [m for m in METHODS if m not in NETWORKS], ids=lambda m: m.name)
def test_tiles_on_a_gpu_give_the_labels_of_the_whole_on_the_host(entry: Method, device: str) -> None:
    arrays = arrays_of(entry, droplets())
    known = {p.name: p for p in entry.settings}
    options = {name: value for name, value in OPTIONS.items() if name in known}
    if entry.name == "superpixels":
        options["min_size"] = 0.5
    elif "one_per_object" not in known and entry.source.name == "image":  # all regions reach the border
        options.pop("clear_border", None)
    recipe = Recipe([Step(entry.name, VALUES.get(entry.name, {}) | options)])
    expected = execute(recipe, arrays, device="cpu").labels
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(in_tiles(recipe, arrays), expected)


def test_tiles_of_several_steps_stay_on_the_device(device: str) -> None:
    steps = [Step("threshold", {"sigma": 0.7}), Step("split_touching", inputs={"labels": "step_1"})]
    arrays = {"image": droplets()}
    np.testing.assert_array_equal(in_tiles(Recipe(steps), arrays), execute(Recipe(steps), arrays, device="cpu").labels)


@pytest.fixture
def little_memory(to_gpu: Any) -> Iterator[int]:
    """Let CuPy take 24 MiB beyond what it has."""
    import cupy

    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()
    pool.set_limit(size=pool.used_bytes() + (24 << 20))
    yield 24 << 20
    pool.set_limit(size=0)


@pytest.mark.gpu
def test_tiles_need_the_memory_of_tiles(little_memory: int) -> None:
    image = two_humps((96, 120, 100), dtype="uint16")
    markers = np.zeros(image.shape, np.int32)
    markers[::24, ::24, ::24] = np.arange(1, 1 + markers[::24, ::24, ::24].size).reshape(4, 5, 5)
    recipe, arrays = Recipe([Step("watershed")]), {"image": image, "markers": markers}
    expected = execute(recipe, arrays, device="cpu").labels
    assert 32 * image.size > little_memory
    np.testing.assert_array_equal(in_tiles(recipe, arrays), expected)
