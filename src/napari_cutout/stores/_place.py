"""Where a store is: a folder, or an address that fsspec knows, with the options that open it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

__all__ = ["MARKERS", "OPTIONS_VARIABLE", "Patience", "Place", "is_store", "is_url", "parse_storage_options"]

MARKERS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")
"""The files that tell what a folder of a store is."""

OPTIONS_VARIABLE = "NAPARI_CUTOUT_STORAGE_OPTIONS"
"""The environment variable that holds options as JSON, where other users of the machine do not see them."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+(://|::)")
_SECRET = re.compile(r"key|secret|token|pass|sas|credential|auth|session|signature|account|user", re.IGNORECASE)
_EXTRAS = {"s3": "napari-cutout[s3]", "s3a": "napari-cutout[s3]", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs"}
_EXTRAS |= {"abfs": "adlfs", "http": "aiohttp", "https": "aiohttp", "sftp": "paramiko", "ssh": "paramiko"}


@dataclass(frozen=True, slots=True)
class Patience:
    """How often what fails on an object store is tried again.

    Parameters
    ----------
    retries : int
        Further tries of one request.
    wait : float
        Seconds before the first of them; each waits twice as long as the one before.
    """

    retries: int = 5
    wait: float = 0.5

    def waits(self) -> Iterator[float]:
        """Give the seconds to wait before each further try."""
        return (self.wait * 2**n for n in range(self.retries))


def is_url(path: str | os.PathLike[str]) -> bool:
    """Say whether a path is an address that fsspec opens, such as ``s3://bucket/image.zarr``.

    Parameters
    ----------
    path : path
        Any path.

    Returns
    -------
    bool
        True where it names a protocol other than ``file``.
    """
    text = os.fspath(path)
    return _URL.match(text) is not None and not text.startswith(("file://", "local://"))


def is_store(path: str | os.PathLike[str]) -> bool:
    """Say whether a path is a Zarr store, or is named as one.

    Parameters
    ----------
    path : path
        A folder, or any address that fsspec knows, which is never asked.

    Returns
    -------
    bool
        True for a folder that holds the metadata of Zarr 2 or 3, for a name that ends in .zarr or lies in a folder
        that does, and for an address: all that is read there is a store.
    """
    if is_url(path):
        return True
    place = Path(_plain(os.fspath(path)))
    return holds_metadata(place) or (
        any(part.lower().endswith(".zarr") for part in place.parts) and not place.is_file()
    )


def holds_metadata(folder: Path) -> bool:
    """Say whether a folder is a Zarr group or array.

    Parameters
    ----------
    folder
        Any path.

    Returns
    -------
    bool
        True where it holds the metadata of Zarr 2 or 3.
    """
    return any((folder / marker).is_file() for marker in MARKERS if marker != ".zattrs")


def _plain(text: str) -> str:
    for protocol in ("file://", "local://"):
        text = text.removeprefix(protocol)
    return text


def parse_storage_options(texts: Iterable[str] = ()) -> dict[str, Any]:
    """Read the options that open an object store.

    Parameters
    ----------
    texts : iterable of str
        Each ``name=value``, such as ``anon=true`` or ``endpoint_url=http://localhost:9000``, or a JSON object.
        Later ones win, and all win over the JSON object in the environment variable ``NAPARI_CUTOUT_STORAGE_OPTIONS``.

    Returns
    -------
    dict
        What fsspec takes as options. ``true``, ``false`` and whole numbers become such, but for keys and secrets,
        which stay text.

    Raises
    ------
    ValueError
        If one is neither. What was given is not quoted, because it may be a secret.

    Notes
    -----
    Libraries of object stores find their own variables, such as ``AWS_ACCESS_KEY_ID``, by themselves. What stands on
    a command line is seen by every user of the machine: keep secrets in the environment.
    """
    found: dict[str, Any] = {}
    given = os.environ.get(OPTIONS_VARIABLE, "").strip()
    for number, text in enumerate(([given] if given else []) + list(texts)):
        where = OPTIONS_VARIABLE if given and number == 0 else f"storage option {number + (not given)}"
        found |= _options(text.strip(), where)
    return found


def _options(text: str, where: str) -> dict[str, Any]:
    if text.startswith("{"):
        try:
            return dict(json.loads(text))
        except (ValueError, TypeError):
            raise ValueError(f'{where} begins as a JSON object but is none; write it as {{"anon": true}}') from None
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ValueError(f"{where} must be name=value, such as anon=true, or a JSON object, but is neither")
    return {name.strip(): _value(name, value.strip())}


def _value(name: str, value: str) -> Any:
    if _SECRET.search(name):
        return value
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    if value.isdecimal():
        return int(value)
    return json.loads(value) if value.startswith(("{", "[")) else value


@dataclass(frozen=True, slots=True, repr=False)
class Place:
    """A folder or an address, and what opens it.

    Parameters
    ----------
    url : str
        The absolute path of a folder, or an address.
    options : mapping
        What fsspec takes to open it. They may be secret: they are in no text that is shown.
    patience : Patience
        How often a request is tried again. Requests to a local disk are not.
    """

    url: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    patience: Patience = Patience()

    @classmethod
    def of(cls, path: str | os.PathLike[str] | Place, options: Mapping[str, Any] | None = None) -> Place:
        """Return the place that a user means.

        Parameters
        ----------
        path : path or Place
            A folder or an address. A place stays as it is.
        options : mapping, optional
            What fsspec takes; by default what the environment variable ``NAPARI_CUTOUT_STORAGE_OPTIONS`` holds.

        Returns
        -------
        Place
            With an absolute path where it is a folder.
        """
        if isinstance(path, Place):
            return path
        text = os.fspath(path)
        if not is_url(text):
            return cls(os.path.abspath(_plain(text)))  # noqa: PTH100 (resolve follows links)
        return cls(text.rstrip("/"), parse_storage_options() if options is None else dict(options))

    def __repr__(self) -> str:
        return f"Place({self.shown!r})"

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine."""
        return not is_url(self.url)

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self.url)

    @property
    def name(self) -> str:
        """Its last part."""
        return self.path.name if self.is_local else self._parts()[0].rpartition("/")[2]

    @property
    def shown(self) -> str:
        """What may be read by everybody: without user, password and what follows a question mark."""
        return self.url if self.is_local else re.sub(r"(://)[^/@]*@", r"\1", self._parts()[0])

    @property
    def parent(self) -> Place:
        """What it lies in."""
        if self.is_local:
            return replace(self, url=str(self.path.parent))
        base, query = self._parts()
        above = base.rpartition("/")[0]
        return self if above.endswith(":/") else replace(self, url=above + query)

    def __truediv__(self, name: str) -> Place:
        if self.is_local:
            return replace(self, url=str(self.path / name))
        base, query = self._parts()
        return replace(self, url=f"{base}/{name}{query}")

    def _parts(self) -> tuple[str, str]:
        """Return an address without, and with nothing but, what follows a question mark."""
        base, mark, query = self.url.partition("?")
        return base, mark + query

    def hide(self, text: str) -> str:
        """Take secrets out of a text.

        Parameters
        ----------
        text : str
            What an error says.

        Returns
        -------
        str
            It, with the values of secret options and the secret parts of the address left out.
        """
        base, query = self._parts()
        users = [part for user in re.findall(r"://([^/@]*)@", base) for part in (user, *user.split(":")[1:])]
        values = [*_secrets(self.options), *users, query.lstrip("?")]
        for value in sorted(filter(None, values), key=len, reverse=True):
            text = text.replace(value, "***")
        return text


def _secrets(options: Mapping[str, Any], *, known: bool = False) -> Iterator[str]:
    for name, value in options.items():
        secret = known or _SECRET.search(str(name)) is not None
        if isinstance(value, Mapping):
            yield from _secrets(value, known=secret)
        elif secret and not isinstance(value, bool | None):
            yield str(value)
