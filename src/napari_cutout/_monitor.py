"""What a running method tells its caller: progress, facts worth keeping, and whether to go on.

A method never knows who watches it. Edges (widgets, command line, recipes) open `watch`, methods call
`note` and `tick`, which do nothing when nobody watches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakValueDictionary


class Cancelled(Exception):
    """The caller asked a running method to stop; no result exists and nothing was changed."""


@dataclass(slots=True, weakref_slot=True, eq=False)
class Monitor:
    """One watched run.

    Parameters
    ----------
    on_progress : callable, optional
        Called with the stage's name and the fraction of it that is done, 0 to 1.
    is_cancelled : callable, optional
        Polled between blocks; when it returns True the run raises `Cancelled`.
    facts : dict
        What the method found out: thresholds, number of peaks, bins that were narrowed.
    """

    on_progress: Callable[[str, float], None] | None = None
    is_cancelled: Callable[[], bool] | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    stage: str = ""


_watched: WeakValueDictionary[int, Monitor] = WeakValueDictionary()
_current: ContextVar[Monitor | None] = ContextVar("napari_cutout_monitor", default=None)


@contextmanager
def watch(
    on_progress: Callable[[str, float], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> Iterator[Monitor]:
    """Watch every method that runs inside the ``with`` block, in this thread.

    Parameters
    ----------
    on_progress : callable, optional
        Called with the stage's name and the fraction of it that is done, 0 to 1.
    is_cancelled : callable, optional
        Polled between blocks; when it returns True the run raises `Cancelled`.

    Yields
    ------
    Monitor
        Its `facts` fill up while methods run.
    """
    monitor = Monitor(on_progress, is_cancelled)
    with _told(monitor):
        yield monitor


@contextmanager
def _told(monitor: Monitor | None) -> Iterator[None]:
    """Tell this monitor what happens inside."""
    token = _current.set(monitor)
    try:
        yield
    finally:
        _current.reset(token)


def ticket() -> int | None:
    """Return a number by which a task in another thread can find this run's monitor; None if nobody watches."""
    if (monitor := _current.get()) is None:
        return None
    _watched[id(monitor)] = monitor
    return id(monitor)


@contextmanager
def resumed(number: int | None) -> Iterator[None]:
    """Tell the monitor of that `ticket` what is noted inside; where it does not exist, as on a worker, nobody.

    Stages inside have names of their own: that of the run goes on when they end, or beside them in another thread.
    """
    monitor = _watched.get(number) if number is not None else None
    with _told(monitor and replace(monitor)):
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Report no progress of what runs inside; it can still be cancelled."""
    monitor = _current.get()
    with _told(monitor and replace(monitor, on_progress=None)):
        yield


@contextmanager
def aside() -> Iterator[None]:
    """Report neither progress nor facts of what runs inside; it can still be cancelled."""
    monitor = _current.get()
    with _told(monitor and replace(monitor, on_progress=None, facts={})):
        yield


def note(**facts: Any) -> None:
    """Keep facts about this run for its provenance, such as ``threshold=117.0``."""
    if (monitor := _current.get()) is not None:
        monitor.facts.update(facts)


def facts() -> dict[str, Any]:
    """Return what was noted of this run so far."""
    return {} if (monitor := _current.get()) is None else dict(monitor.facts)


def stage(name: str) -> None:
    """Name the stage that starts now, such as ``"counting grey levels"``."""
    if (monitor := _current.get()) is not None:
        monitor.stage = name
        tick(0, 1)


def tick(done: int, total: int) -> None:
    """Report that `done` of `total` blocks of this stage are finished; raise if cancelled.

    Raises
    ------
    Cancelled
        If the watching caller asked for it.
    """
    if (monitor := _current.get()) is None:
        return
    if monitor.is_cancelled is not None and monitor.is_cancelled():
        raise Cancelled(f"cancelled while {monitor.stage or 'running'}; nothing was changed")
    if monitor.on_progress is not None:
        monitor.on_progress(monitor.stage, done / max(total, 1))
