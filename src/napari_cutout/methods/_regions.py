"""The graph of regions that touch: what each region is like, and the boundary between every two neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, dtype_name, from_numpy
from .._monitor import stage
from .._plan import Exchange, PerVoxel, Slices, Tile, blocks_of, each, run_plan, with_halo
from ._region_sums import LEVEL_BITS, RegionSums, exponent_of, is_inside, merged, of_parts, sums_of

__all__ = ["RegionGraph", "Sources", "graph_of", "looked_up", "numbers_of"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RegionGraph:
    """Regions, and which of them touch.

    Parameters
    ----------
    labels : int64 array of shape (n,)
        Their names in the label image, rising.
    sizes : int64 array of shape (n,)
        Voxels.
    means : float64 array of shape (n, n_channels)
        Mean grey level of each channel.
    first : int64 array of shape (n,)
        Linear index of the first voxel in scan order.
    pairs : int64 array of shape (m, 2)
        Two regions that touch, by their places in `labels`, the smaller first; rows rise, and none is there twice.
    n_faces : int64 array of shape (m,)
        Pairs of voxels that touch across the boundary.
    boundary : float64 array of shape (m,)
        Mean strength of the boundary over these pairs: how much the two voxels differ, or the mean of a boundary
        image at both.
    areas : float64 array of shape (m,)
        Area of the voxel faces between two regions (length, in 2-D), in world units where a spacing was given. 0 where
        they touch by edges and corners alone.
    """

    labels: Ints
    sizes: Ints
    means: Floats
    first: Ints
    pairs: Ints
    n_faces: Ints
    boundary: Floats
    areas: Floats

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"RegionGraph({len(self)} regions, {len(self.pairs)} boundaries)"


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """What a graph is made of.

    Parameters
    ----------
    regions : integer or boolean array
        Labels; 0 is outside.
    channels : sequence of arrays of the same shape
        Grey levels; where one is not finite, no region is.
    mask : array of the same shape, optional
        Where regions are.
    boundary : array of the same shape, optional
        How strong boundaries are.
    connectivity : int
        How many axes a step between two voxels that touch may cross.
    """

    regions: Array
    channels: Sequence[Array]
    mask: Array | None = None
    boundary: Array | None = None
    connectivity: int = 1

    @property
    def arrays(self) -> tuple[Array | None, ...]:
        """All arrays, in the order in which blocks are looked at."""
        return (self.regions, self.mask, self.boundary, *self.channels)


@dataclass(frozen=True, slots=True)
class Known:
    """What the blocks have found so far.

    Parameters
    ----------
    exponents : tuple of int
        Those of the grey levels and of the boundary image.
    sums : RegionSums, optional
        Those of the whole.
    """

    exponents: tuple[int, ...] = ()
    sums: RegionSums | None = None


def exponents_in(
    _tile: Tile, _known: Known, regions: Array, mask: Array | None, boundary: Array | None, *channels: Array
) -> tuple[int, ...]:
    """Return the exponents of a block."""
    given = [*channels] if boundary is None else [*channels, boundary]
    inside = is_inside(regions, mask, given)
    of_boundary = () if boundary is None else (exponent_of(boundary, inside),)
    return (max(exponent_of(c, inside) for c in channels), *of_boundary)


def _largest(_known: Known, found: dict[int, tuple[int, ...]]) -> Known:
    return Known(tuple(max(column) for column in zip(*found.values(), strict=True)))


def sums_in(connectivity: int, tile: Tile, known: Known, *blocks: Array | None) -> RegionSums:
    """Return the sums of a block."""
    regions, mask, boundary, *channels = blocks
    return sums_of(tile, known.exponents, connectivity, regions, mask, boundary, *channels)


def _added(known: Known, found: dict[int, RegionSums]) -> Known:
    return Known(known.exponents, merged(list(found.values())))


def exchanges_for(connectivity: int) -> tuple[Exchange, ...]:
    """Return what blocks find out together."""
    return (
        Exchange(exponents_in, _largest, "measuring grey levels"),
        Exchange(partial(sums_in, connectivity), _added, "measuring regions"),
    )


def known_of(sources: Sources) -> Known:
    """Return what the blocks of arrays in memory find out."""
    first = sources.regions
    tiles = {tuple((s.start, s.stop) for s in region): _tile(region, first.shape) for region in blocks_of(first)}
    known = Known()
    for exchange in exchanges_for(sources.connectivity):
        stage(exchange.name)

        def look(region: Slices, exchange: Exchange = exchange, known: Known = known) -> Any:
            tile, read = tiles[tuple((s.start, s.stop) for s in region)]
            return exchange.look(tile, known, *(None if a is None else a[read] for a in sources.arrays))

        known = exchange.join(known, dict(enumerate(each(look, blocks_of(first), first))))
    return known


def _tile(region: Slices, whole: tuple[int, ...]) -> tuple[Tile, Slices]:
    """Return a block with its neighbours' outermost voxels, and where to read it."""
    read, keep = with_halo(region, (1,) * len(whole), whole)
    return Tile(0, tuple(r.start for r in read), tuple(r.stop - r.start for r in read), keep, tuple(whole)), read


def graph_of(sources: Sources, spacing: Sequence[float] | None = None) -> RegionGraph:
    """Return the graph of the regions of arrays in memory.

    Parameters
    ----------
    sources : Sources
        NumPy, CuPy or an array-API library.
    spacing : sequence of float, optional
        World length of a voxel along each axis; by default 1.

    Returns
    -------
    RegionGraph
        In host memory.

    Raises
    ------
    ValueError
        If a label is negative or does not fit into int64.
    """
    return graph_from(known_of(sources), sources.regions.ndim, sources.boundary is not None, spacing)


def graph_from(known: Known, ndim: int, has_boundary: bool, spacing: Sequence[float] | None) -> RegionGraph:
    """Return the graph that sums tell of."""
    sums: RegionSums = known.sums  # type: ignore[assignment]  # after the last exchange
    quantum, of_strengths = (2.0 ** (known.exponents[at] - LEVEL_BITS) for at in (0, -1))
    n_faces = sums.faces.sum(axis=1)
    strengths = of_parts(sums.strengths) / n_faces * of_strengths
    lengths = np.ones(ndim) if spacing is None else np.asarray(spacing, np.float64)
    of_faces = np.zeros(4)
    of_faces[3 - ndim : 3] = [np.prod(np.delete(lengths, axis)) for axis in range(ndim)]
    return RegionGraph(
        sums.labels,
        sums.sizes,
        of_parts(sums.levels) / sums.sizes[:, None] * quantum,
        sums.first,
        np.searchsorted(sums.labels, sums.pairs).astype(np.int64).reshape(-1, 2),
        n_faces,
        strengths / 2 if has_boundary else strengths,
        (sums.faces * of_faces).sum(axis=1),
    )


# Back to voxels --------------------------------------------------------------------------------------


def numbers_of(graph: RegionGraph, groups: Ints) -> NDArray[np.int32]:
    """Return the number of each region's group, 1 to n by first voxel in scan order.

    Parameters
    ----------
    graph : RegionGraph
        The regions.
    groups : int array of shape (n,)
        Any number that the regions of a group share.

    Returns
    -------
    int32 array of shape (n,)
        The numbers.
    """
    names, at = np.unique(groups, return_inverse=True)
    first = np.full(len(names), np.iinfo(np.int64).max)
    np.minimum.at(first, at, graph.first)
    number = np.empty(len(names), np.int32)
    number[np.argsort(first)] = np.arange(1, len(names) + 1)
    return number[at]


def looked_up(sources: Sources, labels: Ints, values: NDArray[Any]) -> Array:
    """Return the value of each voxel's region, 0 outside regions.

    Parameters
    ----------
    sources : Sources
        The regions, and what bounds them.
    labels : int64 array of shape (n,)
        Names of regions, rising.
    values : int32 array of shape (n,)
        The value of each.

    Returns
    -------
    int32 array
        Of the shape and library of the regions.
    """
    arrays = [a for a in sources.channels if dtype_name(a).startswith("float")]
    given = (sources.regions, sources.mask, sources.boundary, *arrays)
    return run_plan(PerVoxel(partial(values_at, labels, values), "int32"), *given)


def values_at(
    labels: Ints, values: NDArray[Any], regions: Array, mask: Array | None, boundary: Array | None, *channels: Array
) -> Array:
    """Return the value of each voxel's region in a block, int32; 0 outside regions."""
    xp = array_namespace(regions)
    given = [*channels] if boundary is None else [*channels, boundary]
    inside = is_inside(regions, mask, given)
    if not len(labels):
        return xp.zeros(regions.shape, dtype=xp.int32, device=regions.device)
    flat = xp.reshape(xp.astype(regions, xp.int64), (-1,))
    if labels[-1] < 4 * len(labels) + 1024:  # a table with few gaps
        table = np.zeros(int(labels[-1]) + 1, np.int32)
        table[labels] = values
        flat = xp.clip(flat, 0, int(labels[-1]))
    else:
        table = values.astype(np.int32)
        flat = xp.clip(xp.searchsorted(from_numpy(labels, like=regions), flat), 0, len(labels) - 1)
    found = xp.reshape(xp.take(from_numpy(table, like=regions), flat), regions.shape)
    return xp.where(inside, found, xp.zeros_like(found))
