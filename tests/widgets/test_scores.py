"""What Evaluate asks and shows: plain data, no window."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from napari.layers import Labels

from napari_cutout.evaluation._annotation import unpainted_guess
from napari_cutout.evaluation.overlap import error_map, evaluate
from napari_cutout.widgets import _layers, _scores

PREDICTED = np.array([[0, 1, 1, 0], [0, 1, 0, 0]])
TRUTH = np.array([[0, 1, 0, 0], [0, 1, 1, 0]])


def answer(unpainted="background", match="auto", predicted=PREDICTED, truth=TRUTH):
    question = _scores.Question(predicted, truth, unpainted, match)
    return question.answer(lambda stage, fraction: None, lambda: False)


@pytest.mark.parametrize(("unpainted", "ignore"), [("background", None), ("not annotated", 0)])
@pytest.mark.parametrize("match", ["auto", "binary", "value", "overlap"])
def test_the_answer_is_that_of_evaluate(unpainted, ignore, match):
    score = answer(unpainted, match)
    expected = evaluate(PREDICTED, TRUTH, ignore=ignore, match=match)
    assert str(score.evaluation) == str(expected)
    np.testing.assert_array_equal(score.errors, error_map(PREDICTED, TRUTH, ignore=ignore, match=match))


def test_lazy_labels_are_computed():
    score = answer(predicted=da.from_array(PREDICTED))
    assert isinstance(score.errors, np.ndarray)
    assert str(score.evaluation) == str(evaluate(PREDICTED, TRUTH))


@pytest.mark.parametrize(
    ("painted", "n_labels", "guess"),
    [
        (0, 0, "background"),
        (49, 1, "background"),  # a few objects of one class
        (49, 2, "not annotated"),
        (49, 5, "not annotated"),
        (49, 8, "background"),  # eight numbered nuclei
        (50, 2, "background"),
        (1000, 2, "background"),
    ],
)
def test_unpainted_is_guessed_from_what_is_painted(painted, n_labels, guess):
    truth = np.zeros((10, 100), np.uint8)
    truth.ravel()[:painted] = np.arange(painted) % max(n_labels, 1) + 1
    assert _scores.painted_share(truth) == painted / 1000
    assert _scores.painted_labels(truth) == n_labels
    assert unpainted_guess(_scores.painted_share(truth), _scores.painted_labels(truth)) == guess


def test_the_painted_share_of_a_large_truth_is_sampled(monkeypatch):
    monkeypatch.setattr(_scores, "MAX_SAMPLED", 100)
    truth = np.zeros((50, 60), np.uint8)
    truth[:, :30] = 3
    assert _scores.painted_share(truth) == pytest.approx(0.5, abs=0.05)
    assert _scores.painted_share(da.from_array(truth)) == _scores.painted_share(truth)


def labels(shape=(4, 5), **options):
    return Labels(np.zeros(shape, int), **options)


@pytest.mark.parametrize(
    ("make", "field", "words"),
    [
        (lambda: (None, labels()), "predicted", "no Labels layer to use as predicted; run a method first"),
        (lambda: (labels(), None), "truth", "no Labels layer to use as truth; open or paint an annotation"),
        (lambda: (labels(), labels((4, 6))), "truth", "shape of predicted, (4, 5), but has (4, 6); crop or resample"),
        (lambda: (labels(), labels(scale=(2, 2))), "truth", "scale (2.0, 2.0) or lies elsewhere than predicted"),
        (lambda: (labels(), labels(translate=(0, 9))), "truth", "lies elsewhere than predicted"),
        (lambda: (labels((4, 5)), labels((3, 4, 5))), "truth", "but has (3, 4, 5)"),
    ],
    ids=["nothing predicted", "no truth", "other shape", "other scale", "elsewhere", "2-D and 3-D"],
)
def test_layers_that_cannot_be_compared_give_a_sentence(make, field, words):
    (problem,) = _scores.problems(*make())
    assert problem.field == field
    assert words in problem.sentence


def test_a_layer_is_not_compared_with_itself():
    layer = labels(name="mine")
    (problem,) = _scores.problems(layer, layer)
    assert problem.sentence == "predicted and truth are both 'mine'; choose two different layers"


def test_a_large_lazy_layer_gives_a_sentence(monkeypatch):
    monkeypatch.setattr(_layers, "MAX_LAZY_BYTES", 10)
    (problem,) = _scores.problems(labels(), Labels(da.zeros((4, 5), dtype=int), name="far"))
    assert (problem.field, problem.sentence[:22]) == ("truth", "'far' is a dask layer ")


def test_the_table_has_a_dash_where_there_is_no_score():
    evaluation = evaluate(np.array([[1, 1, 0]]), np.array([[0, 0, 0]]), match="value")
    rows = {row[0]: dict(zip(_scores.COLUMNS, row, strict=True)) for row in _scores.cells(evaluation)}
    assert rows["1"]["recall"] == "-"
    assert rows["1"]["precision"] == "0.000"
    assert rows["0"]["precision"] == "1.000"


def test_counts_follow_the_scores():
    truth = np.zeros((50, 60), int)
    truth[:10] = 1
    evaluation = evaluate(truth, truth)
    assert list(_scores.COLUMNS)[:7] == ["class", "iou", "dice", "precision", "recall", "accuracy", "prevalence"]
    assert list(_scores.COLUMNS.values())[7:] == ["TP", "FP", "FN", "TN"]
    assert _scores.cells(evaluation)[-1][7:] == ["600", "0", "0", "2,400"]


def test_the_headline_says_means_matching_and_what_unpainted_meant():
    score = answer("not annotated")
    text = _scores.headline(score.evaluation, "not annotated", 0.375)
    assert f"mean IoU {score.evaluation.mean_iou:.4f}" in text
    means = score.evaluation.frequency_weighted_iou, score.evaluation.frequency_weighted_dice
    assert "weighted by frequency: IoU {:.4f}   Dice {:.4f}".format(*means) in text
    assert f"matched by {score.evaluation.match}: {score.evaluation.match_reason}" in text
    assert "unpainted means not annotated (37.5 % of truth painted, 3 voxels scored)" in text


def test_every_label_of_an_error_map_has_a_meaning_and_a_colour():
    predicted, truth = np.array([[1, 1, 0, 2, 0]]), np.array([[1, 0, 2, 1, 0]])
    found = set(np.unique(error_map(predicted, truth, match="value")).tolist())
    assert found - {0} == set(_scores.ERRORS) == set(_scores.colours()) - {None, 0}
