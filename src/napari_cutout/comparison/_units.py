"""What is held out when methods are compared: whole images, whole strokes, or blocks of a dense annotation.

Voxels of one stroke are alike, so a score on half of a stroke says little about the other half. Whoever chooses
settings on some voxels and scores on their neighbours reports how well the settings were remembered.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Kind", "Units", "folds_of", "units_of"]

Kind = Literal["images", "strokes", "blocks"]
"""What one unit is."""

MIN_IMAGES = 4
"""From so many annotated images on, whole images are held out."""

N_BLOCKS = 16
"""About how many blocks a densely annotated image is cut into."""

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
        Units of equal number are spread over the folds: the class of a stroke; 0 for images and blocks.
    note : str
        What one should know about them; empty if there is nothing.
    """

    kind: Kind
    maps: list[NDArray[np.int32]]
    strata: Indices
    note: str = ""

    def __len__(self) -> int:
        return len(self.strata)


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
        Four annotated images or more are held out whole. Of fewer, connected strokes are, where `ignore` is 0; else
        blocks of about equal extent. A class with one stroke only has it cut in two.

    Raises
    ------
    ValueError
        If nothing is annotated.
    """
    known = [np.ones(t.shape, bool) if ignore is None else t != ignore for t in truths]
    if not any(k.any() for k in known):
        raise ValueError(f"truth holds no annotated voxel: all of it is {ignore}; paint some strokes, or change ignore")
    if sum(bool(k.any()) for k in known) >= MIN_IMAGES:
        return _images(known)
    return _strokes(truths) if ignore == 0 else _blocks(known)


def folds_of(units: Units, n_folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each unit, spread evenly over each stratum in a random order.

    Parameters
    ----------
    units : Units
        What is held out.
    n_folds : int
        How many folds there shall be, from 2; there are fewer where a stratum has fewer units.
    seed : int
        Of the order.

    Returns
    -------
    int64 array of shape (n_units,)
        Numbers of folds, from 0. One unit alone gives one fold: nothing can be held out then.
    """
    rng = np.random.default_rng(seed)
    sizes = np.unique(units.strata, return_counts=True)[1]
    n = max(1, min(n_folds, int(sizes.min())))
    fold = np.zeros(len(units), np.int64)
    for stratum in np.unique(units.strata):
        at = np.flatnonzero(units.strata == stratum)
        fold[rng.permutation(at)] = np.arange(len(at)) % n
    return fold


def _images(known: Sequence[NDArray[np.bool_]]) -> Units:
    numbers = itertools.count()
    maps = [np.where(k, next(numbers) if k.any() else -1, -1).astype(np.int32) for k in known]
    return Units("images", maps, np.zeros(next(numbers), np.int64))


def _strokes(truths: Sequence[NDArray[Any]]) -> Units:
    """Give each connected stroke a number; one that is alone in its class is cut in two."""
    from scipy import ndimage

    maps = [np.full(t.shape, -1, np.int32) for t in truths]
    strata: list[int] = []
    cut: list[int] = []
    for label in np.unique(np.concatenate([np.unique(t[t != 0]) for t in truths])).tolist():
        pieces: list[tuple[int, NDArray[Any]]] = []
        for number, truth in enumerate(truths):
            numbered, _ = ndimage.label(truth == label, np.ones((3,) * truth.ndim))
            for i, box in enumerate(ndimage.find_objects(numbered), start=1):
                corner = np.asarray([[axis.start] for axis in box])
                pieces.append((number, np.stack(np.nonzero(numbered[box] == i)) + corner))
        if len(pieces) == 1:
            pieces = _halves(*pieces[0])
            cut.append(label)
        for number, at in pieces:
            maps[number][tuple(at)] = len(strata)
            strata.append(label)
    listed = ", ".join(map(str, cut))
    note = f"one stroke only of label {listed}, which was cut in two; paint a second one" if cut else ""
    return Units("strokes", maps, np.asarray(strata, np.int64), note)


def _halves(number: int, at: NDArray[Any]) -> list[tuple[int, NDArray[Any]]]:
    """Cut a stroke across the axis that it extends along."""
    if at.shape[1] < 2:
        return [(number, at)]
    axis = int(np.ptp(at, axis=1).argmax())
    order = np.argsort(at[axis], kind="stable")
    middle = len(order) // 2
    return [(number, at[:, order[:middle]]), (number, at[:, order[middle:]])]


def _blocks(known: Sequence[NDArray[np.bool_]]) -> Units:
    """Cut each image into blocks whose sides are as equal as can be; blocks without an annotation are left out."""
    maps: list[NDArray[np.int32]] = []
    n = 0
    for k in known:
        blocks = _block_numbers(k.shape)
        there = np.unique(blocks[k])
        place = np.full(int(blocks.max()) + 1, -1, np.int32)
        place[there] = np.arange(n, n + len(there))
        maps.append(np.where(k, place[blocks], -1).astype(np.int32))
        n += len(there)
    return Units("blocks", maps, np.zeros(n, np.int64))


def _block_numbers(shape: Sequence[int]) -> Indices:
    side = (math.prod(shape) / N_BLOCKS) ** (1 / len(shape))
    counts = [max(1, min(size, round(size / side))) for size in shape]
    lines = [np.arange(size) * n // size for size, n in zip(shape, counts, strict=True)]
    grid = np.meshgrid(*lines, indexing="ij", sparse=True)
    numbers = np.zeros(tuple(shape), np.int64)
    for line, n in zip(grid, counts, strict=True):
        numbers = numbers * n + line
    return numbers
