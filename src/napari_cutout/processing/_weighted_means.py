"""Gaussians on the host: what `filters._means` does with arrays, in a loop whose rows stay in the cache."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import contiguous
from .._compiled import compiled

STRIP = 512
"""Voxels of a row that are summed up at a time: all rows that a Gaussian reaches stay in the cache."""


def weighted_means_on_host(levels: NDArray[Any], weights: Sequence[Sequence[float]]) -> NDArray[Any]:
    """Correlate with symmetric weights along every axis that they reach along; edges are mirrored.

    Parameters
    ----------
    levels : float array
        Any shape.
    weights : sequence of sequence of float
        For each axis the weight of the centre and those of one side.

    Returns
    -------
    float array of the shape and dtype of `levels`
        C-contiguous where there was anything to do.
    """
    for axis, side in enumerate(weights):
        if len(side) > 1:
            outer, n, inner = math.prod(levels.shape[:axis]), levels.shape[axis], math.prod(levels.shape[axis + 1 :])
            of, to = contiguous(levels), np.empty(levels.shape, levels.dtype)
            values = np.array(side, levels.dtype)
            if inner == 1:
                means_along_rows(of.reshape(outer, n), values, to.reshape(outer, n))
            else:
                means_across_rows(of.reshape(outer, n, inner), values, to.reshape(outer, n, inner))
            levels = to
    return levels


@compiled
def means_across_rows(levels: NDArray[np.floating], weights: NDArray[np.floating], found: NDArray[np.floating]) -> None:
    """Add up whole rows, strip by strip."""
    n_outer, n, n_inner = levels.shape
    for outer in range(n_outer):
        for start in range(0, n_inner, STRIP):
            stop = min(start + STRIP, n_inner)
            for at in range(n):
                sums = found[outer, at, start:stop]
                scale(levels[outer, at, start:stop], weights[0], sums)
                for k in range(1, weights.size):
                    before = levels[outer, mirror(at - k, n), start:stop]
                    after = levels[outer, mirror(at + k, n), start:stop]
                    add_pair(before, after, weights[k], sums)


@compiled
def means_along_rows(levels: NDArray[np.floating], weights: NDArray[np.floating], found: NDArray[np.floating]) -> None:
    """Add up shifted copies of a row, which is extended by its mirror image."""
    n_outer, n = levels.shape
    reach = weights.size - 1
    row = np.empty(n + 2 * reach, levels.dtype)
    for outer in range(n_outer):
        row[reach : reach + n] = levels[outer]
        for x in range(1, reach + 1):
            row[reach - x] = levels[outer, mirror(-x, n)]
            row[reach + n - 1 + x] = levels[outer, mirror(n - 1 + x, n)]
        for start in range(0, n, STRIP):
            stop = min(start + STRIP, n)
            sums = found[outer, start:stop]
            scale(row[reach + start : reach + stop], weights[0], sums)
            for k in range(1, reach + 1):
                before = row[reach + start - k : reach + stop - k]
                after = row[reach + start + k : reach + stop + k]
                add_pair(before, after, weights[k], sums)


@compiled
def scale(here: NDArray[np.floating], weight: np.floating, sums: NDArray[np.floating]) -> None:
    """Begin a sum with its centre."""
    for x in range(sums.size):
        sums[x] = here[x] * weight


@compiled
def add_pair(
    before: NDArray[np.floating], after: NDArray[np.floating], weight: np.floating, sums: NDArray[np.floating]
) -> None:
    """Add both neighbours at one distance."""
    for x in range(sums.size):
        sums[x] += (before[x] + after[x]) * weight


@compiled
def mirror(at: int, n: int) -> int:
    """Return the index that `at` is the mirror image of; the edge voxel is there twice."""
    at %= 2 * n
    return at if at < n else 2 * n - 1 - at
