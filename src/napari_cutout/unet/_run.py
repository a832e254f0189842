"""A network on an image, tile by tile: at once on arrays in memory, lazily on dask arrays."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, dtype_name, empty, from_numpy, is_lazy, library, to_numpy
from .._monitor import note, stage, tick
from ._backend import Backend
from ._scaling import Scaling, scalings_of
from ._shares import shares_of
from ._tiling import Tile, Tiling, tiling_for

__all__ = ["Prediction", "Reader", "cells_of", "in_tiles_that_fit", "predict", "said", "tiling_of", "told"]

T = TypeVar("T")

TILE = {2: (1024, 1024), 3: (128, 128, 128)}
"""Voxels of a tile, its halo included, where memory allows it: fixed, so that labels do not depend on the machine."""

Finish = Callable[[Any, NDArray[np.bool_] | None], NDArray[Any]]
"""From probabilities of shape (K, *cell), and which voxels have a label, to a block of the result."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What is made of an image.

    Parameters
    ----------
    backend : callable
        ``backend() -> Backend``, which is asked for where tiles are computed; cheap when asked again.
    finish : callable
        Makes a block of the result of the probabilities of its voxels.
    dtype : str
        The dtype of the result.
    n : int, optional
        Length of an axis that the result has before those of the image.
    flips : bool
        True to average over all mirror images.
    scalings : callable
        ``scalings(channels)`` tells how grey levels of each channel become what the network sees; delayed if lazy.
    """

    backend: Callable[[], Backend]
    finish: Finish
    dtype: str
    n: int | None = None
    flips: bool = False
    scalings: Callable[[Sequence[Array]], Sequence[Any]] = scalings_of


def tile_of(backend: Backend) -> tuple[int, ...]:
    """Return how many voxels a tile has where memory allows it; a network of one size has it."""
    return backend.tile or TILE[backend.ndim]


def tiling_of(backend: Backend, shape: Sequence[int], tile: Sequence[int] | None = None) -> Tiling:
    """Return the tiles of an image for a network; one of planes has tiles of one plane in a volume."""
    flat = len(shape) - backend.ndim
    size = (1,) * flat + tuple(tile[-backend.ndim :] if tile is not None else tile_of(backend))
    ones, noughts = (1,) * flat, (0,) * flat
    return tiling_for(shape, tile=size, reach=noughts + backend.reach, multiple=ones + backend.multiple)


def predict(
    prediction: Prediction, channels: Sequence[Array], mask: Array | None, tile: Sequence[int] | None = None
) -> Array:
    """Run a network on an image.

    Parameters
    ----------
    prediction : Prediction
        What to make of it.
    channels : sequence of arrays of one shape
        The channels.
    mask : array or None
        Where voxels have a label.
    tile : sequence of int, optional
        Voxels of a tile, its halo included.

    Returns
    -------
    array
        Of the shape of a channel, with an axis before it if the prediction says so; lazy for dask arrays.

    Raises
    ------
    MemoryError
        If memory does not suffice for the smallest tile.
    Cancelled
        If the caller that watches asked for it, between two batches.
    """
    if is_lazy(channels[0]):
        from ._lazily import predict_lazily

        return predict_lazily(prediction, channels, mask, tile)
    reader = Reader(channels, mask, prediction.scalings(channels))
    backend = prediction.backend()
    try:
        return in_tiles_that_fit(
            backend,
            channels[0].shape,
            tuple(tile or tile_of(backend)),
            lambda tiling: _at_once(prediction, reader, tiling),
        )
    finally:
        backend.release()


def in_tiles_that_fit(
    backend: Backend, shape: Sequence[int], tile: tuple[int, ...], attempt: Callable[[Tiling], T]
) -> T:
    """Return what an attempt gives with tiles of a size; where memory runs out, with tiles of half the size.

    Parameters
    ----------
    backend : Backend
        The network.
    shape : sequence of int
        Voxels of the image.
    tile : tuple of int
        Voxels of a tile at first.
    attempt : callable
        Is given the tiles.

    Raises
    ------
    MemoryError
        If memory does not suffice for the smallest tile.
    """
    tiling = _foreseen(backend, shape, tile)
    while True:
        try:
            return attempt(tiling)
        except backend.out_of_memory as error:
            smaller = _halved(tiling, backend)
            if smaller is None:
                raise MemoryError(
                    f"the network does not fit into memory with its smallest tile of {tiling.tile_shape} voxels; close "
                    f"other programs, or train a network with a smaller width or depth"
                ) from error
        tiling = smaller  # out here the error is gone, and with it what its frames held
        backend.release()
        note(smaller_tiles=f"memory ran out; tiles of {_edges(tiling, backend)} voxels")


def _foreseen(backend: Backend, shape: Sequence[int], tile: tuple[int, ...]) -> Tiling:
    """Return tiles of a size, or smaller ones where memory is short: a host that runs out ends the program."""
    tiling = tiling_of(backend, shape, tile)
    while backend.tile_bytes(_edges(tiling, backend)) > backend.free_bytes():
        smaller = _halved(tiling, backend)
        if smaller is None:  # what a tile takes is an estimate
            break
        tiling = smaller
        note(smaller_tiles=f"memory is short; tiles of {_edges(tiling, backend)} voxels")
    return tiling


def _edges(tiling: Tiling, backend: Backend) -> tuple[int, ...]:
    """Return the edges of a tile as the network sees it."""
    return tiling.tile_shape[-backend.ndim :]


def _halved(tiling: Tiling, backend: Backend) -> Tiling | None:
    """Return smaller tiles: the longest edge is halved, or another one. None if they are as small as they may be."""
    shape = _edges(tiling, backend)
    for axis in sorted(range(backend.ndim), key=lambda a: -shape[a] / backend.multiple[a]):
        half = shape[axis] // 2 // backend.multiple[axis] * backend.multiple[axis]
        if half >= backend.multiple[axis]:
            smaller = tiling_of(backend, tiling.shape, tuple(half if a == axis else n for a, n in enumerate(shape)))
            if math.prod(smaller.tile_shape) < math.prod(tiling.tile_shape):  # a halo leaves no tile below four of it
                return smaller
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """Reads tiles of an image as a network sees them.

    Parameters
    ----------
    channels : sequence of arrays of one shape
        The image.
    mask : array or None
        Where voxels have a label.
    scalings : sequence of callable
        How grey levels of each channel become what the network sees.
    """

    channels: Sequence[Array]
    mask: Array | None
    scalings: Sequence[Scaling]

    def read(self, tile: Tile, multiple: Sequence[int]) -> Any:
        """Return the channels of a tile, filled up with their means to a multiple: float32, of CuPy if they are."""
        shape = tuple(-(-(s.stop - s.start) // m) * m for s, m in zip(tile.read, multiple, strict=True))
        stays = library(self.channels[0]) == "cupy"
        xp = array_namespace(self.channels[0]) if stays else np
        out = xp.zeros((len(self.channels), *shape), dtype=xp.float32)
        inner = tuple(slice(0, s.stop - s.start) for s in tile.read)
        for at, (channel, scaling) in enumerate(zip(self.channels, self.scalings, strict=True)):
            block = channel[tile.read]
            out[at][inner] = scaling(block if stays else to_numpy(block))
        return out

    def known(self, cell: tuple[slice, ...]) -> NDArray[np.bool_] | None:
        """Tell which voxels of a cell have a label: those inside that are finite in every channel; None if all."""
        found = None if self.mask is None else to_numpy(self.mask[cell]) != 0
        for channel in self.channels:
            if dtype_name(channel).startswith("float"):
                finite = to_numpy(array_namespace(channel).isfinite(channel[cell]))
                found = finite if found is None else found & finite
        return found


def _at_once(prediction: Prediction, reader: Reader, tiling: Tiling) -> Array:
    """Return the result for arrays in memory."""
    first = reader.channels[0]
    shape = first.shape if prediction.n is None else (prediction.n, *first.shape)
    out = empty(tuple(shape), prediction.dtype, like=first)
    before = () if prediction.n is None else (slice(None),)
    told(tiling, prediction.backend())
    stage("predicting")
    for cell, probabilities in cells_of(prediction, reader, tiling):
        block = prediction.finish(probabilities, reader.known(cell.cell))
        out[(*before, *cell.cell)] = from_numpy(block, like=first)
    return out


def cells_of(prediction: Prediction, reader: Reader, tiling: Tiling) -> Iterator[tuple[Tile, Any]]:
    """Yield what is said of each cell, as soon as all tiles that say something of it have been seen.

    Parameters
    ----------
    prediction : Prediction
        What to ask.
    reader : Reader
        The image.
    tiling : Tiling
        Its tiles.

    Yields
    ------
    cell : Tile
        In the order in which they are complete.
    probabilities : float32 array or tensor of shape (K, *cell)
        Where the network runs, or in host memory where tiles are blended.
    """
    sums: dict[tuple[int, ...], Any] = {}
    left: dict[tuple[int, ...], int] = {}
    total = math.prod(tiling.grid)
    for done, (tile, probabilities) in enumerate(_of_tiles(prediction, reader, tiling)):
        tick(done, total)
        for cell, part in shares_of(tile, probabilities, tiling):
            if cell not in left:
                left[cell] = sum(1 for _ in tiling.about(cell))
            left[cell] -= 1
            # What waits for other tiles is a layer of the image: more than a GPU may have.
            said_so_far = sums[cell] + _on_host(part) if cell in sums else part if not left[cell] else _on_host(part)
            if left[cell]:
                sums[cell] = said_so_far
            else:
                del left[cell]
                sums.pop(cell, None)
                yield tiling.tile(cell), said_so_far


def _on_host(part: Any) -> Any:
    """Return an array, or a tensor in host memory."""
    return part if isinstance(part, np.ndarray) else part.cpu()


def _of_tiles(prediction: Prediction, reader: Reader, tiling: Tiling) -> Iterator[tuple[Tile, Any]]:
    """Yield what the network says of each tile, in scan order."""
    backend = prediction.backend()
    fitting = int(backend.free_bytes() // max(backend.tile_bytes(tiling.tile_shape), 1))
    most = min(max(fitting, 1), backend.most_at_once)
    batch: list[tuple[Tile, Any]] = []
    for tile in tiling.tiles():
        read = reader.read(tile, tiling.multiple)
        if batch and (len(batch) >= most or batch[-1][1].shape != read.shape):
            yield from _of_batch(prediction, backend, batch)
            batch = []
        batch.append((tile, read))
    yield from _of_batch(prediction, backend, batch)


def _of_batch(prediction: Prediction, backend: Backend, batch: list[tuple[Tile, Any]]) -> Iterator[tuple[Tile, Any]]:
    """Yield what the network says of tiles of one shape, all at once, or half of them where memory runs out."""
    found = None
    try:
        found = said(prediction, backend, _stacked([read for _, read in batch]))
    except backend.out_of_memory:
        if len(batch) == 1:
            raise
    if found is None:
        backend.release()
        half = len(batch) // 2
        note(smaller_batches=f"memory ran out; {half} tile(s) at a time")
        yield from _of_batch(prediction, backend, batch[:half])
        yield from _of_batch(prediction, backend, batch[half:])
        return
    for (tile, _), probabilities in zip(batch, found, strict=True):
        yield tile, probabilities[(slice(None), *(slice(s.stop - s.start) for s in tile.read))]


def _stacked(tiles: Sequence[Any]) -> Any:
    """Return tiles along a new first axis; a single one is not copied."""
    return tiles[0][None] if len(tiles) == 1 else array_namespace(tiles[0]).stack(tiles)


def said(prediction: Prediction, backend: Backend, tiles: Any) -> Any:
    """Return what a network says of tiles of shape (n, C, *shape); one of planes gets the planes of a volume."""
    if library(tiles) == "cupy":
        tiles = backend.taken(tiles)
    flat = tiles.ndim - 2 - backend.ndim
    given = tiles.reshape(tiles.shape[0], tiles.shape[1], *tiles.shape[2 + flat :]) if flat else tiles
    axes = range(2, given.ndim)
    mirrors = (
        [()] if not prediction.flips else [m for n in range(len(axes) + 1) for m in itertools.combinations(axes, n)]
    )
    total: Any = None
    for mirror in mirrors:
        found = backend(_flipped(given, mirror))
        if mirror:
            found = _flipped(found, mirror)
        total = found if total is None else total + found
    total = total / len(mirrors) if len(mirrors) > 1 else total
    return total.reshape(total.shape[0], total.shape[1], *tiles.shape[2:]) if flat else total


def _flipped(array: Any, axes: tuple[int, ...]) -> Any:
    """Return the mirror image of an array, or of a tensor."""
    if not axes:
        return array
    return np.flip(array, axes) if isinstance(array, np.ndarray) else array.flip(axes)


def told(tiling: Tiling, backend: Backend) -> None:
    """Keep for the provenance how the image was split."""
    whole = math.prod(tiling.grid) == 1
    exact = whole or (tiling.exact and backend.exact)
    note(
        tiles="whole" if whole else f"{math.prod(tiling.grid)} of {tiling.tile_shape} voxels",
        halo=tiling.halo,
        receptive_field=backend.receptive_field,
        tiles_equal_the_whole=exact,
        runtime=backend.runtime,
    )
