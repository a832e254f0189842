"""Sweeps over the tiles of a volume that memory does not hold: who runs them, and how many tiles are at work at once.

A run on a store is a sequence of sweeps. In each, every tile is one job that reads what it needs from stored arrays,
and returns something small or writes a block; between sweeps the driver joins what the tiles told. Inside
``with sweeping(sweeper)`` the plans run their sweeps at once; outside, they make dask graphs.
"""

from __future__ import annotations

import gc
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, overload

import numpy as np

from .. import _device
from .._compiled import sharing
from .._monitor import note, quiet, resumed, stage, tick, ticket
from .._plan import Slices

__all__ = ["Chunks", "Sweeper", "Threads", "TooLarge", "both", "current", "free_kept", "regions_of", "sweeping"]

Chunks = tuple[tuple[int, ...], ...]
"""Lengths of the chunks along each axis, as dask has them."""

LARGE = 1 << 16
"""Bytes from which on the summaries of some tiles are combined before they are sent or kept."""

Work = Callable[[int], Any]
"""What is done for a tile, by its number. It can be pickled and repeated, and what it returns is small."""


class TooLarge(MemoryError):
    """Memory ran out with one tile at work; smaller tiles may fit."""


class Sweeper(Protocol):
    """Who runs sweeps.

    Attributes
    ----------
    device : {"cpu", "gpu"}
        Where tiles are computed.
    memory : int or None
        Bytes that what is done whole may take beside the tiles; None is what is free. It is a part of the plan: what is
        done whole and what in tiles depends on it.
    sources : dict
        What the dask arrays of this run are read from, by name; see `_made`.
    """

    @property
    def device(self) -> Literal["cpu", "gpu"]:
        """Where tiles are computed."""

    @property
    def memory(self) -> int | None:
        """Bytes that what is done whole may take beside the tiles."""

    @property
    def sources(self) -> dict[str, Any]:
        """What the dask arrays of this run are read from, by name."""

    def chunks(self, shape: Sequence[int]) -> Chunks:
        """Return the tiles of an array of this shape."""

    def map(self, name: str, work: Work, n: int) -> list[Any]:
        """Return what ``work(0)`` to ``work(n - 1)`` return; the user reads the name."""

    def reduce(self, name: str, work: Work, n: int, combine: Callable[[Any, Any], Any]) -> Any:
        """Combine what tiles return, None being nothing; `combine` is associative and commutative."""

    def each(self, name: str, work: Work, numbers: Sequence[int]) -> Iterator[Any]:
        """Yield what tiles with these numbers return, in this order; `map` is made of it."""

    def folded(
        self, name: str, work: Work, numbers: Sequence[int], combine: Callable[[Any, Any], Any]
    ) -> Iterator[tuple[int, Any]]:
        """Yield how many of the next tiles a summary stands for, and the summary; `reduce` is made of it."""

    def scratch(self, shape: Sequence[int], dtype: str, chunks: Chunks) -> Any:
        """Return an array of zeros for this run alone: regions of whole chunks are written, and any are read."""


_current: ContextVar[Sweeper | None] = ContextVar("napari_cutout_sweeper", default=None)


def current() -> Sweeper | None:
    """Return who runs sweeps at once; None where dask graphs are to be made."""
    return _current.get()


def both(total: Any, summary: Any, combine: Callable[[Any, Any], Any]) -> Any:
    """Combine what tiles told, None being nothing."""
    return summary if total is None else total if summary is None else combine(total, summary)


@contextmanager
def sweeping(sweeper: Sweeper | None) -> Iterator[None]:
    """Run the sweeps of all plans inside the ``with`` block at once, in this thread."""
    token = _current.set(sweeper)
    try:
        yield
    finally:
        _current.reset(token)


def tiles_of(shape: Sequence[int], edges: Sequence[int]) -> Chunks:
    """Return the chunks of an array that has tiles with these edges along its last axes, and whole axes before."""
    edges = (*shape[: len(shape) - len(edges)], *edges[-len(shape) :])
    return tuple(
        (edge,) * (n // edge) + ((n % edge,) if n % edge else ()) for n, edge in zip(shape, edges, strict=True)
    )


def regions_of(chunks: Chunks) -> Regions:
    """Return the region of every chunk, in scan order."""
    return Regions(chunks)


class Regions(Sequence[Slices]):
    """The regions of chunks, made when they are asked for: what is sent to workers is small however many there are.

    Parameters
    ----------
    chunks : tuple of tuple of int
        Lengths of the chunks along each axis.
    """

    __slots__ = ("_chunks", "_ends")

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._ends = [np.cumsum(sizes).tolist() for sizes in chunks]

    @property
    def chunks(self) -> Chunks:
        """Lengths of the chunks along each axis."""
        return self._chunks

    def __reduce__(self) -> tuple[Any, ...]:
        return Regions, (self._chunks,)

    def __len__(self) -> int:
        return n_tiles(self._chunks)

    @overload
    def __getitem__(self, number: int) -> Slices: ...
    @overload
    def __getitem__(self, number: slice) -> list[Slices]: ...
    def __getitem__(self, number: int | slice) -> Slices | list[Slices]:
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        number = range(len(self))[number]  # raises where there is none
        region: list[slice] = []
        for sizes, ends in zip(self._chunks[::-1], self._ends[::-1], strict=True):
            number, at = divmod(number, len(sizes))
            region.insert(0, slice(ends[at] - sizes[at], ends[at]))
        return tuple(region)


@dataclass(slots=True)
class Threads:
    """Runs sweeps in threads of this process.

    Parameters
    ----------
    tile : tuple of int
        Edges of a tile along the last axes of an array.
    n_workers : int
        How many tiles are at work at most.
    device : {"cpu", "gpu"}
        Where tiles are computed.
    make_scratch : callable, optional
        ``make_scratch(shape, dtype, chunks)`` makes a scratch array; by default in memory.
    memory : int, optional
        As in `Sweeper`.
    """

    tile: tuple[int, ...]
    n_workers: int = 1
    device: Literal["cpu", "gpu"] = "cpu"
    make_scratch: Callable[[Sequence[int], str, Chunks], Any] | None = None
    memory: int | None = None
    sources: dict[str, Any] = field(default_factory=dict)

    def chunks(self, shape: Sequence[int]) -> Chunks:
        """Return the tiles of an array of this shape."""
        return tiles_of(shape, self.tile)

    def map(self, name: str, work: Work, n: int) -> list[Any]:
        """Return what the tiles return, in their order."""
        return list(self.each(name, work, range(n)))

    def reduce(self, name: str, work: Work, n: int, combine: Callable[[Any, Any], Any]) -> Any:
        """Combine what tiles return as they come, in their order, so that few summaries are held."""
        total = None
        for summary in self.each(name, work, range(n)):
            total = both(total, summary, combine)
        return total

    def scratch(self, shape: Sequence[int], dtype: str, chunks: Chunks) -> Any:
        """Return an array of zeros, in memory unless `make_scratch` says more."""
        return np.zeros(shape, dtype) if self.make_scratch is None else self.make_scratch(shape, dtype, chunks)

    def each(self, name: str, work: Work, numbers: Sequence[int]) -> Iterator[Any]:
        """Yield what these tiles return, in their order, with at most `n_workers` at work or waiting to be taken."""
        stage(name)
        job, n = _Job(work, ticket(), self.n_workers), len(numbers)
        with ThreadPoolExecutor(self.n_workers) as pool:
            ahead: deque[tuple[int, Future[Any]]] = deque()
            waiting = iter(numbers)
            try:
                for done in range(n):
                    tick(done, n)
                    for number in itertools.islice(waiting, self.n_workers - len(ahead)):
                        ahead.append((number, pool.submit(job, number)))
                    number, future = ahead.popleft()
                    yield self._taken(number, future, ahead, job)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        tick(n, n)

    def folded(
        self, name: str, work: Work, numbers: Sequence[int], combine: Callable[[Any, Any], Any]
    ) -> Iterator[tuple[int, Any]]:
        """Yield 1 and what a tile returns, in their order: here is nothing to gain by combining some before."""
        return ((1, summary) for summary in self.each(name, work, numbers))

    def _taken(self, number: int, future: Future[Any], ahead: deque[tuple[int, Future[Any]]], job: _Job) -> Any:
        """Return what a tile returned; where memory ran out, let the others end and repeat it alone."""
        try:
            return future.result()
        except MemoryError as error:
            for _, other in ahead:
                other.exception()
            fewer = max(self.n_workers // 2, 1)
            note(out_of_memory=f"memory ran out with {self.n_workers} tiles at work; went on with {fewer}")
            self.n_workers = fewer
            del error, future
        free_kept()
        try:
            return job(number)
        except MemoryError as error:
            raise TooLarge(f"memory ran out with one tile of {self.tile} voxels at work ({error})") from error


@dataclass(frozen=True, slots=True)
class _Job:
    """The work of a tile, in a thread that knows who watches and runs no sweeps of its own."""

    work: Work
    watcher: int | None
    n_beside: int

    def __call__(self, number: int) -> Any:
        with sweeping(None), resumed(self.watcher), quiet(), sharing(self.n_beside):
            return self.work(number)


def free_kept() -> None:
    """Give back what libraries keep for later."""
    gc.collect()
    _device.release()


def n_tiles(chunks: Chunks) -> int:
    """Return how many tiles there are."""
    return math.prod(map(len, chunks))
