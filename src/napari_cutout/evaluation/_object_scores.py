"""The scores of objects that one table of label pairs gives."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._writing import csv_text, write_text
from ._fates import COLUMNS, aggregated_jaccard, fates, is_merged, is_split, lies_on_merged
from ._object_text import COUNTS, DEFINITIONS, ERRORS, NO_BACKGROUND, NO_REGION, SCORES, summary_of
from ._pairing import BACKGROUND, Mask, Overlaps, matched_pairs
from ._tables import Counts
from ._text import rows_of
from .overlap import frozen, or_null, ratio

__all__ = ["ObjectEvaluation", "checked_thresholds", "counted_at"]

Scores = NDArray[np.float64]

WHOLE = ("mean_ap", "seg", "aji", "over_segmentation", "under_segmentation", "count_error", "n_predicted", "n_true")
ORIGIN = ("n_voxels", "n_ignored", "n_complete", "ignore", "why_nan")


@dataclass(frozen=True, slots=True, eq=False)
class ObjectEvaluation:
    """How well the objects of an annotation were found, one by one.

    Scores are arrays of shape (k,), one entry for each threshold. A ratio of nothing is NaN: all of them where
    neither side holds an object; `precision` where none was predicted; `recall`, `seg` and the shares where none is
    there; `segmentation_quality` where none was matched. F1, AP, PQ and AJI are 0 where only one side holds objects.
    What asks for objects in excess is NaN where the background is not known; `why_nan` says so then.

    Parameters
    ----------
    thresholds : float64 array of shape (k,)
        The IoU from which on two objects can be matched, rising.
    tp, fp, fn : int64 arrays of shape (k,)
        Pairs that were matched, predicted objects that are left over, and true ones that are. Where the background is
        not known, `fp` still counts the left ones that lie mostly on annotated voxels, and no ratio uses it.
    n_unjudged : int64 array of shape (k,)
        Predicted objects that are left over and neither right nor wrong: in no other count.
    matched_iou : float64 array of shape (k,)
        The sum of the IoU of the matched pairs.
    n_predicted : int
        Predicted objects that are right or wrong: those that are judged, as `evaluate_objects` says which are, and
        those that are matched at the first threshold with a true object that counts.
    overlaps : Overlaps
        The objects of both sides and the pairs of them that share voxels.
    n_voxels : int
        Voxels that were scored: all that are annotated.
    n_ignored : int
        Voxels that were not, because they are not annotated.
    ignore : int or None
        The label of truth that means *not annotated*.
    n_complete : int or None
        Voxels of the region that is annotated completely; None if none was given.
    """

    thresholds: Scores
    tp: Counts
    fp: Counts
    fn: Counts
    n_unjudged: Counts
    matched_iou: Scores
    n_predicted: int
    overlaps: Overlaps
    n_voxels: int
    n_ignored: int
    ignore: int | None = None
    n_complete: int | None = None

    @property
    def why_nan(self) -> str:
        """Why scores are NaN though there are objects, what holds of the others, and what to do; empty otherwise."""
        if self.n_complete == 0:
            return NO_REGION
        return NO_BACKGROUND if self.ignore == 0 and self.n_complete is None else ""

    @property
    def n_true(self) -> int:
        """Number of true objects, of those that lie mostly in the complete region if there is one."""
        return int(self.overlaps.is_counted.sum())

    @property
    def count_error(self) -> int:
        """Predicted objects minus true ones: above 0 where there are too many; no error if `why_nan` is not empty."""
        return self.n_predicted - self.n_true

    @property
    def precision(self) -> Scores:
        """Share of the predicted objects that were matched, TP / (TP + FP)."""
        return self._if_known(ratio(self.tp, self.tp + self.fp))

    @property
    def recall(self) -> Scores:
        """Share of the true objects that were matched, TP / (TP + FN)."""
        return ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> Scores:
        """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN)."""
        return self._if_known(ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn))

    @property
    def ap(self) -> Scores:
        """Average precision as the 2018 Data Science Bowl and StarDist define it, TP / (TP + FP + FN)."""
        return self._if_known(ratio(self.tp, self.tp + self.fp + self.fn))

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
        """Panoptic quality, F1 times the mean IoU of the matched pairs (DOI:10.1109/CVPR.2019.00963).

        Pairs match at an IoU of the threshold or more, those of the paper above 0.5: the same but for exact halves.
        """
        return self._if_known(ratio(2 * self.matched_iou, 2 * self.tp + self.fp + self.fn))

    @property
    def sq(self) -> Scores:
        """What PQ calls segmentation quality: `segmentation_quality`."""
        return self.segmentation_quality

    @property
    def rq(self) -> Scores:
        """What PQ calls recognition quality: `f1`. PQ = SQ x RQ (DOI:10.1109/CVPR.2019.00963)."""
        return self.f1

    def _if_known(self, scores: Scores) -> Scores:
        return np.full_like(scores, np.nan) if self.why_nan else scores

    @property
    def seg(self) -> float:
        """Mean over true objects of the IoU with the predicted one that covers more than half of each; 0 if none does.

        The Cell Tracking Challenge measures it (DOI:10.1038/nmeth.4473).
        """
        found = self.overlaps.seg[self.overlaps.is_counted]
        return math.fsum(found) / len(found) if len(found) else math.nan

    @property
    def aji(self) -> float:
        """Aggregated Jaccard index (DOI:10.1109/TMI.2017.2677499).

        Each true object takes the predicted one of the largest IoU, which several may share. Their common voxels are
        added up, and divided by the sum of their unions, of the true objects that meet none, and of the predicted ones
        that none took. One merged object counts in the union of each that took it. A predicted object that is as good
        as the one that was taken is not left over.
        """
        above, below = aggregated_jaccard(self.overlaps)
        return above / below if below and not self.why_nan else math.nan

    @property
    def over_segmentation(self) -> float:
        """Share of the true objects that are split (DOI:10.1109/ISBI.2009.5193098)."""
        return self._share(is_split(self.overlaps))

    @property
    def under_segmentation(self) -> float:
        """Share of the true objects that lie mostly on a merged predicted object (DOI:10.1109/ISBI.2009.5193098)."""
        return self._share(lies_on_merged(self.overlaps))

    def _share(self, chosen: Mask) -> float:
        return int(chosen[self.overlaps.is_counted].sum()) / self.n_true if self.n_true else math.nan

    @property
    def split(self) -> tuple[int, ...]:
        """True objects that two or more predicted ones lie on mostly, of those that are judged."""
        return _labels(self.overlaps.truth, is_split(self.overlaps))

    @property
    def merged(self) -> tuple[int, ...]:
        """Predicted objects that two or more true ones lie on mostly."""
        return _labels(self.overlaps.predicted, is_merged(self.overlaps))

    @property
    def missed(self) -> tuple[int, ...]:
        """True objects that lie mostly where nothing was predicted."""
        return _labels(self.overlaps.truth, self.overlaps.on_predicted == BACKGROUND)

    @property
    def invented(self) -> tuple[int, ...]:
        """Predicted objects that lie mostly on the background of truth, of those that are right or wrong."""
        found = self.overlaps
        return _labels(found.predicted, (found.on_truth == BACKGROUND) & found.is_judged)

    @property
    def table(self) -> list[dict[str, Any]]:
        """One row per threshold: the threshold, its scores, its counts."""
        columns = {"threshold": self.thresholds} | {
            name: getattr(self, name) for name in (*SCORES, *COUNTS, "n_unjudged")
        }
        return rows_of({name: values.tolist() for name, values in columns.items()})

    @property
    def definitions(self) -> dict[str, str]:
        """What every score and count means, in sentences for a report."""
        return dict(DEFINITIONS)

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
        return replace(self, **counted_at(self.overlaps, checked_thresholds([threshold]))).table[0]

    def object_table(self, threshold: float = 0.5) -> dict[str, list[Any]]:
        """Return what became of every object at one threshold, as columns.

        Parameters
        ----------
        threshold : float
            The IoU from which on two objects can be matched, above 0 and at most 1.

        Returns
        -------
        dict
            ``kind``, ``true`` and ``predicted`` (labels), ``iou``, ``dice``, ``true_size`` and ``predicted_size``
            (annotated voxels), ``counted`` (whether it is in the counts at this threshold). There is a row for each
            true object, by rising label, and then one for each predicted object that was not matched. An object that
            was not matched stands beside the one that it lies on mostly, of equals that of the smaller label; 0 is
            the background. Its kind is the first of these that holds:

            - unjudged: a predicted object that is neither right nor wrong, as `evaluate_objects` says
            - split or merged: it is in the list of that name, `split` for true objects, `merged` for predicted ones
            - merged or split: it lies mostly on an object of the other side that is in its list
            - missed or invented: it is in the list of that name
            - inexact: it lies mostly on an object, but their IoU is too small for this threshold
        """
        (limit,) = checked_thresholds([threshold])
        return fates(self.overlaps, matched_pairs(self.overlaps, float(limit)))

    def summary(self) -> str:
        """Return the scores as a text table, and the objects that went wrong."""
        return summary_of(self)

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
        rows = self.table
        return write_text(path, csv_text(list(rows[0]), (row.values() for row in rows)), overwrite=overwrite)

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
        return write_text(path, csv_text(COLUMNS, zip(*columns.values(), strict=True)), overwrite=overwrite)

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
        """Return all scores and what they mean, the labels of all errors, and the objects at the first threshold."""
        first = float(self.thresholds[0])
        return {
            **{name: or_null(getattr(self, name)) for name in WHOLE + ORIGIN},
            **({"count_error": None} if self.why_nan else {}),
            "thresholds": [{name: or_null(value) for name, value in row.items()} for row in self.table],
            **{name: list(getattr(self, name)) for name in ERRORS},
            "objects_at": first,
            "definitions": self.definitions,
            "objects": rows_of(self.object_table(first)),
        }


def checked_thresholds(thresholds: Sequence[float]) -> Scores:
    """Return thresholds, rising.

    Raises
    ------
    TypeError
        If they are not a sequence of numbers.
    ValueError
        If there is none, one is not above 0 and at most 1, or one comes twice.
    """
    try:
        limits = np.sort(np.asarray(list(thresholds), np.float64))
    except (TypeError, ValueError):
        raise TypeError(f"thresholds must be a sequence of IoU, got {thresholds!r}; pass for example (0.5,)") from None
    if not len(limits) or not ((limits > 0) & (limits <= 1)).all() or len(np.unique(limits)) < len(limits):
        raise ValueError(
            f"thresholds must be one or more different IoU above 0 and at most 1, got {list(thresholds)}; "
            "pass for example (0.5, 0.75)"
        )
    return limits


def counted_at(found: Overlaps, thresholds: Scores) -> dict[str, Any]:
    """Match at each threshold, and count; the sums are rounded once, so that no order of the labels shows."""
    iou, matched = found.iou, [matched_pairs(found, float(limit)) for limit in thresholds]
    counting = [at[found.is_counted[found.columns[at]]] for at in matched]
    tp = np.asarray([len(at) for at in counting], np.int64)
    judged = np.asarray([found.is_judged[found.rows[at]].sum() for at in matched], np.int64)
    unjudged = np.asarray([len(at) for at in matched], np.int64) - judged
    is_right_or_wrong = found.is_judged.copy()
    is_right_or_wrong[found.rows[counting[0]]] = True
    return {
        "thresholds": frozen(thresholds),
        "tp": frozen(tp),
        "fp": frozen(found.is_judged.sum() - judged),
        "fn": frozen(found.is_counted.sum() - tp),
        "n_unjudged": frozen((~found.is_judged).sum() - unjudged),
        "n_predicted": int(is_right_or_wrong.sum()),
        "matched_iou": frozen(np.asarray([math.fsum(iou[at]) for at in counting])),
    }


def _labels(labels: Counts, chosen: Mask) -> tuple[int, ...]:
    return tuple(labels[chosen].tolist())
