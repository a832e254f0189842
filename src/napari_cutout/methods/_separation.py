"""Middles of one object that are too close together: the higher one stays."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, from_numpy, is_host, is_lazy, to_numpy
from .._method import Labels
from .._monitor import stage
from .._plan import PerVoxel, run_plan
from ..processing.filters import edges
from . import _basins, _flood

__all__ = ["apart"]


@dataclass(frozen=True, slots=True, eq=False)
class Tops:
    """The lowest voxel of every minimum, and the object that it lies in.

    Parameters
    ----------
    level : float64 array of shape (n,)
        Its level: minus the distance to the outside.
    place : int64 array of shape (n,)
        Its linear index.
    part : int64 array of shape (n,)
        The connected object.
    """

    level: NDArray[np.float64]
    place: NDArray[np.int64]
    part: NDArray[np.int64]


def apart(
    minima: Labels,
    relief: Array,
    territory: Array,
    min_separation: float,
    connectivity: int,
    spacing: Sequence[float] | None,
) -> Labels:
    """Drop minima that lie closer than a distance to a deeper one of the same connected object.

    Parameters
    ----------
    minima : int32 array
        Numbered from 1.
    relief : float array of the same shape
        The surface whose minima they are.
    territory : integer or bool array of the same shape
        The objects.
    min_separation : float
        Distance between lowest voxels, in edges of the smallest voxel.
    connectivity : int
        How many axes a step inside an object may cross.
    spacing : sequence of float or None
        World length of a voxel along each axis.

    Returns
    -------
    int32 array
        Those that are kept, numbered anew from 1 in the same order.
    """
    if is_lazy(minima):
        from ..blockwise import lazy_apart

        return lazy_apart(minima, relief, territory, min_separation, connectivity, spacing)
    stage("separating middles")
    tops = _tops(minima, relief, _parts(territory, connectivity))
    table = renumbered(tops, relief.shape, min_separation, edges(spacing, relief.ndim))
    return run_plan(PerVoxel(partial(looked_up, table=table), "int32"), minima)


def looked_up(block: Array, table: NDArray[np.int32]) -> Array:
    """Return the entry of a table for every label of a block."""
    xp = array_namespace(block)
    return xp.reshape(xp.take(from_numpy(table, like=block), xp.reshape(block, (-1,))), block.shape)


def renumbered(tops: Tops, shape: Sequence[int], min_separation: float, steps: Sequence[int]) -> NDArray[np.int32]:
    """Return the new number of every minimum, 0 for those that are dropped.

    The deepest comes first, and of equal ones the first in scan order; each drops those near it. Distances are
    compared as squared integers.
    """
    points = np.stack(np.unravel_index(tops.place, tuple(shape)), axis=1) * np.asarray(steps, np.int64)
    limit = (min_separation * 1024) ** 2
    keep = np.ones(len(tops.place), bool)
    order = np.lexsort((tops.place, tops.level, tops.part))
    starts = np.flatnonzero(np.r_[True, np.diff(tops.part[order]) != 0, True])
    for first, last in itertools.pairwise(starts):
        members = order[first:last]
        for i, one in enumerate(members):
            if keep[one]:
                rest = members[i + 1 :]
                near = ((points[rest] - points[one]) ** 2).sum(axis=1) < limit
                keep[rest[near]] = False
    return np.concatenate(([0], np.where(keep, np.cumsum(keep), 0))).astype(np.int32)


def _parts(territory: Array, connectivity: int) -> Labels:
    """Give a number to every connected object: a flat landscape has one minimum in each."""
    xp = array_namespace(territory)
    flat = xp.zeros(territory.shape, dtype=xp.uint32, device=territory.device)
    if is_host(territory):
        return _flood.regional_minima(flat, territory, connectivity)
    return _basins.regional_minima(flat, xp.astype(territory, xp.int32), connectivity)


def _tops(minima: Labels, relief: Array, parts: Array) -> Tops:
    """Find the lowest voxel of every minimum; only the voxels of minima leave the device."""
    xp = array_namespace(minima)
    flat = xp.reshape(minima, (-1,))
    (where,) = xp.nonzero(flat)
    label, place = to_numpy(xp.take(flat, where)), to_numpy(where).astype(np.int64)
    level, part = (to_numpy(xp.take(xp.reshape(a, (-1,)), where)) for a in (relief, parts))
    return first_tops(label, level, place, part)


def first_tops(label: NDArray[Any], level: NDArray[Any], place: NDArray[np.int64], part: NDArray[Any]) -> Tops:
    """Return the lowest voxel of every label, the first in scan order of equal ones."""
    order = np.lexsort((place, level, label))
    first = order[np.flatnonzero(np.r_[True, np.diff(label[order]) != 0])] if len(order) else order
    return Tops(level[first].astype(np.float64), place[first], part[first].astype(np.int64))
