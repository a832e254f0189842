"""Connected components of a dask array: labelled block by block, joined across faces, numbered as the whole.

Each block is labelled by itself; the labels of the voxels on both sides of every face say which objects of
different blocks are one. That table is small, so it is solved in one task, and every block is relabelled.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, dtype_name, from_numpy, is_host
from ..processing._runs import label_runs
from ..processing.labels import label_by_value, label_components
from ._facts import Labelled, Labelling, facts_of, joined_tables
from ._objects import objects_in_sweeps
from ._sweeps import current


def lazy_components(
    mask: Array,
    connectivity: int,
    *,
    min_size: int = 0,
    inside: bool = False,
    strict: Array | None = None,
    by_value: bool = False,
) -> Array:
    """Give numbers to the objects of a dask mask as if it were one array.

    Parameters
    ----------
    mask : dask array
        Non-zero voxels belong to objects.
    connectivity : int
        How many axes a step between two voxels of one object may cross.
    min_size : int
        Objects of fewer voxels become 0.
    inside : bool
        True makes objects that touch an edge of the whole array 0.
    strict : dask array of bool, optional
        Objects that hold none of these voxels become 0.
    by_value : bool
        True if touching voxels of different values belong to different objects.

    Returns
    -------
    dask array of int32
        Same chunks; numbers by first voxel in scan order of the whole, without gaps.

    Notes
    -----
    The joining task holds the labels of all faces of all blocks and 29 bytes for every object of a block.
    """
    label = _label_by_value if by_value else _label_mask
    if current() is not None:
        return objects_in_sweeps(mask, connectivity, label, strict=strict, min_size=min_size, inside=inside)
    return _renumbered(mask, _tables(mask, connectivity, strict, min_size, inside, label), connectivity, label)


def _label_mask(block: Array, connectivity: int) -> Labelled:
    """Give numbers to the objects of a block, whatever their values."""
    inside = block if dtype_name(block) == "bool" else block != 0
    if is_host(inside):
        labels, first, size = label_runs(inside, connectivity)
        return Labelled(labels, np.ones(len(size), np.int64), first, size)
    labels, n = label_components(inside, connectivity)
    return Labelled(labels, np.ones(n + 1, np.int64))


def _label_by_value(block: Array, connectivity: int) -> Labelled:
    """Give numbers to the objects of a block, which are of one value each."""
    return Labelled(*label_by_value(block, connectivity))


def _label_background(block: Array, connectivity: int) -> Labelled:
    """Give numbers to the parts of the background of a block."""
    return _label_mask(~block if dtype_name(block) == "bool" else block == 0, connectivity)


def lazy_fill_holes(mask: Array, connectivity: int) -> Array:
    """Fill what the objects of a dask mask enclose, as if it were one array.

    Parameters
    ----------
    mask : dask array
        Non-zero voxels belong to objects.
    connectivity : int
        How many axes a step through a hole may cross.

    Returns
    -------
    dask array of bool
        Same chunks.
    """
    if current() is not None:
        return objects_in_sweeps(mask, connectivity, _label_background, inside=True, holes=True)
    return (mask != 0) | (lazy_components(mask == 0, connectivity, inside=True) > 0)


def _tables(mask: Array, connectivity: int, strict: Array | None, min_size: int, inside: bool, label: Labelling) -> Any:
    """Return a delayed list: for every block, the number in the whole of each of its labels."""
    import dask

    strict_blocks = itertools.repeat(None) if strict is None else strict.rechunk(mask.chunks).to_delayed().ravel()
    facts = [
        dask.delayed(facts_of)(block, strict_block, connectivity, origin, mask.shape, label)
        for block, strict_block, origin in zip(  # strict_blocks may go on for ever
            mask.to_delayed().ravel(), strict_blocks, _origins(mask.chunks), strict=False
        )
    ]
    return dask.delayed(joined_tables, nout=len(facts))(facts, mask.numblocks, connectivity, min_size, inside)


def _renumbered(mask: Array, tables: Any, connectivity: int, label: Labelling) -> Array:
    import dask
    import dask.array as da

    blocks = mask.to_delayed()
    parts = np.empty(blocks.size, object)
    for i, block in enumerate(blocks.ravel()):
        shape = _block_shape(mask.chunks, np.unravel_index(i, blocks.shape))
        part = dask.delayed(_relabelled)(block, tables[i], connectivity, label)
        parts[i] = da.from_delayed(part, shape, meta=np.empty((0,) * mask.ndim, np.int32))
    return da.block(parts.reshape(blocks.shape).tolist())


def _relabelled(block: Array, table: NDArray[np.int32], connectivity: int, label: Labelling) -> Array:
    labels = label(block, connectivity).labels
    return from_numpy(table, like=labels)[labels]


def _origins(chunks: Sequence[Sequence[int]]) -> Iterator[tuple[int, ...]]:
    """Yield the index of each block's first voxel, in scan order of the blocks."""
    return itertools.product(*(np.cumsum([0, *sizes[:-1]]).tolist() for sizes in chunks))


def _block_shape(chunks: Sequence[Sequence[int]], at: Sequence[Any]) -> tuple[int, ...]:
    return tuple(int(sizes[int(i)]) for sizes, i in zip(chunks, at, strict=True))
