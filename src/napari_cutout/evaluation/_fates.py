"""What became of each object, on the table of label pairs: matched, split, merged, missed, invented."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._pairing import BACKGROUND, Indices, Mask, Overlaps

__all__ = ["COLUMNS", "KINDS", "aggregated_jaccard", "fates", "is_merged", "is_split", "lies_on_merged"]

KINDS = ("matched", "split", "merged", "missed", "invented", "inexact", "unjudged")
"""What an object can be at a threshold."""

COLUMNS = ("kind", "true", "predicted", "iou", "dice", "true_size", "predicted_size", "counted")
"""The table of objects, in the order of its columns."""


def is_split(found: Overlaps) -> Mask:
    """Tell which true objects two or more predicted ones lie on mostly, of those that are judged, (n,)."""
    lying = found.is_on_truth & found.is_judged[found.rows]
    return np.bincount(found.columns[lying], minlength=len(found.truth)) > 1


def is_merged(found: Overlaps) -> Mask:
    """Tell which predicted objects two or more true ones lie on mostly, (m,)."""
    return np.bincount(found.rows[found.is_on_predicted], minlength=len(found.predicted)) > 1


def lies_on_merged(found: Overlaps) -> Mask:
    """Tell which true objects lie mostly on a merged predicted one, (n,)."""
    lying = found.is_on_predicted & is_merged(found)[found.rows]
    return np.bincount(found.columns[lying], minlength=len(found.truth)) > 0


def _lies_on_split(found: Overlaps) -> Mask:
    """Tell which predicted objects lie mostly on a true one that is split, (m,)."""
    lying = found.is_on_truth & is_split(found)[found.columns]
    return np.bincount(found.rows[lying], minlength=len(found.predicted)) > 0


def fates(found: Overlaps, pairs: Indices) -> dict[str, list[Any]]:
    """Return what became of each object, as `ObjectEvaluation.object_table` describes it.

    Parameters
    ----------
    found : Overlaps
        The objects.
    pairs : intp array
        The pairs that were matched, as indices of ``found.rows``.

    Returns
    -------
    dict
        The values of each of `COLUMNS`.
    """
    n_true = len(found.truth)
    partners, is_left = found.on_predicted.copy(), np.ones(len(found.predicted), bool)
    partners[found.columns[pairs]] = found.rows[pairs]
    is_left[found.rows[pairs]] = False
    left = np.flatnonzero(is_left)
    kinds = _kinds((is_split(found), "split"), (lies_on_merged(found), "merged"), found.on_predicted, "missed")
    kinds[found.columns[pairs]] = "matched"
    others = _kinds((is_merged(found), "merged"), (_lies_on_split(found), "split"), found.on_truth, "invented")
    others[~found.is_judged] = "unjudged"
    rows = np.concatenate([partners, left])
    columns = np.concatenate([np.arange(n_true), found.on_truth[left]])
    pair = found.pair_of(rows, columns)
    values = (
        np.concatenate([kinds, others[left]]),
        _taken(found.truth, columns),
        _taken(found.predicted, rows),
        _taken(found.iou, pair),
        _taken(found.dice, pair),
        _taken(found.true_sizes, columns),
        _taken(found.predicted_sizes, rows),
        np.concatenate([found.is_counted, found.is_judged[left]]),
    )
    return {name: column.tolist() for name, column in zip(COLUMNS, values, strict=True)}


def _kinds(own: tuple[Mask, str], other: tuple[Mask, str], on: Indices, nothing: str) -> NDArray[np.str_]:
    """Say of the objects of one side what is wrong with them: its own kind of error comes before the other's."""
    (is_own, own_kind), (is_other, other_kind) = own, other
    cases = [is_own, is_other, on == BACKGROUND]
    return np.select(cases, [own_kind, other_kind, nothing], "inexact").astype("U8")


def _taken(values: NDArray[Any], at: Indices) -> NDArray[Any]:
    """Return the values of objects or pairs; 0 for the background, and for the pair after the last."""
    return np.append(values, values.dtype.type(0))[at]


def aggregated_jaccard(found: Overlaps) -> tuple[int, int]:
    """Return the voxels above and below the fraction line of the aggregated Jaccard index.

    Every true object takes the predicted one of the largest IoU; of equals the one that shares more voxels with it.
    Of those that are equal in both it takes any, and none of them is left over. Several may take the same.
    """
    order = np.lexsort((-found.shared, -found.iou, found.columns))
    owners, first, rank = np.unique(found.columns[order], return_index=True, return_inverse=True)
    best = order[first]
    is_best = (found.iou[order] == found.iou[best][rank]) & (found.shared[order] == found.shared[best][rank])
    is_alone, is_unused = found.is_counted.copy(), found.is_judged.copy()
    is_alone[owners] = False
    is_unused[found.rows[order[is_best]]] = False
    best = best[found.is_counted[owners]]
    apart = int(found.true_sizes[is_alone].sum()) + int(found.predicted_sizes[is_unused].sum())
    return int(found.shared[best].sum()), int(found.unions[best].sum()) + apart
