"""A network on dask arrays: one task for each tile, and one for each cell of the result."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array
from .._monitor import resumed, ticket
from ._run import Prediction, Reader, cells_of, in_tiles_that_fit, tiling_of, told
from ._scaling import Scaling
from ._shares import share
from ._tiling import Tile, Tiling

__all__ = ["predict_lazily"]

_one_at_a_time = threading.Lock()
"""A network uses all processors by itself; two at once would need twice the memory."""


def predict_lazily(
    prediction: Prediction, channels: Sequence[Array], mask: Array | None, size: Sequence[int] | None = None
) -> Array:
    """Run a network on dask arrays.

    Parameters
    ----------
    prediction : Prediction
        What to make of the image.
    channels : sequence of dask arrays of one shape
        The channels.
    mask : dask array or None
        Where voxels have a label.
    size : sequence of int, optional
        Voxels of a tile, its halo included.

    Returns
    -------
    dask array
        With the chunks of the image. No more than the tiles about a few cells are in memory at a time.
    """
    import dask
    import dask.array as da

    backend = prediction.backend()
    tiling = tiling_of(backend, channels[0].shape, size)
    told(tiling, backend)
    scalings = prediction.scalings(channels)
    shared = dask.delayed(prediction, pure=True, traverse=False)
    watcher = ticket()
    said_of = {
        tile.index: dask.delayed(_tile_task, pure=False)(shared, scalings, watcher, *(c[tile.read] for c in channels))
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
    prediction: Prediction, scalings: Sequence[Scaling], watcher: int | None, *blocks: NDArray[Any]
) -> NDArray[np.float32]:
    """Return what the network says of a tile, in host memory; where memory runs out, of pieces of the tile."""
    reader, shape = Reader(blocks, None, scalings), blocks[0].shape

    def attempt(tiling: Tiling) -> NDArray[np.float32]:
        out = None
        for cell, found in cells_of(prediction, reader, tiling):
            host = found if isinstance(found, np.ndarray) else found.cpu().numpy()
            if tiling.is_whole:
                return np.asarray(host)
            out = np.empty((len(host), *shape), np.float32) if out is None else out
            out[(slice(None), *cell.cell)] = host
        return np.asarray(out)

    with resumed(watcher), _one_at_a_time:
        backend = prediction.backend()
        try:
            return in_tiles_that_fit(backend, shape, shape[-backend.ndim :], attempt)
        finally:
            backend.release()


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
    known = Reader(blocks, mask, ()).known(everything)
    return prediction.finish(total, known)
