"""Normalized cuts of natural images beside scikit-image's, on the same superpixels, and how long graphs take.

``python benchmarks/normalized_cut.py [FOLDER]`` writes ``results/normalized-cut.md``. The images are the first twenty
of the half of BSDS500's test images in ``bsds500_test``. They are no part of the repository: their folder is the
argument, or what NAPARI_CUTOUT_DATA names.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage
from skimage import graph as skimage_graph
from skimage import io

import napari_cutout as nc
from _harness import machine
from napari_cutout.methods._ncut import cut_regions
from reference_table import cell, data_folder

Array = np.ndarray

PAGE = Path(__file__).with_name("results") / "normalized-cut.md"

N_IMAGES = 20

N_SUPERPIXELS = 500

SIGMA = 255.0
"""scikit-image's default: the square of a contrast of 16 grey levels."""


@dataclass(slots=True)
class Row:
    """What one way of cutting came to.

    Parameters
    ----------
    name : str
        What it is called.
    cut : callable
        ``cut(image, regions) -> labels``.
    scores : list of tuple
        Of every image: covering, PRI, variation of information, number of regions.
    seconds : list of float
        Of every image: from superpixels to labels, the graph included.
    """

    name: str
    cut: Callable[[Array, Array], Array]
    scores: list[tuple[float, ...]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def run(self, image: Array, regions: Array, truths: Array) -> None:
        """Cut an image, and score it."""
        start = time.perf_counter()
        labels = self.cut(image, regions)
        self.seconds.append(time.perf_counter() - start)
        found = nc.evaluate_partitions(labels, list(truths))
        self.scores.append((found.covering, found.probabilistic_rand_index, found.vi, len(np.unique(labels))))

    def line(self) -> str:
        """Return it as a line of the table: means over images, and the median of the time."""
        *scores, n_regions = np.mean(self.scores, axis=0)
        figures = [cell(float(score)) for score in scores]
        return f"| {' | '.join([self.name, *figures, f'{n_regions:.0f}', f'{statistics.median(self.seconds):.2f}'])} |"


def ours(image: Array, regions: Array, **settings: Any) -> Array:
    return nc.normalized_cut(image, regions, channel_axis=-1, **settings)


def theirs(image: Array, regions: Array, sigma: float | None = None, connectivity: int = 2) -> Array:
    """Return scikit-image's; without a sigma, that of our default contrast."""
    if sigma is None:
        with nc.watch() as watched:
            ours(image, regions)
        sigma = watched.facts["contrast"] ** 2
    graph = skimage_graph.rag_mean_color(image, regions, connectivity=connectivity, mode="similarity", sigma=sigma)
    return np.asarray(skimage_graph.cut_normalized(regions, graph, rng=0)) + 1


def rows() -> list[Row]:
    """Return all ways of cutting."""
    return [
        Row("superpixels by themselves", lambda _, regions: regions),
        Row("**ours**, defaults", ours),
        Row("scikit-image, our contrast", theirs),
        Row("**ours**, contrast 16", partial(ours, contrast=SIGMA**0.5)),
        Row("scikit-image, defaults (sigma 255)", partial(theirs, sigma=SIGMA)),
        *(Row(f"**ours**, n_regions={n}", partial(ours, n_regions=n)) for n in (10, 20, 40)),
    ]


def pictures(folder: Path, n: int = N_IMAGES) -> Iterator[tuple[Array, Array]]:
    """Yield images, and what annotators drew."""
    with np.load(folder / "bsds500_test" / "ground_truth.npz") as truths:
        for key in sorted(truths.files)[:n]:
            yield io.imread(folder / "bsds500_test" / f"{key.removeprefix('seg_')}.jpg"), truths[key]


def quality(folder: Path) -> list[str]:
    """Return the lines of the table of scores."""
    table = rows()
    for image, truths in pictures(folder):
        regions = nc.superpixels(image, n_superpixels=N_SUPERPIXELS, channel_axis=-1)
        for row in table:
            row.run(image, regions, truths)
    head = ["| | covering | PRI | VI (bits) | regions | seconds |", "|:--|--:|--:|--:|--:|--:|"]
    return [*head, *(row.line() for row in table)]


# How long graphs take ----------------------------------------------------------------------------------------


def lattice(shape: tuple[int, ...], seed: int = 0) -> nc.RegionGraph:
    """Return the graph of a lattice of regions, of things with noise: those of a real volume, but for their shapes."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), 2.5)
    image = np.where(smooth > 0, 100.0, 20.0) + rng.normal(0, 10, shape)
    return nc.region_graph(image, 1 + np.arange(image.size).reshape(shape))


GRAPHS = (
    ("plane of 1,024 regions", (32, 32)),
    ("plane of 10,000 regions", (100, 100)),
    ("volume of 1,000 regions", (10, 10, 10)),
    ("volume of 9,261 regions", (21, 21, 21)),
)

CUTS: tuple[tuple[str, int | None], ...] = (("in two, again and again", None), ("20 at once", 20), ("100 at once", 100))


def speed() -> list[str]:
    """Return the lines of the table of seconds."""
    head = ["| graph | " + " | ".join(name for name, _ in CUTS) + " |", "|:--|" + "--:|" * len(CUTS)]
    return [*head, *(f"| {name} | {' | '.join(_seconds(lattice(shape)))} |" for name, shape in GRAPHS)]


def _seconds(graph: nc.RegionGraph) -> Iterator[str]:
    for _, n_regions in CUTS:
        start = time.perf_counter()
        numbers = cut_regions(n_regions, 0.001, None, graph)
        yield f"{time.perf_counter() - start:.2f} s ({numbers.max()})"


INTRODUCTION = f"""\
# Normalized cuts beside scikit-image's

`normalized_cut` and `skimage.graph.cut_normalized` on the same superpixels, ours, about {N_SUPERPIXELS} for each of the
first {N_IMAGES} of the 100 test images of BSDS500 that are here. Nothing was tuned to them. Covering and the
probabilistic Rand index (PRI) are better if higher, the variation of information (VI) if lower; all are means over
images, against all annotators of each. Seconds are medians, from superpixels to labels; that includes the graph, which
scikit-image makes in Python. `contrast` is the square root of scikit-image's `sigma`. Its graph has corners of pixels,
too; its vector is not divided by the root of the degree, and is cut at the best of ten places, not of all; and it never
cuts two regions apart.

"""

BETWEEN = """
## Seconds for graphs

From a graph to the numbers of its regions, default contrast and threshold; how many there are in the end stands in
brackets. Regions are single voxels of things with noise. BLAS had one thread if OMP_NUM_THREADS was 1.

"""


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Score normalized cuts of natural images, beside scikit-image's.")
    parser.add_argument("folder", nargs="?", help="where the images are; by default what NAPARI_CUTOUT_DATA names")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page to write")
    options = parser.parse_args()
    folder = data_folder(options.folder)
    if not (folder / "bsds500_test").is_dir():
        parser.error(f"there is no folder bsds500_test in {str(folder)!r}; pass the folder of the images")
    facts = [f"- {name}: {value}" for name, value in machine().items()]
    text = INTRODUCTION + "\n".join([*quality(folder), BETWEEN.rstrip(), "", *speed(), "", *facts]) + "\n"
    options.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
