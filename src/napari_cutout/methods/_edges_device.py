"""Edges between neighbouring voxels on a device: weighed, chosen and sorted there, and merged on the host.

The same edges in the same order as in `_edges`, from the operations of the array API, which round one by one. Voxels
are taken in scan order, some at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import array_api_compat as compat
import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, from_numpy, to_numpy
from .._monitor import tick
from ._edges import steps_between
from ._felzenszwalb import Components, Rule, settled

__all__ = ["DeviceLattice", "device_edges_in_order", "device_lattice_of"]

CHUNK = 1 << 22
"""Voxels whose edges are weighed at a time."""

GROUP = 1 << 25
"""About how many edges are sorted at a time, before those that do not matter are left out."""

SAMPLE = 1 << 12
"""Chunks of so many voxels, and as many edges for each step, are looked at to find where groups end."""

Ints = NDArray[np.int32]
Limits = list[np.float32]


class DeviceLattice(NamedTuple):
    """What the weights of edges are made of, as in `_edges.Lattice`.

    Parameters
    ----------
    channels : list of float arrays of shape (voxels,)
        Grey levels in scan order; NaN is outside.
    shape : tuple of int
        Planes, rows and columns.
    steps : list of tuple of int
        From a voxel to those of its neighbours that come after it, in scan order.
    lengths : list of float
        What the differences along each step are divided by.
    """

    channels: list[Array]
    shape: tuple[int, ...]
    steps: list[tuple[int, ...]]
    lengths: list[float]

    @property
    def n_voxels(self) -> int:
        """Number of voxels."""
        return int(self.channels[0].shape[0])

    @property
    def outside(self) -> NDArray[np.bool_]:
        """Which voxels are outside, on the host."""
        return to_numpy(array_namespace(*self.channels).isnan(self.channels[0]))


def device_lattice_of(channels: Sequence[Array], connectivity: int, spacing: Sequence[float] | None) -> DeviceLattice:
    """Return what the weights of the edges of an image are made of; see `_felzenszwalb.lattice_of`."""
    xp, first = array_namespace(*channels), channels[0]
    steps, lengths = steps_between(first.ndim, connectivity, spacing)
    return DeviceLattice(
        [xp.reshape(channel, (-1,)) for channel in channels],
        (1,) * (3 - first.ndim) + tuple(first.shape),
        [tuple(map(int, step)) for step in steps],
        [float(length) for length in lengths],
    )


def device_edges_in_order(components: Components, rule: Rule) -> Iterator[Ints]:
    """Yield the edges that matter in their order, a group at a time; see `_felzenszwalb.edges_in_order`."""
    lattice: DeviceLattice = components.lattice
    limits = _limits(lattice)
    for done, (low, high) in enumerate(itertools.pairwise(limits)):
        settled(components, rule, int(low.view(np.int32)))
        labels = from_numpy(components.labels, like=lattice.channels[0])
        found = (_chosen(lattice, labels, rule, chunk, low, high) for chunk in _chunks(lattice.n_voxels))
        if high == _next(low):  # equal ones are in order
            yield from (_on_host(*part) for part in found)
        else:
            yield _sorted_together(list(found))
        tick(done + 1, len(limits) - 1)


def _chunks(n: int) -> list[tuple[int, int]]:
    return [(first, min(first + CHUNK, n)) for first in range(0, n, CHUNK)]


def _next(weight: np.float32) -> np.float32:
    return np.float32(np.nextafter(weight, np.float32(np.inf)))


def _limits(lattice: DeviceLattice) -> Limits:
    """Return the weights at which groups begin, the last one beyond all: NaN, which nothing is below.

    A weight that many edges have becomes a group of its own.
    """
    xp = array_namespace(lattice.channels[0])
    n_groups = -(-lattice.n_voxels * len(lattice.steps) // GROUP)
    limits = {np.float32(0)}
    if n_groups > 1:
        stride = max(lattice.n_voxels // (16 * SAMPLE), 1) * SAMPLE
        starts = range(0, lattice.n_voxels, stride)
        parts = [_weights(lattice, i, min(i + SAMPLE, lattice.n_voxels)) for i in starts]
        seen = xp.concat([xp.reshape(part, (-1,)) for part in parts])
        seen = np.sort(to_numpy(seen[seen == seen]))
        at = seen[np.arange(1, n_groups) * len(seen) // n_groups] if len(seen) else seen
        limits.update(at)
        limits.update(_next(weight) for weight, after in itertools.pairwise(at) if weight == after)
    return [*sorted(limits), np.float32(np.nan)]


def _weights(lattice: DeviceLattice, first: int, last: int) -> Array:
    """Return the weights of the edges of some voxels, float32 of shape (voxels, steps); NaN where there is none."""
    xp, like = array_namespace(lattice.channels[0]), lattice.channels[0]
    _, ny, nx = lattice.shape
    here = xp.arange(first, last, dtype=xp.int64, device=compat.device(like))
    place = here // (ny * nx), here // nx % ny, here % nx
    found = []
    for step, length in zip(lattice.steps, lattice.lengths, strict=True):
        offset = (step[0] * ny + step[1]) * nx + step[2]
        inside = xp.ones(here.shape, dtype=xp.bool, device=compat.device(like))
        for at, way, n in zip(place, step, lattice.shape, strict=True):
            inside = inside & (at + way >= 0) & (at + way < n)
        weight = _lengths([_difference(channel, first, last, offset) for channel in lattice.channels], length)
        found.append(xp.where(inside, weight, xp.full_like(weight, xp.nan)))
    return xp.stack(found, axis=-1)


def _difference(channel: Array, first: int, last: int, offset: int) -> Array:
    xp = array_namespace(channel)
    return xp.astype(_shifted(channel, first, last, offset), xp.float64) - xp.astype(channel[first:last], xp.float64)


def _shifted(values: Array, first: int, last: int, offset: int) -> Array:
    """Return values so many voxels later; beyond the last one those of the last."""
    xp, n = array_namespace(values), values.shape[0]
    found = values[min(first + offset, n - 1) : min(last + offset, n)]
    missing = last - first - found.shape[0]
    return xp.concat([found, xp.broadcast_to(values[n - 1 :], (missing,))]) if missing else found


def _lengths(differences: list[Array], length: float) -> Array:
    """Return weights, by the operations of ``_edges.weigh``."""
    xp = array_namespace(*differences)
    with np.errstate(over="ignore", invalid="ignore"):
        if len(differences) == 1:
            return xp.astype(xp.abs(differences[0]) / length, xp.float32)
        squares = differences[0] * differences[0]
        for difference in differences[1:]:
            squares = squares + difference * difference
        return xp.astype(xp.sqrt(squares) / length, xp.float32)


def _chosen(
    lattice: DeviceLattice, labels: Array, rule: Rule, chunk: tuple[int, int], low: np.float32, high: np.float32
) -> tuple[Array, Array, Array]:
    """Return the weights of the edges that matter, and the labels at both ends, in scan order."""
    xp, (first, last) = array_namespace(labels), chunk
    weights = _weights(lattice, first, last)
    one = xp.broadcast_to(labels[first:last, None], weights.shape)
    offsets = [(dz * lattice.shape[1] + dy) * lattice.shape[2] + dx for dz, dy, dx in lattice.steps]
    two = xp.stack([_shifted(labels, first, last, offset) for offset in offsets], axis=-1)
    grows = (one & two) if rule.alone else (one | two)
    wanted = (one != two) & (grows >= 0) & (weights >= float(low))
    if not np.isnan(high):
        wanted = wanted & (weights < float(high))
    return weights[wanted], _decoded(one[wanted]), _decoded(two[wanted])


def _decoded(labels: Array) -> Array:
    xp = array_namespace(labels)
    return xp.where(labels < 0, xp.bitwise_invert(labels), labels)


def _sorted_together(parts: list[tuple[Array, Array, Array]]) -> Ints:
    """Return edges by rising weight; those of equal weight stay in scan order."""
    xp = array_namespace(parts[0][0])
    weights, one, two = (xp.concat(list(of)) for of in zip(*parts, strict=True))
    order = xp.argsort(weights, stable=True)
    return _on_host(*(xp.take(of, order) for of in (weights, one, two)))


def _on_host(weights: Array, one: Array, two: Array) -> Ints:
    """Return edges as the loops on the host take them."""
    return np.stack([to_numpy(weights).view(np.int32), to_numpy(one), to_numpy(two)], axis=1)
