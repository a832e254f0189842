"""The widget Evaluate, driven in a real viewer."""

from __future__ import annotations

import csv
import json
import threading

import numpy as np
import pytest

from napari_cutout.evaluation.overlap import error_map, evaluate

pytestmark = pytest.mark.qt


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


def test_the_table_is_that_of_evaluate(opened, press, pair):
    press(opened)
    expected = evaluate(*pair)
    assert opened.score.evaluation.table == expected.table
    shown = [[opened.table.item(r, c).text() for c in range(3)] for r in range(opened.table.rowCount())]
    assert shown == [[str(row["class"]), f"{row['iou']:.3f}", f"{row['dice']:.3f}"] for row in expected.table]
    assert f"mean IoU {expected.mean_iou:.4f}" in opened.headline.text()
    assert f"matched by {expected.match}" in opened.headline.text()


def test_the_scores_fit_into_400_pixels_and_no_column_is_squeezed(opened, press):
    press(opened)
    table, header = opened.table, opened.table.horizontalHeader()
    wanted = [max(table.sizeHintForColumn(c), header.sectionSizeHint(c)) for c in range(table.columnCount())]
    assert opened.minimumSizeHint().width() <= 400
    assert sum(wanted[:7]) <= 400 - 20, "what stands around the table takes 20"
    assert all(header.sectionSize(c) >= width for c, width in enumerate(wanted))


def test_unpainted_and_match_are_used(opened, press, pair):
    assert opened.unpainted == "background", "17 % of it is painted"
    opened.unpainted_box.setCurrentText("not annotated")
    opened.match_box.setCurrentText("binary")
    press(opened)
    assert opened.score.evaluation.table == evaluate(*pair, ignore=0, match="binary").table
    assert "unpainted means not annotated" in opened.headline.text()


def test_strokes_preselect_not_annotated(viewer, opened):
    strokes = np.zeros((32, 40), np.uint8)
    strokes[2, 3:9], strokes[20, 3:9] = 1, 2
    layer = viewer.add_labels(strokes, name="strokes", scale=(0.5, 0.5), translate=(3, 4), units=("um", "um"))
    opened.boxes["truth"].choose(layer)
    assert opened.unpainted == "not annotated"
    assert opened._painted.text() == "0.938 % of truth is painted"


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
    opened.error_button.click()
    assert viewer.layers[-1].name == "cut errors [1]"


def test_export_writes_what_evaluate_says_and_damages_no_file(opened, press, pair, tmp_path):
    assert not opened.csv_button.isEnabled()
    press(opened)
    assert opened.csv_button.isEnabled()
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
    monkeypatch.setattr("napari_cutout.widgets._evaluate.QFileDialog.getSaveFileName", lambda *_: (str(target), ""))
    opened.json_button.click()
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
    from napari_cutout.widgets import _scores

    reached, go_on = threading.Event(), threading.Event()
    real = _scores.overlap.evaluate

    def held(*args, **options):
        reached.set()
        assert go_on.wait(60)
        return real(*args, **options)

    monkeypatch.setattr(_scores.overlap, "evaluate", held)
    opened.bar.button.click()
    qtbot.waitUntil(reached.is_set)
    with qtbot.waitSignal(opened.bar.ended):
        opened.bar.button.click()
        go_on.set()
    assert opened.score is None
    assert opened.table.rowCount() == 0
    assert not opened.error_button.isEnabled()
    assert len(viewer.layers) == 2
