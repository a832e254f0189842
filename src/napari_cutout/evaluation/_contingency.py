"""How often each pair of labels meets: the only statistic of two label arrays that overlap scores need.

Whatever the score, it is arithmetic on a small table of int64 counts, and only the counting in here touches
voxels. Counts add over blocks, so they are the same for every tiling, library and device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, bincount, dtype_name, is_host, is_lazy, to_numpy
from .._compiled import compiled
from .._plan import Pass, reduce_passes
from ._tables import MAX_LABEL, NOTHING, Contingency, Counts, added_up, gathered, tabulated

__all__ = ["MAX_LABEL", "Contingency", "Counts", "added_up", "contingency", "gathered", "tabulated"]

MAX_CELLS = 1 << 14
"""Largest table of all label pairs of a block that is counted densely."""

SMALL = 64
"""Labels below this power of two are counted without asking for their range."""

MAX_DEVICE_CELLS = 1 << 22
"""The same on a device, where sorting labels costs far more than a larger table."""

LANES = 8
"""Copies of each cell of the dense table, a power of two. Neighbours mostly hold the same pair, and adding to the
number that was just written waits for it: with copies taken in turn a loop over real labels is 4 times as fast."""

SLOTS = 1 << 16
"""Slots of the hash table that counts the label pairs of other blocks; a full table is emptied and used again."""


def contingency(predicted: Array, truth: Array, ignore: int | None = None) -> Contingency:
    """Count how often each pair of a predicted and a true label meets.

    Parameters
    ----------
    predicted, truth : arrays of int or bool, of one shape
        Labels from 0 to 2**63 - 1, in any number of dimensions; False is 0 and True is 1. Both come from one
        library.
    ignore : int, optional
        The label of `truth` that means *not annotated*: its voxels are left out. It may be negative.

    Returns
    -------
    Contingency
        The pairs that occur, on the host.

    Raises
    ------
    TypeError
        If an array holds anything but integers or booleans, the arrays come from different libraries, or
        `ignore` is not an integer.
    ValueError
        If the shapes differ, there are no voxels, `ignore` leaves none, or a label is negative.

    Notes
    -----
    Exact, in one pass over both arrays, block by block; dask arrays are computed chunk by chunk. Memory: a few
    blocks, and 24 bytes for every pair of labels.

    Examples
    --------
    >>> import numpy as np
    >>> table = contingency(np.array([0, 1, 1, 1]), np.array([0, 0, 2, 2]))
    >>> table.predicted.tolist(), table.truth.tolist(), table.counts.tolist()
    ([0, 1, 1], [0, 0, 2], [1, 1, 2])
    """
    check_pair(predicted, truth, ignore)
    parts: tuple[Contingency, ...] = sum_blocks(count_block, gathered, predicted, truth)
    return checked(reduce(Contingency.__add__, parts).without(ignore), ignore)


def checked(table: Contingency, ignore: int | None) -> Contingency:
    """Return the table of a whole array, from which `ignore` has been left out, if it can be scored.

    Raises
    ------
    ValueError
        If `ignore` leaves no voxels, or a label is negative.
    """
    if not len(table):
        raise ValueError(
            f"ignore={ignore} takes out every voxel of truth, so there is nothing to score; "
            "annotate some voxels, or name another label that means *not annotated*"
        )
    _check_labels("predicted", table.predicted)
    _check_labels("truth", table.truth)
    return table


def contingency_by_zone(predicted: Array, truth: Array, zone: Array) -> tuple[Contingency, Contingency]:
    """Count how often each pair of labels meets inside a zone and outside it, in one pass over all three arrays.

    Parameters
    ----------
    predicted, truth : arrays of int or bool, of one shape
        As in `contingency`; nothing is left out, and labels are not checked.
    zone : array of bool, of the same shape and library
        What lies inside.

    Returns
    -------
    inside, outside : Contingency
        The pairs that occur in each, on the host.
    """
    inside, outside = sum_blocks(_count_by_zone, _gathered_by_zone, predicted, truth, zone)
    return reduce(Contingency.__add__, inside), reduce(Contingency.__add__, outside)


Parts = tuple[Contingency, ...]


def _count_by_zone(predicted: Array, truth: Array, zone: Array) -> tuple[Parts, Parts]:
    if 0 in predicted.shape:
        return (NOTHING,), (NOTHING,)
    return count_block(predicted[zone], truth[zone]), count_block(predicted[~zone], truth[~zone])


def _gathered_by_zone(done: tuple[Parts, Parts], new: tuple[Parts, Parts]) -> tuple[Parts, Parts]:
    return gathered(done[0], new[0]), gathered(done[1], new[1])


# Checks ----------------------------------------------------------------------------------------------


def check_pair(predicted: Array, truth: Array, ignore: int | None, *, first: str = "predicted") -> None:
    """Raise unless two arrays can be compared voxel by voxel; `first` says what the first one is called."""
    array_namespace(predicted, truth)
    if ignore is not None and (isinstance(ignore, bool) or not isinstance(ignore, (int, np.integer))):
        raise TypeError(f"ignore must be an integer label of truth or None, got {ignore!r}")
    for name, array in ((first, predicted), ("truth", truth)):
        dtype = dtype_name(array)
        if name in ("predicted", "truth") and not dtype.startswith(("int", "uint", "bool")):
            raise TypeError(
                f"{name} must hold integer labels, got dtype {dtype}; convert it, for example with .astype(int)"
            )
    _check_shapes(first, tuple(predicted.shape), tuple(truth.shape))


def check_zone(name: str, zone: Array, like: Array) -> None:
    """Raise unless an array can say of each voxel of another whether it lies in a zone."""
    array_namespace(zone, like)
    if (dtype := dtype_name(zone)) != "bool":
        raise TypeError(f"{name} must hold booleans, got dtype {dtype}; pass for example {name} > 0")
    _check_shapes("predicted", tuple(like.shape), tuple(zone.shape), name)


def _check_shapes(first: str, shape: tuple[int, ...], other: tuple[int, ...], name: str = "truth") -> None:
    if any(math.isnan(n) for n in shape + other):
        raise ValueError(
            f"{first} and {name} must have known shapes, got {shape} and {other}; "
            "call compute_chunk_sizes() on the dask array first"
        )
    if shape != other:
        raise ValueError(
            f"{name} must have the shape of {first}, {shape}, but has {other}; crop or resample one to the other"
        )
    if not shape or 0 in shape:
        raise ValueError(
            f"{first} and {name} have shape {shape}, which holds no voxels; pass arrays that are not empty"
        )


def _check_labels(name: str, labels: Counts) -> None:
    if labels.min() < 0:
        raise ValueError(
            f"{name} holds the label {labels.min()}, and labels must be 0 or more; "
            "give it as `ignore` if truth uses it for *not annotated*, or renumber it"
        )


# Driving ---------------------------------------------------------------------------------------------


def sum_blocks(chunk: Callable[..., Any], combine: Callable[[Any, Any], Any], *arrays: Array) -> Any:
    """Combine ``chunk(*blocks)`` over all blocks of arrays of one shape, in memory or of dask.

    Parameters
    ----------
    chunk : callable
        From one block of each array to a summary; dask may have blocks without voxels.
    combine : callable
        From two summaries to one; called in the order of the blocks.
    *arrays : arrays
        Of one shape and library.

    Returns
    -------
    object
        The summary of all blocks.

    Raises
    ------
    Cancelled
        If the caller that watches asked for it.
    """
    sweep = Pass(lambda _, *blocks: chunk(*blocks), combine, lambda _, total: total, lambda _: True, "comparing labels")
    if not is_lazy(arrays[0]):
        return reduce_passes(None, [sweep], *arrays)
    from ..blockwise import _plans

    aligned = [array.rechunk(arrays[0].chunks) for array in arrays]
    with _plans.watched(sweep.name):
        return _plans.reduce_passes(None, [sweep], aligned).compute()


# Counting one block ----------------------------------------------------------------------------------


def count_block(predicted: Array, truth: Array) -> tuple[Contingency, ...]:
    """Count the label pairs of a block where it lives; the tables add up to those of the block."""
    if 0 in predicted.shape:
        return (NOTHING,)
    if is_host(predicted) and (small := _count_small_on_host(*_as_one_dtype(predicted, truth))) is not None:
        return (small,)
    spans = (span_of("predicted", predicted), span_of("truth", truth))
    cells = math.prod(high - low + 1 for low, high in spans)
    if is_host(predicted):
        predicted, truth = _as_one_dtype(predicted, truth)
        if cells <= MAX_CELLS:
            return _count_dense_on_host(predicted, truth, *spans)
        return _count_pairs_on_host(predicted, truth)
    return _count_dense(predicted, truth, *spans) if cells <= MAX_DEVICE_CELLS else _count_ranks(predicted, truth)


Span = tuple[int, int]


def span_of(name: str, labels: Array) -> Span:
    """Return the smallest and the largest label.

    Raises
    ------
    ValueError
        If the largest does not fit into int64.
    """
    xp = array_namespace(labels)
    if dtype_name(labels) == "bool":
        return 0, 1
    low, high = int(to_numpy(xp.min(labels))), int(to_numpy(xp.max(labels)))
    if high > MAX_LABEL:
        raise ValueError(f"{name} holds the label {high}, and labels must be at most {MAX_LABEL}; renumber it")
    return low, high


def _count_dense(predicted: Array, truth: Array, rows: Span, columns: Span) -> tuple[Contingency, ...]:
    """Give every pair of the two spans a number, and count the numbers."""
    width = columns[1] - columns[0] + 1
    pair = (int64(predicted) - rows[0]) * width + (int64(truth) - columns[0])
    return (_unpacked(bincount(pair, (rows[1] - rows[0] + 1) * width), rows[0], columns[0], width),)


def _unpacked(counts: Counts, low_predicted: int, low_truth: int, width: int) -> Contingency:
    """Return the cells of a dense table that are not empty."""
    at = np.flatnonzero(counts)
    return Contingency(at // width + low_predicted, at % width + low_truth, counts[at])


def _count_ranks(predicted: Array, truth: Array) -> tuple[Contingency, ...]:
    """Replace labels by their rank among those that occur, so that any pair fits into one integer."""
    xp = array_namespace(predicted)
    rows, row = xp.unique_inverse(xp.reshape(int64(predicted), (-1,)))
    columns, column = xp.unique_inverse(xp.reshape(int64(truth), (-1,)))
    pairs, counts = xp.unique_counts(row * columns.shape[0] + column)
    at = to_numpy(pairs)
    width = columns.shape[0]
    counted = to_numpy(counts).astype(np.int64, copy=False)
    return (Contingency(to_numpy(rows)[at // width], to_numpy(columns)[at % width], counted),)


def int64(labels: Array) -> Array:
    """Return labels as int64, in their library."""
    xp = array_namespace(labels)
    return xp.astype(labels, xp.int64)


def _as_one_dtype(*blocks: NDArray[Any]) -> list[NDArray[Any]]:
    """Return host blocks flat, in the narrowest dtype that holds all: few dtypes, so few compiled loops.

    What is left for int64 is uint64, whose labels `_span` has found to fit.
    """
    narrow = ("uint8", "uint16", "int32")
    wanted = next((kind for kind in narrow if all(np.can_cast(b.dtype, kind) for b in blocks)), "int64")
    return [np.ascontiguousarray(b.reshape(-1), wanted) for b in blocks]


def _count_small_on_host(predicted: NDArray[Any], truth: NDArray[Any]) -> Contingency | None:
    """Count labels below `SMALL` in one sweep, without a look at their range before; None if there are others."""
    lanes = np.zeros(SMALL * SMALL * LANES, np.int64)
    if not 0 <= _count_small(predicted, truth, lanes) < SMALL:
        return None
    return _unpacked(lanes.reshape(-1, LANES).sum(axis=1), 0, 0, SMALL)


@compiled
def _count_small(predicted: NDArray[Any], truth: NDArray[Any], lanes: Counts) -> int:
    """Count as if all labels were small, and return all their bits: negative or large if one of them is not."""
    bits: Any = np.int64(0)
    for i in range(predicted.size):
        p, t = np.int64(predicted[i]), np.int64(truth[i])
        bits |= p | t
        lanes[np.uint64(((p & (SMALL - 1)) * SMALL + (t & (SMALL - 1))) * LANES + (i & (LANES - 1)))] += 1
    return bits  # type: ignore[no-any-return]  # an int64, which Numba would not turn into an int


def _count_dense_on_host(
    predicted: NDArray[Any], truth: NDArray[Any], rows: Span, columns: Span
) -> tuple[Contingency, ...]:
    """Do what `_count_dense` does, in one sweep without temporaries."""
    width = columns[1] - columns[0] + 1
    lanes = np.zeros((rows[1] - rows[0] + 1) * width * LANES, np.int64)
    _count_cells(predicted, truth, rows[0], columns[0], width, lanes)
    return (_unpacked(lanes.reshape(-1, LANES).sum(axis=1), rows[0], columns[0], width),)


@compiled
def _count_cells(
    predicted: NDArray[Any], truth: NDArray[Any], row: int, column: int, width: int, lanes: Counts
) -> None:
    for i in range(predicted.size):
        cell = (np.int64(predicted[i]) - row) * width + np.int64(truth[i]) - column
        # Unsigned, or Numba asks of every index whether it counts from the end: half of the time of this loop.
        lanes[np.uint64(cell * LANES + (i & (LANES - 1)))] += 1


def _count_pairs_on_host(predicted: NDArray[Any], truth: NDArray[Any]) -> tuple[Contingency, ...]:
    """Do what `_count_ranks` does, by hashing; every time the table is full, its pairs make a part."""
    parts: tuple[Contingency, ...] = ()
    rows, columns = np.empty(SLOTS, np.int64), np.empty(SLOTS, np.int64)
    done = 0
    while done < predicted.size:
        counts = np.zeros(SLOTS, np.int64)
        done = _count_until_full(predicted, truth, done, rows, columns, counts)
        used = np.flatnonzero(counts)
        parts = gathered(parts, (tabulated(rows[used], columns[used], counts[used]),))
    return parts


@compiled
def _count_until_full(
    predicted: NDArray[Any], truth: NDArray[Any], start: int, rows: Counts, columns: Counts, counts: Counts
) -> int:
    last = counts.size - 1
    room = counts.size // 2
    slot = np.int64(0)
    for i in range(start, predicted.size):
        p, t = np.int64(predicted[i]), np.int64(truth[i])
        # Neighbours mostly hold the same pair: look it up only where it changes.
        if counts[slot] == 0 or rows[slot] != p or columns[slot] != t:
            mixed = np.uint64(p) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(t) * np.uint64(0xC2B2AE3D27D4EB4F)
            mixed ^= mixed >> np.uint64(32)
            slot = np.int64(mixed * np.uint64(0xD6E8FEB86659FD93) >> np.uint64(32)) & last
            while counts[slot] != 0 and (rows[slot] != p or columns[slot] != t):
                slot = (slot + 1) & last
            if counts[slot] == 0:
                if room == 0:
                    return i
                room -= 1
                rows[slot], columns[slot] = p, t
        counts[slot] += 1
    return int(predicted.size)
