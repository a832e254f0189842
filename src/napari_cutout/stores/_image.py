"""Images in stores: opened, and nothing read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._volume import Volume
from ._checked import CheckedArray
from ._place import Place

__all__ = ["Image", "Level", "open_image"]


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """A level of a pyramid: its array, and how it lies; `factors` are how much coarser than level 0 it is."""

    array: CheckedArray
    factors: tuple[float, ...]
    scale: tuple[float, ...]
    translation: tuple[float, ...] | None
    name: str = "0"


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """An image or labels in a store. `axes` are those of the arrays."""

    place: Place
    axes: str
    levels: tuple[Level, ...]
    spacing: tuple[float, ...] | None
    units: str | None
    origin: tuple[float, ...] | None
    version: str
    name: str
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Where it is, without credentials."""
        return self.place.shown

    def volume(self, level: int = 0) -> Volume:
        """Return a level as a volume with a dask array, of which nothing is read yet."""
        raise NotImplementedError


def open_image(path: str | os.PathLike[str] | Place, *, storage_options: Mapping[str, Any] | None = None) -> Image:
    """Open an OME-Zarr image or labels, or a Zarr array, and read no voxel."""
    raise NotImplementedError
