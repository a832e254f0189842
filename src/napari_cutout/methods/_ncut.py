"""Normalized cuts of a graph of regions: in two again and again (Shi and Malik 2000), or into many at once.

The similarity of two neighbours is ``exp(-(difference / contrast)^2)``, that of a region with itself 1, as
scikit-image's `rag_mean_color(mode="similarity")` and `cut_normalized` have it (whose sigma is the square of the
contrast). The normalized cut of a group into A and B is ``cut / assoc(A) + cut / assoc(B)``, where ``cut`` is the
similarity across it and ``assoc`` that of the regions of a side with all of the group, themselves included.

Departures from scikit-image: a vector is cut where the normalized cut is smallest, of all places between two different
entries, and not of ten even ones; entries are those of the paper's y, that is divided by the square root of the degree;
a group of two is cut, too; similarities below `LEAST` count as none; and no random number starts the solver.

Everything here is float64 on the host and sees regions alone, never a voxel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._monitor import note
from ._k_way import cut_at_once
from ._likeness import LEAST, Floats, Ints, differences_of, similarities, usual_contrast, whole
from ._regions import RegionGraph, numbers_of
from ._two_way import cut_again_and_again

WIDER = 2.0
"""How many times the usual contrast is taken for many groups at once, lest single regions that stand out are groups."""


def cut_regions(
    n_regions: int | None, threshold: float, contrast: float | None, graph: RegionGraph
) -> NDArray[np.int32]:
    """Return the number of each region's group, and note how many there are, and the contrast.

    Parameters
    ----------
    n_regions : int or None
        Number of groups; None cuts in two as long as the normalized cut is below `threshold`.
    threshold : float
        Where that ends.
    contrast : float or None
        In grey levels; None takes that of `usual_contrast`.
    graph : RegionGraph
        The regions.

    Returns
    -------
    int32 array of shape (n,)
        1 to n by first voxel in scan order.

    Raises
    ------
    RuntimeError
        If an eigenvector is not found.
    """
    if not len(graph):
        note(n_regions=0)
        return np.zeros(0, np.int32)
    differences, unit = differences_of(graph)
    if contrast is None:
        relative = usual_contrast(differences) * (1.0 if n_regions is None else WIDER)
    else:
        relative = contrast / unit
    numbers = numbers_of(graph, _groups(graph, similarities(differences, relative), n_regions, threshold))
    note(n_regions=int(numbers.max()), contrast=relative * unit)
    return numbers


def _groups(graph: RegionGraph, weights: Floats, n_regions: int | None, threshold: float) -> Ints:
    if n_regions is None:
        return cut_again_and_again(whole(len(graph), graph.pairs, weights), threshold)
    if n_regions >= len(graph):
        return np.arange(len(graph))
    return cut_at_once(whole(len(graph), graph.pairs, np.maximum(weights, LEAST)), n_regions)
