"""How far scores would move on other units, and which methods cannot be told apart: bootstrap and Holm's correction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..evaluation._bootstrap import ends, times_drawn
from ._tallies import Metric, Problem, score_of

__all__ = ["Interval", "holm", "intervals"]

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A score with what its units say about its precision.

    Parameters
    ----------
    score : float
        Of all units.
    low, high : float
        Percentiles of the bootstrap over units; NaN where there is one unit only.
    p : float
        Two-sided, that the best one is no better than this, by the same draws for both; corrected by Holm's method
        for the number of contestants. 1 for the best itself; NaN where it cannot be said.
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

    References
    ----------
    .. [1] S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6
       (1979) 65-70.
    """
    whole = [float(score_of(counts.sum(axis=0), problem, metric)) for counts in tallies]
    weights = times_drawn(strata, seed)
    draws = [score_of(np.tensordot(weights, counts, axes=1), problem, metric) for counts in tallies]
    ranked = [i for i in np.argsort([-s if s == s else np.inf for s in whole], kind="stable") if whole[i] == whole[i]]
    p = np.full(len(tallies), np.nan)
    if ranked and len(strata) > 1:
        best, *others = ranked
        p[others] = holm([_two_sided(draws[best] - draws[i]) for i in others])
        p[best] = 1.0
    found = [ends(values, level) if len(strata) > 1 else (np.nan, np.nan) for values in draws]
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


def _two_sided(differences: Scores) -> float:
    """Return twice the smaller tail; a draw is added to each, so that no p is 0."""
    known = differences[~np.isnan(differences)]
    tails = ((known <= 0).sum() + 1, (known >= 0).sum() + 1)
    return float(min(1.0, 2 * min(tails) / (len(known) + 1)))
