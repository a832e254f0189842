"""Take the pictures of large volumes in napari from the real program: ``python docs/make_large_pictures.py [folder]``.

A volume is made and written as OME-Zarr, opened in napari (under Xvfb where there is no display), cut into a store
with little memory allowed, cancelled, resumed and edited. What the window shows is saved as PNG.
"""

from __future__ import annotations

import argparse
import os
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from make_screenshots import HERE, give_a_screen, open_widget, press, resize, save, settle, show_all, window
from scipy import ndimage

SHAPE = (64, 384, 384)
SPACING = (1.0, 0.5, 0.5)
DOCK = 430
"""Width of the widget in pixels."""

LIMIT = 0.06
"""GiB that a run may plan with, so that this small volume needs tiles."""


def cells(shape: tuple[int, ...], n: int = 260, seed: int = 0) -> np.ndarray:
    """Return round cells of several sizes and intensities, some of which touch, with noise."""
    rng = np.random.default_rng(seed)
    image = rng.normal(400, 60, shape).astype(np.float32)
    for centre, radius, light in zip(
        rng.random((n, 3)) * shape, rng.uniform(6, 14, n), rng.uniform(900, 2500, n), strict=True
    ):
        low = np.maximum(np.floor(centre - radius), 0).astype(int)
        high = np.minimum(np.ceil(centre + radius) + 1, shape).astype(int)
        grid = np.ogrid[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        apart = sum(
            ((axis - at) / (radius * (0.5 if n == 0 else 1))) ** 2
            for n, (axis, at) in enumerate(zip(grid, centre, strict=True))
        )
        part = image[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        np.maximum(part, light * np.clip(1.4 - apart, 0, 1), out=part)
    return np.clip(image, 0, 65535).astype(np.uint16)


class Stop:
    """Holds a run after so many blocks, so that a picture can be taken of it."""

    def __init__(self, after: int) -> None:
        self.after, self.reached, self.opened, self.n = after, threading.Event(), threading.Event(), 0

    def __enter__(self) -> Stop:
        from napari_cutout.widgets._live_layer import LiveLayer

        self._real = real = LiveLayer.add

        def held(layer: Any, box: Any) -> None:
            real(layer, box)
            self.n += 1
            if self.n == self.after:
                self.reached.set()
                self.opened.wait(60)

        LiveLayer.add = held  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        from napari_cutout.widgets._live_layer import LiveLayer

        LiveLayer.add = self._real  # type: ignore[method-assign]
        self.opened.set()


def begun(viewer: Any, store: Path) -> Any:
    """Open the volume and the widget, which chooses a store by itself because memory is short."""
    viewer.open(str(store), plugin="napari-cutout")
    widget = open_widget(viewer, "Threshold")
    resize(widget, width=DOCK)
    widget.large.ask_path = lambda proposed: proposed
    widget.set(sigma=1.0, min_size=200, one_per_object=True)
    show_all(viewer)
    settle(lambda: "reads" in widget.bar.plan.text())
    return widget


def plan(viewer: Any, store: Path) -> None:
    """Show what a run will do, before it does it."""
    begun(viewer, store)


def run(viewer: Any, store: Path) -> Any:
    """Show blocks of labels while others are made."""
    widget = begun(viewer, store)
    with Stop(after=5) as stop:
        widget.bar.button.click()
        settle(stop.reached.is_set)
        settle()
        save(viewer, FILES["large-run"])
        widget.bar.button.click()
    settle(lambda: not widget.bar.running)
    settle()
    return widget


def resume(viewer: Any, store: Path) -> None:
    """Show that a run that was cut off can go on."""
    run(viewer, store)


def edit(viewer: Any, store: Path) -> None:
    """Show a region that was copied out to be painted on."""
    widget = begun(viewer, store)
    press(widget)
    shown = int(viewer.dims.current_step[0])
    image, labels = (np.asarray(layer.data[0][shown]) for layer in viewer.layers)
    parts, n = ndimage.label((ndimage.gaussian_filter(image.astype(float), 2) > 700) & (labels == 0))
    missed = parts == 1 + int(
        np.argmax(ndimage.sum_labels(ndimage.distance_transform_edt(parts), parts, range(1, n + 1)))
    )
    centre = np.array(ndimage.center_of_mass(missed))
    camera = viewer.scene.camera
    camera.center, camera.zoom = (0, *(centre * SPACING[1:])), camera.zoom * 3
    settle()
    widget.region_row.edit_button.click()
    settle(lambda: not widget.region_row.running)
    copy = widget.region_row.edited
    corner = np.round(np.asarray(copy.translate) / SPACING).astype(int)
    copy.brush_size, copy.selected_label = 5, int(copy.data.max()) + 1
    for y, x in np.argwhere(ndimage.binary_erosion(missed, iterations=2))[::7]:
        copy.paint((shown - corner[0], y - corner[1], x - corner[2]), copy.selected_label)
    settle()


PICTURES: dict[str, Callable[[Any, Path], Any]] = {"large-plan": plan, "large-resume": resume, "large-edit": edit}
FILES: dict[str, Path] = {}


def main() -> int:
    """Take all pictures, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=HERE / "pictures", help="where to write")
    parser.add_argument("--only", nargs="+", choices=list(PICTURES), help="take these only")
    parser.add_argument("--theme", choices=["dark", "light"], default="dark", help="napari's theme")
    arguments = parser.parse_args()
    give_a_screen()
    from napari_cutout import io
    from napari_cutout._volume import Volume

    image = cells(SHAPE)
    for name in (*PICTURES, "large-run"):
        FILES[name] = arguments.folder / f"{name}.png"
    with TemporaryDirectory() as home:
        os.environ |= {"XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home, "XDG_DATA_HOME": home}
        os.environ["NAPARI_CUTOUT_MEMORY_LIMIT_GIB"] = str(LIMIT)
        for name in arguments.only or PICTURES:
            folder = Path(home, name)
            folder.mkdir()
            store = io.write(folder / "brain.ome.zarr", Volume(image, "zyx", SPACING, "micrometer"), kind="image")
            with window() as viewer:
                viewer.theme = arguments.theme
                PICTURES[name](viewer, store)
                save(viewer, FILES[name])
            print(FILES[name])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
