"""Loops that merge the voxels of a lattice in twos and fours, on the host.

Both passes weigh edges of the lattice itself, so the graph of the pairs is never written down. Every edge has a key:
its order of magnitude, whether it lies inside a block of the image, and chance that is the same from both ends; 0 where
it may not be merged along. Arrays of voxels have a plane at either end, as in `_lattice_loops`. A code from 1 to 6 says
in which direction a voxel's partner lies; 0 says that it has none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._compiled import compiled, inlined

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Codes = NDArray[np.uint8]

EXPONENT = 23
"""Bits of a float32 below its exponent. Of positive numbers the bits, as an integer, rise with the number."""

STRONG = 2 << EXPONENT
"""An edge is strong if its bits are no more than this below those of the strongest: a quarter of its weight."""

CHANCE = 22
"""Bits of a key that are chance."""

CODE, ALL_BUT_CODE = np.int32(7), np.int32(-8)
"""Last bits of a key, which say in which direction it leads once that is known."""

ZN, ZP, YN, YP, XN, XP = (np.int32(code) for code in range(1, 7))
"""Codes: to the next and the previous voxel along each axis."""


@compiled
def strongest_edges(
    wz: Ints, wy: Ints, wx: Ints, inverse: Floats, strongest: Ints, row: int, plane: int, low: int, high: int
) -> None:
    """Write the bits of the strongest edge of every free voxel, 0 where none leads to another free voxel.

    Edges to fixed voxels count, too: who holds to one of them does not hold to what lies beyond a weak edge.
    """
    for i in range((low + 1) * plane, (high + 1) * plane):
        bits = max(max(wz[i], wz[i - plane]), max(max(wy[i], wy[i - row]), max(wx[i], wx[i - 1])))
        near = (wz[i] > 0) & (inverse[i + plane] > 0) | (wz[i - plane] > 0) & (inverse[i - plane] > 0)
        near |= (wy[i] > 0) & (inverse[i + row] > 0) | (wy[i - row] > 0) & (inverse[i - row] > 0)
        near |= (wx[i] > 0) & (inverse[i + 1] > 0) | (wx[i - 1] > 0) & (inverse[i - 1] > 0)
        strongest[i] = bits if near & (inverse[i] > 0) else np.int32(0)


@compiled
def chance_of(i: int, j: int) -> np.int32:
    """Return `CHANCE` bits that look like chance, for the edge between two nodes of which i comes first."""
    h = np.uint32(np.uint32(np.uint32(i) * np.uint32(0x9E3779B1)) ^ np.uint32(np.uint32(j) * np.uint32(0x85EBCA77)))
    h = np.uint32(h ^ (h >> np.uint32(15)))
    h = np.uint32(h * np.uint32(0xC2B2AE3D))
    return np.int32(h >> np.uint32(10))


@compiled
def key_of(bits: int, inside: bool, i: int, j: int) -> np.int32:
    """Return the key of an edge with a weight of these bits."""
    return np.int32(((bits >> EXPONENT) << 1 | inside) << CHANCE) | chance_of(i, j)


@compiled
def voxel_keys(
    weights: Ints, strongest: Ints, keys: Ints, axis: int, row: int, plane: int, low: int, high: int
) -> None:
    """Write the keys of edges along an axis between voxels: the strong ones, within blocks of two columns first."""
    step = plane if axis == 0 else row if axis == 1 else 1
    for b in range((low + 1) * plane, (high + 1) * plane, row):
        bits, found = weights[b : b + row], keys[b : b + row]
        here, there = strongest[b : b + row], strongest[b + step : b + step + row]
        for x in range(row):
            weaker = min(here[x], there[x])
            key = key_of(bits[x], axis == 2 and x % 2 == 0, b + x, b + x + step)
            found[x] = key if bits[x] > 0 and weaker > 0 and bits[x] >= weaker - STRONG else np.int32(0)


@compiled
def best_edges(
    kz: Ints, ky: Ints, kx: Ints, taken: Codes, closed: Codes, best: Ints, row: int, plane: int, low: int, high: int
) -> None:
    """Write the best key of every voxel that is not taken to one that is not closed, with a code in its last bits."""
    b, e = (low + 1) * plane, (high + 1) * plane
    found, done = best[b:e], taken[b:e]
    zn, zp, cn, cp = kz[b:e], kz[b - plane : e - plane], closed[b + plane : e + plane], closed[b - plane : e - plane]
    yn, yp, dn, dp = ky[b:e], ky[b - row : e - row], closed[b + row : e + row], closed[b - row : e - row]
    xn, xp, en, ep = kx[b:e], kx[b - 1 : e - 1], closed[b + 1 : e + 1], closed[b - 1 : e - 1]
    for i in range(len(found)):
        z = max(_with_code(zn[i], cn[i], ZN), _with_code(zp[i], cp[i], ZP))
        y = max(_with_code(yn[i], dn[i], YN), _with_code(yp[i], dp[i], YP))
        x = max(_with_code(xn[i], en[i], XN), _with_code(xp[i], ep[i], XP))
        found[i] = np.int32(0) if done[i] else max(z, max(y, x))


@inlined
def _with_code(key: np.int32, closed: np.uint8, code: np.int32) -> np.int32:
    return np.int32(0) if (closed != 0) | (key == 0) else np.int32(np.int32(key & ALL_BUT_CODE) | code)


@compiled
def join_voxels(best: Ints, mates: Codes, row: int, plane: int, low: int, high: int) -> None:
    """Join voxels that chose each other."""
    b, e = (low + 1) * plane, (high + 1) * plane
    found, mate = best[b:e], mates[b:e]
    zn, zp, yn, yp = best[b + plane :], best[b - plane :], best[b + row :], best[b - row :]
    xn, xp = best[b + 1 :], best[b - 1 :]
    for i in range(len(found)):
        c = found[i] & CODE
        z = (c == ZN) & (zn[i] & CODE == ZP) | (c == ZP) & (zp[i] & CODE == ZN)
        y = (c == YN) & (yn[i] & CODE == YP) | (c == YP) & (yp[i] & CODE == YN)
        x = (c == XN) & (xn[i] & CODE == XP) | (c == XP) & (xp[i] & CODE == XN)
        if z | y | x:
            mate[i] = np.uint8(c)


@compiled
def strongest_of_pairs(
    strongest: Ints, mates: Codes, steps: NDArray[np.int64], of_pairs: Ints, plane: int, low: int, high: int
) -> None:
    """Write the strongest edge of either voxel of a pair to both."""
    for i in range((low + 1) * plane, (high + 1) * plane):
        of_pairs[i] = max(strongest[i], strongest[i + steps[mates[i]]])


@compiled
def blocks_of_voxels(sz: int, sy: int, sx: int, blocks: Ints, row: int, plane: int, low: int, high: int) -> None:
    """Write the block in which each voxel lies, where blocks have edges of 2 to the power of the shifts."""
    height = plane // row
    rows, columns = (height >> sy) + 1, (row >> sx) + 1
    for z in range(low, high):
        for y in range(height):
            b, first = (z + 1) * plane + y * row, ((z >> sz) * rows + (y >> sy)) * columns
            for x in range(row):
                blocks[b + x] = first + (x >> sx)


@compiled
def pair_keys(
    weights: Floats,
    bits: Ints,
    strongest: Ints,
    mates: Codes,
    steps: NDArray[np.int64],
    blocks: Ints,
    keys: Ints,
    axis: int,
    plane: int,
    low: int,
    high: int,
) -> None:
    """Write the keys of edges along an axis between pairs; two edges that join the same pairs weigh as one."""
    step, code = steps[2 * axis + 1], 2 * axis + 1
    total = np.empty(1, np.float32)
    total_bits = total.view(np.int32)
    for i in range((low + 1) * plane, (high + 1) * plane):
        j = i + step
        keys[i] = 0
        weaker = min(strongest[i], strongest[j])
        least = weaker - STRONG
        # half of the least will do, as two edges may count as one
        if bits[i] == 0 or weaker == 0 or mates[i] == code or bits[i] + (1 << EXPONENT) < least:
            continue
        side, other = steps[mates[i]], steps[mates[j]]
        total[0] = weights[i]
        if side == other and side != 0:
            total[0] += weights[i + side]
        if total_bits[0] >= least:
            one, two = min(i, i + side), min(j, j + other)
            keys[i] = key_of(total_bits[0], blocks[one] == blocks[two], min(one, two), max(one, two))


@compiled
def choose_pairs(
    best: Ints,
    mates: Codes,
    steps: NDArray[np.int64],
    chosen: Ints,
    plane: int,
    low: int,
    high: int,
) -> None:
    """Write at the first voxel of every pair the first voxel of the one that it holds to most, 0 for none."""
    for i in range((low + 1) * plane, (high + 1) * plane):
        side = steps[mates[i]]
        chosen[i] = 0
        if side >= 0:
            end = i + side if best[i + side] > best[i] else i
            if best[end] > 0:
                j = end + steps[best[end] & CODE]
                chosen[i] = min(j, j + steps[mates[j]])


@compiled
def join_pairs(
    chosen: Ints,
    mates: Codes,
    steps: NDArray[np.int64],
    joined: Ints,
    taken: Codes,
    plane: int,
    low: int,
    high: int,
) -> None:
    """Join pairs that chose each other."""
    for i in range((low + 1) * plane, (high + 1) * plane):
        j = chosen[i]
        if j and chosen[j] == i:
            joined[i] = j
            taken[i] = taken[i + steps[mates[i]]] = 1


@compiled
def first_of_joined(
    best: Ints,
    strongest: Ints,
    mates: Codes,
    steps: NDArray[np.int64],
    joined: Ints,
    first: Ints,
    plane: int,
    low: int,
    high: int,
) -> None:
    """Write the first voxel of what each voxel is merged with, counted without the plane before; -1 for none.

    A pair that is left alone joins those that its best edge leads to.
    """
    for i in range((low + 1) * plane, (high + 1) * plane):
        side = steps[mates[i]]
        if strongest[i] == 0:
            first[i - plane] = -1
        elif side >= 0:
            found = i if joined[i] == 0 else min(i, joined[i])
            if joined[i] == 0:
                end = i + side if best[i + side] > best[i] else i
                if best[end] >> (CHANCE + 1) >= (strongest[i] - STRONG) >> EXPONENT:
                    j = end + steps[best[end] & CODE]
                    j = min(j, j + steps[mates[j]])
                    found = min(j, joined[j])
            first[i - plane] = found - plane
            first[i + side - plane] = found - plane
