"""The sweeps of the exact distance transform, compiled for host arrays.

Arrays are C-contiguous with axes (outer, along, inner): lines run along the middle axis. Labels are unsigned, since
only whether two are equal counts; squared distances are int32 or int64, and `far` stands where nothing was found
yet. Sums are int64 throughout and the division floors, so nothing is rounded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._compiled import compiled

Counts = NDArray[np.int64]

TILE = 16
"""Lines that are copied together: as many int32 as a cache line holds, so that no line of the cache is read twice."""


@compiled
def nearest_in_rows(labels: NDArray[Any], squared: NDArray[Any], square: int, far: int, first: int, last: int) -> None:
    """Write the squared distance to the nearest voxel of another label in the same row, for rows `first` to `last`."""
    n = labels.shape[1]
    for row in range(first, last):
        start = 0
        while start < n:
            label = labels[row, start, 0]
            end = start + 1
            while end < n and labels[row, end, 0] == label:
                end += 1
            if label == 0 or end - start == n:
                squared[row, start:end, 0] = 0 if label == 0 else far
            else:
                left = start - 1 if start > 0 else -n  # too far to be the nearer of the two
                right = end if end < n else 2 * n
                for x in range(start, end):
                    steps = min(x - left, right - x)
                    squared[row, x, 0] = square * steps * steps
            start = end


@compiled
def lower_envelopes(
    labels: NDArray[Any], squared: NDArray[Any], square: int, far: int, outer: tuple[int, int], inner: tuple[int, int]
) -> None:
    """Let squared distances spread along the lines in these ranges, inside runs of equal labels."""
    n = labels.shape[1]
    heights = np.empty((TILE, n), squared.dtype)
    names = np.empty((TILE, n), labels.dtype)
    parabolas = np.empty((3, n + 1), np.int64)
    for o in range(outer[0], outer[1]):
        for i in range(inner[0], inner[1], TILE):
            width = min(TILE, inner[1] - i)
            for at in range(n):
                for t in range(width):
                    heights[t, at] = squared[o, at, i + t]
                    names[t, at] = labels[o, at, i + t]
            for t in range(width):
                _spread_in_line(names[t], heights[t], square, far, parabolas)
            for at in range(n):
                for t in range(width):
                    squared[o, at, i + t] = heights[t, at]


@compiled
def _spread_in_line(labels: NDArray[Any], heights: NDArray[Any], square: int, far: int, parabolas: Counts) -> None:
    n = labels.size
    start = 0
    while start < n:
        label = labels[start]
        end = start + 1
        while end < n and labels[end] == label:
            end += 1
        if label != 0:
            top = _lower_envelope(heights, start, end, square, far, parabolas)
            _read_off(heights, end, square, top, parabolas)
        start = end


@compiled
def _lower_envelope(heights: NDArray[Any], start: int, end: int, square: int, far: int, parabolas: Counts) -> int:
    """Stack the parabolas that are lowest somewhere in a run, and return the number of the last one; -1 for none.

    Row 0 holds the voxel under each, row 1 where it begins to be lowest, row 2 its height. The voxels of other
    labels that bound the run are parabolas of height 0: whatever lies beyond them is farther than they are.
    """
    site, begin, height = parabolas[0], parabolas[1], parabolas[2]
    top = -1
    if start > 0:
        top = 0
        site[0], begin[0], height[0] = start - 1, start, 0
    for at in range(start, min(end + 1, heights.size)):
        new = np.int64(heights[at]) if at < end else 0
        if new == far:
            continue
        while (
            top >= 0 and height[top] + square * (begin[top] - site[top]) ** 2 >= new + square * (at - begin[top]) ** 2
        ):
            top -= 1
        begins = start
        if top >= 0:  # the old one is the lower at its begin, so the numerator is not negative
            rise = new - height[top] + square * (at + site[top]) * (at - site[top])
            begins = rise // (2 * square * (at - site[top])) + 1
        if begins < end:
            top += 1
            site[top], begin[top], height[top] = at, begins, new
    return top


@compiled
def _read_off(heights: NDArray[Any], end: int, square: int, top: int, parabolas: Counts) -> None:
    """Write the lowest parabola over every voxel of the run that ends at `end`."""
    while top >= 0:
        site, begin, height = parabolas[0, top], parabolas[1, top], parabolas[2, top]
        for at in range(begin, end):
            heights[at] = height + square * (at - site) ** 2
        end = begin
        top -= 1
