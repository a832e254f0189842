"""How labels that are complete are put in place, at one stroke, and so that it can be done again after a kill."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from .._writing import sentence_of
from ._image import attributes_of
from ._layout import Version
from ._metadata import KEY
from ._place import Place
from ._site import OLD, Site

__all__ = ["commit", "discarded"]


def commit(site: Site, attributes: Mapping[str, Any]) -> None:
    """Make labels of the arrays of a site; see `LabelsTarget.commit`."""
    if site.place.is_local:
        _put(site, attributes)
    else:
        _publish(site, attributes)
    if site.image is not None:
        _enlist(site.image, site.place.name, site.version)
    site.end()


def discarded(site: Site) -> None:
    """Remove the arrays of a site that have not become labels."""
    if not site.place.is_local and site.begun() is not None:
        site.remove(second=site.second)
    site.end()


def _put(site: Site, attributes: Mapping[str, Any]) -> None:
    """Rename a local store into place, with what is there moved aside until it is."""
    target, old = site.place.path, site.work / OLD
    if site.begun() is not None:
        made = site.data
        _sweep_out(made.path)
        _describe(made, attributes, site.version)
        site.check()  # somebody may have made it meanwhile
        try:
            target.parent.mkdir(exist_ok=True)
            _rename(made.path, target, old)
        except OSError as error:
            raise sentence_of(error, target) from error
    shutil.rmtree(old, ignore_errors=True)


def _rename(made: Path, target: Path, old: Path) -> None:
    if not target.exists():
        made.rename(target)
        return
    shutil.rmtree(old, ignore_errors=True)
    target.rename(old)
    try:
        made.rename(target)
    except BaseException:
        old.rename(target)
        raise


def _sweep_out(folder: Path) -> None:
    """Remove what a killed process had begun to write: Zarr writes each file under another name and renames it."""
    for left in folder.rglob("*.partial"):
        left.unlink(missing_ok=True)


def _publish(site: Site, attributes: Mapping[str, Any]) -> None:
    """Write the metadata of a group on an object store, and then remove the levels that it had before."""
    if site.begun() is None:
        return
    _describe(site.place, attributes, site.version)
    from ._guard import guarded

    store = guarded(site.place, read_only=False)
    for key in (".zgroup", ".zattrs") if site.version == "0.5" else ("zarr.json",):
        if store.has(key):
            store.remove(key=key)
    site.remove(second=not site.second)


def _describe(place: Place, attributes: Mapping[str, Any], version: Version) -> None:
    """Write the metadata of a group; the document that makes a difference last."""
    from ._guard import guarded

    store = guarded(place, read_only=False)
    if version == "0.5":
        store.write_json("zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)})
        return
    store.write_json(".zgroup", {"zarr_format": 2})
    store.write_json(".zattrs", dict(attributes))


def _enlist(image: Place, name: str, version: Version) -> None:
    """Add a name to the list of the labels of an image, and those that others have put in place at the same time.

    Two that read the list before either has written it take each other's name out of it. So each looks again when it
    has written: then labels of whoever wrote before are in place, and the last one to write leaves none out.
    """
    added: set[str] = set()
    new = {name}
    while new:
        _add(image / "labels", new, version)
        _consolidate(image, version)
        added |= new
        new = {found for found in _unknown(image, version) - added if _is_ours(image / "labels" / found)}


def _add(folder: Place, new: Set[str], version: Version) -> None:
    """Write names into the list of labels that are not in it."""
    from ._guard import guarded

    store = guarded(folder, read_only=False)
    if version == "0.5":
        about = dict((store.read_json("zarr.json") or {}).get("attributes") or {})
        listing = about["ome"] = dict(about.get("ome") or {"version": version})
    else:
        listing = about = dict(store.read_json(".zattrs") or {})
    names = list(listing.get("labels") or ())
    listing["labels"] = names + sorted(set(new) - set(names))
    _describe(folder, about, version)


def _unknown(image: Place, version: Version) -> set[str]:
    """Return what lies in the folder of the labels of an image and is not in the list, or not in all metadata."""
    from ._guard import guarded

    folder, store = guarded(image / "labels"), guarded(image)
    if version == "0.5":
        about = (folder.read_json("zarr.json") or {}).get("attributes") or {}
        document = ((store.read_json("zarr.json") or {}).get("consolidated_metadata") or {}).get("metadata")
        listed = (about.get("ome") or {}).get("labels")
    else:
        listed = (folder.read_json(".zattrs") or {}).get("labels")
        document = (store.read_json(".zmetadata") or {}).get("metadata")
    known = set(listed or ())
    if document:
        known &= {key.split("/")[1] for key in document if key.startswith("labels/")}
    return set(folder.names()) - known


def _is_ours(place: Place) -> bool:
    """Tell whether labels are complete and were made by this package; others are not ours to list."""
    try:
        about = attributes_of(place)
    except (OSError, ValueError):
        return False
    return KEY in about


def _consolidate(image: Place, version: Version) -> None:
    """Make the consolidated metadata of an image anew where it has such, or readers would not see its labels."""
    import zarr

    from ._guard import guarded

    store = guarded(image, read_only=False)
    document = store.read_json("zarr.json" if version == "0.5" else ".zmetadata")
    if document and document.get("consolidated_metadata" if version == "0.5" else "metadata"):
        with warnings.catch_warnings():
            # Zarr says that Zarr 3 has no such metadata yet, and that the folder of the run is no part of the store.
            warnings.simplefilter("ignore", zarr.errors.ZarrUserWarning)
            zarr.consolidate_metadata(store, zarr_format=3 if version == "0.5" else 2)
