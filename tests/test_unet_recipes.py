"""Models in recipes: paths that are kept as text, models in memory that are not written, and what is told of both."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout import catalog
from napari_cutout._code import as_python
from napari_cutout._held import from_folder, to_folder
from napari_cutout._sources import Source
from napari_cutout.recipe import as_dict, with_provenance
from napari_cutout.unet._backend import weights_of
from napari_cutout.unet.architecture import architecture_for
from napari_cutout.unet.model import network
from napari_cutout.unet.trained import UNetModel

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

IMAGE = np.random.default_rng(0).normal(0, 1, (16, 24)).astype(np.float32)


def a_model(seed: int = 0, name: str = "cells") -> UNetModel:
    a = architecture_for((16, 16), width=2, depth=1)
    weights = weights_of(network(a, seed=seed))
    weights["last.weight"] = weights["last.weight"] * 100
    return UNetModel(a, weights, (0, 1), name=name)


def recipe_of(model: object) -> nc.Recipe:
    return nc.Recipe([nc.Step("unet_predict", {"model": model})])


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A folder that the program runs in, with a model in it."""
    monkeypatch.chdir(tmp_path)
    a_model().save(tmp_path / "cells")
    return tmp_path


def test_a_path_is_kept_as_text(here):
    step = nc.Step("unet_predict", {"model": Path("cells")})
    assert step.settings["model"] == "cells"
    assert step == nc.Step("unet_predict", {"model": "cells"})
    recipe = recipe_of("cells")
    assert nc.Recipe.from_json(recipe.to_json()) == recipe
    found = nc.run(recipe, IMAGE, device="cpu")
    np.testing.assert_array_equal(found.labels, nc.unet_predict(IMAGE, model="cells"))
    assert found.provenance["recipe"]["steps"][0]["settings"]["model"] == "cells"


@pytest.mark.parametrize(
    ("model", "error", "sentence"),
    [
        (5, TypeError, "model must be a U-Net or the path of one, got 5 of type int"),
        (None, TypeError, "got None of type NoneType"),
        (b"cells", TypeError, "got b'cells' of type bytes"),
        (np.zeros(3), TypeError, "model must be a U-Net or the path of one, got"),
        ("", ValueError, "model must be the path of a U-Net, got ''"),
        ({"name": "cells", "sha256": "ab"}, ValueError, "model was in memory alone when this was written: 'cells'"),
    ],
)
def test_what_is_no_model_is_refused_before_anything_runs(model, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        recipe_of(model)
    with pytest.raises(error, match=re.escape(sentence)):
        nc.unet_predict(IMAGE, model=model)


def test_provenance_names_the_model_and_what_ran_it(here):
    recipe = recipe_of("cells")
    first = nc.run(recipe, IMAGE, device="cpu").provenance
    assert first["facts"]["model"] == "cells"
    assert first["facts"]["model_sha256"] == a_model().digest
    assert first["versions"]["torch"] == torch.__version__
    assert "onnxruntime" not in first["versions"]
    a_model(seed=1).save(here / "cells", overwrite=True)
    second = nc.run(recipe, IMAGE, device="cpu").provenance
    assert second["facts"]["model_sha256"] == a_model(seed=1).digest != first["facts"]["model_sha256"]
    assert "torch" not in nc.run(nc.Recipe([nc.Step("threshold")]), IMAGE).provenance["versions"]


def test_a_model_in_memory_runs_and_says_what_it_was(here):
    model = a_model()
    found = nc.run(recipe_of(model), IMAGE, device="cpu")
    np.testing.assert_array_equal(found.labels, nc.unet_predict(IMAGE, model="cells"))
    told = {"name": "cells", "sha256": model.digest}
    assert found.provenance["recipe"]["steps"][0]["settings"]["model"] == told
    assert found.provenance["steps"][0]["settings"]["model"] == told
    text = with_provenance(recipe_of(model), found.provenance, here)
    with pytest.raises(ValueError, match="step 1 of the recipe is not right: model was in memory alone"):
        nc.Recipe.from_json(text)


def test_a_model_in_memory_is_not_written(here):
    recipe = recipe_of(a_model())
    for write in (recipe.to_json, lambda: recipe.save(here / "recipe.json")):
        with pytest.raises(ValueError, match="step 1, unet_predict, has a model that is in memory alone, UNetModel"):
            write()
    assert not (here / "recipe.json").exists()


def test_labels_of_a_model_in_memory_are_written_all_the_same(here):
    np.save("image.npy", IMAGE)
    found = nc.run(recipe_of(a_model()), "image.npy", "labels.npy", device="cpu")
    np.testing.assert_array_equal(np.load("labels.npy"), found.labels)


def test_relative_paths_begin_at_the_file_of_the_recipe(here, monkeypatch):
    (here / "project").mkdir()
    shutil.move(here / "cells", here / "project" / "cells")
    recipe = recipe_of("project/cells")
    path = recipe.save("project/recipe.json")
    assert json.loads(path.read_text("utf-8"))["steps"][0]["settings"]["model"] == "cells"
    assert nc.Recipe.load(path) == recipe
    monkeypatch.chdir(here.parent)
    away = nc.Recipe.load(here / "project" / "recipe.json")
    assert away.steps[0].settings["model"] == str(here / "project" / "cells")
    nc.run(away, IMAGE, device="cpu")
    monkeypatch.chdir(here)
    shutil.move(here / "project", here / "moved")
    nc.run(nc.Recipe.load("moved/recipe.json"), IMAGE, device="cpu")


def test_a_recipe_beside_labels_finds_its_model(here):
    (here / "out").mkdir()
    np.save("image.npy", IMAGE)
    first = nc.run(recipe_of("cells"), "image.npy", "out/labels.npy", device="cpu")
    (written,) = (here / "out").glob("*.json")
    assert json.loads(written.read_text("utf-8"))["steps"][0]["settings"]["model"] == "../cells"
    again = nc.run(nc.Recipe.load(written), "image.npy", device="cpu")
    np.testing.assert_array_equal(again.labels, first.labels)


def test_absolute_paths_stay(here):
    path = recipe_of(here / "cells").save(here / "recipe.json")
    assert json.loads(path.read_text("utf-8"))["steps"][0]["settings"]["model"] == str(here / "cells")
    assert nc.Recipe.load(path) == recipe_of(here / "cells")


@pytest.mark.parametrize("path", ["cells", "a/cells", "../cells", "../../x/cells", "./cells"])
@pytest.mark.parametrize("folder", [".", "out", "../out", "a/b"])
def test_a_path_goes_to_a_folder_and_comes_back(path, folder):
    there = to_folder(path, Path(folder))
    assert Path(from_folder(there, Path(folder))).absolute().resolve() == Path(path).absolute().resolve()


def test_a_script_of_a_recipe_names_the_folder(here):
    source = {"image": Source(path="image.npy")}
    assert "labels = nc.unet_predict(image.data, model='cells')" in as_python(recipe_of("cells"), source)
    model = a_model()
    held = as_python(recipe_of(model), source)
    assert f"model={{'name': 'cells', 'sha256': '{model.digest}'}}" in held  # it says so when it is run


def test_only_the_settings_that_are_folders_are_moved(here):
    step = nc.Step("threshold", {"method": "li"})
    both = nc.Recipe([step, nc.Step("unet_predict", {"model": "cells"})])
    (here / "out").mkdir()
    assert nc.Recipe.load(both.save("out/recipe.json")) == both
    assert catalog.find("unet_predict").settings[0].folder is not None
    assert as_dict(both)["steps"][0]["settings"]["method"] == "li"
