"""A recipe as what a user can run again: a Python script, or a command."""

from __future__ import annotations

import keyword
import re
import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from . import catalog, cli, io
from ._held import is_held, said
from ._selection import Selection
from ._sources import Source, fingerprint
from ._stored import file_name
from ._volume import guess_axes
from .recipe import Recipe, Step, output_number

__all__ = ["as_command", "as_python", "checked"]


def checked(sources: Mapping[str, Source]) -> dict[str, Source]:
    """Return sources without the files that do not hold what was painted: it was edited since, or they are gone.

    Parameters
    ----------
    sources : mapping of str to Source
        Where the inputs of a recipe came from.

    Returns
    -------
    dict
        The same, for `as_python` and `as_command`. Files of strokes, masks and labels are read once; images are not.
    """
    return {name: replace(one, path=one.path if _holds(one) else "") for name, one in sources.items()}


def _holds(source: Source) -> bool:
    if not source.path or not source.sha256:
        return True
    try:
        return fingerprint(io.read(source.path).data) == source.sha256
    except (OSError, TypeError, ValueError):
        return False


# Python ----------------------------------------------------------------------------------------------------


def as_python(
    recipe: Recipe, sources: Mapping[str, Source], *, viewer: bool = False, target: str = "labels.tif"
) -> str:
    """Return a script that gives the labels of a recipe again.

    Parameters
    ----------
    recipe : Recipe
        What ran.
    sources : mapping of str to Source
        Where its inputs came from, by their names in it.
    viewer : bool
        Take the inputs from the layers of an open viewer, for napari's console, rather than from files.
    target : str
        The file that the labels are written to; without a viewer only.

    Returns
    -------
    str
        It binds ``labels``. An input without a file is read from one of its layer's name, and a comment says so.
    """
    lines = ["import napari_cutout as nc", ""]
    sources = _with_files(recipe, sources)
    if viewer and any(one.layers or not one.in_memory for one in sources.values()):
        lines.insert(0, "import numpy as np")
    if recipe.selection is None and (viewer or sources.get(recipe.source, Source()).channel is None):
        plain = {name for name in recipe.inputs if viewer or sources.get(name, Source()).points}
        lines += [*_reading(recipe, sources, viewer), *_calls(recipe, plain)]
        if not viewer:
            image = _variable(recipe.source)
            written = f"nc.Volume(labels, {image}.axes, {image}.spacing, {image}.units)"
            lines.append(f"nc.write({target!r}, {written})")
    else:
        lines += [*_recipe(recipe), "", *_running(recipe, sources, viewer, target), "labels = result.labels"]
    return "\n".join(lines) + "\n"


def _variable(name: str) -> str:
    """Return the name of an input as a name in Python."""
    word = re.sub(r"\W", "_", name)
    return f"{word}_" if keyword.iskeyword(word) or not word.isidentifier() or word in ("nc", "np", "labels") else word


def _expression(source: Source, level: int) -> str:
    """Return the array of a layer as an expression."""
    if source.points:
        return _planted(source)
    at = f"[{level}]" if source.multiscale else ""
    if source.layers:
        return f"np.stack([{', '.join(f'viewer.layers[{name!r}].data{at}' for name in source.layers)}])"
    array = f"viewer.layers[{source.layer!r}].data{at}"
    return array if source.in_memory else f"np.asarray({array})"


def _planted(source: Source) -> str:
    """Return markers that were placed as points as an expression."""
    labels, at = [label for label, *_ in source.points], [tuple(at) for _, *at in source.points]
    named = "" if labels == list(range(1, len(labels) + 1)) else f", labels={labels}"
    return f"nc.markers_from_points({at}, {source.shape}{named})"


def _file(name: str, source: Source) -> str:
    return source.path or f"{file_name(source.layer or name)}.tif"


def _notes(recipe: Recipe, sources: Mapping[str, Source]) -> Iterator[str]:
    """Yield which layers must be saved first."""
    for name in recipe.inputs:
        source = sources.get(name, Source())
        if not source.path and not source.points:
            what = f"the layer {source.layer!r}" if source.layer else f"what the recipe reads as {name!r}"
            if source.layers:
                what = f"the layers {', '.join(map(repr, source.layers))} as channels,"
            yield f"# save {what} as {_file(name, source)!r} first"


def _reading(recipe: Recipe, sources: Mapping[str, Source], viewer: bool) -> Iterator[str]:
    if not viewer:
        yield from _notes(recipe, sources)
    for name in recipe.inputs:
        source = sources.get(name, Source())
        value = _expression(source, 0) if viewer or source.points else f"nc.read({_file(name, source)!r})"
        yield f"{_variable(name)} = {value}"


def _calls(recipe: Recipe, plain: Collection[str]) -> Iterator[str]:
    """Yield one call per step, with the settings that are not the defaults; `plain` inputs are arrays, others files."""
    for number, step in enumerate(recipe.steps, start=1):
        arrays: list[str] = []
        for array, name in step.inputs.items():
            value = name if output_number(name) else _variable(name) + ("" if name in plain else ".data")
            arrays.append(value if catalog.find(step.method).arrays[len(arrays)].name == array else f"{array}={value}")
        settings = [f"{name}={said(value)!r}" for name, value in step.chosen_settings.items()]
        result = "labels" if number == len(recipe.steps) else f"step_{number}"
        yield f"{result} = nc.{step.method}({', '.join([*arrays, *settings])})"


def _recipe(recipe: Recipe) -> Iterator[str]:
    yield "recipe = nc.Recipe("
    yield "    ["
    for step in recipe.steps:
        parts = [repr(step.method), repr({name: said(value) for name, value in step.chosen_settings.items()})]
        if any(array != name for array, name in step.inputs.items()) or _optional(step):
            parts.append(repr(dict(step.inputs)))
        elif parts[1] == "{}":
            parts.pop()
        yield f"        nc.Step({', '.join(parts)}),"
    yield "    ],"
    if recipe.selection is not None:
        yield f"    {_selection(recipe.selection)},"
    yield ")"


def _optional(step: Step) -> bool:
    """Tell whether a step reads an array that it would not read unasked."""
    required = {p.name for p in catalog.find(step.method).arrays if p.required}
    return bool(set(step.inputs) - required)


def _selection(selection: Selection) -> str:
    entries = selection.as_dict()
    axes = entries.pop("axes")
    return f"nc.Selection({', '.join([repr(axes), *(f'{name}={value!r}' for name, value in entries.items())])})"


def _running(recipe: Recipe, sources: Mapping[str, Source], viewer: bool, target: str) -> Iterator[str]:
    level = recipe.selection.level if recipe.selection else 0
    source = sources.get(recipe.source, Source())
    others = [name for name in recipe.inputs if name != recipe.source]
    if viewer:
        arrays = {n: _expression(sources.get(n, Source()), level if n == recipe.source else 0) for n in recipe.inputs}
        yield "inputs = {"
        yield from (f"    {name!r}: {value}," for name, value in arrays.items())
        yield "}"
        yield "result = nc.execute(recipe, inputs)"
        return
    yield from _notes(recipe, sources)
    words = [f"recipe, {_file(recipe.source, source)!r}, {target!r}"]
    if others:
        words.append(f"inputs={{{', '.join(_given(name, sources.get(name, Source())) for name in others)}}}")
    words += [f"{name}={value!r}" for name, value in _beyond(recipe, source).items()]
    yield f"result = nc.run({', '.join(words)})"


def _given(name: str, source: Source) -> str:
    """Return an entry of ``inputs``."""
    return f"{name!r}: {_planted(source) if source.points else repr(_file(name, source))}"


def _with_files(recipe: Recipe, sources: Mapping[str, Source]) -> dict[str, Source]:
    """Return sources without the files that cannot be named: of the image only can a channel be asked for."""
    taken = recipe.selection is not None and recipe.selection.channel is not None
    return {
        name: one
        if one.channel is None or (name == recipe.source and not taken)
        else replace(one, path="", channel=None, axes="")
        for name, one in sources.items()
    }


def _beyond(recipe: Recipe, source: Source) -> dict[str, Any]:
    """Return what must be said of a file whose axes or voxels may not be what ran."""
    said: dict[str, Any] = {}
    selection = recipe.selection
    axes = selection.axes if selection is not None else "zyx"[-len(source.shape) :]
    if source.channel is not None:
        said["channel"] = source.channel
        at = source.axes.index("c")
        named = f"{axes[:at]}c{axes[at:]}"
        if named != source.axes:
            said["axes"] = named
    elif source.shape and guess_axes(source.shape) != axes:
        said["axes"] = axes
    if any(_lacks_spacing(step) for step in recipe.steps):  # it ran as if voxels were cubes
        n = len(selection.run_axes) if selection else len(source.shape) or 2
        said["spacing"] = (1.0,) * n
    return said


def _lacks_spacing(step: Step) -> bool:
    takes_it = any(p.name == "spacing" for p in catalog.find(step.method).settings)
    return takes_it and "spacing" not in step.settings


# The command line ------------------------------------------------------------------------------------------


def as_command(
    recipe: Recipe, sources: Mapping[str, Source], *, target: str = "labels.tif", saved: str = "recipe.json"
) -> str:
    """Return the command that gives the labels of a recipe again.

    Parameters
    ----------
    recipe : Recipe
        What ran.
    sources : mapping of str to Source
        Where its inputs came from, by their names in it.
    target : str
        The file that the labels are written to.
    saved : str
        What the recipe is called where it must be saved: it has several steps, or a setting that no option sets.

    Returns
    -------
    str
        Quoted for a shell; comments say what must be saved first.
    """
    placed = {name for name in recipe.inputs if sources.get(name, Source()).points}
    options = None if placed else _step_options(recipe)
    sources = _with_files(recipe, sources)
    source = sources.get(recipe.source, Source())
    notes = list(_notes(recipe, sources))
    if options is None:
        beside = f", with {' and '.join(sorted(placed))} beside it" if placed else ""
        notes.append(f"# save the recipe as {saved!r} first{beside}")
        words = ["napari-cutout", "run", saved]
        options = []
        said = _beyond(recipe, source)
    else:
        words = ["napari-cutout", cli.names(recipe.steps[0].method)[0]]
        options += _part_options(recipe.selection)
        said = _beyond(recipe, source)
    words += [_path(_file(recipe.source, source)), _path(target), *options]
    for name in recipe.inputs:
        if name != recipe.source and name not in placed:
            words.append("=".join(cli.input_option(name, _file(name, sources.get(name, Source())))))
    words += [_option(name, value) for name, value in said.items()]
    return "\n".join([*notes, shlex.join(words)]) + "\n"


def _path(path: str) -> str:
    """Keep a file whose name begins with a hyphen from being read as an option."""
    return f"./{path}" if path.startswith("-") and PurePath(path).parent == PurePath() else path


def _option(name: str, value: Any) -> str:
    """Return one option; joined to its value, which may begin with a hyphen."""
    option = f"--{cli.names(name)[0]}"
    if value is True:
        return option
    if isinstance(value, tuple):
        return f"{option}={','.join(v if isinstance(v, str) else repr(v) for v in value)}"
    return f"{option}={value if isinstance(value, str) else repr(value)}"


def _step_options(recipe: Recipe) -> list[str] | None:
    """Return the settings of the one step as options; None where that cannot be said."""
    step = recipe.steps[0]
    wired = {array: name for array, name in step.inputs.items() if array != catalog.find(step.method).source.name}
    if len(recipe.steps) > 1 or any(array != name for array, name in wired.items()):
        return None
    settings = step.chosen_settings
    if any(value is None or value is False or is_held(value) for value in settings.values()):
        return None  # there is no option that takes a default away, and none that names what is in memory
    return [_option(name, value) for name, value in settings.items()]


def _part_options(selection: Selection | None) -> list[str]:
    """Return the options that say what of a file is run on."""
    if selection is None:
        return []
    said: dict[str, Any] = {}
    if selection.channel is not None:
        said["channel"] = "mean" if selection.channel == "grey" else selection.channel
    if selection.level:
        said["level"] = selection.level
    if selection.box:
        ends = zip(selection.kept_axes, selection.box, strict=True)
        said["region"] = ",".join(f"{axis}={start}:{stop}" for axis, (start, stop) in ends)
    if selection.each:
        said["each"] = selection.each
    if selection.pooled:
        said["pooled"] = True
    return [_option(name, value) for name, value in said.items()]
