"""What a run is to work on: which axes mean what, which channel, level and region, and where its labels lie.  No Qt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal
from weakref import WeakKeyDictionary

import numpy as np

from .._selection import Selection
from .._volume import axis_letter
from ..recipe import Recipe
from . import _layers

__all__ = [
    "ASKED",
    "Choice",
    "Extent",
    "Outline",
    "Target",
    "Unfit",
    "axes_of",
    "factors",
    "levels_of",
    "n_channels",
    "recalled",
    "remember",
    "run_letters",
    "smaller_choices",
    "spatial",
    "taken_by",
    "target",
    "target_of",
]

Layer = Any
"""A napari layer."""

ASKED = "?"
"""The letter of an axis that nobody has named yet."""


class Unfit(ValueError):
    """What was chosen cannot be run on.

    Parameters
    ----------
    field : {"axes", "time", "region"}
        The row that says so.
    sentence : str
        What is wrong and what to do.
    """

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True, slots=True)
class Choice:
    """What the rows below the image say.

    Parameters
    ----------
    letters : str
        One letter per axis of the array; `ASKED` where nobody has said what it is.
    depth : {"together", "each", "this"}
        The whole volume at once, slice by slice, or the slice that is shown.
    time : {"", "each", "pooled", "this"}
        Frame by frame, the same with statistics of all frames, or the frame that is shown; empty if not asked yet.
    channel : int, "grey" or "all"
        Which channel, where there are some; ``"all"`` only in what `taken_by` returns.
    level : int
        Level of the pyramid.
    together : bool
        Whether methods that take channels take all of them instead.
    linked : bool
        Whether objects of frames or slices that are run one by one are linked by overlap; else numbered on and on.
    """

    letters: str = "yx"
    depth: Literal["together", "each", "this"] = "together"
    time: Literal["", "each", "pooled", "this"] = ""
    channel: int | Literal["grey", "all"] = 0
    level: int = 0
    together: bool = True
    linked: bool = False

    @property
    def in_parts(self) -> bool:
        """Whether frames or slices are run one by one."""
        frames = "t" in self.letters and self.time in ("each", "pooled")
        return frames or ("z" in self.letters and self.depth == "each")


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """Closed outlines in one plane of an image; they go on unchanged along its other axes.

    Parameters
    ----------
    polygons : tuple of float arrays of shape (n, 2)
        Corners, as indices along the two axes, at full resolution.
    axes : (int, int)
        Which axes of all but c, rising.
    """

    polygons: tuple[Any, ...]
    axes: tuple[int, int]

    def mask(self, shape: Sequence[int], factor: Sequence[float]) -> Any:
        """Return True inside any of the outlines, for labels of this shape at a lower resolution.

        Parameters
        ----------
        shape : sequence of int
            The shape of labels at that level, without channels.
        factor : sequence of float
            How many voxels one voxel of that level spans along each axis.

        Returns
        -------
        bool array
            Of that shape; what lies beyond the plane is no copy.
        """
        plane = (shape[self.axes[0]], shape[self.axes[1]])
        steps = (factor[self.axes[0]], factor[self.axes[1]])
        inside = _inside(tuple(tuple(map(tuple, corners.tolist())) for corners in self.polygons), plane, steps)
        return np.broadcast_to(inside.reshape([n if at in self.axes else 1 for at, n in enumerate(shape)]), shape)


@lru_cache(maxsize=8)
def _inside(polygons: tuple[Any, ...], plane: tuple[int, int], steps: tuple[float, float]) -> Any:
    """Draw outlines; kept, so that a form that is read again and again draws them once."""
    from skimage.draw import polygon2mask

    inside = np.zeros(plane, bool)
    for corners in polygons:
        inside |= polygon2mask(plane, (np.array(corners) - (np.array(steps) - 1) / 2) / steps)
    return inside


@dataclass(frozen=True, slots=True)
class Extent:
    """What is shown, or drawn, of an image: along every axis but c, at full resolution.

    Parameters
    ----------
    point : tuple of int
        Index of what is shown, along each axis.
    box : sequence of (float, float), optional
        Where to look: start and stop along each axis; None for all.
    outline : Outline, optional
        Where inside the box to look, if it is no box.
    """

    point: tuple[int, ...]
    box: tuple[tuple[float, float], ...] | None = None
    outline: Outline | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What a run works on.

    Parameters
    ----------
    selection : Selection
        Which voxels, and which of them at a time.
    array : array
        The image at the selected level, as it is stored: NumPy, dask or zarr.
    shape : tuple of int
        The shape of a Labels layer on the whole image at this level.
    place : mapping
        What puts labels of that shape where the image lies, as arguments of a layer.
    result_place : mapping
        The same for the labels of the selection.
    spread : int, optional
        An axis of Labels layers that has length 1 and spans all channels. napari aligns layers by their last axes,
        so that channels can only be left out where they come first.
    spacing : tuple of float
        World length of a voxel at this level along every axis but c.
    factor : tuple of float
        How many voxels at full resolution one of this level spans, along every axis but c.
    """

    selection: Selection
    array: Any
    shape: tuple[int, ...]
    place: Mapping[str, Any] = field(compare=False)
    result_place: Mapping[str, Any] = field(compare=False)
    spread: int | None
    spacing: tuple[float, ...]
    factor: tuple[float, ...]

    @property
    def result_shape(self) -> tuple[int, ...]:
        """The shape of the labels."""
        return self.selection.shape(tuple(self.array.shape))

    def as_layer(self, labels: Any) -> Any:
        """Return labels of the selection with the axes of a layer."""
        return labels if self.spread is None else np.expand_dims(labels, self.spread)

    def as_input(self, array: Any) -> Any:
        """Return the array of a Labels layer without the axis that stands for all channels."""
        if self.spread is None:
            return array
        return array[tuple(0 if at == self.spread else slice(None) for at in range(array.ndim))]

    @property
    def run_spacing(self) -> tuple[float, ...]:
        """The world length of a voxel along the axes that the method sees."""
        kept = self.selection.kept_axes
        return tuple(s for axis, s in zip(kept, self.spacing, strict=True) if axis in self.selection.run_axes)

    @property
    def part_shape(self) -> tuple[int, ...]:
        """The shape of what the method sees at a time."""
        kept = self.selection.kept_axes
        sizes = zip(kept, self.result_shape, strict=True)
        return tuple(n for axis, n in sizes if axis in self.selection.run_axes)


# Axes -----------------------------------------------------------------------------------------------------


_CHOSEN: WeakKeyDictionary[Layer, Choice] = WeakKeyDictionary()
"""What the user chose for a layer, in any widget."""


def recalled(layer: Layer, *, frames: bool = False) -> Choice:
    """Return what was last chosen for a layer in any widget, else what its own description suggests.

    Parameters
    ----------
    layer : napari layer
        An Image or Labels layer.
    frames : bool
        Whether it is for a method that links frames: then the first axis is time unless something says otherwise.

    Returns
    -------
    Choice
        The axes as the run knew them that made the layer, frame by frame; else as the layer's labels name them, and no
        decision on frames; else y and x for the last two axes and z before them, and `ASKED` for each axis before
        those, which may be time or channels.
    """
    if layer in _CHOSEN and _fits(_CHOSEN[layer], layer):
        return _CHOSEN[layer]
    if letters := run_letters(layer):
        return Choice(letters, time="each" if "t" in letters else "")
    colour = "c" if getattr(layer, "rgb", False) else ""
    words = [axis_letter(label) for label in layer.axis_labels]
    named = all(words) and len(set(words)) == len(words) and words[-2:] == ["y", "x"]
    letters = "".join(words) if named else ASKED * (layer.ndim - 3) + "zyx"[-min(layer.ndim, 3) :]
    if frames and not named and layer.ndim in (3, 4):
        letters = "t" + letters[1:]
    if frames and "t" in letters:
        return Choice(letters, time="each")
    return Choice(letters + colour, channel="grey" if colour else 0)


def run_letters(layer: Layer) -> str:
    """Return the letters of a layer's axes as the run that made it knew them; empty if none says so.

    Parameters
    ----------
    layer : napari layer
        Of any kind; only what this plugin makes carries a recipe.
    """
    text = _layers.ours(layer).get("recipe", "")
    selection = _selection_in(text) if isinstance(text, str) and text else None
    if selection is None:
        return ""
    within = "c" in selection.axes[1:-1]  # of length 1, and spans all channels
    kept = [selection.kept_axes, *([selection.axes] if within else [])]
    return next((letters for letters in kept if len(letters) == layer.ndim), "")


@lru_cache(maxsize=64)
def _selection_in(text: str) -> Selection | None:
    """Read which voxels a recipe runs on, once for all the times that a form is looked at."""
    try:
        return Recipe.from_json(text).selection
    except (ValueError, TypeError, KeyError):
        return None


def _fits(choice: Choice, layer: Layer) -> bool:
    """Tell whether what was chosen still says something about a layer whose data may have been replaced."""
    shape = _layers.level_zero(layer).shape
    if len(choice.letters) != len(shape) or choice.level >= len(levels_of(layer)):
        return False
    one = isinstance(choice.channel, int) and "c" in choice.letters
    return not one or int(choice.channel) < shape[choice.letters.index("c")]


def remember(layer: Layer, choice: Choice) -> None:
    """Remember for all widgets what the user chose for a layer."""
    _CHOSEN[layer] = choice


def n_channels(layer: Layer, letters: str) -> int:
    """Return how many channels a layer has along the axis that these letters call c; 0 if none is."""
    at = letters.find("c")
    return int(_layers.level_zero(layer).shape[at]) if at >= 0 else 0


def taken_by(choice: Choice, layer: Layer, *, takes_channels: bool) -> Choice:
    """Return a choice as it is for one method.

    Parameters
    ----------
    choice : Choice
        What was chosen for a layer, for all methods.
    layer : napari layer
        The layer.
    takes_channels : bool
        Whether the method can look at all channels together.

    Returns
    -------
    Choice
        With all channels where there are several and they are wanted together, else with one.
    """
    together = takes_channels and choice.together and n_channels(layer, choice.letters) > 1
    return replace(choice, channel="all") if together else choice


def axes_of(letters: str) -> str:
    """Return the letters if they are the axes of an image.

    Raises
    ------
    Unfit
        If an axis has no name yet, or two have the same.
    """
    if ASKED in letters:
        at = letters.index(ASKED)
        raise Unfit("axes", f"axis {at} of {len(letters)} may be time, channels or slices; say which it is")
    twice = [axis for axis in letters if letters.count(axis) > 1]
    if twice:
        raise Unfit("axes", f"two axes are called {twice[0]!r} in {letters!r}; every axis needs a name of its own")
    return letters


def spatial(letters: str) -> list[int]:
    """Return which axes are lengths in space."""
    return [at for at, axis in enumerate(letters) if axis in "zyx"]


# From a choice to a target --------------------------------------------------------------------------------


def factors(shape: Sequence[int], smaller: Sequence[int]) -> tuple[float, ...]:
    """Return how many voxels of an image one voxel of a lower level spans, along each axis.

    A level of a pyramid is halved some number of times, and a last odd voxel is kept or dropped: where a whole
    number explains both shapes it is the factor, else their ratio.
    """
    found = []
    for n, m in zip(shape, smaller, strict=True):
        whole = max(1, round(n / m))
        fits = m in (math.ceil(n / whole), n // whole)
        found.append(float(whole) if fits else n / m)
    return tuple(found)


def levels_of(layer: Layer) -> list[Any]:
    """Return the arrays of a layer, from full resolution down; one if it is no pyramid."""
    return list(layer.data) if layer.multiscale else [layer.data]


def target(layer: Layer, choice: Choice, extent: Extent) -> Target:
    """Work out what a run works on.

    Parameters
    ----------
    layer : napari Image or Labels layer
        What is cut.
    choice : Choice
        What the rows below it say.
    extent : Extent
        What is shown of it, and the region if there is one.

    Returns
    -------
    Target
        With indices at the chosen level.

    Raises
    ------
    Unfit
        If an axis is not named yet, frames were not chosen, or the region lies beside the image.
    """
    axes = axes_of(choice.letters)
    if "t" in axes and not choice.time:
        raise Unfit(
            "time",
            "the image is a time series; say whether each frame is cut by itself, or all with the statistics of all",
        )
    arrays = levels_of(layer)
    level = min(choice.level, len(arrays) - 1)
    kept = [at for at, axis in enumerate(axes) if axis != "c"]
    shapes = [tuple(array.shape[at] for at in kept) for array in (arrays[0], arrays[level])]
    factor = factors(*shapes)
    box = _box(axes.replace("c", ""), choice, extent, shapes[1], factor)
    whole = all(ends == (0, n) for ends, n in zip(box, shapes[1], strict=True))
    each = ("t" if "t" in axes else "") + ("z" if "z" in axes and choice.depth != "together" else "")
    selection = Selection(
        axes,
        channel=choice.channel if "c" in axes else None,
        level=level,
        box=() if whole else box,
        each=each,
        pooled=choice.time == "pooled" and "t" in axes,
    )
    spread = axes.index("c") if "c" in axes[1:-1] and not getattr(layer, "rgb", False) else None
    in_layer = [at for at, axis in enumerate(axes) if axis != "c" or at == spread]
    place = _layers.placement(layer, in_layer)
    start, span, labels_shape = [first for first, _ in box], list(factor), list(shapes[1])
    lengths = _layers.spacing(layer)
    spacing = tuple(lengths[at] * f for at, f in zip(kept, factor, strict=True))
    if spread is not None:
        for values, value in ((start, 0), (span, arrays[0].shape[spread]), (labels_shape, 1)):
            values.insert(spread, value)
    return Target(
        selection,
        arrays[level],
        tuple(labels_shape),
        _layers.shifted(place, (0,) * len(start), span),
        _layers.shifted(place, start, span),
        spread,
        spacing,
        factor,
    )


def target_of(layer: Layer, choice: Choice, selection: Selection) -> Target:
    """Work out where the labels of a selection lie that was made before.

    Parameters
    ----------
    layer : napari Image or Labels layer
        What is cut.
    choice : Choice
        Which axes mean what.
    selection : Selection
        Which voxels, as a recipe keeps them.

    Returns
    -------
    Target
        As `target` returns it.

    Raises
    ------
    ValueError
        If they do not fit the layer.
    """
    time = choice.time or "each"
    aim = target(layer, replace(choice, level=selection.level, time=time), Extent((0,) * len(selection.kept_axes)))
    if len(selection.axes) != len(aim.array.shape):
        raise Unfit("axes", f"it ran on the axes {selection.axes!r}, and '{layer.name}' has others; choose its layer")
    start = [first for first, _ in selection.bounds(tuple(aim.array.shape))]
    if aim.spread is not None:
        start.insert(aim.spread, 0)
    place = _layers.shifted(aim.place, start, (1.0,) * len(start))
    return replace(aim, selection=selection, result_place=place)


def _box(
    axes: str, choice: Choice, extent: Extent, shape: tuple[int, ...], factor: tuple[float, ...]
) -> tuple[tuple[int, int], ...]:
    """Return first index and the one after the last along every axis but c, at the chosen level."""
    ends = []
    for at, (axis, n, f) in enumerate(zip(axes, shape, factor, strict=True)):
        this = (axis == "t" and choice.time == "this") or (axis == "z" and choice.depth == "this")
        if this:
            index = min(max(int(extent.point[at] / f), 0), n - 1)
            ends.append((index, index + 1))
        elif extent.box is None:
            ends.append((0, n))
        else:
            start, stop = extent.box[at]
            ends.append((max(math.floor(start / f), 0), min(math.ceil(stop / f), n)))
    for axis, (start, stop) in zip(axes, ends, strict=True):
        if stop <= start:
            raise Unfit("region", f"the region lies beside the image along {axis!r}; move it onto the image")
    return tuple(ends)


def smaller_choices(choice: Choice, n_levels: int) -> list[tuple[str, Choice]]:
    """Return what could be chosen instead that needs less memory, most image first, with a word for each."""
    found = []
    if "z" in choice.letters and choice.depth == "together":
        found.append(("each slice by itself", replace(choice, depth="each")))
    found += [(f"level {n}", replace(choice, level=n)) for n in range(choice.level + 1, n_levels)]
    return found
