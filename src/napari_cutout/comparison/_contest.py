"""What contestants are judged by: images, their annotations, what is held out, and the rules."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._device import Asked
from .._monitor import Cancelled
from .._selection import Selection
from ..recipe import Recipe
from ._contestants import Contestant
from ._tallies import Metric, Problem
from ._units import Units, folds_of
from .leaderboard import Row

__all__ = ["Contest", "Rules"]

N_SAMPLED = 1 << 16
"""Voxels by which it is told how much the labels of equals agree."""

MARGIN = 32
"""Voxels around what is annotated that a search looks at first."""

SMALL = 1 << 18
"""Voxels of an image below which a search looks at all of it at once."""

Mask = NDArray[np.bool_]
Box = tuple[slice, ...]


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
    truth_is : {"objects", "classes"}, optional
        What the labels of truth mean; a guess by default.
    """

    metric: Metric
    tune: bool
    budget: int
    folds: int
    repeats: int
    seed: int
    device: Asked
    truth_is: Literal["objects", "classes"] | None = None


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
    selection : Selection, optional
        What of the images is run.
    is_cancelled : callable, optional
        Polled while methods run.

    Attributes
    ----------
    used : list of int
        The images on which something is annotated; no other is run.
    rungs : list of list of tuple of slice
        For each of those the box that a search looks at first, if these are small, and all of it.
    sampled : list of int64 arrays
        For each image the voxels at which labels are compared with each other.
    """

    images: Sequence[Any]
    truths: Sequence[NDArray[Any]]
    units: Units
    problem: Problem
    rules: Rules
    objects: Sequence[NDArray[Any]] = ()
    spacing: Sequence[float] | None = None
    levels: tuple[float, float] = (0.0, 0.0)
    selection: Selection | None = None
    is_cancelled: Callable[[], bool] | None = None
    used: list[int] = field(init=False)
    rungs: list[list[Box]] = field(init=False)
    sampled: list[NDArray[np.int64]] = field(init=False)
    _deals: list[NDArray[np.int64]] = field(init=False)

    def __post_init__(self) -> None:
        rules = self.rules
        self._deals = [folds_of(self.units, rules.folds, rules.seed + repeat) for repeat in range(rules.repeats)]
        rng = np.random.default_rng(rules.seed)
        total = sum(t.size for t in self.truths)
        self.sampled = [
            np.sort(rng.integers(0, max(1, t.size), max(1, N_SAMPLED * t.size // total))) for t in self.truths
        ]
        self.used = [number for number, units in enumerate(self.units.maps) if (units >= 0).any()]
        self.rungs = self._rungs()

    def _rungs(self) -> list[list[Box]]:
        whole = [tuple(slice(0, n) for n in self.truths[number].shape) for number in self.used]
        n_voxels = sum(self.truths[number].size for number in self.used)
        if n_voxels <= SMALL:
            return [whole]
        boxes = [annotated_box(self.units.maps[number]) for number in self.used]
        small = sum(math.prod(side.stop - side.start for side in box) for box in boxes)
        return [boxes, whole] if 3 * small <= n_voxels else [whole]

    @property
    def longest(self) -> float:
        """The longest side of what is run at a time, in edges of the smallest voxel."""
        n_axes = self.truths[0].ndim - (0 if self.selection is None else len(self.selection.each))
        spacing = np.ones(n_axes) if self.spacing is None else np.asarray(self.spacing, float)
        scale = spacing[-n_axes:] / spacing.min()
        return float(max(np.max(np.asarray(t.shape[-n_axes:]) * scale) for t in self.truths))

    def matched_together(self, shape: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        """Yield the parts of labels in which objects are matched: frames that are run one by one number their own."""
        chosen = self.selection
        if chosen is None or not chosen.each:
            yield (...,)
            return
        lengths = [n if axis in chosen.each else 1 for axis, n in zip(chosen.kept_axes, shape, strict=True)]
        for at in np.ndindex(*lengths):
            yield tuple(
                slice(i, i + 1) if axis in chosen.each else slice(None)
                for axis, i in zip(chosen.kept_axes, at, strict=True)
            )

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
        from ._trial import Trial  # which needs a contest itself

        try:
            if contestant.error:
                raise ValueError(contestant.error)
            if self.rules.metric in ("f1", "pq") and contestant.kind != "mask":
                raise ValueError("its labels are classes, and objects are scored; score it by dice or iou")
            return Trial(self, contestant).row()
        except Cancelled:
            raise
        except Exception as error:  # whatever a method, a driver or a full machine raises, the others go on
            sentence = " ".join(str(error).split()) or type(error).__name__
            return Row(contestant.name, contestant.recipe, note=contestant.note, error=sentence)

    def tuning_parts(self) -> Iterator[Mask]:
        """Yield, for every fold of every repeat, the units that may be looked at; all of them if there is one fold."""
        for fold in self._deals:
            for number in range(self.n_folds):
                yield fold != number if self.n_folds > 1 else np.ones(len(fold), bool)


def annotated_box(units: NDArray[np.int32]) -> Box:
    """Return the box of what is annotated, with a margin inside the image; all of it if nothing is."""
    box = []
    for axis in range(units.ndim):
        others = tuple(a for a in range(units.ndim) if a != axis)
        at = np.flatnonzero((units >= 0).any(axis=others))
        low, high = (at[0], at[-1] + 1) if len(at) else (0, units.shape[axis])
        box.append(slice(max(0, int(low) - MARGIN), min(units.shape[axis], int(high) + MARGIN)))
    return tuple(box)


def in_box(recipe: Recipe, image: Any, box: Box) -> Recipe:
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
