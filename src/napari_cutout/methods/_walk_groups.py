"""The groups of voxels of one tile, which a random walk on a large image is solved on first.

Tiles come from the shape of the image alone, so that neither chunks nor the machine show in the result.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._plan import Slices, Tile
from ..processing.filters import edges as edges_of
from . import _multigrid as multigrid
from ._graph_pairs import invert_node_degrees
from ._multigrid import Floats, Graph, Ints
from ._walk import Walk, lattice_shape
from ._walk_graph import Edges, Resistances, resistances, summed
from ._walk_scene import Setting, tile_scene

__all__ = ["Groups", "ends", "groups_of", "linked", "unpacked"]

NONE = -1
"""The group of a voxel that belongs to none: it is painted, outside, or all of its neighbours are."""


class Face(NamedTuple):
    """The groups of the voxels on one face of a tile, level by level, and what they resist.

    Parameters
    ----------
    groups : list of int32 array
        One for each level, `NONE` where there is none.
    resistance : list of float32 array
        By group, one for each level.
    weight : float32 array or None
        Of the edges to the next tile.
    """

    groups: list[Ints]
    resistance: list[Resistances]
    weight: Floats | None


class Groups(NamedTuple):
    """The groups of a tile.

    Parameters
    ----------
    n : int
        How many.
    places : int64 array of shape (n,)
        Index in the whole of a voxel of each.
    edges : Edges
        Between groups of the tile.
    sinks : Edges
        From groups to strokes, whose labels are counted.
    faces : dict
        By axis and side, 0 or 1, where the image goes on.
    packed : bytes
        The group of every voxel of the tile.
    """

    n: int
    places: NDArray[np.int64]
    edges: Edges
    sinks: Edges
    faces: dict[tuple[int, int], Face]
    packed: bytes


def groups_of(tile: Tile, *blocks: NDArray[Any] | None, setting: Setting, n_levels: int) -> Groups:
    """Return the groups of a tile.

    Parameters
    ----------
    tile : Tile
        With at least one voxel of its neighbours.
    setting : Setting
        What the whole says.
    n_levels : int
        How often groups are merged; each time about eight become one.
    *blocks : arrays or None
        Channels, mask, markers.
    """
    scene = tile_scene(blocks, setting.lows)
    own = scene.part(tile.own)
    walk = own.walk(setting)
    free = own.inside & (own.planted == 0)
    lattice = multigrid.lattice_of(walk.exponents(), lattice_shape(walk.shape), walk.shares(), ~own.inside, free)
    levels, found = _merged(lattice, free, n_levels)
    maps = _maps(levels, free.shape)
    last = levels[-1]
    around, middle = _with_one_more(tile)
    wide = scene.part(around)
    weights = _edge_weights(wide.walk(setting), wide.inside)
    number = np.full(wide.inside.shape, NONE, np.int32)
    number[middle] = maps[-1]
    return Groups(
        last.n,
        _places(last.places, tile),
        found,
        _sinks(number, wide.planted, weights, setting.labels),
        _faces(tile, maps, [level.resistance for level in levels], weights, middle),
        zlib.compress(maps[-1].tobytes(), 1),
    )


class _Level(NamedTuple):
    number: Ints
    n: int
    places: Ints
    resistance: Resistances


def _merged(lattice: multigrid.Lattice, free: NDArray[np.bool_], n_levels: int) -> tuple[list[_Level], Edges]:
    """Return the levels of groups, and the edges of the last."""
    number, graph, places = _next(lattice, None, lattice.shape, 0, free.ravel())
    levels = [_Level(number, graph.n, places, resistances(_weights_inside(lattice, number, graph.n)))]
    for k in range(1, n_levels):
        edges = _edges_of(graph, levels[-1].resistance)
        graph = _with_weights(graph, edges)
        number, graph, places = _next(graph, places, lattice.shape, multigrid.PASSES * k, np.ones(graph.n, bool))
        same = number[edges.one] == number[edges.two]
        inner = np.bincount(number[edges.one[same]], edges.weight[same], graph.n) / 2
        levels.append(_Level(number, graph.n, places, resistances(inner)))
    edges = _edges_of(graph, levels[-1].resistance)
    once = edges.one < edges.two
    return levels, Edges(edges.one[once], edges.two[once], edges.weight[once])


def _next(
    level: multigrid.Lattice | Graph,
    places: Ints | None,
    shape: tuple[int, int, int],
    done: int,
    kept: NDArray[np.bool_],
) -> tuple[Ints, Graph, Ints]:
    """Return the group of each node, and the graph of the groups; one that is merged with none is a group by itself.

    Such a node may have neighbours in the next tile. The multigrid leaves it out.
    """
    merged, graph, begins = multigrid.coarser(level, places, shape, done)
    number = np.where(merged.number < graph.n, merged.number, np.int32(NONE))
    alone = np.flatnonzero(kept & (number == NONE))
    number[alone] = np.arange(graph.n, graph.n + len(alone), dtype=np.int32)
    places = np.append(begins, alone if places is None else places[alone]).astype(np.int32)
    none = np.zeros(len(alone), np.float32)
    rows = np.zeros(len(alone), graph.start.dtype)
    grown = Graph(
        np.append(graph.start, rows),
        np.append(graph.stop, rows),
        graph.to,
        graph.weight,
        np.append(graph.sink, none),
        np.append(graph.inverse, none),
    )
    return number, grown, places


def _edges_of(graph: Graph, resistance: Resistances) -> Edges:
    """Return the edges of a graph, each twice, with what the groups resist."""
    counts = (graph.stop - graph.start).astype(np.int64)
    one = np.repeat(np.arange(graph.n, dtype=np.int32), counts)
    index = np.arange(len(one)) + np.repeat(graph.start - (np.cumsum(counts) - counts), counts)
    two, weight = graph.to[index], graph.weight[index]
    return Edges(one, two, 1 / (1 / weight + resistance[one] + resistance[two]))


def _with_weights(graph: Graph, edges: Edges) -> Graph:
    """Return a graph with the weights of `_edges_of`."""
    counts = np.cumsum(graph.stop - graph.start).astype(np.int32)
    start = np.concatenate([[0], counts[:-1]]).astype(np.int32) if graph.n else counts
    inverse = np.empty(graph.n, np.float32)
    found = Graph(start, counts, edges.two.astype(np.int32), edges.weight, graph.sink, inverse)
    invert_node_degrees(start, counts, found.weight, graph.sink, inverse, 0, graph.n)
    return found


def _weights_inside(lattice: multigrid.Lattice, number: Ints, n: int) -> NDArray[np.float64]:
    """Return the sum of the weights within each group."""
    inner = np.zeros(n)
    groups = number.reshape(lattice.shape)
    for axis, padded in enumerate(lattice.weights):
        weight = padded[lattice.plane : -lattice.plane].reshape(lattice.shape)
        here, there = ends(axis)
        one = groups[here]
        same = (one == groups[there]) & (one >= 0)
        inner += np.bincount(one[same], weight[here][same], n)
    return inner


def ends(axis: int) -> tuple[Slices, Slices]:
    """Return the slices of the voxels at either end of the edges along an axis."""
    before = (slice(None),) * axis
    return (*before, slice(None, -1)), (*before, slice(1, None))


def _maps(levels: Sequence[_Level], shape: tuple[int, ...]) -> list[Ints]:
    """Return the group of every voxel, level by level."""
    maps: list[Ints] = []
    for level in levels:
        number = level.number if not maps else np.append(level.number, np.int32(NONE))[maps[-1]]
        maps.append(number.reshape(shape))
    return maps


def _places(local: Ints, tile: Tile) -> NDArray[np.int64]:
    """Return indices in the whole of voxels of the tile's own."""
    shape = [part.stop - part.start for part in tile.own]
    at = np.unravel_index(local, shape)
    moved = [a + part.start + o for a, part, o in zip(at, tile.own, tile.origin, strict=True)]
    return np.asarray(np.ravel_multi_index(tuple(moved), tile.whole), np.int64)


def _with_one_more(tile: Tile) -> tuple[Slices, Slices]:
    """Return the slices of a tile's own voxels with one more on each side, and of its own within these."""
    around = tuple(
        slice(max(part.start - 1, 0), min(part.stop + 1, n)) for part, n in zip(tile.own, tile.shape, strict=True)
    )
    middle = tuple(
        slice(part.start - wide.start, part.stop - wide.start) for part, wide in zip(tile.own, around, strict=True)
    )
    return around, middle


def _edge_weights(walk: Walk, inside: NDArray[np.bool_]) -> list[Floats]:
    """Return the weights of the edges along each axis, 0 where an end is outside."""
    values = list(walk.exponents())
    weights = []
    for axis, edge in enumerate(edges_of(walk.settings.spacing, len(walk.shape))):
        here, there = ends(axis)
        squares = sum(np.square(v[there] - v[here]) for v in values) * np.float32((1024 / edge) ** 2)
        weights.append(np.where(inside[here] & inside[there], np.exp(-squares) + np.float32(1e-10), np.float32(0)))
    return weights


def _sinks(number: Ints, planted: NDArray[np.int32], weights: Sequence[Floats], labels: NDArray[np.int64]) -> Edges:
    """Return what leaks from groups to strokes."""
    groups, strokes, leaks = [], [], []
    for axis, weight in enumerate(weights):
        for one, two in (ends(axis), ends(axis)[::-1]):
            meets = (number[one] >= 0) & (planted[two] > 0) & (weight > 0)
            groups.append(number[one][meets])
            strokes.append(np.searchsorted(labels, planted[two][meets]))
            leaks.append(weight[meets])
    found = Edges(np.concatenate(groups), np.concatenate(strokes), np.concatenate(leaks).astype(np.float32))
    none = np.zeros(max(int(found.one.max(initial=0)), int(found.two.max(initial=0))) + 1, np.float32)
    return summed(found, (none, none))


def _faces(
    tile: Tile, maps: Sequence[Ints], resistance: list[Resistances], weights: Sequence[Floats], middle: Slices
) -> dict[tuple[int, int], Face]:
    """Return the faces across which the image goes on."""
    faces = {}
    for axis, (part, n) in enumerate(zip(tile.own, tile.shape, strict=True)):
        for side, goes_on in ((0, part.start > 0), (1, part.stop < n)):
            if goes_on:
                at = tuple(-side if a == axis else slice(None) for a in range(len(tile.own)))
                groups = [m[at].ravel() for m in maps]
                last = tuple(s.stop - 1 if a == axis else s for a, s in enumerate(middle))
                faces[axis, side] = Face(groups, resistance, weights[axis][last].ravel() if side else None)
    return faces


def unpacked(packed: bytes, tile: Tile) -> NDArray[np.int32]:
    """Return the group of every voxel of a tile's own."""
    shape = [part.stop - part.start for part in tile.own]
    return np.frombuffer(zlib.decompress(packed), np.int32).reshape(shape)


def linked(one: Face, two: Face) -> Edges:
    """Return the edges between the groups of two tiles, across the face that they share."""
    assert one.weight is not None
    meet = (one.groups[0] >= 0) & (two.groups[0] >= 0) & (one.weight > 0)
    a, b = [g[meet] for g in one.groups], [g[meet] for g in two.groups]
    weight: Floats = one.weight[meet]
    index = np.arange(len(weight))
    for k in range(len(a)):
        width = len(two.resistance[k]) + 1
        _, first, number = np.unique(
            a[k][index].astype(np.int64) * width + b[k][index], return_index=True, return_inverse=True
        )
        sums = np.bincount(number, weight, len(first)).astype(np.float32)
        index = index[first]
        weight = np.reciprocal(1 / sums + one.resistance[k][a[k][index]] + two.resistance[k][b[k][index]])
    return Edges(a[-1][index], b[-1][index], weight)
