"""Voxels in small bricks, so that neighbours mostly share a cache line: how a flood keeps an image in host memory.

A flood visits voxels by level and not by place. In scan order the six neighbours of a voxel lie on five cache lines
and as many pages; in bricks of 4 x 4 x 4 (8 x 8 in 2-D) mostly on two, which makes a flood more than twice as fast.
A border of one voxel around the image saves every test of whether a neighbour exists. Axes of length 1 are left out,
and where there are few planes or rows a brick holds fewer of them, so that border and filling stay small.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._compiled import bare

__all__ = ["Grid", "fill", "fits", "grid_of", "neighbour_steps", "place_of", "taken"]

BRICK = 64
"""Voxels of a brick."""

BRICKS = sorted(
    (edges for edges in itertools.product(range(7), repeat=3) if sum(edges) == 6), key=lambda e: (math.hypot(*e), e)
)
"""Binary logarithms of the edges that a brick can have, the most compact first."""

SPARE = 1.25
"""Places that a more compact brick may take, as a multiple of the fewest."""

MAX_PLACES = 2**30 - 1
"""Places of the largest image that is flooded as one: int32 numbers them twice."""


class Grid(NamedTuple):
    """Where the voxels of an image lie among the bricks; plain numbers, so that compiled loops can take it.

    Parameters
    ----------
    nz, ny, nx : int
        The shape of the image without axes of length 1; a 2-D image has one plane.
    bz, by, bx : int
        Binary logarithms of a brick's edges, 6 together.
    pz : int
        Planes of border on either side; rows and columns have one.
    my, mx : int
        Bricks along Y and X.
    size : int
        Places in all, with the border and what fills up bricks.
    """

    nz: int
    ny: int
    nx: int
    bz: int
    by: int
    bx: int
    pz: int
    my: int
    mx: int
    size: int


def fits(shape: Sequence[int]) -> bool:
    """Tell whether an image is small enough to be flooded as one."""
    return _grid(shape).size <= MAX_PLACES


def grid_of(shape: Sequence[int]) -> Grid:
    """Return the grid of an image in 2-D or 3-D, or raise if it has more than `MAX_PLACES`."""
    grid = _grid(shape)
    if grid.size > MAX_PLACES:
        raise ValueError(
            f"an image of shape {tuple(shape)} has {grid.size} places, border included, and at most {MAX_PLACES} are "
            "flooded as one; pass dask arrays, which are flooded in tiles to the same labels"
        )
    return grid


def _grid(shape: Sequence[int]) -> Grid:
    """Return the grid of the most compact bricks that take not many more places than the fewest possible."""
    long = [int(n) for n in shape if n != 1]
    sizes = (*(1,) * (3 - len(long)), *long)
    pads = int(sizes[0] > 1), 1, 1
    grids = [_in_bricks(sizes, edges, pads) for edges in BRICKS if pads[0] or not edges[0]]
    fewest = min(grid.size for grid in grids)
    return next(grid for grid in grids if grid.size <= SPARE * fewest)


def _in_bricks(sizes: Sequence[int], edges: Sequence[int], pads: Sequence[int]) -> Grid:
    (nz, ny, nx), (bz, by, bx) = sizes, edges
    mz, my, mx = (-(-(n + 2 * p) // (1 << b)) for n, p, b in zip(sizes, pads, edges, strict=True))
    return Grid(nz, ny, nx, bz, by, bx, pads[0], my, mx, mz * my * mx * BRICK)


def neighbour_steps(grid: Grid, connectivity: int) -> NDArray[np.int32]:
    """Return how far each neighbour is, in places, from each of the 64 voxels of a brick.

    Parameters
    ----------
    grid : Grid
        The grid.
    connectivity : int
        How many axes a step may cross.

    Returns
    -------
    int32 array of shape (64, n)
        One row per voxel of a brick, the neighbours in scan order.
    """
    local = np.arange(BRICK)
    y, x = (local >> grid.bx) & ((1 << grid.by) - 1), local & ((1 << grid.bx) - 1)
    z = local >> (grid.bx + grid.by)
    edges = (1 << grid.bz, 1 << grid.by, 1 << grid.bx)
    z, y, x = (at + edge for at, edge in zip((z, y, x), edges, strict=True))  # a brick with bricks on all sides
    reach = [(-1, 0, 1) if grid.pz else (0,), (-1, 0, 1), (-1, 0, 1)]
    steps = [s for s in itertools.product(*reach) if 0 < sum(map(abs, s)) <= connectivity]
    here = _places(grid, z, y, x)
    away = [_places(grid, z + dz, y + dy, x + dx) - here for dz, dy, dx in steps]
    return np.ascontiguousarray(np.stack(away, axis=1), np.int32)


def _places(grid: Grid, z: NDArray[Any], y: NDArray[Any], x: NDArray[Any]) -> NDArray[np.int64]:
    """Return the places of points of the bordered image, as `place_of` does."""
    brick = ((z >> grid.bz) * grid.my + (y >> grid.by)) * grid.mx + (x >> grid.bx)
    inner = ((z & ((1 << grid.bz) - 1)) << grid.by | (y & ((1 << grid.by) - 1))) << grid.bx
    return np.asarray(brick * BRICK + (inner | (x & ((1 << grid.bx) - 1))), np.int64)


@bare
def place_of(grid: Grid, z: int, y: int, x: int) -> int:
    """Return the place of a voxel of the image."""
    z, y, x = z + grid.pz, y + 1, x + 1
    brick = ((z >> grid.bz) * grid.my + (y >> grid.by)) * grid.mx + (x >> grid.bx)
    inner = (z & ((1 << grid.bz) - 1)) << grid.by | (y & ((1 << grid.by) - 1))
    return brick << 6 | inner << grid.bx | (x & ((1 << grid.bx) - 1))


@bare
def fill(places: NDArray[Any], field: int, image: NDArray[Any], grid: Grid) -> None:
    """Write an image of shape (nz, ny, nx) into one field of the records of shape (size, n)."""
    for z in range(grid.nz):
        for y in range(grid.ny):
            for x in range(grid.nx):
                places[place_of(grid, z, y, x), field] = image[z, y, x]


@bare
def taken(places: NDArray[np.uint32], field: int, grid: Grid, out: NDArray[Any]) -> None:
    """Read one field of the records back into an image of shape (nz, ny, nx)."""
    for z in range(grid.nz):
        for y in range(grid.ny):
            for x in range(grid.nx):
                out[z, y, x] = places[place_of(grid, z, y, x), field]
