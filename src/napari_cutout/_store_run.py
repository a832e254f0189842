"""Recipes on stores: planned, run in sweeps over tiles, remembered tile by tile, and taken up again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from . import _device
from ._execute import Result, Steps, keeps_labels, merged, provenance_of, versions
from ._in_sweeps import in_sweeps
from ._journal import Journaled
from ._memory import allowing
from ._monitor import watch
from ._reading import Source, is_path
from ._records import Records
from ._run_folder import RunFolder, differences
from ._run_plan import RunPlan, limits, plan_arrays, smaller
from ._selection import Selection, placed
from ._statistics import pooled
from ._store_inputs import Opened, opened
from ._store_write import PartTarget, Scratch, ScratchTarget, Shrinking
from ._views import Eager, source_of_part
from .blockwise import Source as Voxels
from .blockwise import Stored, Threads, TooLarge, regions_of, sweeping, write_labels
from .recipe import as_dict
from .stores import LabelsTarget, Place, is_store, open_image, smallest

if TYPE_CHECKING:
    from ._batch import Job

__all__ = ["StoreOptions", "run_store", "takes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """What a run on a store takes beside what every run takes.

    Parameters
    ----------
    memory : str or int, optional
        The most host memory that the process may hold.
    tile : int or sequence of int, optional
        Edges of a tile.
    workers : int, optional
        Tiles at work at most.
    resume : bool
        Go on with a run that was not finished.
    ngff : {"0.4", "0.5"}, optional
        The version of OME-Zarr that is written.
    storage_options : mapping, optional
        What fsspec takes to open an address.
    on_plan : callable, optional
        Told the plan before the run begins.
    on_target : callable, optional
        Told the `LabelsTarget` before its first block is written.
    on_block : callable, optional
        Told the region of a block of the target when it is written.
    """

    memory: str | int | None = None
    tile: int | Sequence[int] | None = None
    workers: int | None = None
    resume: bool = False
    ngff: Literal["0.4", "0.5"] | None = None
    storage_options: Mapping[str, Any] | None = None
    on_plan: Callable[[RunPlan], None] | None = None
    on_target: Callable[[LabelsTarget], None] | None = None
    on_block: Callable[[tuple[slice, ...]], None] | None = None


def takes(source: Source, target: Any) -> bool:
    """Tell whether a run goes from a store, or from an array that is not in memory, to a store."""
    if target is None or not is_store(target):
        return False
    if is_path(source):
        return is_store(source)
    data = getattr(source, "data", source) if hasattr(source, "axes") else source
    return hasattr(data, "chunks")


def run_store(
    job: Job,
    options: StoreOptions,
    source: Source,
    target: str | os.PathLike[str],
    truth: Source | None,
    others: Mapping[str, Source],
) -> Result:
    """Run a recipe on a store, and write the labels to another one.

    Parameters
    ----------
    job : Job
        What runs, and what was asked for.
    options : StoreOptions
        What is asked for beside that.
    source : array, Volume or path
        The image.
    target : path or URL
        Where the labels go.
    truth : array, Volume or path, optional
        What they are scored against.
    others : mapping of str to array, Volume or path
        What the recipe reads beside it.

    Returns
    -------
    Result
        Its labels are a lazy dask array of the target.

    Raises
    ------
    FileExistsError
        If the target exists, or an unfinished run of it, and neither `overwrite` nor `resume` is asked for.
    ValueError
        If a run is to be taken up again and something is not as it was.
    Busy
        If another process is at work on the target.
    Cancelled
        If it was asked for; the run can be taken up again.
    """
    place = Place.of(target, options.storage_options)
    given = opened(job, source, others, options.storage_options)
    annotation = None if truth is None else given.truth(truth, options.storage_options)
    result = _StoreRun(job, options, place, RunFolder(place), given).go()
    if annotation is None:
        return result
    from .evaluation.overlap import evaluate

    return replace(result, evaluation=evaluate(result.labels, annotation, ignore=job.ignore, match=job.match))


@dataclass(slots=True)
class _StoreRun:
    """One run on a store."""

    job: Job
    options: StoreOptions
    place: Place
    folder: RunFolder
    given: Opened
    notes: dict[str, Any] = field(default_factory=dict)
    journal: Journaled | None = None

    def go(self) -> Result:
        """Look what is there, plan, run, and put the labels in place."""
        begun = self.folder.begun()
        self._check_place(begun)
        plan = self._plan(begun)
        identity = self._identity(plan)
        if begun is not None and self.options.resume:
            self._check_same(begun, identity)
        elif self.options.resume and self._is_done(identity):
            return self._finished()
        if self.options.on_plan is not None:
            self.options.on_plan(plan)
        with self._at_work(), allowing(plan.free):
            if begun is None or not self.options.resume:
                self.folder.place.remove("sweeps")
                self.folder.place.remove("scratch")
                self.folder.begin(identity)
            return self._until_it_fits(plan, identity)

    # Before it runs ---------------------------------------------------------------------------------

    @property
    def target_options(self) -> dict[str, Any]:
        """What describes the target wherever it is opened."""
        store = self.given.store
        return {
            "source": None if store is None else store.path,
            "ngff": self.options.ngff,
            "storage_options": self.options.storage_options,
            "overwrite": self.job.overwrite,
            "work": self.folder.at.url,
        }

    def _check_place(self, begun: Mapping[str, Any] | None) -> None:
        overwrite, resume = self.job.overwrite, self.options.resume
        if begun is not None and not (resume or overwrite):
            raise FileExistsError(
                f"a run on {self.place.shown!r} was begun and is not finished; pass resume=True to go on with it, or "
                "overwrite=True to start anew"
            )
        if not resume or begun is not None:
            LabelsTarget.check(self.place, **self.target_options, resumed=begun is not None and resume)

    def _plan(self, begun: Mapping[str, Any] | None) -> RunPlan:
        tile = self.options.tile
        if tile is None and begun is not None and self.options.resume and begun["mode"] == "tiles":
            tile = tuple(begun["tile"])
        allowed = limits(memory=self.options.memory, tile=tile, workers=self.options.workers)
        arrays = {name: Eager(view) for name, view in self.given.views.items()}
        return plan_arrays(self.given.recipe, arrays, device=self.job.device, limits=allowed, block=self._block())

    def _block(self) -> tuple[int, ...]:
        """Return what the edges of tiles are multiples of, along the axes that a method sees."""
        layout, seen = self.given.layout, self.given.image.selection.run_axes
        return tuple(edge for axis, edge in zip(layout.axes, layout.block_shape, strict=True) if axis in seen)

    def _identity(self, plan: RunPlan) -> dict[str, Any]:
        layout = self.given.layout
        known = versions(plan.device)
        return _plain(
            {
                "recipe": as_dict(self.given.recipe),
                "spacing": _as_list(self.job.spacing or self.given.spacing),
                "inputs": self.given.identity(),
                "versions": {name: version for name, version in known.items() if name != "python"},
                "device": plan.device,
                "mode": plan.mode,
                "tile": list(plan.tile),
                "target": {"axes": layout.axes, "shape": list(layout.shape), "chunks": list(layout.block_shape)},
            }
        )

    def _check_same(self, begun: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
        """Refuse to go on with a run of something else."""
        if changed := differences(begun, identity):
            raise ValueError(
                f"the run on {self.place.shown!r} cannot be taken up again, because {' and '.join(changed)} changed "
                "since it was begun; pass overwrite=True to start anew"
            )

    def _is_done(self, identity: Mapping[str, Any]) -> bool:
        """Tell whether the target is there, made of the same by the same; refuse another one."""
        try:
            stored = open_image(self.place).metadata
        except FileNotFoundError:
            self.notes["resumed"] = "no unfinished run was there, so it ran from the start"
            return False
        if stored.get("run") != _digest(identity):
            LabelsTarget.check(self.place, **self.target_options)
            return False
        return True

    def _finished(self) -> Result:
        """Return what a run before this one has written."""
        image = open_image(self.place)
        provenance = dict(image.metadata["provenance"])
        return Result(image.volume().data, {**provenance, "resumed": "it was complete"}, target=self.place.path)

    # While it runs ----------------------------------------------------------------------------------

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Keep others away, and leave nothing behind where nothing was done."""
        with self.folder.held():
            try:
                yield
            except BaseException:
                if self.journal is None or not self.journal.n_sweeps:
                    self.folder.remove()
                raise

    def _until_it_fits(self, plan: RunPlan, identity: dict[str, Any]) -> Result:
        """Run, with smaller tiles whenever memory runs out."""
        while True:
            try:
                return self._attempt(plan, identity)
            except TooLarge as error:
                fewer = smaller(plan, self._block())
                if fewer is None:
                    raise
                self.notes["out_of_memory"] = f"{error}; went on with tiles of {'x'.join(map(str, fewer.tile))}"
                plan = fewer
                identity = {**identity, "mode": plan.mode, "tile": list(plan.tile)}
                self.folder.remove()
                self.folder.begin(identity)

    def _attempt(self, plan: RunPlan, identity: Mapping[str, Any]) -> Result:
        start = time.perf_counter()
        inner = Threads(plan.tile, plan.workers, plan.device, memory=plan.free.n_bytes)
        self.journal = Journaled(inner, Records(self.folder.place), Scratch(self.folder.at / "scratch"))
        parts, steps = self._parts(plan)
        target = self._written(parts)
        self._pyramid(target)
        provenance = self._provenance(plan, steps, time.perf_counter() - start)
        metadata = {"provenance": provenance, "run": _digest(identity)}
        target.commit(metadata, name=self.given.image.volume.name)
        self.folder.remove()
        return Result(open_image(self.place).volume().data, provenance, target=self.place.path)

    def _parts(self, plan: RunPlan) -> tuple[list[_Found], Steps]:
        """Run the recipe on every part, and return its labels, not written yet."""
        selection = self.given.image.selection
        recipe = replace(self.given.recipe, selection=_of_part(selection))
        parts = selection.parts(self.given.views[recipe.source].shape)
        keep = len(parts) > 1
        found: list[_Found] = []

        journal = self.journal
        assert journal is not None

        def of_part(number: int) -> Any:
            sources = {
                name: source_of_part(selection, view, parts[number], plan.device)
                for name, view in self.given.views.items()
            }
            return in_sweeps(
                recipe,
                sources,
                journal,
                spacing=self.job.spacing or self.given.spacing,
                on_progress=self.job.on_progress,
                is_cancelled=self.job.is_cancelled,
            )

        every = pooled(of_part, len(parts)) if selection.pooled else map(of_part, range(len(parts)))
        steps = []
        for part, one in zip(parts, every, strict=True):
            place = placed(part, selection.bounds(self.given.views[recipe.source].shape))
            if keep or (one.n_labels is None and one.labels.dtype != "uint8"):
                found.append(self._kept(one.labels, place))
            else:
                found.append(_Found(one.labels, place, 255 if one.n_labels is None else one.n_labels))
            steps.append(one.steps)
        return found, merged(steps)

    def _kept(self, labels: Voxels, place: Any) -> _Found:
        """Keep the labels of a part in scratch, and find out how many there are."""
        assert self.journal is not None
        chunks = self.journal.chunks(labels.shape)
        with watch(self.job.on_progress, self.job.is_cancelled), sweeping(self.journal):
            array = self.journal.scratch(labels.shape, labels.dtype, chunks)
            written = write_labels(labels, ScratchTarget(array), regions_of(chunks), self.journal)
        return _Found(Stored(array), place, written.highest)

    def _written(self, parts: Sequence[_Found]) -> LabelsTarget:
        """Write the labels of all parts to the target."""
        assert self.journal is not None
        keeps = keeps_labels(self.given.recipe)
        most = max(part.n_labels for part in parts) if keeps else sum(part.n_labels for part in parts)
        target = self._target(smallest(most))
        n_before = 0
        with watch(self.job.on_progress, self.job.is_cancelled), sweeping(self.journal):
            for part in parts:
                regions = regions_of(self.journal.chunks(part.labels.shape))
                into = PartTarget(target, self.given.image.selection.kept_axes, part.place)
                write_labels(part.labels, into, regions, self.journal, n_before=n_before)
                n_before += 0 if keeps else part.n_labels
        return target

    def _target(self, dtype: np.dtype[Any]) -> LabelsTarget:
        """Make the target, or open that which was made before."""
        assert self.journal is not None
        records = self.journal.records
        begun = records.get("target")
        make = LabelsTarget.create if begun is None else LabelsTarget.reopen
        target = make(self.place, self.given.layout, dtype, **self.target_options)
        if begun is None:
            records.put("target", dtype.name)
        if self.options.on_target is not None:
            self.options.on_target(target)
        return target

    def _pyramid(self, target: LabelsTarget) -> None:
        """Fill the coarser levels of the target."""
        assert self.journal is not None
        with watch(self.job.on_progress, self.job.is_cancelled), sweeping(self.journal):
            for level in range(1, len(target.levels)):
                n = len(target.shrink_regions(level))
                self.journal.reduce(f"level {level} of the pyramid", Shrinking(target, level), n, _both)

    def _provenance(self, plan: RunPlan, steps: Steps, seconds: float) -> dict[str, Any]:
        """Return how the labels came about."""
        choice = _device.Choice(self.job.device, plan.device, plan.reason)
        arrays = {name: Eager(view) for name, view in self.given.views.items()}
        found = provenance_of(self.given.recipe, arrays, steps, choice, seconds)
        tiles = f"{plan.n_tiles:,} tiles of {'x'.join(map(str, plan.tile))} voxels"
        found["recipe"] = as_dict(replace(self.given.recipe, selection=self.given.image.recorded))
        found["tiling"] = "whole" if plan.mode == "whole" else tiles
        found["plan"] = {"mode": plan.mode, "tile": list(plan.tile), "n_tiles": plan.n_tiles}
        found["sources"] = _sources(self.given)
        return {**found, **self.notes}


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """The labels of a part, not written yet."""

    labels: Voxels
    place: Any
    n_labels: int


def _of_part(selection: Selection) -> Selection:
    """Return what a recipe selects of one part as it is read: all channels together come first."""
    if selection.channel != "all":
        return selection.of_part
    return Selection(f"c{selection.run_axes}", channel="all")


def _both(one: int, other: int) -> int:
    return one + other


def _as_list(values: Sequence[float] | None) -> list[float] | None:
    return None if values is None else list(map(float, values))


def _plain(identity: dict[str, Any]) -> dict[str, Any]:
    """Return what is read back when this was written as JSON, in which tuples become lists."""
    import json

    found: dict[str, Any] = json.loads(json.dumps(identity))
    return found


def _digest(identity: Mapping[str, Any]) -> str:
    """Return by what a finished run is known again."""
    import hashlib
    import json

    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _sources(given: Opened) -> dict[str, Any]:
    """Return which files and stores were read."""
    found = {}
    for name, view in given.views.items():
        source = given.given[name]
        path = getattr(getattr(view.base, "place", None), "shown", os.fspath(source) if is_path(source) else "")
        found[name] = {"path": path, "shape": list(view.shape), "dtype": np.dtype(view.dtype).name}
    return found
