"""The last sweep of a run: labels go to where they are kept, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .._array import to_numpy
from .._plan import Slices
from ._made import Source
from ._sweeps import Sweeper

__all__ = ["Target", "Written", "n_labels_of", "write_labels"]


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
    """

    highest: int = 0
    n_empty: int = 0

    def __add__(self, other: Written) -> Written:
        return Written(max(self.highest, other.highest), self.n_empty + other.n_empty)


def n_labels_of(labels: Source) -> int | None:
    """Return the largest label that there can be, where the sweeps before have told; None if its dtype has to do."""
    n: int | None = getattr(labels, "n_labels", None)
    return n


def write_labels(
    labels: Source, target: Target, regions: Sequence[Slices], sweeper: Sweeper, *, n_before: int = 0
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

    Returns
    -------
    Written
        What all regions hold together.

    Raises
    ------
    TooLarge
        If one region at a time is too much for memory.
    """
    work = _Writing(labels, target, list(regions), n_before)
    found: Written | None = sweeper.reduce("writing labels", work, len(work.regions), Written.__add__)
    return found or Written()


@dataclass(frozen=True, slots=True, eq=False)
class _Writing:
    """Makes the labels of a region and writes them, unless there are none."""

    labels: Source
    target: Target
    regions: list[Slices]
    n_before: int

    def __call__(self, number: int) -> Written:
        block = to_numpy(self.labels.read(self.regions[number]))
        highest = int(block.max(initial=0))
        if highest == 0 and not block.any():
            return Written(n_empty=1)
        if self.n_before:
            block = _numbered_on(block, self.n_before)
        self.target.write(self.regions[number], block)
        return Written(highest + self.n_before)


def _numbered_on(block: NDArray[Any], n_before: int) -> NDArray[Any]:
    """Return a block whose labels, all but 0, are higher; in a dtype that holds them."""
    dtype = np.result_type(block.dtype, np.min_scalar_type(int(block.max()) + n_before))
    raised = block.astype(dtype)
    raised[raised > 0] += n_before
    return raised
