"""Channels that the reader made layers of are found in their file again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import napari_cutout as nc

from ..cases import two_humps
from .test_reproduce import copied, run_command, run_python

pytestmark = pytest.mark.qt

__all__ = ["copied"]

FILES = {
    "cyx": ("cyx", (2, 24, 30)),
    "czyx": ("czyx", (3, 6, 24, 30)),
    "tcyx": ("tcyx", (4, 2, 24, 30)),
    "tczyx": ("tczyx", (2, 2, 6, 24, 30)),
}


def open_channels(viewer: Any, axes: str, shape: tuple[int, ...]) -> list[Any]:
    at = axes.index("c")
    alone = shape[:at] + shape[at + 1 :]
    channels = [np.roll(two_humps(alone), 5 * n, axis=-1) * (n + 1) for n in range(shape[at])]
    spatial = sum(axis in "zyx" for axis in axes)
    nc.write("several.ome.tif", nc.Volume(np.stack(channels, at), axes, (0.5,) * spatial, "micrometer"))
    layers = viewer.open("several.ome.tif", plugin="napari-cutout")
    assert len(layers) == shape[at]
    return list(layers)


@pytest.mark.parametrize("settings", [{}, {"fill_holes": False, "min_size": 4, "spacing": None}], ids=["plain", "size"])
@pytest.mark.parametrize("file", FILES)
def test_a_channel_of_a_file_is_run_again(
    file: str,
    settings: dict[str, Any],
    viewer: Any,
    dock: Any,
    press: Any,
    copied: Any,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    layers = open_channels(viewer, *FILES[file])
    widget = dock("Threshold")
    widget.boxes["image"].choose(layers[1])
    if "t" in layers[1].axis_labels:
        widget.target_rows.choose(time="each")
    widget.set(**{name: value for name, value in settings.items() if value})
    press(widget)
    expected = viewer.layers[-1].data
    assert expected.shape == layers[1].data.shape
    python, command = copied(widget, "python"), copied(widget, "command")
    assert "channel=1" in python
    assert "--channel=1" in command
    np.testing.assert_array_equal(run_python(python), expected)
    np.testing.assert_array_equal(run_command(command), expected)


def test_a_chain_on_a_channel_is_run_again(
    viewer: Any, dock: Any, press: Any, copied: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    layers = open_channels(viewer, *FILES["tcyx"])
    widget = dock("Threshold")
    widget.boxes["image"].choose(layers[1])
    if "t" in layers[1].axis_labels:
        widget.target_rows.choose(time="each")
    press(widget)
    widget.boxes["mask"].choose(viewer.layers[-1])
    viewer.layers[-1].name = "first"
    press(widget)
    expected = viewer.layers[-1].data
    widget.result_bar.save("recipe.json")
    np.testing.assert_array_equal(run_python(copied(widget, "python")), expected)
    np.testing.assert_array_equal(run_command(copied(widget, "command")), expected)
