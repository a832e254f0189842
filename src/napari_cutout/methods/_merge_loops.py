"""The loops behind the tree of merges, which stay fast where one region touches very many, as a background does.

A pair belongs to that of its two regions which has more neighbours, so that most pairs of a region that touches many
are looked at from its side alone. Every region knows the nearest of its own pairs, and a heap of the regions knows the
nearest of all. Where two regions merge, the one with more neighbours keeps its ring of them; those of the other are
handed over one by one, and a table of pairs says which of them it touched already. So a pair is handed over about
log m times at most.

What differs by its boundary from what was merged still does so by the same, unless its boundary became longer: its
pairs are in a heap of their own. With means that is not so: they are all looked at again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._compiled import bare
from ._merge_forest import (
    MERGES,
    NONE,
    VISITS,
    Forest,
    found,
    is_less,
    link,
    melded,
    pull,
    remember,
    rise,
    sink,
    unlink,
)

__all__ = ["BOUNDARY", "MEAN", "WARD", "merge_some", "planted"]

MEAN, WARD, BOUNDARY = 0, 1, 2

LOST = -2
"""A nearest pair that is to be found again, and does not go before that which was lost."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def planted(kind: int, sizes: Floats, means: Floats, ends: Ints, faces: Floats, strengths: Floats) -> Forest:
    """Return single regions that touch; `means` and what follows are written to."""
    n, m = len(sizes), len(ends)
    none = [np.full(m, NONE) for _ in range(4)]
    forest = Forest(
        names=np.arange(n),
        sizes=sizes,
        means=means,
        degrees=np.bincount(ends.ravel(), minlength=n),
        best=np.full(n, NONE),
        least=np.full(n, np.inf),
        low=np.full(n, n),
        high=np.full(n, n),
        heap=np.arange(n),
        slot=np.arange(n),
        roots=np.full(n, NONE),
        heads=np.full(2 * n, NONE),
        to=np.ascontiguousarray(ends[:, ::-1]).ravel(),
        after=np.full(2 * m, NONE),
        before=np.full(2 * m, NONE),
        owner=none[0],
        faces=faces,
        strengths=strengths,
        child=none[1],
        left=none[2],
        right=none[3],
        table=np.full(1 << (4 * m).bit_length(), NONE),
        state=np.zeros(3, np.int64),
        merges=np.zeros((n, 2), np.int64),
        heights=np.zeros(n),
    )
    _settle_all(kind, forest)
    return forest


@bare
def _settle_all(kind: int, f: Forest) -> None:
    for e in range(len(f.owner)):
        remember(f, e)
        _settle(kind, f, e)


@bare
def merge_some(kind: int, f: Forest, visits: int) -> bool:
    """Merge until about so many neighbours were looked at; return whether nothing touches any more."""
    enough = f.state[VISITS] + visits
    while f.state[VISITS] < enough:
        x = f.heap[0]
        if f.best[x] == NONE:
            return True
        if f.best[x] == LOST:
            _look(kind, f, x)
        else:
            _merge(kind, f, x)
    return False


@bare
def _merge(kind: int, f: Forest, x: int) -> None:
    """Merge a region with its nearest."""
    y = f.to[f.best[x]]
    a, b = (x, y) if f.names[x] < f.names[y] else (y, x)
    p, q = (a, b) if f.degrees[a] >= f.degrees[b] else (b, a)
    k, first, falls = f.state[MERGES], f.names[a], f.names[a] < f.names[p]
    f.merges[k, 0], f.merges[k, 1], f.heights[k] = first, f.names[b], f.least[x]
    f.state[MERGES] += 1
    _drop(kind, f, f.best[x] // 2)
    share = f.sizes[b] / (f.sizes[a] + f.sizes[b])
    for c in range(f.means.shape[1]):
        f.means[p, c] = f.means[a, c] + (f.means[b, c] - f.means[a, c]) * share
    f.sizes[p] += f.sizes[q]
    f.names[p] = first
    for ring in range(2 * q, 2 * q + 2):
        while f.heads[ring] >= 0:
            _hand_over(kind, f, f.heads[ring], p)
    _rank(kind, f, q, NONE)
    if kind != BOUNDARY or falls:
        h = f.heads[2 * p + 1]
        while h >= 0:
            later = f.after[h]
            _detach(kind, f, h // 2)
            _settle(kind, f, h // 2)
            h = later
    _look(kind, f, p)


@bare
def _hand_over(kind: int, f: Forest, h: int, p: int) -> None:
    """Give a boundary of what is gone to p; where that touches the same region, the two boundaries become one."""
    e, x = h // 2, f.to[h]
    twin = found(f, p, x)
    if twin == NONE:
        _detach(kind, f, e)
        f.to[h ^ 1] = p
        f.degrees[p] += 1
        remember(f, e)
        _settle(kind, f, e)
        return
    _drop(kind, f, e)
    _detach(kind, f, twin)
    f.faces[twin] += f.faces[e]
    f.strengths[twin] += f.strengths[e]
    _settle(kind, f, twin)


@bare
def _drop(kind: int, f: Forest, e: int) -> None:
    """Take a boundary away for good."""
    _detach(kind, f, e)
    for h in range(2 * e, 2 * e + 2):
        f.degrees[f.to[h]] -= 1
    f.to[2 * e], f.to[2 * e + 1] = NONE, NONE


@bare
def _settle(kind: int, f: Forest, e: int) -> None:
    """Give a boundary to the side with more neighbours, and let that know how much the other differs."""
    h = 2 * e if f.degrees[f.to[2 * e + 1]] >= f.degrees[f.to[2 * e]] else 2 * e + 1
    x, y = f.to[h ^ 1], f.to[h]
    f.owner[e] = h
    f.state[VISITS] += 1
    link(f, 2 * x, h)
    link(f, 2 * y + 1, h ^ 1)
    if kind == BOUNDARY:
        f.roots[x] = melded(f, f.roots[x], e)
    height, low, high = _height(kind, f, x, y, e), min(f.names[x], f.names[y]), max(f.names[x], f.names[y])
    if is_less(height, low, high, f.least[x], f.low[x], f.high[x]):
        f.best[x], f.least[x], f.low[x], f.high[x] = h, height, low, high
        rise(f, f.slot[x])


@bare
def _detach(kind: int, f: Forest, e: int) -> None:
    """Take a boundary out of rings and heaps, to drop it or to settle it again."""
    h = f.owner[e]
    x = f.to[h ^ 1]
    unlink(f, 2 * x, h)
    unlink(f, 2 * f.to[h] + 1, h ^ 1)
    if kind == BOUNDARY:
        pull(f, x, e)
    if f.best[x] == h:
        f.best[x] = LOST


@bare
def _look(kind: int, f: Forest, x: int) -> None:
    """Find the nearest of the pairs that belong to a region; of those that differ by the same, the first by name."""
    nearest, least, first = NONE, np.inf, len(f.names)
    if kind == BOUNDARY:
        if f.roots[x] >= 0:
            nearest = f.owner[f.roots[x]]
    else:
        h = f.heads[2 * x]
        while h >= 0:
            y = f.to[h]
            height, name = _height(kind, f, x, y, h // 2), f.names[y]
            goes = (height < least) | ((height == least) & (name < first))  # no branch: many may differ by the same
            nearest, least, first = (h if goes else nearest), (height if goes else least), (name if goes else first)
            h = f.after[h]
        f.state[VISITS] += f.degrees[x]
    f.state[VISITS] += 1
    _rank(kind, f, x, nearest)


@bare
def _rank(kind: int, f: Forest, x: int, nearest: int) -> None:
    """Write which pair of a region is nearest, and put the region into its place."""
    f.best[x], f.least[x], f.low[x], f.high[x] = NONE, np.inf, len(f.names), len(f.names)
    if nearest >= 0:
        y = f.to[nearest]
        f.best[x], f.least[x] = nearest, _height(kind, f, x, y, nearest // 2)
        f.low[x], f.high[x] = min(f.names[x], f.names[y]), max(f.names[x], f.names[y])
    sink(f, f.slot[x])
    rise(f, f.slot[x])


@bare
def _height(kind: int, f: Forest, a: int, b: int, e: int) -> Any:
    """Return how much two regions differ; the same number whichever of them comes first."""
    if kind == BOUNDARY:
        return f.strengths[e] / f.faces[e]
    squared = 0.0
    for c in range(f.means.shape[1]):
        apart = f.means[a, c] - f.means[b, c]
        squared += apart * apart
    if kind == MEAN:
        return np.sqrt(squared)
    return squared * (f.sizes[a] * f.sizes[b] / (f.sizes[a] + f.sizes[b]))
