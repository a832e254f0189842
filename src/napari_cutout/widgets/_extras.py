"""What a widget shows beyond its form; a method declares it by name, ``@method(..., extras=("histogram",))``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from ._access import order_tabs
from ._class_names import class_names
from ._clicks_row import ClicksExtra
from ._contents import token_of
from ._feature_row import FeatureRow
from ._hierarchy_row import HierarchyRow
from ._histogram_extra import HistogramExtra
from ._histogram_levels import stroke_histograms
from ._histogram_plot import preload
from ._live_row import LiveRow
from ._newest import Newest
from ._points import copy_of_labels
from ._pools import Turn
from ._probability_row import ProbabilityRow
from ._request import Form
from ._target import Target
from ._training_row import TrainingRow
from ._worker import Work, WorkerSlot, _Worker

__all__ = ["EXTRAS", "Extra", "HistogramRow", "make_extra"]

MAX_STROKES_VOXELS = 2**26
"""Voxels of an image above which the grey levels under strokes are not counted for the plot."""

MAX_HEIGHT = 260
"""Height beyond which the histogram would push the rest of a form out of view, in pixels."""

COLOURS = ("#009e73", "#d55e00", "#56b4e9", "#e69f00", "#cc79a7", "#f0e442", "#0072b2")
"""Colours of labels as long as no layer shows them."""


class Extra(Protocol):
    """A piece of a form that follows what the rest of it says."""

    changed: Any
    """Emitted with a change that the form should take over."""

    changing: Any
    """Emitted with a change that a preview should be made with, while something is dragged."""

    # An extra whose attribute `after_result` is true stands below the result of a run, all others in the form; one
    # whose attribute `grows` is true takes the room there that is left over.

    def refresh(self, form: Form | None, facts: Mapping[str, Any]) -> None:
        """Show what follows from the form, or nothing if there is no image; `facts` are those of its last answer."""

    def let_go(self) -> None:
        """Stop what runs and forget the viewer."""

    def setVisible(self, visible: bool) -> None:
        """Show or hide it."""


class HistogramRow(QWidget):  # type: ignore[misc]
    """The histogram of the image, the grey levels under the strokes, and where the method cuts.

    Parameters
    ----------
    frame : MethodFrame
        The form that it belongs to.

    Attributes
    ----------
    changed, changing
        Emitted with a `Change` once a line is let go, and while it is dragged.
    """

    changed = Signal(object)
    changing = Signal(object)
    grows = True

    def __init__(self, frame: Any) -> None:
        super().__init__()
        self._frame = frame
        self.view = HistogramExtra(frame.viewer, frame.methods)
        self._asked: Any = None
        self._strokes_asked: Any = None
        self._strokes = Newest()
        self._loading = WorkerSlot()
        self._settings: Mapping[str, Any] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.view)
        self.setMaximumHeight(MAX_HEIGHT)
        self.view.changed.connect(self.changed)
        self.view.changing.connect(self.changing)
        frame.preview.counted.connect(self._show_counted)
        frame.preview.count_failed.connect(self._show_no_histogram)
        self.destroyed.connect(self._strokes.stop)
        self._preload()

    def refresh(self, form: Form | None, facts: Mapping[str, Any]) -> None:
        """Ask for the histogram of what the form says, and move the lines."""
        if form is None:
            self._asked = None
            why = "choose an image" if self._frame.source is None else "set right what is red"
            self.view.show_histogram(None, {}, why=f"{why} to see the histogram")
            return
        self._settings = form.settings
        if (countable := self._countable(form)) is not None:
            job, layers, aim = self._frame.preview_job(countable)
            self._count(job, layers, aim)
            self._count_strokes(countable, aim)
        self.view.show_levels(form.method, form.settings, facts, self._colour_of)

    def let_go(self) -> None:
        """Stop what runs and forget the viewer."""
        self._strokes.stop()
        self._loading.quit()
        self.view.let_go()

    # The histogram of the image

    def _countable(self, form: Form) -> Form | None:
        """Return a form that asks for the same histogram, which depends on no setting, where those are wrong."""
        try:
            form.method.check_settings(form.settings)
        except (TypeError, ValueError):
            ready = (m for m in self._frame.methods if not any(p.required for p in (*m.settings, *m.arrays[1:])))
            if (method := next(ready, None)) is None:
                return None
            taken = {param.name for param in method.arrays}
            layers = {name: layer for name, layer in form.layers.items() if name in taken}
            return replace(form, method=method, settings={}, layers=layers)
        return form

    def _count(self, job: Any, layers: Mapping[str, Any], aim: Target) -> None:
        """Ask for the histogram, unless that is the question that was asked last."""
        counted = {name: token_of(layer) for name, layer in layers.items() if name in (job.source, "mask")}
        frame = tuple(job.view.point) if aim.selection.each and not aim.selection.pooled else ()
        asked = (counted, aim.selection, frame, job.drawn)
        if asked != self._asked:
            self._asked = asked
            self._frame.preview.count(job, layers)

    def _show_counted(self, histogram: Any, approximate: str) -> None:
        if self._asked is None:  # the image was let go while it was counted
            return
        first = self.view.plot.canvas is None
        self.view.show_histogram(histogram, self._settings, about=approximate)
        if first:
            order_tabs(self._frame)

    def _show_no_histogram(self, sentence: str) -> None:
        if self._asked is not None:
            self.view.show_histogram(None, {}, why=sentence, room=False)

    # The grey levels under the strokes

    def _count_strokes(self, form: Form, aim: Target) -> None:
        """Count in a thread of its own what the strokes cover, where there are some and the image is in memory."""
        strokes, mask = form.layers.get("markers"), form.layers.get("mask")
        small = isinstance(aim.array, np.ndarray) and aim.array.size <= MAX_STROKES_VOXELS
        if strokes is None or not small or not aim.selection.is_whole:
            if self._strokes_asked is not None:
                self._strokes_asked = None
                self._strokes.drop()
                self.view.show_strokes({}, self._colour_of, str)
            return
        asked = tuple(None if layer is None else token_of(layer) for layer in (form.source, strokes, mask))
        if asked == self._strokes_asked:
            return
        self._strokes_asked = asked
        names = class_names(self._frame.viewer)

        def make() -> Work:
            """Copy what can be painted on, once its turn has come."""
            painted, inside = copy_of_labels(strokes, aim), None if mask is None else copy_of_labels(mask, aim)
            return lambda *_: stroke_histograms(aim.array, painted, inside)

        def show(found: Any) -> None:
            self.view.show_strokes(found, lambda label: _colour(strokes, label), names.name_of)

        self._strokes.ask(make, show)

    def _preload(self) -> None:
        """Import the plotting library in a thread, so that the first plot does not hold up the window."""
        self._loading.worker = worker = _Worker(lambda *_: preload(), turn=Turn.SHOWN)
        worker.start()

    def _colour_of(self, label: int) -> str:
        """Return the colour that a label has in the preview or the last result, or will have."""
        shown = self._frame.preview.layer or self._frame.results.last
        return COLOURS[(label - 1) % len(COLOURS)] if shown is None else _colour(shown, label)


def _colour(layer: Any, label: int) -> str:
    found = layer.get_color(label) if hasattr(layer, "get_color") else None  # points have none by their label
    if found is None:
        return COLOURS[(label - 1) % len(COLOURS)]
    return "#" + "".join(f"{round(255 * float(part)):02x}" for part in found[:3])


EXTRAS: dict[str, type[Any]] = {
    "histogram": HistogramRow,
    "features": FeatureRow,
    "probabilities": ProbabilityRow,
    "updates": LiveRow,
    "hierarchy": HierarchyRow,
    "edit": ClicksExtra,
    "training": TrainingRow,
}
"""What a method may declare."""


def make_extra(name: str, frame: Any) -> Any:
    """Make the extra of that name for a form.

    Parameters
    ----------
    name : str
        What the method declares.
    frame : MethodFrame
        The form.

    Returns
    -------
    Extra
        A widget.

    Raises
    ------
    ValueError
        If there is none; the message lists those there are.
    """
    if name not in EXTRAS:
        raise ValueError(f"there is no extra {name!r}; a method may declare: {', '.join(EXTRAS)}")
    return EXTRAS[name](frame)
