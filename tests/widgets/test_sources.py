"""Where layers came from: name, file, key, and the pixels of what was painted."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask.array as da
import numpy as np
import pytest

from napari_cutout._sources import Source, fingerprint
from napari_cutout.recipe import Recipe, Step
from napari_cutout.widgets._sources import as_provenance, parents_of, source_of, with_fingerprints


def layer(data: Any, name: str = "nuclei", path: Any = None, **more: Any) -> Any:
    return SimpleNamespace(name=name, data=data, source=SimpleNamespace(path=path), **more)


@pytest.mark.parametrize("path", ["a.tif", Path("a.tif")], ids=["text", "path"])
def test_a_layer_from_a_file(path: Any) -> None:
    found = source_of(layer(np.zeros((4, 5), np.uint16), path=path))
    assert found == Source("nuclei", "a.tif", (4, 5), "uint16")


def test_a_layer_from_a_key_of_a_file() -> None:
    array = np.zeros((4, 5))
    metadata = {"napari_cutout": {"key": "img_1"}}
    assert source_of(layer(array, path="s.npz", metadata=metadata)).path == "s.npz:img_1"
    assert source_of(layer(array, path="s.npz", metadata={"napari_cutout": None})).path == "s.npz"
    assert source_of(layer(array, path=None, metadata=metadata)).path == ""


def test_levels_and_lazy_arrays_are_said() -> None:
    pyramid = [da.zeros((8, 8), dtype="uint8"), da.zeros((4, 4), dtype="uint8")]
    found = source_of(layer(pyramid, multiscale=True))
    assert found == Source("nuclei", "", (8, 8), "uint8", multiscale=True, in_memory=False)


def test_only_what_is_painted_is_fingerprinted_and_all_is_json() -> None:
    strokes = np.array([[0, 1], [2, 0]])
    layers = {"image": layer(np.ones((2, 2))), "markers": layer(strokes, "strokes")}
    found = with_fingerprints({name: source_of(one) for name, one in layers.items()}, {"markers": strokes})
    assert found["image"].sha256 == ""
    assert found["markers"].sha256 == fingerprint(strokes)
    entry = json.loads(json.dumps(as_provenance(found)))
    assert {name: Source.from_dict(one) for name, one in entry.items()} == found


def test_only_layers_that_a_run_made_are_parents() -> None:
    recipe = Recipe([Step("threshold")])
    provenance = {"sources": {"image": Source("nuclei").as_dict()}, "sha256": "f" * 64}
    ours = {"recipe": recipe.to_json(), "provenance": provenance}
    made = layer(np.zeros((2, 2), int), metadata={"napari_cutout": ours})
    own = layer(np.zeros((2, 2), int), metadata={})
    found = parents_of({"labels": made, "mask": own, "markers": None})
    assert list(found) == ["labels"]
    assert (found["labels"].recipe, found["labels"].sha256) == (recipe, "f" * 64)
