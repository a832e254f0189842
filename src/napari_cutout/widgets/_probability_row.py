"""Buttons below the result of a run that add how likely its classes or labels are, as images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QWidget

from .. import catalog
from .._device import size
from ._access import explain
from ._class_maps import ClassMap, Colour, Kind, labels_of_run
from ._layers import ours
from ._request import Form, Request
from ._worker import RunBar

__all__ = ["ProbabilityRow"]

_TOOLTIPS: Mapping[Kind, str] = {
    "probabilities": "A layer with the probability of every class, from 0 to 1; its slider goes through the classes",
    "uncertainty": "A layer that is 0 where the class is certain, and 1 where all classes are as likely",
}


_OF_STROKES = "One layer for each label, in its colour, or one of the label that is chosen beside; from 0 to 1"

MOST_LAYERS = 12
"""Labels of which there may be a layer each at once; of more, one is chosen."""


class ProbabilityRow(QWidget):  # type: ignore[misc]
    """Adds images of how likely the classes of the last run are, or the labels that were painted for it.

    Parameters
    ----------
    frame : MethodFrame
        The form that it belongs to.

    Attributes
    ----------
    changed, changing
        Never emitted: it changes nothing of the form.
    bars
        What starts, shows and cancels the computation of each kind of image.
    """

    changed = Signal(object)
    changing = Signal(object)
    after_result: ClassVar[bool] = True

    def __init__(self, frame: Any) -> None:
        super().__init__()
        self._frame = frame
        self._ran: tuple[Request, Mapping[str, Any]] | None = None
        self._layer: Any = None
        self.bars: dict[Kind, RunBar] = {}
        self._inner = QWidget()
        inner = QHBoxLayout(self._inner)
        inner.setContentsMargins(0, 0, 0, 0)
        there = {kind for method in frame.methods for kind in catalog.images_of(method.name)}
        for kind, tooltip in ((kind, text) for kind, text in _TOOLTIPS.items() if kind in there):
            bar = self.bars[kind] = RunBar(f"Add {kind}")
            bar.button.setToolTip(tooltip)
            bar.requested.connect(partial(self.start, kind))
            bar.returned.connect(partial(self._add, kind))
            self.destroyed.connect(bar.slot.quit)
            inner.addWidget(bar, 1, Qt.AlignmentFlag.AlignTop)
        self.label_box = QComboBox()
        explain(self.label_box, "of label", "Of which label to add the probability.")
        self.label_box.setVisible(False)
        inner.addWidget(self.label_box, 1, Qt.AlignmentFlag.AlignTop)
        self._inner.setVisible(False)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._inner)
        frame.ran.connect(self._show_run)

    def refresh(self, form: Form | None, facts: Mapping[str, Any]) -> None:
        """Stay as it is: what it adds belongs to the last run, whatever the form says now."""

    def let_go(self) -> None:
        """Stop what runs."""
        for bar in self.bars.values():
            bar.cancel()

    def start(self, kind: Kind) -> None:
        """Compute an image of the last run, or say why that cannot be."""
        assert self._ran is not None
        wanted = ClassMap(kind, *self._ran, self._colours())
        if (need := wanted.n_bytes) > (free := self._frame.free_memory()):
            other = kind == "probabilities" and "uncertainty" in self.bars
            way_out = "add the uncertainty, or run on a region" if other else "run on a region"
            self.bars[kind].say(f"{kind} need {size(need)} and {size(free)} are free; {way_out}", problem=True)
            return
        self.bars[kind].start(wanted.run)

    def _show_run(self, request: Request, layer: Any) -> None:
        """Offer what can be added to the result of a run."""
        self._ran, self._layer = (request, ours(layer)), layer
        self._inner.setVisible(True)
        self._offer(labels_of_run(request))
        for bar in self.bars.values():
            bar.say("")

    def _offer(self, labels: Sequence[int]) -> None:
        """Offer the labels that were painted, and keep the one that is chosen."""
        self.label_box.setVisible(bool(labels))
        if not labels:
            return
        self.bars["probabilities"].button.setToolTip(_OF_STROKES)
        chosen = self.label_box.currentData()
        self.label_box.clear()
        if len(labels) <= MOST_LAYERS:
            self.label_box.addItem("of each label", None)
        for label in labels:
            self.label_box.addItem(f"of label {label}", label)
        self.label_box.setCurrentIndex(max(self.label_box.findData(chosen), 0))

    def _colours(self) -> dict[int, Colour]:
        """Return the colours of the labels that are wanted as a layer each; empty if classes are numbered."""
        offered = [self.label_box.itemData(at) for at in range(self.label_box.count())]
        chosen = self.label_box.currentData()
        labels = [label for label in offered if label is not None] if chosen is None else [chosen]
        return {label: tuple(float(part) for part in self._layer.get_color(label)[:3]) for label in labels}  # type: ignore[misc]

    def _add(self, kind: Kind, made: Sequence[tuple[Any, Mapping[str, Any]]]) -> None:
        active = self._frame.viewer.layers.selection.active
        for data, options in made:
            self._frame.viewer.add_image(data, **options)
        if getattr(active, "mode", "pan_zoom") != "pan_zoom":  # whoever paints goes on with it
            self._frame.viewer.layers.selection.active = active
        self.bars[kind].say("added to the layers")
