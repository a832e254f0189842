"""Connected components of a dask array: labelled block by block, joined across faces, numbered as the whole.

Each block is labelled by itself; the labels of the voxels on both sides of every face say which objects of
different blocks are one. That table is small, so it is solved in one task, and every block is relabelled.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, bincount, from_numpy, to_numpy
from ..processing.labels import label_by_value, label_components

Labelling = Callable[[Array, int], tuple[Array, NDArray[np.int64]]]
"""From a block and a connectivity to its labels, and what objects must have in common to be one."""


@dataclass(frozen=True, slots=True)
class BlockFacts:
    """What the joining task must know of one labelled block.

    Parameters
    ----------
    first : int64 array of shape (n + 1,)
        Linear index in the whole array of each object's first voxel; entry 0 is background.
    size : int64 array of shape (n + 1,)
        Voxels of each object.
    value : int64 array of shape (n + 1,)
        What objects must have in common to be one: their class, or 1 where there are no classes.
    strict : bool array of shape (n + 1,)
        Whether the object holds a voxel that it must hold.
    faces : dict
        Labels of the outermost voxels, by (axis, side), with side 0 or 1.
    """

    first: NDArray[np.int64]
    size: NDArray[np.int64]
    value: NDArray[np.int64]
    strict: NDArray[np.bool_]
    faces: dict[tuple[int, int], NDArray[np.int32]]


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
    label = label_by_value if by_value else _label_mask
    return _renumbered(mask, _tables(mask, connectivity, strict, min_size, inside, label), connectivity, label)


def _label_mask(block: Array, connectivity: int) -> tuple[Array, NDArray[np.int64]]:
    """Give numbers to the objects of a block, whatever their values."""
    labels, n = label_components(block != 0, connectivity)
    return labels, np.ones(n + 1, np.int64)


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
    return (mask != 0) | (lazy_components(mask == 0, connectivity, inside=True) > 0)


def _tables(mask: Array, connectivity: int, strict: Array | None, min_size: int, inside: bool, label: Labelling) -> Any:
    """Return a delayed list: for every block, the number in the whole of each of its labels."""
    import dask

    strict_blocks = itertools.repeat(None) if strict is None else strict.rechunk(mask.chunks).to_delayed().ravel()
    facts = [
        dask.delayed(_facts)(block, strict_block, connectivity, origin, mask.shape, label)
        for block, strict_block, origin in zip(  # strict_blocks may go on for ever
            mask.to_delayed().ravel(), strict_blocks, _origins(mask.chunks), strict=False
        )
    ]
    return dask.delayed(_joined_tables, nout=len(facts))(facts, mask.numblocks, connectivity, min_size, inside)


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
    labels, _ = label(block, connectivity)
    return from_numpy(table, like=labels)[labels]


def _facts(
    block: Array,
    strict: Array | None,
    connectivity: int,
    origin: tuple[int, ...],
    shape: tuple[int, ...],
    label: Labelling,
) -> BlockFacts:
    labels, value = label(block, connectivity)
    n = len(value) - 1
    size = bincount(labels, n + 1)
    held = np.ones(n + 1, bool) if strict is None else bincount(labels[strict], n + 1) > 0
    host = to_numpy(labels)
    faces = {(axis, side): host[_face(host.ndim, axis, -side)].copy() for axis in range(host.ndim) for side in (0, 1)}
    return BlockFacts(_first_voxels(host, n, origin, shape), size, value, held, faces)


def _first_voxels(labels: NDArray[np.int32], n: int, origin: Sequence[int], shape: Sequence[int]) -> NDArray[np.int64]:
    """Return the linear index in the whole of each label's first voxel; a block keeps the whole's scan order."""
    found, at = np.unique(labels, return_index=True)
    where = np.unravel_index(at, labels.shape)
    first = np.full(n + 1, np.iinfo(np.int64).max)
    moved = tuple(w.astype(np.int64) + o for w, o in zip(where, origin, strict=True))
    first[found] = np.ravel_multi_index(moved, tuple(shape))
    return first


def _joined_tables(
    facts: list[BlockFacts], grid: tuple[int, ...], connectivity: int, min_size: int, inside: bool
) -> list[NDArray[np.int32]]:
    """Join the objects of all blocks and return, for each block, the final number of each of its labels."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    starts = np.cumsum([0] + [len(f.first) - 1 for f in facts])
    n = int(starts[-1])
    pairs = [np.zeros((2, 0), np.int64), *_touching_pairs(facts, grid, starts, connectivity)]
    a, b = np.concatenate(pairs, axis=1)
    _, root = connected_components(coo_array((np.ones(len(a), bool), (a, b)), shape=(n, n)), directed=False)
    n_whole = int(root.max(initial=-1)) + 1

    first = np.full(n_whole, np.iinfo(np.int64).max)
    size = np.zeros(n_whole, np.int64)
    keep = np.zeros(n_whole, bool)
    np.minimum.at(first, root, _all(facts, "first"))
    np.add.at(size, root, _all(facts, "size"))
    np.logical_or.at(keep, root, _all(facts, "strict"))
    keep &= size >= min_size
    if inside:
        keep[root[_at_border(facts, grid, starts)]] = False
    order = np.argsort(first, kind="stable")
    number = np.zeros(n_whole, np.int32)
    number[order] = np.where(keep[order], np.cumsum(keep[order]), 0)
    final = number[root]
    return [np.concatenate(([0], final[s:e])).astype(np.int32) for s, e in itertools.pairwise(starts)]


def _all(facts: list[BlockFacts], name: str) -> NDArray[Any]:
    return np.concatenate([getattr(f, name)[1:] for f in facts])


def _touching_pairs(
    facts: list[BlockFacts], grid: tuple[int, ...], starts: NDArray[np.int64], connectivity: int
) -> Iterator[NDArray[np.int64]]:
    """Yield pairs of objects of neighbouring blocks that touch, blocks that meet at an edge or corner included."""
    steps = [s for s in itertools.product((-1, 0, 1), repeat=len(grid)) if s > (0,) * len(grid)]
    for i, where in enumerate(np.ndindex(*grid)):
        for step in steps:
            other = tuple(w + s for w, s in zip(where, step, strict=True))
            if sum(map(abs, step)) > connectivity or not all(0 <= o < g for o, g in zip(other, grid, strict=True)):
                continue
            j = int(np.ravel_multi_index(other, grid))
            yield from _pairs_across(facts[i], facts[j], step, (starts[i], starts[j]), connectivity)


def _pairs_across(
    one: BlockFacts, two: BlockFacts, step: tuple[int, ...], starts: tuple[int, int], connectivity: int
) -> Iterator[NDArray[np.int64]]:
    """Yield the touching pairs of two blocks that meet in direction `step`."""
    axis = next(a for a, s in enumerate(step) if s)
    here, there = one.faces[axis, int(step[axis] > 0)], two.faces[axis, int(step[axis] < 0)]
    rest = [a for a in range(len(step)) if a != axis]
    for k, other in enumerate(rest):  # narrow both faces to the edge or corner where the blocks meet
        if step[other]:
            here = here[_kept(here.ndim, k, -1 if step[other] > 0 else 0)]
            there = there[_kept(there.ndim, k, 0 if step[other] > 0 else -1)]
    left = connectivity - sum(map(abs, step))
    for shift in itertools.product(*((0,) if step[other] else (-1, 0, 1) for other in rest)):
        if sum(map(abs, shift)) > left:
            continue
        a, b = _shifted(here, shift), _shifted(there, tuple(-s for s in shift))
        both = (a > 0) & (b > 0) & (one.value[a] == two.value[b])
        yield np.unique(np.stack([a[both] - 1 + starts[0], b[both] - 1 + starts[1]]).astype(np.int64), axis=1)


def _shifted(face: NDArray[np.int32], shift: tuple[int, ...]) -> NDArray[np.int32]:
    """Return the part of a face that has a partner `shift` away."""
    return face[tuple(slice(max(-s, 0), n - max(s, 0)) for s, n in zip(shift, face.shape, strict=True))]


def _kept(ndim: int, axis: int, at: int) -> tuple[slice, ...]:
    """Return slices that keep one plane, and the axis."""
    plane = slice(at, None) if at < 0 else slice(at, at + 1)
    return tuple(plane if a == axis else slice(None) for a in range(ndim))


def _at_border(facts: list[BlockFacts], grid: tuple[int, ...], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the objects that touch an edge of the whole; an axis of one voxel has no edges."""
    touching = [np.zeros(0, np.int64)]
    for i, where in enumerate(np.ndindex(*grid)):
        for axis, (at, n) in enumerate(zip(where, grid, strict=True)):
            if n == 1 and _thickness(facts[i], axis) == 1:
                continue
            for side, outermost in ((0, at == 0), (1, at == n - 1)):
                if outermost:
                    labels = np.unique(facts[i].faces[axis, side])
                    touching.append(labels[labels > 0] - 1 + starts[i])
    return np.concatenate(touching)


def _thickness(facts: BlockFacts, axis: int) -> int:
    """Return the extent of a block along an axis, from a face that contains that axis."""
    other = next(a for a in range(len(facts.faces) // 2) if a != axis)
    return int(facts.faces[other, 0].shape[axis - (axis > other)])


def _face(ndim: int, axis: int, at: int) -> tuple[Any, ...]:
    return tuple(at if a == axis else slice(None) for a in range(ndim))


def _origins(chunks: Sequence[Sequence[int]]) -> Iterator[tuple[int, ...]]:
    """Yield the index of each block's first voxel, in scan order of the blocks."""
    return itertools.product(*(np.cumsum([0, *sizes[:-1]]).tolist() for sizes in chunks))


def _block_shape(chunks: Sequence[Sequence[int]], at: Sequence[Any]) -> tuple[int, ...]:
    return tuple(int(sizes[int(i)]) for sizes, i in zip(chunks, at, strict=True))
