"""What a merging of regions leaves for whoever wants to cut it elsewhere: the regions, and how they merge.

A method offers it with `keep`, which does nothing unless somebody listens, as a widget does whose slider moves through
the hierarchy:

>>> with listening() as heard:  # doctest: +SKIP
...     labels = merge_regions(image, n_regions=50)
>>> hierarchy = heard[0]  # doctest: +SKIP
>>> hierarchy.table(10)[hierarchy.regions]  # merge_regions(image, n_regions=10)  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Hierarchy", "keep", "listening"]


@dataclass(frozen=True, slots=True, eq=False)
class Hierarchy:
    """Regions of an image, and all ways to merge them one pair after the other.

    Parameters
    ----------
    regions : integer array of the shape of the image
        The number of the region of every voxel, 1 to n; 0 outside. In host memory. It is kept, not copied.
    cut : callable
        ``cut(n_regions, threshold)`` gives the label of every region by its number: int32, one more than there are
        regions, 0 for 0, as `merge_regions` numbers what is left with these settings.
    heights : float64 array
        How much the two sides of every merge differed, in the order of the merges; it never falls.
    """

    regions: NDArray[np.integer]
    cut: Callable[[int, float | None], NDArray[np.int32]]
    heights: NDArray[np.float64]

    @property
    def most(self) -> int:
        """How many regions there are before any is merged."""
        return len(self.table(2**31 - 1)) - 1

    @property
    def fewest(self) -> int:
        """How many are left when all that hang together are one."""
        return self.most - len(self.heights)

    def table(self, n_regions: int, threshold: float | None = None) -> NDArray[np.int32]:
        """Return the label of every region by its number, as `merge_regions` gives it with these settings.

        Parameters
        ----------
        n_regions : int
            Merging ends when so many are left.
        threshold : float, optional
            It ends also before a pair that differs by more.

        Returns
        -------
        int32 array
            One entry more than there are regions; 0 for 0.
        """
        return self.cut(n_regions, threshold)

    def reached(self, n_regions: int) -> tuple[float, float]:
        """Return by how much the last pair that was merged differed, and the next one would.

        Parameters
        ----------
        n_regions : int
            How many regions are left.

        Returns
        -------
        tuple of float
            NaN where there is no such pair.
        """
        n_merges = self.most - n_regions
        padded = np.concatenate(([np.nan], self.heights, [np.nan]))
        return float(padded[n_merges]), float(padded[n_merges + 1])


_listener: ContextVar[list[Hierarchy] | None] = ContextVar("napari_cutout_hierarchy", default=None)


@contextmanager
def listening() -> Iterator[list[Hierarchy]]:
    """Take what merging leaves inside the ``with`` block, in this thread: one entry for every run of the method."""
    heard: list[Hierarchy] = []
    token = _listener.set(heard)
    try:
        yield heard
    finally:
        _listener.reset(token)


def keep(make: Callable[[], Hierarchy]) -> None:
    """Leave a hierarchy for whoever listens; it is made only then.

    Parameters
    ----------
    make : callable
        Makes it; it may bring the regions to the host.
    """
    if (heard := _listener.get()) is not None:
        heard.append(make())
