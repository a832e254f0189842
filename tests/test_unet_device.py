"""Where a network runs and what the provenance says of it; no GPU is needed for that."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import dask.array as da
import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout import _device
from napari_cutout.running import _execute
from napari_cutout.unet import _backend, predict

from .cases import untrained

IMAGE = np.random.default_rng(0).normal(size=(24, 28)).astype(np.float32)


class OnGpu(_backend.TorchBackend):
    """A network that says it runs on a GPU, and fails there if it is told to."""

    fails = False

    def __init__(self, model: Any, device: Any = "auto") -> None:
        super().__init__(model, "cpu")
        self.asked = device
        if device != "cpu":
            self.ran_on = "some GPU"

    def __call__(self, tiles: Any) -> Any:
        if self.fails and self.asked != "cpu":
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return super().__call__(tiles)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> type[OnGpu]:
    class Here(OnGpu):
        pass

    monkeypatch.setattr(predict, "TorchBackend", Here)
    monkeypatch.setattr(predict, "_ready", {})
    monkeypatch.setattr(_device, "torch_has_gpu", lambda: True)
    return Here


def run(device: Any = "auto", image: Any = IMAGE) -> _execute.Result:
    recipe = nc.Recipe([nc.Step("unet_predict", {"model": untrained(ndim=2)})])
    return _execute.execute(recipe, {recipe.source: image}, device=device)


@pytest.mark.parametrize("image", [IMAGE, da.from_array(IMAGE, chunks=12)], ids=["numpy", "dask"])
def test_torch_needs_no_cupy_and_the_provenance_names_its_gpu(gpu: type[OnGpu], image: Any) -> None:
    found = run("gpu", image)
    assert found.provenance["device"] == {
        "asked": "gpu", "used": "gpu", "reason": "the network found it", "name": "some GPU",
    }  # fmt: skip


def test_the_processor_is_used_where_it_was_asked_for(gpu: type[OnGpu]) -> None:
    assert run("cpu").provenance["device"]["used"] == "cpu"


def test_a_gpu_that_fails_costs_time_and_not_the_result(gpu: type[OnGpu]) -> None:
    expected = run().labels
    gpu.fails = True
    found = run()
    np.testing.assert_array_equal(found.labels, expected)
    device = found.provenance["device"]
    assert device["used"] == "cpu"
    assert "illegal memory access" in device["reason"]


def test_a_gpu_that_was_asked_for_and_fails_is_an_error(gpu: type[OnGpu]) -> None:
    gpu.fails = True
    with pytest.raises(RuntimeError, match="illegal memory access"):
        run("gpu")


def test_an_error_on_the_processor_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    class Failing(_backend.TorchBackend):
        def __call__(self, tiles: Any) -> Any:
            calls.append(1)
            raise RuntimeError("nothing that memory could mend")

    monkeypatch.setattr(predict, "TorchBackend", Failing)
    monkeypatch.setattr(predict, "_ready", {})
    with pytest.raises(RuntimeError, match="nothing that memory"):
        run()
    assert len(calls) == 1


def test_models_of_the_same_weights_that_mean_something_else_are_others() -> None:
    model = untrained(ndim=2)
    assert model.digest == replace(model, name="another name").digest
    assert model.digest != replace(model, classes=(3, 7)).digest
    seen = nc.unet_predict(IMAGE, model=model)
    named = nc.unet_predict(IMAGE, model=replace(model, classes=(3, 7)))
    np.testing.assert_array_equal(named, np.where(seen == model.classes[0], 3, 7))


def test_a_network_is_made_once_for_all_threads_and_two_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Counted(_backend.TorchBackend):
        def __init__(self, model: Any, device: Any = "auto") -> None:
            made.append(model.digest)
            super().__init__(model, device)

    monkeypatch.setattr(predict, "TorchBackend", Counted)
    monkeypatch.setattr(predict, "_ready", {})
    one, two, three = (replace(untrained(ndim=2), classes=(0, n)) for n in (1, 2, 3))
    threads = [threading.Thread(target=predict.backend_of, args=(one, "cpu")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    for model in (two, one, two):
        predict.backend_of(model, "cpu")
    assert len(made) == 2
    predict.backend_of(three, "cpu")
    assert [digest for digest, _ in predict._ready] == [two.digest, three.digest]


def test_the_memory_that_is_foreseen_is_that_of_a_tile_and_not_of_the_image(tmp_path: Any) -> None:
    model = untrained(ndim=2, width=16, depth=4)
    entry, folder = nc.catalog.find("unet_predict"), model.save(tmp_path / "model")
    small, large = 1 << 16, 1 << 26
    for given in (model, folder, str(folder)):
        of_small = small * entry.bytes_per_voxel({"model": given}, small)
        of_large = large * (entry.bytes_per_voxel({"model": given}, large) - predict.HELD)
        assert of_small == pytest.approx(small * predict.HELD + model.architecture.predict_bytes(small))
        assert of_large == pytest.approx(model.architecture.predict_bytes(1 << 20))
    assert entry.bytes_per_voxel({"model": str(tmp_path / "none")}, large) == predict.HELD
