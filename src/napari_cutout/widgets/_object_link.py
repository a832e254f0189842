"""From a row of a table to its object in the viewer, and from a click in the viewer to the object.  No Qt here."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

__all__ = ["ObjectLink", "show_place"]

Layer = Any
"""A napari layer."""

_CHANGES = ("data", "paint", "labels_update")
"""Events of a Labels layer after which what was measured of it is old."""


def show_place(viewer: Any, layer: Layer, place: tuple[float, ...]) -> None:
    """Move the sliders and the camera of a viewer to an index of a layer's data.

    Parameters
    ----------
    viewer : napari viewer
        What moves; its zoom stays.
    layer : napari layer
        Whose data it is.
    place : tuple of float
        Where to go.
    """
    world = np.asarray(layer.data_to_world(place))
    before = viewer.dims.ndim - layer.ndim  # napari aligns layers by their last axes
    for axis in viewer.dims.not_displayed:
        if axis >= before:
            viewer.dims.set_point(axis, float(world[axis - before]))
    shown = [float(world[axis - before]) if axis >= before else 0.0 for axis in viewer.dims.displayed]
    camera = getattr(viewer, "scene", viewer).camera
    camera.center = (0.0, *shown) if len(shown) == 2 else tuple(shown)


class ObjectLink:
    """Tells which object of a Labels layer is clicked in the viewer or picked, and when the labels have changed.

    It is no Qt object, so that it can let go after the widget that it serves is gone.

    Parameters
    ----------
    viewer : napari viewer
        Where clicks are heard.
    chosen : bound method
        Called with a label and an index of the data where it is; it is held weakly.
    changed : bound method
        Called after the labels have changed; it is held weakly.
    """

    def __init__(self, viewer: Any, chosen: Callable[[int, Any], None], changed: Callable[[], None]) -> None:
        self._viewer, self._layer = viewer, None
        self._chosen, self._changed = weakref.WeakMethod(chosen), weakref.WeakMethod(changed)
        self._quiet = False
        viewer.mouse_drag_callbacks.append(self._clicked)

    def follow(self, layer: Layer | None) -> None:
        """Follow this layer, and no longer the one before."""
        self._connect("disconnect")
        self._layer = layer
        self._connect("connect")

    def close(self, _: Any = None) -> None:
        """Let go of everything."""
        self.follow(None)
        if self._clicked in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._clicked)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Hear nothing of the layer inside the ``with`` block, in which the widget itself selects a label."""
        self._quiet = True
        try:
            yield
        finally:
            self._quiet = False

    def _connect(self, verb: str) -> None:
        if self._layer is None:
            return
        events = self._layer.events
        getattr(events.selected_label, verb)(self._picked)
        for name in _CHANGES:
            getattr(getattr(events, name), verb)(self._outdated)

    def _clicked(self, _: Any, event: Any) -> None:
        layer = self._layer
        if layer is None or layer not in self._viewer.layers:
            return
        value = layer.get_value(
            event.position, view_direction=event.view_direction, dims_displayed=event.dims_displayed, world=True
        )
        label = value[-1] if isinstance(value, tuple) else value  # of a pyramid the level comes first
        if label:
            self._tell(int(label), layer.world_to_data(event.position))

    def _picked(self, event: Any = None) -> None:
        layer = self._layer
        if layer is not None and not self._quiet:
            point = np.asarray(self._viewer.dims.point)[-layer.ndim :]
            self._tell(int(layer.selected_label), layer.world_to_data(point))

    def _tell(self, label: int, place: Any) -> None:
        if (chosen := self._chosen()) is not None:
            chosen(label, place)

    def _outdated(self, event: Any = None) -> None:
        if (changed := self._changed()) is not None:
            changed()
