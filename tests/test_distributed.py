"""Sweeps on the workers of a cluster: processes of their own, of which one may die at any moment."""

from __future__ import annotations

import itertools
import operator
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_cutout as nc
from napari_cutout._memory import Free
from napari_cutout._monitor import Cancelled, note, watch
from napari_cutout.blockwise import _cluster, _flight, _workers
from napari_cutout.blockwise._cluster import Cluster
from napari_cutout.blockwise._made import Stored, keep, lazy, source_of
from napari_cutout.blockwise._sweeps import LARGE, Regions, Threads, TooLarge, sweeping
from napari_cutout.blockwise._workers import connected, workers_memory
from napari_cutout.running import _store_workers
from napari_cutout.running._limits import limits
from napari_cutout.running._run_plan import plan_arrays

distributed = pytest.importorskip("distributed")

IMAGE = (np.random.default_rng(0).random((40, 50, 60)) * 1000).astype(np.uint16)


# On processes --------------------------------------------------------------------------------------------


def started(address: str) -> subprocess.Popen[bytes]:
    """Start a worker of one thread that nobody starts again."""
    options = ["--no-nanny", "--nthreads=1", "--no-dashboard", "--memory-limit=2GiB"]
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextmanager
def with_workers(n: int) -> Iterator[Any]:
    """Start a scheduler and workers, and connect to them."""
    with distributed.LocalCluster(n_workers=0, processes=True, dashboard_address=":0") as cluster:
        workers = [started(cluster.scheduler_address) for _ in range(n)]
        try:
            with connected(cluster.scheduler_address) as client:
                client.wait_for_workers(n, timeout=240)
                yield client
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with with_workers(2) as client:
        yield client


def scratch_in(folder: Path) -> Callable[..., Any]:
    import zarr

    names = itertools.count()

    def make(shape: Any, dtype: str, chunks: Any) -> Any:
        path, edges = folder / f"{next(names)}", tuple(max(sizes) for sizes in chunks)
        return zarr.create_array(path, shape=tuple(shape), dtype=dtype, chunks=edges, fill_value=0)

    return make


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("threshold", {"sigma": 1.0}),
        ("kmeans", {"n_clusters": 3}),
        ("threshold", {"sigma": 1.0, "one_per_object": True, "min_size": 5}),
    ],
)
def test_workers_give_the_labels_of_the_whole(
    client: Any, tmp_path: Path, method: str, options: dict[str, Any]
) -> None:
    call = getattr(nc, method)
    expected = call(IMAGE, **options)
    cluster = Cluster(client, (16, 32, 32), make_scratch=scratch_in(tmp_path))
    with sweeping(cluster):
        labels = keep(source_of(call(lazy(Stored(IMAGE)), **options)), "writing").array[:]
    np.testing.assert_array_equal(labels, expected)


class Dies:
    """Kills its process in tile 3, once."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __call__(self, number: int) -> tuple[int, int]:
        if number == 3 and not os.path.exists(self.mark):  # noqa: PTH110
            open(self.mark, "w").close()  # noqa: PTH123
            os.kill(os.getpid(), signal.SIGKILL)
        return number, number * number


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_worker_that_is_killed_is_survived(tmp_path: Path) -> None:
    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[Dies.__module__])  # workers do not import this file
    try:
        with with_workers(2) as client:  # of its own: any of them may be the one that dies
            mark = tmp_path / "killed"
            assert Cluster(client, (16,)).map("killing", Dies(str(mark)), 12) == [(i, i * i) for i in range(12)]
            assert mark.exists()
            assert len(client.nthreads()) == 1
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[Dies.__module__])


def test_workers_say_what_they_have(client: Any) -> None:
    facts = workers_memory(client)
    assert facts.n_workers == facts.n_threads == len(client.nthreads())
    assert facts.tiles_each == 1
    assert 0 < facts.host_bytes < 0.8 * (2 << 30)
    assert facts.notes == ()
    if facts.no_gpu:
        assert facts.device_bytes == 0
        assert "worker at tcp://" in facts.no_gpu


def test_versions_that_differ_are_named(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    here = _workers._versions()
    monkeypatch.setattr(_workers, "_versions", lambda: here | {"numpy": "1.2.3"})
    (said,) = workers_memory(client).notes
    assert said.startswith("numpy is 1.2.3 here and ")
    monkeypatch.setattr(_workers, "_versions", lambda: here | {"napari-cutout": "9.9"})
    with pytest.raises(ConnectionError, match=r"napari-cutout is 9\.9 here and .*install the same version"):
        workers_memory(client)


def test_a_worker_without_the_package_is_named(client: Any) -> None:
    address = next(iter(client.nthreads()))
    hide = (
        "import sys, json; json.hidden = {m: sys.modules.pop(m) for m in list(sys.modules) if 'napari_cutout' in m}; "
        "sys.modules['napari_cutout'] = None"
    )
    client.run(exec, hide, workers=[address])
    try:
        with pytest.raises(ConnectionError, match=rf"worker at {address} cannot import .* pip install"):
            workers_memory(client)
    finally:
        show = "import sys, json; sys.modules.pop('napari_cutout'); sys.modules.update(json.hidden)"
        client.run(exec, show, workers=[address])


def test_the_worker_that_has_least_counts_and_workers_share_a_machine() -> None:
    def worker(host: str, **others: Any) -> Any:
        first: dict[str, Any] = {"n_threads": 1, "limit": 0, "held": 0, "free": 100, "found_in": "what is there"}
        gpu: dict[str, Any] = {"gpu": "", "gpu_id": "", "gpu_bytes": 0, "no_gpu": "there is none", "versions": {}}
        return _workers._Worker(host, **(first | gpu | others))

    least = _workers._least
    assert least({"a": worker("x"), "b": worker("x"), "c": worker("y", free=70)}, []).host_bytes == 50
    assert least({"a": worker("x", limit=60, held=10), "b": worker("y", free=70, n_threads=4)}, []).host_bytes == 40
    card = {"gpu": "card", "gpu_bytes": 90, "no_gpu": ""}
    apart = least({"a": worker("x", gpu_id="0", **card), "b": worker("x", gpu_id="1", **card)}, [])
    assert (apart.device_bytes, apart.gpus, apart.no_gpu, apart.notes) == (90, ("card",), "", ())
    shared = least({"a": worker("x", gpu_id="0", **card), "b": worker("x", gpu_id="0", **card)}, [])
    assert (shared.device_bytes, len(shared.notes)) == (45, 1)
    lacking = least({"a": worker("x", gpu_id="0", **card), "b": worker("y")}, [])
    assert (lacking.device_bytes, lacking.no_gpu) == (0, "there is none (on the worker at b)")


def test_workers_that_are_lost_while_they_are_asked_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed.comm import CommClosedError

    own = _workers._Worker("x", 1, 0, 0, 100, "what is there", "", "", 0, "there is none", _workers._versions())
    answers = iter([{"a": own, "b": CommClosedError("in <TCP>")}, {}, {"a": own}])
    played = SimpleNamespace(wait_for_workers=lambda *_, timeout: None, run=lambda *_, on_error: next(answers))
    monkeypatch.setattr(_workers, "_PAUSE", 0.0)
    assert workers_memory(played).n_workers == 1

    class Seen:
        place = SimpleNamespace(read=lambda name: b"run")
        at = SimpleNamespace(shown="a folder")

    found = {"a": b"run", "b": CommClosedError("in <TCP>")}
    _store_workers.Team(SimpleNamespace(run=lambda *_, on_error: found)).check_seen(Seen())  # type: ignore[arg-type]
    found["c"] = b"another"
    with pytest.raises(ValueError, match="the worker at c does not see 'a folder'"):
        _store_workers.Team(SimpleNamespace(run=lambda *_, on_error: found)).check_seen(Seen())  # type: ignore[arg-type]


# Schedulers that are not there ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheduler", "error", "message"),
    [
        ("tcp://127.0.0.1:9", ConnectionError, "no scheduler answers at 'tcp://127.0.0.1:9'"),
        ("127.0.0.1", ValueError, "must be an address such as 'tcp://10.0.0.5:8786'.*missing port"),
        ("", ValueError, "must be an address"),
        (8786, ValueError, "got 8786"),
    ],
)
def test_what_is_no_scheduler_is_refused(scheduler: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message), connected(scheduler, seconds=0.2):
        pass


def test_without_distributed_the_line_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "napari-cutout\[cluster\]"'), connected("tcp://x:1"):
        pass


def test_a_client_stays_open_and_workers_are_not_waited_for_for_ever() -> None:
    options = {"n_workers": 0, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster, set_as_default=False) as own:
        with connected(own) as client:
            with pytest.raises(ConnectionError, match="has no worker, and none came for 0 s; start some"):
                workers_memory(client, patience=0.1)
            with pytest.raises(ConnectionError, match=r"no worker is left .* go on with --resume"):
                Cluster(client, (16,), patience=0.1).map("waiting", int, 3)
        assert own.status == "running"


# In this process -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lone() -> Iterator[Any]:
    """A client of a worker in this process, with two threads."""
    options = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster, set_as_default=False) as client:
        yield client


def noted(number: int) -> int:
    note(number=number)
    return -number


def test_what_tiles_note_comes_to_the_run(lone: Any) -> None:
    with watch() as monitor:
        assert Cluster(lone, (16,)).map("noting", noted, 5) == [0, -1, -2, -3, -4]
    assert monitor.facts == {"number": 4}


GATE = threading.Event()
BEGUN: list[int] = []
ENDED: list[int] = []


def waits(number: int) -> int:
    BEGUN.append(number)
    assert GATE.wait(60)
    ENDED.append(number)
    return number


def test_a_run_can_be_cancelled_and_leaves_no_task(lone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = _flight.Flight._goes_on

    def looked(*args: Any) -> bool:
        found = goes_on(*args)
        GATE.set()
        return found

    monkeypatch.setattr(_flight.Flight, "_goes_on", looked)
    for events in (BEGUN, ENDED):
        events.clear()
    GATE.clear()
    try:
        with watch(is_cancelled=lambda: bool(BEGUN)), pytest.raises(Cancelled):
            Cluster(lone, (16,)).map("waiting", waits, 8)
        assert not lone.futures
        assert sorted(ENDED) == sorted(BEGUN) != []  # no worker writes what nobody expects any more
    finally:
        GATE.set()


def unreadable(number: int) -> int:
    if number == 7:
        raise OSError("chunk 7 cannot be read")
    return number


def test_errors_of_tiles_are_those_of_the_run(lone: Any) -> None:
    with pytest.raises(OSError, match="chunk 7 cannot be read"):
        Cluster(lone, (16,)).map("reading", unreadable, 20)


AT_WORK: list[int] = []
MOST: list[int] = []
LOCK = threading.Lock()


def counted(number: int) -> int:
    with LOCK:
        AT_WORK.append(number)
        MOST.append(len(AT_WORK))
    GATE.wait(0.02)
    with LOCK:
        AT_WORK.remove(number)
    return number


def test_a_gpu_has_one_tile_at_work_whatever_the_threads(lone: Any) -> None:
    GATE.clear()
    MOST.clear()
    Cluster(lone, (16,), device="gpu").map("counting", counted, 6)
    assert max(MOST) == 1


def test_images_in_memory_go_to_the_workers_by_way_of_a_store_once(tmp_path: Path) -> None:
    cluster = Cluster(None, (16, 32, 32), make_scratch=scratch_in(tmp_path))
    small = len(cluster._packed(operator.itemgetter(0), None).data)
    work, _ = _cluster._unpacked(cluster._packed([Stored(IMAGE), Stored(IMAGE)], None))  # type: ignore[arg-type]
    np.testing.assert_array_equal(work[1].array[:], IMAGE)
    assert [p.name for p in tmp_path.iterdir()] == ["0"]
    assert len(cluster._packed(Stored(IMAGE), None).data) < small + 5000  # type: ignore[arg-type]


def test_scratch_that_workers_do_not_see_is_refused() -> None:
    chunks = ((4,),)
    for make in (None, lambda shape, dtype, chunks: np.zeros(shape, dtype)):
        with pytest.raises(ValueError, match="pass a target that is a store"):
            Cluster(None, (4,), make_scratch=make).scratch((4,), "uint8", chunks)


# In any order --------------------------------------------------------------------------------------------


class Task:
    """A task of `Played`."""

    key = "a task"

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call, self.done, self.told = call, False, lambda _: None

    def add_done_callback(self, told: Callable[[Any], None]) -> None:
        self.told = told

    def result(self) -> Any:
        assert self.done
        return self.call()


class Played:
    """A client whose tasks end one by one, in an order by chance, whenever the driver looks whether to go on."""

    status = "running"
    scheduler = SimpleNamespace(address="tcp://played:1")

    def __init__(self, n_threads: int, seed: int = 0) -> None:
        self.n_threads, self.chance, self.open, self.held = n_threads, random.Random(seed), [], 0
        self.most_open = self.most_held = 0

    def nthreads(self) -> dict[str, int]:
        return {"tcp://played:2": self.n_threads}

    def submit(self, function: Callable[..., Any], *arguments: Any, pure: bool) -> Any:
        if function is _flight._same:
            return arguments[0]
        assert not pure
        task = Task(lambda: function(*arguments))
        self.open.append(task)
        self.held += 1
        self.most_open, self.most_held = max(self.most_open, len(self.open)), max(self.most_held, self.held)
        return task

    def cancel(self, futures: list[Any]) -> None:
        self.open.clear()

    def run(self, *_: Any, on_error: str) -> dict[str, Any]:
        return {}

    def step(self) -> bool:
        if self.open:
            task = self.open.pop(self.chance.randrange(len(self.open)))
            task.done = True
            task.told(task)
        return False


def swept(client: Any, sweep: Callable[[Cluster], Any]) -> Any:
    with watch(is_cancelled=client.step):
        return sweep(Cluster(client, (16,)))


@settings(max_examples=30)
@given(st.integers(1, 3), st.integers(0, 400), st.integers(0, 100))
def test_results_come_in_order_whatever_the_order_of_tasks(n_threads: int, n: int, seed: int) -> None:
    client = Played(n_threads, seed)
    numbers = list(range(3, 3 + 2 * n, 2))
    assert swept(client, lambda c: list(c.each("counting", operator.neg, numbers))) == [-i for i in numbers]
    assert client.most_open <= _flight.AHEAD * n_threads
    assert client.most_held <= len(_cluster._grouped(numbers, n_threads))


def test_results_that_wait_for_a_late_one_are_few() -> None:
    client = Played(1)
    client.chance = SimpleNamespace(randrange=lambda n: n - 1 if n > 1 else 0)  # type: ignore[assignment]
    late = Played.step

    def step() -> bool:  # the first task ends last of all
        return late(client) if len(client.open) > 1 or client.held >= _flight.HELD else False

    client.step = step  # type: ignore[method-assign]
    with watch(is_cancelled=client.step):
        sweep = Cluster(client, (16,)).each("counting", operator.neg, range(40))
        assert next(sweep) == 0
        assert client.held == _flight.HELD
        sweep.close()


def tagged(number: int) -> Any:
    return np.full(3, number)


def wide(number: int) -> Any:
    return None if number % 5 == 0 else np.full(LARGE // 8, number)


@settings(max_examples=15)
@given(st.integers(0, 150), st.integers(0, 100))
def test_summaries_are_combined_as_threads_do_it(n: int, seed: int) -> None:
    for work in (tagged, wide):
        expected = Threads((16,)).reduce("adding", work, n, operator.add)
        total = swept(Played(1, seed), lambda c, work=work: c.reduce("adding", work, n, operator.add))
        np.testing.assert_array_equal(total, expected)


def test_small_summaries_are_combined_one_by_one_and_large_ones_on_the_worker() -> None:
    def pieces(work: Callable[[int], Any]) -> list[int]:
        return [n for n, _ in swept(Played(1), lambda c: list(c.folded("adding", work, range(130), operator.add)))]

    assert pieces(tagged) == [1] * 130
    found = pieces(wide)
    assert sum(found) == 130
    assert max(found) > 1


class Fails:
    """Raises what is in a list of errors, one after the other, in tile 5."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def __call__(self, packed: Any, numbers: tuple[int, ...], alone: bool) -> Any:
        if 5 in numbers and self.errors:
            raise self.errors.pop(0)
        return [(number, alone) for number in numbers], {}


def killed() -> Exception:
    return distributed.KilledWorker("a tile", SimpleNamespace(address="tcp://x:1"), 3)


@pytest.mark.parametrize("error", [MemoryError("full"), killed()])
def test_a_tile_that_memory_did_not_hold_is_repeated_alone(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cluster, "_run", Fails(error))
    client = Played(2)
    with watch(is_cancelled=client.step) as monitor:
        cluster = Cluster(client, (16,))
        found = cluster.map("filling", operator.neg, 60)
    assert [number for number, _ in found] == list(range(60))
    alone = [alone for _, alone in found]
    assert alone[:6] == [False] * 5 + [True]
    assert alone[-1]
    assert "memory ran out on a worker" in monitor.facts["out_of_memory"]


def test_a_tile_that_memory_does_not_hold_alone_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cluster, "_run", Fails(killed(), MemoryError("full again")))
    with pytest.raises(TooLarge, match=r"one tile of .* at work .full again"):
        swept(Played(2), lambda c: c.map("filling", operator.neg, 12))


def test_a_scheduler_that_is_lost_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cluster, "_run", Fails(CancelledError("lost")))
    with pytest.raises(ConnectionError, match=r"scheduler at tcp://played:1 is gone; .* go on with --resume"):
        swept(Played(2), lambda c: c.map("losing", operator.neg, 12))


class Each:
    """Work that is cut to the tile."""

    def __init__(self, held: list[int]) -> None:
        self.held = held

    def only(self, number: int) -> Each:
        return Each([number])

    def __call__(self, number: int) -> tuple[int, int]:
        return number, len(self.held)


def test_work_that_can_be_cut_to_a_tile_is() -> None:
    found = swept(Played(1), lambda c: c.map("cutting", Each(list(range(90))), 90))
    assert found == [(number, 1) for number in range(90)]


@given(st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple), max_size=3).map(tuple))
def test_regions_are_those_of_the_chunks_and_travel_light(chunks: tuple[tuple[int, ...], ...]) -> None:
    regions = Regions(chunks)
    seen = np.zeros([sum(sizes) for sizes in chunks], int)
    for number, region in enumerate(regions, 1):
        assert not seen[region].any()
        seen[region] = number
    assert seen.all()
    places = np.arange(1, len(regions) + 1).reshape([len(sizes) for sizes in chunks])
    np.testing.assert_array_equal(seen[tuple(np.ix_(*[np.cumsum(s) - s for s in chunks]))], places)
    assert list(pickle.loads(pickle.dumps(regions))) == list(regions)


# Runs ------------------------------------------------------------------------------------------------------


RECIPE = nc.Recipe((nc.Step("threshold", {"sigma": 1.0, "one_per_object": True, "min_size": 5}),))


def test_a_run_by_the_address_of_a_scheduler_gives_the_labels_of_the_whole(client: Any, tmp_path: Path) -> None:
    import zarr

    zarr.create_array(tmp_path / "in.zarr", data=IMAGE, chunks=(16, 16, 32))
    expected = nc.threshold(IMAGE, **RECIPE.steps[0].settings)
    plans: list[Any] = []
    address = client.scheduler.address
    options: dict[str, Any] = {"tile": 32, "scheduler": address}
    result = nc.run(RECIPE, tmp_path / "in.zarr", tmp_path / "out.zarr", on_plan=plans.append, **options)
    np.testing.assert_array_equal(result.labels.compute(), expected)
    planned = nc.plan(RECIPE, tmp_path / "in.zarr", tile=32, scheduler=address)
    assert planned.tile == plans[0].tile
    assert "on 2 workers of a cluster" in planned.notes
    assert planned.free.n_bytes < 0.8 * (2 << 30)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


def test_a_target_that_workers_do_not_see_is_named(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import zarr

    zarr.create_array(tmp_path / "in.zarr", data=IMAGE, chunks=(16, 16, 32))
    monkeypatch.setattr(_store_workers, "_read", operator.attrgetter("nothing"))
    with pytest.raises(ValueError, match=r"worker at tcp://.* does not see .*out.zarr.run.* all machines share"):
        nc.run(RECIPE, tmp_path / "in.zarr", tmp_path / "out.zarr", tile=32, scheduler=client)
    assert not (tmp_path / ".out.zarr.run").exists()


def test_memory_and_devices_are_those_of_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = _workers.WorkerFacts(2, 4, 2, 1 << 30, "what it has", 0, (), "there is none (on the worker at b)")
    who = _store_workers.Team(client=object(), facts=facts)
    assert who.limits(None, None, None).host.n_bytes == 1 << 30
    assert who.limits("100MiB", None, None).host.n_bytes == int(0.8 * (100 << 20))
    assert who.limits(None, 64, None).cores == 2
    assert who.device("auto") == "cpu"
    with pytest.raises(ValueError, match=r"device='gpu' cannot be used because there is none .on the worker at b"):
        who.device("gpu")
    lone = _store_workers.Team(client=object(), facts=_workers.WorkerFacts(1, 1, 1, 9, "x", 5, ("card",), ""))
    assert (lone.device("auto"), lone.limits(None, None, None).gpu) == ("gpu", 5)
    image = np.zeros((64, 64, 64), np.uint16)
    plan = plan_arrays(RECIPE, {"image": image}, limits=limits(tile=32))
    assert who.planned(plan).workers == 4
    monkeypatch.setattr(_store_workers, "host_memory", lambda: Free(plan.driver_bytes - 1, "this machine"))
    with pytest.raises(MemoryError, match=r"joining the tiles takes .* in this process"):
        who.planned(plan)
