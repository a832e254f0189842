"""The compiled loops of floods in tiles; what they are for stands in `_tiles`.

All arrays of voxels are flat, of a tile with one voxel of border added on every side whose territory is 0, so that
no step needs to ask whether a neighbour exists. `steps` are the differences of flat indices, rising.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._compiled import bare

__all__ = ["EXIT", "OPEN", "UNKNOWN", "climb", "contract", "lower_neighbours", "resolve", "spread"]

NOBODY = -1
"""No representative."""

UNKNOWN = 2**62
"""A distance that is not known yet."""

EXIT = -2
"""What leads out of the tile at flat index i is written as ``EXIT - i``."""

OPEN = -1
"""A voxel whose label is not known yet."""


@bare
def _root(parent: NDArray[np.int64], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@bare
def _join(
    parent: NDArray[np.int64], speaker: NDArray[np.int64], a: int, b: int, level: Any, edges: Any, weights: Any, n: int
) -> int:
    """Join two sets at a level; if both have a speaker, write down that the two are connected."""
    a, b = _root(parent, a), _root(parent, b)
    if a == b:
        return n
    parent[max(a, b)] = min(a, b)
    if speaker[a] != NOBODY and speaker[b] != NOBODY:
        edges[n, 0], edges[n, 1], weights[n] = speaker[a], speaker[b], level
        n += 1
    speaker[min(a, b)] = max(speaker[a], speaker[b])
    return n


@bare
def contract(
    order: NDArray[np.int64],
    key: NDArray[np.uint64],
    start: NDArray[np.uint64],
    territory: NDArray[np.int64],
    steps: NDArray[np.int64],
    passed: NDArray[np.bool_],
    parent: NDArray[np.int64],
    speaker: NDArray[np.int64],
    edges: NDArray[np.int64],
    weights: NDArray[np.uint64],
) -> int:
    """Contract a tile to its speakers: Kruskal's algorithm, of which only the edges between speakers are kept.

    Parameters
    ----------
    order : int64 array
        Events by rising level: index i is voxel i that is reached at its key, index size + i its source that begins
        at its start.
    key, start : uint64 arrays of shape (size,)
        Levels.
    territory : int64 array of shape (size,)
        0 is outside.
    steps : int64 array
        Neighbours.
    passed : bool array of shape (size,)
        Work space, all False.
    parent, speaker : int64 arrays of shape (size + 1,)
        The sets: each its own, and the voxel that speaks for it, or -1. The last one is that of all sources.
    edges, weights : int64 array of shape (n, 2), uint64 array of shape (n,)
        Where the edges are written; one less than there are speakers suffices.

    Returns
    -------
    int
        How many edges there are.
    """
    size, n = key.size, 0
    for event in order:
        if event >= size:
            n = _join(parent, speaker, event - size, size, start[event - size], edges, weights, n)
            continue
        passed[event] = True
        for step in steps:
            other = event + step
            if passed[other] and territory[other] == territory[event]:
                n = _join(parent, speaker, event, other, key[event], edges, weights, n)
    return n


@bare
def spread(
    level: NDArray[np.uint64],
    distance: NDArray[np.int64],
    territory: NDArray[np.int64],
    steps: NDArray[np.int64],
    given: NDArray[np.int64],
    queue: NDArray[np.int64],
) -> None:
    """Spread distances through zones of equal level, step by step.

    Parameters
    ----------
    level : uint64 array of shape (size,)
        Flood levels.
    distance : int64 array of shape (size,)
        0 at entries, what is known at the neighbours' voxels, and UNKNOWN elsewhere; filled in.
    territory, steps : int64 arrays
        As in `contract`.
    given : int64 array
        Voxels whose distance is known, by rising distance.
    queue : int64 array of shape (size,)
        Work space.
    """
    taken, first, last = 0, 0, 0
    while taken < given.size or first < last:
        if first == last or (taken < given.size and distance[given[taken]] <= distance[queue[first]]):
            here = given[taken]
            taken += 1
        else:
            here = queue[first]
            first += 1
        for step in steps:
            there = here + step
            same_zone = level[there] == level[here] and territory[there] == territory[here]
            if same_zone and distance[there] > distance[here] + 1:
                distance[there] = distance[here] + 1
                queue[last] = there
                last += 1


@bare
def lower_neighbours(
    level: NDArray[np.uint64], territory: NDArray[np.int64], steps: NDArray[np.int64], found: NDArray[np.bool_]
) -> None:
    """Tell which voxels have a neighbour of lower level."""
    for here in range(level.size):
        if territory[here] == 0:
            continue
        for step in steps:
            there = here + step
            if territory[there] == territory[here] and level[there] < level[here]:
                found[here] = True
                break


@bare
def resolve(
    voxels: NDArray[np.int64],
    labels: NDArray[np.int64],
    level: NDArray[np.uint64],
    distance: NDArray[np.int64],
    territory: NDArray[np.int64],
    steps: NDArray[np.int64],
    path: NDArray[np.int64],
) -> None:
    """Follow every voxel to the neighbour that gave it its label, until a label is known.

    Parameters
    ----------
    voxels : int64 array
        The voxels that are asked for.
    labels : int64 array of shape (size,)
        What is known: markers, 0 where no flood goes, labels or exits of the neighbours' voxels; OPEN elsewhere.
        Filled in.
    level, distance, territory, steps : arrays
        As in `spread`.
    path : int64 array of shape (size,)
        Work space.
    """
    for start in voxels:
        here, n = start, 0
        while labels[here] == OPEN:
            path[n] = here
            n += 1
            best = NOBODY
            for step in steps:
                there = here + step
                if territory[there] == territory[here] and (
                    best == NOBODY
                    or level[there] < level[best]
                    or (level[there] == level[best] and distance[there] < distance[best])
                ):
                    best = there
            here = best
        for i in range(n):
            labels[path[i]] = labels[here]


@bare
def climb(
    order: NDArray[np.int32], before: NDArray[np.int32], weight: NDArray[np.uint64], found: NDArray[np.uint64]
) -> None:
    """Carry the highest weight on the way through a tree from its root outwards.

    Parameters
    ----------
    order : int32 array
        The nodes but the root, each after the one before it.
    before : int32 array
        The node that leads to each.
    weight : uint64 array
        The weight of the edge between the two.
    found : uint64 array
        The highest weight on the way to each node; that of the root is given, the others are filled in.
    """
    for node in order:
        found[node] = max(found[before[node]], weight[node])
