"""Sweeps on the workers of a `dask.distributed` cluster.

The driver hands out few tiles more than the workers have threads, takes what they return in the order of tiles, and
hands a tile out again when its worker dies. What all tiles of a sweep have in common travels once to every worker.
"""

from __future__ import annotations

import io
import os
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import cloudpickle
import numpy as np

from .._array import library, to_numpy
from .._compiled import sharing
from .._monitor import note, stage, tick, watch
from ._flight import Flight
from ._made import Stored
from ._sweeps import LARGE, Chunks, TooLarge, both, free_kept, regions_of, sweeping, tiles_of

__all__ = ["Cluster"]

MOST_IN_GROUP = 16
"""Tiles in a task at most: what a worker that dies loses."""

TASKS_PER_THREAD = 32
"""Tasks of a sweep for each thread at least, so that all end at about the same time; tiles are grouped beyond."""

Combine = Callable[[Any, Any], Any]


@dataclass(slots=True, eq=False)
class Cluster:
    """Runs sweeps on the workers of a cluster.

    Parameters
    ----------
    client : distributed.Client
        Connected to the scheduler; see `_workers.connected`.
    tile : tuple of int
        Edges of a tile along the last axes of an array.
    device : {"cpu", "gpu"}
        Where workers compute tiles. On GPUs a worker has one tile at work, whatever its threads.
    make_scratch : callable, optional
        ``make_scratch(shape, dtype, chunks)`` makes an array that all workers see, in a store; see Raises.
    memory : int, optional
        Bytes that a tile, or what the driver joins, may take; None leaves it to what is free.
    patience : float
        Seconds to wait for a worker where none is left.
    in_memory : tuple of array
        Inputs in the memory of this process, which are read by regions: they are put into scratch, once.

    Raises
    ------
    ValueError
        If an array is to be kept in scratch, and scratch is the memory of one process.
    TooLarge
        If memory ran out on a worker with one tile at work.
    ConnectionError
        If the scheduler or all workers are gone.

    Notes
    -----
    Sweeps give what `Threads` gives, in the same order; summaries of more than 64 KiB are combined in groups of
    neighbouring tiles. A tile may run twice, when its worker is lost after it wrote.
    """

    client: Any
    tile: tuple[int, ...]
    device: Literal["cpu", "gpu"] = "cpu"
    make_scratch: Callable[[Sequence[int], str, Chunks], Any] | None = None
    memory: int | None = None
    patience: float = 300.0
    in_memory: tuple[Any, ...] = ()
    sources: dict[str, Any] = field(default_factory=dict)
    one_at_a_time: bool = False
    _in_store: dict[int, tuple[Any, Any]] = field(default_factory=dict)

    def chunks(self, shape: Sequence[int]) -> Chunks:
        """Return the tiles of an array of this shape."""
        return tiles_of(shape, self.tile)

    def map(self, name: str, work: Callable[[int], Any], n: int) -> list[Any]:
        """Return what the tiles return, in their order."""
        return list(self.each(name, work, range(n)))

    def reduce(self, name: str, work: Callable[[int], Any], n: int, combine: Combine) -> Any:
        """Combine what tiles return as they come, in their order."""
        total = None
        for _, summary in self.folded(name, work, range(n), combine):
            total = both(total, summary, combine)
        return total

    def each(self, name: str, work: Callable[[int], Any], numbers: Sequence[int]) -> Iterator[Any]:
        """Yield what these tiles return, in their order."""
        for values in self._groups(name, work, numbers, None):
            yield from values

    def folded(
        self, name: str, work: Callable[[int], Any], numbers: Sequence[int], combine: Combine
    ) -> Iterator[tuple[int, Any]]:
        """Yield how many of the next tiles a summary stands for, and the summary."""
        for values in self._groups(name, work, numbers, combine):
            if isinstance(values, _Folded):
                yield values.n, values.value
            else:
                yield from ((1, value) for value in values)

    def scratch(self, shape: Sequence[int], dtype: str, chunks: Chunks) -> Any:
        """Return an array of zeros that all workers see."""
        made = None if self.make_scratch is None else self.make_scratch(shape, dtype, chunks)
        if made is None or isinstance(made, np.ndarray):
            raise ValueError(
                "workers of a cluster do not see an array in the memory of this process; "
                "pass a target that is a store, in a folder or at a URL that all of them can open"
            )
        return made

    def _groups(
        self, name: str, work: Callable[[int], Any], numbers: Sequence[int], combine: Combine | None
    ) -> Iterator[Any]:
        """Yield what groups of tiles return, in order, with few of them out at a time."""
        stage(name)
        flight = Flight(self.client, self.patience)
        groups = _grouped(numbers, flight.n_threads())
        shared = None if hasattr(work, "only") else flight.share(self._packed(work, combine))
        done = 0

        def send(at: int) -> Any:
            packed = shared or self._packed(_Only(tuple(map(work.only, groups[at])), groups[at]), combine)  # type: ignore[attr-defined]
            return flight.send(_run, packed, groups[at], self.device == "gpu" or self.one_at_a_time)

        def poll() -> None:
            tick(done, len(numbers))

        try:
            for at in range(len(groups)):
                poll()
                flight.land(at, len(groups), send, poll)
                values, facts = self._taken(flight, at, send, poll)
                done += len(groups[at])
                note(**facts)
                yield values
        finally:
            flight.end()
        poll()

    def _taken(self, flight: Flight, at: int, send: Callable[[int], Any], poll: Callable[[], None]) -> Any:
        """Return what a group returned; where memory ran out, let the others end and repeat it alone."""
        try:
            return flight.take(at)
        except MemoryError as error:
            self.one_at_a_time = True
            note(out_of_memory=f"memory ran out on a worker ({error}); went on with one tile at a time on each")
        flight.settle(poll)
        flight.put(at, send(at))
        flight.settle(poll)
        try:
            return flight.take(at)
        except MemoryError as error:
            raise TooLarge(f"memory ran out with one tile of {self.tile} voxels at work ({error})") from error

    def _packed(self, work: Callable[[int], Any], combine: Combine | None) -> _Packed:
        """Return what a sweep is to do, as bytes that mean the same on a worker."""
        file = io.BytesIO()
        _Packer(file, self).dump((work, combine))
        return _Packed(uuid.uuid4().hex, file.getvalue())

    def in_store(self, array: Any) -> Any:
        """Return an array in memory as one that all workers see, stored when it is first asked for."""
        if id(array) not in self._in_store:
            host = to_numpy(array)
            chunks = self.chunks(host.shape)
            stored = self.scratch(host.shape, host.dtype.name, chunks)
            for region in regions_of(chunks):
                stored[region] = host[region]
            self._in_store[id(array)] = (array, stored)
        return self._in_store[id(array)][1]


class _Packer(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles what a sweep is to do; images in the memory of the driver go by way of a store."""

    def __init__(self, file: io.BytesIO, cluster: Cluster) -> None:
        super().__init__(file)
        self._cluster = cluster

    def reducer_override(self, value: Any) -> Any:
        if type(value) is Stored and library(value.array) in ("numpy", "cupy"):
            return Stored, (self._cluster.in_store(value.array), value.device)
        if any(value is array for array in self._cluster.in_memory):
            return _same, (self._cluster.in_store(value),)
        return super().reducer_override(value)


@dataclass(frozen=True, slots=True)
class _Packed:
    """What a sweep is to do, as bytes; equal where the token is."""

    token: str
    data: bytes = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class _Folded:
    """The summary of a group of tiles."""

    n: int
    value: Any


@dataclass(frozen=True, slots=True)
class _Only:
    """The work of some tiles alone."""

    works: tuple[Callable[[int], Any], ...]
    numbers: tuple[int, ...]

    def __call__(self, number: int) -> Any:
        return self.works[self.numbers.index(number)](number)


def _grouped(numbers: Sequence[int], n_threads: int) -> list[tuple[int, ...]]:
    """Cut tiles into groups of neighbours, one for each task."""
    size = min(max(len(numbers) // (TASKS_PER_THREAD * n_threads), 1), MOST_IN_GROUP)
    return [tuple(numbers[i : i + size]) for i in range(0, len(numbers), size)]


def _same(value: Any) -> Any:
    return value


# On a worker -------------------------------------------------------------------------------------------

_alone = threading.Lock()
"""Held by the tile at work where a worker may have one only."""


@lru_cache(maxsize=4)
def _unpacked(packed: _Packed) -> Any:
    return cloudpickle.loads(packed.data)


def _run(packed: _Packed, numbers: tuple[int, ...], alone: bool) -> tuple[Any, dict[str, Any]]:
    """Do the work of some tiles, one after the other; return what they return and what they note."""
    work, combine = _unpacked(packed)
    turn: AbstractContextManager[Any] = _alone if alone else nullcontext()
    with turn, sweeping(None), sharing(os.cpu_count() or 1), watch() as monitor:  # a tile is one thread, as dask has it
        try:
            values = [work(number) for number in numbers]
        except MemoryError:
            free_kept()
            raise
    return (values if combine is None else _folded(values, combine)), monitor.facts


def _folded(values: list[Any], combine: Combine) -> list[Any] | _Folded:
    """Combine large summaries here; small ones are combined in one order, whatever the tasks."""
    if len(values) == 1 or max(len(cloudpickle.dumps(value)) for value in values[:1]) < LARGE:
        return values
    total = None
    for value in values:
        total = both(total, value, combine)
    return _Folded(len(values), total)
