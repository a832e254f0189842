"""A queue of voxels by level, first in, first out within a level: integers go into buckets, nothing is compared.

Keys are uint32, and none that comes is below the level that is being flooded. A key's upper bits name a coarse bucket,
its lower bits a fine one. Voxels wait in their coarse bucket; when its turn comes they are dealt out to the fine
buckets, which are one level each. Coarse buckets are chunks of 32 voxels, and fine ones are lists in a small pool, so
that both are written and read in the cache, which one list through the whole volume would leave at every step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._compiled import bare, inlined

__all__ = ["Queue", "new_queue", "next_level", "push"]

N_BUCKETS = 1 << 16
N_WORDS = N_BUCKETS // 64

CHUNK = 32
"""Voxels of a chunk."""

SHIFT, BUCKET, WORD, FREE, N_CHUNKS, N_NODES, SEEN = range(7)
"""What `Queue.state` holds: lower bits of a key; the coarse bucket that is being flooded, -1 before the first; the word
of its bitmap where the search goes on; the first free chunk; chunks ever used; nodes in use; whatever a flood saw of
the voxels ahead, so that the compiler cannot leave out the look."""

FIRST, LAST, HELD = 0, 1, 2
"""Columns of the tables of buckets: the first and last chunk or node, and how many voxels the last chunk holds."""

COARSE, FINE = 0, 1
"""Rows of the bitmaps."""

NONE = -1
"""The end of a list."""

ONE = np.uint64(1)


class Queue(NamedTuple):
    """The arrays of a queue.

    A compiled loop unpacks them once and hands them on one by one: Numba counts references whenever it takes an array
    out of a tuple, which makes a flood twice as slow.

    Parameters
    ----------
    state : int64 array of shape (7,)
        Counters; see the constants of the module.
    bits : uint64 array of shape (2, 1024)
        Which coarse and which fine buckets are not empty.
    coarse : int32 array of shape (65536, 3)
        The first chunk of each coarse bucket, the last, and how many voxels that holds.
    waiting : int32 array
        The voxels of all chunks.
    lows : uint16 array
        The lower bits of their keys.
    links : int32 array
        The chunk that follows each.
    fine : int32 array of shape (65536, 2)
        The first and last node of each fine bucket.
    nodes : int32 array of shape (n, 2)
        The voxel of each node, and the node that follows.
    """

    state: NDArray[np.int64]
    bits: NDArray[np.uint64]
    coarse: NDArray[np.int32]
    waiting: NDArray[np.int32]
    lows: NDArray[np.uint16]
    links: NDArray[np.int32]
    fine: NDArray[np.int32]
    nodes: NDArray[np.int32]


def new_queue(capacity: int, largest: int) -> Queue:
    """Return an empty queue.

    Parameters
    ----------
    capacity : int
        How many voxels it must be able to hold. Memory is taken only as far as it is used: 6 bytes for a voxel in a
        coarse bucket, 8 for one in a fine bucket.
    largest : int
        The largest key that will come. The narrower the range from 0, the fewer levels share a coarse bucket, and
        the less of the fine ones leaves the cache.

    Returns
    -------
    Queue
        Its arrays.
    """
    n_chunks = capacity // CHUNK + N_BUCKETS
    return Queue(
        state=np.array([max(int(largest).bit_length() - 16, 0), NONE, 0, NONE, 0, 0, 0], np.int64),
        bits=np.zeros((2, N_WORDS), np.uint64),
        coarse=np.full((N_BUCKETS, 3), NONE, np.int32),
        waiting=np.empty(n_chunks * CHUNK, np.int32),
        lows=np.empty(n_chunks * CHUNK, np.uint16),
        links=np.empty(n_chunks, np.int32),
        fine=np.full((N_BUCKETS, 2), NONE, np.int32),
        nodes=np.empty((capacity, 2), np.int32),
    )


@inlined
def push(
    voxel: int,
    key: np.uint32,
    state: NDArray[np.int64],
    bits: NDArray[np.uint64],
    coarse: NDArray[np.int32],
    waiting: NDArray[np.int32],
    lows: NDArray[np.uint16],
    links: NDArray[np.int32],
    fine: NDArray[np.int32],
    nodes: NDArray[np.int32],
) -> None:
    """Put a voxel into the bucket of its key, which is above the level that is being flooded."""
    bucket = np.int64(key) >> state[SHIFT]
    low = np.int64(key) - (bucket << state[SHIFT])
    if bucket == state[BUCKET]:
        _push_fine(voxel, low, state, bits, fine, nodes)
        return
    if coarse[bucket, FIRST] < 0 or coarse[bucket, HELD] == CHUNK:
        _add_chunk(bucket, state, bits, coarse, links)
    at = np.int64(coarse[bucket, LAST]) * CHUNK + coarse[bucket, HELD]
    waiting[at], lows[at] = voxel, low
    coarse[bucket, HELD] += 1


@inlined
def _push_fine(
    voxel: int,
    low: int,
    state: NDArray[np.int64],
    bits: NDArray[np.uint64],
    fine: NDArray[np.int32],
    nodes: NDArray[np.int32],
) -> None:
    node = state[N_NODES]
    state[N_NODES] = node + 1
    nodes[node, 0], nodes[node, 1] = voxel, NONE
    if fine[low, FIRST] < 0:
        fine[low, FIRST] = node
        bits[FINE, low >> 6] |= ONE << np.uint64(low & 63)
    else:
        nodes[fine[low, LAST], 1] = node
    fine[low, LAST] = node


@bare
def _add_chunk(
    bucket: int,
    state: NDArray[np.int64],
    bits: NDArray[np.uint64],
    coarse: NDArray[np.int32],
    links: NDArray[np.int32],
) -> None:
    chunk = state[FREE]
    if chunk >= 0:
        state[FREE] = links[chunk]
    else:
        chunk = state[N_CHUNKS]
        state[N_CHUNKS] = chunk + 1
    links[chunk] = NONE
    if coarse[bucket, FIRST] < 0:
        coarse[bucket, FIRST] = chunk
        bits[COARSE, bucket >> 6] |= ONE << np.uint64(bucket & 63)
    else:
        links[coarse[bucket, LAST]] = chunk
    coarse[bucket, LAST], coarse[bucket, HELD] = chunk, 0


@bare
def _deal(
    state: NDArray[np.int64],
    bits: NDArray[np.uint64],
    coarse: NDArray[np.int32],
    waiting: NDArray[np.int32],
    lows: NDArray[np.uint16],
    links: NDArray[np.int32],
    fine: NDArray[np.int32],
    nodes: NDArray[np.int32],
) -> None:
    """Deal the voxels of the coarse bucket in turn out to the fine buckets, in order, and empty it."""
    bucket = state[BUCKET]
    state[N_NODES] = 0
    chunk = coarse[bucket, FIRST]
    while chunk >= 0:
        held = coarse[bucket, HELD] if chunk == coarse[bucket, LAST] else CHUNK
        for at in range(np.int64(chunk) * CHUNK, np.int64(chunk) * CHUNK + held):
            _push_fine(waiting[at], int(lows[at]), state, bits, fine, nodes)
        following = links[chunk]
        links[chunk], state[FREE] = state[FREE], chunk
        chunk = following
    coarse[bucket, FIRST] = NONE


@inlined
def next_level(
    voxels: NDArray[np.int32],
    state: NDArray[np.int64],
    bits: NDArray[np.uint64],
    coarse: NDArray[np.int32],
    waiting: NDArray[np.int32],
    lows: NDArray[np.uint16],
    links: NDArray[np.int32],
    fine: NDArray[np.int32],
    nodes: NDArray[np.int32],
) -> tuple[int, int]:
    """Take all voxels of the lowest level, in the order in which they came.

    Parameters
    ----------
    voxels : int32 array
        Where they are written.
    state, bits, coarse, waiting, lows, links, fine, nodes : arrays
        The queue.

    Returns
    -------
    level, n : int
        The level, and how many voxels there are; n is 0 when the queue is empty.
    """
    low = _take_first(bits, FINE, state[WORD])
    if low < 0:
        bucket = _take_first(bits, COARSE, max(state[BUCKET], 0) >> 6)
        if bucket < 0:
            return 0, 0
        state[BUCKET] = bucket
        _deal(state, bits, coarse, waiting, lows, links, fine, nodes)
        low = _take_first(bits, FINE, 0)
    state[WORD] = low >> 6
    node, n = fine[low, FIRST], 0
    fine[low, FIRST] = NONE
    while node >= 0:
        voxels[n] = nodes[node, 0]
        n += 1
        node = nodes[node, 1]
    return (state[BUCKET] << state[SHIFT]) | low, n


@bare
def _take_first(bits: NDArray[np.uint64], row: int, start: int) -> int:
    """Clear the first bit of a bitmap that is set from word `start` on, and return it; -1 if there is none."""
    for at in range(start, bits.shape[1]):
        word = bits[row, at]
        if word:
            bit = 0
            while not word & ONE:
                word >>= ONE
                bit += 1
            bits[row, at] &= ~(ONE << np.uint64(bit))
            return at * 64 + bit
    return -1
