"""Minima of one object that are too close together: the deeper one stays."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, from_numpy, is_lazy, to_numpy
from .._method import Labels
from .._monitor import tick
from .._plan import Pass, Reduce, run_plan
from .._statistics import alone
from ..processing.distance import squared_dtype, weights_of
from ._markers import Told

__all__ = ["apart"]


def apart(
    minima: Labels,
    relief: Array,
    parts: Labels,
    min_separation: float,
    spacing: Sequence[float] | None,
    told: Told = None,
) -> Labels:
    """Drop minima that lie closer than a distance to a deeper one of the same connected object.

    Parameters
    ----------
    minima : int32 array
        Numbered from 1.
    relief : float array of the same shape
        The surface whose minima they are.
    parts : int32 array of the same shape
        The connected objects.
    min_separation : float
        Distance between lowest voxels, in edges of the smallest voxel.
    spacing : sequence of float or None
        World length of a voxel along each axis.
    told : callable, optional
        What is done with the number of minima that are kept.

    Returns
    -------
    int32 array
        Those that are kept, numbered anew from 1 in the same order.
    """
    weights = weights_of(spacing, relief.ndim)
    decide = partial(_renumbered, min_separation=min_separation, shape=relief.shape, weights=weights, told=told)
    plan = Reduce(None, (_TOPS,), decide, _looked_up, "int32")
    with alone():
        return run_plan(plan, minima, relief, parts, _places(minima))


@dataclass(frozen=True, slots=True, eq=False)
class Tops:
    """The lowest voxel of each minimum.

    Parameters
    ----------
    label : int64 array of shape (n,)
        The minimum, rising.
    level : float64 array of shape (n,)
        Its lowest level.
    place : int64 array of shape (n,)
        The linear index of the first voxel that has it.
    part : int64 array of shape (n,)
        The connected object.
    """

    label: NDArray[np.int64]
    level: NDArray[np.float64]
    place: NDArray[np.int64]
    part: NDArray[np.int64]


def _places(like: Labels) -> Array:
    """Return the linear index of every voxel."""
    xp, n = array_namespace(like), int(np.prod(like.shape))
    if is_lazy(like):
        return xp.arange(n, dtype=xp.int64).reshape(like.shape).rechunk(like.chunks)
    return xp.reshape(xp.arange(n, dtype=xp.int64, device=like.device), like.shape)


def _tops(_: None, minima: Array, relief: Array, parts: Array, places: Array) -> Tops:
    """Find the lowest voxels of a block; only the voxels of minima leave the device."""
    chosen = minima != 0
    label, level, place, part = (to_numpy(a[chosen]) for a in (minima, relief, places, parts))
    return _lowest(label.astype(np.int64), level.astype(np.float64), place, part.astype(np.int64))


def _lowest(label: NDArray[Any], level: NDArray[Any], place: NDArray[Any], part: NDArray[Any]) -> Tops:
    order = np.lexsort((place, level, label))
    first = order[np.r_[True, np.diff(label[order]) != 0]] if len(order) else order
    return Tops(label[first], level[first], place[first], part[first])


def _lower_of(a: Tops, b: Tops) -> Tops:
    return _lowest(
        *(np.concatenate([getattr(a, name), getattr(b, name)]) for name in ("label", "level", "place", "part"))
    )


_TOPS = Pass(_tops, _lower_of, lambda _, tops: tops, lambda _: True, "separating middles")


def _renumbered(
    tops: Tops, shape: Sequence[int], min_separation: float, weights: tuple[int, ...], told: Told
) -> NDArray[np.int32]:
    """Return the new number of every minimum, 0 for those that are dropped.

    In each object the deepest comes first, and of equal ones the first in scan order; each drops those near it.
    Distances are compared as squared integers.
    """
    squared_dtype(tuple(shape), weights)  # raises where int64 does not hold them
    points = np.stack(np.unravel_index(tops.place, tuple(shape)), axis=1) * np.asarray(weights, np.int64)
    keep = np.ones(len(tops.label), bool)
    order = np.lexsort((tops.place, tops.level, tops.part))
    starts = np.flatnonzero(np.r_[True, np.diff(tops.part[order]) != 0, True])
    for first, last in itertools.pairwise(starts):
        tick(int(first), len(order))
        members = order[first:last]
        keep[members] = _kept(points[members], min_separation * min(weights))
    if told is not None:
        told(int(keep.sum()))
    table = np.zeros(int(tops.label.max(initial=0)) + 1, np.int32)
    table[tops.label] = np.where(keep, np.cumsum(keep), 0)
    return table


def _kept(points: NDArray[np.int64], reach: float) -> NDArray[np.bool_]:
    """Tell which points stay if each that stays drops the later ones nearer than `reach`."""
    from scipy.spatial import cKDTree

    keep = np.ones(len(points), bool)
    tree = cKDTree(points.astype(np.float64))
    for i, point in enumerate(points):
        if keep[i]:
            found = np.asarray(tree.query_ball_point(point, reach * 1.001), np.int64)  # a few more, of which to choose
            later = found[found > i]
            keep[later[((points[later] - point) ** 2).sum(axis=1) < reach**2]] = False
    return keep


def _looked_up(table: NDArray[np.int32], minima: Array, *_: Array) -> Array:
    xp = array_namespace(minima)
    return xp.reshape(xp.take(from_numpy(table, like=minima), xp.reshape(minima, (-1,))), minima.shape)
