"""Overlap scores: by hand, against scikit-learn and scikit-image, and by what must hold for any labels."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from skimage.metrics import contingency_table
from sklearn import metrics

from napari_cutout import Cancelled, _writing, watch
from napari_cutout.evaluation import _contingency
from napari_cutout.evaluation._matching import matched
from napari_cutout.evaluation.overlap import (
    MEANS,
    OVERALL,
    Contingency,
    Evaluation,
    contingency,
    error_map,
    evaluate,
    scored,
)

from .strict import on_device, on_host, to_host

PREDICTED = np.array([0, 0, 1, 1, 1, 2, 2, 0])
TRUTH = np.array([0, 1, 1, 1, 2, 2, 2, 0])


def pair(seed: int, n_labels: int, shape: tuple[int, ...] = (9, 10, 11), dtype: Any = "int64") -> list[np.ndarray]:
    """Return two label arrays that agree in about two thirds of their voxels."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, n_labels, shape)
    return [
        np.where(rng.random(shape) < 0.5, rng.integers(0, n_labels, shape), truth).astype(dtype),
        truth.astype(dtype),
    ]


def counts(result: Evaluation) -> np.ndarray:
    return np.stack([result.tp, result.fp, result.fn, result.tn])


def by_dict(predicted: np.ndarray, truth: np.ndarray) -> dict[tuple[int, int], int]:
    """Count pairs the slow way."""
    found: dict[tuple[int, int], int] = {}
    for p, t in zip(predicted.ravel().tolist(), truth.ravel().tolist(), strict=True):
        found[p, t] = found.get((p, t), 0) + 1
    return found


def as_dict(table: Contingency) -> dict[tuple[int, int], int]:
    cells = zip(table.predicted.tolist(), table.truth.tolist(), table.counts.tolist(), strict=True)
    return {(p, t): n for p, t, n in cells}


# By hand ---------------------------------------------------------------------------------------------


def test_scores_by_hand() -> None:
    result = evaluate(PREDICTED, TRUTH)
    assert result.classes.tolist() == [0, 1, 2]
    # Class 0: predicted at 0 1 7, true at 0 7. Class 1: predicted at 2 3 4, true at 1 2 3. Class 2: 5 6 and 4 5 6.
    assert counts(result).tolist() == [[2, 2, 2], [1, 1, 0], [0, 1, 1], [5, 4, 5]]
    assert_allclose(result.iou, [2 / 3, 2 / 4, 2 / 3])  # TP / (TP + FP + FN)
    assert_allclose(result.dice, [4 / 5, 4 / 6, 4 / 5])  # 2 TP / (2 TP + FP + FN)
    assert_allclose(result.precision, [2 / 3, 2 / 3, 1])
    assert_allclose(result.recall, [1, 2 / 3, 2 / 3])
    assert_allclose(result.specificity, [5 / 6, 4 / 5, 5 / 5])  # TN / (TN + FP)
    assert_allclose(result.balanced_accuracy, [(1 + 5 / 6) / 2, (2 / 3 + 4 / 5) / 2, (2 / 3 + 1) / 2])
    # (TP TN - FP FN) / sqrt((TP + FP) (TP + FN) (TN + FP) (TN + FN)), so
    # (2 5 - 1 0) / sqrt(3 2 6 5), (2 4 - 1 1) / sqrt(3 3 5 5), (2 5 - 0 1) / sqrt(2 3 5 6)
    assert_allclose(result.mcc, [10 / 180**0.5, 7 / 15, 10 / 180**0.5])
    assert_allclose(result.accuracy, [7 / 8, 6 / 8, 7 / 8])
    assert_allclose(result.prevalence, [2 / 8, 3 / 8, 3 / 8])
    assert result.mean_iou == pytest.approx((1 / 2 + 2 / 3) / 2)  # background left out
    assert result.mean_dice == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert result.overall_accuracy == pytest.approx(6 / 8)
    assert result.overall_balanced_accuracy == pytest.approx((2 / 2 + 2 / 3 + 2 / 3) / 3)
    # R_K: 6 of 8 agree; predicted fill 3, 3, 2 and true 2, 3, 3, which agree 3 2 + 3 3 + 2 3 = 21 times by chance;
    # (6 8 - 21) / sqrt((64 - (9 + 9 + 4)) (64 - (4 + 9 + 9))) = 27 / 42
    assert result.overall_mcc == pytest.approx(27 / 42)
    assert result.largest_prevalence == 3 / 8
    assert (result.n_voxels, result.n_ignored, result.match) == (8, 0, "value")
    assert result.iou.dtype == result.dice.dtype == np.float64
    assert result.tp.dtype == result.classes.dtype == np.int64


def test_frequency_weights_are_the_shares_of_the_classes_in_truth() -> None:
    # Class 1 has 1 voxel, found with one in excess: IoU 1/2, Dice 2/3. Class 2 has 3, all but one found: 2/3 and 4/5.
    result = evaluate([np.array([1, 1, 2, 2, 0])][0], np.array([1, 2, 2, 2, 0]))
    assert_allclose(result.iou[1:], [1 / 2, 2 / 3])
    assert result.frequency_weighted_iou == pytest.approx((1 * 1 / 2 + 3 * 2 / 3) / 4)
    assert result.frequency_weighted_dice == pytest.approx((1 * 2 / 3 + 3 * 4 / 5) / 4)


def test_ignored_voxels_leave_every_count() -> None:
    truth = np.array([-1, 1, 1, -1, 2, 2, 2, 0])
    result = evaluate(PREDICTED, truth, ignore=-1, match="value")
    kept = truth != -1
    assert_array_equal(counts(result), counts(evaluate(PREDICTED[kept], truth[kept], match="value")))
    assert (result.n_voxels, result.n_ignored, result.ignore) == (6, 2, -1)
    assert -1 not in result.classes


def test_strokes_have_no_background_class() -> None:
    # 0 is not annotated: what is predicted there does not matter, and a predicted 0 on a stroke is a miss.
    result = evaluate(np.array([1, 2, 1, 0, 2]), np.array([0, 0, 1, 1, 2]), ignore=0, match="value")
    assert result.classes.tolist() == [1, 2]
    assert counts(result).tolist() == [[1, 1], [0, 0], [1, 0], [1, 2]]


def test_means_skip_a_class_that_is_nowhere() -> None:
    result = evaluate(PREDICTED, TRUTH, classes=(0, 1, 2, 7))
    assert result.classes.tolist() == [0, 1, 2, 7]
    for name in ("iou", "dice", "precision", "recall", "specificity", "balanced_accuracy", "mcc", "accuracy"):
        assert np.isnan(getattr(result, name)).tolist() == [False, False, False, True]
    assert result.prevalence[3] == 0
    assert result.mean_iou == evaluate(PREDICTED, TRUTH).mean_iou


def test_classes_restrict_the_report() -> None:
    whole, part = evaluate(PREDICTED, TRUTH), evaluate(PREDICTED, TRUTH, classes=[2, 1])
    assert part.classes.tolist() == [1, 2]
    assert_array_equal(counts(part), counts(whole)[:, 1:])


@pytest.mark.parametrize("labels", [np.zeros((3, 4), np.uint8), np.zeros(3, bool)])
def test_background_alone_is_scored_as_it_is(labels: np.ndarray) -> None:
    result = evaluate(labels, labels)
    assert result.classes.tolist() == [0]
    assert result.mean_iou == result.mean_dice == result.frequency_weighted_iou == 1


def test_perfect_and_disjoint_labels() -> None:
    assert evaluate(TRUTH, TRUTH).mean_iou == evaluate(TRUTH, TRUTH).mean_dice == 1
    nothing = evaluate(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0]))
    assert nothing.iou.tolist() == nothing.dice.tolist() == [0, 0]
    missed = evaluate(np.array([0, 0, 0]), np.array([0, 1, 1]))
    assert np.isnan(missed.precision[1])
    assert missed.recall[1] == missed.iou[1] == 0


def test_what_cannot_be_told_apart_has_no_balance_and_no_correlation() -> None:
    everywhere = evaluate(np.array([0, 1, 1]), np.array([1, 1, 1]))
    assert everywhere.recall[1] == 2 / 3
    assert np.isnan([everywhere.specificity[1], everywhere.balanced_accuracy[1], everywhere.mcc[1]]).all()
    assert everywhere.overall_balanced_accuracy == 2 / 3, "only class 1 is in truth"
    assert np.isnan(everywhere.overall_mcc)
    nothing = evaluate(np.array([0, 0, 0]), np.array([0, 1, 1]))
    assert (nothing.specificity[1], nothing.recall[1], nothing.balanced_accuracy[1]) == (1, 0, 1 / 2)
    assert np.isnan([nothing.mcc[1], nothing.overall_mcc]).all()
    absent = evaluate(np.array([0, 1, 0]), np.array([0, 0, 0]))
    assert absent.specificity[1] == 2 / 3
    assert np.isnan(absent.balanced_accuracy[1]), "of what is nowhere there is no recall"


def test_an_image_that_is_nearly_all_background_shows_why_accuracy_is_not_enough() -> None:
    # 1,000 voxels of which 10 are object; labels that find none of them, and labels that find 8 and add 12.
    truth, some = np.zeros((2, 1000), int)
    truth[:10], some[2:22] = 1, 1
    nothing, found = evaluate(np.zeros_like(truth), truth), evaluate(some, truth)
    assert nothing.overall_accuracy == nothing.largest_prevalence == 990 / 1000
    assert found.overall_accuracy == (1000 - 2 - 12) / 1000 < nothing.overall_accuracy
    assert nothing.overall_balanced_accuracy == 1 / 2
    assert found.overall_balanced_accuracy == pytest.approx((8 / 10 + 978 / 990) / 2)
    assert (nothing.dice[1], found.dice[1]) == (0, 2 * 8 / (2 * 8 + 12 + 2))


def test_counts_of_a_very_large_volume_do_not_overflow() -> None:
    # A volume of 2^40 voxels, half of them object, a quarter of each side wrong: TP = TN = 3a, FP = FN = a.
    a = 2**37
    table = Contingency(*np.array([[0, 0, 1, 1], [0, 1, 0, 1], [3 * a, a, a, 3 * a]]))
    result = scored(table, matched(table, "value", None), None, None)
    assert result.mcc.tolist() == [1 / 2, 1 / 2]  # (9 - 1) / sqrt(4 4 4 4)
    assert result.overall_mcc == 1 / 2
    assert result.overall_balanced_accuracy == 3 / 4


def test_the_whole_is_scored_by_all_classes_whichever_are_reported() -> None:
    whole, part = evaluate(PREDICTED, TRUTH), evaluate(PREDICTED, TRUTH, classes=[2])
    for name in ("overall_accuracy", "overall_balanced_accuracy", "overall_mcc", "largest_prevalence"):
        assert getattr(part, name) == getattr(whole, name)


def test_nothing_of_the_classes_in_truth_gives_no_frequencies() -> None:
    result = evaluate(np.array([0, 1]), np.array([0, 0]))
    assert result.mean_iou == 0
    assert np.isnan(result.frequency_weighted_iou)


# Matching --------------------------------------------------------------------------------------------

FAR = np.arange(40)
AUTO = [
    pytest.param([0, 1, 1], [0, 1, 0], None, "value", id="same-object-label"),
    pytest.param([1, 1, 1], [0, 1, 0], None, "value", id="same-object-label-no-background"),
    pytest.param([0, 1, 1], [0, 255, 0], None, "binary", id="1-against-255"),
    pytest.param([0, 1, 1], [0, 1, 2], None, "binary", id="mask-against-objects"),
    pytest.param([0, 3, 4], [0, 1, 1], None, "binary", id="objects-against-mask"),
    pytest.param([0, 0, 0], [0, 4, 5], None, "binary", id="nothing-found"),
    pytest.param([1, 2, 3], [0, 0, 0], None, "binary", id="nothing-there"),
    pytest.param([0, 1, 2], [0, 1, 2], None, "value", id="labels-that-agree"),
    pytest.param([0, 1, 2, 2], [0, 1, 2, 1], None, "value", id="labels-that-agree-in-a-tie"),
    pytest.param([0, 1, 2, 3, 3], [0, 1, 2, 0, 4], None, "value", id="most-labels-agree"),
    pytest.param([0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 3, 3], None, "value", id="three-of-five-are-shared"),
    pytest.param([0, 1, 2, 3, 4, 5], [0, 1, 2, 2, 2, 2], None, "binary", id="two-of-five-are-shared"),
    pytest.param([0, 1, 2], [2, 1, 0], None, "binary", id="a-shared-label-meets-no-object"),
    pytest.param([0, 1, 2, 3], [0, 2, 1, 3], None, "binary", id="objects-in-another-order"),
    pytest.param([0, 1, 2, 2, 2], [0, 1, 2, 1, 1], None, "binary", id="one-label-disagrees"),
    pytest.param([0, 1, 2, 2, 2], [0, 1, 2, 0, 0], None, "value", id="excess-is-no-disagreement"),
    pytest.param([0, 1, 2], [0, 5, 6], None, "binary", id="other-labels"),
    pytest.param([1, 2, 3], [0, 1, 2], None, "overlap", id="clusters-from-1"),
    pytest.param([1, 2, 2], [0, 1, 2], None, "overlap", id="same-object-labels-no-background"),
    pytest.param([1, 1, 1, 2, 3], [0, 0, 1, 1, 1], None, "overlap", id="clusters-against-mask"),
    pytest.param([1, 2, 3], [1, 2, 3], None, "value", id="clusters-that-agree"),
    pytest.param(FAR[1:], FAR[1:] % 2, None, "binary", id="many-objects-without-background"),
    pytest.param(FAR, FAR // 2, None, "binary", id="many-labels"),
    pytest.param(FAR, FAR, None, "binary", id="many-labels-that-are-the-same"),
    pytest.param(FAR[:33], FAR[:33], None, "value", id="32-labels-that-are-the-same"),
    pytest.param([0, 1, 1], [0, 1, 2], 0, "value", id="mask-against-strokes-of-both"),
    pytest.param([0, 0, 1, 1], [0, 2, 1, 1], 0, "overlap", id="background-against-strokes-of-both"),
    pytest.param([0, 1, 1], [0, 2, 2], 0, "binary", id="strokes-of-one-class"),
    pytest.param([0, 5, 6, 7], [0, 2, 2, 2], 0, "binary", id="objects-against-strokes-of-one-class"),
    pytest.param([1, 1, 2], [0, 1, 2], 0, "value", id="strokes-of-the-same-labels"),
    pytest.param([1, 2, 1], [0, 1, 2], 0, "overlap", id="clusters-against-strokes"),
]


@pytest.mark.parametrize(("predicted", "truth", "ignore", "rule"), AUTO)
def test_auto_says_which_rule_it_took(predicted: Any, truth: Any, ignore: int | None, rule: str) -> None:
    result = evaluate(np.array(predicted), np.array(truth), ignore=ignore)
    assert result.match == rule
    assert len(result.match_reason) > 20
    asked = evaluate(np.array(predicted), np.array(truth), ignore=ignore, match=rule)  # type: ignore[arg-type]
    assert_array_equal(counts(result), counts(asked))
    assert f"match={rule!r} was asked for" in asked.match_reason


def test_objects_in_another_order_score_as_objects() -> None:
    truth = np.zeros((20, 40), np.uint8)
    for number in range(8):
        truth[2:8, 5 * number : 5 * number + 3] = number + 1
    predicted = np.where(truth != 0, 9 - truth.astype(int), 0)
    result = evaluate(predicted, truth)
    assert (result.match, result.mean_iou) == ("binary", 1.0)
    assert "number objects" in result.match_reason


def test_grey_classes_against_a_mask_find_their_background() -> None:
    truth = np.array([0, 0, 0, 0, 1, 1, 1])
    result = evaluate(np.array([1, 1, 1, 2, 3, 3, 3]), truth)
    assert result.mapping == {1: 0, 2: 0, 3: 1}
    assert result.mean_iou == 1
    assert "map of classes without a background (0): 1, 2, 3" in result.match_reason


def test_binary_joins_all_objects() -> None:
    result = evaluate(np.array([0, 3, 4, 0]), np.array([0, 9, 0, 9]), match="binary")
    assert result.classes.tolist() == [0, 1]
    assert counts(result).tolist() == [[1, 1], [1, 1], [1, 1], [1, 1]]
    assert result.mapping == {0: 0, 3: 1, 4: 1}


def test_binary_keeps_class_1_where_1_is_ignored() -> None:
    result = evaluate(np.array([0, 5, 5]), np.array([0, 1, 2]), ignore=1, match="binary")
    assert result.classes.tolist() == [0, 1]
    assert result.tp.tolist() == [1, 1]


def test_overlap_maps_many_to_one_and_ties_to_the_smallest_class() -> None:
    #   7 meets 1 twice, 0 once; 8 meets 1 once; 9 meets 0 and 2 once each: the smaller one is taken.
    predicted = np.array([7, 7, 7, 8, 9, 9])
    truth = np.array([1, 1, 0, 1, 2, 0])
    result = evaluate(predicted, truth, match="overlap")
    assert result.mapping == {7: 1, 8: 1, 9: 0}
    assert result.classes.tolist() == [0, 1, 2]
    # As if predicted were 1 1 1 1 0 0.
    assert counts(result).tolist() == [[1, 3, 0], [1, 1, 0], [1, 0, 1], [3, 2, 5]]
    assert "favours the prediction" in result.match_reason


# Against others --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "uint16", "int32", "uint64", ">i4"])
def test_scores_equal_those_of_scikit_learn(dtype: str) -> None:
    predicted, truth = pair(0, 2 if dtype == "bool" else 5, dtype=dtype)
    result = evaluate(predicted, truth, match="value")
    flat = truth.ravel().astype(int), predicted.ravel().astype(int)
    assert_allclose(result.iou, metrics.jaccard_score(*flat, average=None), rtol=1e-14)
    assert_allclose(result.dice, metrics.f1_score(*flat, average=None), rtol=1e-14)
    assert_allclose(result.precision, metrics.precision_score(*flat, average=None), rtol=1e-14)
    assert_allclose(result.recall, metrics.recall_score(*flat, average=None), rtol=1e-14)
    assert result.overall_accuracy == pytest.approx(metrics.accuracy_score(*flat), rel=1e-14)
    assert result.overall_balanced_accuracy == pytest.approx(metrics.balanced_accuracy_score(*flat), rel=1e-14)
    assert result.overall_mcc == pytest.approx(metrics.matthews_corrcoef(*flat), rel=1e-12)
    each = [[side == label for side in flat] for label in result.classes]
    assert_allclose(result.mcc, [metrics.matthews_corrcoef(*sides) for sides in each], rtol=1e-12)
    assert_allclose(result.balanced_accuracy, [metrics.balanced_accuracy_score(*sides) for sides in each], rtol=1e-14)
    assert_allclose(result.specificity, [metrics.recall_score(*sides, pos_label=False) for sides in each], rtol=1e-14)
    confusion = metrics.multilabel_confusion_matrix(*flat)
    assert_array_equal(counts(result), np.stack([confusion[:, i, j] for i, j in ((1, 1), (0, 1), (1, 0), (0, 0))]))


@pytest.mark.parametrize(("match", "ignore"), [("value", 0), ("value", 3), ("binary", 0), ("overlap", None)])
def test_the_whole_equals_scikit_learn_where_classes_are_matched_and_voxels_ignored(match: Any, ignore: Any) -> None:
    predicted, truth = pair(14, 4)
    result = evaluate(predicted + (match == "overlap"), truth, match=match, ignore=ignore)
    kept = truth != ignore
    sides = truth[kept], np.vectorize(result.mapping.get)(predicted[kept] + (match == "overlap"))
    if match == "binary":
        sides = (sides[0] != 0).astype(int), sides[1]
        with pytest.warns(UserWarning, match="classes not in y_true"):
            assert result.overall_balanced_accuracy == pytest.approx(metrics.balanced_accuracy_score(*sides))
        assert np.isnan(result.overall_mcc), "strokes of one class"
        return
    expected = metrics.recall_score(*sides, average=None, labels=np.unique(sides[0])).mean()
    assert result.overall_balanced_accuracy == pytest.approx(expected, rel=1e-14)
    assert result.overall_mcc == pytest.approx(metrics.matthews_corrcoef(*sides), rel=1e-12)


@pytest.mark.parametrize("n_labels", [3, 700])  # a dense table, and hashed pairs
def test_table_equals_that_of_scikit_image(n_labels: int) -> None:
    predicted, truth = pair(1, n_labels, (40, 50, 30), "uint16")
    expected = contingency_table(predicted, truth).tocoo()
    table = contingency(predicted, truth)
    dense = np.zeros((n_labels, n_labels), int)
    dense[table.predicted, table.truth] = table.counts
    reference = np.zeros((n_labels, n_labels), int)
    reference[expected.coords] = expected.data
    assert_array_equal(dense, reference)


# Any library, any dtype, any chunk --------------------------------------------------------------------

DTYPES = ["bool", "uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


@pytest.mark.parametrize("shape", [(60,), (6, 10), (3, 4, 5), (2, 3, 2, 5)])
@pytest.mark.parametrize("dtypes", [*zip(DTYPES, DTYPES, strict=True), ("uint8", "int64"), ("uint64", "int8")])
def test_counts_are_the_same_in_every_library(
    to_library: Callable[[Any], Any], dtypes: tuple[str, str], shape: tuple[int, ...]
) -> None:
    predicted, truth = (a.astype(d) for a, d in zip(pair(2, 2 if "bool" in dtypes else 60, shape), dtypes, strict=True))
    table = contingency(to_library(predicted), to_library(truth))
    assert as_dict(table) == by_dict(predicted, truth)
    assert table.predicted.dtype == table.truth.dtype == table.counts.dtype == np.int64


def test_large_ids_are_counted_in_every_library(to_library: Callable[[Any], Any]) -> None:
    rng = np.random.default_rng(3)
    ids = np.concatenate([[0, 2**40, 2**63 - 1], rng.integers(0, 2**40, 300)])
    predicted, truth = rng.choice(ids, (2, 20, 40))
    table = contingency(to_library(predicted), to_library(truth))
    assert as_dict(table) == by_dict(predicted, truth)


def test_neighbouring_large_ids_are_counted_densely(to_library: Callable[[Any], Any]) -> None:
    predicted, truth = (a + 2**62 for a in pair(13, 5))
    assert as_dict(contingency(to_library(predicted), to_library(truth))) == by_dict(predicted, truth)


def test_a_device_sorts_ranks_where_the_table_would_be_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_contingency, "MAX_DEVICE_CELLS", 8)
    predicted, truth = pair(4, 30)
    assert as_dict(contingency(on_device(predicted), on_device(truth))) == by_dict(predicted, truth)


@pytest.mark.parametrize("slots", [2, 16, 1024])
def test_hashed_counts_equal_dense_ones_however_often_the_table_is_full(
    monkeypatch: pytest.MonkeyPatch, slots: int
) -> None:
    predicted, truth = pair(5, 40)
    dense = contingency(predicted, truth)
    monkeypatch.setattr(_contingency, "MAX_CELLS", 0)
    monkeypatch.setattr(_contingency, "SLOTS", slots)
    assert contingency(predicted, truth) == dense


@pytest.mark.parametrize("n_labels", [4, 900])
def test_blocks_give_the_counts_of_the_whole(monkeypatch: pytest.MonkeyPatch, n_labels: int) -> None:
    predicted, truth = pair(6, n_labels, (13, 20, 30))
    whole = contingency(predicted, truth)
    monkeypatch.setattr("napari_cutout._plan.BLOCK_VOXELS", 70)
    assert contingency(predicted, truth) == whole


@pytest.mark.parametrize("chunks", [(13, 20, 30), (5, 7, 9), (1, 20, 30)])
def test_dask_chunks_give_the_counts_of_the_whole(chunks: tuple[int, ...]) -> None:
    predicted, truth = pair(7, 5, (13, 20, 30))
    result = evaluate(da.from_array(predicted, chunks), da.from_array(truth, (4, 20, 11)), ignore=4)
    expected = evaluate(predicted, truth, ignore=4)
    assert_array_equal(counts(result), counts(expected))
    assert result.match == expected.match
    errors = error_map(da.from_array(predicted, chunks), da.from_array(truth, (4, 20, 11)), ignore=4)
    assert isinstance(errors, da.Array)
    assert_array_equal(errors.compute(), error_map(predicted, truth, ignore=4))


def test_dask_chunks_without_voxels_count_nothing() -> None:
    predicted, truth = pair(8, 5, (6, 7))
    holes = [da.from_array(a, ((0, 4, 0, 2), (7,))) for a in (predicted, truth)]
    assert contingency(*holes) == contingency(predicted, truth)


def test_non_contiguous_arrays_are_counted() -> None:
    predicted, truth = pair(9, 6)
    table = contingency(predicted[::2, ::-1].T, truth[::2, ::-1].T)
    assert as_dict(table) == by_dict(predicted[::2], truth[::2])


def test_error_map_and_scores_in_every_library(to_library: Callable[[Any], Any]) -> None:
    predicted, truth = pair(10, 4, (5, 6, 7), "uint8")
    for match in ("binary", "value", "overlap"):
        expected = error_map(predicted + 3, truth, ignore=1, match=match)  # type: ignore[arg-type]
        errors = error_map(to_library(predicted + 3), to_library(truth), ignore=1, match=match)  # type: ignore[arg-type]
        assert type(errors) is type(to_library(predicted))
        assert_array_equal(to_host(errors), expected)


# Properties ------------------------------------------------------------------------------------------


@st.composite
def label_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(hnp.array_shapes(max_dims=3, max_side=7))
    largest = draw(st.sampled_from([1, 3, 300, 2**40]))
    return tuple(draw(hnp.arrays(np.int64, shape, elements=st.integers(0, largest))) for _ in range(2))  # type: ignore[return-value]


@given(label_pairs())
def test_iou_is_symmetric_and_gives_dice(labels: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, truth = labels
    result, swapped = (evaluate(a, b, match="value") for a, b in ((predicted, truth), (truth, predicted)))
    assert_array_equal(result.iou, swapped.iou)
    assert_array_equal(result.precision, swapped.recall)
    assert_allclose(result.dice, 2 * result.iou / (1 + result.iou), rtol=1e-14)
    assert (counts(result).sum(axis=0) == predicted.size).all()
    assert_allclose(result.overall_accuracy, result.tp.sum() / predicted.size)


@given(label_pairs())
def test_correlation_is_symmetric_and_perfect_only_where_labels_agree(labels: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, truth = labels
    result, swapped = (evaluate(a, b, match="value") for a, b in ((predicted, truth), (truth, predicted)))
    assert_array_equal(result.mcc, swapped.mcc)
    assert result.overall_mcc == swapped.overall_mcc or np.isnan([result.overall_mcc, swapped.overall_mcc]).all()
    assert np.nanmax(np.abs([*result.mcc, result.overall_mcc, 0])) <= 1
    assert (result.overall_mcc == 1) == ((predicted == truth).all() and len(result.classes) > 1)
    assert np.nanmax([*result.balanced_accuracy, 0]) <= 1
    if len(result.classes) == 2 and not np.isnan(result.mcc).any():  # what one class has, the other has not
        assert result.mcc[0] == result.mcc[1] == pytest.approx(result.overall_mcc, abs=1e-14)


@given(label_pairs(), st.data())
def test_tables_add_in_any_split_and_order(labels: tuple[np.ndarray, np.ndarray], data: st.DataObject) -> None:
    predicted, truth = (a.ravel() for a in labels)
    cuts = data.draw(st.lists(st.integers(1, predicted.size), unique=True, max_size=4))
    edges = sorted({0, predicted.size, *cuts})
    parts = [contingency(predicted[a:b], truth[a:b]) for a, b in itertools.pairwise(edges)]
    shuffled = data.draw(st.permutations(parts))
    assert reduce(Contingency.__add__, shuffled) == contingency(predicted, truth)


@given(label_pairs())
def test_table_has_every_pair(labels: tuple[np.ndarray, np.ndarray]) -> None:
    table = contingency(*labels)
    assert as_dict(table) == by_dict(*labels)
    assert sorted(as_dict(table)) == list(as_dict(table))
    assert table.n_voxels == labels[0].size


@given(label_pairs(), st.integers(1, 5))
def test_renumbering_predicted_does_not_show_in_overlap(labels: tuple[np.ndarray, np.ndarray], factor: int) -> None:
    predicted, truth = labels
    renumbered = predicted.max() * factor - predicted * factor + 3
    expected = evaluate(predicted, truth, match="overlap")
    assert_array_equal(counts(evaluate(renumbered, truth, match="overlap")), counts(expected))
    assert expected.overall_accuracy >= evaluate(predicted, truth, match="value").overall_accuracy


@given(label_pairs(), st.randoms(use_true_random=False))
def test_permuting_objects_never_changes_the_score_where_they_are_not_classes(
    labels: tuple[np.ndarray, np.ndarray], random: Any
) -> None:
    predicted, truth = labels
    before = evaluate(predicted, truth)
    numbers = np.unique(predicted[predicted != 0])
    order = np.array(random.sample(range(len(numbers)), len(numbers)), int)
    renumbered = predicted.copy()
    inside = predicted != 0
    renumbered[inside] = numbers[order][np.searchsorted(numbers, predicted[inside])]
    after = evaluate(renumbered, truth)
    if inside.all() or "value" not in (before.match, after.match):
        assert_array_equal(counts(after), counts(before))
    else:  # over a background, few labels that agree are taken at their value
        assert max(len(numbers), len(np.unique(truth[truth != 0]))) <= 32
    fresh = np.where(inside, predicted + truth.max(), 0)  # none of its labels is one of truth
    assert inside.all() or evaluate(fresh, truth).match == "binary"


@given(label_pairs())
def test_renumbering_both_renumbers_the_classes(labels: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, truth = labels
    before, after = (evaluate(predicted + add, truth + add, match="value") for add in (0, 9))
    assert_array_equal(after.classes, before.classes + 9)
    assert_array_equal(after.iou, before.iou)


@given(label_pairs(), st.integers(-2, 3))
def test_ignoring_equals_leaving_out(labels: tuple[np.ndarray, np.ndarray], ignore: int) -> None:
    predicted, truth = (a.ravel() for a in labels)
    kept = truth != ignore
    if not kept.any():
        with pytest.raises(ValueError, match="takes out every voxel"):
            contingency(predicted, truth, ignore)
        return
    table = contingency(predicted, truth, ignore)
    assert as_dict(table) == by_dict(predicted[kept], truth[kept])
    assert table.n_ignored == (~kept).sum()


@given(label_pairs(), st.sampled_from(["auto", "binary", "value", "overlap"]), st.sampled_from([None, 0, 1]))
def test_error_map_counts_what_the_scores_count(labels: tuple[np.ndarray, np.ndarray], match: Any, ignore: int) -> None:
    predicted, truth = labels
    if (truth == ignore).all():
        return
    errors = error_map(predicted, truth, ignore=ignore, match=match)
    result = evaluate(predicted, truth, ignore=ignore, match=match)
    mapped = np.vectorize(lambda label: result.mapping.get(label, 0), otypes=[np.int64])(predicted)
    there = (truth != 0).astype(int) if result.match == "binary" else truth
    known = np.ones(truth.shape, bool) if ignore is None else truth != ignore
    expected = np.select(
        [~known | (mapped == 0) & (there == 0), mapped == there, there == 0, mapped == 0], [0, 1, 2, 3], 4
    )
    assert errors.dtype == np.uint8
    assert_array_equal(errors, expected)
    foreground = result.classes != 0
    assert result.tp[foreground].sum() == (errors == 1).sum()


# Error map by hand -----------------------------------------------------------------------------------


def test_error_map_by_hand() -> None:
    predicted = np.array([[0, 1, 1, 0, 2, 1, 1]])
    truth = np.array([[0, 1, 0, 1, 1, 9, 2]])
    assert error_map(predicted, truth, ignore=9, match="value").tolist() == [[0, 1, 2, 3, 4, 0, 4]]
    assert error_map(predicted, truth, ignore=9, match="binary").tolist() == [[0, 1, 2, 3, 1, 0, 1]]


def test_error_map_of_a_label_that_only_ignored_voxels_hold() -> None:
    predicted = np.array([1, 1, 5, 2, 9])
    truth = np.array([1, 1, 0, 2, 0])
    assert error_map(predicted, truth, ignore=0, match="overlap").tolist() == [1, 1, 0, 1, 0]


# Reports ---------------------------------------------------------------------------------------------


def test_table_has_one_row_per_class_with_plain_numbers() -> None:
    rows = evaluate(PREDICTED, TRUTH).table
    assert [row["class"] for row in rows] == [0, 1, 2]
    assert list(rows[0]) == [
        "class",
        "iou",
        "dice",
        "precision",
        "recall",
        "specificity",
        "balanced_accuracy",
        "mcc",
        "accuracy",
        "prevalence",
        "tp",
        "fp",
        "fn",
        "tn",
    ]
    assert {type(v) for row in rows for v in row.values()} == {int, float}


def test_csv_gives_the_table_back(tmp_path: Path) -> None:
    result = evaluate(PREDICTED, TRUTH, classes=[1, 7])
    path = result.to_csv(tmp_path / "scores.csv")
    with path.open(newline="") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    assert_array_equal([list(r.values()) for r in rows], [list(r.values()) for r in result.table])


def test_json_holds_the_table_and_how_it_came_about(tmp_path: Path) -> None:
    result = evaluate(PREDICTED, TRUTH, ignore=9, classes=[1, 7])
    content = json.loads(result.to_json(tmp_path / "scores.json").read_text())
    assert content == result.as_dict()
    assert content["match"] == "value"
    assert content["mapping"] == {"0": 0, "1": 1, "2": 2}
    assert content["mean_iou"] == result.mean_iou
    assert content["classes"][0]["iou"] == result.iou[0]
    assert content["classes"][1]["iou"] is None
    assert content["overall_mcc"] == result.overall_mcc
    assert content["overall_balanced_accuracy"] == result.overall_balanced_accuracy
    assert (content["largest_prevalence"], content["classes"][0]["prevalence"]) == (3 / 8, 3 / 8)
    assert (content["ignore"], content["n_voxels"], content["n_ignored"]) == (9, 8, 0)


def test_every_figure_has_a_definition() -> None:
    result = evaluate(PREDICTED, TRUTH)
    figures = {name for name in result.as_dict() if name.startswith(("mean_", "frequency_", "overall_", "largest_"))}
    assert figures == {*MEANS, *OVERALL}
    assert figures | {*result.table[0]} - {"class"} | {"background", "empty", "ignored"} < {*result.definitions}
    assert result.definitions["matching"] == f"labels matched by value: {result.match_reason}"
    assert result.definitions["matching"] in str(result)
    assert all(text.strip() == text for text in result.definitions.values())


@pytest.mark.parametrize("name", ["to_csv", "to_json"])
def test_an_existing_file_stays_unless_overwriting_is_allowed(tmp_path: Path, name: str) -> None:
    write, path = getattr(evaluate(PREDICTED, TRUTH), name), tmp_path / "scores"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="scores' exists already; choose another name"):
        write(path)
    assert path.read_text() == "mine"
    assert write(path, overwrite=True) == path
    assert path.read_text() != "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_and_a_folder_in_the_way_are_named(tmp_path: Path) -> None:
    result = evaluate(PREDICTED, TRUTH)
    with pytest.raises(FileNotFoundError, match=r"there is no folder '.*absent' to write 'a.csv' to"):
        result.to_csv(tmp_path / "absent" / "a.csv")
    with pytest.raises(FileExistsError, match="exists already"):
        result.to_csv(tmp_path, overwrite=True)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("mine")

    def fail(self: Path, text: str, **_: Any) -> int:
        self.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_writing.Path, "write_text", fail)
    with pytest.raises(OSError, match=r"could not write .*No space left on device.*nothing was changed there"):
        evaluate(PREDICTED, TRUTH).to_csv(path, overwrite=True)
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_summary_shows_scores_and_their_origin() -> None:
    text = str(evaluate(PREDICTED, np.where(TRUTH == 2, 255, TRUTH), ignore=255))
    assert "0.6667" in text
    assert "3 not annotated (label 255 of truth)" in text
    assert "labels matched by" in text
    for name in ("prevalence", "balanced", "mcc", "iou"):
        assert name in text.splitlines()[0]
    # of 8 voxels 3 are ignored; of the other 5 class 1 has 3, and 4 are right: see the hand-worked case
    assert "5 voxels scored" in text
    assert "0.8000 of them right, where naming the commonest class everywhere would give 0.6000" in text
    assert "balanced accuracy 0.8333, MCC" in text  # (2 / 2 + 2 / 3) / 2


def test_summary_of_many_classes_is_cut_and_says_so() -> None:
    labels = np.arange(100)
    result = evaluate(labels, labels, match="value")
    assert "... and 60 more classes" in result.summary()
    assert len(result.table) == 100


def test_results_cannot_be_changed() -> None:
    result = evaluate(PREDICTED, TRUTH)
    with pytest.raises(ValueError, match="read-only"):
        result.tp[0] = 5
    with pytest.raises(AttributeError):
        result.match = "value"  # type: ignore[misc]


# Progress and bad input ------------------------------------------------------------------------------


@pytest.mark.parametrize("lazy", [False, True])
def test_a_run_is_watched_and_cancelled(monkeypatch: pytest.MonkeyPatch, lazy: bool) -> None:
    monkeypatch.setattr("napari_cutout._plan.BLOCK_VOXELS", 100)
    labels = pair(12, 4)[0]
    array = da.from_array(labels, (1, 10, 11)) if lazy else labels
    seen: list[tuple[str, float]] = []
    with watch(lambda *progress: seen.append(progress)):
        evaluate(array, array)
    assert {name for name, _ in seen} == {"comparing labels"}
    assert len(seen) > 5
    assert all(0 <= done <= 1 for _, done in seen)
    with watch(is_cancelled=lambda: len(seen) > 0), pytest.raises(Cancelled):
        evaluate(array, array)


LABELS = np.array([[0, 1], [1, 0]])
ERRORS = [
    (lambda: evaluate(LABELS * 1.0, LABELS), TypeError, "predicted must hold integer labels, got dtype float64"),
    (lambda: evaluate(LABELS, LABELS * 1j), TypeError, "truth must hold integer labels, got dtype complex128"),
    (lambda: evaluate(LABELS.astype(object), LABELS), TypeError, "got dtype object; convert it"),
    (lambda: evaluate(LABELS, LABELS[:1]), ValueError, r"shape of predicted, \(2, 2\), but has \(1, 2\); crop"),
    (lambda: evaluate(LABELS[:0], LABELS[:0]), ValueError, r"shape \(0, 2\), which holds no voxels"),
    (lambda: evaluate(np.array(3), np.array(3)), ValueError, r"shape \(\), which holds no voxels"),
    (lambda: evaluate(LABELS, on_host(LABELS)), TypeError, "from one library, got numpy and array_api_strict"),
    (lambda: evaluate([[1]], [[1]]), TypeError, "an array was expected, got list"),
    (lambda: evaluate(LABELS - 1, LABELS), ValueError, "predicted holds the label -1, and labels must be 0 or more"),
    (lambda: evaluate(LABELS, LABELS - 1), ValueError, "truth holds the label -1.*give it as `ignore`"),
    (lambda: evaluate(LABELS.astype("u8") + 2**63, LABELS), ValueError, "holds the label 9223372036854775809"),
    (lambda: evaluate(LABELS, LABELS * 0, ignore=0), ValueError, "ignore=0 takes out every voxel of truth"),
    (lambda: evaluate(LABELS, LABELS, ignore=1.0), TypeError, "ignore must be an integer label of truth or None"),
    (lambda: evaluate(LABELS, LABELS, ignore=True), TypeError, "ignore must be an integer label .* got True"),
    (lambda: evaluate(LABELS, LABELS, match="best"), ValueError, "match must be one of 'auto', .* got 'best'"),
    (lambda: error_map(LABELS, LABELS, match="best"), ValueError, "match must be one of"),
    (lambda: evaluate(LABELS, LABELS, classes=[]), ValueError, r"classes must be one or more different.*got \[\]"),
    (lambda: evaluate(LABELS, LABELS, classes=[1, 1]), ValueError, r"different labels, each 0 or more, got \[1, 1\]"),
    (lambda: evaluate(LABELS, LABELS, classes=[-1]), ValueError, r"each 0 or more, got \[-1\]"),
    (lambda: evaluate(LABELS, LABELS, classes=[1.5]), TypeError, r"classes must be integers, got \[1.5\]"),
    (lambda: evaluate(LABELS, LABELS, ignore=0, classes=[0, 1]), ValueError, "names 0, which `ignore` takes out"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS)
def test_bad_input_is_named(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_unknown_shapes_of_dask_are_named() -> None:
    labels = da.from_array(np.arange(9), 3)
    some = labels[labels > 2]
    with pytest.raises(ValueError, match=r"known shapes, got \(nan,\).*compute_chunk_sizes"):
        evaluate(some, some)
