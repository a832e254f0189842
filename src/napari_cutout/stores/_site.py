"""The place that labels go to: what is there, what may be replaced, and where they are made until they are complete."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._writing import sentence_of
from ._image import attributes_of
from ._layout import Version
from ._metadata import KEY
from ._place import Place, holds_metadata

if TYPE_CHECKING:
    from ._guard import Guarded

__all__ = ["OLD", "Site"]

_DATA = "labels.zarr"
OLD = "replaced.zarr"
"""What labels that are replaced are called in the folder of the run, for a moment."""

_MAKING = ".making.json"
"""The key on an object store that says that labels are being made there."""

_NEAR = 4


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """Where labels go, and where they are made.

    Parameters
    ----------
    place : Place
        Where they go.
    work : Path
        The folder of the run, which holds local labels until they are complete.
    version : {"0.5", "0.4"}
        Of OME-Zarr.
    image : Place, optional
        The image that they are added to.
    source : str, optional
        Where the image is that they lie on, without credentials.
    overwrite : bool
        Whether labels that are there may be replaced.
    second : bool
        On an object store: whether the levels are named b0, b1 and so on, because labels that are there, and stay
        until these are complete, have levels named 0, 1 and so on.
    """

    place: Place
    work: Path
    version: Version
    image: Place | None = None
    source: str | None = None
    overwrite: bool = False
    second: bool = False

    @classmethod
    def of(
        cls,
        path: str | os.PathLike[str] | Place,
        work: str | os.PathLike[str],
        options: Mapping[str, Any] | None,
        *,
        source: str | None,
        ngff: Version | None,
        overwrite: bool,
        resumed: bool = False,
    ) -> Site:
        """Look at a place, and refuse one that holds what must stay; see `LabelsTarget.create`."""
        if ngff not in (None, "0.4", "0.5"):
            raise ValueError(f"ngff must be '0.5' or '0.4', but is {ngff!r}")
        place = Place.of(path, options)
        image, version = _image_of(place)
        if image is not None and ngff not in (None, version):
            raise ValueError(
                f"ngff is {ngff!r}, but labels in an image have its version, and {image.shown!r} is {version!r}; "
                "leave ngff out, or write a store of their own"
            )
        source = None if source is None else Place.of(source).shown
        site = cls(place, Path(work), ngff or version, image, source, overwrite)
        levels = _levels_of(_about(place))
        begun = site.begun() if resumed else None
        if resumed and begun is None:
            # It was put in place before the kill, and what it has replaced is gone.
            return replace(site, second="b0" in levels)
        site.check()
        return replace(site, second=begun["second"] if begun else "0" in levels)

    def check(self) -> None:
        """Refuse to replace what is there: only labels are, and only if that is asked for.

        Raises
        ------
        FileExistsError
            If something is there that may not be replaced.
        FileNotFoundError
            If there is no folder to write to.
        """
        place, about = self.place, _about(self.place)
        _refuse_inside(place)
        if place.is_local and self.image is None and not place.path.parent.is_dir():
            raise FileNotFoundError(f"there is no folder {place.parent.url!r} to write {place.name!r} to; make it")
        if about is None and not (place.is_local and os.path.lexists(place.path)):
            return
        if not self.overwrite:
            raise FileExistsError(f"{place.shown!r} exists already; choose another name, or allow to overwrite it")
        if problem := self._problem(about):
            raise FileExistsError(
                f"{place.shown!r} exists already, and {problem}, so it is not replaced; "
                "choose another name, or move it away"
            )

    def _problem(self, about: Mapping[str, Any] | None) -> str:
        """Say why what is there is not replaced, whatever is asked for."""
        if about is None:
            return "it is no Zarr store"
        if f"{self.source}/".startswith(f"{self.place.shown}/"):
            return "it holds the image that is read"
        return "" if "image-label" in about or KEY in about else "it holds no labels"

    @property
    def data(self) -> Place:
        """Where the arrays of the levels are."""
        if not self.place.is_local:
            return self.place
        made = Place(str(self.work / _DATA))
        return made if made.path.exists() or not holds_metadata(self.place.path) else self.place

    def begun(self) -> dict[str, Any] | None:
        """Return what is known of labels that are not in place yet; None where there are none."""
        if self.place.is_local:
            return {"second": False} if (self.work / _DATA).exists() else None
        return _store(self.place).read_json(_MAKING)

    def names(self, n: int) -> list[str]:
        """Return the paths of the first levels in the group."""
        return [f"b{index}" if self.second and not self.place.is_local else str(index) for index in range(n)]

    def level(self, index: int) -> Place:
        """Return where the array of a level is."""
        return self.data / self.names(index + 1)[index]

    def clear(self) -> None:
        """Remove what a run before left, and begin.

        Raises
        ------
        OSError
            If it cannot be written to.
        """
        self.probe()
        if self.place.is_local:
            shutil.rmtree(self.work / _DATA, ignore_errors=True)
            _make(self.work / _DATA, self.place.path)
            return
        _store(self.place, read_only=False).write_json(_MAKING, {"second": self.second})
        self.remove(second=self.second)

    def remove(self, *, second: bool) -> None:
        """Remove the levels under one of the two sets of names from an object store."""
        store = _store(self.place, read_only=False)
        for name in _leftover(self.place, "b" if second else ""):
            store.remove(prefix=name)

    def end(self) -> None:
        """Forget that labels were begun."""
        if self.place.is_local:
            shutil.rmtree(self.work / _DATA, ignore_errors=True)
        else:
            _store(self.place, read_only=False).remove(key=_MAKING)

    def probe(self) -> None:
        """See that it can be written to.

        Raises
        ------
        OSError
            If it cannot.
        """
        if self.place.is_local:
            _make(self.work, self.place.path)
            return
        store = _store(self.place, read_only=False)
        store.write_json(".writable", {})
        store.remove(key=".writable")

    def image_path(self) -> str | None:
        """Return how the labels name the image that they lie on.

        Returns
        -------
        str or None
            A path relative to the labels where they are in the image, or both are near each other on a disk; else an
            address.
        """
        if self.image is not None and self.source in (None, self.image.shown):
            return "../../"
        if self.source is None or not Path(self.source).is_absolute():
            return self.source
        if self.place.is_local:
            path = Path(os.path.relpath(self.source, self.place.path)).as_posix()
            if path.split("/").count("..") <= _NEAR:
                return path
        return Path(self.source).as_uri()


def _refuse_inside(place: Place) -> None:
    """Refuse a place inside an image or an array, where only ``labels/name`` of an image is no part of its data."""
    image = place.parent.parent.url if place.parent.name == "labels" else ""
    for above in _above(place):
        if above.url != image and _holds_data(above):
            raise FileExistsError(
                f"{place.shown!r} lies in {above.shown!r}, which holds an image, so nothing is written there; write to "
                "labels/NAME in the image, or to a store of its own"
            )


def _above(place: Place) -> Iterator[Place]:
    """Give what a place lies in: all folders, or what of an address may be a store by its name."""
    above = place.parent
    while above.url != place.url and (above.is_local or ".zarr" in above.url):
        yield above
        place, above = above, above.parent


def _holds_data(place: Place) -> bool:
    try:
        about = _about(place)
    except (OSError, ValueError):  # something else, or not ours to read
        return False
    return about is not None and (bool(about.get("multiscales")) or _is_array(place))


def _is_array(place: Place) -> bool:
    store = _store(place)
    return store.has(".zarray") or (store.read_json("zarr.json") or {}).get("node_type") == "array"


def _store(place: Place, *, read_only: bool = True) -> Guarded:
    from ._guard import guarded

    return guarded(place, read_only=read_only)


def _leftover(place: Place, prefix: str) -> list[str]:
    """Return the names of the levels that are there."""
    found: list[str] = []
    while any(_store(place / f"{prefix}{len(found)}").has(marker) for marker in ("zarr.json", ".zarray")):
        found.append(f"{prefix}{len(found)}")
    return found


def _make(folder: Path, target: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise sentence_of(error, target) from error


def _image_of(place: Place) -> tuple[Place | None, Version]:
    """Return the image that a place for labels is in, and the version that they have."""
    image = place.parent.parent
    about = _about(image) if place.parent.name == "labels" else None
    if about is None or not about.get("multiscales"):
        return None, "0.5"
    return image, "0.5" if _store(image).has("zarr.json") else "0.4"


def _about(place: Place) -> dict[str, Any] | None:
    """Return the attributes of what is at a place; None where there is no store."""
    if place.is_local and not holds_metadata(place.path):
        return None
    try:
        return attributes_of(place)
    except FileNotFoundError:
        return None


def _levels_of(about: Mapping[str, Any] | None) -> list[str]:
    images = (about or {}).get("multiscales") or [{}]
    return [str(level.get("path")) for level in images[0].get("datasets") or ()]
