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
    "strongest_edges",
    "propose_in_lattice",
    "join_in_lattice",
    "accept",
    "chance_of",
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
    aggregate: NDArray[np.int32],
    coarse: Floats,
    out: Floats,
    active: NDArray[np.uint8],
    partial: NDArray[np.float64],
    largest: NDArray[np.float32],
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
def _largest(values: Floats) -> np.float32:
    """Return the largest magnitude."""
    largest = np.float32(0)
    for value in values:
        largest = max(largest, abs(value))
    return largest


@compiled
def _correction_into(
    out: Floats, r: Floats, inverse: Floats, aggregate: NDArray[np.int32], coarse: Floats, at: int, plane: int
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
    aggregate: NDArray[np.int32],
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


# Pairs --------------------------------------------------------------------------------------------------

EXPONENT = 23
"""Bits of a float32 below its exponent. Of positive numbers the bits, as an integer, rise with the number."""

STRONG = 2 << EXPONENT
"""An edge is strong if its bits are no more than this below those of the strongest: half of its weight."""


@compiled
def strongest_edges(
    wz: Bits, wy: Bits, wx: Bits, inverse: Floats, strongest: Bits, row: int, plane: int, low: int, high: int
) -> None:
    """Write the bits of the strongest edge of every free voxel, 0 where none leads to another free voxel.

    Edges to fixed voxels count, too: who holds to one of them does not hold to what lies beyond a weak edge.
    """
    steps = (plane, -plane, row, -row, 1, -1)
    for v in range(low * plane, high * plane):
        i = v + plane
        strongest[v] = 0
        if inverse[i] > 0:
            bits = (wz[i], wz[i - plane], wy[i], wy[i - row], wx[i], wx[i - 1])
            alone = True
            for k in range(6):
                strongest[v] = max(strongest[v], bits[k])
                alone = alone and not (bits[k] > 0 and inverse[i + steps[k]] > 0)  # no edge leads around a border
            if alone:
                strongest[v] = 0


@compiled
def propose_in_lattice(
    wz: Bits,
    wy: Bits,
    wx: Bits,
    strongest: Bits,
    mate: NDArray[np.int32],
    proposed: NDArray[np.int32],
    row: int,
    plane: int,
    low: int,
    high: int,
) -> None:
    """Let every free voxel without a mate propose to the best of its strong neighbours that has none."""
    steps = (plane, -plane, row, -row, 1, -1)
    for v in range(low * plane, high * plane):
        i = v + plane
        proposed[v] = -1
        if strongest[v] == 0 or mate[v] >= 0:
            continue
        bits = (wz[i], wz[i - plane], wy[i], wy[i - row], wx[i], wx[i - 1])
        best, chance, even = -1, -1, v % row % 2 == 0
        for k in range(6):
            j = v + steps[k]
            if bits[k] == 0 or j < 0 or j >= len(mate):
                continue
            rank = (bits[k] >> EXPONENT) << 1 | (even if k == 4 else k == 5 and not even)
            if rank < best or mate[j] >= 0 or strongest[j] == 0:
                continue
            if bits[k] >= strongest[v] - STRONG or bits[k] >= strongest[j] - STRONG:
                hashed = chance_of(v, j)
                if rank > best or hashed > chance:
                    best, chance = rank, hashed
                    proposed[v] = j


@compiled
def chance_of(i: int, j: int) -> int:
    """Return 30 bits that look like chance and are the same from both ends of an edge."""
    h = np.uint64(min(i, j)) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(max(i, j)) * np.uint64(0xC2B2AE3D27D4EB4F)
    h ^= h >> np.uint64(29)
    h *= np.uint64(0xBF58476D1CE4E5B9)
    return int(h >> np.uint64(34))


@compiled
def accept(mate: NDArray[np.int32], proposed: NDArray[np.int32], low: int, high: int) -> None:
    """Join those who propose to each other."""
    for v in range(low, high):
        j = proposed[v]
        if j >= 0 and proposed[j] == v:
            mate[v] = j


@compiled
def join_in_lattice(
    wz: Bits,
    wy: Bits,
    wx: Bits,
    strongest: Bits,
    mate: NDArray[np.int32],
    root: NDArray[np.int32],
    row: int,
    plane: int,
    low: int,
    high: int,
) -> None:
    """Write the first of every pair; who is left alone joins the pair that its strongest edge leads to."""
    steps = (plane, -plane, row, -row, 1, -1)
    for v in range(low * plane, high * plane):
        i = v + plane
        root[v] = v if mate[v] < 0 else min(v, mate[v])
        if strongest[v] == 0:
            root[v] = -1
        elif mate[v] < 0:
            bits = (wz[i], wz[i - plane], wy[i], wy[i - row], wx[i], wx[i - 1])
            best = max(strongest[v] - STRONG, 1)
            for k in range(6):
                j = v + steps[k]
                if 0 <= j < len(mate) and mate[j] >= 0 and bits[k] >= best:
                    best = bits[k] + 1
                    root[v] = min(j, mate[j])
