"""What the widget tests share: a look for a screen before Qt starts, a viewer, and waiting without sleeping."""

from __future__ import annotations

import copy
import gc
import os
import shutil
import sys
import threading
from functools import cache, partial
from importlib.util import find_spec

import numpy as np
import pytest

from ..patience import PATIENCE

os.environ["NAPARI_CONFIG"] = ""  # before napari.settings is imported: no test reads or writes the user's settings

HAS_XVFB = shutil.which("Xvfb") is not None and find_spec("pytest_xvfb") is not None
HAS_SCREEN = sys.platform != "linux" or bool(os.environ.get("DISPLAY")) or HAS_XVFB


def pytest_collection_modifyitems(items):
    """Skip what needs a screen where there is none: Qt would abort the interpreter."""
    if HAS_SCREEN:
        return
    skip = pytest.mark.skip(reason="needs a screen: set DISPLAY, or install xvfb and pytest-xvfb")
    for item in items:
        if item.get_closest_marker("qt"):
            item.add_marker(skip)


@pytest.fixture
def qtbot(qtbot, monkeypatch):
    """Let all waits of Qt be patient: what must come in 5 s comes later on a busy machine that compiles."""
    for wait in ("waitSignal", "waitUntil", "waitExposed"):
        monkeypatch.setattr(qtbot, wait, partial(getattr(qtbot, wait), timeout=1000 * PATIENCE))
    monkeypatch.setattr(qtbot, "wait_exposed", lambda widget, **_: qtbot.waitExposed(widget))  # as napari calls it
    return qtbot


@pytest.fixture(autouse=True)
def nothing_runs_on():
    """Leave no thread to the next test: what it patches, counts and compiles would be met by work of this one."""
    yield
    if "napari_cutout.widgets._pools" not in sys.modules:
        return
    from napari_cutout.widgets import _pools

    for worker in tuple(_pools.WorkerBase._worker_set):
        worker.quit()
    for pool in _pools._pools.values():
        assert pool.waitForDone(1000 * PATIENCE), "work that was asked to stop goes on"


@pytest.fixture
def nothing_old_to_collect():
    """Take what imports and earlier tests left out of the garbage collector, which runs thrice for every viewer."""
    import napari._qt.qt_main_window
    import napari.viewer  # noqa: F401

    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def manifests_read_once():
    """Keep what stands in the manifests of plugins, which every viewer reads anew: a sixth of the time it takes."""
    from npe2.manifest import _bases

    if not hasattr(_bases, "_load_yaml_no_duplicates"):  # an older npe2
        yield
        return
    read = cache(_bases.yaml.load)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            _bases,
            "_load_yaml_no_duplicates",
            lambda file: copy.deepcopy(read(file.read(), _bases._UniqueKeyYamlLoader)),
        )
        yield


@pytest.fixture
def viewer(nothing_old_to_collect, manifests_read_once, make_napari_viewer_proxy):
    """A viewer with a window that is not shown."""
    return make_napari_viewer_proxy()


@pytest.fixture
def dock(viewer):
    """Open a widget of this plugin the way the menu does."""

    def open_widget(name):
        _, widget = viewer.window.add_plugin_dock_widget("napari-cutout", name)
        return widget

    return open_widget


@pytest.fixture
def press(qtbot):
    """Press the button of a widget and wait until its run has ended."""

    def press_and_wait(widget):
        assert widget.bar.button.isEnabled()
        with qtbot.waitSignal(widget.bar.ended):
            widget.bar.button.click()

    return press_and_wait


@pytest.fixture
def blobs():
    """Two squares on a dark ground, uint8, 2-D."""
    image = np.full((32, 40), 10, np.uint8)
    image[4:12, 5:15] = 200
    image[18:28, 20:34] = 180
    return image


@pytest.fixture
def volume():
    """Two boxes on a dark ground with a gradient, uint16, 3-D."""
    image = np.arange(6 * 20 * 24, dtype=np.uint16).reshape(6, 20, 24) % 37
    image[1:4, 2:9, 3:10] += 500
    image[2:5, 11:18, 12:22] += 700
    return image


@pytest.fixture
def gate(monkeypatch):
    """Hold every run at its first report of progress, or of the stage that is asked for, until the gate is opened."""
    from napari_cutout.widgets import _request

    gate = Gate()
    real = _request.execute

    def held(*args, on_progress, **options):
        def report(stage, fraction):
            on_progress(stage, fraction)
            if gate.stage not in stage:
                return
            gate.reached.set()
            assert gate.opened.wait(PATIENCE), "the test never opened the gate"

        return real(*args, on_progress=report, **options)

    monkeypatch.setattr(_request, "execute", held)
    yield gate
    gate.opened.set()


class Gate:
    """Two events: the run has got here, and it may go on; and a word of the stage at which it is held."""

    stage = ""

    def __init__(self):
        self.reached, self.opened = threading.Event(), threading.Event()
