"""Tables of counts: how many voxels hold each pair of labels, and sums of such tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["NOTHING", "Contingency", "Counts", "added_up", "gathered", "ranked", "sums_of", "tabulated"]

MAX_LABEL = 2**63 - 1
"""Largest label that int64 holds."""

Counts = NDArray[np.int64]

Table = TypeVar("Table", bound="Addable")
"""A table of counts, of one kind."""


class Addable(Protocol):
    """What `gathered` needs of a table of counts: a length, and a sum with another."""

    def __len__(self) -> int: ...

    def __add__(self: Table, other: Table, /) -> Table: ...


@dataclass(frozen=True, slots=True, eq=False)
class Contingency:
    """How many voxels hold each pair of labels; pairs that do not occur are left out.

    Two of them add up to the table of all their voxels, in any order.

    Parameters
    ----------
    predicted : int64 array of shape (n,)
        The predicted label of each pair; pairs rise by predicted label, then by true label.
    truth : int64 array of shape (n,)
        The true label of each pair.
    counts : int64 array of shape (n,)
        Voxels that hold the pair, at least 1.
    unknown : Contingency, optional
        The pairs of voxels that were left out because they are not annotated.
    """

    predicted: Counts
    truth: Counts
    counts: Counts
    unknown: Contingency | None = None

    @property
    def n_voxels(self) -> int:
        """Number of voxels that were counted."""
        return int(self.counts.sum())

    @property
    def n_ignored(self) -> int:
        """Number of voxels that were left out because they are not annotated."""
        return 0 if self.unknown is None else self.unknown.n_voxels

    def __len__(self) -> int:
        return len(self.counts)

    def __add__(self, other: Contingency) -> Contingency:
        predicted, truth, counts = (
            np.concatenate([getattr(self, name), getattr(other, name)]) for name in ("predicted", "truth", "counts")
        )
        unknown = [table.unknown for table in (self, other) if table.unknown is not None]
        return tabulated(predicted, truth, counts, reduce(Contingency.__add__, unknown) if unknown else None)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Contingency):
            return NotImplemented
        return self.unknown == other.unknown and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in ("predicted", "truth", "counts")
        )

    __hash__ = None  # type: ignore[assignment]  # it compares arrays

    def without(self, ignore: int | None) -> Contingency:
        """Return the table without the voxels whose true label is `ignore`, which are kept apart in `unknown`."""
        if ignore is None:
            return self
        kept = self.truth != ignore
        known, unknown = (Contingency(self.predicted[k], self.truth[k], self.counts[k]) for k in (kept, ~kept))
        if self.unknown is not None:
            unknown = self.unknown + unknown
        return Contingency(known.predicted, known.truth, known.counts, unknown if len(unknown) else None)


def tabulated(predicted: Counts, truth: Counts, counts: Counts, unknown: Contingency | None = None) -> Contingency:
    """Sort pairs, and add up the counts of pairs that occur more than once."""
    (predicted, truth), counts = added_up((predicted, truth), counts)
    return Contingency(predicted, truth, counts, unknown)


def added_up(keys: Sequence[Counts], counts: Counts) -> tuple[list[Counts], Counts]:
    """Sort rows of keys, the first key first, and add up the counts of rows that occur more than once."""
    order = _order(keys)
    keys, counts = [key[order] for key in keys], counts[order]
    fresh = np.ones(len(order), bool)
    fresh[1:] = reduce(np.logical_or, [key[1:] != key[:-1] for key in keys])
    first = np.flatnonzero(fresh)
    sums = np.add.reduceat(counts, first) if len(first) else counts
    return [key[first] for key in keys], sums


def _order(keys: Sequence[Counts]) -> NDArray[np.intp]:
    """Return the order of rising rows; where rows fit into one integer, sorting those is 5 times as fast."""
    if not len(keys[0]):
        return np.zeros(0, np.intp)
    lows = [int(key.min()) for key in keys]
    widths = [int(key.max()) - low + 1 for key, low in zip(keys, lows, strict=True)]
    if math.prod(widths) > MAX_LABEL:
        return np.lexsort(tuple(reversed(keys)))
    packed = np.zeros(len(keys[0]), np.int64)
    for key, low, width in zip(keys, lows, widths, strict=True):
        packed = packed * width + (key - low)
    return np.argsort(packed)


def ranked(labels: Counts) -> tuple[Counts, NDArray[np.intp]]:
    """Return the labels that occur, rising, and the place of each of the given ones among them.

    Labels mostly number things without large gaps, and then a list of all numbers is 10 times as fast as sorting.
    """
    low, high = (int(labels.min()), int(labels.max())) if len(labels) else (0, 0)
    if high - low > 4 * len(labels):
        found, places = np.unique(labels, return_inverse=True)
        return found, places
    there = np.zeros(high - low + 1, bool)
    there[labels - low] = True
    return np.flatnonzero(there) + low, (np.cumsum(there) - 1)[labels - low]


def sums_of(wanted: Counts, labels: Counts, counts: Counts) -> Counts:
    """Return the sum of the counts of each of the wanted labels, which rise; other labels are passed over."""
    sums = np.zeros(len(wanted), np.int64)
    if len(wanted):
        at = np.minimum(np.searchsorted(wanted, labels), len(wanted) - 1)
        listed = wanted[at] == labels
        np.add.at(sums, at[listed], counts[listed])
    return sums


NOTHING = Contingency(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))
"""The table of no voxels."""


def gathered(done: tuple[Table, ...], new: tuple[Table, ...]) -> tuple[Table, ...]:
    """Keep tables apart until one as large comes along, so that adding n of them costs n log n and not n^2."""
    kept = list(done)
    for table in new:
        while kept and len(kept[-1]) <= len(table):
            table = kept.pop() + table
        kept.append(table)
    return tuple(kept)
