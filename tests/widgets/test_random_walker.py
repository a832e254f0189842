"""The widget Random walker: strokes, results that follow them, what is shown on the way, and probabilities."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

import napari_cutout as nc
from napari_cutout import _device, catalog
from napari_cutout._monitor import tick
from napari_cutout.cli import main
from napari_cutout.methods import _walk_session, random_walker
from napari_cutout.methods._walk_session import Session
from napari_cutout.widgets import _live, _live_row

from ..patience import PATIENCE

pytestmark = [pytest.mark.qt, pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")]


@pytest.fixture
def disc():
    """A bright disc in noise, float32, 2-D."""
    y, x = np.mgrid[:40, :60]
    noise = np.random.default_rng(0).normal(0, 10, (40, 60))
    return (20 + 100 * ((y - 20) ** 2 + (x - 30) ** 2 < 150) + noise).astype(np.float32)


@pytest.fixture
def painted():
    """Label 1 around the disc and label 2 on it."""
    strokes = np.zeros((40, 60), np.uint8)
    strokes[3, 5:50], strokes[20, 25:35] = 1, 2
    return strokes


@pytest.fixture
def walking(viewer, dock, disc, painted):
    """The widget with the disc and two strokes."""
    viewer.add_image(disc, name="disc")
    strokes = viewer.add_labels(painted.copy(), name="strokes")
    widget = dock("Random walker")
    widget.boxes["markers"].choose(strokes)
    return widget


@pytest.fixture
def updated(qtbot):
    """Do something to the strokes, and wait until the result has followed."""

    def follow(widget, change):
        with qtbot.waitSignal(widget.ran):
            change()
        return widget.results.last

    return follow


@pytest.fixture
def held(monkeypatch):
    """Hold every session after its first answer, of which it makes two, until it is let go or cancelled."""
    gate = Held()
    real = Session.updates

    def updates(self, markers):
        found = list(real(self, markers))
        yield found[0]._replace(final=False, error=float("nan"))
        gate.reached.set()
        while not gate.opened.wait(0.01):
            tick(1, 2)
        yield found[-1]

    monkeypatch.setattr(Session, "updates", updates)
    yield gate
    gate.opened.set()


class Held:
    """Two events: the first answer was taken, and the last may come."""

    def __init__(self):
        self.reached, self.opened = threading.Event(), threading.Event()


def state_of(viewer):
    """Return what all layers hold."""
    return [(layer.name, np.array(layer.data)) for layer in viewer.layers]


def assert_same(before, after):
    assert [name for name, _ in before] == [name for name, _ in after]
    for (_, one), (_, other) in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


# A run


def test_run_gives_the_labels_of_the_function(viewer, walking, press, disc, painted):
    assert not walking.extras["updates"].box.isVisibleTo(walking)
    press(walking)
    result = viewer.layers["disc random walker"]
    np.testing.assert_array_equal(result.data, nc.random_walker(disc, painted))
    assert set(np.unique(result.data)) == {1, 2}
    words = walking.bar.status.text().split(" · ")
    facts = result.metadata["napari_cutout"]["provenance"]["facts"]
    assert (
        words[words.index("2 labels") + 1]
        == f"{facts['n_iterations']} iterations, probabilities right to about {facts['estimated_error']:.1g}"
    )
    assert facts["converged"]
    why = "On the CPU because the image stays in memory, so that the next stroke is quick."
    assert walking.bar.status.toolTip() == why
    assert walking.bar.status.styleSheet() == ""
    assert walking.extras["updates"].box.isVisibleTo(walking)


def test_the_strokes_stay_what_is_painted_on(viewer, walking, press):
    strokes = viewer.layers["strokes"]
    viewer.layers.selection.active = strokes
    press(walking)
    assert viewer.layers.selection.active.name == "strokes"
    assert [layer.name for layer in viewer.layers] == ["disc", "disc random walker", "strokes"]


def test_one_label_is_everywhere(viewer, walking, press, disc):
    strokes = viewer.layers["strokes"]
    strokes.data = np.where(strokes.data == 2, 0, strokes.data)
    press(walking)
    assert (walking.results.last.data == 1).all()
    assert "1 label" in walking.bar.status.text().split(" · ")


def test_an_anisotropic_volume_within_a_mask(viewer, dock, press, volume):
    viewer.add_image(volume, name="volume", scale=(3, 0.5, 0.5), units=("um",) * 3)
    strokes, mask = np.zeros(volume.shape, np.uint8), np.ones(volume.shape, np.uint8)
    strokes[2, 5, 5:8], strokes[3, 14, 14:18], strokes[5, 0] = 1, 4, 2
    mask[:, :, 22:] = 0
    place = {"scale": (3, 0.5, 0.5), "units": ("um",) * 3}
    markers, inside = viewer.add_labels(strokes, name="strokes", **place), viewer.add_labels(mask, name="in", **place)
    widget = dock("Random walker")
    widget.boxes["markers"].choose(markers)
    widget.boxes["mask"].choose(inside)
    widget.set(beta=130.0)
    press(widget)
    result = widget.results.last
    expected = nc.random_walker(volume, strokes, mask, beta=130, spacing=(3, 0.5, 0.5))
    np.testing.assert_array_equal(result.data, expected)
    assert not np.array_equal(result.data, nc.random_walker(volume, strokes, mask, beta=130))
    np.testing.assert_array_equal(result.scale, (3, 0.5, 0.5))


def test_automatic_beta_is_said_and_kept(viewer, walking, press, disc, painted):
    walking.set(beta="auto")
    assert walking.settings["beta"] == "auto"
    press(walking)
    result = walking.results.last
    np.testing.assert_array_equal(result.data, nc.random_walker(disc, painted, beta="auto"))
    provenance = result.metadata["napari_cutout"]["provenance"]
    assert provenance["steps"][0]["settings"]["beta"] == "auto"
    assert f"beta {provenance['facts']['beta']:.3g}" in walking.bar.status.text()


def test_tooltips_are_those_of_the_function(walking):
    entry = catalog.find("random_walker")
    for name in ("beta", "tolerance"):
        assert walking.editors[name].toolTip() == entry.describe(name)


@pytest.mark.filterwarnings("ignore:the random walker stopped:RuntimeWarning")
def test_what_missed_the_tolerance_is_said_in_orange(viewer, walking, press, monkeypatch):
    from napari_cutout.methods import _gradients

    monkeypatch.setattr(_gradients, "MOST", 1)
    walking.set(tolerance=1e-5)
    press(walking)
    assert ": lower beta, or smooth the image" in walking.bar.status.text()
    assert "background: #ffb224" in walking.bar.status.styleSheet()
    facts = walking.results.last.metadata["napari_cutout"]["provenance"]["facts"]
    assert not facts["converged"]
    assert facts["estimated_error"] > 1e-5


def test_channels_are_walked_on_together(viewer, dock, press, disc, painted):
    two = np.stack([disc, disc[::-1]])
    viewer.add_image(two, name="two")
    strokes = viewer.add_labels(painted, name="strokes")
    widget = dock("Random walker")
    widget.target_rows.choose(letters="cyx")
    widget.boxes["markers"].choose(strokes)
    press(widget)
    np.testing.assert_array_equal(widget.results.last.data, nc.random_walker(two, painted, channel_axis=0))


def test_automatic_beta_of_channels_is_said_of_each(viewer, dock, press, disc, painted):
    two = np.stack([disc, disc[::-1] ** 2])
    viewer.add_image(two, name="two")
    strokes = viewer.add_labels(painted, name="strokes")
    widget = dock("Random walker")
    widget.target_rows.choose(letters="cyx")
    widget.boxes["markers"].choose(strokes)
    widget.set(beta="auto")
    press(widget)
    result = widget.results.last
    np.testing.assert_array_equal(result.data, nc.random_walker(two, painted, beta="auto", channel_axis=0))
    one, other = result.metadata["napari_cutout"]["provenance"]["facts"]["beta"]
    assert widget.bar.status.text().startswith(f"beta {one:.3g}, {other:.3g} · 2 labels · ")


def test_a_channel_axis_between_others_is_kept_in_the_labels(viewer, dock, press, updated):
    image = np.random.default_rng(0).random((4, 2, 12, 14)).astype(np.float32)
    image[:, :, :, 7:] += 3
    viewer.add_image(image, name="image")
    widget = dock("Random walker")
    widget.target_rows.choose(letters="zcyx")
    widget.add_layer("markers")
    strokes = widget.boxes["markers"].layer
    assert strokes.data.shape == (4, 1, 12, 14)
    strokes.data[1, 0, 4, 2], strokes.data[1, 0, 4, 12] = 1, 2
    strokes.refresh()
    press(widget)
    expected = nc.random_walker(image, strokes.data[:, 0], channel_axis=1)
    np.testing.assert_array_equal(widget.results.last.data[:, 0], expected)
    result = updated(widget, lambda: strokes.data_setitem(tuple(np.array([[3], [0], [0], [0]])), 3))
    np.testing.assert_array_equal(
        result.data[:, 0], nc.random_walker(image, np.array(strokes.data[:, 0]), channel_axis=1)
    )


def test_each_slice_is_walked_on_by_itself(viewer, dock, press, updated, disc, painted):
    frames = np.stack([disc, disc[:, ::-1]])
    viewer.add_image(frames, name="frames")
    strokes = viewer.add_labels(np.stack([painted, painted[:, ::-1]]), name="strokes")
    widget = dock("Random walker")
    widget.boxes["markers"].choose(strokes)
    widget.target_rows.choose(depth="each")
    press(widget)
    first, box = widget.results.last, widget.extras["updates"].box
    assert not box.isChecked(), "all slices are run anew"
    assert "because each slice or frame is run by itself" in box.toolTip()
    updated(widget, lambda: (box.click(), strokes.data_setitem((np.array([0]), np.array([36]), np.array([50])), 3)))
    result = updated(widget, lambda: strokes.data_setitem((np.array([1]), np.array([36]), np.array([50])), 3))
    assert result is first
    expected = [nc.random_walker(*one) for one in zip(frames, strokes.data, strict=True)]
    np.testing.assert_array_equal(result.data, expected)


def test_what_is_removed_and_where_it_runs_are_as_in_a_run(viewer, walking, press, updated, disc):
    walking.set(min_size=300, beta=130.0)
    strokes = viewer.layers["strokes"]
    strokes.data_setitem((np.array([36]), np.array([50])), 3)
    press(walking)
    result = updated(walking, lambda: strokes.data_setitem((np.array([36, 37]), np.array([49, 49])), 3))
    expected = nc.random_walker(disc, np.array(strokes.data), beta=130, min_size=300)
    np.testing.assert_array_equal(result.data, expected)
    assert 0 in expected


# Following the strokes


def test_the_result_follows_a_stroke_and_its_undo(viewer, walking, press, updated, disc, painted):
    press(walking)
    strokes, result = viewer.layers["strokes"], viewer.layers["disc random walker"]
    held = result.data
    assert updated(walking, lambda: strokes.paint((36.0, 50.0), 3)).name == result.name
    np.testing.assert_array_equal(result.data, nc.random_walker(disc, np.array(strokes.data)))
    assert set(np.unique(result.data)) == {1, 2, 3}
    assert "3 labels" in walking.bar.status.text().split(" · ")
    updated(walking, strokes.undo)
    np.testing.assert_array_equal(strokes.data, painted)
    np.testing.assert_array_equal(result.data, nc.random_walker(disc, painted))
    updated(walking, strokes.redo)
    assert (strokes.data == 3).any()
    np.testing.assert_array_equal(result.data, nc.random_walker(disc, np.array(strokes.data)))
    assert result.data is held, "the layer keeps its array"
    assert len(viewer.layers) == 3


def test_what_is_kept_with_the_result_is_that_of_the_last_stroke(viewer, walking, press, updated):
    from napari_cutout._sources import fingerprint

    press(walking)
    strokes = viewer.layers["strokes"]
    result = updated(walking, lambda: strokes.paint((36.0, 50.0), 3))
    kept = result.metadata["napari_cutout"]["provenance"]
    assert kept["sha256"] == fingerprint(result.data)
    assert kept["sources"]["markers"]["sha256"] == fingerprint(np.array(strokes.data))
    assert kept["facts"]["n_labels"] == 3


def test_only_the_region_that_changed_is_written(viewer, dock, press, updated, monkeypatch):
    monkeypatch.setattr(_walk_session, "LARGE", 1000)
    image = np.zeros((16, 64, 64), np.float32)
    image[:, :, 32:] = 100
    image += np.random.default_rng(0).normal(0, 3, image.shape)
    viewer.add_image(image.astype(np.float32), name="image")
    strokes = np.zeros(image.shape, np.uint8)
    strokes[8, ::8, 4::8] = 1
    strokes[8, ::8, 36::8] = 2
    layer = viewer.add_labels(strokes, name="strokes")
    widget = dock("Random walker")
    widget.boxes["markers"].choose(layer)
    seen = []
    widget.extras["updates"].shown.connect(seen.append)
    press(widget)
    assert [shown.final for shown in seen] == [False, True], "a coarse answer first"
    seen.clear()
    result = updated(widget, lambda: layer.data_setitem((np.array([2]), np.array([60]), np.array([60])), 3))
    assert seen[0].labels.size < image.size / 2
    expected = nc.random_walker(image.astype(np.float32), np.array(layer.data))
    assert np.mean(result.data != expected) < 1e-3
    result.paint((8, 30, 30), 2)
    press(widget)  # a layer of its own, of which nothing is missing though the image is known
    assert len(viewer.layers) == 4
    assert np.mean(widget.results.last.data != expected) < 1e-3


def test_nothing_runs_while_a_stroke_is_being_painted(viewer, walking, press, updated, qtbot):
    press(walking)
    strokes, row = viewer.layers["strokes"], walking.extras["updates"]
    with qtbot.waitSignal(walking.ran):
        with strokes.block_history():  # as between the press of the mouse and its release
            strokes.paint((36.0, 50.0), 3)
            strokes.refresh()
            with qtbot.waitSignal(row._settled.timeout):
                pass
            assert not walking.bar.running
            strokes.paint((36.0, 54.0), 3)
        assert not walking.bar.running


def test_moving_through_a_volume_runs_nothing(viewer, dock, press, qtbot, volume):
    viewer.add_image(volume, name="volume")
    strokes = np.zeros(volume.shape, np.uint8)
    strokes[2, 5, 5:8], strokes[5, 0] = 1, 2
    layer = viewer.add_labels(strokes, name="strokes")
    widget = dock("Random walker")
    widget.boxes["markers"].choose(layer)
    press(widget)
    row = widget.extras["updates"]
    with qtbot.waitSignal(row._settled.timeout):
        viewer.dims.set_current_step(0, 4)
    assert not widget.bar.running


def test_points_are_followed_too(viewer, walking, press, updated, disc):
    points = viewer.add_points([(20, 30), (3, 5)], name="points")
    walking.boxes["markers"].choose(points)
    press(walking)
    result = updated(walking, lambda: points.add([(36, 50)]))
    marked = np.zeros(disc.shape, np.uint8)
    marked[20, 30], marked[3, 5], marked[36, 50] = 1, 2, 3
    np.testing.assert_array_equal(result.data, nc.random_walker(disc, marked))


def test_it_can_be_switched_off_and_that_is_remembered(viewer, walking, press, updated, dock, qtbot, disc):
    from napari_cutout.widgets._preferences import preferences, remember

    press(walking)
    row, strokes = walking.extras["updates"], viewer.layers["strokes"]
    assert row.box.isChecked()
    assert row.live.n_bytes > 0
    try:
        row.box.click()
        assert not preferences().update_after_stroke
        assert row.live.n_bytes == 0, "the memory is free"
        strokes.paint((36.0, 50.0), 3)
        assert not row._settled.isActive()
        updated(walking, row.box.click)
        np.testing.assert_array_equal(walking.results.last.data, nc.random_walker(disc, np.array(strokes.data)))
    finally:
        remember(update_after_stroke=True)


def test_other_settings_are_used_from_the_next_stroke_on(viewer, walking, press, updated, disc):
    press(walking)
    walking.set(beta=5.0)
    assert not walking.extras["updates"].live.ready, "another image is walked on"
    strokes = viewer.layers["strokes"]
    result = updated(walking, lambda: strokes.paint((36.0, 50.0), 3))
    np.testing.assert_array_equal(result.data, nc.random_walker(disc, np.array(strokes.data), beta=5.0))


def test_another_image_is_noticed(viewer, walking, press, updated, disc):
    press(walking)
    viewer.layers["disc"].data = disc[::-1].copy()
    assert not walking.extras["updates"].live.ready
    strokes = viewer.layers["strokes"]
    result = updated(walking, lambda: strokes.paint((36.0, 50.0), 3))
    np.testing.assert_array_equal(result.data, nc.random_walker(disc[::-1].copy(), np.array(strokes.data)))


def test_a_mask_that_is_painted_on_is_noticed(viewer, walking, press, updated, disc):
    mask = np.ones(disc.shape, np.uint8)
    inside = viewer.add_labels(mask, name="inside")
    walking.boxes["mask"].choose(inside)
    press(walking)
    inside.data_setitem(tuple(np.indices((40, 10)).reshape(2, -1)), 0)
    strokes = viewer.layers["strokes"]
    result = updated(walking, lambda: strokes.paint((36.0, 50.0), 3))
    expected = nc.random_walker(disc, np.array(strokes.data), np.array(inside.data))
    np.testing.assert_array_equal(result.data, expected)
    assert not expected[:, :10].any()


def test_a_slice_without_a_result_waits_for_run(viewer, dock, press, updated, qtbot, disc, painted):
    frames = np.stack([disc, disc[:, ::-1]])
    viewer.add_image(frames, name="frames")
    strokes = viewer.add_labels(np.zeros(frames.shape, np.int8), name="strokes")
    strokes.data[0], strokes.data[1] = painted, -1  # -1 is outside, and no stroke
    widget = dock("Random walker")
    widget.boxes["markers"].choose(strokes)
    viewer.dims.set_current_step(0, 0)
    widget.target_rows.choose(depth="this")
    press(widget)
    row = widget.extras["updates"]
    result = updated(widget, lambda: strokes.data_setitem((np.array([0]), np.array([36]), np.array([50])), 3))
    np.testing.assert_array_equal(result.data, [nc.random_walker(disc, strokes.data[0])])
    with qtbot.waitSignal(row._settled.timeout):
        strokes.data_setitem((np.full(2400, 0), *np.indices((40, 60)).reshape(2, -1)), 0)
    assert widget.bar.status.text() == "no stroke is left at z=0; the result stays as it was"
    viewer.dims.set_current_step(0, 1)
    with qtbot.waitSignal(row._settled.timeout):
        strokes.data_setitem((np.array([1]), np.array([36]), np.array([50])), 3)
    assert widget.bar.status.text() == "there is no result for this slice yet; press Run"
    assert not widget.bar.running
    press(widget)
    assert widget.results.last is not result


def test_strokes_that_are_not_in_memory_are_not_computed_to_look_for_one(viewer, dock, press, disc, painted):
    import dask.array as da

    computed = []

    def seen(block):
        computed.append(threading.current_thread())
        return block

    viewer.add_image(disc, name="disc")
    strokes = viewer.add_labels(da.from_array(painted).map_blocks(seen, dtype=np.uint8), name="strokes")
    widget = dock("Random walker")
    widget.boxes["markers"].choose(strokes)
    press(widget)
    _, request = widget.ask()
    computed.clear()
    assert _live_row._without_strokes(request) is None
    assert not computed


# What is never overwritten


def test_a_result_that_was_edited_is_kept(viewer, walking, press, qtbot, disc):
    press(walking)
    result, strokes = walking.results.last, viewer.layers["strokes"]
    result.paint((30.0, 5.0), 2)
    edited = result.data.copy()
    with qtbot.waitSignal(walking.extras["updates"]._settled.timeout):
        strokes.paint((36.0, 50.0), 3)
    assert "edited or is gone, so it is not updated; press Run for a new layer" in walking.bar.status.text()
    np.testing.assert_array_equal(result.data, edited)
    assert len(viewer.layers) == 3
    press(walking)
    np.testing.assert_array_equal(result.data, edited)
    again = walking.results.last
    assert again is not result
    np.testing.assert_array_equal(again.data, nc.random_walker(disc, np.array(strokes.data)))


def test_an_edit_that_nobody_tells_of_is_kept(viewer, walking, press, qtbot, updated):
    press(walking)
    result, strokes = walking.results.last, viewer.layers["strokes"]
    updated(walking, lambda: strokes.paint((36.0, 50.0), 3))
    result.data[0, 0] = 7  # as from the console
    edited = result.data.copy()
    with qtbot.waitSignal(walking.bar.failed) as failed:
        strokes.paint((10.0, 50.0), 3)
    assert "was edited, so it is not updated" in failed.args[0]
    np.testing.assert_array_equal(result.data, edited)


def test_an_edit_while_it_sharpens_is_kept(viewer, walking, press, qtbot, held):
    held.opened.set()
    press(walking)
    held.opened.clear()
    held.reached.clear()
    result, strokes = walking.results.last, viewer.layers["strokes"]
    row = walking.extras["updates"]
    with qtbot.waitSignal(row.shown):
        strokes.paint((36.0, 50.0), 3)
    result.paint((30.0, 5.0), 2)
    edited = result.data.copy()
    with qtbot.waitSignal(walking.bar.ended):
        held.opened.set()
    np.testing.assert_array_equal(result.data, edited)
    assert "edited meanwhile" in walking.bar.status.text()
    assert len(viewer.layers) == 3


def test_a_layer_that_is_removed_is_not_made_again_by_a_stroke(viewer, walking, press, qtbot):
    press(walking)
    viewer.layers.remove(walking.results.last)
    with qtbot.waitSignal(walking.extras["updates"]._settled.timeout):
        viewer.layers["strokes"].paint((36.0, 50.0), 3)
    assert not walking.bar.running
    assert [layer.name for layer in viewer.layers] == ["disc", "strokes"]


def test_a_result_can_be_had_back(viewer, walking, press, disc, painted, updated):
    walking.set(beta=130.0)
    press(walking)
    before = walking.results.last.data.copy()
    walking.set(beta=3.0)
    press(walking)
    assert not np.array_equal(walking.results.last.data, before)
    walking.result_bar.undo()
    np.testing.assert_array_equal(walking.results.last.data, before)
    strokes = viewer.layers["strokes"]
    result = updated(walking, lambda: strokes.paint((36.0, 50.0), 3))
    np.testing.assert_array_equal(result.data, nc.random_walker(disc, np.array(strokes.data), beta=3.0))
    assert len(viewer.layers) == 3


# While it runs


def start(widget, qtbot):
    """Press Run and wait for the first answer."""
    with qtbot.waitSignal(widget.extras["updates"].shown) as told:
        widget.bar.button.click()
    return told.args[0]


def test_a_first_answer_is_shown_and_sharpened(viewer, walking, qtbot, held, disc, painted):
    shown = start(walking, qtbot)
    assert not shown.final
    assert walking.bar.status.text() == "coarse, sharpening…"
    layer = viewer.layers["disc random walker"]
    with qtbot.waitSignal(walking.ran):
        held.opened.set()
    assert len(viewer.layers) == 3
    np.testing.assert_array_equal(layer.data, nc.random_walker(disc, painted))
    assert "2 labels" in walking.bar.status.text().split(" · ")


def test_a_run_that_is_cancelled_leaves_no_layer(viewer, walking, qtbot, held):
    before = state_of(viewer)
    start(walking, qtbot)
    assert len(viewer.layers) == 3
    with qtbot.waitSignal(walking.bar.ended):
        walking.bar.button.click()
    assert walking.bar.status.text().startswith("cancelled")
    assert_same(before, state_of(viewer))
    assert not walking.extras["updates"].box.isVisibleTo(walking)


def test_an_update_that_is_cancelled_leaves_the_result(viewer, walking, press, qtbot, held, updated, disc):
    held.opened.set()
    press(walking)
    held.opened.clear()
    strokes, row = viewer.layers["strokes"], walking.extras["updates"]
    before = walking.results.last.data.copy()
    with qtbot.waitSignal(row.shown):
        strokes.paint((36.0, 50.0), 3)
    assert (walking.results.last.data == 3).any(), "it is shown already"
    with qtbot.waitSignal(walking.bar.ended):
        walking.bar.button.click()
    np.testing.assert_array_equal(walking.results.last.data, before)
    held.opened.set()
    result = updated(walking, lambda: strokes.paint((10.0, 50.0), 3))
    np.testing.assert_array_equal(result.data, nc.random_walker(disc, np.array(strokes.data)))


def test_the_newest_strokes_win(viewer, walking, press, qtbot, held, disc):
    held.opened.set()
    press(walking)
    held.opened.clear()
    strokes, row = viewer.layers["strokes"], walking.extras["updates"]
    said = []
    for at in ((36.0, 50.0), (10.0, 50.0)):
        with qtbot.waitSignal(row.shown):
            strokes.paint(at, 3)
        said.append(walking.bar.status.text())
    with qtbot.waitSignal(walking.ran):
        held.opened.set()
    np.testing.assert_array_equal(walking.results.last.data, nc.random_walker(disc, np.array(strokes.data)))
    assert not any("cancelled" in words for words in said)
    assert len(viewer.layers) == 3


def test_a_stroke_during_the_first_run_wins_as_well(viewer, walking, qtbot, held, disc):
    start(walking, qtbot)
    strokes, row = viewer.layers["strokes"], walking.extras["updates"]
    with qtbot.waitSignal(row.shown):
        strokes.paint((36.0, 50.0), 3)
    with qtbot.waitSignal(walking.ran):
        held.opened.set()
    np.testing.assert_array_equal(walking.results.last.data, nc.random_walker(disc, np.array(strokes.data)))
    assert len(viewer.layers) == 3


def test_cancel_forgets_strokes_that_wait(viewer, walking, press, qtbot, held, monkeypatch):
    held.opened.set()
    press(walking)
    held.opened.clear()
    strokes, row = viewer.layers["strokes"], walking.extras["updates"]
    before = walking.results.last.data.copy()
    with qtbot.waitSignal(row.shown):
        strokes.paint((36.0, 50.0), 3)
    strokes.paint((10.0, 50.0), 3)
    row._update()  # as when nothing more was heard of it
    assert row._pending
    with qtbot.waitSignal(walking.bar.ended):
        walking.bar.button.click()
    assert not walking.bar.running
    assert walking.bar.status.text().startswith("cancelled")
    np.testing.assert_array_equal(walking.results.last.data, before)
    assert not row._settled.isActive()


def test_one_copy_is_kept_however_many_strokes_supersede_others(viewer, walking, press, qtbot, held):
    held.opened.set()
    press(walking)
    held.opened.clear()
    strokes, row = viewer.layers["strokes"], walking.extras["updates"]
    before = walking.results.last.data.copy()
    for x in (50.0, 52.0, 54.0, 56.0):
        with qtbot.waitSignal(row.shown):
            strokes.paint((36.0, x), 3)
    assert sum(kept.labels.size for kept in row._before.values()) <= before.size
    with qtbot.waitSignal(walking.bar.ended):
        walking.bar.button.click()
    np.testing.assert_array_equal(walking.results.last.data, before)


def test_what_is_kept_of_two_regions_is_what_was_there_before_both():
    data = np.arange(12, dtype=np.int32).reshape(3, 4)
    kept = _live_row._Copy.of(data, (slice(1, 2), slice(0, 2)))
    data[1, 0:2] = -1
    kept = kept.with_more(data, (slice(0, 2), slice(1, 3)))
    data[0:2, 1:3] = -2
    assert kept.with_more(data, (slice(1, 2), slice(2, 3))) is kept
    kept.put_back(data)
    np.testing.assert_array_equal(data, np.arange(12).reshape(3, 4))


def test_strokes_that_go_on_while_it_runs_are_no_part_of_it(viewer, walking, disc, painted):
    from napari_cutout._sources import fingerprint

    form, request = walking.ask()
    alive = painted.copy()
    request = replace(request, inputs={**request.inputs, "markers": alive})
    work = walking.extras["updates"].work(form, request, update=False)

    def paint_on(shown):
        alive[30:, 50:] = 3

    finished = replace(work, tell=paint_on)(lambda *_: None, lambda: False)
    np.testing.assert_array_equal(finished.outcome.labels, nc.random_walker(disc, painted))
    kept = finished.outcome.options["metadata"]["napari_cutout"]["provenance"]
    assert kept["sources"]["markers"]["sha256"] == fingerprint(painted)


@pytest.mark.parametrize("gone", ["strokes", "disc"])
def test_a_layer_may_be_removed_while_it_runs(viewer, walking, qtbot, held, disc, painted, gone):
    start(walking, qtbot)
    viewer.layers.remove(gone)
    with qtbot.waitSignal(walking.bar.ended):
        held.opened.set()
    np.testing.assert_array_equal(viewer.layers["disc random walker"].data, nc.random_walker(disc, painted))


def test_closing_the_widget_stops_it_and_frees_the_memory(viewer, walking, qtbot, held):
    start(walking, qtbot)
    row = walking.extras["updates"]
    live = row.live
    viewer.window.remove_dock_widget(walking)
    assert row.live is not live
    assert row._strokes is None
    viewer.layers["strokes"].paint((36.0, 50.0), 3)
    assert not row._settled.isActive()


def test_without_a_stroke_the_result_stays(viewer, walking, press, qtbot):
    press(walking)
    before = walking.results.last.data.copy()
    with qtbot.waitSignal(walking.extras["updates"]._settled.timeout):
        viewer.layers["strokes"].data = np.zeros(before.shape, np.uint8)
    assert walking.bar.status.text() == "no stroke is left; the result stays as it was"
    np.testing.assert_array_equal(walking.results.last.data, before)


def test_where_memory_is_short_it_is_run_anew_if_that_is_wanted(
    viewer, walking, press, updated, disc, monkeypatch, qtbot
):
    from napari_cutout.widgets._preferences import preferences

    row, strokes = walking.extras["updates"], viewer.layers["strokes"]
    monkeypatch.setattr(_live, "whole_bytes", lambda n: 2.0**62)
    press(walking)
    assert not row.box.isChecked()
    assert "because to keep the image ready takes " in row.box.toolTip()
    seconds = walking.results.last.metadata["napari_cutout"]["provenance"]["seconds"]
    assert f"a run of its own, which took {seconds:.2g} s" in row.box.toolTip()
    strokes.paint((36.0, 50.0), 3)
    assert not row._settled.isActive()
    result = updated(walking, row.box.click)
    np.testing.assert_array_equal(result.data, nc.random_walker(disc, np.array(strokes.data)))
    assert len(viewer.layers) == 3
    assert preferences().update_after_stroke, "this is no wish for other images"
    row.box.click()
    qtbot.waitUntil(lambda: not walking.bar.running)
    monkeypatch.setattr(_live, "whole_bytes", lambda n: 88.0 * n)
    press(walking)
    assert row._obstacle == ""
    assert row.box.isChecked()
    assert "a run of its own" not in row.box.toolTip()


def test_a_stroke_that_comes_to_be_slow_starts_nothing(viewer, walking, press, qtbot, monkeypatch):
    press(walking)
    before = walking.results.last.data.copy()
    monkeypatch.setattr(_live, "whole_bytes", lambda n: 2.0**62)
    with qtbot.waitSignal(walking.extras["updates"]._settled.timeout):
        viewer.layers["strokes"].paint((36.0, 50.0), 3)
    assert not walking.bar.running
    assert walking.bar.status.text().startswith("not updated, because to keep the image ready takes ")
    np.testing.assert_array_equal(walking.results.last.data, before)


@pytest.mark.parametrize("device", ["auto", "gpu"])
def test_only_what_would_run_on_the_gpu_is_left_to_it(viewer, walking, monkeypatch, device):
    there = _device.GpuStatus(True, name="a GPU", free=2**40, total=2**40)
    monkeypatch.setattr(_device, "gpu_status", lambda: there)
    monkeypatch.setattr(_live, "gpu_known", lambda: True)
    _, request = walking.ask()
    request = replace(request, device=device)
    live = walking.extras["updates"].live
    assert live.obstacle(request, 2**40) == ("it runs on the GPU" if device == "gpu" else "")
    monkeypatch.setattr(_device, "GPU_MIN_VOXELS", 40 * 60)
    assert live.obstacle(request, 2**40) == "it runs on the GPU"
    assert live.obstacle(replace(request, device="cpu"), 2**40) == ""


def test_an_image_that_is_not_in_memory_is_not_run_after_each_stroke(viewer, dock, press, disc, painted):
    import dask.array as da

    viewer.add_image(da.from_array(disc, chunks=(20, 30)), name="disc")
    strokes = viewer.add_labels(painted, name="strokes")
    widget = dock("Random walker")
    widget.boxes["markers"].choose(strokes)
    press(widget)
    box = widget.extras["updates"].box
    assert not box.isChecked()
    assert "because the image, the strokes or the mask are not in memory" in box.toolTip()


def test_memory_to_keep_the_image_is_counted(viewer, walking, disc):
    _, request = walking.ask()
    per_voxel = 88 + 12 + 16 + 2 * 13 + 1  # walker; labels found, shown and in the layer; copies; 2 labels; strokes
    live = walking.extras["updates"].live
    assert live.obstacle(request, per_voxel * disc.size) == ""
    assert live.obstacle(request, per_voxel * disc.size - 1).startswith("to keep the image ready takes ")


def test_an_image_that_is_too_large_for_one_walk_is_run_in_tiles(walking, disc, monkeypatch):
    monkeypatch.setattr(_live, "MAX_VOXELS", disc.size - 1)
    assert walking.extras["updates"].live.obstacle(walking.ask()[1], 2**40).endswith("are run in tiles")


@pytest.mark.parametrize("n_labels", [2, 10])
def test_memory_at_the_peak_is_what_is_counted(monkeypatch, n_labels):
    monkeypatch.setattr(_walk_session, "LARGE", 1000)
    monkeypatch.setattr(_walk_session, "COARSE_VOXELS", 2**15)  # an eighth
    rng, shape = np.random.default_rng(0), (40, 80, 80)
    image = ndimage.gaussian_filter(rng.standard_normal(shape), 3) * 3 + rng.normal(0, 0.15, shape)
    markers = np.where(rng.random(shape) < 0.001, rng.integers(1, n_labels + 1, shape), 0).astype(np.int32)
    held = {p.name: p.default for p in catalog.find("random_walker").settings}
    list(random_walker.session_on(image, None, held).updates(markers))
    gc.collect()
    tracemalloc.start()
    try:
        session = random_walker.session_on(image, None, held)
        list(session.updates(markers))
        markers[20, 40, 40:50] = 1
        list(session.updates(markers))
        taken = tracemalloc.get_traced_memory()[1] / image.size
    finally:
        tracemalloc.stop()
    planned = 88 + _live.OF_A_STROKE + _live.AT_PEAK * n_labels
    assert 1 <= planned / taken <= 1.5


# Probabilities


def add(row, qtbot):
    with qtbot.waitSignal(row.bars["probabilities"].ended):
        row.bars["probabilities"].button.click()


def test_probabilities_of_each_label_have_its_colour(viewer, walking, press, qtbot, disc):
    strokes = viewer.layers["strokes"]
    strokes.data[36, 50] = 7
    strokes.refresh()
    press(walking)
    row = walking.extras["probabilities"]
    assert list(row.bars) == ["probabilities"]
    assert [row.label_box.itemText(at) for at in range(row.label_box.count())] == [
        "of label 1",
        "of label 2",
        "of label 7",
        "of each label",
    ]
    row.label_box.setCurrentIndex(3)
    add(row, qtbot)
    expected = nc.random_walker_probabilities(disc, np.array(strokes.data))
    for label, values in zip((1, 2, 7), expected, strict=True):
        layer = viewer.layers[f"disc random walker probability of {label}"]
        np.testing.assert_array_equal(layer.data, values)
        assert tuple(layer.contrast_limits) == (0, 1)
        assert layer.opacity == 0.7
        assert layer.blending == ("translucent" if label == 1 else "additive"), "several must not add up to white"
        np.testing.assert_allclose(layer.colormap.colors[-1][:3], walking.results.last.get_color(label)[:3])
        np.testing.assert_array_equal(layer.scale, walking.results.last.scale)
        assert layer.metadata["napari_cutout"]["shows"] == "probabilities"


def test_one_label_can_be_chosen(viewer, walking, press, qtbot, disc, painted, updated):
    press(walking)
    row = walking.extras["probabilities"]
    assert row.label_box.currentText() == "of label 1", "one alone, so that doubt can be seen"
    row.label_box.setCurrentIndex(1)
    updated(walking, lambda: viewer.layers["strokes"].paint((36.0, 50.0), 3))
    assert row.label_box.currentText() == "of label 2", "it stays chosen"
    add(row, qtbot)
    expected = nc.random_walker_probabilities(disc, np.array(viewer.layers["strokes"].data))
    np.testing.assert_array_equal(viewer.layers[-1].data, expected[1])
    assert viewer.layers[-1].name == "disc random walker probability of 2"
    assert (viewer.layers[-1].blending, viewer.layers[-1].opacity) == ("additive", 1)
    assert len(viewer.layers) == 4


OLDER = " (older than the labels)"


def test_probabilities_follow_the_strokes(viewer, walking, press, qtbot, disc, updated):
    press(walking)
    row, strokes = walking.extras["probabilities"], viewer.layers["strokes"]
    row.label_box.setCurrentIndex(2)
    add(row, qtbot)
    layers = [viewer.layers[f"disc random walker probability of {label}"] for label in (1, 2)]
    held = [layer.data for layer in layers]
    shown = []
    layers[0].events.set_data.connect(shown.append)
    updated(walking, lambda: strokes.paint((36.0, 50.0), 3))
    assert shown, "napari draws it again"
    expected = nc.random_walker_probabilities(disc, np.array(strokes.data))
    for layer, data, values in zip(layers, held, expected, strict=False):
        assert layer.data is data
        np.testing.assert_allclose(data, values, atol=3e-3)
        assert layer.metadata["napari_cutout"]["provenance"]["facts"]["n_labels"] == 3
        assert "sha256" not in layer.metadata["napari_cutout"]["provenance"]
    assert expected[0].min() < 0.01 < expected[2].max(), "the stroke has changed something"
    updated(walking, lambda: setattr(strokes, "data", np.where(strokes.data == 2, 0, strokes.data)))
    assert (layers[1].data == 0).all(), "nobody meets a label that is gone"
    assert len(viewer.layers) == 5


def test_where_no_stroke_leads_there_is_no_probability(viewer, walking, press, qtbot, disc, updated):
    mask = np.ones(disc.shape, np.uint8)
    mask[:, 55] = 0  # what lies beyond has no stroke
    walking.boxes["mask"].choose(viewer.add_labels(mask, name="in"))
    press(walking)
    add(walking.extras["probabilities"], qtbot)
    layer = viewer.layers["disc random walker probability of 1"]
    strokes = viewer.layers["strokes"]
    updated(walking, lambda: strokes.paint((36.0, 50.0), 3))
    np.testing.assert_array_equal(np.isnan(layer.data), np.arange(60) >= 55 + np.zeros((40, 1)))


@pytest.mark.parametrize("how", ["memory", "restored"])
def test_probabilities_that_cannot_follow_say_so(viewer, walking, press, qtbot, monkeypatch, how):
    strokes = viewer.layers["strokes"]
    press(walking)
    if how == "restored":
        strokes.paint((36.0, 50.0), 3)
        press(walking)
    else:
        monkeypatch.setattr(_live, "SESSIONS", {})
    add(walking.extras["probabilities"], qtbot)
    layer = viewer.layers["disc random walker probability of 1"]
    before, opacity = layer.data.copy(), layer.opacity
    for _ in range(2):
        if how == "restored":
            walking.result_bar.undo()
        else:
            press(walking)
    assert layer.name == f"disc random walker probability of 1{OLDER}", "said once"
    assert layer.opacity == pytest.approx(0.4 * opacity)
    np.testing.assert_array_equal(layer.data, before)
    add(walking.extras["probabilities"], qtbot)
    assert viewer.layers[-1].name == "disc random walker probability of 1"


def test_a_probability_that_was_renamed_stays(viewer, walking, press, qtbot, updated):
    press(walking)
    add(walking.extras["probabilities"], qtbot)
    layer = viewer.layers["disc random walker probability of 1"]
    layer.name, before = "kept", layer.data.copy()
    updated(walking, lambda: viewer.layers["strokes"].paint((36.0, 50.0), 3))
    np.testing.assert_array_equal(layer.data, before)
    assert layer.name == "kept"


def test_a_stroke_while_probabilities_are_computed_is_in_them(
    viewer, walking, press, qtbot, disc, updated, monkeypatch
):
    press(walking)
    reached, opened = threading.Event(), threading.Event()

    def held(*args, **settings):
        reached.set()
        assert opened.wait(PATIENCE)
        return nc.random_walker_probabilities(*args, **settings)

    monkeypatch.setattr(catalog, "images_of", lambda name: {"probabilities": held})
    row, strokes = walking.extras["probabilities"], viewer.layers["strokes"]
    row.bars["probabilities"].button.click()
    assert reached.wait(PATIENCE)
    updated(walking, lambda: strokes.paint((36.0, 50.0), 3))
    with qtbot.waitSignal(row.bars["probabilities"].ended):
        opened.set()
    expected = nc.random_walker_probabilities(disc, np.array(strokes.data))
    np.testing.assert_allclose(viewer.layers[-1].data, expected[0], atol=3e-3)


def test_slices_may_have_other_labels(viewer, dock, press, qtbot, disc, painted):
    frames, strokes = np.stack([disc, disc]), np.stack([painted, np.where(painted == 2, 5, painted)])
    viewer.add_image(frames, name="frames")
    layer = viewer.add_labels(strokes, name="strokes")
    widget = dock("Random walker")
    widget.boxes["markers"].choose(layer)
    widget.target_rows.choose(depth="each")
    press(widget)
    row = widget.extras["probabilities"]
    row.label_box.setCurrentIndex(row.label_box.count() - 1)
    add(row, qtbot)
    expected = nc.random_walker_probabilities(disc, painted)
    of = {label: viewer.layers[f"frames random walker probability of {label}"].data for label in (1, 2, 5)}
    np.testing.assert_array_equal(of[1], [expected[0], expected[0]])
    np.testing.assert_array_equal(of[2], [expected[1], np.zeros_like(disc)])
    np.testing.assert_array_equal(of[5], [np.zeros_like(disc), expected[1]])


# How it is made again


@pytest.fixture
def copied(qtbot):
    def copy(widget, form):
        with qtbot.waitSignal(widget.result_bar.copied) as told:
            widget.result_bar.copy(form)
        return told.args[0]

    return copy


@pytest.mark.parametrize("follows", [False, True], ids=["run", "stroke"])
def test_the_copied_code_and_the_recipe_give_the_same_labels(
    viewer, dock, press, updated, copied, disc, painted, tmp_path, monkeypatch, follows
):
    monkeypatch.chdir(tmp_path)
    nc.write("disc.ome.tif", nc.Volume(disc, "yx", (0.5, 0.25), "micrometer"), kind="image")
    viewer.open("disc.ome.tif", plugin="napari-cutout")
    widget = dock("Random walker")
    widget.add_layer("markers")
    strokes = widget.boxes["markers"].layer
    strokes.data = painted
    widget.set(beta="auto", sigma=0.5)
    press(widget)
    if follows:
        updated(widget, lambda: strokes.data_setitem((np.array([36]), np.array([50])), 3))
    expected = widget.results.last.data.copy()
    marked = np.array(strokes.data)
    np.testing.assert_array_equal(expected, nc.random_walker(disc, marked, beta="auto", sigma=0.5, spacing=(0.5, 0.25)))
    names = {"viewer": viewer}
    exec(compile(copied(widget, "python"), "copied.py", "exec"), names)
    np.testing.assert_array_equal(names["labels"], expected)
    command = copied(widget, "command")
    nc.write("markers.tif", nc.Volume(marked, "yx"))
    assert main([*command.splitlines()[-1].split()[1:], "--overwrite"]) == 0
    np.testing.assert_array_equal(nc.read("labels.tif").data, expected)
    widget.result_bar.save("recipe.json")
    assert main(["run", "recipe.json", "disc.ome.tif", "again.tif"]) == 0
    np.testing.assert_array_equal(nc.read("again.tif").data, expected)
    assert "random walk" in copied(widget, "methods").lower()


def test_the_command_line_writes_probabilities_of_labels(tmp_path, monkeypatch, disc, painted, capsys):
    monkeypatch.chdir(tmp_path)
    nc.write("disc.tif", nc.Volume(disc, "yx"), kind="image")
    nc.write("strokes.tif", nc.Volume(painted, "yx"))
    assert main(["random-walker", "disc.tif", "o.tif", "--markers", "strokes.tif", "--probabilities", "p.npy"]) == 0
    np.testing.assert_array_equal(np.load("p.npy"), nc.random_walker_probabilities(disc, painted))
    capsys.readouterr()
    main(["random-walker", "--help"])
    said = capsys.readouterr().out
    assert "--probabilities" in said
    assert "--uncertainty" not in said


# Previews


def test_a_slice_of_a_large_volume_is_walked_on_by_itself_and_says_so(viewer, dock, qtbot, monkeypatch):
    from napari_cutout.widgets import _preview_job

    monkeypatch.setattr(_preview_job, "FLOODED_VOXELS", 1000)
    volume = ndimage.gaussian_filter(np.random.default_rng(1).random((6, 30, 32)), 1.5).astype(np.float32)
    viewer.add_image(volume, name="volume")
    strokes = np.zeros(volume.shape, np.uint8)
    strokes[2, 4:9, 5], strokes[2, 20, 20:25] = 1, 2
    layer = viewer.add_labels(strokes, name="strokes")
    widget = dock("Random walker")
    widget.boxes["markers"].choose(layer)
    widget.set(beta=130.0)
    viewer.dims.set_current_step(0, 2)
    widget.preview_box.setChecked(True)
    qtbot.waitUntil(lambda: "approximate" in widget.bar.status.text())
    np.testing.assert_array_equal(viewer.layers["preview"].data[0], nc.random_walker(volume[2], strokes[2], beta=130))
    assert widget.bar.status.text() == "preview · 2 labels in this slice · approximate: this slice by itself"
    viewer.dims.set_current_step(0, 4)
    qtbot.waitUntil(lambda: "no markers in this slice" in widget.bar.status.text())
