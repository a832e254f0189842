"""Reading for a preview: a box of every input, and of wholes no more than may be read.  Plain data, no Qt."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, to_numpy
from .._selection import Box, Selection
from ._channels import Channels
from ._points import PlantedPoints
from ._target import Outline, factors

__all__ = ["DrawnMask", "Sample", "in_memory", "levels", "read", "sample_of"]

Index = tuple[slice | int, ...]
"""Where to read, along every axis but c: an index takes the axis away."""

LAZY_VOXELS = 1 << 22
"""Voxels of a dask or zarr image, of all channels that are seen, that are read to learn about the whole."""

FILTERED_VOXELS = 1 << 27
"""Voxels of an image in memory that are filtered to learn about the whole; the filtered image takes memory, too."""

MOST_SLABS = 8
"""Slices, or bands of rows, that stand for an image that may not be read whole."""


@dataclass(frozen=True, slots=True, eq=False)
class DrawnMask:
    """A mask that is True inside drawn outlines.  It is cheap to make: only the box that is read of it is drawn.

    Parameters
    ----------
    outline : Outline
        What is drawn.
    factor : tuple of float
        How many voxels of full resolution one of its voxels spans, along every axis.
    shape : tuple of int
        Its shape.
    painted : array, optional
        A mask of that shape; what is 0 in it is False, too.
    """

    outline: Outline
    factor: tuple[float, ...]
    shape: tuple[int, ...]
    painted: Array | None = None

    @property
    def token(self) -> Hashable:
        """What is equal as long as the same is drawn; what is painted is known by its layer."""
        corners = tuple(tuple(map(tuple, np.asarray(polygon).tolist())) for polygon in self.outline.polygons)
        return "drawn", corners, self.outline.axes, self.factor, self.shape

    def __getitem__(self, index: Index) -> NDArray[Any]:
        """Return a box of it, as bool."""
        inside: NDArray[Any] = self.outline.mask(self.shape, self.factor)[index]
        return inside if self.painted is None else inside & (to_numpy(self.painted[index]) != 0)


def levels(source: Any) -> list[Array]:
    """Return the arrays of an input, from full resolution down; one if it is no pyramid."""
    return list(source) if isinstance(source, list | tuple) else [source]


def read(
    inputs: Mapping[str, Any], selection: Selection, level: int, factor: Sequence[float], index: Index
) -> dict[str, NDArray[Any]]:
    """Read a box of all inputs into memory; arrays in memory are not copied.

    Parameters
    ----------
    inputs : mapping of str to array or list of arrays
        The image first, as a list of its levels if it is a pyramid; all else on the level of the selection.
    selection : Selection
        Its axes and its channel.
    level : int
        Which level of the image to read.
    factor : sequence of float
        How many voxels of the selection's level one of this level spans, along every axis but c.
    index : tuple of slice or int
        Where on that level.

    Returns
    -------
    dict of str to array
        Host arrays of one shape; the image has an axis more where all channels are selected together.
    """
    held = {}
    for number, (name, source) in enumerate(inputs.items()):
        pyramid = levels(source)
        if number == 0:
            held[name] = to_numpy(selection.cut(pyramid[min(level, len(pyramid) - 1)], index))
        elif isinstance(source, PlantedPoints) and any(f != 1 for f in factor):
            shape = tuple(max(math.ceil(n / f), 1) for n, f in zip(source.shape, factor, strict=True))
            held[name] = source.lowered(factor, shape)[index]
        elif all(f == 1 for f in factor):
            held[name] = to_numpy(pyramid[0][index])
        else:
            held[name] = _nearest(pyramid[0], factor, index)
    return held


def _nearest(array: Array, factor: Sequence[float], index: Index) -> NDArray[Any]:
    """Return of every voxel of a lower level the one of this level that lies in its middle."""
    at = []
    for i, f, n in zip(index, factor, array.shape, strict=True):
        lower = np.arange(i.start, i.stop) if isinstance(i, slice) else np.array([i])
        at.append(np.clip(np.floor((lower + 0.5) * f).astype(int), 0, n - 1))
    cut = to_numpy(array[tuple(slice(int(a[0]), int(a[-1]) + 1) for a in at)])
    taken = cut[np.ix_(*(a - a[0] for a in at))]
    return taken[tuple(slice(None) if isinstance(i, slice) else 0 for i in index)]


@dataclass(frozen=True, slots=True)
class Sample:
    """What is read to learn about a whole.

    Parameters
    ----------
    inputs : mapping
        As `read` takes them.
    selection : Selection
        As `read` takes it.
    level : int
        Which level of the pyramid is read.
    factor : tuple of float
        How many voxels of the selection's level one of this level spans.
    parts : tuple of Index
        What is read at a time.
    begin : tuple of int
        First index of the whole on that level, along every axis but c.
    approximate : str
        What it is if not the whole, such as ``"level 3"``.
    """

    inputs: Mapping[str, Any]
    selection: Selection
    level: int
    factor: tuple[float, ...]
    parts: tuple[Index, ...]
    begin: tuple[int, ...]
    approximate: str = ""

    def read(self, number: int) -> dict[str, NDArray[Any]]:
        """Read one part."""
        return read(self.inputs, self.selection, self.level, self.factor, self.parts[number])

    def origin(self, number: int) -> tuple[int, ...]:
        """Return where one part begins in the whole, along the axes that are seen."""
        begun = zip(self.parts[number], self.begin, strict=True)
        return tuple(part.start - first for part, first in begun if isinstance(part, slice))


def sample_of(
    inputs: Mapping[str, Any], selection: Selection, at: tuple[int, ...], *, filtered: bool, level: int | None = None
) -> Sample:
    """Choose what to read to learn about a whole.

    Parameters
    ----------
    inputs : mapping of str to array or list of arrays
        As `read` takes them.
    selection : Selection
        What the run works on.
    at : tuple of int
        Which frame or slice, of the axes that are run one at a time; empty for all of them.
    filtered : bool
        Whether steps before the cut make a filtered image of all that is read.
    level : int, optional
        The only level of the pyramid on which it may be learnt; by default that of the run, or any below it.

    Returns
    -------
    Sample
        All of it where it is in memory and there is room for what is made of it; else a lower level of the pyramid,
        or a few slices.
    """
    pyramid = levels(next(iter(inputs.values())))
    n_channels = selection.n_channels(pyramid[0].shape)
    base = min(selection.level, len(pyramid) - 1)
    shapes = [_kept(array, selection) for array in pyramid]

    def on(lower: int) -> Sample:
        """Return all of it on one level."""
        factor = factors(shapes[base], shapes[lower])
        bounds = tuple(
            (min(math.floor(a / f), n - 1), min(max(math.ceil(b / f), math.floor(a / f) + 1), n))
            for (a, b), f, n in zip(whole, factor, shapes[lower], strict=True)
        )
        note = "" if lower == base else f"level {lower}"
        begin = tuple(start for start, _ in bounds)
        return Sample(inputs, selection, lower, factor, _parts(selection, bounds, at, factor), begin, note)

    whole = selection.box or tuple((0, n) for n in shapes[base])
    here = on(base if level is None else level)
    held = in_memory(pyramid[here.level]) and all(in_memory(levels(a)[0]) for a in list(inputs.values())[1:])
    if held and (not filtered or n_channels * _voxels(here.parts[0]) <= FILTERED_VOXELS):
        return here
    for lower in range(base + 1, len(shapes)) if level is None else ():
        sample = on(lower)
        if n_channels * sum(map(_voxels, sample.parts)) <= LAZY_VOXELS:
            return sample
    most = LAZY_VOXELS // n_channels
    slabs = tuple(itertools.chain.from_iterable(_slabs(part, len(here.parts), most) for part in _spread(here.parts)))
    if sum(map(_voxels, slabs)) == sum(map(_voxels, here.parts)):
        return here
    note = f"{len(slabs)} of its slices or bands of rows"
    return replace(here, parts=slabs, approximate=f"{note}, {here.approximate}" if here.approximate else note)


def in_memory(array: Any) -> bool:
    """Tell whether an input of a preview is in memory, or cheap to make."""
    if isinstance(array, DrawnMask):
        return array.painted is None or in_memory(array.painted)
    if isinstance(array, Channels):
        return array.in_memory
    return isinstance(array, np.ndarray | PlantedPoints)


def _kept(array: Array, selection: Selection) -> tuple[int, ...]:
    return tuple(n for n, axis in zip(array.shape, selection.axes, strict=True) if axis != "c")


def _parts(selection: Selection, bounds: Box, at: tuple[int, ...], factor: Sequence[float]) -> tuple[Index, ...]:
    """Return the parts of the run on one level, or the one that was asked for."""
    choices: list[list[slice | int]] = []
    wanted = list(at)
    for axis, (start, stop), f in zip(selection.kept_axes, bounds, factor, strict=True):
        if axis not in selection.each:
            choices.append([slice(start, stop)])
        elif wanted:
            choices.append([min(max(int(wanted.pop(0) / f), start), stop - 1)])
        else:
            choices.append(list(range(start, stop)))
    return tuple(itertools.product(*choices))


def _spread(parts: Sequence[Index]) -> list[Index]:
    """Return a few of the parts, evenly spread."""
    n = min(len(parts), MOST_SLABS)
    return [parts[(2 * i + 1) * len(parts) // (2 * n)] for i in range(n)]


def _slabs(part: Index, n_parts: int, most: int) -> list[Index]:
    """Return slices of a volume, or bands of rows of a plane, evenly spread and cut down to what may be read."""
    sliced = [at for at, i in enumerate(part) if isinstance(i, slice)]
    n_slabs = max(MOST_SLABS // n_parts, 1)
    room = most // (n_slabs * min(n_parts, MOST_SLABS))
    middle = list(part)
    for at in sliced[1:]:  # a plane that is too large by itself is cut down to its middle
        i = part[at]
        assert isinstance(i, slice)
        others = _voxels(tuple(middle[a] for a in sliced[1:] if a != at))
        n = min(i.stop - i.start, max(room // max(others if at == sliced[-1] else 1, 1), 1))
        start = i.start + (i.stop - i.start - n) // 2
        middle[at] = slice(start, start + n)
    first = part[sliced[0]]
    assert isinstance(first, slice)
    length = first.stop - first.start
    thick = 1 if len(sliced) == 3 else max(room // max(_voxels(tuple(middle[a] for a in sliced[1:])), 1), 1)
    n_slabs = min(n_slabs, -(-length // thick))
    found = []
    for number in range(n_slabs):
        centre = first.start + (2 * number + 1) * length // (2 * n_slabs)
        start = min(max(centre - thick // 2, first.start), first.stop - min(thick, length))
        middle[sliced[0]] = slice(start, min(start + thick, first.stop))
        found.append(tuple(middle))
    return found


def _voxels(part: Index) -> int:
    return math.prod(i.stop - i.start for i in part if isinstance(i, slice))
