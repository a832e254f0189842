"""The evaluations of this session of work: one list for each viewer, which outlives the widget.  No Qt here."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from .. import catalog
from .._writing import table_text, write_text
from ..recipe import Recipe
from ._columns import Column
from ._edited import BY_HAND
from ._question import Score
from ._scores import Asked
from ._view import of_viewer

__all__ = ["COLUMNS", "History", "Past", "history", "made_by"]

COLUMNS = (
    Column("number", "#", "the number of the evaluation, by which the page on IoU against Dice names it"),
    Column("time", tooltip="when it was scored"),
    Column("mean_iou", "mean IoU", "mean of the classes, background left out", format=".4f"),
    Column("mean_dice", "mean Dice", "mean of the classes, background left out", format=".4f"),
    Column(
        "object_f1", "object F1", "objects found with an IoU of 0.5 or more, where labels number them", format=".4f"
    ),
    Column("predicted", tooltip="the labels that were scored"),
    Column("truth", tooltip="the annotation"),
    Column("method", tooltip="what made the labels, where it is known"),
    Column("settings", tooltip="settings of that method that are not the default"),
    Column("unpainted", tooltip="what label 0 of truth meant"),
    Column("complete", "complete inside", "the layer inside which every object is annotated"),
    Column("match", tooltip="how labels were matched to classes"),
    Column("voxels", tooltip="how many voxels were scored", format=","),
)
"""The table of past evaluations, in the order of its columns."""


@dataclass(frozen=True, slots=True)
class Past:
    """One evaluation that was made.

    Parameters
    ----------
    time : datetime
        When, in local time.
    asked : Asked
        What was scored.
    method, settings : str
        What made the labels, as `made_by` says it.
    axes : tuple of str
        What the axes of the labels are called.
    score : Score
        What came out.
    number : int
        Its number in the history, from 1.
    """

    time: datetime
    asked: Asked
    method: str
    settings: str
    axes: tuple[str, ...]
    score: Score
    number: int = 1

    def row(self) -> dict[str, Any]:
        """Return the values of `COLUMNS`."""
        evaluation, objects = self.score.evaluation, self.score.objects
        return {
            "number": self.number,
            "time": f"{self.time:%Y-%m-%d %H:%M:%S}",
            "mean_iou": evaluation.mean_iou,
            "mean_dice": evaluation.mean_dice,
            "object_f1": math.nan if objects is None or objects.note else objects.f1,
            "predicted": self.asked.predicted,
            "truth": self.asked.truth,
            "method": self.method,
            "settings": self.settings,
            "unpainted": self.asked.unpainted,
            "complete": self.asked.complete,
            "match": evaluation.match,
            "voxels": evaluation.n_voxels,
        }


class History:
    """Evaluations in the order in which they were made.

    Attributes
    ----------
    entries
        All of them, the newest last. Only the newest keeps its map of errors, which is as large as the labels.
    """

    def __init__(self) -> None:
        self.entries: tuple[Past, ...] = ()
        self._n_numbers = 0

    def take_number(self) -> int:
        """Return a number that no other evaluation of this history has had, from 1; one that is cancelled keeps its."""
        self._n_numbers += 1
        return self._n_numbers

    def add(self, past: Past) -> None:
        """Add an evaluation."""
        before = [replace(entry, score=replace(entry.score, errors=None)) for entry in self.entries]
        self.entries = (*before, past)

    def clear(self) -> None:
        """Forget all."""
        self.entries = ()

    def columns(self) -> dict[str, list[Any]]:
        """Return the values of each of `COLUMNS`, one for every evaluation; without the day if all are of one."""
        rows = [entry.row() for entry in self.entries]
        if len({entry.time.date() for entry in self.entries}) == 1:
            rows = [row | {"time": f"{entry.time:%H:%M:%S}"} for row, entry in zip(rows, self.entries, strict=True)]
        return {column.name: [row[column.name] for row in rows] for column in COLUMNS}

    def to_csv(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write the table, one line for each evaluation.

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
        OSError
            If it exists and `overwrite` is False, or cannot be written. Nothing is changed then.
        """
        text = table_text([column.name for column in COLUMNS], (entry.row() for entry in self.entries))
        return write_text(path, text, overwrite=overwrite)


_HISTORIES: WeakKeyDictionary[Any, History] = WeakKeyDictionary()


def history(viewer: Any) -> History:
    """Return the history of a viewer, which lives as long as the viewer.

    Parameters
    ----------
    viewer : napari viewer
        The viewer, or the proxy of it that napari hands to plugins.

    Returns
    -------
    History
        Always the same for one viewer.
    """
    return of_viewer(viewer, _HISTORIES, lambda _: History())


def made_by(metadata: Mapping[str, Any], *, edited: bool = False) -> tuple[str, str]:
    """Say which method made a layer, and with which settings.

    Parameters
    ----------
    metadata : mapping
        That of the layer.
    edited : bool
        Whether somebody has painted on it since.

    Returns
    -------
    method : str
        The methods of the recipe, such as ``"threshold"``; empty if the layer is not ours.
    settings : str
        The settings of the last of them that are not the default, such as ``"method li, sigma 1"``.
    """
    ours = metadata.get("napari_cutout")
    text = ours.get("recipe") if isinstance(ours, Mapping) else None
    if not isinstance(text, str):
        return "", ""
    try:
        steps = Recipe.from_json(text).steps
    except ValueError:  # written by a later version, or edited by hand
        return "", ""
    defaults = {param.name: param.default for param in catalog.find(steps[-1].method).settings}
    changed = {n: v for n, v in steps[-1].complete_settings.items() if n != "spacing" and v != defaults[n]}
    method = " + ".join([*(step.method for step in steps), *([BY_HAND] if edited else ())])
    return method, ", ".join(f"{n} {_plain(v)}" for n, v in changed.items())


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Sequence) and not isinstance(value, str):
        between = " + " if all(isinstance(one, str) for one in value) else " × "  # noqa: RUF001
        return between.join(map(_plain, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
