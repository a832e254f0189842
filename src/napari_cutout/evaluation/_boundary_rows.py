"""What the rows of boundary scores are about, and how each is read and measured in its box alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, dtype_name, from_numpy, is_lazy
from .._monitor import quiet, stage, tick
from .._plan import Slices, each
from ._boxes import Boxes
from ._contingency import Contingency, Counts, int64
from ._matching import Match, matched
from ._pairing import matched_pairs
from ._surfaces import Comparison, Ruler, compared, padded
from .objects import objects_of

__all__ = ["Pair", "Rows", "class_rows", "compared_rows", "object_rows"]


class Pair(NamedTuple):
    """The arrays that are compared, and the boxes of their labels."""

    predicted: Array
    truth: Array
    predicted_boxes: Boxes
    true_boxes: Boxes


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """Which labels of one array belong to which row.

    Parameters
    ----------
    labels : int64 array of shape (k,)
        Labels that belong to a row; those of one row rise.
    rows : intp array of shape (k,)
        The row of each, rising.
    n_objects : int
        How many labels besides 0 the array holds.
    """

    labels: Counts
    rows: NDArray[np.intp]
    n_objects: int

    def of_row(self, row: int) -> Counts | None:
        """Return the labels of a row; None if they are all but the background."""
        labels = self.labels[slice(*np.searchsorted(self.rows, [row, row + 1]))]
        return None if len(labels) == self.n_objects > 1 and labels[0] != 0 else labels

    def boxes(self, boxes: Boxes, n: int) -> tuple[Counts, Counts]:
        """Return the smallest box around the labels of each of n rows; where there is none, low is above high."""
        ndim = boxes.low.shape[1]
        at = np.searchsorted(boxes.labels, self.labels)
        low, high = np.full((n, ndim), np.iinfo(np.int64).max), np.full((n, ndim), -1)
        np.minimum.at(low, self.rows, boxes.low[at])
        np.maximum.at(high, self.rows, boxes.high[at])
        return low, high


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What is compared.

    Parameters
    ----------
    predicted, truth : int64 arrays of shape (n,)
        The labels that name each row; the same on both sides for classes.
    iou : float64 array of shape (n,)
        The IoU of matched objects; NaN for classes.
    ours, theirs : Side
        The labels of `predicted` and of `truth` that belong to each row.
    reason : str
        How labels came to rows, in a sentence without a full stop.
    n_left_over_predicted, n_left_over_true : int
        Objects that are in no row, as `evaluate_objects` counts them.
    """

    predicted: Counts
    truth: Counts
    iou: NDArray[np.float64]
    ours: Side
    theirs: Side
    reason: str
    n_left_over_predicted: int = 0
    n_left_over_true: int = 0

    def __len__(self) -> int:
        return len(self.truth)

    def labels_of(self, row: int) -> tuple[Counts | None, Counts | None]:
        """Return the labels of a row on both sides; None stands for all but the background."""
        return self.ours.of_row(row), self.theirs.of_row(row)

    def boxes(self, pair: Pair) -> tuple[Counts, Counts]:
        """Return the smallest and the largest index of each row along each axis, two arrays of shape (n, d)."""
        ours, theirs = self.ours.boxes(pair.predicted_boxes, len(self)), self.theirs.boxes(pair.true_boxes, len(self))
        return np.minimum(ours[0], theirs[0]), np.maximum(ours[1], theirs[1])


def class_rows(table: Contingency, match: Match, ignore: int | None) -> Rows:
    """Make a row of each class but the background that occurs on either side, matched as `evaluate` does."""
    matching = matched(table, match, ignore)
    true_labels = np.unique(table.truth)
    true_classes = (true_labels != 0).astype(np.int64) if matching.match == "binary" else true_labels
    classes = np.setdiff1d(np.union1d(matching.classes, true_classes), [0])
    ours, theirs = _side(matching.labels, matching.classes, classes), _side(true_labels, true_classes, classes)
    reason = f"a row is a class; labels matched by {matching.match}: {matching.reason}"
    return Rows(classes, classes, np.full(len(classes), np.nan), ours, theirs, reason)


def _side(labels: Counts, classes: Counts, rows: Counts) -> Side:
    """Return the labels whose class has a row, by rising row."""
    kept = np.flatnonzero(np.isin(classes, rows))
    at = np.searchsorted(rows, classes[kept])
    order = np.argsort(at, kind="stable")
    return Side(labels[kept][order], at[order], int(np.count_nonzero(labels)))


def object_rows(table: Contingency, threshold: float, ignore: int | None) -> Rows:
    """Make a row of each two objects that `evaluate_objects` matches at an IoU, by rising label of truth."""
    scores = objects_of(table, ignore, (threshold,))
    found = scores.overlaps
    pairs = matched_pairs(found, threshold)
    pairs = pairs[np.argsort(found.columns[pairs])]
    predicted, truth = found.predicted[found.rows[pairs]], found.truth[found.columns[pairs]]
    rows = np.arange(len(pairs))
    return Rows(
        predicted,
        truth,
        found.iou[pairs],
        Side(predicted, rows, len(found.predicted)),
        Side(truth, rows, len(found.truth)),
        f"a row is a predicted and a true object that were matched, at an IoU of {threshold:g} or more",
        int(scores.fp[0]),
        int(scores.fn[0]),
    )


def compared_rows(rows: Rows, pair: Pair, ignore: int | None, ruler: Ruler, *, together: bool) -> list[Comparison]:
    """Measure each row in its box.

    Parameters
    ----------
    rows : Rows
        What is compared.
    pair : Pair
        The arrays and the boxes of their labels.
    ignore : int or None
        The label of truth that means *not annotated*; None if it does not occur.
    ruler : Ruler
        How lengths are measured.
    together : bool
        Whether boxes are small, so that each processor measures one.

    Returns
    -------
    list of Comparison
        One for each row.
    """
    boxes = rows.boxes(pair)

    def measure(row: int) -> Comparison:
        with quiet():
            return _compared_row(rows.labels_of(row), pair, [ends[row] for ends in boxes], ignore, ruler)

    stage("measuring boundaries")
    if together:
        regions: list[Slices] = [(slice(row, row + 1),) for row in range(len(rows))]
        return list(each(lambda region: measure(region[0].start), regions, pair.predicted)) if regions else []
    found = []
    for row in range(len(rows)):
        tick(row, len(rows))
        found.append(measure(row))
    return found


def _compared_row(
    labels: tuple[Counts | None, Counts | None], pair: Pair, ends: Sequence[Counts], ignore: int | None, ruler: Ruler
) -> Comparison:
    """Read a box and a voxel around it, which tells what the object borders on, and compare in it."""
    low, high = ends
    shape = pair.truth.shape
    margins = [int(n > 1) for n in shape]  # nothing lies beyond an axis of one voxel
    starts, stops = [(low - margins).tolist(), (high + margins + 1).tolist()]
    box = tuple(slice(max(a, 0), min(b, n)) for a, b, n in zip(starts, stops, shape, strict=True))
    pads = [(max(-a, 0), max(b - n, 0)) for a, b, n in zip(starts, stops, shape, strict=True)]
    ours, theirs = (
        padded(_read(array, box, partial(_is_one_of, labels=wanted)), pads, fill=False)
        for array, wanted in zip((pair.predicted, pair.truth), labels, strict=True)
    )
    if ignore is None:
        return compared(ours, theirs, None, ruler)
    known = padded(_read(pair.truth, box, partial(_is_annotated, ignore=ignore)), pads, fill=True)
    return compared(ours, theirs, known, ruler)


def _read(array: Array, box: Slices, test: Callable[[Array], Array]) -> Array:
    """Return what a test says of the voxels of a box, in memory; of a dask array its labels never are as a whole."""
    cut = array[box]
    return cut.map_blocks(test, dtype=bool).compute() if is_lazy(cut) else test(cut)


def _is_one_of(array: Array, *, labels: Counts | None) -> Array:
    """Tell which voxels hold one of some labels, or any but 0 if `labels` is None."""
    xp = array_namespace(array)
    if dtype_name(array) == "bool":
        array = xp.astype(array, xp.uint8)
    if labels is None or len(labels) == 1:
        return array != 0 if labels is None else array == int(labels[0])
    if not len(labels):
        return xp.zeros_like(array, dtype=xp.bool)
    flat, names = xp.reshape(int64(array), (-1,)), from_numpy(labels, like=array)
    at = xp.clip(xp.searchsorted(names, flat), None, len(labels) - 1)
    return xp.reshape(xp.take(names, at) == flat, array.shape)


def _is_annotated(truth: Array, *, ignore: int) -> Array:
    return int64(truth) != ignore
