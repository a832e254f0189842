"""Plans that are done whole where that fits into memory, and else coarsely first and then in tiles, as dask graphs.

The coarse solution is found by one task, the driver, which runs graphs of its own over the tiles, as `_stitch` does,
and keeps what the tiles tell and none of their voxels. Tiles come from the shape of the image, so that chunks do not
show in the result.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _device
from .._array import Array, dtype_name, from_numpy, is_lazy
from .._monitor import note, quiet, resumed, stage, ticket
from .._plan import Pyramid, Slices, Tile
from ._made import lazy
from ._stitch import answers, computed, done_whole
from ._stitch_sweeps import Labelling, swept_whole
from ._sweeps import current, tiles_of
from ._tile_sizes import tile_edges
from ._tiled import Looking, Tiled, Tiles, settled

__all__ = ["fits", "run_pyramid"]

TILE_VOXELS = 1 << 21
"""Voxels of a tile at most, without those around it: edges are powers of two."""


def fits(plan: Pyramid, arrays: Sequence[Array | None]) -> bool:
    """Tell whether arrays can be done whole.

    Parameters
    ----------
    plan : Pyramid
        What to do.
    arrays : sequence of array or None
        Host arrays, which are in memory already, or dask arrays, which are not.
    """
    return _n_bytes(plan, arrays) <= memory()


def memory() -> int:
    """Return how many bytes of host memory a run may plan with: in sweeps what was planned, else what is free."""
    planned: int | None = getattr(current(), "memory", None)
    return _device.free_host_memory() if planned is None else planned


def _n_bytes(plan: Pyramid, arrays: Sequence[Array | None]) -> float:
    """Return how much memory it takes to do arrays whole."""
    first: Array = arrays[0]
    result = math.prod(first.shape) * np.dtype(plan.dtype).itemsize * (plan.n or 1)
    return float(plan.n_bytes + result + sum(_size(a) for a in arrays if a is not None and is_lazy(a)))


def _size(array: Array) -> int:
    return int(math.prod(array.shape) * np.dtype(dtype_name(array)).itemsize)


def run_pyramid(plan: Pyramid, arrays: Sequence[Array | None]) -> Array:
    """Run a plan on dask arrays.

    Parameters
    ----------
    plan : Pyramid
        What to do.
    arrays : sequence of dask array or None
        Of one shape.

    Returns
    -------
    dask array
        With the chunks of the first. Free memory is looked at now: it decides whether all of it becomes one task.
    """
    image: Array = arrays[0]
    if current() is not None:
        return swept_whole(plan.whole, arrays, plan.dtype, plan.n) if fits(plan, arrays) else _in_sweeps(plan, arrays)
    found = _whole(plan, arrays) if fits(plan, arrays) else _in_tiles(plan, arrays)
    chunks = image.chunks if plan.n is None else ((plan.n,), *image.chunks)
    return found.rechunk(chunks, method="tasks")


def _whole(plan: Pyramid, arrays: Sequence[Array | None]) -> Array:
    """Gather all blocks in one task."""
    return _from_delayed(plan, done_whole(plan.whole, arrays), arrays[0].shape)  # type: ignore[union-attr]


def _from_delayed(plan: Pyramid, task: Any, shape: Sequence[int]) -> Array:
    import dask.array as da

    shape = tuple(shape) if plan.n is None else (plan.n, *shape)
    return da.from_delayed(task, shape, meta=np.empty((0,) * len(shape), plan.dtype))


def _in_tiles(plan: Pyramid, arrays: Sequence[Array | None]) -> Array:
    """Solve coarsely in one task, and then each tile in one of its own."""
    import dask
    import dask.array as da

    image: Array = arrays[0]
    cut = tiles_for(image.shape, plan.width)
    tiles, grid = list(cut), tuple(map(len, cut.chunks))
    blocks = _Blocks(tiles, arrays)
    known = dask.delayed(_solved, nout=len(tiles), pure=False)(plan, blocks, memory(), ticket())
    parts = np.empty(len(tiles), object)
    for tile in tiles:
        part = dask.delayed(_applied)(plan.apply, tile, known[tile.number], ticket(), *blocks.of(tile))
        parts[tile.number] = _from_delayed(plan, part, [s.stop - s.start for s in tile.own])
    return da.block(parts.reshape(grid).tolist())


def tiles_for(shape: Sequence[int], width: int) -> Tiles:
    """Return the tiles of an image, which come from its shape."""
    shape = tuple(map(int, shape))
    return Tiles(tiles_of(shape, tile_edges(shape, TILE_VOXELS)), width)


def _in_sweeps(plan: Pyramid, arrays: Sequence[Array | None]) -> Array:
    """Solve coarsely in sweeps of a run; tiles are made when they are read."""
    sweeper, image = current(), arrays[0]
    assert sweeper is not None
    assert image is not None
    sources, tiles = settled(arrays), tiles_for(image.shape, plan.width)

    def sweep(name: str, look: Callable[..., Any]) -> list[Any]:
        return sweeper.map(name, Looking(_Plain(look), _its_own, None, sources, tiles, range(len(tiles))), len(tiles))

    note(budget=memory())
    known = list(plan.solve(sweep, list(tiles), memory()))
    first = () if plan.n is None else ((plan.n,),)
    work = Labelling(plan.apply, _its_own, known, sources, tiles, device=sweeper.device)
    return lazy(Tiled(work, (*first, *tiles.chunks), plan.dtype, "labelling tiles"), (*first, *image.chunks))


@dataclass(frozen=True, slots=True)
class _Plain:
    """Lets tiles look that know nothing yet."""

    look: Callable[..., Any]

    def __call__(self, tile: Tile, _: None, *blocks: Array | None) -> Any:
        return self.look(tile, *blocks)


def _its_own(known: list[Any] | None, tile: Tile) -> Any:
    """Return what a tile knows; nothing before the coarse solution."""
    return None if known is None else known[tile.number]


class _Blocks:
    """The blocks of all tiles, not yet computed; dask does not look inside, so the driver's task waits for none."""

    def __init__(self, tiles: list[Tile], arrays: Sequence[Array | None]) -> None:
        self.tiles, self._arrays = tiles, list(arrays)
        self.token = uuid.uuid4().hex

    def of(self, tile: Tile) -> list[Array | None]:
        """Return what a tile is given of each array."""
        region: Slices = tuple(slice(o, o + n) for o, n in zip(tile.origin, tile.shape, strict=True))
        return [None if a is None else a[region] for a in self._arrays]


def _solved(plan: Pyramid, blocks: _Blocks, budget: int, watcher: int | None) -> list[Any]:
    """Return what each tile needs to know."""

    def sweep(name: str, look: Callable[..., Any]) -> list[Any]:
        import dask

        stage(name)
        task = dask.delayed(_looked, pure=False)
        return computed([task(look, tile, *blocks.of(tile)) for tile in blocks.tiles])

    def found() -> list[Any]:
        with resumed(watcher):
            note(budget=budget)
            return list(plan.solve(sweep, blocks.tiles, budget))

    return answers.get(blocks.token, found)  # type: ignore[no-any-return]


def _looked(look: Callable[..., Any], tile: Tile, *blocks: Array | None) -> Any:
    with quiet():  # its own progress is not that of the whole
        return look(tile, *blocks)


def _applied(apply: Callable[..., Array], tile: Tile, known: Any, watcher: int | None, *blocks: Array | None) -> Array:
    """Return the result of a tile in the library of its blocks."""
    with resumed(watcher), quiet():
        return from_numpy(apply(tile, known, *blocks), like=blocks[0])
