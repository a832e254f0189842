"""Take the pictures of the manual from the real program: ``python docs/make_screenshots.py [folder]``.

Starts napari (under Xvfb where there is no display), opens the samples, presses the buttons, and saves what the
window shows as PNG. ``--all build/looks`` takes every widget on a 2-D, a 3-D and a multiscale image in both themes,
to be looked at and not kept.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).parent
SIZE = (1400, 900)
TABLE_WIDTH = 590
"""Width of the widget *Evaluate* that shows most columns, in pixels."""

MAX_BYTES = 150_000
"""A picture in the repository is not larger than this."""


def main() -> int:
    """Take all pictures, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=HERE / "pictures", help="where to write")
    parser.add_argument("--only", nargs="+", choices=list(PICTURES), help="take these only")
    parser.add_argument("--all", type=Path, help="take every widget on every kind of image, in both themes, in here")
    arguments = parser.parse_args()
    give_a_screen()
    with TemporaryDirectory() as home:
        # The pictures show napari as it comes, not as this user has set it up.
        os.environ |= {"XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home, "XDG_DATA_HOME": home}
        if arguments.all is not None:
            take_all(arguments.all, looks())
        else:
            take_all(arguments.folder, {name: PICTURES[name] for name in arguments.only or PICTURES})
    return 0


def take_all(folder: Path, pictures: dict[str, Callable[[Any], None]]) -> None:
    """Take pictures, each of a window of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, take in pictures.items():
        path = folder / f"{name}.png"
        with window() as viewer:
            take(viewer)
            save(viewer, path)
        print(f"{path}  {path.stat().st_size / 1000:.0f} kB")


def looks() -> dict[str, Callable[[Any], None]]:
    """Return how to take every widget on every kind of image in both themes."""
    from napari_cutout import catalog

    widgets = ["Try all", *catalog.rows(), "Evaluate", "Compare", "Measure"]
    return {
        f"{widget.lower()}-{kind}-{theme}": partial(look, widget=widget, kind=kind, theme=theme)
        for widget in widgets
        for kind in ("2d", "3d", "multiscale")
        for theme in ("dark", "light")
    }


def look(viewer: Any, widget: str, kind: str, theme: str) -> None:
    """Show a widget at work on a kind of image."""
    viewer.theme = theme
    truth = open_kind(viewer, kind)
    if widget == "Evaluate":
        cut = open_widget(viewer, "Threshold")
        press(cut)
        viewer.window.remove_dock_widget(cut)
    opened = open_widget(viewer, widget)
    if widget == "Compare":
        opened.method_list.choose("threshold", "sauvola", "kmeans")
    if (preview := getattr(opened, "preview_box", None)) is not None:
        truth.visible = widget == "Objects"
        preview.setChecked(True)
        settle(lambda: opened.preview.layer is not None)
    if opened.bar.ready:
        press(opened)
    show_all(viewer)


def open_kind(viewer: Any, kind: str) -> Any:
    """Open nuclei as a kind of image, and return the layer of the truth."""
    name = "nuclei_3d" if kind == "3d" else "nuclei_2d"
    viewer.open_sample("napari-cutout", name)
    image, truth = viewer.layers
    if kind == "multiscale":
        levels = [image.data, image.data[::2, ::2], image.data[::4, ::4]]
        viewer.add_image(levels, name="nuclei_levels", multiscale=True, scale=image.scale, units=image.units)
        viewer.layers.remove(image)
        viewer.layers.move(1, 0)
    viewer.layers.selection.active = viewer.layers[0]
    return truth


def give_a_screen() -> None:
    """Start this program again under Xvfb if there is no display; Qt would abort otherwise."""
    if sys.platform != "linux" or os.environ.get("DISPLAY"):
        return
    if (xvfb := shutil.which("xvfb-run")) is None:
        raise SystemExit("there is no display; set DISPLAY, or install xvfb and xauth")
    os.execv(xvfb, [xvfb, "-a", "-s", "-screen 0 1600x1200x24", sys.executable, *sys.argv])


@contextmanager
def window() -> Iterator[Any]:
    """Open a viewer of the size of a picture, and close it."""
    import napari

    viewer = napari.Viewer(show=True)
    viewer.window.resize(*SIZE)
    try:
        yield viewer
    finally:
        viewer.close()


def settle(until: Callable[[], bool] = lambda: True) -> None:
    """Let Qt work until a condition holds, and then until it has drawn."""
    from qtpy.QtTest import QTest

    while not until():
        QTest.qWait(20)
    QTest.qWait(500)


def save(viewer: Any, path: Path) -> None:
    """Save what the window shows, in as few colours as it takes to stay small."""
    from PIL import Image

    settle()
    picture = Image.fromarray(viewer.screenshot(canvas_only=False, flash=False)).convert("RGB")
    for n_colours in (256, 128, 64, 32):
        few_colours(picture, n_colours).save(path, optimize=True)
        if path.stat().st_size <= MAX_BYTES:
            return
    raise SystemExit(f"{path} has {path.stat().st_size} bytes, and at most {MAX_BYTES} are wanted")


def few_colours(picture: Any, n_colours: int) -> Any:
    """Return a picture in fewer colours: the most frequent as they are, as of backgrounds, and such as are rare."""
    from PIL import Image

    often = [colour for _, colour in sorted(picture.getcolors(1 << 24), reverse=True)[: n_colours // 4]]
    # The other method would give rare colours away, and legends would show none that are in the picture.
    spread = picture.quantize(n_colours - len(often), method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for colour in often for part in colour] + spread.getpalette())
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def open_widget(viewer: Any, name: str, *, below: bool = False) -> Any:
    """Open a widget of the plugin as its menu does, as a tab of those that are open, or moved below them."""
    from qtpy.QtCore import Qt

    from napari_cutout.widgets._use_as import opened  # not before napari knows where its icons are kept

    widget = opened(viewer, name)
    if below:
        widget.window().addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, widget.parent(), Qt.Orientation.Vertical)
    settle()
    return widget


def resize(widget: Any, **size: int) -> None:
    """Give the dock of a widget a width or a height, or both."""
    from qtpy.QtCore import Qt

    dock = widget.parent()
    sides = {"width": Qt.Orientation.Horizontal, "height": Qt.Orientation.Vertical}
    for side, pixels in size.items():
        dock.window().resizeDocks([dock], [pixels], sides[side])
    settle()


def press(widget: Any) -> None:
    """Press the button of a widget and wait for the result."""
    widget.bar.button.click()
    settle(lambda: not widget.bar.running)


def show_all(viewer: Any) -> None:
    """Fit the view to the layers, once the docks have their final width."""
    settle()
    viewer.reset_view()
    settle()


def threshold_2d(viewer: Any) -> None:
    """Li's level on nuclei, and a number for each of them."""
    viewer.open_sample("napari-cutout", "nuclei_2d")
    viewer.layers["nuclei_2d_truth"].visible = False
    widget = open_widget(viewer, "Threshold")
    widget.set(method="li", sigma=1.0, fill_holes=True, min_size=40, one_per_object=True)
    press(widget)
    viewer.layers[-1].opacity = 0.5
    show_all(viewer)


def threshold_3d(viewer: Any) -> None:
    """Nuclei in an anisotropic volume, in 3-D."""
    viewer.open_sample("napari-cutout", "nuclei_3d")
    viewer.layers["nuclei_3d_truth"].visible = False
    widget = open_widget(viewer, "Threshold")
    widget.set(sigma=2.0, min_size=50, one_per_object=True)
    press(widget)
    viewer.layers["nuclei_3d"].visible = False
    viewer.layers[-1].opacity = 1
    viewer.dims.ndisplay = 3
    show_all(viewer)
    viewer.scene.camera.angles = (5, 35, 55)
    viewer.scene.camera.zoom *= 0.75


def histogram(viewer: Any) -> None:
    """Classes by the valleys of the histogram."""
    viewer.open_sample("napari-cutout", "nuclei_2d")
    viewer.layers["nuclei_2d_truth"].visible = False
    widget = open_widget(viewer, "Histogram")
    widget.set(sigma=1.0)
    press(widget)
    viewer.layers[-1].opacity = 0.4
    show_all(viewer)


def evaluate(viewer: Any) -> None:
    """Scores per class and a layer of errors."""
    viewer.open_sample("napari-cutout", "nuclei_2d")
    cut = open_widget(viewer, "Threshold")
    cut.set(sigma=1.0)
    press(cut)
    viewer.window.remove_dock_widget(cut)
    widget = open_widget(viewer, "Evaluate")
    press(widget)
    widget.add_error_layer()
    for layer in viewer.layers[1:-1]:
        layer.visible = False
    resize(widget, width=TABLE_WIDTH)
    show_all(viewer)


def evaluate_objects(viewer: Any) -> None:
    """Show what became of each nucleus, and one of those that were joined."""
    viewer.open_sample("napari-cutout", "nuclei_2d")
    cut = open_widget(viewer, "Threshold")
    cut.set(sigma=1.0, min_size=40, one_per_object=True)
    press(cut)
    viewer.window.remove_dock_widget(cut)
    widget = open_widget(viewer, "Evaluate")
    press(widget)
    widget.tabs.setCurrentWidget(widget.tabs.pages["Objects"])
    resize(widget, width=TABLE_WIDTH)
    show_all(viewer)
    viewer.layers["nuclei_2d_truth"].contour = 1
    viewer.scene.camera.zoom *= 2.5
    table = widget.tabs.objects.table
    kinds, sizes = ([table.value(row, name) for row in range(table.n_rows)] for name in ("kind", "predicted_size"))
    table.selectRow(
        max((size, row) for row, (kind, size) in enumerate(zip(kinds, sizes, strict=True)) if kind == "merged")[1]
    )


def evaluate_object_errors(viewer: Any) -> None:
    """Every nucleus in the colour of what became of it."""
    evaluate_objects(viewer)
    (widget,) = our_docks(viewer)
    widget.add_object_errors()
    settle(lambda: not widget.bar.running)
    for layer in viewer.layers[1:-1]:
        layer.visible = False
    viewer.layers.selection.active = viewer.layers[-1]
    show_all(viewer)
    scroll(widget, widget.tabs.object_errors_button)


def evaluate_boundaries(viewer: Any) -> None:
    """Distances of each pair of matched nuclei, and one of them."""
    evaluate_objects(viewer)
    (widget,) = our_docks(viewer)
    widget.tabs.setCurrentWidget(widget.tabs.pages["Boundaries"])
    widget.measure_boundaries()
    settle(lambda: not widget.bar.running)
    widget.tabs.boundaries.table.selectRow(2)


def evaluate_iou_dice(viewer: Any) -> None:
    """Two results for the same nuclei that mean IoU and mean Dice rank differently."""
    viewer.open_sample("napari-cutout", "nuclei_2d")
    widget = None
    for settings in ({"method": "li"}, {"method": "otsu", "sigma": 1.0}):
        cut = open_widget(viewer, "Threshold")
        cut.set(one_per_object=True, **settings)
        press(cut)
        result = cut.results.last
        viewer.window.remove_dock_widget(cut)
        widget = widget or open_widget(viewer, "Evaluate")
        widget.use("predicted", result)
        press(widget)
    assert widget is not None
    widget.tabs.setCurrentWidget(widget.tabs.pages["IoU against Dice"])
    resize(widget, width=TABLE_WIDTH)
    show_all(viewer)
    viewer.layers["nuclei_2d_truth"].contour = 1
    viewer.scene.camera.zoom *= 2.5
    widget.tabs.agreement.table.selectRow(0)


def evaluate_slices(viewer: Any) -> None:
    """Scores of every slice of a volume, and the errors of one of the worst."""
    viewer.open_sample("napari-cutout", "nuclei_3d")
    cut = open_widget(viewer, "Threshold")
    cut.set(sigma=1.0)
    press(cut)
    viewer.window.remove_dock_widget(cut)
    widget = open_widget(viewer, "Evaluate")
    press(widget)
    widget.add_error_layer()
    for layer in viewer.layers[1:-1]:
        layer.visible = False
    widget.tabs.setCurrentWidget(widget.tabs.pages["Slices"])
    widget.tabs.plot.show_slice(widget.tabs.plot.canvas.curves.worst[0])
    show_all(viewer)


def napari_cutout(viewer: Any) -> None:
    """Show the plugin at work: an image, its labels, where they are wrong, and both widgets, one above the other."""
    viewer.open_sample("napari-cutout", "nuclei_2d")
    image, truth = viewer.layers
    cut = open_widget(viewer, "Threshold")
    cut.set(method="li", sigma=1.0, fill_holes=True, min_size=40, one_per_object=True)
    press(cut)
    widget = open_widget(viewer, "Evaluate", below=True)
    press(widget)
    widget.add_error_layer()
    resize(widget, width=TABLE_WIDTH, height=450)
    # Two cells, three layers each: the hidden truth, the image and its labels above, the image and the errors below.
    viewer.layers.move(viewer.layers.index(truth), 0)
    truth.visible = False
    beside = viewer.add_image(image.data, name="nuclei_2d again", scale=image.scale, units=image.units)
    viewer.layers.move(viewer.layers.index(beside), 3)
    viewer.layers.selection.active = viewer.layers[-1]
    grid = viewer.canvas.grid
    grid.enabled, grid.stride, grid.shape = True, 3, (2, 1)
    show_all(viewer)


def try_all(viewer: Any) -> None:
    """Show what every method makes of nuclei, before anything is annotated."""
    viewer.open_sample("napari-cutout", "nuclei_2d")
    viewer.layers["nuclei_2d_truth"].visible = False
    widget = open_widget(viewer, "Try all")
    resize(widget, width=TABLE_WIDTH)
    show_all(viewer)
    press(widget)


def try_all_adopted(viewer: Any) -> None:
    """Open a method by a click on its picture: its widget says what gave it."""
    try_all(viewer)
    (widget,) = our_docks(viewer)
    opened = widget.adopt("sauvola")
    opened.preview_box.setChecked(True)
    settle(lambda: opened.preview.layer is not None)
    show_all(viewer)


def paint_strokes(viewer: Any, widget: Any) -> None:
    """Paint a few strokes as a user would: on nuclei, bright and dim, and close beside them."""
    import numpy as np
    from scipy.ndimage import center_of_mass, distance_transform_edt

    truth = viewer.layers["nuclei_2d_truth"].data
    widget.truth_field.add_button.click()
    strokes = viewer.layers["annotation"]
    nuclei = np.round(center_of_mass(truth > 0, truth, np.unique(truth)[3::7])).astype(int)
    apart = distance_transform_edt(truth == 0)
    beside = np.argwhere((apart > 3) & (apart < 4))[::400]
    for label, places in ((1, nuclei), (2, beside)):
        for y, x in places:
            at = slice(max(y - 1, 0), y + 2), slice(max(x - 7, 0), x + 8)
            strokes.data[at][(truth[at] > 0) == (label == 1)] = label
    strokes.refresh()
    strokes.events.paint(value=[])  # as the brush would say it


def compare_strokes(viewer: Any) -> Any:
    """Paint on some nuclei, and beside them with another label: that is all the annotation."""
    viewer.open_sample("napari-cutout", "nuclei_2d")
    viewer.layers["nuclei_2d_truth"].visible = False
    widget = open_widget(viewer, "Compare")
    paint_strokes(viewer, widget)
    settle(lambda: widget.unpainted == "not annotated")
    resize(widget, width=TABLE_WIDTH)
    show_all(viewer)
    return widget


def compare(viewer: Any) -> None:
    """Tune methods on strokes, rank them on strokes held out, and look at the labels of a row."""
    widget = compare_strokes(viewer)
    widget.method_list.choose("threshold", "sauvola", "local_mean", "kmeans", "gaussian_mixture", "watershed")
    widget.rules.tune_box.setChecked(True)
    widget.rules.numbers["budget"].setValue(8)
    press(widget)
    widget.table.selectRow(0)
    scroll(widget, widget.table)
    show_all(viewer)


def compare_applied(viewer: Any) -> None:
    """Apply the recipe of a row to all of a volume; below is what can be done with the result."""
    viewer.open_sample("napari-cutout", "nuclei_3d")
    viewer.layers["nuclei_3d_truth"].visible = False
    widget = open_widget(viewer, "Compare")
    widget.method_list.choose("threshold", "kmeans", "sauvola", "split_touching")
    press(widget)
    resize(widget, width=TABLE_WIDTH)
    widget.table.selectRow(0)
    widget.apply()
    settle(lambda: not widget.bar.running)
    scroll(widget, widget.table)
    in_3d(viewer, widget.results.last)


def walk_preview(viewer: Any) -> None:
    """Preview of a threshold, and the histogram with its line."""
    viewer.open_sample("napari-cutout", "nuclei_2d")
    viewer.layers["nuclei_2d_truth"].visible = False
    widget = open_widget(viewer, "Threshold")
    widget.set(sigma=1.0)
    widget.preview_box.setChecked(True)
    settle(lambda: widget.preview.layer is not None)
    show_all(viewer)


def walk_line(viewer: Any) -> None:
    """Drag the line: another method, and its value in the form."""
    walk_preview(viewer)
    (widget,) = our_docks(viewer)
    plot = widget.extras["histogram"].view.plot
    settle(lambda: bool(plot.levels))
    plot.canvas.set_level(0, 380.0)
    settle(lambda: widget.method.name == "threshold_at")
    show_all(viewer)


def walk_run(viewer: Any) -> None:
    """Give each nucleus a number; below is what can be done with the result."""
    walk_line(viewer)
    (widget,) = our_docks(viewer)
    widget.set(one_per_object=True, fill_holes=True, min_size=40)
    widget.preview_box.setChecked(False)
    press(widget)
    viewer.layers[-1].opacity = 0.5


def measure(viewer: Any) -> None:
    """Measure each nucleus: a row for each."""
    walk_run(viewer)
    (cut,) = our_docks(viewer)
    result = cut.results.last
    viewer.window.remove_dock_widget(cut)
    widget = open_widget(viewer, "Measure")
    widget.labels_box.choose(result)
    press(widget)
    resize(widget, width=TABLE_WIDTH)
    show_all(viewer)


def touching(viewer: Any, name: str) -> Any:
    """Cut nuclei by a threshold, and return the layer of those that touch as one."""
    viewer.open_sample("napari-cutout", name)
    viewer.layers[f"{name}_truth"].visible = False
    cut = open_widget(viewer, "Threshold")
    solid = {"sigma": 2.0, "min_size": 50} if name.endswith("3d") else {"sigma": 1.0, "method": "li", "min_size": 40}
    cut.set(fill_holes=True, one_per_object=True, **solid)
    press(cut)
    labels = cut.results.last
    labels.name = "touching"
    viewer.window.remove_dock_widget(cut)
    return labels


def split_before(viewer: Any) -> None:
    """Nuclei that touch have one number, and the widget says how many objects it would make of them."""
    touching(viewer, "nuclei_2d").opacity = 0.6
    widget = open_widget(viewer, "Split touching")
    widget.set(depth=0.5)
    widget.preview_box.setChecked(True)
    settle(lambda: "objects" in widget.bar.status.text())
    viewer.layers["preview"].visible = False
    show_all(viewer)


def split_touching(viewer: Any) -> None:
    """Cut the same nuclei where they are narrow."""
    touching(viewer, "nuclei_2d").visible = False
    widget = open_widget(viewer, "Split touching")
    widget.set(depth=0.5)
    press(widget)
    widget.results.last.opacity = 0.6
    show_all(viewer)


def split_touching_3d(viewer: Any) -> None:
    """Nuclei of an anisotropic volume, cut apart, in 3-D."""
    touching(viewer, "nuclei_3d").visible = False
    widget = open_widget(viewer, "Split touching")
    widget.set(depth=0.5)
    press(widget)
    in_3d(viewer, widget.results.last)


def watershed_2d(viewer: Any) -> None:
    """Flood from a point in each nucleus, inside a mask, up to the edges."""
    import numpy as np
    from scipy.ndimage import center_of_mass

    mask = touching(viewer, "nuclei_2d")
    mask.visible = False
    image, truth = viewer.layers["nuclei_2d"], viewer.layers["nuclei_2d_truth"].data
    middles = center_of_mass(truth > 0, truth, np.unique(truth)[1:])
    place = {"scale": image.scale, "units": image.units}
    points = viewer.add_points(middles, name="one per nucleus", size=4, face_color="white", **place)
    widget = open_widget(viewer, "Watershed")
    widget.boxes["markers"].choose(points)
    widget.boxes["mask"].choose(mask)
    widget.set(surface="gradient", sigma=2.0)
    press(widget)
    widget.results.last.opacity = 0.6
    viewer.layers.move(viewer.layers.index(points), -1)
    show_all(viewer)


def watershed_3d(viewer: Any) -> None:
    """Regions from every minimum that is deep enough, inside a mask, in 3-D."""
    mask = touching(viewer, "nuclei_3d")
    mask.visible = False
    widget = open_widget(viewer, "Watershed")
    widget.choose_method("watershed_from_minima")
    widget.boxes["image"].choose(viewer.layers["nuclei_3d"])
    widget.boxes["mask"].choose(mask)
    widget.set(surface="inverted", sigma=2.0)
    press(widget)
    in_3d(viewer, widget.results.last)


def watershed_minima(viewer: Any) -> None:
    """Markers that were found, previewed and counted while the depth is chosen."""
    mask = touching(viewer, "nuclei_2d")
    mask.visible = False
    widget = open_widget(viewer, "Watershed")
    widget.choose_method("markers_from_minima")
    widget.boxes["mask"].choose(mask)
    widget.set(surface="inverted", sigma=2.0, depth=20.0)
    widget.preview_box.setChecked(True)
    settle(lambda: "minima" in widget.bar.status.text())
    show_all(viewer)


def watershed_gradient(viewer: Any) -> None:
    """Flood from a stroke in each coin and one around them all, up to the edges between."""
    import numpy as np
    from scipy.ndimage import center_of_mass, distance_transform_edt, label

    viewer.open_sample("napari-cutout", "coins")
    truth = viewer.layers["coins_truth"]
    truth.visible = False
    coins, n = label(truth.data > 0)
    widget = open_widget(viewer, "Watershed")
    widget.add_layer("markers")
    strokes = viewer.layers["markers"]
    strokes.data[distance_transform_edt(coins == 0) > 14] = 1
    for number, at in enumerate(np.round(center_of_mass(coins > 0, coins, range(1, n + 1))).astype(int)):
        strokes.data[tuple(slice(i - 3, i + 4) for i in at)] = number + 2
    strokes.refresh()
    widget.set(surface="gradient", sigma=1.0)
    press(widget)
    result = widget.results.last
    result.opacity, result.contour = 0.8, 2
    strokes.opacity = 0.5
    show_all(viewer)


def random_walker(viewer: Any) -> None:
    """Paint a stroke on every coin and some between them; the result follows the last of them."""
    viewer.open_sample("napari-cutout", "coins")
    truth = viewer.layers["coins_truth"]
    truth.visible = False
    widget = open_widget(viewer, "Random walker")
    widget.add_layer("markers")
    strokes = viewer.layers["markers"]
    strokes.brush_size = 5
    *first, last = _coin_strokes(truth.data)
    for label, ends in first:
        draw(strokes, label, *ends)
    strokes.selected_label = 1
    widget.set(background=2)
    press(widget)
    result = widget.results.last
    result.opacity = 0.5
    assert not result.data[truth.data == truth.data[tuple(map(int, last[1][0]))]].any()
    ran = []
    widget.ran.connect(lambda *_: ran.append(True))
    draw(strokes, last[0], *last[1])
    settle(lambda: bool(ran) and not widget.bar.running)
    coins = result.data[truth.data > 0]
    assert (coins == 1).mean() > 0.9
    show_all(viewer)


def graph_based(viewer: Any) -> None:
    """Find the regions of coins while the scale is moved."""
    viewer.open_sample("napari-cutout", "coins")
    viewer.layers["coins_truth"].visible = False
    widget = open_widget(viewer, "Graph-based")
    widget.set(scale=1000.0)
    widget.preview_box.setChecked(True)
    settle(lambda: widget.preview.layer is not None)
    show_all(viewer)


def graph_hierarchy(viewer: Any) -> None:
    """Merge superpixels of the coins, and move through all merges."""
    viewer.open_sample("napari-cutout", "coins")
    viewer.layers["coins_truth"].visible = False
    widget = open_widget(viewer, "Graph-based")
    widget.choose_method("merge_regions")
    widget.set(criterion="boundary")
    press(widget)
    row = widget.findChild(_hierarchy_row())
    row.slider.moved.emit(40)
    settle(lambda: row.cut is not None and row.cut.n_regions == 40)
    result = widget.results.last
    result.opacity, result.contour = 0.9, 1
    scroll(widget, row)
    show_all(viewer)


def _hierarchy_row() -> type[Any]:
    from napari_cutout.widgets._hierarchy_row import HierarchyRow

    return HierarchyRow


def draw(strokes: Any, label: int, start: Any, stop: Any) -> None:
    """Paint one stroke, as a mouse does."""
    import numpy as np

    with strokes.block_history():
        for at in np.linspace(start, stop, int(np.hypot(*np.subtract(stop, start)) / 2) + 2):
            strokes.paint(tuple(at), label)


def _coin_strokes(truth: Any) -> list[Any]:
    """Return strokes between the rows of coins, with label 2, and on every coin, with label 1."""
    import numpy as np
    from scipy.ndimage import center_of_mass

    middles = center_of_mass(truth > 0, truth, np.unique(truth)[1:])
    between = [(2, ((y, 8), (y, 310))) for y in (6, 88, 160, 230, 297)]
    return between + [(1, (np.round(np.add(at, (-5, -9))), np.round(np.add(at, (4, 9))))) for at in middles]


def kmeans(viewer: Any) -> None:
    """Stain and tissue of a histological section, told apart by their colours."""
    viewer.open_sample("napari-cutout", "immunohistochemistry")
    widget = open_widget(viewer, "k-means")
    widget.set(sigma=1.0)
    press(widget)
    result = widget.results.last
    result.opacity, result.contour = 0.9, 0
    show_all(viewer)


def mixture(viewer: Any) -> Any:
    """Fit a mixture to nuclei, and return the widget."""
    viewer.open_sample("napari-cutout", "nuclei_2d")
    viewer.layers["nuclei_2d_truth"].visible = False
    widget = open_widget(viewer, "Gaussian mixture")
    widget.set(smoothness=2.0)
    press(widget)
    widget.results.last.opacity = 0.5
    return widget


def gaussian_mixture(viewer: Any) -> None:
    """Components over the histogram, in the colours of the classes."""
    widget = mixture(viewer)
    widget.extras["histogram"].view.plot.scale = "log"
    show_all(viewer)
    scroll(widget, widget.extras["histogram"])


def uncertainty(viewer: Any) -> None:
    """Where the mixture is not sure."""
    widget = mixture(viewer)
    bar = widget.extras["probabilities"].bars["uncertainty"]
    bar.button.click()
    settle(lambda: not bar.running)
    show_all(viewer)


def feature_picker(viewer: Any) -> None:
    """Choose what voxels are compared by, and look at one of the features."""
    viewer.open_sample("napari-cutout", "coins")
    viewer.layers["coins_truth"].visible = False
    widget = open_widget(viewer, "k-means")
    widget.set(features=("intensity", "gaussian", "gradient", "variance"), n_clusters=2)
    row = widget.extras["features"]
    row.box.setCurrentText("variance 3")
    settle(lambda: row.preview.layer is not None)
    show_all(viewer)
    scroll(widget, row)


def scroll(widget: Any, to: Any) -> None:
    """Scroll the form of a widget until a part of it is in view."""
    settle()
    widget._column.ensureWidgetVisible(to)
    settle()


def in_3d(viewer: Any, labels: Any) -> None:
    """Show labels alone, in 3-D, a little from the side."""
    for layer in viewer.layers:
        layer.visible = layer is labels
    labels.opacity = 1
    viewer.dims.ndisplay = 3
    show_all(viewer)
    viewer.scene.camera.angles = (5, 35, 55)
    viewer.scene.camera.zoom *= 0.75


def our_docks(viewer: Any) -> list[Any]:
    """Return the widgets of the plugin that are open."""
    from napari_cutout.widgets._dock import docks

    return docks(viewer)


def unet(viewer: Any) -> None:
    """Train on two sections of a stack that were painted completely, and label all of it; the curves stand below."""
    viewer.open_sample("napari-cutout", "membranes")
    truth = viewer.layers["membranes_truth"]
    truth.visible = False
    widget = open_widget(viewer, "U-Net")
    row: Any = widget.extras["training"]
    row.field.add_button.click()
    annotation = viewer.layers["annotation"]
    painted = annotation.data.copy()
    painted[[1, 5]] = truth.data[[1, 5]]
    annotation.data = painted
    annotation.visible = False
    row.settings.learn_box.setCurrentText("planes")
    row.settings.width_box.setValue(8)
    row.settings.steps_box.setValue(150)
    row.settings.minutes_box.setValue(30.0)  # a busy machine takes no fewer steps
    row.bar.button.click()
    settle(lambda: not row.bar.running)
    row.shown.clear()
    press(widget)
    found = widget.results.last
    found.opacity = 0.5
    rest = [at for at in range(len(painted)) if at not in (1, 5)]
    assert (found.data[rest] == truth.data[rest]).mean() > 0.8
    viewer.dims.set_point(0, viewer.dims.range[0].step * 3)
    scroll(widget, row.plot.reading)
    show_all(viewer)


PICTURES: dict[str, Callable[[Any], None]] = {
    "threshold-2d": threshold_2d,
    "threshold-3d": threshold_3d,
    "histogram": histogram,
    "evaluate": evaluate,
    "evaluate-objects": evaluate_objects,
    "evaluate-object-errors": evaluate_object_errors,
    "evaluate-boundaries": evaluate_boundaries,
    "evaluate-iou-dice": evaluate_iou_dice,
    "evaluate-slices": evaluate_slices,
    "napari-cutout": napari_cutout,
    "try-all": try_all,
    "try-all-adopted": try_all_adopted,
    "compare-strokes": compare_strokes,
    "compare": compare,
    "compare-applied": compare_applied,
    "walk-preview": walk_preview,
    "walk-line": walk_line,
    "walk-run": walk_run,
    "measure": measure,
    "split-before": split_before,
    "split-touching": split_touching,
    "split-touching-3d": split_touching_3d,
    "watershed-2d": watershed_2d,
    "watershed-3d": watershed_3d,
    "watershed-minima": watershed_minima,
    "watershed-gradient": watershed_gradient,
    "random-walker": random_walker,
    "graph-based": graph_based,
    "graph-hierarchy": graph_hierarchy,
    "unet": unet,
    "kmeans": kmeans,
    "gaussian-mixture": gaussian_mixture,
    "uncertainty": uncertainty,
    "feature-picker": feature_picker,
}

if __name__ == "__main__":
    raise SystemExit(main())
