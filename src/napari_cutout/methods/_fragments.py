"""The connectivity pass of superpixels: parts that hang together are regions, and those that are too small join others.

Parts are numbered by their first voxel. In this order, a part that is smaller than a limit joins the neighbour with
which it shares most faces, together with what has joined it before; of several the one whose first voxel comes first.
Only sizes and shared faces are looked at, so that parts may be found in blocks.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .._array import Array
from .._compiled import bare, compiled
from .._monitor import stage

SLAB = 1 << 19
"""Voxels whose shared faces are listed at a time."""

Parts = NDArray[np.int32]


def connected(labels: Array, least: float) -> tuple[Array, int]:
    """Return connected regions of at least so many voxels where others are beside them.

    Parameters
    ----------
    labels : int32 array of shape ([Z,] Y, X)
        From 0 on; -1 is outside.
    least : float
        Parts of fewer voxels join a neighbour.

    Returns
    -------
    int32 array
        Regions from 1 by their first voxel in scan order; 0 outside.
    int
        How many there are.
    """
    shape = labels.shape
    stage("connecting superpixels")
    volume = np.ascontiguousarray(labels).reshape((1,) * (3 - labels.ndim) + shape)
    parts, sizes = label_parts(volume)
    small = sizes < least
    numbers = np.arange(1, len(sizes) + 1, dtype=np.int32)
    if small.any():
        stage("joining small parts")
        numbers = joined(sizes, *shared_faces(parts, small), least)
    _renumber(parts.reshape(-1), numbers, 0)
    return parts.reshape(shape), int(numbers.max())


def label_parts(labels: NDArray[np.int32]) -> tuple[Parts, NDArray[np.int64]]:
    """Return the part of every voxel, from 0 by first voxel, -1 outside, and the size of each.

    Parameters
    ----------
    labels : int32 array of shape (Z, Y, X)
        From 0 on; -1 is outside.

    Returns
    -------
    int32 array of the same shape
        Voxels of one part have one label, and are connected by faces.
    int64 array
        Voxels of each part.
    """
    parts = np.empty(labels.shape, np.int32)
    n_runs = _count_runs(labels.reshape(-1, labels.shape[-1]))
    parent, sizes = np.empty(n_runs, np.int32), np.zeros(n_runs, np.int64)
    _find_runs(labels, parts, parent, sizes)
    n = _flatten(parent, sizes)
    _renumber(parts.reshape(-1), parent, -1)
    return parts, sizes[:n].copy()


@bare
def _count_runs(rows: NDArray[np.int32]) -> int:
    n = 0
    for y in range(rows.shape[0]):
        before = -1
        for x in range(rows.shape[1]):
            here = rows[y, x]
            n += here >= 0 and here != before
            before = here
    return n


@bare
def _root(parent: NDArray[np.int32], node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@bare
def _unite(parent: NDArray[np.int32], a: int, b: int) -> None:
    a, b = _root(parent, a), _root(parent, b)
    if a < b:
        parent[b] = a
    else:
        parent[a] = b


@bare
def _find_runs(labels: NDArray[np.int32], parts: Parts, parent: NDArray[np.int32], sizes: NDArray[np.int64]) -> None:
    """Give a number to runs of equal labels, and hang each on the first run that it is connected to."""
    nz, ny, nx = labels.shape
    n = -1
    for z in range(nz):
        for y in range(ny):
            before = -1
            for x in range(nx):
                here = labels[z, y, x]
                if here < 0:
                    parts[z, y, x], before = -1, -1
                    continue
                fresh = here != before
                if fresh:
                    n += 1
                    parent[n] = n
                before = here
                parts[z, y, x] = n
                sizes[n] += 1
                # where the voxel to the left has joined the same run already there is nothing to do
                if y > 0 and labels[z, y - 1, x] == here and (fresh or parts[z, y - 1, x] != parts[z, y - 1, x - 1]):
                    _unite(parent, n, parts[z, y - 1, x])
                if z > 0 and labels[z - 1, y, x] == here and (fresh or parts[z - 1, y, x] != parts[z - 1, y, x - 1]):
                    _unite(parent, n, parts[z - 1, y, x])


@bare
def _flatten(parent: NDArray[np.int32], sizes: NDArray[np.int64]) -> int:
    """Turn parents into numbers of parts without gaps, and add up their sizes; return how many there are."""
    n = 0
    for run in range(parent.size):
        if parent[run] == run:
            parent[run] = n
            sizes[n] = sizes[run]
            n += 1
        else:
            number = parent[parent[run]]  # of the parent, which is smaller and has its number
            parent[run] = number
            sizes[number] += sizes[run]
    return n


@bare
def _renumber(parts: Parts, numbers: NDArray[np.int32], outside: int) -> None:
    """Replace numbers by others, and what is below 0 by `outside`."""
    for i in range(parts.size):
        parts[i] = numbers[parts[i]] if parts[i] >= 0 else outside


def shared_faces(parts: Parts, small: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which parts touch, one of them at least a small one, and how many faces they share.

    Parameters
    ----------
    parts : int32 array of shape (Z, Y, X)
        Numbers from 0, -1 outside.
    small : bool array of shape (n,)
        Which parts are too small.

    Returns
    -------
    int64 array of shape (m, 2)
        Pairs of parts, the smaller number first, sorted.
    int64 array of shape (m,)
        Faces of each pair.
    """
    n = len(small)
    thick = max(SLAB // math.prod(parts.shape[1:]), 1)
    keys, counts = [], []
    for z in range(0, parts.shape[0], thick):
        slab = parts[max(z - 1, 0) : z + thick]
        found = np.empty(_list_faces(slab, small, min(z, 1), np.empty(0, np.int64)), np.int64)
        _list_faces(slab, small, min(z, 1), found)
        listed, times = np.unique(found, return_counts=True)
        keys.append(listed)
        counts.append(times)
    return added_faces(np.concatenate(keys), np.concatenate(counts), n)


def added_faces(
    keys: NDArray[np.int64], counts: NDArray[np.int64], n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Add up the faces of pairs that are given as ``a * n + b``."""
    pairs, at = np.unique(keys, return_inverse=True)
    faces = np.zeros(len(pairs), np.int64)
    np.add.at(faces, at, counts)
    return np.stack([pairs // n, pairs % n], axis=1), faces


@bare
def _list_faces(parts: Parts, small: NDArray[np.bool_], first: int, keys: NDArray[np.int64]) -> int:
    """Write the pair of every face that leads forward within a slab, or from before plane `first`; return how many.

    Nothing is written where there is no room.
    """
    nz, ny, nx = parts.shape
    n = 0
    for z in range(first, nz):
        for y in range(ny):
            for x in range(nx):
                a = parts[z, y, x]
                if a < 0:
                    continue
                for axis in range(3):
                    if (x == 0 and axis == 2) or (y == 0 and axis == 1) or (z == 0 and axis == 0):
                        continue
                    b = parts[z - (axis == 0), y - (axis == 1), x - (axis == 2)]
                    if b >= 0 and a != b and (small[a] or small[b]):
                        if keys.size:
                            keys[n] = np.int64(min(a, b)) * small.size + max(a, b)
                        n += 1
    return n


def joined(
    sizes: NDArray[np.int64], pairs: NDArray[np.int64], faces: NDArray[np.int64], least: float
) -> NDArray[np.int32]:
    """Return the number of the region that every part belongs to, once small ones have joined a neighbour.

    Parameters
    ----------
    sizes : int64 array of shape (n,)
        Voxels of each part; parts are in the order of their first voxels.
    pairs, faces : int64 arrays of shape (m, 2) and (m,)
        As `shared_faces` returns them.
    least : float
        Regions of fewer voxels join another.

    Returns
    -------
    int32 array of shape (n,)
        From 1 by first voxel.
    """
    n = len(sizes)
    both = np.concatenate([pairs, pairs[:, ::-1]])
    order = np.argsort(both[:, 0], kind="stable")
    starts = np.searchsorted(both[order, 0], np.arange(n + 1))
    others, shared = both[order, 1], np.concatenate([faces, faces])[order]
    return _joined(sizes, starts, others, shared, least)


@compiled
def _joined(
    sizes: NDArray[np.int64],
    starts: NDArray[np.int64],
    others: NDArray[np.int64],
    shared: NDArray[np.int64],
    least: float,
) -> NDArray[np.int32]:
    n = sizes.size
    parent, size = np.arange(n).astype(np.int32), sizes.copy()
    following, last = np.full(n, -1, np.int64), np.arange(n)  # the parts of a region, from its first on
    total, met = np.zeros(n, np.int64), np.empty(n, np.int64)
    for part in range(n):
        own = _root(parent, part)
        if size[own] >= least:
            continue
        other = _closest(parent, own, starts, others, shared, following, total, met)
        if other < 0:
            continue
        low, high = min(own, other), max(own, other)
        parent[high] = low
        size[low] += size[high]
        following[last[low]] = high
        last[low] = last[high]
    numbers, n_regions = np.empty(n, np.int32), 0
    for part in range(n):
        if parent[part] == part:
            n_regions += 1
            numbers[part] = n_regions
        else:
            numbers[part] = numbers[_root(parent, part)]
    return numbers


@bare
def _closest(
    parent: NDArray[np.int32],
    own: int,
    starts: NDArray[np.int64],
    others: NDArray[np.int64],
    shared: NDArray[np.int64],
    following: NDArray[np.int64],
    total: NDArray[np.int64],
    met: NDArray[np.int64],
) -> int:
    """Return the region that shares most faces with another, the first of several; -1 if there is none."""
    n_met, part = 0, own
    while part >= 0:
        for edge in range(starts[part], starts[part + 1]):
            other = _root(parent, others[edge])
            if other != own:
                if total[other] == 0:
                    met[n_met] = other
                    n_met += 1
                total[other] += shared[edge]
        part = following[part]
    best, most = -1, 0
    for i in range(n_met):
        other = met[i]
        if total[other] > most or (total[other] == most and other < best):
            best, most = other, total[other]
        total[other] = 0
    return best
