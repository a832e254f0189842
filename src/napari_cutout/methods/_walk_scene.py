"""The arrays of one tile of an image that is walked on, and what its grey levels and strokes are like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._checks import MAX_LABEL
from .._plan import Slices, Tile
from ._walk import Walk, WalkSettings, bad_markers
from ._walk_scales import SAMPLE, Facts, Scales, mean_of, told_apart, unlike

__all__ = ["Scene", "Seen", "Setting", "facts_from", "seen_in", "tile_scene"]


class Setting(NamedTuple):
    """What the whole says to its tiles.

    Parameters
    ----------
    settings : WalkSettings
        What makes the weights, and when to stop.
    scales : tuple
        What channels are multiplied by, and what is taken from them.
    lows : list of int
        What is taken from channels of large integers before, 0 of others.
    labels : int64 array
        Of all markers inside, rising.
    """

    settings: WalkSettings
    scales: Scales
    lows: list[int]
    labels: NDArray[np.int64]


class Scene(NamedTuple):
    """The arrays of a tile, or a part of it: channels, where to walk, and strokes."""

    channels: list[NDArray[Any]]
    inside: NDArray[np.bool_]
    planted: NDArray[np.int32]

    def part(self, region: Slices) -> Scene:
        return Scene([c[region] for c in self.channels], self.inside[region], self.planted[region])

    def walk(self, setting: Setting) -> Walk:
        return Walk(self.channels, self.inside, setting.settings, setting.scales)


def tile_scene(blocks: Sequence[NDArray[Any] | None], lows: Sequence[int] | None = None) -> Scene:
    """Return the arrays of a tile, of channels, a mask or None, and markers; voxels that do not count are outside."""
    *channels, mask, markers = blocks
    shown = [c for c in channels if c is not None]
    inside = np.ones(shown[0].shape, bool) if mask is None else np.asarray(mask) != 0
    for channel in shown:
        if channel.dtype.kind == "f":
            inside &= np.isfinite(channel)
    assert markers is not None
    if markers.dtype.kind == "i":
        inside &= markers != -1
    planted = np.where(inside, np.clip(markers.astype(np.int64), 0, None), 0).astype(np.int32)
    if lows is not None:
        shown = [c - c.dtype.type(low) if low else c for c, low in zip(shown, lows, strict=True)]
    return Scene(shown, inside, planted)


# What grey levels are like ------------------------------------------------------------------------------


class Seen(NamedTuple):
    """What a tile tells of its grey levels and strokes.

    Parameters
    ----------
    n : int
        Voxels that are finite and inside the mask.
    means, squares : float64 array of shape (channels,)
        Mean, counted from `base`, and sum of squared differences from it.
    base : list of int
        The smallest grey level of channels of large integers, which floats do not hold; 0 of others.
    low, high : list
        The smallest and the largest grey level of each channel.
    noise : list of float32 array
        Differences between neighbours, a sample for each channel.
    labels : int64 array
        Of the strokes inside.
    painted : bool
        Whether anything is painted, inside or not.
    """

    n: int
    means: NDArray[np.float64]
    squares: NDArray[np.float64]
    base: list[int]
    low: list[float]
    high: list[float]
    noise: list[NDArray[np.float32]]
    labels: NDArray[np.int64]
    painted: bool


def seen_in(tile: Tile, *blocks: NDArray[Any] | None, noisy: bool) -> Seen:
    """Return what a tile tells of its grey levels and strokes.

    Raises
    ------
    ValueError
        If a marker is below -1 or above 2147483647.
    """
    own = [None if b is None else b[tile.own] for b in blocks]
    markers = own[-1]
    assert markers is not None
    low, high = int(markers.min()), int(markers.max())
    if low < -1 or high > MAX_LABEL:
        raise bad_markers(low if low < -1 else high)
    scene = tile_scene(own)
    counted = tile_scene([*own[:-1], np.zeros(markers.shape, np.uint8)]).inside  # -1 does not change the statistics
    labels = np.unique(scene.planted)
    share = max(math.prod(tile.whole) // SAMPLE, 1)
    shown = [c[counted] for c in scene.channels]
    if not len(shown[0]):
        empty = np.zeros(len(shown))
        return Seen(
            0, empty, empty, [], [], [], [np.zeros(0, np.float32)] * len(shown), np.zeros(0, np.int64), high > 0
        )
    base = [int(c.min()) if c.dtype.itemsize == 8 and c.dtype.kind in "iu" else 0 for c in shown]
    values = [(c - c.dtype.type(b) if b else c).astype(np.float64) for c, b in zip(shown, base, strict=True)]
    means = np.array([v.mean() for v in values])
    return Seen(
        len(shown[0]),
        means,
        np.array([np.square(v - m).sum() for v, m in zip(values, means, strict=True)]),
        base,
        [c.min().item() for c in shown],
        [c.max().item() for c in shown],
        [
            _sample(c - c.dtype.type(b) if b else c, counted, share) if noisy else np.zeros(0, np.float32)
            for c, b in zip(scene.channels, base, strict=True)
        ],
        labels[labels > 0].astype(np.int64),
        high > 0,
    )


def _sample(channel: NDArray[Any], inside: NDArray[np.bool_], share: int) -> NDArray[np.float32]:
    """Return one of `share` differences between neighbours along each axis."""
    found = [unlike(channel, inside, axis)[::share] for axis in range(channel.ndim) if channel.shape[axis] > 1]
    return np.concatenate([np.zeros(0), *found]).astype(np.float32)


def facts_from(seen: Sequence[Seen]) -> tuple[list[Facts], list[int]]:
    """Return what the weights need to know of each channel, and what is taken from it before.

    Raises
    ------
    ValueError
        If no voxel is inside.
    """
    held = [s for s in seen if s.n]
    if not held:
        raise ValueError("no finite voxel to count inside mask; check the image, or widen the mask")
    n = np.array([s.n for s in held], np.float64)
    facts, lows = [], []
    for k in range(len(held[0].means)):
        low, high = min(s.low[k] for s in held), max(s.high[k] for s in held)
        taken = int(low) if isinstance(low, int) and told_apart(np.array([low, high]), None)[0] != low else 0
        means = np.array([s.base[k] - taken + s.means[k] for s in held])
        middle = float((n * means).sum() / n.sum())
        squares = sum(s.squares[k] for s in held) + float((n * np.square(means - middle)).sum())
        spread = mean_of([s.noise[k].astype(np.float64) for s in held])
        facts.append(Facts(middle, math.sqrt(squares / n.sum()), high / 2 - low / 2, spread))
        lows.append(taken)
    return facts, lows
