"""The steps around every cut: smooth, cut, clean up, number.  One place, so that all methods share them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from typing_extensions import TypedDict  # that of Python 3.11 forgets what it was made from

from .._array import Array, array_namespace, dtype_name
from .._method import Default, Image, Labels, Mask, Objects, Range, Seldom, Typical
from .._monitor import stage
from .._plan import PerVoxel, Plan, Pyramid, Stitch, run_plan
from ._chosen import Choice, class_one
from ._per_voxel import kept as stored
from ._per_voxel import per_voxel, scalar
from .filters import gaussian, median, subtract_background
from .labels import fill_holes, select, select_regions

__all__ = [
    "AfterOptions",
    "Background",
    "Options",
    "RegionOptions",
    "bytes_per_voxel",
    "prepare",
    "segment",
    "segment_channels",
    "tidy",
    "tidy_regions",
]


Background = Annotated[int, Range(0, 2**31 - 1), Seldom()]
"""A label that stands for what is around objects, and becomes 0."""


class Smoothing(TypedDict, total=False):
    """What may be done to an image before it is cut or flooded, in this order; everything is off by default.

    Attributes
    ----------
    background_radius : float
        Remove uneven background wider than this, in edges of the smallest voxel; 0 is off.
    median_radius : int
        Take the median of the box this far around every voxel, in edges of the smallest voxel; 0 is off.
    sigma : float
        Smooth with a Gaussian of this standard deviation, in edges of the smallest voxel; 0 is off.
    """

    background_radius: Annotated[float, Range(0, 1000), Default(0.0), Typical(10, 200, off=True, length=True)]
    median_radius: Annotated[int, Range(0, 50), Default(0), Typical(1, 4, off=True)]
    sigma: Annotated[float, Range(0, 1000, 0.5), Default(0.0), Typical(0.5, 8, off=True, length=True)]


class AfterOptions(TypedDict, total=False):
    """What may be done after a cut, in this order; everything is off by default.

    Attributes
    ----------
    fill_holes : bool
        Fill what an object encloses on all sides.
    clear_border : bool
        Remove objects that touch an edge of the image.
    min_size : int
        Remove objects of fewer voxels; 0 is off.
    one_per_object : bool
        Give every object a number of its own, 1 to n by first voxel in scan order (int32).
    connectivity : int
        How many axes a step inside an object may cross: 1 is faces only, 2 adds edges, 3 corners.
    spacing : tuple of float, optional
        World length of a voxel along each axis, in the order of the axes.
    """

    fill_holes: Annotated[bool, Default(False), Typical()]
    clear_border: Annotated[bool, Default(False)]
    min_size: Annotated[int, Range(0, 2**31 - 1), Default(0), Typical(4, 4000, off=True)]
    one_per_object: Annotated[bool, Default(False)]
    connectivity: Annotated[int, Range(1, 3), Default(1)]
    spacing: Annotated[tuple[float, ...] | None, Default(None)]


class Options(Smoothing, AfterOptions, total=False):
    """What may be done before a cut and after it, in this order; everything is off by default."""


class RegionOptions(Smoothing, total=False):
    """What may be done before a method that numbers regions, and after it; everything is off by default.

    Attributes
    ----------
    clear_border : bool
        Remove regions that touch an edge of the image.
    min_size : int
        Remove regions of fewer voxels; 0 is off.
    spacing : tuple of float, optional
        World length of a voxel along each axis, in the order of the axes.
    """

    clear_border: Annotated[bool, Default(False)]
    min_size: Annotated[int, Range(0, 2**31 - 1), Default(0), Typical(4, 4000, off=True)]
    spacing: Annotated[tuple[float, ...] | None, Default(None)]


def prepare(image: Image, objects: Objects, options: Mapping[str, Any]) -> Image:
    """Run the steps before the cut that `options` ask for.

    Parameters
    ----------
    image : array
        Grey-level image.
    objects : {"bright", "dark"}
        Which side of the background the objects are on.
    options : Options or RegionOptions
        All of them.

    Returns
    -------
    array
        The image itself if nothing was asked for.
    """
    spacing = options["spacing"]
    if options["background_radius"]:
        stage("subtracting the background")
        image = subtract_background(image, radius=options["background_radius"], dark=objects == "dark", spacing=spacing)
    if options["median_radius"]:
        stage("taking medians")
        image = median(image, radius=options["median_radius"], spacing=spacing)
    if options["sigma"]:
        stage("smoothing")
        image = gaussian(image, sigma=options["sigma"], spacing=spacing)
    return image


def tidy(
    classes: Labels,
    options: AfterOptions,
    *,
    known: Mask | None = None,
    choose: Choice = class_one,
) -> Labels:
    """Run the steps after the cut that `options` ask for, on the class that holds the objects.

    Parameters
    ----------
    classes : uint8 array
        The class of every voxel.
    options : Options
        All of them.
    known : bool array or None
        Holes are filled only where it is True.
    choose : callable
        Which class holds the objects, and which takes the voxels of objects that are removed.

    Returns
    -------
    array
        uint8 classes, or int32 numbers of the objects where `one_per_object` is set.
    """
    select_some = options["one_per_object"] or options["clear_border"] or options["min_size"] > 1
    if not (select_some or options["fill_holes"]):
        return classes
    classes = stored(classes, "cutting")
    chosen = choose(classes)
    kept = per_voxel(_of_objects, "bool", [classes], chosen)
    if options["fill_holes"]:
        stage("filling holes")
        kept = fill_holes(kept)
        if known is not None:
            kept = per_voxel(_in_both, "bool", [kept, inside(known)])
    if select_some:
        stage("numbering objects")
        numbers = select(
            kept,
            connectivity=options["connectivity"],
            min_size=options["min_size"],
            inside=options["clear_border"],
        )
        if options["one_per_object"]:
            return numbers
        kept = per_voxel(_numbered, "bool", [numbers])
    stage("writing objects back")
    return per_voxel(_written_back, dtype_name(classes), [classes, kept], chosen)


def _of_objects(chosen: tuple[int, int], classes: Array) -> Array:
    return classes == scalar(chosen[0], classes)


def _in_both(one: Array, two: Array) -> Array:
    return one & two


def _numbered(numbers: Array) -> Array:
    return numbers > 0


def _written_back(chosen: tuple[int, int], classes: Array, kept: Array) -> Array:
    """Return classes in which what is kept is the class of the objects, and the rest of that class the next one."""
    xp, (objects, below) = array_namespace(classes), (scalar(value, classes) for value in chosen)
    return xp.where(kept, objects, xp.where(classes == objects, below, classes))


def tidy_regions(regions: Labels, options: Mapping[str, Any]) -> Labels:
    """Run the steps after a method that numbers regions; labels keep their numbers.

    Parameters
    ----------
    regions : int32 array
        One label per region.
    options : RegionOptions
        Those that are missing are off; ``background`` among them is a label that becomes 0.

    Returns
    -------
    int32 array
        The regions that are kept, and 0.
    """
    if background := options.get("background", 0):
        regions = run_plan(PerVoxel(partial(_without, label=background), "int32"), regions)
    min_size, inside = options.get("min_size", 0), options.get("clear_border", False)
    if min_size <= 1 and not inside:
        return regions
    stage("removing regions")
    return select_regions(regions, min_size=min_size, inside=inside)


def _without(regions: Labels, *, label: int) -> Labels:
    """Return a block in which one label is 0."""
    xp = array_namespace(regions)
    return xp.where(regions == label, xp.zeros_like(regions), regions)


def segment(
    plan_for: Callable[[Image], Plan],
    image: Image,
    mask: Mask | None,
    *others: Array | None,
    objects: Objects,
    options: Options,
    choose: Choice = class_one,
) -> Labels:
    """Prepare an image, cut it by a plan, and tidy up what was cut.

    Parameters
    ----------
    plan_for : callable
        From the prepared image, whose dtype may differ from that of `image`, to the plan of the cut.
    image : array
        Grey-level image.
    mask : array or None
        Voxels outside are no part of the statistics and become 0, also where a hole was filled.
    *others : arrays or None
        What else the plan reads, such as markers.
    objects : {"bright", "dark"}
        Which side of the background the objects are on.
    options : Options
        The steps around the cut.
    choose : callable
        Which class holds the objects, and which takes what is removed from them.

    Returns
    -------
    array
        uint8 classes, or int32 numbers of the objects.
    """
    return segment_channels(
        lambda prepared: (plan_for(prepared[0]), others),
        [image],
        mask,
        objects=objects,
        options=options,
        choose=choose,
    )


def segment_channels(
    plan_for: Callable[[Sequence[Image]], tuple[Plan, Sequence[Array | None]]],
    channels: Sequence[Image],
    mask: Mask | None,
    *,
    objects: Objects,
    options: Options,
    choose: Choice,
    finite: bool = False,
) -> Labels:
    """Prepare every channel of an image, cut them together by a plan, and tidy up what was cut.

    Parameters
    ----------
    plan_for : callable
        From the prepared channels to the plan of the cut, and what it reads behind the first channel and the mask,
        outside of which it gives 0.
    channels : sequence of arrays of one shape
        At least one.
    mask, objects, options, choose
        As in `segment`.
    finite : bool
        Whether infinite voxels have no class, as those that are NaN.

    Returns
    -------
    array
        uint8 classes, or int32 numbers of the objects.
    """
    prepared = [prepare(channel, objects, options) for channel in channels]
    plan, others = plan_for(prepared)
    if mask is not None and not isinstance(plan, Stitch | Pyramid):
        plan = replace(plan, masked=True)
    classes = run_plan(plan, prepared[0], mask, *others)
    known = None
    if options["fill_holes"]:
        known = mask
        for channel in prepared:
            known = known_voxels(channel, known, finite=finite)
    return tidy(classes, options, known=known, choose=choose)


def inside(mask: Mask | None) -> Mask | None:
    """Return a mask as booleans, which the array API does not compare with 0."""
    return mask if mask is None or dtype_name(mask) == "bool" else per_voxel(_not_zero, "bool", [mask])


def _not_zero(mask: Array) -> Array:
    return mask != 0


def known_voxels(image: Image, mask: Mask | None, *, finite: bool = False) -> Mask | None:
    """Return where a voxel may have a class: inside `mask` and not NaN, or finite. None if that is everywhere."""
    known = inside(mask)
    if dtype_name(image).startswith("float"):
        return per_voxel(partial(_known, finite=finite), "bool", [image, known])
    return known


def _known(image: Array, known: Array | None, *, finite: bool) -> Array:
    xp = array_namespace(image)
    number = xp.isfinite(image) if finite else ~xp.isnan(image)
    return number if known is None else known & number


# Memory ------------------------------------------------------------------------------------------------

_NUMBERED, _FILLED, _SELECTED, _ALL = 6.0, 16.0, 18.0, 20.0
"""Bytes per voxel of the steps after the cut at their peak, labels included: numbers alone, holes filled, objects
removed, holes filled and objects removed. Measured; a test holds them."""


def bytes_per_voxel(options: Mapping[str, Any], itemsize: int, *, cut: float = 0.0) -> float:
    """Return how much memory the steps around a cut, and the cut, need at their peak.

    Parameters
    ----------
    options : mapping
        The settings by name; those that are missing are off.
    itemsize : int
        Bytes of a voxel of the image.
    cut : float
        Bytes per voxel of the cut itself, beyond image and labels.

    Returns
    -------
    float
        Bytes per voxel beyond the image, the labels included; without the blocks in work, which do not grow with it.
    """
    working = 8.0 if itemsize > 4 else 4.0
    smooth = working if options.get("sigma") or options.get("background_radius") else 0.0
    median_kept = float(itemsize) if options.get("median_radius") else 0.0
    removing = options.get("clear_border") or (options.get("min_size") or 0) > 1
    if options.get("fill_holes"):
        tidying = _ALL if removing else _FILLED
    else:
        tidying = _SELECTED if removing else _NUMBERED if options.get("one_per_object") else 0.0
    return smooth + median_kept + max(1.0 + cut, tidying)
