"""Images of how likely every class of a run on a file is, beside its labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from . import catalog, io
from ._array import Array, to_numpy
from ._method import STEPS_AFTER
from ._monitor import watch
from ._reading import read
from ._wanted import Wanted, fitted
from .recipe import Recipe
from .running._batch import input_of, is_many
from .running._execute import OnProgress, Result, of_parts

__all__ = ["Kind", "check", "write"]

Kind = Literal["probabilities", "uncertainty"]
"""What images show; `catalog.images_of` says which of them a method has."""

ENDINGS = tuple(ending for ending in io.WRITERS if ending != ".png")
"""Kinds of files that hold fractions."""


def check(
    targets: Mapping[Kind, Path], source: str, others: Iterable[str | Path], wanted: Wanted, overwrite: bool
) -> None:
    """Refuse, before any work is done, what cannot be written or is of several parts.

    Parameters
    ----------
    targets : mapping of str to Path
        Where each kind of image goes.
    source : str
        What is run on.
    others : iterable of str or Path
        Other files that are read, and that of the labels.
    wanted : Wanted
        What of the source is run on.
    overwrite : bool
        Replace files that are there.

    Raises
    ------
    FileExistsError
        If there is such a file and `overwrite` is False.
    ValueError
        If a kind of file cannot hold it, a name is taken, or there are several images, slices or frames.
    """
    taken = {io.split_key(str(name))[0].resolve() for name in (source, *others)}
    for kind, path in targets.items():
        if is_many(source) or wanted.each or "t" in wanted.region:
            raise ValueError(
                f"`{kind}` needs one image that is run as a whole, but several images, slices or frames were given; "
                "run them one by one"
            )
        if path.suffix.lower() not in ENDINGS:
            raise ValueError(f"`{kind}` writes {', '.join(ENDINGS)}, not {path.name!r}; choose one of them")
        if path.resolve() in taken:
            raise ValueError(f"`{kind}` would replace {str(path)!r}, which is read or written too; choose another name")
        if path.exists() and not overwrite:
            raise FileExistsError(f"{str(path)!r} exists already; choose another name, or allow to overwrite it")
        taken.add(path.resolve())


def write(
    targets: Mapping[Kind, Path],
    recipe: Recipe,
    result: Result,
    source: str,
    others: Mapping[str, str],
    wanted: Wanted,
    *,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> None:
    """Compute and write images of a run, where its labels lie.

    Parameters
    ----------
    targets : mapping of str to Path
        Where each kind of image goes: float32, classes along the axis of the channels.
    recipe : Recipe
        What ran, in one step.
    result : Result
        What it gave.
    source : str
        The file that it ran on, which is read once more.
    others : mapping of str to str
        The other files that it read.
    wanted : Wanted
        What of the source it ran on.
    overwrite : bool
        Replace files that are there.
    on_progress : callable, optional
        Called with the stage's name and the fraction of it that is done, 0 to 1.

    Raises
    ------
    FileExistsError
        If such a file came into being meanwhile and `overwrite` is False.

    Notes
    -----
    Every kind runs the method once more, on the device of the run, to the same bits. Memory: the image, and 4 bytes
    per voxel for each class and for the uncertainty.
    """
    image = fitted(read(source, recipe, wanted), recipe, wanted)
    chosen = replace(recipe, selection=image.selection)
    inputs = {name: input_of(chosen, name, other, image) for name, other in others.items()}
    inputs[recipe.source] = image.volume.data
    ran = result.provenance["steps"][-1]["settings"]
    settings = {name: value for name, value in ran.items() if name not in STEPS_AFTER}
    makers = catalog.images_of(recipe.steps[-1].method)

    def images(held: dict[str, Array], on_progress: OnProgress | None) -> dict[Kind, Any]:
        arrays = {name: held[read_as] for name, read_as in recipe.steps[-1].inputs.items()}
        with watch(on_progress):
            return {kind: to_numpy(makers[kind](**arrays, **settings)) for kind in targets}

    shape, used = tuple(image.volume.data.shape), result.provenance["device"]["used"]
    ((_, made),) = of_parts(images, inputs, image.selection, shape, used, on_progress)  # `check` let one part through
    provenance = {name: value for name, value in result.provenance.items() if name != "sha256"}  # that of the labels
    for kind, path in targets.items():
        labels = image.as_labels(result.labels)
        axes = f"c{labels.axes}" if kind == "probabilities" else labels.axes
        volume = replace(labels, data=made[kind], axes=axes, metadata={"shows": kind, "provenance": provenance})
        io.write(path, volume, kind="image", overwrite=overwrite)
