"""How an image is split into tiles for a network, and how much each says about the voxels where they overlap.

Tiles are made from the shape of the image alone, so that chunks do not show. Along each axis a tile is a cell and a
halo on both sides. What a tile says of its exact core, the voxels that see nothing beyond it, is what the whole image
would give; only where no tile is exact do neighbours blend, by a Gaussian around their centres.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["Part", "Tile", "Tiling", "tiling_for"]

SIGMA = 0.125
"""Standard deviation of the weights of a tile, in edges of the tile; as nnU-Net and MONAI have it."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One tile along one axis.

    Parameters
    ----------
    start, stop : int
        The voxels that the network is given.
    cell : tuple of int
        First and last but one of the voxels that no other tile owns.
    support : tuple of int
        The voxels of which it says something: the cell, and more on both sides where it blends.
    weights : float32 array
        How much it says of each voxel of the support; those of all tiles sum up to 1.
    """

    start: int
    stop: int
    cell: tuple[int, int]
    support: tuple[int, int]
    weights: NDArray[np.float32]

    def reaches(self, other: Part) -> bool:
        """Tell whether it says something of the cell of another."""
        return self.support[0] < other.cell[1] and self.support[1] > other.cell[0]


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One tile of an image: one part of each axis."""

    index: tuple[int, ...]
    parts: tuple[Part, ...]

    @property
    def read(self) -> tuple[slice, ...]:
        """What the network is given."""
        return tuple(slice(p.start, p.stop) for p in self.parts)

    @property
    def cell(self) -> tuple[slice, ...]:
        """What it owns."""
        return tuple(slice(*p.cell) for p in self.parts)


@dataclass(frozen=True)
class Tiling:
    """The tiles of an image.

    Parameters
    ----------
    shape : tuple of int
        Voxels of the image.
    edges : tuple of int
        Voxels of a cell along each axis, multiples of `multiple`.
    halo : tuple of int
        Voxels around it, multiples of `multiple`.
    reach : tuple of int
        How far a voxel sees.
    multiple : tuple of int
        Tiles begin at multiples of it.
    """

    shape: tuple[int, ...]
    edges: tuple[int, ...]
    halo: tuple[int, ...]
    reach: tuple[int, ...]
    multiple: tuple[int, ...]

    @cached_property
    def axes(self) -> tuple[tuple[Part, ...], ...]:
        """The tiles along each axis."""
        return tuple(_parts(*numbers) for numbers in zip(self.shape, self.edges, self.halo, self.reach, strict=True))

    @property
    def grid(self) -> tuple[int, ...]:
        """How many tiles there are along each axis."""
        return tuple(map(len, self.axes))

    @property
    def is_whole(self) -> bool:
        """True if the image is one tile."""
        return all(n == 1 for n in self.grid)

    @property
    def exact(self) -> bool:
        """True if every voxel lies in the exact core of a tile, so that nothing is blended."""
        return all(len(parts) == 1 or h >= r for parts, h, r in zip(self.axes, self.halo, self.reach, strict=True))

    @property
    def tile_shape(self) -> tuple[int, ...]:
        """Voxels of the largest tile, filled up to the multiple."""
        largest = (max(p.stop - p.start for p in parts) for parts in self.axes)
        return tuple(-(-n // m) * m for n, m in zip(largest, self.multiple, strict=True))

    def tiles(self) -> Iterator[Tile]:
        """Yield all tiles, layer after layer across the axis with the most, so that a layer has few."""
        for index in self._scanned([range(n) for n in self.grid]):
            yield self.tile(index)

    def _scanned(self, ranges: Sequence[Sequence[int]]) -> Iterator[tuple[int, ...]]:
        """Yield the places that are in all ranges; the axis with the most tiles is the slowest."""
        order = sorted(range(len(ranges)), key=lambda axis: -self.grid[axis])
        back = [order.index(axis) for axis in range(len(ranges))]
        for found in itertools.product(*(ranges[axis] for axis in order)):
            yield tuple(found[at] for at in back)

    def tile(self, index: tuple[int, ...]) -> Tile:
        """Return the tile at a place in the grid."""
        return Tile(index, tuple(parts[i] for parts, i in zip(self.axes, index, strict=True)))

    def about(self, index: tuple[int, ...]) -> Iterator[Tile]:
        """Yield the tiles that say something about a cell, in the order of `tiles`."""
        placed = zip(self.axes, index, strict=True)
        for found in self._scanned([[j for j in _near(i, parts) if parts[j].reaches(parts[i])] for parts, i in placed]):
            yield self.tile(found)

    def under(self, index: tuple[int, ...]) -> Iterator[Tile]:
        """Yield the tiles whose cells a tile says something about, in scan order."""
        placed = zip(self.axes, index, strict=True)
        for found in itertools.product(*([j for j in _near(i, p) if p[i].reaches(p[j])] for p, i in placed)):
            yield self.tile(found)


def _near(i: int, parts: Sequence[Part]) -> range:
    """Return the places of a tile and of its neighbours along an axis; no halo reaches farther."""
    return range(max(i - 1, 0), min(i + 2, len(parts)))


def tiling_for(
    shape: Sequence[int],
    *,
    tile: Sequence[int],
    reach: Sequence[int],
    multiple: Sequence[int],
    halo: Sequence[int] | None = None,
) -> Tiling:
    """Return tiles of at most about a size.

    Parameters
    ----------
    shape : sequence of int
        Voxels of the image along each axis.
    tile : sequence of int
        Voxels of a tile at most, its halo included.
    reach : sequence of int
        How far a voxel sees.
    multiple : sequence of int
        Of how many voxels a tile must have a multiple.
    halo : sequence of int, optional
        Voxels around a cell, rounded up to the multiple. By default so many as a voxel sees, where that is no more than
        a quarter of the tile, and else an eighth, so that a quarter of each tile overlaps with the next.

    Returns
    -------
    Tiling
        Cells along an axis have the same edge, but for the last; an axis that fits into a tile is not split.
    """
    edges, halos = [], []
    for axis, (n, t, r, m) in enumerate(zip(shape, tile, reach, multiple, strict=True)):
        if n <= t:
            edges.append(-(-n // m) * m)
            halos.append(0)
            continue
        wanted = halo[axis] if halo is not None else r if -(-r // m) * m <= t // 4 else t // 8
        wide = -(-wanted // m) * m
        cell = max((t - 2 * wide) // m * m, 2 * wide, m)
        n_cells = -(-n // cell)
        edges.append(max(-(-n // (n_cells * m)) * m, 2 * wide))
        halos.append(wide)
    return Tiling(tuple(shape), tuple(edges), tuple(halos), tuple(reach), tuple(multiple))


def _parts(n: int, edge: int, halo: int, reach: int) -> tuple[Part, ...]:
    """Return the tiles along one axis."""
    cells = [(low, min(low + edge, n)) for low in range(0, n, edge)]
    if len(cells) > 1 and n - cells[-1][0] <= halo:  # the tile before it sees all of it anyway
        cells[-2:] = [(cells[-2][0], n)]
    axis = _Axis(n, edge, halo, reach, len(cells))
    return tuple(axis.part(k, cell) for k, cell in enumerate(cells))


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis: `n` voxels in `n_cells` cells of `edge` voxels."""

    n: int
    edge: int
    halo: int
    reach: int
    n_cells: int

    def part(self, k: int, cell: tuple[int, int]) -> Part:
        """Return a tile, with the weights that its neighbours leave it."""
        start, stop = self.span(k)
        if self.halo >= self.reach or self.n_cells == 1:
            return Part(start, stop, cell, cell, np.ones(cell[1] - cell[0], np.float32))
        at = np.arange(start, stop)
        near = range(max(k - 1, 0), min(k + 2, self.n_cells))
        says = {j: self.says(j, at) for j in near}
        exact = {j: self.is_exact(j, at) for j in near}
        for j in near:
            for other in near:
                if other != j:
                    says[j][exact[other]] = 0  # nobody else speaks where a tile is exact
        weights = (says[k] / sum(says.values())).astype(np.float32)
        there = np.flatnonzero(weights)
        first, last = int(there[0]), int(there[-1]) + 1
        return Part(start, stop, cell, (start + first, start + last), weights[first:last])

    def span(self, k: int) -> tuple[int, int]:
        """Return the voxels that the network is given of a tile."""
        return max(k * self.edge - self.halo, 0), min((k + 1) * self.edge + self.halo, self.n)

    def says(self, k: int, at: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how much a tile says of voxels, before others are heard."""
        start, stop = self.span(k)
        centre, sigma = k * self.edge + (self.edge - 1) / 2, SIGMA * (self.edge + 2 * self.halo)
        found = np.exp(-0.5 * ((at - centre) / sigma) ** 2)
        found[(at < start) | (at >= stop)] = 0
        return np.asarray(found)

    def is_exact(self, k: int, at: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which voxels see nothing beyond a tile."""
        start, stop = self.span(k)
        low, high = (start + self.reach if start else 0), (stop - self.reach if stop < self.n else self.n)
        return (at >= low) & (at < high)
