"""Spatial regularisation of posterior probabilities: neighbours that agree count as evidence.

The mean-field approximation of a Potts model: every voxel holds probabilities of all components, and the mean of its
neighbours' probabilities, times a strength, is added to its log-densities, all voxels at once, a fixed number of times.
"""

from __future__ import annotations

from collections.abc import Sequence

from .._array import Array, array_namespace
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
    .. [1] G. Celeux, F. Forbes and N. Peyrard, Pattern Recognit. 36 (2003) 131-144.
       DOI:10.1016/S0031-3203(02)00027-4
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
