"""Stores that are opened: what they say of themselves, and what is wrong with them, is told; damage is never zeros."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from pathlib import Path
from typing import Any, Literal

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from napari_cutout import io, stores
from napari_cutout.io import Volume
from napari_cutout.stores import CheckedArray, Layout, Place, create_array, is_store, open_image, smallest

Steps = list[dict[str, Any]]


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 60_000, shape).astype(np.uint16)


def scaled(*scale: float) -> dict[str, Any]:
    return {"coordinateTransformations": [{"type": "scale", "scale": list(scale)}]}


def written(
    path: Path,
    arrays: dict[str, np.ndarray],
    levels: list[dict[str, Any]],
    *,
    version: Literal["0.4", "0.5"] = "0.5",
    axes: str = "zyx",
    **how: Any,
) -> Path:
    """Write an image as other programs do."""
    group = zarr.create_group(store=str(path), zarr_format=2 if version == "0.4" else 3)
    fit = version == "0.5" and all(data.ndim == len(axes) for data in arrays.values())
    names: dict[str, Any] = {"dimension_names": list(axes)} if fit else {}
    for name, data in arrays.items():
        group.create_array(name, data=data, **names, **{"chunks": tuple(min(8, n) for n in data.shape), **how})
    kinds = {"t": {"type": "time", "unit": "second"}, "c": {"type": "channel"}}
    named = [{"name": axis, **kinds.get(axis, {"type": "space", "unit": "micrometer"})} for axis in axes]
    image = {"axes": named, "datasets": [{"path": name, **level} for name, level in zip(arrays, levels, strict=True)]}
    if version == "0.4":
        group.attrs["multiscales"] = [{"version": "0.4", **image}]
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    return path


@pytest.fixture
def stored(tmp_path: Path, request: pytest.FixtureRequest) -> CheckedArray:
    """An array of 20 x 20 voxels, all above 0, in chunks of 8 x 8."""
    how = getattr(request, "param", {"zarr_format": 3})
    array = create_array(Place.of(tmp_path / "a.zarr"), (20, 20), "u2", (8, 8), **how)
    array[0:20, 0:20] = noise(20, 20)
    return array


def file_of(array: CheckedArray, *index: int) -> Path:
    return array.place.path / array.array.metadata.encode_chunk_key(index)


# What a store says ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_image_is_opened_and_not_read(tmp_path: Path, version: Any) -> None:
    data = noise(5, 3, 20, 30, 31)
    half = data[..., ::2, ::2]
    levels = [scaled(60, 1, 2, 0.5, 0.5), scaled(60, 1, 2, 1, 1)]
    path = written(tmp_path / "cells.ome.zarr", {"full": data, "half": half}, levels, version=version, axes="tczyx")
    for chunk in [*(path / "full").rglob("0*"), *(path / "full").glob("c")]:
        shutil.rmtree(chunk) if chunk.is_dir() else chunk.unlink(missing_ok=True)
    image = open_image(path)
    assert (image.path, image.name, image.version) == (str(path), "cells", version)
    assert (image.axes, image.spacing, image.units, image.origin) == ("tczyx", (2.0, 0.5, 0.5), "micrometer", None)
    assert [level.factors for level in image.levels] == [(1, 1, 1, 1, 1), (1, 1, 1, 2, 2)]
    assert [level.shape for level in image.levels] == [data.shape, half.shape]
    assert image.levels[0].array.chunks == (5, 3, 8, 8, 8)
    np.testing.assert_array_equal(image.read(1).data, half)
    volume = image.volume(1)
    assert (volume.axes, volume.spacing, volume.data.chunksize) == ("tczyx", (2.0, 1.0, 1.0), (5, 3, 8, 8, 8))
    np.testing.assert_array_equal(volume.data[2, 1, :, 3:9], half[2, 1, :, 3:9])


def test_levels_with_shifts_of_half_a_voxel(tmp_path: Path) -> None:
    shifted = scaled(2, 2, 2)
    shifted["coordinateTransformations"].append({"type": "translation", "translation": [0.5, 0.5, 0.5]})
    arrays = {"0": noise(9, 20, 21), "1": noise(4, 10, 11), "2": noise(3, 5, 6)}
    image = open_image(written(tmp_path / "a.zarr", arrays, [scaled(1, 1, 1), shifted, scaled(4, 4, 4)]))
    assert [level.factors for level in image.levels] == [(1, 1, 1), (2, 2, 2), (4, 4, 4)]
    assert [level.grid.translation for level in image.levels] == [None, (0.5, 0.5, 0.5), None]
    assert Layout.of(image).shapes == ((9, 20, 21), (4, 10, 11), (3, 5, 6))


@pytest.mark.parametrize("name", ["a.zarr", "a.zarr/labels/new", "x/b.ome.zarr"])
def test_what_is_named_as_a_store_is_one(tmp_path: Path, name: str) -> None:
    assert is_store(tmp_path / name)


def test_what_is_a_store(tmp_path: Path) -> None:
    create_array(Place.of(tmp_path / "plain"), (4, 4), "u1", (4, 4))
    (tmp_path / "file.zarr").write_bytes(b"PK")
    assert is_store(tmp_path / "plain")
    assert is_store(f"file://{tmp_path}/plain")
    assert all(is_store(url) for url in ("s3://bucket/a", "memory://a", "simplecache::https://x.org/a.zarr"))
    assert not any(is_store(tmp_path / name) for name in ("file.zarr", "a.tif", "."))


@pytest.mark.parametrize("dtype", [">u2", ">f4", "<i4"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_every_byte_order_is_read_as_that_of_the_machine(tmp_path: Path, dtype: str, zarr_format: Any) -> None:
    data = noise(9, 10).astype(dtype)
    zarr.create_array(str(tmp_path / "a.zarr"), data=data, chunks=(4, 4), zarr_format=zarr_format)
    image = open_image(tmp_path / "a.zarr")
    assert image.levels[0].array.dtype == image.volume().data.dtype == np.dtype(dtype).newbyteorder("=")
    found = image.levels[0].array[2:5, 1:9]
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, data[2:5, 1:9])
    np.testing.assert_array_equal(image.volume().data, data)


@given(
    start=st.tuples(*[st.integers(-25, 25)] * 2), stop=st.tuples(*[st.integers(-25, 25)] * 2), step=st.integers(1, 9)
)
def test_regions_are_those_of_numpy(tmp_path_factory: pytest.TempPathFactory, start: Any, stop: Any, step: int) -> None:
    place = Place.of(f"memory://regions/{tmp_path_factory.getbasetemp().name}")
    data = noise(20, 20)
    array = create_array(place, (20, 20), "u2", (8, 8), shards=(16, 16))
    array[0:20, 0:20] = data
    region = tuple(slice(a, b, step) for a, b in zip(start, stop, strict=True))
    np.testing.assert_array_equal(array[region], data[region])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(array))[start[0] % 20], data[start[0] % 20])


def test_a_worker_reads_no_metadata(stored: CheckedArray) -> None:
    sent = pickle.dumps(stored)
    (stored.place.path / "zarr.json").rename(stored.place.path / "gone")
    np.testing.assert_array_equal(pickle.loads(sent)[...], noise(20, 20))


# What is not there ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", [{"zarr_format": 2}, {"zarr_format": 3}], indirect=True)
def test_absent_chunks_are_the_fill_value_and_counted_once(stored: CheckedArray) -> None:
    for index in ((0, 1), (2, 2)):
        file_of(stored, *index).unlink()
    array = CheckedArray(stored.place)
    tiles = [tuple(slice(10 * i, 10 * i + 10) for i in at) for at in np.ndindex(2, 2)]
    counted = []
    for tile in tiles:
        array[tuple(slice(max(part.start - 3, 0), part.stop + 3) for part in tile)]
        counted.append(array.absent(tile))
    assert counted == [1, 0, 0, 1]
    assert array.n_absent == 2
    expected = noise(20, 20)
    expected[:8, 8:16] = expected[16:, 16:] = 0
    np.testing.assert_array_equal(array[...], expected)


def test_absent_shards_are_counted(tmp_path: Path) -> None:
    array = create_array(Place.of(tmp_path / "a.zarr"), (40, 16), "u2", (4, 4), shards=(8, 16))
    array[8:16, :] = noise(8, 16)
    np.testing.assert_array_equal(array[...].any(axis=1), np.arange(40) // 8 == 1)
    assert array.n_absent == 4
    assert [array.absent((slice(a, a + 8), slice(0, 16))) for a in range(0, 40, 8)] == [1, 0, 1, 1, 1]


def test_another_fill_value(tmp_path: Path) -> None:
    zarr.create_array(str(tmp_path / "a.zarr"), shape=(9, 9), chunks=(4, 4), dtype="u1", fill_value=7)
    image = open_image(tmp_path / "a.zarr")
    np.testing.assert_array_equal(image.read().data, 7)
    assert image.levels[0].array.n_absent == 9


def test_a_folder_that_goes_away_is_not_read_as_zeros(stored: CheckedArray) -> None:
    stored.place.path.rename(stored.place.path.with_name("elsewhere"))
    with pytest.raises(FileNotFoundError, match=r"a\.zarr' has gone while it was read; mount or connect it again"):
        stored[0:8, 0:8]


HOW = [{"zarr_format": 2}, {"zarr_format": 3}, {"shards": (16, 16)}]


@pytest.mark.parametrize("stored", HOW, indirect=True, ids=str)
@pytest.mark.parametrize("damage", ["cut", "garbage", "empty"])
def test_a_damaged_chunk_is_named_and_never_zeros(stored: CheckedArray, damage: str) -> None:
    file = file_of(stored, 1, 0)
    content = file.read_bytes()
    noisy = bytes(np.random.default_rng(1).integers(0, 256, len(content), dtype=np.uint8))
    file.write_bytes({"cut": content[:-5], "garbage": noisy, "empty": b""}[damage])
    chunk = r"\(2, [01]\)" if stored.shards else r"\(1, 0\)"
    key = file.relative_to(stored.place.path).as_posix()
    message = rf"cannot decode chunk {chunk} \('{key}'\) of '.*a\.zarr': .+; copy it again"
    for reading in (lambda: stored[4:20, 2:9], lambda: open_image(stored.place).volume().data[8:, :8].compute()):
        with pytest.raises(ValueError, match=message):
            reading()
    np.testing.assert_array_equal(stored[0:8], noise(20, 20)[0:8])
    with pytest.raises(ValueError, match=message):
        io.read(stored.place.path)


@pytest.mark.parametrize("codec", ["blosc", "lz4", "zlib", "zstd", "gzip", "bz2", None])
@pytest.mark.parametrize("end", [-1, -20, 3])
def test_a_chunk_that_was_cut_is_noticed_whatever_compressed_it(tmp_path: Path, codec: str | None, end: int) -> None:
    compressor = None if codec is None else numcodecs.get_codec({"id": codec})
    zarr.create_array(
        str(tmp_path / "a.zarr"), data=noise(20, 20), chunks=(8, 8), zarr_format=2, compressors=compressor
    )
    file = tmp_path / "a.zarr" / "0.1"
    file.write_bytes(file.read_bytes()[:end])
    with pytest.raises(ValueError, match=r"cannot decode chunk \(0, 1\) \('0\.1'\) of '.*a\.zarr': .+; copy it again"):
        open_image(tmp_path / "a.zarr").read()


def test_a_chunk_that_may_not_be_read_is_named(stored: CheckedArray, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(path: Path, *_args: Any) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("zarr.storage._local._get", failing)
    with pytest.raises(
        OSError, match=r"could not read 'c/1/0' of '.*a\.zarr' \(Input/output error\); mend the conn"
    ) as e:
        stored[8:16, 0:8]
    assert e.value.errno == 5


# What is wrong -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shapes", "scales", "what"),
    [
        (
            [(20, 20, 20), (10, 10, 9)],
            [(1, 1, 1), (2, 2, 4)],
            r"level '1' has the shape \(10, 10, 9\) .*\(2\.0, 2\.0, 4",
        ),
        ([(20, 20, 20), (10, 10, 10)], [(1, 1, 1), (1, 1, 1)], r"level '1' .* \(1\.0, 1\.0, 1\.0\) times coarser than"),
        ([(20, 20, 20), (20, 20, 20), (5, 5, 3)], [(1, 1, 1), (1, 1, 1), (4, 4, 4)], "level '2' has the shape"),
        ([(20, 20, 20), (10, 10)], [(1, 1, 1), (2, 2, 2)], r"level '1' has the shape \(10, 10\)"),
    ],
)
def test_levels_that_disagree(tmp_path: Path, shapes: Any, scales: Any, what: str) -> None:
    arrays = {str(at): noise(*shape) for at, shape in enumerate(shapes)}
    path = written(tmp_path / "a.zarr", arrays, [scaled(*scale) for scale in scales])
    with pytest.raises(ValueError, match=f"its levels disagree: .*{what}"):
        open_image(path)
    np.testing.assert_array_equal(open_image(path / "0").read().data, arrays["0"])


def test_a_level_that_is_missing(tmp_path: Path) -> None:
    path = written(tmp_path / "a.zarr", {"0": noise(8, 8, 8), "1": noise(4, 4, 4)}, [scaled(1, 1, 1), scaled(2, 2, 2)])
    shutil.rmtree(path / "1")
    with pytest.raises(ValueError, match="its level '1' is missing or damaged; copy the store again"):
        open_image(path)


def test_scales_that_are_the_ratio_of_the_lengths(tmp_path: Path) -> None:
    levels = [scaled(1, 1, 1), scaled(1, 101 / 50, 103 / 52)]
    path = written(tmp_path / "a.zarr", {"0": noise(5, 101, 103), "1": noise(5, 50, 52)}, levels)
    assert open_image(path).levels[1].factors == (1, 2, 2)


def test_levels_without_scales_are_known_by_their_shapes(tmp_path: Path) -> None:
    path = written(tmp_path / "a.zarr", {"0": noise(9, 20, 21), "1": noise(9, 10, 11)}, [{}, {}], version="0.4")
    assert open_image(path).levels[1].factors == (1, 2, 2)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0)])
def test_an_array_without_voxels(tmp_path: Path, shape: Any) -> None:
    zarr.create_array(str(tmp_path / "a.zarr"), shape=shape, chunks=(4, 4), dtype="u1")
    with pytest.raises(ValueError, match=rf"it has the shape {re.escape(str(shape))}, with no voxel; write it again"):
        open_image(tmp_path / "a.zarr")
    group = zarr.create_group(str(tmp_path / "b.zarr"))
    group.create_array("0", shape=shape, chunks=(4, 4), dtype="u1")
    group.attrs["ome"] = {"multiscales": [{"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "0"}]}]}
    with pytest.raises(ValueError, match=rf"its level '0' has the shape {re.escape(str(shape))}, with no voxel"):
        open_image(tmp_path / "b.zarr")


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "a.zarr", "memory://nothing.zarr", tmp_path):
        with pytest.raises(FileNotFoundError, match=r"there is no Zarr store '.+' .*look at the address"):
            open_image(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("zarr.json", b'{"zarr_format": 3, "node_type": "gro'),
        ("zarr.json", b"[]"),
        ("zarr.json", b"\xff\xfe"),
        ("zarr.json", b'{"zarr_format": 3}'),
        ("zarr.json", b'{"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"multiscales": [5]}}}'),
        ("zarr.json", b'{"zarr_format": 3, "node_type": "group", "attributes": {"multiscales": [{"datasets": [1]}]}}'),
        ("zarr.json", b'{"zarr_format": 3, "node_type": "array", "shape": [3]}'),
    ],
)
def test_metadata_that_are_damaged(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / name).write_bytes(content)
    with pytest.raises(ValueError, match=r"the metadata of 'a.zarr' are damaged \(.+\); copy the store again"):
        open_image(tmp_path / "a.zarr")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_metadata_that_are_missing(tmp_path: Path, version: Any) -> None:
    path = written(tmp_path / "a.zarr", {"0": noise(8, 8, 8)}, [scaled(1, 1, 1)], version=version)
    if version == "0.4":
        (path / ".zattrs").unlink()
    else:
        (path / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {}}))
    with pytest.raises(ValueError, match="it is a group without OME-Zarr image; it holds 0: pass the path of one"):
        open_image(path)
    np.testing.assert_array_equal(open_image(path / "0").read().data, noise(8, 8, 8))


def test_a_store_of_texts(tmp_path: Path) -> None:
    zarr.create_array(str(tmp_path / "a.zarr"), shape=(3, 3), chunks=(3, 3), dtype="M8[s]", zarr_format=2)
    with pytest.raises(ValueError, match=r"holds datetime64.*, but an image holds numbers"):
        open_image(tmp_path / "a.zarr")


# How labels lie ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chunks", "shards", "expected"),
    [
        ((32, 32, 32), None, ((32, 32, 32), None)),
        ((32, 32, 32), (64, 64, 64), ((32, 32, 32), (64, 64, 64))),
        ((16, 16, 16), (64, 64, 64), ((16, 16, 16), (64, 64, 64))),
        ((4, 4, 4), None, ((64, 64, 64), None)),
        ((4, 4, 4), (64, 64, 64), ((64, 64, 64), None)),
    ],
)
def test_labels_have_the_chunks_of_their_image_where_these_fit(
    tmp_path: Path, chunks: Any, shards: Any, expected: Any
) -> None:
    create_array(Place.of(tmp_path / "a.zarr"), (100, 90, 80), "u2", chunks, shards=shards)
    layout = Layout.of(open_image(tmp_path / "a.zarr"))
    assert (layout.chunks, layout.shards) == expected
    assert layout.block_shape == (layout.shards or layout.chunks)
    for level, shape in enumerate(layout.shapes):
        edges, files = layout.chunks_of(level), layout.files(level)
        assert all(e <= s and f % e == 0 for e, f, s in zip(edges, files, shape, strict=True))


def test_labels_of_colours_have_none(tmp_path: Path) -> None:
    levels = [scaled(5, 1, 2, 0.5, 0.5), scaled(5, 1, 2, 1, 1)]
    arrays = {"0": noise(3, 2, 8, 40, 40), "1": noise(3, 2, 8, 20, 20)}
    image = open_image(written(tmp_path / "a.zarr", arrays, levels, axes="tczyx"))
    layout = Layout.of(image)
    assert (layout.axes, layout.shapes) == ("tzyx", ((3, 8, 40, 40), (3, 8, 20, 20)))
    assert (layout.scale, layout.axis_units) == ((5, 2, 0.5, 0.5), ("second", *["micrometer"] * 3))
    coarse = Layout.of(image, level=1)
    assert (coarse.shapes, coarse.factors, coarse.scale) == (((3, 8, 20, 20),), ((1, 1, 1, 1),), (5, 2, 1, 1))
    volume = Volume(noise(8, 40, 40, 3), "zyxc", (2.0, 0.5, 0.5), "micrometer", origin=(1.0, 2.0, 3.0))
    assert Layout.of(volume).axes == "zyx"
    assert Layout.of(volume).translation == (1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("label", "dtype"), [(0, "u1"), (255, "u1"), (256, "u2"), (65_535, "u2"), (65_536, "u4"), (2**32, "u8")]
)
def test_the_smallest_dtype_that_is_enough(label: int, dtype: str) -> None:
    assert smallest(label) == np.dtype(dtype)


def test_there_are_no_labels_below_0() -> None:
    with pytest.raises(ValueError, match="max_label must not be below 0, but is -1"):
        smallest(-1)


def test_what_all_may_use_is_said() -> None:
    assert all(hasattr(stores, name) for name in stores.__all__)
