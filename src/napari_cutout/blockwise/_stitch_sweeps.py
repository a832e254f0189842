"""Plans whose tiles agree on what crosses their borders, as sweeps of a run: each exchange is one, or several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .. import _device
from .._array import Array, from_numpy
from .._monitor import quiet
from .._plan import Exchange, Stitch, Tile
from ._made import Source, known, lazy
from ._sweeps import Chunks, Sweeper, current, n_tiles
from ._tile_sizes import tile_edges, tiles_evenly
from ._tiled import NO_SHELVES, Looking, Shelves, Tiled, Tiles, settled, shelves_for

__all__ = ["exchanged_now", "stitched_now", "swept_whole"]


def stitched_now(plan: Stitch, arrays: Sequence[Array | None]) -> Array:
    """Let the tiles of a run agree, and return what they make of it.

    Parameters
    ----------
    plan : Stitch
        What to do.
    arrays : sequence of dask array or None
        Arrays of the run, of one shape.

    Returns
    -------
    dask array
        With the chunks of the first. Its tiles are labelled when they are read.
    """
    image: Array = arrays[0]
    sources, tiles = settled(arrays), Tiles(_chunks_for(plan, image))
    sweeper = current()
    assert sweeper is not None
    shelves = shelves_for(sweeper, tiles.chunks, plan.blocks, plan.records)
    state = _agreed(plan.exchanges, plan.known, known(plan.start), sources, tiles, shelves)
    apply = Labelling(plan.apply, plan.known, state, _chosen(sources, plan.reads), tiles, shelves, sweeper.device)
    return lazy(Tiled(apply, tiles.chunks, plan.dtype, "labelling tiles"), image.chunks)


def exchanged_now(exchanges: Sequence[Exchange], start: Any, arrays: Sequence[Array | None]) -> Any:
    """Let the tiles of a run find something out together, all of which every tile knows; return the last state."""
    image: Array = arrays[0]
    return _agreed(exchanges, all_of_it, known(start), settled(arrays), Tiles(image.chunks))


def swept_whole(whole: Callable[..., Array], arrays: Sequence[Array | None], dtype: str, n: int | None = None) -> Array:
    """Return what is made of whole arrays, all of them in one job.

    Parameters
    ----------
    whole : callable
        ``whole(*arrays) -> array``.
    arrays : sequence of dask array or None
        Arrays of the run, of one shape; memory holds them and what is made of them.
    dtype : str
        Of the result.
    n : int, optional
        Length of an axis that the result has before those of the image.
    """
    image: Array = arrays[0]
    first = () if n is None else ((n,),)
    one = (*first, *((size,) for size in image.shape))
    work = Whole(whole, settled(arrays), tuple(map(int, image.shape)))
    return lazy(Tiled(work, one, dtype, "segmenting the whole"), (*first, *image.chunks))


def all_of_it(state: Any, _: Tile) -> Any:
    """Return the state itself, as what every tile knows."""
    return state


def _chunks_for(plan: Stitch, image: Array) -> Chunks:
    if plan.tile_voxels is None:
        return image.chunks  # type: ignore[no-any-return]
    shape = tuple(map(int, image.shape))
    return tiles_evenly(shape, tile_edges(shape, plan.tile_voxels))


def _agreed(
    exchanges: Sequence[Exchange],
    known_of: Callable[[Any, Tile], Any],
    state: Any,
    sources: list[Source | None],
    tiles: Tiles,
    shelves: Shelves = NO_SHELVES,
) -> Any:
    """Run the exchanges one after another, each as often as it changes something."""
    sweeper = current()
    assert sweeper is not None
    for exchange in exchanges:
        wanted: Sequence[int] = range(len(tiles))
        while wanted:
            seen = _chosen(sources, exchange.reads)
            new = _looked(sweeper, exchange, Looking(exchange.look, known_of, state, seen, tiles, wanted, shelves))
            state, wanted = new, list(exchange.again(state, new, tiles))
    return state


def _chosen(sources: list[Source | None], reads: tuple[int, ...] | None) -> list[Source | None]:
    return sources if reads is None else [s if i in reads else None for i, s in enumerate(sources)]


def _looked(sweeper: Sweeper, exchange: Exchange, looking: Looking) -> Any:
    """Let tiles look and join what they tell; how many look again nobody knows, so that is no progress."""
    wanted = looking.wanted
    if len(wanted) == n_tiles(looking.tiles.chunks):
        told = sweeper.map(exchange.name, looking, len(wanted))
    else:
        with quiet():
            told = sweeper.map(exchange.name, looking, len(wanted))
    return exchange.join(looking.state, dict(zip(wanted, told, strict=True)))


@dataclass(frozen=True, slots=True, eq=False)
class Labelling:
    """Makes a tile of what tiles have agreed on.

    Parameters
    ----------
    apply : callable
        ``apply(tile, known, *blocks) -> block`` of the tile's own voxels.
    known : callable
        ``known(state, tile)``.
    state : object
        What tiles have agreed on.
    sources : list of Source or None
        What they see.
    tiles : Tiles
        All of them.
    shelves : Shelves
        Where they have kept things.
    device : {"cpu", "gpu"}
        Where the result is to be.
    """

    apply: Callable[..., Any]
    known: Callable[[Any, Tile], Any]
    state: Any
    sources: list[Source | None]
    tiles: Tiles
    shelves: Shelves = NO_SHELVES
    device: Literal["cpu", "gpu"] = "cpu"

    def __call__(self, number: int) -> Array:
        """Return a tile on the device of the run."""
        tile = self.shelves.tile(self.tiles[number])
        with quiet():
            made = self.apply(tile, self.known(self.state, tile), *self.tiles.read(tile, self.sources))
        return _device.place(made, self.device)


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """Makes the only tile there is of whole arrays."""

    whole: Callable[..., Any]
    sources: list[Source | None]
    shape: tuple[int, ...]

    def __call__(self, _: int) -> Array:
        """Return the result."""
        everything = tuple(slice(0, n) for n in self.shape)
        blocks = [None if source is None else source.read(everything) for source in self.sources]
        found = self.whole(*blocks)
        return from_numpy(found, like=blocks[0]) if isinstance(found, np.ndarray) else found
