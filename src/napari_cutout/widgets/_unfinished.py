"""What is left of runs into stores that did not end: found beside their targets.  No Qt here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import stores
from ..recipe import Recipe
from ._request import Request

__all__ = ["Unfinished", "discard", "unfinished", "unfinished_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Unfinished:
    """A run into a store that did not end.

    Parameters
    ----------
    target : str
        Where its labels go.
    recipe : Recipe
        What ran.
    source : str
        The image; empty if it was no file.
    fraction : float, optional
        How much of it is done.
    """

    target: str
    recipe: Recipe
    source: str = ""
    fraction: float | None = None

    def request(self, now: Request) -> Request:
        """Return what goes on with it: its own recipe, on what a form has chosen now."""
        return replace(now, recipe=self.recipe)


def unfinished(target: str) -> Unfinished | None:
    """Return what is left of a run into a target; None if nothing is.

    Parameters
    ----------
    target : str
        The store that the labels of a run go into.
    """
    if stores.is_url(target):
        return None
    return _read(_run_folder(Path(target)), target)


def unfinished_of(source: str) -> list[Unfinished]:
    """Return what is left of runs on an image, whose targets lie beside it; the newest first.

    Parameters
    ----------
    source : str
        The path of the image.
    """
    if not source or stores.is_url(source):
        return []
    folder = Path(source).absolute().parent
    runs = sorted(folder.glob(".*.run"), key=lambda run: run.stat().st_mtime, reverse=True)
    found = (_read(run, str(folder / run.name[1 : -len(".run")])) for run in runs)
    return [one for one in found if one is not None and _same(one.source, source)]


def discard(target: str) -> None:
    """Remove what is left of a run into a target."""
    folder = _run_folder(Path(target))
    if folder.is_dir():
        shutil.rmtree(folder)


def _run_folder(target: Path) -> Path:
    return target.with_name(f".{target.name}.run")


def _read(run: Path, target: str) -> Unfinished | None:
    try:
        about: Mapping[str, Any] = json.loads((run / "run.json").read_text(encoding="utf-8"))
        recipe = Recipe.from_json(json.dumps(about["recipe"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Unfinished(target, recipe, str(about.get("source", "")), about.get("fraction"))


def _same(one: str, other: str) -> bool:
    return bool(one) and Path(one).absolute() == Path(other).absolute()
