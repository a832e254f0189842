"""Graph-based segmentation of an image in host memory: merging in the order of all edges, without holding them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._array import Array
from .._monitor import stage, tick
from ._edges import HEAVIEST, OUTSIDE, Lattice, Window, counted, gathered, run, slices, steps_between
from ._merging import forest_of, merge, merge_equal, merge_small, number, settle, settle_large

__all__ = ["MAX_VOXELS", "lattice_of", "segmented"]

MAX_VOXELS = 2**31 - 2
"""Voxels of the largest image that is segmented as one: labels are int32."""

GROUP = 1.0
"""Edges of a group, as a share of the number of voxels."""

LEAST = 1 << 19
"""Edges that a group may have whatever the number of voxels."""

COARSE = 16
"""Last bits of a weight that are left out when edges are counted first: bins are 1/128 of their weight wide."""

Ints = NDArray[np.int32]


class Rule(NamedTuple):
    """What decides whether two components are merged.

    Parameters
    ----------
    scale : float
        Divided by the size of a component, it is how much more than its internal difference an edge may weigh.
    min_size : int
        0, or else components with fewer voxels are merged along any edge, and larger ones are not.
    """

    scale: float
    min_size: int = 0


@dataclass(frozen=True, slots=True)
class Components:
    """Components of voxels, and along which edges they may still be merged.

    Parameters
    ----------
    lattice : Lattice
        What the edges are made of.
    labels : int32 array of shape (nz, ny, nx)
        Of every voxel a node of its component, or its complement where that is frozen; `OUTSIDE` outside.
    forest : int32 array of shape (voxels, 2)
        As in `_merging`.
    """

    lattice: Lattice
    labels: Ints
    forest: Ints

    @property
    def internal(self) -> NDArray[np.float32]:
        """The second field of the forest as what it is."""
        return self.forest.view(np.float32)


def lattice_of(channels: Sequence[Array], connectivity: int, spacing: Sequence[float] | None) -> Lattice:
    """Return what the weights of the edges of an image are made of.

    Parameters
    ----------
    channels : sequence of float arrays of shape ([Z,] Y, X)
        NaN in the first one is outside.
    connectivity : int
        How many axes a step may cross.
    spacing : sequence of float or None
        World length of a voxel along each axis.
    """
    first = channels[0]
    shape = (1,) * (3 - first.ndim) + first.shape
    levels = first[None] if len(channels) == 1 else np.stack(list(channels))
    levels = np.require(levels, levels.dtype.newbyteorder("="), ("C", "A")).reshape(len(channels), *shape).view()
    levels.flags.writeable = False  # as images are: loops are compiled for one layout
    return Lattice(levels, *steps_between(first.ndim, connectivity, spacing))


def segmented(lattice: Lattice, scale: float, min_size: int) -> Ints:
    """Segment an image.

    Parameters
    ----------
    lattice : Lattice
        Its edges.
    scale : float
        The larger, the larger regions become.
    min_size : int
        Voxels below which a region joins a neighbour.

    Returns
    -------
    int32 array of shape (nz, ny, nx)
        Regions from 1 by their first voxel in scan order; 0 outside.
    """
    components = begun(lattice)
    merge_all(components, Rule(scale))
    if min_size > 1:
        merge_all(components, Rule(scale, min_size))
    stage("numbering regions")
    number(components.labels.reshape(-1), components.forest)
    return components.labels


def begun(lattice: Lattice) -> Components:
    """Return every voxel as a component by itself."""
    shape = lattice.levels.shape[1:]
    labels = np.arange(np.prod(shape, dtype=np.int64), dtype=np.int32).reshape(shape)
    labels[np.isnan(lattice.levels[0])] = OUTSIDE
    return Components(lattice, labels, forest_of(labels.size))


def merge_all(components: Components, rule: Rule) -> None:
    """Merge along all edges in their order, a group at a time."""
    stage("joining small regions" if rule.min_size else "merging regions")
    alone = rule.min_size > 0
    if alone:
        settled(components, rule, 0)
    lattice, labels, forest, internal = components.lattice, components.labels, components.forest, components.internal
    most = max(int(GROUP * labels.size), LEAST)
    low, done = 0, 0
    while True:
        window, counts = _next_group(lattice, labels, low, alone, most)
        total = int(counts.sum())
        if total == 0:
            return
        if window.high - window.low == 1 and total > most:
            merge_equal(*lattice, window.low, labels, forest, internal, rule.scale, rule.min_size)
        else:
            edges = gathered(lattice, labels, window, counts, alone)
            _merge(edges, components, rule)
        low = window.high
        done += total
        tick(done, len(lattice.steps) * labels.size)
        settled(components, rule, low)


def _merge(edges: Ints, components: Components, rule: Rule) -> None:
    weights = edges.view(np.float32)
    if rule.min_size:
        merge_small(edges, weights, components.forest, components.internal, rule.min_size)
    else:
        merge(edges, weights, components.forest, components.internal, rule.scale)


def settled(components: Components, rule: Rule, low: int) -> None:
    """Point voxels at their roots, and freeze those that no edge with these bits, or more, can change."""
    labels, forest, internal = components.labels.reshape(-1), components.forest, components.internal
    weight = float(np.int32(low).view(np.float32))

    def work(part: slice) -> None:
        if rule.min_size:
            settle_large(labels, forest, rule.min_size, part.start, part.stop)
        else:
            settle(labels, forest, internal, weight, rule.scale, part.start, part.stop)

    run(work, slices(labels.size, min(8, -(-labels.size // (1 << 16)))))


def _next_group(lattice: Lattice, labels: Ints, low: int, alone: bool, most: int) -> tuple[Window, Ints]:
    """Return the window of the next edges, of which there are at most `most` unless they weigh the same, and counts."""
    window = Window(low, HEAVIEST + 1, COARSE)
    counts = counted(lattice, labels, window, alone)
    n = _fitting(counts, most)
    if n == 0:  # one bin is too large
        first = int(np.flatnonzero(counts.any(axis=0))[0])
        window = Window(window.begin_of(first), min(window.begin_of(first + 1), window.high), 0)
        counts = counted(lattice, labels, window, alone)
        n = _fitting(counts, most)
        if n == 0:
            n = 1 + int(np.flatnonzero(counts.any(axis=0))[0])
            window = window._replace(low=window.low + n - 1)
            counts, n = counts[:, n - 1 :], 1
    high = min(window.begin_of(n), window.high)
    return window._replace(high=high), counts[:, :n]


def _fitting(counts: Ints, most: int) -> int:
    """Return how many of the first bins hold no more than `most` edges; 0 if none of them is filled."""
    total = np.cumsum(counts.sum(axis=0, dtype=np.int64))
    n = int(np.searchsorted(total, most, side="right"))
    return n if n and (total[n - 1] or total[-1] == 0) else 0
