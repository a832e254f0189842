"""The maximum flow of a grid: two trees of free paths that grow towards each other, and are kept from path to path.

SciPy's maximum flow (Dinic's algorithm) searches anew from the source after every round of paths, counts in int32,
and keeps all other threads waiting until it ends: no matter in a graph of a few thousand regions, but seconds and more
where voxels are nodes. The trees are mostly about five times faster (benchmarks/graph_cut.py), let other threads run,
and can be cancelled. Both find the same cut.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._compiled import bare, compiled
from .._monitor import tick

__all__ = ["reached_from_source"]

FREE, SOURCE, SINK = 0, 1, 2
"""Which tree a node is in."""

NONE, ROOT, ORPHAN = -1, -2, -3
"""What stands for the arc to the parent: none, the terminal itself, and lost its parent."""

FAR = 1 << 30
"""The distance to a terminal that is not reached."""

PATHS = 1 << 14
"""Paths between two moments at which a run may be cancelled."""

HEAD, TAIL, CURRENT, TIME = range(4)
"""Places of the state between two calls of the loop: of the queue of active nodes, the one at work, and the clock."""

Ints = NDArray[np.int64]


def reached_from_source(tails: NDArray[Any], heads: NDArray[Any], there: Ints, back: Ints, gains: Ints) -> Any:
    """Return what the source still reaches when no more can flow.

    Parameters
    ----------
    tails, heads : integer arrays of shape (m,)
        Pairs of nodes 0 to n - 1; none is there twice, in either order.
    there, back : int64 arrays of shape (m,)
        Capacities from the tail to the head, and from the head to the tail.
    gains : int64 array of shape (n,)
        Capacity from the source, or, where it is negative, to the sink.

    Returns
    -------
    bool array of shape (n,)
        The smallest source side of all minimum cuts.

    References
    ----------
    .. [1] Y. Boykov and V. Kolmogorov, "An experimental comparison of min-cut/max-flow algorithms for energy
       minimization in vision", IEEE Trans. Pattern Anal. Mach. Intell. 26 (2004) 1124-1137.
       DOI:10.1109/TPAMI.2004.60
    """
    n = len(gains)
    first = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(tails, minlength=n) + np.bincount(heads, minlength=n), out=first[1:])
    arcs, capacities = np.empty((first[-1], 2), np.int32), np.empty(first[-1], np.int64)
    _lay_out(tails, heads, there, back, first[:-1].copy(), arcs, capacities)
    left, nodes = gains.copy(), np.empty((n, 4), np.int32)
    queue, waiting, state = np.empty(n + 1, np.int32), np.zeros(n, np.bool_), np.zeros(4, np.int64)
    orphans = np.empty(n + 1, np.int32)
    _plant(left, nodes, queue, waiting, state)
    while not _grow(first, arcs, capacities, left, nodes, queue, waiting, orphans, state, PATHS):
        tick(0, 1)
    return nodes[:, 0] == SOURCE


@compiled
def _lay_out(
    tails: NDArray[Any],
    heads: NDArray[Any],
    there: Ints,
    back: Ints,
    place: Ints,
    arcs: NDArray[np.int32],
    capacities: Ints,
) -> None:
    """Write the arcs of every node one after another: where each leads, and the arc that leads back."""
    for pair in range(len(tails)):
        a, b = tails[pair], heads[pair]
        i, j = place[a], place[b]
        place[a] += 1
        place[b] += 1
        arcs[i, 0], arcs[i, 1], capacities[i] = b, j, there[pair]
        arcs[j, 0], arcs[j, 1], capacities[j] = a, i, back[pair]


@compiled
def _plant(left: Ints, nodes: NDArray[np.int32], queue: NDArray[np.int32], waiting: Any, state: Ints) -> None:
    """Make a root of every node that a terminal leads to."""
    for node in range(len(left)):
        tree = SOURCE if left[node] > 0 else SINK if left[node] < 0 else FREE
        nodes[node, 0], nodes[node, 1], nodes[node, 2], nodes[node, 3] = tree, ROOT if tree else NONE, 0, 1
        if tree:
            _push(node, queue, waiting, state)
    state[CURRENT] = NONE


@bare
def _push(node: int, queue: NDArray[np.int32], waiting: Any, state: Ints) -> None:
    """Let a node wait until its neighbours are looked at."""
    if waiting[node]:
        return
    waiting[node] = True
    queue[state[TAIL]] = node
    state[TAIL] = (state[TAIL] + 1) % len(queue)


@bare
def _next(nodes: NDArray[np.int32], queue: NDArray[np.int32], waiting: Any, state: Ints) -> int:
    """Return the next node of a tree whose neighbours are to be looked at, or -1."""
    if state[CURRENT] != NONE and nodes[state[CURRENT], 0] != FREE:
        return int(state[CURRENT])
    while state[HEAD] != state[TAIL]:
        node = queue[state[HEAD]]
        state[HEAD] = (state[HEAD] + 1) % len(queue)
        waiting[node] = False
        if nodes[node, 0] != FREE:
            return int(node)
    return NONE


@bare
def _grow(
    first: Ints,
    arcs: NDArray[np.int32],
    capacities: Ints,
    left: Ints,
    nodes: NDArray[np.int32],
    queue: NDArray[np.int32],
    waiting: Any,
    orphans: NDArray[np.int32],
    state: Ints,
    paths: int,
) -> bool:
    """Find so many paths and fill them; return whether there are no more.

    The columns of `nodes` are the tree, the arc to the parent, and when its distance to the terminal was last seen.
    """
    while True:
        node = _next(nodes, queue, waiting, state)
        if node == NONE:
            return True
        bridge = _bridge(node, first, arcs, capacities, nodes, queue, waiting, state)
        state[TIME] += 1
        state[CURRENT] = NONE if bridge == NONE else node
        if bridge != NONE:
            lost = _fill(bridge, arcs, capacities, left, nodes, orphans)
            _adopt(lost, first, arcs, capacities, nodes, queue, waiting, orphans, state)
            paths -= 1
            if paths == 0:
                return False


@bare
def _bridge(
    node: int,
    first: Ints,
    arcs: NDArray[np.int32],
    capacities: Ints,
    nodes: NDArray[np.int32],
    queue: NDArray[np.int32],
    waiting: Any,
    state: Ints,
) -> int:
    """Take free neighbours into the tree of a node; return an arc from the source's tree to the sink's, or -1."""
    tree = nodes[node, 0]
    for arc in range(first[node], first[node + 1]):
        along = arc if tree == SOURCE else arcs[arc, 1]
        if capacities[along] == 0:
            continue
        other = arcs[arc, 0]
        if nodes[other, 0] == FREE:
            nodes[other, 0] = tree
            _attach(other, arcs[arc, 1], nodes[node, 2], nodes[node, 3] + 1, nodes)
            _push(other, queue, waiting, state)
        elif nodes[other, 0] != tree:
            return along
        elif nodes[other, 2] <= nodes[node, 2] and nodes[other, 3] > nodes[node, 3]:  # a shorter way to the terminal
            _attach(other, arcs[arc, 1], nodes[node, 2], nodes[node, 3] + 1, nodes)
    return NONE


@bare
def _attach(node: int, arc: int, seen: int, distance: int, nodes: NDArray[np.int32]) -> None:
    nodes[node, 1], nodes[node, 2], nodes[node, 3] = arc, seen, distance


@bare
def _fill(
    bridge: int, arcs: NDArray[np.int32], capacities: Ints, left: Ints, nodes: NDArray[np.int32], orphans: Any
) -> int:
    """Let as much flow as the path over a bridge holds; return how many nodes lost their parent."""
    flow = min(
        capacities[bridge],
        _narrowest(arcs[arcs[bridge, 1], 0], True, arcs, capacities, left, nodes),
        _narrowest(arcs[bridge, 0], False, arcs, capacities, left, nodes),
    )
    capacities[bridge] -= flow
    capacities[arcs[bridge, 1]] += flow
    lost = _filled(arcs[arcs[bridge, 1], 0], True, flow, 0, arcs, capacities, left, nodes, orphans)
    return _filled(arcs[bridge, 0], False, flow, lost, arcs, capacities, left, nodes, orphans)


@bare
def _narrowest(
    node: int, at_source: bool, arcs: NDArray[np.int32], capacities: Ints, left: Ints, nodes: NDArray[np.int32]
) -> int:
    """Return how much the way between a node and the terminal of its tree still holds."""
    flow = np.int64(1) << 62
    while nodes[node, 1] != ROOT:
        arc = nodes[node, 1]
        flow = min(flow, capacities[arcs[arc, 1] if at_source else arc])
        node = arcs[arc, 0]
    return int(min(flow, abs(left[node])))


@bare
def _filled(
    node: int,
    at_source: bool,
    flow: int,
    lost: int,
    arcs: NDArray[np.int32],
    capacities: Ints,
    left: Ints,
    nodes: NDArray[np.int32],
    orphans: Any,
) -> int:
    """Let it flow between a node and the terminal; note nodes that are cut off, and return how many there are."""
    while nodes[node, 1] != ROOT:
        arc = nodes[node, 1]
        along = arcs[arc, 1] if at_source else arc
        capacities[along] -= flow
        capacities[arcs[along, 1]] += flow
        if capacities[along] == 0:
            nodes[node, 1] = ORPHAN
            orphans[lost] = node
            lost += 1
        node = arcs[arc, 0]
    left[node] -= flow if at_source else -flow
    if left[node] == 0:
        nodes[node, 1] = ORPHAN
        orphans[lost] = node
        lost += 1
    return lost


@bare
def _adopt(
    lost: int,
    first: Ints,
    arcs: NDArray[np.int32],
    capacities: Ints,
    nodes: NDArray[np.int32],
    queue: NDArray[np.int32],
    waiting: Any,
    orphans: NDArray[np.int32],
    state: Ints,
) -> None:
    """Find a parent for every node that lost its own, the nearest to the terminal, or set it and its children free."""
    at = 0
    while at != lost:
        node = orphans[at]
        at = (at + 1) % len(orphans)
        tree, nearest, best = nodes[node, 0], FAR, NONE
        for arc in range(first[node], first[node + 1]):
            if capacities[arcs[arc, 1] if tree == SOURCE else arc] > 0 and nodes[arcs[arc, 0], 0] == tree:
                distance = _distance(arcs[arc, 0], arcs, nodes, state[TIME])
                if distance < nearest:
                    nearest, best = distance, arc
        if best != NONE:
            _attach(node, best, state[TIME], nearest + 1, nodes)
            continue
        for arc in range(first[node], first[node + 1]):
            other = arcs[arc, 0]
            if nodes[other, 0] != tree or nodes[other, 1] == NONE:
                continue
            if capacities[arcs[arc, 1] if tree == SOURCE else arc] > 0:
                _push(other, queue, waiting, state)
            if nodes[other, 1] >= 0 and arcs[nodes[other, 1], 0] == node:
                nodes[other, 1] = ORPHAN
                orphans[lost] = other
                lost = (lost + 1) % len(orphans)
        nodes[node, 0], nodes[node, 1] = FREE, NONE


@bare
def _distance(node: int, arcs: NDArray[np.int32], nodes: NDArray[np.int32], now: int) -> int:
    """Return how many arcs lead from a node to its terminal, or `FAR`; nodes on the way remember it."""
    here, steps = node, 0
    while nodes[here, 2] != now:
        parent = nodes[here, 1]
        if parent in (ORPHAN, NONE):
            return FAR
        steps += 1
        if parent == ROOT:
            nodes[here, 2], nodes[here, 3] = now, 1
            break
        here = arcs[parent, 0]
    else:
        steps += nodes[here, 3]
    distance = steps
    here = node
    while nodes[here, 2] != now:
        nodes[here, 2], nodes[here, 3] = now, steps
        steps -= 1
        here = arcs[nodes[here, 1], 0]
    return distance
