"""What Evaluate reads off layers: whether they can be compared, how much is painted, where all is annotated.  No Qt."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..evaluation._annotation import Unpainted, unpainted_guess
from . import _layers
from ._extent import outline_of
from ._request import Problem

__all__ = ["Painted", "is_numbered", "painted", "problems", "zone_of"]

Layer = Any
"""A napari layer."""

MAX_SAMPLED = 2**22
"""Voxels that the painted share is read from; a larger truth is sampled on a grid."""


def is_numbered(layer: Layer) -> bool:
    """Tell whether a method of ours made the labels of a layer, and numbered objects: it gives classes in uint8."""
    ours = layer.metadata.get("napari_cutout", {})
    return "recipe" in ours and np.dtype(_layers.level_zero(layer).dtype) == np.int32


@dataclass(frozen=True, slots=True)
class Painted:
    """How much of an annotation is painted.

    Parameters
    ----------
    share : float
        Of all voxels, 0 to 1.
    n_labels : int
        How many labels besides 0.
    """

    share: float
    n_labels: int

    @property
    def guess(self) -> Unpainted:
        """What label 0 may mean."""
        return unpainted_guess(self.share, self.n_labels)

    def __str__(self) -> str:
        return f"{100 * self.share:.3g} % painted"


def painted(truth: Layer) -> Painted | None:
    """Look at a grid of voxels of an annotation, or at the coarsest level of a pyramid.

    Parameters
    ----------
    truth : napari Labels layer
        The annotation.

    Returns
    -------
    Painted or None
        None if it lies on disk and is too large to be read while the window waits.
    """
    array = truth.data[-1] if truth.multiscale else truth.data
    if not isinstance(array, np.ndarray) and math.prod(array.shape) > MAX_SAMPLED:
        return None
    step = max(1, math.ceil((math.prod(array.shape) / MAX_SAMPLED) ** (1 / array.ndim)))
    sample = np.asarray(array[(slice(None, None, step),) * array.ndim])
    share = np.count_nonzero(sample) / max(sample.size, 1)
    return Painted(share, int(np.count_nonzero(np.unique(sample))))


def problems(predicted: Layer | None, truth: Layer | None, complete: Layer | None = None) -> tuple[Problem, ...]:
    """Say why two layers cannot be compared, or not inside a third.

    Parameters
    ----------
    predicted, truth : napari Labels layer or None
        What is chosen.
    complete : napari Shapes or Labels layer or None
        Where every object is annotated, if that was chosen.

    Returns
    -------
    tuple of Problem
        Empty if they can.
    """
    chosen = {"predicted": predicted, "truth": truth}
    missing = [
        Problem(name, f"there is no Labels layer to use as {name}; {way_out}")
        for name, way_out in (("predicted", "run a method first"), ("truth", "open or paint an annotation"))
        if chosen[name] is None
    ]
    if missing:
        return tuple(missing)
    return _pair_problem(predicted, truth) or _zone_problem(complete, predicted)


def _pair_problem(predicted: Layer, truth: Layer) -> tuple[Problem, ...]:
    if predicted is truth:
        return (Problem("truth", f"predicted and truth are both '{truth.name}'; choose two different layers"),)
    shapes = [tuple(_layers.level_zero(layer).shape) for layer in (predicted, truth)]
    if shapes[0] != shapes[1]:
        text = f"truth must have the shape of predicted, {shapes[0]}, but has {shapes[1]}; crop or resample it"
        return (Problem("truth", text),)
    if not _layers.same_place(predicted, truth):
        text = (
            f"truth has the scale {_layers.spacing(truth)} or lies elsewhere than predicted with "
            f"{_layers.spacing(predicted)}; press the button below if they are of one image"
        )
        return (Problem("truth", text),)
    return ()


def _zone_problem(complete: Layer | None, predicted: Layer) -> tuple[Problem, ...]:
    if complete is None:
        return ()
    if is_drawn(complete):
        empty = f"'{complete.name}' has no rectangle, polygon or ellipse; draw one around what is annotated completely"
        return () if outline_of(complete, predicted) else (Problem("complete", empty),)
    shapes = [tuple(_layers.level_zero(layer).shape) for layer in (predicted, complete)]
    if shapes[0] == shapes[1] and _layers.same_place(predicted, complete):
        return ()
    text = f"'{complete.name}' does not lie on predicted, voxel on voxel; draw the region in a layer that does"
    return (Problem("complete", text),)


def is_drawn(layer: Layer) -> bool:
    """Tell whether a layer holds shapes rather than voxels."""
    from napari.layers import Shapes

    return isinstance(layer, Shapes)


def zone_of(complete: Layer, predicted: Layer) -> Callable[[], Any]:
    """Read where a layer marks the voxels of another; drawing it is left to whoever needs it, in another thread.

    Parameters
    ----------
    complete : napari Shapes or Labels layer
        Shapes mark what lies inside them, in every slice; labels mark what is not 0.
    predicted : napari Labels layer
        The layer whose voxels are asked for.

    Returns
    -------
    callable
        Returns a bool array of the shape of `predicted`: in memory, a view of one plane, or lazy where labels are.
    """
    if not is_drawn(complete):
        return partial(_marked, _layers.copy_of(complete))
    shape = tuple(_layers.level_zero(predicted).shape)
    outline = outline_of(complete, predicted)
    if outline is None:
        return partial(np.zeros, shape, bool)
    return partial(outline.mask, shape, (1.0,) * len(shape))


def _marked(labels: Any) -> Any:
    if isinstance(labels, np.ndarray):
        return labels != 0
    import dask.array as da

    return (labels if isinstance(labels, da.Array) else da.from_array(labels)) != 0
