"""Strokes such as a user would paint, made from an annotation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..evaluation._matching import MAX_CLASSES

__all__ = ["middles_from", "one_kind", "strokes_from"]

N_STROKES = 5
"""Objects that get a stroke."""


def one_kind(truth: NDArray[Any] | None, ignore: int | None) -> bool:
    """Tell whether a truth shows objects of one kind, numbered or not: they get one stroke label and a number each.

    Parameters
    ----------
    truth : integer array or None
        The annotation.
    ignore : int or None
        Its value that means *not annotated*; strokes have classes.

    Returns
    -------
    bool
        True where there is one label, where there are more than 32, or where nearly all are in one piece.
    """
    if truth is None:
        return True
    from scipy import ndimage

    labels = np.unique(truth)
    labels = labels[(labels != 0) & (labels != (0 if ignore is None else ignore))]
    if len(labels) < 2 or len(labels) > MAX_CLASSES:
        return True
    if ignore is not None:
        return False
    pieces = [ndimage.label(truth == label, np.ones((3,) * truth.ndim))[1] for label in labels]
    return bool(np.mean(np.asarray(pieces) == 1) > 0.8)


def strokes_from(truth: NDArray[Any], ignore: int | None) -> NDArray[np.uint8]:
    """Paint strokes such as a user would: the cores of a few objects (or of each class), and of the background.

    Parameters
    ----------
    truth : integer array
        The annotation.
    ignore : int or None
        Its value that means *not annotated*.

    Returns
    -------
    uint8 array
        Label 1 and up for objects or classes, the next label for the background.
    """
    known = np.ones(truth.shape, bool) if ignore is None else truth != ignore
    there = [int(label) for label in np.unique(truth[known]) if label]
    if one_kind(truth, ignore):
        chosen = [there[i] for i in np.linspace(0, len(there) - 1, min(N_STROKES, len(there))).round().astype(int)]
        groups = [[truth == label for label in chosen]]
    else:
        groups = [[truth == label] for label in there]
    background = known & (truth == 0)
    if background.any():
        groups.append([background])
    strokes = np.zeros(truth.shape, np.uint8)
    for label, regions in enumerate(groups, start=1):
        for region in regions:
            strokes[_core(region)] = label
    return strokes


def middles_from(truth: NDArray[Any], ignore: int | None) -> NDArray[np.int32]:
    """Paint a stroke in every object, such as a user would before a watershed.

    Parameters
    ----------
    truth : integer array
        The annotation. With one label only, its objects are what is connected.
    ignore : int or None
        Its value that means *not annotated*.

    Returns
    -------
    int32 array
        The core of every object, numbered from 1 in the order of their labels.
    """
    from scipy import ndimage

    there = (truth != 0) & (True if ignore is None else truth != ignore)
    labels = np.unique(truth[there])
    numbers = ndimage.label(there)[0] if len(labels) == 1 else np.searchsorted(labels, truth) + 1
    numbers = np.where(there, numbers, 0)
    middles = np.zeros(truth.shape, np.int32)
    for number, box in enumerate(ndimage.find_objects(numbers), start=1):
        region = np.pad(numbers[box] == number, 1)
        middles[box][_core(region)[(slice(1, -1),) * truth.ndim]] = number
    return middles


def _core(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Erode a region to its core: where it is at least half as deep as anywhere."""
    from scipy import ndimage

    depth = ndimage.distance_transform_edt(region)
    core: NDArray[np.bool_] = region & (depth >= depth.max() / 2)
    return core
