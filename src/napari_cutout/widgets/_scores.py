"""What Evaluate asks, computes and shows, as plain data and functions.  No Qt here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import to_numpy
from .._monitor import watch
from ..evaluation import overlap
from ..evaluation._annotation import Unpainted
from . import _layers
from ._request import Problem

__all__ = [
    "COLUMNS",
    "COUNTS",
    "ERRORS",
    "Question",
    "Score",
    "cells",
    "colours",
    "headline",
    "painted_labels",
    "painted_share",
    "problems",
]

Layer = Any
"""A napari layer."""

MAX_SAMPLED = 2**22
"""Voxels that the painted share is read from; a larger truth is sampled on a grid."""

COUNTS = overlap.COUNTS
"""Columns of `Evaluation.table` that count voxels."""

COLUMNS: Mapping[str, str] = {
    "class": "class",
    "iou": "IoU",
    "dice": "Dice",
    **{name: name for name in ("precision", "recall", "accuracy", "prevalence")},
    **{name: name.upper() for name in COUNTS},
}
"""Columns of `Evaluation.table` in the order of the table, and what stands above them."""

ERRORS: Mapping[int, tuple[str, str]] = {
    1: ("found", "#009e73"),
    2: ("in excess", "#d55e00"),
    3: ("missed", "#56b4e9"),
    4: ("wrong class", "#f0e442"),
}
"""What the labels of an error layer mean, and their colours, which colour-blind people can tell apart."""


@dataclass(frozen=True, slots=True)
class Score:
    """What a finished evaluation gives.

    Parameters
    ----------
    evaluation : Evaluation
        The scores.
    errors : uint8 array
        Labels as in `ERRORS`.
    """

    evaluation: overlap.Evaluation
    errors: NDArray[np.uint8]


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
    """

    predicted: Any
    truth: Any
    unpainted: Unpainted
    match: Any

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
        """
        on_progress("reading", 0.0)
        predicted, truth = to_numpy(self.predicted), to_numpy(self.truth)
        ignore = 0 if self.unpainted == "not annotated" else None
        with watch(on_progress, is_cancelled):
            evaluation = overlap.evaluate(predicted, truth, ignore=ignore, match=self.match)
            errors = overlap.error_map(predicted, truth, ignore=ignore, match=self.match)
        return Score(evaluation, errors)


def painted_share(truth: Any) -> float:
    """Return the share of a label array that is not 0, from a grid of voxels where it is large.

    Parameters
    ----------
    truth : integer array
        NumPy, dask or zarr; only the grid is read.

    Returns
    -------
    float
        0 to 1; 0 for an array without voxels.
    """
    sample = _sample(truth)
    return float(np.count_nonzero(sample) / max(sample.size, 1))


def painted_labels(truth: Any) -> int:
    """Return how many labels besides 0 a label array holds, from a grid of voxels where it is large."""
    return int(np.count_nonzero(np.unique(_sample(truth))))


def _sample(truth: Any) -> NDArray[Any]:
    step = max(1, math.ceil((math.prod(truth.shape) / MAX_SAMPLED) ** (1 / truth.ndim)))
    return np.asarray(truth[(slice(None, None, step),) * truth.ndim])


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
    lazy = [Problem(name, text) for name, layer in chosen.items() if (text := _layers.data_problem(layer))]
    return tuple(lazy) or _pair_problem(predicted, truth)


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


def headline(evaluation: overlap.Evaluation, unpainted: Unpainted, share: float) -> str:
    """Say the means, how labels were matched, and what unpainted meant.

    Parameters
    ----------
    evaluation : Evaluation
        The scores.
    unpainted : {"background", "not annotated"}
        What label 0 of the truth meant.
    share : float
        Painted share of the truth.

    Returns
    -------
    str
        Four short lines.
    """
    return (
        f"mean IoU {evaluation.mean_iou:.4f}   mean Dice {evaluation.mean_dice:.4f}\n"
        f"weighted by frequency: IoU {evaluation.frequency_weighted_iou:.4f}   "
        f"Dice {evaluation.frequency_weighted_dice:.4f}\n"
        f"matched by {evaluation.match}: {evaluation.match_reason}\n"
        f"unpainted means {unpainted} ({100 * share:.3g} % of truth painted, {evaluation.n_voxels:,} voxels scored)"
    )


def cells(evaluation: overlap.Evaluation) -> list[list[str]]:
    """Return the text of the table, row by row, in the order of `COLUMNS`.

    Parameters
    ----------
    evaluation : Evaluation
        The scores.

    Returns
    -------
    list of list of str
        A dash where a score is not defined.
    """
    return [[_cell(name, row[name]) for name in COLUMNS] for row in evaluation.table]


def _cell(name: str, value: float) -> str:
    if name in COUNTS:
        return f"{value:,}"
    if isinstance(value, int):
        return str(value)
    return "-" if math.isnan(value) else f"{value:.3f}"


def colours() -> dict[int | None, str]:
    """Return the colour of each label of an error layer, as napari's `DirectLabelColormap` takes them."""
    return {None: "transparent", 0: "transparent", **{label: colour for label, (_, colour) in ERRORS.items()}}
