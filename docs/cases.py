"""What each method is shown on: one image on which it does well, one on which it fails, and how that is scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from case_scenes import (
    SHAPE,
    Array,
    discs,
    noisy,
    slope,
    soft,
    stripes,
)
from scipy import ndimage

import napari_cutout as nc

GOOD, BAD = 0.85, 0.65
"""A case that does well scores more than the first, one that fails less than the second."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One image, what a method made of it, and what it should have been.

    Parameters
    ----------
    title : str
        What the image is, in a few words.
    image : array
        Grey levels.
    result : array
        What the method made of it.
    truth : array
        What was to be found.
    score : float
        How near the result is to it, 0 to 1.
    measure : str
        What the score is called.
    marked : array, optional
        The strokes that the method was given.
    mask : array, optional
        The labels that it was given instead of an image.
    """

    title: str
    image: Array
    result: Array
    truth: Array
    score: float
    measure: str
    marked: Array | None = None
    mask: Array | None = None


Pair = Callable[[], tuple[Case, Case]]
CASES: dict[str, Pair] = {}


def case(make: Pair) -> Pair:
    """Register the two cases of the method that a function is called after."""
    CASES[make.__name__] = make
    return make


# Scores ------------------------------------------------------------------------------------------------


def by_voxels(
    title: str, image: Array, result: Array, truth: Array, marked: Array | None = None, mask: Array | None = None
) -> Case:
    """Score what is object and what is not."""
    found, there = result > 0, truth > 0
    return Case(title, image, result, truth, dice(found, there), "Dice", marked, mask)


def by_classes(title: str, image: Array, result: Array, truth: Array, marked: Array | None = None) -> Case:
    """Score every class that is in the truth, and take the mean."""
    scores = [dice(result == c, truth == c) for c in np.unique(truth) if c]
    return Case(title, image, result, truth, float(np.mean(scores)), "mean Dice", marked)


def by_objects(
    title: str, image: Array, result: Array, truth: Array, marked: Array | None = None, mask: Array | None = None
) -> Case:
    """Score which objects were found, each by half of its union with what was found."""
    f1 = nc.evaluate_objects(result, truth).f1
    return Case(title, image, result, truth, float(np.atleast_1d(f1)[0]), "F1 of objects", marked, mask)


def by_markers(title: str, image: Array, result: Array, truth: Array, mask: Array | None = None) -> Case:
    """Score in how many objects there is one marker and no other."""
    found = [np.unique(result[truth == n]) for n in range(1, truth.max() + 1)]
    once = sum(int((parts > 0).sum() == 1) for parts in found)
    return Case(title, image, result, truth, once / truth.max(), "objects with one marker", None, mask)


def dice(one: Array, other: Array) -> float:
    """Return the overlap of two masks."""
    return 2.0 * float((one & other).sum()) / max(float(one.sum() + other.sum()), 1.0)


# Threshold and histogram -------------------------------------------------------------------------------

NUCLEI = discs()
EVEN = noisy(30 + soft(NUCLEI, 90), 12)
SHADED = noisy(10 + soft(NUCLEI, 60) + slope(0, 150), 8)


@case
def threshold() -> tuple[Case, Case]:
    """Show that one level for the whole needs light that is even."""
    return (
        by_voxels("even light", EVEN, nc.threshold(EVEN, sigma=1.0), NUCLEI),
        by_voxels("light that grows to the right", SHADED, nc.threshold(SHADED, sigma=1.0), NUCLEI),
    )


@case
def threshold_at() -> tuple[Case, Case]:
    """Show that a level that was measured holds for images that were taken alike."""
    exposed = noisy(80 + soft(NUCLEI, 160), 12)
    return (
        by_voxels("the exposure it was chosen on", EVEN, nc.threshold_at(EVEN, value=75, sigma=1.0), NUCLEI),
        by_voxels("twice the exposure, the same level", exposed, nc.threshold_at(exposed, value=75, sigma=1.0), NUCLEI),
    )


def three(radius: float, inner: float) -> Array:
    """Return cells with nuclei: 1 around, 2 cytoplasm, 3 nucleus."""
    return 1 + (discs(radius=radius) > 0).astype(np.int32) + (discs(radius=inner) > 0)


@case
def multi_otsu() -> tuple[Case, Case]:
    """Show that classes must have a share of the voxels that is worth a level."""
    balanced, rare = three(18, 11), three(18, 2)
    images = [noisy(np.choose(t - 1, [40, 90, 150]), 14) for t in (balanced, rare)]
    return (
        by_classes("three classes of like size", images[0], nc.multi_otsu(images[0], sigma=1.0), balanced),
        by_classes("a class of 1 % of the voxels", images[1], nc.multi_otsu(images[1], sigma=1.0), rare),
    )


@case
def classes_at() -> tuple[Case, Case]:
    """Show that levels that are known hold as long as the grey levels do."""
    truth = three(18, 11)
    clean = np.choose(truth - 1, [40.0, 90.0, 150.0])
    steady, drifting = noisy(clean, 8), noisy(clean + slope(-40, 85), 8)
    return (
        by_classes(
            "grey levels that are calibrated", steady, nc.classes_at(steady, values=(65, 120), sigma=1.0), truth
        ),
        by_classes("grey levels that drift", drifting, nc.classes_at(drifting, values=(65, 120), sigma=1.0), truth),
    )


@case
def hysteresis() -> tuple[Case, Case]:
    """Show that a faint part stays if it hangs on a bright one, and goes with it if not."""
    truth = discs(radius=10) > 0
    rays = np.zeros(SHAPE, bool)
    for y, x in ((22, 24), (24, 68), (58, 40), (60, 90), (98, 22), (96, 66)):
        rays[y - 2 : y + 3, x : x + 26] = True
    faint = (truth | rays) * 45.0 + truth * 90.0
    specks = np.zeros(SHAPE)
    random = np.random.default_rng(5)
    specks[random.integers(0, 120, 60), random.integers(0, 150, 60)] = 380.0
    clean = noisy(30 + ndimage.gaussian_filter(faint + specks, 1), 5)
    dim = noisy(30 + ndimage.gaussian_filter((discs() > 0) * np.where(discs() % 3 == 1, 130.0, 45.0), 1), 5)
    settings = {"low": 52, "high": 110}
    return (
        by_voxels("bright bodies with faint arms", clean, nc.hysteresis(clean, **settings), truth | rays),
        by_voxels("objects that are faint all over", dim, nc.hysteresis(dim, **settings), discs()),
    )


@case
def sauvola() -> tuple[Case, Case]:
    """Show that the window must be larger than an object and smaller than the changes of light."""
    small, large = discs(radius=7), discs(((60, 40), (60, 110)), 32)
    shaded, wide = noisy(20 + soft(small, 70) + slope(0, 120), 5), noisy(60 + soft(large, 90), 5)
    return (
        by_voxels("small objects in uneven light", shaded, nc.sauvola(shaded, window=25, sigma=1.0), small),
        by_voxels("objects larger than the window", wide, nc.sauvola(wide, window=25, sigma=1.0), large),
    )


@case
def niblack() -> tuple[Case, Case]:
    """Show that where there is nothing, the window stretches the noise."""
    crowded = discs(tuple((y, x) for y in range(9, 120, 16) for x in range(9, 150, 16)), 5.5)
    full = noisy(20 + soft(crowded, 80, 1.0) + slope(0, 100), 6)
    few = discs(((30, 30), (90, 110)), 6)
    empty = noisy(60 + soft(few, 80), 10)
    return (
        by_voxels("objects everywhere", full, nc.niblack(full, window=25, sigma=1.0), crowded),
        by_voxels("much empty background", empty, nc.niblack(empty, window=25, sigma=1.0), few),
    )


@case
def local_mean() -> tuple[Case, Case]:
    """Show that half of what is flat lies above its own mean."""
    small, few = discs(radius=8), discs(((30, 30), (90, 110)), 6)
    shaded, empty = noisy(20 + soft(small, 70) + slope(0, 120), 5), noisy(60 + soft(few, 80), 10)
    return (
        by_voxels(
            "uneven light, an offset above the noise",
            shaded,
            nc.local_mean(shaded, window=35, offset=10, sigma=1.0),
            small,
        ),
        by_voxels("noise, and no offset", empty, nc.local_mean(empty, window=25, sigma=1.0), few),
    )


@case
def histogram_segmentation() -> tuple[Case, Case]:
    """Show that peaks must be seen in the histogram."""
    truth = three(18, 11)
    clean = np.choose(truth - 1, [40.0, 100.0, 170.0])
    clear, smeared = noisy(clean, 9), noisy(clean * 0.7 + slope(0, 90), 9)
    return (
        by_classes(
            "grey levels that gather in three peaks", clear, nc.histogram_segmentation(clear, n_classes=3), truth
        ),
        by_classes("peaks that uneven light has smeared", smeared, nc.histogram_segmentation(smeared), truth),
    )


@case
def back_projection() -> tuple[Case, Case]:
    """Show that grey levels of the strokes must be those of the object alone."""
    inner, outer = discs(radius=6) > 0, discs(radius=13) > 0
    own = noisy(np.where(inner, 40.0, np.where(outer, 200.0, 120.0)), 10)
    random = ndimage.gaussian_filter(np.random.default_rng(2).normal(size=SHAPE), 3)
    shared = noisy(np.where(inner, 40.0, np.where(outer, 200.0, np.where(random > 0, 195.0, 45.0))), 10)
    marked = np.where(discs(radius=12) == 5, 1, 0)
    return (
        by_voxels("dark and bright, and grey around", own, nc.back_projection(own, marked, sigma=1.0), outer, marked),
        by_voxels(
            "the same levels are around, too", shared, nc.back_projection(shared, marked, sigma=1.0), outer, marked
        ),
    )


# Clustering --------------------------------------------------------------------------------------------


@case
def kmeans() -> tuple[Case, Case]:
    """Show that it puts levels where they halve the distance of centres, whatever the size of a class."""
    balanced = three(18, 11)
    even = noisy(np.choose(balanced - 1, [40, 95, 150]), 12)
    rare = 1 + (discs(radius=3.5) > 0).astype(np.int32)
    uneven = noisy(np.where(rare == 2, 170.0, 60 + 40 * (stripes(70, 30) > 0.5)), 6)
    return (
        by_classes("classes of like size and spread", even, nc.kmeans(even, n_clusters=3, sigma=1.0), balanced),
        by_classes("a rare class, and a wide one", uneven, nc.kmeans(uneven, n_clusters=2), rare),
    )


@case
def gaussian_mixture() -> tuple[Case, Case]:
    """Show that each component has a spread of its own, but is a bell."""
    truth = 1 + (discs(radius=9) > 0).astype(np.int32)
    random = np.random.default_rng(1)
    spread = np.where(truth == 2, 3.0, 22.0)
    narrow = np.clip(np.rint(np.where(truth == 2, 150.0, 90.0) + random.normal(0, 1, SHAPE) * spread), 0, 255).astype(
        np.uint8
    )
    shaded = noisy(np.where(truth == 2, 80.0, 30.0) + slope(0, 150), 5)
    return (
        by_classes(
            "a narrow class on a wide one",
            narrow,
            nc.gaussian_mixture(narrow, n_components=2, sigma=0, smoothness=2),
            truth,
        ),
        by_classes(
            "uneven light: grey levels are no bells", shaded, nc.gaussian_mixture(shaded, n_components=2), truth
        ),
    )
