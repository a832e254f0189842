"""A coarser copy of an image and its strokes, and what was found there back on the fine voxels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..processing.filters import edges as edges_of

__all__ = ["block_means", "block_shape", "coarse_strokes", "interpolated"]


def block_shape(shape: Sequence[int], spacing: Sequence[float] | None, most: int) -> tuple[int, ...]:
    """Return the shape of blocks, powers of two, of which an image has at most `most`.

    The finest axis is halved first, so that blocks become as long as they are wide.

    Parameters
    ----------
    shape : sequence of int
        Shape of the image.
    spacing : sequence of float or None
        World length of a voxel along each axis.
    most : int
        Blocks at most; there are more only if no axis can be halved.
    """
    lengths = [float(edge) for edge in edges_of(spacing, len(shape))]
    blocks = [1] * len(shape)
    while math.prod(_n_blocks(shape, blocks)) > most:
        long = [axis for axis, n in enumerate(shape) if n > blocks[axis]]
        if not long:
            break
        axis = min(long, key=lambda k: (lengths[k] * blocks[k], -shape[k]))
        blocks[axis] *= 2
    return tuple(blocks)


def _n_blocks(shape: Sequence[int], blocks: Sequence[int]) -> list[int]:
    return [-(-n // b) for n, b in zip(shape, blocks, strict=True)]


def block_sums(values: NDArray[Any], blocks: Sequence[int], dtype: str) -> NDArray[Any]:
    """Return the sum over each block; those at the end may be cut off."""
    for axis, block in enumerate(blocks):
        if block > 1:
            values = np.add.reduceat(values, range(0, values.shape[axis], block), axis=axis, dtype=dtype)
    return values.astype(dtype, copy=False)


def block_means(
    values: NDArray[Any], inside: NDArray[np.bool_] | None, blocks: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the mean of what is inside of each block, 0 where nothing is, and whether something is."""
    if inside is None:
        sums = block_sums(values, blocks, "float64")
        size = block_sums(np.ones(values.shape, np.uint8), blocks, "int64")
    else:
        sums = block_sums(np.where(inside, values, 0), blocks, "float64")
        size = block_sums(inside, blocks, "int64")
    return sums / np.maximum(size, 1), size > 0


def coarse_strokes(markers: NDArray[Any], blocks: Sequence[int]) -> NDArray[np.int32]:
    """Return the label that most marked voxels of each block have, the smallest of several.

    A label that would have no block gets one from a label that has several, if they share one.
    """
    coarse_shape = _n_blocks(markers.shape, blocks)
    at = np.nonzero(markers > 0)
    coarse = np.zeros(coarse_shape, np.int32)
    if not len(at[0]):
        return coarse
    labels = markers[at]
    place = np.ravel_multi_index([a // b for a, b in zip(at, blocks, strict=True)], coarse_shape)
    order = np.lexsort((labels, place))
    place, labels = place[order], labels[order]
    begins = np.flatnonzero(np.r_[True, (place[1:] != place[:-1]) | (labels[1:] != labels[:-1])])
    counts = np.diff(np.r_[begins, len(place)])
    place, labels = place[begins], labels[begins]
    rank = np.lexsort((-labels, counts, place))  # the last of a place counts
    flat = coarse.reshape(-1)
    flat[place[rank]] = labels[rank]
    _restore_lost(flat, place, labels)
    return coarse


def _restore_lost(blocks: NDArray[np.int32], place: NDArray[np.intp], labels: NDArray[Any]) -> None:
    """Give labels that have no block the first of theirs whose label has others, too."""
    held, counts = np.unique(blocks[np.unique(place)], return_counts=True)
    others = dict(zip(held.tolist(), counts.tolist(), strict=True))
    for label in np.setdiff1d(labels, held).tolist():
        for at in place[labels == label].tolist():
            holder = int(blocks[at])
            if others[holder] > 1:
                others[holder] -= 1
                blocks[at] = label
                others[label] = 1
                break


def interpolated(coarse: NDArray[np.float32], blocks: Sequence[int], region: Sequence[slice]) -> NDArray[np.float32]:
    """Return values between the middles of blocks, linear along each axis, at the voxels of a region."""
    values = coarse
    for axis, (block, part) in enumerate(zip(blocks, region, strict=True)):
        if block == 1:
            values = np.take(values, range(part.start, part.stop), axis=axis)
            continue
        at = (np.arange(part.start, part.stop) + 0.5) / block - 0.5
        low = np.clip(np.floor(at).astype(int), 0, coarse.shape[axis] - 1)
        high = np.minimum(low + 1, coarse.shape[axis] - 1)
        share = np.clip(at - low, 0, 1).astype(np.float32).reshape([-1 if k == axis else 1 for k in range(coarse.ndim)])
        below = np.take(values, low, axis=axis)
        values = below + share * (np.take(values, high, axis=axis) - below)
    return values
