"""Which objects of frames one after another are one, decided on counts of voxels, which add up over tiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, dtype_name, from_numpy, to_numpy
from .._plan import BLOCK_VOXELS

__all__ = [
    "Counts",
    "Links",
    "Rule",
    "counts_of",
    "counts_of_frames",
    "gathered",
    "link",
    "relabelled",
    "total_of",
]

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rule:
    """When two objects are one.

    Parameters
    ----------
    min_overlap : float
        Least IoU.
    max_gap : int
        How many frames an object may be missing.
    divisions : bool
        Whether an object that becomes two ends.
    """

    min_overlap: float = 0.25
    max_gap: int = 0
    divisions: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """What frames, or tiles of them, tell of their objects.

    Parameters
    ----------
    objects : int64 array of shape (4, n)
        Frame, label, number of voxels and index in the frame of the first one of every object; rising.
    pairs : int64 array of shape (5, n)
        Frame and frame before, label in each, and how many voxels the two share.
    """

    objects: Ints
    pairs: Ints

    @classmethod
    def none(cls) -> Counts:
        """Return what nothing tells."""
        return cls(np.zeros((4, 0), np.int64), np.zeros((5, 0), np.int64))

    def __len__(self) -> int:
        return int(self.objects.shape[1] + self.pairs.shape[1])

    @classmethod
    def summed(cls, parts: Sequence[Counts]) -> Counts:
        """Return what tiles tell together."""
        objects = np.concatenate([part.objects for part in parts], axis=1)
        pairs = np.concatenate([part.pairs for part in parts], axis=1)
        order, starts = _groups(objects[:2])
        frame, label, size, first = objects[:, order]
        summed = [frame[starts], label[starts], _added(size, starts), _least(first, starts)]
        order, starts = _groups(pairs[:4])
        keys = pairs[:4, order][:, starts]
        return cls(np.stack(summed), np.concatenate([keys, _added(pairs[4, order], starts)[None]]))


Told = Counts | tuple[Counts, ...]
"""What one tile tells, or what some do: sums that are not summed yet, of which few are about as long."""

ALIKE = 8
"""So many sums that are about as long are summed, to one that is longer; a power of 2."""


def gathered(one: Told, other: Told) -> Told:
    """Return what tiles tell together, in few sums, so that not all of it is sorted again for every tile.

    Parameters
    ----------
    one, other : Counts or tuple of Counts
        Of different tiles.

    Returns
    -------
    tuple of Counts
        `total_of` it is their sum.
    """
    sums: dict[int, list[Counts]] = {}
    waiting = [*_sums(one), *_sums(other)]
    while waiting:
        part = waiting.pop()
        alike = sums.setdefault(len(part).bit_length() // 3, [])
        alike.append(part)
        if len(alike) == ALIKE:
            waiting.append(Counts.summed(alike))
            alike.clear()
    return tuple(part for alike in sums.values() for part in alike)


def total_of(told: Told | None) -> Counts:
    """Return the sum of what all tiles told."""
    return Counts.none() if told is None else Counts.summed(_sums(told))


def _sums(told: Told) -> tuple[Counts, ...]:
    return told if isinstance(told, tuple) else (told,)


def _groups(keys: Ints) -> tuple[Ints, Ints]:
    """Return the order in which equal columns stand together, rising, and where each group of them begins."""
    order = np.lexsort(keys[::-1])
    held = keys[:, order]
    is_new = np.ones(held.shape[1], bool)
    is_new[1:] = (held[:, 1:] != held[:, :-1]).any(axis=0)
    return order, np.flatnonzero(is_new)


def _added(values: Ints, starts: Ints) -> Ints:
    return np.asarray(np.add.reduceat(values, starts)) if starts.size else values[:0]


def _least(values: Ints, starts: Ints) -> Ints:
    return np.asarray(np.minimum.reduceat(values, starts)) if starts.size else values[:0]


def counts_of(
    block: Array, before: Sequence[tuple[int, Array]], frame: int, origin: Sequence[int], shape: Sequence[int]
) -> Counts:
    """Count the objects of a frame, or of a tile of it, and what they share with those of frames before.

    Parameters
    ----------
    block : integer or bool array
        The labels; 0 is background.
    before : sequence of (int, array)
        Other frames, and their labels in the same place.
    frame : int
        Which frame it is.
    origin : sequence of int
        Index in the frame of the first voxel.
    shape : sequence of int
        Shape of the frame.

    Returns
    -------
    Counts
        Those of this tile.
    """
    starts, n, (label,) = _runs(block)
    kept = label != 0
    at = np.ravel_multi_index(
        tuple(a + o for a, o in zip(np.unravel_index(starts[kept], block.shape), origin, strict=True)), tuple(shape)
    )
    frames = np.full(int(kept.sum()), frame, np.int64)
    objects = np.stack([frames, label[kept], n[kept], np.asarray(at, np.int64)])
    pairs = [np.zeros((5, 0), np.int64)]
    for other, earlier in before:
        _, n, (one, two) = _runs(earlier, block)
        kept = (one != 0) & (two != 0)
        frames = np.full(int(kept.sum()), frame, np.int64)
        pairs.append(np.stack([frames, np.full_like(frames, other), one[kept], two[kept], n[kept]]))
    return Counts.summed([Counts(objects, np.concatenate(pairs, axis=1))])


def _runs(*blocks: Array) -> tuple[Ints, Ints, list[Ints]]:
    """Return where runs of equal voxels begin in scan order, how long they are, and the value of each block there."""
    xp = array_namespace(*blocks)
    flat = [xp.reshape(block, (-1,)) for block in blocks]
    changes = flat[0][1:] != flat[0][:-1]
    for values in flat[1:]:
        changes = changes | (values[1:] != values[:-1])
    ends = to_numpy(xp.nonzero(changes)[0]).astype(np.int64) + 1
    starts = np.concatenate([np.zeros(1, np.int64), ends])
    lengths = np.diff(starts, append=flat[0].shape[0])
    at = from_numpy(starts, like=blocks[0])
    return starts, lengths, [to_numpy(xp.take(values, at)).astype(np.int64) for values in flat]


def counts_of_frames(
    labels: Array, rule: Rule, *, first: int = 0, origin: Sequence[int], shape: Sequence[int]
) -> Counts:
    """Count the objects of all frames along the first axis, or of a tile of each.

    Parameters
    ----------
    labels : array of shape (frames, [Z,] Y, X)
        The labels; the first frames are only looked back at, where there are `first` of them.
    rule : Rule
        How far it is looked back.
    first : int
        Which are counted: from this one on.
    origin : sequence of int
        Index in the whole of the first voxel, the frame included.
    shape : sequence of int
        Shape of a frame.

    Returns
    -------
    Counts
        Those of all of them.
    """
    found = [Counts.none()]
    for at in range(first, labels.shape[0]):
        before = range(max(at - rule.max_gap - 1, 0), at)
        for start, stop in _slabs(labels.shape[1:]):
            earlier = [(origin[0] + i, labels[i, start:stop, ...]) for i in before]
            place = (origin[1] + start, *origin[2:])
            found.append(counts_of(labels[at, start:stop, ...], earlier, origin[0] + at, place, shape))
    return Counts.summed(found)


def _slabs(shape: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield parts of a frame along its first axis, so that what is counted at a time is small."""
    thick = max(BLOCK_VOXELS * shape[0] // max(int(np.prod(shape)), 1), 1)
    return ((start, min(start + thick, shape[0])) for start in range(0, shape[0], thick))


# The decision ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Links:
    """Which number every object of every frame has, and where numbers begin and end.

    Parameters
    ----------
    frame, label, number : int64 arrays of shape (n,)
        Of every object, rising by frame and label.
    begin, end, parent : int64 arrays of shape (m,)
        First and last frame of numbers 1 to m, and the number that each came of by division; 0 for none.
    n_frames : int64 array of shape (m,)
        In how many frames each is there.
    """

    frame: Ints
    label: Ints
    number: Ints
    begin: Ints
    end: Ints
    parent: Ints
    n_frames: Ints

    def table(self, frame: int) -> tuple[Ints, Ints]:
        """Return the labels of a frame, rising, and their numbers."""
        there = slice(*np.searchsorted(self.frame, [frame, frame + 1]))
        return self.label[there], self.number[there]

    @property
    def facts(self) -> dict[str, int]:
        """What is to be known of them."""
        return {
            "n_tracks": len(self.begin),
            "n_divisions": len(np.unique(self.parent[self.parent > 0])),
            "n_bridged": int(((self.end - self.begin + 1) > self.n_frames).sum()),
        }


def link(counts: Counts, rule: Rule) -> Links:
    """Decide which objects are one.

    Parameters
    ----------
    counts : Counts
        Of all frames.
    rule : Rule
        When two are one.

    Returns
    -------
    Links
        Numbers from 1 by frame of appearance, then by first voxel.
    """
    frame, label, size, first = counts.objects
    earlier, later, shared = _ends(counts)
    gap = counts.pairs[0] - counts.pairs[1]
    overlap = shared / np.maximum(size[earlier] + size[later] - shared, 1)
    order = np.lexsort((first, frame))
    rank = np.argsort(order)
    mother = mothers(counts, rule)
    followed = np.zeros(len(frame), bool)
    followed[mother[mother >= 0]] = True
    useful = np.flatnonzero((overlap >= rule.min_overlap) & (gap <= rule.max_gap + 1) & (mother[later] < 0))
    # The largest overlap first; where two are equal, the object that comes first in scan order.
    by = np.lexsort((rank[later[useful]], rank[earlier[useful]], -overlap[useful], gap[useful], frame[later[useful]]))
    chosen = useful[by]
    ahead = _earlier_ones(earlier[chosen].tolist(), later[chosen].tolist(), followed.tolist())
    return _numbered(frame, label, order, ahead, mother)


def _earlier_ones(earlier: list[int], later: list[int], followed: list[bool]) -> Ints:
    """Return the object before each, -1 for none: pairs are taken in their order, and no object twice."""
    ahead = np.full(len(followed), -1, np.int64)
    for one, two in zip(earlier, later, strict=True):
        if not followed[one] and ahead[two] < 0:
            followed[one] = True
            ahead[two] = one
    return ahead


def _numbered(frame: Ints, label: Ints, order: Ints, ahead: Ints, mother: Ints) -> Links:
    number = np.zeros(len(frame), np.int64)
    number[order[ahead[order] < 0]] = np.arange(1, int((ahead < 0).sum()) + 1)
    for at in order[ahead[order] >= 0].tolist():  # by frame, so that the one before has its number
        number[at] = number[ahead[at]]
    n = int(number.max(initial=0))
    begin, end = np.full(n + 1, np.iinfo(np.int64).max), np.full(n + 1, -1, np.int64)
    np.minimum.at(begin, number, frame)
    np.maximum.at(end, number, frame)
    parent = np.zeros(n + 1, np.int64)
    born = np.flatnonzero(mother >= 0)
    parent[number[born]] = number[mother[born]]
    n_frames = np.bincount(number, minlength=n + 1)
    return Links(frame, label, number, begin[1:], end[1:], parent[1:], n_frames[1:])


def _ends(counts: Counts) -> tuple[Ints, Ints, Ints]:
    """Return which objects each pair is of, by their places among all, and the voxels that they share."""
    frame, label = counts.objects[:2]
    late, early, one, two, shared = counts.pairs
    keys = np.stack([np.concatenate([frame, early, late]), np.concatenate([label, one, two])])
    order, starts = _groups(keys)
    group = np.empty(keys.shape[1], np.int64)
    group[order] = np.cumsum(np.isin(np.arange(keys.shape[1]), starts)) - 1
    n, m = len(frame), len(shared)
    return group[n : n + m], group[n + m :], shared


def mothers(counts: Counts, rule: Rule) -> Ints:
    """Return for every object the place among all of the one that divided into it; -1 for none.

    An object divides when two or more of the next frame lie for more than half of their voxels in it, each with half of
    the overlap that a link takes, and none covers more than half of what the two of them cover together.
    """
    frame, size = counts.objects[0], counts.objects[2]
    found = np.full(len(frame), -1, np.int64)
    if not rule.divisions:
        return found
    earlier, later, shared = _ends(counts)
    union = size[earlier] + size[later] - shared
    next_to = counts.pairs[0] - counts.pairs[1] == 1
    child = next_to & (2 * shared > size[later]) & (shared / np.maximum(union, 1) >= rule.min_overlap / 2)
    goes_on = np.zeros(len(frame), bool)
    goes_on[earlier[next_to & (2 * shared > union)]] = True
    n_children = np.bincount(earlier[child], minlength=len(frame))
    divides = (n_children >= 2) & ~goes_on
    kept = child & divides[earlier]
    found[later[kept]] = earlier[kept]
    return found


def relabelled(block: Array, label: Ints, number: Ints) -> Array:
    """Return a frame, or a tile of it, with the numbers of its objects.

    Parameters
    ----------
    block : integer or bool array
        Its labels.
    label, number : int64 arrays of shape (n,)
        All labels of the frame but 0, rising, and the number of each.

    Returns
    -------
    int32 array
        Same shape and library.
    """
    xp: Any = array_namespace(block)
    low, high = (int(label[0]), int(label[-1])) if label.size else (0, 0)
    values = xp.astype(block, xp.uint8) if dtype_name(block) == "bool" else block
    if low >= 0 and high < DENSE:
        table = np.zeros(high + 1, np.int32)
        table[label] = number
        at = xp.astype(xp.reshape(values, (-1,)), xp.int64)
        return xp.reshape(xp.take(from_numpy(table, like=block), at), block.shape)
    table = np.concatenate([number, np.zeros(1, np.int64)]).astype(np.int32)
    flat = xp.astype(xp.reshape(values, (-1,)), xp.int64)
    at = xp.searchsorted(from_numpy(label, like=block), flat)
    at = xp.where(flat == 0, xp.full_like(at, label.size), at)
    return xp.reshape(xp.take(from_numpy(table, like=block), at), block.shape)


DENSE = 1 << 22
"""Labels below this are looked up in a table; others are searched for."""
