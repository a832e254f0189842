"""How likely a colour is under the strokes of a label: histograms, smoothed as much as their spread says.

Up to four channels are counted together, so that a colour is more than its channels; more are taken as independent,
since a joint histogram would have more bins than strokes have voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["QUANTUM", "Bins", "bins_for", "costs_of"]

QUANTUM = 1 << 10
"""Whole numbers in a cost of 1: costs are rounded to thousandths of the natural logarithm of a likelihood."""

TOGETHER = {1: 256, 2: 64, 3: 16, 4: 8}
"""Bins of each channel, by how many channels are counted together: 256 to 4096 in all."""

NARROWEST = 0.5
"""Bins that the smoothing reaches at least, so that a stroke of one colour knows its neighbours."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bins:
    """Where the bins of a histogram of several channels lie.

    Parameters
    ----------
    lows, highs : tuple of float
        The smallest and the largest grey level under the strokes, of each channel: the outer bins hold all that is
        beyond.
    n : int
        Bins of each channel.
    joint : bool
        True if all channels are counted together, else each has a histogram of its own.
    """

    lows: tuple[float, ...]
    highs: tuple[float, ...]
    n: int
    joint: bool

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shape of each histogram."""
        return [(self.n,) * len(self.lows)] if self.joint else [(self.n,)] * len(self.lows)

    def of(self, levels: Sequence[NDArray[np.float64]]) -> list[Ints]:
        """Return the bin of each voxel in each histogram, given its finite grey level in each channel."""
        found: list[Ints] = []
        for level, low, high in zip(levels, self.lows, self.highs, strict=True):
            width = high / 2 - low / 2  # halves, so that the largest floats have a difference
            share = np.zeros(level.shape) if width == 0 else np.clip((level / 2 - low / 2) / width, 0, 1)
            found.append(np.minimum((share * self.n).astype(np.int64), self.n - 1))
        if not self.joint:
            return found
        together = found[0]
        for bins in found[1:]:
            together = together * self.n + bins
        return [together]


def bins_for(lows: Sequence[float], highs: Sequence[float]) -> Bins:
    """Return the bins for channels whose strokes have grey levels in these ranges."""
    joint = len(lows) in TOGETHER
    return Bins(tuple(lows), tuple(highs), TOGETHER[len(lows) if joint else 1], joint)


def costs_of(counts: NDArray[Any], shape: tuple[int, ...]) -> Ints:
    """Return what each label costs in each bin: the negative logarithm of its likelihood, in whole numbers.

    Parameters
    ----------
    counts : int array of shape (n_labels, bins)
        Voxels under the strokes of each label; at least one of each.
    shape : tuple of int
        Bins of each channel, whose product is the number of bins.

    Returns
    -------
    int64 array of shape (n_labels, bins)
        In units of 1 / `QUANTUM`.

    Notes
    -----
    Each histogram is smoothed by a Gaussian as wide as Scott's rule says: in each channel ``s n^(-1 / (d + 4))``, with
    the standard deviation s of the n voxels, and d channels. Then one more voxel is added, spread over all bins, so
    that nothing is impossible.

    References
    ----------
    .. [1] D. W. Scott, "Multivariate Density Estimation", Wiley 1992. DOI:10.1002/9780470316849
    """
    from scipy.ndimage import gaussian_filter

    found = np.empty(counts.shape, np.int64)
    for label, row in enumerate(counts):
        histogram, n = row.reshape(shape).astype(np.float64), int(row.sum())
        widths = [max(s * n ** (-1 / (len(shape) + 4)), NARROWEST) for s in _spreads(histogram)]
        smooth = gaussian_filter(histogram, widths, mode="reflect").reshape(-1)
        likelihood = (smooth + 1 / smooth.size) / (n + 1)
        found[label] = np.rint(-np.log(likelihood) * QUANTUM)
    return found


def _spreads(histogram: Floats) -> list[float]:
    """Return the standard deviation along each axis, in bins."""
    spreads = []
    for axis in range(histogram.ndim):
        along = histogram.sum(axis=tuple(a for a in range(histogram.ndim) if a != axis))
        at, n = np.arange(len(along)), along.sum()
        mean = (along * at).sum() / n
        spreads.append(float(np.sqrt((along * np.square(at - mean)).sum() / n)))
    return spreads
