"""What is said of the scores of objects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ._text import listed

if TYPE_CHECKING:
    from ._object_scores import ObjectEvaluation

__all__ = ["COUNTS", "ERRORS", "NO_BACKGROUND", "NO_REGION", "SCORES", "summary_of"]

SCORES = ("precision", "recall", "f1", "ap", "segmentation_quality", "pq")
COUNTS = ("tp", "fp", "fn")
ERRORS = ("split", "merged", "missed", "invented")

NO_BACKGROUND = (
    "precision, F1, AP, PQ and AJI are not defined: with ignore=0 what is unpainted is not known, so nobody can tell "
    "which objects are in excess; mark a region in which every object is annotated, and pass it as complete="
)

NO_REGION = "nothing is defined: complete= marks no voxel; mark a region in which every object is annotated"

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
