"""Superpixels of the channels of an image, from the first statistics to connected regions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from .. import _statistics
from .._array import Array, is_lazy
from .._method import Labels, Mask
from .._monitor import note
from .._place import lying_at
from .._plan import Reduce, gathered, run_plan
from ._columns import source_of
from ._fragments import connected
from ._slic import Slic, SlicSettings, centre_passes, label_nearest, scaling_passes, told


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
    with lying_at(()):  # the grid is that of the arrays at hand, wherever they lie
        source, others = source_of(channels, ("intensity",), (1.0,), None)
    arrays = (channels[0], mask, *others)
    start, label = Slic(settings, len(channels)), partial(label_nearest, source)
    if is_lazy(channels[0]):
        raise NotImplementedError("superpixels of a dask array")
    state = gathered(start, scaling_passes(source), *arrays)
    with _statistics.alone():
        state = told(gathered(state, centre_passes(source), *arrays))
        numbers = run_plan(Reduce(state, (), lambda known: known, label, "int32"), *arrays)
    regions, n = connected(numbers, min_size * state.mean_size())
    note(n_regions=n)
    return regions
