"""What every figure of a report means: one sentence each, from where the figure is computed."""

from __future__ import annotations

from collections.abc import Iterable

from ..evaluation._object_text import DEFINITIONS as OBJECTS
from ..evaluation._partition_scores import DEFINITIONS as PARTITIONS

__all__ = ["COMPARISON", "OBJECTS", "OVERLAP", "PARTITIONS", "chosen"]

OVERLAP = {
    "iou": "IoU, or Jaccard index: TP / (TP + FP + FN), in voxels of one class. Not defined for a class on neither "
    "side.",
    "dice": "Dice, or F1 of voxels: 2 TP / (2 TP + FP + FN), in voxels of one class. Not defined for a class on "
    "neither side.",
    "mean_iou": "Mean of the IoU of the classes that are on either side; the background counts only where there is no "
    "other class.",
    "mean_dice": "Mean of the Dice of the classes that are on either side; the background counts only where there is "
    "no other class.",
    "prevalence": "Share of the annotated voxels that belong to the class: (TP + FN) / all.",
    "ignored": "Voxels whose annotation says not annotated are in no count.",
}
"""Scores of voxels."""

COMPARISON = {
    "dice": "2 TP / (2 TP + FP + FN) of each class, in voxels added over all units, and the mean over "
    "classes. The background counts only on strokes, where somebody painted it. A class on neither side is left out.",
    "iou": "TP / (TP + FP + FN), otherwise as Dice.",
    "f1": "Of objects: 2 TP / (2 TP + FP + FN), with TP the pairs matched one to one whose IoU is 0.5 or more. "
    "Objects that touch the edge of the image count as all others do. Not defined where neither side holds an object.",
    "pq": "Panoptic quality of objects: the sum of the IoU of matched pairs (IoU of 0.5 or more) over "
    "TP + FP / 2 + FN / 2.",
    "held_out": "Whole strokes, where the annotation is strokes; else whole images, from four annotated ones on, or "
    "about 16 blocks of each. Each was scored once per repeat, by settings that were chosen, and labels that were "
    "mapped to classes, on the others alone. Methods that read strokes got those of the others only.",
    "interval": "Percentiles of 2,000 bootstrap draws of what was held out, or of images from four on, the same draws "
    "for all rows. It says how far the score would move on more like these; blocks and strokes of one image say "
    "nothing about other images.",
    "p": "The share of the ways to swap a row and the best one, in some of what was held out, that make their "
    "difference as large as it is: all ways where there are 12 or fewer to swap, else 4,096 of them. Corrected for the "
    "number of rows by Holm's method.",
    "tied": "p is above 0.05, so the row cannot be told from the best one.",
    "seconds": "Median time of one run on all images.",
    "tried": "Settings that were run. Of equals the one was taken whose labels agree most with those of the others; on "
    "strokes, scores within 0.03 of the best are equals.",
    "ceiling": "A second annotator is scored as the rows are, and not ranked.",
}
"""Figures of a comparison."""


def chosen(definitions: dict[str, str], names: Iterable[str]) -> dict[str, str]:
    """Return some definitions, in the order of `names`; those that are not there are left out."""
    return {name: definitions[name] for name in names if name in definitions}
