"""Sweeps over the coarse levels of a lattice, graphs whose nodes lie in slots, on the host.

A slot holds `LANES` nodes with about as many neighbours each, and row after row of `to` and `weight` one neighbour of
each of them; what is missing has no weight. So a loop has no rows of its own for every node, whose ends no processor
foresees, and the nodes of a slot wait for each other nowhere.

A sweep goes through the slots of a chunk one after the other, each of which sees what those before it became (Gauss
and Seidel's); the nodes of one slot, and those of other chunks, it sees as they were. Chunks do not depend on the
number of threads, so neither does a sweep. Vectors hold two parts of the same length: what nodes are now, and what they
were before the sweep, to which `to` leads where a neighbour lies in another chunk. Before the first slot of a row's
``middle`` lie the neighbours of the same chunk that a sweep meets first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._compiled import compiled, inlined

Floats = NDArray[np.float32]
Places = NDArray[np.uint32]
Starts = NDArray[np.int64]
Active = NDArray[np.uint8]

LANES = 8
"""Nodes of a slot."""

CHUNK = 512
"""Slots of a chunk."""


@compiled
def sweep_from_zero(
    begin: Starts,
    middle: Starts,
    to: Places,
    weight: Floats,
    inverse: Floats,
    r: Floats,
    x: Floats,
    active: Active,
    low: int,
    high: int,
) -> None:
    """Set x to a sweep from zero, in both parts, for the chunks `low` to `high`."""
    n = len(inverse)
    for chunk in range(low, high):
        first, last = chunk * CHUNK, min((chunk + 1) * CHUNK, len(middle))
        b, e = first * LANES, last * LANES
        for k in range(len(r)):
            if active[k]:
                values = x[k]
                values[b:e] = 0  # so that what padding leads to is a number
                for t in range(first, last):
                    flow = _inflow(values, to, weight, begin[t], middle[t])
                    _set_slot(values, r[k], flow, inverse, t * LANES)
                values[n + b : n + e] = values[b:e]


@compiled
def leave_sweep(
    begin: Starts,
    middle: Starts,
    to: Places,
    weight: Floats,
    x: Floats,
    left: Floats,
    active: Active,
    low: int,
    high: int,
) -> None:
    """Set left to what a sweep from zero leaves: what flows in from the nodes that it met later."""
    for k in range(len(left)):
        if active[k]:
            values, out = x[k], left[k]
            for t in range(low, high):
                b = t * LANES
                flow = _inflow(values, to, weight, middle[t], begin[t + 1])
                out[b], out[b + 1], out[b + 2], out[b + 3], out[b + 4], out[b + 5], out[b + 6], out[b + 7] = flow


@compiled
def subtract_laplacian(
    begin: Starts,
    to: Places,
    weight: Floats,
    sink: Floats,
    x: Floats,
    r: Floats,
    active: Active,
    low: int,
    high: int,
) -> None:
    """Take the Laplacian of x from r, for the slots `low` to `high`."""
    for k in range(len(r)):
        if active[k]:
            values, left = x[k], r[k]
            for t in range(low, high):
                _add_to_slot(left, _flow(values, to, weight, sink, begin[t], begin[t + 1], t * LANES), t * LANES)


@compiled
def correct_nodes(place: Places, coarse: Floats, x: Floats, active: Active, low: int, high: int) -> None:
    """Add the correction of the coarser level to x, and write it to both parts."""
    n = len(place)
    for k in range(len(x)):
        if active[k]:
            values, correction = x[k], coarse[k]
            for i in range(low, high):
                values[i] += correction[place[i]]
                values[n + i] = values[i]


@compiled
def sweep_back(
    begin: Starts,
    to: Places,
    weight: Floats,
    sink: Floats,
    inverse: Floats,
    r: Floats,
    x: Floats,
    active: Active,
    low: int,
    high: int,
) -> None:
    """Sweep through the chunks `low` to `high` in the other direction."""
    for chunk in range(low, high):
        first, last = chunk * CHUNK, min((chunk + 1) * CHUNK, len(begin) - 1)
        for k in range(len(r)):
            if active[k]:
                values = x[k]
                for t in range(last - 1, first - 1, -1):
                    flow = _flow(values, to, weight, sink, begin[t], begin[t + 1], t * LANES)
                    _correct_slot(values, r[k], flow, inverse, t * LANES)


# What is done to a slot: all its nodes by name, so that they stay in registers, in half of the time of a loop ------

F = np.float32
Eight = tuple[F, F, F, F, F, F, F, F]


@inlined
def _inflow(x: Floats, to: Places, weight: Floats, low: int, high: int) -> Eight:
    """Return what flows into the nodes of a slot by the rows `low` to `high`."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = np.float32(0)
    for e in range(low, high):
        s0 += weight[e, 0] * x[to[e, 0]]
        s1 += weight[e, 1] * x[to[e, 1]]
        s2 += weight[e, 2] * x[to[e, 2]]
        s3 += weight[e, 3] * x[to[e, 3]]
        s4 += weight[e, 4] * x[to[e, 4]]
        s5 += weight[e, 5] * x[to[e, 5]]
        s6 += weight[e, 6] * x[to[e, 6]]
        s7 += weight[e, 7] * x[to[e, 7]]
    return s0, s1, s2, s3, s4, s5, s6, s7


@inlined
def _flow(x: Floats, to: Places, weight: Floats, sink: Floats, low: int, high: int, b: int) -> Eight:
    """Return what flows in less what flows out: a sum of differences, so exactly 0 where all values are the same."""
    h0, h1, h2, h3, h4, h5, h6, h7 = _slot(x, b)
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = np.float32(0)
    for e in range(low, high):
        s0 += weight[e, 0] * (x[to[e, 0]] - h0)
        s1 += weight[e, 1] * (x[to[e, 1]] - h1)
        s2 += weight[e, 2] * (x[to[e, 2]] - h2)
        s3 += weight[e, 3] * (x[to[e, 3]] - h3)
        s4 += weight[e, 4] * (x[to[e, 4]] - h4)
        s5 += weight[e, 5] * (x[to[e, 5]] - h5)
        s6 += weight[e, 6] * (x[to[e, 6]] - h6)
        s7 += weight[e, 7] * (x[to[e, 7]] - h7)
    d0, d1, d2, d3, d4, d5, d6, d7 = _slot(sink, b)
    return (
        s0 - d0 * h0,
        s1 - d1 * h1,
        s2 - d2 * h2,
        s3 - d3 * h3,
        s4 - d4 * h4,
        s5 - d5 * h5,
        s6 - d6 * h6,
        s7 - d7 * h7,
    )


@inlined
def _slot(values: Floats, b: int) -> Eight:
    """Return the values of a slot."""
    return (
        values[b],
        values[b + 1],
        values[b + 2],
        values[b + 3],
        values[b + 4],
        values[b + 5],
        values[b + 6],
        values[b + 7],
    )


@inlined
def _set_slot(x: Floats, r: Floats, flow: Eight, inverse: Floats, b: int) -> None:
    """Set the nodes of a slot to where nothing is left, if they were 0."""
    s0, s1, s2, s3, s4, s5, s6, s7 = flow
    x[b] = inverse[b] * (r[b] + s0)
    x[b + 1] = inverse[b + 1] * (r[b + 1] + s1)
    x[b + 2] = inverse[b + 2] * (r[b + 2] + s2)
    x[b + 3] = inverse[b + 3] * (r[b + 3] + s3)
    x[b + 4] = inverse[b + 4] * (r[b + 4] + s4)
    x[b + 5] = inverse[b + 5] * (r[b + 5] + s5)
    x[b + 6] = inverse[b + 6] * (r[b + 6] + s6)
    x[b + 7] = inverse[b + 7] * (r[b + 7] + s7)


@inlined
def _correct_slot(x: Floats, r: Floats, flow: Eight, inverse: Floats, b: int) -> None:
    """Move the nodes of a slot to where nothing is left."""
    s0, s1, s2, s3, s4, s5, s6, s7 = flow
    x[b] += inverse[b] * (r[b] + s0)
    x[b + 1] += inverse[b + 1] * (r[b + 1] + s1)
    x[b + 2] += inverse[b + 2] * (r[b + 2] + s2)
    x[b + 3] += inverse[b + 3] * (r[b + 3] + s3)
    x[b + 4] += inverse[b + 4] * (r[b + 4] + s4)
    x[b + 5] += inverse[b + 5] * (r[b + 5] + s5)
    x[b + 6] += inverse[b + 6] * (r[b + 6] + s6)
    x[b + 7] += inverse[b + 7] * (r[b + 7] + s7)


@inlined
def _add_to_slot(r: Floats, flow: Eight, b: int) -> None:
    s0, s1, s2, s3, s4, s5, s6, s7 = flow
    r[b] += s0
    r[b + 1] += s1
    r[b + 2] += s2
    r[b + 3] += s3
    r[b + 4] += s4
    r[b + 5] += s5
    r[b + 6] += s6
    r[b + 7] += s7


# How nodes get into slots -------------------------------------------------------------------------------


@compiled
def order_by_degree(start: NDArray[np.int32], stop: NDArray[np.int32], window: int, place: NDArray[np.int32]) -> None:
    """Write the place of every node among those of its window, ordered by their number of neighbours."""
    counts = np.zeros(66, np.int64)
    for low in range(0, len(start), window):
        high = min(low + window, len(start))
        counts[:] = 0
        for i in range(low, high):
            counts[min(stop[i] - start[i], 64) + 1] += 1
        for d in range(1, 66):
            counts[d] += counts[d - 1]
        for i in range(low, high):
            d = min(stop[i] - start[i], 64)
            place[i] = low + counts[d]
            counts[d] += 1


@compiled
def count_rows(
    start: NDArray[np.int32],
    stop: NDArray[np.int32],
    to: NDArray[np.int32],
    place: NDArray[np.int32],
    node: NDArray[np.int32],
    lower: NDArray[np.int32],
    upper: NDArray[np.int32],
    low: int,
    high: int,
) -> None:
    """Count the rows of the slots `low` to `high`: of neighbours that a sweep meets first, and of others."""
    for t in range(low, high):
        lower[t] = upper[t] = 0
        for m in range(t * LANES, min((t + 1) * LANES, len(node))):
            i, before = node[m], 0
            for e in range(start[i], stop[i]):
                slot = place[to[e]] // LANES
                before += slot < t and slot // CHUNK == t // CHUNK
            lower[t] = max(lower[t], before)
            upper[t] = max(upper[t], stop[i] - start[i] - before)


@compiled
def fill_rows(
    start: NDArray[np.int32],
    stop: NDArray[np.int32],
    to: NDArray[np.int32],
    weight: Floats,
    place: NDArray[np.int32],
    node: NDArray[np.int32],
    begin: Starts,
    middle: Starts,
    rows_to: Places,
    rows_weight: Floats,
    low: int,
    high: int,
) -> None:
    """Write the rows of the slots `low` to `high`."""
    n = len(middle) * LANES
    for t in range(low, high):
        rows_to[begin[t] : begin[t + 1]] = t * LANES
        rows_weight[begin[t] : begin[t + 1]] = 0
        for m in range(t * LANES, min((t + 1) * LANES, len(node))):
            i = node[m]
            before, after = begin[t], middle[t]
            for e in range(start[i], stop[i]):
                p = place[to[e]]
                slot = p // LANES
                near = slot // CHUNK == t // CHUNK
                if slot < t and near:
                    rows_to[before, m - t * LANES] = p
                    rows_weight[before, m - t * LANES] = weight[e]
                    before += 1
                else:
                    rows_to[after, m - t * LANES] = p if near else n + p
                    rows_weight[after, m - t * LANES] = weight[e]
                    after += 1
