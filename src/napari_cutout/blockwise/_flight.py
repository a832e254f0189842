"""Tasks that are out on a cluster: how many at a time, in which order they land, and what their failures mean."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Collection
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Flight"]

AHEAD = 2
"""Tasks that are out for each thread: one at work, and one that begins when it ends."""

HELD = 16
"""Results for each thread that wait on workers for one that comes before them."""

POLL = 0.25
"""Seconds after which the caller is asked whether to go on."""


@dataclass(slots=True, eq=False)
class Flight:
    """The tasks of one sweep.

    Parameters
    ----------
    client : distributed.Client
        Connected to the scheduler.
    patience : float
        Seconds to wait for a worker where none is left.
    """

    client: Any
    patience: float
    _out: dict[int, Any] = field(default_factory=dict)
    _shared: list[Any] = field(default_factory=list)
    _landed: set[int] = field(default_factory=set)
    _news: queue.SimpleQueue[int] = field(default_factory=queue.SimpleQueue)
    _next: int = 0
    _threads: int = 0
    _asked: float = 0.0
    _last_seen: float = field(default_factory=time.monotonic)

    def n_threads(self) -> int:
        """Return how many threads the workers have together, asked once a second; wait for a first one."""
        now = time.monotonic()
        if now - self._asked < 1.0 and self._threads:
            return self._threads
        try:
            self._threads = sum(self.client.nthreads().values())
        except (OSError, RuntimeError, CancelledError) as error:
            raise ConnectionError(self._gone()) from error
        self._asked = now
        if self._threads:
            self._last_seen = now
        elif now - self._last_seen > self.patience:
            raise ConnectionError(
                f"no worker is left at {self._address()}, and none came for {self.patience:.0f} s; start workers "
                "(`dask worker ADDRESS`), and go on with --resume"
            )
        return max(self._threads, 1)

    def share(self, value: Any) -> Any:
        """Return what tasks may be given instead of a value, so that it travels to each worker once."""
        import dask

        # A task gives it, and not scattered data: those are lost with the last worker that holds them.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TiB"}):
            self._shared.append(self.client.submit(_same, value, pure=False))
        return self._shared[-1]

    def send(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Send a task."""
        import dask

        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TiB"}):
            return self.client.submit(function, *arguments, pure=False)

    def put(self, at: int, future: Any) -> None:
        """Await this task in this place."""
        self._landed.discard(at)
        self._out[at] = future
        future.add_done_callback(lambda _: self._news.put(at))

    def land(self, at: int, n: int, send: Callable[[int], Any], poll: Callable[[], None]) -> None:
        """Wait until a task has ended, and send others meanwhile; `send` makes the task of each of `n` places."""
        while True:
            threads = self.n_threads()
            while self._next < n and self._at_work() < AHEAD * threads and len(self._out) < HELD * threads:
                self.put(self._next, send(self._next))
                self._next += 1
            if at in self._landed:
                return
            self._wait(poll)

    def settle(self, poll: Callable[[], None]) -> None:
        """Wait until all that are out have ended."""
        while self._at_work():
            self.n_threads()
            self._wait(poll)

    def take(self, at: int) -> Any:
        """Return what a task returned.

        Raises
        ------
        MemoryError
            If memory ran out, or the worker died of this task again and again.
        ConnectionError
            If the scheduler is gone.
        """
        from distributed import KilledWorker

        future = self._out.pop(at)
        self._landed.discard(at)
        try:
            return future.result()
        except KilledWorker as error:
            raise MemoryError(
                f"workers died of this tile {error.allowed_failures + 1} times; the log of {error.last_worker.address} "
                "tells whether of memory"
            ) from error
        except (CancelledError, OSError) as error:
            if self.client.status != "running" or isinstance(error, CancelledError):
                raise ConnectionError(self._gone()) from error
            raise

    def end(self) -> None:
        """Call back what is still out, and wait for what workers have begun: it may write when nobody expects it."""
        out, shared = list(self._out.values()), list(self._shared)
        self._out.clear()
        self._shared.clear()
        if not (out or shared) or self.client.status != "running":
            return
        self.client.cancel([*out, *shared])
        until = time.monotonic() + self.patience
        with suppress(OSError, RuntimeError, CancelledError):  # nobody is left to wait for
            while out and time.monotonic() < until and self._goes_on([future.key for future in out]):
                time.sleep(POLL)

    def _goes_on(self, keys: Collection[str]) -> bool:
        """Tell whether a worker is still at one of these tasks."""
        return any(found is True for found in self.client.run(_is_at, keys, on_error="return").values())

    def _at_work(self) -> int:
        return len(self._out) - len(self._landed)

    def _wait(self, poll: Callable[[], None]) -> None:
        poll()
        try:
            self._landed.add(self._news.get(timeout=POLL))
            while True:
                self._landed.add(self._news.get_nowait())
        except queue.Empty:
            return

    def _address(self) -> str:
        return str(getattr(self.client.scheduler, "address", "the scheduler"))

    def _gone(self) -> str:
        return f"the scheduler at {self._address()} is gone; start it and its workers, and go on with --resume"


def _same(value: Any) -> Any:
    return value


def _is_at(keys: Collection[str], dask_worker: Any) -> bool:
    """Tell whether this worker has begun one of these tasks, which was called back meanwhile."""
    tasks = dask_worker.state.tasks
    return any(key in tasks and tasks[key].state in ("executing", "cancelled", "resumed") for key in keys)
