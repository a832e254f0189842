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
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._compiled import bare
from . import _flood
from ._bucket_queue import Queue, new_queue, next_level, push
from ._voxel_grid import Grid, neighbour_steps, place_of

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
    shell: tuple[NDArray[np.int64], NDArray[np.uint32]],
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
    shell : int64 and uint32 arrays of shape (n,)
        Flat indices of the outermost voxels, and the lowest pass that leads from each to another tile; 4294967295 where
        there is none.
    connectivity : int
        How many axes a step may cross.

    Returns
    -------
    Passes
        Its nodes.
    """
    lowest, highest = _flood._range(key)
    if start is not None:
        highest = max(highest, int(start.max(where=start != UNREACHED, initial=0)))
    if lowest == UNREACHED:
        none = np.zeros(key.shape, np.int32)
        return Passes(np.full(key.shape, UNREACHED), none, 2, np.zeros((0, 2), np.int32), np.zeros(0, np.uint32))
    grid, records, walls = _flood._laid_out(key, territory, lowest)
    steps, out = neighbour_steps(grid, connectivity), np.full((grid.size, 1), NEVER, np.uint32)
    _fill_shell(out, *shell, grid, np.uint32(lowest))
    n_sources = 0 if start is None else int(np.count_nonzero(start != UNREACHED))
    queue = new_queue(grid.size + n_sources, highest - lowest)
    n = 2 + _push_shell(queue, records, walls, out, steps)
    if start is not None:
        starts = np.full((grid.size, 1), UNREACHED, np.uint32)
        _fill_starts(starts, _flood._volume(start, grid), grid, np.uint32(lowest))
        _push_sources(queue, records, walls, starts, steps)
        del starts
    regions = _Regions(
        np.full(n, NEVER, np.uint32),
        np.arange(n, dtype=np.int32),
        np.zeros(n, np.uint32),
        np.arange(n, dtype=np.int32),
        np.empty((n, 2), np.int32),
        np.empty(n, np.uint32),
    )
    n_kept = _flood_from(queue, records, walls, steps, np.empty(grid.size + n_sources, np.int32), out, regions)
    del queue, walls, out
    number = np.zeros(n, np.int32)
    n_nodes = _number(regions.parent, regions.over, number)
    node, height = np.empty((2, grid.nz, grid.ny, grid.nx), np.uint32)
    _write_nodes(records, grid, number, regions.over, np.uint32(lowest), node, height)
    ends, weight = number[regions.ends[:n_kept]], regions.weight[:n_kept] + np.uint32(lowest)
    return Passes(height.reshape(key.shape), node.view(np.int32).reshape(key.shape), n_nodes, ends, weight)


class _Regions(NamedTuple):
    """The arrays of regions.

    Parameters
    ----------
    cross : uint32 array of shape (n,)
        The lowest way out of each node that is no pass to come: to another tile, or one that is kept.
    parent : int32 array of shape (n,)
        The region over a pass to which each is flooded, or itself.
    over : uint32 array of shape (n,)
        The height of that pass.
    joined : int32 array of shape (n,)
        Sets of regions that any passes connect.
    ends, weight : int32 array of shape (n, 2), uint32 array of shape (n,)
        The passes that are kept.
    """

    cross: NDArray[np.uint32]
    parent: NDArray[np.int32]
    over: NDArray[np.uint32]
    joined: NDArray[np.int32]
    ends: NDArray[np.int32]
    weight: NDArray[np.uint32]


@bare
def _fill_shell(
    out: NDArray[np.uint32], rim: NDArray[np.int64], ways: NDArray[np.uint32], grid: Grid, lowest: np.uint32
) -> None:
    for i in range(rim.size):
        if ways[i] != NEVER:
            x, rest = rim[i] % grid.nx, rim[i] // grid.nx
            out[place_of(grid, rest // grid.ny, rest % grid.ny, x), 0] = ways[i] - lowest


@bare
def _fill_starts(starts: NDArray[np.uint32], image: NDArray[np.uint32], grid: Grid, lowest: np.uint32) -> None:
    for z in range(grid.nz):
        for y in range(grid.ny):
            for x in range(grid.nx):
                if image[z, y, x] != UNREACHED:
                    starts[place_of(grid, z, y, x), 0] = image[z, y, x] - lowest


@bare
def _apart(walls: NDArray[np.int32], p: int, q: int) -> bool:
    """Tell whether two places belong to different territories."""
    return walls.size > 0 and walls[q, 0] != walls[p, 0]


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
    out: NDArray[np.uint32],
    regions: _Regions,
) -> int:
    """Settle all voxels, each with the region that reaches it first and the level at which it does.

    Regions meet in the order of the passes between them, for a voxel that settles beside another region is as high as
    the pass. A source that begins where a region is already is a pass between the two. Return how many are kept.
    """
    state, bits, coarse, waiting, lows, links, fine, nodes = queue
    cross, parent, over, joined, ends, weight = regions
    kept = 0
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
                kept = _meet(np.int64(label & NAME), SOURCE, level, cross, parent, over, joined, ends, weight, kept)
                continue
            label = max(label, np.uint32(SOURCE))  # where nothing is yet, a source begins
            records[p, 0], records[p, 1] = level, label | SETTLED
            _know_way_out(out[p, 0], np.int64(label), cross, parent, over)
            for k in range(steps.shape[1]):
                q = p + steps[p & 63, k]
                there = records[q, 1]
                if there & NAME == label or _apart(walls, p, q):
                    continue
                if there == 0:
                    records[q, 1] = label
                    if records[q, 0] <= level:
                        voxels[n] = q
                        n += 1
                    else:
                        push(q, records[q, 0], state, bits, coarse, waiting, lows, links, fine, nodes)
                elif there & SETTLED and there != _flood.BEYOND:
                    kept = _meet(
                        np.int64(label), np.int64(there & NAME), level, cross, parent, over, joined, ends, weight, kept
                    )
    return kept


@bare
def _know_way_out(
    way: Any, label: Any, cross: NDArray[np.uint32], parent: NDArray[np.int32], over: NDArray[np.uint32]
) -> None:
    """Note the lowest way out from a voxel of a region."""
    if way != NEVER:
        at = _climb(parent, over, label)
        cross[at] = min(cross[at], way)


# Nodes -------------------------------------------------------------------------------------------------


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
def _meet(
    a: Any,
    b: Any,
    level: Any,
    cross: NDArray[np.uint32],
    parent: NDArray[np.int32],
    over: NDArray[np.uint32],
    joined: NDArray[np.int32],
    ends: NDArray[np.int32],
    weight: NDArray[np.uint32],
    kept: int,
) -> int:
    """Let two regions meet over a pass, which comes after all lower ones; return how many passes are kept by now.

    The voxels of the shell that are still to come are no lower, and so are the ways out from them. The node of the
    sources, from which water comes, is never flooded over a pass.
    """
    one, two = _connected(joined, a), _connected(joined, b)
    if one == two:
        return kept
    joined[max(one, two)] = min(one, two)
    w = np.uint32(level)
    a, b = _climb(parent, over, a), _climb(parent, over, b)
    if a == SOURCE or (b != SOURCE and cross[a] < w):
        a, b = b, a
    if a != SOURCE and cross[a] >= w:
        parent[a], over[a] = b, w
        cross[b] = min(cross[a], cross[b])
        return kept
    ends[kept, 0], ends[kept, 1], weight[kept] = a, b, w
    cross[a], cross[b] = min(cross[a], w), min(cross[b], w)
    return kept + 1


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
    records: NDArray[np.uint32],
    grid: Grid,
    number: NDArray[np.int32],
    over: NDArray[np.uint32],
    lowest: np.uint32,
    node: NDArray[np.uint32],
    height: NDArray[np.uint32],
) -> None:
    for z in range(grid.nz):
        for y in range(grid.ny):
            for x in range(grid.nx):
                p = place_of(grid, z, y, x)
                label = records[p, 1]
                if label == 0 or label == _flood.BEYOND:
                    node[z, y, x], height[z, y, x] = NO_NODE, UNREACHED
                else:
                    region = label & NAME
                    node[z, y, x] = number[region]
                    height[z, y, x] = max(records[p, 0], over[region]) + lowest
