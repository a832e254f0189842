"""The scores of a division into regions that one table of label pairs gives."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._writing import csv_text, write_text
from .overlap import or_null

__all__ = ["PartitionEvaluation", "PartitionsEvaluation"]

SCORES = (
    "vi_split",
    "vi_merge",
    "vi",
    "adapted_rand_error",
    "adapted_rand_precision",
    "adapted_rand_recall",
    "rand_index",
    "adjusted_rand_index",
    "covering",
)
ORIGIN = ("n_predicted", "n_true", "n_voxels", "n_ignored", "ignore")

DEFINITIONS = {
    "vi_split": "H(predicted | truth) in bits (logarithm to base 2): what is still unknown about the predicted region "
    "of a voxel once its true region is known. 0 where no true region is split (DOI:10.1016/j.jmva.2006.11.013).",
    "vi_merge": "H(truth | predicted) in bits: 0 where no predicted region holds several true ones.",
    "vi": "Variation of information, vi_split + vi_merge, in bits; 0 is perfect.",
    "adapted_rand_error": "1 - 2 A / (B + C), with A pairs of different voxels that lie in one region on both sides, B "
    "in one predicted region, C in one true region; 0 is perfect (DOI:10.3389/fnana.2015.00142). NaN where B + C is 0.",
    "adapted_rand_precision": "A / B: low where true regions are merged.",
    "adapted_rand_recall": "A / C: low where true regions are split.",
    "rand_index": "Share of all pairs of different voxels on which both sides agree, together or apart "
    "(DOI:10.1080/01621459.1971.10482356). NaN for a single voxel.",
    "adjusted_rand_index": "(index - expected) / (maximum - expected) of pairs by chance: 1 is perfect, 0 as good as "
    "chance (DOI:10.1007/BF01908075). 1 where both sides are one region, or both only single voxels.",
    "covering": "Mean over voxels of the largest IoU of their true region with any predicted one, of truth by "
    "predicted; 1 is perfect (DOI:10.1109/TPAMI.2010.161).",
    "regions": "Each label is one region, 0 too, unless it is the label that means not annotated. A predicted 0 is one "
    "region, as in scikit-image: lines of 0 between regions count as a merge. The program of CREMI takes each voxel of "
    "it as a region of its own.",
}


MEANS = ("probabilistic_rand_index", "vi", "adapted_rand_error", "covering")
"""Scores over several annotators."""

OF_ANNOTATORS = {
    "probabilistic_rand_index": "PRI: mean Rand index over the annotators (DOI:10.1109/TPAMI.2007.1046).",
    "annotators": "Over all annotators, vi and adapted_rand_error are means of those against each, which weigh the "
    "same; covering weighs each by the voxels that it annotated.",
}
"""What is said of several annotators, beside the above."""


@dataclass(frozen=True, slots=True)
class PartitionEvaluation:
    """How well a segmentation divides voxels into the regions of an annotation.

    All of it is arithmetic on one table of label pairs; `definitions` says what each score means.

    Parameters
    ----------
    vi_split, vi_merge : float
        The parts of the variation of information that come from splits and from merges, in bits.
    covering : float
        Mean over voxels of the largest IoU of their true region with any predicted one.
    pairs_together, pairs_predicted, pairs_true : int
        Pairs of different voxels that lie in one region: on both sides, of predicted, of truth.
    n_predicted, n_true : int
        Number of regions.
    n_voxels : int
        Voxels that were scored.
    n_ignored : int
        Voxels that were not, because they are not annotated.
    ignore : int or None
        The label of truth that means *not annotated*.
    """

    vi_split: float
    vi_merge: float
    covering: float
    pairs_together: int
    pairs_predicted: int
    pairs_true: int
    n_predicted: int
    n_true: int
    n_voxels: int
    n_ignored: int
    ignore: int | None = None

    @property
    def vi(self) -> float:
        """Variation of information in bits, `vi_split` + `vi_merge` (DOI:10.1016/j.jmva.2006.11.013)."""
        return self.vi_split + self.vi_merge

    @property
    def adapted_rand_error(self) -> float:
        """1 minus the F1 of pairs of voxels, as in CREMI and SNEMI3D (DOI:10.3389/fnana.2015.00142)."""
        both = self.pairs_predicted + self.pairs_true
        return _quotient(both - 2 * self.pairs_together, both)

    @property
    def adapted_rand_precision(self) -> float:
        """Share of the pairs of one predicted region that lie in one true region: low where regions are merged."""
        return _quotient(self.pairs_together, self.pairs_predicted)

    @property
    def adapted_rand_recall(self) -> float:
        """Share of the pairs of one true region that lie in one predicted region: low where regions are split."""
        return _quotient(self.pairs_together, self.pairs_true)

    @property
    def rand_index(self) -> float:
        """Share of all pairs of voxels on which both sides agree (DOI:10.1080/01621459.1971.10482356)."""
        n = math.comb(self.n_voxels, 2)
        return _quotient(n + 2 * self.pairs_together - self.pairs_predicted - self.pairs_true, n)

    @property
    def adjusted_rand_index(self) -> float:
        """Rand index above chance: 1 is perfect, 0 as good as chance (DOI:10.1007/BF01908075)."""
        n, found, there = math.comb(self.n_voxels, 2), self.pairs_predicted, self.pairs_true
        above, below = 2 * (n * self.pairs_together - found * there), n * (found + there) - 2 * found * there
        return above / below if below else 1.0  # only where both are one region, or both single voxels

    @property
    def row(self) -> dict[str, Any]:
        """All scores and counts by name, as a line of a table."""
        return {name: getattr(self, name) for name in SCORES + ORIGIN}

    @property
    def definitions(self) -> dict[str, str]:
        """What every score means, in sentences for a report."""
        return dict(DEFINITIONS)

    def summary(self) -> str:
        """Return the scores in a few lines."""
        without = "" if not self.n_ignored else f", {self.n_ignored} not annotated (label {self.ignore} of truth)"
        return (
            f"variation of information {self.vi:.4f} bits: {self.vi_split:.4f} by splits, {self.vi_merge:.4f} by "
            f"merges\n"
            f"adapted Rand error {self.adapted_rand_error:.4f}: precision {self.adapted_rand_precision:.4f}, "
            f"recall {self.adapted_rand_recall:.4f}\n"
            f"Rand index {self.rand_index:.4f}, adjusted {self.adjusted_rand_index:.4f}; covering {self.covering:.4f}\n"
            f"{self.n_predicted} regions predicted, {self.n_true} true; {self.n_voxels} voxels scored{without}"
        )

    __str__ = summary

    def to_csv(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write the scores, one line under a line of names.

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
        row = self.row
        return write_text(path, csv_text(list(row), [row.values()]), overwrite=overwrite)

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

    def as_dict(self) -> dict[str, Any]:
        """Return all scores, the base of the logarithm and the definitions, for JSON."""
        return {**_nulled(self.row), "vi_log_base": 2, "definitions": self.definitions}


@dataclass(frozen=True, slots=True)
class PartitionsEvaluation:
    """How well a segmentation divides voxels into regions, against several annotators of one image.

    Parameters
    ----------
    annotators : tuple of PartitionEvaluation
        The scores against each of them, in the order of the truths.
    """

    annotators: tuple[PartitionEvaluation, ...]

    @property
    def probabilistic_rand_index(self) -> float:
        """Mean Rand index over the annotators, PRI (DOI:10.1109/TPAMI.2007.1046)."""
        return self._mean("rand_index")

    @property
    def vi(self) -> float:
        """Mean variation of information over the annotators, in bits."""
        return self._mean("vi")

    @property
    def adapted_rand_error(self) -> float:
        """Mean adapted Rand error over the annotators; NaN if it is for one of them."""
        return self._mean("adapted_rand_error")

    @property
    def covering(self) -> float:
        """Covering of the regions of all annotators together, each weighted by its voxels (DOI:10.1109/TPAMI.2010.161).

        To pool images as the Berkeley benchmark does, weight each by the voxels that were scored in it, of all
        annotators.
        """
        return math.fsum(a.covering * a.n_voxels for a in self.annotators) / sum(a.n_voxels for a in self.annotators)

    def _mean(self, name: str) -> float:
        return math.fsum(getattr(a, name) for a in self.annotators) / len(self.annotators)

    @property
    def table(self) -> list[dict[str, Any]]:
        """One row per annotator: its number from 0, its scores, its counts."""
        return [{"annotator": i, **a.row} for i, a in enumerate(self.annotators)]

    def summary(self) -> str:
        """Return the scores in a few lines."""
        return (
            f"{len(self.annotators)} annotators: PRI {self.probabilistic_rand_index:.4f}, mean VI {self.vi:.4f} bits, "
            f"mean adapted Rand error {self.adapted_rand_error:.4f}, covering {self.covering:.4f}"
        )

    __str__ = summary

    def to_csv(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write the table, one line per annotator.

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
        rows = self.table
        return write_text(path, csv_text(list(rows[0]), (row.values() for row in rows)), overwrite=overwrite)

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
    def definitions(self) -> dict[str, str]:
        """What every score means, against one annotator and over all of them, in sentences for a report."""
        return {**DEFINITIONS, **OF_ANNOTATORS}

    def as_dict(self) -> dict[str, Any]:
        """Return the means, the scores against each annotator and the definitions, for JSON."""
        return {
            **_nulled({name: getattr(self, name) for name in MEANS}),
            "vi_log_base": 2,
            "annotators": [_nulled(row) for row in self.table],
            "definitions": self.definitions,
        }


def _nulled(row: dict[str, Any]) -> dict[str, Any]:
    return {name: or_null(value) for name, value in row.items()}


def _quotient(part: int, whole: int) -> float:
    """Return part / whole of integers of any size; NaN where there is nothing."""
    return part / whole if whole else math.nan
