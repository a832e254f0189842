"""Objects of tiles that were labelled one by one: which of them are one object, by what tiles have in common."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._array import Array, to_numpy

__all__ = ["Facts", "Rule", "Seam", "facts_of", "numbers_for", "renumbered", "seam_of", "seams_between"]

Ints = NDArray[np.int64]
Box = tuple[slice, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """When two objects of neighbouring tiles are one.

    Parameters
    ----------
    threshold : float
        The least share that they have in common.
    share : {"union", "smaller"}
        In common of what: of all voxels of either, or of those of the one that has fewer.
    partners : {"one", "all"}
        Whether an object has one partner at most in each neighbouring tile.
    """

    threshold: float
    share: Literal["union", "smaller"]
    partners: Literal["one", "all"]


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """What must be known of a tile.

    Parameters
    ----------
    label : int64 array of shape (n,)
        Its objects, rising, background left out.
    first : int64 array of shape (n,)
        The linear index in the whole of the first own voxel of each; -1 if it has none.
    slabs : dict
        What it has in common with its neighbours, or its outermost voxels, by (axis, side).
    """

    label: Ints
    first: Ints
    slabs: dict[tuple[int, int], NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Seam:
    """Labels of the same voxels, or of voxels that lie opposite, in two tiles."""

    one: int
    two: int
    pairs: Ints


def facts_of(
    block: Array, own: Box, origin: Sequence[int], whole: Sequence[int], slabs: dict[tuple[int, int], Box]
) -> Facts:
    """Return the facts of a tile.

    Parameters
    ----------
    block : array of int
        Its labels; 0 is background.
    own : tuple of slice
        Which of its voxels are in the result.
    origin : sequence of int
        Where the first own voxel stands in the whole.
    whole : sequence of int
        The shape of the whole.
    slabs : dict
        Which voxels are compared with a neighbour's, by (axis, side).

    Raises
    ------
    ValueError
        If a label is negative.
    """
    host = to_numpy(block)
    label = np.unique(host)
    if len(label) and label[0] < 0:
        raise ValueError(f"labels must be 0 or more, got {int(label[0])}; renumber the objects of every tile from 1")
    label = label[label > 0].astype(np.int64)
    found, at = np.unique(host[own], return_index=True)
    where = np.unravel_index(at, host[own].shape)
    place = np.ravel_multi_index(
        tuple(w.astype(np.int64) + o for w, o in zip(where, origin, strict=True)), tuple(whole)
    )
    first = np.full(len(label), -1, np.int64)
    first[np.searchsorted(label, found[found > 0])] = place[found > 0]
    return Facts(label, first, {key: host[box].copy() for key, box in slabs.items()})


def seam_of(one: NDArray[Any], two: NDArray[Any], rule: Rule) -> Ints:
    """Return the pairs of labels that are one object.

    Parameters
    ----------
    one, two : arrays of int, of one shape
        Two labellings of the same voxels, or of voxels that lie opposite.
    rule : Rule
        When they are one.

    Returns
    -------
    int64 array of shape (n, 2)
        Pairs of labels.

    Notes
    -----
    Of partners with the same share the one with more voxels in common comes first, and then the one whose first voxel
    in common does, so that numbers do not show.
    """
    a, b = one.reshape(-1), two.reshape(-1)
    labels_a, n_a = np.unique(a[a > 0], return_counts=True)
    labels_b, n_b = np.unique(b[b > 0], return_counts=True)
    both = (a > 0) & (b > 0)
    together = np.stack([a[both], b[both]]).astype(np.int64)
    pairs, first, common = np.unique(together, axis=1, return_index=True, return_counts=True)
    size_a, size_b = n_a[np.searchsorted(labels_a, pairs[0])], n_b[np.searchsorted(labels_b, pairs[1])]
    of = size_a + size_b - common if rule.share == "union" else np.minimum(size_a, size_b)
    keep = common >= rule.threshold * of
    pairs, share, common, first = pairs[:, keep], (common / of)[keep], common[keep], first[keep]
    if rule.partners == "one" and len(common):
        worth = (first, -common, -share)
        pairs = pairs[:, _best(pairs[0], worth) & _best(pairs[1], worth)]
    return pairs.T.copy()


def _best(mine: Ints, worth: tuple[NDArray[Any], ...]) -> NDArray[np.bool_]:
    """Tell which pairs are the best of one of their objects; the last of `worth` counts most, and the least is best."""
    order = np.lexsort((*worth, mine))
    found = np.zeros(len(mine), bool)
    found[order[np.r_[True, np.diff(mine[order]) != 0]]] = True
    return found


def numbers_for(facts: Sequence[Facts], seams: Iterable[Seam]) -> list[NDArray[np.int32]]:
    """Return, for every tile, the number in the whole of each of its objects: from 1 by first voxel in scan order."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    starts = np.cumsum([0, *(len(f.label) for f in facts)])
    n = int(starts[-1])
    ends = [np.zeros((2, 0), np.int64)]
    for seam in seams:
        tiles = ((seam.one, seam.pairs[:, 0]), (seam.two, seam.pairs[:, 1]))
        ends.append(np.stack([starts[t] + np.searchsorted(facts[t].label, labels) for t, labels in tiles]))
    a, b = np.concatenate(ends, axis=1)
    _, root = connected_components(coo_array((np.ones(len(a), bool), (a, b)), shape=(n, n)), directed=False)
    first = np.full(int(root.max(initial=-1)) + 1, np.iinfo(np.int64).max)
    every = np.concatenate([np.zeros(0, np.int64), *(f.first for f in facts)])
    np.minimum.at(first, root[every >= 0], every[every >= 0])
    there = first < np.iinfo(np.int64).max
    number = np.zeros(len(first), np.int32)
    number[np.argsort(first, kind="stable")[: int(there.sum())]] = np.arange(1, int(there.sum()) + 1)
    final = number[root]
    return [final[s:e] for s, e in itertools.pairwise(starts)]


def renumbered(block: NDArray[Any], label: Ints, number: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return a block with the numbers of its objects in the whole."""
    at = np.searchsorted(label, block.reshape(-1))
    table = np.r_[number, np.int32(0)]
    return np.where(block > 0, table[at].reshape(block.shape), np.int32(0)).astype(np.int32)


def seams_between(facts: Sequence[Facts], grid: Sequence[int], rule: Rule) -> Iterable[Seam]:
    """Yield the seams of a grid of tiles, one for each pair that lie side by side."""
    for number, at in enumerate(np.ndindex(*grid)):
        for axis, n in enumerate(grid):
            if at[axis] + 1 < n:
                other = int(np.ravel_multi_index(tuple(a + (i == axis) for i, a in enumerate(at)), tuple(grid)))
                pairs = seam_of(facts[number].slabs[axis, 1], facts[other].slabs[axis, 0], rule)
                yield Seam(number, other, pairs)
