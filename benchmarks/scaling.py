"""How runs grow with workers: 1 and 2 processes here, and what that says of 1,000 workers and 100 TB.

``python benchmarks/scaling.py [--side 256] [--only WORDS] [--out FILE.json] [--picture FILE.png]``

What tiles cost (for each voxel, each voxel of a face, each tile) and what the driver does alone between sweeps is
measured with tiles of several sizes, and fitted; the curve is arithmetic on these costs, and leaves storage out.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import pickle
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import napari_cutout as nc
import volume
from _harness import aligned, machine
from large import RECIPES
from napari_cutout._compiled import sharing
from napari_cutout.blockwise import Stored, Threads, regions_of, write_labels
from napari_cutout.blockwise._cluster import Cluster
from napari_cutout.running._in_sweeps import in_sweeps
from napari_cutout.running._store_write import Scratch
from napari_cutout.stores import Place

VOXELS = 50_000_000_000_000
"""Voxels of 100 TB of uint16."""

EDGE = 512
"""Edge of the tiles that these are cut into."""

WORKERS = (1, 3, 10, 30, 100, 300, 1000)

DRIVER_BYTES = 64 << 30
"""Memory of a driver, which bounds what volume a method can take."""

ROUNDS = 3

COSTS = {
    "seconds": ("tiles", "faces", "voxels"),
    "driver_seconds": ("once", "tiles", "faces"),
    "bytes": ("tiles", "faces"),
}
"""What each measured total is fitted to."""


# What a run costs ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Measured:
    """Runs sweeps in one thread, and keeps what tiles take, what they tell, and what the driver takes in between."""

    inner: Threads
    make_scratch: Callable[..., Any]
    seconds: float = 0.0
    driver_seconds: float = 0.0
    bytes: int = 0
    sent: int = 0
    n_sweeps: int = 0
    n_looks: int = 0
    _since: float = field(default_factory=time.perf_counter)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def scratch(self, shape: Any, dtype: str, chunks: Any) -> Any:
        """Return an array of zeros."""
        return self.make_scratch(shape, dtype, chunks)

    def map(self, name: str, work: Any, n: int) -> list[Any]:
        """Return what tiles return."""
        return list(self._each(work, range(n)))

    def each(self, name: str, work: Any, numbers: Sequence[int]) -> Iterator[Any]:
        """Yield what these tiles return."""
        return iter(list(self._each(work, numbers)))

    def reduce(self, name: str, work: Any, n: int, combine: Callable[[Any, Any], Any]) -> Any:
        """Combine what tiles return."""
        total = None
        for summary in self._each(work, range(n), adding=True):
            total = summary if total is None else total if summary is None else combine(total, summary)
        return total

    def _each(self, work: Any, numbers: Sequence[int], *, adding: bool = False) -> Iterator[Any]:
        """Yield what tiles return; what happens outside of them is the driver's."""
        told, before = 0, self.seconds
        for value in self.inner.each("measuring", _Timed(work), numbers):
            seconds, result = value
            self.seconds += seconds
            told = max(told, _size(result)) if adding else told + _size(result)
            yield result
        self.driver_seconds -= self.seconds - before  # what passes besides, `end` adds
        self.bytes = max(self.bytes, told)
        self.n_sweeps, self.n_looks = self.n_sweeps + 1, self.n_looks + len(numbers)

    def end(self) -> None:
        """Give the driver what passed outside of tiles."""
        self.driver_seconds += time.perf_counter() - self._since


@dataclass(frozen=True, slots=True)
class _Timed:
    work: Any

    def __call__(self, number: int) -> tuple[float, Any]:
        start = time.perf_counter()
        with sharing(os.cpu_count() or 1):  # one thread, as on a worker
            result = self.work(number)
        return time.perf_counter() - start, result


def _size(value: Any) -> int:
    return 0 if value is None else len(pickle.dumps(value, protocol=5))


def scratch_in(folder: str) -> Callable[..., Any]:
    """Return what makes scratch arrays in a folder."""
    make, names = Scratch(Place.of(Path(folder))), iter(range(1 << 30))
    return lambda shape, dtype, chunks: make(f"{next(names):04}", shape, dtype, chunks)


def run(name: str, source: Any, sweeper: Any) -> None:
    """Run a recipe in sweeps, and write its labels into scratch."""
    labels = in_sweeps(nc.Recipe(RECIPES[name]), {"image": Stored(source)}, sweeper).labels
    chunks = sweeper.chunks(labels.shape)
    write_labels(labels, _Into(sweeper.scratch(labels.shape, labels.dtype, chunks)), regions_of(chunks), sweeper)


@dataclass(frozen=True, slots=True)
class _Into:
    array: Any

    def write(self, region: Any, block: Any) -> None:
        self.array[region] = block


def cost(name: str, source: Any, edge: int) -> dict[str, Any]:
    """Return what a run in tiles of this edge costs."""
    with tempfile.TemporaryDirectory() as folder:
        sweeper = Measured(Threads((edge,) * 3), scratch_in(folder))
        run(name, source, sweeper)
        sweeper.end()
    return {
        "case": name,
        "edge": edge,
        "voxels": math.prod(source.shape),
        "tiles": math.prod(-(-n // edge) for n in source.shape),
        "faces": sum((-(-n // edge) - 1) * math.prod(source.shape) // n for n in source.shape),
        "seconds": sweeper.seconds,
        "driver_seconds": sweeper.driver_seconds,
        "bytes": sweeper.bytes,
        "sweeps": sweeper.n_sweeps,
        "looks": sweeper.n_looks,
    }


def fitted(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return what each tile, face voxel and voxel costs, none of them less than nothing."""
    from scipy.optimize import nnls

    found = {}
    for total, names in COSTS.items():
        values = np.array([max(row[total], 1e-9) for row in rows], float)
        table = np.array([[row.get(name, 1) for name in names] for row in rows], float)
        scale = table.max(axis=0)
        solved, _ = nnls(table / scale / values[:, None], np.ones(len(rows)))  # errors count relative to the total
        found[total] = dict(zip(names, (solved / scale).tolist(), strict=True))
    return found


# Processes ------------------------------------------------------------------------------------------------


@contextmanager
def processes(n: int) -> Iterator[Any]:
    """Start worker processes of one thread each."""
    import distributed

    options = {"n_workers": n, "threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(n, timeout=60)
        yield client


def task_seconds(client: Any, n: int = 2000) -> float:
    """Return what it takes to send a tile out and to have its answer, where it does nothing."""
    sweeper = Cluster(client, (EDGE,))
    sweeper.map("warming up", abs, 100)
    start = time.perf_counter()
    sweeper.map("doing nothing", abs, n)
    return (time.perf_counter() - start) / n


def by_workers(name: str, source: Any, edge: int, clients: Mapping[int, Any], rounds: int) -> dict[int, list[float]]:
    """Return the seconds of runs on so many processes, in turns; a first run of each, not counted, compiles."""
    seconds: dict[int, list[float]] = {n: [] for n in clients}
    for turn in range(rounds + 1):
        for n in sorted(clients, reverse=bool(turn % 2)):
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                run(name, source, Cluster(clients[n], (edge,) * 3, make_scratch=scratch_in(folder)))
                if turn:
                    seconds[n].append(time.perf_counter() - start)
    return seconds


# What follows --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Projected:
    """Seconds and bytes of a run on many workers."""

    workers: int
    work_hours: float
    sending_hours: float
    driver_hours: float
    hours: float
    efficiency: float
    driver_bytes: float


def amounts(voxels: int, edge: int) -> dict[str, float]:
    """Return how many tiles and face voxels a cube of so many voxels has."""
    along = voxels ** (1 / 3) / edge
    return {"once": 1.0, "tiles": along**3, "faces": max(3 * (along - 1) * along**2 * edge**2, 0.0), "voxels": voxels}


def total(costs: Mapping[str, float], of: Mapping[str, float]) -> float:
    return sum(each * of[name] for name, each in costs.items())


def projected(costs: Mapping[str, Any], looks: float, task: float, voxels: int, edge: int, workers: int) -> Projected:
    """Return what a run would take: tiles on all workers, beside which tasks are sent, and the driver alone."""
    of = amounts(voxels, edge)
    work = total(costs["seconds"], of)
    sending = looks * of["tiles"] * task
    driver = total(costs["driver_seconds"], of)
    whole = max(work / workers, sending) + driver
    return Projected(
        workers,
        work / workers / 3600,
        sending / 3600,
        driver / 3600,
        whole / 3600,
        (work + driver) / workers / whole,
        total(costs["bytes"], of),
    )


def bound(costs: Mapping[str, Any], edge: int, most: float = DRIVER_BYTES) -> float:
    """Return the voxels at which what tiles tell fills the memory of the driver."""
    low, high = 3.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        full = total(costs["bytes"], amounts(round(10**middle), edge)) > most
        low, high = (low, middle) if full else (middle, high)
    return 10**low


# Report --------------------------------------------------------------------------------------------------


def measured(name: str, source: Any, edges: Sequence[int], clients: Mapping[int, Any], rounds: int) -> dict[str, Any]:
    """Measure a recipe, and project it."""
    cost(name, source[(slice(0, min(edges) * 2),) * 3], min(edges))  # compiles
    rows = [cost(name, source, edge) for edge in edges]
    costs, looks = fitted(rows), max(row["looks"] / row["tiles"] for row in rows)
    seconds = by_workers(name, source, edges[0], clients, rounds)
    return {"rows": rows, "costs": costs, "looks": looks, "seconds": seconds}


def curve(found: Mapping[str, Any], task: float) -> list[Projected]:
    return [projected(found["costs"], found["looks"], task, VOXELS, EDGE, n) for n in WORKERS]


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Draw hours against workers."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for name, found in report["cases"].items():
        points = curve(found, report["task_seconds"])
        (line,) = axes.loglog(WORKERS, [p.hours for p in points], marker="o", label=name)
        axes.axhline(points[-1].driver_hours, color=line.get_color(), linestyle=":", linewidth=1)
    axes.set(xlabel="workers of one thread", ylabel="hours for 100 TB", xticks=WORKERS, xticklabels=WORKERS)
    axes.set_title("Projected from costs measured here; dotted: what the driver does alone", fontsize=10)
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    figure.savefig(path, dpi=110)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def speedups(report: Mapping[str, Any]) -> list[list[str]]:
    """Return rows of what 1 and 2 processes take."""
    rows = []
    for name, found in report["cases"].items():
        one, two = (statistics.median(seconds) for seconds in found["seconds"].values())
        rows.append([name, f"{one:.1f}", f"{two:.1f}", f"{one / two:.2f}"])
    return rows


def markdown(report: Mapping[str, Any]) -> str:
    """Return the report as a page."""
    costs, curves, bounds = [], [], []
    for name, found in report["cases"].items():
        of, looks = found["costs"], found["looks"]
        last = curve(found, report["task_seconds"])[-1]
        each = {"once": "run", "tiles": "tile", "faces": "face voxel", "voxels": "voxel"}
        for what, unit, scale in (("seconds", "µs", 1e6), ("driver_seconds", "µs", 1e6), ("bytes", "bytes", 1.0)):
            words = ", ".join(f"{of[what][key] * scale:.3g} {unit} a {each[key]}" for key in of[what] if of[what][key])
            costs.append(
                [name, {"seconds": "workers", "driver_seconds": "driver"}.get(what, "told"), words or "nothing"]
            )
        curves += [
            [name, f"{p.workers:,}", f"{p.work_hours:.2f}", f"{p.sending_hours:.2f}", f"{p.driver_hours:.2f}",
             f"{p.hours:.2f}", f"{p.efficiency:.0%}"]
            for p in curve(found, report["task_seconds"])
        ]  # fmt: skip
        most = 2 * bound(of, EDGE) / 1e12
        bounds.append([name, f"{looks:.1f}", f"{last.driver_bytes / 2**30:.1f} GiB", f"{last.driver_hours:.2f} h",
                       f"{most:.3g} TB"])  # fmt: skip
    facts = "\n".join(f"- {key}: {value}" for key, value in report["machine"].items())
    edges = ", ".join(str(edge) for edge in report["edges"])
    head = ["recipe", "workers", "tiles, h", "sending, h", "driver alone, h", "all, h", "efficiency"]
    return (
        f"# From one worker to many\n\n## Measured\n\n{report['side']}^3 voxels of uint16 in tiles of "
        f"{report['edges'][0]}^3; workers are processes of one thread; medians of {report['rounds']} runs.\n\n"
        f"{_table(['recipe', '1 worker, s', '2 workers, s', 'ratio'], speedups(report))}\n\n"
        f"A tile that does nothing takes {report['task_seconds'] * 1e3:.2f} ms to be sent out and answered.\n\n"
        f"Costs, fitted to runs in tiles of {edges}:\n\n{_table(['recipe', 'who', 'costs'], costs)}\n\n"
        f"## Projected: 100 TB of uint16 in {round(amounts(VOXELS, EDGE)['tiles']):,} tiles of {EDGE}^3\n\n"
        f"{_table(head, curves)}\n\nTasks are sent while tiles are at work: the longer of both counts, and what the "
        "driver does alone is added. Storage is left out.\n\n## The serial part\n\nWhat tiles tell in one sweep is in "
        f"the memory of the driver at once; the last column is the volume at which that is "
        f"{DRIVER_BYTES >> 30} GiB.\n\n"
        f"{_table(['recipe', 'looks at each tile', 'told at 100 TB', 'joined in', 'most'], bounds)}\n\n{facts}\n"
    )


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=256, help="edge of the volume, a multiple of 64")
    parser.add_argument(
        "--edges", type=int, nargs="+", default=[64, 96, 128, 48], help="edges of tiles; the first runs"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", default="", help="recipes whose name holds these words")
    parser.add_argument("--out", type=Path, help="a JSON file to write; a Markdown page is put beside it")
    parser.add_argument("--picture", type=Path, help="a PNG file to write")
    options = parser.parse_args(arguments)
    source = volume.box((options.side,) * 3)
    report: dict[str, Any] = {"machine": machine(), **{k: getattr(options, k) for k in ("side", "edges", "rounds")}}
    with processes(1) as one, processes(2) as two:
        report["task_seconds"] = task_seconds(one)
        names = [name for name in RECIPES if options.only in name]
        clients = {1: one, 2: two}
        report["cases"] = {n: measured(n, source, options.edges, clients, options.rounds) for n in names}
    report["projected"] = {
        name: [asdict(point) for point in curve(found, report["task_seconds"])]
        for name, found in report["cases"].items()
    }
    print(aligned([["recipe", "1 worker, s", "2 workers, s", "ratio"], *speedups(report)]))
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n")
        options.out.with_suffix(".md").write_text(markdown(report))
    if options.picture:
        draw(report, options.picture)


if __name__ == "__main__":
    main()
