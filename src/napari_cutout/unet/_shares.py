"""What a tile says of the cells that it reaches into, so that neighbours blend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._tiling import Tile, Tiling

__all__ = ["share", "shares_of"]


def shares_of(tile: Tile, probabilities: Any, tiling: Tiling) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Yield the cells of which a tile says something, and its share of what is said of them."""
    for cell in tiling.under(tile.index):
        yield cell.index, share(tile, probabilities, cell)


def share(tile: Tile, probabilities: Any, cell: Tile) -> Any:
    """Return what a tile says of a cell, times its weights; 0 where it says nothing."""
    region, weights, padding = [], [], []
    for part, owner in zip(tile.parts, cell.parts, strict=True):
        low, high = max(part.support[0], owner.cell[0]), min(part.support[1], owner.cell[1])
        region.append(slice(low - part.start, high - part.start))
        weights.append(part.weights[low - part.support[0] : high - part.support[0]])
        padding.append((low - owner.cell[0], owner.cell[1] - high))
    found = probabilities[(slice(None), *region)]
    for axis, w in enumerate(weights):
        if not (w == 1).all():
            found = found * _like(w.reshape(-1, *(1,) * (len(weights) - axis - 1)), found)
    return found if not any(map(any, padding)) else _padded(found, padding)


def _like(weights: NDArray[np.float32], found: Any) -> Any:
    """Return weights where what they are multiplied with lives."""
    return weights if isinstance(found, np.ndarray) else found.new_tensor(weights)


def _padded(found: Any, padding: Sequence[tuple[int, int]]) -> Any:
    """Return an array with zeros around it."""
    shape = [n + a + b for n, (a, b) in zip(found.shape[1:], padding, strict=True)]
    inner = (slice(None), *(slice(a, a + n) for n, (a, _) in zip(found.shape[1:], padding, strict=True)))
    wide = (
        np.zeros((found.shape[0], *shape), found.dtype)
        if isinstance(found, np.ndarray)
        else found.new_zeros((found.shape[0], *shape))
    )
    wide[inner] = found
    return wide
