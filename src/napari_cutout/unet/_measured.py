"""The spread of grey levels of images that are learned from, and by what their voxels are known again."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._array import Array, to_numpy
from .._monitor import tick
from ._pairs import Blocks, Pair
from ._scaling import Scaling, moments_pass, scaling_of

__all__ = ["GreyLevels", "measured"]

MOST_MEASURED = 1 << 27
"""Voxels of a channel that are read for its mean and standard deviation; of more, so many in random blocks."""


@dataclass(frozen=True, slots=True)
class GreyLevels:
    """What was found out about a channel.

    Parameters
    ----------
    scaling : Scaling
        Its mean and standard deviation.
    contents : str
        By what the voxels that were read are known again.
    share : float
        How much of it was read; 1 is all of it.
    constant : bool
        True if all finite voxels that were read are the same.
    """

    scaling: Scaling
    contents: str
    share: float
    constant: bool


def measured(pairs: Sequence[Pair], most: int = MOST_MEASURED) -> list[tuple[GreyLevels, ...]]:
    """Measure the grey levels of images.

    Parameters
    ----------
    pairs : sequence of Pair
        The images.
    most : int
        About how many voxels of a channel to read at most; the same ones every time.

    Returns
    -------
    list of tuple of GreyLevels
        One for each channel of each image.

    Raises
    ------
    ValueError
        If no voxel of a channel is finite, or all images are constant.
    """
    found = [tuple(_measured(pair, number, most) for number in range(len(pair.channels))) for pair in pairs]
    if all(channel.constant for one in found for channel in one):
        raise ValueError("every image is constant, so there is nothing to learn from; was the right layer chosen?")
    return found


def _measured(pair: Pair, number: int, most: int) -> GreyLevels:
    """Return what is found out about a channel."""
    channel: Array = pair.channels[number]
    blocks, total = Blocks.of(channel), math.prod(pair.shape)
    order = range(len(blocks)) if total <= most else np.random.default_rng(len(blocks)).permutation(len(blocks))
    moments, crc, read = None, 0, 0
    for at in order:
        block = np.ascontiguousarray(to_numpy(channel[blocks[int(at)]]))
        crc = zlib.crc32(block.reshape(-1).view(np.uint8).data, crc)
        here = moments_pass.chunk(None, block)
        moments = here if moments is None else moments_pass.combine(moments, here)
        read += block.size
        tick(read, min(most, total))
        if read >= most:
            break
    if moments is None or moments.n == 0:
        raise ValueError(f"channel {number} of {pair.name} has no finite voxel; leave the image out")
    return GreyLevels(scaling_of(moments), f"{crc:08x}", read / total, moments.squares == 0)
