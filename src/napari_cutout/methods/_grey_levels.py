"""Grey levels as counts: the histogram of any image in blocks, and cuts of the grey scale applied to voxels.

Every method that sees an image only through its grey levels is three pieces: count (touches voxels),
decide (a few hundred numbers, on the host), classify (touches voxels). The first and the last are here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, bincount, dtype_name, from_numpy, is_host
from .._compiled import compiled
from .._method import Image
from .._monitor import note
from .._plan import Pass, Reduce
from ..processing.segment import inside, known_voxels

N_BINS = 65_536
"""Bins of an image whose grey levels are not small integers."""

MAX_EXACT = 2**53
"""Largest integer up to which float64 holds all integers."""

TAIL = 0.0001
"""The share of voxels, but at least one, that may lie beyond either end of bins that were narrowed."""

MAX_NARROWINGS = 2
"""How often the bins are narrowed: the second time finds the quantiles within the bins of the first."""


NOTHING_FINITE = "image has no finite voxel to count (all are NaN, infinite or outside mask); check it"


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of the grey levels of an image.

    Parameters
    ----------
    counts : int64 array of shape (n,)
        Voxels in each bin.
    values : float64 array of shape (n,)
        Centre of each bin; the grey level itself where a bin holds one integer.
    edges : float64 array of shape (n,)
        Largest grey level of each bin: a voxel lies in bin i or below if its value is <= ``edges[i]``.
    exact : bool
        True if every bin holds one integer.
    narrowed : bool
        True if a few extreme voxels made the bins useless, so that the bins span the 0.01 to 99.99 %
        quantiles and the tails went into the first and last bin.
    """

    counts: NDArray[np.int64]
    values: NDArray[np.float64]
    edges: NDArray[np.float64]
    exact: bool = True
    narrowed: bool = False

    @property
    def total(self) -> int:
        """Number of voxels that were counted."""
        return int(self.counts.sum())

    def occupied(self) -> Histogram:
        """Return the histogram without its empty bins."""
        return self._take(np.flatnonzero(self.counts))

    def rebinned(self, n_bins: int = 256) -> Histogram:
        """Return the histogram with neighbouring bins joined until there are at most `n_bins`.

        If one of them would then hold over half of all voxels, only the bins between the 0.01 and the 99.99 %
        quantile are joined, and the tails go into the first and the last.
        """
        if len(self.counts) <= n_bins:
            return self
        joined = self._joined(n_bins)
        return joined if 2 * int(joined.counts.max()) <= self.total else self._trimmed()._joined(n_bins)

    def _trimmed(self) -> Histogram:
        first, last = quantile_bins(self.counts)
        if first == last:  # nothing would be left to tell apart
            return self
        trimmed = self._take(np.arange(first, last + 1))
        counts = trimmed.counts.copy()
        counts[0] += self.counts[:first].sum()
        counts[-1] += self.counts[last + 1 :].sum()
        return replace(trimmed, counts=counts, narrowed=self.narrowed or last - first + 1 < len(self.counts))

    def _joined(self, n_bins: int) -> Histogram:
        n = len(self.counts)
        if n <= n_bins:
            return self
        first = -(-np.arange(n_bins) * n // n_bins)  # the first bin of each group, rounded up
        last = np.append(first[1:], n) - 1
        return replace(
            self,
            counts=np.add.reduceat(self.counts, first),
            values=(self.values[first] + self.values[last]) / 2,
            edges=self.edges[last],
            exact=False,
        )

    def _take(self, at: NDArray[np.intp]) -> Histogram:
        return replace(self, counts=self.counts[at], values=self.values[at], edges=self.edges[at])


def levels(histogram: Histogram, wanted: int, name: str) -> Histogram:
    """Return the bins that are not empty.

    Raises
    ------
    ValueError
        If there are fewer of them than `wanted`.
    """
    occupied = histogram.occupied()
    found = len(occupied.counts)
    if found < wanted:
        only = f"every voxel is {occupied.values[0]:g}" if found == 1 else f"there are {found}"
        raise ValueError(_too_few_levels(name, wanted, only))
    return occupied


def _too_few_levels(name: str, wanted: int, found: str) -> str:
    more = "ask for fewer classes, or check" if wanted > 2 else "check"
    return (
        f"{name} needs at least {wanted} grey levels in the image, but {found}; "
        f"{more} that the image (and its mask) is the right one"
    )


def quantile_bins(counts: NDArray[np.int64]) -> tuple[int, int]:
    """Return the bins that hold the 0.01 and the 99.99 % quantile; one voxel at either end counts as beyond."""
    below = np.cumsum(counts)
    total = int(below[-1])
    tail = max(TAIL * total, 1.0)
    if 2 * tail >= total:
        return 0, len(counts) - 1
    return int(np.searchsorted(below, tail, side="right")), int(np.searchsorted(below, total - tail, side="left"))


@dataclass(frozen=True, slots=True)
class Bins:
    """Where the bins lie, and what was counted in them so far.

    Parameters
    ----------
    low, high : float
        Smallest and largest grey level that the bins span.
    n : int
        Number of bins; 0 as long as the span is not known.
    exact : bool
        True if every bin holds one integer, from `low` on.
    counts : int64 array of shape (n,), optional
        What was counted.
    recount : bool
        True if the bins have moved since.
    narrowings : int
        How often they have moved.
    """

    low: float = 0.0
    high: float = 0.0
    n: int = 0
    exact: bool = False
    counts: NDArray[np.int64] | None = field(default=None, compare=False)
    recount: bool = True
    narrowings: int = 0

    @property
    def scale(self) -> float:
        """Bins per grey level; 0 where all finite voxels are equal."""
        span = self.high - self.low
        return 1.0 if self.exact else self.n / span if span else 0.0

    def edges(self) -> NDArray[np.float64]:
        """Return the largest grey level of every bin."""
        if self.exact:
            return np.asarray(self.low + np.arange(self.n, dtype=np.float64))
        return np.asarray(self.low + np.arange(1, self.n + 1) * ((self.high - self.low) / self.n))

    def histogram(self) -> Histogram:
        """Return what was counted, without the empty bins at both ends.

        Raises
        ------
        ValueError
            If no voxel was counted.
        """
        counts = self.counts
        if counts is None or not counts.any():
            raise ValueError(NOTHING_FINITE)
        edges = self.edges()
        half_bin = 0.0 if self.exact else (self.high - self.low) / self.n / 2
        at = np.flatnonzero(counts)
        full = Histogram(counts, edges - half_bin, edges, self.exact, self.narrowings > 0)
        return full._take(np.arange(at[0], at[-1] + 1))


def counting(image: Image) -> tuple[Bins, tuple[Pass, ...]]:
    """Return how to count the grey levels of `image`: the state to begin with, and the passes."""
    name = dtype_name(image)
    if name in ("uint8", "int8", "uint16", "int16"):
        info = np.iinfo(name)
        known = Bins(float(info.min), float(info.max), int(info.max) - int(info.min) + 1, exact=True)
        return known, (_COUNT,)
    return Bins(), (_EXTENT, _COUNT) + (_RECOUNT,) * MAX_NARROWINGS


def reduce_grey_levels(image: Image, decide: Callable[[Histogram], Cuts], *, dtype: str = "uint8") -> Reduce:
    """Return the plan that counts grey levels, lets `decide` choose cuts, and classifies every voxel.

    Parameters
    ----------
    image : array
        The image that the plan will run on; only its dtype is looked at.
    decide : callable
        From a `Histogram` to `Cuts`; sees no voxel.
    dtype : str
        The dtype of the labels.

    Returns
    -------
    Reduce
        Takes the image and a mask or None.
    """
    start, passes = counting(image)
    return Reduce(start, passes, lambda bins: decide(noted(bins.histogram())), classify, dtype)


def noted(histogram: Histogram) -> Histogram:
    """Keep in the provenance that the bins were narrowed, if they were."""
    if histogram.narrowed:
        note(histogram="a few voxels are extreme, so the bins span the 0.01 to 99.99 % quantiles")
    return histogram


# Passes ----------------------------------------------------------------------------------------------


def _extent(_: Any, image: Array, mask: Array | None, *__: Array | None) -> tuple[Any, Any] | None:
    """Return the smallest and the largest finite grey level of a block, as Python numbers."""
    xp = array_namespace(image)
    number: Callable[[Any], Any] = int if dtype_name(image).startswith(("int", "uint")) else float
    if mask is None:
        low, high = number(xp.min(image)), number(xp.max(image))
        if math.isfinite(low) and math.isfinite(high):  # then there is no NaN either: it would spread
            return low, high
    counted = image[counted_voxels(image, mask)]
    return (number(xp.min(counted)), number(xp.max(counted))) if math.prod(counted.shape) else None


def _wider(a: tuple[Any, Any] | None, b: tuple[Any, Any] | None) -> tuple[Any, Any] | None:
    if a is None or b is None:
        return a or b
    return min(a[0], b[0]), max(a[1], b[1])


def _spanned(_: Bins, extent: tuple[Any, Any] | None) -> Bins:
    """Lay the bins over the extent: one per integer where that is possible, equal ones elsewhere."""
    if extent is None:
        return Bins(counts=np.zeros(0, np.int64), recount=False)
    low, high = extent
    if isinstance(low, int) and high - low < N_BINS:
        if max(abs(low), abs(high)) > MAX_EXACT:
            raise ValueError(
                f"image spans the integers {low} to {high}, which float64 cannot tell apart; subtract {low} from it"
            )
        return Bins(float(low), float(high), high - low + 1, exact=True)
    low, high = float(low), float(high)
    if low == high:
        return Bins(low, high, 1)
    span = high - low
    finest = span / math.ulp(max(abs(low), abs(high)))  # narrower bins would share their edges
    n = int(min(N_BINS, max(finest, 1.0)))
    if not (math.isfinite(span) and math.isfinite(n / span)):
        raise ValueError(f"image spans {low} to {high}, which float64 cannot divide into {n} bins; rescale the image")
    return Bins(low, high, n)


def _count(bins: Bins, image: Array, mask: Array | None, *_: Array | None) -> NDArray[np.int64] | None:
    """Count the grey levels of a block."""
    if not bins.recount:
        return None
    if is_host(image):
        return _count_on_host(bins, image, mask)
    xp = array_namespace(image)
    keep = counted_voxels(image, mask)
    index = bin_index(bins, image)
    if keep is not None:
        index = xp.where(keep, index, xp.full_like(index, bins.n))
    return bincount(index, bins.n + 1)[: bins.n]


def bin_index(bins: Bins, image: Array) -> Array:
    """Return the bin of every voxel, int64; that of NaN means nothing."""
    xp = array_namespace(image)
    if bins.exact:
        return xp.astype(image, xp.int64) - int(bins.low)
    position = (xp.astype(image, xp.float64) - bins.low) * bins.scale
    position = xp.where(xp.isnan(position), xp.zeros_like(position), position)
    inside = xp.clip(position, 0.0, float(bins.n - 1))
    return xp.astype(xp.floor(inside), xp.int64)


def counted_voxels(image: Array, mask: Array | None) -> Array | None:
    """Return which voxels count, or None if all do."""
    xp = array_namespace(image)
    keep = inside(mask)
    if dtype_name(image).startswith("float"):
        finite = xp.isfinite(image)
        keep = finite if keep is None else keep & finite
    return keep


def _count_on_host(bins: Bins, image: NDArray[Any], mask: NDArray[Any] | None) -> NDArray[np.int64]:
    """Do what the array-namespace lines of `_count` do, in one sweep without temporaries."""
    counts = np.zeros(bins.n, np.int64)
    grey = host_block(image if mask is None else image[mask != 0])
    if bins.exact:
        _count_integers(grey, int(bins.low), counts)
    else:
        _count_reals(grey, bins.low, bins.scale, counts)
    return counts


@compiled
def _count_integers(grey: NDArray[Any], low: int, counts: NDArray[np.int64]) -> None:
    for i in range(grey.size):  # an unsigned index spares Numba the check for counting from the end
        counts[np.uint64(np.int64(grey[i]) - low)] += 1


@compiled
def _count_reals(grey: NDArray[Any], low: float, scale: float, counts: NDArray[np.int64]) -> None:
    last = counts.size - 1
    for i in range(grey.size):
        value = np.float64(grey[i])
        if np.isfinite(value):
            position = (value - low) * scale
            counts[np.uint64(0 if position < 0.0 else last if position > last else int(position))] += 1


def _added(a: NDArray[np.int64] | None, b: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
    return a if b is None else b if a is None else a + b


def _settled(bins: Bins, counts: NDArray[np.int64] | None) -> Bins:
    """Keep the counts; where one bin holds over half of the voxels, move the bins to the quantiles."""
    if counts is None:
        return bins
    total = int(counts.sum())
    settled = replace(bins, counts=counts, recount=False)
    crowded = 2 * int(counts.max()) > total or bins.narrowings > 0  # the second time sharpens the first
    if bins.exact or total == 0 or not crowded or bins.narrowings == MAX_NARROWINGS:
        return settled
    first, last = quantile_bins(counts)
    width = (bins.high - bins.low) / bins.n
    low, high = bins.low + first * width, bins.low + (last + 1) * width
    finest = (high - low) / math.ulp(max(abs(low), abs(high)))
    if high - low >= bins.high - bins.low or finest < bins.n:
        return settled
    return replace(settled, low=low, high=high, recount=True, narrowings=bins.narrowings + 1)


def two_levels(name: str, extent: tuple[float, float] | None) -> tuple[float, float]:
    """Return the range of grey levels.

    Raises
    ------
    ValueError
        If no voxel is finite, or all are equal.
    """
    if extent is None:
        raise ValueError(NOTHING_FINITE)
    if extent[0] == extent[1]:
        raise ValueError(_too_few_levels(name, 2, f"every voxel is {extent[0]:g}"))
    return extent


EXTENT = Pass(_extent, _wider, lambda _, extent: extent, lambda _: True, "finding the range of grey levels")
"""The smallest and the largest finite grey level as the state, or None if there is none."""

_EXTENT = Pass(_extent, _wider, _spanned, lambda bins: bins.n == 0, "finding the range of grey levels")
_COUNT = Pass(_count, _added, _settled, lambda bins: bins.recount, "counting grey levels")
_RECOUNT = replace(_COUNT, name="counting again without extreme voxels")


# Classes of grey levels ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cuts:
    """A step function of the grey level.

    Parameters
    ----------
    thresholds : tuple of float
        Rising. A voxel's step is the number of thresholds that lie *below* its value.
    classes : tuple of int
        The class of each step, one more than there are thresholds.
    """

    thresholds: tuple[float, ...]
    classes: tuple[int, ...]

    @staticmethod
    def rising(thresholds: NDArray[np.float64]) -> Cuts:
        """Return the cuts that give classes 1 to n by rising grey level."""
        return Cuts(tuple(map(float, thresholds)), tuple(range(1, len(thresholds) + 2)))

    @staticmethod
    def of_bins(edges: NDArray[np.float64], classes: NDArray[np.integer[Any]]) -> Cuts:
        """Return the cuts that give every voxel the class of its bin."""
        ends = np.flatnonzero(np.diff(classes))
        starts = np.append(0, ends + 1)
        return Cuts(tuple(map(float, edges[ends])), tuple(int(c) for c in classes[starts]))


def above(threshold: float, objects: str) -> Cuts:
    """Return the cut that makes what is brighter than `threshold` (or what is not) class 1."""
    return Cuts((float(threshold),), (0, 1) if objects == "bright" else (1, 0))


def classify(cuts: Cuts, image: Array, mask: Array | None, *_: Array | None) -> Array:
    """Return the class of every voxel of a block, uint8; 0 where it is NaN or outside `mask`."""
    xp = array_namespace(image)
    name = dtype_name(image)
    limits = comparable(cuts.thresholds, name)
    classes = np.asarray(cuts.classes[len(cuts.thresholds) - len(limits) :], np.uint8)
    if is_host(image):
        labels = _classify_on_host(host_block(image), limits, classes)
    else:
        step = xp.searchsorted(from_numpy(limits, like=image), xp.reshape(image, (-1,)), side="left")
        labels = xp.take(from_numpy(classes, like=image), step)
    labels = xp.reshape(labels, image.shape)
    known = known_voxels(image, mask)
    return labels if known is None else labels * xp.astype(known, xp.uint8)


def comparable(thresholds: tuple[float, ...], dtype: str) -> NDArray[Any]:
    """Round thresholds down to what `dtype` can hold, so that comparing in that dtype is exact.

    For a value v of that dtype and a real threshold t, v > t if and only if v > (the largest value of the
    dtype that is not above t). Thresholds below every value of the dtype are left out: all voxels are above.
    """
    wanted = np.asarray(thresholds, np.float64)
    if dtype.startswith("float"):
        kind = np.dtype(dtype).type
        with np.errstate(over="ignore"):
            rounded = wanted.astype(kind)
            lower = np.nextafter(rounded, kind(-np.inf))
        return np.where(rounded.astype(np.float64) > wanted, lower, rounded)
    lowest, highest = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    floors = [min(math.floor(t), highest) if math.isfinite(t) else (highest if t > 0 else lowest - 1) for t in wanted]
    return np.asarray([f for f in floors if f >= lowest], dtype)


def host_block(block: NDArray[Any]) -> NDArray[Any]:
    """Return a host block as Numba wants it: flat, native byte order, no 16-bit floats."""
    flat = block.reshape(-1)
    if flat.dtype.kind == "f" and flat.dtype.itemsize == 2:
        return flat.astype(np.float32)
    return flat if flat.dtype.isnative else flat.astype(flat.dtype.newbyteorder("="))


def _classify_on_host(grey: NDArray[Any], limits: NDArray[Any], classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    labels = np.empty(grey.size, np.uint8)
    if limits.size == 1:
        _classify_at_one(grey, limits.astype(grey.dtype)[0], classes[0], classes[1], labels)
    elif grey.dtype.kind in "iu" and grey.dtype.itemsize <= 2:
        levels = np.arange(np.iinfo(grey.dtype).min, np.iinfo(grey.dtype).max + 1)
        _look_up(grey, int(levels[0]), classes[np.searchsorted(limits, levels, side="left")], labels)
    else:
        _classify_at_many(grey, limits.astype(grey.dtype), classes, labels)
    return labels


@compiled
def _classify_at_one(grey: NDArray[Any], limit: Any, low: int, high: int, labels: NDArray[np.uint8]) -> None:
    for i in range(grey.size):
        labels[i] = high if grey[i] > limit else low


@compiled
def _look_up(grey: NDArray[Any], low: int, table: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
    for i in range(grey.size):
        labels[i] = table[np.uint64(np.int64(grey[i]) - low)]


@compiled
def _classify_at_many(
    grey: NDArray[Any], limits: NDArray[Any], classes: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> None:
    for i in range(grey.size):
        step, count = 0, limits.size
        while count > 0:
            half = count // 2
            if grey[i] > limits[step + half]:
                step += half + 1
                count -= half + 1
            else:
                count = half
        labels[i] = classes[step]
