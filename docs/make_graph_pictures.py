"""Draw what graph-based methods do, on samples that come along: ``python docs/make_graph_pictures.py``.

Writes the pictures of ``docs/graph-based.md`` and those of its methods into ``docs/pictures/methods/``. Every region
and number in them was computed by the code that they explain.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from make_clustering_pictures import grey
from make_method_pictures import FOLDER, Panel, enlarged, side_by_side
from make_walker_pictures import SHAPE, coins, line, painted, regions, strokes_on_coins
from PIL import Image

import napari_cutout as nc
from napari_cutout._pictures import stretched

EDGE = (255, 210, 0)
"""The colour of borders between regions."""

N_SUPERPIXELS = 300

N_REGIONS = 12
"""Regions to which superpixels of the coins are merged: eight coins, the ground, and a few more."""

CRITERIA: tuple[Literal["mean", "ward", "boundary"], ...] = ("mean", "ward", "boundary")

NOISE = 3.0
"""Standard deviation of the noise on drawn images, in grey levels."""


def bordered(image: np.ndarray, labels: np.ndarray) -> Image.Image:
    """Draw an image with a line between regions, and in black what belongs to none."""
    panel = enlarged(stretched(image) if image.ndim == 2 else image)
    large = np.asarray(Image.fromarray(labels.astype(np.int32)).resize(panel.size, Image.Resampling.NEAREST))
    shown = np.array(panel)
    edge = np.zeros(large.shape, bool)
    edge[1:] |= large[1:] != large[:-1]
    edge[:, 1:] |= large[:, 1:] != large[:, :-1]
    shown[large == 0] //= 3
    shown[edge] = EDGE
    return Image.fromarray(shown)


def parts(image: np.ndarray, labels: np.ndarray, title: str) -> Panel:
    """Draw a partition, and say of how many regions it is."""
    return Panel(f"{title}: {int(labels.max())} regions", bordered(image, labels))


def by_means(image: np.ndarray, labels: np.ndarray) -> Image.Image:
    """Draw every region in the mean of its grey levels."""
    sums, sizes = (np.bincount(labels.ravel(), weights) for weights in (image.ravel(), None))
    return grey((sums / np.maximum(sizes, 1))[labels])


def tissue() -> np.ndarray:
    """Return a stained section in colour."""
    return nc.samples.sample("immunohistochemistry").image.data[150:300, 100:300]


# Images that show where a method fails -------------------------------------------------------------------


def noisy(image: np.ndarray) -> np.ndarray:
    """Return an image with the same noise each time."""
    return image + np.random.default_rng(0).normal(0, NOISE, image.shape)


def fading_disk() -> np.ndarray:
    """Return a disk whose border is sharp on the left and fades on the right."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    far = np.hypot(y - 75, x - 90)
    wide = 1 + 45 * np.clip((x - 90) / 60, 0, 1)
    return noisy(60 + 80 * np.clip(0.5 - (far - 50) / wide, 0, 1))


def threads() -> np.ndarray:
    """Return thin bright threads on an even ground."""
    image = np.full(SHAPE, 60.0)
    columns = np.arange(SHAPE[1])
    for row, high in ((40, 12), (75, -16), (110, 9)):
        rows = np.round(row + high * np.sin(columns / 25)).astype(int)
        image[rows, columns] = image[rows + 1, columns] = 80
    return noisy(image)


def shaded() -> np.ndarray:
    """Return three disks, a little brighter than a ground that is brighter on one side."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = 40 + 0.5 * x
    for row, column in ((45, 45), (105, 100), (45, 155)):
        image = image + 22 * (np.hypot(y - row, x - column) < 22)
    return noisy(image)


def branched() -> tuple[np.ndarray, np.ndarray]:
    """Return a cell with a thin process in noise, and strokes on it and on the ground."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    body = np.hypot(y - 75, x - 45) < 26
    process = (np.abs(y - 75 - 14 * np.sin(x / 16)) < 1.2) & (x > 60) & (x < 175)
    image = np.random.default_rng(0).normal(0, 12, SHAPE) + np.where(body | process, 100, 70)
    strokes = np.zeros(SHAPE, np.int32)
    line(strokes, 1, (66, 36), (84, 54))
    for row in (10, 138):
        line(strokes, 2, (row, 10), (row, 190))
    return image, strokes


# Pictures ----------------------------------------------------------------------------------------------


def draw_walk() -> None:
    """Draw the walk: regions, larger ones, superpixels, merged ones, strokes, and what these choose."""
    image = coins()
    _, strokes = strokes_on_coins()
    small = nc.superpixels(image, n_superpixels=N_SUPERPIXELS)
    merged = nc.merge_regions(image, small, criterion="boundary", n_regions=N_REGIONS)
    found = nc.graph_cut(image, strokes, small)
    side_by_side(
        "graph-walk",
        [
            parts(image, nc.felzenszwalb(image, scale=100.0), "scale 100"),
            parts(image, nc.felzenszwalb(image, scale=1000.0), "scale 1000"),
            parts(image, small, "superpixels"),
            parts(image, merged, "merged"),
            Panel("strokes: coins, and ground", painted(image, strokes)),
            Panel("what they choose", regions(image, found)),
        ],
        columns=3,
    )


def draw_methods() -> None:
    """Draw one picture for the page of each method."""
    image, colour = coins(), tissue()
    _, strokes = strokes_on_coins()
    whole, stained = Panel("image", grey(image)), Panel("image", enlarged(colour))
    small = nc.superpixels(image, n_superpixels=N_SUPERPIXELS)
    of_colour: dict[str, Any] = {"channel_axis": -1}
    cells = nc.superpixels(colour, n_superpixels=N_SUPERPIXELS, **of_colour)
    pictures = {
        "felzenszwalb": [
            whole,
            parts(image, nc.felzenszwalb(image), "scale as it comes"),
            parts(image, nc.felzenszwalb(image, scale=1000.0), "scale 1000"),
        ],
        "superpixels": [
            stained,
            parts(colour, cells, "compactness 0.5"),
            parts(colour, nc.superpixels(colour, n_superpixels=N_SUPERPIXELS, compactness=2.0, **of_colour), "2"),
        ],
        "merge_regions": [
            parts(image, small, "superpixels"),
            parts(image, nc.merge_regions(image, small, criterion="boundary", n_regions=40), "merged"),
            parts(image, nc.merge_regions(image, small, criterion="boundary", n_regions=N_REGIONS), "merged"),
        ],
        "normalized_cut": [
            parts(image, small, "superpixels"),
            parts(image, nc.normalized_cut(image, small), "as long as cuts are good"),
            parts(image, nc.normalized_cut(image, small, n_regions=9), "into 9"),
        ],
        "graph_cut": [
            Panel("image, and strokes", painted(image, strokes)),
            Panel("on superpixels", regions(image, nc.graph_cut(image, strokes, small))),
            Panel("on voxels", regions(image, nc.graph_cut(image, strokes, on="voxels"))),
        ],
    }
    for name, panels in pictures.items():
        side_by_side(name, panels, columns=3)


def draw_scale() -> None:
    """Draw one image with several scales."""
    image = coins()
    scales = (30.0, 100.0, 300.0, 1000.0, 3000.0, 30000.0)
    panels = [parts(image, nc.felzenszwalb(image, scale=scale), f"scale {scale:g}") for scale in scales]
    side_by_side("graph-scale", panels, columns=3)


def draw_criteria() -> None:
    """Draw what each criterion joins first, on a ground with a shade."""
    image = coins()
    small = nc.superpixels(image, n_superpixels=N_SUPERPIXELS)
    panels = [
        parts(image, nc.merge_regions(image, small, criterion=criterion, n_regions=20), criterion)
        for criterion in CRITERIA
    ]
    side_by_side("graph-criteria", panels, columns=3)


def draw_fails() -> None:
    """Draw where each method goes wrong."""
    disk, thin, shade, ground = fading_disk(), threads(), shaded(), coins()
    cell, strokes = branched()
    compact = nc.superpixels(thin, n_superpixels=N_SUPERPIXELS, compactness=3.0)
    small = nc.superpixels(ground, n_superpixels=N_SUPERPIXELS)
    side_by_side(
        "graph-fails",
        [
            parts(disk, nc.felzenszwalb(disk, scale=300.0, sigma=1.5), "felzenszwalb"),
            parts(shade, nc.merge_regions(shade, criterion="mean", n_regions=6), "merged by mean"),
            parts(ground, nc.normalized_cut(ground, small, n_regions=20), "normalized_cut"),
            Panel("threads", grey(thin)),
            Panel("means of compact superpixels", by_means(thin, compact)),
            Panel("graph_cut loses a thin process", regions(cell, nc.graph_cut(cell, strokes, on="voxels"))),
        ],
        columns=3,
    )


def draw() -> None:
    """Draw everything."""
    draw_walk()
    draw_methods()
    draw_scale()
    draw_criteria()
    draw_fails()


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    draw()
