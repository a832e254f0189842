"""Recipes of labels that were made from labels: the steps that made the inputs come first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import catalog
from ._method import Method
from ._selection import Selection
from ._sources import Source
from .recipe import Recipe, Step, output_number

__all__ = ["Chain", "Made", "chained", "made"]


@dataclass(frozen=True, slots=True)
class Made:
    """How labels were made.

    Parameters
    ----------
    recipe : Recipe
        What ran.
    sources : mapping of str to Source
        Where the recipe's inputs came from, by their names in it.
    sha256 : str
        The fingerprint of the labels when they were made; empty if they are in a store, which is not read for it, and
        no fingerprint if they were edited there since.
    """

    recipe: Recipe
    sources: Mapping[str, Source]
    sha256: str


@dataclass(frozen=True, slots=True)
class Chain:
    """A recipe that begins with what others made.

    Parameters
    ----------
    recipe : Recipe
        The steps of the parents, then the new one.
    sources : mapping of str to Source
        Where its inputs come from.
    apart : mapping of str to str
        Which arrays of the new step were made by a run and are an input all the same, and why.
    """

    recipe: Recipe
    sources: Mapping[str, Source]
    apart: Mapping[str, str]


def made(metadata: Mapping[str, Any]) -> Made | None:
    """Read how the labels of a layer were made.

    Parameters
    ----------
    metadata : mapping
        ``layer.metadata["napari_cutout"]``: ``recipe`` as JSON text, and ``provenance`` with ``sources`` and
        ``sha256``.

    Returns
    -------
    Made or None
        None if it is not known, was written by a version that said less, or the layer shows something else that came of
        the same run, such as its uncertainty.
    """
    if metadata.get("shows"):
        return None
    provenance = metadata.get("provenance", {})
    try:
        recipe = Recipe.from_json(metadata["recipe"])
        sources = {name: Source.from_dict(entry) for name, entry in provenance["sources"].items()}
        edited = "edited by hand" if provenance.get("edits") else ""
        return Made(recipe, sources, edited or str(provenance.get("sha256", "")))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def chained(
    step: Step,
    selection: Selection | None,
    sources: Mapping[str, Source],
    parents: Mapping[str, Made],
) -> Chain:
    """Put the steps that made the inputs of a run before its own step.

    Parameters
    ----------
    step : Step
        What runs; it may name its inputs as it likes.
    selection : Selection, optional
        What it runs on. Where its first array is labels that a parent made, this speaks of those labels, which are
        the part of the image that the parent selected: the whole chain then has the selection of the parent.
    sources : mapping of str to Source
        Where each array of the step comes from, by the name of the method's parameter.
    parents : mapping of str to Made
        How those of them were made that a run made.

    Returns
    -------
    Chain
        It gives the pixels that the step gives on those arrays. A parent that would not give them, because its labels
        were edited since or its selection is another, is left out: its labels are an input like any other.
    """
    entry = catalog.find(step.method)
    names = list(step.inputs)
    apart = {name: _why_apart(entry, name, sources[name], parent) for name, parent in parents.items() if name in names}
    whole = _normal(selection)
    first = entry.source.name
    if first in apart and not apart[first]:
        apart[first] = _why_not_on_all(whole, parents[first].recipe.selection)
    if first in apart and not apart[first]:
        shared = parents[first].recipe.selection
        others = _by_image(_by_selection(apart, parents, shared), sources, parents, first)
        alone = [name for name in names if others.get(name, "it is an input") and name != first]
        if alone and shared is not None and shared.box:
            apart[first] = f"it covers a region, and {alone[0]} the whole"
        elif not others[first]:
            return _joined(step, shared, sources, parents, others)
        else:
            apart[first] = others[first]
    fitting = _by_selection(apart, parents, whole)
    return _joined(step, whole, sources, parents, _by_image(fitting, sources, parents, first))


def _normal(selection: Selection | None) -> Selection | None:
    return None if selection is None or selection.is_whole else selection


def _why_apart(entry: Method, name: str, source: Source, parent: Made) -> str:
    """Say why the steps of a parent may not stand for its labels, whatever is run on them."""
    selection = parent.recipe.selection
    if source.sha256 != parent.sha256:
        return "it was edited since"
    if missing := [name for name in parent.recipe.inputs if name not in parent.sources]:
        return f"it is not known where its {missing[0]} came from"
    if selection is None or not selection.each:
        return ""
    if catalog.find(parent.recipe.steps[-1].method).frames:
        return "its objects were linked over all parts, and nothing comes after that"
    if name != "mask" and source.dtype != "uint8" and not entry.frames:  # what links does not look at numbers
        return "its objects are numbered over all parts, and each part by itself begins at 1"
    return ""


def _why_not_on_all(own: Selection | None, parent: Selection | None) -> str:
    """Say why a run on the labels of a parent is not one on all that the parent gave, in the same parts."""
    if parent is None:
        return "" if own is None else "it runs on a part of it"
    same = Selection(parent.kept_axes, each=parent.each, pooled=parent.pooled)
    return "" if own == _normal(same) else "it runs on other parts of it"


def _by_selection(apart: Mapping[str, str], parents: Mapping[str, Made], selection: Selection | None) -> dict[str, str]:
    """Add to the reasons of those that could be chained that their selection is another."""
    other = "it was made of another part of the image"
    return {name: why or ("" if parents[name].recipe.selection == selection else other) for name, why in apart.items()}


def _by_image(
    apart: Mapping[str, str], sources: Mapping[str, Source], parents: Mapping[str, Made], first: str
) -> dict[str, str]:
    """Add to the reasons that an image holds other voxels by now: a layer can be read only as it is."""
    seen, found = list(sources.values()), dict(apart)
    for name in sorted(apart, key=lambda name: name != first):  # what is cut has the first say
        own = list(parents[name].sources.values())
        changed = [one for one in own if any(one.was_changed(other) for other in seen)]
        if changed and not found[name]:
            found[name] = f"{changed[0].layer or changed[0].path} was changed since"
        if not found[name]:
            seen += own
    return found


def _joined(
    step: Step,
    selection: Selection | None,
    sources: Mapping[str, Source],
    parents: Mapping[str, Made],
    apart: Mapping[str, str],
) -> Chain:
    line = _Line()
    inherited = {name for name, why in apart.items() if not why}
    own = {name: line.input(name, sources[name]) for name in step.inputs if name not in inherited}
    for name in step.inputs:
        if name in inherited:
            own[name] = line.steps_of(parents[name])
    line.steps.append(Step(step.method, step.settings, {name: own[name] for name in step.inputs}))
    recipe = Recipe(line.steps, selection)
    return Chain(
        recipe,
        {name: line.sources[name] for name in recipe.inputs},
        {name: why for name, why in apart.items() if why},
    )


@dataclass(slots=True)
class _Line:
    """Steps one after the other, and the inputs that they read."""

    steps: list[Step] = field(default_factory=list)
    sources: dict[str, Source] = field(default_factory=dict)

    def input(self, name: str, source: Source) -> str:
        """Return the name of an input: that which it has already, else a free one, such as ``image_2``."""
        word = re.sub(r"_\d+$", "", name)
        number, free = 1, word
        while free in self.sources and not self.sources[free].is_same(source):
            number += 1
            free = f"{word}_{number}"
        self.sources.setdefault(free, source)
        return free

    def add(self, step: Step) -> str:
        """Return where the result of a step is; one that is there already is not run twice."""
        if step not in self.steps:
            self.steps.append(step)
        return f"step_{self.steps.index(step) + 1}"

    def steps_of(self, parent: Made) -> str:
        """Add the steps of a parent, and return where its labels are."""
        outputs: list[str] = []
        for step in parent.recipe.steps:
            wiring = {
                array: outputs[number - 1]
                if (number := output_number(name))
                else self.input(name, parent.sources[name])
                for array, name in step.inputs.items()
            }
            outputs.append(self.add(Step(step.method, step.settings, wiring)))
        return outputs[-1]
