"""A recipe on layers of any kind: it runs as it does headless, lies on the layer, and says why it does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_cutout.recipe import Recipe, Selection, Step
from napari_cutout.running._execute import execute
from napari_cutout.running._step_cache import StepCache
from napari_cutout.widgets._known_statistics import StatisticsCache
from napari_cutout.widgets._recipe_job import Setup, aim_of, problems
from napari_cutout.widgets._recipe_request import preview_of, request_of
from napari_cutout.widgets._sources import source_of_channels

STEPS = (Step("threshold"), Step("split_touching", {}, {"labels": "step_1"}))


def grey(shape, seed=0):
    """Smooth noise, uint8."""
    from scipy import ndimage

    noise = np.random.default_rng(seed).random(shape)
    smooth = ndimage.gaussian_filter(noise, [2 if n > 8 else 0.5 for n in shape])
    return (255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)


KINDS = {
    "2-D": ((40, 48), None, {}),
    "3-D with a size": ((8, 30, 36), None, {"scale": (2, 1, 1)}),
    "slices": ((8, 30, 36), Selection("zyx", each="z"), {}),
    "frames pooled": ((4, 30, 36), Selection("tyx", each="t", pooled=True), {"axis_labels": ("t", "y", "x")}),
    "region": ((8, 30, 36), Selection("zyx", box=((2, 6), (4, 30), (0, 20))), {}),
    "channel": ((2, 8, 30, 36), Selection("czyx", channel=1), {"axis_labels": ("c", "z", "y", "x")}),
    "channel inside": ((4, 2, 30, 36), Selection("tcyx", channel=1, each="t"), {"axis_labels": tuple("tcyx")}),
    "colour": ((40, 48, 3), Selection("yxc", channel="grey"), {"rgb": True}),
    "unnamed axes": ((3, 4, 30, 36), Selection("tzyx", each="t"), {}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_runs_as_it_does_headless_and_lies_on_the_layer(kind):
    shape, selection, options = KINDS[kind]
    layer = Image(grey(shape), name="cells", **options)
    recipe = Recipe(STEPS, selection)
    setup = Setup(recipe, {"image": layer})
    assert problems(setup) == {}
    outcome = request_of(setup).run(lambda *_: None, lambda: False)
    fitted = setup.fitted()
    expected = execute(fitted, {"image": layer.data}).labels
    np.testing.assert_array_equal(outcome.labels.reshape(expected.shape), expected)
    assert Recipe.from_json(outcome.options["metadata"]["napari_cutout"]["recipe"]) == fitted
    labels = Labels(outcome.labels, **outcome.options)
    start = [first for first, _ in selection.bounds(shape)] if kind == "region" else [0] * labels.ndim
    if kind != "channel inside":  # there, an axis of length 1 spans the channels
        place = layer.data_to_world(start)[: labels.ndim]
        np.testing.assert_array_equal(labels.data_to_world([0] * labels.ndim), place)
    spacing = (2.0, 1.0, 1.0) if options.get("scale") else None
    assert {step.settings.get("spacing") for step in fitted.steps} == {spacing}
    if kind == "region":
        whole = Setup(recipe, {"image": layer}, whole=True)
        assert request_of(whole).run(lambda *_: None, lambda: False).labels.shape == shape


@pytest.mark.parametrize("kind", ["2-D", "3-D with a size", "slices", "channel", "colour"])
def test_its_preview_is_what_the_run_gives_there(kind):
    shape, selection, options = KINDS[kind]
    viewer = ViewerModel()
    layer = viewer.add_image(grey(shape), name="cells", **options)
    setup = Setup(Recipe(STEPS, selection), {"image": layer})
    job, layers, _ = preview_of(setup, viewer)
    assert list(layers) == ["image"]
    cache = StatisticsCache()
    answer = job.run(cache, lambda *_: None, lambda: False)
    for wanted in answer.wanted:
        job.gather(wanted, cache, lambda *_: None, lambda: False)
    answer = job.run(cache, lambda *_: None, lambda: False)
    labels = execute(setup.fitted(), {"image": layer.data}).labels
    seen = labels[tuple(slice(a, a + n) for a, n in zip(answer.start, answer.labels.shape, strict=True))]
    if "followed" not in answer.approximate and "by itself" not in answer.approximate:
        np.testing.assert_array_equal(answer.labels != 0, seen != 0)
    else:
        assert np.mean((answer.labels != 0) == (seen != 0)) > 0.95


def test_why_it_does_not_fit():
    frames = Recipe(STEPS, Selection("tyx", each="t"))
    flat, deep = Image(grey((40, 48)), name="flat"), Image(grey((8, 30, 36)), name="deep")
    named = Image(grey((4, 30, 36)), name="movie", axis_labels=("t", "y", "x"))
    with pytest.raises(ValueError, match="runs on the axes 'tyx', and 'flat' has 'yx'"):
        aim_of(frames, flat)
    assert "'deep' has 'zyx'" in problems(Setup(frames, {"image": deep}))["image"]
    assert "'movie' has 'tyx'" in problems(Setup(Recipe(STEPS), {"image": named}))["image"]
    low = Recipe(STEPS, Selection("yx", level=1))
    assert "runs on level 1, and 'flat' has 1" in problems(Setup(low, {"image": flat}))["image"]
    far = Recipe(STEPS, Selection("yx", box=((0, 50), (0, 9))))
    assert problems(Setup(far, {"image": flat}))["image"]
    assert "no layer to run it on" in problems(Setup(Recipe(STEPS), {"image": None}))["image"]
    assert "are free" in problems(Setup(Recipe(STEPS), {"image": flat}, free=9))["memory"]


def test_what_it_reads_beside_the_image():
    image = Image(grey((40, 48)), name="cells")
    strokes = np.zeros((40, 48), np.uint8)
    strokes[5:9, 5:9], strokes[30:34, 30:40] = 1, 2
    recipe = Recipe([Step("watershed", {}, {"image": "image", "markers": "strokes"})])
    assert problems(Setup(recipe, {"image": image})) == {"strokes": "the recipe reads strokes; choose a layer"}
    small = Labels(strokes[1:], name="small")
    assert "shape" in problems(Setup(recipe, {"image": image, "strokes": small}))["strokes"]
    assert "has the shape" in problems(Setup(recipe, {"image": image}, {"strokes": strokes[1:]}))["strokes"]
    fits = Setup(recipe, {"image": image, "strokes": Labels(strokes, name="mine")})
    kept = Setup(recipe, {"image": image, "strokes": None}, {"strokes": strokes})
    expected = execute(recipe, {"image": image.data, "strokes": strokes}).labels
    for setup in (fits, kept):
        outcome = request_of(setup).run(lambda *_: None, lambda: False)
        np.testing.assert_array_equal(outcome.labels, expected)
    assert "mine" in str(request_of(fits).sources["markers"])


def test_layers_that_were_channels_of_one_image_are_so_again():
    viewer = ViewerModel()
    layers = [viewer.add_image(grey((20, 24), seed), name=f"stain {seed}") for seed in (0, 1)]
    recipe = Recipe([Step("kmeans")], Selection("cyx", channel="all"))
    sources = {"image": source_of_channels(layers)}
    alone = Setup(recipe, {"image": layers[0]}, sources=sources)
    assert "runs on the axes 'cyx'" in problems(alone)["image"]
    both = alone.with_channels({layer.name: layer for layer in layers})
    assert problems(both) == {}
    expected = execute(recipe, {"image": np.stack([layer.data for layer in layers])}).labels
    outcome = request_of(both).run(lambda *_: None, lambda: False)
    np.testing.assert_array_equal(outcome.labels, expected)
    job, shown, _ = preview_of(both, viewer)
    assert list(shown) == ["image", "with stain 1"]
    np.testing.assert_array_equal(job.run(StatisticsCache(), lambda *_: None, lambda: False).labels, expected)
    assert alone.with_channels({"stain 0": layers[0]}).beside == ()


def test_what_frames_share_is_found_anew_where_one_of_them_changed():
    recipe = Recipe(STEPS, Selection("tyx", each="t", pooled=True))
    layer = Image(grey((3, 30, 36)), name="movie", axis_labels=("t", "y", "x"))
    cache, setup = StepCache(), Setup(recipe, {"image": layer})
    for light in (0, 90):
        layer.data[2] //= 4
        layer.data[2] += np.uint8(light)
        cache.begin(2**20)
        outcome = request_of(setup, cache).run(lambda *_: None, lambda: False)
        np.testing.assert_array_equal(outcome.labels, execute(recipe, {"image": layer.data}).labels)
