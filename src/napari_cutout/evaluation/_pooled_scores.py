"""The scores of many images, as a table of images and as figures over all of them."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._writing import csv_text, write_text
from ._estimates import Figure
from ._images import ImageScores
from ._matching import Match
from ._pooled_text import definitions_of, notes_of, summary_of
from ._pooling import by_folder
from .overlap import or_null

__all__ = ["PooledEvaluation"]

N_WORST = 20
"""Images, and objects, that are listed as the worst."""

PARTITION = ("vi", "vi_split", "vi_merge", "adapted_rand_error")
SURFACES = ("assd", "surface_dice", "hd95", "hausdorff", "boundary_iou")


@dataclass(frozen=True, slots=True, eq=False)
class PooledEvaluation:
    """How well many images were segmented, one by one and together.

    Parameters
    ----------
    images : tuple of ImageScores
        One for each pair of labels and truth, in the order in which they were given; one that could not be scored has
        its reason.
    figures : tuple of Figure
        Each score over all images that were scored: pooled, image-mean and object-mean.
    unpaired_predicted, unpaired_truth : tuple of str
        Files without a partner on the other side, which are in no figure.
    match : {"auto", "binary", "value", "overlap"}
        The rule by which labels of all images were matched to classes; ``"auto"`` if each was by its own.
    numbered : bool
        Whether labels number objects.
    ignore : int or None
        The label of truth that means *not annotated*.
    seed : int
        Of the bootstrap.
    """

    images: tuple[ImageScores, ...]
    figures: tuple[Figure, ...]
    unpaired_predicted: tuple[str, ...] = ()
    unpaired_truth: tuple[str, ...] = ()
    match: Match = "auto"
    numbered: bool = False
    ignore: int | None = None
    seed: int = 0

    def __len__(self) -> int:
        return len(self.images)

    @property
    def scored(self) -> tuple[ImageScores, ...]:
        """The images that could be scored."""
        return tuple(one for one in self.images if not one.error)

    @property
    def failed(self) -> tuple[ImageScores, ...]:
        """The images that could not be scored."""
        return tuple(one for one in self.images if one.error)

    @property
    def titles(self) -> tuple[str, ...]:
        """What each image is called among the others: its name, after its folder where several have one name."""
        times = Counter(one.name for one in self.images)
        return tuple(f"{one.folder}/{one.name}" if times[one.name] > 1 else one.name for one in self.images)

    @property
    def by_folder(self) -> list[dict[str, Any]]:
        """The figures of the images of each folder: lines as of `figures_csv`, after the folder.

        Empty where all images lie in one folder, or are not of files.
        """
        return [
            {"folder": folder, **figure.row}
            for folder, figures in by_folder(self.images, self.seed).items()
            for figure in figures
        ]

    @property
    def definitions(self) -> dict[str, str]:
        """What every figure means, and how pooled, image-mean and object-mean differ, in sentences for a report."""
        return definitions_of(self)

    @property
    def notes(self) -> list[str]:
        """What one should know before reading a figure, in sentences."""
        return notes_of(self)

    @property
    def table(self) -> list[dict[str, Any]]:
        """One flat dict per image, all with the same keys; files without a partner are rows with that reason."""
        objects = any(one.evaluation is not None and one.evaluation.classes.any() for one in self.images)
        in_folders = any(one.folder for one in self.images)
        records = [_record(one, objects, in_folders) for one in self.images]
        records += [{"image": name, "error": "no truth is named like it"} for name in self.unpaired_predicted]
        records += [{"image": name, "error": "no labels are named like it"} for name in self.unpaired_truth]
        names = list(dict.fromkeys(name for record in records for name in record if name != "error"))
        return [{name: record.get(name, "") for name in (*names, "error")} for record in records]

    def figure(self, name: str, of: str = "") -> Figure:
        """Return one figure.

        Parameters
        ----------
        name : str
            Of the score, such as ``"dice"`` or ``"ap"``.
        of : str
            Which class or IoU it is of, such as ``"class 2"`` or ``"IoU 0.5"``.

        Returns
        -------
        Figure
            Pooled, image-mean and object-mean.

        Raises
        ------
        KeyError
            If there is no such figure.
        """
        for one in self.figures:
            if (one.name, one.of) == (name, of):
                return one
        raise KeyError(f"there is no figure {name!r} of {of!r}; there are: {', '.join(f.label for f in self.figures)}")

    def worst_images(self, n: int = N_WORST) -> list[dict[str, Any]]:
        """Return the images with the lowest scores: by PQ where labels number objects, else by mean Dice.

        Parameters
        ----------
        n : int
            Most images to list.

        Returns
        -------
        list of dict
            Rows of `table`, worst first; those whose score is not defined are left out.
        """
        key = "PQ@0.5" if self.numbered else "mean_dice"
        rows = [row for row in self.table if isinstance(row.get(key), float) and not math.isnan(row[key])]
        return sorted(rows, key=lambda row: (row[key], row["mean_dice"]))[:n]

    def worst_objects(self, n: int = N_WORST) -> list[dict[str, Any]]:
        """Return the true objects that were found worst, over all images.

        Parameters
        ----------
        n : int
            Most objects to list.

        Returns
        -------
        list of dict
            The image, and what `ObjectEvaluation.object_table` says at an IoU of 0.5; those of the lowest IoU first,
            and of these the largest. Empty where labels do not number objects.
        """
        return _lowest(self.scored, n)

    def summary(self) -> str:
        """Return the figures as a text table, with what one should know of them."""
        return summary_of(self)

    __str__ = summary

    def to_csv(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write the table, one line per image.

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
        return write_text(path, self.images_csv, overwrite=overwrite)

    def figures_to_csv(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write the figures with their intervals and definitions, one line each.

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
        return write_text(path, self.figures_csv, overwrite=overwrite)

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

    @property
    def images_csv(self) -> str:
        """The table of images as CSV."""
        rows = self.table
        return csv_text(list(rows[0]) if rows else ["image", "error"], (row.values() for row in rows))

    @property
    def folders_csv(self) -> str:
        """The figures of each folder as CSV; empty where there is but one."""
        rows = self.by_folder
        return csv_text(list(rows[0]), (row.values() for row in rows)) if rows else ""

    @property
    def figures_csv(self) -> str:
        """The figures as CSV."""
        rows = [{**one.row, "definition": self._definition(one)} for one in self.figures]
        return csv_text(list(rows[0]) if rows else ["figure"], (row.values() for row in rows))

    def as_dict(self) -> dict[str, Any]:
        """Return figures, images, what they mean and what was left out, for JSON; NaN becomes None."""
        return {
            "match": self.match,
            "numbered": self.numbered,
            "ignore": self.ignore,
            "seed": self.seed,
            "notes": self.notes,
            "figures": [_without_nan(one.row) for one in self.figures],
            "by_folder": [_without_nan(row) for row in self.by_folder],
            "images": [_without_nan(row) for row in self.table],
            "unpaired_predicted": list(self.unpaired_predicted),
            "unpaired_truth": list(self.unpaired_truth),
            "worst_objects": [_without_nan(row) for row in self.worst_objects()],
            "definitions": self.definitions,
        }

    def _definition(self, figure: Figure) -> str:
        texts = self.definitions
        both = f"{figure.name} of {figure.group}"
        return texts.get(both, texts.get(figure.name, ""))


def _without_nan(row: dict[str, Any]) -> dict[str, Any]:
    return {name: or_null(value) for name, value in row.items()}


def _place(one: ImageScores, in_folders: bool) -> dict[str, str]:
    """Return what an image is called, by the keys that tables of objects have."""
    return {"image": one.name, **({"folder": one.folder} if in_folders else {})}


def _record(one: ImageScores, objects: bool, in_folders: bool) -> dict[str, Any]:
    """Return the line of an image in the table of all; where any has objects, means are of classes that are objects."""
    found = one.evaluation
    if found is None:
        return {**_place(one, in_folders), "error": one.error}
    only_background = not found.classes.any()
    chosen = found.classes != 0 if objects else found.classes == 0
    row: dict[str, Any] = {
        **_place(one, in_folders),
        "prevalence": float(found.prevalence[chosen].sum()),
        "mean_iou": math.nan if objects and only_background else found.mean_iou,
        "mean_dice": math.nan if objects and only_background else found.mean_dice,
    }
    for label, iou, dice in zip(found.classes.tolist(), found.iou.tolist(), found.dice.tolist(), strict=True):
        row |= {f"iou_{label}": iou, f"dice_{label}": dice}
    row |= {"accuracy": found.overall_accuracy, "n_voxels": found.n_voxels, "n_ignored": found.n_ignored}
    return {**row, "match": found.match, **_of_objects(one), **_of_surfaces(one), "error": ""}


def _of_objects(one: ImageScores) -> dict[str, Any]:
    objects, regions = one.objects, one.partition
    if objects is None or regions is None:
        return {}
    at = objects.at(0.5)
    return {
        "mean_ap": objects.mean_ap,
        **{f"{name.upper()}@0.5": at[name] for name in ("ap", "f1", "pq")},
        "seg": objects.seg,
        "aji": objects.aji,
        "n_true": objects.n_true,
        "n_predicted": objects.n_predicted,
        "count_error": math.nan if objects.why_nan else objects.count_error,
        **{name: len(getattr(objects, name)) for name in ("split", "merged", "missed", "invented")},
        **{name: getattr(regions, name) for name in PARTITION},
    }


def _of_surfaces(one: ImageScores) -> dict[str, Any]:
    return {} if one.boundaries is None else {name: one.boundaries.means[name] for name in SURFACES}


def _lowest(images: Sequence[ImageScores], n: int) -> list[dict[str, Any]]:
    found = []
    for one in images:
        if one.objects is None:
            continue
        columns = one.objects.object_table(0.5)
        n_true = len(one.objects.overlaps.truth)
        counts = np.asarray(columns["counted"][:n_true], bool)
        iou, sizes = (np.asarray(columns[name][:n_true]) for name in ("iou", "true_size"))
        order = [i for i in np.lexsort((-sizes, iou)).tolist() if counts[i]]
        found += [
            {**_place(one, bool(one.folder)), **{name: values[i] for name, values in columns.items()}}
            for i in order[:n]
        ]
    return sorted(found, key=lambda row: (row["iou"], -row["true_size"]))[:n]
