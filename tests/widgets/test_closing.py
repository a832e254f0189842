"""What Qt deletes with a form that is closed, and what must not hear of the viewer after that."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from qtpy.QtCore import QCoreApplication, QEvent, Qt
from qtpy.QtGui import QHideEvent

pytestmark = pytest.mark.qt


@pytest.fixture
def closed(viewer, dock):
    """Open a form, close it and let Qt delete it; return it, so that Python does not forget it, and where that was."""

    def close(name):
        widget, threads = dock(name), []
        widget.destroyed.connect(lambda: threads.append(threading.current_thread()), Qt.ConnectionType.DirectConnection)
        viewer.window.remove_dock_widget(widget)
        QCoreApplication.sendPostedEvents(widget, QEvent.Type.DeferredDelete.value)
        return widget, threads

    return close


@pytest.mark.parametrize("name", ["Threshold", "Watershed", "Evaluate", "Measure"])
def test_a_form_that_is_closed_is_deleted_in_the_thread_of_the_window(closed, viewer, blobs, name):
    viewer.add_image(blobs)
    _, threads = closed(name)
    assert threads == [threading.main_thread()]


def test_forms_that_are_open_do_not_ask_those_that_were_closed(closed, viewer, dock, blobs):
    viewer.add_image(blobs, name="blobs")
    first, _ = closed("Threshold")
    other = dock("Threshold")
    labels = viewer.add_labels((blobs > 100).astype(np.int32), name="cells")
    other.result_bar.runs._tell()
    viewer.layers.selection.active = labels
    row = other.result_bar.clicks_row
    row.choose("split")
    assert row._clicks.tool == "split"
    row.hideEvent(QHideEvent())  # as Qt does, where an error would end the program
    assert row._clicks.tool == "", "no other row is seen"
    assert first is not other
