"""Blocks of whole files: written, left out where they are empty, and shrunk into the next level of a pyramid."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ._checked import CheckedArray, Region
from ._layout import Layout, smallest

__all__ = ["check_range", "indices_above", "region_text", "shrink", "stored"]


def stored(array: CheckedArray, region: Sequence[slice], labels: np.ndarray[Any, Any]) -> int:
    """Write whole files of an array, and return how many are not left out for being empty."""
    region = aligned(array, region)
    expected = tuple(part.stop - part.start for part in region)
    if labels.shape != expected:
        raise ValueError(f"a block of {region_text(region)} has the shape {expected}, but labels have {labels.shape}")
    check_range(labels, array.dtype)
    array[region] = labels.astype(array.dtype, copy=False)
    edges = array.files
    grid = itertools.product(*(range(0, side, edge) for side, edge in zip(expected, edges, strict=True)))
    return sum(
        bool(labels[tuple(slice(a, a + edge) for a, edge in zip(start, edges, strict=True))].any()) for start in grid
    )


def check_range(labels: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> None:
    """Refuse labels that a dtype does not hold."""
    if labels.dtype.kind not in "biu":
        raise ValueError(f"labels must be whole numbers, but are {labels.dtype}; round them")
    if np.can_cast(labels.dtype, dtype) or not labels.size:
        return
    low, high = int(labels.min()), int(labels.max())
    limits = np.iinfo(dtype)
    if low < limits.min or high > limits.max:
        raise ValueError(
            f"labels go from {low} to {high}, but the store holds {dtype}; make it with {smallest(max(high, 0))}"
        )


def aligned(array: CheckedArray, region: Sequence[slice]) -> Region:
    """Return a region with its stops cut to the array, and refuse one that divides a file."""
    found = []
    for part, side, edge in zip(region, array.shape, array.files, strict=True):
        start, stop = part.start or 0, side if part.stop is None else part.stop
        if (
            start % edge
            or (stop % edge and stop != side)
            or not 0 <= start < stop <= side
            or part.step not in (None, 1)
        ):
            raise ValueError(
                f"a block must start and end at multiples of {array.files} or the end of the axes, {array.shape}, "
                f"but is {region_text(region)}; take tiles of such edges"
            )
        found.append(slice(start, stop))
    return tuple(found)


def region_text(region: Sequence[slice]) -> str:
    """Return a region as it is written in code."""
    return "[" + ", ".join(f"{part.start}:{part.stop}" for part in region) + "]"


def shrink(layout: Layout, levels: Sequence[CheckedArray], level: int, region: Sequence[slice]) -> int:
    """Fill a region of a level, of whole files, from the level above; return how many files are stored."""
    target, above = levels[level], levels[level - 1]
    region = aligned(target, region)
    indices = [index[part] for index, part in zip(indices_above(layout, level), region, strict=True)]
    strides = [np.unique(np.diff(index)) for index in indices]
    if all(len(stride) < 2 for stride in strides):
        # Zarr reads every n-th voxel without holding the others.
        steps = [int(stride[0]) if len(stride) else 1 for stride in strides]
        part = above[tuple(slice(i[0], i[-1] + 1, step) for i, step in zip(indices, steps, strict=True))]
    else:
        whole = above[tuple(slice(i[0], i[-1] + 1) for i in indices)]
        part = whole[np.ix_(*(i - i[0] for i in indices))]
    return stored(target, region, part)


def indices_above(layout: Layout, level: int) -> list[np.ndarray[Any, Any]]:
    """Return, for each axis, which voxels of the level above the voxels of a level are."""
    sides = zip(layout.shapes[level], layout.shapes[level - 1], strict=True)
    factors = zip(layout.factors[level], layout.factors[level - 1], strict=True)
    return [
        np.minimum((np.arange(side) * fine // coarse).astype(int), above - 1)
        for (side, above), (fine, coarse) in zip(sides, factors, strict=True)
    ]
