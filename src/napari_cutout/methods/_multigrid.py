"""The Laplacian of a weighted lattice, and multigrid on it, on the host.

`_aggregates` merges voxels to nodes of coarser levels, and `_levels` goes through those.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arithmetic import POWERS
from .._monitor import tick
from . import _lattice_loops as loops
from ._aggregates import LEAST_SHRINKAGE, PASSES, ROUNDS, Lattice, coarser
from ._levels import COARSEST, LAST_SWEEPS, Aggregation, Floats, Graph, Ints, Levels, Spaces, over

__all__ = [
    "COARSEST",
    "LAST_SWEEPS",
    "LEAST_SHRINKAGE",
    "PASSES",
    "ROUNDS",
    "Aggregation",
    "Floats",
    "Graph",
    "Ints",
    "Lattice",
    "Multigrid",
    "coarser",
    "lattice_of",
    "over",
]


def lattice_of(
    channels: Iterator[Floats],
    shape: tuple[int, int, int],
    shares: Sequence[float],
    blocked: NDArray[np.bool_],
    free: NDArray[np.bool_],
) -> Lattice:
    """Return the lattice of an image.

    Parameters
    ----------
    channels : iterator of float32 array
        Grey levels of one channel after another, scaled so that their squared differences are exponents.
    shape : tuple of int
        Planes, rows and columns; the last axis is contiguous.
    shares : sequence of float
        What squared differences along each axis are multiplied by.
    blocked : bool array
        Voxels that no edge leads to.
    free : bool array
        Voxels whose values are sought.
    """
    plane, row = shape[1] * shape[2], shape[2]
    size = math.prod(shape) + 2 * plane
    steps, edges = (plane, row, 1), (np.zeros(size, np.float32), np.zeros(size, np.float32), np.zeros(size, np.float32))
    for values in channels:
        tick(0, 1)  # a run that is cancelled need not wait for the solution
        padded = _padded(values, plane)
        for edge, step, share in zip(edges, steps, shares, strict=True):
            over(shape[0], loops.add_squares, padded, edge, step, np.float32(share), plane, weight=plane)
    outside = _padded(blocked, plane).view(np.uint8)
    for axis, edge in enumerate(edges):
        tick(axis, len(edges))
        over(shape[0], loops.exponential_weights, edge, outside, axis, *shape[1:], POWERS, shape[0], weight=plane)
    inverse = np.zeros_like(edges[0])
    unknown = _padded(free, plane).view(np.uint8)
    over(shape[0], loops.invert_degrees, *edges, unknown, inverse, row, plane, weight=plane)
    return Lattice(shape, edges, inverse)


def _padded(values: NDArray[Any], plane: int) -> NDArray[Any]:
    """Return values in one row, between two planes of zeros."""
    padded = np.zeros(values.size + 2 * plane, values.dtype)
    padded[plane:-plane] = values.ravel()
    return padded


class Multigrid:
    """All levels of a lattice, and the linear map near the inverse of its Laplacian that they make.

    Parameters
    ----------
    lattice : Lattice
        The finest level.
    """

    def __init__(self, lattice: Lattice) -> None:
        self.lattice = lattice
        self.levels = Levels()
        level: Lattice | Graph = lattice
        places: Ints | None = None
        done = 0
        while level.n > COARSEST or not done:
            merged, graph, places = coarser(level, places, lattice.shape, done)
            if graph.n >= LEAST_SHRINKAGE * level.n and done:
                break
            self.levels.add(graph, merged)
            level, done = graph, done + PASSES

    def vectors(self, values: Sequence[NDArray[Any]]) -> Floats:
        """Return the values of each label at the voxels of the image as vectors for the other methods."""
        plane = self.lattice.plane
        vectors = np.zeros((len(values), self.lattice.n + 2 * plane), np.float32)
        for vector, given in zip(vectors, values, strict=True):
            vector[plane:-plane] = given.ravel()
        return vectors

    def values(self, vectors: Floats) -> Floats:
        """Return vectors as values of shape (labels, voxels)."""
        return vectors[:, self.lattice.plane : -self.lattice.plane]

    def like(self, vectors: Floats) -> Floats:
        """Return vectors of zeros."""
        return np.zeros_like(vectors)

    def residual(self, x: Floats, r: Floats, active: NDArray[np.uint8]) -> None:
        """Write what flows into every free voxel, which is 0 for the solution."""
        self._apply(x, r, -1, active)

    def apply(self, p: Floats, q: Floats, active: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Write the Laplacian times p; return p times it."""
        return self._apply(p, q, 1, active)

    def _apply(self, p: Floats, q: Floats, sign: int, active: NDArray[np.uint8]) -> NDArray[np.float64]:
        partial = np.zeros((len(p), self.lattice.shape[0]))
        self._over_planes(
            loops.apply_laplacian, *self.lattice.cells, p, q, np.float32(sign), active, partial, self._row
        )
        return np.asarray(partial.sum(axis=1))

    def advance(self, x: Floats, p: Floats, r: Floats, q: Floats, steps: Floats, active: NDArray[np.uint8]) -> None:
        """Go a step along p in x, and along -q in r."""
        self._over_planes(loops.advance, x, p, r, q, steps, active)

    def turn(self, p: Floats, z: Floats, shares: Floats, active: NDArray[np.uint8]) -> None:
        """Set p to z plus a share of p."""
        self._over_planes(loops.turn, p, z, shares, active)

    def precondition(
        self, r: Floats, out: Floats, spaces: list[Spaces], active: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float64], Floats]:
        """Write what is near the inverse of the Laplacian, times r; return r times it, and its largest magnitude."""
        n, row = self.lattice.shape[0], self._row
        partial, largest = np.zeros((len(r), n)), np.zeros((len(r), n), np.int32)
        self._over_planes(loops.residual_after_smoothing, *self.lattice.cells, r, out, active, row)
        place, coarse = self.levels.correction(0, out, self.lattice.plane, spaces, active)
        self._over_planes(loops.correct, *self.lattice.cells, r, place, coarse, out, active, partial, largest, row)
        return partial.sum(axis=1), largest.max(axis=1).view(np.float32)

    def spaces(self, n_labels: int) -> list[Spaces]:
        """Return what a cycle for so many labels writes to on its way."""
        return self.levels.spaces(n_labels)

    @property
    def _row(self) -> int:
        return self.lattice.shape[2]

    def _over_planes(self, loop: Callable[..., None], *arguments: Any) -> None:
        plane = self.lattice.plane
        over(self.lattice.shape[0], loop, *arguments, plane, weight=plane)
