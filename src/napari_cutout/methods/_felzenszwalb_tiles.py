"""Graph-based segmentation in tiles: every tile merges what lies in it, and then the same rule goes across faces.

The order of all edges is one of the whole, which no tile knows; so regions near faces may differ from those of the
whole. What happens is this:

1. every tile merges its own voxels, by the rule and in the order of the whole;
2. the driver merges components of different tiles along the edges across faces, by the same rule and in the same order,
   from their sizes and internal differences;
3. small components are merged as in the whole, in the order of all edges: those that are surely small in their tile,
   and the rest by the driver, which is told the edges between components whose size other tiles decide.

The driver holds 16 bytes for every voxel beside a face and 20 for every edge across one, 24 for every component that
touches a face or is small beside one that does, and 12 for any other; twice that while it sorts.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._array import Array, to_numpy
from .._checks import MAX_LABEL
from .._monitor import note
from .._plan import Exchange, Stitch, Tile
from ._edges import KEY, ONE, OUTSIDE, TWO, steps_between
from ._felzenszwalb import MAX_VOXELS, Components, Rule, begun, edges_in_order, lattice_of, merge_all, nothing_inside
from ._merging import LIMIT, LINK
from ._merging_tiles import NOBODY, firsts_of, merge_across, merge_small_across, merge_sure, numbered_in, rise

__all__ = ["TILE_VOXELS", "felzenszwalb_plan"]

TILE_VOXELS = 1 << 23
"""Voxels of the largest tile. Tiles come from the shape of the image, and the fewer there are the nearer the whole."""

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]


class Settings(NamedTuple):
    """What a segmentation is asked for.

    Parameters
    ----------
    min_size : int
        Voxels below which a region joins a neighbour.
    connectivity : int
        How many axes a step may cross.
    spacing : tuple of float or None
        World length of a voxel along each axis.
    """

    min_size: int
    connectivity: int
    spacing: tuple[float, ...] | None


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What a tile knows of the whole.

    Parameters
    ----------
    scale : float
        The larger, the larger regions become.
    table : int32 array, optional
        The region in the whole of each of its components, which are numbers from 1, and 0; it is there once tiles have
        told theirs.
    """

    scale: float
    table: Ints | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """What the driver has found.

    Parameters
    ----------
    scale : float
        The larger, the larger regions become.
    tables : list of int32 array
        By tile, what it must know of its components.
    """

    scale: float
    tables: list[Ints]


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What a tile tells the driver.

    Parameters
    ----------
    firsts : int64 array of shape (n,)
        Linear index in the whole of the first voxel of each of its components, rising.
    speakers : int32 array of shape (m,)
        The components that other tiles may change, from 0.
    sizes : int64 array of shape (m,)
        Their voxels, before small ones were merged.
    limits : int32 array of shape (m,)
        The bits of the largest weight along which each may be merged, before small ones were.
    ends : int32 array of shape (k, 2)
        Speakers, from 0, at the ends of edges along which small ones may be merged, in order.
    keys : int32 array of shape (k,)
        The bits of what these edges weigh.
    shell : int64 array of shape (s,)
        Linear indices in the whole of its own voxels that others have as well, rising.
    of_shell : int32 array of shape (s,)
        The speaker of each.
    across : int64 array of shape (t, 2)
        Linear indices of the voxels at the ends of edges to voxels of other tiles that come later, its own first.
    across_keys : int32 array of shape (t,)
        The bits of what these edges weigh.
    """

    firsts: Longs
    speakers: Ints
    sizes: Longs
    limits: Ints
    ends: Ints
    keys: Ints
    shell: Longs
    of_shell: Ints
    across: Longs
    across_keys: Ints


def felzenszwalb_plan(
    whole: Callable[..., Array],
    scale: Any,
    min_size: int,
    connectivity: int,
    spacing: tuple[float, ...] | None,
    *,
    tile_voxels: int = TILE_VOXELS,
) -> Stitch:
    """Return the plan of a graph-based segmentation; its arrays are channels, NaN outside.

    Parameters
    ----------
    whole : callable
        ``whole(*channels) -> labels`` for arrays in memory.
    scale : float or delayed float
        The larger, the larger regions become.
    min_size : int
        Voxels below which a region joins a neighbour.
    connectivity : int
        How many axes a step may cross.
    spacing : tuple of float or None
        World length of a voxel along each axis.
    tile_voxels : int
        Most voxels of a tile.

    Returns
    -------
    Stitch
        An image that is not larger than a tile is done whole, in chunks or not.
    """
    settings = Settings(min_size, connectivity, spacing)
    return Stitch(
        whole,
        scale,
        (Exchange(partial(_told, settings), partial(_joined, settings), "merging regions in tiles"),),
        _known,
        partial(_labelled, settings),
        "int32",
        _fits,
        tile_voxels,
    )


def _fits(shape: tuple[int, ...]) -> bool:
    return math.prod(shape) <= MAX_VOXELS


def _known(state: Any, tile: Tile) -> Known:
    if isinstance(state, Joined):
        return Known(state.scale, state.tables[tile.number])
    return Known(float(state))


# In a tile -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """The components of a tile.

    Parameters
    ----------
    labels : int32 array of shape (voxels,)
        Of each own voxel the number of its component, from 1 by first voxel; 0 outside.
    speakers : int32 array of shape (m,)
        The components that other tiles may change, from 0.
    sizes, limits, ends, keys : array
        As in `Told`.
    """

    labels: Ints
    speakers: Ints
    sizes: Longs
    limits: Ints
    ends: Ints
    keys: Ints


def _told(settings: Settings, tile: Tile, known: Known, *blocks: Array) -> Told:
    """Merge in a tile, and return what others must know."""
    channels = [to_numpy(block) for block in blocks]
    merged = _merged(settings, tile, known.scale, channels)
    firsts = np.empty(int(merged.labels.max(initial=0)), np.int64)
    firsts_of(merged.labels, firsts)
    number = np.full(len(firsts) + 1, NOBODY, np.int32)
    number[merged.speakers + 1] = np.arange(len(merged.speakers))
    own = np.flatnonzero(tile.owned())
    beside = np.flatnonzero(tile.shared().reshape(-1)[own] & (merged.labels > 0))
    across, keys = _across(settings, tile, own[beside], channels)
    return Told(
        tile.index(own[firsts]),
        merged.speakers,
        merged.sizes,
        merged.limits,
        merged.ends,
        merged.keys,
        tile.index(own[beside]),
        number[merged.labels[beside]],
        across,
        keys,
    )


def _labelled(settings: Settings, tile: Tile, known: Known, *blocks: Array) -> Ints:
    """Return the regions of a tile."""
    merged = _merged(settings, tile, known.scale, [to_numpy(block) for block in blocks])
    table: Ints = known.table  # type: ignore[assignment]  # tiles have told
    return table[merged.labels].reshape([part.stop - part.start for part in tile.own])


def _merged(settings: Settings, tile: Tile, scale: float, channels: Sequence[NDArray[Any]]) -> Merged:
    """Merge what lies in a tile, as far as other tiles cannot change it."""
    inside = [channel[tile.own] for channel in channels]
    if np.isnan(inside[0]).all():
        return _nothing(inside[0].size)
    components = begun(lattice_of(inside, settings.connectivity, settings.spacing), scale)
    merge_all(components, Rule(scale))
    flat = components.labels
    touching = flat[tile.shared()[tile.own].reshape(-1) & (flat != OUTSIDE)]
    speaking = Speaking.of(np.unique(np.maximum(touching, ~touching)), components, settings.min_size)
    told = [np.zeros((0, 3), np.int32)]
    if settings.min_size > 1:
        told += speaking.small_merged(components, Rule(scale, settings.min_size))
    numbers = np.empty(flat.size, np.int32)
    numbered_in(flat, components.forest, numbers)
    edges = _first_of_each_pair(np.concatenate(told))
    n = speaking.n
    return Merged(
        flat,
        numbers[speaking.roots[:n]] - 1,
        speaking.sizes[:n].copy(),
        speaking.limits[:n].copy(),
        edges[:, (ONE, TWO)],
        edges[:, KEY].copy(),
    )


def _nothing(n: int) -> Merged:
    """Return the components of a tile of so many voxels that has none."""
    none = np.zeros(0, np.int32)
    return Merged(np.zeros(n, np.int32), none, np.zeros(0, np.int64), none, np.zeros((0, 2), np.int32), none)


@dataclass(slots=True, eq=False)
class Speaking:
    """The components of a tile that other tiles may change.

    Parameters
    ----------
    speaker, roots, sizes, limits, large : array
        As in `merge_sure`.
    n : int
        How many there are.
    """

    speaker: Ints
    roots: Ints
    sizes: Longs
    limits: Ints
    large: NDArray[np.bool_]
    n: int

    @classmethod
    def of(cls, roots: Ints, components: Components, min_size: int) -> Speaking:
        """Return those with these roots, before small ones are merged."""
        sizes = -components.forest[:, LINK]
        most = int(np.count_nonzero(sizes > 0))
        found = cls(
            np.full(len(sizes), NOBODY, np.int32),
            np.zeros(most, np.int32),
            np.zeros(most, np.int64),
            np.zeros(most, np.int32),
            np.zeros(most, bool),
            len(roots),
        )
        found.speaker[roots] = np.arange(len(roots))
        found.roots[: len(roots)] = roots
        found.sizes[: len(roots)] = sizes[roots]
        found.limits[: len(roots)] = components.forest[roots, LIMIT]
        found.large[: len(roots)] = sizes[roots] >= min_size
        return found

    def small_merged(self, components: Components, rule: Rule) -> Iterator[Ints]:
        """Merge small components where that is sure, and yield the other edges in order, between these."""
        for edges in edges_in_order(components, rule):
            n_told, self.n = merge_sure(
                edges, components.forest, rule.min_size, self.speaker, self.roots, self.sizes, self.large, self.n
            )
            yield edges[:n_told].copy()


def _first_of_each_pair(edges: Ints) -> Ints:
    """Return edges between speakers, without those to the same two as one before."""
    low, high = np.minimum(edges[:, ONE], edges[:, TWO]), np.maximum(edges[:, ONE], edges[:, TWO])
    _, at = np.unique((low.astype(np.int64) << 32) | high, return_index=True)
    first: Ints = edges[np.sort(at)]
    return first


def _across(settings: Settings, tile: Tile, beside: Longs, channels: Sequence[NDArray[Any]]) -> tuple[Longs, Ints]:
    """Return the edges from own voxels, flat indices in the tile, to later ones of other tiles, and their weights."""
    steps, lengths = steps_between(len(tile.shape), settings.connectivity, settings.spacing)
    place = np.stack(np.unravel_index(beside, tile.shape))
    flat = [channel.reshape(-1) for channel in channels]
    found, keys = [np.zeros((0, 2), np.int64)], [np.zeros(0, np.int32)]
    for step, length in zip(steps[:, 3 - len(tile.shape) :], lengths, strict=True):
        there = place + step[:, None]
        chosen = _is_foreign(tile, there)
        one, two = beside[chosen], np.ravel_multi_index(tuple(there[:, chosen]), tile.shape)
        weights = _weights(flat, one, two, length)
        edge = ~np.isnan(weights)
        found.append(np.stack([tile.index(one[edge]), tile.index(two[edge])], axis=1))
        keys.append(weights[edge].view(np.int32))
    return np.concatenate(found), np.concatenate(keys)


def _is_foreign(tile: Tile, places: Longs) -> NDArray[np.bool_]:
    """Tell which places are voxels of other tiles."""
    within, own = np.ones(places.shape[1], bool), np.ones(places.shape[1], bool)
    for at, part, n in zip(places, tile.own, tile.shape, strict=True):
        within &= (at >= 0) & (at < n)
        own &= (at >= part.start) & (at < part.stop)
    return within & ~own


def _weights(channels: Sequence[NDArray[Any]], one: Longs, two: Longs, length: float) -> NDArray[np.float32]:
    """Return the weights of edges, by the operations of ``_edges.weigh``; NaN where there is none."""
    differences = [channel[two].astype(np.float64) - channel[one].astype(np.float64) for channel in channels]
    if len(differences) == 1:
        return (np.abs(differences[0]) / length).astype(np.float32)
    squares = np.zeros(len(one))
    for difference in differences:
        squares += difference * difference
    return (np.sqrt(squares) / length).astype(np.float32)


# Across tiles --------------------------------------------------------------------------------------------


def _joined(settings: Settings, known: Any, told: dict[int, Told]) -> Joined:
    """Merge the components of all tiles, and number them."""
    scale, parts = float(known), list(told.values())
    if not any(len(part.firsts) for part in parts):
        raise nothing_inside()
    starts = np.cumsum([0, *(len(part.speakers) for part in parts)])
    sizes = np.concatenate([part.sizes for part in parts])
    limits = np.concatenate([part.limits for part in parts])
    parent = np.arange(len(sizes))
    ends, keys = _edges_across(parts, starts)
    merge_across(ends, keys, parent, sizes, limits, scale)
    if settings.min_size > 1:
        merge_small_across(_edges_in_order(parts, starts, ends, keys), parent, sizes, settings.min_size)
    rise(parent)
    note(scale=scale)
    note(
        tiled=f"regions grew together in {len(parts)} tiles first and then across their faces: near these they may "
        "differ from those of the whole"
    )
    return Joined(scale, _numbered(parts, starts, parent))


def _edges_across(parts: Sequence[Told], starts: Longs) -> tuple[Longs, Ints]:
    """Return the edges across faces between speakers, from 0 over all tiles, in order."""
    shell = np.concatenate([part.shell for part in parts])
    of_shell = np.concatenate([part.of_shell + start for part, start in zip(parts, starts, strict=False)])
    order = np.argsort(shell)
    shell, of_shell = shell[order], of_shell[order]
    across = np.concatenate([part.across for part in parts])
    keys = np.concatenate([part.across_keys for part in parts])
    order = np.lexsort((across[:, 1], across[:, 0], keys))
    return of_shell[np.searchsorted(shell, across[order])].astype(np.int64), keys[order]


def _edges_in_order(parts: Sequence[Told], starts: Longs, ends: Longs, keys: Ints) -> Longs:
    """Return all edges along which small components may be merged, in order; of equal ones those in tiles first."""
    inner = [part.ends.astype(np.int64) + start for part, start in zip(parts, starts, strict=False)]
    every_key = np.concatenate([*(part.keys for part in parts), keys])
    return np.concatenate([*inner, ends])[np.argsort(every_key, kind="stable")]


def _numbered(parts: Sequence[Told], starts: Longs, parent: Longs) -> list[Ints]:
    """Return the region of each component, by tile: numbers from 1 by first voxel."""
    speakers = [parent[a:b] for a, b in itertools.pairwise(starts)]
    begin = np.full(len(parent), np.iinfo(np.int64).max)
    for part, roots in zip(parts, speakers, strict=True):
        np.minimum.at(begin, roots, part.firsts[part.speakers])
    firsts = [part.firsts.copy() for part in parts]
    for part, roots, first in zip(parts, speakers, firsts, strict=True):
        first[part.speakers] = begin[roots]
    regions = np.unique(np.concatenate(firsts))
    if len(regions) > MAX_LABEL:
        raise ValueError(
            f"there are {len(regions)} regions, and labels go to {MAX_LABEL}; raise scale or min_size, or take a part"
        )
    note(n_regions=len(regions))
    return [np.append(0, np.searchsorted(regions, first) + 1).astype(np.int32) for first in firsts]
