"""One contestant in a contest: settings tried on the tuning part, scored on what was held out, in every fold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import catalog
from .._monitor import Cancelled
from ..recipe import Recipe
from ..running._execute import execute
from ..running._known_steps import KnownSteps
from ._contest import Box, Contest, Mask, in_box, in_place, plane_of
from ._contestants import Contestant, Kind, settings_of, with_settings
from ._tallies import NEAR, Tally, agreements, counted, mapped, object_counts, overlap_counts, score_of
from ._tuning import Settings, Tried, search, tried
from .leaderboard import Row

__all__ = ["Trial"]

Classes = NDArray[np.int64]

Key = tuple[str, int, bytes]
"""Settings, the rung, and for methods that read strokes the units whose strokes they were given."""


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
    rung : int
        How much of them that was.
    first : (2-D array, dict), optional
        The plane of the first image that pictures show, and how its labels came about; kept where few are tried.
    """

    settings: Settings
    tally: Tally
    sample: NDArray[Any]
    seconds: float
    rung: int
    first: tuple[NDArray[Any], dict[str, Any]] | None = None


@dataclass(slots=True, eq=False)
class Trial:
    """One contestant in a contest, and what it has given so far."""

    contest: Contest
    contestant: Contestant
    rungs: list[list[Box]] = field(init=False)
    known: dict[Key, Candidate | Exception] = field(default_factory=dict)
    steps: dict[int, KnownSteps] = field(default_factory=dict)
    """What steps before the last gave on each image: folds differ in strokes, which regions do not read."""

    def __post_init__(self) -> None:
        self.rungs = self.contest.rungs if self.contestant.recipe is not None else self.contest.rungs[-1:]

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
        best = self.chosen(np.ones(len(units), bool), final=True)
        return self._of(best, overlap / repeats, None if objects is None else objects / repeats)

    def _of(self, best: Candidate, overlap: NDArray[np.float64], objects: NDArray[np.float64] | None) -> Row:
        contest, contestant = self.contest, self.contestant
        everything = np.ones(len(contest.units), bool)
        mapping = self._meaning(best, everything) if contestant.kind != "mask" else {}
        plane, provenance = best.first or self._first(best)
        ran = [one for one in self.known.values() if isinstance(one, Candidate) and one.rung == len(self.rungs) - 1]
        return Row(
            name=contestant.name,
            recipe=None if contestant.recipe is None else with_settings(contestant.recipe, best.settings),
            overlap=overlap,
            objects=objects,
            mapping=mapping,
            n_tried=len({key[0] for key in self.known}),
            seconds=median(one.seconds for one in ran),
            backend=provenance.get("device", {}).get("used", ""),
            plane=plane,
            provenance=provenance,
            note=", ".join(filter(None, (contestant.note, _said(mapping)))),
            is_ceiling=contestant.is_ceiling,
            sample=self.classes_of(best, everything).astype(np.int8),
        )

    def _first(self, best: Candidate) -> tuple[NDArray[Any], dict[str, Any]]:
        """Run the first image again, so that a search need not keep the labels of all that it tries."""
        number = self.contest.used[0]
        everything = np.ones(len(self.contest.units), bool)
        labels, provenance = self._labels(best.settings, everything, number, self.rungs[-1][0])
        return plane_of(labels, self.contest.truths[number]), provenance

    @property
    def _numbers(self) -> bool:
        """True if objects can be scored: truth numbers them, and the contestant does not sort voxels into classes."""
        return self.contest.problem.numbered and self.contestant.kind == "mask"

    def _meaning(self, best: Candidate, tuning: Mask) -> dict[int, int]:
        """Return the class that each predicted label stands for."""
        problem = self.contest.problem
        columns = mapped(best.tally, problem, tuning)
        pairs = zip(best.tally.labels.tolist(), columns.tolist(), strict=True)
        return {label: int(problem.classes[column]) for label, column in pairs if column >= 0}

    # Choosing

    def chosen(self, tuning: Mask, *, final: bool = False) -> Candidate:
        """Return what is best on some units; of equals, what is most like the others.

        Parameters
        ----------
        tuning : bool array of shape (n_units,)
            The units that may be looked at.
        final : bool
            True to choose among what was tried for any fold: nothing is scored by it.

        Returns
        -------
        Candidate
            One that was run on everything.
        """
        recipe = self.contestant.recipe
        if recipe is None or not self.contest.rules.tune or not (space := self.space(recipe)):
            return self.candidate({} if recipe is None else settings_of(recipe), tuning)
        keys = list(self.known) if final and not self.contestant.strokes else self._search(recipe, space, tuning)
        last = len(self.rungs) - 1
        met = [self.known[key] for key in keys if key[1] == last]
        found = [one for one in met if isinstance(one, Candidate)]
        if not found:
            raise next((one for one in met if isinstance(one, Exception)), ValueError("no settings gave a result"))
        return self._most_alike(found, tuning)

    def _search(self, recipe: Recipe, space: Sequence[Tried], tuning: Mask) -> list[Key]:
        """Return what a search that looks at these units alone has met, each once."""
        start = settings_of(recipe)
        met: dict[Key, None] = {}

        def value(settings: Settings, rung: int) -> float:
            whole = {**start, **settings}
            met[self._key(whole, tuning, rung)] = None
            try:
                return self._score(self.candidate(whole, tuning, rung), tuning)
            except Cancelled:
                raise
            except Exception as error:
                raise ValueError(str(error)) from error

        rules = self.contest.rules
        search(space, value, start=start, budget=rules.budget, n_rungs=len(self.rungs), seed=rules.seed)
        return list(met)

    def _score(self, found: Candidate, tuning: Mask) -> float:
        """Return the score on the tuning part, labels mapped there too; where nothing is there and found it is 1."""
        problem, metric = self.contest.problem, self.contest.rules.metric
        if metric in ("f1", "pq"):
            assert found.tally.objects is not None
            counts = found.tally.objects[tuning]
        else:
            mapping = mapped(found.tally, problem, tuning)
            counts = overlap_counts(found.tally, problem, mapping, tuning).astype(np.float64)
        score = float(score_of(counts.sum(axis=0), problem, metric))
        return 1.0 if score != score else score

    def _most_alike(self, found: Sequence[Candidate], tuning: Mask) -> Candidate:
        """Return, of those whose score is near the best, the one whose classes agree most with those of the others.

        Strokes cannot tell such settings apart. The middle one is far from the ends where a little more would fail.
        """
        scores = np.asarray([self._score(one, tuning) for one in found])
        limit = scores.max() - (NEAR if self.contest.on_strokes else 0)
        near = [one for one, score in zip(found, scores, strict=True) if score >= limit]
        if len(near) < 3:
            return found[int(scores.argmax())]
        agreement = agreements([self.classes_of(one, tuning) for one in near], self.contest.problem)
        return near[int(agreement.sum(axis=1).argmax())]

    def classes_of(self, found: Candidate, tuning: Mask) -> Classes:
        """Return the class of each sampled voxel, as a column; -1 where it is not known."""
        mapping = mapped(found.tally, self.contest.problem, tuning)
        labels = found.tally.labels
        at = np.minimum(np.searchsorted(labels, found.sample), len(labels) - 1)
        return np.where(labels[at] == found.sample, mapping[at], -1)

    # Running

    def _key(self, settings: Settings, tuning: Mask, rung: int) -> Key:
        return repr(sorted(settings.items())), rung, tuning.tobytes() if self.contestant.strokes else b""

    def candidate(self, settings: Settings, tuning: Mask, rung: int | None = None) -> Candidate:
        """Return what these settings give, on all of each image or on the part of a rung; it is run once."""
        rung = len(self.rungs) - 1 if rung is None else rung
        key = self._key(settings, tuning, rung)
        if key not in self.known:
            try:
                self.known[key] = self._run(settings, tuning, rung)
            except Cancelled:
                raise
            except Exception as error:
                self.known[key] = error
        found = self.known[key]
        if isinstance(found, Exception):
            raise found
        return found

    def _run(self, settings: Settings, tuning: Mask, rung: int) -> Candidate:
        contest, seconds = self.contest, 0.0
        counts: list[tuple[NDArray[Any], NDArray[Any]]] = []
        samples: list[NDArray[Any]] = []
        objects = np.zeros((len(contest.units), 4)) if self._numbers else None
        first = None
        for number, box in zip(contest.used, self.rungs[rung], strict=True):
            labels, ran = self._labels(settings, tuning, number, box)
            seconds += ran.get("seconds", math.nan)
            if first is None and not contest.rules.tune:
                first = plane_of(labels, contest.truths[number][box]), ran
            units = contest.units.maps[number][box]
            if objects is not None:
                for at in contest.matched_together(labels.shape):
                    objects += object_counts(
                        labels[at], contest.objects[number][box][at], units[at], len(contest.units)
                    )
            if self.contestant.kind == "mask":
                labels = (labels != 0).astype(np.uint8)
            counts.append(counted(labels, contest.truths[number][box], units, contest.problem))
            samples.append(labels.reshape(-1)[contest.sampled[number] % labels.size])
        tally = _joined(counts, contest, self.contestant.kind, objects)
        return Candidate(settings, tally, np.concatenate(samples), seconds, rung, first)

    def _labels(self, settings: Settings, tuning: Mask, number: int, box: Box) -> tuple[NDArray[Any], dict[str, Any]]:
        """Return the labels of one image, or of a box of it, and how they came about."""
        contest, recipe, image = self.contest, self.contestant.recipe, self.contest.images[number]
        if recipe is None:
            return self.contestant.labels[number][box], {}
        made = in_box(with_settings(recipe, settings), image, box)
        inputs = {name: image for name, role in made.roles.items() if role == "image"}
        for name in self.contestant.strokes:
            units = contest.units.maps[number]
            strokes = np.where((units >= 0) & tuning[units], contest.truths[number], 0)
            inputs[name] = in_place(strokes, recipe.selection, image.shape)
        result = execute(
            made,
            inputs,
            spacing=contest.spacing,
            device=contest.rules.device,
            is_cancelled=contest.is_cancelled,
            known=self.steps.setdefault(number, KnownSteps()),
        )
        wanted = contest.truths[number][box].shape
        if result.labels.shape != wanted:
            raise ValueError(f"the recipe gives labels of shape {result.labels.shape}, and truth has {wanted}")
        return result.labels, result.provenance

    def space(self, recipe: Recipe) -> list[Tried]:
        """Return what a search may try of a recipe."""
        found = (
            tried(number, param, self.contest.longest, self.contest.levels)
            for number, step in enumerate(recipe.steps, 1)
            for param in catalog.find(step.method).settings
        )
        return [one for one in found if one is not None]


def _joined(counts: Sequence[tuple[NDArray[Any], NDArray[Any]]], contest: Contest, kind: Kind, objects: Any) -> Tally:
    """Return the counts of all images."""
    names = np.unique(np.concatenate([labels for labels, _ in counts]))
    total = np.zeros((len(contest.units), len(names), len(contest.problem.classes)), np.int64)
    for labels, part in counts:
        total[:, np.searchsorted(names, labels)] += part
    return Tally(names, total, kind, objects)


def _said(mapping: Mapping[int, int]) -> str:
    """Say which labels were read as which classes, where they are not the same."""
    if all(label == found for label, found in mapping.items()):
        return ""
    runs: list[list[int]] = []  # first and last label, and their class
    for label, found in sorted(mapping.items()):
        if runs and runs[-1][1:] == [label - 1, found]:
            runs[-1][1] = label
        else:
            runs.append([label, label, found])
    words = (f"{first} to {last}: {found}" if first < last else f"{first}: {found}" for first, last, found in runs)
    return "labels read as " + ", ".join(words)
