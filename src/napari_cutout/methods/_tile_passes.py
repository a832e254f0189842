"""The lowest passes of a tile: its voxels contracted to few nodes, from which other tiles get the flood levels.

Water comes into a tile through its outermost voxels, the *shell*, or from sources inside. So a tile is flooded once
from its shell and its sources, which parts it into regions; the level at which a region is reached from outside is
found later, and then the flood level of each of its voxels is the higher of that and of its *height*, the level at
which this flood reached it.

Regions are joined along their lowest passes, in rising order. If the lowest way out of a region leads to another one
of the tile, and not to another tile, then it is flooded over that pass: the higher of the pass and of the level of the
other is its level, and the two become one *node*. What is left are nodes whose lowest way out leads to another tile, a
tree of passes between them, and the node of all sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._compiled import bare
from . import _flood
from ._bucket_queue import Queue, new_queue, next_level, push
from ._voxel_grid import Grid, fill, neighbour_steps, taken

__all__ = ["NO_NODE", "SOURCE", "Passes", "passes_of"]

NO_NODE, SOURCE = 0, 1
"""The node of voxels that nothing reaches, and that of all sources."""

SETTLED = np.uint32(1 << 30)
"""Added to the label of a voxel whose level is known."""

NAME = np.uint32((1 << 30) - 1)
"""The bits of a label that are not the flag."""

UNREACHED = _flood.UNREACHED
NEVER = np.uint32(0xFFFFFFFF)
"""No way leads there."""


@dataclass(frozen=True, slots=True, eq=False)
class Passes:
    """A contracted tile.

    Parameters
    ----------
    height : uint32 array, or uint64 where keys are wide
        The lowest possible highest key on a way from its node to each voxel; `UNREACHED` where there is none.
    node : int32 array of the same shape
        The node of each voxel.
    n_nodes : int
        How many there are, the two without a region included.
    ends : int32 array of shape (n, 2)
        Nodes that a pass connects.
    weight : array of shape (n,), as `height`
        The height of the pass.
    """

    height: NDArray[Any]
    node: NDArray[np.int32]
    n_nodes: int
    ends: NDArray[np.int32]
    weight: NDArray[Any]


def passes_of(
    key: NDArray[np.uint32],
    start: NDArray[np.uint32] | None,
    territory: NDArray[Any] | None,
    out: NDArray[np.uint32],
    connectivity: int,
) -> Passes:
    """Contract a tile.

    Parameters
    ----------
    key : uint32 array, 2-D or 3-D
        The order of the grey levels of the own voxels; 4294967295 is outside.
    start : uint32 array of the same shape, or None
        The level at which each source begins, not below its own key; 4294967295 where there is none.
    territory : integer or bool array of the same shape, or None
        0 is outside; a step leads to a voxel of the same territory only.
    out : uint32 array of the same shape
        The lowest pass that leads from a voxel to another tile; 4294967295 where there is none.
    connectivity : int
        How many axes a step may cross.

    Returns
    -------
    Passes
        Its nodes.
    """
    inside = key[key != UNREACHED] if key.max(initial=0) == UNREACHED else key
    lowest = np.uint32(inside.min(initial=UNREACHED))
    if lowest == UNREACHED:
        none = np.zeros(key.shape, np.int32)
        return Passes(np.full(key.shape, UNREACHED), none, 2, np.zeros((0, 2), np.int32), np.zeros(0, np.uint32))
    grid, records, walls = _flood._laid_out(key, territory, int(lowest))
    steps, ways_out = neighbour_steps(grid, connectivity), _in_grid(grid, out, NEVER)
    starts = np.zeros((0, 1), np.uint32) if start is None else _in_grid(grid, start, UNREACHED)
    highest = int(inside.max(initial=0)) if start is None else int(start[start != UNREACHED].max(initial=0))
    highest = max(highest, int(inside.max(initial=0)))
    queue = new_queue(2 * grid.size if start is not None else grid.size, highest - int(lowest))
    n = 2 + _push_shell(queue, records, walls, ways_out, steps)
    if start is not None:
        starts[starts != UNREACHED] -= lowest
        _push_sources(queue, records, walls, starts, steps)
    del starts
    poured = np.full(n, NEVER, np.uint32)
    _flood_from(queue, records, walls, steps, np.empty(2 * grid.size, np.int32), poured)
    del queue
    label, height = np.empty((grid.nz, grid.ny, grid.nx), np.int32), np.empty((grid.nz, grid.ny, grid.nx), np.uint32)
    cross = np.full(n, NEVER, np.uint32)
    _lowest_ways_out(records, ways_out, cross, lowest)
    ends, weight = _touching(records, walls, steps, poured)
    taken(records, _flood.LABEL, grid, label)
    taken(records, _flood.KEY, grid, height)
    del records, walls, ways_out
    return _joined(label, height, ends, weight, cross, lowest, key.shape)


def _in_grid(grid: Grid, image: NDArray[np.uint32], outside: np.uint32) -> NDArray[np.uint32]:
    found = np.full((grid.size, 1), outside, np.uint32)
    fill(found, 0, _flood._volume(image, grid), grid)
    return found


@bare
def _push_shell(
    queue: Queue,
    records: NDArray[np.uint32],
    walls: NDArray[np.int32],
    out: NDArray[np.uint32],
    steps: NDArray[np.int32],
) -> int:
    """Push the voxels of the shell, but for those that a lower one beside them reaches; return how many regions begin.

    Of equal neighbours the first begins.
    """
    state, bits, coarse, waiting, lows, links, fine, nodes = queue
    n = 0
    for p in range(records.shape[0]):
        if out[p, 0] == NEVER or records[p, 1] == _flood.BEYOND:
            continue
        begins = True
        for k in range(steps.shape[1]):
            q = p + steps[p & 63, k]
            if out[q, 0] == NEVER or records[q, 1] == _flood.BEYOND or (walls.size > 0 and walls[q, 0] != walls[p, 0]):
                continue
            if records[q, 0] < records[p, 0] or (records[q, 0] == records[p, 0] and q < p):
                begins = False
                break
        if begins:
            n += 1
            records[p, 1] = 1 + n
            push(p, records[p, 0], state, bits, coarse, waiting, lows, links, fine, nodes)
    return n


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
        if records[p, 1] == _flood.BEYOND or level == UNREACHED:
            continue
        lowest = True
        for k in range(steps.shape[1]):
            q = p + steps[p & 63, k]
            connected = records[q, 1] != _flood.BEYOND and (walls.size == 0 or walls[q, 0] == walls[p, 0])
            if connected and starts[q, 0] < level:
                lowest = False
                break
        if lowest:
            push(p, level, state, bits, coarse, waiting, lows, links, fine, nodes)


@bare
def _flood_from(
    queue: Queue,
    records: NDArray[np.uint32],
    walls: NDArray[np.int32],
    steps: NDArray[np.int32],
    voxels: NDArray[np.int32],
    poured: NDArray[np.uint32],
) -> None:
    """Settle all voxels: each with the region that reaches it first, and the level at which it does.

    A source that begins where a region is already is the level at which water is poured into that region.
    """
    state, bits, coarse, waiting, lows, links, fine, nodes = queue
    while True:
        level, n = next_level(voxels, state, bits, coarse, waiting, lows, links, fine, nodes)
        if n == 0:
            break
        i = 0
        while i < n:
            p = voxels[i]
            i += 1
            label = records[p, 1]
            if label & SETTLED:
                at = label & NAME
                poured[at] = min(poured[at], np.uint32(level))
                continue
            if label == 0:
                label = np.uint32(SOURCE)
            records[p, 0], records[p, 1] = level, label | SETTLED
            for k in range(steps.shape[1]):
                q = p + steps[p & 63, k]
                if records[q, 1] != 0 or (walls.size > 0 and walls[q, 0] != walls[p, 0]):
                    continue
                records[q, 1] = label
                if records[q, 0] <= level:
                    voxels[n] = q
                    n += 1
                else:
                    push(q, records[q, 0], state, bits, coarse, waiting, lows, links, fine, nodes)


@bare
def _lowest_ways_out(
    records: NDArray[np.uint32], out: NDArray[np.uint32], cross: NDArray[np.uint32], lowest: np.uint32
) -> None:
    """Find the lowest way from each region to another tile, and take the flags off the labels."""
    for p in range(records.shape[0]):
        label = records[p, 1]
        if label == _flood.BEYOND:
            records[p, 1] = 0
            continue
        label &= NAME
        records[p, 1] = label
        if label > 0 and out[p, 0] != NEVER:
            cross[label] = min(cross[label], np.uint32(out[p, 0] - lowest))


def _touching(
    records: NDArray[np.uint32], walls: NDArray[np.int32], steps: NDArray[np.int32], poured: NDArray[np.uint32]
) -> tuple[NDArray[np.int32], NDArray[np.uint32]]:
    """Return the passes between regions, and those from the source into them."""
    into = np.flatnonzero(poured[2:] != NEVER) + 2
    n = int(_count_touching(records, walls, steps))
    ends, weight = np.empty((n + len(into), 2), np.int32), np.empty(n + len(into), np.uint32)
    _write_touching(records, walls, steps, ends, weight)
    ends[n:, 0], ends[n:, 1], weight[n:] = SOURCE, into, poured[into]
    return ends, weight


@bare
def _touch(records: NDArray[np.uint32], walls: NDArray[np.int32], p: int, q: int) -> bool:
    """Tell whether a voxel and the one beside it, which may be outside, belong to two regions that touch."""
    a, b = records[p, 1], records[q, 1]
    return a != b and b != 0 and (walls.size == 0 or walls[q, 0] == walls[p, 0])


@bare
def _count_touching(records: NDArray[np.uint32], walls: NDArray[np.int32], steps: NDArray[np.int32]) -> int:
    n = 0
    for p in range(records.shape[0]):
        if records[p, 1] == 0:
            continue
        for k in range(steps.shape[1]):
            q = p + steps[p & 63, k]
            if q > p and _touch(records, walls, p, q):
                n += 1
    return n


@bare
def _write_touching(
    records: NDArray[np.uint32],
    walls: NDArray[np.int32],
    steps: NDArray[np.int32],
    ends: NDArray[np.int32],
    weight: NDArray[np.uint32],
) -> None:
    n = 0
    for p in range(records.shape[0]):
        if records[p, 1] == 0:
            continue
        for k in range(steps.shape[1]):
            q = p + steps[p & 63, k]
            if q > p and _touch(records, walls, p, q):
                ends[n, 0], ends[n, 1] = records[p, 1], records[q, 1]
                weight[n] = max(records[p, 0], records[q, 0])
                n += 1


# Nodes -------------------------------------------------------------------------------------------------


def _joined(
    label: NDArray[np.int32],
    height: NDArray[np.uint32],
    ends: NDArray[np.int32],
    weight: NDArray[np.uint32],
    cross: NDArray[np.uint32],
    lowest: np.uint32,
    shape: tuple[int, ...],
) -> Passes:
    """Join regions to nodes, and write each voxel's node and height."""
    n = len(cross)
    narrow = weight.astype(np.uint16) if weight.max(initial=0) < 1 << 16 else weight  # sorted by counting
    order = np.argsort(narrow, kind="stable")
    parent, over = np.arange(n, dtype=np.int32), np.zeros(n, np.uint32)
    kept = np.empty(len(order), np.bool_)
    n_kept = _join(order, ends, weight, cross, parent, over, np.arange(n, dtype=np.int32), kept)
    number = np.zeros(n, np.int32)
    n_nodes = _number(parent, over, number)
    chosen = order[kept]
    between = number[ends[chosen]].reshape(n_kept, 2)
    _write_nodes(label, height, number, over, lowest)
    return Passes(height.reshape(shape), label.reshape(shape), n_nodes, between, weight[chosen] + lowest)


@bare
def _root(parent: NDArray[np.int32], i: int) -> int:
    while parent[i] != i:
        i = parent[i]
    return i


@bare
def _connected(joined: NDArray[np.int32], i: int) -> int:
    while joined[i] != i:
        joined[i] = joined[joined[i]]
        i = joined[i]
    return i


@bare
def _climb(parent: NDArray[np.int32], over: NDArray[np.uint32], i: int) -> int:
    """Return the node of a region, and hang what lies on the way on the one after the next."""
    while parent[i] != i:
        up = parent[i]
        if parent[up] != up:
            over[i] = max(over[i], over[up])
            parent[i] = parent[up]
        i = parent[i]
    return i


@bare
def _join(
    order: NDArray[np.int64],
    ends: NDArray[np.int32],
    weight: NDArray[np.uint32],
    cross: NDArray[np.uint32],
    parent: NDArray[np.int32],
    over: NDArray[np.uint32],
    joined: NDArray[np.int32],
    kept: NDArray[np.bool_],
) -> int:
    """Visit passes in rising order; return how many are kept as passes between nodes.

    `cross` is the lowest way out of each node that is not one of the passes still to come. The node of the sources,
    from which water comes, is never flooded over a pass.
    """
    n_kept = 0
    for at in range(order.size):
        kept[at] = False
        i = order[at]
        a, b = ends[i, 0], ends[i, 1]
        one, two = _connected(joined, a), _connected(joined, b)
        if one == two:
            continue
        joined[max(one, two)] = min(one, two)
        a, b, w = _climb(parent, over, a), _climb(parent, over, b), weight[i]
        if a == SOURCE or (b != SOURCE and cross[a] < w):
            a, b = b, a
        if a != SOURCE and cross[a] >= w:
            parent[a], over[a] = b, w
            cross[b] = min(cross[a], cross[b])
        else:
            kept[at] = True
            n_kept += 1
            cross[a], cross[b] = min(cross[a], w), min(cross[b], w)
    return n_kept


@bare
def _number(parent: NDArray[np.int32], over: NDArray[np.uint32], number: NDArray[np.int32]) -> int:
    """Give numbers to the nodes, and to each region that of its own; return one more than the largest."""
    n = SOURCE
    for i in range(2, parent.size):
        if parent[i] == i:
            n += 1
            number[i] = n
    number[SOURCE] = SOURCE
    for i in range(2, parent.size):
        root = _climb(parent, over, i)
        if root != i:
            number[i] = number[root]
            j = i
            while parent[j] != j:
                over[i] = max(over[i], over[j])
                j = parent[j]
            parent[i] = root
    return n + 1


@bare
def _write_nodes(
    label: NDArray[np.int32],
    height: NDArray[np.uint32],
    number: NDArray[np.int32],
    over: NDArray[np.uint32],
    lowest: np.uint32,
) -> None:
    for z in range(label.shape[0]):
        for y in range(label.shape[1]):
            for x in range(label.shape[2]):
                region = label[z, y, x]
                label[z, y, x] = number[region]
                if region == NO_NODE:
                    height[z, y, x] = UNREACHED
                else:
                    height[z, y, x] = max(height[z, y, x], over[region]) + lowest
