"""``napari-cutout cite``: the paragraph and the BibTeX of a recipe, with the version that ran."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout import Recipe, Step, io
from napari_cutout.cli import BAD_INPUT, main
from napari_cutout.io import Volume


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A recipe, and its file in a folder to stand in."""
    monkeypatch.chdir(tmp_path)
    made = Recipe([Step("threshold", {"method": "li", "background_radius": 4.0})])
    made.save("recipe.json")
    return made


def test_a_recipe_is_cited_as_in_python(recipe: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cite", "recipe.json"]) == 0
    assert capsys.readouterr().out == f"{nc.cite(recipe)}\n"
    assert main(["cite", "recipe.json", "--scored"]) == 0
    assert capsys.readouterr().out == f"{nc.cite(recipe, evaluation=True)}\n"


def test_bibtex_goes_to_a_file(recipe: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cite", "recipe.json", "--bibtex", "paper.bib"]) == 0
    assert Path("paper.bib").read_text(encoding="utf-8") == nc.cite(recipe).bibtex
    said = capsys.readouterr().out
    assert said.startswith(nc.cite(recipe).text)
    assert nc.cite(recipe).references[1] in said
    assert "@article" not in said
    assert said.endswith("BibTeX written to paper.bib\n")


def test_files_that_are_there_stay(recipe: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    Path("paper.bib").write_text("mine")
    assert main(["cite", "recipe.json", "--bibtex", "paper.bib"]) == BAD_INPUT
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == ("napari-cutout: 'paper.bib' exists already; choose another name, or give --overwrite\n")
    assert Path("paper.bib").read_text() == "mine"
    assert main(["cite", "recipe.json", "--bibtex", "paper.bib", "--overwrite"]) == 0
    assert Path("paper.bib").read_text(encoding="utf-8") == nc.cite(recipe).bibtex


def test_a_recipe_is_not_written_over(recipe: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cite", "recipe.json", "--bibtex", "./recipe.json", "--overwrite"]) == BAD_INPUT
    assert "is the recipe itself; choose another name" in capsys.readouterr().err
    assert Recipe.load("recipe.json") == recipe


def test_what_a_command_wrote_names_the_version_that_ran(recipe: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    image = np.random.default_rng(0).integers(0, 200, (12, 14)).astype(np.uint8)
    io.write("image.tif", Volume(image, "yx"), kind="image")
    assert main(["threshold", "image.tif", "labels.tif", "--method", "yen"]) == 0
    written = Path("labels.tif.recipe.json")
    content = json.loads(written.read_text())
    content["provenance"]["versions"]["napari-cutout"] = "0.0.7"
    written.write_text(json.dumps(content))
    capsys.readouterr()
    assert main(["cite", str(written)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Images were processed with napari-cutout 0.0.7. ")
    assert "(Yen et al., 1995)" in said
    assert "note = {Version 0.0.7}" in said


def test_what_is_no_recipe_is_refused(recipe: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cite", "none.json"]) == BAD_INPUT
    assert "there is no file 'none.json' to read a recipe from" in capsys.readouterr().err
    Path("text.json").write_text("{}")
    assert main(["cite", "text.json", "--bibtex", "paper.bib"]) == BAD_INPUT
    assert "this is no recipe" in capsys.readouterr().err
    assert not Path("paper.bib").exists()
