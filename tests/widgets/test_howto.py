"""The method that the page adds stands in the widget of its row, with its settings, and runs."""

from __future__ import annotations

import numpy as np
import pytest

import napari_cutout as nc

from ..howto import added

pytestmark = pytest.mark.qt


def test_the_widget_offers_the_method_of_the_page(viewer, dock, press):
    image = np.arange(400, dtype=np.uint16).reshape(20, 20)
    with added():
        viewer.add_image(image, name="ramp")
        widget = dock("Threshold")
        widget.choose_method("brightest")
        share = widget.editors["share"]
        assert (share.value, share.field.minimum(), share.field.maximum()) == (0.1, 0.0, 1.0)
        assert share.toolTip() == "At most this part of the voxels is object."
        widget.set(share=0.25)
        press(widget)
        np.testing.assert_array_equal(viewer.layers["ramp brightest"].data, nc.brightest(image, share=0.25))
        assert "threshold 299" in widget.bar.status.text()
