"""Where objects are right and wrong: every object drawn as its kind."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, from_numpy
from .._method import Labels
from .._plan import PerVoxel, run_plan
from ._contingency import Counts, int64
from ._error_kinds import OBJECT_KINDS
from .objects import ObjectEvaluation

__all__ = ["object_errors"]

N_KINDS = 1 + max(kind.label for kind in OBJECT_KINDS.values())
"""The kinds of objects, and 0 for no object."""

MAX_LISTED = 2**22
"""Labels up to this one are looked up in a table by label, which is faster than a search among those that there are."""


def object_errors(found: ObjectEvaluation, predicted: Labels, truth: Labels, threshold: float = 0.5) -> Labels:
    """Draw every object as what became of it.

    Parameters
    ----------
    found : ObjectEvaluation
        What `evaluate_objects` gave for these labels.
    predicted : array of int or bool
        Objects by number.
    truth : array of int or bool, of the same shape and library
        The annotated objects.
    threshold : float
        The IoU from which on two objects can be matched, above 0 and at most 1.

    Returns
    -------
    uint8 array, same shape and library as `predicted`
        The label of a kind in `OBJECT_KINDS`; 0 where there is no object. Where a predicted and a true object lie on
        each other the one with an error shows: of two errors that of the true object, and *unjudged* only where
        nothing else is known.

    Raises
    ------
    ValueError
        If `threshold` is outside 0 to 1.

    Notes
    -----
    Exact. Of dask arrays the map is lazy. Memory: a few blocks beyond input and output.
    """
    columns = found.object_table(threshold)
    kinds = np.asarray([OBJECT_KINDS[kind].label for kind in columns["kind"]], np.int64)
    overlaps, n_true = found.overlaps, len(found.overlaps.truth)
    ours = dict.fromkeys(overlaps.predicted.tolist(), OBJECT_KINDS["matched"].label)
    ours |= dict(zip(columns["predicted"][n_true:], kinds[n_true:].tolist(), strict=True))
    draw = partial(_drawn, predicted_kinds=_listed(ours), true_kinds=(overlaps.truth, kinds[:n_true]))
    return run_plan(PerVoxel(draw, "uint8"), predicted, truth)


Kinds = tuple[Counts, Counts]
"""Labels, rising, and the kind of each."""


def _listed(kinds: Mapping[int, int]) -> Kinds:
    labels = sorted(kinds)
    return np.asarray(labels, np.int64), np.asarray([kinds[label] for label in labels], np.int64)


def _winners() -> NDArray[np.uint8]:
    """Return which kind shows where two objects lie on each other, at predicted kind x N_KINDS + true kind."""
    quiet = [0, OBJECT_KINDS["unjudged"].label, OBJECT_KINDS["matched"].label]
    rank = [quiet.index(kind) if kind in quiet else len(quiet) for kind in range(N_KINDS)]
    pairs = [(ours, theirs) for ours in range(N_KINDS) for theirs in range(N_KINDS)]
    return np.asarray([ours if rank[ours] > rank[theirs] else theirs for ours, theirs in pairs], np.uint8)


def _drawn(predicted: Array, truth: Array, *, predicted_kinds: Kinds, true_kinds: Kinds) -> Array:
    xp = array_namespace(predicted)
    at = _kind_of(predicted, predicted_kinds) * N_KINDS + _kind_of(truth, true_kinds)
    return xp.reshape(xp.take(from_numpy(_winners(), like=predicted), at), predicted.shape)


def _kind_of(labels: Array, kinds: Kinds) -> Array:
    """Return the kind of the object that each voxel lies in, flat; 0 where there is none."""
    xp = array_namespace(labels)
    flat = xp.reshape(int64(labels), (-1,))
    if not len(kinds[0]):
        return xp.zeros_like(flat)
    if (last := int(kinds[0][-1])) < MAX_LISTED:
        table = np.zeros(last + 2, np.int64)  # the last entry is for labels beyond, which are no objects
        table[kinds[0]] = kinds[1]
        return xp.take(from_numpy(table, like=labels), xp.clip(flat, 0, last + 1))
    names, found = (from_numpy(part, like=labels) for part in kinds)
    at = xp.clip(xp.searchsorted(names, flat), None, len(kinds[0]) - 1)
    return xp.where(xp.take(names, at) == flat, xp.take(found, at), xp.zeros_like(flat))
