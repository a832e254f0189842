"""Where the objects of two label arrays lie: found in the pass that counts how often their labels meet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial, reduce

import numpy as np

from .._array import Array, array_namespace, is_lazy
from ..processing import _label_sums
from ..processing._label_sums import LabelSums, block_sums, merged
from ._contingency import Contingency, Counts, count_block, gathered, int64, sum_blocks

__all__ = ["Boxes", "surveyed"]

Tables = tuple[tuple[Contingency, ...], tuple[LabelSums, ...], tuple[LabelSums, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """The smallest box around each label; 0 has that of the whole array.

    Parameters
    ----------
    labels : int64 array of shape (n,)
        Rising; the first is 0.
    low, high : int64 arrays of shape (n, d)
        The smallest and the largest index of each along each axis.
    """

    labels: Counts
    low: Counts
    high: Counts


def surveyed(predicted: Array, truth: Array, ignore: int | None) -> tuple[Contingency, Boxes, Boxes]:
    """Count label pairs and find the boxes of the labels, in one pass over arrays that `check_pair` has seen.

    Parameters
    ----------
    predicted, truth : arrays of int or bool, of one shape
        Labels.
    ignore : int or None
        The label of `truth` that means *not annotated*: boxes are those of the annotated part of a label.

    Returns
    -------
    tuple of Contingency, Boxes and Boxes
        All pairs, those with `ignore` too; the boxes of `predicted`, and those of `truth`.

    Notes
    -----
    Where a label is negative its block has no boxes: `checked` refuses such pairs.
    """
    places = [positions(predicted, axis) for axis in range(predicted.ndim)]
    shape = tuple(predicted.shape)
    found: Tables = sum_blocks(partial(_survey, shape, ignore), _combined, predicted, truth, *places)
    tables, ours, theirs = found
    return reduce(Contingency.__add__, tables), _boxes(ours, shape), _boxes(theirs, shape)


def positions(like: Array, axis: int) -> Array:
    """Return the index of each voxel along an axis, as an array without memory that tells a block where it lies."""
    along = tuple(-1 if a == axis else 1 for a in range(like.ndim))
    if not is_lazy(like):
        return np.broadcast_to(np.arange(like.shape[axis]).reshape(along), tuple(like.shape))
    import dask.array as da

    line = da.arange(like.shape[axis], chunks=(like.chunks[axis],)).reshape(along)
    return da.broadcast_to(line, like.shape, chunks=like.chunks)


def _survey(shape: tuple[int, ...], ignore: int | None, predicted: Array, truth: Array, *places: Array) -> Tables:
    tables = count_block(predicted, truth)
    if 0 in predicted.shape:
        return tables, (), ()
    kept = [table.without(ignore) for table in tables]
    if any((table.predicted < 0).any() or (table.truth < 0).any() for table in kept):
        return tables, (), ()  # `checked` refuses the whole, and says why
    origin = [int(place[(0,) * place.ndim]) for place in places]
    if any(table.n_ignored for table in kept):
        known = int64(truth) != ignore
        predicted, truth = (_where(known, labels) for labels in (predicted, truth))
    extent = (math.prod(shape), max(shape))
    ours, theirs = (block_sums(labels, (), origin, *extent, frames=False) for labels in (predicted, truth))
    return tables, ours, theirs


def _where(known: Array, labels: Array) -> Array:
    """Return the labels of the voxels that are annotated, and 0 elsewhere."""
    xp = array_namespace(labels)
    return xp.where(known, labels, xp.zeros_like(labels))


def _combined(done: Tables, new: Tables) -> Tables:
    return (
        gathered(done[0], new[0]),
        _label_sums.gathered(done[1], new[1]),
        _label_sums.gathered(done[2], new[2]),
    )


def _boxes(parts: tuple[LabelSums, ...], shape: tuple[int, ...]) -> Boxes:
    """Return the boxes of all blocks' labels, with the background in front."""
    origin, end = np.zeros((1, len(shape)), np.int64), np.asarray([shape], np.int64) - 1
    if not parts:
        return Boxes(np.zeros(1, np.int64), origin, end)
    found = merged(parts)
    return Boxes(
        np.append(np.int64(0), found.label), np.concatenate([origin, found.low]), np.concatenate([end, found.high])
    )
