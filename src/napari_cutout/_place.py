"""Where the arrays at hand lie in a whole that is more than what a method runs on, for methods that look at places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
from numpy.typing import NDArray

_place: ContextVar[tuple[tuple[int, ...], float]] = ContextVar("napari_cutout_place", default=((), 1.0))


@contextmanager
def lying_at(origin: Sequence[int], unit: float = 1.0) -> Iterator[None]:
    """Run a method on a part inside the ``with`` block, in this thread.

    Parameters
    ----------
    origin : sequence of int
        Index of the part's first voxel in the whole, along each axis that the method sees.
    unit : float
        How many edges of the whole's smallest voxel one of the part's spans, on a lower level of a pyramid.
    """
    token = _place.set((tuple(origin), unit))
    try:
        yield
    finally:
        _place.reset(token)


def indices(n: int, axis: int) -> NDArray[np.float64]:
    """Return where n voxels stand along an axis of the whole, counted in its voxels; 0 is the first one."""
    origin, unit = _place.get()
    first = origin[axis] if origin else 0
    return np.arange(first, first + n, dtype=np.float64) * unit
