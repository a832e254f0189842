"""What strokes say of an image: the likelihood of grey levels under each label, and what a boundary costs.

Blocks find it out together: first the range of grey levels, then how common each is under the strokes, and how much
neighbours differ. All of it are whole numbers, whose sums are the same for every tiling, library and device.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arithmetic import exp_of_negative
from .._array import Array, to_numpy
from .._monitor import note
from .._plan import Exchange, Tile
from ._colour_models import QUANTUM, Bins, bins_for, costs_of
from ._markers import check_marker_values
from ._region_sums import is_inside

__all__ = ["MODELS", "Block", "CutSettings", "Found", "block_of", "costs_at", "pairs_across", "squares"]

SQUARES = 1 << 52
"""Squared differences of grey levels are counted in parts of this of the squared range."""

HALF = 26
"""Bits of the lower part of such a number, which are summed by themselves, so that sums fit into int64."""

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CutSettings:
    """What a graph of regions is cut by.

    Parameters
    ----------
    smoothness : float
        What it costs if two neighbours of equal grey level have different labels.
    contrast : float, optional
        The difference of grey levels at which it costs 0.6 of that; by default the root of the mean squared difference
        of all neighbours.
    lengths : tuple of float
        Edges of a voxel, the smallest of which is 1.
    """

    smoothness: float
    contrast: float | None
    lengths: tuple[float, ...]

    @property
    def steps(self) -> list[tuple[int, ...]]:
        """The steps to neighbours that come later in scan order: diagonal ones too in 2-D."""
        reach = itertools.product((-1, 0, 1), repeat=len(self.lengths))
        most = 2 if len(self.lengths) == 2 else 1
        return [s for s in reach if s > (0,) * len(s) and sum(map(abs, s)) <= most]

    def full_weight(self, step: tuple[int, ...]) -> float:
        """Return the weight of the edge between two neighbours of equal grey level, in quanta."""
        apart = math.sqrt(sum((s * edge) ** 2 for s, edge in zip(step, self.lengths, strict=True)))
        return self.smoothness / apart * QUANTUM


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What the blocks have found so far.

    Parameters
    ----------
    settings : CutSettings
        What they are looked at for.
    labels : int64 array, optional
        Labels of the strokes inside, rising.
    bins : Bins, optional
        Those of the colour models.
    half_range : float
        Half of the largest range of grey levels that a channel has.
    costs : tuple of int64 arrays
        What each label costs in each bin of each histogram.
    spread : float
        The squared contrast, in squared ranges.
    names, values : arrays
        Regions, rising, and the label that each has in the end.
    """

    settings: CutSettings
    labels: Ints | None = None
    bins: Bins | None = None
    half_range: float = 0.0
    costs: tuple[Ints, ...] = ()
    spread: float = 0.0
    names: Ints | None = None
    values: NDArray[np.int32] | None = None

    def weight_of(self, step: tuple[int, ...], squares: NDArray[np.float64]) -> Ints:
        """Return the weights of edges across a step, given squared differences of grey levels in squared ranges."""
        if self.spread == 0:
            near = (squares == 0).astype(np.float64)
        else:
            near = exp_of_negative(np.maximum(-squares / (2 * self.spread), -1e3))
        weights: Ints = np.rint(near * self.settings.full_weight(step)).astype(np.int64)
        return weights


# One block -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A block in host memory.

    Parameters
    ----------
    regions : integer array, or None if every voxel is a region
        Labels of regions.
    markers : int64 array
        Labels of strokes; 0 outside.
    levels : list of float64 arrays
        Grey levels of each channel; 0 where one is not finite.
    inside : bool array
        Which voxels belong to a region.
    """

    regions: NDArray[Any] | None
    markers: Ints
    levels: list[NDArray[np.float64]]
    inside: Bools


def block_of(image: Array, markers: Array, regions: Array | None, mask: Array | None, *channels: Array) -> Block:
    """Return a block in host memory."""
    shown = [to_numpy(c) for c in (image, *channels)]
    given = None if regions is None else to_numpy(regions)
    everywhere = np.ones(shown[0].shape, bool) if given is None else given
    inside = is_inside(everywhere, None if mask is None else to_numpy(mask), shown)
    painted = np.where(inside, to_numpy(markers), 0).astype(np.int64)
    return Block(given, painted, [np.where(inside, c, 0).astype(np.float64) for c in shown], inside)


def pairs_across(step: tuple[int, ...], block: Block, own: Bools) -> tuple[Any, Any, Bools]:
    """Return the voxels that have a neighbour one step on, these neighbours, and which pairs count here."""
    sides = list(zip(step, own.shape, strict=True))
    here = tuple(slice(max(-s, 0), n - max(s, 0)) for s, n in sides)
    there = tuple(slice(max(s, 0), n - max(-s, 0)) for s, n in sides)
    return here, there, block.inside[here] & block.inside[there] & own[here]


def squares(block: Block, here: Any, there: Any, pairs: Bools, half_range: float) -> NDArray[np.float64]:
    """Return the squared differences of the grey levels of pairs, in squared ranges, summed over channels."""
    total = np.zeros(int(pairs.sum()))
    if half_range:
        for level in block.levels:
            total += np.square((level[here][pairs] / 2 - level[there][pairs] / 2) / half_range)
    return total


def costs_at(found: Found, block: Block, where: Bools) -> Ints:
    """Return what each label costs at voxels, of shape (n_labels, voxels)."""
    assert found.bins is not None
    bins = found.bins.of([level[where] for level in block.levels])
    first, *others = (costs[:, at] for costs, at in zip(found.costs, bins, strict=True))
    return sum(others, first)


# Grey levels and strokes -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Extents:
    """What a block tells of the range of its grey levels.

    Parameters
    ----------
    n : int
        Voxels inside.
    painted : bool
        Whether anything is painted, inside or not.
    labels : int64 array
        Of strokes inside.
    all_over, under : float64 arrays of shape (channels, 2)
        The smallest and the largest grey level inside, and under strokes; infinite where there is none.
    """

    n: int
    painted: bool
    labels: Ints
    all_over: NDArray[np.float64]
    under: NDArray[np.float64]


def _extents_in(tile: Tile, _found: Found, image: Array, markers: Array, *blocks: Array | None) -> Extents:
    painted = to_numpy(markers[tile.own])
    check_marker_values((int(painted.min()), int(painted.max())))
    block = block_of(image[tile.own], painted, *(None if b is None else b[tile.own] for b in blocks))
    marked = block.markers > 0
    return Extents(
        int(block.inside.sum()),
        bool(painted.any()),
        np.unique(block.markers[marked]),
        _ends(block.levels, block.inside),
        _ends(block.levels, marked),
    )


def _ends(levels: Sequence[NDArray[np.float64]], where: Bools) -> NDArray[np.float64]:
    return np.array([[v[where].min(initial=np.inf), v[where].max(initial=-np.inf)] for v in levels])


def _binned(found: Found, seen: dict[int, Extents]) -> Found:
    labels = np.unique(np.concatenate([e.labels for e in seen.values()]))
    if not any(e.n for e in seen.values()):
        raise ValueError("no finite voxel to count inside mask or regions; check the image, or widen the mask")
    if len(labels) < 2:
        raise _too_few(labels, any(e.painted for e in seen.values()))
    (low, high), (dark, bright) = (_joined([getattr(e, name) for e in seen.values()]) for name in ("all_over", "under"))
    half_range = float((high / 2 - low / 2).max())
    return replace(found, labels=labels, bins=bins_for(dark.tolist(), bright.tolist()), half_range=half_range)


def _joined(ends: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    stacked = np.stack(ends)
    return stacked[..., 0].min(axis=0), stacked[..., 1].max(axis=0)


def _too_few(labels: Ints, painted: bool) -> ValueError:
    """Return the error that says why there are not two labels to choose from."""
    if len(labels):
        return ValueError(
            f"markers have one label only inside, {labels[0]}, and a cut needs two at least; paint another label on "
            "what is around the objects, and name it as background"
        )
    if painted:
        return ValueError(
            "markers lie outside mask or regions, or where image is not finite, with every voxel; paint inside, or "
            "widen the mask"
        )
    return ValueError(
        "markers have no painted voxel, all are 0; paint at least two labels, on objects and on what is around them"
    )


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """How common each grey level is under the strokes, and how much neighbours differ.

    Parameters
    ----------
    histograms : list of int64 arrays of shape (n_labels, bins)
        Voxels under the strokes of each label.
    n_pairs, high, low : int
        Neighbours, and the sum of their squared differences in two parts.
    """

    histograms: list[Ints]
    n_pairs: int = 0
    high: int = 0
    low: int = 0


def _counts_in(tile: Tile, found: Found, *blocks: Array | None) -> Counts:
    block, own = block_of(*blocks), tile.owned()
    assert found.labels is not None
    assert found.bins is not None
    marked = own & (block.markers > 0)
    number = np.searchsorted(found.labels, block.markers[marked])
    histograms = []
    of_marked = found.bins.of([level[marked] for level in block.levels])
    for bins, shape in zip(of_marked, found.bins.shapes, strict=True):
        size = math.prod(shape)
        flat = np.bincount(number * size + bins, minlength=len(found.labels) * size)
        histograms.append(flat.reshape(len(found.labels), size))
    if found.settings.contrast is not None:
        return Counts(histograms)
    n_pairs = high = low = 0
    for step in found.settings.steps:
        here, there, pairs = pairs_across(step, block, own)
        parts = np.rint(squares(block, here, there, pairs, found.half_range) * SQUARES).astype(np.int64)
        n_pairs, high, low = n_pairs + len(parts), high + int((parts >> HALF).sum()), low + int(_rest(parts).sum())
    return Counts(histograms, n_pairs, high, low)


def _rest(parts: Ints) -> Ints:
    return parts & ((1 << HALF) - 1)


def _modelled(found: Found, seen: dict[int, Counts]) -> Found:
    assert found.bins is not None
    counts = list(seen.values())
    histograms = [np.sum(same, axis=0) for same in zip(*(c.histograms for c in counts), strict=True)]
    costs = tuple(costs_of(h, shape) for h, shape in zip(histograms, found.bins.shapes, strict=True))
    extent = 2 * found.half_range
    if found.settings.contrast is not None:
        spread = min(found.settings.contrast / extent, 1e150) ** 2 if extent else 0.0  # its square is finite
    else:
        n_pairs = sum(c.n_pairs for c in counts)
        total = sum((c.high << HALF) + c.low for c in counts)
        spread = total / (SQUARES * n_pairs) if n_pairs else 0.0
        note(contrast=math.sqrt(spread) * extent)
    return replace(found, costs=costs, spread=spread)


MODELS = (
    Exchange(_extents_in, _binned, "measuring grey levels"),
    Exchange(_counts_in, _modelled, "learning colours from the strokes"),
)
