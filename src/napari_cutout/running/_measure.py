"""Measuring labels in files: one image, or every image of a folder, in one table."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import io, stores
from .._array import is_lazy
from .._monitor import watch
from .._pairs import is_many, pair
from .._reading import check_one, warn_if_grey
from .._volume import UNITS, Volume, arrange, numpy_or_dask, unit_name
from .._wanted import named
from ..evaluation._images import ERRORS, sentence
from ..processing.measure import Measurements, measure
from ._object_table import Entry, ObjectTable, Tables, entries_of, length_in, share_of

__all__ = ["Channels", "add_to_table", "measure_images"]

Channels = Mapping[str, Volume]
"""Images by the names of their channels; the name of a single one may be empty."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is the same for all images.

    Parameters
    ----------
    channels : tuple of str
        What the channels of images are called, in their order.
    spacing : tuple of float, optional
        World length of a voxel; by default that of the files.
    unit : str, optional
        Its unit.
    axes : str, optional
        What the axes of labels are.
    """

    channels: tuple[str, ...] = ()
    spacing: tuple[float, ...] | None = None
    unit: str | None = None
    axes: str | None = None


def measure_images(
    labels: str | os.PathLike[str],
    images: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]] | None,
    table: str | os.PathLike[str],
    *,
    channels: Sequence[str] = (),
    spacing: Sequence[float] | None = None,
    units: str | None = None,
    axes: str | None = None,
    overwrite: bool = False,
    on_progress: Callable[[str, float], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> Tables:
    """Measure the objects of every image of a folder, and write them as one table.

    Parameters
    ----------
    labels : path
        Label images: a file, a folder, or a pattern such as ``"labels/**/*.tif"``; an axis t counts frames, and each
        is measured by itself.
    images : path, mapping of str to path, or None
        Grey levels, paired with labels by name: a file, folder or pattern; or several of them, each a channel under
        its name, such as ``{"DAPI": "dapi/", "GFP": "gfp/"}``. All channels of an image are measured.
    table : path
        A .csv or .tsv to write: a line for each object. Beside it ``<table>_per_image`` holds a line for each image.
    channels : sequence of str
        What the channels of `images` are called, in their order; by default by their number, or ``r``, ``g``, ``b``.
    spacing : sequence of float, optional
        World length of a voxel along each axis of space, over what files say.
    units : str, optional
        The unit that lengths are written in, and of `spacing`, such as ``"um"``. By default that of the first image
        whose unit is known; others are converted.
    axes : str, optional
        What the axes of labels are, such as ``"tyx"``, over what files say.
    overwrite : bool
        Replace files that are there.
    on_progress : callable, optional
        Called with what is measured and the fraction of images that is done, 0 to 1.
    is_cancelled : callable, optional
        Polled between blocks.

    Returns
    -------
    Tables
        Where the tables are, and that of images. An image that cannot be measured is a line of that one, with its
        reason.

    Raises
    ------
    FileNotFoundError
        If there is nothing to read.
    FileExistsError
        If a table is there and `overwrite` is False.
    ValueError
        If labels and images cannot be paired, the unit is not known, or `table` does not end as one.
    Cancelled
        If `is_cancelled` returned True; nothing was written then.

    Notes
    -----
    Columns are those of `measure` after ``image``, the name of the file, and ``folder``, the folder that it lies in;
    they have their units in their names, such as ``area_um2``, and no unit where the size of a voxel is not known.
    Stores are read block by block, other files one at a time; lines wait on the disk.

    The size of a voxel is that of the labels, or where their file has none that of the image.
    """
    unit = _unit(units)
    asked = _Asked(tuple(channels), None if spacing is None else tuple(spacing), unit, axes)
    files = io.inputs(labels)
    sources = images if isinstance(images, Mapping) else {} if images is None else {"": images}
    partners = {name: _partners(files, source) for name, source in sources.items()}
    if channels and isinstance(images, Mapping):
        raise ValueError(f"channels={tuple(channels)!r} name those of one image, and images have names; leave them out")
    entries = entries_of(_called_after(files, partners))
    with ObjectTable(Path(table), unit, overwrite) as out:
        for at, (file, entry) in enumerate(zip(files, entries, strict=True)):
            show = share_of(on_progress, at, len(files))
            try:
                with watch(show, is_cancelled):
                    _measure_file(out, entry, file, {name: found[file] for name, found in partners.items()}, asked)
            except ERRORS as error:
                out.fail(entry, sentence(error))
        return out.close()


def _unit(units: str | None) -> str | None:
    if units is not None and unit_name(units) is None:
        symbols = ", ".join(symbol for symbol, _ in UNITS.values())
        raise ValueError(f"units must be one of {symbols}, or their names, got {units!r}; leave it out for pixels")
    return unit_name(units)


def _partners(files: Sequence[str], source: str | os.PathLike[str]) -> Mapping[str, str | None]:
    if is_many(source):
        return pair(files, io.inputs(source), "image")
    if len(files) > 1:
        raise ValueError(
            f"one image was given for {len(files)} label images; give a folder or a pattern of images of the same names"
        )
    return dict.fromkeys(files, os.fspath(source))


def _called_after(files: Sequence[str], partners: Mapping[str, Mapping[str, str | None]]) -> list[str]:
    """Return the files that a table names: images where there are some, so that a run and its labels agree."""
    first: Mapping[str, str | None] = next(iter(partners.values()), {})
    return [first.get(file) or file for file in files]


def _measure_file(out: ObjectTable, entry: Entry, file: str, images: Mapping[str, str | None], asked: _Asked) -> None:
    if lonely := [name for name, image in images.items() if image is None]:
        what = f" of {lonely[0]}" if lonely[0] else ""
        raise ValueError(f"no image{what} is named like the labels {file!r}; add one, or take them out")
    labels = opened(file)
    labels = labels if asked.axes is None else named(labels, asked.axes)
    warn_if_grey(labels.data, labels.name)
    volumes = {name: opened(str(image)) for name, image in images.items()}
    add_to_table(out, entry, labels, volumes, channels=asked.channels, spacing=asked.spacing, unit=asked.unit)


def opened(file: str) -> Volume:
    """Return a file as a volume, whose voxels are read block by block where it is a store."""
    return io.read_lazily(file)[0] if stores.is_store(file) else io.read(file)


def add_to_table(
    out: ObjectTable,
    entry: Entry,
    labels: Volume,
    images: Channels,
    *,
    channels: Sequence[str] = (),
    spacing: Sequence[float] | None = None,
    unit: str | None = None,
) -> None:
    """Measure the objects of one image, and put them into a table.

    Parameters
    ----------
    out : ObjectTable
        The table.
    entry : Entry
        What the image is called in it.
    labels : Volume
        The objects.
    images : mapping of str to Volume
        Grey levels by the name of their channel.
    channels : sequence of str
        What the channels of a single image are called.
    spacing : sequence of float, optional
        World length of a voxel, over what `labels` says.
    unit : str, optional
        Its unit, as OME-Zarr spells it.

    Raises
    ------
    TypeError, ValueError
        If labels are none, or do not fit the images.
    """
    check_one(labels, "labels", "tzyx")
    axes = "".join(a for a, n in zip(labels.axes, labels.data.shape, strict=True) if a in "zyx" or (a == "t" and n > 1))
    arrays = {"": arrange(numpy_or_dask(labels.data), labels.axes, axes)}
    for name, image in images.items():
        arrays |= {f"_{key}": data for key, data in _channels(name, image, axes, channels).items()}
    size, own = (tuple(spacing), unit) if spacing is not None else _size_of(labels, images)
    found = _measured(_of_one_library(arrays), size, own, out, frames="t" in axes)
    out.add(entry, found, arrays[""].shape)


def _measured(
    arrays: Mapping[str, Any], size: tuple[float, ...] | None, unit: str | None, out: ObjectTable, *, frames: bool
) -> Measurements:
    wanted = out.unit_of(unit)
    factor = length_in(unit, wanted)
    grey: Any = {name.removeprefix("_"): data for name, data in arrays.items() if name}
    return measure(
        arrays[""],
        None if not grey else grey[""] if set(grey) == {""} else grey,
        spacing=None if size is None else [length * factor for length in size],
        units=None if wanted is None or size is None else UNITS[wanted][0],
        frame_axis=0 if frames else None,
    )


def _channels(name: str, image: Volume, axes: str, called: Sequence[str]) -> dict[str, Any]:
    """Return every channel of an image by what it is called, with the axes of labels; of four colours not alpha."""
    data = numpy_or_dask(image.data)
    n = dict(zip(image.axes, data.shape, strict=True)).get("c", 1)
    colour = image.axes.endswith("c") and n in (3, 4)
    n = 3 if colour else n
    if called and len(called) != n:
        raise ValueError(f"channels={tuple(called)!r} are {len(called)} names, and the image has {n} channels")
    if n == 1:
        return {called[0] if called else name: _arranged(data, image.axes, axes)}
    names = called or ("rgb" if colour else range(n))
    at = image.axes.index("c")
    rest = image.axes.replace("c", "")
    cut = [data[(slice(None),) * at + (k,)] for k in range(n)]
    return {
        f"{name}_{word}" if name else str(word): _arranged(c, rest, axes) for word, c in zip(names, cut, strict=True)
    }


def _arranged(data: Any, letters: str, axes: str) -> Any:
    """Bring an image to the axes of labels; what does not fit is refused by its shape."""
    try:
        return arrange(data, letters, axes)
    except ValueError:
        return data


def _size_of(labels: Volume, images: Channels) -> tuple[tuple[float, ...] | None, str | None]:
    """Return the size of a voxel and its unit: that of labels, else that of the image, which must not differ."""
    sizes = {
        what: (tuple(volume.spacing), volume.units)
        for what, volume in (("labels", labels), *((f"image {name}".rstrip(), image) for name, image in images.items()))
        if volume.spacing is not None and volume.spatial_axes == labels.spatial_axes
    }
    if not sizes:
        return None, None
    first, (size, unit) = next(iter(sizes.items()))
    for what, (other, other_unit) in sizes.items():
        factor = length_in(other_unit, unit)
        if not all(math.isclose(a, b * factor, rel_tol=1e-4) for a, b in zip(size, other, strict=True)):
            raise ValueError(
                f"{first} have voxels of {_words(size, unit)}, and {what} has {_words(other, other_unit)}; pass "
                "spacing=... and units=... to say which is right"
            )
    return size, unit or next((u for _, u in sizes.values() if u is not None), None)


def _words(size: Sequence[float], unit: str | None) -> str:
    return " x ".join(f"{length:g}" for length in size) + (f" {UNITS[unit][0]}" if unit else "")


def _of_one_library(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return arrays that can be read together: in memory, or where one is not, all of dask."""
    if not any(map(is_lazy, arrays.values())):
        return dict(arrays)
    from dask.array import from_array

    return {name: data if is_lazy(data) else from_array(data, name=False) for name, data in arrays.items()}
