"""Recipes: what to run, as frozen data.

A recipe is a row of steps. Each names a method of the catalog and its settings, and is checked when it is
made. It goes to JSON and back; `running._execute` runs it, and stores with the result how it came about.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from . import catalog
from ._array import Array
from ._checks import check_spacing
from ._held import from_folder, is_held, kept, said, to_folder
from ._method import OF_THE_IMAGE, Method
from ._selection import Selection
from ._stored import Stored, store, stored
from ._volume import Volume
from ._writing import write_text

__all__ = ["Recipe", "Step", "one_channel_only"]

FORMAT = "napari-cutout recipe"
VERSION = 3
"""Version of the JSON; raised when an older program could misread it. From 2 on there may be a selection, and inputs
that were saved beside it, from 3 on a selection of all channels together."""

_ENTRIES = ("format", "version", "selection", "steps", "arrays", "provenance")

_OUTPUT = re.compile(r"step_([1-9]\d*)")


def output_number(name: str) -> int:
    """Return which step's result a step reads under this name; 0 if it is an input of the recipe."""
    match = _OUTPUT.fullmatch(name)
    return int(match[1]) if match else 0


@dataclass(frozen=True, slots=True)
class Step:
    """One method with its settings, checked when it is made.

    Parameters
    ----------
    method : str
        The method's public name, such as ``"sauvola"``.
    settings : mapping
        Its settings by name; those left out are filled in with the method's defaults, all but `spacing` and
        `channel_axis`, which are those of the image that it runs on. A model is the path of its folder, kept as text,
        or a model in memory, with which it can be run but not saved.
    inputs : mapping of str to str
        Where the method's arrays come from: the name of an input of the recipe, or ``"step_1"``,
        ``"step_2"``... for what an earlier step returned. Required arrays that are left out take the input
        of their own name; optional ones that are left out are not used.

    Raises
    ------
    ValueError
        If there is no such method, setting or array, or a value is not allowed.
    TypeError
        If a value is of the wrong kind.
    """

    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        entry = catalog.find(self.method)
        settings = {name: kept(value) for name, value in self.settings.items()}
        entry.check_settings(settings)
        # All of them are kept, so that a recipe means the same where a later version has other defaults.
        defaults = {p.name: p.default for p in entry.settings if not p.required and p.name not in OF_THE_IMAGE}
        settings = {**defaults, **settings}
        if settings.get("channel_axis", 0) is None:  # it says no more than if it were left out
            del settings["channel_axis"]
        if settings.get("spacing") is not None:
            settings["spacing"] = _spacing(settings["spacing"])
        object.__setattr__(self, "settings", MappingProxyType(settings))
        object.__setattr__(self, "inputs", MappingProxyType(_wiring(entry, self.inputs)))

    def __reduce__(self) -> tuple[Any, ...]:
        return Step, (self.method, dict(self.settings), dict(self.inputs))

    def __repr__(self) -> str:
        """Return the step as one would write it: settings that are not the defaults, inputs of another name."""
        wired = {array: name for array, name in self.inputs.items() if array != name}
        parts = [repr(self.method)]
        if self.chosen_settings or wired:
            parts.append(repr(self.chosen_settings))
        return f"Step({', '.join([*parts, *([repr(wired)] if wired else [])])})"

    @property
    def complete_settings(self) -> dict[str, Any]:
        """All settings of the method, defaults included."""
        return {p.name: self.settings.get(p.name, p.default) for p in catalog.find(self.method).settings}

    @property
    def chosen_settings(self) -> dict[str, Any]:
        """The settings that are not the defaults, and those that have none, in the method's order."""
        known = [p for p in catalog.find(self.method).settings if p.name in self.settings]
        return {p.name: self.settings[p.name] for p in known if p.required or self.settings[p.name] != p.default}


def _wiring(entry: Method, inputs: Mapping[str, str]) -> dict[str, str]:
    """Return where each array comes from, in the order of the method's parameters."""
    arrays = {p.name: p for p in entry.arrays}
    for name, source in inputs.items():
        if name not in arrays:
            raise ValueError(f"{entry.name} takes no array {name!r}; it takes: {', '.join(arrays)}")
        if not isinstance(source, str) or not source:
            raise ValueError(
                f"the source of {name!r} must be the name of an input or step_1, step_2..., got {source!r}"
            )
    return {name: inputs.get(name, name) for name, p in arrays.items() if p.required or name in inputs}


def _spacing(value: Any) -> tuple[float, ...]:
    """Return a spacing for two or three axes; which of them, only the image can tell."""
    if not isinstance(value, tuple) or len(value) not in (2, 3):
        raise ValueError(f"spacing must be one length per axis, two or three of them, got {value!r}")
    return check_spacing(value, len(value))


@dataclass(frozen=True)
class Recipe:
    """Steps that run one after the other; the last one's labels are the result.

    Parameters
    ----------
    steps : sequence of Step
        At least one. A step may read what the steps before it returned, as ``"step_1"`` and so on.
    selection : Selection, optional
        Which voxels of the image it runs on, and which of them at a time; all at once by default.
    arrays : mapping of str to Stored
        Inputs that were saved beside the file that it was loaded from. They are no part of what it says: recipes
        are equal without them, and `to_json` leaves them out.

    Raises
    ------
    ValueError
        If there is no step, one reads a step that does not come before it, or one takes a single channel where all of
        them are selected.
    TypeError
        If a step is not a `Step`.

    Examples
    --------
    >>> recipe = Recipe([Step("threshold", {"method": "li", "one_per_object": True})])
    >>> Recipe.from_json(recipe.to_json()) == recipe
    True
    """

    steps: Sequence[Step]
    selection: Selection | None = None
    arrays: Mapping[str, Stored] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        if self.selection is not None and self.selection.is_whole:
            object.__setattr__(self, "selection", None)
        if not self.steps:
            raise ValueError("a recipe needs at least one step, got none")
        for number, step in enumerate(self.steps, start=1):
            if not isinstance(step, Step):
                raise TypeError(f"the steps of a recipe must be Step, got {step!r} of type {type(step).__name__}")
            for source in step.inputs.values():
                if output_number(source) >= number:
                    raise ValueError(
                        f"step {number}, {step.method}, reads {source!r}, which does not come before it; "
                        "reorder the steps"
                    )
        self._check_channels()
        self._check_links()

    def _check_channels(self) -> None:
        """Refuse steps that would not know what the selection gives them."""
        if self.selection is None:
            return
        for number, step in enumerate(self.steps, start=1):
            if (axis := step.settings.get("channel_axis")) is not None:
                raise ValueError(
                    f"step {number}, {step.method}, has channel_axis={axis}, and the selection says by its axes "
                    f"{self.selection.axes!r} where channels are; leave channel_axis out"
                )
        if self.selection.channel == "all" and not self.takes_channels:
            raise one_channel_only(self.one_channel)

    def _check_links(self) -> None:
        """Refuse to go on after parts were linked: that is done when all of them are there."""
        if self.selection is None or not self.selection.each:
            return
        for number, step in enumerate(self.steps[:-1], start=1):
            if catalog.find(step.method).frames:
                raise ValueError(
                    f"step {number}, {step.method}, links what is run one by one along {self.selection.each!r}, so "
                    "it must be the last step; move it to the end"
                )

    @property
    def takes_channels(self) -> bool:
        """True if it can run on all channels of an image together: each step that reads the image takes them."""
        return not self.one_channel

    @property
    def one_channel(self) -> str:
        """The first method that reads the image and takes one channel of it; empty if there is none."""
        for step in self.steps:
            entry = catalog.find(step.method)
            for array, name in step.inputs.items():
                if name == self.source and not (entry.takes_channels and array == entry.source.name):
                    return step.method
        return ""

    @cached_property
    def roles(self) -> Mapping[str, str]:
        """What each input is, such as ``"image"`` or ``"mask"``, in the order in which they are first read."""
        found: dict[str, str] = {}
        for step in self.steps:
            arrays = {p.name: p.role.name for p in catalog.find(step.method).arrays if p.role}
            for array, name in step.inputs.items():
                if not output_number(name):
                    found.setdefault(name, arrays[array])
        return found

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the arrays that the recipe needs, in the order in which they are first read."""
        return tuple(self.roles)

    @property
    def source(self) -> str:
        """The input that the result lies on, and whose axes the selection has.

        It is what the last step cuts, or if that is what an earlier step returned, what that one cuts, and so on.
        """
        name = ""
        number = len(self.steps)
        while number:
            step = self.steps[number - 1]
            name = step.inputs[catalog.find(step.method).source.name]
            number = output_number(name)
        return name

    def to_json(self) -> str:
        """Return the recipe as JSON, which `from_json` reads.

        Raises
        ------
        ValueError
            If a setting is a model in memory, of which a file could not say where it is.
        """
        _check_written(self)
        return json.dumps(as_dict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read a recipe from JSON.

        Parameters
        ----------
        text : str
            What `to_json` returned; an entry ``"provenance"`` beside it is skipped.

        Returns
        -------
        Recipe
            The recipe.

        Raises
        ------
        ValueError
            If the text is no recipe, was written by a newer version, or names a method, setting or value
            that there is not.
        """
        content = _content(text)
        steps = [_step(number, entry) for number, entry in enumerate(content["steps"], start=1)]
        chosen = content.get("selection")
        arrays = stored(content.get("arrays", {}))
        return cls(steps, None if chosen is None else Selection.from_dict(chosen), arrays)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        arrays: Mapping[str, Array | Volume] | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Write the recipe to a JSON file.

        Parameters
        ----------
        path : path
            Where to write. Relative paths of models are written as they are from there, so that a folder with the
            recipe and its models can be moved as one.
        arrays : mapping of str to integer array or Volume, optional
            Inputs that are saved with it, such as ``{"markers": strokes}``: those go to ``recipe.markers.tif`` beside
            ``recipe.json``, and are taken from there when the recipe is run without them.
        overwrite : bool
            Replace files that are there.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        FileExistsError
            If there is such a file, or one of its arrays, and `overwrite` is False.
        OSError
            If it cannot be written; nothing is changed then.
        ValueError
            If the recipe reads no such input, or a setting is a model in memory.
        TypeError
            If an array is not of integers or booleans.
        """
        place = Path(path)
        _check_written(self)
        recipe = _moved(self, to_folder, place.parent)
        if not arrays:
            return write_text(place, recipe.to_json(), overwrite=overwrite)
        if extra := [name for name in arrays if name not in self.inputs]:
            raise ValueError(f"the recipe does not read the input {extra[0]!r}; it reads: {', '.join(self.inputs)}")
        volumes = {name: self._volume(array) for name, array in arrays.items()}
        entry = store(place, volumes, overwrite=overwrite)
        content = as_dict(recipe)
        text = json.dumps({**content, "version": max(content["version"], 2), "arrays": entry}, indent=2) + "\n"
        return write_text(place, text, overwrite=overwrite)

    def _volume(self, array: Array | Volume) -> Volume:
        """Return an input as a volume; what it lacks of axes is that of channels."""
        if isinstance(array, Volume):
            return array
        kept = "" if self.selection is None else self.selection.kept_axes
        return Volume(array, kept if len(kept) == array.ndim else "zyx"[-array.ndim :])

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Recipe:
        """Read a recipe from a JSON file.

        Parameters
        ----------
        path : path
            The file. Relative paths of models in it begin at its folder.

        Returns
        -------
        Recipe
            The recipe.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it holds no recipe; the message begins with the path.
        """
        try:
            recipe = cls.from_json(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise FileNotFoundError(f"there is no file {os.fspath(path)!r} to read a recipe from") from None
        except OSError as error:
            sentence = f"cannot read a recipe from {os.fspath(path)!r}: {error.strerror or error}; pass a JSON file"
            raise type(error)(sentence) from error
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{os.fspath(path)!r} is no text, so it is no recipe; pass the JSON file that a run wrote"
            ) from error
        except ValueError as error:
            raise ValueError(f"{os.fspath(path)!r}: {error}") from error
        folder = Path(path).parent
        recipe = _moved(recipe, from_folder, folder)
        return replace(recipe, arrays={n: replace(one, path=folder / one.path) for n, one in recipe.arrays.items()})


def one_channel_only(method: str) -> ValueError:
    """Return what to raise where all channels together were asked for, and a method takes one.

    Parameters
    ----------
    method : str
        Its name.

    Returns
    -------
    ValueError
        With the way out, which names the methods that take several.
    """
    takers = [entry.name for entry in catalog.methods().values() if entry.takes_channels]
    others = f", or run {' or '.join(takers)}, which take them" if takers else ""
    return ValueError(
        f"{method} takes one channel, and all of them together were asked for; choose channel=0 or another, or "
        f"channel='mean'{others}"
    )


def _check_written(recipe: Recipe) -> None:
    """Refuse a recipe that a file could not say."""
    for number, step in enumerate(recipe.steps, start=1):
        for name, value in step.settings.items():
            if is_held(value):
                raise ValueError(
                    f"step {number}, {step.method}, has a {name} that is in memory alone, {value!r}; save it, and give "
                    f"the recipe the folder that it was saved in"
                )


def _moved(recipe: Recipe, change: Callable[[str, Path], str], folder: Path) -> Recipe:
    """Return a recipe whose settings that are folders are said from elsewhere."""

    def moved(step: Step) -> Step:
        names = [p.name for p in catalog.find(step.method).settings if p.folder]
        paths = {name: step.settings[name] for name in names if isinstance(step.settings.get(name), str)}
        return replace(step, settings={**step.settings, **{n: change(p, folder) for n, p in paths.items()}})

    return replace(recipe, steps=[moved(step) for step in recipe.steps])


def as_dict(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as plain JSON, in the lowest version that can say it; models in memory by name and SHA-256."""
    steps = [
        {"method": s.method, "settings": {n: said(v) for n, v in s.settings.items()}, "inputs": dict(s.inputs)}
        for s in recipe.steps
    ]
    if recipe.selection is None:
        return {"format": FORMAT, "version": 1, "steps": steps}
    version = 3 if recipe.selection.channel == "all" else 2
    return {"format": FORMAT, "version": version, "selection": recipe.selection.as_dict(), "steps": steps}


def with_provenance(recipe: Recipe, provenance: Mapping[str, Any], folder: Path) -> str:
    """Return the recipe as JSON for a file in a folder, with how one result of it came about."""
    rest = {name: fact for name, fact in provenance.items() if name != "recipe"}
    return json.dumps({**as_dict(_moved(recipe, to_folder, folder)), "provenance": rest}, indent=2) + "\n"


def _content(text: str) -> dict[str, Any]:
    """Return the entries of a recipe, or raise unless `text` is a recipe that this version can read."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"this is no recipe, because it is no JSON ({error}); write one with Recipe.save") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"this is no recipe, because it has no entry 'format': {FORMAT!r}; write one with Recipe.save")
    version = content.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(f"the recipe's version must be a whole number from 1, got {version!r}")
    if version > VERSION:
        raise ValueError(
            f"the recipe has version {version} and this program reads up to {VERSION}; update napari-cutout"
        )
    if unknown := set(content) - set(_ENTRIES):
        raise ValueError(f"the recipe has an entry {min(unknown)!r}; it may have {', '.join(_ENTRIES)}")
    if not isinstance(content.get("steps"), list):
        raise ValueError(f"the recipe's steps must be a list, got {content.get('steps')!r}")
    return content


def _step(number: int, entry: Any) -> Step:
    try:
        if not isinstance(entry, dict) or not {"method"} <= entry.keys() <= {"method", "settings", "inputs"}:
            raise ValueError(f"it must be an object with method, settings and inputs, got {entry!r}")
        settings, wiring = entry.get("settings", {}), entry.get("inputs", {})
        if not isinstance(settings, dict) or not isinstance(wiring, dict):
            raise ValueError(f"settings and inputs must be objects, got {settings!r} and {wiring!r}")
        return Step(str(entry["method"]), settings, wiring)
    except (TypeError, ValueError) as error:
        raise ValueError(f"step {number} of the recipe is not right: {error}") from error
