"""Where the labels of a run go: to the layer of the run before if nobody has touched it, else to a new one.  No Qt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._selection import Selection
from . import _layers
from ._layers import ours
from ._request import Outcome, Request
from ._sources import PAINTED

__all__ = ["Finished", "Results", "ours"]

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
    """

    outcome: Outcome
    source: Layer
    check: int
    given: Given | None = None
    selection: Selection | None = None
    request: Request | None = None


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

    @property
    def can_restore(self) -> bool:
        """True if the layer of the last run held something before that can be had back."""
        return self.last is not None and self._given[-1].before is not None

    def work(
        self, request: Request, layers: Mapping[str, Layer | None], source: Layer, *, update: bool = True
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

        Returns
        -------
        callable
            Takes on_progress and is_cancelled, returns a `Finished`.
        """
        selection = request.recipe.selection
        given = self._candidate(request.name, source, selection) if update else None
        if given is not None and any(layer is given.layer for layer in layers.values()):
            given = None

        def work(on_progress: Callable[[str, float], None], is_cancelled: Callable[[], bool]) -> Finished:
            outcome = request.run(on_progress, is_cancelled)
            free = given if given is not None and given.untouched() else None  # now: somebody may have painted
            return Finished(outcome, source, checksum(outcome.labels), free, selection, request)

        return work

    def put(self, finished: Finished) -> Layer:
        """Show the labels of a run.

        Parameters
        ----------
        finished : Finished
            What the run gave.

        Returns
        -------
        napari Labels layer
            The layer that holds the labels now.
        """
        outcome, given = finished.outcome, finished.given
        if given is None or not self._is_free(given) or given.layer.ndim != np.ndim(outcome.labels):
            layer = self._viewer.add_labels(outcome.labels, **outcome.options)
            given = Given(layer, layer.name, finished.source, layer.data, finished.check, finished.selection)
            PAINTED[layer] = dict(outcome.painted)
            layer.events.paint.connect(given.hear)
        else:
            self._given.remove(given)
            place = {name: outcome.options[name] for name in _PLACE if name in outcome.options}
            given.fill(State(outcome.labels, outcome.options["metadata"], place, finished.check, outcome.painted))
        self._given = [kept for kept in self._given if kept.layer in self._viewer.layers]
        self._given.append(given)
        return given.layer

    def restore(self) -> None:
        """Give the layer of the last run back what it held before; again, to undo that."""
        if self.can_restore:
            given = self._given[-1]
            assert given.before is not None
            given.fill(given.before)

    def _candidate(self, name: str, source: Layer, selection: Selection | None) -> Given | None:
        """Return the layer of an earlier run that a run of this name on this part of this layer may update."""
        for given in reversed(self._given):
            same = given.source is source and given.selection == selection
            if same and _stem(given.name) == name and self._is_free(given):
                return given
        return None

    def _is_free(self, given: Given) -> bool:
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
