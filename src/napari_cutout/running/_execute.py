"""Running a recipe on arrays: on which device, part by part, and how the result came about."""

from __future__ import annotations

import math
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .. import _device, catalog
from .._array import Array, dtype_name, is_lazy
from ..recipe import Recipe, as_dict
from ._attempts import Attempts
from ._known_steps import KnownSteps
from ._linking import rule_of
from ._run_plan import Limits
from ._steps import OnProgress, Run, Steps, channel_axis_of, keeps_labels, merged, of_parts, plain, renumbered
from ._tile_footprint import device_footprint

if TYPE_CHECKING:
    from ..evaluation.overlap import Evaluation

__all__ = [
    "OnProgress",
    "Result",
    "Steps",
    "channel_axis_of",
    "choice_for",
    "execute",
    "keeps_labels",
    "merged",
    "of_parts",
    "provenance_of",
    "renumbered",
    "versions",
]


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a recipe gave, and how it came about.

    Parameters
    ----------
    labels : array
        Whole numbers in host memory, or a dask array of the store that they were written to; of the shape of the
        image, or of what was selected of it. Objects of frames or slices that were run one at a time are numbered on
        and on; classes stay, and so do labels that an input had.
    provenance : dict
        JSON-able: ``recipe``, ``steps`` (all settings, and the facts of each), ``facts`` (of all steps),
        ``device``, ``versions``, ``seconds``, ``tiling``, ``inputs`` (shapes and dtypes), ``time``.
    target : Path or str, optional
        Where the labels were written; an address where that is an object store.
    evaluation : Evaluation, optional
        The scores, where a truth was given.
    """

    labels: NDArray[Any]
    provenance: dict[str, Any]
    target: Path | str | None = None
    evaluation: Evaluation | None = None

    def __repr__(self) -> str:
        """Return what came out in a line; `labels` and `provenance` hold the rest."""
        told = self.provenance
        steps = " > ".join(step["method"] for step in told.get("steps", ()))
        shape = "x".join(map(str, self.labels.shape))
        device, seconds = told.get("device", {}).get("used", ""), told.get("seconds")
        how = f", {device.upper()} {seconds:.2f} s" if device and seconds is not None else ""
        where = "" if self.target is None else f", written to {self.target}"
        scores = "" if self.evaluation is None else f", mean IoU {self.evaluation.mean_iou:.4f}"
        return f"<Result of {steps or 'a run'}: labels {shape} {self.labels.dtype}{how}{where}{scores}>"


def execute(
    recipe: Recipe,
    inputs: Mapping[str, Array],
    *,
    spacing: Sequence[float] | None = None,
    device: _device.Asked = "auto",
    on_progress: OnProgress | None = None,
    is_cancelled: Callable[[], bool] | None = None,
    known: KnownSteps | None = None,
    limits: Limits | None = None,
) -> Result:
    """Run a recipe on arrays: whole where that fits into memory, else in tiles, and in smaller ones if it runs out.

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
    limits : Limits, optional
        What it may take, and whether it runs in tiles of a certain size; by default the memory that is free.

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
        If memory runs out, even with the smallest tiles.
    Cancelled
        If `is_cancelled` returned True.
    """
    check_inputs(recipe, inputs)
    start = time.perf_counter()
    known = KnownSteps() if known is None else known
    known.seconds = 0.0
    run = Run(recipe, inputs, spacing, on_progress, is_cancelled, known, rule_of(recipe) is not None)
    if any(is_lazy(a) for a in inputs.values()):
        choice = choice_for(recipe, inputs, device)
        with _device.asking(device):
            labels, steps = run.whole("cpu")
        return Result(labels, provenance_of(recipe, inputs, steps, choice, time.perf_counter() - start))
    found = Attempts(run, device, limits).outcome()
    seconds = time.perf_counter() - start + known.seconds
    provenance = provenance_of(recipe, inputs, found.steps, found.choice, seconds, found.tiling)
    if found.ran_out:
        provenance["out_of_memory"] = found.ran_out
    return Result(found.labels, provenance)


def check_inputs(recipe: Recipe, inputs: Mapping[str, Array]) -> None:
    """Refuse inputs that a recipe cannot run on: of which one is missing, not wanted, no array, or of another shape.

    Parameters
    ----------
    recipe : Recipe
        What is to run.
    inputs : mapping of str to array
        On what; only shapes and dtypes are looked at.

    Raises
    ------
    ValueError, TypeError
        If something is not right.
    """
    _check_given(recipe, inputs)
    _check_shapes(recipe, inputs)


def _check_given(recipe: Recipe, inputs: Mapping[str, Array]) -> None:
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
            raise ValueError(
                "device='gpu' cannot be used on dask arrays whose labels go to memory; name a store as the target, "
                "compute them first, or use 'cpu'"
            )
        return _device.Choice(device, "cpu", "dask arrays run in blocks on the CPU")
    shape, chosen = tuple(image.shape), recipe.selection
    n_values = math.prod(shape)
    if chosen is not None:
        bounds = chosen.bounds(shape)
        part = (b - a for axis, (a, b) in zip(chosen.kept_axes, bounds, strict=True) if axis not in chosen.each)
        n_values = math.prod(part) * chosen.n_channels(shape)
    sizes = {name: np.dtype(dtype_name(a)).itemsize for name, a in inputs.items()}
    itemsize = sizes.pop(recipe.source)
    return _device.choose(n_values, device_footprint(recipe, n_values, itemsize, tuple(sizes.values())), device)


def _runs_networks(recipe: Recipe) -> bool:
    """Tell whether all steps are networks: the image then stays where it is, and CuPy is not needed."""
    return all(catalog.find(step.method).network for step in recipe.steps)


def provenance_of(
    recipe: Recipe,
    inputs: Mapping[str, Array],
    steps: Steps,
    choice: _device.Choice,
    seconds: float,
    tiling: str = "",
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
    tiling : str
        In what tiles; empty if in none.
    """
    tiled, tiling = bool(tiling), tiling or ("blocks" if any(is_lazy(a) for a in inputs.values()) else "whole")
    if not tiled and any("approximate" in step["facts"] for step in steps):
        tiling = "tiles, as the whole does not fit into memory"
    if recipe.selection is not None and recipe.selection.each:
        one = f"one index of {recipe.selection.each!r} at a time"
        tiling = f"{one}, in {tiling}" if tiled else one
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
    found: dict[str, Any] = plain(provenance)
    return found


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
    from .. import __version__

    return __version__
