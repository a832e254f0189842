"""Floods of an image on a device: the launch code of the watershed kernels, one function for each file.

The twins that flood on the host, voxel by voxel, stand in `_flood`; they find the same labels. Definitions, proofs and
papers stand at the top of the kernels: ``basins.cu``, ``passes.cu``, ``zones.cu``, ``minima.cu``, ``pointers.cu``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import array_api_compat as compat
import numpy as np

from .._array import Array, array_namespace, contiguous, empty, to_numpy
from .._monitor import stage, tick
from ..kernels import Index, Module, index_of, launch, load
from ._keys import OUTSIDE

__all__ = ["flood", "levels", "regional_minima"]

UNREACHED = OUTSIDE
"""The level of voxels that no source reaches, and the key of what is outside."""


def flood(key: Array, markers: Array, territory: Array | None, connectivity: int) -> Array:
    """Flood an image from markers.

    Parameters
    ----------
    key : uint32 array, 2-D or 3-D
        The order of the grey levels; 4294967295 is outside.
    markers : int32 array of the same shape
        Labels, and 0 where there is none.
    territory : int32 array of the same shape, or None
        0 is outside; a step leads to a voxel of the same territory only.
    connectivity : int
        How many axes a step may cross, 1 to 3.

    Returns
    -------
    int32 array
        Labels as `watershed` defines them.

    Notes
    -----
    Exact. Memory: 24 bytes a voxel beyond the input, 28 above 2^31 voxels.
    """
    xp = array_namespace(key, markers, territory)
    key, markers, volume = contiguous(key), contiguous(markers), _volume(key, territory, connectivity)
    start = xp.where(markers != 0, key, xp.full_like(key, UNREACHED))
    level = _levels(key, start, volume)
    del start
    stage("labelling")
    return _zones(level, markers, volume)


def levels(key: Array, start: Array, territory: Array | None, connectivity: int) -> Array:
    """Return the level at which water that enters at `start` reaches every voxel.

    Parameters
    ----------
    key : uint32 array, 2-D or 3-D
        The order of the grey levels; 4294967295 is outside.
    start : uint32 array of the same shape
        The level at which water enters, at least the key; 4294967295 where it does not.
    territory : int32 array of the same shape, or None
        0 is outside; a step leads to a voxel of the same territory only.
    connectivity : int
        How many axes a step may cross, 1 to 3.

    Returns
    -------
    uint32 array
        The lowest possible highest level on a path from any source; 4294967295 where there is none.

    Notes
    -----
    Exact. Memory: 20 bytes a voxel beyond the input, 24 above 2^31 voxels.
    """
    array_namespace(key, start, territory)
    key = contiguous(key)
    return _levels(key, contiguous(start), _volume(key, territory, connectivity))


def regional_minima(level: Array, territory: Array | None, connectivity: int) -> Array:
    """Give every flat zone that has no lower neighbour its own number.

    Parameters
    ----------
    level : uint32 array, 2-D or 3-D
        Levels or keys; 4294967295 is outside.
    territory : int32 array of the same shape, or None
        0 is outside; a step leads to a voxel of the same territory only.
    connectivity : int
        How many axes a step may cross, 1 to 3.

    Returns
    -------
    int32 array
        From 1, by their first voxel in scan order; 0 elsewhere.

    Notes
    -----
    Exact. Memory: 20 bytes a voxel beyond the input, 36 above 2^31 voxels.
    """
    array_namespace(level, territory)
    level = contiguous(level)
    volume = _volume(level, territory, connectivity)
    return _minima(*_plateaus(level, volume), volume)


@dataclass(frozen=True, slots=True)
class _Volume:
    """What every kernel is told of the grid."""

    like: Array
    index: Index
    territory: Array | None
    sides: tuple[int, int, int]
    connectivity: int

    @property
    def size(self) -> int:
        """Number of voxels."""
        return math.prod(self.sides)

    @property
    def n(self) -> Any:
        """Number of voxels, for a kernel."""
        return self.index.scalar(self.size)

    @property
    def steps(self) -> tuple[Any, ...]:
        """What a kernel needs to find the neighbours of a voxel, by place only."""
        return (*map(self.index.scalar, self.sides), np.int32(self.connectivity))

    @property
    def module(self) -> dict[str, str]:
        """What a module is compiled with."""
        return {"INDEX": self.index.define}

    def array(self, dtype: str) -> Array:
        """Return an uninitialised array with one item a voxel."""
        return empty(self.like.shape, dtype, like=self.like)

    def counter(self, dtype: str) -> Array:
        """Return one zero."""
        xp = array_namespace(self.like)
        return xp.zeros((1,), dtype=getattr(xp, dtype), device=compat.device(self.like))


def _volume(like: Array, territory: Array | None, connectivity: int) -> _Volume:
    sides = (1,) * (3 - like.ndim) + tuple(like.shape)
    inside = None if territory is None else contiguous(territory)
    return _Volume(like, index_of(math.prod(sides)), inside, sides, connectivity)


def _levels(key: Array, start: Array, volume: _Volume) -> Array:
    stage("finding basins")
    basin = _basins(key, volume)
    stage("flooding")
    return _passes(key, start, basin, volume)


def _plateaus(key: Array, volume: _Volume) -> tuple[Array, Array]:
    """Return the first voxel of every voxel's plateau, -1 outside, and there its exit, or the number of voxels."""
    module = load("basins", key, **volume.module)
    parent, way_out = volume.array(volume.index.dtype), volume.array(volume.index.dtype)
    near = (volume.n, volume.territory, *volume.steps)
    launch(module, "plateau_start", volume.size, parent, way_out, key, volume.n, volume.territory)
    launch(module, "plateau_join", volume.size, parent, key, *near)
    launch(module, "plateau_flatten", volume.size, parent, volume.n)
    launch(module, "plateau_leave", volume.size, way_out, parent, key, *near)
    return parent, way_out


def _basins(key: Array, volume: _Volume) -> Array:
    """Return for every voxel the first voxel of the minimum that it drains to, -1 outside."""
    pointer, way_out = _plateaus(key, volume)
    launch(load("basins", key, **volume.module), "basin_point", volume.size, pointer, way_out, volume.n)
    del way_out
    _jump(pointer, volume)
    return pointer


def _jump(pointer: Array, volume: _Volume) -> None:
    """Point every voxel straight at the root that it leads to."""
    module = load("pointers", pointer, **volume.module)
    for _ in _rounds(volume):
        unfinished = volume.counter("int32")
        launch(module, "pointer_jump", volume.size, pointer, unfinished, volume.n)
        if _count(unfinished) == 0:
            return


def _rounds(volume: _Volume) -> Iterator[int]:
    """Count rounds that each halve at least what is left, such as a chain or the number of components."""
    yield from range(volume.size.bit_length() + 2)
    raise RuntimeError(
        f"a flood of {volume.size} voxels goes round in a circle; this is a bug of its kernels or of the GPU's driver, "
        "please report it, and flood in host memory meanwhile"
    )


def _passes(key: Array, start: Array, component: Array, volume: _Volume) -> Array:
    """Return the level of every voxel; `component`, which begins as its basin, is used up."""
    module = load("passes", key, **volume.module)
    level = array_namespace(key).asarray(key, copy=True)
    weight, crossed = volume.array("uint32"), volume.array("int64")
    for done in _rounds(volume):
        tick(done, volume.size.bit_length() + 2)
        if not _round(module, level, weight, crossed, component, (key, start), volume):
            break
        _jump(component, volume)
    launch(module, "level_settle", volume.size, level, component, volume.n)
    return level


def _round(
    module: Module, level: Array, weight: Array, crossed: Array, component: Array, ground: tuple[Array, Array],
    volume: _Volume,
) -> bool:  # fmt: skip
    """Hang every component on the neighbour across its lowest pass; tell whether there was any."""
    picked, near = volume.counter("int32"), (volume.n, volume.territory, *volume.steps)
    launch(module, "pass_clear", volume.size, weight, crossed, volume.n)
    launch(module, "pass_weigh", volume.size, weight, component, *ground, *near)
    launch(module, "pass_pick", volume.size, crossed, weight, component, *ground, *near)
    launch(module, "level_raise", volume.size, level, weight, component, volume.n)
    launch(module, "pass_cross", volume.size, crossed, component, volume.n, *volume.steps)
    launch(module, "pass_link", volume.size, component, picked, crossed, volume.n)
    return _count(picked) > 0


def _zones(level: Array, markers: Array, volume: _Volume) -> Array:
    """Return the labels of a flood whose levels are known."""
    module, near = load("zones", level, **volume.module), (volume.n, volume.territory, *volume.steps)
    distance = volume.array("uint32")
    launch(module, "zone_enter", volume.size, distance, level, markers, *near)
    _spread(module, distance, level, volume)
    pointer = volume.array(volume.index.dtype)
    launch(module, "zone_point", volume.size, pointer, level, distance, markers, *near)
    del distance
    _jump(pointer, volume)
    labels = volume.array("int32")
    launch(module, "zone_label", volume.size, labels, pointer, markers, volume.n)
    return labels


def _spread(module: Module, distance: Array, level: Array, volume: _Volume) -> None:
    """Give every voxel its distance from the entries of its zone, which are at 0."""
    queue, queued = volume.array(volume.index.dtype), volume.counter("uint64")
    near = (volume.territory, *volume.steps)
    launch(module, "zone_start", volume.size, queue, queued, distance, level, volume.n, *near)
    first, end = 0, _count(queued)
    while first < end:
        tick(end, volume.size)
        front = (volume.index.scalar(first), volume.index.scalar(end - first))
        launch(module, "zone_step", end - first, queue, queued, distance, level, *front, *near)
        first, end = end, _count(queued)


def _minima(parent: Array, way_out: Array, volume: _Volume) -> Array:
    """Return the plateaus without an exit, numbered by their first voxel."""
    xp, module = array_namespace(parent), load("minima", parent, **volume.module)
    is_first = volume.array(volume.index.dtype)
    launch(module, "minimum_mark", volume.size, is_first, parent, way_out, volume.n)
    rank = xp.cumulative_sum(xp.reshape(is_first, (-1,)), dtype=is_first.dtype)
    labels = volume.array("int32")
    launch(module, "minimum_number", volume.size, labels, rank, parent, way_out, volume.n)
    return labels


def _count(counter: Array) -> int:
    return int(to_numpy(counter)[0])
