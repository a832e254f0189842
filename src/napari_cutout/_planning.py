"""The plan of a run on a file, a store or an array, before it runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from . import io
from ._array import Array, is_lazy
from ._batch import all_inputs, as_recipe, input_of, is_many
from ._device import Asked
from ._probe import probed
from ._reading import Source, as_volume, is_path
from ._run_plan import RunPlan, limits, plan_arrays
from ._volume import Volume
from ._wanted import Wanted, fitted
from .recipe import Recipe, Step
from .stores import is_store, is_url, open_image

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
    assume_gpu : str or int, optional
        Plan for a GPU with this memory, such as ``"48GiB"``, that this machine need not have.
    block : sequence of int, optional
        What the edges of tiles are multiples of; by default the chunks or shards of the source, whose layout the
        labels take over.
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
    recipe = as_recipe(recipe)
    allowed = limits(memory=memory, tile=tile, workers=workers, assume_gpu=assume_gpu)
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
    image = fitted(_opened(source, recipe, wanted, storage_options), recipe, wanted)
    recipe = replace(recipe, selection=image.selection)
    others = {
        name: input_of(recipe, name, _lazily(other, storage_options), image)
        for name, other in all_inputs(recipe, inputs or {}).items()
    }
    arrays: dict[str, Array] = {recipe.source: image.volume.data, **others}
    unit = _chunks(arrays[recipe.source]) if block is None else block
    made = plan_arrays(recipe, arrays, limits=allowed, device=device, block=unit)
    lengths = image.spacing if spacing is None else tuple(spacing)
    return probed(made, recipe, arrays, lengths) if probe else made


def _opened(source: Source, recipe: Recipe, wanted: Wanted, options: Mapping[str, Any] | None) -> Volume:
    """Open the image at the level that the recipe runs on."""
    if is_path(source) and is_many(source):
        raise ValueError(f"a plan is made for one image, and {os.fspath(source)!r} are many; name one of them")
    axes = wanted.axes or ("" if recipe.selection is None else recipe.selection.axes)
    return as_volume(_lazily(source, options, wanted.level_for(recipe.selection)), 0, axes)


def _lazily(source: Source, options: Mapping[str, Any] | None, level: int = 0) -> Source:
    """Open what is a store without reading it; leave anything else as it is."""
    if not is_path(source):
        return source
    if is_url(source) or is_store(source):
        return open_image(source, storage_options=options).volume(level)
    return io.read(source, level)


def _chunks(array: Array) -> tuple[int, ...] | None:
    """Return what an array is stored in pieces of; None for an array in memory."""
    chunks = getattr(array, "shards", None) or getattr(array, "chunks", None)
    if chunks is None:
        return None
    return tuple(max(c) for c in chunks) if is_lazy(array) else tuple(map(int, chunks))
