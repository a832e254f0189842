"""Edges between neighbouring voxels, made on the fly and handed out in order of their weight.

No more than a part of them is ever held. A scan counts the edges that still matter by the bits of their weight, which
rise with it; from the counts a group of the lightest is chosen that fits into memory; a second scan writes each of its
edges into the bucket of its bits; and every bucket is sorted by the bits that are left. Scans go through voxels in scan
order, block by block on all processors, and each block knows from the counts where to write: so neither their number
nor the limits of the groups can show. Edges of equal weight are ordered by their first voxel, then by the second.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._compiled import bare, compiled, inlined, n_threads
from ..processing.filters import edges as voxel_edges

__all__ = ["HEAVIEST", "OUTSIDE", "Lattice", "Window", "counted", "equal_edges", "gathered", "steps_between"]

OUTSIDE = np.int32(-(2**31))
"""The label of voxels that are outside."""

HEAVIEST = 0x7F800000
"""The bits of the largest weight, infinity; those of NaN, which is no edge, are above."""

BLOCK = 1 << 17
"""Voxels or edges for which it is not worth to use another thread."""

MOST = 1 << 30
"""About how many edges a block may have: half of what int32 can count, since blocks are not quite equal."""

FEW = 24
"""Edges up to which a bucket is sorted by insertion."""

DIGIT = 8
"""Bits by which a bucket is sorted at a time."""

STRIP = 256
"""Voxels of a row that are looked at together: what is made of them stays in the cache."""

NONE = np.int32(2**31 - 1)
"""The bits where there is no edge, above those of any weight."""

KEY, ONE, TWO = 0, 1, 2
"""The fields of an edge: the bits of its weight, and the labels at its ends."""

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]


class Lattice(NamedTuple):
    """What the weights of edges are made of; plain arrays, so that compiled loops can take it.

    Parameters
    ----------
    levels : float array of shape (n_channels, voxels)
        Grey levels in scan order; NaN is outside.
    shape : int32 array of shape (3,)
        Planes, rows and columns.
    steps : int32 array of shape (n_steps, 3)
        From a voxel to those of its neighbours that come after it, in scan order.
    lengths : float64 array of shape (n_steps,)
        What the differences along each step are divided by.
    offsets : int64 array of shape (n_steps,)
        How many voxels later each step leads.
    """

    levels: NDArray[Any]
    shape: Ints
    steps: Ints
    lengths: NDArray[np.float64]
    offsets: Longs

    @property
    def n_rows(self) -> int:
        """Number of rows of voxels."""
        return int(self.shape[0]) * int(self.shape[1])

    @property
    def n_voxels(self) -> int:
        """Number of voxels."""
        return int(self.levels.shape[1])

    @property
    def outside(self) -> NDArray[np.bool_]:
        """Which voxels are outside."""
        return np.asarray(np.isnan(self.levels[0]), bool)


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


def steps_between(ndim: int, connectivity: int, spacing: Sequence[float] | None) -> tuple[Ints, NDArray[np.float64]]:
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
    steps : int32 array of shape (n, 3)
        Those after (0, 0, 0), in scan order.
    lengths : float64 array of shape (n,)
        In edges of the smallest voxel.
    """
    sides = [edge / 1024 for edge in (*(0,) * (3 - ndim), *voxel_edges(spacing, ndim))]
    reach = [(0,)] * (3 - ndim) + [(-1, 0, 1)] * ndim
    steps = [s for s in itertools.product(*reach) if s > (0, 0, 0) and sum(map(abs, s)) <= connectivity]
    lengths = [max(side for side, way in zip(sides, s, strict=True) if way) for s in steps]
    return np.array(steps, np.int32).reshape(-1, 3), np.array(lengths, np.float64)


def counted(lattice: Lattice, labels: Ints, window: Window, alone: bool) -> Ints:
    """Count the edges that matter, by their bits.

    Parameters
    ----------
    lattice : Lattice
        What the weights are made of.
    labels : int32 array of shape (voxels,)
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
    counts = np.zeros((len(blocks), window.n_bins + 1), np.int32)  # one more for the rest, without a branch

    def count(numbered: tuple[int, slice]) -> None:
        number, rows = numbered
        _count(lattice, labels, alone, window, rows.start, rows.stop, new_strip(lattice), counts[number])

    run(count, list(enumerate(blocks)))
    return counts[:, :-1]


def gathered(
    lattice: Lattice, labels: Ints, window: Window, counts: Ints, alone: bool, room: Ints | None = None
) -> Ints:
    """Return the edges that matter in order of their weight, their first and their second voxel.

    Parameters
    ----------
    lattice, labels, window, alone
        As in `counted`.
    counts : int32 array
        What that returned of the window.
    room : int32 array of shape (at least n, 3), optional
        Where they are written.

    Returns
    -------
    int32 array of shape (n, 3)
        The bits of the weight, and the components at both ends.
    """
    by_bin = counts.T.astype(np.int64)
    ends = np.cumsum(by_bin.ravel()).reshape(by_bin.shape)
    places = np.ascontiguousarray((ends - by_bin).T)
    starts = np.append(places[0], ends[-1, -1])
    edges = np.empty((int(starts[-1]), 3), np.int32) if room is None else room[: starts[-1]]

    def gather(numbered: tuple[int, slice]) -> None:
        number, rows = numbered
        _gather(lattice, labels, alone, window, rows.start, rows.stop, new_strip(lattice), places[number], edges)

    run(gather, list(enumerate(blocks_of_rows(lattice))))
    if window.shift:
        run(lambda bins: _sort_buckets(edges, starts, bins.start, bins.stop, window.shift), _shares(starts))
    return edges


def equal_edges(lattice: Lattice, labels: Ints, window: Window, alone: bool, room: Ints) -> Iterator[Ints]:
    """Yield the edges of one weight in their order, as many at a time as there is room for, and at least a row.

    Parameters
    ----------
    lattice, labels, window, alone
        As in `counted`; the window has one bin.
    room : int32 array of shape (n, 3)
        Where they are written.
    """
    of_a_row = len(lattice.steps) * int(lattice.shape[2])
    if len(room) < of_a_row:
        room = np.empty((of_a_row, 3), np.int32)
    n_rows = len(room) // of_a_row
    for first in range(0, lattice.n_rows, n_rows):
        places, last = np.zeros(1, np.int64), min(first + n_rows, lattice.n_rows)
        _gather(lattice, labels, alone, window, first, last, new_strip(lattice), places, room)
        yield room[: places[0]]


def blocks_of_rows(lattice: Lattice) -> list[slice]:
    """Return rows of voxels in blocks, several for each processor, and none with more edges than int32 can count."""
    n_edges = lattice.n_voxels * len(lattice.steps)
    return slices(lattice.n_rows, max(len(parts_of(lattice.n_voxels)), n_edges // MOST + 1))


def parts_of(n: int) -> list[slice]:
    """Return so many items in parts, several for each processor where there are many."""
    return slices(n, min(4 * n_threads(), -(-n // BLOCK)))


def slices(n: int, n_parts: int) -> list[slice]:
    """Return that many slices of about the same length."""
    limits = np.linspace(0, n, max(n_parts, 1) + 1).astype(int).tolist()
    return [slice(a, b) for a, b in itertools.pairwise(limits)]


def _shares(starts: Longs) -> list[slice]:
    """Return bins in parts with about as many edges each."""
    limits = np.searchsorted(starts, [part.start for part in parts_of(int(starts[-1]))][1:])
    return [slice(int(a), int(b)) for a, b in itertools.pairwise([0, *limits, len(starts) - 1])]


def run(work: Callable[[Any], None], parts: Iterable[Any]) -> None:
    """Do what there is to do for every part, on all processors.

    This thread takes parts as well, so that nothing waits for threads that a busy machine starts late.
    """
    parts = list(parts)
    waiting = iter(parts)

    def drain() -> None:
        for part in waiting:
            work(part)

    helpers = min(n_threads(), len(parts)) - 1
    if helpers < 1:
        drain()
        return
    with ThreadPoolExecutor(helpers) as pool:
        others = [pool.submit(drain) for _ in range(helpers)]
        drain()
        for other in others:
            other.result()


class Strip(NamedTuple):
    """Room for what is found of a strip of voxels.

    Parameters
    ----------
    sums : float64 array of shape (STRIP,)
        Squares of several channels.
    weights : float32 array of shape (n_steps, STRIP)
        Of the edges along each step.
    keys : int32 array of shape (n_steps, STRIP)
        Their bits: the same memory.
    """

    sums: NDArray[np.float64]
    weights: NDArray[np.float32]
    keys: Ints


def new_strip(lattice: Lattice) -> Strip:
    """Return room for a strip."""
    keys = np.full((len(lattice.steps), STRIP), NONE, np.int32)
    return Strip(np.zeros(STRIP), keys.view(np.float32), keys)


@inlined
def matters(a: np.int32, b: np.int32, alone: bool) -> Any:
    """Tell whether an edge between two components, complements where they are frozen, may still join them.

    As a bit: with a branch instead, a loop would take voxels one by one.
    """
    return (a != b) & (((a & b) if alone else (a | b)) >= 0)


@bare
def weigh(
    levels: NDArray[Any], at: int, offset: int, length: float, sums: NDArray[np.float64], weights: NDArray[np.float32]
) -> None:
    """Write the weights of the edges between voxels in a row and those `offset` later.

    Differences of float32 are the same whether they are rounded once, or first to float64.
    """
    n = len(weights)
    here, there = levels[0, at : at + n], levels[0, at + offset : at + offset + n]
    if len(levels) > 1:
        add_squares(levels, at, offset, sums[:n])
        root(sums[:n], length, weights)
    elif length == 1:
        for x in range(n):
            weights[x] = abs(there[x] - here[x])
    else:
        for x in range(n):
            weights[x] = abs(np.float64(there[x]) - np.float64(here[x])) / length


@bare
def add_squares(levels: NDArray[Any], at: int, offset: int, sums: NDArray[np.float64]) -> None:
    """Write the sums of the squared differences of all channels."""
    n = len(sums)
    sums[:] = 0
    for c in range(len(levels)):
        here, there = levels[c, at : at + n], levels[c, at + offset : at + offset + n]
        for x in range(n):
            difference = np.float64(there[x]) - np.float64(here[x])
            sums[x] += difference * difference


@bare
def root(sums: NDArray[np.float64], length: float, weights: NDArray[np.float32]) -> None:
    """Write the lengths of vectors of differences, divided by that of a step; a division by 1 is left out."""
    if length == 1:
        for x in range(len(sums)):
            weights[x] = np.sqrt(sums[x])
    else:
        for x in range(len(sums)):
            weights[x] = np.sqrt(sums[x]) / length


@bare
def read_step(lattice: Lattice, labels: Ints, alone: bool, row: int, begin: int, s: int, strip: Strip) -> bool:
    """Write the bits of the weights of the edges of a strip along one step, and tell whether any of them matters.

    They are `NONE` where there is no edge that does.
    """
    nz, ny, nx = lattice.shape
    step, keys = lattice.steps[s], strip.keys[s]
    z, y = row // ny + step[0], row % ny + step[1]
    start, stop = max(begin, -step[2]), min(begin + STRIP, nx - max(0, step[2]))
    keys[:] = NONE
    if z >= nz or y < 0 or y >= ny or start >= stop:
        return False
    at, offset, n = row * nx + start, lattice.offsets[s], stop - start
    here, there = labels[at : at + n], labels[at + offset : at + offset + n]
    n_alive = 0
    for x in range(n):
        n_alive += matters(here[x], there[x], alone)
    if n_alive == 0:
        return False
    found = keys[start - begin : stop - begin]
    weigh(lattice.levels, at, offset, lattice.lengths[s], strip.sums, strip.weights[s, start - begin : stop - begin])
    for x in range(n):
        found[x] = found[x] if matters(here[x], there[x], alone) else NONE
    return True


@bare
def read_strip(lattice: Lattice, labels: Ints, alone: bool, row: int, begin: int, strip: Strip) -> bool:
    """Do that along all steps."""
    some = False
    for s in range(len(lattice.steps)):
        some |= read_step(lattice, labels, alone, row, begin, s, strip)
    return some


@bare
def _count(
    lattice: Lattice, labels: Ints, alone: bool, window: Window, first: int, last: int, strip: Strip, counts: Ints
) -> None:
    low, high, shift = window
    n_bins = ((high - 1) >> shift) - (low >> shift) + 1
    for row in range(first, last):
        for begin in range(0, lattice.shape[2], STRIP):
            for s in range(len(lattice.steps)):
                if read_step(lattice, labels, alone, row, begin, s, strip):
                    for key in strip.keys[s]:
                        here = (key >> shift) - (low >> shift) if low <= key < high else n_bins
                        counts[np.uint32(here)] += 1


@bare
def _gather(
    lattice: Lattice,
    labels: Ints,
    alone: bool,
    window: Window,
    first: int,
    last: int,
    strip: Strip,
    places: Longs,
    edges: Ints,
) -> None:
    """Write edges into their buckets; those of a voxel come together, in order of their steps."""
    low, high, shift = window
    nx, offsets = lattice.shape[2], lattice.offsets
    for row in range(first, last):
        for begin in range(0, nx, STRIP):
            if not read_strip(lattice, labels, alone, row, begin, strip):
                continue
            for x in range(min(STRIP, nx - begin)):
                p = np.uint32(row * nx + begin + x)
                a = labels[p]
                for s in range(len(offsets)):
                    key = strip.keys[np.uint32(s), np.uint32(x)]
                    if low <= key < high:
                        b = labels[np.uint32(p + offsets[np.uint32(s)])]
                        k = np.uint32((key >> shift) - (low >> shift))
                        at = np.uint64(places[k])
                        places[k] += 1
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
