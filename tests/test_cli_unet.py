"""The commands of the U-Net: what they train, say and write, and the one sentence where something is not right."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout import cli, io
from napari_cutout.cli import _unet, main
from napari_cutout.io import Volume
from napari_cutout.unet.trained import load_unet

from .cases import untrained

FEW = ["--n-steps", "6", "--width", "2", "--depth", "1"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with an image and strokes of two labels."""
    monkeypatch.chdir(tmp_path)
    image = np.random.default_rng(0).integers(0, 50, (32, 40)).astype(np.uint8)
    image[8:20, 10:30] += 150
    painted = np.zeros(image.shape, np.uint8)
    painted[10:12, 12:28] = painted[16:18, 14:26] = 1
    painted[2:5, 2:30] = painted[26:29, 8:36] = painted[9:18, 34:36] = 2
    io.write("image.tif", Volume(image, "yx", (0.5, 0.25), "micrometer"), kind="image")
    io.write("strokes.tif", Volume(painted, "yx"))
    return tmp_path


def fails(capsys: pytest.CaptureFixture[str], *tokens: str) -> str:
    """Return the one sentence that a call ends with."""
    capsys.readouterr()
    assert main(["unet", *tokens]) == cli.BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("napari-cutout: ")


def test_train_predict_info_export(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["unet", "train", "image.tif", "strokes.tif", "model", *FEW, "--augment", "none", "--seed", "3"]) == 0
    said = capsys.readouterr().out.splitlines()
    settings: dict[str, Any] = {"n_steps": 6, "width": 2, "depth": 1, "augment": (), "seed": 3}
    plan = nc.unet_plan("image.tif", "strokes.tif", **settings)
    assert said[: len(plan.lines())] == plan.lines(), "the plan comes first"
    assert any(line.startswith("step 6/6  loss ") for line in said)
    assert said[-2].startswith("trained 6 steps in ")
    assert said[-2].endswith("; saved to model")
    assert said[-1] == "label images with it: napari-cutout unet predict image.tif model labels.tif"
    model = load_unet("model")
    assert model.digest == plan.train().digest, "the command trains what the library trains"
    assert model.spacing == (0.5, 0.25)

    assert main(["unet", "predict", "image.tif", "model", "labels.tif", "--probabilities", "p.tif", "--flips"]) == 0
    image = io.read("image.tif").data
    np.testing.assert_array_equal(io.read("labels.tif").data, nc.unet_predict(image, model=model, flips=True))
    assert io.read("p.tif").data.shape == (2, 32, 40)
    capsys.readouterr()

    assert main(["unet", "info", "model"]) == 0
    said = capsys.readouterr().out.splitlines()
    facts = dict(line.split("  ", 1) for line in said)
    assert facts["says"].strip() == "the class of each voxel: 1, 2"
    assert facts["trained on"].strip() == f"1 image; annotated voxels 1: {plan.counts[0]:,}, 2: {plan.counts[1]:,}"
    assert facts["SHA-256"].strip() == model.digest

    assert main(["unet", "export", "model", "model.onnx"]) == 0
    assert Path("model.onnx").stat().st_size > 1000
    assert "exists already" in fails(capsys, "export", "model", "model.onnx")


def test_the_plan_alone_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(folder.iterdir())
    assert main(["unet", "train", "image.tif", "strokes.tif", "model", "--plan", "--ignore", "none"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == nc.unet_plan("image.tif", "strokes.tif", ignore=None).lines()
    assert sorted(folder.iterdir()) == before


def test_ctrl_c_keeps_the_best_so_far(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Any, step: int, n_steps: int, loss: float) -> None:
        if step == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(_unet._Live, "step", interrupted)
    assert main(["unet", "train", "image.tif", "strokes.tif", "model", *FEW]) == cli.CANCELLED
    said = capsys.readouterr().out
    assert "cancelled; the best so far is kept; saved to model" in said
    assert load_unet("model").training["steps"] < 6


def test_the_line_that_is_alive_is_for_terminals(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["unet", "train", "image.tif", "strokes.tif", "quiet", *FEW]) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert main(["unet", "train", "image.tif", "strokes.tif", "model", *FEW]) == 0
    shown = capsys.readouterr().err
    assert "\r\033[Kstep 3/6  loss " in shown
    assert "left" in shown
    assert shown.endswith("\r\033[K")


@pytest.mark.parametrize(("head", "words", "numbered"), [
    ("classes", [], False), ("boundary", [], True), ("boundary", ["--no-one-per-object"], False),
])  # fmt: skip
def test_objects_are_numbered_where_the_model_tells_them_apart(
    folder: Path, head: str, words: list[str], numbered: bool
) -> None:
    untrained(head=head).save("model")
    assert main(["unet", "predict", "image.tif", "model", "labels.tif", *words]) == 0
    step = nc.Recipe.load("labels.tif.recipe.json").steps[0]
    assert step.settings["one_per_object"] is numbered
    assert Path(step.settings["model"]).name == "model"


def test_the_commands_method_and_its_own_give_the_same(folder: Path) -> None:
    untrained().save("model")
    assert main(["unet", "predict", "image.tif", "model", "a.tif"]) == 0
    assert main(["unet-predict", "image.tif", "b.tif", "--model", "model"]) == 0
    np.testing.assert_array_equal(io.read("a.tif").data, io.read("b.tif").data)


def test_every_setting_of_a_training_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    import inspect

    assert main(["unet", "train", "--help"]) == 0
    said = capsys.readouterr().out
    for name in inspect.signature(nc.unet_train).parameters:
        assert (f"--{name.replace('_', '-')} " in said) == (name not in _unet.NO_OPTIONS), name
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert " unet " in said
    assert " unet-predict " not in said, "unet predict stands in its place"


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (["train", "image.tif", "none.tif", "model"], "there is no file 'none.tif'"),
        (["train", "image.tif", "strokes.tif", "none/model"], "none"),
        (["train", "image.tif", "strokes.tif", "model", "--loss", "mse"], "loss"),
        (["train", "image.tif", "strokes.tif", "model", "--resume", "--width", "0"], "width must be"),
        (["train", "image.tif", "empty.tif", "model"], "nothing is annotated"),
        (["train", "image.tif", "strokes.tif", "image.tif"], "exists already; choose another name"),
        (["predict", "image.tif", "none", "x.tif"], "the folder 'none' is not there"),
        (["predict", "image.tif", "model", "image.tif"], "the labels would replace 'image.tif'"),
        (["info", "image.tif"], "image.tif"),
        (["export", "model", "model.pt"], "a model is exported as .onnx, not as 'model.pt'; choose such a name"),
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(
    tokens: list[str], text: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    io.write("empty.tif", Volume(np.zeros((32, 40), np.uint8), "yx"))
    untrained().save("given")
    tokens = ["given" if token == "model" and tokens[0] != "train" else token for token in tokens]
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert text in fails(capsys, *tokens)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_without_torch_the_way_to_it_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    untrained().save("model")
    monkeypatch.setitem(sys.modules, "torch", None)
    sentence = 'the U-Net needs torch, which is not installed; install it: pip install "napari-cutout[unet]"'
    assert fails(capsys, "train", "image.tif", "strokes.tif", "new") == sentence
    assert fails(capsys, "predict", "image.tif", "model", "labels.tif") == sentence
    assert not Path("new").exists()
