"""A random walk on an image, as a sparse matrix that is solved directly: slow, and right by its definition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.linalg import spsolve

EPSILON = 1e-10
"""What every edge weighs at least."""


def probabilities(
    image: np.ndarray,
    markers: np.ndarray,
    beta: float = 130.0,
    *,
    spacing: Sequence[float] | None = None,
    mask: np.ndarray | None = None,
    channels: bool = False,
) -> np.ndarray:
    """Return the probability of each label at each voxel, NaN where no path leads to a marker.

    Parameters
    ----------
    image : array
        Grey levels, with the channels first if there are any.
    markers : int array
        0 is not marked, -1 is outside.
    beta : float
        How much differences count.
    spacing : sequence of float, optional
        World length of a voxel along each axis.
    mask : bool array, optional
        Where to walk.
    channels : bool
        Whether the first axis counts channels.
    """
    values = np.asarray(image, float)
    values = values if channels else values[None]
    inside = np.ones(markers.shape, bool) if mask is None else mask
    spread = values[:, inside].std()
    inside = inside & (markers >= 0)
    begins, ends, squares = _edges(values, np.divide(spacing, min(spacing)) if spacing else np.ones(markers.ndim))
    scale = beta / (10 * spread * np.sqrt(len(values))) if spread else 0.0
    both = inside.ravel()[begins] & inside.ravel()[ends]
    weights = (np.exp(-scale * squares) + EPSILON) * both
    pairs = np.concatenate([begins, ends]), np.concatenate([ends, begins])
    matrix: Any = sparse.csr_array((np.concatenate([weights, weights]), pairs), shape=(markers.size, markers.size))
    laplacian = (sparse.diags_array(matrix.sum(axis=0)) - matrix).tocsr()
    parts = ndimage.label(inside)[0]
    known = np.isin(parts, np.unique(parts[(markers > 0) & inside])) & inside
    fixed = (known & (markers > 0)).ravel()
    free = known.ravel() & ~fixed
    labels = np.unique(markers.ravel()[fixed])
    found = np.full((len(labels), markers.size), np.nan)
    found[:, fixed] = markers.ravel()[fixed] == labels[:, None]
    if free.any():
        right = -(laplacian[free][:, fixed] @ found[:, fixed].T)
        found[:, free] = np.reshape(spsolve(laplacian[free][:, free].tocsc(), right), (-1, len(labels))).T
    return found.reshape(-1, *markers.shape)


def _edges(values: np.ndarray, lengths: Sequence[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return both ends of every edge, and the squared difference along it over all channels."""
    numbers = np.arange(values[0].size).reshape(values.shape[1:])
    begins, ends, squares = [], [], []
    for axis, length in enumerate(lengths):
        n = numbers.shape[axis]
        begins.append(np.take(numbers, range(n - 1), axis).ravel())
        ends.append(np.take(numbers, range(1, n), axis).ravel())
        squares.append(((np.diff(values, axis=axis + 1) / length) ** 2).sum(axis=0).ravel())
    return np.concatenate(begins), np.concatenate(ends), np.concatenate(squares)
