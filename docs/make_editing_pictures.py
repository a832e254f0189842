"""Take the pictures of editing from the real program: ``python docs/make_editing_pictures.py [folder]``.

Nuclei are cut with a threshold, and what touches is split, merged and cut by clicks of a real mouse on the canvas
(under Xvfb where there is no display). What the window shows is saved as PNG.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from make_screenshots import HERE, give_a_screen, open_widget, press, save, settle, show_all, window
from scipy import ndimage

ZOOM = 4.0
"""How much nearer than the whole image the pictures look."""


def click(viewer: Any, *world: float) -> None:
    """Click a place of the image with the mouse."""
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    canvas = viewer.window._qt_viewer.canvas.native
    camera = viewer.scene.camera
    y, x = (np.array(world[-2:]) - np.array(camera.center)[-2:]) * camera.zoom
    at = QPoint(round(canvas.width() / 2 + x), round(canvas.height() / 2 + y))
    QTest.mouseMove(canvas, at)
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=at)
    settle()


def key(viewer: Any, name: str) -> None:
    """Press a key over the image."""
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    QTest.keyClick(viewer.window._qt_viewer.canvas.native, getattr(Qt.Key, f"Key_{name}"))
    settle()


def cut_nuclei(viewer: Any, sample: str) -> tuple[Any, Any, Any]:
    """Open a sample and cut it, and return the widget, the labels and the truth."""
    viewer.open_sample("napari-cutout", sample)
    image, truth = viewer.layers
    viewer.layers.selection.active = image
    widget = open_widget(viewer, "Threshold")
    widget.set(sigma=1.0, one_per_object=True)
    press(widget)
    truth.visible = False
    return widget, viewer.layers[-1], truth


def pairs(labels: Any, truth: Any) -> list[tuple[int, Sequence[Any]]]:
    """Return objects that hold two true ones whole, and the centres of these; those in the middle come first."""
    found = []
    centre = np.array(labels.shape) / 2
    for label in range(1, int(labels.max()) + 1):
        inside, counts = np.unique(truth[labels == label], return_counts=True)
        held = [int(n) for n, count in zip(inside, counts, strict=True) if n and count > 0.7 * (truth == n).sum()]
        if len(held) == 2:
            found.append((label, ndimage.center_of_mass(truth > 0, truth, held)))
    return sorted(found, key=lambda one: float(np.linalg.norm(np.mean(one[1], axis=0) - centre)))


def look_at(viewer: Any, layer: Any, place: Any) -> None:
    """Bring a place to the middle, and near."""
    world = layer.data_to_world(place)
    viewer.scene.camera.zoom *= ZOOM
    viewer.scene.camera.center = (0, *world[-2:])
    settle()


def split(viewer: Any, path: Callable[[str], Path]) -> None:
    """Show an object with two seeds in it, and its two parts."""
    widget, layer, truth = cut_nuclei(viewer, "nuclei_2d")
    show_all(viewer)
    label, centres = pairs(layer.data, truth.data)[0]
    look_at(viewer, layer, np.mean(centres, axis=0))
    bar = widget.result_bar
    bar.edit_button.click()
    bar.clicks_row.buttons["split"].click()
    settle()
    for centre in centres:
        click(viewer, *layer.data_to_world(centre))
    save(viewer, path("editing-split"))
    key(viewer, "Return")
    assert len(np.unique(layer.data[truth.data > 0])) > 2, f"object {label} was not split"
    save(viewer, path("editing-done"))


def in_3d(viewer: Any, path: Callable[[str], Path]) -> None:
    """Show seeds on the surface of an object seen in 3-D, with the widget Objects."""
    widget, layer, truth = cut_nuclei(viewer, "nuclei_3d")
    viewer.window.remove_dock_widget(widget)
    widget = open_widget(viewer, "Objects")
    widget.use("labels", layer)
    viewer.layers[0].visible = False
    show_all(viewer)
    viewer.dims.ndisplay = 3
    viewer.layers.selection.active = layer
    apart = {label: np.linalg.norm(np.subtract(*centres)[1:]) for label, centres in pairs(layer.data, truth.data)}
    centres = dict(pairs(layer.data, truth.data))[max(apart, key=lambda label: apart[label])]
    viewer.reset_view()
    viewer.scene.camera.center = tuple(layer.data_to_world(np.mean(centres, axis=0)))
    viewer.scene.camera.zoom *= 2
    settle()
    widget.extras["edit"].buttons["split"].click()
    for centre in centres:  # as they are seen along the first axis
        click(viewer, *layer.data_to_world(centre))
    assert "2 parts of" in widget.extras["edit"].line.text(), widget.extras["edit"].line.text()
    save(viewer, path("editing-3d"))


PICTURES: dict[str, Callable[[Any, Callable[[str], Path]], None]] = {"split": split, "3d": in_3d}


def main() -> int:
    """Take all pictures, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=HERE / "pictures", help="where to write")
    parser.add_argument("--only", nargs="+", choices=list(PICTURES), help="take these only")
    arguments = parser.parse_args()
    give_a_screen()
    with TemporaryDirectory() as home:
        os.environ |= {"XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home, "XDG_DATA_HOME": home}
        for name in arguments.only or PICTURES:
            with window() as viewer:
                PICTURES[name](viewer, lambda stem: arguments.folder / f"{stem}.png")
            print(name)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
