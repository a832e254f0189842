"""SLIC superpixels as statistics of a whole: k-means of place and grey level that looks no farther than a window.

A state knows the image's extent and spread, the grid of cells that it begins with, and the centres. Every sweep assigns
the voxels of a block to the nearest centre and adds them up, in whole numbers, so that neither the order of voxels nor
how an image is cut into blocks can show.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arithmetic import of_quanta
from ..processing.filters import edges
from ._columns import LEAST, Scaling, Source, _ranged, _refined, inverse
from ._slic_loops import COLOUR_UNITS
from ._slic_sums import Sums, Table

MAX_GRIDS = 4
"""How many grids are tried for a mask that is no box, to have about as many centres as asked for."""

CLOSE = Fraction(51, 50)
"""A grid whose cells inside a mask are no more than this times as many, or as few, is taken."""

MOST_CELLS = 128
"""A grid has no more cells than this times what is asked for: a mask that is sparse in its box would take one for
nearly every voxel of the box."""

FLAT = 2.0**-8
"""A standard deviation of less than this share of the range is measured again: squares were lost in rounding."""

Triple = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class SlicSettings:
    """What is asked for.

    Parameters
    ----------
    n_superpixels : int
        About how many centres.
    compactness : float
        How much a distance in space counts.
    max_iterations : int
        How often voxels are assigned.
    edges : tuple of int
        Edges of a voxel along z, y and x in 1/1024 of the smallest one.
    """

    n_superpixels: int
    compactness: float
    max_iterations: int
    edges: Triple


def settings_for(
    n_superpixels: int, compactness: float, max_iterations: int, spacing: Sequence[float] | None, ndim: int
) -> SlicSettings:
    """Return what is asked for on an image of so many axes."""
    return SlicSettings(n_superpixels, compactness, max_iterations, three(edges(spacing, ndim), 1024))


def three(numbers: Sequence[int], first: int) -> Triple:
    """Return one number for each of z, y and x; of a plane `first` for z."""
    z, y, x = (first,) * (3 - len(numbers)) + tuple(map(int, numbers))
    return z, y, x


@dataclass(frozen=True, slots=True)
class Grid:
    """Cells of about equal edges that divide the box around what is inside.

    Parameters
    ----------
    low : tuple of int
        Index of the first voxel of the box along z, y and x.
    sizes : tuple of int
        Voxels of the box along each axis.
    counts : tuple of int
        Cells along each axis.
    step : float
        Edge of a cell, in edges of the smallest voxel: the geometric mean over the axes that are divided.
    """

    low: Triple
    sizes: Triple
    counts: Triple
    step: float

    @property
    def n(self) -> int:
        """Number of cells."""
        return math.prod(self.counts)

    def cells(self, axis: int, first: int, n: int) -> NDArray[np.int32]:
        """Return the cell of n voxels from `first` on along an axis; the nearest of those beyond the box."""
        at = np.arange(first - self.low[axis], first - self.low[axis] + n) * self.counts[axis] // self.sizes[axis]
        return np.clip(at, 0, self.counts[axis] - 1).astype(np.int32)


def grid_for(low: Triple, sizes: Triple, edges: Triple, wanted: float) -> Grid:
    """Divide a box into about so many cells, about as long along one axis as along another.

    Parameters
    ----------
    low, sizes : tuple of int
        The box.
    edges : tuple of int
        Edges of a voxel in 1/1024 of the smallest one.
    wanted : float
        How many cells.

    Returns
    -------
    Grid
        An axis that is shorter than a cell is not divided. Of the numbers of cells just below and above the length of
        each other axis, those are taken whose product comes closest.
    """
    lengths = [n * edge / 1024 for n, edge in zip(sizes, edges, strict=True)]
    divided = list(range(3))
    step = max(lengths)
    while divided:
        step = (math.prod(lengths[a] for a in divided) / wanted) ** (1 / len(divided))
        longer = [a for a in divided if lengths[a] > step]
        if longer == divided:
            break
        divided = longer
    choices = [
        sorted({min(max(n, 1), sizes[a]) for n in (math.floor(lengths[a] / step), math.ceil(lengths[a] / step))})
        if a in divided
        else [1]
        for a in range(3)
    ]
    counts = min(itertools.product(*choices), key=lambda c: _ratio(math.prod(c), wanted))
    spread = [lengths[a] / counts[a] for a in range(3) if counts[a] > 1] or [max(lengths)]
    return Grid(low, sizes, three(counts, 1), math.prod(spread) ** (1 / len(spread)))


def _ratio(n: float, wanted: float) -> Fraction:
    """Return how many times one number is the other, at least 1."""
    ratio = Fraction(n) / Fraction(wanted)
    return max(ratio, 1 / ratio)


@dataclass(frozen=True, slots=True, eq=False)
class Centres:
    """The centres of one sweep, as voxels are compared with them.

    Parameters
    ----------
    places, colours : float32 arrays of shape (k, 3) and (k, n_channels)
        Where they are, so that squares of distances add to those of `colours`, standardised grey levels.
    windows : int32 array of shape (k, 3, 2)
        First index along each axis at which one may be a candidate, and the index after the last.
    reach : float32 array of shape (3,)
        Squared distance along each axis up to which it is one.
    """

    places: NDArray[np.float32]
    colours: NDArray[np.float32]
    windows: NDArray[np.int32]
    reach: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Slic:
    """What is known of an image's superpixels, sweep by sweep.

    Parameters
    ----------
    settings : SlicSettings
        What is asked for.
    n_channels : int
        Channels of the image.
    scaling : Scaling, optional
        Range, mean and spread of each channel, and the number of voxels inside.
    full : bool
        Whether every voxel is inside.
    grid : Grid, optional
        The cells.
    tried : tuple
        Grids that were tried, with how many cells of each hold a voxel.
    of_cell : int32 array, optional
        The number of the centre of each cell, -1 where it holds no voxel.
    sums : Sums, optional
        What the last sweep added up.
    n_assigned : int
        How often voxels were assigned.
    converged : bool
        Whether the last sweep changed nothing.
    """

    settings: SlicSettings
    n_channels: int
    scaling: Scaling | None = None
    full: bool = field(default=False, repr=False)
    grid: Grid | None = field(default=None, repr=False)
    tried: tuple[tuple[Grid, int], ...] = field(default=(), repr=False)
    of_cell: NDArray[np.int32] | None = field(default=None, repr=False)
    sums: Sums | None = field(default=None, repr=False)
    centres: Centres | None = field(default=None, repr=False)
    n_assigned: int = field(default=0, repr=False)
    converged: bool = field(default=False, repr=False)

    @property
    def factors(self) -> NDArray[np.float64]:
        """What differences of grey levels are multiplied by: their squares are averaged over channels that vary."""
        assert self.scaling is not None
        n_varied = max(int(np.count_nonzero(self.scaling.deviation)), 1)
        return inverse(self.scaling.deviation * math.sqrt(n_varied))

    @property
    def n_centres(self) -> int:
        """How many centres there are."""
        assert self.sums is not None
        return len(self.sums.counts)

    def mean_size(self) -> float:
        """Return the voxels of a superpixel on average."""
        assert self.scaling is not None
        return self.scaling.n / self.n_centres

    # Before the grid ---------------------------------------------------------------------------------

    def ranged(self, source: Source, found: Any) -> Slic:
        """Return it with the range of grey levels, the box around what is inside, and the first grid."""
        n_voxels, ranges, low, high = found
        scaling = _ranged(source, ranges)  # raises where nothing is inside
        sizes = three([end - first for first, end in zip(low, high, strict=True)], 1)
        wanted = self.settings.n_superpixels * math.prod(sizes) / scaling.n
        ranged = replace(self, scaling=scaling, full=scaling.n == n_voxels)
        grid = grid_for(three(low, 0), sizes, self.settings.edges, min(wanted, ranged._most_cells))
        return replace(ranged, grid=grid)

    def measured(self, sums: NDArray[np.object_]) -> Slic:
        """Return it with mean and deviation, from sums over the range."""
        scaling = self.scaling
        assert scaling is not None
        span = scaling.high - scaling.low
        first, second = of_quanta(sums) / scaling.n
        variance = np.maximum(second - first**2, LEAST**2)
        deviation = np.where(span > 0, np.sqrt(variance) * span, 0.0)
        settled = bool(np.all(deviation >= FLAT * span))
        return replace(
            self, scaling=replace(scaling, mean=scaling.low + first * span, deviation=deviation, measured=settled)
        )

    def refined(self, sums: NDArray[np.object_]) -> Slic:
        """Return it with mean and deviation corrected by those of standardised values."""
        assert self.scaling is not None
        return replace(self, scaling=_refined(self.scaling, sums))

    # The grid ----------------------------------------------------------------------------------------

    @property
    def gridded(self) -> bool:
        """Whether the grid is settled."""
        return self.of_cell is not None

    @property
    def _most_cells(self) -> int:
        """How many cells are asked for at most."""
        return MOST_CELLS * self.settings.n_superpixels

    def counted(self, table: Table) -> Slic:
        """Return it with centres in the cells that hold a voxel, or with the next grid to be tried."""
        grid, held = self.grid, table.numbers
        assert grid is not None
        tried = (*self.tried, (grid, len(held)))
        wanted = self.settings.n_superpixels
        following = None if len(held) == grid.n else self._next_grid(tried)
        if following is not None:
            return replace(self, grid=following, tried=tried)
        best, n = min(tried, key=lambda t: _ratio(t[1], wanted))
        if best != grid:  # it must be counted again
            return replace(self, grid=best, tried=(*tried, (best, n)))
        of_cell = np.full(grid.n, -1, np.int32)
        of_cell[held] = np.arange(len(held))
        return replace(self, tried=tried, of_cell=of_cell.reshape(grid.counts)).moved(table.sums)

    def _next_grid(self, tried: tuple[tuple[Grid, int], ...]) -> Grid | None:
        """Return a grid that holds about as many cells as are missing, or None if no other is to be tried."""
        grid, n = tried[-1]
        wanted = self.settings.n_superpixels
        if len(tried) >= MAX_GRIDS or _ratio(n, wanted) <= CLOSE:
            return None
        n_cells = min(max(grid.n * wanted / n, 1.0), self._most_cells)
        following = grid_for(grid.low, grid.sizes, self.settings.edges, n_cells)
        return None if any(following == before for before, _ in tried) else following

    # Centres -----------------------------------------------------------------------------------------

    @property
    def moving(self) -> bool:
        """Whether voxels are to be assigned and added up once more."""
        return self.n_assigned < self.settings.max_iterations - 1 and not self.converged

    def swept(self, table: Table) -> Slic:
        """Return it with the centres moved, from what a sweep added up."""
        return self.moved(table.dense(self.n_centres))

    def moved(self, sums: Sums) -> Slic:
        """Return it with the centres in the middle of their voxels; one without voxels stays."""
        if self.sums is not None:
            lost = sums.counts == 0
            for name in ("counts", "places", "colours"):
                getattr(sums, name)[lost] = getattr(self.sums, name)[lost]
        converged = self.sums is not None and sums.same(self.sums)
        moved = replace(self, sums=sums, n_assigned=self.n_assigned + 1, converged=converged)
        return replace(moved, centres=moved._centres())

    def _centres(self) -> Centres:
        sums, grid = self.sums, self.grid
        assert sums is not None
        assert grid is not None
        middles = sums.places / sums.counts[:, None]
        far = 2.0 * np.asarray(grid.sizes) / np.asarray(grid.counts)
        windows = np.stack([np.floor(middles - far), np.ceil(middles + far) + 1], axis=-1)  # a little wider
        if self.settings.max_iterations == 1:  # the cells are the superpixels
            windows[:] = 0
        colours = sums.colours / sums.counts[:, None] / COLOUR_UNITS
        return Centres(
            (middles * self.scales).astype(np.float32),
            colours.astype(np.float32),
            windows.astype(np.int32),
            ((far * self.scales) ** 2).astype(np.float32),
        )

    @property
    def scales(self) -> NDArray[np.float64]:
        """What differences of indices are multiplied by: a step of the grid counts for the compactness."""
        assert self.grid is not None
        return np.asarray(self.settings.edges) / 1024 * (self.settings.compactness / self.grid.step)
