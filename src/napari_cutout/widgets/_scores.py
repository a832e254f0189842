"""What Evaluate asks, computes and shows, as plain data and functions.  No Qt here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._array import is_lazy, to_numpy
from .._monitor import watch
from ..evaluation import overlap
from ..evaluation._annotation import Unpainted, how_read, unpainted_guess
from ..evaluation._contingency import check_pair
from ..evaluation._error_kinds import ERROR_KINDS
from ..evaluation._matching import Match
from ..evaluation.slices import SliceEvaluation, sliced, tables_along
from . import _layers
from ._columns import Column
from ._objects import ObjectScore, object_score
from ._request import Problem

__all__ = [
    "COLUMNS",
    "Asked",
    "Painted",
    "Question",
    "Score",
    "colours",
    "headline",
    "painted",
    "problems",
    "rows",
    "standing",
]

Layer = Any
"""A napari layer."""

MAX_SAMPLED = 2**22
"""Voxels that the painted share is read from; a larger truth is sampled on a grid."""

COLUMNS = (
    Column("class", tooltip="the class, by its label"),
    Column("name", tooltip="what you call the class; edit it here, and every table says so", editable=True),
    Column("iou", "IoU", "intersection over union, TP / (TP + FP + FN)", format=".3f"),
    Column("dice", "Dice", "2 TP / (2 TP + FP + FN), also called F1", format=".3f"),
    Column("precision", tooltip="how much of what was found is right, TP / (TP + FP)", format=".3f"),
    Column("recall", tooltip="how much of what is there was found, TP / (TP + FN)", format=".3f"),
    Column("accuracy", tooltip="share of all voxels that are right; read it beside prevalence", format=".3f"),
    Column("prevalence", tooltip="share of all voxels that truth gives to the class", format=".3f"),
    Column("tp", "TP", "voxels that were found", format=","),
    Column("fp", "FP", "voxels that were found in excess", format=","),
    Column("fn", "FN", "voxels that were missed", format=","),
    Column("tn", "TN", "voxels that were rightly left alone", format=","),
)
"""The table of classes, in the order of its columns."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form said when Evaluate was pressed; whether scores are current is read from it.

    Parameters
    ----------
    predicted, truth : str
        The names of the layers.
    unpainted : {"background", "not annotated"}
        What label 0 of the truth means.
    match : {"auto", "binary", "value", "overlap"}
        How predicted labels are matched to classes.
    layers : tuple of int
        The layers themselves, by their `id`.
    """

    predicted: str
    truth: str
    unpainted: Unpainted
    match: Match
    layers: tuple[int, int]


def standing(shown: Asked, now: Asked | None, *, changed: bool, gone: bool) -> str:
    """Say why scores are not those of what the form says now, or return an empty string.

    Parameters
    ----------
    shown : Asked
        What the scores were computed from.
    now : Asked or None
        What the form says now; None if it lacks a layer.
    changed : bool
        Whether a layer was edited or moved since.
    gone : bool
        Whether a layer is no longer in the viewer.

    Returns
    -------
    str
        One sentence.
    """
    pair = f"'{shown.predicted}' against '{shown.truth}'"
    if gone:
        return f"Scores of {pair}; a layer of them is gone."
    if changed:
        return f"Scores of an earlier state: {pair} changed since. Press Evaluate to score them as they are now."
    if now is None or now.layers != shown.layers:
        return f"Scores of {pair}, not of the layers chosen above."
    if (now.unpainted, now.match) != (shown.unpainted, shown.match):
        return "Scores of other settings than those above. Press Evaluate to score with these."
    return ""


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
    objects : ObjectScore or None
        The scores of objects; None where there are none to tell from each other.
    """

    evaluation: overlap.Evaluation
    slices: tuple[SliceEvaluation, ...]
    errors: Any
    objects: ObjectScore | None = None


def is_numbered(layer: Layer) -> bool:
    """Tell whether a method of ours made the labels of a layer, and numbered objects: it gives classes in uint8."""
    ours = layer.metadata.get("napari_cutout", {})
    return "recipe" in ours and np.dtype(_layers.level_zero(layer).dtype) == np.int32


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
    """

    predicted: Any
    truth: Any
    unpainted: Unpainted
    match: Match
    numbered: bool = False

    def answer(self, on_progress: Callable[[str, float], None], is_cancelled: Callable[[], bool]) -> Score:
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
        predicted, truth = _side_by_side(self.predicted, self.truth)
        ignore = 0 if self.unpainted == "not annotated" else None
        axes = range(predicted.ndim)
        check_pair(predicted, truth, ignore)
        with watch(on_progress, is_cancelled):
            tables = tables_along(predicted, truth, axes)
            slices, matching = sliced(tables, axes, predicted.shape, ignore, self.match)
            errors = overlap.errors_by(matching, predicted, truth, ignore)
        whole = slices[0].whole
        return Score(whole, slices if predicted.ndim > 2 else (), errors, object_score(whole, tables, self.numbered))


def _side_by_side(predicted: Any, truth: Any) -> tuple[Any, Any]:
    """Return both arrays in memory, or as dask arrays where one of them is too large to be read whole."""
    if not any(_is_large(array) for array in (predicted, truth)):
        return to_numpy(predicted), to_numpy(truth)
    import dask.array as da

    lazy = [array if is_lazy(array) else da.from_array(array) for array in (predicted, truth)]
    return lazy[0], lazy[1]


def _is_large(array: Any) -> bool:
    n_bytes = math.prod(array.shape) * np.dtype(array.dtype).itemsize
    return not isinstance(array, np.ndarray) and n_bytes > _layers.MAX_LAZY_BYTES


@dataclass(frozen=True, slots=True)
class Painted:
    """How much of an annotation is painted.

    Parameters
    ----------
    share : float
        Of all voxels, 0 to 1.
    n_labels : int
        How many labels besides 0.
    """

    share: float
    n_labels: int

    @property
    def guess(self) -> Unpainted:
        """What label 0 may mean."""
        return unpainted_guess(self.share, self.n_labels)

    def __str__(self) -> str:
        return f"{100 * self.share:.3g} % of truth painted"


def painted(truth: Layer) -> Painted | None:
    """Look at a grid of voxels of an annotation, or at the coarsest level of a pyramid.

    Parameters
    ----------
    truth : napari Labels layer
        The annotation.

    Returns
    -------
    Painted or None
        None if it lies on disk and is too large to be read while the window waits.
    """
    array = truth.data[-1] if truth.multiscale else truth.data
    if not isinstance(array, np.ndarray) and math.prod(array.shape) > MAX_SAMPLED:
        return None
    step = max(1, math.ceil((math.prod(array.shape) / MAX_SAMPLED) ** (1 / array.ndim)))
    sample = np.asarray(array[(slice(None, None, step),) * array.ndim])
    share = np.count_nonzero(sample) / max(sample.size, 1)
    return Painted(share, int(np.count_nonzero(np.unique(sample))))


def problems(predicted: Layer | None, truth: Layer | None) -> tuple[Problem, ...]:
    """Say why two layers cannot be compared.

    Parameters
    ----------
    predicted, truth : napari Labels layer or None
        What is chosen.

    Returns
    -------
    tuple of Problem
        Empty if they can.
    """
    chosen = {"predicted": predicted, "truth": truth}
    missing = [
        Problem(name, f"there is no Labels layer to use as {name}; {way_out}")
        for name, way_out in (("predicted", "run a method first"), ("truth", "open or paint an annotation"))
        if chosen[name] is None
    ]
    if missing:
        return tuple(missing)
    return _pair_problem(predicted, truth)


def _pair_problem(predicted: Layer, truth: Layer) -> tuple[Problem, ...]:
    if predicted is truth:
        return (Problem("truth", f"predicted and truth are both '{truth.name}'; choose two different layers"),)
    shapes = [tuple(_layers.level_zero(layer).shape) for layer in (predicted, truth)]
    if shapes[0] != shapes[1]:
        text = f"truth must have the shape of predicted, {shapes[0]}, but has {shapes[1]}; crop or resample it"
        return (Problem("truth", text),)
    if not _layers.same_place(predicted, truth):
        text = (
            f"truth has the scale {_layers.spacing(truth)} or lies elsewhere than predicted with "
            f"{_layers.spacing(predicted)}; copy the scale and transforms of one to the other (right-click)"
        )
        return (Problem("truth", text),)
    return ()


def headline(asked: Asked, evaluation: overlap.Evaluation, objects: ObjectScore | None = None) -> str:
    """Say the means, how objects were found, how labels were matched, and what unpainted meant.

    Parameters
    ----------
    asked : Asked
        What was scored.
    evaluation : Evaluation
        The scores.
    objects : ObjectScore, optional
        The scores of objects; they are left out if there is something to know before one reads them.

    Returns
    -------
    str
        A few short lines.
    """
    return (
        f"'{asked.predicted}' against '{asked.truth}'\n"
        f"mean IoU {evaluation.mean_iou:.4f}   mean Dice {evaluation.mean_dice:.4f}\n"
        f"by frequency IoU {evaluation.frequency_weighted_iou:.4f}   "
        f"Dice {evaluation.frequency_weighted_dice:.4f}\n"
        f"{'' if objects is None or objects.note else objects.line}"
        f"Matched by {evaluation.match}: {evaluation.match_reason}\n"
        f"{how_read([evaluation], evaluation.ignore)}; {evaluation.n_voxels:,} voxels scored"
    )


def rows(evaluation: overlap.Evaluation, name_of: Callable[[int], str]) -> dict[str, list[Any]]:
    """Return the columns of the table of classes.

    Parameters
    ----------
    evaluation : Evaluation
        The scores.
    name_of : callable
        From a class to its name, empty if it has none.

    Returns
    -------
    dict
        The values of each of `COLUMNS`.
    """
    table = evaluation.table
    names = {"name": [name_of(int(row["class"])) for row in table]}
    return {column.name: [row[column.name] for row in table] for column in COLUMNS if column.name != "name"} | names


def colours() -> dict[int | None, str]:
    """Return the colour of each label of an error layer, as napari's `DirectLabelColormap` takes them."""
    return {None: "transparent", 0: "transparent", **{kind.label: kind.colour for kind in ERROR_KINDS}}


def meanings() -> Mapping[int, str]:
    """Return what each label of an error layer means."""
    return {kind.label: kind.word for kind in ERROR_KINDS}
