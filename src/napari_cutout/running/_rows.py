"""What a recipe gave on a folder: a row for each image, their scores, and tables of them."""

from __future__ import annotations

import csv
import io as text_io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._writing import write_text
from ..evaluation import _annotation
from ..evaluation._images import Counted, Rule, scores_of
from ..evaluation._pooling import figures_of
from ._execute import Result
from ._object_table import entries_of

if TYPE_CHECKING:
    from ..evaluation._estimates import Figure
    from ..evaluation.overlap import Evaluation
    from ._object_table import Tables

__all__ = [
    "Batch",
    "Row",
    "columns",
    "how_read",
    "object_scores",
    "run_numbers_objects",
    "said_of_objects",
    "table_as_csv",
]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One image of a folder.

    Parameters
    ----------
    source : str
        The file it came from.
    labels : array, optional
        The labels; None where they were written to a file, or the image failed.
    provenance : dict
        How they came about; empty where the image failed.
    target : Path or str, optional
        The file or the store that they were written to.
    evaluation : Evaluation, optional
        The scores, where there is a truth.
    error : str
        Why the image failed; empty where all went well.
    numbered : bool
        True if labels and truth number objects, so that their scores mean something.
    """

    source: str
    labels: NDArray[Any] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    target: Path | str | None = None
    evaluation: Evaluation | None = None
    error: str = ""
    numbered: bool = False

    def record(self, *, objects: bool = False) -> dict[str, Any]:
        """Return the row as a flat dict: one line of the table, with the scores of objects or without them."""
        device = self.provenance.get("device", {})
        flat = {
            "source": self.source,
            "labels": "" if self.target is None else str(self.target),
            "seconds": self.provenance.get("seconds", ""),
            "backend": device.get("used", ""),
        }
        return {**flat, **_scores(self.evaluation, objects), "error": self.error}


def _scores(evaluation: Evaluation | None, objects: bool) -> dict[str, Any]:
    if evaluation is None:
        return {}
    flat = {"mean_iou": float(evaluation.mean_iou), "mean_dice": float(evaluation.mean_dice)}
    for name, iou, dice in zip(evaluation.classes, evaluation.iou, evaluation.dice, strict=True):
        flat |= {f"iou_{name}": float(iou), f"dice_{name}": float(dice)}
    return {**flat, "match": evaluation.match, **(object_scores(evaluation) if objects else {})}


def object_scores(evaluation: Evaluation) -> dict[str, Any]:
    """Return the scores of objects that a table of images has a column for.

    Parameters
    ----------
    evaluation : Evaluation
        The scores of one image whose labels number objects.

    Returns
    -------
    dict
        AP, F1 and PQ at an IoU of 0.5, predicted minus true objects, and how many of them are split and merged.
    """
    found = evaluation.objects
    at = found.at(0.5)
    return {
        "AP@0.5": at["ap"],
        "F1@0.5": at["f1"],
        "PQ@0.5": at["pq"],
        "count_error": found.count_error,
        "split": len(found.split),
        "merged": len(found.merged),
    }


def run_numbers_objects(result: Result) -> bool:
    """Tell whether the labels of a run and their truth number objects.

    Parameters
    ----------
    result : Result
        What a recipe gave.

    Returns
    -------
    bool
        False without a truth. Methods number objects in int32 and classes in uint8; this is asked as well because
        few objects that are numbered alike on both sides look like classes.
    """
    found = result.evaluation
    if found is None:
        return False
    several = len(np.setdiff1d(found.pairs.truth, [0])) > 1
    return found.numbers_objects or (several and found.ignore != 0 and result.labels.dtype == np.int32)


def said_of_objects(scores: Mapping[str, Any]) -> str:
    """Return what `object_scores` gave, of one image or of several, in a line."""
    ratios = ", ".join(f"{name} {scores[name]:.4f}" for name in ("AP@0.5", "F1@0.5", "PQ@0.5"))
    return (
        f"objects: {ratios}; count error {scores['count_error']:+d}, {scores['split']} split, {scores['merged']} merged"
    )


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What a recipe gave on a folder.

    Parameters
    ----------
    rows : tuple of Row
        One per image, in the order of the files' names.
    tables : Tables, optional
        The tables of objects and of images, where they were asked for.
    """

    rows: tuple[Row, ...]
    tables: Tables | None = None

    def __repr__(self) -> str:
        """Return how many images there are, and how many failed; `table` has a line for each."""
        tables = "" if self.tables is None else f", {self.tables.n_objects:,} objects in {self.tables.path}"
        return f"<Batch: {len(self.rows)} images, {len(self.failed)} of them with errors{tables}>"

    @property
    def failed(self) -> tuple[Row, ...]:
        """The images that failed."""
        return tuple(row for row in self.rows if row.error)

    @property
    def objects(self) -> dict[str, Any]:
        """Scores of objects over all scored images, AP, F1 and PQ at an IoU of 0.5 as means and counts as sums.

        Empty where no labels number objects.
        """
        if not self._number_objects:
            return {}
        found = [object_scores(row.evaluation) for row in self.rows if row.evaluation is not None]
        ratios, counts = ("AP@0.5", "F1@0.5", "PQ@0.5"), ("count_error", "split", "merged")
        means = {name: float(np.nanmean([scores[name] for scores in found])) for name in ratios}
        return means | {name: sum(scores[name] for scores in found) for name in counts}

    @property
    def pooled(self) -> tuple[Figure, ...]:
        """The figures over all scored images that `evaluate_images` gives of the same labels; none without a truth."""
        found = [row.evaluation for row in self.rows if row.evaluation is not None]
        if not found:
            return ()
        tables = [Counted(one.pairs, None, one.ignore) for one in found]
        rules: list[Any] = list({one.match for one in found})
        rule = Rule(rules[0] if len(rules) == 1 else "auto", self._number_objects)
        return figures_of([scores_of("", table, rule, table.ignore) for table in tables], 0)

    @property
    def _number_objects(self) -> bool:
        return any(row.numbered for row in self.rows)

    @property
    def table(self) -> list[dict[str, Any]]:
        """One flat dict per image; all have the same keys, the scores of each class among them.

        ``image`` and ``folder`` name it as in the tables of objects, and ``source`` is its file.

        Where the labels of an image number objects there are scores of objects for every image, so that one in which
        none was found counts as well.
        """
        objects = self._number_objects
        places = entries_of([row.source for row in self.rows])
        records = [
            {"image": place.image, "folder": place.folder, **row.record(objects=objects)}
            for place, row in zip(places, self.rows, strict=True)
        ]
        names = list(dict.fromkeys(name for record in records for name in record if name != "error"))
        return [{name: record.get(name, "") for name in (*names, "error")} for record in records]

    def to_csv(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the table as CSV.

        Parameters
        ----------
        path : path
            Where to write.
        overwrite : bool
            Replace a file that is there.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        FileExistsError
            If there is such a file and `overwrite` is False.
        """
        return write_text(Path(path), table_as_csv(self.table), overwrite=overwrite)


def table_as_csv(table: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of equal dicts as CSV text."""
    text = text_io.StringIO()
    writer = csv.DictWriter(text, list(table[0]) if table else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def columns(lines: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Return rows of words as lines with aligned columns.

    Parameters
    ----------
    lines : sequence of sequences of str
        Rows of equal length, the heading first.
    right : sequence of int
        Columns that are aligned to the right.

    Returns
    -------
    list of str
        One line per row.
    """
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return [
        "  ".join(
            w.rjust(n) if i in right else w.ljust(n) for i, (w, n) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def how_read(evaluations: Sequence[Evaluation], ignore: int | None) -> str:
    """Return how voxels that nobody painted were counted, and how to say otherwise.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        The scores of one image or of several.
    ignore : int or None
        What was asked for.

    Returns
    -------
    str
        One sentence.
    """
    hint = "; if the truth holds strokes, where 0 means not annotated, give --ignore 0" if ignore is None else ""
    return f"{_annotation.how_read(evaluations, ignore)}{hint}."
