"""Previews off the event loop: asked for whenever something moves, the newest one wins.

>>> preview = Preview(viewer, parent=widget)  # doctest: +SKIP
>>> preview.view_changed.connect(widget.refresh)  # the slice, the camera or the data: ask anew
>>> preview.answered.connect(lambda answer: line.setText(answer.approximate))
>>> preview.failed.connect(line.setText)
>>> preview.waiting.connect(line.setText)
>>> preview.gone.connect(line.clear)  # whatever was said of it, since it is not there any more
>>> preview.switched_off.connect(lambda: box.setChecked(False))  # the user has removed the layer by hand
>>> preview.counted.connect(plot.set_histogram)  # (Histogram, approximate)
>>> preview.set_on(True)
>>> view = view_of(viewer, image_layer)  # of _view
>>> job = PreviewJob(recipe, {"image": levels_of(image_layer)}, view)
>>> preview.ask(job, {"image": image_layer}, target.place, target.spread)  # on every change of the form
>>> preview.count(job, {"image": image_layer})  # the histogram of the whole, for a plot
>>> preview.clear()  # a run has succeeded: its labels take the place
>>> preview.let_go()  # the widget is closed
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Event
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from .._compiling import COMPILING, under_way
from ._contents import CHANGES, token_of
from ._known_statistics import StatisticsCache
from ._pools import Turn
from ._preview_job import PreviewAnswer, PreviewJob, Wanted
from ._preview_layer import PreviewLayer, lies_on
from ._view import View, camera_of, view_of
from ._worker import Work, WorkerSlot, _sentence, _Worker

__all__ = ["STATISTICS", "Preview"]

log = logging.getLogger(__name__)

Layer = Any
"""A napari layer."""

STATISTICS = StatisticsCache()
"""What is known of the layers of this session, in all widgets."""

DELAY = 30
"""Milliseconds between two previews, at least."""

PATIENCE = 150
"""Milliseconds that a preview may go on after a newer one was asked for, so that quick ones follow a slider."""

LATE = 300
"""Milliseconds without an answer after which it is said what keeps it, again and again."""

SETTLED = 150
"""Milliseconds without a move of the camera after which it stands."""


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """What was asked for."""

    job: PreviewJob
    source: Layer
    place: Mapping[str, Any]
    spread: int | None
    instead_of: Layer | None


class _Links:
    """Connections to napari's events, which can be cut after the Qt object that they serve is gone."""

    def __init__(self) -> None:
        self._made: list[tuple[Any, Callable[..., None]]] = []

    def connect(self, event: Any, callback: Callable[..., None]) -> None:
        """Connect and remember it."""
        event.connect(callback)
        self._made.append((event, callback))

    def cut(self, _: Any = None) -> None:
        """Disconnect all."""
        while self._made:
            event, callback = self._made.pop()
            with suppress(RuntimeError):  # a menu may be gone with its window
                event.disconnect(callback)


class Preview(QObject):  # type: ignore[misc]
    """Shows in a temporary layer what a run would give for what is in view.

    Parameters
    ----------
    viewer : napari viewer
        Whose layers, slice and camera it follows.
    parent : QObject, optional
        Its parent.
    delay : int
        Milliseconds between two previews, at least; the first one starts at once.
    statistics : StatisticsCache, optional
        What is known of whole images; by default what all widgets share.
    shown : type of PreviewLayer
        What puts an answer into the temporary layer.

    Attributes
    ----------
    answered
        Emitted with a `PreviewAnswer` once it is shown.
    failed
        Emitted with the sentence of what is wrong; nothing is shown then.
    waiting
        Emitted while there is no answer, as often as what keeps it may change, with what that is in a few words.
    gone
        Emitted when nothing is shown or computed any more until it is asked again.
    view_changed
        Emitted while it is on, when the viewer shows something else or the layers hold something else: ask anew.
    switched_off
        Emitted when the user has taken the layer away by hand.
    counted
        Emitted with the histogram of the whole that `count` asked for, and what it was taken from if not the whole.
    count_failed
        Emitted with the sentence of why there is no such histogram, such as that the mask is empty.
    """

    answered = Signal(object)
    failed = Signal(str)
    waiting = Signal(str)
    gone = Signal()
    view_changed = Signal()
    switched_off = Signal()
    counted = Signal(object, str)
    count_failed = Signal(str)

    def __init__(
        self,
        viewer: Any,
        parent: QObject | None = None,
        *,
        delay: int = DELAY,
        statistics: StatisticsCache | None = None,
        shown: type[PreviewLayer] = PreviewLayer,
    ) -> None:
        super().__init__(parent)
        self.viewer = getattr(viewer, "__wrapped__", viewer)  # plugins get it behind a proxy
        self.statistics = STATISTICS if statistics is None else statistics
        self.patience = PATIENCE
        self.is_on = False
        self._shown = shown(self.viewer.layers)
        self._slots = {name: WorkerSlot() for name in ("preview", "gather", "count")}
        self._pending: _Request | None = None
        self._last: _Request | None = None
        self._began = 0.0
        self._gathering: tuple[Wanted, ...] = ()
        self._refused: set[Wanted] = set()
        self._to_count: PreviewJob | None = None
        self._tokens: dict[Layer, Any] = {}
        self._seen: View | None = None
        self._pause = self._timer(delay, self._start)
        self._settle = self._timer(SETTLED, self._camera_settled)
        self._compare = self._timer(0, self._contents_compared)
        self._late = self._timer(LATE, self._wait)
        self._of_viewer, self._of_layers = _Links(), _Links()
        self._gone = gone = Event()  # the widget is, and no work is started any more
        if parent is not None:
            parent.destroyed.connect(lambda: gone.set())
            for closing in (self._of_viewer.cut, self._of_layers.cut, *(slot.quit for slot in self._slots.values())):
                parent.destroyed.connect(closing)

    # Asking

    @property
    def layer(self) -> Layer | None:
        """The temporary layer; None while nothing is shown."""
        return self._shown.layer

    def set_delay(self, milliseconds: int) -> None:
        """Set the time between two previews, at least."""
        self._pause.setInterval(milliseconds)

    def set_on(self, on: bool) -> None:
        """Switch previews on or off; off takes the layer away and stops what is computed."""
        if on == self.is_on:
            return
        self.is_on = on
        if on:
            self._follow_viewer()
            self.view_changed.emit()
        else:
            self._of_viewer.cut()
            self.clear()
            self.statistics.ready.clear()

    def clear(self) -> None:
        """Take the layer away and forget what was asked; the next question shows it again."""
        self._pending = self._last = self._seen = None
        self._slots["preview"].quit()
        self._slots["gather"].quit()
        self._shown.clear()
        self._late.stop()
        self.gone.emit()

    def let_go(self) -> None:
        """Switch off and forget the viewer; it is not used after this."""
        self.set_on(False)
        self._slots["count"].quit()
        self._to_count = None
        self._of_layers.cut()
        self._tokens = {}

    def ask(
        self,
        job: PreviewJob,
        layers: Mapping[str, Layer],
        place: Mapping[str, Any],
        spread: int | None = None,
        *,
        instead_of: Layer | None = None,
    ) -> None:
        """Ask for a preview; nothing is computed here.

        Parameters
        ----------
        job : PreviewJob
            What to compute.
        layers : mapping of str to napari layer
            Whose arrays the inputs are, by the same names. The first one is what the labels lie on.
        place : mapping
            What puts a layer where the whole image lies on the level of the run, as arguments of a layer.
        spread : int, optional
            An axis of the layer that stands for all channels.
        instead_of : napari layer, optional
            What is out of sight while the preview is shown, such as the result that it may replace.
        """
        if not self.is_on:
            return
        held = {name: _real(layer) for name, layer in layers.items()}
        self._watch(held.values())
        source = held[job.source]
        if not source.visible:
            self.clear()
            return
        self._seen = job.view
        tokens = {name: token_of(layer) for name, layer in held.items()}
        self._pending = self._last = _Request(
            replace(job, tokens=tokens), source, dict(place), spread, _real(instead_of)
        )
        if not self._late.isActive():
            self._late.start()
        slot = self._slots["preview"]
        if slot.worker is not None and 1000 * (time.monotonic() - self._began) >= self.patience:
            slot.quit()
        if not self._pause.isActive():
            self._start()

    def count(self, job: PreviewJob, layers: Mapping[str, Layer]) -> None:
        """Ask for the histogram of the whole image; `counted` brings it, at once if it is known.

        Parameters
        ----------
        job : PreviewJob
            Of which image, in which mask.
        layers : mapping of str to napari layer
            Whose arrays the inputs are, by the same names.
        """
        held = {name: _real(layer) for name, layer in layers.items()}
        self._watch(held.values())
        self._to_count = replace(job, tokens={name: token_of(layer) for name, layer in held.items()})
        slot = self._slots["count"]
        if slot.worker is not None:
            slot.quit()
        else:
            self._count()

    # Computing

    def _start(self) -> None:
        """Start the newest request, unless one is under way or has just begun."""
        request = self._pending
        if request is None or self._slots["preview"].worker is not None or self._pause.isActive():
            return
        self._pending, self._began = None, time.monotonic()
        self._pause.start()

        def work(on_progress: Callable[[str, float], None], is_cancelled: Callable[[], bool]) -> Any:
            return request, request.job.run(self.statistics, on_progress, is_cancelled)

        self._work("preview", work, self._show, self._fail, self._start)

    def _show(self, result: tuple[_Request, PreviewAnswer]) -> None:
        request, answer = result
        if not self.is_on or self._last is None or request.source not in self.viewer.layers:
            return
        labels, start, factor = thinned(answer, self._voxels_per_pixel(request))
        if request.spread is not None:
            labels = np.expand_dims(labels, request.spread)
        place = lies_on(request.place, start, factor, request.spread)
        self._shown.show(labels, place, request.source, contour=request.job.covers, instead_of=request.instead_of)
        self._late.stop()
        self.answered.emit(answer)
        self._gather(request, answer)

    def _wait(self) -> None:
        """Say what keeps the answer; a loop that another thread compiles may be the one that it waits for."""
        self.waiting.emit(f"preview: {COMPILING if under_way() else 'computing…'}")
        self._late.start()

    def _voxels_per_pixel(self, request: _Request) -> tuple[float, ...]:
        """Return how many of the run's voxels lie under a pixel of the canvas, along every axis but c."""
        scale = [s for axis, s in enumerate(request.place["scale"]) if axis != request.spread]
        return tuple(1 / max(abs(float(s)) * float(self.viewer.camera.zoom), 1e-9) for s in scale)

    def _fail(self, error: Exception) -> None:
        if self._pending is None:
            self._shown.clear()
            self._late.stop()
            log.debug("a preview failed", exc_info=error)
            self.failed.emit(_sentence(error))

    def _gather(self, request: _Request, answer: PreviewAnswer) -> None:
        """Find in the background what the preview was missing, unless that is under way."""
        wanted = tuple(one for one in answer.wanted if one not in self._refused)
        slot = self._slots["gather"]
        if not wanted or (slot.worker is not None and wanted == self._gathering):
            return
        if slot.worker is not None:
            slot.quit()
            return  # its end asks anew
        self._gathering = wanted

        def work(on_progress: Callable[[str, float], None], is_cancelled: Callable[[], bool]) -> Any:
            for one in wanted:
                request.job.gather(one, self.statistics, on_progress, is_cancelled)
            return wanted

        def end() -> None:
            self._gathering = ()
            self._again()

        self._work("gather", work, self._gathered, self._gather_failed, end)

    def _gathered(self, wanted: tuple[Wanted, ...]) -> None:
        """Remember what was not found after all, so that it is not looked for for ever."""
        self._refused |= {one for one in wanted if not one.keys <= self.statistics.get(one.whole).states.keys()}

    def _gather_failed(self, error: Exception) -> None:
        log.debug("statistics for a preview could not be found", exc_info=error)
        self._refused |= set(self._gathering)

    def _again(self) -> None:
        """Ask the last question once more, now that more is known."""
        if self.is_on and self._pending is None and self._last is not None:
            self._pending = self._last
            self._start()

    def _count(self) -> None:
        job, self._to_count = self._to_count, None
        if job is None:
            return

        def work(on_progress: Callable[[str, float], None], is_cancelled: Callable[[], bool]) -> Any:
            histogram = job.count(self.statistics, on_progress, is_cancelled)
            return histogram, self.statistics.get(job.counted_whole()).approximate

        self._work("count", work, lambda found: self.counted.emit(*found), self._count_failed, self._count)

    def _count_failed(self, error: Exception) -> None:
        log.debug("a histogram could not be counted", exc_info=error)
        self.count_failed.emit(_sentence(error))

    def _work(
        self,
        name: str,
        work: Work,
        returned: Callable[[Any], None],
        errored: Callable[[Exception], None],
        finished: Callable[[], None],
    ) -> None:
        """Run work in a thread of its own and tell how it ended, unless it was cancelled or nobody is left to hear."""
        slot, gone = self._slots[name], self._gone
        slot.worker = worker = _Worker(work, turn=Turn.SHOWN)

        def end() -> None:
            slot.worker = None
            if not gone.is_set():
                finished()

        def unless_stale(tell: Callable[[Any], None]) -> Callable[[Any], None]:
            return lambda found: None if worker.abort_requested or gone.is_set() else tell(found)

        worker.signals.returned.connect(unless_stale(returned))
        worker.signals.errored.connect(unless_stale(errored))
        worker.signals.finished.connect(end)
        worker.start()

    # Following

    def _timer(self, milliseconds: int, callback: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(callback)
        return timer

    def _follow_viewer(self) -> None:
        viewer, link = self.viewer, self._of_viewer.connect
        for event in (viewer.dims.events.point, viewer.dims.events.order, viewer.dims.events.ndisplay):
            link(event, self._dims_moved)
        camera = camera_of(viewer)
        # What the canvas shows is known only once it is drawn, also after axes were swapped.
        for event in (camera.events.zoom, camera.events.center, viewer.dims.events.order, viewer.dims.events.ndisplay):
            link(event, self._camera_moved)
        link(viewer.layers.events.removed, self._removed)
        if (menu := getattr(getattr(viewer, "window", None), "file_menu", None)) is not None:
            link(menu.aboutToShow, self._shown.clear)
            link(menu.aboutToHide, self._menu_closed)

    def _watch(self, layers: Any) -> None:
        """Follow the contents of these layers, and whether they are in sight."""
        held = list(layers)
        if set(held) != set(self._tokens):
            self._of_layers.cut()
            for layer in held:
                for name in CHANGES:
                    if (event := getattr(layer.events, name, None)) is not None:
                        self._of_layers.connect(event, self._contents_changed)
                self._of_layers.connect(layer.events.visible, self._visibility_changed)
        self._tokens = {layer: token_of(layer) for layer in held}

    def _dims_moved(self, event: Any = None) -> None:
        if self.is_on:
            self.view_changed.emit()

    def _menu_closed(self) -> None:
        """Come back after the File menu, whose *Save* offers what can write the layers that there are then."""
        QTimer.singleShot(0, self._again)

    def _camera_moved(self, event: Any = None) -> None:
        self._settle.start()

    def _camera_settled(self) -> None:
        """Ask anew if the camera shows other voxels than before."""
        if not self.is_on:
            return
        if self._last is None or view_of(self.viewer, self._last.source) != self._seen:
            self.view_changed.emit()

    def _contents_changed(self, event: Any = None) -> None:
        if not self._compare.isActive():
            self._compare.start()

    def _contents_compared(self) -> None:
        if any(token_of(layer) != token for layer, token in self._tokens.items()):
            self._tokens = {layer: token_of(layer) for layer in self._tokens}
            self.view_changed.emit()

    def _visibility_changed(self, event: Any = None) -> None:
        if self.is_on:
            self.view_changed.emit()

    def _removed(self, event: Any) -> None:
        """Go away with the image; go off if the user has removed the preview itself."""
        gone = event.value
        if gone is self._shown.layer:
            self.set_on(False)
            self.switched_off.emit()
            return
        if gone in self._tokens:
            self.statistics.forget(str(gone.unique_id))
        if self._last is not None and gone is self._last.source:
            self.clear()


def thinned(
    answer: PreviewAnswer, voxels_per_pixel: Sequence[float]
) -> tuple[np.ndarray[Any, Any], tuple[float, ...], tuple[float, ...]]:
    """Leave out labels that no pixel of the canvas has room for; they would only be uploaded, not seen.

    Parameters
    ----------
    answer : PreviewAnswer
        Labels of what is in view.
    voxels_per_pixel : sequence of float
        How many voxels of the run lie under a pixel, along every axis.

    Returns
    -------
    labels : integer array
        The middle one of every few.
    start, factor : tuple of float
        As in `PreviewAnswer`, for these labels.
    """
    steps = [
        max(1, int(per_pixel / f)) if n > 1 else 1
        for n, per_pixel, f in zip(answer.labels.shape, voxels_per_pixel, answer.factor, strict=True)
    ]
    if all(step == 1 for step in steps):
        return answer.labels, answer.start, answer.factor
    labels = answer.labels[tuple(slice((step - 1) // 2, None, step) for step in steps)]
    start = tuple(first / step for first, step in zip(answer.start, steps, strict=True))
    return np.ascontiguousarray(labels), start, tuple(f * step for f, step in zip(answer.factor, steps, strict=True))


def _real(layer: Layer) -> Layer:
    """Return a layer from behind its proxy."""
    return getattr(layer, "__wrapped__", layer)
