"""Runs of a widget whose labels go into a store: asking where, showing blocks while they finish, and going on later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QFileDialog

from .. import stores
from .._selection import Selection
from .._sources import Source
from ..running._run_plan import line
from ._large_job import (
    LargeRun,
    is_stored,
    of_process,
    outcome_of,
    plan_line,
    plan_of,
    proposed_target,
    target_problem,
    uncopied,
)
from ._live_labels import LiveLabels
from ._live_layer import LiveLayer
from ._pools import Turn
from ._preferences import preferences, scheduler_problem
from ._request import Form, Outcome, Problem, Request
from ._sources import source_of
from ._store_row import StoreRow
from ._target import target_of
from ._unfinished import Unfinished, discard, unfinished, unfinished_of
from ._worker import WorkerSlot, _Worker

__all__ = ["Large", "LargeFinished"]

Layer = Any
"""A napari layer."""

_SETTLED = 1500
"""Milliseconds without a change after which a probe is run, to say how long a run would take."""


@dataclass(frozen=True, slots=True, eq=False)
class LargeFinished:
    """What a run into a store gave.

    Parameters
    ----------
    run : LargeRun
        What ran.
    result : Result
        Its target, provenance and lazy labels.
    """

    run: LargeRun
    result: Any


class Large(QObject):  # type: ignore[misc]
    """What a widget does for labels that go into a store.

    Parameters
    ----------
    frame : MethodFrame
        The widget.

    Attributes
    ----------
    row
        Where labels go, and what is left of a run that did not end.
    ask_path
        Called with the path that is proposed, returns that which the user chose; empty if none.
    tile
        The edge of a tile in voxels; 0 for the largest that fit.
    shown
        The layer that shows a run that is under way, or was cut off.
    """

    def __init__(self, frame: Any) -> None:
        super().__init__(frame)
        self._frame = frame
        self.row = StoreRow()
        self._search, self._probe = WorkerSlot(), WorkerSlot()
        self.ask_path: Callable[[str], str] = self._ask_path
        self.tile = 0
        self.shown: LiveLayer | None = None
        self._run: LargeRun | None = None
        self._left: Unfinished | None = None
        self._source: Layer | None = None
        self._estimated: tuple[Any, str] = (None, "")
        self._to_estimate: Form | None = None
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_SETTLED)
        self._later.timeout.connect(self._estimate)
        self.row.changed.connect(frame.refresh)
        self.row.resumed.connect(self.resume)
        self.row.discarded.connect(self.discard)
        frame.bar.ended.connect(self._ended)
        for slot in (self._search, self._probe):
            frame.destroyed.connect(slot.quit)

    # What the form says

    def decide(self, form: Form) -> Form:
        """Return a form that says whether its labels go into a store: as the user chose, else as the plan needs."""
        if form.source is not self._source:
            self._source = form.source
            self.row.forget()
            self._look_for_unfinished()
        stored = form.source is not None and is_stored(form)
        self.row.show_choice(offered=stored, into_store=stored and self._needs_tiles(form))
        return replace(form, into_store=True) if stored and self.row.into_store else form

    def _needs_tiles(self, form: Form) -> bool:
        if self.row.chosen:
            return False  # nobody asks
        try:
            return plan_of(form, form.target).mode == "tiles"
        except (MemoryError, TypeError, ValueError):
            return False

    def problems(self, form: Form | None) -> tuple[Problem, ...]:
        """Say what is wrong with a run into a store."""
        sentence = ""
        if form is not None and form.into_store:
            sentence = scheduler_problem(preferences().scheduler)
        return (Problem("scheduler", sentence),) if sentence else ()

    def plan_line(self, form: Form) -> str:
        """Say how a run would go: from shapes alone at once, and how long it takes as soon as that is known."""
        asked = _asked(form)
        if asked == self._estimated[0]:
            return self._estimated[1]
        self._to_estimate = form
        self._later.start()
        return plan_line(form, form.target)

    def _estimate(self) -> None:
        """Find out in a thread how long a run would take, once the form has come to rest."""
        form, frame = self._to_estimate, self._frame
        if form is None or frame.bar.running or frame.closed or frame.out_of_sight:
            return
        run = self._run_of(uncopied(form, form.target), "")
        self._probe.quit()
        self._probe.worker = worker = _Worker(lambda *_: (form, line(run.planned())), turn=Turn.SHOWN)
        worker.signals.returned.connect(self._show_estimate)
        worker.start()

    def _show_estimate(self, answer: tuple[Form, str]) -> None:
        form, words = answer
        self._probe.worker = None
        if form is self._to_estimate and not self._frame.closed:
            self._estimated = (_asked(form), words)
            if not self._frame.bar.running:
                self._frame.bar.show_plan(words)

    # Running

    def start(self, form: Form, request: Request) -> None:
        """Ask where the labels shall go, and start the run."""
        source = request.sources.get(request.recipe.source, Source())
        chosen = self.ask_path(str(proposed_target(source, form.method.name)))
        if not chosen:
            return
        target = chosen if stores.is_store(chosen) else f"{chosen}.zarr"
        if (left := unfinished(target)) is not None:
            self._offer(left)
            self._frame.bar.say(
                f"a run into '{Path(target).name}' did not end; resume or discard it, or choose another name"
            )
        elif problem := target_problem(target, source):
            self._frame.bar.say(problem, problem=True)
        else:
            self._begin(self._run_of(request, target))

    def resume(self) -> None:
        """Go on with the run that did not end: with its own recipe, whatever the form says by now."""
        left = self._left
        if left is None or self._frame.bar.running:
            return
        if self._run is not None and self._run.target == left.target:
            self._begin(replace(self._run, resume=True))
            return
        self._frame.choose_method(left.method)
        if (asked := self._frame.ask()) is None:
            return
        form, request = asked
        try:
            selection = left.recipe.selection or Selection(form.choice.letters)
            aim = target_of(form.source, form.choice, selection)
        except ValueError as error:
            self._frame.bar.say(str(error), problem=True)
            return
        inputs = {name: aim.array if name == left.recipe.source else array for name, array in request.inputs.items()}
        again = replace(request, recipe=left.recipe, target=aim, inputs=inputs)
        self._begin(replace(self._run_of(again, left.target), resume=True))

    def discard(self) -> None:
        """Remove what is left of the run that did not end."""
        if (left := self._left) is None or self._frame.bar.running:
            return
        try:
            discard(left.target)
        except OSError as error:
            self._frame.bar.say(str(error), problem=True)
            return
        if self.shown is not None and self.shown.target == left.target:
            self.shown.take_away()
            self.shown = None
        self._offer(None)
        self._frame.bar.say(f"removed what was left of '{Path(left.target).name}'")

    def _run_of(self, request: Request, target: str) -> LargeRun:
        limit = int(preferences().memory_limit_gib * 2**30)
        memory = of_process(limit) if limit else 0
        return LargeRun(request, target, scheduler=preferences().scheduler, memory=memory, tile=self.tile)

    def _begin(self, run: LargeRun) -> None:
        self._run = run
        self._offer(None)
        self.shown = shown = self._shown_for(run)

        def work(on_progress: Callable[[str, float], None], is_cancelled: Callable[[], bool]) -> LargeFinished:
            return LargeFinished(run, run.run(on_progress, is_cancelled, shown.follow, shown.add))

        self._frame.bar.start(work, keeps=True)

    def _shown_for(self, run: LargeRun) -> LiveLayer:
        """Return the layer that shows the labels: that of the run before it was cut off, if it is still there."""
        if self.shown is not None and self.shown.target == run.target and self.shown.is_there:
            return self.shown
        aim, request = run.request.target, run.request
        live = LiveLabels.not_begun(aim.result_shape, aim.selection.kept_axes, aim.spread)
        return LiveLayer(self._frame.viewer, live, {"name": request.name, **aim.result_place}, run.target)

    def show(self, finished: LargeFinished) -> tuple[Layer | None, Outcome]:
        """Show the finished labels; return their layer if it is still there, and what came out."""
        shown, self.shown, self._run = self.shown, None, None
        if shown is not None:
            shown.finish(finished.run.target)
        outcome = outcome_of(finished.run, finished.result)
        return (shown.layer if shown is not None and shown.is_there else None), outcome

    def _look_for_unfinished(self) -> None:
        """Look in a thread whether something is left of a run on the image, and offer to go on with it."""
        source, frame = self._source, self._frame
        if source is None or frame.bar.running:
            return
        self._offer(None)
        path, methods = source_of(source).path, {method.name for method in frame.methods}
        if not path or not stores.is_store(path):
            return
        self._search.quit()
        self._search.worker = worker = _Worker(lambda *_: (source, unfinished_of(path, methods)), turn=Turn.SHOWN)
        worker.signals.returned.connect(self._found)
        worker.start()

    def _found(self, answer: tuple[Layer, Unfinished | None]) -> None:
        source, left = answer
        self._search.worker = None
        if source is self._source and not self._frame.bar.running and not self._frame.closed:
            self._offer(left)

    def _ended(self) -> None:
        """Offer to go on where a run was cut off; a run that wrote nothing leaves no layer."""
        if self._run is None:
            return
        if self.shown is not None:
            self.shown.give_up()
            self.shown = self.shown if self.shown.is_there else None
        self._offer(unfinished(self._run.target))

    def _offer(self, left: Unfinished | None) -> None:
        self._left = left
        self.row.show_unfinished("" if left is None else left.target, None if left is None else left.fraction)

    def _ask_path(self, proposed: str) -> str:
        title = "Write labels into a Zarr store"
        path, _ = QFileDialog.getSaveFileName(self._frame, title, proposed, "OME-Zarr (*.zarr)")
        return str(path)


def _asked(form: Form) -> Any:
    """Return what is equal as long as a form asks for the same run."""
    layers = {name: id(layer) for name, layer in form.layers.items() if layer is not None}
    return form.method.name, dict(form.settings), layers, form.device, form.target.selection
