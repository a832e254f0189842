"""The Laplacian of a weighted lattice, and its levels for multigrid, on the host.

A level becomes a coarser one when nodes that hold together are merged: three times in a row, every node pairs with the
strong neighbour that it holds to most, and one that finds none left joins the pair of its strongest neighbour. Edges
are ranked by their order of magnitude in powers of two, and then by whether they lie inside a block of the image; so
where weights are alike the aggregates are blocks of 2 x 2 x 2 voxels, and across a boundary that an image shows there
are none. Between aggregates the weights are summed (Galerkin's product with a prolongation that is constant on each),
so every level is a graph of its own, with nothing but positive weights.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._arithmetic import POWERS
from .._compiled import n_threads
from . import _graph_loops as graph_loops
from . import _lattice_loops as loops

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

ROUNDS = 3
"""How often nodes propose to each other in one pass."""

PASSES = 3
"""How often nodes are paired on the way from one level to the next."""

COARSEST = 300
"""Nodes of a level that is solved directly."""

LEAST_SHRINKAGE = 0.9
"""A level that is not smaller than this, as a share of the one before, is the last."""

LAST_SWEEPS = 30
"""Jacobi steps on a last level that is too large to be solved directly."""

MANY = 1 << 15
"""Nodes above which all processors share the work."""


class Lattice(NamedTuple):
    """Weights of the edges to the next voxel along each axis; all arrays have a plane of zeros at either end."""

    shape: tuple[int, int, int]
    weights: tuple[Floats, Floats, Floats]
    inverse: Floats

    @property
    def plane(self) -> int:
        return self.shape[1] * self.shape[2]

    @property
    def n(self) -> int:
        return math.prod(self.shape)


class Graph(NamedTuple):
    """Nodes, their neighbours in rows, and what leaks from each to voxels of fixed value."""

    start: Ints
    stop: Ints
    to: Ints
    weight: Floats
    sink: Floats
    inverse: Floats

    @property
    def n(self) -> int:
        return len(self.sink)


class Spaces(NamedTuple):
    """Vectors of one level, for all labels: right side, what is left of it, solution, and a sum of solutions."""

    r: Floats
    left: Floats
    x: Floats
    sum: Floats


class Aggregation(NamedTuple):
    """To which node of the coarser level each node belongs; those of none have the number of its nodes."""

    number: Ints
    n: int
    size: int
    ranges: NDArray[np.int64]


class Coarser(NamedTuple):
    """How nodes are merged, the next level, and the voxel where each of its nodes begins."""

    merged: Aggregation
    graph: Graph
    places: Ints


def over(n: int, work: Callable[..., Any], *arguments: Any, weight: int = 1) -> list[Any]:
    """Run ``work(*arguments, low, high)`` on ranges that make up `n` items, on all processors if that pays."""
    threads = n_threads()
    if threads == 1 or n * weight < MANY or n < 2 * threads:
        return [work(*arguments, 0, n)] if n else []
    cuts = [n * k // threads for k in range(threads + 1)]
    return list(_pool().map(lambda low, high: work(*arguments, low, high), cuts[:-1], cuts[1:]))


_pools: list[ThreadPoolExecutor] = []


def _pool() -> ThreadPoolExecutor:
    if not _pools:
        _pools.append(ThreadPoolExecutor(n_threads(), thread_name_prefix="multigrid"))
    return _pools[0]


# How levels come about ----------------------------------------------------------------------------------


def lattice_of(
    channels: Iterator[Floats],
    shape: tuple[int, int, int],
    shares: Sequence[float],
    blocked: NDArray[np.bool_],
    free: NDArray[np.bool_],
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
    """
    plane, row = shape[1] * shape[2], shape[2]
    size = math.prod(shape) + 2 * plane
    steps, edges = (plane, row, 1), (np.zeros(size, np.float32), np.zeros(size, np.float32), np.zeros(size, np.float32))
    for values in channels:
        padded = _padded(values, plane)
        for edge, step, share in zip(edges, steps, shares, strict=True):
            over(shape[0], loops.add_squares, padded, edge, step, np.float32(share), plane, weight=plane)
    outside = _padded(blocked, plane).view(np.uint8)
    for axis, edge in enumerate(edges):
        over(shape[0], loops.exponential_weights, edge, outside, axis, *shape[1:], POWERS, shape[0], weight=plane)
    inverse = np.zeros_like(edges[0])
    unknown = _padded(free, plane).view(np.uint8)
    over(shape[0], loops.invert_degrees, *edges, unknown, inverse, row, plane, weight=plane)
    return Lattice(shape, edges, inverse)


def _padded(values: NDArray[Any], plane: int) -> NDArray[Any]:
    """Return values in one row, between two planes of zeros."""
    padded = np.zeros(values.size + 2 * plane, values.dtype)
    padded[plane:-plane] = values.ravel()
    return padded


def coarser(level: Lattice | Graph, places: Ints | None, shape: tuple[int, int, int], done: int) -> Coarser:
    """Return the next level, in `PASSES` passes that merge pairs.

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
    """
    number: Ints | None = None
    strength = _strongest(level)
    for k in range(PASSES):
        root = _roots(level, strength, _blocks(places, shape, done + k))
        own = np.empty(len(root), np.int32)
        n = graph_loops.number_roots(root, own)
        begins = np.flatnonzero(root == np.arange(len(root), dtype=np.int32)).astype(np.int32)
        places = begins if places is None else places[begins]
        level = _contracted(level, own, n)
        strength = _strongest_of_members(strength, own, n)
        number = own if number is None else np.append(own, np.int32(n))[number]
    assert number is not None
    assert isinstance(level, Graph)
    assert places is not None
    size = max(-(-n // n_threads()), 1) if len(number) >= MANY else max(n, 1)
    ranges = np.empty((-(-n // size), 2), np.int64)
    graph_loops.member_ranges(number, size, ranges)
    return Coarser(Aggregation(number, n, size, ranges), level, places)


def _strongest(level: Lattice | Graph) -> Ints:
    """Return the bits of the strongest edge of every node."""
    strongest = np.empty(level.n, np.int32)
    if isinstance(level, Lattice):
        given = (*_bits(level), level.inverse, strongest, level.shape[2], level.plane)
        over(level.shape[0], loops.strongest_edges, *given, weight=level.plane)
    else:
        bits = level.weight.view(np.int32)
        sink = level.sink.view(np.int32)
        over(level.n, graph_loops.strongest_in_graph, level.start, level.stop, bits, sink, strongest)
    return strongest


def _bits(lattice: Lattice) -> list[Ints]:
    return [weights.view(np.int32) for weights in lattice.weights]


def _strongest_of_members(strength: Ints, number: Ints, n: int) -> Ints:
    strongest = np.zeros(n + 1, np.int32)
    graph_loops.largest_of_members(strength, number, strongest)
    return strongest[:n]


def _blocks(places: Ints | None, shape: tuple[int, int, int], done: int) -> Ints | None:
    """Return the block of the image in which each node begins: every pass doubles the blocks along one axis."""
    if places is None:
        return None
    axes = [axis for axis in (2, 1, 0) if shape[axis] > 1] or [2]
    shifts = [0, 0, 0]
    for k in range(done + 1):
        shifts[axes[k % len(axes)]] += 1
    blocks = np.empty(len(places), np.int32)
    sz, sy, sx = shifts
    graph_loops.blocks_of(places, shape[1], shape[2], sz, sy, sx, blocks)
    return blocks


def _roots(level: Lattice | Graph, strength: Ints, blocks: Ints | None) -> Ints:
    """Return the first node of the aggregate of each node, -1 for one that is merged with none and left out."""
    mate, other = np.full(level.n, -1, np.int32), np.empty(level.n, np.int32)
    propose: Callable[..., None]
    join: Callable[..., None]
    if isinstance(level, Lattice):
        given: tuple[Any, ...] = (*_bits(level), strength, mate, other, level.shape[2], level.plane)
        n, weight, propose, join = level.shape[0], level.plane, loops.propose_in_lattice, loops.join_in_lattice
    else:
        given = (level.start, level.stop, level.to, level.weight.view(np.int32), strength, blocks, mate, other)
        n, weight, propose, join = level.n, 1, graph_loops.propose_in_graph, graph_loops.join_in_graph
    for _ in range(ROUNDS):
        over(n, propose, *given, weight=weight)
        over(level.n, loops.accept, mate, other)
    over(n, join, *given, weight=weight)
    return other


def _contracted(level: Lattice | Graph, number: Ints, n: int) -> Graph:
    """Return the graph of the aggregates; between the rows that two threads write there may be room."""
    begins, members = np.zeros(n + 2, np.int32), np.empty(level.n, np.int32)
    graph_loops.members_of(number, begins, members)
    threads = n_threads() if n > MANY else 1
    cuts = [n * k // threads for k in range(threads + 1)]
    if isinstance(level, Lattice):
        given: tuple[Any, ...] = (*level.weights, level.inverse, number, begins, members, level.shape[2], level.plane)
        rooms = [4 * int(begins[high] - begins[low]) + 2 * (high - low) for low, high in itertools.pairwise(cuts)]
        contract: Any = graph_loops.contract_lattice
    else:
        given = (*level[:5], number, begins, members)
        rooms = [
            graph_loops.room_of(level.start, level.stop, begins, members, low, high)
            for low, high in itertools.pairwise(cuts)
        ]
        contract = graph_loops.contract_graph
    places = list(itertools.accumulate(rooms, initial=0))
    rows = np.int32 if places[-1] < 2**31 else np.int64
    graph = Graph(
        np.empty(n, rows),
        np.empty(n, rows),
        np.empty(places[-1], np.int32),
        *(np.empty(m, np.float32) for m in (places[-1], n, n)),
    )

    def work(k: int, _: int) -> None:
        contract(*given, *graph[:5], places[k], cuts[k], cuts[k + 1])
        graph_loops.invert_node_degrees(*graph[:2], *graph[3:], cuts[k], cuts[k + 1])

    each_part(threads, work)
    return graph


def each_part(threads: int, work: Callable[[int, int], Any]) -> None:
    if threads == 1:
        work(0, 1)
    else:
        list(_pool().map(work, range(threads), range(1, threads + 1)))


# The levels, and one cycle through them -----------------------------------------------------------------


class Multigrid:
    """All levels of a lattice, and the linear map near the inverse of its Laplacian that they make.

    Parameters
    ----------
    lattice : Lattice
        The finest level.
    """

    def __init__(self, lattice: Lattice) -> None:
        self.lattice = lattice
        self.graphs: list[Graph] = []
        self.merged: list[Aggregation] = []
        level: Lattice | Graph = lattice
        places: Ints | None = None
        while level.n > COARSEST or not self.graphs:
            merged, graph, places = coarser(level, places, lattice.shape, PASSES * len(self.graphs))
            if graph.n >= LEAST_SHRINKAGE * level.n and self.graphs:
                break
            self.graphs.append(graph)
            self.merged.append(merged)
            level = graph
        self._direct = _direct_inverse(self.graphs[-1]) if self.graphs and self.graphs[-1].n <= COARSEST else None

    def vectors(self, values: Sequence[NDArray[Any]]) -> Floats:
        """Return the values of each label at the voxels of the image as vectors for the other methods."""
        plane = self.lattice.plane
        vectors = np.zeros((len(values), self.lattice.n + 2 * plane), np.float32)
        for vector, given in zip(vectors, values, strict=True):
            vector[plane:-plane] = given.ravel()
        return vectors

    def values(self, vectors: Floats) -> Floats:
        """Return vectors as values of shape (labels, voxels)."""
        return vectors[:, self.lattice.plane : -self.lattice.plane]

    def like(self, vectors: Floats) -> Floats:
        """Return vectors of zeros."""
        return np.zeros_like(vectors)

    def residual(self, x: Floats, r: Floats, active: NDArray[np.uint8]) -> None:
        """Write what flows into every free voxel, which is 0 for the solution."""
        self._apply(x, r, -1, active)

    def apply(self, p: Floats, q: Floats, active: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Write the Laplacian times p; return p times it."""
        return self._apply(p, q, 1, active)

    def _apply(self, p: Floats, q: Floats, sign: int, active: NDArray[np.uint8]) -> NDArray[np.float64]:
        partial = np.zeros((len(p), self.lattice.shape[0]))
        self._over_planes(loops.apply_laplacian, *self._cells, p, q, np.float32(sign), active, partial, self._row)
        return np.asarray(partial.sum(axis=1))

    def advance(self, x: Floats, p: Floats, r: Floats, q: Floats, steps: Floats, active: NDArray[np.uint8]) -> None:
        """Go a step along p in x, and along -q in r."""
        self._over_planes(loops.advance, x, p, r, q, steps, active)

    def turn(self, p: Floats, z: Floats, shares: Floats, active: NDArray[np.uint8]) -> None:
        """Set p to z plus a share of p."""
        self._over_planes(loops.turn, p, z, shares, active)

    def precondition(
        self, r: Floats, out: Floats, spaces: list[Spaces], active: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float64], Floats]:
        """Write what is near the inverse of the Laplacian, times r; return r times it, and its largest magnitude."""
        n, row = self.lattice.shape[0], self._row
        partial, largest = np.zeros((len(r), n)), np.zeros((len(r), n), np.float32)
        self._over_planes(loops.residual_after_smoothing, *self._cells, r, out, active, row)
        number, coarse = self._below(-1, out, self.lattice.plane, spaces, active)
        self._over_planes(loops.correct, *self._cells, r, number, coarse, out, active, partial, largest, row)
        return partial.sum(axis=1), largest.max(axis=1)

    def spaces(self, n_labels: int) -> list[Spaces]:
        """Return what a cycle for so many labels writes to on its way."""
        return [Spaces(*(np.zeros((n_labels, graph.n + 1), np.float32) for _ in range(4))) for graph in self.graphs]

    @property
    def _cells(self) -> tuple[Floats, Floats, Floats, Floats]:
        return (*self.lattice.weights, self.lattice.inverse)

    @property
    def _row(self) -> int:
        return self.lattice.shape[2]

    def _over_planes(self, loop: Callable[..., None], *arguments: Any) -> None:
        plane = self.lattice.plane
        over(self.lattice.shape[0], loop, *arguments, plane, weight=plane)

    def _below(
        self, k: int, left: Floats, offset: int, spaces: list[Spaces], active: NDArray[np.uint8]
    ) -> tuple[Ints, Floats]:
        """Return the correction of the level below level `k`, and to which of its nodes each node belongs."""
        if k + 1 == len(self.graphs):
            number = np.zeros(self.lattice.n if k < 0 else self.graphs[k].n, np.int32)
            return number, np.zeros((len(left), 1), np.float32)
        merged, space = self.merged[k + 1], spaces[k + 1]
        _restrict(merged, left, space.r, active, offset)
        self._cycle(k + 1, spaces, active)
        if k >= 0 and k + 2 < len(self.graphs):  # twice, as in a W
            graph = self.graphs[k + 1]
            over(graph.n, graph_loops.leave_nodes, *graph[:5], space.x, space.r, space.r, active)
            space.sum[:] = space.x
            self._cycle(k + 1, spaces, active)
            np.add(space.x, space.sum, out=space.x)
        return merged.number, space.x

    def _cycle(self, k: int, spaces: list[Spaces], active: NDArray[np.uint8]) -> None:
        """Write to x what is near the inverse of the Laplacian of level `k`, times r."""
        graph, space = self.graphs[k], spaces[k]
        if k == len(self.graphs) - 1:
            self._solve_last(graph, space, active)
            return
        over(graph.n, graph_loops.step_nodes, space.r, graph.inverse, space.x, active)
        over(graph.n, graph_loops.leave_nodes, *graph[:5], space.x, space.r, space.left, active)
        number, coarse = self._below(k, space.left, 0, spaces, active)
        over(graph.n, graph_loops.add_coarse, number, coarse, space.x, active)
        over(graph.n, graph_loops.leave_nodes, *graph[:5], space.x, space.r, space.left, active)
        over(graph.n, graph_loops.second_step, space.left, graph.inverse, space.x, active)

    def _solve_last(self, graph: Graph, space: Spaces, active: NDArray[np.uint8]) -> None:
        if self._direct is not None:
            space.x[:, : graph.n] = space.r[:, : graph.n].astype(np.float64) @ self._direct
            return
        space.x[:] = 0
        left = space.left
        left[:] = space.r
        for _ in range(LAST_SWEEPS):
            graph_loops.second_step(left, graph.inverse, space.x, active, 0, graph.n)
            graph_loops.leave_nodes(*graph[:5], space.x, space.r, left, active, 0, graph.n)


def _restrict(merged: Aggregation, left: Floats, coarse: Floats, active: NDArray[np.uint8], offset: int) -> None:
    """Sum up what is left over the members of every aggregate."""

    def work(low: int, high: int) -> None:
        for run in range(low, high):
            first, last = run * merged.size, min((run + 1) * merged.size, merged.n)
            begin, end = map(int, merged.ranges[run])
            loops.restrict_range(left, merged.number, coarse, active, first, last, begin, end, offset)

    over(len(merged.ranges), work, weight=MANY)


def _direct_inverse(graph: Graph) -> NDArray[np.float64]:
    """Return the inverse of the Laplacian of a small graph."""
    laplacian = np.diag(graph.sink.astype(np.float64))
    for i, (begin, end) in enumerate(zip(graph.start, graph.stop, strict=True)):
        laplacian[i, graph.to[begin:end]] -= graph.weight[begin:end]
        laplacian[i, i] += graph.weight[begin:end].sum(dtype=np.float64)
    return np.asarray(np.linalg.inv(laplacian), np.float64)
