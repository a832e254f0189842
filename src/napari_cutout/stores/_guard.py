"""What stands between Zarr and a store: requests that are tried again, and errors that say what they are about."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from zarr.abc.store import ByteRequest, RangeByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore, WrapperStore

from ._place import _EXTRAS, Place

__all__ = ["Guarded", "guarded", "tried"]

_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)
_CLIENTS = ("aiohttp", "botocore", "aiobotocore", "gcsfs", "google", "azure", "urllib3", "requests")
_NO_USE = ("Credentials", "Validation", "ProfileNotFound", "InvalidURL")
_METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")
_BLOSC_HEADER = 16
_PASSING = (408, 429)
_OTHER_KEY = "pass a key and secret that are allowed to, or anon=true where all are, as storage options"


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
    absent : set of str
        The keys of chunks that were asked for and are not there.
    blosc : bool
        Whether the chunks were compressed by Blosc, which says how long they are.
    """

    def __init__(self, store: Store, place: Place) -> None:
        super().__init__(store)
        self.place = place
        self.absent: set[str] = set()
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
            if key.rpartition("/")[2] not in _METADATA:
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
        return self.waits.pop()


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


def _named(error: Exception, doing: str, key: str, place: Place, tries: int) -> OSError:
    """Return an error that says what could not be done, where, why, and what to do."""
    reason = place.hide((isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__)
    again = f" after {tries} more tries" if tries else ""
    if "Credentials" in type(error).__name__ or isinstance(error, PermissionError):
        way = "ask for the right to do so" if place.is_local else _OTHER_KEY
    elif doing == "write":
        way = "what was there before is as it was; free some space, or choose another place"
    else:
        way = "mend the connection or the disk, and run it again"
    kind = PermissionError if isinstance(error, PermissionError) else OSError
    failure = kind(f"could not {doing} {key!r} of {place.shown!r}{again} ({reason}); {way}")
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
        raise ValueError(place.hide(str(error))) from None
    return Guarded(store, place)
