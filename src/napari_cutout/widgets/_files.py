"""Labels layers that keep everything in a file, and the reader that restores them.  No Qt here.

What napari asks for is decided before a reader is run: npe2 compares names with patterns, and where two plugins claim
one name, napari shows a dialog, although one of them would have declined. napari itself claims every ending of a TIFF
file and every folder. So a reader that shall be used costs a dialog for all that it claims, until the user lets napari
remember the answer; and this one claims little. (In a script, ``viewer.open(path)`` means napari's own reader; pass
``plugin="napari-cutout"``, or ``plugin=None`` for what the menu does.)

``*.ome.tif``, ``*.ome.tiff``
    What our writer makes. Other TIFF files stay with napari, without a question.
folders
    A Zarr store is a folder, and npe2 offers a folder to all readers of folders or to none; its name plays no part.
    The question is worth it: napari opens stores without spacing, labels as images, levels in the order of
    their names, and those that hold labels beside an image not at all. Those who open stores often answer it once:
    Preferences > Plugins, pattern ``*.zarr/``.
``zarr.json``, ``.zattrs``, ``.zgroup``, ``.zarray``
    The file within a store that describes it. Nobody else claims these, so opening or dropping it asks nothing.
``*://*.zarr``, ``*://*.zarr/*``
    The address of a store, as in ``napari s3://bucket/cells.ome.zarr``. What is needed to open it stands in the
    environment: the variables of its library, or ``NAPARI_CUTOUT_STORAGE_OPTIONS``.

The writers claim ``.ome.tif``, ``.ome.tiff``, ``.ome.zarr`` and ``.zarr``, which napari writes none of (the first two
it would write as plain TIFF). npe2 prefers the longest ending, so a script that saves ``cells.ome.tif`` gets ours
without naming it. Plain ``.tif`` stays napari's own: programs that take it expect it bare, and the names tell the two
apart when they are opened.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .. import io, stores
from .._volume import SPATIAL, Volume, as_json, axis_letter, common_spacing
from ._edited import with_edits
from ._layers import MAX_LAZY_BYTES
from ._store_levels import recipe_and_provenance

__all__ = ["get_reader", "read_layers", "write_ome_tiff", "write_ome_zarr"]

LayerData = tuple[Any, dict[str, Any], str]
"""Data, arguments of a layer, type of the layer."""

_OURS = "napari_cutout"
"""The entry of a layer's metadata that is ours."""

_LAYER = "layer"
"""The entry of our metadata in a file that says what no file format can say of a layer."""

_OTHERS = "others"
"""The entry of our metadata in a file that holds what other plugins keep in a layer's metadata."""

_OF_THE_STORE = ("store", "spread", "unfinished", "run")
"""Entries of our metadata that say something of the store that a layer shows, not of its labels."""

_READ_FOR_LIMITS = 1 << 22
"""Voxels that are read at most to find the range that an image is shown in."""

_TIFF_ENDINGS = (".ome.tif", ".ome.tiff")
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_AXES_BY_NDIM = {2: "yx", 3: "zyx", 4: "tzyx", 5: "tczyx"}


# Writing -----------------------------------------------------------------------------------------------


def write_ome_tiff(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write a Labels layer as OME-TIFF, with all that `get_reader` needs to restore it.

    Parameters
    ----------
    path : str
        Where to write. Another ending than .ome.tif or .ome.tiff becomes .ome.tif.
    data : array
        Labels, 2-D to 5-D; of a multiscale layer its levels. Dask and Zarr arrays are computed a few planes at
        a time.
    attributes : mapping
        What napari says of the layer: scale, translate, rotate, shear, affine, units, axis_labels, metadata, name.

    Returns
    -------
    list of str
        The file. 64-bit labels are stored in 32 bits, which must hold them, and come back as they were.

    Raises
    ------
    OSError
        If the layer is a preview, does not fit the format, or cannot be written; nothing is changed then.
    """
    target = Path(path)
    if not target.name.lower().endswith(_TIFF_ENDINGS):
        bare = target.stem if target.suffix.lower() in (".tif", ".tiff") else target.name
        target = target.with_name(f"{bare}.ome.tif")
    return _write(target, data, attributes, asked=target == Path(path))


def write_ome_zarr(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write a Labels layer as OME-Zarr, with all that `get_reader` needs to restore it.

    Parameters
    ----------
    path : str
        Where to write. Another ending than .zarr becomes .ome.zarr.
    data : array
        Labels, 2-D to 5-D; of a multiscale layer its levels, of which only the finest is used: lower levels are
        made from it. Dask and Zarr arrays are computed and written block by block.
    attributes : mapping
        What napari says of the layer.

    Returns
    -------
    list of str
        The folder. Labels of every dtype come back as they were.

    Raises
    ------
    OSError
        If the layer is a preview, does not fit the format, or cannot be written; or something is there that is
        not labels that we wrote. Nothing is changed then.
    """
    target = Path(path)
    if target.suffix.lower() != ".zarr":
        target = target.with_name(f"{target.name}.ome.zarr")
    return _write(target, data, attributes, asked=target == Path(path))


def _write(target: Path, data: Any, attributes: Mapping[str, Any], *, asked: bool) -> list[str]:
    """Write a layer. The user has been asked about an existing file only where the name is the one he gave."""
    with _no_value_error(target):
        volume = _as_volume(data, attributes)
        if target.exists() and (problem := _not_replaceable(target)):
            raise FileExistsError(
                f"{str(target)!r} exists already, and {problem}, so it is not replaced; "
                "choose another name, or move it away"
            )
        return [str(io.write(target, volume, kind="labels", overwrite=asked))]


@contextmanager
def _no_value_error(target: Path) -> Iterator[None]:
    """Raise an OSError instead: napari takes a ValueError of a writer to mean that there is no such writer."""
    try:
        yield
    except ValueError as error:
        raise OSError(f"could not write {str(target)!r}: {error}") from error


def _as_volume(data: Any, attributes: Mapping[str, Any]) -> Volume:
    metadata = attributes.get("metadata", {})
    ours = {name: value for name, value in metadata.get(_OURS, {}).items() if name not in _OF_THE_STORE}
    name = str(attributes.get("name", ""))
    if ours.get("preview"):
        raise ValueError(f"'{name}' is a preview, which is not saved; press Run and save its result")
    finest = data[0] if attributes.get("multiscale") else data
    axes = _axes(finest.ndim, attributes.get("axis_labels", ()))
    ours = with_edits(ours, finest)
    ours[_LAYER] = _layer(attributes)
    if others := _others(metadata):
        ours[_OTHERS] = others
    spacing, units, origin = _grid(axes, attributes)
    return Volume(finest, axes, spacing, units, name, ours, origin)


def _axes(ndim: int, axis_labels: Sequence[str]) -> str:
    """Name the axes by the layer's own labels where these are words for axes, and else by their number."""
    if ndim not in _AXES_BY_NDIM:
        raise ValueError(f"labels of 2 to 5 axes can be saved, but these have {ndim}; take a part of them")
    letters = "".join(axis_letter(label) or "?" for label in axis_labels)
    spatial = "".join(letter for letter in letters if letter in SPATIAL)
    named = len(letters) == ndim and len(set(letters)) == ndim and "?" not in letters
    return letters if named and spatial in ("yx", "zyx") else _AXES_BY_NDIM[ndim]


def _grid(
    axes: str, attributes: Mapping[str, Any]
) -> tuple[tuple[float, ...] | None, str | None, tuple[float, ...] | None]:
    """Return spacing, units and origin for programs that know these only."""
    spatial = [at for at, axis in enumerate(axes) if axis in SPATIAL]
    scale = [float(attributes.get("scale", (1.0,) * len(axes))[at]) for at in spatial]
    shift = [float(attributes.get("translate", (0.0,) * len(axes))[at]) for at in spatial]
    names = [str(attributes.get("units", ("pixel",) * len(axes))[at]) for at in spatial]
    spacing, units = common_spacing(scale, names)
    if spacing is None or (units is None and set(spacing) == {1.0} and not any(shift)):
        return None, None, None
    origin = tuple(by * (to / abs(length)) for by, length, to in zip(shift, scale, spacing, strict=True))
    return spacing, units, origin


def _layer(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return, as plain JSON, what puts and shows the layer as it is."""
    ndim = len(attributes["scale"])
    # What a layer has unless somebody set it is left out.
    usual = {"rotate": np.eye(ndim), "shear": np.zeros(ndim * (ndim - 1) // 2), "affine": np.eye(ndim + 1)}
    plain = {name: attributes[name] for name in ("name", "multiscale", "opacity", "blending") if name in attributes}
    lists = {name: np.asarray(attributes[name], float).tolist() for name in ("scale", "translate")}
    set_ = {
        name: np.asarray(attributes[name], float).tolist()
        for name, default in usual.items()
        if not np.array_equal(attributes.get(name, default), default)
    }
    units = [str(unit) for unit in attributes.get("units", ())]
    return {**plain, **lists, **set_, "units": units, "axis_labels": list(attributes.get("axis_labels", ()))}


def _others(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what other plugins keep in the metadata, as far as JSON can hold it; warn of the rest."""
    kept = {}
    for name, value in metadata.items():
        if name == _OURS:
            continue
        try:
            kept[str(name)] = json.loads(as_json(value))
        except ValueError:
            warnings.warn(f"the metadata {name!r} are no plain JSON, so they are not in the file", stacklevel=2)
    return kept


def _not_replaceable(path: Path) -> str:
    """Say why what is there may not be replaced by labels, or return an empty string."""
    if not path.is_dir():
        with path.open("rb") as file:
            start = file.read(4)
        wanted = path.suffix.lower() != ".zarr" and (not start or start in _TIFF_STARTS)
        return "" if wanted else "it is not what its name says"
    if not stores.holds_metadata(path):
        return "it is a folder but no Zarr store"
    attributes = stores.attributes_of(path)
    if _OURS not in attributes or "image-label" not in attributes:
        return "it holds no labels that were saved by napari-cutout"
    levels = {level["path"] for level in attributes["multiscales"][0]["datasets"]}
    more = sorted(entry.name for entry in path.iterdir() if entry.name not in {*levels, "zarr.json"})
    return f"it holds {', '.join(more)} beside the labels" if more else ""


# Reading -----------------------------------------------------------------------------------------------


def get_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """Return what reads a path, or None where that is better left to others.

    Parameters
    ----------
    path : str or list of str
        What the user opens.

    Returns
    -------
    callable or None
        `read_layers` for an OME-TIFF file, the folder of a Zarr store, the file in it that describes it, and the
        address of a store. None for several paths, which are a stack, and for other folders and addresses.
    """
    if not isinstance(path, str):
        return None
    if stores.is_url(path):
        return read_layers if ".zarr" in stores.Place.of(path).shown.lower() else None
    place = _place(path)
    tiff = place.is_file() and place.name.lower().endswith(_TIFF_ENDINGS)
    return read_layers if tiff or (place.is_dir() and stores.holds_metadata(place)) else None


def _place(path: str) -> Path:
    """Return the store that a file in it stands for, or the path itself."""
    place = Path(path)
    return place.parent if place.name in stores.MARKERS else place


def read_layers(path: str | Sequence[str]) -> list[LayerData]:
    """Read a file or a store as layers.

    Parameters
    ----------
    path : str
        What `get_reader` accepts.

    Returns
    -------
    list of tuple
        Layer data tuples. Labels that we wrote come as they were. Other OME-Zarr images come as dask arrays,
        multiscale where there are levels, and their labels on them; what is in a TIFF file is read. Labels of at most
        1 GiB are read, since only NumPy arrays can be painted into, unless they were multiscale when they were saved,
        a run has written them tile by tile, or they are at an address.

    Raises
    ------
    FileNotFoundError, ValueError
        If it cannot be read; the message is one sentence.
    """
    if stores.is_url(str(path)):
        return _read_store(stores.Place.of(str(path), stores.parse_storage_options()))
    place = _place(str(path))
    if place.is_dir():
        return _read_store(stores.Place.of(place))
    volume = io.read(place)
    ours = not volume.metadata.keys().isdisjoint((_LAYER, "recipe", "provenance"))
    return [_labels([volume]) if ours else _image([volume], [])]


def _read_store(store: stores.Place) -> list[LayerData]:
    about = stores.attributes_of(store)
    names = about.get("labels", [])
    if "multiscales" not in about and names:
        return [_labels(_levels(store / name), store / name) for name in names]
    volumes = _levels(store)
    if "image-label" in about or _LAYER in volumes[0].metadata:
        return [_labels(volumes, store)]
    channels = [str(channel.get("label", "")) for channel in about.get("omero", {}).get("channels", [])]
    return [_image(volumes, channels), *_labels_of_image(store / "labels")]


def _labels_of_image(folder: stores.Place) -> list[LayerData]:
    if folder.is_local and not stores.holds_metadata(folder.path):
        return []
    try:
        names = stores.attributes_of(folder).get("labels", [])
    except FileNotFoundError:  # an image without labels
        return []
    return [_labels(_levels(folder / name), folder / name) for name in names]


def _levels(store: stores.Place) -> list[Volume]:
    return io.read_lazily(store.url, storage_options=store.options)


def _labels(levels: Sequence[Volume], store: stores.Place | None = None) -> LayerData:
    finest = levels[0]
    ours = recipe_and_provenance(finest.metadata)
    saved = ours.pop(_LAYER, {})
    metadata = ours.pop(_OTHERS, {})
    n_bytes = finest.data.size * finest.data.dtype.itemsize
    stays = saved.get("multiscale", False) or "run" in ours or (store is not None and not store.is_local)
    lazy = len(levels) > 1 and (stays or n_bytes > MAX_LAZY_BYTES)
    if lazy and store is not None:
        ours["store"] = store.url
    if ours:
        metadata[_OURS] = ours
    data = [level.data for level in levels] if lazy else _in_memory(finest.data, n_bytes)
    options = {**_placement(finest, finest.axes), "name": finest.name, **saved, "metadata": metadata}
    return data, {**options, "multiscale": lazy}, "labels"


def _in_memory(data: Any, n_bytes: int) -> Any:
    return np.asarray(data) if n_bytes <= MAX_LAZY_BYTES else data


def _image(levels: Sequence[Volume], channels: Sequence[str]) -> LayerData:
    finest = levels[0]
    data = [level.data for level in levels] if len(levels) > 1 else finest.data
    options = {**_placement(finest, finest.axes.replace("c", "")), "name": finest.name}
    options |= {"multiscale": len(levels) > 1, "metadata": dict(finest.metadata)}
    at = finest.axes.find("c")
    if at >= 0 and at == len(finest.axes) - 1 and finest.data.shape[at] in (3, 4):
        options["rgb"] = True
    elif at >= 0:
        options["channel_axis"] = at
        n = int(finest.data.shape[at])
        options["metadata"] = [_of_channel(finest, number, n) for number in range(n)]
        if len(channels) == finest.data.shape[at] and all(channels):
            options["name"] = [f"{finest.name} {channel}" for channel in channels]
    if "rgb" not in options and (limits := _contrast_limits(levels[-1])):
        options["contrast_limits"] = limits if "channel_axis" in options else limits[0]
    return data, options, "image"


def _contrast_limits(coarsest: Volume) -> list[tuple[float, float]]:
    """Return the range of each channel of a level that is small enough to be read for it; empty if it is not.

    napari takes the range of the plane that it shows first, which of a layer that lies elsewhere than at 0 is none.
    """
    array = coarsest.data
    if isinstance(array, np.ndarray) or array.dtype.kind not in "uif" or array.dtype.itemsize == 1:
        return []
    if array.size > _READ_FOR_LIMITS:
        middle = (n // 2 if axis in "tz" else 0 for axis, n in zip(coarsest.axes, array.shape, strict=True))
        array = array[tuple(slice(at, at + 1) if at else slice(None) for at in middle)]
    if array.size > _READ_FOR_LIMITS:
        return []
    values = np.asarray(array)
    channels = np.moveaxis(values, coarsest.axes.index("c"), 0) if "c" in coarsest.axes else values[np.newaxis]
    return [_range(channel[np.isfinite(channel)]) for channel in channels]


def _range(values: Any) -> tuple[float, float]:
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    return (low, high) if low < high else (low, low + 1)


def _of_channel(volume: Volume, number: int, n: int) -> dict[str, Any]:
    """Return the metadata of a layer that is one channel of a file: it says which, so that it can be read again."""
    return {**volume.metadata, _OURS: {"channel": number, "n_channels": n, "axes": volume.axes}}


def _placement(volume: Volume, axes: str) -> dict[str, Any]:
    """Return where a layer with these axes lies, as far as the file says it."""
    options: dict[str, Any] = {"axis_labels": tuple(axes)}
    if volume.spacing is not None:
        spacing = dict(zip(volume.spatial_axes, volume.spacing, strict=True))
        origin = dict(zip(volume.spatial_axes, volume.origin or (), strict=False))
        options["scale"] = tuple(spacing.get(axis, 1.0) for axis in axes)
        options["translate"] = tuple(origin.get(axis, 0.0) for axis in axes)
        options["units"] = tuple((volume.units or "pixel") if axis in SPATIAL else "pixel" for axis in axes)
    return options
