"""From a map of classes to objects: the connected parts of each class, numbered, and lines between them."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Annotated

from .._array import Array, array_namespace, dtype_name
from .._method import Items, Labels, Range, method
from .._plan import Halo, PerVoxel, run_plan
from ..processing.labels import MAX_VALUES, Connectivity, select_by_value

__all__ = ["objects", "draw_lines"]

Classes = Annotated[tuple[int, ...], Items(MAX_VALUES)]


@method("Objects", memory=17.0, tile_memory=14.5, driver_memory=40.0, device_memory=37.0, extras=("edit",))
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
    Good for: counting and measuring objects that lie apart.

    Fails when: objects touch: they are one. Split them, or cut stricter.

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


@method("Objects", working=12.0, tile_memory=5.0, device_memory=5.0, keeps="labels", extras=("edit",))
def draw_lines(labels: Labels, *, connectivity: Connectivity = 1) -> Labels:
    """Draw a line of background between labels that touch.

    Parameters
    ----------
    labels : array of int or bool, of shape ([Z,] Y, X)
        Objects or classes that touch, such as `watershed` gives; 0 is background.
    connectivity : int
        How many axes a step across a line may cross: 1 draws lines that part faces, the number of axes lines that
        part edges and corners too.

    Returns
    -------
    array of the dtype of `labels` (uint8 for bool), same shape and library
        The labels, and 0 on the lines.

    Raises
    ------
    TypeError
        If `labels` are neither integers nor booleans.
    ValueError
        If `labels` are empty or neither 2-D nor 3-D, or `connectivity` is not 1, 2 or 3; 3 means 2 on a 2-D image.

    Notes
    -----
    Good for: programs that take a mask and number its parts again, for objects much thicker than a line.

    Fails when: objects are a few voxels across: the lines take most of them.

    Exact. Of every two voxels that touch and hold different labels, the one that comes first in scan order becomes 0,
    so no two labels touch any more. A line lies on the side of the lower indices, one voxel thick where it parts
    faces. It is drawn from the finished labels, however they were found; other names of the labels change nothing. An
    object of one voxel may vanish. Memory beyond the result: a few blocks.

    Examples
    --------
    >>> import numpy as np
    >>> draw_lines(np.array([[1, 1, 2, 2, 0, 3], [1, 1, 1, 2, 2, 0]])).tolist()
    [[1, 0, 0, 2, 0, 3], [1, 1, 0, 2, 2, 0]]
    """
    dtype = "uint8" if dtype_name(labels) == "bool" else dtype_name(labels)
    lines = partial(_with_lines, connectivity=connectivity, dtype=dtype)
    return run_plan(Halo(lines, (1,) * labels.ndim, dtype), labels)


def _with_lines(block: Array, *, connectivity: int, dtype: str) -> Array:
    """Compare every voxel with its neighbours further on in scan order; those before it do so by themselves."""
    xp = array_namespace(block)
    values = xp.astype(block, getattr(xp, dtype), copy=False)
    on_line = xp.zeros(block.shape, dtype=xp.bool, device=block.device)
    for step in itertools.product((-1, 0, 1), repeat=block.ndim):
        if step > (0,) * block.ndim and sum(map(abs, step)) <= connectivity:
            sides = list(zip(step, block.shape, strict=True))
            here = tuple(slice(max(-s, 0), n - max(s, 0)) for s, n in sides)
            there = tuple(slice(max(s, 0), n - max(-s, 0)) for s, n in sides)
            a, b = values[here], values[there]
            on_line[here] = on_line[here] | ((a != b) & (a != 0) & (b != 0))
    return xp.where(on_line, xp.zeros_like(values), values)


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
