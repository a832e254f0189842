"""Regional minima in tiles: zones of equal level that cross tiles, joined by what tiles tell of their faces."""

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
from ._keys import outside_of
from ._markers import Told
from ._tile_frame import NO_WALLS, frame_of, shelf_of, steps_in
from ._tile_loops import passes_across
from ._voxel_grid import fits

__all__ = ["minima_plan"]

Ints = NDArray[np.int64]


def minima_plan(whole: Any, connectivity: int, told: Told, dtypes: Any) -> Stitch:
    """Return the plan of the regional minima of levels; its arrays are keys of levels and territory."""
    look: dict[str, Any] = {"connectivity": connectivity}
    walls = (1,) if dtypes[1] not in (None, "bool") else ()
    return Stitch(
        whole,
        None,
        (
            Exchange(partial(_zones_told, **look), _gathered, "looking for minima in tiles"),
            Exchange(
                partial(_across, **look, key=dtypes[0]),
                partial(_joined, told=told),
                "joining minima across tiles",
                reads=walls,
            ),
        ),
        _known,
        partial(_numbered, **look),
        "int32",
        fits,
        blocks={"zone": "int32"},
        records={"key": dtypes[0], "zone": "int32"},
        reads=(),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Zones:
    """The zones of a tile that have no lower neighbour in it.

    Parameters
    ----------
    zone : int32 array of shape (n,)
        Their numbers in the tile, rising.
    first : int64 array of shape (n,)
        The linear index in the whole of each one's first voxel.
    """

    zone: NDArray[np.int32]
    first: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """The numbers in the whole of the zones of a tile that are minima, or parts of one."""

    zone: NDArray[np.int32]
    number: NDArray[np.int32]


def _known(state: Any, tile: Tile) -> Any:
    return None if state is None else state[tile.number]


def _zones_of(
    tile: Tile, level: Array, territory: Array | None, connectivity: int
) -> tuple[NDArray[np.int32], NDArray[np.bool_], Ints]:
    """Return the zones of own voxels, from 1 in scan order, whether each has a lower voxel, and its first."""
    frame, key = frame_of(tile), np.array(to_numpy(level))
    outside, walls = outside_of(key.dtype), NO_WALLS
    if territory is not None:
        seen = to_numpy(territory)
        key[seen == 0] = outside
        walls = walls if seen.dtype == bool else frame.seen(tile, seen, 0, np.int32).reshape(-1)
    wide, zone = frame.seen(tile, key, outside, key.dtype).reshape(-1), frame.full(0, np.int32).reshape(-1)
    lower, first, queue = (
        np.zeros(zone.size + 1, bool),
        np.zeros(zone.size + 1, np.int32),
        np.empty(zone.size, np.int32),
    )
    steps = steps_in(frame.wide, connectivity)
    n = _label_zones(wide, frame.own, outside, walls, steps, zone, lower, first, queue)
    return zone.reshape(frame.wide)[frame.inner], lower[: n + 1], first[: n + 1].astype(np.int64)


@bare
def _label_zones(
    level: NDArray[Any],
    own: NDArray[np.bool_],
    outside: Any,
    territory: NDArray[np.int32],
    steps: NDArray[np.int64],
    zone: NDArray[np.int32],
    lower: NDArray[np.bool_],
    first: NDArray[np.int32],
    queue: NDArray[np.int32],
) -> int:
    n = 0
    for start in range(level.size):
        if not own[start] or level[start] == outside or zone[start] != 0:
            continue
        n += 1
        zone[start], queue[0], first[n] = n, start, start
        begin, end = 0, 1
        while begin < end:
            here = queue[begin]
            begin += 1
            for step in steps:
                there = here + step
                if territory.size > 0 and territory[there] != territory[here]:
                    continue
                if level[there] < level[here]:
                    lower[n] = True
                elif level[there] == level[here] and own[there] and zone[there] == 0:
                    zone[there], queue[end] = n, there
                    end += 1
    return n


def _signed(zone: NDArray[np.int32], lower: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the zones, those that have a lower voxel with a minus."""
    return np.where(lower[zone], -zone, zone)


def _zones_told(tile: Tile, known: None, level: Array, territory: Array | None, *, connectivity: int) -> Zones:
    zone, lower, first = _zones_of(tile, level, territory, connectivity)
    signed, shelf = _signed(zone, lower), shelf_of(tile)
    shelf.keep("zone", signed)
    shelf.tell("zone", signed)
    shelf.tell("key", to_numpy(level)[tile.own])
    lower[0] = True
    numbers = np.flatnonzero(~lower)
    at = np.unravel_index(first[numbers], frame_of(tile).wide)
    starts = (o + s.start - 1 for o, s in zip(tile.origin, tile.own, strict=True))
    moved = tuple(a.astype(np.int64) + s for a, s in zip(at, starts, strict=True))
    return Zones(numbers.astype(np.int32), np.asarray(np.ravel_multi_index(moved, tile.whole), np.int64))


def _gathered(_: None, found: dict[int, Zones]) -> dict[int, Zones]:
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Met:
    """The zones of a tile that go on in later tiles.

    Parameters
    ----------
    own, other : int32 arrays of shape (n,)
        Two parts of one zone, neither of which has a lower voxel in its own tile.
    tile : int64 array of shape (n,)
        The tile of the other part.
    barred : int32 array of shape (m,)
        Parts that go on in another tile, where they have a lower voxel.
    bars : int64 array of shape (m,)
        The tile of each.
    """

    own: NDArray[np.int32]
    tile: Ints
    other: NDArray[np.int32]
    barred: NDArray[np.int32]
    bars: Ints


def _across(tile: Tile, known: Zones, _: Array | None, territory: Array | None, *, connectivity: int, key: str) -> Met:
    frame, shelf = frame_of(tile), shelf_of(tile)
    later = [number for _, number in shelf.neighbours() if number > tile.number]
    outside, steps = outside_of(key), steps_in(frame.wide, connectivity)
    level = shelf.around("key", frame.full(outside, key), connectivity, own=True).reshape(-1)
    zone = shelf.around("zone", frame.full(0, np.int32), connectivity, own=True).reshape(-1)
    place = frame.full(-1, np.int8)
    shelf.named(place, connectivity, lambda number: later.index(number) if number in later else -1)
    walls = NO_WALLS
    if territory is not None:
        walls = frame.seen(tile, to_numpy(territory), 0, np.int32).reshape(-1)
    found = np.empty((len(frame.faces) * len(steps), 2), np.int64)
    weight = np.empty(len(found), level.dtype)
    n = passes_across(frame.faces, frame.own, level, outside, walls, steps, place.reshape(-1), found, weight)
    here, there = found[:n].T
    same = (level[here] == level[there]) & (zone[here] != 0) & (zone[there] != 0)
    here, there = here[same], there[same]
    a, b, to = zone[here], zone[there], np.asarray([*later, 0], np.int64)[place.reshape(-1)[there]]
    both, first, second = (a > 0) & (b > 0), (a > 0) & (b < 0), (a < 0) & (b > 0)
    pairs = np.unique(np.stack([a[both], to[both], b[both]]).astype(np.int64), axis=1)
    barred = np.stack([np.r_[a[first], b[second]], np.r_[np.full(int(first.sum()), tile.number), to[second]]])
    barred = np.unique(barred.astype(np.int64), axis=1)
    return Met(pairs[0].astype(np.int32), pairs[1], pairs[2].astype(np.int32), barred[0].astype(np.int32), barred[1])


def _joined(zones: dict[int, Zones], met: dict[int, Met], told: Told) -> dict[int, Numbers]:
    """Join the parts of zones, and number those without a lower neighbour by first voxel."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    tiles = [zones[number] for number in sorted(zones)]
    starts = np.cumsum([0, *(len(z.zone) for z in tiles)])
    n = int(starts[-1])
    place = _places(tiles, starts)
    pairs = [np.zeros((2, 0), np.int64)]
    bars = [np.zeros(0, np.int64)]
    for number in sorted(met):
        m = met[number]
        pairs.append(np.stack([place(np.full(len(m.own), number), m.own), place(m.tile, m.other)]))
        bars.append(place(m.bars, m.barred))
    a, b = np.concatenate(pairs, axis=1)
    _, root = connected_components(coo_array((np.ones(len(a), bool), (a, b)), shape=(n, n)), directed=False)
    n_whole = int(root.max(initial=-1)) + 1
    first, barred = np.full(n_whole, 2**63 - 1), np.zeros(n_whole, bool)
    np.minimum.at(first, root, np.concatenate([np.zeros(0, np.int64), *(z.first for z in tiles)]))
    barred[root[np.concatenate(bars)]] = True
    number_of = np.zeros(n_whole, np.int32)
    by_first = np.argsort(first, kind="stable")
    minima = by_first[~barred[by_first]]
    number_of[minima] = np.arange(1, len(minima) + 1)
    if told is not None:
        told(len(minima))
    final = number_of[root]
    return {
        tile: Numbers(zones[tile].zone, final[s:e])
        for tile, (s, e) in zip(sorted(zones), itertools.pairwise(starts), strict=True)
    }


def _places(tiles: list[Zones], starts: NDArray[Any]) -> Any:
    """Return the function from tiles and their zones to places among the zones of all tiles."""

    def place(numbers: Ints, zones: NDArray[np.int32]) -> Ints:
        found = np.empty(len(zones), np.int64)
        for number in np.unique(numbers).tolist():
            here = numbers == number
            found[here] = starts[number] + np.searchsorted(tiles[number].zone, zones[here])
        return found

    return place


def _numbered(
    tile: Tile, known: Numbers, level: Array | None, territory: Array | None, *, connectivity: int
) -> NDArray[np.int32]:
    kept = shelf_of(tile).kept("zone")
    if kept is None:
        assert level is not None
        zone, lower, _ = _zones_of(tile, level, territory, connectivity)
        kept = _signed(zone, lower)
    table = np.zeros(max(int(kept.max(initial=0)), int(known.zone.max(initial=0))) + 1, np.int32)
    table[known.zone] = known.number
    return table[np.maximum(kept, 0)]
