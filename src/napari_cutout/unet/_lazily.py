"""A network on dask arrays: one task for each tile, and one for each cell of the result.

The graph is written by hand, a task for each tile that reads the chunks it needs by their keys: slicing an array for
every tile would make a layer of the graph for each, and a terabyte has a million.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array
from .._monitor import quiet, resumed, ticket
from ._backend import Backend
from ._run import Prediction, Reader, cells_of, in_tiles_that_fit, tiling_of, told
from ._scaling import Scaling
from ._shares import share
from ._tiling import Tile, Tiling

__all__ = ["predict_lazily"]

Region = tuple[slice, ...]

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
    from dask.highlevelgraph import HighLevelGraph

    backend = prediction.backend()
    tiling = tiling_of(backend, channels[0].shape, size)
    told(tiling, backend)
    shared = dask.delayed((prediction, tiling), pure=False, traverse=False)
    scalings = dask.delayed(list)(prediction.scalings(channels))
    name = f"unet-{uuid.uuid4().hex}"
    needs = [shared, scalings, *channels, *([] if mask is None else [mask])]
    tasks = _tasks(name, tiling, prediction, shared.key, scalings.key, channels, mask)
    first = () if prediction.n is None else ((prediction.n,),)
    found = da.Array(
        HighLevelGraph.from_collections(name, tasks, dependencies=needs),
        name,
        (*first, *(tuple(p.cell[1] - p.cell[0] for p in parts) for parts in tiling.axes)),
        meta=np.empty((0,) * (len(first) + len(tiling.shape)), prediction.dtype),
    )
    return found.rechunk((*first, *channels[0].chunks), method="tasks")


def _tasks(
    name: str,
    tiling: Tiling,
    prediction: Prediction,
    shared: str,
    scalings: str,
    channels: Sequence[Array],
    mask: Array | None,
) -> dict[Any, Any]:
    """Return a task for each tile and for each cell, by key."""
    sources = [_Chunks(channel) for channel in channels]
    # What is not finite has no label, so cells of floats read the image again.
    again = [chunks for chunks in sources if chunks.dtype.kind == "f"]
    inside = None if mask is None else _Chunks(mask)
    first = () if prediction.n is None else (0,)
    watcher = ticket()
    found: dict[Any, Any] = {}
    for tile in tiling.tiles():
        reads, cuts = zip(*(chunks.of(tile.read) for chunks in sources), strict=True)
        found[(f"{name}-tile", *tile.index)] = (_tile_task, shared, scalings, watcher, list(reads), list(cuts))
        said = [(f"{name}-tile", *other.index) for other in tiling.about(tile.index)]
        reads_again, cuts_again = [], []
        for chunks in (*again, *([] if inside is None else [inside])):
            keys, cut = chunks.of(tile.cell)
            reads_again.append(keys)
            cuts_again.append(cut)
        has_mask = inside is not None
        found[(name, *first, *tile.index)] = (
            _cell_task, shared, list(tile.index), has_mask, reads_again, cuts_again, said,
        )  # fmt: skip
    return found


class _Chunks:
    """The chunks of a dask array, found by the voxels that they hold."""

    def __init__(self, array: Array) -> None:
        self.name, self.dtype = array.name, np.dtype(array.dtype)
        self._ends = [np.cumsum(sizes) for sizes in array.chunks]

    def of(self, region: Region) -> tuple[list[Any], Region]:
        """Return the keys of the chunks that a region needs, in nested lists, and where it lies in them."""
        ranges, cut = [], []
        for ends, s in zip(self._ends, region, strict=True):
            low, high = (int(np.searchsorted(ends, at, side="right")) for at in (s.start, s.stop - 1))
            begin = int(ends[low - 1]) if low else 0
            ranges.append(range(low, high + 1))
            cut.append(slice(s.start - begin, s.stop - begin))
        return self._nested((), ranges), tuple(cut)

    def _nested(self, index: tuple[int, ...], ranges: Sequence[range]) -> list[Any]:
        if len(ranges) == 1:
            return [(self.name, *index, i) for i in ranges[0]]
        return [self._nested((*index, i), ranges[1:]) for i in ranges[0]]


def _read(chunks: list[Any], cut: Region) -> NDArray[Any]:
    """Return a region of the chunks that hold it."""
    from dask.array.core import concatenate3

    return np.asarray(concatenate3(chunks))[cut]


def _tile_task(
    shared: tuple[Prediction, Tiling],
    scalings: Sequence[Scaling],
    watcher: int | None,
    chunks: Sequence[list[Any]],
    cuts: Sequence[Region],
) -> NDArray[np.float32]:
    """Return what the network says of a tile, in host memory; where memory runs out, of pieces of the tile."""
    prediction, _ = shared
    blocks = [_read(some, cut) for some, cut in zip(chunks, cuts, strict=True)]
    with resumed(watcher), quiet(), _one_at_a_time:  # its own progress is not that of the whole
        return _said(prediction, prediction.backend(), Reader(blocks, None, scalings), blocks[0].shape)


def _said(prediction: Prediction, backend: Backend, reader: Reader, shape: tuple[int, ...]) -> NDArray[np.float32]:
    def attempt(tiling: Tiling) -> NDArray[np.float32]:
        out = None
        for cell, found in cells_of(prediction, reader, tiling):
            host = found if isinstance(found, np.ndarray) else found.cpu().numpy()
            if tiling.is_whole:
                return np.asarray(host)
            out = np.empty((len(host), *shape), np.float32) if out is None else out
            out[(slice(None), *cell.cell)] = host
        return np.asarray(out)

    return in_tiles_that_fit(backend, shape, shape[-backend.ndim :], attempt)


def _cell_task(
    shared: tuple[Prediction, Tiling],
    index: Sequence[int],
    has_mask: bool,
    chunks: Sequence[list[Any]],
    cuts: Sequence[Region],
    said_of: Sequence[NDArray[np.float32]],
) -> NDArray[Any]:
    """Return the result for a cell."""
    prediction, tiling = shared
    cell: Tile = tiling.tile(tuple(index))
    shares = (share(tile, found, cell) for tile, found in zip(tiling.about(cell.index), said_of, strict=True))
    total = next(shares)
    for more in shares:
        total = total + more
    blocks = [_read(some, cut) for some, cut in zip(chunks, cuts, strict=True)]
    mask = blocks.pop() if has_mask else None
    everything = tuple(slice(0, s.stop - s.start) for s in cell.cell)
    return prediction.finish(total, Reader(blocks, mask, ()).known(everything))
