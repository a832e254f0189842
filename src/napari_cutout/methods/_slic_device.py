"""SLIC on a device: the launches of ``slic.cu``, and the lists of centres near each cell, made on the host."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import kernels
from .._array import Array, contiguous, empty, from_numpy, to_numpy
from .._compiled import bare

if TYPE_CHECKING:
    from ._slic import Centres, Grid
    from ._slic_blocks import Block
    from ._slic_sums import Sums

STRIP = 16
"""Voxels that a thread adds up, as in ``slic.cu``."""


def assigned(
    block: Block,
    grid: Grid,
    cells: tuple[NDArray[np.int32], ...],
    of_cell: NDArray[np.int32],
    axes: tuple[NDArray[np.float32], ...],
    centres: Centres,
) -> Array:
    """Return the number of the nearest centre of every voxel, -1 outside.

    Parameters
    ----------
    block : Block
        On the device.
    grid : Grid
        The cells.
    cells, axes : three host arrays
        Cell of every voxel along each axis, and its place.
    of_cell : int32 array of the shape of the grid
        Number of the centre of each cell.
    centres : Centres
        What voxels are compared with.

    Returns
    -------
    int32 array of the shape of the block
        On the device.
    """
    n = math.prod(block.shape)
    index = kernels.index_of(n)
    labels = empty(block.shape, "int32", like=block.values)
    start, near = near_cells(grid, centres.windows)

    def moved(array: NDArray[Any]) -> Array:
        return from_numpy(np.ascontiguousarray(array), like=block.values)

    kernels.launch(
        kernels.load("slic", block.values, INDEX=index.define), "slic_assign", n,
        labels, contiguous(block.values), None if block.known is None else contiguous(block.known),
        *map(index.scalar, (n, *block.shape[1:])), *map(moved, cells), *map(np.int32, grid.counts[1:]), moved(of_cell),
        *map(moved, axes), moved(centres.places), moved(centres.colours), np.int32(centres.colours.shape[1]),
        moved(centres.reach), moved(start), moved(near),
    )  # fmt: skip
    return labels


def added_up(labels: Array, block: Block, sums: Sums) -> Sums:
    """Return what the voxels of every centre add up to.

    Parameters
    ----------
    labels : int32 array of the shape of the block
        On the device.
    block : Block
        On the device.
    sums : Sums
        Those of no voxels; how many centres there are.

    Returns
    -------
    Sums
        On the host.
    """
    n = math.prod(block.shape)
    index = kernels.index_of(n)
    found = [from_numpy(host, like=labels) for host in (sums.counts, sums.places, sums.colours)]
    kernels.launch(
        kernels.load("slic", labels, INDEX=index.define), "slic_add", -(-n // STRIP),
        *found, contiguous(labels), contiguous(block.values), *map(index.scalar, (n, *block.shape[1:])),
        *map(np.int64, block.origin), np.int32(block.values.shape[0]),
    )  # fmt: skip
    return type(sums)(*map(to_numpy, found))


def near_cells(grid: Grid, windows: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the centres whose windows reach into each cell.

    Parameters
    ----------
    grid : Grid
        The cells, in scan order.
    windows : int32 array of shape (k, 3, 2)
        First index along each axis at which a centre may be a candidate, and the index after the last.

    Returns
    -------
    int64 array of shape (n_cells + 1,)
        Where the numbers for each cell begin.
    int32 array
        Numbers of centres, rising for each cell.
    """
    low, sizes, counts = (np.asarray(n, np.int64) for n in (grid.low, grid.sizes, grid.counts))
    clipped = np.clip(windows - low[:, None], 0, sizes[:, None]).astype(np.int64)
    first = clipped[..., 0] * counts // sizes
    last = (clipped[..., 1] - 1) * counts // sizes
    last[np.any(clipped[..., 0] >= clipped[..., 1], axis=1)] = -1  # a window without voxels
    start = np.zeros(grid.n + 1, np.int64)
    _count_near(first, last, counts, start)
    near = np.empty(start[-1], np.int32)
    _list_near(first, last, counts, start, near)
    return start, near


@bare
def _count_near(
    first: NDArray[np.int64], last: NDArray[np.int64], counts: NDArray[np.int64], start: NDArray[np.int64]
) -> None:
    """Write for every cell where its list ends."""
    for k in range(first.shape[0]):
        for z in range(first[k, 0], last[k, 0] + 1):
            for y in range(first[k, 1], last[k, 1] + 1):
                for x in range(first[k, 2], last[k, 2] + 1):
                    start[(z * counts[1] + y) * counts[2] + x] += 1
    total = 0
    for cell in range(start.size):
        total += start[cell]
        start[cell] = total


@bare
def _list_near(
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    counts: NDArray[np.int64],
    start: NDArray[np.int64],
    near: NDArray[np.int32],
) -> None:
    """Fill the lists from their ends, and leave in `start` where they begin."""
    for k in range(first.shape[0] - 1, -1, -1):
        for z in range(first[k, 0], last[k, 0] + 1):
            for y in range(first[k, 1], last[k, 1] + 1):
                for x in range(first[k, 2], last[k, 2] + 1):
                    cell = (z * counts[1] + y) * counts[2] + x
                    start[cell] -= 1
                    near[start[cell]] = k
