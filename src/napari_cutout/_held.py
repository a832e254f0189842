"""Settings that are folders, or what was read from one: as a recipe keeps them, and as it says them in a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["from_folder", "is_held", "kept", "said", "to_folder"]


def is_held(value: Any) -> bool:
    """Tell whether a setting is something that was read, such as a model, and not the path of it."""
    return hasattr(value, "digest") and hasattr(value, "name")


def kept(value: Any) -> Any:
    """Turn NumPy's numbers into Python's, lists into tuples and paths into texts, so that equal steps are equal."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return tuple(kept(v) for v in value) if isinstance(value, list | tuple) else value


def said(value: Any) -> Any:
    """Return a setting as JSON: of something that was read, by what it is known again."""
    return {"name": value.name, "sha256": value.digest} if is_held(value) else value


def to_folder(path: str, folder: Path) -> str:
    """Return a path as a file in a folder says it: a relative one from there."""
    if Path(path).is_absolute():
        return path
    try:
        return os.path.relpath(path, folder).replace(os.sep, "/")
    except ValueError:  # on another drive
        return str(Path(path).absolute())


def from_folder(path: str, folder: Path) -> str:
    """Return a path that a file in a folder says, as it is from here."""
    return path if Path(path).is_absolute() else os.path.normpath(folder / path)
