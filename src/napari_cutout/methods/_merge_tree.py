"""All merges of regions that touch, in order: the pair that differs least goes first, until nothing touches any more.

Of pairs that differ by the same, that goes first whose regions come first in scan order, so that names of regions
cannot show. `_merge_loops` has the loops.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .._compiled import compiled
from .._monitor import stage, tick
from ._merge_loops import BOUNDARY, MEAN, WARD, merge_some, planted
from ._regions import RegionGraph

__all__ = ["Criterion", "MergeTree", "merge_tree"]

Criterion = Literal["ward", "mean", "boundary"]
"""What two neighbours differ by."""

VISITS = 1 << 22
"""Neighbours looked at between two moments at which a run may be cancelled."""

LARGEST = 400
"""The power of two from which on levels are made smaller, lest their squares overflow."""

_KINDS = {"mean": MEAN, "ward": WARD, "boundary": BOUNDARY}

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class MergeTree:
    """All merges from single regions to the parts that hang together.

    Parameters
    ----------
    labels : int64 array of shape (n,)
        The regions, as in the graph.
    first : int64 array of shape (n,)
        Linear index of the first voxel of each.
    merges : int64 array of shape (k, 2)
        What merges, in order: the places in `labels` of the first region of either part, that which the whole goes on
        under before the other. n - k parts are left in the end.
    heights : float64 array of shape (k,)
        How much the two differ, or how much an earlier pair did, if that is more: they never fall.
    """

    labels: Ints
    first: Ints
    merges: Ints
    heights: Floats

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"MergeTree({len(self)} regions, {len(self.merges)} merges)"

    def cut(self, *, n_regions: int = 1, threshold: float | None = None) -> NDArray[np.int32]:
        """Return which regions are one after so many merges.

        Parameters
        ----------
        n_regions : int
            Merging ends when so many are left; where fewer cannot be reached, at the parts that hang together.
        threshold : float, optional
            It ends also before the first pair that differs by more.

        Returns
        -------
        int32 array of shape (n,)
            For each of `labels`, the number of what it belongs to: 1 to the number of those left, by first voxel in
            scan order.

        Raises
        ------
        ValueError
            If `n_regions` is less than 1, or `threshold` is NaN.

        Notes
        -----
        Time and memory grow with the number of regions alone. Of two cuts, that with fewer regions never parts what
        the other keeps together.
        """
        if n_regions < 1:
            raise ValueError(f"n_regions must be 1 or more, got {n_regions}; give how many regions shall be left")
        n_merges = min(max(len(self) - n_regions, 0), len(self.merges))
        if threshold is not None:
            if math.isnan(threshold):
                raise ValueError("threshold must be a difference, got nan; give None for no limit")
            n_merges = min(n_merges, int(np.searchsorted(self.heights, threshold, side="right")))
        root = np.arange(len(self))
        _follow(self.merges[:n_merges], root)
        order = np.argsort(self.first)
        number = np.empty(len(self), np.int32)
        number[order] = np.cumsum((root == np.arange(len(self)))[order])
        return number[root]


def merge_tree(graph: RegionGraph, *, criterion: Criterion = "ward") -> MergeTree:
    """Merge regions that touch, the pair that differs least first, and remember the order.

    Parameters
    ----------
    graph : RegionGraph
        Regions and which of them touch, as `region_graph` finds them.
    criterion : {"ward", "mean", "boundary"}
        What two regions differ by. ``"mean"``: the distance of their mean grey levels, over all channels.
        ``"ward"``: how much the sum of squared distances of voxels to the mean of their region grows by the merge,
        which is that distance squared, times the product of their sizes over the sum: small regions go before large
        ones. ``"boundary"``: the mean strength of the boundary between them.

    Returns
    -------
    MergeTree
        Every merge, until nothing that touches is left apart.

    Raises
    ------
    ValueError
        If there is no such criterion.

    Notes
    -----
    Exact: it depends on the graph alone. Of pairs that differ by the same, that goes first whose first voxel comes
    first, then that whose other first voxel does; what is made of two has the earlier of their first voxels.
    It can be cancelled at any time. 90,000 regions of about four neighbours each take about a second, and so does a
    background that touches 100,000 regions, by ``"boundary"``: m boundaries take about m (log m)^2 steps. ``"mean"``
    and ``"ward"`` look at most neighbours of such a background again after each of its merges, because its mean has
    changed: time grows with the square of their number, about a second for 20,000 and half a minute for 100,000.
    Memory: about 200 bytes for every region, and 180 for every boundary.

    References
    ----------
    .. [1] J. H. Ward, "Hierarchical grouping to optimize an objective function", J. Am. Stat. Assoc. 58 (1963)
       236-244. DOI:10.1080/01621459.1963.10500845

    Examples
    --------
    >>> import numpy as np
    >>> import napari_cutout as nc
    >>> graph = nc.region_graph(np.array([[1, 1, 2, 9, 9]]), np.array([[1, 1, 2, 3, 3]]))
    >>> tree = merge_tree(graph, criterion="mean")
    >>> tree.merges.tolist(), tree.heights.round(3).tolist()
    ([[0, 1], [0, 2]], [1.0, 7.667])
    >>> tree.cut(n_regions=2).tolist()
    [1, 1, 2]
    """
    if criterion not in _KINDS:
        raise ValueError(f"criterion must be one of {', '.join(map(repr, get_args(Criterion)))}, got {criterion!r}")
    stage("merging regions")
    order = np.argsort(graph.first)  # regions are compared by their place in scan order, whatever they are called
    place = np.empty(len(graph), np.int64)
    place[order] = np.arange(len(graph))
    ends = place[graph.pairs].reshape(-1, 2)
    means, shift = _tamed(graph.means[order])
    boundary, excess = _tamed(graph.boundary)
    faces, kind = graph.n_faces.astype(np.float64), _KINDS[criterion]
    forest = planted(kind, graph.sizes[order].astype(np.float64), means, ends, faces, boundary * faces)
    while len(graph) and not merge_some(kind, forest, VISITS):
        tick(int(forest.state[0]), len(graph))
    k = int(forest.state[0])
    lost = {MEAN: shift, WARD: 2 * shift, BOUNDARY: excess}[kind]
    with np.errstate(over="ignore"):
        heights = np.minimum(np.ldexp(forest.heights[:k], lost), np.finfo(np.float64).max)
    return MergeTree(graph.labels, graph.first, order[forest.merges[:k]], np.maximum.accumulate(heights))


def _tamed(levels: Floats) -> tuple[Floats, int]:
    """Return levels whose squares, times sizes, are numbers, and by how many powers of two they are smaller."""
    shift = max(int(np.frexp(np.abs(levels).max(initial=0.0))[1]) - LARGEST, 0)
    return np.ldexp(levels, -shift), shift


@compiled
def _follow(merges: Ints, root: Ints) -> None:
    """Write what every region belongs to after some merges; at first, each to itself."""
    for k in range(len(merges) - 1, -1, -1):
        root[merges[k, 1]] = root[merges[k, 0]]
