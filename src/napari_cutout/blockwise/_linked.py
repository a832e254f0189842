"""Objects of the slices of a dask array linked by overlap: tiles count, one decision, tiles number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .. import _device
from .._array import Array, array_namespace
from .._monitor import note, resumed, ticket
from .._plan import Slices
from ..processing._links import Counts, Links, Rule, counts_of_frames, gathered, link, relabelled, total_of
from ._made import Source, lazy
from ._sweeps import current, regions_of
from ._tiled import Tiled, settled

__all__ = ["lazy_linked"]


def lazy_linked(labels: Array, rule: Rule) -> Array:
    """Link the objects of the slices of a dask array as if it were one array.

    Parameters
    ----------
    labels : dask array of shape ([T or Z,] Y, X)
        Objects by number; 0 is background.
    rule : Rule
        When two are one.

    Returns
    -------
    dask array of int32
        Same chunks.

    Notes
    -----
    Every tile reads as many slices before its own as may be linked to. The driver holds 80 bytes for every object of a
    slice in every tile.
    """
    return _in_a_graph(labels, rule) if current() is None else _in_sweeps(labels, rule)


def _around(region: Slices, rule: Rule) -> Slices:
    """Return what is read to link the slices of a region to those before them."""
    if len(region) == 2:
        return region
    return (slice(max(region[0].start - rule.max_gap - 1, 0), region[0].stop), *region[1:])


def _framed(block: Array) -> Array:
    """Return a block with an axis of frames, which one frame lacks."""
    return block if block.ndim == 3 else block[None, ...]


def _counts(block: Array, region: Slices, rule: Rule, shape: Sequence[int]) -> Counts:
    """Count the objects of a region, of a block that holds the slices before it as well."""
    block, region, shape = _framed(block), region if len(region) == 3 else (slice(0, 1), *region), shape[-2:]
    origin = (region[0].stop - block.shape[0], *(s.start for s in region[1:]))
    first = region[0].start - origin[0]
    return counts_of_frames(block, rule, first=first, origin=origin, shape=shape)


def _numbered(block: Array, links: Links, start: int) -> Array:
    """Give the objects of a block, whose first slice is `start`, their numbers."""
    frames = _framed(block)
    slices = [relabelled(frames[i, ...], *links.table(start + i)) for i in range(frames.shape[0])]
    return array_namespace(block).stack(slices) if block.ndim == 3 else slices[0]


def _start(region: Slices) -> int:
    return region[0].start if len(region) == 3 else 0


# As a graph --------------------------------------------------------------------------------------------


def _in_a_graph(labels: Array, rule: Rule) -> Array:
    import dask
    import dask.array as da

    regions = regions_of(labels.chunks)
    shape = tuple(map(int, labels.shape))
    count = dask.delayed(_counts, pure=False)
    told: list[Any] = [count(labels[_around(region, rule)], region, rule, shape) for region in regions]
    while len(told) > 1:  # a tree, so that no task waits for all tiles
        told = [dask.delayed(Counts.summed, pure=False)(told[i : i + 8]) for i in range(0, len(told), 8)]
    links = dask.delayed(_decided, pure=False)(told[0], rule, ticket())
    parts = np.empty(len(regions), object)
    for i, (region, block) in enumerate(zip(regions, labels.to_delayed().ravel(), strict=True)):
        part = dask.delayed(_numbered, pure=False)(block, links, _start(region))
        shape_of_part = tuple(s.stop - s.start for s in region)
        parts[i] = da.from_delayed(part, shape_of_part, meta=np.empty((0,) * labels.ndim, np.int32))
    return da.block(parts.reshape(labels.numblocks).tolist())


def _decided(counts: Counts, rule: Rule, watcher: int | None = None) -> Links:
    with resumed(watcher):
        links = link(counts, rule)
        note(**links.facts)
    return links


# In sweeps ---------------------------------------------------------------------------------------------


def _in_sweeps(labels: Array, rule: Rule) -> Array:
    sweeper, chunks = current(), labels.chunks
    assert sweeper is not None
    source = settled([labels])[0]
    assert source is not None
    regions = regions_of(chunks)
    work = _Counting(source, regions, rule)
    links = link(total_of(sweeper.reduce("linking objects", work, len(regions), gathered)), rule)
    note(**links.facts)
    numbering = _Numbering(source, regions, links, sweeper.device)
    return lazy(Tiled(numbering, chunks, "int32", "numbering objects", n_labels=len(links.begin)), chunks)


@dataclass(frozen=True, slots=True, eq=False)
class _Counting:
    """Counts the objects of a tile."""

    source: Source
    regions: Sequence[Slices]
    rule: Rule

    def __call__(self, number: int) -> Counts:
        region = self.regions[number]
        return _counts(self.source.read(_around(region, self.rule)), region, self.rule, self.source.shape)


@dataclass(frozen=True, slots=True, eq=False)
class _Numbering:
    """Numbers the objects of a tile."""

    source: Source
    regions: Sequence[Slices]
    links: Links
    device: Literal["cpu", "gpu"]

    def __call__(self, number: int) -> Array:
        region = self.regions[number]
        return _device.place(_numbered(self.source.read(region), self.links, _start(region)), self.device)
