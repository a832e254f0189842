"""What a block of an image tells of its regions and of the boundaries between them: sums of whole numbers.

Grey levels are whole numbers of quanta, so that sums are exact: they are the same for every tiling, library and device.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, bincount, contiguous, dtype_name, from_numpy, is_host, to_numpy
from .._compiled import bare, compiled, inlined
from .._plan import Tile
from ..processing._label_sums import Segments, ranked

__all__ = ["LEVEL_BITS", "RegionSums", "exponent_of", "is_inside", "merged", "sums_of"]

LEVEL_BITS = 30
"""Bits of the largest grey level: sums of a block of 2^28 voxels fit into int64, and a level into int32."""

NARROW = {"int8": 8, "uint8": 8, "int16": 16, "uint16": 16}
"""Bits that hold the magnitude of every grey level of a dtype; of others the largest one is looked for."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class RegionSums:
    """Sums over the voxels of n regions and over the m boundaries between two of them.

    Parameters
    ----------
    labels : int64 array of shape (n,)
        Their names, rising.
    sizes : int64 array of shape (n,)
        Voxels.
    first : int64 array of shape (n,)
        Linear index in the whole of the first voxel.
    levels : int64 array of shape (n, n_channels, 2)
        Sums of the grey levels in quanta, in two parts: multiples of 2^32, and the rest.
    pairs : int64 array of shape (m, 2)
        Labels of two regions that touch, the smaller first; rows rise.
    faces : int64 array of shape (m, 4)
        Pairs of voxels across the boundary, along z, y and x, and across edges and corners.
    strengths : int64 array of shape (m, 2)
        Sums over these pairs of how strong the boundary is, in quanta, in the same two parts.
    """

    labels: Ints
    sizes: Ints
    first: Ints
    levels: Ints
    pairs: Ints
    faces: Ints
    strengths: Ints


def in_parts(sums: Ints) -> Ints:
    """Return whole numbers in two parts along a new last axis, so that adding many cannot overflow."""
    return np.stack([sums >> 32, sums & 0xFFFFFFFF], axis=-1)


def of_parts(parts: Ints) -> NDArray[np.float64]:
    """Return sums in two parts as float64; equal sums give equal numbers, however they were added up."""
    high, low = parts[..., 0] + (parts[..., 1] >> 32), parts[..., 1] & 0xFFFFFFFF
    return high.astype(np.float64) * 2.0**32 + low.astype(np.float64)


def merged(tables: Sequence[RegionSums]) -> RegionSums:
    """Add the sums of disjoint voxels; at least one table."""
    rows = {f.name: np.concatenate([getattr(t, f.name) for t in tables]) for f in fields(RegionSums)}
    order = np.argsort(rows["labels"], kind="stable")
    labels = rows["labels"][order]
    start = np.flatnonzero(np.diff(labels, prepend=-1))
    found = {name: _reduced(np.add, rows[name], order, start) for name in ("sizes", "levels")}
    found["first"] = _reduced(np.minimum, rows["first"], order, start)
    order = np.lexsort((rows["pairs"][:, 1], rows["pairs"][:, 0]))
    pairs = rows["pairs"][order]
    fresh = np.flatnonzero((np.diff(pairs, axis=0, prepend=-1) != 0).any(axis=1))
    found |= {name: _reduced(np.add, rows[name], order, fresh) for name in ("faces", "strengths")}
    return RegionSums(labels=labels[start], pairs=pairs[fresh], **found)


def _reduced(ufunc: np.ufunc, rows: Ints, order: NDArray[np.intp], start: NDArray[np.intp]) -> Ints:
    return np.asarray(ufunc.reduceat(rows[order], start, axis=0) if len(start) else rows[:0], np.int64)


# One block -------------------------------------------------------------------------------------------


def is_inside(regions: Array, mask: Array | None, images: Sequence[Array]) -> Array:
    """Tell which voxels belong to a region: in the mask, and where every image is finite."""
    xp = array_namespace(regions)
    inside = regions if dtype_name(regions) == "bool" else regions != 0
    if mask is not None:
        inside = inside & (mask if dtype_name(mask) == "bool" else mask != 0)
    for image in images:
        if dtype_name(image).startswith("float"):
            inside = inside & xp.isfinite(image)
    return inside


def exponent_of(image: Array, inside: Array | None) -> int:
    """Return the smallest e for which all grey levels in regions lie below 2^e, or no larger than it, in magnitude."""
    kind = dtype_name(image)
    if kind in NARROW:
        return NARROW[kind]
    xp = array_namespace(image)
    size = xp.abs(xp.astype(image, xp.float64))
    largest = float(xp.max(xp.where(inside, size, xp.zeros_like(size))))
    return max(math.frexp(largest)[1], -900)


def quanta_of(image: Array, inside: Array, exponent: int) -> Array:
    """Return grey levels as whole numbers of quanta, int32; 0 outside."""
    xp = array_namespace(image)
    if dtype_name(image) in NARROW:
        return xp.astype(image, xp.int32) * (1 << (LEVEL_BITS - exponent))
    scaled = xp.astype(image, xp.float64) * math.ldexp(1.0, LEVEL_BITS - exponent)
    return xp.astype(xp.floor(xp.where(inside, scaled, xp.zeros_like(scaled)) + 0.5), xp.int32)


def sums_of(
    tile: Tile,
    exponents: Sequence[int],
    connectivity: int,
    regions: Array,
    mask: Array | None,
    boundary: Array | None,
    *channels: Array,
) -> RegionSums:
    """Sum a block where it lives.

    Parameters
    ----------
    tile : Tile
        Which part of the whole it is; boundaries are those of its own voxels with voxels later in scan order.
    exponents : sequence of int
        Those of the channels, one for all, and of the boundary image, if there is one.
    connectivity : int
        How many axes a step between two voxels that touch may cross.
    regions : integer or boolean array of shape ([Z,] Y, X)
        The block with its neighbours' outermost voxels; 0 is outside.
    mask, boundary : arrays of the same shape, or None
        Where regions are, and an image of how strong boundaries are.
    *channels : arrays of the same shape
        Grey levels.

    Returns
    -------
    RegionSums
        In host memory.

    Raises
    ------
    ValueError
        If a label is negative or does not fit into int64.
    """
    images = [*channels] if boundary is None else [*channels, boundary]
    inside = is_inside(regions, mask, images)
    names, rank = _ranks(regions, inside)
    of_images = [*[exponents[0]] * len(channels), *exponents[1:]]
    levels = [quanta_of(image, inside, e) for image, e in zip(images, of_images, strict=True)]
    measure = _on_host if is_host(regions) else _on_device
    return measure(tile, names, rank, levels, boundary is not None, steps_of(regions.ndim, connectivity))


def _ranks(regions: Array, inside: Array) -> tuple[Ints, Array]:
    """Return the regions that occur, and the rank of every voxel's; -1 outside."""
    xp = array_namespace(regions)
    values = xp.astype(regions, xp.uint8) if dtype_name(regions) == "bool" else regions
    names, rank = ranked(values, "regions")
    present = bincount(xp.where(xp.reshape(inside, (-1,)), rank, xp.full_like(rank, len(names))), len(names) + 1)[:-1]
    chosen = np.flatnonzero(present)
    chosen = chosen[np.argsort(names[chosen])]
    table = np.full(len(names), -1, np.int32)
    table[chosen] = np.arange(len(chosen))
    found = xp.reshape(xp.take(from_numpy(table, like=regions), rank), regions.shape)
    return names[chosen], xp.where(inside, found, xp.full_like(found, -1))


def steps_of(ndim: int, connectivity: int) -> list[tuple[int, ...]]:
    """Return the steps to the neighbours of a voxel that come later in scan order."""
    steps = itertools.product((-1, 0, 1), repeat=ndim)
    return [s for s in steps if s > (0,) * ndim and sum(map(abs, s)) <= connectivity]


def column_of(step: Sequence[int]) -> int:
    """Return where the faces of a step are counted: by its axis, counted z, y, x; all others together."""
    along = [axis for axis, s in enumerate(step) if s]
    return 3 - len(step) + along[0] if len(along) == 1 else 3


# On the host -----------------------------------------------------------------------------------------


def _on_host(
    tile: Tile,
    names: Ints,
    rank: NDArray[np.int32],
    levels: Sequence[NDArray[np.int32]],
    has_boundary: bool,
    steps: Sequence[tuple[int, ...]],
) -> RegionSums:
    deep = (1,) * (3 - rank.ndim) + rank.shape
    own = [(0, 1)] * (3 - rank.ndim) + [(s.start, s.stop) for s in tile.own]
    columns = np.array([column_of(s) for s in steps])
    strides = np.array([(0,) * (3 - rank.ndim) + s for s in steps])
    stacked = np.stack([contiguous(a).reshape(deep) for a in levels])
    sizes, first = np.zeros(len(names), np.int64), np.full(len(names), -1, np.int64)
    sums = np.zeros((len(names), len(levels) - has_boundary), np.int64)
    keys, found = _swept(
        contiguous(rank).reshape(deep), stacked, has_boundary, np.array(own), strides, columns, sizes, first, sums
    )
    order = np.argsort(keys)
    keys, found = keys[order], found[order]
    pairs = np.stack([names[keys // max(len(names), 1)], names[keys % max(len(names), 1)]], axis=1)
    there = sizes > 0
    return RegionSums(
        names[there],
        sizes[there],
        tile.index(first[there]),
        in_parts(sums[there]),
        pairs,
        found[:, :4],
        in_parts(found[:, 4]),
    )


@compiled
def _swept(
    rank: NDArray[np.int32],
    levels: NDArray[np.int32],
    has_boundary: bool,
    own: Ints,
    steps: Ints,
    columns: Ints,
    sizes: Ints,
    first: Ints,
    sums: Ints,
) -> tuple[Ints, Ints]:
    """Add up regions, and return the keys of pairs of ranks with their faces and strengths."""
    nz, ny, nx = rank.shape
    keys, found, used = np.full(1 << 10, -1, np.int64), np.zeros((1 << 10, 5), np.int64), 0
    for z in range(own[0, 0], own[0, 1]):
        for y in range(own[1, 0], own[1, 1]):
            _add_row(rank, levels, z, y, own[2, 0], own[2, 1], sizes, first, sums)
            for k in range(len(steps)):
                oz, oy, dx = z + steps[k, 0], y + steps[k, 1], steps[k, 2]
                if not (0 <= oz < nz and 0 <= oy < ny):
                    continue
                while 2 * (used + nx) > len(keys):  # all of a row may be new
                    keys, found = _grown(keys, found)
                low, high = max(own[2, 0], -dx), min(own[2, 1], nx - dx)
                here, there = (z, y, low), (oz, oy, low + dx)
                used += _add_faces(
                    rank, levels, has_boundary, here, there, high - low, columns[k], len(sizes), keys, found
                )
    taken = keys >= 0
    return keys[taken], found[taken]


@compiled
def _add_row(
    rank: NDArray[np.int32],
    levels: NDArray[np.int32],
    z: int,
    y: int,
    start: int,
    stop: int,
    sizes: Ints,
    first: Ints,
    sums: Ints,
) -> None:
    """Add up the voxels of a row."""
    _, ny, nx = rank.shape
    x = start
    while x < stop:
        a, begin = rank[z, y, x], x
        while x < stop and rank[z, y, x] == a:
            x += 1
        if a < 0:
            continue
        if sizes[a] == 0:
            first[a] = (z * ny + y) * nx + begin
        sizes[a] += x - begin
        for c in range(sums.shape[1]):
            total = np.int64(0)
            for i in range(begin, x):
                total += levels[c, z, y, i]
            sums[a, c] += total


@bare
def _add_faces(
    rank: NDArray[np.int32],
    levels: NDArray[np.int32],
    has_boundary: bool,
    here: tuple[int, int, int],
    there: tuple[int, int, int],
    n: int,
    column: int,
    n_regions: int,
    keys: Ints,
    found: Ints,
) -> int:
    """Add up the boundaries between n voxels of a row and as many of another; return how many pairs are new."""
    (z, y, x), (oz, oy, ox) = here, there
    n_images, new, at = levels.shape[0] - has_boundary, 0, 0
    for i in range(n):
        a, b = rank[z, y, x + i], rank[oz, oy, ox + i]
        if a == b or a < 0 or b < 0:
            continue
        key = np.int64(min(a, b)) * n_regions + max(a, b)
        if keys[at] != key:  # it is that of the voxel before, where a boundary runs along the row
            at = _slot(keys, key)
            new += keys[at] < 0
            keys[at] = key
        found[at, column] += 1
        found[at, 4] += _strength(levels, n_images, has_boundary, (z, y, x + i), (oz, oy, ox + i))
    return new


@inlined
def _slot(keys: Ints, key: Any) -> Any:
    """Return where a key is in a table of open addresses, or the free place where it belongs."""
    last = len(keys) - 1
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    at = np.int64(mixed >> np.uint64(32)) & last
    while keys[at] >= 0 and keys[at] != key:
        at = (at + 1) & last
    return at


@compiled
def _grown(keys: Ints, found: Ints) -> tuple[Ints, Ints]:
    """Return the table with twice as many places."""
    wide, rows = np.full(2 * len(keys), -1, np.int64), np.zeros((2 * len(keys), found.shape[1]), np.int64)
    for i in range(len(keys)):
        if keys[i] >= 0:
            at = _slot(wide, keys[i])
            wide[at] = keys[i]
            rows[at] = found[i]
    return wide, rows


@inlined
def _strength(
    levels: NDArray[np.int32], n_channels: int, has_boundary: bool, p: tuple[int, int, int], q: tuple[int, int, int]
) -> Any:
    """Return how strong the boundary between two voxels is: their distance, or twice the mean of the boundary image."""
    if has_boundary:
        return np.int64(levels[n_channels, p[0], p[1], p[2]]) + np.int64(levels[n_channels, q[0], q[1], q[2]])
    if n_channels == 1:
        return abs(np.int64(levels[0, p[0], p[1], p[2]]) - np.int64(levels[0, q[0], q[1], q[2]]))
    total = 0.0
    for c in range(n_channels):
        apart = np.float64(np.int64(levels[c, p[0], p[1], p[2]]) - np.int64(levels[c, q[0], q[1], q[2]]))
        total += apart * apart
    return np.int64(math.floor(math.sqrt(total) + 0.5))


# Where the array lives -------------------------------------------------------------------------------


def _on_device(
    tile: Tile,
    names: Ints,
    rank: Array,
    levels: Sequence[Array],
    has_boundary: bool,
    steps: Sequence[tuple[int, ...]],
) -> RegionSums:
    """Do what the loop does by sorting."""
    xp = array_namespace(rank)
    channels, n = levels[: len(levels) - has_boundary], len(names)
    own = xp.zeros(rank.shape, dtype=xp.bool, device=rank.device)
    own[tile.own] = True
    at = xp.nonzero(xp.reshape(own & (rank >= 0), (-1,)))[0]
    ranks = xp.take(xp.reshape(rank, (-1,)), at)
    segments = Segments(xp.astype(ranks, xp.int64), n)
    wide = [xp.astype(xp.take(xp.reshape(c, (-1,)), at), xp.int64) for c in channels]
    sums = np.stack([segments.sums(values) for values in wide], axis=1)
    first, _ = segments.ends(xp.astype(at, xp.int64))  # of a stable order
    there = segments.count > 0
    pairs, found = _boundaries(rank, own, levels, has_boundary, steps, n)
    return RegionSums(
        names[there],
        segments.count[there],
        tile.index(first[there]),
        in_parts(sums[there]),
        names[pairs],
        found[:, :4],
        in_parts(found[:, 4]),
    )


def _boundaries(
    rank: Array, own: Array, levels: Sequence[Array], has_boundary: bool, steps: Sequence[tuple[int, ...]], n: int
) -> tuple[Ints, Ints]:
    """Return pairs of ranks, rising, with their faces and strengths, in host memory."""
    xp = array_namespace(rank)
    keys, strengths, columns = [], [], []
    for step in steps:
        here, there = _shifted(step, rank.shape)
        a, b = rank[here], rank[there]
        differ = (a != b) & (a >= 0) & (b >= 0) & own[here]
        a, b = (xp.astype(side[differ], xp.int64) for side in (a, b))
        keys.append(xp.minimum(a, b) * n + xp.maximum(a, b))
        strengths.append(_strengths([(c[here][differ], c[there][differ]) for c in levels], has_boundary))
        columns.append(xp.full(a.shape, column_of(step), dtype=xp.int64, device=rank.device))
    key, strength, column = (xp.concat(parts) for parts in (keys, strengths, columns))
    found, number = xp.unique_inverse(key)
    m = int(found.shape[0])
    faces = bincount(xp.reshape(number, (-1,)) * 4 + column, 4 * m) if m else np.zeros(0, np.int64)
    strength_sums = Segments(xp.astype(xp.reshape(number, (-1,)), xp.int64), m).sums(strength)
    host = to_numpy(found).astype(np.int64)
    order = np.argsort(host)
    rows = np.concatenate([faces.reshape(m, 4), strength_sums.reshape(m, 1)], axis=1)
    return np.stack([host // max(n, 1), host % max(n, 1)], axis=1)[order], rows[order].astype(np.int64)


def _shifted(step: Sequence[int], shape: Sequence[int]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return the voxels that have a neighbour one step on, and those neighbours."""
    sides = list(zip(step, shape, strict=True))
    here = tuple(slice(max(-s, 0), n - max(s, 0)) for s, n in sides)
    return here, tuple(slice(max(s, 0), n - max(-s, 0)) for s, n in sides)


def _strengths(sides: Sequence[tuple[Any, Any]], has_boundary: bool) -> Array:
    """Do what `_strength` does to pairs of voxels, given the levels on both sides."""
    xp = array_namespace(sides[0][0])
    wide = [(xp.astype(a, xp.int64), xp.astype(b, xp.int64)) for a, b in sides]
    if has_boundary:
        return wide[-1][0] + wide[-1][1]
    if len(wide) == 1:
        return xp.abs(wide[0][0] - wide[0][1])
    total = xp.zeros(wide[0][0].shape, dtype=xp.float64, device=wide[0][0].device)
    for a, b in wide:
        apart = xp.astype(a - b, xp.float64)
        total = total + apart * apart
    return xp.astype(xp.floor(xp.sqrt(total) + 0.5), xp.int64)
