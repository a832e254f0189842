"""The folder of a run that is not finished: what it runs, on what, and which process is at work on it."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .._writing import sentence_of
from ..stores import Place as StorePlace
from ..stores import is_store
from ._records import Folder, Place, place_of

__all__ = [
    "BEAT",
    "STALE",
    "Busy",
    "Hold",
    "RunFolder",
    "check_parent",
    "identity_of_array",
    "identity_of_store",
    "states_of",
]

BEAT = 10.0
"""Seconds between two signs of life of a process at work."""

STALE = 60.0
"""Seconds without a sign of life after which a process on another host counts as dead."""

SAMPLED = 2048
"""Files of a store whose sizes and times are looked at; of more, as many are drawn."""

FORMAT = "napari-cutout run"

_TRIES = 100
"""How often a lock is tried to be had that others take and give back meanwhile."""

_LOCK = "lock"
"""Of the process that leads; others of a job array add the number of their part."""

_WORDS = {
    "recipe": "the recipe",
    "spacing": "the spacing",
    "inputs": "an input",
    "versions": "the versions of the programs",
    "device": "the device",
    "tile": "the tile",
    "target": "how the target is stored",
}


class Busy(OSError):
    """Another process is at work on the same target."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run keeps what it needs to go on, beside its target.

    Parameters
    ----------
    target : Place of a store
        Where the labels will be.
    """

    target: StorePlace

    @property
    def at(self) -> StorePlace:
        """The folder: hidden beside a local target, beside an object store's under its name with ``.run``."""
        if self.target.is_local:
            return self.target.parent / f".{self.target.name}.run"
        return self.target.parent / f"{self.target.name}.run"

    @property
    def place(self) -> Place:
        """Where its files lie."""
        if self.at.is_local:
            return Folder(self.at.path)
        return place_of(self.at.url, self.at.options)

    def begun(self) -> dict[str, Any] | None:
        """Return what a run before this one wrote down; None if there was none.

        Raises
        ------
        ValueError
            If it was written by another version of the format, or is damaged.
        """
        content = self.place.read("run.json")
        if content is None:
            return None
        try:
            found: dict[str, Any] = json.loads(content)
            known = found["format"] == FORMAT and found["version"] == 1
        except (ValueError, KeyError, TypeError):
            known = False
        if not known:
            raise ValueError(
                f"{self.at.shown!r} holds no run that this version can go on with; pass overwrite=True to start anew"
            )
        return found

    def begin(self, identity: Mapping[str, Any]) -> None:
        """Write down what runs, on what."""
        content = {"format": FORMAT, "version": 1, **identity}
        self.place.write("run.json", (json.dumps(content, indent=2) + "\n").encode())

    def locks(self) -> list[str]:
        """Return the names of the locks of all processes: of the one that leads, and of other parts of a job array."""
        return [name for name in self.place.tops() if name.startswith(_LOCK)]

    def is_held(self) -> bool:
        """Tell whether a process is at work on the target."""
        return any(map(self._has_owner, self.locks()))

    def check_free(self, name: str = _LOCK) -> None:
        """Refuse a target that another process is at work on.

        Parameters
        ----------
        name : str
            Of the lock.

        Raises
        ------
        Busy
            If a process that lives holds it.
        """
        self._refuse(_owner(self.place.read(name)))

    def check_alone(self) -> None:
        """Refuse, where the main lock is held, a target that other parts of a job array are still at work on.

        Raises
        ------
        Busy
            If one of them lives.
        """
        for name in self.locks():
            if name != _LOCK:
                self.check_free(name)

    def _refuse(self, owner: Mapping[str, Any] | None) -> None:
        if owner is not None and _lives(owner):
            raise Busy(
                f"process {owner['pid']} on {owner['host']} is at work on {self.target.shown!r}; wait for it, or "
                "stop it and pass resume=True"
            )

    def clear(self) -> None:
        """Remove everything but locks of who lives, while holding the main one.

        `run.json` goes first, which says that the run has ended: a part that takes a lock later does nothing with it.
        """
        self.place.remove("run.json")
        for name in self.place.tops():
            if not (name.startswith(_LOCK) and self._has_owner(name)):
                self.place.remove(name)

    def _has_owner(self, name: str) -> bool:
        """Tell whether the process that has a lock lives."""
        return (owner := _owner(self.place.read(name))) is not None and _lives(owner)

    def _take(self, name: str, sign: bytes) -> None:
        """Take a lock that nobody has, or that of a process that died; name the target where it cannot be written."""
        for left in reversed(range(_TRIES)):
            try:
                if self.place.claim(name, sign) or self._taken_over(name, sign):
                    return
            except Busy:
                raise
            except OSError as error:
                if left and isinstance(error, FileNotFoundError):  # a run that ended at this moment removed the folder
                    continue
                cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
                raise sentence_of(cause, Path(self.target.shown)) from error
        raise Busy(f"other processes take {self.target.shown!r} again and again; wait for them")

    def _taken_over(self, name: str, sign: bytes) -> bool:
        """Take the lock of a process that died, if it is still there and nobody else does so."""
        before = self.place.read(name)
        self._refuse(_owner(before))
        return before is not None and self.place.take(name, before, sign)

    @contextmanager
    def held(self, part: str = "") -> Iterator[Hold]:
        """Keep other processes away while the ``with`` block runs.

        Parameters
        ----------
        part : str
            Which part of a job array this is; parts do not keep each other away.

        Yields
        ------
        Hold
            Tells whether the lock is still that of this process.

        Raises
        ------
        Busy
            If another process is at work.
        """
        hold = Hold(self, f"{_LOCK}{part}")
        self._take(hold.name, hold.sign())
        stop = threading.Event()
        beating = threading.Thread(target=hold.beat, args=(stop,), daemon=True)
        beating.start()
        try:
            yield hold
        finally:
            stop.set()
            beating.join()
            hold.end()


@dataclass(frozen=True, slots=True)
class Hold:
    """A lock that this process has, until another one takes it for dead.

    Parameters
    ----------
    folder : RunFolder
        Where.
    name : str
        Of the lock.
    token : str
        By which it is told from that of others.
    """

    folder: RunFolder
    name: str
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def check(self) -> None:
        """Refuse to go on beside a process that has taken this one for dead.

        Raises
        ------
        Busy
            If the lock is not that of this process any more.
        """
        if not self._is_own():
            raise Busy(
                f"another process has gone on with the run on {self.folder.target.shown!r}, because this one gave no "
                f"sign of life for {STALE:.0f} s, or the folder of the run was removed; start it again with resume=True"
            )

    def beat(self, stop: threading.Event) -> None:
        """Give signs of life until told to stop, or the lock is that of another process."""
        while not stop.wait(BEAT):
            with suppress(OSError):
                if not self._is_own():
                    return
                self.folder.place.write(self.name, self.sign())

    def end(self) -> None:
        """Give the lock back, and remove the folder if nothing else is in it."""
        with suppress(OSError):
            if self._is_own():
                self.folder.place.remove(self.name)
            self.folder.place.close()

    def sign(self) -> bytes:
        """Return a sign of life."""
        pid = os.getpid()
        own = {"pid": pid, "host": socket.gethostname(), "started": _started(pid), "time": time.time()}
        return json.dumps({**own, "token": self.token}).encode()

    def _is_own(self) -> bool:
        owner = _owner(self.folder.place.read(self.name))
        return owner is not None and owner.get("token") == self.token


def check_parent(target: StorePlace) -> None:
    """Refuse a local place whose folder is not there; that of the labels in an image is made.

    Parameters
    ----------
    target : Place of a store
        Where labels are to be written.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    """
    if not target.is_local:
        return
    parent = target.path.parent
    if parent.name == "labels" and is_store(parent.parent):
        parent = parent.parent
    if not parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(parent)!r} to write {target.name!r} to; make it")


def _owner(content: bytes | None) -> dict[str, Any] | None:
    try:
        found = json.loads(content or b"null")
    except ValueError:
        return None
    return found if isinstance(found, dict) and {"pid", "host", "started", "time"} <= found.keys() else None


def _lives(owner: Mapping[str, Any]) -> bool:
    """Tell whether the process that wrote a lock is still there."""
    if owner["host"] != socket.gethostname():
        return time.time() - float(owner["time"]) < STALE
    return bool(owner["started"] is not None and _started(owner["pid"]) == owner["started"])


def _started(pid: int) -> float | None:
    """Return when a process began, by which another one with its number is told from it; None if there is none."""
    import psutil

    try:
        process = psutil.Process(pid)
        # One that was killed keeps its number until its parent asks for it.
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


# What a run was given ------------------------------------------------------------------------------------


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, str]:
    """Return what of a run is not as it was, by name and in words."""
    changed = [name for name in _WORDS if before.get(name) != now.get(name)]
    return {name: _changed(name, before.get(name), now.get(name)) for name in changed}


def _changed(name: str, before: Any, now: Any) -> str:
    if name == "recipe":
        return _WORDS[name]
    if name != "inputs":
        return f"{_WORDS[name]} ({_short(before)} before, {_short(now)} now)"
    others = [one for one in sorted({*before, *now}) if before.get(one) != now.get(one)]
    return " and ".join(f"the input {one!r} ({_how(before.get(one, {}), now.get(one, {}))})" for one in others)


def _how(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    return f"its {' and '.join(key for key in sorted({*before, *now}) if before.get(key) != now.get(key))}"


def _short(value: Any) -> str:
    return json.dumps(value) if not isinstance(value, str) else value


def identity_of_array(array: Any) -> dict[str, Any]:
    """Return by what an array that is not in a store is known again: shape, dtype, and a sample of its voxels.

    Parameters
    ----------
    array : array
        NumPy, dask or Zarr.
    """
    shape = tuple(map(int, array.shape))
    digest = hashlib.sha256()
    random = np.random.default_rng(0)
    for _ in range(8):
        start = [int(random.integers(0, max(n - 31, 1))) for n in shape]
        region = tuple(slice(at, at + 32) for at in start)
        found = array[region]
        digest.update(np.ascontiguousarray(found.compute() if hasattr(found, "compute") else found).tobytes())
    return {"shape": list(shape), "dtype": np.dtype(array.dtype).name, "voxels": digest.hexdigest()}


def identity_of_store(array: Any, without: Collection[str] = ()) -> dict[str, Any]:
    """Return by what an array in a store is known again: address, metadata, and sizes and times of its files.

    Parameters
    ----------
    array : CheckedArray
        One level of an image.
    without : collection of str
        Files that do not count. A shard may be another one, but must be there: tiles may have read chunks in it.
    """
    at: StorePlace = array.place
    files = place_of(at.url, at.options)
    metadata = hashlib.sha256()
    for name in ("zarr.json", ".zarray"):
        metadata.update(files.read(name) or b"")
    return {
        "address": at.shown,
        "shape": list(array.shape),
        "dtype": array.dtype.name,
        "metadata": metadata.hexdigest(),
        "files": _files_of(array, files, without),
    }


def states_of(array: Any, keys: Collection[str]) -> dict[str, str]:
    """Return by what files of an array in a store are known again: size and time, or what an object store says.

    Parameters
    ----------
    array : CheckedArray
        One level of an image.
    keys : collection of str
        The files.
    """
    files = place_of(array.place.url, array.place.options)
    return {key: _state(files, key) for key in keys}


def _files_of(array: Any, files: Place, without: Collection[str]) -> str:
    """Return a digest of the sizes and times of the files of an array, or of some of them where they are many."""
    digest = hashlib.sha256()
    for key in _keys_of(array):
        if key not in without:
            digest.update(f"{key} {_state(files, key)}\n".encode())
    for key in sorted(without) if array.shards is not None else ():
        if not _state(files, key):
            digest.update(f"{key} is gone\n".encode())
    return digest.hexdigest()


def _keys_of(array: Any) -> Iterator[str]:
    """Yield the names of the files of an array, or of a sample of them that is always the same."""
    grid = [-(-n // edge) for n, edge in zip(array.shape, array.files, strict=True)]
    n = int(np.prod(grid, dtype=object))
    numbers = range(n) if n <= SAMPLED else sorted(np.random.default_rng(0).integers(0, n, SAMPLED).tolist())
    for number in numbers:
        index = np.unravel_index(number, grid)
        yield array.array.metadata.encode_chunk_key(tuple(map(int, index)))


def _state(files: Place, key: str) -> str:
    """Return size and time of a file, or what an object store says of its version; empty if there is none."""
    try:
        if isinstance(files, Folder):
            found = Path(files.path, key).stat()
            return f"{found.st_size} {found.st_mtime_ns}"
        told = files.files.info(f"{files.path}/{key}")  # type: ignore[attr-defined]
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return " ".join(str(told.get(name, "")) for name in ("size", "ETag", "etag", "mtime", "LastModified", "created"))
