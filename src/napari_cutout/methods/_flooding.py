"""What a watershed is made of, for arrays of every library: markers that are checked, minima, and the flood itself.

Each step runs whole on arrays in memory, on the host (`_flood`) or on a device (`_basins`), and in tiles on dask
arrays (`blockwise`); the labels are the same.
"""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, dtype_name, is_host, is_lazy, to_numpy
from .._method import Image, Labels, Markers, Mask
from .._monitor import note, stage
from .._plan import Pass, PerVoxel, gathered, reduce_passes, run_plan
from . import _basins, _flood
from ._grey_levels import Bins, counting, quantile_bins
from ._keys import OUTSIDE, keys_of, raised_keys
from ._markers import Missing, Told, check_marker_values, no_markers
from ._tile_minima import minima_plan
from ._tiles import flood_plan, levels_plan

__all__ = ["connected_parts", "deep_minima", "flooded", "usual_depth"]

DEFAULT_SHARE = 0.1
"""How deep a minimum must be if nothing else is said, as a share of the range of grey levels."""


def flooded(
    surface: Image,
    markers: Markers,
    territory: Array | None,
    connectivity: int,
    *,
    missing: Missing = no_markers,
) -> Labels:
    """Flood a surface from markers.

    Parameters
    ----------
    surface : array of shape ([Z,] Y, X)
        Any real dtype; NaN is outside.
    markers : integer or bool array of the same shape
        Labels, 0 is not marked.
    territory : integer or bool array of the same shape, or None
        0 is outside; a step leads to a voxel of the same territory only.
    connectivity : int
        How many axes a step may cross.
    missing : callable or None
        The error if no marker lies inside; None if the labels are 0 then.

    Returns
    -------
    int32 array
        Labels as `watershed` defines them.

    Raises
    ------
    ValueError
        If a marker is negative or above 2147483647, or none lies inside.
    """
    whole = partial(_flooded_whole, connectivity=connectivity, missing=missing)
    return run_plan(
        flood_plan(whole, connectivity, missing, _dtypes(surface, markers, territory)), surface, markers, territory
    )


def _dtypes(*arrays: Array | None) -> list[str | None]:
    return [None if array is None else dtype_name(array) for array in arrays]


def _flooded_whole(
    surface: Image, markers: Markers, territory: Array | None, *, connectivity: int, missing: Missing
) -> Labels:
    check_marker_values(_extent(markers))
    stage("ordering grey levels")
    key = keys_of(surface)
    planted = _planted(markers, key, territory, missing)
    if (n := _count(planted)) == 0:
        return planted
    note(n_markers=n)
    return _floods(key).flood(key, planted, _territory(territory, key), connectivity)


def deep_minima(surface: Image, territory: Array | None, depth: float, connectivity: int, told: Told = None) -> Labels:
    """Give a number to every minimum of a surface that is deeper than `depth`.

    Parameters
    ----------
    surface : array of shape ([Z,] Y, X)
        Any real dtype; NaN is outside.
    territory : integer or bool array of the same shape, or None
        0 is outside; a step leads to a voxel of the same territory only.
    depth : float
        How high, above its lowest voxel, the way out of a minimum to a lower one must lead.
    connectivity : int
        How many axes a step may cross.
    told : callable, optional
        What is done with the number of minima.

    Returns
    -------
    int32 array
        From 1 by first voxel in scan order: all voxels of a minimum that lie up to `depth` above its lowest one.
    """
    whole = partial(_filled_whole, depth=depth, connectivity=connectivity)
    filled = run_plan(levels_plan(whole, depth, connectivity, _dtypes(surface, territory)), surface, territory)
    return regional_minima(filled, territory, connectivity, told)


def _filled_whole(surface: Image, territory: Array | None, *, depth: float, connectivity: int) -> Array:
    stage("looking for minima")
    key, start = raised_keys(surface, depth)
    return _floods(key).levels(key, start, _territory(territory, key), connectivity)


def regional_minima(level: Array, territory: Array | None, connectivity: int, told: Told = None) -> Labels:
    """Give a number to every zone of equal level that has no lower neighbour.

    Parameters
    ----------
    level : uint32 array of shape ([Z,] Y, X), or uint64 if it is a dask array
        Levels; the largest number of the dtype is outside.
    territory : integer or bool array of the same shape, or None
        0 is outside; a step leads to a voxel of the same territory only.
    connectivity : int
        How many axes a step may cross.
    told : callable, optional
        What is done with the number of minima.

    Returns
    -------
    int32 array
        From 1 by first voxel in scan order, 0 elsewhere.
    """
    whole = partial(_minima_whole, connectivity=connectivity, told=told)
    return run_plan(minima_plan(whole, connectivity, told, _dtypes(level, territory)), level, territory)


def _minima_whole(level: Array, territory: Array | None, *, connectivity: int, told: Told) -> Labels:
    minima: Labels = _floods(level).regional_minima(level, _territory(territory, level), connectivity)
    if told is not None:
        told(int(array_namespace(minima).max(minima)))
    return minima


def connected_parts(territory: Array, connectivity: int) -> Labels:
    """Give a number to every connected part of each territory: a flat landscape has one minimum in each."""
    xp = array_namespace(territory)
    if is_lazy(territory):
        level = run_plan(PerVoxel(_flat, "uint32"), territory)
    else:
        level = xp.zeros(territory.shape, dtype=xp.uint32, device=territory.device)
    return regional_minima(level, territory, connectivity)


def _flat(block: Array) -> Array:
    xp = array_namespace(block)
    return xp.zeros_like(block, dtype=xp.uint32)


def usual_depth(surface: Image, mask: Mask | None) -> Any:
    """Return a tenth of the range of grey levels, without the 0.01 % of voxels at either end.

    Of dask arrays it is a delayed number.
    """
    start, passes = counting(surface)
    if is_lazy(surface):
        from ..blockwise import decided

        return decided(_share_of_range, start, passes, surface, mask)
    return _share_of_range(gathered(start, passes, surface, mask))


def _share_of_range(bins: Bins) -> float:
    histogram = bins.histogram()
    first, last = quantile_bins(histogram.counts)
    depth = DEFAULT_SHARE * float(histogram.values[last] - histogram.values[first])
    note(depth=depth)
    return depth


def _floods(like: Array) -> ModuleType:
    return _flood if is_host(like) else _basins


def _territory(territory: Array | None, key: Array) -> Array | None:
    """Return the territory as the floods take it: kernels know int32 only."""
    if territory is None or is_host(key):
        return territory
    xp = array_namespace(key)
    return xp.astype(territory, xp.int32)


def _extent(markers: Markers) -> tuple[int, int]:
    xp = array_namespace(markers)
    if dtype_name(markers) == "bool":
        return 0, 1
    return int(xp.min(markers)), int(xp.max(markers))


def _planted(markers: Markers, key: Array, territory: Array | None, missing: Missing) -> Array:
    """Return the markers that lie inside, as int32, or raise if there is none."""
    xp = array_namespace(markers)
    inside = painted = markers != 0
    if dtype_name(key) == "uint32":  # narrower keys have no room for OUTSIDE
        inside = inside & (key != xp.asarray(OUTSIDE, dtype=key.dtype, device=key.device))
    if territory is not None:
        inside = inside & (territory != 0)
    if missing is not None and not bool(xp.any(inside)):
        raise missing(bool(xp.any(painted)))
    return xp.where(inside, xp.astype(markers, xp.int32), xp.zeros(markers.shape, dtype=xp.int32, device=key.device))


def _count(planted: Array) -> int:
    """Return how many labels the markers have."""
    return len(reduce_passes(np.zeros(0, np.int32), (_LABELS,), planted))


def _labels_of(_: Any, block: Array) -> NDArray[np.int32]:
    xp = array_namespace(block)
    return np.sort(to_numpy(xp.unique_values(block[block != 0])))


_LABELS = Pass(_labels_of, np.union1d, lambda _, found: found, lambda _: True, "counting markers")
