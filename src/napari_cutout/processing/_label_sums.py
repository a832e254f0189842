"""Sums per label that add over blocks: everything that `measure` must know of an array, and all that touches voxels.

Coordinates are whole numbers, so their sums are whole numbers too: int64, or Python's own where a volume is so large
that int64 could overflow. They are the same for every tiling, library and device.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, bincount, dtype_name, from_numpy, is_host, to_numpy
from .._compiled import compiled

__all__ = ["ChannelSums", "LabelSums", "Segments", "block_sums", "gathered", "merged", "ranked"]

MAX_LABEL = 2**63 - 1
"""Largest label that int64 holds."""

SAFE = 2**61
"""Sums that may grow beyond this are kept as Python's whole numbers; what is left of int64 is room to centre them."""

NARROW = ("bool", "int8", "uint8", "int16", "uint16")
"""Whole numbers whose squares are summed exactly."""

Ints = NDArray[Any]
"""int64, or Python's whole numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class ChannelSums:
    """What is known of the grey levels of each label.

    Parameters
    ----------
    count : int64 array of shape (n,)
        Voxels that are not NaN.
    total : array of shape (n,)
        Sum of the grey levels: whole numbers for an integer image, else float64.
    square : array of shape (n,)
        Sum of the squared grey levels where `exact`, else of the squared distances to the mean, as float64.
    low, high : arrays of shape (n,)
        Smallest and largest grey level; 0 where `count` is 0.
    exact : bool
        True for integers of up to 16 bits.
    """

    count: Ints
    total: NDArray[Any]
    square: NDArray[Any]
    low: NDArray[Any]
    high: NDArray[Any]
    exact: bool


@dataclass(frozen=True, slots=True, eq=False)
class LabelSums:
    """What is known of each label of each frame; rows rise by frame, then by label, and 0 is left out.

    Parameters
    ----------
    frame, label : int64 arrays of shape (n,)
        Which object it is.
    count : array of shape (n,)
        Voxels.
    first : array of shape (n, d)
        Sum of the coordinates along each axis, in voxels from the origin of the whole.
    second : array of shape (n, d (d + 1) / 2)
        Sums of the products of two coordinates, in the order of `combinations_with_replacement`.
    low, high : int64 arrays of shape (n, d)
        Smallest and largest coordinate.
    channels : tuple of ChannelSums
        One for each channel.
    """

    frame: Ints
    label: Ints
    count: Ints
    first: Ints
    second: Ints
    low: Ints
    high: Ints
    channels: tuple[ChannelSums, ...] = ()

    def __len__(self) -> int:
        return len(self.label)


def pairs_of(ndim: int) -> list[tuple[int, int]]:
    """Return the pairs of axes whose products are summed."""
    return list(itertools.combinations_with_replacement(range(ndim), 2))


# Adding ----------------------------------------------------------------------------------------------


def gathered(done: tuple[LabelSums, ...], new: tuple[LabelSums, ...]) -> tuple[LabelSums, ...]:
    """Keep tables apart until one as large comes along, so that adding n of them costs n log n and not n^2."""
    kept = list(done)
    for table in new:
        while kept and len(kept[-1]) <= len(table):
            table = merged([kept.pop(), table])
        kept.append(table)
    return tuple(kept)


def merged(tables: Sequence[LabelSums]) -> LabelSums:
    """Add tables of disjoint voxels.

    Parameters
    ----------
    tables : sequence of LabelSums
        At least one, of the same axes and channels.

    Returns
    -------
    LabelSums
        The table of all their voxels.
    """
    frame, label = (np.concatenate([getattr(t, name) for t in tables]) for name in ("frame", "label"))
    order = np.lexsort((label, frame))
    frame, label = frame[order], label[order]
    fresh = np.ones(len(order), bool)
    fresh[1:] = (frame[1:] != frame[:-1]) | (label[1:] != label[:-1])
    groups = _Groups(order, np.flatnonzero(fresh), np.cumsum(fresh) - 1)
    parts = {name: np.concatenate([getattr(t, name) for t in tables]) for name in ("count", "first", "second")}
    return LabelSums(
        frame[groups.start],
        label[groups.start],
        **{name: groups.reduce(np.add, part) for name, part in parts.items()},
        low=groups.reduce(np.minimum, np.concatenate([t.low for t in tables])),
        high=groups.reduce(np.maximum, np.concatenate([t.high for t in tables])),
        channels=tuple(_merged_channel(same, groups) for same in zip(*(t.channels for t in tables), strict=True)),
    )


@dataclass(frozen=True, slots=True)
class _Groups:
    """Which rows belong together: sorted by `order`, a group begins at each `start`, and `number` counts them."""

    order: NDArray[np.intp]
    start: NDArray[np.intp]
    number: NDArray[np.intp]

    def reduce(self, ufunc: np.ufunc, rows: NDArray[Any]) -> NDArray[Any]:
        reduced: NDArray[Any] = ufunc.reduceat(rows[self.order], self.start) if len(self.start) else rows[:0]
        return reduced


def _merged_channel(parts: Sequence[ChannelSums], groups: _Groups) -> ChannelSums:
    rows = {n: np.concatenate([getattr(p, n) for p in parts]) for n in ("count", "total", "square", "low", "high")}
    with np.errstate(invalid="ignore"):  # infinite grey levels
        count, total, square = (groups.reduce(np.add, rows[name]) for name in ("count", "total", "square"))
        if not parts[0].exact and len(count):
            square = square + _between(rows, _ratio(total, count), groups)
    known = rows["count"] > 0
    low, high = (np.where(known, rows[n], _worst(rows[n], sign)) for n, sign in (("low", 1), ("high", -1)))
    low, high = groups.reduce(np.minimum, low), groups.reduce(np.maximum, high)
    low, high = (np.where(count > 0, values, np.zeros_like(values)) for values in (low, high))
    return ChannelSums(count, total, square, low, high, parts[0].exact)


def _between(rows: dict[str, NDArray[Any]], mean: NDArray[np.float64], groups: _Groups) -> NDArray[Any]:
    """Return what squares about the means of parts lack to be squares about one mean (Chan, Golub, LeVeque 1983)."""
    apart = _ratio(rows["total"], rows["count"])[groups.order] - mean[groups.number]
    weights = rows["count"][groups.order].astype(np.float64)
    sums: NDArray[Any] = np.add.reduceat(np.where(weights > 0, weights * apart**2, 0.0), groups.start)
    return sums


def _ratio(total: NDArray[Any], count: NDArray[Any]) -> NDArray[np.float64]:
    """Return sums over counts as float64; 0 where nothing was counted."""
    with np.errstate(invalid="ignore"):
        return np.asarray(total / np.maximum(count, 1).astype(total.dtype), np.float64)


def _worst(values: NDArray[Any], sign: int) -> Any:
    """Return what loses every comparison: the largest value of the dtype for a minimum, the smallest for a maximum."""
    if values.dtype.kind == "f":
        return sign * np.inf
    limits = np.iinfo(values.dtype)
    return values.dtype.type(limits.max if sign > 0 else limits.min)


# One block -------------------------------------------------------------------------------------------


def block_sums(
    labels: Array, channels: Sequence[Array], origin: Sequence[int], n_whole: int, reach: int, *, frames: bool
) -> tuple[LabelSums, ...]:
    """Sum a block where it lives.

    Parameters
    ----------
    labels : integer or boolean array of shape ([T,] [Z,] Y, X)
        One block.
    channels : sequence of arrays of the same shape
        The same block of each channel.
    origin : sequence of int
        Where its first voxel lies in the whole.
    n_whole : int
        Voxels of the whole: how large sums may grow.
    reach : int
        Longest edge of the whole, in voxels.
    frames : bool
        True if the first axis counts frames, which are measured apart.

    Returns
    -------
    tuple of LabelSums
        One for each frame that holds a label.

    Raises
    ------
    ValueError
        If a label is negative or does not fit into int64.
    """
    if 0 in labels.shape:
        return ()
    times = range(labels.shape[0]) if frames else (None,)
    found = []
    for t in times:
        cut = ... if t is None else t
        place, frame = (origin, 0) if t is None else (origin[1:], origin[0] + t)
        sums = _frame_sums(labels[cut], [c[cut] for c in channels], place, frame, n_whole, reach)
        if len(sums):
            found.append(sums)
    return tuple(found)


def _frame_sums(
    labels: Array, channels: Sequence[Array], origin: Sequence[int], frame: int, n_whole: int, reach: int
) -> LabelSums:
    names, rank = ranked(labels)
    keep = names != 0
    shape = tuple(labels.shape)
    count, first, second, low, high = (part[keep] for part in _place_sums(rank, shape, len(names)))
    if n_whole * reach**2 >= SAFE:
        count, first, second = (part.astype(object) for part in (count, first, second))
    at = np.asarray(origin, np.int64)
    moved = _moved(count, first, second, [int(o) for o in origin])
    sums = [_narrowed(_channel_sums(rank, channel, len(names)), keep, n_whole) for channel in channels]
    return LabelSums(
        np.full(int(keep.sum()), frame, np.int64), names[keep], count, *moved, low + at, high + at, tuple(sums)
    )


def _moved(count: Ints, first: Ints, second: Ints, origin: Sequence[int]) -> tuple[Ints, Ints]:
    """Count coordinates from another origin: exact, since all are whole numbers."""
    products = [
        second[:, k] + origin[i] * first[:, j] + origin[j] * first[:, i] + origin[i] * origin[j] * count
        for k, (i, j) in enumerate(pairs_of(len(origin)))
    ]
    sums = [first[:, i] + o * count for i, o in enumerate(origin)]
    return np.stack(sums, axis=1), np.stack(products, axis=1)


def _narrowed(sums: ChannelSums, keep: NDArray[np.bool_], n_whole: int) -> ChannelSums:
    """Leave the background out, and keep whole numbers as Python's where those of int64 could overflow."""
    total, square = sums.total[keep], sums.square[keep]
    if sums.exact and n_whole * 2**32 >= SAFE:
        total, square = total.astype(object), square.astype(object)
    return ChannelSums(sums.count[keep], total, square, sums.low[keep], sums.high[keep], sums.exact)


def ranked(labels: Array, name: str = "labels") -> tuple[NDArray[np.int64], Array]:
    """Return the labels that occur and the rank of each voxel among them, in one row.

    Raises
    ------
    ValueError
        If a label is negative or does not fit into int64; the message calls them by `name`.
    """
    names, rank = _ranked_on_host(labels) if is_host(labels) else _ranked(labels)
    if len(names) and int(names.min()) < 0:
        raise ValueError(f"{name} hold {int(names.min())}, and labels must be 0 or more; renumber or mask it")
    if len(names) and int(names.max()) > MAX_LABEL:
        raise ValueError(f"{name} hold {int(names.max())}, and labels must be at most {MAX_LABEL}; renumber it")
    return names.astype(np.int64), rank


def _ranked_on_host(labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """Do so by sorting runs of equal labels."""
    flat = labels.reshape(-1)
    flat = flat.astype(np.uint8 if flat.dtype == bool else flat.dtype.newbyteorder("="), copy=False)
    start = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1))
    names, rank = np.unique(flat[start], return_inverse=True)
    lengths = np.diff(start, append=flat.size)
    return names, np.repeat(rank.astype(np.int32).reshape(-1), lengths)


def _ranked(labels: Array) -> tuple[NDArray[Any], Array]:
    """Do the same where the array lives."""
    xp = array_namespace(labels)
    flat = xp.reshape(labels, (-1,))
    names, rank = xp.unique_inverse(xp.astype(flat, xp.uint8) if dtype_name(flat) == "bool" else flat)
    return to_numpy(names), xp.astype(xp.reshape(rank, (-1,)), xp.int64)


def _place_sums(rank: Array, shape: tuple[int, ...], n: int) -> tuple[Ints, ...]:
    """Return count, first and second sums, and the smallest and the largest coordinates of each rank."""
    if not is_host(rank):
        return _place_sums_by_sorting(rank, shape, n)
    deep = (1,) * (3 - len(shape)) + shape
    sums, low, high = np.zeros((n, 10), np.int64), np.full((n, 3), max(deep), np.int64), np.zeros((n, 3), np.int64)
    _sum_places(rank.reshape(deep), sums, low, high)
    axes = range(3 - len(shape), 3)
    pairs = [4 + pairs_of(3).index(pair) for pair in itertools.combinations_with_replacement(axes, 2)]
    return sums[:, 0], sums[:, [1 + a for a in axes]], sums[:, pairs], low[:, list(axes)], high[:, list(axes)]


@compiled
def _sum_places(rank: NDArray[np.int32], sums: Ints, low: Ints, high: Ints) -> None:
    """Add up runs of equal rank along x: the sums of a run are known from its two ends."""
    nz, ny, nx = rank.shape
    for z in range(nz):
        for y in range(ny):
            x = 0
            while x < nx:
                at, start = rank[z, y, x], x
                while x < nx and rank[z, y, x] == at:
                    x += 1
                last, n = x - 1, x - start
                sx = (start + last) * n // 2
                sxx = last * (last + 1) * (2 * last + 1) // 6 - (start - 1) * start * (2 * start - 1) // 6
                row = sums[at]
                row[0] += n
                row[1] += z * n
                row[2] += y * n
                row[3] += sx
                row[4] += z * z * n
                row[5] += z * y * n
                row[6] += z * sx
                row[7] += y * y * n
                row[8] += y * sx
                row[9] += sxx
                low[at, 0], high[at, 0] = min(low[at, 0], z), max(high[at, 0], z)
                low[at, 1], high[at, 1] = min(low[at, 1], y), max(high[at, 1], y)
                low[at, 2], high[at, 2] = min(low[at, 2], start), max(high[at, 2], last)


def _place_sums_by_sorting(rank: Array, shape: tuple[int, ...], n: int) -> tuple[Ints, ...]:
    xp = array_namespace(rank)
    segments = Segments(rank, n)
    places: list[Array] = []
    left = xp.arange(rank.shape[0], dtype=xp.int64, device=rank.device)
    for edge in reversed(shape):
        places.insert(0, left % edge)
        left = left // edge
    extremes = [Segments(rank, n, by=place).ends(place) for place in places]
    return (
        segments.count,
        np.stack([segments.sums(place) for place in places], axis=1),
        np.stack([segments.sums(places[i] * places[j]) for i, j in pairs_of(len(shape))], axis=1),
        np.stack([low for low, _ in extremes], axis=1),
        np.stack([high for _, high in extremes], axis=1),
    )


class Segments:
    """Voxels sorted by rank, so that a sum per rank is the difference of two running sums; exact for integers.

    Parameters
    ----------
    rank : int64 array of shape (voxels,)
        0 to n - 1.
    n : int
        How many ranks there are.
    by : array of shape (voxels,), optional
        Values by which voxels of one rank are sorted.
    """

    def __init__(self, rank: Array, n: int, by: Array | None = None) -> None:
        xp = self.xp = array_namespace(rank)
        if by is None:
            self.order = xp.argsort(rank, stable=True)
        else:
            order = xp.argsort(by, stable=True)
            self.order = xp.take(order, xp.argsort(xp.take(rank, order), stable=True))
        self.count = bincount(rank, n)
        self._stop = np.cumsum(self.count)

    def sums(self, values: Array) -> NDArray[Any]:
        """Return the sum of the values of each rank."""
        if not self.order.shape[0]:
            return np.zeros(len(self.count), to_numpy(values).dtype)
        running = self.xp.cumulative_sum(self.xp.take(values, self.order))
        at = from_numpy(np.maximum(self._stop - 1, 0), like=self.order)
        ends = np.where(self._stop > 0, to_numpy(self.xp.take(running, at)), 0)
        return np.diff(ends, prepend=ends.dtype.type(0))

    def ends(self, values: Array) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the value of the first and of the last voxel of each rank; 0 where there is none."""
        if not self.order.shape[0]:
            nothing = np.zeros(len(self.count), to_numpy(values).dtype)
            return nothing, nothing
        start = self._stop - self.count
        found = []
        for at in (start, self._stop - 1):
            inside = from_numpy(np.clip(at, 0, self.order.shape[0] - 1), like=self.order)
            chosen = to_numpy(self.xp.take(values, self.xp.take(self.order, inside)))
            found.append(np.where(self.count > 0, chosen, np.zeros_like(chosen)))
        return found[0], found[1]


# Grey levels of one block ----------------------------------------------------------------------------


def _channel_sums(rank: Array, channel: Array, n: int) -> ChannelSums:
    """Sum the grey levels of each rank by the rule of their dtype."""
    kind = dtype_name(channel)
    xp = array_namespace(channel)
    flat = xp.reshape(channel, (-1,))
    if is_host(channel):
        wanted = kind if kind in ("uint8", "uint16", "uint64", "float32", "float64") else _wide(kind)
        flat = np.ascontiguousarray(flat, wanted)
        by_rule = _narrow_on_host if kind in NARROW else _floats_on_host if kind[:5] == "float" else _wide_on_host
        return by_rule(rank, flat, n)
    wide = _wide(kind)
    flat = flat if kind == "uint64" else xp.astype(flat, getattr(xp, wide))
    return _by_sorting(rank, flat, n, kind in NARROW)


def _wide(kind: str) -> str:
    return "float64" if kind.startswith("float") else "int64" if kind != "bool" else "uint8"


def _narrow_on_host(rank: NDArray[np.int32], values: NDArray[Any], n: int) -> ChannelSums:
    sums, low, high = np.zeros((n, 3), np.int64), np.full(n, 2**62, np.int64), np.full(n, -(2**62), np.int64)
    _sum_narrow(rank, values, sums, low, high)
    return ChannelSums(sums[:, 0], sums[:, 1], sums[:, 2], low, high, True)


@compiled
def _sum_narrow(rank: NDArray[np.int32], values: NDArray[Any], sums: Ints, low: Ints, high: Ints) -> None:
    for i in range(rank.size):
        at, value = rank[i], np.int64(values[i])
        sums[at, 0] += 1
        sums[at, 1] += value
        sums[at, 2] += value * value
        low[at], high[at] = min(low[at], value), max(high[at], value)


def _wide_on_host(rank: NDArray[np.int32], values: NDArray[Any], n: int) -> ChannelSums:
    sums, moments = np.zeros((n, 3), np.int64), np.zeros((n, 3))
    low, high = np.zeros(n, values.dtype), np.zeros(n, values.dtype)
    _sum_wide(rank, values, values.dtype.type(32), sums, moments, low, high)
    return ChannelSums(sums[:, 0], _whole(sums[:, 1], sums[:, 2]), _about_mean(sums[:, 0], moments), low, high, False)


def _whole(high: Ints, low: Ints) -> Ints:
    """Put the sums of the upper and of the lower 32 bits together."""
    return np.asarray(high.astype(object) * 2**32 + low.astype(object), object)


@compiled
def _sum_wide(
    rank: NDArray[np.int32],
    values: NDArray[Any],
    half: Any,
    sums: Ints,
    moments: NDArray[np.float64],
    low: NDArray[Any],
    high: NDArray[Any],
) -> None:
    for i in range(rank.size):
        at, value = rank[i], values[i]
        if sums[at, 0] == 0:
            low[at] = high[at] = value
            moments[at, 0] = np.float64(value)
        low[at], high[at] = min(low[at], value), max(high[at], value)
        sums[at, 0] += 1
        upper = value >> half  # of the dtype of the values, or Numba would make a float of uint64 and int64
        sums[at, 1] += np.int64(upper)
        sums[at, 2] += np.int64(value - (upper << half))
        apart = np.float64(value) - moments[at, 0]
        moments[at, 1] += apart
        moments[at, 2] += apart * apart


def _floats_on_host(rank: NDArray[np.int32], values: NDArray[Any], n: int) -> ChannelSums:
    count, total, moments = np.zeros(n, np.int64), np.zeros(n), np.zeros((n, 3))
    low, high = np.zeros(n, values.dtype), np.zeros(n, values.dtype)
    _sum_floats(rank, values, count, total, moments, low, high)
    square = _about_mean(count, moments)
    return ChannelSums(count, total, square, low.astype(np.float64), high.astype(np.float64), False)


@compiled
def _sum_floats(
    rank: NDArray[np.int32],
    values: NDArray[Any],
    count: Ints,
    total: NDArray[np.float64],
    moments: NDArray[np.float64],
    low: NDArray[Any],
    high: NDArray[Any],
) -> None:
    """Sum values, and their distances to the first one of their rank, which keeps the squares small."""
    for i in range(rank.size):
        at, value = rank[i], values[i]
        if value != value:
            continue
        if count[at] == 0:
            low[at] = high[at] = value
            moments[at, 0] = value
        low[at], high[at] = min(low[at], value), max(high[at], value)
        count[at] += 1
        total[at] += value
        apart = np.float64(value) - moments[at, 0]
        moments[at, 1] += apart
        moments[at, 2] += apart * apart


def _about_mean(count: Ints, moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return squared distances to the mean from sums about any point near it."""
    with np.errstate(invalid="ignore"):
        about = moments[:, 2] - moments[:, 1] ** 2 / np.maximum(count, 1)
        return np.asarray(np.where(about < 0, 0.0, about), np.float64)


def _by_sorting(rank: Array, values: Array, n: int, exact: bool) -> ChannelSums:
    """Do what the loops do with sorted voxels, where the array lives."""
    xp = array_namespace(values)
    if dtype_name(values) == "float64":
        known = ~xp.isnan(values)
        rank, values = rank[known], values[known]
    segments = Segments(rank, n, by=values)
    low, high = segments.ends(values)
    if exact:
        values = xp.astype(values, xp.int64)
        total, square = segments.sums(values), segments.sums(values * values)
        return ChannelSums(segments.count, total, square, low.astype(np.int64), high.astype(np.int64), True)
    if dtype_name(values) == "float64":
        total = _float_sums(segments, rank, values, n)
    else:
        upper = values >> xp.asarray(32, dtype=values.dtype, device=values.device)
        lower = values - (upper << xp.asarray(32, dtype=values.dtype, device=values.device))
        total = _whole(*(segments.sums(xp.astype(part, xp.int64)) for part in (upper, lower)))
    mean = from_numpy(_ratio(total, segments.count), like=values)
    apart = xp.astype(values, xp.float64) - xp.take(mean, rank)
    return ChannelSums(segments.count, total, _float_sums(segments, rank, apart * apart, n), low, high, False)


def _float_sums(segments: Segments, rank: Array, values: Array, n: int) -> NDArray[np.float64]:
    """Sum floats by rank; where the library can, without the running sum, which rounds with the size of the block."""
    if hasattr(segments.xp, "bincount"):
        return np.asarray(to_numpy(segments.xp.bincount(rank, weights=values, minlength=n)), np.float64)
    return segments.sums(values).astype(np.float64)
