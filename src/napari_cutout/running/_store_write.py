"""What a run on a store writes: scratch, the labels of its parts, and their pyramid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array
from .._plan import Slices
from .._selection import Part
from ..blockwise import Chunks, Source, regions_of
from ..blockwise._sweeps import tiles_of
from ..stores import CheckedArray, LabelsTarget, Place, create_array

__all__ = [
    "LARGEST_CHUNK",
    "PartTarget",
    "Scratch",
    "ScratchTarget",
    "Shrinking",
    "WrittenBefore",
    "regions_to_write",
    "scratch_chunks",
]

LARGEST_CHUNK = 128
"""Edge of a chunk of scratch at most: the neighbours of a tile read little more of it than they need."""

WRITTEN = 1 << 22
"""About how many voxels of labels in memory are written at a time."""


@dataclass(frozen=True, slots=True)
class Scratch:
    """Makes the scratch arrays of a run in its folder, and opens them again.

    Parameters
    ----------
    folder : Place
        Where.
    shared : bool
        Whether other processes make and write the same arrays at the same time.
    """

    folder: Place
    shared: bool = False

    def __call__(self, name: str, shape: Sequence[int], dtype: str, chunks: Chunks) -> CheckedArray:
        place = self.folder / name
        if (found := _there(place, shape, dtype)) is not None:
            return found
        compressed, edges = np.dtype(dtype).kind != "f", scratch_chunks(chunks)
        try:  # another part of the run may have made it meanwhile, and written into it: nothing there may go
            return create_array(place, shape, dtype, edges, compressed=compressed, replaces=not self.shared)
        except ValueError:
            if (found := _there(place, shape, dtype)) is None:
                raise
            return found


def _there(place: Place, shape: Sequence[int], dtype: str) -> CheckedArray | None:
    """Return the array that is there already, if it is the one that is wanted."""
    try:
        found = CheckedArray(place, writable=True)
    except (FileNotFoundError, ValueError):
        return None
    return found if found.shape == tuple(shape) and found.dtype == np.dtype(dtype) else None


def scratch_chunks(chunks: Chunks) -> tuple[int, ...]:
    """Return edges of chunks in which an array is stored so that each given chunk is a number of them.

    Parameters
    ----------
    chunks : tuple of tuple of int
        What is written at a time.
    """
    edges = []
    for sizes in chunks:
        edge = math.gcd(*sizes[:-1]) if len(sizes) > 1 else max(sizes[0], 1)
        while edge > LARGEST_CHUNK and edge % 2 == 0:
            edge //= 2
        edges.append(edge)
    return tuple(edges)


@dataclass(frozen=True, slots=True, eq=False)
class PartTarget:
    """One part of labels that are being written, such as a frame.

    Parameters
    ----------
    target : LabelsTarget
        All of them.
    axes : str
        A letter for each entry of `place`.
    place : tuple of slice and int
        Where the part lies.
    """

    target: LabelsTarget
    axes: str
    place: Part

    def write(self, region: Slices, block: NDArray[Any]) -> None:
        """Write a block of the part."""
        where, order = self.region(region), self._order()
        present = [axis for axis, index in zip(self.axes, self.place, strict=True) if isinstance(index, slice)]
        turned = block.transpose([present.index(axis) for axis in order if axis in present])
        self.target.write(where, turned[tuple(slice(None) if axis in present else None for axis in order)])

    def read(self, region: Slices) -> NDArray[Any]:
        """Read a block of the part."""
        present = [axis for axis, index in zip(self.axes, self.place, strict=True) if isinstance(index, slice)]
        stored = [axis for axis in self._order() if axis in present]
        block = np.asarray(self.target.levels[0][self.region(region)])
        kept = block[tuple(slice(None) if axis in present else 0 for axis in self._order())]
        return kept.transpose([stored.index(axis) for axis in present])

    def region(self, region: Slices) -> Slices:
        """Return where a region of the part lies in all of the labels."""
        along, parts = {}, iter(region)
        for axis, index in zip(self.axes, self.place, strict=True):
            along[axis] = next(parts) if isinstance(index, slice) else slice(index, index + 1)
        return tuple(along[axis] for axis in self._order())

    def block(self) -> tuple[int, ...]:
        """Return what regions of the part begin and end at multiples of."""
        edges = dict(zip(self._order(), self.target.block_shape, strict=True))
        pairs = zip(self.axes, self.place, strict=True)
        return tuple(edges[axis] for axis, index in pairs if isinstance(index, slice))

    def _order(self) -> str:
        return self.target.layout.axes


@dataclass(frozen=True, slots=True, eq=False)
class WrittenBefore:
    """Labels of which some blocks are in the target already, written in other tiles.

    Parameters
    ----------
    labels : Source
        All of them.
    into : PartTarget
        Where they are written.
    tiles : list of list of int
        The tiles that some were written in.
    done : int
        How many of these, in scan order.
    """

    labels: Source
    into: PartTarget
    tiles: Any
    done: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return self.labels.shape

    @property
    def dtype(self) -> str:
        """The dtype of what is read."""
        return self.labels.dtype

    @property
    def parents(self) -> tuple[Source]:
        """What it is made of."""
        return (self.labels,)

    def read(self, region: Slices) -> Array:
        """Return the labels of a region."""
        last = [int(np.searchsorted(np.cumsum(n), part.stop)) for n, part in zip(self.tiles, region, strict=True)]
        if int(np.ravel_multi_index(last, [len(sizes) for sizes in self.tiles])) < self.done:
            return self.into.read(region).astype(self.dtype)
        return self.labels.read(region)


def regions_to_write(shape: Sequence[int], into: PartTarget, tiles: Chunks | None) -> Sequence[Slices]:
    """Return the regions that labels are written in.

    Parameters
    ----------
    shape : sequence of int
        Of the part.
    into : PartTarget
        Where they are written.
    tiles : tuple of tuple of int or None
        What is computed at a time; None if the labels are in memory: then these are some blocks of the target.
    """
    if tiles is not None:
        return regions_of(tiles)
    edges = list(into.block())
    while math.prod(edges) < WRITTEN and any(edge < n for edge, n in zip(edges, shape, strict=True)):
        at = max(range(len(edges)), key=lambda axis: shape[axis] / edges[axis])
        edges[at] *= 2
    return regions_of(tiles_of(shape, edges))


@dataclass(frozen=True, slots=True, eq=False)
class ScratchTarget:
    """Labels of one part that are kept until it is known how many there are in all parts.

    Parameters
    ----------
    array : CheckedArray
        Where.
    """

    array: Any

    def write(self, region: Slices, block: NDArray[Any]) -> None:
        """Write a block."""
        self.array[region] = block


@dataclass(frozen=True, slots=True, eq=False)
class Shrinking:
    """Fills a region of a coarser level.

    Parameters
    ----------
    target : LabelsTarget
        The labels.
    level : int
        Which level.
    regions : sequence of tuple of slice
        Whole files of it.
    """

    target: LabelsTarget
    level: int
    regions: Sequence[Slices]

    @classmethod
    def of(cls, target: LabelsTarget, level: int) -> Shrinking:
        """Return what fills a level, region by region."""
        return cls(target, level, regions_of(tiles_of(target.layout.shapes[level], target.shrink_edges(level))))

    def __call__(self, number: int) -> int:
        return self.target.shrink(self.level, self.regions[number])
