"""Components of voxels that are merged along edges in order of their weight: loops on the host.

A component is a tree of voxels. Of every voxel the forest holds where the tree leads on, or at its root how many voxels
the component has, as a negative number; and at roots the component's limit, the largest weight of an edge along which
it may be merged. Weights and limits are bits of float32, which rise with the number. Which voxel is the root depends on
sizes only and never shows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._compiled import bare, inlined
from ._edges import KEY, ONE, OUTSIDE, TWO

__all__ = ["LIMIT", "LINK", "forest_of", "merge", "merge_small", "number", "settle", "settle_large"]

LINK, LIMIT = 0, 1
"""The fields of a node: a number of another one or minus a size, and the bits of the limit."""

AHEAD = 8
"""How many edges ahead nodes are fetched from memory."""

Ints = NDArray[np.int32]


@inlined
def limit_of(weight: float, scale: float, size: int) -> np.int32:
    """Return the bits of the largest float32 that is no more than an internal difference and its share."""
    limit = weight + scale / size
    bits: np.int32 = np.float32(limit).view(np.int32)
    return bits - np.int32(np.float64(np.float32(limit)) > limit)


@inlined
def root_of(forest: Ints, node: int) -> np.uint32:
    """Return the root of a node's tree, and shorten the way there.

    Indices are unsigned, so that nothing asks whether they count from the end.
    """
    at = np.uint32(node)
    link = forest[at, LINK]
    while link >= 0:
        beyond = forest[np.uint32(link), LINK]
        if beyond >= 0:
            forest[at, LINK] = beyond
        at, link = np.uint32(link), beyond
    return at


@inlined
def root_seen(forest: Ints, node: int) -> np.uint32:
    """Return the root of a node's tree, and change nothing: several threads may look."""
    at = np.uint32(node)
    while forest[at, LINK] >= 0:
        at = np.uint32(forest[at, LINK])
    return at


@inlined
def join(forest: Ints, a: np.uint32, b: np.uint32, key: np.int32, scale: float) -> None:
    """Make two components one; the larger one's root stays."""
    size = -(forest[a, LINK] + forest[b, LINK])
    larger, other = (a, b) if forest[a, LINK] <= forest[b, LINK] else (b, a)
    forest[other, LINK] = larger
    forest[larger, LINK] = -size
    forest[larger, LIMIT] = limit_of(np.float64(np.int32(key).view(np.float32)), scale, size)


@bare
def begin(forest: Ints, scale: float) -> None:
    """Make every node a component of one voxel, without an internal difference."""
    for p in range(len(forest)):
        forest[p, LINK] = -1
        forest[p, LIMIT] = limit_of(0.0, scale, 1)


@bare
def merge(edges: Ints, forest: Ints, scale: float) -> int:
    """Merge along edges, which rise: where the weight is no more than the limit of either side.

    Parameters
    ----------
    edges : int32 array of shape (n, 3)
        The bits of the weights, and nodes of the components at both ends.
    forest : int32 array of shape (nodes, 2)
        Changed.
    scale : float
        Divided by the size of a component it is how much its limit lies above its internal difference.

    Returns
    -------
    int
        Of no meaning. It is made of nodes that are needed a little later, which are fetched for it meanwhile.
    """
    touched, last = 0, len(edges) - 1
    for i in range(len(edges)):
        ahead = edges[np.uint64(min(i + AHEAD, last))]
        touched ^= forest[np.uint32(ahead[ONE]), LINK] ^ forest[np.uint32(ahead[TWO]), LINK]
        a, b = root_of(forest, edges[i, ONE]), root_of(forest, edges[i, TWO])
        if a != b and edges[i, KEY] <= min(forest[a, LIMIT], forest[b, LIMIT]):
            join(forest, a, b, edges[i, KEY], scale)
    return touched


@bare
def merge_small(edges: Ints, forest: Ints, min_size: int) -> None:
    """Merge along edges, which rise, where one of the components has fewer voxels than `min_size`."""
    for i in range(len(edges)):
        a, b = root_of(forest, edges[i, ONE]), root_of(forest, edges[i, TWO])
        if a != b and max(forest[a, LINK], forest[b, LINK]) > -min_size:
            join(forest, a, b, edges[i, KEY], 0.0)


@bare
def settle(labels: Ints, forest: Ints, key: int, first: int, last: int) -> None:
    """Point voxels at their root, and freeze those whose limit lies below this weight: their components grow no more.

    Parameters
    ----------
    labels : int32 array of shape (voxels,)
        Nodes, complements where frozen. Changed from `first` to `last`.
    forest : int32 array of shape (voxels, 2)
        As in `merge`.
    key : int
        The bits of the weight.
    first, last : int
        Which voxels.
    """
    before, after = np.int32(-1), np.int32(-1)
    for p in range(first, last):
        label = labels[p]
        if label < 0:
            continue
        if label != before:
            before, root = label, root_seen(forest, label)
            after = np.int32(root) if forest[root, LIMIT] >= key else ~np.int32(root)
        labels[p] = after


@bare
def settle_large(labels: Ints, forest: Ints, min_size: int, first: int, last: int) -> None:
    """Point voxels at their root, and freeze those whose component has `min_size` voxels."""
    before, after = OUTSIDE, OUTSIDE
    for p in range(first, last):
        label = labels[p]
        if label == OUTSIDE:
            continue
        if label != before:
            before, root = label, root_seen(forest, max(label, ~label))
            after = ~np.int32(root) if -forest[root, LINK] >= min_size else np.int32(root)
        labels[p] = after


@bare
def number(labels: Ints, forest: Ints) -> int:
    """Give numbers to components by their first voxel, from 1, and return how many there are; 0 is outside.

    The forest is used up.
    """
    n = np.int32(0)
    for p in range(len(labels)):
        label = labels[p]
        if label == OUTSIDE:
            labels[p] = 0
            continue
        root = root_seen(forest, max(label, ~label))
        if forest[root, LIMIT] >= 0:
            n += np.int32(1)
            forest[root, LIMIT] = -n
        labels[p] = -forest[root, LIMIT]
    return int(n)


def forest_of(n: int, scale: float) -> Ints:
    """Return the forest of that many voxels, each by itself."""
    forest = np.empty((n, 2), np.int32)
    begin(forest, scale)
    return forest
