"""Which boxes of chunked arrays are read together, so that a chunk is not read again for every object in it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._array import Array
from .._plan import Slices
from ._contingency import Counts

__all__ = ["Part", "groups_of_boxes", "most_voxels", "read_part"]

MOST_VOXELS = 1 << 24
"""Voxels of each array that are held in memory to serve boxes from them, unless a few chunks are more."""

MOST_CHUNKS = 8
"""Chunks of each array that are held, however large they are; dask holds as many while it computes."""

Rows = NDArray[np.intp]


class Part(NamedTuple):
    """A box of the arrays that are compared, and the index at which it begins."""

    predicted: Array
    truth: Array
    start: tuple[int, ...]

    def box(self, box: Slices) -> Slices:
        """Return where a box of the whole arrays lies in this part."""
        return tuple(slice(at.start - start, at.stop - start) for at, start in zip(box, self.start, strict=True))


def most_voxels(predicted: Array, truth: Array) -> int:
    """Return how many voxels of each of two dask arrays are held in memory at most."""
    chunks: list[int] = [math.prod(map(max, array.chunks)) for array in (predicted, truth)]
    return max(MOST_VOXELS, MOST_CHUNKS * max(chunks))


def groups_of_boxes(low: Counts, high: Counts, predicted: Array, truth: Array, most: int) -> Iterator[Rows]:
    """Yield boxes by number, in groups that are read together.

    Parameters
    ----------
    low, high : int64 arrays of shape (n, d)
        Where each box starts, and where it stops.
    predicted, truth : dask arrays of one shape
        What is read.
    most : int
        Voxels that the box around a group holds at most, unless the group is one box.

    Yields
    ------
    intp array
        The boxes of a group; each box is in one. To read the box around a group takes no more chunks than to read its
        boxes one by one.
    """
    alone = _touched(predicted, low, high) + _touched(truth, low, high)
    is_large = (high - low).prod(axis=1) > most
    waiting = [rows for rows in (*np.flatnonzero(is_large)[:, None], np.flatnonzero(~is_large)) if len(rows)]
    while waiting:
        rows = waiting.pop()
        first, last = low[rows].min(axis=0, keepdims=True), high[rows].max(axis=0, keepdims=True)
        together = int(_touched(predicted, first, last)[0] + _touched(truth, first, last)[0])
        if len(rows) == 1 or ((last - first).prod() <= most and together <= alone[rows].sum()):
            yield rows
            continue
        axis = int((last - first).argmax())
        rows = rows[np.argsort(low[rows, axis], kind="stable")]
        waiting += [rows[len(rows) // 2 :], rows[: len(rows) // 2]]


def read_part(low: Counts, high: Counts, predicted: Array, truth: Array) -> Part:
    """Read the box around some boxes, both arrays in one computation."""
    import dask

    start, stop = low.min(axis=0).tolist(), high.max(axis=0).tolist()
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    found, there = dask.compute(predicted[box], truth[box])
    return Part(found, there, tuple(start))


def _touched(array: Array, low: Counts, high: Counts) -> Counts:
    """Return how many chunks of a dask array each box lies in."""
    n = np.ones(len(low), np.int64)
    for axis, sizes in enumerate(array.chunks):
        ends = np.cumsum(sizes)
        n *= np.searchsorted(ends, high[:, axis] - 1, "right") - np.searchsorted(ends, low[:, axis], "right") + 1
    return n
