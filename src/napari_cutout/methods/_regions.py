"""The graph of regions that touch: what each region is like, and the boundary between every two neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, dtype_name, from_numpy, is_lazy
from .._monitor import stage
from .._plan import Exchange, PerVoxel, Slices, Stitch, Tile, blocks_of, each, run_plan, with_halo
from ._region_sums import LEVEL_BITS, RegionSums, exponent_of, is_inside, merged, of_parts, sums_of

__all__ = ["RegionGraph", "Sources", "graph_of", "looked_up", "mapped", "numbers_of"]

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

    @property
    def kind(self) -> tuple[int, int, bool]:
        """Number of axes, connectivity, and whether there is a boundary image."""
        return self.regions.ndim, self.connectivity, self.boundary is not None


def _itself(graph: RegionGraph) -> RegionGraph:
    return graph


@dataclass(frozen=True, slots=True)
class _Making:
    """How a graph is made of what blocks find out together, and what is decided on it.

    Parameters
    ----------
    sources : tuple
        Number of axes, connectivity, and whether there is a boundary image.
    spacing : sequence of float, optional
        World length of a voxel along each axis.
    decide : callable
        From the graph to what is made of it.
    """

    sources: tuple[int, int, bool]
    spacing: Sequence[float] | None
    decide: Callable[[RegionGraph], Any] = _itself

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """The largest grey levels first, which say how fine sums can be, and then the sums."""
        return (
            Exchange(self.exponents, self.largest, "measuring grey levels"),
            Exchange(self.sums, self.decided, "measuring regions"),
        )

    def exponents(
        self, _tile: Tile, _: Any, regions: Array, mask: Array | None, boundary: Array | None, *channels: Array
    ) -> tuple[int, ...]:
        """Return the exponents of the grey levels and of the boundary image of a block."""
        given = [*channels] if boundary is None else [*channels, boundary]
        inside = is_inside(regions, mask, given)
        of_boundary = () if boundary is None else (exponent_of(boundary, inside),)
        return (max(exponent_of(c, inside) for c in channels), *of_boundary)

    def largest(self, _: Any, found: dict[int, tuple[int, ...]]) -> tuple[int, ...]:
        """Return the exponents of the whole."""
        return tuple(max(column) for column in zip(*found.values(), strict=True))

    def sums(self, tile: Tile, exponents: tuple[int, ...], *blocks: Array | None) -> RegionSums:
        """Return the sums of a block."""
        regions, mask, boundary, *channels = blocks
        return sums_of(tile, exponents, self.sources[1], regions, mask, boundary, *channels)

    def decided(self, exponents: tuple[int, ...], found: dict[int, RegionSums]) -> Any:
        """Return what is decided on the graph of the whole."""
        ndim, _, has_boundary = self.sources
        return self.decide(_graph(merged(list(found.values())), exponents, ndim, has_boundary, self.spacing))


def _graph(
    sums: RegionSums, exponents: tuple[int, ...], ndim: int, has_boundary: bool, spacing: Sequence[float] | None
) -> RegionGraph:
    """Return the graph that sums tell of."""
    quantum, of_strengths = (2.0 ** (exponents[at] - LEVEL_BITS) for at in (0, -1))
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


def graph_of(sources: Sources, spacing: Sequence[float] | None = None) -> RegionGraph:
    """Return the graph of regions.

    Parameters
    ----------
    sources : Sources
        Of any library; dask arrays are computed chunk by chunk.
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
    making = _Making(sources.kind, spacing)
    if is_lazy(sources.regions):
        from ..blockwise import exchanged

        found: RegionGraph = exchanged(making.exchanges, None, sources.arrays)
        return found
    graph: RegionGraph = _in_memory(making.exchanges, sources)
    return graph


def _in_memory(exchanges: Sequence[Exchange], sources: Sources) -> Any:
    """Return what the blocks of arrays in memory find out together."""
    first, known = sources.regions, None
    for exchange in exchanges:
        stage(exchange.name)

        def look(region: Slices, exchange: Exchange = exchange, known: Any = known) -> Any:
            tile, read = _tile(region, first.shape)
            return exchange.look(tile, known, *(None if a is None else a[read] for a in sources.arrays))

        known = exchange.join(known, dict(enumerate(each(look, blocks_of(first), first))))
    return known


def _tile(region: Slices, whole: tuple[int, ...]) -> tuple[Tile, Slices]:
    """Return a block with its neighbours' outermost voxels, and where to read it."""
    read, keep = with_halo(region, (1,) * len(whole), whole)
    return Tile(0, tuple(r.start for r in read), tuple(r.stop - r.start for r in read), keep, tuple(whole)), read


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


def mapped(
    sources: Sources,
    decide: Callable[[RegionGraph], NDArray[np.int32]],
    spacing: Sequence[float] | None = None,
) -> Array:
    """Return the value that is decided for each voxel's region, 0 outside regions.

    Parameters
    ----------
    sources : Sources
        Of any library.
    decide : callable
        From the graph to a value for each of its regions. On a cluster it travels, so it must be a function of a
        module, or a ``partial`` of one.
    spacing : sequence of float, optional
        World length of a voxel along each axis; by default 1.

    Returns
    -------
    int32 array
        Of the shape and library of the regions; lazy if they are.
    """
    making = _Making(sources.kind, spacing, partial(_values, decide))

    def whole(*_: Array | None) -> Array:
        return looked_up(sources, *_in_memory(making.exchanges, sources))

    return run_plan(Stitch(whole, None, making.exchanges, _all, _values_in, "int32"), *sources.arrays)


def _values(decide: Callable[[RegionGraph], NDArray[np.int32]], graph: RegionGraph) -> tuple[Ints, NDArray[np.int32]]:
    return graph.labels, decide(graph)


def _all(state: Any, _tile: Tile) -> Any:
    return state


def _values_in(tile: Tile, known: tuple[Ints, NDArray[np.int32]], *blocks: Array | None) -> Array:
    return values_at(*known, *(None if block is None else block[tile.own] for block in blocks))


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
