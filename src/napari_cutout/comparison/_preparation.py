"""What a comparison is made of: images and annotations checked, what is held out, and who takes part."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .._array import to_numpy
from .._execute import execute, versions
from .._selection import Selection, placed
from ..recipe import Recipe, Step
from ._contest import ERRORS, Contest, Rules, shown_at
from ._contestants import MAX_CLASSES, Contestant, contestants, given_labels
from ._given import Given, arguments_of, grey_plane, inputs_of
from ._strokes import one_kind
from ._tallies import Metric, Problem
from ._units import Units, units_of
from .leaderboard import FOR_CHOOSING, Leaderboard, Row, ranked

__all__ = ["Comparison", "prepared"]

Array = NDArray[Any]

MAX_VOXELS = 1 << 28
"""Voxels of all images together; more would take days."""

LEVELS = (0.01, 0.99)
"""Quantiles of the grey levels between which a threshold by hand is tried."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """A comparison that can be run row by row.

    Parameters
    ----------
    contest : Contest
        Images, annotations and rules.
    entries : tuple of Contestant
        Who takes part.
    notes : tuple of str
        What one should know before reading a score.
    given : Given
        What it was asked for, for a report.
    """

    contest: Contest
    entries: tuple[Contestant, ...]
    notes: tuple[str, ...] = ()
    given: Given = field(default_factory=Given)

    def rows(self) -> Iterator[Row]:
        """Yield the row of each contestant as it is finished.

        Yields
        ------
        Row
            With the reason where it failed.

        Raises
        ------
        Cancelled
            If it was asked for; rows that were yielded before stand.
        """
        return (self.contest.row(entry) for entry in self.entries)

    def leaderboard(self, rows: Sequence[Row]) -> Leaderboard:
        """Rank rows, all of them or those that there are so far.

        Parameters
        ----------
        rows : sequence of Row
            What `rows` yielded.

        Returns
        -------
        Leaderboard
            Best first.
        """
        contest, rules = self.contest, self.contest.rules
        standings = ranked(rows, contest.problem, rules.metric, contest.units.strata, rules.seed)
        facts = {
            "tuned": rules.tune,
            "budget": rules.budget if rules.tune else 1,
            "folds": contest.n_folds,
            "repeats": rules.repeats,
            "seed": rules.seed,
            "n_images": len(contest.images),
            "versions": versions(),
        }
        n = len(contest.units)
        return Leaderboard(
            standings, rules.metric, contest.problem, contest.units.kind, n, facts, self.notes, self.given
        )


def prepared(
    image: Any,
    truth: Any,
    *,
    rules: Rules,
    methods: Sequence[str] | None = None,
    recipes: Mapping[str, Recipe] | None = None,
    labels: Mapping[str, Any] | None = None,
    ceiling: Any = None,
    ignore: int | None = None,
    background: int | None = None,
    spacing: Sequence[float] | None = None,
    selection: Selection | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> Comparison:
    """Check what `compare` was given, and return a comparison that can be run row by row; it raises what that does."""
    check_rules(rules)
    images = _listed(image)
    shapes = [_shape_of(one, selection) for one in images]
    _check_size(shapes)
    truths = _checked("truth", truth, shapes)
    classes, objects = _classes_and_objects(truths, ignore)
    units = units_of(classes, ignore)
    problem = _problem(classes, units, ignore, background, numbered=bool(objects))
    if rules.metric in ("f1", "pq") and not objects:
        raise ValueError(
            f"metric={rules.metric!r} scores numbered objects, and truth names classes or holds strokes; number its "
            "objects, or choose 'dice' or 'iou'"
        )
    others = {name: _checked(name, one, shapes) for name, one in (labels or {}).items()}
    second = None if ceiling is None else _checked("ceiling", ceiling, shapes)
    given = [given_labels(name, one, problem) for name, one in others.items()]
    if second is not None:
        given.insert(0, given_labels("ceiling", second, problem, is_ceiling=True))
    inside, outside = _grey_levels(images, selection, classes, units, problem)
    limits = _limits(inside, outside)
    contest = Contest(images, classes, units, problem, rules, objects, spacing, limits, is_cancelled=is_cancelled)
    entries = contestants(
        methods,
        recipes or {},
        problem,
        objects=_side(inside, outside),
        level=_otsu(images[0], spacing, selection, rules, limits),
        has_strokes=ignore == 0,
        selection=selection,
    )
    found = (*entries, *given)
    if not found:
        raise ValueError("there is nothing to compare; name methods, recipes or labels, or leave `methods` out")
    asked = arguments_of(
        rules,
        methods=methods,
        recipes=recipes or {},
        ignore=ignore,
        background=background,
        spacing=spacing,
        selection=selection,
    )
    at = shown_at(classes[0])
    shown = grey_plane(images[0], selection, at), truths[0][at].copy()
    record = Given(asked, inputs_of(images, truths, others, second), *shown)
    return Comparison(contest, found, tuple(_notes(contest, ignore)), record)


def check_rules(rules: Rules) -> None:
    """Raise ValueError unless every rule is allowed."""
    if rules.metric not in get_args(Metric):
        raise ValueError(f"metric must be one of {', '.join(map(repr, get_args(Metric)))}, got {rules.metric!r}")
    for name, least in (("budget", 2), ("folds", 2), ("repeats", 1), ("seed", 0)):
        value = getattr(rules, name)
        try:
            right = not isinstance(value, bool) and operator.index(value) >= least
        except TypeError:
            right = False
        if not right:
            raise ValueError(f"{name} must be a whole number from {least}, got {value!r}")


# Annotations -------------------------------------------------------------------------------------------


def _listed(arrays: Any) -> list[Any]:
    return list(arrays) if isinstance(arrays, list | tuple) else [arrays]


def _shape_of(image: Any, selection: Selection | None) -> tuple[int, ...]:
    """Return the shape of the labels of an image."""
    if not hasattr(image, "shape"):
        raise TypeError(f"image must be an array or a list of arrays, got {type(image).__name__}")
    if selection is not None:
        return selection.shape(image.shape)
    if len(image.shape) not in (2, 3):
        raise ValueError(
            f"image must have 2 or 3 axes, got shape {tuple(image.shape)}; say with `selection` which of them are "
            "channels or frames"
        )
    return tuple(image.shape)


def _check_size(shapes: Sequence[tuple[int, ...]]) -> None:
    """Refuse what would be run dozens of times and does not fit into memory that often."""
    if (n := sum(math.prod(shape) for shape in shapes)) > MAX_VOXELS:
        raise ValueError(
            f"there are {n:,} voxels, and every method runs on all of them many times; at most {MAX_VOXELS:,} are "
            "compared. Choose a region around the annotation or a level of the pyramid with `selection`, and run the "
            "winning recipe on everything"
        )


def _checked(name: str, labels: Any, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    """Return integer arrays on the host, one for each image, of its shape."""
    arrays = [to_numpy(one) for one in _listed(labels)]
    if len(arrays) != len(shapes):
        raise ValueError(f"{name} must be one array for each of the {len(shapes)} images, got {len(arrays)}")
    for array, shape in zip(arrays, shapes, strict=True):
        if array.dtype.kind not in "biu":
            raise TypeError(f"{name} must hold integer labels, got dtype {array.dtype}; convert it with .astype(int)")
        if array.shape != shape:
            raise ValueError(
                f"{name} must have the shape of what is cut, {shape}, but has {array.shape}; crop or resample it"
            )
    return [array.astype(np.uint8) if array.dtype == bool else array for array in arrays]


def _classes_and_objects(truths: list[Array], ignore: int | None) -> tuple[list[Array], list[Array]]:
    """Return annotations as classes, and where they number objects of one kind, the numbers as well."""
    if ignore == 0 or not all(one_kind(t, ignore) for t in truths):
        return truths, []
    several = any(len(np.setdiff1d(t, [0] if ignore is None else [0, ignore])) > 1 for t in truths)
    kept = None if ignore is None else [t == ignore for t in truths]
    classes = [(t != 0).astype(np.int64) for t in truths]
    if kept is not None:
        classes = [np.where(k, ignore, c) for k, c in zip(kept, classes, strict=True)]
    return classes, truths if several else []


def _problem(
    classes: Sequence[Array], units: Units, ignore: int | None, background: int | None, *, numbered: bool
) -> Problem:
    there = np.unique(np.concatenate([np.unique(c[m >= 0]) for c, m in zip(classes, units.maps, strict=True)]))
    if there.min() < 0:
        raise ValueError(f"truth holds the label {there.min()}; labels must be 0 or more, or named as `ignore`")
    if len(there) < 2:
        what = "strokes" if ignore == 0 else "truth"
        raise ValueError(
            f"{what} hold one label only, {there[0]}, which cannot show what is found in excess; paint what is not "
            "looked for with a second label"
            if ignore == 0
            else f"truth holds one label only, {there[0]}, so there is nothing to tell apart; annotate objects and "
            "background"
        )
    if len(there) > MAX_CLASSES + 1:
        raise ValueError(
            f"strokes hold {len(there)} labels, and at most {MAX_CLASSES} can be classes; give all objects one label, "
            "and what is around them another"
        )
    if background is not None and background not in there:
        raise ValueError(f"background must be a label of truth, one of {there.tolist()}, got {background!r}")
    ground = background if background is not None else int(there[-1]) if ignore == 0 else 0
    return Problem(there.astype(np.int64), ground, len(units), numbered, scores_background=ignore == 0)


def _notes(contest: Contest, ignore: int | None) -> Iterator[str]:
    """Yield what one should know before reading a score."""
    if ignore == 0:
        yield FOR_CHOOSING
        yield f"label {contest.problem.background} was read as what is not looked for"
    if contest.units.note:
        yield contest.units.note
    if contest.n_folds == 1:
        yield "there is too little to hold anything out: settings and classes were chosen where they are scored"
    elif contest.n_folds < contest.rules.folds:
        yield f"{contest.n_folds} folds instead of {contest.rules.folds}, because there are so few {contest.units.kind}"


# Grey levels -------------------------------------------------------------------------------------------


def _grey_levels(
    images: Sequence[Any], selection: Selection | None, classes: Sequence[Array], units: Units, problem: Problem
) -> tuple[Array, Array]:
    """Return grey levels of annotated voxels, of what is looked for and of what is not."""
    inside, outside = [], []
    for image, labels, place in zip(images, classes, units.maps, strict=True):
        for values, at in _parts(image, selection):
            known = (place[at] >= 0) & np.isfinite(values)
            is_object = labels[at] != problem.background
            inside.append(values[known & is_object])
            outside.append(values[known & ~is_object])
    return np.concatenate(inside), np.concatenate(outside)


def _parts(image: Any, selection: Selection | None) -> Iterator[tuple[Array, Any]]:
    """Yield the grey levels of what is run at a time, and where it lies in the labels."""
    if selection is None:
        yield to_numpy(image), ...
        return
    bounds = selection.bounds(image.shape)
    for part in selection.parts(image.shape):
        values = to_numpy(selection.cut(image, part))
        if selection.channel_axis is not None:
            values = values.mean(axis=selection.channel_axis)
        yield values, placed(part, bounds)


def _side(inside: Array, outside: Array) -> Literal["bright", "dark"]:
    """Say whether objects are brighter or darker than the rest."""
    if not inside.size or not outside.size:
        return "bright"
    return "dark" if np.median(inside) < np.median(outside) else "bright"


def _limits(inside: Array, outside: Array) -> tuple[float, float]:
    """Return grey levels between which a threshold may lie."""
    values = np.concatenate([inside, outside])
    if not values.size:
        return 0.0, 0.0
    low, high = np.quantile(values, LEVELS)
    return float(low), float(high)


def _otsu(
    image: Any,
    spacing: Sequence[float] | None,
    selection: Selection | None,
    rules: Rules,
    limits: tuple[float, float],
) -> float:
    """Return Otsu's threshold of an image, for methods that need a grey level; the middle of the limits without one."""
    with suppress(*ERRORS):
        chosen = None if selection is None else replace(selection, pooled=bool(selection.each))
        made = Recipe([Step("threshold")], chosen)
        found = execute(made, {"image": image}, spacing=spacing, device=rules.device)
        return float(found.provenance["facts"]["threshold"])
    return sum(limits) / 2
