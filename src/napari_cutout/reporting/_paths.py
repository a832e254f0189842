"""Paths in a report: how they lead from its folder to files, and where those are now."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .. import io

__all__ = ["name_of", "path_from", "place_of", "places_of"]


def name_of(source: str) -> str:
    """Return what a file is called, and its key, without folders, which name users and projects."""
    path, key = io.split_key(source)
    return f"{path.name}:{key}" if key else path.name


def path_from(folder: Path, source: str) -> str:
    """Return a path as it leads from a folder, so that both can be moved together.

    Parameters
    ----------
    folder : Path
        Where the report is.
    source : str
        A file, as `napari_cutout.read` takes it.

    Returns
    -------
    str
        With ``/`` between folders; absolute where the file lies on another disk.
    """
    path, key = io.split_key(source)
    try:
        way = Path(os.path.relpath(path.resolve(), folder)).as_posix()
    except ValueError:
        way = path.resolve().as_posix()
    return f"{way}:{key}" if key else way


def places_of(paths: Sequence[str | None], folder: Path, given: str | None, option: str) -> list[str]:
    """Return the files that the paths of a report lead to.

    Parameters
    ----------
    paths : sequence of str or None
        What `path_from` returned; None for arrays that were no files.
    folder : Path
        Where the report is.
    given : str, optional
        A file, a folder or a pattern, where the files are now; they have the names that they had.
    option : str
        How to say where they are, for messages.

    Returns
    -------
    list of str
        One file for each path.

    Raises
    ------
    FileNotFoundError
        If there is no such file in what was given.
    ValueError
        If a file is not there.
    """
    if given is None:
        return [place_of(path, folder, option) for path in paths]
    there = io.inputs(given)
    if len(there) == len(paths) == 1 or None in paths:
        return there
    by_name = {name_of(file): file for file in there}
    missing = [path for path in paths if path is not None and name_of(path) not in by_name]
    if missing:
        raise ValueError(f"{option} {given!r} holds no {name_of(missing[0])!r}, which the report was made of")
    return [by_name[name_of(path)] for path in paths if path is not None]


def place_of(path: str | None, folder: Path, option: str) -> str:
    """Return the file that one path leads to, or raise ValueError with the option that says where it is."""
    if path is None:
        raise ValueError(f"the report was made of arrays that were no files; save them, and pass {option}")
    file, key = io.split_key(path)
    place = Path(os.path.normpath(folder / file))
    if not place.exists():
        raise ValueError(f"there is no file {str(place)!r} any more; say with {option} where it is")
    return f"{place}:{key}" if key else str(place)
