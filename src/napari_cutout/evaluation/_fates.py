"""What became of each object, on the table of label pairs: matched, split, merged, missed, invented."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._pairing import BACKGROUND, Indices, Mask, Overlaps

__all__ = ["COLUMNS", "KINDS", "aggregated_jaccard", "fates", "is_merged", "is_split"]

KINDS = ("matched", "split", "merged", "missed", "invented", "inexact", "unjudged")
"""What an object can be at a threshold."""

COLUMNS = ("kind", "true", "predicted", "iou", "dice", "true_size", "predicted_size", "counted")
"""The table of objects, in the order of its columns."""


def is_split(found: Overlaps) -> Mask:
    """Tell which true objects two or more predicted ones lie on mostly, (n,)."""
    return _several(found.on_truth, len(found.truth))


def is_merged(found: Overlaps) -> Mask:
    """Tell which predicted objects two or more true ones lie on mostly, (m,)."""
    return _several(found.on_predicted, len(found.predicted))


def _several(assigned: Indices, n: int) -> Mask:
    """Tell which of n objects two or more of the other side are assigned to."""
    return np.bincount(assigned[assigned != BACKGROUND], minlength=n) > 1


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
    n_true, splits, merges = len(found.truth), (is_split(found), "split"), (is_merged(found), "merged")
    partners, is_left = found.on_predicted.copy(), np.ones(len(found.predicted), bool)
    partners[found.columns[pairs]] = found.rows[pairs]
    is_left[found.rows[pairs]] = False
    left = np.flatnonzero(is_left)
    kinds = _kinds(found.on_predicted, splits, merges, "missed")
    kinds[found.columns[pairs]] = "matched"
    others = np.where(found.is_judged, _kinds(found.on_truth, merges, splits, "invented"), "unjudged")
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


def _kinds(assigned: Indices, own: tuple[Mask, str], other: tuple[Mask, str], nothing: str) -> NDArray[np.str_]:
    """Say of the objects of one side what is wrong with them: its own kind of error comes before the other's."""
    (is_own, own_kind), (is_other, other_kind) = own, other
    cases = [is_own, _taken(is_other, assigned), assigned == BACKGROUND]
    return np.select(cases, [own_kind, other_kind, nothing], "inexact").astype("U8")


def _taken(values: NDArray[Any], at: Indices) -> NDArray[Any]:
    """Return the values of objects or pairs; 0 for the background, and for the pair after the last."""
    return np.append(values, values.dtype.type(0))[at]


def aggregated_jaccard(found: Overlaps) -> tuple[int, int]:
    """Return the voxels above and below the fraction line of the aggregated Jaccard index.

    Every true object takes the predicted one of the largest IoU; of equals the one that shares more voxels with it,
    and then the one with the smaller label. Several may take the same.
    """
    order = np.lexsort((found.rows, -found.shared, -found.iou, found.columns))
    owners, first = np.unique(found.columns[order], return_index=True)
    best = order[first]
    is_alone, is_unused = found.is_counted.copy(), found.is_judged.copy()
    is_alone[owners] = False
    is_unused[found.rows[best]] = False
    best = best[found.is_counted[owners]]
    apart = int(found.true_sizes[is_alone].sum()) + int(found.predicted_sizes[is_unused].sum())
    return int(found.shared[best].sum()), int(found.unions[best].sum()) + apart
