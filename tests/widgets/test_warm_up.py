"""What a widget will run is compiled beside the window, once, and nobody hears of it."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest

from napari_cutout import catalog
from napari_cutout._monitor import Cancelled
from napari_cutout.recipe import Step
from napari_cutout.widgets import _warm_up

from ..patience import PATIENCE

pytestmark = pytest.mark.qt


@pytest.fixture
def cold(monkeypatch):
    """Forget what this process has tried."""
    monkeypatch.setattr(_warm_up, "_WARM", set())


@pytest.fixture
def tried(cold, monkeypatch):
    """Note what is tried instead of running it."""
    found = []

    def execute(recipe, inputs, **_):
        dtypes = {name: (array.dtype.name, array.ndim) for name, array in inputs.items()}
        found.append((recipe.steps[0].method, dtypes, threading.current_thread()))

    monkeypatch.setattr(_warm_up, "execute", execute)
    return found


@pytest.fixture
def settled(qtbot):
    """Wait until the warm-up of a widget has ended."""

    def wait(widget):
        qtbot.waitUntil(lambda: not widget.warm_up.running)

    return wait


def signatures():
    """Return how many machine codes there are of every compiled loop of the package."""
    modules = [module for name, module in sys.modules.items() if name.startswith("napari_cutout.")]
    loops = {id(f): f for module in modules for f in vars(module).values() if hasattr(f, "dispatcher")}
    return {f.__qualname__: len(f.dispatcher().signatures) for f in loops.values()}


def test_after_it_a_run_compiles_nothing(viewer, dock, press, settled, cold):
    noise = np.random.default_rng(0).integers(-90, 90, (5, 12, 14)).astype(np.int16)
    viewer.add_image(noise)
    widget = dock("Watershed")
    widget.choose_method("watershed_from_minima")
    widget.set(sigma=1.0)
    settled(widget)
    before = signatures()
    assert sum(before.values()) > 0
    press(widget)
    assert widget.results.last is not None
    assert signatures() == before


@pytest.mark.parametrize("row", ["k-means", "Gaussian mixture"])
@pytest.mark.parametrize("features", [("intensity",), ("intensity", "gradient", "hessian", "structure", "variance")])
def test_after_it_classes_are_found_without_compiling(viewer, dock, press, settled, cold, row, features):
    noise = np.random.default_rng(0).integers(0, 900, (5, 12, 14)).astype(np.uint16)
    viewer.add_image(noise)
    widget = dock(row)
    widget.set(**{"n_clusters" if row == "k-means" else "n_components": 30, "features": features})
    settled(widget)
    before = signatures()
    press(widget)
    assert "30 classes" in widget.bar.status.text()
    assert signatures() == before


def test_no_more_classes_are_tried_than_a_few_voxels_have():
    step = Step("kmeans", {"n_clusters": 64, "n_init": 50, "sigma": 2.0}, {"image": "image"})
    quick = _warm_up._quick(step, catalog.find("kmeans"))
    changed = {name: value for name, value in quick.settings.items() if value != step.complete_settings[name]}
    assert changed == {"n_clusters": 3, "n_init": 3, "max_iterations": 3}


def test_it_is_tried_once_for_each_kind_of_image_in_a_thread(viewer, dock, settled, tried):
    image = viewer.add_image(np.zeros((9, 9), np.uint8))
    widget = dock("Watershed")
    settled(widget)
    strokes = {"image": ("uint8", 2), "markers": ("uint8", 2)}
    assert [one[:2] for one in tried] == [("watershed", strokes)]
    assert tried[0][2] is not threading.main_thread()
    widget.refresh()
    again = dock("Threshold")
    settled(again)
    widget.refresh()
    settled(widget)
    assert [one[0] for one in tried] == ["watershed", "threshold"]
    image.data = np.zeros((4, 9, 9), np.float32)
    settled(widget)
    settled(again)
    kinds = {one[0]: one[1]["image"] for one in tried[2:]}
    assert kinds == {"watershed": ("float32", 3), "threshold": ("float32", 3)}
    widget.set(sigma=1.0)
    settled(widget)
    widget.set(sigma=1.5)
    settled(widget)
    assert len(tried) == 5, "how much is smoothed does not matter, only that it is"


def test_what_goes_wrong_is_not_shown(viewer, dock, settled, cold, monkeypatch):
    def refuse(*_, **__):
        raise ValueError("too small")

    monkeypatch.setattr(_warm_up, "execute", refuse)
    viewer.add_image(np.zeros((9, 9), np.uint8))
    widget = dock("Threshold")
    settled(widget)
    assert widget.bar.status.text() == ""
    assert widget.bar.button.isEnabled()


@pytest.mark.parametrize(
    ("error", "n"), [(ValueError("too small"), 1), (RuntimeError("no compiler"), 2)], ids=["refused", "failed"]
)
def test_what_failed_is_tried_again_and_what_is_refused_is_not(viewer, dock, settled, cold, monkeypatch, error, n):
    tries = []

    def fail(recipe, *_, **__):
        tries.append(recipe.steps[0].method)
        raise error

    monkeypatch.setattr(_warm_up, "execute", fail)
    viewer.add_image(np.zeros((9, 9), np.uint8))
    widget = dock("Threshold")
    settled(widget)
    assert len(tries) == 1
    widget.refresh()
    settled(widget)
    assert len(tries) == n


def test_it_ends_with_its_widget_and_is_tried_again(viewer, dock, settled, cold, monkeypatch):
    begun, ended, tries = threading.Event(), threading.Event(), []

    def endless(*_, is_cancelled, **__):
        tries.append(1)
        if ended.is_set():
            return
        begun.set()
        while not is_cancelled():
            ended.wait(0.002)
        ended.set()
        raise Cancelled

    monkeypatch.setattr(_warm_up, "execute", endless)
    viewer.add_image(np.zeros((9, 9), np.uint8))
    widget = dock("Threshold")
    assert begun.wait(PATIENCE)
    widget.let_go()
    assert ended.wait(PATIENCE)
    settled(widget)
    assert len(tries) == 1
    viewer.window.remove_dock_widget(widget)
    again = dock("Threshold")
    assert again is not widget
    for _ in range(2):
        settled(again)
        assert len(tries) == 2
        again.refresh()
