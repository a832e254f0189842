"""Exact Euclidean distance from every voxel of an object to the nearest voxel outside it.

Squared distances are integers: the edges of a voxel are counted in 1/1024 of the smallest one, so sums and
comparisons are exact and every device and tiling finds the same. One sweep per axis, as in the papers that `distance`
names, and the root at the end. Objects that touch are kept apart by their labels: a sweep works inside runs of equal
labels, and the voxel at which a run ends is a voxel outside the object. That is exact, because what lies beyond it on
the line is farther than it is, and what lies off the line is known to the voxels of the run from the sweeps before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import kernels
from .._array import Array, array_namespace, contiguous, dtype_name, empty, is_host, is_lazy
from .._checks import check_source_labels
from .._method import Labels
from .._monitor import stage
from .._plan import BLOCK_VOXELS, PerVoxel, Slices, blocks_of, each, run_plan
from ._envelope import lower_envelopes, nearest_in_rows
from .filters import edges

__all__ = ["distance"]

FAR = {"int32": 2**31 - 1, "int64": 2**62}
"""What stands for a squared distance that is not known yet, in each dtype; more than any that is."""

MAX_SQUARED = 2**61
"""Largest squared distance whose sums with another one fit into int64."""


def distance(labels: Labels, *, spacing: Sequence[float] | None = None) -> Array:
    """Measure how far every voxel of an object is from the nearest voxel outside it.

    Lengths are taken between the centres of voxels. An object ends where its label ends, so objects that touch
    keep each other at a distance; the edge of the image is not an end, since nobody knows what lies beyond it.

    Parameters
    ----------
    labels : array of shape ([Z,] Y, X)
        Integers, 0 is background, any other value an object; or a boolean mask, which is one object.
    spacing : sequence of float, optional
        World length of a voxel along each axis. Ratios are rounded to 1/1024.

    Returns
    -------
    float32 array, same shape and library as `labels`
        In edges of the smallest voxel: multiply by ``min(spacing)`` for world units. 0 on background. Infinite
        everywhere if the whole image is one object, which has no outside.

    Raises
    ------
    TypeError
        If `labels` holds floats.
    ValueError
        If `labels` is empty or neither 2-D nor 3-D, if `spacing` does not fit it, or if the edges of a voxel are so
        unequal that squared distances do not fit into int64.

    Notes
    -----
    Exact: squared distances are integers; their root is taken in float64 and rounded to float32, the nearest one as
    long as squares stay below 2**53. Every device and tiling gives the same bits. Time on the host: linear in the
    voxels. Memory beyond the result: a few blocks, and 8 bytes per voxel where squared distances need int64, as on
    most anisotropic volumes. On a GPU 4 bytes per voxel, or 12. A dask array is read once per axis.

    References
    ----------
    .. [1] A. Meijster, J. B. T. M. Roerdink and W. H. Hesselink, "A general algorithm for computing distance transforms
       in linear time", in Mathematical Morphology and its Applications to Image and Signal Processing (2000) 331-340.
       DOI:10.1007/0-306-47025-X_36
    .. [2] P. F. Felzenszwalb and D. P. Huttenlocher, "Distance transforms of sampled functions", Theory of Computing 8
       (2012) 415-428. DOI:10.4086/toc.2012.v008a019

    Examples
    --------
    >>> import numpy as np
    >>> import napari_cutout as nc
    >>> labels = np.array([[0, 1, 1, 1, 2, 2]])
    >>> nc.distance(labels).tolist()
    [[0.0, 1.0, 2.0, 1.0, 1.0, 2.0]]
    >>> nc.distance(labels, spacing=(0.5, 1)).tolist()
    [[0.0, 2.0, 4.0, 2.0, 2.0, 4.0]]
    """
    array_namespace(labels)
    check_source_labels("labels", labels)
    weights = weights_of(spacing, labels.ndim)
    squared = squared_distance(labels, weights)
    stage("taking roots")
    roots = partial(_roots, unit=min(weights))
    return _in_place(roots, squared) if is_host(squared) else run_plan(PerVoxel(roots, "float32"), squared)


def weights_of(spacing: Sequence[float] | None, ndim: int) -> tuple[int, ...]:
    """Return the edges of a voxel as integers without a common divisor; the smallest is 1 or another power of two."""
    steps = edges(spacing, ndim)
    common = math.gcd(*steps)
    return tuple(step // common for step in steps)


def squared_distance(labels: Labels, weights: tuple[int, ...]) -> Array:
    """Return the squared distance from every voxel of an object to the nearest voxel outside it.

    Parameters
    ----------
    labels : integer or boolean array of shape ([Z,] Y, X)
        0 is background; objects end where their labels end.
    weights : tuple of int
        Edge of a voxel along each axis, in any unit.

    Returns
    -------
    int32 or int64 array, same shape and library as `labels`
        In squared units of `weights`; int32 where all that this shape can have fit. 0 on background, and the
        dtype's entry of `FAR` everywhere if the whole image is one object.

    Raises
    ------
    ValueError
        If squared distances do not fit into int64.
    """
    weights = tuple(w if n > 1 else 1 for w, n in zip(weights, labels.shape, strict=True))
    dtype = squared_dtype(labels.shape, weights)
    if is_lazy(labels):
        from ..blockwise import lazy_squared_distance

        return lazy_squared_distance(labels, weights, dtype)
    squared, labels = None, comparable(labels)
    for axis in swept_axes(labels.shape):
        stage(f"measuring distances along {'zyx'[axis - labels.ndim]}")
        squared = swept(labels, squared, axis=axis, weight=weights[axis], dtype=dtype)
    return squared


def squared_dtype(shape: tuple[int, ...], weights: tuple[int, ...]) -> str:
    """Return the dtype that holds all squared distances of an image, or raise if there is none."""
    largest = sum((w * (n - 1)) ** 2 for w, n in zip(weights, shape, strict=True))
    if largest > MAX_SQUARED:
        raise ValueError(
            f"an image of shape {tuple(shape)} whose voxels have edges of {' : '.join(map(str, weights))} has squared "
            f"distances up to {largest:.2g}, and at most {MAX_SQUARED:.2g} is exact; check spacing, or resample the "
            "image to voxels with less unequal edges"
        )
    return "int32" if largest < FAR["int32"] else "int64"


def swept_axes(shape: tuple[int, ...]) -> list[int]:
    """Return the axes along which distances spread, the last one first; axes of one voxel are left out."""
    return [axis for axis in reversed(range(len(shape))) if shape[axis] > 1] or [len(shape) - 1]


def comparable(labels: Labels) -> Array:
    """Return labels in C order; on the host as unsigned integers, since only whether two are equal counts."""
    ordered = contiguous(labels)
    return ordered.view(f"u{labels.dtype.itemsize}") if is_host(labels) else ordered


def swept(
    labels: Array, squared: Array | None, *, axis: int, weight: int, dtype: str, on_all_processors: bool = True
) -> Array:
    """Return squared distances after one more sweep.

    Parameters
    ----------
    labels : array of shape ([Z,] Y, X)
        As `comparable` returns them; whole lines along `axis`.
    squared : int32 or int64 array of the same shape, or None
        What the sweeps before have found; overwritten on the host. None before the first one, whose axis is the
        last that is longer than one voxel.
    axis : int
        Along which distances spread.
    weight : int
        Edge of a voxel along `axis`.
    dtype : str
        Of the result.
    on_all_processors : bool
        False where other blocks keep them busy.

    Returns
    -------
    int32 or int64 array
        C-contiguous; `squared` itself on the host.
    """
    if not is_host(labels):
        return _swept_on_device(labels, squared, axis, weight, dtype)
    first = squared is None
    values: Array = np.empty(labels.shape, dtype) if squared is None else squared
    lines = (math.prod(labels.shape[:axis]), labels.shape[axis], math.prod(labels.shape[axis + 1 :]))
    of, to = labels.reshape(lines), values.reshape(lines)

    def sweep(region: Slices) -> None:
        outer, _, inner = ((s.start, s.stop) for s in region)
        if first:
            nearest_in_rows(of, to, weight**2, FAR[dtype], *outer)
        else:
            lower_envelopes(of, to, weight**2, FAR[dtype], outer, inner)

    if not on_all_processors:
        sweep(tuple(slice(0, n) for n in lines))
        return values
    for _ in each(sweep, blocks_of(to[:, :1], max(BLOCK_VOXELS // 2 // lines[1], 1)), to):
        pass
    return values


LABEL_TYPES = {
    "bool": "bool", "int8": "signed char", "uint8": "unsigned char", "int16": "short", "uint16": "unsigned short",
    "int32": "int", "uint32": "unsigned int", "int64": "long long", "uint64": "unsigned long long",
}  # fmt: skip
"""What the dtypes of labels are called in CUDA C."""

SQUARED_TYPES = {"int32": "int", "int64": "long long"}


def _swept_on_device(labels: Array, squared: Array | None, axis: int, weight: int, dtype: str) -> Array:
    """Do what `swept` does with a kernel, into a new array."""
    index = kernels.index_of(labels.size)
    types = {"LABEL": LABEL_TYPES[dtype_name(labels)], "SQUARED": SQUARED_TYPES[dtype]}
    module = kernels.load("distance", labels, INDEX=index.define, **types)
    after = empty(labels.shape, dtype, like=labels)
    grid = (labels.size, labels.shape[axis], math.prod(labels.shape[axis + 1 :]))
    numbers = (index.scalar(n) for n in grid)
    kernels.launch(module, "distance_sweep", labels.size, labels, squared, after, *numbers, np.int64(weight**2))
    return after


def _in_place(roots: Callable[[Array], Array], squared: NDArray[Any]) -> NDArray[np.float32]:
    """Take roots block by block, into the memory of the squares where a root is as wide."""
    flat = squared.reshape(-1)
    found = flat.view(np.float32) if flat.dtype == np.int32 else np.empty(flat.size, np.float32)

    def fill(region: Slices) -> None:
        found[region] = roots(flat[region])

    for _ in each(fill, blocks_of(flat, BLOCK_VOXELS // 8), flat):
        pass
    return found.reshape(squared.shape)


def _roots(squared: Array, unit: int) -> Array:
    """Return the roots of a block in multiples of `unit`, a power of two, so that dividing rounds nothing.

    One voxel tells whether all of the image is one object: as soon as there are two values, every voxel has a
    nearest one that differs from it.
    """
    xp = array_namespace(squared)
    if int(squared[(0,) * squared.ndim]) == FAR[dtype_name(squared)]:
        return xp.full_like(squared, math.inf, dtype=xp.float32)
    return xp.astype(xp.sqrt(xp.astype(squared, xp.float64)) / unit, xp.float32)
