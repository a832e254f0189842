"""The table of Dice: its scores are what they are called, and every method of the catalog that can be is in it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout import catalog

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return __import__("dice_table")


def test_every_method_that_needs_an_image_only_is_in_it(table: ModuleType) -> None:
    there = {row.method for row in table.rows()}
    whole = {e.name for e in catalog.methods().values() if e.needs == "image" and e.row != "Graph-based"}  # no mask
    left_out = whole - there
    assert left_out == {"threshold_at", "classes_at", "watershed_from_minima", "markers_from_minima"}
    assert len({str(row) for row in table.rows()}) == len(table.rows())
    rules = next(p.choices for p in catalog.find("threshold").settings if p.name == "method")
    assert [row.settings["method"] for row in table.rows() if row.method == "threshold"] == list(rules)


def test_classes_count_from_the_second_one(table: ModuleType) -> None:
    image = np.repeat(np.uint8([[10, 10, 50, 50, 110, 110]]), 4, axis=0)
    truth = (image > 30).astype(np.uint16) * 7
    for row in (
        table.Row("kmeans", {"n_clusters": 3}), table.Row("gaussian_mixture", {"n_components": 3}),
        table.Row("multi_otsu"), table.Row("threshold_at", {"value": 30.0}),
    ):  # fmt: skip
        assert table.scores(row, [(image, truth)]) == (1.0, 1.0, 0), row
    dice, iou, _ = table.scores(table.Row("kmeans", {"n_clusters": 2}), [(image, truth)])
    assert (dice, iou) == (pytest.approx(2 / 3), pytest.approx(1 / 2))  # 50 is nearer to 10


def test_an_error_counts_as_nothing_found(table: ModuleType) -> None:
    flat, truth = np.full((4, 4), 5, np.uint8), np.eye(4, dtype=np.uint8)
    image = (truth * 9).astype(np.uint8)
    row = table.Row("kmeans", {"n_clusters": 2})
    assert table.scores(row, [(flat, truth), (image, truth)]) == (0.5, 0.5, 1)


def test_a_row_says_what_was_called(table: ModuleType) -> None:
    row = table.Row("kmeans", {"n_clusters": 2, "features": ("intensity", "gaussian")})
    assert str(row) == '`kmeans(n_clusters=2, features=("intensity", "gaussian"))`'
    image = nc.samples.nuclei_2d(shape=(48, 48)).image.data
    np.testing.assert_array_equal(
        row.labels(image, sigma=1.0), nc.kmeans(image, n_clusters=2, features=("intensity", "gaussian"), sigma=1.0)
    )


def test_two_real_images_are_scored_as_by_hand(table: ModuleType, data_dir: Path) -> None:
    images = list(table.pairs(table.loaded(data_dir, table.MAIN)))[:2]
    found = []
    for image, truth in images:
        # By hand: the cut with the least squares inside of both sides.
        inside = {
            v: sum(part.var() * part.size for part in (image[image <= v], image[image > v])) for v in range(9, 60)
        }
        nuclei, there = image > min(inside, key=lambda v: inside[v]), truth > 0
        both = np.sum(nuclei & there)
        found.append((2 * both / (nuclei.sum() + there.sum()), both / np.sum(nuclei | there)))
    dice, iou, n_errors = table.scores(table.Row("kmeans", {"n_clusters": 2}), images)
    assert [dice, iou] == pytest.approx(np.mean(found, axis=0).tolist())
    assert n_errors == 0


def test_tissues_are_those_that_were_measured_elsewhere(table: ModuleType, data_dir: Path) -> None:
    for title, image, classes, known in table.brains(data_dir):
        for name, row in zip(("k-means", "mixture"), (table.BRAINS[0], table.BRAINS[2]), strict=True):
            assert table.tissue_dice(row, image, classes) == pytest.approx(known[name], abs=0.0105), (title, row)


@pytest.mark.slow
def test_the_kept_page_is_what_the_images_give(table: ModuleType, data_dir: Path) -> None:
    assert table.page(data_dir) == table.PAGE.read_text(encoding="utf-8")
