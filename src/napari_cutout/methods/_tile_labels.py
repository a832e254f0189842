"""The distances of a flood in tiles, inside zones of equal level, and the labels that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array
from .._plan import Tile
from .._shelf import face_of
from ._keys import outside_of
from ._tile_frame import Frame, frame_of, shelf_of, steps_in, walls_of
from ._tile_levels import Agreed, Known, level_around, level_now, planted_in
from ._tile_loops import EXIT, OPEN, UNKNOWN, enter, name_exits, relax, resolve, spread

__all__ = ["counted", "distances", "exits_of", "followed", "labelled", "resolved", "summed", "where_nearer"]

Ints = NDArray[np.int64]


def distances(
    tile: Tile,
    known: Known,
    surface: Array | None,
    markers: Array | None,
    territory: Array | None,
    *,
    connectivity: int,
    first: bool,
) -> Ints:
    """Measure the distances of a tile, and return their sum on each face."""
    frame, shelf = frame_of(tile), shelf_of(tile)
    kept = None if first else shelf.kept("level")
    own = level_now(tile, known, (surface, markers, territory), connectivity) if kept is None else kept
    level = level_around(tile, known, frame, own, connectivity)
    held = None if first else shelf.kept("distance")
    walls = walls_of(frame, tile, territory)
    distance = _spread_from(tile, known, frame, level, walls, held, markers, connectivity, alone=first)
    found = distance.reshape(frame.wide)[frame.inner]
    shelf.keep("distance", found)
    shelf.tell("distance", found)
    faces = [(axis, side) for axis in range(found.ndim) for side in (0, 1)]
    return np.array([int(found[face_of(found.ndim, *face)].sum(dtype=np.int64)) for face in faces])


def _spread_from(
    tile: Tile,
    known: Known,
    frame: Frame,
    level: NDArray[Any],
    walls: NDArray[np.int32],
    held: NDArray[np.int32] | None,
    markers: Array | None,
    connectivity: int,
    alone: bool = False,
) -> NDArray[np.int32]:
    """Return the distances of a tile and of what is around it, flat; from those of its neighbours unless `alone`."""
    outside, steps = outside_of(known.key), steps_in(frame.wide, connectivity)
    distance = frame.around(UNKNOWN if held is None else held, UNKNOWN, np.int32)
    queue, given, n = np.empty(level.size, np.int32), np.zeros(0, np.int64), 0
    if not alone:
        shelf_of(tile).around("distance", distance, connectivity)
    distance = distance.reshape(-1)
    if held is None:
        planted = frame.around(planted_in(tile, level.reshape(frame.wide)[frame.inner], markers), 0, np.int32) > 0
        n = enter(level, frame.own, planted.reshape(-1), outside, walls, steps, distance, queue)
    if not alone:
        given = np.empty(len(frame.faces), np.int64)
        given = given[: relax(frame.faces, frame.own, level, outside, walls, steps, distance, given)]
        given = given[np.argsort(distance[given], kind="stable")]
    spread(level, frame.own, walls, steps, distance, given, queue, n)
    return distance


def summed(state: Agreed, sums: dict[int, Ints]) -> Agreed:
    """Write down the sums of the distances on the faces of tiles."""
    n = len(state.starts) - 1
    found = state.sums.copy() if len(state.sums) else np.full((n, len(next(iter(sums.values())))), -1, np.int64)
    for number, of_faces in sums.items():
        found[number] = of_faces
    return replace(state, sums=found)


def where_nearer(old: Agreed, new: Agreed, tiles: Any) -> Sequence[int]:
    """Return the tiles beside which a face has another sum of distances: they have become less, or are the same."""
    grid = tuple(len(sizes) for sizes in tiles.chunks)
    changed = (old.sums != new.sums).reshape(*grid, -1)
    found = np.zeros(grid, bool)
    for step in np.ndindex(*(3,) * len(grid)):
        away = tuple(s - 1 for s in step)
        if any(away):
            axis = next(a for a, s in enumerate(away) if s)
            here = tuple(slice(max(-s, 0), n - max(s, 0)) for s, n in zip(away, grid, strict=True))
            there = tuple(slice(max(s, 0), n - max(-s, 0)) for s, n in zip(away, grid, strict=True))
            found[here] |= changed[(*there, 2 * axis + int(away[axis] < 0))]
    return np.flatnonzero(found).tolist()


# 3. Labels ---------------------------------------------------------------------------------------------


def _labels_of(
    tile: Tile, known: Known, surface: Any, markers: Any, territory: Any, connectivity: int
) -> tuple[NDArray[np.int32], Ints]:
    """Return the labels of a tile, or which exits have them, and the flat indices of these exits."""
    frame, shelf = frame_of(tile), shelf_of(tile)
    own, held = shelf.kept("level"), shelf.kept("distance")
    if own is None:
        own = level_now(tile, known, (surface, markers, territory), connectivity)
    level, walls = level_around(tile, known, frame, own, connectivity), walls_of(frame, tile, territory)
    if held is None:
        distance = _spread_from(tile, known, frame, level, walls, None, markers, connectivity)
    else:
        distance = shelf.around("distance", frame.around(held, UNKNOWN, np.int32), connectivity).reshape(-1)
    labels = np.where(frame.own, np.int32(OPEN), EXIT - np.arange(level.size, dtype=np.int32))
    planted = frame.around(planted_in(tile, own, markers), 0, np.int32).reshape(-1)
    labels[planted > 0] = planted[planted > 0]
    labels[level == outside_of(known.key)] = 0
    steps = steps_in(frame.wide, connectivity)
    resolve(frame.own, labels, level, distance, walls, steps, np.empty(level.size, np.int32))
    exits = np.unique(EXIT - labels[frame.own & (labels <= EXIT)]).astype(np.int64)
    name_exits(frame.own, labels, np.zeros(level.size, np.int32))
    return labels.reshape(frame.wide)[frame.inner], exits


def resolved(tile: Tile, known: Known, surface: Any, markers: Any, territory: Any, *, connectivity: int) -> int:
    """Keep the labels of a tile, tell those of the outermost voxels, note its exits and return how many there are."""
    labels, exits = _labels_of(tile, known, surface, markers, territory, connectivity)
    shelf = shelf_of(tile)
    shelf.keep("node", labels)
    shelf.tell("label", labels)
    shelf.note("exits", exits.astype(np.int32))
    return len(exits)


def counted(state: Agreed, n_exits: dict[int, int]) -> Agreed:
    return replace(state, exits=np.cumsum([0, *(n_exits[number] for number in sorted(n_exits))], dtype=np.int64))


def exits_of(tile: Tile, known: Known, *_: Any, connectivity: int) -> Ints:
    """Return the label of each exit, or as ``EXIT - (tile << 32 | exit)`` which exit of its own tile has it."""
    frame, shelf = frame_of(tile), shelf_of(tile)
    exits = shelf.noted("exits", known.n_exits)
    label: Ints = shelf.around("label", frame.full(0, np.int32), connectivity).reshape(-1)[exits].astype(np.int64)
    number = frame.full(0, np.int64)
    shelf.named(number, connectivity, int)
    farther = label <= EXIT
    label[farther] = EXIT - (number.reshape(-1)[exits][farther] << 32 | EXIT - label[farther])
    return label


def followed(state: Agreed, told: dict[int, Ints]) -> Agreed:
    """Follow exits from tile to tile until every one has a label."""
    label = np.concatenate([told[number] for number in sorted(told)])
    farther = np.flatnonzero(label <= EXIT)
    code = EXIT - label[farther]
    label[farther] = EXIT - (state.exits[code >> 32] + (code & (2**32 - 1)))
    while len(farther):
        label[farther] = label[EXIT - label[farther]]
        farther = farther[label[farther] <= EXIT]
    return replace(state, label=label.astype(np.int32))


def labelled(
    tile: Tile, known: Known, surface: Any, markers: Any, territory: Any, *, connectivity: int
) -> NDArray[np.int32]:
    """Return the labels of a tile."""
    labels = shelf_of(tile).kept("node")
    if labels is None:
        labels, _ = _labels_of(tile, known, surface, markers, territory, connectivity)
    away = labels <= EXIT
    found = np.array(labels)
    found[away] = known.labels[EXIT - labels[away]]
    return found
