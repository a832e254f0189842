"""The widget Graph-based: sliders for a scale and for the hierarchy of regions, its fields, and its previews."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout._monitor import Cancelled
from napari_cutout.catalog import find
from napari_cutout.recipe import Recipe
from napari_cutout.widgets import _hierarchy_row
from napari_cutout.widgets._editors import caption_of
from napari_cutout.widgets._log_slider import LogSlider
from napari_cutout.widgets._recut import Recut

from ..patience import PATIENCE

pytestmark = [pytest.mark.qt, pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")]

N = 40
"""Superpixels that these tests begin with."""


@pytest.fixture
def image():
    """Bright patches on a slope in noise, uint8, 2-D."""
    y, x = np.mgrid[:40, :48]
    levels = 40 + x + 90 * ((y - 12) ** 2 + (x - 14) ** 2 < 60) + 70 * ((y > 24) & (x > 26))
    return (levels + np.random.default_rng(0).normal(0, 4, levels.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def volume(image):
    """The image, moved a little from slice to slice, uint8, 3-D."""
    return np.stack([np.roll(image, 2 * z, axis=1) for z in range(4)])


@pytest.fixture
def widget(dock):
    return dock("Graph-based")


@pytest.fixture
def merging(viewer, widget, press):
    """Run merge_regions on an image, and return the row with the slider, and the layer."""

    def run(data):
        viewer.add_image(data, name="data")
        widget.choose_method("merge_regions")
        widget.set(n_superpixels=N, n_regions=8)
        press(widget)
        return widget.extras["hierarchy"], widget.results.last

    return run


@pytest.fixture
def in_a_thread(monkeypatch):
    """Write what is not in view in a thread, as of a large result, and hold that until the gate is opened."""
    gate = Gate()
    real = Recut.finish

    def finish(self, cut, stored, is_cancelled=lambda: False):
        gate.reached.set()
        while not gate.opened.wait(0.01):
            if is_cancelled():
                raise Cancelled("another place came first")
        return real(self, cut, stored, is_cancelled)

    monkeypatch.setattr(_hierarchy_row, "AT_ONCE", 0)
    monkeypatch.setattr(Recut, "finish", finish)
    yield gate
    gate.opened.set()


class Gate:
    """Two events: the thread has got here, and it may go on."""

    def __init__(self):
        self.reached, self.opened = threading.Event(), threading.Event()


def merged(data, n):
    """The labels of a run with so many regions."""
    return nc.merge_regions(data, n_superpixels=N, n_regions=n)


def gives(layer, data):
    """Return what the recipe of a layer gives."""
    recipe = Recipe.from_json(layer.metadata["napari_cutout"]["recipe"])
    return nc.merge_regions(data, **recipe.steps[0].settings)


# The sliders by themselves -----------------------------------------------------------------------------------


def test_equal_steps_of_a_slider_are_equal_ratios(qtbot):
    slider, heard = LogSlider(1.0, 10_000.0), []
    qtbot.addWidget(slider)
    slider.moved.connect(heard.append)
    for place, number in ((0, 1.0), (100, 10.0), (250, 316.0), (400, 10_000.0)):
        slider.setValue(place)
        assert slider.number == number
    assert heard == [10.0, 316.0, 10_000.0]  # it stood at the first already
    slider.show_value(100.0)
    assert slider.value() == 200
    slider.show_value(0.0)  # beyond the end
    assert slider.value() == 0
    slider.show_value(1e9)
    slider.set_ends(0.1, 1000.0)
    assert slider.number == 1000.0
    assert len(heard) == 3


def test_a_slider_over_whole_numbers_meets_its_ends(qtbot):
    slider = LogSlider(1, 2, whole=True)
    qtbot.addWidget(slider)
    slider.set_ends(3, 37)
    assert slider.maximum() == 34
    numbers = []
    for place in range(35):
        slider.setValue(place)
        numbers.append(slider.number)
    assert (numbers[0], numbers[-1]) == (3, 37)
    assert numbers == sorted(numbers)
    assert all(number == int(number) for number in numbers)
    slider.set_ends(5, 5)
    assert slider.number == 5


# The form ----------------------------------------------------------------------------------------------------


def test_the_row_has_all_methods_and_regions_may_be_left_out(viewer, widget, press, image):
    methods = {"felzenszwalb", "superpixels", "merge_regions", "normalized_cut", "graph_cut"}
    assert {method.name for method in widget.methods} == methods
    viewer.add_image(image, name="data")
    regions = viewer.add_labels(nc.superpixels(image, n_superpixels=N), name="parts")
    strokes = np.zeros(image.shape, np.uint8)
    strokes[12, 10:18], strokes[4, 20:44] = 2, 1
    painted = viewer.add_labels(strokes, name="strokes")
    widget.choose_method("graph_cut")
    box, field = widget.boxes["regions"], widget.fields_of["regions"]
    assert (box.layer, box.currentText()) == (None, "none: superpixels")
    assert field.add_button.isHidden()
    assert not widget.fields_of["markers"].add_button.isHidden()
    widget.boxes["markers"].choose(painted)
    box.choose(regions)
    press(widget)
    expected = nc.graph_cut(image, strokes, regions=regions.data)
    np.testing.assert_array_equal(viewer.layers["data graph cut"].data, expected)
    assert set(np.unique(expected)) == {1, 2}


def test_a_share_is_not_called_a_number_of_voxels() -> None:
    (share,) = (one for one in find("superpixels").settings if one.name == "min_size")
    assert caption_of(share) == "join below this share"


def test_a_slider_around_the_default_finds_a_scale_and_regions_are_seen_by_their_boundaries(
    viewer, widget, image, qtbot
):
    viewer.add_image(image, name="data")
    editor = widget.editors["scale"]
    assert (editor.slider.accessibleName(), caption_of(widget.editors["min_size"].param)) == (
        "scale slider",
        "join smaller than",
    )
    widget.set(scale=5e4)
    assert editor.slider.value() == 400  # nobody knows the image yet
    with qtbot.waitSignal(widget.preview.answered):
        widget.preview_box.setChecked(True)
    qtbot.waitUntil(lambda: editor.slider.value() < 400)
    assert editor.value == 5e4
    editor.automatic.setChecked(True)
    qtbot.waitUntil(lambda: editor.field.value() < 5e4)
    assert editor.value is None
    assert not editor.field.isEnabled()
    found = widget.facts["scale"]
    assert editor.field.value() == float(f"{found:.4g}")
    assert editor.slider.value() == 160  # 0.01 to 1000 times it, so at two of five powers of ten
    layer = widget.preview.layer
    np.testing.assert_array_equal(layer.data, nc.felzenszwalb(image))
    assert (layer.contour, layer.opacity) == (1, 1.0)
    heard = []
    editor.changed.connect(lambda: heard.append(editor.value))
    editor.slider.setValue(80)
    assert heard == [editor.slider.number]  # once
    assert editor.value == editor.slider.number == pytest.approx(found / 10, rel=0.01)
    assert editor.field.isEnabled()
    expected = nc.felzenszwalb(image, scale=editor.value)
    assert expected.max() > layer.data.max()
    qtbot.waitUntil(lambda: np.array_equal(layer.data, expected))
    assert widget.bar.status.text() == f"preview · scale {editor.value:.4g} · {layer.data.max()} regions"
    editor.field.setValue(found)
    assert editor.slider.value() == 160
    editor.automatic.setChecked(True)
    assert editor.value is None
    strokes = viewer.add_labels(np.zeros(image.shape, np.uint8), name="strokes")
    strokes.data[12, 10:18], strokes.data[4, 20:44] = 2, 1
    widget.choose_method("graph_cut")
    widget.boxes["markers"].choose(strokes.__wrapped__)
    qtbot.waitUntil(lambda: layer not in viewer.layers and widget.preview.layer is not None)
    assert widget.preview.layer.contour == 0  # labels of strokes are seen filled, as everywhere


# The hierarchy -----------------------------------------------------------------------------------------------


def test_the_slider_moves_through_the_hierarchy_in_place(viewer, widget, merging, press, image):
    row, layer = merging(image)
    held = layer.data
    assert row.box.value() == row.cut.n_regions == 8
    assert row.slider.number == pytest.approx(8, abs=1)
    assert (row.box.minimum(), row.box.maximum()) == (1, nc.superpixels(image, n_superpixels=N).max())
    np.testing.assert_array_equal(held, merged(image, 8))
    for n in (3, 20):
        row.box.setValue(n)
        assert layer.data is held
        np.testing.assert_array_equal(held, merged(image, n))
        np.testing.assert_array_equal(gives(layer, image), held)
        assert widget.results.given_of(layer).untouched()
        assert widget.editors["n_regions"].value == n
        assert row._line.text() == str(row.cut)
    row.slider.setValue(0)
    assert row.box.value() == 1
    layer.undo()
    assert held.max() == 1
    widget.set(n_regions=5)
    press(widget)  # the layer is as we left it, so it is updated
    assert [one.name for one in viewer.layers] == ["data", "data merge regions"]
    row.box.setValue(6)
    np.testing.assert_array_equal(layer.data, merged(image, 6))
    assert layer.data is not held
    widget.result_bar.undo()
    row.box.setValue(7)  # not of what was there before
    assert layer.data is held
    assert held.max() == 1
    assert "replaced" in row._problem.text()


def test_what_a_user_has_edited_is_left_alone(merging, widget, press, image):
    row, layer = merging(image)
    for edit in (painted, renamed, changed_by_a_script):
        row.box.setValue(9)
        edit(layer)
        before, stored = layer.data.copy(), layer.metadata
        row.box.setValue(4)
        np.testing.assert_array_equal(layer.data, before)
        assert layer.metadata is stored
        assert "edited" in row._problem.text()
        assert row.box.value() == 9
        press(widget)
        assert widget.results.last is not layer
        assert not row._problem.text()
        layer = widget.results.last


def painted(layer):
    layer.paint((5, 5), 3)


def renamed(layer):
    layer.name = "mine"


def changed_by_a_script(layer):
    layer.data[5:9, 5:9] = 77
    layer.refresh()


def test_of_a_large_result_the_view_comes_first_and_then_the_rest(viewer, widget, merging, volume, in_a_thread, qtbot):
    row, layer = merging(volume)
    viewer.dims.set_point(0, 2)
    before, expected = layer.data.copy(), merged(volume, 3)
    row.box.setValue(3)
    assert in_a_thread.reached.wait(PATIENCE)
    np.testing.assert_array_equal(layer.data[2], expected[2])
    np.testing.assert_array_equal(layer.data[[0, 1, 3]], before[[0, 1, 3]])
    assert not layer.editable  # nobody paints on what is about to be written
    viewer.dims.set_point(0, 1)
    np.testing.assert_array_equal(layer.data[1], expected[1])
    np.testing.assert_array_equal(layer.data[3], before[3])
    row.box.setValue(5)  # the newest counts
    in_a_thread.opened.set()
    qtbot.waitUntil(lambda: layer.editable)
    np.testing.assert_array_equal(layer.data, merged(volume, 5))
    np.testing.assert_array_equal(gives(layer, volume), layer.data)
    assert widget.results.given_of(layer).untouched()


def test_a_run_waits_until_a_layer_is_what_it_says_and_closing_stops_no_writing(
    viewer, widget, merging, volume, in_a_thread, qtbot
):
    row, layer = merging(volume)
    row.box.setValue(3)
    assert in_a_thread.reached.wait(PATIENCE)
    widget.bar.button.click()
    in_a_thread.opened.set()
    with qtbot.waitSignal(widget.ran):
        pass
    assert [one.name for one in viewer.layers] == ["data", "data merge regions"]
    widget.result_bar.undo()
    np.testing.assert_array_equal(layer.data, merged(volume, 3))
    np.testing.assert_array_equal(gives(layer, volume), layer.data)
    widget.result_bar.redo()
    in_a_thread.opened.clear()
    row.box.setValue(6)
    viewer.window.remove_dock_widget(widget)
    in_a_thread.opened.set()
    qtbot.waitUntil(lambda: layer.editable)
    np.testing.assert_array_equal(layer.data, merged(volume, 6))
    np.testing.assert_array_equal(gives(layer, volume), layer.data)


def test_a_layer_that_could_not_be_written_and_slices_run_one_at_a_time_have_no_slider(
    widget, merging, volume, press, qtbot, monkeypatch
):
    def fail(*_):
        raise MemoryError("no room")

    row, layer = merging(volume)
    monkeypatch.setattr(_hierarchy_row, "AT_ONCE", 0)
    monkeypatch.setattr(Recut, "finish", fail)
    row.box.setValue(3)
    qtbot.waitUntil(lambda: layer.editable)
    assert "no room" in widget.bar.status.text()
    assert not widget.results.is_free(widget.results.given_of(layer))

    assert row._inner.isVisibleTo(row)
    widget.target_rows.choose(depth="each")
    press(widget)
    assert not row._inner.isVisibleTo(row)
    assert "one piece" in row._problem.text()
