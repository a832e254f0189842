"""What markers must be, wherever they are looked at."""

from __future__ import annotations

__all__ = ["MAX_LABEL", "check_marker_values", "no_markers"]

MAX_LABEL = 2**31 - 1
"""Largest label that a marker may have, since labels are int32."""


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


def no_markers(inside: bool) -> ValueError:
    """Return the error that says why there is nothing to flood from."""
    if inside:
        return ValueError(
            "markers lie outside mask, or where image is NaN, with every voxel; paint at least one inside, "
            "or widen the mask"
        )
    return ValueError("markers have no painted voxel, all are 0; paint at least one, or use watershed_from_minima")
