"""Files: what is written comes back, what is damaged is refused, what was there stays."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from napari_cutout import Recipe, _tiff, io
from napari_cutout._writing import scratch_folder
from napari_cutout.io import Volume

# Files are written over and over into one folder, which is meant.
in_one_folder = settings(
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)


def ramp(*shape: int, dtype: Any = np.uint16) -> np.ndarray:
    return (np.arange(np.prod(shape)) % 251).reshape(shape).astype(dtype)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 2**16, shape, dtype=np.uint16)


def assert_same(got: Volume, expected: Volume) -> None:
    np.testing.assert_array_equal(got.data, expected.data)
    assert got.axes == expected.axes
    assert got.spacing == (None if expected.spacing is None else pytest.approx(expected.spacing, rel=1e-12))
    assert got.units == expected.units
    assert got.origin == (None if expected.origin is None else pytest.approx(expected.origin, rel=1e-12))
    assert dict(got.metadata) == dict(expected.metadata)


# --- Volume -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings_", "sentence"),
    [
        ({"axes": "zyx"}, r"axes must have one letter per axis of data, but are 'zyx' for the shape \(4, 5\)"),
        ({"axes": "qx"}, "axes must be different letters of 'tczyx', but are 'qx'"),
        ({"axes": "xx"}, "axes must be different letters of 'tczyx', but are 'xx'"),
        ({"axes": "xy"}, "in the order z, y, x, but are 'xy'"),
        ({"axes": "cx"}, "axes must hold y and x, .* but are 'cx'"),
        ({"spacing": (1.0,)}, r"one length per spatial axis, y, x, but is \(1.0,\)"),
        ({"spacing": (1.0, -2.0)}, r"spacing must be positive and finite, but is \(1.0, -2.0\)"),
        ({"spacing": (1.0, 0.0)}, "spacing must be positive and finite"),
        ({"spacing": (1.0, float("nan"))}, "spacing must be positive and finite"),
        ({"spacing": (1.0, float("inf"))}, "spacing must be positive and finite"),
        ({"spacing": (1.0, 1.0), "units": "furlong"}, "units must be None or one of .*micrometer.*'furlong'"),
        ({"spacing": (1.0, 1.0), "origin": (1.0,)}, r"one finite position per spatial axis, y, x, but is \(1.0,\)"),
        ({"spacing": (1.0, 1.0), "origin": (0.0, float("nan"))}, r"one finite position .* but is \(0.0, nan\)"),
        ({"origin": (1.0, 1.0)}, r"origin is \(1.0, 1.0\) but spacing is None; give both, or no origin"),
        ({"units": "micrometer"}, "units are 'micrometer' but spacing is None; give both or neither"),
    ],
)
def test_a_volume_that_contradicts_itself_is_refused(settings_: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Volume(ramp(4, 5), **{"axes": "yx", **settings_})


def test_spacing_becomes_a_tuple_of_floats() -> None:
    spacing = Volume(ramp(2, 4, 5, 3), "zyxc", spacing=np.array([2, 1, 1])).spacing
    assert spacing == (2.0, 1.0, 1.0)
    assert all(type(length) is float for length in spacing)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *((text, "micrometer") for text in ("um", "µm", "μm", "micron", "Microns", "micrometer", "\\u00B5m")),
        ("nm", "nanometer"),
        ("millimeters", "millimeter"),
        ("Å", "angstrom"),
        *((text, None) for text in ("pixel", "", None, "parsec", "reference frame")),
    ],
)
def test_unit_names(text: str | None, name: str | None) -> None:
    assert io.unit_name(text) == name


# --- Round trips --------------------------------------------------------------------------------------------

lengths = st.floats(1e-3, 1e4)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(-1e6, 1e6) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def volumes(draw: st.DrawFn, axes: str, dtypes: list[str]) -> Volume:
    letters = draw(st.sampled_from(axes.split()))
    data = draw(hnp.arrays(draw(st.sampled_from(dtypes)), tuple(draw(st.integers(1, 6)) for _ in letters)))
    n_spatial = sum(letter in "zyx" for letter in letters)
    spacing = draw(st.none() | st.tuples(*[lengths] * n_spatial))
    units = draw(st.none() | st.sampled_from(sorted(io.UNITS))) if spacing else None
    origin = draw(st.none() | st.tuples(*[st.floats(-1e4, 1e4)] * n_spatial)) if spacing else None
    metadata = draw(st.dictionaries(st.text(), plain, max_size=2))
    return Volume(data, letters, spacing, units, metadata=metadata, origin=origin)


EVERY_AXES = "yx zyx yxc zyxc cyx tyx czyx tczyx ctzyx"
TIFF_DTYPES = ["?", "u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8", ">u2"]


@in_one_folder
@given(volume=volumes(EVERY_AXES, TIFF_DTYPES))
def test_tiff_round_trip(tmp_path: Path, volume: Volume) -> None:
    path = io.write(tmp_path / "a.tif", volume, overwrite=True)
    assert_same(io.read(path), volume)
    assert io.read(path).data.dtype == volume.data.dtype.newbyteorder("=")


@in_one_folder
@given(volume=volumes(EVERY_AXES, [*TIFF_DTYPES, "u8", "i8"]))
def test_ome_zarr_round_trip(tmp_path: Path, volume: Volume) -> None:
    path = io.write(tmp_path / "a.zarr", volume, kind="image", overwrite=True)
    assert_same(io.read(path), volume)
    assert io.read(path).data.dtype == volume.data.dtype.newbyteorder("=")


@in_one_folder
@given(volume=volumes("yx", ["?", "u1", "u2"]))
def test_png_round_trip(tmp_path: Path, volume: Volume) -> None:
    path = io.write(tmp_path / "a.png", volume, overwrite=True)
    assert_same(io.read(path), volume)
    assert io.read(path).data.dtype == volume.data.dtype


@in_one_folder
@given(volume=volumes("yx zyx czyx tczyx", ["?", "u1", ">i4", "i8", "f8", "c8"]), order=st.sampled_from("CF"))
def test_npy_round_trip(tmp_path: Path, volume: Volume, order: Any) -> None:
    volume = Volume(np.asarray(volume.data, order=order), volume.axes)
    volume = Volume(volume.data, io.guess_axes(volume.data.shape))
    path = io.write(tmp_path / "a.npy", volume, overwrite=True)
    got = io.read(path)
    assert_same(got, volume)
    assert got.data.flags.c_contiguous
    assert got.data.dtype.isnative


@pytest.mark.parametrize("suffix", [".tif", ".tiff", ".ome.tif", ".TIF", ".npy", ".zarr", ".png"])
def test_every_suffix_and_the_name_of_what_is_read(tmp_path: Path, suffix: str) -> None:
    path = io.write(tmp_path / f"cells.v2{suffix}", Volume(ramp(5, 6), "yx"))
    assert path == tmp_path / f"cells.v2{suffix}"
    assert io.read(str(path)).name == "cells.v2"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
@pytest.mark.parametrize(("largest", "stored"), [(2**31 - 1, np.int32), (2**32 - 1, np.uint32)])
def test_tiff_stores_64_bit_labels_that_fit_in_32_and_gives_them_back(
    tmp_path: Path, dtype: Any, largest: int, stored: Any
) -> None:
    labels = np.array([[0, 7], [largest, 3]], dtype)
    path = io.write(tmp_path / "a.tif", Volume(labels, "yx"))
    assert tifffile.imread(path).dtype == stored
    np.testing.assert_array_equal(io.read(path).data, labels)
    assert io.read(path).data.dtype == dtype


def test_png_takes_int32_labels_that_fit(tmp_path: Path) -> None:
    labels = np.array([[0, 7], [65535, 3]], np.int32)
    got = io.read(io.write(tmp_path / "a.png", Volume(labels, "yx"))).data
    np.testing.assert_array_equal(got, labels)
    assert got.dtype == np.uint16


def test_numpy_values_in_metadata_become_plain(tmp_path: Path) -> None:
    metadata = {"threshold": np.float64(3.5), "counts": np.arange(3), "pair": (1, 2)}
    for suffix in (".tif", ".zarr", ".png"):
        path = io.write(tmp_path / f"a{suffix}", Volume(ramp(3, 3), "yx", metadata=metadata))
        assert io.read(path).metadata == {"threshold": 3.5, "counts": [0, 1, 2], "pair": [1, 2]}


# --- TIFF of other programs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["um", "micron", "\\u00B5m", "µm"])
def test_imagej_calibration(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "a.tif"
    metadata = {"axes": "ZYX", "spacing": 2.0, "unit": unit.replace("µ", "\\u00B5")}
    tifffile.imwrite(path, ramp(3, 5, 7), imagej=True, resolution=(4.0, 5.0), metadata=metadata)
    assert_same(io.read(path), Volume(ramp(3, 5, 7), "zyx", (2.0, 0.2, 0.25), "micrometer"))


def test_imagej_leaves_a_depth_of_one_out(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, ramp(3, 5, 7), imagej=True, resolution=(2.0, 2.0), metadata={"axes": "ZYX", "unit": "nm"})
    assert (io.read(path).spacing, io.read(path).units) == ((1.0, 0.5, 0.5), "nanometer")


def test_imagej_negative_depth_is_a_direction_not_a_length(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    metadata = {"axes": "ZYX", "unit": "um", "spacing": -3.0}
    tifffile.imwrite(path, ramp(3, 5, 7), imagej=True, resolution=(2.0, 2.0), metadata=metadata)
    assert io.read(path).spacing == (3.0, 0.5, 0.5)


@pytest.mark.parametrize("metadata", [{"unit": "pixel", "spacing": 2.0}, {}, {"unit": "um", "spacing": 0.0}])
def test_imagej_without_calibration(tmp_path: Path, metadata: dict[str, Any]) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, ramp(3, 5, 7), imagej=True, resolution=(2.0, 2.0), metadata={"axes": "ZYX", **metadata})
    assert io.read(path).spacing is None
    assert io.read(path).units is None


def test_imagej_unit_that_is_no_length(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, ramp(5, 7), imagej=True, resolution=(2.0, 2.0), metadata={"unit": "parsec"})
    assert (io.read(path).spacing, io.read(path).units) == ((0.5, 0.5), None)


def test_imagej_hyperstack(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, ramp(2, 3, 4, 5, 6), imagej=True, metadata={"axes": "TZCYX"})
    got = io.read(path)
    assert (got.axes, got.data.shape) == ("tzcyx", (2, 3, 4, 5, 6))


OME = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 2000.0}


@pytest.mark.parametrize(
    ("extra", "spacing", "units"),
    [
        ({}, (2000.0, 0.25, 0.5), "micrometer"),
        ({"PhysicalSizeZUnit": "nm"}, (2.0, 0.25, 0.5), "micrometer"),
        ({f"PhysicalSize{axis}Unit": "mm" for axis in "XYZ"}, (2000.0, 0.25, 0.5), "millimeter"),
        ({f"PhysicalSize{axis}Unit": "pixel" for axis in "XYZ"}, (2000.0, 0.25, 0.5), None),
        ({"PhysicalSizeZ": 0.0}, None, None),
    ],
)
def test_ome_tiff_spacing(tmp_path: Path, extra: dict[str, Any], spacing: Any, units: str | None) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, ramp(3, 5, 7), photometric="minisblack", metadata={**OME, **extra})
    got = io.read(path)
    assert (got.axes, got.units) == ("zyx", units)
    assert got.spacing == (None if spacing is None else pytest.approx(spacing))


def test_ome_tiff_without_depth_has_no_spacing(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    metadata = {key: value for key, value in OME.items() if key != "PhysicalSizeZ"}
    tifffile.imwrite(path, ramp(3, 5, 7), photometric="minisblack", metadata=metadata)
    assert io.read(path).spacing is None


def test_what_we_write_other_readers_read(tmp_path: Path) -> None:
    labels = ramp(3, 5, 7, dtype=np.int32)
    path = io.write(tmp_path / "a.tif", Volume(labels, "zyx", (2.0, 0.5, 0.25), "micrometer", "cells"))
    with tifffile.TiffFile(path) as tif:
        np.testing.assert_array_equal(tif.asarray(), labels)
        assert tif.series[0].axes == "ZYX"
        image = tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]
    pixels = image["Pixels"]
    assert image["Name"] == "cells"
    assert [pixels[f"PhysicalSize{axis}"] for axis in "ZYX"] == [2.0, 0.5, 0.25]
    assert {pixels[f"PhysicalSize{axis}Unit"] for axis in "ZYX"} == {"µm"}


@pytest.mark.parametrize(
    ("shape", "options", "axes"),
    [
        ((5, 7), {}, "yx"),
        ((3, 5, 7), {"photometric": "minisblack"}, "zyx"),
        ((3, 5, 7), {"photometric": "minisblack", "metadata": None}, "zyx"),
        ((5, 7, 3), {"photometric": "rgb"}, "yxc"),
        ((3, 5, 7), {"photometric": "rgb", "planarconfig": "separate"}, "cyx"),
        ((2, 3, 5, 7), {"photometric": "minisblack", "metadata": {"axes": "CZYX"}}, "czyx"),
        ((2, 5, 7), {"photometric": "minisblack", "metadata": {"axes": "TYX"}}, "tyx"),
        ((2, 3, 5, 7), {"photometric": "minisblack"}, "czyx"),
        ((64, 80), {"compression": "lzw", "tile": (32, 32)}, "yx"),
        ((64, 80), {"compression": "zstd", "byteorder": ">"}, "yx"),
    ],
)
def test_plain_tiff(tmp_path: Path, shape: tuple[int, ...], options: dict[str, Any], axes: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, ramp(*shape), **options)
    got = io.read(path)
    assert_same(got, Volume(ramp(*shape), axes))
    assert got.data.dtype == np.uint16
    assert got.data.dtype.isnative


def test_tiff_of_several_images_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tif:
        tif.write(ramp(5, 7))
        tif.write(ramp(6, 8))
    with pytest.raises(ValueError, match=r"holds 2 images of the shapes \(5, 7\), \(6, 8\); save the one"):
        io.read(path)


def test_tiff_of_unknown_axes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, ramp(2, 3, 5, 7), photometric="minisblack", metadata={"axes": "ZHYX"})
    with pytest.raises(ValueError, match=r"has the axes ZHYX of the lengths \(2, 3, 5, 7\)"):
        io.read(path)


def test_ome_tiff_with_a_missing_plane_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    xml = tifffile.OmeXml()
    xml.addimage("uint16", (4, 5, 7), (4, 1, 1, 5, 7, 1), axes="ZYX")
    tifffile.imwrite(path, ramp(3, 5, 7), photometric="minisblack", description=xml.tostring(), metadata=None)
    with pytest.raises(ValueError, match=r"plane 3 of 4 is missing"):
        io.read(path)


def test_tiff_with_a_part_that_was_never_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((64, 64), np.uint16), tile=(32, 32), compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as tif:
        tags = tif.pages.first.tags
        tags["TileByteCounts"].overwrite((*tags["TileByteCounts"].value[:3], 0))
    with pytest.raises(ValueError, match="not written to its end: a part of the image has no data"):
        io.read(path)


KINDS: dict[str, dict[str, Any]] = {
    "ours": {},
    "imagej": {"imagej": True, "metadata": {"axes": "ZYX"}},
    "uncompressed": {"photometric": "minisblack"},
    "pages": {"photometric": "minisblack", "metadata": None},
    "compressed": {"photometric": "minisblack", "compression": "zlib"},
    "tiles": {"photometric": "minisblack", "tile": (16, 16), "compression": "zlib"},
}


def tiff_bytes(tmp_path: Path, kind: str) -> bytes:
    path = tmp_path / "whole.tif"
    if kind == "ours":
        io.write(path, Volume(noise(3, 20, 30), "zyx", metadata={"a": 1}), overwrite=True)
    else:
        tifffile.imwrite(path, noise(3, 20, 30), **KINDS[kind])
    return path.read_bytes()


def read_or_sentence(path: Path) -> Volume | str:
    try:
        return io.read(path)
    except ValueError as error:
        sentence = str(error)
    assert sentence.startswith(f"cannot read {str(path)!r}: ")
    return sentence


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_tiff_is_never_read_as_zeros(tmp_path: Path, kind: str) -> None:
    whole = tiff_bytes(tmp_path, kind)
    path = tmp_path / "cut.tif"
    refused = 0
    for size in np.linspace(0, len(whole) - 1, 60).astype(int):
        path.write_bytes(whole[:size])
        got = read_or_sentence(path)
        refused += isinstance(got, str)
        if not isinstance(got, str):  # only what is of no use to the voxels was cut off
            np.testing.assert_array_equal(got.data, noise(3, 20, 30))
    assert refused >= 58


@in_one_folder
@given(at=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), kind=st.sampled_from(sorted(KINDS)))
def test_a_corrupt_tiff_raises_a_sentence_or_reads(tmp_path: Path, at: float, value: int, kind: str) -> None:
    damaged = bytearray(tiff_bytes(tmp_path, kind))
    damaged[int(at * min(len(damaged), 600))] = value
    path = tmp_path / "a.tif"
    path.write_bytes(damaged)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read_or_sentence(path)


def test_a_truncated_jpeg_in_a_tiff_is_not_read_as_grey(tmp_path: Path) -> None:
    # The one decoder that fills what is missing and says nothing.
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(64, 64).astype(np.uint8), compression="jpeg", metadata=None)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1500])
    sentence = rf"a\.tif': the file is cut short: it has {size - 1500} bytes and needs {size}; copy it again"
    with pytest.raises(ValueError, match=sentence):
        io.read(path)


def test_a_tiff_that_asks_for_absurd_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, ramp(8, 8), compression="zlib", metadata=None)
    with tifffile.TiffFile(path, mode="r+") as tif:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            tif.pages.first.tags[name].overwrite(10**6)
    with pytest.raises(ValueError, match=r"damaged: its \d+ bytes cannot hold an image of the shape \(1000000, 1"):
        io.read(path)


def test_nothing_of_tifffile_reaches_the_screen(tmp_path: Path) -> None:
    # In a process of its own, because pytest's handlers of log messages hide what a user would see.
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_bytes(tmp_path, "pages")[:-40])
    script = "import sys; from napari_cutout import io; io.read(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Traceback")


# --- PNG, NPY, NPZ ----------------------------------------------------------------------------------------------


def test_png_colour(tmp_path: Path) -> None:
    rgb = ramp(5, 7, 3, dtype=np.uint8)
    Image.fromarray(rgb).save(tmp_path / "rgb.png")
    assert_same(io.read(tmp_path / "rgb.png"), Volume(rgb, "yxc"))
    Image.fromarray(rgb).quantize(8).save(tmp_path / "palette.png")
    assert io.read(tmp_path / "palette.png").axes == "yxc"


def test_png_of_another_program(tmp_path: Path) -> None:
    Image.fromarray(ramp(5, 7)).save(tmp_path / "a.png")
    assert_same(io.read(tmp_path / "a.png"), Volume(ramp(5, 7), "yx"))


def test_png_with_16_bits_per_colour_is_refused(tmp_path: Path) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(ramp(5, 7, 3)))
    with pytest.raises(ValueError, match="has 16 bits per colour, of which 8 would be lost; save it as TIFF"):
        io.read(tmp_path / "a.png")


def test_truncated_png(tmp_path: Path) -> None:
    path = io.write(tmp_path / "a.png", Volume(noise(50, 50), "yx"))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"cannot read '.*a\.png': .*truncated"):
        io.read(path)


class _Trap:
    """What a pickle could do: leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.path,)


def test_pickled_arrays_are_never_loaded(tmp_path: Path) -> None:
    trap = np.array([_Trap(tmp_path / "sprung")], dtype=object)
    np.save(tmp_path / "a.npy", trap, allow_pickle=True)
    np.savez(tmp_path / "a.npz", trap)
    (tmp_path / "raw.npy").write_bytes(pickle.dumps(trap))
    (tmp_path / "raw.npz").write_bytes(pickle.dumps(trap))
    for name in ("a.npy", "a.npz"):
        with pytest.raises(ValueError, match=rf"{name}.*Python objects, which are not loaded .*save plain"):
            io.read(tmp_path / name)
    for name in ("raw.npy", "raw.npz"):
        with pytest.raises(ValueError, match=rf"cannot read '.*{name}'"):
            io.read(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.arange(5), r"an image has 2 to 5 axes, but this array has the shape \(5,\)"),
        (np.zeros((1,) * 6), "an image has 2 to 5 axes"),
        (np.array([["a", "b"]]), "it holds <U1, but an image holds numbers"),
        (np.zeros((2, 2), [("a", "i4")]), "but an image holds numbers"),
        (np.zeros((2, 2), "M8[s]"), "but an image holds numbers"),
    ],
)
def test_arrays_that_are_no_image(tmp_path: Path, array: np.ndarray, sentence: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match=sentence):
        io.read(tmp_path / "a.npy")


@pytest.mark.parametrize("size", [0, 5, 60, 200])
def test_truncated_npy(tmp_path: Path, size: int) -> None:
    np.save(tmp_path / "a.npy", noise(20, 20))
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:size])
    with pytest.raises(ValueError, match=r"cannot read '.*a\.npy': "):
        io.read(tmp_path / "a.npy")


def test_npz_keys(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez_compressed(path, img_000=ramp(4, 5), img_001=ramp(6, 7), gt_000=ramp(4, 5) > 9)
    got = io.read(f"{path}:img_001")
    assert_same(got, Volume(ramp(6, 7), "yx"))
    assert got.name == "img_001"
    with pytest.raises(ValueError, match=r"no array 'img_009'; name one of img_000, img_001, gt_000 as set\.npz:key"):
        io.read(f"{path}:img_009")
    with pytest.raises(ValueError, match=r"holds 3 arrays; name one of img_000, img_001, gt_000 as set\.npz:key"):
        io.read(path)


def test_npz_with_many_arrays_lists_some(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", **{f"img_{index:02}": ramp(4, 5) for index in range(40)})
    with pytest.raises(ValueError, match=r"holds 40 arrays; name one of img_00, .*, img_11 and 28 more as set"):
        io.read(tmp_path / "set.npz")


def test_npz_with_one_array_needs_no_key(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", ramp(4, 5))
    assert_same(io.read(tmp_path / "one.npz"), Volume(ramp(4, 5), "yx"))
    np.savez(tmp_path / "none.npz")
    with pytest.raises(ValueError, match="holds 0 arrays; name one of none"):
        io.read(tmp_path / "none.npz")


# --- Zarr -----------------------------------------------------------------------------------------------------


def ome_04(path: Path, data: np.ndarray, axes: list[dict[str, str]], *scales: list[float]) -> zarr.Group:
    group = zarr.create_group(store=str(path), zarr_format=2)
    group.create_array("0", data=data, chunks=data.shape)
    group.attrs["multiscales"] = [
        {
            "version": "0.4",
            "axes": axes,
            "datasets": [
                {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scales[0]}]},
            ],
            "coordinateTransformations": [{"type": "scale", "scale": scale} for scale in scales[1:]],
        }
    ]
    return group


def space(*names: str, **units: str) -> list[dict[str, str]]:
    return [{"name": name, "type": "space", **({"unit": units[name]} if name in units else {})} for name in names]


@pytest.mark.parametrize(
    ("units", "scales", "spacing", "unit"),
    [
        ({"z": "micrometer", "y": "micrometer", "x": "micrometer"}, [[2, 0.5, 0.5]], (2.0, 0.5, 0.5), "micrometer"),
        ({"z": "micrometer", "y": "micrometer", "x": "micrometer"}, [[1, 1, 1]], (1.0, 1.0, 1.0), "micrometer"),
        ({"z": "micrometer", "y": "nanometer", "x": "nanometer"}, [[2, 500, 500]], (2000, 500, 500), "nanometer"),
        ({}, [[2, 0.5, 0.5], [2, 2, 2]], (4.0, 1.0, 1.0), None),
        ({"z": "parsec", "y": "parsec", "x": "parsec"}, [[2, 1, 1]], (2.0, 1.0, 1.0), None),
        ({}, [[1, 1, 1]], None, None),
    ],
)
def test_ome_zarr_04(tmp_path: Path, units: Any, scales: Any, spacing: Any, unit: str | None) -> None:
    ome_04(tmp_path / "a.zarr", ramp(3, 5, 7), space("z", "y", "x", **units), *scales)
    got = io.read(tmp_path / "a.zarr")
    assert (got.axes, got.units) == ("zyx", unit)
    assert got.spacing == (None if spacing is None else pytest.approx(spacing))
    np.testing.assert_array_equal(got.data, ramp(3, 5, 7))


def test_ome_zarr_with_x_first_is_turned(tmp_path: Path) -> None:
    axes = [{"name": "c", "type": "channel"}, *space("X", "Y", "Z")]
    ome_04(tmp_path / "a.zarr", ramp(2, 7, 5, 3), axes, [1, 0.25, 0.5, 2.0])
    expected = Volume(ramp(2, 7, 5, 3).transpose(0, 3, 2, 1), "czyx", (2.0, 0.5, 0.25))
    assert_same(io.read(tmp_path / "a.zarr"), expected)


def test_ome_zarr_labels_beside_an_image(tmp_path: Path) -> None:
    store = io.write(tmp_path / "a.zarr", Volume(ramp(5, 6), "yx"), kind="image")
    labels = Volume(ramp(5, 6, dtype=np.int32), "yx", (0.5, 0.5), "micrometer", metadata={"method": "otsu"})
    (store / "labels").mkdir()
    io.write(tmp_path / "cells.zarr", labels).rename(store / "labels" / "cells")
    got = io.read(store / "labels" / "cells")
    assert_same(got, labels)
    assert got.name == "cells"


def test_ome_zarr_level_by_path(tmp_path: Path) -> None:
    path = io.write(tmp_path / "a.zarr", Volume(ramp(100, 150), "yx", (0.5, 0.5), "micrometer"))
    assert_same(io.read(path / "0"), Volume(ramp(100, 150), "yx", (0.5, 0.5), "micrometer"))
    assert_same(io.read(path / "1"), Volume(ramp(100, 150)[::2, ::2], "yx", (1.0, 1.0), "micrometer"))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_plain_zarr_array(tmp_path: Path, zarr_format: Any) -> None:
    zarr.create_array(str(tmp_path / "a.zarr"), data=ramp(3, 5, 7), chunks=(2, 3, 4), zarr_format=zarr_format)
    assert_same(io.read(tmp_path / "a.zarr"), Volume(ramp(3, 5, 7), "zyx"))


def test_plain_zarr_array_with_named_axes(tmp_path: Path) -> None:
    zarr.create_array(str(tmp_path / "a.zarr"), data=ramp(3, 5, 7), dimension_names=["t", "y", "x"])
    assert io.read(tmp_path / "a.zarr").axes == "tyx"


def test_zarr_group_without_image(tmp_path: Path) -> None:
    group = zarr.create_group(str(tmp_path / "a.zarr"))
    group.create_array("raw", data=ramp(5, 6))
    group.create_group("labels")
    with pytest.raises(ValueError, match=r"a group without OME-Zarr image; it holds labels, raw: pass the path"):
        io.read(tmp_path / "a.zarr")


def test_ome_zarr_with_axes_of_another_world(tmp_path: Path) -> None:
    ome_04(tmp_path / "a.zarr", ramp(3, 5, 7), space("q", "y", "x"), [1, 1, 1])
    with pytest.raises(ValueError, match=r"axes are \['q', 'y', 'x'\]; t, c, z, y and x are known"):
        io.read(tmp_path / "a.zarr")


def test_a_corrupt_chunk_is_not_read_as_zeros(tmp_path: Path) -> None:
    path = io.write(tmp_path / "a.zarr", Volume(noise(20, 20), "yx"))
    chunk = path / "0" / "c" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"cannot read '.*a\.zarr'"):
        io.read(path)


@pytest.mark.parametrize(
    ("shape", "axes"), [((70, 90), "yx"), ((5, 70, 300), "zyx"), ((2, 3, 4, 70, 90), "tczyx"), ((70, 90, 3), "yxc")]
)
@pytest.mark.parametrize("units", [None, "micrometer"])
@pytest.mark.parametrize("kind", ["labels", "image"])
def test_ome_zarr_is_valid(tmp_path: Path, shape: Any, axes: str, units: str | None, kind: Any) -> None:
    yaozarrs = pytest.importorskip("yaozarrs")
    spacing = (2.0, 0.5, 0.5)[-sum(axis in "zyx" for axis in axes) :]
    metadata = {"method": "otsu"}
    volume = Volume(ramp(*shape, dtype=np.int32), axes, spacing, units, "cells", metadata)
    path = io.write(tmp_path / "a.zarr", volume, kind=kind)
    group = yaozarrs.validate_zarr_store(str(path))
    assert isinstance(group.ome_metadata(), yaozarrs.v05.LabelImage if kind == "labels" else yaozarrs.v05.Image)
    attributes = json.loads((path / "zarr.json").read_text())["attributes"]
    assert attributes["napari_cutout"]["metadata"] == metadata
    assert ("image-label" in attributes["ome"]) == (kind == "labels")


def levels(path: Path) -> list[tuple[tuple[int, ...], list[float]]]:
    group = zarr.open_group(str(path), mode="r")
    datasets = group.attrs["ome"]["multiscales"][0]["datasets"]
    return [(group[d["path"]].shape, d["coordinateTransformations"][0]["scale"]) for d in datasets]


def test_levels_are_strided_until_no_side_is_long(tmp_path: Path) -> None:
    labels = ramp(3, 200, 90, dtype=np.int32)
    path = io.write(tmp_path / "a.zarr", Volume(labels, "zyx", (0.5, 0.5, 0.5)))
    assert levels(path) == [
        ((3, 200, 90), [0.5, 0.5, 0.5]),
        ((3, 100, 45), [0.5, 1.0, 1.0]),
        ((3, 50, 45), [0.5, 2.0, 1.0]),
    ]
    np.testing.assert_array_equal(zarr.open_group(str(path))["2"][...], labels[:, ::4, ::2])


def test_levels_wait_for_the_finer_axes(tmp_path: Path) -> None:
    path = io.write(tmp_path / "a.zarr", Volume(np.zeros((130, 300, 300), np.uint8), "zyx", (2.0, 0.5, 0.5)))
    assert levels(path) == [
        ((130, 300, 300), [2.0, 0.5, 0.5]),
        ((130, 150, 150), [2.0, 1.0, 1.0]),
        ((130, 75, 75), [2.0, 2.0, 2.0]),
        ((65, 38, 38), [4.0, 4.0, 4.0]),
        ((33, 38, 38), [8.0, 4.0, 4.0]),
    ]


def test_chunks_are_of_a_sensible_size(tmp_path: Path) -> None:
    path = io.write(tmp_path / "a.zarr", Volume(np.zeros((2, 70, 100, 600), np.uint8), "czyx"))
    assert zarr.open_group(str(path))["0"].chunks == (1, 64, 64, 64)
    path = io.write(tmp_path / "b.zarr", Volume(np.zeros((100, 600), np.uint8), "yx"))
    assert zarr.open_group(str(path))["0"].chunks == (100, 512)


def test_bool_labels_are_stored_as_numbers(tmp_path: Path) -> None:
    path = io.write(tmp_path / "a.zarr", Volume(ramp(5, 6) > 9, "yx"))
    assert io.read(path).data.dtype == np.uint8


# --- Origin and levels ----------------------------------------------------------------------------------------


def test_other_readers_find_the_origin_in_ome_tiff(tmp_path: Path) -> None:
    data = ramp(2, 3, 2, 5, 7)
    volume = Volume(data, "tczyx", (2.0, 0.5, 0.5), "micrometer", origin=(10.0, -3.0, 0.25))
    path = io.write(tmp_path / "a.tif", volume)
    with tifffile.TiffFile(path) as tif:
        planes = tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]["Pixels"]["Plane"]
    assert len(planes) == 12
    for plane in planes:
        assert plane["PositionZ"] == (10.0, 12.0)[plane["TheZ"]]
        assert (plane["PositionY"], plane["PositionX"]) == (-3.0, 0.25)
        assert {plane[f"Position{axis}Unit"] for axis in "ZYX"} == {"µm"}


def test_the_stage_of_another_program_is_no_origin(tmp_path: Path) -> None:
    metadata = {**OME, "Plane": {"PositionX": [1e5] * 3, "PositionXUnit": ["µm"] * 3}}
    tifffile.imwrite(tmp_path / "a.ome.tif", ramp(3, 5, 7), photometric="minisblack", metadata=metadata)
    assert io.read(tmp_path / "a.ome.tif").origin is None


def test_other_readers_find_the_origin_on_every_level_of_ome_zarr(tmp_path: Path) -> None:
    # Each level begins with the first voxel of the level above, so none is shifted against it.
    yaozarrs = pytest.importorskip("yaozarrs")
    volume = Volume(ramp(2, 3, 200, 90), "czyx", (2.0, 0.5, 0.5), "micrometer", origin=(10.0, -3.0, 0.25))
    path = io.write(tmp_path / "a.zarr", volume)
    image = yaozarrs.validate_zarr_store(str(path)).ome_metadata()
    transforms = [dataset.coordinateTransformations for dataset in image.multiscales[0].datasets]
    assert [shift.translation for _, shift in transforms] == [[0.0, 10.0, -3.0, 0.25]] * 3
    assert [scale.scale for scale, _ in transforms] == [
        [1.0, 2.0, 0.5 * by, 0.5 * bx] for by, bx in ((1, 1), (2, 2), (4, 2))
    ]
    for level in range(3):
        assert io.read(path, level).origin == (10.0, -3.0, 0.25)


def pyramid(path: Path) -> np.ndarray:
    """Write what other programs write: a lower level of means, shifted by half a voxel, then all scaled and moved."""
    data = ramp(4, 6, 8)
    group = zarr.create_group(store=str(path), zarr_format=2)
    group.create_array("full", data=data, chunks=data.shape)
    group.create_array("half", data=data[::2, ::2, ::2] + 1000, chunks=(2, 3, 4))
    group.attrs["multiscales"] = [
        {
            "version": "0.4",
            "axes": space("z", "y", "x", z="micrometer", y="nanometer", x="nanometer"),
            "datasets": [
                {"path": "full", "coordinateTransformations": [{"type": "scale", "scale": [2, 500, 500]}]},
                {
                    "path": "half",
                    "coordinateTransformations": [
                        {"type": "scale", "scale": [4, 1000, 1000]},
                        {"type": "translation", "translation": [1, 250, 250]},
                    ],
                },
            ],
            "coordinateTransformations": [
                {"type": "scale", "scale": [1, 2, 2]},
                {"type": "translation", "translation": [0, 0, 70]},
            ],
        }
    ]
    return data


def test_a_level_is_read_with_its_spacing_and_its_shift(tmp_path: Path) -> None:
    data = pyramid(tmp_path / "a.zarr")
    full, half = (io.read(tmp_path / "a.zarr", level) for level in (0, 1))
    assert_same(full, Volume(data, "zyx", (2000, 1000, 1000), "nanometer", origin=(0, 0, 70)))
    means = data[::2, ::2, ::2] + 1000
    assert_same(half, Volume(means, "zyx", (4000, 2000, 2000), "nanometer", origin=(1000, 500, 570)))
    assert io.read(tmp_path / "a.zarr" / "half").origin == half.origin


@pytest.mark.parametrize("level", [2, -1])
def test_a_level_that_is_not_there(tmp_path: Path, level: int) -> None:
    pyramid(tmp_path / "a.zarr")
    sentence = rf"it has no level {level}; it has 0 of the shape \(4, 6, 8\), 1 of the shape \(2, 3, 4\)"
    with pytest.raises(ValueError, match=sentence):
        io.read(tmp_path / "a.zarr", level)


def test_other_files_have_one_level(tmp_path: Path) -> None:
    path = io.write(tmp_path / "a.tif", Volume(ramp(4, 5), "yx"))
    assert io.read(path, 0).data.shape == (4, 5)
    with pytest.raises(ValueError, match=r"a\.tif': it has level 0 only, but level is 1; levels are what OME-Zarr"):
        io.read(path, level=1)


# --- What is not in memory ------------------------------------------------------------------------------------


class Counted:
    """A dask array that counts how often each of its chunks is computed."""

    def __init__(self, data: np.ndarray, chunks: tuple[int, ...]) -> None:
        self.computed: Counter[Any] = Counter()
        self.array = da.from_array(data, chunks=chunks).map_blocks(self._block, dtype=data.dtype)

    def _block(self, block: np.ndarray, block_info: Any = None) -> np.ndarray:
        if block_info:
            self.computed[block_info[0]["chunk-location"]] += 1
        return block


@pytest.mark.parametrize("suffix", [".tif", ".zarr"])
@pytest.mark.parametrize(
    ("shape", "axes", "chunks"),
    [((70, 90), "yx", (32, 40)), ((7, 70, 300), "zyx", (3, 64, 90)), ((2, 5, 70, 90), "tzyx", (1, 2, 70, 33))],
)
def test_a_dask_array_is_written_and_each_chunk_computed_once(
    tmp_path: Path, suffix: str, shape: tuple[int, ...], axes: str, chunks: tuple[int, ...]
) -> None:
    labels = ramp(*shape, dtype=np.int32)
    lazy = Counted(labels, chunks)
    path = io.write(tmp_path / f"a{suffix}", Volume(lazy.array, axes))
    np.testing.assert_array_equal(io.read(path).data, labels)
    assert set(lazy.computed.values()) == {1}
    assert len(lazy.computed) == lazy.array.npartitions


@pytest.mark.parametrize("suffix", [".tif", ".zarr"])
def test_a_zarr_array_is_written_as_an_array_in_memory_is(tmp_path: Path, suffix: str) -> None:
    labels = ramp(5, 200, 90, dtype=np.uint64)
    stored = zarr.create_array(store=str(tmp_path / "source.zarr"), data=labels, chunks=(2, 64, 64))
    lazy = io.write(tmp_path / f"lazy{suffix}", Volume(stored, "zyx", (2.0, 0.5, 0.5)))
    whole = io.write(tmp_path / f"whole{suffix}", Volume(labels, "zyx", (2.0, 0.5, 0.5)))
    if suffix == ".zarr":
        assert levels(lazy) == levels(whole)
    for level in range(3 if suffix == ".zarr" else 1):
        assert_same(io.read(lazy, level), io.read(whole, level))
    assert io.read(lazy).data.dtype == np.uint64


def test_no_more_than_a_few_blocks_of_a_tiff_are_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tiff, "_SLAB_BYTES", 4 * 30 * 40)
    slabs = []
    compute = da.Array.compute
    monkeypatch.setattr(da.Array, "compute", lambda self, **kw: slabs.append(self.shape) or compute(self, **kw))
    io.write(tmp_path / "a.tif", Volume(da.zeros((9, 30, 40), dtype=np.uint8, chunks=(2, 30, 40)), "zyx"))
    assert slabs == [(4, 30, 40), (4, 30, 40), (1, 30, 40)]


# --- What cannot be read or written ---------------------------------------------------------------------------


def test_missing_file(tmp_path: Path) -> None:
    for name in ("a.tif", "a.npz:key", "a.xyz", "a.zarr/0"):
        with pytest.raises(FileNotFoundError, match=r"there is no file '.*a\.(tif|npz|xyz|zarr.0)'"):
            io.read(tmp_path / name)


def test_unknown_suffix(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text("")
    with pytest.raises(
        ValueError, match=r"a\.xyz' ends in '\.xyz', .*known are \.tif, \.tiff, \.png, \.npy, \.npz, \.zarr"
    ):
        io.read(tmp_path / "a.xyz")


def test_a_zarr_folder_that_is_empty_or_holds_no_store(tmp_path: Path) -> None:
    folder = tmp_path / "a.zarr"
    folder.mkdir()
    for ask in (io.read, io.inputs):
        with pytest.raises(ValueError, match=r"a\.zarr' is named as a Zarr store but is empty; copy it again"):
            ask(folder)
    (folder / "notes.txt").write_text("")
    for ask in (io.read, io.inputs):
        with pytest.raises(ValueError, match=r"a\.zarr' is named as a Zarr store but has no zarr\.json, \.zgroup or"):
            ask(folder)


def test_a_zarr_file(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"a\.zarr' is a file, but a Zarr store is a folder; unpack it"):
        io.read(tmp_path / "a.zarr")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]"])
@pytest.mark.parametrize(("name", "what"), [("zarr.json", "metadata of 'a.zarr' are"), ("0/zarr.json", "level '0' is")])
def test_damaged_metadata_of_a_store(tmp_path: Path, content: bytes, name: str, what: str) -> None:
    path = io.write(tmp_path / "a.zarr", Volume(ramp(4, 5), "yx"))
    (path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"cannot read '.*a\.zarr': .*{what} .*damaged.*; copy the store again"):
        io.read(path)


def test_a_store_that_lacks_a_level(tmp_path: Path) -> None:
    path = io.write(tmp_path / "a.zarr", Volume(ramp(4, 5), "yx"))
    shutil.rmtree(path / "0")
    with pytest.raises(ValueError, match="its level '0' is missing or damaged; copy the store again"):
        io.read(path)


def test_files_that_may_not_be_looked_at_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied", "a.npy")

    path = io.write(tmp_path / "a.npy", Volume(ramp(4, 5), "yx"))
    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(ValueError, match=r"cannot read '.*a\.npy': Permission denied$"):
        io.read(path)
    with pytest.raises(PermissionError, match=r"could not write .*: ask for the right to write there, or choose"):
        io.write(path, Volume(ramp(4, 5), "yx"), overwrite=True)
    monkeypatch.setattr(Path, "exists", forbidden)
    with pytest.raises(PermissionError, match=r"cannot look at '.*a\.npy': Permission denied; ask for the right"):
        io.read(path)


def test_folder_that_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a folder but no Zarr store; name a file in it"):
        io.read(tmp_path)


@pytest.mark.parametrize("suffix", [".tif", ".png", ".npy", ".npz"])
@pytest.mark.parametrize("content", [b"", b"not an image at all", b"\x00" * 500])
def test_file_of_another_kind(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"cannot read '.*a\{suffix}': \S+"):
        io.read(path)


@pytest.mark.parametrize(
    ("name", "data", "options", "sentence"),
    [
        ("a.jpg", ramp(4, 5), {}, r"a\.jpg' ends in '\.jpg', .*known are \.tif, \.tiff, \.png, \.npy, \.zarr"),
        ("a", ramp(4, 5), {}, r"ends in '', which is no kind of file to write"),
        ("a.zarr", ramp(4, 5), {"kind": "mask"}, "kind must be 'labels' or 'image', but is 'mask'"),
        ("a.tif", np.zeros((0, 5)), {}, r"an empty image, of shape \(0, 5\), cannot be written"),
        ("a.png", ramp(4, 5, dtype=float), {}, r"PNG holds whole numbers from 0 to 65535, but data are float64"),
        ("a.png", np.full((4, 5), 65536), {}, r"data are int64 from 65536 to 65536; write \.tif or \.zarr"),
        ("a.png", np.full((4, 5), -1), {}, r"data are int64 from -1 to -1"),
        ("a.png", ramp(3, 4, 5), {}, r"PNG holds 2-D grey images, but data have the axes 'zyx'"),
        ("a.tif", np.full((4, 5), 2**40), {}, r"integers of up to 32 bits, but data go from 1099511627776 to"),
        ("a.tif", np.full((4, 5), 1j), {}, r"whole and real numbers, but data are complex128"),
        ("a.npy", np.full((4, 5), None), {}, r"Object arrays cannot be saved"),
        ("a.zarr", np.full((4, 5), "a"), {"kind": "image"}, r"OME-Zarr holds numbers, but data are <U1"),
        ("a.zarr", ramp(4, 5, dtype=float), {}, r"labels must be whole numbers, but are float64; .*kind='image'"),
    ],
)
def test_what_a_format_cannot_hold(
    tmp_path: Path, name: str, data: np.ndarray, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        io.write(tmp_path / name, Volume(data, "zyx"[-data.ndim :]), **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), object(), 1j])
def test_metadata_that_are_not_json(tmp_path: Path, value: object) -> None:
    for suffix in (".tif", ".zarr", ".png", ".npy"):
        with pytest.raises(ValueError, match=r"metadata must be plain JSON"):
            io.write(tmp_path / f"a{suffix}", Volume(ramp(4, 5), "yx", metadata={"key": value}))
    assert list(tmp_path.iterdir()) == []


# --- What was there stays -------------------------------------------------------------------------------------

SUFFIXES = [".tif", ".png", ".npy", ".zarr"]


def content(path: Path) -> dict[str, bytes]:
    files = path.rglob("*") if path.is_dir() else [path]
    return {str(file.relative_to(path.parent)): file.read_bytes() for file in files if file.is_file()}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_existing_file_is_replaced_only_when_allowed(tmp_path: Path, suffix: str) -> None:
    path = io.write(tmp_path / f"a{suffix}", Volume(ramp(4, 5), "yx"))
    before = content(path)
    with pytest.raises(FileExistsError, match=rf"a\{suffix}' exists already; choose another name, or allow"):
        io.write(path, Volume(ramp(6, 7), "yx"))
    assert content(path) == before
    io.write(path, Volume(ramp(6, 7), "yx"), overwrite=True)
    np.testing.assert_array_equal(io.read(path).data, ramp(6, 7))
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_no_store_is_never_replaced(tmp_path: Path) -> None:
    for name in ("a.zarr", "a.tif"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "thesis.txt").write_text("years")
        with pytest.raises(FileExistsError, match="and it is a folder but no Zarr store, so it is not replaced"):
            io.write(folder, Volume(ramp(4, 5), "yx"), overwrite=True)
        assert (folder / "thesis.txt").read_text() == "years"


def test_a_store_may_replace_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").write_text("a file")
    io.write(tmp_path / "a.zarr", Volume(ramp(4, 5), "yx"), overwrite=True)
    np.testing.assert_array_equal(io.read(tmp_path / "a.zarr").data, ramp(4, 5))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.zarr"]


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no folder '.*new' to write 'a\.tif' to; make it"):
        io.write(tmp_path / "new" / "a.tif", Volume(ramp(4, 5), "yx"))
    assert list(tmp_path.iterdir()) == []


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """Let the system refuse files of more than `size` bytes, as a full disk would."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("size", [100, 20_000])
def test_a_full_disk_leaves_everything_as_it_was(tmp_path: Path, suffix: str, size: int) -> None:
    path = io.write(tmp_path / f"a{suffix}", Volume(ramp(4, 5), "yx"))
    before = content(path)
    for target in (path, tmp_path / f"new{suffix}"):
        with (
            small_disk(size),
            pytest.raises(OSError, match=r"could not write '.*' \(.+\); nothing was changed there: free some"),
        ):
            io.write(target, Volume(noise(300, 300), "yx"), overwrite=True)
    assert content(path) == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = io.write(tmp_path / "a.npy", Volume(ramp(4, 5), "yx"))
    before = content(path)

    def interrupted(file: Any, *_: Any, **__: Any) -> None:
        file.write(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(np.lib.format, "write_array", interrupted)
    with pytest.raises(KeyboardInterrupt):
        io.write(path, Volume(ramp(6, 7), "yx"), overwrite=True)
    assert content(path) == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_store_comes_back_when_its_successor_cannot_be_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = io.write(tmp_path / "a.zarr", Volume(ramp(4, 5), "yx"))
    before = content(path)
    rename = Path.rename

    def fragile(self: Path, target: Path) -> Path:
        if self.suffix == ".tmp":
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fragile)
    with pytest.raises(PermissionError, match=r"could not write '.*a\.zarr' \(Permission denied\)"):
        io.write(path, Volume(ramp(6, 7), "yx"), overwrite=True)
    assert content(path) == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npy"
    write_array = np.lib.format.write_array

    def slow(*arguments: Any, **options: Any) -> None:
        write_array(*arguments, **options)
        path.write_text("of another program")

    monkeypatch.setattr(np.lib.format, "write_array", slow)
    with pytest.raises(FileExistsError, match="exists already"):
        io.write(path, Volume(ramp(4, 5), "yx"))
    assert path.read_text() == "of another program"
    assert list(tmp_path.iterdir()) == [path]


# --- inputs ---------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.tif", "a.png", "c.npy", "d.zarr"):
        io.write(tmp_path / name, Volume(ramp(4, 5), "yx"))
    np.savez(tmp_path / "set.npz", img_0=ramp(4, 5), img_1=ramp(4, 5), gt_0=ramp(4, 5))
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / ".hidden.tif").write_text("")
    (tmp_path / "sub").mkdir()
    io.write(tmp_path / "sub" / "e.tif", Volume(ramp(4, 5), "yx"))
    return tmp_path


def test_inputs(folder: Path) -> None:
    def names(source: str) -> list[str]:
        return [Path(path).relative_to(folder).as_posix() for path in io.inputs(f"{folder}{source}")]

    assert names("") == ["a.png", "b.tif", "c.npy", "d.zarr"]
    assert names("/b.tif") == ["b.tif"]
    assert names("/d.zarr") == ["d.zarr"]
    assert names("/*.tif") == ["b.tif"]
    assert names("/**/*.tif") == ["b.tif", "sub/e.tif"]
    assert names("/set.npz:img_*") == ["set.npz:img_0", "set.npz:img_1"]
    assert names("/set.npz:gt_0") == ["set.npz:gt_0"]
    assert io.inputs(folder / "a.png") == [str(folder / "a.png")]
    for path in io.inputs(folder):
        np.testing.assert_array_equal(io.read(path).data, ramp(4, 5))


def test_a_file_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    path = io.write(tmp_path / "cells [1].npy", Volume(ramp(4, 5), "yx"))
    assert io.inputs(path) == [str(path)]


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("*.xyz", r"there is no file '.*\*\.xyz'"),
        ("none.tif", r"there is no file '.*none\.tif'"),
        ("empty", r"no image is in the folder '.*empty'"),
        ("none.npz:img_*", r"there is no file '.*none\.npz'"),
        ("set.npz:mask_*", r"no array of '.*set\.npz' matches 'mask_\*'; it has img_0, img_1, gt_0"),
    ],
)
def test_inputs_that_match_nothing(folder: Path, source: str, sentence: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=sentence):
        io.inputs(folder / source)


def test_inputs_of_a_damaged_archive(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"cannot read '.*a\.npz': File is not a zip file"):
        io.inputs(tmp_path / "a.npz:*")


def test_pixels_per_centimetre_are_read_and_written(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "plain.tif", np.zeros((8, 9), np.uint8), resolution=(20_000, 10_000), resolutionunit="CENTIMETER"
    )
    plain = io.read(tmp_path / "plain.tif")
    assert (plain.spacing, plain.units) == (pytest.approx((1.0, 0.5)), "micrometer")
    io.write(tmp_path / "ours.tif", plain)
    with tifffile.TiffFile(tmp_path / "ours.tif") as tif:
        tags = tif.pages.first.tags
        assert tags.valueof("ResolutionUnit") == 3
        assert np.divide(*tags.valueof("XResolution")) == pytest.approx(20_000, rel=1e-6)
        assert np.divide(*tags.valueof("YResolution")) == pytest.approx(10_000, rel=1e-6)
    tifffile.imwrite(tmp_path / "inch.tif", np.zeros((8, 9), np.uint8), resolution=(72, 72), resolutionunit="INCH")
    assert io.read(tmp_path / "inch.tif").spacing is None


def test_a_file_that_is_no_recipe_is_named(tmp_path: Path) -> None:
    path = io.write(tmp_path / "a.tif", Volume(noise(4, 5), "yx"))
    with pytest.raises(ValueError, match=r"a\.tif' is no text, so it is no recipe; pass the JSON file that a run"):
        Recipe.load(path)
    with pytest.raises(IsADirectoryError, match=r"cannot read a recipe from '.*': Is a directory; pass a JSON file"):
        Recipe.load(tmp_path)


def test_opening_lazily_reads_no_voxel(tmp_path: Path) -> None:
    path = io.write(tmp_path / "a.ome.zarr", Volume(noise(200, 90), "yx", (2.0, 0.5), origin=(1.0, 3.0)))
    for chunk in (path / "0" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(b"damaged")
    finest, second, *_ = io.read_lazily(path)
    assert (finest.name, finest.axes, finest.spacing, finest.origin) == ("a", "yx", (2.0, 0.5), (1.0, 3.0))
    np.testing.assert_array_equal(second.data.compute(), io.read(path, 1).data)
    with pytest.raises(Exception, match=r"\S"):
        finest.data.compute()
    with pytest.raises(ValueError, match="is a folder but no Zarr store"):
        io.read_lazily(tmp_path)
    (whole,) = io.read_lazily(io.write(tmp_path / "a.tif", Volume(ramp(4, 5), "yx")))
    np.testing.assert_array_equal(whole.data, ramp(4, 5))
    with pytest.raises(FileNotFoundError, match=r"there is no file '.*absent\.zarr'"):
        io.read_lazily(tmp_path / "absent.zarr")


def test_a_scratch_folder_is_gone_afterwards_and_its_failure_is_a_sentence(tmp_path: Path) -> None:
    target = tmp_path / "new" / "out"
    with scratch_folder(target) as folder:
        (folder / "half.txt").write_text("half")
        assert folder.parent == target.parent
    assert list(target.parent.iterdir()) == []
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(
            NotADirectoryError, match=r"could not write '.*file.out' \(Not a directory\); nothing was changed"
        ),
        scratch_folder(tmp_path / "file" / "out"),
    ):
        pass


def test_a_link_that_leads_nowhere_is_not_replaced_unasked(tmp_path: Path) -> None:
    (tmp_path / "a.npy").symlink_to(tmp_path / "absent")
    with pytest.raises(FileExistsError, match="exists already"):
        io.write(tmp_path / "a.npy", Volume(ramp(4, 5), "yx"))
    assert (tmp_path / "a.npy").is_symlink()
