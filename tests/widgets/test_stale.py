"""What is shown is of what the form says now: an outline, a mask or strokes that change are noticed."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from napari_cutout.widgets import _request, _target

pytestmark = [pytest.mark.qt, pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")]

SQUARE = np.array([[10.0, 10], [10, 90], [90, 90], [90, 10]])
DIAMOND = np.array([[10.0, 50], [50, 90], [90, 50], [50, 10]])
KITE = np.array([[8.0, 50], [50, 90], [92, 50], [50, 10]])


@pytest.fixture
def ramps():
    """Grey levels that rise from the middle to the corners, uint16, 2-D."""
    y, x = np.mgrid[:100, :100]
    return ((abs(y - 50) + abs(x - 50)) * 20).astype(np.uint16)


def look_into(widget, n_shapes_layers=1):
    """Choose the layer of shapes as the region."""
    box = widget.target_rows.region_box
    box.setCurrentIndex(box.count() - n_shapes_layers)


@pytest.mark.parametrize("painted", [pytest.param(False, id="drawn"), pytest.param(True, id="drawn and painted")])
def test_a_shape_that_is_changed_changes_the_preview_and_the_histogram(viewer, dock, qtbot, ramps, painted):
    image = viewer.add_image(ramps, name="ramps")
    widget = dock("Threshold")
    widget.boxes["image"].choose(image)
    if painted:
        widget.boxes["mask"].choose(viewer.add_labels(np.ones(ramps.shape, np.uint8), name="mask"))
    shapes = viewer.add_shapes([SQUARE], shape_type="ellipse", name="shapes")
    look_into(widget)
    widget.preview_box.setChecked(True)
    for corners in (DIAMOND, KITE, DIAMOND):
        shapes.data = [(corners, "polygon")]
        run = _request.resolve(widget.says())
        inside = run.inputs["mask"]
        threshold = run.run(lambda *_: None, lambda: False).facts["threshold"]
        qtbot.waitUntil(lambda t=threshold: widget.facts.get("threshold") == t, timeout=20_000)
        plot, n_voxels = widget.extras["histogram"].view.plot, np.count_nonzero(inside)
        qtbot.waitUntil(lambda n=n_voxels, p=plot: f"{n:,} voxels" in p.line.text(), timeout=20_000)


def test_outlines_are_drawn_off_the_event_loop(viewer, dock, qtbot, ramps, monkeypatch):
    image = viewer.add_image(ramps, name="ramps")
    widget = dock("Threshold")
    widget.boxes["image"].choose(image)
    viewer.add_shapes([SQUARE], shape_type="ellipse", name="shapes")
    look_into(widget)
    threads, real = [], _target.Outline.mask

    def seen(*args):
        threads.append(threading.current_thread())
        return real(*args)

    monkeypatch.setattr(_target.Outline, "mask", seen)
    with qtbot.waitSignal(widget.preview.answered, timeout=20_000):
        widget.preview_box.setChecked(True)
    with qtbot.waitSignal(widget.preview.answered, timeout=20_000):
        widget.set(min_size=7)
    assert threads
    assert threading.main_thread() not in threads
