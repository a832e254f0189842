"""Normalized cuts as Shi and Malik define them, in a few lines, and the smallest of all there are."""

from __future__ import annotations

import itertools

import numpy as np


def matrix_of(n: int, pairs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the symmetric matrix of similarities; that of a region with itself is 1."""
    found = np.eye(n)
    for (a, b), w in zip(pairs, weights, strict=True):
        found[a, b] = found[b, a] = w
    return found


def ncut(similar: np.ndarray, side: np.ndarray) -> float:
    """Return the normalized cut between the regions of a side and the others: equation 2 of the paper."""
    across = similar[side][:, ~side].sum()
    return float(across / similar[side].sum() + across / similar[~side].sum())


def least_ncut(similar: np.ndarray) -> float:
    """Return the smallest normalized cut that there is, every one tried."""
    n = len(similar)
    sides = (np.array([False, *side]) for side in itertools.product([False, True], repeat=n - 1) if any(side))
    return min(ncut(similar, side) for side in sides)
