"""How much memory a run will need, before it runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .. import catalog
from .._compiled import n_threads
from .._plan import BLOCK_VOXELS
from ..processing.segment import bytes_per_voxel
from ..recipe import Recipe, Step

__all__ = ["footprint", "label_bytes"]

FILTERING = 32.0
"""Bytes per voxel of the blocks in work of a filter, one block per thread. Measured; a test holds it."""

NUMBER = np.dtype("int32").itemsize
"""Bytes of the number of an object."""

RENUMBERING = 13.0
"""Bytes per voxel of a part whose objects are numbered on: its numbers, a mask, and two copies."""


def footprint(
    recipe: Recipe, image: Sequence[int], itemsize: int, *, in_memory: bool = True, others: Sequence[int] = ()
) -> int:
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
    others : sequence of int
        Bytes of a voxel of the inputs that are copied whole for the run, such as a mask and markers.

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
    n_seen = 1 if selection is None else selection.n_channels(image)
    read = 0.0 if in_memory else float(itemsize) * n_seen
    n_channels = image[selection.axes.index("c")] if selection is not None and "c" in selection.axes else 1
    brightening = 0.0
    if greyed:
        read *= n_channels
        brightening = read + 4.0 * (
            1 + (3 if n_channels == 4 else n_channels)
        )  # all channels as float32, and their mean
        read, itemsize = read + 4.0, 4
    per_voxel = max(bytes_of(step, itemsize, n_part, n_seen) for step in recipe.steps)
    kept = sum(label_bytes(step) for step in recipe.steps[:-1])
    working = max(_working(step) for step in recipe.steps)  # of more channels, blocks have fewer voxels
    blocks = working * min(BLOCK_VOXELS * n_threads(), n_part)
    copied = sum(others) * math.prod(image) // n_channels  # whole, whatever is selected
    label = label_bytes(recipe.steps[-1])
    in_parts = label * math.prod(result) if n_part < math.prod(result) else 0
    renumbering = RENUMBERING * n_part if in_parts and label == NUMBER else 0.0
    at_peak = max((per_voxel + read + kept) * n_part + blocks, brightening * n_part, renumbering)
    return int(at_peak + in_parts + copied)


def bytes_of(step: Step, itemsize: int, n_voxels: int, n_channels: int) -> float:
    """Return the bytes per voxel of a step at its peak: each of its channels is prepared by itself."""
    cut = catalog.find(step.method).bytes_per_voxel(step.complete_settings, n_voxels, n_channels)
    whole, labels = (bytes_per_voxel(step.settings, itemsize, cut=n) for n in (cut, 0.0))
    prepared = labels - bytes_per_voxel({**step.settings, **_UNPREPARED}, itemsize)
    return whole + (n_channels - 1) * prepared


_UNPREPARED = {"sigma": 0.0, "background_radius": 0.0, "median_radius": 0}
"""Settings without a step before the cut."""


def _working(step: Step) -> float:
    """Return the bytes per voxel of a block in work."""
    filtering = any(step.settings.get(name) for name in ("sigma", "median_radius", "background_radius"))
    return max(catalog.find(step.method).working, FILTERING if filtering else 0.0)


def label_bytes(step: Step) -> int:
    """Return the bytes of a label: numbers of objects are int32, classes uint8."""
    choice = next((p for p in catalog.find(step.method).settings if p.name == "one_per_object"), None)
    numbered = True if choice is None else step.settings.get(choice.name, choice.default)
    return NUMBER if numbered else 1  # a method without the choice always numbers
