"""The arrays that the benchmarks run on, made from a seed."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import ndimage

from _harness import WARM_UP_SIDE
from napari_cutout import samples

BRIGHTEST = 1200
"""Where the image for multi-Otsu is cut off, as by a detector that saturates: about 1,100 grey levels are left."""

BOX = 5
"""Edge of the boxes that fill a volume with objects, about 140,000 of them."""

CELL = 12
"""Edge of the boxes that fill a volume with about 10,000 regions."""


def tiled(image: np.ndarray, kind: str) -> np.ndarray:
    """Return three quarters of a volume along each axis, or one of its planes, eight times side by side both ways."""
    if kind == "plane":
        return np.tile(image[len(image) // 2], (8, 8))
    return np.ascontiguousarray(image[tuple(slice(n * 3 // 4) for n in image.shape)])


@cache
def nuclei(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a simulated volume of nuclei (uint16) and one label per nucleus (int32)."""
    made = samples.nuclei_3d(seed=0, shape=(side, side, side))
    return made.image.data, made.truth.data


def array(name: str, side: int) -> np.ndarray:
    """Return one of the arrays by name.

    Parameters
    ----------
    name : str
        What the benchmarks call it.
    side : int
        Edge of the cube, in voxels.

    Returns
    -------
    array of shape (side, side, side)
        In C order; half the edge where the name says so, 96 of 256 of ``"blobs:96"``. ``"channels, half"`` has three
        channels in front, ``"plane"`` no first axis. ``"scene:4"`` is a square of four times the edge, and
        ``"scene:2:rgb"`` one in colour.
    """
    kind, _, dtype = name.partition(":")
    if kind in ("scene", "blobs", "strokes"):
        return without_nuclei(kind, dtype, side)
    image, objects = nuclei(side)
    match kind:
        case "nuclei":
            return image
        case "three quarters" | "plane":
            return tiled(image, kind)
        case "nuclei, half":
            return halved(image)
        case "channels, half":
            return stains(halved(image), halved(objects))
        case "saturated":
            return np.minimum(image, BRIGHTEST).astype(np.uint16)
        case "full-range":
            return full_range(image)
        case "float":
            return smoothed(image)
        case "valleys":
            return (image.max() - image) if dtype == "uint16" else -smoothed(image)
    return labels(image, objects, kind, dtype)


def without_nuclei(kind: str, more: str, side: int) -> np.ndarray:
    """Return one of the arrays that are not made of nuclei."""
    size, _, rest = more.partition(":")
    if kind == "scene":
        return scene(int(size) * side, 3 if rest else 1)
    image = blobs(side * int(size) // 256)
    return image if kind == "blobs" else single_voxels(image, int(rest))


def labels(image: np.ndarray, objects: np.ndarray, kind: str, dtype: str) -> np.ndarray:
    """Return one of the arrays that are no image."""
    match kind:
        case "truth":
            return classes(image, objects).astype(dtype)
        case "predicted":
            return np.roll(labels(image, objects, "truth", dtype), (1, 2, 2), (0, 1, 2))
        case "objects":
            return some_objects(objects, dtype)
        case "moved-objects":
            return np.roll(some_objects(objects, dtype), (1, 2, 2), (0, 1, 2))
        case "cells" | "cells, half":
            return boxes(tuple(n // (1 + kind.endswith("half")) for n in objects.shape), CELL)
        case "cores":
            return cores(objects, int(dtype) if dtype else None)
    raise ValueError(f"there is no array {kind!r}")


def some_objects(objects: np.ndarray, which: str) -> np.ndarray:
    """Return all objects, their mask, the background, so many of them spread evenly, or boxes that fill the volume."""
    match which:
        case "":
            return objects
        case "mask":
            return objects > 0
        case "background":
            return objects == 0
        case "packed":
            return boxes(objects.shape, BOX)
    chosen = np.unique(np.linspace(1, int(objects.max()), int(which)).astype(int))
    numbers = np.zeros(int(objects.max()) + 1, objects.dtype)
    numbers[chosen] = np.arange(1, len(chosen) + 1)
    return numbers[objects]


def boxes(shape: tuple[int, ...], edge: int) -> np.ndarray:
    """Return a volume that is full of boxes, each with a number of its own."""
    counts = tuple(-(-n // edge) for n in shape)
    numbers = np.arange(1, np.prod(counts) + 1, dtype=np.int32).reshape(counts)
    for axis in range(len(shape)):
        numbers = np.repeat(numbers, edge, axis=axis)
    return np.ascontiguousarray(numbers[tuple(slice(n) for n in shape)])


def smoothed(image: np.ndarray) -> np.ndarray:
    """Return the image as float32, with less noise."""
    return ndimage.gaussian_filter(image.astype(np.float32), 1.0)


def halved(image: np.ndarray) -> np.ndarray:
    """Return a corner of half the edge."""
    return np.ascontiguousarray(image[tuple(slice(n // 2) for n in image.shape)])


def stains(image: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Return three channels: all nuclei, a marker that every second one has, and the cells around them."""
    rng = np.random.default_rng(2)
    background = float(np.median(image[objects == 0]))
    marker = rng.poisson(np.where(objects % 2 == 1, 0.8 * image, background))
    cells = rng.poisson(ndimage.gaussian_filter(image.astype(np.float32), 3.0))
    return np.stack([image, marker.astype(np.uint16), cells.astype(np.uint16)])


def scene(side: int, n_channels: int) -> np.ndarray:
    """Return a square with structure at all scales and a little smoothing, float32; colours share most of it."""
    rng = np.random.default_rng(3)
    across, down = np.fft.rfftfreq(side), np.fft.fftfreq(side)[:, None]
    fall = 1 / np.maximum(np.hypot(across, down), 1 / side)
    layers = [np.fft.irfft2(np.fft.rfft2(rng.standard_normal((side, side))) * fall) for _ in range(n_channels + 1)]
    image = np.stack([layers[0] + 0.5 * layer for layer in layers[1:]], axis=-1)
    image = ndimage.gaussian_filter(100 + 45 * (image - image.mean()) / image.std(), (0.8, 0.8, 0)).astype(np.float32)
    return image if n_channels > 1 else image[..., 0].copy()


@cache
def blobs(side: int, noise: float = 0.15) -> np.ndarray:
    """Return blobs that are 1 brighter than the rest, with noise of a standard deviation, stretched to 0 to 1."""
    rng = np.random.default_rng(0)
    shape = (side,) * 3
    image = (ndimage.gaussian_filter(rng.standard_normal(shape, np.float32), side / 16) > 0).astype(np.float32)
    image += noise * rng.standard_normal(shape, np.float32)
    return (image - image.min()) / np.ptp(image)


def single_voxels(image: np.ndarray, n_labels: int, n: int = 400) -> np.ndarray:
    """Return strokes of one voxel each, labelled by grey level, so that each label has as many.

    The first of each label lie where the sample that warms up finds them.
    """
    rng = np.random.default_rng(1)
    places = rng.choice(image.size, n, replace=False)
    step = -(-image.shape[-1] // WARM_UP_SIDE)
    places[:n_labels] = np.arange(n_labels) * step
    strokes = np.zeros(image.shape, np.int32)
    grey = image.ravel()[places]
    strokes.ravel()[places] = 1 + np.argsort(np.argsort(grey)) * n_labels // n
    strokes.ravel()[places[:n_labels]] = np.arange(1, n_labels + 1)
    return strokes


def full_range(image: np.ndarray) -> np.ndarray:
    """Stretch an image over all 65,536 grey levels, so that hardly one of them is empty."""
    rng = np.random.default_rng(1)
    low, high = int(image.min()), int(image.max())
    fine = (image - np.float32(low) + rng.random(image.shape, np.float32)) / (high - low + 1)
    return np.minimum(fine * 65536, 65535).astype(np.uint16)


def cores(objects: np.ndarray, most: int | None) -> np.ndarray:
    """Return markers such as a user would paint: the middle of every nucleus, or of so many of them, spread evenly.

    The middle is what lies at least two thirds as deep as the deepest voxel, which stays in one piece.
    """
    depth = ndimage.distance_transform_edt(np.pad(objects, 1) > 0)[(slice(1, -1),) * objects.ndim]
    deepest = np.concatenate(([0], ndimage.maximum(depth, objects, np.arange(1, objects.max() + 1))))
    step = 1 if most is None else -(-int(objects.max()) // most)
    kept = (3 * depth >= 2 * deepest[objects]) & (objects % step == 1 % step)
    return np.where(kept, objects, 0)


def classes(image: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Return four classes: background, and dim, middle and bright nuclei."""
    return np.where(objects > 0, 1 + np.digitize(image, (350, 600)), 0)
