"""A tile of a flood with one voxel around it on every side, as flat arrays in which no step needs a test."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, to_numpy
from .._plan import Tile
from .._shelf import Shelf

__all__ = ["NO_WALLS", "Frame", "frame_of", "shelf_of", "steps_in", "walls_of"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Where the own voxels of a tile lie among those around them, one on every side.

    Parameters
    ----------
    shape : tuple of int
        Own voxels along each axis.
    own : bool array
        Flat: which voxels are its own.
    faces : int64 array
        The flat indices of the outermost own voxels.
    rim : int64 array
        The same among the own voxels alone.
    """

    shape: tuple[int, ...]
    own: NDArray[np.bool_]
    faces: Ints
    rim: Ints

    @property
    def wide(self) -> tuple[int, ...]:
        """Voxels along each axis, those around included."""
        return tuple(n + 2 for n in self.shape)

    @property
    def inner(self) -> tuple[slice, ...]:
        """Return where the own voxels lie."""
        return (slice(1, -1),) * len(self.shape)

    def full(self, value: Any, dtype: Any) -> NDArray[Any]:
        """Return an array of one value."""
        return np.full(self.wide, value, dtype)

    def around(self, block: Any, outside: Any, dtype: Any) -> NDArray[Any]:
        """Return a block of own voxels with an outside around it."""
        wide = self.full(outside, dtype)
        wide[self.inner] = block
        return wide

    def seen(self, tile: Tile, block: NDArray[Any], outside: Any, dtype: Any) -> NDArray[Any]:
        """Return what a tile sees, its neighbours' voxels included, with an outside where it has none."""
        wide = self.full(outside, dtype)
        wide[tuple(slice(1 - o.start, 1 - o.start + n) for o, n in zip(tile.own, block.shape, strict=True))] = block
        return wide


@functools.lru_cache(maxsize=16)
def _frame(shape: tuple[int, ...]) -> Frame:
    own = np.zeros(tuple(n + 2 for n in shape), bool)
    own[(slice(1, -1),) * len(shape)] = True
    rim = own.copy()
    rim[(slice(2, -2),) * len(shape)] = False
    own = own.reshape(-1)
    own.flags.writeable = False
    return Frame(shape, own, np.flatnonzero(rim), np.flatnonzero(rim[(slice(1, -1),) * len(shape)]))


def frame_of(tile: Tile) -> Frame:
    """Return the frame of a tile."""
    return _frame(tuple(s.stop - s.start for s in tile.own))


@functools.lru_cache(maxsize=64)
def steps_in(wide: tuple[int, ...], connectivity: int) -> Ints:
    """Return the differences of flat indices from a voxel to its neighbours, rising."""
    away = np.stack(np.meshgrid(*[(-1, 0, 1)] * len(wide), indexing="ij"), axis=-1).reshape(-1, len(wide))
    crossed = np.abs(away).sum(axis=1)
    strides = np.cumprod([1, *wide[:0:-1]])[::-1]
    return np.asarray(np.sort(away[(crossed > 0) & (crossed <= connectivity)] @ strides), np.int64)


NO_WALLS = np.zeros(0, np.int32)


def walls_of(frame: Frame, tile: Tile, territory: Array | None) -> NDArray[np.int32]:
    """Return the territories, flat, if they differ; a mask is in the keys."""
    if territory is None or territory.dtype == bool:
        return NO_WALLS
    return frame.seen(tile, to_numpy(territory), 0, np.int32).reshape(-1)


def shelf_of(tile: Tile) -> Shelf:
    assert tile.shelf is not None
    return tile.shelf
