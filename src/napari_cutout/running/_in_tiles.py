"""Running a recipe in tiles on arrays that are in memory, where the whole would take more than there is."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, is_host, to_numpy
from .._monitor import watch
from .._plan import Slices
from .._selection import Selection, placed, where
from .._statistics import pooled
from ..blockwise import Chunks, Source, Stored, Threads, regions_of, sweeping, write_labels
from ..stores import Place
from ._in_sweeps import InSweeps, in_sweeps
from ._run_plan import RunPlan
from ._steps import Run, Steps, keeps_labels, merged, of_one_part, too_many
from ._store_write import Scratch
from ._views import View, selection_of_part, source_of_part

__all__ = ["run_in_tiles"]


def run_in_tiles(run: Run, plan: RunPlan) -> tuple[NDArray[Any], Steps, dict[str, Any]]:
    """Run a recipe in tiles; what is kept on the way lies in a temporary folder.

    Parameters
    ----------
    run : Run
        What runs, on what.
    plan : RunPlan
        In which tiles, how many at a time, and where.

    Returns
    -------
    labels : array
        In host memory, those of the whole.
    steps : list of dict
        What each step did.
    facts : dict
        What was found out on the way: ``out_of_memory``, if that is so.

    Raises
    ------
    TooLarge
        If one tile at a time is too much for memory.
    """
    with tempfile.TemporaryDirectory(prefix="napari-cutout-", ignore_cleanup_errors=True) as folder:
        scratch = _Numbered(Scratch(Place.of(folder)))
        sweeper = Threads(plan.tile, plan.workers, plan.device, scratch, plan.free.n_bytes)
        return _Tiles(run, plan, sweeper).labels()


@dataclass(slots=True)
class _Numbered:
    """Makes scratch arrays, one after the other."""

    make: Scratch
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def __call__(self, shape: Sequence[int], dtype: str, chunks: Chunks) -> Any:
        return self.make(f"{next(self.numbers):04}", shape, dtype, chunks)


@dataclass(slots=True)
class _Target:
    """Labels in memory, or a part of them."""

    array: NDArray[Any]

    def write(self, region: Slices, block: NDArray[Any]) -> None:
        """Keep the labels of a region."""
        if not np.can_cast(block.dtype, self.array.dtype):
            raise too_many(int(block.max()), self.array.dtype)
        self.array[region] = block


@dataclass(slots=True)
class _Tiles:
    run: Run
    plan: RunPlan
    sweeper: Threads

    def labels(self) -> tuple[NDArray[Any], Steps, dict[str, Any]]:
        selection = self.run.recipe.selection
        return self._whole() if selection is None else self._parts(selection)

    def _whole(self) -> tuple[NDArray[Any], Steps, dict[str, Any]]:
        sources = {name: Stored(_readable(a), self.plan.device) for name, a in self.run.inputs.items()}
        found = self._found(self.run, sources)
        labels = np.zeros(found.labels.shape, found.labels.dtype)
        _, facts = self._write(found, labels, 0)
        return labels, found.steps, facts

    def _parts(self, selection: Selection) -> tuple[NDArray[Any], Steps, dict[str, Any]]:
        shape = tuple(self.run.inputs[self.run.recipe.source].shape)
        parts, keeps = selection.parts(shape), keeps_labels(self.run.recipe) or self.run.links
        places = [placed(part, selection.bounds(shape)) for part in parts]
        views = {name: View.of(_readable(a)) for name, a in self.run.inputs.items()}
        recipe = replace(self.run.recipe, selection=selection_of_part(selection))

        def of_part(number: int) -> InSweeps:
            sources = {
                name: source_of_part(selection, view, parts[number], self.plan.device) for name, view in views.items()
            }
            told = of_one_part(self.run.on_progress, number, len(parts))
            try:
                return self._found(replace(self.run, recipe=recipe, on_progress=told), sources)
            except ValueError as error:
                if len(parts) == 1 or selection.pooled:
                    raise
                raise ValueError(f"at {where(parts[number], selection.kept_axes)}: {error}") from error

        labels, highest = np.zeros(0), 0
        steps: list[Steps] = []
        facts: dict[str, Any] = {}
        every = pooled(of_part, len(parts)) if selection.pooled else map(of_part, range(len(parts)))
        for place, found in zip(places, every, strict=True):
            if not steps:
                labels = np.zeros(selection.shape(shape), found.labels.dtype)
            highest, told = self._write(found, labels[place], 0 if keeps else highest)
            steps.append(found.steps)
            facts |= told
        if not self.run.links:
            return labels, merged(steps), facts
        return *self.run.linked(labels, places, merged(steps)), facts

    def _found(self, run: Run, sources: Mapping[str, Source]) -> InSweeps:
        return in_sweeps(
            run.recipe,
            sources,
            self.sweeper,
            spacing=run.spacing,
            links=run.links,
            on_progress=run.on_progress,
            is_cancelled=run.is_cancelled,
        )

    def _write(self, found: InSweeps, into: NDArray[Any], n_before: int) -> tuple[int, dict[str, Any]]:
        """Write labels, and return the largest so far and what was noted."""
        with watch(self.run.on_progress, self.run.is_cancelled) as monitor, sweeping(self.sweeper):
            regions = regions_of(found.chunks)
            written = write_labels(found.labels, _Target(into), regions, self.sweeper, n_before=n_before)
        return max(written.highest, n_before), monitor.facts


def _readable(array: Array) -> Any:
    """Return what regions can be read of: arrays of the host and stored ones as they are."""
    return array if is_host(array) or hasattr(array, "chunks") else to_numpy(array)
