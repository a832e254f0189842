"""From what a form says to labels: plain data, no window."""

from __future__ import annotations

import re

import dask.array as da
import numpy as np
import pytest
from napari.layers import Image, Labels

import napari_cutout as nc
from napari_cutout import catalog
from napari_cutout._monitor import Cancelled
from napari_cutout._execute import execute
from napari_cutout.recipe import Recipe
from napari_cutout.widgets import _layers
from napari_cutout.widgets._request import named_fields, problems, resolve


def defaults(entry, **changed):
    """Settings as a fresh form gives them."""
    return {p.name: p.default for p in entry.settings if not p.required and p.name != "spacing"} | changed


def run(request):
    return request.run(lambda stage, fraction: None, lambda: False)


@pytest.fixture
def image(volume):
    return Image(volume, name="cells", scale=(2, 0.5, 0.5), units=("um",) * 3, translate=(1, 2, 3))


def test_labels_equal_those_of_the_api_with_the_spacing_of_the_layer(image):
    method = catalog.find("sauvola")
    settings = defaults(method, window=9.0, sigma=1.0, one_per_object=True)
    outcome = run(resolve(method, {"image": image, "mask": None}, settings, "cpu"))
    expected = nc.sauvola(image.data, window=9.0, sigma=1.0, one_per_object=True, spacing=(2, 0.5, 0.5))
    np.testing.assert_array_equal(outcome.labels, expected)
    without = nc.sauvola(image.data, window=9.0, sigma=1.0, one_per_object=True)
    assert (outcome.labels != without).any(), "spacing must matter here, or this test shows nothing"


def test_the_recipe_in_the_metadata_gives_the_same_pixels(image):
    method = catalog.find("threshold")
    mask = Labels((image.data > 5).astype(np.uint8), **_layers.placement(image))
    request = resolve(method, {"image": image, "mask": mask}, defaults(method, method="li", sigma=2.0), "cpu")
    outcome = run(request)
    ours = outcome.options["metadata"]["napari_cutout"]
    recipe = Recipe.from_json(ours["recipe"])
    assert recipe.steps[0].settings["spacing"] == (2, 0.5, 0.5)
    again = execute(recipe, {"image": image.data, "mask": mask.data})
    np.testing.assert_array_equal(outcome.labels, again.labels)
    elsewhere = nc.threshold(image.data, mask.data, method="li", sigma=2.0)
    assert (outcome.labels != elsewhere).any(), "spacing must matter here, or this test shows nothing"
    assert ours["provenance"]["device"]["used"] == "cpu"
    assert ours["provenance"]["facts"]["threshold"] > 0


def test_a_request_does_not_see_what_happens_to_the_layers_after_it(image):
    method = catalog.find("threshold")
    mask = Labels(np.ones(image.data.shape, np.uint8), **_layers.placement(image))
    request = resolve(method, {"image": image, "mask": mask}, defaults(method), "cpu")
    before = run(request)
    mask.data[...] = 0
    image.name, image.scale = "other", (1, 1, 1)
    after = run(request)
    np.testing.assert_array_equal(before.labels, after.labels)
    assert after.options["name"] == "cells threshold"
    assert after.options["scale"] == (2, 0.5, 0.5)


def test_a_small_lazy_layer_is_computed(volume):
    method = catalog.find("threshold")
    layer = Image(da.from_array(volume, chunks=8), name="lazy", contrast_limits=(0, 1000))
    outcome = run(resolve(method, {"image": layer, "mask": None}, defaults(method), "cpu"))
    np.testing.assert_array_equal(outcome.labels, nc.threshold(volume))


def test_spacing_is_left_out_where_nobody_set_it(volume):
    method = catalog.find("threshold")
    request = resolve(method, {"image": Image(volume), "mask": None}, defaults(method), "cpu")
    assert "spacing" not in request.recipe.steps[0].settings


def test_a_size_that_is_given_is_used_where_the_layer_has_none(volume, image):
    method = catalog.find("threshold")
    given = _layers.VoxelSize((4, 1, 1), "nm")
    for layer, lengths, unit in ((Image(volume), (4, 1, 1), "nm"), (image, (2, 0.5, 0.5), "µm")):
        outcome = run(resolve(method, {"image": layer, "mask": None}, defaults(method), "cpu", given))
        provenance = outcome.options["metadata"]["napari_cutout"]["provenance"]
        assert tuple(provenance["steps"][0]["settings"]["spacing"]) == lengths
        assert provenance["unit"] == unit


SENTENCES = {
    "threshold needs at least 2 grey levels in the image, but every voxel is 5; check that the image (and its mask) "
    "is the right one": ("image",),
    "low must not exceed high, got low=9 and high=2; give both": ("low", "high"),
    "the histogram has 1 humps, and minimum needs two; choose another method, such as otsu": ("method",),
    "markers have no painted voxel (all are 0, or outside mask); paint strokes with label 1": ("markers",),
    "memory ran out, and nothing was changed; close other layers or programs": (),
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_fields_are_those_that_a_sentence_names(sentence):
    assert named_fields(sentence, ("image", "mask", "markers", "method", "low", "high")) == SENTENCES[sentence]


def test_cancel_raises_and_gives_nothing(image):
    method = catalog.find("threshold")
    request = resolve(method, {"image": image, "mask": None}, defaults(method), "cpu")
    with pytest.raises(Cancelled):
        request.run(lambda stage, fraction: None, lambda: True)


def test_progress_names_stages(image):
    method = catalog.find("threshold")
    request = resolve(method, {"image": image, "mask": None}, defaults(method, sigma=1.0), "cpu")
    seen = []
    request.run(lambda stage, fraction: seen.append((stage, fraction)), lambda: False)
    assert {"reading", "smoothing"} <= {stage for stage, _ in seen}
    assert all(0 <= fraction <= 1 for _, fraction in seen)


def colour():
    return Image(np.zeros((20, 30, 3), np.uint8), rgb=True, name="photo")


@pytest.mark.parametrize(
    ("make", "field", "words"),
    [
        (lambda: {"image": None}, "image", "there is no image layer; open an image"),
        (lambda: {"image": colour()}, "image", "'photo' is a colour image of shape (20, 30, 3)"),
        (lambda: {"image": Image(np.zeros((9, 9), bool))}, "image", "image is boolean, so it is cut already"),
        (lambda: {"image": Image(np.zeros((2, 3, 9, 9)))}, "image", "must be 2-D (Y, X) or 3-D (Z, Y, X)"),
        (
            lambda: {"image": Image(np.zeros((9, 9))), "mask": Labels(np.zeros((9, 8), int))},
            "mask",
            "mask must have the shape of image, (9, 9), but has (9, 8)",
        ),
        (
            lambda: {"image": Image(np.zeros((9, 9)), name="im"), "mask": Labels(np.zeros((9, 9), int), scale=(2, 2))},
            "mask",
            "lies elsewhere than 'im'",
        ),
    ],
    ids=["no image", "colour", "boolean", "4-D", "mask of another shape", "mask elsewhere"],
)
def test_bad_input_gives_one_sentence(make, field, words):
    method = catalog.find("threshold")
    (problem,) = problems(method, make(), defaults(method))
    assert problem.field == field
    assert words in problem.sentence
    with pytest.raises(ValueError, match=re.escape(problem.sentence)):
        resolve(method, make(), defaults(method), "cpu")


def test_missing_strokes_give_a_sentence(blobs):
    method = catalog.find("back_projection")
    (problem,) = problems(method, {"image": Image(blobs), "markers": None, "mask": None}, defaults(method))
    assert (problem.field, problem.sentence[:32]) == ("markers", "back_projection needs strokes; a")


def test_a_bad_setting_gives_the_sentence_of_the_method(blobs):
    method = catalog.find("multi_otsu")
    (problem,) = problems(method, {"image": Image(blobs)}, defaults(method, n_classes=1))
    assert problem.field == "settings"
    assert problem.sentence == "n_classes must be between 2 and 64, got 1"


def test_a_large_lazy_layer_gives_a_sentence(monkeypatch, blobs):
    method = catalog.find("threshold")
    layer = Image(da.from_array(blobs), contrast_limits=(0, 255), name="big")
    monkeypatch.setattr(_layers, "MAX_LAZY_BYTES", 100)
    (problem,) = problems(method, {"image": layer}, defaults(method))
    assert "'big' is a dask layer of" in problem.sentence


@pytest.mark.parametrize(
    ("name", "changed", "words"),
    [
        ("threshold", {}, "threshold 10 · 17.2 % selected · CPU because it was asked for · "),
        ("threshold", {"one_per_object": True}, "threshold 10 · 2 objects · CPU"),
        ("multi_otsu", {}, "thresholds 10, 180 · 3 classes · CPU"),
        ("threshold_at", {"value": 190.0, "one_per_object": True}, "1 object · CPU"),
    ],
)
def test_the_summary_says_what_ran_and_what_came_out(name, changed, words, blobs):
    method = catalog.find(name)
    outcome = run(resolve(method, {"image": Image(blobs)}, defaults(method, **changed), "cpu"))
    assert words in outcome.summary
    assert outcome.summary.endswith(" s")
