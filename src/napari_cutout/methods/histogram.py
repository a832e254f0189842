"""The histogram itself as a method: its peaks and valleys, and the strokes that it is compared with."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Unpack

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, is_lazy, to_numpy
from .._checks import check_image, check_labels
from .._method import Image, Labels, Markers, Mask, Objects, Range, Typical, method
from .._monitor import note
from .._plan import Pass, Reduce, reduce_passes
from ..processing._chosen import highest_class, lowest_class, lowest_label
from ..processing.segment import Options, segment
from ._grey_levels import (
    Bins,
    Cuts,
    Histogram,
    bin_index,
    classify,
    counted_voxels,
    counting,
    levels,
    noted,
    reduce_grey_levels,
)

__all__ = ["histogram", "histogram_segmentation", "back_projection"]

MAX_LABEL = 255
"""Largest label that may be painted for `back_projection`, whose result is uint8."""

BY_CHANCE = 1.0
"""Rise of a square root of counts that says nothing: two standard deviations of the root of one count."""


def histogram(image: Image, mask: Mask | None = None) -> Histogram:
    """Count the grey levels of an image.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X)
        Grey-level image, any real dtype. NaN and infinite voxels are not counted.
    mask : array of the shape of `image`, optional
        Where to count.

    Returns
    -------
    Histogram
        Counts (int64) with the centres and edges of their bins, float64, in host memory: one bin per integer
        where the image spans fewer than 65,536 of them, else 65,536 equal bins over the finite range.

    Raises
    ------
    TypeError
        If the image is boolean, complex, of objects, or a dask array.
    ValueError
        If no voxel can be counted, or shapes differ.

    Notes
    -----
    Exact, in one sweep (two for floats and wide integers). If more than half of the voxels fall into one of
    65,536 bins, the bins are laid over the 0.01 to 99.99 % quantiles instead and ``narrowed`` is True.
    Memory: 8 bytes per bin and thread.
    """
    check_image(image)
    if mask is not None:
        check_labels("mask", mask, image.shape, boolean=True)
    if is_lazy(image):
        raise TypeError("histogram returns numbers, so it needs an array in memory, got a dask array; call .compute()")
    start, passes = counting(image)
    bins: Bins = reduce_passes(start, passes, image, mask)
    return noted(bins.histogram())


@method("Histogram", extras=("histogram",))
def histogram_segmentation(
    image: Image,
    mask: Mask | None = None,
    *,
    n_classes: Annotated[int, Range(2, 64)] | None = None,
    smoothing: Annotated[float, Range(0, 64, 0.5), Typical(1, 12, off=True)] = 3.0,
    prominence: Annotated[float, Range(0, 1, 0.01), Typical(0.005, 0.3)] = 0.02,
    objects: Objects = "bright",
    **options: Unpack[Options],
) -> Labels:
    """Cut in the valleys between the peaks of the histogram.

    One class for every peak: background, dim cells, bright cells. The number of classes is found, or given.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X)
        Grey-level image, any real dtype. NaN is left out of the histogram and becomes 0.
    mask : array of the shape of `image`, optional
        Where to look; voxels outside are left out of the histogram and become 0.
    n_classes : int, optional
        Number of classes: the most prominent peaks are taken. By default as many as there are peaks.
    smoothing : float
        Standard deviation of the Gaussian that smooths the histogram, in bins of 1/256 of the grey scale.
    prominence : float
        How far a peak must stand above the higher of the two valleys beside it, as a share of the highest
        peak, both on square roots of the counts, where noise is the same everywhere.
    objects : {"bright", "dark"}
        Which class the steps after the cut work on: the brightest or the darkest.
    **options : Options
        Steps before and after the cut. A voxel that they take from an object goes to the next class.

    Returns
    -------
    uint8 array, same shape and library as `image`
        1 to n by rising grey level, 0 where not classified; int32 numbers of the objects with
        `one_per_object`.

    Raises
    ------
    ValueError
        If fewer than two peaks, or than `n_classes`, stand out.
    TypeError
        If the image is boolean, complex or of objects.

    Notes
    -----
    Good for: grey levels that gather in peaks, however many, when nobody knows the levels.

    Fails when: uneven light or noise smears the peaks into one.

    Exact. The histogram is joined to at most 256 bins before it is smoothed. Memory: under 1 byte per voxel
    beyond input and output.

    References
    ----------
    .. [1] J. M. S. Prewitt and M. L. Mendelsohn, "The analysis of cell images", Ann. N. Y. Acad. Sci. 128 (1966)
       1035-1053. DOI:10.1111/j.1749-6632.1965.tb11715.x
    .. [2] A. Rosenfeld and P. de la Torre, "Histogram concavity analysis as an aid in threshold selection", IEEE Trans.
       Syst. Man Cybern. 13 (1983) 231-235. DOI:10.1109/TSMC.1983.6313118
    """
    decide = partial(_valley_cuts, n_classes=n_classes, smoothing=smoothing, prominence=prominence)
    plan_for = partial(reduce_grey_levels, decide=decide)
    chosen = highest_class if objects == "bright" else lowest_class
    return segment(plan_for, image, mask, objects=objects, options=options, choose=chosen)


@method("Histogram", extras=("histogram",))
def back_projection(
    image: Image,
    markers: Markers,
    mask: Mask | None = None,
    *,
    fit: Annotated[float, Range(0, 1000, 0.1), Typical(0.2, 20)] = 1.0,
    smoothing: Annotated[float, Range(0, 64, 0.5), Typical(1, 12, off=True)] = 3.0,
    objects: Objects = "bright",
    **options: Unpack[Options],
) -> Labels:
    """Select voxels whose grey level is typical of your strokes.

    Paint a few strokes on what you want (label 1), and on what you do not want if you like (label 2 and more):
    every voxel gets the label under whose strokes its grey level is most common.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X)
        Grey-level image, any real dtype. NaN becomes 0.
    markers : int array of the shape of `image`
        Painted strokes: 0 is not painted, 1 to 255 are labels.
    mask : array of the shape of `image`, optional
        Where to look; voxels outside, and strokes outside, are left out.
    fit : float
        How many times as common as in the whole image a grey level must be under the strokes of a label. 1
        keeps what is more typical of the strokes than of the image, 0 gives every voxel a label.
    smoothing : float
        Standard deviation of the Gaussian that smooths both histograms, in bins of 1/256 of the grey scale.
    objects : {"bright", "dark"}
        Read by `background_radius` only; the strokes say what the objects are.
    **options : Options
        Steps before and after the cut; those after it work on the lowest label painted.

    Returns
    -------
    uint8 array, same shape and library as `image`
        The labels of the strokes, 0 where none fits; int32 numbers of the objects with `one_per_object`.

    Raises
    ------
    ValueError
        If nothing is painted, a label is negative or above 255, or shapes differ.
    TypeError
        If the image is boolean, complex or of objects, or markers are floats.

    Notes
    -----
    Good for: objects whose grey levels nothing else has, even if they have several.

    Fails when: what is around has the same grey levels: where a voxel lies does not count.

    Exact; ties go to the smallest label. The ratio of the two histograms is Swain and Ballard's, without
    their limit of 1. Memory: under 1 byte per voxel beyond input and output.

    References
    ----------
    .. [1] M. J. Swain and D. H. Ballard, "Color indexing", Int. J. Comput. Vis. 7 (1991) 11-32. DOI:10.1007/BF00130487
    """

    def plan_for(prepared: Image) -> Reduce:
        start, passes = counting(prepared)
        sweeps = (*(_of_bins(p) for p in passes), _STROKES)
        return Reduce(Painted(start), sweeps, partial(_fitting_cuts, fit=fit, smoothing=smoothing), classify, "uint8")

    return segment(plan_for, image, mask, markers, objects=objects, options=options, choose=lowest_label)


# Peaks and valleys -------------------------------------------------------------------------------------


def smoothed(counts: NDArray[np.int64], smoothing: float) -> NDArray[np.float64]:
    """Return counts after a Gaussian of ``smoothing / 256`` of their length; nothing lies beyond the ends."""
    from scipy.ndimage import gaussian_filter1d

    sigma = smoothing * len(counts) / 256
    real = counts.astype(np.float64)
    return np.asarray(gaussian_filter1d(real, sigma, mode="constant")) if sigma > 0 else real


def peaks_of(counts: NDArray[np.float64], prominence: float) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return where a smooth histogram has peaks, and how prominent each is on square roots of the counts."""
    from scipy.signal import find_peaks

    height = np.sqrt(np.pad(counts, 1))  # a peak may stand in the first or last bin
    at, found = find_peaks(height, prominence=max(prominence * height.max(), np.finfo(float).tiny))
    return at - 1, found["prominences"]


def _valley_cuts(histogram: Histogram, n_classes: int | None, smoothing: float, prominence: float) -> Cuts:
    levels(histogram, n_classes or 2, "histogram_segmentation")
    bins = histogram.rebinned()
    curve = smoothed(bins.counts, smoothing)
    peaks, heights = peaks_of(curve, prominence)
    if len(peaks) < (n_classes or 2):
        raise ValueError(
            f"histogram_segmentation needs at least {n_classes or 2} peaks in the histogram, but {len(peaks)} stand "
            f"out with smoothing={smoothing:g} and prominence={prominence:g}; {_way_out(curve, n_classes or 2)}"
        )
    if n_classes is not None:
        peaks = np.sort(peaks[np.argsort(-heights, kind="stable")[:n_classes]])
    valleys = [a + int(np.argmin(curve[a : b + 1])) for a, b in itertools.pairwise(peaks)]
    cuts = Cuts.rising(bins.edges[valleys])
    note(n_classes=len(peaks), peaks=bins.values[peaks].tolist(), thresholds=list(cuts.thresholds))
    return cuts


def _way_out(curve: NDArray[np.float64], n_wanted: int) -> str:
    """Say which prominence would find enough peaks that are more than chance, if any does."""
    _, heights = peaks_of(curve, 0.0)
    if len(heights) < n_wanted:
        return "lower smoothing, or use multi_otsu"
    last = float(np.sort(heights)[-n_wanted])
    if last < BY_CHANCE:
        return "use multi_otsu, because the other rises are no higher than chance makes them"
    enough = last / float(np.sqrt(curve.max()))
    digit = 10.0 ** (np.floor(np.log10(enough)) - 1)
    return f"prominence={np.floor(enough / digit) * digit:.3g} finds {n_wanted}, or use multi_otsu"


# Strokes -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Painted:
    """The grey levels of the image, and those under the strokes of each label.

    Parameters
    ----------
    bins : Bins
        Where the bins lie, and the counts of the image.
    groups : Histogram, optional
        The image's histogram joined to at most 256 bins, in which strokes are counted.
    strokes : int64 array of shape (256, n), optional
        Voxels under the strokes of each label, in each of these bins.
    """

    bins: Bins
    groups: Histogram | None = None
    strokes: NDArray[np.int64] | None = None


def _of_bins(sweep: Pass) -> Pass:
    """Return a pass over `Painted` that does what `sweep` does to its bins."""
    return replace(
        sweep,
        chunk=lambda state, *blocks: sweep.chunk(state.bins, *blocks),
        finish=lambda state, summary: replace(state, bins=sweep.finish(state.bins, summary)),
        needed=lambda state: sweep.needed(state.bins),
    )


def _count_strokes(state: Painted, image: Array, mask: Array | None, markers: Array) -> NDArray[np.int64]:
    """Count the grey levels under the strokes of a block; few voxels are painted, and only those are read."""
    xp = array_namespace(image)
    counted = counted_voxels(image, mask)
    painted = markers != 0 if counted is None else (markers != 0) & counted
    labels = to_numpy(xp.astype(markers[painted], xp.int64))
    if labels.size and (labels.min() < 0 or labels.max() > MAX_LABEL):
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise ValueError(f"markers must be labels from 0 to {MAX_LABEL}, got {wrong}; renumber the strokes")
    groups = state.bins.histogram().rebinned()
    n = len(groups.edges)
    group_of_bin = np.minimum(np.searchsorted(groups.edges, state.bins.edges()), n - 1)
    at = group_of_bin[to_numpy(bin_index(state.bins, image[painted]))]
    return np.bincount(labels * n + at, minlength=(MAX_LABEL + 1) * n).reshape(MAX_LABEL + 1, n)


def _with_strokes(state: Painted, strokes: NDArray[np.int64]) -> Painted:
    return replace(state, groups=state.bins.histogram().rebinned(), strokes=strokes)


_STROKES = Pass(_count_strokes, np.add, _with_strokes, lambda state: True, "reading the strokes")


def _fitting_cuts(state: Painted, fit: float, smoothing: float) -> Cuts:
    """Give every bin the label under whose strokes it is most common, if it fits well enough."""
    assert state.groups is not None
    assert state.strokes is not None
    noted(state.groups)
    painted = np.flatnonzero(state.strokes.any(axis=1))
    if not len(painted):
        raise ValueError("markers have no painted voxel (all are 0, or outside mask); paint strokes with label 1")
    image = smoothed(state.groups.counts, smoothing)
    strokes = np.stack([smoothed(state.strokes[label], smoothing) for label in painted])
    share = strokes / strokes.sum(axis=1, keepdims=True)
    best = np.argmax(share, axis=0)
    fits = share.max(axis=0) * image.sum() >= fit * image
    note(labels=painted.tolist(), stroke_voxels=int(state.strokes.sum()))
    return Cuts.of_bins(state.groups.edges, np.where(fits, painted[best], 0))
