"""Text files that are complete or not there at all."""

from __future__ import annotations

import os
import uuid
from pathlib import Path


def write_text(path: str | os.PathLike[str], text: str, *, overwrite: bool = False) -> Path:
    """Write a text file beside its place and rename it when it is complete.

    Parameters
    ----------
    path : str or path
        Where to write.
    text : str
        What to write, as UTF-8.
    overwrite : bool
        Replace what is there.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    FileExistsError
        If there is such a file and `overwrite` is False, or it is a folder.
    FileNotFoundError
        If the folder does not exist.
    OSError
        If the disk is full or cannot be written to. Nothing is changed then.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(target.parent)!r} to write {target.name!r} to; make it")
    if target.is_dir() or (target.exists() and not overwrite):
        raise FileExistsError(f"{str(target)!r} exists already; choose another name, or allow to overwrite a file")
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8", newline="")
        temporary.replace(target)
    except OSError as error:
        raise OSError(
            error.errno,
            f"could not write {str(target)!r} ({error.strerror or error}); nothing was changed there: "
            "free some space or choose another folder",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return target
