"""The graph of regions that strokes cut: what each region costs under each label, and each boundary between two.

Costs are whole numbers, whose sums are the same for every tiling, library and device. A voxel may be a region.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, from_numpy
from .._monitor import note, stage
from .._plan import Exchange, Slices, Stitch, Tile, blocks_of, each, map_blocks, with_halo
from ..processing._label_sums import ranked
from ._colour_models import QUANTUM
from ._min_cut import Energy, cheapest
from ._regions import values_at
from ._stroke_models import MODELS, Block, CutSettings, Found, block_of, costs_at, pairs_across, squares

__all__ = ["cut_of_regions", "cut_of_voxels"]

Ints = NDArray[np.int64]


def cut_of_regions(settings: CutSettings) -> Stitch:
    """Return the plan that gives every region a label; its arrays are those of `block_of`."""
    exchanges = (*MODELS, Exchange(_tables_in, _solved, "measuring regions"))

    def whole(*arrays: Array | None) -> Array:
        found = _exchanged(Found(settings), exchanges, arrays)
        return map_blocks(partial(_labelled, found), arrays, dtype="int32", width=None)

    return Stitch(whole, Found(settings), exchanges, lambda found, _tile: found, _labelled_tile, "int32")


def cut_of_voxels(settings: CutSettings, *arrays: Array | None) -> Array:
    """Return the label of every voxel of arrays in memory, those of `block_of`; there are no regions among them."""
    found = _exchanged(Found(settings), MODELS, arrays)
    inside, energy = _voxel_energy(found, block_of(*arrays))
    values, labels = _cut(found, np.arange(len(energy.fixed)), energy).values, np.zeros(inside.shape, np.int32)
    assert values is not None
    labels[inside] = values
    return from_numpy(labels, like=arrays[0])


def _voxel_energy(found: Found, block: Block) -> tuple[NDArray[np.bool_], Energy]:
    """Return which voxels of a whole are inside, and what a labelling of these costs."""
    assert found.labels is not None
    number = (np.cumsum(block.inside) - 1).reshape(block.inside.shape).astype(np.int32)
    pairs, weights = [], []
    for step in found.settings.steps:
        here, there, both = pairs_across(step, block, block.inside)
        pairs.append(np.stack([number[here][both], number[there][both]], axis=1))
        weights.append(found.weight_of(step, squares(block, here, there, both, found.half_range)))
    painted = block.markers[block.inside]
    fixed = np.where(painted > 0, np.searchsorted(found.labels, painted), -1)
    costs, rows = _costs_of_voxels(found, block)
    return block.inside, Energy(costs, np.concatenate(pairs), np.concatenate(weights), fixed, rows)


def _costs_of_voxels(found: Found, block: Block) -> tuple[Ints, Ints | None]:
    """Return what labels cost in each bin, and the bins of the voxels inside; or, of several histograms, at each."""
    assert found.bins is not None
    if len(found.costs) > 1:
        return np.ascontiguousarray(costs_at(found, block, block.inside).T), None
    (rows,) = found.bins.of([level[block.inside] for level in block.levels])
    return np.ascontiguousarray(found.costs[0].T), rows


def _exchanged(found: Found, exchanges: Sequence[Exchange], arrays: Sequence[Array | None]) -> Found:
    """Return what the blocks of arrays in memory find out together."""
    first: Array = arrays[0]
    for exchange in exchanges:
        stage(exchange.name)

        def look(region: Slices, exchange: Exchange = exchange, found: Found = found) -> Any:
            read, keep = with_halo(region, (1,) * first.ndim, first.shape)
            tile = Tile(
                0, tuple(r.start for r in read), tuple(r.stop - r.start for r in read), keep, tuple(first.shape)
            )
            return exchange.look(tile, found, *(None if a is None else a[read] for a in arrays))

        found = exchange.join(found, dict(enumerate(each(look, blocks_of(first), first))))
    return found


def _labelled_tile(tile: Tile, found: Found, *blocks: Array | None) -> Array:
    return _labelled(found, *(None if b is None else b[tile.own] for b in blocks))


def _labelled(
    found: Found, image: Array, markers: Array, regions: Array, mask: Array | None, *channels: Array
) -> Array:
    """Return the labels of a block: those of the strokes where there are any, else those of the regions."""
    xp = array_namespace(image)
    assert found.names is not None
    assert found.values is not None
    labels = values_at(found.names, found.values, regions, mask, None, image, *channels)
    return xp.where((markers > 0) & (labels > 0), xp.astype(markers, xp.int32), labels)


# Regions -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """What a block tells of its regions.

    Parameters
    ----------
    names : int64 array of shape (n,)
        Regions, rising.
    costs : int64 array of shape (n, n_labels)
        What each label costs, summed over voxels.
    marks : int64 array of shape (n, n_labels)
        Voxels under strokes.
    pairs : int64 array of shape (m, 2)
        Names of regions that touch, the smaller first.
    weights : int64 array of shape (m,)
        What it costs to cut between them.
    """

    names: Ints
    costs: Ints
    marks: Ints
    pairs: Ints
    weights: Ints


def _tables_in(tile: Tile, found: Found, *blocks: Array | None) -> Tables:
    block, own = block_of(*blocks), tile.owned()
    assert block.regions is not None
    names, rank = ranked(block.regions, "regions")
    rank, n = rank.reshape(own.shape), len(names)
    mine = own & block.inside
    costs, number = costs_at(found, block, mine), rank[mine]
    summed = np.stack([np.bincount(number, row, n) for row in costs], axis=1).astype(np.int64)
    marks = _marks(found, block.markers[mine], number, n)
    keys, weights = [], []
    for step in found.settings.steps:
        here, there, pairs = pairs_across(step, block, own)
        pairs &= rank[here] != rank[there]
        a, b = rank[here][pairs].astype(np.int64), rank[there][pairs].astype(np.int64)
        keys.append(np.minimum(a, b) * n + np.maximum(a, b))
        weights.append(found.weight_of(step, squares(block, here, there, pairs, found.half_range)))
    pair, at = np.unique(np.concatenate(keys), return_inverse=True)
    total = np.bincount(at, np.concatenate(weights), len(pair)).astype(np.int64)
    there = np.bincount(number, minlength=n) > 0
    return Tables(names[there], summed[there], marks[there], np.stack([names[pair // n], names[pair % n]], 1), total)


def _marks(found: Found, markers: Ints, number: NDArray[Any], n: int) -> Ints:
    """Return the painted voxels of each label in each of n regions."""
    assert found.labels is not None
    painted = markers > 0
    label, k = np.searchsorted(found.labels, markers[painted]), len(found.labels)
    return np.bincount(number[painted].astype(np.int64) * k + label, minlength=n * k).reshape(n, k)


def _solved(found: Found, seen: dict[int, Tables]) -> Found:
    tables = _merged(list(seen.values()))
    fixed = np.where(tables.marks.any(axis=1), np.argmax(tables.marks, axis=1), -1)  # of equal counts the smaller label
    pairs = np.searchsorted(tables.names, tables.pairs).reshape(-1, 2)
    contested = int(((tables.marks > 0).sum(axis=1) > 1).sum())
    note(n_regions=len(tables.names), n_contested=contested)
    return _cut(found, tables.names, Energy(tables.costs, pairs, tables.weights, fixed))


def _cut(found: Found, names: Ints, energy: Energy) -> Found:
    """Return what is found with the label of each region."""
    assert found.labels is not None
    columns = cheapest(energy)
    note(energy=energy.of(columns) / QUANTUM)
    return replace(found, names=names, values=found.labels[columns].astype(np.int32))


def _merged(tables: Sequence[Tables]) -> Tables:
    """Add the tables of disjoint voxels."""
    names, at = np.unique(np.concatenate([t.names for t in tables]), return_inverse=True)
    costs, marks = (_added([getattr(t, name) for t in tables], at, len(names)) for name in ("costs", "marks"))
    ends = np.searchsorted(names, np.concatenate([t.pairs for t in tables]))
    pair, to = np.unique(ends[:, 0] * len(names) + ends[:, 1], return_inverse=True)
    weights = _added([t.weights for t in tables], to, len(pair))
    pairs = names[np.stack([pair // len(names), pair % len(names)], axis=1)]
    return Tables(names, costs, marks, pairs, weights)


def _added(rows: Sequence[Ints], at: NDArray[np.intp], n: int) -> Ints:
    together = np.concatenate(rows)
    total = np.zeros((n, *together.shape[1:]), np.int64)
    np.add.at(total, at, together)
    return total
