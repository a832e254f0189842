"""What the plot of scores per slice draws, and where in the viewer a slice lies.  No Qt here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..evaluation.slices import SliceEvaluation

__all__ = ["MEAN", "N_WORST", "Curves", "axis_names", "curves", "go_to", "here", "stepped"]

Layer = Any
"""A napari layer."""

MEAN = -1
"""Stands for the mean of the classes where a class is asked for."""

N_WORST = 3
"""How many slices stand out."""


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Scores along an axis, ready to be drawn.

    Parameters
    ----------
    iou, dice : float64 array of shape (n_slices,)
        NaN where a slice has no score.
    worst : tuple of int
        The slices with the lowest IoU, from the lowest up; empty where all are alike.
    """

    iou: NDArray[np.float64]
    dice: NDArray[np.float64]
    worst: tuple[int, ...]


def curves(found: SliceEvaluation, label: int = MEAN) -> Curves:
    """Return the curves of one class, or of the mean of all.

    Parameters
    ----------
    found : SliceEvaluation
        The scores along an axis.
    label : int
        A class, or `MEAN`.

    Returns
    -------
    Curves
        With the worst slices: at most `N_WORST`, each below the median, of equals the first.
    """
    if label == MEAN:
        iou, dice = found.mean_iou, found.mean_dice
    else:
        at = found.classes.tolist().index(label)
        iou, dice = found.iou[:, at], found.dice[:, at]
    known = np.flatnonzero(~np.isnan(iou))
    low = known[iou[known] < np.median(iou[known])] if len(known) else known
    worst = low[np.argsort(iou[low], kind="stable")][:N_WORST]
    return Curves(iou, dice, tuple(worst.tolist()))


def stepped(found: Curves, at: int, step: int) -> int:
    """Return the slice that is `step` away, inside the axis."""
    return int(np.clip(at + step, 0, len(found.iou) - 1))


def axis_names(layer: Layer) -> list[str]:
    """Return what to call the axes of a layer: their labels, or their numbers where nobody named them.

    Parameters
    ----------
    layer : napari layer
        A Labels layer.

    Returns
    -------
    list of str
        One for each axis. Axes are numbered from 0, as in Python; napari's own names count from the last.
    """
    given = enumerate(str(label) for label in layer.axis_labels)
    return [f"axis {at}" if label in ("", str(at - layer.ndim)) else label for at, label in given]


def here(viewer: Any, layer: Layer, axis: int) -> int | None:
    """Return which slice of a layer the viewer shows.

    Parameters
    ----------
    viewer : napari viewer
        Where it is shown.
    layer : napari layer
        The layer.
    axis : int
        The axis of the layer that the slices lie along.

    Returns
    -------
    int or None
        None if the axis lies in the plane that is shown, or the slice beside the layer.
    """
    if viewer.dims.ndim - layer.ndim + axis in viewer.dims.displayed:
        return None
    at = int(np.rint(layer.world_to_data(viewer.dims.point)[axis]))
    return at if 0 <= at < _shape(layer)[axis] else None


def go_to(viewer: Any, layer: Layer, axis: int, at: int) -> None:
    """Show one slice of a layer; an axis that lies in the plane that is shown changes places with one that does not.

    Parameters
    ----------
    viewer : napari viewer
        Where to show it.
    layer : napari layer
        The layer.
    axis : int
        The axis of the layer that the slices lie along.
    at : int
        Which slice.
    """
    dims = viewer.dims
    behind = dims.ndim - layer.ndim + axis
    if behind in dims.displayed:
        dims.ndisplay = 2
    if behind in dims.displayed:
        order = list(dims.order)
        mine, free = order.index(behind), dims.ndim - 3
        order[mine], order[free] = order[free], order[mine]
        dims.order = tuple(order)
    point = np.asarray(layer.world_to_data(dims.point))
    shape = np.asarray(_shape(layer))
    point = np.clip(point, 0, shape - 1)  # the view may lie beside the layer along other axes
    point[axis] = at
    world = layer.data_to_world(point)
    hidden = [a for a in dims.not_displayed if a >= dims.ndim - layer.ndim]
    dims.set_point(hidden, [float(world[a - dims.ndim + layer.ndim]) for a in hidden])


def _shape(layer: Layer) -> Sequence[int]:
    data = layer.data[0] if layer.multiscale else layer.data
    return tuple(data.shape[: layer.ndim])
