"""Connected components of host arrays by runs of voxels, in compiled loops that let other threads work meanwhile."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._compiled import compiled

__all__ = ["label_runs", "measure_labels", "renumber"]


def label_runs(
    inside: NDArray[np.bool_], connectivity: int
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Give numbers to the components of a mask, by their first voxel in scan order.

    Parameters
    ----------
    inside : bool array of one to three axes
        Where objects are.
    connectivity : int
        How many axes a step between two voxels of one component may cross.

    Returns
    -------
    labels : int32 array
        From 1 on; 0 is background.
    first : int64 array of shape (n + 1,)
        Linear index of the first voxel of every label; -1 for the background.
    size : int64 array of shape (n + 1,)
        Voxels of every label.

    Notes
    -----
    Exact. Memory: 4 bytes per voxel for the result, and 12 bytes for every run of voxels along the last axis. Faster
    than SciPy's, which lets no other thread of Python work meanwhile.
    """
    lines = np.ascontiguousarray(inside).reshape((1,) * (3 - inside.ndim) + inside.shape)
    first = np.zeros(lines.shape[0] * lines.shape[1] + 1, np.int64)
    _count_runs(lines, first)
    np.cumsum(first, out=first)
    ends = np.empty((int(first[-1]), 2), np.int32)
    _find_runs(lines, first, ends)
    parent: NDArray[Any] = np.arange(len(ends), dtype=np.int32 if len(ends) < 2**31 else np.int64)
    _join_runs(lines.shape[0], lines.shape[1], first, ends, parent, connectivity)
    n = int(_count_roots(parent))
    found, size = np.full(n + 1, -1, np.int64), np.zeros(n + 1, np.int64)
    labels = np.zeros(lines.shape, np.int32)
    _paint_runs(first, ends, parent, labels.reshape(-1, lines.shape[2]), found, size)
    size[0] = inside.size - size.sum()
    return labels.reshape(inside.shape), found, size


@compiled
def _count_roots(parent: NDArray[np.int32]) -> int:
    n = 0
    for run in range(parent.size):
        n += parent[run] == run
    return n


@compiled
def _count_runs(lines: NDArray[np.bool_], first: NDArray[np.int64]) -> None:
    """Write the number of runs of every line behind it."""
    for z in range(lines.shape[0]):
        for y in range(lines.shape[1]):
            n, before = 0, False
            for x in range(lines.shape[2]):
                here = lines[z, y, x]
                n += here and not before
                before = here
            first[z * lines.shape[1] + y + 1] = n


@compiled
def _find_runs(lines: NDArray[np.bool_], first: NDArray[np.int64], ends: NDArray[np.int32]) -> None:
    """Write where every run starts and stops."""
    for z in range(lines.shape[0]):
        for y in range(lines.shape[1]):
            at, before = first[z * lines.shape[1] + y], False
            for x in range(lines.shape[2]):
                here = lines[z, y, x]
                if here and not before:
                    ends[at, 0] = x
                elif before and not here:
                    ends[at, 1] = x
                    at += 1
                before = here
            if before:
                ends[at, 1] = lines.shape[2]


@compiled
def _root(parent: NDArray[np.int32], run: int) -> int:
    """Return the first run of a component, and shorten the way to it."""
    while parent[run] != run:
        parent[run] = parent[parent[run]]
        run = parent[run]
    return run


@compiled
def _join_lines(
    one: int, two: int, reach: int, first: NDArray[np.int64], ends: NDArray[np.int32], parent: NDArray[np.int32]
) -> None:
    """Join the runs of two lines that touch, or would if they were as much longer as `reach`."""
    a, b = first[one], first[two]
    while a < first[one + 1] and b < first[two + 1]:
        if ends[a, 0] < ends[b, 1] + reach and ends[b, 0] < ends[a, 1] + reach:
            i, j = _root(parent, a), _root(parent, b)
            if i < j:
                parent[j] = i
            else:
                parent[i] = j
        if ends[a, 1] < ends[b, 1]:
            a += 1
        else:
            b += 1


@compiled
def _join_runs(
    n_planes: int,
    n_lines: int,
    first: NDArray[np.int64],
    ends: NDArray[np.int32],
    parent: NDArray[np.int32],
    connectivity: int,
) -> None:
    """Join every line with the lines before it that it touches."""
    for z in range(n_planes):
        for y in range(n_lines):
            here = z * n_lines + y
            if y > 0:
                _join_lines(here, here - 1, int(connectivity > 1), first, ends, parent)
            if z > 0:
                _join_lines(here, here - n_lines, int(connectivity > 1), first, ends, parent)
                if connectivity > 1 and y > 0:
                    _join_lines(here, here - n_lines - 1, int(connectivity > 2), first, ends, parent)
                if connectivity > 1 and y < n_lines - 1:
                    _join_lines(here, here - n_lines + 1, int(connectivity > 2), first, ends, parent)


@compiled
def _paint_runs(
    first: NDArray[np.int64],
    ends: NDArray[np.int32],
    parent: NDArray[np.int32],
    labels: NDArray[np.int32],
    found: NDArray[np.int64],
    size: NDArray[np.int64],
) -> None:
    """Give numbers to components in the order of their first runs, measure and paint them; parents become numbers."""
    n = 0
    for line in range(labels.shape[0]):
        for run in range(first[line], first[line + 1]):
            if parent[run] == run:
                parent[run] = n
                n += 1
                found[n] = line * labels.shape[1] + ends[run, 0]
            else:
                parent[run] = parent[parent[run]]  # roots come first, and those before have their number by now
            size[parent[run] + 1] += ends[run, 1] - ends[run, 0]
            for x in range(ends[run, 0], ends[run, 1]):
                labels[line, x] = parent[run] + 1


@compiled
def measure_labels(labels: NDArray[np.int32], first: NDArray[np.int64], size: NDArray[np.int64]) -> None:
    """Count the voxels of every label, and find its first one in scan order.

    Parameters
    ----------
    labels : int32 array of one axis
        All voxels.
    first : int64 array of shape (n + 1,)
        Filled in where it is negative.
    size : int64 array of shape (n + 1,)
        What is there already is counted in.
    """
    for i in range(labels.size):
        label = labels[i]
        size[label] += 1
        if first[label] < 0:
            first[label] = i


@compiled
def renumber(labels: NDArray[np.int32], table: NDArray[np.int32]) -> None:
    """Put the entry of a table in the place of every label.

    Parameters
    ----------
    labels : int32 array of one axis
        Changed.
    table : int32 array of shape (n + 1,)
        What becomes of each label.
    """
    for i in range(labels.size):
        labels[i] = table[labels[i]]
