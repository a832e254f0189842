"""The size of a voxel that a file says and its layer does not, as after a reader that drops it.  No Qt here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from .. import _tiff, catalog
from .._volume import UNITS
from ..recipe import Recipe
from ._layers import VoxelSize
from ._sources import source_of

__all__ = ["differs_in_file", "size_in_file"]

Layer = Any
"""A napari layer."""


def size_in_file(layer: Layer, ndim: int) -> VoxelSize | None:
    """Return how large the file of a layer says that a voxel is; only its tags are read, once.

    Parameters
    ----------
    layer : napari layer
        What was opened, by any reader.
    ndim : int
        How many axes of it are lengths in space, 2 or 3.

    Returns
    -------
    VoxelSize or None
        None where the file is no TIFF, says nothing, or the layer no longer holds its voxels.
    """
    return _in_file(source_of(layer).path, ndim)


def differs_in_file(metadata: Mapping[str, Any]) -> bool:
    """Tell whether a recipe counts in voxels only as long as its layer is open, since its file says their size.

    Parameters
    ----------
    metadata : mapping
        What this plugin keeps with the layer that ran it.
    """
    steps = Recipe.from_json(metadata["recipe"]).steps
    taking = [step for step in steps if any(p.name == "spacing" for p in catalog.find(step.method).settings)]
    if all("spacing" in step.settings for step in taking):
        return False
    sources = metadata.get("provenance", {}).get("sources", {}).values()
    return any(_in_file(str(source.get("path", "")), 2) is not None for source in sources)


def _in_file(path: str, ndim: int) -> VoxelSize | None:
    file = Path(path)
    if file.suffix.lower() not in (".tif", ".tiff"):
        return None
    try:
        lengths, unit = _sizes(path, file.stat().st_mtime_ns)
    except OSError:  # it is gone, or none of this machine
        return None
    return VoxelSize(lengths[-ndim:], unit) if len(lengths) >= ndim else None


@lru_cache(maxsize=64)
def _sizes(path: str, _changed: int) -> tuple[tuple[float, ...], str]:
    """Return the lengths along (z,) y, x and the symbol of their unit; none where the file does not say them."""
    try:
        lengths, unit = _tiff.voxel_lengths(Path(path))
    except Exception:  # whoever runs on the file is told what is wrong with it
        return (), ""
    return lengths, UNITS[unit][0] if unit else ""
