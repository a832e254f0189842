"""What the unpainted part of an annotation means: the first question about any score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .overlap import Evaluation

Unpainted = Literal["background", "not annotated"]
"""What label 0 of the truth means."""

STROKES_BELOW = 0.05
"""Painted share of the truth below which it may hold strokes."""

MAX_STROKE_LABELS = 5
"""Strokes have a label for each class, and few classes; more labels number objects."""


def unpainted_guess(share: float, n_labels: int) -> Unpainted:
    """Guess what label 0 of an annotation means.

    Strokes fill little of a picture and have at least two labels, for what is wanted and what is not. Whoever
    annotates whole objects paints all of them, in one class or with a number for each. The guess is only what is
    proposed first; the answer stands beside the score.

    Parameters
    ----------
    share : float
        Painted share of the annotation.
    n_labels : int
        How many labels besides 0 are painted.

    Returns
    -------
    {"background", "not annotated"}
        ``"not annotated"`` if less than `STROKES_BELOW` is painted, with 2 to `MAX_STROKE_LABELS` labels.
    """
    strokes = share < STROKES_BELOW and 2 <= n_labels <= MAX_STROKE_LABELS
    return "not annotated" if strokes else "background"


def how_read(evaluations: Sequence[Evaluation], ignore: int | None) -> str:
    """Return how voxels that nobody painted were counted.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        The scores of one image or of several.
    ignore : int or None
        The label of truth that was left out.

    Returns
    -------
    str
        A clause without a full stop.
    """
    if ignore == 0:
        return "Unpainted voxels of the truth (0) were read as not annotated, and left out"
    if ignore is not None:
        return f"Voxels of value {ignore} of the truth were left out as not annotated; 0 was read as background"
    unpainted = sum(int((e.tp + e.fn)[e.classes == 0].sum()) for e in evaluations)
    share = unpainted / sum(e.n_voxels for e in evaluations)
    return f"Unpainted voxels of the truth (0, {share:.1%} of all) were read as background"


def rules_taken(evaluations: Sequence[Evaluation]) -> str:
    """Return that images were scored by different rules, and how to choose one.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        The scores of several images.

    Returns
    -------
    str
        One sentence; empty where all were scored by one rule.
    """
    times = Counter(e.match for e in evaluations)
    if len(times) < 2:
        return ""
    taken = ", ".join(f"{rule} for {n}" for rule, n in times.most_common())
    return (
        f"Labels were matched by different rules ({taken} of the images), so their scores are not alike; "
        "choose one with `match`."
    )
