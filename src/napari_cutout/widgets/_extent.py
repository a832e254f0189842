"""Where of an image a run is to look: everywhere, where the view is, or inside the shapes of a Shapes layer.  No Qt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from . import _layers
from ._target import Extent, Outline
from ._view import view_of

__all__ = ["Region", "extent_of", "outline_of"]

Layer = Any
"""A napari layer."""

Region = Literal["whole", "view"] | Any
"""The whole image, the field of view, or a Shapes layer."""

_AREAS = ("rectangle", "polygon", "ellipse")
"""The shapes that enclose something."""


def extent_of(viewer: Any, layer: Layer, letters: str, region: Region) -> Extent:
    """Read off where a run is to look.

    Parameters
    ----------
    viewer : napari viewer or ViewerModel
        What is shown.
    layer : napari Image or Labels layer
        What is cut.
    letters : str
        One letter per axis of its array.
    region : {"whole", "view"} or napari Shapes layer
        Where to look. Of a Shapes layer the selected shapes count, or all if none is selected.

    Returns
    -------
    Extent
        Along every axis but c, at full resolution.

    Raises
    ------
    ValueError
        If nothing of the layer is in view, or the Shapes layer holds no area.
    """
    view = view_of(viewer, layer)
    kept = [at for at in range(layer.ndim) if letters[at] != "c"]
    point = tuple(view.point[at] for at in kept)
    if isinstance(region, str) and region == "whole":
        return Extent(point)
    shape = [_layers.level_zero(layer).shape[at] for at in kept]
    whole: list[tuple[float, float]] = [(0.0, float(n)) for n in shape]
    if isinstance(region, str):
        if view.problem:
            raise ValueError(view.problem)
        shown = {kept.index(at): view.box[at] for at in view.displayed if at in kept}
        return Extent(point, tuple(shown.get(at, ends) for at, ends in enumerate(whole)))
    return _inside(region, layer, kept, whole, point)


def _inside(
    shapes: Layer, layer: Layer, kept: Sequence[int], whole: list[tuple[float, float]], point: tuple[int, ...]
) -> Extent:
    """Return the box of all shapes, and their outline if it is not that box."""
    areas = _areas(shapes, sorted(shapes.selected_data) or range(len(shapes.data)))
    if not areas:
        raise ValueError(
            f"'{shapes.name}' has no rectangle, polygon or ellipse to look into; draw one, or choose another region"
        )
    outline = _outline(shapes, areas, layer, kept)
    axes, flat = outline.axes, outline.polygons
    corners = np.concatenate(flat)
    ends = dict(zip(axes, zip(corners.min(axis=0) + 0.5, corners.max(axis=0) + 0.5, strict=True), strict=True))
    box = tuple((float(ends[at][0]), float(ends[at][1])) if at in ends else ends_ for at, ends_ in enumerate(whole))
    is_box = len(flat) == 1 and shapes.shape_type[areas[0]] == "rectangle" and _upright(flat[0])
    return Extent(point, box, None if is_box else outline)


def outline_of(shapes: Layer, layer: Layer) -> Outline | None:
    """Return the outlines of all areas of a Shapes layer as indices of another layer, or None if there are none.

    Parameters
    ----------
    shapes : napari Shapes layer
        Its rectangles, polygons and ellipses count, selected or not.
    layer : napari Image or Labels layer
        Where they are laid over; no axis of its array holds channels.

    Returns
    -------
    Outline or None
        In the plane that they were drawn in.
    """
    areas = _areas(shapes, range(len(shapes.data)))
    return _outline(shapes, areas, layer, range(layer.ndim)) if areas else None


def _areas(shapes: Layer, chosen: Iterable[int]) -> list[int]:
    return [at for at in chosen if shapes.shape_type[at] in _AREAS]


def _outline(shapes: Layer, areas: Sequence[int], layer: Layer, kept: Sequence[int]) -> Outline:
    """Return the outlines of some shapes, in the two axes along which they reach farthest."""
    outlines = [_in_layer(_corners(shapes, at), shapes, layer)[:, list(kept)] for at in areas]
    spread = np.ptp(np.concatenate(outlines), axis=0)
    first, second = (int(at) for at in np.sort(np.argsort(spread)[-2:]))
    return Outline(tuple(outline[:, (first, second)] for outline in outlines), (first, second))


def _corners(shapes: Layer, at: int) -> NDArray[np.float64]:
    """Return the corners of a shape; those of an ellipse are on its outline."""
    corners = np.asarray(shapes.data[at], dtype=float)
    if shapes.shape_type[at] != "ellipse":
        return corners
    centre, half, other = corners.mean(axis=0), (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angle = np.linspace(0, 2 * np.pi, 128, endpoint=False)[:, None]
    return np.asarray(centre + np.cos(angle) * half + np.sin(angle) * other)


def _in_layer(corners: NDArray[np.float64], shapes: Layer, layer: Layer) -> NDArray[np.float64]:
    """Return corners as indices of the layer; layers share their last axes, and have 0 along what they lack."""
    found = []
    for corner in corners:
        world = np.asarray(shapes.data_to_world(corner), dtype=float)
        lacking = max(layer.ndim - world.size, 0)
        found.append(layer.world_to_data(np.concatenate([np.zeros(lacking), world[-layer.ndim :]])))
    return np.round(np.asarray(found, dtype=float), 6)  # a corner on the edge of a voxel stays there


def _upright(corners: NDArray[np.float64]) -> bool:
    """Tell whether every edge of an outline runs along an axis."""
    edges = np.abs(corners - np.roll(corners, 1, axis=0))
    return bool((edges.min(axis=1) <= 1e-6 * max(edges.max(), 1.0)).all())
