"""What *Try all* runs on and what it shows of it, as plain data and functions.  No Qt here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from .._device import Asked
from .._selection import Selection
from ..comparison._given import grey_plane
from ..comparison.try_all import MAX_VOXELS, Side, Trial, plane_of_view, try_all
from ..recipe import Recipe
from . import _layers
from ._extent import extent_of
from ._target import Choice, Target, axes_of, levels_of, spatial, target
from ._thumbnails import RGB, ground, outlined

__all__ = ["Question", "Tried", "question_of"]

Layer = Any
"""A napari layer."""


@dataclass(frozen=True, slots=True, eq=False)
class Tried:
    """What is kept of a trial: a small picture and numbers, no labels.

    Parameters
    ----------
    name : str
        What the method is called.
    recipe : Recipe
        What ran.
    picture : uint8 array of shape (height, width, 3), or None
        At most `_thumbnails.EDGE` pixels along an edge; None where it failed.
    n_objects : int
        How many objects there are in what is in view.
    share : float
        How much of it they cover, 0 to 1.
    like : str
        The first method that gave the same; empty if none did.
    error : str
        Why it failed; empty where it did not.
    """

    name: str
    recipe: Recipe
    picture: RGB | None
    n_objects: int
    share: float
    like: str
    error: str


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What a press on *Try all* asks: the layer was read when it was pressed.

    Parameters
    ----------
    array : array
        The image, or a level of it.
    selection : Selection
        The plane that is in view.
    spacing : tuple of float or None
        World lengths of a pixel, if they are known.
    objects : {"bright", "dark"} or None
        What is looked for.
    device : {"auto", "cpu", "gpu"}
        Where to run.
    said : str
        What is run on, in words.
    """

    array: Any
    selection: Selection
    spacing: tuple[float, ...] | None
    objects: Side | None
    device: Asked
    said: str

    def answer(self, on_progress: Callable[[str, float], None], is_cancelled: Callable[[], bool]) -> Iterator[Tried]:
        """Run the methods; call it in a thread of its own.

        Yields
        ------
        Tried
            As methods finish, the quickest first.

        Raises
        ------
        Cancelled
            If `is_cancelled` returned True.
        """
        first = (0,) * (len(self.selection.kept_axes) - 2)
        grey = ground(grey_plane(self.array, self.selection, first))
        for trial in try_all(
            self.array,
            objects=self.objects,
            spacing=self.spacing,
            selection=self.selection,
            device=self.device,
            on_progress=on_progress,
            is_cancelled=is_cancelled,
        ):
            yield _kept(trial, grey)


def _kept(trial: Trial, grey: RGB) -> Tried:
    picture = None if trial.labels is None else outlined(grey, trial.labels, trial.is_object)
    return Tried(trial.name, trial.recipe, picture, trial.n_objects, trial.share, trial.like, trial.error)


def question_of(viewer: Any, layer: Layer, choice: Choice, objects: Side | None, device: Asked = "auto") -> Question:
    """Read off what is in view.

    Parameters
    ----------
    viewer : napari viewer or ViewerModel
        What is shown.
    layer : napari Image layer
        What is cut.
    choice : Choice
        Its axes and channel.
    objects : {"bright", "dark"} or None
        What is looked for.
    device : {"auto", "cpu", "gpu"}
        Where to run.

    Returns
    -------
    Question
        The part of the slice that the window shows, on the finest level where it is not too large; else its middle.

    Raises
    ------
    ValueError
        If the axes are not named, or nothing of the layer is in view.
    """
    shown = replace(choice, depth="this", time="this", level=0)
    extent = extent_of(viewer, layer, axes_of(shown.letters), "view")
    aim, last = target(layer, shown, extent), len(levels_of(layer)) - 1
    while math.prod(aim.result_shape) > MAX_VOXELS and shown.level < last:
        shown = replace(shown, level=shown.level + 1)
        aim = target(layer, shown, extent)
    selection = plane_of_view(tuple(aim.array.shape), aim.selection)
    known = _layers.has_voxel_size(layer, spatial(shown.letters))
    spacing, said = aim.run_spacing if known else None, _said(aim, selection)
    return Question(aim.array, selection, spacing, objects, device, said)


def _said(aim: Target, taken: Selection) -> str:
    """Say which part of the image is run on."""
    *others, rows, columns = taken.box
    cropped = aim.result_shape[-2:] != taken.shape(tuple(aim.array.shape))[-2:]
    at = ", ".join(f"{axis} = {low}" for axis, (low, _) in zip(taken.kept_axes, others, strict=False))
    shape = f"{rows[1] - rows[0]} × {columns[1] - columns[0]} pixels"  # noqa: RUF001
    cut = "the middle of what is in view" if cropped else "what is in view"
    level = f", on level {taken.level}" if taken.level else ""
    volume = "; approximate for the whole: only this slice is looked at" if others else ""
    return f"{cut}{f' at {at}' if at else ''}: {shape}{level}{volume}"
