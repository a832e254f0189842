"""What a preview computes: the labels of what is in view, as the run would give them.  Plain data, no Qt."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import catalog
from .._monitor import stage, watch
from .._place import lying_at
from .._plan import reduce_blocks
from .._selection import Box, Selection
from .._statistics import Enough, Gathering, Key, Known, current, pooled, swept, using
from ..methods._grey_levels import Histogram, counting
from ..processing.features import SCALES_ALLOWED
from ..recipe import Recipe, Step
from ..running._execute import execute, keeps_labels, renumbered
from ._found import counted, n_labels
from ._known_statistics import Found, Reach, StatisticsCache, Whole, settings_before_the_cut
from ._planes import COVERING, ON_PLANES, plane_of, settings_on_a_plane
from ._preview_arrays import DrawnMask, in_memory, levels, read, sample_of
from ._preview_region import Region, region_of, widened
from ._view import View

__all__ = ["PartInView", "PreviewAnswer", "PreviewJob", "Wanted", "parts_of"]

OnProgress = Callable[[str, float], None]
IsCancelled = Callable[[], bool]

CONNECTING = frozenset({"filling holes", "numbering objects", "connecting voxels"})
"""Stages that look as far as an object reaches, so that a part of an image may give other labels than the whole."""

PREDICTING = frozenset({"predicting"})
"""The stage of a trained network: it scales grey levels by those of the whole image, and looks far around a voxel."""

FLOODING = frozenset({"ordering grey levels", "looking for minima", "measuring distances", "looking at grey levels"})
"""Stages that look as far as there is anything, so that a part of an image gives other labels than the whole."""

FLOODED_VOXELS = 1 << 21
"""Voxels in memory that are flooded whole, though only a part of them is in view; it takes some tenths of a second."""

TINY = 4
"""Edge of the sample on which steps are tried to learn how far they look."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Statistics of a whole that were missing.

    Parameters
    ----------
    whole : Whole
        What they are of.
    keys : frozenset of Key
        What was asked.
    level : int
        On which level of the pyramid it was asked.
    """

    whole: Whole
    keys: frozenset[Key]
    level: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class PreviewAnswer:
    """Labels of what is in view.

    Parameters
    ----------
    labels : integer array
        One axis per axis of the image but c; those that are not displayed have length 1.
    start : tuple of int
        First index along every axis, on the level on which it was computed.
    level : int
        That level.
    factor : tuple of float
        How many voxels of the run's level one of these spans, along every axis; 1 unless they are on a lower level.
    facts : mapping
        What the steps found out, such as the threshold.
    approximate : str
        Why the labels may differ from those of the run, in a few words; empty if they cannot.
    wanted : tuple of Wanted
        Statistics that would make it exact; `PreviewJob.gather` finds them.
    count : str
        How many objects, minima or markers there are, for a method that counts them.
    """

    labels: NDArray[Any]
    start: tuple[int, ...]
    level: int
    factor: tuple[float, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    approximate: str = ""
    wanted: tuple[Wanted, ...] = ()
    count: str = ""


@dataclass(frozen=True, slots=True)
class PreviewJob:
    """What a preview is asked for.  It is cheap to make: nothing is read or copied until it runs.

    Parameters
    ----------
    recipe : Recipe
        What the run would run, with its selection.
    inputs : mapping of str to array or list of arrays
        The whole arrays by the recipe's names: NumPy, dask or zarr. For a pyramid, the image is the list of its
        levels from full resolution down; all else lies on the level that the selection names. A mask may be a
        `DrawnMask`.
    view : View
        What is shown of the image, in voxels of its first level, along all axes of its layer.
    tokens : mapping of str to hashable
        By which the contents of an input are known again; by default by the array itself, which does not hear of
        what is painted into it. Under other names, those of what else an input is made of.
    """

    recipe: Recipe
    inputs: Mapping[str, Any]
    view: View
    tokens: Mapping[str, Hashable] = field(default_factory=dict)

    def run(self, cache: StatisticsCache, on_progress: OnProgress, is_cancelled: IsCancelled) -> PreviewAnswer:
        """Compute what is in view; call it in a thread of its own.

        Parameters
        ----------
        cache : StatisticsCache
            What is known of whole images.
        on_progress : callable
            Called with a stage and the fraction of it that is done.
        is_cancelled : callable
            Polled between blocks.

        Returns
        -------
        PreviewAnswer
            Equal to the same voxels of the run where it is not approximate.

        Raises
        ------
        Cancelled
            If `is_cancelled` returned True.
        ValueError
            If nothing is in view, or the method refuses what it gets.
        """
        region, parts = parts_of(self)
        found = [part.run(cache, on_progress, is_cancelled) for part, _ in parts]
        labels, n_objects = np.zeros(region.shape, found[0].labels.dtype), 0
        for (_, at), one in zip(parts, found, strict=True):
            numbered = one.labels if keeps_labels(self.recipe) else renumbered(one.labels, n_objects)
            labels[at] = numbered.reshape(labels[at].shape)
            n_objects = max(n_objects, int(labels[at].max(initial=0)))
        notes = dict.fromkeys(note for one in found for note in (region.approximate, *one.notes) if note)
        wanted = tuple(one.wanted for one in found if one.wanted is not None)
        start = tuple(a for a, _ in region.box)
        whole = len(found) == 1 and found[0].whole
        count = counted(found[0].facts, n_labels(labels), in_view(region, self.selection), whole=whole)
        approximate, wanted = "; ".join(notes), tuple(dict.fromkeys(wanted))
        return PreviewAnswer(labels, start, region.level, region.factor, found[0].facts, approximate, wanted, count)

    def gather(
        self, wanted: Wanted, cache: StatisticsCache, on_progress: OnProgress, is_cancelled: IsCancelled
    ) -> Found:
        """Find statistics of the whole and remember them; call it in a thread of its own.

        Arrays in memory are looked at whole, in blocks. Of others, no more is computed than a lower level of the
        pyramid or a few slices.

        Parameters
        ----------
        wanted : Wanted
            What a preview was missing.
        cache : StatisticsCache
            Where it is remembered.
        on_progress : callable
            Called with a stage and the fraction of it that is done.
        is_cancelled : callable
            Polled between blocks.

        Returns
        -------
        Found
            What was found.

        Raises
        ------
        Cancelled
            If `is_cancelled` returned True.
        ValueError
            If the method refuses what it gets.
        """
        # What is learnt of lengths in voxels holds on the level where it was asked, and on no other.
        by_scale = any(step.settings.get("scales") for step in self.recipe.steps)
        filtered, level = bool(wanted.whole.settings) or by_scale, wanted.level if by_scale else None
        sample = sample_of(self._ordered, self.selection, wanted.whole.at, filtered=filtered, level=level)
        recipe = Recipe(scaled(self.recipe.steps, sample.factor, self.selection), self.selection.of_part)

        unit = unit_of(self.recipe.steps[-1], sample.factor, self.selection)

        def run(number: int) -> None:
            arrays = sample.read(number)
            with lying_at(sample.origin(number), unit):
                execute(recipe, arrays, device="cpu", on_progress=on_progress, is_cancelled=is_cancelled)

        found = Found(_gathered(run, len(sample.parts), set(wanted.keys)), sample.approximate)
        cache.put(wanted.whole, found)
        return found

    def count(self, cache: StatisticsCache, on_progress: OnProgress, is_cancelled: IsCancelled) -> Histogram:
        """Return the histogram of the image as it is, inside its mask, and remember it; call it in a thread.

        Parameters
        ----------
        cache : StatisticsCache
            Where it is remembered.
        on_progress : callable
            Called with a stage and the fraction of it that is done.
        is_cancelled : callable
            Polled between blocks.

        Returns
        -------
        Histogram
            Of the whole, or of a sample where `cache` says so.

        Raises
        ------
        Cancelled
            If `is_cancelled` returned True.
        ValueError
            If no voxel can be counted, or several channels are looked at together.
        """
        if self.selection.channel == "all":
            raise ValueError("all channels are taken together, and a histogram is of one; choose a channel to see it")
        whole = self.counted_whole()
        if (known := cache.histogram(whole)) is not None:
            return known
        counted = {name: a for name, a in self._ordered.items() if name in (self.source, "mask")}
        sample = sample_of(counted, self.selection, whole.at, filtered=False)

        def summary(sweep: Any, state: Any) -> Any:
            stage(sweep.name)
            total = None
            for number in range(len(sample.parts)):
                image, mask = [*sample.read(number).values(), None][:2]
                one = reduce_blocks(sweep, state, [image, mask])
                total = one if number == 0 else sweep.combine(total, one)
            return total

        start, sweeps = counting(_like(self.inputs[self.source], self.selection))
        with watch(on_progress, is_cancelled):
            bins = swept(start, sweeps, summary)
        cache.put(whole, Found({("1", *(s.name for s in sweeps), repr(start)): bins}, sample.approximate))
        return bins.histogram()  # type: ignore[no-any-return]

    @property
    def selection(self) -> Selection:
        """What the run works on."""
        if self.recipe.selection is not None:
            return self.recipe.selection
        return Selection("zyx"[-levels(self.inputs[self.source])[0].ndim :])

    @property
    def source(self) -> str:
        """The name of the input that the labels lie on."""
        return self.recipe.inputs[0]

    @property
    def by_planes(self) -> bool:
        """True if the method looks as far as there is anything: it is run on what is in view alone."""
        return len(self.recipe.steps) == 1 and self.recipe.steps[0].method in ON_PLANES

    @property
    def covers(self) -> bool:
        """True if its regions cover the image."""
        return self.recipe.steps[-1].method in COVERING

    @property
    def drawn(self) -> Hashable:
        """What is equal as long as the same outlines are drawn to look into; None if there are none."""
        mask = self.inputs.get("mask")
        return mask.token if isinstance(mask, DrawnMask) else None

    @property
    def _ordered(self) -> dict[str, Any]:
        """The inputs, the image first."""
        return {name: self.inputs[name] for name in self.recipe.inputs}

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shape of every level, along every axis but c."""
        return [
            tuple(n for n, axis in zip(array.shape, self.selection.axes, strict=True) if axis != "c")
            for array in levels(self.inputs[self.source])
        ]

    @property
    def kept_view(self) -> View:
        """What is shown, along every axis but c."""
        axes = self.selection.axes
        if len(self.view.point) == len(self.selection.kept_axes):
            return self.view
        return self.view.without(axes.index("c"))

    def whole(
        self, part: Sequence[slice | int], factor: Sequence[float], settings: tuple[tuple[str, Any], ...]
    ) -> Whole:
        """Return what the statistics for a part are of; `factor` leads from its level to that of the run."""
        chosen = self.selection
        steps = zip(part, factor, strict=True)
        at = () if chosen.pooled else tuple(int(i * f) for i, f in steps if isinstance(i, int))
        tokens = self._tokens(self.recipe.inputs)
        return Whole(tokens, chosen.axes, chosen.each, chosen.channel, chosen.level, chosen.box, at, settings)

    def counted_whole(self) -> Whole:
        """Return what the histogram is of: the image inside its mask, of the frame in view or of all if pooled."""
        region = region_of(self.selection, self.shapes, self.kept_view)
        chosen = Selection(self.selection.kept_axes, each=self.selection.each, box=region.box)
        part = chosen.parts(self.shapes[region.level])[0]
        tokens = self._tokens([n for n in self.recipe.inputs if n in (self.source, "mask")])
        return replace(self.whole(part, region.factor, ()), tokens=tokens)

    def _tokens(self, names: Sequence[str]) -> tuple[Hashable, ...]:
        """Return what is equal as long as the inputs hold the same; a mask that is drawn has no array to know it by."""
        held = {n: a.painted if isinstance(a := self.inputs[n], DrawnMask) else a for n in names}
        beside = (token for name, token in self.tokens.items() if name not in self.inputs)
        return (*(self.tokens.get(n, None if a is None else id(a)) for n, a in held.items()), *beside, self.drawn)


# One part -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Labelled:
    """The labels of one part in view, and what is to be said of them."""

    labels: NDArray[Any]
    facts: Mapping[str, Any]
    notes: tuple[str, ...]
    wanted: Wanted | None
    whole: bool = False


def parts_of(job: PreviewJob) -> tuple[Region, list[tuple[PartInView, tuple[slice, ...]]]]:
    """Return what of a job is in view, its frames or slices, and where each lies in what is in view.

    Parameters
    ----------
    job : PreviewJob
        What was asked for.

    Returns
    -------
    region : Region
        What is computed.
    parts : list of tuple of PartInView and tuple of slice
        What is run at a time, and its index in an array of the region's shape.

    Raises
    ------
    ValueError
        If nothing is in view.
    """
    region = region_of(job.selection, job.shapes, job.kept_view, by_planes=job.by_planes)
    steps = scaled(job.recipe.steps, region.factor, job.selection)
    chosen = Selection(job.selection.kept_axes, each=job.selection.each, box=region.box)
    parts = []
    for part in chosen.parts(job.shapes[region.level]):
        at = tuple(
            slice(i - a, i - a + 1) if isinstance(i, int) else slice(i.start - a, i.stop - a)
            for i, (a, _) in zip(part, region.box, strict=True)
        )
        parts.append((PartInView(job, region, steps, part), at))
    return region, parts


@dataclass(frozen=True, slots=True)
class PartInView:
    """What is in view of one frame or slice, or of the volume.

    Parameters
    ----------
    job : PreviewJob
        What was asked for.
    region : Region
        What is computed of it.
    steps : tuple of Step
        What runs on the level of the region.
    part : tuple of slice or int
        Where the part lies on that level, along every axis but c.
    """

    job: PreviewJob
    region: Region
    steps: tuple[Step, ...]
    part: tuple[slice | int, ...]

    def run(self, cache: StatisticsCache, on_progress: OnProgress, is_cancelled: IsCancelled) -> _Labelled:
        """Label it, with as much around it as the steps look at."""
        if self.job.by_planes:
            if self._lacks_markers(self._here.box):
                return self._blank(f"no markers {in_view(self.region, self.job.selection)}")
            return self._label(self._here.box, cache, on_progress, is_cancelled)[0]
        reach = self._reach(cache, is_cancelled)
        while True:
            box, fits = widened(self._here, _by_axis(reach.width, self.job.selection))
            if reach.floods:
                if self._can_be_whole():
                    box, fits = self._all, True
                elif self._lacks_markers(box):
                    return self._blank(f"no markers {in_view(self.region, self.job.selection)}")
            found, seen = self._label(box, cache, on_progress, is_cancelled)
            if seen.within(reach):
                break
            reach = seen  # the sample was refused before all steps had said how far they look
            cache.keep_reach(self._settings, reach)
        return found if fits else replace(found, notes=(*found.notes, "a smaller neighbourhood than in the run"))

    def looked_at(
        self,
        look: Callable[[Mapping[str, NDArray[Any]]], NDArray[Any]],
        cache: StatisticsCache,
        is_cancelled: IsCancelled,
    ) -> tuple[NDArray[Any], bool]:
        """Make something else of it than labels, with as much around it as the steps look at.

        Parameters
        ----------
        look : callable
            From the inputs to an array of their shape, without channels.
        cache : StatisticsCache
            Where it is remembered how far the steps look.
        is_cancelled : callable
            Polled between blocks.

        Returns
        -------
        found : array
            What it made of the part.
        fits : bool
            False if there was no room for all that the steps look at.
        """
        reach = self._reach(cache, is_cancelled)
        box, fits = widened(self._here, _by_axis(reach.width, self.job.selection))
        with self._lying(box):
            return look(self._read(box))[self._inner(box)], fits

    def _blank(self, note: str, wanted: Wanted | None = None) -> _Labelled:
        """Return no labels, and why."""
        seen = [stop - start for (start, stop), axis in self._along_axes if axis not in self.job.selection.each]
        return _Labelled(np.zeros(seen, np.uint8), {}, (note,), wanted)

    @property
    def _along_axes(self) -> list[tuple[tuple[int, int], str]]:
        return list(zip(self._here.box, self.job.selection.kept_axes, strict=True))

    @property
    def _all(self) -> Box:
        """All that the run sees at a time, on the level that is computed."""
        each, ends = self.job.selection.each, zip(self._along_axes, self.region.bounds, strict=True)
        return tuple(here if axis in each else outer for (here, axis), outer in ends)

    def _can_be_whole(self) -> bool:
        """Tell whether all that the run sees at a time may be flooded for what is in view of it."""
        level = self.region.level
        held = [levels(array) for array in self.job._ordered.values()]
        small = math.prod(stop - start for start, stop in self._all) <= FLOODED_VOXELS
        return small and all(in_memory(pyramid[min(level, len(pyramid) - 1)]) for pyramid in held)

    def _lacks_markers(self, box: Box) -> bool:
        """Tell whether a part of what the run sees holds no markers, though the whole may."""
        roles = self.job.recipe.roles
        names = [name for name, role in roles.items() if role == "markers"]
        if not names or self._covers(box):
            return False
        held = {name: array for name, array in self._read(box).items() if roles[name] in ("markers", "mask")}
        inside = [held[name] != 0 for name in held if roles[name] == "mask"]
        return not all(np.all([held[name] != 0, *inside], axis=0).any() for name in names)

    def _label(
        self, box: Box, cache: StatisticsCache, on_progress: OnProgress, is_cancelled: IsCancelled
    ) -> tuple[_Labelled, Reach]:
        """Return the labels of what is in view, from what lies in a box, and how far the steps have looked."""
        whole = self.job.whole(self.part, self.region.factor, settings_before_the_cut(self.job.recipe))
        complete, known = self._complete(box), cache.get(whole)
        exact = complete and not self.job.selection.pooled  # then there is nothing to be learnt from elsewhere
        asked = _Recorder({} if exact and known.approximate else dict(known.states))
        stages: set[str] = set()

        def heard(stage: str, done: float) -> None:
            stages.add(stage)
            on_progress(stage, done)

        run = self._on_plane if self.job.by_planes else self._executed
        try:
            with using(asked), self._lying(box):
                labels, facts = run(box, cache, heard, is_cancelled)
        except ValueError:
            if exact or not asked.missing:
                raise
            # A slice may be too plain by itself, such as one without objects, where the whole is not.
            wanted = Wanted(whole, frozenset(asked.missing), self.region.level)
            return self._blank("what is in view is too plain by itself", wanted), self._looked(asked, stages)
        notes, missing = self._judge(cache, whole, asked, complete, stages)
        if (stages & FLOODING or self.job.by_planes) and not self._covers(box):
            notes = (*notes, self._by_itself(box))
        labels = np.ascontiguousarray(labels[self._inner(box)])
        return _Labelled(labels, facts, notes, missing, self._covers(box)), self._looked(asked, stages)

    def _executed(
        self, box: Box, cache: StatisticsCache, on_progress: OnProgress, is_cancelled: IsCancelled
    ) -> tuple[NDArray[Any], Mapping[str, Any]]:
        """Run the steps on what lies in a box, and return what they noted as well."""
        arrays = {name: np.array(a) for name, a in self._read(box).items()}
        result = execute(self._recipe, arrays, device="cpu", on_progress=on_progress, is_cancelled=is_cancelled)
        return result.labels, result.provenance["facts"]

    def _on_plane(
        self, box: Box, cache: StatisticsCache, on_progress: OnProgress, is_cancelled: IsCancelled
    ) -> tuple[NDArray[Any], Mapping[str, Any]]:
        """Run the method on a box without the axes that are not shown, with what is held ready of it."""
        job, (step,) = self.job, self.steps
        hidden = [job.selection.kept_axes[at] for at in _hidden(self.region, job.selection)[0]]
        plane = plane_of(job.selection, hidden)
        held = self._read(box)
        arrays = {name: np.array(plane.flat(held[source])) for name, source in step.inputs.items()}
        along = list(zip(job.selection.kept_axes, box, self._all, strict=True))
        lengths = dict(zip(job.selection.run_axes, step.settings.get("spacing") or (1.0,) * 3, strict=False))
        whole = [(b - a) * lengths[axis] for axis, _, (a, b) in along if axis in lengths]
        seen = [(b - a) * lengths[axis] for axis, (a, b), _ in along if axis in lengths and axis not in hidden]
        settings = plane.settings(settings_on_a_plane(step.settings, whole, seen))
        tokens = {name: job._tokens([source]) for name, source in step.inputs.items()}
        with watch(on_progress, is_cancelled) as told:
            where = {"level": self.region.level, "box": (box, job.selection.channel, plane)}
            session = cache.ready.session(step.method, arrays, settings, {**tokens, **where})
            labels = session.labels(arrays, settings)
        seen_shape = [b - a for axis, (a, b), _ in along if axis in job.selection.run_axes]
        return labels.reshape(seen_shape), {name: fact for name, fact in told.facts.items() if name != "method"}

    @property
    def _here(self) -> Region:
        """The part of the region that this part is."""
        return replace(self.region, box=tuple(_ends(i) for i in self.part))

    def _inner(self, box: Box) -> tuple[slice, ...]:
        """Return where what is in view lies in what was read."""
        chosen = self.job.selection
        ends = zip(self._here.box, box, chosen.kept_axes, strict=True)
        return tuple(slice(a - low, b - low) for (a, b), (low, _), axis in ends if axis not in chosen.each)

    def _complete(self, box: Box) -> bool:
        """Tell whether a box holds all that the run sees at a time."""
        return not self.region.scaled and self._covers(box)

    def _covers(self, box: Box) -> bool:
        """Tell whether a box holds all that the run sees at a time, on the level that is computed."""
        return tuple(box) == tuple(self._all)

    def _by_itself(self, box: Box) -> str:
        """Say what is flooded that is not all that the run floods."""
        hidden, shown = _hidden(self.region, self.job.selection)
        if not hidden or any(box[at] != self._all[at] for at in shown):
            return "what is in view by itself"
        if self.job.by_planes:
            return "this slice by itself, in 2-D"
        thick = max(box[at][1] - box[at][0] for at in hidden)
        return "this slice by itself" if thick == 1 else f"this slice and {thick - 1} beside it by themselves"

    def _judge(
        self, cache: StatisticsCache, whole: Whole, asked: _Recorder, complete: bool, stages: set[str]
    ) -> tuple[tuple[str, ...], Wanted | None]:
        """Say what is not as in the run, and which statistics would help."""
        notes, wanted = [], None
        if asked.missing and complete and not self.job.selection.pooled:
            cache.put(whole, Found({key: asked.states[key] for key in asked.missing}))
        elif asked.missing:
            notes.append("statistics of what is in view")
            wanted = Wanted(whole, frozenset(asked.missing), self.region.level)
        elif asked.n_known and (of := cache.get(whole).approximate):
            notes.append(f"statistics of {of}")
        if stages & PREDICTING and not complete:
            notes.append("the network sees what is in view only")
        if stages & CONNECTING and not complete and not stages & FLOODING:
            notes.append("objects are followed in view only")
        return tuple(notes), wanted

    def _reach(self, cache: StatisticsCache, is_cancelled: IsCancelled) -> Reach:
        """Return how far the steps look, as it is known, or as a tiny sample shows."""
        if (known := cache.reach(self._settings)) is not None:
            return known
        box = tuple((a, min(b, a + TINY)) for a, b in (_ends(i) for i in self.part))
        asked = _Recorder({})
        stages: set[str] = set()
        # A sample may be refused, such as one of a single grey level, but not before the steps have said how far.
        with suppress(ValueError), using(asked):
            execute(
                self._recipe,
                self._read(box),
                device="cpu",
                on_progress=lambda stage, _: stages.add(stage),
                is_cancelled=is_cancelled,
            )
        reach = self._looked(asked, stages)
        cache.keep_reach(self._settings, reach)
        return reach

    def _looked(self, asked: _Recorder, stages: set[str]) -> Reach:
        """Return how far the steps have looked, as far as they got."""
        return Reach(asked.reach or (0,) * len(self.job.selection.run_axes), bool(stages & FLOODING))

    def _lying(self, box: Box) -> AbstractContextManager[None]:
        """Say where a box lies in all that the run sees at a time."""
        seen = zip(box, self._all, self.job.selection.kept_axes, strict=True)
        origin = [start - first for (start, _), (first, _), axis in seen if axis not in self.job.selection.each]
        return lying_at(origin, unit_of(self.job.recipe.steps[-1], self.region.factor, self.job.selection))

    @property
    def _recipe(self) -> Recipe:
        """What runs on what was read of this part."""
        return Recipe(self.steps, self.job.selection.of_part)

    @property
    def _settings(self) -> Hashable:
        seen = self.job.selection.run_axes, self.job.selection.channel_axis
        return seen, tuple((s.method, tuple(sorted(s.settings.items()))) for s in self.steps)

    def _read(self, box: Box) -> dict[str, NDArray[Any]]:
        """Copy what lies in a box, without the axes that are run one index at a time."""
        index = tuple(
            a if axis in self.job.selection.each else slice(a, b)
            for (a, b), axis in zip(box, self.job.selection.kept_axes, strict=True)
        )
        return read(self.job._ordered, self.job.selection, self.region.level, self.region.factor, index)


@dataclass(slots=True)
class _Recorder(Known):
    """Known statistics, and what was found where they were missing."""

    n_known: int = 0

    def state(self, key: Key, start: Any, sweeps: Sequence[Any], summary: Callable[[Any, Any], Any]) -> Any:
        """Return what is known, else what the arrays at hand say, and keep it."""
        self.n_known += key in self.states
        state = self.states[key] = Known.state(self, key, start, sweeps, summary)
        return state


def _ends(index: slice | int) -> tuple[int, int]:
    return (index, index + 1) if isinstance(index, int) else (index.start, index.stop)


def _hidden(region: Region, selection: Selection) -> tuple[list[int], list[int]]:
    """Return the axes along which the run sees more than the one index in view, and the others that it sees."""
    seen = [at for at, axis in enumerate(selection.kept_axes) if axis not in selection.each]
    hidden = [at for at in seen if region.shape[at] == 1 != region.bounds[at][1] - region.bounds[at][0]]
    return hidden, [at for at in seen if at not in hidden]


def in_view(region: Region, selection: Selection) -> str:
    """Say what is in view of all that the run sees at a time; empty if that is all of it."""
    hidden, shown = _hidden(region, selection)
    if any(region.box[at] != region.bounds[at] for at in shown):
        return "in view"
    return "in this slice" if hidden else ""


def _by_axis(reach: Sequence[int], selection: Selection) -> tuple[int, ...]:
    """Return how far the steps look along every axis but c."""
    waiting = iter(reach)
    return tuple(0 if axis in selection.each else next(waiting, 0) for axis in selection.kept_axes)


def _like(source: Any, selection: Selection) -> NDArray[Any]:
    """Return an empty image of the dtype that the method gets."""
    dtype = np.float32 if selection.channel == "grey" else levels(source)[0].dtype
    return np.zeros((1, 1), dtype)


def _gathered(run: Callable[[int], None], n: int, wanted: set[Key]) -> dict[Key, Any]:
    """Return statistics that all parts of a sample share, without a run beyond them."""
    if n == 1:
        gathering = Gathering(wanted)
        with suppress(Enough), using(gathering):
            run(0)
        return gathering.states
    found: dict[Key, Any] = {}

    def swept_run(number: int) -> None:
        asked = current()
        assert asked is not None
        found.update(asked.statistics.states)  # type: ignore[attr-defined]
        if wanted <= found.keys():
            raise Enough
        run(number)

    with suppress(Enough):
        next(pooled(swept_run, n))
    return found


# On a lower level of the pyramid --------------------------------------------------------------------------


def scaled(steps: Sequence[Step], factor: Sequence[float], selection: Selection) -> tuple[Step, ...]:
    """Return steps whose lengths and sizes, which count voxels, mean the same on a lower level of the pyramid.

    Parameters
    ----------
    steps : sequence of Step
        As the run would run them.
    factor : sequence of float
        How many voxels one voxel of the lower level spans, along every axis but c.
    selection : Selection
        Which of the axes the method sees.

    Returns
    -------
    tuple of Step
        Values are moved into the range of their setting where they would leave it.
    """
    if all(f == 1 for f in factor):
        return tuple(steps)
    return tuple(_scaled_step(step, _seen(factor, selection)) for step in steps)


def unit_of(step: Step, factor: Sequence[float], selection: Selection) -> float:
    """Return how many edges of the smallest voxel one of a lower level spans."""
    fine, coarse = _spacings(step, _seen(factor, selection))
    return min(coarse) / min(fine)


def _seen(factor: Sequence[float], selection: Selection) -> list[float]:
    return [f for axis, f in zip(selection.kept_axes, factor, strict=True) if axis in selection.run_axes]


def _spacings(step: Step, factor: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    fine = step.settings.get("spacing") or (1.0,) * len(factor)
    return fine, tuple(s * f for s, f in zip(fine, factor, strict=True))


def _scaled_step(step: Step, factor: Sequence[float]) -> Step:
    entry = catalog.find(step.method)
    fine, coarse = _spacings(step, factor)
    settings = {**step.settings, "spacing": coarse}
    for param in entry.settings:
        value, text = settings.get(param.name), entry.describe(param.name)
        if value and param.name == "scales":
            settings["scales"] = _rising([v * min(fine) / min(coarse) for v in value])
        if not value or param.type not in (int, float) or isinstance(value, str):
            continue
        if "edges of the smallest voxel" in text:
            value = value * min(fine) / min(coarse)
        elif "fewer voxels" in text:
            value = value / math.prod(factor)
        limits = param.range
        value = value if limits is None else min(max(value, limits.min), limits.max)
        settings[param.name] = round(value) if param.type is int else value
    return Step(step.method, settings, step.inputs)


def _rising(scales: Sequence[float]) -> tuple[float, ...]:
    """Return scales of features that are allowed and rise, as close to these as can be."""
    found: list[float] = []
    for number, scale in enumerate(scales):
        limits = SCALES_ALLOWED.each
        assert limits is not None
        found.append(min(max(scale, limits.min * (1 + number / 1024), *found[-1:]), limits.max))
    return tuple(found)
