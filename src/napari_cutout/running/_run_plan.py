"""What a run will do, before it does it: whole or in tiles, where, and how much memory that takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from .. import _device, catalog
from .._array import Array, dtype_name, is_lazy
from .._memory import Free, size
from ..recipe import Recipe
from ._footprint import footprint, label_bytes
from ._limits import Limits, limits
from ._tile_choice import TINY, Room, asked_edges, by, fitted, free_text, spread, unit_of
from ._tile_footprint import device_footprint, needs

__all__ = ["Limits", "RunPlan", "limits", "line", "plan_arrays", "smaller"]


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run will do.

    Parameters
    ----------
    mode : {"whole", "tiles"}
        Whether all voxels that a method sees are in memory at a time.
    why : str
        Why in this mode, as a clause that fits after "because".
    device : {"cpu", "gpu"}
        Where.
    reason : str
        Why there, as a clause that fits after "because".
    shape : tuple of int
        Voxels along each axis that a method sees.
    n_parts : int
        How many times, as for frames that are run one by one.
    tile : tuple of int
        Edges of what is computed at a time; the shape, where that is the whole.
    n_tiles : int
        How many there are in one part.
    workers : int
        How many are at work at a time.
    bytes_per_voxel : float
        Host memory that a voxel at work takes at the peak.
    host_bytes : int
        Host memory at the peak, beyond what is in memory already.
    driver_bytes : int
        What of it the process takes that joins what tiles tell.
    device_bytes : int
        GPU memory at the peak; 0 on the CPU.
    free : Free
        Host memory that the run may take, and which limit says so.
    device_free : int
        GPU memory that is free; 0 on the CPU.
    result_bytes : int
        Bytes of the labels, before they are compressed.
    sweeps : int, optional
        How often all tiles are gone through; None if no probe told.
    read_bytes : int, optional
        What is read of the inputs in all sweeps, halos included, before it is decompressed.
    scratch_bytes : int, optional
        What is stored on the way, before it is compressed.
    seconds : float, optional
        An estimate of the time, from a probe.
    notes : tuple of str
        What the user should know.
    assumed : bool
        Whether it is for a machine that is not this one, so that it cannot be run here.
    """

    mode: Literal["whole", "tiles"]
    why: str
    device: Literal["cpu", "gpu"]
    reason: str
    shape: tuple[int, ...]
    n_parts: int
    tile: tuple[int, ...]
    n_tiles: int
    workers: int
    bytes_per_voxel: float
    host_bytes: int
    driver_bytes: int
    device_bytes: int
    free: Free
    device_free: int
    result_bytes: int
    sweeps: int | None = None
    read_bytes: int | None = None
    scratch_bytes: int | None = None
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    assumed: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {**asdict(self), "shape": list(self.shape), "tile": list(self.tile), "notes": list(self.notes)}

    def __str__(self) -> str:
        rows = [(name, text) for name, text in _rows(self) if text]
        wide = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{wide}}  {text}" for name, text in rows)


def plan_arrays(
    recipe: Recipe,
    inputs: Mapping[str, Array],
    *,
    device: _device.Asked = "auto",
    limits: Limits,
    block: Sequence[int] | None = None,
    in_tiles: bool = False,
) -> RunPlan:
    """Plan a run on arrays, of which only shapes and dtypes are looked at.

    Parameters
    ----------
    recipe : Recipe
        What will run.
    inputs : mapping of str to array
        On what; NumPy, CuPy, dask or Zarr.
    device : {"auto", "cpu", "gpu"}
        What was asked for.
    limits : Limits
        What it may take.
    block : sequence of int, optional
        What the edges of a tile must be multiples of along the last axes, such as the chunks of the target.
    in_tiles : bool
        Run in tiles even where the whole would fit.

    Returns
    -------
    RunPlan
        Without what a probe tells.

    Raises
    ------
    MemoryError
        If not even one tile fits; the message says what does.
    ValueError, MemoryError
        If a GPU was asked for and cannot be used.
    """
    image = inputs[recipe.source]
    seen = _Seen.of(recipe, inputs)
    in_memory = not is_lazy(image) and not hasattr(image, "chunks")
    choice = _choice(recipe, seen, device, limits)
    device_free = (limits.gpu or _device.gpu_status().free) if choice.used == "gpu" else 0
    host, gpu = _whole_bytes(recipe, tuple(image.shape), seen, in_memory, choice.used)
    if in_tiles or limits.tile:
        why = "it was asked for"
    elif host > limits.host.n_bytes:
        why = f"the whole needs {size(host)}, and {free_text(limits.host)}"
    elif gpu > device_free:
        why = f"the whole needs {size(gpu)} of GPU memory, and {size(device_free)} are free"
    else:
        return _whole(recipe, seen, host, gpu, choice, limits, device_free)
    return _tiled(recipe, seen, choice, limits, block, why, device_free)


def _whole_bytes(
    recipe: Recipe, image: Sequence[int], seen: _Seen, in_memory: bool, used: Literal["cpu", "gpu"]
) -> tuple[int, int]:
    """Return the bytes of host and of GPU memory that the whole takes."""
    if used == "cpu":
        copied = () if in_memory else seen.others
        return footprint(recipe, image, seen.itemsize, in_memory=in_memory, others=copied), 0
    gpu = device_footprint(recipe, seen.n_voxels, seen.itemsize, seen.others, seen.n_channels)
    read = 0 if in_memory else (seen.itemsize * seen.n_channels + sum(seen.others)) * seen.n_voxels
    return read + 4 * seen.n_voxels * (1 + (seen.n_parts > 1) * seen.n_parts), gpu


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a method sees at a time."""

    shape: tuple[int, ...]
    n_parts: int
    n_channels: int
    itemsize: int
    others: tuple[int, ...]

    @classmethod
    def of(cls, recipe: Recipe, inputs: Mapping[str, Array]) -> _Seen:
        image = inputs[recipe.source]
        shape = tuple(map(int, image.shape))
        sizes = {name: np.dtype(dtype_name(a)).itemsize for name, a in inputs.items()}
        itemsize = sizes.pop(recipe.source)
        others = tuple(sizes.values())
        selection = recipe.selection
        if selection is None:
            return cls(shape, 1, 1, itemsize, others)
        ends = zip(selection.kept_axes, selection.bounds(shape), strict=True)
        part = tuple(stop - start for axis, (start, stop) in ends if axis in selection.run_axes)
        return cls(part, len(selection.parts(shape)), selection.n_channels(shape), itemsize, others)

    @property
    def n_voxels(self) -> int:
        """Voxels of a part, without channels."""
        return math.prod(self.shape)


def _choice(recipe: Recipe, seen: _Seen, device: _device.Asked, limits: Limits) -> _device.Choice:
    """Choose the device; of a GPU that is assumed, only the memory is known."""
    if all(catalog.find(step.method).network for step in recipe.steps):
        return _device.Choice(device, "cpu", "a network finds its device by itself")
    if limits.gpu and device != "cpu":
        return _device.Choice(device, "gpu", f"a GPU with {size(limits.gpu)} is assumed")
    return _device.choose(seen.n_voxels * seen.n_channels, 0, device)  # what does not fit is done in tiles


def _whole(
    recipe: Recipe, seen: _Seen, host: int, gpu: int, choice: _device.Choice, limits: Limits, device_free: int
) -> RunPlan:
    return RunPlan(
        mode="whole",
        why=f"it fits: {size(host)} of the {size(limits.host.n_bytes)} that may be taken",
        device=choice.used,
        reason=choice.reason,
        shape=seen.shape,
        n_parts=seen.n_parts,
        tile=seen.shape,
        n_tiles=1,
        workers=1,
        bytes_per_voxel=host / max(seen.n_voxels, 1),
        host_bytes=host,
        driver_bytes=0,
        device_bytes=gpu,
        free=limits.host,
        device_free=device_free,
        result_bytes=label_bytes(recipe.steps[-1]) * seen.n_voxels * seen.n_parts,
        assumed=bool(limits.gpu),
    )


def _tiled(
    recipe: Recipe,
    seen: _Seen,
    choice: _device.Choice,
    limits: Limits,
    block: Sequence[int] | None,
    why: str,
    device_free: int,
) -> RunPlan:
    unit = unit_of(seen.shape, block)
    steps = needs(recipe, seen.shape, seen.itemsize, seen.others, seen.n_channels)
    room = Room(limits, tuple(steps), device_free if choice.used == "gpu" else None, seen.shape)
    asked = asked_edges(seen.shape, limits.tile, unit)
    tile, workers = fitted(room, unit, asked)
    n_tiles = math.prod(-(-n // e) for n, e in zip(seen.shape, tile, strict=True))
    workers = max(min(workers, n_tiles), 1)
    notes = []
    if asked and limits.tile and tile != spread(seen.shape, limits.tile):
        notes.append(f"tiles are whole blocks of the target, {by(unit)} voxels each")
    if math.prod(tile) < min(TINY, seen.n_voxels) and n_tiles > 1:
        notes.append(f"tiles of {by(tile)} voxels are tiny, and the run slow; give it more memory")
    return RunPlan(
        mode="tiles",
        why=why,
        device=choice.used,
        reason=choice.reason,
        shape=seen.shape,
        n_parts=seen.n_parts,
        tile=tile,
        n_tiles=n_tiles,
        workers=workers,
        bytes_per_voxel=max(need.per_voxel for need in steps),
        host_bytes=room.host_bytes(tile, workers),
        driver_bytes=room.driver_bytes(tile),
        device_bytes=room.device_bytes(tile, workers),
        free=limits.host,
        device_free=device_free,
        result_bytes=label_bytes(recipe.steps[-1]) * seen.n_voxels * seen.n_parts,
        notes=tuple(notes),
        assumed=bool(limits.gpu),
    )


def smaller(plan: RunPlan, block: Sequence[int] | None = None) -> RunPlan | None:
    """Return the plan with tiles of half the edge, for when memory ran out; None if they cannot be smaller.

    Parameters
    ----------
    plan : RunPlan
        What ran out of memory.
    block : sequence of int, optional
        What the edges of a tile must be multiples of.
    """
    unit = unit_of(plan.shape, block)
    along = zip(plan.tile, unit, plan.shape, strict=True)
    tile = tuple(max(-(-(e // 2) // u) * u, u) if e > u else e for e, u, _ in along)
    if tile == plan.tile:
        return None
    n_tiles = math.prod(-(-n // e) for n, e in zip(plan.shape, tile, strict=True))
    share = math.prod(tile) / math.prod(plan.tile)
    return replace(
        plan,
        mode="tiles",
        why="memory ran out",
        tile=tile,
        n_tiles=n_tiles,
        host_bytes=int((plan.host_bytes - plan.driver_bytes) * share) + plan.driver_bytes,
    )


# For people ----------------------------------------------------------------------------------------------


def line(plan: RunPlan) -> str:
    """Return a plan in a line, such as ``"in 64 tiles of 256x256x256 on the CPU, 2 at a time: 3.1 of 19.2 GiB"``."""
    where = "the GPU" if plan.device == "gpu" else "the CPU"
    if plan.mode == "whole":
        how = f"whole on {where}"
    else:
        at_once = f", {plan.workers} at a time" if plan.n_tiles > 1 else ""
        how = f"in {plan.n_tiles:,} tile{'s' * (plan.n_tiles > 1)} of {by(plan.tile)} on {where}{at_once}"
    frames = f", {plan.n_parts:,} times" if plan.n_parts > 1 else ""
    said = [f"{size(plan.host_bytes)} of {size(plan.free.n_bytes)}"]
    if plan.read_bytes is not None:
        said.append(f"reads {size(plan.read_bytes)}")
    if plan.seconds is not None:
        said.append(f"about {duration(plan.seconds)}")
    return f"{how}{frames}: {', '.join(said)}"


def duration(seconds: float) -> str:
    """Write a time for people, such as ``"4 min"``; it is an estimate, so one or two digits do."""
    if seconds < 1:
        return "a second"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 36 * 3600 else f"{seconds / 86400:.1f} days"


def _rows(plan: RunPlan) -> list[tuple[str, str]]:
    """Return what a person reads of a plan, as names and texts; empty texts are left out."""
    tiles = f"{plan.n_tiles:,} of {by(plan.tile)} voxels, {plan.workers} at a time" if plan.mode == "tiles" else ""
    driver = f", {size(plan.driver_bytes)} of it to join them" if plan.driver_bytes else ""
    return [
        ("runs", f"{'whole' if plan.mode == 'whole' else 'in tiles'}, because {plan.why}"),
        ("on", f"the {plan.device.upper()}, because {plan.reason}"),
        ("sees", f"{by(plan.shape)} voxels" + (f", {plan.n_parts:,} times" if plan.n_parts > 1 else "")),
        ("tiles", tiles),
        ("memory", f"{size(plan.host_bytes)}, {plan.bytes_per_voxel:.0f} bytes per voxel at work{driver}"),
        ("free", f"{size(plan.free.n_bytes)} to plan with, by {plan.free.found_in}"),
        ("GPU memory", f"{size(plan.device_bytes)} of {size(plan.device_free)}" if plan.device == "gpu" else ""),
        ("sweeps", "" if plan.sweeps is None else f"{plan.sweeps:,}"),
        ("reads", "" if plan.read_bytes is None else f"{size(plan.read_bytes)}, halos included"),
        ("scratch", size(plan.scratch_bytes) + " at most" if plan.scratch_bytes else ""),
        ("writes", f"{size(plan.result_bytes)} at most"),
        ("time", "" if plan.seconds is None else f"about {duration(plan.seconds)}, an estimate from a short probe"),
        *(("note", text) for text in plan.notes),
    ]
