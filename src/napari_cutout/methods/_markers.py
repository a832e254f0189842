"""What markers must be, and what is said of those that are found, wherever they are looked at."""

from __future__ import annotations

from collections.abc import Callable

from .._checks import MAX_LABEL
from .._monitor import note

__all__ = ["Missing", "Told", "check_marker_values", "no_markers", "note_minima", "note_objects"]

Missing = Callable[[bool], ValueError] | None
"""From whether there are markers at all to the error that says why none lies inside; None if that is none."""

Told = Callable[[int], None] | None
"""What is done with the number of minima that were found."""


def check_marker_values(extent: tuple[int, int]) -> None:
    """Raise unless the smallest and the largest marker are labels that a result can hold.

    Raises
    ------
    ValueError
        If they are not.
    """
    low, high = extent
    if low < 0 or high > MAX_LABEL:
        raise ValueError(f"markers must be labels from 0 to {MAX_LABEL}, got {low if low < 0 else high}; renumber them")


def no_markers(painted: bool) -> ValueError:
    """Return the error that says why there is nothing to flood from."""
    if painted:
        return ValueError(
            "markers lie outside mask, or where image is NaN, with every voxel; paint at least one inside, "
            "or widen the mask"
        )
    return ValueError("markers have no painted voxel, all are 0; paint at least one, or use watershed_from_minima")


def note_minima(n: int) -> None:
    """Note how many minima were found, or raise if there is none."""
    if n == 0:
        raise ValueError(
            "image is NaN or outside mask at every voxel, so it has no minimum; check it, or widen the mask"
        )
    note(n_minima=n)


def note_objects(n: int) -> None:
    """Note how many objects there are; there may be none."""
    note(n_objects=n)
