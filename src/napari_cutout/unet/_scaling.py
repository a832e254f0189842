"""Grey levels in units of their spread over the whole image, so that a network sees the same in every tile."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, dtype_name, is_lazy
from .._plan import Pass, gathered

__all__ = [
    "Moments",
    "Scaling",
    "joined_moments",
    "moments_of",
    "moments_pass",
    "scaling_of",
    "scalings_of",
    "statistic",
]


@dataclass(frozen=True, slots=True)
class Scaling:
    """How grey levels of a channel become what a network sees: ``(value - shift) / factor``.

    Parameters
    ----------
    shift, factor : float
        Mean and standard deviation of the finite voxels of the whole channel; a factor of 1 where all are the same.
    """

    shift: float = 0.0
    factor: float = 1.0

    def __call__(self, block: NDArray[Any]) -> NDArray[np.float32]:
        """Return a block in float32; voxels that are not finite become 0, the mean."""
        exact = block.astype(np.float64)  # details on a large offset are lost in float32
        exact -= self.shift
        exact /= self.factor
        scaled = exact.astype(np.float32)
        if block.dtype.kind == "f":
            scaled[~np.isfinite(scaled)] = 0.0
        return scaled


@dataclass(frozen=True, slots=True)
class Moments:
    """Number, mean, and sum of squared differences from it."""

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def joined(self, other: Moments) -> Moments:
        """Return the moments of both together (Chan, Golub and LeVeque 1979)."""
        n = self.n + other.n
        if n == 0:
            return self
        apart = other.mean - self.mean
        return Moments(
            n, self.mean + apart * other.n / n, self.squares + other.squares + apart * apart * self.n * other.n / n
        )


def moments_of(_state: Any, block: Array) -> Moments:
    """Return the moments of the finite voxels of a block."""
    xp = array_namespace(block)
    values = xp.astype(block, xp.float64)
    if dtype_name(block).startswith("float"):
        finite = xp.isfinite(values)
        n = int(xp.sum(xp.astype(finite, xp.int64)))
        values = xp.where(finite, values, xp.zeros_like(values))
    else:
        finite, n = None, math.prod(block.shape)
    if n == 0:
        return Moments()
    mean = float(xp.sum(values)) / n
    apart = values - mean
    if finite is not None:
        apart = xp.where(finite, apart, xp.zeros_like(apart))
    return Moments(n, mean, float(xp.sum(apart * apart)))


moments_pass = Pass(
    moments_of, Moments.joined, lambda _, found: found, lambda _: True, "measuring the spread of grey levels"
)
"""The sweep over an image that `scaling_of` decides on."""


def joined_moments(parts: Sequence[Moments]) -> Moments:
    """Return the moments of all parts together."""
    return reduce(Moments.joined, parts, Moments())


def scaling_of(moments: Moments | None) -> Scaling:
    """Return the scaling that follows from the moments of a channel; refuse one without a finite voxel."""
    if moments is None or moments.n == 0:
        raise ValueError("image has no finite voxel to count (all are NaN or infinite); check it")
    spread = math.sqrt(moments.squares / moments.n)
    # Below what float64 resolves there is nothing to see, and dividing by it would make noise of it.
    resolved = spread > 1e-12 * max(abs(moments.mean), 1e-30)
    return Scaling(moments.mean, spread if resolved else 1.0)


def scalings_of(channels: Sequence[Array]) -> tuple[Any, ...]:
    """Return the scaling of every channel of an image, or of the whole that it is a part of; delayed if it is lazy."""
    return tuple(statistic(scaling_of, None, (moments_pass,), channel) for channel in channels)


def statistic(decide: Callable[[Any], Any], start: Any, passes: Sequence[Pass], *arrays: Array | None) -> Any:
    """Return what is decided on the statistics of arrays, or of the whole that they are a part of; delayed if lazy."""
    if is_lazy(arrays[0]):
        from ..blockwise import decided

        return decided(decide, start, passes, *arrays)
    return decide(gathered(start, passes, *arrays))
