"""Overlap scores against scikit-learn, and the table under them against scikit-image."""

from __future__ import annotations

import numpy as np
from skimage.metrics import contingency_table
from sklearn.metrics import jaccard_score

from _harness import Case, Target
from napari_cutout.evaluation.overlap import Contingency, contingency, evaluate


def iou_and_dice(predicted: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    result = evaluate(predicted, truth, match="value")
    return result.iou, result.dice


def iou_alone(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return jaccard_score(truth.ravel(), predicted.ravel(), average=None)


def same_iou(ours: tuple[np.ndarray, np.ndarray], peer: np.ndarray) -> float:
    return float(np.mean(np.isclose(ours[0], peer, rtol=1e-12)))


def same_table(ours: Contingency, peer: object) -> float:
    """Compare the counts of all pairs."""
    reference = peer.tocsr()  # type: ignore[attr-defined]
    found = np.asarray(reference[ours.predicted, ours.truth]).ravel()
    return float(np.mean(found == ours.counts) * (reference.nnz == len(ours)))


CASES = [
    *(
        Case(
            f"IoU and Dice, 4 classes, {dtype}",
            (f"predicted:{dtype}", f"truth:{dtype}"),
            iou_and_dice,
            iou_alone,
            same_iou,
            Target(ratio=50),
            rounds=3,
        )
        for dtype in ("uint8", "int32")
    ),
    Case(
        "contingency of objects, int32",
        ("moved-objects", "objects"),
        contingency,
        contingency_table,
        same_table,
    ),
]
