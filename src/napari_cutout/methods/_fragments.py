"""The connectivity pass of superpixels: parts that hang together are regions, and those that are too small join others.

Parts are numbered by their first voxel. In this order, a part that is smaller than a limit joins the neighbour with
which it shares most faces, together with what has joined it before; of several the one whose first voxel comes first.
Only sizes and shared faces are looked at, so that parts may be found in blocks.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .._compiled import bare, compiled, inlined
from .._monitor import note, stage
from .._plan import Slices, blocks_of, each

SLAB = 1 << 19
"""Voxels whose shared faces are listed at a time."""

Parts = NDArray[np.int32]


def connected_on_host(labels: NDArray[np.int32], least: float) -> NDArray[np.int32]:
    """Do what `connected` does with arrays in host memory."""
    volume = np.ascontiguousarray(labels).reshape((1,) * (3 - labels.ndim) + labels.shape)
    parts, sizes = label_parts(volume)
    small = sizes < least
    numbers = np.arange(1, len(sizes) + 1, dtype=np.int32)
    if small.any():
        stage("joining small parts")
        numbers = joined(sizes, *shared_faces(parts, small), least)
    note(n_regions=int(numbers.max()))
    _renumber(parts.reshape(-1), numbers, 0)
    return parts.reshape(labels.shape)


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

    def listed(region: Slices) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        first = region[0].start
        slab = parts[max(first - 1, 0) : region[0].stop]
        room = np.empty(3 * parts[region[0]].size, np.int64)
        return np.unique(room[: _list_faces(slab, small, min(first, 1), room)], return_counts=True)

    found = list(each(listed, blocks_of(parts[:, :1, :1], max(SLAB // math.prod(parts.shape[1:]), 1)), parts))
    keys, counts = (np.concatenate(numbers) for numbers in zip(*found, strict=True))
    return added_faces(keys, counts, len(small))


def added_faces(
    keys: NDArray[np.int64], counts: NDArray[np.int64], n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Add up the faces of pairs that are given as ``a * n + b``."""
    pairs, at = np.unique(keys, return_inverse=True)
    faces = np.zeros(len(pairs), np.int64)
    np.add.at(faces, at, counts)
    return np.stack([pairs // n, pairs % n], axis=1), faces


@inlined
def _list_face(a: int, b: int, small: NDArray[np.bool_], keys: NDArray[np.int64], n: int) -> int:
    if b >= 0 and a != b and (small[a] or small[b]):
        keys[n] = np.int64(min(a, b)) * small.size + max(a, b)
        n += 1
    return n


@bare
def _list_faces(parts: Parts, small: NDArray[np.bool_], first: int, keys: NDArray[np.int64]) -> int:
    """Write the pair of every face between a voxel, from plane `first` on, and one before it; return how many."""
    nz, ny, nx = parts.shape
    n = 0
    for z in range(first, nz):
        for y in range(ny):
            for x in range(nx):
                a = parts[z, y, x]
                if a < 0:
                    continue
                if x > 0:
                    n = _list_face(a, parts[z, y, x - 1], small, keys, n)
                if y > 0:
                    n = _list_face(a, parts[z, y - 1, x], small, keys, n)
                if z > 0:
                    n = _list_face(a, parts[z - 1, y, x], small, keys, n)
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
    starts, edges = np.zeros(len(sizes) + 1, np.int64), np.empty((2 * len(faces), 2), np.int64)
    _list_neighbours(pairs, faces, starts, edges)
    return _joined(sizes, starts, edges, least)


@bare
def _list_neighbours(
    pairs: NDArray[np.int64], faces: NDArray[np.int64], starts: NDArray[np.int64], edges: NDArray[np.int64]
) -> None:
    """Write the neighbours of each part with their faces, those of part p from ``starts[p]`` on."""
    for i in range(faces.size):
        starts[pairs[i, 0]] += 1
        starts[pairs[i, 1]] += 1
    total = 0
    for part in range(starts.size):
        total += starts[part]
        starts[part] = total
    for i in range(faces.size - 1, -1, -1):
        for side in range(2):
            part = pairs[i, side]
            starts[part] -= 1
            edges[starts[part], 0], edges[starts[part], 1] = pairs[i, 1 - side], faces[i]


@compiled
def _joined(
    sizes: NDArray[np.int64],
    starts: NDArray[np.int64],
    edges: NDArray[np.int64],
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
        other = _closest(parent, own, starts, edges, following, total, met)
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
    edges: NDArray[np.int64],
    following: NDArray[np.int64],
    total: NDArray[np.int64],
    met: NDArray[np.int64],
) -> int:
    """Return the region that shares most faces with another, the first of several; -1 if there is none."""
    n_met, part = 0, own
    while part >= 0:
        for edge in range(starts[part], starts[part + 1]):
            other = _root(parent, edges[edge, 0])
            if other != own:
                if total[other] == 0:
                    met[n_met] = other
                    n_met += 1
                total[other] += edges[edge, 1]
        part = following[part]
    best, most = -1, 0
    for i in range(n_met):
        other = met[i]
        if total[other] > most or (total[other] == most and other < best):
            best, most = other, total[other]
        total[other] = 0
    return best
