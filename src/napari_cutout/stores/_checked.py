"""Zarr arrays that never give zeros for what could not be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ._place import Place

__all__ = ["CheckedArray", "create_array"]


class CheckedArray:
    """A Zarr array whose errors name the chunk, and that counts the chunks that are not there.

    It can be pickled: a worker opens the store again, by its address and options, and reads no metadata for it.
    What fails on an object store is tried again.

    Parameters
    ----------
    place : Place
        Where the array is.
    writable : bool
        Whether it may be written to.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None
    ndim: int

    def __init__(self, place: Place, *, writable: bool = False) -> None:
        raise NotImplementedError

    def __getitem__(self, region: Any) -> np.ndarray[Any, Any]:
        raise NotImplementedError

    def __setitem__(self, region: Any, values: Any) -> None:
        raise NotImplementedError

    @property
    def n_absent(self) -> int:
        """How many chunks, or shards, that were asked for are not there: they read as the fill value."""
        raise NotImplementedError

    def absent(self, region: Sequence[slice]) -> int:
        """Count the absent chunks, or shards, whose first voxel lies in a region that has been read."""
        raise NotImplementedError


def create_array(
    place: Place,
    shape: Sequence[int],
    dtype: str,
    chunks: Sequence[int],
    *,
    shards: Sequence[int] | None = None,
    zarr_format: int = 3,
    attributes: Mapping[str, Any] | None = None,
) -> CheckedArray:
    """Make an array of zeros, in the place of what is there."""
    raise NotImplementedError
