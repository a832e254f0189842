"""What a paper says of a recipe: a paragraph for its methods section, and the works to cite, as BibTeX."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from . import __version__, catalog
from ._method import Method
from ._references import Reference, entry, escaped, holds, references_of
from ._selection import Selection
from .recipe import Recipe, Step, output_number

__all__ = ["Citation", "cite"]

SCORES = ("evaluate", "evaluate_objects")
"""What ``evaluation=True`` stands for."""

_BY_SETTING = {
    "background_radius > 0": "subtract_background",
    "median_radius > 0": "median",
    "sigma > 0": "gaussian",
    'surface="distance"': "distance",
}
"""Which functions of the library run, beside a method, for which of its settings."""

_BY_METHOD = {
    "kmeans": ("features",),
    "gaussian_mixture": ("features", "kmeans"),
    "hysteresis": ("multi_otsu",),
    "watershed_from_minima": ("watershed",),
    "markers_from_distance": ("distance",),
    "split_touching": ("distance", "watershed"),
}
"""Which functions of the library are parts of a method."""

_OF_SUPERPIXELS = ("merge_regions", "normalized_cut", "graph_cut")
"""Methods that divide the image into superpixels first, unless they are given regions."""

_BEFORE = ("background_radius", "median_radius", "sigma")
_AFTER = {
    "fill_holes": "holes in {} were filled",
    "clear_border": "{} that touch an edge of the image were removed",
    "min_size": "{} of fewer than {:,} voxels were removed",
    "one_per_object": "{} were numbered",
}
_JOINED = "{} of fewer than {:,} voxels were joined to the neighbour from which they differ least"
"""What `min_size` means to methods whose regions cover the image."""

_EACH = {"t": "time points", "z": "slices", "tz": "time points and slices", "zt": "time points and slices"}
_LENGTHS = "edges of the smallest voxel"


@dataclass(frozen=True, slots=True)
class Citation:
    """What a paper says of a run. ``str`` gives all of it.

    Parameters
    ----------
    text : str
        A paragraph for the methods section, with authors and years in brackets.
    references : tuple of str
        The works that it names, in that order, for a list of references.
    bibtex : str
        The software and the same works, one entry each.

    Examples
    --------
    >>> import napari_cutout as nc
    >>> citation = nc.cite(nc.Step("threshold", {"sigma": 2.0}))
    >>> "smoothed with a Gaussian of standard deviation 2" in citation.text
    True
    >>> citation.references[0][:8]
    'N. Otsu,'
    """

    text: str
    references: tuple[str, ...]
    bibtex: str

    @property
    def prose(self) -> str:
        """The paragraph and the list of references."""
        listed = ["References", *(f"- {one}" for one in self.references), ""] if self.references else []
        return "\n".join([self.text, "", *listed])

    def __str__(self) -> str:
        return f"{self.prose}\n{self.bibtex}"


def cite(
    what: Recipe | Step | str | Sequence[Step | str],
    *,
    evaluation: bool | Sequence[str] = False,
    version: str | None = None,
) -> Citation:
    """Write a methods paragraph and the BibTeX of the works behind it.

    The works are those that the docstrings of what ran name, and of the steps around it that are switched on.

    Parameters
    ----------
    what : Recipe, Step, str or a sequence of Step and str
        What ran. A name alone, such as ``"sauvola"`` or ``"distance"``, stands for a public function whose settings
        are not known: then all works that its docstring names are cited.
    evaluation : bool or sequence of str
        Which functions scored the labels; True for ``evaluate`` and ``evaluate_objects``.
    version : str, optional
        The version of napari-cutout that ran; by default the one that is installed.

    Returns
    -------
    Citation
        The paragraph names the version of the software, and the settings that are not the defaults. It does not
        depend on the device.

    Raises
    ------
    ValueError
        If there is no public function of such a name, or nothing to cite.
    TypeError
        If `what` is something else.
    """
    recipe = what if isinstance(what, Recipe) else None
    parts = recipe.steps if recipe else [what] if isinstance(what, Step | str) else what
    scores = (SCORES if evaluation else ()) if isinstance(evaluation, bool) else _names(evaluation)
    if not isinstance(parts, Sequence) or not all(isinstance(part, Step | str) for part in parts):
        raise TypeError(f"cite takes a Recipe, a Step, a name, or several of these, got {what!r}")
    if not parts and not scores:
        raise ValueError(f"there is nothing to cite in {what!r}; give at least one step or name")
    selection = recipe.selection if recipe else None
    told = [_told(part, number if len(parts) > 1 else 0, selection) for number, part in enumerate(parts, start=1)]
    found = [(name, _of_function(name)) for name in scores]
    steps = [part for part in parts if isinstance(part, Step)]
    sentences = [
        f"Images were processed with napari-cutout {version or __version__}.",
        *_selected(selection),
        *(sentence for sentences, _ in told for sentence in sentences),
        *_closing(steps),
        *_scored(found),
    ]
    works = {one.key: one for _, of in [*told, *found] for one in of}
    entries = [_software(version or __version__), *(one.bibtex() for one in works.values())]
    return Citation(" ".join(sentences), tuple(one.plain for one in works.values()), "\n\n".join(entries) + "\n")


def _names(evaluation: Sequence[str]) -> Sequence[str]:
    return (evaluation,) if isinstance(evaluation, str) else evaluation


def ran(provenance: Any) -> str | None:
    """Return the version of napari-cutout that the provenance of a result tells of; None if it does not."""
    versions = provenance.get("versions") if isinstance(provenance, Mapping) else None
    return versions.get("napari-cutout") if isinstance(versions, Mapping) else None


def _software(version: str) -> str:
    title = "napari-cutout: cut objects out of microscopy images and large volumes"
    fields = {"author": "{the napari-cutout developers}", "title": title, "note": f"Version {escaped(version)}"}
    return entry("misc", "napari_cutout", fields)


# Works ---------------------------------------------------------------------------------------------------


def _function(name: str) -> Callable[..., Any]:
    """Return a public function."""
    package = import_module(__package__)
    found = getattr(package, name) if name in package.__all__ else None
    if not inspect.isfunction(found):
        raise ValueError(
            f"there is no function {name!r} to cite; name a method ({', '.join(catalog.methods())}), or another "
            "function of napari_cutout, such as 'distance' or 'evaluate'"
        )
    return found


def _of_function(
    name: str, settings: Mapping[str, Any] | None = None, *, several: bool = False
) -> tuple[Reference, ...]:
    """Return the works behind a function, and those behind its parts."""
    own = [one for one in references_of(_function(name).__doc__) if one.stands_for(settings, several=several)]
    for part in _BY_METHOD.get(name, ()):
        given = settings is None or (part == "multi_otsu" and settings["low"] is not None is not settings["high"])
        if not given:
            own += _of_function(part, settings, several=several)
    return tuple(own)


def _around(step: Step) -> dict[str, tuple[Reference, ...]]:
    """Return the works behind what a setting switches on, by its condition."""
    settings = step.complete_settings
    found = {of: _of_function(name, settings) for of, name in _BY_SETTING.items() if holds(of, settings)}
    if step.method in _OF_SUPERPIXELS and "regions" not in step.inputs and settings.get("on") != "voxels":
        found["superpixels"] = _of_function("superpixels")
    return found


def _several(step: Step, selection: Selection | None) -> bool:
    """Tell whether a step compared voxels by several channels or features."""
    settings = step.complete_settings
    channels = settings.get("channel_axis") is not None or (selection is not None and selection.channel == "all")
    return channels or settings.get("features", ("intensity",)) != ("intensity",)


def _brackets(works: Sequence[Reference]) -> str:
    return f" ({'; '.join(dict.fromkeys(one.short for one in works))})" if works else ""


# Sentences -----------------------------------------------------------------------------------------------


def _told(part: Step | str, number: int, selection: Selection | None) -> tuple[list[str], list[Reference]]:
    """Return the sentences on one step or function, and the works that they name."""
    if isinstance(part, str):
        works = _of_function(part)
        kind = "method" if part in catalog.methods() else "function"
        return [_sentence([f"the {kind} {_named(part)} was used{_brackets(works)}"])], list(works)
    around = _around(part)
    cut = _of_function(part.method, part.complete_settings, several=_several(part, selection))
    clauses = [*_before(part, around), _cut(part, [*cut, *around.get('surface="distance"', ())], number)]
    after = list(_after(part))
    sentences = [_sentence(clauses, f"In step {number}, " if number else "")]
    return sentences + ([_sentence(after)] if after else []), [w for of in (*around.values(), cut) for w in of]


def _named(name: str) -> str:
    """Return a function's name and what it does, for the middle of a sentence."""
    summary = (inspect.getdoc(_function(name)) or "").partition("\n")[0].rstrip(".")
    return f"{name} ({summary[:1].lower()}{summary[1:]})"


def _before(step: Step, around: Mapping[str, Sequence[Reference]]) -> Iterator[str]:
    settings = step.complete_settings
    works = {name: _brackets(around.get(f"{name} > 0", ())) for name in _BEFORE}
    if radius := settings.get("background_radius"):
        by = "closing" if settings.get("objects") == "dark" else "opening"
        yield f"uneven background wider than {radius:g} was removed by a grey-level {by}{works['background_radius']}"
    if radius := settings.get("median_radius"):
        yield f"the median of the box of radius {radius} around every voxel was taken{works['median_radius']}"
    if sigma := settings.get("sigma"):
        yield f"the image was smoothed with a Gaussian of standard deviation {sigma:g}{works['sigma']}"
    if (made := around.get("superpixels")) is not None:
        yield f"the image was divided into about {settings['n_superpixels']:,} superpixels{_brackets(made)}"


def _cut(step: Step, works: Sequence[Reference], number: int) -> str:
    method = catalog.find(step.method)
    source, *others = step.inputs.items()
    words = f"the method {_named(step.method)} was run"
    if number or source[1] != source[0]:
        words += f" on {_source(source[1])}"
    if others:
        words += f" with {_joined([_input(*other) for other in others])}"
    if said := [f"{name} = {_value(step.settings[name])}" for name in _mentioned(step, method, works)]:
        words += f"{',' if others else ''} with {', '.join(said)}"
    return words + _brackets(works)


def _mentioned(step: Step, method: Method, works: Sequence[Reference]) -> Iterator[str]:
    """Yield the settings that the paragraph names: what was chosen, and what decides which works are cited."""
    decisive = {name for one in works for name in one.settings}
    for param in method.settings:
        told = param.name in step.chosen_settings or param.name in decisive
        if told and param.name in step.settings and param.name not in (*_BEFORE, *_AFTER):
            yield param.name


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_value, value))})"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _source(name: str) -> str:
    return f"the result of step {number}" if (number := output_number(name)) else f"the {name}"


def _input(array: str, name: str) -> str:
    return _source(name) + ("" if name == array else f" as {array}")


def _after(step: Step) -> Iterator[str]:
    settings = step.complete_settings
    noun = "objects" if "one_per_object" in settings or step.method == "split_touching" else "regions"
    for name, words in _AFTER.items():
        if settings.get(name) and (name != "min_size" or settings[name] > 1):
            joined = name == "min_size" and catalog.find(step.method).row == "Graph-based"
            yield (_JOINED if joined else words).format(noun, settings[name])


def _selected(selection: Selection | None) -> Iterator[str]:
    """Yield what of the images was used."""
    if selection is None:
        return
    channels = {"all": "all channels together", "grey": "the brightness of the colours", "None": "all voxels"}
    what = channels.get(str(selection.channel), f"channel {selection.channel} (the first is 0)")
    if selection.level:
        what += f", at level {selection.level} of the pyramid"
    if selection.box:
        ends = zip(selection.kept_axes, selection.box, strict=True)
        what += f", in the region {', '.join(f'{axis} {start} to {stop - 1}' for axis, (start, stop) in ends)}"
    yield f"Of images with the axes {', '.join(selection.axes)}, {what}{',' if ',' in what else ''} served as input."
    if selection.each:
        pooled = ", with the statistics of all of them" if selection.pooled else ""
        yield f"{_EACH[selection.each].capitalize()} were processed one by one{pooled}."


def _scored(found: Sequence[tuple[str, Sequence[Reference]]]) -> Iterator[str]:
    if found:
        named = [f"{name}{_brackets(works)}" for name, works in found]
        yield f"Labels were scored against the annotation with {_joined(named)}."


def _closing(steps: Sequence[Step]) -> Iterator[str]:
    """Yield in which unit lengths are, and what holds for settings that are not named."""
    for step in steps:
        method = catalog.find(step.method)
        if any(_LENGTHS in method.describe(name) for name in step.chosen_settings):
            yield f"Lengths are in {_LENGTHS}."
            break
    if steps:
        yield "Settings that are not named had the defaults of this version."


def _joined(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _sentence(clauses: Sequence[str], begin: str = "") -> str:
    *first, last = clauses
    text = begin + (f"{', '.join(first)}, and {last}" if first else last)
    return f"{text[0].upper()}{text[1:]}."
