"""Runs as job arrays: parts that run at the same time or one after the other, die, come late, and meet in a journal."""

from __future__ import annotations

import functools
import itertools
import operator
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import napari_cutout as nc
from napari_cutout._monitor import Cancelled, note, watch
from napari_cutout.blockwise import LARGE, Stored, Threads, keep, lazy, source_of, sweeping
from napari_cutout.cli import main
from napari_cutout.running import _parts, _store_write
from napari_cutout.running._journal import Journaled
from napari_cutout.running._parts import Over, Parts, Waiting, part_of
from napari_cutout.running._records import Folder, Records
from napari_cutout.running._store_write import Scratch
from napari_cutout.stores import Place


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_parts, "_PAUSES", (0.001, 0.01))


def part(folder: Path, i: int, n: int, **options: Any) -> Parts:
    records = Records(Folder(folder / "run"))
    scratch = Scratch(Place.of(folder / "scratch"), shared=True)
    return Parts(Threads((16, 32, 32)), records, scratch, part=(i, n), **({"patience": 120.0} | options))


def at_once(n: int, run: Callable[[int], Any]) -> list[Any]:
    """Run all parts at the same time."""
    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(run, range(1, n + 1)))


IMAGE = (np.random.default_rng(0).random((40, 50, 60)) * 1000).astype(np.uint16)


def test_parts_give_the_labels_of_the_whole(tmp_path: Path) -> None:
    options: dict[str, Any] = {"sigma": 1.0, "one_per_object": True, "min_size": 5}

    def run(i: int) -> Any:
        with sweeping(part(tmp_path, i, 3)):
            return keep(source_of(nc.threshold(lazy(Stored(IMAGE)), **options)), "writing").array[:, :, :]

    expected = nc.threshold(IMAGE, **options)
    for labels in at_once(3, run):
        np.testing.assert_array_equal(labels, expected)


def test_who_makes_an_array_late_takes_nothing_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch, chunks = Scratch(Place.of(tmp_path), shared=True), ((4, 4), (4, 4))
    first = scratch("0001", (8, 8), "int32", chunks)
    looked = iter([None])  # before the other had made it
    real = _store_write._there
    monkeypatch.setattr(_store_write, "_there", lambda *args: next(looked, real(*args)))
    first[:4, :4] = np.ones((4, 4), "int32")
    second = scratch("0001", (8, 8), "int32", chunks)
    assert int(np.asarray(second[:, :]).sum()) == 16


class Dead(Exception):
    """A part that is killed."""


def recipe(sweeper: Any, dies: Callable[[], None] = lambda: None) -> tuple[Any, ...]:
    """Run some sweeps whose results depend on those before."""

    def squared(number: int) -> int:
        dies()
        note(last=number)
        return number * number

    squares = sweeper.map("squaring", squared, 11)
    total = sweeper.reduce("adding", lambda i: dies() or 0.1 * squares[i], 11, operator.add)
    wide = sweeper.reduce("widening", lambda i: dies() or np.full(LARGE // 4, i + int(total)), 11, operator.add)
    nothing = sweeper.reduce("looking for nothing", lambda i: None, 2, operator.add)
    return squares, total, wide.sum(), nothing, sweeper.map("none", squared, 0)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 4), st.integers(0, 10_000))
def test_parts_that_die_and_run_in_any_order_give_what_the_whole_gives(
    tmp_path_factory: pytest.TempPathFactory, n: int, seed: int
) -> None:
    folder, chance = tmp_path_factory.mktemp("parts"), random.Random(seed)

    def dies() -> None:
        if chance.random() < 0.1:
            raise Dead

    found: dict[int, Any] = {}
    for _ in range(500):
        i = chance.randint(1, n)
        try:
            found[i] = recipe(part(folder, i, n, patience=0.0), dies)
        except (Waiting, Dead):
            continue
        if len(found) == n:
            break
    expected = recipe(Threads((16,)))
    assert [found.get(i) for i in range(1, n + 1)] == [expected] * n


@given(st.integers(1, 3), st.integers(0, 60))
@settings(max_examples=10, deadline=None)
def test_a_run_may_go_on_in_other_parts_or_as_a_whole(
    tmp_path_factory: pytest.TempPathFactory, n: int, after: int
) -> None:
    folder, left = tmp_path_factory.mktemp("parts"), itertools.count(after, -1)

    def dies() -> None:
        if next(left) <= 0:
            raise Dead

    with pytest.raises((Waiting, Dead)):
        recipe(part(folder, 2, 3, patience=0.0), dies)
    whole = Journaled(Threads((16,)), Records(Folder(folder / "run")), Scratch(Place.of(folder / "scratch")))
    if n == 1:
        assert recipe(whole) == recipe(Threads((16,)))
    else:
        assert at_once(n, lambda i: recipe(part(folder, i, n))) == [recipe(Threads((16,)))] * n


def test_each_tile_is_done_once_and_parts_that_begin_anew_do_nothing_again(tmp_path: Path) -> None:
    done: list[int] = []

    def run(i: int) -> Any:
        return part(tmp_path, i, 3).map("doing", lambda number: done.append(number) or number, 10)

    assert at_once(3, run) == [list(range(10))] * 3
    assert sorted(done) == list(range(10))
    assert run(2) == list(range(10))
    assert len(done) == 10


def test_shares_are_strided() -> None:
    shares = [list(Parts._share(part(Path(), i, 3), 8)) for i in (1, 2, 3)]
    assert shares == [[0, 3, 6], [1, 4, 7], [2, 5]]


def test_large_summaries_are_kept_together_and_small_ones_one_by_one(tmp_path: Path) -> None:
    for name, width, n in (("small", 3, 5), ("large", LARGE // 8, 1)):
        one = part(tmp_path / name, 1, 2, patience=0.0)
        with pytest.raises(Waiting):
            one.reduce("adding", lambda i, width=width: np.full(width, i), 10, operator.add)
        entries = one.records.entries("sweeps/00001")
        assert len(entries) == n
        assert sorted(number for numbers, _ in entries.values() for number in numbers) == [0, 2, 4, 6, 8]


def test_who_waits_says_for_whom(tmp_path: Path) -> None:
    with pytest.raises(Waiting, match=r"part 2 of 12 .* 'adding' and waited 0 s for parts 1, 3, .* and 3 more; start"):
        part(tmp_path, 2, 12, patience=0.0).map("adding", str, 24)
    with pytest.raises(Waiting, match=r"for part 1; start part 2 again"):
        part(tmp_path / "other", 2, 2, patience=0.0).map("adding", str, 24)
    with pytest.raises(Waiting, match=r"share of 'making the target' and waited 0 s for part 1;"):
        part(tmp_path, 2, 2, patience=0.0).wait_for("target", "making the target")


def test_who_waits_can_be_cancelled_and_is_told_when_the_run_is_over(tmp_path: Path) -> None:
    polled = itertools.count()
    with watch(is_cancelled=lambda: next(polled) > 4), pytest.raises(Cancelled, match="waiting for part 1 of 2"):
        part(tmp_path, 2, 2).map("nothing", str, 1)
    with pytest.raises(Over):
        part(tmp_path, 2, 2, is_over=lambda: True).map("nothing", str, 1)


def test_a_part_that_dies_while_it_joins_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joins = iter([True, False])

    def joined(self: Parts, *arguments: Any) -> None:
        if next(joins):
            raise Dead
        original(self, *arguments)

    original = Parts._joined
    monkeypatch.setattr(Parts, "_joined", joined)
    monkeypatch.setattr(_parts, "JOIN_AFTER", 0.01)

    def run(i: int) -> Any:
        try:
            return part(tmp_path, i, 2).map("doing", str, 4)
        except Dead:
            return None

    found = at_once(2, run)
    assert found in ([None, list("0123")], [list("0123"), None])


def test_what_two_processes_of_one_part_have_done_counts_once(tmp_path: Path) -> None:
    one = part(tmp_path, 1, 1)
    one.records.append("sweeps/00001", 0, ((0, 1), 1))
    one.records.append("sweeps/00001", 1, ((1, 2), 3))
    assert one.reduce("adding", lambda i: i, 4, operator.add) == 6


def test_facts_of_all_parts_are_those_of_the_run(tmp_path: Path) -> None:
    def run(i: int) -> dict[str, Any]:
        with watch() as monitor:
            part(tmp_path, i, 3).map("noting", lambda number: note(**{f"tile_{number}": number}), 6)
        return {name: fact for name, fact in monitor.facts.items() if name.startswith("tile")}

    assert at_once(3, run) == [{f"tile_{i}": i for i in range(6)}] * 3


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "1/2/3", "-1/3", "a/b", "", (1,), (0, 2)])
def test_parts_that_there_are_not_are_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="part must be which one of how many"):
        part_of(text)


def test_parts_are_read() -> None:
    assert part_of(" 2 / 3 ") == part_of((2, 3)) == (2, 3)


# On stores ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an image in a store, and the labels of a run of one process."""
    import zarr

    folder = tmp_path_factory.mktemp("stored")
    smooth = ndimage.gaussian_filter(np.random.default_rng(1).random((48, 64, 64)), 2)
    image = (1000 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint16)
    zarr.create_array(folder / "in.zarr", data=image, chunks=(16, 32, 32))
    nc.run(RECIPE, folder / "in.zarr", folder / "whole.zarr", tile=32)
    return folder


RECIPE = nc.Recipe((nc.Step("threshold", {"sigma": 1.0, "one_per_object": True, "min_size": 20}),))


def chunks_of(store: Path) -> dict[str, bytes]:
    """Return all chunks of a store."""
    files = (p for p in store.rglob("*") if p.is_file() and not p.name.startswith(("zarr.json", ".z")))
    return {p.relative_to(store).as_posix(): p.read_bytes() for p in files}


def started(folder: Path, i: int, n: int, *more: str) -> subprocess.Popen[str]:
    RECIPE.save(folder / "recipe.json", overwrite=True)
    command = [sys.executable, "-m", "napari_cutout", "run", "recipe.json", "in.zarr", "parts.zarr", "--tile", "32"]
    return subprocess.Popen(
        [*command, "--part", f"{i}/{n}", *more], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def ended(part: subprocess.Popen[str]) -> str:
    """End a process, close what it wrote into, and return that."""
    part.kill()
    with part:
        return "" if part.stdout is None or part.stdout.closed else part.stdout.read()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_three_processes_one_of_which_is_killed_give_the_bytes_of_one(stored: Path) -> None:
    parts = [started(stored, i, 3) for i in (1, 2, 3)]
    try:
        lock = stored / ".parts.zarr.run" / "lock-00002"
        while not lock.exists() and parts[1].poll() is None:
            time.sleep(0.01)
        parts[1].kill()
        parts.append(started(stored, 2, 3))
        said = [part.communicate(timeout=280)[0] for part in parts]
    except subprocess.TimeoutExpired:
        pytest.fail("\n".join(ended(part) for part in parts))
    finally:
        for part in parts:
            ended(part)
    assert [part.returncode for part in parts] == [0, -signal.SIGKILL, 0, 0], said
    assert chunks_of(stored / "parts.zarr") == chunks_of(stored / "whole.zarr") != {}
    assert not (stored / ".parts.zarr.run").exists()


def test_a_part_alone_says_whom_it_waits_for_and_ends_as_schedulers_requeue(
    stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = functools.partial(nc.run, RECIPE, stored / "in.zarr", tmp_path / "out.zarr", tile=32, patience=0.0)
    with pytest.raises(Waiting, match="part 2 of 2 waited 0 s for part 1 to begin"):
        run(part=(2, 2))
    recipe = str(RECIPE.save(tmp_path / "recipe.json"))
    command = ["run", recipe, str(stored / "in.zarr"), str(tmp_path / "out.zarr"), "--tile", "32", "--patience", "0"]
    assert main([*command, "--part", "1/2"]) == 75
    assert "part 1 of 2 has done its share of" in capsys.readouterr().err
    done = set()
    for i in itertools.islice(itertools.cycle((2, 1)), 40):  # one after the other, as where there is room for one
        with suppress(Waiting):
            run(part=(i, 2))
            done.add(i)
        if done == {1, 2}:
            break
    assert done == {1, 2}
    assert chunks_of(tmp_path / "out.zarr") == chunks_of(stored / "whole.zarr")


def test_parts_of_something_else_are_refused(stored: Path, tmp_path: Path) -> None:
    run = functools.partial(nc.run, source=stored / "in.zarr", target=tmp_path / "out.zarr", tile=32, patience=0.0)
    with pytest.raises(Waiting):
        run(RECIPE, part="1/2")
    other = nc.Recipe((nc.Step("threshold", {"sigma": 2.0, "one_per_object": True}),))
    with pytest.raises(ValueError, match="cannot be taken up again, because the recipe changed"):
        run(other, part="2/2")
    with pytest.raises(ValueError, match=r"because the tile \(\[32, 32, 32\] before, \[16, 32, 32\] now\) changed"):
        run(RECIPE, part="2/2", tile=16)
    assert (tmp_path / ".out.zarr.run" / "sweeps").exists()
    with pytest.raises(ValueError, match="a run has a scheduler or is a part of a job array, not both"):
        run(RECIPE, part="1/2", scheduler="tcp://x:1")
    with pytest.raises(ValueError, match="part is for runs from a Zarr store"):
        nc.run(RECIPE, IMAGE, tmp_path / "out.tif", part="1/2")


def test_a_part_that_finds_the_labels_in_place_does_nothing(stored: Path) -> None:
    result = nc.run(RECIPE, stored / "in.zarr", stored / "whole.zarr", tile=32, part="2/2", patience=0.0)
    assert result.provenance["resumed"] == "it was complete"
    assert (stored / "whole.zarr").exists()


def test_pauses_grow_to_the_longest_and_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(_parts, "_PAUSES", (0.05, 10.0))
    monkeypatch.setattr(_parts.time, "sleep", slept.append)
    for n in (0, 3, 5000):
        _parts._Pauses(patience=1e9, n=n).sleep()
    assert slept == pytest.approx([0.05, 0.05 * 1.5**3, 10.0])
