"""The random walk on an image that does not fit into memory: on groups of voxels first, then tile by tile.

Every tile merges voxels that hold together, as the multigrid does, and tells which groups meet and how easily one walks
from one to the next. The walk on all groups is solved at once. Then each tile is solved again, voxel by voxel, within a
band around the boundaries between labels, and where two labels are about as likely; voxels around that band keep what
their group has. A tile depends on the groups alone, so tiles are independent of each other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, is_lazy, to_numpy
from .._compiled import n_threads
from .._monitor import note, stage
from .._plan import Pyramid, Slices, Sweep, Tile
from ._gradients import AT_ONCE
from ._walk import MAX_VOXELS, Walk, box_around, no_strokes, not_on_faces, note_reached
from ._walk_graph import Edges, graph_of, probabilities
from ._walk_groups import Groups, ends, groups_of, linked, unpacked
from ._walk_scales import WalkSettings, scales_from
from ._walk_scene import Scene, Seen, Setting, facts_from, seen_in, tile_scene

__all__ = ["OF_A_LABEL", "OF_THE_LATTICE", "bytes_needed", "labels_inside", "pyramid"]

OF_THE_LATTICE, OF_A_LABEL = 48.0, 20.0
"""Bytes per voxel at most: of weights and levels, and of each label that is solved at the same time."""

HALO = 16
"""Voxels around a tile that are solved with it and thrown away."""

BAND = 4
"""Voxels on either side of a boundary between labels, and around strokes, that are solved again."""

CLEAR = 0.2
"""How much likelier than the second the best label of a group must be, or its voxels are solved again."""

RELEVANT = 1e-3
"""A label that is likelier than this nowhere in a tile is left out there."""

MOST_LEVELS = 5
"""How often groups are merged at most."""

SHRINKAGE = 7.0
"""How many voxels, or groups, become one group each time, at least."""

OF_A_GROUP = 400.0
"""Bytes of a group at the peak, but for 4 bytes of each label."""

OF_A_TILE = 8e8
"""Bytes of a tile at work."""

OF_A_NUMBER = 1.0
"""Bytes per voxel of the packed numbers of groups."""


def pyramid(
    n_channels: int,
    settings: WalkSettings,
    n_voxels: int,
    *,
    keep: bool = False,
    labels: NDArray[np.int64] | None = None,
) -> Pyramid:
    """Return the plan of a random walk on channels, a mask or None, and markers.

    Parameters
    ----------
    n_channels : int
        How many arrays are channels.
    settings : WalkSettings
        What makes the weights, and when to stop.
    n_voxels : int
        Of the image.
    keep : bool
        Whether the result has probabilities, not labels.
    labels : int64 array, optional
        Those of the markers, which probabilities of host and dask arrays need.
    """
    kept = 0 if labels is None else len(labels)
    return Pyramid(
        whole=partial(_whole, n_channels=n_channels, settings=settings, keep=keep),
        n_bytes=whole_bytes(n_voxels) if n_voxels <= MAX_VOXELS else math.inf,
        solve=partial(_solved, settings=settings, n_voxels=n_voxels),
        apply=partial(_refined, keep=keep),
        width=HALO,
        dtype="float32" if keep else "int32",
        n=kept or None,
    )


def labels_inside(channels: Sequence[Array], mask: Array | None, markers: Array) -> NDArray[np.int64]:
    """Return the labels of the strokes inside, rising; those of dask arrays are read now.

    Raises
    ------
    ValueError
        If there are none.
    """
    marked = markers > 0
    if mask is not None:
        marked &= mask != 0
    for channel in channels:
        if channel.dtype.kind == "f":
            marked &= np.isfinite(channel)
    if is_lazy(markers):
        import dask.array as da

        labels = to_numpy(da.unique(da.where(marked, markers, 0)))
    else:
        labels = np.unique(markers[marked])
    labels = labels[labels > 0].astype(np.int64)
    if not len(labels):
        raise no_strokes(bool(to_numpy((markers > 0).any())))
    return labels


def whole_bytes(n_voxels: int) -> float:
    """Return how much memory a walk on the whole needs."""
    return (OF_THE_LATTICE + AT_ONCE * OF_A_LABEL) * n_voxels


def coarse_bytes(n_voxels: int, n_levels: int, n_labels: int) -> float:
    """Return how much memory a walk on groups needs."""
    return (OF_A_GROUP + 4.0 * n_labels) * n_voxels / SHRINKAGE**n_levels + OF_A_NUMBER * n_voxels


def bytes_needed(settings: Any, n_voxels: int, n_channels: int) -> float:
    """Return the bytes per voxel of a run on arrays in memory, as it will be planned: whole, or in tiles."""
    from ..blockwise import memory

    whole, budget = whole_bytes(n_voxels), memory()
    if whole <= budget and n_voxels <= MAX_VOXELS:
        return whole / n_voxels
    return (coarse_bytes(n_voxels, _n_levels(n_voxels, 2, budget), 2) + n_threads() * OF_A_TILE) / n_voxels


def _whole(*arrays: Array | None, n_channels: int, settings: WalkSettings, keep: bool) -> Array:
    channels, (mask, markers) = arrays[:n_channels], arrays[n_channels:]
    answer = Walk([c for c in channels if c is not None], mask, settings).solve(markers, keep=keep)
    return answer.probabilities if keep else answer.best


# The walk on groups -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Known:
    """What a tile needs to know of the groups.

    Parameters
    ----------
    setting : Setting
        What the whole says.
    tiles : list of Tile
        It and its neighbours.
    packed : list of bytes
        The group of each of their voxels.
    found : list of float32 array of shape (n, groups)
        How likely a walk from each of theirs reaches each label first.
    """

    setting: Setting
    tiles: list[Tile]
    packed: list[bytes]
    found: list[NDArray[np.float32]]


def _solved(
    sweep: Sweep, tiles: Sequence[Tile], budget: float, *, settings: WalkSettings, n_voxels: int
) -> list[Known]:
    """Solve the walk on groups, and return what each tile needs to know."""
    setting = _setting(sweep("looking at grey levels", partial(seen_in, noisy=settings.beta == "auto")), settings)
    n_levels = _n_levels(n_voxels, len(setting.labels), budget)
    groups = sweep("merging voxels", partial(groups_of, setting=setting, n_levels=n_levels))
    stage("linking tiles")
    starts = np.cumsum([0, *(g.n for g in groups)])
    found = _probabilities(tiles, groups, starts, setting, n_levels)
    note(
        approximate=f"the whole did not fit into memory: solved on {int(starts[-1])} groups of voxels, then in "
        f"{len(tiles)} tiles, voxel by voxel within {BAND} voxels of boundaries and strokes, and where labels are "
        "about as likely",
        n_groups=int(starts[-1]),
        level=n_levels,
        band=BAND,
        n_tiles=len(tiles),
        n_labels=len(setting.labels),
    )
    return [_known(tile, tiles, groups, starts, found, setting) for tile in tiles]


def _setting(seen: list[Seen], settings: WalkSettings) -> Setting:
    facts, lows = facts_from(seen)
    labels = np.unique(np.concatenate([s.labels for s in seen]))
    if not len(labels):
        raise no_strokes(any(s.painted for s in seen))
    return Setting(settings, scales_from(facts, settings), lows, labels)


def _n_levels(n_voxels: int, n_labels: int, budget: float) -> int:
    """Return how often groups must be merged to fit into memory."""
    fitting = (k for k in range(1, MOST_LEVELS) if coarse_bytes(n_voxels, k, n_labels) <= budget)
    return next(fitting, MOST_LEVELS)


def _probabilities(
    tiles: Sequence[Tile], groups: Sequence[Groups], starts: NDArray[np.int64], setting: Setting, n_levels: int
) -> NDArray[np.float32]:
    """Return how likely a walk from each group reaches each label first."""
    n, n_labels = int(starts[-1]), len(setting.labels)
    sinks = [np.zeros(n, np.float32) for _ in range(n_labels)]
    for start, own in zip(starts, groups, strict=False):
        for k in range(n_labels):
            here = own.sinks.two == k
            sinks[k][start + own.sinks.one[here]] = own.sinks.weight[here]
    if n == 0:
        return np.zeros((n_labels, 0), np.float32)
    within = [Edges(g.edges.one + s, g.edges.two + s, g.edges.weight) for s, g in zip(starts, groups, strict=False)]
    between = [
        Edges(edges.one + starts[a], edges.two + starts[b], edges.weight) for a, b, edges in _links(tiles, groups)
    ]
    edges = Edges(*(np.concatenate(part) for part in zip(*within, *between, strict=True)))
    places, blocks = _blocks(np.concatenate([g.places for g in groups]), tiles[0].whole, n_levels)
    graph = graph_of(edges, np.sum(sinks, axis=0, dtype=np.float32))
    return probabilities(graph, sinks, places, blocks, setting.settings.tolerance)


def _links(tiles: Sequence[Tile], groups: Sequence[Groups]) -> Iterator[tuple[int, int, Edges]]:
    """Yield pairs of neighbouring tiles and the edges between their groups."""
    at = {_first(tile): tile.number for tile in tiles}
    for tile in tiles:
        for axis, part in enumerate(tile.own):
            beside = tuple(f + (part.stop - part.start) * (a == axis) for a, f in enumerate(_first(tile)))
            if (axis, 1) in groups[tile.number].faces:
                other = at[beside]
                one, two = groups[tile.number].faces[axis, 1], groups[other].faces[axis, 0]
                yield tile.number, other, linked(one, two)


def _first(tile: Tile) -> tuple[int, ...]:
    """Return the index in the whole of the first voxel of a tile's own."""
    return tuple(o + part.start for o, part in zip(tile.origin, tile.own, strict=True))


def _blocks(
    places: NDArray[np.int64], shape: Sequence[int], n_levels: int
) -> tuple[NDArray[np.int32], tuple[int, int, int]]:
    """Return the block of the image in which each group begins, and how many blocks there are."""
    at = [a >> n_levels for a in np.unravel_index(places, tuple(shape))]
    blocks = [((n - 1) >> n_levels) + 1 for n in shape]
    z, y, x = [1] * (3 - len(blocks)) + blocks
    return np.ravel_multi_index(tuple(at), tuple(blocks)).astype(np.int32), (z, y, x)


def _known(
    tile: Tile,
    tiles: Sequence[Tile],
    groups: Sequence[Groups],
    starts: NDArray[np.int64],
    found: NDArray[np.float32],
    setting: Setting,
) -> Known:
    near = [tiles[k] for k in _near(tile, tiles)]
    return Known(
        setting,
        near,
        [groups[t.number].packed for t in near],
        [found[:, starts[t.number] : starts[t.number + 1]] for t in near],
    )


def _near(tile: Tile, tiles: Sequence[Tile]) -> list[int]:
    """Return the numbers of the tiles whose own voxels a tile has."""
    edges = [part.stop - part.start for part in tiles[0].own]
    counts = [-(-n // e) for n, e in zip(tile.whole, edges, strict=True)]
    along = [range(o // e, (o + n - 1) // e + 1) for o, n, e in zip(tile.origin, tile.shape, edges, strict=True)]
    return [int(np.ravel_multi_index(at, counts)) for at in itertools.product(*along)]


def _overlap(tile: Tile, other: Tile) -> tuple[Slices, Slices]:
    """Return the slices of a tile that are another's own, and of that one's own."""
    here, there = [], []
    for o, n, first, part in zip(tile.origin, tile.shape, _first(other), other.own, strict=True):
        low, high = max(o, first), min(o + n, first + part.stop - part.start)
        here.append(slice(low - o, high - o))
        there.append(slice(low - first, high - first))
    return tuple(here), tuple(there)


# One tile, voxel by voxel -------------------------------------------------------------------------------


def _refined(tile: Tile, known: Known, *blocks: NDArray[Any] | None, keep: bool) -> NDArray[Any]:
    """Return the labels of a tile's own voxels, or their probabilities."""
    scene = tile_scene(blocks, known.setting.lows)
    chosen, values = _of_groups(tile, known, scene)
    reached = np.isfinite(values[0])
    free = _band(tile, scene, values) & reached & (scene.planted == 0)
    region = box_around(free, margin=1)
    if len(chosen) > 1 and region is not None:
        walk = scene.part(region).walk(known.setting)
        far = walk.solve_free(free[region], values[(slice(None), *region)])
        if not far.error <= walk.settings.tolerance:
            note_reached(far, walk.settings.tolerance)
    own = (slice(None), *tile.own)
    if not keep:
        best = known.setting.labels[chosen][values[own].argmax(axis=0)]
        return np.where(reached[tile.own], best, 0).astype(np.int32)
    found = np.zeros((len(known.setting.labels), *reached[tile.own].shape), np.float32)
    found[chosen] = values[own]
    found[:, ~reached[tile.own]] = np.nan
    return found


def _of_groups(tile: Tile, known: Known, scene: Scene) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return which labels matter in a tile, and the probabilities of each that groups and strokes have."""
    labels = known.setting.labels
    likely = np.isin(labels, scene.planted)
    for found in known.found:
        likely |= np.nanmax(found, axis=1, initial=0.0) > RELEVANT
    chosen = np.flatnonzero(likely)
    chosen = chosen if len(chosen) else np.zeros(1, np.int64)
    values = np.full((len(chosen), *tile.shape), np.nan, np.float32)
    for other, packed, found in zip(known.tiles, known.packed, known.found, strict=True):
        here, there = _overlap(tile, other)
        table = np.concatenate([found[chosen], np.full((len(chosen), 1), np.nan, np.float32)], axis=1)
        values[(slice(None), *here)] = table[:, unpacked(packed, other)[there]]  # the last stands for none
    for k, label in enumerate(labels[chosen]):
        values[k][scene.planted > 0] = (scene.planted == label)[scene.planted > 0]
    return chosen, values


def _band(tile: Tile, scene: Scene, values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the voxels of a tile that are solved again, but for those on its faces within the image."""
    from scipy.ndimage import maximum_filter

    best = values.argmax(axis=0)
    highest = values.max(axis=0)
    second = np.where(best == np.arange(len(values)).reshape(-1, *[1] * best.ndim), -1, values).max(axis=0)
    reached = np.isfinite(highest)
    near = reached & (highest - second < CLEAR)
    near |= scene.planted > 0
    for axis in range(best.ndim):
        here, there = ends(axis)
        differ = (best[here] != best[there]) & reached[here] & reached[there]
        near[here] |= differ
        near[there] |= differ
    wide = maximum_filter(near, 2 * BAND + 1)
    region = tuple(slice(o, o + n) for o, n in zip(tile.origin, tile.shape, strict=True))
    found: NDArray[np.bool_] = wide & scene.inside & not_on_faces(region, tile.whole)
    return found
