"""Sums that do not depend on their order, and exponentials that do not depend on the library.

What is summed over all voxels is summed block by block, and blocks differ between a volume in memory, in tiles and on
a device. If every summand is a multiple of one quantum, and no sum has more quanta than float64 can count, every
addition is exact, and so the order cannot show. An exponential is a dozen multiplications and additions, each rounded
as IEEE 754 says, where those of NumPy, CuPy and the C library differ in the last bit.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ._array import Array, array_namespace, from_numpy
from ._compiled import inlined

QUANTUM_BITS = 24
"""Summands are multiples of 2^-24."""

ROUNDER = 1.5 * 2.0 ** (52 - QUANTUM_BITS)
"""Adding this to a float64 and taking it away again rounds it to a multiple of the quantum, if it is below 2^27 in
magnitude; larger ones keep their last places, or lose more. Sums are exact up to 2^29 in magnitude."""

LOWEST = -707.0
"""Exponentials of less are 0."""

LOG2E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10
"""The logarithm of 2 in two parts; the first has zeros at the end, so that small multiples of it are exact."""

LARGE_ROUNDER = 1.5 * 2.0**60
"""Adding this to a float64 and taking it away again rounds it to a multiple of 2^8."""

INTEGER_ROUNDER = 1.5 * 2.0**52
"""Adding this to a float64 and taking it away again rounds it to an integer."""

POWERS = np.ldexp(1.0, -np.arange(1075))
"""2 to the power of 0, -1, -2..."""

E2, E3, E4, E5, E6, E7, E8, E9, E10, E11, E12, E13 = (1.0 / math.factorial(n) for n in range(2, 14))
L3, L5, L7, L9, L11 = (1.0 / n for n in range(3, 12, 2))
SQRT2, LN2 = 1.4142135623730951, 0.6931471805599453


def rounded(values: Array) -> Array:
    """Return float64 values rounded to multiples of the quantum."""
    return (values + ROUNDER) - ROUNDER


def split(values: Array) -> tuple[Array, Array]:
    """Return float64 values of any size in two parts that can be summed exactly: multiples of 2^8, and the rest."""
    large = (values + LARGE_ROUNDER) - LARGE_ROUNDER
    return large, rounded(values - large)


def quanta(sums: Array) -> NDArray[np.object_]:
    """Return exact sums on the host as whole numbers of quanta, which add up without limit."""
    return np.asarray(np.vectorize(int, otypes=[object])(np.asarray(sums) * 2.0**QUANTUM_BITS), object)


def of_quanta(sums: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return whole numbers of quanta as float64."""
    return np.asarray(sums / 2**QUANTUM_BITS, np.float64)


def exp_of_negative(values: Array) -> Array:
    """Return the exponential of float64 values that are not positive.

    Parameters
    ----------
    values : float64 array
        0 or less, minus infinity included.

    Returns
    -------
    float64 array
        Right to about one unit in the last place; 0 below -707.

    References
    ----------
    .. [1] W. J. Cody and W. Waite, "Software Manual for the Elementary Functions", Prentice-Hall 1980, chapter 6.
    """
    xp = array_namespace(values)
    values = xp.clip(values, LOWEST, 0.0)
    n = (values * LOG2E + INTEGER_ROUNDER) - INTEGER_ROUNDER
    series = _exp_series((values - n * LN2_HIGH) - n * LN2_LOW)
    at = xp.reshape(xp.astype(-n, xp.int64), (-1,))
    powers = xp.reshape(xp.take(from_numpy(POWERS, like=values), at), values.shape)
    return xp.where(values > LOWEST, series * powers, xp.zeros_like(series))


def _exp_series(r: Array) -> Array:
    """Return the exponential near 0, by Horner's rule in the order of `exp_of`."""
    series = r * E13 + E12
    for factor in (E11, E10, E9, E8, E7, E6, E5, E4, E3, E2, 1.0, 1.0):
        series = series * r + factor
    return series


def log_of_sum(values: Array) -> Array:
    """Return the logarithm of float64 values from 1 to 64, right to 1e-9."""
    xp = array_namespace(values)
    result = xp.zeros_like(values)
    for _ in range(6):
        large = values > SQRT2
        result = xp.where(large, result + LN2, result)
        values = xp.where(large, values * 0.5, values)
    t = (values - 1.0) / (values + 1.0)
    square = t * t
    series = square * L11 + L9
    for factor in (L7, L5, L3, 1.0):
        series = series * square + factor
    return result + series * (t * 2.0)


@inlined
def exp_of(value: float, powers: NDArray[np.float64]) -> float:
    """Do what `exp_of_negative` does to one value, in a compiled loop that is given `POWERS`."""
    value = min(max(value, LOWEST), 0.0)
    n = (value * LOG2E + INTEGER_ROUNDER) - INTEGER_ROUNDER
    r = (value - n * LN2_HIGH) - n * LN2_LOW
    s = ((((((r * E13 + E12) * r + E11) * r + E10) * r + E9) * r + E8) * r + E7) * r + E6
    s = (((((s * r + E5) * r + E4) * r + E3) * r + E2) * r + 1.0) * r + 1.0
    return s * powers[np.int32(-n)] if value > LOWEST else 0.0


@inlined
def log_of(value: float) -> float:
    """Do what `log_of_sum` does to one value, in a compiled loop."""
    result = 0.0
    for _ in range(6):
        if value > SQRT2:
            result += LN2
            value *= 0.5
    t = (value - 1.0) / (value + 1.0)
    square = t * t
    series = ((((square * L11 + L9) * square + L7) * square + L5) * square + L3) * square + 1.0
    return result + series * (t * 2.0)


@inlined
def rounded_one(value: float) -> float:
    """Do what `rounded` does to one value, in a compiled loop."""
    return (value + ROUNDER) - ROUNDER
