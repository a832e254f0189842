"""From a layer to arrays, and from labels back to a layer that lies where the image does.  No Qt here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.utils.transforms import Affine

__all__ = [
    "MAX_LAZY_BYTES",
    "VoxelSize",
    "copy_of",
    "corners",
    "data_problem",
    "has_voxel_size",
    "is_preview",
    "lay_on",
    "length_unit",
    "lie_apart",
    "lies_at",
    "level_zero",
    "ours",
    "placement",
    "same_place",
    "shifted",
    "spacing",
    "voxel_size",
    "voxel_text",
    "with_first_axis",
]

MAX_LAZY_BYTES = 2**30
"""A dask or zarr layer larger than this is not read into memory behind the user's back."""

Layer = Any
"""A napari layer."""


@dataclass(frozen=True, slots=True)
class VoxelSize:
    """How large a voxel is.

    Parameters
    ----------
    lengths : tuple of float
        World length of a voxel along each axis.
    unit : str
        The symbol of their unit, such as ``"µm"``; empty if it is not known.
    """

    lengths: tuple[float, ...]
    unit: str

    def __str__(self) -> str:
        edges = " × ".join(f"{s:.4g}" for s in self.lengths)  # noqa: RUF001
        return f"{edges} {self.unit}".rstrip()


def level_zero(layer: Layer) -> Any:
    """Return the array of a layer at full resolution, computed or not.

    Parameters
    ----------
    layer : napari layer
        An Image or Labels layer.

    Returns
    -------
    array
        NumPy, dask or zarr; the first level of a multiscale layer.
    """
    return layer.data[0] if layer.multiscale else layer.data


def ours(layer: Layer) -> Mapping[str, Any]:
    """Return what this plugin has stored with a layer; empty if it is none of its layers."""
    found = getattr(layer, "metadata", {}).get("napari_cutout")
    return found if isinstance(found, Mapping) else {}


def is_preview(layer: Layer) -> bool:
    """Tell whether a layer is a preview, which goes away by itself and which nothing may use."""
    return bool(ours(layer).get("preview"))


def data_problem(layer: Layer) -> str:
    """Say why the array of a layer may not be read whole, or return an empty string.

    Parameters
    ----------
    layer : napari layer
        An Image or Labels layer.

    Returns
    -------
    str
        One sentence that quotes the size, the limit and the way out.
    """
    array = level_zero(layer)
    n_bytes = math.prod(array.shape) * np.dtype(array.dtype).itemsize
    if isinstance(array, np.ndarray) or n_bytes <= MAX_LAZY_BYTES:
        return ""
    kind = "multiscale" if layer.multiscale else type(array).__module__.partition(".")[0]
    return (
        f"'{layer.name}' is a {kind} layer of {n_bytes / 2**30:.1f} GiB, and at most {MAX_LAZY_BYTES / 2**30:g} GiB "
        "are read into memory; crop it, or run its file on the command line"
    )


def copy_of(layer: Layer) -> Any:
    """Return what a Labels layer holds now, so that painting goes on without changing a run.

    Parameters
    ----------
    layer : napari layer
        A Labels layer.

    Returns
    -------
    array
        A copy of a NumPy array; a dask or zarr array itself, since nobody paints into it.
    """
    array = level_zero(layer)
    return array.copy() if isinstance(array, np.ndarray) else array


def placement(layer: Layer, axes: Sequence[int] | None = None) -> dict[str, Any]:
    """Return what puts a new layer of the same shape where this one lies.

    napari carries over only some of it by itself. The axis of colours is not among the axes of a layer, so an RGB
    layer gives the place of its planes.

    Parameters
    ----------
    layer : napari layer
        Where the result belongs.
    axes : sequence of int, optional
        The axes of the layer that the result has, such as all but that of the channels; all by default.

    Returns
    -------
    dict
        Arguments for a new layer: scale, translate, rotate, shear, affine, units, axis_labels.
    """
    kept = list(range(layer.ndim)) if axes is None else list(axes)
    shear = np.array(layer.shear)
    if len(kept) < layer.ndim:  # as a matrix, from which rows and columns can be taken
        shear = Affine(shear=shear, scale=np.ones(layer.ndim), ndim=layer.ndim).linear_matrix[np.ix_(kept, kept)]
    corner = [*kept, layer.ndim]
    labels = tuple(layer.axis_labels[at] for at in kept)
    named = len(kept) == layer.ndim or not any(label.startswith("-") for label in labels)  # else napari counts them
    return {
        "scale": tuple(layer.scale[at] for at in kept),
        "translate": tuple(layer.translate[at] for at in kept),
        "rotate": np.array(layer.rotate)[np.ix_(kept, kept)],
        "shear": shear,
        "affine": np.array(layer.affine.affine_matrix)[np.ix_(corner, corner)],
        "units": tuple(layer.units[at] for at in kept),
        **({"axis_labels": labels} if named else {}),
    }


def shifted(place: Mapping[str, Any], start: Sequence[float], factor: Sequence[float]) -> dict[str, Any]:
    """Return the place of a part, at a lower resolution, of what lies at `place`.

    Parameters
    ----------
    place : mapping
        As `placement` returns it.
    start : sequence of int
        First index of the part along each axis, at the lower resolution.
    factor : sequence of float
        How many voxels one voxel of the lower resolution spans. Its centre lies between theirs.

    Returns
    -------
    dict
        Arguments for a new layer.
    """
    first = [s * f + (f - 1) / 2 for s, f in zip(start, factor, strict=True)]
    physical = Affine(scale=place["scale"], translate=place["translate"], rotate=place["rotate"], shear=place["shear"])
    scale = tuple(float(s) * f for s, f in zip(place["scale"], factor, strict=True))
    return {**place, "scale": scale, "translate": tuple(float(x) for x in physical(first))}


def with_first_axis(place: Mapping[str, Any], label: str, first: float) -> dict[str, Any]:
    """Return the place of several arrays that all lie at `place`, stacked along a new first axis.

    Parameters
    ----------
    place : mapping
        As `placement` returns it.
    label : str
        What the new axis is called.
    first : float
        Where its first index lies; it has no unit, and steps of 1.

    Returns
    -------
    dict
        Arguments for a new layer.
    """
    n = len(place["scale"])
    shear = Affine(shear=place["shear"], scale=np.ones(n), ndim=n).linear_matrix
    labels = place.get("axis_labels", tuple(str(at - n) for at in range(n)))
    return {
        "scale": (1.0, *place["scale"]),
        "translate": (first, *place["translate"]),
        "rotate": _bordered(place["rotate"]),
        "shear": _bordered(shear),
        "affine": _bordered(place["affine"]),
        "units": ("pixel", *place["units"]),
        "axis_labels": (label, *labels),
    }


def _bordered(matrix: Any) -> Any:
    """Return a matrix with an axis before the others that it leaves alone."""
    n = len(matrix)
    found = np.eye(n + 1)
    found[1:, 1:] = matrix
    return found


def corners(place: Mapping[str, Any], shape: Sequence[int]) -> Any:
    """Return where the corners of an array of this shape lie in the world, if it lies at `place`."""
    physical = Affine(scale=place["scale"], translate=place["translate"], rotate=place["rotate"], shear=place["shear"])
    at = np.array([np.where(pick, shape, 0) for pick in np.ndindex(*(2,) * len(shape))], dtype=float)
    matrix = np.asarray(place["affine"])
    return physical(at) @ matrix[:-1, :-1].T + matrix[:-1, -1]


def spacing(layer: Layer, axes: Sequence[int] | None = None) -> tuple[float, ...]:
    """Return the world length of a voxel of the layer along each axis.

    Parameters
    ----------
    layer : napari layer
        An Image or Labels layer.
    axes : sequence of int, optional
        Along which axes; all by default.

    Returns
    -------
    tuple of float
        The absolute scale, or where a shear or an affine stretches voxels as well, the length of their edges.
    """
    linear = layer.affine.linear_matrix
    if np.array_equal(linear, np.eye(layer.ndim)) and not np.any(layer.shear):
        return tuple(abs(float(layer.scale[at])) for at in _axes(layer, axes))
    origin = np.asarray(layer.data_to_world(np.zeros(layer.ndim)))
    units = np.eye(layer.ndim)
    edges = [np.asarray(layer.data_to_world(units[at])) - origin for at in _axes(layer, axes)]
    return tuple(float(f"{np.linalg.norm(edge):.12g}") for edge in edges)


def has_voxel_size(layer: Layer, axes: Sequence[int] | None = None) -> bool:
    """Tell whether anybody has set the size of a voxel; a scale of 1 along every axis, in pixels, says nobody has."""
    return any(length != 1 for length in spacing(layer, axes)) or bool(length_unit(layer, axes))


def length_unit(layer: Layer, axes: Sequence[int] | None = None) -> str:
    """Return the symbol of the layer's unit of length, such as ``"µm"``; empty if it is pixels or mixed."""
    symbols = {f"{layer.units[at]:~}" for at in _axes(layer, axes)}
    symbol = symbols.pop() if len(symbols) == 1 else ""
    return "" if symbol in ("pixel", "px") else symbol


def voxel_size(layer: Layer, axes: Sequence[int] | None = None) -> VoxelSize | None:
    """Return how large a voxel of the layer is along some of its axes or all, or None if nobody has set it."""
    return VoxelSize(spacing(layer, axes), length_unit(layer, axes)) if has_voxel_size(layer, axes) else None


def _axes(layer: Layer, axes: Sequence[int] | None) -> Sequence[int]:
    return range(layer.ndim) if axes is None else axes


def voxel_text(layer: Layer, given: VoxelSize | None = None, axes: Sequence[int] | None = None) -> str:
    """Say how large a voxel is, in a few words.

    Parameters
    ----------
    layer : napari layer
        An Image or Labels layer.
    given : VoxelSize, optional
        What the user gave for a layer that has no size.
    axes : sequence of int, optional
        Which axes are lengths in space; all by default.

    Returns
    -------
    str
        Such as ``"voxel 0.5 × 0.2 × 0.2 µm"``, or that it is not set.
    """
    solid = len(_axes(layer, axes)) > 2
    word = "voxel" if solid else "pixel"
    if size := voxel_size(layer, axes):
        return f"{word} {size}"
    if given:
        return f"{word} {given} for this run; the layer has no size"
    return f"{word} size not set" + (" (taken as a cube)" if solid else "")


def voxel_words(layer: Layer, given: VoxelSize | None = None, axes: Sequence[int] | None = None) -> str:
    """Say the same in fewer words: the lengths and their unit alone, or ``"pixel size not set"``."""
    words = voxel_text(layer, given, axes).split(" for this run")[0].removesuffix(" (taken as a cube)")
    return words if words.endswith("not set") else words.split(" ", 1)[1]


def lies_at(layer: Layer, place: Mapping[str, Any], shape: Sequence[int]) -> bool:
    """Tell whether a layer lies, voxel on voxel, where an array of its shape lies.

    Parameters
    ----------
    layer : napari layer
        A layer of that shape.
    place : mapping
        As `placement` returns it.
    shape : sequence of int
        The shape of both.

    Returns
    -------
    bool
        True if every corner of the one is at that corner of the other, to 1/100 of a voxel.
    """
    there = corners(place, shape)
    apart = np.abs(corners(placement(layer), shape) - there).max(initial=0)
    return bool(apart <= 0.01 * min(spacing(layer)))


def same_place(first: Layer, second: Layer) -> bool:
    """Tell whether two layers of one shape lie on each other, voxel on voxel.

    Parameters
    ----------
    first, second : napari layer
        Layers of the same shape.

    Returns
    -------
    bool
        True if every corner of the one is at that corner of the other, to 1/100 of a voxel.
    """
    return lies_at(first, placement(second), level_zero(first).shape[: first.ndim])


def lie_apart(first: Layer, second: Layer) -> bool:
    """Tell whether two layers have one shape and could lie on each other, but do not.

    Parameters
    ----------
    first, second : napari layer
        Image or Labels layers.

    Returns
    -------
    bool
        True if one of them has to be moved or scaled, and nothing else.
    """
    shapes = {tuple(level_zero(layer).shape[: layer.ndim]) for layer in (first, second)}
    return first is not second and len(shapes) == 1 and not same_place(first, second)


def lay_on(layer: Layer, other: Layer) -> None:
    """Give a layer the scale, the units and the transforms of another one of its shape; its axes keep their names."""
    place = placement(other)
    for name in ("scale", "translate", "rotate", "shear", "affine", "units"):
        setattr(layer, name, place[name])
