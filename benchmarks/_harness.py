"""Time two programs against each other in one process, and measure the memory of each in a process of its own."""

from __future__ import annotations

import gc
import importlib.metadata
import importlib.util
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Arrays = tuple[np.ndarray, ...]

PACKAGES = ("napari-cutout", "numpy", "scipy", "numba", "scikit-image", "scikit-learn")

PEERS = ("edt", "monai", "pyamg", "SimpleITK")
"""What the `bench` extra installs; a case whose peer is not there is left out."""

QUICK_ROUNDS = 2

WARM_UP_SIDE = 24
"""Edge of the sample of the inputs on which both sides run once before anything is measured."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure must reach.

    Parameters
    ----------
    ratio : float, optional
        How many times as fast as the peer ours must be.
    seconds : float, optional
        How long ours may take.
    bytes_per_voxel : float, optional
        How much memory ours may take beyond input and output; the limit is not reached.
    """

    ratio: float | None = None
    seconds: float | None = None
    bytes_per_voxel: float | None = None

    def __str__(self) -> str:
        limits = ((">= {:g}x", self.ratio), ("< {:g} s", self.seconds), ("< {:g} B/voxel", self.bytes_per_voxel))
        return ", ".join(text.format(value) for text, value in limits if value is not None)

    def met(self, seconds: float, ratio: float | None, peak: float | None) -> bool | None:
        """Tell whether the figures reach the target; None if one of them is not known, or nothing is asked for."""
        wanted = (
            (self.ratio, ratio, lambda limit, value: value >= limit),
            (self.seconds, seconds, lambda limit, value: value < limit),
            (self.bytes_per_voxel, peak, lambda limit, value: value < limit),
        )
        reached = [None if value is None else rule(limit, value) for limit, value, rule in wanted if limit is not None]
        return None if not reached or None in reached else all(reached)


@dataclass(frozen=True, slots=True)
class Case:
    """One task that ours and a peer solve on the same arrays.

    Parameters
    ----------
    name : str
        What is done.
    arrays : tuple of str
        Names of the arrays that both get, as in `data.arrays`.
    ours, peer : callable
        ``f(*arrays)``; without a peer only ours is measured.
    same : callable, optional
        From both results to the fraction of elements on which they agree.
    target : Target
        What must be reached.
    rounds : int
        How often each side runs; the median counts.
    needs : str
        The package of `PEERS` that the peer is made of; empty if it is among the others.
    words : callable, optional
        From both results and the arrays to what else there is to say, such as which fits better.
    n_channels : int
        Channels of the arrays; memory is told per voxel, whatever their number.
    """

    name: str
    arrays: tuple[str, ...]
    ours: Callable[..., Any]
    peer: Callable[..., Any] | None = None
    same: Callable[[Any, Any], float] | None = None
    target: Target = Target()
    rounds: int = 7
    needs: str = ""
    words: Callable[..., str] | None = None
    n_channels: int = 1

    def why_not(self) -> str:
        """Say why the case cannot be measured here; empty if it can."""
        if not self.needs or importlib.util.find_spec(self.needs) is not None:
            return ""
        return f"{self.needs} is not installed; the extra `bench` has it"


def sample(arrays: Sequence[np.ndarray]) -> Arrays:
    """Return every few voxels of the arrays, so that a first run compiles and loads all it needs."""
    return tuple(
        np.ascontiguousarray(a[tuple(slice(None, None, -(-n // WARM_UP_SIDE)) for n in a.shape)]) for a in arrays
    )


def times(case: Case, arrays: Arrays, rounds: int) -> tuple[list[float], list[float], float | None, str]:
    """Return the seconds of every round of ours and of the peer, the fraction on which they agree, and what to say.

    The two take turns, and the one that goes first changes, so that what else the machine does hits both.
    """
    sides = [side for side in (case.ours, case.peer) if side is not None]
    for side in sides:
        side(*sample(arrays))
    seconds: list[list[float]] = [[] for _ in sides]
    results: list[Any] = [None for _ in sides]
    for turn in range(rounds):
        for which in sorted(range(len(sides)), reverse=bool(turn % 2)):
            results[which] = None
            gc.collect()
            start = time.perf_counter()
            results[which] = sides[which](*arrays)
            seconds[which].append(time.perf_counter() - start)
    agreement = case.same(*results) if case.same and case.peer else None
    words = case.words(*results, *arrays) if case.words and case.peer else ""
    return seconds[0], seconds[1] if case.peer else [], agreement, words


def result_of(
    case: Case, arrays: Arrays, peaks: tuple[float | None, float | None], *, quick: bool = False
) -> dict[str, Any]:
    """Measure a case and return its row of the table; a quick run judges no target."""
    rounds = QUICK_ROUNDS if quick else case.rounds
    ours, peer, agreement, words = times(case, arrays, rounds)
    seconds, peer_seconds = statistics.median(ours), statistics.median(peer) if peer else None
    ratio = peer_seconds / seconds if peer_seconds is not None else None
    return {
        "case": case.name,
        "ours_s": seconds,
        "peer_s": peer_seconds,
        "ratio": ratio,
        "target": str(case.target),
        "met": None if quick else case.target.met(seconds, ratio, peaks[0]),
        "ours_bytes_per_voxel": peaks[0],
        "peer_bytes_per_voxel": peaks[1],
        "agreement": agreement,
        "words": words,
        "rounds": rounds,
        "ours_all_s": ours,
        "peer_all_s": peer,
    }


# Memory ----------------------------------------------------------------------------------------------


def peaks_of(case: Case, arrays: Arrays) -> tuple[float | None, float | None]:
    """Return the peak memory of ours and of the peer in bytes per voxel beyond input and output.

    None where there is no peer, or no Linux, whose kernel keeps the mark that is read.
    """
    if not sys.platform.startswith("linux"):
        return None, None
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / f"{i}.npy") for i in range(len(arrays))]
        for path, array in zip(paths, arrays, strict=True):
            np.save(path, array)
        n = case.n_channels
        return n * _peak("ours", case, paths), None if case.peer is None else n * _peak("peer", case, paths)


def _peak(side: str, case: Case, paths: Sequence[str]) -> float:
    command = [sys.executable, str(Path(__file__).with_name("run.py")), "--peak", side, case.name, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the memory of {case.name!r} ({side}) could not be measured: {done.stderr.strip()}")
    return float(done.stdout.splitlines()[-1])


def peak_here(side: Callable[..., Any], paths: Sequence[str]) -> float:
    """Run one side in this fresh process and return its peak in bytes per element of the first array.

    The inputs are in memory, and everything has been imported and compiled by a run on a sample, before the
    mark of the highest memory (VmHWM) is set back to what is used now.
    """
    arrays = tuple(np.load(path) for path in paths)
    side(*sample(arrays))
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    result = side(*arrays)
    peak = _status("VmHWM")
    parts = result if isinstance(result, tuple) else (result,)
    output = sum(part.nbytes for part in parts if isinstance(part, np.ndarray))
    return max(peak - before - output, 0) / arrays[0].size


def _status(name: str) -> int:
    """Return an entry of the kernel's status of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


# Machine ---------------------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """Return what the figures depend on; nothing that names the machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": _processor(),
        "cores": cores,
        "memory_GiB": _memory(),
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        **{name: importlib.metadata.version(name) for name in PEERS if importlib.util.find_spec(name) is not None},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def _memory() -> int:
    import psutil

    return round(psutil.virtual_memory().total / 2**30)


# Report ----------------------------------------------------------------------------------------------

COLUMNS = ("case", "ours s", "peer s", "ratio", "target", "met", "ours B/voxel", "peer B/voxel", "agreement", "rounds")


def table(results: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Return the rows of the table as text."""
    return [
        [
            row["case"],
            _number(row["ours_s"], "{:.4f}"),
            _number(row["peer_s"], "{:.4f}"),
            _number(row["ratio"], "{:.1f}x"),
            row["target"] or "-",
            {True: "yes", False: "NO", None: "-"}[row["met"]],
            _number(row["ours_bytes_per_voxel"], "{:.2f}"),
            _number(row["peer_bytes_per_voxel"], "{:.2f}"),
            _number(row["agreement"], "{:.6f}"),
            str(row["rounds"]),
        ]
        for row in results
    ]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as columns of equal width, the first to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def markdown(report: dict[str, Any]) -> str:
    """Return the report as a page."""
    facts = "\n".join(f"- {name}: {value}" for name, value in report["machine"].items())
    rows = [COLUMNS, ["---"] * len(COLUMNS), *table(report["results"])]
    lines = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    words = "".join(f"{row['case']}: {row['words']}.\n\n" for row in report["results"] if row["words"])
    left_out = "".join(f"Not measured: {case}, since {reason}.\n\n" for case, reason in report["left_out"].items())
    return (
        f"# {' x '.join(map(str, report['shape']))} voxels\n\n{lines}\n\n{words}{left_out}"
        "Seconds are medians; B/voxel is the peak memory beyond input and output; agreement is the fraction of\n"
        f"elements on which both give the same.\n\n{facts}\n"
    )
