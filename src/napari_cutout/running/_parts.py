"""Runs as job arrays: each of several processes does its share of every sweep, and they meet in the journal."""

from __future__ import annotations

import logging
import pickle
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._monitor import note, stage, tick
from ..blockwise import LARGE, both
from ._journal import Journaled, Sweep

__all__ = ["FAILURES", "PATIENCE", "Over", "Parts", "Waiting", "failure_of", "part_of"]

PATIENCE = 900.0
"""Seconds that a part waits for others before it ends, to be started again."""

JOIN_AFTER = 30.0
"""Seconds for which others leave the joining to the part that was the last to finish."""

PIECE_SECONDS = 10.0
"""Seconds of work whose large summaries are combined before they are written down."""

_PAUSES = (0.05, 10.0)
"""Shortest and longest seconds between two looks for what others have done."""


FAILURES = "failed"
"""Where parts say in what error they ended, until they are started again."""

_log = logging.getLogger(__name__)


class Waiting(TimeoutError):
    """A part has done its share and cannot go on without others; started again, it goes on from there."""


class Over(Exception):
    """Another part has ended the run."""


@dataclass(slots=True, kw_only=True)
class Parts(Journaled):
    """Runs one share of the sweeps of a run that several processes do together, without a scheduler.

    Part i of n does tiles i - 1, i - 1 + n, i - 1 + 2 n ... of every sweep, so that empty corners of a volume are
    spread over all parts. Whoever is last joins what all have found; the others wait for that.

    Parameters
    ----------
    part : tuple of int
        Which part this is, from 1, and how many there are.
    patience : float
        Seconds to wait for others.
    is_over : callable, optional
        Tells whether the run was ended by another part meanwhile.

    Raises
    ------
    Waiting
        If others have not done their share in time.
    Over
        If the run was ended by another part.

    Notes
    -----
    Parts may be killed and started again, begin late, or run one after the other: labels are those of the whole.
    Summaries are combined in the order of tiles; those of more than 64 KiB in the order of shares. What the driver
    holds in other runs, every part does.
    """

    part: tuple[int, int]
    patience: float = PATIENCE
    is_over: Callable[[], bool] | None = None
    _name: str = field(default="", init=False)

    @property
    def leads(self) -> bool:
        """Whether this part does what is done once."""
        return self.part[0] == 1

    def map(self, name: str, work: Callable[[int], Any], n: int) -> list[Any]:
        """Return what the tiles return, in their order; this part does its share of them."""
        sweep = self._sweep(name, n)
        if not sweep.is_finished:
            self._look()
            self._map(sweep, name, work, self._share(n))
            self._meet(sweep, name, lambda: self._joined(sweep, name, work, n))
        return list(sweep.value)

    def reduce(self, name: str, work: Callable[[int], Any], n: int, combine: Callable[[Any, Any], Any]) -> Any:
        """Combine what tiles return; this part does its share of them."""
        sweep = self._sweep(name, n)
        if not sweep.is_finished:
            self._look()
            self._fold(sweep, name, work, self._share(n), combine)
            self._meet(sweep, name, lambda: self._total(sweep, name, work, n, combine))
        return sweep.value

    def wait_for(self, name: str, what: str) -> Any:
        """Return a value that the first part puts into the records.

        Parameters
        ----------
        name : str
            Of the value.
        what : str
            What the first part does, as in "waiting for ...".
        """
        pauses = _Pauses(self.patience)
        while (value := self.records.get(name)) is None:
            self._pause(pauses, [1], what)
        return value

    def _look(self) -> None:
        """End where the run has ended. What was read before as not there was then not put away by its end."""
        if self.is_over is not None and self.is_over():
            raise Over

    # The own share ----------------------------------------------------------------------------------

    def _share(self, n: int) -> range:
        return range(self.part[0] - 1, n, self.part[1])

    def _map(self, sweep: Sweep, name: str, work: Callable[[int], Any], share: Sequence[int]) -> None:
        """Do what is left of a share, tile by tile."""
        known = sweep.entries()
        left = [number for number in share if number not in known]
        self.n_known += len(share) - len(left)
        with self._kept(sweep):
            for number, value in zip(left, self.inner.each(name, work, left), strict=True):
                sweep.append(number, value)
                self._tell(number, number + 1)
        self._done(sweep)

    def _fold(
        self,
        sweep: Sweep,
        name: str,
        work: Callable[[int], Any],
        share: Sequence[int],
        combine: Callable[[Any, Any], Any],
    ) -> None:
        """Do what is left of a share; small summaries are kept one by one, large ones combined for a while."""
        known = {number for numbers, _ in sweep.entries().values() for number in numbers}
        left = [number for number in share if number not in known]
        self.n_known += len(share) - len(left)
        numbers: list[int] = []
        at, begun, total = 0, time.monotonic(), None
        with self._kept(sweep):
            for count, summary in self.inner.folded(name, work, left, combine):
                numbers, total = numbers + left[at : at + count], both(total, summary, combine)
                at += count
                for number in left[at - count : at]:
                    self._tell(number, number + 1)
                if time.monotonic() - begun >= PIECE_SECONDS or not _is_large(total) or at == len(left):
                    sweep.append(numbers[0], (tuple(numbers), total))
                    begun, numbers, total = time.monotonic(), [], None
        self._done(sweep)

    def _done(self, sweep: Sweep) -> None:
        """Say that the own share is done."""
        self.records.flush()
        self.records.put(f"{sweep.folder}/{self._mark(self.part[0])}", sweep.noted())

    def _mark(self, part: int) -> str:
        return f"done-{part:05}-of-{self.part[1]:05}"

    # Together ---------------------------------------------------------------------------------------

    def _meet(self, sweep: Sweep, name: str, join: Callable[[], None]) -> None:
        """Join what all have found if this part is the last, and else wait for who does."""
        pauses, complete = _Pauses(self.patience), None
        while True:
            sweep.read()
            if sweep.is_finished:
                return
            missing = self._missing(sweep)
            if not missing:
                now = time.monotonic()
                if pauses.n == 0 or (complete is not None and now - complete >= JOIN_AFTER):
                    join()
                    return
                complete = now if complete is None else complete
            self._pause(pauses, missing, name)

    def _missing(self, sweep: Sweep) -> list[int]:
        """Return which parts have not done their share."""
        there = {found.rpartition("/")[2] for found in self.records.place.names(sweep.folder)}
        return [part for part in range(1, self.part[1] + 1) if self._mark(part) not in there]

    def _joined(self, sweep: Sweep, name: str, work: Callable[[int], Any], n: int) -> None:
        """Publish what all tiles returned."""
        self._hear(sweep)
        found = sweep.entries()
        if lost := [number for number in range(n) if number not in found]:
            sweep.read()  # another part may have joined them, and put them away
            if sweep.is_finished:
                return
            self._look()
            found.update(zip(lost, self.inner.each(name, work, lost), strict=True))
        sweep.value = sweep.finish([found[number] for number in range(n)])

    def _total(
        self, sweep: Sweep, name: str, work: Callable[[int], Any], n: int, combine: Callable[[Any, Any], Any]
    ) -> None:
        """Publish the sum over all tiles, in the order of their first tiles."""
        self._hear(sweep)
        pieces: dict[int, Any] = {}
        known: set[int] = set()
        for first, (numbers, value) in sorted(sweep.entries().items()):
            if known.isdisjoint(numbers):  # a part that was taken for dead may have gone on beside its follower
                known.update(numbers)
                pieces[first] = value
        if lost := [number for number in range(n) if number not in known]:
            sweep.read()
            if sweep.is_finished:
                return
            self._look()
            pieces.update(zip(lost, self.inner.each(name, work, lost), strict=True))
        total = None
        for _, value in sorted(pieces.items(), key=lambda piece: piece[0]):
            total = both(total, value, combine)
        sweep.value = sweep.finish(total)

    def _hear(self, sweep: Sweep) -> None:
        """Note what the tiles of other parts have noted."""
        for part in range(1, self.part[1] + 1):
            note(**self.records.get(f"{sweep.folder}/{self._mark(part)}", {}))

    def _pause(self, pauses: _Pauses, parts: Sequence[int], what: str) -> None:
        """Wait a moment for these parts."""
        i, n = self.part
        others = _named(parts) if parts else "who joins them"
        failed = self._failed(parts)
        if pauses.n == 0 or failed != pauses.failed:
            waiting = f"waiting for {others} of {n} ({what})" if parts else f"waiting for {others} ({what})"
            stage("; ".join((waiting, *failed.values())))
            for part in failed.keys() - pauses.failed.keys():
                _log.warning("%s; start it again", failed[part])
            pauses.failed = failed
        tick(0, 1)
        self._look()
        if pauses.are_over():
            why = "".join(f" ({said})" for said in failed.values())
            raise Waiting(
                f"part {i} of {n} has done its share of {what!r} and waited {self.patience:.0f} s for {others}{why}; "
                f"start part {i} again: it goes on from here"
            )
        pauses.sleep()

    def _failed(self, parts: Sequence[int]) -> dict[int, str]:
        """Return which of these parts ended with an error, and what they said."""
        there = set(self.records.place.names(FAILURES))
        said = {part: self.records.get(failure_of(part)) for part in parts if failure_of(part) in there}
        return {part: f"part {part} ended with an error: {error}" for part, error in said.items() if error}


@dataclass(slots=True)
class _Pauses:
    """Pauses that grow, until patience ends."""

    patience: float
    n: int = 0
    began: float = field(default_factory=time.monotonic)
    failed: Mapping[int, str] = field(default_factory=dict)

    def are_over(self) -> bool:
        return time.monotonic() - self.began >= self.patience

    def sleep(self) -> None:
        shortest, longest = _PAUSES
        time.sleep(min(shortest * 1.5 ** min(self.n, 60), longest))
        self.n += 1


def part_of(text: str | tuple[int, int]) -> tuple[int, int]:
    """Read which part of a job array a process is.

    Parameters
    ----------
    text : str or tuple of int
        Such as ``"3/64"``: the third of 64.

    Returns
    -------
    tuple of int
        Which part, from 1, and how many there are.

    Raises
    ------
    ValueError
        If it is none of them.

    Examples
    --------
    >>> part_of("3/64")
    (3, 64)
    """
    found = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text if isinstance(text, str) else "/".join(map(str, text)))
    i, n = map(int, found.groups()) if found else (0, 0)
    if not 1 <= i <= n:
        raise ValueError(f"part must be which one of how many, from 1/n to n/n such as '3/64', got {text!r}")
    return i, n


def failure_of(part: int) -> str:
    """Return the name of the record in which a part says in what error it ended."""
    return f"{FAILURES}/{part:05}"


def _named(parts: Sequence[int]) -> str:
    """Name parts for people."""
    shown = ", ".join(map(str, parts[:8])) + (f" and {len(parts) - 8} more" if len(parts) > 8 else "")
    return f"part {shown}" if len(parts) == 1 else f"parts {shown}"


def _is_large(value: Any) -> bool:
    return len(pickle.dumps(value, protocol=5)) >= LARGE
