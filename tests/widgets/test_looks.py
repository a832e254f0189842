"""How widgets look and are reached: narrow docks, both themes, the keyboard alone, names and tooltips."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QRect, Qt
from qtpy.QtGui import QFontMetrics
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QLabel,
    QLineEdit,
    QPushButton,
    QToolButton,
    QWidget,
)

from napari_cutout import catalog
from napari_cutout.recipe import Recipe, Selection, Step
from napari_cutout.widgets._access import tab_stops
from napari_cutout.widgets._recipe_job import Loaded
from napari_cutout.widgets._use_as import opened

pytestmark = [pytest.mark.qt, pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")]

WIDTH = 320
"""The narrowest dock that has to do."""

LONG = "a name of a layer that somebody has given in full 2026-11-24 488nm maximum projection"
ROWS = list(catalog.rows())
KINDS = ("2-D", "3-D", "time", "multiscale", "colour")
WALKS = [*((row, "time") for row in ROWS), *(("k-means", kind) for kind in KINDS if kind != "time")]
"""Rows and kinds of images whose fields are walked through: the kinds change what all rows have in common."""


def add(viewer, kind):
    """Add an image of a kind, with a long name."""
    random = np.random.default_rng(0)
    shape = {"3-D": (8, 40, 48), "time": (3, 8, 40, 48), "colour": (40, 48, 3)}.get(kind, (40, 48))
    data = random.integers(0, 255, shape, np.uint8)
    data = [np.kron(data, np.ones((2, 2), np.uint8)), data] if kind == "multiscale" else data
    labels = {"time": ("t", "z", "y", "x")}.get(kind)
    viewer.add_image(data, name=LONG, multiscale=kind == "multiscale", rgb=kind == "colour", axis_labels=labels)


@pytest.fixture
def shown(make_napari_viewer_proxy):
    """A viewer with a window that is shown, so that all is laid out as users see it."""
    viewer = make_napari_viewer_proxy(show=True)
    viewer.window.resize(1100, 850)
    return viewer


@pytest.fixture
def narrow(shown, qtbot):
    """Open a widget in a dock of 320 pixels."""

    def open_widget(name):
        dock, widget = shown.window.add_plugin_dock_widget("napari-cutout", name)
        dock.window().resizeDocks([dock], [WIDTH], Qt.Orientation.Horizontal)
        qtbot.waitUntil(lambda: widget.isVisible() and dock.width() <= WIDTH)
        return widget

    return open_widget


def seen(widget):
    """All that is seen in a widget: shown, and a leaf that somebody reads or uses."""
    kinds = (QLabel, QAbstractButton, QComboBox, QAbstractSpinBox, QLineEdit)
    found = [w for kind in kinds for w in widget.findChildren(kind) if w.isVisible() and w.width() and w.height()]
    inner = {w for w in found for parent in [w.parentWidget()] if isinstance(parent, kinds)}
    return [w for w in found if w not in inner]


def place(widget, top):
    """Where a widget lies in another."""
    return QRect(widget.mapTo(top, QPoint(0, 0)), widget.size())


def wanted(widget):
    """How wide something has to be for its words to be read in full; names of layers may be cut, words of ours not."""
    text = QFontMetrics(widget.font())
    if isinstance(widget, QLabel):
        rich = Qt.mightBeRichText(widget.text())
        words = [] if rich else widget.text().split() if widget.wordWrap() else [widget.text()]
        return max((text.horizontalAdvance(word) for word in words), default=0)
    if isinstance(widget, QCheckBox):
        return text.horizontalAdvance(widget.text().replace("&", "")) + (20 if widget.text() else 0)
    if isinstance(widget, QPushButton | QToolButton):
        return text.horizontalAdvance(widget.text().replace("&", ""))
    if isinstance(widget, QComboBox):
        ours = [widget.itemText(n) for n in range(widget.count()) if LONG not in widget.itemText(n)]
        return max((text.horizontalAdvance(word) for word in ours), default=0) + 20
    return 34


def cut_off(widget):
    """Names of what is cut off at 320 pixels: beyond the edge, too narrow for its words or too low for its lines."""
    found = []
    for part in seen(widget):
        at = place(part, widget)
        name = f"{type(part).__name__} {part.text() if hasattr(part, 'text') else part.accessibleName()!r} {at}"
        if at.left() < 0 or at.right() >= widget.width():
            found.append(f"beyond the edge: {name}")
        if part.width() < wanted(part):
            found.append(f"too narrow for {wanted(part)}: {name}")
        if isinstance(part, QLabel) and part.wordWrap() and part.height() < part.heightForWidth(part.width()):
            found.append(f"too low: {name}")
    return found


def overlapping(widget):
    """Pairs of what is seen that lie on each other."""
    parts = [(part, place(part, widget)) for part in seen(widget)]
    inside = [p for p in parts if not widget.bar.isAncestorOf(p[0])]
    return [
        (first.accessibleName() or first, second.accessibleName() or second)
        for n, (first, one) in enumerate(inside)
        for second, other in inside[n + 1 :]
        if one.intersects(other) and same_scroll(first, second, widget)
    ]


def same_scroll(first, second, widget):
    """Tell whether two parts are both in the form that scrolls, or both not."""
    inner = widget._column.widget()
    return inner.isAncestorOf(first) == inner.isAncestorOf(second)


def well_laid_out(widget, qtbot):
    """Wait until nothing is cut off and nothing overlaps; layouts settle over a few events."""

    def settled():
        assert cut_off(widget) == []
        assert overlapping(widget) == []

    qtbot.waitUntil(settled)


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_cut_off_at_320_pixels(kind, theme, shown, narrow, qtbot):
    shown.theme = theme
    add(shown, kind)
    widget = narrow("Threshold")
    for method in widget.methods:
        widget.choose_method(method.name)
        widget.more.show_content(True)
        well_laid_out(widget, qtbot)


@pytest.mark.parametrize("row", [*ROWS, "Try all", "Recipe", "Evaluate", "Compare", "Measure"])
def test_every_widget_fits_into_320_pixels(row, shown, narrow, qtbot):
    add(shown, "3-D")
    shown.add_labels(np.ones((8, 40, 48), np.uint8), name=f"{LONG} truth")
    widget = narrow(row)
    assert widget.width() <= WIDTH
    well_laid_out(widget, qtbot)


def test_a_recipe_with_what_it_runs_on_fits(shown, narrow, qtbot):
    shown.window.resize(1280, 720)
    add(shown, "time")
    widget = narrow("Recipe")
    steps = [Step("threshold"), Step("split_touching", {}, {"labels": "step_1"})]
    widget._load(Loaded(Recipe(steps, Selection("tczyx", channel="grey", each="tz", pooled=True, level=2))))
    assert widget.place.fold.text().endswith("each slice by itself · grey (mean of all) · level 2")
    assert widget.place.fit_button.isVisible()
    well_laid_out(widget, qtbot)
    widget.place.fit_button.click()
    assert not widget.place.fold.is_open
    qtbot.waitUntil(lambda: widget._column.verticalScrollBar().maximum() == 0)
    widget.place.fold.show_content(True)
    well_laid_out(widget, qtbot)


def test_the_slider_of_a_hierarchy_fits_and_is_reached(shown, narrow, press, qtbot):
    shown.theme = "light"
    add(shown, "2-D")
    widget = narrow("Graph-based")
    widget.choose_method("merge_regions")
    widget.set(n_superpixels=30)
    press(widget)
    well_laid_out(widget, qtbot)
    row = widget.extras["hierarchy"]
    assert {row.slider, row.box} <= {stop for stop in tab_stops(widget) if stop.isVisible()}


def test_a_long_problem_is_read_in_full(shown, narrow, qtbot):
    add(shown, "2-D")
    widget = narrow("Threshold")
    widget.choose_method("classes_at")
    widget.editors["values"].field.setText("9, 3, 1")
    QApplication.processEvents()
    assert widget.lines()["settings"].isVisible()
    assert cut_off(widget) == []
    widget.bar.say(f"{LONG}, and what is to be done about it; " * 3, problem=True)
    well_laid_out(widget, qtbot)


def test_result_and_bar_stay_in_view_in_a_low_window(shown, narrow, press, qtbot):
    add(shown, "3-D")
    widget = narrow("Threshold")
    widget.more.show_content(True)
    press(widget)
    shown.window.resize(1100, 620)
    qtbot.waitUntil(lambda: widget.height() < 560)
    for part in (widget.bar.button, widget.bar.status, widget.result_bar.python_button, widget.preview_box):
        assert widget.rect().contains(place(part, widget)), part
    well_laid_out(widget, qtbot)


def test_nothing_is_scrolled_for_in_a_window_of_1280_by_720(shown, qtbot):
    shown.window.resize(1280, 720)
    add(shown, "3-D")
    strokes = np.zeros((8, 40, 48), np.uint8)
    strokes[4, 5:9, 5:40], strokes[4, 20:24, 5:40] = 1, 2
    shown.add_labels(strokes, name="strokes")
    shown.add_labels(strokes, name="others")
    for name in [*ROWS, "Try all", "Recipe", "Evaluate", "Compare", "Measure"]:
        dock, widget = shown.window.add_plugin_dock_widget("napari-cutout", name)
        if (training := getattr(widget, "extras", {}).get("training")) is not None:
            with qtbot.waitSignal(training.planned):
                widget.refresh()
        bar = widget._column.verticalScrollBar()

        def settled(name=name, bar=bar, widget=widget):
            assert widget.isVisible()
            assert (name, bar.maximum()) == (name, 0)

        qtbot.waitUntil(settled)
        assert strays() == [], name
        shown.window.remove_dock_widget(dock)


def test_use_as_puts_a_dock_that_was_closed_behind_a_tab(shown, narrow, qtbot):
    add(shown, "2-D")
    measure, objects = narrow("Measure"), narrow("Objects")
    dock, window = measure.parent(), objects.window()
    dock.hide()
    assert opened(shown, "Measure") is measure
    qtbot.waitUntil(measure.isVisible)
    assert objects.parent() in window.tabifiedDockWidgets(dock)


def strays():
    """What is a window of its own and is seen, besides that of napari."""
    windows = (widget for widget in QApplication.topLevelWidgets() if widget.isVisible())
    return [widget for widget in windows if type(widget).__name__ not in ("_QtMainWindow", "QToolTip", "QTipLabel")]


def test_a_problem_opens_the_fold_that_it_lies_in(shown, narrow, press, qtbot):
    shown.window.resize(1280, 720)
    add(shown, "2-D")
    widget = narrow("Threshold")
    assert widget.place.text() == "whole image · pixel size not set"
    assert not widget.place.is_open
    widget.mark({"spacing": "a length must be above 0"}, {"spacing"})
    assert widget.place.is_open
    press(widget)
    qtbot.waitUntil(lambda: widget._column.verticalScrollBar().maximum() == 0 or widget.place.is_open)
    widget.place.show_content(False)
    qtbot.waitUntil(lambda: widget._column.verticalScrollBar().maximum() == 0)


# Keyboard ----------------------------------------------------------------------------------------------


def walked(first, top):
    """The fields that Tab comes to, one after the other, from the first until it leaves the widget."""
    found = [first]
    first.setFocus()
    while True:
        QTest.keyClick(found[-1], Qt.Key.Key_Tab)
        at = QApplication.focusWidget()
        if at is None or at in found or not top.isAncestorOf(at):
            return found
        found.append(at)


@pytest.mark.parametrize(("row", "kind"), WALKS)
def test_tab_goes_through_the_fields_as_they_are_read(row, kind, shown, narrow, qtbot):
    add(shown, kind)
    shown.add_labels(np.ones((40, 48), np.uint8), name="labels")
    widget = narrow(row)
    activate(widget, qtbot)
    inner = widget._column.widget()
    for method in [*widget.methods, widget.methods[0]]:
        widget.choose_method(method.name)
        well_laid_out(widget, qtbot)
        first = next(stop for stop in tab_stops(inner) if stop.isVisible() and stop.isEnabled())
        stops = walked(first, widget)
        form = [place(stop, inner).center() for stop in stops if inner.isAncestorOf(stop)]
        for above, below in pairwise(form):
            beside = abs(below.y() - above.y()) < 10
            assert below.x() > above.x() if beside else below.y() > above.y(), (above, below)
        reached = {stop for stop in tab_stops(widget) if stop.isVisible() and stop.isEnabled()}
        assert reached <= set(stops)


@pytest.mark.parametrize("row", [*ROWS, "Try all", "Recipe", "Evaluate", "Compare", "Measure"])
def test_every_field_has_a_name_and_a_tooltip(row, shown, narrow):
    add(shown, "time")
    widget = narrow(row)
    for method in getattr(widget, "methods", [None]):
        if method is not None:
            widget.choose_method(method.name)
        for stop in (stop for stop in tab_stops(widget) if stop.isVisibleTo(widget) and stop.isEnabled()):
            buddies = [label.text() for label in widget.findChildren(QLabel) if label.buddy() is stop]
            text = stop.text() if isinstance(stop, QAbstractButton) else ""
            assert stop.accessibleName() or buddies or text, stop
            if not isinstance(stop, QPushButton):  # a button says in a word what it does
                assert tooltip_of(stop, widget), stop.accessibleName() or buddies or text


def tooltip_of(field, top):
    """The tooltip that Qt shows for a field: its own, or that of what it lies in."""
    while field is not None and field is not top:
        if field.toolTip():
            return field.toolTip()
        field = field.parentWidget()
    return ""


def test_every_label_of_a_field_leads_to_it(shown, narrow):
    add(shown, "time")
    widget = narrow("Threshold")
    buddies = {label.buddy() for label in widget.findChildren(QLabel) if label.buddy() is not None}
    fields = {w for w in tab_stops(widget) if isinstance(w, QComboBox | QAbstractSpinBox | QLineEdit)}
    alone = {widget.device_box, widget.voxel_size.unit_box, *widget.target_rows.axis_boxes}
    alone |= {widget.large.row.box, widget.region_row.region_box}
    assert all(field.accessibleName() for field in alone)
    assert fields - buddies - alone - set(widget.voxel_size.boxes.values()) == set()


@pytest.fixture
def keys(shown, narrow, qtbot):
    """A widget that has the keyboard."""
    add(shown, "2-D")
    widget = narrow("Threshold")
    activate(widget, qtbot)
    return widget


def activate(widget, qtbot):
    """Give the window of a widget the keyboard."""
    widget.window().activateWindow()
    qtbot.waitUntil(widget.isActiveWindow)


def test_ctrl_return_runs_from_any_field(keys, shown, qtbot):
    keys.editors["min_size"].field.setFocus()
    with qtbot.waitSignal(keys.bar.ended):
        QTest.keyClick(keys.editors["min_size"].field, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert shown.layers[-1].name == f"{LONG} threshold"


def test_escape_closes_nothing(keys):
    for stop in walked(keys.method_box, keys):
        stop.setFocus()
        QTest.keyClick(stop, Qt.Key.Key_Escape)
    assert keys.isVisible()
    assert not keys.closed


def test_tab_walks_to_run_and_space_presses_it(keys, shown, qtbot):
    keys.method_box.setFocus()
    for _ in range(60):
        if QApplication.focusWidget() is keys.bar.button:
            break
        QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
    assert QApplication.focusWidget() is keys.bar.button
    with qtbot.waitSignal(keys.bar.ended):
        QTest.keyClick(keys.bar.button, Qt.Key.Key_Space)
    assert shown.layers[-1].name == f"{LONG} threshold"


def test_space_switches_the_preview(keys, shown, qtbot):
    keys.preview_box.setFocus()
    QTest.keyClick(keys.preview_box, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: any(layer.name == "preview" for layer in shown.layers))
    QTest.keyClick(keys.preview_box, Qt.Key.Key_Space)
    assert [layer.name for layer in shown.layers] == [LONG]


def test_a_field_that_is_reached_by_tab_is_scrolled_into_view(keys, shown, qtbot):
    shown.window.resize(1100, 620)
    qtbot.waitUntil(lambda: keys.height() < 560)
    keys.method_box.setFocus()
    column = keys._column
    while QApplication.focusWidget() is not keys.editors["clear_border"].field:
        QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
    view = QRect(QPoint(0, 0), column.viewport().size())
    field = keys.editors["clear_border"].field
    assert view.contains(field.mapTo(column.viewport(), field.rect().center()))


# Themes ------------------------------------------------------------------------------------------------


def background(widget: QWidget) -> int:
    """Return how bright the corner of a widget is drawn."""
    return int(widget.grab().toImage().pixelColor(1, 1).lightness())


def test_a_change_of_theme_reaches_the_form_and_the_plot(shown, narrow, qtbot):
    add(shown, "2-D")
    widget = narrow("Threshold")
    plot = widget.extras["histogram"].view.plot
    qtbot.waitUntil(lambda: plot.canvas is not None)
    for theme, bright in (("light", True), ("dark", False), ("light", True)):
        shown.theme = theme
        QApplication.processEvents()
        assert (background(widget) > 128) == bright
        assert (background(plot.canvas) > 128) == bright
