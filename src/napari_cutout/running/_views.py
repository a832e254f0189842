"""Parts of stored arrays that are not read yet, and what a run in sweeps reads of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, is_lazy
from .._plan import Slices
from .._selection import Part, Selection
from ..blockwise import Source, Stored
from ..processing.filters import grey

__all__ = ["Eager", "View", "selection_of_part", "source_of_part"]

Index = tuple[int | slice, ...]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A part of a stored array with its axes in some order: indexed and turned like an array, and not read.

    Parameters
    ----------
    base : object
        With shape, dtype, and regions by ``base[index]``: a Zarr, dask or NumPy array.
    index : tuple of int and slice
        What of each axis of `base`; slices have a start and a stop.
    order : tuple of int or None
        Which axis of `base` each axis of the view is; None for a new one of length 1.
    """

    base: Any
    index: Index
    order: tuple[int | None, ...]

    @classmethod
    def of(cls, base: Any) -> View:
        """Return a view of all of an array."""
        if isinstance(base, View):
            return base
        shape = tuple(map(int, base.shape))
        return cls(base, tuple(slice(0, n) for n in shape), tuple(range(len(shape))))

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return tuple(1 if axis is None else self._slice(axis).stop - self._slice(axis).start for axis in self.order)

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self.order)

    @property
    def dtype(self) -> Any:
        """The dtype of the voxels."""
        return np.dtype(self.base.dtype)

    @property
    def chunks(self) -> tuple[int, ...]:
        """Edges of what is stored together."""
        found = getattr(self.base, "chunks", None)
        edges = self.base.shape if not found else [c if isinstance(c, int) else max(c) for c in found]
        return tuple(
            1 if axis is None else min(int(edges[axis]), n) for axis, n in zip(self.order, self.shape, strict=True)
        )

    def _slice(self, axis: int) -> slice:
        found = self.index[axis]
        assert isinstance(found, slice)
        return found

    def transpose(self, order: Sequence[int]) -> View:
        """Return the axes in another order."""
        return View(self.base, self.index, tuple(self.order[axis] for axis in order))

    def __getitem__(self, key: Any) -> View:
        """Return a part: integers, slices of step 1, and None for a new axis."""
        keys = list(key) if isinstance(key, tuple) else [key]
        keys += [slice(None)] * (self.ndim - sum(k is not None for k in keys))
        axes = iter(zip(self.order, self.shape, strict=True))
        index = list(self.index)
        order: list[int | None] = []
        for wanted in keys:
            if wanted is None:
                order.append(None)
                continue
            axis, n = next(axes)
            part = _part(wanted, n)
            if axis is not None:
                index[axis] = _within(self._slice(axis), part)
            if isinstance(part, slice):
                order.append(axis)
        return View(self.base, tuple(index), tuple(order))

    def read(self) -> NDArray[Any]:
        """Read what is seen."""
        found = self.base[self.index]
        block = np.asarray(found.compute(scheduler="sync") if is_lazy(found) else found)
        kept = [axis for axis, part in enumerate(self.index) if isinstance(part, slice)]
        ordered = block.transpose([kept.index(axis) for axis in self.order if axis is not None])
        return ordered[tuple(None if axis is None else slice(None) for axis in self.order)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Read what is seen."""
        return np.asarray(self.read(), dtype=dtype)


def _part(wanted: int | slice, n: int) -> int | slice:
    """Return an index or a slice with a start and a stop, of an axis of this length."""
    if not isinstance(wanted, slice):
        return int(wanted) + (n if wanted < 0 else 0)
    start, stop, step = wanted.indices(n)
    if step != 1:
        raise ValueError(f"a view takes every voxel, got {wanted}")
    return slice(start, max(stop, start))


def _within(outer: slice, part: int | slice) -> int | slice:
    """Return a part of a part."""
    if isinstance(part, slice):
        return slice(outer.start + part.start, outer.start + part.stop)
    return int(outer.start) + part


@dataclass(frozen=True, slots=True, eq=False)
class Eager:
    """A view whose parts are read when they are asked for, as those of a Zarr array.

    Parameters
    ----------
    view : View
        What is seen.
    """

    view: View

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return self.view.shape

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return self.view.ndim

    @property
    def dtype(self) -> Any:
        """The dtype of the voxels."""
        return self.view.dtype

    @property
    def chunks(self) -> tuple[int, ...]:
        """Edges of what is stored together."""
        return self.view.chunks

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Read a part."""
        return self.view[key].read()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Read it all."""
        return np.asarray(self.view.read(), dtype=dtype)


def selection_of_part(selection: Selection) -> Selection:
    """Return what a recipe selects of one part as `source_of_part` gives it: all channels together come first."""
    if selection.channel != "all":
        return selection.of_part
    return Selection(f"c{selection.run_axes}", channel="all")


def source_of_part(selection: Selection, view: View, part: Part, device: Any) -> Source:
    """Return what a run in sweeps reads of one part of an input.

    Parameters
    ----------
    selection : Selection
        Which channels.
    view : View
        The input as it is stored, with or without channels.
    part : tuple of slice and int
        Which part.
    device : {"cpu", "gpu"}
        Where its regions are brought to.

    Returns
    -------
    Source
        All channels together come first.
    """
    picked = selection.picked(view, part)
    axis = selection.channels_at(view)
    if axis is None:
        return Stored(Eager(picked), device)
    if selection.channel == "grey":
        return _Grey(Stored(Eager(picked), device), axis)
    return Stored(Eager(picked.transpose([axis, *(at for at in range(picked.ndim) if at != axis)])), device)


@dataclass(frozen=True, slots=True, eq=False)
class _Grey:
    """The mean of channels; they stay where they are stored, so that it is that of the whole to the last bit."""

    channels: Stored
    axis: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return tuple(n for axis, n in enumerate(self.channels.shape) if axis != self.axis)

    @property
    def dtype(self) -> str:
        """The dtype of what is read."""
        return "float32"

    def read(self, region: Slices) -> Array:
        """Read all channels of a region, and return their mean."""
        every = slice(0, self.channels.shape[self.axis])
        return grey(self.channels.read((*region[: self.axis], every, *region[self.axis :])), channel_axis=self.axis)
