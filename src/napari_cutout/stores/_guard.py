"""What stands between Zarr and a store: requests that are tried again, and errors that say what they are about."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import numpy as np
from zarr.abc.store import ByteRequest, RangeByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore, WrapperStore

from ._place import _EXTRAS, Place

__all__ = ["Guarded", "guarded", "tried"]

_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)
_CLIENTS = ("aiohttp", "botocore", "aiobotocore", "gcsfs", "google", "azure", "urllib3", "requests")
_NO_USE = ("Credentials", "Validation", "ProfileNotFound", "InvalidURL")
_BLOSC_HEADER = 16
_SEPARATORS = re.compile("[/.]")
_SAID_FROM = 2.0
"""Seconds of a wait from which on it is said."""

_log = logging.getLogger(__name__)
_PASSING = (408, 429)
_OTHER_KEY = "pass a key and secret that are allowed to, or anon=true where all are, as storage options"


class Absent:
    """Remembers which files of an array are not there: a byte for each, of which the system gives those that are used.

    Parameters
    ----------
    grid : sequence of int
        How many files there are along each axis.
    """

    def __init__(self, grid: Sequence[int]) -> None:
        self.grid = tuple(grid)
        self.n = 0
        self._marks: np.ndarray[Any, Any] | None = None

    def add(self, key: str) -> None:
        """Remember a key, unless it is none of a chunk."""
        index = self._index(key)
        if index is None:
            return
        if self._marks is None:
            self._marks = np.zeros(self.grid, bool)
        if not self._marks[index]:
            self._marks[index] = True
            self.n += 1

    def discard(self, key: str) -> None:
        """Forget a key that was written."""
        if self._marks is not None and (index := self._index(key)) is not None and self._marks[index]:
            self._marks[index] = False
            self.n -= 1

    def count(self, region: Sequence[slice]) -> int:
        """Count those in a region of the grid."""
        return 0 if self._marks is None else int(np.count_nonzero(self._marks[tuple(region)]))

    def _index(self, key: str) -> tuple[int, ...] | None:
        parts = [part for part in _SEPARATORS.split(key) if part != "c"]
        if len(parts) != len(self.grid) or not all(part.isdecimal() for part in parts):
            return None
        index = tuple(map(int, parts))
        return index if all(at < n for at, n in zip(index, self.grid, strict=True)) else None


class Guarded(WrapperStore[Store]):
    """A store that tries again, remembers what was not there, and names what could not be read or written.

    Parameters
    ----------
    store : Store
        What it stands before.
    place : Place
        Where that is.

    Attributes
    ----------
    absent : Absent
        Which files of chunks were asked for and are not there.
    blosc : bool
        Whether the chunks were compressed by Blosc, which says how long they are.
    """

    def __init__(self, store: Store, place: Place) -> None:
        super().__init__(store)
        self.place = place
        self.absent = Absent(())
        self.blosc = False

    def _with_store(self, store: Store) -> Guarded:
        return type(self)(store, self.place)

    def __repr__(self) -> str:
        return f"Guarded({self.place.shown!r})"

    __str__ = __repr__

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Read a key, or a part of what is under it; None where there is none."""
        try:
            value: Buffer | None = await self._tried("read", key, lambda: self._store.get(key, prototype, byte_range))
        except FileNotFoundError:  # the folder itself is not there
            value = None
        if value is None:
            self.absent.add(key)
        else:
            self._check_length(len(value), value, byte_range)
        return value

    def _check_length(self, n: int, value: Buffer, byte_range: ByteRequest | None) -> None:
        """Refuse a file that was cut: decoders of Blosc read on behind the end of it."""
        wanted = byte_range.end - byte_range.start if isinstance(byte_range, RangeByteRequest) else None
        if byte_range is None and self.blosc and n >= _BLOSC_HEADER:
            wanted = int.from_bytes(value.as_numpy_array()[12:_BLOSC_HEADER].tobytes(), "little")
        if wanted is not None and n != wanted:
            raise ValueError(f"it has {n} bytes, but {wanted} were written")

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Read parts of keys."""
        return [await self.get(key, prototype, part) for key, part in key_ranges]

    async def set(self, key: str, value: Buffer) -> None:
        """Write a key."""
        await self._tried("write", key, lambda: self._store.set(key, value))
        self.absent.discard(key)

    async def delete(self, key: str) -> None:
        """Remove a key, if there is one."""
        await self._tried("remove", key, lambda: self._store.delete(key))

    async def delete_dir(self, prefix: str) -> None:
        """Remove all keys under a prefix."""
        await self._tried("remove", prefix, lambda: self._store.delete_dir(prefix))

    async def exists(self, key: str) -> bool:
        """Say whether there is a key."""
        return bool(await self._tried("look at", key, lambda: self._store.exists(key)))

    async def _tried(self, doing: str, key: str, request: Callable[[], Awaitable[Any]]) -> Any:
        tries = _Tries(self.place, doing, key)
        while True:
            try:
                return await request()
            except Exception as error:
                wait = tries.after(error)
            await asyncio.sleep(wait)

    def read_json(self, key: str) -> dict[str, Any] | None:
        """Read an object; None where there is no such key.

        Raises
        ------
        ValueError
            If it is no JSON.
        """
        value: Buffer | None = sync(self.get(key, default_buffer_prototype()))
        return None if value is None else dict(json.loads(value.to_bytes()))

    def write_json(self, key: str, value: Any) -> None:
        """Write an object, at once and whole."""
        content = json.dumps(value, indent=2).encode()
        sync(self.set(key, default_buffer_prototype().buffer.from_bytes(content)))

    def has(self, key: str) -> bool:
        """Say whether there is a key."""
        return bool(sync(self.exists(key)))

    def names(self) -> list[str]:
        """Return the names of what lies at the top."""

        async def found() -> list[str]:
            return [name async for name in self._store.list_dir("")]

        return list(sync(self._tried("list", "", found)))

    def remove(self, *, key: str = "", prefix: str = "") -> None:
        """Remove a key, or all keys under a prefix; nothing may be there."""
        sync(self.delete(key) if key else self.delete_dir(prefix))


class _Tries:
    """Counts the tries of one request."""

    def __init__(self, place: Place, doing: str, key: str) -> None:
        self.place, self.doing, self.key = place, doing, key
        self.waits = list(reversed([] if place.is_local else [*place.patience.waits()]))
        self.n = 0

    def after(self, error: Exception) -> float:
        """Return the seconds to wait before the next try, or raise what says that there is none."""
        if isinstance(error, MemoryError | FileNotFoundError):
            raise error
        if not (_may_pass(error) and self.waits):
            cause = error if self.place.is_local else None  # which may hold secrets
            raise _named(error, self.doing, self.key, self.place, self.n) from cause
        self.n += 1
        wait = self.waits.pop()
        if wait >= _SAID_FROM:
            what = f"could not {self.doing} {self.key!r} of {self.place.shown!r} ({_reason(error, self.place)})"
            _log.warning("%s; trying again in %g s", what, wait)
        return wait


def tried(place: Place, doing: str, key: str, request: Callable[[], Any]) -> Any:
    """Do a request of another library to an object store as those of Zarr are done.

    Parameters
    ----------
    place : Place
        Where.
    doing : str
        What it does, such as ``"read"``, for messages.
    key : str
        With what.
    request : callable
        Does it.

    Returns
    -------
    object
        What it returns.

    Raises
    ------
    FileNotFoundError
        If there is no such key.
    OSError
        If it fails for good; the message holds no secret.
    """
    tries = _Tries(place, doing, key)
    while True:
        try:
            return request()
        except Exception as error:
            wait = tries.after(error)
        time.sleep(wait)


def _may_pass(error: Exception) -> bool:
    """Say whether the same request may succeed later."""
    if isinstance(error, _LASTING) or any(word in type(error).__name__ for word in _NO_USE):
        return False
    status = getattr(error, "status", None)
    if isinstance(status, int) and 400 <= status < 500:
        return status in _PASSING
    return isinstance(error, OSError | TimeoutError) or type(error).__module__.partition(".")[0] in _CLIENTS


def _reason(error: Exception, place: Place) -> str:
    return place.hide((isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__)


def _named(error: Exception, doing: str, key: str, place: Place, tries: int) -> OSError:
    """Return an error that says what could not be done, where, why, and what to do."""
    again = f" after {tries} more tries" if tries else ""
    if "Credentials" in type(error).__name__ or isinstance(error, PermissionError):
        way = "ask for the right to do so" if place.is_local else _OTHER_KEY
    elif doing == "write" and getattr(error, "errno", None) == errno.EROFS:
        way = "what was there before is as it was; choose another place"
    elif doing == "write":
        way = "what was there before is as it was; free some space, or choose another place"
    else:
        way = "mend the connection or the disk, and run it again"
    kind = PermissionError if isinstance(error, PermissionError) else OSError
    failure = kind(f"could not {doing} {key!r} of {place.shown!r}{again} ({_reason(error, place)}); {way}")
    failure.errno = getattr(error, "errno", None)
    return failure


def guarded(place: Place, *, read_only: bool = True) -> Guarded:
    """Open what is at a place as a store.

    Parameters
    ----------
    place : Place
        A folder or an address. Nothing need be there.
    read_only : bool
        Refuse to write.

    Returns
    -------
    Guarded
        Nothing is read.

    Raises
    ------
    ValueError
        If the protocol is unknown, or the library for it is not installed.
    """
    if place.is_local:
        return Guarded(LocalStore(place.path, read_only=read_only), place)
    defaults: dict[str, Any] = {"use_listings_cache": False}
    if place.url.startswith(("s3:", "s3a:")):
        defaults["max_concurrency"] = 1  # or every read is two requests: chunks are small, and many are read at once
        defaults["config_kwargs"] = {"retries": {"max_attempts": 0}}  # s3fs tries again, and so do we
    options = {**defaults, **place.options}
    try:
        store = FsspecStore.from_url(place.url, storage_options=options, read_only=read_only)
    except ImportError as error:
        protocol = place.url.partition(":")[0]
        raise ValueError(
            f"{place.shown!r} needs a library that is not installed ({error}); "
            f"pip install '{_EXTRAS.get(protocol, f'fsspec[{protocol}]')}'"
        ) from error
    except (ValueError, TypeError) as error:
        way = "look at the address, which begins with s3://, gs://, az://, https:// or another that fsspec knows"
        raise ValueError(f"{place.hide(str(error))}; {way}, and at the storage options") from None
    return Guarded(store, place)
