"""The cheapest labelling of a graph whose neighbours pay for being different: minimum cuts, one or several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._monitor import stage, tick
from ._max_flow import reached_from_source

__all__ = ["Energy", "by_scipy", "cheapest", "source_side"]

LARGEST = 2**30
"""The largest capacity that SciPy is given: it counts in int32, and adds that of an arc to what flows against it."""

FEW = 1 << 16
"""Pairs of the largest graph that SciPy is given: a tenth of a second, in which no other thread runs."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Energy:
    """What a labelling of n nodes costs, in whole numbers.

    Parameters
    ----------
    costs : int64 array of shape (n_rows, n_labels)
        What each label costs at nodes of each kind.
    pairs : integer array of shape (m, 2)
        Two nodes that are neighbours; no pair is there twice, in either order.
    weights : int64 array of shape (m,)
        What it costs if they have different labels; not negative.
    fixed : int64 array of shape (n,)
        The label that a node must have, as a column of `costs`; -1 is any.
    rows : integer array of shape (n,), optional
        The row of `costs` that a node has; by default every node has its own.
    """

    costs: Ints
    pairs: NDArray[Any]
    weights: Ints
    fixed: Ints
    rows: NDArray[Any] | None = None

    def alone(self, labels: Ints | int) -> Ints:
        """Return what each node costs by itself, with its label or all with one."""
        alone: Ints = self.costs[np.arange(len(self.fixed)) if self.rows is None else self.rows, labels]
        return alone

    def best_alone(self) -> Ints:
        """Return the label that costs least at each node by itself, of equal costs the first."""
        best: Ints = np.argmin(self.costs, axis=1)
        return best if self.rows is None else best[self.rows]

    def of(self, labels: Ints) -> int:
        """Return what a labelling costs; columns of `costs`, those of `fixed` among them."""
        apart = labels[self.pairs[:, 0]] != labels[self.pairs[:, 1]]
        return int(self.alone(labels).sum() + self.weights[apart].sum())

    def around(self) -> Ints:
        """Return what all neighbours of each node can cost together."""
        n = len(self.fixed)
        return _summed(self.pairs[:, 0], self.weights, n) + _summed(self.pairs[:, 1], self.weights, n)


def cheapest(energy: Energy) -> Ints:
    """Return the labelling of the least cost, or of several labels one that no expansion makes cheaper.

    Parameters
    ----------
    energy : Energy
        At least one node and one label.

    Returns
    -------
    int64 array of shape (n,)
        Columns of ``energy.costs``. Of two labels it is the cheapest of all labellings, and where several are, that in
        which the fewest nodes have the second. Of more it begins with what is cheapest at every node by itself, of
        equal costs the first; then labels expand in turn, each over the smallest set of nodes that saves most, until
        none saves anything.
    """
    n_labels = energy.costs.shape[1]
    labels = np.where(energy.fixed >= 0, energy.fixed, energy.best_alone())
    if n_labels < 2 or not len(energy.pairs):
        return labels
    stage("cutting the graph")
    if n_labels == 2:
        return _expanded(energy, np.where(energy.fixed == 1, 1, 0), 1)
    spent, unchanged, label, turn = energy.of(labels), 0, 0, 0
    while unchanged < n_labels:
        tick(turn % n_labels, n_labels)
        moved = _expanded(energy, labels, label)
        cost = energy.of(moved)
        unchanged = 0 if cost < spent else unchanged + 1
        labels, spent = (moved, cost) if cost < spent else (labels, spent)
        label, turn = (label + 1) % n_labels, turn + 1
    return labels


def _expanded(energy: Energy, labels: Ints, label: int) -> Ints:
    """Return the cheapest labelling in which every node keeps its label or takes this one, as few as possible.

    References
    ----------
    .. [1] V. Kolmogorov and R. Zabih, "What energy functions can be minimized via graph cuts?", IEEE Trans. Pattern
       Anal. Mach. Intell. 26 (2004) 147-159. DOI:10.1109/TPAMI.2004.1262177
    """
    taken = source_side(energy.pairs[:, 1], energy.pairs[:, 0], *_network(energy, labels, label))
    return np.where(taken, label, labels)


def _network(energy: Energy, labels: Ints, label: int) -> tuple[Ints, Ints, Ints]:
    """Return the capacities from second to first nodes and back, and the gains of nodes that take the label."""
    n = len(labels)
    a, b, weights = energy.pairs[:, 0], energy.pairs[:, 1], energy.weights
    none = np.where(
        labels[a] != labels[b], weights, 0
    )  # what a pair costs if neither, the first or the second takes it
    first = np.where(labels[b] != label, weights, 0)
    second = np.where(labels[a] != label, weights, 0)
    there = first + second - none
    back = there // 2  # half each way: with equal labels as much as the pair costs, and so no detour by the terminals
    gain = energy.alone(labels) - energy.alone(label)
    gain += _summed(b, first - back, n) - _summed(a, first - none - back, n)
    certain = 2 * energy.around() + 1  # an arc can cost what a pair costs twice
    gain = np.where((energy.fixed >= 0) & (energy.fixed != label), -certain, gain)
    return there - back, back, np.where((energy.fixed == label) & (labels != label), certain, gain)


def _summed(nodes: NDArray[Any], values: Ints, n: int) -> Ints:
    """Return the sums of values at each node; exact, since they lie below 2^53."""
    return np.asarray(np.bincount(nodes, values, n), np.int64)


# Maximum flow ------------------------------------------------------------------------------------------


def source_side(tails: NDArray[Any], heads: NDArray[Any], there: Ints, back: Ints, gains: Ints) -> NDArray[np.bool_]:
    """Return the smallest source side of all minimum cuts, which is the same whatever flow is found.

    Parameters
    ----------
    tails, heads : integer arrays of shape (m,)
        Pairs of nodes 0 to n - 1; none is there twice, in either order.
    there, back : int64 arrays of shape (m,)
        Not negative: what is cut if only the tail is on the source side, and if only the head is.
    gains : int64 array of shape (n,)
        What is cut if a node is on the sink side; if it is on the source side, where this is negative.

    Returns
    -------
    bool array of shape (n,)
        True on the source side.
    """
    n = len(gains)
    leaving = _summed(tails, there, n) + _summed(heads, back, n)
    entering = _summed(heads, there, n) + _summed(tails, back, n)
    gains = np.clip(gains, -entering - 1, leaving + 1)  # a node that gains more than it can cost is on that side anyway
    largest = max(int(a.max(initial=0)) for a in (there, back, np.abs(gains)))
    solve = by_scipy if len(tails) <= FEW and largest <= LARGEST else reached_from_source
    return solve(tails, heads, there, back, gains)


def by_scipy(tails: NDArray[Any], heads: NDArray[Any], there: Ints, back: Ints, gains: Ints) -> NDArray[np.bool_]:
    """Do so with SciPy's maximum flow: the source side is what the source still reaches when no more can flow."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    n, source, sink = len(gains), np.flatnonzero(gains > 0), np.flatnonzero(gains < 0)
    rows = np.concatenate([tails, heads, np.full(len(source), n), sink]).astype(np.int32)
    columns = np.concatenate([heads, tails, source, np.full(len(sink), n + 1)]).astype(np.int32)
    values = np.concatenate([there, back, gains[source], -gains[sink]]).astype(np.int32)
    graph = csr_array((values, (rows, columns)), shape=(n + 2, n + 2))
    left = graph - maximum_flow(graph, n, n + 1, method="dinic").flow
    left.eliminate_zeros()
    reached = np.zeros(n + 2, bool)
    reached[breadth_first_order(left, n, return_predecessors=False)] = True
    return reached[:n]
