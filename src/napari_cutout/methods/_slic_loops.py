"""SLIC's loops over voxels in host memory: which centre is nearest, and what the voxels of each add up to.

Rows of voxels are compared with one centre after another, in vectors. A centre is skipped for stretches of a row where
its distance in space alone is no less than that to the centre of the voxel's own cell, with which every row begins: no
result changes by that, because adding a difference of grey levels makes no sum smaller, rounded or not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._compiled import bare

Floats = NDArray[np.float32]
Numbers = NDArray[np.int32]
Triple = tuple[int, int, int]

STRETCH = 16
"""Voxels of a row that are compared together."""

ROW = 512
"""Voxels of a row in work. What is known of them stands in one array, `ROW` places apart: compilers then know that what
is written is not what is read next, and compare voxels in vectors."""

AT, PLACE, LEVEL, SECOND, THIRD, APART = ROW, 2 * ROW, 3 * ROW, 4 * ROW, 5 * ROW, 6 * ROW
"""Where the number of the best centre stands, the place along x, the grey levels of one channel or three, and the
distance to a centre; the distance to the best comes first."""

WORK = 7 * ROW
"""Places of that array."""

LONGER, LONGER_BY = np.float32(1 + 2.0**-22), np.float32(1e-30)
"""The distance to the centre of the own cell is taken a little longer, so that this centre, too, is found by its turn
among those whose windows hold the voxel, and of several at the same distance the first."""

COLOUR_UNITS = 2.0**20
"""Units of a standardised grey level in sums."""

ROUNDER = 1.5 * 2.0**52
"""Adding this to a float64 and taking it away again rounds it to an integer."""

ZERO = np.float32(0)


@bare
def assign_rows(
    values: Floats,
    known: NDArray[np.bool_],
    cells: tuple[Numbers, Numbers, Numbers],
    of_cell: Numbers,
    axes: tuple[Floats, Floats, Floats],
    origin: Triple,
    near: Numbers,
    places: Floats,
    colours: Floats,
    windows: Numbers,
    reach: Floats,
    scratch: tuple[Floats, Floats, Floats, Numbers, Numbers],
    labels: Numbers,
) -> None:
    """Write the number of the nearest centre of every voxel of a block.

    Parameters
    ----------
    values : float32 array of shape (n_channels, nz, ny, nx)
        Standardised grey levels.
    known : bool array of shape (nz, ny, nx) or (0, 0, 0)
        Which voxels have a number; the others become -1. Empty if all have.
    cells : three int32 arrays of shape (nz,), (ny,) and (nx,)
        Cell of the grid along each axis.
    of_cell : int32 array of shape (cells along z, y, x)
        Number of the centre of each cell.
    axes : three float32 arrays of shape (nz,), (ny,) and (nx,)
        Where voxels stand, in the unit of `places`.
    origin : tuple of int
        Index of the first voxel in the whole.
    near : int32 array
        Numbers of the centres whose windows reach into the block, rising.
    places, colours : float32 arrays of shape (k, 3) and (k, n_channels)
        The centres.
    windows : int32 array of shape (k, 3, 2)
        First index along each axis at which a centre may be a candidate, and the index after the last.
    reach : float32 array of shape (3,)
        Squared distance along each axis at which it is one.
    scratch : arrays of shape (WORK,), (ROW // STRETCH,), (n_channels * ROW,), and twice (near.size,)
        Overwritten.
    labels : int32 array of shape (nz, ny, nx)
        The result.
    """
    _, nz, ny, nx = values.shape
    work, worst, levels, in_plane, active = scratch
    for start in range(0, nx, ROW):
        end = min(start + ROW, nx)
        _lay_out(axes[2][start:end], work)
        for z in range(nz):
            n_in_plane = _within(near, near.size, windows, 0, z + origin[0], in_plane)
            for y in range(ny):
                n_active = _within(in_plane, n_in_plane, windows, 1, y + origin[1], active)
                _read_row(values, z, y, start, end, work, levels)
                _begin_row(z, y, start, end, cells, of_cell, axes, places, colours, work, levels)
                if known.size:
                    _leave_out(known[z, y, start:end], work)
                most = _stretches(end - start, work, worst)
                for a in range(n_active):
                    k = active[a]
                    dz, dy = axes[0][z] - places[k, 0], axes[1][y] - places[k, 1]
                    base = dz * dz + dy * dy
                    if base < most and dz * dz <= reach[0] and dy * dy <= reach[1]:
                        first, last = max(windows[k, 2, 0] - origin[2], start), min(windows[k, 2, 1] - origin[2], end)
                        _compare(first - start, last - start, base, k, places[k, 2], colours, reach[2], worst, work,
                                 levels)  # fmt: skip
                found = labels[z, y, start:end]
                for i in range(end - start):
                    found[i] = np.int32(work[AT + i])


@bare
def _within(numbers: Numbers, n: int, windows: Numbers, axis: int, at: int, found: Numbers) -> int:
    """Write which of the first n centres have a window that holds an index along an axis; return how many."""
    n_found = 0
    for j in range(n):
        k = numbers[j]
        if windows[k, axis, 0] <= at and at < windows[k, axis, 1]:
            found[n_found] = k
            n_found += 1
    return n_found


@bare
def _lay_out(axis: Floats, work: Floats) -> None:
    """Write where the voxels of a row stand; behind its end, infinitely far."""
    for i in range(ROW):
        work[PLACE + i] = axis[i] if i < axis.size else np.float32(np.inf)
        work[i], work[AT + i], work[LEVEL + i] = ZERO, ZERO, ZERO


@bare
def _read_row(values: Floats, z: int, y: int, start: int, end: int, work: Floats, levels: Floats) -> None:
    """Copy the grey levels of a row: of up to three channels beside the rest, and all to where they stand alone."""
    n_channels = values.shape[0]
    for channel in range(n_channels):
        row = values[channel, z, y, start:end]
        for i in range(row.size):
            levels[channel * ROW + i] = row[i]
            if channel < 3:
                work[LEVEL + channel * ROW + i] = row[i]


@bare
def _begin_row(
    z: int, y: int, start: int, end: int, cells: tuple[Numbers, Numbers, Numbers], of_cell: Numbers,
    axes: tuple[Floats, Floats, Floats], places: Floats, colours: Floats, work: Floats, levels: Floats,
) -> None:  # fmt: skip
    """Begin with the centre of every voxel's own cell; one without is outside."""
    along = cells[2]
    while start < end:
        after = start + 1
        while after < end and along[after] == along[start]:
            after += 1
        k = of_cell[cells[0][z], cells[1][y], along[start]]
        if k >= 0:
            dz, dy = axes[0][z] - places[k, 0], axes[1][y] - places[k, 1]
            base, at, n = dz * dz + dy * dy, start % ROW, after - start
            if colours.shape[1] == 1:
                _begin_one(n, base, np.float32(k), places[k, 2], colours[k, 0], work[at:])
            else:
                _begin(n, base, k, places[k, 2], colours, work[at:], levels[at:])
        start = after


@bare
def _begin_one(
    n: int, base: np.float32, number: np.float32, centre: np.float32, middle: np.float32, work: Floats
) -> None:
    for i in range(n):
        dx, away = work[PLACE + i] - centre, work[LEVEL + i] - middle
        work[i] = ((base + dx * dx) + away * away) * LONGER + LONGER_BY
        work[AT + i] = number


@bare
def _begin(
    n: int, base: np.float32, k: int, centre: np.float32, colours: Floats, work: Floats, levels: Floats
) -> None:  # fmt: skip
    for i in range(n):
        dx = work[PLACE + i] - centre
        distance = base + dx * dx
        for channel in range(colours.shape[1]):
            away = levels[channel * ROW + i] - colours[k, channel]
            distance = distance + away * away
        work[i] = distance * LONGER + LONGER_BY
        work[AT + i] = np.float32(k)


@bare
def _leave_out(known: NDArray[np.bool_], work: Floats) -> None:
    """Give no number to unknown voxels, whose grey levels may be NaN: no distance is below 0."""
    for i in range(known.size):
        if not known[i]:
            work[i], work[AT + i] = ZERO, np.float32(-1)


@bare
def _stretches(n: int, work: Floats, worst: Floats) -> np.float32:
    """Write the largest distance of each stretch, and return that of the row."""
    most = ZERO
    for s in range((n + STRETCH - 1) // STRETCH):
        largest = ZERO
        for i in range(s * STRETCH, (s + 1) * STRETCH):
            largest = max(largest, work[i])
        worst[s] = largest
        most = max(most, largest)
    return most


@bare
def _compare(
    first: int, end: int, base: np.float32, k: int, centre: np.float32, colours: Floats, reach: np.float32,
    worst: Floats, work: Floats, levels: Floats,
) -> None:  # fmt: skip
    """Take a centre in the stretches of a part of a row, where it is closer than the best so far."""
    number, n_channels = np.float32(k), colours.shape[1]
    for s in range(first // STRETCH, (end + STRETCH - 1) // STRETCH):
        at = s * STRETCH
        left, right = work[PLACE + at], work[PLACE + at + STRETCH - 1]
        away = max(max(left - centre, centre - right), ZERO)
        if base + away * away < worst[s]:
            if n_channels == 1:
                _take_one(work[at:], base, centre, colours[k, 0], reach, number)
            elif n_channels == 3:
                _take_colour(work[at:], base, centre, colours[k, 0], colours[k, 1], colours[k, 2], reach, number)
            else:
                _take_closer(work[at:], levels[at:], base, centre, colours, k, reach, number)


@bare
def _take_one(work: Floats, base: np.float32, centre: np.float32, middle: np.float32, reach: np.float32,
              number: np.float32) -> None:  # fmt: skip
    """Compare a stretch of one channel."""
    for i in range(STRETCH):
        dx, away = work[PLACE + i] - centre, work[LEVEL + i] - middle
        along = dx * dx
        distance = (base + along) + away * away
        closer = (distance < work[i]) & (along <= reach)
        work[i] = distance if closer else work[i]
        work[AT + i] = number if closer else work[AT + i]


@bare
def _take_colour(work: Floats, base: np.float32, centre: np.float32, first: np.float32, second: np.float32,
                 third: np.float32, reach: np.float32, number: np.float32) -> None:  # fmt: skip
    """Compare a stretch of three channels: as `_take_closer` does, in one go."""
    for i in range(STRETCH):
        dx, one, two = work[PLACE + i] - centre, work[LEVEL + i] - first, work[SECOND + i] - second
        along, three = dx * dx, work[THIRD + i] - third
        distance = (((base + along) + one * one) + two * two) + three * three
        closer = (distance < work[i]) & (along <= reach)
        work[i] = distance if closer else work[i]
        work[AT + i] = number if closer else work[AT + i]


@bare
def _take_closer(
    work: Floats, levels: Floats, base: np.float32, centre: np.float32, colours: Floats, k: int, reach: np.float32,
    number: np.float32,
) -> None:  # fmt: skip
    """Compare a stretch of several channels."""
    for i in range(STRETCH):
        dx = work[PLACE + i] - centre
        work[APART + i] = base + dx * dx
    for channel in range(colours.shape[1]):
        middle, row = colours[k, channel], levels[channel * ROW :]
        for i in range(STRETCH):
            away = row[i] - middle
            work[APART + i] = work[APART + i] + away * away
    for i in range(STRETCH):
        dx = work[PLACE + i] - centre
        closer = (work[APART + i] < work[i]) & (dx * dx <= reach)
        work[i] = work[APART + i] if closer else work[i]
        work[AT + i] = number if closer else work[AT + i]


@bare
def add_rows(
    labels: Numbers,
    values: Floats,
    origin: Triple,
    counts: NDArray[np.int64],
    places: NDArray[np.int64],
    colours: NDArray[np.int64],
) -> None:
    """Add up the voxels of each centre: how many, their indices, and their grey levels in `COLOUR_UNITS`.

    Parameters
    ----------
    labels : int32 array of shape (nz, ny, nx)
        Numbers of centres; -1 has none.
    values : float32 array of shape (n_channels, nz, ny, nx)
        Standardised grey levels.
    origin : tuple of int
        Index of the first voxel in the whole.
    counts, places, colours : int64 arrays of shape (k,), (k, 3) and (k, n_channels)
        Added to.
    """
    n_channels, nz, ny, nx = values.shape
    for z in range(nz):
        for y in range(ny):
            start = 0
            while start < nx:
                k, end = labels[z, y, start], start + 1
                while end < nx and labels[z, y, end] == k:
                    end += 1
                if k >= 0:
                    n = end - start
                    counts[k] += n
                    places[k, 0] += n * (z + origin[0])
                    places[k, 1] += n * (y + origin[1])
                    places[k, 2] += (start + end - 1) * n // 2 + n * origin[2]
                    for channel in range(n_channels):
                        colours[k, channel] += _units(values[channel, z, y, start:end])
                start = end


@bare
def renumber(labels: Numbers, numbers: Numbers) -> None:
    """Write other numbers for those from 0 on, in place.

    Parameters
    ----------
    labels : int32 array of shape (n,)
        Numbers of centres; -1 stays.
    numbers : int32 array
        What each becomes.
    """
    for i in range(labels.size):
        if labels[i] >= 0:
            labels[i] = numbers[labels[i]]


@bare
def _units(values: Floats) -> np.int64:
    total = np.int64(0)
    for i in range(values.size):
        total += np.int64((np.float64(values[i]) * COLOUR_UNITS + ROUNDER) - ROUNDER)
    return total
