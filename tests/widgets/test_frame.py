"""The widgets of the rows, driven in a real viewer."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import tifffile

import napari_cutout as nc
from napari_cutout import catalog
from napari_cutout.recipe import Recipe
from napari_cutout.running._execute import execute
from napari_cutout.widgets import _layers, _view

from ..cases import settings_of

pytestmark = [pytest.mark.qt, pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")]

METHODS = list(catalog.methods().values())


def given(method):
    """Settings that have no default, and of a network those that keep it small."""
    if method.network:
        return settings_of(method)
    return {p.name: (60.0, 190.0) if p.name == "values" else 100.0 for p in method.settings if p.required}


def pixels(viewer):
    """Copies of everything that is in the viewer, to see that nothing of it changes."""
    return {layer.name: np.array(layer.data) for layer in viewer.layers}


def test_threshold_2d_equals_the_api(viewer, dock, press, blobs):
    viewer.add_image(blobs, name="blobs", scale=(0.5, 0.5), units=("um", "um"))
    widget = dock("Threshold")
    press(widget)
    result = viewer.layers["blobs threshold"]
    np.testing.assert_array_equal(result.data, nc.threshold(blobs))
    assert result.data.dtype == np.uint8
    assert "threshold 10 · 17.2 % selected · CPU · " in widget.bar.status.text()


def test_threshold_3d_lies_where_the_image_lies(viewer, dock, press, volume):
    image = viewer.add_image(
        volume,
        name="cells",
        scale=(2, 0.5, 0.5),
        translate=(1, 2, 3),
        rotate=(10, 20, 30),
        shear=(0.1, 0, 0),
        affine=np.array([[1, 0, 0, 5], [0, 1, 0.2, 6], [0, 0, 1, 7], [0, 0, 0, 1.0]]),
        units=("um",) * 3,
        axis_labels=("z", "y", "x"),
    )
    widget = dock("Threshold")
    widget.choose_method("sauvola")
    widget.set(window=7.0, one_per_object=True)
    press(widget)
    result = viewer.layers["cells sauvola"]
    for point in [(0, 0, 0), (1, 2, 3), (5, 19, 23)]:
        np.testing.assert_allclose(result.data_to_world(point), image.data_to_world(point), atol=1e-9)
    assert result.units == image.units
    assert result.axis_labels == image.axis_labels
    spacing = result.metadata["napari_cutout"]["provenance"]["steps"][0]["settings"]["spacing"]
    np.testing.assert_array_equal(result.data, nc.sauvola(volume, window=7.0, one_per_object=True, spacing=spacing))


def test_results_get_names_of_their_own_and_nothing_is_overwritten(viewer, dock, press, blobs):
    viewer.add_image(blobs, name="blobs")
    viewer.add_labels(np.full(blobs.shape, 7), name="blobs threshold")
    before = pixels(viewer)
    widget = dock("Threshold")
    press(widget)
    widget.result_bar.update_action.setChecked(False)
    press(widget)
    assert [layer.name for layer in viewer.layers] == [
        "blobs",
        "blobs threshold",
        "blobs threshold [1]",
        "blobs threshold [2]",
    ]
    for name, data in before.items():
        np.testing.assert_array_equal(viewer.layers[name].data, data)


def test_a_second_run_updates_the_result_until_somebody_paints_on_it(viewer, dock, press, blobs):
    viewer.add_image(blobs, name="blobs")
    widget = dock("Threshold")
    widget.choose_method("threshold_at")
    for value in (20.0, 190.0):
        widget.set(value=value)
        press(widget)
        assert [layer.name for layer in viewer.layers] == ["blobs", "blobs threshold at"]
        np.testing.assert_array_equal(viewer.layers[-1].data, nc.threshold_at(blobs, value=value))
    painted = viewer.layers[-1]
    painted.paint((2, 2), 7)
    before = painted.data.copy()
    press(widget)
    assert len(viewer.layers) == 3
    np.testing.assert_array_equal(painted.data, before)


def test_what_is_painted_while_a_run_is_under_way_is_kept(viewer, dock, press, qtbot, gate, blobs):
    viewer.add_image(blobs, name="blobs")
    widget = dock("Threshold")
    gate.opened.set()
    press(widget)
    gate.opened.clear()
    gate.reached.clear()
    result = viewer.layers[-1]
    widget.bar.button.click()
    qtbot.waitUntil(gate.reached.is_set)
    result.paint((2, 2), 7)
    with qtbot.waitSignal(widget.bar.ended):
        gate.opened.set()
    assert len(viewer.layers) == 3
    assert result.data[2, 2] == 7


def test_runs_are_taken_back_the_last_one_first_and_done_again(viewer, dock, press, blobs):
    viewer.add_image(blobs, name="blobs")
    widget = dock("Threshold")
    widget.choose_method("threshold_at")
    bar = widget.result_bar
    for value in (20.0, 190.0):
        widget.set(value=value)
        press(widget)
    layer = viewer.layers[-1]
    assert bar.undo_button.toolTip() == "undo Threshold on blobs (Ctrl+Alt+Z)"
    assert not bar.redo_button.isEnabled()
    bar.undo_button.click()
    np.testing.assert_array_equal(layer.data, nc.threshold_at(blobs, value=20.0))
    assert widget.bar.status.text() == "took back: Threshold on blobs"
    bar.undo_button.click()
    assert [one.name for one in viewer.layers] == ["blobs"]
    assert bar.undo_button.toolTip() == "no run to undo"
    bar.redo_button.click()
    assert viewer.layers[-1] == layer
    bar.redo_button.click()
    np.testing.assert_array_equal(layer.data, nc.threshold_at(blobs, value=190.0))
    layer.paint((2, 2), 7)
    bar.undo_button.click()
    assert "was edited since 'Threshold on blobs', and the edits would be lost" in widget.bar.status.text()
    assert layer.data[2, 2] == 7


def test_recipe_and_provenance_are_in_the_metadata(viewer, dock, press, blobs):
    viewer.add_image(blobs, name="blobs")
    widget = dock("Threshold")
    widget.set(method="li", sigma=1.5, min_size=3)
    press(widget)
    layer = viewer.layers[-1]
    ours = layer.metadata["napari_cutout"]
    recipe = Recipe.from_json(ours["recipe"])
    assert recipe.steps[0].settings["sigma"] == 1.5
    assert ours["provenance"]["device"]["reason"]
    np.testing.assert_array_equal(execute(recipe, {"image": blobs}).labels, layer.data)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_every_method_runs_through_its_widget(method, viewer, dock, press, blobs):
    viewer.add_image(blobs, name="blobs")
    strokes = np.zeros(blobs.shape, np.uint8)
    strokes[6:8, 7:9], strokes[0:2] = 1, 2
    viewer.add_labels(strokes, name="strokes")
    widget = dock(method.row)
    widget.choose_method(method.name)
    widget.set(**given(method))
    press(widget)
    arrays = {p.name: strokes for p in method.arrays if p.role.name in ("markers", "labels") and p.required}
    source = {} if method.source.role.name == "labels" else {method.source.name: blobs}
    expected = method(**source, **arrays, **given(method))
    result = widget.results.last
    on = "strokes" if method.source.role.name == "labels" else "blobs"
    assert result.name == f"{on} {method.name.replace('_', ' ')}"
    np.testing.assert_array_equal(result.data, expected)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_fields_have_the_limits_defaults_and_prose_of_the_catalog(method, viewer, dock):
    widget = dock(method.row)
    widget.choose_method(method.name)
    shown = [p for p in method.settings if p.name not in ("spacing", "channel_axis")]
    assert set(widget.editors) == {p.name for p in shown}
    for param in shown:
        editor = widget.editors[param.name]
        assert editor.toolTip() == method.describe(param.name) != ""
        if not param.required:
            assert editor.value == param.default
        if param.range is not None:
            assert (editor.field.minimum(), editor.field.maximum()) == (param.range.min, param.range.max)
            for value in (param.range.min, param.range.max):
                editor.set_value(param.type(value))
                assert editor.value == value
        for choice in (*param.choices, *param.words, *((word,) for word in param.item_choices)):
            editor.set_value(choice)
            assert editor.value == choice
        if param.optional:
            editor.set_value(None)
            assert editor.value is None
            assert not editor.field.isEnabled()


def test_entries_say_what_each_method_is_good_for(viewer, dock):
    from qtpy.QtCore import Qt

    widget = dock("Threshold")
    box = widget.method_box
    assert [box.itemData(i, Qt.ItemDataRole.ToolTipRole) for i in range(box.count())] == [
        m.summary for m in catalog.rows()["Threshold"]
    ]


def test_a_choice_is_kept_when_the_method_changes(viewer, dock):
    widget = dock("Threshold")
    widget.set(objects="dark")
    widget.choose_method("multi_otsu")
    assert widget.settings["objects"] == "dark"


def test_a_mask_is_used(viewer, dock, press, blobs):
    viewer.add_image(blobs, name="blobs")
    mask = np.zeros(blobs.shape, np.uint8)
    mask[:16] = 1
    layer = viewer.add_labels(mask, name="upper half")
    widget = dock("Threshold")
    widget.boxes["mask"].choose(layer)
    press(widget)
    np.testing.assert_array_equal(viewer.layers[-1].data, nc.threshold(blobs, mask=mask))


def test_bad_input_turns_the_field_red_and_run_off_until_it_is_mended(viewer, dock, blobs):
    widget = dock("Threshold")
    box, line = widget.boxes["image"], widget._lines["image"]
    assert "there is no image layer; open an image" in line.text()
    assert (box.styleSheet(), line.styleSheet()) == ("", ""), "where nothing is chosen yet, nothing is wrong"
    assert not widget.bar.button.isEnabled()
    cut = viewer.add_image(blobs > 20, name="cut")
    assert_wrong(widget, "image", box, "image is boolean, so it is cut already")
    assert "background" in line.styleSheet()
    viewer.layers.remove(cut)
    assert (box.styleSheet(), line.styleSheet()) == ("", "")
    viewer.add_image(blobs, name="blobs")
    assert_right(widget, "image", box)


def assert_wrong(widget, line, field, words):
    """The field is red, one sentence stands below it, and Run is off."""
    assert words in widget._lines[line].text()
    assert not widget._lines[line].isHidden()
    assert [name for name, other in widget._lines.items() if not other.isHidden()] == [line]
    assert "border" in field.styleSheet()
    assert not widget.bar.button.isEnabled()


def assert_right(widget, line, field):
    """Nothing is red, and Run is on."""
    assert widget._lines[line].isHidden()
    assert field.styleSheet() == ""
    assert widget.bar.button.isEnabled()


def test_a_mask_that_does_not_fit_is_red_until_it_does(viewer, dock, blobs):
    viewer.add_image(blobs, name="blobs", scale=(0.5, 0.5))
    small = viewer.add_labels(np.ones((9, 9), np.uint8), name="small")
    other = viewer.add_labels(np.ones(blobs.shape, np.uint8), name="elsewhere", scale=(0.5, 0.6))
    widget = dock("Threshold")
    box = widget.boxes["mask"]
    box.choose(small)
    assert_wrong(widget, "mask", box, "mask must have the shape of image, (32, 40), but has (9, 9)")
    box.choose(other)
    assert_wrong(widget, "mask", box, "mask 'elsewhere' has the scale (0.5, 0.6) or lies elsewhere than 'blobs'")
    other.scale = (0.5, 0.5)
    assert_right(widget, "mask", box)
    box.choose(small)
    viewer.layers.remove(small)
    assert_right(widget, "mask", box)


def test_shapes_without_an_area_are_red_until_one_is_drawn(viewer, dock, press, blobs):
    viewer.add_image(blobs, name="blobs")
    widget = dock("Threshold")
    shapes = viewer.add_shapes(name="cells")
    shapes.name = "where"
    widget.target_rows.choose_region(shapes)
    assert widget.target_rows.region_box.currentText() == "inside 'where'"
    box = widget.target_rows.region_box
    assert_wrong(widget, "region", box, "'where' has no rectangle, polygon or ellipse to look into; draw one")
    shapes.add([np.array([[100.0, 100], [100, 120], [120, 120], [120, 100]])], shape_type="rectangle")
    assert_wrong(widget, "region", box, "the region lies beside the image along 'y'; move it onto the image")
    shapes.data = [np.array([[1.5, 2.5], [1.5, 22.5], [14.5, 22.5], [14.5, 2.5]])]
    assert_right(widget, "region", box)
    press(widget)
    np.testing.assert_array_equal(viewer.layers[-1].data, nc.threshold(blobs[2:15, 3:23]))
    viewer.layers.remove(shapes)
    assert widget.target_rows.region == "whole"
    assert_right(widget, "region", box)


def test_nothing_in_view_is_red_until_the_view_is_back(viewer, dock, qtbot, volume):
    viewer.add_image(volume, name="cells")
    viewer.add_image(np.zeros((12, 20, 24)), name="longer")
    widget = dock("Threshold")
    widget.boxes["image"].choose(viewer.layers["cells"])
    viewer.dims.set_current_step(0, 11)
    widget.target_rows.choose_region("view")
    box = widget.target_rows.region_box
    assert_wrong(widget, "region", box, "'cells' is not in view: it ends before this slice; move the slider back")
    viewer.dims.set_current_step(0, 3)
    qtbot.waitUntil(widget.bar.button.isEnabled)
    assert_right(widget, "region", box)


def test_a_run_that_does_not_fit_into_memory_is_refused_until_it_does(viewer, dock, volume, monkeypatch):
    from napari_cutout.widgets import _dock

    monkeypatch.setattr(_dock, "free_host_memory", lambda: 8_000)
    viewer.add_image(volume, name="cells")
    widget = dock("Threshold")
    assert "are free; each slice by itself (" in widget._lines["memory"].text()
    assert not widget.bar.button.isEnabled()
    assert "needs about" in widget.bar.plan.text()
    widget.target_rows.choose(depth="each")
    assert widget._lines["memory"].isHidden()
    assert widget.bar.button.isEnabled()
    assert "of 7.8 KiB" in widget.bar.plan.text()


def test_a_layer_that_changes_is_checked_again(viewer, dock, blobs):
    image = viewer.add_image(blobs, name="blobs")
    widget = dock("Threshold")
    assert widget._voxel.text() == "pixel size not set"
    image.scale = (0.5, 0.25)
    assert widget._voxel.text() == "pixel 0.5 × 0.25"  # noqa: RUF001
    image.units = ("um", "um")
    widget.set(sigma=2.0, min_size=8)
    assert widget.editors["sigma"].world.text() == "= 0.5 µm"
    assert widget.editors["min_size"].world.text() == "= 1 µm²"
    image.data = blobs > 20
    assert "image is boolean" in widget._lines["image"].text()
    assert not widget.bar.button.isEnabled()


def test_lengths_in_voxels_are_shown_in_the_world_for_all_settings_that_are_one():
    from napari_cutout.widgets._editors import world_size

    sauvola = catalog.find("sauvola")
    lengths = [p.name for p in sauvola.settings if world_size(sauvola.describe(p.name), 2.0, (1.0, 0.5), "um")]
    assert lengths == ["window", "background_radius", "median_radius", "sigma", "min_size"]


def test_an_error_of_the_method_is_one_red_line_and_its_traceback_is_at_hand(viewer, dock, press, caplog, monkeypatch):
    from napari_cutout.widgets._text_window import TextWindow

    shown = []
    monkeypatch.setattr("napari.utils.notifications.show_error", shown.append)
    viewer.add_image(np.full((16, 16), 5, np.uint8), name="flat")
    widget = dock("Threshold")
    assert widget.bar.details_button.isHidden()
    with caplog.at_level(logging.DEBUG, logger="napari_cutout"):
        press(widget)
    sentence = "threshold needs at least 2 grey levels in the image, but every voxel is 5"
    assert widget._lines["image"].text().startswith(sentence)
    assert not widget._lines["image"].isHidden()
    assert widget.bar.status.text() == "", "the sentence stands at the field, once"
    assert [text.startswith(sentence) for text in shown] == [True]
    (record,) = (r for r in caplog.records if r.exc_info)
    assert record.levelno == logging.DEBUG, "it is no fault of the program"
    assert not widget.bar.details_button.isHidden()
    widget.bar.details_button.click()
    (window,) = widget.bar.findChildren(TextWindow)
    assert "Traceback (most recent call last)" in window.text
    assert sentence in window.text
    window.close()
    assert [layer.name for layer in viewer.layers] == ["flat"]
    assert widget.bar.button.text() == "Run"
    assert widget.bar.button.isEnabled()
    viewer.layers[0].data = np.arange(256, dtype=np.uint8).reshape(16, 16)
    press(widget)
    assert widget.bar.details_button.isHidden(), "it belongs to the run that failed"


def test_an_error_marks_the_layer_that_it_names_until_it_changes(viewer, dock, press, blobs, monkeypatch):
    monkeypatch.setattr("napari.utils.notifications.show_error", lambda _: None)
    viewer.add_image(blobs, name="blobs")
    strokes = viewer.add_labels(np.zeros(blobs.shape, np.uint8))
    widget = dock("Histogram")
    widget.choose_method("back_projection")
    press(widget)
    assert widget._lines["markers"].text().startswith("markers have no painted voxel")
    assert "border" in widget.boxes["markers"].styleSheet()
    assert widget.boxes["image"].styleSheet() == ""
    strokes.paint((5, 5), 1)
    assert widget._lines["markers"].isHidden()
    assert widget.boxes["markers"].styleSheet() == ""


def test_an_error_marks_the_settings_that_it_names_until_one_changes(viewer, dock, press, blobs, monkeypatch):
    monkeypatch.setattr("napari.utils.notifications.show_error", lambda _: None)
    viewer.add_image(blobs, name="blobs")
    widget = dock("Threshold")
    widget.choose_method("hysteresis")
    widget.set(low=190.0, high=20.0)
    press(widget)
    assert widget._lines["settings"].text().startswith("low must not exceed high")
    red = {name for name, editor in widget.editors.items() if "border" in editor.field.styleSheet()}
    assert red == {"low", "high"}
    widget.set(low=15.0)
    assert widget._lines["settings"].isHidden()
    assert not any(editor.field.styleSheet() for editor in widget.editors.values())


def test_an_error_that_comes_after_the_form_went_wrong_leaves_its_sentence(viewer, dock, qtbot, gate, monkeypatch):
    monkeypatch.setattr("napari.utils.notifications.show_error", lambda _: None)
    image = viewer.add_image(np.full((16, 16), 5, np.uint8), name="flat")
    widget = dock("Threshold")
    widget.set(sigma=1.0)
    widget.bar.button.click()
    qtbot.waitUntil(gate.reached.is_set)
    viewer.layers.remove(image)
    with qtbot.waitSignal(widget.bar.ended):
        gate.opened.set()
    assert "there is no image layer" in widget._lines["image"].text()
    assert "2 grey levels" in widget.bar.status.text()


def test_a_voxel_size_can_be_given_where_the_layer_has_none(viewer, dock, press, volume):
    image = viewer.add_image(volume, name="cells")
    widget = dock("Threshold")
    assert not widget.voxel_size.isHidden()
    assert widget._voxel.text() == "voxel size not set (taken as a cube)"
    widget.voxel_size.set_value(2, 0.5, 0.5, unit="nm")
    widget.set(sigma=2.0)
    assert widget._voxel.text() == "voxel 2 × 0.5 × 0.5 nm for this run; the layer has no size"  # noqa: RUF001
    assert widget.editors["sigma"].world.text() == "= 1 nm"
    press(widget)
    result = viewer.layers["cells threshold"]
    expected = nc.threshold(volume, sigma=2.0, spacing=(2, 0.5, 0.5))
    np.testing.assert_array_equal(result.data, expected)
    assert (expected != nc.threshold(volume, sigma=2.0)).any(), "or this test shows nothing"
    ours = result.metadata["napari_cutout"]
    assert ours["provenance"]["steps"][0]["settings"]["spacing"] == [2, 0.5, 0.5]
    assert ours["provenance"]["unit"] == "nm"
    np.testing.assert_array_equal(nc.execute(Recipe.from_json(ours["recipe"]), {"image": volume}).labels, expected)
    np.testing.assert_array_equal(image.scale, (1, 1, 1))
    np.testing.assert_array_equal(result.scale, (1, 1, 1))


def test_the_voxel_size_fields_follow_the_image(viewer, dock, blobs):
    widget = dock("Threshold")
    assert widget.voxel_size.isHidden()
    plain = viewer.add_image(blobs, name="plain")
    assert [axis for axis, box in widget.voxel_size.boxes.items() if not box.isHidden()] == ["y", "x"]
    widget.voxel_size.set_value(0.5, 0.25)
    assert widget.voxel_size.value == _layers.VoxelSize((0.5, 0.25), "µm")
    assert widget._voxel.text() == "pixel 0.5 × 0.25 µm for this run; the layer has no size"  # noqa: RUF001
    other = viewer.add_image(blobs, name="other", units=("pm", "pm"))
    widget.boxes["image"].choose(other)
    assert widget.voxel_size.value is None, "a size belongs to one image"
    assert widget.voxel_size.unit_box.currentText() == "pm"
    widget.boxes["image"].choose(plain)
    assert widget.voxel_size.unit_box.currentText() == "pixel"
    widget.voxel_size.boxes["y"].setValue(0.5)
    widget.voxel_size.boxes["y"].setValue(1)
    assert widget.voxel_size.value == _layers.VoxelSize((1, 1), "µm"), "a size of 1 can be said"
    widget.voxel_size.unit_box.setCurrentText("pixel")
    assert widget.voxel_size.value is None
    widget.voxel_size.unit_box.setCurrentText("nm")
    widget.keep_size.click()
    assert widget.voxel_size.isHidden()
    assert widget._voxel.text() == "pixel 1 × 1 nm"  # noqa: RUF001
    plain.units = ("pixel", "pixel")
    plain.scale = (3, 3)
    assert widget.voxel_size.isHidden()


def test_the_size_that_a_reader_left_out_is_offered(viewer, dock, press, volume, tmp_path):
    path = tmp_path / "cells.tif"
    metadata = {"axes": "ZYX", "spacing": 2.0, "unit": "um"}
    tifffile.imwrite(path, volume, imagej=True, resolution=(2.0, 2.0), metadata=metadata)
    viewer.open(path, plugin="napari")
    image = viewer.layers[0]
    assert set(image.scale) == {1}, "or there is nothing to offer"
    widget = dock("Threshold")
    widget.set(sigma=2.0)
    assert widget.place.text().endswith("voxel size not set, the file says 2 × 0.5 × 0.5 µm")  # noqa: RUF001
    press(widget)
    widget.result_bar.save(tmp_path / "recipe.json")
    assert "its file has one" in widget.bar.status.text()
    viewer.scene.camera.zoom = 40.0
    viewer.dims.set_current_step(0, 4)
    seen = _view.seen_of(viewer, image)
    widget.use_file_size.click()
    assert _view.seen_of(viewer, image) == seen != ((4, 5), (0, 20), (0, 24)), "it is in the same place on the canvas"
    assert widget.use_file_size.isHidden()
    assert widget.place.text().endswith("· 2 × 0.5 × 0.5 µm")  # noqa: RUF001
    press(widget)
    widget.result_bar.save(tmp_path / "recipe.json", overwrite=True)
    assert "its file has one" not in widget.bar.status.text()
    ran = nc.run(tmp_path / "recipe.json", path).labels
    np.testing.assert_array_equal(ran, viewer.layers[-1].data)


def test_a_gpu_that_is_not_there_is_red_until_another_device_is_chosen(viewer, dock, blobs, monkeypatch):
    from napari_cutout import _device
    from napari_cutout.widgets import _frame, _request, _worker

    missing = _device.GpuStatus(False, "there is none", "buy one")
    for module in (_frame, _request, _worker):
        monkeypatch.setattr(module, "gpu_known", lambda: True)
        monkeypatch.setattr(module, "gpu_status", lambda: missing)
    viewer.add_image(blobs, name="blobs")
    widget = dock("Threshold")
    widget.device_box.setCurrentText("gpu")
    assert_wrong(widget, "device", widget.device_box, "device is gpu, but there is none")
    widget.device_box.setCurrentText("auto")
    assert_right(widget, "device", widget.device_box)


def test_cancel_leaves_the_layers_as_they_were(viewer, dock, qtbot, gate, blobs):
    viewer.add_image(blobs, name="blobs")
    before = pixels(viewer)
    widget = dock("Threshold")
    widget.set(sigma=1.0)
    widget.bar.button.click()
    assert widget.bar.button.text() == "Cancel"
    qtbot.waitUntil(gate.reached.is_set)
    with qtbot.waitSignal(widget.bar.ended):
        widget.bar.button.click()
        gate.opened.set()
    assert pixels(viewer).keys() == before.keys()
    np.testing.assert_array_equal(viewer.layers["blobs"].data, before["blobs"])
    assert widget.bar.status.text().startswith("cancelled while "), "the method stops, and not only its result is lost"
    assert widget.bar.button.text() == "Run"
    assert widget.bar.progress.isHidden()


def test_cancel_stops_the_clean_up(viewer, dock, qtbot, gate, blobs):
    viewer.add_image(blobs, name="blobs")
    widget = dock("Threshold")
    widget.set(fill_holes=True, min_size=5)
    gate.stage = "objects"
    widget.bar.button.click()
    qtbot.waitUntil(gate.reached.is_set)
    qtbot.waitUntil(lambda: "objects" in widget.bar.progress.format())
    with qtbot.waitSignal(widget.bar.ended):
        widget.bar.button.click()
        gate.opened.set()
    assert [layer.name for layer in viewer.layers] == ["blobs"]
    status = widget.bar.status.text()
    assert status.startswith("cancelled while "), "the method stops, and not only its result is lost"
    assert "objects" in status
    assert widget.bar.button.text() == "Run"


def test_progress_shows_the_stage(viewer, dock, qtbot, gate, blobs):
    viewer.add_image(blobs, name="blobs")
    widget = dock("Threshold")
    widget.set(sigma=1.0)
    widget.bar.button.click()
    qtbot.waitUntil(lambda: widget.bar.progress.format() == "smoothing %p%")
    assert not widget.bar.progress.isHidden()
    with qtbot.waitSignal(widget.bar.ended):
        gate.opened.set()


def test_the_image_may_be_removed_while_it_runs(viewer, dock, qtbot, gate, blobs):
    image = viewer.add_image(blobs, name="blobs", scale=(3, 3))
    widget = dock("Threshold")
    widget.bar.button.click()
    qtbot.waitUntil(gate.reached.is_set)
    viewer.layers.remove(image)
    with qtbot.waitSignal(widget.bar.ended):
        gate.opened.set()
    (result,) = viewer.layers
    np.testing.assert_array_equal(result.data, nc.threshold(blobs))
    np.testing.assert_array_equal(result.scale, (3, 3))
    assert not widget.bar.button.isEnabled(), "there is no image now"


def test_the_widget_may_be_closed_while_it_runs(viewer, dock, qtbot, gate, blobs):
    viewer.add_image(blobs, name="blobs")
    widget = dock("Threshold")
    widget.bar.button.click()
    qtbot.waitUntil(gate.reached.is_set)
    worker = widget.bar.slot.worker
    viewer.window.remove_dock_widget(widget)
    assert worker.abort_requested
    gate.opened.set()
    qtbot.waitUntil(lambda: not worker.is_running)
    viewer.add_image(blobs, name="more")
    assert [layer.name for layer in viewer.layers] == ["blobs", "more"]


def test_the_viewer_may_be_closed_while_it_runs(make_napari_viewer, qtbot, gate, blobs):
    viewer = make_napari_viewer()
    viewer.add_image(blobs, name="blobs")
    _, widget = viewer.window.add_plugin_dock_widget("napari-cutout", "Threshold")
    widget.bar.button.click()
    qtbot.waitUntil(gate.reached.is_set)
    worker = widget.bar.slot.worker
    viewer.close()
    qtbot.waitUntil(lambda: worker.abort_requested)
    gate.opened.set()
    qtbot.waitUntil(lambda: not worker.is_running)


def test_layer_boxes_follow_the_layer_list(viewer, dock, blobs):
    widget = dock("Threshold")
    first = viewer.add_image(blobs, name="first")
    viewer.add_image(blobs, name="second")
    box = widget.boxes["image"]
    assert box.layer.name == "first", "what is chosen stays chosen"
    first.name = "renamed"
    assert [box.itemText(i) for i in range(box.count())] == ["renamed", "second"]
    viewer.layers.remove(first)
    assert box.layer.name == "second"


def test_markers_show_only_for_the_method_that_takes_them(viewer, dock, blobs):
    viewer.add_image(blobs)
    widget = dock("Histogram")
    field = widget.fields_of["markers"]
    assert field.isHidden()
    assert widget.bar.button.isEnabled()
    widget.choose_method("back_projection")
    assert not field.isHidden()
    assert "back_projection needs strokes" in widget._lines["markers"].text()
    assert not widget.bar.button.isEnabled()
    viewer.add_labels(np.zeros(blobs.shape, np.uint8))
    assert widget.bar.button.isEnabled()


def test_more_says_which_hidden_options_are_on(viewer, dock):
    widget = dock("Threshold")
    assert not widget.more.is_open
    assert widget.more.text() == "More"
    widget.set(background_radius=20.0, median_radius=1)
    assert widget.more.text() == "More · background radius 20 · median radius 1"
