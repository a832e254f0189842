"""Gaussian mixtures by expectation and maximisation, on rows of standardised values or on weighted bins.

An expectation gives sums that do not depend on their order, with an exponential that does not depend on the library
(`_arithmetic`), so a mixture is the same whole, in tiles and on every device. The maximisation sees no voxel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._arithmetic import (
    LARGE_ROUNDER,
    POWERS,
    exp_of,
    exp_of_negative,
    log_of,
    log_of_sum,
    of_quanta,
    quanta,
    rounded,
    rounded_one,
    split,
)
from .._array import Array, array_namespace, is_host, to_numpy
from .._compiled import compiled
from .._monitor import tick
from ._lloyd import Rows

Matrix = NDArray[np.float64]

Covariance = Literal["full", "tied", "diagonal", "spherical"]
"""Which shapes components may have: any, one for all, along the axes, round."""

STRIP = 128
"""Voxels that a compiled loop takes at a time: their densities stay in the cache."""

FLOOR = 1e-6
"""The smallest variance of a component in any direction, as a share of that of all voxels."""

MIN_COUNT = 1e-3
"""A component that holds fewer voxels than this keeps its place and its shape, and fades."""


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """What an expectation adds up, in whole numbers of quanta.

    Parameters
    ----------
    counts : object array of shape (k,)
        Sums of the posterior probabilities of each component.
    firsts : object array of shape (k, n_columns)
        Their sums, each times the difference to the mean.
    seconds : object array of shape (k, n_used, n_used)
        Their sums, each times the products of differences; the lower triangle.
    log_likelihood : int
        The sum over all voxels.
    """

    counts: NDArray[np.object_]
    firsts: NDArray[np.object_]
    seconds: NDArray[np.object_]
    log_likelihood: int

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.counts + other.counts,
            self.firsts + other.firsts,
            self.seconds + other.seconds,
            self.log_likelihood + other.log_likelihood,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Components:
    """Normal distributions with weights, and how they were found.

    Parameters
    ----------
    weights : float64 array of shape (k,)
        Shares of all voxels; they sum up to 1.
    means : float64 array of shape (k, n_columns)
        Means of the standardised values; those of the first columns are the distributions'.
    covariances : float64 array of shape (k, n_used, n_used)
        Covariances of the first columns.
    kind : {"full", "tied", "diagonal", "spherical"}
        Which shapes are allowed.
    floor : float
        The smallest variance in any direction.
    log_likelihood : float
        Mean over all voxels, of the components before the last maximisation.
    n_iterations : int
        Expectations over all voxels.
    converged : bool
        Whether the last one raised the mean log-likelihood by no more than the tolerance.
    """

    weights: Matrix
    means: Matrix
    covariances: Matrix
    kind: Covariance
    floor: float = FLOOR
    log_likelihood: float = -math.inf
    n_iterations: int = 0
    converged: bool = False

    @property
    def n_used(self) -> int:
        """Columns that the distributions are over, the first ones."""
        return int(self.covariances.shape[1])

    @property
    def upright(self) -> bool:
        """Whether every axis of the distributions lies along a column."""
        return self.kind in ("diagonal", "spherical")

    @property
    def n_parameters(self) -> int:
        """Numbers that were fitted."""
        k, n = len(self.weights), self.n_used
        shape = {"full": k * n * (n + 1) // 2, "tied": n * (n + 1) // 2, "diagonal": k * n, "spherical": k}
        return shape[self.kind] + k * n + k - 1

    def whitening(self) -> tuple[Matrix, Matrix]:
        """Return the logarithm of each component's weighted density at its mean, and what makes differences round.

        Returns
        -------
        log_height : float64 array of shape (k,)
            Minus infinity for a component without weight.
        factors : float64 array of shape (k, n_used, n_used)
            Upper triangles U with U U^T the inverse of the covariance: the squared length of a difference times U is
            its squared Mahalanobis distance.
        """
        lower = np.linalg.cholesky(self.covariances)
        factors = np.swapaxes(np.linalg.inv(lower), 1, 2)
        log_determinant = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
        with np.errstate(divide="ignore"):
            log_height = np.log(self.weights) + log_determinant - 0.5 * self.n_used * math.log(2 * math.pi)
        return log_height, np.ascontiguousarray(np.triu(factors))


def expected(found: Components, rows: Rows, weights: Matrix | None = None) -> Sums:
    """Weigh voxels by their posterior probabilities and add them up.

    Parameters
    ----------
    found : Components
        The mixture.
    rows : sequence of float array of shape (n,)
        Standardised values, a row for every column.
    weights : float64 array of shape (n,), optional
        How often each value is there; host arrays only.

    Returns
    -------
    Sums
        Exact sums of values rounded to multiples of 2^-24.
    """
    k, n_used = len(found.weights), found.n_used
    counts, firsts, seconds = np.zeros(k), np.zeros(found.means.shape), np.zeros((k, n_used, n_used))
    log_height, factors = found.whitening()
    if is_host(rows[0]):
        often = np.zeros(0) if weights is None else weights
        matrix = np.asarray(rows)
        total = np.zeros(2)
        _expect_strips(
            matrix, often, log_height, found.means, factors, found.upright, POWERS, counts, firsts, seconds, total
        )
        return Sums(quanta(counts), quanta(firsts), quanta(seconds), quanta(total).sum())
    xp = array_namespace(rows[0])
    shares, log_density = posteriors(log_densities(found, rows))
    total = np.zeros(2)
    sums = [xp.sum(part) for part in split(log_density)]  # all stay on the device until they are fetched together
    places: list[Any] = [(total, 0), (total, 1)]
    for c, share in enumerate(shares):
        sums.append(xp.sum(rounded(share)))
        places.append((counts, c))
        away = [xp.astype(row, xp.float64) - float(m) for row, m in zip(rows, found.means[c], strict=True)]
        for g, difference in enumerate(away):
            weighted = share * difference
            sums.append(xp.sum(rounded(weighted)))
            places.append((firsts, (c, g)))
            for h in range(g if found.upright else 0, g + 1) if g < n_used else ():
                sums.append(xp.sum(rounded(weighted * away[h])))
                places.append((seconds, (c, g, h)))
    for (table, place), value in zip(places, to_numpy(xp.stack(sums)), strict=True):
        table[place] = value
    return Sums(quanta(counts), quanta(firsts), quanta(seconds), quanta(total).sum())


def log_densities(found: Components, rows: Rows) -> list[Array]:
    """Return the logarithm of each component's weighted density, float64 arrays of the shape of the rows."""
    xp = array_namespace(rows[0])
    log_height, factors = found.whitening()
    n_used, found_densities = found.n_used, []
    for height, mean, factor in zip(log_height, found.means, factors, strict=True):
        away = [xp.astype(row, xp.float64) - float(m) for row, m in zip(rows[:n_used], mean[:n_used], strict=True)]
        length = xp.zeros_like(away[0])
        for j in range(n_used):
            side = xp.zeros_like(away[0])
            for f in range(j if found.upright else 0, j + 1):
                side = side + away[f] * float(factor[f, j])
            length = length + side * side
        found_densities.append(float(height) - length * 0.5)
    return found_densities


def posteriors(log_weights: Sequence[Array]) -> tuple[list[Array], Array]:
    """Return shares of 1 that are as the exponentials of these numbers, and the logarithm of the exponentials' sum.

    The largest is taken away first, so that none overflows.
    """
    if is_host(log_weights[0]):
        stacked = np.stack(log_weights)
        log_density = np.empty(stacked.shape[1:])
        _shares_strips(stacked.reshape(len(stacked), -1), POWERS, log_density.reshape(-1))
        return list(stacked), log_density
    xp = array_namespace(log_weights[0])
    largest = log_weights[0]
    for more in log_weights[1:]:
        largest = xp.where(more > largest, more, largest)
    shares = [exp_of_negative(more - largest) for more in log_weights]
    total = xp.zeros_like(largest)
    for share in shares:
        total = total + share
    inverse = 1.0 / total
    return [share * inverse for share in shares], largest + log_of_sum(total)


def largest_of(numbers: Sequence[Array]) -> Array:
    """Return which of several arrays is the largest at every voxel, the first of several, int64."""
    xp = array_namespace(numbers[0])
    best, at = numbers[0], xp.zeros_like(numbers[0], dtype=xp.int64)
    for k, more in enumerate(numbers[1:], start=1):
        larger = more > best
        best, at = xp.where(larger, more, best), xp.where(larger, xp.full_like(at, k), at)
    return at


def most_likely(found: Components, rows: Rows) -> Array:
    """Return the most likely component of every voxel, the first of several, int64."""
    if not is_host(rows[0]):
        return largest_of(log_densities(found, rows))
    log_height, factors = found.whitening()
    at = np.empty(rows[0].size, np.int64)
    _likely_strips(np.asarray(rows), log_height, found.means, factors, found.upright, at)
    return at


# Maximisation: sees no voxel ---------------------------------------------------------------------------


def maximised(found: Components, sums: Sums, n: float, tolerance: float) -> Components:
    """Return the components that an expectation makes most likely.

    Parameters
    ----------
    found : Components
        Those of the expectation.
    sums : Sums
        What it added up.
    n : float
        Number of voxels.
    tolerance : float
        Rise of the mean log-likelihood below which it has converged.

    Returns
    -------
    Components
        With the mean log-likelihood of those before.
    """
    counts = of_quanta(sums.counts)
    alive = counts > MIN_COUNT
    safe = np.where(alive, counts, 1.0)
    shift = np.where(alive[:, None], of_quanta(sums.firsts) / safe[:, None], 0.0)
    second = of_quanta(sums.seconds) / safe[:, None, None]
    second = second + np.swapaxes(np.tril(second, -1), 1, 2)
    n_used = found.n_used
    spread = second - shift[:, :n_used, None] * shift[:, None, :n_used]
    covariances = np.where(alive[:, None, None], _allowed(spread, counts, found), found.covariances)
    log_likelihood = float(of_quanta(np.asarray(sums.log_likelihood, object))) / n
    rise = log_likelihood - found.log_likelihood
    return replace(
        found,
        weights=counts / counts.sum(),
        means=found.means + shift,
        covariances=covariances,
        log_likelihood=log_likelihood,
        n_iterations=found.n_iterations + 1,
        converged=rise <= tolerance,
    )


def _allowed(spread: Matrix, counts: Matrix, found: Components) -> Matrix:
    """Return covariances of the shapes that are allowed, in no direction narrower than the floor."""
    n_used = found.n_used
    if found.kind in ("diagonal", "spherical"):
        variances = np.diagonal(spread, axis1=1, axis2=2)
        if found.kind == "spherical":
            variances = np.repeat(variances.mean(axis=1, keepdims=True), n_used, axis=1)
        return np.maximum(variances, found.floor)[:, :, None] * np.eye(n_used)
    if found.kind == "tied":
        shared = (spread * counts[:, None, None]).sum(axis=0) / counts.sum()
        spread = np.repeat(shared[None], len(counts), axis=0)
    lengths, axes = np.linalg.eigh(spread)
    raised = np.maximum(lengths, found.floor)
    fixed = (axes[:, :, None, :] * raised[:, None, None, :] * axes[:, None, :, :]).sum(axis=3)
    narrow = np.any(lengths < found.floor, axis=1, keepdims=True)
    return np.where(narrow[:, :, None], fixed, spread)


def from_clusters(
    numbers: NDArray[np.int64],
    rows: Rows,
    n_clusters: int,
    n_used: int,
    kind: Covariance,
    *,
    floor: float = FLOOR,
    weights: Matrix | None = None,
) -> Components:
    """Return the components that clusters of values make most likely.

    Parameters
    ----------
    numbers : int64 array of shape (n,)
        The cluster of every value.
    rows : sequence of float array of shape (n,)
        The values.
    n_clusters : int
        Number of clusters; none is empty.
    n_used : int
        Columns that the distributions are over.
    kind : {"full", "tied", "diagonal", "spherical"}
        Which shapes are allowed.
    floor : float
        The smallest variance in any direction.
    weights : float64 array of shape (n,), optional
        How often each value is there.

    Returns
    -------
    Components
        As if there had been no expectation.
    """
    often = np.ones(len(numbers)) if weights is None else weights
    counts = np.asarray(np.bincount(numbers, often, n_clusters), np.float64)
    means = np.stack([np.bincount(numbers, often * row, n_clusters) / counts for row in rows], axis=1)
    away = [row - means[numbers, g] for g, row in enumerate(rows[:n_used])]
    spread = np.empty((n_clusters, n_used, n_used))
    for g in range(n_used):
        for h in range(g + 1):
            products = np.bincount(numbers, often * away[g] * away[h], n_clusters) / counts
            spread[:, g, h] = spread[:, h, g] = products
    found = Components(counts / counts.sum(), means, spread, kind, floor)
    return replace(found, covariances=_allowed(spread, counts, found))


def settled(
    found: Components,
    rows: Rows,
    *,
    tolerance: float,
    max_iterations: int,
    weights: Matrix | None = None,
) -> Components:
    """Expect and maximise on host rows until the mean log-likelihood rises by no more than `tolerance`."""
    n = float(len(rows[0])) if weights is None else float(weights.sum())
    while not found.converged and found.n_iterations < max_iterations:
        tick(found.n_iterations, max_iterations)
        found = maximised(found, expected(found, rows, weights), n, tolerance)
    return found


# Compiled: the same numbers as above, a strip of voxels at a time ----------------------------------------


@compiled
def _densities_of_strip(
    rows: NDArray[Any],
    start: int,
    size: int,
    log_height: Matrix,
    means: Matrix,
    factors: Matrix,
    upright: bool,
    away: Matrix,
    side: Matrix,
    densities: Matrix,
) -> None:
    n_used = factors.shape[1]
    for k in range(means.shape[0]):
        density = densities[k]
        for f in range(n_used):
            difference, mean = away[f], means[k, f]
            for i in range(size):
                difference[i] = np.float64(rows[f, start + i]) - mean
        density[:size] = 0.0
        for j in range(n_used):
            side[:size] = 0.0
            for f in range(j if upright else 0, j + 1):
                factor, difference = factors[k, f, j], away[f]
                for i in range(size):
                    side[i] += difference[i] * factor
            for i in range(size):
                density[i] += side[i] * side[i]
        height = log_height[k]
        for i in range(size):
            density[i] = height - density[i] * 0.5


@compiled
def _shares_of_strip(
    densities: Matrix, size: int, powers: Matrix, largest: Matrix, total: Matrix, log_density: Matrix
) -> None:
    """Turn log densities into shares in place, and keep the logarithm of their sum."""
    n_components = densities.shape[0]
    for i in range(size):
        largest[i], total[i] = densities[0, i], 0.0
    for k in range(1, n_components):
        density = densities[k]
        for i in range(size):
            largest[i] = density[i] if density[i] > largest[i] else largest[i]
    for k in range(n_components):
        density = densities[k]
        for i in range(size):
            density[i] = exp_of(density[i] - largest[i], powers)
            total[i] += density[i]
    for i in range(size):
        log_density[i] = largest[i] + log_of(total[i])
        total[i] = 1.0 / total[i]
    for k in range(n_components):
        density = densities[k]
        for i in range(size):
            density[i] *= total[i]


@compiled
def _shares_strips(densities: Matrix, powers: Matrix, log_density: Matrix) -> None:
    n_components, n = densities.shape
    strip, largest, total = np.empty((n_components, STRIP)), np.empty(STRIP), np.empty(STRIP)
    for start in range(0, n, STRIP):
        size = min(STRIP, n - start)
        strip[:, :size] = densities[:, start : start + size]
        _shares_of_strip(strip, size, powers, largest, total, log_density[start : start + size])
        densities[:, start : start + size] = strip[:, :size]


@compiled
def _add_strip(
    rows: NDArray[Any],
    start: int,
    size: int,
    shares: Matrix,
    means: Matrix,
    upright: bool,
    away: Matrix,
    weighted: Matrix,
    count_of: Matrix,
    first_of: NDArray[np.float64],
    second_of: NDArray[np.float64],
) -> None:
    """Add to sums that are kept for every place of a strip, so that no addition waits for the one before."""
    n_columns, n_used = rows.shape[0], second_of.shape[1]
    for k in range(means.shape[0]):
        share, count = shares[k], count_of[k]
        for i in range(size):
            count[i] += rounded_one(share[i])
        for g in range(n_columns):
            difference, first, mean = away[g], first_of[k, g], means[k, g]
            for i in range(size):
                difference[i] = np.float64(rows[g, start + i]) - mean
                weighted[i] = share[i] * difference[i]
                first[i] += rounded_one(weighted[i])
            if g >= n_used:
                continue
            for h in range(g if upright else 0, g + 1):
                other, second = away[h], second_of[k, g, h]
                for i in range(size):
                    second[i] += rounded_one(weighted[i] * other[i])


@compiled
def _expect_strips(
    rows: NDArray[Any],
    often: Matrix,
    log_height: Matrix,
    means: Matrix,
    factors: Matrix,
    upright: bool,
    powers: Matrix,
    counts: Matrix,
    firsts: Matrix,
    seconds: Matrix,
    likelihood: Matrix,
) -> None:
    n_columns, n = rows.shape
    n_components, n_used = means.shape[0], factors.shape[1]
    densities, away = np.empty((n_components, STRIP)), np.empty((n_columns, STRIP))
    side, largest, total, log_density = np.empty(STRIP), np.empty(STRIP), np.empty(STRIP), np.empty(STRIP)
    count_of, first_of = np.zeros((n_components, STRIP)), np.zeros((n_components, n_columns, STRIP))
    second_of, likelihood_of = np.zeros((n_components, n_used, n_used, STRIP)), np.zeros((2, STRIP))
    for start in range(0, n, STRIP):
        size = min(STRIP, n - start)
        _densities_of_strip(rows, start, size, log_height, means, factors, upright, away, side, densities)
        _shares_of_strip(densities, size, powers, largest, total, log_density)
        if often.size > 0:
            log_density[:size] *= often[start : start + size]
            densities[:, :size] *= often[start : start + size]
        for i in range(size):
            large = (log_density[i] + LARGE_ROUNDER) - LARGE_ROUNDER  # far outside of narrow components
            likelihood_of[0, i] += large
            likelihood_of[1, i] += rounded_one(log_density[i] - large)
        _add_strip(rows, start, size, densities, means, upright, away, side, count_of, first_of, second_of)
    for k in range(n_components):
        counts[k] = count_of[k].sum()
        for g in range(n_columns):
            firsts[k, g] = first_of[k, g].sum()
        for g in range(n_used):
            for h in range(g + 1):
                seconds[k, g, h] = second_of[k, g, h].sum()
    likelihood[0], likelihood[1] = likelihood_of[0].sum(), likelihood_of[1].sum()


@compiled
def _likely_strips(
    rows: NDArray[Any],
    log_height: Matrix,
    means: Matrix,
    factors: Matrix,
    upright: bool,
    numbers: NDArray[np.int64],
) -> None:
    n_columns, n = rows.shape
    densities, away, side = np.empty((means.shape[0], STRIP)), np.empty((n_columns, STRIP)), np.empty(STRIP)
    for start in range(0, n, STRIP):
        size = min(STRIP, n - start)
        _densities_of_strip(rows, start, size, log_height, means, factors, upright, away, side, densities)
        for i in range(size):
            best = 0
            for k in range(1, means.shape[0]):
                if densities[k, i] > densities[best, i]:
                    best = k
            numbers[start + i] = best
