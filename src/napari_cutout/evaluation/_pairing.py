"""Which predicted object is which true one: decided on the table of label pairs, never on voxels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._tables import Contingency, Counts, ranked, sums_of

__all__ = ["Overlaps", "matched_pairs", "overlaps_of"]

Scores = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.intp]

BACKGROUND = -1
"""Stands for the background where the index of an object is asked for."""

EQUAL = 1e-6
"""Sums of IoU that differ by less are equal where ways to match are compared."""

BATCH = 256
"""Pairs that are assigned together: many small problems cost calls, and a large one costs the square of its size."""


@dataclass(frozen=True, slots=True, eq=False)
class Overlaps:
    """The objects of both sides, and how much they overlap.

    Parameters
    ----------
    predicted, truth : int64 arrays of shape (m,) and (n,)
        The labels of the objects, rising; 0 is none.
    predicted_sizes, true_sizes : int64 arrays of shape (m,) and (n,)
        Annotated voxels of each object; a predicted one may have none.
    rows, columns : intp arrays of shape (k,)
        The predicted and the true object of each pair that shares a voxel, as indices of `predicted` and `truth`;
        pairs rise by row, then by column.
    shared : int64 array of shape (k,)
        Voxels that the two of a pair share.
    unions : int64 array of shape (k,)
        Voxels that either of a pair holds.
    iou : float64 array of shape (k,)
        Intersection over union of each pair.
    is_on_truth : bool array of shape (k,)
        Whether the predicted object of each pair lies on its true one mostly: nothing else holds more of its annotated
        voxels. An object that lies equally on several lies on all of them, so that their numbers do not matter.
    is_on_predicted : bool array of shape (k,)
        Whether the true object of each pair lies on its predicted one mostly, in the same way.
    on_truth : intp array of shape (m,)
        The true object that most annotated voxels of each predicted object lie on, or -1 for the background. Of equals
        an object comes before the background, and then the smaller label: for showing, not for counting.
    on_predicted : intp array of shape (n,)
        The predicted object that most voxels of each true object lie on, or -1 for the background, in the same way.
    is_judged : bool array of shape (m,)
        Whether a predicted object is in excess if it is not matched: not mostly on voxels that are not annotated, and
        mostly in the region that is annotated completely, if there is one.
    is_counted : bool array of shape (n,)
        Whether a true object counts: mostly in that region, if there is one.
    """

    predicted: Counts
    truth: Counts
    predicted_sizes: Counts
    true_sizes: Counts
    rows: Indices
    columns: Indices
    shared: Counts
    unions: Counts
    iou: Scores
    is_on_truth: Mask
    is_on_predicted: Mask
    on_truth: Indices
    on_predicted: Indices
    is_judged: Mask
    is_counted: Mask

    @property
    def dice(self) -> Scores:
        """Dice of each pair, twice the voxels that they share over the sum of their sizes, (k,)."""
        found: Scores = 2 * self.shared / (self.unions + self.shared)
        return found

    def pair_of(self, rows: Indices, columns: Indices) -> Indices:
        """Return where the pair of a predicted and a true object each stands; k where they are apart or one is none."""
        n = len(self.rows)
        if not n:
            return np.zeros(len(rows), np.intp)
        width = len(self.truth)
        keys, wanted = self.rows * width + self.columns, rows * width + columns
        at = np.minimum(np.searchsorted(keys, wanted), n - 1)
        there = (keys[at] == wanted) & (rows != BACKGROUND) & (columns != BACKGROUND)
        return np.where(there, at, n)

    @property
    def seg(self) -> Scores:
        """IoU of each true object with the predicted one that covers more than half of it, (n,); 0 if none does."""
        covers = 2 * self.shared > self.true_sizes[self.columns]  # at most one does
        found = np.zeros(len(self.truth))
        found[self.columns[covers]] = self.iou[covers]
        return found


def overlaps_of(table: Contingency, complete: Contingency | None = None) -> Overlaps:
    """Return the objects of a table of label pairs, and how much they overlap.

    Parameters
    ----------
    table : Contingency
        All pairs of labels, those with the background (0) too; those that are not annotated in its `unknown`.
    complete : Contingency, optional
        The pairs of all voxels in the region that is annotated completely, whether they are annotated or not.

    Returns
    -------
    Overlaps
        Of the objects alone.
    """
    ours, is_on_truth = _side(table.predicted, table.truth, table.counts)
    (truth, true_sizes, on_predicted), is_on_predicted = _side(table.truth, table.predicted, table.counts)
    predicted, predicted_sizes, on_truth, unknown = _with_unknown(ours, table.unknown)
    is_judged, is_counted = unknown <= predicted_sizes, np.ones(len(truth), bool)
    if complete is not None:
        is_judged &= 2 * sums_of(predicted, complete.predicted, complete.counts) > predicted_sizes + unknown
        is_counted = 2 * sums_of(truth, complete.truth, complete.counts) > true_sizes
    objects = (table.predicted != 0) & (table.truth != 0)
    rows = np.searchsorted(predicted, table.predicted[objects])
    columns = np.searchsorted(truth, table.truth[objects])
    shared = table.counts[objects]
    unions = predicted_sizes[rows] + true_sizes[columns] - shared
    return Overlaps(
        predicted=predicted,
        truth=truth,
        predicted_sizes=predicted_sizes,
        true_sizes=true_sizes,
        rows=rows,
        columns=columns,
        shared=shared,
        unions=unions,
        iou=shared / unions,
        is_on_truth=is_on_truth[objects],
        is_on_predicted=is_on_predicted[objects],
        on_truth=_indices(truth, on_truth),
        on_predicted=_indices(predicted, on_predicted),
        is_judged=is_judged,
        is_counted=is_counted,
    )


Side = tuple[Counts, Counts, Counts]
"""The objects of one side: their labels, their sizes, and the label of the other side that each lies on mostly."""


def _with_unknown(known: Side, unknown: Contingency | None) -> tuple[Counts, Counts, Counts, Counts]:
    """Add the predicted objects that no annotated voxel holds, and say how many voxels of each are not annotated."""
    labels, sizes, on_truth = known
    if unknown is None:
        return labels, sizes, on_truth, np.zeros_like(sizes)
    both = np.union1d(labels, unknown.predicted[unknown.predicted > 0])
    unknown_sizes = sums_of(both, unknown.predicted, unknown.counts)
    return both, sums_of(both, labels, sizes), sums_of(both, labels, on_truth), unknown_sizes


def _side(own: Counts, other: Counts, counts: Counts) -> tuple[Side, Mask]:
    """Return the objects of one side, and which pairs of labels hold the most voxels of their object.

    Of equals that an object lies on, an object comes before the background, and then the smaller label.
    """
    objects, is_most = own != 0, np.zeros(len(own), bool)
    own, other, counts = own[objects], other[objects], counts[objects]
    labels, at = ranked(own)
    sizes, most = np.zeros((2, len(labels)), np.int64)
    np.add.at(sizes, at, counts)
    np.maximum.at(most, at, counts)
    is_most[objects] = counts == most[at]
    largest = np.flatnonzero(is_most[objects])  # few more than there are objects, so that sorting is cheap
    order = largest[np.lexsort((other[largest], other[largest] == 0, at[largest]))]
    _, first = np.unique(at[order], return_index=True)
    return (labels, sizes, other[order][first]), is_most


def _indices(objects: Counts, labels: Counts) -> Indices:
    """Return where labels stand among the objects; -1 for the background."""
    return np.where(labels == 0, BACKGROUND, np.searchsorted(objects, labels))


def matched_pairs(found: Overlaps, threshold: float) -> Indices:
    """Match objects one to one: as many pairs as can be, and of those ways the one with the largest sum of IoU.

    Parameters
    ----------
    found : Overlaps
        The objects.
    threshold : float
        The smallest IoU of a pair, above 0.

    Returns
    -------
    intp array of shape (n_pairs,)
        The pairs, as indices of ``found.rows``, rising.

    Notes
    -----
    Two predicted objects that share more than half of their union with one true object would overlap each other, so
    a pair of an IoU above 0.5 is the only one of both, and there is nothing to choose. Elsewhere only pairs that
    share an object are assigned, those that are linked at a time: 100,000 objects that are cut in halves take a
    second. One long chain stays quadratic: 10,000 objects, each on two others, take a fifth of a second.

    Of ways whose sums of IoU are equal, to a millionth, the one is taken whose true objects count and whose predicted
    ones are judged; so no figure depends on the numbers of objects. What is left is the same for every figure, and
    there the smaller label wins.
    """
    iou = found.iou
    good = np.flatnonzero(iou >= threshold)
    rows, columns = found.rows[good], found.columns[good]
    alone = (np.bincount(rows)[rows] == 1) & (np.bincount(columns)[columns] == 1)
    return np.sort(np.concatenate([good[alone], _assigned(found, good[~alone])]))


def _assigned(found: Overlaps, pairs: Indices) -> Indices:
    """Return those of the pairs that make the best matching, a batch of linked objects after the other."""
    if not len(pairs):
        return pairs
    rows, columns, iou = found.rows[pairs], found.columns[pairs], found.iou[pairs]
    part = _parts(rows, columns)
    sizes = np.bincount(part)
    # Ways that are equally good can differ in how many pairs count, in how many are judged, and in the IoU of those
    # that count. No multiples of these three weights are equal, so that ways of other figures are never equally good.
    counted, judged = found.is_counted[columns], found.is_judged[rows]
    figures = counted * (1 + math.sqrt(3) / 9 * iou) + judged * (math.sqrt(2) - 1)
    worth = sizes[part] + 2 + iou + figures * EQUAL / (2 * sizes[part])
    batch = ((np.cumsum(sizes) - 1) // BATCH)[part]
    order = np.argsort(batch, kind="stable")
    batches = np.split(order, np.flatnonzero(np.diff(batch[order])) + 1)
    return np.concatenate([pairs[at[_best(rows[at], columns[at], worth[at])]] for at in batches])


def _parts(rows: Indices, columns: Indices) -> Indices:
    """Return the number of the part of the graph that each pair lies in: other parts have no object in common."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    _, row = np.unique(rows, return_inverse=True)
    _, column = np.unique(columns, return_inverse=True)
    n_rows = int(row.max()) + 1
    n = n_rows + int(column.max()) + 1
    graph = csr_array((np.ones(len(row), bool), (row, n_rows + column)), shape=(n, n))
    parts: Indices = connected_components(graph, directed=False)[1][row]
    return parts


def _best(rows: Indices, columns: Indices, worth: Scores) -> Indices:
    """Return the pairs of the matching that is worth most, where a pair more is worth more than any other pairs.

    The solver wants a partner for each row, so each gets one of its own that is worth nothing. Rows are numbered from
    the last, because of equals the solver prefers the first column and the last row: so the smaller label wins on
    both sides.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    _, row = np.unique(-rows, return_inverse=True)
    _, column = np.unique(columns, return_inverse=True)
    n_rows, n_columns = row.max() + 1, column.max() + 1
    own = np.arange(n_rows)
    at = np.concatenate([row, own]), np.concatenate([column, n_columns + own])
    graph = csr_array((np.concatenate([worth, np.ones(n_rows)]), at), shape=(n_rows, n_columns + n_rows))
    partner = np.empty(n_rows, np.intp)
    partner[own] = min_weight_full_bipartite_matching(graph, maximize=True)[1]
    return np.flatnonzero(partner[row] == column)
