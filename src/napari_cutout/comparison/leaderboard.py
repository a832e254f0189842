"""The result of a comparison: rows with scores, intervals and ranks, and the recipes that made them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._writing import table_text, write_text
from ..evaluation.overlap import or_null
from ..recipe import Recipe, as_dict
from ._confidence import Interval, intervals
from ._given import Given
from ._tallies import NEAR, Metric, Problem, agreements, score_of, scores_by_unit
from ._units import Units

__all__ = ["ALPHA", "FOR_CHOOSING", "Leaderboard", "Row", "Standing"]

ALPHA = 0.05
"""Contestants whose corrected p is above this are tied with the best; one minus it is the level of intervals."""

FOR_CHOOSING = "scored on strokes: for choosing, not for publishing"
"""Said wherever a score was made on strokes, which were painted where somebody chose to look."""

MAX_NAMED = 8
"""Tied rows that the summary names; the table marks all."""

SCORES = ("dice", "iou", "f1", "pq")

COLUMNS = ("rank", "name", "score", "low", "high", "p", "tied", *SCORES, "seconds", "tried", "backend", "note")
"""The table, in the order of its columns."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """What one contestant did.

    Parameters
    ----------
    name : str
        What it is called.
    recipe : Recipe or None
        With the settings that were chosen on everything annotated; None for labels that were there already.
    overlap : float64 array of shape (n_units, n_classes, 3), optional
        Voxels found, found in excess and missed while each unit was held out; None where it failed.
    objects : float64 array of shape (n_units, 4), optional
        Objects matched, invented and missed, and the sum of the IoU of the matched; None unless truth numbers objects.
    mapping : mapping of int to int
        The class that each predicted label stands for, on everything annotated.
    n_tried : int
        Settings that were tried.
    seconds : float
        Median time of a run on all images.
    backend : str
        Where it ran; empty for labels that were there already.
    plane : 2-D array of int, optional
        Its labels in the plane that pictures show.
    provenance : mapping
        How its labels on the first image came about.
    note : str
        What one should know about it.
    error : str
        Why it failed; empty where it did not.
    is_ceiling : bool
        True for a second annotator.
    sample : int8 array of shape (n,), optional
        The class at some voxels, as its column; -1 where it is not known.
    """

    name: str
    recipe: Recipe | None = None
    overlap: NDArray[np.float64] | None = None
    objects: NDArray[np.float64] | None = None
    mapping: Mapping[int, int] = field(default_factory=dict)
    n_tried: int = 0
    seconds: float = math.nan
    backend: str = ""
    plane: NDArray[Any] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    error: str = ""
    is_ceiling: bool = False
    sample: NDArray[np.int8] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """A row in its place.

    Parameters
    ----------
    row : Row
        What was done.
    rank : int or None
        1 is the best; equal scores share a rank. On strokes rows are equals that are tied with the best and within
        0.03 of its score: of those the one comes first whose labels agree most with those of the others. None for the
        ceiling and for what failed.
    score : float
        What rows are ranked by.
    low, high : float
        95 % interval of the score by bootstrap over units; NaN where there is one unit only.
    p : float
        That the best is no better than this one, corrected for the number of rows by Holm's method.
    tied : bool
        True if it cannot be told from the best: its p is above 0.05, and the intervals of both overlap.
    dice, iou, f1, pq : float
        Held-out scores over all units: means over classes, and of objects at an IoU of 0.5; NaN where there is none.
    """

    row: Row
    rank: int | None
    score: float
    low: float
    high: float
    p: float
    tied: bool
    dice: float
    iou: float
    f1: float
    pq: float

    def record(self) -> dict[str, Any]:
        """Return the line of the table as a flat dict."""
        row = self.row
        return {
            "rank": self.rank,
            "name": row.name,
            **{name: getattr(self, name) for name in ("score", "low", "high", "p", "tied", *SCORES)},
            "seconds": row.seconds,
            "tried": row.n_tried,
            "backend": row.backend,
            "note": row.error or row.note,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Leaderboard:
    """Contestants, best first, with what says how far the order can be trusted.

    Parameters
    ----------
    standings : tuple of Standing
        The ceiling first, if there is one; then by rank; what failed last.
    metric : {"dice", "iou", "f1", "pq"}
        What rows are ranked by.
    problem : Problem
        The classes.
    held_out : {"images", "strokes", "blocks"}
        What one unit is.
    n_units : int
        How many there are.
    facts : mapping
        How the comparison was made: folds, repeats, budget, seed, what the units are, versions.
    notes : tuple of str
        What one should know before reading a score.
    given : Given
        What the comparison was asked for, and a picture of it.
    """

    standings: tuple[Standing, ...]
    metric: Metric
    problem: Problem
    held_out: str
    n_units: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    given: Given = field(default_factory=Given)

    def __len__(self) -> int:
        return len(self.standings)

    @property
    def winner(self) -> Standing | None:
        """The best row; None if all failed."""
        return next((one for one in self.standings if one.rank == 1), None)

    @property
    def recipe(self) -> Recipe | None:
        """The recipe of the best row that has one: labels that were there already have none."""
        found = (one.row.recipe for one in self.standings if one.rank is not None)
        return next((recipe for recipe in found if recipe is not None), None)

    @property
    def table(self) -> list[dict[str, Any]]:
        """One flat dict per row."""
        return [one.record() for one in self.standings]

    def iou_by_unit(self) -> dict[str, dict[int, float]]:
        """Return the held-out IoU of every row in every unit, as `rank_changes` takes it; failed rows are left out."""
        found: dict[str, dict[int, float]] = {}
        for one in self.standings:
            if one.row.overlap is not None and not one.row.is_ceiling:
                scores = scores_by_unit(one.row.overlap, self.problem, "iou").tolist()
                found[one.row.name] = {unit: score for unit, score in enumerate(scores) if score == score}
        return found

    def summary(self) -> str:
        """Return the table as text, with how it came about."""
        others = [name for name in SCORES if name != self.metric]
        names = ("rank", "name", "score", "low", "high", "tied", *others, "tried", "note")
        lines = [[name if name != "score" else self.metric for name in names]]
        lines += [[_word(record, name) for name in names] for record in self.table]
        shown = [i for i, name in enumerate(names) if name not in ("f1", "pq") or self.problem.numbered]
        widths = {i: max(len(line[i]) for line in lines) for i in shown}
        text = ["  ".join(line[i].ljust(widths[i]) for i in shown).rstrip() for line in lines]
        return "\n".join([*text, "", *self._how()])

    __str__ = summary

    @property
    def order_note(self) -> str:
        """Why rows are not in the order of their scores; empty where they are."""
        scores = [one.score for one in self.standings if one.rank is not None]
        if scores == sorted(scores, reverse=True):
            return ""
        return (
            f"rows within {NEAR} of the best score {max(scores):.3f} that are tied with it are equals, and stand in "
            "the order of how like they are to each other: the one most like the others is first"
        )

    def _how(self) -> list[str]:
        tied = [one.row.name for one in self.standings if one.tied and one.rank != 1]
        lines = [f"Each score was made on {self.held_out} that were held out, {self.n_units} of them."]
        if tied and self.winner is not None:
            more = f" and {len(tied) - MAX_NAMED} more" if len(tied) > MAX_NAMED else ""
            names = ", ".join(tied[:MAX_NAMED]) + more
            lines.append(f"Tied with {self.winner.row.name} (p > {ALPHA} after Holm, intervals overlap): {names}.")
        lines += [f"{self.order_note[0].upper()}{self.order_note[1:]}."] if self.order_note else []
        return [*lines, *(note[0].upper() + note[1:] + "." for note in self.notes)]

    def as_dict(self) -> dict[str, Any]:
        """Return everything that JSON can hold: rows with recipes and mappings, and how they came about."""
        rows = []
        for one in self.standings:
            recipe = None if one.row.recipe is None else as_dict(one.row.recipe)
            record = {name: or_null(value) for name, value in one.record().items()}
            mapping = {str(label): found for label, found in one.row.mapping.items()}
            rows.append({**record, "failed": bool(one.row.error), "recipe": recipe, "mapping": mapping})
        return {
            "metric": self.metric,
            "held_out": self.held_out,
            "n_units": self.n_units,
            "classes": self.problem.classes.tolist(),
            "background": self.problem.background,
            "notes": list(self.notes),
            "facts": dict(self.facts),
            "rows": rows,
        }

    def to_csv(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write the table, one line per row.

        Parameters
        ----------
        path : str or path
            Where to write.
        overwrite : bool
            Replace what is there.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        FileExistsError
            If there is such a file and `overwrite` is False.
        OSError
            If it cannot be written. Nothing is changed then.
        """
        return write_text(path, table_text(COLUMNS, self.table), overwrite=overwrite)

    def to_json(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write what `as_dict` returns.

        Parameters
        ----------
        path : str or path
            Where to write.
        overwrite : bool
            Replace what is there.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        FileExistsError
            If there is such a file and `overwrite` is False.
        OSError
            If it cannot be written. Nothing is changed then.
        """
        return write_text(path, json.dumps(self.as_dict(), indent=2, allow_nan=False) + "\n", overwrite=overwrite)

    def report(self, folder: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write a report to send: a page that needs no network, tables for a paper, and a recipe for each row.

        Parameters
        ----------
        folder : str or path
            The folder to make.
        overwrite : bool
            Take a folder that is there: the files of an earlier report are replaced, and all others stay.

        Returns
        -------
        Path
            The page, ``report.html``. Beside it are ``scores.csv``, ``scores.tex`` for booktabs, ``report.json`` with
            all that it takes to run the comparison again, and ``recipes``.

        Raises
        ------
        FileExistsError
            If the folder holds something and `overwrite` is False, or a file lies in the way that no report wrote.
        OSError
            If it cannot be written. Nothing is changed then.

        Notes
        -----
        Deterministic, but for the time it was made and the seconds that methods took. Memory: a few MB.
        """
        from ..reporting._comparison import write_report

        return write_report(self, folder, overwrite=overwrite)


def ranked(rows: Sequence[Row], problem: Problem, metric: Metric, units: Units, seed: int) -> tuple[Standing, ...]:
    """Put rows in order.

    Parameters
    ----------
    rows : sequence of Row
        What was done.
    problem : Problem
        The classes.
    metric : {"dice", "iou", "f1", "pq"}
        What to rank by.
    units : Units
        What was held out.
    seed : int
        Of the bootstrap and of swaps.

    Returns
    -------
    tuple of Standing
        The ceiling first, then the best, what failed last; equals in the order in which they came.
    """
    scored = [row for row in rows if not row.error and _counts(row, metric) is not None]
    contest = [row for row in scored if not row.is_ceiling]
    group, strata = units.drawn
    found = [_standing(row, problem, metric, units, seed) for row in scored if row.is_ceiling]
    tallies = [_grouped(counts, group) for row in contest if (counts := _counts(row, metric)) is not None]
    places = intervals(tallies, problem, metric, strata, level=1 - ALPHA, seed=seed)
    order = sorted(range(len(contest)), key=lambda i: (math.isnan(places[i].score), -places[i].score))
    ranks = {i: 1 + sum(other.score > places[i].score for other in places) for i in order}
    tied = {i: _is_tied(places[i], places[order[0]]) for i in order}
    equals = [i for i in order if tied[i] and places[i].score >= places[order[0]].score - NEAR]
    samples = [sample for i in equals if (sample := contest[i].sample) is not None]
    if problem.scores_background and len(samples) == len(equals) > 2:
        agreement = agreements(samples, problem).sum(axis=1)
        equals = [equals[k] for k in np.argsort(-agreement, kind="stable")]
        ranks |= {i: rank for rank, i in enumerate(equals, 1)}
        order = [*equals, *(i for i in order if i not in equals)]
    for i in order:
        one = places[i]
        rank = None if math.isnan(one.score) else ranks[i]
        shown = (one.score, one.low, one.high, one.p, rank is not None and tied[i])
        found.append(Standing(contest[i], rank, *shown, *_all(contest[i], problem)))
    failed = [row for row in rows if row.error]
    return (*found, *(_failed(row) for row in failed))


def _is_tied(one: Interval, best: Interval) -> bool:
    """Tell whether a row cannot be told from the best; few units make no p small, however far apart scores are."""
    return one is best or one.score == best.score or (one.p > ALPHA and not one.high < best.low)


def _grouped(counts: NDArray[np.float64], group: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the counts of what is drawn together."""
    total = np.zeros((int(group.max()) + 1, *counts.shape[1:]))
    np.add.at(total, group, counts)
    return total


def _failed(row: Row) -> Standing:
    nothing = math.nan
    return Standing(row, None, nothing, nothing, nothing, nothing, False, nothing, nothing, nothing, nothing)


def _standing(row: Row, problem: Problem, metric: Metric, units: Units, seed: int) -> Standing:
    """Return the place of a ceiling, which takes part in no ranking."""
    counts = _counts(row, metric)
    assert counts is not None
    group, strata = units.drawn
    (one,) = intervals([_grouped(counts, group)], problem, metric, strata, level=1 - ALPHA, seed=seed)
    return Standing(row, None, one.score, one.low, one.high, math.nan, False, *_all(row, problem))


def _counts(row: Row, metric: Metric) -> NDArray[np.float64] | None:
    return row.objects if metric in ("f1", "pq") else row.overlap


def _all(row: Row, problem: Problem) -> list[float]:
    """Return Dice, IoU, F1 and PQ over all units."""
    found = []
    for metric in SCORES:
        counts = _counts(row, metric)  # type: ignore[arg-type]
        found.append(math.nan if counts is None else float(score_of(counts.sum(axis=0), problem, metric)))  # type: ignore[arg-type]
    return found


def _word(record: Mapping[str, Any], name: str) -> str:
    value = record[name]
    if value is None or value != value:
        return "-"
    if isinstance(value, bool):
        return "tied" if value and record["rank"] != 1 else ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)
