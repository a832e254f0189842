"""Draw IoU against Dice: ``python docs/make_evaluation_pictures.py`` writes the picture of ``docs/evaluate.md``."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import napari_cutout as nc

FOLDER = Path(__file__).parent / "pictures"

CONTESTANTS = {"sharp": {1: 1.0, 2: 1 / 5}, "even": {1: 1 / 2, 2: 3 / 5}}
"""IoU of the two objects of the page, by two methods."""

LOOKS = {"sharp": ("#d55e00", (8, -14)), "even": ("#0072b2", (-38, 6))}
"""The colour of each method, and how far beside its mean its name stands, in points."""


def draw() -> None:
    """Draw items on their curve, and the means of two methods below it."""
    figure = Figure((4.8, 4.2), layout="constrained")
    axes = figure.add_subplot(xlabel="IoU", ylabel="Dice", xlim=(0, 1.03), ylim=(0, 1.03), aspect="equal")
    axes.plot(*nc.RankChanges.curve(), color="0.6", label="D = 2J / (1 + J): every item")
    found = nc.rank_changes(CONTESTANTS)
    for at, name in enumerate(found.names):
        colour, beside = LOOKS[name]
        mean = (found.mean_iou[at], found.mean_dice[at])
        axes.plot(found.iou[at], found.dice[at], "o:", color=colour, label=f"{name}: its two objects")
        axes.plot(*mean, "D", color=colour, markersize=9, markeredgecolor="white", label=f"{name}: mean")
        axes.annotate(name, mean, beside, textcoords="offset points", color=colour)
    axes.legend(loc="lower right", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    FigureCanvasAgg(figure).print_png(FOLDER / "iou-against-dice.png")


if __name__ == "__main__":
    draw()
