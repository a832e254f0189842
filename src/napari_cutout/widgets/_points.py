"""A Points layer as markers: the voxels in which its points lie, and the label that each stands for.  No Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from napari.layers import Points
from napari.utils.transforms import Affine
from numpy.typing import NDArray

from .._checks import MAX_LABEL
from .._sources import Source
from ..processing.points import lies_inside, planted, voxels_of
from . import _layers
from ._target import Target

__all__ = ["LABEL", "PlantedPoints", "copy_of_labels", "is_points", "labels_of", "points_note", "with_points"]

Layer = Any
"""A napari layer."""

LABEL = "label"
"""The feature of a Points layer that names the label of each point; without it they are numbered in their order."""


@dataclass(frozen=True, slots=True, eq=False)
class PlantedPoints:
    """The array of labels that points stand for.  It is cheap to make: only the box that is read of it is filled.

    Parameters
    ----------
    index : int array of shape (n, ndim)
        The voxel of each point that lies inside.
    labels : int array of shape (n,)
        The label of each.
    shape : tuple of int
        The shape of the array.
    n_outside : int
        How many points lie beyond it.
    """

    index: NDArray[np.int64]
    labels: NDArray[np.int64]
    shape: tuple[int, ...]
    n_outside: int = 0

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest unsigned dtype that holds the labels."""
        return np.min_scalar_type(int(self.labels.max(initial=0)))

    def __getitem__(self, index: tuple[slice | int, ...]) -> NDArray[Any]:
        """Return a box of it; an index takes its axis away."""
        ends = [(i, i + 1) if isinstance(i, int) else i.indices(n)[:2] for i, n in zip(index, self.shape, strict=True)]
        start = np.array([first for first, _ in ends])
        box = planted(self.index - start, self.labels, [last - first for first, last in ends])
        taken: NDArray[Any] = box[tuple(0 if isinstance(i, int) else slice(None) for i in index)]
        return taken.astype(self.dtype, copy=False)

    def whole(self) -> NDArray[Any]:
        """Return all of it."""
        return self[(slice(None),) * self.ndim]

    def lowered(self, factor: Sequence[float], shape: Sequence[int]) -> PlantedPoints:
        """Return the same points on a lower level of a pyramid, one voxel of which spans `factor` of these."""
        index = np.floor(self.index / np.asarray(factor)).astype(np.int64)
        return replace(self, index=index, shape=tuple(shape))

    def without(self, axis: int) -> PlantedPoints:
        """Return it without an axis of length 1."""
        shape = self.shape[:axis] + self.shape[axis + 1 :]
        return replace(self, index=np.delete(self.index, axis, axis=1), shape=shape)

    @property
    def listed(self) -> tuple[tuple[int, ...], ...]:
        """The label of each point and its voxel, as plain numbers."""
        return tuple((label, *at) for label, at in zip(self.labels.tolist(), self.index.tolist(), strict=True))


def is_points(layer: Layer) -> bool:
    """Tell whether a layer is one of points."""
    return isinstance(getattr(layer, "__wrapped__", layer), Points)


def planted_points(layer: Layer, place: Mapping[str, Any], shape: Sequence[int]) -> PlantedPoints:
    """Return where the points of a layer lie in an array.

    Parameters
    ----------
    layer : napari Points layer
        Points that are hidden are left out. Of an axis that the array lacks, such as that of channels, any index will
        do.
    place : mapping
        Where the array lies, as `placement` returns it.
    shape : sequence of int
        Its shape.

    Returns
    -------
    PlantedPoints
        Those that lie inside, in their order.

    Raises
    ------
    ValueError
        If there are no points, none lies inside, they have fewer axes than the array, or labels are no labels.
    """
    shown = np.broadcast_to(np.asarray(layer.shown, bool), len(layer.data))
    if not shown.any():
        raise ValueError(f"'{layer.name}' has no points; add some with the tool for it, or choose painted markers")
    if layer.ndim < len(shape):
        raise ValueError(
            f"'{layer.name}' has points of {layer.ndim} axes, and {len(shape)} are needed to say where they lie; add a "
            f"Points layer with {len(shape)} axes"
        )
    world = _to_world(_layers.placement(layer), np.asarray(layer.data)[shown])[:, -len(shape) :]
    index = voxels_of(_from_world(place, world))
    inside = lies_inside(index, shape)
    labels = _labels(layer, shown)
    if not inside.any():
        raise ValueError(f"every point of '{layer.name}' lies outside the image; place at least one inside")
    return PlantedPoints(index[inside], labels[inside], tuple(shape), int(np.count_nonzero(~inside)))


def _labels(layer: Layer, shown: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the label of each point that is shown: its feature of that name, else its number from 1 among all."""
    if LABEL not in layer.features:
        return np.flatnonzero(shown) + 1
    values = np.asarray(np.asarray(layer.features[LABEL])[shown].tolist())  # one that is hidden does not set the dtype
    whole = values.dtype.kind in "iu" or (values.dtype.kind == "f" and np.array_equal(values, np.round(values)))
    if not whole or values.min() < 1 or values.max() > MAX_LABEL:
        raise ValueError(
            f"the feature {LABEL!r} of '{layer.name}' must hold a whole number from 1 to {MAX_LABEL} for every point "
            "that is shown; correct it, or remove it to number the points in their order"
        )
    return values.astype(np.int64)


def _to_world(place: Mapping[str, Any], points: NDArray[Any]) -> NDArray[Any]:
    """Return where indices of an array at a place lie in the world."""
    linear, offset = _matrix(place)
    found: NDArray[Any] = points @ linear.T + offset
    return found


def _from_world(place: Mapping[str, Any], points: NDArray[Any]) -> NDArray[Any]:
    """Return the indices, as floats, at which points of the world lie in an array at a place."""
    linear, offset = _matrix(place)
    found: NDArray[Any] = np.linalg.solve(linear, (points - offset).T).T
    return np.round(found, 9)  # a point on the border of a voxel stays there


def _matrix(place: Mapping[str, Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return what leads from indices to the world: a matrix, and what is added."""
    own = Affine(scale=place["scale"], translate=place["translate"], rotate=place["rotate"], shear=place["shear"])
    beyond = np.asarray(place["affine"])
    linear = beyond[:-1, :-1] @ own.linear_matrix
    return linear, beyond[:-1, :-1] @ own.translate + beyond[:-1, -1]


# Layers beside the one that is cut ------------------------------------------------------------------------


def labels_of(layer: Layer, aim: Target) -> Any:
    """Return the labels that a layer beside the image holds, or its points stand for, not copied.

    Parameters
    ----------
    layer : napari Labels or Points layer
        A mask or markers.
    aim : Target
        What a run works on.

    Returns
    -------
    array or PlantedPoints
        Without the axis that stands for all channels.

    Raises
    ------
    ValueError
        If points cannot be markers.
    """
    if not is_points(layer):
        return aim.as_input(_layers.level_zero(layer))
    points = planted_points(layer, aim.place, aim.shape)
    return points if aim.spread is None else points.without(aim.spread)


def copy_of_labels(layer: Layer, aim: Target) -> Any:
    """Return the same as an array that stays as it is now; a dask or zarr array itself, since nobody paints into it."""
    if is_points(layer):
        return labels_of(layer, aim).whole()
    return aim.as_input(_layers.copy_of(layer))


def with_points(source: Source, layer: Layer, aim: Target) -> Source:
    """Return where markers come from: of points, themselves, since no file of labels holds them."""
    return replace(source, path="", points=labels_of(layer, aim).listed) if is_points(layer) else source


def points_note(layer: Layer, mask: Layer | None, aim: Target) -> str:
    """Say which labels points stand for and how many are left out, or raise if all are.

    Parameters
    ----------
    layer : napari Points layer
        The markers.
    mask : napari Labels layer, optional
        Where the method looks; read only if it is in memory.
    aim : Target
        What a run works on.

    Returns
    -------
    str
        Such as ``"12 points mark 12 objects; 1 lies outside the image and is left out"``.

    Raises
    ------
    ValueError
        If no point can be used.
    """
    points = labels_of(layer, aim)
    within = np.ones(len(points.index), bool)
    held = None if mask is None else aim.as_input(_layers.level_zero(mask))
    if isinstance(held, np.ndarray) and held.shape == points.shape:
        within = held[tuple(points.index.T)] != 0
    if not within.any():
        raise ValueError(f"every point of '{layer.name}' lies outside the mask; place at least one inside, or widen it")
    left_out = [(points.n_outside, "the image"), (int(np.count_nonzero(~within)), "the mask")]
    n, n_labels = len(points.index) + points.n_outside, len(np.unique(points.labels[within]))
    words = [f"{n} point{'s' * (n > 1)} mark{'s' * (n == 1)} {n_labels} object{'s' * (n_labels > 1)}"]
    for count, where in left_out:
        if count:
            words.append(
                f"{count} lie{'s' * (count == 1)} outside {where} and {'is' if count == 1 else 'are'} left out"
            )
    return "; ".join(words)
