"""Superpixels of the channels of an image, from the first statistics to connected regions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from .. import _statistics
from .._array import Array, contiguous, is_host, is_lazy
from .._method import Labels, Mask
from .._place import lying_at
from .._plan import Reduce, gathered, run_plan
from ._columns import source_of
from ._fragments_anywhere import connected
from ._slic import Slic, SlicSettings
from ._slic_blocks import centre_passes, label_nearest, scaling_passes, told


def partitioned(channels: Sequence[Array], mask: Mask | None, settings: SlicSettings, min_size: float) -> Labels:
    """Return the superpixels of channels.

    Parameters
    ----------
    channels : sequence of arrays of one shape
        Any real dtypes; a voxel that is not finite in one of them is outside.
    mask : array of that shape, or None
        Where to look.
    settings : SlicSettings
        What is asked for.
    min_size : float
        Parts smaller than this share of the mean size join a neighbour.

    Returns
    -------
    int32 array
        Connected regions from 1 by their first voxel in scan order; 0 outside.
    """
    if len(channels) > 1 and is_host(channels[0]):  # every sweep reads them all
        channels = [contiguous(channel) for channel in channels]
    with lying_at(()):  # the grid is that of the arrays at hand, wherever they lie
        source, others = source_of(channels, ("intensity",), (1.0,), None)
    arrays = (channels[0], mask, *others)
    start, label = Slic(settings, len(channels)), partial(label_nearest, source)
    if is_lazy(channels[0]):
        from ..blockwise import decided

        known = decided(told, start, (*scaling_passes(source), *centre_passes(source)), *arrays)
        return connected(run_plan(Reduce(known, (), _same, label, "int32"), *arrays), _least(known, min_size))
    state = gathered(start, scaling_passes(source), *arrays)
    with _statistics.alone():
        state = told(gathered(state, centre_passes(source), *arrays))
        numbers = run_plan(Reduce(state, (), _same, label, "int32"), *arrays)
        return connected(numbers, _least(state, min_size))


def _same(state: Slic) -> Slic:
    return state


def _least(state: Any, min_size: float) -> Any:
    """Return how small a part may be; of a delayed state a delayed number."""
    if isinstance(state, Slic):
        return min_size * state.mean_size()
    import dask

    return dask.delayed(_least)(state, min_size)
