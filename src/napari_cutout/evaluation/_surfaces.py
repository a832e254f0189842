"""How far apart the surfaces of two objects are: a table of squared distances, and arithmetic on it.

Where lengths are compared they are whole numbers, in 1/1024 of the smallest voxel edge, so that nothing hangs on how a
root was rounded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, dtype_name, empty, to_numpy
from ..processing.distance import FAR, MAX_SQUARED, squared_distance, weights_of
from ._contingency import Counts

__all__ = ["Comparison", "Ruler", "compared", "padded"]

SLACK = 1e-9
"""Share of a length that the arithmetic of a caller may have lost: three times 0.1 is 0.3."""


@dataclass(frozen=True, slots=True)
class Ruler:
    """How squared distances between voxels and world lengths are turned into each other.

    Parameters
    ----------
    weights : tuple of int
        Edges of a voxel, as `squared_distance` wants them.
    smallest : float
        World length of the smallest edge.
    near : int
        Largest squared distance that counts as within the tolerance.
    deep : int
        Largest squared distance that counts as within the width of a boundary.
    """

    weights: tuple[int, ...]
    smallest: float
    near: int
    deep: int

    @classmethod
    def of(cls, spacing: Sequence[float], tolerance: float, width: float) -> Ruler:
        """Return how to measure in world units: a tolerance, and boundaries of a width, for voxels of a size.

        Edges of voxels were rounded, so a distance of so many of them is off by as much, many times. Lengths are
        stretched as the edge is that was rounded up most: what is within a length then stays within it.
        """
        weights, smallest = weights_of(spacing, len(spacing)), min(spacing)
        stretch = max(weight / step for weight, step in zip(weights, spacing, strict=True))
        reach = math.isqrt(MAX_SQUARED)
        near, deep = (math.floor(min(length * stretch * (1 + SLACK), reach) ** 2) for length in (tolerance, width))
        return cls(weights, smallest, near, deep)

    def world(self, squared: Counts) -> NDArray[np.float64]:
        """Return the world lengths of squared distances."""
        return np.sqrt(squared.astype(np.float64)) / min(self.weights) * self.smallest


class Comparison(NamedTuple):
    """What is known of two surfaces; lengths in world units.

    Where neither side has a surface all but the counts is NaN. Where one side has none, distances are NaN and the
    shares 0.
    """

    hausdorff: float
    hd95: float
    assd: float
    surface_dice: float
    boundary_iou: float
    n_predicted_surface: int
    n_true_surface: int


@dataclass(frozen=True, slots=True, eq=False)
class _Distances:
    """How often each squared distance occurs.

    Parameters
    ----------
    squared : int64 array of shape (n,)
        Squared distances, rising.
    counts : int64 array of shape (n,)
        Surface voxels at each.
    """

    squared: Counts
    counts: Counts

    @property
    def n(self) -> int:
        """Number of surface voxels."""
        return int(self.counts.sum())

    def within(self, square: int) -> int:
        """Return how many surface voxels are no farther than that."""
        return int(self.counts[self.squared <= square].sum())

    def total(self, ruler: Ruler) -> list[float]:
        """Return numbers that add up to the sum of all distances."""
        parts: list[float] = (ruler.world(self.squared) * self.counts).tolist()
        return parts

    def percentile(self, percent: int, ruler: Ruler) -> float:
        """Return a percentile of the distances, linear between neighbours, as NumPy's default."""
        whole, hundredths = divmod(percent * (self.n - 1), 100)
        at = np.searchsorted(np.cumsum(self.counts), [whole, min(whole + 1, self.n - 1)], side="right")
        low, high = ruler.world(self.squared[at]).tolist()
        return float(low + (high - low) * hundredths / 100)


def compared(predicted: Array, truth: Array, known: Array | None, ruler: Ruler) -> Comparison:
    """Compare the surfaces of two objects.

    Parameters
    ----------
    predicted, truth : bool arrays of one shape, as `padded` returns them
        The voxels of each.
    known : bool array of the same shape, or None
        The voxels that are annotated; all if it is None.
    ruler : Ruler
        How lengths are measured.

    Returns
    -------
    Comparison
        The scores.
    """
    ours, theirs = _Contour.of(predicted, known), _Contour.of(truth, known)
    n, m = (int(array_namespace(predicted).count_nonzero(side.inner)) for side in (ours, theirs))
    if not n or not m:
        share = math.nan if not n + m else 0.0
        return Comparison(math.nan, math.nan, math.nan, share, share, n, m)
    both = [_distances(a.inner, b.inner, ruler) for a, b in ((ours, theirs), (theirs, ours))]
    return Comparison(
        hausdorff=max(float(ruler.world(d.squared[-1:])[0]) for d in both),
        hd95=max(d.percentile(95, ruler) for d in both),
        assd=math.fsum(part for d in both for part in d.total(ruler)) / (n + m),
        surface_dice=sum(d.within(ruler.near) for d in both) / (n + m),
        boundary_iou=_boundary_iou(ours, theirs, ruler),
        n_predicted_surface=n,
        n_true_surface=m,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Contour:
    """An object, and the voxels on both sides of its contour.

    The contour runs between face neighbours that are both annotated, one of the object and one outside it. The voxels
    outside that touch it are the nearest of all that are outside: from any other a step towards the object comes
    nearer and is still outside.
    """

    own: Array
    inner: Array
    outer: Array

    @classmethod
    def of(cls, mask: Array, known: Array | None) -> _Contour:
        own, outside = (mask, ~mask) if known is None else (mask & known, ~mask & known)
        return cls(own, own & _beside(outside), outside & _beside(own))


def padded(mask: Array, pads: Sequence[tuple[int, int]], fill: bool) -> Array:
    """Return a mask with voxels of one kind around it: as many as `pads` says, before and after along each axis."""
    shape = tuple(n + before + after for n, (before, after) in zip(mask.shape, pads, strict=True))
    wider = empty(shape, "bool", like=mask)
    wider[...] = fill
    wider[tuple(slice(before, before + n) for n, (before, _) in zip(mask.shape, pads, strict=True))] = mask
    return wider


def _beside(mask: Array) -> Array:
    """Tell which voxels have a face neighbour in a mask."""
    found = array_namespace(mask).zeros_like(mask)
    for axis in range(mask.ndim):
        before, after = (
            tuple(part if a == axis else slice(None) for a in range(mask.ndim)) for part in (slice(-1), slice(1, None))
        )
        found[before] |= mask[after]
        found[after] |= mask[before]
    return found


def _distances(surface: Array, other: Array, ruler: Ruler) -> _Distances:
    """Count the squared distances from the voxels of one surface to the nearest of another, where they live."""
    xp = array_namespace(surface)
    found, counts = xp.unique_counts(squared_distance(~other, ruler.weights)[surface])
    return _Distances(*(to_numpy(part).astype(np.int64, copy=False) for part in (found, counts)))


def _boundary_iou(ours: _Contour, theirs: _Contour, ruler: Ruler) -> float:
    """Return the IoU of the voxels of each side that are near its contour."""
    xp = array_namespace(ours.own)
    a, b = (_boundary(contour, ruler) for contour in (ours, theirs))
    either = int(xp.count_nonzero(a | b))
    return int(xp.count_nonzero(a & b)) / either if either else math.nan


def _boundary(contour: _Contour, ruler: Ruler) -> Array:
    squared = squared_distance(~contour.outer, ruler.weights)
    return contour.own & (squared <= min(ruler.deep, FAR[dtype_name(squared)] - 1))
