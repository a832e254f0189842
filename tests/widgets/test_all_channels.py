"""All channels of a layer together: the rows offer them, and previews and runs give what the API gives."""

from __future__ import annotations

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
import zarr

import napari_cutout as nc
from napari_cutout._selection import Selection
from napari_cutout.recipe import Recipe, Step
from napari_cutout.widgets import _preview_arrays, _row_widget
from napari_cutout.widgets._known_statistics import StatisticsCache
from napari_cutout.widgets._preview_arrays import sample_of
from napari_cutout.widgets._preview_job import PreviewJob
from napari_cutout.widgets._request import Form, estimate, problems
from napari_cutout.widgets._target import Choice, recalled, remember, taken_by, target
from napari_cutout.widgets._view import View
from napari_cutout.widgets._warm_up import sample_for

from ..cases import two_humps
from ..toys import above_hundred, channel_methods, strongest, strongest_by_hand
from .test_layer_kinds import assert_lies, choose
from .test_preview_job import answered, never, plane, quiet, same_voxels
from .test_reproduce import copied, hold_to
from .test_target import whole

__all__ = ["channel_methods", "copied"]

pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")

TOGETHER, GREY = "all together", "grey (mean of all)"


def stains(*shape, seed=0):
    """Grey levels of which every part has another brightest channel."""
    return np.random.default_rng(seed).integers(1, 250, shape).astype(np.uint8)


@pytest.fixture
def image_layer():
    from napari.layers import Image

    return Image


# What is chosen -------------------------------------------------------------------------------------------


def test_what_is_taken_depends_on_the_method_and_the_layer(image_layer):
    layer = image_layer(stains(3, 12, 14))
    choice = Choice("cyx", channel=2)
    assert taken_by(choice, layer, takes_channels=True).channel == "all"
    assert taken_by(choice, layer, takes_channels=False).channel == 2
    assert taken_by(Choice("cyx", channel=2, together=False), layer, takes_channels=True).channel == 2
    assert taken_by(Choice("zyx"), layer, takes_channels=True).channel == 0
    assert taken_by(Choice("cyx"), image_layer(stains(1, 12, 14)), takes_channels=True).channel == 0
    colour = image_layer(stains(12, 14, 3), rgb=True)
    assert taken_by(recalled(colour), colour, takes_channels=True).channel == "all"
    remember(layer, choice)
    assert recalled(layer) == choice


@pytest.mark.parametrize("axes", ["cyx", "czyx", "zcyx", "tcyx"])
def test_the_target_of_all_channels_lies_where_that_of_one_does(axes, image_layer):
    layer = image_layer(stains(3, 4, 12, 14)[tuple(slice(None) if len(axes) == 4 else 0 for _ in "c"[: 4 - len(axes)])])
    found = [target(layer, Choice(axes, time="each", channel=which), whole(len(axes) - 1)) for which in (1, "all")]
    one, together = found
    assert together.selection == Selection(axes, "all", each=one.selection.each)
    assert together.result_shape == one.result_shape
    assert together.part_shape == one.part_shape
    assert together.spacing == one.spacing
    np.testing.assert_array_equal(together.result_place["affine"], one.result_place["affine"])


def test_a_method_that_takes_one_channel_never_sees_all(image_layer):
    layer = image_layer(stains(3, 12, 14), name="stains")
    form = Form(above_hundred.__method__, {"image": layer}, {}, Choice("cyx", channel="all"))
    (problem,) = problems(form)
    assert problem.sentence.startswith("above_hundred takes one channel, and all of them together were asked for")
    form = Form(strongest.__method__, {"image": layer}, {}, Choice("cyx", channel="all"))
    assert problems(form) == ()


def test_memory_is_that_of_all_channels(image_layer):
    two, six = (image_layer(da.zeros((n, 512, 512), chunks=64, dtype=np.uint8)) for n in (2, 6))
    needs = []
    for layer in (two, six):
        form = Form(strongest.__method__, {"image": layer}, {"sigma": 1.0}, Choice("cyx", channel="all"))
        needs.append(estimate(form, form.target))
    assert needs[1] - needs[0] >= 4 * 512 * 512 * (1 + 4)


def test_the_warm_up_sees_channels_where_the_run_does(image_layer):
    layer = image_layer(stains(3, 4, 12, 14))
    together, one = (
        sample_for(Form(strongest.__method__, {"image": layer}, {}, Choice("czyx", channel=which)))
        for which in ("all", 0)
    )
    assert together.key != one.key
    assert together.inputs["image"].ndim == 4
    for sample in (together, one):
        sample.run(never)


# Previews -------------------------------------------------------------------------------------------------


def recipe_on(axes, masked=False, settings=None, **more):
    arrays = ("image", "mask") if masked else ("image",)
    return Recipe([Step("strongest", settings or {}, {n: n for n in arrays})], Selection(axes, "all", **more))


VIEWS = [
    pytest.param("cyx", (3, 40, 44), ((0, 40), (0, 44)), id="plane"),
    pytest.param("yxc", (40, 44, 3), ((10, 22), (20, 31)), id="colours"),
    pytest.param("yxc", (40, 44, 4), ((10, 22), (20, 31)), id="alpha"),
    pytest.param("czyx", (3, 6, 40, 44), ((10, 22), (20, 31)), id="slice"),
    pytest.param("zcyx", (6, 3, 40, 44), ((0, 40), (0, 44)), id="channels in the middle"),
]


@pytest.mark.parametrize("library", ["numpy", "dask", "zarr"])
@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize(("axes", "shape", "box"), VIEWS)
def test_a_preview_gives_the_voxels_of_the_run(axes, shape, box, masked, library):
    image = stains(*shape)
    kept = tuple(n for axis, n in zip(axes, shape, strict=True) if axis != "c")
    held = {"numpy": image, "dask": da.from_array(image, chunks=8), "zarr": zarr.array(image, chunks=8)}[library]
    mask = {"mask": np.indices(kept)[-1] > 5} if masked else {}
    recipe = recipe_on(axes, masked)
    answer = answered(PreviewJob(recipe, {"image": held, **mask}, plane(kept, 2, box)))
    assert answer.approximate == ""
    same_voxels(answer, nc.execute(recipe, {"image": image, **mask}).labels)


@pytest.mark.parametrize("pooled", [False, True], ids=["each", "pooled"])
def test_a_preview_of_a_frame(pooled):
    image = stains(4, 3, 30, 32)
    image[2, 1] //= 3
    recipe = recipe_on("tcyx", each="t", pooled=pooled)
    answer = answered(PreviewJob(recipe, {"image": image}, plane((4, 30, 32), 2)))
    assert answer.approximate == ""
    same_voxels(answer, nc.execute(recipe, {"image": image}).labels)


def test_statistics_of_all_channels_are_not_those_of_one():
    image, cache = stains(3, 5, 30, 32), StatisticsCache()
    view, tokens = plane((5, 30, 32), 2), {"image": "a"}
    answered(PreviewJob(Recipe([Step("strongest")], Selection("czyx", 0)), {"image": image}, view, tokens), cache)
    job = PreviewJob(recipe_on("czyx"), {"image": image}, view, tokens)
    assert job.run(cache, quiet, never).wanted
    same_voxels(answered(job, cache), nc.execute(job.recipe, {"image": image}).labels)


def test_what_is_read_of_a_large_image_counts_all_channels(monkeypatch):
    monkeypatch.setattr(_preview_arrays, "LAZY_VOXELS", 4000)
    read = {}
    for n in (1, 2, 4):
        image = da.from_array(stains(n, 40, 40, 40), chunks=20)
        sample = sample_of({"image": image}, Selection("czyx", "all"), (), filtered=False)
        assert "of its slices" in sample.approximate
        read[n] = sum(sample.read(number)["image"].size for number in range(len(sample.parts)))
    assert all(0 < size <= 4000 for size in read.values())
    steps = PreviewJob(recipe_on("czyx"), {"image": image}, plane((40, 40, 40), 3))
    answer = answered(steps)
    assert answer.approximate == "statistics of 8 of its slices or bands of rows"


def test_there_is_no_histogram_of_all_channels():
    job = PreviewJob(recipe_on("cyx"), {"image": stains(3, 12, 14)}, plane((12, 14)))
    with pytest.raises(ValueError, match="all channels are taken together, and a histogram is of one; choose a chan"):
        job.count(StatisticsCache(), quiet, never)


def test_a_pyramid_is_previewed_on_a_lower_level(monkeypatch):
    image = stains(2, 64, 64)
    monkeypatch.setattr("napari_cutout.widgets._preview_region.MOST_VOXELS", 1500)
    levels = [image, image[:, ::2, ::2]]
    recipe = recipe_on("cyx", settings={"sigma": 0.5})
    view = View((1, 2), (0, 0, 0), ((0, 2), (0, 64), (0, 64)))
    answer = answered(PreviewJob(recipe, {"image": levels}, view))
    assert answer.level == 1
    assert "computed on level 1" in answer.approximate
    assert answer.labels.shape == (32, 32)


CLUSTERED = {
    "all channels": Selection("czyx", "all"),
    "one channel": Selection("czyx", 1),
    "a region": Selection("czyx", "all", box=((1, 6), (4, 44), (2, 40))),
    "pooled": Selection("tcyx", "all", each="t", pooled=True),
    "each slice": Selection("zcyx", "all", each="z"),
}


@pytest.mark.parametrize("which", CLUSTERED)
@pytest.mark.parametrize("method", ["kmeans", "gaussian_mixture"])
def test_clusters_of_features_are_those_of_the_run_also_by_position(method, which):
    selection = CLUSTERED[which]
    image = two_humps((3, 7, 48, 50), seed=4)
    image = image if selection.axes == "czyx" else np.ascontiguousarray(image.swapaxes(0, 1))
    recipe = Recipe([Step(method, {"features": ("intensity", "gradient", "position"), "scales": (1.0,)})], selection)
    answer = answered(PreviewJob(recipe, {"image": image}, plane((7, 48, 50), 4, ((9, 30), (14, 33)))))
    assert answer.approximate == ""
    start = tuple(a - first for a, (first, _) in zip(answer.start, selection.bounds(image.shape), strict=True))
    index = tuple(slice(a, a + n) for a, n in zip(start, answer.labels.shape, strict=True))
    labels = nc.execute(recipe, {"image": image}).labels
    np.testing.assert_array_equal(answer.labels, labels[index])
    assert len(np.unique(answer.labels)) > 1


def test_a_position_is_that_in_the_whole_on_a_lower_level_and_in_a_sample(monkeypatch):
    settings = {"features": ("position",), "n_clusters": 2, "standardise": False}
    column = Recipe([Step("kmeans", settings)])
    image = np.broadcast_to(np.arange(240, dtype=np.uint8), (40, 240)).copy()
    labels = nc.execute(column, {"image": image}).labels
    assert len(np.unique(labels, axis=0)) == 1, "left and right"
    monkeypatch.setattr("napari_cutout.widgets._preview_region.MOST_VOXELS", 2500)
    lower = PreviewJob(column, {"image": [image, image[::2, ::2]]}, plane((40, 240)))
    answer = answered(lower)
    assert (answer.level, answer.approximate) == (1, "computed on level 1; statistics of level 1")
    np.testing.assert_array_equal(answer.labels, labels[::2, ::2])
    _, right = answered(replace(lower, view=plane((40, 240), 0, ((0, 40), (130, 240))))).labels.T[[0, -1]]
    assert set(right) == {2}, "in a view of the right there is no left"
    monkeypatch.setattr(_preview_arrays, "LAZY_VOXELS", 1000)
    sampled = PreviewJob(column, {"image": da.from_array(image, chunks=20)}, plane((40, 240), 0, ((3, 9), (100, 140))))
    answer = answered(sampled)
    assert "statistics of" in answer.approximate
    index = tuple(slice(a, a + n) for a, n in zip(answer.start, answer.labels.shape, strict=True))
    n_left = [np.count_nonzero(found == 1, axis=1) for found in (answer.labels, labels[index])]
    np.testing.assert_allclose(*n_left, atol=1, err_msg="centres of a sample lie half a column beside those of all")


@pytest.mark.parametrize("in_memory", [True, False], ids=["numpy", "dask"])
@pytest.mark.parametrize("features", [("intensity", "gradient"), ("gaussian", "position")], ids=" ".join)
def test_statistics_by_scale_are_learnt_on_the_level_that_asks(features, in_memory, monkeypatch):
    monkeypatch.setattr(_preview_arrays, "LAZY_VOXELS", 6000)
    image = two_humps((3, 80, 84), seed=4)
    levels = [image, image[:, ::2, ::2], image[:, ::4, ::4]]
    held = levels if in_memory else [da.from_array(level, chunks=20) for level in levels]
    recipe = Recipe([Step("kmeans", {"features": features, "scales": (2.0, 4.0)})], Selection("cyx", "all"))
    view = View((1, 2), (0, 0, 0), ((0, 3), (10, 40), (14, 33)))
    job, cache = PreviewJob(recipe, {"image": held}, view), StatisticsCache()
    found = answered(job, cache)
    assert found.approximate == ("" if in_memory else "statistics of 8 of its slices or bands of rows")
    monkeypatch.setattr("napari_cutout.widgets._preview_region.MOST_VOXELS", 1800)
    lower = replace(job, view=View((1, 2), (0, 0, 0), ((0, 3), (0, 80), (0, 84))))
    answer = answered(lower, cache)
    assert answer.level == 1
    assert answer.approximate.startswith("computed on level 1; statistics of ")
    assert not answer.wanted
    run = nc.execute(recipe, {"image": image}).labels[::2, ::2]
    assert (answer.labels == run).mean() > 0.85, "a preview on another level is another image, but much alike"


def test_lengths_count_as_much_on_a_lower_level(monkeypatch):
    image = np.repeat(np.array([0, 100], np.uint8), 20)[:, None] + np.zeros((1, 240), np.uint8)
    image[:, 120:] += 1
    settings = {"features": ("intensity", "position"), "n_clusters": 2, "standardise": False}
    recipe = Recipe([Step("kmeans", settings)])
    monkeypatch.setattr("napari_cutout.widgets._preview_region.MOST_VOXELS", 2500)
    answer = answered(PreviewJob(recipe, {"image": [image, image[::2, ::2]]}, plane((40, 240))))
    assert answer.level == 1
    assert answer.labels[:, :50].max() == 1, "left and right lie further apart than dark and bright"
    assert answer.labels[:, 70:].min() == 2


# In the window --------------------------------------------------------------------------------------------


@pytest.fixture
def open_toy(viewer, channel_methods):
    """Open the widget with a method that takes channels, and one that takes one."""

    def open_widget():
        widget = _row_widget("ToyChannelsWidget")(viewer)
        viewer.window.add_dock_widget(widget)
        return widget

    return open_widget


def offered(widget):
    box = widget.target_rows.channel_box
    return [box.itemText(at) for at in range(box.count())]


@pytest.mark.qt
def test_all_together_is_offered_and_chosen_for_methods_that_take_channels(viewer, open_toy):
    layer = viewer.add_image(stains(3, 24, 26), axis_labels=("c", "y", "x"))
    widget = open_toy()
    rows, box = widget.target_rows, widget.target_rows.channel_box
    assert offered(widget) == ["0", "1", "2", GREY, TOGETHER]
    assert (box.currentText(), rows.choice.channel) == (TOGETHER, "all")
    widget.choose_method("above_hundred")
    assert offered(widget) == ["0", "1", "2", GREY]
    assert rows.choice.channel == 0
    choose(box, "2")
    widget.choose_method("strongest")
    assert rows.choice.channel == "all", "a channel that another method takes says nothing about this one"
    choose(box, "1")
    assert rows.choice.channel == 1
    choose(box, TOGETHER)
    assert rows.choice.channel == "all"
    widget.choose_method("above_hundred")
    assert rows.choice.channel == 1, "that which was chosen last"
    widget.choose_method("strongest")
    choose(box, GREY)
    again = open_toy()
    assert again.target_rows.choice.channel == "grey"
    again.target_rows.choose(channel="all")
    assert recalled(layer) == Choice("cyx", channel="grey", together=True)


@pytest.mark.qt
def test_another_row_says_nothing_about_the_channels(viewer, open_toy):
    viewer.add_image(stains(3, 24, 26))
    widget = open_toy()
    assert offered(widget) == [GREY]
    assert not widget.target_rows.channel_box.isVisibleTo(widget.target_rows)
    choose(widget.target_rows.axis_boxes[0], "C")
    assert widget.target_rows.choice.channel == "all"
    widget.target_rows.choose(channel=2)
    assert widget.target_rows.choice.channel == 2
    choose(widget.target_rows.axis_boxes[0], "Z")
    choose(widget.target_rows.axis_boxes[0], "C")
    assert widget.target_rows.choice == Choice("cyx", together=False)


@pytest.mark.qt
@pytest.mark.parametrize("n", [3, 4])
def test_colours_together_are_three(viewer, open_toy, press, n):
    photo = stains(24, 26, n)
    image = viewer.add_image(photo, rgb=True, scale=(2, 3), translate=(5, 7))
    widget = open_toy()
    assert offered(widget) == [*["red", "green", "blue", "alpha"][:n], GREY, TOGETHER]
    assert "Alpha is no colour" in widget.target_rows.channel_box.toolTip()
    press(widget)
    labels = viewer.layers[-1]
    np.testing.assert_array_equal(labels.data, strongest_by_hand(np.moveaxis(photo, -1, 0)[:3]))
    assert_lies(labels, (23, 25), image, (23, 25))


KINDS = {
    "plane": ("cyx", (3, 24, 26), {}),
    "volume": ("czyx", (3, 5, 24, 26), {}),
    "slices": ("czyx", (3, 5, 24, 26), {"depth": "each"}),
    "in the middle": ("zcyx", (5, 3, 24, 26), {}),
    "pooled": ("tcyx", (4, 2, 24, 26), {"time": "pooled"}),
    "frames": ("tcyx", (4, 2, 24, 26), {"time": "each"}),
}


@pytest.mark.qt
@pytest.mark.parametrize("library", ["numpy", "dask"])
@pytest.mark.parametrize(("axes", "shape", "rows"), KINDS.values(), ids=KINDS)
def test_what_is_previewed_is_run(axes, shape, rows, library, viewer, open_toy, press, qtbot):
    image = stains(*shape)
    held = da.from_array(image, chunks=(1, *shape[1:])) if library == "dask" else image
    layer = viewer.add_image(held, axis_labels=tuple(axes), name="image")
    widget = open_toy()
    widget.target_rows.choose(**rows)
    assert "needs about" in widget.bar.plan.text()
    mask = (np.indices([n for axis, n in zip(axes, shape, strict=True) if axis != "c"])[-1] > 3).astype(np.uint8)
    widget.add_layer("mask")
    viewer.layers["mask"].data = np.reshape(mask, viewer.layers["mask"].data.shape)
    widget.boxes["image"].choose(layer)
    with qtbot.waitSignal(widget.preview.answered):
        widget.preview_box.setChecked(True)
    qtbot.waitUntil(lambda: "approximate" not in widget.bar.status.text())
    shown = np.squeeze(np.asarray(viewer.layers["preview"].data)).copy()
    press(widget)
    labels = viewer.layers[-1]
    recipe = Recipe.from_json(labels.metadata["napari_cutout"]["recipe"])
    assert recipe.selection.channel == "all"
    assert "channel_axis" not in recipe.steps[0].settings
    expected = nc.execute(recipe, {"image": image, "mask": mask}).labels
    np.testing.assert_array_equal(np.squeeze(labels.data), np.squeeze(expected))
    at = tuple(viewer.dims.current_step[n] for n, axis in enumerate(axes) if axis in "tz")
    np.testing.assert_array_equal(shown, expected[at])


@pytest.mark.qt
@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind != "in the middle"]
)  # of a file, napari puts channels first
def test_what_is_run_is_copied(kind, viewer, open_toy, press, copied, tmp_path, monkeypatch):
    axes, shape, rows = KINDS[kind]
    monkeypatch.chdir(tmp_path)
    nc.write("stains.tif", nc.Volume(stains(*shape), axes), kind="image")
    viewer.open("stains.tif", plugin="napari")
    widget = open_toy()
    widget.target_rows.choose(letters=axes, **rows)
    press(widget)
    assert viewer.layers[-1].metadata["napari_cutout"]["provenance"]["sources"]["image"]["path"]
    assert "--channel=all" in copied(widget, "command")
    hold_to(copied, widget, viewer.layers[-1])
