"""IoU against Dice of evaluations: the items on the curve, and which results the two means rank differently.  No Qt."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..evaluation._tables import added_up
from ..evaluation.objects import ObjectEvaluation
from ..evaluation.overlap import Evaluation
from ..evaluation.rank_changes import RankChange, dice_of, iou_per_item, rank_changes
from ..evaluation.slices import SliceEvaluation, SliceTable
from ._columns import Column

__all__ = [
    "COLUMNS",
    "Agreement",
    "Items",
    "Verdict",
    "agreement_of",
    "item_text",
    "items_of",
    "kind_text",
    "mark_of",
    "rows",
    "sentence",
    "verdict_of",
]

MAX_RIVALS = 20
"""Evaluations, the newest, that one is compared with."""

N_ITEMS = 5
"""Items that are listed for each pair of evaluations."""

N_PAIRS = 3
"""Pairs of evaluations that are told in words; the table has all."""

SAME_PLACE = 0.005
"""Items whose IoU differ by less lie on each other in the plot."""

COLUMNS = (
    Column("pair", "better by IoU / by Dice", "the two evaluations, by their numbers in the history"),
    Column("item", tooltip="what pulls the two verdicts apart; click it to see it"),
    Column("iou", "IoU", "its IoU in the evaluation that mean IoU prefers", format=".3f"),
    Column("other_iou", "IoU, other", "its IoU in the evaluation that mean Dice prefers", format=".3f"),
    Column("dice", "Dice", "its Dice in the evaluation that mean IoU prefers", format=".3f"),
    Column("other_dice", "Dice, other", "its Dice in the evaluation that mean Dice prefers", format=".3f"),
    Column("pull", tooltip="difference in IoU minus difference in Dice", format="+.3f"),
)
"""The table of items that are responsible, in the order of its columns."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What mean IoU and mean Dice say of several evaluations with one truth.

    Parameters
    ----------
    names : tuple of str
        The evaluations.
    changes : tuple of RankChange
        The pairs that they rank differently.
    """

    names: tuple[str, ...]
    changes: tuple[RankChange, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """The IoU of the items of one evaluation, and how it compares with those before it.

    Parameters
    ----------
    name : str
        What it is called.
    mark : bytes
        The same for evaluations against the same truth.
    items : mapping of str to mapping
        By kind of item, ``"objects"``, ``"classes"`` or ``"slices 0"`` along that axis, the IoU of each.
    verdicts : mapping of str to Verdict
        By kind of item, where there are other evaluations.
    """

    name: str
    mark: bytes
    items: Mapping[str, Mapping[Any, float]]
    verdicts: Mapping[str, Verdict]


def mark_of(tables: Sequence[SliceTable], shape: Sequence[int], ignore: int | None) -> bytes:
    """Return a mark of truth, which is as good as sure to differ where another truth was scored.

    It is made of the voxels of each label in each slice along each axis, so no array is read again.
    """
    digest = hashlib.blake2b(repr((tuple(shape), ignore)).encode())
    for table in tables:
        (slices, labels), counts = added_up((table.slices, table.truth), table.counts)
        for part in (slices, labels, counts):
            digest.update(np.ascontiguousarray(part).data)
    return digest.digest()


def agreement_of(
    name: str,
    mark: bytes,
    evaluation: Evaluation,
    slices: Sequence[SliceEvaluation],
    objects: ObjectEvaluation | None,
    others: Iterable[Agreement] = (),
) -> Agreement:
    """Take the IoU of all items, and compare it with that of others with the same truth.

    Parameters
    ----------
    name : str
        What to call the evaluation; no other is called so.
    mark : bytes
        As `mark_of` returns it.
    evaluation : Evaluation
        The scores of classes.
    slices : sequence of SliceEvaluation
        The scores of slices, one for each axis.
    objects : ObjectEvaluation or None
        The scores of objects.
    others : iterable of Agreement
        Earlier evaluations, the newest last.

    Returns
    -------
    Agreement
        With verdicts on at most `MAX_RIVALS` others.
    """
    sources = {"objects": objects, "classes": evaluation} | {f"slices {one.axis}": one for one in slices}
    items = {kind: iou_per_item(found) for kind, found in sources.items() if found is not None}
    items = {kind: scores for kind, scores in items.items() if scores}
    rivals = [other for other in others if other.mark == mark][-MAX_RIVALS:]
    verdicts = {}
    for kind, scores in items.items():
        same = [other for other in rivals if other.items.get(kind, {}).keys() == scores.keys()]
        if same:
            found = rank_changes({**{one.name: one.items[kind] for one in same}, name: scores}, n_items=N_ITEMS)
            verdicts[kind] = Verdict(found.names, found.changes)
    return Agreement(name, mark, items, verdicts)


def verdict_of(all_of_them: Sequence[Agreement], shown: Agreement, kind: str) -> Verdict | None:
    """Return the newest verdict on evaluations with the truth and the items of one; None if it is the only one."""
    keys = shown.items[kind].keys()
    for other in reversed(all_of_them):
        if other.mark == shown.mark and kind in other.verdicts and other.items[kind].keys() == keys:
            return other.verdicts[kind]
    return None


# What is drawn and said --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Items:
    """Items on the curve D = 2 J / (1 + J).

    Parameters
    ----------
    keys : tuple
        What they are, the one with the lowest IoU first.
    iou : float64 array of shape (n,)
        Their IoU, rising.
    """

    keys: tuple[Any, ...]
    iou: NDArray[np.float64]

    @property
    def dice(self) -> NDArray[np.float64]:
        """Their Dice, (n,)."""
        return dice_of(self.iou)

    @property
    def means(self) -> tuple[float, float]:
        """The mean IoU and the mean Dice, a point below the curve unless all items are alike."""
        n = len(self.keys)
        return math.fsum(self.iou) / n, math.fsum(self.dice) / n

    @property
    def drawn(self) -> NDArray[np.float64]:
        """The IoU of the points that can be told from each other, so that 100,000 objects draw as fast as 1,000."""
        return np.unique(np.round(self.iou, 3))

    def near(self, iou: float, dice: float, before: int | None) -> int:
        """Return the item next to a point; of several that lie on each other the one after `before`, in turn."""
        nearest = int(np.argmin((self.iou - iou) ** 2 + (self.dice - dice) ** 2))
        there = np.flatnonzero(np.abs(self.iou - self.iou[nearest]) < SAME_PLACE)
        later = there[there > before] if before is not None and before in there else there[:0]
        if len(later):
            return int(later[0])
        return int(there[0]) if before in there else nearest


def items_of(agreement: Agreement, kind: str) -> Items:
    """Return the items of one kind, by rising IoU."""
    scores = agreement.items[kind]
    iou = np.fromiter(scores.values(), np.float64, len(scores))
    order, keys = np.argsort(iou, kind="stable"), list(scores)
    return Items(tuple(keys[at] for at in order.tolist()), iou[order])


def kind_text(kind: str, axes: Sequence[str]) -> str:
    """Return what to call a kind of item: slices by the name of the axis that they lie along."""
    word, _, axis = kind.partition(" ")
    return f"{word} along {axes[int(axis)]}" if axis else word


def item_text(kind: str, key: Any) -> str:
    """Return what to call an item, such as ``"object 12"`` or ``"slice 3, class 1"``."""
    if kind.startswith("slices"):
        return f"slice {key[0]}, class {key[1]}"
    return f"object {key}" if kind == "objects" else f"class {key}"


def sentence(verdict: Verdict | None, kind: str) -> str:
    """Say which evaluations mean IoU and mean Dice rank differently.

    Parameters
    ----------
    verdict : Verdict or None
        None if there is one evaluation only.
    kind : str
        The kind of item that the means are over.

    Returns
    -------
    str
        A few short lines.
    """
    over = kind.partition(" ")[0]
    if verdict is None:
        return "No other evaluation of the history has this truth, so there is nothing to rank."
    n_pairs = math.comb(len(verdict.names), 2)
    if not verdict.changes:
        return (
            f"Mean IoU and mean Dice over {over} rank the {len(verdict.names)} evaluations with this truth alike: "
            f"none of {n_pairs} {'pair' if n_pairs == 1 else 'pairs'} changes places."
        )
    lines = [f"Mean IoU and mean Dice over {over} rank {len(verdict.changes)} of {n_pairs} pairs differently:"]
    lines += [
        f"{c.by_iou} is better by IoU ({c.iou_difference:+.4f}), {c.by_dice} by Dice ({-c.dice_difference:+.4f})"
        for c in verdict.changes[:N_PAIRS]
    ]
    if len(verdict.changes) > N_PAIRS:
        lines.append(f"and {len(verdict.changes) - N_PAIRS} more, in the table")
    return "\n".join(lines)


def rows(verdict: Verdict | None, kind: str) -> tuple[dict[str, list[Any]], list[Any]]:
    """Return the columns of the table of items that are responsible, and the key of the item of each row."""
    listed = [(change, one) for change in (verdict.changes if verdict else ()) for one in change.items]
    columns: dict[str, list[Any]] = {
        "pair": [f"{_number(change.by_iou)} / {_number(change.by_dice)}" for change, _ in listed],
        "item": [item_text(kind, one.item) for _, one in listed],
        "iou": [one.iou[0] for _, one in listed],
        "other_iou": [one.iou[1] for _, one in listed],
        "dice": [one.dice[0] for _, one in listed],
        "other_dice": [one.dice[1] for _, one in listed],
        "pull": [one.pull for _, one in listed],
    }
    return columns, [one.item for _, one in listed]


def _number(name: str) -> str:
    """Return the number of an evaluation, with which its name begins."""
    return name.partition(":")[0]
