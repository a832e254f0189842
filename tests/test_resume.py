"""Runs that are killed at any moment go on, and give what an uninterrupted run gives, byte by byte."""

from __future__ import annotations

import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_cutout.recipe import Step
from napari_cutout.running import _journal, _records
from napari_cutout.running._batch import run
from napari_cutout.running._run_folder import Busy, RunFolder
from napari_cutout.running._store_write import PartTarget
from napari_cutout.stores import Damaged, Place

from .test_store_run import OBJECTS, TILE, blobs, in_store, left_beside, result_of

TIMES = {"seconds", "time", "resumed"}

CLASSES = Step("kmeans", {"sigma": 1.0})


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return in_store(tmp_path_factory.mktemp("in") / "cells.zarr", blobs())


@pytest.fixture(scope="module")
def whole(stored: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the content of the target of a run that nothing interrupted."""
    target = tmp_path_factory.mktemp("whole") / "labels.zarr"
    result_of(OBJECTS, stored, target, tile=TILE)
    return content(target)


def content(store: Path) -> dict[str, Any]:
    """Return the files of a store by name; metadata without times."""
    return {
        str(path.relative_to(store)): timeless(json.loads(path.read_text()))
        if path.name == "zarr.json"
        else path.read_bytes()
        for path in store.rglob("*")
        if path.is_file()
    }


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: timeless(one) for name, one in value.items() if name not in TIMES}
    return [timeless(one) for one in value] if isinstance(value, list) else value


class _Killed(BaseException):
    """What no handler of errors catches: after it nothing is flushed, as after kill -9."""


class _Killer:
    """Ends a run at the k-th time that something is written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, k: int, *, inside: bool) -> None:
        self.left, self.inside = k, inside
        for kind, name in ((_records.Folder, "write"), (_records.Folder, "append"), (_records.Records, "append")):
            monkeypatch.setattr(kind, name, self.around(getattr(kind, name)))

    def around(self, write: Any) -> Any:
        def killing(one: Any, *args: Any) -> None:
            self.left -= 1
            if self.left < 0:
                return  # dead
            if self.left == 0:
                if self.inside and isinstance(args[-1], bytes):  # torn in the middle
                    (one.path / args[0]).parent.mkdir(parents=True, exist_ok=True)
                    (one.path / args[0]).write_bytes(args[-1][: len(args[-1]) // 2])
                raise _Killed
            write(one, *args)

        return killing


def killed(stored: Path, target: Path, k: int, *, inside: bool = False, **more: Any) -> bool:
    """Run until something is written for the k-th time; tell whether it came to that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_journal, "SAVE_EVERY", 0.0)
        patch.setattr(_records, "FLUSH_EVERY", 0.0)
        patch.setattr(RunFolder, "clear", lambda *_: None)
        killer = _Killer(patch, k, inside=inside)
        try:
            run(OBJECTS, stored, target, tile=TILE, **more)
        except _Killed:
            return True
        finally:
            killer.left = -1
    return False


@pytest.mark.parametrize("seed", range(5))
def test_a_run_that_is_killed_goes_on(seed: int, stored: Path, whole: dict[str, Any], tmp_path: Path) -> None:
    draw, target = random.Random(seed), tmp_path / "labels.zarr"
    n_kills = 0
    while killed(stored, target, draw.randrange(3, 120), inside=draw.random() < 0.5, resume=n_kills > 0):
        n_kills += 1
        assert n_kills < 40
    assert n_kills > 0
    result_of(OBJECTS, stored, target, resume=True)
    assert content(target) == whole
    assert left_beside(target) == set()


CHILD = """
import os, signal, sys
from napari_cutout.running import _journal, _records
from napari_cutout.stores import _target
from napari_cutout.cli import main
_journal.SAVE_EVERY = _records.FLUSH_EVERY = 0.0
k = int(sys.argv[1])
write = _target.LabelsTarget.write
def killing(*args):
    global k
    k -= 1
    if k == 0:
        os.kill(os.getpid(), signal.SIGKILL if sys.argv[2] == "kill" else signal.SIGTERM)
    return write(*args)
_target.LabelsTarget.write = killing
sys.exit(main(sys.argv[3:]))
"""


def child(k: int, how: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CHILD, str(k), how, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


OPTIONS = ("--sigma", "1", "--one-per-object", "--min-size", "4", "--tile", str(TILE))


def test_processes_are_killed_and_asked_to_stop(stored: Path, whole: dict[str, Any], tmp_path: Path) -> None:
    target = tmp_path / "labels.zarr"
    words = ("threshold", str(stored), str(target), *OPTIONS)
    assert child(5, "kill", *words).returncode == -signal.SIGKILL
    stopped = child(7, "term", *words, "--resume")
    assert stopped.returncode == 75
    assert "SIGTERM: stopped; what is done is kept in " in stopped.stderr
    assert "pass --resume to go on" in stopped.stderr
    done = child(0, "", *words, "--resume")
    assert done.returncode == 0
    assert content(target) == whole
    assert "voxels, 48 tiles of 16x16x16 voxels" in done.stdout


# What is not as it was ---------------------------------------------------------------------------------


def begun(stored: Path, target: Path, step: Step = OBJECTS, *, tile: int = TILE, **more: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_journal, "SAVE_EVERY", 0.0)
        with pytest.raises(KeyboardInterrupt):
            run(step, stored, target, tile=tile, on_block=interrupting(), **more)


def interrupting() -> Any:
    blocks: list[Any] = []

    def on_block(region: Any) -> None:
        blocks.append(region)
        if len(blocks) == 5:
            raise KeyboardInterrupt

    return on_block


def test_what_changed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = in_store(tmp_path / "in.zarr", blobs()), tmp_path / "labels.zarr"
    begun(source, target, CLASSES)
    said = "cannot be taken up again, because {} changed since it was begun; pass overwrite=True"
    with pytest.raises(ValueError, match=said.format("the recipe")):
        run(Step("kmeans"), source, target, resume=True)
    with pytest.raises(ValueError, match=said.format(r"the spacing \(null before, \[2.0, 1.0, 1.0\] now\)")):
        run(CLASSES, source, target, resume=True, spacing=(2, 1, 1))
    with monkeypatch.context() as patch:
        patch.setattr("napari_cutout.__version__", "9.9")
        with pytest.raises(ValueError, match=said.format("the versions of the programs .*9.9.*")):
            run(CLASSES, source, target, resume=True)
    chunk = source / "c" / "0" / "0" / "0"
    os.utime(chunk, ns=(time.time_ns(), chunk.stat().st_mtime_ns + 1))
    with pytest.raises(ValueError, match=said.format(r"the input 'image' \(its files\)")):
        run(CLASSES, source, target, resume=True)
    result = result_of(CLASSES, source, target, overwrite=True, tile=TILE)
    np.testing.assert_array_equal(result.labels, result_of(CLASSES, blobs()).labels)


def test_an_array_that_changed_is_noticed(stored: Path, tmp_path: Path) -> None:
    step = Step("threshold", {}, {"mask": "mask"})
    mask = np.ones(blobs().shape, bool)
    target = tmp_path / "labels.zarr"
    begun(stored, target, step, inputs={"mask": mask})
    with pytest.raises(ValueError, match=r"the input 'mask' \(its voxels\)"):
        run(step, stored, target, resume=True, inputs={"mask": ~mask})


def test_other_tiles_may_be_taken_where_they_do_not_matter(
    stored: Path, whole: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "labels.zarr"
    begun(stored, target, tile=2 * TILE, workers=1)  # so that the next tile is not written
    regions: list[Any] = []
    read = PartTarget.read
    monkeypatch.setattr(PartTarget, "read", lambda self, region: regions.append(region) or read(self, region))
    result = result_of(OBJECTS, stored, target, resume=True, tile=TILE)
    assert result.provenance["plan"]["tile"] == [TILE] * 3
    assert len(regions) >= 4 * 8 - 8  # of the first tiles, one of which may have been lost
    chunks = {name: found for name, found in content(target).items() if "/c/" in name}
    assert chunks == {name: found for name, found in whole.items() if "/c/" in name}


def test_other_tiles_are_refused_where_they_matter(tmp_path: Path) -> None:
    source, target = in_store(tmp_path / "in.zarr", blobs((32, 32, 32))), tmp_path / "labels.zarr"
    begun(source, target, Step("felzenszwalb"))
    with pytest.raises(ValueError, match=r"because the tile \(\[16, 16, 16\] before, \[32, 32, 32\] now\) changed"):
        run(Step("felzenszwalb"), source, target, resume=True, tile=32)


def test_what_is_complete_is_left_alone(stored: Path, tmp_path: Path) -> None:
    target = tmp_path / "labels.zarr"
    result_of(CLASSES, stored, target, tile=TILE)
    before = {path: path.stat().st_mtime_ns for path in target.rglob("*")}
    again = result_of(CLASSES, stored, target, resume=True)
    assert again.provenance["resumed"] == "it was complete"
    assert {path: path.stat().st_mtime_ns for path in target.rglob("*")} == before
    with pytest.raises(
        FileExistsError, match="exists already and is complete, but the recipe changed since it was made"
    ):
        run(OBJECTS, stored, target, resume=True)
    assert left_beside(target) == set()


def test_without_a_journal_it_runs_from_the_start_and_says_so(stored: Path, tmp_path: Path) -> None:
    result = result_of(CLASSES, stored, tmp_path / "labels.zarr", resume=True)
    assert "ran from the start" in result.provenance["resumed"]


@pytest.mark.parametrize("content", ['{"format": "x"}', '{"form'])
def test_a_journal_that_cannot_be_read_may_be_replaced(content: str, stored: Path, tmp_path: Path) -> None:
    target = tmp_path / "labels.zarr"
    (tmp_path / ".labels.zarr.run").mkdir()
    (tmp_path / ".labels.zarr.run" / "run.json").write_text(content)
    for more in ({}, {"resume": True}):
        with pytest.raises(ValueError, match="holds no run that this version can go on with; pass overwrite=True"):
            run(CLASSES, stored, target, tile=TILE, **more)
    result_of(CLASSES, stored, target, tile=TILE, overwrite=True)
    assert left_beside(target) == set()


def test_how_much_was_known_is_told(stored: Path, tmp_path: Path) -> None:
    target = tmp_path / "labels.zarr"
    begun(stored, target)
    result = result_of(OBJECTS, stored, target, resume=True)
    assert result.provenance["resumed"].startswith("taken up again, with ")


# Who is at work ----------------------------------------------------------------------------------------


def test_two_processes_do_not_run_on_one_target(stored: Path, tmp_path: Path) -> None:
    target = tmp_path / "labels.zarr"
    with RunFolder(Place.of(target)).held(), pytest.raises(Busy, match=f"process {os.getpid()} on .* is at work"):
        run(CLASSES, stored, target)


@pytest.mark.parametrize("more", [{}, {"resume": True}, {"overwrite": True}], ids=str)
def test_who_is_at_work_is_said_at_once(more: dict[str, Any], stored: Path, tmp_path: Path) -> None:
    target = tmp_path / "labels.zarr"
    begun(stored, target)
    with pytest.MonkeyPatch.context() as patch, RunFolder(Place.of(target)).held():
        patch.setattr("napari_cutout.running._store_run.plan_arrays", None)  # before anything is planned
        with pytest.raises(Busy, match="is at work"):
            run(OBJECTS, stored, target, tile=TILE, **more)
    result_of(OBJECTS, stored, target, resume=True)


@pytest.mark.parametrize("is_complete", [True, False])
@pytest.mark.parametrize("asked", [{"resume": True}, {"overwrite": True}, {}], ids=str)
def test_who_comes_late_looks_again(
    asked: dict[str, Any], is_complete: bool, stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "labels.zarr"
    if asked:
        begun(stored, target)
    held, folders = RunFolder.held, set[str]()

    def late(folder: RunFolder, part: str = "") -> Any:
        """Wait for the lock until another process has gone on with the run, and begun or ended it."""
        monkeypatch.setattr(RunFolder, "held", held)
        if is_complete:
            result_of(OBJECTS, stored, target, tile=TILE, resume=True)
        else:
            begun(stored, target, tile=2 * TILE, resume=True)
        folders.update(path.name for path in RunFolder(Place.of(target)).at.path.glob("*"))
        return held(folder, part)

    monkeypatch.setattr(RunFolder, "held", late)
    if asked == {"resume": True} or (asked and not is_complete):
        result = result_of(OBJECTS, stored, target, tile=TILE, **asked)
        np.testing.assert_array_equal(result.labels, result_of(OBJECTS, blobs()).labels)
        assert (result.provenance.get("resumed") == "it was complete") == is_complete
        assert left_beside(target) == set()
        return
    if asked:  # to replace what is complete
        assert "resumed" not in result_of(OBJECTS, stored, target, tile=TILE, **asked).provenance
        return
    with pytest.raises(FileExistsError, match="exists already" if is_complete else "pass resume=True"):
        run(OBJECTS, stored, target, tile=TILE)
    assert {path.name for path in RunFolder(Place.of(target)).at.path.glob("*")} == folders


@pytest.mark.parametrize(
    ("owner", "is_free"),
    [
        ({"pid": 2**22 + 1}, True),
        ({"started": 0.0}, True),
        ({"host": "elsewhere"}, False),
        ({"host": "elsewhere", "time": 0.0}, True),
        ({}, False),
    ],
    ids=["no such process", "another with its number", "another host", "another host that is silent", "this one"],
)
def test_whose_lock_counts(owner: dict[str, Any], is_free: bool, tmp_path: Path) -> None:
    folder = RunFolder(Place.of(tmp_path / "labels.zarr"))
    with folder.held():
        lock = json.loads(folder.place.read("lock") or b"")
    folder.place.write("lock", json.dumps({**lock, **owner}).encode())
    if is_free:
        with folder.held():
            pass
        assert folder.place.read("lock") is None
    else:
        with pytest.raises(Busy), folder.held():
            pass


def test_a_journal_with_code_in_it_runs_none(stored: Path, tmp_path: Path) -> None:
    target = tmp_path / "labels.zarr"
    begun(stored, target)
    for path in (tmp_path / ".labels.zarr.run" / "sweeps").rglob("value"):
        content = pickle.dumps(_Evil(tmp_path / "touched"))
        path.write_bytes(_records._HEAD.pack(0, len(content), _records._checksum(0, content)) + content)
    with pytest.raises(ValueError, match="is no data"):
        run(OBJECTS, stored, target, resume=True)
    assert not (tmp_path / "touched").exists()


class _Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


# Disks that are full -----------------------------------------------------------------------------------


def test_a_full_disk_loses_nothing(stored: Path, whole: dict[str, Any], tmp_path: Path) -> None:
    target = tmp_path / "labels.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_cutout.running._store_write.PartTarget.write", full)
        with pytest.raises(OSError, match=r"No space left on device; what is done is kept in .*pass resume=True"):
            run(OBJECTS, stored, target, tile=TILE)
    assert not target.exists()
    result_of(OBJECTS, stored, target, resume=True)
    assert content(target) == whole


def full(*_: Any) -> None:
    raise OSError(28, "No space left on device")


# Inputs that are damaged -------------------------------------------------------------------------------


def test_a_damaged_chunk_may_be_mended_and_no_other(tmp_path: Path) -> None:
    source, target = in_store(tmp_path / "in.zarr", blobs()), tmp_path / "labels.zarr"
    chunk, other = source / "c" / "2" / "3" / "3", source / "c" / "0" / "0" / "0"
    good, times = chunk.read_bytes(), other.stat()
    chunk.write_bytes(b"garbage")
    said = r"cannot decode chunk \(2, 3, 3\).*; what is done is kept in .*pass resume=True to go on once it is mended"
    for resume in (False, True):
        with pytest.raises(Damaged, match=said) as raised:
            run(OBJECTS, source, target, tile=TILE, resume=resume)
        assert pickle.loads(pickle.dumps(raised.value)).key == "c/2/3/3"
    chunk.write_bytes(good)
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns + 1))
    with pytest.raises(ValueError, match=r"the input 'image' \(its files\) changed since it was begun"):
        run(OBJECTS, source, target, resume=True)
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    result = result_of(OBJECTS, source, target, resume=True)
    np.testing.assert_array_equal(result.labels, result_of(OBJECTS, blobs()).labels)
    assert result.provenance["resumed"].startswith("taken up again, with ")
    assert left_beside(target) == {"in.zarr"}
    assert result_of(OBJECTS, source, target, resume=True).provenance["resumed"] == "it was complete"


def test_damaged_chunks_are_mended_together(tmp_path: Path) -> None:
    source, target = in_store(tmp_path / "in.zarr", blobs()), tmp_path / "labels.zarr"
    chunks = [source / "c" / "2" / "0" / "0", source / "c" / "2" / "3" / "3"]
    good = [chunk.read_bytes() for chunk in chunks]
    for chunk, content in zip(chunks, good, strict=True):
        chunk.write_bytes(bytes(len(content)))
    times = chunks[0].stat()
    with pytest.raises(Damaged, match=r"c/2/0/0.*once it is mended"):
        run(OBJECTS, source, target, tile=TILE, workers=1)
    chunks[0].write_bytes(good[0])
    os.utime(chunks[0], ns=(times.st_atime_ns, times.st_mtime_ns))  # as if another tile came first
    with pytest.raises(Damaged, match=r"c/2/3/3.*once it is mended"):
        run(OBJECTS, source, target, tile=TILE, workers=1, resume=True)
    for chunk, content in zip(chunks, good, strict=True):
        chunk.write_bytes(content)
    result = result_of(OBJECTS, source, target, resume=True)
    np.testing.assert_array_equal(result.labels, result_of(OBJECTS, blobs()).labels)


def test_a_chunk_that_was_mended_counts_again(tmp_path: Path) -> None:
    source, target = in_store(tmp_path / "in.zarr", blobs()), tmp_path / "labels.zarr"
    chunk = source / "c" / "2" / "3" / "3"
    good = chunk.read_bytes()
    chunk.write_bytes(b"garbage")
    with pytest.raises(Damaged, match="once it is mended"):
        run(OBJECTS, source, target, tile=TILE)
    chunk.write_bytes(good)
    begun(source, target, resume=True)
    assert json.loads((tmp_path / ".labels.zarr.run" / "run.json").read_text())["damaged"] == {}
    chunk.unlink()
    with pytest.raises(ValueError, match=r"the input 'image' \(its files\) changed since it was begun"):
        run(OBJECTS, source, target, resume=True)


def test_what_changes_while_it_runs_is_not_mended(tmp_path: Path) -> None:
    source, target = in_store(tmp_path / "in.zarr", blobs()), tmp_path / "labels.zarr"
    chunk = source / "c" / "2" / "3" / "3"
    good = chunk.read_bytes()
    with pytest.raises(Damaged, match=r"read the fill value there$"):
        run(OBJECTS, source, target, tile=TILE, on_plan=lambda _: chunk.write_bytes(b"garbage"))
    chunk.write_bytes(good)
    with pytest.raises(ValueError, match=r"the input 'image' \(its files\) changed since it was begun"):
        run(OBJECTS, source, target, resume=True)


@pytest.mark.parametrize("shards", [None, (TILE, TILE, 2 * TILE)], ids=["chunks", "shards"])
def test_a_damaged_chunk_may_be_removed_where_nothing_else_was_read_of_its_file(
    shards: tuple[int, ...] | None, tmp_path: Path
) -> None:
    image = blobs()
    array = zarr.create_array(str(tmp_path / "in.zarr"), data=image, chunks=(TILE,) * 3, shards=shards)
    source, target = tmp_path / "in.zarr", tmp_path / "labels.zarr"
    file = source / "c" / "2" / "3" / ("3" if shards is None else "1")
    file.write_bytes(b"garbage")
    with pytest.raises(Damaged, match="once it is mended"):
        run(OBJECTS, source, target, tile=TILE)
    file.unlink()
    if shards is not None:
        with pytest.raises(ValueError, match=r"the input 'image' \(its files\) changed since it was begun"):
            run(OBJECTS, source, target, resume=True)
        return
    result = result_of(OBJECTS, source, target, resume=True)
    np.testing.assert_array_equal(result.labels, result_of(OBJECTS, array[...]).labels)
