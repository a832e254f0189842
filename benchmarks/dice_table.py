"""Score every method that needs nothing but an image on annotated nuclei, and classes of brain tissue.

``python benchmarks/dice_table.py [FOLDER]`` writes ``docs/dice-table.md``. The images are no part of the repository:
their folder is the argument, or what NAPARI_CUTOUT_DATA names. Nothing is tuned to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import napari_cutout as nc
from napari_cutout import catalog
from napari_cutout.comparison._cuts import COUNTS, Cut, cuts
from reference_table import ROOT, Pair, Set, asked, cell, loaded, pairs

PAGE = ROOT / "docs" / "dice-table.md"

MAIN = Set("dsb2018_fluo", "nuclei, fluorescence, 64 images (Data Science Bowl 2018)", ())

OTHERS = (
    Set("coelho2009_gnf", "U2OS", ()),
    Set("coelho2009_ic100", "NIH3T3", ()),
    Set("ctc_n2dh_sim", "N2DH-SIM", ()),
    Set("embryo3d_8cell", "mouse embryo, 3-D", ()),
    Set("stardist3d_crop", "dense, 3-D", ()),
)

SMOOTHED = 1.0
"""Standard deviation of the Gaussian in the columns that say so, in pixels."""

TISSUES = ("CSF", "grey matter", "white matter")

Settings = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """A method with the settings that differ from its defaults.

    Parameters
    ----------
    method : str
        Its name.
    settings : mapping
        Those settings.
    """

    method: str
    settings: Settings = field(default_factory=dict)

    def __str__(self) -> str:
        return f"`{self.method}({', '.join(f'{name}={_word(value)}' for name, value in self.settings.items())})`"

    def labels(self, *arrays: np.ndarray, **more: Any) -> np.ndarray:
        """Return what the method gives, with more settings."""
        return getattr(nc, self.method)(*arrays, **self.settings, **more)

    @property
    def lowest(self) -> int:
        """The label of the darkest class: 1 where a method sorts every voxel into a class, else 0."""
        names = {p.name for p in catalog.find(self.method).settings}
        return int(bool(names & {"n_classes", *COUNTS}))


def _word(value: Any) -> str:
    return repr(value).replace("'", '"')


# What is run -------------------------------------------------------------------------------------------

CLUSTERINGS = (
    Row("kmeans", {"n_clusters": 2}),
    Row("kmeans", {"n_clusters": 3}),
    Row("kmeans", {"n_clusters": 2, "features": ("intensity", "gaussian")}),
    Row("kmeans", {"n_clusters": 2, "features": ("gaussian", "hessian")}),
    Row("gaussian_mixture", {"n_components": 2}),
    Row("gaussian_mixture", {"n_components": 3}),
    Row("gaussian_mixture", {"n_components": "auto"}),
    Row("gaussian_mixture", {"n_components": 2, "smoothness": 4.0}),
    Row("gaussian_mixture", {"n_components": 3, "smoothness": 4.0}),
    Row("gaussian_mixture", {"n_components": 2, "features": ("intensity", "gaussian")}),
    Row("gaussian_mixture", {"n_components": 3, "features": ("gaussian", "hessian")}),
)

BRAINS = (
    Row("kmeans", {"n_clusters": 3}),
    Row("multi_otsu", {"n_classes": 3}),
    Row("gaussian_mixture", {"n_components": 3}),
    Row("gaussian_mixture", {"n_components": 3, "tolerance": 1e-5}),
    Row("gaussian_mixture", {"n_components": 3, "smoothness": 2.0}),
)


def rows() -> list[Row]:
    """Return every method that needs an image only, once for each of its rules, and ways to cluster."""
    alone = [cut for cut in cuts(None, "bright", numbered=False) if _needs_nothing(cut)]
    return [*(Row(cut.method, cut.settings) for cut in alone), *CLUSTERINGS]


def _needs_nothing(cut: Cut) -> bool:
    settings = catalog.find(cut.method).settings
    return not (cut.strokes or any(p.required or p.name in COUNTS for p in settings))


# Scores ------------------------------------------------------------------------------------------------


def scores(row: Row, images: Iterable[Pair], **more: Any) -> tuple[float, float, int]:
    """Compare all that is brighter than the darkest class with all that is annotated.

    Parameters
    ----------
    row : Row
        What to run.
    images : iterable of pairs
        Images and their truth.
    **more : settings
        More settings of the method.

    Returns
    -------
    tuple of float, float and int
        Mean Dice and mean IoU over images, and how many of them gave an error, which counts as nothing found.
    """
    dice, iou, n_errors = [], [], 0
    for image, truth in images:
        found = np.zeros(truth.shape, np.uint8)
        try:
            found[...] = row.labels(image, **more) > row.lowest
        except ValueError:
            n_errors += 1
        scored = nc.evaluate(found, (truth > 0).astype(np.uint8))
        dice.append(scored.mean_dice)
        iou.append(scored.mean_iou)
    return float(np.mean(dice)), float(np.mean(iou)), n_errors


def brains(folder: Path) -> list[tuple[str, np.ndarray, np.ndarray, Mapping[str, Sequence[float]]]]:
    """Return of each brain its title, image, classes (0 outside of the brain), and what others measured."""
    fast, maps = (dict(np.load(folder / f"{name}.npz")) for name in ("mni152_2mm_fast", "mni152_09a_tissue"))
    grey, white = (maps[name].astype(np.int16) for name in ("gm_prob_u8", "wm_prob_u8"))
    likeliest = np.argmax(np.stack([255 - grey - white, grey, white]), axis=0) + 1
    return [
        (
            "2 mm, against FAST",
            fast["t1"],
            fast["fast_seg"],
            {"k-means": (0.858, 0.825, 0.893), "mixture": (0.885, 0.855, 0.904)},
        ),
        (
            "1 mm (09a), against the largest of its tissue maps",
            maps["t1"],
            np.where(maps["t1"] > 0, likeliest, 0),
            {"k-means": (0.755, 0.901, 0.931), "mixture": (0.742, 0.913, 0.937)},
        ),
    ]


def tissue_dice(row: Row, image: np.ndarray, classes: np.ndarray) -> list[float]:
    """Return the Dice of every tissue; the method sees the brain only."""
    labels = row.labels(image, classes > 0)
    return [_dice(labels == k, classes == k) for k in range(1, len(TISSUES) + 1)]


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * np.sum(a & b) / (np.sum(a) + np.sum(b)))


# The page ----------------------------------------------------------------------------------------------

INTRODUCTION = """\
# Dice of every method on annotated nuclei

Made by `python benchmarks/dice_table.py`. Every setting that is not named is at its default, and nothing was tuned to
these images. All methods get an image and nothing else. Methods that need strokes, or grey levels by hand, are left
out; no voxel size is stated for these files, so none was given.

**What counts as nuclei.** Methods that cut in two: label 1. Methods that sort all voxels into classes (`multi_otsu`,
`histogram_segmentation`, `kmeans`, `gaussian_mixture`): every class but the darkest. So nothing was chosen by looking
at the truth. Of the truth, all nuclei together; whether touching nuclei are told apart is not asked here, see
[Split touching](watershed.md). Dice and IoU are means over images. An error, such as no two peaks in a histogram,
counts as nothing found.

**What to take from it.**

- k-means with two classes *is* Otsu's threshold. With three, all but the darkest, dim nuclei are found as well, which
  is better on five of the six sets.
- A mixture cuts lower still: the background is a narrow class, and what is brighter, haze around nuclei too, is the
  other. That is right where the contrast is low and even (N2DH-SIM), and too low on most of these images. Smoothing
  before it makes the background narrower, and so makes it worse; *smoothness* removes specks, of which there are few.
- The number that a mixture finds by itself describes the histogram, not nuclei.
- Features of the neighbourhood help little where brightness alone tells, and can hurt: edges become a class.

Look at a few images of your own before you choose.
"""

BRAIN_TEXT = """\
## Brain tissue, three classes

Dice inside the brain, one channel, classes by rising grey level. Neither reference is a truth: FAST is another program,
and the maps are means of many brains. *Elsewhere* are figures that were measured before with other programs on these
files.

The likelihood of three normal distributions rises very slowly here, and tissues are not normal: the longer the fit goes
on, the further it gets from the reference. It stops where the likelihood rises by less than `tolerance`, so two
programs that begin or stop in another way differ by up to a hundredth.
"""


def table(names: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    """Return a Markdown table; the first column is text, the others are figures."""
    rule = ["---", *["--:"] * (len(names) - 1)]
    return [f"| {' | '.join(line)} |" for line in (names, rule, *lines)] + [""]


def nuclei(folder: Path, chosen: Sequence[Row], say: Callable[[str], None]) -> list[str]:
    """Return the section of the nuclei, best first."""
    made = []
    for row in chosen:
        of_main = partial(scores, row)
        raw, smooth = (of_main(pairs(loaded(folder, MAIN)), **more) for more in ({}, {"sigma": SMOOTHED}))
        others = [scores(row, pairs(loaded(folder, one)), sigma=SMOOTHED)[0] for one in there(folder, OTHERS)]
        made.append((smooth[0], row, raw, smooth, others))
        say(f"{row}: {raw[0]:.3f}, smoothed {smooth[0]:.3f}")
    made.sort(key=lambda one: -one[0])
    columns = ("method", "Dice", "IoU", "errors", "Dice, smoothed", "IoU, smoothed", "errors, smoothed")
    main = table(columns, ([str(row), *_figures(raw), *_figures(smooth)] for _, row, raw, smooth, _ in made))
    titles = [one.title for one in there(folder, OTHERS)]
    more = table(("method", *titles), ([str(row), *map(cell, others)] for _, row, _, _, others in made))
    return [
        f"## {MAIN.title}", "", f"`{MAIN.file}.npz`; *smoothed* is with `sigma={SMOOTHED:g}`.", "", *main,
        "## Other nuclei, Dice", "", f"All with `sigma={SMOOTHED:g}`.", "", *more,
    ]  # fmt: skip


def _figures(found: tuple[float, float, int]) -> list[str]:
    dice, iou, n_errors = found
    return [cell(dice), cell(iou), str(n_errors or "-")]


def there(folder: Path, sets: Iterable[Set]) -> list[Set]:
    """Return the sets whose file is there."""
    return [one for one in sets if (folder / f"{one.file}.npz").is_file()]


def tissues(folder: Path) -> list[str]:
    """Return the section of the brains."""
    lines = [BRAIN_TEXT]
    for title, image, classes, known in brains(folder):
        ours = [[str(row), *map(cell, tissue_dice(row, image, classes))] for row in BRAINS]
        theirs = [[f"elsewhere: {what}", *map(cell, figures)] for what, figures in known.items()]
        lines += [f"### {title}", "", *table(("", *TISSUES), [*ours, *theirs])]
    return lines


def page(folder: Path, say: Callable[[str], None] = lambda text: None) -> str:
    """Return the page."""
    return "\n".join([INTRODUCTION, *nuclei(folder, rows(), say), *tissues(folder)])


def main() -> None:
    """Run from the command line."""
    folder, out = asked("Score every method on annotated nuclei and on brain tissue.", PAGE)
    out.write_text(page(folder, lambda text: print(text, flush=True)), encoding="utf-8")


if __name__ == "__main__":
    main()
