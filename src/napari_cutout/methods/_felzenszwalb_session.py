"""The edges of an image in their order, held so that another scale takes no more than the merging."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array
from .._monitor import note, stage, tick
from ._edges import HEAVIEST, Window, counted, gathered
from ._felzenszwalb import COARSE, begun, lattice_of
from ._inside import smoothed_inside
from ._merging import forest_of, merge, merge_small, number
from .partition import usual_scale

__all__ = ["BYTES_PER_VOXEL", "Session"]

BYTES_PER_VOXEL = 80
"""Of a 2-D image, with 4 edges for each pixel: 12 bytes for each edge, 4 for each of levels and voxels, and labels."""


class Session:
    """An image whose regions are asked for again and again, with other scales and sizes.

    ``Session(image, mask, settings).labels(settings)`` is ``felzenszwalb(image, mask, **settings)``, whatever `scale`
    and `min_size` are.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X), with channels where `channel_axis` says
        In host memory.
    mask : array, optional
        Where to look.
    settings : mapping
        All settings of `felzenszwalb`.
    """

    def __init__(self, image: Array, mask: Array | None, settings: Mapping[str, Any]) -> None:
        given = {name: settings.get(name) for name in ("channel_axis", "spacing")}
        self._channels = smoothed_inside(image, mask, sigma=settings["sigma"], **given)
        ndim = self._channels[0].ndim
        connectivity = settings.get("connectivity") or (ndim if ndim == 2 else 1)
        lattice = lattice_of(self._channels, connectivity, given["spacing"])
        self._begun = begun(lattice, 0.0).labels
        stage("ordering edges")
        tick(0, 1)
        every = Window(0, HEAVIEST + 1, COARSE)
        counts = counted(lattice, self._begun, every, False)
        tick(1, 2)
        self._edges = gathered(lattice, self._begun, every, counts, False)

    def usual_scale(self) -> float:
        """Return the scale by default."""
        return float(usual_scale(self._channels))

    def labels(self, settings: Mapping[str, Any]) -> NDArray[np.int32]:
        """Return the regions for these settings.

        Parameters
        ----------
        settings : mapping
            All settings of `felzenszwalb`; but for `scale` and `min_size` those that it was made with.
        """
        scale, min_size = settings.get("scale"), settings["min_size"]
        scale = self.usual_scale() if scale is None else scale
        note(scale=scale)
        stage("merging regions")
        tick(0, 2)
        forest = forest_of(self._begun.size, scale)
        merge(self._edges, forest, scale)
        tick(1, 2)
        if min_size > 1:
            merge_small(self._edges, forest, min_size)
        labels = self._begun.copy()
        n = number(labels, forest)
        note(n_regions=n)
        return labels.reshape(self._channels[0].shape)
