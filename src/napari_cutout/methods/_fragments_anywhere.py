"""The connectivity pass of superpixels on arrays of every library: whole, in blocks, or on a device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, from_numpy, is_host, is_lazy, to_numpy
from .._compiled import bare
from .._monitor import note, stage
from .._plan import Derived, Pass, Reduce, run_plan
from ..processing.filters import along
from ._flooding import connected_parts
from ._fragments import Numbers, Sizes, connected_on_host, count_face, most_faces, number_roots, root_of, unite_regions


def connected(labels: Array, least: Any) -> Array:
    """Return connected regions of at least so many voxels, where others are beside them.

    Parameters
    ----------
    labels : int32 array of shape ([Z,] Y, X)
        From 0 on; -1 is outside.
    least : float
        Parts of fewer voxels join a neighbour. A delayed number for dask arrays.

    Returns
    -------
    int32 array
        Regions from 1 by their first voxel in scan order; 0 outside.
    """
    stage("connecting superpixels")
    if is_host(labels):
        return connected_on_host(labels, least)
    parts = connected_parts(labels + 1, 1)
    plan = Reduce(_start(parts, least), part_passes(parts.ndim), numbers_of, _looked_up, "int32")
    return run_plan(plan, parts)


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What is known of parts, which are numbered from 1.

    Parameters
    ----------
    least : float
        Parts of fewer voxels join a neighbour.
    sizes : int64 array of shape (n,)
        Voxels of each part.
    pairs, faces : int64 arrays of shape (m, 2) and (m,)
        Which parts touch, counted from 0, one of them at least a small one, and how many faces they share.
    """

    least: float
    sizes: Sizes = field(default_factory=lambda: np.zeros(0, np.int64))
    pairs: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    faces: Sizes = field(default_factory=lambda: np.zeros(0, np.int64))


def _start(parts: Array, least: Any) -> Any:
    """Return what is known at first: a delayed value for dask arrays."""
    if not is_lazy(parts):
        return Known(least)
    import dask

    return dask.delayed(Known)(least)


def part_passes(ndim: int) -> tuple[Pass, ...]:
    """Return the passes over parts, numbered from 1, that measure them and find which touch."""
    return (
        Pass(
            lambda _, parts: _tally(array_namespace(parts).reshape(parts, (-1,))),
            _joined_tallies,
            _measured,
            lambda _: True,
            "measuring parts",
        ),
        Pass(
            _list_pairs,
            _joined_tallies,
            _touching,
            lambda known: bool(np.any(known.sizes < known.least)),
            "joining small parts",
            derived=Derived(_with_previous, (1,) * ndim, 4),
        ),
    )


Tally = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Numbers, rising, and how often each was met."""


def _tally(numbers: Array) -> Tally:
    xp = array_namespace(numbers)
    values, times = (to_numpy(a).astype(np.int64) for a in xp.unique_counts(numbers))
    order = np.argsort(values)
    return values[order], times[order]


def _joined_tallies(a: Tally, b: Tally) -> Tally:
    values, at = np.unique(np.concatenate([a[0], b[0]]), return_inverse=True)
    times = np.zeros(len(values), np.int64)
    np.add.at(times, at, np.concatenate([a[1], b[1]]))
    return values, times


def _measured(known: Known, found: Tally) -> Known:
    values, times = found
    return replace(known, sizes=times[values > 0])  # all numbers from 1 on occur


def _with_previous(parts: Array) -> Iterator[Array]:
    """Yield a block, and the voxels before its voxels along each axis; 0 where there are none."""
    yield parts
    xp = array_namespace(parts)
    for axis in range(parts.ndim):
        first = along(parts, axis, 0, 1)
        yield xp.concat([xp.zeros_like(first), along(parts, axis, 0, parts.shape[axis] - 1)], axis=axis)


def _list_pairs(known: Known, parts: Array, *before: Array) -> Tally:
    """Return the pairs of parts that touch, as one number each, and how many faces they share."""
    xp = array_namespace(parts)
    small = from_numpy(np.concatenate([[False], known.sizes < known.least]), like=parts)
    found, here, n = [], xp.reshape(parts, (-1,)), len(known.sizes)
    for shifted in before:
        there = xp.reshape(shifted, (-1,))
        is_small = xp.take(small, here) | xp.take(small, there)
        at = (here != there) & (here > 0) & (there > 0) & is_small
        a, b = (xp.astype(side[at], xp.int64) - 1 for side in (here, there))
        found.append(xp.minimum(a, b) * n + xp.maximum(a, b))
    return _tally(xp.concat(found))


def _touching(known: Known, found: Tally) -> Known:
    keys, faces = found
    n = len(known.sizes)
    return replace(known, pairs=np.stack([keys // n, keys % n], axis=1), faces=faces)


def numbers_of(known: Known) -> Numbers:
    """Return the number of the region of every part, behind a 0 for what is outside."""
    n = len(known.sizes)
    starts, edges = np.zeros(n + 1, np.int64), np.empty((2 * len(known.faces), 2), np.int64)
    _list_neighbours(known.pairs, known.faces, starts, edges)
    parent, sizes, total, met = np.arange(n, dtype=np.int32), known.sizes.copy(), *np.zeros((2, n), np.int32)
    while _join_once(parent, sizes, known.least, starts, edges, total, met):
        pass
    note(n_regions=number_roots(parent))
    return np.concatenate([np.zeros(1, np.int32), parent])


@bare
def _list_neighbours(pairs: NDArray[np.int64], faces: Sizes, starts: NDArray[np.int64], edges: Sizes) -> None:
    """Write the neighbours of each part with their faces, those of part p from ``starts[p]`` on."""
    for i in range(faces.size):
        starts[pairs[i, 0]] += 1
        starts[pairs[i, 1]] += 1
    total = 0
    for part in range(starts.size):
        total += starts[part]
        starts[part] = total
    for i in range(faces.size):
        for side in range(2):
            part = pairs[i, side]
            starts[part] -= 1
            edges[starts[part], 0], edges[starts[part], 1] = pairs[i, 1 - side], faces[i]


@bare
def _join_once(
    parent: Numbers, sizes: Sizes, least: float, starts: NDArray[np.int64], edges: Sizes, total: Numbers, met: Numbers
) -> bool:
    """Let every part whose region is too small join another, in their order; tell if one did."""
    changed = False
    for part in range(parent.size):
        own = root_of(parent, part)
        if sizes[own] < least:
            n_met = 0
            for edge in range(starts[part], starts[part + 1]):
                n_met = count_face(root_of(parent, edges[edge, 0]), own, edges[edge, 1], total, met, n_met)
            other = most_faces(total, met, n_met)
            if other >= 0:
                unite_regions(parent, sizes, own, other)
                changed = True
    return changed


def _looked_up(numbers: Numbers, parts: Array) -> Array:
    xp = array_namespace(parts)
    return xp.reshape(xp.take(from_numpy(numbers, like=parts), xp.reshape(parts, (-1,))), parts.shape)
