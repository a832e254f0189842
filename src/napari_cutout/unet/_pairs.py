"""Images with their annotations: what is annotated and where, found in one sweep, and what to validate on."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .._array import Array, is_lazy, to_numpy
from .._monitor import tick
from ._scaling import Scaling
from ._targets import Targets

__all__ = ["Annotated", "Blocks", "Cells", "Pair", "Region", "annotated_in", "split"]

Region = tuple[slice, ...]

BLOCK_VOXELS = 1 << 24
"""Voxels that are read at a time: chunks are joined until they are about so many."""

SPREAD = 2
"""How much farther apart numbers may lie than there are of them, so that they are counted and not sorted."""

TRIES = 64
"""How many random splits are looked at for one that leaves every class on both sides."""

MOST_HELD = 0.5
"""Share of the annotated voxels that may be held out where places are few."""


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """An image and what was annotated on it.

    Parameters
    ----------
    name : str
        What messages call it.
    channels : tuple of arrays of one shape
        NumPy, CuPy, dask or Zarr.
    annotation : array of that shape
        Labels.
    scalings : tuple of Scaling
        One for each channel; empty until grey levels were measured.
    source : int
        Which image it is of; that of all time points of one is the same.
    """

    name: str
    channels: tuple[Array, ...]
    annotation: Array
    scalings: tuple[Scaling, ...] = ()
    source: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return tuple(map(int, self.annotation.shape))

    def scaled(self, scalings: Sequence[Scaling]) -> Pair:
        """Return it with its grey levels measured."""
        return replace(self, scalings=tuple(scalings))

    def labels(self, region: Region) -> NDArray[np.int64]:
        """Return what is annotated in a region."""
        return to_numpy(self.annotation[region]).astype(np.int64)

    def image(self, region: Region) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
        """Return the channels of a region as a network sees them, and which voxels are finite in all; None if all."""
        blocks = [to_numpy(channel[region]) for channel in self.channels]
        finite = None
        for block in blocks:
            if block.dtype.kind == "f" and not (here := np.isfinite(block)).all():
                finite = here if finite is None else finite & here
        return np.stack([scaling(block) for scaling, block in zip(self.scalings, blocks, strict=True)]), finite


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Regions that cover an array and are cheap to read: whole chunks, several of them where they are small.

    Parameters
    ----------
    edges : tuple of int arrays
        Where regions begin along each axis, and the end of the last.
    """

    edges: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, array: Array) -> Blocks:
        """Return the regions of a NumPy, CuPy, dask or Zarr array."""
        fine = [_chunk_edges(array, axis) for axis in range(len(array.shape))]
        room = BLOCK_VOXELS // max(math.prod(int(np.diff(e).max()) for e in fine), 1)
        edges = []
        for rows in reversed(fine):  # the last axis first, along which voxels lie beside each other
            step = max(min(room, len(rows) - 1), 1)
            room //= step
            edges.append(np.append(rows[:-1:step], rows[-1]))
        return cls(tuple(reversed(edges)))

    def __len__(self) -> int:
        return math.prod(len(e) - 1 for e in self.edges)

    def __getitem__(self, number: int) -> Region:
        at = np.unravel_index(number, [len(e) - 1 for e in self.edges])
        return tuple(slice(int(e[i]), int(e[i + 1])) for e, i in zip(self.edges, at, strict=True))

    def __iter__(self) -> Iterator[Region]:
        return (self[number] for number in range(len(self)))


def _chunk_edges(array: Array, axis: int) -> NDArray[np.int64]:
    """Return where chunks begin along an axis, and the end of the last; of arrays in memory, every row is one."""
    n = int(array.shape[axis])
    if is_lazy(array):
        return np.cumsum((0, *array.chunks[axis]))
    chunks = getattr(array, "shards", None) or getattr(array, "chunks", None)  # of Zarr
    if chunks:
        return np.append(np.arange(0, n, int(chunks[axis])), n)
    return np.arange(n + 1) if axis == 0 else np.array([0, n])


@dataclass(frozen=True, slots=True, eq=False)
class Annotated:
    """How many voxels of each label lie in each box of each image; what is not annotated takes no place.

    Parameters
    ----------
    edges : tuple of int
        Voxels of a box along each axis.
    pair, label, n : int array of shape (m,)
        Which image, which label, and how many voxels.
    index : int array of shape (m, ndim)
        Which box, in the grid of boxes of that image.
    contents : tuple of str
        By what the annotation of each image is known again.
    planes : tuple of int
        Along the first axis of each image, in how many planes something is annotated.
    """

    edges: tuple[int, ...]
    pair: NDArray[np.int64]
    index: NDArray[np.int64]
    label: NDArray[np.int64]
    n: NDArray[np.int64]
    contents: tuple[str, ...]
    planes: tuple[int, ...]

    @property
    def counts(self) -> dict[int, int]:
        """Voxels of each label."""
        values, inverse = np.unique(self.label, return_inverse=True)
        totals = np.zeros(len(values), np.int64)
        np.add.at(totals, inverse, self.n)
        return dict(zip(values.tolist(), totals.tolist(), strict=True))

    def cells(self, targets: Targets) -> Cells:
        """Return the boxes with what the labels in them mean; in scan order, image after image."""
        classes = targets.classes_in(self.label)
        there = classes >= 0
        places = np.column_stack((self.pair, self.index))[there]
        found, inverse = np.unique(places, axis=0, return_inverse=True)
        counts = np.zeros((len(found), len(targets.counts)), np.int64)
        np.add.at(counts, (inverse.reshape(-1), classes[there]), self.n[there])
        return Cells(self.edges, found[:, 0], found[:, 1:], counts)


def annotated_in(pairs: Sequence[Pair], edges: Sequence[int], ignore: int | None) -> Annotated:
    """Return what is annotated, every annotation being read once, chunk by chunk.

    Parameters
    ----------
    pairs : sequence of Pair
        The images.
    edges : sequence of int
        Voxels of a box along each axis.
    ignore : int or None
        The label that means not annotated.

    Returns
    -------
    Annotated
        It grows with the annotated boxes, not with the images.
    """
    rows, contents, planes = [], [], []
    for number, pair in enumerate(pairs):
        blocks, crc = Blocks.of(pair.annotation), 0
        painted = np.zeros(pair.shape[0], bool)
        for at, region in enumerate(blocks):
            tick(number * len(blocks) + at, len(pairs) * len(blocks))
            labels = pair.labels(region)
            crc = zlib.crc32(np.ascontiguousarray(labels).data, crc)
            known = np.ones(labels.shape, bool) if ignore is None else labels != ignore
            painted[region[0]] |= known.reshape(len(known), -1).any(1)
            index, label, n = _counted(labels, known, region, edges)
            rows.append(np.column_stack((np.full(len(n), number), index, label, n)))
        contents.append(f"{crc:08x}")
        planes.append(int(painted.sum()))
    table = np.concatenate(rows)
    keys, inverse = np.unique(table[:, :-1], axis=0, return_inverse=True)  # boxes that lie in several blocks
    n = np.zeros(len(keys), np.int64)
    np.add.at(n, inverse.reshape(-1), table[:, -1])
    return Annotated(tuple(edges), keys[:, 0], keys[:, 1:-1], keys[:, -1], n, tuple(contents), tuple(planes))


def _counted(
    labels: NDArray[np.int64], known: NDArray[np.bool_], region: Region, edges: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return box, label and number of voxels for every label of every box of a block."""
    if not known.any():
        return np.zeros((0, labels.ndim), np.int64), labels[:0].reshape(-1), labels[:0].reshape(-1)
    values, codes, _ = _distinct(labels[known])
    first = [s.start // e for s, e in zip(region, edges, strict=True)]
    steps = [np.arange(s.start, s.stop) // e - f for s, e, f in zip(region, edges, first, strict=True)]
    grid = [int(step[-1]) + 1 for step in steps]
    box = np.asarray(np.ravel_multi_index(np.ix_(*steps), grid), np.int64)[known]
    keys, _, n = _distinct(box * len(values) + codes)
    index = np.column_stack(np.unravel_index(keys // len(values), grid)) + np.asarray(first)
    return index.astype(np.int64), values[keys % len(values)], n


def _distinct(numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the different numbers, which of them each is, and how many there are of each."""
    low, high = int(numbers.min()), int(numbers.max())
    if high - low > SPREAD * numbers.size:
        values, codes, n = np.unique(numbers, return_inverse=True, return_counts=True)
        return values, codes.reshape(-1), n.astype(np.int64)
    n = np.bincount(numbers - low)  # ten times as fast as sorting them
    there = np.flatnonzero(n)
    places = np.zeros(len(n), np.int64)
    places[there] = np.arange(len(there))
    return there + low, places[numbers - low], n[there].astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Boxes of all images in which something is annotated.

    Parameters
    ----------
    edges : tuple of int
        Voxels of a cell along each axis.
    pair : int array of shape (n,)
        Which image each lies in.
    index : int array of shape (n, ndim)
        Its place in the grid of cells of that image.
    counts : int array of shape (n, K)
        Voxels of each class in it.
    """

    edges: tuple[int, ...]
    pair: NDArray[np.int64]
    index: NDArray[np.int64]
    counts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pair)

    def chosen(self, which: NDArray[np.bool_]) -> Cells:
        """Return some of them."""
        return Cells(self.edges, self.pair[which], self.index[which], self.counts[which])

    def region(self, cell: int, shape: Sequence[int]) -> Region:
        """Return the voxels of a cell."""
        return tuple(
            slice(int(i) * e, min((int(i) + 1) * e, n))
            for i, e, n in zip(self.index[cell], self.edges, shape, strict=True)
        )

    def numbers(self, shapes: Sequence[Sequence[int]]) -> list[NDArray[np.int64]]:
        """Return for every image the places of its cells in scan order, one number each, rising."""
        grids = [self.grid(shape) for shape in shapes]
        return [
            np.sort(np.ravel_multi_index(tuple(self.index[self.pair == number].T), grid))
            for number, grid in enumerate(grids)
        ]

    def grid(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return how many cells an image has along each axis."""
        return tuple(-(-int(n) // e) for n, e in zip(shape, self.edges, strict=True))


def split(cells: Cells, share: float, seed: int, sources: Sequence[int] | None = None) -> tuple[NDArray[np.bool_], str]:
    """Choose cells to validate on: whole images, or else whole slices, or else cells by themselves.

    Parameters
    ----------
    cells : Cells
        All of them.
    share : float
        Of the annotated voxels about so many are held out.
    seed : int
        Of the random choice.
    sources : sequence of int, optional
        For every image which one it is a time point of; by default each is one by itself.

    Returns
    -------
    held : bool array
        Which cells; none if every choice would leave a class without voxels on one side.
    what : str
        What they are, such as ``"2 of 8 images"``; empty if none is held out.
    """
    if share > 0:
        for what, groups, most in _groupings(cells, share, sources):
            held = _drawn(cells, groups, share, most, seed)
            if held.any():
                return held, f"{len(np.unique(groups[held]))} of {groups.max() + 1} {what}"
    return np.zeros(len(cells), bool), ""


def _groupings(
    cells: Cells, share: float, sources: Sequence[int] | None
) -> Iterator[tuple[str, NDArray[np.int64], float]]:
    """Yield which cells may stay together, the most independent first, and how much may be held out at most."""
    most = min(2 * share, MOST_HELD)
    pairs = np.unique(cells.pair, return_inverse=True)[1].reshape(-1)
    images = (
        pairs if sources is None else np.unique(np.asarray(sources)[cells.pair], return_inverse=True)[1].reshape(-1)
    )
    yield "images", images, most
    if images.max(initial=0) < pairs.max(initial=0):
        yield "time points", pairs, most
    if cells.index.shape[1] == 3 and cells.edges[0] == 1:  # people annotate slices
        places = np.column_stack((cells.pair, cells.index[:, 0]))
        yield "slices", np.unique(places, axis=0, return_inverse=True)[1].reshape(-1), most
    yield "places", np.arange(len(cells)), MOST_HELD


def _drawn(cells: Cells, groups: NDArray[np.int64], share: float, most: float, seed: int) -> NDArray[np.bool_]:
    """Return random groups that hold about a share of all and every class; none if there are no such."""
    rng = np.random.default_rng([seed, 1])
    n_groups = int(groups.max(initial=-1)) + 1
    sizes = np.zeros((n_groups, cells.counts.shape[1]), np.int64)
    np.add.at(sizes, groups, cells.counts)
    total = sizes.sum()
    best, apart = np.zeros(n_groups, bool), math.inf
    for _ in range(TRIES):
        order = rng.permutation(n_groups)
        grown = np.cumsum(sizes[order].sum(1))
        n = int(np.abs(grown - share * total).argmin()) + 1 if n_groups else 0
        held = np.zeros(n_groups, bool)
        held[order[:n]] = True
        complete = (sizes[held].sum(0) > 0).all() and (sizes[~held].sum(0) > 0).all()
        off = abs(int(sizes[held].sum()) - share * total)
        if complete and sizes[held].sum() <= most * total and off < apart:
            best, apart = held, off
    return np.asarray(best[groups])
