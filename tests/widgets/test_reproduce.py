"""What a layer says of how it was made gives its pixels again: as Python, as a command, as a saved recipe."""

from __future__ import annotations

import json
import shlex
from functools import partial

import numpy as np
import pytest
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFileDialog

import napari_cutout as nc
from napari_cutout import catalog, io
from napari_cutout.cli import main
from napari_cutout.recipe import Recipe

from ..cases import settings_of, two_humps

pytestmark = pytest.mark.qt

METHODS = list(catalog.methods().values())
AXES = ("t", "c", "z", "y", "x")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def open_file(viewer, here):
    """Save an array as a file and open it as napari would, with its axes."""

    def save_and_open(name, array, axes="yx", kind="image"):
        spatial = sum(axis in "zyx" for axis in axes)
        volume = io.Volume(array, axes, (0.5,) * spatial, "micrometer")
        io.write(f"{name}.tif", volume, kind=kind)
        scale = [0.5 if axis in "zyx" else 1.0 for axis in axes]
        (layer,) = viewer.open(f"{name}.tif", plugin="napari", layer_type=kind, name=name)
        layer.scale, layer.axis_labels = scale, tuple(axes)
        return layer

    return save_and_open


@pytest.fixture
def copied(qtbot):
    """Return what a press on Copy puts on the clipboard."""

    def copy(widget, form):
        with qtbot.waitSignal(widget.result_bar.copied) as told:
            widget.result_bar.copy(form)
        assert QGuiApplication.clipboard().text() == told.args[0]
        return told.args[0]

    return copy


def run_python(text):
    """Run a copied script and return the labels that it wrote."""
    names = {}
    exec(compile(text, "copied.py", "exec"), names)
    return names["labels"]


def run_command(text):
    """Run a copied command and return the labels that it wrote."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    words = shlex.split(" ".join(lines))
    assert words[0] == "napari-cutout"
    assert main([*words[1:], "--overwrite"]) == 0
    return io.read("labels.tif").data


@pytest.fixture
def check_all(copied):
    """Hold the three ways to the pixels of the layer."""
    return partial(hold_to, copied)


def hold_to(copied, widget, layer):
    expected = np.asarray(layer.data)
    assert expected.any()
    np.testing.assert_array_equal(np.squeeze(run_python(copied(widget, "python"))), np.squeeze(expected))
    widget.result_bar.save("recipe.json")
    np.testing.assert_array_equal(np.squeeze(run_command(copied(widget, "command"))), np.squeeze(expected))


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_every_method_is_reproduced(method, viewer, dock, press, open_file, check_all):
    image = two_humps((40, 52), dtype="uint16")
    strokes = np.zeros(image.shape, np.uint8)
    strokes[image > np.quantile(image, 0.9)], strokes[image < np.quantile(image, 0.2)] = 1, 2
    if method.source.name == "labels":
        source = open_file("classes", np.searchsorted([8000, 20000], image).astype(np.uint8), kind="labels")
    else:
        source = open_file("nuclei", image)
    painted = open_file("strokes", strokes, kind="labels")
    mask = open_file("inside", (np.indices(image.shape)[0] > 8).astype(np.uint8), kind="labels")
    chosen = {"markers": painted, "mask": mask}
    if "regions" in {p.name for p in method.arrays}:
        cells = np.arange(1, 131, dtype=np.uint8).reshape(10, 13)
        chosen["regions"] = open_file("cells", np.kron(cells, np.ones((4, 4), np.uint8)), kind="labels")
    widget = dock(method.row)
    widget.choose_method(method.name)
    widget.set(**settings_of(method))
    for name, box in widget.boxes.items():
        if name in {p.name for p in method.arrays}:
            box.choose(chosen.get(name, source))
    press(widget)
    layer = widget.results.last
    assert layer is not None, widget.bar.status.text()
    check_all(widget, layer)


@pytest.mark.parametrize(
    ("axes", "shape", "choice"),
    [
        ("tyx", (3, 40, 52), {"letters": "tyx", "time": "each"}),
        ("tyx", (3, 40, 52), {"letters": "tyx", "time": "pooled"}),
        ("tyx", (3, 40, 52), {"letters": "tyx", "time": "this"}),
        ("zyx", (4, 30, 32), {"letters": "zyx", "depth": "each"}),
        ("zyx", (4, 30, 32), {"letters": "zyx", "depth": "this"}),
        ("cyx", (2, 40, 52), {"letters": "cyx", "channel": 1}),
        ("tzyx", (2, 3, 30, 32), {"letters": "tzyx", "time": "each", "depth": "together"}),
    ],
    ids=["frames", "pooled", "one frame", "slices", "one slice", "channel", "volumes in time"],
)
def test_what_was_run_on_is_reproduced(axes, shape, choice, viewer, dock, press, open_file, check_all):
    image = (
        two_humps(shape, dtype="uint16")
        + (np.arange(shape[0]) * 900).astype(np.uint16)[(slice(None), *(None,) * (len(shape) - 1))]
    )
    open_file("nuclei", image, axes)
    viewer.dims.set_point(0, 1)
    widget = dock("Threshold")
    widget.target_rows.choose(**choice)
    widget.set(one_per_object=True, sigma=1.0)
    press(widget)
    check_all(widget, widget.results.last)


def test_labels_of_labels_are_reproduced_from_the_image(viewer, dock, press, open_file, check_all):
    image = two_humps((40, 52), dtype="uint16")
    open_file("nuclei", image)
    first = dock("Threshold")
    first.choose_method("multi_otsu")
    press(first)
    classes = first.results.last
    second = dock("Objects")
    second.boxes["labels"].choose(classes)
    second.set(classes=(3,), min_size=4)
    press(second)
    recipe = Recipe.from_json(second.results.last.metadata["napari_cutout"]["recipe"])
    assert [step.method for step in recipe.steps] == ["multi_otsu", "objects"]
    assert recipe.inputs == ("image",)
    check_all(second, second.results.last)


def test_edited_labels_are_an_input_of_their_own(viewer, dock, press, open_file):
    open_file("nuclei", two_humps((40, 52), dtype="uint16"))
    first = dock("Threshold")
    press(first)
    classes = first.results.last
    classes.data[:6, :6] = 1
    classes.refresh()
    second = dock("Objects")
    second.boxes["labels"].choose(classes)
    press(second)
    recipe = Recipe.from_json(second.results.last.metadata["napari_cutout"]["recipe"])
    assert [step.method for step in recipe.steps] == ["objects"]
    second.result_bar.save("recipe.json")
    assert io.read("recipe.labels.tif").data[:6, :6].all()


def test_strokes_are_saved_as_they_were_when_it_ran(viewer, dock, press, open_file, here):
    image = two_humps((40, 52), dtype="uint16")
    open_file("nuclei", image)
    widget = dock("Histogram")
    widget.choose_method("back_projection")
    widget.add_layer("markers")
    strokes = viewer.layers["markers"]
    strokes.data[image > np.quantile(image, 0.9)] = 1
    strokes.refresh()
    press(widget)
    layer, before = widget.results.last, strokes.data.copy()
    strokes.data[:] = 0
    strokes.refresh()
    widget.result_bar.save("recipe.json")
    assert "markers beside it" in widget.bar.status.text()
    np.testing.assert_array_equal(io.read("recipe.markers.tif").data, before)
    assert main(["run", "recipe.json", "nuclei.tif", "labels.tif"]) == 0
    np.testing.assert_array_equal(io.read("labels.tif").data, layer.data)
    (here / "recipe.markers.tif").unlink()
    assert main(["run", "recipe.json", "nuclei.tif", "again.tif"]) != 0


def test_a_saved_layer_brings_its_recipe_back(viewer, dock, press, open_file):
    image = two_humps((40, 52), dtype="uint16")
    open_file("nuclei", image)
    widget = dock("Threshold")
    widget.set(method="li", fill_holes=True)
    press(widget)
    layer = widget.results.last
    layer.save("labels.ome.tif", plugin="napari-cutout")
    (again,) = viewer.open("labels.ome.tif", plugin="napari-cutout")
    ours = json.loads(json.dumps(again.metadata["napari_cutout"]))
    recipe = Recipe.from_json(ours["recipe"])
    np.testing.assert_array_equal(nc.execute(recipe, {"image": image}).labels, layer.data)
    assert ours["provenance"]["sources"]["image"]["layer"] == "nuclei"


def test_labels_that_were_edited_after_opening_are_not_read_from_their_file(viewer, dock, press, open_file, copied):
    classes = np.zeros((20, 30), np.uint8)
    classes[2:6, 2:6] = classes[10:15, 4:9] = 1
    layer = open_file("classes", classes, kind="labels")
    layer.data[2:6, 20:25] = 1
    layer.refresh()
    widget = dock("Objects")
    widget.boxes["labels"].choose(layer)
    press(widget)
    assert widget.results.last.data.max() == 3
    assert "classes.tif" not in copied(widget, "python")
    assert "save the layer" in copied(widget, "command")


def test_saving_replaces_no_file_that_nobody_was_asked_about(viewer, dock, press, open_file, here, monkeypatch):
    open_file("nuclei", two_humps((40, 52), dtype="uint16"))
    mask = open_file("inside", np.ones((40, 52), np.uint8), kind="labels")
    widget = dock("Threshold")
    widget.boxes["mask"].choose(mask)
    press(widget)
    (here / "new.mask.tif").write_bytes(b"mine")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(here / "new.json"), ""))
    widget.result_bar.save_button.click()
    assert (here / "new.mask.tif").read_bytes() == b"mine"
    assert "new.mask.tif is there already" in widget.bar.status.text()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(here / "other.json"), ""))
    for _ in range(2):  # again, over what it wrote itself
        widget.result_bar.save_button.click()
        assert "saved other.json, and mask beside it" in widget.bar.status.text()
