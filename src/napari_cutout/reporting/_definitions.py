"""What every figure of a report means: one sentence each, from where the figure is computed."""

from __future__ import annotations

from collections.abc import Iterable

from ..comparison._confidence import EXACT
from ..comparison._tallies import NEAR, OBJECT_IOU
from ..comparison._units import MIN_IMAGES, N_BLOCKS
from ..comparison.leaderboard import ALPHA
from ..evaluation._bootstrap import N_DRAWS

__all__ = ["COMPARISON", "chosen"]

COMPARISON = {
    "dice": "2 TP / (2 TP + FP + FN) of each class, in voxels added over all units, and the mean over "
    "classes. The background counts only on strokes, where somebody painted it. A class on neither side is left out.",
    "iou": "TP / (TP + FP + FN), otherwise as Dice.",
    "f1": "Of objects: 2 TP / (2 TP + FP + FN), with TP the pairs matched one to one whose IoU is "
    f"{OBJECT_IOU} or more. Objects that touch the edge of the image count as all others do. Not defined where neither "
    "side holds an object.",
    "pq": f"Panoptic quality of objects: the sum of the IoU of matched pairs (IoU of {OBJECT_IOU} or more) over "
    "TP + FP / 2 + FN / 2.",
    "held_out": f"Whole strokes, where the annotation is strokes; else whole images, if {MIN_IMAGES} or more are "
    f"annotated, or about {N_BLOCKS} blocks of each. Each was scored once per repeat, by settings that were chosen, "
    "and labels that were mapped to classes, on the others alone. Methods that read strokes got those of the others "
    "only.",
    "interval": f"Percentiles of {N_DRAWS:,} bootstrap draws of what was held out, or of images if there are "
    f"{MIN_IMAGES} or more, the same draws for all rows. It says how far the score would move on more like these; "
    "blocks and strokes of one image say nothing about other images.",
    "p": "The share of the ways to swap a row and the best one, in some of what was held out, that make their "
    f"difference as large as it is: all ways where there are {EXACT} or fewer to swap, else {2**EXACT:,} of them. "
    "Corrected for the number of rows by Holm's method.",
    "tied": f"p is above {ALPHA} and the intervals overlap, so the row cannot be told from the best one. Few units "
    "make no p small, however far apart scores are. On strokes, of rows that are tied and within "
    f"{NEAR} of the best score, the one comes first whose labels agree most with those of the others.",
    "seconds": "Median time of one run on all images.",
    "tried": "Settings that were run. Of equals the one was taken whose labels agree most with those of the others; on "
    f"strokes, scores within {NEAR} of the best are equals.",
    "ceiling": "A second annotator is scored as the rows are, and not ranked.",
}
"""Figures of a comparison."""


def chosen(definitions: dict[str, str], names: Iterable[str]) -> dict[str, str]:
    """Return some definitions, in the order of `names`; those that are not there are left out."""
    return {name: definitions[name] for name in names if name in definitions}
