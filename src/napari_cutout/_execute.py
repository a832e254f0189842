"""Running a recipe on arrays: on which device, part by part, and how the result came about."""

from __future__ import annotations

import json
import math
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from . import _device, catalog
from ._array import Array, dtype_name, is_lazy, to_numpy
from ._held import said
from ._known_steps import KnownSteps, Ran
from ._method import Method
from ._monitor import Monitor, watch
from ._selection import Part, Selection, placed, where
from ._statistics import pooled
from .blockwise import compute
from .recipe import Recipe, as_dict, one_channel_only, output_number

if TYPE_CHECKING:
    from .evaluation.overlap import Evaluation

__all__ = ["Result", "Steps", "choice_for", "execute", "provenance_of"]

OnProgress = Callable[[str, float], None]
"""Told a stage and the fraction of it that is done, 0 to 1."""

T = TypeVar("T")

DEVICE_BYTES_PER_VOXEL = 32
"""GPU memory that a run is planned with per voxel, beyond its inputs: filtered image, labels, and the blocks
in work. Not measured on a GPU yet."""


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a recipe gave, and how it came about.

    Parameters
    ----------
    labels : array
        In host memory, uint8 or int32, of the shape of the image, or of what was selected of it. Objects of frames
        or slices that were run one at a time are numbered on and on; classes stay, and so do labels that an input had.
    provenance : dict
        JSON-able: ``recipe``, ``steps`` (all settings, and the facts of each), ``facts`` (of all steps),
        ``device``, ``versions``, ``seconds``, ``tiling``, ``inputs`` (shapes and dtypes), ``time``.
    target : Path, optional
        Where the labels were written.
    evaluation : Evaluation, optional
        The scores, where a truth was given.
    """

    labels: NDArray[Any]
    provenance: dict[str, Any]
    target: Path | None = None
    evaluation: Evaluation | None = None


def execute(
    recipe: Recipe,
    inputs: Mapping[str, Array],
    *,
    spacing: Sequence[float] | None = None,
    device: _device.Asked = "auto",
    on_progress: OnProgress | None = None,
    is_cancelled: Callable[[], bool] | None = None,
    known: KnownSteps | None = None,
) -> Result:
    """Run a recipe on arrays.

    Parameters
    ----------
    recipe : Recipe
        What to run.
    inputs : mapping of str to array
        One array for every name in ``recipe.inputs``; NumPy, CuPy, dask or Zarr. Where the recipe has a selection,
        ``recipe.source`` has its axes, the others may lack the channels, and only what is selected is read.
    spacing : sequence of float, optional
        World length of a voxel along each axis, for all steps whose settings do not hold a ``spacing``.
    device : {"auto", "cpu", "gpu"}
        Where to run. Dask arrays stay on the CPU.
    on_progress : callable, optional
        Called with the stage's name and the fraction of it that is done, 0 to 1.
    is_cancelled : callable, optional
        Polled between blocks.
    known : KnownSteps, optional
        What steps gave in earlier runs; it is brought up to date.

    Returns
    -------
    Result
        Labels in host memory, and their provenance.

    Raises
    ------
    ValueError
        If an input is missing or not wanted, the device cannot be used, or a method refuses what it gets.
    TypeError
        If an array has the wrong dtype.
    MemoryError
        If memory runs out.
    Cancelled
        If `is_cancelled` returned True.
    """
    _check_inputs(recipe, inputs)
    _check_shapes(recipe, inputs)
    choice = choice_for(recipe, inputs, device)
    start = time.perf_counter()
    known = KnownSteps() if known is None else known
    known.seconds = 0.0
    run_here = Run(recipe, inputs, spacing, on_progress, is_cancelled, known)
    try:
        with _device.asking(device):
            labels, steps = run_here.on(choice.used)
    except _device.failures() as error:
        failed_on_cpu = choice.used == "cpu" and not (_runs_networks(recipe) and _device.torch_has_gpu())
        if failed_on_cpu or device != "auto":
            raise
        # Said aloud in the reason: a GPU that fails under "auto" costs time, never the result.
        choice = _device.Choice(device, "cpu", f"the GPU failed ({type(error).__name__}: {error})")
        _device.release()
        with _device.asking("cpu"):
            labels, steps = run_here.on("cpu")
    seconds = time.perf_counter() - start + known.seconds
    return Result(labels, provenance_of(recipe, inputs, steps, choice, seconds))


def _check_inputs(recipe: Recipe, inputs: Mapping[str, Array]) -> None:
    if missing := [name for name in recipe.inputs if inputs.get(name) is None]:
        raise ValueError(f"the recipe needs the input {missing[0]!r}; it reads: {', '.join(recipe.inputs)}")
    if extra := [name for name in inputs if name not in recipe.inputs]:
        raise ValueError(
            f"the recipe does not read the input {extra[0]!r}; it reads: {', '.join(recipe.inputs)}. Leave it out, or "
            f"name it in a step's inputs"
        )
    for name, array in inputs.items():
        if not hasattr(array, "shape") or not hasattr(array, "dtype"):
            raise TypeError(
                f"the input {name!r} must be an array, got {type(array).__name__}; pass numpy.asarray of it"
            )
        if isinstance(array, np.ma.MaskedArray):  # placing it would lose its mask before a method sees it
            raise TypeError(
                f"the input {name!r} is a masked array, whose mask would be lost; pass an image as {name}.data, with "
                f"its mask as another input, and labels as {name}.filled(0)"
            )


def _check_shapes(recipe: Recipe, inputs: Mapping[str, Array]) -> None:
    """Refuse inputs of another shape, of which a part could be cut where it does not belong."""
    if recipe.selection is None:  # methods check what they get whole
        return
    image = tuple(inputs[recipe.source].shape)
    recipe.selection.bounds(image)
    labels = tuple(n for axis, n in zip(recipe.selection.axes, image, strict=True) if axis != "c")
    for name, array in inputs.items():
        if tuple(array.shape) not in (image, labels):
            raise ValueError(
                f"{name} must have the shape of {recipe.source}, {labels}, but has {tuple(array.shape)}; crop or "
                f"resample it to the {recipe.source}"
            )


def choice_for(recipe: Recipe, inputs: Mapping[str, Array], device: _device.Asked) -> _device.Choice:
    """Choose the device that a run takes.

    Parameters
    ----------
    recipe : Recipe
        What is to run.
    inputs : mapping of str to array
        On what; only shapes and dtypes are looked at.
    device : {"auto", "cpu", "gpu"}
        What was asked for.

    Raises
    ------
    ValueError, MemoryError
        If a GPU was asked for and cannot be used.
    """
    image = inputs[recipe.source]
    if _runs_networks(recipe):
        return _device.Choice(device, "cpu", "a network finds its device by itself")
    if any(is_lazy(a) for a in inputs.values()):
        if device == "gpu":
            raise ValueError("device='gpu' cannot be used on dask arrays yet; compute them first, or use 'cpu'")
        return _device.Choice(device, "cpu", "dask arrays run in blocks on the CPU")
    shape, chosen = tuple(image.shape), recipe.selection
    n_values = math.prod(shape)
    if chosen is not None:
        bounds = chosen.bounds(shape)
        part = (b - a for axis, (a, b) in zip(chosen.kept_axes, bounds, strict=True) if axis not in chosen.each)
        n_values = math.prod(part) * chosen.n_channels(shape)
    n_bytes = sum(np.dtype(a.dtype).itemsize for a in inputs.values() if hasattr(a.dtype, "itemsize")) * n_values
    return _device.choose(n_values, n_bytes + DEVICE_BYTES_PER_VOXEL * n_values, device)


def _runs_networks(recipe: Recipe) -> bool:
    """Tell whether all steps are networks: the image then stays where it is, and CuPy is not needed."""
    return all(catalog.find(step.method).network for step in recipe.steps)


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
    """One recipe on its inputs, to be tried on one device or two."""

    recipe: Recipe
    inputs: Mapping[str, Array]
    spacing: Sequence[float] | None
    on_progress: OnProgress | None
    is_cancelled: Callable[[], bool] | None
    known: KnownSteps

    def on(self, used: Literal["cpu", "gpu"]) -> tuple[NDArray[Any], Steps]:
        """Return the labels in host memory, and what each step did."""
        selection = self.recipe.selection
        if selection is None:
            held = _alike({name: _placed(a, used) for name, a in self.inputs.items()})
            return self._steps(held, self.on_progress)
        shape = tuple(self.inputs[self.recipe.source].shape)
        results = of_parts(self._steps, self.inputs, selection, shape, used, self.on_progress)
        labels, n_objects = np.zeros(0), 0
        steps: list[Steps] = []
        for place, (found, ran) in results:
            if not steps:
                labels = np.zeros(selection.shape(shape), found.dtype)
            numbered = found if keeps_labels(self.recipe) else renumbered(found, n_objects)
            labels[place] = numbered
            n_objects = max(n_objects, int(numbered.max(initial=0)))
            steps.append(ran)
        return labels, merged(steps)

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
        if number < len(self.recipe.steps) and not is_lazy(labels):
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
            return run(held, _of_part(on_progress, number, len(parts)))
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


def _of_part(on_progress: OnProgress | None, number: int, n: int) -> OnProgress | None:
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
        raise ValueError(
            f"there are {highest:,} objects, and at most {most:,} can be numbered in {labels.dtype}; choose fewer "
            "slices or frames"
        )
    return np.where(labels > 0, labels + labels.dtype.type(n_before), labels)


def merged(parts: Sequence[Steps]) -> Steps:
    """Return what each step did in all parts: facts that all parts share, and others as ``by_part``."""
    if len(parts) == 1:
        return parts[0]
    steps = []
    for ran in zip(*parts, strict=True):
        names = dict.fromkeys(name for step in ran for name in step["facts"])
        values = {name: [_plain(step["facts"].get(name)) for step in ran] for name in names}
        same = {name: found[0] for name, found in values.items() if all(v == found[0] for v in found)}
        by_part = {name: found for name, found in values.items() if name not in same}
        steps.append({**ran[0], "facts": same, "by_part": by_part})
    return steps


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=_json))


def provenance_of(
    recipe: Recipe,
    inputs: Mapping[str, Array],
    steps: Steps,
    choice: _device.Choice,
    seconds: float,
) -> dict[str, Any]:
    """Return how a result came about, as plain JSON.

    Parameters
    ----------
    recipe : Recipe
        What ran.
    inputs : mapping of str to array
        On what.
    steps : list of dict
        What each step did: ``method``, ``settings`` and ``facts``.
    choice : Choice
        On which device, and why.
    seconds : float
        How long it took.
    """
    tiling = "blocks" if any(is_lazy(a) for a in inputs.values()) else "whole"
    if any("approximate" in step["facts"] for step in steps):
        tiling = "tiles, as the whole does not fit into memory"
    if recipe.selection is not None and recipe.selection.each:
        tiling = f"one index of {recipe.selection.each!r} at a time"
    provenance = {
        "recipe": as_dict(recipe),
        "steps": steps,
        "facts": {name: fact for step in steps for name, fact in step["facts"].items()},
        "device": _device_of(choice, steps),
        "versions": versions(choice.used, [step["facts"].get("runtime") for step in steps]),
        "seconds": round(seconds, 4),
        "tiling": tiling,
        "inputs": {name: {"shape": tuple(a.shape), "dtype": dtype_name(a)} for name, a in inputs.items()},
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    plain: dict[str, Any] = json.loads(json.dumps(provenance, default=_json))
    return plain


def _device_of(choice: _device.Choice, steps: Steps) -> dict[str, str]:
    """Return where a run took place; where a network ran says the network."""
    ran_on = next((step["facts"]["ran_on"] for step in steps if "ran_on" in step["facts"]), "")
    if ran_on and ran_on != "cpu":
        return {"asked": choice.asked, "used": "gpu", "reason": "the network found it", "name": ran_on}
    return {
        "asked": choice.asked,
        "used": choice.used,
        "reason": choice.reason,
        "name": _device.device_name(choice.used),
    }


def _json(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)


def versions(used: Literal["cpu", "gpu"] = "cpu", runtimes: Sequence[str | None] = ()) -> dict[str, str]:
    """Return the versions of the programs that a result depends on; `runtimes` are those that ran networks."""
    found = {"python": platform.python_version(), "napari-cutout": _own_version(), **_installed()}
    for name in (*(["cupy"] if used == "gpu" else []), *filter(None, runtimes)):
        found[name] = str(getattr(sys.modules.get(name), "__version__", "unknown"))
    return found


@cache
def _installed() -> dict[str, str]:
    found = {}
    for name in ("numpy", "scipy", "numba"):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _own_version() -> str:
    from . import __version__

    return __version__
