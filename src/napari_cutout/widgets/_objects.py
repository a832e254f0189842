"""What Evaluate shows of objects, as plain data and functions.  No Qt here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..evaluation._error_kinds import OBJECT_KINDS
from ..evaluation.objects import ObjectEvaluation
from ..evaluation.overlap import Evaluation
from ..evaluation.partitions import PartitionEvaluation
from ._columns import Column

__all__ = [
    "COLUMNS",
    "ObjectScore",
    "Places",
    "Side",
    "definitions",
    "object_score",
    "place_of",
    "reason",
    "row_of",
    "rows",
    "sentence",
    "side_of",
]

Side = Literal["predicted", "truth"]
"""Which of the two layers an object is in."""

Places = Mapping[Side, Mapping[int, tuple[float, ...]]]
"""For each side, the centre of each label as an index of the data."""

_KIND = (
    "matched: found, its IoU reaches the threshold\n"
    "split: two or more predicted objects lie mostly on one true object\n"
    "merged: two or more true objects lie mostly on one predicted object\n"
    "missed: a true object that lies mostly where nothing was predicted\n"
    "invented: a predicted object that lies mostly on the background of truth\n"
    "inexact: found, but its IoU does not reach the threshold\n"
    "unjudged: neither right nor wrong, as it lies mostly where truth is not annotated"
)


def _colour(kind: str) -> str:
    return OBJECT_KINDS[kind].colour


COLUMNS = (
    Column("kind", tooltip=_KIND, colour=_colour),
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
_STROKES = (
    "Here each label of truth is taken for one object. If truth holds strokes of classes, these figures mean nothing."
)
_NOT_KNOWN = (
    "Precision, F1, AP, PQ and AJI are not defined: what is unpainted is not known, so nobody can tell which objects "
    "are in excess. Mark a region in which every object is annotated, and choose its layer as 'complete inside'."
)
_NO_REGION = (
    "Nothing is defined: '{}' marks no voxel of these labels. Draw a region in which every object is annotated."
)
_CLASSES = "Labels agree on both sides, so they may name classes. Here each of them is taken for an object."


@dataclass(frozen=True, slots=True, eq=False)
class ObjectScore:
    """The scores of objects, and where the objects are.

    Parameters
    ----------
    found : ObjectEvaluation
        The scores.
    partition : PartitionEvaluation
        The scores of the same labels as a division into regions.
    places : mapping of Side to mapping
        For each side, the centre of each label as an index of the data.
    note : str
        What to know before one reads the scores; may be empty.
    """

    found: ObjectEvaluation
    partition: PartitionEvaluation
    places: Places
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


def object_score(
    evaluation: Evaluation, found: ObjectEvaluation, places: Places, numbered: bool = False
) -> ObjectScore | None:
    """Gather what is shown of objects.

    Parameters
    ----------
    evaluation : Evaluation
        The scores of classes.
    found : ObjectEvaluation
        The scores of objects.
    places : mapping of Side to mapping
        For each side, the centre of each label as an index of the data.
    numbered : bool
        True if predicted is known to number objects.

    Returns
    -------
    ObjectScore or None
        None where neither side has more than one label.
    """
    if max(len(found.overlaps.truth), len(found.overlaps.predicted)) < 2:
        return None
    return ObjectScore(found, evaluation.partition, places, _note(evaluation, found, numbered))


def _note(evaluation: Evaluation, found: ObjectEvaluation, numbered: bool) -> str:
    if evaluation.ignore == 0:
        return _STROKES if found.n_complete is None else ""
    if evaluation.numbers_objects or 0 in (found.n_true, found.n_predicted):
        return ""
    if 1 in (found.n_true, found.n_predicted):
        one = "Predicted" if found.n_predicted == 1 else "Truth"
        return "" if numbered and one == "Predicted" else _ONE_LABEL.format(one)
    return "" if numbered else _CLASSES


def reason(found: ObjectEvaluation, complete: str = "") -> str:
    """Say why scores are not defined though there are objects, in the words of the form; empty if they are.

    Parameters
    ----------
    found : ObjectEvaluation
        The scores.
    complete : str
        The name of the layer inside which all is annotated.

    Returns
    -------
    str
        A sentence or two.
    """
    if not found.why_nan:
        return ""
    return _NO_REGION.format(complete) if found.n_complete == 0 else _NOT_KNOWN


def sentence(score: ObjectScore, threshold: float, complete: str = "") -> str:
    """Say how well objects were found.

    Parameters
    ----------
    score : ObjectScore
        The scores.
    threshold : float
        The IoU from which on two objects can be matched.
    complete : str
        The name of the layer inside which all is annotated.

    Returns
    -------
    str
        A few short lines. Where the background is not known the reason stands where precision would.
    """
    found, regions = score.found, score.partition
    row = found.at(threshold)
    at = {name: _number(value) for name, value in row.items() if isinstance(value, float)}
    first = f"F1 {at['f1']}   AP {at['ap']}   precision {at['precision']}   recall {at['recall']}"
    if why := reason(found, complete):
        first = f"recall {at['recall']}\n{why}"
    low, high = found.thresholds[[0, -1]]
    error = "" if found.why_nan else f": count error {found.count_error:+,}"
    unjudged = int(row["n_unjudged"])
    return "\n".join(
        [
            first,
            f"PQ {at['pq']} = SQ {at['segmentation_quality']} × RQ {at['f1']}",  # noqa: RUF001
            f"AP {low:.2f} to {high:.2f}: {_number(found.mean_ap)}   SEG {_number(found.seg)}   "
            f"AJI {_number(found.aji)}",
            f"VI {_number(regions.vi)} bits = split {_number(regions.vi_split)} + merge {_number(regions.vi_merge)}   "
            f"adapted Rand error {_number(regions.adapted_rand_error)}",
            f"{found.n_predicted:,} predicted, {found.n_true:,} true{error}",
            f"{len(found.split):,} split, {len(found.merged):,} merged, {len(found.missed):,} missed, "
            f"{len(found.invented):,} invented" + (f", {unjudged:,} unjudged" if unjudged else ""),
        ]
    )


def definitions(score: ObjectScore) -> str:
    """Return what each score of `sentence` means, a line for each."""
    words = {**score.found.definitions, **score.partition.definitions}
    names = {
        "F1": "f1", "AP": "ap", "PQ": "pq", "SQ": "segmentation_quality", "SEG": "seg", "AJI": "aji",
        "VI split": "vi_split", "VI merge": "vi_merge", "adapted Rand error": "adapted_rand_error",
    }  # fmt: skip
    return "\n".join(f"{name}: {words[key]}" for name, key in names.items())


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
