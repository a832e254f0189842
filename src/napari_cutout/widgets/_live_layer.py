"""The layer in which the labels of a run show up while their blocks are written."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from ._layers import ours
from ._live_labels import LiveLabels
from ._sources import holds_its_file
from ._store_levels import Box, lazy_labels
from ._view import view_of

__all__ = ["LiveLayer", "show_store", "with_source"]

Layer = Any
"""A napari layer."""

_PAUSE = 200
"""Milliseconds between two looks at what is new, at least."""

_SHARE = 5
"""How many times as long as drawing took the window is left alone after it."""


class LiveLayer(QObject):  # type: ignore[misc]
    """Shows labels in a layer while they are made.

    Parameters
    ----------
    viewer : napari viewer
        Where the layer goes.
    live : LiveLabels
        What it shows.
    options : mapping
        Its name and place.
    target : str
        The store that the labels go into.

    Attributes
    ----------
    layer
        The layer, which the user may have removed.
    target
        The store that the labels go into.
    n_drawn
        How often it was drawn anew.
    """

    _grew = Signal()

    def __init__(self, viewer: Any, live: LiveLabels, options: Mapping[str, Any], target: str) -> None:
        super().__init__()
        self._viewer, self.live, self.target = viewer, live, target
        self._new: list[Box] = []
        metadata = {"napari_cutout": {"store": target, "unfinished": True}}
        with with_source(target):
            self.layer = viewer.add_labels(live.levels, **options, multiscale=True, metadata=metadata)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE)
        self._timer.timeout.connect(self.show_new)
        self._grew.connect(self._wait)
        self.n_drawn = 0

    @property
    def is_there(self) -> bool:
        """Whether the user has left the layer in the list."""
        return self.layer in self._viewer.layers

    def follow(self, target: Any) -> None:
        """Read from now on what a run writes into a target; any thread may call it."""
        self.live.follow(target.levels[0])

    def add(self, box: Box) -> None:
        """Take note that a box was written; any thread may call it."""
        self.live.add(box)
        self._new.append(box)
        self._grew.emit()

    def show_new(self) -> None:
        """Draw the layer anew if something new is in view."""
        new, self._new = self._new, []
        if not self.is_there or not self.layer.visible or not self._in_view(new):
            return
        start = time.monotonic()
        self.layer.refresh(thumbnail=False, highlight=False, extent=False)
        self.n_drawn += 1
        self._timer.setInterval(max(_PAUSE, int(1000 * _SHARE * (time.monotonic() - start))))

    def finish(self, target: str) -> None:
        """Show the finished labels of the store."""
        self._timer.stop()
        if self.is_there:
            show_store(self.layer, target, self.live.spread)

    def give_up(self) -> None:
        """Take the layer away if nothing was written into it; else leave what is there."""
        self._timer.stop()
        if self.is_there and not self.live.n_blocks and ours(self.layer).get("unfinished"):
            self._viewer.layers.remove(self.layer)
        elif self.is_there:
            self.show_new()

    def take_away(self) -> None:
        """Take the layer away."""
        self._timer.stop()
        if self.is_there:
            self._viewer.layers.remove(self.layer)

    def _wait(self) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _in_view(self, boxes: Sequence[Box]) -> bool:
        view = view_of(self._viewer, self.layer)
        if view.problem:
            return False
        shown = list(view.box)
        if self.live.spread is not None:
            del shown[self.live.spread]
        return any(
            all(a < stop and start < b for (a, b), (start, stop) in zip(box, shown, strict=True)) for box in boxes
        )


def show_store(layer: Layer, store: str, spread: int | None = None) -> None:
    """Let a layer show what labels in a store hold now; nothing that was read of them before is shown again."""
    levels, metadata = lazy_labels(store, spread)
    layer.data = levels
    where = {} if spread is None else {"spread": spread}
    layer.metadata = {**layer.metadata, "napari_cutout": {**metadata, **where}}
    holds_its_file(layer)


def with_source(path: str) -> Any:
    """Return a context in which new layers say that they come from a path, as if our reader had opened it."""
    from napari.layers._source import layer_source

    return layer_source(path=path, reader_plugin="napari-cutout")
