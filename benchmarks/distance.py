"""Exact distances against SciPy and against edt, which is C++ with threads."""

from __future__ import annotations

import os

import numpy as np
from scipy import ndimage

import napari_cutout as nc
from _harness import Case, Target

SPACING = (1485.0, 1024.0, 1024.0)
"""As 0.29 : 0.2 : 0.2 is rounded; given to both, since edt does not round. Squared distances need int64."""


def with_scipy(mask: np.ndarray) -> np.ndarray:
    return ndimage.distance_transform_edt(mask)


def with_edt(labels: np.ndarray, spacing: tuple[float, ...] | None = None) -> np.ndarray:
    import edt

    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return edt.edt(labels, anisotropy=spacing, parallel=processors)


def ours_with_spacing(labels: np.ndarray) -> np.ndarray:
    return nc.distance(labels, spacing=SPACING)


def edt_with_spacing(labels: np.ndarray) -> np.ndarray:
    return with_edt(labels, tuple(s / min(SPACING) for s in SPACING))


def same(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean(a == b.astype(np.float32)))


def near(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean(np.isclose(a, b, rtol=1e-6)))


LIGHT, WIDE = Target(ratio=1, bytes_per_voxel=1), Target(ratio=1, bytes_per_voxel=9)
"""As fast as edt, and as little memory as the docstring says: none but a few blocks, or 8 bytes per voxel with them."""

CASES = [
    Case(
        "distance, inside objects, SciPy", ("objects:mask",), nc.distance, with_scipy, same, Target(ratio=8), rounds=3
    ),
    Case("distance, inside objects", ("objects:mask",), nc.distance, with_edt, same, LIGHT, needs="edt"),
    Case("distance, outside objects", ("objects:background",), nc.distance, with_edt, same, LIGHT, needs="edt"),
    Case("distance, touching objects", ("objects",), nc.distance, with_edt, same, LIGHT, needs="edt"),
    Case("distance, spacing", ("objects",), ours_with_spacing, edt_with_spacing, near, WIDE, needs="edt"),
]
