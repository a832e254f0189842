"""Buttons below the result of a run that add how likely its classes or labels are, as images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QWidget

from .. import catalog
from .._device import size
from ._access import explain
from ._class_maps import ClassImage, ClassMap, Colour, Kind, labels_of_run
from ._layers import ours
from ._request import Form, Request
from ._showing_row import ShowingRow
from ._worker import RunBar

__all__ = ["ProbabilityRow"]

_TOOLTIPS: Mapping[Kind, str] = {
    "probabilities": "A layer with the probability of every class, from 0 to 1; its slider goes through the classes",
    "uncertainty": "A layer that is 0 where the class is certain, and 1 where all classes are as likely",
}

_OF_STROKES = (
    "A layer of the label that is chosen beside, or one for each label, in its colour; from 0 to 1. "
    "It follows the strokes with the labels; one that is renamed stays as it is"
)

_OF_EACH = 0
"""No label: stands for all of them."""

_OLDER, _DIMMED = " (older than the labels)", 0.4
"""What the name of a layer that could not follow ends with, and by what its opacity is multiplied."""

MOST_LAYERS = 12
"""Labels of which there may be a layer each at once; of more, one is chosen."""


@dataclass(frozen=True, slots=True, eq=False)
class _Added:
    """A layer that was added for a result.

    Parameters
    ----------
    result, layer : napari layer
        The labels, and the image that was added for them.
    data : float32 array
        What the image holds.
    name : str
        Its name.
    label : int, optional
        Whose probability it shows; None if it shows something else.
    """

    result: Any
    layer: Any
    data: Any
    name: str
    label: int | None

    def is_ours(self) -> bool:
        """Tell whether nobody has renamed it or given it other data."""
        return self.layer.name == self.name and self.layer.data is self.data


class ProbabilityRow(ShowingRow):
    """Adds images of how likely the classes of the last run are, or the labels that were painted for it.

    Parameters
    ----------
    frame : MethodFrame
        The form that it belongs to.

    Attributes
    ----------
    bars
        What starts, shows and cancels the computation of each kind of image.
    """

    after_result: ClassVar[bool] = True

    def __init__(self, frame: Any) -> None:
        super().__init__()
        self._frame = frame
        self._ran: tuple[Request, Mapping[str, Any]] | None = None
        self._layer: Any = None
        self._added: list[_Added] = []
        self._asked: dict[Kind, tuple[Any, Any]] = {}
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
        for added in self._added:
            added.result.events.data.disconnect(self._mark_all)
        self._added = []

    def start(self, kind: Kind) -> None:
        """Compute an image of the last run, or say why that cannot be."""
        assert self._ran is not None
        wanted = ClassMap(kind, *self._ran, self._colours())
        if (need := wanted.n_bytes) > (free := self._frame.free_memory()):
            other = kind == "probabilities" and "uncertainty" in self.bars
            way_out = "add the uncertainty, or run on a region" if other else "run on a region"
            self.bars[kind].say(f"{kind} need {size(need)} and {size(free)} are free; {way_out}", problem=True)
            return
        self._asked[kind] = (self._layer, self._ran)
        self.bars[kind].start(wanted.run)

    def _show_run(self, request: Request, layer: Any) -> None:
        """Offer what can be added to the result of a run."""
        self._ran, self._layer = (request, ours(layer)), layer
        self._inner.setVisible(True)
        self._offer(labels_of_run(request))
        for bar in self.bars.values():
            bar.say("")
        self._renew(layer)

    def _offer(self, labels: Sequence[int]) -> None:
        """Offer the labels that were painted, and keep the one that is chosen."""
        self.label_box.setVisible(bool(labels))
        if not labels:
            return
        self.bars["probabilities"].button.setToolTip(_OF_STROKES)
        chosen = self.label_box.currentData()
        self.label_box.clear()
        for label in labels:
            self.label_box.addItem(f"of label {label}", label)
        if 1 < len(labels) <= MOST_LAYERS:
            self.label_box.addItem("of each label", _OF_EACH)
        self.label_box.setCurrentIndex(max(self.label_box.findData(chosen), 0))

    def _colours(self) -> dict[int, Colour]:
        """Return the colours of the labels that are wanted as a layer each; empty if classes are numbered."""
        chosen = self.label_box.currentData()
        if chosen is None:
            return {}
        offered = [self.label_box.itemData(at) for at in range(self.label_box.count())]
        labels = [label for label in offered if label != _OF_EACH] if chosen == _OF_EACH else [chosen]
        return {label: tuple(float(part) for part in self._layer.get_color(label)[:3]) for label in labels}  # type: ignore[misc]

    def _add(self, kind: Kind, made: Sequence[ClassImage]) -> None:
        """Add the layers, which may be of a run before the last by now."""
        viewer = self._frame.viewer
        active = viewer.layers.selection.active
        result, ran = self._asked[kind]
        for image in made:
            layer = viewer.add_image(image.data, **image.options)
            self._added.append(_Added(result, layer, layer.data, layer.name, image.label))
        result.events.data.connect(self._mark_all)  # an event knows its callbacks, and calls each once
        if getattr(active, "mode", "pan_zoom") != "pan_zoom":  # whoever paints goes on with it
            viewer.layers.selection.active = active
        self.bars[kind].say("added to the layers")
        if ran is self._ran or result is not self._layer:
            return
        if self._frame.bar.running:  # what it knows is about to change
            for added in self._ours(result):
                self._mark(added)
        else:
            self._renew(result)

    def _renew(self, result: Any) -> None:
        """Let what was added for a result follow it where its probabilities are known, and say where they are not."""
        live: Any = getattr(self._frame.extras.get("updates"), "live", None)
        assert self._ran is not None
        for added in self._ours(result):
            found = None if live is None or added.label is None else live.probability_of(added.label)
            if found is None or found.size != added.data.size:
                self._mark(added)
                continue
            added.data[...] = found.reshape(added.data.shape)
            added.layer.metadata = ClassMap("probabilities", *self._ran).metadata
            added.layer.refresh(extent=False)

    def _ours(self, result: Any) -> list[_Added]:
        """Return what was added for a result and is as we left it; forget what is not."""
        there = self._frame.viewer.layers
        self._added = [added for added in self._added if added.layer in there and added.is_ours()]
        return [added for added in self._added if added.result is result]

    def _mark_all(self, event: Any) -> None:
        """Say of all that was added for a result that it has other labels now."""
        for added in self._ours(event.source):
            self._mark(added)

    def _mark(self, added: _Added) -> None:
        """Say of a layer that its labels are newer, and let it be."""
        self._added.remove(added)
        added.layer.name += _OLDER
        added.layer.opacity *= _DIMMED
