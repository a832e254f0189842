"""What a press on Evaluate asks, and the answer, which is counted in a thread of its own.  No Qt here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from .._array import is_lazy, to_numpy
from .._monitor import watch
from ..evaluation import overlap
from ..evaluation._annotation import Unpainted
from ..evaluation._contingency import check_pair
from ..evaluation._matching import Match
from ..evaluation._object_errors import object_errors
from ..evaluation.objects import ObjectEvaluation, evaluate_objects
from ..evaluation.slices import SliceEvaluation, centres_of, sliced, tables_along
from . import _layers
from ._agreement import Agreement, agreement_of, mark_of
from ._objects import ObjectScore, Places, Side, object_score

__all__ = ["ObjectErrors", "Question", "Score", "in_one_library"]

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Score:
    """What a finished evaluation gives.

    Parameters
    ----------
    evaluation : Evaluation
        The scores.
    slices : tuple of SliceEvaluation
        The scores of every slice along each axis; empty for labels with fewer than 3 axes.
    errors : uint8 array or None
        Where labels are right and wrong, as `error_map` gives it; a dask array where the labels are too large for
        memory, and None once it is not kept any more.
    agreement : Agreement
        The IoU of every object, slice and class, and what mean IoU and mean Dice say of this result and others.
    places : mapping of Side to mapping
        For each side, the centre of each label as an index of the data.
    class_places : mapping of int to tuple of float
        The centre of each class of truth; of predicted where truth has none of it.
    objects : ObjectScore or None
        The scores of objects; None where there are none to tell from each other.
    """

    evaluation: overlap.Evaluation
    slices: tuple[SliceEvaluation, ...]
    errors: Any
    agreement: Agreement
    places: Places
    class_places: Mapping[int, tuple[float, ...]]
    objects: ObjectScore | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What a press on Evaluate asks: layers were read when it was pressed.

    Parameters
    ----------
    predicted, truth : integer array
        What is scored, and against what.
    unpainted : {"background", "not annotated"}
        What label 0 of the truth means.
    match : {"auto", "binary", "value", "overlap"}
        How predicted labels are matched to classes.
    numbered : bool
        True if predicted is known to number objects, which its labels alone may not tell.
    complete : callable, optional
        Returns where every object is annotated, a bool array.
    name : str
        What to call this evaluation among others.
    others : sequence of Agreement
        Earlier evaluations, which it is compared with where they had the same truth.
    """

    predicted: Any
    truth: Any
    unpainted: Unpainted
    match: Match
    numbered: bool = False
    complete: Callable[[], Any] | None = None
    name: str = "this"
    others: Sequence[Agreement] = ()

    @property
    def ignore(self) -> int | None:
        """The label of truth that means *not annotated*."""
        return 0 if self.unpainted == "not annotated" else None

    def answer(self, on_progress: Progress, is_cancelled: Callable[[], bool]) -> Score:
        """Count and compare; call it in a thread of its own.

        Parameters
        ----------
        on_progress : callable
            Called with a stage and the fraction of it that is done.
        is_cancelled : callable
            Polled between blocks.

        Returns
        -------
        Score
            The scores, and where the errors are.

        Raises
        ------
        Cancelled
            If `is_cancelled` returned True.

        Notes
        -----
        Labels on disk of more than `_layers.MAX_LAZY_BYTES` are counted chunk by chunk and never held whole.
        """
        on_progress("reading", 0.0)
        predicted, truth, *complete = in_one_library(
            self.predicted, self.truth, *([] if self.complete is None else [self.complete()])
        )
        ignore, axes = self.ignore, range(predicted.ndim)
        check_pair(predicted, truth, ignore)
        with watch(on_progress, is_cancelled):
            tables = tables_along(predicted, truth, axes)
            slices, matching = sliced(tables, axes, predicted.shape, ignore, self.match)
            errors = overlap.errors_by(matching, predicted, truth, ignore)
            whole = slices[0].whole
            found = evaluate_objects(predicted, truth, ignore=ignore, complete=complete[0]) if complete else None
        places: Places = {side: centres_of(tables, side) for side in get_args(Side)}
        objects = object_score(whole, found or whole.objects, places, self.numbered)
        shown = slices if predicted.ndim > 2 else ()
        mark = mark_of(tables, predicted.shape, ignore)
        scored = None if objects is None else objects.found
        agreement = agreement_of(self.name, mark, whole, shown, scored, self.others)
        return Score(whole, shown, errors, agreement, places, _class_places(slices), objects)


@dataclass(frozen=True, slots=True)
class ObjectErrors:
    """What a press on *Add object errors* asks.

    Parameters
    ----------
    predicted, truth : integer array
        What was scored, and against what.
    found : ObjectEvaluation
        The scores.
    threshold : float
        The IoU from which on two objects are matched.
    """

    predicted: Any
    truth: Any
    found: ObjectEvaluation
    threshold: float

    def answer(self, on_progress: Progress, is_cancelled: Callable[[], bool]) -> Any:
        """Draw every object as its kind, as `object_errors` does; call it in a thread of its own."""
        on_progress("drawing objects", 0.0)
        predicted, truth = in_one_library(self.predicted, self.truth)
        with watch(on_progress, is_cancelled):
            return object_errors(self.found, predicted, truth, self.threshold)


def in_one_library(*arrays: Any) -> list[Any]:
    """Return arrays in memory, or as dask arrays where one of them is too large to be read whole."""
    if not any(_is_large(array) for array in arrays):
        return [to_numpy(array) for array in arrays]
    import dask.array as da

    return [array if is_lazy(array) else da.from_array(array) for array in arrays]


def _is_large(array: Any) -> bool:
    n_bytes = math.prod(array.shape) * np.dtype(array.dtype).itemsize
    return not isinstance(array, np.ndarray) and n_bytes > _layers.MAX_LAZY_BYTES


def _class_places(slices: Sequence[SliceEvaluation]) -> dict[int, tuple[float, ...]]:
    """Return the centre of each class, from its voxels in the slices along every axis."""
    there, found = (
        [one.tp + part for one, part in zip(slices, parts, strict=True)]
        for parts in ([one.fn for one in slices], [one.fp for one in slices])
    )
    centres = {}
    for at, label in enumerate(slices[0].classes.tolist()):
        counts = [side[:, at] for side in (there if there[0][:, at].any() else found)]
        if counts[0].any():
            centres[label] = tuple(float(np.arange(len(n)) @ n / n.sum()) for n in counts)
    return centres
