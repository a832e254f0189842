"""The widget *Recipe*: steps of two widgets as a list, changed, run, saved, opened, on other images and on a folder."""

from __future__ import annotations

import csv
import threading
from pathlib import Path

import numpy as np
import pytest

from napari_cutout import io
from napari_cutout.io import Volume
from napari_cutout.recipe import Recipe, Selection, Step
from napari_cutout.running._execute import execute
from napari_cutout.widgets._layers import ours
from napari_cutout.widgets._recipe_files import saved, taken
from napari_cutout.widgets._recipe_job import Setup
from napari_cutout.widgets._recipe_request import request_of

from .unet_parts import model

pytestmark = pytest.mark.qt


@pytest.fixture
def touching():
    """Discs that touch, two by two, on a dark noisy ground."""
    image = np.random.default_rng(0).integers(5, 20, (48, 64)).astype(np.uint8)
    y, x = np.mgrid[:48, :64]
    for row, column in ((14, 14), (14, 27), (34, 40), (34, 52)):
        image[(y - row) ** 2 + (x - column) ** 2 <= 49] = 190
    return image


@pytest.fixture
def split(viewer, dock, press, touching):
    """The viewer after a threshold and a split, in two widgets."""
    viewer.add_image(touching, name="cells")
    press(dock("Threshold"))
    press(dock("Split touching"))
    return viewer.layers[-1]


@pytest.fixture
def made(viewer, touching):
    """The same labels as one layer, made without the widgets."""
    image = viewer.add_image(touching, name="cells")
    recipe = Recipe([Step("threshold"), Step("split_touching", inputs={"labels": "step_1"})])
    outcome = request_of(Setup(recipe, {"image": image})).run(lambda *_: None, lambda: False)
    return viewer.add_labels(outcome.labels, **outcome.options)


def labels_of(recipe, image):
    return execute(recipe, {"image": image}).labels


def recipe_of(layer):
    return Recipe.from_json(ours(layer)["recipe"])


def rows(widget):
    return [widget.steps.rows.item(at).text().splitlines()[0] for at in range(widget.steps.rows.count())]


def test_steps_of_two_widgets_are_changed_upstream_and_run(viewer, dock, press, split, touching, qtbot):
    widget = dock("Recipe")
    assert rows(widget) == ["1  threshold", "2  split touching"]
    assert widget.inputs.boxes["image"].layer.name == "cells"
    before = np.array(split.data)
    press(widget)
    first = viewer.layers[-1]
    assert first.name == "cells recipe"
    assert first != split
    np.testing.assert_array_equal(first.data, before)

    # upstream, through the field of the form
    widget.steps.rows.setCurrentRow(0)
    assert widget.form.editors.keys() >= {"method", "sigma", "min_size"}
    assert "spacing" not in widget.form.editors
    widget.form.editors["sigma"].field.setValue(2.0)
    assert "smoothing sigma 2" in widget.steps.rows.item(0).text()
    press(widget)
    assert viewer.layers[-1] == first, "a layer of ours is updated"
    steps = [Step("threshold", {"sigma": 2.0}), Step("split_touching", inputs={"labels": "step_1"})]
    np.testing.assert_array_equal(first.data, labels_of(Recipe(steps), touching))
    assert recipe_of(first) == Recipe(steps)
    np.testing.assert_array_equal(split.data, before)
    assert "as before" not in widget.bar.status.text()

    # downstream: the step before is not run again
    widget.set(2, min_separation=9.0)
    press(widget)
    assert "as before: 1 threshold" in widget.bar.status.text()
    np.testing.assert_array_equal(first.data, labels_of(widget.draft.recipe, touching))

    # what a step gives
    widget.steps.rows.setCurrentRow(0)
    with qtbot.waitSignal(widget.bar.ended):
        widget.steps.buttons["show"].click()
    shown = viewer.layers[-1]
    assert shown.name == "cells step 1 threshold"
    np.testing.assert_array_equal(shown.data, labels_of(Recipe(steps[:1]), touching))
    assert "as before: 1 threshold" in widget.bar.status.text()

    # never over what somebody edited
    first.paint((2, 2), 77)
    press(widget)
    assert first.data[2, 2] == 77
    assert viewer.layers[-1] != first


def test_steps_are_inserted_moved_switched_off_and_it_is_undone(viewer, dock, press, made, touching):
    widget = dock("Recipe")
    was = widget.draft
    widget.form._emit(lambda: Step("threshold", {"sigma": -1.0}), "sigma")
    assert "sigma" in widget._lines["recipe"].text(), "what a step cannot be is said"
    assert widget.draft == was
    widget.steps.rows.setCurrentRow(1)
    widget.steps.menu.aboutToShow.emit()
    menus = {action.text(): action.menu() for action in widget.steps.menu.actions()}
    actions = {action.text(): action for action in menus["Objects"].actions()}
    actions["objects"].trigger()
    assert rows(widget) == ["1  threshold", "2  split touching", "3  objects"]
    widget.steps.buttons["up"].click()
    assert rows(widget) == ["1  threshold", "2  objects", "3  split touching"]
    assert widget.steps.number == 2
    widget.steps.buttons["duplicate"].click()
    widget.set(3, min_size=400)
    assert "remove smaller than 400" in widget.steps.rows.item(2).text()
    widget.steps.rows.item(2).setCheckState(widget.steps.rows.item(2).checkState().Unchecked)
    press(widget)
    off = Recipe(
        [
            Step("threshold"),
            Step("objects", {}, {"labels": "step_1"}),
            Step("split_touching", {}, {"labels": "step_2"}),
        ]
    )
    np.testing.assert_array_equal(viewer.layers[-1].data, labels_of(off, touching))

    widget.steps.rows.setCurrentRow(0)
    widget.steps.buttons["remove"].click()
    assert "reads the labels" in widget._lines["recipe"].text()
    assert len(rows(widget)) == 4
    widget.steps.rows.item(0).setCheckState(widget.steps.rows.item(0).checkState().Unchecked)
    assert "cannot be switched off" in widget._lines["recipe"].text()
    assert widget.steps.rows.item(0).checkState() == widget.steps.rows.item(0).checkState().Checked
    while widget.past.can_undo:
        widget.steps.buttons["undo"].click()
    assert widget.draft == was
    widget.steps.buttons["redo"].click()
    assert rows(widget)[2:] == ["3  objects"]


def test_another_method_stands_in_the_place_of_one_and_a_mask_comes_from_a_step(dock, made):
    widget = dock("Recipe")
    widget.steps.rows.setCurrentRow(0)
    box = widget.form.method_box
    box.setCurrentIndex([box.itemText(at) for at in range(box.count())].index("sauvola"))
    assert rows(widget)[0] == "1  sauvola"
    assert widget.draft.recipe.steps[1].inputs == {"labels": "step_1"}
    widget.insert("watershed")
    assert widget.draft.recipe.steps[1].inputs == {"image": "image", "markers": "markers"}
    assert "markers" in widget.inputs.boxes
    assert "no later step reads it" in widget.steps.rows.item(1).text()
    mask = widget.form.wires["mask"]
    mask.setCurrentIndex([mask.itemText(at) for at in range(mask.count())].index("step 1, sauvola"))
    assert widget.draft.recipe.steps[1].inputs["mask"] == "step_1"
    assert "mask of step 1" in widget.steps.rows.item(1).text()


def test_other_steps_read_what_they_were_made_on_and_give_a_layer_of_their_own(viewer, dock, press, made, touching):
    widget = dock("Recipe")
    press(widget)
    first, n = viewer.layers[-1], len(viewer.layers)
    image = viewer.add_image(touching[::-1].copy(), name="others")
    outcome = request_of(Setup(Recipe([Step("threshold")]), {"image": image})).run(lambda *_: None, lambda: False)
    viewer.add_labels(outcome.labels, **outcome.options)
    for labels, read in ((viewer.layers[-1], "others"), (made, "cells")):
        widget.use("recipe", labels)
        assert widget.source.name == read
        assert not widget.past.can_undo, "what was there before are other steps"
    made.data[0, 0] = 99
    widget.use("recipe", made)
    assert "was edited by hand since" in widget.notice.text()
    before = first.data.copy()
    press(widget)
    assert len(viewer.layers) == n + 3
    np.testing.assert_array_equal(first.data, before)
    viewer.layers.remove(image)
    viewer.layers.remove("cells")
    assert widget.source is None
    widget.show()
    assert "there is no layer to run it on" in widget.bar.status.text()


def test_classes_are_not_linked(viewer, dock, made, touching):
    image = viewer.add_image(np.stack([touching] * 2), name="film", axis_labels=("t", "y", "x"))
    steps = [Step("threshold", {"one_per_object": True}), Step("link_frames", inputs={"labels": "step_1"})]
    outcome = request_of(Setup(Recipe(steps, Selection("tyx", each="t")), {"image": image})).run(
        lambda *_: None, lambda: False
    )
    widget = dock("Recipe")
    widget.use("recipe", viewer.add_labels(outcome.labels, **outcome.options))
    assert widget.bar.ready
    widget.set(1, one_per_object=False)
    assert "threshold gives classes, and step 2 links objects" in widget._lines["recipe"].text()
    assert not widget.bar.ready
    widget.set(1, one_per_object=True)
    assert widget.bar.ready
    assert widget._lines["recipe"].isHidden()


def test_files_beside_a_recipe_that_are_not_its_own_are_not_replaced_unasked(tmp_path):
    path, strokes = tmp_path / "cut.json", np.ones((4, 4), np.uint8)
    recipe = Recipe([Step("watershed")])
    assert taken(path, ["markers"]) == ""
    saved(recipe, path, {"markers": strokes})
    assert taken(path, ["markers"]) == "", "its own"
    path.unlink()
    assert taken(path, ["markers"]).startswith("cut.")


def test_it_previews_what_is_in_view(viewer, dock, made, qtbot, touching):
    widget = dock("Recipe")
    with qtbot.waitSignal(widget.preview.answered):
        widget.preview_box.setChecked(True)
    widget.set(1, sigma=2.0)
    cut = labels_of(widget.draft.recipe, touching) != 0
    qtbot.waitUntil(lambda: np.array_equal(widget.preview.layer.data != 0, cut))
    widget.preview_box.setChecked(False)


def test_it_is_saved_opened_and_run_on_images(viewer, dock, press, made, touching, tmp_path):
    widget = dock("Recipe")
    widget.set(1, sigma=1.0)
    widget.save(tmp_path / "cells.json")
    assert widget.bar.status.text() == "saved cells.json"
    recipe = Recipe.load(tmp_path / "cells.json")
    assert recipe == widget.draft.recipe
    widget.set(1, sigma=3.0)
    widget.open_file(tmp_path / "cells.json")
    assert widget.draft.recipe == recipe

    viewer.add_image(touching[::-1].copy(), name="flipped", scale=(0.5, 0.5))
    viewer.add_image(np.zeros((3, 48, 64), np.uint8), name="frames", axis_labels=("t", "y", "x"))
    viewer.add_image(np.zeros((48, 64), np.uint8), name="empty")
    widget.batch.choose("images")
    tips = {layer.name: widget.batch.images.item(at).toolTip() for at, layer in enumerate(widget.batch.images.offered)}
    assert "'frames' has 'tyx'" in tips["frames"]
    assert not tips["flipped"]
    widget.batch.images.tick()
    assert not widget.bar.ready
    widget.batch.images.tick(*(viewer.layers[name] for name in ("cells", "flipped", "empty")))
    press(widget)
    assert widget.bar.status.text().startswith("cut 2 images · 1 failed: empty")
    assert not widget.failures_button.isHidden()
    flipped = viewer.layers["flipped recipe"]
    assert tuple(flipped.scale) == (0.5, 0.5)
    assert {s.settings["spacing"] for s in recipe_of(flipped).steps if "spacing" in s.settings} == {(0.5, 0.5)}
    np.testing.assert_array_equal(flipped.data, labels_of(recipe_of(flipped), touching[::-1]))


def test_a_model_is_inserted_as_a_step(viewer, dock, press, made, touching, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from napari_cutout.widgets import _model_box, _recipe_list
    from napari_cutout.widgets._preferences import Preferences

    folder, elsewhere = tmp_path / "models", tmp_path / "elsewhere"
    monkeypatch.setattr(_model_box, "preferences", lambda: Preferences(models_folder=str(folder)))
    folder.mkdir()
    for place, n_channels in ((folder / "cells", 1), (elsewhere, 2)):
        model(n_channels=n_channels, name=place.name).save(place)
    widget = dock("Recipe")
    for action in ("cells", "A model…"):
        if action == "A model…":
            monkeypatch.setattr(_recipe_list.QFileDialog, "getExistingDirectory", lambda *_: str(elsewhere))
        widget.steps.menu.aboutToShow.emit()
        menus = {action.text(): action.menu() for action in widget.steps.menu.actions()}
        inner = {action.text(): action.menu() for action in menus["U-Net"].actions()}["unet predict"]
        assert [action.text() for action in inner.actions()] == ["cells", "A model…"]
        next(one for one in inner.actions() if one.text() == action).trigger()
    assert rows(widget)[2:] == ["3  unet predict", "4  unet predict"]
    assert widget.form.editors["model"].value == str(elsewhere)
    assert (
        "step 4, unet_predict: the model 'elsewhere' was trained on 2 channels, and the image has 1"
        in widget._lines["recipe"].text()
    )
    assert not widget.bar.ready
    widget.remove()
    assert widget.draft.recipe.steps[2] == Step("unet_predict", {"model": str(folder / "cells")})
    press(widget)
    np.testing.assert_array_equal(viewer.layers[-1].data, labels_of(widget.draft.recipe, touching))
    widget.save(tmp_path / "cut.json")
    assert Recipe.load(tmp_path / "cut.json") == widget.draft.recipe


def test_it_runs_on_a_folder(dock, press, made, touching, tmp_path):
    widget = dock("Recipe")
    recipe = widget.draft.recipe
    folder = tmp_path / "images"
    folder.mkdir()
    for name, image in (("a", touching), ("b", touching[:, ::-1]), ("c", np.zeros((9, 9), np.uint8))):
        io.write(folder / f"{name}.tif", Volume(np.ascontiguousarray(image), "yx"), kind="image")
    widget.batch.choose("folder")
    assert "choose the folder of the images" in widget._lines["batch"].text()
    widget.batch.source.line.setText(str(folder))
    widget.batch.target.line.setText(str(folder))
    assert "among the images" in widget._lines["batch"].text()
    widget.batch.target.line.setText("out")
    assert "'out' is only the end of a path" in widget._lines["batch"].text()
    widget.batch.target.line.setText("~/out")
    assert widget.batch.target.path == str(Path.home() / "out")
    widget.batch.target.line.setText(str(tmp_path / "out"))
    press(widget)
    assert "cut 2 of 3 images" in widget.bar.status.text()
    assert "c.tif" in widget.bar.status.text()
    for name, image in (("a", touching), ("b", touching[:, ::-1])):
        np.testing.assert_array_equal(io.read(tmp_path / "out" / f"{name}.tif").data, labels_of(recipe, image))
    with (tmp_path / "out" / "objects.csv").open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == 2 * labels_of(recipe, touching).max()
    widget.start()
    assert "holds files already" in widget._lines["batch"].text()
    widget.batch.resume_box.setChecked(True)
    press(widget)
    assert "cut 2 of 3 images" in widget.bar.status.text()


def held_at(monkeypatch, image):
    """Hold a run on a folder when it comes to an image; two events: it is there, and it may go on."""
    from napari_cutout.running import _batch

    real, reached, opened = _batch.run, threading.Event(), threading.Event()

    def held(*args, on_progress, **options):
        def report(stage, fraction):
            on_progress(stage, fraction)
            if stage.startswith(image) and not reached.is_set():
                reached.set()
                assert opened.wait(60), "the test never let it go on"

        return real(*args, on_progress=report, **options)

    monkeypatch.setattr(_batch, "run", held)
    return reached, opened


def test_a_run_on_a_folder_is_cancelled_and_gone_on_with(dock, press, made, touching, tmp_path, monkeypatch, qtbot):
    widget = dock("Recipe")
    images = {"a": touching, "b": touching[:, ::-1], "c": touching[::-1]}
    folder, out = tmp_path / "images", tmp_path / "out"
    folder.mkdir()
    for name, image in images.items():
        io.write(folder / f"{name}.tif", Volume(np.ascontiguousarray(image), "yx"), kind="image")
    widget.batch.choose("folder")
    widget.batch.source.line.setText(str(folder))
    widget.batch.target.line.setText(str(out))
    for at, there in (("image 1 of 3", []), ("image 2 of 3", ["a.tif", "a.tif.recipe.json"])):
        reached, opened = held_at(monkeypatch, at)
        with qtbot.waitSignal(widget.bar.ended, timeout=60_000):
            widget.bar.button.click()
            qtbot.waitUntil(reached.is_set, timeout=60_000)
            widget.bar.button.click()
            opened.set()
        assert sorted(path.name for path in out.iterdir()) == there, "what is done, and nothing half written"
        monkeypatch.undo()
    words = "cancelled; the labels of 1 of 3 images stay: tick 'go on with what is there' and press Run to go on"
    assert widget.bar.status.text() == words
    first = (out / "a.tif").stat()
    widget.batch.resume_box.setChecked(True)
    press(widget)
    assert widget.bar.status.text().startswith("cut 3 of 3 images")
    assert (out / "a.tif").stat() == first, "it is not cut again"
    found = 0
    for name, image in images.items():
        labels = io.read(out / f"{name}.tif").data
        np.testing.assert_array_equal(labels, labels_of(widget.draft.recipe, image))
        found += labels.max()
    with (out / "objects.csv").open() as file:
        assert len(list(csv.DictReader(file))) == found


def test_a_folder_that_was_done_when_it_was_cancelled_is_done(dock, made, touching, tmp_path, monkeypatch, qtbot):
    widget = dock("Recipe")
    folder = tmp_path / "images"
    folder.mkdir()
    io.write(folder / "a.tif", Volume(touching, "yx"), kind="image")
    widget.batch.choose("folder")
    widget.batch.source.line.setText(str(folder))
    widget.batch.target.line.setText(str(tmp_path / "out"))
    from napari_cutout.running import _batch

    real, done, seen = _batch.run, threading.Event(), threading.Event()

    def run(*args, **options):
        batch = real(*args, **options)
        done.set()
        assert seen.wait(60), "the test never let it go on"
        return batch

    monkeypatch.setattr(_batch, "run", run)
    with qtbot.waitSignal(widget.bar.ended, timeout=60_000):
        widget.bar.button.click()
        qtbot.waitUntil(done.is_set, timeout=60_000)
        widget.bar.button.click()
        seen.set()
    assert widget.bar.status.text().startswith("cut 1 of 1 images")


def test_what_has_no_recipe_and_strokes_that_are_kept(viewer, dock, press, blobs, tmp_path, qtbot):
    widget = dock("Recipe")
    assert "Run a method first" in widget.notice.text()
    assert not widget.bar.ready
    viewer.add_image(blobs, name="blobs")
    strokes = np.zeros(blobs.shape, np.uint8)
    strokes[6, 7:9], strokes[20, 22:25], strokes[1, 1:9] = 1, 2, 3
    viewer.add_labels(strokes, name="strokes")
    frame = dock("Watershed")
    frame.choose_method("watershed")
    frame.use("markers", viewer.layers["strokes"])
    press(frame)
    made = viewer.layers[-1]
    qtbot.waitUntil(lambda: widget.draft is not None)
    assert rows(widget) == ["1  watershed"], "what was made since is shown"
    assert widget.inputs.boxes["markers"].layer == viewer.layers["strokes"]
    viewer.layers.remove("strokes")
    assert widget.inputs.boxes["markers"].layer is None
    assert widget.bar.ready
    press(widget)
    np.testing.assert_array_equal(viewer.layers[-1].data, made.data)
    widget.save(tmp_path / "strokes.json")
    assert "markers beside it" in widget.bar.status.text()
    widget.open_file(tmp_path / "strokes.json")
    press(widget)
    np.testing.assert_array_equal(viewer.layers[-1].data, made.data)
    viewer.add_labels(strokes, name="plain")
    widget.use("recipe", viewer.layers["plain"])
    assert "does not say how it was made" in widget.notice.text()
    (tmp_path / "no.json").write_text("{}")
    widget.open_file(tmp_path / "no.json")
    assert "this is no recipe" in widget.bar.status.text()
