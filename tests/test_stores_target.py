"""Labels that are written block by block: equal to labels written at once, whatever is killed, refused or replaced."""

from __future__ import annotations

import errno
import itertools
import json
import os
import pickle
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cutout import io
from napari_cutout.io import Volume
from napari_cutout.stores import LabelsTarget, Layout, Site, edit_labels, open_image
from napari_cutout.stores import _commit as commits

from .test_stores import noise, scaled, written

Regions = list[tuple[slice, ...]]


def blocks_of(shape: tuple[int, ...], edges: tuple[int, ...]) -> Regions:
    starts = itertools.product(*(range(0, n, edge) for n, edge in zip(shape, edges, strict=True)))
    return [tuple(slice(a, min(a + e, n)) for a, e, n in zip(at, edges, shape, strict=True)) for at in starts]


def fill(target: LabelsTarget, labels: np.ndarray) -> int:
    n = sum(target.write(region, labels[region]) for region in blocks_of(labels.shape, target.block_shape))
    for level in range(1, len(target.levels)):
        n += sum(target.shrink(level, region) for region in target.shrink_regions(level))
    return n


def files_of(path: Path) -> dict[str, bytes]:
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def objects(*shape: int, seed: int = 0) -> np.ndarray:
    """Labels in parts of the image only, so that there are chunks of zeros."""
    labels = noise(*shape, seed=seed) % 9
    return np.where(np.indices(shape)[-1] > shape[-1] // 2, labels, 0).astype(np.int32)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image of version 0.5 with two levels, in chunks of 16."""
    levels = [scaled(2, 0.5, 0.5), scaled(2, 1, 1)]
    levels[0]["coordinateTransformations"].append({"type": "translation", "translation": [1, 2, 3]})
    arrays = {"0": noise(20, 40, 50), "1": noise(20, 20, 25)}
    return written(tmp_path / "image.zarr", arrays, levels, chunks=(16, 16, 16))


@pytest.fixture
def begun(image: Path, tmp_path: Path) -> dict[str, Any]:
    """What `create` and `reopen` are called with."""
    layout = replace(Layout.of(open_image(image)), chunks=(16, 16, 16))
    return {
        "path": tmp_path / "labels.zarr",
        "layout": layout,
        "dtype": "u1",
        "work": tmp_path / ".labels.zarr.run",
        "source": str(image),
    }


# What is written -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ngff", ["0.4", "0.5"])
@pytest.mark.parametrize("shards", [None, (16, 32, 32)])
def test_labels_are_stored_as_they_are_with_the_pyramid_of_their_image(
    image: Path, begun: dict[str, Any], ngff: Any, shards: Any
) -> None:
    labels = objects(20, 40, 50)
    begun["layout"] = replace(begun["layout"], shards=shards)
    target = pickle.loads(pickle.dumps(LabelsTarget.create(**begun, ngff=ngff)))
    assert target.block_shape == ((16, 32, 32) if shards and ngff == "0.5" else (16, 16, 16))
    n = fill(target, labels)
    assert target.commit({"recipe": [1, 2]}, name="cells") == str(begun["path"])
    assert not (begun["work"] / "labels.zarr").exists()
    stored = open_image(begun["path"])
    assert (stored.version, stored.spacing, stored.units) == (ngff, (2, 0.5, 0.5), "micrometer")
    assert stored.metadata == {"recipe": [1, 2]}
    assert [level.factors for level in stored.levels] == [(1, 1, 1), (1, 2, 2)]
    for level, by in zip(stored.levels, (1, 2), strict=True):
        assert (level.array.dtype, level.grid.origin) == (np.uint8, (1, 2, 3))
        np.testing.assert_array_equal(level.array[...], labels[:, ::by, ::by])
    files = [name for name in files_of(begun["path"]) if name.rpartition("/")[2].isdecimal()]
    assert len(files) == n
    if target.layout.shards is None:
        assert n < sum(len(blocks_of(array.shape, array.files)) for array in target.levels)
    image_label = stored.attributes["image-label"]
    assert image_label == {"version": ngff, "source": {"image": "../image.zarr"}}


@settings(max_examples=12)
@given(data=st.data())
def test_blocks_of_any_size_and_order_make_the_same_files(data: st.DataObject, tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp("blocks")
    shape = data.draw(st.tuples(*[st.integers(1, 40)] * 2))
    chunk = data.draw(st.sampled_from([4, 7, 16]))
    shards = data.draw(st.sampled_from([None, (2 * chunk, chunk)]))
    labels = (noise(*shape) % 3 * (np.arange(shape[0])[:, None] % 9 < 3)).astype(np.uint8)
    factors = ((1.0, 1.0), (2.0, 1.0), (4.0, 3.0))
    shapes = tuple(tuple(int(np.ceil(n / f)) for n, f in zip(shape, by, strict=True)) for by in factors)
    layout = replace(Layout.of(Volume(labels, "yx")), chunks=(chunk, chunk), shards=shards)
    layout = replace(layout, factors=factors, shapes=shapes)
    stored = []
    for name in ("a", "b"):
        target = LabelsTarget.create(folder / name, layout, "u1", work=folder / f".{name}.run")
        multiples = data.draw(st.tuples(*[st.integers(1, 3)] * 2))
        edges = tuple(edge * n for edge, n in zip(target.block_shape, multiples, strict=True))
        regions = data.draw(st.permutations(blocks_of(shape, edges)))
        for region in [*regions, *regions[:1]]:
            target.write(region, labels[region])
        for level in (1, 2):
            for region in data.draw(st.permutations(target.shrink_regions(level))):
                target.shrink(level, region)
        target.commit({})
        stored.append({k: v for k, v in files_of(folder / name).items() if k != "zarr.json"})
    assert stored[0] == stored[1]
    levels = open_image(folder / "a").levels
    for level, (down, right) in zip(levels, ((1, 1), (2, 1), (4, 3)), strict=True):
        np.testing.assert_array_equal(level.array[...], labels[::down, ::right])


def test_a_block_that_is_written_again_leaves_nothing_of_before(begun: dict[str, Any]) -> None:
    target = LabelsTarget.create(**begun)
    region = (slice(0, 16), slice(16, 32), slice(32, 50))
    assert target.write(region, np.ones((16, 16, 18), np.uint8)) == 2
    assert target.write(region, np.zeros((16, 16, 18), np.uint8)) == 0
    assert [name for name in files_of(begun["work"]) if "/c/" in name] == []


def test_levels_that_are_no_whole_part_of_the_one_above(tmp_path: Path) -> None:
    arrays = {"0": noise(30, 30), "1": noise(20, 15), "2": noise(10, 10)}
    image = open_image(written(tmp_path / "a.zarr", arrays, [scaled(1, 1), scaled(1.5, 2), scaled(3, 3)], axes="yx"))
    labels = noise(30, 30) % 200
    target = LabelsTarget.create(tmp_path / "b.zarr", Layout.of(image), "u1", work=tmp_path / "run")
    fill(target, labels)
    rows = np.array([0, 1, 3, 4, 6, 7, 9, 10, 12, 13, 15, 16, 18, 19, 21, 22, 24, 25, 27, 28])
    np.testing.assert_array_equal(target.levels[1][...], labels[rows][:, ::2])
    np.testing.assert_array_equal(target.levels[2][...], labels[rows[::2]][:, [0, 2, 6, 8, 12, 14, 18, 20, 24, 26]])


@pytest.mark.parametrize(
    ("region", "what"),
    [
        ((slice(0, 8), slice(0, 16), slice(0, 16)), r"\[0:8, 0:16, 0:16\]"),
        ((slice(4, 20), slice(0, 16), slice(0, 16)), r"\[4:20, 0:16, 0:16\]"),
        ((slice(0, 16), slice(32, 48), slice(0, 16)), r"\[0:16, 32:48, 0:16\]"),
        ((slice(16, 16), slice(0, 16), slice(0, 16)), r"\[16:16"),
    ],
)
def test_a_block_that_divides_a_chunk_is_refused(begun: dict[str, Any], region: Any, what: str) -> None:
    target = LabelsTarget.create(**begun)
    block = np.zeros([part.stop - part.start for part in region], np.uint8)
    with pytest.raises(ValueError, match=rf"multiples of \(16, 16, 16\) or the end of the axes, \(20, 40, .*{what}"):
        target.write(region, block)


def test_labels_that_do_not_fit_are_refused(begun: dict[str, Any]) -> None:
    target = LabelsTarget.create(**begun)
    region = (slice(0, 16),) * 3
    with pytest.raises(ValueError, match=r"\[0:16, 0:16, 0:16\] has the shape \(16, 16, 16\), but labels have \(3,\)"):
        target.write(region, np.zeros(3, np.uint8))
    with pytest.raises(ValueError, match="labels go from 0 to 256, but the store holds uint8; make it with uint16"):
        target.write(region, np.arange(4096).reshape(16, 16, 16) % 257)
    with pytest.raises(ValueError, match="labels go from -1 to 5, but the store holds uint8"):
        target.write(region, np.clip(np.arange(4096).reshape(16, 16, 16), 0, 6) - 1)
    with pytest.raises(ValueError, match="labels must be whole numbers, but are float64"):
        target.write(region, np.zeros((16, 16, 16)))
    with pytest.raises(ValueError, match="labels must be whole numbers, but are float32"):
        LabelsTarget.create(**{**begun, "dtype": "f4"})
    with pytest.raises(ValueError, match=r"metadata must be plain JSON"):
        target.commit({"a": object()})


# Labels in an image --------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("consolidated", [False, True])
def test_labels_in_an_image_follow_its_version_and_are_listed(tmp_path: Path, version: Any, consolidated: bool) -> None:
    path = written(tmp_path / "a.zarr", {"0": noise(20, 30)}, [scaled(1, 1)], version=version, axes="yx")
    if consolidated:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are no part of Zarr 3 yet
            zarr.consolidate_metadata(str(path))
    image = open_image(path)
    labels = objects(20, 30)
    for name in ("cells", "nuclei", "cells"):
        run = path / "labels" / f".{name}.run"
        target = LabelsTarget.create(
            path / "labels" / name, Layout.of(image), "u1", work=run, source=image.path, overwrite=True
        )
        fill(target, labels)
        target.commit({"name": name})
        run.rmdir()
    group = zarr.open_group(str(path), mode="r", use_consolidated=consolidated)
    about = group["labels"].attrs.asdict()
    assert (about if version == "0.4" else about["ome"])["labels"] == ["cells", "nuclei"]
    for name in ("cells", "nuclei"):
        stored = open_image(path / "labels" / name)
        assert (stored.version, stored.metadata) == (version, {"name": name})
        assert stored.attributes["image-label"]["source"] == {"image": "../../"}
        np.testing.assert_array_equal(group[f"labels/{name}/0"][...], labels)
    np.testing.assert_array_equal(image.read().data, noise(20, 30))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("what", ["_describe", "_consolidate"])
def test_two_that_add_labels_to_an_image_at_one_moment_are_listed(
    tmp_path: Path, version: Any, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "a.zarr", {"0": noise(20, 30)}, [scaled(1, 1)], version=version, axes="yx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are no part of Zarr 3 yet
        zarr.consolidate_metadata(str(path))
    image = open_image(path)
    zarr.create_group(store=str(path / "labels" / "of-another-program"), zarr_format=2 if version == "0.4" else 3)
    first, second = (
        LabelsTarget.create(path / "labels" / name, Layout.of(image), "u1", work=tmp_path / name, source=image.path)
        for name in ("cells", "nuclei")
    )
    real = getattr(commits, what) if what == "_describe" else zarr.consolidate_metadata

    def late(store: Any, *args: Any, **more: Any) -> Any:
        """Write what was read before the other has written."""
        if what == "_describe" and store.name != "labels":
            return real(store, *args, **more)
        monkeypatch.setattr(*patched, real)
        if what == "_describe":
            second.commit({"name": "nuclei"})
            return real(store, *args, **more)
        found = real(store, *args, **more)
        before = {name: (path / name).read_bytes() for name in ("zarr.json", ".zmetadata") if (path / name).exists()}
        second.commit({"name": "nuclei"})
        for name, content in before.items():
            (path / name).write_bytes(content)
        return found

    patched: tuple[Any, str] = (commits, what) if what == "_describe" else (zarr, "consolidate_metadata")
    monkeypatch.setattr(*patched, late)
    first.commit({"name": "cells"})
    for consolidated in (False, True):
        group = zarr.open_group(str(path), mode="r", use_consolidated=consolidated)
        about = group["labels"].attrs.asdict()
        assert sorted((about if version == "0.4" else about["ome"])["labels"]) == ["cells", "nuclei"]
        assert {"cells", "nuclei"} <= set(group["labels"].group_keys())


def test_labels_in_an_image_of_another_version_are_refused(image: Path, begun: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"ngff is '0\.4', but labels in an image have its .* is '0\.5'; leave"):
        LabelsTarget.create(**{**begun, "path": image / "labels" / "a"}, ngff="0.4")
    with pytest.raises(ValueError, match=r"ngff must be '0\.5' or '0\.4', but is '0\.3'"):
        LabelsTarget.create(**begun, ngff="0.3")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("within", [False, True])
def test_labels_are_valid(tmp_path: Path, version: Any, within: bool) -> None:
    yaozarrs = pytest.importorskip("yaozarrs")
    path = written(tmp_path / "a.zarr", {"0": noise(3, 2, 20, 30)}, [scaled(9, 1, 2, 2)], version=version, axes="tcyx")
    image = open_image(path)
    place = path / "labels" / "cells" if within else tmp_path / "b.zarr"
    target = LabelsTarget.create(
        place, Layout.of(image), "u2", work=tmp_path / "run", source=image.path, ngff=None if within else version
    )
    fill(target, objects(3, 20, 30))
    target.commit({"recipe": {}})
    label = yaozarrs.validate_zarr_store(str(place)).ome_metadata()
    assert isinstance(label, (yaozarrs.v04 if version == "0.4" else yaozarrs.v05).LabelImage)
    assert [axis.name for axis in label.multiscales[0].axes] == ["t", "y", "x"]
    yaozarrs.validate_zarr_store(str(path))


@pytest.mark.parametrize(
    ("target", "source", "expected"),
    [
        ("/data/out/labels.zarr", "/data/in/image.zarr", "../../in/image.zarr"),
        ("/home/a/b/c/d/labels.zarr", "/data/image.zarr", "file:///data/image.zarr"),
        ("/data/labels.zarr", "s3://bucket/image.zarr", "s3://bucket/image.zarr"),
        ("/data/labels.zarr", "https://a:b@c.org/image.zarr?key=d", "https://c.org/image.zarr"),
        ("s3://bucket/labels.zarr", "/data/image.zarr", "file:///data/image.zarr"),
        ("/data/labels.zarr", None, None),
    ],
)
def test_how_labels_name_their_image(monkeypatch: pytest.MonkeyPatch, target: str, source: Any, expected: Any) -> None:
    monkeypatch.setattr("napari_cutout.stores._site._about", lambda _place: None)
    monkeypatch.setattr(Site, "check", lambda _site: None)
    site = Site.of(target, "/work", {}, source=source, ngff=None, overwrite=False)
    assert site.image_path() == expected


# What goes on after a kill -------------------------------------------------------------------------------


class Killed(BaseException):
    """What stops a process, as far as a test can."""


KILLS = ["describe", "rename away", "rename", "enlist", "end"]


@pytest.mark.parametrize("when", KILLS)
@pytest.mark.parametrize("within", [False, True])
def test_a_commit_that_was_killed_is_done_again(
    image: Path, begun: dict[str, Any], when: str, within: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun |= {"overwrite": True, **({"path": image / "labels" / "cells"} if within else {})}
    old, new = objects(20, 40, 50), objects(20, 40, 50, seed=1)
    first = LabelsTarget.create(**begun)
    fill(first, old)
    first.commit({"run": 1})
    target = LabelsTarget.create(**begun)
    fill(target, new)
    with monkeypatch.context() as patch:
        stop_at(when, patch, begun["path"])
        try:
            target.commit({"run": 2})
        except Killed:
            pass
        else:
            assert (when, within) == ("enlist", False), "it was not stopped"
    if when != "rename":  # between the two renames only the new ones are known, and in the folder of the run
        assert io.read(begun["path"]).metadata["run"] == (1 if when in ("describe", "rename away") else 2)
    again = LabelsTarget.reopen(**begun)
    again.commit({"run": 2})
    np.testing.assert_array_equal(io.read(begun["path"]).data, new)
    assert io.read(begun["path"]).metadata == {"run": 2}
    assert sorted(p.name for p in begun["work"].iterdir()) == []
    if within:
        assert open_group_labels(image) == ["cells"]


def open_group_labels(image: Path) -> list[str]:
    return list(json.loads((image / "labels" / "zarr.json").read_text())["attributes"]["ome"]["labels"])


def stop_at(when: str, patch: pytest.MonkeyPatch, place: Path) -> None:
    def killed(*_args: Any, **_kwargs: Any) -> Any:
        raise Killed

    rename = Path.rename

    def renamed(path: Path, target: Path) -> Path:
        if (path == place) == (when == "rename away") and ".tmp" not in str(path) + str(target):
            patch.setattr(Path, "rename", rename if when == "rename away" else killed)
            raise Killed
        return rename(path, target)

    if when.startswith("rename"):
        patch.setattr(Path, "rename", renamed)
    elif when == "end":
        patch.setattr(Site, "end", killed)
    else:
        patch.setattr(commits, f"_{when}", killed)


def test_half_a_run_goes_on_to_the_same_files(begun: dict[str, Any], tmp_path: Path) -> None:
    labels = objects(20, 40, 50)
    whole = LabelsTarget.create(**{**begun, "path": tmp_path / "whole.zarr", "work": tmp_path / ".whole.zarr.run"})
    fill(whole, labels)
    whole.commit({}, name="labels")
    begun_target = LabelsTarget.create(**begun)
    regions = blocks_of(labels.shape, begun_target.block_shape)
    for region in regions[:5]:
        begun_target.write(region, labels[region])
    # A file that was being written when the process was killed.
    (begun["work"] / "labels.zarr" / "0" / "c" / "0.1234.partial").write_bytes(b"half")
    target = LabelsTarget.reopen(**begun)
    for region in regions[4:]:
        target.write(region, labels[region])
    for level in range(1, len(target.levels)):
        for region in target.shrink_regions(level):
            target.shrink(level, region)
    target.commit({}, name="labels")
    assert files_of(begun["path"]) == files_of(tmp_path / "whole.zarr")


@pytest.mark.parametrize("change", [{"dtype": "u2"}, {"chunks": (16, 16, 8)}, {"shards": (16, 16, 32)}])
def test_another_run_does_not_go_on_with_what_was_begun(begun: dict[str, Any], change: dict[str, Any]) -> None:
    LabelsTarget.create(**begun)
    other = {**begun, "dtype": change.pop("dtype", "u1"), "layout": replace(begun["layout"], **change)}
    with pytest.raises(ValueError, match=r"the labels begun in '.*labels\.zarr/0' have .*pass overwrite to begin"):
        LabelsTarget.reopen(**other)


def test_there_is_nothing_to_go_on_with(begun: dict[str, Any]) -> None:
    with pytest.raises(FileNotFoundError, match="there is no Zarr array"):
        LabelsTarget.reopen(**begun)


def test_a_new_run_leaves_nothing_of_one_that_was_given_up(begun: dict[str, Any]) -> None:
    fill(LabelsTarget.create(**begun), objects(20, 40, 50) + 1)
    target = LabelsTarget.create(**begun)
    assert not target.levels[0][...].any()
    target.discard()
    assert list(begun["work"].iterdir()) == []
    assert not begun["path"].exists()


# What is refused -----------------------------------------------------------------------------------------


def test_what_is_there_is_replaced_when_asked_and_complete(image: Path, begun: dict[str, Any]) -> None:
    old, new = objects(20, 40, 50), objects(20, 40, 50, seed=1)
    first = LabelsTarget.create(**begun)
    fill(first, old)
    first.commit({})
    for refused in (LabelsTarget.create, LabelsTarget.check):
        given = {k: v for k, v in begun.items() if refused == LabelsTarget.create or k not in ("layout", "dtype")}
        with pytest.raises(FileExistsError, match=r"labels\.zarr' exists already; choose another name, or allow"):
            refused(**given)
    second = LabelsTarget.create(**begun, overwrite=True)
    fill(second, new)
    np.testing.assert_array_equal(io.read(begun["path"]).data, old)
    second.commit({})
    np.testing.assert_array_equal(io.read(begun["path"]).data, new)


def test_labels_that_somebody_else_made_meanwhile_are_not_replaced(begun: dict[str, Any]) -> None:
    first, second = (LabelsTarget.create(**{**begun, "work": begun["work"] / name}) for name in "ab")
    for target in (first, second):
        fill(target, objects(20, 40, 50))
    first.commit({"run": 1})
    with pytest.raises(FileExistsError, match="exists already"):
        second.commit({"run": 2})
    assert io.read(begun["path"]).metadata == {"run": 1}
    np.testing.assert_array_equal(second.levels[0][...], objects(20, 40, 50))


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("image.zarr", "it holds the image that is read"),
        ("other.zarr", "it holds no labels"),
        ("folder", "it is no Zarr store"),
        ("file", "it is no Zarr store"),
    ],
)
def test_what_is_no_labels_is_never_replaced(image: Path, begun: dict[str, Any], path: str, what: str) -> None:
    folder = image.parent
    written(folder / "other.zarr", {"0": noise(8, 8)}, [scaled(1, 1)], axes="yx")
    (folder / "folder").mkdir()
    (folder / "file").write_bytes(b"precious")
    before = files_of(folder)
    with pytest.raises(FileExistsError, match=rf"{path}' exists already, and {what}, so it is not replaced; choose"):
        LabelsTarget.create(**{**begun, "path": folder / path}, overwrite=True)
    assert files_of(folder) == before


@pytest.mark.parametrize("path", ["sub.zarr", "0/sub.zarr", "labels", "x/labels/a", "labels/a/b", "labels/a/labels/b"])
def test_nothing_is_written_among_the_data_of_an_image(image: Path, begun: dict[str, Any], path: str) -> None:
    labels = LabelsTarget.create(**{**begun, "path": image / "labels" / "a"})
    fill(labels, objects(20, 40, 50))
    labels.commit({})
    (image / "x" / "labels").mkdir(parents=True)
    before = files_of(image)
    with pytest.raises(FileExistsError, match=r"lies in '.*image\.zarr.*', which holds an image, so nothing"):
        LabelsTarget.create(**{**begun, "path": image / path}, overwrite=True)
    assert files_of(image) == before


def test_a_folder_that_is_not_there(begun: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no folder '.*none' to write 'a\.zarr' to; make it"):
        LabelsTarget.create(**{**begun, "path": tmp_path / "none" / "a.zarr"})
    assert not (tmp_path / "none").exists()


def test_a_place_that_may_not_be_written_to(begun: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_args, **_kwargs: False)
    for refused in (LabelsTarget.create, LabelsTarget.check):
        given = {k: v for k, v in begun.items() if refused == LabelsTarget.create or k not in ("layout", "dtype")}
        with pytest.raises(PermissionError, match=r"could not write '.*labels\.zarr' \(Permission denied\); nothing"):
            refused(**given)


def test_a_disk_that_is_full(begun: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    old = objects(20, 40, 50)
    first = LabelsTarget.create(**begun)
    fill(first, old)
    first.commit({})
    target = LabelsTarget.create(**begun, overwrite=True)

    def full(*_args: Any, **_kwargs: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("zarr.storage._local._put", full)
        message = r"could not write 'c/0/0/1' of .* \(No space left on device\); .*free some space"
        with pytest.raises(OSError, match=message) as e:
            target.write((slice(0, 16), slice(0, 16), slice(16, 32)), np.ones((16, 16, 16), np.uint8))
    assert e.value.errno == errno.ENOSPC
    np.testing.assert_array_equal(io.read(begun["path"]).data, old)
    fill(LabelsTarget.reopen(**begun, overwrite=True), old + 1)


# A box that is edited ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, np.ndarray]:
    """The address of labels, and what they hold."""
    folder = tmp_path_factory.mktemp("edited")
    labels = objects(20, 40, 50)
    layout = replace(Layout.of(Volume(labels, "zyx", (2.0, 0.5, 0.5))), chunks=(16, 16, 16))
    shapes = ((20, 40, 50), (20, 20, 25), (10, 10, 10))
    layout = replace(layout, factors=((1, 1, 1), (1, 2, 2), (2, 4, 5)), shapes=shapes)
    target = LabelsTarget.create(f"memory://{folder.name}/a.zarr", layout, "u1", work=folder)
    fill(target, labels)
    return target.commit({"recipe": 1}), labels


@given(start=st.tuples(st.integers(0, 19), st.integers(0, 39), st.integers(0, 49)), data=st.data())
def test_a_box_is_written_back_to_every_level(
    start: tuple[int, ...], data: st.DataObject, edited: tuple[str, np.ndarray]
) -> None:
    url, labels = edited
    shape = [data.draw(st.integers(1, n - at)) for n, at in zip(labels.shape, start, strict=True)]
    box = noise(*shape, seed=data.draw(st.integers(0, 9))) % 200
    edit_labels(url, start, box)
    labels[tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))] = box
    stored = open_image(url)
    assert stored.metadata == {"recipe": 1}
    np.testing.assert_array_equal(stored.levels[0].array[...], labels)
    np.testing.assert_array_equal(stored.levels[1].array[...], labels[:, ::2, ::2])
    np.testing.assert_array_equal(stored.levels[2].array[...], labels[::2, ::4, [0, 4, 10, 14, 20, 24, 30, 34, 40, 44]])


def test_a_box_that_does_not_fit(image: Path, begun: dict[str, Any]) -> None:
    target = LabelsTarget.create(**begun)
    fill(target, objects(20, 40, 50))
    target.commit({})
    with pytest.raises(ValueError, match=r"the box \[18:23, 0:1, 0:1\] does not lie in labels of the shape \(20,"):
        edit_labels(begun["path"], (18, 0, 0), np.ones((5, 1, 1), int))
    with pytest.raises(ValueError, match="labels go from 300 to 300, but the store holds uint8"):
        edit_labels(begun["path"], (0, 0, 0), np.full((5, 1, 1), 300))
    with pytest.raises(ValueError, match=r"image\.zarr' holds no labels, so no box is written to it"):
        edit_labels(image, (0, 0, 0), np.ones((5, 1, 1), int))
    np.testing.assert_array_equal(io.read(begun["path"]).data, objects(20, 40, 50))
