"""An image that was replaced between two runs is not taken for what it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import napari_cutout as nc

from .test_reproduce import copied

pytestmark = pytest.mark.qt

__all__ = ["copied"]


def test_labels_of_an_image_that_was_replaced_since_are_an_input(
    viewer: Any, dock: Any, press: Any, blobs: np.ndarray, copied: Any
) -> None:
    image = viewer.add_image(blobs, name="image")
    widget = dock("Threshold")
    press(widget)
    first = viewer.layers[-1]
    first.name = "mask"
    image.data = np.roll(blobs, 9, axis=0)
    widget.boxes["mask"].choose(first)
    press(widget)
    second = viewer.layers[-1]
    assert second is not first
    text = copied(widget, "python")
    assert text.count("nc.threshold(") == 1
    found = {"viewer": viewer}
    exec(compile(text, "copied.py", "exec"), found)
    np.testing.assert_array_equal(found["labels"], second.data)


def test_a_box_that_offers_a_layer_notices_that_its_data_are_replaced(
    viewer: Any, dock: Any, press: Any, blobs: np.ndarray, copied: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    nc.write("nuclei.tif", nc.Volume(blobs, "yx"))
    (image,) = viewer.open("nuclei.tif", plugin="napari", layer_type="image", name="nuclei layer")
    widget = dock("Threshold")
    image.data = np.roll(blobs, 9, axis=0)
    press(widget)
    text = copied(widget, "command")
    assert "# save the layer 'nuclei layer' as 'nuclei layer.tif' first" in text
    assert "nuclei.tif" not in text
