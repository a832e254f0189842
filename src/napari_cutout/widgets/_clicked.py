"""Where a click lands in a Labels layer, in a slice or in 3-D.  No Qt here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ._layers import is_preview, ours
from ._target import run_letters

__all__ = ["Clicked", "clicked_at", "frame_of", "problem_of"]

Layer = Any
"""A napari layer."""


@dataclass(frozen=True, slots=True)
class Clicked:
    """A place in the data of a layer.

    Parameters
    ----------
    place : tuple of float
        An index of the data.
    label : int
        What is there; 0 for the background and beside the data.
    frame : tuple of int
        The index along those first axes that are edited one frame at a time.
    """

    place: tuple[float, ...]
    label: int
    frame: tuple[int, ...]

    @property
    def inner_exact(self) -> tuple[float, ...]:
        """The place in the frame."""
        return self.place[len(self.frame) :]

    @property
    def inner(self) -> tuple[int, ...]:
        """The voxel in the frame."""
        return tuple(round(at) for at in self.inner_exact)


def problem_of(layer: Layer | None) -> str:
    """Say why a layer cannot be edited by clicks, or return an empty string.

    Parameters
    ----------
    layer : napari layer or None
        The selected layer.
    """
    if layer is None or not hasattr(layer, "data_setitem") or is_preview(layer):
        return "select the Labels layer that is to be edited, in the list of layers"
    if layer.multiscale or not isinstance(layer.data, np.ndarray):
        stored = "are in a store" if ours(layer).get("store") or layer.multiscale else "are read piece by piece"
        return (
            f"the labels of '{layer.name}' {stored}, and are not changed in place; copy a part out with Edit this "
            "region, edit the copy, and write it back"
        )
    if not layer.editable:
        return f"'{layer.name}' is locked; unlock it in the list of layers"
    return ""


def frame_of(layer: Layer) -> tuple[int, ...]:
    """Return the axes of a layer that are edited one frame at a time: those of time, and all before the last three."""
    recipe = run_letters(layer) or "-" * layer.ndim
    timed = [at for at, label in enumerate(layer.axis_labels) if label == "t" or recipe[at] == "t"]
    last = max([*timed, layer.ndim - 4])
    return tuple(range(last + 1))


def clicked_at(layer: Layer, event: Any) -> Clicked | None:
    """Return what a mouse event points at.

    Parameters
    ----------
    layer : napari Labels layer
        In memory.
    event : napari mouse event
        With its position in the world, and the direction of the view in 3-D.

    Returns
    -------
    Clicked or None
        In 3-D the first voxel of an object on the line of sight. None if there is none, or the frame is none.
    """
    place = _place_in_3d(layer, event) if len(event.dims_displayed) == 3 else layer.world_to_data(event.position)
    if place is None:
        return None
    place = tuple(float(at) for at in place)
    voxel = tuple(round(at) for at in place)
    inside = all(0 <= at < n for at, n in zip(voxel, layer.data.shape, strict=True))
    frames = frame_of(layer)
    if not all(0 <= voxel[at] < layer.data.shape[at] for at in frames):
        return None
    return Clicked(place, int(layer.data[voxel]) if inside else 0, tuple(voxel[at] for at in frames))


def _place_in_3d(layer: Layer, event: Any) -> Any:
    """Return the first voxel of an object on the line of sight."""
    more = len(event.position) - layer.ndim  # axes of the viewer that the layer does not have
    start, stop = layer.get_ray_intersections(
        position=tuple(event.position)[more:],
        view_direction=np.asarray(event.view_direction)[more:],
        dims_displayed=[axis - more for axis in event.dims_displayed],
        world=True,
    )
    if start is None or stop is None:
        return None
    start, stop = np.asarray(start, dtype=float), np.asarray(stop, dtype=float)
    n = int(np.ceil(np.abs(stop - start).max() * 4)) + 1
    steps = start + np.linspace(0, 1, n)[:, None] * (stop - start)
    voxels = np.clip(np.rint(steps).astype(int), 0, np.array(layer.data.shape) - 1)
    hit = np.flatnonzero(layer.data[tuple(voxels.T)])
    return voxels[hit[0]] if len(hit) else None
