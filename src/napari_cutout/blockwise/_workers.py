"""The workers of a cluster: how to reach them, and what they have."""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from .. import __version__, _device
from .._memory import HOST_SHARE, host_memory, size

__all__ = ["WorkerFacts", "connected", "was_lost", "workers_memory"]

CONNECT_SECONDS = 10
"""Seconds after which a scheduler that does not answer is not there."""

_PAUSE = 0.25
"""Seconds after which workers are asked again."""

SAME = ("napari-cutout", "python")
"""What must be the same on all workers: labels depend on it, and what is sent to them."""

COMPARED = (*SAME, "numpy", "scipy", "scikit-image", "numba", "zarr", "dask", "distributed", "cupy", "torch")
"""What is compared with the driver."""


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """What the workers of a cluster have, where they differ the least of them.

    Parameters
    ----------
    n_workers : int
        How many there are now.
    n_threads : int
        How many threads they have together: so many tiles are at work at a time, on the CPU.
    tiles_each : int
        Threads of the worker that has most of them: so many tiles share the memory of one worker.
    host_bytes : int
        Host memory that the tiles of one worker may take together, on the worker that has least.
    host_found_in : str
        Which limit says so.
    device_bytes : int
        Free GPU memory of the worker that has least; 0 if one has no usable GPU.
    gpus : tuple of str
        Names of the GPUs, in order, each once.
    no_gpu : str
        Why a worker has no usable GPU, as a clause that fits after "because"; empty if all have one.
    notes : tuple of str
        What the user should know, such as versions that differ.
    """

    n_workers: int
    n_threads: int
    tiles_each: int
    host_bytes: int
    host_found_in: str
    device_bytes: int
    gpus: tuple[str, ...]
    no_gpu: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Worker:
    """What one worker says of itself."""

    host: str
    n_threads: int
    limit: int
    held: int
    free: int
    found_in: str
    gpu: str
    gpu_id: str
    gpu_bytes: int
    no_gpu: str
    versions: dict[str, str]


@contextmanager
def connected(scheduler: Any, *, seconds: float = CONNECT_SECONDS) -> Iterator[Any]:
    """Connect to the scheduler of a cluster.

    Parameters
    ----------
    scheduler : str or distributed.Client
        An address such as ``"tcp://10.0.0.5:8786"``, or a client, which stays open.
    seconds : float
        How long to wait for an answer.

    Yields
    ------
    distributed.Client
        Not the default one of this process.

    Raises
    ------
    ModuleNotFoundError
        If `distributed` is not installed; the message holds the line that installs it.
    ValueError
        If `scheduler` is neither an address nor a client.
    ConnectionError
        If no scheduler answers there.
    """
    try:
        import distributed
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'a cluster needs dask.distributed, which is not installed; run: pip install "napari-cutout[cluster]"',
            name="distributed",
        ) from error
    if isinstance(scheduler, distributed.Client):
        yield scheduler
        return
    wanted = f"scheduler must be an address such as 'tcp://10.0.0.5:8786' or a distributed.Client, got {scheduler!r}"
    if not isinstance(scheduler, str) or not scheduler.strip():
        raise ValueError(wanted)
    try:
        client = distributed.Client(scheduler, timeout=seconds, set_as_default=False)
    except ValueError as error:
        raise ValueError(f"{wanted} ({_first_line(error)})") from error
    except (OSError, TimeoutError) as error:
        raise ConnectionError(
            f"no scheduler answers at {scheduler!r} ({_first_line(error)}); start one with `dask scheduler`, "
            "which prints its address, and see that this machine may reach it"
        ) from error
    with client:
        yield client


def workers_memory(client: Any, *, patience: float = 60.0) -> WorkerFacts:
    """Ask all workers what they have.

    Parameters
    ----------
    client : distributed.Client
        Connected to the scheduler.
    patience : float
        Seconds to wait for a first worker.

    Returns
    -------
    WorkerFacts
        Of those that are there now; workers on one machine share its free memory.

    Raises
    ------
    ConnectionError
        If there is no worker, or this package is not installed on one, or is another version there.
    """
    until = time.monotonic() + patience
    while not (answers := _answers(client, patience)) or (
        any(map(was_lost, answers.values())) and time.monotonic() < until
    ):
        time.sleep(_PAUSE)  # the scheduler forgets who died while it was asked
    found: dict[str, _Worker] = {}
    for address, answer in answers.items():
        if isinstance(answer, BaseException):
            raise ConnectionError(_why_not(address, answer)) from answer
        found[address] = answer
    return _least(found, _refused(found))


def _answers(client: Any, patience: float) -> dict[str, Any]:
    """Return what all workers say of themselves, or what each raised; wait for a first one."""
    try:
        client.wait_for_workers(1, timeout=patience)
    except TimeoutError as error:
        raise ConnectionError(
            f"the scheduler at {client.scheduler.address} has no worker, and none came for {patience:.0f} s; "
            f"start some with `dask worker {client.scheduler.address}`"
        ) from error
    return dict(client.run(_ask, on_error="return"))


def was_lost(answer: Any) -> bool:
    """Tell whether a worker was lost while it was asked."""
    from distributed.comm import CommClosedError

    return isinstance(answer, CommClosedError)


def _why_not(address: str, error: BaseException) -> str:
    if "ModuleNotFoundError" in repr(error):  # distributed wraps it where the function itself cannot be imported
        return (
            f"the worker at {address} cannot import what it needs ({_first_line(error)}); install the same "
            'napari-cutout there: pip install "napari-cutout[cluster]"'
        )
    return f"the worker at {address} cannot say what it has ({type(error).__name__}: {_first_line(error)})"


def _refused(found: dict[str, _Worker]) -> list[str]:
    """Refuse versions that matter, and return what the others differ in."""
    here, notes = _versions(), []
    for name in COMPARED:
        others = {address: worker.versions[name] for address, worker in found.items()}
        differ = {address: other for address, other in others.items() if other != here[name]}
        if not differ or (name not in SAME and not here[name] and not any(others.values())):
            continue
        address, other = next(iter(differ.items()))
        text = f"{name} is {here[name] or 'not installed'} here and {other or 'not installed'} on {_on(differ)}"
        if name in SAME:
            raise ConnectionError(f"{text}; install the same version on all machines (the worker at {address} differs)")
        notes.append(text)
    return notes


def _on(differ: dict[str, str]) -> str:
    address = next(iter(differ))
    return f"the worker at {address}" if len(differ) == 1 else f"{len(differ)} workers, such as that at {address}"


def _least(found: dict[str, _Worker], notes: list[str]) -> WorkerFacts:
    """Return what the worker has that has least, where workers of a machine share what it has."""
    on_host = Counter(worker.host for worker in found.values())
    on_gpu = Counter((worker.host, worker.gpu_id) for worker in found.values())
    host_bytes, found_in = min(_host_bytes(worker, on_host[worker.host]) for worker in found.values())
    sharing = max(on_gpu[worker.host, worker.gpu_id] for worker in found.values())
    lacking = next((f"{w.no_gpu} (on the worker at {at})" for at, w in found.items() if w.no_gpu), "")
    if sharing > 1 and not lacking:
        notes.append(f"{sharing} workers share one GPU; dask-cuda starts one worker for each")
    return WorkerFacts(
        n_workers=len(found),
        n_threads=sum(worker.n_threads for worker in found.values()),
        tiles_each=max(worker.n_threads for worker in found.values()),
        host_bytes=host_bytes,
        host_found_in=found_in,
        device_bytes=min(w.gpu_bytes // on_gpu[w.host, w.gpu_id] for w in found.values()),
        gpus=tuple(sorted({worker.gpu for worker in found.values() if worker.gpu})),
        no_gpu=lacking,
        notes=tuple(notes),
    )


def _host_bytes(worker: _Worker, n_on_host: int) -> tuple[int, str]:
    """Return what the tiles of a worker may take, and why."""
    share = worker.free // n_on_host
    of_limit = int(HOST_SHARE * max(worker.limit - worker.held, 0)) if worker.limit else share
    if of_limit < share:
        return of_limit, f"the memory limit of a worker, {size(worker.limit)}"
    with_others = f", shared by {n_on_host} workers" if n_on_host > 1 else ""
    return share, f"{worker.found_in} on {worker.host}{with_others}"


# On a worker -------------------------------------------------------------------------------------------


def _ask(dask_worker: Any) -> _Worker:
    """Return what this worker has."""
    import os

    import psutil

    gpu, memory = _device.gpu_status(), host_memory()
    return _Worker(
        host=platform.node(),
        n_threads=int(dask_worker.state.nthreads),
        limit=int(dask_worker.memory_manager.memory_limit or 0),
        held=int(psutil.Process().memory_info().rss),
        free=memory.n_bytes,
        found_in=memory.found_in,
        gpu=gpu.name if gpu.usable else "",
        gpu_id=os.environ.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0],  # where dask-cuda puts the own one
        gpu_bytes=gpu.free,
        no_gpu="" if gpu.usable else gpu.reason,
        versions=_versions(),
    )


def _versions() -> dict[str, str]:
    """Return the versions that are compared; empty texts of what is not installed."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"napari-cutout": __version__, "python": python} | {name: _version(name) for name in COMPARED[len(SAME) :]}


def _version(name: str) -> str:
    if name == "cupy":
        name = next((n for n in _device.cupy_packages() if n.startswith("cupy")), name)
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
