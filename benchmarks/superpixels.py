"""Superpixels against scikit-image's `slic`: as many centres, the same windows, iterations and limit of small parts.

Its compactness is in the range of grey levels, ours in standard deviations, so it is given ours in its unit. Colours
stay what they are: L*a*b* would be another image.
"""

from __future__ import annotations

import numpy as np
from skimage import segmentation

import napari_cutout as nc
from _harness import Case, Target

N = 1000
ITERATIONS = 10


def ours(image: np.ndarray) -> np.ndarray:
    return nc.superpixels(image, n_superpixels=N, max_iterations=ITERATIONS, min_size=0.5)


def ours_in_colour(image: np.ndarray) -> np.ndarray:
    return nc.superpixels(image, n_superpixels=N, max_iterations=ITERATIONS, min_size=0.5, channel_axis=-1)


def peers(image: np.ndarray) -> np.ndarray:
    return with_scikit_image(image, None)


def peers_in_colour(image: np.ndarray) -> np.ndarray:
    return with_scikit_image(image, -1)


def with_scikit_image(image: np.ndarray, channel_axis: int | None) -> np.ndarray:
    n_channels = 1 if channel_axis is None else image.shape[channel_axis]
    deviation = float(image.std() / np.ptp(image)) * n_channels**0.5
    return segmentation.slic(
        image,
        N,
        compactness=deviation,
        max_num_iter=ITERATIONS,
        min_size_factor=0.5,
        enforce_connectivity=True,
        convert2lab=False,
        channel_axis=channel_axis,
    )


def same(a: np.ndarray, b: np.ndarray) -> float:
    """Return the share of faces between voxels on which both say whether there is a boundary."""
    agreed = [(np.diff(a, axis=axis) != 0) == (np.diff(b, axis=axis) != 0) for axis in range(a.ndim)]
    return float(np.concatenate([part.ravel() for part in agreed]).mean())


def words(a: np.ndarray, b: np.ndarray, _image: np.ndarray) -> str:
    return f"{a.max()} regions, and {b.max()} by scikit-image"


AIM = Target(ratio=5, bytes_per_voxel=20)

CASES = [
    Case("superpixels, 128^3", ("blobs:128",), ours, peers, same, AIM, rounds=3, words=words),
    Case(
        "superpixels, colours",
        ("scene:4:rgb",),
        ours_in_colour,
        peers_in_colour,
        same,
        Target(ratio=5),
        5,
        words=words,
        n_channels=3,
    ),
]
