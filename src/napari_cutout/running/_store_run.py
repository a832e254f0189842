"""Recipes on stores: planned, run in sweeps over tiles, remembered tile by tile, and taken up again."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from .. import _device, catalog
from .._memory import allowing
from .._monitor import Cancelled
from .._reading import Source, is_path
from ..blockwise import TooLarge
from ..recipe import as_dict
from ..stores import Damaged, Image, LabelsTarget, Place, is_store, open_image
from ._execute import Result, check_inputs, versions
from ._journal import Journaled
from ._parts import FAILURES, Over, Waiting, failure_of
from ._probe import probed
from ._records import Records
from ._run_folder import Busy, Hold, RunFolder, check_parent, differences
from ._run_plan import RunPlan, plan_arrays, smaller
from ._store_attempt import Attempt, Watchers, keep_written, write_beside, written_to
from ._store_inputs import Opened, opened
from ._store_workers import Team, remembered, team
from ._views import Eager

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
    scheduler : str or distributed.Client, optional
        Of a cluster whose workers do the tiles.
    part : tuple of int, optional
        Which part of a job array this process is, and how many there are.
    patience : float, optional
        Seconds that a part waits for others.
    resume : bool
        Go on with a run that was not finished.
    ngff : {"0.4", "0.5"}, optional
        The version of OME-Zarr that is written.
    storage_options : mapping, optional
        What fsspec takes to open an address.
    probe : bool
        Try a run in tiles on a few voxels first, so that its time and progress are known.
    watchers : Watchers
        Who is told of the run.
    """

    memory: str | int | None = None
    tile: int | Sequence[int] | None = None
    workers: int | None = None
    scheduler: Any = None
    part: tuple[int, int] | None = None
    patience: float | None = None
    resume: bool = False
    ngff: Literal["0.4", "0.5"] | None = None
    storage_options: Mapping[str, Any] | None = None
    probe: bool = False
    watchers: Watchers = field(default_factory=Watchers)


def takes(source: Source, target: str | os.PathLike[str]) -> bool:
    """Tell whether a run goes from a store, or from an array that is not in memory, to a store."""
    if not (is_store(target) or os.fspath(target).lower().endswith(".zarr")):
        return False
    if is_path(source):
        return is_store(source)
    data = source.data if hasattr(source, "axes") else source
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
        If a run is to be taken up again and something is not as it was, or one image cannot be cut.
    Busy
        If another process is at work on the target.
    Cancelled
        If it was asked for; the run can be taken up again.
    """
    place = Place.of(target, options.storage_options)
    given = opened(job, source, others, options.storage_options)
    check_inputs(given.recipe, {name: Eager(view) for name, view in given.views.items()})
    annotation = None if truth is None else given.truth(truth, options.storage_options)
    result = _StoreRun(job, options, place, RunFolder(place), given).go()
    if annotation is None:
        return result
    from ..evaluation.overlap import evaluate

    return replace(result, evaluation=evaluate(result.labels, annotation, ignore=job.ignore, match=job.match))


@dataclass(slots=True)
class _StoreRun:
    """One run on a store, in as many attempts as it takes."""

    job: Job
    options: StoreOptions
    place: Place
    folder: RunFolder
    given: Opened
    notes: dict[str, Any] = field(default_factory=dict)
    journal: Journaled | None = None
    team: Team = field(default_factory=Team)
    damaged: dict[str, dict[str, str]] = field(default_factory=dict)

    def go(self) -> Result:
        """Look what is there, plan, run, and put the labels in place."""
        options = self.options
        with team(options.scheduler, options.part, options.patience) as self.team:
            while True:
                try:
                    return self._go()
                except Over:
                    if self.team.part is not None and self._written() is None:
                        return self._ended()
                except Exception as error:
                    self._tell_others(error)
                    raise

    def _go(self) -> Result:
        begun = self._begun()
        self.damaged = begun.get("damaged", {}) if begun is not None and self._resumes else {}
        self._check_place(begun)
        plan = self._plan(begun if self._resumes else None)
        identity = self._identity(plan)
        if self._resumes and (finished := self._finished(identity)) is not None:
            return finished
        if begun is not None and self._resumes:
            self._check_same(begun, self._known(identity))
        with self._at_work(is_new=begun is None) as hold, allowing(plan.free):
            if self._written() != begun:  # another process has begun or ended a run before this one held the lock
                raise Over
            self._forget_failure()
            LabelsTarget.check(**self._target, resumed=begun is not None and self._resumes)
            self._begin(begun, identity)
            self.team.check_seen(self.folder)
            if self.options.watchers.on_plan is not None:
                self.options.watchers.on_plan(plan)
            return self._until_it_fits(plan, identity, hold)

    def _begun(self) -> dict[str, Any] | None:
        """Return what a run before this one wrote down; a part of a job array waits for it."""
        return self.team.begun(self._written, self._is_ended)

    def _is_ended(self) -> bool:
        """Tell whether the labels of this run are in place; those that it is to replace do not count."""
        return self._there() is not None and self._finished(self._identity(self._plan(None))) is not None

    def _written(self) -> dict[str, Any] | None:
        """Return what a run before this one wrote down; nothing, where that is damaged and may be replaced."""
        try:
            return self.folder.begun()
        except ValueError:
            if self._resumes or not self.job.overwrite:
                raise
            return None

    @property
    def _resumes(self) -> bool:
        """Whether it goes on with what was begun, as parts of a job array always do."""
        return self.options.resume or self.options.part is not None

    def _ended(self) -> Result:
        """Return what another part of the job array has put in place."""
        if (finished := self._finished(self._identity(self._plan(None)))) is None:
            raise FileNotFoundError(
                f"the run on {self.place.shown!r} was ended by another process, and its labels are not there; see what "
                "that process says, and start all parts again"
            )
        return finished

    # Before it runs ---------------------------------------------------------------------------------

    @property
    def _target(self) -> dict[str, Any]:
        """What describes the target wherever it is opened."""
        store = self.given.store
        return {
            "path": self.place,
            "work": self.folder.at.url,
            "source": None if store is None else store.path,
            "ngff": self.options.ngff,
            "storage_options": self.options.storage_options,
            "overwrite": self.job.overwrite,
        }

    def _check_place(self, begun: Mapping[str, Any] | None) -> None:
        """Refuse a place that holds what must stay, and one that is read."""
        for view in self.given.views.values():
            read = getattr(view.base, "place", None)
            if read is not None and f"{read.url}/".startswith(f"{self.place.url}/"):
                raise ValueError(
                    f"the labels would replace {self.place.shown!r}, which is read; choose another name for them"
                )
        check_parent(self.place)
        if self.team.part is None:
            self.folder.check_free()
        if begun is not None and not (self._resumes or self.job.overwrite):
            raise FileExistsError(
                f"a run on {self.place.shown!r} was begun and is not finished; pass resume=True to go on with it, or "
                "overwrite=True to start anew"
            )

    def _plan(self, begun: Mapping[str, Any] | None, *, in_tiles: bool = False) -> RunPlan:
        tile = self.options.tile
        before = self._before() if begun is None and self._resumes else begun
        if tile is None and before is not None and before["mode"] == "tiles":
            tile = tuple(before["tile"])
        allowed = self.team.limits(self.options.memory, tile, self.options.workers)
        device = self.team.device(self.job.device)
        in_tiles = in_tiles or self.team.is_many
        arrays = {name: Eager(view) for name, view in self.given.views.items()}
        recipe, block = self.given.recipe, self.given.block
        plan = plan_arrays(recipe, arrays, device=device, limits=allowed, block=block, in_tiles=in_tiles)
        plan = remembered(self.team.planned(plan), begun)
        if not self.options.probe or plan.mode == "whole" or self.team.is_many:
            return plan
        return probed(plan, recipe, arrays, self.job.spacing or self.given.spacing)

    def _identity(self, plan: RunPlan) -> dict[str, Any]:
        """Return by what a run is known again."""
        layout, spacing = self.given.layout, self.job.spacing or self.given.spacing
        known = versions(plan.device)
        identity = {
            "recipe": as_dict(self.given.recipe),
            "spacing": None if spacing is None else list(map(float, spacing)),
            "inputs": self.given.identity(),
            "versions": {name: version for name, version in known.items() if name != "python"},
            "device": plan.device,
            "mode": plan.mode,
            "tile": list(plan.tile),
            "memory": plan.free.n_bytes,  # what is done whole and what in tiles depends on it
            "target": {"axes": layout.axes, "shape": list(layout.shape), "chunks": list(layout.block_shape)},
        }
        plain: dict[str, Any] = json.loads(json.dumps(identity))  # as run.json has it, in which tuples are lists
        return plain

    def _known(self, identity: Mapping[str, Any]) -> dict[str, Any]:
        """Return by what an unfinished run is known again: all but the files that were damaged, which may be mended."""
        if not self.damaged:
            return dict(identity)
        return {**identity, "inputs": self.given.identity(self.damaged), "damaged": self.damaged}

    @property
    def _is_exact(self) -> bool:
        """Whether neither tiles nor the device change the labels."""
        return all(catalog.find(step.method).agreement == "exact" for step in self.given.recipe.steps)

    def _check_same(self, begun: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
        """Refuse to go on with a run of something else; where only tiles are others, begin its sweeps anew."""
        told = {"tile", "device"} if self._is_exact else set()
        if self.team.part is not None:  # sweeps that begin anew would take away what others are at work on
            told.discard("tile")
        changed = [words for name, words in differences(begun, identity).items() if name not in told]
        if self.team.part is not None and begun["mode"] != identity["mode"]:
            changed.append(f"how it runs ({begun['mode']} before, {identity['mode']} now)")
        if changed:
            raise ValueError(
                f"the run on {self.place.shown!r} cannot be taken up again, because {' and '.join(changed)} changed "
                "since it was begun; pass overwrite=True to start anew"
            )

    def _run(self, identity: Mapping[str, Any]) -> dict[str, Any]:
        """Return by what the labels of a finished run are known again: tiles and device only if they matter."""
        left_out = ("memory", "mode", "tile", "device") if self._is_exact else ("memory",)
        return {name: value for name, value in identity.items() if name not in left_out}

    def _there(self) -> Image | None:
        """Return labels of a run that are in place already; None if there are none."""
        if self.place.is_local and not self.place.path.exists():
            return None
        try:
            image = open_image(self.place)
        except FileNotFoundError:
            return None
        return image if "run" in image.metadata else None

    def _before(self) -> dict[str, Any] | None:
        """Return how the labels that are in place were made; None if there are none."""
        image = self._there()
        return None if image is None else image.metadata["provenance"].get("plan")

    def _finished(self, identity: Mapping[str, Any]) -> Result | None:
        """Return what a run before this one has written, of the same; refuse what another one has."""
        image = self._there()
        if image is None:
            return None
        if image.metadata["run"] != (run := self._run(identity)):
            if self.job.overwrite:
                return None
            changed = " and ".join(differences(image.metadata["run"], run).values()) or "something"
            raise FileExistsError(
                f"{self.place.shown!r} exists already and is complete, but {changed} changed since it was made; choose "
                "another name, or pass overwrite=True"
            )
        provenance = dict(image.metadata["provenance"])
        write_beside(self.place, provenance)
        self._put_away(identity)
        return Result(image.volume().data, {**provenance, "resumed": "it was complete"}, written_to(self.place))

    def _put_away(self, identity: Mapping[str, Any]) -> None:
        """Remove what a run has left that was killed at its end, unless others are at work on another one there."""
        if not self.folder.place.tops():
            return
        with suppress(Busy), self.folder.held():
            begun = self._written()
            if begun is not None and (self.team.part is None or differences(begun, identity)):
                self.folder.check_alone()
            self.folder.clear()

    # While it runs ----------------------------------------------------------------------------------

    @contextmanager
    def _at_work(self, *, is_new: bool) -> Iterator[Hold]:
        """Keep others away, and leave nothing behind where nothing was done."""
        with self.team.held(self.folder) as hold:
            try:
                yield hold
            except (Over, Busy):  # what is there belongs to others
                raise
            except BaseException as error:
                if self.team.part is not None and not is_new and isinstance(error, Exception) and self._is_over():
                    raise Over from error  # another part has ended the run, and put away what this one reads
                if is_new and self.team.part is None and not self._keeps(error):
                    self.folder.clear()
                elif isinstance(error, Cancelled):
                    raise Cancelled(
                        f"stopped; what is done is kept in {self.folder.at.shown!r}: pass resume=True to go on"
                    ) from error
                elif isinstance(error, Damaged) and self._noted(error):
                    kept = (
                        f"what is done is kept in {self.folder.at.shown!r}: pass resume=True to go on once it is mended"
                    )
                    raise Damaged(f"{error}; {kept}", address=error.address, key=error.key) from error
                elif type(error) is OSError and self._keeps(error):  # such as a disk that is full
                    kept = f"what is done is kept in {self.folder.at.shown!r}: pass resume=True to go on"
                    raise OSError(error.errno, f"{error.strerror or error}; {kept}") from error
                raise
            self.folder.clear()

    def _is_over(self) -> bool:
        """Tell whether another process has ended the run that this one takes part in."""
        return self._written() is None

    def _tell_others(self, error: Exception) -> None:
        """Say to other parts of a job array, which wait, in what error this one ended."""
        if self.team.part is None or isinstance(error, Waiting | Busy):
            return
        with suppress(OSError, ValueError):  # or it would hide the error
            if self._written() is not None:
                Records(self.folder.place).put(failure_of(self.team.part[0]), str(error) or type(error).__name__)

    def _forget_failure(self) -> None:
        """Say to other parts that this one is at work again."""
        if self.team.part is not None:
            self.folder.place.remove(failure_of(self.team.part[0]))

    def _keeps(self, error: BaseException) -> bool:
        """Tell whether a run that ended in an error can be taken up again, and something is gained by that."""
        if self.journal is None or not self.journal.n_known + self.journal.n_done:
            return False
        return self.journal.is_cut_off or not isinstance(error, ValueError | TypeError)  # a method refused its input

    def _noted(self, error: Damaged) -> bool:
        """Write down which file of an input is damaged, so that it may be mended; not where others changed meanwhile.

        No tile that reads the file is done, so what is known does not depend on it.
        """
        with suppress(OSError):  # or it would hide what is damaged
            begun = self.folder.begun() or {"inputs": {}}  # parts may have found others
            damaged = begun.get("damaged", {})
            read = (about.get("address") for about in begun["inputs"].values())
            if error.address not in read or self.given.identity(damaged) != begun["inputs"]:
                return False
            found = self.given.states({error.address: [error.key]})[error.address]
            self._leave_out({**damaged, error.address: {**damaged.get(error.address, {}), **found}}, begun)
            return True
        return False

    def _leave_out(self, damaged: dict[str, dict[str, str]], begun: Mapping[str, Any]) -> None:
        """Write down which files do not count, and how they were found."""
        self.damaged = damaged
        self.folder.begin({**begun, "inputs": self.given.identity(damaged), "damaged": damaged})

    def _count_mended(self) -> None:
        """Let files that were mended count again: tiles read them from now on."""
        now = self.given.states(self.damaged)
        left = {address: dict(keys.items() & now[address].items()) for address, keys in self.damaged.items()}
        if left != self.damaged and (begun := self._written()) is not None:
            self._leave_out({address: keys for address, keys in left.items() if keys}, begun)

    def _begin(self, begun: Mapping[str, Any] | None, identity: Mapping[str, Any]) -> None:
        """Write down what runs, and forget what was found for something else."""
        if begun is None or not self._resumes:
            if self.options.resume:
                self.notes["resumed"] = "no unfinished run was there: it ran from the start"
            self.team.check_alone(self.folder)
            self.folder.place.remove("run.json")  # so that no part of a job array goes on with it from now on
            self.team.check_alone(self.folder)
            for name in ("sweeps", "scratch", "target", "writing", "written", FAILURES):
                self.folder.place.remove(name)
            self.folder.begin(self._known(identity))
        elif (begun["mode"], begun["tile"]) != (identity["mode"], identity["tile"]):
            self._begin_sweeps_anew(identity)
        self._count_mended()

    def _begin_sweeps_anew(self, identity: Mapping[str, Any]) -> None:
        """Forget what sweeps have found in other tiles; blocks that were written stay where tiles do not matter."""
        self.team.check_alone(self.folder)
        records = Records(self.folder.place)
        keep_written(records) if self._is_exact else records.remove("target")
        for name in ("sweeps", "scratch", "writing"):
            records.remove(name)
        self.folder.begin(self._known(identity))

    def _until_it_fits(self, plan: RunPlan, identity: dict[str, Any], hold: Hold) -> Result:
        """Run, with smaller tiles whenever memory runs out."""
        while True:
            self.journal = self.team.journal(plan, hold, [view.base for view in self.given.views.values()])
            attempt = Attempt(self.job, self.given, plan, self.journal, self._target, self.options.watchers)
            try:
                return attempt.run(self._run(identity), self._notes)
            except MemoryError as error:
                plan = self._smaller(plan, error)
            gc.collect()
            _device.release()
            identity = {**identity, "mode": plan.mode, "tile": list(plan.tile)}
            self._begin_sweeps_anew(identity)

    def _smaller(self, plan: RunPlan, error: MemoryError) -> RunPlan:
        """Return the plan after memory ran out, or raise if there is none."""
        fewer = None
        if self.team.part is not None:
            raise MemoryError(
                f"{error}; the parts of a job array take one size of tiles: remove {self.folder.at.shown!r}, and start "
                "all parts with more memory or a smaller tile"
            ) from error
        if plan.mode == "whole":
            fewer = self._plan(None, in_tiles=True)
        elif isinstance(error, TooLarge):
            fewer = smaller(plan, self.given.block)
        if fewer is None:
            raise error
        said = str(error) or "memory ran out"
        self.notes["out_of_memory"] = f"{said}; went on in tiles of {'x'.join(map(str, fewer.tile))} voxels"
        return fewer

    def _notes(self) -> dict[str, Any]:
        """Return what happened on the way."""
        known = 0 if self.journal is None else self.journal.n_known
        again = {"resumed": f"taken up again, with {known:,} of its jobs on tiles done"} if known else {}
        return {**again, **self.notes}
