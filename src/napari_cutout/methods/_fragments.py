"""The connectivity pass of superpixels: parts that hang together are regions, and those that are too small join others.

Parts are numbered by their first voxel. In this order, a part whose region is smaller than a limit joins it to the
region with which the part shares most faces, of several to the one whose first voxel comes first; and so again, until
every region is large enough or has no neighbour. Only sizes and shared faces are looked at, so that parts may be found
in blocks, as in `_fragments_anywhere`; in host memory faces are counted when they are needed, and no list of them is
held.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .._compiled import bare, inlined
from .._monitor import note, stage

Numbers = NDArray[np.int32]
Sizes = NDArray[np.int64]

SEEN = -2
"""The part of a voxel that has been visited is this minus its number, for a while."""


def connected_on_host(labels: Numbers, least: float) -> Numbers:
    """Do what `_fragments_anywhere.connected` does, in host memory."""
    volume = np.ascontiguousarray(labels).reshape((1,) * (3 - labels.ndim) + labels.shape)
    parts, sizes = label_parts(volume)
    stage("joining small parts")
    parent = np.arange(len(sizes), dtype=np.int32)
    if (sizes < least).any():
        _join(parts, parent, sizes, least)
    note(n_regions=number_roots(parent))
    _renumber(parts.reshape(-1), parent, 0)
    return parts.reshape(labels.shape)


def label_parts(labels: Numbers) -> tuple[Numbers, Sizes]:
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
    parent = np.empty(_count_runs(labels), np.int32)
    _find_runs(labels, parts, parent)
    sizes = np.zeros(_flatten(parent), np.int64)
    _renumber(parts.reshape(-1), parent, -1)
    _measure(parts.reshape(-1), sizes)
    return parts, sizes


@bare
def _count_runs(labels: Numbers) -> int:
    n = 0
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            before = -1
            for x in range(labels.shape[2]):
                here = labels[z, y, x]
                n += here >= 0 and here != before
                before = here
    return n


@bare
def root_of(parent: Numbers, node: int) -> int:
    """Return the root of a node's tree, and shorten the way there."""
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@bare
def _unite(parent: Numbers, a: int, b: int) -> None:
    a, b = root_of(parent, a), root_of(parent, b)
    parent[max(a, b)] = min(a, b)


@bare
def _find_runs(labels: Numbers, parts: Numbers, parent: Numbers) -> None:
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
                before, parts[z, y, x] = here, n
                # where the voxel before has joined the same run already there is nothing to do
                if y > 0 and labels[z, y - 1, x] == here:
                    above = parts[z, y - 1, x]
                    if fresh or above != parts[z, y - 1, x - 1]:
                        _unite(parent, n, above)
                if z > 0 and labels[z - 1, y, x] == here:
                    below = parts[z - 1, y, x]
                    if fresh or below != parts[z - 1, y, x - 1]:
                        _unite(parent, n, below)


@bare
def _flatten(parent: Numbers) -> int:
    """Turn parents into numbers of trees from 0, in the order of their roots; return how many there are."""
    n = 0
    for node in range(parent.size):
        if parent[node] == node:
            parent[node] = n
            n += 1
        else:
            parent[node] = parent[parent[node]]  # the parent is smaller, and has its number
    return n


@bare
def _measure(parts: Numbers, sizes: Sizes) -> None:
    for i in range(parts.size):
        if parts[i] >= 0:
            sizes[parts[i]] += 1


@bare
def _renumber(parts: Numbers, numbers: Numbers, outside: int) -> None:
    """Replace numbers by others, and what is below 0 by `outside`."""
    for i in range(parts.size):
        parts[i] = numbers[parts[i]] if parts[i] >= 0 else outside


@bare
def number_roots(parent: Numbers) -> int:
    """Turn parents into numbers of trees from 1, in the order of their roots; return how many there are."""
    n = _flatten(parent)
    for node in range(parent.size):
        parent[node] += 1
    return n


def _join(parts: Numbers, parent: Numbers, sizes: Sizes, least: float) -> None:
    """Join parts until every region is large enough or has no neighbour; sizes become those of regions, at roots."""
    total, room = np.zeros(len(sizes), np.int32), math.ceil(min(least, parts.size))
    voxels, met = np.empty(room, np.int64), np.empty(6 * room, np.int32)
    while _join_once(parts, parent, sizes, least, total, voxels, met):
        pass


@bare
def _join_once(
    parts: Numbers, parent: Numbers, sizes: Sizes, least: float, total: Numbers, voxels: Sizes, met: Numbers
) -> bool:
    """Let every part whose region is too small join another, in the order of their first voxels; tell if one did."""
    following, changed, flat = 0, False, parts.reshape(-1)
    for voxel in range(flat.size):
        if flat[voxel] != following:
            continue
        following += 1  # this is the first voxel of the next part
        own = root_of(parent, flat[voxel])
        if sizes[own] < least:
            other = _closest(parts, flat, voxel, own, parent, total, voxels, met)
            if other >= 0:
                unite_regions(parent, sizes, own, other)
                changed = True
    return changed


@inlined
def unite_regions(parent: Numbers, sizes: Sizes, a: int, b: int) -> None:
    """Join two regions, given by their roots; the smaller number stays a root."""
    low, high = min(a, b), max(a, b)
    parent[high] = low
    sizes[low] += sizes[high]


@bare
def _closest(
    parts: Numbers, flat: Numbers, first: int, own: int, parent: Numbers, total: Numbers, voxels: Sizes, met: Numbers
) -> int:
    """Return the region with which the part of a voxel shares most faces, the first of several; -1 if there is none."""
    nz, ny, nx = parts.shape
    part, n_seen, n_met, done = flat[first], 1, 0, 0
    voxels[0], flat[first] = first, SEEN - part
    while done < n_seen:
        voxel = voxels[done]
        done += 1
        for side in range(6):
            near = _beside(voxel, side, nz, ny, nx)
            if near < 0:
                continue
            there = flat[near]
            if there == part:
                flat[near], voxels[n_seen] = SEEN - part, near
                n_seen += 1
            elif there >= 0:
                n_met = count_face(root_of(parent, there), own, 1, total, met, n_met)
    for i in range(n_seen):
        flat[voxels[i]] = part
    return most_faces(total, met, n_met)


@bare
def _beside(voxel: int, side: int, nz: int, ny: int, nx: int) -> int:
    """Return the voxel beyond one of the six faces of another, -1 if there is none."""
    step, n = (nx * ny, nz) if side < 2 else (nx, ny) if side < 4 else (1, nx)
    at = voxel // step % n
    if side % 2:
        return voxel + step if at < n - 1 else -1
    return voxel - step if at > 0 else -1


@inlined
def count_face(region: int, own: int, n_faces: int, total: Numbers, met: Numbers, n_met: int) -> int:
    """Count faces with a region, unless it is the own one; return how many others were met."""
    if region != own:
        if total[region] == 0:
            met[n_met] = region
            n_met += 1
        total[region] += n_faces
    return n_met


@bare
def most_faces(total: Numbers, met: Numbers, n_met: int) -> int:
    """Return the region with most faces, the first of several, and forget all counts; -1 if none was met."""
    best, most = -1, 0
    for i in range(n_met):
        region = met[i]
        if total[region] > most or (total[region] == most and region < best):
            best, most = region, total[region]
        total[region] = 0
    return best
