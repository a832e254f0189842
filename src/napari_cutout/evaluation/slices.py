"""Overlap scores of every slice of a volume: where along an axis a segmentation fails."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, from_numpy
from .._method import Labels
from .._writing import table_text, write_text
from ._boxes import positions
from ._contingency import (
    MAX_LABEL,
    Contingency,
    Counts,
    added_up,
    check_pair,
    checked,
    count_block,
    gathered,
    int64,
    span_of,
    sum_blocks,
    tabulated,
)
from ._matching import Match, Matching, matched
from ._overlap_text import OF_SLICES
from .overlap import COUNTS, Evaluation, balanced, checked_classes, correlations, frozen, or_null, ratio, scored

__all__ = ["SliceEvaluation", "evaluate_slices"]

Scores = NDArray[np.float64]

SLICE_SCORES = ("iou", "dice", "balanced_accuracy", "mcc", "prevalence")
SLICE_MEANS = ("mean_iou", "mean_dice")
MATTERS = ("slices", "background", "empty", "ignored", "matching")
"""What is said of all scores of slices."""


@dataclass(frozen=True, slots=True, eq=False)
class SliceEvaluation:
    """How a segmentation overlaps its annotation in every slice along one axis.

    Parameters
    ----------
    axis : int
        The axis that the slices lie along, from 0.
    classes : int64 array of shape (n_classes,)
        The classes of the whole, rising; a slice need not hold them all.
    tp, fp, fn, tn : int64 arrays of shape (n_slices, n_classes)
        Voxels of each class that are found, found in excess, missed, and rightly left alone; their sums over the
        slices are those of `whole`.
    n_voxels : int64 array of shape (n_slices,)
        Voxels of each slice that were scored; 0 where none is annotated.
    whole : Evaluation
        The scores of all slices together, with the matching of labels that every slice was scored by.
    """

    axis: int
    classes: Counts
    tp: Counts
    fp: Counts
    fn: Counts
    tn: Counts
    n_voxels: Counts
    whole: Evaluation

    def __len__(self) -> int:
        return len(self.n_voxels)

    @property
    def iou(self) -> Scores:
        """IoU of each class in each slice, (n_slices, n_classes); NaN where a slice holds none of the class."""
        return ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def dice(self) -> Scores:
        """Dice of each class in each slice, (n_slices, n_classes); NaN where a slice holds none of the class."""
        return ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def balanced_accuracy(self) -> Scores:
        """Mean of recall and specificity of each class in each slice, (n_slices, n_classes).

        NaN where truth holds nothing of the class in a slice, or nothing else.
        """
        return balanced(self.tp, self.fp, self.fn, self.tn)

    @property
    def mcc(self) -> Scores:
        """Matthews' correlation of each class in each slice, as in `Evaluation`, (n_slices, n_classes).

        NaN where the class fills nothing or all of a slice on one side.
        """
        return correlations(self.tp, self.fp, self.fn, self.tn)

    @property
    def prevalence(self) -> Scores:
        """Fraction of the voxels of each slice that truth gives to each class; NaN where none is annotated."""
        return ratio(self.tp + self.fn, np.broadcast_to(self.n_voxels[:, None], self.tp.shape))

    @property
    def mean_iou(self) -> Scores:
        """Mean IoU of the classes that each slice holds, (n_slices,), background left out if there are others."""
        return self._mean(self.iou)

    @property
    def mean_dice(self) -> Scores:
        """Mean Dice of the classes that each slice holds, (n_slices,), background left out if there are others."""
        return self._mean(self.dice)

    def _mean(self, scores: Scores) -> Scores:
        chosen = scores[:, self.classes != 0] if self.classes.any() else scores
        there = ~np.isnan(chosen)
        n, total = there.sum(axis=1), np.where(there, chosen, 0).sum(axis=1)
        means: Scores = np.divide(total, n, out=np.full(len(self), np.nan), where=n > 0)
        return means

    @property
    def definitions(self) -> dict[str, str]:
        """What every score and count means, and how labels were matched to classes, in sentences for a report."""
        texts = {**self.whole.definitions, **OF_SLICES}
        return {name: texts[name] for name in (*COUNTS, *SLICE_SCORES, *SLICE_MEANS, *MATTERS)}

    @property
    def table(self) -> list[dict[str, Any]]:
        """One row for every class of every slice: axis, slice, class, scores, counts."""
        columns = {name: getattr(self, name).tolist() for name in SLICE_SCORES + COUNTS}
        return [
            {"axis": self.axis, "slice": at, "class": label} | {name: columns[name][at][i] for name in columns}
            for at in range(len(self))
            for i, label in enumerate(self.classes.tolist())
        ]

    def to_csv(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write the table, one line for every class of every slice.

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
        return write_text(
            path, table_text(["axis", "slice", "class", *SLICE_SCORES, *COUNTS], self.table), overwrite=overwrite
        )

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
        """Return the table, the means of each slice, the scores of the whole and the definitions; NaN becomes None."""
        means = {name: getattr(self, name).tolist() for name in SLICE_MEANS}
        return {
            "axis": self.axis,
            "n_slices": len(self),
            "n_voxels": self.n_voxels.tolist(),
            **{name: list(map(or_null, values)) for name, values in means.items()},
            "rows": [{name: or_null(value) for name, value in row.items()} for row in self.table],
            "whole": self.whole.as_dict(),
            "definitions": self.definitions,
        }


def evaluate_slices(
    predicted: Labels,
    truth: Labels,
    *,
    axis: int = 0,
    ignore: int | None = None,
    match: Match = "auto",
    classes: Sequence[int] | None = None,
) -> SliceEvaluation:
    """Score labels against an annotation, in every slice along an axis.

    Labels are matched once, on the whole, as `evaluate` does; every slice is scored by that matching.

    Parameters
    ----------
    predicted : array of int or bool
        The labels to be scored, 0 or more, in any number of dimensions.
    truth : array of int or bool, of the same shape and library
        The annotation.
    axis : int
        The axis that the slices lie along; negative numbers count from the last.
    ignore : int, optional
        The label of `truth` that means *not annotated*, as in `evaluate`.
    match : {"auto", "binary", "value", "overlap"}
        How predicted labels are matched to the classes of `truth`, as in `evaluate`.
    classes : sequence of int, optional
        The classes to report, after matching; by default all that occur on either side.

    Returns
    -------
    SliceEvaluation
        Counts and scores per slice and class, and as `whole` the scores of all slices together.

    Raises
    ------
    TypeError
        As `evaluate`, or if `axis` is not an integer.
    ValueError
        As `evaluate`, or if there is no such axis.

    Notes
    -----
    Exact: int64 counts from one pass over both arrays, block by block, the same for every tiling, library and
    device. dask arrays are computed, chunk by chunk. Memory: a few blocks, 32 bytes for every pair of labels in
    every slice where it meets, and 32 bytes for every class of every slice.

    Examples
    --------
    >>> import numpy as np
    >>> result = evaluate_slices(np.array([[0, 1, 1], [0, 0, 0]]), np.array([[0, 1, 1], [0, 1, 0]]))
    >>> result.classes.tolist(), result.iou.round(3).tolist()
    ([0, 1], [[1.0, 1.0], [0.667, 0.0]])
    """
    check_pair(predicted, truth, ignore)
    (found,), _ = slices_along(predicted, truth, [checked_axis(axis, predicted.ndim)], ignore, match, classes)
    return found


def checked_axis(axis: int, ndim: int) -> int:
    """Return an axis counted from 0.

    Raises
    ------
    TypeError
        If it is not an integer.
    ValueError
        If there is no such axis.
    """
    if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
        raise TypeError(f"axis must be an integer, got {axis!r}")
    if not -ndim <= axis < ndim:
        raise ValueError(f"axis must be from {-ndim} to {ndim - 1} for labels with {ndim} axes, got {axis}")
    return int(axis) % ndim


def slices_along(
    predicted: Array,
    truth: Array,
    axes: Sequence[int],
    ignore: int | None,
    match: Match,
    classes: Sequence[int] | None = None,
) -> tuple[tuple[SliceEvaluation, ...], Matching]:
    """Do what `evaluate_slices` does for one axis or more, counted in one pass; return the matching as well."""
    asked = None if classes is None else checked_classes(classes)
    check_pair(predicted, truth, ignore)
    return sliced(tables_along(predicted, truth, axes), axes, predicted.shape, ignore, match, asked)


def sliced(
    tables: Sequence[SliceTable],
    axes: Sequence[int],
    shape: tuple[int, ...],
    ignore: int | None,
    match: Match,
    asked: Counts | None = None,
) -> tuple[tuple[SliceEvaluation, ...], Matching]:
    """Score what `tables_along` counted in labels of this shape along these axes."""
    pairs = checked(tables[0].pairs.without(ignore), ignore)
    matching = matched(pairs, match, ignore)
    whole = scored(pairs, matching, asked, ignore)
    found = (_sliced(t, matching, whole, shape[axis], axis) for axis, t in zip(axes, tables, strict=True))
    return tuple(found), matching


# Counting --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class SliceTable:
    """How many voxels of each slice hold each pair of labels; what does not occur is left out.

    Parameters
    ----------
    slices : int64 array of shape (n,)
        The slice of each row; rows rise by slice, then by predicted label, then by true label.
    predicted, truth : int64 array of shape (n,)
        The pair of each row.
    counts : int64 array of shape (n,)
        Voxels of the slice that hold the pair.
    """

    slices: Counts
    predicted: Counts
    truth: Counts
    counts: Counts

    def __len__(self) -> int:
        return len(self.counts)

    def __add__(self, other: SliceTable) -> SliceTable:
        return SliceTable.of([self, other])

    @classmethod
    def of(cls, tables: Sequence[SliceTable]) -> SliceTable:
        """Return the table of all voxels of several."""
        names = ("slices", "predicted", "truth", "counts")
        slices, predicted, truth, counts = (np.concatenate([getattr(t, name) for t in tables]) for name in names)
        return cls.of_rows(slices, predicted, truth, counts)

    @classmethod
    def of_rows(cls, slices: Counts, predicted: Counts, truth: Counts, counts: Counts) -> SliceTable:
        """Sort rows, and add up the counts of rows that occur more than once."""
        (slices, predicted, truth), counts = added_up((slices, predicted, truth), counts)
        return cls(slices, predicted, truth, counts)

    @property
    def pairs(self) -> Contingency:
        """How often each pair of labels meets, in all slices."""
        return tabulated(self.predicted, self.truth, self.counts)


def centres_of(tables: Sequence[SliceTable], side: Literal["predicted", "truth"]) -> dict[int, tuple[float, ...]]:
    """Return the mean index of the voxels of each label of one side, from the tables of all axes."""
    labels = np.unique(getattr(tables[0], side))
    sums = np.zeros((len(tables), len(labels)))
    for total, table in zip(sums, tables, strict=True):
        at = np.searchsorted(labels, getattr(table, side))
        total += np.bincount(at, table.slices * table.counts, len(labels)) / np.bincount(at, table.counts, len(labels))
    return dict(zip(labels.tolist(), map(tuple, sums.T.tolist()), strict=True))


def tables_along(predicted: Array, truth: Array, axes: Sequence[int]) -> list[SliceTable]:
    """Count along several axes in one pass over labels that `check_pair` has seen."""
    places = [positions(predicted, axis) for axis in axes]
    parts: list[tuple[SliceTable, ...]] = sum_blocks(
        partial(_count_along_axes, axes), _gathered_by_axis, predicted, truth, *places
    )
    return [reduce(SliceTable.__add__, part) for part in parts]


def _count_along_axes(
    axes: Sequence[int], predicted: Array, truth: Array, *places: Array
) -> list[tuple[SliceTable, ...]]:
    if 0 in predicted.shape:
        return [(NOTHING,)] * len(axes)
    starts = (int(where[(0,) * where.ndim]) for where in places)
    return [tuple(_count_along(predicted, truth, axis, start)) for axis, start in zip(axes, starts, strict=True)]


def _gathered_by_axis(
    done: list[tuple[SliceTable, ...]], new: list[tuple[SliceTable, ...]]
) -> list[tuple[SliceTable, ...]]:
    return [gathered(a, b) for a, b in zip(done, new, strict=True)]


def _count_along(predicted: Array, truth: Array, axis: int, start: int) -> list[SliceTable]:
    """Count the pairs of every slice of a block, whose first slice is `start`.

    A slice and a label that is predicted in it make one number, so that all slices are counted in one sweep.
    """
    n = predicted.shape[axis]
    low, high = span_of("predicted", predicted)
    xp = array_namespace(predicted)
    if (high - low + 1) * n > MAX_LABEL:  # such numbers would not fit
        thin = ([slice(None)] * axis + [slice(i, i + 1), ...] for i in range(n))
        cuts = ((predicted[tuple(cut)], truth[tuple(cut)]) for cut in thin)
        return [_placed(t, 1, start + i, 0) for i, pair in enumerate(cuts) for t in count_block(*pair)]
    along = tuple(-1 if a == axis else 1 for a in range(predicted.ndim))
    here = xp.reshape(from_numpy(np.arange(n), like=predicted), along)
    return [_placed(t, n, start, low) for t in count_block((int64(predicted) - low) * n + here, truth)]


def _placed(table: Contingency, n: int, start: int, low: int) -> SliceTable:
    """Take numbers that stand for a slice and a label apart again."""
    return SliceTable.of_rows(table.predicted % n + start, table.predicted // n + low, table.truth, table.counts)


NOTHING = SliceTable(*[np.zeros(0, np.int64)] * 4)
"""The table of no voxels."""


# Scoring ---------------------------------------------------------------------------------------------


def _sliced(table: SliceTable, matching: Matching, whole: Evaluation, n_slices: int, axis: int) -> SliceEvaluation:
    """Add up the counts of every class in every slice."""
    kept = np.ones(len(table), bool) if whole.ignore is None else table.truth != whole.ignore
    at, counts = table.slices[kept], table.counts[kept]
    pairs = Contingency(table.predicted[kept], table.truth[kept], counts)
    predicted, truth = matching.relabelled(pairs)
    right = predicted == truth
    n_voxels = np.zeros(n_slices, np.int64)
    np.add.at(n_voxels, at, counts)
    sums = partial(_sums, whole.classes, n_slices)
    tp = sums(at[right], truth[right], counts[right])
    fp, fn = sums(at, predicted, counts) - tp, sums(at, truth, counts) - tp
    tn = n_voxels[:, None] - tp - fp - fn
    tp, fp, fn, tn, n_voxels = map(frozen, (tp, fp, fn, tn, n_voxels))
    return SliceEvaluation(axis, whole.classes, tp, fp, fn, tn, n_voxels, whole)


def _sums(classes: Counts, n_slices: int, slices: Counts, labels: Counts, counts: Counts) -> Counts:
    """Return how many voxels each class has in each slice."""
    sums = np.zeros((n_slices, len(classes)), np.int64)
    at = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
    listed = classes[at] == labels
    np.add.at(sums, (slices[listed], at[listed]), counts[listed])
    return sums
