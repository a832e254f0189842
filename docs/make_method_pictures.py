"""Draw what methods do, from the methods themselves: ``python docs/make_method_pictures.py``.

Writes ``docs/pictures/methods/<method>.png``, which the page of the method shows, and the pictures of
``docs/watershed-definition.md``. Every number and colour in them was computed by the code that they explain, and the
definition is checked on them while they are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from skimage.segmentation import watershed as of_scikit_image

import napari_cutout as nc
from napari_cutout._pictures import BACKGROUND, GAP, INK, LINE, coloured, stretched
from napari_cutout.comparison._strokes import middles_from
from napari_cutout.methods._flood import levels

FOLDER = Path(__file__).parent / "pictures" / "methods"

CELL = 34
"""Edge of a voxel that has a number, in pixels."""

WIDTH = 300
"""Width of a panel of an image, in pixels."""

NEVER = np.uint32(2**32 - 1)

LANDSCAPE = np.array(
    [
        [3, 3, 4, 5, 5, 5, 5, 5, 5, 4, 3, 3, 3],
        [3, 1, 2, 5, 5, 5, 5, 5, 5, 3, 2, 1, 3],
        [3, 1, 2, 5, 5, 5, 2, 5, 5, 3, 2, 1, 3],
        [3, 2, 2, 5, 5, 5, 5, 5, 5, 3, 2, 1, 3],
        [4, 3, 3, 5, 5, 5, 5, 5, 5, 4, 3, 2, 3],
        [5, 5, 5, 6, 6, 7, 7, 6, 6, 5, 5, 4, 4],
    ],
    np.uint8,
)
"""Two valleys, a plateau between them that holds a pit without a marker, and a rim."""

MARKERS = np.zeros(LANDSCAPE.shape, np.uint8)
MARKERS[1, 1], MARKERS[2, 11] = 1, 2


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """One part of a picture.

    Parameters
    ----------
    title : str
        The text above it.
    picture : Image
        What it shows.
    """

    title: str
    picture: Image.Image


def side_by_side(name: str, panels: Sequence[Panel], columns: int) -> None:
    """Write panels of one size in rows of so many."""
    width, height = panels[0].picture.size
    rows = -(-len(panels) // columns)
    size = (columns * (width + GAP) + GAP, rows * (height + LINE + GAP) + GAP)
    canvas = Image.new("RGB", size, BACKGROUND)
    pen = ImageDraw.Draw(canvas)
    for i, panel in enumerate(panels):
        left, top = GAP + i % columns * (width + GAP), GAP + i // columns * (height + LINE + GAP)
        pen.text((left, top), panel.title, INK, ImageFont.load_default(size=16))
        canvas.paste(panel.picture, (left, top + LINE))
    canvas.quantize(128, dither=Image.Dither.NONE).save(FOLDER / f"{name}.png", optimize=True)


# Numbers -----------------------------------------------------------------------------------------------


def numbered(values: np.ndarray, colours: np.ndarray, shown: np.ndarray | None = None) -> Image.Image:
    """Draw voxels as squares, with the numbers that are shown."""
    shown = np.ones(values.shape, bool) if shown is None else shown
    canvas = Image.fromarray(np.kron(colours, np.ones((CELL, CELL, 1), np.uint8)))
    pen = ImageDraw.Draw(canvas)
    for (y, x), value in np.ndenumerate(values):
        dark = colours[y, x].astype(int).sum() < 330
        box = (x * CELL, y * CELL, (x + 1) * CELL, (y + 1) * CELL)
        pen.rectangle(box, outline=(150, 150, 150))
        if shown[y, x]:
            middle = (x * CELL + CELL / 2, y * CELL + CELL / 2)
            pen.text(middle, str(value), BACKGROUND if dark else INK, ImageFont.load_default(size=17), anchor="mm")
    return canvas


def heights(values: np.ndarray) -> np.ndarray:
    """Return blues, the higher the lighter."""
    share = (values.astype(float) / LANDSCAPE.max())[..., None]
    return np.asarray((1 - share) * (70, 110, 190) + share * (245, 245, 250), np.uint8)


def regions(labels: np.ndarray) -> np.ndarray:
    """Return pale colours of labels, white for 0."""
    return np.where(labels[..., None] == 0, 255, 110 + 0.57 * coloured(labels)).astype(np.uint8)


def zones_of(level: np.ndarray) -> np.ndarray:
    """Give a number to the connected parts of equal level."""
    zones, n = np.zeros(level.shape, np.int32), 0
    for value in np.unique(level):
        parts, found = ndimage.label(level == value)
        zones[parts > 0] = parts[parts > 0] + n
        n += found
    return zones


def neighbours(at: tuple[int, ...], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the voxels that share an edge, in scan order."""
    moved = [tuple(np.add(at, step)) for step in ((-1, 0), (0, -1), (0, 1), (1, 0))]
    return [p for p in moved if all(0 <= a < n for a, n in zip(p, shape, strict=True))]


def distances_of(level: np.ndarray, markers: np.ndarray) -> np.ndarray:
    """Return D: steps inside a zone to its nearest entry."""
    steps = np.full(level.shape, -1)
    front = [
        p for p in np.ndindex(*level.shape)
        if markers[p] or any(level[q] < level[p] for q in neighbours(p, level.shape))
    ]  # fmt: skip
    for p in front:
        steps[p] = 0
    for p in front:  # grows while it is walked
        for q in neighbours(p, level.shape):
            if steps[q] < 0 and level[q] == level[p]:
                steps[q] = steps[p] + 1
                front.append(q)
    return steps


def by_the_rule(level: np.ndarray, steps: np.ndarray, markers: np.ndarray) -> np.ndarray:
    """Give every voxel the label of its neighbour with the smallest (F, D, place)."""
    labels = markers.astype(np.int32)
    for p in sorted(np.ndindex(*level.shape), key=lambda p: (level[p], steps[p])):
        if not labels[p]:
            labels[p] = labels[min(neighbours(p, level.shape), key=lambda q: (level[q], steps[q], q))]
    return labels


def draw_definition() -> None:
    """Draw heights, flood levels, zones with their distances, and labels of a landscape that fits on a page."""
    start = np.where(MARKERS > 0, LANDSCAPE, NEVER).astype(np.uint32)
    level = levels(LANDSCAPE.astype(np.uint32), start, None, 1)
    steps, labels = distances_of(level, MARKERS), nc.watershed(LANDSCAPE, MARKERS)
    assert np.array_equal(labels, by_the_rule(level, steps, MARKERS))
    raised = np.where((level > LANDSCAPE)[..., None], np.uint8((250, 200, 90)), heights(level))
    marked = np.where((MARKERS > 0)[..., None], np.uint8((220, 60, 60)), heights(LANDSCAPE))
    side_by_side(
        "watershed-definition",
        [
            Panel("grey levels; markers red", numbered(LANDSCAPE, marked)),
            Panel("flood level F; raised where yellow", numbered(level, raised)),
            Panel("zones of one F, and D inside them", numbered(steps, regions(zones_of(level)))),
            Panel("labels", numbered(labels, regions(labels))),
        ],
        columns=2,
    )


def draw_ties() -> None:
    """Draw where the definition and the queue of scikit-image divide plateaus in another way."""
    rng = np.random.default_rng(3)
    smooth = ndimage.gaussian_filter(rng.random((96, 128)), 3)
    image = np.digitize(smooth, np.quantile(smooth, np.linspace(0, 1, 7)[1:-1])).astype(np.uint8)
    markers = np.zeros(image.shape, np.int32)
    markers.reshape(-1)[rng.choice(image.size, 12, replace=False)] = np.arange(1, 13)
    labels, others = nc.watershed(image, markers), of_scikit_image(image, markers)
    differs = labels != others
    shown = np.where(differs[..., None], np.uint8((0, 0, 0)), regions(labels))
    side_by_side(
        "watershed-definition-ties",
        [
            Panel("image of 6 grey levels", enlarged(stretched(image))),
            Panel("scikit-image", enlarged(regions(others))),
            Panel(f"ours; black where not the same, {differs.mean():.1%}", enlarged(shown)),
        ],
        columns=3,
    )


# Images ------------------------------------------------------------------------------------------------


def enlarged(picture: np.ndarray) -> Image.Image:
    """Return a picture in the width of a panel."""
    height = round(WIDTH * picture.shape[0] / picture.shape[1])
    return Image.fromarray(picture).convert("RGB").resize((WIDTH, height), Image.Resampling.NEAREST)


def outlined(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return an image in grey, with the borders of labels in yellow."""
    grey = np.repeat(stretched(image)[..., None], 3, axis=-1)
    edge = (labels != ndimage.maximum_filter(labels, 3)) | (labels != ndimage.minimum_filter(labels, 3))
    grey[edge] = (255, 210, 0)
    return grey


def spotted(image: np.ndarray, markers: np.ndarray) -> np.ndarray:
    """Return an image in grey, with markers in colour."""
    grey = np.repeat(stretched(image)[..., None], 3, axis=-1)
    return np.where(markers[..., None] > 0, coloured(markers), grey)


def draw_methods() -> None:
    """Draw the methods of the two widgets on simulated nuclei."""
    sample = nc.samples.nuclei_2d(seed=1, shape=(150, 200))
    image = sample.image.data
    mask = nc.threshold(image, sigma=1.0)
    middles = nc.markers_from_distance(mask)
    split = nc.split_touching(mask)
    far = nc.distance(mask)
    touching = nc.components(mask)
    shape = Panel("mask: what touches is one", enlarged(coloured(touching)))
    depth = Panel("distance to the outside, and middles", enlarged(spotted(far, middles)))
    side_by_side("split_touching", [shape, depth, Panel("split", enlarged(coloured(split)))], columns=3)
    side_by_side("markers_from_distance", [shape, depth, Panel("middles", enlarged(coloured(middles)))], columns=3)

    strokes = middles_from(sample.truth.data, None)
    strokes[ndimage.maximum_filter(sample.truth.data, 9) == 0] = strokes.max() + 1  # and one of the background
    slope = nc.gradient_magnitude(nc.gaussian(image, sigma=1.0))
    flooded = nc.watershed(image, strokes, surface="gradient", sigma=1.0)
    side_by_side(
        "watershed",
        [
            Panel("image, and strokes", enlarged(spotted(image, strokes))),
            Panel("its gradient, which is flooded", enlarged(stretched(slope))),
            Panel("regions", enlarged(outlined(image, flooded))),
        ],
        columns=3,
    )
    minima = nc.markers_from_minima(image, surface="inverted", sigma=2.0)
    every = nc.watershed_from_minima(image, surface="inverted", sigma=2.0)
    found = Panel("minima of the image upside down", enlarged(spotted(image, minima)))
    whole = Panel("image", enlarged(stretched(image)))
    side_by_side("watershed_from_minima", [whole, found, Panel("regions", enlarged(outlined(image, every)))], columns=3)
    side_by_side("markers_from_minima", [whole, found, Panel("markers", enlarged(coloured(minima)))], columns=3)


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    draw_definition()
    draw_ties()
    draw_methods()
