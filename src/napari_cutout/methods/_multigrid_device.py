"""Multigrid on a lattice and its graphs, on a device: launch code of kernels.

The twin on the host stands in `_multigrid`; departures and papers stand at the top of the kernels: ``lattice.cu`` and
``graph.cu``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, from_numpy, to_numpy
from ..kernels import Module, launch
from ._aggregates_device import (
    PASSES,
    Aggregation,
    Graph,
    Lattice,
    coarser,
    graph_kernels,
    lattice_kernels,
    lattice_of,
    zeros,
)
from ._multigrid import COARSEST, LAST_SWEEPS, LEAST_SHRINKAGE

__all__ = ["Multigrid", "lattice_of"]

SUMMANDS = 1 << 18
"""Threads at most that sum up over voxels, as many as a large GPU runs at the same time."""

VOXELS_EACH = 16
"""Voxels at least that a thread sums up."""

TOGETHER = 2
"""Labels whose vectors a thread goes through together."""

Active = NDArray[np.uint8]


class Spaces(NamedTuple):
    """Vectors of one level, for all labels: right side, a solution half way, and the solution."""

    r: Array
    y: Array
    x: Array


class _Turn(NamedTuple):
    """Some labels that a kernel goes through together: which, those not solved yet, and the kernels for as many."""

    labels: slice
    on: Any
    voxels: Module
    nodes: list[Module]
    sums: Module

    def of(self, *vectors: Array) -> list[Array]:
        """Return the vectors of these labels, not copied."""
        return [vector[self.labels, ...] for vector in vectors]


class Multigrid:
    """All levels of a lattice, and the linear map near the inverse of its Laplacian that they make.

    Parameters
    ----------
    lattice : Lattice
        The finest level.

    Notes
    -----
    Deterministic. Memory: at most 48 bytes per voxel with the lattice, of which 16 are weights and 8 say how voxels are
    merged; and 20 for each label: 16 in vectors of the caller's, and 12 for each node of a graph.
    """

    def __init__(self, lattice: Lattice) -> None:
        self.lattice = lattice
        self.graphs: list[Graph] = []
        self.merged: list[Aggregation] = []
        level: Lattice | Graph = lattice
        places: Array | None = None
        while level.n > COARSEST or not self.graphs:
            merged, graph, places = coarser(level, places, lattice.shape, PASSES * len(self.graphs))
            if graph.n >= LEAST_SHRINKAGE * level.n and self.graphs:
                break
            self.graphs.append(graph)
            self.merged.append(merged)
            level = graph
        self.direct = _direct_inverse(level) if isinstance(level, Graph) and level.n <= COARSEST else None
        self._n_threads = min(SUMMANDS, -(-lattice.n // VOXELS_EACH))
        self._kernels: dict[int, tuple[Module, list[Module], Module]] = {}

    def vectors(self, values: Sequence[Array]) -> Array:
        """Return the values of each label at the voxels of the image as vectors for the other methods."""
        xp, plane = array_namespace(*values), self.lattice.plane
        vectors = zeros((len(values), self.lattice.n + 2 * plane), "float32", self.lattice.inverse)
        for k, given in enumerate(values):
            vectors[k, plane:-plane] = xp.reshape(given, (-1,))
        return vectors

    def values(self, vectors: Array) -> list[Array]:
        """Return the values of each label at the voxels."""
        plane = self.lattice.plane
        return [vectors[k, plane:-plane] for k in range(vectors.shape[0])]

    def like(self, vectors: Array) -> Array:
        """Return vectors of zeros."""
        return array_namespace(vectors).zeros_like(vectors)

    def residual(self, x: Array, r: Array, active: Active) -> None:
        """Write what flows into every free voxel, which is 0 for the solution."""
        self._apply(x, r, -1, active)

    def apply(self, p: Array, q: Array, active: Active) -> NDArray[np.float64]:
        """Write the Laplacian times p; return p times it."""
        return _summed(self._apply(p, q, 1, active))

    def _apply(self, p: Array, q: Array, sign: int, active: Active) -> Array:
        partial, n_threads = self._partial(active, "float64"), np.int32(self._n_threads)
        for turn in self._turns(active):
            sizes = (np.float32(sign), turn.on, *self._sizes, *self.lattice.steps, n_threads)
            launch(turn.voxels, "lattice_apply", self._n_threads, *turn.of(q, partial, p), *self.lattice.cells, *sizes)
        return partial

    def advance(self, x: Array, p: Array, r: Array, q: Array, steps: NDArray[np.float32], active: Active) -> None:
        """Go a step along p in x, and along -q in r."""
        for turn in self._turns(active):
            sizes = (*_pair(steps[turn.labels]), turn.on, *self._sizes, self.lattice.steps[1])
            launch(turn.voxels, "lattice_advance", self.lattice.n, *turn.of(x, r, p, q), *sizes)

    def turn(self, p: Array, z: Array, shares: NDArray[np.float32], active: Active) -> None:
        """Set p to z plus a share of p."""
        for turn in self._turns(active):
            sizes = (*_pair(shares[turn.labels]), turn.on, *self._sizes, self.lattice.steps[1])
            launch(turn.voxels, "lattice_turn", self.lattice.n, *turn.of(p, z), *sizes)

    def precondition(
        self, r: Array, out: Array, spaces: list[Spaces], active: Active
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Write what is near the inverse of the Laplacian, times r; return r times it, and its largest magnitude."""
        partial, largest = self._partial(active, "float64"), self._partial(active, "float32")
        merged, n_threads = self.merged[0], np.int32(self._n_threads)
        for turn in self._turns(active):
            near = (*self.lattice.cells, turn.on, *self._sizes, *self.lattice.steps)
            cycle = _Cycle(self, turn, spaces)
            launch(turn.voxels, "lattice_smooth", self.lattice.n, *turn.of(out, r), *near)
            cycle.begin(*turn.of(out))
            cycle.visit(0)
            given = (*turn.of(out, partial, largest, r), merged.number, cycle.spaces[0].x)
            launch(turn.voxels, "lattice_correct", self._n_threads, *given, *near, np.int32(merged.n), n_threads)
        return _summed(partial), to_numpy(array_namespace(largest).max(largest, axis=1))

    def spaces(self, n_labels: int) -> list[Spaces]:
        """Return what a cycle for so many labels writes to on its way."""
        like = self.lattice.inverse
        return [Spaces(*(zeros((n_labels, graph.n + 1), "float32", like) for _ in range(3))) for graph in self.graphs]

    def _turns(self, active: Active) -> Iterator[_Turn]:
        """Yield all labels that are not solved yet, some together."""
        for low in range(0, len(active), TOGETHER):
            labels = slice(low, min(low + TOGETHER, len(active)))
            on = sum(1 << k for k, is_active in enumerate(active[labels]) if is_active)
            if on:
                yield _Turn(labels, np.int32(on), *self._kernels_for(labels.stop - low))

    def _kernels_for(self, n_labels: int) -> tuple[Module, list[Module], Module]:
        """Return the kernels for voxels, for each graph, and for sums over the members of the first."""
        if n_labels not in self._kernels:
            like = self.lattice.inverse
            nodes = [graph_kernels(like, graph.integer, n_labels) for graph in self.graphs]
            sums = graph_kernels(like, self.lattice.integer.define, n_labels)
            self._kernels[n_labels] = lattice_kernels(self.lattice, n_labels), nodes, sums
        return self._kernels[n_labels]

    def _partial(self, active: Active, dtype: str) -> Array:
        return zeros((len(active), self._n_threads), dtype, self.lattice.inverse)

    @property
    def _sizes(self) -> tuple[Any, Any]:
        """How many voxels there are, and how long a vector is."""
        scalar = self.lattice.integer.scalar
        return scalar(self.lattice.n), scalar(self.lattice.n + 2 * self.lattice.plane)


class _Cycle:
    """One way down and up again through the graphs, for some labels."""

    def __init__(self, grid: Multigrid, turn: _Turn, spaces: list[Spaces]) -> None:
        self.grid, self.turn = grid, turn
        self.spaces = [Spaces(*turn.of(*space)) for space in spaces]

    def begin(self, left: Array) -> None:
        """Sum up what is left at voxels over the members of every node of the first graph."""
        merged, length, plane = self.grid.merged[0], self.grid._sizes[1], self.grid.lattice.steps[1]
        given = (left, merged.begins, merged.members, self.turn.on, np.int32(merged.n), length, plane)
        launch(self.turn.sums, "member_sum", merged.n, self.spaces[0].r, *given)

    def visit(self, k: int, adds: bool = False) -> None:
        """Write to x what is near the inverse of the Laplacian of level `k`, times r, or add it to x."""
        graph, space, last = self.grid.graphs[k], self.spaces[k], len(self.grid.graphs) - 1
        if k == last:
            self._finish(graph, space)
            return
        below, merged, module = self.spaces[k + 1], self.grid.merged[k + 1], self.turn.nodes[k]
        sizes = (self.turn.on, np.int32(graph.n), np.int32(merged.n))
        launch(module, "cycle_descend", merged.n, below.r, space.r, *graph, merged.begins, merged.members, *sizes)
        self.visit(k + 1)
        if k + 1 < last:  # twice, as in a W
            self._leave(k + 1)
            self.visit(k + 1, adds=True)
        launch(module, "cycle_ascend", graph.n, space.y, space.r, graph.inverse, merged.number, below.x, *sizes)
        self._step(k, space.x, space.y, adds)

    def _leave(self, k: int) -> None:
        graph, space = self.grid.graphs[k], self.spaces[k]
        sizes = (self.turn.on, np.int32(graph.n))
        launch(self.turn.nodes[k], "cycle_leave", graph.n, space.r, space.x, *graph[:4], *sizes)

    def _step(self, k: int, x: Array, y: Array, adds: bool = False) -> None:
        graph, r = self.grid.graphs[k], self.spaces[k].r
        sizes = (np.int32(adds), self.turn.on, np.int32(graph.n))
        launch(self.turn.nodes[k], "cycle_step", graph.n, x, y, r, *graph, *sizes)

    def _finish(self, graph: Graph, space: Spaces) -> None:
        """Solve the last level, or come near its solution where it is too large."""
        k = len(self.grid.graphs) - 1
        if self.grid.direct is not None:
            sizes = (self.turn.on, np.int32(graph.n))
            launch(self.turn.nodes[k], "cycle_finish", graph.n, space.x, space.r, self.grid.direct, *sizes)
            return
        space.x[...] = 0
        for _ in range(LAST_SWEEPS // 2):
            self._step(k, space.y, space.x)
            self._step(k, space.x, space.y)


def _summed(partial: Array) -> NDArray[np.float64]:
    return to_numpy(array_namespace(partial).sum(partial, axis=1))


def _pair(values: NDArray[np.float32]) -> tuple[Any, Any]:
    return np.float32(values[0]), np.float32(values[-1])


def _direct_inverse(graph: Graph) -> Array:
    """Return the inverse of the Laplacian of a small graph."""
    start, to, weight, sink, _ = (to_numpy(part) for part in graph)
    laplacian = np.diag(sink.astype(np.float64))
    for i, (begin, end) in enumerate(itertools.pairwise(start)):
        laplacian[i, to[begin:end]] -= weight[begin:end]
        laplacian[i, i] += weight[begin:end].sum(dtype=np.float64)
    return from_numpy(np.linalg.inv(laplacian), like=graph.inverse)
