"""The objects of many images in one CSV, and a line for each image in another, written as they come."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .._pairs import folders_named, stem_of
from .._volume import UNITS
from .._writing import check_place, replacing
from ..processing._headings import heading
from ..processing.measure import Measurements

__all__ = ["DELIMITERS", "Entry", "ObjectTable", "Tables", "entries_of", "length_in", "per_image_beside", "share_of"]

DELIMITERS = {".csv": ",", ".tsv": "\t"}
"""What stands between cells, by the ending of the file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What an image is called in a table.

    Parameters
    ----------
    image : str
        Its name, without folder and ending.
    folder : str
        The folder that it lies in, which often is its condition.
    """

    image: str
    folder: str = ""


def entries_of(files: Sequence[str]) -> list[Entry]:
    """Return what images are called in a table.

    Parameters
    ----------
    files : sequence of str
        What `napari_cutout.io.inputs` returned.

    Returns
    -------
    list of Entry
        Folders are named from where they part, such as ``control`` and ``treated``; if all files lie in one, it has
        its name.
    """
    return [Entry(stem_of(file), folder) for file, folder in zip(files, folders_named(files), strict=True)]


@dataclass(frozen=True, slots=True)
class Tables:
    """What was measured of many images.

    Parameters
    ----------
    path : Path
        The table of objects: a line for each, and each frame.
    per_image_path : Path
        The table of images: a line for each, and each frame, those without an object included.
    per_image : list of dict
        What that table holds; ``error`` says why an image could not be measured, and is empty where it was.
    n_objects : int
        Lines of the table of objects.
    """

    path: Path
    per_image_path: Path
    per_image: list[dict[str, Any]]
    n_objects: int

    @property
    def failed(self) -> list[dict[str, Any]]:
        """The images that could not be measured."""
        return [row for row in self.per_image if row["error"]]


def per_image_beside(path: Path) -> Path:
    """Return where the table of images goes: ``objects_per_image.csv`` for ``objects.csv``."""
    return path.with_name(f"{path.stem}_per_image{path.suffix}")


@dataclass(slots=True)
class ObjectTable:
    """Takes the objects of one image after the other, and writes two tables when it is closed.

    Parameters
    ----------
    path : Path
        Where the table of objects goes.
    unit : str, optional
        The unit of lengths, as OME-Zarr spells it; by default that of the first image that has one.
    overwrite : bool
        Replace files that are there.

    Raises
    ------
    FileExistsError
        If one of the two files is there and `overwrite` is False.
    FileNotFoundError
        If the folder does not exist.
    ValueError
        If the ending is not that of a table.

    Notes
    -----
    Lines wait in a temporary file, so that memory holds the objects of one image; it goes when a ``with`` block around
    all of this is left, as by a run that is cancelled. Images whose columns differ, such as those of 2-D and of 3-D,
    get the columns of all, empty where they have none.
    """

    path: Path
    unit: str | None = None
    overwrite: bool = False
    _kinds: list[tuple[list[str], int]] = field(default_factory=list)
    _spool: Any = None
    _per_image: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.path.suffix.lower() not in DELIMITERS:
            raise ValueError(
                f"{str(self.path)!r} ends in {self.path.suffix!r}, which is no table; name one to write last, "
                f"ending in {' or '.join(DELIMITERS)}"
            )
        for path in (self.path, per_image_beside(self.path)):
            check_place(path, self.overwrite)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._spool is not None:
            self._spool.close()

    @property
    def is_empty(self) -> bool:
        """Whether no image was measured; all of them may have failed."""
        return not self._kinds

    def unit_of(self, unit: str | None) -> str | None:
        """Return the unit that lengths in this unit are written in; the first that is known is kept for all."""
        if self.unit is None:
            self.unit = unit
        return self.unit if unit is not None else None

    def add(self, entry: Entry, found: Measurements, shape: Sequence[int]) -> None:
        """Take the objects of an image.

        Parameters
        ----------
        entry : Entry
            What it is called.
        found : Measurements
            Its objects.
        shape : sequence of int
            Of its labels, frames first where there are frames.
        """
        if self._spool is None:
            self._spool = tempfile.TemporaryFile("w+", newline="", encoding="utf-8")  # noqa: SIM115 (closed with this)
        self._kinds.append((["image", "folder", *found.headings], len(found)))
        writer = csv.writer(self._spool)
        for cells in zip(*(_cells(values) for values in found.columns.values()), strict=True):
            writer.writerow((entry.image, entry.folder, *cells))
        self._per_image += _per_image(entry, found, shape)

    def fail(self, entry: Entry, error: str) -> None:
        """Take an image that could not be measured, and why."""
        self._per_image.append({"image": entry.image, "folder": entry.folder, "error": error})

    def close(self) -> Tables:
        """Write both tables.

        Returns
        -------
        Tables
            Where they are.

        Raises
        ------
        OSError
            If the disk is full or cannot be written to.
        """
        names = list(dict.fromkeys(name for kind, _ in self._kinds for name in kind)) or ["image", "folder", "label"]
        delimiter = DELIMITERS[self.path.suffix.lower()]
        with self:
            _write(self.path, names, self._lines(names), delimiter, self.overwrite)
        rows = _alike(self._per_image)
        beside = per_image_beside(self.path)
        _write(beside, list(rows[0]) if rows else ["image"], (row.values() for row in rows), delimiter, self.overwrite)
        return Tables(self.path, beside, rows, sum(n for _, n in self._kinds))

    def _lines(self, names: Sequence[str]) -> Iterator[Sequence[Any]]:
        if self._spool is None:
            return
        self._spool.seek(0)
        lines = csv.reader(self._spool)
        for kind, n in self._kinds:
            at = [kind.index(name) if name in kind else None for name in names]
            for _ in range(n):
                line = next(lines)
                yield ["" if k is None else line[k] for k in at]


def _write(path: Path, names: Sequence[str], rows: Any, delimiter: str, overwrite: bool) -> None:
    with (
        replacing(path, overwrite=overwrite) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(names)
        writer.writerows(rows)


def _cells(values: NDArray[Any]) -> list[Any]:
    """Return numbers in full, and nothing where there is none, which every program reads as missing."""
    return ["" if value != value else value for value in values.tolist()]


def _per_image(entry: Entry, found: Measurements, shape: Sequence[int]) -> list[dict[str, Any]]:
    """Return the line of an image, or one for each of its frames."""
    of_frame = found.columns.get("frame")
    if of_frame is None:
        return [_line(entry, found, np.ones(len(found), bool), int(np.prod(shape)), {})]
    n_voxels = int(np.prod(shape[1:]))
    return [_line(entry, found, of_frame == at, n_voxels, {"frame": at}) for at in range(shape[0])]


def _line(
    entry: Entry, found: Measurements, inside: NDArray[np.bool_], n_voxels: int, frame: Mapping[str, int]
) -> dict[str, Any]:
    """Return how many objects there are, how large, and the mean over objects of their mean grey levels."""
    columns = found.columns
    size = "area" if "area" in columns else "volume"
    values, unit = columns[size][inside], found.units.get(size, "")
    known = len(values) > 0
    line: dict[str, Any] = {"image": entry.image, "folder": entry.folder, **frame, "n_objects": len(values)}
    line[heading(f"{size}_total", unit)] = float(values.sum())
    line[heading(f"{size}_mean", unit)] = float(values.mean()) if known else ""
    line[heading(f"{size}_median", unit)] = float(np.median(values)) if known else ""
    line["labelled_fraction"] = float(columns["n_voxels"][inside].sum()) / n_voxels if n_voxels else ""
    for name, called in zip(columns, found.headings, strict=True):
        if name == "mean" or name.startswith("mean_"):
            means = columns[name][inside]
            finite = means[~np.isnan(means)]
            line[f"mean_of_{called}"] = float(finite.mean()) if len(finite) else ""
    return {**line, "error": ""}


def _alike(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows that all have the columns of all, the error last."""
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name != "error"]
    return [{name: row.get(name, "") for name in (*names, "error")} for row in rows]


def length_in(unit: str | None, wanted: str | None) -> float:
    """Return how long a unit is in another one; 1 where one of them is not known."""
    return 1.0 if unit is None or wanted is None or unit == wanted else UNITS[unit][1] / UNITS[wanted][1]


def share_of(on_progress: Callable[[str, float], None] | None, at: int, n: int) -> Callable[[str, float], None] | None:
    """Return what is told of one image of many, as a fraction of all.

    Parameters
    ----------
    on_progress : callable, optional
        What is told of all.
    at : int
        Which image it is, from 0.
    n : int
        How many there are.

    Returns
    -------
    callable or None
        Called with a stage and the fraction of it that is done.
    """
    if on_progress is None or n == 1:
        return on_progress
    return lambda stage, fraction: on_progress(f"image {at + 1} of {n}: {stage}", (at + fraction) / n)
