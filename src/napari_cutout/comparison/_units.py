"""What is held out when methods are compared: whole images, whole strokes, or blocks of a dense annotation.

Voxels of one stroke are alike, so a score on half of a stroke says little about the other half. Whoever chooses
settings on some voxels and scores on their neighbours reports how well the settings were remembered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Kind", "Units", "are_strokes", "folds_of", "units_of"]

Kind = Literal["images", "strokes", "blocks"]
"""What one unit is."""

MIN_IMAGES = 4
"""From so many annotated images on, whole images are held out."""

N_BLOCKS = 16
"""About how many blocks a densely annotated image is cut into."""

SPARSE = 0.05
"""Annotated share of all images below which what is annotated are strokes, whatever value says *not annotated*."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """Which voxels are held out together.

    Parameters
    ----------
    kind : {"images", "strokes", "blocks"}
        What one unit is.
    maps : list of int32 arrays
        For each image the unit of every voxel, from 0; -1 where nothing is annotated.
    strata : int64 array of shape (n_units,)
        Units of equal number are spread over the folds: of strokes the class and the image, of others whether they
        hold objects.
    classes : int64 array of shape (n_units,)
        The class of each stroke; 0 for images and blocks.
    images : int64 array of shape (n_units,)
        The image that each lies in.
    note : str
        What one should know about them; empty if there is nothing.
    """

    kind: Kind
    maps: list[NDArray[np.int32]]
    strata: Indices
    classes: Indices
    images: Indices
    note: str = ""

    def __len__(self) -> int:
        return len(self.strata)

    @property
    def drawn(self) -> tuple[Indices, Indices]:
        """What a bootstrap draws: the group of each unit, and the stratum of each group.

        Images are drawn from four annotated ones on, because what lies in one image is alike; else strokes of each
        class, or blocks.
        """
        images, group = np.unique(self.images, return_inverse=True)
        if len(images) >= MIN_IMAGES:
            return group.astype(np.int64), np.zeros(len(images), np.int64)
        return np.arange(len(self)), self.classes


def are_strokes(truths: Sequence[NDArray[Any]], ignore: int | None) -> bool:
    """Tell whether annotations are strokes: 0 is not annotated, or nearly nothing is."""
    if ignore is None or ignore == 0:
        return ignore == 0
    known = sum(int(np.count_nonzero(t != ignore)) for t in truths)
    return known < SPARSE * sum(t.size for t in truths)


def units_of(truths: Sequence[NDArray[Any]], ignore: int | None) -> Units:
    """Divide annotations into what is held out.

    Parameters
    ----------
    truths : sequence of integer arrays
        The annotation of each image.
    ignore : int or None
        The value of truth that means *not annotated*.

    Returns
    -------
    Units
        Whole strokes, where annotations are strokes: those of each class in each image that are connected; one that is
        alone is cut in two. Else whole images, from four annotated ones on, or blocks of about equal extent.

    Raises
    ------
    ValueError
        If nothing is annotated.
    """
    known = [np.ones(t.shape, bool) if ignore is None else t != ignore for t in truths]
    there = sum(bool(k.any()) for k in known)
    if not there:
        raise ValueError(f"truth holds no annotated voxel: all of it is {ignore}; paint some strokes, or change ignore")
    if are_strokes(truths, ignore):
        return _strokes(truths, known)
    return _dense(truths, known, whole=there >= MIN_IMAGES)


def folds_of(units: Units, n_folds: int, seed: int) -> Indices:
    """Return the fold of each unit, spread evenly over each stratum in a random order.

    Parameters
    ----------
    units : Units
        What is held out.
    n_folds : int
        How many folds there shall be, from 2; there are fewer where a class has fewer strokes, or there are fewer
        images or blocks.
    seed : int
        Of the order.

    Returns
    -------
    int64 array of shape (n_units,)
        Numbers of folds, from 0. One unit alone gives one fold: nothing can be held out then.
    """
    rng = np.random.default_rng(seed)
    classes, sizes = np.unique(units.classes, return_counts=True)
    n = max(1, min(n_folds, int(sizes.min())))
    fold, begun = np.zeros(len(units), np.int64), dict.fromkeys(classes.tolist(), 0)
    for stratum in np.unique(units.strata):
        at = np.flatnonzero(units.strata == stratum)
        label = int(units.classes[at[0]])
        # One after the other: of two strokes of a class in an image, one is left in whatever part is tuned on.
        fold[rng.permutation(at)] = (begun[label] + np.arange(len(at))) % n
        begun[label] += len(at)
    return fold


def _strokes(truths: Sequence[NDArray[Any]], known: Sequence[NDArray[np.bool_]]) -> Units:
    """Give each connected stroke a number; one that is alone in its class and image is cut in two."""
    maps = [np.full(t.shape, -1, np.int32) for t in truths]
    classes: list[int] = []
    images: list[int] = []
    cut: set[int] = set()
    for number, (truth, there) in enumerate(zip(truths, known, strict=True)):
        for label in np.unique(truth[there]).tolist():
            pieces = _pieces(there & (truth == label))
            if len(pieces) == 1:
                pieces = _halves(pieces[0])
                cut.add(label)
            for at in pieces:
                maps[number][tuple(at)] = len(classes)
                classes.append(label)
                images.append(number)
    listed = ", ".join(map(str, sorted(cut)))
    note = f"in some image one stroke only of label {listed}, which was cut in two; paint a second one" if cut else ""
    _, strata = np.unique(np.stack([images, classes]), axis=1, return_inverse=True)
    return Units(
        "strokes", maps, strata.astype(np.int64).reshape(-1), np.asarray(classes, np.int64), np.asarray(images), note
    )


def _pieces(mask: NDArray[np.bool_]) -> list[NDArray[Any]]:
    """Return the indices of each connected piece."""
    from scipy import ndimage

    numbered, _ = ndimage.label(mask, np.ones((3,) * mask.ndim))
    found = []
    for i, box in enumerate(ndimage.find_objects(numbered), start=1):
        corner = np.asarray([[axis.start] for axis in box])
        found.append(np.stack(np.nonzero(numbered[box] == i)) + corner)
    return found


def _halves(at: NDArray[Any]) -> list[NDArray[Any]]:
    """Cut a stroke across the axis that it extends along."""
    if at.shape[1] < 2:
        return [at]
    axis = int(np.ptp(at, axis=1).argmax())
    order = np.argsort(at[axis], kind="stable")
    middle = len(order) // 2
    return [at[:, order[:middle]], at[:, order[middle:]]]


def _dense(truths: Sequence[NDArray[Any]], known: Sequence[NDArray[np.bool_]], *, whole: bool) -> Units:
    """Give each image a number, or each block of one; those without an annotation are left out."""
    maps: list[NDArray[np.int32]] = []
    images: list[int] = []
    holds: list[bool] = []
    for number, (truth, there) in enumerate(zip(truths, known, strict=True)):
        blocks = np.zeros(truth.shape, np.int64) if whole else _block_numbers(truth.shape)
        found = np.unique(blocks[there])
        place = np.full(int(blocks.max(initial=0)) + 1, -1, np.int32)
        place[found] = np.arange(len(images), len(images) + len(found))
        maps.append(np.where(there, place[blocks], -1).astype(np.int32))
        holds += np.isin(found, blocks[there & (truth != 0)]).tolist()
        images += [number] * len(found)
    nothing = np.zeros(len(images), np.int64)
    return Units("images" if whole else "blocks", maps, np.asarray(holds, np.int64), nothing, np.asarray(images))


def _block_numbers(shape: Sequence[int]) -> Indices:
    """Return the block of each voxel; axes that are shorter than a block are not cut."""
    long = list(range(len(shape)))
    while True:
        side = (math.prod(shape[a] for a in long) / N_BLOCKS) ** (1 / len(long))
        short = [a for a in long if shape[a] < side]
        if not short or len(long) == len(short):
            break
        long = [a for a in long if a not in short]
    counts = [max(1, round(n / side)) if a in long else 1 for a, n in enumerate(shape)]
    numbers = np.zeros(tuple(shape), np.int64)
    for axis, (size, n) in enumerate(zip(shape, counts, strict=True)):
        line = np.arange(size) * n // size
        numbers = numbers * n + line.reshape(tuple(-1 if a == axis else 1 for a in range(len(shape))))
    return numbers
