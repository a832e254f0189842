"""Normalized cuts into many groups at once: as many eigenvectors, and the groups that come closest to them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._monitor import stage
from ._likeness import Floats, Group, Ints
from ._spectrum import smallest
from ._two_way import SAME, best_cut, low_vectors

MAX_ROTATIONS = 100
"""Rounds in which groups are made of vectors; about ten are needed."""


def cut_at_once(regions: Group, n_groups: int) -> Ints:
    """Cut regions into so many groups by as many eigenvectors.

    Parameters
    ----------
    regions : Group
        All of them.
    n_groups : int
        How many groups, fewer than regions. There are no fewer than parts that do not hang together.

    Returns
    -------
    int64 array of shape (n,)
        The group of each region, from 0; every group hangs together.

    Raises
    ------
    RuntimeError
        If the eigenvectors are not found.
    """
    stage("cutting the graph")
    parts = [*regions.parts()]
    spare = max(n_groups - len(parts), 0)
    spectra = [_spectrum(part, min(spare + 1, len(part))) for part in parts]
    found, n_found = np.zeros(len(regions), np.int64), 0
    for part, (_, vectors), n in zip(parts, spectra, _shares([values for values, _ in spectra], spare), strict=True):
        numbers = _mended(part, discrete(vectors[:, :n]), n) if n < len(part) else np.arange(n)
        found[part.members] = n_found + numbers
        n_found += n
    return found


def _spectrum(group: Group, n: int) -> tuple[Floats, Floats]:
    """Return the n smallest eigenvalues of a group and their vectors; of one, nothing needs to be solved."""
    return (np.zeros(1), np.ones((len(group), 1))) if n == 1 else smallest(group, n)


def _shares(spectra: list[Floats], spare: int) -> list[int]:
    """Return the number of groups of each part: the smallest of all eigenvalues are taken, the first of each always.

    The eigenvalues of the whole graph are those of its parts, and so are the eigenvectors.
    """
    rest = np.concatenate([values[1:] for values in spectra])
    of = np.repeat(np.arange(len(spectra)), [len(values) - 1 for values in spectra])
    chosen = np.argsort(np.round(rest / SAME), kind="stable")[:spare]
    return [int(n) + 1 for n in np.bincount(of[chosen], minlength=len(spectra))]


def discrete(vectors: Floats) -> Ints:
    """Return the groups that eigenvectors come closest to, whatever their signs and their order.

    The rotation begins with the rows that point apart most (Damle, Minden and Ying 2019), and then takes turns with the
    groups (Yu and Shi 2003), until the two agree.

    Parameters
    ----------
    vectors : float64 array of shape (n, n_groups)
        Generalised eigenvectors.

    Returns
    -------
    int64 array of shape (n,)
        From 0 to at most n_groups - 1.
    """
    from scipy.linalg import qr

    rows = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    n_groups = rows.shape[1]
    apart = qr(rows.T, mode="economic", pivoting=True)[2][:n_groups]
    rotation, before = _nearest_rotation(rows[apart].T)[0], 0.0
    for _ in range(MAX_ROTATIONS):
        groups: Ints = np.argmax(rows @ rotation, axis=1)
        sums = np.zeros((n_groups, n_groups))
        np.add.at(sums, groups, rows)
        rotation, agreement = _nearest_rotation(sums.T)
        if agreement <= before * (1 + SAME):
            break
        before = agreement
    return groups


def _nearest_rotation(matrix: Floats) -> tuple[Floats, float]:
    """Return the orthogonal matrix closest to one, and the sum of its singular values."""
    left, singular, right = np.linalg.svd(matrix)
    return left @ right, float(singular.sum())


def _mended(group: Group, numbers: Ints, n: int) -> Ints:
    """Return groups that hang together, and n of them.

    A group in several pieces becomes several; groups that are missing come of cutting that whose normalized cut is
    smallest; and while there are too many, the least joins the one that it is most alike.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    pairs = group.alike.tocoo()
    inside = numbers[pairs.row] == numbers[pairs.col]
    kept = csr_array((pairs.data[inside], (pairs.row[inside], pairs.col[inside])), shape=group.alike.shape)
    found: Ints = connected_components(kept, directed=False)[1].astype(np.int64)
    found = _more(group, found, n)
    while found.max() + 1 > n:
        found = _one_less(group, found)
    return found


def _more(group: Group, numbers: Ints, n: int) -> Ints:
    """Cut the group whose normalized cut is smallest, until there are n; none is solved twice."""
    found, n_found, cuts = numbers.copy(), int(numbers.max()) + 1, dict[int, tuple[Any, float]]()
    unknown = list(range(n_found))
    while n_found < n:
        for at in unknown:
            piece = group.part(np.flatnonzero(found == at))
            if len(piece) > 1:
                cuts[at] = best_cut(piece, low_vectors(piece, np.inf, 1)[0])
        at = min(cuts, key=lambda at: (cuts[at][1], at))
        first, _ = cuts.pop(at)
        found[np.flatnonzero(found == at)[first]] = n_found
        unknown, n_found = [at, n_found], n_found + 1
    return found


def _one_less(group: Group, numbers: Ints) -> Ints:
    """Let the group that has the least similarity with all join the one that it is most alike."""
    least = int(np.argmin(np.bincount(numbers, group.degrees)))
    across = np.asarray(group.alike[numbers == least].sum(axis=0)).ravel()
    alike = np.bincount(numbers, across)
    alike[least] = -1.0
    found = np.where(numbers == least, int(np.argmax(alike)), numbers)
    return np.asarray(found - (found > least))
