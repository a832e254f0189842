"""Graph-based segmentation of natural images, by the measures of the Berkeley benchmark, beside what was published.

``python benchmarks/bsds500.py [FOLDER]`` writes ``results/bsds500.json`` and ``.md``. The images are half of BSDS500's
test images, in ``bsds500_test``. They are no part of the repository: their folder is the argument, or what
NAPARI_CUTOUT_DATA names. Of all settings only the scale is searched, as the benchmark does.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from skimage import io

import napari_cutout as nc
from _harness import machine
from reference_table import data_folder

PAGE = Path(__file__).parent / "results" / "bsds500.json"

SCALES = tuple(round(float(s), 1) for s in np.geomspace(50, 4000, 14))
MIN_SIZES = (50, 300)
SIGMA = 0.8

MEASURES = ("covering", "probabilistic_rand_index", "vi")

PUBLISHED = (
    ("Felzenszwalb-Huttenlocher, all 200 images (Arbelaez et al. 2011)", ".52 / .57", ".80 / .82", "2.21 / 1.87"),
    ("gPb-owt-ucm, all 200 images (Arbelaez et al. 2011)", ".59 / .65", ".83 / .86", "1.69 / 1.48"),
    ("scikit-image 0.26 on these images, min_size 50", ".518 / .575", ".786 / .819", "2.146 / 1.850"),
    ("scikit-image 0.26 on these images, min_size 300", ".526 / .585", ".788 / .822", "1.981 / 1.731"),
)
"""What others report: for each measure, the best scale for the data set and for each image."""


@dataclass
class Scores:
    """The scores of one method on images, at all scales.

    Parameters
    ----------
    weights : list of int
        Annotated pixels of each image, over all annotators: what the benchmark weighs coverings by.
    rows : dict of list
        By measure, for each image its score at each scale.
    """

    weights: list[int] = field(default_factory=list)
    rows: dict[str, list[list[float]]] = field(default_factory=lambda: {name: [] for name in MEASURES})

    def add(self, found: Sequence[nc.PartitionsEvaluation]) -> None:
        """Take the scores of an image at all scales."""
        self.weights.append(sum(one.n_voxels for one in found[0].annotators))
        for name in MEASURES:
            self.rows[name].append([float(getattr(one, name)) for one in found])

    def best(self, name: str) -> tuple[float, float, int]:
        """Return the score at the best scale for the data set, that at the best for each image, and the first one.

        Covering is pooled over all annotated regions of all images, the others are means over images.
        """
        table = np.array(self.rows[name]) * (-1 if name == "vi" else 1)
        weights = np.array(self.weights, float) if name == "covering" else np.ones(len(table))
        by_scale = np.average(table, axis=0, weights=weights)
        each = np.average(table.max(axis=1), weights=weights)
        at = int(by_scale.argmax())
        return abs(float(by_scale[at])), abs(float(each)), at


def pictures(folder: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield images, and what annotators drew."""
    with np.load(folder / "bsds500_test" / "ground_truth.npz") as truths:
        for key in sorted(truths.files):
            yield io.imread(folder / "bsds500_test" / f"{key.removeprefix('seg_')}.jpg"), truths[key]


def measured(folder: Path) -> dict[int, Scores]:
    """Return the scores of all images, by `min_size`."""
    found = {min_size: Scores() for min_size in MIN_SIZES}
    for number, (image, truths) in enumerate(pictures(folder), 1):
        for min_size, scores in found.items():
            more: dict[str, Any] = {"sigma": SIGMA, "min_size": min_size, "channel_axis": -1}
            parts = [nc.felzenszwalb(image, scale=scale, **more) for scale in SCALES]
            scores.add([nc.evaluate_partitions(labels, list(truths)) for labels in parts])
        print(f"{number} images", flush=True)
    return found


def table(found: dict[int, Scores]) -> list[str]:
    """Return the lines of the table."""
    lines = [
        "| | covering ODS / OIS | PRI ODS / OIS | VI ODS / OIS (bits) | scales of the ODS |",
        "|:--|--:|--:|--:|--:|",
    ]
    for min_size, scores in found.items():
        best = [scores.best(name) for name in MEASURES]
        cells = [f"{ods:.3f} / {ois:.3f}" for ods, ois, _ in best]
        scales = ", ".join(f"{SCALES[at]:g}" for _, _, at in best)
        lines.append(f"| **ours**, min_size {min_size} | {' | '.join(cells)} | {scales} |")
    return lines + [f"| {' | '.join(row)} | |" for row in PUBLISHED]


def page(found: dict[int, Scores]) -> str:
    """Return the page that shows what was measured."""
    n = len(next(iter(found.values())).weights)
    facts = "\n".join(f"- {name}: {value}" for name, value in machine().items())
    return f"""\
# Graph-based segmentation on BSDS500

`felzenszwalb` on {n} of the 200 test images of BSDS500 in colour, sigma {SIGMA}, at {len(SCALES)} scales from
{SCALES[0]:g} to {SCALES[-1]:g}, scored by `evaluate_partitions` against all annotators of each. ODS is the score at the
one scale that is best for the data set, OIS that at the best scale for each image. Covering is pooled over the
annotated regions of all images, as the benchmark does; the probabilistic Rand index (PRI) and the variation of
information (VI, lower is better) are means over images. Nothing but the scale was chosen on them. Published figures
are of all 200 images.

{chr(10).join(table(found))}

{facts}
"""


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Score graph-based segmentation of natural images.")
    parser.add_argument("folder", nargs="?", help="where the images are; by default what NAPARI_CUTOUT_DATA names")
    parser.add_argument("--out", type=Path, default=PAGE, help="the JSON file to write, with a page beside it")
    options = parser.parse_args()
    folder = data_folder(options.folder)
    if not (folder / "bsds500_test").is_dir():
        parser.error(f"there is no folder bsds500_test in {str(folder)!r}; pass the folder of the images")
    found = measured(folder)
    kept = {str(min_size): {"weights": s.weights, **s.rows} for min_size, s in found.items()}
    options.out.write_text(json.dumps({"scales": SCALES, "sigma": SIGMA, "scores": kept}) + "\n", encoding="utf-8")
    text = page(found)
    options.out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
