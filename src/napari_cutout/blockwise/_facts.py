"""What blocks tell of their objects, and how the objects of different blocks become one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, bincount, is_host, to_numpy
from ..processing._runs import measure_labels

__all__ = ["BlockFacts", "Labelled", "Labelling", "facts_of", "joined_tables"]


class Labelled(NamedTuple):
    """A block whose objects have numbers.

    Parameters
    ----------
    labels : int32 array
        From 1 on; 0 is background.
    value : int64 array of shape (n + 1,)
        What objects must have in common to be one.
    first : int64 array of shape (n + 1,), optional
        Index of the first voxel of each, in the scan order of the block, if that is known already.
    size : int64 array of shape (n + 1,), optional
        Voxels of each.
    """

    labels: Array
    value: NDArray[np.int64]
    first: NDArray[np.int64] | None = None
    size: NDArray[np.int64] | None = None


Labelling = Callable[[Array, int], Labelled]
"""From a block and a connectivity to its objects."""


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
        Labels of the outermost voxels, by (axis, side), with side 0 or 1; in the smallest dtype that holds them.
    """

    first: NDArray[np.int64]
    size: NDArray[np.int64]
    value: NDArray[np.int64]
    strict: NDArray[np.bool_]
    faces: dict[tuple[int, int], NDArray[Any]]


def facts_of(
    block: Array,
    strict: Array | None,
    connectivity: int,
    origin: tuple[int, ...],
    shape: tuple[int, ...],
    label: Labelling,
) -> BlockFacts:
    labels, value, first, size = label(block, connectivity)
    n = len(value) - 1
    if first is None or size is None:
        first, size = _measured(labels, n)
    held = np.ones(n + 1, bool) if strict is None else bincount(labels[strict], n + 1) > 0
    host = to_numpy(labels)
    faces = {
        (axis, side): host[_face(host.ndim, axis, -side)].astype(np.min_scalar_type(n))
        for axis in range(host.ndim)
        for side in (0, 1)
    }
    return BlockFacts(_in_the_whole(first, host.shape, origin, shape), size, value, held, faces)


def _measured(labels: Array, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first voxel of each label in the scan order of the block, -1 if there is none, and how many it has."""
    first, size = np.full(n + 1, -1, np.int64), np.zeros(n + 1, np.int64)
    if is_host(labels):
        measure_labels(np.ascontiguousarray(labels).reshape(-1), first, size)
        return first, size
    xp = array_namespace(labels)
    found: Any = xp.unique_all(xp.reshape(labels, (-1,)))
    first[to_numpy(found.values)], size[to_numpy(found.values)] = to_numpy(found.indices), to_numpy(found.counts)
    return first, size


def _in_the_whole(
    first: NDArray[np.int64], block: Sequence[int], origin: Sequence[int], shape: Sequence[int]
) -> NDArray[np.int64]:
    """Return the linear index in the whole of each label's first voxel; a block keeps the whole's scan order."""
    where = np.unravel_index(np.maximum(first, 0), tuple(block))
    moved = tuple(w.astype(np.int64) + o for w, o in zip(where, origin, strict=True))
    return np.where(first < 0, np.iinfo(np.int64).max, np.ravel_multi_index(moved, tuple(shape)))


def joined_tables(
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
    if np.count_nonzero(keep) > np.iinfo(np.int32).max:
        raise ValueError(
            f"there are {np.count_nonzero(keep):,} objects, and at most {np.iinfo(np.int32).max:,} can be numbered in "
            "int32; remove small ones with min_size, or smooth the image"
        )
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
        pair = a[both].astype(np.int64) + (starts[0] - 1), b[both].astype(np.int64) + (starts[1] - 1)
        yield np.unique(np.stack(pair), axis=1)


def _shifted(face: NDArray[Any], shift: tuple[int, ...]) -> NDArray[Any]:
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
                    touching.append(labels[labels > 0].astype(np.int64) - 1 + starts[i])
    return np.concatenate(touching)


def _thickness(facts: BlockFacts, axis: int) -> int:
    """Return the extent of a block along an axis, from a face that contains that axis."""
    other = next(a for a in range(len(facts.faces) // 2) if a != axis)
    return int(facts.faces[other, 0].shape[axis - (axis > other)])


def _face(ndim: int, axis: int, at: int) -> tuple[Any, ...]:
    return tuple(at if a == axis else slice(None) for a in range(ndim))
