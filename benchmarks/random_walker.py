"""The random walker: time against scikit-image, errors against a direct solver, iterations, and what a stroke costs.

`CASES` are measured like all others. The rest fits no such row, and `measured` gives it: ``python
benchmarks/random_walker.py [--quick]`` prints it, and ``run.py`` puts it into its report. Images are blobs of one grey
level with noise, made from a seed; strokes are single voxels anywhere, labelled by their grey level.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve
from skimage import segmentation

import data
import napari_cutout as nc
import watershed_gpu
from _harness import Case, Target, aligned
from napari_cutout._monitor import watch
from napari_cutout.methods._walk import Walk, WalkSettings
from napari_cutout.methods._walk_session import Session

Array = np.ndarray

NAME = "random walker, how exact"
"""What `--only` of ``run.py`` calls what is no case."""

NOISES = (0.15, 0.02)
"""Standard deviations of the noise; blobs are 1 brighter than the rest."""

BETA = 130.0

COLUMNS = ("random walker", "found", "limit", "met")


class Row(NamedTuple):
    """One figure, as text, with the limit it is held to; `met` is None where nothing is asked for."""

    what: str
    found: str
    limit: str = "-"
    met: bool | None = None


# Against scikit-image ----------------------------------------------------------------------------------


def ours(image: Array, strokes: Array, beta: float = BETA) -> Array:
    return nc.random_walker(image, strokes, beta=beta)


def peers(image: Array, strokes: Array, beta: float = BETA, mode: str = "cg_mg") -> Array:
    return segmentation.random_walker(image, strokes, beta=beta, mode=mode, tol=1e-3, copy=True)


def same(a: Array, b: Array) -> float:
    return float(np.mean(a == b))


def _case(words: str, arrays: tuple[str, ...], target: Target, peer: Callable[..., Any] | None, rounds: int) -> Case:
    needs = "pyamg" if peer is peers else ""
    return Case(f"random walker, {words}", arrays, ours, peer, same if peer else None, target, rounds, needs=needs)


SMALL, MIDDLE = ("blobs:96", "strokes:96:2"), ("blobs:128", "strokes:128:2")

CASES = [
    _case("96^3, 400 strokes", SMALL, Target(ratio=30), peers, 3),
    _case("96^3, 400 strokes, Jacobi", SMALL, Target(), partial(peers, mode="cg_j"), 1),
    _case("128^3, 2 labels", MIDDLE, Target(bytes_per_voxel=48 + 20), None, 3),
    _case("128^3, 10 labels", ("blobs:128", "strokes:128:10"), Target(bytes_per_voxel=48 + 2 * 20), None, 1),
]


# Against a direct solver -------------------------------------------------------------------------------


def exact(image: Array, strokes: Array, beta: float) -> Array:
    """Return the probability of label 1 by a direct solver in float64, from the definition."""
    places = np.arange(image.size).reshape(image.shape)
    ends, weights = [], []
    for axis in range(image.ndim):
        first, second = (np.moveaxis(places, axis, 0)[part].ravel() for part in (slice(-1), slice(1, None)))
        difference = np.diff(image, axis=axis)
        ends.append((first, second))
        weights.append(np.exp(-beta * np.moveaxis(difference, axis, 0).ravel() ** 2 / (10 * image.std())) + 1e-10)
    i, j = (np.concatenate(side) for side in zip(*ends, strict=True))
    one_way = sparse.csr_array((np.concatenate(weights), (i, j)), shape=(image.size, image.size))
    edges = one_way + one_way.T
    laplacian = sparse.csr_array(sparse.diags_array(edges.sum(axis=1)) - edges)
    free, found = strokes.ravel() == 0, (strokes.ravel() == 1).astype(float)
    right = -laplacian[free][:, ~free] @ found[~free]
    found[free] = spsolve(laplacian[free][:, free].tocsc(), right)
    return found.reshape(image.shape)


def accuracy(side: int, betas: tuple[float, ...], n_strokes: int = 30) -> Iterator[Row]:
    """Yield the largest error of ours and of scikit-image's for one beta after another."""
    image = data.blobs(side)
    strokes = data.single_voxels(image, 2, n_strokes)
    for beta in betas:
        truth = exact(image.astype(np.float64), strokes, beta)
        found = nc.random_walker_probabilities(image, strokes, beta=beta)[0]
        error, different = _differences(found, truth)
        what = f"{side}^3, {n_strokes} strokes, beta {beta:g}, against a direct solver"
        yield Row(f"{what}: largest error", f"{error:.1e}", "<= 1e-2", error <= 1e-2)
        yield Row(f"{what}: labels that differ", f"{different:.2%}", "< 0.1%", different < 1e-3)
        for mode in ("cg_mg", "cg_j"):
            yield _of_the_peer(image, strokes, beta, mode, truth, what)


def _of_the_peer(image: Array, strokes: Array, beta: float, mode: str, truth: Array, what: str) -> Row:
    """Return the same of scikit-image's, at its default tolerance."""
    if mode == "cg_mg" and CASES[0].why_not():
        return Row(f"{what}: scikit-image {mode}", f"not measured, {CASES[0].why_not()}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = segmentation.random_walker(image, strokes, beta=beta, mode=mode, return_full_prob=True)[0]
    error, different = _differences(found, truth)
    return Row(f"{what}: scikit-image {mode}", f"error {error:.1e}, labels {different:.2%}")


def _differences(found: Array, truth: Array) -> tuple[float, float]:
    return float(np.abs(found - truth).max()), float(np.mean((found >= 0.5) != (truth >= 0.5)))


def steep(side: int, n_strokes: int = 30, beta: float = 2000.0) -> Iterator[Row]:
    """Yield time and error where an image is noisy, beta high, and strokes are few."""
    image = data.blobs(side)
    strokes = data.single_voxels(image, 2, n_strokes)
    start = time.perf_counter()
    with watch() as run:
        found = nc.random_walker_probabilities(image, strokes, beta=beta)[0]
    seconds = time.perf_counter() - start
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that 1e-6 is not met: what is reached stands in the row
        finer = Walk([image], None, WalkSettings(beta, 1e-6, None)).solve(strokes, keep=True)
    error, different = _differences(found, finer.probabilities[0])
    what = f"{side}^3, {n_strokes} strokes, beta {beta:g}"
    yield Row(what, f"{seconds:.2f} s, {run.facts['n_iterations']} iterations")
    yield Row(f"{what}: largest error, as estimated", f"{run.facts['estimated_error']:.1e}")
    yield Row(
        f"{what}: against a tolerance of 1e-6 (reached: {finer.error:.0e})", f"{error:.1e}", "<= 1e-2", error <= 1e-2
    )
    yield Row(f"{what}: labels that differ", f"{different:.2%}", "< 0.1%", different < 1e-3)


# How it grows ------------------------------------------------------------------------------------------


def growth(sides: tuple[int, ...]) -> Iterator[Row]:
    """Yield iterations and seconds of one size after another, with 400 strokes at each."""
    for noise in NOISES:
        counts = []
        for side in sides:
            image = data.blobs(side, noise)
            strokes = data.single_voxels(image, 2)
            start = time.perf_counter()
            with watch() as run:
                nc.random_walker(image, strokes, beta=130.0)
            seconds = time.perf_counter() - start
            counts.append(int(run.facts["n_iterations"]))
            yield Row(f"{side}^3, 400 strokes, noise {noise:g}", f"{counts[-1]} iterations, {seconds:.2f} s")
        ratio = counts[-1] / counts[0]
        what = f"iterations at {sides[-1]}^3 over those at {sides[0]}^3, noise {noise:g}"
        yield Row(what, f"{ratio:.2f}x", "< 2x", ratio < 2)


def more_labels(side: int, rounds: int = 3) -> Iterator[Row]:
    """Yield the time per solved label of 10 labels over that of 2, interleaved."""
    image = data.blobs(side)
    seconds: dict[int, list[float]] = {2: [], 10: []}
    strokes = {n: data.single_voxels(image, n) for n in seconds}
    for n in (*seconds, *list(seconds) * rounds):
        start = time.perf_counter()
        nc.random_walker(image, strokes[n], beta=130.0)
        seconds[n].append((time.perf_counter() - start) / (n - 1))
    two, ten = (statistics.median(times[1:]) for times in seconds.values())
    what = f"{side}^3, time per solved label, 10 labels over 2"
    yield Row(what, f"{ten:.2f} s over {two:.2f} s, {ten / two:.2f}x", "<= 1x", ten <= two)


def one_more_stroke(side: int) -> Iterator[Row]:
    """Yield the seconds from a stroke of 20 voxels to the first labels, and to the last."""
    image = data.blobs(side)
    strokes = data.single_voxels(image, 2)
    session = Session([image], None, WalkSettings(BETA, 1e-3, None))
    start = time.perf_counter()
    first = _first_and_last(session, strokes, start)
    middle = side // 2
    strokes = strokes.copy()
    strokes[middle, middle, middle - side // 12 : middle + side // 12] = 1 + (image[middle, middle, middle] < 0.5)
    start = time.perf_counter()
    again = _first_and_last(session, strokes, start)
    yield Row(f"{side}^3, the first strokes: first labels, last labels", f"{first[0]:.2f} s, {first[1]:.2f} s")
    yield Row(f"{side}^3, one more stroke: first labels", f"{again[0]:.2f} s", "< 1 s", again[0] < 1)
    yield Row(f"{side}^3, one more stroke: last labels", f"{again[1]:.2f} s")


def _first_and_last(session: Session, strokes: Array, start: float) -> tuple[float, float]:
    seconds = [time.perf_counter() - start for _ in session.updates(strokes)]
    return seconds[0], seconds[-1]


# On a GPU ----------------------------------------------------------------------------------------------


def on_gpu(side: int) -> Iterator[Row]:
    """Yield time, memory and agreement on a GPU, or why there is none."""
    what = f"{side}^3, 400 strokes, on a GPU"
    if reason := watershed_gpu.why_not():
        yield Row(what, f"not measured, since {reason}")
        return
    import cupy

    image = data.blobs(side)
    strokes = data.single_voxels(image, 2)
    given = cupy.asarray(image), cupy.asarray(strokes)
    seconds = statistics.median(watershed_gpu.seconds_of(lambda: nc.random_walker(*given, beta=130.0)))
    peak, labels = watershed_gpu.peak_of(lambda: nc.random_walker(*given, beta=130.0))
    different = float(np.mean(cupy.asnumpy(labels) != nc.random_walker(image, strokes, beta=130.0)))
    card = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    yield Row(f"{what}, {card}", f"{seconds:.3f} s", "< 0.5 s (H200)", seconds < 0.5)
    yield Row(f"{what}: labels unlike the host's", f"{different:.3%}", "< 0.1%", different < 1e-3)
    yield Row(f"{what}: bytes per voxel beyond input and output", f"{(peak - labels.nbytes) / image.size:.1f}")


# Report ------------------------------------------------------------------------------------------------


def measured(*, quick: bool = False, say: Callable[[str], None] = lambda text: None) -> list[Row]:
    """Measure all that is no case.

    Parameters
    ----------
    quick : bool
        True takes tiny volumes and judges no limit.
    say : callable
        Gets each row as it comes.

    Returns
    -------
    list of Row
        In the order of the report.
    """
    parts = (
        more_labels(16 if quick else 96, 1 if quick else 3),
        accuracy(10 if quick else 28, (10.0, 130.0, 600.0, 2000.0)),
        steep(16 if quick else 96),
        growth((12, 16) if quick else (64, 96, 128, 192, 256)),
        one_more_stroke(24 if quick else 256),
        on_gpu(24 if quick else 256),
    )
    rows = []
    for part in parts:
        for row in part:
            rows.append(row._replace(met=None) if quick else row)
            say(f"{row.what}: {row.found}")
    return rows


def table(rows: list[Row]) -> list[list[str]]:
    """Return the rows as text."""
    return [[row.what, row.found, row.limit, {True: "yes", False: "NO", None: "-"}[row.met]] for row in rows]


def report_text(rows: list[Row]) -> str:
    """Return the rows for the screen."""
    return aligned([COLUMNS, *table(rows)])


def markdown(rows: list[Row]) -> str:
    """Return the rows as the end of a page; nothing if there are none."""
    if not rows:
        return ""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *table(rows)]
    return "\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Measure how exact the random walker is, and how it grows.")
    parser.add_argument("--quick", action="store_true", help="tiny volumes: does everything run?")
    options = parser.parse_args()
    print(report_text(measured(quick=options.quick, say=partial(print, flush=True))))


if __name__ == "__main__":
    main()
