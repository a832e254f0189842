"""Eigenvalues of a symmetric matrix at every voxel, from +, -, *, / and roots only.

The usual closed form for three dimensions takes an arc cosine and a cosine, whose last bits differ between libraries.
Here the cosine of a third of the angle is found as a root of 4c^3 - 3c = cos(3 angle) by Newton's method: between
sqrt(3)/2 and 1 the slope of that cubic is 6 to 9, so four steps from a straight line settle every bit that counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, contiguous, is_host
from .._compiled import compiled
from .._plan import blocks_of

TINY = 2.0**-1000
"""Matrices of no larger entries have eigenvalues of 0: their scale has no reciprocal."""

PIECE = 1 << 22
"""Matrices that array operations take at a time: enough to hide launches; 15 arrays of float64 are half a gigabyte."""

ROOT3 = math.sqrt(3)
LEAST = ROOT3 / 2
"""The least cosine of a third of an angle between 0 and 90 degrees."""


def symmetric_eigenvalues(upper: Sequence[Array]) -> list[Array]:
    """Return the eigenvalues of a symmetric matrix at every voxel, in rising order.

    Parameters
    ----------
    upper : sequence of float arrays of one shape
        The upper triangle, row by row: 3 arrays for 2 x 2 matrices, 6 for 3 x 3.

    Returns
    -------
    list of float arrays
        2 or 3, of the shape, dtype and library of the first of `upper`. NaN where an entry is not finite.

    Notes
    -----
    Exact: computed in float64 in a fixed order, the same bits on every device. They differ from the true eigenvalues
    by up to 5e-8 of the largest entry (two that nearly agree lose half of their digits, as in every closed form), which
    is the rounding of float32. Memory beyond the result: on the host none for 3 x 3, elsewhere half a gigabyte.
    """
    first = upper[0]
    if len(upper) == 6 and is_host(first):
        zz, zy, zx, yy, yx, xx = (contiguous(entry).reshape(-1) for entry in upper)
        found = np.empty((3, first.size), first.dtype)
        eigenvalues_3(zz, zy, zx, yy, yx, xx, found)
        return [row.reshape(first.shape) for row in found]
    xp = array_namespace(first)
    flat = [xp.reshape(entry, (-1,)) for entry in upper]
    pieces = [_in_float64([entry[piece] for entry in flat]) for (piece,) in blocks_of(flat[0], PIECE)]
    return [xp.reshape(xp.concat(column), first.shape) for column in zip(*pieces, strict=True)]


def _in_float64(upper: Sequence[Array]) -> list[Array]:
    """Return what `symmetric_eigenvalues` does, by array operations."""
    xp, of_the_shape = array_namespace(upper[0]), _of_2 if len(upper) == 3 else _of_3
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        scale, entries = _scaled([xp.astype(entry, xp.float64) for entry in upper])
        return [xp.astype(root * scale, upper[0].dtype) for root in of_the_shape(*entries)]


def _scaled(entries: Sequence[Array]) -> tuple[Array, list[Array]]:
    """Return the largest magnitude of the entries, and the entries over it, so that no square over- or underflows."""
    xp = array_namespace(entries[0])
    scale = abs(entries[0])
    for entry in entries[1:]:
        scale = xp.where(abs(entry) > scale, abs(entry), scale)
    scale = xp.where(scale > TINY, scale, xp.ones_like(scale))
    inverse = 1.0 / scale
    return scale, [entry * inverse for entry in entries]


def _of_2(yy: Array, yx: Array, xx: Array) -> tuple[Array, Array]:
    mean, half = (yy + xx) * 0.5, (yy - xx) * 0.5
    root = array_namespace(yy).sqrt(half * half + yx * yx)
    return mean - root, mean + root


def _of_3(zz: Array, zy: Array, zx: Array, yy: Array, yx: Array, xx: Array) -> tuple[Array, Array, Array]:
    """Return mean + p * (eigenvalues of the matrix B, whose trace is 0 and whose squares add up to 6)."""
    xp = array_namespace(zz)
    one, zero = xp.ones_like(zz), xp.zeros_like(zz)
    mean = (zz + yy + xx) / 3.0
    zz, yy, xx = zz - mean, yy - mean, xx - mean
    off = zy * zy + zx * zx + yx * yx
    p = xp.sqrt((zz * zz + yy * yy + xx * xx + 2.0 * off) / 6.0)
    inverse = 1.0 / xp.where(p > 0.0, p, one)
    zz, zy, zx, yy, yx, xx = (entry * inverse for entry in (zz, zy, zx, yy, yx, xx))
    det = zz * (yy * xx - yx * yx) - zy * (zy * xx - yx * zx) + zx * (zy * yx - yy * zx)
    cosine = abs(det) * 0.5
    c = LEAST + (1.0 - LEAST) * cosine
    for _ in range(4):
        square = c * c
        c = c - ((4.0 * square - 3.0) * c - cosine) / (12.0 * square - 3.0)
    rest = (1.0 - c) * (1.0 + c)  # rounding may take c above 1
    s = ROOT3 * xp.sqrt(xp.where(rest > 0.0, rest, zero))
    wide, narrow = c + c, c + s
    positive = det >= 0.0
    least, most = xp.where(positive, narrow, wide), xp.where(positive, wide, narrow)
    return mean - p * least, mean + p * xp.where(positive, s - c, c - s), mean + p * most


@compiled
def eigenvalues_3(
    zz: NDArray[np.floating],
    zy: NDArray[np.floating],
    zx: NDArray[np.floating],
    yy: NDArray[np.floating],
    yx: NDArray[np.floating],
    xx: NDArray[np.floating],
    found: NDArray[np.floating],
) -> None:
    """Write the eigenvalues of 3 x 3 matrices into the three rows of `found`: what `_of_3` does, voxel by voxel."""
    for i in range(zz.size):
        a, b, c = np.float64(zz[i]), np.float64(zy[i]), np.float64(zx[i])
        d, e, f = np.float64(yy[i]), np.float64(yx[i]), np.float64(xx[i])
        scale = _largest(a, b, c, d, e, f)
        inverse = 1.0 / scale
        least, middle, most = _roots(a * inverse, b * inverse, c * inverse, d * inverse, e * inverse, f * inverse)
        found[0, i], found[1, i], found[2, i] = least * scale, middle * scale, most * scale


@compiled
def _largest(zz: float, zy: float, zx: float, yy: float, yx: float, xx: float) -> float:
    scale = abs(zz)
    scale = abs(zy) if abs(zy) > scale else scale
    scale = abs(zx) if abs(zx) > scale else scale
    scale = abs(yy) if abs(yy) > scale else scale
    scale = abs(yx) if abs(yx) > scale else scale
    scale = abs(xx) if abs(xx) > scale else scale
    return scale if scale > TINY else 1.0


@compiled
def _roots(zz: float, zy: float, zx: float, yy: float, yx: float, xx: float) -> tuple[float, float, float]:
    mean = (zz + yy + xx) / 3.0
    zz, yy, xx = zz - mean, yy - mean, xx - mean
    off = zy * zy + zx * zx + yx * yx
    p = np.sqrt((zz * zz + yy * yy + xx * xx + 2.0 * off) / 6.0)
    inverse = 1.0 / (p if p > 0.0 else 1.0)
    zz, zy, zx, yy, yx, xx = zz * inverse, zy * inverse, zx * inverse, yy * inverse, yx * inverse, xx * inverse
    det = zz * (yy * xx - yx * yx) - zy * (zy * xx - yx * zx) + zx * (zy * yx - yy * zx)
    cosine = abs(det) * 0.5
    c = LEAST + (1.0 - LEAST) * cosine
    for _ in range(4):
        square = c * c
        c = c - ((4.0 * square - 3.0) * c - cosine) / (12.0 * square - 3.0)
    rest = (1.0 - c) * (1.0 + c)
    s = ROOT3 * np.sqrt(rest if rest > 0.0 else 0.0)
    wide, narrow, middle = c + c, c + s, c - s
    if det >= 0.0:
        wide, narrow, middle = narrow, wide, s - c
    return mean - p * wide, mean + p * middle, mean + p * narrow
