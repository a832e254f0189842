"""Where labels of a run go: to a layer that nobody has touched, else to a new one.  No window."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from napari.components import ViewerModel

import napari_cutout as nc
from napari_cutout import catalog
from napari_cutout.widgets import _layers, _run_undo
from napari_cutout.widgets._extent import extent_of
from napari_cutout.widgets._layers import ours
from napari_cutout.widgets._request import Form, resolve
from napari_cutout.widgets._results import Results, checksum
from napari_cutout.widgets._run_undo import run_history
from napari_cutout.widgets._target import Choice

LEVELS = (20.0, 100.0, 190.0)
"""Thresholds that give different labels on blobs."""


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def results(viewer):
    return Results(viewer)


@pytest.fixture
def image(viewer, blobs):
    return viewer.add_image(blobs, name="blobs", scale=(0.5, 0.25), translate=(3, 4))


@pytest.fixture
def run(viewer, results, image):
    """Run a method in this thread and show what it gives."""

    def run(value=LEVELS[0], *, method="threshold_at", on=image, letters="yx", region="whole", **more):
        update, meanwhile = more.get("update", True), more.get("meanwhile")
        source, entry = on, catalog.find(method)
        settings = {"value": value} if method == "threshold_at" else {}
        choice = Choice(letters, time="each", channel=1)
        extent = extent_of(viewer, source, choice.letters, region)
        form = Form(entry, {"image": source, "mask": None}, settings, choice, extent, "cpu")
        work = results.work(resolve(form), form.layers, source, update=update)
        finished = work(lambda stage, fraction: None, lambda: False)
        if meanwhile is not None:
            meanwhile()
        return results.put(finished)

    return run


def named(viewer):
    return [layer.name for layer in viewer.layers]


def paint(layer):
    layer.paint((2, 2), 7)


def undo(layer):
    layer.paint((2, 2), 7)
    layer.undo()
    layer.redo()


def fill(layer):
    layer.fill((0, 0), 7)


def edit_in_place(layer):
    layer.data[0, 0] = 7


def replace_data(layer):
    layer.data = np.array(layer.data)


def rename(layer):
    layer.name = "mine"


def disown(layer):
    layer.metadata = {}


EDITS = [paint, undo, fill, edit_in_place, replace_data, rename, disown]


def test_a_second_run_updates_the_layer_of_the_first(viewer, run, blobs):
    first = run(LEVELS[0])
    first.opacity, first.visible = 0.3, False
    second = run(LEVELS[2])
    assert second is first
    assert named(viewer) == ["blobs", "blobs threshold at"]
    np.testing.assert_array_equal(first.data, nc.threshold_at(blobs, value=LEVELS[2]))
    assert '"value": 190.0' in ours(first)["recipe"], "the recipe is that of the pixels"
    assert (first.opacity, first.visible) == (0.3, False), "how it is shown is the user's"


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_a_layer_that_somebody_touched_is_never_updated(viewer, run, blobs, edit):
    first = run(LEVELS[0])
    edit(first)
    before = first.data.copy()
    second = run(LEVELS[2])
    assert second is not first
    np.testing.assert_array_equal(first.data, before)
    np.testing.assert_array_equal(second.data, nc.threshold_at(blobs, value=LEVELS[2]))
    assert len(set(named(viewer))) == 3
    third = run(LEVELS[1])
    assert third is second, "the new one is updated from then on"
    np.testing.assert_array_equal(first.data, before)


@pytest.mark.parametrize("edit", [paint, fill, replace_data, rename, disown], ids=lambda edit: edit.__name__)
def test_a_layer_that_is_touched_after_the_run_has_looked_is_not_updated(viewer, run, edit):
    first = run(LEVELS[0])
    second = run(LEVELS[2], meanwhile=lambda: edit(first))
    assert second is not first
    assert len(viewer.layers) == 3


def test_pixels_that_change_in_place_while_it_runs_are_not_lost(viewer, run, results, image, monkeypatch):
    from napari_cutout.widgets._request import Request

    first = run(LEVELS[0])
    real = Request.run

    def edited_meanwhile(self, *args):
        outcome = real(self, *args)
        first.data[0, 0] = 7  # no event tells of it
        return outcome

    monkeypatch.setattr(Request, "run", edited_meanwhile)
    assert run(LEVELS[2]) is not first
    assert first.data[0, 0] == 7


def test_a_layer_that_is_gone_is_replaced(viewer, run):
    first = run(LEVELS[0])
    viewer.layers.remove(first)
    second = run(LEVELS[0], meanwhile=None)
    assert second is not first
    assert named(viewer) == ["blobs", "blobs threshold at"]
    third = run(LEVELS[1], meanwhile=lambda: viewer.layers.remove(second))
    assert third is not second
    assert named(viewer) == ["blobs", "blobs threshold at"]


def test_updates_can_be_switched_off(viewer, run):
    run(LEVELS[0])
    run(LEVELS[0], update=False)
    assert named(viewer) == ["blobs", "blobs threshold at", "blobs threshold at [1]"]
    run(LEVELS[1])
    assert len(viewer.layers) == 3, "and on again: the last one is updated"
    assert '"value": 100.0' in ours(viewer.layers[-1])["recipe"]


def test_another_method_and_another_image_have_layers_of_their_own(viewer, run, blobs):
    first = run(LEVELS[0])
    other_image = viewer.add_image(blobs.copy(), name="more")
    second, third = run(method="threshold"), run(on=other_image)
    assert [layer.name for layer in (first, second, third)] == [
        "blobs threshold at",
        "blobs threshold",
        "more threshold at",
    ]
    assert run(LEVELS[1]) is first
    assert run(method="threshold") is second


def test_layers_of_users_are_never_updated_whatever_they_are_called(viewer, run, blobs):
    users = viewer.add_labels(np.full(blobs.shape, 7), name="blobs threshold at")
    first = run(LEVELS[0])
    assert first.name == "blobs threshold at [1]"
    assert run(LEVELS[1]) is first
    assert (users.data == 7).all()


def test_undo_after_labels_were_put_back_replays_no_strokes_into_them(viewer, run, results, blobs):
    layer = run(LEVELS[0])
    run(LEVELS[2])
    layer.mode = "paint"
    layer.paint((2, 2), 7)
    layer.paint((20, 20), 8)
    layer.undo()
    layer.undo()
    run_history(viewer).undo()
    for replay in (layer.undo, layer.redo, layer.redo):
        replay()
        np.testing.assert_array_equal(layer.data, nc.threshold_at(blobs, value=LEVELS[0]))
    assert layer.mode == "paint", "the brush stays in the hand"
    assert layer.editable


def test_undo_after_an_update_replays_no_strokes_into_it(viewer, run, blobs):
    first = run(LEVELS[0])
    with first.events.paint.blocker():  # unseen, and taken back, so that the labels are those of the run
        first.paint((20, 20), 8)
    first.undo()
    assert run(LEVELS[2]) is first
    first.redo()
    np.testing.assert_array_equal(first.data, nc.threshold_at(blobs, value=LEVELS[2]))


def test_runs_go_back_and_forth_with_what_was_said_of_them(viewer, run, image, blobs):
    runs = run_history(viewer)
    with pytest.raises(ValueError, match="there is no run to take back"):
        runs.undo()
    viewer.layers.selection.active = image
    layer = run(LEVELS[0])
    run(LEVELS[1])
    run(LEVELS[2])
    layer.opacity, layer.visible = 0.3, False
    for value, turn in ((1, runs.undo), (0, runs.undo), (1, runs.redo), (2, runs.redo), (1, runs.undo)):
        turn()
        np.testing.assert_array_equal(layer.data, nc.threshold_at(blobs, value=LEVELS[value]))
        assert f'"value": {LEVELS[value]}' in ours(layer)["recipe"]
    assert (layer.opacity, layer.visible) == (0.3, False)
    runs.undo()
    assert runs.undo() == "took back: Threshold on blobs"
    assert named(viewer) == ["blobs"]
    assert viewer.layers.selection.active is image, "as before the run"
    assert runs.last is None
    assert runs.redo() == "done again: Threshold on blobs"
    assert viewer.layers[1] is layer
    assert viewer.layers.selection.active is layer
    assert run(LEVELS[2]) is layer, "what came back is as untouched as any"
    assert runs.next is None, "after a new run nothing is done again"
    runs.undo()
    np.testing.assert_array_equal(layer.data, nc.threshold_at(blobs, value=LEVELS[0]))


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
@pytest.mark.parametrize("n_runs", [1, 2])
def test_undo_never_loses_an_edit(viewer, run, edit, n_runs):
    runs = run_history(viewer)
    for value in LEVELS[:n_runs]:
        layer = run(value)
    edit(layer)
    before = layer.data.copy()
    with pytest.raises(ValueError, match=r"was edited since 'Threshold on blobs', and|was renamed to 'mine' since"):
        runs.undo()
    assert layer in viewer.layers
    np.testing.assert_array_equal(layer.data, before)
    if edit is paint:
        layer.undo()
        runs.undo()
        assert (layer in viewer.layers) == (n_runs == 2), "what was taken back by hand is no edit"


def test_a_run_is_not_done_again_into_an_edited_layer_and_removed_layers_are_passed_over(viewer, run, image):
    runs = run_history(viewer)
    layer = run(LEVELS[0])
    run(LEVELS[1])
    runs.undo()
    layer.paint((2, 2), 7)
    with pytest.raises(ValueError, match="was edited since"):
        runs.redo()
    other = run(LEVELS[2])
    assert other is not layer
    viewer.layers.remove(other)
    assert runs.last.layer is layer
    assert other not in {run.layer for run in runs._done}, "nothing is kept for what nobody can have back"


def test_nothing_is_kept_of_an_update_that_was_taken_back_once_its_layer_is_gone(viewer, run):
    runs = run_history(viewer)
    layer = run(LEVELS[0])
    run(LEVELS[1])
    runs.undo()
    runs.undo()
    runs.redo()
    assert runs.next is not None, "a layer that came back can be updated again"
    viewer.layers.remove(layer)
    assert runs._undone == []


def test_taking_back_a_run_into_a_store_takes_its_layer_only(viewer):
    runs = run_history(viewer)
    levels = [np.zeros((8, 8), int), np.zeros((4, 4), int)]
    metadata = {"napari_cutout": {"store": "far.zarr"}}
    layer = viewer.add_labels(levels, multiscale=True, name="far", metadata=metadata)
    runs.note(_run_undo.Run("Threshold on brain", layer, None, None, None))
    assert runs.undo() == "took back: Threshold on brain; the labels stay in far.zarr"
    assert layer not in viewer.layers
    runs.redo()
    assert viewer.layers[-1] is layer


def test_only_so_much_is_kept_of_what_was_before(viewer, run, monkeypatch):
    runs = run_history(viewer)
    monkeypatch.setattr(_run_undo, "MOST_BYTES", 1)
    layer = run(LEVELS[0])
    run(LEVELS[1])
    run(LEVELS[2])
    runs.undo()
    assert runs.last is None
    assert layer in viewer.layers


def test_a_run_on_a_part_is_a_layer_of_its_own_and_a_run_on_that_part_updates_it(viewer, run, results, image, blobs):
    shapes = viewer.add_shapes(
        [np.array([[15.5, 17.5], [15.5, 35.5], [29.5, 35.5], [29.5, 17.5]])],
        shape_type="rectangle",
        scale=image.scale,
        translate=image.translate,
    )
    whole = run(LEVELS[0])
    layer = run(LEVELS[0], region=shapes)
    assert layer is not whole
    np.testing.assert_array_equal(whole.data, nc.threshold_at(blobs, value=LEVELS[0]))
    np.testing.assert_array_equal(layer.data, nc.threshold_at(blobs, value=LEVELS[0])[16:30, 18:36])
    np.testing.assert_allclose(layer.data_to_world((0, 0)), image.data_to_world((16, 18)))
    assert run(LEVELS[2], region=shapes) is layer
    assert run(LEVELS[2]) is whole


def test_undo_brings_the_place_of_the_layer_back(viewer, run, image):
    layer = run(LEVELS[0])
    before = np.asarray(layer.data_to_world((0, 0)))
    image.translate = (100, 200)
    assert run(LEVELS[2]) is layer
    np.testing.assert_allclose(layer.data_to_world((0, 0)), image.data_to_world((0, 0)))
    run_history(viewer).undo()
    np.testing.assert_allclose(layer.data_to_world((0, 0)), before)


def test_labels_with_other_axes_are_a_layer_of_their_own(viewer, run, results):
    stack = viewer.add_image(np.arange(4 * 5 * 8 * 9, dtype=np.uint16).reshape(4, 5, 8, 9), scale=(9, 3, 2, 1))
    frames = run(on=stack, letters="tzyx")
    channel = run(on=stack, letters="czyx")
    assert channel is not frames
    assert (frames.data.shape, channel.data.shape) == ((4, 5, 8, 9), (5, 8, 9))
    np.testing.assert_array_equal(channel.scale, (3, 2, 1))
    np.testing.assert_array_equal(frames.scale, (9, 3, 2, 1))


def test_a_checksum_sees_every_voxel():
    labels = np.zeros((3, 4, 5), np.int32)
    before = checksum(labels)
    for at in np.ndindex(labels.shape):
        labels[at] = 1
        assert checksum(labels) != before
        labels[at] = 0
    assert checksum(labels) == before
    assert checksum(np.asfortranarray(labels)) == before


def test_results_hold_no_layer_that_is_gone(viewer, run):
    gone = weakref.ref(run(LEVELS[0]))
    viewer.layers.remove(gone())
    run(method="threshold")
    gc.collect()
    assert gone() is None


def test_the_place_of_an_image_that_moved_goes_along(viewer, run, image):
    layer = run(LEVELS[0])
    image.translate, image.rotate = (30, 40), 30
    assert run(LEVELS[0]) is layer
    assert _layers.same_place(layer, image)
