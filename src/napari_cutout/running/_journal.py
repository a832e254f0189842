"""Sweeps that are remembered tile by tile, so that a run that was killed goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from .._monitor import facts, note
from ..blockwise import Chunks, Sweeper, both
from ._records import Records

__all__ = ["SAVE_EVERY", "Journaled", "Sweep"]

SAVE_EVERY = 1.0
"""Seconds after which a sum over tiles is saved, when another tile is done."""

_FACTS = -1
"""Number of the record that holds what tiles have noted."""

MakeScratch = Callable[[str, Sequence[int], str, Chunks], Any]
"""``make_scratch(name, shape, dtype, chunks)`` makes a scratch array, or opens that which has the name already."""


@dataclass(slots=True)
class Journaled:
    """Runs the sweeps of another sweeper, and leaves out what a journal knows already.

    Sweeps are known by their order: every process that runs the same recipe with the same tiles makes the same ones.

    Parameters
    ----------
    inner : Sweeper
        Who runs them.
    records : Records
        The journal.
    make_scratch : callable
        ``make_scratch(name, shape, dtype, chunks)`` makes the scratch array of this name, or opens it.
    on_tile : callable, optional
        Told the number of every tile that is done.
    check : callable, optional
        Raises where another process has taken over the run.
    n_sweeps, n_scratch : int
        How many sweeps and scratch arrays there were.
    n_known, n_done : int
        How many tiles of them the journal knew already, and how many were done now.
    is_cut_off : bool
        Whether a sweep ended before all its tiles were done.

    Notes
    -----
    Deterministic: sums are made in the order of the tiles, also where a run was cut off in between.
    """

    inner: Sweeper
    records: Records
    make_scratch: MakeScratch
    on_tile: Callable[[int], None] | None = None
    check: Callable[[], None] = lambda: None
    n_sweeps: int = 0
    n_scratch: int = 0
    n_known: int = 0
    n_done: int = 0
    is_cut_off: bool = False

    @property
    def device(self) -> Literal["cpu", "gpu"]:
        """Where tiles are computed."""
        return self.inner.device

    @property
    def memory(self) -> int | None:
        """Bytes that what is done whole may take beside the tiles."""
        return self.inner.memory

    @property
    def sources(self) -> dict[str, Any]:
        """What the dask arrays of this run are read from."""
        return self.inner.sources

    def chunks(self, shape: Sequence[int]) -> Chunks:
        """Return the tiles of an array of this shape."""
        return self.inner.chunks(shape)

    def each(self, name: str, work: Callable[[int], Any], numbers: Sequence[int]) -> Iterator[Any]:
        """Yield what tiles return, and remember nothing."""
        return self.inner.each(name, work, numbers)

    def folded(
        self, name: str, work: Callable[[int], Any], numbers: Sequence[int], combine: Callable[[Any, Any], Any]
    ) -> Iterator[tuple[int, Any]]:
        """Yield how many tiles a summary stands for and the summary, and remember nothing."""
        return self.inner.folded(name, work, numbers, combine)

    def scratch(self, shape: Sequence[int], dtype: str, chunks: Chunks) -> Any:
        """Return an array of zeros, or what a run before this has written into it."""
        self.n_scratch += 1
        return self.make_scratch(f"{self.n_scratch:04}", shape, dtype, chunks)

    def map(self, name: str, work: Callable[[int], Any], n: int) -> list[Any]:
        """Return what the tiles return, in their order."""
        sweep = self._sweep(name, n)
        if sweep.is_finished:
            return list(sweep.value)
        returned = sweep.entries()
        self.n_known += len(returned)
        left = [number for number in range(n) if number not in returned]
        with self._kept(sweep):
            for number, value in zip(left, self.inner.each(name, work, left), strict=True):
                returned[number] = value
                sweep.append(number, value)
                self._tell(number, number + 1)
        return list(sweep.finish([returned[number] for number in range(n)]))

    def reduce(self, name: str, work: Callable[[int], Any], n: int, combine: Callable[[Any, Any], Any]) -> Any:
        """Combine what tiles return, in their order."""
        sweep = self._sweep(name, n)
        if sweep.is_finished:
            return sweep.value
        done, total = sweep.sum()
        self.n_known += done
        with self._kept(sweep):
            for n_tiles, summary in self.inner.folded(name, work, range(done, n), combine):
                total = both(total, summary, combine)
                done += n_tiles
                sweep.add(done, total)
                self._tell(done - n_tiles, done)
        return sweep.finish(total)

    @property
    def leads(self) -> bool:
        """Whether this process does what is done once; of several that run together, only one does."""
        return True

    @contextmanager
    def _kept(self, sweep: Sweep) -> Iterator[None]:
        """Keep what is known when a sweep is cancelled or fails, and know that it did."""
        self.is_cut_off = True
        with sweep.flushed():
            yield
        self.is_cut_off = False

    def _tell(self, start: int, stop: int) -> None:
        self.n_done += stop - start
        for number in range(start, stop) if self.on_tile is not None else ():
            self.on_tile(number)  # type: ignore[misc]

    def _sweep(self, name: str, n: int) -> Sweep:
        """Return the next sweep, and refuse a journal in which it is another one."""
        self.check()
        self.n_sweeps += 1
        folder = f"sweeps/{self.n_sweeps:05}"
        title = self.records.get(f"{folder}/title")
        if title is None:
            self.records.put(f"{folder}/title", (name, n))
        elif title != (name, n):
            raise ValueError(
                f"sweep {self.n_sweeps} of this run is {name!r} over {n:,} tiles, and the journal holds {title[0]!r} "
                f"over {title[1]:,}, so it is that of another run; pass overwrite=True to run from the start"
            )
        sweep = Sweep(self.records, folder, facts())
        sweep.read()
        self.n_known += n if sweep.is_finished else 0
        return sweep


@dataclass(slots=True)
class Sweep:
    """One sweep in a journal: its result, or what is known of it so far."""

    records: Records
    folder: str
    before: dict[str, Any]
    is_finished: bool = False
    value: Any = None
    _noted: dict[str, Any] = field(default_factory=dict)
    _saved: float = field(default_factory=time.monotonic)
    _sum: tuple[int, Any] | None = None

    def read(self) -> None:
        """Look whether it is finished, and note what its tiles noted."""
        if (found := self.records.get(f"{self.folder}/value")) is not None:
            self.is_finished, (self.value, noted) = True, found
            note(**noted)

    def entries(self) -> dict[int, Any]:
        """Return what tiles returned before."""
        known = self.records.entries(self.folder)
        note(**known.pop(_FACTS, {}))
        return known

    def sum(self) -> tuple[int, Any]:
        """Return over how many tiles was summed before, and the sum."""
        done, total, noted = self.records.get(f"{self.folder}/sum", (0, None, {}))
        note(**noted)
        return done, total

    def append(self, number: int, value: Any) -> None:
        """Remember what a tile returned, and what tiles have noted."""
        if (noted := self.noted()) != self._noted:
            self._noted = noted
            self.records.append(self.folder, _FACTS, noted)
        self.records.append(self.folder, number, value)

    def add(self, done: int, total: Any) -> None:
        """Remember the sum over the tiles that are done, now and then."""
        self._sum = (done, total)
        if time.monotonic() - self._saved >= SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Remember the sum over the tiles that are done."""
        if self._sum is not None:
            self.records.put(f"{self.folder}/sum", (*self._sum, self.noted()))
        self._sum, self._saved = None, time.monotonic()

    @contextmanager
    def flushed(self) -> Iterator[None]:
        """Keep what is known when a run is cancelled or fails."""
        try:
            yield
        except Exception:
            with suppress(OSError):  # or it would hide what went wrong before
                self.save()
                self.records.flush()
            raise

    def finish(self, value: Any) -> Any:
        """Remember the result, in place of what tiles returned."""
        self.records.put(f"{self.folder}/value", (value, self.noted()))
        self.records.remove(f"{self.folder}/sum")
        for segment in self.records.segments(self.folder):
            self.records.remove(segment)
        return value

    def noted(self) -> dict[str, Any]:
        """Return what was noted since the sweep began."""
        return {name: fact for name, fact in facts().items() if name not in self.before or self.before[name] != fact}
