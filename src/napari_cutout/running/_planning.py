"""The plan of a run on a file, a store or an array, before it runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from .._array import Array, library
from .._device import Asked
from .._reading import Source, is_path
from .._wanted import Wanted
from ..recipe import Recipe, Step
from ..stores import is_store
from ._batch import Job, as_recipe, is_many
from ._limits import Limits, limits
from ._parts import part_of
from ._probe import probed
from ._run_plan import RunPlan, plan_arrays
from ._store_inputs import opened
from ._store_workers import Team, team
from ._views import Eager, View

__all__ = ["plan"]


def plan(
    recipe: Recipe | Step | str | os.PathLike[str],
    source: Source,
    *,
    inputs: Mapping[str, Source] | None = None,
    channel: int | Literal["mean", "all"] | None = None,
    frame: int | None = None,
    level: int | None = None,
    axes: str | None = None,
    each: str | None = None,
    pooled: bool = False,
    region: Mapping[str, tuple[int, int]] | None = None,
    whole: bool = False,
    spacing: Sequence[float] | None = None,
    device: Asked = "auto",
    memory: str | int | None = None,
    tile: int | Sequence[int] | None = None,
    workers: int | None = None,
    scheduler: Any = None,
    part: str | tuple[int, int] | None = None,
    assume_gpu: str | int | None = None,
    block: Sequence[int] | None = None,
    probe: bool = True,
    storage_options: Mapping[str, Any] | None = None,
) -> RunPlan:
    """Say what a run will do: whole or in tiles, on which device, how much memory, bytes and time it takes.

    Parameters
    ----------
    recipe : Recipe, Step or path
        What is to run; a path is read as JSON.
    source : array, Volume or path
        The image, as `napari_cutout.run` takes it: one, not a folder. Of a Zarr store no voxel is read, but for those
        of the probe; other files are read.
    inputs, channel, frame, level, axes, each, pooled, region, whole, spacing : object, optional
        As in `napari_cutout.run`.
    device : {"auto", "cpu", "gpu"}
        Where it is to run.
    memory : str or int, optional
        The most host memory that the process may hold, such as ``"4GiB"``; by default what is free now counts.
    tile : int or sequence of int, optional
        Edges of a tile in voxels, one for all axes or one for each; by default the largest that fit.
    workers : int, optional
        Tiles at work at a time at most; by default one for each core.
    scheduler : str or distributed.Client, optional
        A cluster whose workers do the tiles: the plan is that of the worker that has least.
    part : str or tuple of int, optional
        Which part of a job array it is, such as ``"3/64"``; each part is planned for the memory of this machine.
    assume_gpu : str or int, optional
        Plan for a GPU with this memory, such as ``"48GiB"``, that this machine need not have.
    block : sequence of int, optional
        What the edges of tiles are multiples of; by default the chunks or shards that labels of a store are
        written in.
    probe : bool
        Run the recipe on a few small tiles from the middle of the source, which takes some seconds at most, to
        estimate bytes and time.
    storage_options : mapping of str to object, optional
        What opens an object store, such as ``{"anon": True}``.

    Returns
    -------
    RunPlan
        Its text is for people; ``as_dict()`` is JSON.

    Raises
    ------
    FileNotFoundError
        If there is nothing to read.
    ValueError
        If the source is a folder of images, or recipe and image do not fit together.
    MemoryError
        If not even one tile fits into memory.

    Notes
    -----
    The seconds are an estimate: what a few tiles took, times how many voxels are read in all sweeps.

    Examples
    --------
    >>> import numpy as np, napari_cutout as nc
    >>> nc.plan(nc.Step("threshold"), np.zeros((64, 64), "uint16"), probe=False).mode
    'whole'
    """
    if is_path(source) and not is_store(source) and is_many(source):
        raise ValueError(f"a plan is made for one image, and {os.fspath(source)!r} are many; name one of them")
    limits(memory=memory, tile=tile, workers=workers, assume_gpu=assume_gpu)  # refuses before anything is opened
    wanted = Wanted(
        channel=channel,
        frame=frame,
        level=level,
        axes=axes,
        each=each,
        pooled=pooled,
        region=dict(region or {}),
        whole=whole,
    )
    job = Job(recipe=as_recipe(recipe), device=device, wanted=wanted)
    found = opened(job, source, inputs or {}, storage_options)
    arrays = {name: _seen(view) for name, view in found.views.items()}
    unit = found.block if block is None and hasattr(arrays[found.recipe.source], "chunks") else block
    with team(scheduler, None if part is None else part_of(part), None) as who:
        allowed = _limits(who, memory, tile, workers, assume_gpu)
        asked, in_tiles = who.device(device), who.is_many
        made = plan_arrays(found.recipe, arrays, limits=allowed, device=asked, block=unit, in_tiles=in_tiles)
        made = who.planned(made)
    lengths = found.spacing if spacing is None else tuple(spacing)
    return made if not probe or who.client is not None else probed(made, found.recipe, arrays, lengths)


def _limits(
    who: Team,
    memory: str | int | None,
    tile: int | Sequence[int] | None,
    workers: int | None,
    assume_gpu: str | int | None,
) -> Limits:
    """Return what the tiles of one process may take, with the GPU that is assumed."""
    assumed = limits(memory=memory, tile=tile, workers=workers, assume_gpu=assume_gpu).gpu
    found = who.limits(memory, tile, workers)
    return replace(found, gpu=assumed) if assumed else found


def _seen(view: View) -> Array:
    """Return what is in memory as an array, and what is stored as what reads it."""
    return view.read() if library(view.base) in ("numpy", "cupy") else Eager(view)
