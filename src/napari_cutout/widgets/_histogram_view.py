"""What the plot of a histogram draws, as plain numbers: bars no narrower than a pixel, ticks, lines.  No Qt here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..methods._grey_levels import Histogram

__all__ = [
    "Bars",
    "Component",
    "Scale",
    "bars",
    "beyond",
    "bounds",
    "central",
    "component_counts",
    "count_ticks",
    "drawn",
    "heights",
    "level_text",
    "outline",
    "snapped",
    "tints",
    "top",
]

Scale = Literal["linear", "log"]
"""How the height of a bar follows its count."""

FLOOR = math.log10(0.5)
"""Where a logarithmic scale begins, so that a count of 1 has a height."""

HEADROOM = 1.05
"""How much higher the plot is than its highest bar."""

GAP = 0.15
"""The share of a wide bar that is left free on either side, so that few levels are seen one by one."""

NARROW = 16
"""How many times the range of grey levels is as wide as half of the widest bar."""

RARE = 1e-3
"""Share of the voxels, at either end, that need not be in view at first."""

AROUND = 0.25
"""How much of the range of all others is shown on either side of it."""

FINEST = 1000
"""Into how many steps dragging divides the span of a histogram, and how close two lines may come."""


@dataclass(frozen=True, slots=True)
class Bars:
    """Neighbouring bars, ready to be joined for any width.

    Parameters
    ----------
    borders : float64 array of shape (n + 1,)
        Where each bar begins and ends, in grey levels.
    counts : int64 array of shape (n,)
        Voxels in each bar.
    span : tuple of float
        The grey levels between which a plot shows them.
    whole : bool
        True if grey levels are integers.
    """

    borders: NDArray[np.float64]
    counts: NDArray[np.int64]
    span: tuple[float, float]
    whole: bool = False


def drawn(histogram: Histogram) -> Bars:
    """Return the bars of a histogram as `napari_cutout.histogram` gives it, one per bin.

    Where integers come in steps, as those of a camera of 12 bits in a file of 16 do, there is one bar per step:
    joined by any other number, bars would be high and low in turns.
    """
    first = float(histogram.values[0])
    if histogram.exact:
        occupied = np.flatnonzero(histogram.counts)
        step = int(np.gcd.reduce(np.diff(occupied))) if len(occupied) > 1 else 1
        counts = histogram.counts[::step]
        last = first + step * (len(counts) - 1)
        beyond = min(step / 2, max(0.5, (last - first) / NARROW))
        borders = np.asarray(first + step * (np.arange(len(counts) + 1) - 0.5), np.float64)
        return Bars(borders, counts, (first - beyond, last + beyond), whole=True)
    half = float(histogram.edges[0]) - first
    low, high = first - half, float(histogram.edges[-1])
    if low < high:
        return Bars(np.concatenate([[low], histogram.edges]), histogram.counts, (low, high))
    half = max(abs(first) * 1e-3, 1e-3)  # all voxels are equal, and their only bin has no width
    low, high = first - half, first + half
    return Bars(np.array([low, high]), histogram.counts, (low, high))


def bars(found: Bars, low: float, high: float, most: int) -> Bars:
    """Return at most `most` bars for the grey levels from `low` to `high`.

    Every bar joins the same number of those of `found`, counted from the first of these, so that no bar is higher
    only because it joins more of them, bars stay as they are while the plot is moved sideways, and no voxel is lost.

    Parameters
    ----------
    found : Bars
        All bars.
    low, high : float
        What is in view; bars that reach into it are returned whole.
    most : int
        About how many bars can be told apart: the width in pixels.

    Returns
    -------
    Bars
        What to draw.
    """
    n = len(found.counts)
    first = int(np.clip(np.searchsorted(found.borders, low, side="right") - 1, 0, n - 1))
    last = int(np.clip(np.searchsorted(found.borders, high, side="left") - 1, first, n - 1))
    joined = math.ceil((last - first + 1) / max(most, 1))
    starts = np.arange(first // joined * joined, last + 1, joined)
    stop = min(int(starts[-1]) + joined, n)
    counts = np.add.reduceat(found.counts[:stop], starts)
    return replace(found, borders=found.borders[np.append(starts, stop)], counts=counts)


def central(found: Bars, marks: Sequence[float] = ()) -> tuple[float, float]:
    """Return which grey levels are in view at first: all, unless a few voxels would take more than half of the width.

    Parameters
    ----------
    found : Bars
        All bars.
    marks : sequence of float
        Grey levels that are in view in any case.

    Returns
    -------
    tuple of float
        The lowest and the highest.
    """
    low, high = found.span
    first, last = most_of(found)
    around = AROUND * (last - first)
    first, last = min([first, *marks]) - around, max([last, *marks]) + around
    first, last = max(first, low), min(last, high)
    return (first, last) if 2 * (last - first) < high - low else (low, high)


def most_of(found: Bars) -> tuple[float, float]:
    """Return between which grey levels all voxels are but the rarest at either end."""
    below = np.cumsum(found.counts)
    first = int(np.searchsorted(below, RARE * below[-1], side="right"))
    last = int(np.searchsorted(below, (1 - RARE) * below[-1]))
    return float(found.borders[first]), float(found.borders[max(first, last) + 1])


def beyond(found: Bars, low: float, high: float) -> str:
    """Say which share of the voxels is in no bar that reaches into a range; empty if there are none."""
    outside = (found.borders[1:] <= low) | (found.borders[:-1] >= high)
    share = 100 * float(found.counts[outside].sum() / max(found.counts.sum(), 1))
    if not share:
        return ""
    return f"{share:.2g} % beyond" if share >= 0.01 else "< 0.01 % beyond"


def heights(counts: NDArray[np.number[Any]], scale: Scale) -> NDArray[np.float64]:
    """Return how high bars of these counts are; what is below half a voxel has no height where it is logarithmic."""
    if scale == "linear":
        return counts.astype(np.float64)
    return np.asarray(np.log10(np.maximum(counts, 10.0**FLOOR)) - FLOOR, np.float64)


def top(counts: NDArray[np.int64], scale: Scale) -> float:
    """Return the height of a plot of these counts."""
    return HEADROOM * float(heights(np.atleast_1d(counts.max(initial=1)), scale)[0])


def outline(found: Bars, height: NDArray[np.float64], apart: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the steps of a curve that goes around all bars.

    Parameters
    ----------
    found : Bars
        What to draw.
    height : float64 array of shape (n,)
        The height of each bar.
    apart : bool
        Whether to leave gaps between them.

    Returns
    -------
    x : float64 array of shape (m + 1,)
        Where each step begins and ends.
    y : float64 array of shape (m,)
        The height of each step.
    """
    if not apart:
        return found.borders, height
    low, high = found.span
    widest = (high - low) / (NARROW + 2)
    half = np.minimum((0.5 - GAP) * np.diff(found.borders), widest)
    centre = (found.borders[:-1] + found.borders[1:]) / 2
    x = np.stack([centre - half, centre + half], axis=1).ravel()
    y = np.zeros(len(x) - 1)
    y[::2] = height
    return x, y


def count_ticks(highest: float, scale: Scale) -> list[tuple[float, str]]:
    """Return the height and the text of up to four ticks of the axis of counts.

    Parameters
    ----------
    highest : float
        The height of the plot.
    scale : {"linear", "log"}
        How heights follow counts.

    Returns
    -------
    list of tuple of float and str
        Rising.
    """
    if scale == "linear":
        step = _round_step(highest / 3)
        return [(k * step, _short(k * step)) for k in range(int(highest / step) + 1)]
    decades = int(highest + FLOOR)
    every = max(1, math.ceil((decades + 1) / 4))
    return [(k - FLOOR, _short(10.0**k)) for k in range(0, decades + 1, every)]


def _round_step(least: float) -> float:
    """Return the smallest of 1, 2, 5, 10, 20, 50... that is not below `least`."""
    decade = 10.0 ** math.floor(math.log10(max(least, 1.0)))
    return next(m * decade for m in (1, 2, 5, 10) if m * decade >= least)


def _short(count: float) -> str:
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:g}{letter}"
    return f"{count:g}"


# Components of a mixture --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Component:
    """A normal distribution that was fitted to a histogram.

    Parameters
    ----------
    weight : float
        Its share of all voxels.
    mean : float
        In grey levels.
    variance : float
        In squared grey levels.
    """

    weight: float
    mean: float
    variance: float


def component_counts(found: Component, x: NDArray[np.float64], total: int, width: float) -> NDArray[np.float64]:
    """Return how many voxels of a component lie in a bar around each of some grey levels.

    Parameters
    ----------
    found : Component
        What was fitted.
    x : float64 array of shape (n,)
        Grey levels.
    total : int
        Voxels of all components.
    width : float
        Width of a bar, in grey levels.

    Returns
    -------
    float64 array of shape (n,)
        Such counts as bars have.
    """
    height = found.weight * total * width / math.sqrt(2 * math.pi * found.variance)
    return height * np.exp(-0.5 * (x - found.mean) ** 2 / found.variance)


# Lines at grey levels ----------------------------------------------------------------------------------


def level_text(value: float, found: Bars) -> str:
    """Return a grey level with as many digits as the span of the histogram makes worth while."""
    low, high = found.span
    if found.whole and value == round(value):
        return f"{value:.0f}"
    digits = 3 - math.floor(math.log10(high - low))
    return f"{value:.{digits}f}" if 0 <= digits <= 6 else f"{value:.5g}"


def snapped(value: float, found: Bars) -> float:
    """Return the grey level that dragging to about `value` means: an integer of an integer image, else a round one."""
    low, high = found.span
    grid = 10.0 ** math.floor(math.log10((high - low) / FINEST))
    if found.whole:
        grid = max(grid, 1.0)
    return float(f"{round(value / grid) * grid:.12g}")


def bounds(levels: Sequence[float], index: int, found: Bars) -> tuple[float, float]:
    """Return between which grey levels a line may be moved, so that levels keep rising."""
    low, high = found.span
    least = (high - low) / FINEST
    if found.whole:
        least = max(least, 1.0)
    here = levels[index]
    below = levels[index - 1] + least if index > 0 else low
    above = levels[index + 1] - least if index + 1 < len(levels) else high
    return min(below, here), max(above, here)


def tints(levels: Sequence[float], found: Bars) -> list[tuple[float, float]]:
    """Return where each class begins and ends, from the lowest to the highest; empty ones have no width."""
    low, high = found.span
    inside = [min(max(level, low), high) for level in levels]
    return list(zip([low, *inside], [*inside, high], strict=True))
