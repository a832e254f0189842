"""Which tiles a run takes: the largest ones that fit into memory, as many at a time as there are cores."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .._memory import Free, size
from ._limits import Limits
from ._tile_footprint import DEVICE_FIXED, TileNeed

__all__ = ["TINY", "Room", "asked_edges", "by", "faces", "fitted", "free_text", "spread", "unit_of"]

LARGEST = 1 << 26
"""Voxels of a tile at most: a run that is killed loses no more than the tiles at work."""

SMALLEST = 32
"""The edge below which a tile is not halved any more, unless the image or its target has smaller ones."""

TINY = 1 << 18
"""Voxels below which a tile is said to be tiny: reading its neighbours costs as much as its own voxels."""

ON_HOST = 24.0
"""Bytes of host memory per voxel of a tile that a GPU computes: what is read, and what comes back."""


def unit_of(shape: Sequence[int], block: Sequence[int] | None) -> tuple[int, ...]:
    """Return the smallest tile: a block of the target, or a small one."""
    given = (SMALLEST,) * len(shape) if block is None else tuple(block)[-len(shape) :]
    return tuple(max(min(int(b), n), 1) for b, n in zip(given, shape, strict=True))


def spread(shape: Sequence[int], tile: Sequence[int]) -> tuple[int, ...]:
    """Return edges along all axes: those of the last ones, or one for all of them; never beyond the image."""
    edges = tuple(tile) * len(shape) if len(tile) == 1 else (*shape[: len(shape) - len(tile)], *tile[-len(shape) :])
    return tuple(max(min(e, n), 1) for e, n in zip(edges, shape, strict=True))


def asked_edges(shape: Sequence[int], tile: Sequence[int], unit: Sequence[int]) -> tuple[int, ...]:
    """Return the edges that were asked for as multiples of the blocks; empty if none were."""
    if not tile:
        return ()
    along = zip(spread(shape, tile), unit, shape, strict=True)
    return tuple(min(max(-(-e // u), 1) * u, n) for e, u, n in along)


@dataclass(frozen=True, slots=True)
class Room:
    """What tiles at work must fit into."""

    limits: Limits
    steps: tuple[TileNeed, ...]
    device: int | None
    shape: tuple[int, ...]

    @property
    def most(self) -> int:
        """Tiles at work at most: a GPU takes one at a time."""
        return self.limits.cores if self.device is None else 1

    def driver_bytes(self, tile: Sequence[int]) -> int:
        """Return what the process holds that joins what tiles tell of their faces."""
        return int(max(need.per_face for need in self.steps) * faces(self.shape, tile))

    def host_bytes(self, tile: tuple[int, ...], workers: int) -> int:
        """Return the host memory at the peak; on a GPU a tile comes from there and goes back."""
        at_work = max(self._at_work(need, tile, workers) * self._on_host(need) for need in self.steps)
        return int(at_work) + self.driver_bytes(tile)

    def _at_work(self, need: TileNeed, tile: tuple[int, ...], workers: int) -> int:
        """Return the voxels of all tiles at work; of those that a method chooses there may be fewer."""
        n_own = -(-math.prod(self.shape) // need.own) if need.own else workers
        return min(workers, n_own) * need.voxels(self.shape, tile)

    def _on_host(self, need: TileNeed) -> float:
        return need.per_voxel if self.device is None else min(need.per_voxel, ON_HOST)

    def device_bytes(self, tile: tuple[int, ...], workers: int) -> int:
        """Return the GPU memory at the peak."""
        if self.device is None:
            return 0
        at_work = max(self._at_work(need, tile, workers) * need.on_device for need in self.steps)
        return DEVICE_FIXED + int(at_work)

    def fits(self, tile: tuple[int, ...], workers: int) -> bool:
        """Tell whether so many of these tiles can be at work."""
        on_host = self.host_bytes(tile, workers) <= self.limits.host.n_bytes
        return on_host and (self.device is None or self.device_bytes(tile, workers) <= self.device)


def faces(shape: Sequence[int], tile: Sequence[int]) -> int:
    """Return how many voxels all faces between tiles have, counted on one side."""
    return sum((-(-n // e) - 1) * math.prod(shape) // n for n, e in zip(shape, tile, strict=True))


def fitted(room: Room, unit: tuple[int, ...], asked: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """Return the largest tiles that fit, and how many at a time: rather fewer of them than tiny ones.

    Parameters
    ----------
    room : Room
        What they must fit into.
    unit : tuple of int
        What edges are multiples of.
    asked : tuple of int
        The edges that were asked for; empty to choose.

    Returns
    -------
    tile : tuple of int
        Edges.
    workers : int
        Tiles at work at a time.

    Raises
    ------
    MemoryError
        If not even one fits; the message says what the best of them needs.
    """
    best: tuple[tuple[int, ...], int] | None = None
    for workers in range(room.most, 0, -1):
        tiles = [asked] if asked else list(_tiles(room.shape, unit, workers))
        fitting = [tile for tile in tiles if room.fits(tile, workers)]
        if fitting and (best is None or math.prod(best[0]) < min(8 * TINY, math.prod(fitting[-1]))):
            best = fitting[-1], workers
    if best is None:
        raise MemoryError(_too_little(room, tiles))
    return best


def _tiles(shape: Sequence[int], unit: tuple[int, ...], workers: int) -> Iterator[tuple[int, ...]]:
    """Yield larger and larger tiles: blocks of which the shortest edge is doubled."""
    # Two for each worker at least, unless they would be small, so that none waits long for the last one.
    shares = max(8 * TINY, math.prod(shape) // (2 * workers))
    tile = unit
    while tile == unit or math.prod(tile) <= min(LARGEST, shares):
        yield tile
        short = [axis for axis, (e, n) in enumerate(zip(tile, shape, strict=True)) if e < n]
        if not short:
            return
        axis = min(short, key=tile.__getitem__)
        tile = (*tile[:axis], min(2 * tile[axis], shape[axis]), *tile[axis + 1 :])


def _too_little(room: Room, tiles: Sequence[tuple[int, ...]]) -> str:
    """Say what the tile needs that needs least."""
    if room.device is not None and all(room.device_bytes(tile, 1) > room.device for tile in tiles):
        tile = tiles[0]
        return (
            f"one tile of {by(tile)} voxels needs {size(room.device_bytes(tile, 1))} of GPU memory, and "
            f"{size(room.device)} are free; pass device='cpu', or end other programs that use the GPU"
        )
    tile = min(tiles, key=lambda t: room.host_bytes(t, 1))
    driver = room.driver_bytes(tile)
    joining = f", {size(driver)} of it to join what tiles tell" if driver else ""
    return (
        f"one tile of {by(tile)} voxels needs {size(room.host_bytes(tile, 1))}{joining}, and "
        f"{free_text(room.limits.host)}; pass more memory, or a target with chunks of another size"
    )


def by(edges: Sequence[int]) -> str:
    return "x".join(map(str, edges))


def free_text(host: Free) -> str:
    return f"{size(host.n_bytes)} may be taken, by {host.found_in}"
