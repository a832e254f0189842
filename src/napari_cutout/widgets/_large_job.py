"""A run whose labels go into a store: what it reads, where it writes, and what is left of one that did not end.  No Qt.

The image is read from its file where the layer holds what is in it; else the array of the layer is read.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import stores
from .._array import is_lazy
from .._code import _beyond
from .._memory import HOST_SHARE, Free
from .._monitor import Cancelled
from .._sources import Source
from .._stored import file_name
from .._volume import Volume, unit_name
from ..recipe import Recipe
from ..running._run_folder import Busy
from ..running._run_plan import RunPlan, duration, limits, line, plan_arrays
from . import _layers
from ._channels import Channels
from ._found import stored_summary
from ._request import Form, Outcome, Request
from ._sources import source_of
from ._store_levels import Box
from ._target import Target, spatial

__all__ = [
    "Countdown",
    "LargeRun",
    "is_stored",
    "of_process",
    "outcome_of",
    "plan_line",
    "plan_of",
    "proposed_target",
    "target_problem",
]

Layer = Any
"""A napari layer."""

LEAST_DONE, LEAST_SECONDS = 0.01, 2.0
"""How much of a run must be done, and for how long, before it is said how much time is left."""


def is_stored(form: Form) -> bool:
    """Tell whether the image of a form is read from where it is stored, rather than held in memory."""
    try:
        array = form.target.array
    except ValueError:
        return False
    return not (array.in_memory if isinstance(array, Channels) else isinstance(array, np.ndarray))


def plan_of(form: Form, aim: Target) -> RunPlan:
    """Plan a run of a form; only shapes and dtypes are looked at, so it may be called while a user types.

    Parameters
    ----------
    form : Form
        What the form says.
    aim : Target
        What the run would work on.

    Raises
    ------
    MemoryError, ValueError
        If nothing fits, or the device cannot be used.
    """
    request = uncopied(form, aim)
    free = replace(limits(memory=1), host=Free(form.free, "what is free, or the limit of the preferences"))
    return plan_arrays(request.recipe, request.inputs, device=form.device, limits=free)


def uncopied(form: Form, aim: Target) -> Request:
    """Return what a form asks for with the arrays of its layers themselves, of which nothing is read or copied.

    Parameters
    ----------
    form : Form
        What the form says.
    aim : Target
        What the run would work on.
    """
    first = form.method.source.name
    inputs = {name: _layers.level_zero(layer) for name, layer in form.layers.items() if layer is not None}
    inputs[first] = aim.array
    recipe = Recipe((form.step(aim, inputs),), aim.selection)
    size = _layers.voxel_size(form.source, spatial(form.choice.letters)) or form.voxel_size
    unit = "" if size is None else size.unit
    return Request(recipe, inputs, form.device, "", aim, unit, sources={first: source_of(form.source)})


def plan_line(form: Form, aim: Target) -> str:
    """Say in a line how a run into a store would go, or why it cannot."""
    try:
        return line(plan_of(form, aim))
    except (MemoryError, ValueError) as error:
        return str(error)


def of_process(limit: int) -> int:
    """Return what a process may hold for a run to plan with a limit: that and what the program holds already."""
    import psutil

    return int(limit / HOST_SHARE + psutil.Process().memory_info().rss)


def proposed_target(source: Source, method: str) -> Path:
    """Return where labels may go: beside the image, under a name that nothing has yet.

    Parameters
    ----------
    source : Source
        The image.
    method : str
        What runs.

    Returns
    -------
    Path
        Such as ``brain-watershed.zarr`` beside ``brain.ome.zarr``; in the working directory for an image without a
        folder.
    """
    local = bool(source.path) and not stores.is_url(source.path)
    folder = Path(source.path).absolute().parent if local else Path.cwd()
    stem = Path(source.path.rstrip("/")).name if source.path else source.layer
    for ending in (".zarr", ".ome"):
        stem = stem.removesuffix(ending)
    stem = f"{file_name(stem) or 'image'}-{method.replace('_', '-')}"
    names = (f"{stem}.zarr" if n == 1 else f"{stem}-{n}.zarr" for n in range(1, 10_000))
    return next(folder / name for name in names if not (folder / name).exists())


def target_problem(target: str, source: Source) -> str:
    """Say why labels may not go somewhere, or return an empty string.

    Parameters
    ----------
    target : str
        Where they shall go.
    source : Source
        The image.

    Returns
    -------
    str
        What is wrong, and what to do.
    """
    if stores.is_url(target):
        return ""
    path = Path(target)
    if not stores.is_store(path):
        return f"the labels go into a Zarr store, whose name ends in .zarr, not {path.name!r}; choose another name"
    if source.path and not stores.is_url(source.path) and path.resolve() == Path(source.path).resolve():
        return f"{path.name!r} is the image itself; choose another name for the labels"
    if path.exists():
        return f"{path.name!r} is there already, and is not replaced; choose another name, or move it away"
    if not path.parent.is_dir():
        return f"there is no folder {str(path.parent)!r}; choose another"
    return ""


@dataclass(slots=True)
class Countdown:
    """Adds to each stage how much time is left, from how long it took to get this far.

    Parameters
    ----------
    tell : callable
        Told the stage and the fraction of all that is done.
    """

    tell: Callable[[str, float], None]
    _since: tuple[float, float] | None = None

    def __call__(self, stage: str, fraction: float) -> None:
        """Tell the stage with the time that is left, as soon as enough is done to say it."""
        now = time.monotonic()
        if self._since is None or fraction < self._since[1]:
            self._since = (now, fraction)
        start, first = self._since
        left = time_left(now - start, first, fraction)
        self.tell(f"{stage}, {left}" if left else stage, fraction)


def time_left(seconds: float, first: float, fraction: float) -> str:
    """Say how long a run may take still.

    Parameters
    ----------
    seconds : float
        How long it took so far.
    first, fraction : float
        Which fraction of it was done when that began, and is done now.

    Returns
    -------
    str
        Such as ``"3 min left"``; empty while too little is done to tell, and at the end.

    Examples
    --------
    >>> time_left(60, 0.0, 0.25)
    '3 min left'
    """
    if fraction - first < LEAST_DONE or seconds < LEAST_SECONDS or fraction >= 1:
        return ""
    left = seconds * (1 - fraction) / (fraction - first)
    return f"{duration(left)} left" if left >= 10 else "some seconds left"


@dataclass(frozen=True, slots=True, eq=False)
class LargeRun:
    """A run whose labels go into a store.

    Parameters
    ----------
    request : Request
        What is to run, on what, and where the labels lie in the viewer.
    target : str
        The folder or address of the labels.
    resume : bool
        Go on with what is left there of a run that did not end.
    scheduler : str
        The address of a dask scheduler; empty for this machine.
    memory : int
        The most bytes that the process may hold; 0 for what is free.
    tile : int
        The edge of a tile in voxels; 0 for the largest that fit.
    storage_options : mapping
        How addresses are reached.
    """

    request: Request
    target: str
    resume: bool = False
    scheduler: str = ""
    memory: int = 0
    tile: int = 0
    storage_options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def run(
        self,
        on_progress: Callable[[str, float], None],
        is_cancelled: Callable[[], bool],
        on_target: Callable[[Any], None],
        on_block: Callable[[Box], None],
    ) -> Any:
        """Run it; call it in a thread of its own.

        Parameters
        ----------
        on_progress : callable
            Told a stage and the fraction of all that is done.
        is_cancelled : callable
            Polled between tiles.
        on_target : callable
            Told the `LabelsTarget` before its first block is written.
        on_block : callable
            Told every box of level 0 that was written, from any thread.

        Returns
        -------
        Result
            With its target and provenance; its labels are lazy.
        """
        from ..running._batch import run

        source, also = self._source()
        if self.scheduler:
            also["scheduler"] = self.scheduler
        with _in_words_of_a_window():
            return run(
                self.request.recipe,
                source,
                self.target,
                resume=self.resume,
                on_progress=Countdown(on_progress),
                is_cancelled=is_cancelled,
                on_target=on_target,
                on_block=lambda region: on_block(tuple((one.start, one.stop) for one in region)),
                **self._options(),
                **also,
            )

    def planned(self) -> RunPlan:
        """Plan it with a short probe; it reads files and takes some seconds, so call it in a thread of its own."""
        from ..running._planning import plan

        source, also = self._source()
        return plan(self.request.recipe, source, **self._options(), **also)

    def _options(self) -> dict[str, Any]:
        first = self.request.recipe.source
        return {
            "inputs": {name: array for name, array in self.request.inputs.items() if name != first},
            "device": self.request.device,
            "memory": self.memory or None,
            "tile": self.tile or None,
            "storage_options": dict(self.storage_options) or None,
        }

    def _source(self) -> tuple[Any, dict[str, Any]]:
        """Return what to read, and what must be said of it."""
        request, first = self.request, self.request.recipe.source
        source = request.sources.get(first, Source())
        if source.path and not source.layers and _holds(source, request):
            return source.path, _beyond(request.recipe, source)
        array = request.inputs[first]
        if not is_lazy(array) and not isinstance(array, np.ndarray):
            array = request.readable(array)
        return volume_at(array, request.target, request.unit, source.layer), {}


_WORDS = {
    r"holds no run that this version can go on with; pass overwrite=True to start anew": (
        "holds a run that this version cannot go on with; choose another name, or remove that folder"
    ),
    r"pass resume=True to go on with it, or overwrite=True to start anew": "resume or discard it",
    r" in '[^']*': pass resume=True to go on": ": press Resume to go on",
    r"pass resume=True to go on": "press Resume to go on",
    r"stop it and pass resume=True": "stop it and press Resume",
    r"pass overwrite=True to (start anew|run from the start)": "discard it, and run it anew",
}
"""What sentences for Python say of a run, and what they say in a window."""


@contextmanager
def _in_words_of_a_window() -> Iterator[None]:
    """Raise sentences that name buttons where they named arguments."""
    try:
        yield
    except Busy as error:  # no fault of the program, so no traceback
        raise ValueError(_worded(str(error))) from error
    except (Cancelled, ValueError) as error:
        if (words := _worded(str(error))) == str(error):
            raise
        raise type(error)(words) from error


def _worded(sentence: str) -> str:
    for pattern, words in _WORDS.items():
        sentence = re.sub(pattern, words, sentence)
    return sentence


def _holds(source: Source, request: Request) -> bool:
    """Tell whether a store holds the array of the layer; readers of other plugins may give it other axes."""
    if not stores.is_store(source.path):
        return False
    try:
        image = stores.open_image(source.path)
    except (OSError, ValueError):
        return False
    shape = dict(zip(image.axes, image.levels[0].array.shape, strict=True))
    if source.channel is not None:
        shape.pop("c", None)
    level = request.recipe.selection.level if request.recipe.selection is not None else 0
    return sorted(shape.values()) == sorted(source.shape) and level < len(image.levels)


def volume_at(array: Any, aim: Target, unit: str, name: str) -> Volume:
    """Return the array of a layer as a volume that lies where the layer does.

    Parameters
    ----------
    array : array
        At the level of the target, as it is stored.
    aim : Target
        What is run on.
    unit : str
        The symbol of the unit of length; empty if it is not known.
    name : str
        The layer's name.

    Returns
    -------
    Volume
        Without place where the layer is rotated or sheared, which no volume can say.
    """
    axes, kept = aim.selection.axes, aim.selection.kept_axes
    lengths = dict(zip(kept, aim.spacing, strict=True))
    spatial = [axis for axis in axes if axis in "zyx"]
    spacing = tuple(lengths[axis] for axis in spatial)
    if set(spacing) == {1.0} and not unit:
        return Volume(array, axes, name=name)
    shifts = aim.place["translate"]
    at = dict(zip(kept, shifts, strict=True)) if len(shifts) == len(kept) else {}
    plain = np.array_equal(aim.place["affine"], np.eye(len(shifts) + 1)) and not np.any(aim.place["shear"])
    origin = tuple(float(at[axis]) for axis in spatial) if at and plain else None
    return Volume(array, axes, spacing, unit_name(unit), name, origin=origin)


def outcome_of(run: LargeRun, result: Any) -> Outcome:
    """Return what a run into a store gave, as widgets show it.

    Parameters
    ----------
    run : LargeRun
        What ran.
    result : Result
        What it gave.
    """
    provenance = result.provenance
    options = {"name": run.request.name, "metadata": {"napari_cutout": {"provenance": provenance}}}
    words = stored_summary(provenance, Path(run.target).name)
    return Outcome(result.labels, options, words, provenance["facts"])
