"""The U-Net on membranes beside classical methods at their best, and how it learns from less annotation.

``python benchmarks/unet_membranes.py [FOLDER] [--minutes M] [--steps N]`` writes ``results/unet-membranes.json`` and
``.md``. The images (ISBI 2012, electron microscopy) are no part of the repository: their folder is the argument, or
what NAPARI_CUTOUT_DATA names.

All is chosen and learned on the first eight sections and scored on the other seven. Of every classical method the
settings are taken that have the highest Dice on all of the truth of those eight, which no user has; the U-Net has its
defaults. Rows that were measured before with the same settings are kept, so that a run can be stopped and goes on.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage
from sklearn.ensemble import RandomForestClassifier

import napari_cutout as nc
from _harness import machine
from compare_strokes import painted
from reference_table import cell, data_folder

Array = np.ndarray
Row = dict[str, Any]

RESULTS = Path(__file__).with_name("results")

N_LEARNED = 8
"""Sections that methods are chosen and trained on; the others are scored."""

MEMBRANE, CELL = 1, 2
"""Labels of the annotation; 0 is not annotated."""

SLICES = (1, 2, 4, 8)
"""Sections that are annotated all over."""

STROKES = ((3, 2), (12, 8), (30, 20))
"""Strokes on each of the eight sections: along membranes, and in cells."""

TARGET = 0.10
"""By how much the U-Net must beat the best classical Dice."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A classical method with its settings.

    Parameters
    ----------
    family : str
        Under which name only its best settings are shown.
    said : str
        The settings, in words.
    membranes : callable
        From an image to where membranes are.
    """

    family: str
    said: str
    membranes: Callable[[Array], Array]


# Classical methods -------------------------------------------------------------------------------------


def choices() -> Iterator[Choice]:
    """Yield every method with every setting that may be the best."""
    yield from _thresholds()
    yield from _local()
    yield from _classes()
    yield from _floods()


def _thresholds() -> Iterator[Choice]:
    rules = ("otsu", "li", "yen", "triangle", "isodata", "minimum", "mean")
    for rule, sigma, radius in itertools.product(rules, (0.0, 1.0, 1.5, 2.0, 3.0, 4.0), (0.0, 15.0, 30.0, 60.0)):
        before = {"sigma": sigma, "background_radius": radius}
        family = "Otsu" if rule == "otsu" else "other thresholds"
        yield from _cleaned(family, "threshold", {"method": rule, **before}, _cut)


def _local() -> Iterator[Choice]:
    windows, shares = (11.0, 25.0, 51.0, 101.0), (-0.2, 0.0, 0.1, 0.2, 0.4)
    for sigma, window in itertools.product((0.0, 1.0, 2.0, 3.0), windows):
        yield from _cleaned("local thresholds", "local_mean", {"window": window, "sigma": sigma}, _cut)
        for method, k in itertools.product(("sauvola", "niblack"), shares):
            yield from _cleaned("local thresholds", method, {"window": window, "k": k, "sigma": sigma}, _cut)


def _classes() -> Iterator[Choice]:
    for method, count in (("kmeans", "n_clusters"), ("gaussian_mixture", "n_components")):
        family = "k-means" if method == "kmeans" else "Gaussian mixture"
        looks: list[dict[str, Any]] = [{"sigma": sigma} for sigma in (0.0, 1.0, 1.5, 2.0, 3.0)]
        looks += [{"features": ("gaussian", "hessian"), "scales": scales} for scales in ((1.0, 3.0), (2.0, 4.0))]
        for look, n in itertools.product(looks, (2, 3, 4)):
            for dark in range(1, n):
                yield from _cleaned(family, method, {count: n, **look}, partial(_darkest, n_dark=dark), f"{dark} dark")


def _floods() -> Iterator[Choice]:
    """Yield floods of cells from their bright middles: membranes are the lines where floods meet, made wider."""
    sigmas, depths, widths = (1.0, 2.0, 3.0, 4.0), (0.0, 4.0, 8.0, 16.0, 32.0), (2, 4, 6, 8)
    for sigma, depth, width, dark in itertools.product(sigmas, depths, widths, (None, 0.0, 1.0, 2.0)):
        found = partial(_lines, sigma=sigma, depth=depth, width=width, dark=dark)
        where = "" if dark is None else f", where Otsu after sigma {dark:g} finds it dark"
        yield Choice("watershed", f"sigma {sigma:g}, depth {depth:g}, lines of {width} pixels{where}", found)


def _cleaned(family: str, method: str, settings: Mapping[str, Any], cut: Any, more: str = "") -> Iterator[Choice]:
    for smallest in (0, 100, 400):
        whole = {"min_size": smallest, **settings}
        said = ", ".join([f"{k} {v}" for k, v in whole.items() if v not in (0, 0.0)] + [more] * bool(more))
        yield Choice(family, f"{method}: {said}", partial(cut, method=method, settings=whole))


def _cut(image: Array, method: str, settings: Mapping[str, Any]) -> Array:
    return np.asarray(getattr(nc, method)(image, objects="dark", **settings) > 0)


_classified: dict[Any, Array] = {}
"""Classes of images; how many of them are dark, and what is removed after it, needs no other fit."""


def _darkest(image: Array, method: str, settings: Mapping[str, Any], n_dark: int) -> Array:
    own = {name: value for name, value in settings.items() if name != "min_size"}
    key = (image.tobytes(), method, str(own))
    if key not in _classified:
        _classified[key] = _by_brightness(getattr(nc, method)(image, **own), image)
    found = _classified[key] <= n_dark
    return np.asarray(nc.remove_small(found, min_size=settings["min_size"]) if settings["min_size"] else found)


def _by_brightness(labels: Array, image: Array) -> Array:
    """Return classes numbered from the darkest, 1, upward."""
    means = ndimage.mean(image, labels, np.arange(1, labels.max() + 1))
    rank = np.zeros(len(means) + 1, np.uint8)
    rank[1 + np.argsort(means)] = np.arange(1, len(means) + 1)
    return rank[labels]


def _lines(image: Array, sigma: float, depth: float, width: int, dark: float | None) -> Array:
    regions = nc.watershed_from_minima(image, surface="inverted", sigma=sigma, depth=depth)
    apart = ndimage.maximum_filter(regions, 3) != ndimage.minimum_filter(regions, 3)  # two pixels wide
    found = ndimage.binary_dilation(apart, iterations=(width - 2) // 2) if width > 2 else apart
    if dark is None:
        return np.asarray(found)
    return np.asarray(found & (nc.threshold(image, objects="dark", sigma=dark) > 0))


# Scores ------------------------------------------------------------------------------------------------


def scored(found: Sequence[Array], truths: Sequence[Array]) -> Row:
    """Return Dice and IoU of membranes: of all pixels of all sections, and of each."""
    both = np.array([(f & t).sum() for f, t in zip(found, truths, strict=True)], float)
    total = np.array([f.sum() + t.sum() for f, t in zip(found, truths, strict=True)], float)
    dice = 2 * both / total
    return {
        "dice": float(2 * both.sum() / total.sum()),
        "iou": float(both.sum() / (total.sum() - both.sum())),
        "mean_dice": float(dice.mean()),
        "mean_iou": float((both / (total - both)).mean()),
        "each_dice": [round(float(d), 4) for d in dice],
    }


@dataclass(frozen=True, slots=True)
class Study:
    """The sections, and what was measured on them.

    Parameters
    ----------
    images : array of shape (n, Y, X)
        All sections.
    membranes : bool array of that shape
        The truth.
    path : Path
        The JSON file of rows.
    again : bool
        True to measure what was measured before.
    """

    images: Array
    membranes: Array
    path: Path
    again: bool = False
    rows: list[Row] = field(default_factory=list)

    def keep(self, asked: Row, measure: Callable[[], Row]) -> None:
        """Measure a row, unless it is there already, and write all of them."""
        before = next((row for row in self.rows if asked.items() <= row.items()), None)
        if before is not None and not self.again:
            print(f"kept: {row_said(before)}", flush=True)
            return
        start = time.perf_counter()
        row = {**asked, **measure()}
        row.setdefault("seconds", round(time.perf_counter() - start, 1))
        self.rows[:] = [r for r in self.rows if r["part"] != asked["part"] or r["name"] != asked["name"]] + [row]
        write(self.path, self.rows)
        print(row_said(row), flush=True)

    def classical(self, family: str, among: Sequence[Choice]) -> Row:
        """Choose settings on the sections that are learned from, and score them on the others."""
        best = (-1.0, among[0])
        for choice in among:
            try:
                found = [choice.membranes(image) for image in self.images[:N_LEARNED]]
            except ValueError:  # a rule that finds no threshold
                continue
            dice = scored(found, list(self.membranes[:N_LEARNED]))["dice"]
            best = max(best, (dice, choice), key=lambda one: one[0])
        found = [best[1].membranes(image) for image in self.images[N_LEARNED:]]
        return {"settings": best[1].said, "tried": len(among), "chosen_dice": best[0], **self.on_the_rest(found)}

    def on_the_rest(self, found: Sequence[Array]) -> Row:
        """Score the sections that nothing was learned from."""
        return scored(found, list(self.membranes[N_LEARNED:]))

    def slices(self, n: int, hand: int) -> Array:
        """Annotate some sections all over; those of fewer are among those of more."""
        annotation = np.zeros(self.membranes[:N_LEARNED].shape, np.uint8)
        for z in np.random.default_rng(hand).permutation(N_LEARNED)[:n]:
            annotation[z] = np.where(self.membranes[z], MEMBRANE, CELL)
        return annotation

    def strokes(self, counts: tuple[int, int], hand: int) -> Array:
        """Paint strokes on all sections that are learned from."""
        return np.stack([painted(t, 1000 * hand + z, *counts) for z, t in enumerate(self.membranes[:N_LEARNED])])

    def trained(self, annotation: Array, **settings: Any) -> Row:
        """Train a U-Net on what is annotated, and score it."""
        report = partial(print, "  step", flush=True)
        model = nc.unet_train(
            self.images[:N_LEARNED], annotation, dimensions=2,
            on_report=lambda r: report(f"{r.step}/{r.n_steps} {r.seconds:.0f} s {r.mean_dice:.3f}"), **settings,
        )  # fmt: skip
        found = nc.unet_predict(self.images[N_LEARNED:], model=model) == MEMBRANE
        told = model.training
        return {
            "annotated": float(np.mean(annotation > 0)),
            "seconds": told["seconds"],
            "done": told["steps"],
            "stopped": told["stopped"],
            "held_out_dice": told["dice"],
            **self.on_the_rest(list(found)),
        }

    def forest(self, annotation: Array) -> Row:
        """Train a random forest on features of annotated pixels, as pixel classifiers do, and score it."""
        described = [features_of(image) for image in self.images[:N_LEARNED]]
        x = np.concatenate([f[:, a > 0].T for f, a in zip(described, annotation, strict=True)])
        y = np.concatenate([a[a > 0] for a in annotation])
        few = np.random.default_rng(0).permutation(len(y))[:100_000]
        trees = RandomForestClassifier(100, n_jobs=-1, random_state=0, min_samples_leaf=3, class_weight="balanced")
        trees.fit(x[few], y[few])
        shape = self.images.shape[1:]
        found = [
            (trees.predict(features_of(i).reshape(-1, i.size).T) == MEMBRANE).reshape(shape)
            for i in self.images[N_LEARNED:]
        ]
        return {"annotated": float(np.mean(annotation > 0)), **self.on_the_rest(found)}


def features_of(image: Array) -> Array:
    """Describe pixels as pixel classifiers do by default: seven kinds of features at four scales."""
    kinds = ("intensity", "gaussian", "gradient", "laplacian", "hessian", "structure", "variance")
    return np.asarray(nc.features(image, features=kinds, scales=(1.0, 2.0, 4.0, 8.0)))


# What is run -------------------------------------------------------------------------------------------


def run(study: Study, options: argparse.Namespace) -> None:
    """Measure all that was asked for."""
    if options.only in ("", "classical"):
        every = list(choices())
        for family in dict.fromkeys(choice.family for choice in every):
            among = [choice for choice in every if choice.family == family][:: options.every]
            study.keep(
                {"part": "classical", "name": family, "tried": len(among)}, partial(study.classical, family, among)
            )
    if options.only in ("", "trained"):
        asked = {"part": "trained", "name": "U-Net", "minutes": options.minutes}
        everything = study.slices(N_LEARNED, 0)
        settings = {"max_minutes": options.minutes, "n_steps": 100_000, "patience": 1000}
        study.keep(asked, partial(study.trained, everything, **settings))
        study.keep({"part": "trained", "name": "random forest on features"}, partial(study.forest, everything))
    if options.only in ("", "curve"):
        for hand in range(options.hands):
            for name, annotation in annotations(study, hand):
                asked = {"part": "curve", "name": f"{name}, hand {hand}", "what": name, "steps": options.steps}
                study.keep(asked, partial(study.trained, annotation, n_steps=options.steps, patience=1000))
                asked = {"part": "forest", "name": f"{name}, hand {hand}", "what": name}
                study.keep(asked, partial(study.forest, annotation))


def annotations(study: Study, hand: int) -> Iterator[tuple[str, Array]]:
    """Yield what one annotator may have painted, the least first."""
    for counts in STROKES:
        yield f"{sum(counts)} strokes on each of {N_LEARNED}", study.strokes(counts, hand)
    for n in SLICES:
        yield f"{n} section{'s' * (n > 1)}", study.slices(n, hand)


# The page ----------------------------------------------------------------------------------------------


def row_said(row: Row) -> str:
    """Say a row in a line."""
    return f"{row['part']} | {row['name']} | Dice {row['dice']:.3f} | IoU {row['iou']:.3f} | {row['seconds']:.0f} s"


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows as JSON, and as a page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": machine(), "rows": list(rows)}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(page(rows), encoding="utf-8")


HEAD = """# Membranes in electron microscopy: the U-Net beside classical methods

Made by `python benchmarks/unet_membranes.py`, on the 15 sections of the ISBI 2012 challenge that have a public truth.
Everything is chosen and trained on sections 0 to 7 and scored on 8 to 14. *Dice* and *IoU* are those of membranes, of
all pixels of the seven; in brackets the mean of the sections. Membranes are 22 % of all pixels.

## Beside classical methods

Classical methods have the settings, of all that were tried, with the highest Dice on all of the truth of sections
0 to 7. The U-Net has its defaults.

"""

CURVE = """
## From how much annotation

The U-Net for the same number of steps each time, and beside it a random forest on features of pixels, as pixel
classifiers have, trained on the same annotation. Strokes are painted by fixed rules: three pixels wide, along membranes
and from membranes into cells, on each of the eight sections. *hand* is who painted, or which sections were chosen.

"""


def page(rows: Sequence[Row]) -> str:
    """Return the rows as Markdown."""
    lines = ["| | Dice | IoU | seconds | settings |", "|---|---|---|---|---|"]
    for row in (row for row in rows if row["part"] in ("classical", "trained")):
        said = row.get("settings") or (f"{row['done']:,} steps, all of 8 sections" if "done" in row else "")
        lines.append(f"| {row['name']} | {_both(row, 'dice')} | {_both(row, 'iou')} | {row['seconds']:.0f} | {said} |")
    lines += ["", *verdict(rows)]
    curve = [row for row in rows if row["part"] == "curve"]
    if curve:
        lines += [CURVE, "| annotated | of all pixels | Dice | IoU | steps | seconds | the forest's Dice |"]
        lines += ["|---|---|---|---|---|---|---|"]
        trees = {row["name"]: row for row in rows if row["part"] == "forest"}
        for row in curve:
            forest = cell(trees[row["name"]]["dice"]) if row["name"] in trees else "-"
            lines.append(
                f"| {row['name']} | {row['annotated']:.2%} | {_both(row, 'dice')} | {_both(row, 'iou')} | "
                f"{row['done']:,} | {row['seconds']:.0f} | {forest} |"
            )
    return HEAD + "\n".join(lines).rstrip() + "\n"


def verdict(rows: Sequence[Row]) -> Iterator[str]:
    """Yield by how much the U-Net beats the best classical method."""
    classical = [row for row in rows if row["part"] == "classical"]
    unet = next((row for row in rows if row["name"] == "U-Net"), None)
    if classical and unet is not None:
        best = max(classical, key=lambda row: float(row["dice"]))
        more = unet["dice"] - best["dice"]
        yield (
            f"The U-Net, after {unet['seconds'] / 60:.1f} minutes of training, has a Dice of {unet['dice']:.3f}, and "
            f"the best classical method ({best['name']}) {best['dice']:.3f}: {more:+.3f}. Asked for was {TARGET:+.2f}: "
            f"{'met' if more >= TARGET else 'not met'}."
        )


def _both(row: Row, name: str) -> str:
    return f"{cell(row[name])} ({cell(row[f'mean_{name}'])})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", help="where the images are; by default what NAPARI_CUTOUT_DATA names")
    parser.add_argument("--minutes", type=float, default=10.0, help="of training for the first table")
    parser.add_argument("--steps", type=int, default=600, help="of training for each point of the curve")
    parser.add_argument("--hands", type=int, default=1, help="annotators of the curve")
    parser.add_argument("--only", default="", choices=["classical", "trained", "curve"], help="measure one part")
    parser.add_argument("--every", type=int, default=1, help="try every n-th setting of classical methods, to test")
    parser.add_argument("--again", action="store_true", help="measure what was measured before, too")
    parser.add_argument("--out", type=Path, default=RESULTS / "unet-membranes.json", help="the JSON file of the rows")
    options = parser.parse_args(arguments)
    path = data_folder(options.folder) / "isbi2012_em.npz"
    if not path.is_file():
        parser.error(f"there is no file {str(path)!r}; pass the folder of the images, or set NAPARI_CUTOUT_DATA")
    with np.load(path) as file:
        images, membranes = file["images"], file["labels"] == 0
    before = json.loads(options.out.read_text(encoding="utf-8"))["rows"] if options.out.is_file() else []
    run(Study(images, membranes, options.out, options.again, before), options)


if __name__ == "__main__":
    main()
