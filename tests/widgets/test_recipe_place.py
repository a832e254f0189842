"""What a recipe runs on in the widget *Recipe*: said, changed as in the widgets of methods, undone, and as headless."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.layers import Image, Labels

import napari_cutout as nc
from napari_cutout.io import Volume
from napari_cutout.recipe import Recipe, Selection, Step
from napari_cutout.widgets._recipe_job import Setup, problems
from napari_cutout.widgets._recipe_target import choice_of, region_of, selection_of
from napari_cutout.widgets._target import Choice, Extent, recalled
from napari_cutout.widgets._target_rows import words_of

STEPS = (Step("threshold", {"one_per_object": True}), Step("objects", {}, {"labels": "step_1"}))

FRAMES = Selection("tyx", each="t")


def grey(shape):
    """Smooth noise whose planes differ in brightness, uint8."""
    from scipy import ndimage

    random = np.random.default_rng(0)
    planes = ndimage.gaussian_filter(random.random(shape), [0] * (len(shape) - 2) + [2, 2])
    light = np.linspace(1, 2, int(np.prod(shape[:-2]))).reshape(*shape[:-2], 1, 1)
    planes = planes * light
    return (255 * (planes - planes.min()) / np.ptp(planes)).astype(np.uint8)


SHAPES = {"yx": (36, 40), "zyx": (5, 36, 40), "tyx": (3, 36, 40), "tzyx": (3, 4, 36, 40), "cyx": (2, 36, 40)}


@pytest.fixture
def opened(viewer, dock, tmp_path):
    """Open the widget with a recipe from a file."""

    def open_recipe(selection=None, steps=STEPS):
        Recipe(steps, selection).save(tmp_path / "cut.json", overwrite=True)
        widget = dock("Recipe")
        widget.open_file(tmp_path / "cut.json")
        return widget

    return open_recipe


def add(viewer, axes, *, named=True):
    """Add an image with these axes."""
    return viewer.add_image(grey(SHAPES[axes]), name=axes, axis_labels=tuple(axes) if named else None)


def pick(box, words):
    """Choose in a box as a user does."""
    at = box.findText(words)
    assert at >= 0, [box.itemText(n) for n in range(box.count())]
    box.setCurrentIndex(at)
    box.activated.emit(at)


def sentence(widget):
    """What is said of the image."""
    line = widget.inputs.lines["image"]
    return "" if line.isHidden() else line.text()


def assert_runs_as_headless(widget, press, viewer, axes):
    press(widget)
    labels = nc.run(widget.draft.recipe, Volume(viewer.layers[axes].data, axes)).labels
    np.testing.assert_array_equal(viewer.layers[-1].data, labels)
    assert labels.max() > 1


pytestmark = pytest.mark.qt


MOVES = [
    # the image, what the recipe ran on, what is missing then and what is chosen, what it runs on then and its words
    ("yx", FRAMES, "", None, None, "Y X · whole image"),
    ("zyx", FRAMES, "", None, None, "Z Y X · whole volume"),
    ("cyx", None, "", None, Selection("cyx", channel=0), "C Y X · whole image · channel 0"),
    ("tyx", None, "time", "each frame by itself", FRAMES, "T Y X · each frame by itself"),
    (
        "tzyx",
        None,
        "time",
        "each frame, statistics of all",
        Selection("tzyx", each="t", pooled=True),
        "T Z Y X · each frame, statistics of all · whole volume",
    ),
    ("tzyx", FRAMES, "", None, Selection("tzyx", each="t"), "T Z Y X · each frame by itself · whole volume"),
]


@pytest.mark.parametrize(("axes", "before", "missing", "said", "after", "words"), MOVES)
def test_a_recipe_is_fitted_to_a_layer_of_other_axes(axes, before, missing, said, after, words, viewer, opened, press):
    add(viewer, axes)
    widget = opened(before)
    assert f"and '{axes}' has '{axes}'; choose another layer, or fit the recipe to this one" in sentence(widget)
    assert not widget.bar.ready
    assert widget.place.fit_button.isHidden() == bool(missing)
    if missing:
        assert "say whether each frame" in widget.place.lines[missing].text()
        assert widget.place.fold.is_open
        pick(widget.place.rows.time_box, said)
    else:
        widget.place.fit_button.click()
    assert widget.draft.recipe == Recipe(STEPS, after)
    assert sentence(widget) == ""
    assert widget.place.fit_button.isHidden()
    assert widget.place.fold.text() == words
    assert_runs_as_headless(widget, press, viewer, axes)
    widget.undo()
    assert widget.draft.recipe == Recipe(STEPS, before), "one edit"
    assert not widget.past.can_undo
    widget.redo()
    assert widget.bar.ready


def test_an_image_that_fits_is_run_otherwise(viewer, opened, press):
    add(viewer, "tzyx")
    widget = opened(Selection("tzyx", each="t"))
    place = widget.place
    assert sentence(widget) == ""
    assert not place.fold.is_open
    pick(place.rows.depth_box, "each slice by itself")
    assert widget.draft.recipe.selection == Selection("tzyx", each="tz")
    assert_runs_as_headless(widget, press, viewer, "tzyx")
    slices = viewer.layers[-1].data.copy()
    pick(place.rows.time_box, "each frame, statistics of all")
    assert widget.draft.recipe.selection == Selection("tzyx", each="tz", pooled=True)
    assert_runs_as_headless(widget, press, viewer, "tzyx")
    assert (viewer.layers[-1].data != slices).any()
    widget.undo()
    widget.undo()
    assert place.fold.text() == "T Z Y X · each frame by itself · whole volume"
    assert place.rows.depth_box.currentText() == "whole volume"


def test_a_channel_is_chosen(viewer, opened, press):
    add(viewer, "cyx")
    widget = opened(Selection("cyx", channel=0))
    for words, channel in (("1", 1), ("grey (mean of all)", "grey")):
        pick(widget.place.rows.channel_box, words)
        assert widget.draft.recipe.selection.channel == channel
        assert_runs_as_headless(widget, press, viewer, "cyx")
    assert widget.place.rows.channel_box.findText("all together") < 0, "a threshold takes one"
    widget = opened(Selection("cyx", channel="all"), [Step("kmeans")])
    assert widget.place.fold.text() == "C Y X · whole image · channels all together"
    pick(widget.place.rows.channel_box, "1")
    assert widget.draft.recipe.selection.channel == 1
    assert_runs_as_headless(widget, press, viewer, "cyx")
    pick(widget.place.rows.channel_box, "all together")
    assert widget.draft.recipe.selection.channel == "all"
    assert_runs_as_headless(widget, press, viewer, "cyx")


def test_a_film_without_names_of_its_axes(viewer, opened, press):
    layer = add(viewer, "tyx", named=False)
    widget = opened(FRAMES)
    assert "and 'tyx' has 'zyx'" in sentence(widget)
    pick(widget.place.rows.axis_boxes[0], "T")
    assert not widget.past.can_undo, "the recipe says the same as before"
    assert_runs_as_headless(widget, press, viewer, "tyx")

    # and a stack that turns out to be one
    other = viewer.add_image(layer.data.copy(), name="stack")
    widget.inputs.boxes["image"].choose(other)
    widget.place.fit_button.click()
    assert widget.place.fold.text() == "Z Y X · whole volume"
    pick(widget.place.rows.axis_boxes[0], "T")
    assert "say whether each frame" in widget.place.lines["time"].text()
    assert recalled(other).letters == "tyx", "other widgets know it"
    pick(widget.place.rows.time_box, "each frame by itself")
    assert widget.draft.recipe.selection == FRAMES
    assert widget.bar.ready
    for step, words in ((widget.undo, "Z Y X · whole volume"), (widget.redo, "T Y X · each frame by itself")):
        step()
        assert widget.place.fold.text() == words
        assert widget.bar.ready, "the axes are called as the recipe calls them"


def test_undo_calls_no_axis_by_another_name_than_the_edit(viewer, opened):
    stack = add(viewer, "zyx")
    widget = opened(FRAMES)
    widget.place.fit_button.click()
    assert widget.bar.ready
    widget.undo()
    assert "and 'zyx' has 'zyx'" in sentence(widget)
    assert recalled(stack).letters == "zyx"


def test_what_a_step_cannot_run_on_is_said(viewer, opened):
    add(viewer, "tzyx")
    link = Step("link_frames", {}, {"labels": "step_1"})
    steps = [*STEPS[:1], link, Step("objects", {}, {"labels": "step_2"})]
    widget = opened(None, steps)
    pick(widget.place.rows.time_box, "each frame by itself")
    assert "must be the last step; move it to the end" in widget._lines["recipe"].text()
    assert widget.draft.recipe == Recipe(steps)


def test_a_slice_stays_the_one_that_was_shown(viewer, opened, press):
    add(viewer, "zyx")
    widget = opened()
    viewer.dims.set_current_step(0, 3)
    pick(widget.place.rows.depth_box, "this slice")
    box = ((3, 4), (0, 36), (0, 40))
    assert widget.draft.recipe.selection == Selection("zyx", box=box, each="z")
    assert widget.place.fold.text() == "Z Y X · this slice · z=3"
    viewer.dims.set_current_step(0, 1)
    widget.refresh()
    assert widget.place.rows.depth_box.currentText() == "this slice"
    assert_runs_as_headless(widget, press, viewer, "zyx")
    widget.whole_box.setChecked(True)
    assert widget.place.fold.text() == "Z Y X · each slice by itself"
    widget.whole_box.setChecked(False)
    pick(widget.place.rows.depth_box, "whole volume")
    assert widget.draft.recipe.selection is None


def test_nothing_can_be_chosen_of_a_plane_or_without_a_layer(viewer, opened):
    widget = opened(Selection("tyx", each="t", pooled=True))
    assert widget.place.fold.text() == "T Y X · each frame, statistics of all"
    assert not widget.place.fold.button.isEnabled()
    assert "there is no layer to run it on" in sentence(widget)
    assert widget.place.fit_button.isHidden()
    widget = opened()
    assert widget.place.fold.text() == "whole image"
    add(viewer, "yx")
    assert widget.place.fold.text() == "Y X · whole image"
    assert not widget.place.fold.button.isEnabled()
    assert widget.bar.ready


def test_images_and_folders_are_not_asked_to_fit(viewer, opened):
    add(viewer, "yx")
    widget = opened(FRAMES)
    assert not widget.place.fit_button.isHidden()
    widget.batch.choose("images")
    assert widget.place.fit_button.isHidden()


# Without a window ------------------------------------------------------------------------------------------------


def setup_on(layer, selection=None, **options):
    return Setup(Recipe(STEPS, selection), {"image": layer}, **options)


@pytest.mark.parametrize(
    ("selection", "choice"),
    [
        (None, Choice("zyx")),
        (Selection("zyx", each="z"), Choice("zyx", depth="each")),
        (Selection("zyx", each="z", box=((2, 3), (0, 36), (0, 40))), Choice("zyx", depth="this")),
        (Selection("zyx", each="z", box=((1, 4), (4, 30), (0, 20))), Choice("zyx", depth="each")),
        (Selection("zyx", box=((1, 4), (4, 30), (0, 20))), Choice("zyx")),
        (Selection("zyx", box=((1, 2), (4, 30), (0, 20))), Choice("zyx")),
    ],
)
def test_rows_say_what_a_recipe_says(selection, choice):
    layer = Image(grey(SHAPES["zyx"]), name="stack")
    setup = setup_on(layer, selection)
    assert choice_of(setup.alone, layer) == choice
    again = selection_of(setup, choice, Extent((0, 0, 0)))
    assert Recipe(STEPS, again) == setup.recipe, "there and back"


def test_a_region_stays_where_it_is_at_every_level():
    data = grey((60, 90))
    pyramid = Image([data, data[::2, ::2], data[:60:4, :84:4]], name="pyramid", multiscale=True)
    low = Selection("yx", level=2, box=((3, 9), (5, 20)))
    for start in range(20):
        one = replace(low, box=((3, 9), (start, start + 1)))
        assert selection_of(setup_on(pyramid, one), choice_of(one, pyramid), Extent((0, 0))) == one
    fine = selection_of(setup_on(pyramid, low), Choice("yx", level=1), Extent((0, 0)))
    assert fine == Selection("yx", level=1, box=((6, 18), (10, 43))), "a voxel is 90 / 21 wide, and then 2"
    assert region_of(low, pyramid) == "y=3:9, x=5:20"
    assert region_of(Selection("yx", level=2, box=((3, 9), (0, 21))), pyramid) == "y=3:9"
    flat = Image(data[:20, :20], name="flat")
    assert choice_of(low, flat) == Choice("yx")
    assert "runs on level 2, and 'flat' has 1; choose another layer, or fit" in problems(setup_on(flat, low))["image"]
    assert selection_of(setup_on(flat, low), Choice("yx"), Extent((0, 0))) == Selection("yx")


def test_a_frame_and_what_other_layers_lack():
    layer = Image(grey(SHAPES["tzyx"]), name="film", axis_labels=tuple("tzyx"))
    one = Selection("tzyx", each="t", box=((1, 2), (0, 4), (6, 30), (0, 40)))
    setup = setup_on(layer, one)
    assert choice_of(one, layer) == Choice("tzyx", time="this")
    sliced = selection_of(setup, Choice("tzyx", time="this", depth="each"), Extent((2, 3, 0, 0)))
    assert sliced == Selection("tzyx", each="tz", box=one.box), "the frame that it was"
    frames = selection_of(setup, Choice("tzyx", time="each"), Extent((2, 3, 0, 0)))
    assert frames == Selection("tzyx", each="t", box=((0, 3), (0, 4), (6, 30), (0, 40)))
    assert setup_on(layer, one, whole=True).alone == Selection("tzyx", each="t")
    two = Image(grey((2, 36, 40)), name="two", axis_labels=tuple("cyx"))
    third = Selection("cyx", channel=2)
    assert "runs on channel 2, and 'two' has 2, from 0" in problems(setup_on(two, third))["image"]
    assert choice_of(third, two).channel == 0
    far = Selection("yx", box=((0, 50), (0, 9)))
    assert (
        "ends at 50 along 'y', and 'plane' at 36; tick 'all of the image"
        in problems(setup_on(Image(grey((36, 40)), name="plane"), far))["image"]
    )


def test_layers_as_channels_are_fitted_together():
    layers = [Image(grey(SHAPES["zyx"]) // n, name=f"stain {n}") for n in (1, 2)]
    recipe = Recipe([Step("kmeans")], Selection("czyx", channel="all"))
    setup = Setup(recipe, {"image": layers[0]}, beside=(layers[1],))
    assert choice_of(setup.alone, layers[0], takes_channels=True) == Choice("zyx")
    found = selection_of(setup, Choice("zyx", depth="each"), Extent((0, 0, 0)))
    assert found == Selection("czyx", channel="all", each="z")


def test_a_voxel_size_of_other_axes_is_said_before_the_run():
    plane = Image(grey((36, 40)), name="plane")
    recipe = Recipe([Step("split_touching", {"spacing": (2.0, 1.0, 1.0)})])
    labels = Labels((plane.data > 99).astype(np.uint8), name="cut")
    found = problems(Setup(recipe, {"labels": labels}))["labels"]
    assert "has 3 lengths, (2.0, 1.0, 1.0), and it runs on 'yx' of 'cut', whose own is not set" in found
    sized = Labels(labels.data, name="cut", scale=(0.5, 0.5))
    assert problems(Setup(recipe, {"labels": sized})) == {}


def test_words():
    assert words_of(Choice("yxc", channel="grey", level=2)) == ["Y X C", "whole image", "grey (mean of all)", "level 2"]
    assert words_of(Choice("tyx", time="this")) == ["T Y X", "this frame"]
