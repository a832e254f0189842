"""Walk through the tutorial and take its pictures: ``python docs/make_tutorial_pictures.py [folder]``.

One window, step after step, as a reader does it. What the tutorial says came out is asserted here.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import make_screenshots as real
from qtpy.QtCore import Qt
from scipy.ndimage import center_of_mass

import napari_cutout as nc
from napari_cutout import samples
from napari_cutout.cli import main as command_line

SAMPLE = "nuclei_2d"


def main() -> int:
    """Walk through all steps and save a picture of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=real.HERE / "pictures", help="where to write")
    folder = parser.parse_args().folder
    real.give_a_screen()
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as home:
        os.environ |= {"XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home, "XDG_DATA_HOME": home}
        with real.window() as viewer:
            for name in walk(viewer, Path(home)):
                real.save(viewer, folder / f"tutorial-{name}.png")
                print(folder / f"tutorial-{name}.png")
    return 0


def walk(viewer: Any, folder: Path) -> Iterator[str]:
    """Take the steps of the tutorial, and yield the name of each picture when it is to be taken."""
    viewer.open_sample("napari-cutout", SAMPLE)
    truth = viewer.layers[f"{SAMPLE}_truth"]
    truth.visible = False
    cut = yield from threshold(viewer)
    widget = yield from split_touching(viewer, cut)
    labels = widget.results.last
    evaluation = yield from find_errors(viewer, widget, truth)
    yield from correct(viewer, evaluation, labels, truth)
    viewer.window.remove_dock_widget(evaluation)
    yield from measure(viewer, labels, folder)
    run_on_a_folder(widget, folder)


def threshold(viewer: Any) -> Generator[str, None, Any]:
    """Cut nuclei from the background, in the preview first."""
    widget = real.open_widget(viewer, "Threshold")
    widget.set(method="li", sigma=1.0)
    widget.preview_box.setChecked(True)
    real.settle(lambda: widget.preview.layer is not None)
    real.show_all(viewer)
    yield "preview"
    widget.set(fill_holes=True, min_size=40, one_per_object=True)
    widget.preview_box.setChecked(False)
    real.press(widget)
    says(widget, "19 objects")
    viewer.layers[-1].opacity = 0.6
    yield "threshold"
    return widget.results.last


def split_touching(viewer: Any, cut: Any) -> Generator[str, None, Any]:
    """Cut apart what touches."""
    widget = real.open_widget(viewer, "Split touching")
    widget.set(depth=0.5)
    real.press(widget)
    says(widget, "45 objects")
    cut.visible, widget.results.last.opacity = False, 0.6
    real.show_all(viewer)
    yield "split"
    return widget


def find_errors(viewer: Any, split: Any, truth: Any) -> Generator[str, None, Any]:
    """Score the nuclei, and go to the one that still holds two."""
    from napari_cutout.widgets._use_as import opened, uses  # not before napari knows where its icons are kept

    (use,) = (use for use in uses(split.row) if (use.what, use.row) == ("predicted", "Evaluate"))
    split.result_bar.use(use)
    widget = opened(viewer, "Evaluate")
    assert widget.boxes["truth"].layer.name == truth.name
    real.press(widget)
    widget.tabs.setCurrentWidget(widget.tabs.pages["Objects"])
    real.resize(widget, width=real.TABLE_WIDTH)
    real.show_all(viewer)
    truth.visible, truth.contour = True, 1
    viewer.layers.move(viewer.layers.index(truth), -1)
    viewer.scene.camera.zoom *= 4
    table = widget.tabs.objects.table
    table.sortByColumn(0, Qt.SortOrder.DescendingOrder)
    assert table.texts()[0][0] == "merged"
    table.selectRow(0)
    yield "errors"
    return widget


def correct(viewer: Any, widget: Any, labels: Any, truth: Any) -> Iterator[str]:
    """Give the smaller of the two a number of its own, with one dab of the brush, and score again."""
    table = widget.tabs.objects.table
    (missed,) = (table.value(row, "true") for row in range(table.n_rows) if table.value(row, "kind") == "merged")
    viewer.layers.selection.active = labels
    labels.mode = "paint"
    labels.brush_size = 15
    labels.selected_label = int(labels.data.max()) + 1  # the key M
    labels.paint(tuple(center_of_mass(truth.data == missed)), labels.selected_label)
    labels.events.paint(value=[])
    real.press(widget)
    assert not any(table.value(row, "kind") != "matched" for row in range(table.n_rows))
    yield "corrected"
    labels.mode, truth.visible = "pan_zoom", False


def measure(viewer: Any, labels: Any, folder: Path) -> Iterator[str]:
    """Measure every nucleus, and save the table."""
    widget = real.open_widget(viewer, "Measure")
    widget.labels_box.choose(labels)
    real.press(widget)
    real.resize(widget, width=real.TABLE_WIDTH)
    real.show_all(viewer)
    yield "measure"
    widget.export(folder / "nuclei.csv")
    assert len((folder / "nuclei.csv").read_text().splitlines()) == 47


def run_on_a_folder(widget: Any, folder: Path) -> None:
    """Save the recipe of the nuclei, and run it on other images as the tutorial says."""
    widget.result_bar.save(folder / "recipe.json")
    (folder / "plate2").mkdir()
    for seed in (1, 2):
        image = samples.nuclei_2d(seed=seed).image
        nc.write(folder / "plate2" / f"well{seed}.tif", image)
    recipe, images, labels, table = (str(folder / name) for name in ("recipe.json", "plate2", "labels2", "all.csv"))
    assert command_line(["run", recipe, images, labels, "--table", table]) == 0
    assert len(list(Path(labels).glob("*.tif"))) == 2
    assert "well2" in Path(table).read_text()


def says(widget: Any, words: str) -> None:
    """Stop if the line below the button does not say what the tutorial says that it says."""
    if words not in (said := widget.bar.status.text()):
        raise SystemExit(f"the tutorial says {words!r}, and the program {said!r}; change docs/tutorial.md")


if __name__ == "__main__":
    sys.exit(main())
