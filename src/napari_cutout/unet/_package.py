"""A package of the BioImage Model Zoo on disk, folder or zip: only what it names is read, and no more than allowed."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from ._files import needed, read_file

__all__ = ["DESCRIPTIONS", "Package", "is_package"]

DESCRIPTIONS = ("bioimageio.yaml", "rdf.yaml")
"""What the description of a package is called; the second in old ones."""

MOST_NODES = 50_000
"""Parts of a description, those that are referred to counted as often as they are."""

MOST_DESCRIPTION, MOST_ARCHIVE = 1 << 18, 1 << 32
"""Bytes that a description and a zip may have."""

DENSEST = 200
"""How much smaller than its contents a file in a zip may be; numbers of a network hardly shrink."""


def is_package(place: Path) -> bool:
    """Tell whether a path looks like a package: a zip, a description, or a folder with one."""
    if place.suffix.lower() == ".zip" or place.name in DESCRIPTIONS:
        return True
    return any((place / name).is_file() for name in DESCRIPTIONS)


class Package:
    """The files of a package.

    Parameters
    ----------
    place : Path
        A zip, a folder, or the description in a folder.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or no description in it.
    ValueError
        If a zip is corrupt.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.zipped = place.is_file() and place.name not in DESCRIPTIONS
        self._folder = place.parent if place.name in DESCRIPTIONS else place
        if not place.exists():
            raise FileNotFoundError(f"there is no package at {str(place)!r}; give a .zip of the BioImage Model Zoo")
        found = self._descriptions()
        if not found:
            raise FileNotFoundError(f"{str(place)!r} holds no {DESCRIPTIONS[0]}, so it is no package of a model")
        top, self.description = found
        self._top = top

    def _descriptions(self) -> tuple[str, str] | None:
        """Return the folder in a zip, and the name of the description in it."""
        if not self.zipped:
            names = (self.place.name,) if self.place.name in DESCRIPTIONS else DESCRIPTIONS
            return next((("", name) for name in names if (self._folder / name).is_file()), None)
        with self._archive() as archive:
            members = [PurePosixPath(name) for name in archive.namelist()]
        for name in DESCRIPTIONS:
            if at := [m for m in members if m.name == name and len(m.parts) <= 2]:
                first = min(at, key=lambda m: (len(m.parts), m))
                return ("" if len(first.parts) == 1 else f"{first.parts[0]}/"), name
        return None

    def read(self, name: str, most: int, wanted: Any = None) -> bytes:
        """Return what a file of the package holds.

        Parameters
        ----------
        name : str
            Its path in the package.
        most : int
            Bytes that it may have.
        wanted : str, optional
            Its SHA-256.

        Raises
        ------
        FileNotFoundError
            If it is missing.
        ValueError
            If it lies elsewhere, is too large, corrupt, or not the file that belongs here.
        """
        _check_name(name)
        data = self._member(self._top + name, most) if self.zipped else self._file(name, most)
        if wanted is not None and sha256(data).hexdigest() != wanted:
            raise ValueError(
                f"{name} in {str(self.place)!r} is not the file that its description names (its SHA-256 differs); "
                f"download the package again"
            )
        return data

    def _file(self, name: str, most: int) -> bytes:
        try:
            return read_file(self._folder / name, most)
        except FileNotFoundError:
            raise self._missing(name) from None

    def _member(self, name: str, most: int) -> bytes:
        with self._archive() as archive:
            try:
                info = archive.getinfo(name)
            except KeyError:
                raise self._missing(name) from None
            if info.file_size > most or info.file_size > DENSEST * max(info.compress_size, 1 << 10):
                raise ValueError(
                    f"{name} in {str(self.place)!r} claims to have {info.file_size:,} bytes, more than it may have; "
                    f"download the package again"
                )
            with archive.open(info) as file:
                return file.read(info.file_size + 1)

    def _missing(self, name: str) -> FileNotFoundError:
        return FileNotFoundError(f"{name} is missing in {str(self.place)!r}; download the package again, whole")

    @contextmanager
    def _archive(self) -> Iterator[zipfile.ZipFile]:
        if self.place.stat().st_size > MOST_ARCHIVE:
            raise ValueError(
                f"{str(self.place)!r} has more than {MOST_ARCHIVE:,} bytes, so it is no package of a model"
            )
        try:
            with zipfile.ZipFile(self.place) as archive:
                yield archive
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeError) as error:
            # The last but one: it is encrypted.
            raise ValueError(f"{str(self.place)!r} is not a complete zip: {error}; download it again") from error

    def content(self) -> dict[str, Any]:
        """Return what the description says.

        Raises
        ------
        ValueError
            If it is no YAML, or refers to parts of itself so often that it would be huge.
        ImportError
            If PyYAML is not installed.
        """
        yaml = needed("yaml", "reading a package", "zoo")
        data = self.read(self.description, MOST_DESCRIPTION)
        where = f"{self.description} in {str(self.place)!r}"
        try:
            found = _plain(yaml.SafeLoader(data.decode("utf-8")))
        except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"{where} is not plain YAML: {error!s:.200}") from error
        if not isinstance(found, dict) or found.get("type") != "model":
            raise ValueError(f"{where} does not describe a model; choose a package of a model")
        return found


def _plain(loader: Any) -> Any:
    """Return what YAML says in plain objects, unless references make it huge."""
    try:
        node = loader.get_single_node()
        return None if node is None or not _n_nodes(node, {}) else loader.construct_document(node)
    finally:
        loader.dispose()


def _n_nodes(node: Any, known: dict[int, int]) -> int:
    """Return how many parts a part of YAML has, without going through any twice."""
    if id(node) not in known:
        known[id(node)] = MOST_NODES  # until it is known: then one that holds itself has too many
        parts = node.value if isinstance(node.value, list) else ()
        inner = (n for part in parts for n in (part if isinstance(part, tuple) else (part,)))
        known[id(node)] = 1 + sum(_n_nodes(n, known) for n in inner)
    if known[id(node)] > MOST_NODES:
        raise ValueError("it refers to parts of itself again and again")
    return known[id(node)]


def _check_name(name: Any) -> None:
    """Refuse what does not lie in the package."""
    if isinstance(name, str) and "://" in name:
        raise ValueError(f"{name} lies on the network, and nothing is fetched from there; download the package whole")
    path = PurePosixPath(name) if isinstance(name, str) else None
    if path is None or path.is_absolute() or not path.parts or ".." in path.parts or set(name) & set("\\:\0"):
        raise ValueError(f"a package may name files that lie in it alone, got {name!r}")
