"""Which predicted label stands for which true class: decided on the labels, before any score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ._contingency import Contingency, Counts

Match = Literal["auto", "binary", "value", "overlap"]

MAX_CLASSES = 32
"""An array with more labels than this besides 0 numbers objects, not classes."""


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """Which class each predicted label stands for.

    Parameters
    ----------
    match : {"binary", "value", "overlap"}
        The rule that was used.
    reason : str
        Why, in a sentence.
    labels : int64 array of shape (n,)
        Predicted labels, rising.
    classes : int64 array of shape (n,)
        The class of each.
    """

    match: str
    reason: str
    labels: Counts
    classes: Counts

    def relabelled(self, table: Contingency) -> tuple[Counts, Counts]:
        """Return the predicted and the true class of every pair of the table."""
        predicted = self.classes[np.searchsorted(self.labels, table.predicted)]
        return predicted, (table.truth != 0).astype(np.int64) if self.match == "binary" else table.truth


def matched(table: Contingency, match: Match, ignore: int | None) -> Matching:
    """Decide which class each predicted label stands for.

    Parameters
    ----------
    table : Contingency
        The pairs of labels that are to be scored.
    match : {"auto", "binary", "value", "overlap"}
        The rule, as `evaluate` describes it.
    ignore : int or None
        The label of truth that is left out; 0 means that truth holds strokes and no background.

    Returns
    -------
    Matching
        With the rule that was used.

    Raises
    ------
    ValueError
        If there is no such rule.
    """
    if match not in get_args(Match):
        raise ValueError(f"match must be one of {', '.join(map(repr, get_args(Match)))}, got {match!r}")
    labels = np.unique(table.predicted)
    used, reason = (match, f"match={match!r} was asked for") if match != "auto" else _chosen(table, labels, ignore)
    if used == "binary":
        return Matching(used, reason, labels, (labels != 0).astype(np.int64))
    if used == "value":
        return Matching(used, reason, labels, labels)
    warning = "; each predicted label counts as the true class that it overlaps most, which favours the prediction"
    return Matching(used, reason + warning, labels, _most_overlapped(table))


def _most_overlapped(table: Contingency) -> Counts:
    """Return, for each predicted label, the true class that it meets most often; of equals the smallest."""
    order = np.lexsort((table.truth, -table.counts, table.predicted))
    _, first = np.unique(table.predicted[order], return_index=True)
    return table.truth[order][first]


def _chosen(table: Contingency, predicted: Counts, ignore: int | None) -> tuple[str, str]:
    """Choose a rule from the labels on both sides; the order of the lines is the rule of `evaluate`."""
    truth = np.unique(table.truth)
    if ignore == 0:
        return _chosen_for_strokes(predicted, truth)
    objects = [labels[labels != 0] for labels in (predicted, truth)]
    fewer, more = sorted(map(len, objects))
    if np.array_equal(*objects) and more == 1:
        return "value", f"the only object label on both sides is {objects[0][0]}"
    if fewer <= 1 and more >= 1:
        return "binary", f"predicted holds {_several(objects[0])} and truth {_several(objects[1])}"
    if np.array_equal(predicted, truth):
        return "value", f"predicted and truth hold the same {len(truth)} labels"
    if more > MAX_CLASSES:
        return "binary", f"more than {MAX_CLASSES} labels number objects, not classes"
    return "overlap", f"predicted and truth hold different labels, {_listed(predicted)} and {_listed(truth)}"


def _chosen_for_strokes(predicted: Counts, truth: Counts) -> tuple[str, str]:
    """Choose a rule where 0 is not annotated: then truth holds no background, and any object may be class 1."""
    if len(truth) == 1:
        return "binary", "strokes of one class alone cannot show what was found in excess: IoU is no more than recall"
    if np.array_equal(predicted, truth):
        return "value", f"predicted and truth hold the same {len(truth)} labels"
    return "overlap", f"predicted and the strokes hold different labels, {_listed(predicted)} and {_listed(truth)}"


def _several(objects: Counts) -> str:
    return (
        "no object label"
        if not len(objects)
        else f"the object label {_listed(objects)}"
        if len(objects) == 1
        else f"{len(objects)} of them"
    )


def _listed(labels: Counts) -> str:
    shown = ", ".join(map(str, labels[:5]))
    return shown if len(labels) <= 5 else f"{shown}... ({len(labels)} of them)"
