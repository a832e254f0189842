"""One attempt of a run on a store: with one size of tiles, from the first sweep to labels in their place."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _device
from .._monitor import watch
from .._reading import is_path
from .._selection import Part, placed
from .._sources import Source as FileSource
from .._sources import fingerprint
from .._statistics import pooled
from .._stored import Stored as Saved
from .._writing import write_text
from ..blockwise import Chunks, Source, Stored, Written, regions_of, sweeping, write_labels
from ..blockwise._sweeps import n_tiles
from ..processing._links import Rule
from ..recipe import Recipe, as_dict, with_provenance
from ..stores import LabelsTarget, Place, is_store, is_url, open_image, smallest
from ._execute import Result, Steps, execute, keeps_labels, merged, provenance_of
from ._in_sweeps import InSweeps, in_sweeps
from ._journal import Journaled
from ._lineage import lineage, recipe_beside
from ._linking import Numbers, Pieces, decided, rule_of, with_facts
from ._parts import Parts
from ._records import Records
from ._run_plan import RunPlan
from ._store_inputs import Opened
from ._store_write import PartTarget, ScratchTarget, Shrinking, WrittenBefore, regions_to_write
from ._views import Eager, selection_of_part, source_of_part

if TYPE_CHECKING:
    from ._batch import Job

__all__ = ["Attempt", "Watchers", "keep_written", "write_beside", "written_to"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watchers:
    """Who is told of a run while it goes on.

    Parameters
    ----------
    on_plan : callable, optional
        Told the plan before the run begins.
    on_target : callable, optional
        Told the `LabelsTarget` before its first block is written.
    on_block : callable, optional
        Told the region of a block of the target when it is written.
    """

    on_plan: Callable[[RunPlan], None] | None = None
    on_target: Callable[[LabelsTarget], None] | None = None
    on_block: Callable[[tuple[slice, ...]], None] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """The labels of a part, not written yet."""

    labels: Source
    place: Part
    n_labels: int


@dataclass(slots=True, eq=False)
class Attempt:
    """One attempt of a run on a store.

    Parameters
    ----------
    job : Job
        What runs, and what was asked for.
    given : Opened
        On what.
    plan : RunPlan
        How.
    journal : Journaled
        Who runs the sweeps.
    target : mapping
        What `LabelsTarget.create` is given, but for the dtype.
    watchers : Watchers
        Who is told.
    """

    job: Job
    given: Opened
    plan: RunPlan
    journal: Journaled
    target: Mapping[str, Any]
    watchers: Watchers
    facts: dict[str, Any] = field(default_factory=dict)
    share: float = 0.0
    numbers: Numbers | None = None

    def run(self, run: Mapping[str, Any], notes: Callable[[], dict[str, Any]]) -> Result:
        """Run the recipe, write its labels and put them in place.

        Parameters
        ----------
        run : mapping
            By what the finished run is known again.
        notes : callable
            Tells what else is to be known of it.
        """
        start = time.perf_counter()
        found, provenance = self._whole() if self.plan.mode == "whole" else self._parts()
        target, written = self._written(found)
        self._pyramid(target)
        if isinstance(self.journal, Parts) and not self.journal.leads:
            self.journal.wait_for("end", "putting the labels in place")  # it is told of the end by Over
        provenance |= self._more(written, notes())
        provenance["seconds"] = round(time.perf_counter() - start, 4)
        self.journal.check()
        target.commit({"provenance": provenance, "run": dict(run)}, name=self.given.image.volume.name)
        write_beside(target.place, provenance)
        return Result(open_image(target.place).volume().data, provenance, written_to(target.place))

    # Labels -----------------------------------------------------------------------------------------

    @property
    def _arrays(self) -> dict[str, Eager]:
        return {name: Eager(view) for name, view in self.given.views.items()}

    @property
    def _shape(self) -> tuple[int, ...]:
        return self.given.views[self.given.recipe.source].shape

    @property
    def _spacing(self) -> tuple[float, ...] | None:
        return self.job.spacing or self.given.spacing

    def _whole(self) -> tuple[list[_Found], dict[str, Any]]:
        """Run the recipe on all of the image in memory."""
        result = execute(
            self.given.recipe,
            self._arrays,
            spacing=self._spacing,
            device=self.job.device,
            on_progress=self.job.on_progress,
            is_cancelled=self.job.is_cancelled,
        )
        place = tuple(slice(0, n) for n in result.labels.shape)
        return [_Found(Stored(result.labels), place, int(result.labels.max(initial=0)))], result.provenance

    def _parts(self) -> tuple[list[_Found], dict[str, Any]]:
        """Run the recipe in sweeps on every part of the image."""
        selection = self.given.image.selection
        parts, rule = selection.parts(self._shape), rule_of(self.given.recipe)
        recipe = replace(self.given.recipe, selection=selection_of_part(selection))

        def of_part(number: int) -> InSweeps:
            views = self.given.views.items()
            sources = {name: source_of_part(selection, view, parts[number], self.plan.device) for name, view in views}
            progress = self._progress(number, len(parts))
            return in_sweeps(
                recipe,
                sources,
                self.journal,
                spacing=self._spacing,
                links=rule is not None,
                on_progress=progress,
                is_cancelled=self.job.is_cancelled,
            )

        every = pooled(of_part, len(parts)) if selection.pooled else map(of_part, range(len(parts)))
        found, steps = [], []
        for part, one in zip(parts, every, strict=True):
            place = placed(part, selection.bounds(self._shape))
            known = 255 if one.labels.dtype == "uint8" else one.n_labels
            found.append(
                self._kept(one.labels, place)
                if known is None or rule or len(parts) > 1  # what is made of the arrays of one part is not held for all
                else _Found(one.labels, place, known)
            )
            steps.append(one.steps)
        told = merged(steps) if rule is None else self._linked(rule, found, merged(steps))
        choice = _device.Choice(self.job.device, self.plan.device, self.plan.reason)
        return found, provenance_of(self.given.recipe, self._arrays, told, choice, 0.0)

    def _linked(self, rule: Rule, found: Sequence[_Found], steps: Steps) -> Steps:
        """Find out which objects of all parts are one."""
        selection, sources = self.given.image.selection, [part.labels for part in found]
        places = [part.place for part in found]
        pieces = Pieces.of(sources, regions_of(self.journal.chunks(sources[0].shape)), places, selection, rule)
        with self._watched():
            self.numbers = decided(pieces.counted(self.journal), pieces, selection, rule)
        return with_facts(steps, self.numbers.facts)

    def _kept(self, labels: Source, place: Part) -> _Found:
        """Keep the labels of a part in scratch, and find out how many there are."""
        chunks = self.journal.chunks(labels.shape)
        with self._watched():
            array = self.journal.scratch(labels.shape, labels.dtype, chunks)
            written = write_labels(labels, ScratchTarget(array), regions_of(chunks), self.journal)
        return _Found(Stored(array), place, written.highest)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        with watch(self._progress(), self.job.is_cancelled) as monitor, sweeping(self.journal):
            yield
        self.facts |= monitor.facts

    def _progress(self, number: int = 0, n: int = 1) -> Callable[[str, float], None] | None:
        """Return who is told of the progress: of all sweeps, where it is known how many there are."""
        told = self.job.on_progress
        if told is None:
            return None
        of_part = f", part {number + 1} of {n}" if n > 1 else ""
        expected = (self.plan.sweeps or 0) * n

        def progress(stage: str, done: float) -> None:
            if not expected:
                told(stage + of_part, done)
                return
            self.share = min(max((self.journal.n_sweeps - 1 + done) / expected, self.share), 1.0)
            told(stage + of_part, self.share)

        return progress

    # The target -------------------------------------------------------------------------------------

    def _written(self, parts: Sequence[_Found]) -> tuple[LabelsTarget, Written]:
        """Write the labels of all parts to the target."""
        keeps = keeps_labels(self.given.recipe) or len(parts) == 1 or self.numbers is not None
        most = max(part.n_labels for part in parts) if keeps else sum(part.n_labels for part in parts)
        if self.numbers is not None:
            most = self.numbers.highest
        target, total = self._opened(smallest(most)), Written()
        for number, part in enumerate(parts):
            into = PartTarget(target, self.given.image.selection.kept_axes, part.place)
            tile = self.journal.chunks(part.labels.shape) if self.plan.mode == "tiles" else None
            regions = regions_to_write(part.labels.shape, into, tile)
            is_alone = len(parts) == 1 and self.numbers is None
            labels = self._known(part, into, tile) if is_alone else part.labels
            with self._watched(), self._telling(into, regions):
                n_before = 0 if keeps else total.highest
                table = None if self.numbers is None else self.numbers.of(number)
                total += write_labels(labels, into, regions, self.journal, n_before=n_before, numbers=table)
        return target, total

    def _known(self, part: _Found, into: PartTarget, tiles: Chunks | None) -> Source:
        """Return the labels of the only part, those of blocks from the target that other tiles have written."""
        records = self.journal.records
        written = records.get("written")
        if tiles is not None:
            records.put("writing", (self.journal.n_sweeps + 1, [list(sizes) for sizes in tiles]))
        return part.labels if written is None else WrittenBefore(part.labels, into, *written)

    @contextmanager
    def _telling(self, into: PartTarget, regions: Sequence[tuple[slice, ...]]) -> Iterator[None]:
        """Tell who watches of every block that is written."""
        told = self.watchers.on_block
        if told is not None:
            self.journal.on_tile = lambda number: told(into.region(regions[number]))
        try:
            yield
        finally:
            self.journal.on_tile = None

    def _opened(self, dtype: np.dtype[Any]) -> LabelsTarget:
        """Make the target, or open that which was made before."""
        records = self.journal.records
        if isinstance(self.journal, Parts) and not self.journal.leads:
            self.journal.wait_for("target", "making the target")
        self.journal.check()
        begun = records.get("target") == dtype.name
        make = LabelsTarget.reopen if begun else LabelsTarget.create
        target = make(layout=self.given.layout, dtype=dtype, **self.target)
        if not begun:
            records.remove("written")
            records.put("target", dtype.name)
        if self.watchers.on_target is not None:
            self.watchers.on_target(target)
        return target

    def _pyramid(self, target: LabelsTarget) -> None:
        """Fill the coarser levels of the target."""
        for level in range(1, len(target.levels)):
            work = Shrinking.of(target, level)
            with self._watched():
                self.journal.reduce(f"writing level {level} of the pyramid", work, len(work.regions), add)

    # How it came about ------------------------------------------------------------------------------

    def _more(self, written: Written, notes: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the provenance of labels in a store says beside that of others."""
        plan, given = self.plan, self.given
        own = replace(given.recipe, selection=given.image.recorded)
        recorded, sources = lineage(own, {name: _source(given, name) for name in given.views})
        tiles = f"{plan.n_tiles:,} tiles of {'x'.join(map(str, plan.tile))} voxels"
        source = given.given[given.recipe.source]
        found: dict[str, Any] = {
            "recipe": as_dict(recorded),
            "sources": {name: one.as_dict() for name, one in sources.items()},
            "n_labels": written.highest,
            "plan": {"mode": plan.mode, "tile": list(plan.tile), "n_tiles": plan.n_tiles, "n_parts": plan.n_parts},
        }
        if is_path(source):
            found["source"] = given.store.path if is_url(os.fspath(source)) else os.fspath(source)  # type: ignore[union-attr]
        if written.counts:
            found["n_voxels"] = list(written.counts)
        if plan.mode == "tiles":
            found["tiling"] = tiles
        if absent := given.absent():
            found["absent_chunks"] = absent
        plain: dict[str, Any] = json.loads(json.dumps(found | dict(notes)))  # as the store has it
        return plain


def keep_written(records: Records) -> None:
    """Remember which blocks of the target are there, before what sweeps have found is forgotten.

    Parameters
    ----------
    records : Records
        The journal.
    """
    if (writing := records.get("writing")) is None:
        return
    number, tiles = writing
    folder = f"sweeps/{number:05}"
    done = n_tiles(tiles) if records.get(f"{folder}/value") is not None else records.get(f"{folder}/sum", (0,))[0]
    before = records.get("written")
    if before is None or done * _first(tiles) > before[1] * _first(before[0]):
        records.put("written", (tiles, done))


def _first(tiles: Any) -> int:
    """Return the voxels of the first tile."""
    return math.prod(sizes[0] for sizes in tiles)


def written_to(place: Place) -> Path | str:
    """Return what a result says of where it was written: a path, or a URL without credentials."""
    return place.path if place.is_local else place.shown


def write_beside(place: Place, provenance: Mapping[str, Any]) -> None:
    """Write the recipe beside labels that are a store of their own on a local disk.

    Parameters
    ----------
    place : Place
        Where the labels are.
    provenance : mapping
        How they came about, with the recipe.
    """
    if place.is_local and not is_store(place.path.parent):
        recipe = Recipe.from_json(json.dumps(provenance["recipe"]))
        text = with_provenance(recipe, provenance, place.path.parent)
        write_text(recipe_beside(place.path), text, overwrite=True)


def _source(given: Opened, name: str) -> FileSource:
    """Return where an input came from, and by what it is known again if it was painted and is in memory."""
    view, source = given.views[name], given.given[name]
    source = source.path if isinstance(source, Saved) else source
    stored = getattr(view.base, "place", None)
    path = "" if not is_path(source) else os.fspath(source) if stored is None or stored.is_local else stored.shown
    painted = stored is None and given.recipe.roles[name] != "image" and view.dtype.kind in "biu"
    sha256 = fingerprint(view.read()) if painted else ""
    return FileSource(path=path, shape=view.shape, dtype=view.dtype.name, sha256=sha256)
