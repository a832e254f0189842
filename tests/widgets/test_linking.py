"""Objects linked over frames, by the row of the form and by the method, in a real viewer."""

from __future__ import annotations

import json

import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout.recipe import Recipe
from napari_cutout.widgets._use_as import copy_to_paint

pytestmark = pytest.mark.qt


def test_the_row_and_the_method_link_frames(viewer, dock, press):
    film = np.zeros((3, 20, 30), np.uint8)
    for t, frame in enumerate(film):
        frame[4:9, 3 + t : 9 + t] = frame[12:18, 20 - t : 26 - t] = 200
    image = viewer.add_image(film, name="film")
    widget = dock("Threshold")
    rows = widget.target_rows
    rows.choose(letters="tyx", time="each")
    assert rows.numbers_box.isHidden(), "classes have no numbers"
    widget.set(one_per_object=True)
    assert not rows.numbers_box.isHidden()
    press(widget)
    on_and_on = viewer.layers["film threshold"]
    assert on_and_on.data.max() == 6

    rows.choose(linked=True)
    assert rows.numbers_box.currentText() == "linked by overlap"
    press(widget)
    linked = viewer.layers[-1]
    assert linked.data.max() == 2
    ours = linked.metadata["napari_cutout"]
    assert [step["method"] for step in json.loads(ours["recipe"])["steps"]] == ["threshold", "link_frames"]
    again = nc.execute(Recipe.from_json(ours["recipe"]), {"image": image.data}).labels
    np.testing.assert_array_equal(again, linked.data)
    rows.choose(time="this")
    assert rows.numbers_box.isHidden()

    rows.choose(time="each", linked=False)
    press(widget)
    cut = viewer.layers[-1]
    assert cut.data.max() == 6
    objects = dock("Objects")
    objects.choose_method("link_frames")
    objects.use("labels", cut)
    assert [box.currentText() for box in objects.target_rows.axis_boxes] == ["T"], "the run that made them knew"
    assert objects.target_rows.time_box.currentText() == "each frame by itself"
    assert objects.target_rows.numbers_box.isHidden(), "it links anyway"
    press(objects)
    made = viewer.layers[-1]
    np.testing.assert_array_equal(made.data, again)
    steps = json.loads(made.metadata["napari_cutout"]["recipe"])["steps"]
    assert [step["method"] for step in steps] == ["threshold", "link_frames"]
    all_know_its_axes(viewer, dock, objects, cut, made)


def all_know_its_axes(viewer, dock, objects, cut, made):
    """What the run knew, the next widget knows; and a method that links frames takes the first axis for time."""
    measure = dock("Measure")
    copied = copy_to_paint(viewer, made)
    for layer in (cut, made, copied):
        measure.use("labels", layer)
        assert measure.frames, layer.name
    bare = viewer.add_labels(made.data, name="bare")
    objects.use("labels", bare)
    assert (objects.target_rows.choice.letters, objects.target_rows.choice.time) == ("tyx", "each"), "it links frames"
    measure.use("labels", bare)
    assert not measure.frames, "nobody has said it"
