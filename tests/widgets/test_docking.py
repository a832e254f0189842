"""Where widgets of this plugin stand: tabs in a window of 1280 by 720, each once, as the menu calls it."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_cutout.widgets._dock import docks
from napari_cutout.widgets._use_as import name_of, opened
from napari_cutout.widgets.manifest import title_of

pytestmark = pytest.mark.qt

SIX = ("Threshold", "Split touching", "Watershed", "Measure", "Evaluate", "Compare")


@pytest.fixture
def shown(make_napari_viewer_proxy, blobs):
    """A viewer with an image and labels, in a window as large as a small screen."""
    viewer = make_napari_viewer_proxy(show=True)
    viewer.window.resize(1280, 720)
    viewer.add_image(blobs)
    viewer.add_labels((blobs > 100).astype(np.uint8))
    return viewer


@pytest.fixture
def choose(shown, qtbot):
    """Choose a widget in the menu of napari, and return it once it is seen."""

    def choose_and_wait(name):
        in_menu(shown, name).trigger()
        qtbot.waitUntil(lambda: [widget.isVisible() for widget in of_name(shown, name)] == [True])
        return of_name(shown, name)[0]

    return choose_and_wait


def in_menu(viewer, name):
    """What opens a widget in the menu of napari."""
    ours = next(action.menu() for action in viewer.window.plugins_menu.actions() if action.text() == "Cutout")
    return next(action for action in ours.actions() if action.text() == title_of(name))


def of_name(viewer, name):
    """The widgets of that name which are open."""
    return [dock for dock in docks(viewer) if name_of(dock) == name]


def test_six_widgets_of_the_menu_are_tabs_that_fit_the_screen(shown, choose, qtbot):
    widgets = []
    for name in SIX:
        widgets.append(choose(name))
        assert not widgets[-1].visibleRegion().isEmpty(), "the newest is in front"
    window = widgets[0].window()
    assert len(window.tabifiedDockWidgets(widgets[0].parent())) == len(SIX) - 1
    for widget in widgets:
        widget.parent().raise_()
        button = widget.bar.button
        qtbot.waitUntil(lambda button=button: not button.visibleRegion().isEmpty())
        assert button.mapTo(window, QPoint(0, button.height())).y() <= 720
    assert window.height() == 720


def test_the_menu_and_use_as_open_one_widget_by_one_title(shown, choose):
    evaluate = opened(shown, "Evaluate")
    assert evaluate.parent().windowTitle() == "Evaluate (Cutout)"
    assert list(shown.window.dock_widgets) == ["Evaluate (Cutout)"]
    measure = choose("Measure")
    assert opened(shown, "Measure") is measure
    assert opened(shown, "Evaluate") is evaluate
    in_menu(shown, "Evaluate").trigger()
    assert evaluate.parent().isHidden(), "the menu of napari hides and shows what is open"
    choose("Evaluate")
    assert list(shown.window.dock_widgets) == ["Evaluate (Cutout)", "Measure (Cutout)"]


def test_what_the_user_has_pulled_out_or_split_stays_there(shown, choose):
    threshold, measure = choose("Threshold"), choose("Measure")
    window, docked, out = threshold.window(), threshold.parent(), measure.parent()
    out.setFloating(True)
    assert opened(shown, "Measure").parent().isFloating()
    evaluate = choose("Evaluate").parent()
    assert window.tabifiedDockWidgets(evaluate) == [docked], "none joins what floats"
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, evaluate, Qt.Orientation.Vertical)
    assert not window.tabifiedDockWidgets(docked)
    opened(shown, "Evaluate")
    assert not window.tabifiedDockWidgets(docked)


def test_widgets_elsewhere_are_not_joined(shown, choose):
    threshold = choose("Threshold")
    window = threshold.window()
    window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, threshold.parent())
    measure = choose("Measure")
    assert not window.tabifiedDockWidgets(measure.parent())
