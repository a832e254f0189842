"""Sample images: synthetic nuclei and membranes and coins with truth, and what scikit-image brings along without."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from ._volume import Volume, guess_axes

__all__ = ["SAMPLES", "Sample", "bundled", "coins", "membranes", "nuclei_2d", "nuclei_3d", "sample"]

_Array = np.ndarray[Any, Any]

# The synthetic microscope: lengths in micrometers, brightness in photons, one photon per grey level.
_RADII = (3.6, 6.4)
_BLUR = (1.1, 0.35, 0.35)
_OFFSET = 100.0
_READ_NOISE = 4.0
_BACKGROUND = 90.0
_BRIGHTNESS = (220.0, 950.0)

_FILLED = {2: 0.22, 3: 0.16}
"""Fraction of an image of two or three axes that nuclei fill unless their number is given."""

_TOUCHING = 0.4
"""Fraction of the nuclei that are set beside another one."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A sample image.

    Parameters
    ----------
    name : str
        What to ask `sample` for.
    image : Volume
        The image.
    truth : Volume or None
        One label per object, int32, 0 for the background, numbered by their first pixels; in `membranes` one per
        class. None where there is no annotation.
    """

    name: str
    image: Volume
    truth: Volume | None


def nuclei_2d(
    seed: int = 0,
    shape: tuple[int, int] = (256, 256),
    spacing: tuple[float, float] = (0.5, 0.5),
    n_nuclei: int | None = None,
) -> Sample:
    """Simulate fluorescent nuclei in a plane.

    The data come from this program: lumpy ellipses of different size, brightness and texture, some of them
    touching, on an uneven background, seen through a microscope with blur, photon noise and read noise.

    Parameters
    ----------
    seed : int
        The same seed gives the same image.
    shape : tuple of int
        Rows and columns.
    spacing : tuple of float
        Edge lengths of a pixel in micrometers. Nuclei are 7 to 13 micrometers wide.
    n_nuclei : int, optional
        How many nuclei. None covers about a fifth of the image.

    Returns
    -------
    Sample
        A uint16 image of about 100 to 1500 grey levels, and its truth.

    Raises
    ------
    ValueError
        If the image is too small, or the nuclei do not fit into it.
    """
    return _nuclei("nuclei_2d", seed, shape, spacing, n_nuclei)


def nuclei_3d(
    seed: int = 0,
    shape: tuple[int, int, int] = (32, 128, 128),
    spacing: tuple[float, float, float] = (2.0, 0.5, 0.5),
    n_nuclei: int | None = None,
) -> Sample:
    """Simulate fluorescent nuclei in a volume.

    The data come from this program, as in `nuclei_2d`, with ellipsoids and a blur that is three times longer
    along the optical axis. A volume of 256^3 takes a few seconds.

    Parameters
    ----------
    seed : int
        The same seed gives the same image.
    shape : tuple of int
        Planes, rows and columns.
    spacing : tuple of float
        Edge lengths of a voxel in micrometers, z, y, x. Nuclei are 7 to 13 micrometers wide.
    n_nuclei : int, optional
        How many nuclei. None fills about a sixth of the volume.

    Returns
    -------
    Sample
        A uint16 image of about 100 to 1500 grey levels, and its truth.

    Raises
    ------
    ValueError
        If the image is too small, or the nuclei do not fit into it.

    Notes
    -----
    Needs about 25 bytes per voxel while it runs.
    """
    return _nuclei("nuclei_3d", seed, shape, spacing, n_nuclei)


def _nuclei(name: str, seed: int, shape: Sequence[int], spacing: Sequence[float], n_nuclei: int | None) -> Sample:
    axes = "zyx"[-len(shape) :]
    extent = [size * length for size, length in zip(shape, spacing, strict=True)]
    smallest = 2 * _RADII[1]
    if min(extent) < smallest or min(spacing) <= 0:
        raise ValueError(
            f"an image of {tuple(shape)} voxels of {tuple(spacing)} micrometers is too small for nuclei; "
            f"every side must be {smallest} micrometers or more"
        )
    if n_nuclei is not None and n_nuclei < 0:
        raise ValueError(f"n_nuclei must be 0 or more, but is {n_nuclei}")
    mean = sum(_RADII) / 2
    ball = math.pi * mean**2 if len(shape) == 2 else 4 / 3 * math.pi * mean**3
    count = max(2, round(_FILLED[len(shape)] * math.prod(extent) / ball)) if n_nuclei is None else n_nuclei
    rng = np.random.default_rng(seed)
    truth, signal = _place(rng, shape, np.asarray(spacing, float), count)
    image = _photograph(rng, signal, spacing)
    metadata = {"source": "simulated by napari-cutout", "seed": seed, "n_nuclei": count}
    volume = Volume(image, axes, tuple(spacing), "micrometer", name, metadata)
    return Sample(name, volume, replace(volume, data=truth, name=f"{name}_truth"))


@dataclass(frozen=True, slots=True)
class _Nucleus:
    """One nucleus: where it is, and the functions of position that give its edge and its texture."""

    centre: _Array  # in micrometers
    radii: _Array
    rotation: _Array
    lumps: _Array  # wave vectors and phases
    brightness: float

    def draw(self, shape: Sequence[int], spacing: _Array) -> tuple[tuple[slice, ...], _Array, _Array]:
        """Return the box around the nucleus, where it is in the box, and how bright."""
        reach = 1.16 * self.radii.max()
        low = np.maximum(np.floor((self.centre - reach) / spacing), 0).astype(int)
        high = np.minimum(np.ceil((self.centre + reach) / spacing) + 1, shape).astype(int)
        grids = np.meshgrid(*map(np.arange, low, high), indexing="ij")
        offsets = np.stack([g * s - c for g, s, c in zip(grids, spacing, self.centre, strict=True)], axis=-1)
        local = offsets @ self.rotation / self.radii
        distance = np.sqrt((local**2).sum(-1))
        near = distance < 1.16
        waves = np.cos(local[near] @ self.lumps[:, :-1].T + self.lumps[:, -1])
        inside, brightness = np.zeros(near.shape, bool), np.zeros(near.shape, np.float32)
        inside[near] = distance[near] < 1 + 0.16 * waves[:, :4].mean(-1)
        brightness[near] = self.brightness * (1 + 0.45 * waves[:, 4:].mean(-1))
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        return box, inside, brightness


def _random_nucleus(rng: np.random.Generator, extent: _Array, neighbour: _Nucleus | None) -> _Nucleus:
    ndim = len(extent)
    radii = rng.uniform(*_RADII) * rng.uniform(0.8, 1.2, ndim)
    direction = rng.normal(size=ndim)
    if neighbour is None:
        centre = rng.uniform(0, 1, ndim) * extent
    else:
        apart = 0.97 * (radii.mean() + neighbour.radii.mean())
        centre = neighbour.centre + apart * direction / np.linalg.norm(direction)
    # Slow waves make the edge lumpy, fast ones the chromatin.
    speed = np.repeat([2.2, 7.0], [4, 6])[:, None]
    lumps = np.hstack([speed * rng.normal(size=(10, ndim)), rng.uniform(0, 2 * math.pi, (10, 1))])
    angle = rng.uniform(0, math.pi)
    rotation = np.eye(ndim)
    rotation[-2:, -2:] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    return _Nucleus(centre, radii, rotation, lumps, rng.uniform(*_BRIGHTNESS))


def _place(rng: np.random.Generator, shape: Sequence[int], spacing: _Array, count: int) -> tuple[_Array, _Array]:
    """Set nuclei one by one into boxes of their own; return labels and brightness."""
    truth, signal = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    extent = np.asarray(shape) * spacing
    placed: list[_Nucleus] = []
    first: list[int] = []
    for _ in range(60 * count + 60):
        if len(placed) == count:
            break
        beside = placed and rng.uniform() < _TOUCHING
        nucleus = _random_nucleus(rng, extent, placed[rng.integers(len(placed))] if beside else None)
        if ((nucleus.centre < 0) | (nucleus.centre > extent - spacing)).any():
            continue
        if truth[tuple((nucleus.centre / spacing).astype(int))]:
            continue
        box, inside, brightness = nucleus.draw(shape, spacing)
        free = inside & (truth[box] == 0)
        # Nuclei press against each other; they do not lie on top of each other, nor leave slivers.
        if free.sum() < 0.93 * inside.sum():
            continue
        placed.append(nucleus)
        truth[box][free] = len(placed)
        signal[box][free] = brightness[free]
        corner = np.array(np.unravel_index(np.flatnonzero(free)[0], free.shape))
        first.append(int(np.ravel_multi_index(tuple(corner + [edge.start for edge in box]), shape)))
    if len(placed) < count:
        raise ValueError(
            f"{count} nuclei do not fit into {tuple(shape)} voxels, {len(placed)} do; "
            "ask for fewer or for a larger shape"
        )
    rank = np.zeros(count + 1, np.int32)
    rank[1 + np.argsort(first)] = np.arange(1, count + 1)
    return rank[truth], signal


def _photograph(rng: np.random.Generator, signal: _Array, spacing: Sequence[float]) -> _Array:
    """Look at the brightness through a microscope: uneven light, blur, photons, camera."""
    from scipy import ndimage

    light = np.ones((1,) * signal.ndim, np.float32)
    haze = light
    for axis, size in enumerate(signal.shape):
        along = np.linspace(0, 1, size, dtype=np.float32)
        along = along.reshape([-1 if axis == other else 1 for other in range(signal.ndim)])
        phase = rng.uniform(0, 2 * math.pi, 2).astype(np.float32)
        light = light * (1 + 0.12 * np.cos(2.5 * along + phase[0]))
        haze = haze * (1 + 0.3 * np.cos(4.0 * along + phase[1]))
    photons = ((signal + _BACKGROUND * haze) * light).astype(np.float32)
    sigma = [length / edge for length, edge in zip(_BLUR[-signal.ndim :], spacing, strict=True)]
    photons = ndimage.gaussian_filter(photons, sigma)
    image = np.empty(signal.shape, np.uint16)
    # Plane by plane, because Poisson numbers come in 8 bytes each.
    for plane, out in zip(np.atleast_3d(photons), np.atleast_3d(image), strict=True):
        counts = rng.poisson(plane) + rng.normal(_OFFSET, _READ_NOISE, plane.shape)
        out[...] = np.clip(np.rint(counts), 0, 65535)
    return image


def coins() -> Sample:
    """Show 24 Greek coins on an unevenly lit ground.

    The picture, of coins from Pompeii in the collection of the Brooklyn Museum, comes with scikit-image. The
    truth was made for this package: one fitted ellipse per coin, checked by eye.

    Returns
    -------
    Sample
        A uint8 image of 303 × 384 pixels and its 24 labels.
    """
    from ._coins import OUTLINES

    image = bundled("coins").image
    rows, columns = np.ogrid[: image.data.shape[0], : image.data.shape[1]]
    truth = np.zeros(image.data.shape, np.int32)
    for label, (row, column, major, minor, angle) in enumerate(OUTLINES, start=1):
        cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        along = (rows - row) * cosine + (columns - column) * sine
        across = (columns - column) * cosine - (rows - row) * sine
        truth[(along / major) ** 2 + (across / minor) ** 2 <= 1] = label
    metadata = {"source": "ellipses fitted for napari-cutout"}
    return Sample("coins", image, Volume(truth, "yx", name="coins_truth", metadata=metadata))


def membranes(seed: int = 0, shape: tuple[int, int, int] = (8, 256, 256)) -> Sample:
    """Simulate a stack of electron micrographs: cells with thin dark membranes, and dark bodies inside of them.

    The data come from this program. Bodies such as mitochondria are as dark as membranes, so that no threshold finds
    the membranes alone.

    Parameters
    ----------
    seed : int
        The same seed gives the same image.
    shape : tuple of int
        Sections, rows and columns.

    Returns
    -------
    Sample
        A uint8 image of sections 40 nm thick, and its truth of classes (uint8): 1 on membranes, 2 in cells.

    Raises
    ------
    ValueError
        If the image is too small.

    Notes
    -----
    Needs about 120 bytes per voxel while it runs.
    """
    from ._membranes import tissue

    if len(shape) != 3 or min(shape[1:]) < 32 or shape[0] < 1:
        raise ValueError(f"a stack of {tuple(shape)} voxels is too small for cells; give 1, 32 and 32 or more")
    image, is_membrane = tissue(seed, shape)
    metadata = {"source": "simulated by napari-cutout", "seed": seed, "classes": {"membrane": 1, "cell": 2}}
    volume = Volume(image, "zyx", (0.04, 0.008, 0.008), "micrometer", "membranes", metadata)
    truth = np.where(is_membrane, 1, 2).astype(np.uint8)
    return Sample("membranes", volume, replace(volume, data=truth, name="membranes_truth"))


# Those of scikit-image's pictures that lie in its wheels; the others would be fetched from the network.
_BUNDLED = (
    *("astronaut", "brick", "camera", "cell", "chelsea", "clock", "coffee", "coins", "grass", "gravel"),
    *("horse", "hubble_deep_field", "immunohistochemistry", "microaneurysms", "moon", "page", "retina"),
    *("rocket", "shepp_logan_phantom", "text"),
)


def bundled(name: str) -> Sample:
    """Show one of the pictures that come with scikit-image.

    The data come from the installed scikit-image, which names their origin and licence in the documentation
    of `skimage.data`. Nothing is fetched from the network.

    Parameters
    ----------
    name : str
        What scikit-image calls it: ``"camera"``, ``"cell"``, ``"immunohistochemistry"`` and others; they are
        in `SAMPLES`.

    Returns
    -------
    Sample
        The picture, without truth.

    Raises
    ------
    ValueError
        If there is no such picture.
    """
    from skimage import data

    if name not in _BUNDLED:
        raise ValueError(f"there is no picture {name!r}; there are {', '.join(_BUNDLED)}")
    picture = np.asarray(getattr(data, name)())
    metadata = {"source": f"skimage.data.{name}"}
    return Sample(name, Volume(picture, guess_axes(picture.shape), name=name, metadata=metadata), None)


_ANNOTATED: MappingProxyType[str, Callable[[], Sample]] = MappingProxyType(
    {"nuclei_2d": nuclei_2d, "nuclei_3d": nuclei_3d, "coins": coins, "membranes": membranes}
)

SAMPLES: tuple[str, ...] = (*_ANNOTATED, *(name for name in _BUNDLED if name not in _ANNOTATED))
"""The names of all samples, the annotated ones first."""


def sample(name: str) -> Sample:
    """Make or load the sample of a name.

    The data are simulated or come from the installed scikit-image.

    Parameters
    ----------
    name : str
        One of `SAMPLES`.

    Returns
    -------
    Sample
        The image, and the truth where there is one.

    Raises
    ------
    ValueError
        If there is no such sample.
    """
    if name not in SAMPLES:
        raise ValueError(f"there is no sample {name!r}; there are {', '.join(SAMPLES)}")
    return _ANNOTATED[name]() if name in _ANNOTATED else bundled(name)
