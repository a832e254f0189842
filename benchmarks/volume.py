"""A volume of any size that is made box by box: touching blobs on an uneven background, with noise."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

BLOCK = 64
"""Boxes are made of blocks of this edge, each from a generator of its own."""

CELL = 32
"""Edge of the cell in which one blob lies; blobs of neighbouring cells often touch."""

CHUNK = 128


def _blobs(block: Sequence[int], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return centres, radii and heights of the blobs of a block."""
    rng = np.random.default_rng([seed, *(b + 1 for b in block)])
    n = (BLOCK // CELL) ** 3
    cells = np.stack(np.unravel_index(np.arange(n), (BLOCK // CELL,) * 3), axis=1)
    centres = BLOCK * np.asarray(block) + CELL * (cells + 0.5) + rng.uniform(-8, 8, (n, 3))
    return centres, rng.uniform(9, 18, n), rng.uniform(1500, 6000, n)


def block(index: Sequence[int], seed: int = 0) -> np.ndarray:
    """Return one block: uint16, of `BLOCK` voxels along each axis."""
    origin = BLOCK * np.asarray(index)
    out = np.zeros((BLOCK,) * 3, np.float32)
    for step in itertools.product((-1, 0, 1), repeat=3):
        for blob in zip(*_blobs([i + s for i, s in zip(index, step, strict=True)], seed), strict=True):
            _draw(out, origin, *blob)
    noise = np.random.default_rng([seed, 1 << 20, *index])
    out += 400 + 150 * noise.standard_normal(out.shape, np.float32)
    return np.clip(out, 0, 65535).astype(np.uint16)


def _draw(out: np.ndarray, origin: np.ndarray, centre: np.ndarray, radius: float, height: float) -> None:
    """Draw what of a blob lies in a block."""
    low = np.maximum(np.floor(centre - radius - origin).astype(int), 0)
    high = np.minimum(np.ceil(centre + radius - origin).astype(int) + 1, BLOCK)
    if (low >= high).any():
        return
    ends = zip(low, high, origin - centre, strict=True)
    axes = [np.arange(a, b, dtype=np.float32) + shift for a, b, shift in ends]
    far = sum(d * d for d in np.meshgrid(*axes, indexing="ij", sparse=True)) / radius**2
    where = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    np.maximum(out[where], height * np.clip(1.3 * (1 - far), 0, 1), out=out[where])


def box(shape: Sequence[int], origin: Sequence[int] = (0, 0, 0), seed: int = 0) -> np.ndarray:
    """Return a box of whole blocks."""
    out = np.empty(shape, np.uint16)
    for index in np.ndindex(*(n // BLOCK for n in shape)):
        where = tuple(slice(BLOCK * i, BLOCK * (i + 1)) for i in index)
        out[where] = block([i + o // BLOCK for i, o in zip(index, origin, strict=True)], seed)
    return out


def write(path: Path, side: int) -> None:
    """Write a Zarr array of this edge chunk by chunk, unless it is there."""
    import zarr

    done = path.with_suffix(".done")
    if done.exists():
        return
    array = zarr.create_array(
        str(path), shape=(side,) * 3, chunks=(CHUNK,) * 3, dtype="uint16", overwrite=True, dimension_names=list("zyx")
    )
    for index in np.ndindex(*(side // CHUNK,) * 3):
        where = tuple(slice(CHUNK * i, CHUNK * (i + 1)) for i in index)
        array[where] = box((CHUNK,) * 3, [CHUNK * i for i in index])
    done.touch()
