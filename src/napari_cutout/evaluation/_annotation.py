"""What the unpainted part of an annotation means: the first question about any score."""

from __future__ import annotations

from typing import Literal

Unpainted = Literal["background", "not annotated"]
"""What label 0 of the truth means."""

STROKES_BELOW = 0.05
"""Painted share of the truth below which it is taken for strokes."""


def unpainted_guess(share: float) -> Unpainted:
    """Guess what label 0 of an annotation means.

    Whoever annotates whole objects paints all of them, and objects seldom fill less than a twentieth of a picture
    that somebody took of them; strokes hardly ever fill as much. The guess is only what is proposed first.

    Parameters
    ----------
    share : float
        Painted share of the annotation.

    Returns
    -------
    {"background", "not annotated"}
        ``"not annotated"`` if less than `STROKES_BELOW` is painted.
    """
    return "not annotated" if share < STROKES_BELOW else "background"
