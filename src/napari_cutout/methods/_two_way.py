"""Normalized cuts in two, again and again (Shi and Malik 2000)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._monitor import stage, tick
from ._likeness import Floats, Group, Ints
from ._spectrum import smallest

N_VECTORS = 16
"""Vectors that are found together, and cut by one after the other."""

SAME = 1e-9
"""Relative difference up to which entries of a vector, or cuts, are the same but for rounding."""


def cut_again_and_again(regions: Group, threshold: float) -> Ints:
    """Cut regions in two, and what comes out, as long as the normalized cut is below a threshold.

    Parameters
    ----------
    regions : Group
        All of them.
    threshold : float
        The normalized cut, 0 to 2, that is too large.

    Returns
    -------
    int64 array of shape (n,)
        The group of each region, from 0; parts that do not hang together are never one group.

    Raises
    ------
    RuntimeError
        If an eigenvector is not found.
    """
    stage("cutting the graph")
    found, n_done, n_groups = np.zeros(len(regions), np.int64), 0, 0
    waiting = [*regions.parts()]
    while waiting:
        tick(n_done, len(regions))
        group = waiting.pop()
        pieces = _pieces(group, threshold)
        if len(pieces) > 1:
            waiting += pieces
            continue
        found[group.members] = n_groups
        n_groups, n_done = n_groups + 1, n_done + len(group)
    return found


def _pieces(group: Group, threshold: float) -> list[Group]:
    """Return what a group falls into: cut by its second vector, and what comes out by the next ones as well.

    To go on with the vectors that were found together is far less work than to find the second one of every piece, and
    every cut is judged by the similarities inside the piece that it cuts.
    """
    pieces = [group]
    for y in low_vectors(group, threshold):
        pieces = [half for piece in pieces for half in _halves(piece, y[_places(piece, group)], threshold)]
    return pieces


def _places(piece: Group, group: Group) -> Ints:
    """Return where the regions of a piece are in the group that it is of."""
    return np.asarray(np.searchsorted(group.members, piece.members))


def _halves(group: Group, y: Floats, threshold: float) -> list[Group]:
    """Return what a vector cuts a group into: itself, if its normalized cut is not below the threshold."""
    if len(group) == 1:
        return [group]
    first, value = best_cut(group, y)
    if value >= threshold:
        return [group]
    return [part for side in (first, ~first) for part in group.part(np.flatnonzero(side)).parts()]


def low_vectors(group: Group, most: float, n: int = N_VECTORS) -> list[Floats]:
    """Return the generalised eigenvectors, ``(D - W) y = lambda D y``, after the first and up to an eigenvalue.

    No normalized cut of the group is less than the second eigenvalue, so there is none without a vector. The first
    of the largest entries of each is positive.

    Parameters
    ----------
    group : Group
        Regions that hang together.
    most : float
        The eigenvalue that is too large.
    n : int
        How many vectors at most.

    Returns
    -------
    list of float64 array of shape (n,)
        By rising eigenvalue.
    """
    n = min(n, len(group) - 1)
    if n == 0:
        return []
    values, vectors = smallest(group, n, without_first=True)
    return [_turned(y) for y in vectors[:, values < most].T]


def _turned(y: Floats) -> Floats:
    """Return a vector with the sign by which the first of its largest entries is positive."""
    size = np.abs(y)
    return np.asarray(y * np.sign(y[np.argmax(size >= size.max() * (1 - SAME))]))


def best_cut(group: Group, y: Floats) -> tuple[NDArray[np.bool_], float]:
    """Cut a vector where the normalized cut is smallest; of equal ones the first from below.

    Parameters
    ----------
    group : Group
        At least two regions.
    y : float64 array of shape (n,)
        An entry for each region; entries that are the same but for rounding stay together.

    Returns
    -------
    first : bool array of shape (n,)
        Which regions lie below.
    value : float
        The normalized cut; infinite if all entries are the same.
    """
    n = len(group)
    order = np.argsort(y, kind="stable")
    rank = np.empty(n, np.int64)
    rank[order] = np.arange(n)
    pairs = group.alike.tocoo()
    upward = rank[pairs.row] < rank[pairs.col]  # each pair once, from below
    w, low, high = pairs.data[upward], rank[pairs.row[upward]], rank[pairs.col[upward]]
    across = np.cumsum(np.bincount(low, w, n) - np.bincount(high, w, n))[:-1].clip(0)
    below = np.cumsum(group.degrees[order])[:-1]
    values = across / below + across / (group.degrees.sum() - below)
    rising = y[order]
    values[np.diff(rising) <= SAME * (rising[-1] - rising[0])] = np.inf
    at = int(np.argmax(values <= values.min() * (1 + SAME)))
    return rank <= at, float(values[at])
