"""What is chosen of two Labels layers, shared by several tables and the viewer: one selects, the others follow."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

from ._object_link import ObjectLink, show_place
from ._objects import Side

__all__ = ["PairLink"]

Layer = Any
"""A napari layer."""

Heard = Callable[[Side, int], None]
"""A bound method that is told which object of which side was chosen."""


class PairLink:
    """Moves the viewer to an object that is chosen in a table, and tells tables of one that is chosen elsewhere.

    It is no Qt object, so that it can let go after the widget that it serves is gone.

    Parameters
    ----------
    viewer : napari viewer
        What it moves, and where clicks are heard.
    """

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self.layers: Mapping[Side, Layer | None] = {"predicted": None, "truth": None}
        self._heard: list[weakref.WeakMethod[Heard]] = []
        self._links: dict[Side, ObjectLink] = {
            "predicted": ObjectLink(viewer, self._pick_predicted, self._keep),
            "truth": ObjectLink(viewer, self._pick_true, self._keep),
        }

    def tell(self, heard: Heard) -> None:
        """Tell this bound method of what is chosen elsewhere; it is held weakly."""
        self._heard.append(weakref.WeakMethod(heard))

    def follow(self, layers: Mapping[Side, Layer | None]) -> None:
        """Follow these layers, and no longer those before; None for one that is gone."""
        self.layers = layers
        for side, link in self._links.items():
            link.follow(layers[side])

    def close(self, _: Any = None) -> None:
        """Let go of everything."""
        for link in self._links.values():
            link.close()

    def layer(self, side: Side) -> Layer | None:
        """Return the layer of a side; None if it is gone."""
        layer = self.layers[side]
        return layer if layer in self.viewer.layers else None

    def show(self, labels: Mapping[Side, int], about: Side, place: tuple[float, ...] | None, *, by: Heard) -> None:
        """Select labels in their layers, and move the viewer to the one that was asked for.

        Parameters
        ----------
        labels : mapping of Side to int
            What to select; a side may be left out.
        about : {"predicted", "truth"}
            Which of them the viewer goes to.
        place : tuple of float or None
            Where it is, as an index of the data; None if that is not known.
        by : bound method
            Which of those that are told has chosen it, and need not be told.
        """
        with self._links["predicted"].silent(), self._links["truth"].silent():
            for side, label in labels.items():
                if (layer := self.layer(side)) is not None:
                    layer.selected_label = label
        if place is not None and (layer := self.layer(about)) is not None:
            show_place(self.viewer, layer, place)
        if about in labels:
            self._spread(about, labels[about], but=by)

    def _spread(self, side: Side, label: int, but: Heard | None = None) -> None:
        for reference in self._heard:
            heard = reference()
            if heard is not None and heard != but:
                heard(side, label)

    def _pick_predicted(self, label: int, _place: Any) -> None:
        self._spread("predicted", label)

    def _pick_true(self, label: int, _place: Any) -> None:
        self._spread("truth", label)

    def _keep(self) -> None:
        """Do nothing when labels change: the widget says that its scores are old."""
