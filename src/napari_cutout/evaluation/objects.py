"""Object scores: which objects were found, split, merged, missed or invented, from the same table of counts."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._method import Labels
from .._writing import write_text
from ._contingency import Contingency, Counts, contingency
from ._pairing import BACKGROUND, Indices, Overlaps, matched_pairs, overlaps_of
from .overlap import frozen, or_null, ratio

__all__ = ["KINDS", "ObjectEvaluation", "evaluate_objects", "objects_of"]

Scores = NDArray[np.float64]
Mask = NDArray[np.bool_]

THRESHOLDS = tuple(k / 20 for k in range(10, 20))
"""0.5 to 0.95 in steps of 0.05, each the number that is nearest to its decimals, so that an IoU of 3/5 is 0.6."""

SCORES = ("precision", "recall", "f1", "ap", "segmentation_quality", "pq")
COUNTS = ("tp", "fp", "fn")
WHOLE = ("mean_ap", "seg", "count_error", "n_predicted", "n_true")
ORIGIN = ("n_voxels", "n_ignored", "ignore")
ERRORS = ("split", "merged", "missed", "invented")

KINDS = ("matched", "split", "merged", "missed", "invented", "inexact")
"""What an object can be at a threshold."""

COLUMNS = ("kind", "true", "predicted", "iou", "true_size", "predicted_size")
"""The table of objects, in the order of its columns."""

MAX_LABELS = 10
"""Labels of one kind of error that the summary lists; the properties hold all."""


@dataclass(frozen=True, slots=True, eq=False)
class ObjectEvaluation:
    """How well the objects of an annotation were found, one by one.

    Scores are arrays of shape (k,), one entry for each threshold. A ratio of nothing is NaN: all of them where
    neither side holds an object; `precision` where none was predicted; `recall` and `seg` where none is there;
    `segmentation_quality` where none was matched. F1, AP and PQ are 0 where only one side holds objects.

    Parameters
    ----------
    thresholds : float64 array of shape (k,)
        The IoU from which on two objects can be matched, rising.
    tp, fp, fn : int64 arrays of shape (k,)
        Pairs that were matched, predicted objects that are left over, and true ones that are.
    matched_iou : float64 array of shape (k,)
        The sum of the IoU of the matched pairs.
    overlaps : Overlaps
        The objects of both sides and the pairs of them that share voxels.
    n_voxels : int
        Voxels that were scored.
    n_ignored : int
        Voxels that were not, because they are not annotated.
    ignore : int or None
        The label of truth that means *not annotated*.
    """

    thresholds: Scores
    tp: Counts
    fp: Counts
    fn: Counts
    matched_iou: Scores
    overlaps: Overlaps
    n_voxels: int
    n_ignored: int
    ignore: int | None = None

    @property
    def n_predicted(self) -> int:
        """Number of predicted objects."""
        return len(self.overlaps.predicted)

    @property
    def n_true(self) -> int:
        """Number of true objects."""
        return len(self.overlaps.truth)

    @property
    def count_error(self) -> int:
        """Predicted objects minus true ones: above 0 where there are too many."""
        return self.n_predicted - self.n_true

    @property
    def precision(self) -> Scores:
        """Share of the predicted objects that were matched, TP / (TP + FP)."""
        return ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> Scores:
        """Share of the true objects that were matched, TP / (TP + FN)."""
        return ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> Scores:
        """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN)."""
        return ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def ap(self) -> Scores:
        """Average precision as the 2018 Data Science Bowl and StarDist define it, TP / (TP + FP + FN)."""
        return ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def mean_ap(self) -> float:
        """Mean of `ap` over the thresholds."""
        return float(self.ap.mean())

    @property
    def segmentation_quality(self) -> Scores:
        """Mean IoU of the matched pairs."""
        return ratio(self.matched_iou, self.tp)

    @property
    def pq(self) -> Scores:
        """Panoptic quality, F1 times the mean IoU of the matched pairs (DOI:10.1109/CVPR.2019.00963)."""
        return ratio(2 * self.matched_iou, 2 * self.tp + self.fp + self.fn)

    @property
    def seg(self) -> float:
        """Mean over true objects of the IoU with the predicted one that covers more than half of each; 0 if none does.

        The Cell Tracking Challenge measures it (DOI:10.1038/nmeth.4473).
        """
        found = self.overlaps.seg
        return math.fsum(found) / len(found) if len(found) else math.nan

    @property
    def split(self) -> tuple[int, ...]:
        """True objects that two or more predicted ones lie on mostly."""
        return _labels(self.overlaps.truth, self._is_split)

    @property
    def merged(self) -> tuple[int, ...]:
        """Predicted objects that two or more true ones lie on mostly."""
        return _labels(self.overlaps.predicted, self._is_merged)

    @property
    def missed(self) -> tuple[int, ...]:
        """True objects that lie mostly where nothing was predicted."""
        return _labels(self.overlaps.truth, self.overlaps.on_predicted == BACKGROUND)

    @property
    def invented(self) -> tuple[int, ...]:
        """Predicted objects that lie mostly on the background of truth."""
        return _labels(self.overlaps.predicted, self.overlaps.on_truth == BACKGROUND)

    @property
    def table(self) -> list[dict[str, Any]]:
        """One row per threshold: the threshold, its scores, its counts."""
        columns = {"threshold": self.thresholds} | {name: getattr(self, name) for name in SCORES + COUNTS}
        return _rows({name: values.tolist() for name, values in columns.items()})

    def at(self, threshold: float) -> dict[str, Any]:
        """Return the scores and counts at one threshold, which need not be one of `thresholds`.

        Parameters
        ----------
        threshold : float
            The IoU from which on two objects can be matched, above 0 and at most 1.

        Returns
        -------
        dict
            A row such as those of `table`.
        """
        return replace(self, **_counted(self.overlaps, checked_thresholds([threshold]))).table[0]

    def object_table(self, threshold: float = 0.5) -> dict[str, list[Any]]:
        """Return what became of every object at one threshold, as columns.

        Parameters
        ----------
        threshold : float
            The IoU from which on two objects can be matched, above 0 and at most 1.

        Returns
        -------
        dict
            ``kind``, ``true`` and ``predicted`` (labels), ``iou``, ``true_size`` and ``predicted_size`` (voxels that
            were scored). There is a row for each true object, by rising label, and then one for each predicted object
            that was not matched. An object that was not matched stands beside the one that it lies on mostly; 0 is
            the background. Its kind is the first of these that holds:

            - split or merged: it is in the list of that name, `split` for true objects, `merged` for predicted ones
            - merged or split: it lies mostly on an object of the other side that is in its list
            - missed or invented: it is in the list of that name
            - inexact: it lies mostly on an object, but their IoU is too small for this threshold
        """
        (limit,) = checked_thresholds([threshold])
        found = self.overlaps
        pairs = matched_pairs(found, float(limit))
        partners, is_left = found.on_predicted.copy(), np.ones(self.n_predicted, bool)
        partners[found.columns[pairs]] = found.rows[pairs]
        is_left[found.rows[pairs]] = False
        left = np.flatnonzero(is_left)
        kinds = _kinds(found.on_predicted, (self._is_split, "split"), (self._is_merged, "merged"), "missed")
        kinds[found.columns[pairs]] = "matched"
        others = _kinds(found.on_truth, (self._is_merged, "merged"), (self._is_split, "split"), "invented")
        rows = np.concatenate([partners, left])
        columns = np.concatenate([np.arange(self.n_true), found.on_truth[left]])
        values = (
            np.concatenate([kinds, others[left]]),
            _taken(found.truth, columns),
            _taken(found.predicted, rows),
            found.iou_of(rows, columns),
            _taken(found.true_sizes, columns),
            _taken(found.predicted_sizes, rows),
        )
        return {name: column.tolist() for name, column in zip(COLUMNS, values, strict=True)}

    @property
    def _is_split(self) -> Mask:
        return _several(self.overlaps.on_truth, self.n_true)

    @property
    def _is_merged(self) -> Mask:
        return _several(self.overlaps.on_predicted, self.n_predicted)

    def summary(self) -> str:
        """Return the scores as a text table, and the objects that went wrong."""
        lines = [f"{'IoU from':>9}" + "".join(f"{_SHORT.get(n, n):>11}" for n in SCORES) + _counts_line(COUNTS)]
        lines += [
            f"{row['threshold']:>9.2f}"
            + "".join(f"{row[n]:>11.4f}" for n in SCORES)
            + _counts_line(row[n] for n in COUNTS)
            for row in self.table
        ]
        without = "" if not self.n_ignored else f", {self.n_ignored} not annotated (label {self.ignore} of truth)"
        return "\n".join(
            [
                *lines,
                f"mean AP {self.mean_ap:.4f}, SEG {self.seg:.4f}; {self.n_voxels} voxels scored{without}",
                f"{self.n_predicted} objects predicted, {self.n_true} true: count error {self.count_error:+d}",
                *(f"{name}: {_listed(getattr(self, name))}" for name in ERRORS),
            ]
        )

    __str__ = summary

    def to_csv(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write the scores, one line per threshold.

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
        names = ("threshold", *SCORES, *COUNTS)
        return write_text(path, _csv_text(names, ([row[n] for n in names] for row in self.table)), overwrite=overwrite)

    def objects_to_csv(self, path: str | os.PathLike[str], overwrite: bool = False, *, threshold: float = 0.5) -> Path:
        """Write the table of objects, one line per object.

        Parameters
        ----------
        path : str or path
            Where to write.
        overwrite : bool
            Replace what is there.
        threshold : float
            As in `object_table`.

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
        columns = self.object_table(threshold)
        return write_text(path, _csv_text(COLUMNS, zip(*columns.values(), strict=True)), overwrite=overwrite)

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
        """Return all scores, the labels of all errors, and the table of objects at the first threshold, for JSON."""
        first = float(self.thresholds[0])
        return {
            **{name: or_null(getattr(self, name)) for name in WHOLE + ORIGIN},
            "thresholds": [{name: or_null(value) for name, value in row.items()} for row in self.table],
            **{name: list(getattr(self, name)) for name in ERRORS},
            "objects_at": first,
            "objects": _rows(self.object_table(first)),
        }


_SHORT = {"segmentation_quality": "mean IoU"}
"""What the summary calls a score whose name is too long for it."""


def evaluate_objects(
    predicted: Labels,
    truth: Labels,
    *,
    ignore: int | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
) -> ObjectEvaluation:
    """Score numbered objects against annotated ones: found, split, merged, missed, invented.

    Parameters
    ----------
    predicted : array of int or bool
        Objects by number, 0 or more, in any number of dimensions; 0 is background. What the numbers are does not
        matter.
    truth : array of int or bool, of the same shape and library
        The annotated objects.
    ignore : int, optional
        The label of `truth` that means *not annotated*; its voxels leave every count, so that sizes and IoU are those
        of the annotated part of an object. It may be negative. Objects that lie nowhere else are not there.
    thresholds : sequence of float
        The IoU from which on two objects can be matched, each above 0 and at most 1.

    Returns
    -------
    ObjectEvaluation
        Scores and counts at each threshold, the objects that went wrong, and a table of all.

    Raises
    ------
    TypeError
        If an array holds anything but integers or booleans, the arrays come from different libraries, or `ignore` is
        not an integer.
    ValueError
        If the shapes differ, there are no voxels, `ignore` leaves none, a label is negative, or a threshold is outside
        0 to 1 or given twice.

    Notes
    -----
    Exact: int64 counts from one pass over both arrays, block by block, the same for every tiling, library and device.
    dask arrays are computed, chunk by chunk. Memory: a few blocks, and about 100 bytes for every pair of labels that
    meets.

    At each threshold objects are matched one to one: as many pairs as can be, and of those ways the one with the
    largest sum of IoU. Above an IoU of 0.5 there is only one way [3]_; at 0.5 and below an optimal assignment is
    computed. Where several ways are equally good all scores are the same, and of two equal partners of one object the
    table shows the one with the smaller label.

    Splits and merges are counted as in [1]_, without a threshold: each object is assigned to the object, or the
    background, of the other side that holds most of its voxels; of equals an object comes before the background, and
    then the smaller label. A true object to which two predicted ones are assigned is split, a predicted one to which
    two true ones are is merged, a true one that is assigned to the background is missed, a predicted one invented. An
    object can be matched and split, where a chip is cut off it. [2]_ is where AP for nuclei comes from.

    References
    ----------
    .. [1] L. P. Coelho, A. Shariff and R. F. Murphy, IEEE International Symposium on Biomedical Imaging (2009)
       518-521. DOI:10.1109/ISBI.2009.5193098
    .. [2] J. C. Caicedo et al., Nature Methods 16 (2019) 1247-1253. DOI:10.1038/s41592-019-0612-7
    .. [3] A. Kirillov et al., IEEE/CVF Conference on Computer Vision and Pattern Recognition (2019) 9396-9405.
       DOI:10.1109/CVPR.2019.00963
    .. [4] V. Ulman et al., Nature Methods 14 (2017) 1141-1152. DOI:10.1038/nmeth.4473

    Examples
    --------
    Object 1 was cut in two, and object 2 was found.

    >>> import numpy as np
    >>> truth = np.array([[1, 1, 1, 1, 1, 0, 2, 2, 2]])
    >>> found = evaluate_objects(np.array([[4, 4, 4, 5, 5, 0, 6, 6, 0]]), truth, thresholds=(0.5, 0.75))
    >>> found.ap.round(3).tolist(), found.count_error, found.split
    ([0.667, 0.0], 1, (1,))
    >>> found.object_table(0.5)["kind"]
    ['matched', 'matched', 'split']
    """
    limits = checked_thresholds(thresholds)
    return objects_of(contingency(predicted, truth, ignore), ignore, limits)


def checked_thresholds(thresholds: Sequence[float]) -> Scores:
    """Return thresholds, rising.

    Raises
    ------
    ValueError
        If there is none, one is not above 0 and at most 1, or one comes twice.
    """
    limits = np.sort(np.asarray(list(thresholds), np.float64))
    if not len(limits) or not ((limits > 0) & (limits <= 1)).all() or len(np.unique(limits)) < len(limits):
        raise ValueError(
            f"thresholds must be one or more different IoU above 0 and at most 1, got {list(thresholds)}; "
            "pass for example (0.5, 0.75)"
        )
    return limits


def objects_of(
    table: Contingency, ignore: int | None, thresholds: Sequence[float] | Scores = THRESHOLDS
) -> ObjectEvaluation:
    """Score the objects of a table of label pairs, from which `ignore` has been left out."""
    overlaps = overlaps_of(table)
    return ObjectEvaluation(
        **_counted(overlaps, np.asarray(thresholds)),
        overlaps=overlaps,
        n_voxels=table.n_voxels,
        n_ignored=table.n_ignored,
        ignore=None if ignore is None else int(ignore),
    )


def _counted(overlaps: Overlaps, thresholds: Scores) -> dict[str, Any]:
    """Match at each threshold, and count; the sums are rounded once, so that no order of the labels shows."""
    iou = overlaps.iou
    pairs = [matched_pairs(overlaps, float(limit)) for limit in thresholds]
    tp = np.asarray([len(at) for at in pairs], np.int64)
    return {
        "thresholds": frozen(thresholds),
        "tp": frozen(tp),
        "fp": frozen(len(overlaps.predicted) - tp),
        "fn": frozen(len(overlaps.truth) - tp),
        "matched_iou": frozen(np.asarray([math.fsum(iou[at]) for at in pairs])),
    }


def _several(assigned: Indices, n: int) -> Mask:
    """Tell which of n objects two or more of the other side are assigned to."""
    return np.bincount(assigned[assigned != BACKGROUND], minlength=n) > 1


def _kinds(assigned: Indices, own: tuple[Mask, str], other: tuple[Mask, str], nothing: str) -> NDArray[np.str_]:
    """Say of the objects of one side what is wrong with them: its own kind of error comes before the other's."""
    (is_own, own_kind), (is_other, other_kind) = own, other
    cases = [is_own, _taken(is_other, assigned), assigned == BACKGROUND]
    return np.select(cases, [own_kind, other_kind, nothing], "inexact").astype("U8")


def _taken(values: NDArray[Any], at: Indices) -> NDArray[Any]:
    """Return the values of objects; 0 for the background."""
    return np.append(values, values.dtype.type(0))[at]


def _labels(labels: Counts, chosen: Mask) -> tuple[int, ...]:
    return tuple(labels[chosen].tolist())


def _rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _csv_text(names: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue()


def _counts_line(counts: Iterable[Any]) -> str:
    return "".join(f"{count:>8}" for count in counts)


def _listed(labels: tuple[int, ...]) -> str:
    more = f" and {len(labels) - MAX_LABELS} more" if len(labels) > MAX_LABELS else ""
    shown = ", ".join(map(str, labels[:MAX_LABELS]))
    return f"{len(labels)} ({shown}{more})" if labels else "0"
