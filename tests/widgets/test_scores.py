"""What Evaluate asks and shows: plain data, no window."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from napari.layers import Labels
from skimage.color import deltaE_ciede2000, rgb2lab

from napari_cutout import _pictures
from napari_cutout.evaluation import objects
from napari_cutout.evaluation._error_kinds import ERROR_KINDS, OBJECT_KINDS
from napari_cutout.evaluation.objects import KINDS
from napari_cutout.evaluation.overlap import error_map, evaluate
from napari_cutout.evaluation.slices import evaluate_slices
from napari_cutout.widgets import _layers, _objects, _question, _score_layers, _scores

PREDICTED = np.array([[0, 1, 1, 0], [0, 1, 0, 0]])
TRUTH = np.array([[0, 1, 0, 0], [0, 1, 1, 0]])


def answer(unpainted="background", match="auto", predicted=PREDICTED, truth=TRUTH):
    question = _question.Question(predicted, truth, unpainted, match)
    return question.answer(lambda stage, fraction: None, lambda: False)


def asked(**other):
    given = {"predicted": "cut", "truth": "by hand", "unpainted": "background", "match": "auto", "layers": (1, 2)}
    return _scores.Asked(**given | other)


def cube(seed, n_labels=3, shape=(4, 5, 6)):
    return np.random.default_rng(seed).integers(0, n_labels, shape)


@pytest.mark.parametrize(("unpainted", "ignore"), [("background", None), ("not annotated", 0)])
@pytest.mark.parametrize("match", ["auto", "binary", "value", "overlap"])
def test_the_answer_is_that_of_evaluate(unpainted, ignore, match):
    score = answer(unpainted, match)
    expected = evaluate(PREDICTED, TRUTH, ignore=ignore, match=match)
    assert str(score.evaluation) == str(expected)
    np.testing.assert_array_equal(score.errors, error_map(PREDICTED, TRUTH, ignore=ignore, match=match))
    assert score.slices == (), "a picture has no slices"


@pytest.mark.parametrize("shape", [(4, 5, 6), (2, 3, 4, 5)])
def test_a_volume_is_scored_along_every_axis(shape):
    predicted, truth = cube(1, shape=shape), cube(2, shape=shape)
    score = answer(match="value", predicted=predicted, truth=truth)
    assert [found.axis for found in score.slices] == list(range(len(shape)))
    for found in score.slices:
        expected = evaluate_slices(predicted, truth, axis=found.axis, match="value")
        np.testing.assert_array_equal(found.iou, expected.iou)
        assert found.whole is score.evaluation


def test_lazy_labels_are_computed():
    score = answer(predicted=da.from_array(PREDICTED))
    assert isinstance(score.errors, np.ndarray)
    assert str(score.evaluation) == str(evaluate(PREDICTED, TRUTH))


def test_labels_too_large_for_memory_are_counted_chunk_by_chunk(monkeypatch):
    predicted, truth = cube(3), cube(4)
    monkeypatch.setattr(_layers, "MAX_LAZY_BYTES", 10)
    largest = []

    def seen(block):
        largest.append(block.size)
        return block

    lazy = da.from_array(predicted, (2, 5, 3)).map_blocks(seen, meta=np.empty((0, 0, 0), int))
    score = answer(match="value", predicted=lazy, truth=truth)
    expected = evaluate(predicted, truth, match="value")
    assert str(score.evaluation) == str(expected)
    assert isinstance(score.errors, da.Array)
    np.testing.assert_array_equal(score.errors.compute(), error_map(predicted, truth, match="value"))
    assert max(largest) == 2 * 5 * 3
    assert len(score.slices) == 3


@pytest.mark.parametrize(
    ("n_painted", "n_labels", "guess"),
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
def test_unpainted_is_guessed_from_what_is_painted(n_painted, n_labels, guess):
    truth = np.zeros((10, 100), np.uint8)
    truth.ravel()[:n_painted] = np.arange(n_painted) % max(n_labels, 1) + 1
    found = _score_layers.painted(Labels(truth))
    assert (found.share, found.n_labels, found.guess) == (n_painted / 1000, n_labels, guess)


def test_the_painted_share_of_a_large_truth_is_sampled(monkeypatch):
    monkeypatch.setattr(_score_layers, "MAX_SAMPLED", 100)
    truth = np.zeros((50, 60), np.uint8)
    truth[:, :30] = 3
    assert _score_layers.painted(Labels(truth)).share == pytest.approx(0.5, abs=0.05)


def test_a_large_truth_on_disk_is_not_looked_at_but_its_coarsest_level_is(monkeypatch):
    monkeypatch.setattr(_score_layers, "MAX_SAMPLED", 100)

    read = []

    def seen(block):
        read.append(block.size)
        return block

    far = da.zeros((50, 60), dtype=np.uint8).map_blocks(seen, meta=np.empty((0, 0), np.uint8))
    coarse = np.zeros((5, 6), np.uint8)
    coarse[:, :3] = 1
    layers = Labels(far, multiscale=False), Labels([far, da.from_array(coarse)], multiscale=True)
    read.clear()  # napari has drawn them
    assert _score_layers.painted(layers[0]) is None
    assert _score_layers.painted(layers[1]).share == 0.5
    assert read == []


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
    (problem,) = _score_layers.problems(*make())
    assert problem.field == field
    assert words in problem.sentence


def test_a_layer_is_not_compared_with_itself():
    layer = labels(name="mine")
    (problem,) = _score_layers.problems(layer, layer)
    assert problem.sentence == "predicted and truth are both 'mine'; choose two different layers"


@pytest.mark.parametrize(
    ("now", "changed", "gone", "words"),
    [
        (asked(), False, False, ""),
        (asked(), True, False, "Scores of an earlier state: 'cut' against 'by hand' changed since. Press Evaluate"),
        (asked(), True, True, "Scores of 'cut' against 'by hand'; a layer of them is gone."),
        (None, False, False, "Scores of 'cut' against 'by hand', not of the layers chosen above."),
        (asked(layers=(1, 3)), False, False, "Scores of 'cut' against 'by hand', not of the layers chosen above."),
        (asked(predicted="renamed"), False, False, ""),
        (asked(unpainted="not annotated"), False, False, "Scores of other settings than those above."),
        (asked(match="value"), False, False, "Scores of other settings than those above."),
    ],
    ids=["current", "changed", "gone", "no layers", "other layers", "renamed", "other unpainted", "other match"],
)
def test_scores_that_are_not_current_say_so(now, changed, gone, words):
    said = _scores.standing(asked(), now, changed=changed, gone=gone)
    assert said.startswith(words)
    assert bool(said) == bool(words)


def test_rows_are_numbers_with_the_names_of_their_classes():
    evaluation = evaluate(np.array([[1, 1, 0]]), np.array([[0, 0, 0]]), match="value")
    found = _scores.rows(evaluation, {1: "nuclei"}.get)
    assert set(found) == {column.name for column in _scores.COLUMNS}
    assert found["class"] == [0, 1]
    assert found["name"] == [None, "nuclei"]
    assert found["fp"] == [0, 2]
    assert np.isnan(found["recall"][1])
    assert found["precision"] == [1.0, 0.0]


def test_the_headline_says_means_matching_and_what_unpainted_meant():
    score = answer("not annotated")
    text = _scores.headline(asked(), score.evaluation)
    assert text.startswith("'cut' against 'by hand'")
    assert f"mean IoU {score.evaluation.mean_iou:.4f}" in text
    assert "by frequency" not in text, "the mean of one class is that of this class"
    two = evaluate(np.array([[1, 2, 2, 0]]), np.array([[1, 2, 1, 0]]), match="value")
    means = two.frequency_weighted_iou, two.frequency_weighted_dice
    text_of_two = _scores.headline(asked(), two)
    assert "by frequency IoU {:.4f}   Dice {:.4f}".format(*means) in text_of_two
    assert f"mean Dice {two.mean_dice:.4f} without background" in text_of_two
    assert f"Matched by {score.evaluation.match}: {score.evaluation.match_reason}" in text
    assert "Unpainted voxels of the truth (0) were read as not annotated, and left out; 3 voxels scored" in text
    text = _scores.headline(asked(), answer().evaluation)
    assert "Unpainted voxels of the truth (0, 62.5% of all) were read as background; 8 voxels scored" in text


def test_every_label_of_an_error_map_has_one_meaning_and_one_colour():
    predicted, truth = np.array([[1, 1, 0, 2, 0]]), np.array([[1, 0, 2, 1, 0]])
    found = set(np.unique(error_map(predicted, truth, match="value")).tolist())
    assert found - {0} == set(_scores.meanings()) == set(_scores.colours()) - {None, 0}
    assert [kind.label for kind in ERROR_KINDS] == [1, 2, 3, 4]
    assert _pictures.ERRORS[1:] == tuple(kind.rgb for kind in ERROR_KINDS)
    assert _scores.colours()[2] == "#{:02x}{:02x}{:02x}".format(*_pictures.ERRORS[2])


# Machado, Oliveira and Fernandes, IEEE Trans. Vis. Comput. Graph. 15 (2009) 1291, severity 1, for linear RGB.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.mark.parametrize("kind", DEFICIENCIES)
def test_colours_of_errors_are_told_apart_by_every_colour_vision(kind):
    rgb = np.array([found.rgb for found in ERROR_KINDS]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.transpose(DEFICIENCIES[kind]), 0, 1)
    lab = rgb2lab(np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055))
    apart = deltaE_ciede2000(lab[:, None], lab[None])[np.triu_indices(len(lab), 1)]
    assert apart.min() > 10, "a difference of 2 is just seen"


def test_every_kind_of_object_has_a_colour_and_is_explained():
    assert tuple(OBJECT_KINDS) == KINDS
    assert len({kind.colour for kind in OBJECT_KINDS.values()}) == len(KINDS)
    assert sorted(kind.label for kind in OBJECT_KINDS.values()) == list(range(1, len(KINDS) + 1))
    assert [_objects._colour(kind) for kind in KINDS[:2]] == ["#009e73", "#f0e442"]
    assert [line.partition(":")[0] for line in _objects._KIND.splitlines()] == list(KINDS)
    assert [column.name for column in _objects.COLUMNS] == [*objects.COLUMNS[:-1]], "all are counted here"
