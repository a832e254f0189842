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
    used, reason = (match, f"match={match!r} was asked for") if match != "auto" else _chosen(table, ignore)
    if used == "binary":
        return Matching(used, reason, labels, (labels != 0).astype(np.int64))
    if used == "value":
        return Matching(used, reason, labels, labels)
    warning = "; each predicted label counts as the true class that it overlaps most, which favours the prediction"
    return Matching(used, reason + warning, labels, most_overlapped(table))


def number_objects(table: Contingency, ignore: int | None) -> bool:
    """Tell whether the labels of both sides number objects, by the same rule that keeps them from naming classes.

    Parameters
    ----------
    table : Contingency
        The pairs of labels that are scored.
    ignore : int or None
        The label of truth that is left out; 0 means that truth holds strokes, whose labels are classes.

    Returns
    -------
    bool
        True if `truth` holds several object labels that do not agree with those of `predicted`, or more than 32. One
        predicted label alone is that of a mask; none is taken for nothing found if `truth` holds more than 32.
    """
    ours, theirs = (len(np.setdiff1d(labels, [0])) for labels in (table.predicted, table.truth))
    if ours == 1 or theirs < 2:
        return False
    return _chosen(table, ignore)[0] == "binary" and (ours > 0 or theirs > MAX_CLASSES)


def most_overlapped(table: Contingency) -> Counts:
    """Return, for each predicted label, the true class that it meets most often; of equals the smallest."""
    order = np.lexsort((table.truth, -table.counts, table.predicted))
    _, first = np.unique(table.predicted[order], return_index=True)
    return table.truth[order][first]


def _chosen(table: Contingency, ignore: int | None) -> tuple[str, str]:
    """Choose a rule from the labels that meet; the order of the lines is the rule of `evaluate`."""
    predicted, truth = np.unique(table.predicted), np.unique(table.truth)
    if ignore == 0:
        return _chosen_for_strokes(table, predicted, truth)
    ours, theirs = predicted[predicted != 0], truth[truth != 0]
    if not len(ours) or not len(theirs):
        return "binary", f"{'truth' if len(ours) else 'predicted'} holds no object, so there are no labels to match"
    if 0 not in predicted and 1 < len(ours) <= MAX_CLASSES:
        return _chosen_for_classes(table, predicted)
    if len(ours) == len(theirs) == 1 and ours[0] == theirs[0]:
        return "value", f"the only object label on both sides is {ours[0]}"
    if 1 in (len(ours), len(theirs)):
        return "binary", f"predicted holds {_several(ours)} and truth {_several(theirs)}: only objects can be compared"
    if (most := max(len(ours), len(theirs))) > MAX_CLASSES:
        return "binary", f"{most} labels are too many to be classes (more than {MAX_CLASSES}), so they number objects"
    if _agree(table, ours, theirs):
        return "value", "each label that predicted and truth share lies mostly on itself, so the labels name classes"
    return "binary", "the labels of predicted and truth do not agree, so both number objects, each in its own order"


def _chosen_for_classes(table: Contingency, predicted: Counts) -> tuple[str, str]:
    """Choose a rule for a map in which every voxel has a class: which class is the background is not known."""
    if np.array_equal(most_overlapped(table), predicted):
        return "value", "each label of predicted lies mostly on the same label of truth, so the labels name classes"
    return "overlap", f"predicted is a map of classes without a background (0): {_listed(predicted)}"


def _chosen_for_strokes(table: Contingency, predicted: Counts, truth: Counts) -> tuple[str, str]:
    """Choose a rule where 0 is not annotated: then truth holds no background, and any object may be class 1."""
    if len(truth) == 1:
        return "binary", "strokes of one class alone cannot show what was found in excess: IoU is no more than recall"
    if np.array_equal(most_overlapped(table), predicted):
        return "value", "each label of predicted lies mostly on strokes of the same label"
    return (
        "overlap",
        f"predicted and the strokes number their classes differently, {_listed(predicted)} and {_listed(truth)}",
    )


def _agree(table: Contingency, predicted: Counts, truth: Counts) -> bool:
    """Tell whether both sides share half of their object labels, and none of those meets another object more often."""
    shared = np.intersect1d(predicted, truth)
    if 2 * len(shared) < max(len(predicted), len(truth)):
        return False
    objects = (table.truth != 0) & np.isin(table.predicted, shared)
    most, itself = np.zeros(len(shared), np.int64), np.zeros(len(shared), np.int64)
    at, counts = np.searchsorted(shared, table.predicted[objects]), table.counts[objects]
    same = table.predicted[objects] == table.truth[objects]
    np.maximum.at(most, at, counts)
    itself[at[same]] = counts[same]
    return bool(((itself == most) & (itself > 0)).all())


def _several(objects: Counts) -> str:
    return f"the one object label {objects[0]}" if len(objects) == 1 else f"{len(objects)} object labels"


def _listed(labels: Counts) -> str:
    shown = ", ".join(map(str, labels[:5]))
    return shown if len(labels) <= 5 else f"{shown}... ({len(labels)} of them)"
