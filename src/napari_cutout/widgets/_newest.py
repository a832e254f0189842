"""Work in threads, one at a time, of which only the newest counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._pools import Turn
from ._worker import Work, WorkerSlot, _Worker

__all__ = ["Newest"]


class Newest:
    """Starts work and drops what is stale; no Qt object, so that it outlives the widget.

    Parameters
    ----------
    turn : Turn
        Who waits for it.
    """

    def __init__(self, turn: Turn = Turn.SHOWN) -> None:
        self._turn = turn
        self.slot = WorkerSlot()
        self._pending: tuple[Callable[[], Work], Callable[[Any], None], Callable[[Exception], None]] | None = None
        self._stopped = False

    def ask(
        self,
        make: Callable[[], Work],
        show: Callable[[Any], None],
        fail: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        """Make work and start it, now or once what runs has ended, and show what it returns unless it is stale."""
        self._pending = make, show, fail
        if self.slot.worker is None:
            self._start()
        else:
            self.slot.quit()

    def drop(self) -> None:
        """Show nothing of what was asked so far."""
        self._pending = None
        self.slot.quit()

    def stop(self, _: Any = None) -> None:
        """Drop it and start nothing any more."""
        self._stopped = True
        self.drop()

    def _start(self) -> None:
        self.slot.worker = None
        if self._pending is None or self._stopped:
            return
        (make, show, fail), self._pending = self._pending, None
        self.slot.worker = worker = _Worker(make(), turn=self._turn)
        worker.signals.returned.connect(lambda found: None if worker.abort_requested else show(found))
        worker.signals.errored.connect(lambda error: None if worker.abort_requested else fail(error))
        worker.signals.finished.connect(lambda: self._start())  # it holds this until then
        worker.start()
