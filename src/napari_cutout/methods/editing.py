"""Edits of single objects by what was clicked: merge them, split one by seeds, cut one along a line."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import ArrayLike

from .._method import Labels
from ._edits import cut, merge, split

__all__ = ["cut_object", "merge_labels", "split_object"]


def merge_labels(labels: Labels, ids: Sequence[int]) -> Labels:
    """Give the label of the first object to all others.

    Parameters
    ----------
    labels : int array of any shape
        Objects; 0 is background.
    ids : sequence of int
        The labels that become one; the first is kept. They need not touch.

    Returns
    -------
    int array, same shape and dtype as `labels`
        A copy in which the others have the label of the first.

    Raises
    ------
    TypeError
        If `labels` are no integers in a NumPy array.
    ValueError
        If `ids` are none, 0 is among them, or one of them is not in `labels`.

    Notes
    -----
    Exact. Memory: the copy, and the box of the objects that change.

    Examples
    --------
    >>> import numpy as np
    >>> merge_labels(np.array([[1, 0, 2], [1, 3, 3]]), [3, 1])
    array([[3, 0, 2],
           [3, 3, 3]])
    """
    return merge(labels, ids).on(labels)


def split_object(labels: Labels, label: int, seeds: ArrayLike, *, spacing: Sequence[float] | None = None) -> Labels:
    """Split one object into as many parts as there are seeds in it.

    The object is cut where it is narrow between two seeds, as `split_touching` cuts it; seeds with no neck between
    them share their part half way.

    Parameters
    ----------
    labels : int array of shape ([Z,] Y, X)
        Objects; 0 is background.
    label : int
        The object.
    seeds : array of shape (n, ndim)
        Points in the object, as indices; at least two. They need not be in the middle of a part.
    spacing : sequence of float, optional
        World length of a voxel along each axis.

    Returns
    -------
    int array, same shape and dtype as `labels`
        A copy in which the part of the first seed keeps the label, and every other has one of its own: those above
        the highest label, or where the dtype ends there, the smallest that are free.

    Raises
    ------
    TypeError
        If `labels` are no integers in a NumPy array.
    ValueError
        If there are fewer than two seeds, one lies outside the object or in the voxel of another, or the dtype has
        no labels left.

    Notes
    -----
    Exact. Only the box of the object is worked on: about 60 bytes per voxel of it, beside the copy. No voxel outside
    the object changes, and pieces of it that no seed lies in keep the label.

    Examples
    --------
    >>> import numpy as np
    >>> split_object(np.array([[7, 7, 7, 7, 0]]), 7, [(0, 0), (0, 3)])
    array([[7, 7, 8, 8, 0]])
    """
    return split(labels, label, seeds, spacing).on(labels)


def cut_object(
    labels: Labels, label: int, start: Sequence[float], stop: Sequence[float], *, axes: tuple[int, int] = (-2, -1)
) -> Labels:
    """Cut one object along a straight line.

    Parameters
    ----------
    labels : int array of shape ([Z,] Y, X)
        Objects; 0 is background.
    label : int
        The object.
    start, stop : pair of float
        The ends of the line along `axes`, as indices. It must lead all the way through the object, or through an arm
        of it.
    axes : pair of int
        In which plane of a volume the line lies; the cut goes through all its depth.

    Returns
    -------
    int array, same shape and dtype as `labels`
        A copy in which the largest piece keeps the label, and every other has one of its own, as in `split_object`.

    Raises
    ------
    TypeError
        If `labels` are no integers in a NumPy array.
    ValueError
        If there is no such object, the line does not lead through it, or the dtype has no labels left.

    Notes
    -----
    Exact. Only the box of the object is worked on: about 40 bytes per voxel of it, beside the copy. No voxel outside
    the object changes.

    Examples
    --------
    >>> import numpy as np
    >>> cut_object(np.array([[7, 7, 7, 7, 7]]), 7, (-1, 1.5), (1, 1.5))
    array([[8, 8, 7, 7, 7]])
    """
    return cut(labels, label, start, stop, axes).on(labels)
