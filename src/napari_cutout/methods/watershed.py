"""Watershed: an image as a landscape that is flooded from markers, and the markers that people need."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Unpack

from .._array import Array, array_namespace, dtype_name, is_lazy
from .._checks import MAX_LABEL
from .._method import Image, Labels, Markers, Mask, Range, Typical, method
from .._monitor import note, stage
from .._plan import PerVoxel, run_plan
from ..processing.distance import distance
from ..processing.filters import gaussian, gradient_magnitude
from ..processing.labels import Connectivity
from ..processing.segment import Background, RegionOptions, prepare, tidy_regions
from ._flooding import connected_parts, deep_minima, flooded, usual_depth
from ._markers import note_minima, note_objects
from ._separation import apart

__all__ = ["watershed", "watershed_from_minima", "markers_from_minima", "split_touching", "markers_from_distance"]

Surface = Literal["intensity", "inverted", "gradient"]
"""What is flooded: the image, the image upside down, or how steep it is."""

Relief = Literal["intensity", "inverted", "gradient", "distance"]
"""The same, or how deep inside the mask a voxel lies."""

Depth = Annotated[float, Range(0, 1e9)]


@method("Watershed", memory=20.0, tile_memory=39.0, driver_memory=30.0, device_memory=32.0)
def watershed(
    image: Image,
    markers: Markers,
    mask: Mask | None = None,
    *,
    surface: Annotated[Relief, Typical()] = "intensity",
    connectivity: Connectivity = 1,
    background: Background = 0,
    **options: Unpack[RegionOptions],
) -> Labels:
    """Flood the image from your markers; regions end where floods meet.

    The image is a landscape whose height is its grey level. Water rises from every marker, low places first, and
    where the waters of two markers meet, their regions end: on ridges of the intensity, or on edges if you flood
    the gradient.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X)
        Grey-level image, any real dtype. NaN is outside.
    markers : int array of the shape of `image`
        Strokes or labels to flood from: 0 is not marked, 1 to 2147483647 are labels.
    mask : array of the shape of `image`, optional
        Where water may go; voxels outside become 0, and markers outside are left out.
    surface : {"intensity", "inverted", "gradient", "distance"}
        What is flooded: intensity for dark regions between bright walls, inverted for bright regions between dark
        gaps, gradient for regions that end at edges, best with a little smoothing; distance for objects that are
        cut where the mask is narrow, whatever the image, smoothed as the image would be.
    connectivity : int
        How many axes a step of the water may cross: 1 is faces only, the number of axes includes edges and corners.
    background : int
        The label of markers on what is around the objects, which becomes 0; 0 is none.
    **options : Options
        Steps before and after the flood.

    Returns
    -------
    int32 array, same shape and library as `image`
        The label of a marker at every voxel that its water reaches first, 0 where none does.

    Raises
    ------
    ValueError
        If no voxel is marked inside the mask, a marker is negative or above 2147483647, shapes differ, or `surface`
        is distance without a mask, or with one that has no outside.
    TypeError
        If the image is boolean, complex or of objects, or markers are floats.

    Notes
    -----
    Good for: objects with closed borders, one stroke in each and one on what is around.

    Fails when: an object has no stroke, or its border a gap: a flood goes on until it meets another.

    Exact, by a definition that knows no order of a queue. The *flood level* F of a voxel is the lowest possible
    highest grey level on a path to it from any marker, inside the mask. Voxels of one flood level that are connected
    are a *zone*; D is the number of steps, inside its zone, to the zone's nearest *entry*: a marker, or a voxel that
    has a neighbour of lower F. A marker keeps its label. Any other voxel takes the label of its neighbour with the
    smallest F, then the smallest D, then the first in scan order. Where no two voxels are equal this gives the
    labels of ``skimage.segmentation.watershed``; on plateaus every voxel goes to the nearest entry, whatever the
    order in which neighbours are visited. Strictly rising maps of the grey levels change nothing. Markers that touch
    stay as they are painted. Memory: about 20 bytes per voxel on the host, 24 on a GPU.

    References
    ----------
    .. [1] S. Beucher and F. Meyer, "The morphological approach to segmentation: the watershed transformation", in
       Mathematical Morphology in Image Processing, Marcel Dekker 1993, chapter 12. DOI:10.1201/9781482277234-12
    .. [2] F. Meyer, "Topographic distance and watershed lines", Signal Process. 38 (1994) 113-125.
       DOI:10.1016/0165-1684(94)90060-4
    .. [3] J. Cousty, G. Bertrand, L. Najman and M. Couprie, "Watershed cuts: minimum spanning forests and the drop of
       water principle", IEEE Trans. Pattern Anal. Mach. Intell. 31 (2009) 1362-1374. DOI:10.1109/TPAMI.2008.173

    Examples
    --------
    >>> import numpy as np
    >>> image = np.array([[1, 2, 9, 3, 1], [1, 3, 8, 2, 1]])
    >>> markers = np.array([[1, 0, 0, 0, 2], [0, 0, 0, 0, 0]])
    >>> watershed(image, markers).tolist()
    [[1, 1, 1, 2, 2], [1, 1, 2, 2, 2]]
    """
    relief = _relief_in(mask, options) if surface == "distance" else relief_of(image, surface, options)
    regions = flooded(relief, markers, _inside(mask), connectivity)
    return tidy_regions(regions, {**options, "background": background})


@method("Watershed", memory=24.0, tile_memory=48.0, driver_memory=30.0, device_memory=36.0)
def watershed_from_minima(
    image: Image,
    mask: Mask | None = None,
    *,
    surface: Annotated[Surface, Typical()] = "intensity",
    depth: Depth | None = None,
    connectivity: Connectivity = 1,
    **options: Unpack[RegionOptions],
) -> Labels:
    """Flood the image from every minimum that is deep enough.

    The same as `watershed` with the markers of `markers_from_minima`: nothing needs to be painted.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X)
        Grey-level image, any real dtype. NaN is outside.
    mask : array of the shape of `image`, optional
        Where water may go; voxels outside become 0.
    surface : {"intensity", "inverted", "gradient"}
        What is flooded: intensity for dark regions, inverted for bright ones, gradient for regions that end at edges.
    depth : float, optional
        How deep a minimum must be to become a region, in grey levels of what is flooded: the larger, the fewer. By
        default a tenth of the range of grey levels.
    connectivity : int
        How many axes a step of the water may cross.
    **options : Options
        Steps before and after the flood.

    Returns
    -------
    int32 array, same shape and library as `image`
        Regions from 1 by the first voxel of their minimum in scan order; 0 where no water goes.

    Raises
    ------
    ValueError
        If no voxel lies inside, or shapes differ.
    TypeError
        If the image is boolean, complex or of objects.

    Notes
    -----
    Good for: tissues of cells between borders, with noise that is lower than the borders.

    Fails when: noise is as deep as the cells: every dip becomes a region. Smooth, or ask for more depth.

    Exact; the definitions are those of `watershed` and `markers_from_minima`. Memory: about 24 bytes per voxel.

    References
    ----------
    .. [1] M. Grimaud, "A new measure of contrast: the dynamics", Proc. SPIE 1769 (1992) 292-305. DOI:10.1117/12.60650
    """
    relief, inside = relief_of(image, surface, options), _inside(mask)
    minima = _minima(relief, mask, depth, connectivity)
    return tidy_regions(flooded(relief, minima, inside, connectivity, missing=None), options)


@method("Watershed", memory=22.0, tile_memory=36.0, driver_memory=30.0, device_memory=28.0)
def markers_from_minima(
    image: Image,
    mask: Mask | None = None,
    *,
    surface: Surface = "intensity",
    depth: Depth | None = None,
    connectivity: Connectivity = 1,
    **options: Unpack[RegionOptions],
) -> Labels:
    """Mark every minimum of the image that is deep enough.

    Look at where a watershed would start, correct it by hand, and give it to `watershed` as markers.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X)
        Grey-level image, any real dtype. NaN is outside.
    mask : array of the shape of `image`, optional
        Where to look.
    surface : {"intensity", "inverted", "gradient"}
        Where minima are sought: intensity for dark places, inverted for bright ones, gradient for even ones.
    depth : float, optional
        How deep a minimum must be, in grey levels of what is searched: the larger, the fewer. By default a tenth of
        the range of grey levels.
    connectivity : int
        How many axes a step between two voxels of one minimum may cross.
    **options : Options
        Steps before and after the search.

    Returns
    -------
    int32 array, same shape and library as `image`
        Minima from 1 by their first voxel in scan order, 0 elsewhere.

    Raises
    ------
    ValueError
        If no voxel lies inside, or shapes differ.
    TypeError
        If the image is boolean, complex or of objects.

    Notes
    -----
    Good for: one marker in each cell between borders, to correct by hand before flooding.

    Fails when: noise is as deep as the cells: every dip gets a marker. Smooth, or ask for more depth.

    Exact. These are the extended minima: a minimum counts if the lowest way from it to a lower one leads more than
    `depth` above its lowest voxel, and its marker is all of it up to that height. ``skimage.morphology.h_minima``
    marks only the lowest voxels, and counts two equal minima in one basin as two. Memory: about 22 bytes per voxel.

    References
    ----------
    .. [1] P. Soille, "Morphological Image Analysis", 2nd ed., Springer 2004, chapter 6. DOI:10.1007/978-3-662-05088-0
    """
    relief = relief_of(image, surface, options)
    return tidy_regions(_minima(relief, mask, depth, connectivity), options)


@method("Split touching", memory=31.0, tile_memory=62.0, driver_memory=30.0, device_memory=44.0)
def split_touching(
    labels: Labels,
    *,
    smoothing: Annotated[float, Range(0, 100, 0.5), Typical(0.5, 4, off=True)] = 1.0,
    depth: Annotated[float, Range(0, 1000, 0.25), Typical(0.25, 5)] = 1.0,
    min_separation: Annotated[float, Range(0, 10000), Typical(2, 40, off=True, length=True)] = 0.0,
    connectivity: Connectivity = 1,
    min_size: Annotated[int, Range(0, 2**31 - 1)] = 0,
    clear_border: bool = False,
    spacing: tuple[float, ...] | None = None,
) -> Labels:
    """Cut touching objects apart where they are narrow.

    Objects that touch look like one; where two round ones meet there is a neck. Every place that is farthest from
    the outside becomes the middle of an object, and the objects are cut where they are narrowest.

    Parameters
    ----------
    labels : array of int or bool, of shape ([Z,] Y, X)
        A mask, classes or objects: 0 is background, and different labels are never joined.
    smoothing : float
        Standard deviation of the Gaussian that smooths the distances, in edges of the smallest voxel: more of it
        cuts rough outlines into fewer pieces.
    depth : float
        How much narrower than the thinner of two parts a neck must be, as a radius in edges of the smallest voxel:
        the larger, the fewer cuts.
    min_separation : float
        Middles of one object that are closer than this, in edges of the smallest voxel, are joined; 0 is off.
    connectivity : int
        How many axes a step inside an object may cross.
    min_size : int
        Remove objects of fewer voxels, after the cuts; 0 is off.
    clear_border : bool
        Remove objects that touch an edge of the image, after the cuts.
    spacing : tuple of float, optional
        World length of a voxel along each axis, in the order of the axes.

    Returns
    -------
    int32 array, same shape and library as `labels`
        Objects from 1 by the first voxel of their middle in scan order; 0 is background, all of it if `labels` are.

    Raises
    ------
    TypeError
        If `labels` are neither integers nor booleans.
    ValueError
        If there is no background at all, a label is negative or above 2147483647, or a setting is out of range.

    Notes
    -----
    Good for: round objects that touch, such as nuclei.

    Fails when: objects are long, bent or of changing width: each neck of their own is cut.

    Exact. `markers_from_distance` finds the middles; then the smoothed distance, upside down, is flooded from them
    inside the objects, as `watershed` defines it. Memory: about 31 bytes per voxel.

    References
    ----------
    .. [1] N. Malpica et al., "Applying watershed algorithms to the segmentation of clustered nuclei", Cytometry 28
       (1997) 289-297. DOI:10.1002/(SICI)1097-0320(19970801)28:4<289::AID-CYTO3>3.0.CO;2-7

    Examples
    --------
    >>> import numpy as np
    >>> y, x = np.mgrid[:21, :41]
    >>> discs = ((y - 10) ** 2 + (x - 12) ** 2 < 90) | ((y - 10) ** 2 + (x - 28) ** 2 < 90)
    >>> int(split_touching(discs).max())
    2
    """
    territory = _territory(labels)
    relief = _inverted_distance(labels, smoothing, spacing)
    middles = _middles(relief, territory, depth, min_separation, connectivity, spacing)
    cut = flooded(relief, middles, territory, connectivity, missing=None)
    return tidy_regions(cut, {"min_size": min_size, "clear_border": clear_border})


@method("Split touching", memory=29.0, tile_memory=43.0, driver_memory=30.0, device_memory=37.0)
def markers_from_distance(
    labels: Labels,
    *,
    smoothing: Annotated[float, Range(0, 100, 0.5), Typical(0.5, 4, off=True)] = 1.0,
    depth: Annotated[float, Range(0, 1000, 0.25), Typical(0.25, 5)] = 1.0,
    min_separation: Annotated[float, Range(0, 10000), Typical(2, 40, off=True, length=True)] = 0.0,
    connectivity: Connectivity = 1,
    spacing: tuple[float, ...] | None = None,
) -> Labels:
    """Mark the middle of every object, and of every part beyond a neck.

    Parameters
    ----------
    labels : array of int or bool, of shape ([Z,] Y, X)
        A mask, classes or objects: 0 is background, and different labels are never joined.
    smoothing : float
        Standard deviation of the Gaussian that smooths the distances, in edges of the smallest voxel.
    depth : float
        How much narrower than the thinner of two parts a neck must be, as a radius in edges of the smallest voxel.
    min_separation : float
        Middles of one object that are closer than this, in edges of the smallest voxel, are joined; 0 is off.
    connectivity : int
        How many axes a step inside an object may cross.
    spacing : tuple of float, optional
        World length of a voxel along each axis, in the order of the axes.

    Returns
    -------
    int32 array, same shape and library as `labels`
        Middles from 1 by their first voxel in scan order, 0 elsewhere.

    Raises
    ------
    TypeError
        If `labels` are neither integers nor booleans.
    ValueError
        If there is no background at all, a label is negative or above 2147483647, or a setting is out of range.

    Notes
    -----
    Good for: one marker in each round object that touches others, to correct by hand.

    Fails when: objects are long, bent or of changing width: each part beyond a neck gets a marker.

    Exact: the distance to the nearest voxel outside the object, smoothed; its maxima that stand more than `depth`
    above the way to a higher one, each with all that lies within `depth` of its top. Of middles of one connected
    object that are closer than `min_separation` (top to top), the higher is kept; of equal ones the first in scan
    order. Memory: about 29 bytes per voxel.
    """
    territory = _territory(labels)
    relief = _inverted_distance(labels, smoothing, spacing)
    return _middles(relief, territory, depth, min_separation, connectivity, spacing)


# What is flooded ---------------------------------------------------------------------------------------


def relief_of(image: Image, surface: Surface, options: Any) -> Image:
    """Return the landscape that is flooded: the image after the steps before the flood, as it is or changed."""
    prepared = prepare(image, "dark" if surface == "intensity" else "bright", options)
    if surface == "intensity":
        return prepared
    if surface == "gradient":
        stage("taking the gradient")
        return gradient_magnitude(prepared, spacing=options["spacing"])
    return upside_down(prepared)


def _relief_in(mask: Mask | None, options: Any) -> Array:
    """Return the distance to the outside of a mask, upside down."""
    inside = _inside(mask)
    if inside is None:
        raise ValueError("surface 'distance' is that to the outside of mask, and there is no mask; give one")
    return _inverted_distance(inside, options["sigma"], options["spacing"])


def upside_down(image: Image) -> Image:
    """Turn the order of grey levels round: numbers change their sign, integers are counted from the top."""
    return run_plan(PerVoxel(_turned_round, dtype_name(image)), image)


def _turned_round(block: Array) -> Array:
    return -block if dtype_name(block).startswith("float") else array_namespace(block).bitwise_invert(block)


def _inside(mask: Mask | None) -> Array | None:
    """Return a mask as booleans: of an integer array every label would be a territory of its own."""
    return mask if mask is None or dtype_name(mask) == "bool" else mask != 0


def _minima(relief: Image, mask: Mask | None, depth: float | None, connectivity: int) -> Labels:
    if depth is not None:
        note(depth=depth)
    deep = usual_depth(relief, mask) if depth is None else depth
    return deep_minima(relief, _inside(mask), deep, connectivity, note_minima)


# Touching objects --------------------------------------------------------------------------------------


def _territory(labels: Labels) -> Array:
    """Return the labels as territories, in int32 where they may be negative or too large, or raise if one is."""
    if dtype_name(labels) in ("bool", "uint8", "uint16"):
        return labels
    return run_plan(PerVoxel(_as_int32, "int32"), labels) if is_lazy(labels) else _as_int32(labels)


def _as_int32(block: Array) -> Array:
    xp = array_namespace(block)
    high, low = int(xp.max(block)), int(xp.min(block))
    if low < 0 or high > MAX_LABEL:
        raise ValueError(f"labels must be from 0 to {MAX_LABEL}, got {low if low < 0 else high}; renumber them")
    return xp.astype(block, xp.int32, copy=False)


def _inverted_distance(labels: Labels, smoothing: float, spacing: tuple[float, ...] | None) -> Array:
    """Return the smoothed distance to the outside of every object, upside down."""
    stage("measuring distances")
    far = distance(labels, spacing=spacing)
    if smoothing:
        stage("smoothing distances")
        far = gaussian(far, sigma=smoothing, spacing=spacing)
    return run_plan(PerVoxel(_depths, "float32"), far)


def _depths(block: Array) -> Array:
    """Turn distances upside down, or raise where there is no outside; then every block is infinite."""
    xp = array_namespace(block)
    if bool(xp.any(block == xp.inf)):
        raise ValueError(
            "labels cover the whole image with one label, so no voxel is outside and there is no distance to it; "
            "pass labels with background"
        )
    return -block


def _middles(
    relief: Array,
    territory: Array,
    depth: float,
    min_separation: float,
    connectivity: int,
    spacing: tuple[float, ...] | None,
) -> Labels:
    middles = deep_minima(relief, territory, depth, connectivity, note_objects)
    if min_separation > 0:
        parts = connected_parts(territory, connectivity)
        middles = apart(middles, relief, parts, min_separation, spacing, note_objects)
    return middles
