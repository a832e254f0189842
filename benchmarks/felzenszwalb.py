"""Graph-based segmentation against scikit-image's: a scene in grey and in colour; and a volume, which that refuses.

A scene has structure at all scales, as photographs and tissue have: noise whose spectrum falls with the frequency. It
is smoothed before, so that both segment the same numbers; the volume is smoothed by the method.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from skimage import segmentation

import napari_cutout as nc
from _harness import Case, Target

SCALE, MIN_SIZE = 200.0, 50


def ours(image: np.ndarray, channel_axis: int | None = None) -> np.ndarray:
    return nc.felzenszwalb(image, scale=SCALE, sigma=0.0, min_size=MIN_SIZE, channel_axis=channel_axis)


def peers(image: np.ndarray, channel_axis: int | None = None) -> np.ndarray:
    """Call scikit-image's, which divides the scale by 255."""
    scale = 255 * SCALE
    return segmentation.felzenszwalb(image, scale=scale, sigma=0, min_size=MIN_SIZE, channel_axis=channel_axis)


def same(a: np.ndarray, b: np.ndarray) -> float:
    """Return the share of pairs of pixels on which both agree: together, or apart."""
    n = a.size
    counts = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1, return_counts=True)[1].astype(float)
    together, of_a, of_b = (
        (m.astype(float) ** 2).sum() for m in (counts, np.bincount(a.ravel()), np.bincount(b.ravel()))
    )
    return float(1 - (of_a + of_b - 2 * together) / (n * (n - 1)))


AIM = Target(ratio=5)

CASES = [
    Case("felzenszwalb, grey 1024^2", ("scene:4",), ours, peers, same, AIM, rounds=5),
    Case(
        "felzenszwalb, colour 512^2",
        ("scene:2:rgb",),
        partial(ours, channel_axis=-1),
        partial(peers, channel_axis=-1),
        same,
        AIM,
        rounds=7,
        n_channels=3,
    ),
    Case("felzenszwalb, volume", ("nuclei",), nc.felzenszwalb, target=Target(seconds=15, bytes_per_voxel=80), rounds=3),
]
