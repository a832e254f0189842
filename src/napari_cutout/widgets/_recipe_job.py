"""A recipe on layers: whether it fits, what a run and a preview of it work on.  Plain data and functions, no Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .. import catalog
from .._array import to_numpy
from .._chain import Made, made
from .._device import Asked, size
from .._method import Param
from .._selection import Selection
from .._sources import Source
from ..recipe import Recipe, Step
from ..running._footprint import footprint
from ..running._linking import of_classes
from . import _layers
from ._channels import channel_problem, with_channels
from ._edited import edited
from ._layers import ours
from ._model_files import model_problem
from ._points import is_points, labels_of, points_note
from ._request import check_labels_layer
from ._sources import PAINTED
from ._target import ASKED, Target, levels_of, recalled, target_of

__all__ = [
    "Loaded",
    "Setup",
    "aim_of",
    "array_of",
    "chosen_on",
    "estimate",
    "from_file",
    "from_layer",
    "letters_of",
    "names_axes_of",
    "noticed",
    "others_of",
    "problems",
    "read",
]

Layer = Any
"""A napari layer."""

AT_ONCE = 2**26
"""Bytes of labels that are looked through while somebody waits for the steps that made them."""

_BY_HAND = "'{name}' was edited by hand since, which no step repeats"


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A recipe, and what is known of its inputs.

    Parameters
    ----------
    recipe : Recipe
        What it was when it was loaded.
    sources : mapping of str to Source
        Where its inputs came from.
    kept : mapping of str to array
        What was painted for it, by the names of its inputs.
    said : str
        What could not be had of it, in one sentence; empty if all could.
    """

    recipe: Recipe
    sources: Mapping[str, Source] = field(default_factory=dict)
    kept: Mapping[str, Any] = field(default_factory=dict)
    said: str = ""


def from_layer(layer: Layer) -> Loaded | None:
    """Return the recipe of a layer; None if it does not say how it was made.

    Parameters
    ----------
    layer : napari Labels layer
        Any.
    """
    how: Made | None = made(ours(layer))
    if how is None:
        return None
    painted = PAINTED.get(layer, {})
    kept = {name: painted[one.sha256] for name, one in how.sources.items() if one.sha256 in painted}
    edits = ours(layer).get("provenance", {}).get("edits")
    said = _BY_HAND.format(name=layer.name) if edits else ""
    return Loaded(how.recipe, how.sources, kept, said)


def noticed(loaded: Loaded, layer: Layer) -> Loaded:
    """Return a recipe that says whether its labels were painted on since, where that can be told at once.

    Parameters
    ----------
    loaded : Loaded
        What was loaded from the layer.
    layer : napari Labels layer
        Which all is read of, if it is small.
    """
    labels = _layers.level_zero(layer)
    at_once = isinstance(labels, np.ndarray) and labels.nbytes <= AT_ONCE
    if loaded.said or not at_once or not edited(ours(layer), labels):
        return loaded
    return replace(loaded, said=_BY_HAND.format(name=layer.name))


def from_file(path: str) -> Loaded:
    """Return the recipe of a file with what was saved beside it.

    Parameters
    ----------
    path : str
        The file.

    Raises
    ------
    OSError, ValueError
        If it holds no recipe.
    """
    recipe, kept, missing = Recipe.load(path), {}, []
    for name, one in recipe.arrays.items():
        try:
            kept[name] = to_numpy(one.read(name).data)
        except (OSError, ValueError) as error:
            missing.append(str(error).split(";")[0])
    said = "; ".join(missing) + "; choose layers instead" if missing else ""
    return Loaded(replace(recipe, arrays={}), {}, kept, said)


@dataclass(frozen=True, slots=True, eq=False)
class Setup:
    """What is to run.

    Parameters
    ----------
    recipe : Recipe
        The steps that are on.
    layers : mapping of str to napari layer or None
        The layer of every input; None for one that is kept, or that nobody has chosen yet.
    kept : mapping of str to array
        Inputs that need no layer.
    whole : bool
        Whether to leave out the region that the recipe was made on.
    device : {"auto", "cpu", "gpu"}
        Where.
    free : int
        Bytes that a run may take.
    result_name : str
        What to call results.
    sources : mapping of str to Source
        Where inputs that are kept came from.
    beside : tuple of Image layer
        The layers that are the further channels of the image; empty if it has its own.
    """

    recipe: Recipe
    layers: Mapping[str, Layer | None]
    kept: Mapping[str, Any] = field(default_factory=dict)
    whole: bool = False
    device: Asked = "auto"
    free: int = 2**62
    result_name: str = "{image} {method}"
    sources: Mapping[str, Source] = field(default_factory=dict)
    beside: tuple[Layer, ...] = ()
    memo: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def source(self) -> Layer:
        """The layer that is cut; None if there is none."""
        return self.layers.get(self.recipe.source)

    @property
    def aim(self) -> Target:
        """What a run works on.

        Raises
        ------
        ValueError
            If the recipe does not fit the layer.
        """
        if "aim" not in self.memo:
            self.memo["aim"] = self._aim_of_channels() if self.beside else aim_of(self.recipe, self.source, self.whole)
        aim: Target = self.memo["aim"]
        return aim

    @property
    def channels(self) -> tuple[Layer, ...]:
        """The layers that are the channels of one image; empty if it is one layer."""
        return (self.source, *self.beside) if self.beside else ()

    def _aim_of_channels(self) -> Target:
        one = replace(self.recipe, selection=self.alone)
        return with_channels(aim_of(one, self.source, self.whole), self.channels)

    @property
    def alone(self) -> Selection:
        """What the recipe runs on in its layer, without the channels that are other layers."""
        chosen = chosen_on(self.recipe, self.source)
        chosen = replace(chosen, box=()) if self.whole else chosen
        return replace(chosen, axes=chosen.kept_axes, channel=None) if self.channels else chosen

    def on(self, layer: Layer) -> Setup:
        """Return the same on another layer."""
        return replace(self, layers={**self.layers, self.recipe.source: layer}, beside=())

    def with_channels(self, named: Mapping[str, Layer]) -> Setup:
        """Return the same with the layers that were looked at together, if they are still there.

        Parameters
        ----------
        named : mapping of str to Image layer
            The images of the viewer by their names.
        """
        names = self.sources.get(self.recipe.source, Source()).layers
        layer, chosen = self.source, self.recipe.selection
        if len(names) < 2 or layer is None or layer.name != names[0] or chosen is None or chosen.axes[0] != "c":
            return self
        others = [named.get(name) for name in names[1:]]
        if any(other is None or channel_problem(layer, other) for other in others):
            return self
        return replace(self, beside=tuple(others))

    def fitted(self) -> Recipe:
        """Return the recipe as it runs on the layer: its spacing is that of the layer, where that has one."""
        aim = self.aim
        steps = [_with_spacing(step, aim, self.source) for step in self.recipe.steps]
        if len(steps) == 1:  # what it reads may have been named by steps that are gone
            steps = [replace(steps[0], inputs={array: array for array in steps[0].inputs})]
        return Recipe(steps, aim.selection)

    def name_in(self, fitted: Recipe, name: str) -> str:
        """Return what the fitted recipe calls an input."""
        if len(fitted.steps) > 1:
            return name
        return next(array for array, source in self.recipe.steps[0].inputs.items() if source == name)


def aim_of(recipe: Recipe, layer: Layer, whole: bool = False) -> Target:
    """Return what a recipe works on in a layer.

    Parameters
    ----------
    recipe : Recipe
        What runs.
    layer : napari Image or Labels layer
        What it cuts.
    whole : bool
        Whether to leave out its region.

    Returns
    -------
    Target
        With the selection of the recipe.

    Raises
    ------
    ValueError
        If the layer has other axes or levels, or ends before the region.
    """
    chosen = chosen_on(recipe, layer)
    if whole and chosen.box:
        chosen = replace(chosen, box=())
    if sentence := _misfit(chosen, layer):
        raise ValueError(sentence)
    return target_of(layer, replace(recalled(layer), letters=chosen.axes), chosen)


def chosen_on(recipe: Recipe, layer: Layer) -> Selection:
    """Return what a recipe runs on in a layer: what it says, else all of it at once."""
    return recipe.selection or Selection("zyx"[-min(len(_layers.level_zero(layer).shape), 3) :])


def names_axes_of(chosen: Selection, layer: Layer) -> bool:
    """Tell whether the axes of a selection are those of a layer, as far as anybody has named these."""
    letters, n = recalled(layer).letters, len(_layers.level_zero(layer).shape)
    return n == len(chosen.axes) and (ASKED in letters or letters == chosen.axes)


def _misfit(chosen: Selection, layer: Layer) -> str:
    """Say what of a selection a layer has not; empty if it has all of it."""
    name, levels, out = layer.name, levels_of(layer), "choose another layer, or fit the recipe to this one"
    if not names_axes_of(chosen, layer):
        return f"the recipe runs on the axes {chosen.axes!r}, and '{name}' has {recalled(layer).letters!r}; {out}"
    if chosen.level >= len(levels):
        return f"the recipe runs on level {chosen.level}, and '{name}' has {len(levels)}; {out}"
    sizes = dict(zip(chosen.axes, levels[chosen.level].shape, strict=True))
    if isinstance(chosen.channel, int) and chosen.channel >= sizes["c"]:
        return f"the recipe runs on channel {chosen.channel}, and '{name}' has {sizes['c']}, from 0; {out}"
    for axis, (_, stop) in zip(chosen.kept_axes, chosen.box, strict=False):
        if stop > sizes[axis]:
            return (
                f"the recipe's region ends at {stop} along {axis!r}, and '{name}' at {sizes[axis]}; tick 'all of the "
                "image, not its region', or fit the recipe to this layer"
            )
    return ""


def _with_spacing(step: Step, aim: Target, layer: Layer) -> Step:
    """Return a step that knows how large voxels are: as the layer says, else as it says itself."""
    letters = letters_of(aim, layer)
    lengths = [letters.index(axis) for axis in aim.selection.kept_axes if axis != "t"]
    known = any(p.name == "spacing" for p in catalog.find(step.method).settings)
    if not known or not _layers.has_voxel_size(layer, lengths):
        _check_lengths(step, aim.selection.run_axes, layer)
        return step
    return replace(step, settings={**step.settings, "spacing": aim.run_spacing})


def _check_lengths(step: Step, axes: str, layer: Layer) -> None:
    """Refuse a voxel size of other axes than those that a step sees, where the layer has none."""
    own = step.settings.get("spacing")
    if own is not None and len(own) != len(axes):
        raise ValueError(
            f"the voxel size of the recipe has {len(own)} lengths, {own}, and it runs on {axes!r} of '{layer.name}', "
            "whose own is not set; set it, or fit the recipe to this layer"
        )


def letters_of(aim: Target, layer: Layer) -> str:
    """Return the axes of a layer that is cut, or that is the first of several channels."""
    axes = aim.selection.axes
    return axes if len(_layers.level_zero(layer).shape) == len(axes) else aim.selection.kept_axes


def param_of(recipe: Recipe, name: str) -> Param:
    """Return the array that reads an input first, under the name of that input."""
    for step in recipe.steps:
        for param in catalog.find(step.method).arrays:
            if step.inputs.get(param.name) == name:
                return replace(param, name=name)
    raise ValueError(f"no step reads {name!r}; the recipe reads: {', '.join(recipe.inputs)}")


def problems(setup: Setup) -> dict[str, str]:
    """Say why a recipe cannot run.

    Parameters
    ----------
    setup : Setup
        What is to run.

    Returns
    -------
    dict of str to str
        A sentence by the name of the input, or of ``"memory"``; empty if it can.
    """
    source = setup.recipe.source
    if setup.source is None:
        return {source: "there is no layer to run it on; open an image, or a sample from the File menu"}
    try:
        aim = setup.aim
        setup.fitted()
    except (ValueError, TypeError) as error:
        return {source: str(error)}
    found = {name: why for name in setup.recipe.inputs if name != source and (why := _why_not(setup, name, aim))}
    if sentence := _links_classes(setup.recipe) or _model_problem(setup.recipe, aim):
        found["recipe"] = sentence
    if not found and (need := estimate(setup)) > setup.free:
        found["memory"] = (
            f"the run needs {size(need)} and {size(setup.free)} are free; close other layers, or save the recipe and "
            "run it with napari-cutout run, which goes tile by tile into a store"
        )
    return found


def _links_classes(recipe: Recipe) -> str:
    """Say which step gives classes to a step that links objects; empty if none does."""
    for at, step in enumerate(recipe.steps):
        if at and catalog.find(step.method).frames and (method := of_classes(replace(recipe, steps=recipe.steps[:at]))):
            return f"{method} gives classes, and step {at + 1} links objects; tick 'one number per object' in it"
    return ""


def _model_problem(recipe: Recipe, aim: Target) -> str:
    """Say which step has a model that cannot be used on the image; empty if none has."""
    for number, step in enumerate(recipe.steps, start=1):
        if sentence := model_problem(catalog.find(step.method), step.settings, aim):
            return f"step {number}, {step.method}: {sentence}"
    return ""


def _why_not(setup: Setup, name: str, aim: Target) -> str:
    """Say what is wrong with an input beside the one that is cut; empty if nothing is."""
    layer, role = setup.layers.get(name), setup.recipe.roles[name]
    try:
        if layer is None:
            if name not in setup.kept:
                return f"the recipe reads {name}; choose a layer"
            _check_shape(name, tuple(setup.kept[name].shape), aim)
        elif role == "image":
            _check_shape(name, tuple(array_of(layer, aim).shape), aim)
        elif is_points(layer):
            points_note(layer, None, aim)
        else:
            check_labels_layer(param_of(setup.recipe, name), layer, setup.source, aim)
    except (ValueError, TypeError) as error:
        return str(error)
    return ""


def _check_shape(name: str, shape: tuple[int, ...], aim: Target) -> None:
    kept = tuple(n for axis, n in zip(aim.selection.axes, aim.array.shape, strict=True) if axis != "c")
    if shape not in (kept, tuple(aim.array.shape)):
        raise ValueError(f"{name} has the shape {shape}, and what is cut has {kept}; choose a layer that fits")


def array_of(layer: Layer, aim: Target) -> Any:
    """Return another image at the level of the run."""
    held = levels_of(layer)
    return held[min(aim.selection.level, len(held) - 1)]


def estimate(setup: Setup) -> int:
    """Return how many bytes a run takes beyond what is in memory.

    Parameters
    ----------
    setup : Setup
        What is to run; it fits its layers.
    """
    aim = setup.aim
    held = [read(setup, name, layer) for name, layer in others_of(setup).items()]
    copied = [np.dtype(array.dtype).itemsize for array in held]
    shape, itemsize = tuple(aim.array.shape), np.dtype(aim.array.dtype).itemsize
    return footprint(setup.fitted(), shape, itemsize, in_memory=isinstance(aim.array, np.ndarray), others=copied)


def read(setup: Setup, name: str, layer: Layer | None) -> Any:
    """Return what is read beside what is cut, not copied."""
    if layer is None:
        return setup.kept[name]
    if setup.recipe.roles[name] == "image":
        return array_of(layer, setup.aim)
    return labels_of(layer, setup.aim)


def others_of(setup: Setup) -> dict[str, Layer | None]:
    return {name: setup.layers.get(name) for name in setup.recipe.inputs if name != setup.recipe.source}
