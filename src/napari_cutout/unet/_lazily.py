"""A network on dask arrays: one task for each tile, and one for each cell of the result.

The graph is written by hand, a task for each tile that reads the chunks it needs by their keys: slicing an array for
every tile would make a layer of the graph for each, and a terabyte has a million.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, to_numpy
from .._monitor import quiet, resumed, ticket
from ..blockwise import Source, Tiled, current, known, lazy, settled
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
        With the chunks of the image. No more than the tiles about a few cells are in memory at a time; in a run in
        sweeps no more than those at work, and what they say lies in scratch.
    """
    import dask
    import dask.array as da
    from dask.highlevelgraph import HighLevelGraph

    backend = prediction.backend()
    tiling = tiling_of(backend, channels[0].shape, size)
    told(tiling, backend)
    if current() is not None:
        return _predicted_now(prediction, tiling, backend.n_outputs, channels, mask)
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


# In sweeps ---------------------------------------------------------------------------------------------


def _predicted_now(
    prediction: Prediction, tiling: Tiling, n_outputs: int, channels: Sequence[Array], mask: Array | None
) -> Array:
    """Ask the network of every tile once, in a sweep; cells are made of what lies in scratch when they are read."""
    sweeper = current()
    assert sweeper is not None
    scalings = [known(scaling) for scaling in prediction.scalings(channels)]
    *sources, inside = settled([*channels, mask])
    tiles = list(tiling.tiles())
    longest = [max(t.read[axis].stop - t.read[axis].start for t in tiles) for axis in range(len(tiling.shape))]
    shape = (len(tiles), n_outputs, *longest)
    said = sweeper.scratch(shape, "float32", ((1,) * shape[0], *((n,) for n in shape[1:])))
    sweeper.map("asking the network", _Asking(prediction, tiles, scalings, sources, said), len(tiles))
    first = () if prediction.n is None else ((prediction.n,),)
    chunks = (*first, *(tuple(p.cell[1] - p.cell[0] for p in parts) for parts in tiling.axes))
    again = [s for s in sources if s is not None and np.dtype(s.dtype).kind == "f"]  # what is not finite has no label
    number = {tile.index: at for at, tile in enumerate(tiles)}
    cells = _Cells(prediction, tiling, again, inside, said, number)
    return lazy(Tiled(cells, chunks, np.dtype(prediction.dtype).name, "blending tiles"), (*first, *channels[0].chunks))


@dataclass(frozen=True, slots=True, eq=False)
class _Asking:
    """Asks the network of a tile, and stores what it says."""

    prediction: Prediction
    tiles: list[Tile]
    scalings: Sequence[Scaling]
    sources: list[Any]
    said: Any

    def __call__(self, number: int) -> None:
        blocks = [to_numpy(source.read(tuple(self.tiles[number].read))) for source in self.sources]
        with _one_at_a_time:
            reader = Reader(blocks, None, self.scalings)
            found = _said(self.prediction, self.prediction.backend(), reader, blocks[0].shape)
        whole = np.zeros((1, *self.said.shape[1:]), np.float32)
        box: Region = (slice(0, 1), slice(None), *(slice(0, n) for n in found.shape[1:]))
        whole[box] = found[None]
        self.said[number : number + 1] = whole


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """Makes the result of a cell of what the tiles about it have said."""

    prediction: Prediction
    tiling: Tiling
    again: list[Any]
    inside: Source | None
    said: Any
    number: dict[tuple[int, ...], int]

    def __call__(self, at: int) -> NDArray[Any]:
        cell = self.tiling.tile(tuple(map(int, np.unravel_index(at, self.tiling.grid))))
        total = sum(share(tile, self._said_of(tile), cell) for tile in self.tiling.about(cell.index))
        blocks = [to_numpy(source.read(tuple(cell.cell))) for source in self.again]
        mask = None if self.inside is None else to_numpy(self.inside.read(tuple(cell.cell)))
        everything = tuple(slice(0, s.stop - s.start) for s in cell.cell)
        return self.prediction.finish(total, Reader(blocks, mask, ()).known(everything))

    def _said_of(self, tile: Tile) -> NDArray[np.float32]:
        at = self.number[tile.index]
        found: NDArray[np.float32] = np.asarray(self.said[at : at + 1])[0]
        return found
