"""Zarr stores: local folders and object stores in, OME-Zarr labels out."""

from collections.abc import Callable
from typing import Any

from ._checked import CheckedArray, Damaged, create_array
from ._edit import edit_labels
from ._image import Image, Level, Unreadable, attributes_of, open_image
from ._layout import Layout, smallest
from ._place import MARKERS, OPTIONS_VARIABLE, Patience, Place, holds_metadata, is_store, is_url, parse_storage_options
from ._site import Site
from ._target import LabelsTarget
from ._write import write as write_volume


def tried(place: Place, doing: str, key: str, request: Callable[[], Any]) -> Any:
    """Do a request of another library to an object store as those of Zarr are done; see `_guard.tried`."""
    from ._guard import tried

    return tried(place, doing, key, request)


__all__ = [
    "MARKERS",
    "OPTIONS_VARIABLE",
    "CheckedArray",
    "Damaged",
    "Image",
    "LabelsTarget",
    "Layout",
    "Level",
    "Patience",
    "Place",
    "Site",
    "Unreadable",
    "attributes_of",
    "create_array",
    "edit_labels",
    "holds_metadata",
    "is_store",
    "is_url",
    "open_image",
    "parse_storage_options",
    "smallest",
    "tried",
    "write_volume",
]
