"""IoU against Dice: by hand with the fractions written out, and by what must hold for any scores."""

from __future__ import annotations

import doctest
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from scipy.stats import rankdata

import napari_cutout as nc
from napari_cutout import evaluate, evaluate_objects, evaluate_slices, iou_per_item, rank_changes
from napari_cutout.evaluation.rank_changes import Responsible

SHARP, EVEN = {1: 1.0, 2: 1 / 5}, {1: 1 / 2, 2: 3 / 5}

# Two objects of 10 pixels each. One method gets the first exactly and 2 pixels of the second, the other 5 and 6.
TRUTH = np.repeat([1, 0, 2], 10)
BY_SHARP = np.where(np.arange(30) < 22, TRUTH, 0)
BY_EVEN = np.where((np.arange(30) < 5) | (np.arange(30) >= 24), TRUTH, 0)


# By hand ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("contestants", [{"sharp": SHARP, "even": EVEN}, {"even": EVEN, "sharp": SHARP}])
def test_two_methods_that_the_means_rank_differently_by_hand(contestants: Any) -> None:
    found = rank_changes(contestants)
    at = [found.names.index(name) for name in ("sharp", "even")]
    assert found.items == (1, 2)
    # IoU: sharp 1 and 1/5, mean 3/5; even 1/2 and 3/5, mean 11/20.
    assert_allclose(found.mean_iou[at], [3 / 5, 11 / 20], rtol=1e-15)
    # Dice, 2J / (1 + J): sharp 1 and 1/3, mean 2/3 = 16/24; even 2/3 and 3/4, mean 17/24.
    assert_allclose(found.dice[at], [[1, 1 / 3], [2 / 3, 3 / 4]], rtol=1e-15)
    assert_allclose(found.mean_dice[at], [16 / 24, 17 / 24], rtol=1e-15)
    assert found.iou_ranks[at].tolist() == [1, 2]
    assert found.dice_ranks[at].tolist() == [2, 1]
    (change,) = found.changes
    assert (change.by_iou, change.by_dice) == ("sharp", "even")
    assert change.iou_difference == pytest.approx(12 / 20 - 11 / 20)
    assert change.dice_difference == pytest.approx(16 / 24 - 17 / 24)
    # Object 1 differs by 1/2 in IoU and 1/3 in Dice, object 2 by -2/5 and -5/12: pulls of 1/6 and 1/60.
    assert [one.item for one in change.items] == [1, 2]
    assert [one.pull for one in change.items] == pytest.approx([1 / 6, 1 / 60])
    assert change.items[0].iou == (1, 1 / 2)
    assert change.items[1].dice == pytest.approx((1 / 3, 3 / 4))


def test_the_same_two_methods_from_their_labels() -> None:
    objects = {name: evaluate_objects(labels, TRUTH) for name, labels in (("sharp", BY_SHARP), ("even", BY_EVEN))}
    assert {name: iou_per_item(one) for name, one in objects.items()} == {"sharp": SHARP, "even": EVEN}
    found = rank_changes({name: iou_per_item(one) for name, one in objects.items()})
    assert [(change.by_iou, change.by_dice) for change in found.changes] == [("sharp", "even")]


def test_equal_means_on_one_side_are_a_change_too() -> None:
    # IoU 0 and 1 against 1/2 twice: mean IoU 1/2 both; mean Dice (0 + 1) / 2 = 1/2 against 2/3.
    found = rank_changes({"b": {"x": 0, "y": 1}, "a": {"x": 0.5, "y": 0.5}})
    assert found.iou_ranks.tolist() == [1, 1]
    assert found.dice_ranks.tolist() == [2, 1]
    (change,) = found.changes
    assert (change.by_iou, change.by_dice, change.iou_difference) == ("b", "a", 0)
    assert change.dice_difference == pytest.approx(1 / 2 - 2 / 3)
    # x: -1/2 - (-2/3) = 1/6, y: 1/2 - 1/3 = 1/6: equals stand in their own order.
    assert [one.item for one in change.items] == ["x", "y"]


def test_rounding_ranks_nothing() -> None:
    # The next float after an IoU may have the same Dice: the curve rises by less than 1 there.
    more = float(np.nextafter(0.9, 1))
    found = rank_changes({"a": {1: 0.9}, "b": {1: more}})
    assert found.mean_iou[0] < found.mean_iou[1]
    assert found.mean_dice[0] == found.mean_dice[1]
    assert (found.iou_ranks.tolist(), found.dice_ranks.tolist(), found.changes) == ([1, 1], [1, 1], ())


def test_an_item_that_one_side_lacks_counts_as_0() -> None:
    found = rank_changes({"a": {1: 0.5, 2: 1.0}, "b": {1: 0.5, "other": 0.25}})
    assert found.items == ("other", 1, 2), "items of mixed kinds stand in the order of how they are written"
    assert found.iou.tolist() == [[0, 0.5, 1], [0.25, 0.5, 0]]
    assert found.mean_iou.tolist() == [1.5 / 3, 0.75 / 3]


def test_items_that_pull_the_other_way_are_not_responsible() -> None:
    # z: a is better by 2/5 in IoU (3/5 against 1/5) and by 5/12 in Dice, which pulls the verdicts together.
    found = rank_changes({"a": {"x": 1.0, "y": 0.0, "z": 0.6}, "b": {"x": 0.5, "y": 0.6, "z": 0.2}})
    # IoU 8/5 against 13/10, Dice 0 + 1 + 3/4 against 2/3 + 3/4 + 1/3: both the same 7/4, so only IoU ranks them.
    (change,) = found.changes
    assert (change.by_iou, change.by_dice) == ("a", "b")
    assert change.dice_difference == pytest.approx(0, abs=1e-15)
    # x: 1/2 - 1/3 = 1/6; y: -3/5 + 3/4 = 3/20; z: 2/5 - 5/12 = -1/60
    assert [one.item for one in change.items] == ["x", "y"]
    assert [one.pull for one in change.items] == pytest.approx([1 / 6, 3 / 20])
    assert [one.item for one in rank_changes({"a": SHARP, "b": EVEN}, n_items=1).changes[0].items] == [1]


def test_three_contestants_are_compared_in_pairs() -> None:
    # Of the hand-worked pair and one that is worse than both by both.
    found = rank_changes({"even": EVEN, "worst": {1: 0.1, 2: 0.1}, "sharp": SHARP})
    assert [(change.by_iou, change.by_dice) for change in found.changes] == [("sharp", "even")]
    assert found.iou_ranks.tolist() == [2, 3, 1]
    assert found.dice_ranks.tolist() == [1, 3, 2]
    alone = rank_changes({"sharp": SHARP})
    assert (alone.changes, alone.iou_ranks.tolist()) == ((), [1])


def test_the_summary_names_means_ranks_and_items() -> None:
    lines = str(rank_changes({"even": EVEN, "sharp": SHARP})).splitlines()
    assert lines[1].split() == ["sharp", "0.6000", "1", "0.6667", "2"]
    assert lines[2].split() == ["even", "0.5500", "2", "0.7083", "1"]
    assert "over 2 items, rank 1 of 1 pairs of contestants differently" in lines[3]
    assert "sharp against even: mean IoU 0.6000 against 0.5500, mean Dice 0.6667 against 0.7083" in lines[4]
    assert lines[5:] == [
        "    1: IoU 1.0000 against 0.5000, Dice 1.0000 against 0.6667",
        "    2: IoU 0.2000 against 0.6000, Dice 0.3333 against 0.7500",
    ]
    assert len(str(rank_changes({"a": SHARP})).splitlines()) == 3


def test_the_table_has_one_row_per_contestant_with_plain_values() -> None:
    row = rank_changes({"even": EVEN, "sharp": SHARP}).table[1]
    assert list(row) == ["contestant", "mean_iou", "mean_dice", "iou_rank", "dice_rank"]
    assert [type(value) for value in row.values()] == [str, float, float, int, int]
    assert (row["contestant"], row["iou_rank"], row["dice_rank"]) == ("sharp", 1, 2)


def test_the_curve_goes_from_nothing_to_all() -> None:
    iou, dice = nc.RankChanges.curve(5)
    assert iou.tolist() == [0, 1 / 4, 1 / 2, 3 / 4, 1]
    assert_allclose(dice, [0, 2 / 5, 2 / 3, 6 / 7, 1], rtol=1e-15)
    assert len(nc.RankChanges.curve()[0]) == 101


# From evaluations ------------------------------------------------------------------------------------


def test_the_iou_of_an_object_is_that_with_the_one_that_fits_it_best() -> None:
    # Object 3 (6 pixels) meets 7 (2 of its 2: 2/6) and 8 (3 of its 9: 3/12); object 5 is met by none.
    truth = np.array([3, 3, 3, 3, 3, 3, 0, 0, 0, 0, 0, 0, 5])
    predicted = np.array([7, 7, 8, 8, 8, 0, 8, 8, 8, 8, 8, 8, 0])
    assert iou_per_item(evaluate_objects(predicted, truth)) == {3: 1 / 3, 5: 0}
    assert iou_per_item(evaluate_objects(truth * 0, truth)) == {3: 0, 5: 0}
    assert iou_per_item(evaluate_objects(predicted, truth * 0)) == {}


def test_classes_and_slices_are_those_that_truth_holds() -> None:
    truth, predicted = np.array([[0, 1, 1], [0, 0, 0], [2, 2, 0]]), np.array([[0, 1, 0], [0, 2, 0], [2, 2, 0]])
    # Class 1 is found by half; class 2 has 2 pixels and one in excess.
    assert iou_per_item(evaluate(predicted, truth, match="value")) == {1: 1 / 2, 2: 2 / 3}
    # Class 2 in slice 1 is nowhere in truth, so it is no item there.
    assert iou_per_item(evaluate_slices(predicted, truth, match="value")) == {(0, 1): 1 / 2, (2, 2): 1.0}
    columns = evaluate_slices(predicted, truth, axis=1, match="value", classes=[2])
    assert iou_per_item(columns) == {(0, 2): 1.0, (1, 2): 1 / 2}  # in column 1 one of two is in excess
    nothing = np.zeros((2, 3), int)
    assert iou_per_item(evaluate(nothing, nothing)) == {0: 1.0}
    assert iou_per_item(evaluate_slices(nothing, nothing)) == {(0, 0): 1.0, (1, 0): 1.0}


def test_items_of_two_contestants_on_one_truth_are_the_same() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, (6, 7, 8))
    for score in (evaluate, evaluate_slices, evaluate_objects):
        made = [score(np.where(rng.random(truth.shape) < p, truth, 9 * (p < 0.5)), truth) for p in (0.2, 0.6)]
        ours, theirs = map(iou_per_item, made)
        assert list(ours) == list(theirs)


def test_the_page_on_iou_against_dice_does_what_it_says() -> None:
    page = Path(__file__).parents[1] / "docs" / "evaluate.md"
    lines = doctest.DocTestParser().get_doctest(page.read_text(encoding="utf-8"), {}, page.name, None, None)
    said: list[str] = []
    results = doctest.DocTestRunner().run(lines, out=said.append)
    assert results.attempted >= 9
    assert results.failed == 0, "".join(said)


def test_the_picture_is_the_one_that_the_script_draws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    docs = Path(__file__).parents[1] / "docs"
    monkeypatch.syspath_prepend(str(docs))
    script = __import__("make_evaluation_pictures")
    assert script.CONTESTANTS == {"sharp": SHARP, "even": EVEN}
    monkeypatch.setattr(script, "FOLDER", tmp_path)
    script.draw()
    drawn, kept = (
        np.asarray(Image.open(folder / "iou-against-dice.png").convert("RGB"), int)
        for folder in (tmp_path, docs / "pictures")
    )
    assert drawn.shape == kept.shape
    assert np.mean(np.abs(drawn - kept) > 40) < 0.01  # another version may draw text a little differently


# Properties ------------------------------------------------------------------------------------------

ious = st.integers(0, 60).map(lambda k: k / 60)


@st.composite
def rankings(draw: st.DrawFn) -> dict[str, dict[int, float]]:
    items = draw(st.lists(st.integers(-9, 9), min_size=1, max_size=6, unique=True))
    names = draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True))
    return {name: {item: draw(ious) for item in items} for name in names}


def exactly(contestants: dict[str, dict[int, float]]) -> dict[str, tuple[Fraction, Fraction]]:
    """Return the means as fractions, of IoU that are sixtieths."""
    means = {}
    for name, scores in contestants.items():
        iou = [Fraction(round(value * 60), 60) for value in scores.values()]
        means[name] = sum(iou) / Fraction(len(iou)), sum(2 * j / (1 + j) for j in iou) / Fraction(len(iou))
    return means


@given(rankings())
def test_pairs_are_listed_where_exact_means_disagree_and_nowhere_else(contestants: dict[str, dict[int, float]]) -> None:
    found, means = rank_changes(contestants), exactly(contestants)
    expected = set()
    for a in contestants:
        for b in contestants:
            iou, dice = (means[a][i] - means[b][i] for i in (0, 1))
            if (iou > 0) - (iou < 0) > (dice > 0) - (dice < 0):
                expected.add((a, b))
    assert {(change.by_iou, change.by_dice) for change in found.changes} == expected
    assert len(found.changes) == len(expected)
    for name, iou, dice in zip(found.names, found.mean_iou, found.mean_dice, strict=True):
        assert (iou, dice) == pytest.approx(tuple(map(float, means[name])), rel=1e-14)
    for at, ranks in enumerate((found.iou_ranks, found.dice_ranks)):
        negative = [-float(means[name][at].limit_denominator(10**9)) for name in found.names]
        assert_array_equal(ranks, rankdata(negative, method="min"))


@given(rankings())
def test_every_item_lies_on_the_curve(contestants: dict[str, dict[int, float]]) -> None:
    found = rank_changes(contestants)
    assert_allclose(found.dice, 2 * found.iou / (1 + found.iou), rtol=1e-15)
    assert (found.dice >= found.iou).all()
    assert ((found.dice[:, None] > found.dice) == (found.iou[:, None] > found.iou)).all(), (
        "items never rank differently"
    )


@given(rankings())
def test_pulls_of_all_items_add_up_to_what_the_means_differ_by(contestants: dict[str, dict[int, float]]) -> None:
    found = rank_changes(contestants, n_items=99)
    for change in found.changes:
        assert change.iou_difference >= 0 >= change.dice_difference
        pulls = {one.item: one.pull for one in change.items}
        assert all(pull > 0 for pull in pulls.values())
        assert list(pulls.values()) == sorted(pulls.values(), reverse=True)
        first, second = contestants[change.by_iou], contestants[change.by_dice]
        rest = [
            Responsible(i, (first[i], second[i]), tuple(2 * j / (1 + j) for j in (first[i], second[i]))).pull  # type: ignore[arg-type]
            for i in found.items
            if i not in pulls
        ]
        assert all(pull <= 1e-12 for pull in rest)
        total = (sum(pulls.values()) + sum(rest)) / len(found.items)
        assert total == pytest.approx(change.iou_difference - change.dice_difference, abs=1e-12)


def test_means_that_differ_by_rounding_alone_differ_by_0() -> None:
    # mean IoU is 0.15 and 5e-14 less, which counts as equal; mean Dice prefers the more even one
    even, uneven = {0: 0.2, 1: 0.1}, {0: 0.3 - 1e-13, 1: 0.0}
    for names in (("a", "b"), ("b", "a")):
        (change,) = rank_changes(dict(zip(names, (even, uneven), strict=True))).changes
        assert (change.by_iou, change.by_dice) == (names[1], names[0])
        assert change.iou_difference == 0
        assert change.dice_difference < 0


@given(rankings(), st.data())
def test_the_order_of_items_and_contestants_does_not_matter(
    contestants: dict[str, dict[int, float]], data: st.DataObject
) -> None:
    names = data.draw(st.permutations(list(contestants)))
    items = data.draw(st.permutations(list(contestants[names[0]])))
    found = rank_changes(contestants)
    other = rank_changes({name: {item: contestants[name][item] for item in items} for name in names})
    assert found.changes == other.changes
    assert sorted(map(str, found.table)) == sorted(map(str, other.table))


@given(rankings())
def test_exchanging_two_contestants_exchanges_what_is_said_of_them(contestants: dict[str, dict[int, float]]) -> None:
    assume(len(contestants) > 1)
    a, b, *_ = contestants
    other = {"a": "b", "b": "a"}
    pair = {"a": contestants[a], "b": contestants[b]}
    found, swapped = rank_changes(pair), rank_changes({other[name]: scores for name, scores in pair.items()})
    assert len(found.changes) == len(swapped.changes) <= 1
    for one, two in zip(found.changes, swapped.changes, strict=True):
        assert (two.by_iou, two.by_dice) == (other[one.by_iou], other[one.by_dice])
        assert (two.iou_difference, two.dice_difference, two.items) == (
            one.iou_difference,
            one.dice_difference,
            one.items,
        )


@given(st.lists(st.tuples(ious, st.integers(0, 60)), min_size=1, max_size=6))
def test_what_is_at_least_as_good_on_every_item_is_ranked_so_by_both(rows: list[tuple[float, int]]) -> None:
    worse = {at: iou for at, (iou, _) in enumerate(rows)}
    better = {at: min(1.0, iou + more / 60) for at, (iou, more) in enumerate(rows)}
    assert rank_changes({"a": better, "b": worse}).changes == ()


# Bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: rank_changes({}), ValueError, "no contestants to rank; give one mapping"),
        (lambda: rank_changes({"a": {}, "b": {}}), ValueError, "no contestant has an item; give the IoU"),
        (lambda: rank_changes({"a": {3: 1.5}}), ValueError, "IoU of item 3 of 'a' must be from 0 to 1, got 1.5"),
        (lambda: rank_changes({"a": {"x": -0.1}}), ValueError, "item 'x' of 'a' must be from 0 to 1, got -0.1"),
        (lambda: rank_changes({"a": {1: np.nan}}), ValueError, "got nan; leave out an item that is on neither side"),
        (lambda: rank_changes({"a": {1: "good"}}), TypeError, "item 1 of 'a' must be a number, got 'good'"),  # type: ignore[dict-item]
        (lambda: rank_changes({"a": SHARP}, n_items=0), ValueError, "n_items must be 1 or more, got 0"),
        (lambda: iou_per_item(SHARP), TypeError, "what evaluate, evaluate_slices or .* returned, got dict"),  # type: ignore[arg-type]
        (lambda: nc.RankChanges.curve(1), ValueError, "2 points or more, got n=1"),
    ],
    ids=["nobody", "nothing", "above", "below", "nan", "text", "items", "other", "curve"],
)  # fmt: skip
def test_bad_input_is_named(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_results_cannot_be_changed() -> None:
    found = rank_changes({"a": SHARP})
    with pytest.raises(ValueError, match="read-only"):
        found.iou[0, 0] = 5
