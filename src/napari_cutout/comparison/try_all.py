"""What every method makes of one plane of an image, without an annotation: to look at, and to choose from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .. import catalog
from .._device import Asked
from .._monitor import Cancelled
from .._selection import Selection
from ..recipe import Recipe
from ..running._execute import execute
from ._contestants import kind_of
from ._cuts import Cut, cuts

__all__ = ["ALIKE", "MAX_VOXELS", "Trial", "plane_of_view", "try_all"]

ERRORS = (ValueError, TypeError, OSError, MemoryError, ArithmeticError)
"""What bad settings and a full machine raise."""

Side = Literal["bright", "dark"]
"""What objects are, beside what is around them."""

MAX_VOXELS = 1 << 20
"""Pixels of the plane that methods run on; of a larger one the middle is taken, so that all are done in seconds."""

ALIKE = 0.99
"""The Dice from which on two results look the same."""

SAME_COUNT = 0.05
"""By how much the numbers of objects of two results that look the same may differ, as a share of the larger one."""

N_CLASSES = 2
"""Classes that voxels are sorted into: objects and the rest."""


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """What one method made of the plane.

    Parameters
    ----------
    name : str
        What it is called, such as ``"threshold li"``.
    recipe : Recipe
        What ran, with the selection of the plane.
    labels : 2-D array of int, optional
        What it gave; None where it failed.
    is_object : 2-D array of bool, optional
        Where it sees objects: labels that are not 0, or all classes but that of the background.
    n_objects : int
        How many there are: its own numbers, or pieces that are connected along edges.
    share : float
        How much of the plane objects cover, 0 to 1.
    like : str
        The name of the first method before it that gave the same; empty if none did.
    error : str
        Why it failed; empty where it did not.
    """

    name: str
    recipe: Recipe
    labels: NDArray[Any] | None = None
    is_object: NDArray[np.bool_] | None = None
    n_objects: int = 0
    share: float = math.nan
    like: str = ""
    error: str = ""

    def __iter__(self) -> Iterator[Any]:
        """Give name, recipe and labels, so that a loop can take it apart."""
        return iter((self.name, self.recipe, self.labels))


def try_all(
    image: Any,
    *,
    objects: Side | None = None,
    spacing: Sequence[float] | None = None,
    selection: Selection | None = None,
    max_voxels: int = MAX_VOXELS,
    device: Asked = "auto",
    on_progress: Callable[[str, float], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> Iterator[Trial]:
    """See what every method makes of your image, without annotating anything.

    Parameters
    ----------
    image : array
        Grey levels of shape ([Z,] Y, X), or what `selection` is of.
    objects : {"bright", "dark"}, optional
        What is looked for; by default the side of Otsu's threshold that covers less.
    spacing : sequence of float, optional
        World length of a voxel along each axis of what is run on.
    selection : Selection, optional
        Which plane, channel and part of the image. Of several planes the middle one is taken.
    max_voxels : int
        Pixels of the plane that are run on, from 1; of a larger one the middle is taken.
    device : {"auto", "cpu", "gpu"}
        Where to run.
    on_progress : callable, optional
        Called with the name of a method and the fraction of all that are done, 0 to 1.
    is_cancelled : callable, optional
        Polled while methods run.

    Returns
    -------
    iterator of Trial
        Name, recipe and labels of each method that needs neither strokes nor a grey level, the quickest first, as they
        finish. One that failed says why.

    Raises
    ------
    ValueError
        If the image has another number of axes than the selection, or `objects` or `max_voxels` is out of range.
    TypeError
        If `image` is no array.
    Cancelled
        If `is_cancelled` returned True.

    Notes
    -----
    The plane only is read. A method that looks at a whole volume gives other labels there, so what is counted here is
    approximate for a volume. Two results are alike if the Dice of where they see objects is at least 0.99, and where
    both number objects, their numbers differ by at most 5 %.

    Deterministic. Memory: that of the methods on at most `max_voxels` pixels, and one byte for each pixel and method.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.zeros((32, 32), np.uint8)
    >>> image[4:12, 4:12] = image[18:28, 15:27] = 200
    >>> name, recipe, labels = next(try_all(image))
    >>> name, recipe.steps[0].method, int(labels.sum())
    ('threshold otsu', 'threshold', 184)
    """
    if objects not in (None, "bright", "dark"):
        raise ValueError(f"objects must be 'bright' or 'dark', or None to find out, got {objects!r}")
    if not hasattr(image, "shape"):
        raise TypeError(f"image must be an array, got {type(image).__name__}; convert it with numpy.asarray")
    seen = plane_of_view(tuple(image.shape), selection, max_voxels)
    plane = _Plane(image, seen, None if spacing is None else tuple(spacing)[-2:], device, is_cancelled)
    return _trials(plane, objects or plane.side(), on_progress)


def plane_of_view(shape: tuple[int, ...], selection: Selection | None, max_voxels: int = MAX_VOXELS) -> Selection:
    """Return the selection of one plane: the middle one of several, and the middle of one that is too large.

    Parameters
    ----------
    shape : tuple of int
        The shape of the image as it is stored.
    selection : Selection or None
        What of it is looked at; all by default.
    max_voxels : int
        Pixels that the plane may have, from 1.

    Returns
    -------
    Selection
        With a box of one index along all axes but y, x and c.

    Raises
    ------
    ValueError
        If the image has another number of axes than the selection, or `max_voxels` is below 1.
    """
    if max_voxels < 1:
        raise ValueError(f"max_voxels must be a whole number from 1, got {max_voxels!r}")
    if selection is None:
        if len(shape) not in (2, 3):
            raise ValueError(f"image must have 2 or 3 axes, got shape {shape}; say with `selection` what they are")
        selection = Selection("zyx"[-len(shape) :])
    *others, rows, columns = selection.bounds(shape)
    middle = [((low + high - 1) // 2, (low + high - 1) // 2 + 1) for low, high in others]
    shrink = min(1.0, math.sqrt(max_voxels / max((rows[1] - rows[0]) * (columns[1] - columns[0]), 1)))
    box = (*middle, _middle(*rows, shrink), _middle(*columns, shrink))
    each = "".join(axis for axis in selection.kept_axes if axis in "tz")
    return replace(selection, box=box, each=each, pooled=False)


def _middle(low: int, high: int, shrink: float) -> tuple[int, int]:
    n = max(1, int((high - low) * shrink))
    first = low + (high - low - n) // 2
    return first, first + n


@dataclass(frozen=True, slots=True, eq=False)
class _Plane:
    """What methods run on."""

    image: Any
    selection: Selection
    spacing: tuple[float, ...] | None
    device: Asked
    is_cancelled: Callable[[], bool] | None

    def labels_of(self, recipe: Recipe) -> NDArray[Any]:
        """Run a recipe, and return its labels without the axes of length 1."""
        found = execute(
            recipe,
            {"image": self.image},
            spacing=self.spacing,
            device=self.device,
            is_cancelled=self.is_cancelled,
        )
        return found.labels.reshape(found.labels.shape[-2:])

    def side(self) -> Side:
        """Say whether the smaller part of the image is the bright or the dark one."""
        otsu = next(cut for cut in cuts(None, "bright") if cut.method == "threshold")
        try:
            bright = self.labels_of(Recipe(otsu.steps({}), self.selection))
        except ERRORS:
            return "bright"
        return "dark" if 2 * np.count_nonzero(bright) > bright.size else "bright"


def _trials(plane: _Plane, objects: Side, on_progress: Callable[[str, float], None] | None) -> Iterator[Trial]:
    chosen = sorted((cut for cut in cuts(None, objects, n_classes=N_CLASSES) if _applies(cut)), key=_slowness)
    known: list[Trial] = []
    for number, cut in enumerate(chosen):
        if on_progress is not None:
            on_progress(cut.title, number / len(chosen))
        if plane.is_cancelled is not None and plane.is_cancelled():
            raise Cancelled("cancelled; nothing was changed")
        trial = _tried(plane, cut, objects)
        like = next((one.name for one in known if _alike(one, trial)), "")
        if not trial.error and not like:
            known.append(replace(trial, labels=None))  # where it sees objects is enough to compare with
        yield replace(trial, like=like)


def _applies(cut: Cut) -> bool:
    """Tell whether a method needs nothing but the image: neither strokes nor a grey level."""
    given = all(not p.required or p.name in cut.settings for p in catalog.find(cut.method).settings)
    return given and not cut.strokes


def _slowness(cut: Cut) -> int:
    """Return what comes first: one pass over grey levels, then windows, two steps, and features or neighbours."""
    if {"features", "smoothness"} & cut.settings.keys():
        return 3
    return 2 if cut.first is not None else int(cut.local)


def _tried(plane: _Plane, cut: Cut, objects: Side) -> Trial:
    recipe = Recipe(cut.steps({}), plane.selection)
    try:
        labels = plane.labels_of(recipe)
    except ERRORS as error:
        return Trial(cut.title, recipe, error=" ".join(str(error).split()) or type(error).__name__)
    where = _objects_in(labels, recipe, objects)
    n_objects = _n_labels(labels) if cut.first is not None else _n_pieces(where)
    return Trial(cut.title, recipe, labels, where, n_objects, float(where.mean()) if where.size else math.nan)


def _objects_in(labels: NDArray[Any], recipe: Recipe, objects: Side) -> NDArray[np.bool_]:
    """Return where there are objects: classes are numbered by rising mean, and the background is at the other end."""
    where: NDArray[np.bool_] = labels != 0
    if kind_of(recipe) == "classes" and where.any():
        background = labels[where].min() if objects == "bright" else labels.max()
        where &= labels != background
    return where


def _n_labels(labels: NDArray[Any]) -> int:
    found = np.unique(labels)
    return int(np.count_nonzero(found))


def _n_pieces(where: NDArray[np.bool_]) -> int:
    from scipy import ndimage

    return int(ndimage.label(where)[1])


def _alike(one: Trial, other: Trial) -> bool:
    """Tell whether two results look the same."""
    if one.is_object is None or other.is_object is None:
        return False
    numbered = len(one.recipe.steps) > 1
    if numbered != (len(other.recipe.steps) > 1):
        return False
    most = max(one.n_objects, other.n_objects)
    if numbered and abs(one.n_objects - other.n_objects) > SAME_COUNT * most:
        return False
    both = 2 * np.count_nonzero(one.is_object & other.is_object)
    whole = np.count_nonzero(one.is_object) + np.count_nonzero(other.is_object)
    return bool(both >= ALIKE * whole)
