"""Every method on a GPU beside the same on the host: time, memory of the card, and whether both give the same labels.

``python benchmarks/gpu.py [--quick] [--only WORDS] [--sides 64,128,256] [--out benchmarks/results/NAME.json]`` prints
one row per method and size. Without a GPU it says so, and measures nothing.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from scipy import ndimage

import napari_cutout as nc
from _harness import aligned, machine
from napari_cutout import catalog
from napari_cutout._array import to_numpy
from napari_cutout._device import driver_version
from watershed_gpu import why_not

SIDES, QUICK_SIDES = (64, 128, 256), (24,)

ROUNDS = 3
"""Runs of which the fastest counts; one is enough where it takes longer than a second."""

PATIENCE = 8.0
"""Seconds; the host is not asked for a size at which it would take as long, by what it took for the size before."""

VALUES = {"threshold_at": {"value": 1300.0}, "classes_at": {"values": (1100.0, 1400.0)}}

WITH_OPTIONS: dict[str, dict[str, Any]] = {
    "sigma": {"sigma": 1.0},
    "median": {"median_radius": 1},
    "background": {"background_radius": 8.0},
    "objects": {"one_per_object": True},
    "holes": {"fill_holes": True, "min_size": 10},
}
"""Options that all image methods share; each is measured with `threshold`, and the first with all."""

COLUMNS = ("case", "edge", "GPU s", "copied s", "host s", "ratio", "B/voxel", "input B", "same")


@dataclass(frozen=True, slots=True)
class Case:
    """One function, and the names of the arrays that it gets."""

    name: str
    run: Callable[..., Any]
    arrays: tuple[str, ...]


def cases() -> Iterator[Case]:
    """Yield all methods that run where their arrays are, and what else does."""
    for name, entry in catalog.methods().items():
        if entry.network:
            continue
        source = entry.source.name
        seeds = () if entry.needs != "strokes" else ("seeds" if name == "watershed" else "strokes",)
        own = VALUES.get(name, {})
        yield Case(name, partial(entry, **own), (source, *seeds))
        known = {p.name for p in entry.settings}
        for words, more in WITH_OPTIONS.items():
            if source == "image" and set(more) <= known and entry.row != "Graph-based" and (
                name == "threshold" or words == "sigma"
            ):  # fmt: skip
                yield Case(f"{name}, {words}", partial(entry, **own, **more), (source, *seeds))
    yield Case("distance", nc.distance, ("labels",))
    yield Case("features", nc.features, ("image",))
    yield Case("measure", nc.measure, ("objects", "image"))
    yield Case("evaluate_objects", nc.evaluate_objects, ("objects", "moved objects"))


@cache
def volume(side: int) -> dict[str, np.ndarray]:
    """Return cells 600 grey levels brighter than the rest, with noise, their classes and objects, and strokes."""
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.standard_normal((side,) * 3, np.float32), 4.0)
    smooth /= smooth.std()
    inside = smooth > 0.7
    image = 1000 + 600 * inside + 120 * smooth + 60 * rng.standard_normal(smooth.shape, np.float32)
    strokes, seeds = np.zeros(smooth.shape, np.int32), np.zeros(smooth.shape, np.int32)
    strokes[::16, ::16, ::16] = np.where(inside[::16, ::16, ::16], 1, 2)
    strokes[0, 0, 1:3] = 1, 2
    some = seeds[8::32, 8::32, 8::32]
    some[...] = np.arange(1, some.size + 1).reshape(some.shape)
    objects = ndimage.label(inside)[0].astype(np.int32)
    return {
        "image": np.clip(image, 0, 65535).astype(np.uint16),
        "labels": inside.astype(np.uint8),
        "strokes": strokes,
        "seeds": seeds,
        "objects": objects,
        "moved objects": np.roll(objects, (1, 2, 2), (0, 1, 2)),
    }


# The card ----------------------------------------------------------------------------------------------


class Card(Protocol):
    """What is asked of a GPU."""

    name: str

    def put(self, array: np.ndarray) -> Any:
        """Copy an array to the card."""

    def wait(self) -> None:
        """Return when all that was launched is done."""

    def peak_of(self, run: Callable[[], Any]) -> int:
        """Return the most bytes that arrays took while a function ran, beyond those that were there before."""


class CuPyCard:
    """The GPU that CuPy uses."""

    def __init__(self) -> None:
        import cupy

        self.cupy = cupy
        self.pool = cupy.get_default_memory_pool()
        self.name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()

    def put(self, array: np.ndarray) -> Any:
        """Copy an array to the card."""
        return self.cupy.asarray(array)

    def wait(self) -> None:
        """Return when all that was launched is done."""
        self.cupy.cuda.Device().synchronize()

    def peak_of(self, run: Callable[[], Any]) -> int:
        """Return the most bytes that arrays took while a function ran, beyond those that were there before."""
        self.pool.free_all_blocks()
        before = self.pool.used_bytes()
        with self._watching() as most:
            run()
            self.wait()
        return max(most) - before

    @contextmanager
    def _watching(self) -> Iterator[list[int]]:
        """Note the bytes in use after every allocation."""
        pool = self.pool
        most = [pool.used_bytes()]

        class Hook(self.cupy.cuda.MemoryHook):  # type: ignore[misc,name-defined]
            name = "peak"

            def malloc_postprocess(self, **_: Any) -> None:
                most[0] = max(most[0], pool.used_bytes())

        with Hook():
            yield most


# Rows --------------------------------------------------------------------------------------------------


def fastest(run: Callable[[], Any], wait: Callable[[], None]) -> tuple[float, Any]:
    """Return the seconds of the fastest of a few runs, and the result of the last."""
    best, result = float("inf"), None
    for _ in range(ROUNDS):
        result = None
        gc.collect()
        wait()
        start = time.perf_counter()
        result = run()
        wait()
        best = min(best, seconds := time.perf_counter() - start)
        if seconds > 1:
            break
    return best, result


def parts_of(result: Any) -> list[np.ndarray]:
    """Return the arrays of a result on the host; none of a table."""
    parts = result if isinstance(result, tuple) else (result,)
    return [to_numpy(part) for part in parts if hasattr(part, "dtype")]


def row_of(case: Case, side: int, card: Card, *, with_host: bool) -> dict[str, Any]:
    """Measure one case at one size.

    Parameters
    ----------
    case : Case
        What to run.
    side : int
        Edge of the volume.
    card : Card
        Where to run it.
    with_host : bool
        Whether the host runs it as well.

    Returns
    -------
    dict
        Seconds on the card, those with the way there and back, those of the host, peak bytes per voxel beyond the
        inputs, bytes per voxel of the inputs, and the fraction of voxels on which both agree.
    """
    given = [volume(side)[name] for name in case.arrays]
    on_card = partial(case.run, *[card.put(array) for array in given])
    on_card()
    peak = card.peak_of(on_card)
    seconds, result = fastest(on_card, card.wait)
    found = parts_of(result)
    del result, on_card
    copied, _ = fastest(lambda: parts_of(case.run(*[card.put(array) for array in given])), card.wait)
    row = {
        "case": case.name, "side": side, "gpu_s": seconds, "copied_s": copied, "host_s": None, "ratio": None,
        "bytes_per_voxel": peak / side**3, "input_bytes_per_voxel": sum(a.nbytes for a in given) / side**3,
        "same": None,
    }  # fmt: skip
    if with_host:
        row["host_s"], expected = fastest(lambda: case.run(*given), lambda: None)
        row["ratio"] = row["host_s"] / copied
        pairs = list(zip(found, parts_of(expected), strict=True))
        row["same"] = float(np.mean([np.mean(a == b) for a, b in pairs])) if pairs else None
    return row


def measured(
    card: Card, sides: Sequence[int], chosen: Sequence[Case], patience: float = PATIENCE
) -> Iterator[dict[str, Any]]:
    """Yield the rows of all cases, the small sizes first; a case that fails is told of, and not tried again."""
    host: dict[str, float] = {}
    failed: set[str] = set()
    for before, side in zip((sides[0], *sides), sides, strict=False):
        for case in chosen:
            if case.name in failed:
                continue
            expected = host.get(case.name, 0.0) * (side / before) ** 3
            try:
                row = row_of(case, side, card, with_host=expected < patience)
            except Exception as error:  # a benchmark of forty cases goes on after one
                failed.add(case.name)
                row = {"case": case.name, "side": side, "error": f"{type(error).__name__}: {error}"}
            host[case.name] = row.get("host_s") or 1e9
            yield row


def text_of(row: dict[str, Any]) -> list[str]:
    """Return a row of the table as text."""
    if "error" in row:
        return [row["case"], str(row["side"]), row["error"][:60], *[""] * (len(COLUMNS) - 3)]
    forms = {
        "gpu_s": "{:.4f}", "copied_s": "{:.4f}", "host_s": "{:.4f}", "ratio": "{:.1f}x", "bytes_per_voxel": "{:.1f}",
        "input_bytes_per_voxel": "{:.0f}", "same": "{:.6f}",
    }  # fmt: skip
    cells = ["-" if row[name] is None else form.format(row[name]) for name, form in forms.items()]
    return [row["case"], str(row["side"]), *cells]


def markdown(report: dict[str, Any]) -> str:
    """Return the report as a page."""
    rows = [COLUMNS, ["---"] * len(COLUMNS), *map(text_of, report["rows"])]
    lines = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    facts = "\n".join(f"- {name}: {value}" for name, value in report["machine"].items())
    return (
        f"# Methods on a GPU: {report['card']}\n\n{lines}\n\n"
        "uint16 volumes of that edge. Seconds are the fastest of three runs after one that compiles: with all arrays\n"
        "on the card, and with the way there and back (copied), whose ratio to the host is shown. B/voxel is the peak\n"
        "of CuPy's pool beyond the inputs, output included; up to 200 MB of it are CuPy's for a histogram of\n"
        "65,536 bins, whatever the size. Same is the fraction of voxels with the label that the host gives.\n\n"
        f"{facts}\n"
    )


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Measure all methods on a GPU beside the host.")
    parser.add_argument("--quick", action="store_true", help="tiny volumes: does everything run?")
    parser.add_argument("--only", default="", metavar="WORDS", help="cases whose name holds these words")
    parser.add_argument("--sides", default="", help="edges of the volumes, such as 64,128")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so many, with what there is")
    parser.add_argument("--patience", type=float, default=PATIENCE, help="seconds for the host; 0 leaves it out")
    parser.add_argument("--out", type=Path, help="a JSON file to write; a Markdown table is put beside it")
    options = parser.parse_args(arguments)
    if reason := why_not():
        print(f"methods on a GPU: not measured, since {reason}")
        return
    card = CuPyCard()
    sides = [int(s) for s in options.sides.split(",") if s] or (QUICK_SIDES if options.quick else SIDES)
    facts = machine() | {"driver": driver_version(), "cupy": card.cupy.__version__}
    report: dict[str, Any] = {"card": card.name, "machine": facts, "rows": []}
    start = time.perf_counter()
    chosen = [case for case in cases() if options.only in case.name]
    for row in measured(card, sides, chosen, options.patience):
        report["rows"].append(row)
        print("  ".join(text_of(row)), flush=True)
        if options.out:
            options.out.write_text(json.dumps(report, indent=1) + "\n")
            options.out.with_suffix(".md").write_text(markdown(report))
        if time.perf_counter() - start > options.seconds:
            break
    print(aligned([COLUMNS, *map(text_of, report["rows"])]))


if __name__ == "__main__":
    main()
