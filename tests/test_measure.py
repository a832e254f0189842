"""What is measured of objects: by hand, against scikit-image, and the same for every tiling and library."""

from __future__ import annotations

import csv
import math
from typing import Any

import dask.array as da
import numpy as np
import pytest
from skimage.measure import regionprops

import napari_cutout as nc
from napari_cutout import _plan
from napari_cutout.processing import _label_sums

from .conftest import read_only

SPACINGS = {2: (0.5, 0.2), 3: (2.0, 0.5, 0.25)}
SHAPES = [(31, 44), (9, 21, 26)]


def objects(shape: tuple[int, ...], seed: int = 0, n: int = 12) -> np.ndarray:
    """Return objects of many shapes and sizes, some of several pieces."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    for label in range(1, n + 1):
        low = [int(rng.integers(0, edge - 2)) for edge in shape]
        box = tuple(slice(a, a + int(rng.integers(1, 12))) for a in low)
        labels[box] = np.where(rng.random(labels[box].shape) < 0.8, label, labels[box])
    labels[(0,) * len(shape)] = n + 1  # one voxel
    return labels


def grey(shape: tuple[int, ...], dtype: str, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return (rng.standard_normal(shape) * 30 + 1000).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


# By hand ---------------------------------------------------------------------------------------------


def test_a_rectangle_worked_by_hand() -> None:
    labels = np.zeros((10, 12), np.uint8)
    labels[2:5, 4:10] = 3  # 3 x 6 pixels of 2 x 0.5 µm: 6 x 3 µm
    image = np.zeros((10, 12), np.uint16)
    image[2:5, 4:10] = [[1, 2, 3, 4, 5, 6]] * 3
    found = nc.measure(labels, image, spacing=(2.0, 0.5), units="µm")
    (row,) = found.table
    expected = {
        "label": 3, "n_voxels": 18, "area": 18.0,
        "centroid_y": 6.0, "centroid_x": 3.25,
        "bbox_y_start": 2, "bbox_y_stop": 5, "bbox_x_start": 4, "bbox_x_stop": 10,
        "extent": 1.0, "equivalent_diameter": 2 * math.sqrt(18 / math.pi),
        # a solid rectangle of edge a has the variance a^2 / 12, and an ellipse of axis L has L^2 / 16
        "length_major": 4 * 6 / math.sqrt(12), "length_minor": 4 * 3 / math.sqrt(12), "elongation": 2.0,
        "mean": 3.5, "std": math.sqrt(35 / 12), "min": 1, "max": 6, "sum": 63,
    }  # fmt: skip
    assert list(row) == list(expected)
    assert row == pytest.approx(expected, rel=1e-14)
    lengths = {"centroid_y", "centroid_x", "equivalent_diameter", "length_major", "length_minor"}
    assert found.units == {"area": "µm²"} | dict.fromkeys(lengths, "µm")


def test_a_box_worked_by_hand() -> None:
    labels = np.zeros((6, 9, 20), bool)
    labels[1:3, 2:6, 3:19] = True  # 2 x 4 x 16 voxels of 3 x 1 x 0.5: 6 x 4 x 8
    (row,) = nc.measure(labels, spacing=(3.0, 1.0, 0.5), units="nm").table
    unit = math.sqrt(20 / 12)  # an ellipsoid of axis L has the variance L^2 / 20
    assert row["label"] == 1
    assert row["volume"] == 2 * 4 * 16 * 1.5
    assert [row[f"length_{n}"] for n in ("major", "middle", "minor")] == pytest.approx([8 * unit, 6 * unit, 4 * unit])
    assert (row["elongation"], row["flatness"]) == pytest.approx((8 / 6, 6 / 4))
    assert (row["centroid_z"], row["centroid_y"], row["centroid_x"]) == (1.5 * 3, 3.5, 10.5 * 0.5)
    assert row["equivalent_diameter"] == pytest.approx((6 * 192 / math.pi) ** (1 / 3))


def test_a_large_ball_has_the_axes_and_the_diameter_of_a_ball() -> None:
    z, y, x = np.ogrid[-24:25, -24:25, -24:25]
    (row,) = nc.measure((z**2 + y**2 + x**2 <= 23**2).astype(int)).table
    for name in ("length_major", "length_middle", "length_minor", "equivalent_diameter"):
        assert row[name] == pytest.approx(46, rel=0.01)
    assert row["extent"] == pytest.approx(math.pi / 6 * (46 / 47) ** 3, rel=0.01)


def test_frames_are_measured_apart() -> None:
    labels = np.zeros((3, 5, 6), np.uint8)
    labels[0, 1:3, 1:3] = 2
    labels[2, 1:3, 4:6] = 2
    labels[2, 4, 0] = 1
    image = np.arange(3)[:, None, None] * np.ones((3, 5, 6), np.uint8)
    found = nc.measure(labels, image, frame_axis=0, spacing=(1.0, 2.0))
    assert [(r["frame"], r["label"], r["n_voxels"], r["centroid_x"], r["mean"]) for r in found.table] == [
        (0, 2, 4, 3.0, 0.0), (2, 1, 1, 0.0, 2.0), (2, 2, 4, 9.0, 2.0),
    ]  # fmt: skip
    last = nc.measure(np.moveaxis(labels, 0, -1), np.moveaxis(image, 0, -1), frame_axis=-1, spacing=(1.0, 2.0))
    assert last.table == found.table


def test_channels_are_measured_apart() -> None:
    labels = np.array([[1, 1, 0, 2]])
    image = np.array([[[1, 3, 9, 4]], [[5, 5, 9, 7]]], np.uint8)
    by_axis = nc.measure(labels, image, channel_axis=0).table
    assert [(r["mean_0"], r["mean_1"], r["sum_0"]) for r in by_axis] == [(2.0, 5.0, 4), (4.0, 7.0, 4)]
    assert nc.measure(labels, np.moveaxis(image, 0, -1), channel_axis=-1).table == by_axis
    named = nc.measure(labels, {"DAPI": image[0], "actin": image[1].astype(float)})
    assert [r["mean_DAPI"] for r in named.table] == [2.0, 4.0]
    assert [r["max_actin"] for r in named.table] == [5.0, 7.0]


def test_nan_is_left_out_and_counted() -> None:
    labels = np.array([[1, 1, 1, 2, 2, 3]])
    image = np.array([[1.0, np.nan, 4.0, np.nan, np.nan, np.inf]])
    one, two, three = nc.measure(labels, image).table
    assert (one["mean"], one["std"], one["min"], one["max"], one["sum"], one["n_nan"]) == (2.5, 1.5, 1.0, 4.0, 5.0, 1)
    assert (two["n_voxels"], two["sum"], two["n_nan"]) == (2, 0.0, 2)
    assert all(math.isnan(two[name]) for name in ("mean", "std", "min", "max"))
    assert (three["mean"], three["max"], three["n_nan"]) == (math.inf, math.inf, 0)


# Against an independent reference --------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "float32"])
def test_scikit_image_finds_the_same(shape: tuple[int, ...], dtype: str) -> None:
    labels, image, spacing = objects(shape), grey(shape, dtype), SPACINGS[len(shape)]
    axes = "zyx"[-len(shape) :]
    found = nc.measure(labels, image, spacing=spacing).table
    regions = regionprops(labels, image, spacing=spacing)
    assert [row["label"] for row in found] == [region.label for region in regions]
    for row, region in zip(found, regions, strict=True):
        assert row["n_voxels"] == region.num_pixels
        assert row["area" if len(shape) == 2 else "volume"] == pytest.approx(region.area)
        assert [row[f"centroid_{a}"] for a in axes] == pytest.approx(region.centroid)
        starts, stops = [row[f"bbox_{a}_start"] for a in axes], [row[f"bbox_{a}_stop"] for a in axes]
        assert (*starts, *stops) == region.bbox
        assert row["extent"] == pytest.approx(region.extent)
        assert row["equivalent_diameter"] == pytest.approx(region.equivalent_diameter_area)
        values = image[labels == row["label"]].astype(np.float64)
        for name, value in (("mean", values.mean()), ("std", values.std()), ("sum", values.sum())):
            assert row[name] == pytest.approx(value, rel=1e-12), name
        assert (row["min"], row["max"]) == (values.min(), values.max())
        assert row["mean"] == pytest.approx(region.intensity_mean)
        inertia = np.asarray(region.inertia_tensor)  # of points: trace * 1 - covariance; in 2-D rotated by 90 degrees
        covariance = np.trace(inertia) / (len(shape) - 1) * np.eye(len(shape)) - inertia
        solid = np.linalg.eigvalsh(covariance + np.diag(np.square(spacing)) / 12)[::-1]
        names = ("major", "minor") if len(shape) == 2 else ("major", "middle", "minor")
        lengths = 2 * np.sqrt((len(shape) + 2) * solid)
        assert [row[f"length_{n}"] for n in names] == pytest.approx(lengths.tolist(), rel=1e-9)


def test_far_from_the_origin_nothing_cancels() -> None:
    """A sum of squared coordinates in float32, or a difference of two in float64, would lose the shape."""
    labels = np.zeros((3, 200_003), np.uint8)
    labels[:, -3:] = 1
    (row,) = nc.measure(labels).table
    assert row["length_major"] == row["length_minor"] == pytest.approx(4 * 3 / math.sqrt(12), rel=1e-14)
    image = np.full((3, 200_003), 1e9)
    image[:, -3:] += [0.0, 1.0, 2.0]
    (row,) = nc.measure(labels, image).table
    assert row["std"] == pytest.approx(math.sqrt(2 / 3), rel=1e-6)


# The same numbers whatever the blocks ----------------------------------------------------------------

EXACT = ("bool", "uint8", "int8", "uint16", "int16")
OTHER = ("int32", "uint32", "int64", "uint64", "float16", "float32", "float64")


def sample(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    if dtype == "bool":
        return grey(shape, "uint8") > 128
    if dtype in ("int64", "uint64"):  # at the ends of the range, where a sum does not fit into int64
        image = grey(shape, dtype)
        return np.where(image % 2 == 0, image, image // 3)
    return grey(shape, dtype)


def assert_same(found: nc.Measurements, expected: nc.Measurements, dtype: str) -> None:
    """All columns are equal, but for mean, sum and std where they are floats."""
    assert list(found.columns) == list(expected.columns)
    for name, values in expected.columns.items():
        rounds = {"std"} if dtype in EXACT + OTHER[:4] else {"mean", "std", "sum"}
        if dtype not in EXACT and name in rounds:
            scale = np.abs(np.asarray(expected.columns["max"], float)).max()
            atol = 1e-9 * scale * (expected.columns["n_voxels"].max() if name == "sum" else 1)
            np.testing.assert_allclose(found.columns[name].astype(float), values.astype(float), rtol=0, atol=atol)
        else:
            np.testing.assert_array_equal(found.columns[name], values, err_msg=name)


@pytest.mark.parametrize("dtype", EXACT + OTHER)
@pytest.mark.parametrize("chunks", [(4, 21, 26), (5, 7, 6)], ids=str)
def test_dask_gives_the_numbers_of_the_whole(dtype: str, chunks: tuple[int, ...]) -> None:
    labels, image = objects((9, 21, 26), seed=4), sample((9, 21, 26), dtype)
    lazy = nc.measure(da.from_array(labels, chunks), da.from_array(image, (9, 5, 26)), spacing=SPACINGS[3])
    assert_same(lazy, nc.measure(labels, image, spacing=SPACINGS[3]), dtype)


@pytest.mark.parametrize("dtype", ["uint16", "uint64", "float32"])
def test_blocks_in_memory_do_not_show(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    labels, image = objects((9, 21, 26), seed=5), sample((9, 21, 26), dtype)
    whole = nc.measure(labels, image)
    monkeypatch.setattr(_plan, "BLOCK_VOXELS", 100)
    assert_same(nc.measure(labels, image), whole, dtype)


@pytest.mark.parametrize("chunks", [(2, 9, 21, 26), (1, 4, 5, 26)], ids=str)
def test_frames_of_dask_are_those_of_the_whole(chunks: tuple[int, ...]) -> None:
    labels = np.stack([objects((9, 21, 26), seed) for seed in range(4)])
    image = grey(labels.shape, "uint16")
    lazy = nc.measure(da.from_array(labels, chunks), da.from_array(image, chunks), frame_axis=0)
    assert_same(lazy, nc.measure(labels, image, frame_axis=0), "uint16")
    assert nc.measure(labels[2], image[2]).table == [
        {name: value for name, value in row.items() if name != "frame"} for row in lazy.table if row["frame"] == 2
    ]


@pytest.mark.parametrize("dtype", EXACT + tuple(d for d in OTHER if d != "float16"))
def test_every_library_gives_the_same_numbers(dtype: str, to_library: Any) -> None:
    labels, image = objects((9, 21, 26), seed=6), sample((9, 21, 26), dtype)
    found = nc.measure(to_library(labels), to_library(image), spacing=SPACINGS[3])
    assert_same(found, nc.measure(labels, image, spacing=SPACINGS[3]), dtype)


def test_nan_is_left_out_in_every_library(to_library: Any) -> None:
    labels = np.array([[1, 1, 1, 2, 2, 3]])
    image = np.array([[1.0, np.nan, 4.0, np.nan, np.nan, 6.0]])
    found = nc.measure(to_library(labels), to_library(image))
    assert found.columns["n_nan"].tolist() == [1, 2, 0]
    np.testing.assert_array_equal(found.columns["mean"], [2.5, np.nan, 6.0])
    np.testing.assert_array_equal(found.columns["max"], [4.0, np.nan, 6.0])
    gone = nc.measure(to_library(labels), to_library(np.full(labels.shape, np.nan)))
    assert gone.columns["n_nan"].tolist() == [3, 2, 1]


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", EXACT + tuple(d for d in OTHER if d != "float16"))
def test_gpu_gives_the_numbers_of_the_host(dtype: str, to_gpu: Any) -> None:
    labels, image = objects((30, 61, 66), seed=7, n=60), sample((30, 61, 66), dtype)
    found = nc.measure(to_gpu(labels), to_gpu(image), spacing=SPACINGS[3])
    assert_same(found, nc.measure(labels, image, spacing=SPACINGS[3]), dtype)


def test_a_dask_array_is_never_computed_whole() -> None:
    largest = []

    def block(block_info: Any = None) -> np.ndarray:
        shape = block_info[None]["chunk-shape"]
        largest.append(math.prod(shape))
        return np.ones(shape, np.uint8)

    lazy = da.map_blocks(block, chunks=((4,) * 5, (6,) * 3), dtype=np.uint8, meta=np.empty((0, 0), np.uint8))
    largest.clear()
    assert nc.measure(lazy).table[0]["n_voxels"] == 20 * 18
    assert (len(largest), max(largest)) == (15, 24), "each chunk once"


def test_sums_that_int64_cannot_hold_stay_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, image = objects((31, 44)), sample((31, 44), "uint16")
    expected = nc.measure(labels, image)
    monkeypatch.setattr(_label_sums, "SAFE", 1)
    monkeypatch.setattr(_plan, "BLOCK_VOXELS", 100)
    found = nc.measure(labels, image)
    assert found.table == expected.table
    assert found.columns["sum"].dtype == found.columns["n_voxels"].dtype == np.int64
    huge = nc.measure(np.ones((2, 3), int), np.full((2, 3), 2**64 - 1, np.uint64))
    assert huge.table[0]["sum"] == 6 * (2**64 - 1)


# Labels of all kinds ---------------------------------------------------------------------------------


def test_sparse_labels_take_no_more_than_their_number() -> None:
    labels = np.zeros((50, 60), np.uint64)
    labels[:9, :9], labels[20:, 30:] = 10**12, 2**63 - 1
    assert nc.measure(labels).columns["label"].tolist() == [10**12, 2**63 - 1]
    assert nc.measure(labels).columns["n_voxels"].tolist() == [81, 900]


def test_strides_byte_order_and_read_only_arrays_do_not_matter() -> None:
    labels, image = objects((31, 44)), grey((31, 44), "float32")
    expected = nc.measure(labels[::-1, 3::2], image[::-1, 3::2]).table
    swapped = np.asfortranarray(labels).astype(">i4")[::-1, 3::2], image.astype(">f4")[::-1, 3::2]
    assert nc.measure(*swapped).table == expected
    assert nc.measure(read_only(labels)[::-1, 3::2], read_only(image)[::-1, 3::2]).table == expected


@pytest.mark.parametrize("labels", [np.zeros((4, 5), int), np.zeros((0, 5), int)], ids=["background", "no-voxels"])
def test_no_objects_give_an_empty_table(labels: np.ndarray) -> None:
    found = nc.measure(labels, np.zeros(labels.shape, np.float32), spacing=(1, 1))
    assert found.table == []
    assert len(found) == 0
    assert "0 objects" in str(found)
    assert {"label", "area", "centroid_x", "length_minor", "mean", "n_nan"} <= set(found.columns)


# In and out ------------------------------------------------------------------------------------------


def test_csv_has_every_number_in_full(tmp_path: Any) -> None:
    found = nc.measure(objects((9, 21, 26)), grey((9, 21, 26), "float32"), spacing=SPACINGS[3], units="µm")
    path = found.to_csv(tmp_path / "objects.csv")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == found.headings
    assert {"label", "n_voxels", "volume_um3", "centroid_y_um", "length_major_um", "extent", "mean"} <= set(rows[0])
    assert [[float(text) for text in row.values()] for row in rows] == [list(row.values()) for row in found.table]
    with pytest.raises(FileExistsError, match="exists already"):
        found.to_csv(path)
    found.to_csv(path, overwrite=True)


def test_the_summary_names_units_and_what_is_left_out() -> None:
    text = str(nc.measure(np.arange(60).reshape(6, 10), spacing=(0.5, 0.25), units="µm"))
    lines = text.splitlines()
    assert "area [µm²]" in lines[0]
    assert lines[-2:] == ["  ... and 19 more objects", "59 objects; voxel 0.5 x 0.25 µm"]
    assert len(lines) == 43


def test_what_was_found_cannot_be_changed() -> None:
    found = nc.measure(np.ones((2, 2), int))
    with pytest.raises(ValueError, match="read-only"):
        found.columns["label"][0] = 5


TWO, FOUR = np.ones((4, 5), int), np.ones((2, 3, 4, 5), int)


@pytest.mark.parametrize(
    ("labels", "image", "more", "sentence"),
    [
        pytest.param(np.ones((4, 5)), None, {}, "labels must hold integers, got dtype float64", id="float-labels"),
        pytest.param(-TWO, None, {}, "labels hold -1, and labels must be 0 or more", id="negative"),
        pytest.param(np.full((2, 2), 2**63, np.uint64), None, {}, f"labels hold {2**63}.*at most", id="beyond-int64"),
        pytest.param(TWO, np.ones((4, 6)), {}, r"shape of labels, \(4, 5\), but has \(4, 6\)", id="shape"),
        pytest.param(TWO, np.ones((4, 5), complex), {}, "real numbers or booleans, got dtype complex", id="complex"),
        pytest.param(TWO, np.ma.masked_equal(TWO, 0), {}, "masked array", id="masked"),
        pytest.param(TWO, da.ones((4, 5)), {}, "one library, got numpy and dask", id="libraries"),
        pytest.param([[1, 2]], None, {}, "an array was expected, got list", id="list"),
        pytest.param(FOUR, None, {}, "2 or 3 axes of space.*frame_axis=0", id="4-D"),
        pytest.param(TWO[0], None, {}, r"2 or 3 axes of space, got shape \(5,\)", id="1-D"),
        pytest.param(TWO, None, {"spacing": (1.0,)}, "one length per axis, 2 of them", id="spacing-short"),
        pytest.param(TWO, None, {"spacing": (1.0, 0.0)}, "positive and finite", id="spacing-zero"),
        pytest.param(TWO, None, {"units": "µm"}, "units='µm' say what spacing is in", id="units-alone"),
        pytest.param(FOUR, None, {"frame_axis": 4}, "frame_axis must be an axis .* got 4", id="frame-axis"),
        pytest.param(TWO, np.ones((4, 5, 3)), {"channel_axis": 3}, "channel_axis must be an axis", id="channel-axis"),
        pytest.param(TWO, np.ones((4, 5, 3)), {"channel_axis": True}, "a whole number, got True", id="channel-bool"),
        pytest.param(TWO, None, {"channel_axis": 0}, "channel_axis=0 needs one image", id="channel-of-nothing"),
    ],
)
def test_bad_input_is_refused(labels: Any, image: Any, more: dict[str, Any], sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        nc.measure(labels, image, **more)


def test_a_dask_array_of_unknown_shape_is_refused() -> None:
    lazy = da.from_array(np.arange(60).reshape(12, 5))
    with pytest.raises(ValueError, match="unknown shape"):
        nc.measure(lazy[lazy[:, 0] > 10])


def test_it_tells_how_far_it_is_and_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_plan, "BLOCK_VOXELS", 100)
    seen: list[str] = []
    with nc.watch(lambda stage, _: seen.append(stage)):
        nc.measure(objects((31, 44)))
    assert set(seen) == {"measuring objects"}
    assert len(seen) > 10
    with pytest.raises(nc.Cancelled), nc.watch(is_cancelled=lambda: len(seen) > 12):
        nc.measure(objects((31, 44)))
