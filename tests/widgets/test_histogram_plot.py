"""The plot of a histogram: what is drawn as numbers, and lines moved with mouse and keys."""

from __future__ import annotations

import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout.methods._grey_levels import Histogram
from napari_cutout.widgets._histogram_view import (
    bars,
    beyond,
    bounds,
    central,
    count_ticks,
    drawn,
    heights,
    level_text,
    outline,
    snapped,
    tints,
    top,
)


def of(*values, dtype="uint8"):
    return nc.histogram(np.array([values], dtype))


def wide(seed=0):
    """A histogram of all 65,536 levels with one lonely peak."""
    counts = np.random.default_rng(seed).integers(1, 50, 65_536)
    counts[40_001] = 10**6
    levels = np.arange(65_536.0)
    return Histogram(counts, levels, levels)


# What is drawn -----------------------------------------------------------------------------------------


def test_integers_have_a_bar_around_each():
    found = drawn(of(3, 3, 4, 6))
    assert found.borders.tolist() == [2.5, 3.5, 4.5, 5.5, 6.5]
    assert found.counts.tolist() == [2, 1, 0, 1]
    assert found.span == (2.5, 6.5)
    assert found.whole


def test_integers_in_steps_have_a_bar_per_step():
    found = drawn(of(16, 16, 48, 112))
    assert found.borders.tolist() == [0, 32, 64, 96, 128]
    assert found.counts.tolist() == [2, 1, 0, 1]
    assert found.span == (10, 118)  # the first bar lies around 16 and is not drawn down to 0


def test_floats_have_the_bins_of_the_histogram():
    histogram = nc.histogram(np.random.default_rng(1).random((40, 50)))
    found = drawn(histogram)
    np.testing.assert_array_equal(found.borders[1:], histogram.edges)
    np.testing.assert_allclose((found.borders[1:] + found.borders[:-1]) / 2, histogram.values, rtol=1e-9)
    assert not found.whole


@pytest.mark.parametrize(("value", "dtype"), [(7, "uint8"), (0.25, "float32"), (0.0, "float64")])
def test_an_image_of_one_level_has_one_bar(value, dtype):
    found = drawn(of(value, value, dtype=dtype))
    assert found.counts.tolist() == [2]
    assert found.borders[0] < value < found.borders[1]
    assert level_text(value, found)


@pytest.mark.parametrize("most", [1, 7, 300, 65_536, 10**6])
def test_no_voxel_and_no_peak_is_lost(most):
    found = drawn(wide())
    seen = bars(found, *found.span, most)
    assert len(seen.counts) <= most
    assert seen.counts.sum() == found.counts.sum()
    at = np.argmax(seen.counts)
    assert seen.borders[at] < 40_001 < seen.borders[at + 1]
    assert np.all(np.diff(np.diff(seen.borders)[:-1]) == 0)  # all but the last join as many levels
    expected = [found.counts[int(a + 0.5) : int(b + 0.5)].sum() for a, b in zip(seen.borders, seen.borders[1:])]  # noqa: B905
    assert seen.counts.tolist() == expected


def test_bars_stay_while_the_plot_is_moved_sideways():
    found = drawn(wide())
    one, other = bars(found, 1000, 5000, 200), bars(found, 1013, 5013, 200)
    shared = np.intersect1d(one.borders, other.borders)
    assert len(shared) > 190
    assert one.borders[0] <= 1000
    assert one.borders[-1] >= 5000


def test_zoomed_in_there_is_a_bar_per_level():
    seen = bars(drawn(wide()), 40_000, 40_010, 300)
    assert np.diff(seen.borders).tolist() == [1.0] * len(seen.counts)
    assert seen.counts.max() == 10**6


def test_heights():
    counts = np.array([0, 1, 10, 1000])
    assert heights(counts, "linear").tolist() == [0, 1, 10, 1000]
    log = heights(counts, "log")
    assert log[0] == 0
    assert log[1] > 0  # a single voxel is seen
    np.testing.assert_allclose(np.diff(log[1:]), [1, 2])
    assert top(counts, "linear") == 1050
    assert top(counts, "log") == pytest.approx(1.05 * log[3])
    assert top(np.zeros(3, np.int64), "log") > 0


def test_few_bars_stand_apart():
    found = drawn(of(0, 1, 1))
    x, y = outline(found, heights(found.counts, "linear"), apart=True)
    assert y.tolist() == [1, 0, 2]
    assert np.all(np.diff(x) > 0)
    np.testing.assert_allclose((x[0] + x[1]) / 2, 0)
    np.testing.assert_allclose((x[2] + x[3]) / 2, 1)
    assert outline(found, heights(found.counts, "linear"), apart=False)[0].tolist() == [-0.5, 0.5, 1.5]


def test_wide_bars_lie_inside_the_plot():
    found = drawn(of(0, 255))
    x, _ = outline(found, heights(found.counts, "linear"), apart=True)
    assert found.span[0] <= x[0] < 0 < x[1] < x[2] < 255 < x[3] <= found.span[1]


@pytest.mark.parametrize(
    ("counts", "scale", "texts"),
    [
        (1, "linear", ["0", "1"]),
        (1200, "linear", ["0", "500", "1k"]),
        (1, "log", ["1"]),
        (1200, "log", ["1", "10", "100", "1k"]),
        (3 * 10**8, "log", ["1", "1k", "1M"]),
    ],
)
def test_ticks_of_counts(counts, scale, texts):
    highest = top(np.array([counts]), scale)
    ticks = count_ticks(highest, scale)
    assert [text for _, text in ticks] == texts
    assert all(0 <= at <= highest for at, _ in ticks)
    if scale == "log":
        assert ticks[0][0] == heights(np.array([1]), "log")[0]


# Lines -------------------------------------------------------------------------------------------------


def test_levels_of_integers_snap_to_integers():
    found = drawn(of(0, 200))
    assert snapped(117.3, found) == 117.0
    assert level_text(117.0, found) == "117"
    assert level_text(117.25, found) == "117.2"
    assert snapped(31_234.6, drawn(wide())) == 31_230.0


def test_levels_of_floats_snap_to_a_grid():
    found = drawn(of(0.0, 0.5, 1.0, dtype="float64"))
    assert snapped(0.123456, found) == 0.123
    assert level_text(0.1234567, found) == "0.123"
    tiny = drawn(of(0.0, 5e-13, 1e-12, dtype="float64"))
    assert level_text(1.5e-13, tiny) == "1.5e-13"


def test_a_line_stays_between_its_neighbours():
    found = drawn(of(*range(101)))
    levels = (10.0, 50.0, 51.0)
    assert bounds(levels, 0, found) == (-0.5, 49.0)
    assert bounds(levels, 1, found) == (11.0, 50.0)
    assert bounds(levels, 2, found) == (51.0, 100.5)
    assert bounds((500.0,), 0, found) == (-0.5, 500.0)  # what was typed stays where it is


def test_classes_lie_between_the_lines():
    found = drawn(of(*range(101)))
    assert tints((10.0, 50.0), found) == [(-0.5, 10.0), (10.0, 50.0), (50.0, 100.5)]
    assert tints((200.0,), found) == [(-0.5, 100.5), (100.5, 100.5)]


# In the window -----------------------------------------------------------------------------------------

qt = pytest.mark.qt
IMAGE = np.arange(100, dtype=np.uint8).repeat(3).reshape(10, 30)


@pytest.fixture
def plot(qtbot):
    from napari_cutout.widgets._histogram_plot import HistogramPlot
    from napari_cutout.widgets._theme import plot_colours

    made = HistogramPlot(plot_colours("dark"))
    qtbot.addWidget(made)
    made.resize(320, 220)
    made.show()
    qtbot.waitExposed(made)
    return made


@pytest.fixture
def with_lines(plot):
    plot.set_histogram(nc.histogram(IMAGE))
    plot.set_levels((30.0, 60.0), movable=True, colours=("#0072b2", "", "#e69f00"))
    return plot


@pytest.fixture
def drag(monkeypatch):
    """Drag with the mouse from one grey level to another."""
    import pyqtgraph as pg
    from qtpy.QtCore import QEvent, QPointF, Qt
    from qtpy.QtGui import QMouseEvent
    from qtpy.QtWidgets import QApplication

    monkeypatch.setitem(pg.CONFIG_OPTIONS, "mouseRateLimit", -1)  # else moves that follow at once are dropped

    def at(canvas, level):
        low, high = canvas.getViewBox().viewRange()[1]
        scene = canvas.getViewBox().mapViewToScene(pg.Point(level, (low + high) / 3))
        return QPointF(canvas.mapFromScene(scene))

    def send(canvas, kind, point, button, buttons):
        port = canvas.viewport()
        event = QMouseEvent(kind, point, port.mapToGlobal(point), button, buttons, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(port, event)

    def from_to(canvas, start, *stops):
        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        points = [at(canvas, level) for level in stops]
        send(canvas, QEvent.Type.MouseMove, at(canvas, start), none, none)
        send(canvas, QEvent.Type.MouseButtonPress, at(canvas, start), left, left)
        for point in points:
            send(canvas, QEvent.Type.MouseMove, point, none, left)
        send(canvas, QEvent.Type.MouseButtonRelease, points[-1], left, none)

    return from_to


@qt
def test_an_empty_plot_says_why_and_loads_nothing(plot):
    plot.set_histogram(None, "choose an image layer")
    assert plot.empty.isVisible()
    assert plot.empty.text() == "choose an image layer"
    assert plot.canvas is None
    plot.set_histogram(nc.histogram(IMAGE))
    assert not plot.empty.isVisible()
    assert plot.canvas.isVisible()
    plot.set_histogram(None, "the layer is gone")
    assert plot.empty.isVisible()


@qt
def test_where_there_will_be_no_histogram_a_line_is_left(plot, qtbot):
    plot.set_histogram(nc.histogram(IMAGE))
    plot.say("100 levels")
    high = plot.sizeHint().height()
    plot.set_histogram(None, "channels are taken together", room=False)
    plot.say("channels are taken together")
    assert plot.line.isVisible()
    assert not any(part.isVisible() for part in (plot.empty, plot.canvas, plot.log_box))
    qtbot.waitUntil(lambda: plot.layout().sizeHint().height() < 60)
    assert plot.sizeHint().height() < 60 < high
    plot.set_histogram(nc.histogram(IMAGE))
    assert plot.canvas.isVisible()
    assert plot.log_box.isVisible()
    assert plot.sizeHint().height() == high


@qt
def test_the_whole_histogram_is_in_view_at_first(with_lines):
    view = with_lines.canvas.getViewBox()
    assert view.viewRange()[0] == [-0.5, 99.5]
    assert view.viewRange()[1][1] == pytest.approx(3.15)
    assert not with_lines.all_button.isVisible()
    assert with_lines.canvas.minimumSizeHint().width() <= 320
    assert with_lines.minimumSizeHint().width() <= 320


OUTLIERS = np.concatenate([np.arange(200, 1200).repeat(50), np.full(40, 65_500)]).astype(np.uint16)[None]
"""Grey levels in a sixtieth of their range, but for a few."""


def test_few_voxels_take_no_room_at_first():
    found = drawn(nc.histogram(OUTLIERS))
    low, high = central(found)
    assert low == found.span[0] == 199.5
    assert 1200 < high < 1500
    assert beyond(found, low, high) == "0.08 % beyond"
    assert central(found, [3000.0])[1] > 3000
    assert central(found, [65_000.0]) == found.span
    even = drawn(nc.histogram(IMAGE))
    assert central(even) == even.span
    assert beyond(even, *even.span) == ""


@qt
def test_outliers_are_out_of_view_until_they_are_asked_for(plot, qtbot):
    from qtpy.QtCore import Qt

    plot.say("1,001 levels")
    plot.set_histogram(nc.histogram(OUTLIERS))
    view = plot.canvas.getViewBox()
    first = view.viewRange()[0]
    assert first[1] < 1500
    assert plot.line.text() == "1,001 levels · 0.08 % beyond"
    plot.set_levels((5000.0,), movable=True)
    assert view.viewRange()[0][1] > 5000
    assert plot.canvas._lines[0].label.anchors[0] == (1, 0.5)
    plot.set_levels((700.0,), movable=True)
    assert view.viewRange()[0] == first
    plot.all_button.click()
    assert view.viewRange()[0] == [199.5, 65_500.5]
    assert plot.line.text() == "1,001 levels"
    plot.set_levels((800.0,), movable=True)  # what the user has asked for stays
    assert view.viewRange()[0] == [199.5, 65_500.5]
    aside = plot.canvas.rect().center()
    qtbot.mouseDClick(plot.canvas.viewport(), Qt.MouseButton.LeftButton, pos=aside)
    assert view.viewRange()[0] == first


@qt
def test_nothing_of_pyqtgraphs_menus_is_left(with_lines):
    assert not with_lines.canvas.getPlotItem().autoBtn.isVisible()
    assert not with_lines.canvas.getPlotItem().menuEnabled()
    assert not with_lines.canvas.getViewBox().menuEnabled()


@qt
def test_dragging_tells_where_the_line_is_and_where_it_was_left(with_lines, drag, qtbot):
    moving, moved = [], []
    with_lines.moving.connect(lambda *args: moving.append(args))
    with_lines.moved.connect(lambda *args: moved.append(args))
    drag(with_lines.canvas, 30, 33, 36, 40)
    assert moved == [(0, with_lines.levels[0])]
    assert moving[-1] == moved[0]
    assert abs(with_lines.levels[0] - 40) <= 2
    assert with_lines.levels[0] == round(with_lines.levels[0])
    assert with_lines.levels[1] == 60


@qt
def test_a_line_cannot_pass_its_neighbour(with_lines, drag):
    drag(with_lines.canvas, 30, 40, 70, 90)
    assert with_lines.levels == (59.0, 60.0)


@qt
def test_levels_that_are_set_meanwhile_do_not_take_the_line_away(with_lines, drag):
    with_lines.moving.connect(lambda *_: with_lines.set_levels((1.0, 2.0, 3.0), movable=True))
    drag(with_lines.canvas, 30, 33, 36, 40)
    assert abs(with_lines.levels[0] - 40) <= 2
    assert with_lines.levels[1:] == (60.0,)
    with_lines.set_levels((1.0,), movable=True)
    assert with_lines.levels == (1.0,)


@qt
def test_lines_that_are_found_cannot_be_dragged(with_lines, drag):
    with_lines.set_levels((30.0, 60.0), movable=False)
    drag(with_lines.canvas, 30, 33, 36, 40)
    assert with_lines.levels == (30.0, 60.0)


@qt
def test_keys_move_lines(with_lines, qtbot):
    from qtpy.QtCore import Qt

    moved = []
    with_lines.moved.connect(lambda *args: moved.append(args))
    canvas = with_lines.canvas
    qtbot.keyClick(canvas, Qt.Key.Key_Right)
    qtbot.keyClick(canvas, Qt.Key.Key_Up)
    qtbot.keyClick(canvas, Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier)
    assert moved == [(0, 31.0), (1, 50.0)]
    assert with_lines.levels == (31.0, 50.0)
    for _ in range(3):
        qtbot.keyClick(canvas, Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier)
    assert with_lines.levels == (31.0, 32.0)  # no farther than its neighbour
    qtbot.keyClick(canvas, Qt.Key.Key_Up)
    qtbot.keyClick(canvas, Qt.Key.Key_Left)
    assert with_lines.levels == (30.0, 32.0)


@qt
def test_a_value_can_be_typed(with_lines, qtbot):
    from qtpy.QtCore import Qt

    qtbot.keyClick(with_lines.canvas, Qt.Key.Key_Return)
    dialog = with_lines._dialog
    assert dialog.doubleValue() == 30.0
    dialog.setDoubleValue(42.0)
    with qtbot.waitSignal(with_lines.moved) as caught:
        dialog.accept()
    assert caught.args == [0, 42.0]


@qt
def test_zoom_is_kept_inside_and_undone(with_lines, qtbot):
    canvas = with_lines.canvas
    canvas.setXRange(20, 40, padding=0)
    assert with_lines.all_button.isVisible()
    assert canvas.getAxis("left").tickValues is not None
    with_lines.set_histogram(nc.histogram(IMAGE))  # counted again: the user's view stays
    assert canvas.getViewBox().viewRange()[0] == [20, 40]
    canvas.setXRange(-500, 900, padding=0)
    assert canvas.getViewBox().viewRange()[0] == [-0.5, 99.5]
    canvas.setXRange(20, 40, padding=0)
    with_lines.all_button.click()
    assert canvas.getViewBox().viewRange()[0] == [-0.5, 99.5]
    assert not with_lines.all_button.isVisible()
    with_lines.set_histogram(nc.histogram(IMAGE + np.uint8(50)))
    assert canvas.getViewBox().viewRange()[0] == [49.5, 149.5]


@qt
def test_the_wheel_scrolls_the_form_until_the_plot_is_clicked(with_lines, qtbot):
    from qtpy.QtCore import QPoint, QPointF, Qt
    from qtpy.QtGui import QWheelEvent

    canvas = with_lines.canvas
    centre = QPointF(canvas.rect().center())
    wheel = [centre, centre, QPoint(0, 0), QPoint(0, 120), Qt.MouseButton.NoButton]
    wheel += [Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False]
    canvas.clearFocus()
    event = QWheelEvent(*wheel)
    canvas.wheelEvent(event)
    assert not event.isAccepted()
    assert not with_lines.all_button.isVisible()


@qt
def test_the_scale_is_told_and_kept(with_lines):
    told = []
    with_lines.scale_changed.connect(told.append)
    with_lines.log_box.click()
    assert told == ["log"]
    assert with_lines.scale == "log"
    high = with_lines.canvas.getViewBox().viewRange()[1][1]
    assert high == pytest.approx(top(np.array([3]), "log"))
    with_lines.scale = "linear"
    assert told == ["log", "linear"]


@qt
def test_strokes_are_drawn_as_high_as_the_plot_and_named(with_lines):
    with_lines.set_strokes({"1 <i>": (nc.histogram(IMAGE[:2]), "#ff0000"), "2": (nc.histogram(IMAGE[8:]), "#00ff00")})
    curves = with_lines.canvas._stroke_curves
    highest = with_lines.canvas.getViewBox().viewRange()[1][1]
    for curve in curves:
        assert 0.9 * highest < curve.getData()[1].max() <= highest
    assert "1 &lt;i&gt;" in with_lines.legend.text()
    assert with_lines.legend.isVisible()
    with_lines.set_strokes({})
    assert not with_lines.legend.isVisible()
    assert not with_lines.canvas._stroke_curves


@qt
def test_what_was_set_before_the_first_histogram_is_drawn_with_it(plot):
    plot.scale = "log"
    plot.set_levels((5.0,), movable=True)
    plot.set_strokes({"1": (nc.histogram(IMAGE), "#ff0000")})
    plot.set_histogram(nc.histogram(IMAGE))
    assert [line.value() for line in plot.canvas._lines] == [5.0]
    assert len(plot.canvas._stroke_curves) == 1
    assert plot.canvas.getViewBox().viewRange()[1][1] < 2


@qt
def test_levels_must_rise(plot):
    with pytest.raises(ValueError, match=r"levels must rise, got \(2.0, 1.0\)"):
        plot.set_levels((2.0, 1.0), movable=True)


@qt
def test_the_picture_has_the_colours_of_the_theme(with_lines):
    from qtpy.QtGui import QImage

    from napari_cutout.widgets._theme import plot_colours

    def share(colour):
        """Return the share of pixels of a colour, to what a screen of 16 bits per pixel keeps of it."""
        image = with_lines.canvas.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
        pixels = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4)[..., 2::-1]
        wanted = np.array(bytearray.fromhex(colour[1:]))
        return np.all(abs(pixels.astype(int) - wanted) < 8, axis=-1).mean()

    with_lines.set_levels((), movable=False)
    for theme in ("dark", "light"):
        colours = plot_colours(theme)
        with_lines.set_colours(colours)
        assert share(colours.background) > 0.1
        assert share(colours.data) > 0.5


@qt
def test_lines_come_and_go(with_lines):
    with_lines.set_levels((10.0, 20.0, 30.0), movable=True, colours=("#0072b2",) * 4)
    assert [line.value() for line in with_lines.canvas._lines] == [10.0, 20.0, 30.0]
    assert [t.getRegion() for t in with_lines.canvas._tints] == [(-0.5, 10), (10, 20), (20, 30), (30, 99.5)]
    with_lines.set_levels((), movable=True)
    assert not with_lines.canvas._lines
    assert not with_lines.canvas._tints
