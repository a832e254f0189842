"""Object scores: by hand, against every possible matching, and by what must hold for any objects."""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import linear_sum_assignment

import napari_cutout as nc
from napari_cutout.evaluation import _pairing
from napari_cutout.evaluation._contingency import contingency
from napari_cutout.evaluation._matching import number_objects
from napari_cutout.evaluation.objects import COLUMNS, THRESHOLDS, ObjectEvaluation, evaluate_objects
from napari_cutout.evaluation.overlap import evaluate

from .strict import on_device

# Object 1 is cut in two, 2 and 3 are joined, 4 is missed, 5 is found but for a voxel, 9 is invented.
TRUTH = np.array([1, 1, 1, 1, 1, 0, 2, 2, 3, 3, 3, 0, 4, 4, 0, 5, 5, 5, 5, 0, 0])
PREDICTED = np.array([7, 7, 7, 8, 8, 0, 6, 6, 6, 6, 6, 0, 0, 0, 0, 3, 3, 3, 0, 0, 9])


def blobs(seed: int, shape: tuple[int, ...] = (18, 20), n: int = 9) -> np.ndarray:
    """Return n boxes at random places, each by its number; later ones cover earlier ones."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int64)
    for label in rng.permutation(n) + 1:
        start = [int(rng.integers(0, side - 2)) for side in shape]
        labels[tuple(slice(s, s + int(rng.integers(2, 7))) for s in start)] = label
    return labels


def pair(seed: int, shape: tuple[int, ...] = (18, 20), n: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """Return objects, and the same moved by a voxel, some of them cut and some joined."""
    truth = blobs(seed, shape, n)
    predicted = np.roll(truth, 1, axis=seed % truth.ndim)
    half = (slice(None),) * (truth.ndim - 1) + (slice(0, shape[-1] // 2),)
    predicted[half] = np.where(predicted[half] == 0, 0, predicted[half] // 2 + n)
    return predicted, truth


def dense_iou(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the IoU of all objects, mask by mask."""
    ours, theirs = (np.setdiff1d(labels, [0]) for labels in (predicted, truth))
    found = [
        [((predicted == p) & (truth == t)).sum() / ((predicted == p) | (truth == t)).sum() for t in theirs]
        for p in ours
    ]
    return np.asarray(found, float).reshape(len(ours), len(theirs))


def matchings(good: np.ndarray, row: int = 0) -> Iterator[list[tuple[int, int]]]:
    """Yield every way to match rows to columns one to one where `good` allows it."""
    if row == len(good):
        yield []
        return
    for rest in matchings(good, row + 1):
        yield rest
        yield from ([(row, c), *rest] for c in np.flatnonzero(good[row]) if all(c != other for _, other in rest))


def best_by_trying(iou: np.ndarray, threshold: float) -> tuple[int, float]:
    """Return how many pairs the best of all matchings has, and the sum of their IoU."""
    return max((len(m), math.fsum(sorted(iou[at] for at in m))) for m in matchings(iou >= threshold))


def most(labels: np.ndarray) -> set[int]:
    """Return the objects that occur most often, or nothing if the background occurs more often."""
    times = {label: np.count_nonzero(labels == label) for label in np.unique(labels).tolist()}
    return {label for label, n in times.items() if n == max(times.values())} - {0}


def numbers(result: ObjectEvaluation) -> np.ndarray:
    """Return what is counted and summed at each threshold."""
    return np.stack([result.tp, result.fp, result.fn, result.n_unjudged, result.matched_iou])


def whole(result: ObjectEvaluation) -> tuple[Any, ...]:
    names = ["mean_ap", "seg", "aji", "over_segmentation", "under_segmentation", "count_error", "split", "merged"]
    names += ["missed", "invented", "n_voxels", "n_ignored"]
    return tuple(getattr(result, name) for name in names)


# By hand ---------------------------------------------------------------------------------------------


def test_scores_by_hand() -> None:
    result = evaluate_objects(PREDICTED, TRUTH, thresholds=(0.75, 0.5, 0.4))
    assert result.thresholds.tolist() == [0.4, 0.5, 0.75]
    assert (result.n_predicted, result.n_true, result.count_error) == (5, 5, 0)
    # IoU: 7 with 1 3/5, 8 with 1 2/5, 6 with 2 2/5, 6 with 3 3/5, 3 with 5 3/4.
    assert result.tp.tolist() == [3, 3, 1]
    assert result.fp.tolist() == [2, 2, 4]
    assert result.fn.tolist() == [2, 2, 4]
    assert_allclose(result.precision, [3 / 5, 3 / 5, 1 / 5])
    assert_allclose(result.recall, [3 / 5, 3 / 5, 1 / 5])
    assert_allclose(result.f1, [6 / 10, 6 / 10, 2 / 10])
    assert_allclose(result.ap, [3 / 7, 3 / 7, 1 / 9])
    assert_allclose(result.segmentation_quality, [(0.6 + 0.6 + 0.75) / 3] * 2 + [0.75])
    assert_allclose(result.pq, [0.6 * 1.95 / 3] * 2 + [0.2 * 0.75])
    assert result.mean_ap == pytest.approx((3 / 7 + 3 / 7 + 1 / 9) / 3)
    assert result.seg == pytest.approx((0.6 + 0.4 + 0.6 + 0 + 0.75) / 5)  # 6 covers all of 2, though it is merged
    # Shared by 1, 2, 3 and 5: 3 + 2 + 3 + 3; their unions: 5 + 5 + 5 + 4; apart are 4 with 2, 8 with 2, 9 with 1.
    assert result.aji == pytest.approx(11 / (19 + 2 + 2 + 1))
    assert (result.over_segmentation, result.under_segmentation) == (1 / 5, 2 / 5)
    assert_array_equal(result.rq, result.f1)
    assert_allclose(result.sq * result.rq, result.pq)
    assert (result.split, result.merged, result.missed, result.invented) == ((1,), (6,), (4,), (9,))
    assert (result.n_voxels, result.n_ignored, result.ignore) == (21, 0, None)
    assert result.tp.dtype == result.fp.dtype == result.fn.dtype == np.int64
    assert result.ap.dtype == result.thresholds.dtype == np.float64


def test_what_became_of_each_object_by_hand() -> None:
    result = evaluate_objects(PREDICTED, TRUTH)
    table = result.object_table(0.5)
    assert tuple(table) == COLUMNS
    rows = list(zip(*table.values(), strict=True))
    assert rows == [
        ("matched", 1, 7, 3 / 5, 6 / 8, 5, 3, True),
        ("merged", 2, 6, 2 / 5, 4 / 7, 2, 5, True),
        ("matched", 3, 6, 3 / 5, 6 / 8, 3, 5, True),
        ("missed", 4, 0, 0, 0, 2, 0, True),
        ("matched", 5, 3, 3 / 4, 6 / 7, 4, 3, True),
        ("split", 1, 8, 2 / 5, 4 / 7, 5, 2, True),
        ("invented", 0, 9, 0, 0, 0, 1, True),
    ]
    strict = result.object_table(0.9)
    assert strict["kind"] == [
        "split",
        "merged",
        "merged",
        "missed",
        "inexact",
        "inexact",
        "merged",
        "split",
        "split",
        "invented",
    ]
    assert strict["true"] == [1, 2, 3, 4, 5, 5, 3, 1, 1, 0]
    assert strict["predicted"] == [7, 6, 6, 0, 3, 3, 6, 7, 8, 9]


def test_an_object_has_its_own_error_before_that_of_the_other_side() -> None:
    # 1 is cut into 7 and 8, and lies mostly on 8, which has taken 2 in as well.
    truth = np.array([1, 1, 1, 1, 1, 1, 1, 2, 2, 2])
    predicted = np.array([7, 7, 7, 8, 8, 8, 8, 8, 8, 8])
    result = evaluate_objects(predicted, truth)
    assert (result.split, result.merged) == ((1,), (8,))
    assert result.object_table(0.9)["kind"] == ["split", "merged", "split", "merged"]
    assert evaluate_objects(truth, predicted).object_table(0.9)["kind"] == ["merged", "split", "merged", "split"]


def test_an_iou_of_exactly_the_threshold_is_enough() -> None:
    for part, threshold in itertools.product(range(10, 20), THRESHOLDS):
        truth = np.ones(20, np.uint8)
        predicted = (np.arange(20) < part).astype(np.uint8)
        assert evaluate_objects(predicted, truth, thresholds=(threshold,)).tp.tolist() == [
            int(part >= round(20 * threshold))
        ]


def test_two_halves_are_one_match_and_the_smaller_label_wins() -> None:
    whole_one, halves = np.array([5, 5, 5, 5]), np.array([8, 8, 3, 3])
    for predicted, truth, own in ((halves, whole_one, "predicted"), (whole_one, halves, "true")):
        result = evaluate_objects(predicted, truth)
        assert (result.tp[0], result.fp[0] + result.fn[0]) == (1, 1)
        table = result.object_table(0.5)
        assert [k for k, label in zip(table["kind"], table[own], strict=True) if label == 3] == ["matched"]
    assert evaluate_objects(halves, whole_one).seg == 0, "neither covers more than half"


def test_a_chain_is_matched_with_as_many_pairs_as_can_be() -> None:
    # 1 meets A in 4 of 6 voxels; A and 2, and B and 1 share less, but as two pairs.
    truth = np.array([1, 1, 1, 1, 1, 2, 0])
    predicted = np.array([4, 3, 3, 3, 3, 3, 3])
    result = evaluate_objects(predicted, truth, thresholds=(0.1, 0.5))
    assert result.tp.tolist() == [2, 1]
    assert_allclose(result.matched_iou, [1 / 5 + 1 / 6, 4 / 7])


def test_a_pair_more_is_worth_more_than_all_iou() -> None:
    # Four objects in a row, each a voxel on: three pairs of 19/21, or four of 1/20, 1/39, 1/39 and 1/20.
    truth, predicted = np.repeat([1, 2, 3, 4], [1, 20, 20, 20]), np.repeat([5, 6, 7, 8], [20, 20, 20, 1])
    result = evaluate_objects(predicted, truth, thresholds=(0.02, 0.5))
    assert result.tp.tolist() == [4, 3]
    assert_allclose(result.matched_iou, [2 / 20 + 2 / 39, 3 * 19 / 21])


def test_of_equally_many_pairs_the_largest_sum_is_taken() -> None:
    # 1 and 2 overlap 3 and 4 crosswise: 5 + 5 shared voxels one way, 4 + 4 the other.
    truth = np.repeat([1, 1, 2, 2], [5, 4, 4, 5])
    predicted = np.repeat([3, 4, 3, 4], [5, 4, 4, 5])
    table = evaluate_objects(predicted, truth).object_table(0.2)
    assert (table["true"], table["predicted"]) == ([1, 2], [3, 4])
    assert_allclose(table["iou"], [5 / 13, 5 / 13])


def test_most_voxels_decide_a_split_and_of_equals_the_object() -> None:
    # 2 lies half on 1 and half on nothing: on 1. 3 lies mostly on nothing.
    result = evaluate_objects(np.array([4, 4, 2, 2, 3, 3, 3]), np.array([1, 1, 1, 0, 1, 0, 0]))
    assert (result.split, result.invented) == ((1,), (3,))


@pytest.mark.parametrize("order", [[0, 1, 2], [0, 2, 1]])
def test_an_object_that_lies_equally_on_several_lies_on_all(order: list[int]) -> None:
    # 6 lies half on 1 and half on 2. 1 lies half on 5 and half on 6, so that 5 and 6 cut it, and 6 joins 1 and 2.
    truth, predicted = np.array(order)[np.array([1, 1, 1, 1, 2, 2])], np.array([5, 5, 6, 6, 6, 6])
    result = evaluate_objects(predicted, truth)
    assert (result.split, result.merged) == ((order[1],), (6,))
    assert (result.over_segmentation, result.under_segmentation) == (1 / 2, 1)
    table = result.object_table(0.9)
    kinds = dict(zip(table["true"][:2], table["kind"][:2], strict=True))
    assert kinds == {order[1]: "split", order[2]: "merged"}
    assert table["kind"][2:] == ["split", "merged"]  # 5 lies on 1, which is split; 6 is merged


def test_unannotated_voxels_leave_sizes_and_iou() -> None:
    truth = np.array([1, 1, 1, -1, -1, 0, 2, 2, -1])
    predicted = np.array([1, 1, 1, 1, 0, 0, 2, 0, 3])
    result = evaluate_objects(predicted, truth, ignore=-1)
    table = result.object_table()
    assert table["iou"] == [1, 1 / 2, 0]
    assert (table["true_size"], table["predicted_size"]) == ([3, 2, 0], [3, 1, 0])
    assert (table["kind"], table["counted"]) == (["matched", "matched", "unjudged"], [True, True, False])
    assert (result.fp[0], result.n_unjudged[0], result.invented, result.why_nan) == (0, 1, (), "")
    assert (result.n_voxels, result.n_ignored, result.ignore, result.count_error) == (6, 3, -1, 0)


# Nothing there ---------------------------------------------------------------------------------------

EMPTY, TWO = np.zeros(5, np.uint8), np.array([1, 0, 2, 2, 0], np.uint8)


def test_nothing_predicted() -> None:
    result = evaluate_objects(EMPTY, TWO, thresholds=(0.5,))
    assert (result.tp[0], result.fp[0], result.fn[0]) == (0, 0, 2)
    assert [result.recall[0], result.f1[0], result.ap[0], result.pq[0], result.mean_ap, result.seg] == [0] * 6
    assert (result.aji, result.over_segmentation, result.under_segmentation) == (0, 0, 0)
    assert np.isnan([result.precision[0], result.segmentation_quality[0]]).all()
    assert (result.count_error, result.missed, result.invented) == (-2, (1, 2), ())
    assert result.object_table()["kind"] == ["missed", "missed"]


def test_nothing_there() -> None:
    result = evaluate_objects(TWO, EMPTY, thresholds=(0.5,))
    assert (result.tp[0], result.fp[0], result.fn[0]) == (0, 2, 0)
    assert [result.precision[0], result.f1[0], result.ap[0], result.pq[0], result.mean_ap] == [0] * 5
    assert np.isnan([result.recall[0], result.segmentation_quality[0], result.seg]).all()
    assert result.aji == 0
    assert np.isnan([result.over_segmentation, result.under_segmentation]).all()
    assert (result.count_error, result.missed, result.invented) == (2, (), (1, 2))
    assert result.object_table()["kind"] == ["invented", "invented"]


def test_nothing_on_either_side() -> None:
    result = evaluate_objects(EMPTY, EMPTY)
    assert np.isnan([result.aji, result.over_segmentation, result.under_segmentation]).all()
    for name in ("precision", "recall", "f1", "ap", "segmentation_quality", "pq", "seg", "mean_ap"):
        assert np.isnan(getattr(result, name)).all(), name
    assert result.tp.sum() == result.fp.sum() == result.fn.sum() == result.count_error == 0
    assert result.object_table() == {name: [] for name in COLUMNS}
    assert "0 objects predicted, 0 true: count error +0" in str(result)


def test_all_right() -> None:
    result = evaluate_objects(TRUTH, TRUTH)
    for name in ("precision", "recall", "f1", "ap", "segmentation_quality", "pq"):
        assert getattr(result, name).tolist() == [1] * 10
    assert result.mean_ap == result.seg == result.aji == 1
    assert result.over_segmentation == result.under_segmentation == 0
    assert whole(result)[5:10] == (0, (), (), (), ())


# Against others --------------------------------------------------------------------------------------


@given(
    hnp.arrays(np.int8, (4, 6), elements=st.integers(0, 4)),
    hnp.arrays(np.int8, (4, 6), elements=st.integers(0, 4)),
    st.sampled_from([0.05, 0.1, 0.2, 1 / 3, 0.5, 0.75]),
)
def test_no_matching_is_better(predicted: np.ndarray, truth: np.ndarray, threshold: float) -> None:
    result = evaluate_objects(predicted, truth, thresholds=(threshold,))
    n_pairs, total = best_by_trying(dense_iou(predicted, truth), threshold)
    assert result.tp.tolist() == [n_pairs]
    assert result.matched_iou[0] == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_scores_equal_those_of_a_dense_assignment(seed: int) -> None:
    predicted, truth = pair(seed, (40, 50), 30)
    iou = dense_iou(predicted, truth)
    result = evaluate_objects(predicted, truth, thresholds=(0.05, 0.3, 0.5, 0.7))
    for limit, tp, total in zip(result.thresholds, result.tp, result.matched_iou, strict=True):
        good = iou >= limit
        rows, columns = linear_sum_assignment(-(good * (100 + iou)))
        matched = good[rows, columns]
        assert tp == matched.sum()
        assert total == pytest.approx(iou[rows, columns][matched].sum(), rel=1e-12)
    assert result.tp[0] > result.tp[-1] > 0


@pytest.mark.parametrize("seed", range(4))
def test_errors_equal_those_counted_mask_by_mask(seed: int) -> None:
    predicted, truth = pair(seed)
    lies_on = {p: most(truth[predicted == p]) for p in np.unique(predicted[predicted != 0]).tolist()}
    holds = {t: most(predicted[truth == t]) for t in np.unique(truth[truth != 0]).tolist()}
    result = evaluate_objects(predicted, truth)
    for name, assigned in (("split", lies_on), ("merged", holds)):
        targets = [label for labels in assigned.values() for label in labels]
        assert getattr(result, name) == tuple(sorted({label for label in targets if targets.count(label) > 1})), name
    assert result.missed == tuple(t for t, p in holds.items() if not p)
    assert result.invented == tuple(p for p, t in lies_on.items() if not t)
    joined = [t for t, labels in holds.items() if labels & set(result.merged)]
    assert result.under_segmentation == len(joined) / result.n_true


def test_ap_of_components_of_real_nuclei_is_the_published_one(data_dir: Path) -> None:
    counts = np.zeros(3)
    with np.load(data_dir / "dsb2018_fluo.npz") as images:
        for key in [f"{i:03d}" for i in range(64)]:
            labels = nc.threshold(images[f"img_{key}"], sigma=1.0, min_size=15, one_per_object=True)
            result = evaluate_objects(labels, images[f"gt_{key}"].astype(labels.dtype), thresholds=(0.5,))
            counts += [result.tp[0], result.fp[0], result.fn[0]]
    assert counts[0] / counts.sum() == pytest.approx(0.495, abs=0.002)  # of all 3,336 nuclei


# What must hold --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_numbers_of_objects_do_not_matter(seed: int) -> None:
    predicted, truth = pair(seed)
    rng = np.random.default_rng(seed)
    names, others = (np.concatenate([[0], rng.choice(10**12, 40, replace=False) + 1]) for _ in range(2))
    result, again = evaluate_objects(predicted, truth), evaluate_objects(names[predicted], others[truth])
    assert_array_equal(numbers(again), numbers(result))
    assert again.merged == tuple(sorted(names[list(result.merged)].tolist()))
    assert again.split == tuple(sorted(others[list(result.split)].tolist()))


@pytest.mark.parametrize("seed", range(4))
def test_swapping_the_sides_swaps_precision_and_recall(seed: int) -> None:
    predicted, truth = pair(seed)
    ours, theirs = evaluate_objects(predicted, truth), evaluate_objects(truth, predicted)
    for one, other in (("precision", "recall"), ("f1", "f1"), ("ap", "ap"), ("pq", "pq")):
        assert_array_equal(getattr(ours, one), getattr(theirs, other))
    assert (ours.split, ours.merged, ours.missed, ours.invented) == (
        theirs.merged,
        theirs.split,
        theirs.invented,
        theirs.missed,
    )
    assert ours.count_error == -theirs.count_error


@pytest.mark.parametrize("seed", range(4))
def test_kinds_add_up_to_the_counts(seed: int) -> None:
    predicted, truth = pair(seed)
    result = evaluate_objects(predicted, truth)
    for row in result.table:
        table = result.object_table(row["threshold"])
        left = table["kind"][result.n_true :]
        there = table["kind"][: result.n_true]
        assert there.count("matched") == row["tp"]
        assert len(there) - there.count("matched") == row["fn"]
        assert len(left) == row["fp"]
        assert "matched" not in left
        assert row["tp"] == 0 or np.mean(
            [i for k, i in zip(table["kind"], table["iou"], strict=True) if k == "matched"]
        ) == pytest.approx(row["segmentation_quality"])
        assert result.at(row["threshold"]) == pytest.approx(row, nan_ok=True)


def test_any_library_gives_the_same(to_library: Callable[[Any], Any]) -> None:
    predicted, truth = pair(3, (6, 12, 14))
    result = evaluate_objects(to_library(predicted), to_library(truth))
    expected = evaluate_objects(predicted, truth)
    assert_array_equal(numbers(result), numbers(expected))
    assert whole(result) == whole(expected)
    assert result.object_table() == expected.object_table()


@pytest.mark.gpu
@pytest.mark.parametrize("n", [9, 3000])  # pairs that are counted in a table, and by sorting
def test_the_gpu_gives_the_same(n: int, to_gpu: Callable[[Any], Any]) -> None:
    predicted, truth = pair(3, (60, 120, 140), n)
    result, expected = evaluate_objects(to_gpu(predicted), to_gpu(truth)), evaluate_objects(predicted, truth)
    assert_array_equal(numbers(result), numbers(expected))
    assert whole(result) == whole(expected)


@given(st.integers(0, 50), st.tuples(*[st.integers(1, 12)] * 2))
def test_chunks_give_what_the_whole_gives(seed: int, chunks: tuple[int, int]) -> None:
    predicted, truth = pair(seed)
    result = evaluate_objects(da.from_array(predicted, chunks), da.from_array(truth, 7), ignore=1)
    expected = evaluate_objects(predicted, truth, ignore=1)
    assert_array_equal(numbers(result), numbers(expected))
    assert whole(result) == whole(expected)
    assert result.object_table(0.3) == expected.object_table(0.3)


def test_ten_thousand_objects_that_all_overlap_two_others_are_assigned() -> None:
    n = 10_000
    truth = np.repeat(np.arange(1, n + 1), 4)
    predicted = np.roll(truth, 2)
    result = evaluate_objects(predicted, truth, thresholds=(1 / 3, 0.5))
    assert result.tp.tolist() == [n, 0]
    assert result.matched_iou[0] == pytest.approx(n / 3)


def test_objects_in_halves_are_assigned_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    n, largest, solve = 2_000, [], _pairing._best

    def counted(rows: Any, *others: Any) -> Any:
        largest.append(len(rows))
        return solve(rows, *others)

    monkeypatch.setattr(_pairing, "_best", counted)
    result = evaluate_objects(np.arange(1, 2 * n + 1), np.repeat(np.arange(1, n + 1), 2), thresholds=(0.5,))
    assert (result.tp[0], result.fp[0]) == (n, n)
    assert sum(largest) == 2 * n
    assert max(largest) <= 2 * _pairing.BATCH, "time grows with the square of what is assigned together"
    assert len(largest) <= 1 + 2 * n // _pairing.BATCH


def test_the_thresholds_are_the_decimals() -> None:
    assert THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    assert evaluate_objects(TWO, TWO).thresholds.tolist() == list(THRESHOLDS)


# Beside the overlap of classes -----------------------------------------------------------------------


@pytest.mark.parametrize("ignore", [None, 1])
def test_an_evaluation_holds_the_same_objects(ignore: int | None) -> None:
    predicted, truth = pair(5)
    found, expected = (
        evaluate(predicted, truth, ignore=ignore).objects,
        evaluate_objects(predicted, truth, ignore=ignore),
    )
    assert_array_equal(numbers(found), numbers(expected))
    assert whole(found) == whole(expected)
    assert found.ignore == ignore


MANY = np.arange(40)


@pytest.mark.parametrize(
    ("predicted", "truth", "ignore", "expected"),
    [
        pytest.param([0, 1, 2, 3], [0, 2, 1, 3], None, True, id="objects-in-another-order"),
        pytest.param([0, 1, 2], [0, 1, 2], None, False, id="labels-that-agree"),
        pytest.param(MANY, MANY, None, True, id="too-many-to-be-classes"),
        pytest.param([0, 1, 1], [0, 1, 2], None, False, id="a-mask"),
        pytest.param(MANY > 0, MANY, None, False, id="a-mask-of-many"),
        pytest.param([0, 1, 2], [0, 1, 1], None, False, id="a-true-mask"),
        pytest.param(MANY * 0, MANY, None, True, id="nothing-found-of-many"),
        pytest.param([0, 0, 0], [0, 1, 2], None, False, id="nothing-found-of-what-may-be-classes"),
        pytest.param([0, 1, 2], [0, 0, 0], None, False, id="nothing-there"),
        pytest.param([0, 1, 2], [0, 5, 6], 0, False, id="strokes"),
        pytest.param([1, 2, 3], [0, 1, 2], None, False, id="clusters"),
        pytest.param([0, 0, 1, 2], [-1, 0, 2, 1], -1, True, id="ignored"),
    ],
)
def test_labels_number_objects(predicted: Any, truth: Any, ignore: int | None, expected: bool) -> None:
    predicted, truth = np.array(predicted).astype(int), np.array(truth)
    assert number_objects(contingency(predicted, truth, ignore), ignore) is expected
    result = evaluate(predicted, truth, ignore=ignore, match="binary")
    assert result.numbers_objects is expected, "whatever rule was asked for"


# Files and text --------------------------------------------------------------------------------------


def test_the_summary_says_it_all() -> None:
    text = str(evaluate_objects(PREDICTED, TRUTH))
    lines = text.splitlines()
    assert lines[0].split() == ["IoU", "from", "precision", "recall", "f1", "ap", "mean", "IoU", "pq", "tp", "fp", "fn"]
    assert lines[1].split() == ["0.50", "0.6000", "0.6000", "0.6000", "0.4286", "0.6500", "0.3900", "3", "2", "2"]
    assert lines[-7:] == [
        "mean AP 0.1619, SEG 0.4700, AJI 0.4583; 21 voxels scored",  # (3 x 3/7 + 3 x 1/9) / 10
        "0.2000 of the true objects are split, 0.4000 merged",
        "5 objects predicted, 5 true: count error +0",
        "split: 1 (1)",
        "merged: 1 (6)",
        "missed: 1 (4)",
        "invented: 1 (9)",
    ]
    assert "; 19 voxels scored, 2 not annotated (label 4 of truth)\n" in str(
        evaluate_objects(PREDICTED, TRUTH, ignore=4)
    )
    missed = str(evaluate_objects(np.zeros(40, int), MANY)).splitlines()[-2]
    assert missed == "missed: 39 (1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 29 more)"


def test_tables_are_written(tmp_path: Path) -> None:
    result = evaluate_objects(PREDICTED, TRUTH)
    with result.to_csv(tmp_path / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["ap"]) for row in rows] == result.ap.tolist()
    assert [int(row["tp"]) for row in rows] == result.tp.tolist()
    with result.objects_to_csv(tmp_path / "objects.csv", threshold=0.9).open(newline="") as file:
        objects = list(csv.DictReader(file))
    assert {name: [row[name] for row in objects] for name in COLUMNS} == {
        name: [str(value) for value in values] for name, values in result.object_table(0.9).items()
    }
    for write in (result.to_csv, result.objects_to_csv):
        with pytest.raises(FileExistsError, match=r"objects\.csv"):
            write(tmp_path / "objects.csv")
        write(tmp_path / "objects.csv", overwrite=True)


def test_json_holds_everything_and_null_for_nan(tmp_path: Path) -> None:
    content = json.loads(evaluate_objects(PREDICTED, TRUTH).to_json(tmp_path / "objects.json").read_text())
    assert (content["split"], content["merged"], content["missed"], content["invented"]) == ([1], [6], [4], [9])
    assert content["thresholds"][0]["ap"] == 3 / 7
    assert content["thresholds"][-1]["segmentation_quality"] is None
    assert content["objects"][0] == dict(zip(COLUMNS, ("matched", 1, 7, 0.6, 0.75, 5, 3, True), strict=True))
    assert (content["aji"], content["over_segmentation"], content["under_segmentation"]) == (11 / 24, 0.2, 0.4)
    assert content["objects_at"] == 0.5
    scores = {*content["thresholds"][0], "mean_ap", "seg", "aji", "over_segmentation", "under_segmentation"}
    assert scores - {"threshold"} <= set(content["definitions"])
    evaluate(np.zeros(40, int), MANY).to_json(tmp_path / "scores.json")
    assert json.loads((tmp_path / "scores.json").read_text())["objects"]["count_error"] == -39
    evaluate(TWO, TWO).to_json(tmp_path / "classes.json")
    assert "objects" not in json.loads((tmp_path / "classes.json").read_text())


def test_results_cannot_be_written_to() -> None:
    result = evaluate_objects(PREDICTED, TRUTH)
    for name in ("thresholds", "tp", "fp", "fn", "n_unjudged", "matched_iou"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(result, name)[0] = 1


# Bad input -------------------------------------------------------------------------------------------

ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: evaluate_objects(TWO, TWO, thresholds=()), ValueError, r"one or more different IoU .* got \[\]"),
    (lambda: evaluate_objects(TWO, TWO, thresholds=(0.0,)), ValueError, r"above 0 and at most 1, got \[0.0\]"),
    (lambda: evaluate_objects(TWO, TWO, thresholds=(1.5,)), ValueError, r"got \[1.5\]; pass for example"),
    (lambda: evaluate_objects(TWO, TWO, thresholds=(math.nan,)), ValueError, r"got \[nan\]"),
    (lambda: evaluate_objects(TWO, TWO, thresholds=(0.5, 0.5)), ValueError, r"different IoU .* got \[0.5, 0.5\]"),
    (lambda: evaluate_objects(TWO, TWO, thresholds=0.5), TypeError, r"sequence of IoU, got 0.5; pass .* \(0.5,\)"),  # type: ignore[arg-type]
    (lambda: evaluate_objects(TWO, TWO, thresholds="ab"), TypeError, r"sequence of IoU, got 'ab'"),  # type: ignore[arg-type]
    (lambda: evaluate_objects(TWO, TWO).at(2), ValueError, r"at most 1, got \[2\]"),
    (lambda: evaluate_objects(TWO, TWO).object_table(0), ValueError, r"above 0 and at most 1, got \[0\]"),
    (lambda: evaluate_objects(TWO, TWO[:3]), ValueError, r"truth must have the shape of predicted, \(5,\)"),
    (lambda: evaluate_objects(TWO / 1, TWO), TypeError, "predicted must hold integer labels, got dtype float64"),
    (lambda: evaluate_objects(TWO, TWO - 1.0), TypeError, "truth must hold integer labels"),
    (lambda: evaluate_objects(TWO, on_device(TWO)), TypeError, "namespace|librar"),
    (lambda: evaluate_objects(TWO, EMPTY, ignore=0), ValueError, "ignore=0 takes out every voxel of truth"),
    (lambda: evaluate_objects(TWO, TWO, ignore=True), TypeError, "ignore must be an integer label .* got True"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS)
def test_bad_input_is_named(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
