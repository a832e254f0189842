"""The widget Compare, driven in a real viewer."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

import napari_cutout as nc
from napari_cutout.comparison import _trial
from napari_cutout.recipe import Recipe
from napari_cutout.widgets._dock import docks
from napari_cutout.widgets._layers import is_preview

from ..patience import PATIENCE

pytestmark = pytest.mark.qt

PLACE = {"scale": (0.5, 0.5), "translate": (3, 4), "units": ("um", "um")}


@pytest.fixture
def strokes():
    """Two strokes on the squares and two beside them."""
    found = np.zeros((32, 40), np.uint8)
    found[6, 6:12] = found[22, 22:30] = 1
    found[2, 20:30] = found[30, 3:12] = 2
    return found


@pytest.fixture
def opened(viewer, dock, blobs, strokes):
    """The widget on two squares and strokes, with three quick methods."""
    noisy = blobs + (np.arange(blobs.size).reshape(blobs.shape) * 7 % 11).astype(np.uint8)
    viewer.add_image(noisy, name="blobs", **PLACE)
    viewer.add_labels(strokes, name="strokes", **PLACE)
    widget = dock("Compare")
    widget.method_list.choose("multi_otsu", "kmeans", "watershed")
    return widget


@pytest.fixture
def opened_on_volume(viewer, dock, volume):
    """The widget on a volume with a full annotation, that numbers two boxes, and one method."""
    place = {"scale": (2, 1, 1), "translate": (10, 3, 4), "axis_labels": ("z", "y", "x")}
    truth = (volume > 400).astype(np.uint8)
    truth[:, 10:] *= 2
    viewer.add_image(volume, name="boxes", **place)
    viewer.add_labels(truth, name="by hand", **place)
    widget = dock("Compare")
    widget.method_list.choose("threshold")
    return widget


@pytest.fixture
def held(monkeypatch):
    """Hold the run before k-means until the second event is set; the first says that it has got there."""
    reached, go_on = threading.Event(), threading.Event()
    real = _trial.execute

    def held(recipe, *args, **options):
        if recipe.steps[0].method == "kmeans":
            reached.set()
            assert go_on.wait(PATIENCE), "the test never went on"
        return real(recipe, *args, **options)

    monkeypatch.setattr(_trial, "execute", held)
    yield reached, go_on
    go_on.set()


def names(widget):
    return [widget.table.value(row, "name") for row in range(widget.table.n_rows)]


def choose(widget, name):
    """Click the row of that name."""
    table = widget.table
    place = table._model.places([names(widget).index(name)])[0]
    table.selectRow(place)


def test_the_table_is_that_of_the_api(viewer, opened, press, strokes):
    press(opened)
    expected = nc.compare(
        viewer.layers["blobs"].data,
        strokes,
        methods=("multi_otsu", "kmeans", "watershed"),
        ignore=0,
        spacing=(0.5, 0.5),
        selection=nc.Selection("yx"),
    )
    assert names(opened) == [one.row.name for one in expected.standings]
    for column, name in (("score", "score"), ("dice", "dice"), ("iou", "iou")):
        values = [opened.table.value(row, column) for row in range(opened.table.n_rows)]
        np.testing.assert_array_equal(values, [getattr(one, name) for one in expected.standings])
    assert opened.headline.text().startswith("Scored on strokes: for choosing, not for publishing.")
    assert f"Best: {expected.winner.row.name}" in opened.headline.text()
    assert any("`background`" in note for note in expected.notes), "what Python is told"
    assert "read as what is not looked for" in opened.noted.text()
    assert "`" not in opened.noted.text(), "the form has no such name"
    assert opened.table.value(0, "rank") == 1


def test_rows_appear_as_they_finish_and_cancel_keeps_them_ranked(viewer, opened, qtbot, held):
    reached, go_on = held
    opened.bar.button.click()
    qtbot.waitUntil(lambda: opened.bar.progress.format().startswith("kmeans"))  # it names the method
    qtbot.waitUntil(reached.is_set)
    assert opened.bar.running
    assert names(opened) == ["multi_otsu"]
    with qtbot.waitSignal(opened.bar.ended):
        opened.bar.button.click()
        go_on.set()
    assert names(opened)[:1] == ["multi_otsu"]
    assert "watershed" not in names(opened)
    assert opened.bar.status.text().startswith("cancelled; ")
    assert "rows were finished and stay" in opened.bar.status.text()
    assert opened.bar.details_button.isHidden(), "it is no error"
    assert opened.table.value(0, "rank") == 1
    choose(opened, "multi_otsu")
    opened.apply_button.click()
    qtbot.waitUntil(lambda: not opened.bar.running)
    assert viewer.layers[-1].name == "blobs multi otsu"


def test_a_click_shows_the_labels_on_the_image_in_one_layer(viewer, opened, press):
    press(opened)
    before = {layer.name: layer.data.copy() for layer in viewer.layers}
    choose(opened, "kmeans")
    (shown,) = [layer for layer in viewer.layers if is_preview(layer)]
    blobs = viewer.layers["blobs"]
    np.testing.assert_array_equal(shown.data != 0, nc.kmeans(blobs.data, n_clusters=2) == 2)
    for name in ("scale", "translate"):
        np.testing.assert_array_equal(getattr(shown, name), getattr(blobs, name))
    assert shown.units == blobs.units
    assert shown.name == "compared: kmeans"
    choose(opened, "multi_otsu")
    assert [layer.name for layer in viewer.layers if is_preview(layer)] == ["compared: multi_otsu"]
    for name, data in before.items():
        np.testing.assert_array_equal(viewer.layers[name].data, data)


def test_a_layer_of_the_user_with_that_name_is_left_alone(viewer, opened, press):
    mine = viewer.add_labels(np.full((32, 40), 7), name="compared: kmeans", **PLACE)
    opened.boxes["truth"].choose(viewer.layers["strokes"])
    press(opened)
    choose(opened, "multi_otsu")
    choose(opened, "kmeans")
    assert (mine.data == 7).all()
    assert mine.name == "compared: kmeans"
    assert [layer.name for layer in viewer.layers if is_preview(layer)] == ["compared: kmeans [1]"]


def test_the_temporary_layer_goes_with_the_widget(viewer, opened, press):
    press(opened)
    choose(opened, "kmeans")
    viewer.window.remove_dock_widget(opened)
    assert [layer.name for layer in viewer.layers] == ["blobs", "strokes"]


def test_apply_gives_the_labels_of_the_recipe_with_provenance(viewer, opened, press, qtbot):
    press(opened)
    for name in names(opened):
        choose(opened, name)
        opened.apply_button.click()
        qtbot.waitUntil(lambda: not opened.bar.running)
        layer, recipe = viewer.layers[-1], opened.table.chosen_row.recipe
        assert layer.name == f"blobs {name.replace('_', ' ')}"
        arrays = {"image": viewer.layers["blobs"].data, "markers": viewer.layers["strokes"].data}
        inputs = {name: arrays[name] for name in recipe.inputs}
        expected = nc.execute(recipe, inputs, spacing=(0.5, 0.5)).labels
        np.testing.assert_array_equal(layer.data, expected)
        stored = layer.metadata["napari_cutout"]
        again = nc.execute(Recipe.from_json(stored["recipe"]), inputs)
        np.testing.assert_array_equal(again.labels, expected)
        assert stored["provenance"]["sources"]["image"]["layer"] == "blobs"
    assert opened.result_bar.isVisibleTo(opened)


def test_a_recipe_of_two_steps_is_applied_and_can_be_saved(viewer, opened, press, qtbot, tmp_path):
    opened.method_list.choose("split_touching")
    press(opened)
    choose(opened, "split_touching after otsu")
    opened.apply_button.click()
    qtbot.waitUntil(lambda: not opened.bar.running)
    layer = viewer.layers[-1]
    opened.result_bar.save(tmp_path / "two.json")
    recipe = Recipe.load(tmp_path / "two.json")
    assert [step.method for step in recipe.steps] == ["threshold", "split_touching"]
    image = viewer.layers["blobs"].data
    np.testing.assert_array_equal(nc.execute(recipe, {"image": image}).labels, layer.data)
    with qtbot.waitSignal(opened.result_bar.copied) as copied:
        opened.result_bar.copy("methods")
    assert "Otsu" in copied.args[0]


def test_a_volume_shows_the_plane_and_applies_to_all_of_it(viewer, opened_on_volume, press, qtbot, volume):
    widget = opened_on_volume
    assert widget.unpainted == "background"
    press(widget)
    assert "blocks held out" in widget.headline.text()
    assert "for choosing" not in widget.headline.text()
    assert widget.apply_button.text() == "Apply to volume"
    choose(widget, "threshold otsu")
    (shown,) = [layer for layer in viewer.layers if is_preview(layer)]
    otsu = nc.threshold(volume)
    painted = np.count_nonzero(viewer.layers["by hand"].data, axis=(1, 2))
    at = int(painted.argmax())
    assert shown.data.shape == (1, 20, 24)
    np.testing.assert_array_equal(shown.data[0] != 0, otsu[at] != 0)
    np.testing.assert_array_equal(shown.translate, (10 + 2 * at, 3, 4))
    np.testing.assert_array_equal(shown.scale, (2, 1, 1))
    assert viewer.dims.point[0] == 10 + 2 * at
    widget.apply_button.click()
    qtbot.waitUntil(lambda: not widget.bar.running)
    applied = viewer.layers[-1]
    recipe = widget.table.chosen_row.recipe
    expected = nc.execute(recipe, {"image": volume}, spacing=(2, 1, 1)).labels
    np.testing.assert_array_equal(applied.data, expected)
    np.testing.assert_array_equal(applied.translate, (10, 3, 4))
    stored = Recipe.from_json(applied.metadata["napari_cutout"]["recipe"])
    assert stored.steps[0].settings["spacing"] == (2, 1, 1), "the recipe alone knows how flat a sphere is"


def test_one_slice_stands_for_all_of_them(viewer, opened_on_volume, press, qtbot, volume):
    widget = opened_on_volume
    viewer.dims.set_current_step(0, 2)
    widget.target_rows.choose(depth="this")
    press(widget)
    choose(widget, "threshold otsu")
    assert widget.table.chosen_row.recipe.selection.box[0] == (2, 3)
    widget.apply_button.click()
    qtbot.waitUntil(lambda: not widget.bar.running)
    each = np.stack([nc.threshold(plane) for plane in volume])
    np.testing.assert_array_equal(viewer.layers[-1].data != 0, each != 0)


def test_a_failed_method_is_a_grey_row_with_its_reason(opened, press, monkeypatch):
    real = _trial.execute

    def failing(recipe, *args, **options):
        if recipe.steps[0].method == "kmeans":
            raise ValueError("no means today")
        return real(recipe, *args, **options)

    monkeypatch.setattr(_trial, "execute", failing)
    press(opened)
    failed = [row for row, name in enumerate(names(opened)) if name.startswith("kmeans")]
    for row in failed:
        assert opened.table.value(row, "note") == "failed: no means today"
        assert opened.table.texts()[row][0] == "-"
    choose(opened, "kmeans")
    assert not opened.apply_button.isEnabled()
    assert not opened.open_button.isEnabled()
    option = opened.table.itemDelegate()
    index = opened.table._model.index(failed[0], 2)
    from qtpy.QtGui import QPalette
    from qtpy.QtWidgets import QStyleOptionViewItem

    look = QStyleOptionViewItem()
    option.initStyleOption(look, index)
    assert look.palette.color(QPalette.ColorRole.Text).name() == "#808080"


def test_other_labels_and_a_second_annotator_take_part(viewer, opened, press, blobs):
    viewer.add_labels((blobs > 100).astype(int), name="by hand", **PLACE)
    viewer.add_labels((blobs > 190).astype(int), name="second", **PLACE)
    viewer.add_labels(np.ones((5, 5), int), name="too small")
    widget = opened
    widget.boxes["truth"].choose(viewer.layers["strokes"])
    offered = {layer.name: widget.contestants.item(at) for at, layer in enumerate(widget.contestants.offered)}
    assert "strokes" not in offered
    assert not offered["too small"].flags() & Qt.ItemFlag.ItemIsEnabled
    assert "'too small' has the shape (5, 5), and 'blobs' needs (32, 40)" in offered["too small"].toolTip()
    widget.contestants.tick(viewer.layers["by hand"])
    widget.boxes["ceiling"].choose(viewer.layers["second"])
    assert widget.others.text() == "Other labels · 1 ticked · second annotator"
    press(widget)
    assert names(widget)[0] == "ceiling"
    assert widget.table.texts()[0][0] == "-", "it is not ranked"
    assert "by hand" in names(widget)
    choose(widget, "by hand")
    assert not widget.apply_button.isEnabled(), "it has no recipe"
    (shown,) = [layer for layer in viewer.layers if is_preview(layer)]
    np.testing.assert_array_equal(shown.data, blobs > 100)


def test_tuning_and_rules_are_used(viewer, opened, press, strokes):
    opened.rules.tune_box.setChecked(True)
    opened.rules.numbers["budget"].setValue(4)
    opened.rules.numbers["seed"].setValue(3)
    opened.rules.metric_box.setCurrentText("IoU")
    assert opened.rules.more.text() == "More · IoU · budget 4 · seed 3"
    opened.method_list.choose("sauvola")
    assert opened.method_list.text().startswith("Methods · 1 of ")
    press(opened)
    expected = nc.compare(
        viewer.layers["blobs"].data,
        strokes,
        methods=["sauvola"],
        ignore=0,
        tune=True,
        budget=4,
        seed=3,
        metric="iou",
        spacing=(0.5, 0.5),
        selection=nc.Selection("yx"),
    )
    assert opened.so_far.board.recipe == expected.recipe
    assert opened.table.value(0, "score") == expected.winner.score


def test_rows_of_an_earlier_state_say_so(viewer, opened, press):
    press(opened)
    assert opened.notice.isHidden()
    viewer.layers["strokes"].paint((4, 4), 1)
    assert opened.notice.text().startswith("Rows of an earlier state: 'blobs' against 'strokes'")
    press(opened)
    assert opened.notice.isHidden()
    opened.rules.numbers["folds"].setValue(2)
    assert opened.notice.text() == "Rows of other settings than those above. Press Compare to run with these."
    opened.rules.numbers["folds"].setValue(5)
    assert opened.notice.isHidden()
    other = viewer.add_labels(np.ones((32, 40), int), name="other", **PLACE)
    opened.boxes["truth"].choose(other)
    assert opened.notice.text() == "Rows of 'blobs' against 'strokes', not of the layers chosen above."
    viewer.layers.remove("strokes")
    assert opened.notice.text() == "Rows of 'blobs' against 'strokes'; a layer of them is gone."
    choose(opened, "kmeans")
    opened.apply_button.click()
    assert "the image or the annotation is gone" in opened.bar.status.text()


def test_the_report_is_written_into_a_new_folder_only(opened, press, qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr("napari.utils.notifications.show_error", lambda _: None)
    assert not opened.report_button.isEnabled()
    press(opened)
    folder = tmp_path / "report"
    monkeypatch.setattr("napari_cutout.widgets._compare.QFileDialog.getSaveFileName", lambda *_: (str(folder), ""))
    with qtbot.waitSignal(opened.bar.ended):
        opened.report_button.click()
    assert opened.bar.status.text() == f"wrote {folder / 'report.html'}"
    assert (folder / "report.json").exists()
    assert opened.table.n_rows == 4, "the rows stay"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with qtbot.waitSignal(opened.bar.ended):
        opened.save_report(tmp_path / "mine")
    assert "mine" in opened.bar.status.text()
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_open_method_fills_in_the_row(viewer, opened, press):
    press(opened)
    choose(opened, "watershed")
    opened.open_button.click()
    (widget,) = [one for one in docks(opened.viewer) if hasattr(one, "row")]
    assert (widget.row, widget.method.name) == ("Watershed", "watershed")
    assert widget.boxes["image"].layer is opened.boxes["image"].layer
    assert widget.boxes["markers"].layer.name == "strokes"


@pytest.mark.parametrize("lazy", [False, True])
def test_a_pyramid_is_compared_on_the_level_that_the_annotation_fits(viewer, dock, press, qtbot, blobs, strokes, lazy):
    import dask.array as da

    levels = [np.kron(blobs, np.ones((2, 2), np.uint8)), blobs]
    viewer.add_image([da.from_array(one) for one in levels] if lazy else levels, multiscale=True, name="levels")
    viewer.add_labels(strokes, name="strokes", scale=(2, 2), translate=(0.5, 0.5))
    widget = dock("Compare")
    widget.method_list.choose("kmeans")
    assert widget.target_rows.choice.level == 1
    press(widget)
    assert "On level 1 of the pyramid" in widget.headline.text()
    choose(widget, "kmeans")
    widget.apply_button.click()
    qtbot.waitUntil(lambda: not widget.bar.running)
    applied = viewer.layers[-1]
    np.testing.assert_array_equal(applied.data, nc.kmeans(blobs, n_clusters=2))
    np.testing.assert_array_equal(applied.scale, (2, 2))
    np.testing.assert_array_equal(applied.translate, (0.5, 0.5))


def test_a_channel_of_a_layer_is_compared(viewer, dock, press, blobs, strokes):
    viewer.add_image(np.stack([blobs * 0, blobs]), axis_labels=("c", "y", "x"), name="channels")
    viewer.add_labels(strokes, name="strokes")
    widget = dock("Compare")
    widget.target_rows.choose(channel=1)
    widget.method_list.choose("kmeans")
    press(widget)
    choose(widget, "kmeans")
    (shown,) = [layer for layer in viewer.layers if is_preview(layer)]
    np.testing.assert_array_equal(shown.data != 0, nc.kmeans(blobs, n_clusters=2) == 2)


def test_plus_adds_an_annotation_that_fits(viewer, dock, blobs, qtbot):
    viewer.add_image(blobs, name="blobs", **PLACE)
    widget = dock("Compare")
    assert "there is no Labels layer to use as annotation; press +" in widget.lines()["truth"].text()
    assert not widget.bar.button.isEnabled()
    widget.truth_field.add_button.click()
    layer = viewer.layers["annotation"]
    np.testing.assert_array_equal(layer.translate, (3, 4))
    assert (layer.data.shape, layer.mode) == ((32, 40), "paint")
    assert widget.boxes["truth"].layer.name == "annotation"
    assert widget.bar.button.isEnabled()
    assert widget.unpainted == "background", "nothing is painted yet"
    layer.brush_size = 2
    layer.paint((6, 6), 1)
    layer.paint((2, 20), 2)
    qtbot.waitUntil(lambda: widget.unpainted == "not annotated")
    assert "% painted" in widget._painted.text()
    widget.unpainted_box.activated.emit(0)  # the user says so
    widget.unpainted_box.setCurrentText("background")
    layer.paint((22, 25), 1)
    widget._look_at_truth()
    assert widget.unpainted == "background", "who has said it is not asked again"


def test_labels_elsewhere_turn_red_until_mended(viewer, opened):
    viewer.layers["strokes"].translate = (0, 0)
    assert not opened.bar.button.isEnabled()
    assert "'strokes' lies elsewhere than 'blobs'" in opened.lines()["truth"].text()
    viewer.layers["strokes"].translate = (3, 4)
    assert opened.bar.button.isEnabled()


def test_an_error_stands_under_the_field_that_it_names(opened, press, monkeypatch):
    monkeypatch.setattr("napari.utils.notifications.show_error", lambda _: None)
    opened.rules.metric_box.setCurrentText("F1 of objects")
    press(opened)
    assert "metric='f1' scores numbered objects" in opened.lines()["metric"].text()
    assert opened.table.n_rows == 0


def test_ctrl_return_compares(opened, qtbot):
    with qtbot.waitSignal(opened.bar.ended):
        opened._run_key.activated.emit()
    assert opened.table.n_rows == 4
    QTest.keyClick(opened.table, Qt.Key.Key_Escape)
    assert not opened.closed


def test_name_and_score_are_in_sight_in_a_window_of_1280_by_720(make_napari_viewer_proxy, blobs, strokes, press, qtbot):
    viewer = make_napari_viewer_proxy(show=True)
    viewer.window.resize(1280, 720)
    viewer.add_image(blobs)
    viewer.add_labels(strokes)
    holder, widget = viewer.window.add_plugin_dock_widget("napari-cutout", "Compare")
    widget.method_list.choose("multi_otsu", "kmeans", "watershed", "threshold")
    press(widget)
    table = widget.table
    at = [column.name for column in table.columns].index("score")

    def settled():
        assert holder.width() < 330
        assert table.verticalScrollBar().isVisible()
        assert table.columnViewportPosition(at) + table.columnWidth(at) <= table.viewport().width()
        assert table.viewport().height() >= 2.5 * table.rowHeight(0)

    qtbot.waitUntil(settled)
    assert widget.introduction.isHidden()
