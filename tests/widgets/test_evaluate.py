"""The widget Evaluate, driven in a real viewer."""

from __future__ import annotations

import csv
import json
import threading

import dask.array as da
import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_cutout.evaluation.objects import evaluate_objects
from napari_cutout.evaluation.overlap import error_map, evaluate
from napari_cutout.evaluation.slices import evaluate_slices
from napari_cutout.widgets import _layers

from ..patience import PATIENCE

pytestmark = pytest.mark.qt

DIALOG = "napari_cutout.widgets._evaluate_tabs.QFileDialog.getSaveFileName"


@pytest.fixture
def pair(blobs):
    """A prediction with more and with less than the truth, which fills 17 % of the picture."""
    truth = (blobs > 100).astype(np.int32)
    truth[18:28, 20:34] *= 2
    predicted = np.roll(truth, 2, axis=1)
    return predicted, truth


@pytest.fixture
def opened(viewer, dock, pair):
    """The widget on two layers that lie on each other."""
    for name, data in zip(("cut", "by hand"), pair, strict=True):
        viewer.add_labels(data.copy(), name=name, scale=(0.5, 0.5), translate=(3, 4), units=("um", "um"))
    return dock("Evaluate")


@pytest.fixture
def opened_on_volume(viewer, dock, volume):
    """The widget on a volume whose prediction lacks slice 4."""
    truth = (volume > 400).astype(np.uint8)
    predicted = truth.copy()
    predicted[4] = 0
    for name, data in (("cut", predicted), ("by hand", truth)):
        viewer.add_labels(data, name=name, scale=(2, 1, 1), axis_labels=("z", "y", "x"))
    return dock("Evaluate")


def column(table, name):
    return [table.value(row, name) for row in range(table.n_rows)]


def test_the_table_is_that_of_evaluate(opened, press, pair):
    press(opened)
    expected = evaluate(*pair)
    assert opened.score.evaluation.table == expected.table
    for name in ("class", "iou", "dice", "tp", "tn"):
        assert column(opened.tabs.table, name) == [row[name] for row in expected.table]
    assert f"mean IoU {expected.mean_iou:.4f}" in opened.headline.text()
    assert f"Matched by {expected.match}" in opened.headline.text()
    assert not opened.tabs.isTabVisible(opened.tabs.indexOf(opened.tabs.pages["Slices"])), "a picture has no slices"


def test_the_table_sorts_by_any_column_as_numbers(opened, press):
    press(opened)
    at = [c.name for c in opened.tabs.table.columns].index("tp")
    opened.tabs.table.sortByColumn(at, Qt.SortOrder.AscendingOrder)
    shown = [int(row[at].replace(",", "")) for row in opened.tabs.table.texts()]
    assert shown == sorted(shown)
    assert shown != column(opened.tabs.table, "tp")


@pytest.mark.parametrize("layers", ["opened_on_volume", "opened_on_objects"])
def test_it_is_narrow(layers, request, press):
    opened = request.getfixturevalue(layers)
    press(opened)
    inner = opened._column.widget()
    assert inner.minimumSizeHint().width() <= 300, "what stands around it takes 20 of 320"


def test_unpainted_and_match_are_used(opened, press, pair):
    assert opened.unpainted == "background", "17 % of it is painted"
    opened.unpainted_box.setCurrentText("not annotated")
    opened.match_box.setCurrentText("binary")
    press(opened)
    expected = evaluate(*pair, ignore=0, match="binary")
    assert str(opened.score.evaluation.table) == str(expected.table)  # as text, where nan equals nan
    assert "read as not annotated, and left out" in opened.headline.text()


def test_strokes_preselect_not_annotated(viewer, opened):
    strokes = np.zeros((32, 40), np.uint8)
    strokes[2, 3:9], strokes[20, 3:9] = 1, 2
    layer = viewer.add_labels(strokes, name="strokes", scale=(0.5, 0.5), translate=(3, 4), units=("um", "um"))
    opened.boxes["truth"].choose(layer)
    assert opened.unpainted == "not annotated"
    assert opened._painted.text() == "0.938 % painted"


def test_the_error_layer_lies_on_the_labels_in_fixed_colours(viewer, opened, press, pair):
    press(opened)
    opened.error_button.click()
    errors, cut = viewer.layers["cut errors"], viewer.layers["cut"]
    np.testing.assert_array_equal(errors.data, error_map(*pair))
    for name in ("scale", "translate"):
        np.testing.assert_array_equal(getattr(errors, name), getattr(cut, name))
    assert errors.units == cut.units
    np.testing.assert_allclose(errors.get_color(1)[:3], (0, 0x9E / 255, 0x73 / 255), atol=0.01)
    np.testing.assert_allclose(errors.get_color(2)[:3], (0xD5 / 255, 0x5E / 255, 0), atol=0.01)


def test_export_writes_what_evaluate_says_and_damages_no_file(opened, press, pair, tmp_path):
    assert not opened.tabs.csv_button.isEnabled()
    press(opened)
    assert opened.tabs.csv_button.isEnabled()
    opened.export("csv", tmp_path / "scores.csv")
    opened.export("json", tmp_path / "scores.json")
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = evaluate(*pair)
    assert [float(row["iou"]) for row in rows] == expected.iou.tolist()
    assert json.loads((tmp_path / "scores.json").read_text())["mean_dice"] == expected.mean_dice
    (tmp_path / "scores.csv").write_text("mine")
    opened.export("csv", tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").read_text() == "mine"
    assert "exists already" in opened.bar.status.text()


def test_the_export_button_asks_where_to(opened, press, tmp_path, monkeypatch):
    press(opened)
    target = tmp_path / "asked.json"
    monkeypatch.setattr(
        "napari_cutout.widgets._evaluate_tabs.QFileDialog.getSaveFileName", lambda *_: (str(target), "")
    )
    opened.tabs.json_button.click()
    assert target.exists()
    assert opened.bar.status.text() == f"wrote {target}"


def test_layers_of_another_scale_turn_red_until_mended(viewer, opened):
    layer = viewer.layers["by hand"]
    layer.scale = (1, 1)
    assert not opened.bar.button.isEnabled()
    assert "truth has the scale (1.0, 1.0)" in opened._lines["truth"].text()
    assert "border" in opened.boxes["truth"].styleSheet()
    layer.scale = (0.5, 0.5)
    assert opened.bar.button.isEnabled()
    assert opened._lines["truth"].isHidden()


def test_it_chooses_our_result_and_the_users_annotation(viewer, dock, press, blobs):
    viewer.add_image(blobs, name="blobs")
    threshold = dock("Threshold")
    press(threshold)
    viewer.add_labels((blobs > 100).astype(int), name="by hand")
    widget = dock("Evaluate")
    assert widget.boxes["predicted"].layer.name == "blobs threshold"
    assert widget.boxes["truth"].layer.name == "by hand"
    press(widget)
    assert widget.score.evaluation.mean_iou == 1


def test_a_layer_of_errors_is_not_chosen(viewer, dock, opened, press):
    press(opened)
    opened.error_button.click()
    viewer.window.remove_dock_widget(opened)
    again = dock("Evaluate")
    assert [again.boxes[name].layer.name for name in ("predicted", "truth")] == ["cut", "by hand"]
    assert again.boxes["complete"].layer is None


def test_an_error_is_one_red_line(viewer, opened, press, monkeypatch):
    monkeypatch.setattr("napari.utils.notifications.show_error", lambda _: None)
    viewer.layers["by hand"].data[...] = 0
    opened.unpainted_box.setCurrentText("not annotated")
    press(opened)
    assert opened.score is None
    assert opened._lines["truth"].text().startswith("ignore=0 takes out every voxel of truth")
    assert "border" in opened.boxes["truth"].styleSheet()
    assert opened.boxes["predicted"].styleSheet() == opened.bar.status.text() == ""
    viewer.layers["by hand"].paint((4, 4), 1)
    assert opened._lines["truth"].isHidden()
    assert opened.boxes["truth"].styleSheet() == ""


def test_cancel_leaves_no_score(viewer, opened, qtbot, monkeypatch):
    from napari_cutout.widgets import _question

    reached, go_on = threading.Event(), threading.Event()
    real = _question.tables_along

    def held(*args, **options):
        reached.set()
        assert go_on.wait(PATIENCE)
        return real(*args, **options)

    monkeypatch.setattr(_question, "tables_along", held)
    opened.bar.button.click()
    qtbot.waitUntil(reached.is_set)
    with qtbot.waitSignal(opened.bar.ended):
        opened.bar.button.click()
        go_on.set()
    assert opened.score is None
    assert opened.tabs.table.n_rows == opened.tabs.past.n_rows == 0
    assert not opened.error_button.isEnabled()
    assert len(viewer.layers) == 2


# Slices ------------------------------------------------------------------------------------------------


def test_a_volume_is_plotted_slice_by_slice(viewer, opened_on_volume, press, volume):
    press(opened_on_volume)
    plot = opened_on_volume.tabs.plot
    assert opened_on_volume.tabs.isTabVisible(opened_on_volume.tabs.indexOf(opened_on_volume.tabs.pages["Slices"]))
    assert [plot.axis_box.itemText(at) for at in range(3)] == ["z", "y", "x"]
    truth = (volume > 400).astype(np.uint8)
    expected = evaluate_slices(viewer.layers["cut"].data, truth, axis=0)
    np.testing.assert_array_equal(plot.canvas._iou.getData()[1], expected.mean_iou)
    assert plot.canvas.curves.worst == (4,)
    plot.worst.linkActivated.emit("4")
    assert viewer.dims.point[0] == 8
    assert plot.canvas.current == 4


def test_a_time_series_is_plotted_along_time_as_well(viewer, dock, press):
    truth = np.random.default_rng(5).integers(0, 2, (3, 4, 8, 9)).astype(np.uint8)
    predicted = truth.copy()
    predicted[1] = 0
    for name, data in (("cut", predicted), ("by hand", truth)):
        viewer.add_labels(data, name=name, axis_labels=("t", "z", "y", "x"))
    widget = dock("Evaluate")
    press(widget)
    assert widget.tabs.plot.axis_box.itemText(0) == "t"
    assert widget.tabs.plot.canvas.curves.iou.tolist() == [1, 0, 1]
    widget.tabs.plot.axis_box.setCurrentIndex(1)
    assert len(widget.tabs.plot.canvas.curves.iou) == 4
    widget.tabs.plot.show_slice(2)
    assert viewer.dims.current_step[:2] == (viewer.dims.current_step[0], 2)


def test_slices_are_exported(opened_on_volume, press, tmp_path, monkeypatch):
    press(opened_on_volume)
    opened_on_volume.tabs.plot.axis_box.setCurrentIndex(1)
    target = tmp_path / "asked.csv"
    monkeypatch.setattr(
        "napari_cutout.widgets._evaluate_tabs.QFileDialog.getSaveFileName", lambda *_: (str(target), "")
    )
    opened_on_volume.tabs.slices_button.click()
    with target.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["axis"] for row in rows} == {"1"}
    assert [float(row["iou"]) for row in rows[::2]] == opened_on_volume.tabs.plot.found.iou[:, 0].tolist()


def test_layers_on_disk_are_counted_in_chunks(viewer, dock, press, monkeypatch):
    monkeypatch.setattr(_layers, "MAX_LAZY_BYTES", 100)
    truth = np.random.default_rng(6).integers(0, 3, (4, 10, 12))
    viewer.add_labels(da.from_array(np.roll(truth, 1, 2), (2, 10, 5)), name="cut")
    viewer.add_labels(truth, name="by hand")
    widget = dock("Evaluate")
    press(widget)
    assert widget.score.evaluation.table == evaluate(np.roll(truth, 1, 2), truth).table
    widget.error_button.click()
    assert isinstance(viewer.layers["cut errors"].data, da.Array)


# Objects -----------------------------------------------------------------------------------------------


@pytest.fixture
def opened_on_objects(viewer, dock):
    """The widget on numbered boxes: 3 is split, 1 and 2 are merged, 5 is missed, 9 is invented, 4 is found."""
    truth, cut = np.zeros((2, 6, 20, 24), np.int32)
    for label, (y, x, width) in enumerate([(0, 0, 3), (0, 5, 3), (0, 12, 4), (8, 0, 4), (8, 12, 4)], start=1):
        truth[1:4, y : y + 4, x : x + width] = label
    cut[1:4, 0:4, 0:8] = 2
    cut[1:4, 0:4, 12:15], cut[1:4, 0:4, 15:16] = 5, 6
    cut[1:4, 8:12, 0:4] = 1
    cut[4, 15:18, 20:24] = 9
    for name, data in (("cut", cut), ("by hand", truth)):
        viewer.add_labels(data, name=name, scale=(2, 1, 1), translate=(10, 0, 0), axis_labels=("z", "y", "x"))
    return dock("Evaluate")


def objects(widget):
    return {name: column(widget.tabs.objects.table, name) for name in ("kind", "true", "predicted")}


def test_objects_are_those_of_evaluate_objects(viewer, opened_on_objects, press):
    opened_on_objects.boxes["predicted"].choose(viewer.layers["cut"])
    press(opened_on_objects)
    page = opened_on_objects.tabs.objects
    assert opened_on_objects.tabs.isTabVisible(opened_on_objects.tabs.indexOf(opened_on_objects.tabs.pages["Objects"]))
    expected = evaluate_objects(viewer.layers["cut"].data, viewer.layers["by hand"].data)
    assert str(page.score.found) == str(expected)
    kinds = ["merged", "merged", "matched", "matched", "missed", "merged", "split", "invented"]
    assert objects(opened_on_objects)["kind"] == kinds == expected.object_table(0.5)["kind"]
    assert [row[1:4] for row in page.table.texts()][-2:] == [["3", "6", "0.250"], ["-", "9", "-"]]
    text = page.sentence.text()
    assert text.startswith(f"F1 {expected.f1[0]:.3f}   AP {expected.ap[0]:.3f}   precision 0.400   recall 0.400\n")
    assert text.endswith("5 predicted, 5 true: count error +0\n1 split, 1 merged, 1 missed, 1 invented")
    assert page.note.isHidden()
    line = f"objects from an IoU of 0.5: F1 {expected.f1[0]:.3f}   AP {expected.ap[0]:.3f}\n"
    assert line in opened_on_objects.headline.text()
    assert column(opened_on_objects.tabs.past, "object_f1") == [expected.f1[0]]


def test_the_threshold_decides_what_is_matched(opened_on_objects, press):
    press(opened_on_objects)
    page = opened_on_objects.tabs.objects
    page.threshold_box.setValue(0.8)
    assert objects(opened_on_objects)["kind"].count("matched") == 1
    assert f"AP {page.score.found.at(0.8)['ap']:.3f}" in page.sentence.text()
    page.threshold_box.setValue(0.25)
    assert objects(opened_on_objects)["kind"].count("matched") == 3, "one of the two that are merged is matched"


def test_a_row_selects_its_labels_and_moves_the_view_to_the_object(viewer, opened_on_objects, press):
    press(opened_on_objects)
    table = opened_on_objects.tabs.objects.table
    viewer.dims.set_point(0, 20)
    table.selectRow(3)
    assert (viewer.layers["by hand"].selected_label, viewer.layers["cut"].selected_label) == (4, 1)
    assert viewer.dims.point[0] == 14, "slice 2 of the box, that is 2 x 2 beyond 10"
    assert viewer.scene.camera.center[1:] == pytest.approx((9.5, 1.5))
    table.selectRow(7)  # invented: only predicted has it
    assert (viewer.layers["by hand"].selected_label, viewer.layers["cut"].selected_label) == (4, 9)
    assert viewer.dims.point[0] == 18
    assert viewer.scene.camera.center[1:] == pytest.approx((16, 21.5))
    table.selectRow(6)  # the smaller half: the view goes to it, and not to the whole
    assert viewer.scene.camera.center[1:] == pytest.approx((1.5, 15))
    assert table.selected == [6]


def test_a_row_of_a_picture_moves_the_view(viewer, dock, press):
    truth = np.zeros((20, 24), np.int32)
    truth[2:6, 3:9], truth[10:18, 12:20] = 1, 2
    for name, data in (("cut", truth % 2 * 2 + truth // 2), ("by hand", truth)):
        viewer.add_labels(data, name=name)
    widget = dock("Evaluate")
    press(widget)
    assert not widget.tabs.isTabVisible(widget.tabs.indexOf(widget.tabs.pages["Slices"]))
    widget.tabs.objects.table.selectRow(1)
    assert viewer.scene.camera.center[1:] == (13.5, 15.5)


def test_a_label_that_is_picked_in_the_viewer_selects_its_row(viewer, opened_on_objects, press):
    press(opened_on_objects)
    table = opened_on_objects.tabs.objects.table
    viewer.layers["by hand"].selected_label = 5
    assert table.selected == [4]
    viewer.layers["cut"].selected_label = 6
    assert table.selected == [6]
    viewer.layers["cut"].selected_label = 1  # matched with 4
    assert table.selected == [3]
    viewer.layers["cut"].selected_label = 77
    assert table.selected == []
    opened_on_objects.let_go()
    viewer.layers["cut"].selected_label = 6
    assert table.selected == []


def test_objects_are_exported_at_the_threshold(opened_on_objects, press, tmp_path, monkeypatch):
    assert not opened_on_objects.tabs.objects_button.isEnabled()
    press(opened_on_objects)
    opened_on_objects.tabs.objects.threshold_box.setValue(0.8)
    target = tmp_path / "asked.csv"
    monkeypatch.setattr(
        "napari_cutout.widgets._evaluate_tabs.QFileDialog.getSaveFileName", lambda *_: (str(target), "")
    )
    opened_on_objects.tabs.objects_button.click()
    with target.open(newline="") as file:
        assert [row["kind"] for row in csv.DictReader(file)] == objects(opened_on_objects)["kind"]


def test_a_mask_and_classes_are_named_before_their_scores_as_objects(viewer, opened_on_objects, press):
    press(opened_on_objects)
    layer = viewer.layers["cut"]
    layer.data = (layer.data > 0).astype(np.int32)
    press(opened_on_objects)
    assert opened_on_objects.tabs.objects.note.text().startswith("Predicted has one label only.")
    assert "objects from an IoU" not in opened_on_objects.headline.text()
    assert np.isnan(column(opened_on_objects.tabs.past, "object_f1")).tolist() == [False, True]
    layer.data = viewer.layers["by hand"].data.copy()
    press(opened_on_objects)
    assert opened_on_objects.tabs.objects.note.text().startswith("Labels agree on both sides")
    assert set(objects(opened_on_objects)["kind"]) == {"matched"}


@pytest.mark.parametrize("one_per_object", [True, False])
def test_objects_that_we_numbered_are_known_to_be_no_classes(viewer, dock, press, blobs, one_per_object):
    viewer.add_image(blobs, name="blobs")
    threshold = dock("Threshold")
    threshold.set(one_per_object=one_per_object)
    press(threshold)
    viewer.add_labels((blobs > 100).astype(int) + (blobs == 180), name="by hand")
    widget = dock("Evaluate")
    press(widget)
    if one_per_object:
        assert widget.score.evaluation.match == "value", "few numbers that agree look like classes"
        assert "objects from an IoU of 0.5: F1 1.000   AP 1.000" in widget.headline.text()
    assert widget.tabs.objects.note.isHidden() is one_per_object


def test_two_masks_have_no_page_of_objects(viewer, opened_on_objects, press):
    page = opened_on_objects.tabs.indexOf(opened_on_objects.tabs.pages["Objects"])
    for layer in viewer.layers:
        layer.data = (layer.data > 0).astype(np.int32)
    press(opened_on_objects)
    assert not opened_on_objects.tabs.isTabVisible(page)
    assert not opened_on_objects.score.objects


def test_objects_of_an_earlier_evaluation_are_shown_again_and_faded(viewer, opened_on_objects, press):
    press(opened_on_objects)
    first = objects(opened_on_objects)
    viewer.layers["cut"].data = np.zeros_like(viewer.layers["cut"].data)
    assert "#808080" in opened_on_objects.tabs.objects.table.styleSheet()
    press(opened_on_objects)
    assert objects(opened_on_objects)["kind"] == ["missed"] * 5
    assert opened_on_objects.tabs.objects.table.styleSheet() == ""
    opened_on_objects.tabs.past.selectRow(0)
    assert str(objects(opened_on_objects)) == str(first)  # as text, where nan equals nan
    viewer.layers.remove("by hand")
    before = viewer.dims.point
    opened_on_objects.tabs.objects.table.selectRow(4)  # its layer is gone
    assert viewer.dims.point == before


# Names -------------------------------------------------------------------------------------------------


def test_names_of_classes_are_edited_in_the_table_and_shown_in_the_plot(opened_on_volume, press):
    press(opened_on_volume)
    table = opened_on_volume.tabs.table
    at = [c.name for c in table.columns].index("name")
    assert table.model().setData(table.model().index(1, at), "nuclei")
    assert opened_on_volume.names.name_of(1) == "nuclei"
    assert column(table, "name") == ["", "nuclei"]
    assert opened_on_volume.tabs.plot.class_box.itemText(2) == "class 1 (nuclei)"
    press(opened_on_volume)
    assert column(table, "name") == ["", "nuclei"]


# Scores that are not current ---------------------------------------------------------------------------


def test_painting_makes_scores_stale_and_scoring_again_mends_it(viewer, opened, press):
    press(opened)
    assert opened.notice.isHidden()
    viewer.layers["cut"].paint((4, 4), 2)
    assert opened.notice.text().startswith("Scores of an earlier state: 'cut' against 'by hand' changed since.")
    assert "#808080" in opened.tabs.table.styleSheet()
    assert not opened.error_button.isEnabled()
    press(opened)
    assert opened.notice.isHidden()
    assert opened.tabs.table.styleSheet() == ""
    assert opened.error_button.isEnabled()


def test_an_undone_stroke_makes_scores_stale(viewer, opened, press):
    layer = viewer.layers["cut"]
    layer.paint((4, 4), 2)
    press(opened)
    layer.undo()
    assert "changed since" in opened.notice.text()


def test_looking_at_layers_does_not_make_scores_stale(viewer, opened_on_volume, press):
    press(opened_on_volume)
    viewer.dims.set_point(0, 6)
    viewer.layers["cut"].visible = False
    viewer.layers["cut"].opacity = 0.3
    viewer.layers["cut"].name = "renamed"
    assert opened_on_volume.notice.isHidden()


def test_painting_during_a_run_makes_its_scores_stale(viewer, opened, qtbot):
    opened.bar.button.click()
    viewer.layers["by hand"].paint((4, 4), 1)
    with qtbot.waitSignal(opened.bar.ended):
        pass
    assert "changed since" in opened.notice.text()


def test_a_removed_layer_makes_scores_stale_and_the_plot_moves_nothing(viewer, opened_on_volume, press):
    press(opened_on_volume)
    viewer.layers.remove("cut")
    assert opened_on_volume.notice.text() == "Scores of 'cut' against 'by hand'; a layer of them is gone."
    assert opened_on_volume.tabs.plot.reading.text() == "the layer of these scores is gone"
    before = viewer.dims.point
    opened_on_volume.tabs.plot.show_slice(1)
    assert viewer.dims.point == before


def test_other_layers_and_settings_above_are_named(viewer, opened, press, pair):
    press(opened)
    opened.match_box.setCurrentText("binary")
    assert opened.notice.text().startswith("Scores of other settings than those above.")
    opened.match_box.setCurrentText("auto")
    assert opened.notice.isHidden()
    other = viewer.add_labels(pair[0], name="third", scale=(0.5, 0.5), translate=(3, 4), units=("um", "um"))
    opened.boxes["predicted"].choose(other)
    assert opened.notice.text() == "Scores of 'cut' against 'by hand', not of the layers chosen above."


# The layer of errors -----------------------------------------------------------------------------------


def test_the_error_layer_is_updated_as_long_as_nobody_edits_it(viewer, opened, press):
    press(opened)
    opened.error_button.click()
    before = viewer.layers["cut errors"].data
    viewer.layers["cut"].paint((4, 4), 2)
    press(opened)
    opened.error_button.click()
    assert [layer.name for layer in viewer.layers] == ["cut", "by hand", "cut errors"]
    expected = error_map(viewer.layers["cut"].data, viewer.layers["by hand"].data)
    np.testing.assert_array_equal(viewer.layers["cut errors"].data, expected)
    assert (before != expected).any()
    viewer.layers["cut errors"].paint((20, 20), 3)
    press(opened)
    opened.error_button.click()
    assert viewer.layers[-1].name == "cut errors [1]"
    assert viewer.layers["cut errors"].data[20, 20] == 3


def test_an_error_layer_that_was_moved_stays(viewer, opened, press):
    press(opened)
    opened.error_button.click()
    viewer.layers["cut errors"].translate = (0, 0)
    opened.error_button.click()
    assert viewer.layers[-1].name == "cut errors [1]"


# History -----------------------------------------------------------------------------------------------


def test_every_evaluation_is_a_row_and_a_click_shows_it_again(opened, press):
    press(opened)
    first = opened.headline.text()
    opened.match_box.setCurrentText("binary")
    press(opened)
    assert opened.headline.text() != first
    assert column(opened.tabs.past, "match") == ["value", "binary"]
    assert opened.tabs.past.selected == [1]
    opened.tabs.past.selectRow(0)
    assert opened.headline.text() == first
    assert opened.notice.text().startswith("An earlier evaluation, of ")
    assert not opened.error_button.isEnabled()
    opened.tabs.past.selectRow(1)
    assert opened.notice.isHidden()
    assert opened.error_button.isEnabled()


def test_the_history_names_the_method(viewer, dock, press, blobs):
    viewer.add_image(blobs, name="blobs")
    threshold = dock("Threshold")
    threshold.set(sigma=1.0)
    press(threshold)
    viewer.add_labels((blobs > 100).astype(int), name="by hand")
    widget = dock("Evaluate")
    press(widget)
    assert column(widget.tabs.past, "method") == ["threshold"]
    assert column(widget.tabs.past, "settings") == ["sigma 1"]


def test_the_history_outlives_the_widget(viewer, dock, opened, press):
    press(opened)
    text = opened.headline.text()
    viewer.window.remove_dock_widget(opened)
    again = dock("Evaluate")
    assert again is not opened
    assert again.tabs.past.n_rows == 1
    assert again.score is None
    again.tabs.past.selectRow(0)
    assert again.headline.text() == text
    assert again.notice.text().startswith("An earlier evaluation")
    press(again)
    assert again.tabs.past.n_rows == 2


def test_the_history_is_exported_and_cleared(opened, press, tmp_path, monkeypatch):
    assert not opened.tabs.history_button.isEnabled()
    press(opened)
    target = tmp_path / "asked.csv"
    monkeypatch.setattr(
        "napari_cutout.widgets._evaluate_tabs.QFileDialog.getSaveFileName", lambda *_: (str(target), "")
    )
    opened.tabs.history_button.click()
    with target.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["predicted"], row["truth"]) == ("cut", "by hand")
    opened.tabs.clear_button.click()
    assert opened.tabs.past.n_rows == 0
    assert not opened.tabs.clear_button.isEnabled()
    assert opened.score is not None, "what is shown stays"


def test_a_closed_widget_follows_nothing(viewer, opened_on_volume, press):
    press(opened_on_volume)
    plot, notice = opened_on_volume.tabs.plot, opened_on_volume.notice
    before = plot.canvas.current, plot.canvas.backgroundBrush().color().name()
    viewer.window.remove_dock_widget(opened_on_volume)
    viewer.dims.set_point(0, 8 if before[0] != 4 else 2)
    viewer.theme = "light"
    viewer.layers["cut"].paint((1, 1, 1), 1)
    assert (plot.canvas.current, plot.canvas.backgroundBrush().color().name()) == before
    assert notice.text() == ""


def test_a_truth_without_a_voxel_size_is_given_the_place_of_predicted(opened, viewer, press, pair):
    assert opened.place_button.isHidden(), "they lie on each other"
    predicted = viewer.layers["cut"]
    other = viewer.add_labels(pair[1].copy(), name="of another program")
    opened.use("truth", other)
    assert not opened.bar.ready
    assert opened.place_button.text() == "Give truth the place of predicted"
    opened.place_button.click()
    assert opened.place_button.isHidden()
    assert _layers.same_place(other, predicted)
    assert [str(unit) for unit in other.units] == ["micrometer", "micrometer"]
    press(opened)
    assert opened.score is not None
    bare = viewer.add_labels(pair[0].copy(), name="bare")
    opened.use("predicted", bare)
    assert opened.place_button.text() == "Give predicted the place of truth", "that of the one that has a voxel size"
    opened.place_button.click()
    assert _layers.same_place(bare, other)
    opened.use("truth", viewer.add_labels(pair[1][:9], name="smaller"))
    assert not opened.bar.ready
    assert opened.place_button.isHidden(), "a place is not what it lacks"
