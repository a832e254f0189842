"""Objects of parts that were run one by one, such as frames, linked by overlap: the last step of a recipe that says so.

Parts are cut first, each by itself. Then they are looked at in pairs, region by region, and nothing but counts is
remembered; one decision gives every object of every part its number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import catalog
from .._array import to_numpy
from .._monitor import stage, tick
from .._plan import BLOCK_VOXELS, Slices
from .._selection import Part, Selection
from ..blockwise import Source, Stored, Sweeper
from ..processing._links import Counts, Links, Rule, counts_of, gathered, link, relabelled, total_of
from ..recipe import Recipe, Step, output_number

__all__ = ["Numbers", "Pieces", "decided", "link_in_memory", "of_classes", "rule_of", "with_facts", "with_link"]

Steps = list[dict[str, Any]]


def rule_of(recipe: Recipe) -> Rule | None:
    """Return how the objects of parts are linked, where the last step of a recipe does so.

    Parameters
    ----------
    recipe : Recipe
        What runs.

    Returns
    -------
    Rule or None
        None if all is run at once, or parts are numbered on and on.
    """
    if recipe.selection is None or not recipe.selection.each or not catalog.find(recipe.steps[-1].method).frames:
        return None
    return Rule(**recipe.steps[-1].complete_settings)


def with_link(recipe: Recipe, each: str) -> Recipe:
    """Return a recipe whose last step links what is run one by one.

    Parameters
    ----------
    recipe : Recipe
        What runs.
    each : str
        Which axes are run one by one, of ``"tz"``; frames may divide, slices do not.

    Returns
    -------
    Recipe
        With a last step `link_frames`, unless there is one.

    Raises
    ------
    ValueError
        If nothing is run one by one, or the recipe gives classes, of which there are no objects to link.
    """
    if catalog.find(recipe.steps[-1].method).frames:
        return recipe
    if not each:
        raise ValueError(
            "link joins the objects of frames or slices that are run one by one, and nothing is; pass each='t' or 'z'"
        )
    if method := of_classes(recipe):
        raise ValueError(
            f"{method} gives classes, and link joins objects; pass one_per_object=True, so that each has its number"
        )
    inputs = {"labels": f"step_{len(recipe.steps)}"}
    return replace(recipe, steps=[*recipe.steps, Step("link_frames", {"divisions": "t" in each}, inputs)])


def of_classes(recipe: Recipe) -> str:
    """Return the method whose classes a recipe gives; empty if it gives objects, or labels that were there."""
    number = len(recipe.steps)
    while number:
        step = recipe.steps[number - 1]
        if "one_per_object" in step.settings:
            return "" if step.settings["one_per_object"] else step.method
        kept = catalog.find(step.method).labels_from
        number = output_number(step.inputs[kept]) if kept else 0
    return ""


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where parts lie along the axes that are run one by one.

    Parameters
    ----------
    frames : tuple of int
        For every part, which of those along time it is; 0 where time is not run by parts.
    slices : tuple of int
        For every part, which of those along z it is.
    n_slices : int
        How many of these there are.
    """

    frames: tuple[int, ...]
    slices: tuple[int, ...]
    n_slices: int

    @classmethod
    def of(cls, parts: Sequence[Part], selection: Selection) -> _Grid:
        """Return it for all parts of a selection."""
        along = {axis: [part[i] for part in parts] for i, axis in enumerate(selection.kept_axes)}
        none: list[Any] = [0] * len(parts)
        t, z = (along[axis] if axis in selection.each else none for axis in "tz")
        slices = tuple(z_i - min(z) for z_i in z)
        return cls(tuple(t_i - min(t) for t_i in t), slices, max(slices) + 1)

    def number(self, part: int) -> int:
        """Return by what a part is known."""
        return self.frames[part] * self.n_slices + self.slices[part]

    def earlier(self, rule: Rule) -> list[tuple[int, ...]]:
        """Return for every part which others it is compared with: before it in time, and before it along z."""
        at = {place: part for part, place in enumerate(zip(self.frames, self.slices, strict=True))}
        back = range(1, rule.max_gap + 2)
        places = zip(self.frames, self.slices, strict=True)
        return [
            tuple(at[one] for one in [*((t - k, z) for k in back), *((t, z - k) for k in back)] if one in at)
            for t, z in places
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """Counts the objects of a region of a part, and what they share with those of other parts.

    Parameters
    ----------
    sources : mapping of int to Source
        The labels of every part, of one shape.
    regions : sequence of tuple of slice
        What of a part is looked at at a time.
    earlier : sequence of tuple of int
        For every part, with which others it is compared.
    numbers : sequence of int
        By what every part is known: slices of a frame follow each other.
    n_slices : int
        How many slices a frame has.
    """

    sources: dict[int, Source]
    regions: Sequence[Slices]
    earlier: Sequence[tuple[int, ...]]
    numbers: Sequence[int]
    n_slices: int

    @classmethod
    def of(
        cls,
        sources: Sequence[Source],
        regions: Sequence[Slices],
        parts: Sequence[Part],
        selection: Selection,
        rule: Rule,
    ) -> Pieces:
        """Return it for all parts of a selection."""
        grid = _Grid.of(parts, selection)
        numbers = [grid.number(part) for part in range(len(parts))]
        return cls(dict(enumerate(sources)), regions, grid.earlier(rule), numbers, grid.n_slices)

    def __len__(self) -> int:
        return len(self.numbers) * len(self.regions)

    def __call__(self, number: int) -> Counts:
        part, at = divmod(number, len(self.regions))
        region, shape = self.regions[at], self.sources[part].shape
        before = [(self.numbers[other], self._read(other, region)) for other in self.earlier[part]]
        return counts_of(self._read(part, region), before, self.numbers[part], [s.start for s in region], shape)

    def _read(self, part: int, region: Slices) -> NDArray[Any]:
        return to_numpy(self.sources[part].read(region))

    def only(self, number: int) -> Pieces:
        """Return the work of one region, with the parts that it is of and no others."""
        part = number // len(self.regions)
        return replace(self, sources={p: self.sources[p] for p in (part, *self.earlier[part])})

    def counted(self, sweeper: Sweeper) -> Counts:
        """Count all of them in one sweep."""
        return total_of(sweeper.reduce("linking objects", self, len(self), gathered))


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """The number of every object of every part.

    Parameters
    ----------
    links : Links
        Of parts by what they are known by.
    keys : sequence of int
        That of every part.
    facts : mapping of str to int
        What is to be known of them.
    """

    links: Links
    keys: Sequence[int]
    facts: dict[str, int]

    @property
    def highest(self) -> int:
        """The largest number."""
        return int(self.links.number.max(initial=0))

    def of(self, part: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the labels of a part, rising, and their numbers."""
        return self.links.table(self.keys[part])


def decided(counts: Counts, pieces: Pieces, selection: Selection, rule: Rule) -> Numbers:
    """Decide which objects of all parts are one: along z first, then in time.

    Parameters
    ----------
    counts : Counts
        Of all parts.
    pieces : Pieces
        What counted them.
    selection : Selection
        What they are parts of.
    rule : Rule
        When two are one; slices of one frame never divide where frames do.

    Returns
    -------
    Numbers
        From 1 by part of appearance, then by first voxel.
    """
    if set(selection.each) != set("tz"):
        links = link(counts, rule)
        return Numbers(links, pieces.numbers, links.facts)
    n = pieces.n_slices
    here = counts.pairs[0] // n == counts.pairs[1] // n
    slices = link(Counts(counts.objects, counts.pairs[:, here]), replace(rule, divisions=False))
    frames = link(_of_frames(counts, counts.pairs[:, ~here], slices, n, math.prod(pieces.sources[0].shape)), rule)
    table = np.zeros(int(slices.number.max(initial=0)) + 1, np.int64)
    table[frames.label] = frames.number
    return Numbers(replace(slices, number=table[slices.number]), pieces.numbers, frames.facts)


def _of_frames(counts: Counts, pairs: NDArray[np.int64], slices: Links, n: int, plane: int) -> Counts:
    """Return what frames tell of objects that go through their slices."""
    frame, _, size, first = counts.objects
    objects = np.stack([frame // n, slices.number, size, frame % n * plane + first])
    late, early = (_numbers_of(slices, pairs[0], pairs[3]), _numbers_of(slices, pairs[1], pairs[2]))
    return Counts.summed([Counts(objects, np.stack([pairs[0] // n, pairs[1] // n, early, late, pairs[4]]))])


def _numbers_of(slices: Links, frame: NDArray[np.int64], label: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of objects by part and label."""
    found, order = np.zeros(len(frame), np.int64), np.argsort(frame, kind="stable")
    parts, starts = np.unique(frame[order], return_index=True)
    for one, there in zip(parts, np.split(order, starts[1:]), strict=False):  # of no pairs there is one empty piece
        labels, numbers = slices.table(int(one))
        found[there] = numbers[np.searchsorted(labels, label[there])]
    return found


def link_in_memory(
    labels: NDArray[Any], parts: Sequence[Part], selection: Selection, rule: Rule
) -> tuple[NDArray[np.int32], dict[str, int]]:
    """Link the objects of parts of an array in memory.

    Parameters
    ----------
    labels : array
        The labels of all parts, each numbered by itself; it may be overwritten.
    parts : sequence of Part
        Where they lie in it.
    selection : Selection
        What they are parts of.
    rule : Rule
        When two are one.

    Returns
    -------
    labels : int32 array
        With one number for one object.
    facts : dict
        How many there are.
    """
    stage("linking objects")
    sources = [Stored(labels[part]) for part in parts]
    pieces = Pieces.of(sources, _slabs(sources[0].shape), parts, selection, rule)
    found = [Counts.none()]
    for number in range(len(pieces)):
        tick(number, len(pieces))
        found.append(pieces(number))
    numbers = decided(Counts.summed(found), pieces, selection, rule)
    stage("numbering objects")
    out = labels if labels.dtype == np.int32 else np.zeros(labels.shape, np.int32)
    for at, part in enumerate(parts):
        tick(at, len(parts))
        out[part] = relabelled(labels[part], *numbers.of(at))
    return out, numbers.facts


def _slabs(shape: Sequence[int]) -> list[Slices]:
    """Return parts of an array along its first axis, so that what is looked at at a time is small."""
    thick = max(BLOCK_VOXELS * shape[0] // math.prod(shape), 1)
    rest = tuple(slice(0, n) for n in shape[1:])
    return [(slice(start, min(start + thick, shape[0])), *rest) for start in range(0, shape[0], thick)]


def with_facts(steps: Steps, facts: dict[str, int]) -> Steps:
    """Return what steps did, with what the last one, which links, found out."""
    return [*steps[:-1], {**steps[-1], "facts": {**steps[-1]["facts"], **facts}}]
