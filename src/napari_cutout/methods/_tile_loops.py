"""The compiled loops of floods in tiles; what they are for stands in `_tiles`.

All arrays of voxels are flat, of the own voxels of a tile with those of its neighbours around them, or a border that is
outside. `steps` are the differences of flat indices, rising, and `own` tells the own voxels, which alone are asked for
their neighbours. A territory of no voxels means that all that is inside is one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._compiled import bare

__all__ = [
    "EXIT",
    "OPEN",
    "UNKNOWN",
    "enter",
    "name_exits",
    "passes_across",
    "relax",
    "resolve",
    "solve",
    "spread",
    "ways_out",
]

NOBODY = -1

UNKNOWN = 2**31 - 1
"""A distance that is not known yet."""

OPEN = -1
"""A voxel whose label is not known yet."""

EXIT = -2
"""A label that a voxel of another tile has is written as ``EXIT - i``."""


@bare
def ways_out(
    faces: NDArray[np.int64],
    own: NDArray[np.bool_],
    key: NDArray[Any],
    outside: Any,
    territory: NDArray[np.int32],
    steps: NDArray[np.int64],
    out: NDArray[Any],
) -> None:
    """Find the lowest pass from each of the outermost voxels to another tile."""
    for i in range(faces.size):
        p = faces[i]
        if key[p] == outside:
            continue
        for step in steps:
            q = p + step
            if own[q] or key[q] == outside or (territory.size > 0 and territory[q] != territory[p]):
                continue
            out[i] = min(out[i], max(key[p], key[q]))


@bare
def passes_across(
    faces: NDArray[np.int64],
    own: NDArray[np.bool_],
    key: NDArray[Any],
    outside: Any,
    territory: NDArray[np.int32],
    steps: NDArray[np.int64],
    place: NDArray[np.int8],
    found: NDArray[np.int64],
    weight: NDArray[Any],
) -> int:
    """Write down pairs of voxels of this tile and of later ones, and the pass between them; return how many."""
    n = 0
    for p in faces:
        if key[p] == outside:
            continue
        for step in steps:
            q = p + step
            if own[q] or place[q] < 0 or key[q] == outside or (territory.size > 0 and territory[q] != territory[p]):
                continue
            found[n, 0], found[n, 1], weight[n] = p, q, max(key[p], key[q])
            n += 1
    return n


@bare
def enter(
    level: NDArray[Any],
    own: NDArray[np.bool_],
    planted: NDArray[np.bool_],
    outside: Any,
    territory: NDArray[np.int32],
    steps: NDArray[np.int64],
    distance: NDArray[np.int32],
    queue: NDArray[np.int32],
) -> int:
    """Give distance 0 to the entries of zones, and return how many of them have a voxel of their zone beside them.

    These stand in the queue.
    """
    n = 0
    for here in range(level.size):
        if not own[here] or level[here] == outside:
            continue
        entry, zone = planted[here], False
        for step in steps:
            there = here + step
            if territory.size > 0 and territory[there] != territory[here]:
                continue
            if level[there] < level[here]:
                entry = True
            elif level[there] == level[here] and own[there]:
                zone = True
        if entry:
            distance[here] = 0
            if zone:
                queue[n] = here
                n += 1
    return n


@bare
def relax(
    faces: NDArray[np.int64],
    own: NDArray[np.bool_],
    level: NDArray[Any],
    outside: Any,
    territory: NDArray[np.int32],
    steps: NDArray[np.int64],
    distance: NDArray[np.int32],
    nearer: NDArray[np.int64],
) -> int:
    """Let the outermost voxels know the distances of their neighbours in other tiles; return how many came nearer."""
    n = 0
    for p in faces:
        if level[p] == outside:
            continue
        came = False
        for step in steps:
            q = p + step
            if own[q] or level[q] != level[p] or (territory.size > 0 and territory[q] != territory[p]):
                continue
            if distance[q] < distance[p] - 1:
                distance[p], came = distance[q] + 1, True
        if came:
            nearer[n] = p
            n += 1
    return n


@bare
def spread(
    level: NDArray[Any],
    own: NDArray[np.bool_],
    territory: NDArray[np.int32],
    steps: NDArray[np.int64],
    distance: NDArray[np.int32],
    given: NDArray[np.int64],
    queue: NDArray[np.int32],
    last: int,
) -> None:
    """Spread distances through zones of equal level, step by step.

    Parameters
    ----------
    level, own, territory, steps : arrays
        The tile.
    distance : int32 array
        0 at entries, what is known, and UNKNOWN elsewhere; filled in.
    given : int64 array
        Voxels that came nearer, by rising distance.
    queue : int32 array
        Entries first, `last` of them; then work space.
    """
    taken, first = 0, 0
    while taken < given.size or first < last:
        if first == last or (taken < given.size and distance[given[taken]] <= distance[queue[first]]):
            here = given[taken]
            taken += 1
        else:
            here = np.int64(queue[first])
            first += 1
        for step in steps:
            there = here + step
            if not own[there] or level[there] != level[here] or distance[there] <= distance[here] + 1:
                continue
            if territory.size == 0 or territory[there] == territory[here]:
                distance[there] = distance[here] + 1
                queue[last] = there
                last += 1


@bare
def resolve(
    own: NDArray[np.bool_],
    labels: NDArray[np.int32],
    level: NDArray[Any],
    distance: NDArray[np.int32],
    territory: NDArray[np.int32],
    steps: NDArray[np.int64],
    path: NDArray[np.int32],
) -> None:
    """Follow every own voxel to the neighbour that gave it its label, until a label is known.

    Parameters
    ----------
    labels : int32 array
        What is known: markers, 0 where no flood goes, exits at the voxels of other tiles; OPEN elsewhere. Filled in.
    path : int32 array
        Work space.
    """
    for start in range(labels.size):
        if labels[start] != OPEN or not own[start]:
            continue
        here, n = start, 0
        while labels[here] == OPEN:
            path[n] = here
            n += 1
            best = NOBODY
            for step in steps:
                there = here + step
                if (territory.size == 0 or territory[there] == territory[here]) and (
                    best == NOBODY
                    or level[there] < level[best]
                    or (level[there] == level[best] and distance[there] < distance[best])
                ):
                    best = there
            here = best
        for i in range(n):
            labels[path[i]] = labels[here]


@bare
def name_exits(own: NDArray[np.bool_], labels: NDArray[np.int32], number: NDArray[np.int32]) -> int:
    """Give numbers to the exits that own voxels lead to, from 0 by place, and write these; return how many.

    `number` is work space, of zeros.
    """
    for p in range(labels.size):
        if own[p] and labels[p] <= EXIT:
            number[EXIT - labels[p]] = 1
    n = 0
    for q in range(number.size):
        if number[q] == 1:
            number[q] = n
            n += 1
    for p in range(labels.size):
        if own[p] and labels[p] <= EXIT:
            labels[p] = EXIT - number[EXIT - labels[p]]
    return n


# The driver ----------------------------------------------------------------------------------------------


@bare
def _root(parent: NDArray[np.int64], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@bare
def solve(
    order: NDArray[np.int64],
    ends: NDArray[np.int64],
    weight: NDArray[Any],
    parent: NDArray[np.int64],
    joins: NDArray[np.int64],
    level: NDArray[Any],
) -> None:
    """Find the lowest possible highest pass on a way from the source to each node.

    Parameters
    ----------
    order : int64 array
        Passes by rising height.
    ends, weight : int64 array of shape (n, 2), array of shape (n,)
        Which nodes a pass connects, and its height; node 0 is the source.
    parent : int64 array
        Each node its own.
    joins : int64 array of shape (nodes, 3)
        Work space.
    level : array
        Filled in; it holds what nodes have that no pass leads to.
    """
    n = 0
    for i in order:
        a, b = _root(parent, ends[i, 0]), _root(parent, ends[i, 1])
        if a == b:
            continue
        if a > b:
            a, b = b, a
        joins[n, 0], joins[n, 1] = a, b  # the source, which has the smallest number, is always the first
        joins[n, 2] = i
        parent[b] = a
        n += 1
    for at in range(n - 1, -1, -1):  # from the last join: what was joined before water came has one level
        a, b = joins[at, 0], joins[at, 1]
        level[b] = weight[joins[at, 2]] if a == 0 else level[a]
