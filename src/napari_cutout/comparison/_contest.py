"""Running contestants: settings tried on the tuning part, scored on what was held out, in every fold."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import catalog
from .._device import Asked
from .._execute import execute
from .._selection import Selection
from ..recipe import Recipe
from ._contestants import Contestant, settings_of, with_settings
from ._tallies import Metric, Problem, Tally, counted, mapped, object_counts, overlap_counts, score_of
from ._tuning import Settings, Tried, search, tried
from ._units import Units, folds_of
from .leaderboard import Row

__all__ = ["Contest", "Rules"]

ERRORS = (ValueError, TypeError, OSError, MemoryError, ArithmeticError)
"""What bad settings and a full machine raise."""

NEAR = 0.03
"""Settings whose scores on strokes differ by no more than this are equals: strokes are few, and show no outlines."""

N_SAMPLED = 1 << 16
"""Voxels by which it is told how much the labels of equals agree."""

MARGIN = 32
"""Voxels around what is annotated that a search looks at first."""

SMALL = 1 << 18
"""Voxels of an image below which a search looks at all of it at once."""

Mask = NDArray[np.bool_]
Classes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rules:
    """How a contest is held.

    Parameters
    ----------
    metric : {"dice", "iou", "f1", "pq"}
        What settings are chosen and rows are ranked by.
    tune : bool
        True if settings are searched for; else they are as given.
    budget : int
        Settings that are tried in each fold.
    folds, repeats : int
        Parts that are held out in turn, and how many times units are dealt to them anew.
    seed : int
        Of the deal, the search and the bootstrap.
    device : {"auto", "cpu", "gpu"}
        Where to run.
    """

    metric: Metric
    tune: bool
    budget: int
    folds: int
    repeats: int
    seed: int
    device: Asked


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """What a contestant gave with some settings.

    Parameters
    ----------
    settings : dict
        By ``"1.sigma"``.
    tally : Tally
        Its counts.
    sample : integer array
        Its labels at some voxels.
    seconds : float
        What all images took.
    provenance : dict
        Of the first image.
    plane : 2-D integer array
        Its labels where pictures are taken.
    """

    settings: Settings
    tally: Tally
    sample: NDArray[Any]
    seconds: float
    provenance: dict[str, Any]
    plane: NDArray[Any]


@dataclass(slots=True, eq=False)
class Contest:
    """Images, what is known of them, and how contestants are to be judged.

    Parameters
    ----------
    images : sequence of arrays
        As they are stored.
    truths : sequence of integer arrays
        The annotation of each, of the shape of the labels.
    units : Units
        What is held out.
    problem : Problem
        The classes.
    rules : Rules
        How it is held.
    objects : sequence of integer arrays
        The numbered objects of each image; empty if truth numbers none.
    spacing : sequence of float, optional
        World length of a voxel along each axis.
    levels : (float, float)
        Grey levels between which those are tried that have no default.
    is_cancelled : callable, optional
        Polled while methods run.
    """

    images: Sequence[Any]
    truths: Sequence[NDArray[Any]]
    units: Units
    problem: Problem
    rules: Rules
    objects: Sequence[NDArray[Any]] = ()
    spacing: Sequence[float] | None = None
    levels: tuple[float, float] = (0.0, 0.0)
    is_cancelled: Callable[[], bool] | None = None
    _deals: list[NDArray[np.int64]] = field(init=False)
    _sampled: list[NDArray[np.int64]] = field(init=False)

    def __post_init__(self) -> None:
        self._deals = [
            folds_of(self.units, self.rules.folds, self.rules.seed + repeat) for repeat in range(self.rules.repeats)
        ]
        rng = np.random.default_rng(self.rules.seed)
        total = sum(t.size for t in self.truths)
        self._sampled = [
            np.sort(rng.integers(0, t.size, max(1, N_SAMPLED * t.size // total))) if t.size else np.zeros(0, np.int64)
            for t in self.truths
        ]

    @property
    def on_strokes(self) -> bool:
        """True if only strokes are annotated, the background among them."""
        return self.problem.scores_background

    @property
    def n_folds(self) -> int:
        """Folds that there are; 1 if nothing can be held out."""
        return int(self._deals[0].max()) + 1

    def row(self, contestant: Contestant) -> Row:
        """Run one contestant in all folds.

        Parameters
        ----------
        contestant : Contestant
            Who.

        Returns
        -------
        Row
            With the reason where it failed.

        Raises
        ------
        Cancelled
            If it was asked for.
        """
        try:
            if contestant.error:
                raise ValueError(contestant.error)
            if self.rules.metric in ("f1", "pq") and contestant.kind != "mask":
                raise ValueError("its labels are classes, and objects are scored; score it by dice or iou")
            return _Trial(self, contestant).row()
        except ERRORS as error:
            sentence = " ".join(str(error).split()) or type(error).__name__
            return Row(contestant.name, contestant.recipe, note=contestant.note, error=sentence)

    def tuning_parts(self) -> Iterator[Mask]:
        """Yield, for every fold of every repeat, the units that may be looked at; all of them if there is one fold."""
        for fold in self._deals:
            for number in range(self.n_folds):
                yield fold != number if self.n_folds > 1 else np.ones(len(fold), bool)


@dataclass(slots=True, eq=False)
class _Trial:
    """One contestant in a contest, and what it has given so far."""

    contest: Contest
    contestant: Contestant
    known: dict[tuple[Any, ...], Candidate] = field(default_factory=dict)
    _failure: str = ""

    def row(self) -> Row:
        """Tune, score what is held out, and choose on everything."""
        problem, units = self.contest.problem, self.contest.units
        n_folds, n_parts = self.contest.n_folds, 0
        overlap = np.zeros((len(units), len(problem.classes), 3))
        objects = np.zeros((len(units), 4)) if self._numbers else None
        for tuning in self.contest.tuning_parts():
            held_out = ~tuning if n_folds > 1 else tuning
            chosen = self.chosen(tuning)
            overlap += overlap_counts(chosen.tally, problem, mapped(chosen.tally, problem, tuning), held_out)
            if objects is not None and chosen.tally.objects is not None:
                objects[held_out] += chosen.tally.objects[held_out]
            n_parts += 1
        repeats = n_parts / n_folds
        everything = np.ones(len(units), bool)
        return self._of(self.chosen(everything, final=True), overlap / repeats, objects, repeats, everything)

    def _of(self, best: Candidate, overlap: NDArray[np.float64], objects: Any, repeats: float, everything: Mask) -> Row:
        problem = self.contest.problem
        mapping = mapped(best.tally, problem, everything)
        recipe = self.contestant.recipe
        meaning = {
            int(label): int(problem.classes[column])
            for label, column in zip(best.tally.labels, mapping, strict=True)
            if column >= 0
        }
        return Row(
            self.contestant.name,
            None if recipe is None else with_settings(recipe, best.settings),
            overlap,
            None if objects is None else objects / repeats,
            meaning if self.contestant.kind != "mask" else {},
            len({key[0] for key in self.known}),
            median(one.seconds for one in self.known.values()),
            best.provenance.get("device", {}).get("used", ""),
            best.plane,
            best.provenance,
            self.contestant.note,
            is_ceiling=self.contestant.is_ceiling,
        )

    # Choosing

    def chosen(self, tuning: Mask, *, final: bool = False) -> Candidate:
        """Return what is best on some units; of equals, what is most like the others.

        Parameters
        ----------
        tuning : bool array of shape (n_units,)
            The units that may be looked at.
        final : bool
            True to choose among what has been tried, where strokes do not have to be run anew.

        Returns
        -------
        Candidate
            Never one that failed.
        """
        recipe = self.contestant.recipe
        if recipe is None or not self.contest.rules.tune or not (space := self.space(recipe)):
            return self.candidate({} if recipe is None else settings_of(recipe), tuning)
        if not final or self.contestant.strokes:
            self._search(recipe, space, tuning)
        last = len(self.rungs()) - 1
        found = [one for key, one in self.known.items() if key[1] == last and key[2] in (b"", tuning.tobytes())]
        if not found:
            raise ValueError(self._failure or "no settings gave a result")
        return self._most_alike(found, tuning)

    def _search(self, recipe: Recipe, space: Sequence[Tried], tuning: Mask) -> None:
        start = settings_of(recipe)

        def value(settings: Settings, rung: int) -> float:
            found = self.candidate({**start, **settings}, tuning, rung)
            score = self._score(found, tuning)
            if score != score:
                raise ValueError("nothing to score")
            return score

        rules = self.contest.rules
        search(space, value, start=start, budget=rules.budget, n_rungs=len(self.rungs()), seed=rules.seed)

    def _score(self, found: Candidate, tuning: Mask) -> float:
        """Return the score on the tuning part, labels mapped there too."""
        problem, metric = self.contest.problem, self.contest.rules.metric
        if metric in ("f1", "pq"):
            assert found.tally.objects is not None
            return float(score_of(found.tally.objects[tuning].sum(axis=0), problem, metric))
        counts = overlap_counts(found.tally, problem, mapped(found.tally, problem, tuning), tuning)
        return float(score_of(counts.sum(axis=0), problem, metric))

    def _most_alike(self, found: Sequence[Candidate], tuning: Mask) -> Candidate:
        """Return, of those whose score is near the best, the one whose classes agree most with those of the others.

        Strokes cannot tell such settings apart. The middle one is far from the ends where a little more would fail.
        """
        scores = np.asarray([self._score(one, tuning) for one in found])
        limit = np.nanmax(scores) - (NEAR if self.contest.on_strokes else 0)
        near = [one for one, score in zip(found, scores, strict=True) if score >= limit]
        if len(near) < 3:
            return found[int(np.nanargmax(scores))]
        agreement = agreements([self.classes_of(one, tuning) for one in near], self.contest.problem)
        return near[int(agreement.sum(axis=1).argmax())]

    def classes_of(self, found: Candidate, tuning: Mask) -> Classes:
        """Return the class of each sampled voxel, as a column; -1 where it is not known."""
        mapping = mapped(found.tally, self.contest.problem, tuning)
        labels = found.tally.labels
        sample = (found.sample != 0).astype(np.int64) if self.contestant.kind == "mask" else found.sample
        at = np.minimum(np.searchsorted(labels, sample), len(labels) - 1)
        return np.where(labels[at] == sample, mapping[at], -1)

    # Running

    @property
    def _numbers(self) -> bool:
        """True if objects can be scored: truth numbers them, and the contestant does not sort voxels into classes."""
        return self.contest.problem.numbered and self.contestant.kind == "mask"

    def candidate(self, settings: Settings, tuning: Mask, rung: int | None = None) -> Candidate:
        """Return what these settings give, on all of each image or on the part of a rung; it is run once."""
        rung = len(self.rungs()) - 1 if rung is None else rung
        key = (repr(sorted(settings.items())), rung, tuning.tobytes() if self.contestant.strokes else b"")
        if key not in self.known:
            try:
                self.known[key] = self._run(settings, tuning, rung)
            except ERRORS as error:
                self._failure = self._failure or " ".join(str(error).split())
                raise
        return self.known[key]

    def _run(self, settings: Settings, tuning: Mask, rung: int) -> Candidate:
        contest, start = self.contest, time.perf_counter()
        found: list[tuple[NDArray[Any], NDArray[Any]]] = []
        samples: list[NDArray[Any]] = []
        provenance: dict[str, Any] = {}
        plane = None
        objects = np.zeros((len(contest.units), 4)) if self._numbers else None
        for number, (truth, units) in enumerate(zip(contest.truths, contest.units.maps, strict=True)):
            box = self.rungs()[rung][number]
            labels, ran = self._labels(settings, tuning, number, box)
            provenance = provenance or ran
            if plane is None:
                plane = plane_of(labels, truth[box])
            if objects is not None:
                objects += object_counts(labels, contest.objects[number][box], units[box], len(contest.units))
            if self.contestant.kind == "mask":
                labels = (labels != 0).astype(np.uint8)
            found.append(counted(labels, truth[box], units[box], contest.problem))
            samples.append(labels.reshape(-1)[contest._sampled[number] % labels.size])
        names = np.unique(np.concatenate([labels for labels, _ in found]))
        counts = np.zeros((len(contest.units), len(names), len(contest.problem.classes)), np.int64)
        for labels, part in found:
            counts[:, np.searchsorted(names, labels)] += part
        tally = Tally(names, counts, self.contestant.kind, objects)
        seconds = time.perf_counter() - start
        assert plane is not None
        return Candidate(settings, tally, np.concatenate(samples), seconds, provenance, plane)

    def _labels(
        self, settings: Settings, tuning: Mask, number: int, box: tuple[slice, ...]
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Return the labels of one image, or of a box of it, and how they came about."""
        contest, recipe = self.contest, self.contestant.recipe
        if recipe is None:
            return self.contestant.labels[number][box], {}
        made = in_box(with_settings(recipe, settings), contest.images[number], box)
        inputs = {name: contest.images[number] for name, role in made.roles.items() if role == "image"}
        for name in self.contestant.strokes:
            units = contest.units.maps[number]
            strokes = np.where((units >= 0) & tuning[units], contest.truths[number], 0)
            inputs[name] = in_place(strokes, recipe.selection, contest.images[number].shape)
        result = execute(
            made, inputs, spacing=contest.spacing, device=contest.rules.device, is_cancelled=contest.is_cancelled
        )
        return result.labels, result.provenance

    def space(self, recipe: Recipe) -> list[Tried]:
        """Return what a search may try of a recipe."""
        longest = float(max(self.contest.truths[0].shape))
        found = (
            tried(number, param, longest, self.contest.levels)
            for number, step in enumerate(recipe.steps, 1)
            for param in catalog.find(step.method).settings
        )
        return [one for one in found if one is not None]

    def rungs(self) -> list[list[tuple[slice, ...]]]:
        """Return the boxes of all images that a search looks at first, if they are small, and all of each."""
        whole = [tuple(slice(0, n) for n in t.shape) for t in self.contest.truths]
        if self.contestant.recipe is None or sum(t.size for t in self.contest.truths) <= SMALL:
            return [whole]
        boxes = [annotated_box(units) for units in self.contest.units.maps]
        small = sum(np.prod([s.stop - s.start for s in box]) for box in boxes)
        return [boxes, whole] if 3 * small <= sum(t.size for t in self.contest.truths) else [whole]


def annotated_box(units: NDArray[np.int32]) -> tuple[slice, ...]:
    """Return the box of what is annotated, with a margin inside the image; all of it if nothing is."""
    box = []
    for axis in range(units.ndim):
        others = tuple(a for a in range(units.ndim) if a != axis)
        at = np.flatnonzero((units >= 0).any(axis=others))
        low, high = (at[0], at[-1] + 1) if len(at) else (0, units.shape[axis])
        box.append(slice(max(0, int(low) - MARGIN), min(units.shape[axis], int(high) + MARGIN)))
    return tuple(box)


def in_box(recipe: Recipe, image: Any, box: tuple[slice, ...]) -> Recipe:
    """Return a recipe that runs on this box of an image only."""
    chosen = recipe.selection or Selection("zyx"[-image.ndim :])
    whole = chosen.shape(image.shape)
    if all((s.start, s.stop) == (0, n) for s, n in zip(box, whole, strict=True)):
        return recipe
    bounds = chosen.bounds(image.shape)
    inner = tuple((low + s.start, low + s.stop) for (low, _), s in zip(bounds, box, strict=True))
    return replace(recipe, selection=replace(chosen, box=inner))


def in_place(labels: NDArray[Any], selection: Selection | None, shape: Sequence[int]) -> NDArray[Any]:
    """Return labels of what is selected as labels of all of an image, 0 elsewhere."""
    if selection is None or not selection.box:
        return labels
    sizes = tuple(n for axis, n in zip(selection.axes, shape, strict=True) if axis != "c")
    whole = np.zeros(sizes, labels.dtype)
    whole[tuple(slice(*ends) for ends in selection.bounds(shape))] = labels
    return whole


def plane_of(labels: NDArray[Any], truth: NDArray[Any]) -> NDArray[Any]:
    """Return the plane of labels in which most is annotated, as a copy that does not keep the rest in memory."""
    plane: NDArray[Any] = labels[shown_at(truth)]
    return plane.copy()


def shown_at(truth: NDArray[Any]) -> tuple[int, ...]:
    """Return the index of the plane in which most is annotated, along all axes but the last two."""
    painted = np.count_nonzero(truth, axis=(-2, -1))
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(painted)), np.shape(painted)))


def agreements(classes: Sequence[Classes], problem: Problem) -> NDArray[np.float64]:
    """Return the mean Dice of each pair of class maps over the classes that are not the background, (n, n)."""
    total = np.zeros((len(classes), len(classes)))
    for column in problem.objects:
        inside = np.asarray([one == column for one in classes], np.float32)
        sizes = inside.sum(axis=1, dtype=np.float64)
        common = np.einsum("iv,jv->ij", inside, inside, optimize=True).astype(np.float64)
        whole = sizes[:, None] + sizes[None]
        total += np.where(whole > 0, 2 * common / np.maximum(whole, 1), 1)
    found: NDArray[np.float64] = total / len(problem.objects)
    return found
