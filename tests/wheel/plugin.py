"""What the plugin manager of napari promises: all widgets of a wheel that was installed without extras open and work.

``xvfb-run python plugin.py`` runs in an environment with napari, a binding of Qt and the wheel, and needs no pytest.
"""

from __future__ import annotations

import faulthandler
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import napari
import numpy as np
from npe2 import PluginManager
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QApplication, QLabel, QPushButton, QWidget

import napari_cutout as nc

TIME_LIMIT = 180.0
"""Seconds in which a first run must have compiled its loops and ended."""


errors: list[BaseException] = []
"""What was raised where Qt calls Python: it reaches no caller, so it is kept here."""


def keep(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an error and remember it."""
    traceback.print_exception(kind, error, trace)
    errors.append(error)


def opened(viewer: napari.Viewer, name: str) -> QWidget:
    """Open a widget by the command of the menu, and serve the window until it has drawn what it counted."""
    _, widget = viewer.window.add_plugin_dock_widget("napari-cutout", name)
    end = time.monotonic() + 1.0
    until(lambda: time.monotonic() > end, f"that {name} was drawn")
    return widget


def until(ready: Callable[[], bool], what: str) -> None:
    """Serve the window until something has happened."""
    end = time.monotonic() + TIME_LIMIT
    while not ready():
        if errors:
            raise SystemExit(f"before {what}: {errors[0]!r}")
        if time.monotonic() > end:
            faulthandler.dump_traceback(all_threads=True)  # who holds it up
            raise SystemExit(f"{what} did not happen in {TIME_LIMIT:g} s")
        QApplication.processEvents()
        time.sleep(0.01)


def the_manifest_is_valid() -> list[str]:
    """Every object that the manifest names can be imported; return the names of the widgets."""
    manager = PluginManager.instance()
    manager.discover()
    manifest = manager.get_manifest("napari-cutout")
    manifest.validate_imports()
    return [widget.display_name for widget in manifest.contributions.widgets]


def main() -> int:
    """Open every widget, and cut a sample in one of them."""
    faulthandler.enable()
    names = the_manifest_is_valid()
    viewer = napari.Viewer()
    sys.excepthook = keep
    viewer.open_sample("napari-cutout", "nuclei_2d")
    image = next(layer for layer in viewer.layers if isinstance(layer, napari.layers.Image))
    for name in names:
        widget = opened(viewer, name)
        lost = [label.text() for label in widget.findChildren(QLabel) if "No module named" in label.text()]
        assert not lost, f"{name}: {lost}"
        print("ok", name, flush=True)

    viewer.layers.selection.active = image
    widget = opened(viewer, "Threshold")
    button = next(b for b in widget.findChildren(QPushButton) if b.text() == "Run")
    until(button.isEnabled, "that Threshold was ready to run")
    before = set(viewer.layers)
    button.click()
    until(lambda: set(viewer.layers) - before, "a result")
    (result,) = set(viewer.layers) - before
    expected = nc.threshold(np.asarray(image.data))
    np.testing.assert_array_equal(np.asarray(result.data), expected)
    print("ok a run of Threshold in napari gives the labels of the function", flush=True)
    assert Path(sys.prefix) in Path(nc.__file__).parents
    viewer.close()
    QThreadPool.globalInstance().waitForDone()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
