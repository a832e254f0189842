"""SLIC superpixels as `superpixels` defines them, in plain NumPy and float64: slow, and without its code."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from scipy import ndimage


def cells_along(sizes: np.ndarray, edges: np.ndarray, wanted: float) -> list[int]:
    """Return how many cells divide a box along each axis."""
    lengths = np.multiply(sizes, edges)
    divided = np.ones(len(sizes), bool)
    while divided.any():
        step = (np.prod(lengths[divided]) / wanted) ** (1 / divided.sum())
        if (lengths[divided] > step).all():
            break
        divided &= lengths > step
    choices: list[list[int]] = []
    for size, length, is_divided in zip(sizes, lengths, divided, strict=True):
        both = (math.floor(length / step), math.ceil(length / step)) if is_divided else (1, 1)
        choices.append(sorted({min(max(n, 1), size) for n in both}))
    return list(min(itertools.product(*choices), key=lambda c: max(math.prod(c) / wanted, wanted / math.prod(c))))


def superpixels(
    channels: np.ndarray,
    mask: np.ndarray | None = None,
    *,
    n_superpixels: int,
    compactness: float = 1.0,
    max_iterations: int = 10,
    min_size: float = 0.5,
    spacing: Sequence[float] | None = None,
) -> np.ndarray:
    """Return the superpixels of channels of shape (n_channels, *shape)."""
    inside = np.isfinite(channels).all(axis=0)
    inside &= True if mask is None else mask
    edges = np.ones(inside.ndim) if spacing is None else np.asarray(spacing) / min(spacing)
    values = standardised(channels.astype(np.float64), inside)
    at = np.argwhere(inside)
    colours = values[:, inside].T
    low, sizes = at.min(axis=0), np.ptp(at, axis=0) + 1
    counts = grid_inside(at - low, sizes, edges, n_superpixels)
    lengths = sizes * edges / counts
    divided = lengths[np.asarray(counts) > 1]
    step = np.prod(divided) ** (1 / len(divided)) if len(divided) else max(sizes * edges)
    cell = np.ravel_multi_index(tuple(((at - low) * counts // sizes).T), counts)
    home = np.unique(cell, return_inverse=True)[1]
    of = home
    for _ in range(max_iterations - 1):
        middles = [(at[of == k].mean(axis=0), colours[of == k].mean(axis=0)) for k in range(home.max() + 1)]
        of = nearest(at, colours, middles, home, 2 * sizes / counts, edges * compactness / step)
    labels = np.full(inside.shape, -1)
    labels[inside] = of
    return connected(labels, min_size * len(at) / (home.max() + 1))


def standardised(channels: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return channels whose squared differences add up to their mean over channels that vary."""
    found = np.zeros_like(channels)
    deviations = [channel[inside].std() for channel in channels]
    n_varied = max(sum(d > 0 for d in deviations), 1)
    for new, channel, deviation in zip(found, channels, deviations, strict=True):
        new[inside] = (channel[inside] - channel[inside].mean()) / (deviation or np.inf) / np.sqrt(n_varied)
    return found


def grid_inside(at: np.ndarray, sizes: np.ndarray, edges: np.ndarray, wanted: int) -> list[int]:
    """Return the grid that has most nearly as many cells with a voxel inside as wanted, of four at most."""
    aim = wanted * math.prod(sizes) / len(at)
    tried: list[tuple[list[int], int]] = []
    for _ in range(4):
        counts = cells_along(sizes, edges, aim)
        if counts in [c for c, _ in tried]:
            break
        n = len(np.unique(at * counts // sizes, axis=0))
        tried.append((counts, n))
        if n == math.prod(counts) or max(n / wanted, wanted / n) <= 1.02:
            break
        aim = max(math.prod(counts) * wanted / n, 1.0)
    return min(tried, key=lambda t: max(t[1] / wanted, wanted / t[1]))[0]


def nearest(
    at: np.ndarray, colours: np.ndarray, middles: list[tuple[np.ndarray, np.ndarray]], home: np.ndarray,
    reach: np.ndarray, scales: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Return the nearest middle of every voxel, among those whose windows hold it and that of its own cell."""
    best, of = np.full(len(at), np.inf), home.copy()
    for k, (place, colour) in enumerate(middles):
        distance = (((at - place) * scales) ** 2).sum(axis=1) + ((colours - colour) ** 2).sum(axis=1)
        distance[~((np.abs(at - place) <= reach).all(axis=1) | (home == k))] = np.inf
        closer = distance < best
        best[closer], of[closer] = distance[closer], k
    return of


def connected(labels: np.ndarray, least: float) -> np.ndarray:
    """Return the parts of labels, those that are too small joined to others; -1 is outside and becomes 0."""
    parts = np.zeros(labels.shape, int)
    for value in np.unique(labels[labels >= 0]):
        found, n = ndimage.label(labels == value)
        parts += np.where(found > 0, found + parts.max(), 0) if n else 0
    parts = by_first(parts)
    faces = faces_of(parts)
    sizes = np.bincount(parts.ravel())
    region = {p: p for p in faces}  # every part's region is called by its first part
    changed = True
    while changed:
        changed = False
        for part in faces:
            own = region[part]
            if sum(sizes[p] for p in faces if region[p] == own) >= least:
                continue
            shared: dict[int, int] = {}
            for other, n in faces[part].items():
                if region[other] != own:
                    shared[region[other]] = shared.get(region[other], 0) + n
            if shared:
                other = min(shared, key=lambda r: (-shared[r], r))
                region = {p: min(own, other) if r in (own, other) else r for p, r in region.items()}
                changed = True
    return by_first(np.array([0, *(region[p] for p in faces)])[parts])


def faces_of(parts: np.ndarray) -> dict[int, dict[int, int]]:
    """Return how many faces every part shares with its neighbours."""
    faces: dict[int, dict[int, int]] = {p: {} for p in range(1, parts.max() + 1)}
    for axis in range(parts.ndim):
        rolled = np.moveaxis(parts, axis, 0)
        for a, b in zip(rolled[1:].ravel().tolist(), rolled[:-1].ravel().tolist(), strict=True):
            if a != b and a > 0 and b > 0:
                faces[a][b] = faces[a].get(b, 0) + 1
                faces[b][a] = faces[b].get(a, 0) + 1
    return faces


def by_first(labels: np.ndarray) -> np.ndarray:
    """Return labels numbered from 1 by their first voxel."""
    values, first, at = np.unique(labels, return_index=True, return_inverse=True)
    order = [i for i in np.argsort(first) if values[i] > 0]
    numbers = np.zeros(len(values), int)
    numbers[order] = np.arange(1, len(order) + 1)
    return numbers[at].reshape(labels.shape)
