"""The flood levels of tiles: what each tells of its nodes, how the driver joins them, and what tiles make of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, to_numpy
from .._monitor import note
from .._plan import Tile
from ._keys import narrowed, outside_of, part_keys
from ._markers import Missing, check_marker_values
from ._tile_frame import Frame, frame_of, shelf_of, steps_in, walls_of
from ._tile_loops import passes_across, solve, ways_out
from ._tile_passes import SOURCE, Passes, passes_of

__all__ = [
    "Agreed",
    "Known",
    "across",
    "across_minima",
    "contracted",
    "contracted_minima",
    "filled",
    "gathered",
    "known_by",
    "level_around",
    "level_now",
    "levelled",
    "planted_in",
]

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Agreed:
    """What tiles have found together.

    Parameters
    ----------
    key : str
        The dtype of keys.
    depth : float
        How much is poured into every minimum, where that is asked for.
    trees : tuple of Tree
        The nodes of each tile; empty when the levels are known.
    starts : int64 array of shape (tiles + 1,)
        The number of each tile's first node among all, less the two that are no regions.
    level : array of shape (n,)
        The flood level of every node.
    sums : int64 array of shape (tiles, faces)
        The sum of the distances on each face.
    exits : int64 array of shape (tiles + 1,)
        The number of each tile's first exit among all.
    label : int32 array
        The label of every exit.
    """

    key: str
    depth: float = 0.0
    trees: tuple[Tree, ...] = ()
    starts: Ints = field(default_factory=lambda: np.zeros(1, np.int64))
    level: NDArray[Any] = field(default_factory=lambda: np.zeros(0, np.uint32))
    sums: Ints = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    exits: Ints = field(default_factory=lambda: np.zeros(1, np.int64))
    label: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))

    def levels_of(self, number: int) -> NDArray[Any]:
        """Return the levels of a tile's nodes: none is outside, water rises from the sources."""
        own = self.level[self.starts[number] + 1 : self.starts[number + 1] + 1]
        return np.concatenate([np.array([outside_of(self.key), 0], self.key), own])


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What one tile knows.

    Parameters
    ----------
    key : str
        The dtype of keys.
    depth : float
        How much is poured into every minimum.
    levels : dict of int to array
        The levels of the nodes of the tile and of its neighbours, by number.
    n_exits : int
        How many exits it has.
    labels : int32 array
        The labels of its exits, at last.
    """

    key: str
    depth: float
    levels: dict[int, NDArray[Any]]
    n_exits: int
    labels: NDArray[np.int32]


def known_by(state: Any, tile: Tile) -> Known:
    """Return what a tile knows of what all have found; before the first exchange that is the depth, if anything."""
    if not isinstance(state, Agreed):
        return Known("", float(state), {}, 0, np.zeros(0, np.int32))
    levels = {}
    if len(state.level):
        near = (tile.number, *(number for _, number in shelf_of(tile).neighbours()))
        levels = {number: state.levels_of(number) for number in near}
    first, end = (int(state.exits[tile.number + i]) if len(state.exits) > 1 else 0 for i in (0, 1))
    return Known(state.key, state.depth, levels, end - first, state.label[first:end])


# What tiles tell ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """What the driver must know of one tile to find the flood level of its nodes.

    Parameters
    ----------
    n_nodes : int
        Its regions that are nodes; they are numbered from 2.
    ends : int32 array of shape (n, 2)
        The nodes that a pass connects; 1 is the source.
    weight : array of shape (n,)
        The key of the pass.
    labels : int64 array, optional
        The labels of its markers that lie inside; None where the sources are no markers.
    n_painted : int
        Its marked voxels, inside or not.
    depth : float
        What was poured into every minimum.
    """

    n_nodes: int
    ends: NDArray[np.int32]
    weight: NDArray[Any]
    labels: Ints | None = None
    n_painted: int = 0
    depth: float = 0.0


def _keys(tile: Tile, surface: Array, territory: Array | None) -> NDArray[Any]:
    """Return the keys of what a tile sees; what is outside of all territories has that of the outside."""
    key = part_keys(to_numpy(surface))
    if territory is not None:
        np.copyto(key, outside_of(key.dtype), where=to_numpy(territory) == 0)
    return key


def planted_in(tile: Tile, key: NDArray[Any], markers: Array) -> NDArray[np.int32]:
    """Return the own markers, and 0 where the key is that of the outside."""
    own = to_numpy(markers)[tile.own].astype(np.int32)
    own[key == outside_of(key.dtype)] = 0
    return own


def contracted(
    tile: Tile, known: Known, surface: Array, markers: Array, territory: Array | None, *, connectivity: int
) -> Tree:
    """Contract a tile with its markers as sources."""
    own = to_numpy(markers)[tile.own]
    check_marker_values((int(own.min()), int(own.max())))
    n_painted = int(np.count_nonzero(own))
    key = _keys(tile, surface, territory)
    planted = planted_in(tile, key[tile.own], markers)
    start = np.where(planted > 0, key[tile.own], outside_of(key.dtype)) if n_painted else None
    passes = _kept_passes(tile, key, start, territory, connectivity)
    labels = np.unique(planted[planted > 0]).astype(np.int64)
    return Tree(passes.n_nodes - 2, passes.ends, passes.weight, labels, n_painted)


def contracted_minima(
    tile: Tile, known: Known, surface: Array, territory: Array | None, *, connectivity: int, key: str
) -> Tree:
    """Contract a tile every voxel of which is a source, `depth` above itself."""
    keys = _keys(tile, surface, territory)
    start = part_keys(to_numpy(surface)[tile.own], known.depth)
    start[keys[tile.own] == outside_of(keys.dtype)] = outside_of(keys.dtype)
    passes = _kept_passes(tile, keys, start, territory, connectivity)
    return Tree(passes.n_nodes - 2, passes.ends, passes.weight, depth=known.depth)


def _kept_passes(
    tile: Tile, key: NDArray[Any], start: NDArray[Any] | None, territory: Array | None, connectivity: int
) -> Passes:
    """Contract a tile; keep the heights and nodes of its voxels, and tell those of the outermost."""
    passes = _passes(tile, key, start, territory, connectivity)
    shelf = shelf_of(tile)
    shelf.keep("level", passes.height)
    shelf.keep("node", passes.node)
    shelf.tell("height", passes.height)
    shelf.tell("node", passes.node)
    return passes


def _passes(
    tile: Tile, key: NDArray[Any], start: NDArray[Any] | None, territory: Array | None, connectivity: int
) -> Passes:
    frame, walls = frame_of(tile), None
    if key.dtype == np.uint64:
        (key, *more), table = narrowed(*((key,) if start is None else (key, start)))
        passes = _passes(tile, key, more[0] if more else None, territory, connectivity)
        return replace(passes, height=_widened(passes.height, table), weight=_widened(passes.weight, table))
    outside = outside_of(key.dtype)
    wide = frame.seen(tile, key, outside, key.dtype).reshape(-1)
    out, steps = np.full(len(frame.faces), outside, key.dtype), steps_in(frame.wide, connectivity)
    ways_out(frame.faces, frame.own, wide, outside, walls_of(frame, tile, territory), steps, out)
    if territory is not None:
        walls = to_numpy(territory)[tile.own]
    del wide
    return passes_of(np.ascontiguousarray(key[tile.own]), start, walls, (frame.rim, out), connectivity)


def _widened(key: NDArray[np.uint32], table: NDArray[np.uint64] | None) -> NDArray[np.uint64]:
    """Return the 64-bit keys that 32-bit ones stand for."""
    outside = key == outside_of("uint32")
    wide = key.astype(np.uint64) if table is None else table[np.minimum(key, np.uint32(len(table) - 1))]
    wide[outside] = outside_of("uint64")
    return wide


def gathered(state: Any, trees: dict[int, Tree], missing: Missing = None) -> Agreed:
    """Keep the nodes of all tiles until it is known which of them touch."""
    every = tuple(trees[number] for number in sorted(trees))
    _check_markers(every, missing)
    starts = np.cumsum([0, *(tree.n_nodes for tree in every)], dtype=np.int64)
    key = state.key if isinstance(state, Agreed) else every[0].weight.dtype.name
    return Agreed(key, every[0].depth, every, starts)


def _check_markers(trees: Sequence[Tree], missing: Missing) -> None:
    """Note how many labels the markers have, or raise if none lies inside."""
    found = [tree.labels for tree in trees if tree.labels is not None]
    if not found:
        return
    n = len(np.unique(np.concatenate(found)))
    if n:
        note(n_markers=n)
    elif missing is not None:
        raise missing(any(tree.n_painted for tree in trees))


@dataclass(frozen=True, slots=True, eq=False)
class Across:
    """The lowest passes between the nodes of a tile and those of later ones.

    Parameters
    ----------
    own, other : int32 arrays of shape (n,)
        The nodes.
    tile : int64 array of shape (n,)
        The tile of the other node.
    weight : array of shape (n,)
        The key of the pass.
    """

    own: NDArray[np.int32]
    tile: Ints
    other: NDArray[np.int32]
    weight: NDArray[Any]


def across_minima(tile: Tile, known: Known, surface: Any, territory: Array | None, *, connectivity: int) -> Across:
    return across(tile, known, surface, None, territory, connectivity=connectivity)


def across(tile: Tile, known: Known, _: Any, __: Any, territory: Array | None, *, connectivity: int) -> Across:
    """Find the passes to later tiles from what all have told of their outermost voxels."""
    frame, shelf = frame_of(tile), shelf_of(tile)
    outside, later = outside_of(known.key), [number for _, number in shelf.neighbours() if number > tile.number]
    key = shelf.around("height", frame.full(outside, known.key), connectivity, own=True).reshape(-1)
    node = shelf.around("node", frame.full(0, np.int32), connectivity, own=True).reshape(-1)
    place = frame.full(-1, np.int8)
    shelf.named(place, connectivity, lambda number: later.index(number) if number in later else -1)
    steps = steps_in(frame.wide, connectivity)
    found, weight = (
        np.empty((len(frame.faces) * len(steps), 2), np.int64),
        np.empty(len(frame.faces) * len(steps), key.dtype),
    )
    walls = walls_of(frame, tile, territory)
    n = passes_across(frame.faces, frame.own, key, outside, walls, steps, place.reshape(-1), found, weight)
    here, there = found[:n, 0], found[:n, 1]
    a, b, to, weight = node[here], node[there], place.reshape(-1)[there], weight[:n]
    pair = (a.astype(np.int64) * max(len(later), 1) + to) * (int(b.max(initial=0)) + 1) + b
    order = np.lexsort((weight, pair))
    order = order[np.r_[True, np.diff(pair[order]) != 0]] if n else order
    return Across(a[order], np.asarray(later, np.int64)[to[order]], b[order], weight[order])


def levelled(state: Agreed, seen: dict[int, Across]) -> Agreed:
    """Join the nodes of all tiles, and return the flood level of each."""
    ends, weight = _all_passes(state, seen)
    n = int(state.starts[-1]) + 1
    level = np.full(n, outside_of(state.key), state.key)
    level[0] = 0
    order = np.argsort(weight, kind="stable")
    solve(order, ends, weight, np.arange(n), np.empty((n, 3), np.int64), level)
    return replace(state, trees=(), level=level)


def _all_passes(state: Agreed, seen: dict[int, Across]) -> tuple[Ints, NDArray[Any]]:
    """Return all passes, inside tiles and across, between nodes that are numbered in the whole from 1."""
    ends = [np.zeros((0, 2), np.int64)]
    weight = [np.zeros(0, state.key)]
    for number, tree in enumerate(state.trees):
        met, start = seen[number], state.starts[number]
        ends += [
            _numbered(tree.ends, start),
            np.stack([_numbered(met.own, start), _numbered(met.other, state.starts[met.tile])], axis=1),
        ]
        weight += [tree.weight, met.weight]
    return np.concatenate(ends), np.concatenate(weight)


def _numbered(node: NDArray[np.int32], start: Any) -> Ints:
    return np.where(node == SOURCE, 0, node.astype(np.int64) - 1 + start)


def level_now(tile: Tile, known: Known, again: Iterable[Array | None], connectivity: int) -> NDArray[Any]:
    """Return the flood levels of the own voxels from the levels of their nodes, and keep them."""
    shelf = shelf_of(tile)
    height, node = shelf.kept("level"), shelf.kept("node")
    if height is None or node is None:
        passes = _made_again(tile, known, list(again), connectivity)
        height, node = passes.height, passes.node
    level: NDArray[Any] = np.maximum(height, known.levels[tile.number][node])
    shelf.keep("level", level)
    return level


def _made_again(tile: Tile, known: Known, blocks: list[Any], connectivity: int) -> Passes:
    """Contract a tile once more, which kept nothing."""
    surface, territory = blocks[0], blocks[-1]
    key = _keys(tile, surface, territory)
    own = key[tile.own]
    if len(blocks) == 2:
        start: Any = part_keys(to_numpy(surface)[tile.own], known.depth)
        start[own == outside_of(own.dtype)] = outside_of(own.dtype)
    else:
        planted = planted_in(tile, own, blocks[1])
        start = np.where(planted > 0, own, outside_of(own.dtype)) if planted.any() else None
    return _passes(tile, key, start, territory, connectivity)


def level_around(tile: Tile, known: Known, frame: Frame, level: NDArray[Any], connectivity: int) -> NDArray[Any]:
    """Return the flood levels of a tile and of what is around it, flat."""
    shelf = shelf_of(tile)
    wide = shelf.around("height", frame.around(level, outside_of(known.key), known.key), connectivity)
    reached = frame.full(0, known.key)
    shelf.around("node", reached, connectivity, lambda node, number: known.levels[number][node])
    return np.asarray(np.maximum(wide, reached).reshape(-1))


def filled(tile: Tile, known: Known, *blocks: Any, connectivity: int) -> NDArray[Any]:
    """Return the levels at which the minima of a tile are full."""
    return level_now(tile, known, blocks, connectivity)
