"""A box that is written back into stored labels, and into their pyramid."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ._blocks import check_range, indices_above, region_text, shrink
from ._checked import CheckedArray
from ._image import open_image
from ._layout import Layout
from ._place import Place

__all__ = ["edit_labels"]


def edit_labels(
    path: str | os.PathLike[str] | Place,
    start: Sequence[int],
    labels: Any,
    *,
    storage_options: Mapping[str, Any] | None = None,
) -> None:
    """Write a box into stored labels, and into every level of their pyramid.

    Parameters
    ----------
    path : path or Place
        The labels.
    start : sequence of int
        The first voxel of the box, along each axis as the labels are stored.
    labels : array
        What the box shall hold.
    storage_options : mapping, optional
        What fsspec takes to open an address.

    Raises
    ------
    ValueError
        If the box does not lie in the labels, a label does not fit their dtype, or the store holds an image.
    OSError
        If it cannot be written. Some chunks may be written then: call it again.

    Notes
    -----
    Files that the box touches are read and written again, so nobody else may write to them meanwhile.
    """
    image = open_image(path, storage_options=storage_options)
    if "image-label" not in image.attributes:
        raise ValueError(f"{image.path!r} holds no labels, so no box is written to it; name labels of OME-Zarr")
    box = np.asarray(labels)
    shape = image.levels[0].shape
    region = tuple(slice(int(a), int(a) + n) for a, n in zip(start, box.shape, strict=True))
    if len(region) != len(shape) or any(p.start < 0 or p.stop > n for p, n in zip(region, shape, strict=True)):
        raise ValueError(f"the box {region_text(region)} does not lie in labels of the shape {shape}")
    check_range(box, image.levels[0].array.dtype)
    levels = [CheckedArray(level.array.place, writable=True) for level in image.levels]
    layout = Layout.of(image)
    levels[0][region] = box.astype(levels[0].dtype, copy=False)
    for level in range(1, len(levels)):
        region = tuple(
            slice(*np.searchsorted(index, (part.start, part.stop)).tolist())
            for index, part in zip(indices_above(layout, level), region, strict=True)
        )
        if any(part.start == part.stop for part in region):
            return  # no coarser level has a voxel of the box
        sides = zip(region, levels[level].files, levels[level].shape, strict=True)
        shrink(layout, levels, level, [_whole(part, edge, side) for part, edge, side in sides])


def _whole(part: slice, edge: int, side: int) -> slice:
    """Return the files that a part of an axis touches."""
    return slice(part.start // edge * edge, min(-(-part.stop // edge) * edge, side))
