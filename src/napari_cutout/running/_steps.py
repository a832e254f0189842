"""The steps of a recipe, one after the other, on the parts of an image that a selection says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from .. import _device, catalog
from .._array import Array, is_lazy, to_numpy
from .._held import said
from .._method import Method
from .._monitor import Monitor, watch
from .._selection import Part, Selection, placed, where
from .._statistics import pooled
from ..blockwise import compute
from ..recipe import Recipe, one_channel_only, output_number
from ._known_steps import KnownSteps, Ran
from ._linking import link_in_memory, rule_of, with_facts

__all__ = [
    "OnProgress",
    "Run",
    "Steps",
    "channel_axis_of",
    "keeps_labels",
    "merged",
    "of_one_part",
    "of_parts",
    "plain",
    "renumbered",
    "too_many",
]

OnProgress = Callable[[str, float], None]
"""Told a stage and the fraction of it that is done, 0 to 1."""

T = TypeVar("T")

Steps = list[dict[str, Any]]
"""What each step of a recipe did: its method, all its settings, and the facts that it found out."""


@dataclass(frozen=True, slots=True, eq=False)
class _Done:
    """A step that ran; a lazy one notes what it finds out when its labels are computed."""

    method: str
    settings: dict[str, Any]
    monitor: Monitor

    def told(self) -> dict[str, Any]:
        """Return what it did."""
        facts = {name: fact for name, fact in self.monitor.facts.items() if name != "method"}
        return {"method": self.method, "settings": self.settings, "facts": facts}


@dataclass(frozen=True, slots=True)
class Run:
    """One recipe on its inputs, to be tried on one device or two.

    Where its last step `links` what is run part by part, that is done when all parts are there, and not in each.
    """

    recipe: Recipe
    inputs: Mapping[str, Array]
    spacing: Sequence[float] | None
    on_progress: OnProgress | None
    is_cancelled: Callable[[], bool] | None
    known: KnownSteps
    links: bool = False

    def whole(self, used: Literal["cpu", "gpu"]) -> tuple[NDArray[Any], Steps]:
        """Return the labels of all of the image, in host memory, and what each step did."""
        selection = self.recipe.selection
        if selection is None:
            held = _alike({name: _placed(a, used) for name, a in self.inputs.items()})
            return self._steps(held, self.on_progress)
        shape = tuple(self.inputs[self.recipe.source].shape)
        results = of_parts(self._steps, self.inputs, selection, shape, used, self.on_progress)
        labels, n_objects = np.zeros(0), 0
        steps: list[Steps] = []
        keeps, rule = keeps_labels(self.recipe), rule_of(self.recipe)
        places = []
        for place, (found, ran) in results:
            if not steps:
                labels = np.zeros(selection.shape(shape), found.dtype)
            numbered = found if keeps or rule else renumbered(found, n_objects)
            labels[place] = numbered
            n_objects = max(n_objects, int(numbered.max(initial=0)))
            steps.append(ran)
            places.append(place)
        if rule is None:
            return labels, merged(steps)
        return self.linked(labels, places, merged(steps))

    def linked(self, labels: NDArray[Any], parts: Sequence[Part], steps: Steps) -> tuple[NDArray[Any], Steps]:
        """Link the objects of parts that are there, as the last step says."""
        selection, rule = self.recipe.selection, rule_of(self.recipe)
        assert selection is not None
        assert rule is not None
        with watch(self.on_progress, self.is_cancelled):
            labels, facts = link_in_memory(labels, parts, selection, rule)
        return labels, with_facts(steps, facts)

    def _of_the_image(self, entry: Method, image: Array) -> dict[str, Any]:
        """Return the settings that say what the array is that a method cuts, where its step may not."""
        known = {p.name for p in entry.settings}
        found: dict[str, Any] = {}
        if self.spacing is not None and "spacing" in known:
            found["spacing"] = tuple(self.spacing)
        axis = None if self.recipe.selection is None else channel_axis_of(self.recipe.selection, image)
        if axis is not None:
            if "channel_axis" not in known:
                raise one_channel_only(entry.name)
            found["channel_axis"] = axis
        return found

    def _steps(self, held: dict[str, Array], on_progress: OnProgress | None) -> tuple[NDArray[Any], Steps]:
        """Run all steps on these arrays, and bring the labels to host memory."""
        labels, ran = self.each_step(held, on_progress)
        if is_lazy(labels):  # only now do the steps find out what they note
            with watch(on_progress, self.is_cancelled):
                labels = compute(labels)
        return to_numpy(labels), [step.told() for step in ran]

    def each_step(self, held: dict[str, Array], on_progress: OnProgress | None) -> tuple[Array, list[_Done]]:
        """Run all steps on these arrays."""
        held, ran = dict(held), []
        for number, step in enumerate(self.recipe.steps, start=1):
            entry = catalog.find(step.method)
            arrays = {name: held[source] for name, source in step.inputs.items()}
            settings = {**self._of_the_image(entry, arrays[entry.source.name]), **step.settings}
            if self.links and number == len(self.recipe.steps):
                labels, monitor = arrays[entry.source.name], Monitor()
            else:
                labels, monitor = self._step(number, entry, arrays, settings, on_progress)
            held[f"step_{number}"] = labels
            told = {name: said(value) for name, value in {**step.complete_settings, **settings}.items()}
            ran.append(_Done(step.method, told, monitor))
        return labels, ran

    def _step(
        self,
        number: int,
        entry: Method,
        arrays: dict[str, Array],
        settings: dict[str, Any],
        on_progress: OnProgress | None,
    ) -> tuple[Array, Monitor]:
        """Run one step, or return what it gave before."""
        if (found := self.known.of(number, entry.name, settings, arrays)) is not None:
            return found
        start = time.perf_counter()
        with watch(on_progress, self.is_cancelled) as monitor:
            labels = entry(**arrays, **settings)
        is_kept = number < len(self.recipe.steps) or self.known.keeps_last
        if is_kept and not is_lazy(labels):
            seconds = time.perf_counter() - start
            self.known.keep(number, Ran(entry.name, settings, arrays, labels, monitor, seconds))
        return labels, monitor


def of_parts(
    run: Callable[[dict[str, Array], OnProgress | None], T],
    inputs: Mapping[str, Array],
    selection: Selection,
    shape: Sequence[int],
    used: Literal["cpu", "gpu"],
    on_progress: OnProgress | None = None,
) -> Iterator[tuple[Part, T]]:
    """Run a function on one part of the inputs after the other, as a selection says.

    Parameters
    ----------
    run : callable
        ``run(held, on_progress)`` gets a part of every input, on the device. It is called more than once per part
        where statistics are shared.
    inputs : mapping of str to array
        As they are stored: NumPy, CuPy, dask or Zarr.
    selection : Selection
        Which parts there are.
    shape : sequence of int
        The shape of the image as it is stored.
    used : {"cpu", "gpu"}
        Where to run.
    on_progress : callable, optional
        Called with a stage and the fraction of all parts that is done.

    Yields
    ------
    place : tuple of slice and int
        Where a part lies in the result, along every axis but the channels.
    found : object
        What `run` returned.

    Raises
    ------
    ValueError
        If `run` refuses a part; the message says which.
    """
    parts = selection.parts(shape)

    def of_part(number: int) -> T:
        held = {name: selection.cut(a, parts[number]) for name, a in inputs.items()}
        if selection.each:  # a part is small, and statistics that are shared need it in memory
            held = {name: to_numpy(a) if is_lazy(a) else a for name, a in held.items()}
        held = _alike({name: _placed(a, used) for name, a in held.items()})
        try:
            return run(held, of_one_part(on_progress, number, len(parts)))
        except ValueError as error:
            if len(parts) == 1 or selection.pooled:  # then it is not this part that is wrong
                raise
            raise ValueError(f"at {where(parts[number], selection.kept_axes)}: {error}") from error

    results = pooled(of_part, len(parts)) if selection.pooled else map(of_part, range(len(parts)))
    bounds = selection.bounds(shape)
    for part, found in zip(parts, results, strict=True):
        yield placed(part, bounds), found


def channel_axis_of(selection: Selection, array: Array) -> int | None:
    """Return where the channels stand in a part of an input; None if it has none, as labels and masks have."""
    return selection.channel_axis if array.ndim > len(selection.run_axes) else None


def _placed(array: Array, used: Literal["cpu", "gpu"]) -> Array:
    """Bring an array to the device, also one that is a Zarr array still."""
    return _device.place(array if is_lazy(array) or not hasattr(array, "chunks") else to_numpy(array), used)


def _alike(held: dict[str, Array]) -> dict[str, Array]:
    """Make host arrays lazy beside lazy ones, such as a mask in memory beside an image on disk."""
    lazy = [name for name, array in held.items() if is_lazy(array)]
    if not lazy or len(lazy) == len(held):
        return held
    from dask.array import from_array

    return {name: array if name in lazy else from_array(array) for name, array in held.items()}


def of_one_part(on_progress: OnProgress | None, number: int, n: int) -> OnProgress | None:
    """Report the progress of one part as progress of all."""
    if on_progress is None or n == 1:
        return on_progress
    return lambda stage, done: on_progress(f"{stage}, part {number + 1} of {n}", (number + done) / n)


def keeps_labels(recipe: Recipe) -> bool:
    """Tell whether a label means the same in every part, as classes do, and the labels of an input.

    A method that keeps the labels of an array is asked where that array comes from. One that does not, and has no
    choice to number objects, always numbers them.
    """
    step = recipe.steps[-1]
    while "one_per_object" not in step.settings:
        kept = catalog.find(step.method).labels_from
        if not kept:
            return False
        number = output_number(step.inputs[kept])
        if not number:
            return True
        step = recipe.steps[number - 1]
    return not step.settings["one_per_object"]


def renumbered(labels: NDArray[Any], n_before: int) -> NDArray[Any]:
    """Return numbers of objects so that they go on after those of the parts before.

    Raises
    ------
    ValueError
        If there are more objects than their dtype can number.
    """
    if n_before == 0:
        return labels
    highest, most = n_before + int(labels.max(initial=0)), np.iinfo(labels.dtype).max
    if highest > most:
        raise too_many(highest, labels.dtype)
    return np.where(labels > 0, labels + labels.dtype.type(n_before), labels)


def too_many(highest: int, dtype: np.dtype[Any]) -> ValueError:
    """Return what to raise where there are more objects than a dtype can number."""
    return ValueError(
        f"there are {highest:,} objects, and at most {np.iinfo(dtype).max:,} can be numbered in {dtype}; choose fewer "
        "slices or frames"
    )


def merged(parts: Sequence[Steps]) -> Steps:
    """Return what each step did in all parts: facts that all parts share, and others as ``by_part``."""
    if len(parts) == 1:
        return parts[0]
    steps = []
    for ran in zip(*parts, strict=True):
        names = dict.fromkeys(name for step in ran for name in step["facts"])
        values = {name: [plain(step["facts"].get(name)) for step in ran] for name in names}
        same = {name: found[0] for name, found in values.items() if all(v == found[0] for v in found)}
        by_part = {name: found for name, found in values.items() if name not in same}
        steps.append({**ran[0], "facts": same, "by_part": by_part})
    return steps


def plain(value: Any) -> Any:
    """Return a value as plain JSON."""
    return json.loads(json.dumps(value, default=_json))


def _json(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)
