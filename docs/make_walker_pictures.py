"""Draw what the random walker does, on samples that come along: ``python docs/make_walker_pictures.py``.

Writes the pictures of ``docs/random-walker.md`` into ``docs/pictures/methods/``. Every label, curve and number in them
was computed by the code that they explain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from make_clustering_pictures import grey, heat
from make_method_pictures import FOLDER, WIDTH, Panel, enlarged, side_by_side
from PIL import Image, ImageDraw, ImageFont

import napari_cutout as nc
from napari_cutout._monitor import watch
from napari_cutout._pictures import INK, stretched

BETAS: tuple[float | Literal["auto"], ...] = (10.0, 130.0, 2000.0, "auto")

COLOURS = np.uint8([(0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115), (40, 40, 40)])
"""Colours of labels, and of the curves; apart from each other for all eyes."""

SHAPE = (150, 200)

AXIS = 24
"""Room for the numbers and the name of an axis, in pixels."""

RADIUS, N_DASHES, GAP = 48, 6, 0.1
"""The disk, its border in dashes, and half of the gap between two of them, as an angle."""


def line(strokes: np.ndarray, label: int, start: Sequence[int], stop: Sequence[int]) -> None:
    """Paint a straight stroke, three pixels wide."""
    n = max(abs(a - b) for a, b in zip(start, stop, strict=True)) + 1
    ways = (np.linspace(a, b, n).round().astype(int) for a, b in zip(start, stop, strict=True))
    for y, x in zip(*ways, strict=True):
        strokes[y - 1 : y + 2, x - 1 : x + 2] = label


# Images ------------------------------------------------------------------------------------------------


def dashed_disk(noise: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Return a disk that nothing but a border of dashes tells from what is around it, in noise; and where it is."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    far, angle = np.hypot(y - 75, x - 100), np.arctan2(y - 75, x - 100)
    border = np.exp(-((far - RADIUS) ** 2) / 5)
    turn = 2 * np.pi / N_DASHES
    border[np.abs((angle + turn / 2) % turn - turn / 2) < GAP] = 0
    return border + np.random.default_rng(0).normal(0, noise, SHAPE), far < RADIUS


def strokes_of_the_disk() -> np.ndarray:
    """Return a stroke in the disk, and one around it."""
    strokes = np.zeros(SHAPE, np.int32)
    line(strokes, 1, (62, 90), (88, 108))
    for start, stop in (((8, 8), (8, 191)), ((141, 8), (141, 191)), ((8, 8), (141, 8)), ((8, 191), (141, 191))):
        line(strokes, 2, start, stop)
    return strokes


def coins() -> np.ndarray:
    """Return a few coins on a ground that is brighter above than some coins are below."""
    return nc.samples.coins().image.data[:150, 90:290]


def strokes_on_coins() -> tuple[np.ndarray, np.ndarray]:
    """Return strokes on coins and on their ground, and the same with one more."""
    first = np.zeros(SHAPE, np.int32)
    line(first, 2, (8, 10), (8, 190))
    line(first, 2, (85, 8), (85, 192))
    for y, x in ((50, 18), (50, 67), (50, 125), (50, 178), (125, 18), (127, 62), (125, 115), (115, 170)):
        line(first, 1, (y, x - 6), (y, x + 6))
    more = first.copy()
    line(more, 1, (38, 108), (65, 112))
    return first, more


# Drawing -----------------------------------------------------------------------------------------------


def over(image: np.ndarray, labels: np.ndarray, share: float) -> Image.Image:
    """Draw an image under the colours of labels."""
    shown = np.repeat(stretched(image)[..., None], 3, axis=-1)
    mixed = (1 - share) * shown + share * COLOURS[labels]
    return enlarged(np.where(labels[..., None] > 0, mixed, shown).astype(np.uint8))


def painted(image: np.ndarray, strokes: np.ndarray) -> Image.Image:
    """Draw an image with its strokes."""
    return over(image, strokes, 1.0)


def regions(image: np.ndarray, labels: np.ndarray) -> Image.Image:
    """Draw an image with the regions of a result."""
    return over(image, labels, 0.45)


def iou(labels: np.ndarray, truth: np.ndarray) -> float:
    """Return the IoU of label 1 and the disk."""
    return nc.evaluate((labels == 1).astype(np.uint8), truth.astype(np.uint8)).mean_iou


def weights(image: np.ndarray, betas: Sequence[float], height: int) -> Image.Image:
    """Draw what an edge weighs over the difference of grey level across it, and below it how frequent those are."""
    apart = np.abs(np.diff(image, axis=0))
    largest, wide, bottom = float(apart.max()), WIDTH - AXIS, height - AXIS
    canvas = Image.new("RGB", (WIDTH, height), (255, 255, 255))
    pen = ImageDraw.Draw(canvas)
    counts, _ = np.histogram(apart, wide // 3, (0, largest))
    for k, count in enumerate(counts):
        left = AXIS + 3 * k
        pen.rectangle((left, bottom - 0.45 * bottom * count / counts.max(), left + 2, bottom), fill=(215, 215, 215))
    font, top = ImageFont.load_default(size=14), bottom - 17 * (len(betas) + 1) - 3
    differences = np.linspace(0, largest, wide)
    for k, beta in enumerate(betas):
        weight = np.exp(-beta * differences**2 / (10 * image.std()))
        points = [(AXIS + float(x), bottom - (bottom - 8) * float(w)) for x, w in enumerate(weight)]
        pen.line(points, fill=tuple(int(v) for v in COLOURS[1 + k]), width=3)
        pen.text((WIDTH - 12, top + 17 * k), f"beta {beta:.0f}", tuple(COLOURS[1 + k].tolist()), font, anchor="ra")
    pen.text((WIDTH - 12, top + 17 * len(betas)), "grey: how frequent", INK, font, anchor="ra")
    axes(canvas, largest)
    return canvas


def axes(canvas: Image.Image, largest: float) -> None:
    """Draw the axes of the plot of weights, and what they count."""
    pen, font, bottom = ImageDraw.Draw(canvas), ImageFont.load_default(size=13), canvas.height - AXIS
    pen.line([(AXIS, 0), (AXIS, bottom), (WIDTH, bottom)], fill=INK)
    for weight in (0, 1):
        pen.text((AXIS - 5, bottom - (bottom - 8) * weight), str(weight), INK, font, anchor="rm")
    pen.text((AXIS + 1, bottom + 4), "0", INK, font)
    pen.text((WIDTH - 4, bottom + 4), f"{largest:.1f}", INK, font, anchor="ra")
    pen.text(((AXIS + WIDTH) / 2, bottom + 4), "difference of grey level", INK, font, anchor="ma")
    upright = Image.new("RGB", (bottom, AXIS - 4), (255, 255, 255))
    ImageDraw.Draw(upright).text((bottom / 2, 1), "weight of a step", INK, font, anchor="ma")
    canvas.paste(upright.rotate(90, expand=True).crop((0, 20, AXIS - 4, bottom - 20)), (1, 20))


# Pictures ----------------------------------------------------------------------------------------------


def draw_walk() -> None:
    """Draw strokes on coins, the first answer, one stroke more, and what comes of them."""
    image = coins()
    first, more = strokes_on_coins()
    settings: dict[str, Any] = {"beta": "auto"}
    found = nc.random_walker(image, more, **settings)
    chance = nc.random_walker_probabilities(image, more, **settings)[0]
    whole, result = Panel("image", grey(image)), Panel("result", regions(image, found))
    likely = Panel("probability of a coin", heat(chance))
    side_by_side(
        "walker-walk",
        [
            whole,
            Panel("strokes: coins, and ground", painted(image, first)),
            Panel("first answer", regions(image, nc.random_walker(image, first, **settings))),
            Panel("one stroke more", painted(image, more)),
            result,
            likely,
        ],
        columns=3,
    )
    side_by_side("random_walker", [Panel("image, and strokes", painted(image, more)), result, likely], columns=3)


def draw_beta() -> None:
    """Draw one image and one set of strokes with several betas, and what edges weigh with each."""
    image, truth = dashed_disk()
    strokes = strokes_of_the_disk()
    panels, betas = [Panel("image, and strokes", painted(image, strokes))], []
    for beta in BETAS:
        with watch() as run:
            labels = nc.random_walker(image, strokes, beta=beta, sigma=1.0)
        betas.append(float(run.facts["beta"]) if beta == "auto" else beta)
        name = f"auto, {betas[-1]:.0f}" if beta == "auto" else f"{beta:g}"
        panels.append(Panel(f"beta {name}: IoU {iou(labels, truth):.2f}", regions(image, labels)))
    curves = weights(nc.gaussian(image, sigma=1.0), betas, panels[0].picture.height)
    side_by_side("walker-beta", [*panels, Panel("weight of a step, over difference", curves)], columns=3)


def draw_edges() -> None:
    """Draw where a flood leaks through a border that has gaps, and a walk does not."""
    image, truth = dashed_disk()
    strokes = strokes_of_the_disk()
    flooded = nc.watershed(image, strokes, surface="gradient", sigma=1.0)
    walked = nc.random_walker(image, strokes, beta="auto", sigma=1.0)
    side_by_side(
        "walker-edges",
        [
            Panel("image, and strokes", painted(image, strokes)),
            Panel(f"watershed: IoU {iou(flooded, truth):.2f}", regions(image, flooded)),
            Panel(f"random walker: IoU {iou(walked, truth):.2f}", regions(image, walked)),
        ],
        columns=3,
    )


def draw() -> None:
    """Draw everything."""
    draw_walk()
    draw_beta()
    draw_edges()


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    draw()
