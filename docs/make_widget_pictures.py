"""Take a picture of every widget with a result in it, in both themes: ``python docs/make_widget_pictures.py``.

Starts napari as `make_screenshots.py` does, in a window of 1280 x 720, which is the smallest that widgets are made
for, and takes its right half: the widget, and what it made. ``--only Threshold`` takes those that are named; the
pictures of all widgets beside each other are made of those that are there.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import make_screenshots as shots
from _widget_page import THEMES, montage, names, picture

SIZE = (1280, 720)
BESIDE = 260
"""How much of what a widget made is seen beside it, in pixels."""

WIDTH = 340
"""Width of the dock of a widget, in pixels."""

MAX_BYTES = 60_000
"""A picture of a widget is not larger than this."""

MONTAGE = (238, 504, 8)
"""Width and height of a widget in the picture of all, and how many stand in a row."""


def main() -> int:
    """Take all pictures, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=names(), help="take these only")
    arguments = parser.parse_args()
    shots.give_a_screen()
    with TemporaryDirectory() as home:
        # The pictures show napari as it comes, not as this user has set it up.
        os.environ |= {"XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home, "XDG_DATA_HOME": home}
        for name in arguments.only or names():
            with shots.window() as viewer:
                take(viewer, name)
    for theme in THEMES:
        join(theme)
    return 0


def take(viewer: Any, name: str) -> None:
    """Let a widget make something, and take its picture in each theme."""
    prepare(name)(viewer)
    widget = shots.our_docks(viewer)[-1]
    viewer.window.resize(*SIZE)
    shots.resize(widget, width=WIDTH)
    widget._column.verticalScrollBar().setValue(0)
    shots.show_all(viewer)
    for theme in THEMES:
        viewer.theme = theme
        path = picture(name, theme)
        path.parent.mkdir(parents=True, exist_ok=True)
        shots.settle()
        whole = viewer.screenshot(canvas_only=False, flash=False)
        save(whole[:, -(widget.parent().width() + BESIDE) :], path)
        print(f"{path}  {path.stat().st_size / 1000:.0f} kB")


def prepare(name: str) -> Callable[[Any], Any]:
    """Return what lets a widget make something: the scene of another picture, or one of its own."""
    if name in SCENES:
        return SCENES[name]
    return shots.PICTURES[name.lower().replace(" ", "-")]


def objects(viewer: Any) -> None:
    """Give the parts of the classes of a section numbers."""
    shots.kmeans(viewer)
    (cut,) = shots.our_docks(viewer)
    result = cut.results.last
    viewer.window.remove_dock_widget(cut)
    widget = shots.open_widget(viewer, "Objects")
    widget.boxes["labels"].choose(result)
    widget.set(min_size=60)
    shots.press(widget)


def unet(viewer: Any) -> None:
    """Paint strokes of two classes, ready to train on: what there is to see before there is a model."""
    viewer.open_sample("napari-cutout", "membranes")
    truth = viewer.layers["membranes_truth"]
    truth.visible = False
    widget = shots.open_widget(viewer, "U-Net")
    row: Any = widget.extras["training"]
    row.field.add_button.click()
    annotation = viewer.layers["annotation"]
    painted = annotation.data.copy()
    painted[1, 20:90] = truth.data[1, 20:90]
    annotation.data = painted
    viewer.dims.set_point(0, viewer.dims.range[0].step)
    row.settings.learn_box.setCurrentText("planes")


def compare(viewer: Any) -> None:
    """Rank a few methods on strokes held out."""
    widget = shots.compare_strokes(viewer)
    widget.method_list.choose("threshold", "sauvola", "kmeans")
    shots.press(widget)
    widget.table.selectRow(0)


def recipe(viewer: Any) -> None:
    """Show the steps that made nuclei that were cut apart."""
    shots.split_touching(viewer)
    (cut,) = shots.our_docks(viewer)
    result = cut.results.last
    viewer.window.remove_dock_widget(cut)
    viewer.layers.selection.active = result
    shots.open_widget(viewer, "Recipe")


SCENES: dict[str, Callable[[Any], Any]] = {
    "Threshold": shots.threshold_2d,
    "k-means": shots.kmeans,
    "Gaussian mixture": shots.mixture,
    "Watershed": shots.watershed_2d,
    "Objects": objects,
    "U-Net": unet,
    "Compare": compare,
    "Recipe": recipe,
}
"""Scenes of widgets whose picture in the manual is called otherwise, takes long, or is none."""


def save(array: Any, path: Path) -> None:
    """Save a picture in as few colours as it takes to stay small."""
    from PIL import Image

    found = Image.fromarray(array).convert("RGB")
    for n_colours in (256, 192, 128, 96, 64):
        drawn = shots.few_colours(found, n_colours)
        drawn.save(path, optimize=True)
        if path.stat().st_size <= MAX_BYTES:
            return
    raise SystemExit(f"{path} has {path.stat().st_size} bytes, and at most {MAX_BYTES} are wanted")


def join(theme: str) -> None:
    """Put the widgets of a theme beside each other, to be judged together."""
    from PIL import Image

    width, height, columns = MONTAGE
    there = [path for name in names() if (path := picture(name, theme)).exists()]
    rows = -(-len(there) // columns)
    canvas = Image.new("RGB", (width * columns, height * rows))
    for at, path in enumerate(there):
        with Image.open(path) as found:
            widget = found.convert("RGB").crop((BESIDE, 0, *found.size))
            if not at:
                canvas.paste(widget.getpixel((2, widget.height - 2)), (0, 0, *canvas.size))
            shown = widget.resize((width, height), Image.Resampling.LANCZOS)
        canvas.paste(shown, (at % columns * width, at // columns * height))
    shots.few_colours(canvas, 128).save(montage(theme), optimize=True)
    print(f"{montage(theme)}  {montage(theme).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    raise SystemExit(main())
