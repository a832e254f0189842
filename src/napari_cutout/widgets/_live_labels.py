"""Labels as a viewer sees them while a run writes them into a store: 0 where nothing was written yet.  No Qt here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._store_levels import Box, shrunk, slices_of

__all__ = ["LiveLabels", "LiveLevel"]

KEPT_BYTES = 1 << 27
"""A lower level of at most so many bytes is kept in memory while the run lasts; larger ones are read off the finest."""

_SMALLEST_SIDE = 64
"""No level below one whose sides are not longer than this."""


class LiveLevel:
    """One level of labels that a run is writing.

    Parameters
    ----------
    shape : sequence of int
        Voxels along each axis.
    spread : int, optional
        Where readers see one more axis, of length 1.

    Attributes
    ----------
    array
        What is read; None while there is nothing. It may be replaced by another that holds the same voxels.
    dtype
        What readers get, whatever the store holds.
    """

    dtype = np.dtype(np.int32)

    def __init__(self, shape: Sequence[int], spread: int | None = None) -> None:
        self._inner = tuple(int(n) for n in shape)
        self._spread = spread
        self.array: Any = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis, as readers see them."""
        return self._inner if self._spread is None else _inserted(self._inner, self._spread, 1)

    @property
    def ndim(self) -> int:
        """How many axes readers see."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many voxels there are."""
        return math.prod(self._inner)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Return what is there by now."""
        keys = _complete(key, self.ndim)
        if self._spread is None:
            return self._read(keys)
        found = self._read((*keys[: self._spread], *keys[self._spread + 1 :]))
        wanted, at = keys[self._spread], sum(isinstance(one, slice) for one in keys[: self._spread])
        if not isinstance(wanted, slice):
            return found
        return np.expand_dims(found, at)[(*(slice(None),) * at, wanted)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all of it."""
        return self[...].astype(dtype or self.dtype, copy=False)

    def _read(self, keys: tuple[Any, ...]) -> NDArray[Any]:
        if (array := self.array) is not None:
            try:
                return np.asarray(array[keys]).astype(self.dtype, copy=False)
            except (OSError, KeyError, ValueError):  # the store is getting its name: there is another array soon
                pass
        return np.array(np.broadcast_to(np.zeros((), self.dtype), self._inner)[keys])


class LiveLabels:
    """All levels of labels that a run is writing.

    Parameters
    ----------
    shape : sequence of int
        The shape of the labels.
    factors : sequence of sequence of int
        Voxels at full resolution from one voxel of a level to the next, for each level; the first are all 1.
    spread : int, optional
        Where readers see one more axis, of length 1.

    Attributes
    ----------
    n_blocks : int
        How many blocks were written.

    Notes
    -----
    A run fills the lower levels of its store when the finest is complete. Until then they are made here of the blocks
    that are there. Memory: `KEPT_BYTES` for the largest level that is kept, and a seventh of it for those below.
    """

    def __init__(self, shape: Sequence[int], factors: Sequence[Sequence[int]], spread: int | None = None) -> None:
        self.spread = spread
        self.factors = [tuple(map(int, one)) for one in factors]
        self._shapes = [tuple(-(-n // f) for n, f in zip(shape, one, strict=True)) for one in self.factors]
        self.levels = [LiveLevel(one, spread) for one in self._shapes]
        self.n_blocks = 0

    @classmethod
    def not_begun(cls, shape: Sequence[int], axes: str, spread: int | None = None) -> LiveLabels:
        """Return labels of which nothing is there yet, each level half as long in space as the one before.

        Parameters
        ----------
        shape : sequence of int
            The shape of the labels.
        axes : str
            A letter for each of its axes.
        spread : int, optional
            Where readers see one more axis, of length 1.
        """
        factors = [(1,) * len(axes)]
        while True:
            last = [
                (f, axis in "zyx" and -(-n // f) > _SMALLEST_SIDE)
                for n, f, axis in zip(shape, factors[-1], axes, strict=True)
            ]
            if not any(long for _, long in last):
                return cls(shape, factors, spread)
            factors.append(tuple(f * 2 if long else f for f, long in last))

    def follow(self, finest: Any) -> None:
        """Read from now on what a run writes.

        Parameters
        ----------
        finest : array
            Level 0 of its store.
        """
        for level, shape, factor in zip(self.levels, self._shapes, self.factors, strict=True):
            if level is self.levels[0]:
                level.array = finest
            elif level.size * level.dtype.itemsize <= KEPT_BYTES:
                level.array = np.zeros(shape, level.dtype)
            else:
                level.array = _Strided(finest, factor, shape)

    def add(self, box: Box) -> None:
        """Take note that a block of level 0 was written; it is read once, for the levels that are kept."""
        finest = self.levels[0].array
        block = np.asarray(finest[slices_of(box)])
        for level, shape, factor in zip(self.levels[1:], self._shapes[1:], self.factors[1:], strict=True):
            if isinstance(level.array, np.ndarray):
                part, picked = shrunk(box, factor, shape)
                level.array[slices_of(part)] = block[picked]
        self.n_blocks += 1


class _Strided:
    """A lower level that is read off the finest."""

    def __init__(self, finest: Any, factor: Sequence[int], shape: Sequence[int]) -> None:
        self._finest, self._factor, self._shape = finest, factor, shape

    def __getitem__(self, keys: tuple[Any, ...]) -> NDArray[Any]:
        return np.asarray(self._finest[tuple(map(_strided, keys, self._factor, self._shape))])


def _strided(key: Any, factor: int, n: int) -> Any:
    if not isinstance(key, slice):
        return int(key) % n * factor
    start, stop, step = key.indices(n)
    return slice(start * factor, max((stop - 1) * factor + 1, start * factor), step * factor)


def _inserted(values: tuple[int, ...], at: int, value: int) -> tuple[int, ...]:
    return (*values[:at], value, *values[at:])


def _complete(key: Any, ndim: int) -> tuple[Any, ...]:
    """Return an index for every axis."""
    keys = key if isinstance(key, tuple) else (key,)
    at = next((n for n, one in enumerate(keys) if one is Ellipsis), len(keys))
    missing = (slice(None),) * (ndim - len([one for one in keys if one is not Ellipsis]))
    return (*keys[:at], *missing, *keys[at + 1 :])
