"""The coarse levels of a lattice, graphs of merged voxels, and one cycle through them, on the host."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._compiled import n_threads
from . import _graph_loops as loops
from ._graph_loops import CHUNK, LANES
from ._graph_pairs import member_ranges
from ._lattice_loops import restrict_range

__all__ = ["COARSEST", "LAST_SWEEPS", "MANY", "Aggregation", "Floats", "Graph", "Ints", "Levels", "Spaces", "over"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Active = NDArray[np.uint8]

COARSEST = 300
"""Nodes of a level that is solved directly."""

LAST_SWEEPS = 30
"""Sweeps on a last level that is too large to be solved directly."""

WINDOW = 512
"""Nodes among which those with as many neighbours come next to each other."""

MANY = 1 << 15
"""Nodes above which all processors share the work."""


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


class Aggregation(NamedTuple):
    """To which node of the coarser level each node belongs; those of none have the number of its nodes."""

    number: Ints
    n: int


class Spaces(NamedTuple):
    """Vectors of one level, for all labels: right side, what is left of it, solution, and a sum of solutions."""

    r: Floats
    left: Floats
    x: Floats
    sum: Floats


class Slots(NamedTuple):
    """A graph with its nodes in slots, see `_graph_loops`."""

    begin: NDArray[np.int64]
    middle: NDArray[np.int64]
    to: NDArray[np.uint32]
    weight: Floats
    sink: Floats
    inverse: Floats

    @property
    def n(self) -> int:
        """Places for nodes, also those that stay empty."""
        return len(self.sink)

    @property
    def n_chunks(self) -> int:
        return -(-len(self.middle) // CHUNK)


class Merged(NamedTuple):
    """At which place of the coarser level each node belongs, and where those of a run of places lie."""

    place: NDArray[np.uint32]
    size: int
    ranges: NDArray[np.int64]


def over(n: int, work: Callable[..., Any], *arguments: Any, weight: int = 1) -> list[Any]:
    """Run ``work(*arguments, low, high)`` on ranges that make up `n` items, on all processors if that pays."""
    threads = min(n_threads(), n)
    if threads <= 1 or n * weight < MANY:
        return [work(*arguments, 0, n)] if n else []
    cuts = [n * k // threads for k in range(threads + 1)]
    others = [_pool().submit(work, *arguments, low, high) for low, high in pairwise(cuts[1:])]
    first = work(*arguments, 0, cuts[1])  # here, while the others work
    return [first, *(other.result() for other in others)]


_pools: list[ThreadPoolExecutor] = []


def _pool() -> ThreadPoolExecutor:
    if not _pools:
        _pools.append(ThreadPoolExecutor(n_threads(), thread_name_prefix="multigrid"))
    return _pools[0]


class Levels:
    """Graphs, each of merged nodes of the one before, and the map near the inverse of the first's Laplacian.

    Attributes
    ----------
    slots : list of Slots
        The graphs.
    places : list of int32 array
        The place of every node of each graph.
    """

    def __init__(self) -> None:
        self.slots: list[Slots] = []
        self.places: list[Ints] = []
        self.merged: list[Merged] = []
        self._direct: NDArray[np.float64] | None = None

    def add(self, graph: Graph, merged: Aggregation) -> None:
        """Add a level below the last, and tell which of its nodes those of the last belong to."""
        place = np.empty(graph.n, np.int32)
        loops.order_by_degree(graph.start, graph.stop, WINDOW, place)
        slots = _slots_of(graph, place)
        number = np.append(place, np.int32(2 * slots.n)).take(merged.number)
        if self.slots:
            ordered = np.full(self.slots[-1].n, 2 * slots.n, np.int32)
            ordered[self.places[-1]] = number
            number = ordered
        size = max(-(-slots.n // n_threads()) if len(number) >= MANY else slots.n, 1)
        ranges = np.empty((-(-slots.n // size), 2), np.int64)
        member_ranges(number, size, ranges)
        self.slots.append(slots)
        self.places.append(place)
        self.merged.append(Merged(number.view(np.uint32), size, ranges))
        self._direct = _direct_inverse(graph) if graph.n <= COARSEST else None

    def spaces(self, n_labels: int) -> list[Spaces]:
        """Return what a cycle for so many labels writes to on its way."""
        return [
            Spaces(*(np.zeros((n_labels, n), np.float32) for n in (s.n, s.n, 2 * s.n + 1, 2 * s.n + 1)))
            for s in self.slots
        ]

    def correction(
        self, k: int, left: Floats, offset: int, spaces: list[Spaces], active: Active
    ) -> tuple[NDArray[np.uint32], Floats]:
        """Return the place of each node of the level before in level `k`, and what that level adds there.

        Parameters
        ----------
        k : int
            A level.
        left : float32 array of shape (labels, nodes)
            What is left of the right side on the level before.
        offset : int
            Where its first node lies in `left`.
        spaces : list of Spaces
            Vectors of all levels.
        active : uint8 array
            Labels that are not solved yet.
        """
        merged, space = self.merged[k], spaces[k]
        _restrict(merged, left, space.r, active, offset)
        self.cycle(k, spaces, active)
        if k + 1 < len(self.slots):  # twice, as in a W
            self.subtract(k, space.x, space.r, active)
            space.sum[:] = space.x
            self.cycle(k, spaces, active)
            np.add(space.x, space.sum, out=space.x)
        return merged.place, space.x

    def cycle(self, k: int, spaces: list[Spaces], active: Active) -> None:
        """Write to x what is near the inverse of the Laplacian of level `k`, times r."""
        slots, space = self.slots[k], spaces[k]
        if k + 1 == len(self.slots):
            self._solve_last(slots, space, active)
            return
        begin, middle, to, weight, sink, inverse = slots
        r, left, x, _ = space
        rows = LANES * CHUNK
        over(slots.n_chunks, loops.sweep_from_zero, begin, middle, to, weight, inverse, r, x, active, weight=rows)
        over(len(middle), loops.leave_sweep, begin, middle, to, weight, x, left, active, weight=LANES)
        place, coarse = self.correction(k + 1, left, 0, spaces, active)
        over(slots.n, loops.correct_nodes, place, coarse, x, active)
        over(slots.n_chunks, loops.sweep_back, begin, to, weight, sink, inverse, r, x, active, weight=rows)

    def subtract(self, k: int, x: Floats, r: Floats, active: Active) -> None:
        """Take the Laplacian of level `k` times x from r; both parts of x become the same."""
        slots = self.slots[k]
        x[:, slots.n : 2 * slots.n] = x[:, : slots.n]
        given = (slots.begin, slots.to, slots.weight, slots.sink, x, r, active)
        over(len(slots.middle), loops.subtract_laplacian, *given, weight=LANES)

    def _solve_last(self, slots: Slots, space: Spaces, active: Active) -> None:
        place = self.places[-1]
        if self._direct is not None:
            space.x[:, place] = space.r[:, place].astype(np.float64) @ self._direct
            return
        begin, middle, to, weight, sink, inverse = slots
        space.sum[:] = 0
        for _ in range(LAST_SWEEPS // 2):
            over(slots.n_chunks, loops.sweep_from_zero, begin, middle, to, weight, inverse, space.r, space.x, active)
            over(slots.n_chunks, loops.sweep_back, begin, to, weight, sink, inverse, space.r, space.x, active)
            space.sum[:] += space.x
            self.subtract(-1, space.x, space.r, active)
        space.x[:] = space.sum


def _slots_of(graph: Graph, place: Ints) -> Slots:
    """Return a graph with its nodes in slots, each at its place."""
    n_slots = -(-graph.n // LANES)
    node = np.empty(graph.n, np.int32)
    node[place] = np.arange(graph.n, dtype=np.int32)
    lower, upper = np.empty(n_slots, np.int32), np.empty(n_slots, np.int32)
    rows = (graph.start, graph.stop, graph.to)
    over(n_slots, loops.count_rows, *rows, place, node, lower, upper, weight=LANES)
    begin = np.concatenate([[0], np.cumsum(lower + upper, dtype=np.int64)])
    middle = begin[:-1] + lower.astype(np.int64)
    to, weight = np.empty((begin[-1], LANES), np.uint32), np.empty((begin[-1], LANES), np.float32)
    over(n_slots, loops.fill_rows, *rows, graph.weight, place, node, begin, middle, to, weight, weight=LANES)
    sink, inverse = np.zeros(n_slots * LANES, np.float32), np.zeros(n_slots * LANES, np.float32)
    sink[place], inverse[place] = graph.sink, graph.inverse
    return Slots(begin, middle, to, weight, sink, inverse)


def _restrict(merged: Merged, left: Floats, coarse: Floats, active: Active, offset: int) -> None:
    """Sum up what is left over the members of every aggregate."""

    def work(low: int, high: int) -> None:
        for run in range(low, high):
            first, last = run * merged.size, min((run + 1) * merged.size, coarse.shape[1])
            begin, end = map(int, merged.ranges[run])
            restrict_range(left, merged.place, coarse, active, first, last, begin, end, offset)

    over(len(merged.ranges), work, weight=MANY)


def _direct_inverse(graph: Graph) -> NDArray[np.float64]:
    """Return the inverse of the Laplacian of a small graph."""
    laplacian = np.diag(graph.sink.astype(np.float64))
    for i, (begin, end) in enumerate(zip(graph.start, graph.stop, strict=True)):
        laplacian[i, graph.to[begin:end]] -= graph.weight[begin:end]
        laplacian[i, i] += graph.weight[begin:end].sum(dtype=np.float64)
    return np.asarray(np.linalg.inv(laplacian), np.float64)
