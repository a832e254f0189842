"""What a comparison reads from files: images and annotations paired, what of them is cut, and what was left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from .. import io
from .._reading import as_volume
from .._selection import Selection
from .._wanted import Fitted, Wanted, fitted
from ..recipe import Recipe
from ..running._batch import is_many, labels_on, pair
from ._machine import file_sha256
from ._paths import path_from

__all__ = ["Files", "Read", "as_wanted", "asked", "known_files", "paired", "read_inputs"]


@dataclass(frozen=True, slots=True)
class Files:
    """Files that belong together, one entry per image.

    Parameters
    ----------
    images, truths : tuple of str
        What `napari_cutout.read` takes.
    labels : mapping of str to tuple of str
        Labels of others, by the names of their rows.
    ceiling : tuple of str
        Those of a second annotator; empty if there are none.
    left_out : tuple of str
        Images without an annotation, and annotations without an image.
    """

    images: tuple[str, ...]
    truths: tuple[str, ...]
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ceiling: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """Arrays, as `compare` takes them.

    Parameters
    ----------
    images, truths : list of arrays
        One entry per image.
    labels : dict of str to list of arrays
        Labels of others.
    ceiling : list of arrays or None
        Those of a second annotator.
    recipes : dict of str to Recipe
        Recipes that run on what is selected.
    selection : Selection or None
        What of the images is cut; None for all of grey images.
    recorded : Selection
        The same for a recipe that is to run on such files.
    spacing : tuple of float or None
        World length of a voxel.
    """

    images: list[Any]
    truths: list[NDArray[Any]]
    labels: dict[str, list[NDArray[Any]]]
    ceiling: list[NDArray[Any]] | None
    recipes: dict[str, Recipe]
    selection: Selection | None
    recorded: Selection
    spacing: tuple[float, ...] | None


# Files -------------------------------------------------------------------------------------------------


def paired(image: str, truth: str, labels: Mapping[str, str], ceiling: str | None) -> Files:
    """Find the files that belong together.

    Parameters
    ----------
    image, truth : str
        One file each, or folders or patterns, which are paired by name.
    labels : mapping of str to str
        Labels of others: for one image a file, else a folder or a pattern.
    ceiling : str or None
        Those of a second annotator, likewise.

    Returns
    -------
    Files
        One entry per image that has an annotation.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If names are ambiguous, no image has an annotation, or labels are missing for an image.
    """
    if not is_many(image):
        given = {name: (file,) for name, file in labels.items()}
        return Files((image,), (truth,), given, () if ceiling is None else (ceiling,))
    everything, truths = io.inputs(image), io.inputs(truth)
    found = {file: partner for file, partner in pair(everything, truths, "truth").items() if partner is not None}
    images = tuple(found)
    others = {name: _one_each(images, file, f"--labels {name}") for name, file in labels.items()}
    second = () if ceiling is None else _one_each(images, ceiling, "--ceiling")
    alone = [file for file in everything if file not in found] + [t for t in truths if t not in found.values()]
    return Files(images, tuple(found.values()), others, second, tuple(alone))


def _one_each(images: Sequence[str], source: str, what: str) -> tuple[str, ...]:
    """Return the partner of each image, which must have one."""
    found = pair(images, io.inputs(source), what)
    lonely = [image for image, partner in found.items() if partner is None]
    if lonely:
        raise ValueError(f"{what} {source!r} holds nothing that is named like {lonely[0]!r}; add it, or take that out")
    return tuple(partner for partner in found.values() if partner is not None)


def known_files(files: Files, folder: Path, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return by what files and their voxels are known again.

    Parameters
    ----------
    files : Files
        What was read.
    folder : Path
        Where the report is, from which the paths lead, so that both can be moved together.
    inputs : mapping
        What is known of the arrays.

    Returns
    -------
    dict
        `inputs` with the ``path`` and ``sha256`` of every file.
    """
    given = {"images": files.images, "truths": files.truths, "ceiling": files.ceiling or None}
    found = {name: _with_files(inputs[name], paths, folder) for name, paths in given.items()}
    labels = {name: _with_files(known, files.labels[name], folder) for name, known in inputs["labels"].items()}
    return {**found, "labels": labels, "left_out": [path_from(folder, file) for file in files.left_out]}


def _with_files(known: Sequence[Any] | None, paths: Sequence[str] | None, folder: Path) -> list[Any] | None:
    if known is None or paths is None:
        return None
    entries = zip(known, paths, strict=True)
    return [
        {"path": path_from(folder, path), "sha256": file_sha256(io.split_key(path)[0]), **one} for one, path in entries
    ]


# Arrays ------------------------------------------------------------------------------------------------


def asked(wanted: Wanted) -> dict[str, Any]:
    """Return what was asked for of images as JSON, without what was not."""
    nothing = asdict(Wanted())
    found = {name: value for name, value in asdict(wanted).items() if value != nothing[name]}
    return {**found, "region": {a: list(ends) for a, ends in wanted.region.items()}} if wanted.region else found


def as_wanted(entry: Mapping[str, Any]) -> Wanted:
    """Read what `asked` returned."""
    region = {axis: (int(start), int(stop)) for axis, (start, stop) in entry.get("region", {}).items()}
    return Wanted(**{**entry, "region": region})


def read_inputs(
    files: Files, wanted: Wanted, recipes: Mapping[str, Recipe], spacing: Sequence[float] | None = None
) -> Read:
    """Read files as `compare` takes them.

    Parameters
    ----------
    files : Files
        What belongs together.
    wanted : Wanted
        What of the images is cut.
    recipes : mapping of str to Recipe
        Recipes that take part; they run on what is wanted, not on the region that they were made on.
    spacing : sequence of float, optional
        World length of a voxel along each axis; by default that of the files.

    Returns
    -------
    Read
        The arrays.

    Raises
    ------
    OSError
        If a file cannot be read.
    ValueError
        If images are of different kinds, or anything does not fit its image.
    """
    found = [fitted(as_volume(file, wanted.level_for(None), wanted.axes or ""), None, wanted) for file in files.images]
    first = found[0]
    for file, one in zip(files.images, found, strict=True):
        if (one.selection.axes, one.selection.channel) != (first.selection.axes, first.selection.channel):
            raise ValueError(
                f"images of one comparison must have the same axes: {files.images[0]!r} has {first.selection.axes!r}, "
                f"{file!r} has {one.selection.axes!r}; name them with --axes, or compare them in groups"
            )
        if spacing is None and one.spacing != first.spacing:
            raise ValueError(
                f"images of one comparison must have the same voxel size: {files.images[0]!r} has {first.spacing}, "
                f"{file!r} has {one.spacing}; say it with --spacing, or compare them in groups"
            )
    return Read(
        [one.volume.data for one in found],
        _all_on(files.truths, found, "truth"),
        {name: _all_on(given, found, name) for name, given in files.labels.items()},
        _all_on(files.ceiling, found, "ceiling") if files.ceiling else None,
        dict(_placed(recipes, first, wanted)),
        None if first.selection.is_whole else first.selection,
        first.recorded,
        first.spacing if spacing is None else tuple(spacing),
    )


def _all_on(sources: Sequence[str], images: Sequence[Fitted], what: str) -> list[NDArray[Any]]:
    return [labels_on(source, image, what) for source, image in zip(sources, images, strict=True)]


def _placed(recipes: Mapping[str, Recipe], image: Fitted, wanted: Wanted) -> Iterator[tuple[str, Recipe]]:
    """Yield recipes that run on what is cut of an image, in place of the region that they were made on."""
    for name, recipe in recipes.items():
        own = fitted(image.volume, recipe, replace(wanted, whole=True, frame=None, axes=None)).selection
        if own.axes != image.selection.axes:
            raise ValueError(
                f"the recipe {name!r} runs on the axes {own.axes!r}, and the images have {image.selection.axes!r}"
            )
        yield name, replace(recipe, selection=None if own.is_whole else own)
