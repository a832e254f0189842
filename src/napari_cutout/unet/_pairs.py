"""Images with their annotations: where something is annotated, what to learn on and what to validate on."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._array import Array, is_lazy, to_numpy
from .._monitor import tick
from ._scaling import Scaling
from ._targets import Targets

__all__ = ["Cells", "Pair", "Region", "cells_of", "labels_in", "split"]

Region = tuple[slice, ...]

TRIES = 64
"""How many random splits are looked at for one that leaves every class on both sides."""


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """An image and what was annotated on it.

    Parameters
    ----------
    name : str
        What messages call it.
    channels : tuple of arrays of one shape
        NumPy, dask or Zarr.
    annotation : array of that shape
        Labels.
    scalings : tuple of Scaling
        One for each channel.
    """

    name: str
    channels: tuple[Array, ...]
    annotation: Array
    scalings: tuple[Scaling, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return tuple(map(int, self.annotation.shape))

    def labels(self, region: Region) -> NDArray[np.int64]:
        """Return what is annotated in a region."""
        return to_numpy(self.annotation[region]).astype(np.int64)

    def image(self, region: Region) -> NDArray[np.float32]:
        """Return the channels of a region as a network sees them."""
        blocks = (to_numpy(channel[region]) for channel in self.channels)
        return np.stack([scaling(block) for scaling, block in zip(self.scalings, blocks, strict=True)])


def blocks_of(pair: Pair) -> Iterator[Region]:
    """Yield regions that cover an annotation: its chunks, or slabs of some megabytes."""
    array = pair.annotation
    if is_lazy(array):
        edges = [np.cumsum((0, *sizes)) for sizes in array.chunks]
    elif hasattr(array, "chunks"):  # of a Zarr array, the edge of each
        edges = [np.append(np.arange(0, n, c), n) for n, c in zip(pair.shape, array.chunks, strict=True)]
    else:
        thick = max((1 << 24) // max(math.prod(pair.shape[1:]), 1), 1)
        edges = [
            np.append(np.arange(0, pair.shape[0], thick), pair.shape[0]),
            *(np.array([0, n]) for n in pair.shape[1:]),
        ]
    spans = [[slice(int(a), int(b)) for a, b in itertools.pairwise(e)] for e in edges]
    for index in np.ndindex(*map(len, spans)):
        yield tuple(span[i] for span, i in zip(spans, index, strict=True))


def labels_in(pairs: Sequence[Pair]) -> dict[int, int]:
    """Return how many voxels have each label, all of them read once."""
    counts: dict[int, int] = {}
    for at, pair in enumerate(pairs):
        tick(at, len(pairs))
        for region in blocks_of(pair):
            for value, n in zip(*np.unique(pair.labels(region), return_counts=True), strict=True):
                counts[int(value)] = counts.get(int(value), 0) + int(n)
    return dict(sorted(counts.items()))


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

    def lookup(self, pairs: Sequence[Pair]) -> list[NDArray[np.bool_]]:
        """Return for every image a grid that is True at these cells."""
        grids = [np.zeros([-(-n // e) for n, e in zip(p.shape, self.edges, strict=True)], bool) for p in pairs]
        for number, grid in enumerate(grids):
            grid[tuple(self.index[self.pair == number].T)] = True
        return grids


def cells_of(pairs: Sequence[Pair], edges: Sequence[int], targets: Targets) -> Cells:
    """Return the cells that hold annotated voxels.

    Parameters
    ----------
    pairs : sequence of Pair
        The images.
    edges : sequence of int
        Voxels of a cell along each axis.
    targets : Targets
        What the labels mean.

    Returns
    -------
    Cells
        In scan order, image after image.
    """
    found: dict[tuple[int, ...], NDArray[np.int64]] = {}
    n_classes = len(targets.counts)
    for number, pair in enumerate(pairs):
        for region in blocks_of(pair):
            classes = targets.classes_in(pair.labels(region))
            at = np.nonzero(classes >= 0)
            if not len(at[0]):
                continue
            index = np.stack([(a + s.start) // e for a, s, e in zip(at, region, edges, strict=True)])
            keys, counts = np.unique(np.vstack((index, classes[at])), axis=1, return_counts=True)
            for key, n in zip(keys.T.tolist(), counts.tolist(), strict=True):
                row = found.setdefault((number, *key[:-1]), np.zeros(n_classes, np.int64))
                row[key[-1]] += n
    places = np.array(sorted(found), np.int64).reshape(len(found), len(edges) + 1)
    counts = np.array([found[tuple(place)] for place in places.tolist()], np.int64).reshape(len(found), n_classes)
    return Cells(tuple(edges), places[:, 0], places[:, 1:], counts)


def split(cells: Cells, share: float, seed: int) -> NDArray[np.bool_]:
    """Choose cells to validate on: whole images if there are several, else whole layers of cells of the one.

    Parameters
    ----------
    cells : Cells
        All of them.
    share : float
        Of the annotated voxels about so many are held out.
    seed : int
        Of the random choice.

    Returns
    -------
    bool array
        Which cells; none if every choice would leave a class without voxels on one side.
    """
    groups = _groups(cells)
    rng = np.random.default_rng([seed, 1])
    best, apart = np.zeros(len(cells), bool), math.inf
    sizes = cells.counts.sum(1)
    wanted = share * sizes.sum()
    if share <= 0:
        return best
    for _ in range(TRIES):
        held = np.zeros(len(cells), bool)
        for group in rng.permutation(groups.max(initial=0) + 1):
            more = groups == group
            if held.any() and sizes[held].sum() + sizes[more].sum() / 2 > wanted:
                break
            held |= more
        complete = (cells.counts[held].sum(0) > 0).all() and (cells.counts[~held].sum(0) > 0).all()
        if complete and abs(sizes[held].sum() - wanted) < apart:
            best, apart = held, abs(sizes[held].sum() - wanted)
    return best


def _groups(cells: Cells) -> NDArray[np.int64]:
    """Return which cells stay together: those of an image, or of a layer along the axis with the most layers."""
    if len(np.unique(cells.pair)) > 1:
        return np.unique(cells.pair, return_inverse=True)[1]
    n_layers = [len(np.unique(column)) for column in cells.index.T]
    if n_layers and cells.index.shape[1] == 3 and n_layers[0] >= 3:
        return np.unique(cells.index[:, 0], return_inverse=True)[1]  # slices, as people annotate them
    return np.arange(len(cells))
