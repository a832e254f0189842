"""OME-Zarr: images and labels of version 0.4 and 0.5 and plain Zarr arrays in, version 0.5 out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ._array import is_host
from ._volume import AXES, SPATIAL, UNITS, Volume, arrange, common_spacing, guess_axes, numpy_or_dask, pack

_KEY = "napari_cutout"
MARKERS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")
"""The files that tell what a folder of a store is."""

_SMALLEST_SIDE = 64
_CHUNKS_PER_BLOCK = 4
"""Chunks along each axis that are computed and written at once, of what is not in memory."""


def is_store(path: Path) -> bool:
    """Say whether a folder is a Zarr group or array.

    Parameters
    ----------
    path
        Any path.

    Returns
    -------
    bool
        True where the folder holds the metadata of Zarr 2 or 3.
    """
    return any((path / marker).is_file() for marker in MARKERS if marker != ".zattrs")


def read(path: Path, level: int = 0) -> Volume:
    """Read a level of an OME-Zarr image or labels group, or a Zarr array.

    Parameters
    ----------
    path
        The folder of a group or of an array. An array that is a level of an OME-Zarr image is read with the
        axes, the spacing and the origin of that level.
    level
        Which level of a group, 0 being the finest.

    Returns
    -------
    Volume
        The voxels in memory.

    Raises
    ------
    ValueError
        If the folder is a group that holds no image, or there is no such level.
    """
    found = _levels(path)
    if not 0 <= level < len(found):
        listed = ", ".join(f"{at} of the shape {array.shape}" for at, (array, _) in enumerate(found))
        raise ValueError(f"it has no level {level!r}; it has {listed}")
    array, described = found[level]
    return described(array[...])


def read_lazily(path: Path) -> list[Volume]:
    """Open every level of an OME-Zarr image or labels group, or a Zarr array, and read no voxel.

    Parameters
    ----------
    path
        The folder of a group or of an array.

    Returns
    -------
    list of Volume
        The finest level first; the data are dask arrays with the chunks of the store.

    Raises
    ------
    ValueError
        If the folder is a group that holds no image.
    """
    return [described(numpy_or_dask(array)) for array, described in _levels(path)]


def attributes(path: Path) -> dict[str, Any]:
    """Return what a group or an array says about itself.

    Parameters
    ----------
    path
        The folder of a group or of an array.

    Returns
    -------
    dict
        Its attributes, with those of OME-Zarr 0.5 lifted out of ``ome``.
    """
    return _flat(_open(path).attrs.asdict())


def _flat(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Lift out what version 0.5 keeps under `ome` and version 0.4 beside other keys."""
    return {**attributes, **attributes.get("ome", {})}


def _open(path: Path) -> Any:
    import zarr

    try:
        return zarr.open(store=str(path), mode="r")
    except Exception as error:  # zarr lets through whatever damaged JSON makes its parsers raise
        raise ValueError(
            f"the metadata of {path.name!r} are damaged ({error or type(error).__name__}); copy the store again"
        ) from error


def _member(group: Any, name: str) -> Any:
    try:
        return group[name]
    except Exception as error:
        raise ValueError(f"its level {name!r} is missing or damaged; copy the store again") from error


def _levels(path: Path) -> list[tuple[Any, Callable[[Any], Volume]]]:
    """Return every level as a Zarr array, and the function that makes a volume of its voxels."""
    import zarr

    node = _open(path)
    if isinstance(node, zarr.Group):
        attributes = node.attrs.asdict()
        image = _multiscale(node)
        return [
            (_member(node, level["path"]), partial(_level, image=image, index=index, attributes=attributes))
            for index, level in enumerate(image["datasets"])
        ]
    if is_store(path.parent):
        attributes = _open(path.parent).attrs.asdict()
        image = _multiscales(attributes)
        for index, level in enumerate(image.get("datasets", ())):
            if level["path"] == path.name:
                return [(node, partial(_level, image=image, index=index, attributes=attributes))]
    axes = _array_axes(node)
    return [(node, lambda data: Volume(data, axes))]


def _array_axes(array: Any) -> str:
    names = getattr(array.metadata, "dimension_names", None) or ()
    known = len(names) == array.ndim and all(name and name in tuple(AXES) for name in names)
    return "".join(names) if known else guess_axes(array.shape)


def _multiscales(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first image of a group, which version 0.5 keeps under `ome`; empty where there is none."""
    images = _flat(attributes).get("multiscales") or [{}]
    return dict(images[0])


def _multiscale(group: Any) -> dict[str, Any]:
    image = _multiscales(group.attrs.asdict())
    if not image.get("datasets"):
        members = ", ".join(sorted(group.keys())) or "nothing"
        raise ValueError(f"it is a group without OME-Zarr image; it holds {members}: pass the path of one of them")
    return image


def _level(data: Any, image: Mapping[str, Any], index: int, attributes: Mapping[str, Any]) -> Volume:
    declared = image.get("axes") or list(guess_axes(data.shape))
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in declared]
    letters = "".join(axis["name"].lower() for axis in axes)
    if len(letters) != data.ndim or set(letters) - set(AXES):
        raise ValueError(f"its axes are {[a['name'] for a in axes]}; t, c, z, y and x are known")
    ours = attributes.get(_KEY, {})
    wanted = ours.get("axes", "")
    if sorted(wanted) != sorted(letters):
        # The axes of time and colour stay where they are; z, y, x come in this order.
        spatial = iter([axis for axis in SPATIAL if axis in letters])
        wanted = "".join(next(spatial) if axis in SPATIAL else axis for axis in letters)
    scale, translation = _transform(image, index, data.ndim)
    places = [letters.index(axis) for axis in SPATIAL if axis in letters]
    lengths = [scale[at] for at in places]
    spacing, units = common_spacing(lengths, [axes[at].get("unit") for at in places])
    origin = _origin([translation[at] for at in places], lengths, spacing)
    unknown = units is None and spacing is not None and set(spacing) == {1.0} and not any(origin or ())
    if unknown and not ours.get("spacing"):
        spacing = origin = None  # A scale is required, so 1 without a unit is how a store says *not known*.
    return Volume(
        arrange(data, letters, wanted), wanted, spacing, units, metadata=ours.get("metadata", {}), origin=origin
    )


def _transform(image: Mapping[str, Any], index: int, ndim: int) -> tuple[list[float], list[float | None]]:
    """Return scale and translation of a level; the translation is None where the store gives none."""
    scale, shift = np.ones(ndim), np.zeros(ndim)
    shifted = False
    # The steps of the level come first, then those of the whole image.
    for owner in (image["datasets"][index], image):
        for step in owner.get("coordinateTransformations", ()):
            if step.get("type") == "scale":
                factor = np.asarray(step["scale"], float)
                scale, shift = scale * factor, shift * factor
            elif step.get("type") == "translation":
                shift = shift + np.asarray(step["translation"], float)
                shifted = True
    return list(map(float, scale)), list(map(float, shift)) if shifted else [None] * ndim


def _origin(
    translation: list[float | None], lengths: list[float], spacing: tuple[float, ...] | None
) -> tuple[float, ...] | None:
    """Bring a translation to the unit of the spacing, as `common_spacing` brought the lengths there."""
    if spacing is None:
        return None
    known = [
        shift * (to / abs(length))
        for shift, length, to in zip(translation, lengths, spacing, strict=True)
        if shift is not None
    ]
    return tuple(known) if len(known) == len(spacing) else None


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
    steps = _steps(stored, data.shape, volume)
    group = zarr.create_group(store=str(path), zarr_format=3, attributes=_attributes(volume, stored, steps, kind))
    done = [1] * len(stored)
    for index, step in enumerate(steps):
        data = data[tuple(slice(None, None, by // before) for by, before in zip(step, done, strict=True))]
        done = step
        array = group.create_array(
            str(index),
            shape=data.shape,
            dtype=data.dtype,
            chunks=_chunks(stored, data.shape),
            dimension_names=list(stored),
        )
        data = _filled(array, data)


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


def _steps(axes: str, shape: tuple[int, ...], volume: Volume) -> list[list[int]]:
    """Return the stride per axis of each level."""
    spacing = dict(zip(volume.spatial_axes, volume.spacing or (1.0,) * 3, strict=False))
    steps = [[1] * len(axes)]
    while True:
        last = steps[-1]
        long = {
            axis: spacing[axis] * by
            for axis, size, by in zip(axes, shape, last, strict=True)
            if axis in SPATIAL and -(-size // by) > _SMALLEST_SIDE
        }
        if not long:
            return steps
        # An axis that is coarser already waits until the others have caught up.
        halved = {axis for axis, length in long.items() if length < 1.5 * min(long.values())}
        steps.append([by * 2 if axis in halved else by for axis, by in zip(axes, last, strict=True)])


def _chunks(axes: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    side = 64 if "z" in axes else 512
    return tuple(min(size, side) if axis in SPATIAL else 1 for axis, size in zip(axes, shape, strict=True))


def _attributes(volume: Volume, stored: str, steps: list[list[int]], kind: str) -> dict[str, Any]:
    spacing = dict(zip(volume.spatial_axes, volume.spacing or (1.0,) * 3, strict=False))
    kinds = {"t": "time", "c": "channel"}
    axes: list[dict[str, str]] = [{"name": axis, "type": kinds.get(axis, "space")} for axis in stored]
    for axis in axes:
        if volume.units in UNITS and axis["type"] == "space":
            axis["unit"] = str(volume.units)
    origin = dict(zip(volume.spatial_axes, volume.origin or (), strict=False))
    levels = []
    for index, step in enumerate(steps):
        scale = [spacing.get(axis, 1.0) * by for axis, by in zip(stored, step, strict=True)]
        transform: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        if origin:
            transform.append({"type": "translation", "translation": [origin.get(axis, 0.0) for axis in stored]})
        levels.append({"path": str(index), "coordinateTransformations": transform})
    ome: dict[str, Any] = {
        "version": "0.5",
        "multiscales": [{"name": volume.name or "image", "axes": axes, "datasets": levels, "type": "nearest"}],
    }
    if kind == "labels":
        ome["image-label"] = {"version": "0.5"}
    return {"ome": ome, _KEY: json.loads(pack(volume))}
