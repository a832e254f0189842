"""Plans whose tiles agree on what crosses their borders, as dask graphs.

How often tiles must look at each other is only known while they do, so one task of the graph is the driver: it runs
graphs of its own over the tiles, on the scheduler that runs it, and keeps nothing but what the tiles tell of their
outermost voxels. Every block of the result waits for it.
"""

from __future__ import annotations

import itertools
import math
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, from_numpy
from .._monitor import quiet, resumed, stage, tick, ticket
from .._plan import Exchange, Stitch, Tile
from .._shelf import Records, Shelf
from ._components import _block_shape
from ._stitch_sweeps import exchanged_now, stitched_now, swept_whole
from ._sweeps import Chunks, current
from ._tile_sizes import parts_of, tile_edges, tiles_evenly
from ._tiled import Tiles

__all__ = ["exchanged", "run_stitched", "tick_tasks"]

TILE_VOXELS = 1 << 22
"""Voxels of the largest tile."""


def run_stitched(plan: Stitch, arrays: Sequence[Array | None]) -> Array:
    """Run a plan of tiles on dask arrays.

    Parameters
    ----------
    plan : Stitch
        What to do.
    arrays : sequence of dask array or None
        Of one shape and in the same chunks; a chunk is a tile, or several where it has more than `TILE_VOXELS`, unless
        the plan has tiles of its own. If it has and all is one of them, that is done whole.

    Returns
    -------
    dask array
        With the shape and chunks of the first.

    Notes
    -----
    The chunks are read once for every exchange, again where one is repeated, and once for the result. Memory: a flood
    takes up to 190 bytes for every voxel of the tiles that are at work, one in each thread: 0.8 GB for the largest.
    """
    image: Array = arrays[0]
    one = plan.tile_voxels is not None and math.prod(image.shape) <= plan.tile_voxels
    if current() is not None:
        return swept_whole(plan.whole, arrays, plan.dtype) if one else stitched_now(plan, arrays)
    found = _as_one(plan, arrays) if one else _in_tiles(plan, _tiled(arrays, plan.tile_voxels))
    return found.rechunk(image.chunks, method="tasks")


def _as_one(plan: Stitch, arrays: Sequence[Array | None]) -> Array:
    """Gather all blocks in one task."""
    import dask.array as da

    image: Array = arrays[0]
    shape = tuple(map(int, image.shape))
    return da.from_delayed(done_whole(plan.whole, arrays), shape, meta=np.empty((0,) * len(shape), plan.dtype))


def done_whole(whole: Callable[..., Array], arrays: Sequence[Array | None]) -> Any:
    """Return what is made of whole arrays, as a delayed value."""
    import dask

    return dask.delayed(_done_whole, pure=False)(whole, ticket(), *arrays)


def _done_whole(whole: Callable[..., Array], watcher: int | None, *arrays: Array | None) -> Array:
    with resumed(watcher):
        return whole(*arrays)


def exchanged(exchanges: Sequence[Exchange], start: Any, arrays: Sequence[Array | None]) -> Any:
    """Let the tiles of dask arrays find something out together, at once.

    Parameters
    ----------
    exchanges : sequence of Exchange
        What they find out; the tiles know all of the state.
    start : object
        The state before the first exchange.
    arrays : sequence of dask array or None
        Of one shape.

    Returns
    -------
    object
        The last state.
    """
    if current() is not None:
        return exchanged_now(exchanges, start, arrays)
    tiled = _tiled(arrays)
    first: Array = tiled[0]
    plan = Stitch(_nothing, start, exchanges, lambda state, _: state, _nothing, "uint8")
    blocks = _Blocks([_extended(a) for a in tiled])
    return _exchanged(plan, start, blocks, Tiles(first.chunks), ticket())[0].known


def _nothing(*_: Any) -> Any:
    raise NotImplementedError("tiles that exchange are not labelled")


def _tiled(arrays: Sequence[Array | None], voxels: int | None = None) -> list[Array | None]:
    """Return arrays whose chunks are tiles: their own, or of at most so many voxels whatever these are."""
    image: Array = arrays[0]
    shape = tuple(map(int, image.shape))
    chunks = _tile_chunks(image.chunks) if voxels is None else tiles_evenly(shape, tile_edges(shape, voxels))
    return [None if a is None else a.rechunk(chunks, method="tasks") for a in arrays]


def _tile_chunks(chunks: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    """Split chunks of more than `TILE_VOXELS`, along their longest edges."""
    edges = [max(sizes) for sizes in chunks]
    while math.prod(edges) > TILE_VOXELS:
        axis = edges.index(max(edges))
        edges[axis] = -(-edges[axis] // 2)
    return tuple(
        tuple(itertools.chain.from_iterable(parts_of(size, edge) for size in sizes))
        for sizes, edge in zip(chunks, edges, strict=True)
    )


def _in_tiles(plan: Stitch, arrays: Sequence[Array | None]) -> Array:
    """Run a plan on dask arrays, each chunk of which is a tile."""
    import dask
    import dask.array as da

    image: Array = arrays[0]
    tiles = Tiles(image.chunks)
    blocks = _Blocks([_extended(a) for a in arrays])
    known = dask.delayed(_solved, nout=len(tiles), pure=False)(plan, plan.start, blocks, tiles, ticket())
    parts = np.empty(len(tiles), object)
    for tile in tiles:
        part = dask.delayed(_applied)(plan.apply, known[tile.number], *blocks.of(tile.number))
        shape = _block_shape(image.chunks, np.unravel_index(tile.number, image.numblocks))
        parts[tile.number] = da.from_delayed(part, shape, meta=np.empty((0,) * image.ndim, plan.dtype))
    return da.block(parts.reshape(image.numblocks).tolist())


class _Blocks:
    """The blocks of all tiles, not yet computed; dask does not look inside, so the driver's task waits for none."""

    def __init__(self, arrays: list[list[Any] | None]) -> None:
        self._arrays = arrays
        self.token = uuid.uuid4().hex

    def of(self, number: int) -> list[Any]:
        """Return the delayed blocks of a tile, None for an array that was not given."""
        return [None if blocks is None else blocks[number] for blocks in self._arrays]


def _extended(array: Array | None) -> list[Any] | None:
    """Return the delayed blocks of an array with the outermost voxels of their neighbours."""
    from dask.array.overlap import overlap

    if array is None:
        return None
    depth = {axis: int(n > 1) for axis, n in enumerate(array.numblocks)}
    return list(overlap(array, depth, boundary="none", allow_rechunk=False).to_delayed().ravel())


class _Answers:
    """What drivers have found while any of them is at work.

    The tiles of one driver may need the result of another, as a flood needs markers that were found in tiles; they
    ask for it in every exchange, and the other driver must not run each time. Nothing is kept once all are done: the
    same graph, computed again, reads its data again. A cluster needs no such memory, since it knows tasks by name.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_running = 0
        self._found: dict[str, Any] = {}
        self._locks: dict[str, threading.Lock] = {}

    def get(self, token: str, solve: Callable[[], Any]) -> Any:
        """Return what a driver has found, or run it."""
        with self._lock:
            self._n_running += 1
            lock = self._locks.setdefault(token, threading.Lock())
        try:
            with _waited(lock):
                if token not in self._found:
                    self._found[token] = solve()
                return self._found[token]
        finally:
            with self._lock:
                self._n_running -= 1
                if self._n_running == 0:
                    self._found.clear()
                    self._locks.clear()


answers = _Answers()


@contextmanager
def _waited(lock: threading.Lock) -> Iterator[None]:
    """Hold a lock; a task of a cluster gives its thread away while it waits.

    Whoever holds the lock computes tasks on the same threads, and would wait for ever for the one that waits for it.
    """
    if lock.acquire(blocking=False):
        try:
            yield
        finally:
            lock.release()
        return
    with _worker_client() or nullcontext(), lock:
        yield


def _worker_client() -> AbstractContextManager[Any] | None:
    """Return a client of the cluster that runs this task, whose thread serves others meanwhile; None outside one."""
    try:
        from distributed import worker_client
        from distributed.worker import get_worker

        get_worker()
    except (ImportError, ValueError):  # no cluster, or not inside one
        return None
    client: AbstractContextManager[Any] = worker_client()
    return client


def _solved(plan: Stitch, start: Any, blocks: _Blocks, tiles: Tiles, watcher: int | None) -> Any:
    """Return what each tile needs to know for its result."""
    return answers.get(blocks.token, lambda: _exchanged(plan, start, blocks, tiles, watcher))


def _exchanged(plan: Stitch, start: Any, blocks: _Blocks, tiles: Tiles, watcher: int | None) -> list[_Knowing]:
    """Run the exchanges one after another, each as often as it changes something.

    The progress of an exchange is that of the first look, which all tiles take; how many look again nobody knows.
    """
    state, told = start, _Told(tiles, plan.records)
    with resumed(watcher):
        for exchange in plan.exchanges:
            stage(exchange.name)
            state, wanted = _looked(exchange, plan, state, blocks, told, range(len(tiles)))
            with quiet():
                while wanted:
                    state, wanted = _looked(exchange, plan, state, blocks, told, wanted)
        return [told.to(plan, state, number) for number in range(len(tiles))]


def _looked(
    exchange: Exchange, plan: Stitch, state: Any, blocks: _Blocks, told: _Told, wanted: Sequence[int]
) -> tuple[Any, Sequence[int]]:
    """Let tiles look and join what they tell; return the new state and which must look again."""
    import dask

    look = dask.delayed(_quietly, pure=False)
    tasks = [look(exchange.look, told.to(plan, state, number), *blocks.of(number)) for number in wanted]
    found = dict(zip(wanted, computed(tasks), strict=True))
    for number, (_, records) in found.items():
        told.records |= {(name, number): values for name, values in records.items()}
    joined = exchange.join(state, {number: summary for number, (summary, _) in found.items()})
    return joined, list(exchange.again(state, joined, told.tiles))


@dataclass(frozen=True, slots=True, eq=False)
class _Knowing:
    """A tile with what it knows; nothing else is kept for it between two looks."""

    tile: Tile
    known: Any
    chunks: Chunks
    records: dict[tuple[str, int], NDArray[Any]]

    def shelved(self, told: dict[str, NDArray[Any]]) -> Tile:
        """Return the tile with a shelf from which it reads what was told, and where it writes what it tells."""

        def write(name: str, _: int, values: NDArray[Any]) -> None:
            told[name] = values

        def read(name: str, number: int) -> NDArray[Any]:
            return told[name] if number == self.tile.number and name in told else self.records[name, number]

        return replace(self.tile, shelf=Shelf(self.chunks, self.tile.number, {}, Records(read, write)))


class _Told:
    """What tiles have told one another, in the memory of the driver."""

    def __init__(self, tiles: Tiles, names: Mapping[str, str]) -> None:
        self.tiles, self._names = tiles, names
        self.records: dict[tuple[str, int], NDArray[Any]] = {}

    def to(self, plan: Stitch, state: Any, number: int) -> _Knowing:
        """Return what a tile may know."""
        knowing = _Knowing(self.tiles[number], None, self.tiles.chunks if self._names else (), {})
        tile = knowing.shelved({})
        near = [number, *(n for _, n in tile.shelf.neighbours())] if self._names and tile.shelf else []
        told = {(name, n): self.records[name, n] for name in self._names for n in near if (name, n) in self.records}
        return replace(knowing, known=plan.known(state, tile), records=told)


def computed(tasks: list[Any]) -> list[Any]:
    """Compute tasks from inside a task: on the cluster that runs it, or with a scheduler of this process."""
    import dask

    cluster = _worker_client()
    if cluster is None:
        return list(dask.compute(*tasks, callbacks=[(None, None, None, tick_tasks, None)]))
    with cluster as client:
        return list(client.gather(client.compute(_renamed(tasks), optimize_graph=False)))


def _renamed(tasks: list[Any]) -> list[Any]:
    """Return delayed values whose tasks, all of them, have names that no other graph has.

    A cluster knows tasks by name, and those of the graph around the driver may have been joined to others.
    ``dask.graph_manipulation.clone`` renames what stands in tuples and not what stands in tasks.
    """
    from dask._task_spec import convert_legacy_graph
    from dask.base import clone_key
    from dask.delayed import Delayed

    seed = uuid.uuid4().hex
    graph = convert_legacy_graph({key: node for task in tasks for key, node in dict(task.__dask_graph__()).items()})
    names = {key: clone_key(key, seed) for key in graph}
    own = {names[key]: node.substitute(names, key=names[key]) for key, node in graph.items()}
    return [Delayed(names[task.key], own) for task in tasks]


def tick_tasks(_key: Any, _result: Any, _graph: Any, state: Any, _worker: Any) -> None:
    """Report how many tasks dask has finished."""
    done = len(state["finished"])
    tick(done, done + len(state["waiting"]) + len(state["ready"]) + len(state["running"]))


def _quietly(look: Callable[..., Any], knowing: _Knowing, *blocks: Array | None) -> Any:
    """Let a tile look; its own progress is not that of the whole. Return what it found, and what it tells."""
    told: dict[str, NDArray[Any]] = {}
    with quiet():
        return look(knowing.shelved(told), knowing.known, *blocks), told


def _applied(apply: Callable[..., Array], knowing: _Knowing, *blocks: Array | None) -> Array:
    """Return the result of a tile in the library of its blocks."""
    return from_numpy(_quietly(apply, knowing, *blocks)[0], like=blocks[0])
