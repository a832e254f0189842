"""Sources whose tiles are made by number: costly ones, stored in scratch before they would be made twice."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace
from .._monitor import quiet
from .._plan import Slices, Tile
from .._shelf import Records, Shelf, record_length
from ._made import Made, Source, Stored, keep, source_of
from ._sweeps import Chunks, Sweeper, n_tiles, regions_of

__all__ = ["Looking", "Shelves", "Tiled", "Tiles", "narrowed", "settle", "settled"]


@dataclass(slots=True, eq=False)
class Tiled:
    """What is made tile by tile, and stored when it has to be.

    Parameters
    ----------
    work : callable
        ``work(number) -> block``: a tile, by its number in scan order.
    chunks : tuple of tuple of int
        The tiles.
    dtype : str
        Of the blocks.
    name : str
        What the user reads while it is stored.
    stored : Stored, optional
        What it is read from, once it is.
    n_labels : int, optional
        The largest label, where it holds labels and that is known.
    """

    work: Callable[[int], Array]
    chunks: Chunks
    dtype: str
    name: str
    stored: Stored | None = None
    n_labels: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return tuple(map(sum, self.chunks))

    def read(self, region: Slices) -> Array:
        """Return a region: of what is stored, or of the tiles that it meets, which are made for it."""
        if self.stored is not None:
            return self.stored.read(region)
        grid = tuple(map(len, self.chunks))
        met = self._along(region)
        parts = np.empty([len(along) for along in met], object)
        for at in np.ndindex(*parts.shape):
            found = [along[i] for along, i in zip(met, at, strict=True)]
            number = int(np.ravel_multi_index([n for n, _ in found], grid))
            parts[at] = self.work(number)[tuple(cut for _, cut in found)]
        return joined(parts)

    def met(self, region: Slices) -> list[int]:
        """Return the numbers of the tiles that a region meets."""
        at = itertools.product(*([n for n, _ in along] for along in self._along(region)))
        return [int(np.ravel_multi_index(numbers, tuple(map(len, self.chunks)))) for numbers in at]

    def _along(self, region: Slices) -> list[list[tuple[int, slice]]]:
        return [_met(sizes, s) for sizes, s in zip(self.chunks, region, strict=True)]


def _met(sizes: tuple[int, ...], wanted: slice) -> list[tuple[int, slice]]:
    """Return the tiles along an axis that a range meets, and what of each."""
    ends = np.cumsum(sizes)
    first, last = (int(np.searchsorted(ends, at, side="right")) for at in (wanted.start, wanted.stop - 1))
    starts = [int(ends[n]) - sizes[n] for n in range(first, last + 1)]
    return [
        (n, slice(max(wanted.start - start, 0), min(wanted.stop - start, sizes[n])))
        for n, start in zip(range(first, last + 1), starts, strict=True)
    ]


def joined(parts: NDArray[Any]) -> Array:
    """Return one array of a grid of them."""
    if parts.size == 1:
        return parts.flat[0]
    xp = array_namespace(parts.flat[0])
    for axis in reversed(range(parts.ndim)):
        lines = np.empty(parts.shape[:axis], object)
        for at in np.ndindex(*lines.shape):
            lines[at] = xp.concat(list(parts[at]), axis=axis) if parts.shape[axis] > 1 else parts[at][0]
        parts = lines
    return parts[()]


def settle(source: Source | None, chunks: Chunks | None = None) -> None:
    """Store what would be made more than once if a source were read.

    Parameters
    ----------
    source : Source or None
        What is going to be read.
    chunks : tuple of tuple of int, optional
        What is read, once: then only that is stored whose tiles are others, or that is needed twice for one region.
        By default it is read again and again, so all is stored.
    """
    if source is None:
        return
    found = list(_below(source, False))
    times = Counter(id(tiled) for tiled, _ in found)
    for tiled, wider in found:
        once = chunks is not None and not wider and times[id(tiled)] == 1 and _same(tiled.chunks, chunks)
        if tiled.stored is None and not once:
            tiled.stored = keep(tiled, tiled.name, tiled.chunks)


def settled(arrays: Sequence[Array | None]) -> list[Source | None]:
    """Return what the arrays of a run are read from, when they are read again and again."""
    sources = [None if a is None else source_of(a) for a in arrays]
    for source in sources:
        settle(source)
    return sources


def narrowed(source: Source | None, region: Slices, known: dict[Any, Any] | None = None) -> Any:
    """Return a source that is read for one region, with what its tiles must know for that and no more.

    Parameters
    ----------
    source : Source or None
        What is going to be read.
    region : tuple of slice
        Where.
    known : dict, optional
        What was narrowed before, so that two things which are made of one thing still are.
    """
    known = {} if known is None else known
    key = id(source), tuple((s.start, s.stop) for s in region)
    if key not in known:
        known[key] = _narrowed(source, region, known)
    return known[key]


def _narrowed(source: Any, region: Slices, known: dict[Any, Any]) -> Any:
    if isinstance(source, Made):
        read, _ = source.around(region)
        return replace(source, parents=tuple(narrowed(parent, read, known) for parent in source.parents))
    if not isinstance(source, Tiled):
        return source
    only = getattr(source.work, "only", None)
    if source.stored is not None or only is None:
        return source if source.stored is None else source.stored
    return replace(source, work=_Few({number: only(number) for number in source.met(region)}))


@dataclass(frozen=True, slots=True)
class _Few:
    """The work of a few tiles, each with what it needs."""

    works: dict[int, Callable[[int], Array]]

    def __call__(self, number: int) -> Array:
        return self.works[number](number)


def _same(tiles: Chunks, chunks: Chunks) -> bool:
    """Tell whether chunks are tiles; an axis before those of the image is of no account."""
    n = min(len(tiles), len(chunks))
    return tiles[-n:] == chunks[-n:]


def _below(source: Source | None, wider: bool) -> Iterator[tuple[Tiled, bool]]:
    """Yield what a source is made of that is made in tiles, and whether more than the region is read of it."""
    if isinstance(source, Tiled):
        yield source, wider
        return
    reaches = any(getattr(source, "width", None) or ())
    for parent in getattr(source, "parents", ()):
        yield from _below(parent, wider or reaches)


# Tiles that look -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tiles(Sequence[Tile]):
    """The tiles of a shape, made when they are asked for.

    Parameters
    ----------
    chunks : tuple of tuple of int
        What is their own.
    width : int
        Voxels of their neighbours that they have as well.
    """

    chunks: Chunks
    width: int = 1

    def __len__(self) -> int:
        """Return how many there are."""
        return int(np.prod([len(sizes) for sizes in self.chunks]))

    def __iter__(self) -> Iterator[Tile]:
        """Yield them in scan order."""
        for number, own in enumerate(regions_of(self.chunks)):
            yield self._tile(number, own)

    def __getitem__(self, number: Any) -> Any:
        """Return one."""
        at = np.unravel_index(int(number), tuple(map(len, self.chunks)))
        own = []
        for sizes, i in zip(self.chunks, at, strict=True):
            start = sum(sizes[: int(i)])
            own.append(slice(start, start + sizes[int(i)]))
        return self._tile(int(number), tuple(own))

    def _tile(self, number: int, own: Slices) -> Tile:
        whole = tuple(map(sum, self.chunks))
        low = tuple(max(s.start - self.width, 0) for s in own)
        high = tuple(min(s.stop + self.width, n) for s, n in zip(own, whole, strict=True))
        return Tile(
            number,
            low,
            tuple(h - o for h, o in zip(high, low, strict=True)),
            tuple(slice(s.start - o, s.stop - o) for s, o in zip(own, low, strict=True)),
            whole,
        )

    def read(self, tile: Tile, sources: list[Source | None]) -> list[Array | None]:
        """Return what a tile sees of each source."""
        region = tuple(slice(o, o + n) for o, n in zip(tile.origin, tile.shape, strict=True))
        return [None if source is None else source.read(region) for source in sources]


@dataclass(frozen=True, slots=True, eq=False)
class Shelves:
    """Scratch arrays in which the tiles of a run keep blocks, and tell their neighbours of their outermost voxels.

    Parameters
    ----------
    chunks : tuple of tuple of int
        The tiles.
    blocks : dict
        Arrays of the whole.
    records : dict
        Arrays with one row for each tile.
    """

    chunks: Chunks
    blocks: dict[str, Any]
    records: dict[str, Any]

    def tile(self, tile: Tile) -> Tile:
        """Return a tile with its shelf, where tiles have any."""
        if not self.records:
            return tile
        return replace(tile, shelf=Shelf(self.chunks, tile.number, self.blocks, Records(self._read, self._write)))

    def _read(self, name: str, number: int) -> NDArray[Any]:
        found: NDArray[Any] = np.asarray(self.records[name][number : number + 1])[0]
        return found

    def _write(self, name: str, number: int, values: NDArray[Any]) -> None:
        array = self.records[name]
        row = np.zeros((1, array.shape[1]), array.dtype)
        row[0, : len(values)] = values
        array[number : number + 1] = row


NO_SHELVES = Shelves((), {}, {})


def shelves_for(sweeper: Sweeper, chunks: Chunks, blocks: Mapping[str, str], records: Mapping[str, str]) -> Shelves:
    """Return shelves with scratch arrays of these names and dtypes."""
    if not records:
        return NO_SHELVES
    shape, n, length = tuple(map(sum, chunks)), n_tiles(chunks), record_length(chunks)
    return Shelves(
        chunks,
        {name: sweeper.scratch(shape, dtype, chunks) for name, dtype in blocks.items()},
        {name: sweeper.scratch((n, length), dtype, ((1,) * n, (length,))) for name, dtype in records.items()},
    )


@dataclass(frozen=True, slots=True, eq=False)
class Looking:
    """What a tile finds when it looks at itself and at its neighbours' outermost voxels.

    Parameters
    ----------
    look : callable
        ``look(tile, known, *blocks)``.
    known : callable
        ``known(state, tile)``: the part of the state that a tile needs.
    state : object
        What all tiles have found so far.
    sources : list of Source or None
        What they see.
    tiles : Tiles
        All of them.
    wanted : sequence of int
        The numbers of those that look.
    shelves : Shelves
        Where they keep things.
    """

    look: Callable[..., Any]
    known: Callable[[Any, Tile], Any]
    state: Any
    sources: list[Source | None]
    tiles: Tiles
    wanted: Any
    shelves: Shelves = NO_SHELVES

    def __call__(self, number: int) -> Any:
        """Let the wanted tile of this number look."""
        tile = self.shelves.tile(self.tiles[self.wanted[number]])
        known = self.known(self.state, tile)
        with quiet():  # its own progress is not that of the whole
            return self.look(tile, known, *self.tiles.read(tile, self.sources))

    def only(self, number: int) -> Looking:
        """Return the work of one tile, with what it needs to know and no more; it is called with the same number."""
        tile = self.shelves.tile(self.tiles[self.wanted[number]])
        return replace(self, known=_itself, state=self.known(self.state, tile), wanted=_Always(tile.number))


@dataclass(frozen=True, slots=True)
class _Always:
    """A sequence of one number, whatever the index."""

    number: int

    def __getitem__(self, _: int) -> int:
        return self.number


def _itself(state: Any, _: Tile) -> Any:
    return state
