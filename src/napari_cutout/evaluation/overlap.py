"""Overlap scores: IoU, Dice and their kin per class, from one table of counts."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, dtype_name, from_numpy, to_numpy
from .._method import Labels
from .._plan import PerVoxel, run_plan
from .._writing import write_text
from ._contingency import Contingency, Counts, check_pair, contingency, sum_blocks
from ._matching import Match, Matching, matched, number_objects

if TYPE_CHECKING:
    from .objects import ObjectEvaluation

__all__ = ["Contingency", "Evaluation", "contingency", "error_map", "evaluate", "soft_dice_loss"]

Scores = NDArray[np.float64]

Frozen = TypeVar("Frozen", Counts, Scores)

SCORES = ("iou", "dice", "precision", "recall", "accuracy", "prevalence")
COUNTS = ("tp", "fp", "fn", "tn")
MEANS = ("mean_iou", "mean_dice", "frequency_weighted_iou", "frequency_weighted_dice", "overall_accuracy")
ORIGIN = ("n_voxels", "n_ignored", "ignore", "match", "match_reason")

MAX_LINES = 40
"""Classes that the summary lists; the table holds all."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """How a segmentation overlaps its annotation, class by class.

    Parameters
    ----------
    classes : int64 array of shape (n,)
        The classes, rising; 0 is background, left out where it means *not annotated*.
    tp, fp, fn, tn : int64 arrays of shape (n,)
        Voxels of each class that are found, found in excess, missed, and rightly left alone.
    n_voxels : int
        Voxels that were scored.
    n_ignored : int
        Voxels that were not, because they are not annotated.
    overall_accuracy : float
        Fraction of the scored voxels whose predicted class is the true one.
    match : {"binary", "value", "overlap"}
        How predicted labels were matched to classes.
    match_reason : str
        Why, in a sentence.
    mapping : dict
        The class that each predicted label counts as.
    pairs : Contingency
        How many voxels hold each pair of labels: what all scores are made of.
    ignore : int or None
        The label of truth that means *not annotated*.
    """

    classes: Counts
    tp: Counts
    fp: Counts
    fn: Counts
    tn: Counts
    n_voxels: int
    n_ignored: int
    overall_accuracy: float
    match: str
    match_reason: str
    mapping: Mapping[int, int]
    pairs: Contingency
    ignore: int | None = None

    @property
    def iou(self) -> Scores:
        """Intersection over union of each class, TP / (TP + FP + FN); NaN for a class that is in neither array."""
        return ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def dice(self) -> Scores:
        """Dice of each class, 2 TP / (2 TP + FP + FN); NaN for a class that is in neither array."""
        return ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def precision(self) -> Scores:
        """Fraction of what was found that is right, TP / (TP + FP); NaN where nothing was found."""
        return ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> Scores:
        """Fraction of what is there that was found, TP / (TP + FN); NaN where nothing is there."""
        return ratio(self.tp, self.tp + self.fn)

    @property
    def accuracy(self) -> Scores:
        """Fraction of all voxels that are right, (TP + TN) / all; read it beside `prevalence`."""
        right = ratio(self.tp + self.tn, np.full_like(self.tp, self.n_voxels))
        return np.where(self._occurs, right, np.nan)

    @property
    def prevalence(self) -> Scores:
        """Fraction of all voxels that truth gives to each class."""
        return ratio(self.tp + self.fn, np.full_like(self.tp, self.n_voxels))

    @property
    def mean_iou(self) -> float:
        """Mean IoU of all classes but the background; that of the background if there is no other."""
        return self._mean(self.iou)

    @property
    def mean_dice(self) -> float:
        """Mean Dice of all classes but the background; that of the background if there is no other."""
        return self._mean(self.dice)

    @property
    def frequency_weighted_iou(self) -> float:
        """Mean IoU as `mean_iou`, each class weighted by its voxels in truth; NaN if it has none."""
        return self._mean(self.iou, self.tp + self.fn)

    @property
    def frequency_weighted_dice(self) -> float:
        """Mean Dice as `mean_dice`, each class weighted by its voxels in truth; NaN if it has none."""
        return self._mean(self.dice, self.tp + self.fn)

    @property
    def table(self) -> list[dict[str, Any]]:
        """One row per class: the class, its scores, its counts."""
        columns = {"class": self.classes} | {name: getattr(self, name) for name in SCORES + COUNTS}
        return [
            dict(zip(columns, values, strict=True))
            for values in zip(*(c.tolist() for c in columns.values()), strict=True)
        ]

    @property
    def numbers_objects(self) -> bool:
        """Whether labels number objects on both sides, as far as they tell, so that `objects` means something."""
        return number_objects(self.pairs, self.ignore)

    @property
    def objects(self) -> ObjectEvaluation:
        """What `evaluate_objects` gives for the same labels, at the default thresholds; each label is an object."""
        from .objects import objects_of

        return objects_of(self.pairs, self.ignore)

    @property
    def _occurs(self) -> NDArray[np.bool_]:
        return self.tp + self.fp + self.fn > 0

    def _mean(self, scores: Scores, weights: Counts | None = None) -> float:
        chosen = self.classes != 0 if self.classes.any() else self.classes == 0
        chosen = chosen & self._occurs
        if weights is None:
            weights = np.ones_like(self.classes)
        total = int(weights[chosen].sum())
        return float((scores[chosen] * weights[chosen]).sum() / total) if total else math.nan

    def summary(self) -> str:
        """Return the scores as a text table, with how they came about."""
        lines = [f"{'class':>7}" + "".join(f"{name:>11}" for name in SCORES) + "".join(f"{n:>12}" for n in COUNTS)]
        lines += [
            f"{row['class']:>7}"
            + "".join(f"{row[n]:>11.4f}" for n in SCORES)
            + "".join(f"{row[n]:>12}" for n in COUNTS)
            for row in self.table[:MAX_LINES]
        ]
        if len(self.classes) > MAX_LINES:
            lines.append(f"    ... and {len(self.classes) - MAX_LINES} more classes")
        without = "" if not self.n_ignored else f", {self.n_ignored} not annotated (label {self.ignore} of truth)"
        return "\n".join(
            [
                *lines,
                f"mean of the classes: IoU {self.mean_iou:.4f}, Dice {self.mean_dice:.4f} (background left out); "
                f"weighted by frequency: IoU {self.frequency_weighted_iou:.4f}, "
                f"Dice {self.frequency_weighted_dice:.4f}",
                f"{self.n_voxels} voxels scored{without}; {self.overall_accuracy:.4f} of them right",
                f"labels matched by {self.match}: {self.match_reason}",
            ]
        )

    __str__ = summary

    def to_csv(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write the table, one line per class.

        Parameters
        ----------
        path : str or path
            Where to write.
        overwrite : bool
            Replace what is there.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        FileExistsError
            If there is such a file and `overwrite` is False.
        OSError
            If it cannot be written. Nothing is changed then.
        """
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, ["class", *SCORES, *COUNTS])
        writer.writeheader()
        writer.writerows(self.table)
        return write_text(path, text.getvalue(), overwrite=overwrite)

    def to_json(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write the table, the means, how the labels were matched, and where they number objects, object scores.

        NaN becomes null.

        Parameters
        ----------
        path : str or path
            Where to write.
        overwrite : bool
            Replace what is there.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        FileExistsError
            If there is such a file and `overwrite` is False.
        OSError
            If it cannot be written. Nothing is changed then.
        """
        content: dict[str, Any] = {name: or_null(getattr(self, name)) for name in MEANS + ORIGIN}
        content["mapping"] = {str(label): found for label, found in self.mapping.items()}
        content["classes"] = [{name: or_null(value) for name, value in row.items()} for row in self.table]
        if self.numbers_objects:
            content["objects"] = self.objects.as_dict()
        return write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n", overwrite=overwrite)


def ratio(part: Counts | Scores, whole: Counts) -> Scores:
    """Return part / whole; NaN where there is nothing."""
    ratios: Scores = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0)
    return ratios


def or_null(value: Any) -> Any:
    """Return None for NaN, which JSON does not have, and anything else as it is."""
    return None if isinstance(value, float) and math.isnan(value) else value


def evaluate(
    predicted: Labels,
    truth: Labels,
    *,
    ignore: int | None = None,
    match: Match = "auto",
    classes: Sequence[int] | None = None,
) -> Evaluation:
    """Score labels against an annotation, class by class.

    Parameters
    ----------
    predicted : array of int or bool
        The labels to be scored, 0 or more, in any number of dimensions.
    truth : array of int or bool, of the same shape and library
        The annotation.
    ignore : int, optional
        The label of `truth` that means *not annotated*; its voxels leave every count. Use 0 for strokes, where
        what is unpainted is not known. It may be negative.
    match : {"auto", "binary", "value", "overlap"}
        How predicted labels are matched to the classes of `truth`. ``"binary"``: on both sides any label but 0
        is class 1. ``"value"``: the labels are the classes. ``"overlap"``: each predicted label counts as the
        true class that it shares most voxels with, the smallest of several; several labels may count as one class.
        ``"auto"`` takes the first line that fits; an object label is a label other than 0:

        - one side holds no object label: binary
        - `predicted` holds 2 to 32 labels and no 0, as a map of classes does: overlap; value if that is the same
        - both sides hold one object label, and it is the same: value
        - one side holds one object label: binary
        - one side holds more than 32 object labels, so they number objects: binary
        - the labels agree: each side shares half of its object labels or more, and each shared one meets no other
          object label of `truth` more often than itself: value
        - otherwise both number objects, each in its own order: binary

        and where `ignore` is 0, so that `truth` has no background:

        - `truth` holds one label: binary
        - otherwise: overlap; value if that is the same
    classes : sequence of int, optional
        The classes to report, after matching; by default all that occur on either side.

    Returns
    -------
    Evaluation
        Scores and counts per class, their means, and how the labels were matched.

    Raises
    ------
    TypeError
        If an array holds anything but integers or booleans, the arrays come from different libraries, or
        `ignore` or a class is not an integer.
    ValueError
        If the shapes differ, there are no voxels, `ignore` leaves none, a label is negative, there is no such
        `match`, or `classes` is empty, repeats a class or names one that cannot occur.

    Notes
    -----
    Exact: int64 counts from one pass over both arrays, block by block, the same for every tiling, library and
    device. dask arrays are computed, chunk by chunk. Memory: a few blocks. A matching by overlap is chosen on
    the truth that it is scored against, so it favours the prediction; the result says so.

    Examples
    --------
    >>> import numpy as np
    >>> result = evaluate(np.array([[0, 1, 1, 1]]), np.array([[0, 0, 1, 1]]))
    >>> result.classes.tolist(), result.iou.round(3).tolist(), result.dice.round(3).tolist()
    ([0, 1], [0.5, 0.667], [0.667, 0.8])
    """
    asked = None if classes is None else checked_classes(classes)
    table = contingency(predicted, truth, ignore)
    matching = matched(table, match, ignore)
    return scored(table, matching, asked, ignore)


def checked_classes(classes: Sequence[int]) -> Counts:
    """Return classes that were asked for, rising.

    Raises
    ------
    TypeError
        If one is not an integer.
    ValueError
        If there is none, one comes twice, or one is negative.
    """
    listed = list(classes)
    if not all(isinstance(c, (int, np.integer)) and not isinstance(c, bool) for c in listed):
        raise TypeError(f"classes must be integers, got {listed}")
    if not listed or len(set(listed)) < len(listed) or min(listed) < 0:
        raise ValueError(f"classes must be one or more different labels, each 0 or more, got {listed}")
    return np.sort(np.asarray(listed, np.int64))


def scored(table: Contingency, matching: Matching, asked: Counts | None, ignore: int | None) -> Evaluation:
    """Score the pairs of a table; all classes are reported, or those asked for."""
    predicted, truth = matching.relabelled(table)
    left_out = 0 if matching.match == "binary" and ignore == 0 else ignore if matching.match != "binary" else None
    found = np.union1d(predicted, truth)
    classes = found[found != left_out] if asked is None else asked
    if left_out in classes:
        raise ValueError(f"classes names {left_out}, which `ignore` takes out of truth; leave it out of one of them")
    right = predicted == truth
    tp = _sums(truth[right], table.counts[right], classes)
    fp, fn = _sums(predicted, table.counts, classes) - tp, _sums(truth, table.counts, classes) - tp
    n_voxels = table.n_voxels
    return Evaluation(
        classes=frozen(classes),
        tp=frozen(tp),
        fp=frozen(fp),
        fn=frozen(fn),
        tn=frozen(n_voxels - tp - fp - fn),
        n_voxels=n_voxels,
        n_ignored=table.n_ignored,
        overall_accuracy=int(table.counts[right].sum()) / n_voxels,
        match=matching.match,
        match_reason=matching.reason,
        mapping=dict(zip(matching.labels.tolist(), matching.classes.tolist(), strict=True)),
        pairs=table,
        ignore=None if ignore is None else int(ignore),
    )


def _sums(labels: Counts, counts: Counts, classes: Counts) -> Counts:
    """Return how many voxels each class has."""
    sums = np.zeros(len(classes), np.int64)
    at = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
    listed = classes[at] == labels
    np.add.at(sums, at[listed], counts[listed])
    return sums


def frozen(array: Frozen) -> Frozen:
    """Forbid writing to an array that a result hands out."""
    array.setflags(write=False)
    return array


def error_map(predicted: Labels, truth: Labels, *, ignore: int | None = None, match: Match = "auto") -> Labels:
    """Show where labels are right and where they are wrong.

    Parameters
    ----------
    predicted : array of int or bool
        The labels to be scored, as in `evaluate`.
    truth : array of int or bool, of the same shape and library
        The annotation.
    ignore : int, optional
        The label of `truth` that means *not annotated*.
    match : {"auto", "binary", "value", "overlap"}
        How predicted labels are matched to the classes of `truth`, as in `evaluate`.

    Returns
    -------
    uint8 array, same shape and library as `predicted`
        0 where both are background or `truth` is not annotated, 1 where an object is found and of the right class
        (TP), 2 where there is none (FP), 3 where one is missed (FN), 4 where it is of another class.

    Raises
    ------
    TypeError, ValueError
        As `evaluate`.

    Notes
    -----
    Exact, in two passes: the first decides which labels match. Of dask arrays the first is computed at once, and
    the map is lazy. Memory: a few blocks beyond input and output.

    Examples
    --------
    >>> import numpy as np
    >>> error_map(np.array([[0, 1, 1, 0]]), np.array([[0, 1, 0, 1]])).tolist()
    [[0, 1, 2, 3]]
    """
    return errors_by(matched(contingency(predicted, truth, ignore), match, ignore), predicted, truth, ignore)


def errors_by(matching: Matching, predicted: Labels, truth: Labels, ignore: int | None) -> Labels:
    """Do what `error_map` does, by a matching that is known already."""
    return run_plan(PerVoxel(partial(_errors, matching=matching, ignore=ignore), "uint8"), predicted, truth)


def _errors(predicted: Array, truth: Array, *, matching: Matching, ignore: int | None) -> Array:
    xp = array_namespace(predicted)
    found, there = (xp.astype(labels, xp.int64) for labels in (predicted, truth))
    known = None if ignore is None else there != ignore
    if matching.match == "overlap":
        at = xp.searchsorted(from_numpy(matching.labels, like=found), xp.reshape(found, (-1,)))
        at = xp.clip(at, None, len(matching.labels) - 1)  # where truth is ignored, any label may stand
        found = xp.reshape(xp.take(from_numpy(matching.classes, like=found), at), found.shape)
    same = (found != 0) == (there != 0) if matching.match == "binary" else found == there
    in_found, in_truth = (xp.astype(labels != 0, xp.uint8) for labels in (found, there))
    only_found, only_truth = in_found * (1 - in_truth), in_truth * (1 - in_found)
    both = in_found * in_truth
    errors = both * (4 - 3 * xp.astype(same, xp.uint8)) + 2 * only_found + 3 * only_truth
    return errors if known is None else errors * xp.astype(known, xp.uint8)


def soft_dice_loss(probabilities: Array, truth: Labels, *, smooth: float = 1.0, ignore: int | None = None) -> float:
    """Return how far probabilities of being an object are from the annotation.

    Parameters
    ----------
    probabilities : array of float
        The probability of each voxel to belong to an object, 0 to 1.
    truth : array of int or bool, of the same shape and library
        The annotation; any label but 0 is object.
    smooth : float
        Added above and below the fraction line, in voxels, 0 or more; it makes an empty image a perfect score.
    ignore : int, optional
        The label of `truth` that means *not annotated*; its voxels leave every sum.

    Returns
    -------
    float
        1 - (2 sum(p y) + smooth) / (sum(p) + sum(y) + smooth): 0 is perfect. NaN if `smooth` is 0 and both are
        empty.

    Raises
    ------
    TypeError
        If `probabilities` are not floats, or `truth` does not hold integers or booleans.
    ValueError
        If a probability is NaN or outside 0 to 1, `smooth` is negative or not finite, the shapes differ, or there
        are no voxels.

    Notes
    -----
    Sums are float64, block by block in the order of the blocks; libraries differ by rounding, 1e-12.

    References
    ----------
    .. [1] F. Milletari, N. Navab and S.-A. Ahmadi, Fourth International Conference on 3D Vision (2016) 565-571.
       DOI:10.1109/3DV.2016.79
    """
    check_pair(probabilities, truth, ignore, first="probabilities")
    if not dtype_name(probabilities).startswith("float"):
        raise TypeError(
            f"probabilities must be floats from 0 to 1, got dtype {dtype_name(probabilities)}; "
            "for labels, 1 - evaluate(...).dice is the same loss without smoothing"
        )
    if not (math.isfinite(smooth) and smooth >= 0):
        raise ValueError(f"smooth must be 0 or more and finite, got {smooth!r}")
    sums: Callable[..., Any] = partial(_soft_sums, ignore=ignore)
    common, found, there, low, high = sum_blocks(sums, _added_sums, probabilities, truth)
    if not (low >= 0 and high <= 1):
        raise ValueError(f"probabilities must lie between 0 and 1, got {low:g} to {high:g}; apply a sigmoid first")
    whole = found + there + smooth
    return float(1 - (2 * common + smooth) / whole) if whole else math.nan


def _soft_sums(probabilities: Array, truth: Array, *, ignore: int | None) -> Scores:
    """Return sum(p y), sum(p), sum(y), and the smallest and the largest p."""
    if 0 in truth.shape:
        return np.asarray([0, 0, 0, 0, 0], np.float64)
    xp = array_namespace(probabilities)
    p, y = xp.astype(probabilities, xp.float64), xp.astype(truth != 0, xp.float64)
    if ignore is not None:
        known = xp.astype(truth, xp.int64) != ignore
        p, y = (xp.where(known, values, xp.zeros_like(values)) for values in (p, y))
    return to_numpy(xp.stack([xp.sum(p * y), xp.sum(p), xp.sum(y), xp.min(p), xp.max(p)]))


def _added_sums(a: Scores, b: Scores) -> Scores:
    return np.asarray([*(a[:3] + b[:3]), np.minimum(a[3], b[3]), np.maximum(a[4], b[4])])
