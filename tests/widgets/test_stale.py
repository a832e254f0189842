"""What is shown is of what the form says now: an outline, a mask or strokes that change are noticed."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from qtpy.QtWidgets import QWidget

from napari_cutout.recipe import Recipe, Step
from napari_cutout.widgets import _extras, _request, _target
from napari_cutout.widgets._contents import token_of
from napari_cutout.widgets._preview import Preview
from napari_cutout.widgets._preview_job import PreviewJob
from napari_cutout.widgets._view import view_of

from ..patience import PATIENCE

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
        qtbot.waitUntil(lambda t=threshold: widget.facts.get("threshold") == t)
        plot, n_voxels = widget.extras["histogram"].view.plot, np.count_nonzero(inside)
        qtbot.waitUntil(lambda n=n_voxels, p=plot: f"{n:,} voxels" in p.line.text())


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
    with qtbot.waitSignal(widget.preview.answered):
        widget.preview_box.setChecked(True)
    with qtbot.waitSignal(widget.preview.answered):
        widget.set(min_size=7)
    assert threads
    assert threading.main_thread() not in threads


@pytest.fixture
def thresholding(viewer, dock, blobs, qtbot):
    """The form of thresholds with a mask of ones, once its plot shows the whole image."""
    image, mask = viewer.add_image(blobs, name="blobs"), viewer.add_labels(np.ones(blobs.shape, np.uint8), name="mask")
    widget = dock("Threshold")
    widget.boxes["image"].choose(image)
    widget.boxes["mask"].choose(mask)
    plot = widget.extras["histogram"].view.plot
    qtbot.waitUntil(lambda: f"{blobs.size:,} voxels" in plot.line.text())
    return widget


def test_where_nothing_can_be_counted_the_plot_is_empty_and_says_why(viewer, thresholding, qtbot, blobs):
    plot = thresholding.extras["histogram"].view.plot
    with qtbot.waitSignal(thresholding.preview.count_failed) as failed:
        viewer.layers["mask"].data = np.zeros(blobs.shape, np.uint8)
    (sentence,) = failed.args
    assert "mask" in sentence
    assert plot.empty.text() == sentence
    assert "voxels" not in plot.line.text()
    viewer.layers["mask"].data = np.ones(blobs.shape, np.uint8)
    qtbot.waitUntil(lambda: f"{blobs.size:,} voxels" in plot.line.text())


@pytest.fixture
def strokes(viewer, dock, blobs, qtbot, monkeypatch):
    """The form of a method with strokes of two labels and a mask, and what is shown of the strokes."""
    painted = np.zeros(blobs.shape, np.uint8)
    painted[5:8, 6:9], painted[20:22, 22:24] = 1, 2
    image, mask = viewer.add_image(blobs, name="blobs"), viewer.add_labels(np.ones(blobs.shape, np.uint8), name="mask")
    layer = viewer.add_labels(painted, name="strokes")
    widget, shown = dock("Histogram"), []
    view = widget.extras["histogram"].view
    monkeypatch.setattr(view, "show_strokes", lambda found, *_: shown.append({n: h.total for n, h in found.items()}))
    widget.choose_method("back_projection")
    for name, chosen in (("image", image), ("markers", layer), ("mask", mask)):
        widget.boxes[name].choose(chosen)
    qtbot.waitUntil(lambda: shown[-1:] == [{1: 9, 2: 4}])
    return layer, shown, widget.extras["histogram"]


def test_strokes_are_counted_anew_where_the_mask_changes(viewer, strokes, qtbot, blobs):
    _, shown, _ = strokes
    viewer.layers["mask"].data = (np.indices(blobs.shape)[0] < 7).astype(np.uint8)
    qtbot.waitUntil(lambda: shown[-1] == {1: 6})


def test_the_newest_strokes_are_counted_although_others_were_on_their_way(strokes, qtbot, monkeypatch):
    layer, shown, row = strokes
    reached, opened, real = threading.Event(), threading.Event(), _extras.stroke_histograms

    def held(*arrays):
        reached.set()
        assert opened.wait(PATIENCE), "the test never opened it"
        return real(*arrays)

    monkeypatch.setattr(_extras, "stroke_histograms", held)
    layer.data_setitem((np.array([15]), np.array([25])), 2)
    qtbot.waitUntil(reached.is_set)
    asked = len(shown)
    layer.data_setitem((np.array([15]), np.array([26])), 2)
    layer.data_setitem((np.array([16, 16]), np.array([25, 26])), 3)
    qtbot.waitUntil(lambda: row._strokes_asked[1] == token_of(layer))
    opened.set()
    qtbot.waitUntil(lambda: shown[-1] == {1: 9, 2: 6, 3: 2})
    assert len(shown) == asked + 1, "what was stale by then is not shown"


@pytest.mark.parametrize("fails", [pytest.param(False, id="returns"), pytest.param(True, id="fails")])
def test_work_that_ends_after_its_widget_is_gone_tells_nobody(viewer, qtbot, blobs, monkeypatch, fails):
    image, parent = viewer.add_image(blobs, name="blobs"), QWidget()
    preview = Preview(viewer, parent)
    opened, ended = threading.Event(), []

    def held(*_):
        assert opened.wait(PATIENCE), "the test never opened it"
        if fails:
            raise ValueError("no voxel can be counted")

    monkeypatch.setattr(PreviewJob, "count", held)
    job = PreviewJob(Recipe([Step("threshold", {})]), {"image": blobs}, view_of(viewer, image))
    preview.count(job, {"image": image})
    worker = preview._slots["count"].worker
    worker.quit = lambda: None  # it was too late to ask it to stop
    worker.signals.finished.connect(lambda: ended.append(True))
    with qtbot.captureExceptions() as caught:
        parent.deleteLater()
        qtbot.waitUntil(preview._gone.is_set)
        opened.set()
        qtbot.waitUntil(lambda: bool(ended))
    assert not caught
