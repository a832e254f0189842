"""Global thresholds, labels written, against scikit-image."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from skimage import filters

import napari_cutout as nc
from _harness import Case, Target

LEAN = Target(bytes_per_voxel=1)

METHODS = ("li", "yen", "triangle", "isodata", "minimum", "mean")


def ours(image: np.ndarray, method: str) -> np.ndarray:
    return nc.threshold(image, method=method)


def peers(image: np.ndarray, method: str) -> np.ndarray:
    return image > getattr(filters, f"threshold_{method}")(image)


def our_classes(image: np.ndarray, n: int) -> np.ndarray:
    return nc.multi_otsu(image, n_classes=n)


def peers_classes(image: np.ndarray, n: int) -> np.ndarray:
    return np.digitize(image, filters.threshold_multiotsu(image, n), right=True)


def same(a: Any, b: Any) -> float:
    return float(np.mean(a == b))


def same_class(a: np.ndarray, b: np.ndarray) -> float:
    """Compare classes from 1 with classes from 0."""
    return float(np.mean(a == b + 1))


def _pair(method: str, target: Target) -> Case:
    return Case(
        f"threshold {method}",
        ("nuclei",),
        partial(ours, method=method),
        partial(peers, method=method),
        same,
        target,
    )


CASES = [
    _pair("otsu", Target(ratio=5, bytes_per_voxel=1)),
    *(_pair(method, LEAN) for method in METHODS),
    Case(
        "multi_otsu 3 classes",
        ("saturated",),
        partial(our_classes, n=3),
        partial(peers_classes, n=3),
        same_class,
        LEAN,
    ),
    Case(
        "multi_otsu 4 classes",
        ("saturated",),
        partial(our_classes, n=4),
        partial(peers_classes, n=4),
        same_class,
        Target(ratio=100, bytes_per_voxel=1),
    ),
    *(
        Case(f"multi_otsu 5 classes, {words}", (name,), partial(our_classes, n=5), target=Target(seconds=1, **lean))
        for words, name, lean in (
            ("1,100 levels", "saturated", {"bytes_per_voxel": 1}),
            ("full-range uint16", "full-range", {"bytes_per_voxel": 1}),
            ("float32", "float", {}),
        )
    ),
]
