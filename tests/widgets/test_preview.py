"""The temporary layer: computed in a thread of its own, where the result will lie, and never in the way."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from napari_cutout.recipe import Recipe, Step
from napari_cutout.widgets import _preview
from napari_cutout.widgets._known_statistics import StatisticsCache
from napari_cutout.widgets._layers import placement
from napari_cutout.widgets._preview import Preview
from napari_cutout.widgets._preview_job import PreviewJob
from napari_cutout.widgets._preview_layer import is_preview
from napari_cutout.widgets._view import view_of

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
    other = viewer.add_points(np.zeros((1, 3)), name="points")
    viewer.layers.selection.active = image
    zoom, centre, step = viewer.camera.zoom, viewer.camera.center, viewer.dims.current_step
    with qtbot.waitSignal(preview.answered):
        preview.set_on(True)
    layer = viewer.layers["preview"]
    assert [x.name for x in viewer.layers] == ["image", "preview", "points"]
    assert is_preview(layer)
    assert not is_preview(other)
    assert not layer.editable
    assert viewer.layers.selection.active is image
    assert set(viewer.layers.selection) == {image}
    assert (viewer.camera.zoom, viewer.camera.center, viewer.dims.current_step) == (zoom, centre, step)
    z = viewer.dims.current_step[0]
    np.testing.assert_array_equal(layer.data, (volume[z : z + 1] > 100).astype(np.uint8))
    np.testing.assert_allclose(layer.data_to_world((0, 0, 0)), image.data_to_world((z, 0, 0)))
    assert layer.units == image.units
