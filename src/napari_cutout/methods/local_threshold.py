"""Local thresholds: each voxel against its own neighbourhood, for images that are unevenly lit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, Unpack

from .._array import Array, array_namespace, dtype_name
from .._method import Image, Labels, Mask, Objects, Range, Typical, method
from .._monitor import note
from .._plan import Reduce
from ..processing.filters import along, per_axis, separably
from ..processing.segment import Options, segment
from ._grey_levels import EXTENT, two_levels

__all__ = ["sauvola", "niblack", "local_mean"]

ROUNDING = 2.0**-44
"""What the rounded mean of a flat window may differ from its grey level, as a share of it: a flat window holds no
object, whatever its level."""

Window = Annotated[float, Range(3, 2001, 2), Typical(7, 201, length=True)]

Rule = Callable[[Any, Array, Array], Array | float]
"""How far beyond the mean an object must be: from a model of the whole image, and the mean and standard deviation of
each window."""


@method("Threshold", working=64.0, tile_memory=65.0, device_memory=75.0)
def sauvola(
    image: Image,
    mask: Mask | None = None,
    *,
    window: Window = 25.0,
    k: Annotated[float, Range(-5, 5, 0.05), Typical(-0.5, 0.8, log=False)] = 0.2,
    r: Annotated[float, Range(0, 1e12)] | None = None,
    objects: Objects = "bright",
    **options: Unpack[Options],
) -> Labels:
    """Compare each voxel with the mean around it, stricter where flat.

    For uneven light: an object must stand out from its own neighbourhood, and in a flat neighbourhood, which
    holds no object, it must stand out more. Made for text and stains on uneven paper.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X)
        Grey-level image, any real dtype. NaN is left out of every window and becomes 0.
    mask : array of the shape of `image`, optional
        Where to look; voxels outside are left out of every window and become 0.
    window : float
        Edge of the box around each voxel, in edges of the smallest voxel; somewhat larger than an object.
    k : float
        How far beyond the mean an object must be in a flat neighbourhood, as a share of the mean.
    r : float, optional
        The standard deviation of a neighbourhood that is full of structure, in the image's own units. By
        default 127.5 for 8-bit images, as in scikit-image, and half of the image's own range for all others,
        because few cameras fill 16 bits and floats may have any scale.
    objects : {"bright", "dark"}
        Whether the objects are brighter or darker than what surrounds them.
    **options : Options
        Steps before and after the cut.

    Returns
    -------
    uint8 array, same shape and library as `image`
        1 where there is an object, else 0; int32 numbers 1 to n with `one_per_object`.

    Raises
    ------
    ValueError
        If a setting is out of range, or the image has fewer than two grey levels.
    TypeError
        If the image is boolean, complex or of objects.

    Notes
    -----
    Good for: small objects in uneven light, on a ground that is quiet.

    Fails when: objects are larger than the window: their insides are even there, and stay empty.

    With mean m and standard deviation s of the window, mirrored at the image's edges, dark objects are below
    m (1 - k (1 - s / r)), which is scikit-image's threshold, and bright objects are above m (1 + k (1 - s / r)),
    which is scikit-image's with -k: made for dark text, it takes flat background for bright objects.

    Exact: window sums are float64 in a fixed order, so tiles and devices agree bit for bit. Memory: a few blocks
    of float64 beyond input and output.

    References
    ----------
    .. [1] J. Sauvola and M. Pietikainen, "Adaptive document image binarization", Pattern Recognit. 33 (2000) 225-236.
       DOI:10.1016/S0031-3203(99)00055-2
    """
    if r == 0:
        raise ValueError("r must be positive, got 0; give the standard deviation of a structured neighbourhood")
    if r is None and dtype_name(image) in ("uint8", "int8"):
        r = 127.5

    def decide(extent: Any) -> float:
        low, high = two_levels("sauvola", extent)
        spread = r if r is not None else (high - low) / 2
        note(r=spread)
        return spread

    def rule(spread: float, mean: Array, deviation: Array) -> Array:
        return abs(mean) * ((1 - deviation / spread) * k)

    return _local(image, mask, rule, window, objects, options, decide)


@method("Threshold", working=64.0, tile_memory=65.0, device_memory=75.0)
def niblack(
    image: Image,
    mask: Mask | None = None,
    *,
    window: Window = 25.0,
    k: Annotated[float, Range(-5, 5, 0.05), Typical(-0.5, 0.8, log=False)] = 0.2,
    objects: Objects = "bright",
    **options: Unpack[Options],
) -> Labels:
    """Compare each voxel with mean and spread of its neighbourhood.

    Finds faint objects next to bright ones; a neighbourhood without objects turns to noise, which a larger `k`,
    `sigma` or `min_size` removes.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X)
        Grey-level image, any real dtype. NaN is left out of every window and becomes 0.
    mask : array of the shape of `image`, optional
        Where to look; voxels outside are left out of every window and become 0.
    window : float
        Edge of the box around each voxel, in edges of the smallest voxel; somewhat larger than an object.
    k : float
        How many standard deviations beyond the mean an object must be.
    objects : {"bright", "dark"}
        Whether the objects are brighter or darker than what surrounds them.
    **options : Options
        Steps before and after the cut.

    Returns
    -------
    uint8 array, same shape and library as `image`
        1 where there is an object, else 0; int32 numbers 1 to n with `one_per_object`.

    Raises
    ------
    ValueError
        If a setting is out of range, or the image has fewer than two grey levels.
    TypeError
        If the image is boolean, complex or of objects.

    Notes
    -----
    Good for: objects that are everywhere, in any light.

    Fails when: much of the image is empty: windows without an object cut their noise in two. Sauvola's rule is
    stricter there.

    With mean m and standard deviation s of the window, mirrored at the image's edges, bright objects are above
    m + k s and dark ones below m - k s (scikit-image's threshold, with -k for bright objects). Exact, as
    `sauvola`. Memory: a few blocks of float64 beyond input and output.

    References
    ----------
    .. [1] W. Niblack, "An Introduction to Digital Image Processing", Prentice-Hall 1986, pages 115-116.
    """

    def rule(_: Any, mean: Array, deviation: Array) -> Array:
        return k * deviation

    return _local(image, mask, rule, window, objects, options, partial(two_levels, "niblack"))


@method("Threshold", working=64.0, tile_memory=65.0, device_memory=75.0)
def local_mean(
    image: Image,
    mask: Mask | None = None,
    *,
    window: Window = 25.0,
    offset: float = 0.0,
    objects: Objects = "bright",
    **options: Unpack[Options],
) -> Labels:
    """Compare each voxel with the mean of its neighbourhood.

    The simplest cure for uneven light, when objects and gaps are of similar size.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X)
        Grey-level image, any real dtype. NaN is left out of every window and becomes 0.
    mask : array of the shape of `image`, optional
        Where to look; voxels outside are left out of every window and become 0.
    window : float
        Edge of the box around each voxel, in edges of the smallest voxel; somewhat larger than an object.
    offset : float
        How far beyond the mean an object must be, in the image's own units.
    objects : {"bright", "dark"}
        Whether the objects are brighter or darker than what surrounds them.
    **options : Options
        Steps before and after the cut.

    Returns
    -------
    uint8 array, same shape and library as `image`
        1 where there is an object, else 0; int32 numbers 1 to n with `one_per_object`.

    Raises
    ------
    ValueError
        If a setting is out of range, or the image has fewer than two grey levels.
    TypeError
        If the image is boolean, complex or of objects.

    Notes
    -----
    Good for: small objects in uneven light, with an offset above the noise.

    Fails when: the offset is below the noise: half of what is flat lies above its own mean.

    Bright objects are above the mean plus `offset`, dark ones below the mean minus `offset`. Exact, as
    `sauvola`. Memory: a few blocks of float64 beyond input and output.

    References
    ----------
    .. [1] R. C. Gonzalez and R. E. Woods, "Digital Image Processing", 4th ed., Pearson 2018, section 10.3.
    """

    def rule(_: Any, mean: Array, deviation: Array) -> float:
        return offset

    return _local(image, mask, rule, window, objects, options, partial(two_levels, "local_mean"))


def _local(
    image: Image,
    mask: Mask | None,
    rule: Rule,
    window: float,
    objects: Objects,
    options: Options,
    decide: Callable[[Any], Any],
) -> Labels:
    radii = tuple(math.floor(w / 2) for w in per_axis(window, options["spacing"], image.ndim))
    cut = partial(_beyond, rule=rule, radii=radii, objects=objects)
    plan = Reduce(None, (EXTENT,), decide, cut, "uint8", radii)
    return segment(lambda _: plan, image, mask, objects=objects, options=options)


def _beyond(model: Any, block: Array, mask: Array | None, *, rule: Rule, radii: Sequence[int], objects: str) -> Array:
    """Return 1 where a voxel is farther from the mean of its own window than the rule's margin."""
    xp = array_namespace(block)
    grey = xp.astype(block, xp.float64)
    known = xp.isfinite(grey) if mask is None else xp.isfinite(grey) & (mask != 0)
    counted = xp.where(known, grey, xp.zeros_like(grey))
    count = _box_sizes(known, radii)
    mean = box_sums(counted, radii) / count
    square = box_sums(counted * counted, radii) / count
    margin = rule(model, mean, xp.sqrt(xp.clip(square - mean * mean, 0.0, None))) + ROUNDING * xp.sqrt(square)
    beyond = grey > mean + margin if objects == "bright" else grey < mean - margin
    return xp.astype(beyond if mask is None else beyond & (mask != 0), xp.uint8)


def _box_sizes(known: Array, radii: Sequence[int]) -> Array | float:
    """Return how many voxels of each box are known, at least 1; the one number that it is where all are."""
    xp = array_namespace(known)
    if bool(xp.all(known)):
        return float(math.prod(2 * r + 1 for r in radii))
    return xp.clip(box_sums(xp.astype(known, xp.float64), radii), 1.0, None)


def box_sums(array: Array, radii: Sequence[int]) -> Array:
    """Return the sum of the box around each voxel, mirrored at the edges, by doubling.

    A sum of 2w values is one sum of w values plus the next, so a box of any size takes about 2 log2 w
    additions per axis; which additions depends on the box alone, not on where the array begins, so that
    blocks give the bits of the whole.
    """
    return separably(array, radii, _line_sums, edge=False)


def _line_sums(padded: Array, reach: int, axis: int) -> Array:
    n, width = padded.shape[axis] - 2 * reach, 2 * reach + 1
    total, done, power, length = None, 0, padded, 1
    while True:
        if width & length:
            part = along(power, axis, done, done + n)
            total = part if total is None else total + part
            done += length
        if done == width:
            return total
        extent = power.shape[axis]
        power = along(power, axis, 0, extent - length) + along(power, axis, length, extent)
        length *= 2
