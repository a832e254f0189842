"""What is left of runs into stores that did not end: found beside their targets.  No Qt here."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import stores
from ..recipe import Recipe
from ..running._run_folder import RunFolder

__all__ = ["Unfinished", "discard", "unfinished", "unfinished_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Unfinished:
    """A run into a store that did not end.

    Parameters
    ----------
    target : str
        Where its labels go.
    recipe : Recipe
        What ran, and on what part of the image.
    image : str
        The address of the image, or of a level of it; empty if it was in no store.
    fraction : float, optional
        How much of it is done.
    """

    target: str
    recipe: Recipe
    image: str = ""
    fraction: float | None = None

    @property
    def method(self) -> str:
        """The method that gives the labels."""
        return self.recipe.steps[-1].method

    def is_of(self, path: str) -> bool:
        """Tell whether it ran on the image at this path."""
        if not path or not self.image:
            return False
        place = stores.Place.of(path).shown
        return self.image == place or self.image.startswith(f"{place}/")


def unfinished(target: str) -> Unfinished | None:
    """Return what is left of a run into a target.

    Parameters
    ----------
    target : str
        The store that the labels of a run go into.

    Returns
    -------
    Unfinished or None
        None if nothing is left, or a process is at work on it.
    """
    folder = RunFolder(stores.Place.of(target))
    try:
        about = folder.begun()
        if about is None or folder.is_held():
            return None
        recipe = Recipe.from_json(json.dumps(about["recipe"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    image: Mapping[str, Any] = about.get("inputs", {}).get(recipe.source, {})
    return Unfinished(target, recipe, str(image.get("address", "")), about.get("fraction"))


def unfinished_of(image: str, methods: Collection[str]) -> Unfinished | None:
    """Return what is left of a run on an image whose target lies beside it; it reads files.

    Parameters
    ----------
    image : str
        The path of the image.
    methods : collection of str
        Methods that are looked for.

    Returns
    -------
    Unfinished or None
        The newest.
    """
    if not image or stores.is_url(image):
        return None
    folder = Path(image).absolute().parent
    runs = sorted(folder.glob(".*.run"), key=lambda run: run.stat().st_mtime, reverse=True)
    found = (unfinished(str(folder / run.name[1 : -len(".run")])) for run in runs)
    return next((one for one in found if one and one.is_of(image) and one.method in methods), None)


def discard(target: str) -> None:
    """Remove what is left of a run into a target.

    Raises
    ------
    OSError
        If it cannot be removed, or a process is at work on it again.
    """
    folder = RunFolder(stores.Place.of(target))
    with folder.held():
        folder.check_alone()
        folder.clear()
