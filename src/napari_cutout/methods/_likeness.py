"""How alike neighbouring regions are, and groups of regions that hang together by it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._regions import RegionGraph

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST = 1e-9
"""Similarity below which two neighbours do not hang together: an eigenvector could not tell it from none."""

ROUNDING = 1e-12
"""Difference of two means, beside the largest of all, that is none but for rounding."""


def differences_of(graph: RegionGraph) -> tuple[Floats, float]:
    """Return how far the means of neighbours are apart, in units of the largest mean, and that unit.

    Parameters
    ----------
    graph : RegionGraph
        At least one region.

    Returns
    -------
    differences : float64 array of shape (n_pairs,)
        Euclidean distances over all channels; 0 where they are no more than rounding.
    unit : float
        In grey levels.
    """
    unit = float(np.abs(graph.means).max()) or 1.0
    means = graph.means / unit
    differences = np.linalg.norm(means[graph.pairs[:, 0]] - means[graph.pairs[:, 1]], axis=1)
    return np.where(differences <= ROUNDING, 0.0, differences), unit


def usual_contrast(differences: Floats) -> float:
    """Return the contrast that is taken where none is given.

    The median of neighbours that differ, which a few bright regions do not move; or the mean of all, where that is
    less: then most neighbours are equal, and those that differ are the boundaries.

    Parameters
    ----------
    differences : float64 array of shape (n_pairs,)
        How far the means of neighbours are apart.

    Returns
    -------
    float
        0 if no neighbours differ, or there are none.
    """
    unlike = differences[differences > 0]
    return float(min(np.median(unlike), differences.mean())) if unlike.size else 0.0


def similarities(differences: Floats, contrast: float) -> Floats:
    """Return how alike neighbours are, from 0 to 1; with a contrast of 0 only those that are equal are alike at all."""
    if contrast == 0:
        return np.asarray(differences == 0, np.float64)
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.exp(-((differences / contrast) ** 2)))


@dataclass(frozen=True, slots=True)
class Group:
    """Regions that hang together, and how alike they are.

    Parameters
    ----------
    members : int64 array of shape (n,)
        Which regions, ascending.
    alike : csr_array of shape (n, n)
        Similarities of different regions, symmetric; that of each with itself, 1, is left out.
    degrees : float64 array of shape (n,)
        Similarity of each region with all of the group, itself included.
    """

    members: Ints
    alike: Any
    degrees: Floats

    @classmethod
    def of(cls, members: Ints, alike: Any) -> Group:
        """Return the group of regions that are alike like this."""
        return cls(members, alike, 1.0 + np.asarray(alike.sum(axis=1), np.float64).ravel())

    def __len__(self) -> int:
        return len(self.members)

    def part(self, which: Ints) -> Group:
        """Return the regions at these places by themselves."""
        return Group.of(self.members[which], self.alike[which][:, which])

    def parts(self) -> Iterator[Group]:
        """Yield the parts that do not hang together, in the order of their first regions."""
        from scipy.sparse.csgraph import connected_components

        n_parts, numbers = connected_components(self.alike, directed=False)
        if n_parts == 1:
            yield self
            return
        order, ends = np.argsort(numbers, kind="stable"), np.cumsum(np.bincount(numbers, minlength=n_parts))
        yield from (self.part(which) for which in np.split(order, ends[:-1]))

    def laplacian(self) -> Any:
        """Return the normalized Laplacian, whose smallest eigenvalue is 0 and none above 2."""
        from scipy.sparse import diags_array

        scale = diags_array(1.0 / np.sqrt(self.degrees))
        return diags_array(1.0 - 1.0 / self.degrees) - scale @ self.alike @ scale

    def even(self) -> Floats:
        """Return its eigenvector of eigenvalue 0, of length 1."""
        root = np.sqrt(self.degrees)
        return np.asarray(root / np.linalg.norm(root))


def whole(n_regions: int, pairs: Ints, weights: Floats) -> Group:
    """Return all regions as one group, whether or not they hang together.

    Parameters
    ----------
    n_regions : int
        How many there are.
    pairs : int64 array of shape (n_pairs, 2)
        Neighbours, each pair once.
    weights : float64 array of shape (n_pairs,)
        How alike they are, from 0 to 1.

    Returns
    -------
    Group
        All regions.
    """
    from scipy.sparse import csr_array

    kept = weights >= LEAST
    (a, b), w = pairs[kept].T, weights[kept]
    entries = (np.concatenate([w, w]), (np.concatenate([a, b]), np.concatenate([b, a])))
    return Group.of(np.arange(n_regions), csr_array(entries, shape=(n_regions, n_regions)))
