"""Filters that feed the methods: the same numbers on every device, whole or in blocks.

Sums are taken in a fixed order and every product is rounded before it is added (array operations never
fuse the two), so a filtered image is bit-identical wherever it is computed, and so is what is cut from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Annotated

import numpy as np

from .._array import Array, array_namespace, dtype_name, from_numpy, is_host, ndimage
from .._checks import check_image, check_spacing
from .._method import Image, Range
from .._plan import Halo, run_plan
from ._per_voxel import per_voxel
from ._weighted_means import weighted_means_on_host

__all__ = ["gaussian", "gradient_magnitude", "median", "subtract_background", "grey"]

TRUNCATE = 4.0
"""A Gaussian is cut off at this many standard deviations."""

MAX_RATIO = 2.0**40
"""Edges of a voxel more unequal than this are taken as this: no method can tell the difference."""


def gaussian(image: Image, *, sigma: Annotated[float, Range(0, 1000)], spacing: Sequence[float] | None = None) -> Array:
    """Smooth an image with a Gaussian.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X)
        Grey-level image, any real dtype. NaN is left out of every weighted mean and stays NaN.
    sigma : float
        Standard deviation, in edges of the smallest voxel.
    spacing : sequence of float, optional
        World length of a voxel along each axis; coarse axes are smoothed over fewer voxels.

    Returns
    -------
    array of float32 or float64, same shape and library as `image`
        The image's grey levels: float64 for float64 and integers of more than 16 bits, else float32.

    Raises
    ------
    ValueError
        If `sigma` is negative, or `spacing` does not fit the image.

    Notes
    -----
    Edges are mirrored (``d c b a | a b c d | d c b a``). Exact: every device and tiling gives the same bits.
    Memory beyond the result: a few blocks.
    """
    check_image(image)
    Range(0, 1000).check("sigma", sigma)
    sigmas = per_axis(sigma, spacing, image.ndim)
    weights = [gaussian_weights(s) for s in sigmas]
    kind = working_dtype(image)
    plan = Halo(partial(weighted_means, weights=weights, dtype=kind), tuple(len(w) - 1 for w in weights), kind)
    return run_plan(plan, image)


def median(image: Image, *, radius: Annotated[int, Range(0, 50)], spacing: Sequence[float] | None = None) -> Array:
    """Replace every voxel by the median of the box around it.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X)
        Grey-level image, any real dtype, without NaN.
    radius : int
        The box reaches this many edges of the smallest voxel to every side.
    spacing : sequence of float, optional
        World length of a voxel along each axis; along coarse axes the box holds fewer voxels.

    Returns
    -------
    array of the dtype, shape and library of `image`
        Exact on every device.

    Raises
    ------
    ValueError
        If the image holds NaN, `radius` is out of range or `spacing` does not fit the image.

    Notes
    -----
    Edges are mirrored. Memory beyond the result: a few blocks.
    """
    check_image(image)
    Range(0, 50).check("radius", radius)
    radii = tuple(round(r) for r in per_axis(radius, spacing, image.ndim))

    def middle(block: Array) -> Array:
        _refuse_nan(block, "median")
        size = tuple(2 * r + 1 for r in radii)
        found = ndimage(block).median_filter(_filterable(block), size=size, mode="reflect")
        return array_namespace(block).astype(found, block.dtype, copy=False)

    return run_plan(Halo(middle, radii, dtype_name(image)), image)


def subtract_background(
    image: Image,
    *,
    radius: Annotated[float, Range(0, 1000)],
    dark: bool = False,
    spacing: Sequence[float] | None = None,
) -> Array:
    """Remove uneven background: keep what is smaller than a box.

    The background is the grey-level opening of the image by a box (the highest surface from below that the
    box can touch everywhere), smoothed with a Gaussian of half the box's radius so that the box leaves no
    corners; what stands above it stays. For dark objects it is the closing, seen from above.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X)
        Grey-level image, any real dtype, without NaN.
    radius : float
        Half the edge of the box, in edges of the smallest voxel; larger than the radius of the objects.
    dark : bool
        True if the objects are darker than the background.
    spacing : sequence of float, optional
        World length of a voxel along each axis.

    Returns
    -------
    array of float32 or float64, same shape and library as `image`
        The image minus its background: about 0 where there is no object.

    Raises
    ------
    ValueError
        If the image holds NaN, `radius` is out of range or `spacing` does not fit the image.

    References
    ----------
    .. [1] P. Soille, "Morphological Image Analysis", 2nd ed., Springer 2004, chapter 4. DOI:10.1007/978-3-662-05088-0
    """
    check_image(image)
    Range(0, 1000).check("radius", radius)
    radii = tuple(round(r) for r in per_axis(radius, spacing, image.ndim))
    kind = working_dtype(image)
    surface = run_plan(
        Halo(partial(_opening, radii=radii, closing=dark), tuple(2 * r for r in radii), dtype_name(image)),
        image,
    )
    background = gaussian(surface, sigma=radius / 2, spacing=spacing)
    return per_voxel(_less, kind, [image, background], kind)


def _less(kind: str, image: Array, background: Array) -> Array:
    xp = array_namespace(image)
    return xp.astype(image, getattr(xp, kind)) - background


def gradient_magnitude(image: Image, *, spacing: Sequence[float] | None = None) -> Array:
    """Measure how steeply the grey levels change.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X)
        Grey-level image, any real dtype.
    spacing : sequence of float, optional
        World length of a voxel along each axis; a step along a coarse axis counts for less.

    Returns
    -------
    array of float32 or float64, same shape and library as `image`
        Grey levels per edge of the smallest voxel: the length of the vector of central differences. NaN where the
        image is NaN.

    Raises
    ------
    ValueError
        If `spacing` does not fit the image.

    Notes
    -----
    Edges are mirrored. A neighbour that is NaN counts as equal, and two infinite ones that are equal differ by 0.
    Exact. Memory beyond the result: a few blocks.

    Examples
    --------
    >>> import numpy as np
    >>> gradient_magnitude(np.array([[0, 0, 2, 6, 6]])).tolist()
    [[0.0, 1.0, 3.0, 2.0, 0.0]]
    """
    check_image(image)
    kind = working_dtype(image)
    scales = [step / 2 for step in per_axis(1.0, spacing, image.ndim)]
    return run_plan(Halo(partial(_slope, scales=scales, dtype=kind), (1,) * image.ndim, kind), image)


def _slope(block: Array, scales: Sequence[float], dtype: str) -> Array:
    """Return the length of the vector of central differences, NaN where the block is."""
    xp = array_namespace(block)
    levels = xp.astype(block, getattr(xp, dtype))
    finite = not dtype_name(block).startswith("float") or all_finite(levels)
    return length(central_difference(levels, axis, scale, finite=finite) for axis, scale in enumerate(scales))


def length(components: Iterable[Array]) -> Array:
    """Return the length of vectors: squares are added up in the order of their components."""
    total: Array = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for component in components:
            total = total + component * component
    return array_namespace(total).sqrt(total)


def all_finite(levels: Array) -> bool:
    """Tell whether floats hold neither NaN nor infinity."""
    xp = array_namespace(levels)
    return bool(xp.all(xp.isfinite(levels)))


def central_difference(levels: Array, axis: int, scale: float, *, finite: bool) -> Array:
    """Return what is after every voxel minus what is before it, times `scale`; edges are mirrored.

    If not all is `finite`, a neighbour that is NaN counts as equal, and NaN stays. Elsewhere `finite` cannot show.
    """
    wide, n = mirrored(levels, 1, axis), levels.shape[axis]
    before, after = along(wide, axis, 0, n), along(wide, axis, 2, n + 2)
    with np.errstate(over="ignore", invalid="ignore"):
        return (after - before if finite else _rise(levels, before, after)) * scale


def _rise(here: Array, before: Array, after: Array) -> Array:
    """Subtract neighbours that may not be finite; NaN where the voxel is."""
    xp = array_namespace(here)
    before, after = (xp.where(xp.isnan(side), here, side) for side in (before, after))
    rise = xp.where(after == before, xp.zeros_like(here), after - before)
    return xp.where(xp.isnan(here), here, rise)


def grey(image: Array, *, channel_axis: int = -1) -> Array:
    """Average the colour channels of an image; an alpha channel is left out.

    Parameters
    ----------
    image : array of shape (Y, X, 3) or (Y, X, 4)
        Colour image; with `channel_axis` the channels may stand anywhere.
    channel_axis : int
        The axis that holds the channels.

    Returns
    -------
    float32 array without the channel axis
        In the image's own units: nothing is rescaled.

    Raises
    ------
    ValueError
        If the image has fewer than three dimensions.
    """
    xp = array_namespace(image)
    if image.ndim < 3:
        raise ValueError(f"grey needs a channel axis, got shape {tuple(image.shape)}; the image is grey already")
    channels = xp.moveaxis(image, channel_axis, -1)
    n = 3 if channels.shape[-1] == 4 else channels.shape[-1]
    return xp.mean(xp.astype(channels[..., :n], xp.float32), axis=-1)


def per_axis(length: float, spacing: Sequence[float] | None, ndim: int) -> tuple[float, ...]:
    """Return `length`, given in edges of the smallest voxel, in voxels along each axis.

    The ratio of the voxel's edges is rounded to 1/1024, so that the unit of `spacing` cannot show.
    """
    return tuple(length / (edge / 1024) for edge in edges(spacing, ndim))


def edges(spacing: Sequence[float] | None, ndim: int) -> tuple[int, ...]:
    """Return the edges of a voxel in 1/1024 of the smallest one; all 1024 without `spacing`."""
    lengths = check_spacing(spacing if spacing is not None else (1.0,) * ndim, ndim)
    smallest = min(lengths)
    return tuple(round(min(s / smallest, MAX_RATIO) * 1024) for s in lengths)


def gaussian_weights(sigma: float) -> list[float]:
    """Return the weights of the centre and of one side of a Gaussian, from the host, in float64."""
    if sigma == 0:
        return [1.0]
    radius = int(TRUNCATE * sigma + 0.5)
    side = [math.exp(-0.5 * (k / sigma) ** 2) for k in range(radius + 1)]
    total = side[0] + 2 * math.fsum(side[1:])
    return [w / total for w in side]


def working_dtype(image: Array) -> str:
    """Return the float dtype that holds the image's grey levels: float32 up to 16-bit integers."""
    return "float32" if dtype_name(image) in ("int8", "uint8", "int16", "uint16", "float16", "float32") else "float64"


def mirrored(array: Array, reach: int, axis: int, *, edge: bool = True) -> Array:
    """Extend an array along one axis by its mirror image.

    Parameters
    ----------
    array : array
        Any shape.
    reach : int
        Voxels to add on either side; may exceed the array.
    axis : int
        The axis.
    edge : bool
        True repeats the edge voxel (``b a | a b``), False mirrors about it (``c b | a b c``).

    Returns
    -------
    array
        Longer by ``2 * reach`` along `axis`.
    """
    n = array.shape[axis]
    period = 2 * n if edge else max(2 * n - 2, 1)
    at = np.arange(-reach, n + reach) % period
    at = np.minimum(at, period - 1 - at if edge else (period - at) % period if n > 1 else 0)
    xp = array_namespace(array)
    return xp.take(array, from_numpy(at, like=array), axis=axis)


def along(array: Array, axis: int, start: int, stop: int) -> Array:
    """Return ``array[..., start:stop, ...]`` along one axis."""
    return array[tuple(slice(start, stop) if a == axis else slice(None) for a in range(array.ndim))]


def separably(array: Array, reaches: Sequence[int], line: Callable[[Array, int, int], Array], *, edge: bool) -> Array:
    """Apply ``line(padded, reach, axis)`` along every axis that reaches beyond the voxel itself."""
    for axis, reach in enumerate(reaches):
        if reach:
            array = line(mirrored(array, reach, axis, edge=edge), reach, axis)
    return array


def weighted_means(block: Array, weights: list[list[float]], dtype: str) -> Array:
    """Correlate with symmetric weights along every axis; NaN counts for nothing and stays."""
    xp = array_namespace(block)
    grey_levels = xp.astype(block, getattr(xp, dtype))
    if dtype_name(block).startswith("float"):
        missing = xp.isnan(grey_levels)
        if bool(xp.any(missing)):
            return _normalised_means(grey_levels, missing, weights)
    return _means(grey_levels, weights)


def _normalised_means(grey_levels: Array, missing: Array, weights: list[list[float]]) -> Array:
    """Divide by the share of the weights that fell on valid voxels.

    Where all are valid that share is the same sum of the same numbers as in a block without NaN, and the
    quotient is exactly 1: whether a block holds a NaN elsewhere cannot show.
    """
    xp = array_namespace(grey_levels)
    valid = xp.astype(~missing, grey_levels.dtype)
    full = _means(xp.ones_like(grey_levels), weights)
    share = _means(valid, weights) / full
    sums = _means(xp.where(missing, xp.zeros_like(grey_levels), grey_levels), weights)
    safe = xp.where(missing, xp.ones_like(share), share)
    return xp.where(missing, xp.full_like(sums, xp.nan), sums / safe)


def _means(array: Array, weights: list[list[float]]) -> Array:
    if is_host(array):
        return weighted_means_on_host(array, weights)

    def line(padded: Array, reach: int, axis: int) -> Array:
        n = padded.shape[axis] - 2 * reach
        side = weights[axis]
        out = along(padded, axis, reach, reach + n) * side[0]
        for k in range(1, reach + 1):
            pair = along(padded, axis, reach - k, reach - k + n) + along(padded, axis, reach + k, reach + k + n)
            out = out + pair * side[k]
        return out

    return separably(array, [len(w) - 1 for w in weights], line, edge=True)


def _opening(block: Array, radii: tuple[int, ...], closing: bool) -> Array:
    """Grey-level opening (or closing) by a box, from one-dimensional minima and maxima."""
    _refuse_nan(block, "background subtraction")
    library, block = ndimage(block), _filterable(block)
    first, second = library.minimum_filter1d, library.maximum_filter1d
    for extreme in (second, first) if closing else (first, second):
        for axis, radius in enumerate(radii):
            if radius:
                block = extreme(block, 2 * radius + 1, axis=axis, mode="reflect")
    return block


def _filterable(block: Array) -> Array:
    """Return a block in a dtype that SciPy's rank filters know; no value changes."""
    xp = array_namespace(block)
    return xp.astype(block, xp.float32) if dtype_name(block) == "float16" else block


def _refuse_nan(block: Array, step: str) -> None:
    xp = array_namespace(block)
    if dtype_name(block).startswith("float") and bool(xp.any(xp.isnan(block))):
        raise ValueError(
            f"image holds NaN, and {step} has no rule for it; replace NaN first, for example with numpy.nan_to_num"
        )
