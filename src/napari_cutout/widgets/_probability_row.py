"""Buttons below the result of a run that add how likely its classes are, as images."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QWidget

from .._device import size
from ._class_maps import ClassMap, Kind
from ._layers import ours
from ._request import Form, Request
from ._worker import RunBar

__all__ = ["ProbabilityRow"]

_TOOLTIPS: Mapping[Kind, str] = {
    "probabilities": "A layer with the probability of every class, from 0 to 1; its slider goes through the classes",
    "uncertainty": "A layer that is 0 where the class is certain, and 1 where all classes are as likely",
}


class ProbabilityRow(QWidget):  # type: ignore[misc]
    """Adds images of how likely the classes of the last run are.

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
        self.bars: dict[Kind, RunBar] = {}
        self._inner = QWidget()
        inner = QHBoxLayout(self._inner)
        inner.setContentsMargins(0, 0, 0, 0)
        for kind, tooltip in _TOOLTIPS.items():
            bar = self.bars[kind] = RunBar(f"Add {kind}")
            bar.button.setToolTip(tooltip)
            bar.requested.connect(partial(self.start, kind))
            bar.returned.connect(partial(self._add, kind))
            self.destroyed.connect(bar.slot.quit)
            inner.addWidget(bar, 1)
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
        wanted = ClassMap(kind, *self._ran)
        if (need := wanted.n_bytes) > (free := self._frame.free_memory()):
            way_out = "add the uncertainty, or run on a region" if kind == "probabilities" else "run on a region"
            self.bars[kind].say(f"{kind} need {size(need)} and {size(free)} are free; {way_out}", problem=True)
            return
        self.bars[kind].start(wanted.run)

    def _show_run(self, request: Request, layer: Any) -> None:
        """Offer what can be added to the result of a run."""
        self._ran = request, ours(layer)
        self._inner.setVisible(True)
        for bar in self.bars.values():
            bar.say("")

    def _add(self, kind: Kind, made: tuple[Any, Mapping[str, Any]]) -> None:
        data, options = made
        self._frame.viewer.add_image(data, **options)
        self.bars[kind].say("added to the layers")
