"""A tick box below the result of a run that lets it follow the strokes, and what shows a run as it gets better."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout

from .._method import STEPS_AFTER
from .._selection import where
from ._contents import CHANGES, token_of
from ._found import how_right
from ._live import BY_ITSELF, Live, LiveRun, Shown
from ._preferences import preferences, remember
from ._request import Form, Outcome, Request
from ._results import Finished, Given, Slot, copy_of_state
from ._showing_row import ShowingRow

__all__ = ["LiveRow"]

Layer = Any
"""A napari layer."""

_FOLLOWS = "The result follows the strokes. A layer that was edited or renamed is never updated."

_WHILE_PAINTING = "labels_update"
"""The event of a stroke that is not finished; the others come when it is."""


@dataclass(frozen=True, slots=True)
class _Copy:
    """What part of an array held before it was written to.

    Parameters
    ----------
    region : tuple of slice
        Which part.
    labels : array
        What it held.
    """

    region: tuple[slice, ...]
    labels: NDArray[np.int32]

    @classmethod
    def of(cls, data: NDArray[np.int32], region: tuple[slice, ...]) -> _Copy:
        """Copy a part of an array."""
        return cls(region, data[region].copy())

    def with_more(self, data: NDArray[np.int32], region: tuple[slice, ...]) -> _Copy:
        """Return what the smallest box around this part and another held, before this part was written to."""
        box = tuple(
            slice(min(one.start, more.start), max(one.stop, more.stop))
            for one, more in zip(self.region, region, strict=True)
        )
        if box == self.region:
            return self
        grown = _Copy.of(data, box)
        within = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(self.region, box, strict=True))
        grown.labels[within] = self.labels
        return grown

    def put_back(self, data: NDArray[np.int32]) -> None:
        """Write it to the array."""
        data[self.region] = self.labels


class LiveRow(ShowingRow):
    """Lets the result follow the strokes: after each of them, and after each that is taken back, it is made again.

    Parameters
    ----------
    frame : MethodFrame
        The form that it belongs to.

    Attributes
    ----------
    shown
        Emitted with every `Shown` once the layer holds it.
    box
        Whether the result follows the strokes.
    live
        What is kept of the image.
    """

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
        self._before: dict[Given, _Copy] = {}
        self._obstacle, self._despite = "", False
        self._added: Slot | None = None
        self.box = QCheckBox("&update after each stroke")
        self.box.setToolTip(_FOLLOWS)
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
        frame.bar.stopping.connect(self._forget_pending)

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
        self._pending, self._before, self._added = False, {}, None
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
        obstacle = self.live.obstacle(request, self._frame.free_memory())
        self._is_live = not obstacle
        self._show_obstacle("" if obstacle == BY_ITSELF and _is_one(request) else obstacle)
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
        work = None
        if not (why := self._why_not(form, request, given)):
            work = self._run(form, request, given, adds=False)
            if not self.box.isChecked():  # any more
                why = f"not updated, because {self._obstacle}; press Run, or tick the box to wait after each stroke"
        if why:
            self._seen = token_of(self._strokes)
            frame.bar.say(why)
            return False
        frame.bar.start(work or frame.results.work(request, form.layers, form.source, adds=False), quiet=True)
        return True

    def _why_not(self, form: Form, request: Request, given: Given | None) -> str:
        """Say why there is nothing to update, or nothing to update it with; empty if there is."""
        if given is None and self._frame.results.lacks(request, form.source):
            part = "slice" if form.choice.depth == "this" else "frame" if form.choice.time == "this" else "part"
            return f"there is no result for this {part} yet; press Run"
        if given is None:
            return "the result was edited or is gone, so it is not updated; press Run for a new layer"
        if (unpainted := _without_strokes(request)) is None:
            return ""
        return f"no stroke is left{unpainted}; the result stays as it was"

    def _forget_pending(self) -> None:
        """Start nothing when the run has stopped but for strokes that are painted from now on."""
        self._settled.stop()
        self._pending = False
        if self._strokes is not None:
            self._seen = token_of(self._strokes)

    def _switch(self, on: bool) -> None:
        """Remember it unless it is for want of better, and forget the image if it is of no more use."""
        if self._obstacle:
            self._despite = on
        else:
            remember(update_after_stroke=on)
        if on:
            self._settled.start()
        elif not self._frame.bar.running:
            self.live.drop()

    def _show_obstacle(self, obstacle: str) -> None:
        """Follow strokes as the user wishes, and where that would be slow only if the user ticks it then."""
        if obstacle == self._obstacle:
            return
        self._obstacle, self._despite = obstacle, self._despite and bool(obstacle)
        self.box.blockSignals(True)  # it is no wish of the user
        self.box.setChecked(self._despite if obstacle else preferences().update_after_stroke)
        self.box.blockSignals(False)
        self._show_cost(math.nan)

    def _show_cost(self, seconds: float) -> None:
        """Say what an update costs."""
        if not self._obstacle:
            self.box.setToolTip(_FOLLOWS)
            return
        took = "" if math.isnan(seconds) else f", which took {seconds:.2g} s"
        self.box.setToolTip(f"{_FOLLOWS} Each update is a run of its own{took}, because {self._obstacle}.")

    # Showing what is found

    def _show(self, shown: Shown) -> None:
        """Put what was found into the layer, unless somebody has edited it."""
        if self._frame.closed:
            return
        given = shown.slot.given
        if given is None:
            self._add(shown)
        elif self._frame.results.is_free(given):
            self._keep(given, shown.region)
            given.data[shown.region] = shown.labels
            given.layer.refresh(extent=False, thumbnail=shown.final)
        self.box.setVisible(True)
        if not shown.final:
            self._frame.bar.say(f"{how_right(shown.error) or 'coarse'}, sharpening…")
        self.shown.emit(shown)

    def _keep(self, given: Given, region: tuple[slice, ...]) -> None:
        """Keep what a layer held before the run, once, however many strokes have superseded others since."""
        whole = tuple(slice(*part.indices(n)[:2]) for part, n in zip(region, given.data.shape, strict=True))
        kept = self._before.get(given)
        self._before[given] = _Copy.of(given.data, whole) if kept is None else kept.with_more(given.data, whole)

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
        self._before, self._added = {}, None
        self._show_cost(layer.metadata["napari_cutout"]["provenance"]["seconds"])
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
        for given, kept in self._before.items():
            if results.is_free(given):
                kept.put_back(given.data)
                given.layer.refresh(extent=False)
        if self._added is not None or self._before:
            self.live.forget_labels()
        self._before, self._added = {}, None


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


def _is_one(request: Request) -> bool:
    """Tell whether a run is that of one slice or frame, which takes no time worth asking for."""
    selection = request.recipe.selection
    return selection is None or len(selection.parts(tuple(request.target.array.shape))) == 1


def _without_strokes(request: Request) -> str | None:
    """Say where the first part of a run without a stroke lies; None if all have some, or are not in memory to look."""
    markers, selection = request.inputs["markers"], request.recipe.selection
    if not isinstance(markers, np.ndarray):
        return None
    if selection is None:
        return None if (markers > 0).any() else ""
    for part in selection.parts(tuple(request.target.array.shape)):
        if not (selection.cut(markers, part) > 0).any():
            return f" at {at}" if (at := where(part, selection.kept_axes)) else ""
    return None


def _is_being_painted(layer: Layer) -> bool:
    """Tell whether a stroke is under way; napari has no public way to ask."""
    return bool(getattr(layer, "_block_history", False))
