"""What is said of the scores of voxels."""

from __future__ import annotations

__all__ = ["DEFINITIONS", "OF_SLICES"]

DEFINITIONS = {
    "tp": "Voxels of a class that are found: both sides hold it.",
    "fp": "Voxels found in excess: predicted holds the class and truth does not.",
    "fn": "Voxels missed: truth holds the class and predicted does not.",
    "tn": "Voxels rightly left alone: neither side holds the class.",
    "iou": "IoU, or Jaccard index: TP / (TP + FP + FN), in voxels of one class.",
    "dice": "Dice, or F1 of voxels: 2 TP / (2 TP + FP + FN), in voxels of one class.",
    "precision": "TP / (TP + FP), in voxels of one class. Not defined where nothing was predicted.",
    "recall": "TP / (TP + FN), in voxels of one class. Not defined where nothing is there.",
    "specificity": "TN / (TN + FP), in voxels of one class. Not defined where truth holds nothing else.",
    "balanced_accuracy": "Mean of recall and specificity of one class; not defined where either is not "
    "(DOI:10.1109/ICPR.2010.764).",
    "mcc": "Matthews' correlation, (TP TN - FP FN) / sqrt((TP + FP) (TP + FN) (TN + FP) (TN + FN)), in voxels of one "
    "class: 1 is perfect, 0 as good as chance. Not defined where the class fills nothing or everything on one side "
    "(DOI:10.1016/0005-2795(75)90109-9).",
    "accuracy": "(TP + TN) / all, in voxels of one class. It is high wherever one class fills most of the image; read "
    "it beside prevalence.",
    "prevalence": "Share of the annotated voxels that truth gives to the class: (TP + FN) / all.",
    "mean_iou": "Mean of the IoU of the classes that are on either side; the background counts only where there is no "
    "other class.",
    "mean_dice": "Mean of the Dice of the classes that are on either side; the background counts only where there is "
    "no other class.",
    "frequency_weighted_iou": "As mean_iou, each class weighted by its voxels in truth. Not defined where truth holds "
    "none.",
    "frequency_weighted_dice": "As mean_dice, each class weighted by its voxels in truth. Not defined where truth "
    "holds none.",
    "overall_accuracy": "Share of the annotated voxels whose predicted class is the true one, background included; "
    "read it beside largest_prevalence.",
    "overall_balanced_accuracy": "Mean recall of the classes that truth holds, background included.",
    "overall_mcc": "Matthews' correlation of all classes, R_K, background included. Not defined where one side holds "
    "one class only (DOI:10.1016/j.compbiolchem.2004.09.006).",
    "largest_prevalence": "Share of the annotated voxels that truth gives to its commonest class: the overall accuracy "
    "of labels that name it everywhere.",
    "background": "Label 0 is the background, a class with a row of its own; it is in no mean over classes if there "
    "are others. Where 0 means not annotated it is no class.",
    "empty": "A ratio of nothing is not defined. A class that is on neither side has no score, and is in no mean.",
    "ignored": "Voxels whose annotation says not annotated are in no count.",
}
"""Scores of all voxels together."""

OF_SLICES = {
    "mean_iou": "Mean of the IoU of the classes that a slice holds on either side; the background counts only where "
    "no other class is reported.",
    "mean_dice": "Mean of the Dice of the classes that a slice holds on either side; the background counts only where "
    "no other class is reported.",
    "prevalence": "Share of the annotated voxels of a slice that truth gives to the class: (TP + FN) / all.",
    "slices": "Every count and score is of the voxels of one slice. Labels were matched once, on all slices together. "
    "What a mean over slices says differs from the score of all slices together.",
    "empty": "A ratio of nothing is not defined: a class has no score in a slice that holds none of it on either side, "
    "and a slice without annotated voxels has none at all.",
}
"""Scores of slices, where they differ."""
