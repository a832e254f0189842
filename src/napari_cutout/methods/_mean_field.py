"""Spatial regularisation of posterior probabilities: neighbours that agree count as evidence.

The mean-field approximation of a Potts model: every voxel holds probabilities of all components, and the mean of its
neighbours' probabilities, times a strength, is added to its log-densities, all voxels at once, a fixed number of times.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, is_host
from .._compiled import compiled
from ..processing.filters import along
from ._mixture import posteriors

N_ITERATIONS = 10
"""How often probabilities are passed to neighbours, and so how many voxels they can travel."""


def mean_field(log_weights: Sequence[Array], known: Array | None, strength: float, edges: Sequence[int]) -> list[Array]:
    """Return posterior probabilities that neighbours have influenced.

    Parameters
    ----------
    log_weights : sequence of float64 array of one shape
        The logarithm of each component's weighted density.
    known : bool array, optional
        Voxels that have an opinion; others do not influence their neighbours.
    strength : float
        What is added to the log-density of a component if all neighbours are sure of it.
    edges : sequence of int
        Edges of a voxel; neighbours along a long edge count for less.

    Returns
    -------
    list of float64 array
        They sum up to 1. The edge of the arrays is the edge of the image: nothing lies beyond.

    References
    ----------
    .. [1] G. Celeux, F. Forbes and N. Peyrard, "EM procedures using mean field-like approximations for Markov
       model-based image segmentation", Pattern Recognit. 36 (2003) 131-144. DOI:10.1016/S0031-3203(02)00027-4
    """
    shares, _ = posteriors(log_weights)
    if not strength:
        return shares
    nearness = [min(edges) / edge for edge in edges]
    factors = [strength * near / (2 * sum(nearness)) for near in nearness]
    for _ in range(N_ITERATIONS):
        moved = [
            log_weight + _from_neighbours(share if known is None else _where(known, share), factors)
            for log_weight, share in zip(log_weights, shares, strict=True)
        ]
        shares, _ = posteriors(moved)
    return shares


def _where(known: Array, share: Array) -> Array:
    xp = array_namespace(share)
    return xp.where(known, share, xp.zeros_like(share))


def _from_neighbours(share: Array, factors: Sequence[float]) -> Array:
    """Add up the probabilities of the two neighbours along every axis, each times the factor of the axis."""
    xp = array_namespace(share)
    if is_host(share):
        total = np.empty(share.shape)
        _add_neighbours(_in_3d(share), np.asarray((0.0,) * (3 - share.ndim) + tuple(factors)), _in_3d(total))
        return total
    total = xp.zeros_like(share)
    for axis, factor in enumerate(factors):
        n = share.shape[axis]
        if n == 1:
            continue
        nothing = xp.zeros_like(along(share, axis, 0, 1))
        before = xp.concat([nothing, along(share, axis, 0, n - 1)], axis=axis)
        after = xp.concat([along(share, axis, 1, n), nothing], axis=axis)
        total = total + (before + after) * factor
    return total


def _in_3d(array: NDArray[np.float64]) -> NDArray[np.float64]:
    return array.reshape((1,) * (3 - array.ndim) + array.shape)


@compiled
def _add_neighbours(share: NDArray[np.float64], factors: NDArray[np.float64], total: NDArray[np.float64]) -> None:
    """Do what the array-namespace lines of `_from_neighbours` do; an axis of length 1 adds 0."""
    nz, ny, nx = share.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                above = share[z - 1, y, x] if z > 0 else 0.0
                below = share[z + 1, y, x] if z < nz - 1 else 0.0
                found = (above + below) * factors[0]
                above = share[z, y - 1, x] if y > 0 else 0.0
                below = share[z, y + 1, x] if y < ny - 1 else 0.0
                found += (above + below) * factors[1]
                above = share[z, y, x - 1] if x > 0 else 0.0
                below = share[z, y, x + 1] if x < nx - 1 else 0.0
                total[z, y, x] = found + (above + below) * factors[2]
