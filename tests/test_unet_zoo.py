"""Packages of the BioImage Model Zoo: their example, what they do to grey levels, and packages that are refused."""

from __future__ import annotations

import copy
import re
import socket
import struct
import sys
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.special import expit

import napari_cutout as nc
from napari_cutout.unet._zoo_steps import quantile
from napari_cutout.unet.zoo import ZooModel, described, load_zoo

yaml = pytest.importorskip("yaml")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

FLOAT = onnx.TensorProto.FLOAT
RNG = np.random.default_rng(8)
IMAGE = RNG.normal(300, 40, (24, 40)).astype(np.float32)


# Small packages ---------------------------------------------------------------------------------------


def network(
    nodes: list[Any] | None = None,
    shape_in: tuple[Any, ...] = (1, 1, "y", "x"),
    shape_out: tuple[Any, ...] | None = None,
    constants: dict[str, np.ndarray] | None = None,
    dtype: int = FLOAT,
) -> bytes:
    """A network as ONNX; by default one that returns what it is given."""
    helper = onnx.helper
    graph = helper.make_graph(
        nodes or [helper.make_node("Identity", ["in"], ["out"])],
        "net",
        [helper.make_tensor_value_info("in", dtype, shape_in)],
        [helper.make_tensor_value_info("out", dtype, shape_out or shape_in)],
        [onnx.numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return made.SerializeToString()


SPACE = [{"type": "space", "id": "y", "size": {"min": 8, "step": 4}}, {"type": "space", "size": {"min": 8, "step": 4}}]
SAME = [{"type": "space", "id": axis, "size": {"tensor_id": "raw", "axis_id": axis}, "halo": 2} for axis in ("y", "x")]
CHANNEL = {"type": "channel", "channel_names": ["grey"]}


def description(**changes: Any) -> dict[str, Any]:
    """What a package says; `before` and `after` are its steps."""
    before, after = changes.pop("before", []), changes.pop("after", [{"id": "sigmoid"}])
    said = {
        "format_version": "0.5.4",
        "type": "model",
        "name": "small",
        "inputs": [{"id": "raw", "axes": [{"type": "batch"}, CHANNEL, *SPACE], "preprocessing": before}],
        "outputs": [{"id": "out", "axes": [{"type": "batch"}, CHANNEL, *SAME], "postprocessing": after}],
        "weights": {"onnx": {"source": "weights.onnx"}},
    }
    return copy.deepcopy({**said, **changes})


def package(
    folder: Path, said: dict[str, Any] | None = None, weights: bytes | None = None, **files: np.ndarray
) -> Path:
    """Write a package as a folder; arrays become .npy."""
    folder.mkdir(exist_ok=True)
    (folder / "bioimageio.yaml").write_text(yaml.safe_dump(said or description()), "utf-8")
    (folder / "weights.onnx").write_bytes(network() if weights is None else weights)
    for name, value in files.items():
        np.save(folder / f"{name}.npy", value)
    return folder


def zipped(folder: Path, top: str = "", kind: int = zipfile.ZIP_DEFLATED) -> Path:
    target = folder.with_suffix(".zip")
    with zipfile.ZipFile(target, "w", kind) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, top + path.name)
    return target


@pytest.fixture
def place(tmp_path) -> Path:
    return tmp_path / "small"


def seen(place: Path, before: list[dict[str, Any]], image: np.ndarray = IMAGE, **settings: Any) -> np.ndarray:
    """What the network sees of an image after the steps before it: of a network that returns it, and no sigmoid."""
    said = description(before=before, after=[{"id": "scale_linear", "kwargs": {"gain": 0.01, "offset": 0.5}}])
    said["outputs"][0]["test_tensor"] = {"source": "example.npy"}
    package(place, said, example=np.array([[[[0.0, 0.4]]]]))
    return (nc.unet_probabilities(image, model=place, **settings)[1] - 0.5) / 0.01


# The package of the zoo that there is -------------------------------------------------------------------


def test_a_package_of_the_zoo_gives_its_own_example(data_dir):
    place = data_dir / "unet_bioimageio" / "unet2d_nuclei_broad"
    image, expected = (np.load(place / f"test_{name}.npy")[0, 0] for name in ("input", "output"))
    found = nc.unet_probabilities(image, model=place)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[1], expected, atol=1e-5)
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-6)
    labels = nc.unet_predict(image, model=place / "bioimageio.yaml")
    np.testing.assert_array_equal(labels, expected > 0.5)
    assert 0.02 < labels.mean() < 0.5


def test_a_larger_image_is_labelled_in_tiles_of_the_size_that_the_network_has(data_dir):
    place = data_dir / "unet_bioimageio" / "unet2d_nuclei_broad"
    image = np.load(place / "test_input.npy")[0, 0]
    wide = np.tile(image, (1, 2))[:, :700]
    with nc.watch() as seen:
        labels = nc.unet_predict(wide, model=place)
    assert seen.facts["tiles"].startswith("2 of (512,")
    assert not seen.facts["tiles_equal_the_whole"]
    lazy = nc.unet_predict(da.from_array(wide, chunks=(512, 300)), model=place)
    np.testing.assert_array_equal(lazy.compute(scheduler="synchronous"), labels)
    # Grey levels are scaled by the spread of the wide image, which is close to that of its left part.
    alone = nc.unet_predict(image, model=place)
    assert (labels[:, :480] == alone[:, :480]).mean() > 0.99


# What is done to grey levels ------------------------------------------------------------------------------


def test_grey_levels_are_scaled_by_mean_and_standard_deviation(place):
    found = seen(place, [{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"], "eps": 0.1}}])
    np.testing.assert_allclose(found, (IMAGE - IMAGE.mean()) / (IMAGE.std() + 0.1), atol=1e-3)


def test_statistics_are_those_after_the_steps_before(place):
    steps = [{"id": "clip", "kwargs": {"min": 280.0, "max": 320.0}}, {"id": "zero_mean_unit_variance"}]
    clipped = IMAGE.clip(280, 320)
    np.testing.assert_allclose(seen(place, steps), (clipped - clipped.mean()) / clipped.std(), atol=1e-3)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_grey_levels_are_scaled_by_percentiles(place, dtype):
    image = (IMAGE / 3).astype(dtype)
    kwargs = {"axes": ["y", "x"], "min_percentile": 5, "max_percentile": 99.8, "eps": 1e-3}
    low, high = np.percentile(image, [5, 99.8])
    found = seen(place, [{"id": "scale_range", "kwargs": kwargs}], image)
    np.testing.assert_allclose(found, (image - low) / (high - low + 1e-3), atol=2e-3)


def test_percentiles_are_taken_of_what_the_steps_before_make(place):
    steps = [
        {"id": "scale_linear", "kwargs": {"gain": 2.0, "offset": -100.0}},
        {"id": "scale_range", "kwargs": {"axes": ["y", "x"], "min_percentile": 10, "max_percentile": 90}},
        {"id": "clip", "kwargs": {"min": 0.0, "max": 1.0}},
    ]
    made = 2 * IMAGE - 100
    low, high = np.percentile(made, [10, 90])
    np.testing.assert_allclose(seen(place, steps), ((made - low) / (high - low)).clip(0, 1), atol=2e-3)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"id": "ensure_dtype", "kwargs": {"dtype": "uint8"}}, np.floor(IMAGE.clip(0, 255))),
        ({"id": "scale_linear", "kwargs": {"gain": 0.1, "offset": -3}}, IMAGE * 0.1 - 3),
        ({"id": "scale_linear", "kwargs": {"axis": "channel", "gain": [0.1], "offset": [2]}}, IMAGE * 0.1 + 2),
        ({"id": "fixed_zero_mean_unit_variance", "kwargs": {"mean": 290.0, "std": 20.0}}, (IMAGE - 290) / 20),
        ({"id": "clip", "kwargs": {"min": 310.0}}, IMAGE.clip(310, None)),
        ({"id": "clip", "kwargs": {"axes": ["x", "y"], "min_percentile": 20, "max_percentile": 70}}, "percentiles"),
        ({"id": "binarize", "kwargs": {"threshold": 300.0}}, IMAGE > 300),
        ({"id": "sigmoid"}, expit(IMAGE)),
    ],
    ids=["dtype", "linear", "linear of channels", "fixed", "clip", "clip to percentiles", "binarize", "sigmoid"],
)
def test_each_step_does_what_it_says(place, step, expected):
    if isinstance(expected, str):
        expected = IMAGE.clip(*np.percentile(IMAGE, [20, 70]))
    # Only what becomes a probability comes back, so that numbers are brought into its range first.
    said = [step, {"id": "scale_linear", "kwargs": {"gain": 0.05}}]
    np.testing.assert_allclose(seen(place, said), (0.05 * expected).clip(-50, 50), atol=2e-3)


def test_steps_are_those_of_bioimageio_core(place):
    """The reference of the zoo itself, on the steps that look at the whole."""
    ops = pytest.importorskip("bioimageio.core.proc_ops")
    core = pytest.importorskip("bioimageio.core")
    tensor = core.Tensor(IMAGE, dims=("y", "x"))
    found = seen(place, [{"id": "scale_linear", "kwargs": {"gain": 0.1, "offset": 1.0}}])
    op = ops.ScaleLinear(input="raw", output="raw", gain=0.1, offset=1.0)
    np.testing.assert_allclose(found, np.asarray(op._apply(tensor, {}).data), atol=1e-3)
    measures = {"mean": float(IMAGE.mean(dtype=np.float64)), "std": float(IMAGE.std(dtype=np.float64))}
    mean, std = (
        kind(member_id="raw", axes=("y", "x")) for kind in (core.stat_measures.SampleMean, core.stat_measures.SampleStd)
    )
    op = ops.ZeroMeanUnitVariance(input="raw", output="raw", mean=mean, std=std, eps=1e-2)
    expected = op._apply(tensor, {mean: measures["mean"], std: measures["std"]})
    kwargs = {"axes": ["y", "x"], "eps": 1e-2}
    found = seen(place, [{"id": "zero_mean_unit_variance", "kwargs": kwargs}])
    np.testing.assert_allclose(found, np.asarray(expected.data), atol=1e-3)


@settings(deadline=None)
@given(values=st.lists(st.integers(0, 300), min_size=1, max_size=60), percent=st.floats(0, 100))
def test_a_quantile_of_counts_is_that_of_the_voxels(values, percent):
    image = np.array(values, np.uint16)
    expected = np.percentile(image.astype(np.float64), percent)
    assert quantile(nc.histogram(image[None]), percent) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["zero_mean_unit_variance", "scale_range"])
def test_chunks_do_not_show(place, name):
    steps = [{"id": name, "kwargs": {"axes": ["y", "x"]}}]
    image = IMAGE.copy()
    image[3, 5], image[10, 7] = np.nan, np.inf
    whole = seen(place, steps, image)
    for chunks in ((7, 11), (24, 40)):
        lazy = seen(place, steps, da.from_array(image, chunks=chunks))
        np.testing.assert_allclose(lazy.compute(scheduler="synchronous"), whole, atol=2e-4)
    assert np.isnan(whole[3, 5]) or whole[3, 5] == pytest.approx(0, abs=1e-6)


def test_a_flat_image_is_labelled_and_one_of_nan_alone_refused(place):
    for name in ("zero_mean_unit_variance", "scale_range"):
        package(place, description(before=[{"id": name, "kwargs": {"axes": ["y", "x"]}}]))
        np.testing.assert_array_equal(nc.unet_predict(np.full((9, 9), 5, np.float32), model=place), 0)
        with pytest.raises(ValueError, match="image has no finite voxel"):
            nc.unet_predict(np.full((9, 9), np.nan, np.float32), model=place)


# Channels, axes, sizes ------------------------------------------------------------------------------------


def channels(n: int) -> dict[str, Any]:
    return {"type": "channel", "channel_names": [f"channel{i}" for i in range(n)]}


@pytest.mark.parametrize("joint", [False, True])
def test_each_channel_has_its_own_statistics_unless_all_share_them(place, joint):
    axes = ["channel", "y", "x"] if joint else ["y", "x"]
    said = description(before=[{"id": "zero_mean_unit_variance", "kwargs": {"axes": axes}}])
    said["inputs"][0]["axes"][1] = channels(2)
    helper = onnx.helper
    nodes = [helper.make_node("ReduceSum", ["in", "axis"], ["out"])]  # the sum of both channels
    data = network(nodes, (1, 2, "y", "x"), (1, 1, "y", "x"), {"axis": np.array([1], np.int64)})
    package(place, said, data)
    image = np.stack([IMAGE[:8, :8], IMAGE[8:16, 8:16] * 3])
    over = None if joint else (1, 2)
    scaled = (image - image.mean(over, keepdims=True)) / image.std(over, keepdims=True)
    found = nc.unet_probabilities(image, model=place, channel_axis=0)
    np.testing.assert_allclose(found[1], expit(scaled.sum(0)), atol=1e-4)
    with pytest.raises(ValueError, match="2 channel"):
        nc.unet_predict(image[0], model=place)


def test_axes_may_stand_in_any_order_and_be_left_out(place):
    said = description()
    y, x = said["inputs"][0]["axes"][2:]
    said["inputs"][0]["axes"] = [x, CHANNEL, y]
    y, x = said["outputs"][0]["axes"][2:]
    said["outputs"][0]["axes"] = [y, x]
    nodes = [
        onnx.helper.make_node("Squeeze", ["in", "axis"], ["flat"]),
        onnx.helper.make_node("Transpose", ["flat"], ["out"], perm=[1, 0]),
    ]
    data = network(nodes, ("x", 1, "y"), ("y", "x"), {"axis": np.array([1], np.int64)})
    package(place, said, data)
    image = (IMAGE - 300) / 40
    np.testing.assert_allclose(nc.unet_probabilities(image, model=place)[1], expit(image), atol=1e-5)


def test_a_network_of_volumes_runs_on_volumes(place):
    said = description()
    z = {"type": "space", "id": "z", "size": {"min": 4, "step": 2}}
    said["inputs"][0]["axes"].insert(2, z)
    said["outputs"][0]["axes"].insert(2, {**z, "size": {"tensor_id": "raw", "axis_id": "z"}})
    package(place, said, network(shape_in=(1, 1, "z", "y", "x")))
    volume = RNG.normal(0, 1, (5, 9, 10)).astype(np.float32)
    np.testing.assert_allclose(nc.unet_probabilities(volume, model=place)[1], expit(volume), atol=1e-5)
    with pytest.raises(ValueError, match="trained on volumes"):
        nc.unet_predict(volume[0], model=place)


def test_a_network_of_planes_runs_on_volumes_plane_by_plane(place):
    package(place)
    volume = RNG.normal(0, 1, (3, 9, 10)).astype(np.float32)
    np.testing.assert_allclose(nc.unet_probabilities(volume, model=place)[1], expit(volume), atol=1e-5)


def test_a_network_of_one_size_gets_that_size_alone(place):
    said = description()
    for axis in said["inputs"][0]["axes"][2:]:
        axis["size"] = 16
    package(place, said, network(shape_in=(1, 1, 16, 16)))
    for shape in ((5, 9), (16, 16), (17, 40)):  # onnxruntime refuses any other size
        image = RNG.normal(0, 1, shape).astype(np.float32)
        np.testing.assert_allclose(nc.unet_probabilities(image, model=place)[1], expit(image), atol=1e-5)


def test_sizes_are_the_allowed_ones(place):
    # The sum over the whole input tells how many voxels the network was given: 1 each, and 0 where it was filled up.
    nodes = [
        onnx.helper.make_node("Shape", ["in"], ["shape"]),
        onnx.helper.make_node("Gather", ["shape", "last"], ["n"]),
        onnx.helper.make_node("Cast", ["n"], ["number"], to=FLOAT),
        onnx.helper.make_node("Mul", ["in", "number"], ["out"]),
    ]
    data = network(nodes, constants={"last": np.array(3, np.int64)})
    said = description(after=[{"id": "scale_linear", "kwargs": {"gain": 0.01}}])
    said["outputs"][0]["test_tensor"] = {"source": "example.npy"}
    package(place, said, data, example=np.array([[[[0.0, 0.4]]]]))
    for length, allowed in ((3, 8), (8, 8), (9, 12), (30, 32)):
        found = nc.unet_probabilities(np.ones((8, length), np.float32), model=place)[1]
        np.testing.assert_allclose(found, allowed / 100, atol=1e-6)


@pytest.mark.parametrize("name", ["uint8", "float16", "float64"])
def test_a_network_gets_numbers_of_its_own_dtype(place, name):
    kinds = {"uint8": onnx.TensorProto.UINT8, "float16": onnx.TensorProto.FLOAT16, "float64": onnx.TensorProto.DOUBLE}
    said = description(after=[{"id": "binarize", "kwargs": {"threshold": 3}}])
    said["outputs"][0]["test_tensor"] = {"source": "example.npy"}
    package(place, said, network(dtype=kinds[name]), example=np.array([[[[0.0, 1.0]]]]))
    image = np.array([[1, 2, 3, 4], [5, 6, 7, 0]], np.uint8)
    np.testing.assert_array_equal(nc.unet_predict(image, model=place), image > 3)


# Classes ----------------------------------------------------------------------------------------------------


def of_channels(place: Path, weights: list[float], after: list[dict[str, Any]], **files: np.ndarray) -> ZooModel:
    """A package whose channels are its input times one number each."""
    said = description(after=after)
    said["outputs"][0]["axes"][1] = channels(len(weights))
    if files:
        said["outputs"][0]["test_tensor"] = {"source": "example.npy"}
    kernel = np.array(weights, np.float32).reshape(-1, 1, 1, 1)
    nodes = [onnx.helper.make_node("Conv", ["in", "kernel"], ["out"])]
    package(place, said, network(nodes, shape_out=(1, len(weights), "y", "x"), constants={"kernel": kernel}), **files)
    return load_zoo(place)


def test_probabilities_that_add_up_to_1_are_classes(place):
    model = of_channels(place, [0.0, 1.0, -1.0], [{"id": "softmax", "kwargs": {"axis": "channel"}}])
    assert model.classes == (0, 1, 2)
    image = np.array([[-2.0, 0.0, 2.0]], np.float32)
    np.testing.assert_array_equal(nc.unet_predict(image, model=model), [[2, 0, 1]])
    e = np.exp(np.stack([0 * image, image, -image]))
    np.testing.assert_allclose(nc.unet_probabilities(image, model=model), e / e.sum(0), atol=1e-6)


def test_where_none_of_several_kinds_is_likely_is_background(place):
    model = of_channels(place, [1.0, -1.0], [{"id": "scale_linear", "kwargs": {"offset": -1.0}}, {"id": "sigmoid"}])
    assert model.classes == (0, 1, 2)
    # Of a grey level g the kinds are as likely as sigmoid(g - 1) and sigmoid(-g - 1): at 0 each is 0.27, at 2 0.73
    # and 0.05. Neither at 0; the first at 2, the second at -2.
    image = np.array([[-2.0, 0.0, 0.9, 1.1, 2.0]], np.float32)
    np.testing.assert_array_equal(nc.unet_predict(image, model=model), [[2, 0, 0, 1, 1]])
    np.testing.assert_allclose(nc.unet_probabilities(image, model=model).sum(0), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("example", "classes"),
    [
        (np.array([[[[0.2]], [[0.8]]]]), (0, 1)),
        (np.array([[[[0.2]], [[0.3]]]]), (0, 1, 2)),
        (np.array([[[[1.0]], [[1.0]]]]), (0, 1, 2)),
    ],
)
def test_the_example_of_an_output_tells_what_it_means(place, example, classes):
    assert of_channels(place, [1.0, 2.0], [], example=example).classes == classes


def test_an_output_that_is_no_probability_is_refused(place):
    with pytest.raises(ValueError, match=re.escape("no probability: it goes from -3 to 8 in its example")):
        of_channels(place, [1.0], [], example=np.array([[[[-3.0, 8.0]]]]))
    with pytest.raises(ValueError, match="has 2 axes, and its output 4"):
        of_channels(place, [1.0], [], example=np.array([[0.0, 1.0]]))
    with pytest.raises(ValueError, match="nothing says what its output means"):
        of_channels(place, [1.0], [])


def test_a_model_says_in_a_line_what_it_is(place):
    found = repr(load_zoo(package(place)))
    n = len(network())
    assert found == f"ZooModel('small', 2-D, 1 channel(s), classes (0, 1), {n:,} bytes)"


def test_a_package_is_described_without_its_network(place):
    model = load_zoo(package(place))
    (place / "weights.onnx").write_bytes(b"anything, as it is not read")
    found = described(place)
    assert (found.name, found.form, found.classes, found.data) == (model.name, model.form, model.classes, b"")
    package(place, description(weights={"torchscript": {"source": "w.pt"}}))
    with pytest.raises(ValueError, match="only ONNX is run"):
        described(place)


# Where a package lies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("top", ["", "small/"])
@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zips_and_folders_are_the_same_model(place, top, kind):
    package(place)
    models = [load_zoo(p) for p in (place, place / "bioimageio.yaml", zipped(place, top, kind))]
    assert len({m.digest for m in models}) == 1
    labels = [nc.unet_predict(IMAGE - 300, model=p) for p in (place, str(place.with_suffix(".zip")), models[0])]
    for found in labels:
        np.testing.assert_array_equal(found, IMAGE > 300)


def test_provenance_names_the_model(place):
    package(place)
    with nc.watch() as seen:
        nc.unet_predict(IMAGE, model=place)
    assert seen.facts["model"] == "small"
    assert seen.facts["model_sha256"] == load_zoo(place).digest
    before = load_zoo(place).digest
    package(place, description(before=[{"id": "zero_mean_unit_variance"}]))
    assert load_zoo(place).digest != before  # other steps are another model


def test_nothing_is_fetched_and_nothing_written(place, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("the network was asked")

    said = description()
    said["weights"]["torchscript"] = {"source": "https://example.org/weights.pt"}
    package(zipped(package(place, said)).with_suffix(""), said)
    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    before = {p: p.stat().st_mtime_ns for p in place.parent.rglob("*")}
    nc.unet_predict(IMAGE, model=place.with_suffix(".zip"))
    assert {p: p.stat().st_mtime_ns for p in place.parent.rglob("*")} == before


# Format 0.4 -------------------------------------------------------------------------------------------------


def old(**changes: Any) -> dict[str, Any]:
    """A description of the format 0.4, whose steps and sizes are said in other words."""
    zero_mean = {"mode": "per_sample", "axes": "xy", "eps": 1e-3}
    said = {
        "format_version": "0.4.10",
        "type": "model",
        "name": "old",
        "inputs": [
            {
                "name": "raw",
                "axes": "bcyx",
                "data_type": "float32",
                "shape": {"min": [1, 1, 8, 8], "step": [0, 0, 4, 4]},
                "preprocessing": [{"name": "zero_mean_unit_variance", "kwargs": zero_mean}],
            }
        ],
        "outputs": [
            {
                "name": "out",
                "axes": "bcyx",
                "data_type": "float32",
                "halo": [0, 0, 2, 2],
                "shape": {"reference_tensor": "raw", "scale": [1, 0, 1, 1], "offset": [0, 0.5, 0, 0]},
                "postprocessing": [{"name": "sigmoid"}],
            }
        ],
        "test_inputs": ["input.npy"],
        "test_outputs": ["output.npy"],
        "weights": {"onnx": {"source": "weights.onnx"}},
    }
    return {**said, **changes}


def test_the_old_format_is_read(place):
    package(place, old())
    (place / "bioimageio.yaml").rename(place / "rdf.yaml")
    scaled = (IMAGE - IMAGE.mean()) / (IMAGE.std() + 1e-3)
    np.testing.assert_allclose(nc.unet_probabilities(IMAGE, model=place)[1], expit(scaled), atol=1e-5)
    assert load_zoo(place).form.halo == (2, 2)


def test_the_old_format_has_fixed_means_and_sizes(place):
    said = old()
    said["inputs"][0]["shape"] = [1, 1, 16, 16]
    said["inputs"][0]["preprocessing"][0]["kwargs"] = {"mode": "fixed", "axes": "xy", "mean": [290.0], "std": [20.0]}
    said["outputs"][0].update(shape=[1, 1, 16, 16], postprocessing=[])
    package(place, said, network(shape_in=(1, 1, 16, 16)), output=np.array([[[[0.0, 1.0]]]]))
    found = nc.unet_probabilities(IMAGE, model=place)[1]
    np.testing.assert_allclose(found, ((IMAGE - 290) / 20).clip(0, 1), atol=1e-5)


# What is refused ----------------------------------------------------------------------------------------------


def edited(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A description with another entry; None takes it out."""
    said: Any = description()
    at = said
    for key in path[:-1]:
        at = at[key]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return said


STEPS = ("inputs", 0, "preprocessing")
AFTER = ("outputs", 0, "postprocessing")
AXES = ("inputs", 0, "axes")

REFUSED: list[tuple[tuple[Any, ...], Any, str]] = [
    (("type",), "dataset", "does not describe a model"),
    (("format_version",), "0.3.2", "its format_version is '0.3.2', and 0.4 and 0.5 are read"),
    (("format_version",), "1.0.0", "update napari-cutout"),
    (("inputs",), [], "it has 0 inputs"),
    (("outputs",), [{}, {}], "it has 2 outputs"),
    (("weights",), None, "there is no 'weights'"),
    (("weights",), {"torchscript": {"source": "w.pt"}}, "its weights (torchscript) need code of the package or are"),
    (("weights",), {"pytorch_state_dict": {"source": "w.pt"}}, "only ONNX is run, so ask its authors"),
    (("weights",), {"onnx": {"source": "https://example.org/w.onnx"}}, "nothing is fetched from there"),
    (("weights",), {"onnx": {"source": "../../secret.onnx"}}, "files that lie in it alone, got '../../secret.onnx'"),
    (("weights",), {"onnx": {"source": "/etc/passwd"}}, "files that lie in it alone"),
    (("weights",), {"onnx": {"source": "C:\\w.onnx"}}, "files that lie in it alone"),
    (("weights",), {"onnx": {"source": "weights.onnx", "sha256": "0" * 64}}, "its SHA-256 differs"),
    (("weights",), {"onnx": {"source": "weights.onnx", "external_data": {"source": "w.data"}}}, "lie in two files"),
    ((*AXES, 0), {"type": "time", "size": 1}, "an axis time"),
    ((*AXES, 0), {"type": "index", "size": 1}, "an axis index"),
    ((*AXES, 2), None, "not b, c, [z,] y, x"),
    ((*AXES, 2, "id"), "x", "once each"),
    ((*AXES, 2, "size"), {"min": 0, "step": 1}, "min must be a whole number from 1"),
    ((*AXES, 2, "size"), {"min": 1, "step": -1}, "step must be a whole number from 1"),
    ((*AXES, 2, "size"), 10**12, "size must be a whole number from 1 to 65536"),
    ((*AXES, 2, "size"), True, "size must be a whole number"),
    ((*AXES, 3, "size"), {"tensor_id": "raw", "axis_id": "y"}, "must be as long as y, which may vary"),
    ((*AXES, 3, "size"), {"tensor_id": "raw", "axis_id": "x"}, "depends on"),
    ((*AXES, 1, "channel_names"), ["c"] * 2000, "channel_names must be a whole number from 1 to 1024"),
    (("outputs", 0, "axes", 2, "size"), 4, "its output is not as large as its input"),
    (("outputs", 0, "axes", 2, "size", "offset"), -8, "its output is not as large as its input"),
    (("outputs", 0, "axes", 2, "scale"), 2.0, "its output is not as large as its input"),
    (("outputs", 0, "axes", 2, "halo"), 4, "leaves nothing of 8"),
    (("outputs", 0, "axes", 1, "channel_names"), ["c"] * 300, "up to 255 can be classes"),
    (STEPS, [{"id": "custom", "source": "evil.py", "callable": "run"}], "the step 'custom' is not known here"),
    (STEPS, [{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["x"]}}], "for each plane or line by itself"),
    (STEPS, [{"id": "zero_mean_unit_variance"}] * 2, "two of the steps before the network"),
    (STEPS, [{"id": "scale_range", "kwargs": {"reference_tensor": "other"}}], "refers to the tensor 'other'"),
    (STEPS, [{"id": "scale_range", "kwargs": {"min_percentile": 400}}], "between 0 and 100"),
    (STEPS, [{"id": "scale_linear", "kwargs": {"gain": [1, 2, 3]}}], "one number for each of 1 channels"),
    (STEPS, [{"id": "scale_linear", "kwargs": {"gain": "a lot"}}], "could not convert"),
    (STEPS, [{"id": "ensure_dtype", "kwargs": {"dtype": "object"}}], "a dtype of real numbers"),
    (STEPS, [{"id": "ensure_dtype", "kwargs": {}}], "there is no 'dtype'"),
    (AFTER, [{"id": "scale_range"}], "needs to know its whole output"),
    (AFTER, [{"id": "softmax", "kwargs": {"axis": "x"}}], "along the channels"),
    (STEPS, [3], "cannot be used"),
    (AXES, "bcyx", "cannot be used"),
]


@pytest.mark.parametrize(
    ("path", "value", "sentence"), REFUSED, ids=[f"{at} {s[:30]}" for at, (_, _, s) in enumerate(REFUSED)]
)
def test_what_cannot_be_used_is_refused_with_the_reason(place, path, value, sentence):
    package(place, edited(path, value))
    with pytest.raises(ValueError, match=re.escape(sentence)):
        load_zoo(place)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"a: &x [1]\nb: *x",
        b"[" * 20_000,
        b"!!python/object/apply:os.system ['true']",
        b"a: [",
        b"- 1",
    ],
    ids=lambda text: str(text[:12]),
)
def test_descriptions_that_are_no_plain_yaml_are_refused(place, text):
    package(place)
    (place / "bioimageio.yaml").write_bytes(text)
    with pytest.raises(ValueError, match=r"bioimageio\.yaml"):
        load_zoo(place)


@pytest.mark.parametrize(
    "line", ["a{i}: &a{i} [{aliases}]", "a{i}: &a{i} {{<<: [{aliases}]}}"], ids=["lists", "merges"]
)
def test_yaml_that_grows_when_it_is_read_is_refused(place, line):
    package(place)
    lines = ["a0: &a0 {lol: lol}"]
    lines += [line.format(i=i, aliases=", ".join([f"*a{i - 1}"] * 9)) for i in range(1, 30)]
    (place / "bioimageio.yaml").write_text("\n".join(lines))
    with pytest.raises(ValueError, match="it refers to parts of itself again and again"):
        load_zoo(place)


def test_yaml_that_holds_itself_is_refused(place):
    package(place)
    (place / "bioimageio.yaml").write_text("type: model\nself: &self [*self]")
    with pytest.raises(ValueError, match="it refers to parts of itself again and again"):
        load_zoo(place)


def test_weights_that_are_no_network_are_refused(place):
    external = onnx.load_model_from_string(
        network([onnx.helper.make_node("Add", ["in", "k"], ["out"])], constants={"k": np.ones(4, np.float32)})
    )
    tensor = external.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")
    unknown = network([onnx.helper.make_node("Evil", ["in"], ["out"], domain="evil")])
    for data, sentence in (
        (b"not a network", "no ONNX|cannot run|can run"),
        (external.SerializeToString(), "refer to other files"),
        (unknown, "no network that onnxruntime can run"),
        (network(shape_in=(1, 1, "y"), shape_out=(1, 1, "y")), "cannot be run"),
    ):
        package(place, weights=data)
        with pytest.raises(ValueError, match=sentence):
            nc.unet_predict(IMAGE, model=place)


def test_a_network_that_gives_another_size_is_refused(place):
    nodes = [onnx.helper.make_node("MaxPool", ["in"], ["out"], kernel_shape=[2, 2], strides=[2, 2])]
    package(place, weights=network(nodes, shape_out=(1, 1, "v", "u")))
    with pytest.raises(ValueError, match="not what its description says"):
        nc.unet_predict(IMAGE, model=place)


def test_examples_that_lie_about_their_size_are_refused(place):
    said = description(after=[])
    said["outputs"][0]["test_tensor"] = {"source": "example.npy"}
    package(place, said)
    for shape in ("(1000000, 1000000, 1000)", "(2,)", "(0,)"):
        head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
        (place / "example.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + b"\0" * 4)
        with pytest.raises(ValueError, match=r"example\.npy is not a complete array"):
            load_zoo(place)
    np.save(place / "example.npy", np.array([print], object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"example\.npy is not a complete array"):
        load_zoo(place)


def test_zips_that_are_bombs_are_refused(place):
    package(place)
    (place / "weights.onnx").write_bytes(bytes(50_000_000))
    with pytest.raises(ValueError, match="claims to have 50,000,000 bytes"):
        load_zoo(zipped(place))
    (place / "bioimageio.yaml").write_bytes(RNG.bytes(300_000))
    with pytest.raises(ValueError, match="claims to have 300,000 bytes"):
        load_zoo(zipped(place))
    with pytest.raises(ValueError, match="has 300,000 bytes, and may have"):
        load_zoo(place)


def test_what_is_missing_is_said(place, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no package at"):
        load_zoo(tmp_path / "nothing.zip")
    with pytest.raises(FileNotFoundError, match="holds no bioimageio"):
        load_zoo(tmp_path)
    package(place)
    (place / "weights.onnx").unlink()
    for path in (place, zipped(place)):
        with pytest.raises(FileNotFoundError, match=r"weights\.onnx is missing"):
            load_zoo(path)
    place.with_suffix(".zip").write_bytes(b"not a zip")
    with pytest.raises(ValueError, match="is not a complete zip"):
        load_zoo(place.with_suffix(".zip"))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_a_damaged_zip_is_refused(tmp_path, data):
    path = zipped(package(tmp_path / "small"))
    whole = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        whole = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(whole)
    try:
        found = load_zoo(path)
    except (ValueError, FileNotFoundError):
        return
    assert found.data == network()  # it was a time or a flag that nobody reads


@pytest.mark.parametrize("module", ["onnx", "onnxruntime", "yaml"])
def test_what_is_not_installed_is_named_with_the_line_that_installs_it(place, module, monkeypatch):
    package(place)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr("napari_cutout.unet.predict._ready", {})
    with pytest.raises(ImportError, match=rf'needs {module}, .* pip install "napari-cutout\[zoo\]"'):
        nc.unet_predict(IMAGE, model=place)


def test_a_sha_that_is_right_is_accepted(place):
    data = network()
    said = description(weights={"onnx": {"source": "weights.onnx", "sha256": sha256(data).hexdigest()}})
    np.testing.assert_array_equal(nc.unet_predict(IMAGE - 300, model=package(place, said, data)), IMAGE > 300)
