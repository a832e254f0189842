"""Connected components in sweeps: one in which every tile finds its objects, and one in which it numbers them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .. import _device
from .._array import Array, array_namespace, dtype_name, from_numpy, is_host, to_numpy
from .._plan import Slices
from ..processing._runs import renumber
from ._facts import Labelling, facts_of, joined_tables
from ._made import Source, Stored, costly, lazy, read_together, source_of
from ._sweeps import current, regions_of
from ._tiled import Tiled, settle

__all__ = ["objects_in_sweeps"]


def objects_in_sweeps(
    mask: Array,
    connectivity: int,
    label: Labelling,
    *,
    strict: Array | None = None,
    min_size: int = 0,
    inside: bool = False,
    holes: bool = False,
) -> Array:
    """Find the objects of an array of a run in sweeps at once, and return what numbers them.

    Parameters
    ----------
    mask : dask array
        Of a run in sweeps.
    connectivity : int
        How many axes a step between two voxels of one object may cross.
    label : callable
        How a block is labelled.
    strict : dask array of bool, optional
        Objects that hold none of these voxels become 0.
    min_size : int
        Objects of fewer voxels become 0.
    inside : bool
        True makes objects that touch an edge of the whole 0.
    holes : bool
        True returns, instead of numbers, where there is an object or the mask is not 0.

    Returns
    -------
    dask array of int32, or of bool
        Numbers by first voxel in scan order of the whole. The source it is read from knows how many there are.

    Notes
    -----
    A mask that is costly to make is stored in scratch on the way, in one byte for every voxel. The driver holds the
    labels of all faces of all tiles, in as few bytes as they fit into, and 33 bytes for every object of a tile.
    """
    sweeper, chunks = current(), mask.chunks
    assert sweeper is not None
    regions, source = regions_of(chunks), source_of(mask)
    others = None if strict is None else source_of(strict)
    for read in (source, others):
        settle(read, chunks)
    scratch = sweeper.scratch(source.shape, source.dtype, chunks) if costly(source) else None
    finding = _Finding(source, others, scratch, regions, connectivity, label)
    facts = sweeper.map("finding objects", finding, len(regions))
    tables = joined_tables(facts, tuple(map(len, chunks)), connectivity, min_size, inside)
    del facts
    kept = source if scratch is None else Stored(scratch, sweeper.device)
    numbering = _Numbering(kept, regions, tables, connectivity, label, holes, sweeper.device)
    n_labels = None if holes else max((int(table.max(initial=0)) for table in tables), default=0)
    dtype = "bool" if holes else "int32"
    return lazy(Tiled(numbering, chunks, dtype, "numbering objects", n_labels=n_labels), chunks)


@dataclass(frozen=True, slots=True, eq=False)
class _Finding:
    """Finds the objects of a tile, and keeps its mask if that has a place."""

    source: Source
    strict: Source | None
    scratch: Any
    regions: Sequence[Slices]
    connectivity: int
    label: Labelling

    def __call__(self, number: int) -> Any:
        region = self.regions[number]
        mask, strict = read_together([self.source, self.strict], region)
        if self.scratch is not None:
            self.scratch[region] = to_numpy(mask)
        origin = tuple(s.start for s in region)
        return facts_of(mask, strict, self.connectivity, origin, self.source.shape, self.label)


@dataclass(frozen=True, slots=True, eq=False)
class _Numbering:
    """Gives the objects of a tile their numbers in the whole."""

    source: Source
    regions: Sequence[Slices]
    tables: Any
    connectivity: int
    label: Labelling
    holes: bool
    device: Literal["cpu", "gpu"]

    def __call__(self, number: int) -> Array:
        region, table = self.regions[number], self.tables[number]
        if not self.holes and not table.any():  # no object of it was kept
            return _device.place(np.zeros([s.stop - s.start for s in region], np.int32), self.device)
        mask = self.source.read(region)
        if self.holes:
            return (mask if dtype_name(mask) == "bool" else mask != 0) | self._looked_up(table > 0, mask)
        return self._looked_up(table, mask)

    def _looked_up(self, table: NDArray[Any], mask: Array) -> Array:
        labels = self.label(mask, self.connectivity).labels
        if is_host(labels) and not self.holes:
            renumber(labels.reshape(-1), table)
            return labels
        xp = array_namespace(labels)
        return xp.reshape(xp.take(from_numpy(table, like=labels), xp.reshape(labels, (-1,))), labels.shape)

    def only(self, number: int) -> _Numbering:
        """Return the work of one tile, with its table and no other."""
        return replace(self, tables={number: self.tables[number]})
