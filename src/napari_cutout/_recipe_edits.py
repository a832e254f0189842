"""Edits of recipes: a step replaced, inserted, taken out, moved or switched off gives a recipe, or says why it cannot.

So does a recipe that is to run on other voxels. All results of steps are labels. A step that cuts an image reads it
from the inputs of the recipe; one that works on labels stands in a line with the step before it, and those after it
read what it gives.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import catalog
from ._method import Method, Param
from ._selection import Selection
from .recipe import Recipe, Step, output_number

__all__ = [
    "Draft",
    "aimed",
    "insertable",
    "inserted",
    "moved",
    "needed",
    "removed",
    "replaced",
    "sources",
    "unread",
    "up_to",
]

_MARKERS = "markers"
"""The role, and how the names of methods begin that make some."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A recipe that is being edited, some of whose steps are switched off for a moment.

    Parameters
    ----------
    recipe : Recipe
        All steps.
    off : frozenset of int
        The numbers of those that are switched off, from 1.

    Raises
    ------
    ValueError
        If the steps that are on do not make a recipe.
    """

    recipe: Recipe
    off: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        _ = self.running

    @property
    def running(self) -> Recipe:
        """The steps that are on."""
        found = self.recipe
        for number in sorted(self.off, reverse=True):
            found = removed(found, number)
        return found

    def number_of(self, running: int) -> int:
        """Return the number among all steps of one of those that are on."""
        return self._on[running - 1]

    def running_number(self, number: int) -> int:
        """Return the number among those that are on of a step that is."""
        return self._on.index(number) + 1

    @property
    def _on(self) -> list[int]:
        return [number for number in range(1, len(self.recipe.steps) + 1) if number not in self.off]

    def switched(self, number: int, on: bool) -> Draft:
        """Switch a step on or off.

        Raises
        ------
        ValueError
            If the others cannot do without it.
        """
        _check_number(self.recipe, number)
        try:
            return Draft(self.recipe, self.off - {number} if on else self.off | {number})
        except ValueError as error:
            name = self.recipe.steps[number - 1].method
            turned = "on" if on else "off"
            raise ValueError(f"step {number}, {name}, cannot be switched {turned}: {error}") from None

    def replaced(self, number: int, step: Step) -> Draft:
        """Put another step in the place of one; see `replaced`."""
        return Draft(replaced(self.recipe, number, step), self.off)

    def inserted(self, number: int, step: Step) -> Draft:
        """Put a step in the line; see `inserted`."""
        found = inserted(self.recipe, number, step)
        return Draft(found, frozenset(one + (one >= number) for one in self.off))

    def removed(self, number: int) -> Draft:
        """Take a step out of the line; see `removed`."""
        found = removed(self.recipe, number)
        return Draft(found, frozenset(one - (one > number) for one in self.off if one != number))

    def moved(self, number: int, to: int) -> Draft:
        """Give a step another number; see `moved`."""
        found = moved(self.recipe, number, to)
        order = _order(len(found.steps), number, to)
        return Draft(found, frozenset(order.index(one) + 1 for one in self.off))

    def aimed(self, selection: Selection) -> Draft:
        """Let it run on other voxels; see `aimed`."""
        return Draft(aimed(self.recipe, selection), self.off)


def sources(recipe: Recipe, number: int, param: Param) -> tuple[str, ...]:
    """Return what an array of a step may read: inputs of its kind, and what the steps before it give.

    Parameters
    ----------
    recipe : Recipe
        The recipe.
    number : int
        Which step, from 1; the number of a step that is yet to come, too.
    param : Param
        An array of its method.

    Returns
    -------
    tuple of str
        Names of inputs, then ``"step_1"`` and so on, the nearest last; an image is never made by a step.
    """
    is_image = _is_image(param)
    named = [name for name, role in recipe.roles.items() if (role == "image") == is_image]
    return (*named, *(() if is_image else (f"step_{one}" for one in range(1, number))))


def insertable(recipe: Recipe, number: int) -> tuple[Method, ...]:
    """Return the methods that a step of this number could be of.

    Parameters
    ----------
    recipe : Recipe
        The recipe.
    number : int
        Where the step would be put, from 1.

    Returns
    -------
    tuple of Method
        In the order of the menus: those that cut an image, and where there are labels to work on, the others. Strokes
        and masks that a method needs become an input of the recipe if there is none.
    """
    return tuple(entry for entry in catalog.methods().values() if _can_read(recipe, number, entry))


def _can_read(recipe: Recipe, number: int, entry: Method) -> bool:
    return _is_image(entry.source) or bool(sources(recipe, number, entry.source))


def inserted(recipe: Recipe, number: int, step: Step) -> Recipe:
    """Put a step into the line.

    Parameters
    ----------
    recipe : Recipe
        The recipe.
    number : int
        The number that the step gets, from 1 to one more than there are.
    step : Step
        Its method and settings. What it reads follows from its place: an image from the inputs, labels from the step
        before it, whose readers then read the new one; markers from the inputs or a step that makes some. Arrays that
        may be left out are, unless `step` names an input for them.

    Returns
    -------
    Recipe
        With one step more.

    Raises
    ------
    ValueError
        If there is no such place, or no labels there that the method could work on.
    """
    if not 1 <= number <= len(recipe.steps) + 1:
        raise ValueError(f"a step can be put at 1 to {len(recipe.steps) + 1}, got {number}")
    entry = catalog.find(step.method)
    if not _can_read(recipe, number, entry):
        raise ValueError(
            f"{step.method} works on labels, and nothing before step {number} gives some; put it after a step"
        )
    wiring = {p.name: _source_at(recipe, number, p) for p in entry.arrays if p.required}
    kept = {p.name: step.inputs[p.name] for p in entry.arrays if p.name in step.inputs and not p.required}
    return _spliced(recipe, number, replace(step, inputs={**wiring, **kept}))


def _spliced(recipe: Recipe, number: int, step: Step) -> Recipe:
    """Put a step in, and let the readers of what it works on read what it gives."""
    entry = catalog.find(step.method)
    before = step.inputs[entry.source.name]
    steps = list(recipe.steps[: number - 1])
    names = {f"step_{one}": f"step_{one + 1}" for one in range(number, len(recipe.steps) + 1)}
    if not _is_image(entry.source):
        names[before] = f"step_{number}"
    return _with(recipe, [*steps, step, *(_renamed(one, names) for one in recipe.steps[number - 1 :])])


def _source_at(recipe: Recipe, number: int, param: Param) -> str:
    """Return what an array reads by itself at a place."""
    offered = sources(recipe, number, param)
    named = [name for name in offered if not output_number(name)]
    role = param.role.name if param.role else ""
    alike = [name for name in named if recipe.roles[name] == role]
    if role == _MARKERS:
        made = [s for s in offered if (n := output_number(s)) and recipe.steps[n - 1].method.startswith(_MARKERS)]
        return next(iter([*alike, *reversed(made)]), _free_name(recipe, param.name))
    if _is_image(param):
        return next(iter([*(n for n in alike if n == recipe.source), *alike]), _free_name(recipe, param.name))
    made = [name for name in offered if output_number(name)]
    return next(iter([*reversed(made), *alike, *named]), _free_name(recipe, param.name))


def _free_name(recipe: Recipe, name: str) -> str:
    """Return a name for a new input."""
    found, number = name, 1
    while found in recipe.roles:
        number += 1
        found = f"{name}_{number}"
    return found


def removed(recipe: Recipe, number: int) -> Recipe:
    """Take a step out of the line: those that read it read what it worked on.

    Parameters
    ----------
    recipe : Recipe
        The recipe.
    number : int
        Which step, from 1.

    Returns
    -------
    Recipe
        With one step less.

    Raises
    ------
    ValueError
        If it is the only one, or others read its labels, which it made of an image.
    """
    _check_number(recipe, number)
    if len(recipe.steps) == 1:
        raise ValueError("a recipe needs at least one step, and this is its only one; insert another first")
    step = recipe.steps[number - 1]
    entry = catalog.find(step.method)
    readers = _readers(recipe, number)
    if readers and _is_image(entry.source):
        raise ValueError(
            f"step {readers[0]}, {recipe.steps[readers[0] - 1].method}, reads the labels that step {number}, "
            f"{step.method}, makes; let it read something else first, or take it out"
        )
    names = {f"step_{one}": f"step_{one - 1}" for one in range(number + 1, len(recipe.steps) + 1)}
    names[f"step_{number}"] = step.inputs[entry.source.name]
    rest = [one for at, one in enumerate(recipe.steps, start=1) if at != number]
    return _with(recipe, [_renamed(one, names) for one in rest])


def moved(recipe: Recipe, number: int, to: int) -> Recipe:
    """Give a step another number.

    Parameters
    ----------
    recipe : Recipe
        The recipe.
    number, to : int
        Its number now and then, from 1.

    Returns
    -------
    Recipe
        Where all steps can read then what they read now, they do. Else the step is taken out of the line and put into
        it at its new place.

    Raises
    ------
    ValueError
        If a step would read what comes after it.
    """
    _check_number(recipe, number)
    _check_number(recipe, to)
    if number == to:
        return recipe
    order = _order(len(recipe.steps), number, to)
    names = {f"step_{one}": f"step_{at}" for at, one in enumerate(order, start=1)}
    try:
        return _with(recipe, [_renamed(recipe.steps[one - 1], names) for one in order])
    except ValueError:
        return _moved_in_line(recipe, number, to)


def _moved_in_line(recipe: Recipe, number: int, to: int) -> Recipe:
    step = recipe.steps[number - 1]
    entry = catalog.find(step.method)
    if _is_image(entry.source):
        reader = min(_readers(recipe, number))
        raise ValueError(
            f"step {reader}, {recipe.steps[reader - 1].method}, reads what step {number}, {step.method}, gives, so "
            "that must come before it; let it read something else first"
        )
    rest = removed(recipe, number)
    step = _renamed(step, {f"step_{one}": f"step_{one - 1}" for one in range(number + 1, len(recipe.steps) + 1)})
    if not _can_read(rest, to, entry):
        raise ValueError(f"{step.method} works on labels, and nothing before step {to} gives some; put it after a step")
    step = replace(step, inputs={**step.inputs, entry.source.name: _source_at(rest, to, entry.source)})
    if late := [array for array, name in step.inputs.items() if output_number(name) >= to]:
        raise ValueError(f"the {late[0]} of {step.method} would come after it; let it read something else first")
    return _spliced(rest, to, step)


def replaced(recipe: Recipe, number: int, step: Step) -> Recipe:
    """Put another step in the place of one.

    Parameters
    ----------
    recipe : Recipe
        The recipe.
    number : int
        Which step, from 1.
    step : Step
        What stands there then, and what it reads.

    Returns
    -------
    Recipe
        The others read it as they did the one before.

    Raises
    ------
    ValueError
        If it reads what does not come before it, or takes labels for an image.
    """
    _check_number(recipe, number)
    steps = list(recipe.steps)
    steps[number - 1] = step
    images = {p.name: _is_image(p) for p in catalog.find(step.method).arrays}
    others = _with(recipe, steps).roles
    for array, name in step.inputs.items():
        if images[array] and output_number(name):
            raise ValueError(f"the {array} of {step.method} is an image, and {name} gives labels; choose an input")
        if not output_number(name) and (others[name] == "image") != images[array]:
            raise ValueError(
                f"the {array} of {step.method} {'is an image' if images[array] else 'holds labels'}, and the input "
                f"{name!r} {'holds labels' if images[array] else 'is an image'}; choose another, or a new name"
            )
    return _with(recipe, steps)


def aimed(recipe: Recipe, selection: Selection) -> Recipe:
    """Let a recipe run on other voxels, or on others of them at a time.

    Parameters
    ----------
    recipe : Recipe
        The recipe.
    selection : Selection
        What it runs on then.

    Returns
    -------
    Recipe
        Steps that know the size of a voxel know it along the axes that they see then. Where that is not known along
        one of them it is left to the image.

    Raises
    ------
    ValueError
        If a step cannot run on that, such as on all channels together.
    """
    steps = [_with_lengths(step, selection.run_axes) for step in recipe.steps]
    return replace(recipe, steps=steps, selection=selection)


def _with_lengths(step: Step, axes: str) -> Step:
    spacing = step.settings.get("spacing")
    if spacing is None or len(spacing) == len(axes):
        return step
    known = dict(zip("zyx"[-len(spacing) :], spacing, strict=True))
    settings = {name: value for name, value in step.settings.items() if name != "spacing"}
    if all(axis in known for axis in axes):
        settings["spacing"] = tuple(known[axis] for axis in axes)
    return replace(step, settings=settings)


def unread(recipe: Recipe) -> tuple[int, ...]:
    """Return the numbers of the steps that do nothing for the result: none that does reads them."""
    n = len(recipe.steps)
    return tuple(sorted(set(range(1, n + 1)) - set(needed(recipe, n))))


def up_to(recipe: Recipe, number: int) -> Recipe:
    """Return the recipe of what a step gives: it, and those that it needs.

    Parameters
    ----------
    recipe : Recipe
        The recipe.
    number : int
        Which step, from 1.

    Returns
    -------
    Recipe
        Its labels are those of that step.

    Raises
    ------
    ValueError
        If there is no such step.
    """
    _check_number(recipe, number)
    kept = needed(recipe, number)
    names = {f"step_{one}": f"step_{at}" for at, one in enumerate(kept, start=1)}
    return _with(recipe, [_renamed(recipe.steps[one - 1], names) for one in kept])


def needed(recipe: Recipe, number: int) -> tuple[int, ...]:
    """Return the numbers of a step and of those that it reads, however far.

    Parameters
    ----------
    recipe : Recipe
        The recipe.
    number : int
        Which step, from 1.

    Returns
    -------
    tuple of int
        In their order; the step itself is the last.
    """
    found: set[int] = set()
    waiting = [number]
    while waiting:
        one = waiting.pop()
        found.add(one)
        read = map(output_number, recipe.steps[one - 1].inputs.values())
        waiting += [other for other in read if other and other not in found]
    return tuple(sorted(found))


def _readers(recipe: Recipe, number: int) -> list[int]:
    """Return the numbers of the steps that read what one gives."""
    name = f"step_{number}"
    return [at for at, step in enumerate(recipe.steps, start=1) if name in step.inputs.values()]


def _order(n: int, number: int, to: int) -> list[int]:
    """Return the numbers that steps have now, in the order that they have once one has moved."""
    rest = [one for one in range(1, n + 1) if one != number]
    return [*rest[: to - 1], number, *rest[to - 1 :]]


def _renamed(step: Step, names: Mapping[str, str]) -> Step:
    """Return a step that reads the same under other names."""
    return replace(step, inputs={array: names.get(name, name) for array, name in step.inputs.items()})


def _with(recipe: Recipe, steps: Sequence[Step]) -> Recipe:
    """Return a recipe with other steps, and of what was saved beside it, what they read."""
    found = replace(recipe, steps=steps, arrays={})
    return replace(found, arrays=_of(recipe.arrays, found.inputs)) if recipe.arrays else found


def _of(arrays: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: one for name, one in arrays.items() if name in names}


def _is_image(param: Param) -> bool:
    return param.role is not None and param.role.name == "image"


def _check_number(recipe: Recipe, number: int) -> None:
    if not 1 <= number <= len(recipe.steps):
        raise ValueError(f"the recipe has the steps 1 to {len(recipe.steps)}, got {number}")
