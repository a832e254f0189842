"""What voxels add up to, centre by centre: of all centres, or of those that a block of the image meets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """What voxels add up to, centre by centre.

    Parameters
    ----------
    counts : int64 array of shape (k,)
        How many.
    places : int64 array of shape (k, 3)
        Their indices.
    colours : int64 array of shape (k, n_channels)
        Their standardised grey levels, in `COLOUR_UNITS`.
    """

    counts: NDArray[np.int64]
    places: NDArray[np.int64]
    colours: NDArray[np.int64]

    @staticmethod
    def zeros(k: int, n_channels: int) -> Sums:
        """Return those of no voxels."""
        return Sums(np.zeros(k, np.int64), np.zeros((k, 3), np.int64), np.zeros((k, n_channels), np.int64))

    def add(self, at: NDArray[np.intp], other: Sums) -> None:
        """Add those of others to some centres, each of them named once."""
        self.counts[at] += other.counts
        self.places[at] += other.places
        self.colours[at] += other.colours

    def take(self, at: NDArray[np.intp]) -> Sums:
        """Return those of some centres."""
        return Sums(self.counts[at], self.places[at], self.colours[at])

    def same(self, other: Sums) -> bool:
        """Tell whether all are the same."""
        return all(np.array_equal(getattr(self, n), getattr(other, n)) for n in ("counts", "places", "colours"))


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """What voxels of a block add up to, for the centres that have any there, or the cells: the rest need no room.

    Parameters
    ----------
    numbers : int64 array of shape (m,)
        Which centres, rising.
    sums : Sums
        Those of these m.
    """

    numbers: NDArray[np.int64]
    sums: Sums

    def __add__(self, other: Table) -> Table:
        numbers = np.union1d(self.numbers, other.numbers)
        sums = Sums.zeros(len(numbers), self.sums.colours.shape[1])
        for table in (self, other):
            sums.add(np.searchsorted(numbers, table.numbers), table.sums)
        return Table(numbers, sums)

    def dense(self, k: int) -> Sums:
        """Return the sums of k centres."""
        sums = Sums.zeros(k, self.sums.colours.shape[1])
        sums.add(self.numbers, self.sums)
        return sums
