"""How a weighted lattice comes about on a device, and how its nodes are merged: launch code of kernels.

The twin on the host stands in `_multigrid`; weights are the same there, and voxels are merged by much the same rules.
Definitions, departures and papers stand at the top of the kernels: ``lattice.cu`` and ``graph.cu``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import array_api_compat as compat
import numpy as np

from .._array import Array, array_namespace, contiguous, dtype_name, empty
from ..kernels import Index, Module, index_of, launch, load
from ._aggregates import PASSES, ROUNDS
from ._aggregates import Lattice as HostLattice

__all__ = [
    "PASSES",
    "Aggregation",
    "Graph",
    "Lattice",
    "coarser",
    "graph_kernels",
    "lattice_kernels",
    "lattice_of",
    "zeros",
]


class Lattice(HostLattice):
    """Weights on a device; all arrays have a plane of zeros at either end."""

    __slots__ = ()

    @property
    def integer(self) -> Index:
        """The integer that names a cell."""
        return index_of(self.n + 2 * self.plane)

    @property
    def steps(self) -> tuple[Any, Any]:
        """How far the next row and the next plane are, for a kernel."""
        return self.integer.scalar(self.shape[2]), self.integer.scalar(self.plane)


class Graph(NamedTuple):
    """Nodes, their neighbours in rows, and what leaks from each to voxels of fixed value."""

    start: Array
    to: Array
    weight: Array
    sink: Array
    inverse: Array

    @property
    def n(self) -> int:
        return int(self.sink.shape[0])

    @property
    def integer(self) -> str:
        """The type of the place where a row begins."""
        return "int" if dtype_name(self.start) == "int32" else "long long"


class Aggregation(NamedTuple):
    """To which node of the coarser level each node belongs, and which belong to it; those of none have its size."""

    number: Array
    n: int
    begins: Array
    members: Array


def lattice_of(
    channels: Iterator[Array], shape: tuple[int, int, int], shares: Sequence[float], blocked: Array, free: Array
) -> Lattice:
    """Return the lattice of an image.

    Parameters
    ----------
    channels : iterator of float32 array
        Grey levels of one channel after another, scaled so that their squared differences are exponents.
    shape : tuple of int
        Planes, rows and columns; the last axis is contiguous.
    shares : sequence of float
        What squared differences along each axis are multiplied by.
    blocked : bool array
        Voxels that no edge leads to.
    free : bool array
        Voxels whose values are sought.

    Returns
    -------
    Lattice
        On the device of the arrays; the same weights as on the host.

    Notes
    -----
    Memory: 16 bytes per voxel, and a channel at a time.
    """
    blocked, free = contiguous(blocked), contiguous(free)
    n, size = math.prod(shape), math.prod(shape) + 2 * shape[1] * shape[2]
    wz, wy, wx, inverse = (zeros((size,), "float32", blocked) for _ in range(4))
    lattice = Lattice(shape, (wz, wy, wx), inverse)
    module, scalar, steps = lattice_kernels(lattice), lattice.integer.scalar, lattice.steps
    factors = [np.float32(share) for share in shares]
    for values in channels:
        launch(module, "squares_add", n, wz, wy, wx, contiguous(values), scalar(n), *steps, *factors)
    launch(module, "edges_weigh", n, wz, wy, wx, blocked, scalar(n), scalar(shape[0]), *steps)
    launch(module, "degrees_invert", n, inverse, wz, wy, wx, free, scalar(n), *steps)
    return lattice


def coarser(
    level: Lattice | Graph, places: Array | None, shape: tuple[int, int, int], done: int
) -> tuple[Aggregation, Graph, Array]:
    """Return how nodes are merged, the next level, and the voxel where each of its nodes begins.

    Parameters
    ----------
    level : Lattice or Graph
        What is made coarser.
    places : int32 array or None
        The voxel where each node begins; None for voxels.
    shape : tuple of int
        Shape of the lattice.
    done : int
        Passes on the way to this level.

    Notes
    -----
    Memory: from voxels at most 72 bytes for each, beyond the lattice, while pairs of pairs are found.
    """
    number, n = None, level.n
    strength = _strongest(level)
    for k in range(PASSES):
        own, places, n_graph = _numbered(_roots(level, strength, _blocks(places, shape, done + k)), places)
        merged = _with_members(own, n_graph)
        strength = _strongest_of_members(strength, merged)
        level = _contracted(level, merged)
        number = own if number is None else _followed(number, n, merged)
        n = n_graph
        del own, merged
    assert isinstance(level, Graph)
    return _with_members(number, n), level, places


# Pairs --------------------------------------------------------------------------------------------------


def _strongest(level: Lattice | Graph) -> Array:
    """Return the bits of the strongest edge of every node."""
    strongest = empty((level.n,), "int32", level.inverse)
    if isinstance(level, Lattice):
        sizes = (level.integer.scalar(level.n), *level.steps)
        launch(lattice_kernels(level), "voxel_strongest", level.n, strongest, *level.cells, *sizes)
    else:
        rows = (level.start, level.weight, level.sink)
        launch(graph_kernels(strongest, level.integer), "node_strongest", level.n, strongest, *rows, np.int32(level.n))
    return strongest


def _strongest_of_members(strength: Array, merged: Aggregation) -> Array:
    strongest = empty((merged.n,), "int32", strength)
    given = (strength, merged.begins, merged.members, np.int32(merged.n))
    launch(graph_kernels(strength), "member_largest", merged.n, strongest, *given)
    return strongest


def _blocks(places: Array | None, shape: tuple[int, int, int], done: int) -> Array | None:
    """Return the block of the image in which each node begins: every pass doubles the blocks along one axis."""
    if places is None:
        return None
    axes = [axis for axis in (2, 1, 0) if shape[axis] > 1] or [2]
    shifts = [0, 0, 0]
    for k in range(done + 1):
        shifts[axes[k % len(axes)]] += 1
    n, blocks = places.shape[0], empty(places.shape, "int32", places)
    sizes = [np.int32(size) for size in (n, shape[1], shape[2], *shifts)]
    launch(graph_kernels(places), "block_find", n, blocks, places, *sizes)
    return blocks


def _roots(level: Lattice | Graph, strength: Array, blocks: Array | None) -> Array:
    """Return the first node of the aggregate of each node, -1 for one that is merged with none and left out."""
    n, mate, other = (
        level.n,
        array_namespace(strength).full_like(strength, -1),
        empty(strength.shape, "int32", strength),
    )
    of_places: tuple[Array | None, ...]
    if isinstance(level, Lattice):
        kind, module, of_places = "voxel", lattice_kernels(level), ()
        edges: tuple[Any, ...] = (*level.weights, level.integer.scalar(n), *level.steps)
    else:
        kind, module, of_places = "node", graph_kernels(strength, level.integer), (blocks,)
        edges = (level.start, level.to, level.weight, np.int32(n))
    for _ in range(ROUNDS):
        launch(module, f"{kind}_propose", n, other, mate, strength, *of_places, *edges)
        launch(graph_kernels(strength), "pair_accept", n, mate, other, np.int32(n))
    launch(module, f"{kind}_join", n, other, mate, strength, *edges)
    return other


# Aggregates ---------------------------------------------------------------------------------------------


def _numbered(root: Array, places: Array | None) -> tuple[Array, Array, int]:
    """Return the number of each node's root, the voxels where roots begin, and how many there are."""
    xp, module, n = array_namespace(root), graph_kernels(root), root.shape[0]
    number = empty((n,), "int32", root)
    launch(module, "root_mark", n, number, root, np.int32(n))
    rank = xp.cumulative_sum(number, dtype=xp.int32)
    n_graph = int(rank[-1]) if n else 0
    begins = empty((n_graph,), "int32", root)
    launch(module, "root_number", n, number, begins, rank, root, places, np.int32(n))
    return number, begins, n_graph


def _followed(number: Array, n: int, merged: Aggregation) -> Array:
    """Turn the numbers of nodes of one level, which has `n`, into those of the next."""
    count = number.shape[0]
    sizes = (np.int32(count), np.int32(n), np.int32(merged.n))
    launch(graph_kernels(number), "number_follow", count, number, merged.number, *sizes)
    return number


def _with_members(number: Array, n: int) -> Aggregation:
    """List the nodes of every number, in their order."""
    xp, module, count = array_namespace(number), graph_kernels(number), number.shape[0]
    counts, sizes = zeros((n,), "int32", number), (np.int32(count), np.int32(n))
    launch(module, "member_count", count, counts, number, *sizes)
    begins = xp.cumulative_sum(counts, dtype=xp.int32, include_initial=True)
    cursor = xp.asarray(begins, copy=True)
    members = empty((int(begins[-1]),), "int32", number)
    launch(module, "member_place", count, members, cursor, number, *sizes)
    launch(module, "member_sort", n, members, begins, np.int32(n))
    return Aggregation(number, n, begins, members)


def _contracted(level: Lattice | Graph, merged: Aggregation) -> Graph:
    """Return the graph of the aggregates."""
    lists = (merged.number, merged.begins, merged.members)
    if isinstance(level, Lattice):
        index = index_of(max(5 * level.n, level.n + 2 * level.plane))  # a pair has at most 10 neighbours
        kind, module = "voxel", load("lattice", level.inverse, INDEX=index.define)
        given: tuple[Any, ...] = (*level.cells, np.int32(merged.n), *map(index.scalar, (level.shape[2], level.plane)))
        dtype, for_room = index.dtype, given
    else:
        kind, module, dtype = "node", graph_kernels(level.start, level.integer), dtype_name(level.start)
        for_room = (*level[:2], np.int32(merged.n))
        given = (*level[:4], np.int32(merged.n))
    room = empty((merged.n,), dtype, level.inverse)
    launch(module, f"{kind}_room", merged.n, room, *lists, *for_room)
    graph = _with_room(room)
    launch(module, f"{kind}_contract", merged.n, *graph, *lists, *given)
    return graph


def _with_room(room: Array) -> Graph:
    """Return a graph that is not written yet, with so much room for each row."""
    xp, n = array_namespace(room), room.shape[0]
    start = xp.cumulative_sum(room, dtype=room.dtype, include_initial=True)
    total = (int(start[-1]),)
    to, weight, sink, inverse = empty(total, "int32", room), *(empty(m, "float32", room) for m in (total, (n,), (n,)))
    return Graph(start, to, weight, sink, inverse)


def zeros(shape: tuple[int, ...], dtype: str, like: Array) -> Array:
    """Return zeros in the library and on the device of `like`."""
    xp = array_namespace(like)
    return xp.zeros(shape, dtype=getattr(xp, dtype), device=compat.device(like))


def lattice_kernels(lattice: Lattice, labels: int = 1) -> Module:
    """Return the kernels for a lattice that go through the vectors of so many labels together."""
    return load("lattice", lattice.inverse, INDEX=lattice.integer.define, LABELS=labels)


def graph_kernels(like: Array, integer: str = "int", labels: int = 1) -> Module:
    """Return the kernels for graphs whose rows begin at such integers."""
    return load("graph", like, INDEX=integer, LABELS=labels)
