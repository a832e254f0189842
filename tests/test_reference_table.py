"""The table beside figures of others: its scores are what they are called, and nothing but the images goes in."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sklearn.metrics import rand_score

import napari_cutout as nc

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return __import__("reference_table")


def iou_matrix(labels: np.ndarray, truth: np.ndarray) -> np.ndarray:
    found, there = (np.unique(a[a != 0]) for a in (labels, truth))
    return np.array(
        [[(m & n).sum() / (m | n).sum() for n in (truth == t for t in there)] for m in (labels == f for f in found)]
    )


def test_a_small_set_is_scored_as_by_hand(table: ModuleType, data_dir: Path) -> None:
    (one,) = (entry for entry in table.NUCLEI if entry.file == "stardist3d_crop")
    arrays = table.loaded(data_dir, one)
    rows = dict(table.rows_of(data_dir, one))
    labels = nc.split_touching(nc.threshold(arrays["image"], sigma=1.0, one_per_object=True))
    truth = arrays["labels"].astype(np.int32)
    iou = iou_matrix(labels, truth)
    ours = rows["**ours**: Gaussian(1), Otsu, split_touching"]
    n_found, n_true = iou.shape
    pairs = int((iou > 0.5).sum())  # above a half, no object can be in two pairs
    assert (ours["true"], ours["found"]) == (n_true, n_found)
    assert ours["AP@.5"] == pytest.approx(pairs / (n_true + n_found - pairs))
    assert ours["F1@.5"] == pytest.approx(2 * pairs / (n_true + n_found))
    both = ((labels > 0) & (truth > 0)).sum()
    assert ours["Dice"] == pytest.approx(2 * both / ((labels > 0).sum() + (truth > 0).sum()))
    assert ours["Rand"] == pytest.approx(rand_score(truth.ravel(), labels.ravel()))
    page = table.page(data_dir, [one])
    assert f"| {n_true} | {n_found} | {ours['AP@.5']:.3f} |" in page
    assert "| distance watershed, scikit-image 0.26 on these images | - | - | - | - | 0.607 |" in page


def test_counts_of_several_images_are_added(table: ModuleType) -> None:
    truth = np.zeros((4, 12), np.uint8)
    truth[:, 1:4], truth[:, 6:9] = 1, 2
    scores = table.object_scores(lambda image: image.astype(np.int32), [(truth, truth), (truth * (truth < 2), truth)])
    assert (scores["true"], scores["found"]) == (4, 3)
    assert scores["AP@.5"] == scores["AP@.75"] == 3 / 4
    assert scores["F1@.5"] == 6 / 7
    assert scores["SEG"] == 3 / 4
    assert scores["Dice"] == pytest.approx((1 + 2 / 3) / 2)


def test_splits_are_told_from_merges(table: ModuleType) -> None:
    truth = np.repeat([[0, 1, 1, 2, 2]], 4, axis=0)
    cut = np.repeat([[7, 1, 3, 2, 2]], 4, axis=0)
    joined = np.repeat([[7, 1, 1, 1, 1]], 4, axis=0)
    split = table.region_scores(cut, truth)
    assert split["VI split"] == pytest.approx(0.5)  # one of two regions, in halves: half a bit
    assert split["VI merge"] == pytest.approx(0)
    merged = table.region_scores(joined, truth)
    assert merged["VI merge"] == pytest.approx(1)
    assert merged["VI split"] == pytest.approx(0)
    assert table.region_scores(truth, truth)["Rand error"] == pytest.approx(0)


def test_sets_that_are_not_there_are_left_out(table: ModuleType, tmp_path: Path) -> None:
    assert table.page(tmp_path) == table.INTRODUCTION


@pytest.mark.slow
def test_the_kept_page_is_what_the_images_give(table: ModuleType, data_dir: Path) -> None:
    assert table.page(data_dir) == table.PAGE.read_text(encoding="utf-8")
