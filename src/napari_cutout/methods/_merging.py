"""Components of voxels that are merged along edges in order of their weight: loops on the host.

A component is a tree of voxels. Of every voxel the forest holds where the tree leads on, or at its root how many voxels
the component has, as a negative number; and at roots the component's internal difference, which is the largest weight
along which it was merged. Which voxel is the root depends on sizes only and never shows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._compiled import compiled, inlined
from ._edges import OUTSIDE, weigh_row

__all__ = ["forest_of", "merge", "merge_equal", "merge_small", "number", "settle", "settle_large"]

LINK, INTERNAL = 0, 1
"""The fields of a node: a number of another one or minus a size, and the bits of the internal difference."""

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Floats = NDArray[np.float32]


def forest_of(n: int) -> Ints:
    """Return the forest of that many voxels, each by itself."""
    forest = np.zeros((n, 2), np.int32)
    forest[:, LINK] = -1
    return forest


@inlined
def root_of(forest: Ints, node: int) -> int:
    """Return the root of a node's tree, and shorten the way there."""
    while forest[node, LINK] >= 0:
        link = forest[node, LINK]
        if forest[link, LINK] >= 0:
            forest[node, LINK] = forest[link, LINK]
        node = link
    return node


@inlined
def may_grow(forest: Ints, internal: Floats, root: int, weight: float, scale: float) -> bool:
    """Tell whether a component takes an edge of this weight."""
    return bool(weight <= np.float64(internal[root, INTERNAL]) + scale / np.float64(-forest[root, LINK]))


@inlined
def join(forest: Ints, internal: Floats, a: int, b: int, weight: np.float32) -> None:
    """Make two components one; the larger one's root stays."""
    if forest[a, LINK] > forest[b, LINK]:
        a, b = b, a
    forest[a, LINK] += forest[b, LINK]
    forest[b, LINK] = a
    internal[a, INTERNAL] = weight


@compiled
def merge(edges: Ints, weights: Floats, forest: Ints, internal: Floats, scale: float) -> None:
    """Merge along edges, which rise: where the weight is no more than each side's internal difference plus its share.

    Parameters
    ----------
    edges : int32 array of shape (n, 3)
        The bits of the weights, and nodes of the components at both ends.
    weights : float32 array of shape (n, 3)
        The same memory.
    forest : int32 array of shape (nodes, 2)
        Changed.
    internal : float32 array of shape (nodes, 2)
        The same memory.
    scale : float
        Divided by the size of a component it is its share.
    """
    for i in range(len(edges)):
        a, b = root_of(forest, edges[i, 1]), root_of(forest, edges[i, 2])
        if a == b:
            continue
        weight = np.float64(weights[i, 0])
        if may_grow(forest, internal, a, weight, scale) and may_grow(forest, internal, b, weight, scale):
            join(forest, internal, a, b, weights[i, 0])


@compiled
def merge_small(edges: Ints, weights: Floats, forest: Ints, internal: Floats, min_size: int) -> None:
    """Merge along edges, which rise, where one of the components has fewer voxels than `min_size`."""
    for i in range(len(edges)):
        a, b = root_of(forest, edges[i, 1]), root_of(forest, edges[i, 2])
        if a != b and max(forest[a, LINK], forest[b, LINK]) > -min_size:
            join(forest, internal, a, b, weights[i, 0])


@compiled
def merge_equal(
    levels: NDArray[Any],
    steps: Longs,
    lengths: NDArray[np.float64],
    key: int,
    labels: Ints,
    forest: Ints,
    internal: Floats,
    scale: float,
    min_size: int,
) -> None:
    """Do what `merge` does, or `merge_small` if there is a `min_size`, along all edges of one weight, in their order.

    They need not be held: they are found in their order.
    """
    nz, ny, nx = labels.shape
    weights = np.empty((len(steps), nx), np.float32)
    bits = weights.view(np.int32)
    for row in range(nz * ny):
        z, y = row // ny, row % ny
        for s in range(len(steps)):
            weigh_row(levels, z, y, steps[s], lengths[s], weights[s])
        for x in range(nx):
            for s in range(len(steps)):
                if bits[s, x] != key:
                    continue
                there = labels[z + steps[s, 0], y + steps[s, 1], x + steps[s, 2]]
                a = root_of(forest, max(labels[z, y, x], ~labels[z, y, x]))
                b = root_of(forest, max(there, ~there))
                if a == b:
                    continue
                weight = np.float64(weights[s, x])
                if min_size > 0:
                    wanted = max(forest[a, LINK], forest[b, LINK]) > -min_size
                else:
                    wanted = may_grow(forest, internal, a, weight, scale)
                    wanted = wanted and may_grow(forest, internal, b, weight, scale)
                if wanted:
                    join(forest, internal, a, b, weights[s, x])


@inlined
def root_seen(forest: Ints, node: int) -> int:
    """Return the root of a node's tree, and change nothing: several threads may look."""
    while forest[node, LINK] >= 0:
        node = forest[node, LINK]
    return node


@compiled
def settle(labels: Ints, forest: Ints, internal: Floats, weight: float, scale: float, first: int, last: int) -> None:
    """Point voxels at their root, and freeze those whose component takes no edge of this weight: it grows no more."""
    before, after = np.int32(-1), np.int32(-1)
    for p in range(first, last):
        label = labels[p]
        if label < 0:
            continue
        if label != before:
            before, root = label, root_seen(forest, label)
            after = np.int32(root if may_grow(forest, internal, root, weight, scale) else ~root)
        labels[p] = after


@compiled
def settle_large(labels: Ints, forest: Ints, min_size: int, first: int, last: int) -> None:
    """Point voxels at their root, and freeze those whose component has `min_size` voxels."""
    before, after = OUTSIDE, OUTSIDE
    for p in range(first, last):
        label = labels[p]
        if label == OUTSIDE:
            continue
        if label != before:
            before, root = label, root_seen(forest, max(label, ~label))
            after = np.int32(~root if -forest[root, LINK] >= min_size else root)
        labels[p] = after


@compiled
def number(labels: Ints, forest: Ints) -> int:
    """Number components by their first voxel, from 1, and return how many there are; 0 is outside.

    The forest is used up.
    """
    n = np.int32(0)
    for p in range(len(labels)):
        label = labels[p]
        if label == OUTSIDE:
            labels[p] = 0
            continue
        root = root_seen(forest, max(label, ~label))
        if forest[root, INTERNAL] >= 0:  # bits of a number that is not negative
            n += np.int32(1)
            forest[root, INTERNAL] = -n
        labels[p] = -forest[root, INTERNAL]
    return int(n)
