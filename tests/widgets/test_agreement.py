"""IoU against Dice of evaluations: plain data, no window."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cutout.evaluation.objects import evaluate_objects
from napari_cutout.evaluation.rank_changes import iou_per_item
from napari_cutout.widgets import _agreement, _question

# Two objects of 30 voxels. "sharp" has IoU 30/30 and 6/30, "even" 15/30 and 18/30:
# mean IoU 3/5 > 11/20, mean Dice (1 + 1/3) / 2 = 2/3 < (2/3 + 3/4) / 2 = 17/24.
TRUTH = np.zeros((3, 30), int)
TRUTH[0], TRUTH[2] = 1, 2
SHARP, EVEN, WORST = np.zeros((3, *TRUTH.shape), int)
SHARP[0], SHARP[2, :6] = 7, 8
EVEN[0, :15], EVEN[2, :18] = 7, 8
WORST[0, :3], WORST[2, :3] = 7, 8


def answer(predicted, name, others=(), truth=TRUTH, unpainted="background", match="binary"):
    question = _question.Question(predicted, truth, unpainted, match, True, None, name, others)
    return question.answer(lambda *_: None, lambda: False).agreement


def test_items_are_those_of_the_library():
    found = answer(SHARP, "1: sharp")
    assert dict(found.items) == {"objects": iou_per_item(evaluate_objects(SHARP, TRUTH)), "classes": {1: 36 / 60}}
    assert found.items["objects"] == {1: 1.0, 2: 0.2}
    assert found.verdicts == {}


def test_slices_are_items_along_every_axis():
    volume = np.stack([SHARP, SHARP]), np.stack([TRUTH, TRUTH])
    found = answer(volume[0], "1: sharp", truth=volume[1])
    assert list(found.items) == ["objects", "classes", "slices 0", "slices 1", "slices 2"]
    assert found.items["slices 0"] == {(0, 1): 0.6, (1, 1): 0.6}
    assert found.items["slices 1"] == {(0, 1): 1.0, (2, 1): 0.2}
    assert _agreement.kind_text("slices 1", ("z", "y", "x")) == "slices along y"
    assert _agreement.item_text("slices 1", (2, 1)) == "slice 2, class 1"


def test_results_that_the_means_rank_differently_are_found_with_their_objects():
    first = answer(SHARP, "1: sharp")
    second = answer(EVEN, "2: even", [first])
    third = answer(WORST, "3: worst", [first, second])
    verdict = third.verdicts["objects"]
    assert verdict.names == ("1: sharp", "2: even", "3: worst")
    (change,) = verdict.changes
    assert (change.by_iou, change.by_dice) == ("1: sharp", "2: even")
    said = _agreement.sentence(verdict, "objects").splitlines()
    assert said[0] == "Mean IoU and mean Dice over objects rank 1 of 3 pairs differently:"
    assert said[1:] == ["1: sharp is better by IoU (+0.0500), 2: even by Dice (+0.0417)"]  # 1/20 and 1/24
    columns, keys = _agreement.rows(verdict, "objects")
    assert keys == [1, 2]
    assert set(columns) == {column.name for column in _agreement.COLUMNS}
    assert columns["pair"] == ["1 / 2"] * 2
    assert columns["item"] == ["object 1", "object 2"]
    assert columns["other_iou"] == [0.5, 0.6]
    assert columns["pull"] == pytest.approx([1 / 6, 1 / 60])
    assert _agreement.verdict_of([first, second, third], first, "objects") is verdict, "the newest speaks for all"


def test_results_that_are_ranked_alike_say_so():
    verdict = answer(WORST, "2: worst", [answer(SHARP, "1: sharp")]).verdicts["objects"]
    assert _agreement.sentence(verdict, "objects") == (
        "Mean IoU and mean Dice over objects rank the 2 evaluations with this truth alike: none of 1 pair changes "
        "places."
    )
    assert _agreement.rows(verdict, "objects")[1] == []
    assert _agreement.sentence(None, "objects").startswith("No other evaluation")


@pytest.mark.parametrize(
    "other",
    [{"truth": np.roll(TRUTH, 1, axis=0)}, {"truth": TRUTH % 3 * 2}, {"unpainted": "not annotated"}],
    ids=["moved", "renamed", "other unpainted"],
)
def test_another_truth_is_not_compared(other):
    first = answer(SHARP, "1: sharp", **other)
    assert answer(EVEN, "2: even", [first]).verdicts == {}
    alike = answer(EVEN, "2: even", [answer(SHARP, "1: sharp")])
    assert _agreement.verdict_of([first, alike], first, "objects") is None


def test_other_items_are_not_compared():
    first = answer(SHARP, "1: sharp", match="value")  # classes 1 and 2
    verdicts = answer(EVEN, "2: even", [first]).verdicts  # class 1
    assert list(verdicts) == ["objects"]


def test_only_the_newest_are_compared(monkeypatch):
    monkeypatch.setattr(_agreement, "MAX_RIVALS", 2)
    others = [answer(SHARP, f"{at}: sharp") for at in range(1, 5)]
    assert answer(EVEN, "5: even", others).verdicts["objects"].names == ("3: sharp", "4: sharp", "5: even")


def items(iou):
    return _agreement.items_of(_agreement.Agreement("1", b"", {"objects": iou}, {}), "objects")


def test_items_rise_and_their_mean_lies_below_the_curve():
    found = items({3: 0.6, 1: 0.2, 2: 1.0})
    assert found.keys == (1, 3, 2)
    assert found.iou.tolist() == [0.2, 0.6, 1.0]
    iou, dice = found.means
    assert (iou, dice) == (pytest.approx(0.6), pytest.approx((1 / 3 + 3 / 4 + 1) / 3))
    assert dice < 2 * iou / (1 + iou)


def test_the_next_click_takes_the_next_of_those_that_lie_there():
    found = items({1: 0.3, 2: 0.5, 3: 0.5, 4: 0.5001, 5: 0.9})
    dice = 2 * 0.5 / 1.5
    clicked = [None]
    for _ in range(4):
        clicked.append(found.near(0.51, dice, clicked[-1]))
    assert clicked[1:] == [3, 1, 2, 3]
    assert found.near(1.0, 1.0, 2) == 4


def test_many_items_are_few_points():
    rng = np.random.default_rng(3)
    found = items(dict(enumerate(rng.random(20_000).tolist())))
    assert len(found.drawn) <= 1001
    assert np.abs(found.drawn[:, None] - found.iou[None, ::100]).min(axis=0).max() <= 0.0005 + 1e-12
