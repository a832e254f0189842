"""Regional minima in tiles: zones of equal level that cross tiles, joined by the voxels that tiles share."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, to_numpy
from .._compiled import bare
from .._plan import Exchange, Stitch, Tile
from ._markers import Told
from ._tiles import Padded, padded_levels
from ._voxel_grid import fits

__all__ = ["minima_plan"]

NOT_HERE = 2**63 - 1
"""The first voxel of a zone that has none in the tile itself."""


def minima_plan(whole: Any, connectivity: int, told: Told) -> Stitch:
    """Return the plan of the regional minima of levels; its arrays are 64-bit levels and territory."""
    return Stitch(
        whole,
        None,
        (
            Exchange(
                partial(_zones_told, connectivity=connectivity),
                partial(_joined, told=told),
                "joining minima across tiles",
            ),
        ),
        lambda state, tile: None if state is None else state[tile.number],
        partial(_numbered, connectivity=connectivity),
        "int32",
        fits,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Zones:
    """The zones of a tile that may be minima, or parts of one.

    Parameters
    ----------
    zone : int64 array of shape (n,)
        Their numbers in the tile, rising.
    first : int64 array of shape (n,)
        The linear index in the whole of each one's first own voxel; NOT_HERE if it has none.
    lower : bool array of shape (n,)
        Whether a voxel of it has a lower neighbour.
    shared : int64 array of shape (m,)
        Linear indices in the whole of the voxels that other tiles have as well.
    at : int64 array of shape (m,)
        The zone of each, as a position in `zone`.
    """

    zone: NDArray[np.int64]
    first: NDArray[np.int64]
    lower: NDArray[np.bool_]
    shared: NDArray[np.int64]
    at: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """The numbers of the zones of a tile that are minima, or parts of one.

    Parameters
    ----------
    zone : int64 array of shape (n,)
        Their numbers in the tile.
    number : int32 array of shape (n,)
        Their numbers in the whole.
    """

    zone: NDArray[np.int64]
    number: NDArray[np.int32]


def _zones_of(padded: Padded) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the zone of every voxel of a tile, numbered from 1 in scan order, and whether each has a lower voxel."""
    zone = np.zeros(padded.key.size, np.int64)
    lower = np.zeros(padded.key.size + 1, bool)
    n = _label_zones(padded.key, padded.territory, padded.steps, zone, lower, np.empty(padded.key.size, np.int64))
    return zone, lower[: n + 1]


@bare
def _label_zones(
    level: NDArray[np.uint64],
    territory: NDArray[np.int64],
    steps: NDArray[np.int64],
    zone: NDArray[np.int64],
    lower: NDArray[np.bool_],
    queue: NDArray[np.int64],
) -> int:
    n = 0
    for start in range(level.size):
        if territory[start] == 0 or zone[start] != 0:
            continue
        n += 1
        zone[start], queue[0] = n, start
        first, last = 0, 1
        while first < last:
            here = queue[first]
            first += 1
            for step in steps:
                there = here + step
                if territory[there] != territory[here]:
                    continue
                if level[there] < level[here]:
                    lower[n] = True
                elif level[there] == level[here] and zone[there] == 0:
                    zone[there], queue[last] = n, there
                    last += 1
    return n


def _zones_told(tile: Tile, known: None, level: Array, territory: Array | None, *, connectivity: int) -> Zones:
    padded = padded_levels(tile, to_numpy(level), territory, connectivity)
    zone, lower = _zones_of(padded)
    shared = padded.places(tile.shared())
    shared = shared[zone[shared] > 0]
    told = ~lower
    told[zone[shared]] = True
    told[0] = False
    numbers = np.flatnonzero(told)
    first = np.full(len(lower), NOT_HERE)
    places = padded.places(tile.owned())[::-1]  # written last, the first voxel stays
    first[zone[places]] = padded.index(places)
    return Zones(numbers, first[numbers], lower[numbers], padded.index(shared), np.searchsorted(numbers, zone[shared]))


def _joined(_: Any, found: dict[int, Zones], told: Told) -> dict[int, Numbers]:
    """Join the zones of all tiles that share a voxel, and number those without a lower neighbour by first voxel."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    tiles = list(found.values())
    starts = np.cumsum([0, *(len(z.zone) for z in tiles)])
    n = int(starts[-1])
    node = np.concatenate([z.at + s for z, s in zip(tiles, starts, strict=False)])
    order = np.argsort(np.concatenate([z.shared for z in tiles]), kind="stable")
    voxel, node = np.concatenate([z.shared for z in tiles])[order], node[order]
    same = voxel[1:] == voxel[:-1]
    a, b = node[1:][same], node[:-1][same]
    _, root = connected_components(coo_array((np.ones(len(a), bool), (a, b)), shape=(n, n)), directed=False)
    n_whole = int(root.max(initial=-1)) + 1
    first, barred = np.full(n_whole, NOT_HERE), np.zeros(n_whole, bool)
    np.minimum.at(first, root, np.concatenate([z.first for z in tiles]))
    barred[root[np.concatenate([z.lower for z in tiles])]] = True
    number = np.zeros(n_whole, np.int32)
    by_first = np.argsort(first, kind="stable")
    minima = by_first[~barred[by_first]]
    number[minima] = np.arange(1, len(minima) + 1)
    if told is not None:
        told(len(minima))
    final = number[root]
    return {
        tile: Numbers(z.zone, final[s:e])
        for (tile, z), (s, e) in zip(found.items(), itertools.pairwise(starts), strict=True)
    }


def _numbered(
    tile: Tile, known: Numbers, level: Array, territory: Array | None, *, connectivity: int
) -> NDArray[np.int32]:
    padded = padded_levels(tile, to_numpy(level), territory, connectivity)
    zone, lower = _zones_of(padded)
    table = np.zeros(len(lower), np.int32)
    table[known.zone] = known.number
    return np.asarray(padded.block(table[zone])[tile.own])
