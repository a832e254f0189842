"""Clean-up of what was cut: objects numbered, holes filled, small and cut-off objects removed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, bincount, dtype_name, from_numpy, is_host, is_lazy, ndimage, to_numpy
from .._checks import check_labels
from .._compiled import compiled
from .._method import Labels, Mask, Range
from .._monitor import stage
from .._plan import Pass, Reduce, run_plan
from .._statistics import alone
from ._per_voxel import as_dtype, per_voxel

__all__ = ["components", "fill_holes", "remove_small", "clear_border"]

Connectivity = Annotated[int, Range(1, 3)]


def components(mask: Mask, *, connectivity: Connectivity = 1) -> Labels:
    """Give every object of a mask its own number.

    Parameters
    ----------
    mask : array of shape ([Z,] Y, X)
        Boolean or integer; any non-zero voxel belongs to an object.
    connectivity : int
        How many axes a step between two voxels of one object may cross: 1 is faces only, the number of axes
        includes edges and corners.

    Returns
    -------
    int32 array, same shape and library as `mask`
        0 is background; objects are numbered from 1 by their first voxel in scan order, on every device and
        in every tiling.

    Raises
    ------
    TypeError
        If `mask` holds floats.
    ValueError
        If `connectivity` is not 1, 2 or 3; 3 means 2 on a 2-D image.

    Notes
    -----
    Exact. Memory: 4 bytes per voxel for the result.
    """
    _check_mask(mask, connectivity)
    if is_lazy(mask):
        from ..blockwise import lazy_components

        return lazy_components(mask, connectivity)
    return label_components(_inside(mask), connectivity)[0]


def fill_holes(mask: Mask, *, connectivity: Connectivity = 1) -> Mask:
    """Fill what an object encloses on all sides.

    Parameters
    ----------
    mask : array of shape ([Z,] Y, X)
        Boolean or integer; any non-zero voxel belongs to an object.
    connectivity : int
        How many axes a step through a hole may cross: 1 is faces only, so that a wall which touches itself
        at corners holds.

    Returns
    -------
    bool array, same shape and library as `mask`
        The objects without holes. Background that touches an edge of the image is no hole.

    Raises
    ------
    TypeError
        If `mask` holds floats.
    """
    _check_mask(mask, connectivity)
    if is_lazy(mask):
        from ..blockwise import lazy_fill_holes

        return lazy_fill_holes(mask, connectivity)
    inside = _inside(mask)
    holes, n = label_components(~inside, connectivity)
    return inside | _looked_up(~touching_border(holes, n), holes)


def remove_small(mask: Mask, *, min_size: Annotated[int, Range(0, 2**40)], connectivity: Connectivity = 1) -> Mask:
    """Remove objects of fewer voxels than a minimum.

    Parameters
    ----------
    mask : array of shape ([Z,] Y, X)
        Boolean or integer; any non-zero voxel belongs to an object.
    min_size : int
        Objects of fewer voxels are removed.
    connectivity : int
        How many axes a step between two voxels of one object may cross.

    Returns
    -------
    bool array, same shape and library as `mask`
        The objects that are large enough.

    Raises
    ------
    TypeError
        If `mask` holds floats.
    ValueError
        If `min_size` is negative.
    """
    Range(0, 2**40).check("min_size", min_size)
    return _numbered(select(mask, connectivity=connectivity, min_size=min_size))


def clear_border(mask: Mask, *, connectivity: Connectivity = 1) -> Mask:
    """Remove objects that touch an edge of the image.

    Parameters
    ----------
    mask : array of shape ([Z,] Y, X)
        Boolean or integer; any non-zero voxel belongs to an object. An axis of one voxel has no edges.
    connectivity : int
        How many axes a step between two voxels of one object may cross.

    Returns
    -------
    bool array, same shape and library as `mask`
        The objects that lie wholly inside.

    Raises
    ------
    TypeError
        If `mask` holds floats.
    """
    return _numbered(select(mask, connectivity=connectivity, inside=True))


def select(mask: Mask, *, connectivity: int, min_size: int = 0, inside: bool = False) -> Labels:
    """Give numbers to the objects that are large enough and, if asked, touch no edge of the image.

    Parameters
    ----------
    mask : array of shape ([Z,] Y, X)
        Boolean or integer; any non-zero voxel belongs to an object.
    connectivity : int
        How many axes a step between two voxels of one object may cross.
    min_size : int
        Objects of fewer voxels are left out.
    inside : bool
        True leaves out objects that touch an edge of the image.

    Returns
    -------
    int32 array
        The chosen objects, numbered without gaps by their first voxel in scan order.
    """
    _check_mask(mask, connectivity)
    if is_lazy(mask):
        from ..blockwise import lazy_components

        return lazy_components(mask, connectivity, min_size=min_size, inside=inside)
    labels, n = label_components(_inside(mask), connectivity)
    if min_size <= 1 and not inside:
        return labels
    keep = np.ones(n + 1, bool)
    if min_size > 1:
        keep &= bincount(labels, n + 1) >= min_size
    if inside:
        keep &= ~touching_border(labels, n)
    return _looked_up(renumbering(keep), labels)


def select_by_value(labels: Labels, *, connectivity: int, min_size: int = 0, inside: bool = False) -> Labels:
    """Do what `select` does, where touching voxels of different labels belong to different objects.

    Parameters
    ----------
    labels : integer array of shape ([Z,] Y, X)
        0 is background; at most 255 other labels.
    connectivity : int
        How many axes a step between two voxels of one object may cross.
    min_size : int
        Objects of fewer voxels are left out.
    inside : bool
        True leaves out objects that touch an edge of the image.

    Returns
    -------
    int32 array
        The chosen objects of all labels, numbered without gaps by their first voxel in scan order.
    """
    if is_lazy(labels):
        from ..blockwise import lazy_components

        return lazy_components(labels, connectivity, min_size=min_size, inside=inside, by_value=True)
    found, values = label_by_value(labels, connectivity)
    n = len(values) - 1
    keep = np.ones(n + 1, bool)
    if min_size > 1:
        keep &= bincount(found, n + 1) >= min_size
    if inside:
        keep &= ~touching_border(found, n)
    return _looked_up(_numbers(_first_voxels(found, n), keep), found)


def select_regions(labels: Labels, *, min_size: int = 0, inside: bool = False) -> Labels:
    """Keep the regions that are large enough and, if asked, touch no edge of the image; labels keep their numbers.

    Parameters
    ----------
    labels : int32 array of shape ([Z,] Y, X)
        One label per region, connected or not; 0 is background.
    min_size : int
        Regions of fewer voxels become 0.
    inside : bool
        True makes regions that touch an edge of the image 0; an axis of one voxel has no edges.

    Returns
    -------
    int32 array
        The regions that are kept.
    """
    if min_size <= 1 and not inside:
        return as_dtype(labels, "int32")
    plan = Reduce(Found(min_size), (_REGIONS,), _unwanted, _without, "int32")
    with alone():
        return run_plan(plan, labels, _rim(labels) if inside else None)


def _none() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Found:
    """The regions that were found so far.

    Parameters
    ----------
    min_size : int
        Fewest voxels of a region that is kept.
    values, sizes, touching : arrays of shape (n,)
        The labels that occur, how many voxels each has, and how many of them lie on an edge of the image.
    """

    min_size: int
    values: NDArray[np.int64] = field(default_factory=_none)
    sizes: NDArray[np.int64] = field(default_factory=_none)
    touching: NDArray[np.int64] = field(default_factory=_none)


def _rim(labels: Labels) -> Array:
    """Return where the edges of an image are."""
    if is_lazy(labels):
        from ..blockwise import lazy_rim

        return lazy_rim(labels)
    xp = array_namespace(labels)
    rim = xp.zeros(labels.shape, dtype=xp.uint8, device=labels.device)
    for axis, n in enumerate(labels.shape):
        if n > 1:
            for at in (0, n - 1):
                rim[tuple(at if a == axis else slice(None) for a in range(labels.ndim))] = 1
    return rim


def _count_regions(state: Found, labels: Array, rim: Array | None) -> Found:
    xp = array_namespace(labels)
    flat = xp.reshape(labels, (-1,))
    values, sizes = (to_numpy(a).astype(np.int64) for a in xp.unique_counts(flat))
    touching = np.zeros_like(sizes)
    if rim is not None:
        there, n = (to_numpy(a).astype(np.int64) for a in xp.unique_counts(flat[xp.reshape(rim, (-1,)) != 0]))
        order = np.argsort(values)
        touching[order[np.searchsorted(values, there, sorter=order)]] = n
    return Found(state.min_size, values, sizes, touching)


def _added_regions(a: Found, b: Found) -> Found:
    values, at = np.unique(np.concatenate([a.values, b.values]), return_inverse=True)
    sizes, touching = np.zeros((2, len(values)), np.int64)
    np.add.at(sizes, at, np.concatenate([a.sizes, b.sizes]))
    np.add.at(touching, at, np.concatenate([a.touching, b.touching]))
    return Found(a.min_size, values, sizes, touching)


_REGIONS = Pass(_count_regions, _added_regions, lambda _, found: found, lambda _: True, "measuring regions")


def _unwanted(found: Found) -> NDArray[np.int64]:
    """Return the labels of the regions that are too small or touch an edge, rising."""
    values = found.values[(found.sizes < found.min_size) | (found.touching > 0)]
    return np.sort(values)  # those of one block come as its library counts them


def _without(unwanted: NDArray[np.int64], labels: Array, _: Array | None) -> Array:
    if not unwanted.size:
        return labels
    xp, table = array_namespace(labels), from_numpy(unwanted, like=labels)
    flat = xp.astype(xp.reshape(labels, (-1,)), xp.int64)
    at = xp.searchsorted(table, flat)
    at = xp.where(at < table.shape[0], at, xp.zeros_like(at))
    is_unwanted = xp.reshape(xp.take(table, at) == flat, labels.shape)
    return xp.where(is_unwanted, xp.zeros_like(labels), labels)


def reaching(mask: Mask, strict: Mask, *, connectivity: int) -> Mask:
    """Keep the objects of `mask` that hold at least one voxel of `strict`.

    Parameters
    ----------
    mask : bool array of shape ([Z,] Y, X)
        The objects.
    strict : bool array of the shape of `mask`
        Voxels that an object must hold.
    connectivity : int
        How many axes a step between two voxels of one object may cross.

    Returns
    -------
    bool array
        The objects that hold one.
    """
    if is_lazy(mask):
        from ..blockwise import lazy_components

        return _numbered(lazy_components(mask, connectivity, strict=strict))
    stage("connecting voxels")
    labels, n = label_components(mask, connectivity)
    keep = bincount(labels[strict], n + 1) > 0
    keep[0] = False
    return _looked_up(keep, labels)


def _looked_up(table: NDArray[Any], labels: Array) -> Array:
    """Return the entry of a host table for every label."""
    xp = array_namespace(labels)
    return xp.reshape(xp.take(from_numpy(table, like=labels), xp.reshape(labels, (-1,))), labels.shape)


def renumbering(keep: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the new number of every label: without gaps for those kept, 0 for the rest and for 0."""
    keep = keep.copy()
    keep[0] = False
    return np.where(keep, np.cumsum(keep), 0).astype(np.int32)


def touching_border(labels: Array, n: int) -> NDArray[np.bool_]:
    """Tell for every label 0 to `n` whether it touches an edge of the image; axes of one voxel have none."""
    touching = np.zeros(n + 1, bool)
    for face in _faces(labels):
        touching |= bincount(face, n + 1) > 0
    return touching


def _faces(labels: Array) -> Iterator[Array]:
    for axis, size in enumerate(labels.shape):
        if size > 1:
            for at in (0, size - 1):
                yield labels[tuple(at if a == axis else slice(None) for a in range(labels.ndim))]


def label_components(inside: Array, connectivity: int) -> tuple[Array, int]:
    """Return the components of a boolean array, numbered by first voxel in scan order, and how many there are.

    Both libraries number components in that order: SciPy because it scans lines and keeps the smallest
    number of a merged pair, CuPy because it sorts the roots of a union-find whose roots are smallest indices.
    """
    library = ndimage(inside)
    structure = library.generate_binary_structure(inside.ndim, min(connectivity, inside.ndim))
    labels, n = library.label(inside, structure)
    xp = array_namespace(labels)
    return xp.astype(labels, xp.int32, copy=False), int(n)


def _numbers(first: NDArray[np.int64], keep: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the number of every object by the rank of its first voxel among those kept; 0 for the rest and for 0."""
    keep = keep.copy()
    keep[0] = False
    order = np.argsort(first, kind="stable")
    numbers = np.zeros(len(first), np.int32)
    numbers[order] = np.where(keep[order], np.cumsum(keep[order]), 0)
    return numbers


def _first_voxels(labels: Array, n: int) -> NDArray[np.int64]:
    """Return the linear index of the first voxel of every label 0 to `n`; -1 for those that do not occur."""
    first = np.full(n + 1, -1, np.int64)
    if is_host(labels):
        _find_first(np.ascontiguousarray(labels).reshape(-1), first)
        return first
    xp = array_namespace(labels)
    found: Any = xp.unique_all(xp.reshape(labels, (-1,)))
    first[to_numpy(found.values)] = to_numpy(found.indices)
    return first


@compiled
def _find_first(labels: NDArray[np.int32], first: NDArray[np.int64]) -> None:
    for i in range(labels.size):
        if first[labels[i]] < 0:
            first[labels[i]] = i


MAX_VALUES = 255
"""Most values whose components are found one value after the other; more labels than this number objects."""


def label_by_value(labels: Labels, connectivity: int) -> tuple[Array, NDArray[np.int64]]:
    """Give a number to every component of equal labels, and return the label of each.

    Parameters
    ----------
    labels : integer array of shape ([Z,] Y, X)
        0 is background.
    connectivity : int
        How many axes a step between two voxels of one component may cross.

    Returns
    -------
    int32 array, same shape and library as `labels`
        Components from 1 to n, by their label and then by their first voxel in scan order.
    int64 array of shape (n + 1,)
        The label of each component; 0 for the background.

    Raises
    ------
    ValueError
        If there are more than 255 different labels besides 0, or one does not fit into int64.
    """
    xp = array_namespace(labels)
    values = [value for value in _values(labels) if value != 0]
    if len(values) > MAX_VALUES:
        raise ValueError(
            f"labels hold {len(values)} different labels, and at most {MAX_VALUES} are taken for classes; they seem to "
            "number objects already, or name some of them as classes"
        )
    found, of = xp.zeros(labels.shape, dtype=xp.int32, device=labels.device), [0]
    for value in values:
        new, n = label_components(labels == value, connectivity)
        found = xp.where(new > 0, new + (len(of) - 1), found)
        of += [value] * n
    if max(of) > MAX_LABEL:
        raise ValueError(f"labels hold {max(of)}, and labels must be at most {MAX_LABEL}; renumber it")
    return found, np.asarray(of, np.int64)


MAX_LABEL = 2**63 - 1
"""Largest label that int64 holds."""


def _values(labels: Labels) -> list[int]:
    """Return the labels that occur, rising; on the host those of runs of equal labels, which are few to sort."""
    xp = array_namespace(labels)
    flat = xp.reshape(labels, (-1,))
    if is_host(labels):
        flat = flat[np.concatenate(([True], flat[1:] != flat[:-1]))]
    return [int(value) for value in to_numpy(xp.unique_values(flat))]


def _inside(mask: Mask) -> Array:
    return mask if dtype_name(mask) == "bool" else mask != 0


def _numbered(numbers: Labels) -> Mask:
    """Return where there is an object."""
    return per_voxel(_is_positive, "bool", [numbers])


def _is_positive(numbers: Array) -> Array:
    return numbers > 0


def _check_mask(mask: Mask, connectivity: int) -> None:
    array_namespace(mask)
    check_labels("mask", mask, mask.shape, boolean=True)
    Range(1, 3).check("connectivity", connectivity)
