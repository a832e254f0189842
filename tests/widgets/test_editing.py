"""Results corrected in the viewer: objects merged, split, cut and deleted by clicks, each one step of napari's undo."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils._test_utils import read_only_mouse_event
from napari.utils.interactions import mouse_move_callbacks, mouse_press_callbacks, mouse_release_callbacks

from napari_cutout.widgets import _use_as
from napari_cutout.widgets._clicked import frame_of, problem_of
from napari_cutout.widgets._clicks import TOOLS, clicks
from napari_cutout.widgets._dock import docks
from napari_cutout.widgets._files import read_layers, write_ome_tiff
from napari_cutout.widgets._layers import is_preview, ours
from napari_cutout.widgets._use_as import GROUPS, copy_to_paint, name_of, uses


def dumbbell(shape=(24, 44)):
    """Two discs with a neck between them, label 7, and a square, label 3."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    labels = np.zeros(shape, np.int32)
    labels[1:4, 1:4] = 3
    labels[((y - 14) ** 2 + (x - 12) ** 2 <= 64) | ((y - 14) ** 2 + (x - 32) ** 2 <= 64)] = 7
    labels[13:16, 12:32] = 7
    return labels


class Mouse:
    """Clicks and drags as napari's canvas tells them: first the viewer, then the layer that is active."""

    def __init__(self, viewer):
        self.viewer = viewer

    def event(self, kind, place, direction=None):
        layer = self.viewer.layers.selection.active
        world = tuple(layer.data_to_world(place))
        dims = list(self.viewer.dims.displayed)
        way = None if direction is None else np.array(direction, dtype=float)
        return read_only_mouse_event(
            type=kind, position=world, dims_displayed=dims, view_direction=way, button=1, is_dragging="move" in kind
        )

    def tell(self, call, *event):
        what = self.event(*event)
        call(self.viewer, what)
        call(self.viewer.layers.selection.active, what)

    def click(self, *place, along=None):
        self.tell(mouse_press_callbacks, "mouse_press", place, along)
        self.tell(mouse_release_callbacks, "mouse_release", place, along)

    def drag(self, start, stop):
        self.tell(mouse_press_callbacks, "mouse_press", start)
        for share in (0.5, 1.0):
            self.tell(mouse_move_callbacks, "mouse_move", np.array(start) + share * (np.array(stop) - start))
        self.tell(mouse_release_callbacks, "mouse_release", stop)

    def key(self, name):
        layer = self.viewer.layers.selection.active
        bound = {str(key): call for key, call in layer.keymap.items()}
        bound[name](layer)


@pytest.fixture
def viewer(request):
    """A viewer without a window, unless the test opens widgets."""
    if request.node.get_closest_marker("qt"):
        return request.getfixturevalue("make_napari_viewer_proxy")()
    return ViewerModel()


@pytest.fixture
def mouse(viewer):
    return Mouse(viewer)


@pytest.fixture
def layer(viewer):
    viewer.add_image(np.zeros((24, 44)), scale=(0.5, 0.25))
    return viewer.add_labels(dumbbell(), name="cells", scale=(0.5, 0.25), translate=(5, 3))


def values(layer):
    return sorted(int(value) for value in np.unique(layer.data))


def test_clicks_merge_and_every_one_is_a_step_of_undo(viewer, layer, mouse):
    layer.data[20:23, 0:3] = 9
    before = layer.data.copy()
    hand = clicks(viewer)
    hand.choose("merge")
    assert hand.said == (TOOLS["merge"].hint, False)
    mouse.click(2, 2)
    assert "keeps 3" in hand.said[0]
    mouse.click(14, 12)
    mouse.click(21, 1)
    assert values(layer) == [0, 3]
    assert hand.said == ("merged 9 into 3; Ctrl+Z takes it back", False)
    layer.undo()
    assert values(layer) == [0, 3, 9]
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)
    layer.redo()
    assert values(layer) == [0, 3, 9]
    layer.undo()
    mouse.key("Enter")
    mouse.click(14, 12)
    mouse.click(2, 2)
    assert values(layer) == [0, 7, 9], "after Enter the first click says anew what is kept"


def test_clicks_split_an_object_at_its_neck(viewer, layer, mouse):
    before = layer.data.copy()
    hand = clicks(viewer)
    hand.choose("split")
    mouse.click(10, 8)
    marks = viewer.layers[-1]
    assert is_preview(marks)
    assert viewer.layers.selection.active is layer, "the layer stays selected, and with it its keys and its undo"
    mouse.key("Enter")
    assert "needs two clicks" in hand.said[0]
    assert hand.said[1]
    mouse.click(18, 36)
    assert len(marks.data) == 2
    mouse.key("Enter")
    assert hand.said == ("split 7 into 2: 8 is new; Ctrl+Z takes it back", False)
    assert set(np.unique(layer.data[:, :18])) == {0, 3, 7}
    assert set(np.unique(layer.data[:, 28:])) == {0, 8}
    np.testing.assert_array_equal(layer.data > 0, before > 0)
    assert marks not in viewer.layers
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)
    mouse.click(10, 8)
    mouse.click(2, 2)
    assert len(viewer.layers[-1].data) == 1, "a click into another object begins there"
    mouse.click(22, 0)
    assert hand.said[1], "a seed on the background is none"
    mouse.key("Escape")
    assert viewer.layers[-1] is layer
    mouse.key("Escape")
    assert (hand.tool, hand.said, str(layer.mode)) == ("", ("", False), "pan_zoom")


@pytest.mark.parametrize("how", ["drag", "clicks"])
def test_a_line_cuts_the_object_that_it_crosses_most(viewer, layer, mouse, how):
    hand = clicks(viewer)
    viewer.scene.camera.zoom = 20
    hand.choose("cut")
    assert not layer.mouse_pan, "else the picture would move with the line"
    if how == "drag":
        mouse.drag((3, 22), (23, 22))
    else:
        mouse.click(3, 22)
        mouse.click(23, 22)
    assert hand.said == ("cut 7: 8 is new; Ctrl+Z takes it back", False)
    assert set(np.unique(layer.data[:, :22])) - {0, 3} != set(np.unique(layer.data[:, 23:])) - {0}
    assert viewer.layers[-1] is layer, "the line is gone"
    now = layer.data.copy()
    mouse.drag((3, 35), (12, 35))
    assert "does not cut object" in hand.said[0]
    mouse.drag((0, 20), (0, 30))
    assert "meets no object" in hand.said[0]
    np.testing.assert_array_equal(layer.data, now)
    hand.choose("")
    assert layer.mouse_pan


def test_clicks_delete_and_a_drag_only_moves_the_picture(viewer, layer, mouse):
    viewer.scene.camera.zoom = 20
    clicks(viewer).choose("delete")
    before = layer.data.copy()
    mouse.drag((14, 12), (20, 12))
    mouse.click(0, 20)
    np.testing.assert_array_equal(layer.data, before)
    mouse.click(14, 12)
    assert values(layer) == [0, 3]
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)


def test_whatever_is_displayed_the_object_is_split_through_its_depth(viewer, mouse):
    block = np.zeros((6, 24, 44), np.uint16)
    block[1:5] = dumbbell()
    layer = viewer.add_labels(np.moveaxis(block, 0, 2).copy(), scale=(1, 1, 3))
    viewer.dims.order = (2, 0, 1)
    viewer.dims.set_point(2, 6)
    hand = clicks(viewer)
    hand.choose("split")
    mouse.click(10, 8, 2)
    mouse.click(18, 36, 2)
    mouse.key("Enter")
    assert set(np.unique(layer.data[:, 28:])) == {0, 8}
    layer.undo()
    hand.choose("cut")
    mouse.click(3, 22, 2)
    mouse.click(23, 22, 2)
    assert values(layer) == [0, 3, 7, 8]
    assert all((layer.data[..., at] == 8).any() for at in range(1, 5))


def test_in_3d_the_object_in_sight_is_meant(viewer, mouse):
    ball = np.zeros((20, 24, 44), np.uint8)
    ball[4:16] = dumbbell()
    layer = viewer.add_labels(ball, scale=(2, 1, 1))
    viewer.dims.ndisplay = 3
    hand = clicks(viewer)
    hand.choose("split")
    mouse.click(-5, 10, 8, along=(1, 0, 0))
    mouse.click(-5, 0, 20, along=(1, 0, 0))
    mouse.click(40, 18, 36, along=(-1, 0, 0))
    assert [tuple(place) for place in viewer.layers[-1].data] == [(4, 10, 8), (15, 18, 36)], (
        "the surface, from each side"
    )
    mouse.key("Enter")
    assert set(np.unique(layer.data[:, :, 28:])) == {0, 8}
    hand.choose("cut")
    mouse.click(-5, 10, 8, along=(1, 0, 0))
    mouse.click(-5, 18, 8, along=(1, 0, 0))
    assert "switch the viewer to 2-D" in hand.said[0]


def test_new_numbers_are_free_in_all_of_the_store_that_a_region_came_from(viewer, mouse):
    layer = viewer.add_labels(dumbbell(), metadata={"napari_cutout": {"highest": 900}})
    clicks(viewer).choose("split")
    mouse.click(10, 8)
    mouse.click(18, 36)
    mouse.key("Enter")
    assert values(layer) == [0, 3, 7, 901]


def test_each_frame_is_edited_by_itself_and_new_numbers_are_new_in_all(viewer, mouse):
    frames = np.stack([dumbbell(), dumbbell(), dumbbell()])
    frames[2][frames[2] == 3] = 40
    layer = viewer.add_labels(frames, axis_labels=("t", "y", "x"))
    viewer.dims.set_point(0, 1)
    hand = clicks(viewer)
    hand.choose("split")
    mouse.click(1, 10, 8)
    mouse.click(1, 18, 36)
    mouse.key("Enter")
    assert set(np.unique(layer.data[1])) == {0, 3, 7, 41}
    assert set(np.unique(layer.data[0])) == {0, 3, 7}
    layer.undo()
    np.testing.assert_array_equal(layer.data, frames)
    assert frame_of(layer) == (0,)
    assert frame_of(viewer.add_labels(np.zeros((2, 3, 4, 5, 6), int))) == (0, 1)


def test_numbers_that_changed_between_two_clicks_are_not_merged(viewer, layer, mouse):
    clicks(viewer).choose("merge")
    mouse.click(2, 2)
    layer.data = np.where(layer.data == 3, 5, layer.data)
    mouse.click(14, 12)
    assert values(layer) == [0, 5, 7]
    assert "keeps 7" in clicks(viewer).said[0]


def test_a_mark_is_taken_away_after_the_layer_and_not_within(viewer, layer, mouse, qapp):
    other = viewer.add_labels(dumbbell(), name="above")
    hand = clicks(viewer)
    viewer.layers.selection.active = layer
    hand.choose("merge")
    mouse.click(2, 2, along=None)
    mark = viewer.layers[-1]
    assert is_preview(mark)
    within = []
    viewer.layers.events.removed.connect(lambda event: within.append(mark in viewer.layers))
    viewer.layers.remove(layer)
    assert hand.tool == ""
    assert within == [True], "a list that Qt shows may not change while it changes"
    qapp.processEvents()
    assert list(viewer.layers)[1:] == [other]


def test_a_tool_is_put_away_with_its_layer_and_never_works_on_what_is_stored(viewer, layer):
    import dask.array as da

    hand = clicks(viewer)
    hand.choose("merge")
    layer.mode = "paint"
    assert hand.tool == ""
    assert layer.mouse_pan is False, "painting goes on"
    hand.choose("merge")
    assert str(layer.mode) == "pan_zoom"
    viewer.layers.selection.active = viewer.layers[0]
    assert hand.tool == ""
    hand.choose("delete")
    assert hand.said == ("select the Labels layer that is to be edited, in the list of layers", True)
    lazy = viewer.add_labels(da.zeros((8, 8), dtype=int), name="far")
    hand.choose("delete")
    assert "the labels of 'far' are read piece by piece" in hand.said[0]
    assert hand.tool == ""
    assert hand._pressed not in viewer.mouse_drag_callbacks
    many = viewer.add_labels([np.zeros((8, 8), int), np.zeros((4, 4), int)], multiscale=True)
    assert "in a store" in problem_of(many)
    layer.editable = False
    assert "locked" in problem_of(layer)
    assert problem_of(lazy)


def use(widget, what, row):
    """Choose an entry of the menu of the result."""
    menu = widget.result_bar.use_menu
    menu.aboutToShow.emit()
    (inner,) = (action.menu() for action in menu.actions() if action.text() == GROUPS[what])
    (action,) = (action for action in inner.actions() if action.text() == row)
    action.trigger()
    return next(one for one in docks(widget.viewer) if name_of(one) == row)


def assert_used_everywhere(viewer, widget, layer):
    """Use a result in other widgets, and return that which scores it against a copy with one stroke more."""
    walker = use(widget, "markers", "Random walker")
    assert (walker.boxes["markers"].layer.name, walker.source.name) == (layer.name, "blobs")
    assert use(widget, "mask", "k-means").boxes["mask"].layer.name == layer.name
    assert use(widget, "labels", "Measure").labels_box.layer.name == layer.name
    compared = use(widget, "annotation", "Compare")
    copied = compared.boxes["truth"].layer
    assert (copied.name, compared.boxes["image"].layer.name) == ("blobs threshold annotation", "blobs")
    assert (str(copied.mode), layer.visible) == ("paint", False)
    copied.paint((0, 0), 9)
    assert layer.data.max() == 2, "the result stays as it is"
    assert not ours(copied), "an annotation is nobody's result"
    evaluated = use(widget, "predicted", "Evaluate")
    assert (
        widget.bar.status.text() == "'blobs threshold' is what is scored in Evaluate now" == evaluated.bar.status.text()
    )
    evaluated.use("truth", copied)
    layer.visible = True
    return evaluated


def assert_said_to_be_edited(widget, layer, folder, qtbot):
    """Check what is copied and saved of a result that was edited."""
    bar = widget.result_bar
    for form, words in (("python", "edited by hand since; this gives"), ("methods", "then corrected by hand.")):
        with qtbot.waitSignal(bar.copied) as told:
            bar.copy(form)
        assert words in told.args[0]
    bar.save(folder / "a.json")
    assert widget.bar.status.text() == "saved a.json; edits by hand are no step of it"
    (path,) = write_ome_tiff(str(folder / "a.ome.tif"), *layer.as_layer_data_tuple()[:2])
    ((_, options, _),) = read_layers(path)
    (edit,) = options["metadata"]["napari_cutout"]["provenance"]["edits"]
    assert edit["box"] == [[0, 32], [0, 40]]


@pytest.mark.qt
def test_a_result_is_used_edited_scored_and_taken_back_in_one_window(viewer, dock, press, blobs, qtbot, tmp_path):
    viewer.add_image(blobs, name="blobs", scale=(0.5, 0.5))
    widget = dock("Threshold")
    widget.set(one_per_object=True)
    press(widget)
    layer, bar = viewer.layers["blobs threshold"], widget.result_bar
    evaluated = assert_used_everywhere(viewer, widget, layer)
    copied = viewer.layers["blobs threshold annotation"]
    bar.edit_button.click()
    assert viewer.layers.selection.active == layer
    bar.clicks_row.buttons["merge"].click()
    mouse = Mouse(viewer)
    mouse.click(6, 8)
    mouse.click(20, 25)
    assert bar.clicks_row.line.text() == "merged 2 into 1; Ctrl+Z takes it back"
    assert layer.data.max() == 1
    bar.undo_button.click()
    assert "was edited since 'Threshold on blobs'" in widget.bar.status.text()
    press(evaluated)
    assert evaluated.history.entries[-1].method == "threshold + edited by hand"
    assert_said_to_be_edited(widget, layer, tmp_path, qtbot)
    press(widget)
    assert "blobs threshold [1]" in viewer.layers, "what was edited is never replaced"
    bar.undo_button.click()
    assert "blobs threshold [1]" not in viewer.layers
    bar.edit_button.click()
    assert bar.clicks_row.isHidden()
    viewer.layers.selection.active = viewer.layers["blobs"]
    objects = dock("Objects")
    objects.use("labels", copied)
    objects.extras["edit"].buttons["delete"].click()
    assert viewer.layers.selection.active == copied, "an image cannot be meant"
    for method in objects.methods:
        objects.choose_method(method.name)
        assert objects.extras["edit"].isVisibleTo(objects)
    assert objects.result_bar.edit_button.isHidden()


def test_every_field_that_takes_labels_is_offered_once():
    found = uses("Split touching")
    assert len(found) == len(set(found))
    assert {use.what for use in found} == set(GROUPS)
    assert {use.row for use in found if use.what == "markers"} == {
        "Watershed", "Random walker", "Graph-based", "Histogram", "U-Net"
    }  # fmt: skip
    assert {use.row for use in found if use.what == "labels"} == {"Objects", "Measure"}
    assert "Split touching" in {use.row for use in uses("Threshold") if use.what == "labels"}


def test_labels_of_a_store_are_copied_whole_or_not_at_all(viewer, monkeypatch):
    import dask.array as da

    fine = da.from_array(dumbbell(), chunks=8)
    layer = viewer.add_labels([fine, fine[::2, ::2]], multiscale=True, name="far", scale=(2, 1))
    copied = copy_to_paint(viewer, layer)
    np.testing.assert_array_equal(copied.data, dumbbell())
    np.testing.assert_array_equal(copied.scale, layer.scale)
    assert problem_of(copied) == ""
    monkeypatch.setattr(_use_as, "COPY_BYTES", 100)
    with pytest.raises(ValueError, match=r"at most .* are copied to be painted on; copy a part out with Edit"):
        copy_to_paint(viewer, layer)
