"""Labels in a store, as napari shows them by the reader of OME-Zarr's own people."""

from __future__ import annotations

import numpy as np
import pytest
from npe2 import PluginManager, PluginManifest

from napari_cutout.stores import LabelsTarget, Layout, open_image

from ..test_stores import scaled, written

pytest.importorskip("napari_ome_zarr")

from napari.components import ViewerModel
from napari.layers import Image, Labels

NAME = "napari-ome-zarr"


def opened(path):
    """Open a path as napari does when the reader is named."""
    manager = PluginManager.instance()
    if NAME not in manager:
        manager.register(PluginManifest.from_distribution(NAME))
    return ViewerModel().open(str(path), plugin=NAME)


def labelled(place, image, labels, tmp_path, **how):
    target = LabelsTarget.create(place, Layout.of(image), "u1", work=tmp_path / "run", source=image.path, **how)
    target.write(tuple(slice(0, n) for n in labels.shape), labels)
    for level in range(1, len(target.levels)):
        for region in target.shrink_regions(level):
            target.shrink(level, region)
    target.commit({"recipe": {}})


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_labels_lie_on_their_image_as_a_lazy_pyramid(tmp_path, version):
    steps = scaled(7, 1, 2, 0.5, 0.25), scaled(7, 1, 2, 1, 0.5)
    data = np.random.default_rng(0).integers(0, 99, (3, 2, 9, 40, 60)).astype(np.uint8)
    arrays = {"0": data, "1": data[..., ::2, ::2]}
    path = written(tmp_path / "a.zarr", arrays, steps, version=version, axes="tczyx")
    labels = (data[:, 0] > 50).astype(np.uint8)
    labelled(path / "labels" / "cells", open_image(path), labels, tmp_path)
    image, second, got = opened(path)
    assert [type(layer) for layer in (image, second, got)] == [Image, Image, Labels]
    assert got.multiscale
    assert [level.shape for level in got.data] == [(3, 9, 40, 60), (3, 9, 20, 30)]
    assert all(hasattr(level, "dask") for level in got.data)
    np.testing.assert_array_equal(got.scale, (7, 2, 0.5, 0.25))
    for name in ("scale", "translate", "units", "axis_labels"):
        np.testing.assert_array_equal(getattr(got, name), getattr(image, name))
    np.testing.assert_array_equal(np.asarray(got.data[1]), labels[..., ::2, ::2])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_labels_of_their_own_lie_on_their_image(tmp_path, version):
    steps = scaled(2, 0.5, 0.25), scaled(2, 1, 0.5)
    data = np.random.default_rng(0).integers(0, 99, (9, 40, 60)).astype(np.uint8)
    folder = tmp_path / "a" / "b"  # the reader looks for an image two folders above, and makes a group of what is there
    folder.mkdir(parents=True)
    path = written(folder / "a.zarr", {"0": data, "1": data[:, ::2, ::2]}, steps)
    labels = (data > 50).astype(np.uint8)
    labelled(folder / "labels.zarr", open_image(path), labels, tmp_path, ngff=version)
    (image,), (got,) = opened(path), opened(folder / "labels.zarr")
    assert isinstance(got, Labels)
    assert got.multiscale
    for name in ("scale", "translate", "units", "axis_labels"):
        np.testing.assert_array_equal(getattr(got, name), getattr(image, name))
    np.testing.assert_array_equal(got.extent.world, image.extent.world)
    np.testing.assert_array_equal(np.asarray(got.data[0]), labels)
