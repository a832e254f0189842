"""Graph cuts on annotated images, from scribbles by hand and from sampled strokes, and the maximum flows behind them.

``python benchmarks/graph_cut.py [FOLDER]`` writes ``results/graph-cut.md``. The images are no part of the repository:
their folder is the argument, or what NAPARI_CUTOUT_DATA names. Strokes and scores are those of `walker_strokes`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

import napari_cutout as nc
from napari_cutout._compiled import n_threads
from napari_cutout.methods._max_flow import reached_from_source
from napari_cutout.methods._min_cut import by_scipy
from reference_table import asked, cell
from walker_strokes import KNOWN, SETS, Picture, Set, scores, strokes_of, table

Array = np.ndarray

PAGE = Path(__file__).with_name("results") / "graph-cut.md"

STROKES = 10
"""Strokes of each label that are sampled."""

MOST = 1 << 19
"""Voxels times labels of the largest image whose voxels are cut."""


# Methods -----------------------------------------------------------------------------------------------


def cut(picture: Picture, strokes: Array, **settings: Any) -> Array | None:
    """Return the labels of a graph cut; None where it would take too long."""
    if settings.get("on") == "voxels" and strokes.size * len(np.unique(strokes)) > MOST:
        return None
    return nc.graph_cut(picture.image, strokes, mask=picture.mask, **settings)


def walked(picture: Picture, strokes: Array, **settings: Any) -> Array:
    return nc.random_walker(picture.image, strokes, picture.mask, **settings)


METHODS: Mapping[str, Callable[[Picture, Array], Array | None]] = {
    "graph cut": cut,
    "4,000 superpixels": partial(cut, n_superpixels=4000),
    "on voxels": partial(cut, on="voxels"),
    "walker": walked,
    "watershed": lambda p, strokes: nc.watershed(p.image, strokes, p.mask, surface="gradient"),
}


def rows_of(one: Set, arrays: Mapping[str, Array], say: Callable[[str], None]) -> list[str]:
    """Return a row of IoU / Dice, a mean over the pictures."""
    pictures = list(one.pictures(arrays))
    marked = [strokes_of(p.truth, STROKES, 1000 * STROKES + i) for i, p in enumerate(pictures)]
    cells = []
    for method in METHODS.values():
        found = [method(p, strokes) for p, strokes in zip(pictures, marked, strict=True)]
        both = [scores(f, p.truth) for f, p in zip(found, pictures, strict=True) if f is not None]
        cells.append(" / ".join(map(cell, np.mean(both, axis=0))) if len(both) == len(pictures) else "-")
    say(" | ".join([one.title, *cells]))
    return [one.title, *cells]


# Scribbles by hand ---------------------------------------------------------------------------------------

ON: Mapping[str, Mapping[str, Any]] = {
    "superpixels": {},
    "4,000 superpixels": {"n_superpixels": 4000},
    "voxels": {"on": "voxels"},
}


def scribbled(arrays: Mapping[str, Array], say: Callable[[str], None]) -> list[list[str]]:
    """Return a row for each set of scribbles on photographs and each graph: Jaccard and the share of wrong pixels."""
    names, rows = sorted(name[4:] for name in arrays if name.startswith("img_")), []
    for seeds in ("seeds1", "seeds2"):
        walker = max(KNOWN[seeds, beta] for beta in (90, 1000))
        for on, settings in ON.items():
            begun = time.perf_counter()
            found = [photograph(arrays, seeds, name, **settings) for name in names]
            seconds = (time.perf_counter() - begun) / len(names)
            rows.append([seeds, on, " / ".join(map(cell, np.mean(found, axis=0))), f"{seconds:.2f} s"])
            rows[-1].append(" / ".join(map(cell, walker)))
            say(" | ".join(rows[-1]))
    return rows


def photograph(arrays: Mapping[str, Array], seeds: str, name: str, **settings: Any) -> tuple[float, float]:
    """Return Jaccard and the share of wrong pixels of the object in one photograph."""
    image, truth, strokes = (arrays[f"{kind}_{name}"] for kind in ("img", "gt", seeds))
    labels = nc.graph_cut(image, strokes.astype(np.int32), channel_axis=-1, **settings)
    known = truth != 255
    found, wanted = (labels == 2)[known], (truth == 1)[known]
    return float((found & wanted).sum() / (found | wanted).sum()), float(np.mean(found != wanted))


# Maximum flows -------------------------------------------------------------------------------------------

GRIDS: Mapping[str, tuple[tuple[int, ...], float]] = {
    "256 x 256": ((256, 256), 5.0),
    "512 x 512": ((512, 512), 5.0),
    "512 x 512, smoothness 50": ((512, 512), 50.0),
    "64 x 64 x 64": ((64, 64, 64), 5.0),
}


def network(shape: tuple[int, ...], smoothness: float) -> tuple[Array, ...]:
    """Return the graph of blobs in noise: pairs of voxels that share a face, capacities both ways, and gains."""
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.standard_normal(shape), min(shape) / 16)
    image = np.where(smooth > np.quantile(smooth, 0.6), 120.0, 80.0) + rng.normal(0, 25, shape)
    number = np.arange(image.size).reshape(shape)
    tails = np.concatenate([np.take(number, range(n - 1), axis).ravel() for axis, n in enumerate(shape)])
    heads = np.concatenate([np.take(number, range(1, n), axis).ravel() for axis, n in enumerate(shape)])
    apart = np.square(image.flat[tails] - image.flat[heads])
    weights = np.rint(1024 * smoothness * np.exp(-apart / (2 * apart.mean()))).astype(np.int64)
    gains = np.rint(1024 * ((image - 80) ** 2 - (image - 120) ** 2) / (2 * 25**2)).astype(np.int64).ravel()
    return tails, heads, weights, weights, gains


def flows(say: Callable[[str], None]) -> list[list[str]]:
    """Return a row for each grid: seconds of SciPy's maximum flow and of ours, which leave the same cut."""
    reached_from_source(*network((9, 9), 1.0))  # compiles
    rows = []
    for name, (shape, smoothness) in GRIDS.items():
        given, sides, seconds = network(shape, smoothness), [], []
        for solve in (by_scipy, reached_from_source):
            begun = time.perf_counter()
            sides.append(solve(*given))
            seconds.append(time.perf_counter() - begun)
        rows.append([name, *(f"{s:.2f} s" for s in seconds), str(bool((sides[0] == sides[1]).all()))])
        say(" | ".join(rows[-1]))
    return rows


# The page ------------------------------------------------------------------------------------------------

INTRODUCTION = f"""\
# Graph cuts from strokes

Made by `python benchmarks/graph_cut.py` on {n_threads()} processors. Nothing was tuned to these images: smoothness is
that of GrabCut (50), contrast its rule, and all settings that are not named are at their defaults. No voxel size is
stated for these files, so none was given.

## Photographs with scribbles by hand

`grabcut20_scribbles.npz`, in colour, 10 images: mean Jaccard of the object / share of wrong pixels, of what is
annotated, and the mean time of an image. *walker* is the better of two figures of scikit-image's random walker that
were measured before on the same files.
"""

SAMPLED = f"""\
## Sampled strokes

Strokes are sampled from the truth by a seed, {STROKES} of each label, as in [walker-strokes.md](walker-strokes.md);
all methods get the same. The walker has `beta="auto"`, the watershed floods the gradient. Voxels are cut where voxels
times labels are at most {MOST}. Cells are **mean IoU / mean Dice** of all labels but the background, a mean over
images.
"""

FLOWS = """\
## Maximum flows

Blobs in noise, voxels that share a face. SciPy's maximum flow (Dinic's algorithm) takes graphs of regions; voxels go to
trees that are kept from path to path (Boykov and Kolmogorov 2004), which let other threads run meanwhile, where
SciPy's keeps them waiting until it ends. Both leave the same cut.
"""


def page(folder: Path, say: Callable[[str], None]) -> str:
    """Return the page; sets whose file is not there are named."""
    there = [one for one in SETS if (folder / f"{one.file}.npz").is_file()]
    lines, scribbles = [INTRODUCTION], folder / "grabcut20_scribbles.npz"
    if scribbles.is_file():
        with np.load(scribbles) as file:
            names = ("scribbles", "nodes", "graph cut", "time", "walker")
            lines += table(names, scribbled(dict(file), say))
    else:
        lines += ["Left out, since the file is not there: photographs with scribbles.\n"]
    lines += [SAMPLED, *table(("", *METHODS), [_of_file(folder, one, say) for one in there])]
    lines += [f"Left out, since the file is not there: {one.title}.\n" for one in SETS if one not in there]
    return "\n".join([*lines, FLOWS, *table(("grid", "SciPy", "trees", "same cut"), flows(say))])


def _of_file(folder: Path, one: Set, say: Callable[[str], None]) -> Sequence[str]:
    with np.load(folder / f"{one.file}.npz") as file:
        return rows_of(one, dict(file), say)


def main() -> None:
    """Run from the command line."""
    folder, out = asked("Score graph cuts on annotated images, and time their maximum flows.", PAGE)
    out.write_text(page(folder, partial(print, flush=True)).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
