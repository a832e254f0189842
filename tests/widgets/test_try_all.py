"""The widget Try all, driven in a real viewer."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

import napari_cutout as nc
from napari_cutout.comparison import try_all as engine
from napari_cutout.widgets import _try_all_job
from napari_cutout.widgets._dock import docks
from napari_cutout.widgets._thumbnails import EDGE, ground, outlined

from ..patience import PATIENCE

pytestmark = pytest.mark.qt


@pytest.fixture
def opened(viewer, dock, blobs):
    """The widget on two squares."""
    viewer.add_image(blobs, name="blobs", scale=(0.5, 0.5), translate=(3, 4), units=("um", "um"))
    return dock("Try all")


@pytest.fixture
def few(monkeypatch):
    """Only three methods, so that a test is quick."""
    real = engine.cuts
    few = ("threshold", "kmeans", "split_touching")
    monkeypatch.setattr(engine, "cuts", lambda *a, **o: (cut for cut in real(*a, **o) if cut.method in few))


def texts(widget):
    return [widget.grid.item(at).text() for at in range(widget.grid.count())]


def test_every_method_has_a_picture_or_stands_beside_its_like(opened, press, blobs):
    press(opened)
    expected = list(nc.try_all(blobs))
    assert [(one.name, one.like, one.n_objects, one.share) for one in opened.found] == [
        (one.name, one.like, one.n_objects, one.share) for one in expected
    ]
    different = [one for one in expected if not one.like]
    assert opened.grid.count() == len(different)
    same = sum(one.like == "threshold otsu" for one in expected)
    assert texts(opened)[0] == f"threshold otsu +{same}\n2 objects\n17.2 %"  # 220 of 1,280
    assert "the same, Dice ≥ 0.99: kmeans" in opened.grid.item(0).toolTip()
    assert f"{len(expected)} methods, {len(different)} different results" in opened.bar.status.text()


@pytest.fixture
def held(monkeypatch):
    """Hold the run before k-means until the second event is set; the first says that it has got there."""
    reached, go_on = threading.Event(), threading.Event()
    real = engine.execute

    def held(recipe, *args, **options):
        if recipe.steps[0].method == "kmeans":
            reached.set()
            assert go_on.wait(PATIENCE), "the test never went on"
        return real(recipe, *args, **options)

    monkeypatch.setattr(engine, "execute", held)
    yield reached, go_on
    go_on.set()


def test_pictures_appear_as_they_finish(opened, qtbot, few, held):
    reached, go_on = held
    opened.bar.button.click()
    qtbot.waitUntil(lambda: reached.is_set() and opened.grid.count() > 0)
    assert opened.bar.running
    assert opened.found[0].name == "threshold otsu"
    assert not any(one.name == "kmeans" for one in opened.found)
    with qtbot.waitSignal(opened.bar.ended):
        go_on.set()
    assert any(one.name == "kmeans" for one in opened.found)


def test_cancel_keeps_what_was_tried(viewer, opened, qtbot, few, held):
    reached, go_on = held
    opened.bar.button.click()
    qtbot.waitUntil(reached.is_set)
    with qtbot.waitSignal(opened.bar.ended):
        opened.bar.button.click()
        go_on.set()
    assert opened.grid.count() > 0
    assert not any(one.name.startswith("split") for one in opened.found)
    assert [layer.name for layer in viewer.layers] == ["blobs"]
    opened.adopt("threshold otsu")
    assert rows_open(opened) == {"Threshold"}


def rows_open(widget):
    """The rows of the catalog whose widgets are open."""
    return {one.row for one in docks(widget.viewer) if hasattr(one, "row")}


def test_a_click_opens_the_method_with_its_settings_on_the_layer(viewer, opened, press, few, blobs):
    image = blobs // 2 + np.arange(0, 120, 3, dtype=np.uint8)  # brighter to the right, so that rules differ
    viewer.layers["blobs"].data = image
    other = viewer.add_image(blobs[::-1], name="other", scale=(0.5, 0.5), units=("um", "um"))
    opened.boxes["image"].choose(viewer.layers["blobs"])
    press(opened)
    opened.boxes["image"].choose(other)  # what was tried counts, not what is chosen since
    at = next(n for n, text in enumerate(texts(opened)) if text.startswith("threshold mean"))
    opened.grid.itemClicked.emit(opened.grid.item(at))
    (widget,) = [one for one in docks(opened.viewer) if hasattr(one, "row")]
    assert (widget.row, widget.method.name, widget.settings["method"]) == ("Threshold", "threshold", "mean")
    assert widget.boxes["image"].layer.name == "blobs"
    assert len(viewer.layers) == 2, "nothing is run"
    press(widget)
    np.testing.assert_array_equal(viewer.layers["blobs threshold"].data, nc.threshold(image, method="mean"))


def test_settings_of_every_method_are_adopted(opened, press):
    press(opened)
    for one in opened.found:
        if one.error:
            continue
        widget = opened.adopt(one.name)
        step = one.recipe.steps[0]
        assert widget.method.name == step.method
        shown = widget.settings
        assert {name: shown[name] for name in step.settings if name in shown} == {
            name: value for name, value in step.settings.items() if name in shown
        }


def test_two_steps_are_opened_in_order(opened, press, few):
    press(opened)
    first = opened.adopt("split_touching after otsu")
    assert (first.row, first.settings["method"]) == ("Threshold", "otsu")
    assert "1. press Run here; 2. choose the labels in Split touching" in first.bar.status.text()
    assert rows_open(opened) == {"Threshold", "Split touching"}


def test_enter_on_a_picture_opens_it_too(opened, press, few):
    press(opened)
    opened.grid.setCurrentRow(0)
    QTest.keyClick(opened.grid, Qt.Key.Key_Return)
    assert rows_open(opened) == {"Threshold"}


def test_of_a_volume_the_slice_in_view_is_tried(viewer, dock, press, volume, few):
    viewer.add_image(volume, scale=(2, 1, 1), axis_labels=("z", "y", "x"))
    widget = dock("Try all")
    viewer.dims.set_current_step(0, 3)
    press(widget)
    assert "at z = 3" in widget.headline.text()
    assert "approximate for the whole: only this slice is looked at" in widget.headline.text()
    otsu = next(one for one in widget.found if one.name == "threshold otsu")
    assert otsu.recipe.selection.box[0] == (3, 4)
    assert otsu.share == nc.threshold(volume[3]).mean()


def test_of_channels_the_chosen_one_is_tried(viewer, dock, press, blobs, few):
    colour = np.stack([blobs * 0, blobs], axis=0)
    viewer.add_image(colour, axis_labels=("c", "y", "x"))
    widget = dock("Try all")
    widget.target_rows.choose(channel=1)
    press(widget)
    otsu = next(one for one in widget.found if one.name == "threshold otsu")
    assert otsu.share == nc.threshold(blobs).mean()


def test_a_large_level_is_not_read(viewer, dock, press, blobs, few, monkeypatch):
    monkeypatch.setattr(_try_all_job, "MAX_VOXELS", 1500)
    levels = [np.kron(blobs, np.ones((2, 2), np.uint8)), blobs]
    viewer.add_image(levels, multiscale=True)
    widget = dock("Try all")
    press(widget)
    assert "on level 1" in widget.headline.text()
    assert widget.found[0].recipe.selection.level == 1


def test_axes_without_a_name_turn_red(viewer, dock):
    viewer.add_image(np.zeros((2, 3, 20, 24), np.uint8))
    widget = dock("Try all")
    assert not widget.bar.button.isEnabled()
    assert "axis 0 of 4 may be time, channels or slices" in widget.lines()["axes"].text()


def test_a_failed_method_is_a_sentence(opened, press, few, monkeypatch):
    real = engine.execute

    def failing(recipe, *args, **options):
        if recipe.steps[0].settings.get("method") == "minimum":
            raise ValueError("no two peaks")
        return real(recipe, *args, **options)

    monkeypatch.setattr(engine, "execute", failing)
    press(opened)
    assert opened.failures.text() == "threshold minimum: no two peaks"
    assert opened.failed.text() == "1 failed: threshold minimum"
    assert opened.failed.isVisibleTo(opened)
    assert not opened.failed.is_open
    assert opened.bar.status.text().endswith("1 failed")


def test_an_image_that_is_gone_is_said(viewer, opened, press, few):
    press(opened)
    viewer.layers.clear()
    assert opened.adopt("threshold otsu") is None
    assert "the image is gone" in opened.bar.status.text()
    assert not opened.bar.button.isEnabled()


# Pictures ----------------------------------------------------------------------------------------------


def test_no_labels_are_kept_only_small_pictures(opened, press, few, monkeypatch):
    held = []
    real = _try_all_job._kept

    def watched(trial, grey):
        held.append(weakref.ref(trial.labels))
        return real(trial, grey)

    monkeypatch.setattr(_try_all_job, "_kept", watched)
    press(opened)
    gc.collect()
    assert len(held) == len(opened.found)
    assert [one() for one in held] == [None] * len(held)
    assert all(max(one.picture.shape[:2]) == EDGE for one in opened.found)


@pytest.mark.parametrize("shape", [(1000, 700), (30, 40), (1, 9)])
def test_a_picture_has_a_fixed_size(shape):
    image = np.random.default_rng(0).integers(0, 999, shape)
    picture = outlined(ground(image), image > 500)
    assert picture.shape[2] == 3
    assert max(picture.shape[:2]) == EDGE
    assert picture.dtype == np.uint8


def test_a_picture_shows_outlines_and_tints_inside():
    # 4 x 4 pixels at 2 pixels each; the object fills rows and columns 1 and 2, so 2 to 5 of the picture.
    image = np.arange(16).reshape(4, 4)
    labels = np.zeros((4, 4), int)
    labels[1:3, 1:3] = 5
    grey = ground(image, edge=8)
    picture = outlined(grey, labels)
    coloured = (picture != grey[..., None]).any(axis=-1)
    expected = np.zeros((8, 8), bool)
    expected[2:6, 2:6] = True
    np.testing.assert_array_equal(coloured, expected)
    edge = expected.copy()
    edge[3:5, 3:5] = False
    assert (picture[edge] == (255, 176, 0)).all()
    assert (picture[3:5, 3:5] != (255, 176, 0)).any(axis=-1).all()


def test_only_objects_are_tinted_in_a_map_of_classes():
    grey = np.full((6, 6), 100, np.uint8)
    classes = np.ones((6, 6), int)
    classes[:3] = 2
    picture = outlined(grey, classes, classes == 2)
    np.testing.assert_array_equal((picture != 100).any(axis=-1), classes == 2)
