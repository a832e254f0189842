"""From a map of classes to objects: the connected parts of each class, numbered."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from .._array import Array, array_namespace, dtype_name
from .._method import Items, Labels, Range, method
from .._plan import PerVoxel, run_plan
from ..processing.labels import MAX_VALUES, Connectivity, select_by_value

__all__ = ["objects"]

Classes = Annotated[tuple[int, ...], Items(MAX_VALUES)]


@method("Objects", memory=17.0)
def objects(
    labels: Labels,
    *,
    classes: Classes | None = None,
    connectivity: Connectivity = 1,
    min_size: Annotated[int, Range(0, 2**31 - 1)] = 0,
    clear_border: bool = False,
) -> Labels:
    """Give every connected part of a class a number of its own.

    Parameters
    ----------
    labels : array of int or bool, of shape ([Z,] Y, X)
        A class for every voxel, such as `kmeans` or `multi_otsu` give; 0 is background.
    classes : tuple of int, optional
        The classes whose parts become objects, such as ``(2, 3)``; all others become background. By default all
        classes but 0.
    connectivity : int
        How many axes a step between two voxels of one object may cross: 1 is faces only, the number of axes
        includes edges and corners.
    min_size : int
        Objects of fewer voxels are removed.
    clear_border : bool
        Remove objects that touch an edge of the image.

    Returns
    -------
    int32 array, same shape and library as `labels`
        0 is background. Voxels of one object are connected and of one class: where two classes touch, two objects
        do. Objects of all classes are numbered together, without gaps, from 1 by their first voxel in scan order.

    Raises
    ------
    TypeError
        If `labels` are neither integers nor booleans, or a class is not an integer.
    ValueError
        If a class is less than 1 or is named twice, there are more than 255 classes, or a setting is out of range.

    Notes
    -----
    Exact. Each class is labelled by itself, so time grows with the number of classes. Memory: 17 bytes per voxel.
    The class of each object is ``measure(objects(labels), labels)``, column ``max``.

    Examples
    --------
    >>> import numpy as np
    >>> objects(np.array([[1, 1, 2, 0, 1], [0, 0, 2, 0, 1]])).tolist()
    [[1, 1, 2, 0, 3], [0, 0, 2, 0, 3]]
    >>> objects(np.array([[1, 1, 2, 0, 1], [0, 0, 2, 0, 1]]), classes=(1,)).tolist()
    [[1, 1, 0, 0, 2], [0, 0, 0, 0, 2]]
    """
    chosen = _chosen(labels, _checked(classes))
    return select_by_value(chosen, connectivity=connectivity, min_size=min_size, inside=clear_border)


def _checked(classes: tuple[int, ...] | None) -> tuple[int, ...] | None:
    if classes is None:
        return None
    if min(classes) < 1 or len(set(classes)) < len(classes):
        raise ValueError(
            f"classes must be different labels of 1 or more, got {tuple(classes)}; 0 is background and has no objects"
        )
    return tuple(int(c) for c in classes)


def _chosen(labels: Labels, classes: tuple[int, ...] | None) -> Array:
    """Return the labels with everything but the chosen classes as background."""
    if classes is None and dtype_name(labels) != "bool":
        return labels
    dtype = "uint8" if dtype_name(labels) == "bool" else dtype_name(labels)
    return run_plan(PerVoxel(partial(_only, classes=classes, dtype=dtype), dtype), labels)


def _only(block: Array, *, classes: tuple[int, ...] | None, dtype: str) -> Array:
    xp = array_namespace(block)
    values = xp.astype(block, getattr(xp, dtype))
    if classes is None:
        return values
    limits = xp.iinfo(values.dtype)
    inside = xp.zeros(values.shape, dtype=xp.bool, device=values.device)
    for value in classes:
        if limits.min <= value <= limits.max:
            inside = inside | (values == value)
    return xp.where(inside, values, xp.zeros_like(values))
