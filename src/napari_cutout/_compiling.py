"""Who is told that something is being compiled, which happens once for each machine and takes seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["COMPILING", "announced", "compiling", "interrupted", "under_way"]

COMPILING = "compiling, once for this machine"
"""What a person reads meanwhile."""

Tell = Callable[[bool], None]
"""Called with True when something begins to be compiled, and with False when it is done; in any thread."""

_listeners: list[Tell] = []
_lock = threading.RLock()
_depth = 0


@contextmanager
def announced(tell: Tell) -> Iterator[None]:
    """Tell what is compiled while the ``with`` block runs, in whichever thread of this process.

    Parameters
    ----------
    tell : callable
        Called with True when something begins to be compiled, and with False when it is done.
    """
    with _lock:
        _listeners.append(tell)
        if _depth:  # whoever waits for what another thread compiles has not heard it begin
            tell(True)
    try:
        yield
    finally:
        _listeners.remove(tell)


@contextmanager
def compiling() -> Iterator[None]:
    """Tell that something is compiled inside the ``with`` block; what is compiled on the way to it is one with it."""
    _moved(1)
    try:
        yield
    finally:
        _moved(-1)


def under_way() -> bool:
    """Tell whether something is being compiled, in whichever thread of this process."""
    return _depth > 0


def _moved(step: int) -> None:
    global _depth
    with _lock:
        before, _depth = _depth, _depth + step
        if not (before and _depth):
            for tell in tuple(_listeners):
                tell(step > 0)


def interrupted(show: Callable[[str, float], None]) -> tuple[Callable[[str, float], None], Tell]:
    """Return what shows progress, and what shows that something is compiled and then the progress from before.

    Parameters
    ----------
    show : callable
        Takes the name of a stage and the fraction of it that is done.
    """
    last = ("", 0.0)

    def shown(stage: str, fraction: float) -> None:
        nonlocal last
        last = (stage, fraction)
        show(stage, fraction)

    def tell(begins: bool) -> None:
        show(*(COMPILING, last[1]) if begins else last)

    return shown, tell


def listen_to_numba() -> None:
    """Tell of every loop that Numba compiles because its cache on disk does not hold it."""
    from numba.core import event

    class Listener(event.Listener):  # type: ignore[misc]
        def on_start(self, _event: object) -> None:
            _moved(1)

        def on_end(self, _event: object) -> None:
            _moved(-1)

    event.register("numba:compile", Listener())
