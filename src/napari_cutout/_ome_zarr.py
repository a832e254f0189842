"""OME-Zarr: images and labels of version 0.4 and 0.5 and plain Zarr arrays in, version 0.5 out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ._volume import AXES, SPATIAL, UNITS, Volume, arrange, common_spacing, guess_axes, pack

_KEY = "napari_cutout"
_MARKERS = ("zarr.json", ".zgroup", ".zarray")
_SMALLEST_SIDE = 64


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
    return any((path / marker).is_file() for marker in _MARKERS)


def read(path: Path) -> Volume:
    """Read the finest level of an OME-Zarr image or labels group, or a Zarr array.

    Parameters
    ----------
    path
        The folder of a group or of an array. An array that is a level of an OME-Zarr image is read with the
        axes and the spacing of that level.

    Returns
    -------
    Volume
        The voxels in memory. Translations are not kept.

    Raises
    ------
    ValueError
        If the folder is a group that holds no image.
    """
    import zarr

    node = zarr.open(store=str(path), mode="r")
    if isinstance(node, zarr.Group):
        image = _multiscale(node)
        return _level(node[image["datasets"][0]["path"]], image, 0, node.attrs.asdict())
    if is_store(path.parent):
        parent = zarr.open(store=str(path.parent), mode="r")
        image = _multiscales(parent.attrs.asdict())
        for index, level in enumerate(image.get("datasets", ())):
            if level["path"] == path.name:
                return _level(node, image, index, parent.attrs.asdict())
    return Volume(node[...], _array_axes(node))


def _array_axes(array: Any) -> str:
    names = getattr(array.metadata, "dimension_names", None) or ()
    known = len(names) == array.ndim and all(name and name in tuple(AXES) for name in names)
    return "".join(names) if known else guess_axes(array.shape)


def _multiscales(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first image of a group, which version 0.5 keeps under `ome`; empty where there is none."""
    images = attributes.get("ome", attributes).get("multiscales") or [{}]
    return dict(images[0])


def _multiscale(group: Any) -> dict[str, Any]:
    image = _multiscales(group.attrs.asdict())
    if not image.get("datasets"):
        members = ", ".join(sorted(group.keys())) or "nothing"
        raise ValueError(f"it is a group without OME-Zarr image; it holds {members}: pass the path of one of them")
    return image


def _level(array: Any, image: Mapping[str, Any], index: int, attributes: Mapping[str, Any]) -> Volume:
    declared = image.get("axes") or list(guess_axes(array.shape))
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in declared]
    letters = "".join(axis["name"].lower() for axis in axes)
    if len(letters) != array.ndim or set(letters) - set(AXES):
        raise ValueError(f"its axes are {[a['name'] for a in axes]}; t, c, z, y and x are known")
    ours = attributes.get(_KEY, {})
    wanted = ours.get("axes", "")
    if sorted(wanted) != sorted(letters):
        # The axes of time and colour stay where they are; z, y, x come in this order.
        spatial = iter([axis for axis in SPATIAL if axis in letters])
        wanted = "".join(next(spatial) if axis in SPATIAL else axis for axis in letters)
    scale = _scale(image, index, array.ndim)
    spacing, units = _spacing(dict(zip(letters, zip(scale, axes, strict=True), strict=True)))
    if units is None and spacing is not None and set(spacing) == {1.0} and not ours.get("spacing"):
        spacing = None  # A scale is required, so 1 without a unit is how a store says *not known*.
    return Volume(arrange(array[...], letters, wanted), wanted, spacing, units, metadata=ours.get("metadata", {}))


def _scale(image: Mapping[str, Any], index: int, ndim: int) -> list[float]:
    scale = np.ones(ndim)
    for owner in (image["datasets"][index], image):
        for step in owner.get("coordinateTransformations", ()):
            if step.get("type") == "scale":
                scale = scale * np.asarray(step["scale"], float)
    return [float(length) for length in scale]


def _spacing(
    axes: Mapping[str, tuple[float, Mapping[str, Any]]],
) -> tuple[tuple[float, ...] | None, str | None]:
    spatial = [axes[axis] for axis in SPATIAL if axis in axes]
    return common_spacing([scale for scale, _ in spatial], [axis.get("unit") for _, axis in spatial])


def write(path: Path, volume: Volume, kind: Literal["labels", "image"]) -> None:
    """Write an OME-Zarr 0.5 image with several levels.

    Parameters
    ----------
    path
        Where to write.
    volume
        The image. Every level takes each second voxel of the axes that are not coarser than the others, until
        no side is longer than 64; so labels stay labels and no level is shifted.
    kind
        ``"labels"`` declares a label image; booleans are then stored as uint8.

    Raises
    ------
    ValueError
        If labels are not whole numbers, or the axes break the order that OME-Zarr prescribes.
    """
    import zarr

    data = np.asarray(volume.data)
    if kind == "labels" and data.dtype.kind not in "biu":
        raise ValueError(f"labels must be whole numbers, but are {data.dtype}; round them, or write kind='image'")
    if data.dtype.kind not in "biufc":
        raise ValueError(f"OME-Zarr holds numbers, but data are {data.dtype}")
    stored = "".join(axis for axis in AXES if axis in volume.axes)
    data = arrange(data, volume.axes, stored)
    data = data.astype(np.uint8) if kind == "labels" and data.dtype == bool else data
    steps = _steps(stored, data.shape, volume)
    group = zarr.create_group(store=str(path), zarr_format=3, attributes=_attributes(volume, stored, steps, kind))
    for index, step in enumerate(steps):
        level = data[tuple(slice(None, None, by) for by in step)]
        chunks = _chunks(stored, level.shape)
        array = group.create_array(
            str(index), shape=level.shape, dtype=level.dtype, chunks=chunks, dimension_names=list(stored)
        )
        array[...] = level


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
    levels = [
        {
            "path": str(index),
            "coordinateTransformations": [
                {
                    "type": "scale",
                    "scale": [spacing.get(axis, 1.0) * by for axis, by in zip(stored, step, strict=True)],
                }
            ],
        }
        for index, step in enumerate(steps)
    ]
    ome: dict[str, Any] = {
        "version": "0.5",
        "multiscales": [{"name": volume.name or "image", "axes": axes, "datasets": levels, "type": "nearest"}],
    }
    if kind == "labels":
        ome["image-label"] = {"version": "0.5"}
    return {"ome": ome, _KEY: json.loads(pack(volume))}
