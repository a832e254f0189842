"""Recipes on files and folders: what to read, where to write, which truth belongs to which image."""

from __future__ import annotations

import csv
import io as text_io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .. import io
from .._array import Array, dtype_name
from .._device import Asked
from .._pairs import is_many, keyed, pair, stem_of
from .._reading import Source, as_volume, check_one, is_path, read
from .._sources import Source as FileSource
from .._sources import fingerprint
from .._stored import Stored, file_name, how_to_pass
from .._volume import Volume
from .._wanted import Fitted, Wanted, fitted
from .._writing import write_text
from ..evaluation import _annotation
from ..evaluation._images import ERRORS, sentence
from ..evaluation._matching import Match
from ..recipe import Recipe, Step, as_dict, with_provenance
from ._execute import Result, execute
from ._limits import Limits, limits
from ._parts import part_of
from ._store_attempt import Watchers
from ._store_run import StoreOptions, run_store, takes

if TYPE_CHECKING:
    from ..evaluation.overlap import Evaluation
    from ..stores import LabelsTarget
    from ._run_plan import RunPlan

__all__ = ["ERRORS", "Batch", "Row", "is_many", "pair", "run", "sentence"]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One image of a folder.

    Parameters
    ----------
    source : str
        The file it came from.
    labels : array, optional
        The labels; None where they were written to a file, or the image failed.
    provenance : dict
        How they came about; empty where the image failed.
    target : Path or str, optional
        The file or the store that they were written to.
    evaluation : Evaluation, optional
        The scores, where there is a truth.
    error : str
        Why the image failed; empty where all went well.
    numbered : bool
        True if labels and truth number objects, so that their scores mean something.
    """

    source: str
    labels: NDArray[Any] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    target: Path | str | None = None
    evaluation: Evaluation | None = None
    error: str = ""
    numbered: bool = False

    def record(self, *, objects: bool = False) -> dict[str, Any]:
        """Return the row as a flat dict: one line of the table, with the scores of objects or without them."""
        device = self.provenance.get("device", {})
        flat = {
            "image": self.source,
            "labels": "" if self.target is None else str(self.target),
            "seconds": self.provenance.get("seconds", ""),
            "backend": device.get("used", ""),
        }
        return {**flat, **_scores(self.evaluation, objects), "error": self.error}


def _scores(evaluation: Evaluation | None, objects: bool) -> dict[str, Any]:
    if evaluation is None:
        return {}
    flat = {"mean_iou": float(evaluation.mean_iou), "mean_dice": float(evaluation.mean_dice)}
    for name, iou, dice in zip(evaluation.classes, evaluation.iou, evaluation.dice, strict=True):
        flat |= {f"iou_{name}": float(iou), f"dice_{name}": float(dice)}
    return {**flat, "match": evaluation.match, **(object_scores(evaluation) if objects else {})}


def object_scores(evaluation: Evaluation) -> dict[str, Any]:
    """Return the scores of objects that a table of images has a column for.

    Parameters
    ----------
    evaluation : Evaluation
        The scores of one image whose labels number objects.

    Returns
    -------
    dict
        AP, F1 and PQ at an IoU of 0.5, predicted minus true objects, and how many of them are split and merged.
    """
    found = evaluation.objects
    at = found.at(0.5)
    return {
        "AP@0.5": at["ap"],
        "F1@0.5": at["f1"],
        "PQ@0.5": at["pq"],
        "count_error": found.count_error,
        "split": len(found.split),
        "merged": len(found.merged),
    }


def run_numbers_objects(result: Result) -> bool:
    """Tell whether the labels of a run and their truth number objects.

    Parameters
    ----------
    result : Result
        What a recipe gave.

    Returns
    -------
    bool
        False without a truth. Methods number objects in int32 and classes in uint8; this is asked as well because
        few objects that are numbered alike on both sides look like classes.
    """
    found = result.evaluation
    if found is None:
        return False
    several = len(np.setdiff1d(found.pairs.truth, [0])) > 1
    return found.numbers_objects or (several and found.ignore != 0 and result.labels.dtype == np.int32)


def said_of_objects(scores: Mapping[str, Any]) -> str:
    """Return what `object_scores` gave, of one image or of several, in a line."""
    ratios = ", ".join(f"{name} {scores[name]:.4f}" for name in ("AP@0.5", "F1@0.5", "PQ@0.5"))
    return (
        f"objects: {ratios}; count error {scores['count_error']:+d}, {scores['split']} split, {scores['merged']} merged"
    )


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What a recipe gave on a folder.

    Parameters
    ----------
    rows : tuple of Row
        One per image, in the order of the files' names.
    """

    rows: tuple[Row, ...]

    @property
    def failed(self) -> tuple[Row, ...]:
        """The images that failed."""
        return tuple(row for row in self.rows if row.error)

    @property
    def objects(self) -> dict[str, Any]:
        """Scores of objects over all scored images, AP, F1 and PQ at an IoU of 0.5 as means and counts as sums.

        Empty where no labels number objects.
        """
        if not self._number_objects:
            return {}
        found = [object_scores(row.evaluation) for row in self.rows if row.evaluation is not None]
        ratios, counts = ("AP@0.5", "F1@0.5", "PQ@0.5"), ("count_error", "split", "merged")
        means = {name: float(np.nanmean([scores[name] for scores in found])) for name in ratios}
        return means | {name: sum(scores[name] for scores in found) for name in counts}

    @property
    def _number_objects(self) -> bool:
        return any(row.numbered for row in self.rows)

    @property
    def table(self) -> list[dict[str, Any]]:
        """One flat dict per image; all have the same keys, the scores of each class among them.

        Where the labels of an image number objects there are scores of objects for every image, so that one in which
        none was found counts as well.
        """
        objects = self._number_objects
        records = [row.record(objects=objects) for row in self.rows]
        names = list(dict.fromkeys(name for record in records for name in record if name != "error"))
        return [{name: record.get(name, "") for name in (*names, "error")} for record in records]

    def to_csv(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the table as CSV.

        Parameters
        ----------
        path : path
            Where to write.
        overwrite : bool
            Replace a file that is there.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        FileExistsError
            If there is such a file and `overwrite` is False.
        """
        return write_text(Path(path), table_as_csv(self.table), overwrite=overwrite)


def table_as_csv(table: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of equal dicts as CSV text."""
    text = text_io.StringIO()
    writer = csv.DictWriter(text, list(table[0]) if table else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def columns(lines: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Return rows of words as lines with aligned columns.

    Parameters
    ----------
    lines : sequence of sequences of str
        Rows of equal length, the heading first.
    right : sequence of int
        Columns that are aligned to the right.

    Returns
    -------
    list of str
        One line per row.
    """
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return [
        "  ".join(
            w.rjust(n) if i in right else w.ljust(n) for i, (w, n) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def how_read(evaluations: Sequence[Evaluation], ignore: int | None) -> str:
    """Return how voxels that nobody painted were counted, and how to say otherwise.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        The scores of one image or of several.
    ignore : int or None
        What was asked for.

    Returns
    -------
    str
        One sentence.
    """
    hint = "; if the truth holds strokes, where 0 means not annotated, give --ignore 0" if ignore is None else ""
    return f"{_annotation.how_read(evaluations, ignore)}{hint}."


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
        Go on with a run of this target that was not finished. If it is finished already nothing is done.
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
        return run_store(job, options, source, target, truth, dict(inputs or {}))
    only = {"resume": resume, "scheduler": scheduler is not None, "part": part is not None, "ngff": ngff is not None}
    for name, given in only.items():
        if given:
            raise ValueError(
                f"{name} is for runs from a Zarr store to a Zarr store, and {os.fspath(target or 'None')!r} is not the "
                "target of one; leave it out"
            )
    work: Callable[..., Result | Batch] = run_many if is_many(source) else run_one
    return work(job, source, target, truth, dict(inputs or {}))


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
            place, (source, truth, *others.values(), *(a.path for a in job.recipe.arrays.values())), job.overwrite
        )
    image = fitted(read(source, job.recipe, job.wanted), job.recipe, job.wanted)
    recipe = replace(job.recipe, selection=image.selection)
    annotation = None if truth is None else labels_on(truth, image, "truth")
    arrays = {name: input_of(recipe, name, other, image) for name, other in all_inputs(recipe, others).items()}
    result = execute(
        recipe,
        {recipe.source: image.volume.data, **arrays},
        spacing=job.spacing or image.spacing,
        device=job.device,
        on_progress=job.on_progress,
        is_cancelled=job.is_cancelled,
        limits=job.limits,
    )
    recorded = replace(recipe, selection=image.recorded)
    result.provenance["recipe"] = as_dict(recorded)
    given = {recipe.source: source, **recipe.arrays, **others}
    result.provenance.update(_origins(recipe, given, {recipe.source: image.volume.data, **arrays}, result.labels))
    if annotation is not None:
        from ..evaluation.overlap import evaluate

        result = replace(result, evaluation=evaluate(result.labels, annotation, ignore=job.ignore, match=job.match))
    return result if place is None else replace(result, target=_write(place, job, recorded, image, result))


def _origins(
    recipe: Recipe, given: Mapping[str, Any], arrays: Mapping[str, Array], labels: NDArray[Any]
) -> dict[str, Any]:
    """Return for the provenance which files were read, and by what their labels and those found are known again."""
    found = {name: _origin(given[name], array, recipe.roles[name]) for name, array in arrays.items()}
    known = {"sources": {name: one.as_dict() for name, one in found.items()}, "sha256": fingerprint(labels)}
    source = given[recipe.source]
    return {**known, **({"source": os.fspath(source)} if is_path(source) else {})}


def _origin(source: Any, array: Array, role: str) -> FileSource:
    source = source.path if isinstance(source, Stored) else source
    path = os.fspath(source) if is_path(source) else ""
    painted = fingerprint(array) if role != "image" and np.dtype(dtype_name(array)).kind in "biu" else ""
    return FileSource(path=path, shape=tuple(array.shape), dtype=dtype_name(array), sha256=painted)


def all_inputs(recipe: Recipe, others: Mapping[str, Source]) -> dict[str, Source]:
    """Return what was given, and what was saved beside the recipe."""
    given = dict(others)
    for name in recipe.inputs:
        if name not in given and name != recipe.source:
            if name not in recipe.arrays:
                raise ValueError(_missing(recipe, name))
            given[name] = recipe.arrays[name].read(name)
    return given


def _check_one_each(recipe: Recipe, others: Mapping[str, Source], n: int) -> None:
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


def recipe_beside(labels: Path) -> Path:
    """Return where the recipe of a file of labels is written: ``labels.tif.recipe.json`` for ``labels.tif``."""
    return labels.with_name(f"{labels.name}.recipe.json")


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


# Many images -------------------------------------------------------------------------------------------


def run_many(
    job: Job,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str] | None,
    truth: Source | None,
    others: Mapping[str, Source],
) -> Batch:
    """Run a recipe on every image of a folder or pattern; one that fails is a row with its sentence."""
    images = io.inputs(source)
    _check_one_each(job.recipe, others, len(images))
    truths = _partners(images, truth, "truth")
    partners = {name: _partners(images, other, name) for name, other in others.items()}
    folder = None if target is None else _folder(images, Path(target), job)
    scores = None if folder is None or truth is None else folder / "scores.csv"
    if scores is not None and scores.exists() and not job.overwrite:
        raise FileExistsError(f"{str(scores)!r} exists already; choose another folder, or allow to overwrite it")
    rows = []
    for image in images:
        place = None if folder is None else folder / f"{file_name(stem_of(image))}{job.suffix}"
        rows.append(_row(job, image, place, truths, {name: found[image] for name, found in partners.items()}))
    batch = Batch(tuple(rows))
    if scores is not None:
        batch.to_csv(scores, overwrite=job.overwrite)
    return batch


def _row(
    job: Job,
    image: str,
    place: Path | None,
    truths: Mapping[str, Source | None],
    others: Mapping[str, Source | None],
) -> Row:
    try:
        if lonely := [name for name, other in others.items() if other is None]:
            raise ValueError(f"no {lonely[0]} is named like it, so it was left out; add one or take it out")
        result = run_one(job, image, place, truths.get(image), others)
    except ERRORS as error:
        return Row(image, error=sentence(error))
    unscored = bool(truths) and truths.get(image) is None
    return Row(
        image,
        result.labels if place is None else None,
        result.provenance,
        result.target,
        result.evaluation,
        "no truth is named like it, so it was cut but not scored; add one or take it out" if unscored else "",
        run_numbers_objects(result),
    )


def _folder(images: Sequence[str], target: Path, job: Job) -> Path:
    """Make the folder that the labels of many images go to, unless two of them would get one name."""
    if target.suffix.lower() in io.WRITERS or (target.exists() and not target.is_dir()):
        raise ValueError(f"{len(images)} images need a folder to write to, but {str(target)!r} is the name of one file")
    keyed(
        images,
        lambda image: file_name(stem_of(image)),
        f"would both be written to {str(target)!r} under one name; run them one folder at a time",
    )
    target.mkdir(parents=True, exist_ok=True)
    return target


def _partners(images: Sequence[str], other: Source | None, what: str) -> dict[str, Source | None]:
    """Return the truth, mask or markers of every image: paired by name, or one for all."""
    if other is None:
        return {}
    if is_many(other):
        return pair(images, io.inputs(other), what)
    if what == "truth" and len(images) > 1:
        raise ValueError(f"one truth was given for {len(images)} images; give a folder or a pattern of truths")
    return dict.fromkeys(images, other)
