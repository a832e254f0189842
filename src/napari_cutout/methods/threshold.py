"""Global thresholds.  Each is a histogram, then arithmetic on its counts, then one comparison per voxel."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated, Literal, Unpack

import numpy as np
from numpy.typing import NDArray

from .._array import Array, dtype_name
from .._compiled import compiled
from .._method import GreyLevel, Image, Items, Labels, Mask, Objects, Range, Typical, method
from .._monitor import note
from .._plan import PerVoxel, Reduce, run_plan
from ..processing._chosen import highest_class, lowest_class
from ..processing._per_voxel import as_dtype, kept, per_voxel
from ..processing.labels import reaching
from ..processing.segment import Options, known_voxels, prepare, segment, tidy
from ._grey_levels import EXTENT, NOTHING_FINITE, Cuts, Histogram, above, classify, levels, reduce_grey_levels

__all__ = ["threshold", "threshold_at", "multi_otsu", "classes_at", "hysteresis"]

MAX_VALUES = 63
"""How many grey levels may be given to cut at: as many as `multi_otsu` can find."""

MAX_LEVELS_OF_MINIMUM = 4096
"""Smoothing a histogram until two peaks are left takes minutes on more bins than this, and then fails."""

MAX_SMOOTHINGS = 10_000
"""How often `minimum` smooths before it gives up, as in scikit-image."""


@method("Threshold", extras=("histogram",))
def threshold(
    image: Image,
    mask: Mask | None = None,
    *,
    method: Literal["otsu", "li", "yen", "triangle", "isodata", "minimum", "mean"] = "otsu",
    objects: Objects = "bright",
    **options: Unpack[Options],
) -> Labels:
    """Cut at one grey level chosen from the histogram.

    The first thing to try on fluorescence images with an even background: everything brighter than the
    chosen grey level is object. One grey level serves the whole image, so uneven light needs
    `background_radius`, or a local threshold such as `sauvola`.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X)
        Grey-level image, any real dtype. NaN is left out of the histogram and becomes 0.
    mask : array of the shape of `image`, optional
        Where to look; voxels outside are left out of the histogram and become 0.
    method : {"otsu", "li", "yen", "triangle", "isodata", "minimum", "mean"}
        How the grey level is chosen. Otsu suits two humps of similar size, triangle and yen a small hump of
        objects beside a large background, li dim objects, minimum two clear humps, isodata and mean even mixes.
    objects : {"bright", "dark"}
        Whether the objects are brighter or darker than the background.
    **options : Options
        Steps before and after the cut.

    Returns
    -------
    uint8 array, same shape and library as `image`
        1 where there is an object, else 0; int32 numbers 1 to n with `one_per_object`.

    Raises
    ------
    ValueError
        If the image has fewer than two grey levels, or `minimum` finds no two humps.
    TypeError
        If the image is boolean, complex or of objects.

    Notes
    -----
    Good for: objects that are brighter (or darker) than all around them, in light that is even.

    Fails when: the light is uneven: what is background on one side is as bright as objects on the other. Subtract the
    background first, or take a local threshold.

    Exact: the same labels on every device and in every tiling. Integers of up to 16 bits, and of more bits
    over a range below 65,536, are counted one bin per value, and thresholds equal those of scikit-image; other
    images use 65,536 bins between the smallest and the largest finite value. Memory: under 1 byte per voxel
    beyond input and output.

    References
    ----------
    .. [1] N. Otsu, "A threshold selection method from gray-level histograms", IEEE Trans. Syst. Man Cybern. 9 (1979)
       62-66. DOI:10.1109/TSMC.1979.4310076 (if method="otsu")
    .. [2] C. H. Li and P. K. S. Tam, "An iterative algorithm for minimum cross entropy thresholding", Pattern Recognit.
       Lett. 19 (1998) 771-776. DOI:10.1016/S0167-8655(98)00057-9 (if method="li")
    .. [3] J. C. Yen, F. J. Chang and S. Chang, "A new criterion for automatic multilevel thresholding", IEEE Trans.
       Image Process. 4 (1995) 370-378. DOI:10.1109/83.366472 (if method="yen")
    .. [4] G. W. Zack, W. E. Rogers and S. A. Latt, "Automatic measurement of sister chromatid exchange frequency", J.
       Histochem. Cytochem. 25 (1977) 741-753. DOI:10.1177/25.7.70454 (if method="triangle")
    .. [5] T. W. Ridler and S. Calvard, "Picture thresholding using an iterative selection method", IEEE Trans. Syst.
       Man Cybern. 8 (1978) 630-632. DOI:10.1109/TSMC.1978.4310039 (if method="isodata")
    .. [6] J. M. S. Prewitt and M. L. Mendelsohn, "The analysis of cell images", Ann. N. Y. Acad. Sci. 128 (1966)
       1035-1053. DOI:10.1111/j.1749-6632.1965.tb11715.x (if method="minimum")
    .. [7] C. A. Glasbey, "An analysis of histogram-based thresholding algorithms", CVGIP Graph. Models Image Process.
       55 (1993) 532-537. DOI:10.1006/cgip.1993.1040 (if method="minimum" or method="mean")

    Examples
    --------
    >>> import numpy as np
    >>> import napari_cutout as nc
    >>> nc.threshold(np.array([[10, 12, 90], [11, 95, 13]], np.uint8)).tolist()
    [[0, 0, 1], [0, 1, 0]]
    """
    plan_for = partial(reduce_grey_levels, decide=partial(_cut, method=method, objects=objects))
    return segment(plan_for, image, mask, objects=objects, options=options)


@method("Threshold", extras=("histogram",))
def threshold_at(
    image: Image,
    mask: Mask | None = None,
    *,
    value: Annotated[float, GreyLevel(), Typical()],
    objects: Objects = "bright",
    **options: Unpack[Options],
) -> Labels:
    """Cut at a grey level that you give.

    For images on a calibrated scale, or when a threshold found once must be used again unchanged.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X)
        Grey-level image, any real dtype. NaN becomes 0.
    mask : array of the shape of `image`, optional
        Where to look; voxels outside become 0.
    value : float
        The grey level, in the image's own units; a voxel is bright if it is above, dark if it is not.
    objects : {"bright", "dark"}
        Whether the objects are brighter or darker than `value`.
    **options : Options
        Steps before and after the cut.

    Returns
    -------
    uint8 array, same shape and library as `image`
        1 where there is an object, else 0; int32 numbers 1 to n with `one_per_object`.

    Raises
    ------
    ValueError
        If `value` is not finite, or no voxel of the image is.
    TypeError
        If the image is boolean, complex or of objects.

    Notes
    -----
    Good for: series taken with the same exposure, where one level that was checked once must hold for all.

    Fails when: exposure, stain or camera change: the level does not move with them.

    Exact. Memory: under 1 byte per voxel beyond input and output.
    """
    plan_for = partial(_plan_at, above(value, objects))
    return segment(plan_for, image, mask, objects=objects, options=options)


@method("Threshold", extras=("histogram",))
def multi_otsu(
    image: Image,
    mask: Mask | None = None,
    *,
    n_classes: Annotated[int, Range(2, 64), Typical(2, 6, log=False)] = 3,
    objects: Objects = "bright",
    **options: Unpack[Options],
) -> Labels:
    """Cut into several classes of grey levels, as even inside as possible.

    For images with more than objects and background: bright and dim cells, or bone, tissue and air.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X)
        Grey-level image, any real dtype. NaN is left out of the histogram and becomes 0.
    mask : array of the shape of `image`, optional
        Where to look; voxels outside are left out of the histogram and become 0.
    n_classes : int
        Number of classes.
    objects : {"bright", "dark"}
        Which class the steps after the cut work on: the brightest or the darkest.
    **options : Options
        Steps before and after the cut. A voxel that they take from an object goes to the next class.

    Returns
    -------
    uint8 array, same shape and library as `image`
        1 to `n_classes` by rising grey level, 0 where not classified; int32 numbers of the objects with
        `one_per_object`.

    Raises
    ------
    ValueError
        If the image has fewer than `n_classes` grey levels.
    TypeError
        If the image is boolean, complex or of objects.

    Notes
    -----
    Good for: several classes of grey levels that each take a fair share of the image.

    Fails when: a class is rare: its voxels weigh too little, and a level goes through the noise of a large class.

    Exact, and the global optimum: dynamic programming with divide and conquer, O(classes x bins x log bins);
    of several equally good cuts the lowest thresholds are taken. Bins as in `threshold`. Memory: under 1 byte
    per voxel beyond input and output.

    References
    ----------
    .. [1] P. S. Liao, T. S. Chen and P. C. Chung, "A fast algorithm for multilevel thresholding", J. Inf. Sci. Eng. 17
       (2001) 713-727.
    .. [2] H. Wang and M. Song, "Ckmeans.1d.dp: optimal k-means clustering in one dimension by dynamic programming", The
       R Journal 3 (2011) 29-33. DOI:10.32614/RJ-2011-015
    """
    plan_for = partial(reduce_grey_levels, decide=partial(_multi_otsu_cuts, n_classes=n_classes))
    chosen = highest_class if objects == "bright" else lowest_class
    return segment(plan_for, image, mask, objects=objects, options=options, choose=chosen)


@method("Threshold", extras=("histogram",), also=("Histogram",))
def classes_at(
    image: Image,
    mask: Mask | None = None,
    *,
    values: Annotated[tuple[float, ...], GreyLevel(), Items(MAX_VALUES, rising=True)],
    objects: Objects = "bright",
    **options: Unpack[Options],
) -> Labels:
    """Cut into classes at grey levels that you give.

    For images on a calibrated scale, such as bone, tissue and air in Hounsfield units, or when thresholds of
    `multi_otsu` must be moved by hand or used again unchanged.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X)
        Grey-level image, any real dtype. NaN becomes 0.
    mask : array of the shape of `image`, optional
        Where to look; voxels outside become 0.
    values : tuple of float
        The grey levels, rising, 1 to 63 of them; a voxel's class is 1 and one more for each that it is above.
    objects : {"bright", "dark"}
        Which class the steps after the cut work on: the brightest or the darkest.
    **options : Options
        Steps before and after the cut. A voxel that they take from an object goes to the next class.

    Returns
    -------
    uint8 array, same shape and library as `image`
        1 to n + 1 by rising grey level for n values, 0 where not classified; int32 numbers of the objects with
        `one_per_object`.

    Raises
    ------
    ValueError
        If `values` are not finite or do not rise, there are none or more than 63, or no voxel is finite.
    TypeError
        If `values` are no numbers, or the image is boolean, complex or of objects.

    Notes
    -----
    Good for: grey levels that are calibrated, such as those of CT, or known from a control.

    Fails when: grey levels drift from side to side or from image to image.

    Exact. Memory: under 1 byte per voxel beyond input and output.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_cutout as nc
    >>> nc.classes_at(np.array([[10, 50, 90], [51, 95, 13]], np.uint8), values=(12.5, 50)).tolist()
    [[1, 2, 3], [3, 3, 2]]
    """
    chosen = highest_class if objects == "bright" else lowest_class
    plan_for = partial(_plan_at, Cuts.rising(np.asarray(values, np.float64)))
    return segment(plan_for, image, mask, objects=objects, options=options, choose=chosen)


@method(
    "Threshold",
    extras=("histogram",),
    memory=18.0,
    tile_memory=7.0,
    driver_memory=40.0,
    device_memory=38.0,
)
def hysteresis(
    image: Image,
    mask: Mask | None = None,
    *,
    low: Annotated[float, GreyLevel(), Typical()] | None = None,
    high: Annotated[float, GreyLevel(), Typical()] | None = None,
    objects: Objects = "bright",
    **options: Unpack[Options],
) -> Labels:
    """Cut low, and keep only what also reaches a second, stricter level.

    Whole objects with dim rims, without the noise that a low threshold alone brings: each connected part of
    the voxels beyond the lenient level is kept if at least one of its voxels is beyond the strict one.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X)
        Grey-level image, any real dtype. NaN is left out and becomes 0.
    mask : array of the shape of `image`, optional
        Where to look; voxels outside are left out and become 0.
    low : float, optional
        The lower grey level; by default the lower of the two thresholds of `multi_otsu` with 3 classes.
    high : float, optional
        The higher grey level; by default the higher of these two thresholds.
    objects : {"bright", "dark"}
        Bright objects lie above `low` and reach above `high`; dark ones lie at or below `high` and reach
        down to `low`.
    **options : Options
        Steps before and after the cut; `connectivity` holds for both.

    Returns
    -------
    uint8 array, same shape and library as `image`
        1 where there is an object, else 0; int32 numbers 1 to n with `one_per_object`.

    Raises
    ------
    ValueError
        If `low` exceeds `high`, or a level is to be found in an image with fewer than three grey levels.
    TypeError
        If the image is boolean, complex or of objects.

    Notes
    -----
    Good for: bodies with faint parts that hang on them, among specks that are as faint.

    Fails when: an object is faint all over: nothing in it reaches the stricter level, and all of it is lost.

    Exact. Memory: 6 bytes per voxel beyond input and output, for the connected parts.

    References
    ----------
    .. [1] J. Canny, "A computational approach to edge detection", IEEE Trans. Pattern Anal. Mach. Intell. 8 (1986)
       679-698. DOI:10.1109/TPAMI.1986.4767851
    """
    prepared = prepare(image, objects, options)
    decide = partial(_hysteresis_cuts, low=low, high=high, objects=objects)
    plan: Reduce | PerVoxel = (
        reduce_grey_levels(prepared, decide)
        if low is None or high is None
        else PerVoxel(partial(classify, decide(None)), "uint8")
    )
    steps = kept(run_plan(replace(plan, masked=mask is not None), prepared, mask), "cutting")
    low_ones, high_ones = (per_voxel(_at_least, "bool", [steps], step) for step in (1, 2))
    connected = reaching(low_ones, high_ones, connectivity=options["connectivity"])
    known = known_voxels(prepared, mask) if options["fill_holes"] else None
    return tidy(as_dtype(connected, "uint8"), options, known=known)


def _at_least(step: int, steps: Array) -> Array:
    return steps >= step


def _plan_at(cuts: Cuts, prepared: Image) -> PerVoxel | Reduce:
    """Return the plan that cuts at given levels; it reads floats once before, since all of them may be NaN."""
    if not dtype_name(prepared).startswith("float"):
        return PerVoxel(partial(classify, cuts), "uint8")

    def decide(extent: tuple[float, float] | None) -> Cuts:
        if extent is None:
            raise ValueError(NOTHING_FINITE)
        return cuts

    return Reduce(None, (EXTENT,), decide, classify, "uint8")


# Decisions: pure functions of a few hundred numbers ----------------------------------------------------


def _cut(histogram: Histogram, method: str, objects: str) -> Cuts:
    """Return the cut at the grey level that one of the global rules chooses."""
    levels(histogram, 2, "threshold")
    value = THRESHOLDS[method](histogram)
    note(threshold=value)
    return above(value, objects)


def _otsu(histogram: Histogram) -> float:
    """Maximise the variance between the two classes."""
    occupied = histogram.occupied()
    counts, values = occupied.counts.astype(np.float64), occupied.values - occupied.values[0]
    below, above_ = np.cumsum(counts)[:-1], np.cumsum(counts[::-1])[-2::-1]
    mass = counts * values
    gap = np.cumsum(mass)[:-1] / below - np.cumsum(mass[::-1])[-2::-1] / above_
    return float(occupied.edges[np.argmax(below * above_ * gap**2)])


def _li(histogram: Histogram) -> float:
    """Minimise the cross-entropy between the image and its two means, by Li and Tam's iteration."""
    occupied = histogram.occupied()
    counts = occupied.counts.astype(np.float64)
    grey = occupied.values - occupied.values[0]
    tolerance = 0.5 if histogram.exact else float(np.diff(grey).min()) / 2
    now, after = -2 * tolerance, float(np.average(grey, weights=counts))
    for _ in range(MAX_SMOOTHINGS):
        if abs(after - now) <= tolerance:
            break
        now = after
        bright = grey > now
        fore = float(np.average(grey[bright], weights=counts[bright]))
        back = float(np.average(grey[~bright], weights=counts[~bright]))
        if back == 0:
            break
        after = (back - fore) / (np.log(back) - np.log(fore))
    return float(after + occupied.values[0])


def _yen(histogram: Histogram) -> float:
    """Maximise Yen's entropic correlation."""
    occupied = histogram.occupied()
    share = occupied.counts / histogram.total
    below = np.cumsum(share)[:-1]
    squares_below, squares_above = np.cumsum(share**2)[:-1], np.cumsum(share[::-1] ** 2)[-2::-1]
    correlation = 2 * np.log(below * (1.0 - below)) - np.log(squares_below * squares_above)
    return float(occupied.edges[np.argmax(correlation)])


def _triangle(histogram: Histogram) -> float:
    """Take the bin farthest from the line between the peak and the far end of the histogram."""
    bins = histogram if histogram.exact else histogram.rebinned()
    counts = bins.counts.astype(np.float64)
    n, peak = len(counts), int(np.argmax(bins.counts))
    flip = peak < n - 1 - peak  # the long tail is made to lie on the left
    if flip:
        counts, peak = counts[::-1], n - 1 - peak
    x = np.arange(peak)
    norm = np.hypot(counts[peak], peak)
    distance = counts[peak] / norm * x - peak / norm * counts[:peak]
    at = int(np.argmax(distance))
    return float(bins.edges[n - 1 - at if flip else at])


def _isodata(histogram: Histogram) -> float:
    """Take the lowest grey level that is half-way between the means of the two sides."""
    counts, values = histogram.counts.astype(np.float64), histogram.values - histogram.values[0]
    count, mass = np.cumsum(counts), np.cumsum(counts * values)
    half_way = (mass[:-1] / count[:-1] + (mass[-1] - mass[:-1]) / (count[-1] - count[:-1])) / 2
    distance = half_way - values[:-1]
    at = np.flatnonzero((distance >= 0) & (distance < values[1] - values[0]))
    crossing = at[0] if len(at) else np.flatnonzero(distance >= 0)[-1]  # rounding can hide the step across 0
    return float(histogram.edges[crossing])


def _minimum(histogram: Histogram) -> float:
    """Smooth the histogram until two peaks are left, and take the lowest bin between them."""
    from scipy.ndimage import uniform_filter1d

    fine = histogram.exact and len(histogram.counts) <= MAX_LEVELS_OF_MINIMUM
    for bins in [histogram, histogram.rebinned()] if fine else [histogram.rebinned()]:
        smooth = bins.counts.astype(np.float32)  # as scikit-image: on plateaus the rounding decides
        for _ in range(MAX_SMOOTHINGS):
            smooth = uniform_filter1d(smooth, 3)
            peaks = falling_points(smooth)
            if len(peaks) < 3:
                break
        if len(peaks) == 2:
            return float(bins.edges[peaks[0] + int(np.argmin(smooth[peaks[0] : peaks[1] + 1]))])
    raise ValueError(
        f"the histogram has {len(peaks)} hump{'s' * (len(peaks) != 1)} after smoothing, and minimum needs two; "
        "choose another method, such as otsu or triangle"
    )


def falling_points(counts: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return where a sequence begins to fall after it last rose; a plateau counts by its last point."""
    change = np.sign(np.diff(counts))
    at = np.flatnonzero(change)
    direction = change[at]
    before = np.concatenate(([1.0], direction[:-1]))
    return at[(direction < 0) & (before > 0)]


def _mean(histogram: Histogram) -> float:
    """Take the mean grey level."""
    return float(np.dot(histogram.counts.astype(np.float64), histogram.values) / histogram.total)


THRESHOLDS = {
    "otsu": _otsu,
    "li": _li,
    "yen": _yen,
    "triangle": _triangle,
    "isodata": _isodata,
    "minimum": _minimum,
    "mean": _mean,
}
"""The rules of `threshold`, by name; each maps a `Histogram` to a grey level."""


def _multi_otsu_cuts(histogram: Histogram, n_classes: int) -> Cuts:
    cuts = Cuts.rising(otsu_thresholds(histogram, n_classes))
    note(thresholds=list(cuts.thresholds))
    return cuts


def otsu_thresholds(histogram: Histogram, n_classes: int) -> NDArray[np.float64]:
    """Return the thresholds that minimise the variance inside `n_classes` classes of grey levels.

    Raises
    ------
    ValueError
        If the histogram has fewer than `n_classes` bins that are not empty.
    """
    occupied = levels(histogram, n_classes, "multi_otsu")
    counts = occupied.counts.astype(np.float64)
    centred = occupied.values - np.average(occupied.values, weights=counts)
    count = np.concatenate(([0.0], np.cumsum(counts)))
    mass = np.concatenate(([0.0], np.cumsum(counts * centred)))
    return np.asarray(occupied.edges[_last_bins(count, mass, n_classes)], np.float64)


def _last_bins(count: NDArray[np.float64], mass: NDArray[np.float64], n_classes: int) -> NDArray[np.int64]:
    """Return the last bin of every class but the highest, by dynamic programming over the classes.

    The gain of a class is (sum of its values)^2 / (number of its voxels); the sum of the gains is largest
    where the variance inside is smallest. The best start of the last class rises with its end (the gain
    fulfils the quadrangle inequality), which lets divide and conquer look at few starts.
    """
    n = len(count) - 1
    best = np.zeros(n + 1)
    best[1:] = mass[1:] ** 2 / count[1:]
    starts = np.zeros((n_classes + 1, n + 1), np.int64)
    for k in range(2, n_classes + 1):
        following = np.full(n + 1, -np.inf)
        _best_starts(k, count, mass, best, following, starts[k])
        best = following
    ends = [n]
    for k in range(n_classes, 1, -1):
        ends.append(int(starts[k, ends[-1]]))
    return np.asarray(ends[:0:-1], np.int64) - 1


@compiled
def _best_starts(
    k: int,
    count: NDArray[np.float64],
    mass: NDArray[np.float64],
    best: NDArray[np.float64],
    following: NDArray[np.float64],
    start: NDArray[np.int64],
) -> None:
    """Fill in, for every end, the best total gain of k classes and where the last of them starts."""
    n = count.size - 1
    stack = [(k, n, k - 1, n - 1)]  # ends from..to, whose starts lie in first..last
    while len(stack) > 0:
        lowest, highest, first, last = stack.pop()
        if lowest > highest:
            continue
        end = (lowest + highest) // 2
        at, gain = first, -np.inf
        for s in range(first, min(last, end - 1) + 1):
            moment = mass[end] - mass[s]
            total = best[s] + moment * moment / (count[end] - count[s])
            if total > gain:
                at, gain = s, total
        following[end], start[end] = gain, at
        stack.append((lowest, end - 1, first, at))
        stack.append((end + 1, highest, at, last))


def _hysteresis_cuts(histogram: Histogram | None, low: float | None, high: float | None, objects: str) -> Cuts:
    """Return cuts of step 0 (out), 1 (kept if it reaches a 2) and 2, filling in levels that are not given."""
    if histogram is not None:
        found = otsu_thresholds(histogram, 3)
        low = float(found[0]) if low is None else low
        high = float(found[1]) if high is None else high
        note(low=low, high=high)
    assert low is not None
    assert high is not None
    if low > high:
        raise ValueError(f"low must not exceed high, got low={low:g} and high={high:g}; give both")
    return Cuts((low, high), (0, 1, 2) if objects == "bright" else (2, 1, 0))
