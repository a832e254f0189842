"""Cut, split and score annotated images with every setting at its default, beside figures that others reached.

``python benchmarks/reference_table.py [FOLDER]`` writes ``results/reference-watershed.md``. The images are no part of
the repository: their folder is the argument, or what NAPARI_CUTOUT_DATA names. Nothing is tuned to them.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from skimage.metrics import adapted_rand_error, contingency_table, variation_of_information

import napari_cutout as nc

ROOT = Path(__file__).parents[1]
PAGE = Path(__file__).with_name("results") / "reference-watershed.md"

Pair = tuple[np.ndarray, np.ndarray]

OBJECT_COLUMNS = ("true", "found", "AP@.5", "AP@.75", "F1@.5", "SEG", "Dice", "Rand")
REGION_COLUMNS = ("VI split", "VI merge", "Rand error")


@dataclass(frozen=True, slots=True)
class Published:
    """A figure that others reached on these images, or on others of the same set.

    Parameters
    ----------
    what : str
        By which method, and who measured it.
    figures : dict
        By column.
    """

    what: str
    figures: dict[str, float]


@dataclass(frozen=True, slots=True)
class Set:
    """One file of annotated images.

    Parameters
    ----------
    file : str
        Its name without ``.npz``.
    title : str
        What it shows.
    published : tuple of Published
        What to compare with.
    """

    file: str
    title: str
    published: tuple[Published, ...]


HERE = "scikit-image 0.26 on these images"

NUCLEI = (
    Set("dsb2018_fluo", "nuclei, 2-D fluorescence (Data Science Bowl 2018), 64 images", (
        Published(f"components, {HERE}", {"AP@.5": 0.495, "Dice": 0.880}),
        Published(f"distance watershed, {HERE}", {"AP@.5": 0.621, "AP@.75": 0.444, "F1@.5": 0.767}),
        Published("U-Net 2-class, trained (StarDist's paper, 50 other images)", {"AP@.5": 0.674, "AP@.75": 0.482}),
        Published("StarDist, trained (its paper, 50 other images)", {"AP@.5": 0.864, "AP@.75": 0.586}),
    )),
    Set("coelho2009_gnf", "nuclei, U2OS (Coelho 2009), 10 images", (
        Published("Otsu (the paper, all images)", {"Rand": 0.92}),
        Published("watershed (the paper, all images)", {"Rand": 0.91}),
        Published("by hand, a second time (the paper)", {"Rand": 0.95}),
    )),
    Set("coelho2009_ic100", "nuclei, NIH3T3 (Coelho 2009), 10 images", (
        Published("Otsu (the paper, all images)", {"Rand": 0.74}),
        Published("watershed (the paper, all images)", {"Rand": 0.78}),
        Published("by hand, a second time (the paper)", {"Rand": 0.93}),
    )),
    Set("ctc_n2dh_sim", "nuclei, simulated, low contrast (Cell Tracking Challenge N2DH-SIM), 5 frames", (
        Published(f"Otsu and components, {HERE}", {"SEG": 0.538}),
    )),
    Set("embryo3d_8cell", "nuclei of a mouse embryo, 3-D, anisotropic", (
        Published(f"Gaussian(2), Otsu, {HERE}", {"Dice": 0.766, "F1@.5": 0.933, "SEG": 0.551}),
    )),
    Set("stardist3d_crop", "dense nuclei, 3-D", (
        Published(f"components, {HERE}", {"F1@.5": 0.156, "Dice": 0.770}),
        Published(f"distance watershed, {HERE}", {"F1@.5": 0.607}),
    )),
)  # fmt: skip

CELLS = (
    Set("gala_fibsem_train", "neurites, FIB-SEM, boundary probabilities", (
        Published("superpixels that come with it", {"VI split": 1.34, "VI merge": 0.12, "Rand error": 0.250}),
        Published(
            f"watershed from p < 0.02, {HERE}", {"VI split": 1.19, "VI merge": 0.09, "Rand error": 0.117}
        ),
    )),
    Set("fibsem_medulla250", "neurites, FIB-SEM, the image alone", (
        Published("superpixels that come with it", {"VI split": 2.52, "VI merge": 0.31, "Rand error": 0.416}),
        Published(f"watershed of dark edges, {HERE}", {"VI split": 2.78, "VI merge": 0.91, "Rand error": 0.492}),
    )),
)  # fmt: skip


# What is run -------------------------------------------------------------------------------------------


def components(image: np.ndarray) -> np.ndarray:
    """Gaussian(1), Otsu, a number for each object."""
    return nc.threshold(image, sigma=1.0, one_per_object=True)


def split(image: np.ndarray) -> np.ndarray:
    """Gaussian(1), Otsu, touching objects split."""
    return nc.split_touching(components(image))


OBJECT_CUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "**ours**: Gaussian(1), Otsu, components": components,
    "**ours**: Gaussian(1), Otsu, split_touching": split,
}


def region_cuts(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the regions of one volume of neurites by what made them."""
    if "boundary_prob" not in arrays:
        found = nc.watershed_from_minima(arrays["image"], surface="inverted", sigma=1.0)
        return {"**ours**: Gaussian(1), watershed_from_minima, inverted": found}
    walls = arrays["boundary_prob"]
    sure = nc.components(walls < 0.02)
    return {
        "**ours**: watershed_from_minima": nc.watershed_from_minima(walls),
        "**ours**: watershed from p < 0.02": nc.watershed(walls, sure),
    }


# Scores ------------------------------------------------------------------------------------------------


def pairs(arrays: dict[str, np.ndarray]) -> Iterator[Pair]:
    """Yield every image of a set with its truth, however the file names them."""
    if "images" in arrays:
        yield from zip(arrays["images"], arrays["labels"], strict=True)
    elif "image" in arrays:
        yield arrays["image"], arrays["labels"]
    else:
        for name in sorted(name for name in arrays if name.startswith("img_")):
            yield arrays[name], arrays[name.replace("img_", "gt_")]


def object_scores(cut: Callable[[np.ndarray], np.ndarray], images: Iterable[Pair]) -> dict[str, float]:
    """Score a cut on all images of a set.

    Parameters
    ----------
    cut : callable
        From an image to labels.
    images : iterable of pairs
        Images and their truth.

    Returns
    -------
    dict
        AP and F1 from the counts of all images, SEG as the mean over all true objects, Dice of the foreground and the
        Rand index as means over images.
    """
    scores, dice, rand = [], [], []
    for image, truth in images:
        labels, truth = cut(image), truth.astype(np.int32)
        scores.append(nc.evaluate_objects(labels, truth))
        dice.append(nc.evaluate((labels > 0).astype(np.uint8), (truth > 0).astype(np.uint8)).mean_dice)
        rand.append(rand_index(labels, truth))
    found: dict[str, float] = {}
    for name, column, limit in (("AP@.5", "ap", 0.5), ("AP@.75", "ap", 0.75), ("F1@.5", "f1", 0.5)):
        tp, fp, fn = (sum(int(one.at(limit)[count]) for one in scores) for count in ("tp", "fp", "fn"))
        found[name] = tp / (tp + fp + fn) if column == "ap" else 2 * tp / (2 * tp + fp + fn)
    n_true = sum(one.n_true for one in scores)
    found |= {"true": n_true, "found": sum(one.n_predicted for one in scores)}
    found["SEG"] = math.fsum(one.seg * one.n_true for one in scores if one.n_true) / n_true
    return found | {"Dice": float(np.mean(dice)), "Rand": float(np.mean(rand))}


def rand_index(labels: np.ndarray, truth: np.ndarray) -> float:
    """Return the share of pairs of voxels that both have together or both have apart, background among the regions."""
    table = contingency_table(truth, labels, sparse_type="array").astype(np.float64)
    n = labels.size
    both = (table.multiply(table)).sum()
    rows, columns = (float((table.sum(axis=axis) ** 2).sum()) for axis in (0, 1))
    return float(1 - (rows + columns - 2 * both) / (n * (n - 1)))


def region_scores(labels: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Compare two divisions of a volume where the truth has one, in bits and as a share."""
    split_up, merged = variation_of_information(truth, labels, ignore_labels=(0,))
    error, _, _ = adapted_rand_error(truth, labels, ignore_labels=(0,))
    return {"VI split": float(split_up), "VI merge": float(merged), "Rand error": float(error)}


# The page ----------------------------------------------------------------------------------------------


def data_folder(given: str | None) -> Path:
    """Return where the annotated images are."""
    return Path(given or os.environ.get("NAPARI_CUTOUT_DATA", ROOT.parent / "shared" / "data"))


def asked(description: str, page: Path) -> tuple[Path, Path]:
    """Return what the command line of a script says: the folder of the images, and the page to write."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("folder", nargs="?", help="where the images are; by default what NAPARI_CUTOUT_DATA names")
    parser.add_argument("--out", type=Path, default=page, help="the page to write")
    options = parser.parse_args()
    folder = data_folder(options.folder)
    if not folder.is_dir():
        parser.error(f"there is no folder {str(folder)!r}; pass the folder of the images, or set NAPARI_CUTOUT_DATA")
    return folder, options.out


def loaded(folder: Path, one: Set) -> dict[str, np.ndarray]:
    """Return the arrays of a set."""
    with np.load(folder / f"{one.file}.npz") as file:
        return dict(file)


def rows_of(folder: Path, one: Set) -> list[tuple[str, dict[str, float]]]:
    """Return what each of our cuts scores on a set, and what others did."""
    arrays = loaded(folder, one)
    if one in NUCLEI:
        ours = [(name, object_scores(cut, pairs(arrays))) for name, cut in OBJECT_CUTS.items()]
    else:
        ours = [(name, region_scores(cut, arrays["labels"])) for name, cut in region_cuts(arrays).items()]
    return [*ours, *((other.what, other.figures) for other in one.published)]


def section(folder: Path, one: Set) -> list[str]:
    """Return the lines of a set on the page."""
    names = OBJECT_COLUMNS if one in NUCLEI else REGION_COLUMNS
    lines = [f"## {one.title}", "", f"`{one.file}.npz`", "", "| | " + " | ".join(names) + " |"]
    lines.append("|---|" + "---|" * len(names))
    for what, figures in rows_of(folder, one):
        cells = (cell(figures.get(name)) for name in names)
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def cell(figure: float | None) -> str:
    """Return a figure as text: counts as they are, scores with three digits."""
    if figure is None:
        return "-"
    return str(figure) if isinstance(figure, int) else f"{figure:.3f}"


INTRODUCTION = """\
# Split touching and watershed on annotated images, every setting at its default

Made by `python benchmarks/reference_table.py`. Nothing was tuned to these images. Rows in **bold** are ours; the others
are figures that were published, or that were measured with scikit-image on exactly these files, with settings that are
not stated. No voxel size is stated for these files, so none was given.

What to take from it: cuts by shape help where objects are round and touch. The default `depth` is one voxel for every
size: of large nuclei with a rough outline (U2OS, N2DH-SIM) it makes too many pieces, which a greater `depth` leaves
whole; and with no `min_size` every speck of noise counts as an object.

True and found are numbers of objects. AP = TP / (TP + FP + FN) and F1 at the IoU that is named, from the counts of all
images of a set, objects matched one to one; SEG is the mean IoU over true objects; Dice of the foreground and the Rand
index are means over images. Of neurites: variation of information in bits, by splits and by merges, and the adapted
Rand error; lower is better.
"""


def page(folder: Path, sets: Iterable[Set] = (*NUCLEI, *CELLS)) -> str:
    """Return the page, without the sets whose file is not there."""
    there = [one for one in sets if (folder / f"{one.file}.npz").is_file()]
    return "\n".join([INTRODUCTION, *(line for one in there for line in section(folder, one))])


def main() -> None:
    """Run from the command line."""
    folder, out = asked("Cut, split and score annotated images with default settings.", PAGE)
    text = page(folder)
    out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
