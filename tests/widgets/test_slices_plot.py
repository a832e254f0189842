"""The plot of scores per slice: what it draws, and the viewer that it moves and follows."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_cutout.evaluation.slices import evaluate_slices
from napari_cutout.widgets import _slices

TRUTH = np.zeros((6, 4, 5), np.uint8)
TRUTH[1:, 1:3, 1:4] = 1
TRUTH[4:, 3, 0] = 2
PREDICTED = TRUTH.copy()
PREDICTED[2, 1, 1:4] = 0  # half of slice 2 is missed
PREDICTED[4, 1:3, 1:4] = 0  # all of class 1 in slice 4
PREDICTED[5, 1, 1] = 0


@pytest.fixture
def model():
    """A viewer without a window, and a layer that is scaled, moved, and has one axis fewer than the viewer."""
    viewer = ViewerModel()
    viewer.add_image(np.zeros((3, 6, 4, 5)))
    layer = viewer.add_labels(TRUTH, scale=(2, 0.5, 0.5), translate=(3, 0, 0))
    return viewer, layer


def scored():
    return [evaluate_slices(PREDICTED, TRUTH, axis=axis, match="value") for axis in range(3)]


# What is drawn, without a window -----------------------------------------------------------------------


def test_curves_of_the_mean_and_of_a_class():
    mean = _slices.curves(scored()[0])
    # IoU per slice of class 1: none, 1, 3/6, 1, 0, 5/6; of class 2: 1 in slices 4 and 5.
    np.testing.assert_allclose(mean.iou, [np.nan, 1, 0.5, 1, 0.5, (5 / 6 + 1) / 2])
    np.testing.assert_allclose(mean.dice, [np.nan, 1, 2 / 3, 1, 0.5, (10 / 11 + 1) / 2])
    assert mean.worst == (2, 4), "below the median, of equals the first"
    one = _slices.curves(scored()[0], 1)
    np.testing.assert_allclose(one.iou, [np.nan, 1, 0.5, 1, 0, 5 / 6])
    assert one.worst == (4, 2)
    assert _slices.curves(scored()[0], 2).worst == (), "all are alike"


def test_no_more_than_three_slices_stand_out_and_none_where_nothing_is_scored():
    truth = np.ones((9, 8), int)
    predicted = np.tril(truth)
    found = _slices.curves(evaluate_slices(predicted, truth, match="binary"))
    assert found.worst == (0, 1, 2)
    nothing = _slices.curves(evaluate_slices(np.array([[0, 1]]), np.array([[0, 1]]), axis=1), 1)
    assert nothing.worst == ()


@pytest.mark.parametrize(("at", "step", "expected"), [(2, 1, 3), (2, -1, 1), (0, -1, 0), (5, 10, 5), (3, -(2**31), 0)])
def test_steps_stay_inside_the_axis(at, step, expected):
    assert _slices.stepped(_slices.curves(scored()[0]), at, step) == expected


def test_axes_are_called_by_their_labels_or_their_numbers():
    viewer = ViewerModel()
    assert _slices.axis_names(viewer.add_labels(TRUTH)) == ["axis 0", "axis 1", "axis 2"]
    assert _slices.axis_names(viewer.add_labels(TRUTH, axis_labels=("z", "y", "x"))) == ["z", "y", "x"]


def test_where_the_viewer_is_and_going_elsewhere(model):
    viewer, layer = model
    viewer.dims.set_point(1, 7)  # world 7 is slice (7 - 3) / 2 of the layer
    assert _slices.here(viewer, layer, 0) == 2
    _slices.go_to(viewer, layer, 0, 4)
    assert viewer.dims.point[1] == 11
    assert _slices.here(viewer, layer, 0) == 4
    assert viewer.dims.displayed == (2, 3)
    viewer.dims.set_point(1, 0)
    assert _slices.here(viewer, layer, 0) is None, "the view lies beside the layer"


def test_an_axis_in_the_picture_changes_places_with_one_that_is_not(model):
    viewer, layer = model
    viewer.dims.ndisplay = 3
    assert _slices.here(viewer, layer, 2) is None
    _slices.go_to(viewer, layer, 2, 3)
    assert viewer.dims.ndisplay == 2
    assert 3 not in viewer.dims.displayed
    assert _slices.here(viewer, layer, 2) == 3
    assert viewer.dims.point[3] == 1.5
    _slices.go_to(viewer, layer, 1, 2)
    assert _slices.here(viewer, layer, 1) == 2
    assert sorted(viewer.dims.order) == [0, 1, 2, 3]


def test_a_rotated_layer_is_followed_and_gone_to():
    viewer = ViewerModel()
    layer = viewer.add_labels(TRUTH, rotate=(0, 0, 30), scale=(1.5, 1, 1))
    _slices.go_to(viewer, layer, 0, 5)
    assert _slices.here(viewer, layer, 0) == 5


# In a window -------------------------------------------------------------------------------------------


@pytest.fixture
def plot(viewer, qtbot):
    """The plot on a layer in a viewer."""
    from napari_cutout.widgets._slices_plot import SlicesPlot

    layer = viewer.add_labels(PREDICTED, name="cut", scale=(2, 1, 1))
    plot = SlicesPlot(viewer, {1: "nuclei", 0: "", 2: ""}.get)
    qtbot.addWidget(plot)
    plot.resize(320, 400)
    plot.show_slices(scored(), ["z", "y", "x"], layer)
    plot.show()
    qtbot.waitExposed(plot)
    yield plot
    plot.let_go()


@pytest.mark.qt
def test_it_draws_the_scores_and_offers_axes_and_classes(plot):
    assert [plot.axis_box.itemText(at) for at in range(3)] == ["z", "y", "x"]
    classes = [plot.class_box.itemText(at) for at in range(plot.class_box.count())]
    assert classes == ["mean", "class 0", "class 1 (nuclei)", "class 2"]
    np.testing.assert_array_equal(plot.canvas._iou.getData()[1], scored()[0].mean_iou)
    plot.class_box.setCurrentIndex(2)
    np.testing.assert_array_equal(plot.canvas._dice.getData()[1], scored()[0].dice[:, 1])
    plot.axis_box.setCurrentIndex(2)
    np.testing.assert_array_equal(plot.canvas._iou.getData()[1], scored()[2].iou[:, 1])
    assert plot.found.axis == 2
    assert plot.minimumSizeHint().width() <= 320
    assert plot.canvas.minimumHeight() >= 150


@pytest.mark.qt
def test_the_line_follows_the_viewer(viewer, plot):
    viewer.dims.set_point(0, 4)
    assert plot.canvas.current == 2
    assert plot.canvas._line.value() == 2
    assert plot.reading.text() == "slice 2: IoU 0.500, Dice 0.667"
    viewer.dims.set_point(0, 0)
    assert plot.reading.text() == "slice 0: nothing to score"
    plot.axis_box.setCurrentIndex(1)
    assert plot.canvas.current is None
    assert plot.reading.text() == "y lies in the picture; click to see a slice of it"


@pytest.mark.qt
def test_a_click_shows_the_slice(viewer, plot):
    view = plot.canvas.getViewBox()
    at = plot.canvas.mapFromScene(view.mapViewToScene(view.mapToView(view.rect().center())))
    QTest.mouseClick(plot.canvas.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(at.x() + 5, at.y()))
    assert viewer.dims.current_step[0] == 3, "the middle of 6 slices, and a little to the right"
    assert plot.canvas.current == 3


@pytest.mark.qt
def test_keys_go_on_by_slices(viewer, plot):
    viewer.dims.set_point(0, 4)
    steps = []
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Left, Qt.Key.Key_Left, Qt.Key.Key_End, Qt.Key.Key_PageUp):
        QTest.keyClick(plot.canvas, key)
        steps.append(viewer.dims.current_step[0])
    assert steps == [3, 2, 1, 5, 0]


@pytest.mark.qt
def test_the_worst_slices_are_marked_and_linked(viewer, plot):
    assert plot.canvas._worst.getData()[0].tolist() == [2, 4]
    assert ">2</a> (0.500)" in plot.worst.text()
    plot.worst.linkActivated.emit("4")
    assert viewer.dims.current_step[0] == 4


@pytest.mark.qt
def test_it_takes_the_colours_of_the_theme(viewer, plot):
    before = plot.canvas.backgroundBrush().color().lightness()
    viewer.theme = "light"
    assert plot.canvas.backgroundBrush().color().lightness() > before + 100


@pytest.mark.qt
def test_without_its_layer_it_moves_nothing(viewer, plot):
    viewer.dims.set_point(0, 4)
    plot.forget_layer()
    QTest.keyClick(plot.canvas, Qt.Key.Key_Right)
    assert viewer.dims.current_step[0] == 2
    assert plot.reading.text() == "the layer of these scores is gone"
