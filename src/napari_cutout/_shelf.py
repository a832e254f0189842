"""What a tile keeps for itself while tiles agree, and what it tells its neighbours: blocks, and their faces."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Records", "Shelf", "record_length"]

Chunks = tuple[tuple[int, ...], ...]

Step = tuple[int, ...]
"""The way to a neighbour: -1, 0 or 1 tile along each axis."""


@dataclass(slots=True, eq=False)
class Records:
    """What tiles have told, one flat array for each name and tile.

    Parameters
    ----------
    read : callable
        ``read(name, number) -> array``.
    write : callable
        ``write(name, number, array)``.
    """

    read: Callable[[str, int], NDArray[Any]]
    write: Callable[[str, int, NDArray[Any]], None]


@dataclass(slots=True, eq=False)
class Shelf:
    """Where one tile keeps things between two looks.

    Parameters
    ----------
    chunks : tuple of tuple of int
        The tiles.
    number : int
        Of the tile.
    blocks : mapping of str to array
        Arrays of the whole, in which tiles keep blocks of their own voxels; names that are not there are not kept.
    records : Records
        What tiles tell one another.
    """

    chunks: Chunks
    number: int
    blocks: Mapping[str, Any]
    records: Records

    @property
    def at(self) -> tuple[int, ...]:
        """Place among the tiles along each axis."""
        return tuple(map(int, np.unravel_index(self.number, tuple(map(len, self.chunks)))))

    @property
    def shape(self) -> tuple[int, ...]:
        """Own voxels along each axis."""
        return self._shape_at(self.at)

    def keep(self, name: str, block: NDArray[Any]) -> None:
        """Keep a block of the own voxels, where that is done."""
        if name in self.blocks:
            self.blocks[name][self._region] = block

    def kept(self, name: str) -> NDArray[Any] | None:
        """Return what was kept; None where nothing is, and it is to be made again."""
        return np.asarray(self.blocks[name][self._region]) if name in self.blocks else None

    def tell(self, name: str, block: NDArray[Any]) -> None:
        """Tell the neighbours the outermost of the own voxels."""
        planes = [block[face_of(block.ndim, *face)].reshape(-1) for face in _faces(block.ndim)]
        self.records.write(name, self.number, np.concatenate(planes))

    def note(self, name: str, values: NDArray[Any]) -> None:
        """Note a list of numbers, no longer than `record_length`."""
        self.records.write(name, self.number, values)

    def noted(self, name: str, n: int) -> NDArray[Any]:
        """Return the first `n` numbers of what the tile itself has noted."""
        return self.records.read(name, self.number)[:n]

    def named(self, wide: NDArray[Any], crossing: int, names: Callable[[int], int]) -> NDArray[Any]:
        """Write around the own voxels what ``names(number)`` gives for the tile that each belongs to."""
        for step, number in self.neighbours(crossing):
            wide[_side_of(step, wide.shape)] = names(number)
        return wide

    def neighbours(self, crossing: int = 3) -> Iterator[tuple[Step, int]]:
        """Yield the ways to the neighbours that a step may reach, and their numbers."""
        grid = tuple(map(len, self.chunks))
        for step in itertools.product((-1, 0, 1), repeat=len(grid)):
            there = tuple(a + s for a, s in zip(self.at, step, strict=True))
            if 0 < sum(map(abs, step)) <= crossing and all(0 <= a < n for a, n in zip(there, grid, strict=True)):
                yield step, int(np.ravel_multi_index(there, grid))

    def around(
        self,
        name: str,
        wide: NDArray[Any],
        crossing: int,
        changed: Callable[[NDArray[Any], int], Any] | None = None,
        own: bool = False,
    ) -> NDArray[Any]:
        """Write what the neighbours told around the own voxels.

        Parameters
        ----------
        name : str
            What they told.
        wide : array
            The own voxels with one more on every side; filled in there.
        crossing : int
            How many axes a step between voxels may cross: tiles that lie farther are not asked.
        changed : callable, optional
            ``changed(values, number)``: what is made of the values of a tile.
        own : bool
            True writes what the tile itself told as well.
        """
        for step, number in self.neighbours(crossing):
            plane = self._facing(name, step, number)
            wide[_side_of(step, wide.shape)] = plane if changed is None else changed(plane, number)
        if own:
            self._write_own(name, wide, changed)
        return wide

    def _write_own(self, name: str, wide: NDArray[Any], changed: Any) -> None:
        record, inner = self.records.read(name, self.number), wide[(slice(1, -1),) * wide.ndim]
        for face, plane in zip(_faces(wide.ndim), planes_of(record, self.shape), strict=True):
            inner[face_of(wide.ndim, *face)] = plane if changed is None else changed(plane, self.number)

    def _facing(self, name: str, step: Step, number: int) -> NDArray[Any]:
        """Return what of a neighbour's record touches this tile, with the axes of the image."""
        at = tuple(a + s for a, s in zip(self.at, step, strict=True))
        planes = planes_of(self.records.read(name, number), self._shape_at(at))
        axis = next(a for a, s in enumerate(step) if s)
        plane = planes[2 * axis + int(step[axis] < 0)]
        return plane[tuple(slice(None) if a == axis or not s else _last(s) for a, s in enumerate(step))]

    def _shape_at(self, at: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sizes[i] for sizes, i in zip(self.chunks, at, strict=True))

    @property
    def _region(self) -> tuple[slice, ...]:
        starts = [sum(sizes[:i]) for sizes, i in zip(self.chunks, self.at, strict=True)]
        return tuple(slice(s, s + n) for s, n in zip(starts, self.shape, strict=True))


def _faces(ndim: int) -> list[tuple[int, int]]:
    """Return the faces of a tile as (axis, side), in the order of a record."""
    return [(axis, side) for axis in range(ndim) for side in (0, 1)]


def face_of(ndim: int, axis: int, side: int) -> tuple[slice, ...]:
    """Return where a face lies in the own voxels."""
    return tuple((slice(-1, None) if side else slice(0, 1)) if a == axis else slice(None) for a in range(ndim))


def planes_of(record: NDArray[Any], shape: tuple[int, ...]) -> list[NDArray[Any]]:
    """Return the faces of a record, with the axes of the image."""
    planes, start = [], 0
    for axis, _ in _faces(len(shape)):
        thin = tuple(1 if a == axis else n for a, n in enumerate(shape))
        planes.append(record[start : start + math.prod(thin)].reshape(thin))
        start += math.prod(thin)
    return planes


def _last(step: int) -> slice:
    """Return what of a neighbour lies nearest, along an axis along which it lies a step away."""
    return slice(0, 1) if step > 0 else slice(-1, None)


def _side_of(step: Step, wide: tuple[int, ...]) -> tuple[slice, ...]:
    """Return where the outermost voxels on the way to a neighbour lie, around the own ones."""
    return tuple(
        slice(1, n - 1) if s == 0 else slice(0, 1) if s < 0 else slice(n - 1, n)
        for s, n in zip(step, wide, strict=True)
    )


def record_length(chunks: Chunks) -> int:
    """Return how many numbers the longest record has: all that lies around the largest tile."""
    shape = tuple(max(sizes) for sizes in chunks)
    return 2 * sum(math.prod(shape) // n for n in shape) + 8 * sum(shape) + 8
