"""What Evaluate shows of objects, as plain data and functions.  No Qt here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ..evaluation.objects import ObjectEvaluation
from ..evaluation.overlap import Evaluation
from ..evaluation.slices import SliceTable, centres_of
from ._columns import Column

__all__ = ["COLUMNS", "ObjectScore", "Side", "object_score", "place_of", "row_of", "rows", "sentence", "side_of"]

Side = Literal["predicted", "truth"]
"""Which of the two layers an object is in."""

_COLOURS = {
    "matched": "#009e73",
    "split": "#f0e442",
    "merged": "#cc79a7",
    "missed": "#56b4e9",
    "invented": "#d55e00",
    "inexact": "#e69f00",
    "unjudged": "#999999",
}
"""Colours of Okabe and Ito; found, missed and in excess have those of the layer of errors."""

_KIND = (
    "matched: found, its IoU reaches the threshold\n"
    "split: two or more predicted objects lie mostly on one true object\n"
    "merged: two or more true objects lie mostly on one predicted object\n"
    "missed: a true object that lies mostly where nothing was predicted\n"
    "invented: a predicted object that lies mostly on the background of truth\n"
    "inexact: found, but its IoU does not reach the threshold\n"
    "unjudged: neither right nor wrong, as it lies mostly where truth is not annotated"
)

COLUMNS = (
    Column("kind", tooltip=_KIND, colour=_COLOURS.get),
    Column("true", tooltip="the label of the true object"),
    Column("predicted", tooltip="the label of the predicted object"),
    Column("iou", "IoU", "intersection over union of the two", format=".3f"),
    Column("dice", "Dice", "twice the voxels of both over the sum of their sizes", format=".3f"),
    Column("true_size", "true voxels", "voxels of the true object that were scored", format=","),
    Column("predicted_size", "pred. voxels", "voxels of the predicted object that were scored", format=","),
)
"""The table of objects, in the order of its columns."""

_ONE_LABEL = (
    "{} has one label only. If that holds several objects, give each a number of its own, by 'one number per object' "
    "or with the widget Objects, and they can be scored."
)
_CLASSES = "Labels agree on both sides, so they may name classes. Here each of them is taken for an object."


@dataclass(frozen=True, slots=True, eq=False)
class ObjectScore:
    """The scores of objects, and where the objects are.

    Parameters
    ----------
    found : ObjectEvaluation
        The scores.
    places : mapping of Side to mapping
        For each side, the centre of each label as an index of the data.
    note : str
        What to know before one reads the scores; may be empty.
    """

    found: ObjectEvaluation
    places: Mapping[Side, Mapping[int, tuple[float, ...]]]
    note: str

    @property
    def f1(self) -> float:
        """F1 of the objects at the first threshold, an IoU of 0.5."""
        return float(self.found.f1[0])

    @property
    def line(self) -> str:
        """The scores at the first threshold, in a line of its own."""
        return (
            f"objects from an IoU of {self.found.thresholds[0]:g}: "
            f"F1 {_number(self.f1)}   AP {_number(float(self.found.ap[0]))}\n"
        )


def object_score(evaluation: Evaluation, tables: Sequence[SliceTable], numbered: bool = False) -> ObjectScore | None:
    """Score the objects of what was counted.

    Parameters
    ----------
    evaluation : Evaluation
        The scores of classes.
    tables : sequence of SliceTable
        What they were counted by, one table for each axis.
    numbered : bool
        True if predicted is known to number objects.

    Returns
    -------
    ObjectScore or None
        None where truth holds strokes, or neither side has more than one label.
    """
    found = evaluation.objects
    if evaluation.ignore == 0 or max(found.n_true, found.n_predicted) < 2:
        return None
    places = {side: centres_of(tables, side) for side in get_args(Side)}
    return ObjectScore(found, places, _note(evaluation, found, numbered))


def _note(evaluation: Evaluation, found: ObjectEvaluation, numbered: bool) -> str:
    if evaluation.numbers_objects or 0 in (found.n_true, found.n_predicted):
        return ""
    if 1 in (found.n_true, found.n_predicted):
        one = "Predicted" if found.n_predicted == 1 else "Truth"
        return "" if numbered and one == "Predicted" else _ONE_LABEL.format(one)
    return "" if numbered else _CLASSES


def sentence(found: ObjectEvaluation, threshold: float) -> str:
    """Say how well objects were found.

    Parameters
    ----------
    found : ObjectEvaluation
        The scores.
    threshold : float
        The IoU from which on two objects can be matched.

    Returns
    -------
    str
        A few short lines.
    """
    at = found.at(threshold)
    names = {"F1": "f1", "AP": "ap", "PQ": "pq", "precision": "precision", "recall": "recall"}
    scores = "   ".join(f"{word} {_number(at[name])}" for word, name in names.items())
    low, high = found.thresholds[[0, -1]]
    return (
        f"{scores}\n"
        f"{found.n_predicted:,} predicted, {found.n_true:,} true: count error {found.count_error:+,}\n"
        f"{len(found.split):,} split, {len(found.merged):,} merged, {len(found.missed):,} missed, "
        f"{len(found.invented):,} invented\n"
        f"mean AP {_number(found.mean_ap)} (IoU {low:.2f} to {high:.2f})   SEG {_number(found.seg)}"
    )


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def rows(found: ObjectEvaluation, threshold: float) -> dict[str, list[Any]]:
    """Return the columns of the table of objects; NaN where there is no such object.

    Parameters
    ----------
    found : ObjectEvaluation
        The scores.
    threshold : float
        The IoU from which on two objects can be matched.

    Returns
    -------
    dict
        The values of each of `COLUMNS`.
    """
    columns = found.object_table(threshold)
    return {
        name: values if name == "kind" else [value or math.nan for value in values] for name, values in columns.items()
    }


def side_of(found: ObjectEvaluation, row: int) -> Side:
    """Return which layer a row of the table is about: true objects come first, then predicted ones without a match."""
    return "truth" if row < len(found.overlaps.truth) else "predicted"


def row_of(found: ObjectEvaluation, columns: Mapping[str, Sequence[Any]], side: Side, label: int) -> int | None:
    """Return the row of an object: the one that it was matched in, or else its own.

    Parameters
    ----------
    found : ObjectEvaluation
        The scores.
    columns : mapping
        What `rows` returned of them.
    side : {"predicted", "truth"}
        Which layer the object is in.
    label : int
        Its label.

    Returns
    -------
    int or None
        None if there is no such object.
    """
    labels, kinds = columns["true" if side == "truth" else "predicted"], columns["kind"]
    of_it = (row for row, other in enumerate(labels) if other == label)
    return next((row for row in of_it if kinds[row] == "matched" or side_of(found, row) == side), None)


def place_of(score: ObjectScore, side: Side, label: int) -> tuple[float, ...]:
    """Return the centre of an object as an index of the data."""
    return score.places[side][label]
