"""Filters and local thresholds against SciPy and scikit-image."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage import filters

import napari_cutout as nc
from _harness import Case

SIGMA = 2.0
WINDOW = 25
R = 800.0
"""Given to both, since their defaults differ."""


def our_gaussian(image: np.ndarray) -> np.ndarray:
    return nc.gaussian(image, sigma=SIGMA)


def peers_gaussian(image: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter(image, SIGMA, output=np.float32)


def near(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean(np.isclose(a, b, rtol=1e-5)))


def our_sauvola(image: np.ndarray) -> np.ndarray:
    return nc.sauvola(image, window=WINDOW, r=R)


def peers_sauvola(image: np.ndarray) -> np.ndarray:
    return image > filters.threshold_sauvola(image, WINDOW, k=-0.2, r=R)  # the mirror image, for bright objects


def our_niblack(image: np.ndarray) -> np.ndarray:
    return nc.niblack(image, window=WINDOW)


def peers_niblack(image: np.ndarray) -> np.ndarray:
    return image > filters.threshold_niblack(image, WINDOW, k=-0.2)


def same(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean(a == b))


CASES = [
    Case("gaussian, sigma 2", ("nuclei",), our_gaussian, peers_gaussian, near),
    Case("sauvola, window 25", ("nuclei",), our_sauvola, peers_sauvola, same),
    Case("niblack, window 25", ("nuclei",), our_niblack, peers_niblack, same),
]
