"""Whether *Compare* on five strokes finds what an exhaustive grid finds on the whole truth.

``python benchmarks/compare_strokes.py [FOLDER] [--images N] [--seeds N] [--budget N]`` writes
``results/compare-strokes.md``. The images are no part of the repository: their folder is the argument, or what
NAPARI_CUTOUT_DATA names. Nothing is tuned to them.

On every image five strokes are painted by the same rules: three along objects, two beside them. One comparison per set
tunes and ranks all methods on those strokes. Its best recipe is then scored on the whole truth, beside the best of a
grid of settings that was scored on the whole truth as well, which no user could do.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

import napari_cutout as nc
from napari_cutout import catalog
from napari_cutout.comparison._cuts import cuts
from reference_table import data_folder

PAGE = Path(__file__).with_name("results") / "compare-strokes.md"

OBJECT, GROUND = 1, 2
"""Labels of the strokes."""

N_OBJECT, N_GROUND = 3, 2
"""Strokes of each label on an image."""

SIDE = 512
"""Pixels of an image along each axis that are used."""

BEFORE = {"sigma": (0.0, 1.0, 2.0, 4.0), "background_radius": (0.0, 50.0)}
AFTER = {"fill_holes": (False, True), "min_size": (0, 100)}
OWN: dict[str, tuple[Any, ...]] = {
    "window": (11.0, 25.0, 51.0),
    "k": (0.0, 0.2, 0.4),
    "n_classes": (2, 3, 4),
    "n_clusters": (2, 3, 4),
    "n_components": (2, 3, 4),
}
"""The grid: what may come before a cut, after it, and what is the method's own."""

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class Set:
    """Annotated images of one kind.

    Parameters
    ----------
    title : str
        What they show.
    images, truths : list of arrays
        Grey levels, and True where an object is.
    """

    title: str
    images: list[Array]
    truths: list[Array]


def sets(folder: Path, most: int) -> Iterator[Set]:
    """Yield the sets, each with so many images at most, and of those the middle."""
    em = np.load(folder / "isbi2012_em.npz")
    yield Set("membranes, EM (ISBI 2012)", list(em["images"][:most]), [t == 0 for t in em["labels"][:most]])
    for file, title in (("coelho2009_gnf", "nuclei, U2OS"), ("coelho2009_ic100", "nuclei, NIH3T3")):
        arrays = np.load(folder / f"{file}.npz")
        names = [name for name in arrays.files if name.startswith("img")][:most]
        truths = [_middle(arrays[name.replace("img", "gt")] > 0) for name in names]
        yield Set(f"{title} (Coelho 2009)", [_middle(arrays[name]) for name in names], truths)
    embryo = np.load(folder / "embryo3d_8cell.npz")
    yield Set("nuclei, mouse embryo, 3-D", [embryo["image"]], [embryo["labels"] > 0])


def _middle(image: Array) -> Array:
    """Return the middle of an image, as large as those of the first set."""
    return image[tuple(slice((n - min(n, SIDE)) // 2, (n + min(n, SIDE)) // 2) for n in image.shape)]


# Strokes -----------------------------------------------------------------------------------------------


def painted(truth: Array, seed: int, n_object: int = N_OBJECT, n_ground: int = N_GROUND) -> Array:
    """Paint as the guide says: along an object from rim to rim, and from the rim of one outward.

    A stroke is three pixels wide, at most a fifth of the image long, and never leaves its class.
    """
    rng = np.random.default_rng(seed)
    strokes = np.zeros(truth.shape, np.uint8)
    for label in (OBJECT,) * n_object + (GROUND,) * n_ground:
        if truth.ndim == 2:
            strokes[_stroke(truth, label, rng)] = label
        else:
            area = truth.sum(axis=(1, 2)).astype(float)
            plane = rng.choice(len(area), p=area / area.sum())
            strokes[plane][_stroke(truth[plane], label, rng)] = label
    return strokes


def _stroke(truth: Array, label: int, rng: np.random.Generator) -> Array:
    region = truth if label == OBJECT else ~truth
    starts = np.argwhere(truth if label == OBJECT else ndimage.binary_dilation(truth) & ~truth)
    start = starts[rng.integers(len(starts))].astype(float)
    length = max(truth.shape) // 5
    if label == OBJECT:
        ways = [
            [*_way(region, start, angle, length, rng), *_way(region, start, angle + np.pi, length, rng)]
            for angle in rng.uniform(0, 2 * np.pi, 4)
        ]
    else:
        ways = [_way(region, start, angle, length, rng) for angle in rng.uniform(0, 2 * np.pi, 8)]
    found = np.zeros(truth.shape, bool)
    for y, x in max(ways, key=len):
        found[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = True
    return found & region


def _way(region: Array, start: Array, angle: float, length: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Follow a hand that is not quite steady until it leaves the region."""
    way, here = [], start.copy()
    for _ in range(length):
        y, x = np.rint(here).astype(int)
        if not (0 <= y < region.shape[0] and 0 <= x < region.shape[1] and region[y, x]):
            break
        way.append((int(y), int(x)))
        here += np.sin(angle), np.cos(angle)
        angle += rng.normal(0, 0.06)
    return way


def compared(one: Set, seed: int, budget: int) -> tuple[str, float, float]:
    """Compare on the strokes of one hand; return the winner, its mean Dice on the whole truth, and minutes."""
    strokes = [painted(truth, 1000 * seed + number) for number, truth in enumerate(one.truths)]
    start = time.perf_counter()
    found = nc.compare(one.images, strokes, ignore=0, tune=True, budget=budget)
    minutes = (time.perf_counter() - start) / 60
    print(f"{one.title}, hand {seed}, {minutes:.1f} minutes\n{found.summary()}", flush=True)
    return found.winner.row.name, of_winner(found.winner, one, strokes), minutes


def side(one: Set) -> str:
    """Say whether objects are bright or dark."""
    levels = [
        np.median(np.concatenate([i[t == is_object] for i, t in zip(one.images, one.truths, strict=True)]))
        for is_object in (True, False)
    ]
    return "dark" if levels[0] < levels[1] else "bright"


# Scores ------------------------------------------------------------------------------------------------


def dice(found: Array, truth: Array) -> float:
    """Return Dice of two masks."""
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


def of_winner(winner: nc.Standing, one: Set, strokes: Sequence[Array]) -> float:
    """Return the mean Dice of the winning recipe on the whole truth of all images."""
    recipe, mapping = winner.row.recipe, winner.row.mapping
    scores = []
    for image, truth, painted_on in zip(one.images, one.truths, strokes, strict=True):
        arrays = {"image": image, "markers": painted_on}
        labels = nc.execute(recipe, {name: arrays[name] for name in recipe.inputs}).labels
        is_object = [label for label, cls in mapping.items() if cls == OBJECT]
        found = np.isin(labels, is_object) if mapping else labels != 0
        scores.append(dice(found, truth))
    return float(np.mean(scores))


def best_of_grid(one: Set, objects: str) -> tuple[float, str]:
    """Return the best mean Dice of the grid, and the setting that reached it."""
    best = (0.0, "")
    for cut in cuts(None, objects, numbered=False, n_classes=2):
        entry = catalog.find(cut.method)
        if cut.first is not None or entry.needs != "image" or any(p.required for p in entry.settings):
            continue
        names = [p.name for p in entry.settings]
        fixed = {name: value for name, value in cut.settings.items() if name not in OWN}
        own = {name: values for name, values in {**BEFORE, **OWN}.items() if name in names}
        if cut.local:
            own["background_radius"] = (0.0,)
        for values in itertools.product(*own.values()):
            settings = {**dict(zip(own, values, strict=True)), **fixed}
            for score, after in _scores(one, cut.method, settings):
                best = max(best, (score, f"{cut.title}, {_said({**settings, **after})}"))
    return best


def _scores(one: Set, method: str, settings: dict[str, Any]) -> Iterator[tuple[float, dict[str, Any]]]:
    """Yield mean Dice for what may come after a cut; of classes every split by brightness is tried."""
    try:
        labels = [getattr(nc, method)(image, **settings) for image in one.images]
    except ValueError:
        return
    n = max(int(found.max()) for found in labels)
    sides = [(1, n)] if n == 1 else [(k, n) for k in range(2, n + 1)] + [(1, k) for k in range(1, n)]
    for low, high in sides:
        masks = [(found >= low) & (found <= high) for found in labels]
        for fill, smallest in itertools.product(*AFTER.values()):
            made = [nc.fill_holes(mask) if fill else mask for mask in masks]
            made = [nc.remove_small(mask, min_size=smallest) if smallest else mask for mask in made]
            scores = [dice(found, truth) for found, truth in zip(made, one.truths, strict=True)]
            yield float(np.mean(scores)), {"fill_holes": fill, "min_size": smallest, "labels": (low, high)}


def _said(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items() if value not in (0, False, "bright"))


# The page ----------------------------------------------------------------------------------------------


def main() -> None:
    """Compare, search the grid, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=os.environ.get("NAPARI_CUTOUT_DATA"))
    parser.add_argument("--images", type=int, default=5, help="of each set")
    parser.add_argument("--seeds", type=int, default=3, help="hands that paint")
    parser.add_argument("--budget", type=int, default=15, help="settings tried for each method and fold")
    parser.add_argument("--only", default="", help="a word of the titles of the sets that are run")
    asked = parser.parse_args()
    lines = [
        "# Compare on five strokes an image, beside an exhaustive grid on the whole truth",
        "",
        f"Made by `python benchmarks/compare_strokes.py --images {asked.images} --seeds {asked.seeds} --budget "
        f"{asked.budget}`. *winner* is the mean Dice of the winning recipe on the whole truth; *grid* that of the best "
        "setting of the grid, which saw it.",
        "",
        "| set | images | hand | winner | winner | grid | difference | minutes | best of the grid |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in sets(data_folder(asked.folder), asked.images):
        if asked.only not in one.title:
            continue
        grid, setting = best_of_grid(one, side(one))
        print(f"{one.title}: {grid:.3f} by {setting}", flush=True)
        runs = [compared(one, seed, asked.budget) for seed in range(asked.seeds)]
        for seed, (name, score, minutes) in enumerate(runs):
            lines.append(
                f"| {one.title} | {len(one.images)} | {seed} | {name} | {score:.3f} | {grid:.3f} | "
                f"{score - grid:+.3f} | {minutes:.1f} | {setting} |"
            )
            print(lines[-1], flush=True)
    PAGE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
