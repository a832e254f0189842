"""The cases of methods that know more than grey levels: floods, walks, regions, networks and labels."""

from __future__ import annotations

import numpy as np
from case_scenes import (
    SHAPE,
    Array,
    borders,
    cells,
    discs,
    ellipse,
    membranes,
    nearest,
    noisy,
    slope,
    soft,
    stripes,
    strokes,
)  # fmt: skip
from scipy import ndimage

import napari_cutout as nc
from cases import Case, by_classes, by_markers, by_objects, by_voxels, case

TISSUE = cells()
CLOSED = noisy(membranes(TISSUE), 6)
GRAINY = noisy(membranes(TISSUE, 90, 150), 30)


# Watershed and split touching --------------------------------------------------------------------------


def holed(width: int) -> Array:
    """Return a tissue whose borders have gaps of a width between some cells."""
    wall = borders(TISSUE) * 1.0
    y, x = np.indices(SHAPE)
    wall[(y % 30 < width) | (x % 37 < width)] = 0
    return noisy(ndimage.gaussian_filter(60 + 130 * wall, 0.8), 6)


@case
def watershed() -> tuple[Case, Case]:
    """Show that a flood goes on until it meets another."""
    every, half = strokes(TISSUE), strokes(TISSUE, every=2)
    return (
        by_classes("a stroke in each cell", CLOSED, nc.watershed(CLOSED, every, sigma=1.0), TISSUE, every),
        by_classes("cells without a stroke", CLOSED, nc.watershed(CLOSED, half, sigma=1.0), TISSUE, half),
    )


@case
def watershed_from_minima() -> tuple[Case, Case]:
    """Show that noise makes minima."""
    settings = {"sigma": 1.0, "depth": 25}
    return (
        by_objects("closed borders, little noise", CLOSED, nc.watershed_from_minima(CLOSED, **settings), TISSUE),
        by_objects("noise as deep as the cells", GRAINY, nc.watershed_from_minima(GRAINY, sigma=1.0, depth=5), TISSUE),
    )


@case
def markers_from_minima() -> tuple[Case, Case]:
    """Show that noise makes minima."""
    return (
        by_markers("closed borders, little noise", CLOSED, nc.markers_from_minima(CLOSED, sigma=2.0, depth=25), TISSUE),
        by_markers("noise as deep as the cells", GRAINY, nc.markers_from_minima(GRAINY, sigma=1.0, depth=5), TISSUE),
    )


ROUND = discs(((30, 30), (30, 50), (84, 36), (100, 48), (84, 60), (30, 100), (46, 112), (90, 108), (90, 128)), 12)


def worms() -> Array:
    """Return long bent objects of changing width, numbered."""
    y, x = np.indices(SHAPE)
    found = np.zeros(SHAPE, np.int32)
    for number, middle in enumerate((20, 60, 100), start=1):
        bend = middle + 8 * np.sin(x / 16 + number)
        width = 3.5 + 4.5 * np.cos(x / 5.5 + number) ** 2
        found[(np.abs(y - bend) < width) & (x > 8) & (x < 142)] = number
    return found


@case
def split_touching() -> tuple[Case, Case]:
    """Show that a neck is taken for two objects that touch."""
    ring, long = (ROUND > 0).astype(np.uint8), worms()
    mask = (long > 0).astype(np.uint8)
    return (
        by_objects("round objects that touch", ring, nc.split_touching(ring), ROUND, mask=ring),
        by_objects("long objects with necks of their own", mask, nc.split_touching(mask), long, mask=mask),
    )


@case
def markers_from_distance() -> tuple[Case, Case]:
    """Show that a neck is taken for two objects that touch."""
    ring, long = (ROUND > 0).astype(np.uint8), worms()
    mask = (long > 0).astype(np.uint8)
    return (
        by_markers("round objects that touch", ring, nc.markers_from_distance(ring), ROUND, mask=ring),
        by_markers("long objects with necks of their own", mask, nc.markers_from_distance(mask), long, mask=mask),
    )


# Strokes -----------------------------------------------------------------------------------------------


@case
def random_walker() -> tuple[Case, Case]:
    """Show that it bridges gaps, and goes where strokes are near."""
    gaps, marked = holed(6), strokes(TISSUE)
    bright = discs(radius=12) > 0
    image = noisy(30 + soft(bright, 90), 6)
    few = np.zeros(SHAPE, np.int32)
    few[56:60, 36:44], few[2:4, 4:60], few[-4:-2, 4:60] = 1, 2, 2
    return (
        by_classes("borders with gaps", gaps, nc.random_walker(gaps, marked), TISSUE, marked),
        by_voxels("objects without a stroke", image, nc.random_walker(image, few) == 1, bright, few),
    )


@case
def graph_cut() -> tuple[Case, Case]:
    """Show that thin parts cost more border than they are worth."""
    bright = discs(radius=12) > 0
    plain = noisy(40 + soft(bright, 90), 14)
    marked = np.zeros(SHAPE, np.int32)
    marked[54:62, 36:44], marked[40:42, 4:140] = 1, 2
    y, x = np.indices(SHAPE)
    thin = ((y % 24 == 12) | (x % 30 == 15)) & (y > 40)
    wire = noisy(40 + ndimage.gaussian_filter(thin * 120.0, 0.7), 10)
    hint = np.zeros(SHAPE, np.int32)
    hint[60, 20:60], hint[10:14, 4:140] = 1, 2
    return (
        by_voxels(
            "compact objects, strokes in one of them",
            plain,
            nc.graph_cut(plain, marked, smoothness=5.0) == 1,
            bright,
            marked,
        ),
        by_voxels("a net of thin lines", wire, nc.graph_cut(wire, hint) == 1, thin, hint),
    )


# Regions -----------------------------------------------------------------------------------------------

QUILT = nearest(np.array([(20, 20), (30, 75), (18, 125), (60, 45), (70, 100), (100, 20), (104, 75), (96, 130)]), SHAPE)
PATCHES = np.array([0, 60, 150, 90, 190, 120, 110, 40, 170])[QUILT].astype(float)
SHARP = noisy(PATCHES, 5)
BLURRED = noisy(ndimage.gaussian_filter(PATCHES, 14), 5)


@case
def felzenszwalb() -> tuple[Case, Case]:
    """Show that steps between neighbours are all that it sees."""
    settings = {"scale": 200, "sigma": 0.5, "min_size": 60}
    return (
        by_objects("even regions with sharp edges", SHARP, nc.felzenszwalb(SHARP, **settings), QUILT),
        by_objects("edges that are slow changes", BLURRED, nc.felzenszwalb(BLURRED, **settings), QUILT),
    )


def most_of(regions: Array, truth: Array) -> Array:
    """Return the regions that lie mostly on an object: the best that can be chosen from them."""
    share = ndimage.mean(truth > 0, regions, np.arange(regions.max() + 1))
    return np.where(np.nan_to_num(share)[regions] > 0.5, regions, 0)


@case
def superpixels() -> tuple[Case, Case]:
    """Show that what is smaller than a region shares one with what is around it."""
    image = noisy(40 + soft(discs(radius=13), 120, 0.7), 8)
    y, x = np.indices(SHAPE)
    thin = ((y + x // 3) % 20 == 0) | ((x + y // 2) % 26 == 0)
    lines = noisy(60 + ndimage.gaussian_filter(thin * 100.0, 0.6), 12)
    two = (nc.superpixels(image, n_superpixels=150), nc.superpixels(lines, n_superpixels=60))
    return (
        by_voxels("objects of many regions", image, most_of(two[0], discs(radius=13)), discs(radius=13)),
        by_voxels("lines thinner than a region", lines, most_of(two[1], thin), thin),
    )


@case
def merge_regions() -> tuple[Case, Case]:
    """Show that the most alike first, whatever they belong to."""
    settings = {"n_regions": 8, "n_superpixels": 200}
    faint = noisy(60 + 12 * (np.isin(QUILT, (2, 4, 6, 8))) + slope(0, 140), 6)
    return (
        by_objects("regions of one grey level each", SHARP, nc.merge_regions(SHARP, **settings), QUILT),
        by_objects("changes inside larger than the steps between", faint, nc.merge_regions(faint, **settings), QUILT),
    )


@case
def normalized_cut() -> tuple[Case, Case]:
    """Show that it cuts as often as it is told, where parts come out alike."""
    halves = 1 + (ellipse((60, 75), 62, 40, 20)).astype(np.int32)
    image = noisy(np.where(halves == 2, 150.0, 70.0), 10)
    small = 1 + (discs(((40, 50),), 6) > 0).astype(np.int32)
    spot = noisy(np.where(small == 2, 130.0, 70.0), 10)
    two, five = ({"n_regions": n, "n_superpixels": 300} for n in (2, 5))
    return (
        by_objects("two parts, cut in two", image, nc.normalized_cut(image, **two), halves),
        by_objects("two parts, cut in five", spot, nc.normalized_cut(spot, **five), small),
    )


# Networks ----------------------------------------------------------------------------------------------


def woven(scale: float = 1.0, seed: int = 0) -> tuple[Array, Array]:
    """Return fine stripes inside objects and coarse ones around, equally bright, and which is which."""
    inside = discs(((36, 40), (40, 110), (90, 74)), 24) > 0
    fine, coarse = stripes(5 * scale, 30), stripes(11 * scale, 120)
    return noisy(60 + 130 * np.where(inside, fine, coarse), 10, seed), 1 + inside.astype(np.int32)


@case
def unet_predict() -> tuple[Case, Case]:
    """Show that it knows what it was shown."""
    (image, truth), (other, _), (wide, _) = woven(), woven(seed=1), woven(3.0)
    model = nc.unet_train([image], [truth], n_steps=80, width=8, device="cpu", ignore=None, validation=0.0)
    return (
        by_classes("an image like the one it learnt from", other, nc.unet_predict(other, model=model), truth),
        by_classes("the same at three times the magnification", wide, nc.unet_predict(wide, model=model), truth),
    )


@case
def unet_from_strokes() -> tuple[Case, Case]:
    """Show that it learns from what is painted, and nothing else."""
    image, truth = woven()
    marked, one = np.zeros(SHAPE, np.int32), np.zeros(SHAPE, np.int32)
    marked[30:38, 26:54], marked[34:44, 96:124], marked[2:10, 4:140], marked[64:72, 8:40] = 2, 2, 1, 1
    third = np.where(discs(((90, 74),), 24) > 0, noisy(60 + 130 * stripes(20, 75), 10), image)
    one[30:38, 26:54], one[2:10, 4:140] = 2, 1
    return (
        by_classes(
            "strokes on all that there is",
            image,
            nc.unet_from_strokes(image, marked, n_steps=80, width=8),
            truth,
            marked,
        ),
        by_classes(
            "a texture without strokes",
            third,
            nc.unet_from_strokes(third, one, n_steps=80, width=8),
            np.where(discs(((90, 74),), 24) > 0, 2, 0),
            one,
        ),
    )


# Labels ------------------------------------------------------------------------------------------------


@case
def objects() -> tuple[Case, Case]:
    """Show that what touches is one."""
    apart, touching = (discs() > 0).astype(np.uint8), (ROUND > 0).astype(np.uint8)
    return (
        by_objects("objects that lie apart", apart, nc.objects(apart), discs(), mask=apart),
        by_objects("objects that touch", touching, nc.objects(touching), ROUND, mask=touching),
    )


@case
def draw_lines() -> tuple[Case, Case]:
    """Show that a line has a width of its own."""
    y, x = np.indices(SHAPE)
    grains = (y // 3 * SHAPE[1] + x // 3 + 1).astype(np.int32)
    return (
        by_voxels("cells that touch", TISSUE, nc.draw_lines(TISSUE), TISSUE, mask=TISSUE),
        by_voxels("objects of three voxels across", grains, nc.draw_lines(grains), grains, mask=grains),
    )


def moving(step: int) -> tuple[Array, Array]:
    """Return four objects that move so far from frame to frame, and the same numbered anew in each."""
    shape, starts = (40, SHAPE[1]), ((16, 12), (21, 32), (24, 52), (17, 72))
    sway = (5, -4, -5, 4)  # so that numbers given from above to below change from frame to frame
    moved = [[(y + t % 2 * up, x + step * t) for (y, x), up in zip(starts, sway, strict=True)] for t in range(3)]
    truth = np.stack([discs(tuple(places), 7, shape) for places in moved])
    return truth, np.stack([nc.components(frame) for frame in truth])


def by_numbers(title: str, given: Array, result: Array, truth: Array) -> Case:
    """Score how many objects have one number in all frames; frames are drawn below each other."""
    kept = [len(np.unique(result[truth == n])) == 1 for n in range(1, truth.max() + 1)]
    given, result, truth = (frames.reshape(-1, frames.shape[-1]) for frames in (given, result, truth))
    return Case(title, given, result, truth, float(np.mean(kept)), "objects with one number", None, given)


@case
def link_frames() -> tuple[Case, Case]:
    """Show that what does not overlap itself is not known again."""
    (slow, anew), (fast, numbered) = moving(4), moving(26)
    return (
        by_numbers("objects that move by less than their size", anew, nc.link_frames(anew), slow),
        by_numbers("objects that move by more", numbered, nc.link_frames(numbered), fast),
    )
