"""Runs taken back and done again, the last one first, whichever widget made them.  No Qt here."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ._layers import ours
from ._view import of_viewer

if TYPE_CHECKING:
    from ._results import Given, State

__all__ = ["Run", "RunHistory", "run_history"]

Layer = Any
"""A napari layer."""

MOST_RUNS = 30
"""Runs that can be taken back at most."""

MOST_BYTES = 2**30
"""Bytes of labels from before runs that are kept at most; the last run can be taken back in any case."""


@dataclass(slots=True, eq=False)
class Run:
    """What a run did to the list of layers.

    Parameters
    ----------
    title : str
        Such as ``"Threshold on nuclei"``.
    layer : napari Labels layer
        Which it added or filled.
    given : Given, optional
        What is known of a layer in memory; none for one that shows a store.
    before : State, optional
        What the layer held before; none if the run added it.
    active : napari layer, optional
        Which layer was selected before.
    came_back : callable
        Called with `given` once a layer that was taken away is there again.
    """

    title: str
    layer: Layer
    given: Given | None
    before: State | None
    active: Layer | None
    came_back: Callable[[Given], None] | None = None
    after: State | None = None
    place: int = 0
    then_active: Layer | None = None

    @property
    def n_bytes(self) -> int:
        """Bytes that are kept for it alone."""
        return sum(int(state.data.nbytes) for state in (self.before, self.after) if state is not None)

    def problem(self) -> str:
        """Say why this may not be changed now, or return an empty string: edits of a user are never lost."""
        given, name = self.given, self.layer.name
        if given is None:
            return ""
        if name != given.name:
            return f"'{given.name}' was renamed to '{name}' since, so it is left alone; remove it yourself if you like"
        if not given.untouched() or not ours(self.layer):
            return (
                f"'{name}' was edited since '{self.title}', and the edits would be lost; take them back with Ctrl+Z, "
                "or keep the layer as it is"
            )
        return ""


class RunHistory:
    """The runs of a viewer, which can be taken back.

    Parameters
    ----------
    viewer : napari viewer
        Whose layers they made.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = weakref.ref(viewer)
        self._done: list[Run] = []
        self._undone: list[Run] = []
        self._listeners: list[Any] = []
        viewer.layers.events.removed.connect(self._removed)
        viewer.layers.events.inserted.connect(self._tell)

    def listen(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call a bound method whenever there is another run to take back or to do again; it is held weakly.

        What is returned ends it: connect it to `destroyed` of a widget, which Python may keep after Qt has deleted it.
        """
        listener = weakref.WeakMethod(changed)
        self._listeners.append(listener)

        def end() -> None:
            self._listeners = [one for one in self._listeners if one is not listener]

        return end

    @property
    def last(self) -> Run | None:
        """The run that would be taken back; those whose layer somebody has removed are passed over."""
        layers = self._layers
        return next((run for run in reversed(self._done) if run.layer in layers), None)

    @property
    def next(self) -> Run | None:
        """The run that would be done again."""
        run = self._undone[-1] if self._undone else None
        there = run is not None and (run.before is None) != (run.layer in self._layers)
        return run if there else None

    def note(self, run: Run) -> None:
        """Take note of a run; what was taken back before can no longer be done again."""
        layers = self._layers
        self._done = [*(one for one in self._done if one.layer in layers), run][-MOST_RUNS:]
        self._undone = []
        while len(self._done) > 1 and sum(one.n_bytes for one in self._done) > MOST_BYTES:
            del self._done[0]
        self._tell()

    def undo(self) -> str:
        """Take the last run back: its layer goes, or holds what it held before.

        Returns
        -------
        str
            What was done, in a sentence.

        Raises
        ------
        ValueError
            If there is none, or the layer was edited or renamed since; nothing is changed then.
        """
        run = self._free(self.last, "there is no run to take back")
        viewer: Any = self._viewer()
        run.then_active = viewer.layers.selection.active
        self._done = self._done[: self._done.index(run)]
        self._undone.append(run)
        if run.before is None:
            run.place = viewer.layers.index(run.layer)
            viewer.layers.remove(run.layer)
        else:
            run.after = _filled(run, run.before)
        _select(viewer, run.active)
        self._tell()
        store = str(ours(run.layer).get("store", ""))
        kept = f"; the labels stay in {store}" if run.given is None and store else ""
        return f"took back: {run.title}{kept}"

    def redo(self) -> str:
        """Do again what was taken back last.

        Returns
        -------
        str
            What was done, in a sentence.

        Raises
        ------
        ValueError
            If there is nothing, or the layer was edited or renamed since; nothing is changed then.
        """
        run = self._free(self.next, "there is no run to do again")
        viewer: Any = self._viewer()
        self._undone.pop()
        if run.before is None:
            viewer.layers.insert(min(run.place, len(viewer.layers)), run.layer)
            if run.given is not None and run.came_back is not None:
                run.came_back(run.given)
        elif run.after is not None:
            run.before, run.after = _filled(run, run.after), None
        self._done.append(run)
        _select(viewer, run.then_active)
        self._tell()
        return f"done again: {run.title}"

    @property
    def _layers(self) -> Any:
        viewer: Any = self._viewer()
        return viewer.layers

    def _free(self, run: Run | None, otherwise: str) -> Run:
        if run is None:
            raise ValueError(otherwise)
        if problem := run.problem():
            raise ValueError(problem)
        return run

    def _removed(self, event: Any = None) -> None:
        """Let go of runs whose layer somebody has removed, and of all that is kept for them."""
        layers = self._layers
        self._done = [run for run in self._done if run.layer in layers]
        coming = {run.layer for run in self._undone if run.before is None}  # these are brought back by doing them again
        self._undone = [run for run in self._undone if run.layer in layers or run.layer in coming]
        self._tell()

    def _tell(self, event: Any = None) -> None:
        alive = [(one, call) for one in self._listeners if (call := one()) is not None]
        self._listeners = [one for one, _ in alive]
        for _, call in alive:
            call()


def _filled(run: Run, state: State) -> State | None:
    """Give the layer what it held, and return what it held until now."""
    assert run.given is not None
    run.given.fill(state)
    return run.given.before


def _select(viewer: Any, layer: Layer | None) -> None:
    if layer is not None and layer in viewer.layers:
        viewer.layers.selection.active = layer


_HISTORIES: WeakKeyDictionary[Any, RunHistory] = WeakKeyDictionary()


def run_history(viewer: Any) -> RunHistory:
    """Return the runs of a viewer, which live as long as the viewer.

    Parameters
    ----------
    viewer : napari viewer
        The viewer, or the proxy of it that napari hands to plugins.

    Returns
    -------
    RunHistory
        Always the same for one viewer.
    """
    return of_viewer(viewer, _HISTORIES, RunHistory)
