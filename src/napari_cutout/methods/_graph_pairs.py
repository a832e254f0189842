"""Loops that merge the nodes of a graph in rows of neighbours, on the host.

`start` and `stop` say where the neighbours of each node lie in `to` and `weight`. A node may leak into `sink`, which
stands for all edges that lead to voxels whose value is fixed. A result for a range of nodes does not depend on how the
nodes are cut into ranges.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._compiled import compiled
from ._lattice_pairs import EXPONENT, STRONG, chance_of

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]


@compiled
def strongest_in_graph(start: Ints, stop: Ints, weight: Ints, sink: Ints, strongest: Ints, low: int, high: int) -> None:
    """Write the bits of the strongest edge of every node, 0 where it has none; what leaks from it counts as one."""
    for i in range(low, high):
        strongest[i] = sink[i] if stop[i] > start[i] else 0
        for n in range(start[i], stop[i]):
            strongest[i] = max(strongest[i], weight[n])


@compiled
def propose(
    start: Ints,
    stop: Ints,
    to: Ints,
    weight: Ints,
    strongest: Ints,
    block: Ints,
    mate: Ints,
    proposed: Ints,
    low: int,
    high: int,
) -> None:
    """Let every node without a mate propose to the best of its strong neighbours that has none."""
    for i in range(low, high):
        proposed[i] = -1
        if strongest[i] == 0 or mate[i] >= 0:
            continue
        best, chance = -1, -1
        for n in range(start[i], stop[i]):
            rank = (weight[n] >> EXPONENT) << 1
            if rank + 1 < best:
                continue
            j = to[n]
            rank += block[i] == block[j]
            if rank < best or mate[j] >= 0:
                continue
            if weight[n] >= strongest[i] - STRONG or weight[n] >= strongest[j] - STRONG:
                hashed = int(chance_of(min(i, j), max(i, j)))
                if rank > best or hashed > chance:
                    best, chance = rank, hashed
                    proposed[i] = j


@compiled
def accept(mate: Ints, proposed: Ints, low: int, high: int) -> None:
    """Join those who propose to each other."""
    for v in range(low, high):
        j = proposed[v]
        if j >= 0 and proposed[j] == v:
            mate[v] = j


@compiled
def join(
    start: Ints,
    stop: Ints,
    to: Ints,
    weight: Ints,
    strongest: Ints,
    block: Ints,
    mate: Ints,
    root: Ints,
    low: int,
    high: int,
) -> None:
    """Write the first of every pair; who is left alone joins the pair that its strongest edge leads to."""
    for i in range(low, high):
        root[i] = i if mate[i] < 0 else min(i, mate[i])
        if strongest[i] == 0:
            root[i] = -1
        elif mate[i] < 0:
            best = max(strongest[i] - STRONG, 1)
            for n in range(start[i], stop[i]):
                j = to[n]
                if mate[j] >= 0 and weight[n] >= best:
                    best = weight[n] + 1
                    root[i] = min(j, mate[j])


@compiled
def number_roots(root: Ints, number: Ints) -> int:
    """Write the number of the root of every node, with roots numbered in their order; return how many there are.

    Nodes without a root get the number of roots.
    """
    n = 0
    for i in range(len(root)):
        if root[i] == i:
            number[i] = n
            n += 1
    for i in range(len(root)):
        if root[i] < 0:
            number[i] = n
        elif root[i] != i:
            number[i] = number[root[i]]
    return n


@compiled
def members_of(number: Ints, start: Ints, members: Ints) -> None:
    """List the nodes of every number, in their order; `start` holds n + 2 zeros for n numbers."""
    for a in number:
        if a < len(start) - 2:
            start[a + 2] += 1
    for a in range(2, len(start)):
        start[a] += start[a - 1]
    for i in range(len(number)):
        a = number[i]
        if a < len(start) - 2:
            members[start[a + 1]] = i
            start[a + 1] += 1


@compiled
def member_ranges(number: Ints, size: int, ranges: NDArray[np.int64]) -> None:
    """Write where the nodes whose numbers lie in the same run of `size` begin and end."""
    ranges[:, 0] = len(number)
    ranges[:, 1] = 0
    for i in range(len(number)):
        run = number[i] // size
        if run < len(ranges):
            ranges[run, 0] = min(ranges[run, 0], i)
            ranges[run, 1] = i + 1


@compiled
def count_in_lattice(
    wz: Floats,
    wy: Floats,
    wx: Floats,
    inverse: Floats,
    number: Ints,
    begins: Ints,
    members: Ints,
    row: int,
    plane: int,
    n: int,
    low: int,
    high: int,
) -> int:
    """Return how many edges lead from the aggregates `low` to `high`, of `n`, to others."""
    seen, steps, count = np.full(n, -1, np.int32), (plane, -plane, row, -row, 1, -1), 0
    for a in range(low, high):
        for m in range(begins[a], begins[a + 1]):
            i = members[m] + plane
            weights = (wz[i], wz[i - plane], wy[i], wy[i - row], wx[i], wx[i - 1])
            for k in range(6):
                j = i + steps[k]
                if weights[k] > 0 and inverse[j] > 0:
                    b = number[j - plane]
                    if b != a and b < n and seen[b] != a:
                        seen[b] = a
                        count += 1
    return count


@compiled
def count_in_graph(
    start: Ints, stop: Ints, to: Ints, number: Ints, begins: Ints, members: Ints, n: int, low: int, high: int
) -> int:
    """Do what `count_in_lattice` does to a graph."""
    seen, count = np.full(n, -1, np.int32), 0
    for a in range(low, high):
        for m in range(begins[a], begins[a + 1]):
            for e in range(start[members[m]], stop[members[m]]):
                b = number[to[e]]
                if b != a and b < n and seen[b] != a:
                    seen[b] = a
                    count += 1
    return count


@compiled
def contract_lattice(
    wz: Floats,
    wy: Floats,
    wx: Floats,
    inverse: Floats,
    number: Ints,
    begins: Ints,
    members: Ints,
    row: int,
    plane: int,
    start: Ints,
    stop: Ints,
    to: Ints,
    weight: Floats,
    sink: Floats,
    used: int,
    low: int,
    high: int,
) -> int:
    """Sum up the edges between the aggregates `low` to `high` and others, from the place `used` on; return the next."""
    n = len(sink)
    place = np.full(n, -1, start.dtype)
    steps = (plane, -plane, row, -row, 1, -1)
    for a in range(low, high):
        start[a] = used
        leak = np.float32(0)
        for m in range(begins[a], begins[a + 1]):
            i = members[m] + plane
            weights = (wz[i], wz[i - plane], wy[i], wy[i - row], wx[i], wx[i - 1])
            for k in range(6):
                j = i + steps[k]
                if weights[k] == 0:
                    continue
                b = number[j - plane] if inverse[j] > 0 else n
                if b == n:
                    leak += weights[k]
                elif b != a:
                    used = _add_edge(b, weights[k], start[a], used, to, weight, place)
        stop[a] = used
        sink[a] = leak
    return used


@compiled
def contract_graph(
    fine_start: Ints,
    fine_stop: Ints,
    fine_to: Ints,
    fine_weight: Floats,
    fine_sink: Floats,
    number: Ints,
    begins: Ints,
    members: Ints,
    start: Ints,
    stop: Ints,
    to: Ints,
    weight: Floats,
    sink: Floats,
    used: int,
    low: int,
    high: int,
) -> int:
    """Do what `contract_lattice` does to a graph."""
    n = len(sink)
    place = np.full(n, -1, start.dtype)
    for a in range(low, high):
        start[a] = used
        leak = np.float32(0)
        for m in range(begins[a], begins[a + 1]):
            i = members[m]
            leak += fine_sink[i]
            for e in range(fine_start[i], fine_stop[i]):
                b = number[fine_to[e]]
                if b == n:
                    leak += fine_weight[e]
                elif b != a:
                    used = _add_edge(b, fine_weight[e], start[a], used, to, weight, place)
        stop[a] = used
        sink[a] = leak
    return used


@compiled
def _add_edge(b: int, w: np.float32, begin: int, used: int, to: Ints, weight: Floats, place: Ints) -> int:
    """Add to the edge that leads to `b`, or begin it; return how many edges there are."""
    at = place[b]
    if at >= begin:
        weight[at] += w
        return used
    place[b] = used
    to[used] = b
    weight[used] = w
    return used + 1


@compiled
def largest_of_members(values: Ints, number: Ints, largest: Ints) -> None:
    """Write the largest value of the nodes of every number."""
    for i in range(len(values)):
        largest[number[i]] = max(largest[number[i]], values[i])


@compiled
def blocks_of(places: Ints, height: int, width: int, sz: int, sy: int, sx: int, blocks: Ints) -> None:
    """Write the block in which each place lies, where blocks have edges of 2 to the power of the shifts."""
    rows, columns = (height >> sy) + 1, (width >> sx) + 1
    for i in range(len(places)):
        y = places[i] // width
        blocks[i] = ((y // height >> sz) * rows + (y % height >> sy)) * columns + (places[i] % width >> sx)


@compiled
def invert_node_degrees(
    start: Ints, stop: Ints, weight: Floats, sink: Floats, inverse: Floats, low: int, high: int
) -> None:
    """Write the inverse of the summed weights and the sink of every node."""
    for i in range(low, high):
        degree = sink[i]
        for n in range(start[i], stop[i]):
            degree += weight[n]
        inverse[i] = np.float32(1) / degree if degree > 0 else np.float32(0)
