"""Graph-based segmentation of an image in host memory: merging in the order of all edges, without holding them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._array import Array
from .._monitor import note, stage, tick
from ._edges import HEAVIEST, OUTSIDE, Lattice, Window, counted, equal_edges, gathered, parts_of, run, steps_between
from ._merging import forest_of, merge, merge_small, number, settle, settle_large

__all__ = ["MAX_VOXELS", "lattice_of", "segmented"]

MAX_VOXELS = 2**31 - 2
"""Voxels of the largest image that is segmented as one: labels are int32."""

GROUP = 1.0
"""Edges of a group, as a share of the number of voxels."""

LEAST = 1 << 20
"""Edges that a group may have whatever the number of voxels."""

EDGE = 12.0
"""Bytes of an edge."""

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

    @property
    def alone(self) -> bool:
        """Whether it is enough that one end of an edge may grow."""
        return self.min_size > 0


class Components(NamedTuple):
    """Components of voxels, and along which edges they may still be merged.

    Parameters
    ----------
    lattice : Lattice, or that of a device
        What the edges are made of.
    labels : int32 array of shape (voxels,)
        Of every voxel a node of its component, or its complement where that is frozen; `OUTSIDE` outside.
    forest : int32 array of shape (voxels, 2)
        As in `_merging`.
    """

    lattice: Any
    labels: Ints
    forest: Ints


Ordered = Callable[[Components, Rule], Iterator[Ints]]
"""From components and a rule to the edges that matter in their order, a group at a time."""


def group_of(n_voxels: int) -> int:
    """Return how many edges of an image are held at a time."""
    return max(int(GROUP * n_voxels), LEAST)


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
    levels = np.require(levels, levels.dtype.newbyteorder("="), ("C", "A")).reshape(len(channels), -1).view()
    levels.flags.writeable = False  # as images are: loops are compiled for one layout
    steps, lengths = steps_between(first.ndim, connectivity, spacing)
    offsets = steps.astype(np.int64) @ np.array([shape[1] * shape[2], shape[2], 1], np.int64)
    return Lattice(levels, np.array(shape, np.int32), steps, lengths, offsets)


def segmented(lattice: Any, scale: float, min_size: int, ordered: Ordered | None = None) -> Ints:
    """Segment an image.

    Parameters
    ----------
    lattice : Lattice
        Its edges; those of another kind need `ordered`.
    scale : float
        The larger, the larger regions become.
    min_size : int
        Voxels below which a region joins a neighbour.
    ordered : callable, optional
        What yields edges in their order; by default `edges_in_order`.

    Returns
    -------
    int32 array of shape (voxels,)
        Regions from 1 by their first voxel in scan order; 0 outside.

    Raises
    ------
    ValueError
        If all voxels are outside.
    """
    components = begun(lattice, scale)
    if (components.labels == OUTSIDE).all():
        raise nothing_inside()
    merge_all(components, Rule(scale), ordered)
    if min_size > 1:
        merge_all(components, Rule(scale, min_size), ordered)
    stage("numbering regions")
    note(n_regions=number(components.labels, components.forest))
    return components.labels


def nothing_inside() -> ValueError:
    """Return the error of an image without a voxel to segment."""
    return ValueError("image is NaN or infinite, or lies outside mask, at every voxel; check it, or widen the mask")


def begun(lattice: Any, scale: float) -> Components:
    """Return every voxel as a component by itself."""
    labels = np.arange(lattice.n_voxels, dtype=np.int32)
    labels[lattice.outside] = OUTSIDE
    return Components(lattice, labels, forest_of(labels.size, scale))


def merge_all(components: Components, rule: Rule, ordered: Ordered | None = None) -> None:
    """Merge along all edges in their order, by changing `components`."""
    stage("joining small regions" if rule.min_size else "merging regions")
    for edges in (ordered or edges_in_order)(components, rule):
        if rule.min_size:
            merge_small(edges, components.forest, rule.min_size)
        else:
            merge(edges, components.forest, rule.scale)


def edges_in_order(components: Components, rule: Rule) -> Iterator[Ints]:
    """Yield the edges that matter in their order, a group at a time, while components are merged.

    Parameters
    ----------
    components : Components
        Labels are changed: they are pointed at the roots of the forest, and complements where frozen.
    rule : Rule
        By which components are merged between two groups, or left as they are.

    Yields
    ------
    int32 array of shape (n, 3)
        The bits of the weights, and roots of the components at both ends. It is overwritten by the next one.
    """
    lattice, labels = components.lattice, components.labels
    room = np.empty((group_of(lattice.n_voxels), 3), np.int32)
    low = done = 0
    if rule.min_size:
        settled(components, rule, low)
    while low <= HEAVIEST and (group := _next_group(components, rule, low, len(room))) is not None:
        window, counts = group
        n = int(counts.sum())
        if n <= len(room):
            yield gathered(lattice, labels, window, counts, rule.alone, room)
        else:  # all weigh the same, and come in scan order
            yield from equal_edges(lattice, labels, window, rule.alone, room)
        low, done = window.high, done + n
        tick(done, len(lattice.steps) * lattice.n_voxels)
        settled(components, rule, low)


def settled(components: Components, rule: Rule, low: int) -> None:
    """Point voxels at their roots, and freeze components that no edge with these bits, or more, can change."""
    labels, forest = components.labels, components.forest

    def work(part: slice) -> None:
        if rule.min_size:
            settle_large(labels, forest, rule.min_size, part.start, part.stop)
        else:
            settle(labels, forest, low, part.start, part.stop)

    run(work, parts_of(labels.size))


def _next_group(components: Components, rule: Rule, low: int, most: int) -> tuple[Window, Ints] | None:
    """Return the window of the next edges, and how many there are in each bin of each block; None if there are none.

    They are at most as many as there is room for, unless all of them weigh the same.
    """
    window, counts = _without_empty(*_counted(components, rule, Window(low, HEAVIEST + 1, COARSE)))
    if not counts.size:
        return None
    n = _fitting(counts, most)
    if n == 0:  # the first bin is too large
        one = Window(window.low, min(window.begin_of(1), window.high), 0)
        window, counts = _without_empty(*_counted(components, rule, one))
        n = max(_fitting(counts, most), 1)
    high = window.high if n == window.n_bins else window.begin_of(n)
    return window._replace(high=high), counts[:, :n]


def _counted(components: Components, rule: Rule, window: Window) -> tuple[Window, Ints]:
    return window, counted(components.lattice, components.labels, window, rule.alone)


def _without_empty(window: Window, counts: Ints) -> tuple[Window, Ints]:
    """Leave out the bins before the first edge; all of them where there is none."""
    used = np.flatnonzero(counts.any(axis=0))
    first = int(used[0]) if len(used) else counts.shape[1]
    return window._replace(low=window.begin_of(first)), counts[:, first:]


def _fitting(counts: Ints, most: int) -> int:
    """Return how many of the first bins hold together no more than `most` edges."""
    total = np.cumsum(counts.sum(axis=0, dtype=np.int64))
    return int(np.searchsorted(total, most, side="right"))
