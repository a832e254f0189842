"""The folder of a report: written as a whole, over nothing that it did not write itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from .._own_folder import OwnFolder
from .._writing import scratch_folder, write_text

__all__ = ["MARKER", "check_folder", "write_folder"]

MARKER = ".napari-cutout-report"
"""A folder that holds this file holds a report; its lines name the files of it."""


def check_folder(folder: str | os.PathLike[str], overwrite: bool) -> Path:
    """Refuse a folder that is there, before any work is done.

    Parameters
    ----------
    folder : str or path
        Where a report is to be written.
    overwrite : bool
        Take a folder that is there: files of an earlier report are replaced, and all others stay.

    Returns
    -------
    Path
        The folder, absolute.

    Raises
    ------
    FileExistsError
        If it is a file, or holds something and `overwrite` is False.
    """
    path = Path(folder).resolve()
    OwnFolder(path, MARKER, "the report").check(overwrite)
    if path.is_dir() and any(path.iterdir()) and not overwrite:
        raise FileExistsError(
            f"the folder {str(path)!r} holds a report already; choose another name, or allow to overwrite it"
        )
    return path


def write_folder(folder: str | os.PathLike[str], files: Mapping[str, str], *, overwrite: bool = False) -> Path:
    """Write the files of a report beside their place, and move them there when all are complete.

    Parameters
    ----------
    folder : str or path
        The folder to make.
    files : mapping of str to str
        The text of each file, by its name in the folder, with ``/`` between folders.
    overwrite : bool
        Take a folder that is there.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileExistsError
        If `check_folder` refuses, or something lies in the way that no report wrote.
    OSError
        If it cannot be written. Nothing is changed then.
    """
    path = check_folder(folder, overwrite)
    own = OwnFolder(path, MARKER, "the report")
    own.check_free(list(files))
    with scratch_folder(path) as work:
        for name, text in files.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            write_text(work / name, text)
        own.take(work)
    return path
