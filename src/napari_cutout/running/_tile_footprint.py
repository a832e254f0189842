"""How much memory the tiles of a run need, on the CPU and on a GPU, before it runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .. import catalog
from ..recipe import Recipe, Step
from ._footprint import label_bytes

__all__ = ["DEVICE_FIXED", "TileNeed", "device_footprint", "needs"]

TIDYING = 12.5
"""Bytes per voxel of a tile whose objects are found: its mask, their numbers, and what tells the neighbours."""

TIDYING_DRIVER = 40.0
"""Bytes per voxel of the faces between tiles, while objects that cross them are joined."""

DEVICE_FIXED = 200 << 20
"""Bytes of GPU memory that a run takes whatever its size: private copies of a histogram of 65,536 bins."""

POOL = 4 / 3
"""GPU memory that is held for what is used: CuPy's pool keeps blocks of other sizes."""


@dataclass(frozen=True, slots=True)
class TileNeed:
    """What a step takes of the memory while tiles are at work; a test holds it.

    Parameters
    ----------
    per_voxel : float
        Bytes of host memory for every voxel of a tile and of its halo, what is read included.
    reach : int
        Voxels that are read around a tile, at most.
    own : int
        Voxels of the tiles that a method chooses itself, whatever those of the run are; 0 if it takes these.
    per_face : float
        Bytes that the driver holds for every voxel of the faces between tiles.
    on_device : float
        Bytes of GPU memory for every voxel of a tile and of its halo.
    """

    per_voxel: float
    reach: int
    own: int
    per_face: float
    on_device: float

    def voxels(self, shape: Sequence[int], tile: Sequence[int]) -> int:
        """Return how many voxels one tile at work has, its halo included."""
        run = math.prod(min(e + 2 * self.reach, n) for e, n in zip(tile, shape, strict=True))
        return max(run, min(self.own, math.prod(shape)))


def needs(
    recipe: Recipe, shape: Sequence[int], itemsize: int, others: Sequence[int] = (), n_channels: int = 1
) -> list[TileNeed]:
    """Return what each step of a recipe takes while tiles are at work.

    Parameters
    ----------
    recipe : Recipe
        What will run.
    shape : sequence of int
        Voxels along each axis that a method sees.
    itemsize : int
        Bytes of a voxel of the image.
    others : sequence of int
        Bytes of a voxel of the other inputs.
    n_channels : int
        Channels that a method sees at a time.

    Returns
    -------
    list of TileNeed
        One for each step; they are at work one after the other.
    """
    read = float(itemsize * n_channels + sum(others))
    n_voxels = math.prod(shape)
    kept = 0.0
    found = []
    for step in recipe.steps:
        entry = catalog.find(step.method)
        found.append(
            TileNeed(
                read + kept + _of_tile(step, itemsize, n_voxels, n_channels),
                _reach(step),
                entry.tile_voxels,
                max(entry.driver_memory, TIDYING_DRIVER if _tidies(step) else 0.0),
                read + kept + POOL * _on_device(step, n_channels),
            )
        )
        kept += label_bytes(step)
    return found


def _of_tile(step: Step, itemsize: int, n_voxels: int, n_channels: int) -> float:
    """Return the bytes per voxel of a step in a tile, beyond what it reads."""
    entry = catalog.find(step.method)
    working = 8.0 if itemsize > 4 else 4.0
    preparing = max(
        3.0 * working if step.settings.get("sigma") else 0.0,
        3.5 * working if step.settings.get("background_radius") else 0.0,
        float(itemsize) if step.settings.get("median_radius") else 0.0,
    )
    declared = entry.tile_memory
    seen = min(n_voxels, entry.tile_voxels or n_voxels)
    cut = declared(step.complete_settings, seen, n_channels) if callable(declared) else declared
    if cut is None:
        cut = 3.0 if itemsize >= 4 else 1.25
    held = working * n_channels if step.settings.get("sigma") else 0.0
    return max(preparing + working * (n_channels - 1) * bool(preparing), cut + held, TIDYING if _tidies(step) else 0.0)


def _tidies(step: Step) -> bool:
    """Tell whether objects are looked for after the cut."""
    wanted = step.settings
    return bool(
        wanted.get("fill_holes")
        or wanted.get("clear_border")
        or (wanted.get("min_size") or 0) > 1
        or wanted.get("one_per_object")
    )


def _reach(step: Step) -> int:
    """Return how far the neighbourhood of a voxel reaches, in edges of the smallest voxel."""
    settings = step.complete_settings
    scales: list[float] = [settings.get("sigma") or 0.0, *(settings.get("scales") or ())]
    around = float(settings.get("median_radius") or 0) + 2.0 * float(settings.get("background_radius") or 0)
    return 1 + math.ceil(4.0 * max(scales) + around + float(settings.get("window") or 0) / 2)


def _on_device(step: Step, n_channels: int) -> float:
    """Return the bytes of GPU memory per voxel of a step, beyond what it reads: measured on an H200."""
    smoothing = step.settings.get("sigma") or step.settings.get("background_radius")
    cut = catalog.find(step.method).device_memory + (4.0 * n_channels if smoothing else 0.0)
    tidying = 37.0 if _tidies(step) else 0.0
    return max(cut, 32.0 if smoothing else 0.0, 12.0 if step.settings.get("median_radius") else 0.0, tidying)


def device_footprint(
    recipe: Recipe, n_voxels: int, itemsize: int, others: Sequence[int] = (), n_channels: int = 1
) -> int:
    """Return how many bytes of GPU memory a whole run needs at its peak, its inputs included.

    Parameters
    ----------
    recipe : Recipe
        What will run.
    n_voxels : int
        Voxels that a method sees at a time.
    itemsize : int
        Bytes of a voxel of the image.
    others : sequence of int
        Bytes of a voxel of the other inputs.
    n_channels : int
        Channels that a method sees at a time.
    """
    steps = needs(recipe, (n_voxels,), itemsize, others, n_channels)
    return DEVICE_FIXED + int(n_voxels * max(need.on_device for need in steps))
