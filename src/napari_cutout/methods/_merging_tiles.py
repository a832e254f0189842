"""Components of tiles that are merged: what is sure inside a tile, and the rest across all of them. Loops on the host.

Inside a tile a component is known by its root, as in `_merging`; across tiles it is a number from 0, and sizes are
64-bit. What is small for sure, whatever lies in other tiles, is merged in the tile; where that is not known the edge is
handed on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._compiled import bare, inlined
from ._edges import KEY, ONE, OUTSIDE, TWO
from ._merging import LINK, limit_of, root_of, root_seen

__all__ = ["firsts_of", "merge_across", "merge_small_across", "merge_sure", "numbered_in", "rise"]

NOBODY = -1
"""The number of a component of which other tiles need not know."""

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Bools = NDArray[np.bool_]


@inlined
def is_small(forest: Ints, speaker: Ints, large: Bools, root: np.uint32, min_size: int) -> bool:
    """Tell whether a component may have fewer voxels than `min_size`."""
    return bool(-forest[root, LINK] < min_size and not (speaker[root] != NOBODY and large[speaker[root]]))


@inlined
def spoken_for(speaker: Ints, sizes: Longs, roots: Ints, forest: Ints, root: np.uint32, n: int) -> int:
    """Give a component a number, if it has none, and return how many have one."""
    if speaker[root] != NOBODY:
        return n
    speaker[root], sizes[n], roots[n] = n, -forest[root, LINK], root
    return n + 1


@bare
def merge_sure(
    edges: Ints,
    forest: Ints,
    min_size: int,
    speaker: Ints,
    roots: Ints,
    sizes: Longs,
    large: Bools,
    n: int,
) -> tuple[int, int]:
    """Merge small components of a tile along edges, which rise, as far as it is sure that they are small.

    A component that touches other tiles may be larger than it seems. An edge of one that is not large for sure is
    handed on. Whatever becomes of it, afterwards both ends are large if one was, or both together are; else each of
    them may have been merged or not.

    Parameters
    ----------
    edges : int32 array of shape (n, 3)
        The bits of the weights, and nodes of the components at both ends. Changed: the first ones become those that
        are handed on, between numbers of components.
    forest : int32 array of shape (nodes, 2)
        Changed.
    min_size : int
        Components with fewer voxels are small.
    speaker : int32 array of shape (nodes,)
        By root: the number of the component, `NOBODY` if other tiles need not know of it. Changed.
    roots : int32 array
        By number: the root. A component that has a number keeps its root. Changed.
    sizes : int64 array
        By number: the voxels that it had when it got the number. Changed.
    large : bool array
        By number: whether it is surely large by now. Changed.
    n : int
        How many components have a number.

    Returns
    -------
    n_told, n : int
        How many edges are handed on, and how many components have a number now.
    """
    told = 0
    for i in range(len(edges)):
        a, b = root_of(forest, edges[i, ONE]), root_of(forest, edges[i, TWO])
        if a == b:
            continue
        small_a = is_small(forest, speaker, large, a, min_size)
        small_b = is_small(forest, speaker, large, b, min_size)
        if not (small_a or small_b):
            continue
        if (small_a and speaker[a] != NOBODY) or (small_b and speaker[b] != NOBODY):
            n = spoken_for(speaker, sizes, roots, forest, a, n)
            n = spoken_for(speaker, sizes, roots, forest, b, n)
            edges[told, KEY], edges[told, ONE], edges[told, TWO] = edges[i, KEY], speaker[a], speaker[b]
            told += 1
            if not (small_a and small_b) or -forest[a, LINK] - forest[b, LINK] >= min_size:
                large[speaker[a]] = large[speaker[b]] = True
        else:
            if speaker[b] != NOBODY or (speaker[a] == NOBODY and forest[b, LINK] < forest[a, LINK]):
                a, b = b, a
            forest[a, LINK] += forest[b, LINK]
            forest[b, LINK] = a
    return told, n


@bare
def numbered_in(labels: Ints, forest: Ints, numbers: Ints) -> int:
    """Give numbers to the components of a tile by their first voxel, from 1, and return how many there are.

    Parameters
    ----------
    labels : int32 array of shape (voxels,)
        Nodes of components, complements where they are frozen. Changed: their numbers; 0 is outside.
    forest : int32 array of shape (voxels, 2)
        Where their trees lead.
    numbers : int32 array of shape (voxels,)
        Filled in: the number, by root.
    """
    n = np.int32(0)
    numbers[:] = 0
    for p in range(len(labels)):
        label = labels[p]
        if label == OUTSIDE:
            labels[p] = 0
            continue
        root = root_seen(forest, max(label, ~label))
        if numbers[root] == 0:
            n += np.int32(1)
            numbers[root] = n
        labels[p] = numbers[root]
    return int(n)


@bare
def firsts_of(labels: Ints, firsts: Longs) -> None:
    """Write down the first voxel of each number; numbers are by first voxel."""
    n = 0
    for p in range(len(labels)):
        if labels[p] > n:
            firsts[n] = p
            n += 1


@inlined
def _root(parent: Longs, i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@inlined
def _join(parent: Longs, sizes: Longs, a: int, b: int) -> int:
    """Make two components one, and return its root: that of the larger one, of equal ones the first."""
    if sizes[a] < sizes[b] or (sizes[a] == sizes[b] and b < a):
        a, b = b, a
    parent[b] = a
    sizes[a] += sizes[b]
    return a


@bare
def merge_across(ends: Longs, keys: Ints, parent: Longs, sizes: Longs, limits: Ints, scale: float) -> None:
    """Merge components along edges, which rise, where the weight is no more than the limit of either side.

    Parameters
    ----------
    ends : int64 array of shape (n, 2)
        Components at both ends of each edge.
    keys : int32 array of shape (n,)
        The bits of what edges weigh.
    parent : int64 array
        The trees of components. Changed.
    sizes : int64 array
        Voxels of each, by root. Changed.
    limits : int32 array
        The bits of the limit of each, by root. Changed.
    scale : float
        Divided by the size of a component it is how much its limit lies above its internal difference.
    """
    for i in range(len(ends)):
        a, b = _root(parent, ends[i, 0]), _root(parent, ends[i, 1])
        if a != b and keys[i] <= min(limits[a], limits[b]):
            a = _join(parent, sizes, a, b)
            limits[a] = limit_of(np.float64(np.int32(keys[i]).view(np.float32)), scale, sizes[a])


@bare
def merge_small_across(ends: Longs, parent: Longs, sizes: Longs, min_size: int) -> None:
    """Merge components along edges, which rise, where one has fewer voxels than `min_size`."""
    for i in range(len(ends)):
        a, b = _root(parent, ends[i, 0]), _root(parent, ends[i, 1])
        if a != b and min(sizes[a], sizes[b]) < min_size:
            _join(parent, sizes, a, b)


@bare
def rise(parent: Longs) -> None:
    """Point all components at their roots."""
    for i in range(len(parent)):
        parent[i] = _root(parent, i)
