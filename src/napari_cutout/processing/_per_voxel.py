"""Small steps that see every voxel by itself: at once on arrays in memory, and lazily, tile by tile, on dask arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._array import Array, array_namespace, dtype_name, from_numpy, is_lazy

__all__ = ["as_dtype", "kept", "per_voxel", "scalar"]


def per_voxel(function: Callable[..., Array], dtype: str, arrays: Sequence[Array | None], *first: Any) -> Array:
    """Return ``function(*first, *arrays)``, for a function that sees every voxel by itself.

    Array operators on dask arrays would do as well, but a run in sweeps would have to store what they make.

    Parameters
    ----------
    function : callable
        ``function(*first, *blocks) -> block`` of the same shape.
    dtype : str
        The dtype of the result.
    arrays : sequence of array or None
        Of one shape.
    *first : object
        Delayed values where arrays are lazy are waited for.

    Returns
    -------
    array
        Of the library of the arrays; lazy if they are.
    """
    if is_lazy(arrays[0]):
        from ..blockwise import lazy_map

        return lazy_map(function, arrays, dtype, *first)
    return function(*first, *arrays)


def kept(array: Array, name: str) -> Array:
    """Return what is going to be read several times: in a run in sweeps it is stored first, if it is costly.

    Parameters
    ----------
    array : array
        Arrays in memory, and dask arrays outside of sweeps, stay what they are.
    name : str
        What the user reads while it is stored.
    """
    if not is_lazy(array):
        return array
    from ..blockwise import lazy_keep

    return lazy_keep(array, name)


def as_dtype(array: Array, dtype: str) -> Array:
    """Return an array in another dtype, itself if it has it."""
    return array if dtype_name(array) == dtype else per_voxel(_as_dtype, dtype, [array], dtype)


def _as_dtype(dtype: str, block: Array) -> Array:
    xp = array_namespace(block)
    return xp.astype(block, getattr(xp, dtype))


def scalar(value: int, like: Array) -> Array:
    """Return a number in the library, on the device and in the dtype of an array."""
    return from_numpy(np.asarray(value, dtype_name(like)), like=like)
