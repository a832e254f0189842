"""Scores of divisions into regions: by hand, against scikit-image, scikit-learn and the Berkeley benchmark."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose
from skimage.metrics import adapted_rand_error, variation_of_information
from sklearn.metrics import adjusted_rand_score, rand_score

import napari_cutout as nc
from napari_cutout.evaluation._tables import Contingency
from napari_cutout.evaluation.partitions import (
    PartitionEvaluation,
    evaluate_partition,
    evaluate_partitions,
    partition_of,
)

PAIRS = ("pairs_together", "pairs_predicted", "pairs_true")
FLOATS = ("vi_split", "vi_merge", "vi", "covering", "adapted_rand_error", "rand_index", "adjusted_rand_index")

# 1 is cut into 5 and 6, 3 and 2 are joined in 7; 0 is a region as well.
TRUTH = np.array([1, 1, 1, 1, 2, 2, 3, 3, 3, 0])
PREDICTED = np.array([5, 5, 6, 6, 7, 7, 7, 7, 7, 0])

LABELS = hnp.arrays(np.int64, (4, 6), elements=st.integers(0, 4))


def integers(result: PartitionEvaluation) -> tuple[Any, ...]:
    names = (*PAIRS, "n_predicted", "n_true", "n_voxels", "n_ignored", "ignore")
    return tuple(getattr(result, name) for name in names)


def floats(result: PartitionEvaluation) -> list[float]:
    return [getattr(result, name) for name in FLOATS]


def entropy(*sizes: int) -> float:
    """Return the entropy of groups of these sizes, in bits."""
    n = sum(sizes)
    return sum(-k / n * math.log2(k / n) for k in sizes)


# By hand ---------------------------------------------------------------------------------------------


def test_scores_by_hand() -> None:
    result = evaluate_partition(PREDICTED, TRUTH)
    assert result.vi_split == pytest.approx(4 / 10 * entropy(2, 2))  # only in 1, 4 of 10 voxels
    assert result.vi_merge == pytest.approx(5 / 10 * entropy(2, 3))  # only in 7, 5 of 10 voxels
    assert result.vi == result.vi_split + result.vi_merge
    # IoU: 1 with 5 2/4, 2 with 7 2/5, 3 with 7 3/5, 0 with 0 1.
    assert result.covering == pytest.approx((4 * 1 / 2 + 2 * 2 / 5 + 3 * 3 / 5 + 1) / 10)
    # Pairs of predicted: 1 + 1 + 10. Of truth: 6 + 1 + 3. In one of both: 1 + 1 of 1, 1 of 2, 3 of 3. Of all: 45.
    assert integers(result) == (6, 12, 10, 4, 4, 10, 0, None)
    assert (result.adapted_rand_precision, result.adapted_rand_recall) == (6 / 12, 6 / 10)
    assert result.adapted_rand_error == pytest.approx(1 - 2 * 0.5 * 0.6 / 1.1)
    assert result.rand_index == (45 - 6 - 4) / 45  # 6 are together in predicted alone, 4 in truth alone
    assert result.adjusted_rand_index == pytest.approx((6 - 12 * 10 / 45) / ((12 + 10) / 2 - 12 * 10 / 45))


def test_what_is_not_annotated_leaves_every_count() -> None:
    ignored = evaluate_partition(PREDICTED, TRUTH, ignore=2)
    kept = TRUTH != 2
    assert floats(ignored) == floats(evaluate_partition(PREDICTED[kept], TRUTH[kept]))
    assert (ignored.n_voxels, ignored.n_ignored, ignored.ignore, ignored.n_true) == (8, 2, 2, 3)
    unpainted = evaluate_partition(PREDICTED, TRUTH, ignore=0)
    assert (unpainted.n_true, unpainted.n_predicted, unpainted.n_voxels) == (3, 3, 9)
    assert evaluate_partition(np.where(TRUTH == 0, 7, PREDICTED), TRUTH, ignore=0).vi == unpainted.vi


def test_the_same_regions_are_perfect_and_one_voxel_has_no_pairs() -> None:
    result = evaluate_partition(TRUTH + 3, TRUTH)
    assert floats(result) == [0, 0, 0, 1, 0, 1, 1]
    for alike in (np.zeros(5, int), np.arange(5)):
        assert evaluate_partition(alike, alike).adjusted_rand_index == 1
    single = evaluate_partition(np.array([3]), np.array([0]))
    assert (single.vi, single.covering) == (0, 1)
    assert np.isnan([single.rand_index, single.adapted_rand_error, single.adapted_rand_precision]).all()


def test_one_region_against_single_voxels() -> None:
    merged = evaluate_partition(np.zeros(8, int), np.arange(8))
    assert (merged.vi_split, merged.vi_merge, merged.covering) == (0, 3, 1 / 8)
    assert (merged.adapted_rand_error, merged.adapted_rand_precision, merged.rand_index) == (1, 0, 0)
    assert merged.adjusted_rand_index == 0
    assert math.isnan(merged.adapted_rand_recall)
    split = evaluate_partition(np.arange(8), np.zeros(8, int))
    assert (split.vi_split, split.vi_merge, split.covering) == (3, 0, 1 / 8)


def test_pairs_of_very_large_regions_are_exact() -> None:
    big, small = 2**50 + 1, 2**33 + 3  # their squares do not fit into int64
    counts = np.array([big, small, 7])
    result = partition_of(Contingency(np.array([1, 1, 2]), np.array([1, 2, 2]), counts), None)
    assert result.pairs_together == math.comb(big, 2) + math.comb(small, 2) + 21
    assert result.pairs_predicted == math.comb(big + small, 2) + 21
    assert result.pairs_true == math.comb(big, 2) + math.comb(small + 7, 2)
    n, found, there = math.comb(result.n_voxels, 2), result.pairs_predicted, result.pairs_true
    by_chance = Fraction(found * there, n)
    expected = (result.pairs_together - by_chance) / (Fraction(found + there, 2) - by_chance)
    assert result.adjusted_rand_index == float(expected)


def test_lines_of_zero_between_regions_are_one_region_that_merges() -> None:
    # 0 takes one voxel of each of 1 and 2: one pair of different voxels in 0, and none of it in one true region.
    result = evaluate_partition(np.array([5, 5, 0, 0, 6, 6]), np.array([1, 1, 1, 2, 2, 2]))
    assert result.adapted_rand_precision == 2 / 3  # pairs 1 + 1 of 1 + 1 + 1; a region for each voxel would give 1
    assert result.vi_merge == pytest.approx(2 / 6)  # one bit for the two voxels of 0


@given(st.lists(st.integers(1, 2**31), min_size=1, max_size=30))
def test_pairs_are_the_same_by_either_arithmetic(sizes: list[int]) -> None:
    labels = np.arange(len(sizes))
    result = partition_of(Contingency(labels, labels, np.asarray(sizes)), None)
    assert result.pairs_together == sum(size * (size - 1) // 2 for size in sizes)


def in_its_order(result: PartitionEvaluation) -> tuple[float, float, float]:
    """Return what scikit-image does: it divides by the pairs of truth for precision, against its own docstring.

    github.com/scikit-image/scikit-image/issues/6485, open with 0.26; its values are right, but in each other's place.
    """
    return result.adapted_rand_error, result.adapted_rand_recall, result.adapted_rand_precision


# Against others --------------------------------------------------------------------------------------


@given(LABELS, LABELS)
def test_scores_are_those_of_scikit_learn_and_scikit_image(predicted: np.ndarray, truth: np.ndarray) -> None:
    truth[0, :2] = 1  # scikit-image divides by 0 where no region has a pair
    predicted[0, :2] = 1
    result = evaluate_partition(predicted, truth)
    assert_allclose([result.vi_split, result.vi_merge], variation_of_information(truth, predicted), atol=1e-12)
    assert_allclose(in_its_order(result), adapted_rand_error(truth, predicted, ignore_labels=()), atol=1e-12)
    assert result.rand_index == pytest.approx(rand_score(truth.ravel(), predicted.ravel()))
    expected = adjusted_rand_score(truth.ravel(), predicted.ravel())
    assert result.adjusted_rand_index == pytest.approx(expected, abs=1e-12)


@given(LABELS, LABELS)
def test_unpainted_truth_is_left_out_as_scikit_image_does(predicted: np.ndarray, truth: np.ndarray) -> None:
    truth[0, :2] = 1
    predicted[0, :2] = 1
    result = evaluate_partition(predicted, truth, ignore=0)
    assert_allclose(in_its_order(result), adapted_rand_error(truth, predicted, ignore_labels=(0,)), atol=1e-12)


@given(LABELS, LABELS)
def test_covering_is_that_of_masks(predicted: np.ndarray, truth: np.ndarray) -> None:
    covered = 0.0
    for t in np.unique(truth):
        there = truth == t
        iou = [(there & (predicted == p)).sum() / (there | (predicted == p)).sum() for p in np.unique(predicted)]
        covered += there.sum() * max(iou)
    assert evaluate_partition(predicted, truth).covering == pytest.approx(covered / truth.size, rel=1e-12)


def test_the_berkeley_benchmark_is_reproduced(data_dir: Path) -> None:
    vectors = np.load(data_dir / "bsds_bench_vectors.npz")
    images = [name.removeprefix("segs_") for name in vectors if name.startswith("segs_")]
    found = [
        [evaluate_partitions(labels, list(vectors[f"gt_{name}"])) for labels in vectors[f"segs_{name}"]]
        for name in images
    ]
    pri, vi, covering = (
        np.array([[getattr(one, name) for one in row] for row in found])
        for name in ("probabilistic_rand_index", "vi", "covering")
    )
    weights = np.array([sum(a.n_voxels for a in row[0].annotators) for row in found]) / 1.0
    by_scale = np.average(covering, axis=0, weights=weights)
    # The benchmark writes six significant digits, and reads what it pools from such files.
    assert_allclose(by_scale, vectors["expected_eval_cover_th"][:, 1], atol=1e-6)
    assert_allclose(covering.max(axis=1), vectors["expected_eval_cover_img"][:, 2], atol=1e-6)
    pooled = [by_scale.max(), np.average(covering.max(axis=1), weights=weights)]
    assert_allclose(pooled, vectors["expected_eval_cover"][1:3], atol=1e-6)
    assert_allclose(pri.mean(axis=0), vectors["expected_eval_RI_VOI_thr"][:, 1], atol=1e-6)
    assert_allclose(vi.mean(axis=0), vectors["expected_eval_RI_VOI_thr"][:, 2], atol=5e-6)
    best = [pri.mean(axis=0).max(), pri.max(axis=1).mean(), vi.mean(axis=0).min(), vi.min(axis=1).mean()]
    assert_allclose(best, vectors["expected_eval_RI_VOI"][[1, 2, 4, 5]], atol=5e-6)


# What must hold --------------------------------------------------------------------------------------


@given(LABELS, LABELS)
def test_swapping_the_sides_swaps_splits_and_merges(predicted: np.ndarray, truth: np.ndarray) -> None:
    ours, theirs = evaluate_partition(predicted, truth), evaluate_partition(truth, predicted)
    assert (ours.vi_split, ours.vi_merge) == (theirs.vi_merge, theirs.vi_split)
    assert ours.vi == pytest.approx(theirs.vi, rel=1e-15)
    for name in ("rand_index", "adjusted_rand_index"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.adapted_rand_error == pytest.approx(theirs.adapted_rand_error, nan_ok=True)


@given(LABELS, LABELS, st.permutations(range(5)), st.permutations([0, 1, 2**40, 2**40 + 1, 2**62]))
def test_what_the_labels_are_does_not_matter(
    predicted: np.ndarray, truth: np.ndarray, ours: list[int], theirs: list[int]
) -> None:
    result = evaluate_partition(predicted, truth)
    again = evaluate_partition(np.array(ours)[predicted], np.array(theirs)[truth])
    assert integers(again) == integers(result)
    assert_allclose(floats(again), floats(result), rtol=1e-15)


@given(LABELS, LABELS)
def test_scores_lie_in_their_ranges(predicted: np.ndarray, truth: np.ndarray) -> None:
    result = evaluate_partition(predicted, truth)
    assert 0 <= result.vi_split <= math.log2(result.n_predicted) + 1e-12
    assert 0 <= result.vi_merge <= math.log2(result.n_true) + 1e-12
    assert 0 < result.covering <= 1
    assert 0 <= result.rand_index <= 1
    assert -1 <= result.adjusted_rand_index <= 1


@given(LABELS, LABELS, st.tuples(st.integers(1, 4), st.integers(1, 6)), st.sampled_from([None, 0, 2]))
def test_chunks_give_what_the_whole_gives(
    predicted: np.ndarray, truth: np.ndarray, chunks: tuple[int, int], ignore: int | None
) -> None:
    truth[0, 0] = 1
    lazy = evaluate_partition(da.from_array(predicted, chunks), da.from_array(truth, 3), ignore=ignore)
    whole = evaluate_partition(predicted, truth, ignore=ignore)
    assert integers(lazy) == integers(whole)
    np.testing.assert_array_equal(floats(lazy), floats(whole))


def test_any_library_gives_the_same(to_library: Callable[[Any], Any]) -> None:
    rng = np.random.default_rng(2)
    predicted, truth = rng.integers(0, 6, (2, 5, 6, 7))
    result = evaluate_partition(to_library(predicted), to_library(truth), ignore=0)
    expected = evaluate_partition(predicted, truth, ignore=0)
    assert integers(result) == integers(expected)
    assert floats(result) == floats(expected)


@pytest.mark.parametrize("ignore", [None, 0])
def test_an_evaluation_holds_the_same_partition(ignore: int | None) -> None:
    found = nc.evaluate(PREDICTED, TRUTH, ignore=ignore)
    assert found.partition == evaluate_partition(PREDICTED, TRUTH, ignore=ignore)


# Several annotators ----------------------------------------------------------------------------------


def test_annotators_are_averaged_and_regions_are_pooled() -> None:
    other = np.where(TRUTH == 1, 0, TRUTH)
    result = evaluate_partitions(PREDICTED, [TRUTH, other], ignore=0)
    first, second = (evaluate_partition(PREDICTED, truth, ignore=0) for truth in (TRUTH, other))
    assert result.annotators == (first, second)
    assert (first.n_voxels, second.n_voxels) == (9, 5)
    assert result.probabilistic_rand_index == (first.rand_index + second.rand_index) / 2
    assert result.vi == pytest.approx((first.vi + second.vi) / 2)
    assert result.covering == pytest.approx((9 * first.covering + 5 * second.covering) / 14)
    assert result.adapted_rand_error == pytest.approx((first.adapted_rand_error + second.adapted_rand_error) / 2)
    assert str(result).startswith("2 annotators: PRI 0.")
    assert f"mean adapted Rand error {result.adapted_rand_error:.4f}" in str(result)


# Files and text --------------------------------------------------------------------------------------


def test_the_summary_says_it_all() -> None:
    assert str(evaluate_partition(PREDICTED, TRUTH, ignore=0)).splitlines() == [
        "variation of information 0.9839 bits: 0.4444 by splits, 0.5394 by merges",  # 4/9, and 5/9 of 0.97095
        "adapted Rand error 0.4545: precision 0.5000, recall 0.6000",
        "Rand index 0.7222, adjusted 0.3478; covering 0.5111",  # 26/36; (6 - 10/3) / (11 - 10/3); (2 + 0.8 + 1.8) / 9
        "3 regions predicted, 3 true; 9 voxels scored, 1 not annotated (label 0 of truth)",
    ]


def test_scores_are_written(tmp_path: Path) -> None:
    result = evaluate_partition(PREDICTED, TRUTH)
    with result.to_csv(tmp_path / "scores.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["vi_split"]) == result.vi_split
    content = json.loads(result.to_json(tmp_path / "scores.json").read_text())
    assert (content["vi"], content["vi_log_base"], content["ignore"]) == (result.vi, 2, None)
    assert set(FLOATS) <= set(content["definitions"])
    single = json.loads(evaluate_partition(TRUTH[:1], TRUTH[:1]).to_json(tmp_path / "single.json").read_text())
    assert single["rand_index"] is None
    several = evaluate_partitions(PREDICTED, [TRUTH, PREDICTED])
    with several.to_csv(tmp_path / "annotators.csv").open(newline="") as file:
        assert [row["covering"] for row in csv.DictReader(file)] == [str(result.covering), "1.0"]
    content = json.loads(several.to_json(tmp_path / "annotators.json").read_text())
    assert content == several.as_dict()
    assert content["annotators"][1]["vi"] == 0
    assert content["adapted_rand_error"] == result.adapted_rand_error / 2
    assert {*FLOATS, "probabilistic_rand_index", "annotators"} < {*several.definitions}
    for write in (result.to_csv, result.to_json, several.to_csv, several.to_json):
        with pytest.raises(FileExistsError, match=r"scores\.csv"):
            write(tmp_path / "scores.csv")
        write(tmp_path / "scores.csv", overwrite=True)


# Bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: evaluate_partition(PREDICTED, TRUTH[:4]), ValueError, r"shape of predicted, \(10,\), but has \(4,\)"),
        (lambda: evaluate_partition(PREDICTED / 2, TRUTH), TypeError, "predicted must hold integer labels"),
        (lambda: evaluate_partition(PREDICTED, TRUTH - 1), ValueError, "truth holds the label -1"),
        (lambda: evaluate_partition(PREDICTED, 0 * TRUTH, ignore=0), ValueError, "takes out every voxel of truth"),
        (lambda: evaluate_partitions(PREDICTED, []), ValueError, "truths holds no annotation"),
    ],
    ids=["shape", "dtype", "negative", "nothing-left", "no-annotator"],
)
def test_bad_input_is_named(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
