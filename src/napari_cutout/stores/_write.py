"""Volumes as OME-Zarr 0.5, for `io.write`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .._array import is_host
from .._volume import AXES, SPATIAL, UNITS, Volume, arrange, numpy_or_dask, pack
from ._layout import chunks_of, group_attributes, level_entry, steps_of
from ._metadata import KEY

__all__ = ["write"]

_CHUNKS_PER_BLOCK = 4
"""Chunks along each axis that are computed and written at once, of what is not in memory."""


def write(path: Path, volume: Volume, kind: Literal["labels", "image"]) -> None:
    """Write an OME-Zarr 0.5 image with several levels.

    Parameters
    ----------
    path
        Where to write.
    volume
        The image. Every level takes each second voxel of the axes that are not coarser than the others, until
        no side is longer than 64; so labels stay labels, and the first voxel of every level has the same centre.
        Dask and Zarr arrays are computed and written chunk by chunk, and levels from the level above.
    kind
        ``"labels"`` declares a label image; booleans are then stored as uint8.

    Raises
    ------
    ValueError
        If labels are not whole numbers, or the axes break the order that OME-Zarr prescribes.
    """
    import zarr

    data = numpy_or_dask(volume.data)
    if kind == "labels" and data.dtype.kind not in "biu":
        raise ValueError(f"labels must be whole numbers, but are {data.dtype}; round them, or write kind='image'")
    if data.dtype.kind not in "biufc":
        raise ValueError(f"OME-Zarr holds numbers, but data are {data.dtype}")
    stored = "".join(axis for axis in AXES if axis in volume.axes)
    data = arrange(data, volume.axes, stored)
    data = data.astype(np.uint8) if kind == "labels" and data.dtype == bool else data
    steps = steps_of(stored, data.shape, _spacing(volume))
    group = zarr.create_group(store=str(path), zarr_format=3, attributes=_attributes(volume, stored, steps, kind))
    done = (1,) * len(stored)
    for index, step in enumerate(steps):
        data = data[tuple(slice(None, None, by // before) for by, before in zip(step, done, strict=True))]
        done = step
        array = group.create_array(
            str(index),
            shape=data.shape,
            dtype=data.dtype,
            chunks=chunks_of(stored, data.shape),
            dimension_names=list(stored),
        )
        data = _filled(array, data)


def _spacing(volume: Volume) -> dict[str, float]:
    return dict(zip(volume.spatial_axes, volume.spacing or (1.0,) * 3, strict=False))


def _filled(array: Any, data: Any) -> Any:
    """Write all of an array, and return it in a form from which the next level costs least."""
    if is_host(data):
        array[...] = data
        return data
    from dask.array import from_array, store

    # Blocks end where chunks do, so that no two threads write to one file; several chunks make a block, so that
    # a volume of terabytes is no list of millions.
    blocks = tuple(_CHUNKS_PER_BLOCK * side for side in array.chunks)
    store(data.rechunk(blocks), array, lock=False)
    return from_array(array, chunks=blocks)


def _attributes(volume: Volume, stored: str, steps: tuple[tuple[int, ...], ...], kind: str) -> dict[str, Any]:
    spacing = _spacing(volume)
    kinds = {"t": "time", "c": "channel"}
    axes: list[dict[str, str]] = [{"name": axis, "type": kinds.get(axis, "space")} for axis in stored]
    for axis in axes:
        if volume.units in UNITS and axis["name"] in SPATIAL:
            axis["unit"] = str(volume.units)
    origin = dict(zip(volume.spatial_axes, volume.origin or (), strict=False))
    shift = [origin.get(axis, 0.0) for axis in stored] if origin else None
    levels = [
        level_entry(str(index), [spacing.get(axis, 1.0) * by for axis, by in zip(stored, step, strict=True)], shift)
        for index, step in enumerate(steps)
    ]
    image = {"name": volume.name or "image", "axes": axes, "datasets": levels, "type": "nearest"}
    more = {"image-label": {"version": "0.5"}} if kind == "labels" else {}
    return {**group_attributes("0.5", image, more), KEY: json.loads(pack(volume))}
