"""The watershed against scikit-image's heap and SimpleITK's queue, and touching objects against the usual recipe.

Every voxel is flooded from the middles of about 300 nuclei, which are valleys: the image upside down, smoothed as
float32 and as it is as uint16, noise included.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage import feature, measure, morphology, segmentation

import napari_cutout as nc
from _harness import Case, Target

SMOOTHING, DEPTH, MIN_DISTANCE = 1.0, 1.0, 3
"""Ours by default, and given to the peers; scikit-image's `peak_local_max` knows no depth."""


def our_masked(image: np.ndarray, markers: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return nc.watershed(image, markers, mask)


def peers_masked(image: np.ndarray, markers: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return segmentation.watershed(image, markers, mask=mask)


def with_simpleitk(image: np.ndarray, markers: np.ndarray) -> np.ndarray:
    import SimpleITK as sitk

    pair = sitk.GetImageFromArray(image), sitk.GetImageFromArray(markers)
    flooded = sitk.MorphologicalWatershedFromMarkers(*pair, markWatershedLine=False, fullyConnected=False)
    return sitk.GetArrayFromImage(flooded)


def smoothed_distance(mask: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), SMOOTHING)


def split_at_peaks(mask: np.ndarray) -> np.ndarray:
    distance = smoothed_distance(mask)
    peaks = feature.peak_local_max(distance, min_distance=MIN_DISTANCE, labels=mask.astype(np.uint8))
    markers = np.zeros(mask.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return segmentation.watershed(-distance, markers, mask=mask)


def split_at_h_maxima(mask: np.ndarray) -> np.ndarray:
    distance = smoothed_distance(mask)
    markers = measure.label(morphology.h_maxima(distance, DEPTH), connectivity=1)
    return segmentation.watershed(-distance, markers, mask=mask)


def same(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean(a == b))


def same_objects(a: np.ndarray, b: np.ndarray) -> float:
    """Return how many objects both find, as F1: their numbers differ."""
    return float(nc.evaluate_objects(a, b.astype(a.dtype)).at(0.5)["f1"])


SMOOTH, NOISY = ("valleys:float32", "cores:300"), ("valleys:uint16", "cores:300")
AIM, NO_SLOWER = Target(ratio=4, bytes_per_voxel=24), Target(ratio=1, bytes_per_voxel=24)

CASES = [
    Case("watershed, float32", SMOOTH, nc.watershed, segmentation.watershed, same, AIM, rounds=3),
    Case("watershed, uint16", NOISY, nc.watershed, segmentation.watershed, same, AIM, rounds=3),
    Case("watershed, float32, SimpleITK", SMOOTH, nc.watershed, with_simpleitk, same, NO_SLOWER, 1, needs="SimpleITK"),
    Case("watershed, uint16, SimpleITK", NOISY, nc.watershed, with_simpleitk, same, NO_SLOWER, 3, needs="SimpleITK"),
    Case(
        "watershed, inside a mask",
        ("valleys:float32", "cores", "objects:mask"),
        our_masked,
        peers_masked,
        same,
        rounds=3,
    ),
    Case("split touching, peaks", ("objects:mask",), nc.split_touching, split_at_peaks, same_objects, rounds=3),
    Case("split touching, h-maxima", ("objects:mask",), nc.split_touching, split_at_h_maxima, same_objects, rounds=3),
]
