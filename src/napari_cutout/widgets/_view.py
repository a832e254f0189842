"""What the viewer shows of a layer: which axes, at which index of the others, and how much of the plane.  No Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from . import _layers

__all__ = ["View", "camera_of", "kept_in_view", "of_viewer", "seen_of", "view_of"]

T = TypeVar("T")

Layer = Any
"""A napari layer."""


def camera_of(viewer: Any) -> Any:
    """Return the camera of a viewer, which moved to its scene in napari 0.9."""
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera


def of_viewer(viewer: Any, kept: MutableMapping[Any, T], make: Callable[[Any], T]) -> T:
    """Return what is kept for a viewer, or for the one behind the proxy that plugins get; made when first asked for."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    if viewer not in kept:
        kept[viewer] = make(viewer)
    return kept[viewer]


@dataclass(frozen=True, slots=True)
class View:
    """What the viewer shows of a layer, in indices of its data at full resolution.

    Parameters
    ----------
    displayed : tuple of int
        The axes of the layer that are shown, two or three of them, in the order of the screen.
    point : tuple of int
        Index of what is shown along each axis of the layer; along those that are displayed it means nothing.
    box : tuple of (int, int)
        First index in view and the one after the last, along each axis; one index along those that are not displayed.
    problem : str
        Why nothing of the layer is shown, in one sentence; empty if something is.
    """

    displayed: tuple[int, ...]
    point: tuple[int, ...]
    box: tuple[tuple[int, int], ...]
    problem: str = ""

    def without(self, axis: int) -> View:
        """Return the view without one of the layer's axes, such as that of the channels."""
        kept = [at for at in range(len(self.point)) if at != axis]
        return View(
            tuple(kept.index(at) for at in self.displayed if at != axis),
            tuple(self.point[at] for at in kept),
            tuple(self.box[at] for at in kept),
            self.problem,
        )


def view_of(viewer: Any, layer: Layer) -> View:
    """Read off what the viewer shows of a layer.

    Parameters
    ----------
    viewer : napari viewer or ViewerModel
        Its dims say which axes are shown, in which order, and where it stands along the others.
    layer : napari Image or Labels layer
        One of its layers.

    Returns
    -------
    View
        The box is what the canvas showed when it was last drawn; the whole plane before it was ever drawn.
    """
    shape = tuple(_layers.level_zero(layer).shape[: layer.ndim])
    displayed = _displayed(viewer.dims, layer.ndim)
    where = np.nan_to_num(np.asarray(layer.world_to_data(viewer.dims.point), dtype=float))
    point = tuple(round(float(x)) for x in where)  # to even where it lies between two, as napari does
    box, problem = [], ""
    for axis, n in enumerate(shape):
        if axis not in displayed:
            box.append((point[axis], point[axis] + 1))
            if not 0 <= point[axis] < n:
                problem = f"'{layer.name}' is not in view: it ends before this slice; move the slider back onto it"
        else:
            box.append(_in_view(layer, axis, n) if len(displayed) == 2 else (0, n))
    if any(stop <= start for start, stop in box) and not problem:
        problem = f"'{layer.name}' is not in view; move the view back onto it (Home)"
    return View(displayed, point, tuple(box), problem)


def _displayed(dims: Any, ndim: int) -> tuple[int, ...]:
    """Return which axes of a layer are shown; the layers of a viewer share their last axes."""
    spare = dims.ndim - ndim
    return tuple(int(axis) - spare for axis in dims.displayed if axis >= spare)


def _in_view(layer: Layer, axis: int, n: int) -> tuple[int, int]:
    """Return what the canvas last showed along a displayed axis, at full resolution.

    napari keeps it up to date for every layer, rotated ones included, whenever it draws; of a pyramid it keeps what
    it loaded, at the level that it shows.
    """
    factor = float(layer.downsample_factors[layer.data_level][axis]) if layer.multiscale else 1.0
    corners = np.asarray(layer.corner_pixels)
    if corners.shape[1] != layer.ndim:  # its data were just replaced by those of another number of axes
        return 0, n
    first, last = corners[:, axis]
    if first == last:  # not drawn yet since it is displayed
        return 0, n
    return max(int(first * factor), 0), min(int(np.ceil((last + 1) * factor)), n)


def seen_of(viewer: Any, layer: Layer) -> tuple[tuple[int, int], ...]:
    """Return what of a layer lies inside the canvas in 2-D: of a pyramid that is less than what napari has loaded.

    Parameters
    ----------
    viewer : napari viewer or ViewerModel
        What is shown.
    layer : napari Image or Labels layer
        One of its layers.

    Returns
    -------
    tuple of (int, int)
        As the box of `view_of`; that box where napari does not say how large its canvas is.
    """
    view = view_of(viewer, layer)
    size = getattr(getattr(viewer, "canvas", None), "size", None)
    if len(view.displayed) != 2 or size is None or not hasattr(viewer, "scene"):
        return view.box
    camera, dims = viewer.scene.camera, viewer.dims
    half = np.asarray(size, dtype=float) / (2 * camera.zoom)
    corners = []
    for signs in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        world = np.array(dims.point, dtype=float)
        world[list(dims.displayed)] = np.asarray(camera.center[-2:]) + half * signs
        corners.append(layer.world_to_data(world[-layer.ndim :]))
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    return tuple(
        (max(int(np.floor(low[axis] + 0.5)), start), min(int(np.ceil(high[axis] + 0.5)), stop))
        if axis in view.displayed
        else (start, stop)
        for axis, (start, stop) in enumerate(view.box)
    )


@contextmanager
def kept_in_view(viewer: Any, layer: Layer) -> Iterator[None]:
    """Let the viewer show of a layer what it showed before its scale was altered inside the `with`.

    Parameters
    ----------
    viewer : napari viewer or ViewerModel
        Its camera and sliders follow.
    layer : napari layer
        One of its layers.
    """
    camera, dims = camera_of(viewer), viewer.dims
    shown, own, axes = list(dims.displayed), slice(dims.ndim - layer.ndim, None), _displayed(dims, layer.ndim)
    point, center = np.array(dims.point, dtype=float), np.array(dims.point, dtype=float)
    center[shown] = np.asarray(camera.center)[-len(shown) :]
    held = [layer.world_to_data(world[own]) for world in (point, center)]
    lengths = np.array(_layers.spacing(layer, axes))
    yield
    point[own], center[own] = (layer.data_to_world(at) for at in held)
    dims.point = tuple(point)
    camera.center = (0.0,) * (3 - len(shown)) + tuple(center[shown])
    camera.zoom /= float(np.exp(np.log(_layers.spacing(layer, axes) / lengths).mean()))
