"""Object scores where only a part is annotated, against what masks say, and the aggregated Jaccard index."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal

from napari_cutout.evaluation._contingency import contingency
from napari_cutout.evaluation.objects import ObjectEvaluation, evaluate_objects
from napari_cutout.evaluation.overlap import evaluate

from .strict import on_device

COUNTS = ("tp", "fp", "fn", "n_unjudged", "matched_iou")
NEED_BACKGROUND = ("precision", "f1", "rq", "ap", "pq", "mean_ap", "aji")
NEED_TRUTH = ("recall", "sq", "seg", "over_segmentation", "under_segmentation")

# In the complete region (the first ten voxels): 1 is found, 2 is missed, 6 is in excess. Outside: 3 is found by 7,
# which reaches into what is not annotated; 8 lies there; 9 lies on 4, but on too little of it for a match.
TRUTH = np.array([1, 1, 1, 0, 2, 2, 0, 0, 0, 0, 3, 3, 3, 0, 0, 0, 0, 0, 4, 4, 4, 4])
PREDICTED = np.array([5, 5, 5, 0, 0, 0, 0, 6, 6, 0, 7, 7, 7, 7, 7, 7, 7, 8, 0, 0, 0, 9])
COMPLETE = np.arange(22) < 10


def counts(result: ObjectEvaluation) -> list[Any]:
    return [getattr(result, name).tolist() for name in COUNTS]


def by_masks(
    predicted: np.ndarray, truth: np.ndarray, ignore: int | None, complete: np.ndarray | None, limit: float
) -> list[float]:
    """Return the counts at a limit above 0.5, and the voxels of AJI, object by object."""
    everywhere = np.ones(truth.shape, bool)
    known = everywhere if ignore is None else truth != ignore
    if ignore == 0 and complete is not None:
        known = known | complete
    inside = everywhere if complete is None else complete
    ours = {p: predicted == p for p in np.unique(predicted[predicted > 0]).tolist()}
    theirs = {t: truth == t for t in np.unique(truth[truth > 0]).tolist() if t != ignore}
    counted = {t for t, mask in theirs.items() if 2 * (mask & inside).sum() > mask.sum()}
    judged = {
        p
        for p, mask in ours.items()
        if 2 * (mask & ~known).sum() <= mask.sum() and 2 * (mask & inside).sum() > mask.sum()
    }
    iou = {
        (p, t): (a & b).sum() / ((a | b) & known).sum()
        for p, a in ours.items()
        for t, b in theirs.items()
        if (a & b).any()
    }
    pairs = [pair for pair, value in iou.items() if value >= limit]
    taken = {p for p, _ in pairs}
    tp = [iou[p, t] for p, t in pairs if t in counted]
    return [len(tp), len(judged - taken), len(counted) - len(tp), len(set(ours) - judged - taken), math.fsum(tp)]


# By hand ---------------------------------------------------------------------------------------------


def test_a_region_that_is_annotated_completely_by_hand() -> None:
    result = evaluate_objects(PREDICTED, TRUTH, ignore=0, complete=COMPLETE, thresholds=(0.5,))
    # 7 meets 3 in 3 of its 3 annotated voxels, but 3 lies outside. 8 and 9 lie outside as well.
    assert counts(result) == [[1], [1], [1], [2], [1.0]]
    assert (result.n_predicted, result.n_true, result.count_error) == (2, 2, 0)
    assert [result.precision[0], result.recall[0], result.f1[0], result.ap[0]] == [1 / 2, 1 / 2, 1 / 2, 1 / 3]
    assert result.seg == 1 / 2
    assert result.aji == 3 / (3 + 2 + 2)  # 1 with 5; 2 by itself; 6 in excess
    assert (result.split, result.merged, result.missed, result.invented) == ((), (), (2, 4), (6,))
    assert (result.n_voxels, result.n_ignored, result.n_complete, result.why_nan) == (17, 5, 10, "")
    table = result.object_table()
    assert table["true"] == [1, 2, 3, 4, 0, 0, 4]
    assert table["predicted"] == [5, 0, 7, 0, 6, 8, 9]
    assert table["kind"] == ["matched", "missed", "matched", "missed", "invented", "unjudged", "unjudged"]
    assert table["counted"] == [True, True, False, False, True, False, False]
    assert table["predicted_size"] == [3, 0, 3, 0, 2, 0, 1]


def test_without_a_region_nothing_is_known_of_the_background() -> None:
    result = evaluate_objects(PREDICTED, TRUTH, ignore=0, thresholds=(0.5,))
    # Annotated are 12 voxels. 6 and 8 lie on none of them, and 7 on three of seven, but it is matched.
    assert counts(result) == [[2], [1], [2], [2], [2.0]]
    assert [result.recall[0], result.segmentation_quality[0], result.seg] == [1 / 2, 1, 1 / 2]
    for name in NEED_BACKGROUND:
        assert np.isnan(getattr(result, name)).all(), name
    assert "ignore=0" in result.why_nan
    assert "pass it as complete=" in result.why_nan
    assert str(result).splitlines()[-1] == result.why_nan
    assert "count error" not in str(result)
    assert result.as_dict()["count_error"] is None
    assert result.invented == ()


def test_a_region_without_voxels_says_so() -> None:
    result = evaluate_objects(PREDICTED, TRUTH, complete=np.zeros(22, bool))
    assert result.why_nan.startswith("nothing is defined: complete= marks no voxel")
    for name in NEED_BACKGROUND + NEED_TRUTH:
        assert np.isnan(getattr(result, name)).all(), name


def test_half_on_unannotated_voxels_is_judged_and_more_is_not() -> None:
    truth = np.array([0, 0, -1, -1, -1, 0, -1, -1])
    predicted = np.array([1, 1, 1, 1, 0, 2, 2, 2])
    result = evaluate_objects(predicted, truth, ignore=-1)
    assert (result.fp[0], result.n_unjudged[0], result.invented) == (1, 1, (1,))
    assert result.object_table()["kind"] == ["invented", "unjudged"]


def test_half_in_the_region_does_not_count_and_more_does() -> None:
    truth = np.array([1, 1, 1, 1, 2, 2, 2, 0, 0, 0, 0, 0])
    predicted = np.array([0, 0, 0, 0, 0, 0, 0, 3, 3, 4, 4, 4])
    complete = np.array([1, 1, 0, 0, 1, 1, 0, 1, 0, 1, 1, 0], bool)
    result = evaluate_objects(predicted, truth, complete=complete)
    assert (result.fn[0], result.fp[0], result.n_unjudged[0]) == (1, 1, 1)
    assert result.missed == (1, 2)


def test_all_voxels_of_an_object_say_whether_it_lies_in_the_region() -> None:
    # Of the six voxels of 3 two lie in the region, one on 1, and three are not annotated: two of the three known ones.
    truth = np.array([0, 0, 1, 0, 0, 0, 1, 1, 1])
    predicted = np.array([3, 3, 3, 3, 3, 3, 0, 0, 0])
    result = evaluate_objects(predicted, truth, ignore=0, complete=np.arange(9) < 2)
    assert (result.fp[0], result.n_unjudged[0], result.n_predicted) == (0, 1, 0)


def test_what_was_left_out_before_stays_left_out() -> None:
    table = contingency(PREDICTED, TRUTH).without(3).without(4)
    assert (table.n_ignored, table.n_voxels) == (7, 15)
    assert table.unknown is not None
    assert set(table.unknown.truth.tolist()) == {3, 4}


def test_where_everything_is_annotated_a_region_of_all_changes_nothing() -> None:
    everywhere, plain = (
        evaluate_objects(PREDICTED, TRUTH, complete=np.ones(22, bool)),
        evaluate_objects(PREDICTED, TRUTH),
    )
    assert counts(everywhere) == counts(plain)
    assert everywhere.object_table() == plain.object_table()
    again = evaluate_objects(PREDICTED, TRUTH, ignore=0, complete=np.ones(22, bool))
    assert counts(again) == counts(plain)
    assert (again.aji, again.n_ignored) == (plain.aji, 0)


def test_negative_labels_on_voxels_that_are_not_annotated_are_no_objects() -> None:
    result = evaluate_objects(np.array([1, -7, -7, 0]), np.array([1, -1, -1, 0]), ignore=-1)
    assert (result.n_predicted, result.n_unjudged[0]) == (1, 0)


def test_aji_takes_the_largest_iou_and_one_predicted_object_may_serve_two() -> None:
    # 6 covers 1 (4 of 9 voxels) and 2 (5 of 9); 7 meets 2 in one voxel, with an IoU of 1/7.
    truth = np.repeat([1, 2, 0], [4, 6, 1])
    predicted = np.repeat([6, 7, 7], [9, 1, 1])
    # shared 4 + 5, unions 9 + 10, and 7 unused with 2.
    assert evaluate_objects(predicted, truth).aji == 9 / 21
    # 1 has six voxels. 4 shares 2 of its 2 and 5 shares 3 of its 6: both 1/3, so 5, which shares more, and 4 is left.
    truth = np.repeat([1, 0], [6, 3])
    predicted = np.repeat([4, 0, 5], [2, 1, 6])
    assert evaluate_objects(predicted, truth).aji == 3 / (9 + 2)


@pytest.mark.parametrize("order", [[0, 1, 2], [0, 2, 1]])
def test_aji_counts_nothing_as_left_over_that_is_as_good_as_what_was_taken(order: list[int]) -> None:
    # 1 takes the first (3 of 4 voxels). 2 shares one voxel of seven with both, so that neither is left over.
    truth = np.array([1, 1, 1, 2, 2, 2, 2, 0, 0, 0])
    predicted = np.array(order)[np.array([1, 1, 1, 1, 0, 0, 2, 2, 2, 2])]
    assert evaluate_objects(predicted, truth).aji == (3 + 1) / (4 + 7)


def test_aji_passes_over_what_is_neither_right_nor_wrong() -> None:
    # 4 lies mostly on voxels that are not annotated: not in excess with its one voxel that is.
    result = evaluate_objects(np.array([3, 3, 4, 4, 4]), np.array([1, 1, 0, -1, -1]), ignore=-1)
    assert (result.aji, result.n_unjudged[0]) == (1, 1)


@pytest.mark.parametrize("order", [[0, 1, 2], [0, 2, 1]])
def test_of_two_halves_the_one_that_counts_is_matched(order: list[int]) -> None:
    # 3 has an IoU of 1/2 with both true objects, and one of them lies in the region.
    result = evaluate_objects(
        np.array([3, 3, 3, 3]), np.array(order)[np.array([1, 1, 2, 2])], complete=np.arange(4) < 2
    )
    assert counts(result)[:3] == [[1] + [0] * 9, [0] * 10, [0] + [1] * 9]
    # Both predicted objects have an IoU of 1/2 with 1, and the first lies on annotated voxels alone.
    predicted = np.array(order)[np.array([1, 1, 2, 2, 2, 2, 2, 0])]
    result = evaluate_objects(predicted, np.array([1, 1, 1, 1, -1, -1, -1, 0]), ignore=-1, thresholds=(0.5,))
    assert counts(result) == [[1], [0], [0], [1], [0.5]]


def test_a_match_makes_an_object_that_is_not_judged_count() -> None:
    # 3 lies on three annotated voxels and four others, and is matched: predicted 1, true 1.
    result = evaluate_objects(np.full(7, 3), np.array([1, 1, 1, -1, -1, -1, -1]), ignore=-1, thresholds=(0.5,))
    assert counts(result)[:4] == [[1], [0], [0], [0]]
    assert (result.n_predicted, result.count_error) == (1, 0)


def test_what_is_neither_right_nor_wrong_splits_nothing() -> None:
    # 6 covers most of 1; 7 is an object nobody annotated, and one voxel of it leaks into 1.
    truth, predicted = np.array([1, 1, 1, 1, 0, 0, 0]), np.array([6, 6, 6, 7, 7, 7, 7])
    result = evaluate_objects(predicted, truth, ignore=0)
    assert (result.split, result.over_segmentation, result.n_unjudged[0]) == ((), 0, 1)
    assert evaluate_objects(np.where(truth == 0, 0, predicted), truth, ignore=0).split == (1,), "if it is judged"


def test_shares_are_of_objects_that_count() -> None:
    # 2 is cut in two by objects that lie mostly in the region, but only four of its eight voxels do.
    truth = np.array([1, 1, 2, 2, 2, 2, 2, 2, 2, 2])
    predicted = np.array([0, 0, 5, 5, 5, 6, 6, 6, 0, 0])
    result = evaluate_objects(predicted, truth, complete=np.array([1, 1, 1, 1, 0, 1, 1, 0, 0, 0], bool))
    assert (result.split, result.over_segmentation) == ((2,), 0)


def test_without_a_background_growth_is_not_seen_and_the_summary_says_so() -> None:
    truth = np.zeros((9, 9), int)
    truth[2:4, 2:4] = 1
    result = evaluate_objects(np.ones((9, 9), int), truth, ignore=0)
    assert (result.seg, result.sq[-1], result.recall[-1]) == (1, 1, 1)
    for text in (str(result), result.why_nan, result.definitions["unpainted"]):
        assert "IoU is no more than recall of voxels" in text


# Against masks ---------------------------------------------------------------------------------------

LABELS = hnp.arrays(np.int64, (5, 6), elements=st.integers(0, 4))


@given(LABELS, LABELS, st.sampled_from([None, 0, 1]), st.one_of(st.none(), hnp.arrays(bool, (5, 6))), st.data())
def test_counts_are_those_of_masks(
    predicted: np.ndarray, truth: np.ndarray, ignore: int | None, complete: np.ndarray | None, data: st.DataObject
) -> None:
    truth[0, 0] = 2  # something is annotated
    predicted[:3] = np.where(data.draw(st.booleans()), truth[:3], predicted[:3])  # some pairs that match
    result = evaluate_objects(predicted, truth, ignore=ignore, complete=complete, thresholds=(0.6,))
    assert [values[0] for values in counts(result)] == by_masks(predicted, truth, ignore, complete, 0.6)
    table = result.object_table(0.6)
    rows = list(zip(table["kind"], table["counted"], strict=True))
    n_true = len(result.overlaps.truth)
    assert rows[:n_true].count(("matched", True)) == result.tp[0]
    assert [kept for _, kept in rows[:n_true]].count(True) == result.n_true == result.tp[0] + result.fn[0]
    assert [kept for _, kept in rows[n_true:]].count(True) == result.fp[0]
    assert [kind for kind, _ in rows[n_true:]].count("unjudged") == result.n_unjudged[0]


def aji_by_masks(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Return the index as its authors' program finds it: the best of all for each, then what is left."""
    ours = [predicted == p for p in np.unique(predicted[predicted > 0])]
    theirs = [truth == t for t in np.unique(truth[truth > 0])]
    shared = unions = 0
    used: set[int] = set()
    for mask in theirs:
        best = max(
            ((int((mask & o).sum()), int((mask | o).sum()), i) for i, o in enumerate(ours) if (mask & o).any()),
            key=lambda at: (at[0] / at[1], at[0]),
            default=(0, int(mask.sum()), -1),
        )
        equal = {i for i, o in enumerate(ours) if ((mask & o).sum(), (mask | o).sum()) == best[:2]}
        shared, unions, used = shared + best[0], unions + best[1], used | equal
    return shared / (unions + sum(int(o.sum()) for i, o in enumerate(ours) if i not in used))


@given(LABELS, LABELS)
def test_aji_is_that_of_masks(predicted: np.ndarray, truth: np.ndarray) -> None:
    truth[0, 0] = 2
    assert evaluate_objects(predicted, truth).aji == aji_by_masks(predicted, truth)


# Everywhere the same ---------------------------------------------------------------------------------


FIGURES = (*COUNTS, *NEED_BACKGROUND, *NEED_TRUTH, "n_predicted", "n_true")


@given(
    LABELS,
    LABELS,
    st.sampled_from([None, 0, 3]),
    st.one_of(st.none(), hnp.arrays(bool, (5, 6))),
    st.permutations(range(1, 5)),
    st.permutations(range(1, 5)),
)
def test_no_figure_depends_on_the_numbers_of_objects(
    predicted: np.ndarray,
    truth: np.ndarray,
    ignore: int | None,
    complete: np.ndarray | None,
    ours: list[int],
    theirs: list[int],
) -> None:
    truth[0, 0] = 2  # something is annotated
    limits = (0.1, 1 / 3, 0.5, 0.6)
    names, others = np.array([0, *ours]), np.array([0, *theirs])
    result = evaluate_objects(predicted, truth, ignore=ignore, complete=complete, thresholds=limits)
    again = evaluate_objects(
        names[predicted],
        others[truth],
        ignore=None if ignore is None else int(others[ignore]),
        complete=complete,
        thresholds=limits,
    )
    for name in FIGURES:
        assert_allclose(getattr(again, name), getattr(result, name), rtol=1e-12, err_msg=name)
    for name, labels in (("split", others), ("merged", names), ("missed", others), ("invented", names)):
        assert getattr(again, name) == tuple(sorted(labels[list(getattr(result, name))].tolist())), name


def scene(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 9, (4, 5))
    truth = np.kron(coarse, np.ones((4, 4), np.int64))
    predicted = np.roll(truth, 1, axis=seed % 2) * (rng.random(truth.shape) > 0.1)
    complete = np.kron(rng.random((2, 2)) > 0.4, np.ones((8, 10), bool))
    return predicted, truth, complete


@pytest.mark.parametrize("ignore", [None, 0, 3])
def test_any_library_gives_the_same(ignore: int | None, to_library: Callable[[Any], Any]) -> None:
    arrays = scene(3)
    predicted, truth, complete = map(to_library, arrays)
    result = evaluate_objects(predicted, truth, ignore=ignore, complete=complete)
    expected = evaluate_objects(*arrays[:2], ignore=ignore, complete=arrays[2])
    assert counts(result) == counts(expected)
    assert result.object_table() == expected.object_table()


@pytest.mark.gpu
@pytest.mark.parametrize("ignore", [None, 0])
def test_the_gpu_gives_the_same(ignore: int | None, to_gpu: Callable[[Any], Any]) -> None:
    predicted, truth, complete = scene(6)
    result = evaluate_objects(to_gpu(predicted), to_gpu(truth), ignore=ignore, complete=to_gpu(complete))
    assert counts(result) == counts(evaluate_objects(predicted, truth, ignore=ignore, complete=complete))


@given(st.integers(0, 30), st.tuples(*[st.integers(1, 12)] * 2), st.sampled_from([None, 0, 3]))
def test_chunks_give_what_the_whole_gives(seed: int, chunks: tuple[int, int], ignore: int | None) -> None:
    predicted, truth, complete = scene(seed)
    lazy = (da.from_array(predicted, chunks), da.from_array(truth, 7), da.from_array(complete, 5))
    result = evaluate_objects(*lazy[:2], ignore=ignore, complete=lazy[2])
    expected = evaluate_objects(predicted, truth, ignore=ignore, complete=complete)
    assert counts(result) == counts(expected)
    assert result.object_table(0.3) == expected.object_table(0.3)
    assert (result.n_complete, result.n_ignored) == (expected.n_complete, expected.n_ignored)


@pytest.mark.parametrize("ignore", [None, 0])
def test_large_numbers_do_not_matter(ignore: int | None) -> None:
    predicted, truth, complete = scene(5)
    far = np.where(predicted > 0, predicted + 2**40, 0), np.where(truth > 0, 2**62 + truth, 0)
    result = evaluate_objects(*far, ignore=ignore, complete=complete)
    assert counts(result) == counts(evaluate_objects(predicted, truth, ignore=ignore, complete=complete))


@pytest.mark.parametrize("ignore", [0, 3])
def test_an_evaluation_knows_what_was_not_annotated(ignore: int) -> None:
    predicted, truth, _ = scene(4)
    found, expected = (
        evaluate(predicted, truth, ignore=ignore).objects,
        evaluate_objects(predicted, truth, ignore=ignore),
    )
    assert counts(found) == counts(expected)
    assert ignore == 0 or found.n_unjudged[-1] > 0
    assert found.object_table() == expected.object_table()


# Files and text --------------------------------------------------------------------------------------


def test_the_summary_says_what_was_not_judged(tmp_path: Path) -> None:
    result = evaluate_objects(PREDICTED, TRUTH, ignore=0, complete=COMPLETE)
    lines = str(result).splitlines()
    assert "2 objects predicted, 2 true, mostly in the 10 voxels annotated completely: count error +0" in lines
    assert "2 more predicted objects are neither right nor wrong: truth does not say" in lines
    content = json.loads(result.to_json(tmp_path / "objects.json").read_text())
    assert (content["n_complete"], content["why_nan"], content["thresholds"][0]["n_unjudged"]) == (10, "", 2)
    assert "n_unjudged" in result.to_csv(tmp_path / "scores.csv").read_text().splitlines()[0]


@pytest.mark.parametrize(
    ("complete", "kind", "message"),
    [
        (np.ones(22, int), TypeError, "complete must hold booleans, got dtype int64; pass for example complete > 0"),
        (np.ones(21, bool), ValueError, r"complete must have the shape of predicted, \(22,\), but has \(21,\)"),
        (on_device(np.ones(22, bool)), TypeError, "namespace|librar"),
    ],
    ids=["dtype", "shape", "library"],
)
def test_a_bad_region_is_named(complete: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        evaluate_objects(PREDICTED, TRUTH, complete=complete)


def test_labels_are_checked_in_the_region_too() -> None:
    with pytest.raises(ValueError, match="truth holds the label -1"):
        evaluate_objects(PREDICTED, TRUTH - 2 * (TRUTH == 1), ignore=0, complete=COMPLETE)
    assert_array_equal(evaluate_objects(PREDICTED, TRUTH, ignore=4, complete=COMPLETE).tp[:1], [1])
