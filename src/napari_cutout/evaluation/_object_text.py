"""What is said of the scores of objects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ._text import listed

if TYPE_CHECKING:
    from ._object_scores import ObjectEvaluation

__all__ = ["COUNTS", "DEFINITIONS", "ERRORS", "NO_BACKGROUND", "NO_REGION", "SCORES", "summary_of"]

SCORES = ("precision", "recall", "f1", "ap", "segmentation_quality", "pq")
COUNTS = ("tp", "fp", "fn")
ERRORS = ("split", "merged", "missed", "invented")

NO_BACKGROUND = (
    "precision, F1, AP, PQ and AJI are not defined: with ignore=0 what is unpainted is not known, so nobody can tell "
    "which objects are in excess; one that grows into it loses nothing, so IoU is no more than recall of voxels, and "
    "SEG, SQ and recall can be too good; mark a region in which every object is annotated, and pass it as complete="
)

NO_REGION = "nothing is defined: complete= marks no voxel; mark a region in which every object is annotated"

DEFINITIONS = {
    "tp": "Pairs of a true and a predicted object that are matched: one to one, from the IoU of the row on (that IoU "
    "is enough), as many pairs as can be, and of those ways the one with the largest sum of IoU.",
    "fp": "Predicted objects that are left over, without those of n_unjudged.",
    "fn": "True objects that are left over.",
    "n_unjudged": "Predicted objects that are left over and neither right nor wrong: more than half of their voxels "
    "are not annotated, or, where a region is annotated completely, not more than half of them lie in it.",
    "precision": "TP / (TP + FP)",
    "recall": "TP / (TP + FN)",
    "f1": "2 TP / (2 TP + FP + FN), which panoptic quality calls RQ",
    "ap": "TP / (TP + FP + FN), as in the 2018 Data Science Bowl (DOI:10.1038/s41592-019-0612-7); not the area under a "
    "curve",
    "segmentation_quality": "Mean IoU of the matched pairs, which panoptic quality calls SQ",
    "pq": "Panoptic quality, RQ x SQ (DOI:10.1109/CVPR.2019.00963). Pairs match from the IoU of the row on; there they "
    "match above 0.5, which is the same but for exact halves.",
    "mean_ap": "Mean of AP over the thresholds",
    "seg": "Mean over true objects of the IoU with the predicted one that covers more than half of each, 0 where none "
    "does (Cell Tracking Challenge, DOI:10.1038/nmeth.4473)",
    "aji": "Aggregated Jaccard index: each true object takes the predicted one of the largest IoU, which several may "
    "share; the sum of their common voxels over the sum of their unions, of true objects that meet none and of "
    "predicted ones that none took (DOI:10.1109/TMI.2017.2677499). One that ties with what was taken is not left over.",
    "over_segmentation": "Share of the true objects that two or more predicted ones lie on mostly, of those that are "
    "not unjudged; one that lies equally on several lies on all of them (DOI:10.1109/ISBI.2009.5193098)",
    "under_segmentation": "Share of the true objects that lie mostly on a predicted one on which two or more do "
    "(DOI:10.1109/ISBI.2009.5193098)",
    "count_error": "Predicted minus true objects, without predicted ones that are neither right nor wrong: those of "
    "n_unjudged at the first threshold",
    "unpainted": "Where the label that means not annotated is 0, and no region is annotated completely, nothing is "
    "known of the background: what grows into it loses nothing, IoU is no more than recall of voxels, and SEG, SQ and "
    "recall can be too good.",
    "background": "0 is no object. Objects that touch the edge of the image count as all others do.",
    "empty": "A ratio of nothing is not defined. F1, AP, PQ and AJI are 0 where only one side holds objects.",
}

_SHORT = {"segmentation_quality": "mean IoU"}
"""What the summary calls a score whose name is too long for it."""


def summary_of(found: ObjectEvaluation) -> str:
    """Return the scores of objects as a text table, and the objects that went wrong."""
    lines = [f"{'IoU from':>9}" + "".join(f"{_SHORT.get(n, n):>11}" for n in SCORES) + _counts_line(COUNTS)]
    lines += [
        f"{row['threshold']:>9.2f}" + "".join(f"{row[n]:>11.4f}" for n in SCORES) + _counts_line(row[n] for n in COUNTS)
        for row in found.table
    ]
    return "\n".join([*lines, *_remarks(found)])


def _remarks(found: ObjectEvaluation) -> list[str]:
    """Say what stands under the table."""
    without = "" if not found.n_ignored else f", {found.n_ignored} not annotated (label {found.ignore} of truth)"
    where = "" if found.n_complete is None else f", mostly in the {found.n_complete} voxels annotated completely"
    error = "" if found.why_nan else f": count error {found.count_error:+d}"
    unjudged = int(found.n_unjudged[0])
    return [
        f"mean AP {found.mean_ap:.4f}, SEG {found.seg:.4f}, AJI {found.aji:.4f}; {found.n_voxels} voxels "
        f"scored{without}",
        f"{found.over_segmentation:.4f} of the true objects are split, {found.under_segmentation:.4f} merged",
        f"{found.n_predicted} objects predicted, {found.n_true} true{where}{error}",
        *([f"{unjudged} more predicted objects are neither right nor wrong: truth does not say"] if unjudged else []),
        *(f"{name}: {listed(getattr(found, name))}" for name in ERRORS),
        *([found.why_nan] if found.why_nan else []),
    ]


def _counts_line(counts: Iterable[Any]) -> str:
    return "".join(f"{count:>8}" for count in counts)
