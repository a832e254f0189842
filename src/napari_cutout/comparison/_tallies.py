"""What a segmentation is worth, unit by unit: counts that add over units, and scores that are arithmetic on them.

Labels are looked at once. Which predicted label stands for which class, which units are held out, and what a
bootstrap draws are all decided on the counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..evaluation._contingency import contingency
from ..evaluation._matching import most_overlapped
from ..evaluation._pairing import matched_pairs, overlaps_of

__all__ = ["Metric", "Problem", "Tally", "counted", "mapped", "object_counts", "score_of", "scores_by_unit"]

Metric = Literal["dice", "iou", "f1", "pq"]
"""What rows are ranked by: the mean over classes of Dice or IoU, or objects at an IoU of 0.5."""

Counts = NDArray[np.int64]
Scores = NDArray[np.float64]

OBJECT_IOU = 0.5
"""The IoU from which on two objects are matched."""

NEAR = 0.03
"""Settings whose scores on strokes differ by no more than this are equals: strokes are few, and show no outlines."""

NOTHING = -1
"""The class of a predicted label that was never seen where labels were mapped."""


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """What is asked of every contestant.

    Parameters
    ----------
    classes : int64 array of shape (n_classes,)
        The values of truth, rising, without the one that is not annotated.
    background : int
        Which of them is the background, a value that is none of them if truth has none. Scores are means over the
        others.
    n_units : int
        How many units there are.
    numbered : bool
        True if truth numbers objects; then its classes are 0 and 1.
    scores_background : bool
        True if the background is a class like any other, as on strokes, where somebody painted it.
    """

    classes: Counts
    background: int
    n_units: int
    numbered: bool = False
    scores_background: bool = False

    @property
    def objects(self) -> NDArray[np.intp]:
        """The columns of the classes that are not the background; all if there is no other."""
        return np.flatnonzero(self.classes != self.background) if len(self.classes) > 1 else np.arange(1)

    @property
    def scored(self) -> NDArray[np.intp]:
        """The columns of the classes that scores are means over."""
        return np.arange(len(self.classes)) if self.scores_background else self.objects


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """How often each predicted label meets each class in each unit.

    Parameters
    ----------
    labels : int64 array of shape (n_labels,)
        Predicted labels, rising.
    counts : int64 array of shape (n_units, n_labels, n_classes)
        Annotated voxels.
    kind : {"mask", "classes", "values"}
        What predicted labels mean: 0 is background and anything else is object; one class each, but which is not
        known; the classes of truth themselves.
    objects : float64 array of shape (n_units, 4), optional
        Matched, invented and missed objects, and the sum of the IoU of matched ones; None if truth numbers none.
    """

    labels: Counts
    counts: Counts
    kind: Literal["mask", "classes", "values"]
    objects: Scores | None = None


def counted(
    labels: NDArray[Any], truth: NDArray[Any], units: NDArray[np.int32], problem: Problem
) -> tuple[Counts, Counts]:
    """Count the labels of one image in every unit and class.

    Parameters
    ----------
    labels : integer array
        What was predicted.
    truth : integer array of the same shape
        The classes.
    units : int32 array of the same shape
        The unit of each voxel; -1 is left out.
    problem : Problem
        The classes and how many units there are.

    Returns
    -------
    found : int64 array of shape (n_labels,)
        Predicted labels, rising.
    counts : int64 array of shape (n_units, n_labels, n_classes)
        Voxels.
    """
    known = units >= 0
    n_classes = len(problem.classes)
    if not known.any():
        return np.zeros(0, np.int64), np.zeros((problem.n_units, 0, n_classes), np.int64)
    at = np.searchsorted(problem.classes, truth[known])
    table = contingency(labels[known], units[known].astype(np.int64) * n_classes + at)
    found, row = np.unique(table.predicted, return_inverse=True)
    counts = np.zeros((problem.n_units, len(found), n_classes), np.int64)
    counts[table.truth // n_classes, row, table.truth % n_classes] = table.counts
    return found, counts


def mapped(tally: Tally, problem: Problem, tuning: NDArray[np.bool_]) -> Counts:
    """Return the class that each predicted label stands for, decided on some units only.

    Parameters
    ----------
    tally : Tally
        The counts.
    problem : Problem
        The classes.
    tuning : bool array of shape (n_units,)
        The units that may be looked at.

    Returns
    -------
    int64 array of shape (n_labels,)
        Columns of the classes; -1 for a label that those units do not hold. Labels of a mask stand for the background
        and for the class of the others that they meet most often; of equals the first wins.
    """
    seen = tally.counts[tuning].sum(axis=0)
    if tally.kind == "values":
        at = np.minimum(np.searchsorted(problem.classes, tally.labels), len(problem.classes) - 1)
        return np.where(problem.classes[at] == tally.labels, at, NOTHING)
    if tally.kind == "classes":
        return np.where(seen.any(axis=1), seen.argmax(axis=1), NOTHING)
    there = problem.objects
    object_class = there[seen[tally.labels != 0][:, there].sum(axis=0).argmax()]
    background = np.flatnonzero(problem.classes == problem.background)
    ground = background[0] if len(background) else NOTHING
    return np.where(tally.labels != 0, object_class, ground)


def overlap_counts(tally: Tally, problem: Problem, mapping: Counts, units: NDArray[np.bool_]) -> Counts:
    """Return voxels found, found in excess and missed: (units, classes, 3), zero where a unit is not among those."""
    n_units, _, n_classes = tally.counts.shape
    found = np.zeros((n_units, n_classes, n_classes), np.int64)  # (unit, predicted class, true class)
    there = tally.counts[units].sum(axis=1)
    for row, column in enumerate(mapping):
        if column != NOTHING:
            found[units, column] += tally.counts[units, row]
    result = np.zeros((n_units, n_classes, 3), np.int64)
    tp = found.diagonal(axis1=1, axis2=2)
    result[..., 0] = tp
    result[..., 1] = found.sum(axis=2) - tp
    result[units, :, 2] = there - tp[units]
    return result


def object_counts(labels: NDArray[Any], truth: NDArray[Any], units: NDArray[np.int32], n_units: int) -> Scores:
    """Count matched, invented and missed objects of one image, and the IoU of the matched ones, in every unit.

    Objects are matched in the whole image; each counts where most of its voxels lie, a pair where its true object does.
    A predicted object with more than half of its voxels where nothing is annotated is neither right nor wrong.

    Parameters
    ----------
    labels, truth : integer arrays
        Objects by number. One label alone is that of a mask, whose objects are what is connected by faces.
    units : int32 array of the same shape
        The unit of each voxel; -1 where nothing is annotated.
    n_units : int
        How many there are.

    Returns
    -------
    float64 array of shape (n_units, 4)
        Matched, invented, missed, and the sum of the IoU of the matched.
    """
    result = np.zeros((n_units, 4))
    known = units >= 0
    if not known.any():
        return result
    labels = _numbered(labels)
    found, truth, place = labels[known], truth[known], units[known].astype(np.int64)
    overlaps = overlaps_of(contingency(found, truth))
    pairs = matched_pairs(overlaps, OBJECT_IOU)
    homes = [_homes(side, place, own) for side, own in ((found, overlaps.predicted), (truth, overlaps.truth))]
    is_left = [2 * overlaps.predicted_sizes >= _sizes(labels, overlaps.predicted), np.ones(len(overlaps.truth), bool)]
    is_left[0][overlaps.rows[pairs]] = is_left[1][overlaps.columns[pairs]] = False
    np.add.at(result[:, 0], homes[1][overlaps.columns[pairs]], 1)
    np.add.at(result[:, 3], homes[1][overlaps.columns[pairs]], overlaps.iou[pairs])
    for column, (own, left) in enumerate(zip(homes, is_left, strict=True), start=1):
        np.add.at(result[:, column], own[left], 1)
    return result


def _numbered(labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels of objects: of a mask the number of each connected part."""
    if len(np.unique(labels[labels != 0])) != 1:
        return labels
    from scipy import ndimage

    numbered: NDArray[Any] = ndimage.label(labels)[0]
    return numbered


def _sizes(labels: NDArray[Any], objects: Counts) -> Counts:
    """Return the voxels of objects, those that are not annotated too."""
    found, sizes = np.unique(labels, return_counts=True)
    return sizes[np.searchsorted(found, objects)]


def _homes(labels: NDArray[Any], units: Counts, objects: Counts) -> Counts:
    """Return the unit that most voxels of each object lie in; of equals the first."""
    table = contingency(labels, units)
    return most_overlapped(table)[np.searchsorted(np.unique(table.predicted), objects)]


def score_of(counts: Scores | Counts, problem: Problem, metric: Metric) -> Scores:
    """Return scores of summed counts.

    Parameters
    ----------
    counts : array of shape (..., n_classes, 3) or (..., 4)
        Found, in excess and missed of each class; for ``"f1"`` and ``"pq"`` those of objects, and the sum of IoU.
    problem : Problem
        The classes.
    metric : {"dice", "iou", "f1", "pq"}
        What to score.

    Returns
    -------
    float64 array of shape (...)
        NaN where there is nothing to score.
    """
    if metric in ("f1", "pq"):
        tp, fp, fn, iou = (counts[..., i].astype(np.float64) for i in range(4))
        return _ratio(2 * (tp if metric == "f1" else iou), 2 * tp + fp + fn)
    tp, fp, fn = (counts[..., problem.scored, i].astype(np.float64) for i in range(3))
    whole = tp + fp + fn
    ratios = _ratio(2 * tp, tp + whole) if metric == "dice" else _ratio(tp, whole)
    there = ~np.isnan(ratios)
    return _ratio(np.where(there, ratios, 0).sum(axis=-1), there.sum(axis=-1).astype(np.float64))


def scores_by_unit(counts: Scores, problem: Problem, metric: Metric) -> Scores:
    """Return the score of each unit; of a stroke that of its own class, because no other can be found there.

    Parameters
    ----------
    counts : array of shape (n_units, n_classes, 3)
        Found, in excess and missed of each class.
    problem : Problem
        The classes.
    metric : {"dice", "iou"}
        What to score.

    Returns
    -------
    float64 array of shape (n_units,)
        NaN where there is nothing to score.
    """
    if not problem.scores_background:
        return score_of(counts, problem, metric)
    is_there = counts[..., 0] + counts[..., 2] > 0
    return score_of(counts * is_there[..., None], problem, metric)


def _ratio(part: Scores, whole: Scores) -> Scores:
    found: Scores = np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, np.nan), where=whole != 0)
    return found


def agreements(classes: Sequence[NDArray[Any]], problem: Problem) -> NDArray[np.float64]:
    """Return the mean Dice of each pair of class maps over the classes that are not the background, (n, n)."""
    total = np.zeros((len(classes), len(classes)))
    for column in problem.objects:
        inside = np.asarray([one == column for one in classes], np.float32)
        sizes = inside.sum(axis=1, dtype=np.float64)
        common = np.einsum("iv,jv->ij", inside, inside, optimize=True).astype(np.float64)
        whole = sizes[:, None] + sizes[None]
        total += np.where(whole > 0, 2 * common / np.maximum(whole, 1), 1)
    found: NDArray[np.float64] = total / len(problem.objects)
    return found
