"""Files and folders that are complete or not there at all."""

from __future__ import annotations

import csv
import errno
import io
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = [
    "check_place",
    "csv_text",
    "flushed",
    "replacing",
    "scratch",
    "scratch_folder",
    "sentence_of",
    "table_text",
    "write_text",
]


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
    with replacing(target, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
    return target


def _no_folder(_folder: Path) -> str:
    return "it is a folder"


@contextmanager
def replacing(target: Path, *, overwrite: bool, folder_problem: Callable[[Path], str] = _no_folder) -> Iterator[Path]:
    """Give a name to write a file or a folder under, and put it in place if nothing was raised.

    Parameters
    ----------
    target : Path
        Where it belongs.
    overwrite : bool
        Replace what is there.
    folder_problem : callable
        Says why a folder that is there may not be replaced, or nothing. Without it, none is.

    Yields
    ------
    Path
        A hidden name beside `target`, free. Whatever happens, nothing is left under it.

    Raises
    ------
    FileExistsError
        If `check_place` refuses, before or after writing.
    FileNotFoundError
        If the folder does not exist.
    OSError
        If the disk is full or cannot be written to. Nothing is changed then.
    """
    check_place(target, overwrite, folder_problem)
    try:
        with scratch(target) as temporary:
            yield temporary
            # Somebody may have made it meanwhile.
            check_place(target, overwrite, folder_problem)
            if temporary.is_file():
                flushed(temporary)
            _put(temporary, target)
    except FileExistsError:
        raise
    except OSError as error:
        raise sentence_of(error, target) from error


def flushed(path: Path) -> None:
    """See to it that a file is on the disk before it takes the place of another, or losing power could lose both."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


@contextmanager
def scratch(target: Path) -> Iterator[Path]:
    """Give a hidden name beside a path, and remove at the end what is left there.

    Parameters
    ----------
    target : Path
        Where the result belongs; so the scratch is on the same disk, and renaming it takes no copy.

    Yields
    ------
    Path
        The name; nothing is made there.
    """
    path = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield path
    finally:
        _remove(path)


@contextmanager
def scratch_folder(target: Path) -> Iterator[Path]:
    """Make a hidden folder beside a path, and the folders above it, and remove it at the end.

    Parameters
    ----------
    target : Path
        Where the result belongs.

    Yields
    ------
    Path
        The folder, empty.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    with scratch(target) as folder:
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise sentence_of(error, target) from error
        yield folder


def check_place(target: Path, overwrite: bool, folder_problem: Callable[[Path], str] = _no_folder) -> None:
    """Refuse a place that cannot be written to, or holds what must stay.

    Parameters
    ----------
    target : Path
        Where to write.
    overwrite : bool
        A file that is there may be replaced.
    folder_problem : callable
        Says why a folder may not be replaced, or nothing.

    Raises
    ------
    FileExistsError
        If something is there that may not be replaced.
    FileNotFoundError
        If there is no folder to write to.
    """
    if not target.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(target.parent)!r} to write {target.name!r} to; make it")
    if not os.path.lexists(target):
        return
    if not overwrite:
        raise FileExistsError(f"{str(target)!r} exists already; choose another name, or allow to overwrite it")
    if target.is_dir() and (problem := folder_problem(target)):
        raise FileExistsError(
            f"{str(target)!r} exists already, and {problem}, so it is not replaced; "
            "choose another name, or move it away"
        )


def _put(temporary: Path, target: Path) -> None:
    """Rename, and where a folder is in the way, move it aside until its successor is in place."""
    if not (target.exists() and (target.is_dir() or temporary.is_dir())):
        temporary.replace(target)
        return
    aside = temporary.with_suffix(".old")
    target.rename(aside)
    try:
        temporary.rename(target)
    except BaseException:
        aside.rename(target)
        raise
    _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):  # or it would hide what went wrong before
            path.unlink()


def sentence_of(error: OSError, target: Path) -> OSError:
    """Return an error of the system as one of the same class that says what could not be written, and the way out.

    Parameters
    ----------
    error : OSError
        What was raised.
    target : Path
        What was to be written.

    Returns
    -------
    OSError
        With the number of `error`.
    """
    reason = error.strerror or str(error)
    builtin = type(error).__module__ == "builtins"
    no_right = isinstance(error, PermissionError) or error.errno == errno.EROFS
    way = "ask for the right to write there" if no_right else "free some space"
    failure = (type(error) if builtin else OSError)(
        f"could not write {str(target)!r} ({reason}); nothing was changed there: {way}, or choose another folder"
    )
    failure.errno = error.errno
    return failure


def csv_text(names: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return rows as CSV under a line of names."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue()


def table_text(names: Sequence[str], table: Iterable[Mapping[str, Any]]) -> str:
    """Return rows that name their values as CSV under a line of those names."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()
