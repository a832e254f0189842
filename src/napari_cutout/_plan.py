"""What a method does to the blocks of an image, as data, and the engine that runs it on a whole array.

A plan never touches an array by itself. `PerVoxel` and `Halo` map blocks to blocks, `Reduce` first
gathers statistics of the whole in one or more passes, decides once on the host, and then maps; `Stitch` lets
tiles agree on what crosses their borders; `Pyramid` gives tiles what was found on a coarser copy of the whole. The
engine here walks an array in memory block by block, so that temporaries stay small whatever the size of the array;
`napari_cutout.blockwise` runs the same plans on dask arrays.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _statistics
from ._array import Array, contiguous, empty, is_host, is_lazy
from ._compiled import n_threads
from ._monitor import stage, tick
from ._shelf import Shelf

BLOCK_VOXELS = 1 << 21
"""Voxels of a block in host memory: small enough for the cache, large enough for few Python calls."""

DEVICE_BLOCK_VOXELS = 1 << 25
"""Voxels of a block on a device: kernels of this size hide their launch."""

Slices = tuple[slice, ...]


@dataclass(frozen=True, slots=True)
class PerVoxel:
    """Every voxel by itself.

    Parameters
    ----------
    function : callable
        ``function(*blocks) -> block`` of the same shape.
    dtype : str
        The dtype of the result.
    masked : bool
        Whether the second array is a mask, where there is one: outside, blocks tell nothing and become 0.
    """

    function: Callable[..., Array]
    dtype: str
    masked: bool = False


@dataclass(frozen=True, slots=True)
class Halo:
    """Every voxel with its neighbourhood.

    Parameters
    ----------
    function : callable
        ``function(*blocks) -> block`` of the same shape. It treats the edge of the block it gets as the
        edge of the image; results within `width` of an edge that is not the image's are thrown away.
    width : tuple of int
        Voxels that the neighbourhood reaches along each axis.
    dtype : str
        The dtype of the result.
    masked : bool
        Whether the second array is a mask, where there is one: outside, blocks tell nothing and become 0.
    """

    function: Callable[..., Array]
    width: tuple[int, ...]
    dtype: str
    masked: bool = False


@dataclass(frozen=True, slots=True)
class Derived:
    """Arrays that are made of blocks and their neighbourhood, block by block, whenever they are needed.

    Parameters
    ----------
    function : callable
        ``function(*blocks)`` gives blocks or None, each of the same shape. It treats the edge of a block as
        the edge of the image, as in `Halo`.
    width : tuple of int
        Voxels that the neighbourhood reaches along each axis.
    n : int
        About how many arrays of a block are held at a time; blocks are the smaller for it.
    """

    function: Callable[..., Iterable[Array | None]]
    width: tuple[int, ...]
    n: int = 1


@dataclass(frozen=True, slots=True)
class Pass:
    """A sweep over all blocks that turns a state into the next one, once or again and again.

    Its functions depend on nothing but what they are given: a setting that a sweep needs stands in the state that it
    begins with, so that the names of the sweeps and that state say which statistics they gather.

    Parameters
    ----------
    chunk : callable
        ``chunk(state, *blocks) -> summary``, run on every block.
    combine : callable
        ``combine(summary, summary) -> summary``, associative and commutative.
    finish : callable
        ``finish(state, summary) -> state``, run once.
    needed : callable
        ``needed(state) -> bool``; a pass that is not needed leaves the state as it is.
    name : str
        What the user reads while it runs.
    most : int
        How often it may run: again as long as it is needed.
    derived : Derived, optional
        What `chunk` is given instead of the blocks.
    """

    chunk: Callable[..., Any]
    combine: Callable[[Any, Any], Any]
    finish: Callable[[Any, Any], Any]
    needed: Callable[[Any], bool]
    name: str
    most: int = 1
    derived: Derived | None = None


@dataclass(frozen=True, slots=True)
class Reduce:
    """Statistics of the whole, one decision, then every voxel by itself or with its neighbourhood.

    Parameters
    ----------
    start : object
        The state before the first pass.
    passes : sequence of Pass
        Sweeps, in order.
    decide : callable
        ``decide(state) -> model``; sees no voxel.
    apply : callable
        ``apply(model, *blocks) -> block`` of the same shape.
    dtype : str
        The dtype of the result.
    width : tuple of int, optional
        Voxels that the neighbourhood reaches along each axis, as in `Halo`.
    n : int
        About how many arrays of a block `apply` holds at a time; blocks are the smaller for it.
    masked : bool
        Whether the second array is a mask, where there is one: outside, blocks tell nothing and become 0.
    """

    start: Any
    passes: Sequence[Pass]
    decide: Callable[[Any], Any]
    apply: Callable[..., Array]
    dtype: str
    width: tuple[int, ...] | None = None
    n: int = 1
    masked: bool = False


@dataclass(frozen=True, slots=True)
class Tile:
    """One part of an image, with the outermost voxels of its neighbours.

    Parameters
    ----------
    number : int
        Its place among the tiles, in scan order.
    origin : tuple of int
        Index in the whole of the first voxel, the neighbours' included.
    shape : tuple of int
        Voxels along each axis, the neighbours' included.
    own : tuple of slice
        What is its own.
    whole : tuple of int
        Shape of the whole.
    shelf : Shelf, optional
        Where it keeps what it needs again, and what its neighbours told; of plans that say what is kept.
    """

    number: int
    origin: tuple[int, ...]
    shape: tuple[int, ...]
    own: Slices
    whole: tuple[int, ...]
    shelf: Shelf | None = None

    def index(self, local: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the linear indices in the whole of linear indices in the tile."""
        at = np.unravel_index(local, self.shape)
        moved = tuple(a.astype(np.int64) + o for a, o in zip(at, self.origin, strict=True))
        return np.asarray(np.ravel_multi_index(moved, self.whole), np.int64)

    def owned(self) -> NDArray[np.bool_]:
        """Tell which voxels are its own."""
        found = np.zeros(self.shape, bool)
        found[self.own] = True
        return found

    def foreign(self) -> NDArray[np.bool_]:
        """Tell which voxels are those of its neighbours."""
        return ~self.owned()

    def shared(self) -> NDArray[np.bool_]:
        """Tell which voxels another tile has as well: the neighbours', and the own ones beside them."""
        found = np.zeros(self.shape, bool)
        for axis, (own, n) in enumerate(zip(self.own, self.shape, strict=True)):
            for outside, plane in ((own.start > 0, slice(0, 2)), (own.stop < n, slice(n - 2, n))):
                if outside:
                    found[tuple(plane if a == axis else slice(None) for a in range(found.ndim))] = True
        return found


def _never(_old: Any, _new: Any, _tiles: Sequence[Tile]) -> Sequence[int]:
    return ()


@dataclass(frozen=True, slots=True)
class Exchange:
    """One thing that tiles find out together, by looking each at itself and comparing their outermost voxels.

    Parameters
    ----------
    look : callable
        ``look(tile, known, *blocks) -> summary``; the blocks hold the neighbours' outermost voxels.
    join : callable
        ``join(state, summaries) -> state``; the summaries are those of the tiles that looked, by tile number.
    name : str
        What the user reads while it runs.
    again : callable
        ``again(old, new, tiles) -> numbers``: the tiles that must look again, because what they know has changed. By
        default none.
    reads : tuple of int, optional
        Which arrays are read where everything else is kept on a shelf; the others are None. By default all.
    """

    look: Callable[..., Any]
    join: Callable[[Any, dict[int, Any]], Any]
    name: str
    again: Callable[[Any, Any, Sequence[Tile]], Sequence[int]] = _never
    reads: tuple[int, ...] | None = None


def _always(_shape: tuple[int, ...]) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Stitch:
    """Labels that cross tiles: whole on arrays in memory, and in tiles that agree before they label.

    Parameters
    ----------
    whole : callable
        ``whole(*arrays) -> array`` for arrays in memory.
    start : object
        The state before the first exchange; it may be a delayed value.
    exchanges : sequence of Exchange
        What the tiles find out together, in order.
    known : callable
        ``known(state, tile) -> known``: the part of the state that a tile needs.
    apply : callable
        ``apply(tile, known, *blocks) -> block`` of the tile's own voxels.
    dtype : str
        The dtype of the result.
    fits : callable, optional
        ``fits(shape) -> bool``: whether a host array of this shape is done whole; others are done in tiles as well.
    tile_voxels : int, optional
        Most voxels of a tile where tiles come from the shape of the whole, so that chunks do not show in the result. By
        default a chunk is a tile, which does not show either where tiles give the labels of the whole.
    blocks : mapping of str to str
        Names and dtypes of blocks that tiles keep of their own voxels, where there is room for them.
    records : mapping of str to str
        Names and dtypes of what tiles tell one another of their outermost voxels.
    reads : tuple of int, optional
        Which arrays `apply` reads where blocks are kept, as in `Exchange`.
    """

    whole: Callable[..., Array]
    start: Any
    exchanges: Sequence[Exchange]
    known: Callable[[Any, Tile], Any]
    apply: Callable[..., Array]
    dtype: str
    fits: Callable[[tuple[int, ...]], bool] = _always
    tile_voxels: int | None = None
    blocks: Mapping[str, str] = field(default_factory=dict)
    records: Mapping[str, str] = field(default_factory=dict)
    reads: tuple[int, ...] | None = None


Sweep = Callable[[str, Callable[..., Any]], list[Any]]
"""``sweep(name, look) -> summaries``: what ``look(tile, *blocks)`` returns of every tile; the user reads the name."""


@dataclass(frozen=True, slots=True)
class Pyramid:
    """What is done whole where it fits into memory, and else coarsely first, and then tile by tile.

    Parameters
    ----------
    whole : callable
        ``whole(*arrays) -> array`` for arrays in memory.
    n_bytes : float
        Memory that it takes, beyond its inputs and its result.
    solve : callable
        ``solve(sweep, tiles, budget) -> known``, run once: what each tile needs to know of the coarse solution, which
        may take `budget` bytes.
    apply : callable
        ``apply(tile, known, *blocks) -> block`` of the tile's own voxels; the blocks reach `width` voxels farther.
    width : int
        Voxels around a tile that are read with it.
    dtype : str
        The dtype of the result.
    n : int, optional
        Length of an axis that the result has before those of the image.
    """

    whole: Callable[..., Array]
    n_bytes: float
    solve: Callable[[Sweep, Sequence[Tile], float], Sequence[Any]]
    apply: Callable[..., Array]
    width: int
    dtype: str
    n: int | None = None


Plan = PerVoxel | Halo | Reduce | Stitch | Pyramid


def run_plan(plan: Plan, *arrays: Array | None) -> Array:
    """Run a plan block by block: at once on arrays in memory, lazily on dask arrays.

    Parameters
    ----------
    plan : PerVoxel, Halo, Reduce, Stitch or Pyramid
        What to do.
    *arrays : arrays of one shape, or None
        The image first; None stands for an optional input that was not given.

    Returns
    -------
    array
        Same shape, library and device as the first array.

    Raises
    ------
    Cancelled
        If the caller that watches asked for it, between two blocks.
    """
    if is_lazy(arrays[0]):
        from .blockwise import run_lazy

        return run_lazy(plan, *arrays)
    others = _statistics.current()
    if others is not None and isinstance(plan, Halo | Reduce) and plan.width is not None:
        others.reaches(plan.width)
    match plan:
        case PerVoxel(function, dtype):
            return map_blocks(function, arrays, dtype=dtype, width=None)
        case Halo(function, width, dtype):
            return map_blocks(function, arrays, dtype=dtype, width=width)
        case Reduce(start, passes, decide, apply, dtype, width, n):
            model = decide(gathered(start, passes, *arrays))
            stage("labelling voxels")
            return map_blocks(lambda *blocks: apply(model, *blocks), arrays, dtype=dtype, width=width, n=n)
        case Stitch():
            return _run_whole(plan, arrays)
        case Pyramid():
            return _run_if_it_fits(plan, arrays)


def _run_whole(plan: Stitch, arrays: Sequence[Array | None]) -> Array:
    first: Array = arrays[0]
    if is_host(first) and not plan.fits(first.shape):
        from .blockwise import run_in_tiles

        return run_in_tiles(plan, arrays)
    return plan.whole(*arrays)


def _run_if_it_fits(plan: Pyramid, arrays: Sequence[Array | None]) -> Array:
    if is_host(arrays[0]):
        from .blockwise import fits, run_in_tiles

        if not fits(plan, arrays):
            return run_in_tiles(plan, arrays)
    return plan.whole(*arrays)


def gathered(start: Any, passes: Sequence[Pass], *arrays: Array | None) -> Any:
    """Return the last state of passes over arrays in memory, or over the whole that they are a part of."""
    others = _statistics.current()
    if others is None:
        return reduce_passes(start, passes, *arrays)
    return others.state(start, passes, partial(_sweep_over, arrays))


def reduce_passes(start: Any, passes: Sequence[Pass], *arrays: Array | None) -> Any:
    """Run passes over arrays in memory and return the last state."""
    return _statistics.swept(start, passes, partial(_sweep_over, arrays))


def _sweep_over(arrays: Sequence[Array | None], sweep: Pass, state: Any) -> Any:
    stage(sweep.name)
    return reduce_blocks(sweep, state, arrays)


def reduce_blocks(sweep: Pass, state: Any, arrays: Sequence[Array | None]) -> Any:
    """Combine the summaries of all blocks, in the order of the blocks."""
    first: Array = arrays[0]
    regions = blocks_of(first) if sweep.derived is None else boxes_for(first, sweep.derived)
    summaries = each(lambda region: sweep.chunk(state, *_blocks(sweep, arrays, region)), regions, first)
    total = next(summaries)
    for summary in summaries:
        total = sweep.combine(total, summary)
    return total


def _blocks(sweep: Pass, arrays: Sequence[Array | None], region: Slices) -> Sequence[Array | None]:
    """Return what a sweep is given of a region."""
    if sweep.derived is None:
        return _cut(arrays, region)
    read, keep = with_halo(region, sweep.derived.width, arrays[0].shape)  # type: ignore[union-attr]
    return derive(sweep.derived, _cut(arrays, read), keep)


def derive(derived: Derived, blocks: Sequence[Array | None], keep: Slices) -> list[Array | None]:
    """Return what is made of blocks with their neighbourhood, without the neighbourhood."""
    made = derived.function(*blocks)
    if not any(derived.width):
        return list(made)
    return [None if a is None else contiguous(a[keep]) for a in made]  # a view would hold the neighbourhood


def boxes_for(array: Array, derived: Derived) -> list[Slices]:
    """Split an array into boxes that are the smaller, the more arrays are made of each."""
    return boxes_of(array, derived.width, _fewer(array, derived.n))


def _fewer(array: Array, n: int) -> int:
    """Return how many voxels a block has of which n arrays are held at a time."""
    return max(_block_voxels(array) // n, 1 << 12)


def map_many(
    function: Callable[..., Iterable[Array]], arrays: Sequence[Array | None], out: Array, derived: Derived
) -> None:
    """Write what ``function(*blocks)`` makes of every block into ``out[0]``, ``out[1]``..., halo cut off.

    Parameters
    ----------
    function : callable
        From blocks with a halo to as many blocks as `out` has first indices.
    arrays : sequence of array or None
        Arrays in memory, of one shape.
    out : array
        Filled in.
    derived : Derived
        Its width and number say how the arrays are split.
    """
    first: Array = arrays[0]

    def fill(region: Slices) -> None:
        read, keep = with_halo(region, derived.width, first.shape)
        for number, block in enumerate(function(*_cut(arrays, read))):
            out[(number, *region)] = block[keep]

    for _ in each(fill, boxes_for(first, derived), first):
        pass


def map_blocks(
    function: Callable[..., Array],
    arrays: Sequence[Array | None],
    *,
    dtype: str,
    width: tuple[int, ...] | None,
    n: int = 1,
) -> Array:
    """Write ``function(*blocks)`` block by block into a new array of the first array's shape."""
    first: Array = arrays[0]
    out = empty(first.shape, dtype, like=first)

    def fill(region: Slices) -> None:
        read, keep = with_halo(region, width, first.shape)
        out[region] = function(*_cut(arrays, read))[keep]

    regions = blocks_of(first) if width is None else boxes_of(first, width, _fewer(first, n))
    for _ in each(fill, regions, first):
        pass
    return out


def with_halo(region: Slices, width: tuple[int, ...] | None, shape: tuple[int, ...]) -> tuple[Slices, Slices]:
    """Return the slices to read so that `region` has its halo, and the slices that cut it off again."""
    if width is None:
        return region, tuple(slice(None) for _ in region)
    read = tuple(slice(max(s.start - w, 0), min(s.stop + w, n)) for s, w, n in zip(region, width, shape, strict=True))
    keep = tuple(slice(s.start - r.start, s.stop - r.start) for s, r in zip(region, read, strict=True))
    return read, keep


def blocks_of(array: Array, voxels: int | None = None) -> list[Slices]:
    """Split an array into blocks of at most about `voxels` voxels, leading axes first.

    A block is a run of whole planes, or of rows where a plane is too large, so that the blocks of a
    C-contiguous array are contiguous.
    """
    limit = voxels or _block_voxels(array)
    edges: list[list[slice]] = []
    inner = math.prod(array.shape)
    split = True
    for n in array.shape:
        inner //= max(n, 1)
        thick = max(limit // max(inner, 1), 1) if split else n
        edges.append([slice(i, min(i + thick, n)) for i in range(0, n, max(thick, 1))])
        split = split and thick == 1
    return list(itertools.product(*edges))


def boxes_of(array: Array, width: tuple[int, ...], voxels: int | None = None) -> list[Slices]:
    """Split an array into boxes that have, halo included, about `voxels` voxels, and not much more halo than box.

    The axis whose edge is longest beside its halo is halved until the box is small enough, or until its edge is
    no longer than the two halos: then memory grows with the neighbourhood, as it must.
    """
    limit = voxels or _block_voxels(array)
    edges = list(array.shape)
    while math.prod(min(e + 2 * w, n) for e, w, n in zip(edges, width, array.shape, strict=True)) > limit:
        spare = {a: e / (2 * w + 1) for a, (e, w) in enumerate(zip(edges, width, strict=True)) if e > max(2 * w, 1)}
        if not spare:
            break
        axis = max(spare, key=lambda a: spare[a])
        edges[axis] = -(-edges[axis] // 2)
    return list(
        itertools.product(
            *([slice(i, min(i + e, n)) for i in range(0, n, e)] for e, n in zip(edges, array.shape, strict=True))
        )
    )


def _block_voxels(array: Array) -> int:
    return BLOCK_VOXELS if is_host(array) else DEVICE_BLOCK_VOXELS


def _cut(arrays: Iterable[Array | None], region: Slices) -> list[Array | None]:
    """Return the same region of every array."""
    return [None if a is None else a[region] for a in arrays]


def each(work: Callable[[Slices], Any], regions: list[Slices], like: Array) -> Iterator[Any]:
    """Yield ``work(region)`` in order, on all processors where the array is in host memory.

    Only a few results wait to be taken, so that they do not add up over many blocks. Between two of them progress is
    reported, and a caller that wants to cancel is heard.
    """
    threads = min(n_threads(), len(regions)) if is_host(like) else 1
    if threads == 1:
        for done, region in enumerate(regions):
            tick(done, len(regions))
            yield work(region)
        return
    waiting = iter(regions)
    with ThreadPoolExecutor(threads) as pool:
        ahead = deque(pool.submit(work, region) for region in itertools.islice(waiting, 2 * threads))
        try:
            for done in range(len(regions)):
                tick(done, len(regions))
                yield ahead.popleft().result()
                ahead.extend(pool.submit(work, region) for region in itertools.islice(waiting, 1))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
