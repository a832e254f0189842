"""The watershed by its definition, voxel by voxel in plain Python: slow, short, and independent of all other code.

`key` holds integers in the order of the grey levels, 4294967295 outside; `territory` is 0 outside, and voxels touch
only inside one territory; `connectivity` is the number of axes that a step may cross.
"""

from __future__ import annotations

import heapq
from collections import deque
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

NEVER = 2**32 - 1


def touching(shape: tuple[int, ...], territory: NDArray[Any] | None, connectivity: int) -> list[list[int]]:
    """Return for every voxel the linear indices of the voxels that it touches."""
    steps = [s for s in product((-1, 0, 1), repeat=len(shape)) if 0 < sum(map(abs, s)) <= connectivity]
    found = []
    for at in np.ndindex(shape):
        moved = [tuple(a + b for a, b in zip(at, step, strict=True)) for step in steps]
        inside = [m for m in moved if all(0 <= a < n for a, n in zip(m, shape, strict=True))]
        if territory is not None:
            inside = [m for m in inside if territory[m] == territory[at] != 0]
        found.append([int(np.ravel_multi_index(m, shape)) for m in inside])
    return found


def levels(
    key: NDArray[Any], start: NDArray[Any], territory: NDArray[Any] | None, connectivity: int
) -> NDArray[np.uint32]:
    """Return the lowest possible highest level on a path from any voxel q, which is entered at ``start[q]``."""
    around, height = touching(key.shape, territory, connectivity), key.ravel().tolist()
    level = [NEVER] * key.size
    queue = []
    for p in range(key.size):
        inside = height[p] != NEVER and (territory is None or territory.ravel()[p] != 0)
        if inside and start.ravel()[p] != NEVER:
            heapq.heappush(queue, (int(start.ravel()[p]), p))
    while queue:
        reached, p = heapq.heappop(queue)
        if reached >= level[p]:
            continue
        level[p] = reached
        for q in around[p]:
            if height[q] != NEVER:
                heapq.heappush(queue, (max(reached, height[q]), q))
    return np.array(level, np.uint32).reshape(key.shape)


def flood(
    key: NDArray[Any], markers: NDArray[Any], territory: NDArray[Any] | None, connectivity: int
) -> NDArray[np.int32]:
    """Return the labels: by flood level, distance inside the zone of that level, and linear index."""
    around, seed = touching(key.shape, territory, connectivity), markers.ravel().tolist()
    level = levels(key, np.where(markers != 0, key, NEVER), territory, connectivity).ravel().tolist()
    reached = [p for p in range(key.size) if level[p] != NEVER]

    entries = [p for p in reached if seed[p] or any(level[q] < level[p] for q in around[p])]
    distance = dict.fromkeys(entries, 0)
    front = deque(entries)
    while front:
        p = front.popleft()
        for q in around[p]:
            if q not in distance and level[q] == level[p]:
                distance[q] = distance[p] + 1
                front.append(q)

    labels = np.zeros(key.size, np.int32)
    for p in sorted(reached, key=lambda p: (level[p], distance[p])):
        if seed[p]:
            labels[p] = seed[p]
        else:
            rank = {q: (level[q], distance[q], q) for q in around[p] if level[q] != NEVER}
            labels[p] = labels[min(rank, key=rank.__getitem__)]
    return labels.reshape(key.shape)


def regional_minima(level: NDArray[Any], territory: NDArray[Any] | None, connectivity: int) -> NDArray[np.int32]:
    """Number, by first voxel, the flat zones below `NEVER` that have no lower neighbour."""
    around, height = touching(level.shape, territory, connectivity), level.ravel().tolist()
    labels = np.zeros(level.size, np.int32)
    seen: set[int] = set()
    for first in range(level.size):
        outside = height[first] == NEVER or (territory is not None and territory.ravel()[first] == 0)
        if outside or first in seen:
            continue
        zone = [first]
        seen.add(first)
        for p in zone:  # grows while it is walked
            more = [q for q in around[p] if height[q] == height[first] and q not in seen]
            zone += more
            seen.update(more)
        if all(height[q] >= height[first] for p in zone for q in around[p]):
            labels[zone] = labels.max() + 1
    return labels.reshape(level.shape)
