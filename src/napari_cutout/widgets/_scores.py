"""What Evaluate says of scores: the table of classes, the lines above it, and whether they are current.  No Qt here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..evaluation import overlap
from ..evaluation._annotation import Unpainted, how_read
from ..evaluation._error_kinds import ERROR_KINDS, ErrorKind
from ..evaluation._matching import Match
from ._columns import Column
from ._objects import ObjectScore

__all__ = ["COLUMNS", "Asked", "colours", "headline", "meanings", "rows", "standing"]

COLUMNS = (
    Column("class", tooltip="the class, by its label"),
    Column("name", tooltip="what you call the class; edit it here, and every table says so", editable=True),
    Column("prevalence", tooltip="share of all voxels that truth gives to the class", format=".3f"),
    Column("iou", "IoU", "intersection over union, TP / (TP + FP + FN)", format=".3f"),
    Column("dice", "Dice", "2 TP / (2 TP + FP + FN), also called F1", format=".3f"),
    Column("precision", tooltip="how much of what was found is right, TP / (TP + FP)", format=".3f"),
    Column("recall", tooltip="how much of what is there was found, TP / (TP + FN)", format=".3f"),
    Column("balanced_accuracy", "bal. acc.", "mean of recall and specificity; 0.5 is as good as chance", format=".3f"),
    Column("mcc", "MCC", "Matthews' correlation with truth; 1 is perfect, 0 as good as chance", format=".3f"),
    Column("accuracy", tooltip="share of all voxels that are right; read it beside prevalence", format=".3f"),
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
    complete : str
        The name of the layer inside which all is annotated; empty if there is none.
    complete_layer : int or None
        That layer, by its `id`.
    """

    predicted: str
    truth: str
    unpainted: Unpainted
    match: Match
    layers: tuple[int, int]
    complete: str = ""
    complete_layer: int | None = None


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
    if _settings(now) != _settings(shown):
        return "Scores of other settings than those above. Press Evaluate to score with these."
    return ""


def _settings(asked: Asked) -> tuple[str, str, int | None]:
    return asked.unpainted, asked.match, asked.complete_layer


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
    means = f"mean IoU {evaluation.mean_iou:.4f}   mean Dice {evaluation.mean_dice:.4f}"
    weighted = (
        f"by frequency IoU {evaluation.frequency_weighted_iou:.4f}   Dice {evaluation.frequency_weighted_dice:.4f}\n"
    )
    n_objects = sum(label != 0 for label in evaluation.classes.tolist())
    return (
        f"'{asked.predicted}' against '{asked.truth}'\n"
        f"{means}{' without background' if 0 < n_objects < len(evaluation.classes) else ''}\n"
        f"{weighted if n_objects > 1 else ''}"
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


def colours(kinds: Iterable[ErrorKind] = ERROR_KINDS) -> dict[int | None, str]:
    """Return the colour of each label of an error layer, as napari's `DirectLabelColormap` takes them."""
    return {None: "transparent", 0: "transparent", **{kind.label: kind.colour for kind in kinds}}


def meanings(kinds: Iterable[ErrorKind] = ERROR_KINDS) -> Mapping[int, str]:
    """Return what each label of an error layer means."""
    return {kind.label: kind.word for kind in kinds}
