"""The channels of an image as methods on graphs look at them: smoothed, and NaN wherever a voxel does not count."""

from __future__ import annotations

from functools import partial

from .._array import Array, array_namespace, dtype_name, is_lazy
from .._method import Image, Mask
from .._monitor import stage
from .._plan import PerVoxel, run_plan
from ..processing.features import channels_of
from ..processing.filters import all_finite, gaussian, working_dtype

__all__ = ["smoothed_inside"]

LARGEST = 1e37
"""The largest grey level: differences and weighted sums of such are finite in float32."""


def smoothed_inside(
    image: Image, mask: Mask | None, *, sigma: float, channel_axis: int | None, spacing: tuple[float, ...] | None
) -> list[Array]:
    """Return the channels of an image, smoothed by what lies inside.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X), with channels where `channel_axis` says
        Any real dtype.
    mask : array of the shape of a channel, or None
        Where to look.
    sigma : float
        Standard deviation of the Gaussian, in edges of the smallest voxel; 0 is off.
    channel_axis : int or None
        The axis that counts channels.
    spacing : tuple of float or None
        World length of a voxel along each axis.

    Returns
    -------
    list of float32 or float64 arrays
        NaN outside the mask and where any channel is not finite. Voxels outside count for nothing inside.

    Raises
    ------
    ValueError
        If a grey level inside is larger than `LARGEST`.
    """
    channels = channels_of(image, channel_axis)
    if mask is not None or not all(map(_surely_usable, channels)):
        only = partial(_only_inside, dtype=working_dtype(channels[0]))
        plan = PerVoxel(only, working_dtype(channels[0]))
        channels = [run_plan(plan, channel, mask, *channels) for channel in channels]
    stage("smoothing" if sigma else "looking at grey levels")
    return [gaussian(channel, sigma=sigma, spacing=spacing) for channel in channels]


def _surely_usable(channel: Array) -> bool:
    """Tell whether all voxels are finite, and none too large, without computing a dask array."""
    if not dtype_name(channel).startswith("float"):
        return True
    if is_lazy(channel):
        return False
    if dtype_name(channel) == "float16":  # which holds nothing as large
        return all_finite(channel)
    xp = array_namespace(channel)
    return bool(xp.all(channel <= LARGEST)) and bool(xp.all(channel >= -LARGEST))


def _only_inside(channel: Array, mask: Array | None, *channels: Array, dtype: str) -> Array:
    """Return a block as floats, NaN where it does not count."""
    xp = array_namespace(channel)
    levels = xp.astype(channel, getattr(xp, dtype))
    inside = xp.isfinite(levels)
    if mask is not None:
        inside = inside & (mask if dtype_name(mask) == "bool" else mask != 0)
    for other in channels:
        if dtype_name(other).startswith("float"):
            inside = inside & xp.isfinite(other)
    too_large = inside & (xp.abs(levels) > LARGEST)
    if bool(xp.any(too_large)):
        worst = float(xp.max(xp.abs(xp.where(too_large, levels, xp.zeros_like(levels)))))
        raise ValueError(
            f"image has grey levels up to {worst:.2g} either way, but no more than {LARGEST:g} can be smoothed and "
            "compared; divide it by its largest level"
        )
    return xp.where(inside, levels, xp.full_like(levels, xp.nan))
