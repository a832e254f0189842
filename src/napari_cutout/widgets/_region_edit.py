"""A box of labels in a store, copied out to be painted on, and written back to every level.  No Qt here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import stores
from ._store_levels import Box, change_metadata, opened, read_box
from ._store_numbers import free_numbers

__all__ = ["MOST_VOXELS", "Changed", "Taken", "Written", "box_problem", "fitting_box", "take", "write_back"]

MOST_VOXELS = 1 << 26
"""Voxels that are edited at a time at most: they are in memory three times."""

MOST_EDITS = 1000
"""Edits that a store remembers; of earlier ones it keeps their number."""


class Changed(ValueError):
    """The labels in the store are no longer those that were copied out of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """A box that was copied out of a store.

    Parameters
    ----------
    store : str
        The folder or address of the labels.
    box : tuple of (int, int)
        Where it lies.
    before : integer array
        What the store held there; it is kept until the box is written, and after that to undo it.
    """

    store: str
    box: Box
    before: NDArray[Any]

    @property
    def start(self) -> tuple[int, ...]:
        """The index of its first voxel."""
        return tuple(start for start, _ in self.box)


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """What was written back.

    Parameters
    ----------
    taken : Taken
        The same box, as the store holds it now.
    undo : NDArray
        What it held before.
    n_changed : int
        Voxels that differ between the two.
    moved : mapping of int to int
        Which labels were written as which others, since something elsewhere in the store has theirs.
    """

    taken: Taken
    undo: NDArray[Any]
    n_changed: int
    moved: Mapping[int, int] = field(default_factory=dict)


def box_problem(box: Box) -> str:
    """Say why a box may not be edited at once, or return an empty string.

    Parameters
    ----------
    box : tuple of (int, int)
        First index and the one after the last, along each axis.
    """
    n = math.prod(stop - start for start, stop in box)
    if n <= MOST_VOXELS:
        return ""
    return (
        f"the region holds {n:,} voxels, and at most {MOST_VOXELS:,} are edited at a time; zoom in, or draw a smaller "
        "rectangle in a Shapes layer"
    )


def fitting_box(box: Box, point: Sequence[int], depth: Sequence[int]) -> Box:
    """Return a box with as many slices around the one that is shown as may be edited at a time.

    Parameters
    ----------
    box : tuple of (int, int)
        What is in view or was drawn, and all along the other axes.
    point : sequence of int
        Which slice is shown, along each axis.
    depth : sequence of int
        The axes that are not shown, whose slices may be left out.

    Returns
    -------
    tuple of (int, int)
        Too large still if one slice is.
    """
    fitting = list(box)
    for axis in depth:
        start, stop = fitting[axis]
        plane = math.prod(b - a for at, (a, b) in enumerate(fitting) if at != axis)
        length = min(stop - start, max(MOST_VOXELS // max(plane, 1), 1))
        first = min(max(point[axis] - length // 2, start), stop - length)
        fitting[axis] = (first, first + length)
    return tuple(fitting)


def take(store: str, box: Box) -> Taken:
    """Copy a box of labels out of a store; it reads files, so call it in a thread of its own.

    Parameters
    ----------
    store : str
        The folder or address of the labels.
    box : tuple of (int, int)
        Where, at full resolution.

    Returns
    -------
    Taken
        With an array of its own, of the dtype of the store.

    Raises
    ------
    ValueError, OSError
        If the store holds no labels, cannot be read, or the box is too large.
    """
    if problem := box_problem(box):
        raise ValueError(problem)
    return Taken(store, box, read_box(opened(store), box))


def write_back(
    taken: Taken,
    edited: NDArray[Any],
    *,
    held: Callable[[], NDArray[np.int64]] | None = None,
    anyway: bool = False,
    undoes: bool = False,
) -> Written:
    """Write a box to the store and to every level of its pyramid; only the files that it touches are written.

    Parameters
    ----------
    taken : Taken
        As `take` returned it.
    edited : integer array
        What the box shall hold.
    held : callable, optional
        Returns all labels of the store. Labels are then numbers of objects: one that the box did not hold when it was
        copied out is a new object, and gets another number if anything in the store has that one. Without it labels
        are classes, and are written as they are.
    anyway : bool
        Write even if somebody has changed the box in the store since it was copied out.
    undoes : bool
        Whether this takes back the last edit, of which the provenance then says nothing any more.

    Returns
    -------
    Written
        What the store holds now, and what it held before.

    Raises
    ------
    Changed
        If the store holds something else there than what was copied out; nothing is written then.
    ValueError
        If a label does not fit into the dtype of the store, new objects find no free number in it, or the shape is
        another; nothing is written then.
    OSError
        If the store cannot be written; what it held is put back as far as it can be, and it can be read in any case,
        since files are replaced one by one, and each at once.

    Notes
    -----
    Memory: the box, about four times. A voxel of a lower level takes the label of the voxel at its first corner, as in
    the stores that this program writes.
    """
    now = read_box(opened(taken.store), taken.box)
    _check_shape(edited, now)
    if not anyway and not np.array_equal(now, taken.before):
        n = int(np.count_nonzero(now != taken.before))
        raise Changed(
            f"{n:,} voxels of this region were changed in the store since it was copied out; discard the edit and copy "
            "it anew, or press Write anyway to replace them"
        )
    moved = {} if held is None else free_numbers(edited, taken.before, held, int(np.iinfo(now.dtype).max))
    edited = _fitting(edited, now.dtype, moved)
    _write(taken, edited, now)
    n_changed = int(np.count_nonzero(edited != now))
    if n_changed:
        _note_edit(taken, n_changed, int(edited.max(initial=0)), undoes=undoes)
    return Written(replace(taken, before=np.array(edited)), now, n_changed, moved)


def _check_shape(edited: NDArray[Any], now: NDArray[Any]) -> None:
    if edited.shape != now.shape:
        raise ValueError(f"the region has the shape {now.shape} in the store, but the layer has {edited.shape}")


def _fitting(edited: NDArray[Any], dtype: np.dtype[Any], moved: Mapping[int, int]) -> NDArray[Any]:
    """Return labels in the dtype of the store, some of them with other numbers."""
    old = np.array(sorted(moved), edited.dtype)
    others = np.isin(edited, old) if moved else np.zeros((), bool)
    info = np.iinfo(dtype)
    low, high = int(edited.min(initial=0)), int(edited.max(initial=0, where=~others))
    if low < info.min or high > info.max:
        worst = high if high > info.max else low
        raise ValueError(
            f"label {worst} does not fit into the store, which holds {dtype} ({info.min} to {info.max}); give the "
            "object a free number in that range"
        )
    fitting = edited.astype(dtype, copy=bool(moved))
    if moved:
        new = np.array([moved[label] for label in old.tolist()], dtype)
        fitting[others] = new[np.searchsorted(old, edited[others])]
    return fitting


def _write(taken: Taken, edited: NDArray[Any], undo: NDArray[Any]) -> None:
    """Write a box to all levels, and what was there if one of them fails."""
    options = stores.parse_storage_options()
    try:
        stores.edit_labels(taken.store, taken.start, edited, storage_options=options)
    except Exception as error:
        with suppress(Exception):  # what fails for one file need not fail for the others
            stores.edit_labels(taken.store, taken.start, undo, storage_options=options)
        raise OSError(
            f"could not write to {stores.Place.of(taken.store).name!r} ({error}); the region was put back as it was as "
            "far as possible, and your edit is still in its layer"
        ) from error


def _note_edit(taken: Taken, n_changed: int, highest: int, *, undoes: bool) -> None:
    """Add to the provenance of the store that a region was edited by hand, or that it no longer is."""
    time = datetime.now(UTC).isoformat("T", "seconds")
    entry = {"box": [list(ends) for ends in taken.box], "voxels": n_changed, "time": time}

    def change(metadata: dict[str, Any]) -> dict[str, Any]:
        provenance = dict(metadata.get("provenance", {}))
        edits = list(provenance.get("edits", ()))
        if undoes and edits and edits[-1]["box"] == entry["box"]:
            edits.pop()
        else:
            edits.append(entry)
        if "n_labels" in provenance:
            provenance["n_labels"] = max(int(provenance["n_labels"]), highest)  # numbers above it are free
        if forgotten := int(provenance.get("earlier_edits", 0)) + max(len(edits) - MOST_EDITS, 0):
            provenance["earlier_edits"] = forgotten
        return {**metadata, "provenance": {**provenance, "edits": edits[-MOST_EDITS:]}}

    change_metadata(taken.store, change)
