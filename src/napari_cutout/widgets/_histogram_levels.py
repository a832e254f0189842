"""Which lines stand in the plot of a histogram, and what dragging one means for the form.  No Qt here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._array import Array, dtype_name
from .._method import Method, Param
from ..methods._grey_levels import Histogram
from ..methods.histogram import histogram
from ._histogram_view import Component

__all__ = [
    "Change",
    "Lines",
    "centres_of",
    "change_for",
    "components_of",
    "description",
    "lines_of",
    "stroke_histograms",
    "tint_colours",
]

GREY_LEVELS = ("intensity",)
"""Features that a histogram of grey levels says all about."""

MAX_STROKES = 8
"""Labels whose strokes are drawn; more could not be told apart."""


@dataclass(frozen=True, slots=True)
class Lines:
    """The grey levels at which a method cuts.

    Parameters
    ----------
    levels : tuple of float
        Rising.
    settings : tuple of str
        The setting that each of them is; empty where the method found them.
    into_classes : bool
        True if the cut gives classes 1 to n, False if it gives 0 and 1.
    """

    levels: tuple[float, ...] = ()
    settings: tuple[str, ...] = ()
    into_classes: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What the form should say after a line was moved.

    Parameters
    ----------
    method : str
        The method to choose; often the one that is chosen.
    settings : Mapping
        What to set, by name.
    levels : tuple of float
        Where all lines are.
    """

    method: str
    settings: Mapping[str, Any]
    levels: tuple[float, ...]


def lines_of(method: Method, settings: Mapping[str, Any], facts: Mapping[str, Any]) -> Lines:
    """Return at which grey levels a method cuts: those that are set, and those that its last run or preview found.

    Parameters
    ----------
    method : Method
        What is chosen.
    settings : Mapping
        What the form says.
    facts : Mapping
        The facts of the last run or preview with these settings; empty if there is none.

    Returns
    -------
    Lines
        Empty where nothing is known yet, or a setting is not right.
    """
    asked = [p for p in method.settings if p.grey_level]
    if asked:
        return _set_levels(asked, settings, facts)
    if "thresholds" in facts:
        return Lines(tuple(map(float, facts["thresholds"])), into_classes=True)
    return Lines((float(facts["threshold"]),)) if "threshold" in facts else Lines()


def components_of(facts: Mapping[str, Any]) -> tuple[Component, ...]:
    """Return the components that were fitted to the grey levels of one channel, in the order of the classes.

    Parameters
    ----------
    facts : Mapping
        The facts of the last run or preview.

    Returns
    -------
    tuple of Component
        Empty where nothing was fitted, or where it was fitted to other columns than the histogram has.
    """
    if not _of_grey_levels(facts) or "variances" not in facts:
        return ()
    fitted = zip(facts["weights"], facts["means"], facts["variances"], strict=True)
    return tuple(Component(float(w), float(m), float(v)) for w, m, v in fitted)


def centres_of(facts: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the grey levels in the middle of the clusters of one channel, in the order of the classes."""
    return tuple(map(float, facts["centres"])) if _of_grey_levels(facts) and "centres" in facts else ()


def _of_grey_levels(facts: Mapping[str, Any]) -> bool:
    return list(facts.get("columns", ())) == list(GREY_LEVELS)


def _set_levels(asked: Sequence[Param], settings: Mapping[str, Any], facts: Mapping[str, Any]) -> Lines:
    given = {p.name: settings[p.name] if settings.get(p.name) is not None else facts.get(p.name) for p in asked}
    levels: list[float] = []
    names: list[str] = []
    for param in asked:
        value = given[param.name]
        try:
            param.check(value)
        except (TypeError, ValueError):
            return Lines()
        found = () if value is None else value if param.type is tuple else (value,)
        levels += map(float, found)
        names += [param.name] * len(found)
    if levels != sorted(levels):
        return Lines()
    return Lines(tuple(levels), tuple(names), any(p.type is tuple for p in asked))


def change_for(method: Method, row: Sequence[Method], lines: Lines, levels: Sequence[float]) -> Change | None:
    """Return what the form should say when the lines are moved to `levels`.

    Parameters
    ----------
    method : Method
        What is chosen.
    row : sequence of Method
        The methods that the form offers.
    lines : Lines
        Where the lines were.
    levels : sequence of float
        Where they are now.

    Returns
    -------
    Change or None
        None if no method of the row takes so many levels by hand; such lines cannot be dragged.
    """
    now = tuple(levels)
    if lines.settings:
        several = {p.name for p in method.settings if p.type is tuple}
        moved = {name for name, a, b in zip(lines.settings, lines.levels, now, strict=True) if a != b}
        settings = {n: now if n in several else now[lines.settings.index(n)] for n in moved}
        return Change(method.name, settings, now)
    found = _by_hand(row, into_classes=lines.into_classes)
    if found is None or not now:
        return None
    entry, param = found
    return Change(entry.name, {param.name: now if param.type is tuple else now[0]}, now)


def _by_hand(row: Sequence[Method], *, into_classes: bool) -> tuple[Method, Param] | None:
    """Return the method that needs nothing but grey levels, and gives classes or 0 and 1 as asked."""
    for entry in row:
        needed = [p for p in entry.settings if p.required]
        if len(needed) == 1 and needed[0].grey_level and (needed[0].type is tuple) == into_classes:
            return entry, needed[0]
    return None


def tint_colours(lines: Lines, objects: str, colour_of: Callable[[int], str]) -> tuple[str, ...]:
    """Return the colour of what lies between the lines, from the lowest; "" for what is background or undecided.

    Parameters
    ----------
    lines : Lines
        The lines.
    objects : {"bright", "dark"}
        Which side is the object where a cut gives 0 and 1.
    colour_of : callable
        From a label to its colour, ``"#rrggbb"``: that of the layer that the labels go to.

    Returns
    -------
    tuple of str
        One more than there are lines; empty if there are none.
    """
    n = len(lines.levels)
    if not n:
        return ()
    if lines.into_classes:
        return tuple(map(colour_of, range(1, n + 2)))
    rising = ("",) * n + (colour_of(1),)
    return rising if objects == "bright" else rising[::-1]


def stroke_histograms(image: Array, strokes: Array, mask: Array | None = None) -> dict[int, Histogram]:
    """Count the grey levels under the strokes of each label.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X)
        Grey-level image in memory.
    strokes : int array of the shape of `image`
        0 is not painted.
    mask : array of the shape of `image`, optional
        Where to count.

    Returns
    -------
    dict of int to Histogram
        By label, rising: what ``histogram(image, mask=strokes == label)`` gives, of the eight smallest labels that
        have a finite voxel. One sweep over the strokes; after it only painted voxels are read.
    """
    painted = strokes != 0 if mask is None else (strokes != 0) & (mask != 0)
    grey, labels = image[painted], strokes[painted]
    if dtype_name(grey).startswith("float"):
        finite = abs(grey) < np.inf  # NaN is not
        grey, labels = grey[finite], labels[finite]
    found = (int(label) for label in np.unique(np.asarray(labels))[:MAX_STROKES])
    return {label: histogram(grey[labels == label].reshape(1, -1)) for label in found}


_CHANGED_BEFORE = {
    "background_radius": "freed of background",
    "median_radius": "median filtered",
    "sigma": "smoothed",
}
"""Steps after which grey levels are no longer those of the image."""


def description(histogram: Histogram, settings: Mapping[str, Any], about: str = "") -> str:
    """Return the line under the plot.

    Parameters
    ----------
    histogram : Histogram
        What is shown: that of the image as it is.
    settings : Mapping
        What the form says.
    about : str
        What else to say, such as ``"approximate, from level 2"``.

    Returns
    -------
    str
        Such as ``"256 levels · 1,048,576 voxels"``.
    """
    n = int(np.count_nonzero(histogram.counts)) if histogram.exact else len(histogram.counts)
    parts = [f"{n:,} {'level' if histogram.exact else 'bin'}{'' if n == 1 else 's'}", f"{histogram.total:,} voxels"]
    if histogram.narrowed:
        parts.append("a few extreme voxels are counted in the first and the last")
    changed = [words for name, words in _CHANGED_BEFORE.items() if settings.get(name)]
    if changed:
        parts.append(f"the cut is made after the image was {' and '.join(changed)}")
    if tuple(settings.get("features", GREY_LEVELS)) != GREY_LEVELS:
        parts.append("classes are made of features, and not drawn")
    return " · ".join([*parts, about] if about else parts)
