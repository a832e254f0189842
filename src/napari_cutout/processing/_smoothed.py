"""A channel that is smoothed at one scale, and the features of it."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from .._array import Array, array_namespace
from ._eigenvalues import symmetric_eigenvalues
from .filters import all_finite, along, central_difference, length, mirrored, per_axis, weighted_means, working_dtype

QUIET = np.errstate(over="ignore", invalid="ignore")


class Smoothed:
    """A method for each feature, named as it, that returns its columns; what several need is made once.

    Parameters
    ----------
    levels : float array
        One channel.
    weights : list of list of float
        Those of the Gaussian along each axis.
    scale : float
        Its standard deviation, in edges of the smallest voxel.
    edges : tuple of int
        Edges of a voxel in 1/1024 of the smallest one.
    """

    def __init__(self, levels: Array, weights: list[list[float]], scale: float, edges: tuple[int, ...]) -> None:
        self.levels, self.weights, self.scale = _finite_or_nan(levels), weights, scale
        self.axes = range(levels.ndim)
        self.inverse_edges = per_axis(1.0, edges, levels.ndim)
        self.smooth = self._means(self.levels)
        self.finite = all_finite(self.smooth)

    def gaussian(self) -> list[Array]:
        return [self.smooth]

    def gradient(self) -> list[Array]:
        return [length(self.slopes)]

    @QUIET
    def laplacian(self) -> list[Array]:
        total = self._bend(0)
        for axis in self.axes[1:]:
            total = total + self._bend(axis)
        return [total]

    @QUIET
    def hessian(self) -> list[Array]:
        """Multiply second derivatives by the square of the scale, so that grey levels at all scales compare."""
        square = self.scale * self.scale
        entries = []
        for a in self.axes:
            entries.append(self._bend(a) * square)
            for b in self.axes[a + 1 :]:
                entries.append(self._slope(self.slopes[b], a) * square)
        return symmetric_eigenvalues(entries)

    @QUIET
    def structure(self) -> list[Array]:
        """Average the products of slopes with the same Gaussian once more."""
        slopes = self.slopes
        entries = [self._means(slopes[a] * slopes[b]) for a in self.axes for b in self.axes[a:]]
        return symmetric_eigenvalues(entries)

    @QUIET
    def variance(self) -> list[Array]:
        """Average squared deviations from the Gaussian: the difference of two averages would lose all digits."""
        off = self.levels - self.smooth
        return [self._means(off * off)]

    @cached_property
    def slopes(self) -> list[Array]:
        """Central differences along every axis, in grey levels per edge of the smallest voxel."""
        return [self._slope(self.smooth, axis) for axis in self.axes]

    def _slope(self, levels: Array, axis: int) -> Array:
        return central_difference(levels, axis, self.inverse_edges[axis] / 2, finite=self.finite)

    def _bend(self, axis: int) -> Array:
        """Return second differences; a neighbour that is NaN counts as equal."""
        here, n = self.smooth, self.smooth.shape[axis]
        wide, xp = mirrored(here, 1, axis), array_namespace(here)
        sides = along(wide, axis, 0, n), along(wide, axis, 2, n + 2)
        before, after = sides if self.finite else (xp.where(xp.isnan(side), here, side) for side in sides)
        return ((after - here) - (here - before)) * (self.inverse_edges[axis] * self.inverse_edges[axis])

    def _means(self, levels: Array) -> Array:
        return weighted_means(levels, self.weights, working_dtype(levels))


def _finite_or_nan(levels: Array) -> Array:
    """Return NaN for infinite grey levels, which have no mean with their neighbours."""
    if all_finite(levels):
        return levels
    xp = array_namespace(levels)
    return xp.where(xp.isfinite(levels), levels, xp.full_like(levels, xp.nan))
