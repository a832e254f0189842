"""Labels of tiles made into labels of the whole, of dask arrays whose chunks are the tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._array import Array, from_numpy, to_numpy
from ..processing._seams import Facts, Rule, numbers_for, renumbered, seams_between
from ..processing.stitch import Layout
from ._made import Source, lazy
from ._sweeps import current
from ._tiled import Tiled, settled


def lazy_stitch(labels: Array, depth: tuple[int, ...], rule: Rule) -> Array:
    """Join the objects of the chunks of a dask array, as `stitch` does of an array in memory.

    Parameters
    ----------
    labels : dask array of int
        Its chunks are tiles, overlap included.
    depth : tuple of int
        The overlap along each axis.
    rule : Rule
        When two objects are one.

    Returns
    -------
    dask array of int32
        Without what was overlap. The joining task holds what tiles have in common.
    """
    import dask
    import dask.array as da

    tiles = Layout(labels.chunks, depth)
    if current() is not None:
        return _stitched_now(labels, tiles, rule)
    blocks = labels.to_delayed().ravel()
    facts = [dask.delayed(tiles.facts)(block, number) for number, block in enumerate(blocks)]
    numbers = dask.delayed(_numbers, nout=tiles.n)(facts, tiles.grid, rule)
    parts = np.empty(tiles.n, object)
    for number, block in enumerate(blocks):
        part = dask.delayed(_shown)(block, tiles.own(number), facts[number], numbers[number])
        shape = tuple(s.stop - s.start for s in tiles.place(number))
        parts[number] = da.from_delayed(part, shape, meta=np.empty((0,) * labels.ndim, np.int32))
    return da.block(parts.reshape(tiles.grid).tolist())


def _numbers(facts: list[Facts], grid: tuple[int, ...], rule: Rule) -> list[Any]:
    return numbers_for(facts, seams_between(facts, grid, rule))


def _shown(block: Array, own: Any, facts: Facts, numbers: Any) -> Array:
    return from_numpy(renumbered(to_numpy(block)[own], facts.label, numbers), like=block)


def _stitched_now(labels: Array, tiles: Layout, rule: Rule) -> Array:
    sweeper, (source,) = current(), settled([labels])
    assert sweeper is not None
    assert source is not None
    facts = sweeper.map("looking at the edges of tiles", _Looking(source, tiles), tiles.n)
    work = _Showing(source, tiles, [f.label for f in facts], _numbers(facts, tiles.grid, rule))
    return lazy(Tiled(work, tiles.chunks, "int32", "numbering objects"), tiles.chunks)


@dataclass(frozen=True, slots=True, eq=False)
class _Looking:
    """Finds the objects of a tile, and what it has in common with others."""

    source: Source
    tiles: Layout

    def __call__(self, number: int) -> Facts:
        return self.tiles.facts(self.source.read(self.tiles.region(number)), number)


@dataclass(frozen=True, slots=True, eq=False)
class _Showing:
    """Gives the objects of a tile their numbers."""

    source: Source
    tiles: Layout
    label: list[Any]
    number: list[Any]

    def __call__(self, number: int) -> Array:
        block = self.source.read(self.tiles.region(number))
        shown = renumbered(to_numpy(block)[self.tiles.own(number)], self.label[number], self.number[number])
        return from_numpy(shown, like=block)
