"""The widget *U-Net* in a viewer: train on strokes, watch, cancel, close, continue, predict; and no torch at all."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication, QPushButton

from napari_cutout.unet._checkpoint import checkpoint_of
from napari_cutout.unet._torch import INSTALL
from napari_cutout.widgets import _model_box, _training_job, _training_row
from napari_cutout.widgets._model_files import described
from napari_cutout.widgets._preferences import Preferences

from ..patience import PATIENCE
from .unet_parts import model

pytestmark = pytest.mark.qt


@pytest.fixture
def models(tmp_path, monkeypatch):
    """The models folder of this test."""
    folder = tmp_path / "models"
    monkeypatch.setattr(_model_box, "preferences", lambda: Preferences(models_folder=str(folder)))
    return folder


@pytest.fixture
def strokes(blobs):
    """Strokes of two labels on the blobs: 1 on the ground, 2 on an object."""
    labels = np.zeros(blobs.shape, np.uint8)
    labels[1, 2:30] = 1
    labels[20:23, 22:32] = 2
    return labels


@pytest.fixture
def opened(viewer, dock, models, blobs, strokes, qtbot):
    """The widget on an image with strokes, set up for a network that learns in a second, and its training row."""
    viewer.add_image(blobs, name="blobs", scale=(0.5, 0.5), units=("um", "um"))
    viewer.add_labels(strokes, name="strokes", scale=(0.5, 0.5), units=("um", "um"))
    widget = dock("U-Net")
    widget.choose_method("unet_predict")
    row = widget.extras["training"]
    with qtbot.waitSignal(row.planned):
        quick(row)
    return widget, row


def quick(row, n_steps=10):
    """Ask for a small network and a few steps."""
    row.settings.width_box.setValue(2)
    row.settings.depth_box.setValue(1)
    row.settings.steps_box.setValue(n_steps)


def train(row, qtbot):
    """Press Train and wait until it has ended."""
    assert row.bar.button.isEnabled()
    with qtbot.waitSignal(row.bar.ended):
        row.bar.button.click()


def planned(row, qtbot, change):
    """Change something and wait until it is known what a training would be."""
    with qtbot.waitSignal(row.planned):
        change()


@pytest.fixture
def held(monkeypatch):
    """Hold a training after its first validation until the test lets it go on."""
    reached, go_on = threading.Event(), threading.Event()
    tell = _training_job._tell

    def told(signal, *facts):
        tell(signal, *facts)
        if len(facts) == 1:  # a report
            reached.set()
            assert go_on.wait(PATIENCE), "the test never let it go on"

    monkeypatch.setattr(_training_job, "_tell", told)
    yield reached, go_on
    go_on.set()


# Training -------------------------------------------------------------------------------------------------


def test_strokes_train_a_model_that_run_uses(viewer, opened, press, models, strokes, qtbot):
    pytest.importorskip("torch")
    widget, row = opened
    assert not widget.bar.button.isEnabled(), "no model is chosen yet"
    assert "none is chosen" in widget.lines()["settings"].text()
    assert widget.lines()["settings"].styleSheet() == "", "which is a hint, not an error"
    assert row.settings.unpainted == "not annotated"
    assert "2-D U-Net of depth 1" in row.bar.plan.text()
    assert "(1: 28, 2: 30)" in row.bar.plan.text()  # voxels of the strokes
    before = list(viewer.layers)
    train(row, qtbot)
    place = models / "blobs"
    assert described(place).classes == (1, 2)
    assert widget.settings["model"] == str(place)
    assert row.bar.status.text().startswith("'blobs' is trained")
    assert row.plot.curves.n_steps == 10
    assert len(row.plot.curves.losses) == 10
    assert row.plot.canvas is not None
    assert [layer for layer in viewer.layers if layer not in before] == [row.shown.layer]
    press(widget)
    result = widget.results.last
    assert result.data.shape == strokes.shape
    assert set(np.unique(result.data)) <= {1, 2}
    np.testing.assert_allclose(result.scale, (0.5, 0.5))
    facts = result.metadata["napari_cutout"]["provenance"]["facts"]
    assert facts["model"] == "blobs"


def test_the_example_is_temporary_unless_it_is_kept(viewer, opened, qtbot):
    pytest.importorskip("torch")
    _, row = opened
    train(row, qtbot)
    shown = row.shown.layer
    assert shown.data.shape == (32, 40)
    assert set(np.unique(shown.data)) <= {1, 2}
    np.testing.assert_allclose(shown.scale, (0.5, 0.5))
    assert not row.keep_button.isHidden()
    row.keep_button.click()
    kept = viewer.layers[-1]
    np.testing.assert_array_equal(kept.data, shown.data)
    row.example_box.click()
    assert shown not in viewer.layers
    assert kept in viewer.layers


def test_the_example_is_the_slice_that_is_in_view_when_train_is_pressed(viewer, dock, models, blobs, strokes, qtbot):
    pytest.importorskip("torch")
    viewer.add_image(np.stack([blobs] * 4), name="blobs", scale=(3, 1, 1))
    viewer.add_labels(np.stack([strokes] * 4), name="strokes", scale=(3, 1, 1))
    widget = dock("U-Net")
    widget.choose_method("unet_predict")
    row = widget.extras["training"]
    with qtbot.waitSignal(row.planned):
        quick(row)
        row.settings.learn_box.setCurrentText("planes")
    viewer.dims.set_current_step(0, 3)
    train(row, qtbot)
    assert row.shown.layer.translate[0] == 9


def test_cancel_keeps_the_best_so_far(opened, models, held, qtbot):
    pytest.importorskip("torch")
    widget, row = opened
    reached, go_on = held
    row.settings.steps_box.setValue(100_000)
    row.bar.button.click()
    qtbot.waitUntil(reached.is_set)
    assert row.bar.button.text() == "Cancel"
    with qtbot.waitSignal(row.bar.ended):
        row.bar.button.click()
        go_on.set()
    assert widget.settings["model"] == str(models / "blobs")
    assert not checkpoint_of(models / "blobs").exists()


def test_closing_keeps_the_checkpoint_and_it_can_be_continued(viewer, opened, dock, models, held, qtbot):
    pytest.importorskip("torch")
    widget, row = opened
    reached, go_on = held
    row.settings.steps_box.setValue(12)
    row.settings.seed_box.setValue(5)
    row.bar.button.click()
    qtbot.waitUntil(reached.is_set)
    ended = row.bar.slot.worker
    with qtbot.waitSignal(ended.signals.finished):
        viewer.window.remove_dock_widget(widget)
        go_on.set()
    place = models / "blobs"
    assert checkpoint_of(place).is_file()
    assert not place.exists()

    again = dock("U-Net")
    again.choose_method("unet_predict")
    row = again.extras["training"]
    assert row.fold.is_open
    assert row.continue_button.text() == "Continue 'blobs'"
    assert not row.continue_button.isHidden()
    with qtbot.waitSignal(row.bar.ended):
        row.continue_button.click()
    assert row.bar.status.text().startswith("'blobs' is trained"), row.bar.status.text()
    assert again.settings["model"] == str(place)
    assert row.continue_button.isHidden()
    assert row.plot.curves.n_steps == 12, "it was begun with 12 steps, and the form says more"


# What is wrong, and said in red -----------------------------------------------------------------------------


def test_one_label_only_is_refused_in_red(viewer, opened, qtbot):
    _, row = opened
    planned(row, qtbot, lambda: setattr(viewer.layers["strokes"], "data", np.full((32, 40), 2, np.uint8)))
    assert "only the label 2 is annotated" in row.problem.text()
    assert not row.bar.button.isEnabled()
    assert "border" in row.box.styleSheet()
    fine = np.full((32, 40), 2, np.uint8)
    fine[:4] = 1
    planned(row, qtbot, lambda: setattr(viewer.layers["strokes"], "data", fine))
    assert row.problem.isHidden()
    assert row.bar.button.isEnabled()


def test_an_annotation_that_does_not_fit_is_refused_in_red(viewer, opened, qtbot):
    _, row = opened
    small = viewer.add_labels(np.ones((8, 8), np.uint8), name="small")
    planned(row, qtbot, lambda: row.box.choose(small))
    assert "annotation must have the shape of image, (32, 40), but has (8, 8)" in row.problem.text()
    assert not row.bar.button.isEnabled()
    row.pairs.add_button.click()
    assert row.pairs.pairs == []


def test_an_annotation_can_be_added_and_is_waited_for(viewer, dock, models, blobs):
    viewer.add_image(blobs, name="blobs", scale=(2, 2))
    widget = dock("U-Net")
    widget.choose_method("unet_predict")
    row = widget.extras["training"]
    assert "press + and paint" in row.bar.plan.text()
    assert not row.bar.button.isEnabled()
    row.field.add_button.click()
    added = row.box.layer
    assert (added.data.shape, tuple(added.scale), added.mode) == ((32, 40), (2, 2), "paint")


def test_several_pairs_are_learned_together(viewer, opened, blobs, strokes, qtbot):
    _, row = opened
    row.pairs.add_button.click()
    assert [pair.name for pair in row.pairs.pairs] == ["blobs · strokes"]
    assert len(row.all_pairs) == 1, "the one that is chosen is that pair"
    other = viewer.add_image(blobs[::-1], name="other", scale=(0.5, 0.5), units=("um", "um"))
    labels = viewer.add_labels(strokes[::-1], name="other strokes", scale=(0.5, 0.5), units=("um", "um"))
    row._frame.boxes["image"].choose(other)
    planned(row, qtbot, lambda: row.box.choose(labels))
    assert row.bar.plan.text().startswith("2 images")
    viewer.layers.remove("strokes")
    assert row.pairs.pairs == [], "a pair goes with its layers"
    assert [pair.name for pair in row.all_pairs] == ["other · other strokes"]


def test_a_model_of_other_channels_is_refused_and_one_that_is_gone(viewer, opened, models):
    widget, _ = opened
    models.mkdir()
    two = model(n_channels=2, name="two").save(models / "two")
    widget.set(model=str(two))
    assert "was trained on 2 channels" in widget.lines()["settings"].text()
    assert not widget.bar.button.isEnabled()
    one = model(name="one").save(models / "one")
    widget.set(model=str(one))
    assert widget.bar.button.isEnabled()
    (one / "model.json").unlink()
    widget.refresh()
    assert "model" in widget.lines()["settings"].text()
    assert not widget.bar.button.isEnabled()


# Volumes ----------------------------------------------------------------------------------------------------


def test_a_volume_is_learned_whole_or_plane_by_plane(viewer, dock, models, volume, qtbot):
    labels = np.zeros(volume.shape, np.uint8)
    labels[2, 2:9, 3:10] = 1
    viewer.add_image(volume, name="volume", scale=(3, 1, 1))
    viewer.add_labels(labels, name="one slice", scale=(3, 1, 1))
    widget = dock("U-Net")
    widget.choose_method("unet_predict")
    row = widget.extras["training"]
    planned(row, qtbot, lambda: row.settings.learn_box.setCurrentText("planes"))
    assert row.settings.unpainted == "background in its slices"
    assert row.settings.painted.text().endswith("1 label, in 1 of 6 slices")
    assert "2-D U-Net" in row.bar.plan.text()
    assert "(0: 431, 1: 49)" in row.bar.plan.text()  # of one slice of 20 x 24 voxels, 7 x 7 are painted
    planned(row, qtbot, lambda: row.settings.learn_box.setCurrentText("volume"))
    assert "3-D U-Net" in row.bar.plan.text()
    row.settings.unpainted_box.setCurrentText("background")
    viewer.layers["one slice"].data[2, 0, 0] = 1
    viewer.layers["one slice"].refresh()
    widget.refresh()
    assert row.settings.unpainted == "background", "what was said by hand stays"


# Torch ------------------------------------------------------------------------------------------------------


def test_without_torch_the_row_says_the_line_that_installs_it(viewer, dock, models, blobs, monkeypatch):
    monkeypatch.setattr(_training_row, "find_spec", lambda name: None)
    viewer.add_image(blobs, name="blobs")
    row = dock("U-Net").extras["training"]
    assert row.fold.isHidden()
    assert not row.missing.isHidden()
    next(b for b in row.missing.findChildren(QPushButton)).click()
    assert QApplication.clipboard().text() == INSTALL


def test_nothing_waits_for_torch_before_train_is_pressed(viewer, dock, models, blobs, strokes, monkeypatch, qtbot):
    monkeypatch.setattr(_training_row, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "torch", None)  # so that importing it fails
    viewer.add_image(blobs, name="blobs")
    viewer.add_labels(strokes, name="strokes")
    widget = dock("U-Net")
    widget.choose_method("unet_predict")
    row = widget.extras["training"]
    planned(row, qtbot, lambda: quick(row))
    assert "2-D U-Net" in row.bar.plan.text()
    with qtbot.waitSignal(row.bar.failed) as failed:
        row.bar.button.click()
    assert INSTALL in failed.args[0]
    assert not list(Path(models).glob("*"))


def test_what_trains_at_every_run_has_no_preview(opened):
    widget, row = opened
    assert widget.preview_box.isEnabled()
    widget.choose_method("unet_from_strokes")
    assert not widget.preview_box.isEnabled()
    assert row.isHidden()


def test_a_preview_says_that_a_network_sees_more_in_the_run(viewer, dock, models, volume, qtbot):
    pytest.importorskip("torch")
    models.mkdir()
    path = model(name="one").save(models / "one")
    layer = viewer.add_image(volume, name="volume", scale=(3, 1, 1))
    widget = dock("U-Net")
    widget.choose_method("unet_predict")
    widget.set(model=str(path))
    with qtbot.waitSignal(widget.preview.answered) as slice_of_it:
        widget.preview_box.click()
    assert slice_of_it.args[0].labels.shape == (1, *volume.shape[1:])
    assert "the network sees what is in view only" in slice_of_it.args[0].approximate
    assert "the network sees what is in view only" in widget.bar.status.text()
    assert layer in viewer.layers
