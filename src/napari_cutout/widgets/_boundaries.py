"""What Evaluate asks and shows of boundaries, as plain data and functions.  No Qt here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from .._monitor import watch
from ..evaluation._matching import Match
from ..evaluation.boundaries import BoundaryEvaluation, evaluate_boundaries
from ..evaluation.overlap import Evaluation
from . import _layers
from ._columns import Column
from ._objects import Side
from ._question import in_one_library

__all__ = [
    "BoundaryQuestion",
    "By",
    "class_of",
    "columns_of",
    "default_tolerance",
    "definitions",
    "rows",
    "sentence",
    "tool_problem",
]

Layer = Any
"""A napari layer."""

By = Literal["classes", "objects"]
"""What a row of the table is."""

_DISTANCES = {"hausdorff": "Hausdorff", "hd95": "HD95", "assd": "ASSD"}
_SHARES = {"surface_dice": "surface Dice", "boundary_iou": "boundary IoU"}
"""What the table calls the scores."""

_HEADS = {
    "classes": (
        Column("class", tooltip="the class, by its label"),
        Column("name", tooltip="what you call the class; the page Overlap is where names are edited"),
    ),
    "objects": (
        Column("true", tooltip="the label of the true object"),
        Column("predicted", tooltip="the label of the predicted object"),
        Column("iou", "IoU", "intersection over union of the two", format=".3f"),
    ),
}


@dataclass(frozen=True, slots=True)
class BoundaryQuestion:
    """What a press on *Measure boundaries* asks: layers were read when it was pressed.

    Parameters
    ----------
    predicted, truth : integer array
        What is scored, and against what.
    spacing : tuple of float
        World length of a voxel along each axis.
    tolerance : float
        The distance up to which a surface voxel is right, in the same unit.
    by : {"classes", "objects"}
        What a row is.
    ignore : int or None
        The label of truth that means *not annotated*.
    match : {"auto", "binary", "value", "overlap"}
        How predicted labels are matched to classes.
    threshold : float
        The IoU from which on two objects are matched.
    """

    predicted: Any
    truth: Any
    spacing: tuple[float, ...]
    tolerance: float
    by: By
    ignore: int | None
    match: Match
    threshold: float

    def answer(self, on_progress: Callable[[str, float], None], is_cancelled: Callable[[], bool]) -> BoundaryEvaluation:
        """Measure; call it in a thread of its own.

        Parameters
        ----------
        on_progress : callable
            Called with a stage and the fraction of it that is done.
        is_cancelled : callable
            Polled between blocks.

        Returns
        -------
        BoundaryEvaluation
            The scores.

        Raises
        ------
        Cancelled
            If `is_cancelled` returned True.
        """
        on_progress("reading", 0.0)
        predicted, truth = in_one_library(self.predicted, self.truth)
        with watch(on_progress, is_cancelled):
            return evaluate_boundaries(
                predicted,
                truth,
                spacing=self.spacing,
                tolerance=self.tolerance,
                ignore=self.ignore,
                by=self.by,
                match=self.match,
                threshold=self.threshold,
            )


def tool_problem(layer: Layer) -> str:
    """Say why boundaries of a layer cannot be measured, or return an empty string."""
    if layer.ndim in (2, 3):
        return ""
    return f"Boundaries are measured in 2-D and 3-D; these labels have {layer.ndim} axes. Score one frame of them."


def default_tolerance(layer: Layer) -> float:
    """Return the largest edge of a voxel of a layer, in world units."""
    return max(_layers.spacing(layer))


def class_of(evaluation: Evaluation, side: Side, label: int) -> int:
    """Return the class that a label of one side counts as."""
    if side == "predicted":
        return evaluation.mapping.get(label, label)
    return int(label != 0) if evaluation.match == "binary" else label


def columns_of(by: By, unit: str) -> tuple[Column, ...]:
    """Return the columns of the table, with the unit of lengths above them."""
    in_unit = f" ({unit})" if unit else ""
    return (
        *_HEADS[by],
        *(Column(name, title + in_unit, _tooltip(name)) for name, title in _DISTANCES.items()),
        *(Column(name, title, _tooltip(name), format=".3f") for name, title in _SHARES.items()),
        Column("missing", "no surface in", "the side that has no surface, so that distances are not defined"),
    )


_TOOLTIPS = {
    "hausdorff": "the largest distance from one surface to the other",
    "hd95": "the larger of the two 95th percentiles of the distances, one for each direction",
    "assd": "average symmetric surface distance: the mean of all distances in both directions",
    "surface_dice": "share of the surface voxels of both sides within the tolerance",
    "boundary_iou": "IoU of the voxels of each side near their contour",
}


def _tooltip(name: str) -> str:
    return _TOOLTIPS[name]


def rows(found: BoundaryEvaluation, name_of: Callable[[int], str]) -> dict[str, list[Any]]:
    """Return the columns of the table.

    Parameters
    ----------
    found : BoundaryEvaluation
        The scores.
    name_of : callable
        From a class to its name, empty if it has none.

    Returns
    -------
    dict
        The values of each of `columns_of`.
    """
    labels = {"class": found.truth, "true": found.truth, "predicted": found.predicted, "iou": found.iou}
    scores = {name: getattr(found, name).tolist() for name in (*_DISTANCES, *_SHARES)}
    names = [name_of(label) for label in found.truth.tolist()]
    heads = {name: values.tolist() for name, values in labels.items()}
    return heads | scores | {"name": names, "missing": list(found.missing)}


def sentence(found: BoundaryEvaluation, unit: str) -> str:
    """Say the means of all rows, of how many they are, and what was measured with.

    Parameters
    ----------
    found : BoundaryEvaluation
        The scores.
    unit : str
        The unit of lengths; may be empty.

    Returns
    -------
    str
        A few short lines.
    """
    means, n = found.means, found.n_scored
    by = "matched objects" if found.by == "objects" else "classes"
    left = (
        f"; {found.n_left_over_predicted:,} predicted and {found.n_left_over_true:,} true objects without a partner"
        if found.by == "objects"
        else ""
    )
    lengths = "   ".join(f"{title} {_length(means[name], unit)}" for name, title in _DISTANCES.items())
    shares = "   ".join(f"{title} {_share(means[name])}" for name, title in _SHARES.items())
    if found.by == "objects":
        of_all = "   ".join(f"{title} {_share(means[f'{name}_all'])}" for name, title in _SHARES.items())
        shares += f"\nof all {n['surface_dice_all']:,} true objects, 0 for those without a partner: {of_all}"
    return (
        f"{lengths}\n{shares}\n"
        f"means of {n['hausdorff']:,} {by} with distances, {n['surface_dice']:,} with shares{left}\n"
        f"within {_length(found.tolerance, unit)}; boundaries {_length(found.width, unit)} wide"
    )


def definitions(found: BoundaryEvaluation) -> str:
    """Return what each score means, a line for each."""
    return "\n".join(f"{name}: {text}" for name, text in found.definitions.items())


def _length(value: float, unit: str) -> str:
    return "-" if math.isnan(value) else f"{value:.4g} {unit}".rstrip()


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
