"""Who is at work on a run: locks, takeovers, and ends, with others at work between any two steps of a process."""

from __future__ import annotations

import errno
import functools
import itertools
import json
import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout._monitor import watch
from napari_cutout.blockwise import Threads
from napari_cutout.running import _parts, _store_workers
from napari_cutout.running._journal import Journaled
from napari_cutout.running._parts import Parts, Waiting, failure_of
from napari_cutout.running._records import Folder, Prefix, Records, place_of
from napari_cutout.running._run_folder import Busy, RunFolder
from napari_cutout.running._store_attempt import Attempt
from napari_cutout.stores import Place

from .test_resume import full
from .test_store_run import OBJECTS, TILE, blobs, in_store, left_beside, result_of


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_parts, "_PAUSES", (0.001, 0.01))
    monkeypatch.setattr(_store_workers, "PAUSE", 0.001)


@pytest.fixture(params=["folder", "object store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> RunFolder:
    at = tmp_path if request.param == "folder" else f"memory://{tmp_path.name}"
    return RunFolder(Place.of(f"{at}/labels.zarr"))


def before(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, act: Callable[[], Any]) -> None:
    """Let something happen once, before a function is called the next time."""
    real = getattr(owner, name)

    def first(*args: Any, **more: Any) -> Any:
        monkeypatch.setattr(owner, name, real)
        act()
        return real(*args, **more)

    monkeypatch.setattr(owner, name, first)


def of_another(folder: RunFolder, name: str = "lock", **owner: Any) -> bytes:
    """Write the lock of another process in place of what is there; by default one that lives."""
    own = {"pid": 1, "host": "elsewhere", "started": 1.0, "time": 1e12, "token": "other"}
    sign = json.dumps({**own, **owner}).encode()
    folder.place.write(name, sign)
    return sign


# Locks ---------------------------------------------------------------------------------------------------


def test_a_lock_is_never_seen_without_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, opened, lock = set[bytes](), Path.open, tmp_path / "lock"

    def looked(path: Path, *args: Any, **more: Any) -> Any:
        file = opened(path, *args, **more)
        if lock.exists():
            with opened(lock, "rb") as content:
                seen.add(content.read())
        return file

    monkeypatch.setattr(Path, "open", looked)
    assert Folder(tmp_path).claim("lock", b"sign")
    assert seen <= {b"sign"}
    assert Folder(tmp_path).read("lock") == b"sign"


def test_a_disk_without_links_has_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    place = Folder(tmp_path)
    assert place.claim("lock", b"one")
    assert not place.claim("lock", b"two")
    assert place.take("lock", b"one", b"three")
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
    assert place.read("lock") == b"three"


def test_of_two_that_write_an_object_at_one_moment_one_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    place = place_of("memory://claims/run")
    before(monkeypatch, Prefix, "_create", lambda: place.write("lock", b"other"))
    assert not place.claim("lock", b"own")
    assert place.read("lock") == b"other"


def test_a_store_that_cannot_tell_is_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    place = place_of("memory://untold/run")
    assert isinstance(place, Prefix)
    write = type(place.files).pipe_file

    def plain(self: Any, path: str, value: bytes, **more: Any) -> None:
        if more:
            raise TypeError("unexpected keyword")
        write(self, path, value)

    monkeypatch.setattr(type(place.files), "pipe_file", plain)
    assert place.claim("lock", b"own")


def test_one_of_two_takes_over_from_a_process_that_died(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    of_another(folder, time=0.0)
    with ExitStack() as others:
        before(monkeypatch, type(folder.place), "take", lambda: others.enter_context(folder.held()))
        with pytest.raises(Busy, match="is at work"), folder.held():
            pass
        owner = json.loads(folder.place.read("lock") or b"")
        assert owner["pid"] == os.getpid()
    assert folder.place.tops() == []


def test_who_was_taken_for_dead_leaves_the_lock_of_its_follower(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats = iter([False, False, True])

    class Stop:
        def wait(self, _: float) -> bool:
            return next(beats)

    with folder.held() as hold:
        hold.check()
        other = of_another(folder)
        hold.beat(Stop())  # type: ignore[arg-type]
        with pytest.raises(Busy, match="another process has gone on with the run"):
            hold.check()
    assert folder.place.read("lock") == other


def test_a_lock_is_had_in_a_folder_that_goes_at_this_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(Place.of(tmp_path / "labels.zarr"))
    before(monkeypatch, os, "link", lambda: shutil.rmtree(folder.at.path))
    with folder.held():
        assert folder.is_held()
    assert not folder.at.path.exists()


# Files that others remove and write -----------------------------------------------------------------------


def test_files_are_listed_while_folders_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Folder(tmp_path)
    for name in ("a/one", "b/two"):
        place.write(name, b"")
    scan = os.scandir

    def scandir(path: Any) -> Any:
        if str(path).endswith("b"):
            shutil.rmtree(tmp_path / "b")
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert place.names("") == ["a/one"]


def test_a_folder_goes_while_others_write_into_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Folder(tmp_path)
    place.write("sweeps/00001/value", b"")
    before(monkeypatch, os, "rmdir", lambda: place.write("sweeps/00001/title", b""))
    place.remove("sweeps")
    assert place.tops() == []


def test_an_object_goes_that_others_remove(monkeypatch: pytest.MonkeyPatch) -> None:
    place = place_of("memory://gone/run")
    assert isinstance(place, Prefix)
    place.write("a/value", b"")
    before(monkeypatch, type(place.files), "rm", lambda: place.remove("a"))
    place.remove("a")
    assert place.tops() == []


# Runs -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return in_store(tmp_path_factory.mktemp("in") / "cells.zarr", blobs())


@pytest.fixture(scope="module")
def whole(stored: Path) -> np.ndarray:
    return np.asarray(result_of(OBJECTS, blobs()).labels)


def folder_of(target: Path) -> RunFolder:
    return RunFolder(Place.of(target))


def part_of(stored: Path, target: Path, **more: Any) -> Callable[..., Any]:
    return functools.partial(result_of, OBJECTS, stored, target, **({"tile": TILE, "patience": 0.0} | more))


def in_turn(run: Callable[..., Any], n: int) -> list[Any]:
    """Run parts one after the other until all have ended, the last one first."""
    done: dict[int, Any] = {}
    for i in itertools.islice(itertools.cycle(range(n, 0, -1)), 60 * n):
        with suppress(Waiting):
            done[i] = run(part=(i, n))
        if len(done) == n:
            return [done[i] for i in sorted(done)]
    raise AssertionError(f"only parts {sorted(done)} of {n} ended")


def test_a_run_that_was_taken_over_puts_nothing_in_place(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "labels.zarr"
    filled = Attempt._pyramid

    def lost(*args: Any) -> None:
        filled(*args)
        of_another(folder_of(target))

    monkeypatch.setattr(Attempt, "_pyramid", lost)
    with pytest.raises(Busy, match="another process has gone on with the run"):
        result_of(OBJECTS, stored, target, tile=TILE)
    assert not target.exists()
    assert folder_of(target).begun() is not None


def test_a_run_that_was_taken_over_before_it_did_anything_removes_nothing(stored: Path, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "labels.zarr")
    with pytest.raises(Busy, match="another process has gone on with the run"):
        result_of(OBJECTS, stored, tmp_path / "labels.zarr", tile=TILE, on_plan=lambda _: of_another(folder))
    assert folder.begun() is not None


def test_a_run_that_was_taken_over_begins_no_sweep(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "labels.zarr")
    with folder.held() as hold:
        sweeper = Journaled(Threads((4,)), Records(folder.place), lambda *_: None, check=hold.check)
        of_another(folder)
        with pytest.raises(Busy):
            sweeper.map("doing", str, 4)


def test_the_end_of_a_run_leaves_one_that_begins_alone(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path / "labels.zarr")

    def next_run() -> None:
        of_another(folder)
        folder.place.write("run.json", b"next")

    before(monkeypatch, Folder, "close", next_run)
    result_of(OBJECTS, stored, tmp_path / "labels.zarr", tile=TILE)
    assert set(folder.place.tops()) == {"lock", "run.json"}


def test_the_end_of_a_run_removes_the_locks_of_parts_that_died(stored: Path, tmp_path: Path) -> None:
    target = tmp_path / "labels.zarr"
    with pytest.raises(Waiting):
        part_of(stored, target)(part="1/9")
    dead, alive = (of_another(folder_of(target), name=f"lock-0000{i}", time=time) for i, time in ((8, 0.0), (9, 1e12)))
    assert dead != alive
    result_of(OBJECTS, stored, target, resume=True)
    assert folder_of(target).place.tops() == ["lock-00009"]


def test_a_complete_run_leaves_the_folder_of_who_is_at_work(stored: Path, tmp_path: Path) -> None:
    target = tmp_path / "labels.zarr"
    folder = folder_of(target)
    with pytest.raises(Waiting):
        part_of(stored, target)(part="1/2")
    begun = folder.begun() or {}
    result_of(OBJECTS, stored, target, resume=True)
    folder.begin(begun)
    with folder.held("-00002"):
        assert result_of(OBJECTS, stored, target, resume=True).provenance["resumed"] == "it was complete"
        assert folder.begun() is not None
    assert result_of(OBJECTS, stored, target, resume=True).provenance["resumed"] == "it was complete"
    assert left_beside(target) == set()


# Parts of a job array -------------------------------------------------------------------------------------


def test_a_first_part_that_was_killed_at_the_end_ends_the_run(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "labels.zarr"
    run = part_of(stored, target)

    class Killed(BaseException):
        pass

    def killed() -> None:
        raise Killed

    before(monkeypatch, RunFolder, "clear", killed)
    with pytest.raises(Killed):
        in_turn(run, 2)
    assert folder_of(target).begun() is not None
    waiting = Parts(Threads((4,)), Records(folder_of(target).place), str, part=(2, 2), patience=0.0)
    with pytest.raises(Waiting):
        waiting.wait_for("end", "putting the labels in place")
    assert run(part=(1, 2)).provenance["resumed"] == "it was complete"
    assert left_beside(target) == set()


def test_parts_may_replace_labels(stored: Path, tmp_path: Path, whole: np.ndarray) -> None:
    target = tmp_path / "labels.zarr"
    result_of(nc.Step("kmeans"), stored, target)
    with pytest.raises(FileExistsError, match="the recipe changed"):
        part_of(stored, target)(part="2/2")
    for result in in_turn(part_of(stored, target, overwrite=True), 2):
        np.testing.assert_array_equal(result.labels, whole)
    assert left_beside(target) == set()


@pytest.mark.parametrize("more", [{"overwrite": True}, {"part": "1/2", "patience": 0.0}], ids=str)
def test_who_begins_anew_takes_nothing_from_parts_at_work(more: dict[str, Any], stored: Path, tmp_path: Path) -> None:
    target = tmp_path / "labels.zarr"
    folder = folder_of(target)
    if "part" not in more:
        with pytest.raises(Waiting):
            part_of(stored, target)(part="1/2")
    there = folder.place.names("")
    with folder.held("-00002"), pytest.raises(Busy, match="is at work"):
        result_of(OBJECTS, stored, target, tile=TILE, **more)
    assert folder.place.names("") == there
    result_of(OBJECTS, stored, target, tile=TILE, overwrite=True)


def test_a_run_that_was_begun_as_a_whole_is_not_taken_up_in_parts(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "labels.zarr"
    run = part_of(stored, target)
    with pytest.raises(Waiting):
        run(part="1/2")
    folder = folder_of(target)
    folder.begin({**(folder.begun() or {}), "mode": "whole"})
    with pytest.raises(ValueError, match="how it runs \\(whole before, tiles now\\) changed"):
        run(part="2/2")


@pytest.mark.parametrize("moment", ["_sweep", "_share"])
@pytest.mark.parametrize("after", range(8))
def test_a_run_may_end_while_a_part_is_at_any_sweep(
    after: int, moment: str, stored: Path, tmp_path: Path, whole: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, left = tmp_path / "labels.zarr", itertools.count(after, -1)
    run = part_of(stored, target)
    with pytest.raises(Waiting):
        run(part="1/2")
    real = getattr(Parts, moment)

    def ended(*args: Any) -> Any:
        found = real(*args)
        if next(left) == 0:
            result_of(OBJECTS, stored, target, resume=True)  # by another process, as a whole
        return found

    monkeypatch.setattr(Parts, moment, ended)
    for _ in range(after + 2):
        with suppress(Waiting):
            result = run(part="2/2")
            break
    np.testing.assert_array_equal(result.labels, whole)
    assert left_beside(target) == set()


@pytest.mark.parametrize("how", ["map", "reduce"])
def test_what_an_ended_run_put_away_is_not_done_again(how: str, tmp_path: Path) -> None:
    over = iter([False, True])
    one = Parts(Threads((4,)), Records(Folder(tmp_path)), str, part=(1, 1), patience=0.0, is_over=lambda: next(over))
    done: list[int] = []

    def work(number: int) -> int:
        done.append(number)
        if len(done) == 3:
            one.records.flush()
            one.records.remove("sweeps")  # as the end of the run does
        return number

    with pytest.raises(_parts.Over):
        one.map("doing", work, 3) if how == "map" else one.reduce("doing", work, 3, max)
    assert done == [0, 1, 2]


def test_who_waits_says_that_another_part_failed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one, pauses = Parts(Threads((4,)), Records(Folder(tmp_path)), str, part=(1, 3)), _parts._Pauses(600.0)
    said: list[str] = []
    with watch(lambda stage, _: None if said[-1:] == [stage] else said.append(stage)):
        one._pause(pauses, [2, 3], "doing")
        one.records.put(failure_of(3), "no space left")
        one._pause(pauses, [2, 3], "doing")
        one._pause(pauses, [2, 3], "doing")
        one.records.remove(failure_of(3))  # it is at work again
        one._pause(pauses, [2, 3], "doing")
    waiting, failed = "waiting for parts 2, 3 of 3 (doing)", "part 3 ended with an error: no space left"
    assert said == [waiting, f"{waiting}; {failed}", waiting]
    assert [record.getMessage() for record in caplog.records] == [f"{failed}; start it again"]


def test_a_part_that_fails_tells_the_others_until_it_is_at_work_again(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "labels.zarr"
    run = part_of(stored, target)
    with pytest.raises(Waiting):
        run(part="1/2")
    records = Records(folder_of(target).place)
    with monkeypatch.context() as patch:
        patch.setattr(Parts, "_share", full)
        with pytest.raises(OSError, match="No space left"):
            run(part="2/2")
    assert "No space left" in records.get(failure_of(2))
    with pytest.raises(Waiting, match=r"for part 2 \(part 2 ended with an error: .*No space left.*\); start part 1"):
        run(part="1/2")
    with pytest.raises(Waiting):
        run(part="2/2")
    assert records.get(failure_of(2)) is None
    in_turn(run, 2)
    assert left_beside(target) == set()
