"""A simulated stack of electron micrographs: cells, the thin dark membranes between them, and dark bodies inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["tissue"]

_Array = np.ndarray[Any, Any]

CELL, MEMBRANE, BODY = 160.0, 92.0, 88.0
"""Grey levels before noise; those of bodies are as dark as membranes, so that no threshold tells them apart."""

NOISE = 17.0

THICKNESS = 3.6
"""Of a membrane, in pixels."""

AREA = 750.0
"""Pixels of a cell, on average."""

STEP = 1.5
"""How far the middle of a cell moves from one section to the next, in pixels."""

MARGIN = 40
"""So far beyond the image there are cells, in pixels."""


def tissue(seed: int, shape: Sequence[int]) -> tuple[_Array, _Array]:
    """Return the grey levels of a stack, and where its membranes are.

    Parameters
    ----------
    seed : int
        The same seed gives the same stack.
    shape : sequence of int
        Sections, rows and columns.

    Returns
    -------
    image : uint8 array
        Grey levels.
    membranes : bool array
        The truth.
    """
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    places = _bent(rng, shape)
    far = _far(rng, places)
    bodies = _bodies(rng, places) & (far > THICKNESS / 2 + 2)
    folds = 22 * _waves(rng, shape, 1.2)
    clean = CELL + 14 * _waves(rng, shape, 10)
    clean = np.where(bodies, BODY + folds, clean)
    membranes = far < THICKNESS / 2
    clean = np.where(membranes, MEMBRANE, clean) * (1 + 0.07 * _waves(rng, shape, 30))
    clean += rng.normal(0, 5, (shape[0], 1, 1))  # no two sections are equally thick
    seen = ndimage.gaussian_filter(clean, (0, 1, 1))
    grain = ndimage.gaussian_filter(rng.normal(0, 1, shape), (0, 0.6, 0.6))
    noisy = seen + NOISE * grain / grain.std()
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8), membranes


def _waves(rng: np.random.Generator, shape: Sequence[int], scale: float) -> _Array:
    """Return smooth noise with a standard deviation of 1."""
    from scipy import ndimage

    noise = ndimage.gaussian_filter(rng.normal(0, 1, shape), (scale / 8, scale, scale), mode="wrap")
    return np.asarray(noise / noise.std())


def _bent(rng: np.random.Generator, shape: Sequence[int]) -> _Array:
    """Return rows and columns of all voxels, moved so that straight walls become bent ones."""
    places = np.stack(np.meshgrid(*(np.arange(n, dtype=float) for n in shape), indexing="ij")[1:], axis=-1)
    for axis in (0, 1):
        places[..., axis] += 3.5 * _waves(rng, shape, 8)
    return places


def _far(rng: np.random.Generator, places: _Array) -> _Array:
    """Return how far each voxel is from the border between its cell and the next."""
    from scipy.spatial import cKDTree

    edge = AREA**0.5
    axes = [np.arange(-MARGIN, n + MARGIN, edge) for n in places.shape[1:3]]
    middles = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    middles += rng.uniform(-0.5 * edge, 0.5 * edge, middles.shape)
    found = np.empty(places.shape[:3])
    for plane, out in zip(places, found, strict=True):
        distances, which = cKDTree(middles).query(plane, k=4)
        between = np.linalg.norm(middles[which[..., 1:]] - middles[which[..., :1]], axis=-1)
        # A border is where two middles are equally far; the square of the distance is linear across it.
        out[...] = ((distances[..., 1:] ** 2 - distances[..., :1] ** 2) / (2 * between)).min(-1)
        middles = middles + rng.normal(0, STEP, middles.shape)
    return found


def _bodies(rng: np.random.Generator, places: _Array) -> _Array:
    """Return where dark bodies are, such as mitochondria: bent ellipses that go through a few sections."""
    n_planes, *extent = places.shape[:3]
    found = np.zeros(places.shape[:3], bool)
    for _ in range(max(round(found.size / 1300), 1)):
        middle, turn = rng.uniform(0, extent), rng.uniform(0, np.pi)
        long, wide, plane = rng.uniform(7, 13), rng.uniform(4, 6.5), rng.uniform(0, n_planes)
        low = np.maximum(np.array([plane - 2, *(middle - 24)]), 0).astype(int)
        high = np.array([plane + 3, *(middle + 24)]).astype(int)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        y, x = np.moveaxis(places[box] - middle, -1, 0)
        z = (np.arange(n_planes)[box[0]] - plane)[:, None, None]
        along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        found[box] |= (along / long) ** 2 + (across / wide) ** 2 + (z / 2) ** 2 < 1
    return found
