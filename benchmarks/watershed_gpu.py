"""The watershed on a GPU against scikit-image on the host: time, memory, and how near the kernels come to the card.

``python benchmarks/watershed_gpu.py [--quick] [--json]`` prints one row per kernel; ``run.py`` runs it and puts it into
its report. Without a GPU it says so, and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import napari_cutout as nc
from _harness import aligned
from napari_cutout import kernels
from napari_cutout._array import dtype_name

SIDE, QUICK_SIDE = 512, 64

PEER_SIDE = 256
"""scikit-image takes minutes for the whole; it floods a volume of this edge, and ours floods it again."""

NAME = "watershed on a GPU"
"""What `--only` of ``run.py`` calls it."""

ROUNDS = 5

COPY_BYTES = 1 << 30
"""What is copied to learn the card's bandwidth; far more than its caches hold."""

MAX_SECONDS, MAX_BYTES = 1.0, 40
"""Limits at 512 x 512 x 512 voxels, float32."""

COLUMNS = ("kernel", "launches", "ms", "GB/s", "of a copy")


def why_not() -> str:
    """Say why there is no GPU to measure; empty if there is one."""
    try:
        import cupy
    except ImportError:
        return "CuPy is not installed; the extra `cuda13` (or `cuda12`) has it"
    return "" if cupy.cuda.is_available() else "CuPy finds no usable GPU; `napari-cutout doctor` says what is missing"


@dataclass
class Traffic:
    """What kernels are launched, how long each takes, and how many bytes it must move at least.

    Parameters
    ----------
    clock : callable
        Returns a mark in the order of what the device does.
    between : callable
        From two marks to the milliseconds between them; called after everything has run.
    launches : list of tuple
        Kernel, bytes of its arrays, and the marks around it.
    """

    clock: Callable[[], Any]
    between: Callable[[Any, Any], float]
    launches: list[tuple[str, int, Any, Any]] = field(default_factory=list)

    def watched(self, name: str, call: Callable[..., None]) -> Callable[..., None]:
        """Return a kernel that is counted whenever it is launched."""

        def launch(grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple[Any, ...]) -> None:
            moved = sum(array_bytes(a) for a in arguments)
            before = self.clock()
            call(grid, block, arguments)
            self.launches.append((name, moved, before, self.clock()))

        return launch

    def rows(self, copy_bandwidth: float) -> list[dict[str, Any]]:
        """Return one row per kernel, the slowest first.

        Parameters
        ----------
        copy_bandwidth : float
            Bytes per second that the card reads and writes when it copies.

        Returns
        -------
        list of dict
            `GB_s` is a lower bound: every array counts once for each launch, however often it is read.
        """
        found = []
        for name in dict.fromkeys(name for name, *_ in self.launches):
            own = [(moved, self.between(a, b)) for kernel, moved, a, b in self.launches if kernel == name]
            moved, ms = (sum(column) for column in zip(*own, strict=True))
            rate = moved / (ms / 1000) if ms else float("nan")
            found.append(
                {"kernel": name, "launches": len(own), "ms": ms, "GB_s": rate / 1e9, "of_copy": rate / copy_bandwidth}
            )
        return sorted(found, key=lambda row: -row["ms"])


def array_bytes(argument: Any) -> int:
    """Return the bytes of an argument of a kernel; 0 of scalars and of arrays that are left out."""
    return 0 if isinstance(argument, np.generic) else int(argument.size) * np.dtype(dtype_name(argument)).itemsize


@contextmanager
def watching(library: str, traffic: Traffic) -> Iterator[None]:
    """Count every kernel that is launched on arrays of a library."""
    compile_file = kernels.LOADERS[library]

    class Watched:
        def __init__(self, source: Path, options: tuple[str, ...]) -> None:
            self.module = compile_file(source, options)

        def get_function(self, name: str) -> Callable[..., None]:
            return traffic.watched(name, self.module.get_function(name))

    kernels.LOADERS[library] = Watched
    kernels._loaded.cache_clear()
    try:
        yield
    finally:
        kernels.LOADERS[library] = compile_file
        kernels._loaded.cache_clear()


def landscape(side: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return smoothed noise as float32, and 300 markers of one voxel."""
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    image = ndimage.gaussian_filter(rng.random((side,) * 3, np.float32), 2.0)
    markers = np.zeros(image.shape, np.int32)
    markers.reshape(-1)[rng.choice(markers.size, 300, replace=False)] = np.arange(1, 301)
    return image, markers


def measured(*, quick: bool = False) -> dict[str, Any]:
    """Measure on the GPU that is there.

    Parameters
    ----------
    quick : bool
        True takes a small volume and judges no limit.

    Returns
    -------
    dict
        Without a GPU one entry, `why_not`. Else the card, times in seconds, those of ours and of scikit-image on a
        smaller volume and the fraction of its voxels that agree, peak bytes per voxel of CuPy's pool beyond input
        and output, the bandwidth of a copy, and one row per kernel.
    """
    if reason := why_not():
        return {"why_not": reason}
    import cupy

    image, markers = landscape(QUICK_SIDE if quick else SIDE)
    on_card = cupy.asarray(image), cupy.asarray(markers)
    seconds = seconds_of(lambda: nc.watershed(*on_card))
    peak, labels = peak_of(lambda: nc.watershed(*on_card))
    traffic = Traffic(_event, cupy.cuda.get_elapsed_time)
    with watching("cupy", traffic):
        nc.watershed(*on_card)
        traffic.launches.clear()
        nc.watershed(*on_card)
        cupy.cuda.Device().synchronize()
    copy = copy_bandwidth()
    bytes_per_voxel = (peak - labels.nbytes) / image.size
    return {
        "card": cupy.cuda.runtime.getDeviceProperties(0)["name"].decode(),
        "cupy": cupy.__version__,
        "shape": list(image.shape),
        "seconds": statistics.median(seconds),
        "all_seconds": seconds,
        **beside_the_peer(QUICK_SIDE if quick else PEER_SIDE),
        "bytes_per_voxel": bytes_per_voxel,
        "met": None if quick else statistics.median(seconds) < MAX_SECONDS and bytes_per_voxel <= MAX_BYTES,
        "copy_GB_s": copy / 1e9,
        "kernels": traffic.rows(copy),
    }


def beside_the_peer(side: int) -> dict[str, Any]:
    """Return the seconds of ours and of scikit-image on one volume, their ratio, and how far labels agree."""
    import cupy
    from skimage.segmentation import watershed

    image, markers = landscape(side)
    on_card = cupy.asarray(image), cupy.asarray(markers)
    ours = statistics.median(seconds_of(lambda: nc.watershed(*on_card)))
    start = time.perf_counter()
    expected = watershed(image, markers)
    peer = time.perf_counter() - start
    return {
        "peer_side": side,
        "peer_seconds": peer,
        "ours_beside_peer": ours,
        "ratio": peer / ours,
        "agreement": float(np.mean(cupy.asnumpy(nc.watershed(*on_card)) == expected)),
    }


def _event() -> Any:
    import cupy

    event = cupy.cuda.Event()
    event.record()
    return event


def seconds_of(run: Callable[[], Any]) -> list[float]:
    """Return the seconds of several runs by events of the card, after one that compiles and fills the pool."""
    import cupy

    run()
    times = []
    for _ in range(ROUNDS):
        cupy.cuda.Device().synchronize()
        before = _event()
        run()
        after = _event()
        after.synchronize()
        times.append(cupy.cuda.get_elapsed_time(before, after) / 1000)
    return times


def peak_of(run: Callable[[], Any]) -> tuple[int, Any]:
    """Return the most bytes that arrays took beyond those that were there before, and the result.

    CuPy's pool never shrinks by itself: emptied before, it has grown by the peak after.
    """
    import cupy

    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()
    before = pool.total_bytes()
    result = run()
    return pool.total_bytes() - before, result


def copy_bandwidth() -> float:
    """Return how many bytes per second the card reads and writes when it copies, the best of a few."""
    import cupy

    source = cupy.zeros(COPY_BYTES, cupy.uint8)
    target = cupy.empty_like(source)
    best = 0.0
    for _ in range(ROUNDS):
        before = _event()
        cupy.copyto(target, source)
        after = _event()
        after.synchronize()
        best = max(best, 2 * COPY_BYTES / (cupy.cuda.get_elapsed_time(before, after) / 1000))
    return best


# Report ----------------------------------------------------------------------------------------------


def sentences(report: dict[str, Any]) -> str:
    """Return what was measured in a few lines, without the kernels."""
    if "why_not" in report:
        return f"{NAME}: not measured, since {report['why_not']}"
    limits = {True: "met", False: "NOT met", None: "not judged"}[report["met"]]
    return (
        f"{NAME}: {report['card']}, {' x '.join(map(str, report['shape']))} voxels of float32\n"
        f"{report['seconds']:.3f} s; at an edge of {report['peer_side']}, {report['ours_beside_peer']:.3f} s, and "
        f"scikit-image on the host {report['peer_seconds']:.1f} s, {report['ratio']:.0f}x; "
        f"agreement {report['agreement']:.6f}\n"
        f"{report['bytes_per_voxel']:.1f} bytes per voxel beyond input and output; limits {MAX_SECONDS:g} s and "
        f"{MAX_BYTES} bytes: {limits}\na copy moves {report['copy_GB_s']:.0f} GB/s"
    )


def table(report: dict[str, Any]) -> list[list[str]]:
    """Return the rows of the table of kernels as text."""
    return [
        [
            row["kernel"],
            str(row["launches"]),
            f"{row['ms']:.2f}",
            f"{row['GB_s']:.0f}",
            f"{row['of_copy']:.0%}",
        ]
        for row in report.get("kernels", [])
    ]


def report_text(report: dict[str, Any]) -> str:
    """Return the report for the screen."""
    rows = table(report)
    return sentences(report) + (f"\n{aligned([COLUMNS, *rows])}" if rows else "")


def markdown(report: dict[str, Any]) -> str:
    """Return the report as the end of a page; nothing of an empty report."""
    if not report:
        return ""
    text = "\n" + sentences(report).replace("\n", "\n\n") + ".\n"
    rows = table(report)
    if not rows:
        return text
    lines = [COLUMNS, ["---"] * len(COLUMNS), *rows]
    return text + "\n" + "\n".join("| " + " | ".join(row) + " |" for row in lines) + "\n"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Measure the watershed on a GPU.")
    parser.add_argument("--quick", action="store_true", help="a small volume: does everything run?")
    parser.add_argument("--json", action="store_true", help="print the whole report as JSON")
    options = parser.parse_args()
    report = measured(quick=options.quick)
    if options.json:
        print(json.dumps(report))
        return
    print(report_text(report))


if __name__ == "__main__":
    main()
