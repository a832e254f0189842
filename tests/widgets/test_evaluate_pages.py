"""The pages of Evaluate on objects, boundaries and IoU against Dice, driven in a real viewer."""

from __future__ import annotations

import csv
import threading

import dask.array as da
import numpy as np
import pytest
from qtpy.QtCore import QPointF, Qt

from napari_cutout.evaluation._error_kinds import OBJECT_KINDS
from napari_cutout.evaluation._object_errors import object_errors
from napari_cutout.evaluation.boundaries import evaluate_boundaries
from napari_cutout.evaluation.objects import evaluate_objects
from napari_cutout.widgets import _boundaries, _layers

from ..patience import PATIENCE

pytestmark = pytest.mark.qt

DIALOG = "napari_cutout.widgets._evaluate_tabs.QFileDialog.getSaveFileName"
PLACE = {"scale": (2, 1, 1), "translate": (10, 0, 0), "axis_labels": ("z", "y", "x"), "units": ("um",) * 3}


@pytest.fixture
def boxes():
    """Numbered boxes: 3 is split, 1 and 2 are merged, 5 is missed, 9 is invented, 4 is found, a voxel too far."""
    truth, cut = np.zeros((2, 6, 20, 24), np.int32)
    for label, (y, x, width) in enumerate([(0, 0, 3), (0, 5, 3), (0, 12, 4), (8, 0, 4), (8, 12, 4)], start=1):
        truth[1:4, y : y + 4, x : x + width] = label
    cut[1:4, 0:4, 0:8] = 2
    cut[1:4, 0:4, 12:15], cut[1:4, 0:4, 15:16] = 5, 6
    cut[1:4, 8:13, 0:4] = 7
    cut[4, 15:18, 20:24] = 9
    return cut, truth


@pytest.fixture
def opened(viewer, dock, boxes):
    """The widget on the boxes."""
    for name, data in zip(("cut", "by hand"), boxes, strict=True):
        viewer.add_labels(data.copy(), name=name, **PLACE)
    return dock("Evaluate")


def column(table, name):
    return [table.value(row, name) for row in range(table.n_rows)]


def is_shown(widget, name):
    return widget.tabs.isTabVisible(widget.tabs.indexOf(widget.tabs.pages[name]))


@pytest.fixture
def wait(qtbot):
    """Do something that starts work, and wait for its end."""

    def do_and_wait(widget, do):
        with qtbot.waitSignal(widget.bar.ended):
            do()

    return do_and_wait


def test_pages_appear_with_the_first_scores(opened, press):
    names = ["Overlap", "Objects", "Boundaries", "Slices", "IoU against Dice", "History"]
    assert [opened.tabs.tabText(at) for at in range(opened.tabs.count())] == names
    assert [name for name in names if is_shown(opened, name)] == ["Overlap", "History"]
    press(opened)
    assert all(is_shown(opened, name) for name in names)


def test_overlap_has_balanced_accuracy_and_correlation_beside_prevalence(opened, press):
    press(opened)
    for name in ("balanced_accuracy", "mcc", "prevalence"):
        assert column(opened.tabs.table, name) == getattr(opened.score.evaluation, name).tolist()


def test_a_class_is_shown_where_its_middle_is(viewer, opened, press):
    opened.match_box.setCurrentText("by value")
    press(opened)
    row = column(opened.tabs.table, "class").index(4)
    opened.tabs.table.selectRow(row)
    assert viewer.layers["by hand"].selected_label == 4
    assert viewer.dims.point[0] == 14, "slices 1 to 3, that is 2 x 2 beyond 10"
    assert viewer.scene.camera.center[1:] == pytest.approx((9.5, 1.5))
    opened.tabs.table.selectRow(column(opened.tabs.table, "class").index(9))  # truth has none of it
    assert viewer.dims.point[0] == 18
    assert viewer.layers["by hand"].selected_label == 9


# Objects -----------------------------------------------------------------------------------------------


def test_all_scores_of_objects_stand_above_their_table(opened, press):
    press(opened)
    found, regions = opened.score.objects.found, opened.score.evaluation.partition
    text = opened.tabs.objects.sentence.text()
    assert f"PQ {found.pq[0]:.3f} = SQ {found.sq[0]:.3f} × RQ {found.rq[0]:.3f}" in text  # noqa: RUF001
    assert f"AP 0.50 to 0.95: {found.mean_ap:.3f}   SEG {found.seg:.3f}   AJI {found.aji:.3f}" in text
    assert f"VI {regions.vi:.3f} bits = split {regions.vi_split:.3f} + merge {regions.vi_merge:.3f}" in text
    assert f"adapted Rand error {regions.adapted_rand_error:.3f}" in text
    assert "AJI: Aggregated Jaccard index" in opened.tabs.objects.sentence.toolTip()


def test_the_reason_stands_where_precision_would(opened, press):
    opened.unpainted_box.setCurrentText("not annotated")
    press(opened)
    found = opened.score.objects.found
    text = opened.tabs.objects.sentence.text()
    assert text.startswith(f"recall {found.recall[0]:.3f}\nPrecision, F1, AP, PQ and AJI are not defined: ")
    assert "choose its layer as 'complete inside'" in text
    assert "count error" not in text
    assert "3 unjudged" not in text
    assert ", 1 unjudged" in text, "9 lies where nothing is annotated"
    assert opened.tabs.objects.note.text().startswith("Here each label of truth is taken for one object.")
    assert "objects from an IoU" not in opened.headline.text()


def test_inside_a_drawn_region_precision_is_known(viewer, opened, press, boxes):
    # rows 0 to 9 of the pictures, in every slice; the other square, of 2 x 3 voxels, is far from all objects
    rows, square = [-0.5, -0.5, 9.5, 9.5], [13.5, 13.5, 15.5, 15.5]
    corners = [np.transpose([[12] * 4, rows, [-0.5, 23.5, 23.5, -0.5]])]
    corners += [np.transpose([[12] * 4, square, [-0.5, 2.5, 2.5, -0.5]])]
    shapes = viewer.add_shapes(corners, shape_type="polygon", name="all here", units=("um",) * 3)
    assert opened.boxes["complete"].layer is None, "nobody chose it"
    opened.unpainted_box.setCurrentText("not annotated")
    opened.boxes["complete"].choose(shapes)
    shapes.selected_data = {1}  # which one is selected says nothing of what is annotated
    press(opened)
    mask = np.zeros(boxes[0].shape, bool)
    mask[:, :10] = mask[:, 14:16, :3] = True
    expected = evaluate_objects(*boxes, ignore=0, complete=mask)
    assert 0 < expected.n_complete < mask.size
    assert str(opened.score.objects.found) == str(expected)
    assert f"precision {expected.precision[0]:.3f}" in opened.tabs.objects.sentence.text()
    assert opened.tabs.objects.note.isHidden()
    assert column(opened.tabs.past, "complete") == ["all here"]
    shapes.add_polygons(corners[0])
    assert "changed since" in opened.notice.text()
    opened.boxes["complete"].choose(None)
    press(opened)
    assert opened.notice.isHidden()


def test_labels_mark_a_region_as_well(viewer, opened, press, boxes):
    mask = np.zeros(boxes[0].shape, np.uint8)
    mask[:, :, :12] = 3
    layer = viewer.add_labels(mask, name="all here", **PLACE)
    opened.boxes["complete"].choose(layer)
    press(opened)
    assert str(opened.score.objects.found) == str(evaluate_objects(*boxes, complete=mask > 0))
    opened.boxes["complete"].choose(None)
    assert opened.notice.text().startswith("Scores of other settings")


def test_a_region_that_does_not_fit_turns_red(viewer, opened):
    empty = viewer.add_shapes(name="empty", ndim=3)
    opened.boxes["complete"].choose(empty)
    assert "'empty' has no rectangle, polygon or ellipse" in opened._lines["complete"].text()
    assert not opened.bar.button.isEnabled()
    other = viewer.add_labels(np.ones((6, 20, 24), int), name="elsewhere", scale=(1, 1, 1))
    opened.boxes["complete"].choose(other)
    assert "'elsewhere' does not lie on predicted" in opened._lines["complete"].text()
    opened.boxes["complete"].choose(None)
    assert opened._lines["complete"].isHidden()
    assert opened.bar.button.isEnabled()


def test_a_region_without_voxels_is_named(viewer, opened, press):
    layer = viewer.add_labels(np.zeros((6, 20, 24), int), name="blank", **PLACE)
    opened.boxes["complete"].choose(layer)
    press(opened)
    assert "'blank' marks no voxel of these labels" in opened.tabs.objects.sentence.text()
    assert is_shown(opened, "Objects")


# The layer of objects ----------------------------------------------------------------------------------


def test_object_errors_are_a_layer_in_fixed_colours(viewer, opened, press, wait, boxes):
    assert not opened.tabs.object_errors_button.isEnabled()
    press(opened)
    opened.tabs.objects.threshold_box.setValue(0.8)
    wait(opened, opened.tabs.object_errors_button.click)
    layer = viewer.layers["cut object errors"]
    np.testing.assert_array_equal(layer.data, object_errors(evaluate_objects(*boxes), *boxes, 0.8))
    np.testing.assert_array_equal(layer.scale, (2, 1, 1))
    np.testing.assert_array_equal(layer.translate, (10, 0, 0))
    for kind in OBJECT_KINDS.values():
        np.testing.assert_allclose(layer.get_color(kind.label)[:3], np.array(kind.rgb) / 255, atol=0.01)
    assert layer.metadata["napari_cutout"]["meaning"]["5"] == "merged"
    assert set(np.unique(layer.data)) == {0, 1, 2, 3, 4, 5}


def test_object_errors_are_updated_as_long_as_nobody_edits_them(viewer, opened, press, wait):
    press(opened)
    wait(opened, opened.tabs.object_errors_button.click)
    opened.tabs.objects.threshold_box.setValue(0.95)
    wait(opened, opened.tabs.object_errors_button.click)
    assert [layer.name for layer in viewer.layers] == ["cut", "by hand", "cut object errors"]
    viewer.layers["cut object errors"].paint((2, 18, 2), 3)
    wait(opened, opened.tabs.object_errors_button.click)
    assert viewer.layers[-1].name == "cut object errors [1]"
    assert viewer.layers["cut object errors"].data[2, 18, 2] == 3


def test_object_errors_of_layers_on_disk_are_lazy(viewer, dock, press, wait, boxes, monkeypatch):
    monkeypatch.setattr(_layers, "MAX_LAZY_BYTES", 100)
    viewer.add_labels(da.from_array(boxes[0], (2, 20, 9)), name="cut")
    viewer.add_labels(boxes[1], name="by hand")
    widget = dock("Evaluate")
    press(widget)
    wait(widget, widget.tabs.object_errors_button.click)
    layer = viewer.layers["cut object errors"]
    assert isinstance(layer.data, da.Array)
    np.testing.assert_array_equal(layer.data.compute(), object_errors(evaluate_objects(*boxes), *boxes))


def test_scores_that_are_not_current_give_no_layer_and_no_boundaries(viewer, opened, press):
    press(opened)
    viewer.layers["cut"].paint((2, 18, 2), 3)
    assert not opened.tabs.object_errors_button.isEnabled()
    assert not opened.tabs.boundaries.button.isEnabled()
    opened.add_object_errors()
    opened.measure_boundaries()
    assert not opened.bar.running
    assert len(viewer.layers) == 2


# Boundaries --------------------------------------------------------------------------------------------


def test_boundaries_are_measured_on_request_in_world_units(opened, press, wait, boxes):
    page = opened.tabs.boundaries
    press(opened)
    assert page.found is None
    assert "Not measured yet" in page.sentence.text()
    assert page.unit.text() == "µm"
    assert page.tolerance == 2, "the largest edge of a voxel"
    page.by_box.setCurrentIndex(1)
    page.tolerance_box.setValue(0.5)
    wait(opened, page.button.click)
    expected = evaluate_boundaries(*boxes, spacing=(2, 1, 1), tolerance=0.5, by="objects")
    assert str(page.found) == str(expected)
    assert column(page.table, "true") == expected.truth.tolist() == [3, 4]
    assert column(page.table, "hd95") == expected.hd95.tolist()
    assert [c.heading for c in page.table.columns][3:6] == ["Hausdorff (µm)", "HD95 (µm)", "ASSD (µm)"]
    assert f"HD95 {expected.means['hd95']:.4g} µm" in page.sentence.text()
    assert "3 predicted and 3 true objects without a partner" in page.sentence.text()
    assert "of all 5 true objects, 0 for those without a partner: surface Dice" in page.sentence.text()
    assert "is 0.5 or less" in page.sentence.toolTip()


def test_boundaries_of_classes_have_a_row_each_with_its_name(opened, press, wait, boxes):
    opened.match_box.setCurrentText("by value")
    opened.names.set(4, "nucleolus")
    page = opened.tabs.boundaries
    press(opened)
    page.by_box.setCurrentIndex(0)
    wait(opened, page.button.click)
    expected = evaluate_boundaries(*boxes, spacing=(2, 1, 1), match="value")
    assert column(page.table, "class") == expected.truth.tolist()
    assert column(page.table, "missing") == list(expected.missing)
    row = expected.truth.tolist().index(4)
    assert page.table.value(row, "name") == "nucleolus"
    opened.names.set(4, "spot")
    assert page.table.value(row, "name") == "spot"


def test_a_row_of_boundaries_moves_the_view_and_a_pick_selects_it(viewer, opened, press, wait):
    press(opened)
    page = opened.tabs.boundaries
    page.by_box.setCurrentIndex(1)
    wait(opened, page.button.click)
    page.table.selectRow(1)
    assert (viewer.layers["by hand"].selected_label, viewer.layers["cut"].selected_label) == (4, 7)
    assert viewer.dims.point[0] == 14
    assert viewer.scene.camera.center[1:] == pytest.approx((9.5, 1.5))
    assert opened.tabs.objects.table.selected == [3], "the table of objects follows"
    viewer.layers["by hand"].selected_label = 3
    assert page.table.selected == [0]
    viewer.layers["cut"].selected_label = 2  # matched with none
    assert page.table.selected == []
    viewer.layers["cut"].selected_label = 7
    assert page.table.selected == [1]
    opened.tabs.objects.table.selectRow(2)
    assert page.table.selected == [0], "and this one follows the table of objects"


def test_one_class_of_many_objects_is_one_row(viewer, opened, press, wait):
    opened.match_box.setCurrentText("binary")
    press(opened)
    page = opened.tabs.boundaries
    page.by_box.setCurrentIndex(0)
    wait(opened, page.button.click)
    assert column(page.table, "class") == [1]
    viewer.layers["by hand"].selected_label = 4
    assert page.table.selected == [0]
    page.table.selectRow(0)
    assert viewer.layers["by hand"].selected_label == 4, "no label stands for the class"


def test_boundaries_of_a_time_series_are_refused_in_words(viewer, dock, press):
    labels = np.random.default_rng(5).integers(0, 3, (2, 3, 6, 7))
    for name in ("cut", "by hand"):
        viewer.add_labels(labels, name=name)
    widget = dock("Evaluate")
    press(widget)
    assert not widget.tabs.boundaries.button.isEnabled()
    assert "Boundaries are measured in 2-D and 3-D; these labels have 4 axes." in widget.tabs.boundaries.sentence.text()


def test_cancelled_boundaries_leave_what_there_was(opened, press, wait, qtbot, monkeypatch):
    press(opened)
    page = opened.tabs.boundaries
    wait(opened, page.button.click)
    before = page.found
    reached, go_on = threading.Event(), threading.Event()
    real = _boundaries.evaluate_boundaries

    def held(*args, **options):
        reached.set()
        assert go_on.wait(PATIENCE)
        return real(*args, **options)

    monkeypatch.setattr(_boundaries, "evaluate_boundaries", held)
    page.button.click()
    qtbot.waitUntil(reached.is_set)
    assert not page.button.isEnabled(), "one run at a time"
    with qtbot.waitSignal(opened.bar.ended):
        opened.bar.button.click()
        go_on.set()
    assert page.found is before
    assert page.button.isEnabled()
    assert len(opened.history.entries) == 1


def test_boundaries_stay_with_their_evaluation_and_are_exported(opened, press, wait, tmp_path, monkeypatch):
    press(opened)
    page = opened.tabs.boundaries
    assert not opened.tabs.boundaries_button.isEnabled()
    wait(opened, page.button.click)
    found = page.found
    press(opened)
    assert page.found is None
    assert not opened.tabs.boundaries_button.isEnabled()
    opened.tabs.past.selectRow(0)
    assert page.found is found
    assert "#808080" in page.table.styleSheet()
    target = tmp_path / "asked.csv"
    monkeypatch.setattr(DIALOG, lambda *_: (str(target), ""))
    opened.tabs.boundaries_button.click()
    with target.open(newline="") as file:
        assert [float(row["hd95"]) for row in csv.DictReader(file)] == found.hd95.tolist()


# IoU against Dice --------------------------------------------------------------------------------------


@pytest.fixture
def disagreeing(viewer, dock, press):
    """Two results that mean IoU (3/5, 11/20) and mean Dice (2/3, 17/24) rank differently, both scored."""
    truth, sharp, even = np.zeros((3, 4, 3, 30), np.int32)
    truth[1, 0], truth[3, 2] = 1, 2
    sharp[1, 0], sharp[3, 2, :6] = 7, 8
    even[1, 0, :15], even[3, 2, :18] = 7, 8
    for name, data in (("sharp", sharp), ("even", even), ("by hand", truth)):
        viewer.add_labels(data, name=name, axis_labels=("z", "y", "x"))
    widget = dock("Evaluate")
    widget.match_box.setCurrentText("binary")
    for name in ("sharp", "even"):
        widget.use("predicted", viewer.layers[name])
        press(widget)
    return widget


def test_objects_lie_on_the_curve_and_their_mean_below_it(disagreeing):
    page = disagreeing.tabs.agreement
    x, y = page.canvas._points.getData()
    np.testing.assert_allclose(x, [0.5, 0.6])
    np.testing.assert_allclose(y, 2 * x / (1 + x))
    np.testing.assert_allclose(page.canvas._mean.getData(), [[0.55], [17 / 24]])
    curve = page.canvas._curve.getData()
    np.testing.assert_allclose(curve[1], 2 * curve[0] / (1 + curve[0]))
    assert page.reading.text() == "mean of 2: IoU 0.5500, Dice 0.7083"
    kinds = [page.kind_box.itemText(at) for at in range(page.kind_box.count())]
    assert kinds == ["objects", "classes", "slices along z", "slices along y", "slices along x"]


def test_evaluations_that_are_ranked_differently_are_named_with_their_objects(viewer, disagreeing):
    page = disagreeing.tabs.agreement
    assert "1: sharp is better by IoU (+0.0500), 2: even by Dice (+0.0417)" in page.sentence.text()
    assert column(disagreeing.tabs.past, "number") == [1, 2]
    assert not page.table.isHidden()
    assert column(page.table, "item") == ["object 1", "object 2"]
    page.table.selectRow(1)
    assert viewer.layers["by hand"].selected_label == 2
    assert viewer.dims.point[0] == 3
    assert viewer.scene.camera.center[1:] == pytest.approx((2, 14.5))
    assert page.reading.text() == "object 2: IoU 0.600, Dice 0.750"
    assert disagreeing.tabs.objects.table.selected == [1]
    disagreeing.tabs.past.selectRow(0)
    assert "rank 1 of 1 pairs differently" in page.sentence.text(), "of an earlier evaluation as well"
    assert page.reading.text() == "mean of 2: IoU 0.6000, Dice 0.6667"
    disagreeing.tabs.clear_button.click()
    assert page.sentence.text().startswith("No other evaluation")
    assert page.table.isHidden()


def test_a_click_on_the_curve_goes_to_the_object(viewer, disagreeing, qtbot):
    page = disagreeing.tabs.agreement
    disagreeing.tabs.setCurrentWidget(page)
    page.canvas.resize(300, 200)
    at = page.canvas.mapFromScene(page.canvas.getViewBox().mapViewToScene(QPointF(0.5, 2 / 3)))
    qtbot.mousePress(page.canvas.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert page.canvas.current == 0
    assert (viewer.layers["by hand"].selected_label, viewer.dims.point[0]) == (1, 1)
    qtbot.keyClick(page.canvas, Qt.Key.Key_Right)
    assert (page.canvas.current, viewer.dims.point[0]) == (1, 3)
    qtbot.keyClick(page.canvas, Qt.Key.Key_Right)
    assert page.canvas.current == 1
    viewer.layers["by hand"].selected_label = 1
    assert page.reading.text() == "object 1: IoU 0.500, Dice 0.667", "a pick in the viewer is found on the curve"


def test_a_slice_on_the_curve_is_shown(viewer, disagreeing):
    page = disagreeing.tabs.agreement
    viewer.dims.set_point(0, 0)
    page.kind_box.setCurrentIndex(2)
    assert page.canvas.items_drawn.keys == ((1, 1), (3, 1))
    page.canvas.chosen.emit(1)
    assert viewer.dims.point[0] == 3
    assert page.reading.text() == "slice 3, class 1: IoU 0.600, Dice 0.750"


def test_a_first_evaluation_has_nothing_to_be_ranked_with(opened, press):
    press(opened)
    page = opened.tabs.agreement
    assert page.sentence.text().startswith("No other evaluation of the history has this truth")
    assert page.table.isHidden()


def test_a_closed_widget_follows_no_click(viewer, disagreeing):
    page = disagreeing.tabs.agreement
    colour = page.canvas.backgroundBrush().color().name()
    viewer.window.remove_dock_widget(disagreeing)
    viewer.theme = "light"
    viewer.layers["by hand"].selected_label = 2
    assert page.canvas.current is None
    assert page.canvas.backgroundBrush().color().name() == colour
