"""Edges between neighbouring voxels, made on the fly and handed out in order of their weight.

No more than a part of them is ever held. A scan counts the edges that still matter by the bits of their weight, which
rise with it; from the counts a group of the lightest is chosen that fits into memory; a second scan writes each of its
edges into the bucket of its bits; and every bucket is sorted by the bits that are left. Scans go through voxels in scan
order, block by block on all processors, and each block knows from the counts where to write: so neither their number
nor the limits of the groups can show. Edges of equal weight are ordered by their first voxel, then by the second.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._compiled import compiled, inlined, n_threads
from .._monitor import quiet
from .._plan import each
from ..processing.filters import edges as voxel_edges

__all__ = ["HEAVIEST", "OUTSIDE", "Lattice", "Window", "counted", "gathered", "steps_between"]

OUTSIDE = np.int32(-(2**31))
"""The label of voxels that are outside."""

HEAVIEST = 0x7F800000
"""The bits of the largest weight, infinity; those of NaN, which is no edge, are above."""

BLOCK_ROWS = 1 << 16
"""Voxels of a block below which it is not worth a thread."""

FEW = 24
"""Edges up to which a bucket is sorted by insertion."""

DIGIT = 8
"""Bits by which a bucket is sorted at a time."""

KEY, ONE, TWO = 0, 1, 2
"""The fields of an edge: the bits of its weight, and the labels at its ends."""

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]


class Lattice(NamedTuple):
    """What the weights of edges are made of; plain arrays, so that compiled loops can take it.

    Parameters
    ----------
    levels : float array of shape (n_channels, nz, ny, nx)
        Grey levels; NaN is outside.
    steps : int64 array of shape (n_steps, 3)
        From a voxel to those of its neighbours that come after it, in scan order.
    lengths : float64 array of shape (n_steps,)
        What the differences along each step are divided by.
    """

    levels: NDArray[Any]
    steps: Longs
    lengths: NDArray[np.float64]

    @property
    def n_rows(self) -> int:
        """Number of rows of voxels."""
        return int(self.levels.shape[1] * self.levels.shape[2])


class Window(NamedTuple):
    """Which bits of weights are looked at, and how they are counted.

    Parameters
    ----------
    low, high : int
        The first bits, and those after the last.
    shift : int
        How many of the last bits share a bin.
    """

    low: int
    high: int
    shift: int

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return ((self.high - 1) >> self.shift) - (self.low >> self.shift) + 1

    def begin_of(self, number: int) -> int:
        """Return the first bits of a bin."""
        return max(((self.low >> self.shift) + number) << self.shift, self.low)


def steps_between(ndim: int, connectivity: int, spacing: Sequence[float] | None) -> tuple[Longs, NDArray[np.float64]]:
    """Return the steps to later neighbours, always in 3-D, and the longest edge that each crosses.

    Parameters
    ----------
    ndim : int
        2 or 3; a 2-D image has one plane.
    connectivity : int
        How many axes a step may cross.
    spacing : sequence of float or None
        World length of a voxel along each axis.

    Returns
    -------
    steps : int64 array of shape (n, 3)
        Those after (0, 0, 0), in scan order.
    lengths : float64 array of shape (n,)
        In edges of the smallest voxel.
    """
    sides = [edge / 1024 for edge in (*(0,) * (3 - ndim), *voxel_edges(spacing, ndim))]
    reach = [(0,)] * (3 - ndim) + [(-1, 0, 1)] * ndim
    steps = [s for s in itertools.product(*reach) if s > (0, 0, 0) and sum(map(abs, s)) <= connectivity]
    lengths = [max(side for side, way in zip(sides, s, strict=True) if way) for s in steps]
    return np.array(steps, np.int64).reshape(-1, 3), np.array(lengths, np.float64)


def counted(lattice: Lattice, labels: Ints, window: Window, alone: bool) -> Ints:
    """Count the edges that matter, by their bits.

    Parameters
    ----------
    lattice : Lattice
        What the weights are made of.
    labels : int32 array of shape (nz, ny, nx)
        Of every voxel its component, or its complement where that is frozen; `OUTSIDE` outside.
    window : Window
        Which bits count.
    alone : bool
        Whether edges from a frozen component to one that is not matter as well.

    Returns
    -------
    int32 array of shape (blocks, bins)
        One row for every block of `blocks_of_rows`.
    """
    blocks = blocks_of_rows(lattice)
    counts = np.zeros((len(blocks), window.n_bins), np.int32)

    def count(numbered: tuple[int, slice]) -> None:
        number, rows = numbered
        _count(*lattice, labels, alone, *window, rows.start, rows.stop, counts[number])

    run(count, list(enumerate(blocks)))
    return counts


def gathered(lattice: Lattice, labels: Ints, window: Window, counts: Ints, alone: bool) -> Ints:
    """Return the edges that matter in order of their weight, their first and their second voxel.

    Parameters
    ----------
    lattice, labels, window, alone
        As in `counted`.
    counts : int32 array
        What that returned; a window that ends before the one that was counted takes the first bins only.

    Returns
    -------
    int32 array of shape (n, 3)
        The bits of the weight, and the components at both ends.
    """
    by_bin = counts[:, : window.n_bins].T.astype(np.int64)
    ends = np.cumsum(by_bin.ravel()).reshape(by_bin.shape)
    places = np.ascontiguousarray((ends - by_bin).T)
    starts = np.append(places[0], ends[-1, -1])
    edges = np.empty((int(starts[-1]), 3), np.int32)

    def gather(numbered: tuple[int, slice]) -> None:
        number, rows = numbered
        _gather(*lattice, labels, alone, *window, rows.start, rows.stop, places[number], edges)

    run(gather, list(enumerate(blocks_of_rows(lattice))))
    if window.shift:
        run(lambda bins: _sort_buckets(edges, starts, bins.start, bins.stop, window.shift), _shares(starts))
    return edges


def blocks_of_rows(lattice: Lattice) -> list[slice]:
    """Return rows of voxels in blocks, several for each processor."""
    n, width = lattice.n_rows, lattice.levels.shape[3]
    return slices(n, min(4 * n_threads(), -(-n * width // BLOCK_ROWS)))


def slices(n: int, n_parts: int) -> list[slice]:
    """Return that many slices of about the same length."""
    limits = np.linspace(0, n, max(n_parts, 1) + 1).astype(int).tolist()
    return [slice(a, b) for a, b in itertools.pairwise(limits)]


def _shares(starts: Longs) -> list[slice]:
    """Return bins in parts with about as many edges each."""
    n_parts = min(4 * n_threads(), -(-int(starts[-1]) // BLOCK_ROWS))
    limits = np.searchsorted(starts, np.linspace(0, starts[-1], max(n_parts, 1) + 1)[1:-1])
    return [slice(int(a), int(b)) for a, b in itertools.pairwise([0, *limits, len(starts) - 1])]


def run(work: Any, parts: Sequence[Any]) -> None:
    """Do what there is to do for every part, on all processors."""
    with quiet():
        for _ in each(work, list(parts), _HOST):
            pass


_HOST = np.zeros(0)


@compiled
def weigh_row(levels: NDArray[Any], z: int, y: int, step: Longs, length: float, weights: NDArray[np.float32]) -> None:
    """Write the weights of the edges from the voxels of a row, one step away; NaN where none is."""
    n_channels, nz, ny, nx = levels.shape
    weights[:] = np.nan
    up, on, dx = z + step[0], y + step[1], step[2]
    if up >= nz or on < 0 or on >= ny:
        return
    start, stop = max(0, -dx), nx - max(0, dx)
    found = weights[start:stop]
    if n_channels == 1:
        here, there = levels[0, z, y, start:stop], levels[0, up, on, start + dx : stop + dx]
        for x in range(len(found)):
            found[x] = np.float32(abs(np.float64(there[x]) - np.float64(here[x])) / length)
        return
    sums = np.zeros(len(found), np.float64)
    for c in range(n_channels):
        here, there = levels[c, z, y, start:stop], levels[c, up, on, start + dx : stop + dx]
        for x in range(len(found)):
            difference = np.float64(there[x]) - np.float64(here[x])
            sums[x] += difference * difference
    for x in range(len(found)):
        found[x] = np.float32(np.sqrt(sums[x]) / length)


@inlined
def matters(a: np.int32, b: np.int32, alone: bool) -> bool:
    """Tell whether an edge between two components, complements where they are frozen, may still join them."""
    return bool(a != b and ((a | b) >= 0 or (alone and (a & b) >= 0)))


@compiled
def _count(
    levels: NDArray[Any],
    steps: Longs,
    lengths: NDArray[np.float64],
    labels: Ints,
    alone: bool,
    low: int,
    high: int,
    shift: int,
    first: int,
    last: int,
    counts: Ints,
) -> None:
    nz, ny, nx = labels.shape
    weights = np.empty(nx, np.float32)
    bits = weights.view(np.int32)
    bin_before = low >> shift
    for row in range(first, last):
        z, y = row // ny, row % ny
        for s in range(len(steps)):
            up, on, dx = z + steps[s, 0], y + steps[s, 1], steps[s, 2]
            if up >= nz or on < 0 or on >= ny:
                continue
            weigh_row(levels, z, y, steps[s], lengths[s], weights)
            here, there = labels[z, y], labels[up, on]
            for x in range(max(0, -dx), nx - max(0, dx)):
                key = bits[x]
                if low <= key < high and matters(here[x], there[x + dx], alone):
                    counts[(key >> shift) - bin_before] += 1


@compiled
def _gather(
    levels: NDArray[Any],
    steps: Longs,
    lengths: NDArray[np.float64],
    labels: Ints,
    alone: bool,
    low: int,
    high: int,
    shift: int,
    first: int,
    last: int,
    places: Longs,
    edges: Ints,
) -> None:
    """Write edges into their buckets; those of a voxel come together, in order of their steps."""
    _, ny, nx = labels.shape
    weights = np.empty((len(steps), nx), np.float32)
    bits = weights.view(np.int32)
    bin_before = low >> shift
    for row in range(first, last):
        z, y = row // ny, row % ny
        for s in range(len(steps)):
            weigh_row(levels, z, y, steps[s], lengths[s], weights[s])
        for x in range(nx):
            a = labels[z, y, x]
            for s in range(len(steps)):
                key = bits[s, x]
                if low <= key < high:
                    b = labels[z + steps[s, 0], y + steps[s, 1], x + steps[s, 2]]
                    if matters(a, b, alone):
                        at = places[(key >> shift) - bin_before]
                        places[(key >> shift) - bin_before] = at + 1
                        edges[at, KEY], edges[at, ONE], edges[at, TWO] = key, max(a, ~a), max(b, ~b)


@compiled
def _sort_buckets(edges: Ints, starts: Longs, first: int, last: int, shift: int) -> None:
    """Sort each bucket by the last bits; equal edges keep their order."""
    longest = 0
    for k in range(first, last):
        longest = max(longest, starts[k + 1] - starts[k])
    spare = np.empty((longest, 3), np.int32)
    ends = np.empty(1 << DIGIT, np.int64)
    for k in range(first, last):
        bucket = edges[starts[k] : starts[k + 1]]
        if len(bucket) <= FEW:
            _insert(bucket)
            continue
        other = spare[: len(bucket)]
        for digit in range(0, shift, 2 * DIGIT):
            _by_digit(bucket, other, digit, ends)
            _by_digit(other, bucket, digit + DIGIT, ends)


@compiled
def _insert(bucket: Ints) -> None:
    for i in range(1, len(bucket)):
        key, one, two = bucket[i, KEY], bucket[i, ONE], bucket[i, TWO]
        j = i
        while j > 0 and bucket[j - 1, KEY] > key:
            bucket[j, KEY], bucket[j, ONE], bucket[j, TWO] = bucket[j - 1, KEY], bucket[j - 1, ONE], bucket[j - 1, TWO]
            j -= 1
        bucket[j, KEY], bucket[j, ONE], bucket[j, TWO] = key, one, two


@compiled
def _by_digit(of: Ints, to: Ints, digit: int, ends: Longs) -> None:
    """Copy edges in order of one digit of their bits."""
    ends[:] = 0
    last = len(ends) - 1
    for i in range(len(of)):
        ends[(of[i, KEY] >> digit) & last] += 1
    total = 0
    for k in range(len(ends)):
        total, ends[k] = total + ends[k], total
    for i in range(len(of)):
        k = (of[i, KEY] >> digit) & last
        at = ends[k]
        ends[k] = at + 1
        to[at, KEY], to[at, ONE], to[at, TWO] = of[i, KEY], of[i, ONE], of[i, TWO]
