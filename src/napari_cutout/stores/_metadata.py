"""What OME-Zarr 0.4 and 0.5 say about an image: read here, and written in `_layout`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._volume import AXES, SPATIAL, common_spacing, guess_axes

__all__ = ["KEY", "Grid", "factors_of", "flat", "grid_of", "multiscales_of"]

KEY = "napari_cutout"
"""Where what this program stores stands among the attributes."""


def flat(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Lift out what version 0.5 keeps under ``ome`` and version 0.4 beside other keys."""
    ome = attributes.get("ome")
    return {**attributes, **(ome if isinstance(ome, Mapping) else {})}


def multiscales_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first image of a group; empty where there is none."""
    images = flat(attributes).get("multiscales") or [{}]
    return dict(images[0])


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the voxels of a level lie.

    Parameters
    ----------
    axes : str
        A letter per axis, as stored.
    scale : tuple of float
        The length of a voxel along each axis, in its unit.
    translation : tuple of float or None
        The centre of the first voxel along each axis; None where the store does not say.
    axis_units : tuple of str or None
        The unit of each axis, as written.
    spacing, units, origin : tuple of float, str, tuple of float; None
        The same in one unit along z, y, x, as in `Volume`; None where they are not known.
    wanted : str
        `axes` in the order that a `Volume` has.
    """

    axes: str
    scale: tuple[float, ...]
    translation: tuple[float, ...] | None
    axis_units: tuple[str | None, ...]
    spacing: tuple[float, ...] | None
    units: str | None
    origin: tuple[float, ...] | None
    wanted: str


def grid_of(image: Mapping[str, Any], index: int, shape: Sequence[int], ours: Mapping[str, Any]) -> Grid:
    """Read where the voxels of a level lie.

    Parameters
    ----------
    image : mapping
        An entry of ``multiscales``.
    index : int
        The number of the level.
    shape : sequence of int
        The shape of its array.
    ours : mapping
        What this program stored.

    Returns
    -------
    Grid
        As far as the store says it.

    Raises
    ------
    ValueError
        If the axes are none that an image has, or a scale has not one number per axis.
    """
    axes = [
        axis if isinstance(axis, dict) else {"name": axis} for axis in image.get("axes") or guess_axes(tuple(shape))
    ]
    letters = "".join(str(axis.get("name", "?")).lower() for axis in axes)
    if len(letters) != len(shape) or set(letters) - set(AXES):
        raise ValueError(f"its axes are {[a.get('name') for a in axes]}; t, c, z, y and x are known")
    scale, translation = _transform(image, index, len(shape))
    axis_units = tuple(axis.get("unit") for axis in axes)
    places = [letters.index(axis) for axis in SPATIAL if axis in letters]
    lengths = [scale[at] for at in places]
    spacing, units = common_spacing(lengths, [axis_units[at] for at in places])
    shifts = None if translation is None else [translation[at] for at in places]
    origin = _origin(shifts, lengths, spacing)
    unknown = units is None and spacing is not None and set(spacing) == {1.0} and not any(origin or ())
    if unknown and not ours.get("spacing"):
        spacing = origin = None  # A scale is required, so 1 without a unit is how a store says *not known*.
    wanted = _wanted(letters, str(ours.get("axes", "")))
    return Grid(letters, scale, translation, axis_units, spacing, units, origin, wanted)


def _wanted(letters: str, stored: str) -> str:
    if sorted(stored) == sorted(letters):
        return stored
    # The axes of time and colour stay where they are; z, y, x come in this order.
    spatial = iter([axis for axis in SPATIAL if axis in letters])
    return "".join(next(spatial) if axis in SPATIAL else axis for axis in letters)


def _transform(image: Mapping[str, Any], index: int, ndim: int) -> tuple[tuple[float, ...], tuple[float, ...] | None]:
    """Return scale and translation of a level; the translation is None where the store gives none."""
    scale, shift = np.ones(ndim), np.zeros(ndim)
    shifted = False
    # The steps of the level come first, then those of the whole image.
    for owner in (image["datasets"][index], image):
        for step in owner.get("coordinateTransformations") or ():
            if step.get("type") == "scale":
                factor = _numbers(step["scale"], ndim)
                scale, shift = scale * factor, shift * factor
            elif step.get("type") == "translation":
                shift = shift + _numbers(step["translation"], ndim)
                shifted = True
    return tuple(map(float, scale)), tuple(map(float, shift)) if shifted else None


def _numbers(given: Any, ndim: int) -> np.ndarray[Any, Any]:
    numbers = np.asarray(given, float)
    if numbers.shape != (ndim,):
        raise ValueError(f"its transformation {given!r} must have one number for each of {ndim} axes")
    return numbers


def _origin(
    translation: Sequence[float] | None, lengths: Sequence[float], spacing: tuple[float, ...] | None
) -> tuple[float, ...] | None:
    """Bring a translation to the unit of the spacing, as `common_spacing` brought the lengths there."""
    if spacing is None or translation is None:
        return None
    return tuple(shift * (to / abs(length)) for shift, length, to in zip(translation, lengths, spacing, strict=True))


def factors_of(
    image: Mapping[str, Any], shapes: Sequence[tuple[int, ...]], grids: Sequence[Grid]
) -> list[tuple[float, ...]]:
    """Return how much coarser than the finest each level is, and refuse levels that are not of one image."""
    finest = shapes[0]
    found = []
    for level, shape, grid in zip(image["datasets"], shapes, grids, strict=True):
        name = level["path"]
        if 0 in shape:
            raise ValueError(f"its level {name!r} has the shape {shape}, with no voxel; write it again")
        ratios = [to / of if of else 0.0 for to, of in zip(grid.scale, grids[0].scale, strict=True)]
        if not level.get("coordinateTransformations"):  # before version 0.4 only the shapes told
            ratios = [side / small for side, small in zip(finest, shape, strict=True)]
        by = [_factor(side, small, ratio) for side, small, ratio in zip(finest, shape, ratios, strict=True)]
        if 0.0 in by:
            raise ValueError(
                f"its levels disagree: level {name!r} has the shape {shape} and is by its scale "
                f"{tuple(round(ratio, 3) for ratio in ratios)} times coarser than the finest, of the shape {finest}; "
                "write the pyramid again, or pass the path of one level"
            )
        found.append(tuple(by))
    return found


def _factor(side: int, small: int, ratio: float) -> float:
    """Return how much coarser an axis is; 0 where scale and shapes contradict each other."""
    # Programs write the ratio of the lengths, 101 / 51, where the level has every second voxel.
    whole = round(ratio)
    for by in (float(whole), ratio):
        # A level is as long as its fine voxels divided by the factor, rounded down or up.
        if by > 0 and abs(side / by - small) < 1 and abs(by - ratio) < 0.1 * ratio:
            return by
    return 0.0
