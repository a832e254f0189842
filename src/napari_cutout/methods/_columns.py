"""Channels and features as columns of numbers, standardised on the whole, block by block.

Methods that cluster voxels see an image as a table: a row for every voxel, a column for every channel or feature. The
table is never held. A sweep makes the columns of a block when it needs them; where they are few, filtered ones are
made once and kept.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .. import _statistics
from .._arithmetic import of_quanta, quanta, rounded, rounded_one
from .._array import Array, array_namespace, dtype_name, empty, is_host, is_lazy, to_numpy
from .._compiled import compiled
from .._monitor import stage
from .._plan import Derived, Pass, map_many
from ..processing.features import Bank, FeatureNames, Scales, bank_of, coordinates, float32_columns
from ..processing.segment import inside
from ._grey_levels import MAX_EXACT, N_BINS, NOTHING_FINITE, host_block
from ._lloyd import Rows

Values = NDArray[np.float64]

Ends = NDArray[np.object_]
"""Ends of ranges as Python numbers: float64 does not hold every int64."""

SAMPLE = 65_536
"""About how many voxels starts are tried on."""

MAX_KEPT = 16
"""Filtered columns that are made once and kept, 4 bytes per voxel each; more of them are made again in every sweep."""

SMALL = 2**29
"""Bytes that any number of kept columns may take."""

FEW = 16
"""So many columns of what a block leaves of its neighbourhood take about as much memory as filtering it."""

HELD = 4
"""A block is that much smaller than that of a filter for the columns beside it, and smaller still for more of them."""

LEAST = 2.0**-20
"""The smallest standard deviation that is told from 0 at first, as a share of the range; it is measured again."""

MAX_SWEEPS = 10_000
"""The largest number of sweeps over all voxels that can be asked for."""

PLACES = 128
"""Numbers that are added up beside each other."""

# Odd numbers without a pattern, as the hashes xxHash64 (the steps) and wyhash multiply by: any others would do.
_STEPS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)
_MIX = (0xD6E8FEB86659FD93, 0xA0761D6478BD642F)


@dataclass(frozen=True, slots=True)
class Source:
    """Which columns an image has, and how they are made of the blocks of a plan.

    The blocks are: the first channel, the mask or None, the other channels, kept columns, and the index of every voxel
    along each axis.

    Parameters
    ----------
    bank : Bank
        Channels and features.
    kept : bool
        Whether filtered columns are among the blocks. It changes no number, so it is no part of what this says.
    """

    bank: Bank
    kept: bool = field(default=False, repr=False, compare=False)

    @property
    def filters(self) -> Bank:
        """What of the features looks beyond the voxel."""
        local = ("intensity", "position")
        return replace(self.bank, names=tuple(name for name in self.bank.names if name not in local))

    @property
    def n_used(self) -> int:
        """Columns that are clustered."""
        return len(self.bank.columns)

    @property
    def n_columns(self) -> int:
        """Columns in all: those that are clustered, and intensities behind them if they are not."""
        return self.n_used + (0 if "intensity" in self.bank.names else self.bank.n_channels)

    @property
    def intensities(self) -> list[int]:
        """Where the grey levels of the channels stand among the columns."""
        n_channels = self.bank.n_channels
        if "intensity" not in self.bank.names:
            return list(range(self.n_used, self.n_used + n_channels))
        n_positions = self.bank.ndim if "position" in self.bank.names else 0
        return [c * (self.n_used - n_positions) // n_channels for c in range(n_channels)]

    @property
    def width(self) -> tuple[int, ...]:
        """Voxels that columns reach beyond a block."""
        return (0,) * self.bank.ndim if self.kept or not self.filters.names else self.filters.width

    @property
    def derived(self) -> Derived:
        """The mask, the index along each axis and the columns of a block, as a sweep is given them."""
        return Derived(self.made, self.width, self.n_held)

    @property
    def n_held(self) -> int:
        """About how many arrays of the size of a block are held; what is made of a neighbourhood is smaller."""
        return 1 + self.n_columns // FEW if any(self.width) else max(HELD, self.n_columns)

    def made(self, image: Array, mask: Array | None, *rest: Array) -> Iterator[Array | None]:
        """Yield the mask, the index along each axis, and one column of a block after another."""
        n_channels, ndim = self.bank.n_channels, self.bank.ndim
        channels, at = [image, *rest[: n_channels - 1]], rest[len(rest) - ndim :]
        filtered = iter(rest[n_channels - 1 : -ndim]) if self.kept else float32_columns(self.filters, *channels)
        per_channel = len(self.filters.columns) // n_channels
        yield from (mask, *at)
        for channel in channels:
            yield from [channel] if "intensity" in self.bank.names else []
            yield from itertools.islice(filtered, per_channel)
        if "position" in self.bank.names:
            yield from (index * (edge / 1024) for index, edge in zip(at, self.bank.edges, strict=True))
        if "intensity" not in self.bank.names:
            yield from channels

    def split(self, made: Iterable[Array | None]) -> tuple[Array | None, Sequence[Array], Sequence[Array]]:
        """Return the mask, the indices and the columns of what `made` returned."""
        mask, *rest = made
        return mask, rest[: self.bank.ndim], rest[self.bank.ndim :]


def source_of(
    channels: Sequence[Array], features: FeatureNames, scales: Scales, spacing: Sequence[float] | None
) -> tuple[Source, list[Array]]:
    """Return the columns of channels, and the arrays that a plan reads behind the mask.

    Parameters
    ----------
    channels : sequence of arrays of one shape
        The channels.
    features : tuple of str
        Names of features.
    scales : tuple of float
        Their scales.
    spacing : sequence of float, optional
        World length of a voxel along each axis.

    Returns
    -------
    Source
        What the columns are.
    list of array
        All channels but the first, columns that were made already, and indices along each axis.
    """
    first = channels[0]
    source = Source(bank_of(features, scales, spacing, first.ndim, len(channels)))
    filters, kept = source.filters, []
    n_filtered = len(filters.columns)
    if n_filtered > 0 and _can_be_kept(first) and keeps(n_filtered, math.prod(first.shape)):
        source, kept = replace(source, kept=True), _made_once(filters, channels)
    return source, [*channels[1:], *kept, *coordinates(first.shape, None, first)]


def _can_be_kept(channel: Array) -> bool:
    """Tell whether what is made of a channel has a place: in memory, or among what a run in sweeps stores."""
    if not is_lazy(channel):
        return True
    from ..blockwise import current

    return current() is not None


def _made_once(filters: Bank, channels: Sequence[Array]) -> list[Array]:
    """Return filtered columns that are kept."""
    first, n = channels[0], len(filters.columns)
    made = partial(float32_columns, filters)
    if is_lazy(first):
        from ..blockwise import lazy_channels, lazy_keep, lazy_map_many

        found = lazy_map_many(made, channels, n, filters.width, "float32")
        return lazy_channels(lazy_keep(found, "computing features"), 0)
    others = _statistics.current()
    if others is not None:
        others.reaches(filters.width)
    stage("computing features")
    columns = empty((n, *first.shape), "float32", like=first)
    map_many(made, channels, columns, Derived(made, filters.width))
    return [columns[number, ...] for number in range(n)]


def keeps(n_filtered: int, n_voxels: int) -> bool:
    """Tell whether filtered columns are kept: few of them, or few voxels."""
    return n_filtered <= MAX_KEPT or 4 * n_filtered * n_voxels <= SMALL


# Statistics of the whole ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """How columns are standardised, and a sample of them.

    Parameters
    ----------
    n : int
        Voxels that count: inside the mask, and finite in every column.
    low, high : float64 array of shape (n_columns,)
        Smallest and largest value of each column.
    mean, deviation : float64 array of shape (n_columns,)
        Mean and standard deviation of each column.
    raw : float64 array of shape (n_columns, n_sample)
        Values of a sample of the voxels, in scan order.
    measured : bool
        Whether mean and deviation are settled.
    """

    n: int
    low: Values
    high: Values
    mean: Values = field(default_factory=lambda: np.zeros(0))
    deviation: Values = field(default_factory=lambda: np.zeros(0))
    raw: Values = field(default_factory=lambda: np.zeros((0, 0)))
    measured: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Standard:
    """Columns as they are clustered: those that vary first, mean 0, and a standard deviation of 1 each or together.

    Parameters
    ----------
    source : Source
        The columns.
    order : tuple of int
        Where each of them stands in the source.
    n_used : int
        How many are clustered, the first ones.
    mean, factors : float64 array of shape (n_columns,)
        What is taken away from each, and what the rest is multiplied by.
    """

    source: Source
    order: tuple[int, ...]
    n_used: int
    mean: Values
    factors: Values

    @staticmethod
    def of(source: Source, scaling: Scaling, *, together: bool = False) -> Standard:
        """Return columns standardised each by itself, or all with their mean variance.

        Raises
        ------
        ValueError
            If all columns that are to be clustered are constant.
        """
        varied = scaling.deviation > 0
        used = [g for g in range(source.n_used) if varied[g]]
        if not used:
            value = scaling.low[source.intensities[0]]
            raise ValueError(
                f"every column to be clustered is constant (every voxel is {value:g}); check that the image (and its "
                "mask) is the right one"
            )
        order = (*used, *(g for g in range(source.n_columns) if g not in used))
        width = scaling.deviation.copy()
        if together:
            width[used] = np.sqrt(np.mean(width[used] ** 2))
        factors = np.where(varied, inverse(width), 0.0)
        return Standard(source, order, len(used), scaling.mean[list(order)], factors[list(order)])

    @property
    def constant(self) -> list[str]:
        """Names of columns that hold one value only, and so are left out."""
        used = self.order[: self.n_used]
        return [name for g, name in enumerate(self.source.bank.columns) if g not in used]

    def rows(self, mask: Array | None, columns: Sequence[Array]) -> Rows:
        """Return the standardised values of the voxels that count, a flat float32 array for each column."""
        return rows_of([columns[g] for g in self.order], self.mean, self.factors, counted(mask, columns))

    def all_rows(self, mask: Array | None, columns: Sequence[Array]) -> tuple[Rows, Array | None]:
        """Return those of all voxels, 0 where they do not count, and which count."""
        rows, known = rows_of([columns[g] for g in self.order], self.mean, self.factors, None), counted(mask, columns)
        if known is None:
            return rows, None
        xp = array_namespace(columns[0])
        flat = xp.reshape(known, (-1,))
        return [xp.where(flat, row, xp.zeros_like(row)) for row in rows], known

    def sample(self, scaling: Scaling) -> NDArray[np.float32]:
        """Return the standardised values of the sample, of shape (n_columns, n_sample)."""
        centred = (scaling.raw[list(self.order)] - self.mean[:, None]) * self.factors[:, None]
        return np.asarray(centred, np.float32)

    def classes(self, means: Values) -> NDArray[np.uint8]:
        """Return the class of each cluster, 1 to n by rising brightness, the first of several first.

        The brightness is the mean of the standardised grey levels over all channels.
        """
        places = [self.order.index(g) for g in self.source.intensities]
        ranks = np.empty(len(means), np.uint8)
        ranks[np.argsort(means[:, places].mean(axis=1), kind="stable")] = np.arange(1, len(means) + 1)
        return ranks

    def in_units(self, means: Values) -> Values:
        """Return means in the units of the columns and in their order, without columns that are not clustered."""
        width = np.divide(1.0, self.factors, out=np.zeros_like(self.factors), where=self.factors > 0)
        found = np.empty((len(means), len(self.order)))
        found[:, list(self.order)] = means * width + self.mean
        return found[:, : self.source.n_used]

    def covariances_in_units(self, covariances: Values) -> Values:
        """Return covariances likewise; 0 for constant columns."""
        width = 1.0 / self.factors[: self.n_used]
        found = np.zeros((len(covariances), self.source.n_used, self.source.n_used))
        used = list(self.order[: self.n_used])
        found[np.ix_(range(len(covariances)), used, used)] = covariances * width[:, None] * width
        return found


def rows_of(columns: Sequence[Array], mean: Values, factors: Values, keep: Array | None) -> Rows:
    """Return ``(column - mean) * factor`` where `keep` says, flat float32 arrays in scan order."""
    if is_host(columns[0]):
        return _host_rows(columns, mean, factors, keep)
    rows = []
    for column, middle, factor in zip(columns, mean, factors, strict=True):
        xp = array_namespace(column)
        values = xp.reshape(column, (-1,)) if keep is None else column[keep]
        rows.append(xp.astype((xp.astype(values, xp.float64) - float(middle)) * float(factor), xp.float32))
    return rows


def _host_rows(
    columns: Sequence[NDArray[Any]], mean: Values, factors: Values, keep: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    """Do what the array-namespace lines of `rows_of` do, without temporaries."""
    n = columns[0].size if keep is None else int(np.count_nonzero(keep))
    rows = np.empty((len(columns), n), np.float32)
    for row, column, middle, factor in zip(rows, columns, mean, factors, strict=True):
        _standardise(host_block(column if keep is None else column[keep]), middle, factor, row)
    return rows


@compiled
def _standardise(values: NDArray[Any], middle: float, factor: float, row: NDArray[np.float32]) -> None:
    for i in range(values.size):
        row[i] = np.float32((np.float64(values[i]) - middle) * factor)


def counted(mask: Array | None, columns: Sequence[Array]) -> Array | None:
    """Return which voxels count: inside the mask and finite in every column. None if all do."""
    keep = inside(mask)
    for column in columns:
        if not dtype_name(column).startswith("float"):
            continue
        finite = array_namespace(column).isfinite(column)
        if is_host(column) and finite.all():
            continue
        keep = finite if keep is None else keep & finite
    return keep


def _ranges(source: Source, *blocks: Array | None) -> tuple[int, Ends, Ends] | None:
    """Return how many voxels of a block count, and the smallest and largest value of each column."""
    mask, _, columns = source.split(blocks)
    keep = counted(mask, columns)
    xp = array_namespace(columns[0])
    n = int(xp.sum(xp.astype(keep, xp.int64))) if keep is not None else int(np.prod(columns[0].shape))
    if n == 0:
        return None
    held = columns if keep is None else [column[keep] for column in columns]
    numbers: list[Callable[[Any], Any]] = [float if dtype_name(c).startswith("float") else int for c in columns]
    lows, highs = (
        np.asarray([number(end(values)) for number, values in zip(numbers, held, strict=True)], object)
        for end in (xp.min, xp.max)
    )
    return n, lows, highs


def _joined_ranges(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return a or b
    return a[0] + b[0], np.minimum(a[1], b[1]), np.maximum(a[2], b[2])


def _ranged(source: Source, found: tuple[int, Ends, Ends] | None) -> Scaling:
    if found is None:
        large = "; features of grey levels beyond 1e18 are not finite either, so rescale such an image"
        raise ValueError(NOTHING_FINITE + (large if source.filters.names else ""))
    n, lows, highs = found
    names = [*source.bank.columns, *(f"the grey level of channel {c}" for c in range(source.bank.n_channels))]
    for name, low, high in zip(names, lows, highs, strict=False):
        _check_span(name, low, high)
    return Scaling(n, lows.astype(np.float64), highs.astype(np.float64))


def _check_span(name: str, low: float, high: float) -> None:
    """Raise where the values of a column cannot be told apart, or divided by their range, in float64."""
    if isinstance(low, int) and 0 < high - low < N_BINS and max(abs(low), abs(high)) > MAX_EXACT:
        raise ValueError(
            f"{name} spans the integers {low} to {high}, which float64 cannot tell apart; subtract {low} from it"
        )
    span = float(high) - float(low)
    if span and not (math.isfinite(span) and math.isfinite(1 / span)):
        raise ValueError(f"{name} spans {low} to {high}, which float64 cannot standardise; rescale the image")


def _moments(rows: Rows) -> NDArray[np.object_]:
    """Return the exact sums of values and squares of every column, in quanta."""
    sums = np.zeros((2, len(rows)))
    for g, row in enumerate(rows):
        if is_host(row):
            sums[:, g] = _sums_of(row)
            continue
        xp = array_namespace(row)
        values = xp.astype(row, xp.float64)
        sums[:, g] = to_numpy(xp.stack([xp.sum(rounded(v)) for v in (values, values * values)]))
    return quanta(sums)


@compiled
def _sums_of(row: NDArray[np.float32]) -> tuple[float, float]:
    """Add up in several places, so that no addition waits for the one before."""
    first, second = np.zeros(PLACES), np.zeros(PLACES)
    for start in range(0, row.size, PLACES):
        for i in range(min(PLACES, row.size - start)):
            value = np.float64(row[start + i])
            first[i] += rounded_one(value)
            second[i] += rounded_one(value * value)
    return first.sum(), second.sum()


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """What a block tells of its columns: sums, and where sampled voxels are and what they hold."""

    sums: NDArray[np.object_]
    at: NDArray[np.int64]
    raw: Values

    def __add__(self, other: _Measured) -> _Measured:
        at, raw = np.concatenate([self.at, other.at], axis=1), np.concatenate([self.raw, other.raw], axis=1)
        return _Measured(self.sums + other.sums, at, raw)


def _measure(source: Source, scaling: Scaling, *blocks: Array | None) -> _Measured:
    """Sum up columns scaled to their range, and sample voxels."""
    mask, at, columns = source.split(blocks)
    keep = counted(mask, columns)
    sums = _moments(rows_of(columns, scaling.low, inverse(scaling.high - scaling.low), keep))
    chosen = _sampled(at, scaling.n)
    chosen = chosen if keep is None else chosen & keep
    places = np.stack([to_numpy(index[chosen]).astype(np.int64) for index in at])
    raw = np.stack([to_numpy(column[chosen]).astype(np.float64) for column in columns])
    return _Measured(sums, places, raw)


def inverse(lengths: Values) -> Values:
    """Return 1 over lengths, and 0 for those that are 0."""
    return np.asarray(np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0))


def _sampled(at: Sequence[Array], n: int) -> Array:
    """Choose about `SAMPLE` of n voxels by a hash of their place, the same ones however the image is cut."""
    limit = min(SAMPLE * 2**32 // n, 2**32)
    if is_host(at[0]):
        lines = [np.moveaxis(index, axis, 0).reshape(index.shape[axis], -1)[:, 0] for axis, index in enumerate(at)]
        parts = [line.astype(np.uint64) * np.uint64(step) for line, step in zip(reversed(lines), _STEPS, strict=False)]
        outer = parts[1] if len(parts) == 2 else (parts[2][:, None] + parts[1]).ravel()
        return _chosen(outer, parts[0], np.uint64(limit)).reshape(at[0].shape)
    xp = array_namespace(at[0])
    number = xp.zeros_like(at[0], dtype=xp.uint64)
    for index, step in zip(reversed(at), _STEPS, strict=False):
        number = number + xp.astype(index, xp.uint64) * step
    for factor in _MIX:
        number = (number ^ (number >> 32)) * factor
    return xp.astype(number >> 32, xp.int64) < limit


@compiled
def _chosen(outer: NDArray[np.uint64], inner: NDArray[np.uint64], limit: np.uint64) -> NDArray[np.bool_]:
    """Do what the array-namespace lines of `_sampled` do, a row of voxels at a time."""
    half, first, second = np.uint64(32), np.uint64(_MIX[0]), np.uint64(_MIX[1])
    found = np.empty((outer.size, inner.size), np.bool_)
    for j in range(outer.size):
        for i in range(inner.size):
            number = outer[j] + inner[i]
            number = (number ^ (number >> half)) * first
            number = (number ^ (number >> half)) * second
            found[j, i] = (number >> half) < limit
    return found


def _measured(scaling: Scaling, found: _Measured) -> Scaling:
    """Turn sums over the range into a first mean and deviation, and put the sample in scan order.

    Of a column that hardly varies beside its range, squares are lost in the rounding of sums.
    """
    span = scaling.high - scaling.low
    first, second = of_quanta(found.sums) / scaling.n
    variance = np.maximum(second - first**2, LEAST**2)
    deviation = np.where(span > 0, np.sqrt(variance) * span, 0.0)
    order = np.lexsort(found.at[::-1])
    return replace(scaling, mean=scaling.low + first * span, deviation=deviation, raw=found.raw[:, order])


def _refined(scaling: Scaling, sums: NDArray[np.object_]) -> Scaling:
    """Correct mean and deviation by those of values that were standardised by them."""
    first, second = of_quanta(sums) / scaling.n
    variance = np.maximum(second - first**2, 0.0)
    return replace(
        scaling,
        mean=scaling.mean + first * scaling.deviation,
        deviation=scaling.deviation * np.sqrt(variance),
        measured=True,
    )


class Fit(Protocol):
    """What is fitted to columns, sweep by sweep: a frozen state that knows how it goes on."""

    @property
    def scaling(self) -> Scaling | None:
        """What is known of the columns."""

    @property
    def standard(self) -> Standard | None:
        """The columns as they are fitted to, once all is known of them."""

    @property
    def unsettled(self) -> bool:
        """Whether another sweep over all voxels is needed."""

    def scaled(self, scaling: Scaling) -> Fit:
        """Return it with what is known of the columns, and with a start once all is known of them."""

    def sums(self, rows: Rows) -> Any:
        """Return what a sweep adds up over the standardised values of a block; sums of blocks add."""

    def after(self, sums: Any) -> Fit:
        """Return it as a sweep leaves it that has added up so much over all voxels."""


def column_passes(source: Source, name: str) -> tuple[Pass, ...]:
    """Return the passes over a `Fit`: what is to be known of the columns, and sweeps until it is settled.

    Parameters
    ----------
    source : Source
        The columns.
    name : str
        What the user reads while the fit is swept.

    Returns
    -------
    tuple of Pass
        Over a state that is a `Fit` to these columns.
    """

    def scaling(state: Fit) -> Scaling:
        assert state.scaling is not None
        return state.scaling

    def refine(state: Fit, *blocks: Array | None) -> NDArray[np.object_]:
        mask, _, columns = source.split(blocks)
        first = scaling(state)
        return _moments(rows_of(columns, first.mean, inverse(first.deviation), counted(mask, columns)))

    def sweep(state: Fit, *blocks: Array | None) -> Any:
        assert state.standard is not None
        mask, _, columns = source.split(blocks)
        return state.sums(state.standard.rows(mask, columns))

    return (
        Pass(
            lambda _, *blocks: _ranges(source, *blocks),
            _joined_ranges,
            lambda state, found: state.scaled(_ranged(source, found)),
            lambda state: state.scaling is None,
            "finding the range of every column",
            derived=source.derived,
        ),
        Pass(
            lambda state, *blocks: _measure(source, scaling(state), *blocks),
            operator.add,
            lambda state, found: state.scaled(_measured(scaling(state), found)),
            lambda state: not scaling(state).mean.size,
            "measuring every column",
            derived=source.derived,
        ),
        Pass(
            refine,
            operator.add,
            lambda state, sums: state.scaled(_refined(scaling(state), sums)),
            lambda state: not scaling(state).measured,
            "measuring every column again",
            derived=source.derived,
        ),
        Pass(
            sweep,
            operator.add,
            lambda state, sums: state.after(sums),
            lambda state: state.unsettled,
            name,
            most=MAX_SWEEPS,
            derived=source.derived,
        ),
    )


def distinct(sample: NDArray[np.float32], n_used: int, wanted: int) -> int:
    """Return how many different voxels a sample has among the used columns, and look no further than needed.

    Values that are the same once they are rounded as sums are count as one: no two means can tell them apart.
    """
    seen: set[bytes] = set()
    for start in range(0, sample.shape[1], 1024):
        part = rounded(sample[:n_used, start : start + 1024].T.astype(np.float64, order="C"))
        seen.update(row.tobytes() for row in part)
        if len(seen) >= wanted:
            break
    return len(seen)
