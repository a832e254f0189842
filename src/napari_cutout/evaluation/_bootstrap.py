"""How far scores would move on other images: the bootstrap."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVEL", "N_DRAWS", "ends", "times_drawn"]

Scores = NDArray[np.float64]

LEVEL = 0.95
"""Of an interval."""

N_DRAWS = 2000
"""Draws of a bootstrap. With so many the ends of a 95 % interval move by less than a tenth of its width."""


def times_drawn(strata: NDArray[np.int64], seed: int) -> Scores:
    """Return how often each unit is drawn, with replacement.

    Parameters
    ----------
    strata : int64 array of shape (n_units,)
        As many units of each number are drawn as there are.
    seed : int
        Of the draws.

    Returns
    -------
    float64 array of shape (N_DRAWS, n_units)
        Whole numbers.
    """
    rng = np.random.default_rng(seed)
    weights = np.zeros((N_DRAWS, len(strata)))
    for stratum in np.unique(strata):
        at = np.flatnonzero(strata == stratum)
        weights[:, at] = rng.multinomial(len(at), np.full(len(at), 1 / len(at)), size=N_DRAWS)
    return weights


def ends(values: Scores, level: float = LEVEL) -> tuple[float, float]:
    """Return the ends of the interval that holds a share of drawn scores; those that are not defined are left out.

    Parameters
    ----------
    values : float64 array of shape (n_draws,)
        The score of each draw.
    level : float
        The share, 0 to 1.

    Returns
    -------
    low, high : float
        Percentiles, linear between neighbours; NaN where no score is defined.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
