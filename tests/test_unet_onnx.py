"""Models as ONNX: onnxruntime computes what torch does."""

from __future__ import annotations

import json

import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout.unet._backend import TorchBackend, weights_of
from napari_cutout.unet.architecture import Architecture, architecture_for
from napari_cutout.unet.model import network
from napari_cutout.unet.trained import Head, UNetModel

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def form(architecture: Architecture) -> str:
    a = architecture
    return f"{a.ndim}d-{a.normalisation}-{'residual' if a.residual else 'plain'}-{a.depth}"


FORMS = [
    *(
        architecture_for((16, 16), width=width, depth=2, normalisation=kind, residual=residual)
        for kind, width in (("batch", 3), ("instance", 4), ("group", 12), ("none", 3))
        for residual in (False, True)
    ),
    architecture_for((8, 16, 16), width=2, depth=2, spacing=(3.0, 1.0, 1.0), n_channels=2, n_outputs=3, residual=True),
    architecture_for((8, 8, 8), width=4, depth=1, normalisation="group"),
    architecture_for((16, 16), width=2, depth=0, n_outputs=4),
]


def trained(architecture: Architecture, head: Head = "classes", seed: int = 0) -> UNetModel:
    """A model none of whose weights is 0 or 1, so that each of them matters."""
    rng = np.random.default_rng(seed)
    weights = weights_of(network(architecture, seed=seed))
    for name, value in weights.items():
        if value.dtype == np.float32:
            weights[name] = value + rng.uniform(0.1, 0.4, value.shape).astype(np.float32)
    classes = tuple(range(architecture.n_outputs)) if head == "classes" else (0, 1)
    return UNetModel(architecture, weights, classes, head, spacing=(0.5,) * architecture.ndim, name="cells")


def run(path, tiles: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"image": tiles})[0]


@pytest.mark.parametrize("architecture", FORMS, ids=form)
def test_onnxruntime_computes_what_torch_does(architecture, tmp_path):
    model = trained(architecture)
    path = model.export_onnx(tmp_path / "cells.onnx")
    onnx.checker.check_model(str(path), full_check=True)
    rng = np.random.default_rng(1)
    # Any number of tiles, and any multiple along each axis.
    for n, times in ((1, (2, 2, 3)), (3, (1, 3, 2))):
        shape = [m * t for m, t in zip(architecture.multiple, times[-architecture.ndim :], strict=True)]
        tiles = rng.standard_normal((n, architecture.n_channels, *shape)).astype(np.float32)
        expected = np.asarray(TorchBackend(model, "cpu")(tiles))
        found = run(path, tiles)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert np.ptp(expected) > 0.02  # no constant: there is something to compare


@pytest.mark.parametrize("head", ["boundary", "distance"])
def test_heads_that_tell_objects_apart_are_exported_as_they_are(head, tmp_path):
    model = trained(architecture_for((16, 16), width=3, depth=1, n_outputs=3), head)
    tiles = np.random.default_rng(2).standard_normal((2, 1, 8, 12)).astype(np.float32)
    np.testing.assert_allclose(
        run(model.export_onnx(tmp_path / "m.onnx"), tiles), np.asarray(TorchBackend(model, "cpu")(tiles)), atol=1e-5
    )


def test_the_file_says_how_it_is_used(tmp_path):
    model = trained(FORMS[0])
    found = onnx.load(model.export_onnx(tmp_path / "cells.onnx"))
    said = {entry.key: entry.value for entry in found.metadata_props}
    assert said["name"] == "cells"
    assert json.loads(said["classes"]) == [0, 1]
    assert json.loads(said["multiple"]) == [4, 4]
    assert json.loads(said["receptive_field"]) == list(model.architecture.receptive_field)
    assert json.loads(said["spacing"]) == [0.5, 0.5]
    assert said["sha256"] == model.digest
    assert said["head"] == "classes"
    assert "standard deviation" in said["input"]
    shape = [d.dim_param or d.dim_value for d in found.graph.input[0].type.tensor_type.shape.dim]
    assert shape == ["n", 1, "y", "x"]


def test_on_a_whole_image_it_gives_what_the_method_gives(tmp_path):
    model = trained(FORMS[0])
    image = np.random.default_rng(3).integers(0, 4000, (24, 32)).astype(np.uint16)
    scaled = ((image - image.mean()) / image.std()).astype(np.float32)[None, None]
    found = run(model.export_onnx(tmp_path / "cells.onnx"), scaled)[0]
    np.testing.assert_allclose(found, nc.unet_probabilities(image, model=model), atol=1e-5)


def test_equal_models_give_equal_files(tmp_path):
    first, second = (trained(FORMS[1]).export_onnx(tmp_path / name) for name in ("a.onnx", "b.onnx"))
    assert first.read_bytes() == second.read_bytes()
    assert trained(FORMS[1], seed=1).export_onnx(tmp_path / "c.onnx").read_bytes() != first.read_bytes()


def test_what_is_there_is_not_replaced_unasked(tmp_path, monkeypatch):
    path = tmp_path / "cells.onnx"
    path.write_text("results")
    with pytest.raises(FileExistsError, match="exists already"):
        trained(FORMS[0]).export_onnx(path)
    monkeypatch.setattr("napari_cutout.unet._onnx.MOST_BYTES", 100)
    with pytest.raises(ValueError, match="lower the width"):
        trained(FORMS[0]).export_onnx(path, overwrite=True)
    assert path.read_text() == "results"
    assert [p.name for p in tmp_path.iterdir()] == ["cells.onnx"]
    monkeypatch.undo()
    trained(FORMS[0]).export_onnx(path, overwrite=True)
    onnx.checker.check_model(str(path))


def test_without_onnx_the_line_that_installs_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ImportError, match=r'pip install "napari-cutout\[zoo\]"'):
        trained(FORMS[0]).export_onnx(tmp_path / "cells.onnx")
