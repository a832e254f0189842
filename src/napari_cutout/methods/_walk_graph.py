"""A random walk on a graph of groups of voxels, which stands for an image that is too large to be solved as one.

Groups are those that the multigrid merges (`_multigrid.coarser`): voxels that hold together. A group never crosses a
boundary that the image shows, which blocks of voxels do: a block that a boundary cuts is a hole in it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._monitor import note
from . import _multigrid as multigrid
from ._gradients import NOWHERE, completed, in_turns
from ._graph_pairs import invert_node_degrees
from ._levels import Levels, Spaces
from ._multigrid import Floats, Graph, Ints
from ._walk import note_reached

__all__ = ["Edges", "Resistances", "graph_of", "probabilities", "summed"]

WITHIN = 3.0
"""What a group resists to a walk from its middle to its rim, times the sum of the weights inside.

Of a block of 2 x 2 x 2 voxels whose edges weigh the same it is 1.5; that groups are no blocks, and that weights differ,
doubles it (measured)."""


class Edges(NamedTuple):
    """Edges between groups, each once.

    Parameters
    ----------
    one, two : int array
        The groups.
    weight : float32 array
        Of each edge.
    """

    one: NDArray[np.signedinteger]
    two: NDArray[np.signedinteger]
    weight: Floats


Resistances = NDArray[np.float32]
"""What every group adds to the resistance of each of its edges."""


def resistances(inner: NDArray[np.floating]) -> Resistances:
    """Return what groups add to their edges, from the sum of the weights within each."""
    found = np.zeros(inner.shape)
    np.divide(WITHIN, inner, out=found, where=inner > 0)
    return found.astype(np.float32)


def summed(edges: Edges, resistance_of: tuple[Resistances, Resistances]) -> Edges:
    """Return edges with those between the same two groups joined, and with what the groups themselves resist.

    Parameters
    ----------
    edges : Edges
        In any order; `one` and `two` count the groups of their own side.
    resistance_of : tuple of float32 array
        What the groups of either side add.
    """
    width = len(resistance_of[1]) + 1
    keys, index = np.unique(edges.one.astype(np.int64) * width + edges.two, return_inverse=True)
    weight = np.bincount(index, edges.weight, len(keys))
    one, two = keys // width, keys % width
    weight = 1 / (1 / weight + resistance_of[0][one] + resistance_of[1][two])
    return Edges(one, two, weight.astype(np.float32))


def graph_of(edges: Edges, sink: Floats) -> Graph:
    """Return the graph of edges that are given once each, and of what leaks from each node."""
    from scipy.sparse import coo_array

    n = len(sink)
    matrix = coo_array((edges.weight, (edges.one.astype(np.int32), edges.two.astype(np.int32))), shape=(n, n)).tocsr()
    matrix = (matrix + matrix.T).tocsr()
    graph = Graph(
        matrix.indptr[:-1].copy(),
        matrix.indptr[1:].copy(),
        matrix.indices.astype(np.int32, copy=False),
        matrix.data.astype(np.float32, copy=False),
        sink,
        np.empty(n, np.float32),
    )
    invert_node_degrees(graph.start, graph.stop, graph.weight, sink, graph.inverse, 0, n)
    return graph


def probabilities(
    graph: Graph, sinks: list[Floats], places: Ints, shape: tuple[int, int, int], tolerance: float
) -> Floats:
    """Return how likely a walk from each group reaches each label first.

    Parameters
    ----------
    graph : Graph
        Its sinks are the sums of those of all labels.
    sinks : list of float32 array
        What leaks from each group to the strokes of each label.
    places : int32 array
        The block of the image where each group begins.
    shape : tuple of int
        Blocks along each axis.
    tolerance : float
        The largest error at which to stop.

    Returns
    -------
    float32 array of shape (n, groups)
        NaN where no walk leads.
    """
    lost = _without_strokes(graph)
    graph.sink[lost] = 1  # so that their equations have a solution
    grid = _GraphGrid(graph, places, shape)
    found, far = np.zeros((len(sinks), graph.n), np.float32), NOWHERE

    def begin(some: range) -> Floats:
        return grid.begin([sinks[k] for k in some])

    for some, x, came in in_turns(grid, len(sinks), begin, tolerance, " on groups of voxels"):
        far = far.farther(came)
        found[some.start : some.stop] = x[:, grid.place]
    found[:] = completed(found)
    found[:, lost] = np.nan
    note(n_iterations=far.n_iterations)  # the error on groups is not that of the answer
    if not far.error <= tolerance:
        note_reached(far, tolerance)
    return found


def _without_strokes(graph: Graph) -> NDArray[np.bool_]:
    """Return which nodes no sink is connected to."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    starts = np.append(graph.start, graph.stop[-1:] if graph.n else [0])
    matrix = csr_array((graph.weight, graph.to, starts), shape=(graph.n, graph.n))
    n, part = connected_components(matrix, directed=False)
    held = np.zeros(n, bool)
    held[part[graph.sink > 0]] = True
    found: NDArray[np.bool_] = ~held[part]
    return found


class _GraphGrid:
    """The levels of a graph, with what `_gradients.solve` asks for on the graph itself, whose nodes lie in slots."""

    def __init__(self, graph: Graph, places: Ints, shape: tuple[int, int, int]) -> None:
        self.levels = Levels()
        self.levels.add(graph, multigrid.Aggregation(np.zeros(0, np.int32), graph.n))
        while graph.n > multigrid.COARSEST:
            n = graph.n
            done = multigrid.PASSES * (len(self.levels.slots) - 1)
            merged, graph, places = multigrid.coarser(graph, places, shape, done)
            if graph.n >= multigrid.LEAST_SHRINKAGE * n:
                break
            self.levels.add(graph, merged)
        self.place = self.levels.places[0]
        self.right: Floats = np.zeros((0, 0), np.float32)

    def begin(self, right: list[Floats]) -> Floats:
        """Take the right sides, and return vectors of zeros to begin with."""
        self.right = np.zeros((len(right), 2 * self.levels.slots[0].n + 1), np.float32)
        self.right[:, self.place] = np.stack(right)
        return np.zeros_like(self.right)

    def like(self, vectors: Floats) -> Floats:
        return np.zeros_like(vectors)

    def spaces(self, n_labels: int) -> list[Spaces]:
        return self.levels.spaces(n_labels)

    def residual(self, x: Floats, r: Floats, active: NDArray[np.uint8]) -> None:
        self._leave(x, self.right, r, active)

    def apply(self, p: Floats, q: Floats, active: NDArray[np.uint8]) -> NDArray[np.float64]:
        self._leave(p, np.zeros_like(p), q, active)
        np.negative(q, out=q)
        return _products(p[:, : self.levels.slots[0].n], q[:, : self.levels.slots[0].n])

    def _leave(self, x: Floats, r: Floats, left: Floats, active: NDArray[np.uint8]) -> None:
        left[active > 0] = r[active > 0]
        self.levels.subtract(0, x, left, active)

    def advance(self, x: Floats, p: Floats, r: Floats, q: Floats, steps: Floats, active: NDArray[np.uint8]) -> None:
        for k in np.flatnonzero(active):
            x[k] += steps[k] * p[k]
            r[k] -= steps[k] * q[k]

    def turn(self, p: Floats, z: Floats, shares: Floats, active: NDArray[np.uint8]) -> None:
        for k in np.flatnonzero(active):
            p[k] *= shares[k]
            p[k] += z[k]

    def precondition(
        self, r: Floats, out: Floats, spaces: list[Spaces], active: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float64], Floats]:
        n = self.levels.slots[0].n
        spaces[0].r[:] = r[:, :n]
        self.levels.cycle(0, spaces, active)
        out[:] = spaces[0].x
        return _products(r[:, :n], out[:, :n]), np.abs(out[:, :n]).max(axis=1)


def _products(a: Floats, b: Floats) -> NDArray[np.float64]:
    """Return sums of products in float64."""
    size = 1 << 20
    return np.array(
        [
            sum(float(np.dot(x[i : i + size].astype(np.float64), y[i : i + size])) for i in range(0, len(x), size))
            for x, y in zip(a, b, strict=True)
        ]
    )
