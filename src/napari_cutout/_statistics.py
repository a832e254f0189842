"""Statistics of a whole that is more than what a method runs on.

A method that looks at an image only through statistics of it (a histogram, a range of grey levels) can label a part
as it would label the whole, if it is told the statistics of the whole. That is what a preview of one slice does, and
what several frames that share one threshold do. A method never knows: its plan asks here, inside ``with using(...)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

R = TypeVar("R")

Key = tuple[str, ...]
"""Which statistics: the number of the question in a run, the names of the sweeps, and the state they begin with."""


class Statistics(Protocol):
    """Who is asked for the statistics of a plan."""

    def state(self, key: Key, start: Any, sweeps: Sequence[Any], summary: Callable[[Any, Any], Any]) -> Any:
        """Return the state after all sweeps.

        Parameters
        ----------
        key : tuple of str
            By what the statistics are known again.
        start : object
            The state before the first sweep.
        sweeps : sequence of Pass
            The sweeps, in order.
        summary : callable
            ``summary(sweep, state)`` sweeps over the arrays at hand.
        """

    def reaches(self, width: Sequence[int]) -> None:
        """Hear that a step of the method looks this far beyond a voxel along each axis."""


@dataclass(slots=True)
class Asked:
    """Who is asked in one run, with a count of the questions.

    Two steps of a run may ask alike, and yet look at different voxels: the second inside what the first has cut. A
    run asks in the same order whenever it is repeated, so that the count tells them apart.
    """

    statistics: Statistics
    n_questions: int = 0

    def state(self, start: Any, sweeps: Sequence[Any], summary: Callable[[Any, Any], Any]) -> Any:
        """Return the state after all sweeps, of whoever is asked."""
        self.n_questions += 1
        # Sweeps depend on nothing but their state, so their names and what they begin with say it all.
        key = (str(self.n_questions), *(sweep.name for sweep in sweeps), repr(start))
        return self.statistics.state(key, start, sweeps, summary)

    def reaches(self, width: Sequence[int]) -> None:
        """Say that a step of the method looks this far beyond a voxel along each axis."""
        self.statistics.reaches(width)


_current: ContextVar[Asked | None] = ContextVar("napari_cutout_statistics", default=None)


def current() -> Asked | None:
    """Return who is to be asked, or None if the arrays at hand are the whole."""
    return _current.get()


@contextmanager
def using(statistics: Statistics) -> Iterator[None]:
    """Ask `statistics` for every statistic of the one run inside the ``with`` block, in this thread."""
    token = _current.set(Asked(statistics))
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def alone() -> Iterator[None]:
    """Ask nobody inside the ``with`` block.

    For statistics of numbered objects, which belong to the arrays at hand: number 1 of one frame and number 1 of the
    next are two objects.
    """
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)


def swept(start: Any, sweeps: Sequence[Any], summary: Callable[[Any, Any], Any]) -> Any:
    """Return the state after all sweeps over the arrays at hand."""
    state = start
    for sweep in sweeps:
        for _ in range(sweep.most):
            if not sweep.needed(state):
                break
            state = sweep.finish(state, summary(sweep, state))
    return state


@dataclass(slots=True)
class Known:
    """Statistics that were gathered before; those that are missing are taken from the arrays at hand.

    Parameters
    ----------
    states : dict
        What is known.
    missing : set
        Fills up with what was asked for and is not.
    reach : tuple of int
        How far beyond a voxel all steps together have looked, along each axis.
    """

    states: dict[Key, Any] = field(default_factory=dict)
    missing: set[Key] = field(default_factory=set)
    reach: tuple[int, ...] = ()

    def state(self, key: Key, start: Any, sweeps: Sequence[Any], summary: Callable[[Any, Any], Any]) -> Any:
        """Return what is known, else what the arrays at hand say."""
        if key in self.states:
            return self.states[key]
        self.missing.add(key)
        return swept(start, sweeps, summary)

    def reaches(self, width: Sequence[int]) -> None:
        """Add the reach of a step to that of the steps before it."""
        before = self.reach or (0,) * len(width)
        self.reach = tuple(a + b for a, b in zip(before, width, strict=True))


class Enough(Exception):
    """All statistics that were wanted are known; the method need not go on."""


@dataclass(slots=True)
class Gathering:
    """Gathers statistics of the arrays at hand, and ends the run once all that are wanted are known.

    Parameters
    ----------
    wanted : set
        What is missing.
    states : dict
        Fills up with what was found.
    """

    wanted: set[Key]
    states: dict[Key, Any] = field(default_factory=dict)

    def state(self, key: Key, start: Any, sweeps: Sequence[Any], summary: Callable[[Any, Any], Any]) -> Any:
        """Gather, keep, and raise `Enough` after the last that was wanted."""
        state = self.states[key] = swept(start, sweeps, summary)
        if self.wanted <= self.states.keys():
            raise Enough
        return state

    def reaches(self, width: Sequence[int]) -> None:
        """Hear it and do nothing: what lies beyond the whole does not matter."""


class _Swept(Exception):
    """One sweep over one part is done; the method need not go on."""

    def __init__(self, summary: Any) -> None:
        self.summary = summary


@dataclass(slots=True)
class _Pooling:
    """Gathers statistics over several parts, one sweep at a time."""

    states: dict[Key, Any] = field(default_factory=dict)
    key: Key = ()
    at: Any = None
    sweep: Any = None
    waiting: list[Any] = field(default_factory=list)
    n_runs: int = 0

    def state(self, key: Key, start: Any, sweeps: Sequence[Any], summary: Callable[[Any, Any], Any]) -> Any:
        """Return what is known of all parts, or sweep over this one and raise."""
        if key in self.states:
            return self.states[key]
        if key != self.key:
            self.key, self.at, self.waiting = key, start, list(sweeps)
            self._next()
            if key in self.states:
                return self.states[key]
        raise _Swept(summary(self.sweep, self.at))

    def finish(self, summary: Any) -> None:
        """Go on to the next sweep, now that all parts are counted."""
        self.at = self.sweep.finish(self.at, summary)
        self._next()

    def _next(self) -> None:
        while self.waiting:
            self.sweep = self.waiting[0]
            if self.n_runs < self.sweep.most and self.sweep.needed(self.at):
                self.n_runs += 1
                return
            self.waiting.pop(0)
            self.n_runs = 0
        self.states[self.key] = self.at

    def reaches(self, width: Sequence[int]) -> None:
        """Hear it and do nothing: parts have no neighbours."""


def pooled(run: Callable[[int], R], n: int) -> Iterator[R]:
    """Run a method on several parts that share their statistics.

    Parameters
    ----------
    run : callable
        ``run(i)`` runs the method on part i. It is called once more per part for every sweep that the method needs,
        and then does not get beyond it, so that no more than one part is in memory.
    n : int
        Number of parts, at least 1.

    Yields
    ------
    object
        What ``run`` returned, part by part.
    """
    shared = _Pooling()

    def run_shared(part: int) -> R:
        with using(shared):
            return run(part)

    while (first := _sweep_all(shared, run_shared, n)) is None:
        pass
    yield first[0]
    for i in range(1, n):
        yield run_shared(i)


def _sweep_all(shared: _Pooling, run: Callable[[int], R], n: int) -> tuple[R] | None:
    """Make one sweep over all parts; return the result of the first part once nothing is left to sweep."""
    total: Any = None
    for i in range(n):
        try:
            result = run(i)
        except _Swept as swept_part:
            total = swept_part.summary if i == 0 else shared.sweep.combine(total, swept_part.summary)
        else:
            return (result,)
    shared.finish(total)
    return None
