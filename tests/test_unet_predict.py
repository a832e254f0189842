"""What a network says of an image: in tiles as of the whole, in every library, with little memory, or why not."""

from __future__ import annotations

import gc
import itertools
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import napari_cutout as nc
from napari_cutout import _array
from napari_cutout._monitor import Cancelled, watch
from napari_cutout.unet import _run, predict
from napari_cutout.unet._backend import TorchBackend, load_weights
from napari_cutout.unet._run import Prediction, tiling_of
from napari_cutout.unet._scaling import Moments, Scaling, moments_of, moments_pass, scaling_of, scalings_of
from napari_cutout.unet._torch import import_torch
from napari_cutout.unet.model import network
from napari_cutout.unet.trained import UNetModel

from .cases import two_humps, untrained

torch = import_torch()


def probabilities(model: UNetModel, image: np.ndarray, tile: Sequence[int] | None = None, **more: Any) -> Any:
    """Return what a model says of an image in tiles of a size, with its facts."""
    prediction = predict._prediction(model, more.pop("flips", False), "probabilities")
    with watch() as monitor:
        found = _run.predict(prediction, more.pop("channels", [image]), None, tile)
        found = found.compute(scheduler="sync") if isinstance(found, da.Array) else found
    return found, monitor.facts


def plain(model: UNetModel, channels: np.ndarray) -> np.ndarray:
    """Return the probabilities of a whole image, by torch alone: scaled, filled up, asked, softmax."""
    net = network(model.architecture)
    load_weights(net, model.weights)
    flat = channels.reshape(channels.shape[0], -1)
    mean, std = flat.mean(1, dtype=np.float64), flat.std(1, dtype=np.float64)
    tail = (slice(None), *(None,) * (channels.ndim - 1))
    scaled = ((channels - mean[tail]) / std[tail]).astype(np.float32)
    fill = [(0, -n % m) for n, m in zip(channels.shape[1:], model.architecture.multiple, strict=True)]
    with torch.no_grad():
        said = net.eval()(torch.from_numpy(np.pad(scaled, ((0, 0), *fill)))[None])
    said = torch.softmax(said, 1)[0].numpy()
    return said[(slice(None), *(slice(n) for n in channels.shape[1:]))]


# In tiles as of the whole ---------------------------------------------------------------------------------

WHOLE: dict[str, tuple[dict[str, Any], tuple[int, ...], tuple[int, ...]]] = {
    "plane": ({}, (90, 45), (48, 48)),
    "deeper, residual": ({"depth": 2, "residual": True, "width": 2}, (130, 100), (96, 96)),
    "volume": ({"ndim": 3, "width": 2}, (12, 70, 40), (20, 48, 48)),
    "flat voxels": ({"ndim": 3, "width": 2, "spacing": (5.0, 1.0, 1.0)}, (5, 60, 41), (2, 48, 48)),
    "no normalisation": ({"normalisation": "none"}, (90, 45), (48, 48)),
}


@pytest.mark.parametrize("name", WHOLE)
def test_tiles_whose_halo_covers_what_a_voxel_sees_give_the_whole(name: str) -> None:
    how, shape, tile = WHOLE[name]
    model, image = untrained(**how), two_humps(shape, dtype="uint16")
    found, facts = probabilities(model, image, tile)
    assert facts["tiles_equal_the_whole"]
    assert int(facts["tiles"].split()[0]) > 2
    np.testing.assert_allclose(found, plain(model, image[None]), rtol=0, atol=1e-5)
    assert found.max() - found.min() > 0.3


def test_a_model_of_planes_labels_a_volume_plane_by_plane() -> None:
    model, image = untrained(), two_humps((3, 70, 41))
    found, _ = probabilities(model, image, (48, 48))
    mean, std = image.mean(), image.std()
    for plane, said in zip(image, found.swapaxes(0, 1), strict=True):
        scaled = plane + 0.0
        net = network(model.architecture)
        load_weights(net, model.weights)
        given_ = np.pad(((scaled - mean) / std).astype(np.float32), ((0, 0), (0, 1)))
        with torch.no_grad():
            expected = torch.softmax(net.eval()(torch.from_numpy(given_)[None, None]), 1)[0, :, :, :41].numpy()
        np.testing.assert_allclose(said, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["batch", "instance"])
def test_normalisations_that_look_at_a_tile_say_so(kind: Any) -> None:
    model = untrained(normalisation=kind)
    _, facts = probabilities(model, two_humps((70, 45)), (48, 48))
    assert facts["tiles_equal_the_whole"] == (kind == "batch")
    whole, facts = probabilities(model, two_humps((30, 25)))
    assert (facts["tiles"], facts["tiles_equal_the_whole"]) == ("whole", True)
    np.testing.assert_allclose(whole.sum(0), 1, rtol=0, atol=1e-6)


def blended(model: UNetModel, image: np.ndarray, tile: tuple[int, ...]) -> np.ndarray:
    """Return tiles blended as one would write it down: all tiles, a volume of sums, a volume of weights, a division.

    Weights are a Gaussian of an eighth of the tile about the middle of each cell; but where a voxel sees nothing beyond
    one tile, that tile counts alone.
    """
    backend = TorchBackend(model, "cpu")
    tiling = tiling_of(backend, image.shape, tile)
    scaled = ((image - image.mean()) / image.std()).astype(np.float32)
    total, weights = np.zeros((backend.n_outputs, *image.shape)), np.zeros(image.shape)
    alone = np.zeros(image.shape, int)  # 1 + the number of the tile that counts alone
    speeches = []
    for number, index in enumerate(itertools.product(*map(range, tiling.grid))):
        weight, exact = np.ones(()), np.ones((), bool)
        read = []
        for axis, k in enumerate(index):
            n, edge, halo, reach = (v[axis] for v in (tiling.shape, tiling.edges, tiling.halo, tiling.reach))
            low, high = max(k * edge - halo, 0), min((k + 1) * edge + halo, n)
            read.append(slice(low, high))
            at = np.arange(low, high)
            own = np.exp(-0.5 * ((at - (k * edge + (edge - 1) / 2)) / ((edge + 2 * halo) / 8)) ** 2)
            core = ((at >= low + reach) | (low == 0)) & ((at < high - reach) | (high == n))
            weight, exact = np.multiply.outer(weight, own), np.logical_and.outer(exact, core)
        block = scaled[tuple(read)]
        fill = [(0, -n % m) for n, m in zip(block.shape, backend.multiple, strict=True)]
        said = backend(np.pad(block, fill)[None, None]).numpy()[0]
        said = said[(slice(None), *(slice(n) for n in block.shape))]
        speeches.append((tuple(read), weight, said))
        alone[tuple(read)][exact] = number + 1
    for number, (read, weight, said) in enumerate(speeches):
        mine = np.where(alone[read] == 0, weight, (alone[read] == number + 1).astype(float))
        total[(slice(None), *read)] += mine * said
        weights[read] += mine
    return total / weights


def test_tiles_that_see_too_little_are_blended_by_a_gaussian() -> None:
    model, image = untrained(depth=2, width=2), two_humps((60, 40), dtype="float32")
    found, facts = probabilities(model, image, (32, 64))
    assert not facts["tiles_equal_the_whole"]
    np.testing.assert_allclose(found, blended(model, image, (32, 64)), rtol=0, atol=2e-5)
    assert np.abs(found - plain(model, image[None])).max() > 1e-4


def test_monai_blends_the_middle_of_a_tile_alike() -> None:
    inferers = pytest.importorskip("monai.inferers", exc_type=ImportError)
    model, image = untrained(depth=2, width=2), two_humps((48, 32), dtype="float32")
    backend = TorchBackend(model, "cpu")
    scaled = ((image - image.mean()) / image.std()).astype(np.float32)
    with torch.inference_mode():
        theirs = inferers.sliding_window_inference(
            torch.from_numpy(scaled)[None, None], (32, 32), 1, backend, overlap=0.5, mode="gaussian"
        )[0].numpy()
    prediction = predict._prediction(model, False, "probabilities")
    ours = _run.predict(prediction, [image], None, (32, 32))
    # Their two tiles begin at 0 and 16; ours at 0 and 20 or so: only who is asked about the ends is the same.
    labels = ours.argmax(0), theirs.argmax(0)
    assert (labels[0] == labels[1]).mean() > 0.97


# Libraries, chunks, dtypes --------------------------------------------------------------------------------


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tiles be so small that an image of a few voxels has several."""
    monkeypatch.setattr(_run, "TILE", {2: (32, 32), 3: (16, 16, 16)})


@pytest.mark.parametrize("shape", [(41, 50), (3, 40, 37), (1, 17, 19)], ids=str)
def test_every_library_gives_the_same_labels_and_keeps_its_inputs(
    shape: tuple[int, ...], to_library: Any, small_tiles: None
) -> None:
    """Torch is the library of the network: what is not NumPy or CuPy goes through host memory tile by tile."""
    model, image = untrained(classes=(0, 3, 300)), two_humps(shape, dtype="float32")
    image[..., 2, 3] = np.nan
    mask = two_humps(shape, seed=5) > 8000
    given = to_library(image), to_library(mask)
    for function, more in (
        (nc.unet_predict, {}),
        (nc.unet_predict, {"fill_holes": True, "min_size": 4, "one_per_object": True}),
        (nc.unet_probabilities, {}),
    ):
        found = function(*given, model=model, **more)
        assert type(found) is type(given[0])
        assert found.device == given[0].device
        expected = function(image, mask, model=model, **more)
        assert _array.dtype_name(found) == expected.dtype
        np.testing.assert_array_equal(_array.to_numpy(found), expected)
    np.testing.assert_array_equal(_array.to_numpy(given[0]), image)


DASK = [
    pytest.param((41, 50), 2, {}, id="plane"),
    pytest.param((41, 50), 2, {"depth": 2}, id="blended"),
    pytest.param((3, 40, 37), 2, {}, id="planes"),
    pytest.param((20, 18, 35), 3, {"width": 2}, id="volume"),
]


@pytest.mark.parametrize("chunks", [7, 1000, (2, 13, 9)], ids=str)
@pytest.mark.parametrize(("shape", "ndim", "how"), DASK)
def test_dask_gives_the_numbers_of_the_whole_whatever_its_chunks(
    shape: tuple[int, ...], ndim: int, how: dict[str, Any], chunks: Any, small_tiles: None
) -> None:
    model, image = untrained(ndim, **how), two_humps(shape, dtype="float32")
    chunks = chunks[-len(shape) :] if isinstance(chunks, tuple) else chunks
    image[..., 3, 4] = np.inf
    mask = two_humps(shape, seed=5) > 8000
    lazy = da.from_array(image, chunks), da.from_array(mask, 11)
    for function in (nc.unet_predict, nc.unet_probabilities):
        found = function(*lazy, model=model)
        expected = function(image, mask, model=model)
        assert found.chunks[-len(shape) :] == lazy[0].chunks
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        # Sums of blocks of other shapes are rounded otherwise, so scales may differ in the last digit.
        if found.dtype == np.float32:
            np.testing.assert_allclose(found.compute(scheduler="sync"), expected, rtol=0, atol=1e-5)
        else:
            np.testing.assert_array_equal(found.compute(scheduler="sync"), expected)


def test_chunks_do_not_show_in_a_bit_where_the_scale_is_known(small_tiles: None) -> None:
    model, image = untrained(depth=2), two_humps((70, 50), dtype="float32")
    prediction = predict._prediction(model, False, "probabilities")
    fixed = replace(prediction, scalings=lambda channels: [Scaling(9000.0, 4000.0)] * len(channels))
    whole = _run.predict(fixed, [image], None)
    for chunks in (9, (70, 3), 64):
        found = _run.predict(fixed, [da.from_array(image, chunks)], None)
        np.testing.assert_array_equal(found.compute(), whole)


@pytest.mark.gpu
@pytest.mark.parametrize("shape", [(41, 50), (9, 60, 57)], ids=str)
def test_gpu_labels_as_the_host_on_more_than_999_of_1000_voxels(shape: tuple[int, ...], to_gpu: Any) -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch cannot use the GPU")
    model, image = untrained(), two_humps(shape, dtype="float32")
    found = nc.unet_predict(to_gpu(image), model=model)
    assert type(found) is type(to_gpu(image))
    expected = nc.unet_predict(image, model=model)
    assert (_array.to_numpy(found) == expected).mean() > 0.999


def test_more_threads_give_the_same_labels() -> None:
    model, image = untrained(depth=2, width=8), two_humps((90, 80))
    before = torch.get_num_threads()
    found = []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            found.append(nc.unet_predict(image, model=model))
    finally:
        torch.set_num_threads(before)
    assert (found[0] == found[1]).mean() > 0.999


# What is said of voxels ----------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["classes", "boundary", "distance"])
def test_probabilities_add_up_to_one_and_labels_are_the_likeliest(head: str, small_tiles: None) -> None:
    model, image = untrained(head=head), two_humps((50, 44))
    shares = nc.unet_probabilities(image, model=model)
    n = 2 if head == "distance" else len(shares)
    np.testing.assert_allclose(shares[:n].sum(0), 1, rtol=0, atol=1e-5)
    assert ((shares >= 0) & (shares <= 1)).all()
    labels = nc.unet_predict(image, model=model)
    expected = {"classes": shares[1] > shares[0], "boundary": shares[0] < 0.5, "distance": shares[1] > 0.5}[head]
    np.testing.assert_array_equal(labels, expected)
    assert 0.05 < labels.mean() < 0.95


@pytest.mark.parametrize(("classes", "dtype"), [((1, 4), "uint8"), ((0, 1, 2), "uint8"), ((2, 5, 700), "int32")])
def test_labels_have_the_names_that_were_painted(classes: tuple[int, ...], dtype: str) -> None:
    model, image = untrained(classes=classes), two_humps((40, 44))
    labels = nc.unet_predict(image, model=model)
    assert labels.dtype == dtype
    likeliest = nc.unet_probabilities(image, model=model).argmax(0)
    np.testing.assert_array_equal(labels, np.asarray(classes)[likeliest])
    assert len(np.unique(labels)) > 1


def test_equally_likely_classes_give_the_first() -> None:
    model = untrained(classes=(3, 5))
    level = {k: np.zeros_like(v) if k.startswith("last") else v for k, v in model.weights.items()}
    assert (nc.unet_predict(two_humps((20, 20)), model=replace(model, weights=level)) == 3).all()


@pytest.mark.parametrize("ndim", [2, 3])
def test_flips_are_the_mean_of_all_mirror_images(ndim: int) -> None:
    model, image = untrained(ndim, width=2), two_humps((6, 15, 13)[-ndim:], dtype="float32")
    found, _ = probabilities(model, image, flips=True)
    net = TorchBackend(model, "cpu")
    scaled = ((image - image.mean()) / image.std()).astype(np.float32)
    given_ = np.pad(scaled, [(0, n % 2) for n in image.shape])
    total, axes = np.zeros(0), range(ndim)
    mirrors = [m for k in range(ndim + 1) for m in itertools.combinations(axes, k)]
    for mirror in mirrors:
        said = net(np.flip(given_, mirror)[None, None])[0].numpy()
        said = np.flip(said, [axis + 1 for axis in mirror])
        total = total + said if total.size else said
    expected = (total / len(mirrors))[(slice(None), *(slice(n) for n in image.shape))]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(nc.unet_predict(image, model=model, flips=True), expected[1] > expected[0])
    assert np.abs(found - probabilities(model, image)[0]).max() > 1e-3


def test_voxels_outside_the_mask_are_0_and_others_are_as_without() -> None:
    model, image = untrained(classes=(1, 2)), two_humps((40, 44), dtype="float32")
    mask = np.indices(image.shape)[0] > 9
    labels = nc.unet_predict(image, mask, model=model)
    np.testing.assert_array_equal(labels, np.where(mask, nc.unet_predict(image, model=model), 0))
    shares = nc.unet_probabilities(image, mask, model=model)
    np.testing.assert_array_equal(np.isnan(shares), np.broadcast_to(~mask, shares.shape))


@pytest.mark.parametrize("spoilt", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_finite_are_0_and_the_mean_to_the_network(spoilt: float) -> None:
    model, image = untrained(n_channels=2, classes=(1, 2)), two_humps((2, 30, 33), dtype="float64")
    image[0, 4, 5] = spoilt
    labels = nc.unet_predict(image, model=model, channel_axis=0)
    assert labels[4, 5] == 0
    assert np.count_nonzero(labels == 0) == 1
    known = image.copy()
    known[0, 4, 5] = image[0][np.isfinite(image[0])].mean()
    expected = nc.unet_predict(known, model=model, channel_axis=0)
    expected[4, 5] = 0
    assert (labels == expected).mean() > 0.99


def test_channels_may_lie_along_any_axis() -> None:
    model, image = untrained(n_channels=3), np.stack([two_humps((30, 33), seed=s) for s in range(3)])
    expected = plain(model, image)
    for axis in (0, 1, 2, -1):
        found = nc.unet_probabilities(np.moveaxis(image, 0, axis), model=model, channel_axis=axis)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("ndim", "shape"), [(2, (3, 2)), (2, (1, 40)), (3, (1, 9, 11)), (3, (2, 3, 2)), (2, (1, 9, 7))]
)
def test_images_smaller_than_what_a_voxel_sees_are_labelled(ndim: int, shape: tuple[int, ...]) -> None:
    model = untrained(ndim, depth=2, width=2)
    found = nc.unet_probabilities(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), model=model)
    assert found.shape == (2, *shape)
    np.testing.assert_allclose(found.sum(0), 1, rtol=0, atol=1e-6)


def test_folding_normalisations_into_convolutions_changes_no_number() -> None:
    for ndim, residual in ((2, False), (2, True), (3, False)):
        model = untrained(ndim, residual=residual, depth=2, width=2)
        net = network(model.architecture)
        load_weights(net, model.weights)
        backend = TorchBackend(model, "cpu")
        assert not [m for m in backend._net.modules() if "BatchNorm" in type(m).__name__]
        seen = np.random.default_rng(0).normal(0, 1, (1, 1, *(8, 16, 12)[-ndim:])).astype(np.float32)
        with torch.no_grad():
            expected = torch.softmax(net.eval()(torch.from_numpy(seen)), 1).numpy()
        np.testing.assert_allclose(backend(seen).numpy(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("head", ["boundary", "distance"])
@pytest.mark.parametrize("shape", [(45, 50), (3, 30, 33)], ids=str)
def test_objects_are_numbered_lazily_as_at_once(head: str, shape: tuple[int, ...], small_tiles: None) -> None:
    model, image = untrained(head=head), two_humps(shape)
    expected = nc.unet_predict(image, model=model, one_per_object=True)
    assert expected.dtype == np.int32
    assert expected.max() > 3
    np.testing.assert_array_equal(expected > 0, nc.unet_predict(image, model=model) > 0)
    found = nc.unet_predict(da.from_array(image, 13), model=model, one_per_object=True)
    np.testing.assert_array_equal(found.compute(scheduler="sync"), expected)


# What is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "shape", "more", "error", "sentence"),
    [
        (
            {"n_channels": 2},
            (20, 20),
            {},
            ValueError,
            r"'untrained' was trained on 2 channel\(s\), and the image has 1",
        ),
        ({}, (3, 9, 9), {"channel_axis": 0}, ValueError, r"trained on 1 channel\(s\), and the image has 3"),
        ({"ndim": 3}, (20, 20), {}, ValueError, r"trained on volumes, and the image is a plane of \(20, 20\) voxels"),
        ({}, (20, 20), {"model": 3}, TypeError, "model must be a U-Net or the path of one, got 3 of type int"),
        ({}, (20, 20), {"model": "nowhere"}, FileNotFoundError, "nowhere"),
    ],
)
def test_what_does_not_fit_is_refused(
    how: dict[str, Any], shape: tuple[int, ...], more: dict[str, Any], error: Any, sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        nc.unet_predict(two_humps(shape), **{"model": untrained(**how), **more})


# Memory --------------------------------------------------------------------------------------------------


class OutOfMemory(Exception):
    """What a device raises whose memory ran out."""


@dataclass
class Fake:
    """A network that says of a voxel what its neighbours are, and whose memory runs out as it is told.

    Parameters
    ----------
    fails : callable
        From the number of the call and the shape of the tiles to whether memory runs out.
    most_at_once : int
        Tiles of a batch.
    """

    fails: Callable[[int, tuple[int, ...]], bool] = lambda call, shape: False
    most_at_once: int = 1
    free: int = 1 << 40
    n_channels: int = 1
    n_outputs: int = 2
    ndim: int = 2
    multiple: tuple[int, ...] = (4, 4)
    reach: tuple[int, ...] = (1, 1)
    receptive_field: tuple[int, ...] | None = (3, 3)
    exact: bool = True
    tile: tuple[int, ...] | None = None
    runtime: str = "numpy"
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    n_released: int = 0
    alive: int = 0
    most_alive: int = 0
    threads: set[int] = field(default_factory=set)

    def __call__(self, tiles: np.ndarray) -> np.ndarray:
        self.threads.add(threading.get_ident())
        self.shapes.append(tiles.shape)
        if self.fails(len(self.shapes), tiles.shape):
            raise OutOfMemory
        x = np.pad(tiles[:, 0], ((0, 0), (1, 1), (1, 1)))
        bright = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:] + x[:, 1:-1, 1:-1]
        share_ = 1 / (1 + np.exp(-bright))
        out = np.stack([1 - share_, share_], 1).astype(np.float32)
        self.alive += 1
        self.most_alive = max(self.most_alive, self.alive)
        weakref.finalize(out, self._gone)
        return out

    def _gone(self) -> None:
        self.alive -= 1

    def taken(self, tiles: Any) -> Any:
        return _array.to_numpy(tiles)

    def tile_bytes(self, shape: Sequence[int]) -> int:
        return int(np.prod(shape))

    def free_bytes(self) -> int:
        return self.free

    def release(self) -> None:
        self.n_released += 1

    out_of_memory = (OutOfMemory,)


def labels_by(fake: Fake, image: Any, tile: tuple[int, ...] = (32, 32)) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the labels that a network gives in tiles of a size, and what it noted."""
    finish = partial(predict._labels, classes=np.asarray([0, 1]), head="classes")
    with watch() as monitor:
        found = _run.predict(Prediction(lambda: fake, finish, "uint8"), [image], None, tile)
        found = found.compute() if isinstance(found, da.Array) else found
    return found, monitor.facts


IMAGE = two_humps((70, 61), dtype="float32")
EXPECTED, _ = labels_by(Fake(), IMAGE, (128, 128))


@pytest.mark.parametrize("lazy", [False, True], ids=["numpy", "dask"])
@pytest.mark.parametrize("most_at_once", [1, 4])
def test_memory_that_runs_out_at_any_call_changes_no_label(most_at_once: int, lazy: bool) -> None:
    assert 0.1 < EXPECTED.mean() < 0.9
    image = da.from_array(IMAGE, 23) if lazy else IMAGE
    calm = Fake(most_at_once=most_at_once)
    labels_by(calm, image)
    n_calls = len(calm.shapes)
    assert n_calls > 3
    for bad in range(1, n_calls + 1):
        fake = Fake(lambda call, shape, bad=bad: call == bad, most_at_once)
        labels, facts = labels_by(fake, image)
        np.testing.assert_array_equal(labels, EXPECTED)
        assert {"smaller_tiles", "smaller_batches"} & set(facts)
        assert fake.n_released > calm.n_released


def test_batches_are_halved_before_tiles() -> None:
    fake, planes = Fake(lambda call, shape: shape[0] > 1, most_at_once=4), np.stack([IMAGE] * 5)
    labels, facts = labels_by(fake, planes, (128, 128))
    np.testing.assert_array_equal(labels, np.stack([EXPECTED] * 5))
    assert facts["smaller_batches"] == "memory ran out; 1 tile(s) at a time"
    assert "smaller_tiles" not in facts
    assert {s[0] for s in fake.shapes} == {4, 2, 1}


def test_tiles_are_halved_until_they_fit() -> None:
    fake = Fake(lambda call, shape: np.prod(shape) > 16 * 16)
    labels, facts = labels_by(fake, IMAGE, (64, 64))
    np.testing.assert_array_equal(labels, EXPECTED)
    assert facts["smaller_tiles"] == "memory ran out; tiles of (16, 16) voxels"


@pytest.mark.parametrize("lazy", [False, True], ids=["numpy", "dask"])
def test_a_network_that_fits_nowhere_is_told_in_a_sentence(lazy: bool) -> None:
    fake = Fake(lambda call, shape: True)
    with pytest.raises(MemoryError, match=r"does not fit into memory with its smallest tile of \(\d+, \d+\) voxels"):
        labels_by(fake, da.from_array(IMAGE, 23) if lazy else IMAGE)


def test_a_halo_that_leaves_no_smaller_tile_ends_the_halving() -> None:
    fake = Fake(lambda call, shape: len(fake.shapes) < 99, multiple=(16, 16), reach=(40, 40))
    with pytest.raises(MemoryError, match="does not fit into memory"):
        labels_by(fake, two_humps((200, 220), dtype="float32"), (128, 128))
    assert len(fake.shapes) < 20


def test_tiles_are_as_small_as_memory_is_before_they_are_tried() -> None:
    fake = Fake(free=16 * 16)
    labels, facts = labels_by(fake, IMAGE, (64, 64))
    np.testing.assert_array_equal(labels, EXPECTED)
    assert max(int(np.prod(s[2:])) for s in fake.shapes) <= 16 * 16
    assert facts["smaller_tiles"] == "memory is short; tiles of (16, 16) voxels"
    labels, _ = labels_by(Fake(free=1), IMAGE, (64, 64))  # an estimate that cannot be met is no reason to give up
    np.testing.assert_array_equal(labels, EXPECTED)


def test_only_a_layer_across_the_longest_axis_waits_for_its_neighbours() -> None:
    finish = partial(predict._labels, classes=np.asarray([0, 1]), head="classes")
    image, backend = two_humps((40, 400), dtype="float32"), Fake(reach=(9, 9))
    tiling = _run.tiling_of(backend, image.shape, (16, 16))
    assert not tiling.exact
    assert tiling.grid[1] > 5 * tiling.grid[0]
    prediction, reader = Prediction(lambda: backend, finish, "uint8"), _run.Reader([image], None, [Scaling()])
    seen = [cell.index for cell, _ in _run.cells_of(prediction, reader, tiling)]
    assert sorted(seen) == sorted(tile.index for tile in tiling.tiles())
    columns = [index[1] for index in seen]
    assert all(now >= max(columns[: at + 1]) - 1 for at, now in enumerate(columns))


def test_the_graph_of_many_tiles_is_one_layer() -> None:
    fake, finish = Fake(), partial(predict._labels, classes=np.asarray([0, 1]), head="classes")
    image = da.zeros((4000, 4000), chunks=500, dtype=np.float32)
    found = [
        _run.predict(Prediction(lambda: fake, finish, "uint8"), [image], None, (n, n)).__dask_graph__()
        for n in (1000, 100)
    ]
    few, many = ([layer for name, layer in graph.layers.items() if name.startswith("unet-")] for graph in found)
    assert len(few) == len(many) == 1
    assert len(many[0]) > 50 * len(few[0])
    assert len(found[0].layers) == len(found[1].layers)


@pytest.mark.parametrize(("free", "most"), [(1 << 40, 4), (3 * 1100, 3), (1, 1)])
def test_a_batch_has_as_many_tiles_as_there_is_memory_for(free: int, most: int) -> None:
    fake = Fake(most_at_once=4, free=free)
    labels, _ = labels_by(fake, two_humps((32 * 9, 30), dtype="float32"), (32, 32))
    assert len(labels) == 288
    largest = {s[2:] for s in fake.shapes}
    assert max(int(np.prod(s)) for s in largest) <= 1600
    assert max(s[0] for s in fake.shapes) == most


def test_torch_that_finds_no_host_memory_raises_a_memory_error() -> None:
    backend = TorchBackend(untrained(), "cpu")
    backend._net = lambda tiles: torch.empty(1 << 60)
    with pytest.raises(MemoryError, match=r"can't allocate memory|not enough memory"):
        backend(np.zeros((1, 1, 4, 4), np.float32))
    backend._net = lambda tiles: tiles @ torch.zeros(3)
    with pytest.raises(RuntimeError, match="size"):
        backend(np.zeros((1, 1, 4, 4), np.float32))


def test_what_tiles_said_is_not_kept() -> None:
    fake = Fake()
    labels_by(fake, IMAGE, (16, 16))
    assert len(fake.shapes) > 20
    assert fake.most_alive <= 2  # the one at hand, and the one before it until the next is there


def test_dask_keeps_what_is_said_about_a_few_cells_only() -> None:
    fake = Fake()
    image = da.from_array(two_humps((400, 61), dtype="float32"), 40)
    finish = partial(predict._labels, classes=np.asarray([0, 1]), head="classes")
    _run.predict(Prediction(lambda: fake, finish, "uint8"), [image], None, (16, 64)).compute(scheduler="sync")
    gc.collect()
    assert len(fake.shapes) > 20
    assert fake.most_alive < len(fake.shapes) / 2


def test_a_run_that_is_cancelled_stops_between_tiles() -> None:
    asked = itertools.count()
    fake = Fake()
    finish = partial(predict._labels, classes=np.asarray([0, 1]), head="classes")
    with pytest.raises(Cancelled), watch(None, lambda: next(asked) > 8):
        _run.predict(Prediction(lambda: fake, finish, "uint8"), [IMAGE], None, (16, 16))
    assert len(fake.shapes) < 12
    assert fake.n_released == 1


def test_a_model_is_made_ready_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(predict, "TorchBackend", lambda *given_: made.append(given_) or TorchBackend(*given_))
    monkeypatch.setattr(predict, "_ready", type(predict._ready)())
    model, image = untrained(seed=11), da.from_array(two_humps((70, 40)), 30)
    monkeypatch.setattr(_run, "TILE", {2: (32, 32), 3: (16, 16, 16)})
    nc.unet_predict(image, model=model).compute()
    nc.unet_predict(image, model=untrained(seed=11))  # another one with the same weights
    assert len(made) == 1
    nc.unet_predict(image, model=untrained(seed=12))
    assert len(made) == 2


# Grey levels in units of their spread --------------------------------------------------------------------

FINITE = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=40)


@given(FINITE, st.integers(0, 40))
def test_moments_of_parts_are_those_of_the_whole(values: list[float], at: int) -> None:
    whole = np.asarray(values, np.float64)
    found = moments_of(None, whole[:at]) if at else Moments()
    found = found.joined(moments_of(None, whole[at:])) if at < len(whole) else found
    spread = max(float(np.abs(whole).max()), 1e-30)
    assert found.n == len(whole)
    assert found.mean == pytest.approx(whole.mean(), abs=1e-12 * spread)
    assert found.squares == pytest.approx(((whole - whole.mean()) ** 2).sum(), rel=1e-10, abs=1e-12 * spread**2)


@pytest.mark.parametrize("chunks", [5, 17, (1, 40)])
def test_scales_do_not_depend_on_chunks(chunks: Any) -> None:
    image = two_humps((40, 40), dtype="float64") * 1e-3 + 1e7
    image[3, 4], image[5, 6] = np.nan, np.inf
    (whole,), (lazy,) = scalings_of([image]), scalings_of([da.from_array(image, chunks)])
    finite = image[np.isfinite(image)]
    for found in (whole, lazy.compute()):
        assert found.shift == pytest.approx(finite.mean(), rel=1e-12)
        assert found.factor == pytest.approx(finite.std(), rel=1e-9)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint64", "float16", "float32"])
def test_extreme_levels_do_not_overflow(dtype: str) -> None:
    kind = np.dtype(dtype)
    limits = np.finfo(kind) if kind.kind == "f" else np.iinfo(kind)
    image = np.full((9, 9), limits.min, dtype)
    image[:, 5:] = limits.max
    (found,) = scalings_of([image])
    middle = (float(limits.min) * 5 + float(limits.max) * 4) / 9
    half = float(limits.max) / 2 - float(limits.min) / 2
    assert found.shift == pytest.approx(middle, rel=1e-6)
    # Two levels a distance d apart with shares 5/9 and 4/9 have the standard deviation d sqrt(20) / 9.
    assert found.factor == pytest.approx(half * 2 * 20**0.5 / 9, rel=1e-6)
    seen = found(image)
    assert seen.dtype == np.float32
    np.testing.assert_allclose(seen[0, [0, 8]], [-((4 / 5) ** 0.5), (5 / 4) ** 0.5], rtol=1e-5)


@pytest.mark.parametrize("level", [0, 7, 1e30, -1e-30])
def test_a_constant_image_is_0_to_the_network(level: float) -> None:
    (found,) = scalings_of([np.full((5, 5), level, np.float32)])
    assert found.factor == 1
    np.testing.assert_array_equal(found(np.full((5, 5), level, np.float32)), 0)
    assert nc.unet_predict(np.full((5, 5), level), model=untrained()).shape == (5, 5)


def test_details_on_a_huge_offset_are_seen_as_without() -> None:
    image = two_humps((40, 40), dtype="uint16").astype(np.int64)
    (near,), (far,) = scalings_of([image]), scalings_of([image + 2**40])
    np.testing.assert_allclose(far(image + 2**40), near(image), rtol=0, atol=1e-3)


def test_an_image_without_a_finite_voxel_has_no_scale() -> None:
    with pytest.raises(ValueError, match="no finite voxel to count"):
        scaling_of(Moments())


def test_moments_are_gathered_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    chunk = moments_pass.chunk
    counting = replace(moments_pass, chunk=lambda state, block: sizes.append(block.size) or chunk(state, block))
    monkeypatch.setattr("napari_cutout.unet._scaling.moments_pass", counting)
    monkeypatch.setattr("napari_cutout._plan.BLOCK_VOXELS", 256)
    scalings_of([two_humps((64, 64))])
    assert max(sizes) <= 512
    assert sum(sizes) == 64 * 64
