"""Images that many tests use, and the settings that a method cannot do without."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from napari_cutout import catalog
from napari_cutout._method import Method
from napari_cutout.unet._backend import load_weights, weights_of
from napari_cutout.unet._torch import import_torch
from napari_cutout.unet.architecture import Normalisation, architecture_for
from napari_cutout.unet.model import network
from napari_cutout.unet.trained import UNetModel

METHODS = list(catalog.methods().values())

IMAGE_METHODS = [entry for entry in METHODS if entry.source.name == "image"]
"""The methods that cut images into classes, or flood them."""

LABEL_METHODS = [entry for entry in METHODS if entry.source.name == "labels"]
"""The methods that work on labels."""

NETWORKS = [entry for entry in IMAGE_METHODS if entry.row == "U-Net"]
"""The methods that ask a trained network: it sees what lies around a voxel, and smooths for itself."""

CUTS = [
    entry
    for entry in IMAGE_METHODS
    if entry not in NETWORKS and any(p.name == "one_per_object" for p in entry.settings)
]
"""The methods that give a class to every voxel by its grey level, and may number objects afterwards."""

GRAPHS = [entry for entry in IMAGE_METHODS if entry.row == "Graph-based"]
"""The methods that part an image into regions along edges between neighbours; they have settings of their own only."""

WALKS = [entry for entry in IMAGE_METHODS if entry not in [*NETWORKS, *GRAPHS] and entry.agreement != "exact"]
"""The methods that solve an equation to within a tolerance: labels may differ where two are about as likely."""

FLOODS = [entry for entry in IMAGE_METHODS if entry not in [*NETWORKS, *CUTS, *WALKS, *GRAPHS]]
"""The methods that number regions by the order of the grey levels."""

TOGETHER = [entry for entry in CUTS if any(p.name == "channel_axis" for p in entry.params)]
"""The methods that see all channels of an image together."""


def two_humps(shape: tuple[int, ...], seed: int = 0, dtype: str = "uint16") -> np.ndarray:
    """Return blobs on a background, with two clear humps in the histogram and hardly any ties."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.standard_normal(shape), 1.5, mode="wrap")
    height = rng.random(shape) * 20 + np.where(smooth > np.quantile(smooth, 0.7), 90, 20)
    if dtype == "int8":
        return (height - 100).astype(dtype)
    return (height * (200 if np.dtype(dtype).itemsize > 1 else 1)).astype(dtype)


def strokes(image: np.ndarray) -> np.ndarray:
    """Return strokes with label 1 on some bright voxels and 2 on some dark ones."""
    painted = np.zeros(image.shape, np.uint8)
    painted[image > np.quantile(image, 0.9)] = 1
    painted[image < np.quantile(image, 0.2)] = 2
    return painted


def settings_of(entry: Method) -> dict[str, Any]:
    """Return the settings without a default."""
    if entry.needs == "model":
        return {"model": model_folder()}
    return {
        "threshold_at": {"value": 60.0},
        "classes_at": {"values": (45.0, 60.0)},
        "unet_from_strokes": {"n_steps": 2, "width": 2},  # a training as short as there is
    }.get(entry.name, {})


def untrained(
    ndim: int = 2,
    *,
    n_channels: int = 1,
    classes: tuple[int, ...] = (0, 1),
    spacing: tuple[float, ...] | None = None,
    normalisation: Normalisation = "batch",
    depth: int = 1,
    width: int = 4,
    residual: bool = False,
    head: Any = "classes",
    seed: int = 2,
) -> UNetModel:
    """Return a small U-Net that was never trained, whose classes are about as common in noise."""
    architecture = architecture_for(
        (64,) * ndim,
        n_channels=n_channels,
        n_outputs=len(classes) if head == "classes" else 3,
        spacing=spacing,
        depth=depth,
        width=width,
        normalisation=normalisation,
        residual=residual,
    )
    net = network(architecture, seed=seed).eval()
    weights = weights_of(net)
    rng = np.random.default_rng(seed)
    for name, value in weights.items():  # what batch normalisation learned, so that leaving it out would be seen
        if name.endswith("running_mean"):
            weights[name] = rng.normal(0, 0.2, value.shape).astype(np.float32)
        elif name.endswith("running_var"):
            weights[name] = rng.uniform(0.5, 2, value.shape).astype(np.float32)
        elif name in ("last.weight", "last.bias"):
            weights[name] = rng.normal(0, 1, value.shape).astype(np.float32)
    load_weights(net, weights)
    seen = rng.normal(0, 1, (1, n_channels, *((64, 64) if ndim == 2 else (16, 32, 32)))).astype(np.float32)
    said = net(import_torch().from_numpy(seen)).detach().numpy()
    weights["last.bias"] -= np.quantile(said, 0.5, axis=(0, *range(2, ndim + 2))).astype(np.float32)  # all as likely
    if head == "boundary":
        weights["last.bias"][0] += 1  # background, beside two outputs of objects
    return UNetModel(architecture, weights, classes, head, spacing, name="untrained")


@cache
def model_folder() -> str:
    """Return the folder of a U-Net for planes, which goes when the tests end."""
    place = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return str(untrained().save(place / "untrained"))


def arrays_of(entry: Method, image: np.ndarray) -> dict[str, np.ndarray]:
    """Return the arrays that a method needs."""
    if entry.source.name == "labels":
        return {"labels": class_map(image)}
    return {"image": image} | ({"markers": strokes(image)} if entry.needs == "strokes" else {})


def class_map(image: np.ndarray) -> np.ndarray:
    """Return classes 0 to 3 by the grey level of an image."""
    return np.searchsorted(np.quantile(image, [0.4, 0.7, 0.9]), image).astype(np.uint8)


def tie_free(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Return smooth noise with every level from 0 on once."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1.5)
    return np.argsort(np.argsort(noise.ravel())).reshape(shape).astype(np.uint32)


def scattered(shape: tuple[int, ...], n: int, seed: int, inside: np.ndarray | None = None) -> np.ndarray:
    """Return markers 1 to n on so many voxels, inside a mask if one is given."""
    markers = np.zeros(shape, np.int32)
    where = np.arange(markers.size) if inside is None else np.flatnonzero(inside)
    markers.ravel()[np.random.default_rng(seed).choice(where, n, replace=False)] = np.arange(1, n + 1)
    return markers


def blobs(
    shape: tuple[int, ...],
    n_classes: int,
    n_channels: int,
    *,
    seed: int = 0,
    apart: float = 5.0,
    dtype: str = "float64",
) -> tuple[np.ndarray, np.ndarray]:
    """Return channels whose voxels are drawn from round normal distributions, and which one each is drawn from.

    The means lie `apart` standard deviations from each other or farther; with 0 there is one distribution only.
    """
    rng = np.random.default_rng(seed)
    steps = rng.permuted(np.tile(np.arange(n_classes), (n_channels, 1)), axis=1)
    numbers = rng.integers(0, n_classes, shape)
    channels = 20 + 4 * apart * steps[:, numbers] + rng.normal(0, 4, (n_channels, *shape))
    return channels.astype(dtype), numbers


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    """Tell whether two label arrays are equal up to the names of the labels."""
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]).astype(np.int64), axis=1).shape[1]
    return pairs == len(np.unique(a)) == len(np.unique(b))
