"""Edits of single objects: which voxels get which labels.  Nothing outside the object's box is looked at twice."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._array import is_host
from ..processing.distance import distance
from ..processing.filters import gaussian
from ..processing.labels import fill_holes, label_components
from ._flooding import deep_minima, flooded

__all__ = ["Edit", "cut", "erase", "free_labels", "merge", "split"]

SMOOTHING, DEPTH = 1.0, 1.0
"""As `split_touching` has them by default: what counts as a neck between two seeds."""

BAND = 1.5
"""Half the width of the band along a cut, in voxels: more than any step between neighbours, so that none leaps it."""

Ints = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """Voxels that get other labels.

    Parameters
    ----------
    at : tuple of intp array
        The index of every voxel along each axis.
    labels : integer array
        The label that each of them gets, of the dtype of what is edited.
    new : tuple of int
        Labels that did not exist before.
    """

    at: tuple[Ints, ...]
    labels: NDArray[Any]
    new: tuple[int, ...] = ()

    @property
    def n_voxels(self) -> int:
        """How many voxels change."""
        return len(self.labels)

    def on(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Return a copy of labels with this done to it."""
        edited = np.array(labels)
        edited[self.at] = self.labels
        return edited


@dataclass(frozen=True, slots=True)
class Found:
    """Where objects are.

    Parameters
    ----------
    start, stop : tuple of int
        The box of all of them, first index and the one after the last along each axis.
    highest : int
        The highest label of the whole array.
    """

    start: tuple[int, ...]
    stop: tuple[int, ...]
    highest: int

    @property
    def box(self) -> tuple[slice, ...]:
        """The box as an index."""
        return tuple(slice(a, b) for a, b in zip(self.start, self.stop, strict=True))

    def grown(self, shape: Sequence[int]) -> Found:
        """Return a box with one voxel more on every side, as far as there is one."""
        start = tuple(max(a - 1, 0) for a in self.start)
        return Found(start, tuple(min(b + 1, n) for b, n in zip(self.stop, shape, strict=True)), self.highest)


def find(labels: NDArray[Any], ids: Sequence[int]) -> Found:
    """Look for objects plane by plane, which takes no memory beyond two planes.

    Parameters
    ----------
    labels : integer array
        Where.
    ids : sequence of int
        Which; at least one.

    Returns
    -------
    Found
        The box of all of them.

    Raises
    ------
    TypeError
        If `labels` are no integers in a NumPy array.
    ValueError
        If one of them is not there.
    """
    check(labels, ids)
    shadow, hit, seen, highest = np.zeros(labels.shape[1:], bool), np.zeros(len(labels), bool), set[int](), 0
    for at, plane in enumerate(labels):
        highest = max(highest, int(plane.max(initial=0)))
        for label in ids:
            if (here := plane == label).any():
                seen.add(label)
                hit[at] = True
                shadow |= here
    if missing := [label for label in ids if label not in seen]:
        raise ValueError(f"there is no object {missing[0]} in labels; click an object, or pass a label that is there")
    along = [hit, *(shadow.any(axis=tuple(a for a in range(shadow.ndim) if a != axis)) for axis in range(shadow.ndim))]
    ends = [np.flatnonzero(line)[[0, -1]] for line in along]
    return Found(tuple(int(a) for a, _ in ends), tuple(int(b) + 1 for _, b in ends), highest)


def check(labels: Any, ids: Collection[int]) -> None:
    """Raise unless these are labels that can be edited, and objects."""
    if not is_host(labels) or not np.issubdtype(np.asarray(labels).dtype, np.integer):
        kind = f"{type(labels).__name__} of {getattr(labels, 'dtype', 'unknown dtype')}"
        raise TypeError(f"labels must be a NumPy array of integers, got {kind}; convert it first")
    if not ids or 0 in ids:
        raise ValueError(f"ids must name objects, and 0 is the background, got {list(ids)}; pass labels above 0")


def free_labels(labels: NDArray[Any], n: int, highest: int) -> tuple[int, ...]:
    """Return labels that no object has: those above the highest, or where the dtype ends there, the smallest free.

    Parameters
    ----------
    labels : integer array
        All objects.
    n : int
        How many labels are needed.
    highest : int
        The highest label there is.

    Raises
    ------
    ValueError
        If the dtype has no room.
    """
    limit = int(np.iinfo(labels.dtype).max)
    if highest + n <= limit:
        return tuple(range(highest + 1, highest + 1 + n))
    taken = {int(label) for label in np.unique(labels)}
    free = [label for label in range(1, min(limit, len(taken) + n) + 1) if label not in taken][:n]
    if len(free) < n:
        raise ValueError(
            f"labels of dtype {labels.dtype} have numbers up to {limit}, and {len(taken - {0})} are taken, so there is "
            f"no room for {n} more; convert the layer to a larger dtype, such as int32"
        )
    return tuple(free)


def merge(labels: NDArray[Any], ids: Sequence[int]) -> Edit:
    """Return the edit that gives the label of the first object to all others."""
    check(labels, ids)
    return _painted(labels, list(dict.fromkeys(ids)), ids[0])


def erase(labels: NDArray[Any], ids: Sequence[int]) -> Edit:
    """Return the edit that makes objects background."""
    return _painted(labels, list(dict.fromkeys(ids)), 0)


def _painted(labels: NDArray[Any], ids: Sequence[int], label: int) -> Edit:
    found = find(labels, ids)
    at = _moved(np.nonzero(np.isin(labels[found.box], [one for one in ids if one != label])), found.start)
    return Edit(at, np.full(len(at[0]), label, labels.dtype))


def _moved(at: Sequence[Ints], start: Sequence[int]) -> tuple[Ints, ...]:
    return tuple(one + first for one, first in zip(at, start, strict=True))


def _numbered(labels: NDArray[Any], found: Found, parts: NDArray[np.int32], new: tuple[int, ...]) -> Edit:
    """Return the edit in which part 1 stays what it is, and each other part gets a new label."""
    moved = parts > 1
    return Edit(_moved(np.nonzero(moved), found.start), np.array([0, 0, *new], labels.dtype)[parts[moved]], new)


# Splitting by seeds ---------------------------------------------------------------------------------------


def split(
    labels: NDArray[Any], label: int, seeds: ArrayLike, spacing: Sequence[float] | None = None, *, highest: int = 0
) -> Edit:
    """Return the edit that splits an object: each seed gets a part, the first one keeps the label.

    Parameters
    ----------
    labels : integer array of shape ([Z,] Y, X)
        All objects.
    label : int
        Which one.
    seeds : array of shape (n, ndim)
        Voxels in the object, at least two.
    spacing : sequence of float, optional
        World length of a voxel along each axis.
    highest : int
        A label that no new one may be below, where `labels` are part of something larger.
    """
    places = _places(labels, label, seeds)
    found = find(labels, [label]).grown(labels.shape)
    new = free_labels(labels, len(places) - 1, max(found.highest, highest))
    parts = parts_of(labels[found.box] == label, places - np.array(found.start), spacing)
    return _numbered(labels, found, parts, new)


def _places(labels: NDArray[Any], label: int, seeds: ArrayLike) -> Ints:
    """Return seeds as indices, or raise where they are not in the object."""
    check(labels, [label])
    places: Ints = np.rint(np.asarray(seeds, dtype=float)).astype(np.intp)
    if places.ndim != 2 or places.shape[1] != labels.ndim or len(places) < 2:
        raise ValueError(
            f"seeds must be two points or more with {labels.ndim} numbers each, got shape {np.shape(seeds)}; "
            "click at least twice inside the object"
        )
    for place in places:
        inside = all(0 <= at < n for at, n in zip(place, labels.shape, strict=True))
        here = int(labels[tuple(place)]) if inside else None
        if here != label:
            where = "outside the image" if here is None else f"object {here}" if here else "background"
            point = tuple(int(at) for at in place)
            raise ValueError(f"the seed {point} must lie in object {label}, but there is {where}; click inside")
    if len(np.unique(places, axis=0)) < len(places):
        raise ValueError("two seeds lie in the same voxel, which can have one label only; click them farther apart")
    return places


def parts_of(inside: NDArray[np.bool_], places: Ints, spacing: Sequence[float] | None) -> NDArray[np.int32]:
    """Divide an object among seeds: at the necks between them, and where there is none half way.

    Parameters
    ----------
    inside : bool array
        The object in its box.
    places : intp array of shape (n, ndim)
        The seeds.
    spacing : sequence of float, optional
        World length of a voxel along each axis.

    Returns
    -------
    int32 array
        The number of the seed from 1; 0 outside, and in pieces that no seed lies in.
    """
    basins = _basins(inside, places, spacing)
    of_seed = basins[tuple(places.T)]
    parts = np.zeros(inside.shape, np.int32)
    for basin in np.unique(of_seed):
        numbers = np.flatnonzero(of_seed == basin) + 1
        here = basins == basin
        parts[here] = numbers[0] if len(numbers) == 1 else _shared(here, places, numbers, spacing)[here]
    return parts


def _basins(inside: NDArray[np.bool_], places: Ints, spacing: Sequence[float] | None) -> NDArray[np.int32]:
    """Flood the distance to the outside, upside down, from those middles of the object that hold a seed."""
    lengths = None if spacing is None else tuple(spacing)
    solid = fill_holes(inside)  # a hole in an object says nothing about its necks
    if solid.all():  # then there is no outside to be far from, and no neck
        return inside.astype(np.int32)
    relief: Any = -gaussian(distance(solid, spacing=lengths), sigma=SMOOTHING, spacing=lengths)
    middles: Any = deep_minima(relief, inside, DEPTH, inside.ndim)
    basins: Any = flooded(relief, middles, inside, inside.ndim, missing=None)
    wanted = np.unique(basins[tuple(places.T)])
    middles = np.where(np.isin(middles, wanted), middles, 0)
    chosen: NDArray[np.int32] = flooded(relief, middles, inside, inside.ndim, missing=None)
    if np.array_equal(np.unique(chosen[tuple(places.T)]), wanted):
        return chosen
    return inside.astype(np.int32)  # on a plateau a seed may fall to a neighbour, whose middle would have none


def _shared(here: NDArray[np.bool_], places: Ints, numbers: Ints, spacing: Sequence[float] | None) -> NDArray[np.int32]:
    """Divide a basin among its seeds: voxels go to the nearest, and where that is round a corner, to who gets there."""
    lengths = np.ones(here.ndim) if spacing is None else np.asarray(spacing, dtype=float)
    grid: Any = np.indices(here.shape, sparse=True)
    least, nearest = np.full(here.shape, np.inf), np.zeros(here.shape, np.int32)
    for number in numbers:
        steps = [(axis - at) * length for axis, at, length in zip(grid, places[number - 1], lengths, strict=True)]
        squared = sum((step**2 for step in steps), start=np.zeros(()))
        nearer = squared < least
        least[nearer], nearest[nearer] = squared[nearer], number
    markers = np.zeros(here.shape, np.int32)
    for number in numbers:
        cells, _ = label_components(here & (nearest == number), here.ndim)
        markers[cells == cells[tuple(places[number - 1])]] = number
    markers[~here] = 0
    found: NDArray[np.int32] = flooded(np.zeros(here.shape, np.uint8), markers, here, here.ndim, missing=None)
    return found


# Cutting along a line ---------------------------------------------------------------------------------------


def cut(
    labels: NDArray[Any],
    label: int,
    start: Sequence[float],
    stop: Sequence[float],
    axes: tuple[int, int] = (-2, -1),
    *,
    highest: int = 0,
) -> Edit:
    """Return the edit that cuts an object along a line: the largest piece keeps the label.

    Parameters
    ----------
    labels : integer array of shape ([Z,] Y, X)
        All objects.
    label : int
        Which one.
    start, stop : pair of float
        The ends of the line along `axes`, as an index; a volume is cut through all its depth.
    axes : pair of int
        The axes of the plane in which the line is drawn.
    highest : int
        A label that no new one may be below, where `labels` are part of something larger.
    """
    found = find(labels, [label]).grown(labels.shape)
    inside = labels[found.box] == label
    plane = axes[0] % labels.ndim, axes[1] % labels.ndim
    left, right = _sides(inside.shape, found.start, start, stop, plane)
    parts, n = _pieces(inside, left, right)
    if n == 0:
        raise ValueError(f"the line does not cut object {label} in two; draw it from one side of the object to beyond")
    return _numbered(labels, found, parts, free_labels(labels, n, max(found.highest, highest)))


def _sides(
    shape: Sequence[int], origin: Sequence[int], start: Sequence[float], stop: Sequence[float], axes: tuple[int, int]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the voxels along both sides of a line, through all of a box."""
    along = [np.arange(shape[axis], dtype=float) + origin[axis] for axis in axes]
    spread = [[-1 if at == axis else 1 for at in range(len(shape))] for axis in axes]
    grid = [one.reshape(sizes) for one, sizes in zip(along, spread, strict=True)]
    (a, b), (c, d) = start, stop
    length = math.hypot(c - a, d - b)
    if length == 0:
        raise ValueError("the line has no length; draw it across the object")
    y, x = (c - a) / length, (d - b) / length
    off = (grid[0] - a) * x - (grid[1] - b) * y
    on = (grid[0] - a) * y + (grid[1] - b) * x
    band = (np.abs(off) <= BAND) & (on >= 0) & (on <= length)
    left, right = band & (off >= 0), band & (off < 0)
    return np.broadcast_to(left, shape), np.broadcast_to(right, shape)


def _pieces(
    inside: NDArray[np.bool_], left: NDArray[np.bool_], right: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], int]:
    """Return the pieces that a cut leaves, from 2 but for what stays as it is, which is 1, and how many are new."""
    full = inside.ndim
    whole, _ = label_components(inside, full)
    pieces, n = label_components(inside & ~right, full)
    beyond = inside & ~left  # from here the voxels just right of the line are reached, and not across it
    reached = flooded(np.zeros(inside.shape, np.uint8), np.where(beyond, pieces, 0), beyond, full, missing=None)
    pieces = np.where(right, reached, pieces)
    thin, n_thin = label_components(np.logical_and(inside, np.equal(pieces, 0)), full)
    pieces = np.where(thin > 0, thin + n, pieces)
    numbers = _ranked(np.bincount(pieces.ravel(), minlength=n + n_thin + 1), _last(whole, pieces, n + n_thin))
    return numbers[pieces], max(int(numbers.max()) - 1, 0)


def _last(values: NDArray[Any], of: NDArray[Any], n: int) -> NDArray[np.int64]:
    """Return, for every number from 0 to `n`, a value of where `of` has it; 0 if it is nowhere."""
    found = np.zeros(n + 1, np.int64)
    found[of.ravel()] = values.ravel()
    return found


def _ranked(sizes: NDArray[np.int64], of_whole: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return numbers for pieces: 1 for the largest of what was whole, from 2 for the others, the larger first."""
    numbers, kept, n = np.zeros(len(sizes), np.int32), set[int](), 1
    for piece in np.argsort(-sizes, kind="stable"):
        if piece == 0 or sizes[piece] == 0:
            continue
        if of_whole[piece] in kept:
            n += 1
            numbers[piece] = n
        else:
            numbers[piece] = 1
            kept.add(int(of_whole[piece]))
    return numbers
