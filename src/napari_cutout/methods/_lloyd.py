"""k-means on rows of standardised values: k-means++ on a sample, Lloyd's sweeps over all voxels.

A sweep gives sums that do not depend on their order (`_arithmetic`), so the centres are the same whole, in tiles and on
every device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arithmetic import QUANTUM_BITS, of_quanta, quanta, rounded, rounded_one
from .._array import Array, array_namespace, is_host, to_numpy
from .._compiled import compiled
from .._monitor import stage, tick

Matrix = NDArray[np.float64]

Rows = Sequence[Array] | NDArray[np.floating[Any]]
"""A flat array of standardised values for every column; one matrix of them where they are in host memory."""

STRIP = 128
"""Voxels that a compiled loop takes at a time: their distances stay in the cache."""

MAX_SAMPLE_ITERATIONS = 300
"""Sweeps over the sample that a start may take, as in scikit-learn."""

N_TRIED = 4096
"""Voxels of the sample that starts are tried on."""

N_SWAPS = 10
"""Swaps of a centre that are tried for every start."""

ROUGH = 1e-6
"""The tolerance to which starts are compared; only the best goes on to a finer one."""


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """What a sweep adds up, in whole numbers of quanta where it is no count.

    Parameters
    ----------
    counts : int64 array of shape (k,)
        Voxels of each cluster.
    sums : object array of shape (k, n_columns)
        Sums of their values.
    inertia : int
        Sum of squared distances to the nearest centre.
    """

    counts: NDArray[np.int64]
    sums: NDArray[np.object_]
    inertia: int

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.counts + other.counts, self.sums + other.sums, self.inertia + other.inertia)


@dataclass(frozen=True, slots=True, eq=False)
class Centres:
    """The centres of clusters, and how they were found.

    Parameters
    ----------
    centres : float64 array of shape (k, n_columns)
        Means of the standardised values.
    n_used : int
        Columns that distances are measured in, the first ones.
    counts : int64 array of shape (k,)
        Voxels of each cluster in the last sweep.
    inertia : float
        Sum of squared distances to the nearest centre in the last sweep.
    n_iterations : int
        Sweeps over all voxels.
    converged : bool
        Whether the last one moved the centres by no more than the tolerance.
    """

    centres: Matrix
    n_used: int
    counts: NDArray[np.int64]
    inertia: float = math.inf
    n_iterations: int = 0
    converged: bool = False


def sweep(found: Centres, rows: Rows) -> Sums:
    """Assign voxels to their nearest centre, the first of several, and add them up.

    Parameters
    ----------
    found : Centres
        The centres.
    rows : sequence of float32 array of shape (n,)
        Standardised values, a row for every column.

    Returns
    -------
    Sums
        Exact sums of values rounded to multiples of 2^-24.
    """
    if is_host(rows[0]):
        counts, sums = np.zeros(len(found.centres), np.int64), np.zeros(found.centres.shape)
        inertia = _sweep_strips(np.asarray(rows), found.n_used, found.centres, counts, sums)
        return Sums(counts, quanta(sums), int(quanta(inertia)))
    xp = array_namespace(rows[0])
    best, at = _nearest(found, rows)
    values = [rounded(xp.astype(row, xp.float64)) for row in rows]
    totals = [xp.sum(rounded(best))]  # all stay on the device until they are fetched together
    for k in range(len(found.centres)):
        own = at == k
        totals.append(xp.sum(xp.astype(own, xp.float64)))
        totals += [xp.sum(xp.where(own, row, xp.zeros_like(row))) for row in values]
    inertia, *others = to_numpy(xp.stack(totals))
    table = np.asarray(others).reshape(len(found.centres), 1 + len(rows))
    return Sums(table[:, 0].astype(np.int64), quanta(table[:, 1:]), int(quanta(inertia)))


def moved(found: Centres, sums: Sums, tolerance: float, sample: NDArray[np.float32]) -> Centres:
    """Return the centres after a sweep: the means of the clusters.

    A cluster without voxels is started again at the voxel of the sample that is farthest from its nearest centre, the
    first of several.

    Parameters
    ----------
    found : Centres
        Those of the sweep.
    sums : Sums
        What it added up.
    tolerance : float
        Sum of the squared moves below which it has converged.
    sample : float32 array of shape (n_columns, n)
        A sample of the voxels.

    Returns
    -------
    Centres
        With the counts and the inertia of the sweep.
    """
    centres = of_quanta(sums.sums) / np.maximum(sums.counts, 1)[:, None]
    empty = np.flatnonzero(sums.counts == 0)
    if len(empty):
        kept = replace(found, centres=np.delete(centres, empty, axis=0))
        for k in empty:
            far = int(np.argmax(_nearest(kept, sample)[0]))
            centres[k] = sample[:, far]
            kept = replace(kept, centres=np.vstack([kept.centres, centres[k]]))
    shift = float(np.sum((centres - found.centres)[:, : found.n_used] ** 2))
    return Centres(
        centres,
        found.n_used,
        sums.counts,
        float(of_quanta(np.asarray(sums.inertia, object))),
        found.n_iterations + 1,
        converged=shift <= tolerance and not len(empty),
    )


def started(
    sample: NDArray[np.float32], n_used: int, n_clusters: int, *, n_init: int, seed: int, tolerance: float
) -> Centres:
    """Return the best of several starts: k-means++ and Lloyd's sweeps, and then swaps of a centre for a voxel.

    Starts are tried on no more than `N_TRIED` voxels of the sample; the best goes on to all of them.

    Parameters
    ----------
    sample : float32 array of shape (n_columns, n)
        Standardised values, with at least `n_clusters` different ones among the used columns.
    n_used : int
        Columns that distances are measured in, the first ones.
    n_clusters : int
        Number of clusters.
    n_init : int
        Number of starts; that with the least inertia is taken, the first of several, and `N_SWAPS` times as many swaps
        are tried on it.
    seed : int
        What the random numbers begin with.
    tolerance : float
        As in `moved`.

    Returns
    -------
    Centres
        As if no sweep over all voxels had been made.

    References
    ----------
    .. [1] D. Arthur and S. Vassilvitskii, "k-means++: the advantages of careful seeding", in Proc. 18th ACM-SIAM Symp.
       Discrete Algorithms (2007) 1027-1035. DOI:10.5555/1283383.1283494
    .. [2] S. Lattanzi and C. Sohler, "A better k-means++ algorithm via local search", in Proc. 36th Int. Conf. Mach.
       Learn. (2019) 3662-3671.
    """
    stage("finding a start")
    random = np.random.default_rng(seed)
    tried = np.ascontiguousarray(sample[:, :: -(-sample.shape[1] // N_TRIED)])
    used = tried[:n_used].astype(np.float64)
    rough = max(tolerance, ROUGH)
    best: Centres | None = None
    n_tries = n_init * (1 + N_SWAPS)
    for done in range(n_init):
        tick(done, n_tries)
        found = _iterated(_at(tried, _spread(used, n_clusters, random), n_used), tried, rough)
        if best is None or found.inertia < best.inertia:
            best = found
    assert best is not None
    for done in range(n_init, n_tries):
        tick(done, n_tries)
        found = _iterated(_swapped(best, used, tried, random), tried, rough)
        if found.inertia < best.inertia:
            best = found
    best = _iterated(best, tried, tolerance)
    return replace(_iterated(best, sample, tolerance), n_iterations=0, converged=False)


def _at(tried: NDArray[np.float32], chosen: Sequence[int], n_used: int) -> Centres:
    return Centres(tried[:, chosen].T.astype(np.float64), n_used, np.zeros(len(chosen), np.int64))


def _iterated(found: Centres, sample: NDArray[np.float32], tolerance: float) -> Centres:
    """Sweep over the sample until the centres converge."""
    found = replace(found, n_iterations=0, converged=False)
    while not found.converged and found.n_iterations < MAX_SAMPLE_ITERATIONS:
        left = MAX_SAMPLE_ITERATIONS - found.n_iterations
        centres, counts = found.centres.copy(), np.zeros(len(found.centres), np.int64)
        n, inertia, converged = _iterate(sample, found.n_used, centres, counts, tolerance, left)
        found = replace(
            found,
            centres=centres,
            counts=counts,
            inertia=inertia,
            n_iterations=found.n_iterations + n,
            converged=converged,
        )
        if not converged and n < left:  # a cluster is empty
            if _all_met(found, sample):
                break
            found = moved(found, sweep(found, sample), tolerance, sample)
    return found


def n_apart(found: Centres) -> int:
    """Return how many centres are farther from all before them than voxels are rounded, in any column."""
    used = found.centres[:, : found.n_used]
    reach = 2.0**-QUANTUM_BITS
    return sum(bool((np.abs(used[:k] - used[k]) > reach).any(axis=1).all()) for k in range(len(used)))


def _all_met(found: Centres, sample: NDArray[np.float32]) -> bool:
    """Whether every voxel lies on a centre: one that has no voxels finds none, wherever it begins again."""
    return bool(_nearest(found, sample)[0].max() <= found.n_used * 2.0 ** (-2 * QUANTUM_BITS))


def _swapped(best: Centres, used: Matrix, tried: NDArray[np.float32], random: np.random.Generator) -> Centres:
    """Put a voxel in the place of that centre whose loss costs least, with a chance that grows with its distance."""
    first, second, at = np.empty(used.shape[1]), np.empty(used.shape[1]), np.empty(used.shape[1], np.int64)
    _two_nearest(used, best.centres, first, second, at)
    reach = np.cumsum(first)
    voxel = min(int(np.searchsorted(reach, random.random() * reach[-1], side="right")), used.shape[1] - 1)
    new = _squared_distances(used, used[:, voxel])
    kept = np.minimum(first, new)
    lost = np.bincount(at, np.minimum(second, new) - kept, len(best.centres))
    centres = best.centres.copy()
    centres[int(np.argmin(lost))] = tried[:, voxel]
    return replace(best, centres=centres)


def _spread(used: Matrix, n_clusters: int, random: np.random.Generator) -> list[int]:
    """Choose voxels far from each other: each with a chance that grows with the squared distance to those chosen.

    Of a few candidates that one is taken that lowers the inertia most, as in scikit-learn.
    """
    n = used.shape[1]
    chosen = [int(random.random() * n)]
    nearest = _squared_distances(used, used[:, chosen[0]])
    n_candidates = 2 + int(math.log(n_clusters))
    for _ in range(n_clusters - 1):
        reach = np.cumsum(nearest)
        places = np.searchsorted(reach, random.random(n_candidates) * reach[-1], side="right")
        candidates = np.minimum(places, n - 1)
        closer = [np.minimum(nearest, _squared_distances(used, used[:, c])) for c in candidates]
        best = int(np.argmin([c.sum() for c in closer]))
        chosen.append(int(candidates[best]))
        nearest = closer[best]
    return chosen


def _squared_distances(used: Matrix, point: Matrix) -> Matrix:
    total = np.zeros(used.shape[1])
    for row, value in zip(used, point, strict=True):
        total += (row - value) ** 2
    return total


def nearest(found: Centres, rows: Rows) -> Array:
    """Return the number of the nearest centre of every voxel, the first of several, int64."""
    if is_host(rows[0]):
        at = np.empty(rows[0].size, np.int64)
        _nearest_strips(np.asarray(rows), found.n_used, found.centres, at)
        return at
    return _nearest(found, rows)[1]


def _nearest(found: Centres, rows: Rows) -> tuple[Array, Array]:
    """Return the squared distance to the nearest centre, and its number, of every voxel."""
    xp = array_namespace(rows[0])
    best = at = None
    for k, centre in enumerate(found.centres):
        distance = xp.zeros_like(rows[0], dtype=xp.float64)
        for row, value in zip(rows[: found.n_used], centre, strict=False):
            away = xp.astype(row, xp.float64) - float(value)
            distance = distance + away * away
        if best is None:
            best, at = distance, xp.zeros_like(distance, dtype=xp.int64)
            continue
        closer = distance < best
        best, at = xp.where(closer, distance, best), xp.where(closer, xp.full_like(at, k), at)
    return best, at


@compiled
def _sweep_strips(
    rows: NDArray[np.float32], n_used: int, centres: Matrix, counts: NDArray[np.int64], sums: Matrix
) -> float:
    n_columns, n = rows.shape
    distance, best, at = np.empty(STRIP), np.empty(STRIP), np.empty(STRIP, np.int64)
    inertia = 0.0
    for start in range(0, n, STRIP):
        size = min(STRIP, n - start)
        _nearest_of_strip(rows, start, size, n_used, centres, distance, best, at)
        for i in range(size):
            inertia += rounded_one(best[i])
            counts[at[i]] += 1
        for g in range(n_columns):
            for i in range(size):
                sums[at[i], g] += rounded_one(np.float64(rows[g, start + i]))
    return inertia


@compiled
def _iterate(
    rows: NDArray[np.float32],
    n_used: int,
    centres: Matrix,
    counts: NDArray[np.int64],
    tolerance: float,
    most: int,
) -> tuple[int, float, bool]:
    """Sweep and move centres in place, as `sweep` and `moved` do, until they converge or a cluster is empty."""
    inertia = np.inf
    for n in range(most):
        sums = np.zeros(centres.shape)
        counts[:] = 0
        inertia = _sweep_strips(rows, n_used, centres, counts, sums)
        if counts.min() == 0:
            return n, inertia, False
        shift = 0.0
        for k in range(centres.shape[0]):
            for g in range(centres.shape[1]):
                mean = sums[k, g] / counts[k]
                if g < n_used:
                    shift += (mean - centres[k, g]) ** 2
                centres[k, g] = mean
        if shift <= tolerance:
            return n + 1, inertia, True
    return most, inertia, False


@compiled
def _two_nearest(used: Matrix, centres: Matrix, first: Matrix, second: Matrix, at: NDArray[np.int64]) -> None:
    """Find the squared distances to the nearest centre and to the one after it."""
    for i in range(used.shape[1]):
        first[i], second[i], at[i] = np.inf, np.inf, 0
        for k in range(centres.shape[0]):
            distance = 0.0
            for f in range(used.shape[0]):
                away = used[f, i] - centres[k, f]
                distance += away * away
            if distance < first[i]:
                second[i] = first[i]
                first[i], at[i] = distance, k
            elif distance < second[i]:
                second[i] = distance


@compiled
def _nearest_strips(rows: NDArray[np.float32], n_used: int, centres: Matrix, numbers: NDArray[np.int64]) -> None:
    n = rows.shape[1]
    distance, best, at = np.empty(STRIP), np.empty(STRIP), np.empty(STRIP, np.int64)
    for start in range(0, n, STRIP):
        size = min(STRIP, n - start)
        _nearest_of_strip(rows, start, size, n_used, centres, distance, best, at)
        for i in range(size):
            numbers[start + i] = at[i]


@compiled
def _nearest_of_strip(
    rows: NDArray[np.float32],
    start: int,
    size: int,
    n_used: int,
    centres: Matrix,
    distance: Matrix,
    best: Matrix,
    at: NDArray[np.int64],
) -> None:
    for k in range(centres.shape[0]):
        for i in range(size):
            distance[i] = 0.0
        for f in range(n_used):
            centre = centres[k, f]
            for i in range(size):
                away = np.float64(rows[f, start + i]) - centre
                distance[i] += away * away
        for i in range(size):
            if k == 0 or distance[i] < best[i]:
                best[i] = distance[i]
                at[i] = k
