"""How much a difference of grey level counts on a random walk: what channels are multiplied by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from sys import float_info
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, dtype_name, to_numpy
from .._monitor import note

__all__ = [
    "APART",
    "Beta",
    "Facts",
    "Scales",
    "WalkSettings",
    "scales_from",
    "scales_of",
    "told_apart",
    "unit_of",
    "unlike",
]

Beta = float | Literal["auto"]
"""How much differences of grey level count; ``"auto"`` takes it from how much neighbours differ."""

Scales = tuple[list[float], list[float]]
"""What each channel is multiplied by, after what is taken from it."""

SAMPLE = 1 << 20
"""About how many differences along each axis the mean difference is taken of."""

FEW = 1 << 14
"""As many are enough to see whether beta is far off."""

WALL = 23.0
"""An exponent from which on the weight of an edge is hardly more than the least."""

FAINT = 0.01
"""An exponent below which no edge of an image counts."""

APART = 1e17
"""How far grey levels lie apart at most after scaling: float32 holds the sum of the squares of many channels."""

EXACT = 2**53
"""Floats tell all integers below it apart."""


@dataclass(frozen=True, slots=True)
class WalkSettings:
    """What makes the weights, and when to stop.

    Parameters
    ----------
    beta : float or "auto"
        How much differences of grey level count.
    tolerance : float
        The estimated error of probabilities at which to stop.
    spacing : tuple of float or None
        World length of a voxel along each axis.
    unit : float
        What grey levels are multiplied by before they are compared, see `unit_of`.
    """

    beta: Beta
    tolerance: float
    spacing: tuple[float, ...] | None
    unit: float = 1.0


class Facts(NamedTuple):
    """What the weights need to know of a channel inside.

    Parameters
    ----------
    middle, spread : float
        Mean and standard deviation.
    half : float
        Half of the largest difference of grey levels.
    half_step : float
        Half of the mean absolute difference between neighbours, roughly unless it sets beta.
    """

    middle: float
    spread: float
    half: float
    half_step: float


def unit_of(image: Array) -> float:
    """Return what grey levels are multiplied by, so that a dtype's range is 1, as in ``skimage.img_as_float``."""
    dtype = np.dtype(dtype_name(image))
    if dtype.kind not in "iu":
        return 1.0
    info = np.iinfo(dtype)
    return 1 / info.max if dtype.kind == "u" else 2 / (int(info.max) - int(info.min))


def told_apart(channel: Array, inside: Array | None) -> Array:
    """Return a channel whose grey levels floats tell apart: large integers that lie close count from the smallest."""
    if dtype_name(channel) not in ("int64", "uint64") or _is_empty(inside):
        return channel
    low, high = _ends(channel, inside)
    return channel - low if max(-low, high) >= EXACT > high - low else channel


def _is_empty(inside: Array | None) -> bool:
    return inside is not None and not bool(array_namespace(inside).any(inside))


def scales_of(channels: Sequence[Array], inside: Array | None, settings: WalkSettings) -> Scales:
    """Return what each channel is multiplied by, after what is taken from it.

    Parameters
    ----------
    channels : sequence of arrays of one shape
        As `told_apart` returns them.
    inside : bool array or None
        Where to walk.
    settings : WalkSettings
        What makes the weights.

    Raises
    ------
    ValueError
        If no voxel is inside, or grey levels differ by so little that only distances would count.
    """
    if _is_empty(inside):
        raise ValueError("no finite voxel to count inside mask; check the image, or widen the mask")
    most = SAMPLE if settings.beta == "auto" else FEW
    facts = [
        Facts(*_spread(channel, inside), _half_span(channel, inside), _half_step(channel, inside, most))
        for channel in channels
    ]
    return scales_from(facts, settings)


def scales_from(facts: Sequence[Facts], settings: WalkSettings) -> Scales:
    """Return what each channel is multiplied by, after what is taken from it, from what is known of the channels.

    Raises
    ------
    ValueError
        If grey levels differ by so little that only distances would count.
    """
    middles, halves = [f.middle for f in facts], [f.half for f in facts]
    if settings.beta == "auto":
        scales = _scales_of_steps(facts, settings.unit)
    else:
        scales = _scales(float(settings.beta), settings.unit, middles, [f.spread for f in facts])
    scales = [
        min(scale, APART / half / 2, float_info.max) if half else scale
        for scale, half in zip(scales, halves, strict=True)
    ]
    _check_that_it_counts(settings.beta, scales, halves)
    _note_walls(settings.beta, scales, facts)
    return scales, middles


def _scales(beta: float, unit: float, middles: Sequence[float], spreads: Sequence[float]) -> list[float]:
    """Return the square root of beta over ten standard deviations of all channels, as in scikit-image."""
    n = len(spreads)
    middle = math.fsum(m / n for m in middles)
    between = math.hypot(*(m - middle for m in middles)) / math.sqrt(n)
    spread = math.hypot(between, math.hypot(*spreads) / math.sqrt(n))
    scale = math.sqrt(unit) * math.sqrt(beta / 10 / math.sqrt(n)) / math.sqrt(spread) if spread > 0 else 0.0
    return [scale] * n


def _spread(channel: Array, inside: Array | None) -> tuple[float, float]:
    """Return mean and standard deviation inside, without an overflow on the way."""
    xp = array_namespace(channel)
    values = xp.astype(channel if inside is None else channel[inside], xp.float64)
    size = float(xp.max(xp.abs(values)))
    if size == 0:
        return 0.0, 0.0
    values = values / size
    return float(xp.mean(values)) * size, float(xp.std(values)) * size


def _scales_of_steps(facts: Sequence[Facts], unit: float) -> list[float]:
    """Return the scales at which a difference of average size has an exponent of 1, over all channels.

    The mean is taken of absolute differences, those that are noise and those of edges, wherever they are. The noise of
    the background alone, as a median sees it, is less than that of bright objects, and would fill these with barriers.
    """
    n = len(facts)
    scales = [0.5 / (math.sqrt(n) * f.half_step) if f.half_step > 0 else 0.0 for f in facts]
    betas = [10 * math.sqrt(n) * f.spread * scale * scale / unit for f, scale in zip(facts, scales, strict=True)]
    note(beta=betas[0] if n == 1 else betas)  # what gives the same weights; of several channels each its own
    return scales


def _half_step(channel: Array, inside: Array | None, most: int) -> float:
    """Return half of the mean absolute difference between neighbours: of rows spread over it, or of all."""
    for enough in (most, math.prod(channel.shape)) if most == SAMPLE else (most,):
        step = mean_of([unlike(channel, inside, axis, enough) for axis, n in enumerate(channel.shape) if n > 1])
        if step > 0:
            return step
    return 0.0


def mean_of(differences: Sequence[NDArray[np.float64]]) -> float:
    """Return the mean of all values, without an overflow on the way."""
    values = np.concatenate([np.zeros(0), *differences])
    size = float(values.max(initial=0.0))
    return float(np.mean(values / size)) * size if size > 0 else 0.0


def unlike(channel: Array, inside: Array | None, axis: int, most: int = SAMPLE) -> NDArray[np.float64]:
    """Return half of the absolute differences between neighbours inside, of rows that are spread over the image."""
    others = [n for k, n in enumerate(channel.shape) if k != axis]
    step = max(math.ceil((math.prod(channel.shape) / most) ** (1 / max(len(others), 1))), 1)
    chosen = tuple(slice(None) if k == axis else slice(None, None, step) for k in range(channel.ndim))
    values = to_numpy(channel[chosen]).astype(np.float64) * 0.5
    with np.errstate(invalid="ignore"):  # of voxels that are not finite
        differences = np.abs(np.diff(values, axis=axis)).ravel()
    if inside is not None:
        here = to_numpy(inside[chosen])
        both = np.logical_and(
            np.take(here, range(1, here.shape[axis]), axis), np.take(here, range(here.shape[axis] - 1), axis)
        )
        differences = differences[both.ravel()]
    return differences[np.isfinite(differences)]


def _check_that_it_counts(beta: Beta, scales: Sequence[float], halves: Sequence[float]) -> None:
    """Raise if grey levels differ, and yet by so little that every edge has about the same weight."""
    largest = 2 * math.hypot(*(half * scale for half, scale in zip(halves, scales, strict=True)))
    if beta == 0 or not any(halves) or largest >= math.sqrt(FAINT):
        return
    way_out = "multiply it by a constant" if beta == "auto" else "pass beta='auto', or beta=0 if that is meant"
    raise ValueError(
        f"image spans {2 * max(halves):.3g} grey levels, so with beta={beta!r} no edge weighs less than "
        f"{math.exp(-(largest**2)):.6g} and only distances would count; {way_out}"
    )


def _note_walls(beta: Beta, scales: Sequence[float], facts: Sequence[Facts]) -> None:
    """Say so where even an average difference is a wall: then every voxel is a room of its own."""
    average = 2 * math.hypot(*(f.half_step * scale for f, scale in zip(facts, scales, strict=True)))
    if beta != "auto" and average * average > WALL:
        span = 2 * max(f.half for f in facts)
        note(
            warning=f"with beta={beta} even an average difference of neighbours is a wall, as grey levels span "
            f"{span:.3g} and are not divided by it; beta='auto' or a smaller one may be meant"
        )


def _half_span(channel: Array, inside: Array | None) -> float:
    """Return half of the largest difference of grey levels, which does not overflow."""
    low, high = _ends(channel, inside)
    return float(high / 2 - low / 2)


def _ends(channel: Array, inside: Array | None) -> tuple[Any, Any]:
    """Return the smallest and the largest grey level inside, as Python numbers."""
    xp = array_namespace(channel)
    values = channel if inside is None else channel[inside]
    kind = float if dtype_name(channel).startswith("float") else int
    return kind(xp.min(values)), kind(xp.max(values))
