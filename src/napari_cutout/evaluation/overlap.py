"""Overlap scores: IoU, Dice and their kin per class, from one table of counts."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import mul
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, from_numpy
from .._method import Labels
from .._plan import PerVoxel, run_plan
from .._writing import table_text, write_text
from ._contingency import Contingency, Counts, contingency
from ._matching import Match, Matching, matched, number_objects
from ._overlap_text import DEFINITIONS

if TYPE_CHECKING:
    from .objects import ObjectEvaluation
    from .partitions import PartitionEvaluation

__all__ = ["Contingency", "Evaluation", "contingency", "error_map", "evaluate"]

Scores = NDArray[np.float64]

Frozen = TypeVar("Frozen", Counts, Scores)

SCORES = (
    "iou",
    "dice",
    "precision",
    "recall",
    "specificity",
    "balanced_accuracy",
    "mcc",
    "accuracy",
    "prevalence",
)
SHOWN = tuple(name for name in SCORES if name != "specificity")
"""The scores of the summary, which has no room for what follows from two others."""
COUNTS = ("tp", "fp", "fn", "tn")
MEANS = ("mean_iou", "mean_dice", "frequency_weighted_iou", "frequency_weighted_dice")
OVERALL = ("overall_accuracy", "overall_balanced_accuracy", "overall_mcc", "largest_prevalence")
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
        Fraction of the scored voxels whose predicted class is the true one; read it beside `largest_prevalence`.
    overall_balanced_accuracy : float
        Mean recall of the classes that occur in truth, background included, whichever classes are reported.
    overall_mcc : float
        Matthews' correlation of all classes, the R_K of Gorodkin: 1 is perfect, 0 is as good as chance. NaN where
        predicted or truth holds one class only, as nothing can correlate with what does not vary.
    largest_prevalence : float
        Fraction of the scored voxels that truth gives to its commonest class: the overall accuracy of labels that
        name it everywhere.
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
    overall_balanced_accuracy: float
    overall_mcc: float
    largest_prevalence: float
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
    def specificity(self) -> Scores:
        """Fraction of what is not there that was left alone, TN / (TN + FP); NaN where truth holds nothing else.

        NaN for a class that is in neither array, too.
        """
        return np.where(self._occurs, ratio(self.tn, self.tn + self.fp), np.nan)

    @property
    def balanced_accuracy(self) -> Scores:
        """Mean of recall and specificity; NaN where truth holds nothing of a class, or nothing else."""
        return balanced(self.tp, self.fp, self.fn, self.tn)

    @property
    def mcc(self) -> Scores:
        """Matthews' correlation of each class with its truth: 1 is perfect, 0 as good as chance, -1 all wrong.

        (TP TN - FP FN) / sqrt((TP + FP) (TP + FN) (TN + FP) (TN + FN)). NaN where a class fills nothing or everything
        on one side, as nothing can correlate with what does not vary; scikit-learn calls that 0.
        """
        return correlations(self.tp, self.fp, self.fn, self.tn)

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
    def partition(self) -> PartitionEvaluation:
        """What `evaluate_partition` gives for the same labels; each label is a region, 0 too unless it is ignored."""
        from .partitions import partition_of

        return partition_of(self.pairs, self.ignore)

    @property
    def definitions(self) -> dict[str, str]:
        """What every score and count means, and how labels were matched to classes, in sentences for a report."""
        return {**DEFINITIONS, "matching": self._matched_by}

    @property
    def _matched_by(self) -> str:
        return f"labels matched by {self.match}: {self.match_reason}"

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
        lines = [
            f"{'class':>7}" + "".join(f"{_SHORT.get(n, n):>11}" for n in SHOWN) + "".join(f"{n:>12}" for n in COUNTS)
        ]
        lines += [
            f"{row['class']:>7}" + "".join(f"{row[n]:>11.4f}" for n in SHOWN) + "".join(f"{row[n]:>12}" for n in COUNTS)
            for row in self.table[:MAX_LINES]
        ]
        if len(self.classes) > MAX_LINES:
            lines.append(f"    ... and {len(self.classes) - MAX_LINES} more classes")
        without = "" if not self.n_ignored else f", {self.n_ignored} not annotated (label {self.ignore} of truth)"
        left_out = " (background left out)" if 0 in self.classes and self.classes.any() else ""
        return "\n".join(
            [
                *lines,
                f"mean of the classes: IoU {self.mean_iou:.4f}, Dice {self.mean_dice:.4f}{left_out}; "
                f"weighted by frequency: IoU {self.frequency_weighted_iou:.4f}, "
                f"Dice {self.frequency_weighted_dice:.4f}",
                f"{self.n_voxels} voxels scored{without}; {self.overall_accuracy:.4f} of them right, where naming the "
                f"commonest class everywhere would give {self.largest_prevalence:.4f}",
                f"all classes: balanced accuracy {self.overall_balanced_accuracy:.4f}, MCC {self.overall_mcc:.4f}",
                self._matched_by,
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
        return write_text(path, table_text(["class", *SCORES, *COUNTS], self.table), overwrite=overwrite)

    def to_json(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write what `as_dict` returns.

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
        return write_text(path, json.dumps(self.as_dict(), indent=2, allow_nan=False) + "\n", overwrite=overwrite)

    def as_dict(self) -> dict[str, Any]:
        """Return the table, the means, how labels were matched, and the definitions, for JSON; NaN becomes None.

        Where labels number objects, what `ObjectEvaluation.as_dict` returns is under ``objects``.
        """
        content: dict[str, Any] = {name: or_null(getattr(self, name)) for name in MEANS + OVERALL + ORIGIN}
        content["mapping"] = {str(label): found for label, found in self.mapping.items()}
        content["classes"] = [{name: or_null(value) for name, value in row.items()} for row in self.table]
        content["definitions"] = self.definitions
        if self.numbers_objects:
            content["objects"] = self.objects.as_dict()
        return content


_SHORT = {"balanced_accuracy": "balanced"}
"""What the summary calls a score whose name is too long for it."""


def ratio(part: Counts | Scores, whole: Counts) -> Scores:
    """Return part / whole; NaN where there is nothing."""
    ratios: Scores = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0)
    return ratios


def balanced(tp: Counts, fp: Counts, fn: Counts, tn: Counts) -> Scores:
    """Return the mean of recall and specificity; NaN where either is not defined."""
    means: Scores = (ratio(tp, tp + fn) + ratio(tn, tn + fp)) / 2
    return means


def correlations(tp: Counts, fp: Counts, fn: Counts, tn: Counts) -> Scores:
    """Return Matthews' correlation of counts of any shape; NaN where one side does not vary."""
    rows = zip(*(counts.ravel().tolist() for counts in (tp, fp, fn, tn)), strict=True)
    found = [_correlation(a * d - b * c, (a + b) * (a + c) * (d + b) * (d + c)) for a, b, c, d in rows]
    return np.asarray(found, np.float64).reshape(tp.shape)


def _correlation(covariance: int, variances: int) -> float:
    """Return covariance / sqrt(variances), exact up to the last division and its root; NaN if nothing varies.

    A product of four counts of a large volume is beyond int64 and float64, so the integers are Python's.
    """
    return math.copysign(math.sqrt(covariance**2 / variances), covariance) if variances else math.nan


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

    Accuracy is high wherever one class fills most of the image, whatever was found of the others; that is why
    `prevalence` stands beside it. Balanced accuracy [1]_ and Matthews' correlation [2]_, for all classes together
    R_K [3]_, do not reward naming the commonest class everywhere.

    References
    ----------
    .. [1] K. H. Brodersen, C. S. Ong, K. E. Stephan and J. M. Buhmann, "The balanced accuracy and its posterior
       distribution", in Proc. 20th Int. Conf. Pattern Recognition (2010) 3121-3124. DOI:10.1109/ICPR.2010.764
    .. [2] B. W. Matthews, "Comparison of the predicted and observed secondary structure of T4 phage lysozyme", Biochim.
       Biophys. Acta 405 (1975) 442-451. DOI:10.1016/0005-2795(75)90109-9
    .. [3] J. Gorodkin, "Comparing two K-category assignments by a K-category correlation coefficient", Comput. Biol.
       Chem. 28 (2004) 367-374. DOI:10.1016/j.compbiolchem.2004.09.006
    .. [4] P. Jaccard, "The distribution of the flora in the alpine zone", New Phytologist 11 (1912) 37-50.
       DOI:10.1111/j.1469-8137.1912.tb05611.x
    .. [5] L. R. Dice, "Measures of the amount of ecologic association between species", Ecology 26 (1945) 297-302.
       DOI:10.2307/1932409

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
        **_overall(predicted, truth, table.counts),
        match=matching.match,
        match_reason=matching.reason,
        mapping=dict(zip(matching.labels.tolist(), matching.classes.tolist(), strict=True)),
        pairs=table,
        ignore=None if ignore is None else int(ignore),
    )


def _overall(predicted: Counts, truth: Counts, counts: Counts) -> dict[str, float]:
    """Return the scores of all classes together, whichever are reported, from classes that meet."""
    classes, right = np.union1d(predicted, truth), predicted == truth
    found, there = (_sums(side, counts, classes).tolist() for side in (predicted, truth))
    common = _sums(truth[right], counts[right], classes).tolist()
    n, agreed = sum(there), sum(common)
    recalls = [a / b for a, b in zip(common, there, strict=True) if b]
    by_chance = sum(map(mul, found, there))
    spreads = (n * n - sum(k * k for k in side) for side in (found, there))
    return {
        "overall_accuracy": agreed / n,
        "overall_balanced_accuracy": math.fsum(recalls) / len(recalls),
        "overall_mcc": _correlation(agreed * n - by_chance, math.prod(spreads)),
        "largest_prevalence": max(there) / n,
    }


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
