"""The smallest eigenvalues of a group of regions, and their eigenvectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._monitor import quiet, tick
from ._likeness import Floats, Group

DENSE = 96
"""Regions up to which a dense solver is faster than to factorise a sparse matrix."""

SHARE = 4
"""Part of all eigenvectors, one in so many, beyond which a dense solver is faster."""

MOST_BYTES = 1 << 33
"""What a solver may take: a dense one holds three matrices of all regions, a sparse one two columns for each vector."""

SHIFT = 1e-8
"""What is added to the Laplacian so that it can be inverted: far below every cut that a threshold lets through."""

TOLERANCE = 1e-8
"""Relative error of the eigenvalues of that inverse."""

MAX_ITERATIONS = 1000
"""Restarts of the sparse solver."""

RESIDUAL = 1e-5
"""Largest error of an eigenvector that is taken, beside a matrix whose eigenvalues lie between 0 and 2."""


def smallest(group: Group, n: int, *, without_first: bool = False) -> tuple[Floats, Floats]:
    """Return the n smallest eigenvalues of ``(D - W) y = lambda D y``, and their vectors.

    Parameters
    ----------
    group : Group
        Regions that hang together.
    n : int
        How many; the first eigenvalue is 0, and its vector even.
    without_first : bool
        Whether that is left out, which it is by construction and not by its value: in a group that hardly hangs
        together others are as small.

    Returns
    -------
    values : float64 array of shape (n,)
        Rising, from 0 to 2.
    vectors : float64 array of shape (n_regions, n)
        One in each column.

    Raises
    ------
    ValueError
        If so many would take more than `MOST_BYTES`.
    RuntimeError
        If they are not found.
    """
    is_dense = len(group) <= max(DENSE, SHARE * n)
    if (needed := 24 * len(group) ** 2 if is_dense else 16 * len(group) * n) > MOST_BYTES:
        raise ValueError(
            f"{n:,} regions out of {len(group):,} that hang together need {needed >> 30:,} GB, and a normalized cut "
            f"may take {MOST_BYTES >> 30:,}; ask for fewer regions, or join some first (`merge_regions`)"
        )
    solve = _dense if is_dense else _sparse
    values, vectors = solve(group, n, group.even() if without_first else None)
    return values, vectors / np.sqrt(group.degrees)[:, None]


def _dense(group: Group, n: int, without: Floats | None = None) -> tuple[Floats, Floats]:
    """Return the n smallest eigenvalues and eigenvectors of the Laplacian, of those at right angles to one."""
    from scipy.linalg import eigh

    matrix = group.laplacian().toarray()
    if without is not None:
        matrix += 2.0 * np.outer(without, without)  # moves it above all others
    values, vectors = eigh(matrix, subset_by_index=[0, n - 1])
    return values, vectors


def _sparse(group: Group, n: int, without: Floats | None = None) -> tuple[Floats, Floats]:
    """Return the n smallest eigenvalues and eigenvectors of the Laplacian, of those at right angles to one."""
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    laplacian, size = group.laplacian(), len(group)
    project = _projection(without)
    solve = _solver(laplacian)

    def inverted(x: Floats) -> Floats:
        tick(0, 1)
        return project(solve(project(x.ravel())))

    inverse = LinearOperator((size, size), matvec=inverted, dtype=np.float64)
    start = project(np.random.default_rng(0).random(size))  # the same for everyone, and along no axis of symmetry
    try:
        with quiet():  # it can be cancelled, but nobody knows how far it is
            values, vectors = eigsh(inverse, k=n, which="LA", v0=start, tol=TOLERANCE, maxiter=MAX_ITERATIONS)
    except ArpackNoConvergence:
        raise _not_found(size, n) from None
    order = np.argsort(-values, kind="stable")
    values, vectors = 1.0 / values[order] - SHIFT, vectors[:, order]
    if np.abs(laplacian @ vectors - vectors * values).max() > RESIDUAL:
        raise _not_found(size, n)
    return values, vectors


def _projection(without: Floats | None) -> Callable[[Floats], Floats]:
    """Return what takes the share of one vector out of another; nothing if there is none."""
    if without is None:
        return lambda x: x
    return lambda x: x - without * (without @ x)


def _solver(laplacian: Any) -> Callable[[Floats], Floats]:
    """Return what solves the Laplacian, moved by `SHIFT` so that it has an inverse."""
    from scipy.sparse import eye_array
    from scipy.sparse.linalg import splu

    moved = (laplacian + SHIFT * eye_array(laplacian.shape[0])).tocsc()
    found = splu(moved, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    solve: Callable[[Floats], Floats] = found.solve
    return solve


def _not_found(n_regions: int, n: int) -> RuntimeError:
    return RuntimeError(
        f"the {n} smallest eigenvectors of {n_regions:,} regions were not found in {MAX_ITERATIONS} "
        f"iterations, so there is no normalized cut; join regions first (`merge_regions`), or give another contrast"
    )
