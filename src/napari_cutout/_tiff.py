"""TIFF files: ImageJ, OME and plain ones in, OME-TIFF out."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ._array import is_host
from ._volume import AXES, UNITS, Volume, arrange, common_spacing, guess_axes, numpy_or_dask, pack, unpack

_NAMESPACE = "napari_cutout"

# No image is compressed that well; a damaged header may ask for more memory than there is.
_MAX_RATIO = 100_000

# The unit that OME-TIFF has for lengths that are relative only: without one it would mean micrometres.
_NO_UNIT = "reference frame"

_NARROWED = ("int64", "uint64", "float16")
"""What OME-TIFF does not have; it is stored in 32 bits, and restored when we read it."""

_SLAB_BYTES = 2**27
"""How much of an array that is not in memory is computed at once, unless its chunks are larger."""

_CENTIMETRE = 3
"""What the tag ResolutionUnit holds for it."""


def read(path: Path) -> Volume:
    """Read the one image of a TIFF file.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Volume
        All planes, with the spacing of ImageJ or OME metadata.

    Raises
    ------
    ValueError
        If the file is damaged, or holds several images.
    """
    import tifffile

    with _damage_raises(), tifffile.TiffFile(path) as tif:
        series = _only_series(tif)
        _check_complete(series, path.stat().st_size)
        if tif.is_ome:
            return _read_ome(tif.ome_metadata, series)
        data, axes = _named(series.asarray(), series.axes)
        spacing, units = (_imagej_spacing if tif.is_imagej else _plain_spacing)(tif, axes)
    return Volume(data, axes, spacing, units)


@contextmanager
def _damage_raises() -> Iterator[None]:
    """Raise where tifffile only logs that it replaced missing data by zeros or left out pages."""
    handler = _Damage()
    logger = logging.getLogger("tifffile")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
    if handler.message:
        raise ValueError(f"the file is damaged: {handler.message}")


class _Damage(logging.Handler):
    """Keep the first message about damaged data that comes from this thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.message = ""
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Take one message of tifffile."""
        text = record.getMessage()
        # Microscopes write private tags that break the standard; they do not touch the voxels. But a tag
        # whose value lies beyond the end of the file tells that the file is cut short.
        tag = ("TiffTag" in text or "for tag #" in text) and "value offset" not in text
        serious = record.levelno >= logging.ERROR or "zeroed" in text or "failed to reshape" in text
        if record.thread == self._thread and serious and not tag:
            self.message = self.message or text


def _only_series(tif: Any) -> Any:
    series = [one for one in tif.series if one.kind != "thumbnail"]
    if not series:
        raise ValueError("the file holds no image")
    if len(series) > 1:
        shapes = ", ".join(str(one.shape) for one in series[:5])
        raise ValueError(
            f"the file holds {len(series)} images of the shapes {shapes}; save the one to be read by itself"
        )
    return series[0]


def _check_complete(series: Any, size: int) -> None:
    if series.nbytes > _MAX_RATIO * size:
        raise ValueError(f"the file is damaged: its {size} bytes cannot hold an image of the shape {series.shape}")
    if series.dataoffset is not None:
        _check_extent(series.dataoffset, series.nbytes, size)
    for index, page in enumerate(series.pages):
        if page is None:
            raise ValueError(f"plane {index} of {len(series.pages)} is missing; copy all of its files")
        if not page.dataoffsets:
            raise ValueError(f"plane {index} of {len(series.pages)} has no data")
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            _check_extent(offset, count, size if page.parent is series.parent else None)


def _check_extent(offset: int, count: int, size: int | None) -> None:
    if not offset or not count:
        raise ValueError("the file was not written to its end: a part of the image has no data")
    if size is not None and offset + count > size:
        raise ValueError(f"the file is cut short: it has {size} bytes and needs {offset + count}; copy it again")


def _named(data: Any, letters: str) -> tuple[Any, str]:
    """Translate tifffile's letters of axes to ours."""
    unknown = [axis for axis in letters if axis.lower() not in AXES and axis != "S"]
    if not set(letters) & {"Z", "T", "C", "S"} and len(unknown) > 1:
        return data, guess_axes(data.shape)
    if len(unknown) > 1 or (unknown and "Z" in letters) or set("CS") <= set(letters):
        raise ValueError(f"the file has the axes {letters} of the lengths {data.shape}; t, c, z, y, x are known")
    for axis in unknown:
        letters = letters.replace(axis, "Z")
    axes = letters.replace("S", "C").lower()
    return (data, axes) if {"y", "x"} <= set(axes) else (data, guess_axes(data.shape))


def voxel_lengths(path: Path) -> tuple[tuple[float, ...], str | None]:
    """Read how large a voxel is from the tags of a TIFF file alone.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    lengths : tuple of float
        Along y and x, and before them along z where the file says it; empty if it says nothing.
    unit : str or None
        The unit of the lengths.

    Notes
    -----
    No voxel is read, and of the planes the first one's tags.
    """
    import tifffile

    with tifffile.TiffFile(path) as tif:
        if tif.is_ome and tif.ome_metadata:
            elements = ElementTree.fromstring(tif.ome_metadata).iter()
            pixels = next(element for element in elements if element.tag.rpartition("}")[2] == "Pixels")
            found = [_ome_spacing(pixels, axes) for axes in ("zyx", "yx")]
        elif tif.is_imagej:
            solid = int((tif.imagej_metadata or {}).get("slices", 1)) > 1
            found = [_imagej_spacing(tif, "zyx" if solid else "yx")]
        else:
            found = [_plain_spacing(tif, "yx")]
    return next(((tuple(lengths), unit) for lengths, unit in found if lengths), ((), None))


def _imagej_spacing(tif: Any, axes: str) -> tuple[tuple[float, ...] | None, str | None]:
    metadata = tif.imagej_metadata or {}
    tags = tif.pages.first.tags
    unit = metadata.get("unit")
    if unit in (None, "", "pixel", "pixels"):
        return None, None
    y, x = (_length(tags.valueof(name)) for name in ("YResolution", "XResolution"))
    # ImageJ leaves the depth out where it is 1.
    z = [metadata.get("spacing", 1.0)] if "z" in axes else []
    named = [metadata.get(f"{axis}unit", unit) for axis in "zy" if axis in axes]
    return common_spacing([*z, y, x], [*named, unit])


def _plain_spacing(tif: Any, axes: str) -> tuple[tuple[float, ...] | None, str | None]:
    """Read pixels per centimetre, which microscopes write; per inch is what printers and cameras make up."""
    tags = tif.pages.first.tags
    lengths = [_length(tags.valueof(name)) for name in ("YResolution", "XResolution")]
    if tags.valueof("ResolutionUnit") != _CENTIMETRE or "z" in axes or None in lengths:
        return None, None
    return common_spacing([1e4 * length for length in lengths if length], ["micrometer", "micrometer"])


def _length(resolution: tuple[int, int] | None) -> float | None:
    return resolution[1] / resolution[0] if resolution and resolution[0] else None


def _read_ome(xml: str, series: Any) -> Volume:
    elements = [(element.tag.rpartition("}")[2], element) for element in ElementTree.fromstring(xml).iter()]
    pixels = next(element for tag, element in elements if tag == "Pixels")
    ours = _payload(elements)
    if ours is None:
        data, axes = _named(series.asarray(), series.axes)
    else:
        letters, shape = series.get_axes(squeeze=False), series.get_shape(squeeze=False)
        # Colour is the samples of a pixel (S); the channel axis (C) is then of length 1.
        rgb = shape[letters.index("S")] > 1 if "S" in letters else False
        letters = letters.replace("C", "-").replace("S", "C") if rgb else letters
        axes = ours["axes"]
        data = arrange(series.asarray(squeeze=False).reshape(shape), letters.lower(), axes)
    spacing, units = _ome_spacing(pixels, axes)
    if ours is None:
        # Positions of the stage stay out: their zero and their sign differ from microscope to microscope.
        return Volume(data, axes, spacing, units)
    origin = ours.get("origin") if spacing else None
    return Volume(_widened(data, ours.get("dtype")), axes, spacing, units, metadata=ours["metadata"], origin=origin)


def _widened(data: Any, dtype: str | None) -> Any:
    """Undo what `_storable` did to numbers that OME-TIFF does not have."""
    return data.astype(dtype) if dtype in _NARROWED else data


def _payload(elements: list[tuple[str, ElementTree.Element]]) -> dict[str, Any] | None:
    for tag, element in elements:
        if tag == "MapAnnotation" and element.get("Namespace") == _NAMESPACE:
            texts = (entry.text for entry in element.iter() if entry.tag.endswith("}M"))
            return unpack(next(texts, None))
    return None


def _ome_spacing(pixels: ElementTree.Element, axes: str) -> tuple[tuple[float, ...] | None, str | None]:
    spatial = [axis for axis in "ZYX" if axis.lower() in axes]
    lengths = [float(pixels.get(f"PhysicalSize{axis}", "nan")) for axis in spatial]
    units = [pixels.get(f"PhysicalSize{axis}Unit", "µm") for axis in spatial]
    pixel = all(unit == "pixel" for unit in units) and set(lengths) == {1.0}
    return (None, None) if pixel else common_spacing(lengths, units)


def write(path: Path, volume: Volume) -> None:
    """Write a compressed OME-TIFF file.

    Parameters
    ----------
    path
        Where to write.
    volume
        The image. Dask and Zarr arrays are computed a few planes at a time. 64-bit integers are stored in 32
        bits, which must hold them, and 16-bit floats in 32 bits, because OME-TIFF has no such numbers; `read`
        gives them their dtype back. The origin is the position of every plane.

    Raises
    ------
    ValueError
        If OME-TIFF cannot hold the numbers.
    """
    import tifffile

    data = _storable(numpy_or_dask(volume.data))
    colour = volume.axes[-1] == "c" and data.shape[-1] in (3, 4) and data.dtype in (np.uint8, np.uint16)
    stored = "".join(axis for axis in AXES if axis in volume.axes)
    if colour:
        stored = stored.replace("c", "") + "c"
    data = arrange(data, volume.axes, stored)
    plane_ndim = 3 if colour else 2
    tifffile.imwrite(
        path,
        **_content(data, plane_ndim),
        ome=True,
        photometric="rgb" if colour else "minisblack",
        compression="zlib",
        **_resolution(volume),
        metadata={
            "axes": stored.upper().replace("C", "S" if colour else "C"),
            "Name": volume.name,
            "MapAnnotation": {"Namespace": _NAMESPACE, "volume": pack(volume)},
            **_physical_sizes(volume),
            **_positions(volume, stored[: len(stored) - plane_ndim], data.shape),
        },
    )


def _content(data: Any, plane_ndim: int) -> dict[str, Any]:
    if is_host(data):
        return {"data": np.ascontiguousarray(data)}
    return {"data": _planes(data, plane_ndim), "shape": data.shape, "dtype": data.dtype}


def _planes(data: Any, plane_ndim: int) -> Iterator[Any]:
    """Compute a dask array slab by slab along the last axis of its stack, so that no chunk is computed twice."""
    if data.ndim == plane_ndim:
        yield data.compute()
        return
    *outer, depth = data.shape[: data.ndim - plane_ndim]
    chunk = max(data.chunks[data.ndim - plane_ndim - 1])
    n_bytes = math.prod(data.shape[data.ndim - plane_ndim :]) * data.dtype.itemsize * chunk
    step = chunk * max(1, _SLAB_BYTES // n_bytes)
    for index in np.ndindex(*outer):
        for start in range(0, depth, step):
            yield from data[(*index, slice(start, start + step))].compute()


def _positions(volume: Volume, stack: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return the position of every plane: of its first pixel, where OME has room for the position of a stage."""
    if volume.origin is None:
        return {}
    step = dict(zip(volume.spatial_axes, volume.spacing or (), strict=True))
    first = dict(zip(volume.spatial_axes, volume.origin, strict=True))
    planes = list(np.ndindex(*shape[: len(stack)]))
    depth = [index[stack.index("z")] * step["z"] if "z" in stack else 0.0 for index in planes]
    unit = UNITS[volume.units][0] if volume.units else _NO_UNIT
    plane: dict[str, Any] = {}
    for axis, position in first.items():
        plane[f"Position{axis.upper()}"] = [float(position + (by if axis == "z" else 0.0)) for by in depth]
        plane[f"Position{axis.upper()}Unit"] = [unit] * len(planes)
    return {"Plane": plane}


def _physical_sizes(volume: Volume) -> dict[str, float | str]:
    sizes: dict[str, float | str] = {}
    for axis, length in zip(volume.spatial_axes.upper(), volume.spacing or (), strict=False):
        sizes[f"PhysicalSize{axis}"] = length
        sizes[f"PhysicalSize{axis}Unit"] = UNITS[volume.units][0] if volume.units else _NO_UNIT
    return sizes


def _resolution(volume: Volume) -> dict[str, Any]:
    """Return the pixel size as plain TIFF has it, for programs that do not read OME metadata."""
    if volume.spacing is None or volume.units is None:
        return {}
    metres = UNITS[volume.units][1]
    y, x = (length * metres for length in volume.spacing[-2:])
    return {"resolution": (0.01 / x, 0.01 / y), "resolutionunit": "CENTIMETER"}


def _storable(data: Any) -> Any:
    if data.dtype == np.float16:
        return data.astype(np.float32)
    if data.dtype.kind in "iu" and data.dtype.itemsize == 8:
        return _in_32_bits(data)
    if data.dtype.kind not in "biuf" or data.dtype.itemsize > 8:
        raise ValueError(
            f"OME-TIFF holds whole and real numbers, but data are {data.dtype}; write .npy, or convert them"
        )
    return data


def _in_32_bits(data: Any) -> Any:
    low, high = data.min(), data.max()
    if not is_host(data):
        from dask import compute

        low, high = compute(low, high)  # together, so that every chunk is computed once
    for narrow in (np.int32, np.uint32):
        limits = np.iinfo(narrow)
        if limits.min <= low and high <= limits.max:
            return data.astype(narrow)
    raise ValueError(
        f"OME-TIFF holds integers of up to 32 bits, but data go from {low} to {high}; "
        "relabel them, or write .npy or .zarr"
    )
