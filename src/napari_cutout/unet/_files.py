"""Files that may be anything: read only if they are files, and no more of them than they may hold."""

from __future__ import annotations

import json
import stat
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["needed", "parsed_json", "read_file"]


def read_file(path: Path, most: int) -> bytes:
    """Return what a file holds.

    Parameters
    ----------
    path : Path
        The file. A link to one is followed.
    most : int
        Bytes that it may have.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is no file, or too large; the message begins with its path. Nothing is read then.
    OSError
        If it cannot be read.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):  # a pipe would wait for ever
        raise ValueError(f"{path} is not a file; copy the model again")
    if found.st_size > most:
        raise ValueError(f"{path} has {found.st_size:,} bytes, and may have {most:,}; copy the model again")
    with path.open("rb") as file:
        return file.read(most)


def parsed_json(data: bytes, path: Path) -> Any:
    """Return what a JSON file says.

    Parameters
    ----------
    data : bytes
        What it holds.
    path : Path
        The file, for the message.

    Raises
    ------
    ValueError
        If it is not JSON; the message begins with its path.
    """
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error


def needed(module: str, what: str, extra: str) -> Any:
    """Return a module that not every installation has.

    Parameters
    ----------
    module : str
        Its name.
    what : str
        What needs it, as the subject of a sentence.
    extra : str
        The extra of this program that installs it.

    Raises
    ------
    ImportError
        If it is missing or broken; the message has the line that installs it.
    """
    install = f'pip install "napari-cutout[{extra}]"'
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name == module:
            raise ImportError(f"{what} needs {module}, which is not installed; install it: {install}") from error
        raise ImportError(f"{module} does not load ({error}); reinstall it: {install}") from error
    except (ImportError, OSError) as error:
        raise ImportError(f"{module} does not load ({error}); reinstall it: {install}") from error
