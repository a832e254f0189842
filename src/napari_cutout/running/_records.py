"""What a run remembers of itself: small values in a folder or under a prefix of an object store.

A value is written whole or not at all. Of what tiles return there are segments, one or more for each process, to which
records are appended; a record that was torn by a kill is known by its checksum, and what follows it is left out. What
is read back is data only: a foreign journal cannot run code.
"""

from __future__ import annotations

import errno
import io
import os
import pickle
import shutil
import struct
import time
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from .._writing import sentence_of
from ..stores import Place as StorePlace
from ..stores import tried

__all__ = ["FLUSH_EVERY", "Folder", "Place", "Prefix", "Records", "place_of"]

FLUSH_EVERY = 0.5
"""Seconds after which records leave this process at the latest, when another one comes."""

_HEAD = struct.Struct("<qQI")
"""Number of a record, length of its value, checksum of both."""

_SUFFIX = ".records"

_TRIES = 100
"""How often a folder is removed into which others write at the same time."""

_MEANWHILE = (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST)
"""What is raised where others remove or write files in a folder that is being removed."""

_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK)
"""What is raised where a disk has no second names of files."""

_ALLOWED = {
    ("builtins", name) for name in ("bytearray", "complex", "frozenset", "range", "set", "slice")
} | {
    (f"numpy{core}.{module}", name)
    for core in ("._core", ".core")
    for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))
} | {("numpy", "ndarray"), ("numpy", "dtype"), ("collections", "OrderedDict")}  # fmt: skip
"""What values may be made of, beside the data of this package."""


class Place(Protocol):
    """Where files lie, by names with slashes."""

    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None if there is none."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all."""

    def claim(self, name: str, content: bytes) -> bool:
        """Write a file if there is none, and tell whether there was none."""

    def take(self, name: str, before: bytes, content: bytes) -> bool:
        """Write a file in place of one with this content, and tell whether it was there; of several, one is told so."""

    def append(self, name: str, content: bytes) -> None:
        """Add to the end of a file of this process, or of files whose names begin like it."""

    def names(self, folder: str) -> list[str]:
        """Return the names of all files below a folder, sorted."""

    def remove(self, folder: str) -> None:
        """Remove a file, or all files below a folder."""

    def tops(self) -> list[str]:
        """Return the names of files and folders that lie in no other folder, those that are being written too."""

    def close(self) -> None:
        """Remove the folder itself if nothing is in it."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A local folder, which is made when something is written.

    Parameters
    ----------
    path : Path
        The folder.
    """

    path: Path

    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None if there is none."""
        try:
            return (self.path / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, name: str, content: bytes) -> None:
        """Write a file beside its place, see it to the disk, and rename it."""
        place = self.path / name
        with self._beside(place, content) as beside:
            beside.replace(place)

    def claim(self, name: str, content: bytes) -> bool:
        """Write a file if there is none, and tell whether there was none; it is never seen without its content."""
        place = self.path / name
        with self._beside(place, content) as beside:
            return _put_first(beside, place, content)

    def take(self, name: str, before: bytes, content: bytes) -> bool:
        """Move a file with this content away, which one of several can, and claim its name."""
        place = self.path / name
        with self._beside(place, content) as beside:
            aside = beside.with_suffix(".old.tmp")
            try:
                place.rename(aside)
            except FileNotFoundError:
                return False
            try:
                if aside.read_bytes() != before:  # somebody was faster: what is there now is not ours to take
                    _put_first(aside, place, aside.read_bytes())
                    return False
                return _put_first(beside, place, content)
            finally:
                aside.unlink()

    @contextmanager
    def _beside(self, place: Path, content: bytes) -> Iterator[Path]:
        """Write a file beside its place, see it to the disk, and remove what is left of it in the end."""
        beside = place.with_name(f".{place.name}.{uuid.uuid4().hex[:8]}.tmp")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield beside
        except OSError as error:
            raise sentence_of(error, place) from error
        finally:
            with suppress(OSError):
                beside.unlink()

    def append(self, name: str, content: bytes) -> None:
        """Add to the end of a file."""
        place = self.path / name
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("ab") as file:
                file.write(content)
        except OSError as error:
            raise sentence_of(error, place) from error

    def names(self, folder: str) -> list[str]:
        """Return the names of all files below a folder, sorted; those that are being written are left out."""
        # A walk passes over folders that others remove meanwhile.
        found = (Path(top, name) for top, _, names in os.walk(self.path / folder) for name in names)
        return sorted(p.relative_to(self.path).as_posix() for p in found if p.suffix != ".tmp")

    def remove(self, folder: str) -> None:
        """Remove a file, or a folder with all that is in it, while others may remove and write some of that."""
        place = self.path / folder
        for left in reversed(range(_TRIES)):
            try:
                if not place.is_dir():
                    break
                shutil.rmtree(place)
            except OSError as error:
                if not left or error.errno not in _MEANWHILE:
                    raise
        place.unlink(missing_ok=True)

    def tops(self) -> list[str]:
        """Return the names of files and folders that lie in no other folder, those that are being written too."""
        try:
            return sorted(found.name for found in self.path.iterdir())
        except FileNotFoundError:
            return []

    def close(self) -> None:
        """Remove the folder itself if nothing is in it."""
        with suppress(OSError):
            self.path.rmdir()


def _put_first(beside: Path, place: Path, content: bytes) -> bool:
    """Give a file a second name if nothing has that, and tell whether nothing had it."""
    try:
        os.link(beside, place)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        try:  # no links on this disk: whoever looks just now sees no content yet
            with place.open("xb") as file:
                file.write(content)
        except FileExistsError:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Prefix:
    """A prefix of an object store, or of any file system that fsspec knows. What fails is tried again.

    Parameters
    ----------
    files : AbstractFileSystem
        Of fsspec.
    path : str
        The prefix, without a slash at its end.
    place : Place of a store
        The same with its options, which no message shows.
    """

    files: Any
    path: str
    place: StorePlace

    def read(self, name: str) -> bytes | None:
        """Return the content of an object; None if there is none."""
        try:
            content: bytes = self._tried("read", name, lambda: self.files.cat_file(f"{self.path}/{name}"))
        except FileNotFoundError:
            return None
        return content

    def write(self, name: str, content: bytes) -> None:
        """Write an object, which stores do whole or not at all."""
        self._tried("write", name, lambda: self._write(f"{self.path}/{name}", content))

    def _write(self, path: str, content: bytes) -> None:
        self.files.makedirs(path.rpartition("/")[0], exist_ok=True)
        self.files.pipe_file(path, content)

    def claim(self, name: str, content: bytes) -> bool:
        """Write an object if there is none, and tell whether there was none.

        Two may do so at one moment where a store does not refuse to replace; then each `Hold` finds out whose it is.
        """
        if self.read(name) is not None:
            return False
        self._tried("write", name, lambda: self._create(f"{self.path}/{name}", content))
        return self.read(name) == content

    def take(self, name: str, before: bytes, content: bytes) -> bool:
        """Write an object in place of one with this content, and tell whether it was there."""
        if self.read(name) != before:
            return False
        self.write(name, content)
        return self.read(name) == content

    def _create(self, path: str, content: bytes) -> None:
        """Write an object if there is none, as far as the store and its library can."""
        self.files.makedirs(path.rpartition("/")[0], exist_ok=True)
        try:
            self.files.pipe_file(path, content, mode="create")
        except (OSError, TypeError, ValueError, NotImplementedError):  # there is one, or it does not know how
            if not self.files.exists(path):
                self.files.pipe_file(path, content)

    def append(self, name: str, content: bytes) -> None:
        """Write one more object whose name begins like this one: objects cannot be added to."""
        stem, dot, suffix = name.rpartition(".")
        self.write(f"{stem}-{uuid.uuid4().hex[:8]}{dot}{suffix}", content)

    def names(self, folder: str) -> list[str]:
        """Return the names of all objects below a folder, sorted."""
        root = self.files._strip_protocol(self.path)
        found = self._tried("list", folder, lambda: self._found(folder))
        return sorted(path[len(root) :].lstrip("/") for path in found)

    def _found(self, folder: str) -> list[str]:
        self.files.invalidate_cache()
        return list(self.files.find(f"{self.path}/{folder}") if self.files.exists(f"{self.path}/{folder}") else [])

    def remove(self, folder: str) -> None:
        """Remove an object, or all objects below a folder."""
        self._tried("remove", folder, lambda: self._remove(f"{self.path}/{folder}"))

    def _remove(self, path: str) -> None:
        self.files.invalidate_cache()
        with suppress(FileNotFoundError):  # others may remove it at the same time
            if self.files.exists(path):
                self.files.rm(path, recursive=True)

    def tops(self) -> list[str]:
        """Return the names of objects and prefixes that lie in no other prefix."""
        self.files.invalidate_cache()
        try:
            found = self._tried("list", "", lambda: self.files.ls(self.path, detail=False))
        except FileNotFoundError:
            return []
        return sorted(path.rstrip("/").rpartition("/")[2] for path in found)

    def close(self) -> None:
        """Remove the folder itself if nothing is in it, where a file system has folders."""
        with suppress(OSError, NotImplementedError):
            if self.files.exists(self.path) and not self.tops():
                self.files.rmdir(self.path)

    def _tried(self, doing: str, name: str, request: Callable[[], Any]) -> Any:
        return tried(self.place, doing, name, request)


def place_of(path: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None) -> Place:
    """Return where files lie.

    Parameters
    ----------
    path : path or URL
        A local folder, or a prefix such as ``"s3://bucket/out.zarr.run"``.
    storage_options : mapping, optional
        What fsspec is given to open a URL.
    """
    text = os.fspath(path)
    if "://" not in text:
        return Folder(Path(text))
    import fsspec

    files, root = fsspec.core.url_to_fs(text, **dict(storage_options or {}))
    return Prefix(files, root.rstrip("/"), StorePlace.of(text, storage_options))


@dataclass(slots=True)
class Records:
    """Values by name, and records of tiles by name and number.

    Parameters
    ----------
    place : Place
        Where they lie.
    process : str
        The name of this process in the names of its segments; by default one that no other has.
    """

    place: Place
    process: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    _waiting: dict[str, list[bytes]] = field(default_factory=dict)
    _flushed: float = field(default_factory=time.monotonic)

    def put(self, name: str, value: Any) -> None:
        """Keep a value under a name, in place of the one before."""
        self.place.write(name, _record(0, value))

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a name.

        Raises
        ------
        ValueError
            If it is made of something else than data.
        """
        for _, value in _values(self.place.read(name) or b"", name):
            return value
        return default

    def append(self, name: str, number: int, value: Any) -> None:
        """Keep what tile `number` returned; it leaves this process with the next `flush`, or soon."""
        self._waiting.setdefault(name, []).append(_record(number, value))
        if time.monotonic() - self._flushed >= FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Let everything leave this process that is waiting."""
        for name in list(self._waiting):
            self.place.append(f"{name}/{self.process}{_SUFFIX}", b"".join(self._waiting[name]))
            del self._waiting[name]
        self._flushed = time.monotonic()

    def entries(self, name: str) -> dict[int, Any]:
        """Return what tiles returned, by number, of all processes; what was torn is left out.

        Raises
        ------
        ValueError
            If one is made of something else than data.
        """
        found: dict[int, Any] = {}
        for segment in self.segments(name):
            found.update(_values(self.place.read(segment) or b"", segment))
        return found

    def segments(self, name: str) -> list[str]:
        """Return the names of what holds the records of a name, of all processes."""
        self.flush()
        return [segment for segment in self.place.names(name) if segment.endswith(_SUFFIX)]

    def remove(self, name: str) -> None:
        """Forget a value, a segment, or all that is below a name."""
        self.place.remove(name)


def _record(number: int, value: Any) -> bytes:
    content = pickle.dumps(value, protocol=5)
    return _HEAD.pack(number, len(content), _checksum(number, content)) + content


def _checksum(number: int, content: bytes) -> int:
    return zlib.crc32(content, zlib.crc32(struct.pack("<qQ", number, len(content))))


def _values(content: bytes, name: str) -> Iterator[tuple[int, Any]]:
    """Yield the numbers and values of records, up to one that was torn."""
    at = 0
    while at + _HEAD.size <= len(content):
        number, length, checksum = _HEAD.unpack_from(content, at)
        value = content[at + _HEAD.size : at + _HEAD.size + length]
        if len(value) != length or _checksum(number, value) != checksum:
            return
        yield number, _loaded(value, name)
        at += _HEAD.size + length


def _loaded(content: bytes, name: str) -> Any:
    try:
        return _Unpickler(io.BytesIO(content)).load()
    except (pickle.UnpicklingError, AttributeError, ImportError, TypeError) as error:
        raise ValueError(
            f"the journal holds {name!r}, which cannot be read ({error}); remove the journal to run from the start"
        ) from error


class _Unpickler(pickle.Unpickler):
    """Reads data and nothing that could act: no function, and no class whose objects can be called."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a class that values may be made of, or raise."""
        if (module, name) in _ALLOWED:
            return getattr(import_module(module), name)
        if module.split(".")[0] == __name__.split(".")[0]:
            found = getattr(import_module(module), name)
            if isinstance(found, type) and is_dataclass(found) and not _is_called(found):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is no data")


def _is_called(kind: type) -> bool:
    """Tell whether objects of a class can be called."""
    return any("__call__" in vars(base) for base in kind.__mro__)
