"""The temporary layer: computed in a thread of its own, where the result will lie, and never in the way."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from napari_cutout.recipe import Recipe, Step
from napari_cutout.widgets._known_statistics import StatisticsCache
from napari_cutout.widgets._layers import is_preview, placement
from napari_cutout.widgets._preview import Preview
from napari_cutout.widgets._preview_job import PreviewJob
from napari_cutout.widgets._view import view_of

from ..patience import PATIENCE

pytestmark = pytest.mark.qt


@pytest.fixture
def preview(viewer, qtbot):
    preview = Preview(viewer, delay=0, statistics=StatisticsCache())
    yield preview
    preview.let_go()
    qtbot.waitUntil(lambda: all(slot.worker is None for slot in preview._slots.values()))


@pytest.fixture
def asking(viewer, preview):
    """Ask as a widget does, of a form that holds one number."""

    class Form:
        def __init__(self):
            self.value = 100.0
            self.method = "threshold_at"
            self.n_asked = 0

        def ask(self):
            if "image" not in viewer.layers:
                return
            layer = viewer.layers["image"]
            settings = {"value": self.value} if self.method == "threshold_at" else {}
            self.n_asked += 1
            job = PreviewJob(Recipe([Step(self.method, settings)]), {"image": layer.data}, view_of(viewer, layer))
            preview.ask(job, {"image": layer}, placement(layer))

    form = Form()
    preview.view_changed.connect(form.ask)
    return form


def test_a_preview_is_shown_on_its_image_and_nothing_else_changes(viewer, qtbot, preview, asking, volume):
    image = viewer.add_image(volume, name="image", scale=(2, 0.5, 0.5), translate=(1, 2, 3), units="um")
    other = viewer.add_points(np.zeros((1, 3)), name="points", units="um")
    viewer.layers.selection.active = image
    camera = viewer.scene.camera
    zoom, centre, step = camera.zoom, camera.center, viewer.dims.current_step
    with qtbot.waitSignal(preview.answered):
        preview.set_on(True)
    layer = viewer.layers["preview"]
    assert [x.name for x in viewer.layers] == ["image", "preview", "points"]
    assert is_preview(layer)
    assert not is_preview(other)
    assert not layer.editable
    assert viewer.layers.selection.active == image
    assert list(viewer.layers.selection) == [image]
    assert (camera.zoom, camera.center, viewer.dims.current_step) == (zoom, centre, step)
    z = round(image.world_to_data(viewer.dims.point)[0])
    np.testing.assert_array_equal(layer.data, (volume[z : z + 1] > 100).astype(np.uint8))
    np.testing.assert_allclose(layer.data_to_world((0, 0, 0)), image.data_to_world((z, 0, 0)))
    assert layer.units == image.units


def shown(viewer):
    """Return the pixels of the preview, without the axes that are not displayed."""
    return np.squeeze(np.asarray(viewer.layers["preview"].data))


def test_it_follows_the_slider_in_place_and_leaves_the_event_loop(viewer, qtbot, preview, asking, blobs, monkeypatch):
    viewer.add_image(blobs, name="image")
    threads = []
    real = PreviewJob.run

    def seen(*args):
        threads.append(threading.current_thread())
        return real(*args)

    monkeypatch.setattr(PreviewJob, "run", seen)
    with qtbot.waitSignal(preview.answered):
        preview.set_on(True)
    layer, data = preview.layer, preview.layer.data
    inserted = []
    viewer.layers.events.inserted.connect(inserted.append)
    asking.value = 190.0
    with qtbot.waitSignal(preview.answered):
        asking.ask()
    np.testing.assert_array_equal(shown(viewer), blobs > 190)
    assert preview.layer is layer
    assert preview.layer.data is data
    assert not inserted
    assert len(threads) == 2
    assert threading.main_thread() not in threads


def test_it_follows_the_slice_and_lies_there(viewer, qtbot, preview, asking, volume):
    viewer.add_image(volume, name="image", scale=(3, 1, 1))
    with qtbot.waitSignal(preview.answered):
        preview.set_on(True)
    with qtbot.waitSignal(preview.answered, check_params_cb=lambda answer: answer.start[0] == 1):
        viewer.dims.set_current_step(0, 1)
    np.testing.assert_array_equal(shown(viewer), volume[1] > 100)
    assert viewer.layers["preview"].data_to_world((0, 0, 0))[0] == 3
    assert viewer.dims.nsteps[0] == 6
    with qtbot.waitSignal(preview.answered, check_params_cb=lambda answer: answer.labels.shape == (6, 1, 24)):
        viewer.dims.order = (1, 0, 2)
    y = viewer.dims.current_step[1]
    np.testing.assert_array_equal(shown(viewer), volume[:, y] > 100)


class Held:
    """Holds every preview until it is let go, or cancelled."""

    def __init__(self, monkeypatch):
        self.began, self.let_go, self.cancelled = threading.Semaphore(0), threading.Event(), []
        real = PreviewJob.run

        def run(job, cache, on_progress, is_cancelled):
            self.began.release()
            while not self.let_go.wait(0.002):
                if is_cancelled():
                    self.cancelled.append(job.recipe.steps[0].settings["value"])
                    break
            return real(job, cache, on_progress, is_cancelled)

        monkeypatch.setattr(PreviewJob, "run", run)


def test_the_newest_question_wins_and_what_is_stale_is_cancelled_and_dropped(
    viewer, qtbot, preview, asking, blobs, monkeypatch
):
    viewer.add_image(blobs, name="image")
    held = Held(monkeypatch)
    preview.patience = 0
    answers = []
    preview.answered.connect(answers.append)
    preview.set_on(True)
    assert held.began.acquire(timeout=PATIENCE)
    for asking.value in (120.0, 150.0, 185.0):
        asking.ask()
    held_back = held.began.acquire(timeout=0)
    assert not held_back, "two previews at once"
    with qtbot.waitSignal(preview.answered):
        qtbot.waitUntil(lambda: held.began.acquire(timeout=0))
        held.let_go.set()
    assert held.cancelled == [100.0]
    assert len(answers) == 1
    np.testing.assert_array_equal(shown(viewer), blobs > 185)


def test_a_quick_preview_may_end_so_that_it_follows_a_moving_slider(viewer, qtbot, preview, asking, blobs, monkeypatch):
    viewer.add_image(blobs, name="image")
    held = Held(monkeypatch)
    preview.patience = 1e9
    answers = []
    preview.answered.connect(lambda answer: answers.append(int(answer.labels.sum())))
    preview.set_on(True)
    assert held.began.acquire(timeout=PATIENCE)
    asking.value = 185.0
    asking.ask()
    held.let_go.set()
    qtbot.waitUntil(lambda: len(answers) == 2)
    assert not held.cancelled
    assert answers == [np.sum(blobs > 100), np.sum(blobs > 185)]


@pytest.mark.parametrize("how", ["off", "run", "image removed", "image hidden", "closed"])
def test_it_goes_away(viewer, qtbot, preview, asking, blobs, how):
    image = viewer.add_image(blobs, name="image")
    with qtbot.waitSignal(preview.answered):
        preview.set_on(True)
    {
        "off": lambda: preview.set_on(False),
        "run": preview.clear,
        "image removed": lambda: viewer.layers.remove(image),
        "image hidden": lambda: setattr(image, "visible", False),
        "closed": preview.let_go,
    }[how]()
    assert [layer.name for layer in viewer.layers] == ([] if how == "image removed" else ["image"])
    assert preview.layer is None


def test_what_is_asked_before_it_goes_off_is_not_shown_after(viewer, qtbot, preview, asking, blobs, monkeypatch):
    viewer.add_image(blobs, name="image")
    held = Held(monkeypatch)
    preview.set_on(True)
    assert held.began.acquire(timeout=PATIENCE)
    preview.set_on(False)
    held.let_go.set()
    qtbot.waitUntil(lambda: preview._slots["preview"].worker is None)
    assert [layer.name for layer in viewer.layers] == ["image"]


def test_removing_the_layer_by_hand_switches_it_off(viewer, qtbot, preview, asking, blobs):
    viewer.add_image(blobs, name="image")
    with qtbot.waitSignal(preview.answered):
        preview.set_on(True)
    with qtbot.waitSignal(preview.switched_off):
        viewer.layers.remove("preview")
    assert not preview.is_on


def test_an_image_that_is_shown_again_has_its_preview_again(viewer, qtbot, preview, asking, blobs):
    image = viewer.add_image(blobs, name="image")
    with qtbot.waitSignal(preview.answered):
        preview.set_on(True)
    image.visible = False
    with qtbot.waitSignal(preview.answered):
        image.visible = True
    assert "preview" in viewer.layers


@pytest.mark.parametrize("edit", ["replaced", "edited in place"])
def test_it_follows_the_data(viewer, qtbot, preview, asking, blobs, edit):
    image = viewer.add_image(blobs, name="image")
    with qtbot.waitSignal(preview.answered):
        preview.set_on(True)
    with qtbot.waitSignal(preview.answered):
        if edit == "replaced":
            image.data = 255 - blobs
        else:
            blobs[:] = 255 - blobs
            image.refresh()
    np.testing.assert_array_equal(shown(viewer), blobs > 100 if edit != "replaced" else 255 - blobs > 100)


def test_statistics_of_the_whole_arrive_and_go_when_data_change(viewer, qtbot, preview, asking, volume):
    image = viewer.add_image(volume, name="image")
    asking.method = "threshold"
    answers = []
    preview.answered.connect(answers.append)
    preview.set_on(True)
    qtbot.waitUntil(lambda: len(answers) == 2)
    assert [answer.approximate for answer in answers] == ["statistics of what is in view", ""]
    n_asked = asking.n_asked
    viewer.dims.set_current_step(0, 1)
    qtbot.waitUntil(lambda: len(answers) == 3)
    assert answers[-1].approximate == ""
    assert asking.n_asked > n_asked
    assert answers[-1].facts["threshold"] == answers[-2].facts["threshold"]
    image.data = volume + np.uint16(1000)
    qtbot.waitUntil(lambda: len(answers) == 5)
    assert [answer.approximate for answer in answers[3:]] == ["statistics of what is in view", ""]
    assert answers[-1].facts["threshold"] == answers[2].facts["threshold"] + 1000


def test_a_refusal_takes_the_preview_away_and_is_said(viewer, qtbot, preview, asking, blobs):
    image = viewer.add_image(blobs, name="image")
    with qtbot.waitSignal(preview.answered):
        preview.set_on(True)
    asking.method = "threshold"
    with qtbot.waitSignal(preview.failed) as failed:
        image.data = np.full_like(blobs, 7)
    assert "needs at least 2 grey levels" in failed.args[0]
    assert "preview" not in viewer.layers


@pytest.mark.parametrize("selected", [pytest.param(False, id="all"), pytest.param(True, id="selected")])
def test_it_is_never_saved(viewer, qtbot, preview, asking, blobs, tmp_path, selected):
    viewer.add_image(blobs, name="image")
    with qtbot.waitSignal(preview.answered):
        preview.set_on(True)
    if selected:
        viewer.layers.select_all()
    saved = viewer.layers.save(str(tmp_path / "out.tif"), selected=selected)
    assert [path.name for path in tmp_path.iterdir()] == ["out.tif"]
    assert saved == [str(tmp_path / "out.tif")]
    assert "preview" in viewer.layers
    viewer.layers.selection.active = viewer.layers["preview"]
    with pytest.warns(UserWarning, match="No layers selected"):
        assert viewer.layers.save(str(tmp_path / "none.tif"), selected=True) == []
    with pytest.raises(ValueError, match="a preview is not saved"):
        viewer.layers["preview"].save(str(tmp_path / "itself.tif"))


def test_the_file_menu_offers_to_save_what_is_there_without_it(viewer, qtbot, preview, asking, blobs):
    viewer.add_image(blobs, name="image")
    with qtbot.waitSignal(preview.answered):
        preview.set_on(True)
    menu = viewer.window.file_menu
    menu.aboutToShow.emit()
    assert [layer.name for layer in viewer.layers] == ["image"]
    assert preview.is_on
    with qtbot.waitSignal(preview.answered):
        menu.aboutToHide.emit()
    assert "preview" in viewer.layers


def test_saving_is_napari_s_own_where_there_is_no_preview(viewer, qtbot, preview, asking, blobs, tmp_path):
    viewer.add_image(blobs, name="image")
    with qtbot.waitSignal(preview.answered):
        preview.set_on(True)
    preview.set_on(False)
    viewer.add_labels((blobs > 100).astype(int), name="cells")
    viewer.layers.save(str(tmp_path / "all"))
    assert sorted(path.stem for path in (tmp_path / "all").iterdir()) == ["cells", "image"]


def test_the_histogram_of_the_whole_is_counted_once(viewer, qtbot, preview, volume):
    image = viewer.add_image(volume, name="image")
    job = PreviewJob(Recipe([Step("threshold", {})]), {"image": volume}, view_of(viewer, image))
    for _ in range(2):
        with qtbot.waitSignal(preview.counted) as counted:
            preview.count(job, {"image": image})
        histogram, approximate = counted.args
        assert approximate == ""
        np.testing.assert_array_equal(histogram.values[histogram.counts > 0], np.unique(volume))
        assert histogram.total == volume.size
