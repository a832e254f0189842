"""`Volume`: an array with the names of its axes and the size of its voxels, as files hold it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ._array import dtype_name, is_host, is_lazy, to_numpy

AXES = "tczyx"
"""The axes that a volume may have."""

SPATIAL = "zyx"
"""The axes that have a spacing."""

AXIS_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("t", "time", "frame", "frames"), "t"),
    **dict.fromkeys(("c", "channel", "channels"), "c"),
    **dict.fromkeys(("z", "depth", "plane"), "z"),
    **dict.fromkeys(("y", "row", "height"), "y"),
    **dict.fromkeys(("x", "column", "width"), "x"),
}


def axis_letter(word: object) -> str:
    """Return the letter of an axis that a program calls by a word.

    Parameters
    ----------
    word : str
        Such as ``"Time"``, ``"channel"`` or ``"y"``.

    Returns
    -------
    str
        One of ``tczyx``; empty where the word is none for an axis.
    """
    return AXIS_WORDS.get(str(word).strip().lower(), "")


# OME-Zarr's name of a unit: OME-TIFF's symbol for it, and its length in metres.
UNITS: Mapping[str, tuple[str, float]] = {
    "angstrom": ("Å", 1e-10),
    "picometer": ("pm", 1e-12),
    "nanometer": ("nm", 1e-9),
    "micrometer": ("µm", 1e-6),
    "millimeter": ("mm", 1e-3),
    "centimeter": ("cm", 1e-2),
    "decimeter": ("dm", 1e-1),
    "meter": ("m", 1.0),
    "kilometer": ("km", 1e3),
    "inch": ("in", 0.0254),
}

_ALIASES = {
    # Two characters look like a mu: the micro sign and the Greek letter; ImageJ escapes the first.
    **dict.fromkeys(("um", "μm", "\\u00b5m", "micron", "microns", "micrometre"), "micrometer"),
    **{f"{name}s": name for name in UNITS},
    **{symbol.lower(): name for name, (symbol, _) in UNITS.items()},
}


def unit_name(text: str | None) -> str | None:
    """Return the name that OME-Zarr has for a unit of length.

    Parameters
    ----------
    text : str
        A unit as a program wrote it: ``"um"``, ``"µm"``, ``"micron"``, ``"micrometer"`` and so on.

    Returns
    -------
    str or None
        The name, such as ``"micrometer"``; None where the unit is not a known length, as in ``"pixel"``.
    """
    word = (text or "").strip().lower()
    return word if word in UNITS else _ALIASES.get(word)


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """An array together with what a file says about it.

    Parameters
    ----------
    data : array
        The voxels, of any shape with two to five axes.
    axes : str
        One letter of ``tczyx`` per axis of `data`, each at most once, y and x among them and z, y, x in this
        order: ``"yx"``, ``"zyx"``, ``"tczyx"``, ``"yxc"``.
    spacing : tuple of float, optional
        World length of a voxel along each spatial axis, in the order z, y, x. None where it is not known.
    units : str, optional
        The unit of `spacing`, as OME-Zarr spells it, such as ``"micrometer"``. None where it is not known.
    name : str
        What to call it: the stem of the file that it came from.
    metadata : mapping
        What this program stored with a result: the recipe, the provenance. It has to be JSON.
    origin : tuple of float, optional
        World position of the centre of the first voxel along each spatial axis, in `units`. None where it is not
        known, which places it at zero.

    Raises
    ------
    ValueError
        If the axes do not fit the array, the spacing is not one positive finite number per spatial axis, or the
        origin is not one finite number.
    """

    data: Any
    axes: str
    spacing: tuple[float, ...] | None = None
    units: str | None = None
    name: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    origin: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        _check_axes(self.axes, tuple(self.data.shape))
        if self.spacing is not None:
            object.__setattr__(self, "spacing", _checked_spacing(self.spacing, self.spatial_axes))
        if self.origin is not None:
            object.__setattr__(self, "origin", _checked_origin(self.origin, self.spatial_axes))
        if self.units is not None and self.units not in UNITS:
            raise ValueError(f"units must be None or one of {', '.join(UNITS)}, but are {self.units!r}")
        if self.units is not None and self.spacing is None:
            raise ValueError(f"units are {self.units!r} but spacing is None; give both or neither")
        if self.origin is not None and self.spacing is None:
            raise ValueError(f"origin is {self.origin} but spacing is None; give both, or no origin")

    def __repr__(self) -> str:
        """Return what it is in a line, without the voxels."""
        named = f" {self.name!r}" if self.name else ""
        size = "" if self.spacing is None else f", voxel {' x '.join(f'{length:g}' for length in self.spacing)}"
        unit = f" {self.units}" if self.units else ""
        return f"<Volume{named}: {self.axes} {'x'.join(map(str, self.data.shape))} {dtype_name(self.data)}{size}{unit}>"

    @property
    def spatial_axes(self) -> str:
        """The letters of `axes` that have a spacing, such as ``"zyx"``."""
        return "".join(axis for axis in self.axes if axis in SPATIAL)


def _check_axes(axes: str, shape: tuple[int, ...]) -> None:
    if len(axes) != len(shape):
        raise ValueError(f"axes must have one letter per axis of data, but are {axes!r} for the shape {shape}")
    if set(axes) - set(AXES) or len(set(axes)) != len(axes):
        raise ValueError(f"axes must be different letters of {AXES!r}, but are {axes!r}")
    spatial = "".join(axis for axis in axes if axis in SPATIAL)
    if spatial not in ("yx", "zyx"):
        raise ValueError(f"axes must hold y and x, in the order z, y, x, but are {axes!r}")


def _checked_spacing(spacing: Sequence[float], spatial: str) -> tuple[float, ...]:
    values = tuple(float(length) for length in spacing)
    if len(values) != len(spatial):
        raise ValueError(f"spacing must have one length per spatial axis, {', '.join(spatial)}, but is {values}")
    if not all(math.isfinite(length) and length > 0 for length in values):
        raise ValueError(f"spacing must be positive and finite, but is {values}")
    return values


def _checked_origin(origin: Sequence[float], spatial: str) -> tuple[float, ...]:
    values = tuple(float(position) for position in origin)
    if len(values) != len(spatial) or not all(map(math.isfinite, values)):
        raise ValueError(
            f"origin must have one finite position per spatial axis, {', '.join(spatial)}, but is {values}"
        )
    return values


def guess_axes(shape: tuple[int, ...]) -> str:
    """Name the axes of an array from a file that does not name them.

    Parameters
    ----------
    shape
        The shape of the array. A last axis of 3 or 4 counts as colour.

    Returns
    -------
    str
        ``yx``, ``zyx``, ``yxc``, ``czyx``, ``zyxc`` or ``tczyx``.

    Raises
    ------
    ValueError
        If there are fewer than two or more than five axes.
    """
    colour = len(shape) in (3, 4) and shape[-1] in (3, 4)
    names = {2: "yx", 3: "yxc" if colour else "zyx", 4: "zyxc" if colour else "czyx", 5: "tczyx"}
    if len(shape) not in names:
        raise ValueError(f"an image has 2 to 5 axes, but this array has the shape {shape}")
    return names[len(shape)]


def numpy_or_dask(data: Any) -> Any:
    """Return an array that can be sliced, transposed and computed part by part.

    Parameters
    ----------
    data : array
        Of any library, or a Zarr array.

    Returns
    -------
    array
        NumPy and dask arrays as they are, a Zarr array as a dask array, which reads nothing yet; all others in
        host memory.
    """
    if is_host(data) or is_lazy(data):
        return data
    if not hasattr(data, "chunks"):
        return to_numpy(data)
    from dask.array import from_array

    return from_array(data, chunks=data.chunks)


def arrange(data: Any, letters: str, wanted: str) -> Any:
    """Bring the axes of an array into another order.

    Parameters
    ----------
    data : array
        An array with one axis per letter.
    letters : str
        The names of its axes.
    wanted : str
        The names of the axes in the order asked for. Axes that are not in it are dropped, axes that are new
        have length 1.

    Returns
    -------
    array
        A view of `data`.

    Raises
    ------
    ValueError
        If an axis longer than 1 would be dropped.
    """
    for axis, size in zip(letters, data.shape, strict=True):
        if axis not in wanted and size != 1:
            raise ValueError(f"axis {axis!r} of length {size} has no place among {wanted!r}")
    kept = data[tuple(slice(None) if axis in wanted else 0 for axis in letters)]
    present = [axis for axis in letters if axis in wanted]
    ordered = kept.transpose([present.index(axis) for axis in wanted if axis in present])
    return ordered[tuple(slice(None) if axis in present else None for axis in wanted)]


def common_spacing(
    lengths: Sequence[float | None], units: Sequence[str | None]
) -> tuple[tuple[float, ...] | None, str | None]:
    """Bring voxel lengths that a file gives per axis to one unit, that of the last axis.

    Parameters
    ----------
    lengths : sequence of float
        Voxel length per spatial axis; None, zero or a number that is not finite mean *not known*.
    units : str, optional
        The unit per spatial axis, as the file spells it.

    Returns
    -------
    spacing : tuple of float or None
        None where one of the lengths is not known.
    units : str or None
        The unit of `spacing`; None where one of them is not known.
    """
    known = [abs(length) for length in lengths if length and math.isfinite(length)]
    names = [unit_name(unit) for unit in units]
    if len(known) != len(lengths):
        return None, None
    if None in names:
        return tuple(known), None
    factors = [UNITS[name][1] for name in names if name]
    # Dividing by an equal factor is exact, so equal units leave the numbers as they were.
    return tuple(length * (f / factors[-1]) for length, f in zip(known, factors, strict=True)), names[-1]


def pack(volume: Volume) -> str:
    """Write what a file format cannot say of a volume as JSON, in ASCII.

    Parameters
    ----------
    volume : Volume
        The volume that will be stored.

    Returns
    -------
    str
        An object with the keys axes, dtype, spacing, units, origin and metadata.

    Raises
    ------
    ValueError
        If the metadata are not JSON.
    """
    payload = {
        "axes": volume.axes,
        "dtype": dtype_name(volume.data),
        "spacing": volume.spacing,
        "units": volume.units,
        "origin": volume.origin,
        "metadata": dict(volume.metadata),
    }
    return as_json(payload)


def as_json(value: Any) -> str:
    """Write what goes along with a volume as JSON, in ASCII; NumPy values become plain.

    Parameters
    ----------
    value : object
        Text, finite numbers, lists, dicts, NumPy arrays.

    Returns
    -------
    str
        JSON.

    Raises
    ------
    ValueError
        If there is anything else in it.
    """
    try:
        return json.dumps(value, default=_plain, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"metadata must be plain JSON (text, finite numbers, lists, dicts), but: {error}") from error


def _plain(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{value!r} is a {type(value).__name__}")


def unpack(text: str | None) -> dict[str, Any] | None:
    """Read what `pack` wrote.

    Parameters
    ----------
    text : str
        Text that may come from `pack`.

    Returns
    -------
    dict or None
        The object; None where the text is something else.
    """
    try:
        payload = json.loads(text or "")
    except ValueError:
        return None
    complete = isinstance(payload, dict) and payload.keys() >= {"axes", "spacing", "units", "metadata"}
    return payload if complete else None
