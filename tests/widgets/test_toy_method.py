"""A method of a few lines gets a widget with everything in it, and nobody writes a line for that."""

from __future__ import annotations

import sys
import types
from typing import Annotated, Literal, Unpack

import numpy as np
import pytest
from qtpy.QtGui import QGuiApplication

import napari_cutout as nc
from napari_cutout import catalog
from napari_cutout._method import Image, Labels, Mask, Range, method
from napari_cutout.processing.segment import Options
from napari_cutout.recipe import Recipe
from napari_cutout.widgets import _row_widget

pytestmark = [pytest.mark.qt, pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")]


@method("Toy")
def toy(
    image: Image,
    mask: Mask | None = None,
    *,
    level: Annotated[float, Range(0, 1000, 5)] = 100.0,
    side: Literal["above", "below"] = "above",
    **options: Unpack[Options],
) -> Labels:
    """Cut at a level, on the side of it that is asked for.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X)
        Any image.
    mask : array of the shape of `image`, optional
        Where to look.
    level : float
        Where to cut.
    side : {"above", "below"}
        What to keep.
    **options : Options
        Steps before and after the cut.

    Returns
    -------
    integer array of the shape of `image`
        1 where kept, else 0.
    """

    objects = "bright" if side == "above" else "dark"
    return nc.threshold_at(image, mask, value=level, objects=objects, **options)


@method("Toy labels")
def every_nth(labels: Labels, *, n: Annotated[int, Range(1, 9)] = 2) -> Labels:
    """Keep every n-th label.

    Parameters
    ----------
    labels : integer array of shape ([Z,] Y, X)
        What to choose from.
    n : int
        Keep the labels that it divides.

    Returns
    -------
    integer array of the shape of `labels`
        The labels that are kept.
    """
    return np.where(labels % n == 0, labels, 0)


@pytest.fixture
def toys(monkeypatch):
    """Put both methods into the catalog, as a module of theirs would."""
    module = types.ModuleType("napari_cutout.methods.toys")
    module.__all__, module.toy, module.every_nth = ["toy", "every_nth"], toy, every_nth
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(catalog, "MODULES", (*catalog.MODULES, "methods.toys"))
    catalog.methods.cache_clear()
    yield
    catalog.methods.cache_clear()


@pytest.fixture
def open_row(viewer, toys):
    """Open the widget of a row of the catalog."""

    def open_widget(name):
        widget = _row_widget(name)(viewer)
        viewer.window.add_dock_widget(widget)
        return widget

    return open_widget


@pytest.fixture
def widget(viewer, open_row, blobs):
    """The widget of the toy on an image."""
    viewer.add_image(blobs, name="blobs", scale=(0.5, 0.5), units=("um", "um"))
    return open_row("ToyWidget")


def test_every_setting_has_a_field_with_its_limits_its_words_and_its_default(widget):
    level, side = widget.editors["level"], widget.editors["side"]
    assert (level.value, level.field.minimum(), level.field.maximum()) == (100.0, 0, 1000)
    assert level.toolTip() == level.field.toolTip() == "Where to cut."
    assert [side.field.itemText(n) for n in range(side.field.count())] == ["above", "below"]
    assert {"sigma", "fill_holes", "min_size", "one_per_object"} <= set(widget.editors)
    assert set(widget.boxes) == {"image", "mask"}
    assert widget.boxes["image"].toolTip() == "Any image."
    level.field.stepBy(1)
    assert widget.settings["level"] == 105.0


def test_it_has_where_to_run_and_says_what_it_takes(widget):
    assert [widget.target_rows.region_box.itemText(n) for n in range(2)] == ["whole image", "field of view"]
    assert widget.device_box.currentText() == "auto"
    assert "needs about" in widget.bar.plan.text()


def test_it_previews_what_the_run_then_gives(widget, viewer, press, qtbot, blobs):
    with qtbot.waitSignal(widget.preview.answered):
        widget.preview_box.setChecked(True)
    shown = viewer.layers["preview"].data.copy()
    widget.set(level=190.0)
    # The first preview may be shown once more meanwhile, with the statistics of the whole.
    qtbot.waitUntil(lambda: np.array_equal(viewer.layers["preview"].data, blobs > 190))
    fewer = viewer.layers["preview"].data.copy()
    assert 0 < np.count_nonzero(fewer) < np.count_nonzero(shown)
    press(widget)
    np.testing.assert_array_equal(viewer.layers["blobs toy"].data, fewer)
    np.testing.assert_array_equal(fewer, blobs > 190)
    assert widget.bar.status.text().startswith(f"{100 * (blobs > 190).mean():.3g} %")


def test_its_result_can_be_copied_saved_and_updated(widget, viewer, press, qtbot, blobs, tmp_path):
    widget.set(level=150.0, one_per_object=True)
    press(widget)
    layer = viewer.layers["blobs toy"]
    assert layer.data.max() == 2
    with qtbot.waitSignal(widget.result_bar.copied):
        widget.result_bar.copy("python")
    assert "toy(" in QGuiApplication.clipboard().text()
    assert "level=150.0" in QGuiApplication.clipboard().text()
    widget.result_bar.save(tmp_path / "toy.json")
    again = nc.run(Recipe.load(tmp_path / "toy.json"), blobs)
    np.testing.assert_array_equal(getattr(again, "labels", again), layer.data)
    widget.set(side="below")
    press(widget)
    assert [layer.name for layer in viewer.layers] == ["blobs", "blobs toy"]
    np.testing.assert_array_equal(layer.data > 0, blobs <= 150)


def test_a_method_on_labels_asks_for_labels_and_has_no_options(viewer, open_row, press, blobs):
    widget = open_row("ToyLabelsWidget")
    assert "no Labels layer" in widget.lines()["labels"].text()
    assert not widget.bar.button.isEnabled()
    labels = np.arange(12, dtype=np.int32).reshape(3, 4)
    viewer.add_image(labels.astype(float), name="no labels")
    viewer.add_labels(labels, name="parts")
    assert [layer.name for layer in widget.boxes["labels"].offered] == ["parts"]
    assert set(widget.editors) == {"n"}
    assert widget.more.isHidden()
    widget.set(n=3)
    press(widget)
    np.testing.assert_array_equal(viewer.layers["parts every nth"].data, np.where(labels % 3 == 0, labels, 0))
