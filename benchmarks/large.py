"""Volumes that memory does not hold: peak memory under a cap, labels, growth, and what tiles cost over the whole.

``python benchmarks/large.py [--side 1024] [--folder DIR] [--only WORDS] [--out FILE.json]``

Every run is the command line in a process of its own, whose memory is capped by a control group where one can be made
(it kills), else by ulimit -v (it raises). The volume is made chunk by chunk and is kept in the folder.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import napari_cutout as nc
import volume
from _harness import aligned, machine

CAP = 4 << 30

RECIPES: dict[str, list[nc.Step]] = {
    "otsu, components": [nc.Step("threshold", {"sigma": 1.0, "one_per_object": True})],
    "k-means": [nc.Step("kmeans", {"n_clusters": 3})],
    "watershed": [
        nc.Step("threshold", {"sigma": 1.0}),
        nc.Step("markers_from_distance", {}, {"labels": "step_1"}),
        nc.Step("watershed", {"surface": "inverted"}, {"markers": "step_2", "mask": "step_1"}),
    ],
}

CROP = 256
"""Edge of the volume that is also run whole."""

ROUNDS = 5

FIELDS = ("case", "side", "seconds", "Mvoxel/s", "peak MiB", "labels")


# A process under a cap ---------------------------------------------------------------------------------


@contextmanager
def capped(n_bytes: int) -> Iterator[tuple[Callable[[], None], str]]:
    """Give what a child calls before it starts so that its memory is capped, and what caps it."""
    for root in (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")):
        group = root / f"napari-cutout-{os.getpid()}"
        limit = group / ("memory.max" if root.name == "cgroup" else "memory.limit_in_bytes")
        try:
            group.mkdir()
            limit.write_text(str(n_bytes))
        except OSError:
            if group.is_dir():
                group.rmdir()
            continue
        try:
            yield partial(_enter, group), f"control group {limit.name}"
        finally:
            group.rmdir()
        return
    yield lambda: resource.setrlimit(resource.RLIMIT_AS, (n_bytes, n_bytes)), "ulimit -v"


def _enter(group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()))


def run(recipe: Path, source: Path, target: Path, options: Sequence[str] = (), cap: int = CAP) -> dict[str, Any]:
    """Run a recipe by the command line and return seconds, peak memory, and what it said."""
    command = [sys.executable, "-m", "napari_cutout", "run", recipe, source, target, "--overwrite", *options]
    with capped(cap) as (before, kind):
        start = time.perf_counter()
        child = subprocess.Popen(
            list(map(str, command)), preexec_fn=before, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        said = child.stdout.read() if child.stdout else ""
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "peak": usage.ru_maxrss * 1024,
        "cpu": usage.ru_utime + usage.ru_stime,
        "code": child.returncode,
        "cap": kind,
        "said": said,
    }


# What is measured ----------------------------------------------------------------------------------------


def grown(name: str, folder: Path, side: int, options: Sequence[str]) -> dict[str, Any]:
    """Run a recipe on the volume of this edge, under the cap."""
    source, target = folder / f"v{side}.zarr", folder / f"{name.replace(', ', '-')}-{side}.zarr"
    volume.write(source, side)
    recipe = nc.Recipe(RECIPES[name]).save(folder / "recipe.json", overwrite=True)
    found = run(recipe, source, target, options)
    if found["code"]:
        raise RuntimeError(f"{name} on {side}^3 ended with {found['code']}: {found['said'][-2000:]}")
    n_labels = _highest(target)
    return {"case": name, "side": side, "labels": n_labels, **found}


def _highest(store: Path) -> int:
    import zarr

    array = zarr.open_array(str(store / "0"), mode="r")
    step = array.chunks[0]
    return max(int(array[at : at + step].max()) for at in range(0, array.shape[0], step))


def crop_is_equal(name: str, folder: Path, options: Sequence[str]) -> bool:
    """Tell whether the command, in tiles, gives the labels of the whole on a volume that memory holds."""
    tiled = grown(name, folder, CROP, [*options, "--tile", "128"])
    whole = nc.execute(nc.Recipe(RECIPES[name]), {"image": volume.box((CROP,) * 3)}, device="cpu").labels
    import zarr

    found = zarr.open_array(str(folder / f"{name.replace(', ', '-')}-{CROP}.zarr" / "0"), mode="r")[...]
    return bool(np.array_equal(found, whole)) and tiled["labels"] == int(whole.max())


def overhead(name: str, folder: Path) -> tuple[list[float], list[float]]:
    """Return seconds of a run in tiles and of a whole run on stores, each including reading and writing, in turns."""
    source = folder / f"v{CROP}.zarr"
    volume.write(source, CROP)
    recipe = nc.Recipe(RECIPES[name])
    sides: list[Callable[[Path], Any]] = [
        partial(nc.run, recipe, source, tile=128, overwrite=True, device="cpu"),
        partial(nc.run, recipe, source, overwrite=True, device="cpu"),
    ]
    seconds: tuple[list[float], list[float]] = ([], [])
    with tempfile.TemporaryDirectory(dir=folder) as place:
        for side in sides:
            side(target=Path(place) / "warm.zarr")
        for turn in range(ROUNDS):
            for which in sorted((0, 1), reverse=bool(turn % 2)):
                start = time.perf_counter()
                sides[which](target=Path(place) / f"{which}.zarr")
                seconds[which].append(time.perf_counter() - start)
    return seconds


# Report --------------------------------------------------------------------------------------------------


def rows(results: Sequence[dict[str, Any]]) -> list[list[str]]:
    return [
        [
            row["case"],
            f"{row['side']}^3",
            f"{row['seconds']:.1f}",
            f"{row['side'] ** 3 / row['seconds'] / 1e6:.1f}",
            f"{row['peak'] / 2**20:.0f}",
            f"{row['labels']:,}",
        ]
        for row in results
    ]


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, nargs="+", default=[512, 1024], help="edges of the volumes")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "napari-cutout-large")
    parser.add_argument("--only", default="", help="recipes whose name holds these words")
    parser.add_argument("--out", type=Path, help="a JSON file to write; a Markdown page is put beside it")
    parser.add_argument("--option", action="append", default=[], help="given to every run, such as --option=--tile=256")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {"machine": machine(), "cap": CAP, "runs": [], "equal": {}, "overhead": {}}
    for name in (name for name in RECIPES if options.only in name):
        report["equal"][name] = crop_is_equal(name, options.folder, options.option)
        report["overhead"][name] = overhead(name, options.folder)
        tiled, whole = map(statistics.median, report["overhead"][name])
        print(f"{name}: equal on {CROP}^3: {report['equal'][name]}; tiles / whole {tiled / whole:.2f}", flush=True)
        for side in options.side:
            report["runs"].append(grown(name, options.folder, side, options.option))
            print(aligned([FIELDS, *rows(report["runs"][-1:])]), flush=True)
            if options.out:
                options.out.write_text(json.dumps(report, indent=1) + "\n")
    if options.out:
        options.out.with_suffix(".md").write_text(markdown(report))


def markdown(report: dict[str, Any]) -> str:
    """Return the report as a page."""
    lines = "\n".join("| " + " | ".join(row) + " |" for row in [FIELDS, ["---"] * len(FIELDS), *rows(report["runs"])])
    crops = [
        f"| {name} | {report['equal'][name]} | {t:.2f} | {w:.2f} | {t / w:.2f} |"
        for name, pair in report["overhead"].items()
        for t, w in [map(statistics.median, pair)]
    ]
    facts = "\n".join(f"- {name}: {value}" for name, value in report["machine"].items())
    kinds = ", ".join(sorted({row["cap"] for row in report["runs"]}))
    head = "| recipe | labels equal | tiles, s | whole, s | ratio |\n| --- | --- | --- | --- | --- |\n"
    return (
        f"# Volumes that memory does not hold\n\nEach run is the command line, with its memory capped at "
        f"{report['cap'] >> 30} GiB ({kinds}); peak is the largest resident set.\n\n{lines}\n\n"
        f"## {CROP}^3, in 8 tiles and whole\n\nMedians of {ROUNDS} runs in turns, reading and writing included.\n\n"
        f"{head}" + "\n".join(crops) + f"\n\n{facts}\n"
    )


if __name__ == "__main__":
    main()
