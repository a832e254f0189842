"""What the unpainted part of an annotation means: the first question about any score."""

from __future__ import annotations

from typing import Literal

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
