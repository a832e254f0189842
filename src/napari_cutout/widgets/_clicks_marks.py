"""What was clicked so far, shown in a temporary layer that nothing uses or saves."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import _layers
from ._preview_layer import never_saved
from ._view import camera_of

__all__ = ["Marks"]

Layer = Any
"""A napari layer."""

NAME = "clicks"
COLOUR, RIM = "#f0e442", "black"


class Marks:
    """Points and a line over a Labels layer.

    Parameters
    ----------
    viewer : napari viewer
        Where they are shown.

    Attributes
    ----------
    busy
        True while the list of layers changes for them, and with it the selection for a moment.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = weakref.ref(viewer)
        self._layer: Layer | None = None
        self.busy = False

    def points(self, on: Layer, places: Sequence[Sequence[float]]) -> None:
        """Show a point at each of these places."""
        from napari.layers import Points

        at = np.array(places, dtype=float)
        if isinstance(self._layer, Points) and self._shown:
            self._layer.data = at
            return
        made = Points(
            at, name=NAME, face_color=COLOUR, border_color=RIM, size=6, canvas_size_limits=(9, 14), **_how(on)
        )
        self._show(made, on)

    def line(self, on: Layer, start: Sequence[float], stop: Sequence[float]) -> None:
        """Show a line between two places."""
        from napari.layers import Shapes

        ends = np.array([start, stop], dtype=float)
        if isinstance(self._layer, Shapes) and self._shown:
            self._layer.data = [ends]
            return
        viewer: Any = self._viewer()
        width = 2 / (camera_of(viewer).zoom * min(_layers.spacing(on)))  # as many pixels
        self._show(Shapes([ends], shape_type="line", name=NAME, edge_color=COLOUR, edge_width=width, **_how(on)), on)

    def clear(self) -> None:
        """Take them away."""
        layer, self._layer = self._layer, None
        self._remove(layer)

    def clear_soon(self) -> None:
        """Take them away once the list of layers is through with what it does: a change within one crashes Qt."""
        from qtpy.QtCore import QTimer

        layer, self._layer = self._layer, None
        if layer is not None:
            layer.visible = False
            QTimer.singleShot(0, lambda: self._remove(layer))

    def _remove(self, layer: Layer | None) -> None:
        viewer = self._viewer()
        if layer is None or viewer is None or layer not in viewer.layers:
            return
        with self._quiet():
            viewer.layers.remove(layer)

    @property
    def _shown(self) -> bool:
        viewer = self._viewer()
        return viewer is not None and self._layer in viewer.layers

    def _show(self, layer: Layer, on: Layer) -> None:
        self.clear()
        viewer: Any = self._viewer()
        never_saved(viewer.layers)
        layer.editable = False
        self._layer = layer
        with self._quiet():
            viewer.layers.append(layer)

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Keep the selection as it is while the list of layers changes."""
        viewer: Any = self._viewer()
        selection = viewer.layers.selection
        kept, active = list(selection), selection.active
        self.busy = True
        try:
            yield
            there = [layer for layer in kept if layer in viewer.layers]
            selection.clear()
            selection.update(there)
            selection.active = active if active in there else None
        finally:
            self.busy = False


def _how(on: Layer) -> dict[str, Any]:
    """Return how marks lie on a layer: in 3-D they would be half a voxel below the surface that was clicked."""
    on_top = {"blending": "translucent_no_depth"}
    return {**_layers.placement(on), **on_top, "metadata": {"napari_cutout": {"preview": True}}}
