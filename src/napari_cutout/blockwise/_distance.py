"""The exact distance of a dask array: one sweep per axis, each over blocks of whole lines."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .._array import Array, is_host, to_numpy
from .._plan import Slices
from ..processing.distance import comparable, swept, swept_axes
from ._made import Source, Stored, lazy
from ._plans import map_blocks
from ._sweeps import current, n_tiles, regions_of, tiles_of
from ._tiled import settled


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
    if current() is not None:
        return _swept_now(labels, weights, dtype)
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


def _swept_now(labels: Array, weights: tuple[int, ...], dtype: str) -> Array:
    """Sweep along one axis after another of a run; between, the squares lie in scratch."""
    sweeper = current()
    assert sweeper is not None
    (of,) = settled([labels])
    assert of is not None
    edge = _edge_of_lines(of.shape, math.prod(max(sizes) for sizes in labels.chunks))
    cubes = tiles_of(of.shape, (edge,) * len(of.shape))
    squared: Stored | None = None
    for axis in swept_axes(of.shape):
        lines = tuple((n,) if a == axis else cubes[a] for a, n in enumerate(of.shape))
        scratch, sweep = sweeper.scratch(of.shape, dtype, cubes), partial(_swept_block, axis=axis, dtype=dtype)
        work = _Lines(of, squared, scratch, regions_of(lines), partial(sweep, weight=weights[axis]))
        sweeper.map(f"measuring distances along {'zyx'[axis - len(of.shape)]}", work, n_tiles(lines))
        squared = Stored(scratch, sweeper.device)
    assert squared is not None
    return lazy(squared, labels.chunks)


def _edge_of_lines(shape: tuple[int, ...], voxels: int) -> int:
    """Return how wide a bundle of the longest lines is that has about as many voxels as a tile: a power of two."""
    across = voxels / max(max(shape), 1)
    return 1 << max(int(math.log2(max(across, 1.0)) / max(len(shape) - 1, 1)), 4)


@dataclass(frozen=True, slots=True, eq=False)
class _Lines:
    """Sweeps along the lines of one bundle."""

    labels: Source
    squared: Source | None
    scratch: Any
    regions: Sequence[Slices]
    sweep: Callable[..., Array]

    def __call__(self, number: int) -> None:
        region = self.regions[number]
        before = None if self.squared is None else self.squared.read(region)
        self.scratch[region] = to_numpy(self.sweep(self.labels.read(region), before))
