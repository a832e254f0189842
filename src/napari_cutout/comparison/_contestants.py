"""Who takes part in a comparison: methods of the catalog, recipes, and labels that somebody or something else made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .. import catalog
from .._selection import Selection
from ..recipe import Recipe, Step, output_number
from ..running._execute import keeps_labels
from ._cuts import COUNTS, Cut, cuts, cuts_from_strokes
from ._tallies import Problem

__all__ = ["Contestant", "contestants", "given_labels", "settings_of", "with_settings"]

Kind = Literal["mask", "classes", "values"]
"""What predicted labels mean, as `Tally` says."""

MAX_CLASSES = 32
"""Labels besides 0 above which they number objects."""

CLASS_COUNTS = (*COUNTS, "n_classes", "values")
"""Settings that a method has whose labels are classes."""


MAY_HAVE_SEEN = "its score says nothing if its model was trained on this annotation"
"""What one should know of a recipe with a trained model, of which nothing says what it has seen."""


@dataclass(frozen=True, slots=True, eq=False)
class Contestant:
    """One row of a comparison, before it has run.

    Parameters
    ----------
    name : str
        What the row is called.
    recipe : Recipe or None
        What is run on each image; None for labels that are there already.
    labels : tuple of integer arrays
        Those labels, one array for each image.
    kind : {"mask", "classes", "values"}
        What its labels mean.
    note : str
        What one should know about it.
    is_ceiling : bool
        True for a second annotator: shown as what can be reached, and not ranked.
    error : str
        Why it cannot take part; empty if it can.
    """

    name: str
    recipe: Recipe | None = None
    labels: tuple[NDArray[Any], ...] = ()
    kind: Kind = "mask"
    note: str = ""
    is_ceiling: bool = False
    error: str = ""

    @property
    def strokes(self) -> tuple[str, ...]:
        """The inputs of the recipe that are strokes; they get those of the tuning part, and no others."""
        return () if self.recipe is None else tuple(n for n, role in self.recipe.roles.items() if role == "markers")


def contestants(
    methods: Sequence[str] | None,
    recipes: Mapping[str, Recipe],
    problem: Problem,
    *,
    objects: Literal["bright", "dark"],
    level: float,
    has_strokes: bool,
    selection: Selection | None,
) -> Iterator[Contestant]:
    """Yield the methods that apply, and the recipes that were given.

    Parameters
    ----------
    methods : sequence of str or None
        Names of methods; None for all that apply and are not slow.
    recipes : mapping of str to Recipe
        Others, by what their rows are called.
    problem : Problem
        The classes.
    objects : {"bright", "dark"}
        What is looked for.
    level : float
        A grey level for methods that need one.
    has_strokes : bool
        True if truth holds strokes, which methods that need some can have.
    selection : Selection or None
        What of the images they run on.

    Yields
    ------
    Contestant
        In the order of the catalog, recipes last.

    Raises
    ------
    ValueError
        If a name is that of no method.
    """
    for name in methods or ():
        catalog.find(name)
    n_classes = max(2, len(problem.classes))
    found = [
        cut
        for cut in cuts(level, objects, numbered=len(problem.classes) == 2, n_classes=n_classes)
        if catalog.find(cut.method).needs != "strokes"
    ]
    for cut in (*found, *cuts_from_strokes()):
        if cut.of in methods if methods is not None else _applies(cut, has_strokes):
            yield _of_cut(cut, selection, one_per_object=problem.numbered and not _sorts(cut))
    yielded = {cut.of for cut in (*found, *cuts_from_strokes())}
    for name in methods or ():
        if name not in yielded:
            yield Contestant(name, error=_why_not(name))
    for name, made in recipes.items():
        yield _of_recipe(name, made, selection)


def _applies(cut: Cut, has_strokes: bool) -> bool:
    """Tell whether a method takes part by itself: its strokes are there, and it is not one that takes minutes."""
    return (has_strokes or not cut.strokes) and not catalog.find(cut.method).slow


_REASONS = {
    "labels": "it begins with labels; give it as the last step of a recipe",
    "model": "it needs a trained model; give it as a recipe that names one, trained on other annotations than these",
}


def _why_not(name: str) -> str:
    """Say why a method takes part in no comparison of this kind."""
    other = "it does not tell objects from background, or not so many; give it as the last step of a recipe"
    return _REASONS.get(catalog.find(name).needs, other)


def _of_recipe(name: str, recipe: Recipe, selection: Selection | None) -> Contestant:
    if recipe.selection is not None and recipe.selection != selection:
        return Contestant(
            name,
            error=f"the recipe selects {recipe.selection.as_dict()}, and other voxels are compared; give `compare` the "
            "same selection, or the recipe none",
        )
    if others := [n for n, role in recipe.roles.items() if role not in ("image", "markers")]:
        return Contestant(name, error=f"the recipe reads {others[0]!r}, which a comparison does not have")
    try:
        made = replace(recipe, selection=selection)
    except ValueError as error:
        return Contestant(name, error=str(error))
    trained = any(catalog.find(step.method).needs == "model" for step in made.steps)
    return Contestant(name, made, kind=kind_of(made), note=MAY_HAVE_SEEN if trained else "")


def _of_cut(cut: Cut, selection: Selection | None, *, one_per_object: bool) -> Contestant:
    try:
        made = Recipe(cut.steps({"one_per_object": True} if one_per_object else {}), selection)
    except ValueError as error:  # such as of a method that takes one channel, where all of them are selected
        return Contestant(cut.title, error=str(error))
    return Contestant(cut.title, made, kind=kind_of(made), note=_noted(cut))


def _sorts(cut: Cut) -> bool:
    """Tell whether a method sorts voxels into classes."""
    return any(p.name in CLASS_COUNTS for p in catalog.find(cut.method).settings)


def _noted(cut: Cut) -> str:
    return "given the strokes of the tuning part; an object whose stroke is held out has none" if cut.strokes else ""


def kind_of(recipe: Recipe) -> Kind:
    """Return what the labels of a recipe mean."""
    if not keeps_labels(recipe):
        return "mask"
    step = recipe.steps[-1]
    while True:
        entry = catalog.find(step.method)
        if entry.needs == "strokes":
            return "values"
        if any(p.name in CLASS_COUNTS for p in entry.settings):
            return "classes"
        number = output_number(step.inputs[entry.labels_from]) if entry.labels_from else 0
        if not number:
            return "mask"
        step = recipe.steps[number - 1]


def given_labels(
    name: str, labels: Sequence[NDArray[Any]], problem: Problem, *, is_ceiling: bool = False
) -> Contestant:
    """Return labels that are there already as a contestant.

    Labels mean classes if there are 2 to 32 of them and no 0, and the classes of truth if they are several of those;
    else any label but 0 is an object.
    """
    there = np.unique(np.concatenate([np.unique(one) for one in labels]))
    objects = there[there != 0]
    kind: Kind = "mask"
    if 0 not in there and 1 < len(objects) <= MAX_CLASSES:
        kind = "values" if is_ceiling else "classes"
    elif len(objects) > 1 and not problem.numbered and np.isin(objects, problem.classes).all():
        kind = "values"
    return Contestant(name, None, tuple(labels), kind, is_ceiling=is_ceiling)


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """Return all settings of a recipe by ``"1.sigma"``: the number of the step, and the name."""
    return {f"{i}.{name}": v for i, step in enumerate(recipe.steps, 1) for name, v in step.settings.items()}


def with_settings(recipe: Recipe, settings: Mapping[str, Any]) -> Recipe:
    """Return a recipe with other settings, named as `settings_of` does."""
    steps = []
    for i, step in enumerate(recipe.steps, 1):
        own = {k.partition(".")[2]: v for k, v in settings.items() if k.startswith(f"{i}.")}
        steps.append(Step(step.method, {**step.settings, **own}, step.inputs))
    return replace(recipe, steps=steps)
