"""Graph-based segmentation as it is defined, edge by edge in plain Python: slow, short, and independent of all else.

All edges are listed and sorted, and a component is a list of its voxels.
"""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Edge(NamedTuple):
    """Compares as edges are visited: by weight, then by the linear index of the first voxel and of the second."""

    weight: float
    one: int
    two: int


def all_edges(
    channels: NDArray[Any], inside: NDArray[np.bool_], connectivity: int, sides: tuple[float, ...]
) -> list[Edge]:
    """Return the edges of an image of shape (n_channels, ...) in order; `sides` are in edges of the smallest voxel."""
    shape, found = inside.shape, []
    for at in np.ndindex(shape):
        for step in product((-1, 0, 1), repeat=len(shape)):
            to = tuple(a + s for a, s in zip(at, step, strict=True))
            if not (0 < sum(map(abs, step)) <= connectivity and step > (0,) * len(shape)):
                continue
            if not all(0 <= a < n for a, n in zip(to, shape, strict=True)) or not (inside[at] and inside[to]):
                continue
            difference = [float(c[to]) - float(c[at]) for c in channels]
            far = max(side for side, s in zip(sides, step, strict=True) if s)
            weight = np.float32(sum(d * d for d in difference) ** 0.5 / far)
            found.append(Edge(float(weight), *(int(np.ravel_multi_index(p, shape)) for p in (at, to))))
    return sorted(found)


def regions(
    edges: list[Edge], inside: NDArray[np.bool_], scale: float, min_size: int, again: list[Edge] | None = None
) -> NDArray[np.int32]:
    """Return regions from 1 by their first voxel, 0 outside; `again` is the order in which small ones are joined."""
    part = {p: [p] for p in np.flatnonzero(inside.ravel()).tolist()}
    internal = dict.fromkeys(part, 0.0)

    def join(edge: Edge) -> None:
        joined = part[edge.one] + part[edge.two]
        internal[min(joined)] = edge.weight
        part.update(dict.fromkeys(joined, joined))

    def takes(edge: Edge, p: int) -> bool:
        return edge.weight <= internal[min(part[p])] + scale / len(part[p])

    for edge in edges:
        if part[edge.one] is not part[edge.two] and takes(edge, edge.one) and takes(edge, edge.two):
            join(edge)
    for edge in edges if again is None else again:
        if part[edge.one] is not part[edge.two] and min(len(part[edge.one]), len(part[edge.two])) < min_size:
            join(edge)
    firsts = {first: i + 1 for i, first in enumerate(sorted({min(p) for p in part.values()}))}
    labels = np.zeros(inside.size, np.int32)
    for p, joined in part.items():
        labels[p] = firsts[min(joined)]
    return labels.reshape(inside.shape)
