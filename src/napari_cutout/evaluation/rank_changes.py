"""IoU against Dice: which methods the two means rank differently, and the objects or slices that make it so."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._contingency import Counts
from .objects import ObjectEvaluation
from .overlap import Evaluation, frozen
from .slices import SliceEvaluation

__all__ = ["RankChange", "RankChanges", "Responsible", "iou_per_item", "rank_changes"]

Scores = NDArray[np.float64]

SAME = 1e-12
"""Means that differ by no more than this are equal: it is rounding."""


@dataclass(frozen=True, slots=True)
class Responsible:
    """What one item adds to a pair of contestants that the two means rank differently.

    Parameters
    ----------
    item : hashable
        The object, slice, class or image.
    iou : tuple of two floats
        Its IoU by the contestant that mean IoU prefers, and by the other.
    dice : tuple of two floats
        Its Dice by the same two.
    """

    item: Hashable
    iou: tuple[float, float]
    dice: tuple[float, float]

    @property
    def pull(self) -> float:
        """How much farther apart the item pulls the two verdicts: its difference in IoU minus that in Dice."""
        return (self.iou[0] - self.iou[1]) - (self.dice[0] - self.dice[1])


@dataclass(frozen=True, slots=True)
class RankChange:
    """Two contestants that mean IoU and mean Dice rank differently.

    Parameters
    ----------
    by_iou, by_dice : str
        The contestant that is better by mean IoU, and the one that is better by mean Dice. By one of the two means
        they may be equal.
    iou_difference : float
        Mean IoU of `by_iou` minus that of `by_dice`, 0 or more.
    dice_difference : float
        Mean Dice of `by_iou` minus that of `by_dice`, 0 or less.
    items : tuple of Responsible
        The items that pull the two verdicts apart, those that do most first.
    """

    by_iou: str
    by_dice: str
    iou_difference: float
    dice_difference: float
    items: tuple[Responsible, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RankChanges:
    """How mean IoU and mean Dice rank contestants, and where they disagree.

    Parameters
    ----------
    names : tuple of str
        The contestants, in the order in which they were given.
    items : tuple of hashable
        What each was scored on, such as the labels of objects, rising.
    iou : float64 array of shape (n_contestants, n_items)
        The IoU of each item by each contestant; 0 where it has none.
    changes : tuple of RankChange
        The pairs of contestants that the two means rank differently, those farthest apart first.
    """

    names: tuple[str, ...]
    items: tuple[Hashable, ...]
    iou: Scores
    changes: tuple[RankChange, ...]

    @property
    def dice(self) -> Scores:
        """Dice of each item by each contestant, 2 IoU / (1 + IoU), (n_contestants, n_items)."""
        return dice_of(self.iou)

    @property
    def mean_iou(self) -> Scores:
        """Mean IoU of each contestant over all items, (n_contestants,)."""
        return _means(self.iou)

    @property
    def mean_dice(self) -> Scores:
        """Mean Dice of each contestant over all items, (n_contestants,)."""
        return _means(self.dice)

    @property
    def iou_ranks(self) -> Counts:
        """Rank of each contestant by mean IoU, from 1; equal ones share the better rank, (n_contestants,)."""
        return _ranks(self.mean_iou)

    @property
    def dice_ranks(self) -> Counts:
        """Rank of each contestant by mean Dice, from 1; equal ones share the better rank, (n_contestants,)."""
        return _ranks(self.mean_dice)

    @property
    def table(self) -> list[dict[str, Any]]:
        """One row per contestant: its name, means and ranks."""
        columns = [self.mean_iou, self.mean_dice, self.iou_ranks, self.dice_ranks]
        names = ("contestant", "mean_iou", "mean_dice", "iou_rank", "dice_rank")
        rows = zip(self.names, *(column.tolist() for column in columns), strict=True)
        return [dict(zip(names, row, strict=True)) for row in rows]

    @staticmethod
    def curve(n: int = 101) -> tuple[Scores, Scores]:
        """Return the curve that every item lies on, for a plot.

        Parameters
        ----------
        n : int
            Number of points, 2 or more.

        Returns
        -------
        iou : float64 array of shape (n,)
            From 0 to 1, evenly.
        dice : float64 array of shape (n,)
            2 IoU / (1 + IoU) of each.

        Raises
        ------
        ValueError
            If there are fewer than 2 points.
        """
        if n < 2:
            raise ValueError(f"a curve has 2 points or more, got n={n}")
        iou = np.linspace(0, 1, n)
        return iou, dice_of(iou)

    def summary(self) -> str:
        """Return means and ranks as a text table, and the pairs that are ranked differently with their items."""
        width = max(len("contestant"), *map(len, self.names))
        lines = [f"{'contestant':<{width}}{'mean IoU':>11}{'rank':>6}{'mean Dice':>11}{'rank':>6}"]
        lines += [
            f"{row['contestant']:<{width}}{row['mean_iou']:>11.4f}{row['iou_rank']:>6}"
            f"{row['mean_dice']:>11.4f}{row['dice_rank']:>6}"
            for row in sorted(self.table, key=lambda row: int(row["iou_rank"]))
        ]
        found = f"{len(self.changes)} of {math.comb(len(self.names), 2)} pairs of contestants"
        verdict = f"mean IoU and mean Dice, over {len(self.items)} items, rank {found} differently"
        return "\n".join([*lines, verdict, *(line for change in self.changes for line in self._lines(change))])

    __str__ = summary

    def _lines(self, change: RankChange) -> Iterable[str]:
        first, second = (self.names.index(name) for name in (change.by_iou, change.by_dice))
        means = (
            f"{what} {values[first]:.4f} against {values[second]:.4f}"
            for what, values in (("IoU", self.mean_iou), ("Dice", self.mean_dice))
        )
        yield f"{change.by_iou} against {change.by_dice}: mean {', mean '.join(means)}; the items that make it so:"
        for one in change.items:
            iou, dice = (f"{a:.4f} against {b:.4f}" for a, b in (one.iou, one.dice))
            yield f"    {one.item}: IoU {iou}, Dice {dice}"


def rank_changes(contestants: Mapping[str, Mapping[Any, float]], *, n_items: int = 10) -> RankChanges:
    """Find which contestants mean IoU and mean Dice rank differently, and which items make it so.

    Parameters
    ----------
    contestants : mapping of str to mapping of hashable to float
        For each method or setting the IoU, 0 to 1, of each item: objects, slices, classes or images. `iou_per_item`
        makes it from an evaluation. An item that one contestant has and another has not counts there as 0, as an
        object that was not found does.
    n_items : int
        Most items that are listed for a pair, 1 or more.

    Returns
    -------
    RankChanges
        The means and ranks of all, and the pairs that are ranked differently.

    Raises
    ------
    TypeError
        If an IoU is not a number.
    ValueError
        If there are no contestants, no items, an IoU is NaN or outside 0 to 1, or `n_items` is below 1.

    Notes
    -----
    Dice is 2 IoU / (1 + IoU) of an item, so both rank any two results for one item alike [1]_. Means of many can
    differ. The curve rises by 2 for each IoU near 0 and by 1/2 near 1, so Dice rewards what is gained on bad items,
    and IoU, beside it, what is gained on good ones: of two methods with equal mean IoU the more even one has the
    higher mean Dice. `RankChange.items` are those whose difference in IoU exceeds their difference in Dice most.

    Means are rounded once (`math.fsum`), so the order of items does not show; means that differ by 1e-12 or less
    are equal. Memory: about 100 bytes for each item and contestant.

    References
    ----------
    .. [1] T. Eelbode et al., "Optimization for medical image segmentation: theory and practice when evaluating with
       Dice score or Jaccard index", IEEE Trans. Med. Imaging 39 (2020) 3679-3690. DOI:10.1109/TMI.2020.3002417

    Examples
    --------
    One method finds one object well and the other hardly, the other both by half.

    >>> found = rank_changes({"sharp": {1: 1.0, 2: 0.2}, "even": {1: 0.5, 2: 0.6}})
    >>> found.mean_iou.round(3).tolist(), found.mean_dice.round(3).tolist()
    ([0.6, 0.55], [0.667, 0.708])
    >>> [(change.by_iou, change.by_dice) for change in found.changes]
    [('sharp', 'even')]
    """
    if not contestants:
        raise ValueError("there are no contestants to rank; give one mapping of IoU for each method or setting")
    if n_items < 1:
        raise ValueError(f"n_items must be 1 or more, got {n_items}")
    items = _in_order({item: None for scores in contestants.values() for item in scores})
    if not items:
        raise ValueError("no contestant has an item; give the IoU of each object, slice, class or image")
    names = tuple(contestants)
    rows = [[_checked(name, item, contestants[name].get(item, 0.0)) for item in items] for name in names]
    iou = np.asarray(rows, np.float64)
    return RankChanges(names, items, frozen(iou), _changes(names, items, iou, n_items))


def iou_per_item(evaluation: Evaluation | SliceEvaluation | ObjectEvaluation) -> dict[Any, float]:
    """Return the IoU of each item that truth holds, as `rank_changes` takes it.

    Parameters
    ----------
    evaluation : Evaluation, SliceEvaluation or ObjectEvaluation
        What `evaluate`, `evaluate_slices` or `evaluate_objects` returned.

    Returns
    -------
    dict
        Of classes, by label, background left out if there are others; of slices, by (slice, class); of objects, by
        true label. Contestants that are scored on the same truth so have the same items. What they find where truth
        holds nothing is no item, and lowers only the IoU of what it touches.

    Raises
    ------
    TypeError
        If it is none of these.

    Notes
    -----
    The IoU of a true object is that with the predicted object that fits it best, 0 if none touches it; one predicted
    object may fit several. The best by IoU is the best by Dice. It is exact, as the counts that it is made of.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_cutout import evaluate_objects
    >>> iou_per_item(evaluate_objects(np.array([1, 1, 2, 2, 0]), np.array([5, 5, 5, 0, 6])))
    {5: 0.6666666666666666, 6: 0.0}
    """
    if isinstance(evaluation, ObjectEvaluation):
        return _of_objects(evaluation)
    if not isinstance(evaluation, Evaluation | SliceEvaluation):
        raise TypeError(
            "evaluation must be what evaluate, evaluate_slices or evaluate_objects returned, "
            f"got {type(evaluation).__name__}"
        )
    classes = evaluation.classes
    wanted = (classes != 0) if classes.any() else np.ones(len(classes), bool)
    there = (evaluation.tp + evaluation.fn > 0) & wanted
    places = zip(*(at.tolist() for at in np.nonzero(there)), strict=True)
    keys = [(*place[:-1], int(classes[place[-1]])) for place in places]
    values = evaluation.iou[there].tolist()
    return dict(zip(keys if isinstance(evaluation, SliceEvaluation) else [k for (k,) in keys], values, strict=True))


def _of_objects(evaluation: ObjectEvaluation) -> dict[Any, float]:
    found = evaluation.overlaps
    best = np.zeros(len(found.truth))
    np.maximum.at(best, found.columns, found.iou)
    counted = found.is_counted
    return dict(zip(found.truth[counted].tolist(), best[counted].tolist(), strict=True))


def dice_of(iou: Scores) -> Scores:
    """Return the Dice of one item each, from its IoU."""
    dice: Scores = 2 * iou / (1 + iou)
    return dice


def _in_order(items: Iterable[Hashable]) -> tuple[Hashable, ...]:
    """Sort items, so that the order in which they were given does not show; of mixed kinds by how they are written."""
    given: list[Any] = list(items)
    try:
        return tuple(sorted(given))
    except TypeError:
        return tuple(sorted(given, key=repr))


def _checked(name: str, item: Hashable, iou: float) -> float:
    if not isinstance(iou, Real):
        raise TypeError(f"the IoU of item {item!r} of {name!r} must be a number, got {iou!r}")
    if not 0 <= iou <= 1:
        raise ValueError(
            f"the IoU of item {item!r} of {name!r} must be from 0 to 1, got {float(iou)!r}; "
            "leave out an item that is on neither side"
        )
    return float(iou)


def _means(scores: Scores) -> Scores:
    return np.asarray([math.fsum(row) / len(row) for row in scores.tolist()])


def _ranks(means: Scores) -> Counts:
    ranks: Counts = 1 + (means[None, :] - means[:, None] > SAME).sum(axis=1)
    return ranks


def _changes(names: Sequence[str], items: Sequence[Hashable], iou: Scores, n_items: int) -> tuple[RankChange, ...]:
    """Compare all pairs; the names decide between equals, so that the order of contestants does not show."""
    dice = dice_of(iou)
    mean_iou, mean_dice = _means(iou).tolist(), _means(dice).tolist()
    found = []
    for a, b in combinations(range(len(names)), 2):
        iou_says, dice_says = (_sign(means[a] - means[b]) for means in (mean_iou, mean_dice))
        if iou_says == dice_says:
            continue
        first, second = (a, b) if iou_says > dice_says else (b, a)
        more = max(mean_iou[first] - mean_iou[second], 0.0)  # equal means may differ by how they were rounded
        less = min(mean_dice[first] - mean_dice[second], 0.0)
        responsible = _responsible(items, iou[[first, second]], dice[[first, second]], n_items)
        found.append(RankChange(names[first], names[second], more, less, responsible))
    order = sorted(found, key=lambda c: (c.dice_difference - c.iou_difference, c.by_iou, c.by_dice))
    return tuple(order)


def _sign(difference: float) -> int:
    """Return 1, 0 or -1 for more, equal or less."""
    return (difference > SAME) - (difference < -SAME)


def _responsible(items: Sequence[Hashable], iou: Scores, dice: Scores, n_items: int) -> tuple[Responsible, ...]:
    """Return the items that pull two verdicts apart, from the scores of the two contestants, (2, n_items)."""
    pull = (iou[0] - iou[1]) - (dice[0] - dice[1])
    order = [i for i in np.argsort(-pull, kind="stable").tolist() if pull[i] > SAME]
    return tuple(
        Responsible(items[i], (float(iou[0, i]), float(iou[1, i])), (float(dice[0, i]), float(dice[1, i])))
        for i in order[:n_items]
    )
