"""Recipes to files and back, with what was painted for them.  No Qt."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from .._stored import beside
from ..recipe import Recipe

__all__ = ["saved", "taken"]


def saved(recipe: Recipe, path: str | Path, painted: Mapping[str, Any], *, overwrite: bool = False) -> str:
    """Save a recipe, and beside it what was painted for it.

    Parameters
    ----------
    recipe : Recipe
        What to save.
    path : path
        Where to write.
    painted : mapping of str to array
        Inputs that are saved with it, by their names.
    overwrite : bool
        Replace what is there.

    Returns
    -------
    str
        What to say of it.

    Raises
    ------
    OSError, ValueError
        If it cannot be written.
    """
    written = recipe.save(path, arrays=painted, overwrite=overwrite)
    return f"saved {written.name}" + (f", and {', '.join(painted)} beside it" if painted else "")


def taken(path: Path, names: Collection[str]) -> str:
    """Return the name of a file that saving would replace, though nobody was asked about it; empty if there is none.

    Parameters
    ----------
    path : Path
        Where a recipe would be saved; who chose it was asked whether to replace it.
    names : collection of str
        The inputs that are saved beside it.

    Returns
    -------
    str
        Files that belong to the recipe that is there may be replaced with it.
    """
    try:
        known = {stored.path for stored in Recipe.load(path).arrays.values()}
    except (OSError, ValueError):
        known = set()
    there = [file for name in names if (file := beside(path, name)).exists()]
    return next((file.name for file in there if file not in known), "")
