"""Recipes on arrays, files and folders: what to read, where to write, which truth belongs to which image."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .. import io, stores
from .._array import Array, dtype_name
from .._device import Asked
from .._pairs import is_many, pair, stem_of
from .._reading import Source, as_volume, check_one, is_path, read, warn_if_grey
from .._sources import Source as FileSource
from .._sources import checksum, fingerprint
from .._stored import Stored, file_name, how_to_pass
from .._volume import Volume
from .._wanted import Fitted, Wanted, fitted
from .._writing import write_text
from ..evaluation._images import ERRORS, sentence
from ..evaluation._matching import Match
from ..recipe import Recipe, Step, as_dict, with_provenance
from ._execute import Result, execute
from ._limits import Limits, limits
from ._lineage import lineage, recipe_beside
from ._measure import add_to_table
from ._object_table import Entry, ObjectTable, entries_of
from ._parts import part_of
from ._rows import (
    Batch,
    Row,
    columns,
    how_read,
    object_scores,
    run_numbers_objects,
    said_of_objects,
    table_as_csv,
)
from ._store_attempt import Watchers
from ._store_run import StoreOptions, run_store, takes
from ._there import there, voxel_size

if TYPE_CHECKING:
    from ..stores import LabelsTarget
    from ._run_plan import RunPlan

__all__ = [
    "ERRORS",
    "Batch",
    "Job",
    "Row",
    "as_recipe",
    "columns",
    "how_read",
    "is_many",
    "object_scores",
    "pair",
    "recipe_beside",
    "run",
    "run_numbers_objects",
    "said_of_objects",
    "sentence",
    "table_as_csv",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """All that is the same for every image of a run.

    Parameters
    ----------
    recipe : Recipe
        What to run.
    device : {"auto", "cpu", "gpu"}
        Where.
    wanted : Wanted
        What of the images is asked for, over what the recipe says.
    spacing : tuple of float, optional
        World length of a voxel along the axes that a method sees; by default that of the file.
    ignore, match
        How truths are read; see `napari_cutout.evaluate`.
    suffix : str
        Ending of the files in a target folder.
    overwrite : bool
        Replace files that are there.
    resume : bool
        Keep labels that are there already and were made by the same recipe of the same images.
    table : ObjectTable, optional
        Takes the objects that were found.
    entry : Entry, optional
        What the image is called in that table; by default after its file.
    limits : Limits, optional
        What a run on arrays in memory may take.
    on_progress, is_cancelled
        As in `napari_cutout.recipe.execute`.
    """

    recipe: Recipe
    device: Asked = "auto"
    wanted: Wanted = field(default_factory=Wanted)
    spacing: tuple[float, ...] | None = None
    ignore: int | None = None
    match: Match = "auto"
    suffix: str = ".tif"
    overwrite: bool = False
    resume: bool = False
    table: ObjectTable | None = None
    entry: Entry | None = None
    limits: Limits | None = None
    on_progress: Callable[[str, float], None] | None = None
    is_cancelled: Callable[[], bool] | None = None

    def __post_init__(self) -> None:
        _check_suffix(Path(f"labels{self.suffix}"))


def run(
    recipe: Recipe | Step | str | os.PathLike[str],
    source: Source,
    target: str | os.PathLike[str] | None = None,
    *,
    truth: Source | None = None,
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
    ignore: int | None = None,
    match: Match = "auto",
    suffix: str = ".tif",
    table: str | os.PathLike[str] | None = None,
    device: Asked = "auto",
    overwrite: bool = False,
    memory: str | int | None = None,
    tile: int | Sequence[int] | None = None,
    workers: int | None = None,
    scheduler: Any = None,
    part: str | tuple[int, int] | None = None,
    patience: float | None = None,
    resume: bool = False,
    ngff: Literal["0.4", "0.5"] | None = None,
    storage_options: Mapping[str, Any] | None = None,
    probe: bool = False,
    on_plan: Callable[[RunPlan], None] | None = None,
    on_target: Callable[[LabelsTarget], None] | None = None,
    on_block: Callable[[tuple[slice, ...]], None] | None = None,
    on_progress: Callable[[str, float], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> Result | Batch:
    """Run a recipe on an array, a file, a store, or every file of a folder.

    From a Zarr store, or a dask or Zarr array, to a Zarr store it runs tile by tile where the whole does not fit into
    memory, and keeps a journal beside the target, so that a run that was killed can be taken up again.

    Parameters
    ----------
    recipe : Recipe, Step or path
        What to run; a path is read as JSON.
    source : array, Volume or path
        The image: an array of shape ([Z,] Y, X), a `Volume`, a file (or ``file.npz:key``), a folder, or a
        pattern such as ``"plate/*.tif"``; a Zarr store may be a URL. The recipe reads it as ``recipe.source``.
    target : path, optional
        Where the labels go: a file or a store for one image, a folder for many. Beside each file of labels
        ``<name>.recipe.json`` holds the recipe and how the labels came about. Over a folder with truths,
        ``scores.csv`` holds the scores.
    truth : array, Volume or path, optional
        What the labels are scored against; for many images a folder or a pattern, paired by name.
    inputs : mapping of str to array, Volume or path, optional
        What the recipe reads beside ``recipe.source``, such as ``{"mask": "mask.tif"}``. For one image, what is left
        out is taken from beside the recipe, if it was saved there and is as it was.
    channel : int, "mean" or "all", optional
        Which channel to take of an image that has several, the mean of them, or all of them together, for methods that
        have a `channel_axis`; by default that of the recipe, else all of them where every step that reads the image
        takes them. Of four colours along a last axis, the fourth is alpha and left out.
    frame : int, optional
        Which time point to take of an image that has several. The labels then have no time axis.
    level : int, optional
        Which level of a pyramid to take, 0 being the finest; by default that of the recipe.
    axes : str, optional
        What the axes of the image are, such as ``"tyx"``; by default what its file says.
    each : str, optional
        Axes that are run one index at a time, of ``"tz"``; by default those of the recipe.
    pooled : bool
        Whether these share their statistics, such as one threshold for all frames.
    region : mapping of str to (int, int), optional
        First index and the one after the last along some axes, such as ``{"y": (0, 64)}``.
    whole : bool
        Leave out the region that the recipe was made on, so that it runs on images of any size.
    spacing : sequence of float, optional
        World length of a voxel along each axis that a method sees; by default that of the file. A spacing in the
        settings of a step counts before both.
    ignore : int, optional
        The value of truth that means *not annotated*; 0 for strokes.
    match : {"auto", "binary", "value", "overlap"}
        How labels are matched to the classes of truth; see `napari_cutout.evaluate`.
    suffix : str
        Ending of the files in a target folder.
    table : path, optional
        A .csv or .tsv to write: a line for each object that was found, with its size, place and shape, and its mean
        grey level in every channel of the image; beside it a line for each image. As `measure_images` writes it.
    device : {"auto", "cpu", "gpu"}
        Where to run.
    overwrite : bool
        Replace files that are there.
    memory : str or int, optional
        The most host memory that the process may hold, such as ``"4GiB"``; by default what is free is looked up.
    tile : int or sequence of int, optional
        Edges of a tile in voxels, one for all axes or one for each; by default the largest that fit.
    workers : int, optional
        Tiles at work at a time at most; by default one for each core. On a cluster, in each worker.
    scheduler : str or distributed.Client, optional
        A cluster whose workers do the tiles: the address of its scheduler, such as ``"tcp://10.0.0.5:8786"``, or a
        client of `dask.distributed`.
    part : str or tuple of int, optional
        Which part of a job array this process is, such as ``"3/64"``: all parts are given the same, and together they
        do one run. It goes on with what was begun, as with `resume`.
    patience : float, optional
        Seconds that a part waits for others; by default 900.
    resume : bool
        Go on with a run of this target that was not finished: tile by tile in a store; in a folder the images that have
        no labels yet, where those that are there were made by the same recipe, corrected since or not. If it is
        finished already nothing is done but scores and tables.
    ngff : {"0.4", "0.5"}, optional
        The version of OME-Zarr to write; by default that of the image that labels are added to, else 0.5.
    storage_options : mapping of str to object, optional
        What opens an object store, such as ``{"anon": True}``.
    probe : bool
        Try a run in tiles on a few voxels first, which takes some seconds, so that the plan says how long it takes, and
        progress is that of the whole run.
    on_plan : callable, optional
        Told the `RunPlan` before the run begins.
    on_target : callable, optional
        Told the target before its first block is written: its ``levels`` can be read while the run goes on.
    on_block : callable, optional
        Told the region of the target that was written, block by block.
    on_progress : callable, optional
        Called with the stage's name and the fraction of it that is done, 0 to 1.
    is_cancelled : callable, optional
        Polled between blocks.

    Returns
    -------
    Result or Batch
        A `Result` for one image; where it was written to a store, the labels are a lazy dask array of it. For a folder
        or pattern a `Batch` of one row per image, where an image that failed is a row with its error; labels that were
        written are not kept in memory.

    Raises
    ------
    FileNotFoundError
        If there is nothing to read.
    FileExistsError
        If something is in the way and `overwrite` is False.
    ValueError
        If one image cannot be cut, or truths cannot be paired with images.
    TypeError
        If an array has the wrong dtype.
    Cancelled
        If `is_cancelled` returned True; files that were written before stay.
    ConnectionError
        If there is no scheduler, or no worker.
    TimeoutError
        If other parts of a job array have not done their share in time; started again, this one goes on from there.
    """
    job = Job(
        recipe=as_recipe(recipe),
        device=device,
        wanted=Wanted(
            channel=channel,
            frame=frame,
            level=level,
            axes=axes,
            each=each,
            pooled=pooled,
            region=dict(region or {}),
            whole=whole,
        ),
        spacing=None if spacing is None else tuple(spacing),
        ignore=ignore,
        match=match,
        suffix=suffix,
        overwrite=overwrite,
        resume=resume,
        table=None if table is None else _table(table, source, target, part, overwrite or resume),
        limits=None if (memory, tile, workers) == (None,) * 3 else limits(memory=memory, tile=tile, workers=workers),
        on_progress=on_progress,
        is_cancelled=is_cancelled,
    )
    if target is not None and takes(source, target):
        options = StoreOptions(
            memory=memory,
            tile=tile,
            workers=workers,
            scheduler=scheduler,
            part=None if part is None else part_of(part),
            patience=patience,
            resume=resume,
            ngff=ngff,
            storage_options=storage_options,
            probe=probe,
            watchers=Watchers(on_plan=on_plan, on_target=on_target, on_block=on_block),
        )
        found = run_store(job, options, source, target, truth, dict(inputs or {}))
        return found if job.table is None else _tabled(job, job.table, source, found, storage_options)
    only = {
        "resume": resume and not is_path(source),
        "scheduler": scheduler is not None,
        "part": part is not None,
        "ngff": ngff is not None,
    }
    for name, given in only.items():
        if given:
            raise ValueError(
                f"{name} is for runs from a Zarr store to a Zarr store, and {os.fspath(target or 'None')!r} is not the "
                "target of one; leave it out"
            )
    from ._many import run_many

    work: Callable[..., Result | Batch] = run_many if is_many(source) else run_one
    with job.table or nullcontext():
        done = work(job, source, target, truth, dict(inputs or {}))
        if job.table is not None and not (job.resume and job.table.is_empty and job.table.path.exists()):
            tables = job.table.close()
            done = replace(done, tables=tables) if isinstance(done, Batch) else done
    return done


def _table(path: Any, source: Source, target: Any, part: Any, overwrite: bool) -> ObjectTable:
    """Return the table of a run, unless it cannot be written."""
    if part is not None:
        raise ValueError(
            f"table={os.fspath(path)!r} cannot be written by one part of a job array; leave it out, and measure "
            f"{os.fspath(target or 'the labels')!r} with measure_images when all are done"
        )
    if target is not None and is_many(source) and Path(target) in Path(path).parents:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    return ObjectTable(Path(path), None, overwrite)


def _tabled(
    job: Job, table: ObjectTable, source: Source, result: Result, storage_options: Mapping[str, Any] | None
) -> Result:
    """Measure what a run on a store has found, block by block."""
    level = job.wanted.level_for(job.recipe.selection)
    if is_path(source):
        volume = stores.open_image(source, storage_options=storage_options).volume(level)
    else:
        volume = as_volume(source, level, job.wanted.axes or "")
    image = fitted(volume, job.recipe, job.wanted)
    with table:
        _measure(job, table, source, image, result.labels)
        table.close()
    return result


def _measure(job: Job, table: ObjectTable, source: Source, image: Fitted, labels: Any) -> None:
    """Put the objects of one image into the table, with the grey levels of all its channels."""
    if job.entry is not None:
        entry = job.entry
    else:
        entry = entries_of([os.fspath(source)])[0] if is_path(source) else Entry(image.volume.name)
    volume, bounds = image.volume, image.selection.bounds(tuple(image.volume.data.shape))
    ends = dict(zip(image.selection.kept_axes, bounds, strict=True))
    cut = volume.data[tuple(slice(*ends[axis]) if axis in ends else slice(None) for axis in volume.axes)]
    add_to_table(
        table,
        entry,
        image.as_labels(labels),
        {"": replace(volume, data=cut)},
        spacing=_measured_spacing(job, volume),
        unit=volume.units,
    )


def _measured_spacing(job: Job, volume: Volume) -> tuple[float, ...] | None:
    """Return the size of a voxel that was asked for, where it says all of it."""
    asked = job.spacing
    return asked if asked is not None and len(asked) == len(volume.spatial_axes) else None


def as_recipe(recipe: Recipe | Step | str | os.PathLike[str]) -> Recipe:
    """Return what a run was given as a recipe; a path is read as JSON."""
    if isinstance(recipe, Step):
        return Recipe((recipe,))
    return recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)


# One image ---------------------------------------------------------------------------------------------


def run_one(
    job: Job,
    source: Source,
    target: str | os.PathLike[str] | None,
    truth: Source | None,
    others: Mapping[str, Source],
) -> Result:
    """Run a recipe on one image, write the labels if there is a target, score them if there is a truth."""
    place = None if target is None else _place(job, source, Path(target))
    if place is not None:
        _check_place(
            place,
            (source, truth, *others.values(), *(a.path for a in job.recipe.arrays.values())),
            job.overwrite or job.resume,
        )
    image = fitted(read(source, job.recipe, job.wanted), job.recipe, job.wanted)
    recipe = replace(job.recipe, selection=image.selection)
    annotation = None if truth is None else labels_on(truth, image, "truth")
    beside = {name: input_of(recipe, name, other, image) for name, other in all_inputs(recipe, others).items()}
    arrays = {recipe.source: image.volume.data, **beside}
    given = {recipe.source: source, **recipe.arrays, **others}
    origins = {name: _origin(given[name], array, recipe, name) for name, array in arrays.items()}
    if recipe.roles[recipe.source] == "labels":
        warn_if_grey(image.volume.data, image.volume.name)
    recorded, origins = lineage(replace(recipe, selection=image.recorded), origins)
    result = there(job, place, recorded, origins, image)
    if result is None:
        result = _executed(job, recipe, image, arrays)
        result.provenance.update(_origins(recorded, origins, source, result.labels) | voxel_size(job, image))
        if place is not None:
            result = replace(result, target=_write(place, job, recorded, image, result))
    if annotation is not None:
        from ..evaluation.overlap import evaluate

        result = replace(result, evaluation=evaluate(result.labels, annotation, ignore=job.ignore, match=job.match))
    if job.table is not None:
        _measure(job, job.table, source, image, result.labels)
    return result


def _executed(job: Job, recipe: Recipe, image: Fitted, arrays: Mapping[str, Array]) -> Result:
    """Run a recipe on one image that was read."""
    return execute(
        recipe,
        arrays,
        spacing=job.spacing or image.spacing,
        device=job.device,
        on_progress=job.on_progress,
        is_cancelled=job.is_cancelled,
        limits=job.limits,
    )


def _origins(recipe: Recipe, origins: Mapping[str, FileSource], source: Source, labels: NDArray[Any]) -> dict[str, Any]:
    """Return for the provenance what ran on which files, and by what their labels and those found are known again."""
    known = {"sources": {name: one.as_dict() for name, one in origins.items()}, "sha256": fingerprint(labels)}
    path = {"source": os.fspath(source)} if is_path(source) else {}
    return {"recipe": as_dict(recipe), **known, **path}


def _origin(source: Any, array: Array, recipe: Recipe, name: str) -> FileSource:
    """Return where an input came from, and by what it is known again; what dask would work out twice is not."""
    source = source.path if isinstance(source, Stored) else source
    path = os.fspath(source) if is_path(source) else ""
    kind, painted, contents = np.dtype(dtype_name(array)).kind, "", ""
    if recipe.roles[name] != "image":
        painted = fingerprint(array) if kind in "biu" else ""
    elif kind in "biuf" and (path or isinstance(array, np.ndarray)):
        selection = recipe.selection if name == recipe.source else None
        contents = checksum(array if selection is None else selection.covered(array))
    return FileSource(path=path, shape=tuple(array.shape), dtype=dtype_name(array), sha256=painted, contents=contents)


def all_inputs(recipe: Recipe, others: Mapping[str, Source]) -> dict[str, Source]:
    """Return what was given, and what was saved beside the recipe."""
    given = dict(others)
    for name in recipe.inputs:
        if name not in given and name != recipe.source:
            if name not in recipe.arrays:
                raise ValueError(_missing(recipe, name))
            given[name] = recipe.arrays[name].read(name)
    return given


def check_one_each(recipe: Recipe, others: Mapping[str, Source], n: int) -> None:
    """Refuse to put what was painted on one image over many."""
    for name in recipe.inputs:
        if name in others or name == recipe.source:
            continue
        if name not in recipe.arrays:
            raise ValueError(_missing(recipe, name))
        raise ValueError(
            f"the recipe was saved with {name} of one image, and {n} are to be run; pass "
            f"{how_to_pass(name, name)}, a folder or a pattern with one for each"
        )


def _missing(recipe: Recipe, name: str) -> str:
    return (
        f"the recipe needs the input {name!r}; it reads: {', '.join(recipe.inputs)}; pass "
        f"{how_to_pass(name, f'{file_name(name)}.tif')}"
    )


def input_of(recipe: Recipe, name: str, source: Source, image: Fitted) -> Array:
    """Return an input beside the image, with the axes of the selection."""
    selection = image.selection
    if not (isinstance(source, Volume) or is_path(source)):
        return source
    volume = as_volume(source)
    if recipe.roles.get(name) == "image":
        return image.beside(volume, selection.axes)
    check_one(volume, name, image.recorded.kept_axes)
    return image.beside(volume, selection.kept_axes)


def labels_on(source: Source, image: Fitted, what: str) -> NDArray[Any]:
    """Return a truth, or other labels, on what is selected of an image.

    Parameters
    ----------
    source : array, Volume or path
        The labels, of the whole image or of what is selected.
    image : Fitted
        The image.
    what : str
        What they are, for messages.

    Returns
    -------
    array
        Of the shape of what is selected.

    Raises
    ------
    ValueError
        If they have another shape, several channels or time points.
    """
    selection, shape = image.selection, tuple(image.volume.data.shape)
    labels = source
    if isinstance(source, Volume) or is_path(source):
        volume = as_volume(source)
        check_one(volume, what, image.recorded.kept_axes)
        labels = image.beside(volume, selection.kept_axes)
    whole = tuple(n for axis, n in zip(selection.axes, shape, strict=True) if axis != "c")
    if tuple(labels.shape) == whole:
        labels = labels[tuple(slice(*ends) for ends in selection.bounds(shape))]
    expected = selection.shape(shape)
    if tuple(labels.shape) != expected:
        part = "" if whole == expected else f", or of its region, {expected}"
        raise ValueError(
            f"{what} must have the shape of image, {whole}{part}, but has {tuple(labels.shape)}; crop or resample it "
            "to the image"
        )
    found: NDArray[Any] = labels
    return found


def _write(place: Path, job: Job, recipe: Recipe, image: Fitted, result: Result) -> Path:
    labels = replace(image.as_labels(result.labels), metadata={"provenance": result.provenance})
    written = io.write(place, labels, kind="labels", overwrite=job.overwrite)
    write_text(recipe_beside(place), with_provenance(recipe, result.provenance, place.parent), overwrite=job.overwrite)
    return written


def _place(job: Job, source: Source, target: Path) -> Path:
    """Return the file to write: the target, or one in it if it is a folder."""
    if target.is_dir() and target.suffix.lower() != ".zarr":
        return target / f"{file_name(stem_of(source)) or 'labels'}{job.suffix}"
    _check_suffix(target)
    return target


def _check_suffix(path: Path) -> None:
    if path.suffix.lower() not in io.WRITERS:
        raise ValueError(f"labels are written as {', '.join(io.WRITERS)}, not as {path.name!r}; choose one of them")


def _check_place(place: Path, read: Iterable[Source], overwrite: bool) -> None:
    """Refuse, before any work is done, to replace what is there or what is read."""
    for source in read:
        if is_path(source) and place.resolve() == io.split_key(os.fspath(source))[0].resolve():
            raise ValueError(f"the labels would replace {str(place)!r}, which is read; choose another name for them")
    for path in (place, recipe_beside(place)):
        if path.exists() and not overwrite:
            raise FileExistsError(f"{str(path)!r} exists already; choose another name, or allow to overwrite it")
