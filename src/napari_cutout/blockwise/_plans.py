"""The plans of `_plan`, as dask graphs."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from .. import _statistics
from .._array import Array, array_namespace, to_numpy
from .._monitor import resumed, stage, ticket
from .._plan import Halo, Pass, PerVoxel, Plan, Pyramid, Reduce, Slices, Stitch, derive, with_halo
from .._statistics import swept
from ._made import Made, Source, Stored, costly, is_empty, known, lazy, read_together, source_of
from ._pyramid import run_pyramid
from ._sources import lazy_keep
from ._stitch import answers, computed, run_stitched, tick_tasks
from ._sweeps import Chunks, current, regions_of
from ._tiled import settled


def run_lazy(plan: Plan, *arrays: Array | None) -> Array:
    """Run a plan on dask arrays.

    Parameters
    ----------
    plan : PerVoxel, Halo, Reduce, Stitch or Pyramid
        What to do.
    *arrays : dask arrays of one shape, or None
        The image first; the others are given its chunks.

    Returns
    -------
    dask array
        With the shape and chunks of the image; computing it runs the plan block by block.
    """
    arrays = _in_step(arrays)
    match plan:
        case PerVoxel(function, dtype, masked):
            return map_blocks(function, arrays, dtype, masked=masked)
        case Halo(function, width, dtype, masked):
            return map_blocks(function, arrays, dtype, width=width, masked=masked)
        case Reduce(start, passes, decide, apply, dtype, width, _, masked):
            model = decided(decide, start, passes, *arrays, masked=masked)
            return map_blocks(apply, arrays, dtype, model, width=width, masked=masked)
        case Stitch():
            return run_stitched(plan, arrays)
        case Pyramid():
            return run_pyramid(plan, arrays)


def run_in_tiles(plan: Stitch | Pyramid, arrays: Sequence[Array | None]) -> Array:
    """Run a plan in tiles on host arrays that are too large to be done whole.

    Parameters
    ----------
    plan : Stitch or Pyramid
        What to do.
    arrays : sequence of host array or None
        Of one shape.

    Returns
    -------
    host array
        The result.
    """
    import dask.array as da

    lazy = [None if a is None else da.from_array(a, chunks=-1, name=False) for a in arrays]  # a name is a hash of all
    return compute(run_lazy(plan, *lazy))


def map_blocks(
    function: Callable[..., Array],
    arrays: Sequence[Array | None],
    dtype: str,
    *first: Any,
    width: tuple[int, ...] | None = None,
    masked: bool = False,
) -> Array:
    """Map ``function(*first, *blocks)`` over blocks, extended by `width` where the image goes on.

    None stays None, and delayed values are waited for. Where the second array is a mask, a run in sweeps leaves out
    the blocks outside.
    """
    import dask.array as da
    from dask.array.overlap import trim_internal

    if current() is not None:
        made = _made(function, arrays, dtype, first, width, masked=masked)
        return lazy(made, arrays[0].chunks)  # type: ignore[union-attr]
    read, depth = _with_halos(arrays, width)
    given = [a for a in read if a is not None]
    mapped = da.map_blocks(
        _call,
        *given,
        *first,
        function=function,
        given=tuple(a is not None for a in arrays),
        n_first=len(first),
        dtype=dtype,
        meta=np.empty((0,) * given[0].ndim, dtype),
    )
    return trim_internal(mapped, dict(enumerate(depth)), boundary="none") if any(depth) else mapped


def lazy_map(function: Callable[..., Array], arrays: Sequence[Array | None], dtype: str, *first: Any) -> Array:
    """Map ``function(*first, *blocks)`` over the blocks of dask arrays of one shape.

    Parameters
    ----------
    function : callable
        From blocks to a block of their shape.
    arrays : sequence of dask array or None
        The others are given the chunks of the first.
    dtype : str
        The dtype of the result.
    *first : object
        Delayed values are waited for.
    """
    return map_blocks(function, _in_step(arrays), dtype, *first)


def lazy_map_many(
    function: Callable[..., Iterable[Array]],
    arrays: Sequence[Array | None],
    n: int,
    width: tuple[int, ...],
    dtype: str,
    *first: Any,
) -> Array:
    """Map ``function(*first, *blocks)``, which makes `n` blocks of each, into one array with a new first axis.

    Parameters
    ----------
    function : callable
        From blocks with a halo to `n` blocks.
    arrays : sequence of dask array or None
        Of one shape; the others are given the chunks of the first.
    n : int
        Length of the new axis, which is one chunk.
    width : tuple of int
        Voxels that the neighbourhood reaches along each axis.
    dtype : str
        The dtype of the result.
    *first : object
        Delayed values are waited for.

    Returns
    -------
    dask array
        Of shape ``(n, *shape)``.
    """
    import dask.array as da
    from dask.array.overlap import trim_internal

    if current() is not None:
        made = _made(function, _in_step(arrays), dtype, first, width, n)
        return lazy(made, ((n,), *arrays[0].chunks))  # type: ignore[union-attr]
    read, depth = _with_halos(_in_step(arrays), width)
    given = [a for a in read if a is not None]
    mapped = da.map_blocks(
        _call,
        *given,
        *first,
        function=partial(_stacked, function),
        given=tuple(a is not None for a in arrays),
        n_first=len(first),
        dtype=dtype,
        new_axis=0,
        chunks=((n,), *given[0].chunks),
        meta=np.empty((0,) * (given[0].ndim + 1), dtype),
    )
    return trim_internal(mapped, dict(enumerate((0, *depth))), boundary="none") if any(depth) else mapped


def _made(
    function: Callable[..., Any],
    arrays: Sequence[Array | None],
    dtype: str,
    first: Sequence[Any],
    width: tuple[int, ...] | None,
    n: int | None = None,
    masked: bool = False,
) -> Made:
    """Return what is made of the arrays of a run in sweeps."""
    parents = tuple(settled(arrays) if any(width or ()) else (None if a is None else source_of(a) for a in arrays))
    shape = parents[0].shape if n is None else (n, *parents[0].shape)  # type: ignore[union-attr]
    masked = masked and parents[1] is not None
    return Made(function, parents, shape, np.dtype(dtype).name, width, tuple(map(known, first)), n, masked)


def _stacked(function: Callable[..., Iterable[Array]], *arguments: Any) -> Array:
    made = list(function(*arguments))
    return array_namespace(made[0]).stack(made)


def _with_halos(
    arrays: Sequence[Array | None], width: tuple[int, ...] | None
) -> tuple[list[Array | None], tuple[int, ...]]:
    """Return arrays whose blocks reach into their neighbours, and how far along each axis."""
    from dask.array.overlap import overlap

    first: Array = arrays[0]
    if width is None:
        return list(arrays), (0,) * first.ndim
    wide = [None if a is None else _wide_enough(a, width) for a in arrays]
    depth = tuple(w if n > 1 else 0 for w, n in zip(width, wide[0].numblocks, strict=True))  # type: ignore[union-attr]
    if not any(depth):
        return wide, depth
    return [None if a is None else overlap(a, dict(enumerate(depth)), boundary="none") for a in wide], depth


def reduce_passes(start: Any, passes: Sequence[Pass], arrays: Sequence[Array | None]) -> Any:
    """Return the state after all passes as a delayed value."""
    import dask

    if any(sweep.most > 1 for sweep in passes):  # how often they run is known only when they have
        swept_later = dask.delayed(_swept_by_driver, pure=False)
        return swept_later(start, passes, [_Blocks(sweep, arrays) for sweep in passes], ticket())
    state = dask.delayed(start)
    for sweep in passes:
        summary = _summary(_Blocks(sweep, arrays), state)
        state = dask.delayed(_finish_if_needed)(sweep, state, summary)
    return state


class _Blocks:
    """What a sweep is given of every block, not yet computed; dask does not look inside."""

    def __init__(self, sweep: Pass, arrays: Sequence[Array | None]) -> None:
        self.sweep, self.token = sweep, uuid.uuid4().hex
        width = sweep.derived.width if sweep.derived else ()
        read, depth = _with_halos(arrays, width or None)
        self.blocks = list(itertools.zip_longest(*(_delayed_blocks(a) for a in read)))
        first: Array = read[0]
        self.halos = list(itertools.product(*(_cut_off(n, d) for n, d in zip(first.numblocks, depth, strict=True))))


def _cut_off(n: int, depth: int) -> list[slice]:
    """Return what of each of `n` blocks along an axis is not its halo."""
    return [slice(depth if at else 0, -depth if depth and at < n - 1 else None) for at in range(n)]


def _summary(blocks: _Blocks, state: Any) -> Any:
    """Return what a sweep makes of all blocks, as a delayed value."""
    import dask

    chunk = dask.delayed(_chunk_if_needed, pure=False)
    pairs = zip(blocks.halos, blocks.blocks, strict=True)
    summaries = [chunk(blocks.sweep, state, keep, *block) for keep, block in pairs]
    while len(summaries) > 1:  # a tree, so that no task waits for all blocks
        summaries = [dask.delayed(_combined)(blocks.sweep, *summaries[i : i + 8]) for i in range(0, len(summaries), 8)]
    return summaries[0]


def _swept_by_driver(start: Any, passes: Sequence[Pass], blocks: Sequence[_Blocks], watcher: int | None) -> Any:
    """Run passes from inside a task, which reads the blocks anew for every one and keeps none of them."""
    held = dict(zip(passes, blocks, strict=True))

    def summary(sweep: Pass, state: Any) -> Any:
        stage(sweep.name)
        return computed([_summary(held[sweep], state)])[0]

    def gathered() -> Any:
        with resumed(watcher):
            return swept(start, passes, summary)

    return answers.get(blocks[0].token, gathered)


def decided(
    decide: Callable[[Any], Any], start: Any, passes: Sequence[Pass], *arrays: Array | None, masked: bool = False
) -> Any:
    """Return what is decided on the statistics of dask arrays, as a delayed value; in a run in sweeps, at once."""
    import dask

    if current() is not None:
        return decide(_swept_now(start, passes, _in_step(arrays), masked))
    return dask.delayed(_decided)(decide, reduce_passes(start, passes, _in_step(arrays)), ticket())


def _swept_now(start: Any, passes: Sequence[Pass], arrays: Sequence[Array | None], masked: bool) -> Any:
    """Return the state after all passes over the tiles of a run in sweeps."""
    if (others := _statistics.current()) is not None:  # parts that share their statistics, and sweep once at a time
        return others.state(known(start), passes, _Sweeps(arrays, masked).summary)
    if any(sweep.derived and any(sweep.derived.width) for sweep in passes):
        arrays = [None if a is None else lazy_keep(a, "preparing the image") for a in arrays]
    return swept(known(start), passes, _Sweeps(arrays, masked, keeps=True).summary)


class _Sweeps:
    """The sweeps of a plan. What is costly to make is stored in the first of them, and read from there later on."""

    def __init__(self, arrays: Sequence[Array | None], masked: bool, *, keeps: bool = False) -> None:
        self._arrays, self._sources = arrays, settled(arrays)
        self._chunks: Chunks = arrays[0].chunks  # type: ignore[union-attr]
        self._masked = masked and arrays[1] is not None
        self._keeps = keeps

    def summary(self, sweep: Pass, state: Any) -> Any:
        """Sweep once over all tiles."""
        sweeper, scratch = current(), self._scratch(sweep)
        assert sweeper is not None
        work = _Swept(sweep, state, self._sources, regions_of(self._chunks), self._masked, scratch)
        found = sweeper.reduce(sweep.name, work, len(work.regions), sweep.combine)
        if found is None:  # nothing is inside: so says any tile
            return replace(work, masked=False, scratch={})(0)
        for number, array in scratch.items():
            self._sources[number] = Stored(array, sweeper.device)
            sweeper.sources[self._arrays[number].name] = self._sources[number]  # type: ignore[union-attr]
        return found

    def _scratch(self, sweep: Pass) -> dict[int, Any]:
        """Return where the sources that are costly are stored, by their numbers."""
        sweeper = current()
        if sweeper is None or not self._keeps or (sweep.derived and any(sweep.derived.width)):
            return {}
        self._keeps = False
        chosen = [(number, source) for number, source in enumerate(self._sources) if source and costly(source)]
        return {number: sweeper.scratch(source.shape, source.dtype, self._chunks) for number, source in chosen}


@dataclass(frozen=True, slots=True, eq=False)
class _Swept:
    """What a sweep finds in a tile; None in one that a mask leaves out."""

    sweep: Pass
    state: Any
    sources: list[Source | None]
    regions: Sequence[Slices]
    masked: bool
    scratch: Mapping[int, Any]

    def __call__(self, number: int) -> Any:
        region, derived = self.regions[number], self.sweep.derived
        width = None if derived is None else derived.width
        read, keep = with_halo(region, width, self.sources[0].shape)  # type: ignore[union-attr]
        if (blocks := self._read(read)) is None:
            return None
        for at, array in self.scratch.items():
            array[region] = to_numpy(blocks[at])
        if derived is None:
            return self.sweep.chunk(self.state, *blocks)
        return self.sweep.chunk(self.state, *derive(derived, blocks, keep))

    def _read(self, region: Slices) -> list[Array | None] | None:
        if not self.masked:
            return read_together(self.sources, region)
        mask = self.sources[1].read(region)  # type: ignore[union-attr]
        if is_empty(mask):
            return None
        image, *others = read_together([self.sources[0], *self.sources[2:]], region)
        return [image, mask, *others]


def _in_step(arrays: Sequence[Array | None]) -> tuple[Array | None, ...]:
    """Return arrays in the chunks of the first."""
    first: Array = arrays[0]
    return tuple(None if a is None else in_chunks(a, first.chunks) for a in arrays)


def in_chunks(array: Array, chunks: Chunks) -> Array:
    """Return a dask array in other chunks; in a run in sweeps these are read, not cut out of others."""
    if current() is None or array.chunks == chunks:
        return array.rechunk(chunks)
    return lazy(source_of(array), chunks)


def _decided(decide: Callable[[Any], Any], state: Any, watcher: int | None) -> Any:
    """Decide in a task, and tell the run that made the graph what was found out."""
    with resumed(watcher):
        return decide(state)


def compute(array: Array) -> Array:
    """Compute a dask array, with progress and a cancel that cancels.

    Parameters
    ----------
    array : dask array
        What is to be computed.

    Returns
    -------
    array
        The result, in the library of its blocks.

    Raises
    ------
    Cancelled
        If the caller that watches asked for it, between two tasks.
    """
    with watched("computing blocks"):
        return array.compute()


@contextmanager
def watched(name: str) -> Iterator[None]:
    """Report the tasks that dask finishes in this process, and stop it when the caller asks for that."""
    from dask.callbacks import Callback

    stage(name)
    with Callback(posttask=tick_tasks):
        yield


def _delayed_blocks(array: Array | None) -> list[Any]:
    return [] if array is None else list(array.to_delayed(optimize_graph=False).ravel())


def _chunk_if_needed(sweep: Pass, state: Any, keep: Slices, *blocks: Array | None) -> Any:
    if not sweep.needed(state):
        return None
    return sweep.chunk(state, *(blocks if sweep.derived is None else derive(sweep.derived, blocks, keep)))


def _combined(sweep: Pass, total: Any, *others: Any) -> Any:
    for summary in others:
        total = None if summary is None and total is None else sweep.combine(total, summary)
    return total


def _finish_if_needed(sweep: Pass, state: Any, summary: Any) -> Any:
    return sweep.finish(state, summary) if sweep.needed(state) else state


def _call(*args: Any, function: Callable[..., Array], given: tuple[bool, ...], n_first: int) -> Array:
    """Put None back where an optional array was not given."""
    n_blocks = sum(given)
    blocks, first = iter(args[:n_blocks]), args[n_blocks : n_blocks + n_first]
    return function(*first, *(next(blocks) if there else None for there in given))


def _wide_enough(array: Array, width: tuple[int, ...]) -> Array:
    """Join chunks that are thinner than the halo."""
    chunks = {}
    for axis, (sizes, reach) in enumerate(zip(array.chunks, width, strict=True)):
        if len(sizes) > 1 and min(sizes) < max(reach, 1):
            chunks[axis] = _joined(sizes, reach)
    return array.rechunk(chunks) if chunks else array


def _joined(sizes: Sequence[int], reach: int) -> tuple[int, ...]:
    """Return chunk sizes of at least `reach`, made by joining neighbours."""
    joined: list[int] = []
    for size in sizes:
        if joined and joined[-1] < reach:
            joined[-1] += size
        else:
            joined.append(size)
    if len(joined) > 1 and joined[-1] < reach:
        joined[-2:] = [joined[-2] + joined[-1]]
    return tuple(joined)
