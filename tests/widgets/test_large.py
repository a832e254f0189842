"""Runs whose labels go into a store: asked for, shown while blocks finish, cancelled, resumed, and opened again."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace

import dask.array as da
import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qtpy.QtGui import QGuiApplication

import napari_cutout as nc
from napari_cutout import io
from napari_cutout._monitor import Cancelled
from napari_cutout._sources import Source
from napari_cutout._volume import Volume
from napari_cutout.running._run_folder import Busy, RunFolder
from napari_cutout.stores import Place
from napari_cutout.widgets import _large_job, _live_labels
from napari_cutout.widgets._large_job import Countdown, proposed_target, target_problem, time_left
from napari_cutout.widgets._live_labels import LiveLabels
from napari_cutout.widgets._live_layer import LiveLayer
from napari_cutout.widgets._preferences import Preferences
from napari_cutout.widgets._unfinished import unfinished, unfinished_of

from ..patience import PATIENCE

SHAPE = (40, 150, 140)
SPACING, ORIGIN = (2.0, 0.5, 0.5), (10.0, 20.0, 30.0)


@pytest.fixture(scope="module")
def image():
    """Some boxes on a dark ground with a gradient, in several tiles."""
    image = np.add.outer(np.arange(SHAPE[0]) % 5, np.add.outer(np.arange(SHAPE[1]) % 7, np.arange(SHAPE[2]) % 3))
    image = image.astype(np.uint16)
    image[4:30, 20:130, 15:120] += 300
    image[10:38, 60:75, 50:60] = 0
    return image


@pytest.fixture
def store(tmp_path, image):
    """The image with its place, as a store."""
    return io.write(
        tmp_path / "brain.ome.zarr", Volume(image, "zyx", SPACING, "micrometer", origin=ORIGIN), kind="image"
    )


@pytest.fixture
def source(viewer, store):
    """The layer of the store."""
    (layer,) = viewer.open(str(store), plugin="napari-cutout")
    return layer


@pytest.fixture
def opened(dock, source):
    """Open the widget of thresholds, ready to write small tiles where it proposes to."""

    def opened():
        widget = dock("Threshold")
        into_store(widget)
        return widget

    return opened


def into_store(widget):
    widget.large.row.box.setCurrentIndex(1)
    widget.large.row.box.activated.emit(1)
    widget.large.tile = 32
    widget.large.ask_path = lambda proposed: proposed


@pytest.fixture
def held(monkeypatch):
    """Hold runs in a method of `LiveLayer` after it has been called so many times."""
    gate = Held()
    for name in ("follow", "add"):
        monkeypatch.setattr(LiveLayer, name, gate.holding(name, getattr(LiveLayer, name)))
    yield gate
    gate.opened.set()


class Held:
    """Where runs stop, and two events: the run has got there, and it may go on."""

    at, after = "", 1

    def __init__(self):
        self.reached, self.opened, self.n = threading.Event(), threading.Event(), 0

    def holding(self, name, real):
        def held(layer, told):
            real(layer, told)
            self.n += name == self.at
            if name == self.at and self.n >= self.after:
                self.reached.set()
                assert self.opened.wait(PATIENCE), "the test never opened the gate"

        return held

    def cancel(self, qtbot, widget, at, after=1):
        """Run, and cancel it there."""
        self.at, self.after = at, after
        widget.bar.button.click()
        qtbot.waitUntil(self.reached.is_set)
        with qtbot.waitSignal(widget.bar.ended):
            widget.bar.button.click()
            self.opened.set()
        self.at = ""


def result_of(widget):
    (layer,) = [layer for layer in widget.viewer.layers if layer.name.startswith("brain threshold")]
    return layer


def expected(image):
    return nc.threshold(image)


# The whole way ---------------------------------------------------------------------------------------------


@pytest.mark.qt
def test_labels_go_into_a_store_and_show_up_at_their_place(viewer, opened, press, image, store, source):
    widget = opened()
    asked = []
    widget.large.ask_path = lambda proposed: asked.append(proposed) or proposed
    assert "on the CPU: " in widget.bar.plan.text()
    press(widget)
    target = store.parent / "brain-threshold.zarr"
    assert asked == [str(target)]
    layer = result_of(widget)
    assert layer.multiscale
    assert {type(level) for level in layer.data} == {da.Array}
    for level, labels in zip(io.read_lazily(target), layer.data, strict=True):
        np.testing.assert_array_equal(level.data, labels)
    np.testing.assert_array_equal(layer.data[0], expected(image))
    np.testing.assert_array_equal(layer.scale, SPACING)
    np.testing.assert_array_equal(layer.translate, ORIGIN)
    assert layer.units == source.units
    assert (layer.source.path, layer.source.reader_plugin) == (str(target), "napari-cutout")
    assert f"in '{target.name}'" in widget.bar.status.text()
    said = widget.bar.status.text()
    assert said.startswith("threshold ")
    assert f" · {100 * expected(image).mean():.3g} % selected · CPU · " in said
    assert "because" not in said, "that is in the tooltip, as after any other run"
    assert widget.bar.status.toolTip().startswith("On the CPU because ")
    (again,) = viewer.open(str(target), plugin="napari-cutout")
    np.testing.assert_array_equal(again.translate, ORIGIN)
    assert again.metadata["napari_cutout"] == layer.metadata["napari_cutout"]


@pytest.mark.qt
def test_blocks_show_up_while_the_run_goes_on(opened, held, qtbot, image):
    widget = opened()
    held.at, held.after = "add", 4
    at_once = []
    widget.viewer.layers.events.inserted.connect(lambda event: at_once.append(np.asarray(event.value.data[0]).any()))
    widget.bar.button.click()
    assert at_once == [False], "the layer is there before its first block"
    layer = result_of(widget)
    qtbot.waitUntil(held.reached.is_set)
    whole, shown = expected(image), np.asarray(layer.data[0])
    assert 0 < np.count_nonzero(shown) < np.count_nonzero(whole)
    np.testing.assert_array_equal(shown[shown > 0], whole[shown > 0])
    coarser = np.asarray(layer.data[1])
    assert coarser.any(), "coarser levels follow"
    np.testing.assert_array_equal(coarser[coarser > 0], shown[:, ::2, ::2][coarser > 0])
    qtbot.waitUntil(lambda: widget.large.shown.n_drawn > 0)
    with qtbot.waitSignal(widget.bar.ended):
        held.opened.set()
    assert result_of(widget) is layer
    np.testing.assert_array_equal(layer.data[0], whole)


@pytest.mark.qt
def test_a_cancel_before_the_first_block_leaves_the_layers_as_they_were(viewer, opened, held, qtbot, store):
    widget = opened()
    held.cancel(qtbot, widget, "follow")
    assert [layer.name for layer in viewer.layers] == ["brain"]
    assert not (store.parent / "brain-threshold.zarr").exists()
    assert "press Resume to go on" in widget.bar.status.text()
    assert not widget.large.row.resume_button.isHidden()


@pytest.mark.qt
def test_a_run_that_was_cancelled_goes_on_where_it_was(opened, held, qtbot, image, store):
    widget = opened()
    held.cancel(qtbot, widget, "add", after=2)
    layer, row = result_of(widget), widget.large.row
    assert np.asarray(layer.data[0]).any(), "what is done stays in view"
    assert "a run into 'brain-threshold.zarr' did not end" in row.left.text()
    widget.set(method="li")  # it goes on with what it began with
    with qtbot.waitSignal(widget.bar.ended):
        row.resume_button.click()
    assert result_of(widget) is layer
    np.testing.assert_array_equal(layer.data[0], expected(image))
    assert row.left.text() == ""


@pytest.mark.qt
def test_another_widget_finds_the_run_that_did_not_end_and_resumes_it(viewer, opened, dock, held, qtbot, image):
    widget = opened()
    held.cancel(qtbot, widget, "add", after=2)
    viewer.window.remove_dock_widget(widget)
    viewer.layers.remove(viewer.layers["brain threshold"])
    other = dock("k-means")
    again = dock("Threshold")
    again.choose_method("threshold_at")
    qtbot.waitUntil(lambda: "brain-threshold.zarr" in again.large.row.left.text())
    assert other.large.row.left.text() == "", "it is none of its methods"
    with qtbot.waitSignal(again.bar.ended):
        again.large.row.resume_button.click()
    assert again.method.name == "threshold"
    layer = result_of(again)
    np.testing.assert_array_equal(layer.data[0], expected(image))
    np.testing.assert_array_equal(layer.translate, ORIGIN)


@pytest.mark.qt
def test_a_region_that_was_cut_off_comes_back_to_its_place(viewer, opened, dock, held, qtbot, source):
    corners = [(20, y, x) for y, x in ((29.5, 9.5), (29.5, 109.5), (119.5, 109.5), (119.5, 9.5))]
    shapes = viewer.add_shapes([[source.data_to_world(corner) for corner in corners]], shape_type="rectangle")
    widget = opened()
    widget.target_rows.choose_region(shapes)
    held.cancel(qtbot, widget, "add")
    place = np.array(result_of(widget).translate)
    np.testing.assert_allclose(place, (10, 20 + 15, 30 + 5))
    viewer.window.remove_dock_widget(widget)
    viewer.layers.remove(viewer.layers["brain threshold"])
    again = dock("Threshold")
    qtbot.waitUntil(lambda: bool(again.large.row.left.text()))
    with qtbot.waitSignal(again.bar.ended):
        again.large.row.resume_button.click()
    layer = result_of(again)
    np.testing.assert_allclose(layer.translate, place)
    assert layer.data[0].shape == (SHAPE[0], 90, 100)


@pytest.mark.qt
def test_the_memory_limit_of_the_preferences_counts_beside_what_napari_holds(monkeypatch, opened):
    from napari_cutout.widgets import _large

    widget = opened()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=100 * 2**30))
    monkeypatch.setattr(_large, "preferences", lambda: Preferences(memory_limit_gib=1.0))
    _, request = widget.ask()
    run = widget.large._run_of(request, "a.zarr")
    assert 0.95 * 2**30 < run.planned().free.n_bytes <= 2**30


@pytest.mark.qt
def test_closing_the_widget_leaves_a_run_that_can_be_resumed(viewer, opened, held, qtbot, store):
    widget = opened()
    held.at = "add"
    widget.bar.button.click()
    qtbot.waitUntil(held.reached.is_set)
    worker = widget.bar.slot.worker
    viewer.window.remove_dock_widget(widget)
    held.opened.set()
    qtbot.waitUntil(lambda: not worker.is_running)
    found = unfinished(str(store.parent / "brain-threshold.zarr"))
    assert found.method == "threshold"
    assert found.is_of(str(store))


@pytest.mark.qt
def test_what_is_left_can_be_discarded(viewer, opened, held, qtbot, store):
    widget = opened()
    held.cancel(qtbot, widget, "add")
    assert list(store.parent.glob(".*.run"))
    folder = RunFolder(Place.of(store.parent / "brain-threshold.zarr"))
    for part in ("", "-00002"):
        with folder.held(part):  # another process has gone on with it meanwhile
            widget.large.row.discard_button.click()
            assert "is at work on" in widget.bar.status.text()
    assert folder.begun() is not None
    widget.large.row.discard_button.click()
    assert not list(store.parent.glob(".*.run"))
    assert [layer.name for layer in viewer.layers] == ["brain"]
    assert widget.large.row.left.text() == ""


# What is asked ---------------------------------------------------------------------------------------------


@pytest.mark.qt
def test_the_plan_decides_unless_the_user_does(monkeypatch, dock, viewer, source, image):
    widget = dock("Threshold")
    row = widget.large.row
    assert not row.box.isHidden()
    assert not row.into_store, "it fits"
    monkeypatch.setattr(type(widget), "free_memory", lambda self: 4 << 20)
    widget.refresh()
    assert row.into_store
    assert widget.bar.ready
    assert widget.bar.plan.text().startswith("in ")
    row.box.setCurrentIndex(0)
    row.box.activated.emit(0)
    assert not row.into_store, "the user has chosen"
    viewer.add_image(image, name="held")
    widget.use("image", viewer.layers["held"])
    assert row.box.isHidden(), "what is in memory needs no store"


@pytest.mark.qt
def test_nothing_happens_where_no_place_is_chosen_or_it_is_taken(viewer, opened, store):
    widget = opened()
    widget.large.ask_path = lambda proposed: ""
    widget.start()
    assert not widget.bar.running
    assert widget.bar.status.text() == ""
    widget.large.ask_path = lambda proposed: str(store)
    widget.start()
    assert "'brain.ome.zarr' is the image itself" in widget.bar.status.text()
    assert [layer.name for layer in viewer.layers] == ["brain"]


@pytest.mark.qt
def test_a_bad_scheduler_turns_red_with_its_sentence(monkeypatch, opened):
    from napari_cutout.widgets import _large

    widget = opened()
    monkeypatch.setattr(_large, "preferences", lambda: Preferences(scheduler="node7"))
    widget.refresh()
    assert not widget.bar.ready
    assert "'node7', must be an address such as tcp://node7:8786" in widget.lines()["scheduler"].text()
    assert "border" in widget.large.row.box.styleSheet()
    widget.large.row.box.setCurrentIndex(0)
    widget.large.row.box.activated.emit(0)
    assert widget.bar.ready, "in memory nothing is sent anywhere"


@pytest.mark.qt
def test_how_long_it_takes_is_said_as_soon_as_a_probe_told(monkeypatch, opened, qtbot):
    widget = opened()
    widget.large._later.setInterval(0)
    widget.set(sigma=1.0)
    qtbot.waitUntil(lambda: "reads " in widget.bar.plan.text())
    known = widget.bar.plan.text()
    widget.refresh()
    assert widget.bar.plan.text() == known
    widget.set(sigma=2.0)
    assert "reads" not in widget.bar.plan.text(), "that was of another run"


@pytest.mark.qt
def test_an_array_without_a_file_runs_too_and_keeps_its_place(viewer, dock, press, image, tmp_path):
    lazy = da.from_array(image, chunks=(40, 64, 64))
    viewer.add_image(lazy, name="brain", scale=SPACING, translate=ORIGIN, units=("um",) * 3)
    widget = dock("Threshold")
    into_store(widget)
    target = tmp_path / "labels.zarr"
    widget.large.ask_path = lambda proposed: str(tmp_path / "labels")
    press(widget)
    np.testing.assert_array_equal(result_of(widget).data[0], expected(image))
    written = io.read_lazily(target)[0]
    assert (written.spacing, written.units, written.origin) == (SPACING, "micrometer", ORIGIN)


@pytest.mark.qt
def test_a_region_of_a_channel_of_frames_lies_where_it_was(viewer, dock, press, tmp_path, image):
    frames = np.stack([np.stack([image[:6], image[4:10]]), np.stack([image[2:8], image[6:12]])])
    volume = Volume(frames, "tczyx", SPACING, "micrometer", origin=ORIGIN)
    path = io.write(tmp_path / "brain.zarr", volume, kind="image")
    first, second = viewer.open(str(path), plugin="napari-cutout")
    viewer.layers.remove(first)
    second.name = "brain"
    corners = [(0, 0, y, x) for y, x in ((19.5, 9.5), (19.5, 109.5), (119.5, 109.5), (119.5, 9.5))]
    shapes = viewer.add_shapes([[second.data_to_world(corner) for corner in corners]], shape_type="rectangle")
    widget = dock("Threshold")
    widget.target_rows.choose(time="each")
    widget.target_rows.choose_region(shapes)
    into_store(widget)
    press(widget)
    layer = result_of(widget)
    box = frames[:, 1, :, 20:120, 10:110]
    np.testing.assert_array_equal(layer.data[0], np.stack([expected(one) for one in box]))
    np.testing.assert_allclose(layer.translate, (0, 10, 30, 35))


@pytest.mark.qt
def test_how_it_was_made_can_be_copied(opened, press, qtbot, store, image, tmp_path):
    widget = opened()
    press(widget)
    with qtbot.waitSignal(widget.result_bar.copied):
        widget.result_bar.copy("python")
    script = QGuiApplication.clipboard().text()
    assert str(store) in script
    recipe = json.loads(result_of(widget).metadata["napari_cutout"]["recipe"])
    assert recipe["steps"][0]["method"] == "threshold"


# What is left of runs --------------------------------------------------------------------------------------


def cut_off(store, target):
    """Run, and cancel it when the first block was written."""
    stop = []
    with pytest.raises(Cancelled):
        nc.run(nc.Step("threshold"), store, target, tile=32, is_cancelled=lambda: bool(stop), on_block=stop.append)


def test_runs_are_found_by_their_image_and_method(store):
    target = store.parent / "mine.zarr"
    assert unfinished(str(target)) is None
    assert unfinished_of(str(store), {"threshold"}) is None
    cut_off(store, target)
    found = unfinished_of(str(store), {"threshold", "multi_otsu"})
    assert (found.target, found.method) == (str(target), "threshold")
    assert unfinished_of(str(store), {"kmeans"}) is None
    assert unfinished_of(str(store.parent / "other.zarr"), {"threshold"}) is None
    assert unfinished_of("s3://bucket/brain.zarr", {"threshold"}) is None
    run = store.parent / ".mine.zarr.run" / "run.json"
    run.write_text("{")
    assert unfinished_of(str(store), {"threshold"}) is None


# Sentences and names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("cells.ome.zarr", "cells-multi-otsu.zarr"),
        ("cells.zarr/", "cells-multi-otsu.zarr"),
        ("c.tif", "c.tif-multi-otsu.zarr"),
    ],
)
def test_labels_are_proposed_beside_their_image_under_a_free_name(tmp_path, path, name):
    source = Source(path=f"{tmp_path}/{path}")
    assert proposed_target(source, "multi_otsu") == tmp_path / name
    (tmp_path / name).mkdir()
    assert proposed_target(source, "multi_otsu") == tmp_path / f"{name.removesuffix('.zarr')}-2.zarr"


def test_labels_of_an_image_without_a_folder_are_proposed_here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for source in (Source(layer="a/b"), Source(path="s3://bucket/a_b.zarr")):
        assert proposed_target(source, "kmeans") == tmp_path / "a_b-kmeans.zarr"


def test_where_labels_may_not_go_is_said(tmp_path):
    source = Source(path=str(tmp_path / "a.zarr"))
    (tmp_path / "b.zarr").mkdir()
    for name, sentence in {
        "c.zarr": "",
        "c.tif": "whose name ends in .zarr, not 'c.tif'",
        "a.zarr": "is the image itself",
        "b.zarr": "'b.zarr' is there already, and is not replaced; choose another name",
        "no/c.zarr": "there is no folder",
    }.items():
        found = target_problem(str(tmp_path / name), source)
        assert sentence in found
        assert bool(sentence) == bool(found)
    assert target_problem("s3://bucket/c.zarr", source) == ""


@pytest.mark.parametrize(
    ("seconds", "first", "now", "words"),
    [
        (60, 0.0, 0.25, "3 min left"),
        (60, 0.5, 0.75, "60 s left"),
        (60, 0.0, 0.95, "some seconds left"),
        (60, 0.0, 0.005, ""),
        (1, 0.0, 0.5, ""),
        (60, 0.0, 1.0, ""),
        (36_000, 0.0, 0.5, "10.0 h left"),
    ],
)
def test_the_time_that_is_left_is_said_as_soon_as_it_is_known(seconds, first, now, words):
    assert time_left(seconds, first, now) == words


def test_a_countdown_starts_where_a_resumed_run_does(monkeypatch):
    clock, told = [0.0], []
    monkeypatch.setattr(_large_job.time, "monotonic", lambda: clock[0])
    tell = Countdown(lambda stage, fraction: told.append(stage))
    for clock[0], fraction in ((0.0, 0.5), (30.0, 0.6), (60.0, 0.8)):
        tell("writing labels", fraction)
    assert told == ["writing labels", "writing labels, 2 min left", "writing labels, 40 s left"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Cancelled("stopped; what is done is kept in '/a/.b.run': pass resume=True to go on"),
         "stopped; what is done is kept: press Resume to go on"),
        (ValueError("the recipe changed since it was begun; pass overwrite=True to start anew"),
         "the recipe changed since it was begun; discard it, and run it anew"),
        (Busy("wait for it, or stop it and pass resume=True"), "wait for it, or stop it and press Resume"),
        (ValueError("image must be 2-D"), "image must be 2-D"),
    ],
)  # fmt: skip
def test_sentences_name_buttons(error, words):
    with (
        pytest.raises(Cancelled if isinstance(error, Cancelled) else ValueError) as caught,
        _large_job._in_words_of_a_window(),
    ):
        raise error
    assert str(caught.value) == words


# Labels that are being written -----------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_levels_give_what_is_written_and_0_elsewhere(data):
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 70), st.integers(60, 150)), "shape")
    spread = data.draw(st.sampled_from([None, 0, 1, 3]), "spread")
    kept = data.draw(st.sampled_from([0, 1 << 27]), "bytes kept")
    labels = np.random.default_rng(0).integers(1, 9, shape).astype(np.uint8)
    written = np.zeros(shape, np.uint8)
    live = LiveLabels.not_begun(shape, "zyx", spread)
    assert live.levels[-1].shape[-1] <= 64
    assert not np.asarray(live.levels[0]).any()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_live_labels, "KEPT_BYTES", kept)
        live.follow(written)
    for _ in range(data.draw(st.integers(0, 3), "blocks")):
        box = tuple(tuple(sorted((data.draw(st.integers(0, n - 1)), n))) for n in shape)
        at = tuple(slice(*one) for one in box)
        written[at] = labels[at]
        live.add(box)
    for level, factor in zip(live.levels, live.factors, strict=True):
        whole = written[tuple(slice(None, None, f) for f in factor)]
        whole = whole if spread is None else np.expand_dims(whole, spread)
        assert level.shape == whole.shape
        key = tuple(data.draw(_key(n)) for n in whole.shape)
        np.testing.assert_array_equal(level[key], whole[key])
        assert level[key].dtype == np.int32
        np.testing.assert_array_equal(level[..., 0], whole[..., 0])


def _key(n):
    return st.one_of(st.integers(-n, n - 1), st.slices(n).filter(lambda one: (one.step or 1) > 0))
