"""The scores of one image of many, and the rule by which the labels of all of them are matched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from .._array import Array, array_namespace
from ._contingency import check_pair, check_zone, checked, contingency, contingency_by_zone, int64
from ._matching import Match, matched, number_objects
from ._object_scores import ObjectEvaluation
from ._partition_scores import PartitionEvaluation
from ._tables import Contingency
from .boundaries import BoundaryEvaluation, evaluate_boundaries
from .objects import objects_of
from .overlap import Evaluation, scored
from .partitions import partition_of

__all__ = ["ERRORS", "Boundaries", "Counted", "ImageScores", "Loaded", "Pair", "Rule", "counted", "rule_for"]

ERRORS = (ValueError, TypeError, OSError, MemoryError)
"""What one bad pair raises; the others are scored all the same."""


UNKNOWN = -1
"""Stands for voxels that are not annotated, where 0 is background in some places and not annotated in others."""


class Loaded(NamedTuple):
    """The arrays of one image.

    Parameters
    ----------
    predicted, truth : arrays of int or bool
        As `evaluate` takes them.
    complete : array of bool, optional
        Where every object is annotated.
    spacing : tuple of float, optional
        World length of a voxel along each axis.
    """

    predicted: Array
    truth: Array
    complete: Array | None = None
    spacing: tuple[float, ...] | None = None


class Pair(NamedTuple):
    """What is to be compared, and not read yet.

    Parameters
    ----------
    name : str
        Of the image.
    load : callable
        Reads the arrays. It may be called twice.
    error : str
        Why there is nothing to load; empty if there is.
    folder : str
        The folder that it lies in; empty where it is not of a file.
    """

    name: str
    load: Callable[[], Loaded]
    error: str = ""
    folder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundaries:
    """How surfaces are scored; see `evaluate_boundaries`.

    Parameters
    ----------
    tolerance, width : float, optional
        Lengths; by default those of each image.
    """

    tolerance: float | None = None
    width: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ImageScores:
    """The scores of one image.

    Parameters
    ----------
    name : str
        What it is called.
    evaluation : Evaluation or None
        Its classes; None where it could not be scored.
    objects : ObjectEvaluation or None
        Its objects, where labels number them.
    partition : PartitionEvaluation or None
        Its regions, where labels number objects.
    boundaries : BoundaryEvaluation or None
        Its surfaces, where that was asked for.
    error : str
        Why it could not be scored; empty where it was.
    folder : str
        The folder that it lies in, which often is its condition; empty where it is not of a file.
    """

    name: str
    evaluation: Evaluation | None = None
    objects: ObjectEvaluation | None = None
    partition: PartitionEvaluation | None = None
    boundaries: BoundaryEvaluation | None = None
    error: str = ""
    folder: str = ""


class Counted(NamedTuple):
    """What is kept of the arrays of an image: tables of label pairs.

    Parameters
    ----------
    pairs : Contingency
        Those of annotated voxels.
    complete : Contingency, optional
        Those of all voxels of the region in which every object is annotated.
    ignore : int or None
        The label of truth that is left out of classes and regions; None where 0 is background in that region alone.
    """

    pairs: Contingency
    complete: Contingency | None
    ignore: int | None


def counted(loaded: Loaded, ignore: int | None) -> Counted:
    """Count the label pairs of an image, in one pass over its arrays.

    Raises
    ------
    TypeError, ValueError
        As `evaluate_objects`.
    """
    predicted, truth, complete, _ = loaded
    if complete is None:
        return Counted(contingency(predicted, truth, ignore), None, ignore)
    check_pair(predicted, truth, ignore)
    check_zone("complete", complete, predicted)
    inside, outside = contingency_by_zone(predicted, truth, complete)
    known = outside.without(ignore) + (inside if ignore == 0 else inside.without(ignore))
    return Counted(checked(known, ignore), inside, ignore or None)


class Rule(NamedTuple):
    """How the labels of all images are read.

    Parameters
    ----------
    match : {"auto", "binary", "value", "overlap"}
        How they are matched to classes; ``"auto"`` if no one rule fits all.
    numbered : bool
        Whether they number objects.
    asked : {"auto", "binary", "value", "overlap"}
        What was asked for.
    """

    match: Match
    numbered: bool
    asked: Match = "auto"

    @property
    def by(self) -> Literal["objects", "classes"]:
        """What the rows of boundary scores are."""
        return "objects" if self.numbered else "classes"


def rule_for(tables: Sequence[Counted], match: Match, numbered: bool | None) -> Rule:
    """Choose one rule for all images, because scores that are made by different rules cannot be added.

    Parameters
    ----------
    tables : sequence of Counted
        What is known of each image.
    match : {"auto", "binary", "value", "overlap"}
        What was asked for.
    numbered : bool, optional
        Whether labels number objects; by default they do if those of one image do, or a region of one is annotated
        completely.

    Returns
    -------
    Rule
        With ``"auto"``: binary if labels number objects; else the rule that all images take. Where some take binary
        and others value, as where nothing was found in one of them, value if one of the others holds several object
        labels, and else binary. Otherwise each image takes its own.
    """
    guessed = any(one.complete is not None or number_objects(one.pairs, one.ignore) for one in tables)
    numbers = guessed if numbered is None else numbered
    if match != "auto":
        return Rule(match, numbers, match)
    if numbers:
        return Rule("binary", numbers)
    used = [matched(one.pairs, match, one.ignore).match for one in tables]
    if set(used) == {"binary", "value"}:
        by_value = [one.pairs for one, rule in zip(tables, used, strict=True) if rule == "value"]
        return Rule("value" if any(map(_holds_classes, by_value)) else "binary", numbers)
    return Rule(used[0] if len(set(used)) == 1 else "auto", numbers)  # type: ignore[arg-type]  # what was used is one


def _holds_classes(table: Contingency) -> bool:
    return len(np.setdiff1d(np.union1d(table.predicted, table.truth), [0])) > 1


def scores_of(name: str, tables: Counted, rule: Rule, ignore: int | None) -> ImageScores:
    """Score the tables of one image."""
    pairs, complete, left_out = tables
    matching = matched(pairs, rule.asked, left_out)
    if rule.match not in ("auto", matching.match):
        why = "labels number objects" if rule.numbered else "one rule matches the labels of all images"
        matching = replace(matched(pairs, rule.match, left_out), reason=why)
    return ImageScores(
        name,
        scored(pairs, matching, None, left_out),
        objects_of(pairs, ignore, complete=complete) if rule.numbered else None,
        partition_of(pairs, left_out) if rule.numbered else None,
    )


def surfaces_of(
    loaded: Loaded, tables: Counted, rule: Rule, ignore: int | None, wanted: Boundaries
) -> BoundaryEvaluation:
    """Score the surfaces of one image; where a region is annotated completely, 0 is background in it."""
    truth = loaded.truth
    if loaded.complete is not None and ignore == 0:
        xp = array_namespace(truth)
        truth = xp.where((truth == 0) & ~loaded.complete, xp.asarray(UNKNOWN, dtype=xp.int64), int64(truth))
        ignore = UNKNOWN
    own = matched(tables.pairs, rule.asked, tables.ignore).match
    return evaluate_boundaries(
        loaded.predicted,
        truth,
        spacing=loaded.spacing,
        tolerance=wanted.tolerance,
        width=wanted.width,
        ignore=ignore,
        by=rule.by,
        match=rule.asked if own == rule.match else rule.match,  # so that the reason is told
    )


def sentence(error: BaseException) -> str:
    """Return what went wrong in one line."""
    if isinstance(error, MemoryError) and not str(error):
        return "memory ran out; crop the image, or use a machine with more memory"
    return " ".join(str(error).split()) or type(error).__name__
