"""What a run will do, before it does it: whole or in tiles, where, and how much memory that takes."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from . import _device, catalog
from ._array import Array, dtype_name, is_lazy
from ._footprint import device_footprint, footprint, tile_footprint
from ._memory import Free, host_memory, parse_bytes, size, within
from .recipe import Recipe

__all__ = ["Limits", "RunPlan", "limits", "line", "plan_arrays", "smaller"]

LARGEST = 1 << 26
"""Voxels of a tile at most: a run that is killed loses no more than the tiles at work."""

SMALLEST = 32
"""The edge below which a tile is not halved any more, unless the image or its target has smaller ones."""

TINY = 1 << 18
"""Voxels below which a tile is said to be tiny: reading its neighbours costs as much as its own voxels."""


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


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may take.

    Parameters
    ----------
    host : Free
        Host memory.
    cores : int
        Tiles at work at most.
    tile : tuple of int
        Edges of a tile that were asked for, along the last axes; one for all of them; empty to choose.
    gpu : int
        Bytes of a GPU that is assumed to be there, which this machine may not have; 0 for the one that it has.
    """

    host: Free
    cores: int
    tile: tuple[int, ...] = ()
    gpu: int = 0


def limits(
    *,
    memory: str | int | None = None,
    tile: int | Sequence[int] | None = None,
    workers: int | None = None,
    assume_gpu: str | int | None = None,
) -> Limits:
    """Return what a run may take: what was asked for, and else what this machine has.

    Parameters
    ----------
    memory : str or int, optional
        The most host memory that the process may hold, such as ``"4GiB"``; by default what is free is looked up.
    tile : int or sequence of int, optional
        Edges of a tile along the last axes; one number for all of them.
    workers : int, optional
        Tiles at work at most; by default one for each core.
    assume_gpu : str or int, optional
        Memory of a GPU to plan for, such as ``"48GiB"``.

    Returns
    -------
    Limits
        Checked.

    Raises
    ------
    ValueError
        If one of them is no number of its kind.
    """
    edges = (tile,) if isinstance(tile, int | np.integer) else tuple(tile or ())
    if tile is not None and not (edges and all(isinstance(e, int | np.integer) and e > 0 for e in edges)):
        raise ValueError(f"tile must be one edge in voxels, or one for each axis, such as 256, got {tile!r}")
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers!r}")
    return Limits(
        host_memory() if memory is None else within(parse_bytes(memory)),
        _cores() if workers is None else int(workers),
        tuple(map(int, edges)),
        0 if assume_gpu is None else parse_bytes(assume_gpu),
    )


def _cores() -> int:
    """Return on how many cores this process may run."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
        why = f"the whole needs {size(host)}, and {_free(limits.host)}"
    elif gpu > device_free:
        why = f"the whole needs {size(gpu)} of GPU memory, and {size(device_free)} are free"
    else:
        return _whole(seen, host, gpu, choice, limits, device_free)
    return _tiled(recipe, seen, choice, limits, block, why, device_free)


def _whole_bytes(
    recipe: Recipe, image: Sequence[int], seen: _Seen, in_memory: bool, used: Literal["cpu", "gpu"]
) -> tuple[int, int]:
    """Return the bytes of host and of GPU memory that the whole takes."""
    if used == "cpu":
        copied = () if in_memory else seen.others
        return footprint(recipe, image, seen.itemsize, in_memory=in_memory, others=copied), 0
    gpu = device_footprint(recipe, seen.itemsize, seen.others, seen.n_channels) * seen.n_voxels
    read = 0 if in_memory else (seen.itemsize * seen.n_channels + sum(seen.others)) * seen.n_voxels
    return read + 4 * seen.n_voxels * (1 + (seen.n_parts > 1) * seen.n_parts), int(gpu)


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


def _whole(seen: _Seen, host: int, gpu: int, choice: _device.Choice, limits: Limits, device_free: int) -> RunPlan:
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
        result_bytes=4 * seen.n_voxels * seen.n_parts,
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
    unit, driver = _unit(seen.shape, block), 0
    per_voxel, reach = tile_footprint(recipe, seen.shape, seen.itemsize, seen.others, seen.n_channels)
    on_device = device_footprint(recipe, seen.itemsize, seen.others, seen.n_channels) if choice.used == "gpu" else 0.0
    room = _Room(limits, per_voxel, limits.host.n_bytes - driver, on_device, device_free, reach, seen.shape)
    asked = _asked(seen.shape, limits.tile, unit)
    tile, workers = _fitted(room, unit, asked)
    n_tiles = math.prod(-(-n // e) for n, e in zip(seen.shape, tile, strict=True))
    workers = max(min(workers, n_tiles), 1)
    at_work = _at_work(seen.shape, tile, reach)
    notes = []
    if asked and limits.tile and tile != _spread(seen.shape, limits.tile):
        notes.append(f"tiles are whole blocks of the target, {_by(unit)} voxels each")
    if math.prod(tile) < min(TINY, seen.n_voxels) and n_tiles > 1:
        notes.append(f"tiles of {_by(tile)} voxels are tiny, and the run slow; give it more memory")
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
        bytes_per_voxel=per_voxel,
        host_bytes=int(workers * at_work * per_voxel) + driver,
        driver_bytes=driver,
        device_bytes=int(workers * at_work * on_device),
        free=limits.host,
        device_free=device_free,
        result_bytes=4 * seen.n_voxels * seen.n_parts,
        notes=tuple(notes),
        assumed=bool(limits.gpu),
    )


def _unit(shape: Sequence[int], block: Sequence[int] | None) -> tuple[int, ...]:
    """Return the smallest tile: a block of the target, or a small one."""
    given = (SMALLEST,) * len(shape) if block is None else tuple(block)[-len(shape) :]
    return tuple(max(min(int(b), n), 1) for b, n in zip(given, shape, strict=True))


def _spread(shape: Sequence[int], tile: Sequence[int]) -> tuple[int, ...]:
    """Return edges along all axes: those of the last ones, or one for all of them; never beyond the image."""
    edges = tuple(tile) * len(shape) if len(tile) == 1 else (*shape[: len(shape) - len(tile)], *tile[-len(shape) :])
    return tuple(max(min(e, n), 1) for e, n in zip(edges, shape, strict=True))


def _asked(shape: Sequence[int], tile: Sequence[int], unit: Sequence[int]) -> tuple[int, ...]:
    """Return the edges that were asked for as multiples of the blocks; empty if none were."""
    if not tile:
        return ()
    along = zip(_spread(shape, tile), unit, shape, strict=True)
    return tuple(min(max(-(-e // u), 1) * u, n) for e, u, n in along)


@dataclass(frozen=True, slots=True)
class _Room:
    """What tiles at work must fit into."""

    limits: Limits
    per_voxel: float
    host: int
    on_device: float
    device: int
    reach: tuple[int, ...]
    shape: tuple[int, ...]

    def fits(self, tile: tuple[int, ...], workers: int) -> bool:
        """Tell whether so many of these tiles can be at work."""
        n = workers * _at_work(self.shape, tile, self.reach)
        return n * self.per_voxel <= self.host and n * self.on_device <= self.device

    @property
    def most(self) -> int:
        """Tiles at work at most: a GPU takes one at a time."""
        return 1 if self.on_device else self.limits.cores


def _fitted(room: _Room, unit: tuple[int, ...], asked: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """Return the largest tiles that fit, and how many at a time: rather fewer of them than tiny ones."""
    best: tuple[tuple[int, ...], int] | None = None
    for workers in range(room.most, 0, -1):
        tile = asked if asked and room.fits(asked, workers) else () if asked else _largest(room, unit, workers)
        if tile and (best is None or math.prod(best[0]) < min(8 * TINY, math.prod(tile))):
            best = tile, workers
    if best is None:
        n = _at_work(room.shape, asked or unit, room.reach)
        raise MemoryError(
            f"one tile of {_by(asked or unit)} voxels needs {size(n * room.per_voxel)}, and {_free(room.limits.host)}; "
            "pass a smaller tile, a target with smaller chunks, or more memory"
        )
    return best


def _largest(room: _Room, unit: tuple[int, ...], workers: int) -> tuple[int, ...]:
    """Double the shortest edge of a block as long as it fits; empty if the block does not."""
    tile, most = unit, max(LARGEST, math.prod(unit))
    if not room.fits(tile, workers):
        return ()
    while True:
        for axis in sorted(range(len(tile)), key=tile.__getitem__):
            grown = (*tile[:axis], min(2 * tile[axis], room.shape[axis]), *tile[axis + 1 :])
            if grown != tile and math.prod(grown) <= most and room.fits(grown, workers):
                break
        else:
            return tile
        tile = grown


def _at_work(shape: Sequence[int], tile: Sequence[int], reach: Sequence[int]) -> int:
    """Return the voxels of a tile and of what is read around it."""
    return math.prod(min(e + 2 * r, n) for e, r, n in zip(tile, reach, shape, strict=True))


def smaller(plan: RunPlan, block: Sequence[int] | None = None) -> RunPlan | None:
    """Return the plan with tiles of half the edge, for when memory ran out; None if they cannot be smaller.

    Parameters
    ----------
    plan : RunPlan
        What ran out of memory.
    block : sequence of int, optional
        What the edges of a tile must be multiples of.
    """
    unit = _unit(plan.shape, block)
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
        how = f"in {plan.n_tiles:,} tile{'s' * (plan.n_tiles > 1)} of {_by(plan.tile)} on {where}{at_once}"
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
    tiles = f"{plan.n_tiles:,} of {_by(plan.tile)} voxels, {plan.workers} at a time" if plan.mode == "tiles" else ""
    driver = f", {size(plan.driver_bytes)} of it to join them" if plan.driver_bytes else ""
    return [
        ("runs", f"{'whole' if plan.mode == 'whole' else 'in tiles'}, because {plan.why}"),
        ("on", f"the {plan.device.upper()}, because {plan.reason}"),
        ("sees", f"{_by(plan.shape)} voxels" + (f", {plan.n_parts:,} times" if plan.n_parts > 1 else "")),
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


def _by(edges: Sequence[int]) -> str:
    return "x".join(map(str, edges))


def _free(host: Free) -> str:
    return f"{size(host.n_bytes)} may be taken, by {host.found_in}"
