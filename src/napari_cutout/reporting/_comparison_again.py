"""A comparison run again from its report."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .._array import to_numpy
from .._reading import as_volume, read_labels
from .._selection import Selection
from ..comparison.compare import compare
from ..comparison.leaderboard import Leaderboard
from ..recipe import Recipe
from ._comparison import Origin, content_of
from ._inputs import Files, Read, as_wanted, read_inputs
from ._paths import places_of
from ._verify import Found, Moved, file_differences

__all__ = ["compared", "run_again"]

FACTS = ("metric", "held_out", "n_units", "classes", "background", "for_choosing_only")
"""Entries of the report, beside rows, that must be the same."""


def compared(
    read: Read, arguments: Mapping[str, Any], on_progress: Callable[[str, float], None] | None = None
) -> Leaderboard:
    """Compare what was read.

    Parameters
    ----------
    read : Read
        Arrays, and what of them is cut.
    arguments : mapping
        What else `compare` takes.
    on_progress : callable, optional
        Called with the name of a method and the fraction of all that are done.

    Returns
    -------
    Leaderboard
        Best first.
    """
    board = compare(
        read.images,
        read.truths,
        recipes=read.recipes,
        labels=read.labels,
        ceiling=read.ceiling,
        selection=read.selection,
        spacing=read.spacing,
        on_progress=on_progress,
        **arguments,
    )
    return board if read.recorded.is_whole or read.recorded == read.selection else _recorded(board, read.recorded)


def _recorded(board: Leaderboard, selection: Selection) -> Leaderboard:
    """Return a leaderboard whose recipes run on files such as those that were read, and not on one frame alone."""
    made = [(one, one.row.recipe) for one in board.standings]
    rows = [
        one.row if recipe is None else replace(one.row, recipe=replace(recipe, selection=selection))
        for one, recipe in made
    ]
    return replace(
        board, standings=tuple(replace(one, row=row) for one, row in zip(board.standings, rows, strict=True))
    )


def run_again(
    content: Mapping[str, Any],
    folder: Path,
    moved: Moved,
    *,
    device: str | None = None,
    on_progress: Callable[[str, float], None] | None = None,
) -> Found:
    """Run a comparison again from its report.

    Parameters
    ----------
    content : mapping
        What ``report.json`` holds.
    folder : Path
        Where it is.
    moved : Moved
        Where files are now.
    device : {"auto", "cpu", "gpu"}, optional
        Where to run; by default as it was.
    on_progress : callable, optional
        Called with the name of a method and the fraction of all that are done.

    Returns
    -------
    Found
        Rows, and what is different in the files.

    Raises
    ------
    ValueError
        If a file is not where it was, or an array was no file, and `moved` does not say where it is.
    """
    asked = dict(content["arguments"])
    recipes = {name: Recipe.from_json(json.dumps(entry)) for name, entry in asked.pop("recipes").items()}
    selection, spacing = asked.pop("selection"), asked.pop("spacing")
    files = _files(content["inputs"], folder, moved)
    if _were_files(content["inputs"]):
        read = replace(read_inputs(files, as_wanted(content["reading"]), {}, spacing), recipes=recipes)
    else:
        read = _as_arrays(files, recipes, selection, spacing)
    board = compared(read, {**asked, **({} if device is None else {"device": device})}, on_progress)
    now = content_of(board, folder, Origin(files))
    found = list(_input_differences(content["inputs"], now["inputs"]))
    return Found(
        now["rows"],
        "name",
        {name: now[name] for name in FACTS},
        tuple(text for text, matters in found if matters),
        tuple(text for text, matters in found if not matters),
    )


def _input_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Any:
    for role in ("images", "truths", "ceiling"):
        yield from file_differences(role.removesuffix("s"), old[role] or (), new[role] or ())
    for name, was in old["labels"].items():
        yield from file_differences(f"labels {name}", was, new["labels"][name])


# Files -------------------------------------------------------------------------------------------------


def _were_files(inputs: Mapping[str, Any]) -> bool:
    return all("path" in entry for entry in inputs["images"])


def _files(inputs: Mapping[str, Any], folder: Path, moved: Moved) -> Files:
    """Return where files are now."""

    def found(entries: Sequence[Mapping[str, Any]], given: str | None, option: str) -> tuple[str, ...]:
        return tuple(places_of([entry.get("path") for entry in entries], folder, given, option))

    return Files(
        found(inputs["images"], moved.image, "--image"),
        found(inputs["truths"], moved.truth, "--truth"),
        {name: found(of, moved.labels.get(name), f"--labels {name}=FILE") for name, of in inputs["labels"].items()},
        found(inputs["ceiling"] or (), moved.ceiling, "--ceiling"),
    )


def _as_arrays(
    files: Files, recipes: dict[str, Recipe], selection: Mapping[str, Any] | None, spacing: Sequence[float] | None
) -> Read:
    """Read what once were arrays: just as they are stored."""
    chosen = None if selection is None else Selection.from_dict(selection)
    return Read(
        [as_volume(file).data for file in files.images],
        [to_numpy(read_labels(file, "truth")) for file in files.truths],
        {name: [to_numpy(read_labels(file, name)) for file in given] for name, given in files.labels.items()},
        [to_numpy(read_labels(file, "ceiling")) for file in files.ceiling] if files.ceiling else None,
        recipes,
        chosen,
        chosen or Selection("yx"),
        None if spacing is None else tuple(spacing),
    )
