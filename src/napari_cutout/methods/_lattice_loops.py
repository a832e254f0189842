"""Loops over a lattice of voxels whose neighbours are joined by weighted edges, on the host.

Every vector has one plane of zeros before its first voxel and one after its last, and edges that would leave the image
weigh 0; so no loop asks where it is, and all of them run over whole planes from `low` to `high`. Sums are taken plane
by plane in float64, so that the number of threads cannot show.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._arithmetic import exp_of
from .._compiled import compiled

__all__ = [
    "add_squares",
    "advance",
    "apply_laplacian",
    "correct",
    "exponential_weights",
    "invert_degrees",
    "residual_after_smoothing",
    "restrict_range",
    "turn",
]

Floats = NDArray[np.float32]
Bits = NDArray[np.int32]

SMOOTHING = np.float32(0.7)
"""How far a Jacobi step goes."""


@compiled
def add_squares(values: Floats, squares: Floats, step: int, share: np.float32, plane: int, low: int, high: int) -> None:
    """Add the squared difference to the neighbour `step` away, times `share`, to the edge of every voxel."""
    begin, end = (low + 1) * plane, (high + 1) * plane
    here, there, sums = values[begin:end], values[begin + step : end + step], squares[begin:end]
    for i in range(len(sums)):
        difference = there[i] - here[i]
        sums[i] += difference * difference * share


@compiled
def exponential_weights(
    edges: Floats,
    blocked: NDArray[np.uint8],
    axis: int,
    height: int,
    width: int,
    powers: NDArray[np.float64],
    depth: int,
    low: int,
    high: int,
) -> None:
    """Turn sums of squares into weights of the edges along an axis, 0 where an edge ends outside."""
    plane = height * width
    step = plane if axis == 0 else width if axis == 1 else 1
    for z in range(low, high):
        for y in range(height):
            b = (z + 1) * plane + y * width
            line, here, there = edges[b : b + width], blocked[b : b + width], blocked[b + step : b + step + width]
            if (axis == 0 and z == depth - 1) or (axis == 1 and y == height - 1):
                line[:] = 0
                continue
            for x in range(width):
                weight = np.float32(exp_of(-np.float64(line[x]), powers) + 1e-10)
                line[x] = np.float32(0) if here[x] or there[x] else weight
            if axis == 2:
                line[-1] = 0


@compiled
def invert_degrees(
    wz: Floats,
    wy: Floats,
    wx: Floats,
    free: NDArray[np.uint8],
    inverse: Floats,
    row: int,
    plane: int,
    low: int,
    high: int,
) -> None:
    """Set the inverse of the summed weights of every free voxel, 0 of the others."""
    for i in range((low + 1) * plane, (high + 1) * plane):
        inverse[i] = 0
        if free[i]:
            degree = (wz[i] + wz[i - plane]) + (wy[i] + wy[i - row]) + (wx[i] + wx[i - 1])
            if degree > 0:
                inverse[i] = np.float32(1) / degree


@compiled
def apply_laplacian(
    wz: Floats,
    wy: Floats,
    wx: Floats,
    inverse: Floats,
    vectors: Floats,
    out: Floats,
    sign: np.float32,
    active: NDArray[np.uint8],
    partial: NDArray[np.float64],
    row: int,
    plane: int,
    low: int,
    high: int,
) -> None:
    """Set out to the Laplacian of vectors times `sign` at free voxels, 0 elsewhere; sum up their products by planes."""
    for z in range(low, high):
        b = (z + 1) * plane
        e = b + plane
        for k in range(len(vectors)):
            if active[k]:
                _flow(wz, wy, wx, inverse, vectors[k, b - plane : e + plane], out[k, b:e], sign, row, b, plane)
                partial[k, z] = _dot(vectors[k, b:e], out[k, b:e])


@compiled
def _flow(
    wz: Floats,
    wy: Floats,
    wx: Floats,
    inverse: Floats,
    p: Floats,
    out: Floats,
    sign: np.float32,
    row: int,
    b: int,
    plane: int,
) -> None:
    """Write what flows out of the voxels of a plane that begins at `b`, where p holds three planes."""
    e = b + plane
    c, inv = p[plane : 2 * plane], inverse[b:e]
    zn, zp, zv, zw = p[2 * plane :], p[:plane], wz[b:e], wz[b - plane : e - plane]
    yn, yp, yv, yw = p[plane + row : 2 * plane + row], p[plane - row : 2 * plane - row], wy[b:e], wy[b - row : e - row]
    xn, xp, xv, xw = p[plane + 1 : 2 * plane + 1], p[plane - 1 : 2 * plane - 1], wx[b:e], wx[b - 1 : e - 1]
    for i in range(plane):
        h = c[i]
        flow = (zv[i] * (h - zn[i]) + zw[i] * (h - zp[i])) + (yv[i] * (h - yn[i]) + yw[i] * (h - yp[i]))
        flow += xv[i] * (h - xn[i]) + xw[i] * (h - xp[i])
        out[i] = sign * flow if inv[i] > 0 else np.float32(0)


@compiled
def _dot(a: Floats, b: Floats) -> float:
    """Sum up products in float64, in eight lanes that are added at the end."""
    n = len(a) // 8 * 8
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    for i in range(0, n, 8):
        s0 += np.float64(a[i]) * np.float64(b[i])
        s1 += np.float64(a[i + 1]) * np.float64(b[i + 1])
        s2 += np.float64(a[i + 2]) * np.float64(b[i + 2])
        s3 += np.float64(a[i + 3]) * np.float64(b[i + 3])
        s4 += np.float64(a[i + 4]) * np.float64(b[i + 4])
        s5 += np.float64(a[i + 5]) * np.float64(b[i + 5])
        s6 += np.float64(a[i + 6]) * np.float64(b[i + 6])
        s7 += np.float64(a[i + 7]) * np.float64(b[i + 7])
    total = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))
    for i in range(n, len(a)):
        total += np.float64(a[i]) * np.float64(b[i])
    return total


@compiled
def residual_after_smoothing(
    wz: Floats,
    wy: Floats,
    wx: Floats,
    inverse: Floats,
    r: Floats,
    left: Floats,
    active: NDArray[np.uint8],
    row: int,
    plane: int,
    low: int,
    high: int,
) -> None:
    """Set left to what is left of r after one Jacobi step from zero."""
    steps = np.zeros((len(r), 3 * plane), np.float32)  # the plane before, this one, and the one after
    for z in range(low, high):
        for k in range(len(r)):
            if active[k]:
                s = steps[k]
                for at in range(0 if z == low else 2, 3):
                    _step_into(s[at * plane : (at + 1) * plane], r[k], inverse, z + at, plane)
                _leave(wz, wy, wx, inverse, r[k], s, left[k], z, row, plane)
                s[: 2 * plane] = s[plane:]


@compiled
def _step_into(out: Floats, r: Floats, inverse: Floats, at: int, plane: int) -> None:
    """Write one Jacobi step from zero for a plane, counted with the one before the first."""
    a, b = r[at * plane : (at + 1) * plane], inverse[at * plane : (at + 1) * plane]
    for i in range(plane):
        out[i] = SMOOTHING * (a[i] * b[i])


@compiled
def _leave(
    wz: Floats, wy: Floats, wx: Floats, inverse: Floats, r: Floats, s: Floats, out: Floats, z: int, row: int, plane: int
) -> None:
    """Set one plane of out to r minus the Laplacian of s, where s holds three planes."""
    b = (z + 1) * plane
    left, given = out[b : b + plane], r[b : b + plane]
    _flow(wz, wy, wx, inverse, s, left, np.float32(-1), row, b, plane)
    for i in range(plane):
        left[i] += given[i]


@compiled
def correct(
    wz: Floats,
    wy: Floats,
    wx: Floats,
    inverse: Floats,
    r: Floats,
    aggregate: NDArray[np.uint32],
    coarse: Floats,
    out: Floats,
    active: NDArray[np.uint8],
    partial: NDArray[np.float64],
    largest: Bits,
    row: int,
    plane: int,
    low: int,
    high: int,
) -> None:
    """Set out to a Jacobi step, plus the coarse correction, plus a second step; sum up r times out of every plane."""
    steps = np.zeros((len(r), 3 * plane), np.float32)
    for z in range(low, high):
        b = (z + 1) * plane
        for k in range(len(r)):
            if active[k]:
                s, found, inv = steps[k], out[k, b : b + plane], inverse[b : b + plane]
                for at in range(0 if z == low else 2, 3):
                    _correction_into(
                        s[at * plane : (at + 1) * plane], r[k], inverse, aggregate, coarse[k], z + at, plane
                    )
                _leave(wz, wy, wx, inverse, r[k], s, out[k], z, row, plane)
                for i in range(plane):
                    found[i] = s[plane + i] + SMOOTHING * (found[i] * inv[i])
                largest[k, z] = _largest(found)
                partial[k, z] = _dot(r[k, b : b + plane], found)
                s[: 2 * plane] = s[plane:]


@compiled
def _largest(values: Floats) -> np.int32:
    """Return the bits of the largest magnitude: as integers they rise with it, and their maximum is soon found."""
    largest = np.int32(0)
    for bits in values.view(np.int32):
        largest = max(largest, bits & np.int32(0x7FFFFFFF))
    return largest


@compiled
def _correction_into(
    out: Floats, r: Floats, inverse: Floats, aggregate: NDArray[np.uint32], coarse: Floats, at: int, plane: int
) -> None:
    """Write one Jacobi step from zero and the coarse correction for a plane, counted with the one before the first."""
    b = at * plane
    if at == 0 or b + plane == len(r):
        out[:] = 0
        return
    a, inv, number = r[b : b + plane], inverse[b : b + plane], aggregate[b - plane : b]
    for i in range(plane):
        out[i] = SMOOTHING * (a[i] * inv[i]) + coarse[number[i]]


@compiled
def restrict_range(
    left: Floats,
    aggregate: NDArray[np.uint32],
    coarse: Floats,
    active: NDArray[np.uint8],
    first: int,
    last: int,
    begin: int,
    end: int,
    offset: int,
) -> None:
    """Sum up left over the members of the aggregates `first` to `last`, which lie from `begin` to `end`."""
    for k in range(len(left)):
        if active[k]:
            sums, values = coarse[k], left[k]
            sums[first:last] = 0
            for i in range(begin, end):
                number = aggregate[i]
                if first <= number < last:
                    sums[number] += values[i + offset]


@compiled
def advance(
    x: Floats,
    p: Floats,
    r: Floats,
    q: Floats,
    steps: Floats,
    active: NDArray[np.uint8],
    plane: int,
    low: int,
    high: int,
) -> None:
    """Go a step along p in x, and along -q in r."""
    b, e = (low + 1) * plane, (high + 1) * plane
    for k in range(len(x)):
        if active[k]:
            xs, ps, rs, qs, step = x[k, b:e], p[k, b:e], r[k, b:e], q[k, b:e], steps[k]
            for i in range(e - b):
                xs[i] += step * ps[i]
            for i in range(e - b):
                rs[i] -= step * qs[i]


@compiled
def turn(p: Floats, z: Floats, shares: Floats, active: NDArray[np.uint8], plane: int, low: int, high: int) -> None:
    """Set p to z plus a share of p."""
    b, e = (low + 1) * plane, (high + 1) * plane
    for k in range(len(p)):
        if active[k]:
            ps, zs, share = p[k, b:e], z[k, b:e], shares[k]
            for i in range(e - b):
                ps[i] = zs[i] + share * ps[i]
