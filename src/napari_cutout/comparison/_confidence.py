"""How far scores would move on other units, and which methods cannot be told apart: bootstrap, swaps, Holm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..evaluation._bootstrap import ends, times_drawn
from ._tallies import Metric, Problem, score_of

__all__ = ["Interval", "holm", "intervals"]

Scores = NDArray[np.float64]

EXACT = 12
"""Units up to which all ways to swap are tried; beyond, as many ways are drawn."""

ROUNDING = 1e-12
"""Differences that are no more apart than this are equal."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A score with what its units say about its precision.

    Parameters
    ----------
    score : float
        Of all units.
    low, high : float
        Percentiles of the bootstrap over units; NaN where no class has two of them.
    p : float
        How often chance alone makes as large a difference from the best, two-sided: the share of the ways to swap the
        counts of the two in some units that do; corrected by Holm's method for the number of contestants. 1 for the
        best itself.
    """

    score: float
    low: float
    high: float
    p: float


def intervals(
    tallies: Sequence[Scores],
    problem: Problem,
    metric: Metric,
    strata: NDArray[np.int64],
    *,
    level: float = 0.95,
    seed: int = 0,
) -> list[Interval]:
    """Score contestants on all units, with intervals and with their difference from the best.

    Parameters
    ----------
    tallies : sequence of arrays of shape (n_units, ...)
        The counts of each contestant in the same units, as `score_of` takes them summed.
    problem : Problem
        The classes.
    metric : {"dice", "iou", "f1", "pq"}
        What to score.
    strata : int64 array of shape (n_units,)
        As many units of each number are drawn as there are.
    level : float
        Of the interval, 0 to 1.
    seed : int
        Of the draws.

    Returns
    -------
    list of Interval
        In the order of `tallies`.

    Notes
    -----
    Swaps [2]_ hold their level with any number of units: with five of them no difference is below 0.06. A bootstrap of
    so few is too short, and its intervals are to be read so.

    References
    ----------
    .. [1] S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6
       (1979) 65-70.
    .. [2] E. J. G. Pitman, "Significance tests which may be applied to samples from any populations", Supplement to
       the Journal of the Royal Statistical Society 4 (1937) 119-130. DOI:10.2307/2984124
    """
    whole = [float(score_of(counts.sum(axis=0), problem, metric)) for counts in tallies]
    p = np.full(len(tallies), np.nan)
    ranked = [i for i in np.argsort([-s if s == s else np.inf for s in whole], kind="stable") if whole[i] == whole[i]]
    if ranked:
        best, *others = ranked
        swaps = _swaps(len(strata), seed)
        p[others] = holm([_swapped(tallies[best], tallies[i], swaps, problem, metric) for i in others])
        p[best] = 1.0
    varies = len(np.unique(strata)) < len(strata)
    weights = times_drawn(strata, seed)
    draws = [score_of(np.tensordot(weights, counts, axes=1), problem, metric) for counts in tallies]
    found = [ends(values, level) if varies else (np.nan, np.nan) for values in draws]
    return [Interval(s, *e, float(q)) for s, e, q in zip(whole, found, p, strict=True)]


def holm(p: Sequence[float]) -> Scores:
    """Correct p-values for their number.

    Parameters
    ----------
    p : sequence of float
        Not corrected.

    Returns
    -------
    float64 array
        In the same order: each times the number of those that are not smaller, at least as large as any before it,
        and at most 1.
    """
    values = np.asarray(p, np.float64)
    order = np.argsort(values, kind="stable")
    scaled = np.minimum(values[order] * np.arange(len(values), 0, -1), 1)
    corrected = np.empty(len(values))
    corrected[order] = np.maximum.accumulate(scaled)
    return corrected


def _swaps(n: int, seed: int) -> Scores:
    """Return in which units two contestants are swapped, (n_ways, n): all ways, or where these are many, a sample."""
    if n <= EXACT:
        return ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(np.float64)
    drawn = np.random.default_rng(seed).integers(0, 2, (2**EXACT, n)).astype(np.float64)
    drawn[0] = 0  # as it is: one way of all, so that no p is 0
    return drawn


def _swapped(best: Scores, other: Scores, swaps: Scores, problem: Problem, metric: Metric) -> float:
    """Return the share of swaps that make the difference of the scores as large as it is."""
    change = np.tensordot(swaps, other - best, axes=1)
    first = score_of(best.sum(axis=0) + change, problem, metric)
    second = score_of(other.sum(axis=0) - change, problem, metric)
    differences = np.nan_to_num(np.abs(first - second))
    return float(np.mean(differences >= differences[0] - ROUNDING))
