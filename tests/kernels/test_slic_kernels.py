"""The kernels of superpixels find what the host finds, bit for bit, launched as on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout import _plan, kernels
from napari_cutout._array import to_numpy
from napari_cutout.methods._slic import Grid
from napari_cutout.methods._slic_blocks import Block, added_up
from napari_cutout.methods._slic_device import near_cells
from napari_cutout.methods._slic_sums import Sums

from .. import strict
from ..test_superpixels import CASES, case_of

GPU = pytest.param("cupy", marks=pytest.mark.gpu)


@pytest.fixture(params=[pytest.param("strict", marks=pytest.mark.kernels), GPU])
def move(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """Return what takes an array to where the kernels run; a hidden way back raises."""
    if request.param == "cupy":
        moved: Callable[[Any], Any] = request.getfixturevalue("to_gpu")
        return moved
    request.getfixturevalue("on_cpu")
    return strict.on_device


@pytest.fixture(params=[(32, "int"), (4096, "int"), (32, "long long")], ids=["many blocks", "one block", "64 bits"])
def build(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run small images as many blocks or as one, and name voxels in 64 bits as volumes that need them."""
    threads, index = request.param
    if request.node.callspec.params.get("move") == "cupy":  # a card has not the registers for larger blocks
        threads = min(threads, kernels.THREADS)
    monkeypatch.setattr(kernels, "THREADS", threads)
    monkeypatch.setattr(kernels, "MAX_NARROW", 0 if index == "long long" else kernels.MAX_NARROW)


@pytest.mark.parametrize("case", CASES)
def test_device_and_host_find_the_same(case: str, move: Callable[[Any], Any]) -> None:
    channels, mask, settings = case_of(case)
    expected = nc.superpixels(channels, mask, channel_axis=0, **settings)
    found = nc.superpixels(move(channels), None if mask is None else move(mask), channel_axis=0, **settings)
    assert found.device == move(channels).device
    np.testing.assert_array_equal(to_numpy(found), expected)


def test_racing_threads_find_the_same(move: Callable[[Any], Any], build: None) -> None:
    channels, mask, settings = case_of("masked volume")
    settings = settings | {"max_iterations": 3}
    expected = nc.superpixels(channels, mask, channel_axis=0, **settings)
    np.testing.assert_array_equal(
        to_numpy(nc.superpixels(move(channels), move(mask), channel_axis=0, **settings)), expected
    )


def test_blocks_on_a_device_do_not_show(move: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    channels, mask, settings = case_of("masked volume")
    expected = nc.superpixels(channels, mask, channel_axis=0, **settings)
    monkeypatch.setattr(_plan, "DEVICE_BLOCK_VOXELS", 3000)
    found = nc.superpixels(move(channels), move(mask), channel_axis=0, **settings)
    np.testing.assert_array_equal(to_numpy(found), expected)


def test_a_block_without_centres_is_outside(move: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    channels, mask = case_of("masked volume")[0], np.zeros((12, 18, 24), bool)
    mask[0, :2, :2] = mask[-1, -2:, -2:] = True
    expected = nc.superpixels(channels, mask, channel_axis=0, n_superpixels=4)
    monkeypatch.setattr(_plan, "DEVICE_BLOCK_VOXELS", 3000)
    found = to_numpy(nc.superpixels(move(channels), move(mask), channel_axis=0, n_superpixels=4))
    np.testing.assert_array_equal(found, expected)
    assert found[~mask].max() == 0


def test_sums_of_three_voxels_by_hand(move: Callable[[Any], Any], build: None) -> None:
    """A negative sum, and one of a block that begins elsewhere, come back as they are."""
    labels = np.array([[[1, -1, 1, 0]]], np.int32)
    values = np.array([[[[-2.5, 9, 0.25, 1]]]], np.float32)
    block = Block(move(values), None, (7, 5, 3))
    sums = added_up(move(labels), block, 2)
    assert isinstance(sums, Sums)
    assert sums.counts.tolist() == [1, 2]
    assert sums.places.tolist() == [[7, 5, 6], [14, 10, 3 + 5]]
    assert (sums.colours / 2**20).tolist() == [[1.0], [-2.25]]


def test_cells_list_the_centres_whose_windows_reach_into_them() -> None:
    grid = Grid((0, 0, 10), (1, 1, 8), (1, 1, 4), 2.0)  # cells of two voxels, from 10 on
    windows = np.array([[[0, 1], [0, 1], w] for w in ([8, 12], [11, 15], [5, 30], [0, 0])], np.int32)
    start, near = near_cells(grid, windows)
    lists = [near[a:b].tolist() for a, b in pairwise(start)]
    assert lists == [[0, 1, 2], [1, 2], [1, 2], [2]]
