"""The report of a comparison: a page to read, tables for a paper, recipes to run, and what it takes to check it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._stored import file_name
from .._wanted import Wanted
from ..comparison._tallies import scores_by_unit
from ..comparison.leaderboard import ALPHA, COLUMNS, FOR_CHOOSING, Leaderboard, Standing
from ..evaluation.overlap import or_null
from ..recipe import as_dict
from . import _machine
from ._definitions import COMPARISON, chosen
from ._files import check_folder, write_folder
from ._inputs import Files, asked, known_files
from ._latex import latex_table
from ._tables import Column, as_csv

__all__ = ["FORMAT", "VERSION", "Origin", "write_report"]

FORMAT, VERSION = "napari-cutout report", 1

NAMES = {"dice": "Dice", "iou": "IoU", "f1": "F1", "pq": "PQ"}
"""What the scores are called."""

NUMBERED = ("f1", "pq")
"""Scores of objects, which are shown where truth numbers some."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the arrays of a comparison came from.

    Parameters
    ----------
    files : Files
        What was read.
    wanted : Wanted
        What of the images was cut.
    """

    files: Files
    wanted: Wanted = field(default_factory=Wanted)


def write_report(
    leaderboard: Leaderboard,
    folder: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    origin: Origin | None = None,
) -> Path:
    """Write the report of a comparison.

    Parameters
    ----------
    leaderboard : Leaderboard
        What `compare` returned.
    folder : str or path
        The folder to make.
    overwrite : bool
        Take a folder that is there: the files of an earlier report are replaced, and all others stay.
    origin : Origin, optional
        The files that were read; by default arrays are known by their voxels alone.

    Returns
    -------
    Path
        The page, ``report.html``. Beside it are ``scores.csv``, ``scores.tex``, ``report.json`` and a recipe per row.

    Raises
    ------
    FileExistsError
        If the folder holds something and `overwrite` is False, or a file lies in the way that no report wrote.
    OSError
        If it cannot be written. Nothing is changed then.
    """
    from ._comparison_page import page_of

    place = check_folder(folder, overwrite)
    content = content_of(leaderboard, place, origin)
    recipes = {f"recipes/{name}.json": one for name, one in recipe_files(leaderboard).items()}
    files = {
        "report.html": page_of(leaderboard, content),
        "scores.csv": as_csv(leaderboard.table, COLUMNS),
        "scores.tex": as_latex(leaderboard),
        "report.json": as_json(content),
        **{name: as_json(as_dict(one.row.recipe)) for name, one in recipes.items() if one.row.recipe is not None},
    }
    return write_folder(place, files, overwrite=overwrite) / "report.html"


def as_json(content: Mapping[str, Any]) -> str:
    """Return JSON as files hold it."""
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def content_of(leaderboard: Leaderboard, folder: Path, origin: Origin | None) -> dict[str, Any]:
    """Return everything that ``report.json`` holds.

    Parameters
    ----------
    leaderboard : Leaderboard
        The rows.
    folder : Path
        Where the report will be.
    origin : Origin, optional
        The files that were read.

    Returns
    -------
    dict
        Plain JSON, from which the comparison can be run again.
    """
    given = leaderboard.given
    inputs: Any = given.inputs
    if origin is not None:
        inputs = known_files(origin.files, folder, given.inputs)
    scored = leaderboard.as_dict()
    units = {one.row.name: units_of_row(leaderboard, one) for one in leaderboard.standings}
    files = {one.row.name: f"recipes/{name}.json" for name, one in recipe_files(leaderboard).items()}
    for row in scored["rows"]:
        row |= {"by_unit": units[row["name"]], "recipe_file": files.get(row["name"])}
    return {
        "format": FORMAT,
        "version": VERSION,
        "kind": "comparison",
        "created": _machine.now(),
        "versions": _machine.versions(),
        "hardware": _machine.hardware(),
        "arguments": dict(given.arguments),
        "reading": {} if origin is None else asked(origin.wanted),
        "inputs": inputs,
        "for_choosing_only": FOR_CHOOSING in leaderboard.notes,
        **scored,
        "definitions": definitions_of(leaderboard),
    }


def units_of_row(leaderboard: Leaderboard, one: Standing) -> dict[str, list[float | None]]:
    """Return IoU and Dice of a row in every unit while it was held out; empty where it failed."""
    if one.row.overlap is None:
        return {}
    found = {name: scores_by_unit(one.row.overlap, leaderboard.problem, name) for name in ("iou", "dice")}
    return {name: [or_null(value) for value in values.tolist()] for name, values in found.items()}


def definitions_of(leaderboard: Leaderboard) -> dict[str, str]:
    """Return what every figure means."""
    left_out = set() if leaderboard.problem.numbered else set(NUMBERED)
    if not any(one.row.is_ceiling for one in leaderboard.standings):
        left_out.add("ceiling")
    return chosen(COMPARISON, [name for name in COMPARISON if name not in left_out])


def recipe_files(leaderboard: Leaderboard) -> dict[str, Standing]:
    """Return rows by what their recipes are called as files; names that differ in signs or case alone get numbers."""
    found: dict[str, Standing] = {}
    taken: set[str] = set()
    for one in leaderboard.standings:
        if one.row.recipe is not None and not one.row.error:
            stem = file_name(one.row.name).replace(" ", "-") or "recipe"
            name, number = stem, 1
            while name.casefold() in taken:
                number += 1
                name = f"{stem}-{number}"
            taken.add(name.casefold())
            found[name] = one
    return found


def shown_scores(leaderboard: Leaderboard) -> list[str]:
    """Return the scores that tables show: that by which rows are ranked first."""
    others = [name for name in NAMES if name != leaderboard.metric]
    return [leaderboard.metric, *(n for n in others if n not in NUMBERED or leaderboard.problem.numbered)]


def record_of(one: Standing) -> dict[str, Any]:
    """Return a line of the table, with its interval in words."""
    interval = None if one.low != one.low else f"{one.low:.3f}\N{EN DASH}{one.high:.3f}"
    tied = None if one.rank is None else "best" if one.rank == 1 else "tied" if one.tied else ""
    p = None if one.rank == 1 else one.p
    return {**one.record(), "p": p, "interval": interval, "verdict": tied}


def as_latex(leaderboard: Leaderboard) -> str:
    """Return the table for a paper, whose caption says how scores were made."""
    columns = [
        Column("rank", "Rank"),
        Column("name", "Method", is_text=True),
        *(Column(name, NAMES[name], 3) for name in shown_scores(leaderboard)),
        Column("interval", "95 % interval"),
        Column("p", "p", 3),
    ]
    columns[3:] = [columns[-2], columns[-1], *columns[3:-2]]
    caption = (
        f"Methods ranked by {NAMES[leaderboard.metric]} on {leaderboard.n_units} {leaderboard.held_out} that were held "
        f"out. Intervals are 95 % bootstrap percentiles over {leaderboard.held_out}; p is of the difference from the "
        f"best, with Holm's correction, and above {ALPHA} a method is tied with it if their intervals overlap."
    )
    if FOR_CHOOSING in leaderboard.notes:
        caption += f" {FOR_CHOOSING[0].upper()}{FOR_CHOOSING[1:]}."
    records = [record_of(one) for one in leaderboard.standings if not one.row.error]
    return latex_table(columns, records, caption, "tab:comparison")
