"""A tick box below the result of a run that lets it follow the strokes, and what shows a run as it gets better."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from contextlib import suppress
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QWidget

from .._method import STEPS_AFTER
from ._contents import CHANGES, token_of
from ._live import Live, LiveRun, Shown
from ._preferences import preferences, remember
from ._request import Form, Outcome, Request
from ._results import Finished, Given, Slot, copy_of_state

__all__ = ["LiveRow"]

Layer = Any
"""A napari layer."""

_WHILE_PAINTING = "labels_update"
"""The event of a stroke that is not finished; the others come when it is."""


class LiveRow(QWidget):  # type: ignore[misc]
    """Lets the result follow the strokes: after each of them, and after each that is taken back, it is made again.

    Parameters
    ----------
    frame : MethodFrame
        The form that it belongs to.

    Attributes
    ----------
    changed, changing
        Never emitted: it changes nothing of the form.
    shown
        Emitted with every `Shown` once the layer holds it.
    box
        Whether the result follows the strokes.
    live
        What is kept of the image.
    """

    changed = Signal(object)
    changing = Signal(object)
    shown = Signal(object)
    _told = Signal(object)
    after_result: ClassVar[bool] = True

    def __init__(self, frame: Any) -> None:
        super().__init__()
        self._frame = frame
        self.live = Live()
        self._strokes: Layer | None = None
        self._seen: Hashable = None
        self._pending = self._is_live = False
        self._before: list[tuple[Given, tuple[slice, ...], NDArray[np.int32]]] = []
        self._added: Slot | None = None
        self.box = QCheckBox("&update after each stroke")
        self.box.setToolTip("The result follows the strokes. A layer that was edited or renamed is never updated.")
        self.box.setChecked(preferences().update_after_stroke)
        self.box.setVisible(False)
        self.box.toggled.connect(self._switch)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.box)
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(preferences().preview_delay_ms)
        self._settled.timeout.connect(self._update)
        self._told.connect(self._show)
        frame.ran.connect(self._show_run)
        frame.bar.ended.connect(self._run_ended)

    def refresh(self, form: Form | None, facts: Mapping[str, Any]) -> None:
        """Follow the strokes that are chosen now, and forget an image that is not."""
        self._follow(self._frame.layers.get("markers"))
        gone = self._frame.source is None or (form is not None and _token(form) != self.live.token)
        if gone and self.live.ready and not self._frame.bar.running:
            self.live.drop()

    def let_go(self) -> None:
        """Follow nothing any more, and free the memory."""
        self._settled.stop()
        self._follow(None)
        self._pending, self._before, self._added = False, [], None
        self.live = Live()  # what runs keeps the other until it has stopped

    def work(self, form: Form, request: Request, *, update: bool) -> LiveRun | None:
        """Return what a worker is to do for a press on Run; None if the run cannot be one that follows strokes.

        Parameters
        ----------
        form : Form
            What the form says.
        request : Request
            What is to run.
        update : bool
            Whether it may update the layer of an earlier run.
        """
        given = self._frame.results.candidate(request, form.layers, form.source) if update else None
        run = self._run(form, request, given, adds=True)
        if run is not None and run.slot.given is not None:
            run.slot.before = copy_of_state(run.slot.given)
        return run

    def _run(self, form: Form, request: Request, given: Given | None, *, adds: bool) -> LiveRun | None:
        strokes = form.layers.get("markers")
        self._seen = None if strokes is None else token_of(strokes)
        self._is_live = self.live.suits(request, self._frame.free_memory())
        if not self._is_live:
            self.live.drop()
            return None
        fits = given is not None and _fits(given, request)
        slot = self.live.slot_of(given if fits else None)
        return LiveRun(self.live, request, form.source, _token(form), slot, adds, self._tell)

    def _tell(self, shown: Shown) -> None:
        """Hand over to the thread of the window what was found, unless the window is gone."""
        with suppress(RuntimeError):
            self._told.emit(shown)

    # Following the strokes

    def _follow(self, layer: Layer | None) -> None:
        """Hear of what is painted on this layer, and no longer on that before."""
        layer = getattr(layer, "__wrapped__", layer)
        if layer is self._strokes:
            return
        for one, verb in ((self._strokes, "disconnect"), (layer, "connect")):
            for name in CHANGES:
                event = getattr(one.events, name, None) if one is not None and name != _WHILE_PAINTING else None
                if event is not None:
                    getattr(event, verb)(self._heard)
        self._strokes = layer
        if layer is not None:
            token_of(layer)  # its changes are counted from now on

    def _heard(self, event: Any = None) -> None:
        """Look at the strokes once nothing more is heard of them."""
        if self.box.isChecked() and not self.box.isHidden() and not self._frame.closed:
            self._settled.start()

    def _update(self) -> None:
        """Make the result again, unless the strokes are what they were, or one of them is being painted."""
        if self._frame.closed or self._strokes is None or token_of(self._strokes) == self._seen:
            return
        if _is_being_painted(self._strokes):
            self._settled.start()
        elif self._frame.bar.running:
            self._pending = True
            if self._is_live and self.live.ready:
                self._frame.bar.supersede()
        else:
            self._start()

    def _start(self) -> bool:
        """Start to update the result, and tell whether there is anything to do."""
        frame = self._frame
        if (asked := frame.ask()) is None:
            return False
        form, request = asked
        given = frame.results.candidate(request, form.layers, form.source)
        if given is None or not np.any(request.inputs["markers"]):
            self._seen = token_of(self._strokes)
            frame.bar.say(
                "the result was edited or is gone, so it is not updated; press Run for a new layer"
                if given is None
                else "no stroke is left; the result stays as it was"
            )
            return False
        work = self._run(form, request, given, adds=False)
        frame.bar.start(work or frame.results.work(request, form.layers, form.source, adds=False), quiet=True)
        return True

    def _switch(self, on: bool) -> None:
        """Remember it, and forget the image if it is of no more use."""
        remember(update_after_stroke=on)
        if on:
            self._settled.start()
        elif not self._frame.bar.running:
            self.live.drop()

    # Showing what is found

    def _show(self, shown: Shown) -> None:
        """Put what was found into the layer, unless somebody has edited it."""
        if self._frame.closed:
            return
        given = shown.slot.given
        if given is None:
            self._add(shown)
        elif self._frame.results.is_free(given):
            self._before.append((given, shown.region, given.data[shown.region].copy()))
            given.data[shown.region] = shown.labels
            given.layer.refresh(extent=False, thumbnail=shown.final)
        self.box.setVisible(True)
        if not shown.final:
            rough = "coarse" if math.isnan(shown.error) else f"error about {min(shown.error, 1):.1g}"
            self._frame.bar.say(f"{rough}, sharpening…")
        self.shown.emit(shown)

    def _add(self, shown: Shown) -> None:
        """Add a layer for the first answer, below the strokes, which stay what is painted on."""
        viewer, request = self._frame.viewer, shown.request
        active = viewer.layers.selection.active
        made = {"shows": "a first answer", "recipe": request.recipe.to_json(), "provenance": {}}
        options = {"name": request.name, "metadata": {"napari_cutout": made}, **request.target.result_place}
        first = Finished(Outcome(shown.labels, options, ""), self._frame.source, 0, None, request.recipe.selection)
        layer = self._frame.results.put(first)
        self._added = slot = shown.slot
        slot.given, slot.data = self._frame.results.given_of(layer), layer.data
        if self._strokes is not None and active is self._strokes:
            viewer.layers.move(viewer.layers.index(layer), viewer.layers.index(self._strokes))
            viewer.layers.selection.active = active

    def _show_run(self, request: Request, layer: Layer) -> None:
        """Take note that the layer holds the result of a run."""
        self._before, self._added = [], None
        self.box.setVisible(True)

    def _run_ended(self) -> None:
        """Begin again if strokes were painted meanwhile; else put back what was shown of a run without a result."""
        pending, self._pending = self._pending, False
        if pending and not self._frame.closed and self._start():
            return
        self._put_back()
        if not self.box.isChecked():
            self.live.drop()

    def _put_back(self) -> None:
        """Leave the layers as they were before a run that has no result."""
        results = self._frame.results
        if self._added is not None and self._added.given is not None:
            results.drop(self._added.given)
            self.box.setVisible(results.last is not None)
        elif self._before:
            for given, region, labels in reversed(self._before):
                if results.is_free(given):
                    given.data[region] = labels
            self._before[0][0].layer.refresh(extent=False)
        if self._added is not None or self._before:
            self.live.forget_labels()
        self._before, self._added = [], None


def _token(form: Form) -> Hashable:
    """Return what is equal as long as a form asks for the same image to be walked on in the same way."""
    settings = tuple((name, repr(value)) for name, value in form.settings.items() if name not in STEPS_AFTER)
    held = [layer for name, layer in form.layers.items() if layer is not None and name != "markers"]
    tokens = tuple(token_of(layer) for layer in (*held, *form.channels))
    try:
        aim = form.target
    except ValueError:
        return None
    return settings, tokens, repr(aim.selection), form.spacing(aim)


def _fits(given: Given, request: Request) -> bool:
    """Tell whether a layer can hold the labels of a run."""
    held = given.data
    shape = request.target.as_layer(np.broadcast_to(np.int32(0), request.target.result_shape)).shape
    return isinstance(held, np.ndarray) and held.dtype == np.int32 and held.shape == shape


def _is_being_painted(layer: Layer) -> bool:
    """Tell whether a stroke is under way; napari has no public way to ask."""
    return bool(getattr(layer, "_block_history", False))
