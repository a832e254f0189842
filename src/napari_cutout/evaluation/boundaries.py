"""Boundary scores: how far the surface of what was found is from that of what is there, in world units."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .._checks import check_source_labels, check_spacing
from .._method import Labels
from .._writing import table_text, write_text
from ._boundary_rows import Pair, class_rows, compared_rows, object_rows
from ._boxes import surveyed
from ._contingency import Counts, check_pair, checked
from ._matching import Match
from ._surfaces import Comparison, Ruler
from .overlap import frozen, or_null

__all__ = ["BoundaryEvaluation", "evaluate_boundaries"]

Scores = NDArray[np.float64]
By = Literal["classes", "objects"]

SCORES = ("hausdorff", "hd95", "assd", "surface_dice", "boundary_iou")
SHARES = ("surface_dice", "boundary_iou")
"""Scores that have a worst value, so that a true object that was not found can count."""

COUNTS = ("n_predicted_surface", "n_true_surface")
HEADS = {"classes": ("class", "prevalence"), "objects": ("predicted", "true", "iou")}
"""The columns that say what a row is about."""

ORIGIN = ("by", "tolerance", "width", "threshold", "n_left_over_predicted", "n_left_over_true", "n_ignored", "ignore")

WIDTH = 0.02
"""Width of a boundary, as a share of the diagonal of the image; what Cheng et al. found to work."""

OF_CLASSES = {
    "prevalence": "Share of the annotated voxels that truth gives to the class: (TP + FN) / all.",
    "background": "Label 0 is background and has no row.",
}

OF_OBJECTS = {
    "iou": "TP / (TP + FP + FN) of the two objects, in annotated voxels.",
    "surface_dice_all": "Mean of surface_dice over true objects; one without a partner counts as 0.",
    "boundary_iou_all": "Mean of boundary_iou over true objects; one without a partner counts as 0.",
    "left_over": "All other means are over matched pairs, and say nothing of objects that were missed or found in "
    "excess.",
    "background": "Label 0 is no object. Objects that touch the edge of the image count as all others do.",
}

MAX_LINES = 40
"""Rows that the summary lists; the table holds all."""


@dataclass(frozen=True, slots=True, eq=False)
class BoundaryEvaluation:
    """How far surfaces are from each other, class by class or object by object; lengths are in world units.

    Scores are arrays of shape (n,), one entry for each row. Where neither side has a surface all of them are NaN.
    Where one side has none, `surface_dice` and `boundary_iou` are 0 and the distances, which have no worst value, are
    NaN; `missing` says which side it is.

    Parameters
    ----------
    by : {"classes", "objects"}
        What a row is about: a class, or a pair of objects that were matched.
    predicted, truth : int64 arrays of shape (n,)
        The labels of each row; the same on both sides for classes.
    iou : float64 array of shape (n,)
        The IoU of all voxels that are annotated, for matched objects; NaN for classes, which `evaluate` scores.
    prevalence : float64 array of shape (n,)
        The share of the annotated voxels that truth gives to each class; NaN for objects.
    hausdorff, hd95, assd, surface_dice, boundary_iou : float64 arrays of shape (n,)
        The scores; `definitions` says what each is.
    n_predicted_surface, n_true_surface : int64 arrays of shape (n,)
        Surface voxels of each side.
    spacing : tuple of float
        World length of a voxel along each axis.
    tolerance : float
        The distance up to which `surface_dice` takes a surface voxel for right.
    width : float
        How far a boundary reaches into an object, for `boundary_iou`.
    threshold : float or None
        The IoU from which on objects were matched; None for classes.
    n_left_over_predicted, n_left_over_true : int
        Objects without a partner, which have no row, as `evaluate_objects` counts them; 0 for classes.
    match_reason : str
        How labels were matched to rows, in a sentence.
    n_ignored : int
        Voxels that were left out because they are not annotated.
    ignore : int or None
        The label of truth that means *not annotated*.
    """

    by: By
    predicted: Counts
    truth: Counts
    iou: Scores
    prevalence: Scores
    hausdorff: Scores
    hd95: Scores
    assd: Scores
    surface_dice: Scores
    boundary_iou: Scores
    n_predicted_surface: Counts
    n_true_surface: Counts
    spacing: tuple[float, ...]
    tolerance: float
    width: float
    threshold: float | None
    n_left_over_predicted: int
    n_left_over_true: int
    match_reason: str
    n_ignored: int
    ignore: int | None = None

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def missing(self) -> tuple[str, ...]:
        """Which side of each row has no surface: "", "predicted", "truth" or "both"."""
        names = {(True, True): "", (False, True): "predicted", (True, False): "truth", (False, False): "both"}
        return tuple(names[n > 0, m > 0] for n, m in zip(self.n_predicted_surface, self.n_true_surface, strict=True))

    @property
    def means(self) -> dict[str, float]:
        """The mean of each score over the rows that have it; NaN if none does. `n_scored` says how many do.

        Rows of objects are pairs, so their means say nothing of objects that were missed. Means whose name ends in
        ``_all`` do: in them a true object without a partner counts as 0.
        """
        kept = {name: values[~np.isnan(values)].tolist() for name, values in self._shown.items()}
        return {
            name: math.fsum(values) / n if (n := self.n_scored[name]) else math.nan for name, values in kept.items()
        }

    @property
    def n_scored(self) -> dict[str, int]:
        """The number of rows in the mean of each score, and of true objects without a partner if they count."""
        return {
            name: int(np.count_nonzero(~np.isnan(values))) + (self.n_left_over_true if name not in SCORES else 0)
            for name, values in self._shown.items()
        }

    @property
    def _shown(self) -> dict[str, Scores]:
        """The scores that each mean is of."""
        of_all = SHARES if self.by == "objects" else ()
        return {name: getattr(self, name) for name in SCORES} | {f"{n}_all": getattr(self, n) for n in of_all}

    @property
    def definitions(self) -> dict[str, str]:
        """What every score means, with the tolerance and the width that were used, in sentences for a report."""
        return {**self._texts, **(OF_CLASSES if self.by == "classes" else OF_OBJECTS), "rows": self.match_reason}

    @property
    def _texts(self) -> dict[str, str]:
        """What is said of classes and of objects alike."""
        return {
            "surface": "Surface voxels are the voxels of an object that have a face neighbour outside it; what lies "
            "beyond the edge of the image is outside. Voxels that are not annotated are no surface, and neither is "
            "what borders on them. Each surface voxel counts once, whatever area it stands for.",
            "distance": "From the centre of a surface voxel to the centre of the nearest surface voxel of the other "
            f"side, in world units, for voxels of {_times(self.spacing)}.",
            "hausdorff": "Hausdorff distance: the largest of all distances, in both directions.",
            "hd95": "The larger of the two 95th percentiles of the distances in one direction, linear between "
            "neighbours.",
            "assd": "Average symmetric surface distance: the sum of the distances in both directions over the number "
            "of surface voxels of both sides.",
            "surface_dice": "Normalised surface distance, or surface Dice: the share of the surface voxels of both "
            f"sides whose distance is {self.tolerance:g} or less (DOI:10.2196/26151).",
            "boundary_iou": "IoU of the voxels of each side whose centre is "
            f"{self.width:g} or less from that of the nearest voxel outside (DOI:10.1109/CVPR46437.2021.01508).",
            "empty": "Where one side has no surface, surface_dice and boundary_iou are 0 and distances are not "
            "defined; where neither has one, no score is. Means leave out what is not defined, and say of how many "
            "rows they are.",
        }

    @property
    def table(self) -> list[dict[str, Any]]:
        """One row per class, or per pair of objects: its labels, its scores, its counts, and what is missing.

        Objects without a partner have no row. `n_left_over_true` says how many there are.
        """
        labels = {"class": self.truth, "predicted": self.predicted, "true": self.truth, "iou": self.iou}
        labels["prevalence"] = self.prevalence
        columns = {name: labels[name].tolist() for name in HEADS[self.by]}
        columns |= {name: getattr(self, name).tolist() for name in SCORES + COUNTS}
        columns["missing"] = list(self.missing)
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def summary(self) -> str:
        """Return the scores as a text table, with their means and what they were measured with."""
        heads = HEADS[self.by]
        lines = ["".join(f"{name:>14}" for name in heads + SCORES)]
        lines += [
            "".join(f"{row[n]:>14.4f}" if isinstance(row[n], float) else f"{row[n]:>14}" for n in heads + SCORES)
            + (f"  no surface in {row['missing']}" if row["missing"] else "")
            for row in self.table[:MAX_LINES]
        ]
        if len(self) > MAX_LINES:
            lines.append(f"    ... and {len(self) - MAX_LINES} more rows")
        return "\n".join(
            [
                *lines,
                self._line_of_means("of rows", SCORES),
                *self._lines_of_objects(),
                f"voxels of {_times(self.spacing)}; surface Dice within {self.tolerance:g}, boundaries {self.width:g} "
                "wide, in world units",
                self.match_reason,
            ]
        )

    def _line_of_means(self, of: str, names: Sequence[str]) -> str:
        means, n = self.means, self.n_scored
        return f"means ({of}): " + ", ".join(f"{name} {means[name]:.4f} ({n[name]})" for name in names)

    def _lines_of_objects(self) -> list[str]:
        """Say what means over pairs do not: how many objects were missed, and what the means are with them."""
        if self.by == "classes":
            return []
        left, true = self.n_left_over_predicted, self.n_left_over_true
        return [
            self._line_of_means(
                "of all true objects, 0 for those without a partner", [f"{name}_all" for name in SHARES]
            ),
            f"{left} predicted and {true} true objects without a partner, which have no row",
        ]

    __str__ = summary

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
        return write_text(
            path, table_text([*HEADS[self.by], *SCORES, *COUNTS, "missing"], self.table), overwrite=overwrite
        )

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
        """Return the table, the means and how they were measured, for JSON; NaN becomes None."""
        return {
            **{name: getattr(self, name) for name in ORIGIN},
            "spacing": list(self.spacing),
            "means": {name: or_null(mean) for name, mean in self.means.items()},
            "n_scored": self.n_scored,
            "definitions": self.definitions,
            "rows": [{name: or_null(value) for name, value in row.items()} for row in self.table],
        }


def evaluate_boundaries(
    predicted: Labels,
    truth: Labels,
    *,
    spacing: Sequence[float] | None = None,
    tolerance: float | None = None,
    width: float | None = None,
    ignore: int | None = None,
    by: By = "classes",
    match: Match = "auto",
    threshold: float = 0.5,
) -> BoundaryEvaluation:
    """Score the surfaces of labels against those of an annotation, class by class or object by object.

    Parameters
    ----------
    predicted : array of int or bool, of shape ([Z,] Y, X)
        The labels to be scored, 0 or more.
    truth : array of int or bool, of the same shape and library
        The annotation.
    spacing : sequence of float, optional
        World length of a voxel along each axis; 1 by default. All lengths below are in its unit.
    tolerance : float, optional
        The distance up to which `surface_dice` takes a surface voxel for right; by default the largest edge of a
        voxel. What two annotators differ by is a good choice [1]_.
    width : float, optional
        How far a boundary reaches into an object, for `boundary_iou`; by default 2 % of the diagonal of the image, as
        in [2]_, and at least the largest edge of a voxel.
    ignore : int, optional
        The label of `truth` that means *not annotated*. It may be negative.
    by : {"classes", "objects"}
        What a row is: ``"classes"``, all voxels of a class, the background left out; ``"objects"``, a predicted and a
        true object that were matched, as `evaluate_objects` matches them.
    match : {"auto", "binary", "value", "overlap"}
        How predicted labels are matched to classes, as in `evaluate`.
    threshold : float
        The IoU from which on two objects can be matched, above 0 and at most 1.

    Returns
    -------
    BoundaryEvaluation
        Scores per row, their means and their definitions.

    Raises
    ------
    TypeError
        As `evaluate`.
    ValueError
        As `evaluate`; or if arrays are neither 2-D nor 3-D, there is no such `by`, a length is no number or does not
        fit the image, or `threshold` is not a number above 0 and at most 1.

    Notes
    -----
    Surface voxels are the voxels of an object that have a face neighbour outside it; what lies beyond the edge of the
    image is outside, as in MedPy and MONAI. An axis of one voxel is no axis: nothing lies beyond it. Each surface voxel
    counts once; tools that weight it by its area, or that lay the surface through the corners of voxels as the
    authors of [1]_ do, differ by up to a voxel's diagonal. Distances run from centre to centre, to the nearest surface
    voxel of the other side. With d the distances of the n surface voxels of one side, and e those of the m of the
    other:

    - ``hausdorff``: the largest of all d and e
    - ``hd95``: the larger of the 95th percentile of d and that of e, linear between neighbours; some tools take the
      percentile of d and e together, which is smaller
    - ``assd``: (sum of d + sum of e) / (n + m)
    - ``surface_dice``: the number of d and e that are `tolerance` or less, over n + m [1]_
    - ``boundary_iou``: the IoU of the voxels of each side whose distance to the nearest voxel outside their object is
      `width` or less [2]_. That distance is Euclidean here; the authors' program counts voxels, diagonal steps as one.

    Voxels that are not annotated are left out on both sides, and what borders on them is no surface: there the object
    may go on. Neither does a boundary begin there.

    A row of which one side has no surface gets 0 for ``surface_dice`` and ``boundary_iou``, their worst value, as
    [3]_ recommends. Distances have no worst value, so they are NaN, and `means` and `n_scored` say how many rows are
    left. If neither side has a surface all is NaN. Objects that were not matched have no row; they are counted, and
    true ones among them are 0 in the means ``surface_dice_all`` and ``boundary_iou_all``.

    Squared distances are integers, as `distance` measures them: edges of voxels are rounded to 1/1024 of the smallest
    one, so lengths may be off by a share of 1/2048. What is within `tolerance` or `width` always counts as within;
    what is up to 0.1 % farther may, if an edge is no multiple of 1/1024 of the smallest. Every device and tiling gives
    the same counts and shares; the other scores are those of sums and roots that are rounded once.

    One pass over both arrays counts labels and finds boxes. Then each row is read and measured in its box alone, where
    the arrays live; only the counts of the distances move. dask arrays are computed chunk by chunk in the first pass.
    After it boxes that lie near each other are read together, where that takes no more chunks: up to 16 million voxels
    of labels of both sides, or 8 chunks where that is more. Memory: these, a few blocks, and for each voxel of the box
    of a class, or of as many boxes of objects as there are processors, 12 bytes; 16 where squared distances need int64,
    as on most anisotropic volumes; 4 more if some voxels are not annotated, and as many as a squared distance on a GPU.

    References
    ----------
    .. [1] S. Nikolov et al., "Clinically applicable segmentation of head and neck anatomy for radiotherapy: deep
       learning algorithm development and validation study", Journal of Medical Internet Research 23 (2021) e26151.
       DOI:10.2196/26151
    .. [2] B. Cheng et al., "Boundary IoU: improving object-centric image segmentation evaluation", in IEEE/CVF
       Conference on Computer Vision and Pattern Recognition (2021) 15329-15337. DOI:10.1109/CVPR46437.2021.01508
    .. [3] L. Maier-Hein et al., "Metrics reloaded: recommendations for image analysis validation", Nature Methods 21
       (2024) 195-212. DOI:10.1038/s41592-023-02151-z
    .. [4] G. Podobnik and T. Vrtovec, "Understanding implementation pitfalls of distance-based metrics for image
       segmentation", arXiv (2024) 2410.02630. DOI:10.48550/arXiv.2410.02630

    Examples
    --------
    A square of 4 x 4 voxels was found one voxel too far to the right.

    >>> import numpy as np
    >>> truth = np.zeros((8, 8), int)
    >>> truth[2:6, 1:5] = 1
    >>> found = evaluate_boundaries(np.roll(truth, 1, axis=1), truth, spacing=(0.5, 0.5))
    >>> found.hausdorff.tolist(), found.assd.round(3).tolist(), found.surface_dice.tolist()
    ([0.5], [0.25], [1.0])
    """
    _check(predicted, truth, ignore, by, threshold)
    steps = check_spacing((1.0,) * predicted.ndim if spacing is None else spacing, predicted.ndim)
    tolerance, width = _lengths(tolerance, width, steps, tuple(predicted.shape))
    pairs, *boxes = surveyed(predicted, truth, ignore)
    pairs = checked(pairs.without(ignore), ignore)
    rows = object_rows(pairs, threshold, ignore) if by == "objects" else class_rows(pairs, match, ignore)
    found = compared_rows(
        rows,
        Pair(predicted, truth, *boxes),
        ignore if pairs.n_ignored else None,
        Ruler.of(steps, tolerance, width),
        together=by == "objects",
    )
    return BoundaryEvaluation(
        by=by,
        predicted=frozen(rows.predicted),
        truth=frozen(rows.truth),
        iou=frozen(rows.iou),
        prevalence=frozen(rows.prevalence),
        **_columns(found),
        spacing=steps,
        tolerance=tolerance,
        width=width,
        threshold=float(threshold) if by == "objects" else None,
        n_left_over_predicted=rows.n_left_over_predicted,
        n_left_over_true=rows.n_left_over_true,
        match_reason=rows.reason,
        n_ignored=pairs.n_ignored,
        ignore=None if ignore is None else int(ignore),
    )


def _check(predicted: Labels, truth: Labels, ignore: int | None, by: str, threshold: float) -> None:
    """Raise unless the labels can be compared, in the way that is asked for."""
    check_pair(predicted, truth, ignore)
    check_source_labels("predicted", predicted)
    if by not in get_args(By):
        raise ValueError(f"by must be one of {', '.join(map(repr, get_args(By)))}, got {by!r}")
    if not isinstance(threshold, (int, float, np.number)) or not 0 < threshold <= 1:
        raise ValueError(f"threshold must be an IoU above 0 and at most 1, got {threshold!r}; pass for example 0.5")


def _lengths(
    tolerance: float | None, width: float | None, spacing: tuple[float, ...], shape: tuple[int, ...]
) -> tuple[float, float]:
    """Return the tolerance and the width, those that are given or the defaults of an image.

    Raises
    ------
    ValueError
        If the tolerance is negative or infinite, or the width is infinite or below the smallest edge of a voxel.
    """
    long = [n > 1 for n in shape] if max(shape) > 1 else [True for _ in shape]
    edges = [step for step, wanted in zip(spacing, long, strict=True) if wanted]
    diagonal = math.hypot(*(step * n for step, n, wanted in zip(spacing, shape, long, strict=True) if wanted))
    tolerance = max(edges) if tolerance is None else _number("tolerance", tolerance)
    width = max(WIDTH * diagonal, *edges) if width is None else _number("width", width)
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise ValueError(f"tolerance must be a length of 0 or more in the unit of spacing, got {tolerance!r}")
    if not (math.isfinite(width) and width >= min(edges)):
        raise ValueError(
            f"width must be a length in the unit of spacing, at least the smallest edge of a voxel, {min(edges):g}, "
            f"or no voxel lies that near to the outside; got {width!r}"
        )
    return tolerance, width


def _number(name: str, length: Any) -> float:
    try:
        return float(length)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be a number, a length in the unit of spacing, got {length!r}; leave it out for the default"
        ) from error


def _columns(found: Sequence[Comparison]) -> dict[str, Any]:
    """Return what is known of each row as columns."""
    scores = {name: frozen(np.asarray([getattr(row, name) for row in found], np.float64)) for name in SCORES}
    return scores | {name: frozen(np.asarray([getattr(row, name) for row in found], np.int64)) for name in COUNTS}


def _times(spacing: Sequence[float]) -> str:
    return " x ".join(f"{step:g}" for step in spacing)
