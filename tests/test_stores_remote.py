"""Object stores: with and without credentials, which nobody sees; and what fails is tried again."""

from __future__ import annotations

import json
import logging
import pickle
import re
import traceback
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import numpy as np
import pytest
import zarr
from fsspec.implementations.memory import MemoryFileSystem

import napari_cutout as nc
from napari_cutout import io, stores
from napari_cutout.io import Volume
from napari_cutout.recipe import Recipe, Step
from napari_cutout.stores import LabelsTarget, Layout, Patience, Place, create_array, open_image

from .s3 import BUCKET, PUBLIC, S3

CANARY = "CANARY7f3a"
"""A secret that may be in no text that anybody reads."""


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 250, shape).astype(np.uint16)


def write_labels(target: LabelsTarget, labels: np.ndarray) -> None:
    target.write(tuple(slice(0, n) for n in labels.shape), labels)
    for level in range(1, len(target.levels)):
        for region in target.shrink_regions(level):
            target.shrink(level, region)


@pytest.fixture
def image(s3: S3, request: pytest.FixtureRequest) -> str:
    """The address of an image in a bucket, of which the test may say that it is public."""
    url = f"s3://{getattr(request, 'param', BUCKET)}/{re.sub('[^a-z0-9]+', '-', request.node.name.lower())}/image.zarr"
    store = zarr.storage.FsspecStore.from_url(url, storage_options=s3.options)
    group = zarr.create_group(store=store, zarr_format=3)
    group.create_array("0", data=noise(70, 90), chunks=(32, 32))
    scale = [{"type": "scale", "scale": [0.5, 0.25]}]
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"]
    multiscales = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": multiscales}
    return url


@pytest.mark.parametrize("image", [PUBLIC], indirect=True)
def test_an_image_is_read_from_s3_by_anybody(s3: S3, image: str) -> None:
    found = io.read(image, storage_options=s3.anonymous)
    np.testing.assert_array_equal(found.data, noise(70, 90))
    assert (found.axes, found.spacing, found.units, found.name) == ("yx", (0.5, 0.25), "micrometer", "image")
    (lazy,) = io.read_lazily(image, storage_options=s3.anonymous)
    assert lazy.data.chunksize == (32, 32)
    np.testing.assert_array_equal(lazy.data[40:, :50], found.data[40:, :50])


def test_labels_are_written_to_s3_with_credentials(s3: S3, image: str, tmp_path: Path) -> None:
    with s3.closed():
        opened = open_image(image, storage_options=s3.options)
        labels = (opened.read().data > 100).astype(np.int32)
        target = image.replace("image.zarr", "labels.zarr")
        written = LabelsTarget.create(
            target, Layout.of(opened), "u1", work=tmp_path, source=opened.path, storage_options=s3.options
        )
        write_labels(pickle.loads(pickle.dumps(written)), labels)
        with pytest.raises(FileNotFoundError, match=f"there is no Zarr store '{target}'"):
            open_image(target, storage_options=s3.options)
        assert written.commit({"recipe": "x"}) == target
        found = io.read(target, storage_options=s3.options)
    np.testing.assert_array_equal(found.data, labels)
    assert (found.spacing, found.metadata) == ((0.5, 0.25), {"recipe": "x"})
    files = fsspec.filesystem("s3", **s3.options).find(target)
    assert ".making.json" not in " ".join(files)
    about = json.loads(fsspec.filesystem("s3", **s3.options).cat(f"{target}/zarr.json"))["attributes"]
    assert about["ome"]["image-label"]["source"] == {"image": image}


def test_credentials_come_from_the_environment_too(s3: S3, image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret)
    with s3.closed():
        assert io.read(image, storage_options={"endpoint_url": s3.endpoint}).data.shape == (70, 90)


def test_options_come_from_the_environment_too(s3: S3, image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(stores.OPTIONS_VARIABLE, json.dumps(s3.options))
    with s3.closed():
        np.testing.assert_array_equal(io.read(image).data, noise(70, 90))
        assert io.read_lazily(image)[0].data.shape == (70, 90)


@pytest.mark.parametrize("image", [PUBLIC], indirect=True)
def test_an_image_is_read_from_a_web_server(s3: S3, image: str) -> None:
    pytest.importorskip("aiohttp")
    found = open_image(image.replace("s3:/", s3.endpoint))
    np.testing.assert_array_equal(found.read().data, noise(70, 90))
    assert found.path == image.replace("s3:/", s3.endpoint)


def test_a_run_from_store_to_store_tells_no_secret(s3: S3, image: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="napari_cutout")
    target = image.replace("image.zarr", "labels.zarr")
    with s3.closed():
        result = nc.run(Recipe([Step("threshold")]), image, target, storage_options=s3.options)
        found = io.read(target, storage_options=s3.options)
        files = fsspec.filesystem("s3", **s3.options)
        stored = b"".join(files.cat(path) for path in files.find(target.rpartition("/")[0]))
    np.testing.assert_array_equal(found.data, nc.threshold(noise(70, 90)))
    told = repr(result) + json.dumps(found.metadata) + caplog.text
    assert "recipe" in told
    assert s3.secret not in told
    assert s3.secret.encode() not in stored
    assert s3.key.encode() not in stored


@pytest.mark.parametrize("wrong", [{"secret": CANARY}, {"key": CANARY}, {"key": None, "secret": None, "anon": True}])
def test_what_is_refused_is_said_and_no_secret_with_it(
    s3: S3, image: str, wrong: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="napari_cutout")
    options = {**s3.options, **wrong}
    with (
        s3.closed(),
        pytest.raises(PermissionError, match=r"could not read .*image\.zarr'.*pass a key and secret") as e,
    ):
        open_image(image, storage_options=options)
    told = "".join(traceback.format_exception(e.value)) + caplog.text
    assert CANARY not in told
    assert s3.secret not in told


def test_no_secret_is_shown(s3: S3, image: str) -> None:
    opened = open_image(image, storage_options=s3.options)
    shown = [repr(opened), repr(opened.levels[0].array), opened.path, repr(opened.volume()), repr(opened.place)]
    shown.append(repr(opened.volume().data.dask))
    assert not any(s3.secret in text for text in shown)


def test_secrets_in_an_address_are_not_shown() -> None:
    place = Place.of(f"https://me:{CANARY}@server.org/a.zarr?sig={CANARY}x") / "0"
    assert place.url == f"https://me:{CANARY}@server.org/a.zarr/0?sig={CANARY}x"
    assert place.shown == "https://server.org/a.zarr/0"
    assert place.parent.shown == "https://server.org/a.zarr"
    assert CANARY not in repr(place)
    assert CANARY not in place.hide(f"cannot connect to {place.url}")


# Options ------------------------------------------------------------------------------------------------


def test_options_are_read_from_texts_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_CUTOUT_STORAGE_OPTIONS", '{"anon": true, "key": "a"}')
    found = stores.parse_storage_options(["key=0123", "use_ssl=False", "retries=3", '{"config_kwargs": {"a": 1}}'])
    assert found == {"anon": True, "key": "0123", "use_ssl": False, "retries": 3, "config_kwargs": {"a": 1}}
    assert stores.parse_storage_options(["secret=a=b=="])["secret"] == "a=b=="
    monkeypatch.delenv("NAPARI_CUTOUT_STORAGE_OPTIONS")
    assert stores.parse_storage_options() == {}


@pytest.mark.parametrize("wrong", [CANARY, f"={CANARY}", f'{{"secret": "{CANARY}"', f'{{"{CANARY}"}}'])
def test_options_that_are_none_are_refused_unseen(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="storage option 2 ") as error:
        stores.parse_storage_options(["anon=true", wrong])
    assert CANARY not in "".join(traceback.format_exception(error.value))
    monkeypatch.setenv("NAPARI_CUTOUT_STORAGE_OPTIONS", wrong)
    with pytest.raises(ValueError, match="NAPARI_CUTOUT_STORAGE_OPTIONS ") as error:
        stores.parse_storage_options()
    assert CANARY not in "".join(traceback.format_exception(error.value))


def test_a_protocol_that_is_unknown_or_not_installed() -> None:
    with pytest.raises(ValueError, match=r"cannot open 'nosuch://a/b.zarr'.*Protocol not known.*look at the address"):
        open_image("nosuch://a/b.zarr")
    with pytest.raises(ValueError, match=r"needs a library that is not installed.*pip install 'adlfs'"):
        open_image("abfs://a/b.zarr")


# What fails ---------------------------------------------------------------------------------------------


class Flaky(MemoryFileSystem):
    """A file system whose requests fail a number of times, each file for itself."""

    protocol = "flaky"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    failures = 0
    error: Exception = ConnectionError("the line is dead")
    seen: ClassVar[Counter[str]] = Counter()

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return MemoryFileSystem._strip_protocol(path.replace("flaky://", "memory://"))

    def _fail(self, path: str) -> None:
        Flaky.seen[path] += 1
        if Flaky.seen[path] <= Flaky.failures:
            raise Flaky.error

    def cat_file(self, path: str, *args: Any, **kwargs: Any) -> bytes:
        self._fail(f"read {path}")
        return super().cat_file(path, *args, **kwargs)

    def pipe_file(self, path: str, value: bytes, *args: Any, **kwargs: Any) -> None:
        self._fail(f"write {path}")
        super().pipe_file(path, value, *args, **kwargs)


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> Place:
    """An array on a file system that does not fail yet."""
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    monkeypatch.setattr(Flaky, "failures", 0)
    monkeypatch.setattr(Flaky, "seen", Counter())
    monkeypatch.setattr(Flaky, "error", ConnectionError("the line is dead"))
    Flaky.store.clear()
    place = Place("flaky://a.zarr/0", patience=Patience(retries=3, wait=0))
    create_array(place, (20, 20), "u2", (8, 8))[0:20, 0:20] = noise(20, 20)
    Flaky.seen.clear()
    return place


def test_a_request_is_tried_again(flaky: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Flaky, "failures", 3)
    array = stores.CheckedArray(flaky, writable=True)
    np.testing.assert_array_equal(array[...], noise(20, 20))
    array[0:8, 0:8] = np.ones((8, 8), np.uint16)
    assert {Flaky.seen[f"read /a.zarr/0/c/{y}/{x}"] for y in range(3) for x in range(3)} == {4}
    assert Flaky.seen["write /a.zarr/0/c/0/0"] == 4
    assert array.n_absent == 0


def test_a_run_gets_through_where_every_request_fails_once(flaky: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Patience, "waits", lambda _patience: iter([0.0] * 5))
    monkeypatch.setattr(Flaky, "failures", 1)
    nc.run(Recipe([Step("threshold")]), flaky.url, "flaky://labels.zarr", tile=8)
    monkeypatch.setattr(Flaky, "failures", 0)
    np.testing.assert_array_equal(io.read("flaky://labels.zarr").data, nc.threshold(noise(20, 20)))


def test_what_fails_for_good_is_named_and_never_zeros(flaky: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    array = stores.CheckedArray(flaky, writable=True)
    monkeypatch.setattr(Flaky, "failures", 4)
    with pytest.raises(OSError, match=r"could not read 'c/1/2' of 'flaky://a.zarr/0' after 3 more tries \(the line is"):
        array[8:16, 16:20]
    with pytest.raises(OSError, match=r"could not write 'c/0/0' of 'flaky://a.zarr/0' after 3 more tries"):
        array[0:8, 0:8] = np.ones((8, 8), np.uint16)


@pytest.mark.parametrize("error", [PermissionError("no"), ValueError("broken")])
def test_what_will_not_pass_is_not_tried_again(flaky: Place, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    array = stores.CheckedArray(flaky)
    monkeypatch.setattr(Flaky, "failures", 9)
    monkeypatch.setattr(Flaky, "error", error)
    with pytest.raises(OSError, match=r"could not read 'c/0/0' of 'flaky://a.zarr/0' \((no|broken)\)"):
        array[0:8, 0:8]
    assert Flaky.seen["read /a.zarr/0/c/0/0"] == 1


def test_memory_that_runs_out_is_no_error_of_the_store(flaky: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    array = stores.CheckedArray(flaky)
    monkeypatch.setattr(Flaky, "failures", 9)
    monkeypatch.setattr(Flaky, "error", MemoryError())
    with pytest.raises(MemoryError):
        array[0:8, 0:8]


def test_long_waits_are_said(flaky: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("napari_cutout.stores._guard._SAID_FROM", 0)
    monkeypatch.setattr(Flaky, "error", ConnectionError(f"the line with {CANARY} is dead"))
    monkeypatch.setattr(Flaky, "failures", 1)
    stores.CheckedArray(replace(flaky, options={"secret": CANARY}))
    message = "could not read 'zarr.json' of 'flaky://a.zarr/0' (the line with *** is dead); trying again in 0 s"
    assert caplog.messages[0] == message


def test_the_wait_doubles() -> None:
    assert list(Patience().waits()) == [0.5, 1.0, 2.0, 4.0, 8.0]


def test_a_store_that_goes_away_is_not_read_as_zeros(flaky: Place) -> None:
    array = stores.CheckedArray(flaky)
    Flaky.store.clear()
    with pytest.raises(FileNotFoundError, match=r"'flaky://a.zarr/0' has gone while it was read; mount"):
        array[0:8, 0:8]


# What is replaced ---------------------------------------------------------------------------------------


def test_labels_on_an_object_store_stay_until_new_ones_are_complete(tmp_path: Path) -> None:
    url = f"memory://{tmp_path.name}/labels.zarr"
    old, new = (noise(40, 50, seed=seed) % 5 for seed in (1, 2))
    layout = Layout.of(Volume(old, "yx"))

    def begin(**options: Any) -> LabelsTarget:
        return LabelsTarget.create(url, layout, "u1", work=tmp_path, **options)

    first = begin()
    write_labels(first, old)
    first.commit({"run": 1})
    with pytest.raises(FileExistsError, match=f"'{url}' exists already; choose another name, or allow to overwrite"):
        begin()
    for run, names in ((2, ["b0"]), (3, ["0"])):
        written = begin(overwrite=True)
        write_labels(written, new)
        assert io.read(url).metadata == {"run": run - 1}
        written.commit({"run": run})
        np.testing.assert_array_equal(io.read(url).data, new)
        found = fsspec.filesystem("memory").ls(url, detail=False)
        assert sorted(name.rpartition("/")[2] for name in found) == [*names, "zarr.json"]


@pytest.mark.parametrize("when", ["after a block", "after the metadata", "when it is done"])
def test_a_run_on_an_object_store_goes_on_where_it_was_killed(tmp_path: Path, when: str) -> None:
    url = f"memory://{tmp_path.name}/labels.zarr"
    labels = noise(40, 50) % 5
    given: dict[str, Any] = {"work": tmp_path, "overwrite": True}
    layout = Layout.of(Volume(labels, "yx"))
    for _ in range(2):  # the first time nothing is there, the second labels
        target = LabelsTarget.create(url, layout, "u1", **given)
        if when != "after a block":
            write_labels(target, labels)
            target.commit({"run": 1})
        if when == "after the metadata":
            store = fsspec.filesystem("memory")
            store.pipe(f"{url}/.making.json", json.dumps({"second": target.site.second}).encode())
        again = LabelsTarget.reopen(url, layout, "u1", **given)
        write_labels(again, labels)
        again.commit({"run": 1})
        np.testing.assert_array_equal(io.read(url).data, labels)
        assert len(fsspec.filesystem("memory").ls(url)) == 2


def test_labels_that_are_given_up_leave_what_was_there(tmp_path: Path) -> None:
    url = f"memory://{tmp_path.name}/labels.zarr"
    labels = noise(40, 50) % 5
    layout = Layout.of(Volume(labels, "yx"))
    first = LabelsTarget.create(url, layout, "u1", work=tmp_path)
    write_labels(first, labels)
    first.commit({})
    second = LabelsTarget.create(url, layout, "u1", work=tmp_path, overwrite=True)
    write_labels(second, labels + 1)
    second.discard()
    np.testing.assert_array_equal(io.read(url).data, labels)
    assert len(fsspec.filesystem("memory").ls(url)) == 2
