"""Where layers came from: name, file, key, and the pixels of what was painted."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask.array as da
import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout._selection import Selection
from napari_cutout._sources import Source, fingerprint
from napari_cutout.recipe import Recipe, Step
from napari_cutout.widgets._sources import as_provenance, parents_of, source_of, with_contents, with_fingerprints


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


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_an_image_is_known_again_by_its_voxels(dtype: str) -> None:
    image = np.arange(60).reshape(3, 4, 5).astype(dtype)
    sources = {"image": Source("nuclei", shape=(3, 4, 5), dtype=dtype)}

    def contents(array: Any, selection: Selection | None = None) -> str:
        return with_contents(sources, "image", array, selection)["image"].contents

    rolled = np.roll(image, 1, axis=2)
    assert contents(image) == contents(image.copy(order="F")) != contents(rolled)
    box = Selection("cyx", channel=1, box=((0, 2), (1, 3)))
    elsewhere = image.copy()
    elsewhere[0] = elsewhere[:, 3] = 9
    assert contents(elsewhere, box) == contents(image, box) != contents(rolled, box)
    assert contents(image, Selection("cyx", channel="grey")) == contents(image)


def test_dask_tells_what_an_array_is_without_reading_it() -> None:
    lazy = [da.zeros((4, 4), chunks=2) + n for n in range(2)]
    found = [with_contents({}, "image", one, None)["image"].contents for one in (*lazy, lazy[0])]
    assert found[0] == found[2] != found[1]


@pytest.mark.qt
def test_a_layer_whose_data_were_replaced_has_no_file_until_it_is_saved(viewer: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    nc.io.write(path, nc.Volume(np.ones((4, 5), np.uint8), "yx"), kind="image")
    (image,) = viewer.open(str(path), plugin="napari")
    assert source_of(image).path == str(path)
    viewer.dims.ndisplay = 3
    image.visible = False
    image.visible = True
    assert source_of(image).path == str(path)  # it was drawn anew and holds the same
    image.data = np.zeros((4, 5), np.uint8)
    assert source_of(image).path == ""
    image._source = image.source.model_copy(update={"path": str(tmp_path / "b.tif")})
    assert source_of(image).path.endswith("b.tif")
