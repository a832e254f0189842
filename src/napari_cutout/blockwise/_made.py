"""The arrays of a run in sweeps: what is stored, and what is made of it region by region whenever it is read.

Methods see dask arrays with one task for each tile. What such an array is made of is known by its name, so that a
tile with its halo is read straight from what is stored, and no neighbour is computed for it.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np

from .. import _device
from .._array import Array, array_namespace, contiguous, empty, library, to_numpy
from .._plan import Slices, with_halo
from ._sweeps import Chunks, Sweeper, current, regions_of

__all__ = ["Made", "Source", "Stored", "costly", "is_empty", "keep", "known", "lazy", "read_together", "source_of"]


DEVICES = ("cupy", "array_api_strict")
"""Libraries whose arrays are not brought to the host to be brought back."""


class Source(Protocol):
    """What regions are read from.

    Attributes
    ----------
    shape : tuple of int
        Voxels along each axis.
    dtype : str
        The dtype of what is read.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""

    @property
    def dtype(self) -> str:
        """The dtype of what is read."""

    def read(self, region: Slices) -> Array:
        """Return the voxels of a region, on the device of the run."""


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """An array that is stored: in memory, in a Zarr store, or in scratch.

    Parameters
    ----------
    array : object
        With shape, dtype, and regions by ``array[slices]``.
    device : {"cpu", "gpu"}
        Where its regions are brought to.
    """

    array: Any
    device: Literal["cpu", "gpu"] = "cpu"

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return tuple(map(int, self.array.shape))

    @property
    def dtype(self) -> str:
        """The dtype of what is read."""
        return str(np.dtype(self.array.dtype).newbyteorder("=").name)

    def read(self, region: Slices) -> Array:
        """Return a region, as an array of its own."""
        block = self.array[region]
        if library(block) in DEVICES:
            return _device.place(contiguous(block), self.device)
        return _device.place(np.ascontiguousarray(block, dtype=self.dtype), self.device)


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """What a function makes of other arrays, region by region.

    Parameters
    ----------
    function : callable
        ``function(*first, *blocks) -> block``, as in `_plan.Halo`; or `n` blocks.
    parents : tuple of Source or None
        Of one shape.
    shape : tuple of int
        Theirs, with the length `n` of a new axis before it where there is one.
    dtype : str
        Of the blocks.
    width : tuple of int or None
        Voxels that the neighbourhood reaches along each axis.
    first : tuple
        What the function is given before the blocks.
    n : int, optional
        How many blocks it makes of each, along a new first axis.
    masked : bool
        Whether the second parent is a mask, outside of which all is 0 and nothing is read.
    """

    function: Callable[..., Any]
    parents: tuple[Source | None, ...]
    shape: tuple[int, ...]
    dtype: str
    width: tuple[int, ...] | None = None
    first: tuple[Any, ...] = ()
    n: int | None = None
    masked: bool = False

    def read(self, region: Slices) -> Array:
        """Read the parents, each with its halo, and make the region of them."""
        return read_together([self], region)[0]

    def around(self, region: Slices) -> tuple[Slices, Slices]:
        """Return what is read of every parent for a region, and what of that is the region."""
        of_image = region if self.n is None else region[1:]
        return with_halo(of_image, self.width, self.shape[len(self.shape) - len(of_image) :])

    def made_of(self, blocks: Sequence[Array | None], region: Slices) -> Array:
        """Return a region, of what was read of the parents."""
        _, keep_own = self.around(region)
        made = self.function(*self.first, *blocks)
        if self.n is None:
            return contiguous(made[keep_own])
        return _stacked(made, region[0], keep_own)


def read_together(sources: Sequence[Source | None], region: Slices) -> list[Array | None]:
    """Return a region of several sources, which may be made of the same others."""
    reading = _Reading()
    return reading.blocks(sources, region)


class _Reading:
    """Reads regions of what is made, and makes nothing twice that two things are made of."""

    def __init__(self) -> None:
        self._uses: Counter[Any] = Counter()
        self._held: dict[Any, Array] = {}

    def blocks(self, sources: Sequence[Source | None], region: Slices) -> list[Array | None]:
        """Return a region of each."""
        for source in sources:
            self._count(source, region)
        return [None if source is None else self._of(source, region) for source in sources]

    def _count(self, source: Source | None, region: Slices) -> None:
        """Count how often everything is needed."""
        if source is None:
            return
        key = _key(source, region)
        self._uses[key] += 1
        if self._uses[key] == 1 and isinstance(source, Made):
            for parent in source.parents:
                self._count(parent, source.around(region)[0])

    def _of(self, source: Source, region: Slices) -> Array:
        """Return a region, and hold it only as long as something else is made of it as well."""
        key = _key(source, region)
        self._uses[key] -= 1
        if (block := self._held.pop(key, None)) is None:
            block = self._made(source, region) if isinstance(source, Made) else source.read(region)
        if self._uses[key]:
            self._held[key] = block
        return block

    def _made(self, source: Made, region: Slices) -> Array:
        read, _ = source.around(region)
        if not source.masked:
            return source.made_of([None if p is None else self._of(p, read) for p in source.parents], region)
        mask = self._of(source.parents[1], read)  # type: ignore[arg-type]
        others = [*source.parents[:1], *source.parents[2:]]
        if is_empty(mask):
            for parent in others:
                self._leave(parent, read)
            return _zeros(source, region, mask)
        blocks = [None if p is None else self._of(p, read) for p in others]
        return source.made_of([blocks[0], mask, *blocks[1:]], region)

    def _leave(self, source: Source | None, region: Slices) -> None:
        """Take note that something is not needed after all."""
        if source is None:
            return
        key = _key(source, region)
        self._uses[key] -= 1
        if not self._uses[key] and self._held.pop(key, None) is None and isinstance(source, Made):
            for parent in source.parents:
                self._leave(parent, source.around(region)[0])


def _key(source: Source, region: Slices) -> Any:
    return id(source), tuple((s.start, s.stop) for s in region)


def is_empty(mask: Array) -> bool:
    """Tell whether a block of a mask has no voxel inside."""
    return not bool(array_namespace(mask).any(mask))


def _zeros(source: Made, region: Slices, like: Array) -> Array:
    zeros = empty(tuple(s.stop - s.start for s in region), source.dtype, like=like)
    zeros[...] = 0
    return zeros


def costly(source: Source | None) -> bool:
    """Tell whether making a region takes more than looking at its voxels: a neighbourhood, or work on whole tiles."""
    if isinstance(source, Stored) or source is None or getattr(source, "stored", None) is not None:
        return False
    parents = getattr(source, "parents", None)
    if parents is None:
        return True
    return any(getattr(source, "width", None) or ()) or any(map(costly, parents))


def _stacked(made: Iterable[Array], wanted: slice, keep_own: Slices) -> Array:
    blocks = [block[keep_own] for block in list(made)[wanted]]
    return array_namespace(blocks[0]).stack(blocks)


def known(value: Any) -> Any:
    """Return what a delayed value stands for; anything else as it is."""
    from dask.delayed import Delayed

    return value.compute(scheduler="sync") if isinstance(value, Delayed) else value


def lazy(source: Source, chunks: Chunks | None = None) -> Array:
    """Return what methods see of a source: a dask array with a task for each tile.

    Parameters
    ----------
    source : Source
        Where voxels come from.
    chunks : tuple of tuple of int, optional
        Its chunks; by default the tiles of the run.

    Returns
    -------
    dask array
        Known again by `source_of` while the run lasts.
    """
    import dask.array as da

    sweeper = _sweeper()
    chunks = sweeper.chunks(source.shape) if chunks is None else chunks
    name = f"made-{uuid.uuid4().hex}"
    indices = np.ndindex(*map(len, chunks))
    graph = {(name, *index): (_read, source, region) for index, region in zip(indices, regions_of(chunks), strict=True)}
    sweeper.sources[name] = source
    return da.Array(graph, name, chunks, meta=np.empty((0,) * len(source.shape), source.dtype))


def _read(source: Source, region: Slices) -> Array:
    return source.read(region)


def source_of(array: Array) -> Source:
    """Return what a dask array of the run is read from.

    Parameters
    ----------
    array : dask array
        Made by `lazy`, or by dask from such arrays: that is computed tile by tile and stored in scratch, once.
    """
    sweeper = _sweeper()
    if array.name not in sweeper.sources:
        sweeper.sources[array.name] = _computed(array)
    found: Source = sweeper.sources[array.name]
    return found


def keep(source: Source, name: str, chunks: Chunks | None = None) -> Stored:
    """Store what a source gives in scratch, in one sweep.

    Parameters
    ----------
    source : Source
        What is costly to make, and read more than once.
    name : str
        What the user reads meanwhile.
    chunks : tuple of tuple of int, optional
        What is made at a time; by default the tiles of the run.
    """
    sweeper = _sweeper()
    chunks = sweeper.chunks(source.shape) if chunks is None else chunks
    regions = regions_of(chunks)
    scratch = sweeper.scratch(source.shape, source.dtype, chunks)
    sweeper.map(name, _Keeping(source, scratch, regions), len(regions))
    return Stored(scratch, sweeper.device)


@dataclass(frozen=True, slots=True, eq=False)
class _Keeping:
    """Makes a tile and stores it."""

    source: Source
    scratch: Any
    regions: Sequence[Slices]

    def __call__(self, number: int) -> None:
        region = self.regions[number]
        self.scratch[region] = to_numpy(self.source.read(region))

    def only(self, number: int) -> _Keeping:
        """Return the work of one tile, with what it needs to know and no more."""
        from ._tiled import narrowed

        return replace(self, source=narrowed(self.source, self.regions[number]))


def _computed(array: Array) -> Stored:
    """Store a dask array in scratch, chunk by chunk."""
    sweeper = _sweeper()
    regions = regions_of(array.chunks)
    scratch = sweeper.scratch(array.shape, np.dtype(array.dtype).name, array.chunks)
    blocks = array.to_delayed(optimize_graph=False).ravel()
    sweeper.map("computing blocks", _Computing(list(blocks), scratch, regions), len(regions))
    return Stored(scratch, sweeper.device)


@dataclass(frozen=True, slots=True, eq=False)
class _Computing:
    """Computes a chunk of a dask array, with what it is made of and nothing else, and stores it."""

    blocks: list[Any]
    scratch: Any
    regions: Sequence[Slices]

    def __call__(self, number: int) -> None:
        self.scratch[self.regions[number]] = to_numpy(self.blocks[number].compute(scheduler="sync"))


def _sweeper() -> Sweeper:
    if (sweeper := current()) is None:
        raise RuntimeError("arrays of a run in sweeps are known inside `with sweeping(...)` only")
    return sweeper
