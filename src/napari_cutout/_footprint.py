"""How much memory a run will need, before it runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from . import catalog
from ._compiled import n_threads
from ._plan import BLOCK_VOXELS
from .processing.segment import bytes_per_voxel
from .recipe import Recipe, Step

__all__ = ["footprint"]

FILTERING = 32.0
"""Bytes per voxel of the blocks in work of a filter, one block per thread. Measured; a test holds it."""


def footprint(recipe: Recipe, image: Sequence[int], itemsize: int, *, in_memory: bool = True) -> int:
    """Return how many bytes a run on the CPU will need at its peak, beyond what is in memory already.

    Parameters
    ----------
    recipe : Recipe
        What will run, and on which part of the image.
    image : sequence of int
        The shape of the image as it is stored, at the level of the recipe.
    itemsize : int
        Bytes of a voxel of the image.
    in_memory : bool
        Whether the image is in memory; else what is run at a time is read into it.

    Returns
    -------
    int
        Within about a quarter of what is measured, for images of more than a few blocks.
    """
    selection = recipe.selection
    if selection is None:
        result = part = tuple(image)
    else:
        result = selection.shape(image)
        sizes = zip(selection.kept_axes, result, strict=True)
        part = tuple(n for axis, n in sizes if axis in selection.run_axes)
    n_part = math.prod(part)
    greyed = selection is not None and selection.channel == "grey"
    read = 0.0 if in_memory else float(itemsize)
    if greyed:
        read, itemsize = read + 4.0, 4
    per_voxel = max(
        bytes_per_voxel(step.settings, itemsize, cut=catalog.find(step.method).memory) for step in recipe.steps
    )
    kept = sum(_label_bytes(step) for step in recipe.steps[:-1])
    working = max(_working(step) for step in recipe.steps)
    blocks = working * min(BLOCK_VOXELS * n_threads(), n_part)
    in_parts = _label_bytes(recipe.steps[-1]) * math.prod(result) if n_part < math.prod(result) else 0
    return int((per_voxel + read + kept) * n_part + in_parts + blocks)


def _working(step: Step) -> float:
    """Return the bytes per voxel of a block in work."""
    filtering = any(step.settings.get(name) for name in ("sigma", "median_radius", "background_radius"))
    return max(catalog.find(step.method).working, FILTERING if filtering else 0.0)


def _label_bytes(step: Step) -> int:
    """Return the bytes of a label: numbers of objects are int32, classes uint8."""
    numbered = step.settings.get("one_per_object", True)  # a method without the choice always numbers
    return np.dtype("int32" if numbered else "uint8").itemsize
