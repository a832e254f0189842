"""Chunks that were decoded last: a tile with its halo cuts through chunks that its neighbours need as well."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LIMIT", "Recent", "assembled"]

LIMIT = 1 << 26
"""Bytes of decoded chunks that an array keeps at most."""

Index = tuple[int, ...]
Region = tuple[slice, ...]


class Recent:
    """The chunks of an array that were asked for last, by their index; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._chunks: OrderedDict[Index, NDArray[Any]] = OrderedDict()
        self._n_bytes = 0

    def get(self, index: Index, decode: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Return a chunk, decoded unless it is known.

        Parameters
        ----------
        index : tuple of int
            Which chunk.
        decode : callable
            Reads it. Two threads that miss the same chunk at once read it twice, which costs time alone.
        """
        with self._lock:
            if (known := self._chunks.get(index)) is not None:
                self._chunks.move_to_end(index)
                return known
        chunk = decode()
        with self._lock:
            if index not in self._chunks and chunk.nbytes <= LIMIT:
                self._chunks[index] = chunk
                self._n_bytes += chunk.nbytes
                while self._n_bytes > LIMIT:
                    self._n_bytes -= self._chunks.popitem(last=False)[1].nbytes
        return chunk


def assembled(
    region: Region,
    chunks: Iterable[tuple[Index, Region]],
    read: Callable[[Region], NDArray[Any]],
    recent: Recent,
    dtype: np.dtype[Any],
) -> NDArray[Any]:
    """Return a box, put together from whole chunks.

    Parameters
    ----------
    region : tuple of slice
        The box.
    chunks : iterable of (index, region)
        Every chunk that it touches.
    read : callable
        ``read(region)`` reads a chunk.
    recent : Recent
        What was read before.
    dtype : dtype
        Of the box.
    """
    out = np.empty([part.stop - part.start for part in region], dtype)
    for index, chunk in chunks:
        found = recent.get(index, lambda where=chunk: read(where))  # type: ignore[misc]
        out[_within(chunk, region, region)] = found[_within(chunk, region, chunk)]
    return out


def _within(chunk: Sequence[slice], region: Sequence[slice], of: Sequence[slice]) -> Region:
    """Return what a chunk and a box share, counted from the corner of one of them."""
    return tuple(
        slice(max(c.start, r.start) - o.start, min(c.stop, r.stop) - o.start)
        for c, r, o in zip(chunk, region, of, strict=True)
    )
