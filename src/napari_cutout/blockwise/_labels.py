"""The last sweep of a run: labels go to where they are kept, block by block."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .._array import to_numpy
from .._plan import Slices
from ..processing._links import relabelled
from ._made import Source
from ._sweeps import Regions, Sweeper, sweeping
from ._tiled import narrowed, settle

__all__ = ["MANY", "Target", "Written", "n_labels_of", "write_labels"]

Table = tuple[NDArray[np.int64], NDArray[np.int64]]

MANY = 32
"""Labels above which their voxels are not counted one by one."""


class Target(Protocol):
    """Where labels are kept; what is never written is 0."""

    def write(self, region: Slices, block: NDArray[Any]) -> None:
        """Keep the labels of a region. Jobs call it, in any order, and again where they are repeated."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Parameters
    ----------
    highest : int
        The largest label.
    n_empty : int
        How many regions hold no label, and were left out.
    counts : tuple of int or None
        Voxels of every label from 0; None where a label is higher than `MANY`.
    """

    highest: int = 0
    n_empty: int = 0
    counts: tuple[int, ...] | None = ()

    def __add__(self, other: Written) -> Written:
        return Written(max(self.highest, other.highest), self.n_empty + other.n_empty, _summed(self, other))


def _summed(one: Written, other: Written) -> tuple[int, ...] | None:
    if one.counts is None or other.counts is None:
        return None
    return tuple(map(sum, itertools.zip_longest(one.counts, other.counts, fillvalue=0)))


def n_labels_of(labels: Source) -> int | None:
    """Return the largest label that there can be, where the sweeps before have told; None if its dtype has to do."""
    n: int | None = getattr(labels, "n_labels", None)
    return n


def write_labels(
    labels: Source,
    target: Target,
    regions: Sequence[Slices],
    sweeper: Sweeper,
    *,
    n_before: int = 0,
    numbers: Table | None = None,
) -> Written:
    """Write labels region by region, in one sweep.

    Parameters
    ----------
    labels : Source
        What is written.
    target : Target
        Where to. It goes to the jobs with the work, and is asked for nothing but `write`.
    regions : sequence of tuple of slice
        What is made and written at a time: whole blocks of the target, which together are all of it.
    sweeper : Sweeper
        Who runs the sweep.
    n_before : int
        Added to every label but 0, so that objects of several parts are numbered on and on.
    numbers : (array, array), optional
        All labels but 0, rising, and the number that is written for each.

    Returns
    -------
    Written
        What all regions hold together.

    Raises
    ------
    TooLarge
        If one region at a time is too much for memory.
    """
    with sweeping(sweeper):
        settle(labels, regions.chunks if isinstance(regions, Regions) else None)
    work = _Writing(labels, target, regions, n_before, numbers)
    found: Written | None = sweeper.reduce("writing labels", work, len(work.regions), Written.__add__)
    return found or Written()


@dataclass(frozen=True, slots=True, eq=False)
class _Writing:
    """Makes the labels of a region and writes them, unless there are none."""

    labels: Source
    target: Target
    regions: Sequence[Slices]
    n_before: int
    numbers: Table | None = None

    def __call__(self, number: int) -> Written:
        block = to_numpy(self.labels.read(self.regions[number]))
        highest = int(block.max(initial=0))
        if highest == 0 and not block.any():
            return Written(0, 1, (block.size,))
        if self.numbers is not None:
            block = relabelled(block, *self.numbers)
            highest = int(block.max())
            block = block.astype(np.min_scalar_type(highest))
        if self.n_before:
            block = _numbered_on(block, self.n_before)
        self.target.write(self.regions[number], block)
        return Written(highest + self.n_before, 0, _counts(block, highest + self.n_before))

    def only(self, number: int) -> _Writing:
        """Return the work of one tile, with what it needs to know and no more."""
        return replace(self, labels=narrowed(self.labels, self.regions[number]))


def _counts(block: NDArray[Any], highest: int) -> tuple[int, ...] | None:
    if highest > MANY:
        return None
    planes = (np.bincount(plane.ravel(), minlength=highest + 1) for plane in block)  # it takes 8 bytes per voxel
    return tuple(sum(planes, np.zeros(highest + 1, np.int64)).tolist())


def _numbered_on(block: NDArray[Any], n_before: int) -> NDArray[Any]:
    """Return a block whose labels, all but 0, are higher; in a dtype that holds them."""
    dtype = np.result_type(block.dtype, np.min_scalar_type(int(block.max()) + n_before))
    raised = block.astype(dtype)
    raised[raised > 0] += n_before
    return raised
