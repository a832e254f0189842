"""The order of an image's grey levels as unsigned integers: all that a flood needs to know of them.

A watershed stays the same when its grey levels are mapped by any strictly rising function. So every dtype becomes keys
of at most 32 bits: small integers as they are, floats by their bits, wide numbers by their rank where there is no
other way.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import kernels
from .._array import Array, array_namespace, contiguous, dtype_name, empty, is_host
from .._compiled import compiled
from .._plan import PerVoxel, run_plan

__all__ = [
    "OUTSIDE",
    "WIDE_OUTSIDE",
    "key_dtype",
    "keys_of",
    "narrowed",
    "outside_of",
    "part_keys",
    "raised_keys",
    "wide_keys",
    "wide_raised_keys",
]

OUTSIDE = 2**32 - 1
"""The key of NaN, which is outside every mask. No grey level has it."""

WIDE_OUTSIDE = 2**64 - 1
"""The same among `wide_keys`."""


def keys_of(image: Array) -> Array:
    """Return integers in the order of an image's grey levels.

    Parameters
    ----------
    image : array
        Any real dtype; -0.0 equals 0.0.

    Returns
    -------
    array of uint32, same shape and library as `image`
        Equal where grey levels are equal, smaller where they are smaller; `OUTSIDE` at NaN. On the host the image
        itself, where it is uint8 or uint16.

    Notes
    -----
    Memory: 4 bytes per voxel for the result, and about 24 while grey levels of 64 bits are ranked.
    """
    xp, name = array_namespace(image), dtype_name(image)
    if name in ("uint8", "uint16"):
        return image if is_host(image) else xp.astype(image, xp.uint32)
    if name in ("float16", "float32"):
        return run_plan(PerVoxel(_float_keys, "uint32"), image)
    if name == "float64":
        narrow = _as_float32(image)
        return _ranks(image) if narrow is None else keys_of(narrow)
    low, high = int(xp.min(image)), int(xp.max(image))
    if high - low >= OUTSIDE:
        return _ranks(image)
    return run_plan(PerVoxel(partial(_shifted, low=low), "uint32"), image)


def _float_keys(block: Array) -> Array:
    """Order float32 by its bits: positive numbers above all negative ones, and those turned round."""
    xp = array_namespace(block)
    levels = contiguous(xp.astype(block, xp.float32, copy=False))
    if is_host(block):
        levels = levels.astype(np.float32, copy=False)  # of the machine's byte order
        keys = np.empty(block.shape, np.uint32)
        _order_bits(levels.reshape(-1).view(np.uint32), keys.reshape(-1))
        return keys
    keys = empty(block.shape, "uint32", like=block)
    kernels.launch(kernels.load("keys", block), "keys_from_float", block.size, levels, keys, np.int64(block.size))
    return keys


@compiled
def _order_bits(bits: NDArray[np.uint32], keys: NDArray[np.uint32]) -> None:
    for i in range(bits.size):
        word = bits[i]
        if (word & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000):
            keys[i] = np.uint32(0xFFFFFFFF)
        elif word & np.uint32(0x7FFFFFFF) == 0:
            keys[i] = np.uint32(0x80000000)
        elif word & np.uint32(0x80000000):
            keys[i] = ~word
        else:
            keys[i] = word | np.uint32(0x80000000)


def _shifted(block: Array, low: int) -> Array:
    """Subtract the smallest integer in arithmetic that cannot overflow."""
    xp = array_namespace(block)
    wide = xp.uint64 if dtype_name(block) == "uint64" else xp.int64
    return xp.astype(xp.astype(block, wide) - xp.asarray(low, dtype=wide, device=block.device), xp.uint32)


def _as_float32(image: Array) -> Array | None:
    """Return the image as float32 if that changes no grey level, else None."""
    xp = array_namespace(image)
    with np.errstate(over="ignore"):
        narrow = xp.astype(image, xp.float32)
    same = (xp.astype(narrow, xp.float64) == image) | xp.isnan(image)
    return narrow if bool(xp.all(same)) else None


def _ranks(image: Array) -> Array:
    """Return the rank of each grey level among those that occur."""
    xp = array_namespace(image)
    flat = xp.reshape(image, (-1,))
    known = None if not dtype_name(image).startswith("float") else ~xp.isnan(flat)
    values = xp.sort(xp.unique_values(flat if known is None else flat[known]))
    keys = xp.astype(xp.searchsorted(values, flat), xp.uint32)
    if known is not None:
        keys = xp.where(known, keys, xp.full_like(keys, OUTSIDE))
    return xp.reshape(keys, image.shape)


def raised_keys(image: Array, height: float) -> tuple[Array, Array]:
    """Return the keys of an image, and those of the image plus `height`, in one order.

    Parameters
    ----------
    image : array
        Any real dtype.
    height : float
        Not negative. Added in the arithmetic of the image: of integers its whole part counts.

    Returns
    -------
    key, raised : arrays of uint32, or of the narrow dtype of `keys_of`, and of uint32
        Both of the shape and library of the image; `OUTSIDE` at NaN. What would lie beyond the largest integer is
        that.
    """
    xp, name = array_namespace(image), dtype_name(image)
    if name in ("float16", "float32"):
        levels = xp.astype(image, xp.float32)
        return keys_of(levels), keys_of(levels + xp.asarray(height, dtype=xp.float32, device=image.device))
    if name == "float64":
        both = xp.stack([image, image + height])
        keys = keys_of(both)
        return keys[0, ...], keys[1, ...]
    low, high = int(xp.min(image)), int(xp.max(image))
    rise = min(math.floor(height), high - low)  # higher than the highest is as good as that
    if high - low + rise < OUTSIDE:
        key = keys_of(image)
        wide = xp.astype(key, xp.uint32, copy=False)
        return key, wide + xp.asarray(rise, dtype=xp.uint32, device=image.device)
    step = xp.asarray(rise, dtype=image.dtype, device=image.device)
    top = xp.asarray(high - rise, dtype=image.dtype, device=image.device)
    keys = _ranks(xp.stack([image, xp.minimum(image, top) + step]))
    return keys[0, ...], keys[1, ...]


# Parts of an image -------------------------------------------------------------------------------------


def wide_keys(block: NDArray[Any]) -> NDArray[np.uint64]:
    """Return 64-bit integers in the order of the grey levels, which are the same in every part of an image.

    Parameters
    ----------
    block : host array
        Any real dtype.

    Returns
    -------
    uint64 array, same shape
        `WIDE_OUTSIDE` at NaN.
    """
    name = dtype_name(block)
    if name in ("float16", "float32"):
        keys: NDArray[np.uint64] = _float_keys(block).astype(np.uint64)
        keys[keys == OUTSIDE] = WIDE_OUTSIDE
        return keys
    if name == "float64":
        levels = np.ascontiguousarray(block, np.float64) + 0.0  # no -0.0
        bits = levels.view(np.uint64)
        keys = np.where(bits >> np.uint64(63), ~bits, bits | np.uint64(1 << 63))
        keys[np.isnan(levels)] = WIDE_OUTSIDE
        return keys
    return _wide_integers(block, 0)


def wide_raised_keys(block: NDArray[Any], height: float) -> NDArray[np.uint64]:
    """Return the `wide_keys` of an image plus `height`, added as `raised_keys` adds it.

    Parameters
    ----------
    block : host array
        Any real dtype.
    height : float
        Not negative.

    Returns
    -------
    uint64 array, same shape
        `WIDE_OUTSIDE` at NaN.
    """
    name = dtype_name(block)
    if name in ("float16", "float32"):
        return wide_keys(block.astype(np.float32) + np.float32(height))
    if name == "float64":
        return wide_keys(block + height)
    return _wide_integers(block, math.floor(height))


def _wide_integers(block: NDArray[Any], rise: int) -> NDArray[np.uint64]:
    """Return integers plus `rise`, counted from the smallest of their dtype; at most the largest but one of uint64."""
    low = int(np.iinfo(block.dtype).min)
    wide = block.astype(np.uint64) if low == 0 else block.astype(np.int64).view(np.uint64) + np.uint64(-low)
    top = np.uint64(WIDE_OUTSIDE - 1)
    wide = np.minimum(wide, top)
    return np.minimum(wide, top - np.uint64(min(rise, WIDE_OUTSIDE - 1))) + np.uint64(min(rise, WIDE_OUTSIDE - 1))


def key_dtype(name: str) -> str:
    """Return the dtype of the keys of a part of an image of this dtype: the narrowest that has room for the outside."""
    return "uint32" if name in ("bool", "uint8", "int8", "uint16", "int16", "float16", "float32") else "uint64"


def outside_of(dtype: Any) -> Any:
    """Return the key of the outside: the largest of its dtype."""
    return np.iinfo(dtype).max


MOST_RISE = 1 << 31
"""More than this lies above every grey level of 16 bits."""


def part_keys(block: NDArray[Any], height: float | None = None) -> NDArray[Any]:
    """Return integers in the order of the grey levels, or of these plus `height`, the same in every part of an image.

    Parameters
    ----------
    block : host array
        Any real dtype.
    height : float, optional
        Not negative, added as `raised_keys` adds it.

    Returns
    -------
    array of `key_dtype`, same shape, new
        The largest number at NaN.
    """
    name = dtype_name(block)
    if key_dtype(name) == "uint64":
        return wide_keys(block) if height is None else wide_raised_keys(block, height)
    if name.startswith("float"):
        level = block.astype(np.float32)
        return np.asarray(_float_keys(level if height is None else level + np.float32(height)))
    low = 0 if name == "bool" else int(np.iinfo(block.dtype).min)
    rise = 0 if height is None else min(math.floor(height), MOST_RISE)
    key: NDArray[Any] = block.astype(np.uint32)  # of a negative number its remainder, which the shift puts right
    key += np.uint32(rise - low)
    return key


def narrowed(*wide: NDArray[np.uint64]) -> tuple[list[NDArray[np.uint32]], NDArray[np.uint64] | None]:
    """Map 64-bit keys to 32-bit ones of the same order.

    Parameters
    ----------
    *wide : uint64 arrays
        Keys that are compared with one another.

    Returns
    -------
    list of uint32 arrays
        The same in 32 bits, `OUTSIDE` for `WIDE_OUTSIDE`.
    uint64 array or None
        The 64-bit key of each 32-bit one; None if they are the same numbers.
    """
    largest = max((int(k[k != WIDE_OUTSIDE].max(initial=0)) for k in wide), default=0)
    if largest < OUTSIDE:
        return [np.minimum(k, np.uint64(OUTSIDE)).astype(np.uint32) for k in wide], None
    table = np.unique(np.concatenate([k.reshape(-1) for k in wide] + [np.array([WIDE_OUTSIDE], np.uint64)]))
    found = [np.searchsorted(table, k).astype(np.uint32) for k in wide]
    return [np.where(k == WIDE_OUTSIDE, np.uint32(OUTSIDE), f) for k, f in zip(wide, found, strict=True)], table
