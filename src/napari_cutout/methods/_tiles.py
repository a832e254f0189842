"""Floods of images in tiles: the labels of the whole, from tiles that see themselves and what touches them.

Tiles find out together, each time from their outermost voxels alone:

1. the flood level of those voxels. A tile contracts its voxels along their lowest passes to a tree between the voxels
   that it shares with others; the driver joins the trees, and the lowest possible highest passes from any marker
   are those of the whole, because every pass that is left out has a way round that is no higher;
2. their distance, inside zones of equal level, to the nearest entry, as often as it changes for a neighbour;
3. their labels: a voxel's label is that of a marker in the tile, or of a voxel of another tile; the driver follows
   these from tile to tile.

With these a tile knows level, distance and label of everything around it, and labels itself. The driver holds 24 bytes
for every shared voxel and up to 40 more while it joins trees.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, to_numpy
from .._monitor import note
from .._plan import Exchange, Stitch, Tile
from . import _flood
from ._keys import OUTSIDE, WIDE_OUTSIDE, narrowed, wide_keys, wide_raised_keys
from ._markers import Missing, check_marker_values
from ._tile_loops import EXIT, OPEN, UNKNOWN, climb, contract, lower_neighbours, resolve, spread
from ._voxel_grid import fits

__all__ = ["Padded", "flood_plan", "levels_plan", "padded_levels"]


def flood_plan(whole: Any, connectivity: int, missing: Missing) -> Stitch:
    """Return the plan of a flood from markers; its arrays are surface, markers and territory."""
    levelled = partial(_levelled, missing=missing)
    look: dict[str, Any] = {"connectivity": connectivity}
    return Stitch(
        whole,
        0.0,
        (
            Exchange(partial(_contracted, **look), levelled, "finding the lowest passes of tiles"),
            Exchange(partial(_distances, **look), _nearer, "measuring distances across tiles", _where_nearer),
            Exchange(partial(_labels_of_shell, **look), _followed, "following floods across tiles"),
        ),
        _known,
        partial(_labelled, **look),
        "int32",
        fits,
    )


def levels_plan(whole: Any, depth: Any, connectivity: int) -> Stitch:
    """Return the plan of the levels at which minima are full; its arrays are surface and territory.

    Parameters
    ----------
    whole : callable
        What is done on arrays in memory.
    depth : float or delayed float
        How much is poured into every minimum.
    connectivity : int
        How many axes a step may cross.

    Returns
    -------
    Stitch
        In tiles its result are the 64-bit keys of the levels.
    """
    look = partial(_contracted_minima, connectivity=connectivity)
    return Stitch(
        whole,
        depth,
        (Exchange(look, _levelled, "finding the lowest passes of tiles"),),
        _known,
        partial(_filled, connectivity=connectivity),
        "uint64",
        fits,
    )


# What tiles know ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """What is known of the voxels that tiles share.

    Parameters
    ----------
    index : int64 array of shape (n,)
        Linear indices in the whole, rising.
    level : uint64 array of shape (n,)
        Flood levels, as 64-bit keys.
    distance : int64 array of shape (n,)
        Steps to the nearest entry of their zone; UNKNOWN before that is found.
    label : int64 array of shape (n,)
        Labels; OPEN before those are found.
    depth : float
        How much is poured into every minimum, where that is asked for.
    """

    index: NDArray[np.int64]
    level: NDArray[np.uint64]
    distance: NDArray[np.int64]
    label: NDArray[np.int64]
    depth: float = 0.0

    @classmethod
    def of(cls, index: NDArray[np.int64], level: NDArray[np.uint64], depth: float = 0.0) -> Shared:
        """Return voxels of which no more than their level is known."""
        n = len(index)
        return cls(index, level, np.full(n, UNKNOWN, np.int64), np.full(n, OPEN, np.int64), depth)

    def at(self, index: NDArray[np.int64]) -> NDArray[np.intp]:
        """Return where these voxels stand."""
        return np.searchsorted(self.index, index)


def _known(state: Any, tile: Tile) -> Shared:
    """Return what is known of the voxels of one tile, in the order of the tile; before the first exchange nothing."""
    if not isinstance(state, Shared):
        return Shared.of(np.zeros(0, np.int64), np.zeros(0, np.uint64), float(state))
    if not len(state.index):
        return state
    at = state.at(tile.index(np.flatnonzero(tile.shared())))
    return Shared(state.index[at], state.level[at], state.distance[at], state.label[at], state.depth)


# A tile with a border ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Padded:
    """The arrays of a tile with one voxel of border around them, flat.

    Parameters
    ----------
    tile : Tile
        The tile.
    key : uint64 array
        Keys of the surface.
    territory : int64 array
        0 is outside.
    connectivity : int
        How many axes a step may cross.
    """

    tile: Tile
    key: NDArray[np.uint64]
    territory: NDArray[np.int64]
    connectivity: int

    @property
    def steps(self) -> NDArray[np.int64]:
        """Return the differences of flat indices from a voxel to its neighbours, rising."""
        shape = self.tile.shape
        away = np.stack(np.meshgrid(*[(-1, 0, 1)] * len(shape), indexing="ij"), axis=-1).reshape(-1, len(shape))
        crossed = np.abs(away).sum(axis=1)
        strides = np.cumprod([1, *(n + 2 for n in shape[:0:-1])])[::-1]
        return np.asarray(np.sort(away[(crossed > 0) & (crossed <= self.connectivity)] @ strides), np.int64)

    @property
    def _inner(self) -> tuple[slice, ...]:
        return (slice(1, -1),) * len(self.tile.shape)

    def flat(self, block: NDArray[Any], outside: int, dtype: Any) -> NDArray[Any]:
        """Return an array of the tile with its border."""
        wide = np.full([n + 2 for n in self.tile.shape], outside, dtype)
        wide[self._inner] = block
        return wide.reshape(-1)

    def block(self, flat: NDArray[Any]) -> NDArray[Any]:
        """Take the border off again."""
        return flat.reshape([n + 2 for n in self.tile.shape])[self._inner]

    def places(self, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the flat indices, border included, of chosen voxels of the tile in scan order."""
        return np.flatnonzero(self.flat(chosen, 0, bool))

    def index(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the linear indices in the whole of flat indices."""
        at = np.unravel_index(places, [n + 2 for n in self.tile.shape])
        local = np.ravel_multi_index(tuple(a - 1 for a in at), self.tile.shape)
        return self.tile.index(np.asarray(local, np.int64))

    @property
    def shell(self) -> NDArray[np.bool_]:
        """Tell which of its own voxels others have as well."""
        return self.tile.owned() & self.tile.shared()


def _padded(tile: Tile, surface: Array, territory: Array | None, connectivity: int) -> Padded:
    return padded_levels(tile, wide_keys(to_numpy(surface)), territory, connectivity)


def padded_levels(tile: Tile, key: NDArray[np.uint64], territory: Array | None, connectivity: int) -> Padded:
    """Return a tile with its border from 64-bit keys; `WIDE_OUTSIDE` is outside."""
    inside = key != WIDE_OUTSIDE
    walls = inside.astype(np.int64) if territory is None else np.where(inside, to_numpy(territory), 0).astype(np.int64)
    blank = Padded(tile, key, walls, connectivity)
    return replace(blank, key=blank.flat(key, WIDE_OUTSIDE, np.uint64), territory=blank.flat(walls, 0, np.int64))


# 1. Levels ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """What the driver must know of one tile to find the flood level of the voxels that it shares.

    Parameters
    ----------
    shell : int64 array
        Linear indices in the whole of its own voxels that others have as well.
    ends : int64 array of shape (n, 2)
        Linear indices of the voxels that an edge connects; -1 is a source.
    weight : uint64 array of shape (n,)
        The lowest possible highest key on a way between them.
    labels : int64 array, optional
        The labels of its own markers that lie inside; None where the sources are no markers.
    n_painted : int
        Its own marked voxels, inside or not.
    depth : float
        What was poured into every minimum.
    """

    shell: NDArray[np.int64]
    ends: NDArray[np.int64]
    weight: NDArray[np.uint64]
    labels: NDArray[np.int64] | None = None
    n_painted: int = 0
    depth: float = 0.0


def _contracted(
    tile: Tile, known: Shared, surface: Array, markers: Array, territory: Array | None, *, connectivity: int
) -> Tree:
    """Contract a tile with its markers as sources."""
    padded = _padded(tile, surface, territory, connectivity)
    planted = _planted(padded, markers)
    start = np.where(planted > 0, padded.key, WIDE_OUTSIDE)
    own = to_numpy(markers)[tile.own]
    check_marker_values((int(own.min()), int(own.max())))
    inside = padded.block(planted)[tile.own]
    labels = np.unique(inside[inside > 0]).astype(np.int64)
    return replace(_tree(padded, start), labels=labels, n_painted=int(np.count_nonzero(own)))


def _contracted_minima(
    tile: Tile, known: Shared, surface: Array, territory: Array | None, *, connectivity: int
) -> Tree:
    """Contract a tile every voxel of which is a source, `depth` above itself."""
    padded = _padded(tile, surface, territory, connectivity)
    raised = padded.flat(wide_raised_keys(to_numpy(surface), known.depth), WIDE_OUTSIDE, np.uint64)
    return replace(_tree(padded, raised), depth=known.depth)


def _planted(padded: Padded, markers: Array) -> NDArray[np.int64]:
    """Return the markers of a tile that lie inside."""
    painted = padded.flat(to_numpy(markers), 0, np.int64)
    return np.where(padded.territory != 0, painted, 0)


def _tree(padded: Padded, start: NDArray[np.uint64]) -> Tree:
    size = padded.key.size
    inside = np.flatnonzero(padded.territory)
    sources = inside[start[inside] != WIDE_OUTSIDE]
    events = np.concatenate([inside, size + sources])
    order = events[np.argsort(np.concatenate([padded.key[inside], start[sources]]), kind="stable")]
    speakers = padded.places(padded.tile.shared() & (padded.block(padded.territory) != 0))
    speaker = np.full(size + 1, -1, np.int64)
    speaker[speakers], speaker[size] = speakers, size
    ends, weight = np.empty((len(speakers) + 1, 2), np.int64), np.empty(len(speakers) + 1, np.uint64)
    parent, passed = np.arange(size + 1), np.zeros(size, bool)
    n = contract(order, padded.key, start, padded.territory, padded.steps, passed, parent, speaker, ends, weight)
    named = np.full((n, 2), -1, np.int64)
    there = ends[:n] < size
    named[there] = padded.index(ends[:n][there])
    return Tree(padded.index(padded.places(padded.shell)), named, weight[:n].copy())


def _levelled(_: Any, trees: dict[int, Tree], missing: Missing = None) -> Shared:
    """Join the trees of all tiles, and return the flood level of every shared voxel."""
    _check_markers(list(trees.values()), missing)
    index = np.sort(np.concatenate([tree.shell for tree in trees.values()]))
    ends = np.concatenate([tree.ends for tree in trees.values()])
    weight = np.concatenate([tree.weight for tree in trees.values()])
    nodes = np.where(ends < 0, len(index), np.searchsorted(index, ends))
    level = _lowest_passes(len(index), nodes, weight)
    return Shared.of(index, level, next(iter(trees.values())).depth)


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


def _lowest_passes(n: int, nodes: NDArray[np.int64], weight: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return, for every node, the lowest possible highest weight on a path to node `n`."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

    found = np.full(n + 1, WIDE_OUTSIDE, np.uint64)
    if not len(nodes):
        return found[:n]
    low, high = nodes.min(axis=1), nodes.max(axis=1)
    values, rank = np.unique(weight, return_inverse=True)
    order = np.lexsort((rank, high, low))
    fresh = np.r_[True, (np.diff(low[order]) != 0) | (np.diff(high[order]) != 0)]  # of edges between the same two
    kept = order[fresh]
    graph = coo_array((rank[kept] + 1.0, (low[kept], high[kept])), shape=(n + 1, n + 1))  # 0 would be no edge
    tree = minimum_spanning_tree(graph.tocsr()).tocoo()
    reached, before = breadth_first_order(tree.tocsr(), n, directed=False)
    farther = np.where(before[tree.col] == tree.row, tree.col, tree.row)
    on_the_way = np.zeros(n + 1, np.uint64)
    on_the_way[farther] = values[tree.data.astype(np.int64) - 1]
    found[n] = 0
    climb(reached[1:], before, on_the_way, found)
    return found[:n]


# 2. Distances ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """A number for each own voxel that others have as well.

    Parameters
    ----------
    index : int64 array
        Linear indices in the whole.
    value : int64 array
        What is told of each.
    """

    index: NDArray[np.int64]
    value: NDArray[np.int64]


def _measured(
    padded: Padded, known: Shared, markers: Array
) -> tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.int64]]:
    """Return markers, flood levels and distances of a tile, as far as they are known."""
    planted = _planted(padded, markers)
    start = np.where(planted > 0, padded.key, WIDE_OUTSIDE)
    level = _levels(padded, known, start)
    shared = padded.places(padded.tile.shared())
    lower = planted > 0
    lower_neighbours(level, padded.territory, padded.steps, lower)
    distance = np.where(lower, 0, UNKNOWN).astype(np.int64)
    distance[shared] = np.minimum(distance[shared], known.distance)
    distance[level == WIDE_OUTSIDE] = UNKNOWN
    given = np.flatnonzero(distance < UNKNOWN)
    given = given[np.argsort(distance[given], kind="stable")]
    spread(level, distance, padded.territory, padded.steps, given, np.empty(level.size, np.int64))
    return planted, level, distance


def _levels(padded: Padded, known: Shared, start: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the flood levels of a tile from its sources and the levels of the voxels that it shares."""
    shared = padded.places(padded.tile.shared())
    start = start.copy()
    start[shared] = np.minimum(start[shared], known.level)
    (key, begin), table = narrowed(padded.block(padded.key), padded.block(start))
    found = _flood.levels(key, begin, padded.block(padded.territory).astype(np.int32), padded.connectivity)
    wide = found.astype(np.uint64) if table is None else table[np.minimum(found, len(table) - 1)]
    wide[found == OUTSIDE] = WIDE_OUTSIDE
    return padded.flat(wide, WIDE_OUTSIDE, np.uint64)


def _distances(
    tile: Tile, known: Shared, surface: Array, markers: Array, territory: Array | None, *, connectivity: int
) -> Told:
    padded = _padded(tile, surface, territory, connectivity)
    _, _, distance = _measured(padded, known, markers)
    shell = padded.places(padded.shell)
    return Told(padded.index(shell), distance[shell])


def _merged(told: Iterable[Told]) -> Told:
    parts = list(told)
    return Told(np.concatenate([t.index for t in parts]), np.concatenate([t.value for t in parts]))


def _nearer(state: Shared, told: dict[int, Told]) -> Shared:
    """Write down the distances that tiles have found."""
    all_told = _merged(told.values())
    distance = state.distance.copy()
    distance[state.at(all_told.index)] = all_told.value
    return replace(state, distance=distance)


def _where_nearer(old: Shared, new: Shared, tiles: Sequence[Tile]) -> Sequence[int]:
    """Return the tiles that have a voxel of another tile whose distance has changed."""
    changed = new.index[old.distance != new.distance]
    if not len(changed):
        return ()
    found = []
    for tile in tiles:
        if np.isin(tile.index(np.flatnonzero(tile.foreign())), changed).any():
            found.append(tile.number)
    return found


# 3. Labels ---------------------------------------------------------------------------------------------


def _resolved(
    padded: Padded, known: Shared, markers: Array, foreign: NDArray[np.int64], asked: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the labels of a tile where they are asked for; `foreign` are those of the voxels of other tiles."""
    planted, level, distance = _measured(padded, known, markers)
    labels = np.full(level.size, OPEN, np.int64)
    labels[(level == WIDE_OUTSIDE) | (padded.territory == 0)] = 0
    labels[planted > 0] = planted[planted > 0]
    theirs = _theirs(padded)
    unreached = labels[theirs] == 0
    labels[theirs] = np.where(unreached, 0, foreign)
    resolve(asked, labels, level, distance, padded.territory, padded.steps, np.empty(level.size, np.int64))
    return labels


def _theirs(padded: Padded) -> NDArray[np.int64]:
    """Return the flat indices of the voxels of other tiles."""
    return padded.places(padded.tile.foreign())


def _labels_of_shell(
    tile: Tile, known: Shared, surface: Array, markers: Array, territory: Array | None, *, connectivity: int
) -> Told:
    """Return the label of every voxel of the shell, or as ``EXIT - index`` the voxel that has it."""
    padded = _padded(tile, surface, territory, connectivity)
    shell, theirs = padded.places(padded.shell), _theirs(padded)
    labels = _resolved(padded, known, markers, EXIT - padded.index(theirs), shell)
    return Told(padded.index(shell), labels[shell])


def _followed(state: Shared, told: dict[int, Told]) -> Shared:
    """Follow exits from tile to tile until every shared voxel has a label."""
    all_told = _merged(told.values())
    label = np.zeros(len(state.index), np.int64)
    label[state.at(all_told.index)] = all_told.value
    while len(exits := np.flatnonzero(label <= EXIT)):
        label[exits] = label[state.at(EXIT - label[exits])]
    return replace(state, label=label)


def _labelled(
    tile: Tile, known: Shared, surface: Array, markers: Array, territory: Array | None, *, connectivity: int
) -> NDArray[np.int32]:
    """Return the labels of a tile."""
    padded = _padded(tile, surface, territory, connectivity)
    foreign = known.label[tile.foreign()[tile.shared()]]
    labels = _resolved(padded, known, markers, foreign, padded.places(tile.owned()))
    return padded.block(labels)[tile.own].astype(np.int32)


def _filled(
    tile: Tile, known: Shared, surface: Array, territory: Array | None, *, connectivity: int
) -> NDArray[np.uint64]:
    """Return the levels at which the minima of a tile are full."""
    padded = _padded(tile, surface, territory, connectivity)
    raised = padded.flat(wide_raised_keys(to_numpy(surface), known.depth), WIDE_OUTSIDE, np.uint64)
    return padded.block(_levels(padded, known, raised))[tile.own]
