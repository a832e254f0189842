"""Floods of an image in host memory: voxel by voxel in the order of their levels, from a queue of integer buckets.

The twins that flood on a device, which find the same labels in parallel, stand in `_basins`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._compiled import bare
from .._monitor import stage, tick
from ._bucket_queue import BUCKET, N_NODES, SEEN, SHIFT, Queue, new_queue, next_level, push
from ._keys import OUTSIDE
from ._voxel_grid import Grid, fill, grid_of, neighbour_steps, place_of, taken

__all__ = ["flood", "levels", "regional_minima"]

KEY, LABEL = 0, 1
"""The fields of a voxel's record. A voxel that is reached needs its key no longer and keeps its turn there."""

BEYOND = np.uint32(0xFFFFFFFF)
"""The label of the border and of voxels outside the mask: never entered."""

SEED = np.uint32(0x7FFFFFFF)
"""The turn in which markers were reached; no voxel is ever passed in it."""

PASSED = np.uint32(0x80000000)
"""Added to the turn in which a voxel was passed."""

UNREACHED = np.uint32(OUTSIDE)
"""The level of voxels that no source reaches."""

NO_MASK = np.zeros((0, 0, 0), np.bool_)
NO_MASK.flags.writeable = False  # as masks are: one layout

STEP = 1 << 22
"""Voxels between two looks at whether to go on."""


def flood(
    key: NDArray[Any], markers: NDArray[Any], territory: NDArray[Any] | None, connectivity: int
) -> NDArray[np.int32]:
    """Flood an image from markers.

    Parameters
    ----------
    key : array of uint8, uint16 or uint32, 2-D or 3-D
        The order of the grey levels; in uint32 4294967295 is outside.
    markers : integer array of the same shape
        Labels from 1 to 2147483647, and 0 where there is none.
    territory : integer or bool array of the same shape, or None
        0 is outside; a step leads to a voxel of the same territory only.
    connectivity : int
        How many axes a step may cross.

    Returns
    -------
    int32 array
        Labels as `watershed` defines them.

    Notes
    -----
    Voxels are passed in turns: one flood level, and one distance from the nearest entry to their zone. A voxel gets
    its label from the neighbour that reaches it first, and where several do in one turn, from the first of them in
    scan order. Markers that touch no unmarked voxel give no label and never wait, so that dense ones cost nothing.
    Memory: 8 bytes per voxel, 4 for each voxel of the largest zone of one level, and 6 to 8 for each that waits in
    the queue.
    """
    lowest, highest = _range(key)
    grid, records, walls = _laid_out(key, territory, lowest)
    _plant(records, _volume(markers, grid), grid)
    queue, steps = new_queue(grid.size, highest - lowest), neighbour_steps(grid, connectivity)
    stage("flooding")
    passed = _push_markers(queue, records, walls, steps)
    voxels, turn = np.empty(grid.size, np.int32), np.zeros(1, np.uint32)
    while (n := _flood_on(queue, records, walls, steps, voxels, turn, STEP)) > 0:
        passed += n
        tick(passed, key.size)
    del queue, voxels, walls
    labels = np.empty((grid.nz, grid.ny, grid.nx), np.int32)
    taken(records, LABEL, grid, labels)
    labels[labels < 0] = 0
    return labels.reshape(key.shape)


def levels(
    key: NDArray[Any], start: NDArray[np.uint32], territory: NDArray[Any] | None, connectivity: int
) -> NDArray[np.uint32]:
    """Return how high a flood from sources stands when it reaches each voxel.

    Parameters
    ----------
    key : array of uint8, uint16 or uint32, 2-D or 3-D
        The order of the grey levels; in uint32 4294967295 is outside.
    start : uint32 array of the same shape
        The level at which each source begins, not below its own key; 4294967295 where there is none.
    territory : integer or bool array of the same shape, or None
        0 is outside; a step leads to a voxel of the same territory only.
    connectivity : int
        How many axes a step may cross.

    Returns
    -------
    uint32 array
        The lowest possible highest key on a path from a source, or its start if that is higher; 4294967295 where
        no source reaches.

    Notes
    -----
    Memory: as `flood`.
    """
    grid, records, walls = _laid_out(key, territory)
    queue = new_queue(2 * grid.size, OUTSIDE - 1)  # a source waits for its start, and may be reached meanwhile
    steps, voxels = neighbour_steps(grid, connectivity), np.empty(2 * grid.size, np.int32)
    starts = np.full((grid.size, 1), UNREACHED, np.uint32)
    fill(starts, 0, _volume(start, grid), grid)
    _push_sources(queue, records, walls, starts, steps)
    del starts
    passed = 0
    while (n := _rise_on(queue, records, walls, steps, voxels, STEP)) > 0:
        passed += n
        tick(min(passed, key.size), key.size)
    del queue, voxels, walls
    found = np.empty((grid.nz, grid.ny, grid.nx), np.uint32)
    _read_levels(records, grid, found)
    return found.reshape(key.shape)


def regional_minima(level: NDArray[np.uint32], territory: NDArray[Any] | None, connectivity: int) -> NDArray[np.int32]:
    """Give a number to each connected zone of equal level that has no lower neighbour.

    Parameters
    ----------
    level : uint32 array, 2-D or 3-D
        Levels; 4294967295 is outside.
    territory : integer or bool array of the same shape, or None
        0 is outside; neighbours of other territories are none.
    connectivity : int
        How many axes a step may cross.

    Returns
    -------
    int32 array
        Minima from 1 by their first voxel in scan order; 0 elsewhere.

    Notes
    -----
    Memory: 8 bytes per voxel, and 4 for each voxel of the largest zone.
    """
    grid, records, walls = _laid_out(level, territory)
    found = np.zeros((grid.nz, grid.ny, grid.nx), np.int32)
    _number_minima(records, walls, grid, neighbour_steps(grid, connectivity), np.empty(grid.size, np.int32))
    taken(records, LABEL, grid, found)
    found[found < 0] = 0
    return found.reshape(level.shape)


# Records -----------------------------------------------------------------------------------------------


def _volume(image: NDArray[Any], grid: Grid) -> NDArray[Any]:
    """Return an image as a read-only volume in the machine's byte order and in scan order.

    However an array lies in memory, loops are compiled for one layout; only one that lies otherwise is copied.
    """
    volume = np.require(image, image.dtype.newbyteorder("="), ("C", "A")).reshape(grid.nz, grid.ny, grid.nx).view()
    volume.flags.writeable = False
    return volume


def _laid_out(
    key: NDArray[Any], territory: NDArray[Any] | None, lowest: int = 0
) -> tuple[Grid, NDArray[np.uint32], NDArray[np.int32]]:
    """Return the grid of an image, the records of its places, and the territory of each, if they differ.

    Keys are counted from `lowest`.
    """
    grid = grid_of(key.shape)
    records = np.empty((grid.size, 2), np.uint32)
    records[:] = SEED, BEYOND
    walls = np.zeros((0, 1), np.int32)
    inside = NO_MASK
    if territory is not None:
        inside = _volume(territory, grid)
        if territory.dtype != bool:
            walls = np.zeros((grid.size, 1), np.int32)
            fill(walls, 0, inside, grid)
    _fill_keys(records, _volume(key, grid), inside, grid, np.uint32(lowest))
    return grid, records, walls


@bare
def _fill_keys(
    records: NDArray[np.uint32], key: NDArray[Any], inside: NDArray[Any], grid: Grid, lowest: np.uint32
) -> None:
    """Write keys, and label 0 where there is one; without `inside` that is everywhere but at OUTSIDE."""
    masked = inside.size > 0
    for z in range(grid.nz):
        for y in range(grid.ny):
            for x in range(grid.nx):
                level = np.uint32(key[z, y, x])
                if level != UNREACHED and not (masked and inside[z, y, x] == 0):
                    p = place_of(grid, z, y, x)
                    records[p, KEY], records[p, LABEL] = level - lowest, 0


def _range(key: NDArray[Any]) -> tuple[int, int]:
    """Return the smallest and the largest key that is not outside."""
    inside: Any = key != OUTSIDE if key.dtype.itemsize == 4 and key.max() == OUTSIDE else True
    return int(key.min()), int(key.max(where=inside, initial=0))


# Labels ------------------------------------------------------------------------------------------------


@bare
def _plant(records: NDArray[np.uint32], markers: NDArray[Any], grid: Grid) -> None:
    """Write the markers that are inside."""
    for z in range(grid.nz):
        for y in range(grid.ny):
            for x in range(grid.nx):
                if markers[z, y, x] != 0:
                    p = place_of(grid, z, y, x)
                    if records[p, LABEL] == 0:
                        records[p, LABEL] = markers[z, y, x]


@bare
def _push_markers(queue: Queue, records: NDArray[np.uint32], walls: NDArray[np.int32], steps: NDArray[np.int32]) -> int:
    """Push the markers that have a voxel to give their label to, and return how many have none."""
    state, bits, coarse, waiting, lows, links, fine, nodes = queue
    enclosed = 0
    for p in range(records.shape[0]):
        if records[p, LABEL] == 0 or records[p, LABEL] == BEYOND:
            continue
        open_side = False
        for k in range(steps.shape[1]):
            q = p + steps[p & 63, k]
            if records[q, LABEL] == 0 and (walls.size == 0 or walls[q, 0] == walls[p, 0]):
                open_side = True
                break
        if open_side:
            push(p, records[p, KEY], state, bits, coarse, waiting, lows, links, fine, nodes)
        else:
            enclosed += 1
        records[p, KEY] = SEED
    return enclosed


@bare
def _flood_on(
    queue: Queue,
    records: NDArray[np.uint32],
    walls: NDArray[np.int32],
    steps: NDArray[np.int32],
    voxels: NDArray[np.int32],
    turn: NDArray[np.uint32],
    enough: int,
) -> int:
    """Pass whole levels until that are `enough` voxels, and return how many; 0 when the flood is over."""
    state, bits, coarse, waiting, lows, links, fine, nodes = queue
    passed = 0
    bucket = -1
    while passed < enough:
        level, n = next_level(voxels, state, bits, coarse, waiting, lows, links, fine, nodes)
        if n == 0:
            break
        bucket = _look_ahead(records, steps, state, nodes, bucket)
        begin = 0
        while begin < n:
            now = turn[0] + np.uint32(1)
            turn[0] = now
            end = n
            for i in range(begin, end):
                p = voxels[i]
                label = records[p, LABEL]
                records[p, KEY] = now | PASSED
                for k in range(steps.shape[1]):
                    q = p + steps[p & 63, k]
                    there = records[q, LABEL]
                    if there == 0:
                        if walls.size > 0 and walls[q, 0] != walls[p, 0]:
                            continue
                        key = records[q, KEY]
                        records[q, KEY], records[q, LABEL] = now, label
                        if key <= level:
                            voxels[n] = q
                            n += 1
                        else:
                            push(q, key, state, bits, coarse, waiting, lows, links, fine, nodes)
                    elif there != label and records[q, KEY] == now:
                        records[q, LABEL] = _first_to_reach(records, walls, steps, q, now | PASSED)
            begin = end
        passed += n
    return passed


@bare
def _look_ahead(
    records: NDArray[np.uint32],
    steps: NDArray[np.int32],
    state: NDArray[np.int64],
    nodes: NDArray[np.int32],
    bucket: int,
) -> int:
    """Read the neighbours of all voxels of a new coarse bucket, which brings them into the cache; return the bucket.

    A flood goes from one place to another that no processor foresees, and waits for memory at each. Here the places
    are known, and it waits for many at once. Where a bucket is one level, the flood itself knows them.
    """
    if state[BUCKET] == bucket or state[SHIFT] == 0:
        return bucket
    seen = np.uint32(0)
    for i in range(state[N_NODES]):
        p = nodes[i, 0]
        for k in range(steps.shape[1]):
            seen |= records[p + steps[p & 63, k], LABEL]
    state[SEEN] = seen
    return int(state[BUCKET])


@bare
def _first_to_reach(
    records: NDArray[np.uint32], walls: NDArray[np.int32], steps: NDArray[np.int32], q: int, passed: int
) -> Any:
    """Return the label of the first neighbour in scan order among those passed in this turn."""
    for k in range(steps.shape[1]):  # in scan order
        r = q + steps[q & 63, k]
        reached = records[r, LABEL] != 0  # else a key stands there, which may be the same number as a turn
        if reached and records[r, KEY] == passed and (walls.size == 0 or walls[r, 0] == walls[q, 0]):
            return records[r, LABEL]
    return BEYOND  # never: it was passed in this turn who asks


# Levels ------------------------------------------------------------------------------------------------

WAITING, SETTLED = np.uint32(1), np.uint32(2)
"""What `levels` keeps in place of a label: reached by a neighbour, and of known level."""


@bare
def _push_sources(
    queue: Queue,
    records: NDArray[np.uint32],
    walls: NDArray[np.int32],
    starts: NDArray[np.uint32],
    steps: NDArray[np.int32],
) -> None:
    """Push the sources, but for those that a neighbour with a lower start reaches sooner."""
    state, bits, coarse, waiting, lows, links, fine, nodes = queue
    for p in range(starts.shape[0]):
        level = starts[p, 0]
        if records[p, LABEL] != 0 or level == UNREACHED:
            continue
        lowest = True
        for k in range(steps.shape[1]):
            q = p + steps[p & 63, k]
            connected = records[q, LABEL] == 0 and (walls.size == 0 or walls[q, 0] == walls[p, 0])
            if connected and starts[q, 0] < level:
                lowest = False
                break
        if lowest:
            push(p, level, state, bits, coarse, waiting, lows, links, fine, nodes)


@bare
def _rise_on(
    queue: Queue,
    records: NDArray[np.uint32],
    walls: NDArray[np.int32],
    steps: NDArray[np.int32],
    voxels: NDArray[np.int32],
    enough: int,
) -> int:
    """Settle whole levels until that are `enough` voxels, and return how many; 0 when no source is left."""
    state, bits, coarse, waiting, lows, links, fine, nodes = queue
    settled = 0
    while settled < enough:
        level, n = next_level(voxels, state, bits, coarse, waiting, lows, links, fine, nodes)
        if n == 0:
            break
        i = 0
        while i < n:
            p = voxels[i]
            i += 1
            if records[p, LABEL] == SETTLED:
                continue
            records[p, LABEL], records[p, KEY] = SETTLED, level
            for k in range(steps.shape[1]):
                q = p + steps[p & 63, k]
                if records[q, LABEL] != 0 or (walls.size > 0 and walls[q, 0] != walls[p, 0]):
                    continue
                records[q, LABEL] = WAITING
                if records[q, KEY] <= level:
                    voxels[n] = q
                    n += 1
                else:
                    push(q, records[q, KEY], state, bits, coarse, waiting, lows, links, fine, nodes)
        settled += n
    return settled


@bare
def _read_levels(records: NDArray[np.uint32], grid: Grid, found: NDArray[np.uint32]) -> None:
    for z in range(grid.nz):
        for y in range(grid.ny):
            for x in range(grid.nx):
                p = place_of(grid, z, y, x)
                found[z, y, x] = records[p, KEY] if records[p, LABEL] == SETTLED else UNREACHED


# Minima ------------------------------------------------------------------------------------------------

LOOKED_AT = np.uint32(0xFFFFFFFE)
"""The label of a zone that is being looked at, or is no minimum."""


@bare
def _number_minima(
    records: NDArray[np.uint32],
    walls: NDArray[np.int32],
    grid: Grid,
    steps: NDArray[np.int32],
    voxels: NDArray[np.int32],
) -> None:
    n_minima = 0
    for z in range(grid.nz):
        for y in range(grid.ny):
            for x in range(grid.nx):
                p = place_of(grid, z, y, x)
                if records[p, LABEL] != 0:
                    continue
                n = _zone_of(records, walls, steps, voxels, p)
                if n > 0:
                    n_minima += 1
                    for i in range(n):
                        records[voxels[i], LABEL] = n_minima


@bare
def _zone_of(
    records: NDArray[np.uint32],
    walls: NDArray[np.int32],
    steps: NDArray[np.int32],
    voxels: NDArray[np.int32],
    start: int,
) -> int:
    """Gather the zone of equal level around a voxel, and return its size; 0 if it has a lower neighbour."""
    level, lowest = records[start, KEY], True
    records[start, LABEL] = LOOKED_AT
    voxels[0] = start
    i, n = 0, 1
    while i < n:
        p = voxels[i]
        i += 1
        for k in range(steps.shape[1]):
            q = p + steps[p & 63, k]
            if records[q, LABEL] == BEYOND or (walls.size > 0 and walls[q, 0] != walls[p, 0]):
                continue
            if records[q, KEY] < level:
                lowest = False
            elif records[q, KEY] == level and records[q, LABEL] == 0:
                records[q, LABEL] = LOOKED_AT
                voxels[n] = q
                n += 1
    return n if lowest else 0
