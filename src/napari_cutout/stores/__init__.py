"""Zarr stores: local folders and object stores in, OME-Zarr labels out."""

from ._checked import CheckedArray, create_array
from ._image import Image, Level, open_image
from ._layout import Layout, smallest
from ._place import Patience, Place, is_store, is_url, parse_storage_options
from ._target import LabelsTarget, edit_labels

__all__ = [
    "CheckedArray",
    "Image",
    "LabelsTarget",
    "Layout",
    "Level",
    "Patience",
    "Place",
    "create_array",
    "edit_labels",
    "is_store",
    "is_url",
    "open_image",
    "parse_storage_options",
    "smallest",
]
