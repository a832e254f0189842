"""Conjugate gradients for several right sides at once, which stop on the estimated error of the solution."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace
from .._monitor import stage, tick

__all__ = ["AT_ONCE", "MOST", "NOWHERE", "Reached", "completed", "in_turns", "solve"]

MOST = 500
"""Iterations after which to stop."""

UNSEEN = 0.1
"""What the smallest eigenvalue is taken for before the first step."""

CAUTION = 0.75
"""What an eigenvalue of Lanczos' matrix is taken for: in few iterations it has not come down all the way."""

AT_ONCE = 2
"""Labels that are solved at the same time: each costs 20 bytes per voxel, and the weights are read once for all."""

RESTARTS = 10
"""How often to begin from the solution found so far: rounding may have led away from it."""


class Reached(NamedTuple):
    """How far an iteration came.

    Parameters
    ----------
    n_iterations : int
        Over all restarts.
    errors : float64 array
        The estimated largest error of each right side.
    """

    n_iterations: int
    errors: NDArray[np.float64]

    @property
    def error(self) -> float:
        """The largest error, or NaN if one is no number."""
        return float(self.errors.max(initial=0.0))

    def farther(self, other: Reached) -> Reached:
        """Return the more iterations, and all errors."""
        return Reached(max(self.n_iterations, other.n_iterations), np.concatenate([self.errors, other.errors]))


NOWHERE = Reached(0, np.zeros(0))
"""Where nothing was to be solved."""


def in_turns(
    grid: Any, n: int, begin: Callable[[range], Array], tolerance: float, of: str = ""
) -> Iterator[tuple[range, Array, Reached]]:
    """Solve for all of `n` labels but the last, a few at once; the last has what the others leave, see `completed`.

    Parameters
    ----------
    grid : Multigrid
        The Laplacian and what is near its inverse.
    n : int
        Labels.
    begin : callable
        From the numbers of labels to vectors of `grid` to begin with.
    tolerance : float
        The largest error at which to stop, of the last label, too: errors of the others add up in it, like those of
        chance, so each gets its share.
    of : str
        What is said of them while they are solved.

    Yields
    ------
    range, float32 array, Reached
        The numbers of labels, their vectors, and how far they came, in shares of the tolerance of all.
    """
    share = 1 / math.sqrt(max(n - 1, 1))
    for low in range(0, n - 1, AT_ONCE):
        some = range(low, min(low + AT_ONCE, n - 1))
        stage(f"solving labels {low + 1} to {some[-1] + 1} of {n - 1}{of}" if n - 1 > AT_ONCE else f"solving{of}")
        x = begin(some)
        reached = solve(grid, x, tolerance * share)
        yield some, x, Reached(reached.n_iterations, reached.errors / share)


def completed(values: Array) -> Array:
    """Return probabilities of shape (n, ...) whose last is what the others leave, and that sum up to 1."""
    xp = array_namespace(values)
    others = xp.clip(values[:-1, ...], 0.0, 1.0)
    total = xp.sum(others, axis=0, dtype=xp.float32)
    whole = xp.clip(total, 1.0, None)
    return xp.concat([others / whole, xp.clip(1 - total, 0.0, None)[None, ...]])


def solve(grid: Any, x: Array, tolerance: float) -> Reached:
    """Solve for the values of free voxels, from those that are fixed.

    Parameters
    ----------
    grid : Multigrid
        The Laplacian and what is near its inverse.
    x : float32 array
        Vectors of `grid`: values of fixed voxels, and a guess at the others. They become the solution.
    tolerance : float
        The largest error at which to stop.

    Returns
    -------
    Reached
        How far it came; an error above `tolerance` says that it stopped after `MOST` iterations.

    Notes
    -----
    If B is near the inverse of the Laplacian A, then B times the residual is near the error, and no farther from it
    than the smallest eigenvalue of B A says, which the iteration finds on the way: that of Lanczos' tridiagonal matrix.
    So the largest entry of B r, divided by it, estimates the largest error. A small residual says nothing: where weak
    edges surround voxels that hold together, it is small whatever their value.
    """
    run = _Iteration(grid, x, tolerance)
    for _ in range(RESTARTS):
        run.begin()
        while run.n < MOST and run.active.any():
            run.step()
        if run.n >= MOST or not run.begin_again():
            break
    return Reached(run.n, run.errors)


class _Iteration:
    """The vectors and numbers of an iteration; those of labels that are solved are left alone."""

    def __init__(self, grid: Any, x: Array, tolerance: float) -> None:
        self.grid, self.x, self.tolerance = grid, x, tolerance
        self.r, self.p, self.q = (grid.like(x) for _ in range(3))
        self.spaces = grid.spaces(x.shape[0])
        self.active = np.ones(x.shape[0], np.uint8)
        self.errors = np.full(x.shape[0], np.inf)
        self.lanczos = [_Lanczos() for _ in self.active]
        self.first = math.inf
        self.n = 0

    def begin(self) -> None:
        """Set the residual to that of the solution so far, and the direction to the first."""
        grid, active = self.grid, self.active
        grid.residual(self.x, self.r, active)
        self.product, largest = grid.precondition(self.r, self.q, self.spaces, active)
        grid.turn(self.p, self.q, np.zeros(len(active), np.float32), active)
        for matrix in self.lanczos:
            matrix.restart()
        self._judge(largest)

    def begin_again(self) -> bool:
        """Tell whether the true residual still asks for more, which it does where rounding has added up."""
        self.active[:] = 1
        self.grid.residual(self.x, self.r, self.active)
        _, largest = self.grid.precondition(self.r, self.q, self.spaces, self.active)
        self._judge(largest)
        return bool(self.active.any())

    def step(self) -> None:
        grid, active = self.grid, self.active
        energy = grid.apply(self.p, self.q, active)
        steps = _ratio(self.product, energy)
        grid.advance(self.x, self.p, self.r, self.q, steps.astype(np.float32), active)
        product, largest = grid.precondition(self.r, self.q, self.spaces, active)
        shares = _ratio(product, self.product)
        for k in np.flatnonzero(active):
            self.lanczos[k].add(steps[k], shares[k])
        self.product = product
        self.n += 1
        self._judge(largest)
        grid.turn(self.p, self.q, shares.astype(np.float32), self.active)

    def _judge(self, largest: NDArray[Any]) -> None:
        """Estimate the errors, and leave alone what is within the tolerance."""
        for k in np.flatnonzero(self.active):
            self.errors[k] = float(largest[k]) / self.lanczos[k].smallest()
        self.active &= self.errors > self.tolerance
        self._tick()

    def _tick(self) -> None:
        """Report progress: the error falls by about the same factor in every iteration."""
        error = float(self.errors.max(initial=0.0))
        if math.isnan(error):
            return
        if not math.isfinite(self.first):
            self.first = max(error, self.tolerance)
        whole = math.log(self.first / self.tolerance) + 1e-9
        left = math.log(max(error, self.tolerance) / self.tolerance)
        tick(round(100 * min(max(1 - left / whole, 0.0), 1.0)), 100)


def _ratio(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide, with 0 for what has nothing left to do."""
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)


class _Lanczos:
    """The tridiagonal matrix of an iteration, for its smallest eigenvalue."""

    def __init__(self) -> None:
        self.least = math.inf
        self.restart()

    def restart(self) -> None:
        """Begin a new matrix; the eigenvalue of the one before is not forgotten."""
        self.diagonal: list[float] = []
        self.beside: list[float] = []
        self.carried = 0.0

    def add(self, step: float, share: float) -> None:
        if step > 0:
            self.diagonal.append(1 / step + self.carried)
            self.carried = share / step
            self.beside.append(math.sqrt(share) / step)

    def smallest(self) -> float:
        from scipy.linalg import eigvalsh_tridiagonal

        if self.diagonal:
            found = eigvalsh_tridiagonal(self.diagonal, self.beside[:-1], select="i", select_range=(0, 0))
            self.least = min(self.least, max(float(found[0]), 1e-6), 1.0)
        return CAUTION * self.least if math.isfinite(self.least) else UNSEEN
