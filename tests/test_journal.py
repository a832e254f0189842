"""A journal knows what was done, whenever a run was cut off, and runs no code that stands in it."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cutout._monitor import note, watch
from napari_cutout.blockwise import Threads, Written
from napari_cutout.running import _journal
from napari_cutout.running._journal import Journaled
from napari_cutout.running._records import Folder, Prefix, Records, _record, place_of


@pytest.fixture(params=["folder", "object store"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "folder":
        return Folder(tmp_path / "run")
    return place_of(f"memory://{tmp_path.name}/run")


def test_the_place_is_a_folder_or_a_prefix(tmp_path: Path) -> None:
    assert place_of(tmp_path) == Folder(tmp_path)
    assert isinstance(place_of("memory://bucket/run"), Prefix)


VALUES = [
    None,
    7,
    "text",
    (1, [2.5, {"a": b"b"}], {3, 4}, slice(1, 2)),
    np.arange(6, dtype=np.uint16).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.float32(1.5),
    np.zeros(0, bool),
    Written(3, 1),
]


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_values_come_back(place: Any, value: Any) -> None:
    records = Records(place)
    records.put("a/value", value)
    records.append("a", 5, value)
    assert Records(place).get("a/other", "nothing") == "nothing"
    for back in (Records(place).get("a/value"), records.entries("a")[5]):
        np.testing.assert_equal(back, value)
        assert type(back) is type(value)


def test_records_of_several_processes_come_together(place: Any) -> None:
    one, two = Records(place), Records(place)
    one.append("a", 1, "one")
    two.append("a", 2, "two")
    one.append("ab", 3, "another sweep")
    one.flush()
    two.flush()
    one.append("a", 4, "later")
    one.flush()
    assert Records(place).entries("a") == {1: "one", 2: "two", 4: "later"}


def test_what_is_removed_is_gone(place: Any) -> None:
    records = Records(place)
    records.put("a/value", 1)
    records.append("a", 1, 1)
    records.flush()
    records.remove("a")
    records.remove("never")
    assert records.get("a/value") is None
    assert records.entries("a") == {}


def test_a_folder_goes_while_others_remove_what_is_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Folder(tmp_path / "run")
    for name in ("lock-00001", "lock-00002", "sweeps/value"):
        place.write(name, b"1")
    remove = os.unlink

    def unlink(path: Any, **where: Any) -> None:
        monkeypatch.setattr(os, "unlink", remove)
        for lock in (tmp_path / "run").glob("lock-*"):  # both parts end before the first file is removed
            remove(lock)
        remove(path, **where)

    monkeypatch.setattr(os, "unlink", unlink)
    place.remove("")
    assert not (tmp_path / "run").exists()


@given(cut=st.integers(0, 300), wrong=st.booleans())
def test_a_torn_record_and_what_follows_it_is_left_out(cut: int, wrong: bool) -> None:
    whole = [_record(number, "x" * number) for number in range(1, 6)]
    content = bytearray(b"".join(whole))
    cut = min(cut, len(content) - 1)
    if wrong:
        content[cut] ^= 0xFF
    place = place_of("memory://torn/run")
    place.write("a/one.records", bytes(content if wrong else content[:cut]))
    ends = np.cumsum([len(record) for record in whole])
    assert sorted(Records(place).entries("a")) == list(range(1, 1 + int((ends <= cut).sum())))


class _Evil:
    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


@pytest.mark.parametrize(
    "call",
    [
        (os.system, "touch {}"),
        (eval, "open('{}', 'w')"),
        (Path.touch, Path("{}")),
        (pickle.loads, b""),
        (getattr, "a", "upper"),
        (Threads((8,)).map, "name", print, 1),
    ],
    ids=lambda call: getattr(call[0], "__qualname__", ""),
)
def test_a_foreign_journal_runs_no_code(place: Any, tmp_path: Path, call: tuple[Any, ...]) -> None:
    touched = tmp_path / "touched"
    said = tuple(a.format(touched) if isinstance(a, str) else touched if isinstance(a, Path) else a for a in call)
    place.write("a/value", _record(0, _Evil(*said)))
    place.write("b/one.records", _record(3, [1, _Evil(*said)]))
    with pytest.raises(ValueError, match=r"the journal holds 'a/value', which cannot be read.* is no data"):
        Records(place).get("a/value")
    with pytest.raises(ValueError, match="remove the journal"):
        Records(place).entries("b")
    assert not touched.exists()


def test_objects_that_can_be_called_are_no_data(place: Any) -> None:
    from napari_cutout.blockwise._made import _Keeping

    place.write("a", _record(0, _Keeping(None, np.zeros(3), [(slice(0, 1),)])))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="_Keeping is no data"):
        Records(place).get("a")


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")
    with pytest.raises(OSError, match=r"could not write .*choose another folder"):
        Records(Folder(tmp_path / "run")).put("a", 1)


# Sweeps ------------------------------------------------------------------------------------------------


class _Cut(Exception):
    pass


class _Work:
    """Counts calls, and fails at one of them."""

    def __init__(self, fail_at: int) -> None:
        self.calls: list[int] = []
        self.fail_at = fail_at

    def __call__(self, number: int) -> float | None:
        if len(self.calls) == self.fail_at:
            raise _Cut
        self.calls.append(number)
        note(**{f"fact_{number % 3}": number % 3})
        return None if number == 2 else 0.1 * number


def _two_sweeps(records: Records, work: _Work) -> tuple[Any, Any, dict[str, Any]]:
    sweeper = Journaled(Threads((4,)), records, lambda *_: None)
    with watch() as monitor:
        first = sweeper.map("first", work, 5)
        note(between=sum(x or 0 for x in first))
        second = sweeper.reduce("second", work, 6, lambda a, b: a + b)
    return first, second, monitor.facts


@pytest.mark.parametrize("fail_at", range(11))
def test_a_run_that_was_cut_off_goes_on(fail_at: int, place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_journal, "SAVE_EVERY", 0.0)
    whole = _two_sweeps(Records(place_of("memory://whole/run")), _Work(-1))
    before, after = _Work(fail_at), _Work(-1)
    with pytest.raises(_Cut):
        _two_sweeps(Records(place), before)
    assert _two_sweeps(Records(place), after) == whole
    assert len(before.calls) + len(after.calls) == 11  # no tile twice
    place_of("memory://whole/run").remove("sweeps")


def test_a_journal_of_another_run_is_refused(place: Any) -> None:
    Journaled(Threads((4,)), Records(place), lambda *_: None).map("first", lambda i: i, 3)
    other = Journaled(Threads((4,)), Records(place), lambda *_: None)
    with pytest.raises(ValueError, match="sweep 1 of this run is 'first' over 4 tiles, and the journal holds 'first'"):
        other.map("first", lambda i: i, 4)


def test_what_is_finished_is_one_value(place: Any) -> None:
    records = Records(place)
    Journaled(Threads((4,)), records, lambda *_: None).map("first", lambda i: i, 3)
    assert [name.split("/")[-1] for name in place.names("sweeps")] == ["title", "value"]
