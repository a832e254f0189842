"""A network on an image, tile by tile: at once on arrays in memory, lazily on dask arrays."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, empty, from_numpy, is_lazy, to_numpy
from .._monitor import note, resumed, stage, tick, ticket
from ._backend import Backend
from ._scaling import Scaling, scalings_of
from ._tiling import Tile, Tiling, tiling_for

__all__ = ["Prediction", "predict", "tiling_of"]

TILE = {2: (1024, 1024), 3: (128, 128, 128)}
"""Voxels of a tile, its halo included, where memory allows it: fixed, so that labels do not depend on the machine."""

MOST_TILES_AT_ONCE = 16
"""Tiles of a batch at most; more make no GPU faster."""

Finish = Callable[[Any, NDArray[np.bool_] | None], NDArray[Any]]
"""From probabilities of shape (K, *cell), and which voxels have a label, to a block of the result."""

_one_at_a_time = threading.Lock()
"""A network uses all processors by itself; two at once would need twice the memory."""


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
        return _lazy(prediction, channels, mask, tile)
    scalings = prediction.scalings(channels)
    backend = prediction.backend()
    size = tuple(tile or tile_of(backend))
    while True:
        tiling = tiling_of(backend, channels[0].shape, size)
        try:
            return _at_once(prediction, _Reader(channels, mask, scalings), tiling)
        except backend.out_of_memory as error:
            smaller = _halved(tiling, backend)
            if smaller is None:
                raise MemoryError(
                    f"the network does not fit into memory with its smallest tile of {tiling.tile_shape} voxels; close "
                    f"other programs, or train a network with a smaller width or depth"
                ) from error
            size = smaller
            note(smaller_tiles=f"memory ran out; tiles of {size} voxels")


def _halved(tiling: Tiling, backend: Backend) -> tuple[int, ...] | None:
    """Return smaller tiles: the longest edge is halved. None if they are as small as they may be."""
    shape = tiling.tile_shape[-backend.ndim :]
    axis = max(range(backend.ndim), key=lambda a: shape[a] / backend.multiple[a])
    half = shape[axis] // 2 // backend.multiple[axis] * backend.multiple[axis]
    if half < 2 * backend.multiple[axis]:
        return None
    return tuple(half if a == axis else n for a, n in enumerate(shape))


@dataclass(frozen=True, slots=True, eq=False)
class _Reader:
    """Reads tiles of an image as a network sees them."""

    channels: Sequence[Array]
    mask: Array | None
    scalings: Sequence[Scaling]

    def read(self, tile: Tile, multiple: Sequence[int]) -> NDArray[np.float32]:
        """Return the channels of a tile, filled up with their means to a multiple."""
        shape = tuple(-(-(s.stop - s.start) // m) * m for s, m in zip(tile.read, multiple, strict=True))
        out = np.zeros((len(self.channels), *shape), np.float32)
        inner = tuple(slice(0, s.stop - s.start) for s in tile.read)
        for at, (channel, scaling) in enumerate(zip(self.channels, self.scalings, strict=True)):
            out[at][inner] = scaling(to_numpy(channel[tile.read]))
        return out

    def known(self, cell: tuple[slice, ...]) -> NDArray[np.bool_] | None:
        """Tell which voxels of a cell have a label: those inside that are finite in every channel; None if all."""
        found = None if self.mask is None else to_numpy(self.mask[cell]) != 0
        for channel in self.channels:
            block = to_numpy(channel[cell])
            if block.dtype.kind == "f":
                finite = np.isfinite(block)
                found = finite if found is None else found & finite
        return found


def _at_once(prediction: Prediction, reader: _Reader, tiling: Tiling) -> Array:
    """Return the result for arrays in memory."""
    first = reader.channels[0]
    shape = first.shape if prediction.n is None else (prediction.n, *first.shape)
    out = empty(tuple(shape), prediction.dtype, like=first)
    before = () if prediction.n is None else (slice(None),)
    told(tiling, prediction.backend())
    stage("predicting")
    sums: dict[tuple[int, ...], Any] = {}
    left: dict[tuple[int, ...], int] = {}
    total = math.prod(tiling.grid)
    for done, (tile, probabilities) in enumerate(_of_tiles(prediction, reader, tiling)):
        tick(done, total)
        for cell, part in _shares(tile, probabilities, tiling):
            sums[cell] = sums[cell] + part if cell in sums else part
            left[cell] = left.get(cell, sum(1 for _ in tiling.about(cell))) - 1
            if left[cell] == 0:
                region = tiling.tile(cell).cell
                block = prediction.finish(sums.pop(cell), reader.known(region))
                out[(*before, *region)] = from_numpy(block, like=first)
    return out


def _of_tiles(prediction: Prediction, reader: _Reader, tiling: Tiling) -> Iterator[tuple[Tile, Any]]:
    """Yield what the network says of each tile, in scan order."""
    backend = prediction.backend()
    most = max(int(backend.free_bytes() // max(backend.tile_bytes(tiling.tile_shape), 1)), 1)
    most = min(most, MOST_TILES_AT_ONCE if getattr(backend, "batches", False) else 1)
    batch: list[tuple[Tile, NDArray[np.float32]]] = []
    for tile in tiling.tiles():
        read = reader.read(tile, tiling.multiple)
        if batch and (len(batch) >= most or batch[-1][1].shape != read.shape):
            yield from _of_batch(prediction, backend, batch)
            batch = []
        batch.append((tile, read))
    yield from _of_batch(prediction, backend, batch)


def _of_batch(
    prediction: Prediction, backend: Backend, batch: list[tuple[Tile, NDArray[np.float32]]]
) -> Iterator[tuple[Tile, Any]]:
    """Yield what the network says of tiles of one shape, all at once, or half of them where memory runs out."""
    try:
        found = said(prediction, backend, np.stack([read for _, read in batch]))
    except backend.out_of_memory:
        if len(batch) == 1:
            raise
        half = len(batch) // 2
        yield from _of_batch(prediction, backend, batch[:half])
        yield from _of_batch(prediction, backend, batch[half:])
        return
    for (tile, _), probabilities in zip(batch, found, strict=True):
        yield tile, probabilities[(slice(None), *(slice(s.stop - s.start) for s in tile.read))]


def said(prediction: Prediction, backend: Backend, tiles: NDArray[np.float32]) -> Any:
    """Return what a network says of tiles of shape (n, C, *shape); one of planes gets the planes of a volume."""
    flat = tiles.ndim - 2 - backend.ndim
    given = tiles.reshape(tiles.shape[0], tiles.shape[1], *tiles.shape[2 + flat :]) if flat else tiles
    axes = range(2, given.ndim)
    mirrors = (
        [()] if not prediction.flips else [m for n in range(len(axes) + 1) for m in itertools.combinations(axes, n)]
    )
    total: Any = None
    for mirror in mirrors:
        found = backend(np.flip(given, mirror) if mirror else given)
        if mirror:
            found = found.flip(mirror) if hasattr(found, "flip") else np.flip(found, mirror)
        total = found if total is None else total + found
    total = total / len(mirrors) if len(mirrors) > 1 else total
    return total.reshape(total.shape[0], total.shape[1], *tiles.shape[2:]) if flat else total


def _shares(tile: Tile, probabilities: Any, tiling: Tiling) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Yield the cells of which a tile says something, and its share of what is said of them."""
    ranges = []
    for i, (part, parts) in enumerate(zip(tile.parts, tiling.axes, strict=True)):
        at = tile.index[i]
        near = range(max(at - 1, 0), min(at + 2, len(parts)))
        ranges.append([j for j in near if part.support[0] < parts[j].cell[1] and part.support[1] > parts[j].cell[0]])
    for cell in itertools.product(*ranges):
        yield cell, share(tile, probabilities, tiling.tile(cell))


def share(tile: Tile, probabilities: Any, cell: Tile) -> Any:
    """Return what a tile says of a cell, times its weights; 0 where it says nothing."""
    region, weights, padding = [], [], []
    for part, owner in zip(tile.parts, cell.parts, strict=True):
        low, high = max(part.support[0], owner.cell[0]), min(part.support[1], owner.cell[1])
        region.append(slice(low - part.start, high - part.start))
        weights.append(part.weights[low - part.support[0] : high - part.support[0]])
        padding.append((low - owner.cell[0], owner.cell[1] - high))
    found = probabilities[(slice(None), *region)]
    for axis, w in enumerate(weights):
        if not (w == 1).all():
            found = found * _like(w.reshape(-1, *(1,) * (len(weights) - axis - 1)), found)
    return found if not any(map(any, padding)) else _padded(found, padding)


def _like(weights: NDArray[np.float32], found: Any) -> Any:
    """Return weights where what they are multiplied with lives."""
    return weights if isinstance(found, np.ndarray) else found.new_tensor(weights)


def _padded(found: Any, padding: Sequence[tuple[int, int]]) -> Any:
    """Return an array with zeros around it."""
    shape = [n + a + b for n, (a, b) in zip(found.shape[1:], padding, strict=True)]
    inner = (slice(None), *(slice(a, a + n) for n, (a, _) in zip(found.shape[1:], padding, strict=True)))
    wide = (
        np.zeros((found.shape[0], *shape), found.dtype)
        if isinstance(found, np.ndarray)
        else found.new_zeros((found.shape[0], *shape))
    )
    wide[inner] = found
    return wide


def told(tiling: Tiling, backend: Backend) -> None:
    """Keep for the provenance how the image was split."""
    whole = math.prod(tiling.grid) == 1
    exact = whole or (tiling.exact and backend.exact)
    note(
        tiles="whole" if whole else f"{math.prod(tiling.grid)} of {tiling.tile_shape} voxels",
        halo=tiling.halo,
        receptive_field=backend.receptive_field,
        tiles_equal_the_whole=exact,
    )


# Lazily -----------------------------------------------------------------------------------------------


def _lazy(prediction: Prediction, channels: Sequence[Array], mask: Array | None, size: Sequence[int] | None) -> Array:
    """Return the result for dask arrays: one task per tile, one per cell."""
    import dask
    import dask.array as da

    backend = prediction.backend()
    tiling = tiling_of(backend, channels[0].shape, size)
    told(tiling, backend)
    scalings = prediction.scalings(channels)
    shared = dask.delayed(prediction, pure=True, traverse=False)
    watcher = ticket()
    said_of = {
        tile.index: dask.delayed(_tile_task, pure=False)(
            shared, tile, tiling.multiple, scalings, watcher, *(c[tile.read] for c in channels)
        )
        for tile in tiling.tiles()
    }
    cells = np.empty(tiling.grid, object)
    for tile in tiling.tiles():
        region = tile.cell
        blocks = [c[region] for c in channels], None if mask is None else mask[region]
        about = list(tiling.about(tile.index))
        block = dask.delayed(_cell_task, pure=False)(
            shared, tile, about, *blocks, *(said_of[other.index] for other in about)
        )
        shape = tuple(s.stop - s.start for s in region)
        shape = shape if prediction.n is None else (prediction.n, *shape)
        cells[tile.index] = da.from_delayed(block, shape, meta=np.empty((0,) * len(shape), prediction.dtype))
    chunks = channels[0].chunks if prediction.n is None else ((prediction.n,), *channels[0].chunks)
    return da.block(cells.tolist()).rechunk(chunks, method="tasks")


def _tile_task(
    prediction: Prediction,
    tile: Tile,
    multiple: Sequence[int],
    scalings: Sequence[Scaling],
    watcher: int | None,
    *blocks: Array,
) -> NDArray[np.float32]:
    """Return what the network says of a tile, in host memory."""
    with resumed(watcher), _one_at_a_time:
        backend = prediction.backend()
        here = replace(tile, parts=tuple(replace(p, start=0, stop=p.stop - p.start) for p in tile.parts))
        read = _Reader(blocks, None, scalings).read(here, multiple)
        found = said(prediction, backend, read[None])[0]
        found = found[(slice(None), *(slice(s.stop - s.start) for s in tile.read))]
        return np.asarray(found if isinstance(found, np.ndarray) else found.cpu().numpy())


def _cell_task(
    prediction: Prediction,
    cell: Tile,
    about: Sequence[Tile],
    blocks: Sequence[Array],
    mask: Array | None,
    *said_of: NDArray[np.float32],
) -> NDArray[Any]:
    """Return the result for a cell."""
    total = sum(share(tile, found, cell) for tile, found in zip(about, said_of, strict=True))
    everything = tuple(slice(0, s.stop - s.start) for s in cell.cell)
    known = _Reader(blocks, mask, ()).known(everything)
    return prediction.finish(total, known)
