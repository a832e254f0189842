"""The exact distance of a dask array: one sweep per axis, each over blocks of whole lines."""

from __future__ import annotations

from functools import partial

import numpy as np

from .._array import Array, is_host
from ..processing.distance import comparable, swept, swept_axes
from ._plans import map_blocks


def lazy_squared_distance(labels: Array, weights: tuple[int, ...], dtype: str) -> Array:
    """Do what `squared_distance` does on a dask array.

    Parameters
    ----------
    labels : dask array of shape ([Z,] Y, X)
        Integers or booleans; 0 is background.
    weights : tuple of int
        Edge of a voxel along each axis.
    dtype : str
        What holds all squared distances.

    Returns
    -------
    dask array
        With the chunks of `labels`. Between, every sweep has blocks of whole lines, of the size that dask is
        configured to like (``array.chunk-size``) and at least one line.
    """
    squared: Array = None
    for axis in swept_axes(labels.shape):
        lines = labels.rechunk(_whole_lines(labels, axis, dtype))
        arrays = [lines] if squared is None else [lines, squared.rechunk(lines.chunks)]
        sweep = partial(_swept_block, axis=axis, weight=weights[axis], dtype=dtype)
        squared = map_blocks(sweep, arrays, dtype)
    return squared.rechunk(labels.chunks)


def _whole_lines(labels: Array, axis: int, dtype: str) -> tuple[tuple[int, ...], ...]:
    """Return chunks that are whole along one axis."""
    from dask.array.core import normalize_chunks

    wanted = tuple(-1 if a == axis else "auto" for a in range(labels.ndim))
    chunks: tuple[tuple[int, ...], ...] = normalize_chunks(
        wanted, labels.shape, dtype=np.dtype(dtype), previous_chunks=labels.chunks
    )
    return chunks


def _swept_block(labels: Array, squared: Array | None = None, *, axis: int, weight: int, dtype: str) -> Array:
    """Sweep over one block, in a copy: dask may need what the sweep before found once more."""
    if squared is not None and is_host(squared):
        squared = squared.copy()
    return swept(comparable(labels), squared, axis=axis, weight=weight, dtype=dtype, on_all_processors=False)
