"""Several Image layers as the channels of one image.  No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, is_lazy, to_numpy
from . import _layers
from ._target import Target, levels_of

__all__ = ["Channels", "channel_problem", "with_channels"]

Layer = Any
"""A napari layer."""


@dataclass(frozen=True, slots=True, eq=False)
class Channels:
    """Arrays of one shape as the channels of one, along its first axis.  Only what is read of it is copied.

    Parameters
    ----------
    arrays : tuple of array
        NumPy, dask or zarr.
    """

    arrays: tuple[Array, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """How many arrays there are, and their shape."""
        return (len(self.arrays), *self.arrays[0].shape)

    @property
    def ndim(self) -> int:
        """One more than that of the arrays."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """What holds the values of all of them."""
        return np.result_type(*(array.dtype for array in self.arrays))

    @property
    def in_memory(self) -> bool:
        """True if all arrays are NumPy's."""
        return all(isinstance(array, np.ndarray) for array in self.arrays)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Return a part in memory: an index or a slice of the channels, and what is wanted of each."""
        first, *rest = index if isinstance(index, tuple) else (index,)
        if not isinstance(first, slice):
            return to_numpy(self.arrays[first][tuple(rest)])
        return np.stack([to_numpy(array[tuple(rest)]) for array in self.arrays[first]])

    def as_input(self) -> Any:
        """Return what a run takes: itself, or where an array is not in memory, a dask array."""
        if self.in_memory:
            return self
        import dask.array as da

        return da.stack([array if is_lazy(array) else da.from_array(array) for array in self.arrays])


def channel_problem(image: Layer, other: Layer) -> str:
    """Say why a layer cannot be a channel beside an image; empty if it can.

    Parameters
    ----------
    image, other : napari Image layer
        The image, and the layer that shall be looked at together with it.

    Returns
    -------
    str
        One sentence.
    """
    if other.rgb:
        return f"'{other.name}' is a colour image; split its channels (right-click)"
    if len(shapes := _shapes(other)) != len(_shapes(image)):
        return f"'{other.name}' has {len(shapes)} levels, and '{image.name}' has {len(_shapes(image))}"
    if shapes != _shapes(image):
        return f"'{other.name}' has shape {shapes[0]}, and '{image.name}' has {_shapes(image)[0]}"
    if not _layers.same_place(image, other):
        return f"'{other.name}' lies elsewhere than '{image.name}'; copy its scale and transforms (right-click)"
    return ""


def _shapes(layer: Layer) -> list[tuple[int, ...]]:
    return [tuple(array.shape) for array in levels_of(layer)]


def with_channels(aim: Target, layers: Sequence[Layer]) -> Target:
    """Return a target on several layers together.

    Parameters
    ----------
    aim : Target
        What a run works on in the first of them, which has no axis of channels.
    layers : sequence of napari Image layer
        The channels, none of which has a `channel_problem`.

    Returns
    -------
    Target
        The same of all of them, as channels along a first axis.
    """
    selection = replace(aim.selection, axes=f"c{aim.selection.axes}", channel="all")
    array = Channels(tuple(levels_of(layer)[selection.level] for layer in layers))
    return replace(aim, selection=selection, array=array)
