"""Regions that merge: who touches whom, and heaps of what is nearest.

The pairs of a region are in a pairing heap [1]_, which is made of links alone: a pair is in one heap at a time, and
moves from one to the other as regions merge.

References
----------
.. [1] M. L. Fredman, R. Sedgewick, D. D. Sleator and R. E. Tarjan, "The pairing heap: a new form of self-adjusting
   heap", Algorithmica 1 (1986) 111-129. DOI:10.1007/BF01840439
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._compiled import bare

__all__ = ["Forest", "found", "is_less", "link", "melded", "pull", "remember", "rise", "sink", "unlink"]

NONE = -1
"""No pair, and nothing that follows."""

MERGES, VISITS, FILLED = range(3)
"""Places of the state between two calls: what was merged, neighbours looked at, and places of the table in use."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Forest(NamedTuple):
    """What has merged so far, and all that is left to merge.

    Boundary e is two halves, 2 e and 2 e + 1, each in a ring of one of its regions; `to` says where a half leads. A
    region a has two rings: 2 a of the pairs that belong to it, and 2 a + 1 of those that belong to the other side.
    """

    names: Ints  # of each region the first that is in it; what follows is for each region, too
    sizes: Floats
    means: Floats
    degrees: Ints
    best: Ints  # the half to the nearest of its own, with how much it differs and both names, the lower first
    least: Floats
    low: Ints
    high: Ints
    heap: Ints
    slot: Ints  # where each region is in the heap
    roots: Ints  # of the heap of its own pairs
    heads: Ints  # for each ring
    to: Ints  # for each half
    after: Ints
    before: Ints
    owner: Ints  # for each boundary, its half on the side that it belongs to
    faces: Floats
    strengths: Floats
    child: Ints
    left: Ints
    right: Ints
    table: Ints  # boundaries by their two regions
    state: Ints
    merges: Ints  # for each merge
    heights: Floats


@bare
def is_less(height: float, low: int, high: int, other: float, low_other: int, high_other: int) -> Any:
    """Tell whether a pair goes before another."""
    if height != other:
        return height < other
    return low < low_other or (low == low_other and high < high_other)


# Rings of neighbours ---------------------------------------------------------------------------------


@bare
def link(f: Forest, ring: int, h: int) -> None:
    f.after[h], f.before[h] = f.heads[ring], NONE
    if f.heads[ring] >= 0:
        f.before[f.heads[ring]] = h
    f.heads[ring] = h


@bare
def unlink(f: Forest, ring: int, h: int) -> None:
    if f.before[h] >= 0:
        f.after[f.before[h]] = f.after[h]
    else:
        f.heads[ring] = f.after[h]
    if f.after[h] >= 0:
        f.before[f.after[h]] = f.before[h]


# A table of boundaries by their regions --------------------------------------------------------------


@bare
def _place(f: Forest, a: int, b: int) -> Any:
    """Return where in the table to begin to look for a pair."""
    mixed = min(a, b) * -7046029254386353131 + max(a, b) * -4417276706812531889
    return (mixed ^ (mixed >> 31)) & (len(f.table) - 1)


@bare
def found(f: Forest, a: int, b: int) -> Any:
    """Return the boundary between two regions, or `NONE`."""
    at = _place(f, a, b)
    while f.table[at] >= 0:
        e = f.table[at]
        x, y = f.to[2 * e], f.to[2 * e + 1]  # as they are now: what was written before they changed does no harm
        if (x == a and y == b) or (x == b and y == a):
            return e
        at = (at + 1) & (len(f.table) - 1)
    return NONE


@bare
def remember(f: Forest, e: int) -> None:
    """Write a boundary into the table; when that is half full, everything else anew, without what has changed."""
    if 2 * f.state[FILLED] >= len(f.table):
        f.table[:] = NONE
        f.state[FILLED] = 0
        for other in range(len(f.owner)):
            if other != e and f.to[2 * other] >= 0:
                _write(f, other)
    _write(f, e)


@bare
def _write(f: Forest, e: int) -> None:
    at = _place(f, f.to[2 * e], f.to[2 * e + 1])
    while f.table[at] >= 0:
        at = (at + 1) & (len(f.table) - 1)
    f.table[at] = e
    f.state[FILLED] += 1


# Heaps of the pairs of a region, by their boundaries -------------------------------------------------


@bare
def melded(f: Forest, d: int, e: int) -> Any:
    """Return the root of two heaps made one."""
    if d == NONE or e == NONE:
        return max(d, e)
    height, other = f.strengths[d] / f.faces[d], f.strengths[e] / f.faces[e]
    if other < height or (other == height and f.names[f.to[f.owner[e]]] < f.names[f.to[f.owner[d]]]):
        d, e = e, d
    f.left[e], f.right[e] = d, f.child[d]
    if f.child[d] >= 0:
        f.left[f.child[d]] = e
    f.child[d] = e
    return d


@bare
def pull(f: Forest, x: int, e: int) -> None:
    """Take a pair out of the heap of region x."""
    rest = NONE  # the heaps below it, by twos, one after the other in `right`
    d = f.child[e]
    while d >= 0:
        other = f.right[d]
        later = f.right[other] if other >= 0 else NONE
        d = melded(f, d, other)
        f.right[d] = rest
        rest, d = d, later
    below = NONE
    while rest >= 0:
        later = f.right[rest]
        below = melded(f, below, rest)
        rest = later
    if f.roots[x] == e:
        f.roots[x] = below
    else:
        if f.child[f.left[e]] == e:
            f.child[f.left[e]] = f.right[e]
        else:
            f.right[f.left[e]] = f.right[e]
        if f.right[e] >= 0:
            f.left[f.right[e]] = f.left[e]
        f.roots[x] = melded(f, f.roots[x], below)
    f.child[e] = NONE


# A heap of regions by their nearest pairs ------------------------------------------------------------


@bare
def _goes_before(f: Forest, x: int, y: int) -> Any:
    """Tell whether the nearest pair of x goes before that of y; those without pairs go last."""
    return is_less(f.least[x], f.low[x], f.high[x], f.least[y], f.low[y], f.high[y])


@bare
def sink(f: Forest, at: int) -> None:
    x, n = f.heap[at], len(f.heap)
    while 2 * at + 1 < n:
        child = 2 * at + 1
        if child + 1 < n and _goes_before(f, f.heap[child + 1], f.heap[child]):
            child += 1
        if not _goes_before(f, f.heap[child], x):
            break
        f.heap[at] = f.heap[child]
        f.slot[f.heap[at]] = at
        at = child
    f.heap[at] = x
    f.slot[x] = at


@bare
def rise(f: Forest, at: int) -> None:
    x = f.heap[at]
    while at > 0 and _goes_before(f, x, f.heap[(at - 1) // 2]):
        f.heap[at] = f.heap[(at - 1) // 2]
        f.slot[f.heap[at]] = at
        at = (at - 1) // 2
    f.heap[at] = x
    f.slot[x] = at
