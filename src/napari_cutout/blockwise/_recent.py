"""Chunks that were read a moment ago, so that the neighbours of several tiles are decoded once."""

from __future__ import annotations

import itertools
import math
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _device
from .._array import Array
from .._plan import Slices
from ._made import Source, Stored

__all__ = ["remembering"]

MOST_BYTES = 1 << 26
"""Bytes of chunks that are remembered of one array."""


def remembering(source: Source) -> Source:
    """Return a source that decodes no chunk again of those that were read last, where it is stored in chunks.

    Parameters
    ----------
    source : Source
        An input of a run, which nobody writes to meanwhile.

    Notes
    -----
    Memory: up to 64 MiB. A tile with a halo meets up to 27 chunks where it is one itself, each of which its neighbours
    meet as well.
    """
    chunks = getattr(source.array, "chunks", None) if isinstance(source, Stored) else None
    if not isinstance(source, Stored) or not chunks or not all(isinstance(edge, int) for edge in chunks):
        return source
    n_bytes = math.prod(chunks) * np.dtype(source.dtype).itemsize
    if tuple(chunks) == source.shape or n_bytes > MOST_BYTES // 4:
        return source
    return _Remembering(source, tuple(chunks), MOST_BYTES // n_bytes)


@dataclass(slots=True, eq=False)
class _Memory:
    """The chunks that were read last; one that is sent elsewhere is empty."""

    chunks: OrderedDict[tuple[int, ...], NDArray[Any]] = field(default_factory=OrderedDict)
    lock: Any = field(default_factory=threading.Lock)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Memory, ()

    def get(self, at: tuple[int, ...]) -> NDArray[Any] | None:
        with self.lock:
            if at in self.chunks:
                self.chunks.move_to_end(at)
            return self.chunks.get(at)

    def put(self, at: tuple[int, ...], chunk: NDArray[Any], most: int) -> None:
        with self.lock:
            self.chunks[at] = chunk
            while len(self.chunks) > most:
                self.chunks.popitem(last=False)


@dataclass(frozen=True, slots=True, eq=False)
class _Remembering:
    """Reads whole chunks, and remembers those that are met by their edges."""

    source: Stored
    edges: tuple[int, ...]
    most: int
    memory: _Memory = field(default_factory=_Memory)
    parents: tuple[()] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return self.source.shape

    @property
    def dtype(self) -> str:
        """The dtype of what is read."""
        return self.source.dtype

    def read(self, region: Slices) -> Array:
        """Return a region: of chunks that are remembered, and of those that are read for it."""
        if all(s.start % e == 0 and (s.stop % e == 0 or s.stop == n) for s, e, n in self._along(region)):
            return self.source.read(region)  # whole chunks, which no other tile meets
        block = np.empty([s.stop - s.start for s in region], self.dtype)
        numbers = (range(s.start // e, -(-s.stop // e)) for s, e, _ in self._along(region))
        for at in itertools.product(*numbers):
            met = zip(at, region, self.edges, strict=True)
            ends = [(max(s.start, i * e), min(s.stop, (i + 1) * e)) for i, s, e in met]
            into = tuple(slice(a - s.start, b - s.start) for (a, b), s in zip(ends, region, strict=True))
            of = tuple(slice(a - i * e, b - i * e) for (a, b), i, e in zip(ends, at, self.edges, strict=True))
            block[into] = self._chunk(at)[of]
        return _device.place(block, self.source.device)

    def _along(self, region: Slices) -> list[tuple[slice, int, int]]:
        return list(zip(region, self.edges, self.shape, strict=True))

    def _chunk(self, at: tuple[int, ...]) -> NDArray[Any]:
        if (chunk := self.memory.get(at)) is None:
            region = tuple(
                slice(i * e, min((i + 1) * e, n)) for i, e, n in zip(at, self.edges, self.shape, strict=True)
            )
            chunk = np.ascontiguousarray(self.source.array[region], dtype=self.dtype)
            self.memory.put(at, chunk, self.most)
        return chunk
