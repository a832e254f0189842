"""Tiles that come from the shape of an image alone, so that no chunk shows in a result."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["parts_of", "tile_edges", "tiles_evenly"]


def tile_edges(shape: Sequence[int], voxels: int) -> list[int]:
    """Return the edges of tiles that come from a shape: the shortest is doubled, as long as it is shorter than that."""
    edges = [1] * len(shape)
    while True:
        short = [axis for axis, (e, n) in enumerate(zip(edges, shape, strict=True)) if e < n]
        if not short or 2 * math.prod(edges) > voxels:
            return edges
        edges[min(short, key=lambda axis: edges[axis])] *= 2


def tiles_evenly(shape: Sequence[int], edges: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Return chunks with these edges, the last ones shorter, and none less than half as long as another."""
    found = []
    for n, edge in zip(shape, edges, strict=True):
        rest = n % edge if n > edge else 0
        last = [rest] if 2 * rest >= edge else parts_of(edge + rest, edge) if rest else []
        n_full = (n - sum(last)) // edge if n > edge else 0
        found.append((edge,) * n_full + tuple(last) if n > edge else (n,))
    return tuple(found)


def parts_of(size: int, edge: int) -> list[int]:
    """Split a length into as few parts as possible of at most `edge`, as equal as possible."""
    n = -(-size // edge)
    return [size // n + (i < size % n) for i in range(n)]
