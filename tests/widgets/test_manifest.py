"""The manifest, the sample data, and what importing the widgets costs."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from npe2 import PluginManifest

from napari_cutout import catalog, samples, widgets
from napari_cutout.widgets import manifest


def test_the_manifest_is_what_the_catalog_gives():
    assert manifest.PATH.read_text(encoding="utf-8") == manifest.text()
    assert manifest.main(["--check"]) == 0


def test_check_fails_on_another_manifest(tmp_path, monkeypatch, capsys):
    path = tmp_path / "napari.yaml"
    monkeypatch.setattr(manifest, "PATH", path)
    assert manifest.main(["--check"]) == 1
    assert manifest.main([]) == 0
    assert manifest.main(["--check"]) == 0
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert manifest.main(["--check"]) == 1
    assert "napari.yaml is out of date; run python -m napari_cutout.widgets.manifest" in capsys.readouterr().err
    assert manifest.main(["--chekc"]) == 2
    assert "the only argument is --check, got --chekc" in capsys.readouterr().err


def test_npe2_accepts_it_and_finds_what_it_names():
    found = PluginManifest.from_file(manifest.PATH)
    found.validate_imports()
    commands = {command.id for command in found.contributions.commands}
    kinds = ("widgets", "sample_data", "readers", "writers")
    named = {entry.command for kind in kinds for entry in getattr(found.contributions, kind)}
    named |= {
        item.command for items in found.contributions.menus.values() for item in items if hasattr(item, "command")
    }
    assert named == commands


def test_every_row_with_try_all_recipe_and_the_doctor_stands_in_the_submenu_and_the_others_under_measure():
    menus = manifest.manifest()["contributions"]["menus"]
    assert len(menus["napari-cutout/segment"]) == len(catalog.rows()) + 3
    first, *_, other, last = menus["napari-cutout/segment"]
    assert first["command"] == "napari-cutout.try_all_widget"
    assert other["command"] == "napari-cutout.recipe_widget"
    assert last["command"] == "napari-cutout.doctor"
    assert last["group"] > other["group"]
    assert menus["napari/layers/segment"] == [{"submenu": "napari-cutout/segment"}]
    measure = [item["command"] for item in menus["napari/layers/measure"]]
    assert measure == [f"napari-cutout.{name}_widget" for name in ("measure", "evaluate", "compare")]


@pytest.mark.parametrize(
    ("row", "name"),
    [("Threshold", "ThresholdWidget"), ("k-means", "KMeansWidget"), ("Random walker", "RandomWalkerWidget")],
)
def test_class_names(row, name):
    assert manifest.class_name(row) == name


@pytest.mark.parametrize("name", ["nonsense", "NonsenseWidget", "sample_nonsense"])
def test_other_names_are_no_attributes(name):
    with pytest.raises(AttributeError, match=name):
        getattr(widgets, name)


def test_importing_the_widgets_loads_neither_qt_nor_napari():
    code = (
        "import sys, napari_cutout.widgets; "
        "print([m for m in ('qtpy', 'napari', 'magicgui', 'superqt', 'numba', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["nuclei_2d", "nuclei_3d", "coins", "membranes"])
def test_an_annotated_sample_gives_the_image_and_its_truth_on_it(name):
    (image, image_options, kind), (truth, truth_options, truth_kind) = getattr(widgets, f"sample_{name}")()
    expected = samples.sample(name)
    assert (kind, truth_kind) == ("image", "labels")
    np.testing.assert_array_equal(image, expected.image.data)
    np.testing.assert_array_equal(truth, expected.truth.data)
    for key in ("scale", "units"):
        assert image_options.get(key) == truth_options.get(key)
    if name == "nuclei_3d":
        assert image_options["scale"] == (2.0, 0.5, 0.5)
        assert image_options["units"] == ("micrometer",) * 3


def test_a_picture_in_colour_is_an_rgb_layer_without_truth():
    ((picture, options, kind),) = widgets.sample_astronaut()
    assert (kind, options["rgb"], picture.shape) == ("image", True, (512, 512, 3))


@pytest.mark.qt
def test_samples_open_from_the_menu(viewer):
    viewer.open_sample("napari-cutout", "nuclei_3d")
    image, truth = viewer.layers
    assert (image.name, truth.name) == ("nuclei_3d", "nuclei_3d_truth")
    np.testing.assert_array_equal(image.scale, (2, 0.5, 0.5))
    assert str(image.units[0]) == str(truth.units[0]) == "micrometer"


@pytest.mark.qt
def test_widgets_stand_in_the_menus(viewer):
    from napari._app_model import get_app_model

    menus = get_app_model().menus
    segment = [item.title for item in menus.get_menu("napari/layers/segment") if hasattr(item, "submenu")]
    assert "Cutout" in segment
    cutout = [item.command.title for group in menus.iter_menu_groups("napari-cutout/segment") for item in group]
    needs = ["image", "strokes", "model", "labels"]
    rows = sorted(catalog.rows(), key=lambda row: min(needs.index(method.needs) for method in catalog.rows()[row]))
    assert [title.partition(" (")[0] for title in cutout] == ["Try all", *rows, "Recipe", "Doctor"]
    measure = [item.command.title for item in menus.get_menu("napari/layers/measure")]
    for name in ("Evaluate", "Measure", "Compare"):
        assert any(title.startswith(name) for title in measure)
