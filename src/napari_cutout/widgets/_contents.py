"""By which the contents of a layer are known again, whoever changes them.  No Qt."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["CHANGES", "token_of"]

Layer = Any
"""A napari layer."""

CHANGES = ("data", "paint", "labels_update", "features", "set_data")
"""Events of a layer by which its contents may have changed."""


class _Changes:
    """Counts how often the contents of one layer have changed."""

    def __init__(self, layer: Layer) -> None:
        self.identity = str(layer.unique_id)
        self.n = 0
        self._slice = _slice_of(layer)
        for name in CHANGES:
            if (event := getattr(layer.events, name, None)) is not None:  # only labels can be painted
                event.connect(self._drawn if name == "set_data" else self._changed)

    def _changed(self, event: Any = None) -> None:
        self.n += 1

    def _drawn(self, event: Any) -> None:
        """Count a refresh as a change unless another slice is drawn; who edits an array in place ends with one."""
        now = _slice_of(event.source)
        self.n += now == self._slice
        self._slice = now


def _slice_of(layer: Layer) -> Any:
    """Return what is drawn of a layer: which slice, from which level, and how much of it."""
    loaded = (layer.data_level, layer.corner_pixels.tobytes()) if layer.multiscale else ()
    return repr(layer._slice_input), loaded


_CHANGES: WeakKeyDictionary[Layer, _Changes] = WeakKeyDictionary()


def token_of(layer: Layer) -> Hashable:
    """Return what is equal as long as a layer holds the same.

    Parameters
    ----------
    layer : napari layer
        Changes are counted from the first call on. An array that is edited in place is noticed when the layer is
        refreshed, which is also when the change can be seen.

    Returns
    -------
    hashable
        The layer's identity and the number of its changes.
    """
    layer = getattr(layer, "__wrapped__", layer)  # plugins may get layers behind a proxy
    if layer not in _CHANGES:
        _CHANGES[layer] = _Changes(layer)
    changes = _CHANGES[layer]
    return changes.identity, changes.n
