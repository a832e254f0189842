"""Blocks of an image as SLIC sees them, and the sweeps over them."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, from_numpy, is_host, to_numpy
from .._monitor import note
from .._plan import Pass
from . import _slic_device
from ._columns import MAX_SWEEPS, Source, _joined_ranges, _moments, _ranges, counted, inverse, rows_of
from ._slic import MAX_GRIDS, Centres, Slic, Triple, three
from ._slic_loops import ROW, STRETCH, WORK, add_rows, assign_rows, renumber
from ._slic_sums import Sums, Table


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A block of every channel as it is compared with centres.

    Parameters
    ----------
    values : float32 array of shape (n_channels, nz, ny, nx)
        Standardised grey levels.
    known : bool array of shape (nz, ny, nx), or None
        Which voxels are inside; None if all are.
    origin : tuple of int
        Index of the first voxel in the whole.
    """

    values: Array
    known: Array | None
    origin: Triple

    @property
    def shape(self) -> Triple:
        """Voxels along z, y and x."""
        _, nz, ny, nx = self.values.shape
        return nz, ny, nx


def block_of(state: Slic, source: Source, blocks: Sequence[Array | None]) -> Block:
    """Return a block of a plan, with the axes z, y and x."""
    assert state.scaling is not None
    mask, at, columns = source.split(blocks)
    known = None if state.full else counted(mask, columns)
    xp = array_namespace(columns[0])
    shape = three(columns[0].shape, 1)
    rows = rows_of(columns, state.scaling.mean, state.factors, None)
    values = np.reshape(rows, (-1, *shape)) if is_host(columns[0]) else xp.reshape(xp.stack(list(rows)), (-1, *shape))
    return Block(values, None if known is None else xp.reshape(known, shape), three(_origin(at), 0))


def _origin(at: Sequence[Array]) -> tuple[int, ...]:
    return tuple(int(index[(0,) * index.ndim]) for index in at)


def cells_of(state: Slic, block: Block) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Return the cell of every voxel along each axis."""
    assert state.grid is not None
    z, y, x = (state.grid.cells(a, o, n) for a, o, n in zip(range(3), block.origin, block.shape, strict=True))
    return z, y, x


def in_cells(state: Slic, block: Block) -> tuple[Array, NDArray[np.int64]]:
    """Return the number of every voxel's cell among those that the block reaches into, -1 outside, and which these are.

    They are numbered afresh, so that what is added up takes no room for the cells of the whole.
    """
    assert state.grid is not None
    z, y, x = cells_of(state, block)
    shape = [int(a[-1] - a[0]) + 1 for a in (z, y, x)]
    z_from, y_from, x_from = (a - a[0] for a in (z, y, x))
    numbers = [
        from_numpy(np.ascontiguousarray(a), like=block.values)
        for a in ((z_from * shape[1])[:, None, None], y_from[None, :, None], x_from[None, None, :])
    ]
    cells = (numbers[0] + numbers[1]) * shape[2] + numbers[2]
    places = np.ix_(*(np.arange(a[0], a[-1] + 1) for a in (z, y, x)))
    of_whole = np.ravel_multi_index(places, state.grid.counts).reshape(-1)
    if block.known is not None:
        xp = array_namespace(cells)
        cells = xp.where(block.known, cells, xp.full_like(cells, -1))
    return cells, of_whole


@dataclass(frozen=True, slots=True, eq=False)
class Nearby:
    """The centres that voxels of a block may go to, numbered afresh in the same order.

    Parameters
    ----------
    numbers : int64 array of shape (m,)
        Their numbers in the whole, rising.
    centres : Centres
        These m.
    of_cell : int32 array of the shape of the grid
        The new number of the centre of each cell that the block reaches into, -1 elsewhere.
    reaching : int32 array
        New numbers of those whose windows reach into the block; the others are those of its cells.
    """

    numbers: NDArray[np.int64]
    centres: Centres
    of_cell: NDArray[np.int32]
    reaching: NDArray[np.int32]


def nearby(state: Slic, block: Block) -> Nearby:
    """Return the centres that voxels of a block may go to."""
    centres, of_cell = state.centres, state.of_cell
    assert centres is not None
    assert of_cell is not None
    windows, origin = centres.windows, np.asarray(block.origin)
    reaching = np.all((windows[..., 0] < origin + block.shape) & (windows[..., 1] > origin), axis=1)
    box = tuple(slice(a[0], a[-1] + 1) for a in cells_of(state, block))
    own = of_cell[box]
    held = own >= 0
    present = reaching.copy()
    present[own[held]] = True
    numbers = np.flatnonzero(present)
    afresh = np.full_like(of_cell, -1)
    afresh[box][held] = np.searchsorted(numbers, own[held])
    of_block = Centres(centres.places[numbers], centres.colours[numbers], windows[numbers], centres.reach)
    return Nearby(numbers, of_block, afresh, np.flatnonzero(reaching[numbers]).astype(np.int32))


def assigned(state: Slic, block: Block, near: Nearby) -> Array:
    """Return the new number of the nearest centre of every voxel, -1 outside."""
    centres, cells = near.centres, cells_of(state, block)
    lines = zip(block.origin, block.shape, state.scales, strict=True)
    z, y, x = ((np.arange(o, o + n) * scale).astype(np.float32) for o, n, scale in lines)
    if not is_host(block.values):
        assert state.grid is not None
        return _slic_device.assigned(block, state.grid, cells, near.of_cell, (z, y, x), centres)
    work, worst = np.empty(WORK, np.float32), np.empty(ROW // STRETCH, np.float32)
    levels = np.empty(len(block.values) * ROW, np.float32)
    known = np.zeros((0, 0, 0), bool) if block.known is None else np.ascontiguousarray(block.known)
    labels = np.empty(block.shape, np.int32)
    assign_rows(
        block.values, known, cells, near.of_cell, (z, y, x), block.origin, near.reaching, centres.places,
        centres.colours, centres.windows, centres.reach,
        (work, worst, levels, *np.empty((2, near.reaching.size), np.int32)), labels,
    )  # fmt: skip
    return labels


def added_up(labels: Array, block: Block, k: int) -> Sums:
    """Return what the voxels of each of k centres add up to."""
    sums = Sums.zeros(k, block.values.shape[0])
    if not is_host(labels):
        return _slic_device.added_up(labels, block, sums)
    add_rows(labels, block.values, block.origin, sums.counts, sums.places, sums.colours)
    return sums


def _table(labels: Array, block: Block, numbers: NDArray[np.int64]) -> Table:
    """Return what the voxels of a block add up to, under the numbers of the whole."""
    sums = added_up(labels, block, len(numbers))
    met = np.flatnonzero(sums.counts)
    return Table(numbers[met], sums.take(met))


def _extent(source: Source, *blocks: Array | None) -> Any:
    """Return how many voxels a block has, the range of each channel, and the box around what is inside."""
    mask, at, columns = source.split(blocks)
    shape = tuple(map(int, columns[0].shape))
    ranges = _ranges(source, *blocks)
    if ranges is None:
        return math.prod(shape), None, (), ()
    known, first = counted(mask, columns), _origin(at)
    if known is None:
        low, high = first, tuple(o + n for o, n in zip(first, shape, strict=True))
    else:
        low, high = _box(known, first)
    return math.prod(shape), ranges, three(low, 0), three(high, 1)


def _box(known: Array, origin: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the first index inside along each axis, and the index after the last."""
    xp = array_namespace(known)
    low, high = [], []
    for axis, first in enumerate(origin):
        others = tuple(a for a in range(known.ndim) if a != axis)
        at = np.flatnonzero(to_numpy(xp.any(known, axis=others)))
        low.append(first + int(at[0]))
        high.append(first + int(at[-1]) + 1)
    return tuple(low), tuple(high)


def _joined_extents(a: Any, b: Any) -> Any:
    n = a[0] + b[0]
    if a[1] is None or b[1] is None:
        return n, *(a if b[1] is None else b)[1:]
    low, high = (tuple(map(of, a[i], b[i])) for i, of in ((2, min), (3, max)))
    return n, _joined_ranges(a[1], b[1]), low, high


def scaling_passes(source: Source) -> tuple[Pass, ...]:
    """Return the passes that measure an image: what is inside, and how its grey levels spread."""

    def moments(mean: Any, width: Any, blocks: Sequence[Array | None]) -> NDArray[np.object_]:
        mask, _, columns = source.split(blocks)
        return _moments(rows_of(columns, mean, inverse(width), counted(mask, columns)))

    def measure(state: Slic, *blocks: Array | None) -> NDArray[np.object_]:
        assert state.scaling is not None
        return moments(state.scaling.low, state.scaling.high - state.scaling.low, blocks)

    def refine(state: Slic, *blocks: Array | None) -> NDArray[np.object_]:
        assert state.scaling is not None
        return moments(state.scaling.mean, state.scaling.deviation, blocks)

    def unmeasured(state: Slic) -> bool:
        return state.scaling is not None and not state.scaling.measured

    return (
        Pass(
            lambda _, *blocks: _extent(source, *blocks),
            _joined_extents,
            lambda state, found: state.ranged(source, found),
            lambda state: state.scaling is None,
            "finding what is inside",
            derived=source.derived,
        ),
        Pass(measure, operator.add, Slic.measured, unmeasured, "measuring grey levels", derived=source.derived),
        Pass(refine, operator.add, Slic.refined, unmeasured, "measuring grey levels again", derived=source.derived),
    )


def centre_passes(source: Source) -> tuple[Pass, ...]:
    """Return the passes that find the centres: those of cells, and then sweeps until they have moved enough."""

    def count(state: Slic, *blocks: Array | None) -> Table:
        block = block_of(state, source, blocks)
        cells, numbers = in_cells(state, block)
        return _table(cells, block, numbers)

    def sweep(state: Slic, *blocks: Array | None) -> Table:
        block = block_of(state, source, blocks)
        near = nearby(state, block)
        return _table(assigned(state, block, near), block, near.numbers)

    return (
        Pass(
            count,
            operator.add,
            Slic.counted,
            lambda state: not state.gridded,
            "laying a grid",
            most=MAX_GRIDS + 1,
            derived=source.derived,
        ),
        Pass(
            sweep,
            operator.add,
            Slic.swept,
            lambda state: state.moving,
            "moving superpixels",
            most=MAX_SWEEPS,
            derived=source.derived,
        ),
    )


def told(state: Slic) -> Slic:
    """Say what was found out, and return it."""
    assert state.scaling is not None
    deviation = [float(d) for d in state.scaling.deviation]
    note(n_centres=state.n_centres, n_assignments=state.n_assigned + 1, standard_deviation=deviation)
    return state


def label_nearest(source: Source, state: Slic, *blocks: Array | None) -> Array:
    """Return the number of the nearest centre of every voxel of a block of a plan, -1 outside."""
    block = block_of(state, source, list(source.made(*blocks)))
    near = nearby(state, block)
    labels = assigned(state, block, near)
    if near.numbers.size < state.n_centres:
        labels = _in_whole(labels, near.numbers.astype(np.int32))
    return array_namespace(labels).reshape(labels, blocks[0].shape)  # type: ignore[union-attr]


def _in_whole(labels: Array, numbers: NDArray[np.int32]) -> Array:
    """Return the numbers of the whole for those of a block, on the host in place."""
    if is_host(labels):
        renumber(labels.reshape(-1), numbers)
        return labels
    xp = array_namespace(labels)
    table = from_numpy(np.append(numbers, np.int32(-1)), like=labels)  # the last is outside
    return xp.take(table, xp.reshape(xp.where(labels < 0, numbers.size, labels), (-1,)))
