"""How labels are stored: their grid, their pyramid, their chunks, and what the store says of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .._volume import AXES, SPATIAL, UNITS, Volume, as_json
from ._image import Image

__all__ = ["Layout", "Version", "chunks_of", "smallest", "steps_of"]

Version = Literal["0.4", "0.5"]

_SMALLEST_SIDE = 64
_FIT_CHUNK = range(2**12, 2**24 + 1)
"""Voxels of a chunk that labels take over from their image: fewer make millions of files, more take much memory."""

_MOST_OF_A_SHARD = 2**25
_TYPES = {"t": "time", "c": "channel"}


@dataclass(frozen=True, slots=True)
class Layout:
    """The grid of labels, their pyramid and their chunks; `dataclasses.replace` makes others.

    Parameters
    ----------
    axes : str
        A letter per axis, in the order t, z, y, x.
    shapes : tuple of tuple of int
        The shape of each level, the finest first.
    factors : tuple of tuple of float
        How many times coarser than the finest each level is, along each axis.
    chunks : tuple of int
        Edges of a chunk of the finest level.
    shards : tuple of int, optional
        Edges of a shard, multiples of those of a chunk; None where each chunk is a file.
    scale : tuple of float
        The length of a voxel of the finest level along each axis, in its unit.
    translation : tuple of float, optional
        The centre of the first voxel along each axis. All levels have the same, as they take each n-th voxel.
    axis_units : tuple of str or None
        The unit of each axis, as OME-Zarr spells it.
    spacing, units, origin : tuple of float, str, tuple of float; optional
        The same in one unit along z, y, x, as in `Volume`.
    """

    axes: str
    shapes: tuple[tuple[int, ...], ...]
    factors: tuple[tuple[float, ...], ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None
    scale: tuple[float, ...]
    translation: tuple[float, ...] | None
    axis_units: tuple[str | None, ...]
    spacing: tuple[float, ...] | None = None
    units: str | None = None
    origin: tuple[float, ...] | None = None

    @classmethod
    def of(cls, image: Image | Volume, level: int = 0) -> Layout:
        """Return the layout that the labels of an image have.

        Parameters
        ----------
        image : Image or Volume
            What the labels lie on. They have no colours, so its axis c is left out.
        level : int
            The level of an `Image` that they are made from.

        Returns
        -------
        Layout
            On the grid of that level. From an `Image` with several levels they have its coarser levels, else levels
            of their own; chunks and shards of an `Image` are kept where they are neither tiny nor huge.
        """
        if isinstance(image, Volume):
            return _of_volume(image)
        return _of_image(image, level)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the finest level."""
        return self.shapes[0]

    @property
    def block_shape(self) -> tuple[int, ...]:
        """What blocks of the finest level start and end at multiples of: the edges of a shard, or of a chunk."""
        return self.files(0)

    def files(self, level: int) -> tuple[int, ...]:
        """Return the edges of what one file of a level holds: of a shard, or of a chunk."""
        return self.shards_of(level) or self.chunks_of(level)

    def chunks_of(self, level: int) -> tuple[int, ...]:
        """Return the edges of a chunk of a level."""
        return tuple(min(edge, side) for edge, side in zip(self.chunks, self.shapes[level], strict=True))

    def shards_of(self, level: int) -> tuple[int, ...] | None:
        """Return the edges of a shard of a level; None where each chunk is a file."""
        if self.shards is None:
            return None
        sides = zip(self.shards, self.shapes[level], self.chunks_of(level), strict=True)
        return tuple(-(-min(shard, side) // edge) * edge for shard, side, edge in sides)

    def attributes(
        self,
        version: Version,
        names: Sequence[str],
        *,
        name: str,
        dtype: str,
        source: str | None,
        metadata: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Return what a group of labels says of itself.

        Parameters
        ----------
        version : {"0.5", "0.4"}
            Of OME-Zarr.
        names : sequence of str
            The paths of the levels in the group.
        name : str
            What to call the labels.
        dtype : str
            Of the labels before they were stored.
        source : str, optional
            Where the image is that they lie on.
        metadata : mapping
            Recipe and provenance: plain JSON.

        Returns
        -------
        dict
            The attributes of the group.

        Raises
        ------
        ValueError
            If `metadata` is no JSON.
        """
        label: dict[str, Any] = {"version": version, **({"source": {"image": source}} if source else {})}
        ours: dict[str, Any] = {"axes": self.axes, "dtype": dtype, "spacing": self.spacing, "units": self.units}
        ours |= {"origin": self.origin, "metadata": dict(metadata)}
        image = {"name": name or "labels", "axes": self._axes(), "datasets": self._levels(names), "type": "nearest"}
        return {
            **group_attributes(version, image, {"image-label": label}),
            "napari_cutout": json.loads(as_json(ours)),
        }

    def _axes(self) -> list[dict[str, str]]:
        axes = zip(self.axes, self.axis_units, strict=True)
        return [
            {"name": axis, "type": _TYPES.get(axis, "space"), **({"unit": unit} if unit else {})} for axis, unit in axes
        ]

    def _levels(self, names: Sequence[str]) -> list[dict[str, Any]]:
        return [
            level_entry(name, [one * by for one, by in zip(self.scale, factors, strict=True)], self.translation)
            for name, factors in zip(names, self.factors, strict=True)
        ]


def group_attributes(version: Version, image: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a group with an image, in a version of OME-Zarr."""
    if version == "0.4":
        return {"multiscales": [{"version": version, **image}], **more}
    return {"ome": {"version": version, "multiscales": [dict(image)], **more}}


def level_entry(name: str, scale: Sequence[float], translation: Sequence[float] | None) -> dict[str, Any]:
    """Return what a group says of a level."""
    steps: list[dict[str, Any]] = [{"type": "scale", "scale": list(scale)}]
    if translation is not None:
        steps.append({"type": "translation", "translation": list(translation)})
    return {"path": name, "coordinateTransformations": steps}


def _of_volume(volume: Volume) -> Layout:
    axes = "".join(axis for axis in AXES if axis in volume.axes and axis != "c")
    sides = dict(zip(volume.axes, map(int, volume.data.shape), strict=True))
    shape = tuple(sides[axis] for axis in axes)
    spacing = dict(zip(volume.spatial_axes, volume.spacing or (1.0,) * 3, strict=False))
    origin = dict(zip(volume.spatial_axes, volume.origin or (), strict=False))
    unit = volume.units if volume.units in UNITS else None
    factors = steps_of(axes, shape, spacing)
    return Layout(
        axes=axes,
        shapes=_shapes(shape, factors),
        factors=factors,
        chunks=chunks_of(axes, shape),
        shards=None,
        scale=tuple(spacing.get(axis, 1.0) for axis in axes),
        translation=tuple(origin.get(axis, 0.0) for axis in axes) if origin else None,
        axis_units=tuple(unit if axis in SPATIAL else None for axis in axes),
        spacing=volume.spacing,
        units=volume.units,
        origin=volume.origin,
    )


def _of_image(image: Image, level: int) -> Layout:
    own = image.level(level)
    grid = own.grid
    axes = "".join(axis for axis in AXES if axis in grid.axes and axis != "c")
    places = [grid.axes.index(axis) for axis in axes]

    def kept(values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(values[at] for at in places)

    shape = kept(own.shape)
    coarser = image.levels[level:]
    scale = kept(grid.scale)
    if len(image.levels) > 1:
        factors = tuple(tuple(a / b for a, b in zip(kept(c.factors), kept(own.factors), strict=True)) for c in coarser)
        shapes = tuple(kept(one.shape) for one in coarser)
    else:
        factors = steps_of(axes, shape, {axis: abs(one) or 1.0 for axis, one in zip(axes, scale, strict=True)})
        shapes = _shapes(shape, factors)
    chunks, shards = _edges(axes, shape, kept(own.array.chunks), own.array.shards and kept(own.array.shards))
    return Layout(
        axes=axes,
        shapes=shapes,
        factors=factors,
        chunks=chunks,
        shards=shards,
        scale=scale,
        translation=None if grid.translation is None else kept(grid.translation),
        axis_units=kept(grid.axis_units),
        spacing=grid.spacing,
        units=grid.units,
        origin=grid.origin,
    )


def _edges(
    axes: str, shape: tuple[int, ...], chunks: tuple[int, ...], shards: tuple[int, ...] | None
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Return the chunks and shards of the image where they suit labels too."""
    chunks = tuple(min(edge, side) for edge, side in zip(chunks, shape, strict=True))
    if math.prod(chunks) not in _FIT_CHUNK and math.prod(chunks) < math.prod(shape):
        return chunks_of(axes, shape), None
    if (
        shards is None
        or math.prod(shards) > _MOST_OF_A_SHARD
        or any(s % c for s, c in zip(shards, chunks, strict=True))
    ):
        return chunks, None
    return chunks, shards


def _shapes(shape: tuple[int, ...], factors: Sequence[Sequence[float]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(math.ceil(side / by) for side, by in zip(shape, step, strict=True)) for step in factors)


def steps_of(axes: str, shape: Sequence[int], spacing: Mapping[str, float]) -> tuple[tuple[int, ...], ...]:
    """Return the stride per axis of each level of a pyramid.

    Parameters
    ----------
    axes : str
        A letter per axis.
    shape : sequence of int
        Voxels along each axis.
    spacing : mapping of str to float
        The length of a voxel along z, y and x.

    Returns
    -------
    tuple of tuple of int
        Each level takes every second voxel of the axes that are not coarser than the others, until no side is
        longer than 64.
    """
    steps = [(1,) * len(axes)]
    while True:
        last = steps[-1]
        long = {
            axis: spacing[axis] * by
            for axis, size, by in zip(axes, shape, last, strict=True)
            if axis in SPATIAL and -(-size // by) > _SMALLEST_SIDE
        }
        if not long:
            return tuple(steps)
        # An axis that is coarser already waits until the others have caught up.
        halved = {axis for axis, length in long.items() if length < 1.5 * min(long.values())}
        steps.append(tuple(by * 2 if axis in halved else by for axis, by in zip(axes, last, strict=True)))


def chunks_of(axes: str, shape: Sequence[int]) -> tuple[int, ...]:
    """Return the edges of the chunks that this program stores.

    Parameters
    ----------
    axes : str
        A letter per axis.
    shape : sequence of int
        Voxels along each axis.

    Returns
    -------
    tuple of int
        64 voxels along each side of a volume, 512 of a picture; one frame and one channel.
    """
    side = 64 if "z" in axes else 512
    return tuple(min(size, side) if axis in SPATIAL else 1 for axis, size in zip(axes, shape, strict=True))


def smallest(max_label: int) -> np.dtype[Any]:
    """Return the smallest unsigned dtype that holds labels up to a number.

    Parameters
    ----------
    max_label : int
        The greatest label.

    Returns
    -------
    dtype
        uint8, uint16, uint32 or uint64.

    Raises
    ------
    ValueError
        If it is below 0.
    """
    if max_label < 0:
        raise ValueError(f"max_label must not be below 0, but is {max_label}")
    return np.min_scalar_type(int(max_label))
