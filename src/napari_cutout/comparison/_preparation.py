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
from .._checks import check_spacing
from .._device import Asked
from .._selection import Selection, placed
from ..evaluation._annotation import unpainted_guess
from ..recipe import Recipe, Step
from ..running._execute import execute, versions
from ._contest import Contest, Rules, shown_at
from ._contestants import MAX_CLASSES, Contestant, contestants, given_labels
from ._given import Given, arguments_of, grey_plane, inputs_of
from ._tallies import Metric, Problem
from ._units import MIN_IMAGES, Units, are_strokes, units_of
from .leaderboard import FOR_CHOOSING, Leaderboard, Row, ranked

__all__ = ["Comparison", "prepared"]

Array = NDArray[Any]

MAX_VOXELS = 1 << 28
"""Voxels of all images together; more would take days."""

ONE_PIECE = 0.8
"""Share of labels in one piece from which they number objects."""

FEW = 8
"""Units below which a bootstrap is too short."""

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
        standings = ranked(rows, contest.problem, rules.metric, contest.units, rules.seed)
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
    if isinstance(methods, str):
        raise TypeError(f"methods must be a sequence of names, got {methods!r}; pass [{methods!r}]")
    images = _listed(image)
    shapes = [_shape_of(one, selection) for one in images]
    _check_size(shapes)
    truths = _checked("truth", truth, shapes)
    ignore, background = (None if one is None else operator.index(one) for one in (ignore, background))
    if spacing is not None:
        check_spacing(spacing, len(shapes[0]) if selection is None else len(selection.run_axes))
    numbered = _number_objects(truths, ignore, rules)
    objects = truths if numbered else []
    classes = [_as_mask(t, ignore) for t in truths] if numbered else truths
    there = _classes_of(classes, ignore)
    units = units_of(classes, ignore)
    problem = _problem(there, len(units), classes, ignore, background, numbered=numbered)
    others = {name: _checked(name, one, shapes) for name, one in (labels or {}).items()}
    second = None if ceiling is None else _checked("ceiling", ceiling, shapes)
    given = [given_labels(name, one, problem) for name, one in others.items()]
    if second is not None:
        given.insert(0, given_labels("ceiling", second, problem, is_ceiling=True))
    inside, outside = _grey_levels(images, selection, classes, units, problem)
    limits = _limits(inside, outside)
    contest = Contest(
        images, classes, units, problem, rules, objects, spacing, limits, selection, is_cancelled=is_cancelled
    )
    entries = contestants(
        methods,
        recipes or {},
        problem,
        objects=_side(inside, outside),
        level=_otsu(images[0], spacing, selection, rules, limits),
        has_strokes=problem.scores_background,
        selection=selection,
    )
    found = (*entries, *given)
    _check_names(found)
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
    for name, allowed in (("device", get_args(Asked)), ("truth_is", (None, "objects", "classes"))):
        if getattr(rules, name) not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {getattr(rules, name)!r}")


def _check_names(entries: Sequence[Contestant]) -> None:
    """Raise ValueError unless somebody takes part, and all under names of their own."""
    if not entries:
        raise ValueError("there is nothing to compare; name methods, recipes or labels, or leave `methods` out")
    names = [entry.name for entry in entries]
    if doubles := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ValueError(f"two contestants are called {doubles[0]!r}; give one of them another name")


# Annotations -------------------------------------------------------------------------------------------


def _listed(arrays: Any) -> list[Any]:
    return list(arrays) if isinstance(arrays, list | tuple) else [arrays]


def _shape_of(image: Any, selection: Selection | None) -> tuple[int, ...]:
    """Return the shape of the labels of an image."""
    if not hasattr(image, "shape"):
        raise TypeError(
            f"image must be an array or a list of arrays, got {type(image).__name__}; read files first, such as "
            "[napari_cutout.read(name).data for name in names], or compare them on the command line"
        )
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


def _number_objects(truths: Sequence[Array], ignore: int | None, rules: Rules) -> bool:
    """Tell whether labels number objects of one kind: as was said, or by how many there are and in how many pieces.

    Raises
    ------
    ValueError
        If objects are to be scored and there are none.
    """
    if rules.truth_is is not None:
        numbered = rules.truth_is == "objects"
    else:
        numbered = not are_strokes(truths, ignore) and _look_numbered(truths, ignore)
    if rules.metric in ("f1", "pq") and not numbered:
        raise ValueError(
            f"metric={rules.metric!r} scores numbered objects, and the labels of truth were read as classes; pass "
            "truth_is='objects' if they are numbers, or choose 'dice' or 'iou'"
        )
    return numbered


def _look_numbered(truths: Sequence[Array], ignore: int | None) -> bool:
    """Guess from labels: more than 32 number objects, and so do several of which nearly all are in one piece."""
    from scipy import ndimage

    pieces: list[int] = []
    for truth in truths:
        labels = np.setdiff1d(truth, [0] if ignore is None else [0, ignore])
        if len(labels) > MAX_CLASSES:
            return True
        pieces += [ndimage.label(truth == label, np.ones((3,) * truth.ndim))[1] for label in labels]
    several = len(np.unique(np.concatenate([np.unique(t) for t in truths]))) > (2 if ignore is None else 3)
    return several and float(np.mean(np.asarray(pieces) == 1)) > ONE_PIECE


def _as_mask(truth: Array, ignore: int | None) -> Array:
    """Return 1 where an object is, and what is not annotated as it was."""
    mask: Array = (truth != 0).astype(np.uint8)
    if ignore is None or ignore == 0:
        return mask
    kind = np.result_type(np.min_scalar_type(ignore), np.int8)
    mask = mask.astype(kind)
    mask[truth == ignore] = ignore
    return mask


def _classes_of(classes: Sequence[Array], ignore: int | None) -> NDArray[np.int64]:
    """Return the classes of truth, if they can tell methods apart."""
    there = np.unique(np.concatenate([np.unique(c) for c in classes]))
    there = there[there != ignore] if ignore is not None else there
    if not len(there):
        raise ValueError(f"truth holds no annotated voxel: all of it is {ignore}; paint some strokes, or change ignore")
    if there.min() < 0:
        raise ValueError(f"truth holds the label {there.min()}; labels must be 0 or more, or named as `ignore`")
    if len(there) < 2:
        raise ValueError(
            f"strokes hold one label only, {there[0]}, which cannot show what is found in excess; paint what is not "
            "looked for with a second label"
            if ignore == 0
            else f"truth holds one class only, {there[0]}, so there is nothing to tell apart; annotate objects and "
            "background (0)"
        )
    if len(there) > MAX_CLASSES + 1:
        raise ValueError(
            f"truth holds {len(there)} labels, and at most {MAX_CLASSES} can be classes; give all objects one label, "
            "and what is around them another, or pass truth_is='objects' if they number objects"
        )
    return there.astype(np.int64)


def _problem(
    there: NDArray[np.int64],
    n_units: int,
    classes: Sequence[Array],
    ignore: int | None,
    background: int | None,
    *,
    numbered: bool,
) -> Problem:
    if background is not None and background not in there:
        raise ValueError(f"background must be a class of truth, one of {there.tolist()}, got {background!r}")
    usual = int(there[-1]) if ignore == 0 else 0
    ground = usual if background is None else background
    return Problem(there, ground, n_units, numbered, scores_background=are_strokes(classes, ignore))


def _notes(contest: Contest, ignore: int | None) -> Iterator[str]:
    """Yield what one should know before reading a score."""
    units = contest.units
    yield from _how_truth_was_read(contest, ignore)
    if units.note:
        yield units.note
    if contest.n_folds == 1:
        yield "there is too little to hold anything out: settings and classes were chosen where they are scored"
    elif contest.n_folds < contest.rules.folds:
        yield f"{contest.n_folds} folds instead of {contest.rules.folds}, because there are so few {units.kind}"
    n = len(units.drawn[1])
    if n < FEW:
        drawn = "images" if len(np.unique(units.images)) >= MIN_IMAGES else units.kind
        yield f"{n} {drawn} are few: intervals are shorter than they should be, and hardly anything can be told apart"


def _how_truth_was_read(contest: Contest, ignore: int | None) -> Iterator[str]:
    problem = contest.problem
    if contest.on_strokes:
        yield FOR_CHOOSING
        if ignore == 0:
            yield f"label {problem.background} was read as what is not looked for; `background` names another"
    elif ignore is None and (share := _strokes_forgotten(contest.truths)):
        yield (
            f"only {share:.2g} % of truth is painted, and the rest was read as background; if it is not annotated, "
            "pass ignore=0"
        )
    elif problem.background not in problem.classes:
        yield "truth has no background (0), so every label counts as an object; say with `background` which is none"
    elif problem.numbered:
        yield "labels of truth were read as numbers of objects; truth_is='classes' reads them as classes"
        if (metric := contest.rules.metric) in ("dice", "iou"):
            yield f"{metric} does not see objects that were not told apart; metric='f1' ranks by objects found"
    elif len(problem.classes) > 2:
        yield "labels of truth were read as classes; truth_is='objects' reads them as numbers of objects"


def _strokes_forgotten(truths: Sequence[Array]) -> float:
    """Return the painted share in percent if annotations look like strokes; else 0."""
    share = sum(int(np.count_nonzero(t)) for t in truths) / sum(t.size for t in truths)
    n_labels = len(np.setdiff1d(np.concatenate([np.unique(t) for t in truths]), [0]))
    return 100 * share if unpainted_guess(share, n_labels) == "not annotated" else 0.0


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
    with suppress(Exception):  # whatever goes wrong here goes wrong in a row as well, with its reason
        chosen = None if selection is None else replace(selection, pooled=bool(selection.each))
        made = Recipe([Step("threshold")], chosen)
        found = execute(made, {"image": image}, spacing=spacing, device=rules.device)
        return float(found.provenance["facts"]["threshold"])
    return sum(limits) / 2
