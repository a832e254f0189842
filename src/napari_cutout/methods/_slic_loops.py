"""SLIC's loops over voxels in host memory: which centre is nearest, and what the voxels of each add up to.

Rows of voxels are compared with one centre after another, in vectors. A centre is skipped for the parts of a row where
its distance in space alone is no less than that to the centre of the voxel's own cell, with which every row begins: no
result changes by that, because adding a difference of grey levels makes no sum smaller, rounded or not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._compiled import bare, inlined

Floats = NDArray[np.float32]
Numbers = NDArray[np.int32]

STRETCH = 16
"""Voxels of a row whose largest distance is known together."""

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
    values: NDArray[np.float32],
    known: NDArray[np.bool_],
    cells: tuple[Numbers, Numbers, Numbers],
    of_cell: NDArray[np.int32],
    axes: tuple[Floats, Floats, Floats],
    origin: tuple[int, int, int],
    near: NDArray[np.int64],
    places: NDArray[np.float32],
    colours: NDArray[np.float32],
    windows: NDArray[np.int32],
    scratch: tuple[Floats, Floats, Floats, NDArray[np.int64]],
    labels: NDArray[np.int32],
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
    near : int64 array
        Numbers of the centres whose windows reach into the block, rising.
    places, colours : float32 arrays of shape (k, 3) and (k, n_channels)
        The centres.
    windows : int32 array of shape (k, 3, 2)
        First index along each axis at which a centre is a candidate, and the index after the last.
    scratch : arrays of shape (nx,), (nx,), (nx // STRETCH + 1,) and (near.size,)
        Overwritten.
    labels : int32 array of shape (nz, ny, nx)
        The result.
    """
    _, nz, ny, nx = values.shape
    best, work, worst, active = scratch
    for z in range(nz):
        n_active = 0
        for j in range(near.size):
            k = near[j]
            if windows[k, 0, 0] <= z + origin[0] and z + origin[0] < windows[k, 0, 1]:
                active[n_active] = k
                n_active += 1
        for y in range(ny):
            _begin_row(values, z, y, cells, of_cell, axes, places, colours, best, work, labels[z, y])
            if known.size:
                _leave_out(known[z, y], best, labels[z, y])
            most = _stretches(best, worst)
            for a in range(n_active):
                k = active[a]
                if y + origin[1] < windows[k, 1, 0] or y + origin[1] >= windows[k, 1, 1]:
                    continue
                base = _apart(axes, z, y, places, k)
                if base < most:
                    first, end = _reach(windows, k, origin[2], nx, base, places[k, 2], axes[2], worst)
                    if first < end:
                        _compare(values, z, y, first, end, axes[2], base, places[k, 2], colours, np.int32(k),
                                 best, work, labels[z, y])  # fmt: skip


@inlined
def _apart(axes: tuple[Floats, Floats, Floats], z: int, y: int, places: Floats, k: int) -> np.float32:
    """Return the squared distance between a row and a centre."""
    dz, dy = axes[0][z] - places[k, 0], axes[1][y] - places[k, 1]
    return dz * dz + dy * dy


@bare
def _begin_row(
    values: Floats, z: int, y: int, cells: tuple[Numbers, Numbers, Numbers], of_cell: Numbers,
    axes: tuple[Floats, Floats, Floats], places: Floats, colours: Floats, best: Floats, work: Floats, at: Numbers,
) -> None:  # fmt: skip
    """Begin with the centre of every voxel's own cell."""
    along, start, nx = cells[2], 0, at.size
    while start < nx:
        end = start + 1
        while end < nx and along[end] == along[start]:
            end += 1
        k = of_cell[cells[0][z], cells[1][y], along[start]]
        if k >= 0:
            base = _apart(axes, z, y, places, k)
            _distances(values, z, y, start, end, axes[2], base, places[k, 2], colours, k, work)
        for i in range(end - start):
            best[start + i] = work[i] * LONGER + LONGER_BY if k >= 0 else ZERO
            at[start + i] = k
        start = end


@bare
def _distances(
    values: Floats, z: int, y: int, first: int, end: int, axis: Floats, base: np.float32, centre: np.float32,
    colours: Floats, k: int, found: Floats,
) -> None:  # fmt: skip
    """Write the squared distances between a part of a row and a centre."""
    x = axis[first:end]
    for i in range(x.size):
        dx = x[i] - centre
        found[i] = base + dx * dx
    for channel in range(colours.shape[1]):
        levels, middle = values[channel, z, y, first:end], colours[k, channel]
        for i in range(x.size):
            away = levels[i] - middle
            found[i] = found[i] + away * away


@bare
def _leave_out(known: NDArray[np.bool_], best: Floats, at: Numbers) -> None:
    """Give no number to unknown voxels, whose grey levels may be NaN: no distance is below 0."""
    for i in range(at.size):
        if not known[i]:
            best[i] = ZERO
            at[i] = -1


@bare
def _stretches(best: Floats, worst: Floats) -> np.float32:
    """Write the largest distance of each stretch, and return that of the row."""
    most = ZERO
    for s in range((best.size + STRETCH - 1) // STRETCH):
        largest = ZERO
        for i in range(s * STRETCH, min(s * STRETCH + STRETCH, best.size)):
            largest = max(largest, best[i])
        worst[s] = largest
        most = max(most, largest)
    return most


@bare
def _reach(
    windows: Numbers, k: int, origin: int, nx: int, base: np.float32, centre: np.float32, x: Floats, worst: Floats
) -> tuple[int, int]:
    """Return the part of a row where a centre may be the nearest: its window, without stretches that are too far."""
    start, end = max(windows[k, 2, 0] - origin, 0), min(windows[k, 2, 1] - origin, nx)
    if start >= end:
        return 0, 0
    first, last = start // STRETCH, (end - 1) // STRETCH
    while first <= last and _too_far(first, base, centre, x, worst):
        first += 1
    while last > first and _too_far(last, base, centre, x, worst):
        last -= 1
    return max(start, first * STRETCH), min(end, (last + 1) * STRETCH)


@inlined
def _too_far(stretch: int, base: np.float32, centre: np.float32, x: Floats, worst: Floats) -> bool:
    left, right = x[stretch * STRETCH], x[min(stretch * STRETCH + STRETCH, x.size) - 1]
    away = max(max(left - centre, centre - right), ZERO)
    return base + away * away >= worst[stretch]


@bare
def _compare(
    values: Floats, z: int, y: int, first: int, end: int, axis: Floats, base: np.float32, centre: np.float32,
    colours: Floats, k: np.int32, bests: Floats, work: Floats, at: Numbers,
) -> None:  # fmt: skip
    """Take a centre in a part of a row where it is closer than the best so far."""
    best, numbers = bests[first:end], at[first:end]
    if colours.shape[1] > 1:
        _distances(values, z, y, first, end, axis, base, centre, colours, k, work)
        for i in range(best.size):
            closer = work[i] < best[i]
            best[i] = work[i] if closer else best[i]
            numbers[i] = k if closer else numbers[i]
        return
    x, levels, middle = axis[first:end], values[0, z, y, first:end], colours[k, 0]
    for i in range(best.size):  # the same in one go
        dx, away = x[i] - centre, levels[i] - middle
        distance = (base + dx * dx) + away * away
        closer = distance < best[i]
        best[i] = distance if closer else best[i]
        numbers[i] = k if closer else numbers[i]


@bare
def add_rows(
    labels: NDArray[np.int32],
    values: NDArray[np.float32],
    origin: tuple[int, int, int],
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
def _units(values: Floats) -> int:
    total = 0
    for i in range(values.size):
        total += np.int64((np.float64(values[i]) * COLOUR_UNITS + ROUNDER) - ROUNDER)
    return total
