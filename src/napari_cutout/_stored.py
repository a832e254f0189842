"""Strokes and masks beside a recipe: files that are known again by their pixels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import io
from ._sources import fingerprint
from ._volume import Volume
from ._writing import check_place

__all__ = ["Stored", "file_name", "store", "stored"]


@dataclass(frozen=True, slots=True)
class Stored:
    """An input that was saved with a recipe.

    Parameters
    ----------
    path : Path
        The file.
    sha256 : str
        The fingerprint of its pixels.
    """

    path: Path
    sha256: str

    def read(self, name: str) -> Volume:
        """Read it.

        Parameters
        ----------
        name : str
            What the recipe calls it, for messages.

        Returns
        -------
        Volume
            The pixels that were saved.

        Raises
        ------
        FileNotFoundError
            If it is not there.
        ValueError
            If it holds other pixels, or cannot be read.
        """
        if not self.path.exists():
            raise FileNotFoundError(
                f"the recipe was saved with {name} in {str(self.path)!r}, which is not there; pass "
                f"{how_to_pass(name, self.path.name)}, the file whose hash begins with {self.sha256[:8]}"
            )
        volume = io.read(self.path)
        found = fingerprint(volume.data)
        if found != self.sha256:
            raise ValueError(
                f"{str(self.path)!r} was changed since the recipe was saved: the hash of its pixels begins with "
                f"{found[:8]}, not with {self.sha256[:8]}; put the saved file back, or pass "
                f"{how_to_pass(name, self.path.name)} to run with other {name}"
            )
        return volume


def how_to_pass(name: str, file: str) -> str:
    """Return how an input is given to `napari_cutout.run`; the command line spells it its own way."""
    return f"inputs={{{name!r}: {file!r}}}"


def file_name(name: str) -> str:
    """Return a name as one part of a path: what would lead elsewhere, or what file systems refuse, becomes ``_``.

    Parameters
    ----------
    name : str
        Any text, such as the key of an array in an NPZ.

    Returns
    -------
    str
        It, without separators, and never dots alone; empty if `name` is.
    """
    plain = re.sub(r'[\x00-\x1f\\/:*?"<>|]', "_", name)
    return plain if plain.strip(". ") else plain.replace(".", "_").replace(" ", "_")


def beside(recipe: Path, name: str) -> Path:
    """Return where an input is saved: ``recipe.markers.tif`` for ``recipe.json``."""
    stem = recipe.stem if recipe.suffix.lower() == ".json" else recipe.name
    return recipe.with_name(f"{stem}.{file_name(name)}.tif")


def store(recipe: Path, arrays: Mapping[str, Volume], *, overwrite: bool) -> dict[str, dict[str, str]]:
    """Write inputs beside a recipe that will be written.

    Parameters
    ----------
    recipe : Path
        The file of the recipe.
    arrays : mapping of str to Volume
        Integers or booleans, by the name of the input.
    overwrite : bool
        Replace files that are there.

    Returns
    -------
    dict
        The entry of the recipe that `stored` reads.

    Raises
    ------
    FileExistsError
        If one of the files, or the recipe, is there and `overwrite` is False; nothing is written then.
    TypeError
        If an array is not of integers or booleans.
    """
    places = {name: beside(recipe, name) for name in arrays}
    for place in (recipe, *places.values()):
        check_place(place, overwrite)
    hashes = {name: fingerprint(volume.data) for name, volume in arrays.items()}
    for name, volume in arrays.items():
        io.write(places[name], replace(volume, metadata={}), kind="labels", overwrite=overwrite)
    return {name: {"file": places[name].name, "sha256": hashes[name]} for name in arrays}


def stored(entry: Any) -> dict[str, Stored]:
    """Read the entry of a recipe that `store` returned; its files are named without a folder.

    Raises
    ------
    ValueError
        If it is no such entry.
    """
    if not isinstance(entry, Mapping):
        raise ValueError(f"the recipe's arrays must be an object, got {entry!r}")
    for name, one in entry.items():
        fits = isinstance(one, Mapping) and {"file", "sha256"} == one.keys() and all(map(_is_text, one.values()))
        # A recipe may come from anywhere; what it reads unasked must lie beside it.
        if not fits or Path(one["file"]).name != one["file"] or not re.fullmatch("[0-9a-f]{64}", one["sha256"]):
            raise ValueError(f"the recipe's {name} must be a file beside it and the hash of its pixels, got {one!r}")
    return {name: Stored(Path(one["file"]), one["sha256"]) for name, one in entry.items()}


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)
