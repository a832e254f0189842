"""Which labels a store holds, and numbers for new objects that none of them has.  No Qt here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import stores
from .._monitor import Cancelled
from ._store_levels import opened

__all__ = ["Held", "free_numbers", "labels_in"]

Labels = NDArray[np.int64]
"""Labels, rising, each once."""

Stamp = tuple[int, int, int]
"""What changes when somebody writes a file."""

_THREADS = 4
"""Files that are read at a time."""


def labels_in(labels: NDArray[Any]) -> Labels:
    """Return which labels an array holds, 0 included, rising.

    Only where a label differs from the one before it is looked at, which is seldom.

    Parameters
    ----------
    labels : integer array
        Of any shape.
    """
    flat = np.ascontiguousarray(labels).reshape(-1)
    begins = np.ones(flat.shape, bool)
    np.not_equal(flat[1:], flat[:-1], out=begins[1:])
    return np.unique(flat[begins]).astype(np.int64)


class Held:
    """Which labels stores hold at full resolution: every file is read once, and again when somebody has changed it.

    Neither what the provenance says nor a coarser level would do: other programs change labels without a word, and
    small objects are in no coarser level.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[Stamp, Labels]] = {}

    def labels(
        self,
        store: str,
        on_progress: Callable[[str, float], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> Labels:
        """Return all labels of a store, rising; it may read all of its files, so call it in a thread of its own.

        Parameters
        ----------
        store : str
            The folder or address of the labels.
        on_progress : callable, optional
            Called with what goes on and the fraction that is done.
        is_cancelled : callable, optional
            Polled between files.

        Raises
        ------
        ValueError, OSError
            If the store holds no labels, or cannot be read.
        """
        array = opened(store).levels[0].array
        grid = list(np.ndindex(*(-(-n // edge) for n, edge in zip(array.shape, array.files, strict=True))))
        found: list[Labels] = []

        def of_file(index: tuple[int, ...]) -> Labels:
            if is_cancelled is not None and is_cancelled():
                raise Cancelled("cancelled; nothing was written")
            return self._of_file(array, index)

        with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
            for n, labels in enumerate(pool.map(of_file, grid), 1):
                found.append(labels)
                if on_progress is not None:
                    on_progress("looking which numbers are free in the store", n / len(grid))
        return np.unique(np.concatenate(found))

    def _of_file(self, array: stores.CheckedArray, index: tuple[int, ...]) -> Labels:
        """Return the labels of one file, which is not read if it is known, or is not there."""
        key, place = str(array.array.metadata.encode_chunk_key(index)), array.place
        if not place.is_local:  # nothing says cheaply whether it has changed
            return _read(array, index)
        try:
            status = (place.path / key).stat()
        except FileNotFoundError:
            return np.atleast_1d(np.asarray(array.array.fill_value or 0)).astype(np.int64)
        stamp = status.st_mtime_ns, status.st_size, status.st_ino
        name = place.url, key
        if name not in self._known or self._known[name][0] != stamp:
            self._known[name] = stamp, _read(array, index)
        return self._known[name][1]


def _read(array: stores.CheckedArray, index: tuple[int, ...]) -> Labels:
    parts = [labels_in(array[region]) for region in _layers_of(array, index)]
    return np.unique(np.concatenate(parts))


def _layers_of(array: stores.CheckedArray, index: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Give the regions of a file, as thick as its chunks: a shard may be too large to be read at once."""
    ends = zip(index, array.files, array.shape, strict=True)
    (start, stop), *rest = [(at * edge, min((at + 1) * edge, n)) for at, edge, n in ends]
    for first in range(start, stop, array.chunks[0]):
        yield slice(first, min(first + array.chunks[0], stop)), *(slice(*one) for one in rest)


def free_numbers(edited: NDArray[Any], before: NDArray[Any], held: Callable[[], Labels], limit: int) -> dict[int, int]:
    """Return numbers for what is new in a region of a store and has the number of something elsewhere in it.

    Parameters
    ----------
    edited : integer array
        What the region shall hold.
    before : integer array
        What it held when it was copied out: what keeps such a label is not new.
    held : callable
        Returns all labels of the store; only called if something is new.
    limit : int
        The highest label that the store can hold.

    Returns
    -------
    dict of int to int
        Which label becomes which: numbers above all there are, or where they end there, the smallest that are free.
        A new label that nothing in the store has stays what it is, unless it is above the limit.

    Raises
    ------
    ValueError
        If there are no free numbers.
    """
    there = labels_in(edited)
    new = np.setdiff1d(there, labels_in(before), assume_unique=True)
    new = new[new > 0]
    if not new.size:
        return {}
    taken, limit = held(), min(limit, int(np.iinfo(np.int64).max))
    moved = new[np.isin(new, taken) | (new > limit)]
    taken = np.union1d(taken, np.setdiff1d(there, moved, assume_unique=True))
    return dict(zip(moved.tolist(), _free(taken, len(moved), limit), strict=True))


def _free(taken: Labels, n: int, limit: int) -> list[int]:
    highest = int(taken.max(initial=0))
    if highest + n <= limit:
        return list(range(highest + 1, highest + 1 + n))
    free: list[int] = np.setdiff1d(np.arange(1, min(limit, len(taken) + n) + 1), taken)[:n].tolist()
    if len(free) < n:
        raise ValueError(
            f"the store has numbers up to {limit:,}, of which {len(free):,} {'is' if len(free) == 1 else 'are'} free, "
            f"and the region holds {n:,} new object{'s' * (n != 1)}; delete objects and write that back first, or copy "
            "the labels into a store of a larger dtype, such as uint32, and edit them there; what you painted is still "
            "in its layer"
        )
    return free
