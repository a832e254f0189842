"""What a run on a store writes: scratch, the labels of its parts, and their pyramid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._plan import Slices
from ._selection import Part
from .blockwise import Chunks
from .stores import CheckedArray, LabelsTarget, Place, create_array

__all__ = ["LARGEST_CHUNK", "Part", "PartTarget", "Scratch", "Shrinking", "scratch_chunks"]

LARGEST_CHUNK = 128
"""Edge of a chunk of scratch at most: the neighbours of a tile read little more of it than they need."""


@dataclass(frozen=True, slots=True)
class Scratch:
    """Makes the scratch arrays of a run in its folder, and opens them again.

    Parameters
    ----------
    folder : Place
        Where.
    """

    folder: Place

    def __call__(self, name: str, shape: Sequence[int], dtype: str, chunks: Chunks) -> CheckedArray:
        place = self.folder / name
        try:
            found = CheckedArray(place, writable=True)
            if found.shape == tuple(shape) and found.dtype == np.dtype(dtype):
                return found
        except (FileNotFoundError, ValueError):
            pass
        return create_array(place, shape, dtype, scratch_chunks(chunks))


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

    def region(self, region: Slices) -> Slices:
        """Return where a region of the part lies in all of the labels."""
        along, parts = {}, iter(region)
        for axis, index in zip(self.axes, self.place, strict=True):
            along[axis] = next(parts) if isinstance(index, slice) else slice(index, index + 1)
        return tuple(along[axis] for axis in self._order())

    def _order(self) -> str:
        return self.target.layout.axes


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
    """

    target: LabelsTarget
    level: int

    def __call__(self, number: int) -> int:
        return self.target.shrink(self.level, self.target.shrink_regions(self.level)[number])
