"""k-means and Gaussian mixtures as their definitions say, in a few lines each."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from scipy.stats import multivariate_normal


def least_inertia(values: Sequence[int], n_clusters: int) -> Fraction:
    """Return the smallest sum of squared distances to the mean that any clusters of integers have, tried one by one."""
    levels = sorted(set(values))
    found = []
    for numbers in itertools.product(range(n_clusters), repeat=len(levels)):
        cluster_of = dict(zip(levels, numbers, strict=True))
        if len(set(numbers)) == n_clusters:
            found.append(inertia_of(values, [cluster_of[v] for v in values]))
    return min(found)


def inertia_of(values: Sequence[int], numbers: Sequence[int]) -> Fraction:
    """Return the sum of squared distances of integers to the mean of their cluster."""
    total = Fraction(0)
    for cluster in set(numbers):
        own = [v for v, number in zip(values, numbers, strict=True) if number == cluster]
        mean = Fraction(sum(own), len(own))
        total += sum((v - mean) ** 2 for v in own)
    return total


def standardised(columns: np.ndarray) -> np.ndarray:
    """Return a table of columns, one row for each voxel, with mean 0 and standard deviation 1."""
    table = columns.reshape(len(columns), -1).T.astype(np.float64)
    return np.asarray((table - table.mean(axis=0)) / table.std(axis=0))


def log_weighted_densities(
    table: np.ndarray, weights: np.ndarray, means: np.ndarray, covariances: np.ndarray
) -> np.ndarray:
    """Return the logarithm of every component's weighted density at every row, of shape (n_rows, k)."""
    parts = zip(weights, means, covariances, strict=True)
    return np.stack([np.log(w) + multivariate_normal(m, c).logpdf(table).reshape(-1) for w, m, c in parts], axis=1)
