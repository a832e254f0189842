"""Who does the tiles of a run on a store: threads of this process, workers of a cluster, or parts of a job array."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from .._device import Asked
from .._memory import HOST_SHARE, Free, host_memory, parse_bytes, size
from ..blockwise import Cluster, Threads, WorkerFacts, connected, workers_memory
from ..blockwise._workers import was_lost
from ._journal import Journaled
from ._limits import Limits, limits
from ._parts import PATIENCE, Over, Parts, Waiting
from ._records import Records
from ._run_folder import Busy, Hold, RunFolder
from ._run_plan import RunPlan
from ._store_write import Scratch

__all__ = ["Team", "remembered", "team"]

R = TypeVar("R")

PAUSE = 1.0
"""Seconds between two looks for what the first part of a job array does."""


@dataclass(frozen=True, slots=True)
class Team:
    """Who does the tiles of a run.

    Parameters
    ----------
    client : distributed.Client, optional
        Of the cluster whose workers do them; None for threads of this process.
    facts : WorkerFacts, optional
        What these workers have.
    part : tuple of int, optional
        Which part of a job array this process is, and how many there are.
    patience : float
        Seconds that a part waits for others.
    """

    client: Any = None
    facts: WorkerFacts | None = None
    part: tuple[int, int] | None = None
    patience: float = PATIENCE

    @property
    def is_many(self) -> bool:
        """Whether several processes are at work, so that a run is in tiles and all of them see its scratch."""
        return self.client is not None or self.part is not None

    @property
    def leads(self) -> bool:
        """Whether this process does what is done once."""
        return self.part is None or self.part[0] == 1

    # Before it runs ---------------------------------------------------------------------------------

    def limits(self, memory: str | int | None, tile: int | Sequence[int] | None, workers: int | None) -> Limits:
        """Return what the tiles of one process may take.

        Parameters
        ----------
        memory, tile, workers
            What was asked for; on a cluster the memory is that of each worker.
        """
        here = limits(memory=memory, tile=tile, workers=workers)
        if self.facts is None:
            return here
        free = Free(self.facts.host_bytes, self.facts.host_found_in)
        if memory is not None:
            free = min(free, Free(int(HOST_SHARE * parse_bytes(memory)), "what was asked for"), key=lambda f: f.n_bytes)
        return Limits(free, workers or self.facts.tiles_each, here.tile, self.facts.device_bytes)

    def device(self, asked: Asked) -> Asked:
        """Return the device to plan with: that of the workers.

        Raises
        ------
        ValueError
            If a GPU was asked for, and a worker has none.
        """
        if self.facts is None:
            return asked
        if asked == "gpu" and self.facts.no_gpu:
            raise ValueError(
                f"device='gpu' cannot be used because {self.facts.no_gpu}; start one worker for each GPU, as "
                "`dask cuda worker` of dask-cuda does, or use 'cpu'"
            )
        return "cpu" if asked == "cpu" or self.facts.no_gpu else "gpu"

    def planned(self, plan: RunPlan) -> RunPlan:
        """Return the plan of one worker as that of all of them.

        Raises
        ------
        MemoryError
            If what is joined does not fit into the memory of this process.
        """
        if self.facts is None:
            return plan
        here = host_memory()
        if plan.driver_bytes > here.n_bytes:
            raise MemoryError(
                f"joining the tiles takes {size(plan.driver_bytes)} in this process, and {size(here.n_bytes)} may be "
                f"taken of {here.found_in}; start it on a machine with more memory, or take larger tiles"
            )
        at_work = self.facts.n_workers * (1 if plan.device == "gpu" else plan.workers)
        return replace(
            plan,
            workers=min(at_work, plan.n_tiles),
            reason="every worker has one" if plan.device == "gpu" else self.facts.no_gpu or plan.reason,
            notes=(*plan.notes, f"on {self.facts.n_workers} workers of a cluster", *self.facts.notes),
            assumed=False,
        )

    def check_seen(self, folder: RunFolder) -> None:
        """Refuse a folder that workers do not see.

        Raises
        ------
        ValueError
            If what this process has written there is not there for a worker.
        """
        if self.client is None:
            return
        written = folder.place.read("run.json")
        for address, found in self.client.run(_read, folder.place, on_error="return").items():
            if found != written and not was_lost(found):
                why = f" ({found})" if isinstance(found, BaseException) else ""
                raise ValueError(
                    f"the worker at {address} does not see {folder.at.shown!r}{why}; write to a folder that all "
                    "machines share under the same name, or to an object store"
                )

    # While it runs ----------------------------------------------------------------------------------

    def journal(self, plan: RunPlan, hold: Hold, given: Sequence[Any]) -> Journaled:
        """Return who runs the sweeps, and remembers them in the folder of the run.

        Parameters
        ----------
        plan : RunPlan
            How.
        hold : Hold
            The lock, in whose folder the journal is.
        given : sequence of array
            What is read and is in memory.
        """
        folder = hold.folder
        records = Records(folder.place)
        scratch = Scratch(folder.at / "scratch", shared=self.part is not None)
        if self.part is not None:
            threads = Threads(plan.tile, plan.workers, plan.device, memory=plan.free.n_bytes)
            return Parts(
                threads,
                records,
                scratch,
                check=hold.check,
                part=self.part,
                patience=self.patience,
                is_over=lambda: _is_over(folder),
            )
        if self.client is None:
            threads = Threads(plan.tile, plan.workers, plan.device, memory=plan.free.n_bytes)
            return Journaled(threads, records, scratch, check=hold.check)
        own = Cluster(
            self.client,
            plan.tile,
            plan.device,
            _Numbered(scratch),
            plan.free.n_bytes,
            in_memory=tuple(given),
        )
        return Journaled(own, records, scratch, check=hold.check)

    @contextmanager
    def held(self, folder: RunFolder) -> Iterator[Hold]:
        """Keep other processes away; of a job array, those of the same part, whose lock may outlive them for a while.

        Yields
        ------
        Hold
            The lock.

        Raises
        ------
        Busy
            If another process is at work.
        """
        name = "" if self.leads or self.part is None else f"-{self.part[0]:05}"
        with ExitStack() as stack:
            yield self._patiently(lambda: stack.enter_context(folder.held(name)))

    def check_alone(self, folder: RunFolder) -> None:
        """Wait, as a part of a job array, until no other part is at work any more on what is to be removed.

        Raises
        ------
        Busy
            If others still are.
        """
        self._patiently(folder.check_alone)

    def _patiently(self, act: Callable[[], R]) -> R:
        """Do what others keep this part from, as soon as they do not."""
        until = time.monotonic() + (self.patience if self.part is not None else 0.0)
        while True:
            try:
                return act()
            except Busy:
                if time.monotonic() >= until:
                    raise
            time.sleep(PAUSE)

    def begun(self, written: Callable[[], dict[str, Any] | None], is_over: Callable[[], bool]) -> dict[str, Any] | None:
        """Return what runs already; of a job array, the first part writes that down, and others wait for it.

        Parameters
        ----------
        written : callable
            Returns what is written down.
        is_over : callable
            Tells whether the labels are there already.

        Raises
        ------
        Over
            If the labels are there already.
        Waiting
            If the first part does not begin.
        """
        until = time.monotonic() + self.patience
        while (begun := written()) is None and not self.leads:
            if is_over():
                raise Over
            if time.monotonic() >= until:
                i, n = self.part or (1, 1)
                raise Waiting(f"part {i} of {n} waited {self.patience:.0f} s for part 1 to begin; start both")
            time.sleep(min(PAUSE, self.patience))
        return begun


@contextmanager
def team(scheduler: Any, part: tuple[int, int] | None, patience: float | None) -> Iterator[Team]:
    """Gather who does the tiles.

    Parameters
    ----------
    scheduler : str or distributed.Client, optional
        Of a cluster.
    part : tuple of int, optional
        Which part of a job array this process is, and how many there are.
    patience : float, optional
        Seconds that a part waits for others.

    Yields
    ------
    Team
        Connected while the ``with`` block lasts.

    Raises
    ------
    ValueError
        If both a scheduler and a part are given.
    """
    if scheduler is not None and part is not None:
        raise ValueError("a run has a scheduler or is a part of a job array, not both; leave scheduler or part out")
    if scheduler is None:
        yield Team(part=part, patience=PATIENCE if patience is None else patience)
        return
    with connected(scheduler) as client:
        yield Team(client, workers_memory(client))


@dataclass(slots=True)
class _Numbered:
    """Makes scratch arrays for what was in memory, under names that no sweep uses."""

    scratch: Scratch
    n: int = field(default=0)

    def __call__(self, shape: Sequence[int], dtype: str, chunks: Any) -> Any:
        self.n += 1
        return self.scratch(f"given-{self.n:04}", shape, dtype, chunks)


def remembered(plan: RunPlan, begun: Mapping[str, Any] | None) -> RunPlan:
    """Return the plan with the memory that was free when a run began, on which its sweeps depend.

    Parameters
    ----------
    plan : RunPlan
        As it is now.
    begun : mapping, optional
        What was written down.
    """
    n_bytes = None if begun is None else begun.get("memory")
    if n_bytes is None or begun is None or list(plan.tile) != list(begun["tile"]):
        return plan
    return replace(plan, free=Free(int(n_bytes), plan.free.found_in))


def _is_over(folder: RunFolder) -> bool:
    return folder.place.read("run.json") is None


def _read(place: Any) -> bytes | None:
    """Return what a worker finds there."""
    content: bytes | None = place.read("run.json")
    return content
