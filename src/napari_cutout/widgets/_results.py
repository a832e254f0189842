"""Where the labels of a run go: to the layer of the run before if nobody has touched it, else to a new one.  No Qt."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import catalog
from .._selection import Selection
from . import _layers
from ._layers import ours
from ._request import Outcome, Request
from ._run_undo import Run, run_history
from ._sources import PAINTED

__all__ = ["Finished", "Given", "Results", "Slot", "checksum", "copy_of_state", "ours"]

Layer = Any
"""A napari layer."""

_PLACE = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
"""What says where a layer lies."""


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What a layer held.

    Parameters
    ----------
    data : array
        Its labels.
    metadata : mapping
        Its metadata.
    place : mapping
        Where it lay.
    check : int
        The checksum of the labels.
    painted : mapping
        What users had painted for it, by fingerprint.
    """

    data: Any
    metadata: Mapping[str, Any]
    place: Mapping[str, Any]
    check: int
    painted: Mapping[str, Any]


@dataclass(slots=True, eq=False, weakref_slot=True)
class Given:
    """A layer that a run has filled, and how we know that nobody has touched it since."""

    layer: Layer
    name: str
    source: Layer
    data: Any
    check: int
    selection: Selection | None = None
    before: State | None = None
    painted: bool = False

    def hear(self, event: Any = None) -> None:
        """Hear that the layer was painted on."""
        self.painted = True

    def untouched(self) -> bool:
        """Tell whether the layer holds what the run put into it, voxel by voxel; call it in a thread of its own."""
        return self.layer.data is self.data and checksum(self.data) == self.check

    def fill(self, state: State) -> None:
        """Put other labels into the layer."""
        self.before = state_of(self.layer, self.check)
        fill(self.layer, state)
        self.data, self.check, self.painted = self.layer.data, state.check, False


@dataclass(slots=True, eq=False)
class Slot:
    """Stands for a layer that may still have to be made.

    Parameters
    ----------
    given : Given, optional
        The layer, once there is one.
    data : array, optional
        The array that it holds, into which labels are written.
    before : State, optional
        What it held before the run, if that can be had back.
    """

    given: Given | None = None
    data: Any = None
    before: State | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """What a run gave, and which layer it may update.

    Parameters
    ----------
    outcome : Outcome
        Labels and all that a new layer needs.
    source : napari layer
        What was cut.
    check : int
        The checksum of the labels.
    given : Given, optional
        The layer of an earlier run that nobody had touched when this one had ended.
    selection : Selection, optional
        Which part of the source it ran on.
    request : Request, optional
        What ran.
    slot : Slot, optional
        The layer that holds the labels already, instead of `given`.
    adds : bool
        Whether to add a layer if that which it may update has been edited meanwhile.
    """

    outcome: Outcome
    source: Layer
    check: int
    given: Given | None = None
    selection: Selection | None = None
    request: Request | None = None
    slot: Slot | None = None
    adds: bool = True


class Results:
    """The layers that the runs of one widget have made.

    Parameters
    ----------
    viewer : napari viewer or ViewerModel
        Where layers go.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._given: list[Given] = []

    @property
    def last(self) -> Layer | None:
        """The layer of the last run, if it is still there."""
        given = self._given[-1] if self._given else None
        return given.layer if given is not None and given.layer in self._viewer.layers else None

    def work(
        self,
        request: Request,
        layers: Mapping[str, Layer | None],
        source: Layer,
        *,
        update: bool = True,
        adds: bool = True,
    ) -> Callable[[Callable[[str, float], None], Callable[[], bool]], Finished]:
        """Return what a worker is to do for a request.

        Parameters
        ----------
        request : Request
            What is to run.
        layers : mapping of str to napari layer or None
            What it reads.
        source : napari layer
            What is cut.
        update : bool
            Whether the layer of an earlier run of this widget may be updated: one that was made by the same method
            from the same part of the same layer, that this run does not read, and that nobody has renamed or edited
            since.
        adds : bool
            Whether to add a layer if there is none to update when it has ended.

        Returns
        -------
        callable
            Takes on_progress and is_cancelled, returns a `Finished`.
        """
        selection = request.recipe.selection
        given = self.candidate(request, layers, source) if update else None

        def work(on_progress: Callable[[str, float], None], is_cancelled: Callable[[], bool]) -> Finished:
            outcome = request.run(on_progress, is_cancelled)
            free = given if given is not None and given.untouched() else None  # now: somebody may have painted
            return Finished(outcome, source, checksum(outcome.labels), free, selection, request, adds=adds)

        return work

    def candidate(self, request: Request, layers: Mapping[str, Layer | None], source: Layer) -> Given | None:
        """Return the layer of an earlier run that this run may update, as far as that can be told at once.

        Parameters
        ----------
        request, layers, source
            As for `work`.

        Returns
        -------
        Given or None
            The newest; None if there is none, or the run reads it.
        """
        for given in reversed(self._given):
            same = given.source is source and given.selection == request.recipe.selection
            if same and _stem(given.name) == request.name and self.is_free(given):
                return given if all(layer is not given.layer for layer in layers.values()) else None
        return None

    def lacks(self, request: Request, source: Layer) -> bool:
        """Tell whether runs of this widget have cut other parts of a layer, but never what this one would.

        Parameters
        ----------
        request : Request
            What is to run.
        source : napari layer
            What is cut.
        """
        cut = [given.selection for given in self._given if given.source is source]
        return bool(cut) and request.recipe.selection not in cut

    def put(self, finished: Finished) -> Layer | None:
        """Show the labels of a run.

        Parameters
        ----------
        finished : Finished
            What the run gave.

        Returns
        -------
        napari Labels layer or None
            The layer that holds the labels now; None if there is none to update and none may be added.
        """
        outcome, slot = finished.outcome, finished.slot
        given = finished.given if slot is None else slot.given
        active, before = self._viewer.layers.selection.active, None
        if given is None or not self.is_free(given) or given.layer.ndim != np.ndim(outcome.labels):
            if not finished.adds:
                return None
            labels = outcome.labels if slot is None else np.array(outcome.labels)  # they go on to change
            layer = self._viewer.add_labels(labels, **outcome.options)
            given = Given(layer, layer.name, finished.source, layer.data, finished.check, finished.selection)
            PAINTED[layer] = dict(outcome.painted)
            layer.events.paint.connect(given.hear)
            self._note(finished, given, None, active)
        else:
            self._given = [kept for kept in self._given if kept is not given]
            place = {name: outcome.options[name] for name in _PLACE if name in outcome.options}
            if slot is not None:
                given.check, given.layer.metadata = finished.check, dict(outcome.options["metadata"])
                before, given.before, slot.before = slot.before, slot.before or given.before, None
                PAINTED[given.layer] = dict(outcome.painted)
            else:
                given.fill(State(outcome.labels, outcome.options["metadata"], place, finished.check, outcome.painted))
                before = given.before
            if before is not None:
                self._note(finished, given, before, active)
        self._given = [kept for kept in self._given if kept.layer in self._viewer.layers]
        self._given.append(given)
        return given.layer

    def _note(self, finished: Finished, given: Given, before: State | None, active: Layer | None) -> None:
        """Let the history of the viewer know what can be taken back."""
        request = finished.request
        row = "the run" if request is None else catalog.find(request.recipe.steps[-1].method).row
        keep = weakref.WeakMethod(self._keep)

        def came_back(given: Given) -> None:
            if (remember := keep()) is not None:
                remember(given)

        title = f"{row} on {finished.source.name}"
        run_history(self._viewer).note(Run(title, given.layer, given, before, active, came_back))

    def _keep(self, given: Given) -> None:
        """Take a layer that was taken away and came back for the newest again."""
        self._given = [*(one for one in self._given if one is not given), given]

    def forget(self) -> None:
        """Let the next run add a layer, as what it does has nothing to do with the runs before."""
        self._given = []

    def given_of(self, layer: Layer | None) -> Given | None:
        """Return what is known of a layer that a run of this widget has filled."""
        return next((given for given in self._given if given.layer is layer), None)

    def drop(self, given: Given) -> None:
        """Take a layer away, unless somebody has edited or renamed it."""
        if self.is_free(given):
            self._given.remove(given)
            self._viewer.layers.remove(given.layer)

    def is_free(self, given: Given) -> bool:
        """Tell whether nobody has edited or renamed a layer, as far as that can be told at once."""
        there = given.layer in self._viewer.layers and given.layer.name == given.name
        return there and bool(ours(given.layer)) and not given.painted and given.layer.data is given.data


def checksum(labels: Any) -> int:
    """Return a number that changes when a voxel does; about a gigabyte takes a third of a second."""
    from zlib import crc32

    return crc32(np.ascontiguousarray(labels).reshape(-1).view(np.uint8).data)


def state_of(layer: Layer, check: int) -> State:
    """Return what a layer holds, whose checksum is known."""
    place = {**_layers.placement(layer), "axis_labels": layer.axis_labels}
    return State(layer.data, dict(layer.metadata), place, check, PAINTED.get(layer, {}))


def copy_of_state(given: Given) -> State:
    """Return what a layer holds, with labels of its own: those of the layer will change."""
    state = state_of(given.layer, given.check)
    return replace(state, data=np.array(state.data))


def fill(layer: Layer, state: State) -> None:
    """Give a Labels layer other labels with as many axes, and forget its strokes, which an undo would replay."""
    with layer.events.set_data.blocker():
        for name, value in state.place.items():
            setattr(layer, name, value)
    layer.data = state.data
    layer.metadata = dict(state.metadata)
    PAINTED[layer] = dict(state.painted)
    _forget_strokes(layer)


def _forget_strokes(layer: Layer) -> None:
    """Empty the history of strokes, which napari does when it locks a layer; a locked one has none."""
    mode, editable = layer.mode, layer.editable
    layer.editable = False
    layer.editable, layer.mode = editable, mode


def _stem(name: str) -> str:
    """Return a name without the number by which napari makes it unique."""
    head, bracket, number = name.rpartition(" [")
    return head if bracket and number.rstrip("]").isdigit() else name
