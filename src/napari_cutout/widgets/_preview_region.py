"""Which voxels a preview computes: what is in view, on a level that is not too large.  Plain data, no Qt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .._selection import Box, Selection
from ._target import factors
from ._view import View

__all__ = ["MOST_ON_PLANES", "MOST_VOXELS", "MOST_VOXELS_3D", "Region", "region_of", "widened"]

MOST_VOXELS = 1 << 24
"""Voxels that a preview of a plane computes at most."""

MOST_VOXELS_3D = 1 << 22
"""Voxels that a preview of a whole volume computes at most, since they are drawn at once, too."""

MOST_ON_PLANES = 1 << 22
"""Voxels that a preview of a method on graphs computes at most, which looks at every voxel many times."""

MARGIN = 4
"""Voxels around what is in view that are computed as well, so that a small move shows no bare edge."""


@dataclass(frozen=True, slots=True)
class Region:
    """What of an image is computed.

    Parameters
    ----------
    level : int
        On which level of the pyramid.
    factor : tuple of float
        How many voxels of the level that the run works on one voxel of this level spans, along every axis but c.
    box : tuple of (int, int)
        First index and the one after the last, on this level, along every axis but c.
    bounds : tuple of (int, int)
        The same of all that the run works on.
    approximate : str
        What is left out; empty if nothing is.
    """

    level: int
    factor: tuple[float, ...]
    box: Box
    bounds: Box
    approximate: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the labels."""
        return tuple(stop - start for start, stop in self.box)

    @property
    def scaled(self) -> bool:
        """True if it lies on another level than the run."""
        return any(f != 1 for f in self.factor)


def region_of(
    selection: Selection, shapes: Sequence[tuple[int, ...]], view: View, *, by_planes: bool = False
) -> Region:
    """Choose what a preview computes.

    Parameters
    ----------
    selection : Selection
        What the run works on.
    shapes : sequence of tuple of int
        The shape of every level, along every axis but c, from full resolution down.
    view : View
        What is shown, in voxels of full resolution, along every axis but c.
    by_planes : bool
        Whether the method looks as far as there is anything: then as much is taken of a plane as may be, however
        little of it is in view.

    Returns
    -------
    Region
        What is in view on the run's level, or on the finest lower level where that is small enough; where there is
        none, the middle of the view.

    Raises
    ------
    ValueError
        If nothing of what the run works on is in view, or a whole volume is shown that is too large.
    """
    if view.problem:
        raise ValueError(view.problem)
    if len(view.displayed) < 2:
        raise ValueError("a preview needs y and x in view, but channels are shown as an axis; swap the axes back")
    last = len(shapes) - 1
    level = min(selection.level, last)
    most = MOST_VOXELS_3D if len(view.displayed) == 3 else MOST_ON_PLANES if by_planes else MOST_VOXELS
    kept = most if by_planes else 0
    region = _on_level(selection, shapes, level, view, kept)
    while math.prod(region.shape) > most and region.level < last:
        region = _on_level(selection, shapes, region.level + 1, view, kept)
    if math.prod(region.shape) <= most:
        return region
    if len(view.displayed) == 3:
        raise ValueError(
            f"a preview in 3-D computes at most {MOST_VOXELS_3D:,} voxels, and this volume has "
            f"{math.prod(region.shape):,}; switch to 2-D (the button below the layer list) to preview a slice"
        )
    return _middle(region, view.displayed, most)


def _on_level(selection: Selection, shapes: Sequence[tuple[int, ...]], level: int, view: View, kept: int) -> Region:
    """Return what is in view on one level, or the plane that it lies in if that has no more voxels than `kept`."""
    base = min(selection.level, len(shapes) - 1)
    from_full, from_base = factors(shapes[0], shapes[level]), factors(shapes[base], shapes[level])
    outer = selection.box or tuple((0, n) for n in shapes[base])
    bounds, box = [], []
    for at, axis in enumerate(selection.kept_axes):
        full, n = from_full[at], shapes[level][at]
        start = min(math.floor(outer[at][0] / from_base[at]), n - 1)
        bounds.append((start, min(max(math.ceil(outer[at][1] / from_base[at]), start + 1), n)))
        box.append(_along(view, at, axis, full, bounds[-1]))
    shown = [at for at in range(len(box)) if at in view.displayed]
    whole = tuple(bounds[at] if at in shown else box[at] for at in range(len(box)))
    most_of_it = (2 * _voxels(box) > _voxels(whole) and _voxels(whole) <= MOST_VOXELS) or _voxels(whole) <= kept
    note = f"computed on level {level}" if level != base else ""
    return Region(level, from_base, whole if most_of_it else tuple(box), tuple(bounds), note)


def _along(view: View, at: int, axis: str, factor: float, bounds: tuple[int, int]) -> tuple[int, int]:
    """Return what is in view along one axis, on the level that `factor` leads to, inside `bounds`."""
    low, high = bounds
    if at not in view.displayed:
        index = int(view.point[at] / factor)
        if not low <= index < high:
            raise ValueError(f"this index along {axis}, {index}, is no part of the run; move the slider back into it")
        return index, index + 1
    start, stop = view.box[at]
    first, last = math.floor(start / factor) - MARGIN, math.ceil(stop / factor) + MARGIN
    if last <= low or first >= high:
        raise ValueError(f"what the run works on is not in view along {axis}; move the view back onto it (Home)")
    return max(first, low), min(last, high)


def _middle(region: Region, displayed: Sequence[int], most: int) -> Region:
    """Cut a plane down to the middle of it."""
    shrink = math.sqrt(most / math.prod(region.shape))
    box = list(region.box)
    for axis in displayed:
        start, stop = box[axis]
        n = max(int((stop - start) * shrink), 1)
        first = start + (stop - start - n) // 2
        box[axis] = (first, first + n)
    note = "only the middle of the view is computed; zoom in"
    return replace(region, box=tuple(box), approximate=_joined(region.approximate, note))


def widened(region: Region, halo: Sequence[int], most: int = 2 * MOST_VOXELS) -> tuple[Box, bool]:
    """Return the box with the neighbourhood that the steps look at, and whether all of it fits.

    Parameters
    ----------
    region : Region
        What is computed.
    halo : sequence of int
        How far the steps look along every axis.
    most : int
        How many voxels may be read.

    Returns
    -------
    tuple of (int, int)
        The box to read, inside what the run works on.
    bool
        False if there was no room for all of it.
    """
    fits = True
    while True:
        zipped = zip(region.box, halo, region.bounds, strict=True)
        box = tuple((max(a - h, low), min(b + h, high)) for (a, b), h, (low, high) in zipped)
        if _voxels(box) <= max(most, _voxels(region.box)) or not any(halo):
            return box, fits
        halo, fits = [h // 2 for h in halo], False


def _voxels(box: Sequence[tuple[int, int]]) -> int:
    return math.prod(stop - start for start, stop in box)


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
