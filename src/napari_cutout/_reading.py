"""What a run is given, as arrays with named axes: arrays, volumes and files."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import io
from ._array import dtype_name, is_host
from ._volume import Volume
from ._wanted import Wanted, fitted
from .recipe import Recipe

__all__ = ["Source", "as_volume", "check_one", "is_path", "read", "read_image", "read_labels", "warn_if_grey"]

Source = Any
"""An array, a `Volume` or a path."""

FLAT = 0.5
"""Share of neighbours inside objects that are equal: in labels nearly all, in real images fewer than about this."""


def is_path(source: Source) -> bool:
    """Tell whether a source is the name of a file."""
    return isinstance(source, str | os.PathLike)


def read_image(source: Source, *, channel: int | str | None = None, frame: int | None = None) -> Volume:
    """Read an image and take the one grey plane or volume of it that a method can cut.

    Parameters
    ----------
    source : array, Volume or path
        The image.
    channel : int or "mean", optional
        Which channel to take where there are several, or the mean of them, without alpha.
    frame : int, optional
        Which time point to take where there are several.

    Returns
    -------
    Volume
        With axes ``yx`` or ``zyx``.

    Raises
    ------
    ValueError
        If there are several channels or time points and none was chosen, or not that many.
    """
    image = fitted(as_volume(source), None, Wanted(channel=channel, frame=frame))
    (part,) = image.selection.parts(tuple(image.volume.data.shape))
    return replace(image.volume, data=image.selection.cut(image.volume.data, part), axes=image.selection.run_axes)


def read(source: Source, recipe: Recipe, wanted: Wanted) -> Volume:
    """Read an image at the level that a recipe runs on.

    Parameters
    ----------
    source : array, Volume or path
        The image; an array is that level.
    recipe : Recipe
        What will run on it.
    wanted : Wanted
        What was asked for over that.

    Returns
    -------
    Volume
        All of it, under the axes that its file names.
    """
    axes = wanted.axes or ("" if recipe.selection is None else recipe.selection.axes)
    return as_volume(source, wanted.level_for(recipe.selection), axes)


def as_volume(source: Source, level: int = 0, axes: str = "") -> Volume:
    """Return a source as a volume.

    Parameters
    ----------
    source : array, Volume or path
        The image or the labels.
    level : int
        Which level of a file to read.
    axes : str
        What the axes of an array are, if it has as many.

    Returns
    -------
    Volume
        The same voxels. What no volume can hold is left to the method, which says why.
    """
    if isinstance(source, Volume):
        return source
    if is_path(source):
        return io.read(source, level)
    if not hasattr(source, "shape"):
        raise TypeError(f"source must be an array, a Volume or a path, got {source!r} of type {type(source).__name__}")
    if len(axes) == len(source.shape):
        return Volume(source, axes)
    if len(source.shape) not in (2, 3):
        from ._checks import check_image

        check_image(source)
    return Volume(source, "zyx"[-len(source.shape) :])


def check_one(volume: Volume, what: str, axes: str = "yx") -> None:
    """Raise unless labels have one value per voxel, and time points only where `axes` have them."""
    several = {a: n for a, n in zip(volume.axes, volume.data.shape, strict=True) if a in "tc" and n > 1}
    for axis, n in several.items():
        if axis not in axes:
            kind = "channels (is it a colour picture?)" if axis == "c" else "time points"
            raise ValueError(
                f"{what} {volume.name!r} has {n} {kind}, and labels have one; save it as one grey label image"
            )


def read_labels(source: Source, what: str) -> NDArray[Any]:
    """Read labels, a mask or markers.

    Parameters
    ----------
    source : array, Volume or path
        One label per voxel.
    what : str
        What they are, for messages.

    Returns
    -------
    array
        With axes ``yx`` or ``zyx``.

    Raises
    ------
    ValueError
        If there are several channels or time points.
    """
    if not (isinstance(source, Volume) or is_path(source)):
        return source  # type: ignore[no-any-return]
    volume = as_volume(source)
    check_one(volume, what)
    labels: NDArray[Any] = volume.data[tuple(0 if axis in "tc" else slice(None) for axis in volume.axes)]
    return labels


def warn_if_grey(labels: Any, name: str) -> None:
    """Warn where something that is to be labels looks like an image.

    Parameters
    ----------
    labels : array
        What was given. Of arrays that are not in memory nothing is read.
    name : str
        What it is called.

    Notes
    -----
    Neighbours along the last axis are compared, where both are not 0; in labels of real images over 0.9 of them are
    equal. Spots of single voxels have no such neighbours, and are no image.
    """
    if not is_host(labels) or np.dtype(dtype_name(labels)).kind not in "iu":
        return
    left, right = labels[..., :-1], labels[..., 1:]
    inside = (left != 0) & (right != 0)
    n = int(np.count_nonzero(inside))
    equal = int(np.count_nonzero(inside & (left == right)))
    if n > labels.size / 10 and equal < FLAT * n:
        warnings.warn(
            f"{name!r} looks like an image and not like labels, because only {equal / n:.0%} of neighbouring voxels in "
            "it are equal; cut it first, for example with threshold, and pass the labels of that",
            stacklevel=2,
        )
