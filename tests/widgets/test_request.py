"""From what a form says to labels: plain data, no window."""

from __future__ import annotations

import re
from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
import zarr
from napari.layers import Image, Labels

import napari_cutout as nc
from napari_cutout import catalog
from napari_cutout._device import size
from napari_cutout._monitor import Cancelled
from napari_cutout.recipe import Recipe
from napari_cutout.running._execute import execute
from napari_cutout.widgets import _layers
from napari_cutout.widgets._request import Form, estimate, named_fields, problems, resolve
from napari_cutout.widgets._target import Choice, Extent, Outline, recalled

QUIET = (lambda stage, fraction: None, lambda: False)
"""Says nothing and is never cancelled."""


def form(name, layers, *, more=None, **changed):
    """What a fresh form for this method says, on the CPU, with some settings changed."""
    method = catalog.find(name)
    settings = {p.name: p.default for p in method.settings if not p.required and p.name != "spacing"} | changed
    source = layers.get(method.source.name)
    said = {"choice": Choice() if source is None else recalled(source), "device": "cpu"} | (more or {})
    return Form(method, layers, settings, **said)


def run(says):
    return resolve(says).run(*QUIET)


@pytest.fixture
def image(volume):
    return Image(volume, name="cells", scale=(2, 0.5, 0.5), units=("um",) * 3, translate=(1, 2, 3))


def test_labels_equal_those_of_the_api_with_the_spacing_of_the_layer(image):
    outcome = run(form("sauvola", {"image": image, "mask": None}, window=9.0, sigma=1.0, one_per_object=True))
    expected = nc.sauvola(image.data, window=9.0, sigma=1.0, one_per_object=True, spacing=(2, 0.5, 0.5))
    np.testing.assert_array_equal(outcome.labels, expected)
    without = nc.sauvola(image.data, window=9.0, sigma=1.0, one_per_object=True)
    assert (outcome.labels != without).any(), "spacing must matter here, or this test shows nothing"


def test_the_recipe_in_the_metadata_gives_the_same_pixels(image):
    mask = Labels((image.data > 5).astype(np.uint8), **_layers.placement(image))
    outcome = run(form("threshold", {"image": image, "mask": mask}, method="li", sigma=2.0))
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
    mask = Labels(np.ones(image.data.shape, np.uint8), **_layers.placement(image))
    request = resolve(form("threshold", {"image": image, "mask": mask}))
    before = request.run(*QUIET)
    mask.data[...] = 0
    image.name, image.scale = "other", (1, 1, 1)
    after = request.run(*QUIET)
    np.testing.assert_array_equal(before.labels, after.labels)
    assert after.options["name"] == "cells threshold"
    assert after.options["scale"] == (2, 0.5, 0.5)


def test_labels_that_are_the_source_are_copied_too(blobs):
    classes = Labels((blobs > 100).astype(np.uint8))
    request = resolve(form("objects", {"labels": classes}))
    expected = nc.objects(classes.data.copy())
    classes.data[...] = 0
    np.testing.assert_array_equal(request.run(*QUIET).labels, expected)
    assert expected.max() == 2


@pytest.mark.parametrize("whole", [True, False], ids=["read", "in blocks"])
@pytest.mark.parametrize("make", [lambda a: da.from_array(a, chunks=8), lambda a: zarr.array(a)], ids=["dask", "zarr"])
def test_a_lazy_layer_gives_the_labels_of_its_array(volume, whole, make):
    layer = Image(make(volume), name="lazy", contrast_limits=(0, 1000))
    labels = volume.size  # bytes of the result, which are all that a run in blocks keeps
    says = form("threshold", {"image": layer, "mask": None}, more={"free": 2**40 if whole else labels})
    request = resolve(says)
    assert request.whole is whole
    outcome = request.run(*QUIET)
    np.testing.assert_array_equal(outcome.labels, nc.threshold(volume))
    assert outcome.options["metadata"]["napari_cutout"]["provenance"]["tiling"] == ("whole" if whole else "blocks")


def test_spacing_is_left_out_where_nobody_set_it(volume):
    request = resolve(form("threshold", {"image": Image(volume), "mask": None}))
    assert "spacing" not in request.recipe.steps[0].settings


def test_a_size_that_is_given_is_used_where_the_layer_has_none(volume, image):
    given = {"voxel_size": _layers.VoxelSize((4, 1, 1), "nm")}
    for layer, lengths, unit in ((Image(volume), (4, 1, 1), "nm"), (image, (2, 0.5, 0.5), "µm")):
        outcome = run(form("threshold", {"image": layer, "mask": None}, more=given))
        provenance = outcome.options["metadata"]["napari_cutout"]["provenance"]
        assert tuple(provenance["steps"][0]["settings"]["spacing"]) == lengths
        assert provenance["unit"] == unit


def test_the_distance_between_frames_is_no_length(volume):
    """A voxel size is that along z, y and x, whatever scale and unit the other axes have."""
    movie = np.stack([volume, volume + 3])
    timed = Image(movie, scale=(30, 1, 1, 1), units=("s", "pixel", "pixel", "pixel"))
    more = {"choice": Choice("tzyx", time="each")}
    given = {"voxel_size": _layers.VoxelSize((4, 1, 1), "nm")}
    request = resolve(form("threshold", {"image": timed}, more=more | given))
    assert (request.recipe.steps[0].settings["spacing"], request.unit) == ((4, 1, 1), "nm")
    sized = Image(movie, scale=(30, 2, 0.5, 0.5), units=("s", "um", "um", "um"))
    request = resolve(form("threshold", {"image": sized}, more=more | given))
    assert (request.recipe.steps[0].settings["spacing"], request.unit) == ((2, 0.5, 0.5), "µm")


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
    request = resolve(form("threshold", {"image": image, "mask": None}))
    with pytest.raises(Cancelled):
        request.run(lambda stage, fraction: None, lambda: True)


def test_progress_names_stages(image):
    seen = []
    request = resolve(form("threshold", {"image": image, "mask": None}, sigma=1.0))
    request.run(lambda stage, fraction: seen.append((stage, fraction)), lambda: False)
    assert {"reading", "smoothing"} <= {stage for stage, _ in seen}
    assert all(0 <= fraction <= 1 for _, fraction in seen)


def on(image, **others):
    return {"image": image, **others}


@pytest.mark.parametrize(
    ("name", "layers", "field", "words"),
    [
        ("threshold", lambda: on(None), "image", "there is no image layer; open an image"),
        ("objects", lambda: {"labels": None}, "labels", "there is no Labels layer to work on; run a method first"),
        (
            "threshold",
            lambda: on(Image(np.zeros((9, 9), bool))),
            "image",
            "image is boolean, so it is cut already",
        ),
        (
            "threshold",
            lambda: on(Image(np.zeros((2, 3, 9, 9)))),
            "axes",
            "axis 0 of 4 may be time, channels or slices; say which it is",
        ),
        (
            "threshold",
            lambda: on(Image(np.zeros((2, 9, 9)), axis_labels=("t", "y", "x"))),
            "time",
            "the image is a time series; say whether each frame is cut by itself",
        ),
        (
            "threshold",
            lambda: on(Image(np.zeros((9, 9))), mask=Labels(np.zeros((9, 8), int))),
            "mask",
            "mask must have the shape of image, (9, 9), but has (9, 8)",
        ),
        (
            "threshold",
            lambda: on(Image(np.zeros((9, 9)), name="im"), mask=Labels(np.zeros((2, 9, 9), int), name="three")),
            "mask",
            "mask must have the shape (9, 9), one voxel per voxel of 'im' without its channels, but 'three' has",
        ),
        (
            "threshold",
            lambda: on(Image(np.zeros((9, 9)), name="im"), mask=Labels(np.zeros((9, 9), int), scale=(2, 2))),
            "mask",
            "lies elsewhere than 'im'",
        ),
        (
            "back_projection",
            lambda: on(Image(np.zeros((9, 9))), markers=None, mask=None),
            "markers",
            "back_projection needs strokes; press + beside the field, paint",
        ),
    ],
    ids=[
        "no image",
        "no labels",
        "boolean",
        "axes",
        "frames",
        "mask's shape",
        "mask's axes",
        "mask's place",
        "strokes",
    ],
)
def test_bad_input_gives_one_sentence(name, layers, field, words):
    says = form(name, layers())
    (problem,) = problems(says)
    assert problem.field == field
    assert words in problem.sentence
    with pytest.raises(ValueError, match=re.escape(problem.sentence)):
        resolve(says)


def test_a_bad_setting_gives_the_sentence_of_the_method(blobs):
    (problem,) = problems(form("multi_otsu", {"image": Image(blobs)}, n_classes=1))
    assert problem.field == "settings"
    assert problem.sentence == "n_classes must be between 2 and 64, got 1"


def test_every_wrong_field_has_its_sentence_at_once():
    layers = {"image": Image(np.zeros((9, 9))), "mask": Labels(np.zeros((9, 8), int)), "markers": None}
    assert [p.field for p in problems(form("back_projection", layers))] == ["markers", "mask"]


def test_a_method_without_a_mask_looks_into_no_polygon(blobs):
    classes = Labels((blobs > 100).astype(np.uint8))
    outline = Outline((np.array([[0.0, 0], [0, 30], [30, 0]]),), (0, 1))
    extent = Extent((0, 0), ((0, 30), (0, 30)), outline)
    (problem,) = problems(form("objects", {"labels": classes}, more={"extent": extent}))
    assert problem.field == "region"
    assert problem.sentence.startswith("objects takes no mask, so it looks into one upright rectangle only")
    box = replace(extent, outline=None)
    np.testing.assert_array_equal(
        run(form("objects", {"labels": classes}, more={"extent": box})).labels, nc.objects(classes.data[:30, :30])
    )


def test_an_outline_and_a_mask_are_both_held_to(blobs):
    outline = Outline((np.array([[-1.0, -1], [-1, 40], [16.5, 40], [16.5, -1]]),), (0, 1))
    extent = Extent((0, 0), None, outline)
    mask = np.zeros(blobs.shape, np.uint8)
    mask[:, 10:] = 3  # through the middle of an object
    inside = np.zeros(blobs.shape, bool)
    inside[:17] = True
    for layer, expected in ((None, inside), (Labels(mask), inside & (mask != 0))):
        outcome = run(form("threshold", {"image": Image(blobs), "mask": layer}, more={"extent": extent}))
        np.testing.assert_array_equal(outcome.labels, nc.threshold(blobs, mask=expected.astype(np.uint8)))


# Memory -------------------------------------------------------------------------------------------


def memory_sentence(says):
    (problem,) = problems(says)
    assert problem.field == "memory"
    return problem.sentence


def big(shape, **options):
    return {"image": Image(np.zeros(shape, np.uint16), **options), "mask": None}


def test_what_does_not_fit_names_need_and_what_is_free():
    says = form("threshold", big((100, 200, 300)))
    need = estimate(says, says.target)
    assert problems(replace(says, free=need)) == ()
    sentence = memory_sentence(replace(says, free=need - 1))
    assert sentence.startswith(f"the run needs {size(need)} and {size(need - 1)} are free; ")


def test_each_slice_is_suggested_and_fits():
    says = form("threshold", big((100, 200, 300)))
    free = estimate(says, says.target) // 3
    sentence = memory_sentence(replace(says, free=free))
    assert "; each slice by itself (" in sentence
    assert sentence.endswith(") would fit")
    assert problems(replace(says, free=free, choice=replace(says.choice, depth="each"))) == ()


def test_the_first_level_that_fits_is_suggested():
    full = np.zeros((512, 512), np.uint16)
    says = form("threshold", {"image": Image([full, full[::2, ::2], full[::4, ::4]], multiscale=True), "mask": None})
    whole = estimate(says, says.target)
    for share, level in ((2, 1), (8, 2)):
        less = replace(says, free=whole // share)
        assert f"level {level} (" in memory_sentence(less)
        assert problems(replace(less, choice=Choice("yx", level=level))) == ()
        refused = [n for n in range(1, level) if not problems(replace(less, choice=Choice("yx", level=n)))]
        assert refused == [], "there is no larger level that fits"


@pytest.mark.parametrize(
    ("shape", "choice"),
    [
        ((900, 700), Choice("yx")),
        ((7, 300, 200), Choice("zyx")),
        ((4, 7, 100, 200), Choice("tzyx", time="each")),
        ((3, 300, 200), Choice("cyx", channel="grey")),
        ((9, 300, 200), Choice("zyx", depth="each")),
    ],
    ids=["2-D", "3-D", "frames", "grey", "slices"],
)
@pytest.mark.parametrize("share", [0.9, 0.3, 0.02])
def test_the_region_that_is_suggested_fits_and_little_more_would(shape, choice, share):
    says = form("threshold", big(shape), more={"choice": choice})
    free = int(share * estimate(says, says.target))
    found = re.search(r"a region of (\d+) × (\d+) pixels", memory_sentence(replace(says, free=free)))  # noqa: RUF001
    height, width = (int(n) for n in found.groups())

    def needs(factor):
        *others, _, _ = says.target.result_shape
        ends = [(0, n) for n in others] + [(0, int(height * factor)), (0, int(width * factor))]
        part = replace(says, extent=Extent((0,) * len(ends), tuple(ends)))
        return estimate(part, part.target)

    assert needs(1) <= free < needs(1.4)


def test_the_region_that_is_suggested_fits_where_blocks_in_work_weigh_more_than_voxels():
    far = np.broadcast_to(np.uint16(7), (16, 2048, 2048))  # takes no memory
    layers = {"image": Image(far, contrast_limits=(0, 9)), "mask": None}
    says = form("threshold", layers, sigma=2.0)
    free = estimate(says, says.target) // 4
    found = re.search(r"a region of (\d+) × (\d+) pixels", memory_sentence(replace(says, free=free)))  # noqa: RUF001
    ends = ((0, 16), *((0, int(n)) for n in found.groups()))
    assert problems(replace(says, free=free, extent=Extent((0, 0, 0), ends))) == ()


def test_where_nothing_fits_other_programs_are_named():
    sentence = memory_sentence(form("threshold", big((64, 64)), more={"free": 1}))
    assert sentence.endswith(" and 1 bytes are free; close other layers or programs")


def test_what_is_lazy_runs_in_blocks_where_it_does_not_fit_and_is_refused_where_its_labels_do_not():
    lazy = {"image": Image(da.zeros((64, 64, 64), chunks=32, dtype=np.uint16), contrast_limits=(0, 1)), "mask": None}
    says = form("threshold", lazy)
    assert estimate(says, says.target) > 64**3
    assert problems(replace(says, free=64**3)) == ()
    assert not resolve(replace(says, free=64**3)).whole
    assert "are free" in memory_sentence(replace(says, free=64**3 - 1))


# Summaries ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "changed", "words"),
    [
        ("threshold", {}, "threshold 10 · 17.2 % selected · CPU · "),
        ("threshold", {"one_per_object": True}, "threshold 10 · 2 objects · CPU"),
        ("multi_otsu", {}, "thresholds 10, 180 · 3 classes · CPU"),
        ("threshold_at", {"value": 190.0, "one_per_object": True}, "1 object · CPU"),
    ],
    ids=["share", "objects", "classes", "one object"],
)
def test_the_summary_says_what_ran_and_what_came_out(name, changed, words, blobs):
    outcome = run(form(name, {"image": Image(blobs)}, **changed))
    assert words in outcome.summary
    assert outcome.summary.splitlines()[0].endswith(" s")  # advice may follow


def test_the_summary_of_frames_says_between_which_thresholds_they_lie(blobs):
    movie = Image(np.stack([blobs, blobs + 20]))
    outcome = run(form("threshold", {"image": movie}, more={"choice": Choice("tyx", time="each")}))
    assert outcome.summary.startswith("thresholds 10 to 30 over 2 parts · 17.2 % selected")


def test_one_layer_in_two_fields_is_refused(image):
    mask = Labels(np.ones(image.data.shape, np.uint8), name="both", **_layers.placement(image))
    (problem,) = problems(form("back_projection", {"image": image, "mask": mask, "markers": mask}))
    assert problem.field in ("mask", "markers")
    assert "are both 'both'" in problem.sentence
