"""What the rows of boundary scores are about, and how each is read and measured in its box alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, dtype_name, from_numpy, is_lazy
from .._monitor import quiet, stage, tick
from .._plan import Slices, each
from ._box_reads import Part, groups_of_boxes, most_voxels, read_part
from ._boxes import Boxes
from ._contingency import Contingency, Counts, int64
from ._matching import Match, Matching, matched
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
    prevalence : float64 array of shape (n,)
        The share of the annotated voxels that truth gives to each class; NaN for objects.
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
    prevalence: NDArray[np.float64]
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
    return Rows(
        classes, classes, np.full(len(classes), np.nan), _prevalence(table, matching, classes), ours, theirs, reason
    )


def _prevalence(table: Contingency, matching: Matching, classes: Counts) -> NDArray[np.float64]:
    """Return the share of the voxels of a table that truth gives to each class but the background."""
    sizes, (_, truth) = np.zeros(len(classes), np.int64), matching.relabelled(table)
    listed = truth != 0
    np.add.at(sizes, np.searchsorted(classes, truth[listed]), table.counts[listed])
    return sizes / table.n_voxels


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
        np.full(len(pairs), np.nan),
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
    starts, stops, frames = _framed(*rows.boxes(pair), tuple(pair.truth.shape))

    def measure(row: int, part: Part) -> Comparison:
        with quiet():
            return _compared_row(rows.labels_of(row), frames[row], part, ignore, ruler)

    stage("measuring boundaries")
    whole = Part(pair.predicted, pair.truth, (0,) * pair.truth.ndim)
    if not is_lazy(pair.predicted):
        return list(_measured(range(len(rows)), partial(measure, part=whole), pair.predicted, together))
    found: dict[int, Comparison] = {}
    most = most_voxels(pair.predicted, pair.truth)
    for group in groups_of_boxes(starts, stops, pair.predicted, pair.truth, most):
        tick(len(found), len(rows))
        low, high = starts[group], stops[group]
        with quiet():
            fits = (high.max(axis=0) - low.min(axis=0)).prod() <= most
            part = read_part(low, high, pair.predicted, pair.truth) if fits else whole
            numbers = group.tolist()
            measured = _measured(numbers, partial(measure, part=part), part.predicted, together)
            found |= zip(numbers, measured, strict=True)
    return [found[row] for row in range(len(rows))]


def _measured(
    numbers: Sequence[int], measure: Callable[[int], Comparison], like: Array, together: bool
) -> Iterator[Comparison]:
    """Yield what is measured of each row: on all processors if `together`, else one by one."""
    if together and numbers:
        regions: list[Slices] = [(slice(row, row + 1),) for row in numbers]
        yield from each(lambda region: measure(region[0].start), regions, like)
        return
    for done, row in enumerate(numbers):
        tick(done, len(numbers))
        yield measure(row)


class Frame(NamedTuple):
    """A box and a voxel around it, which tells what the object borders on: what is read of it, and what is beyond."""

    box: Slices
    pads: list[tuple[int, int]]


def _framed(low: Counts, high: Counts, shape: tuple[int, ...]) -> tuple[Counts, Counts, list[Frame]]:
    """Return where the frame of each box starts and stops inside the image, and the frames."""
    margins = [int(n > 1) for n in shape]  # nothing lies beyond an axis of one voxel
    low, high = low - margins, high + margins + 1
    starts, stops = np.maximum(low, 0), np.minimum(high, shape)
    rows = zip(starts.tolist(), stops.tolist(), (starts - low).tolist(), (high - stops).tolist(), strict=True)
    frames = [
        Frame(tuple(map(slice, start, stop)), list(zip(before, after, strict=True)))
        for start, stop, before, after in rows
    ]
    return starts, stops, frames


def _compared_row(
    labels: tuple[Counts | None, Counts | None], frame: Frame, part: Part, ignore: int | None, ruler: Ruler
) -> Comparison:
    """Compare what two sets of labels fill in their frame."""
    box, pads = part.box(frame.box), frame.pads
    ours, theirs = (
        padded(_read(array, box, partial(_is_one_of, labels=wanted)), pads, fill=False)
        for array, wanted in zip((part.predicted, part.truth), labels, strict=True)
    )
    if ignore is None:
        return compared(ours, theirs, None, ruler)
    known = padded(_read(part.truth, box, partial(_is_annotated, ignore=ignore)), pads, fill=True)
    return compared(ours, theirs, known, ruler)


def _read(array: Array, box: Slices, test: Callable[[Array], Array]) -> Array:
    """Return what a test says of the voxels of a box, in memory; of a large box of a dask array nothing else is."""
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
