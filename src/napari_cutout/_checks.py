"""Checks of the arrays that methods are called with: each raises with what to do instead."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._array import Array, dtype_name

MAX_LABEL = 2**31 - 1
"""Largest label of a marker or a territory, since labels are int32."""

REAL_DTYPES = (
    "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64"
)  # fmt: skip
"""What an image may hold."""

COLOUR_DTYPES = ("uint8", "uint16", "float16", "float32", "float64")
"""What colour pictures are stored in; a volume of 3 or 4 columns is rarer than any of them."""

_TOGETHER = ", or channel_axis=-1 for all of them together"


def check_channel_axis(image: Array, channel_axis: int) -> int:
    """Return the axis of the channels, counted from the front, or raise unless `image` has it.

    Parameters
    ----------
    image : array
        An image with channels.
    channel_axis : int
        Which axis counts them; negative from the end.

    Returns
    -------
    int
        The axis.

    Raises
    ------
    ValueError
        If there is no such axis, or no channel.
    """
    shape = tuple(image.shape)
    if not -len(shape) <= channel_axis < len(shape):
        raise ValueError(
            f"channel_axis must be an axis of image, {-len(shape)} to {len(shape) - 1}, got {channel_axis}; "
            f"its shape is {shape}"
        )
    if shape[channel_axis] == 0:
        raise ValueError(f"image of shape {shape} has no channels along axis {channel_axis}; pass one at least")
    return channel_axis % len(shape)


def check_image(image: Array, shape: tuple[int, ...] | None = None, *, channels: bool = False) -> None:
    """Raise unless `image` is a grey-level image in 2-D or 3-D.

    Parameters
    ----------
    image : array
        Anything.
    shape : tuple of int, optional
        Its shape without the axis of the channels, if it has several.
    channels : bool
        Whether the method could look at all channels together, which is then a way out.

    Raises
    ------
    TypeError
        If its dtype is bool, complex, object, text or a date.
    ValueError
        If it is empty, has the wrong number of dimensions or looks like a colour image.
    """
    name = dtype_name(image)
    if isinstance(image, np.ma.MaskedArray):
        raise TypeError("image is a masked array, whose mask would be lost; pass image.data, and mask=~image.mask")
    if name == "bool":
        raise TypeError(
            "image is boolean, so it is cut already; pass the grey-level image, "
            "or call fill_holes, remove_small or components on the mask"
        )
    if name.startswith("complex"):
        raise TypeError(f"image must be real, got dtype {name}; pass its magnitude, abs(image), or one part of it")
    if name not in REAL_DTYPES:
        raise TypeError(f"image must hold integers or floats, got dtype {name}; convert it, for example to float32")
    given, shape = shape is not None, tuple(image.shape) if shape is None else shape
    if len(shape) not in (2, 3):
        raise ValueError(
            f"image must be 2-D (Y, X) or 3-D (Z, Y, X), got shape {shape}{' beside the channels' if given else ''}; "
            f"pass one time point {'' if given else 'or one channel '}of it"
        )
    if any(math.isnan(n) for n in shape):
        raise ValueError(f"image has the unknown shape {shape}; call compute_chunk_sizes() on the dask array first")
    if 0 in shape:
        raise ValueError(f"image has shape {shape} and so no voxels; pass an image that is not empty")
    if looks_like_colour(shape, name):
        raise ValueError(
            f"image of shape {shape} and dtype {name} looks like a colour image, and a grey one is "
            f"needed; pass one channel, image[..., 0], or grey(image){_TOGETHER if channels else ''}"
        )


def looks_like_colour(shape: tuple[int, ...], dtype: str) -> bool:
    """Tell whether an array is an RGB or RGBA picture rather than a volume of 3 or 4 columns."""
    return len(shape) == 3 and shape[-1] in (3, 4) and min(shape[:2]) > 8 and dtype in COLOUR_DTYPES


def check_source_labels(name: str, labels: Array) -> None:
    """Raise unless `labels` are integers or booleans in 2-D or 3-D, with at least one voxel.

    Parameters
    ----------
    name : str
        What the argument is called.
    labels : array
        Anything.

    Raises
    ------
    TypeError
        If the dtype is not integer or boolean, or it is a masked array.
    ValueError
        If it is empty or has the wrong number of dimensions.
    """
    shape = tuple(labels.shape)
    check_labels(name, labels, shape)
    if len(shape) not in (2, 3):
        raise ValueError(f"{name} must be 2-D (Y, X) or 3-D (Z, Y, X), got shape {shape}; pass one time point of it")
    if 0 in shape:
        raise ValueError(f"{name} has shape {shape} and so no voxels; pass labels that are not empty")


def check_labels(name: str, labels: Array, shape: tuple[int, ...], *, boolean: bool = False, of: str = "image") -> None:
    """Raise unless `labels` are integers (or booleans) of the given shape.

    Parameters
    ----------
    name : str
        What the argument is called.
    labels : array
        Anything.
    shape : tuple of int
        The shape of the image it belongs to.
    boolean : bool
        True for a mask, which is only asked for inside or outside.
    of : str
        What the argument is called whose shape it is.

    Raises
    ------
    TypeError
        If the dtype is not integer or boolean, or it is a masked array.
    ValueError
        If the shape differs.
    """
    if isinstance(labels, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array, whose mask would be lost; pass {name}.filled({False if boolean else 0})"
        )
    dtype = dtype_name(labels)
    if not dtype.startswith(("int", "uint", "bool")):
        wanted = "booleans" if boolean else "integers"
        kind = "bool" if boolean else "int"
        raise TypeError(f"{name} must hold {wanted}, got dtype {dtype}; convert it, for example with .astype({kind})")
    if tuple(labels.shape) != tuple(shape):
        raise ValueError(
            f"{name} must have the shape of {of}, {tuple(shape)}, but has {tuple(labels.shape)}; "
            f"crop or resample it to the {of}"
        )


def check_spacing(spacing: Any, ndim: int) -> tuple[float, ...]:
    """Return `spacing` as floats, or raise unless it has one positive, finite length per axis.

    Parameters
    ----------
    spacing : sequence of float
        World length of a voxel along each axis, in the order of the axes.
    ndim : int
        Number of axes.

    Returns
    -------
    tuple of float
        The same lengths.

    Raises
    ------
    ValueError
        If the number of lengths is wrong or one is not positive and finite.
    """
    try:
        lengths = tuple(float(s) for s in spacing)
    except (TypeError, ValueError) as error:
        raise ValueError(f"spacing must be one length per axis, such as {(1.0,) * ndim}, got {spacing!r}") from error
    if len(lengths) != ndim:
        raise ValueError(f"spacing must have one length per axis, {ndim} of them, got {lengths}")
    if not all(math.isfinite(s) and s > 0 for s in lengths):
        raise ValueError(f"spacing must be positive and finite, got {lengths}; give the size of a voxel per axis")
    return lengths
