"""Draw what the U-Net does: ``python docs/make_unet_pictures.py``.

Writes the pictures of ``docs/unet.md`` into ``docs/pictures/``, and those of the pages of its methods. Networks are
trained while they are drawn, on samples that come along, for two minutes on two cores. The learning curve is drawn from
``benchmarks/results/unet-membranes.json``, where that is there.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import make_method_pictures as frames
import numpy as np
from make_clustering_pictures import grey, heat
from make_method_pictures import Panel, enlarged, side_by_side
from make_walker_pictures import over, painted
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from scipy import ndimage

import napari_cutout as nc
from napari_cutout._pictures import coloured

FOLDER = Path(__file__).parent / "pictures"

MEASURED = Path(__file__).parents[1] / "benchmarks" / "results" / "unet-membranes.json"

MEMBRANE, CELL = 1, 2

N_STEPS = 150
"""Batches of the network of the guide."""

TINY: dict[str, Any] = {"n_steps": 120, "width": 8, "depth": 2, "patch": (64, 64), "batch_size": 4, "validation": 0.0}
"""Settings of a network for the page of a method, which is trained in seconds."""


STROKE_STEPS = 80


def cells_painted(truth: np.ndarray, sections: Sequence[int], n: int, seed: int = 0) -> np.ndarray:
    """Paint as the guide says: some cells of some sections with 2, and the membranes around them with 1."""
    rng = np.random.default_rng(seed)
    strokes = np.zeros(truth.shape, np.uint8)
    for z in sections:
        cells, _ = ndimage.label(truth[z] == CELL)
        sizes = np.bincount(cells.ravel())
        middling = np.flatnonzero((sizes > 300) & (sizes < 1500))
        inside = np.isin(cells, rng.choice(middling, n, replace=False))
        strokes[z][inside] = CELL
        strokes[z][ndimage.binary_dilation(inside, iterations=3) & (truth[z] == MEMBRANE)] = MEMBRANE
    return strokes


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    """Return Dice of two masks."""
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


def shown(image: np.ndarray, labels: np.ndarray, share: float = 0.6) -> Image.Image:
    """Draw an image with membranes in colour."""
    return over(image, np.where(labels == MEMBRANE, 1, 0), share)


def side(name: str, panels: Sequence[Panel], columns: int) -> None:
    """Write panels into the folder of pictures of guides."""
    before, frames.FOLDER = frames.FOLDER, FOLDER
    try:
        side_by_side(name, panels, columns)
    finally:
        frames.FOLDER = before


# A walk ------------------------------------------------------------------------------------------------


def draw_walk() -> nc.UNetModel:
    """Draw a section, what was painted on another, what a threshold finds and what the network finds."""
    sample = nc.samples.membranes()
    image, truth = sample.image.data, sample.truth.data
    strokes = cells_painted(truth, (1, 5), 8)
    model = nc.unet_train(image, strokes, dimensions=2, n_steps=N_STEPS, batch_size=4)
    z = 3  # far from both
    membranes = truth[z] == MEMBRANE
    cut = best_threshold(image[z], membranes)
    labels = nc.unet_predict(image, model=model)
    chance = nc.unet_probabilities(image[z], model=model)[0]
    side(
        "unet-walk",
        [
            Panel(f"painted in two sections: {np.mean(strokes > 0):.1%}", painted(image[1], strokes[1])),
            Panel("a section without paint", grey(image[z])),
            Panel("its membranes", shown(image[z], truth[z])),
            Panel(f"best threshold: Dice {dice(cut, membranes):.2f}", shown(image[z], cut)),
            Panel(f"U-Net: Dice {dice(labels[z] == MEMBRANE, membranes):.2f}", shown(image[z], labels[z])),
            Panel("its probability of a membrane", heat(chance)),
        ],
        columns=3,
    )
    draw_curves(model.training)
    return model


def best_threshold(image: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the cut that has the highest Dice, of many, which only somebody with the truth can choose."""
    tried = itertools.product(("otsu", "li", "mean"), (0.0, 1.0, 2.0), (0.0, 30.0), (0, 100))
    cuts = (
        nc.threshold(image, method=rule, objects="dark", sigma=sigma, background_radius=radius, min_size=smallest) > 0
        for rule, sigma, radius, smallest in tried
    )
    return max(cuts, key=lambda cut: dice(cut, truth))


def draw_curves(told: Mapping[str, Any]) -> None:
    """Draw the loss and the Dice of a training over its steps."""
    history = told["history"]
    steps = [report["step"] for report in history]
    figure = Figure((6.4, 3.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(steps, [report["loss"] for report in history], color="#0072b2", label="batches")
    left.plot(steps, [report["validation_loss"] for report in history], color="#d55e00", label="held out")
    highest = 1.5 * max(report["loss"] for report in history)  # at first what is held out may be far above
    left.set(xlabel="step", ylabel="loss", ylim=(0, highest))
    left.legend(frameon=False)
    for at, (colour, name) in enumerate((("#d55e00", "membrane"), ("#009e73", "cell"))):
        scores = [report["dice"][at] if report["dice"] else np.nan for report in history]
        right.plot(steps, np.asarray(scores, float), color=colour, label=name)
    right.set(xlabel="step", ylabel="Dice of what is held out", ylim=(0, 1))
    right.legend(frameon=False, loc="lower right")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    FigureCanvasAgg(figure).print_png(FOLDER / "unet-curves.png")


# Objects -----------------------------------------------------------------------------------------------


def draw_objects() -> None:
    """Draw nuclei that touch, as classes and as objects with boundaries."""
    learned = [nc.samples.nuclei_2d(seed=seed) for seed in (3, 5)]
    other = nc.samples.nuclei_2d(seed=4, shape=(150, 200))
    settings: dict[str, Any] = {"n_steps": 2 * N_STEPS, "width": 8, "depth": 3, "ignore": None, "validation": 0.0}
    settings |= {"patch": (96, 96), "batch_size": 4}
    images, truths = [one.image.data for one in learned], [one.truth.data for one in learned]
    classes = nc.unet_train(images, [(truth > 0).astype(np.uint8) for truth in truths], **settings)
    objects = nc.unet_train(images, truths, head="boundary", **settings)
    seen, known = other.image.data, other.truth.data
    chance = nc.unet_probabilities(seen, model=objects)[2]
    panels = [
        Panel("image", grey(seen)),
        Panel(f"its {known.max()} nuclei", enlarged(coloured(known))),
        Panel("probability of a boundary", heat(chance)),
    ]
    for title, model in (("classes, numbered", classes), ("objects, by boundaries", objects)):
        labels = nc.unet_predict(seen, model=model, one_per_object=True, min_size=20)
        n, f1 = int(labels.max()), float(nc.evaluate_objects(labels, known).f1[0])
        panels.append(Panel(f"{title}: {n}, F1 {f1:.2f}", enlarged(coloured(labels))))
    side("unet-objects", panels, columns=3)


# The pages of methods ----------------------------------------------------------------------------------


def draw_methods() -> None:
    """Draw the two methods with a network that is trained in seconds."""
    sample = nc.samples.membranes(shape=(3, 150, 200))
    image, truth = sample.image.data, sample.truth.data
    model = nc.unet_train(image[:2], truth[:2], ignore=None, dimensions=2, **TINY)
    labels, chance = nc.unet_predict(image[2], model=model), nc.unet_probabilities(image[2], model=model)[0]
    whole = Panel("image", grey(image[2]))
    found = Panel("membranes that a network finds", shown(image[2], labels))
    side_by_side("unet_predict", [whole, found, Panel("their probability", heat(chance))], columns=3)
    strokes = cells_painted(truth, (2,), 8)[2]
    own = nc.unet_from_strokes(image[2], strokes, n_steps=STROKE_STEPS, width=8)
    painted_on = Panel("membranes, and cells", painted(image[2], strokes))
    side_by_side("unet_from_strokes", [whole, painted_on, Panel("the rest", shown(image[2], own))], columns=3)


# How much annotation -----------------------------------------------------------------------------------


def draw_learning_curve() -> None:
    """Draw Dice over the share of pixels that was annotated, beside the best classical method."""
    rows = json.loads(MEASURED.read_text(encoding="utf-8"))["rows"]
    classical = [row for row in rows if row["part"] == "classical"]
    figure = Figure((6.4, 4.4), layout="constrained")
    axes = figure.add_subplot(xlabel="pixels that are annotated, of eight sections", ylabel="Dice of membranes")
    _points(axes, rows, "curve", "U-Net", "#0072b2")
    _points(axes, rows, "forest", "random forest", "#e69f00")
    if classical:
        best = max(classical, key=lambda row: float(row["dice"]))
        axes.axhline(best["dice"], color="0.5", linestyle="--", label=f"{best['name']}, at their best")
    axes.set_xscale("log")
    axes.margins(y=0.1)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.3g} %")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    FigureCanvasAgg(figure).print_png(FOLDER / "unet-learning-curve.png")


def _points(axes: Any, rows: Sequence[Mapping[str, Any]], part: str, name: str, colour: str) -> None:
    """Draw strokes as dots and whole sections as squares, joined through the means of all hands."""
    for mark, word in (("o", "strokes"), ("s", "section")):
        kind = [row for row in rows if row["part"] == part and word in row["what"]]
        if not kind:  # that part was not measured
            continue
        groups = {what: [row for row in kind if row["what"] == what] for what in dict.fromkeys(r["what"] for r in kind)}
        x = [100 * float(np.mean([row["annotated"] for row in group])) for group in groups.values()]
        y = [float(np.mean([row["dice"] for row in group])) for group in groups.values()]
        label = f"{name}, {'strokes' if word == 'strokes' else 'whole sections'}"
        axes.plot(x, y, f"{mark}-", color=colour, label=label)
        every = [[100 * row["annotated"] for row in kind], [row["dice"] for row in kind]]
        axes.plot(*every, mark, color=colour, alpha=0.3, markersize=4)
        if part == "curve":
            for what, at in zip(groups, zip(x, y, strict=True), strict=True):
                axes.annotate(what.split()[0], at, (0, 7), textcoords="offset points", ha="center", fontsize=9)


def draw() -> None:
    """Draw everything."""
    draw_walk()
    draw_objects()
    draw_methods()
    if MEASURED.is_file():
        draw_learning_curve()


if __name__ == "__main__":
    frames.FOLDER.mkdir(parents=True, exist_ok=True)
    draw()
