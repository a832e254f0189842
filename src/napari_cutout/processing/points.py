"""Points as markers: a list of places is what a click gives, an array of labels is what a method takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._checks import MAX_LABEL
from .._method import Markers

__all__ = ["markers_from_points"]


def markers_from_points(
    points: ArrayLike, shape: Sequence[int], *, labels: Sequence[int] | NDArray[Any] | None = None
) -> Markers:
    """Mark the voxel under every point.

    Parameters
    ----------
    points : array of shape (n, len(shape))
        Where the points are, as indices: voxel i reaches from i - 0.5 up to i + 0.5.
    shape : tuple of int
        The shape of the image that they lie on.
    labels : int array of shape (n,), optional
        The label of each point, from 1; points of one object share theirs. By default 1 to n, in their order.

    Returns
    -------
    array of `shape`, of the smallest unsigned dtype that holds the labels
        The labels, and 0 where there is no point. Points beyond `shape` are left out; of several in one voxel the
        first is kept.

    Raises
    ------
    ValueError
        If there are no points, none lies inside, one is not one finite number per axis, or labels are not one per
        point, from 1.

    Notes
    -----
    Exact. Memory: the result, which takes a byte per voxel for up to 255 labels.

    Examples
    --------
    >>> markers_from_points([(0, 1), (1.4, 3.5)], shape=(3, 5)).tolist()
    [[0, 1, 0, 0, 0], [0, 0, 0, 0, 2], [0, 0, 0, 0, 0]]
    """
    size = tuple(int(n) for n in shape)
    at = _rows(points, size)
    numbers = _checked(labels, len(at))
    index = voxels_of(at)
    inside = lies_inside(index, size)
    if not inside.any():
        raise ValueError(f"all {len(at)} points lie outside the shape {size}; place at least one inside")
    return planted(index, numbers, size)


def planted(index: NDArray[np.int64], labels: NDArray[np.int64], shape: Sequence[int]) -> NDArray[Any]:
    """Return an array with labels at these voxels, of several in one the first; those beyond it are left out."""
    marked = np.zeros(tuple(shape), np.min_scalar_type(int(labels.max(initial=0))))
    inside = lies_inside(index, shape)
    at_voxel, first = np.unique(np.ravel_multi_index(tuple(index[inside].T), marked.shape), return_index=True)
    marked.reshape(-1)[at_voxel] = labels[inside][first]
    return marked


def voxels_of(points: NDArray[Any]) -> NDArray[np.int64]:
    """Return the indices of the voxels in which points lie, also of those beyond any image."""
    index: NDArray[np.int64] = np.floor(np.clip(points, -(2.0**52), 2.0**52) + 0.5).astype(np.int64)
    return index


def lies_inside(index: NDArray[np.int64], shape: Sequence[int]) -> NDArray[np.bool_]:
    """Tell which of these voxels an array of this shape has."""
    inside: NDArray[np.bool_] = np.all((index >= 0) & (index < np.asarray(shape, np.int64)), axis=1)
    return inside


def _rows(points: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return points as rows of one finite number per axis."""
    at = np.asarray(points, dtype=float)
    if at.ndim and not len(at):
        raise ValueError(f"there are no points to mark; give at least one, a row of {len(shape)} numbers")
    if at.ndim != 2 or at.shape[1] != len(shape):
        raise ValueError(
            f"points must be rows of {len(shape)} numbers for the shape {shape}, got an array of shape {at.shape}; "
            "give one index per axis"
        )
    if not np.isfinite(at).all():
        row = int(np.flatnonzero(~np.isfinite(at).all(axis=1))[0])
        raise ValueError(
            f"points must be finite, got {tuple(at[row].tolist())} in row {row}; correct it or leave it out"
        )
    return at


def _checked(labels: Sequence[int] | NDArray[Any] | None, n: int) -> NDArray[np.int64]:
    if labels is None:
        return np.arange(1, n + 1, dtype=np.int64)
    numbers = np.asarray(labels)
    if numbers.shape != (n,) or numbers.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be {n} integers, one per point, got {numbers.dtype} of shape {numbers.shape}; leave them "
            "out to number the points in their order"
        )
    if n and not 1 <= int(numbers.min()) <= int(numbers.max()) <= MAX_LABEL:
        wrong = int(numbers.min()) if int(numbers.min()) < 1 else int(numbers.max())
        raise ValueError(f"labels must be from 1 to {MAX_LABEL}, got {wrong}; 0 is not marked")
    return numbers.astype(np.int64)
