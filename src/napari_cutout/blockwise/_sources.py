"""Small sources of a run in sweeps, and what methods see of them: channels, lines along an axis, the rim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _device
from .._array import Array, array_namespace
from .._plan import Slices
from ._made import Source, costly, keep, lazy, source_of
from ._sweeps import current

__all__ = ["lazy_channels", "lazy_keep", "lazy_line", "lazy_rim"]


def lazy_keep(array: Array, name: str) -> Array:
    """Return a dask array that can be read again and again: in a run in sweeps it is stored first, if it is costly.

    Parameters
    ----------
    array : dask array
        Outside of a run in sweeps it stays what it is.
    name : str
        What the user reads while it is stored.
    """
    if current() is None or not costly(source := source_of(array)):
        return array
    return lazy(keep(source, name, array.chunks), array.chunks)


def lazy_channels(image: Array, axis: int) -> list[Array]:
    """Return the channels of a dask array.

    Parameters
    ----------
    image : dask array
        With channels along one axis.
    axis : int
        Which.
    """
    before = (slice(None),) * axis
    n = int(image.shape[axis])
    if current() is None:
        return [image[(*before, channel, ...)] for channel in range(n)]
    source, chunks = source_of(image), image.chunks[:axis] + image.chunks[axis + 1 :]
    return [lazy(_Channel(source, axis, channel), chunks) for channel in range(n)]


@dataclass(frozen=True, slots=True, eq=False)
class _Channel:
    """One channel of a source."""

    source: Source
    axis: int
    channel: int

    @property
    def parents(self) -> tuple[Source]:
        """What it is read from."""
        return (self.source,)

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return self.source.shape[: self.axis] + self.source.shape[self.axis + 1 :]

    @property
    def dtype(self) -> str:
        """The dtype of what is read."""
        return self.source.dtype

    def read(self, region: Slices) -> Array:
        """Return a region of the channel."""
        of_all = (*region[: self.axis], slice(self.channel, self.channel + 1), *region[self.axis :])
        block = self.source.read(of_all)
        return array_namespace(block).squeeze(block, axis=self.axis)


def lazy_line(line: NDArray[Any], like: Array) -> Array:
    """Return an array that is the same along all axes but one.

    Parameters
    ----------
    line : array
        With one voxel along all axes but one.
    like : dask array
        Its shape and chunks.
    """
    if current() is not None:
        return lazy(_Line(line, tuple(map(int, like.shape)), _device_of_run()), like.chunks)
    import dask.array as da

    chunks = tuple(sizes if n > 1 else 1 for sizes, n in zip(like.chunks, line.shape, strict=True))
    return da.broadcast_to(da.from_array(line, chunks), like.shape, chunks=like.chunks)


@dataclass(frozen=True, slots=True, eq=False)
class _Line:
    """Numbers along one axis, repeated along the others."""

    line: NDArray[Any]
    shape: tuple[int, ...]
    device: Any
    parents: tuple[()] = ()

    @property
    def dtype(self) -> str:
        """The dtype of what is read."""
        return str(self.line.dtype)

    def read(self, region: Slices) -> Array:
        """Return a region, as a view of the line."""
        part = self.line[tuple(s if n > 1 else slice(None) for s, n in zip(region, self.line.shape, strict=True))]
        placed = _device.place(part, self.device)
        return array_namespace(placed).broadcast_to(placed, tuple(s.stop - s.start for s in region))


def lazy_rim(like: Array) -> Array:
    """Return 1 where an edge of a dask array is, else 0; an axis of one voxel has no edges.

    Parameters
    ----------
    like : dask array
        Its shape and chunks.
    """
    shape = tuple(map(int, like.shape))
    if current() is not None:
        return lazy(_Rim(shape, _device_of_run()), like.chunks)
    import dask.array as da

    return da.map_blocks(_rim_of_block, shape=shape, chunks=like.chunks, dtype=np.uint8, meta=np.empty(0, np.uint8))


def _rim_of_block(shape: tuple[int, ...], block_info: Any = None) -> NDArray[np.uint8]:
    return _rim(tuple(slice(*ends) for ends in block_info[None]["array-location"]), shape)


def _rim(region: Slices, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return where the edges of the whole are in a region."""
    found = np.zeros([s.stop - s.start for s in region], np.uint8)
    for axis, (s, n) in enumerate(zip(region, shape, strict=True)):
        for at in {0, n - 1} if n > 1 else ():
            if s.start <= at < s.stop:
                found[tuple(at - s.start if a == axis else slice(None) for a in range(len(shape)))] = 1
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Rim:
    """Where the edges of the whole are."""

    shape: tuple[int, ...]
    device: Any
    dtype: str = "uint8"
    parents: tuple[()] = ()

    def read(self, region: Slices) -> Array:
        """Return a region."""
        return _device.place(_rim(region, self.shape), self.device)


def _device_of_run() -> Any:
    sweeper = current()
    return "cpu" if sweeper is None else sweeper.device
