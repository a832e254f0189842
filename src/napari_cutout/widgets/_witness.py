"""Tells whether layers are still as they were when something was computed from them.  No Qt here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ._layer_box import LayerListener

__all__ = ["Witness"]

Layer = Any
"""A napari layer."""


class Witness:
    """Watches layers from now on.

    Parameters
    ----------
    layers : napari layer list
        The layers of the viewer.
    watched : sequence of napari layer
        Those that matter.
    on_change : callable
        Called when one of them was edited, moved or removed, or when layers were added or removed.

    Attributes
    ----------
    changed
        Whether one of them was edited or moved.
    """

    def __init__(self, layers: Any, watched: Sequence[Layer], on_change: Callable[[], None]) -> None:
        self._layers, self._watched, self._on_change = layers, list(watched), on_change
        self.changed = False
        self._undone = [_undo_state(layer) for layer in watched]
        self._listener: LayerListener | None = LayerListener(layers, on_change, self._note)
        self._listener.watch(list(watched))
        for layer in watched:
            layer.events.set_data.connect(self._drawn_anew)

    @property
    def gone(self) -> bool:
        """Whether one of them is no longer in the viewer."""
        return any(layer not in self._layers for layer in self._watched)

    def close(self) -> None:
        """Watch no more."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            for layer in self._watched:
                layer.events.set_data.disconnect(self._drawn_anew)

    def _note(self) -> None:
        self.changed = True
        self._on_change()

    def _drawn_anew(self, event: Any = None) -> None:
        """Notice an undo or a redo, which napari tells nobody of, when the layer is drawn after it."""
        if not self.changed and [_undo_state(layer) for layer in self._watched] != self._undone:
            self._note()


def _undo_state(layer: Layer) -> tuple[int, int]:
    """Return how many strokes can be taken back and done again; napari has no public way to ask."""
    layer = getattr(layer, "__wrapped__", layer)
    return len(getattr(layer, "_undo_history", ())), len(getattr(layer, "_redo_history", ()))
