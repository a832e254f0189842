"""Scenes that are made up, for the pictures of when a method does well and when it fails."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

Array = np.ndarray

SHAPE = (120, 150)

PLACES = ((22, 24), (24, 68), (20, 118), (58, 40), (60, 90), (62, 130), (98, 22), (96, 66), (98, 112))
"""Middles that lie apart."""


def discs(places: tuple[tuple[int, int], ...] = PLACES, radius: float = 11.0, shape: tuple[int, int] = SHAPE) -> Array:
    """Return round objects, numbered; where they overlap the nearer middle has the voxel."""
    y, x = np.indices(shape)
    far = np.stack([np.hypot(y - cy, x - cx) for cy, cx in places])
    return np.where(far.min(axis=0) <= radius, far.argmin(axis=0) + 1, 0).astype(np.int32)


def noisy(clean: Array, spread: float, seed: int = 0) -> Array:
    """Return 8-bit grey levels with noise of a standard deviation."""
    noise = np.random.default_rng(seed).normal(0, spread, clean.shape)
    return np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)


def slope(low: float, high: float, shape: tuple[int, int] = SHAPE) -> Array:
    """Return light that grows from left to right."""
    return np.broadcast_to(np.linspace(low, high, shape[1]), shape)


def soft(labels: Array, height: float, sigma: float = 1.5) -> Array:
    """Return objects of one height with the edges that a microscope gives."""
    return ndimage.gaussian_filter((labels > 0) * float(height), sigma)


def cells(n: int = 18, seed: int = 4, shape: tuple[int, int] = SHAPE) -> Array:
    """Return a tissue of cells that fill the plane, numbered."""
    random = np.random.default_rng(seed)
    places = random.random((n, 2)) * shape
    for _ in range(12):  # Lloyd's steps make them of one size
        labels = nearest(places, shape)
        places = np.array(ndimage.center_of_mass(np.ones(shape), labels, range(1, n + 1)))
    return nearest(places, shape)


def nearest(places: Array, shape: tuple[int, int]) -> Array:
    """Return for every voxel the number of the nearest place."""
    y, x = np.indices(shape)
    return np.argmin([(y - cy) ** 2 + (x - cx) ** 2 for cy, cx in places], axis=0).astype(np.int32) + 1


def borders(labels: Array, width: int = 1) -> Array:
    """Return where a voxel has a neighbour with another label."""
    size = 2 * width + 1
    return ndimage.maximum_filter(labels, size) != ndimage.minimum_filter(labels, size)


def membranes(labels: Array, dark: float = 60.0, bright: float = 190.0) -> Array:
    """Return cells that are dark between bright borders."""
    return ndimage.gaussian_filter(np.where(borders(labels), bright, dark), 0.8)


def strokes(labels: Array, every: int = 1, reach: int = 3) -> Array:
    """Return a short stroke in the middle of each label, or of every second."""
    marked = np.zeros(labels.shape, np.int32)
    for number in range(1, labels.max() + 1, every):
        y, x = (round(c) for c in ndimage.center_of_mass(labels == number))
        marked[max(y - 1, 0) : y + 2, max(x - reach, 0) : x + reach + 1] = number
    return marked


def stripes(period: float, angle: float, shape: tuple[int, int] = SHAPE) -> Array:
    """Return waves between 0 and 1."""
    y, x = np.indices(shape)
    turn = np.deg2rad(angle)
    return 0.5 + 0.5 * np.sin(2 * np.pi * (x * np.cos(turn) + y * np.sin(turn)) / period)


def ellipse(
    middle: tuple[float, float], long: float, short: float, angle: float, shape: tuple[int, int] = SHAPE
) -> Array:
    """Return where an ellipse is."""
    y, x = np.indices(shape)
    turn = np.deg2rad(angle)
    dy, dx = y - middle[0], x - middle[1]
    along, across = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
    return (along / long) ** 2 + (across / short) ** 2 <= 1
