"""What is said and shown of the last run while a preview stands in its place, and when it has gone."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cutout import _compiling
from napari_cutout.widgets import _preview_job

from ..patience import PATIENCE

pytestmark = pytest.mark.qt


@pytest.fixture
def widget(viewer, dock, blobs):
    """A threshold by hand on two squares."""
    viewer.add_image(blobs, name="blobs")
    widget = dock("Threshold")
    widget.choose_method("threshold_at")
    widget.set(value=100.0)
    return widget


@pytest.fixture
def previewed(widget, qtbot):
    """Wait for a preview of another level."""

    def preview(value):
        with qtbot.waitSignal(widget.preview.answered):
            widget.set(value=value)
            widget.preview_box.setChecked(True)

    return preview


@pytest.fixture
def held(monkeypatch):
    """Let no preview end before it may."""
    import threading

    may_end = threading.Event()
    run = _preview_job.PreviewJob.run

    def wait(self, *asked):
        assert may_end.wait(PATIENCE)
        return run(self, *asked)

    monkeypatch.setattr(_preview_job.PreviewJob, "run", wait)
    yield may_end
    may_end.set()


def said(widget):
    return widget.bar.status.text()


def test_a_preview_stands_in_the_place_of_the_result_of_the_last_run(viewer, widget, press, previewed, qtbot):
    press(widget)
    result = viewer.layers["blobs threshold at"]
    previewed(190.0)
    assert not result.visible
    widget.preview_box.setChecked(False)
    assert result.visible
    previewed(150.0)
    press(widget)
    assert result.visible
    np.testing.assert_array_equal(result.data, viewer.layers["blobs"].data > 150)


def test_a_result_that_the_user_shows_or_has_hidden_stays_so(viewer, widget, press, previewed):
    press(widget)
    result = viewer.layers["blobs threshold at"]
    previewed(190.0)
    result.visible = True
    previewed(150.0)
    assert result.visible
    widget.preview_box.setChecked(False)
    result.visible = False
    previewed(190.0)
    widget.preview_box.setChecked(False)
    assert not result.visible


def test_the_result_of_another_image_stays_in_sight(viewer, widget, press, previewed, blobs):
    press(widget)
    widget.boxes["image"].choose(viewer.add_image(blobs, name="others", translate=(0, 50)))
    previewed(190.0)
    assert viewer.layers["blobs threshold at"].visible


def test_objects_that_are_edited_are_in_sight(viewer, widget, press, previewed):
    press(widget)
    result = viewer.layers["blobs threshold at"]
    previewed(190.0)
    widget.result_bar.edit_button.setChecked(True)
    widget.result_bar.clicks_row.buttons["delete"].click()
    assert result.visible


def test_the_menu_of_files_shows_the_result_again(viewer, widget, press, previewed, qtbot):
    press(widget)
    result = viewer.layers["blobs threshold at"]
    previewed(190.0)
    menu = viewer.window.file_menu
    menu.aboutToShow.emit()
    assert result.visible
    with qtbot.waitSignal(widget.preview.answered):
        menu.aboutToHide.emit()
    assert not result.visible


def test_the_line_of_the_run_comes_back_when_the_preview_goes(viewer, widget, press, previewed):
    press(widget)
    of_the_run, why = said(widget), widget.bar.status.toolTip()
    previewed(190.0)
    assert said(widget) == "preview"
    previewed(100.0)
    assert said(widget) == of_the_run
    previewed(190.0)
    widget.preview_box.setChecked(False)
    assert (said(widget), widget.bar.status.toolTip()) == (of_the_run, why)
    previewed(190.0)
    viewer.layers.remove("preview")
    assert said(widget) == of_the_run


def test_nothing_is_said_of_a_preview_that_was_cancelled(widget, press, previewed, held, qtbot):
    press(widget)
    of_the_run = said(widget)
    widget.set(value=190.0)
    widget.preview_box.setChecked(True)
    qtbot.waitUntil(lambda: said(widget) == "preview: computing…")
    widget.preview_box.setChecked(False)
    assert said(widget) == of_the_run
    assert not widget.preview._late.isActive()
    held.set()
    qtbot.waitUntil(lambda: widget.preview._slots["preview"].worker is None)
    assert said(widget) == of_the_run


def test_a_preview_that_waits_for_what_is_compiled_says_so(widget, held, qtbot):
    widget.preview_box.setChecked(True)
    with _compiling.compiling():  # as a warm-up does, which holds the lock of Numba meanwhile
        qtbot.waitUntil(lambda: said(widget) == "preview: compiling, once for this machine")
    qtbot.waitUntil(lambda: said(widget) == "preview: computing…")
    held.set()
    qtbot.waitUntil(lambda: said(widget) == "preview")


def test_a_run_whose_settings_changed_meanwhile_says_nothing_of_their_preview(widget, qtbot, gate):
    widget.preview_box.setChecked(True)
    widget.bar.button.click()
    qtbot.waitUntil(gate.reached.is_set)
    widget.set(value=190.0)
    with qtbot.waitSignal(widget.bar.ended):
        gate.opened.set()
    assert said(widget).startswith("17.2 % selected")
    with qtbot.waitSignal(widget.preview.answered):
        widget.preview.view_changed.emit()
    assert said(widget) == "preview"
