"""Read and write images: TIFF, PNG, NPY, NPZ and OME-Zarr, with the size of the voxels."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from . import stores
from ._volume import UNITS, Volume, guess_axes, pack, unit_name, unpack
from ._writing import replacing

__all__ = ["UNITS", "Kind", "Volume", "inputs", "read", "read_lazily", "unit_name", "write"]

Kind = Literal["labels", "image"]

_NPZ_KEY = re.compile(r"(?P<path>.+\.npz):(?P<key>.+)", re.IGNORECASE | re.DOTALL)


def read(path: str | os.PathLike[str], level: int = 0, *, storage_options: Mapping[str, Any] | None = None) -> Volume:
    """Read an image or labels from a file or a store.

    Parameters
    ----------
    path : path
        A file ending in .tif, .tiff, .png or .npy, an array of an .npz file as ``file.npz:key`` (the key may
        be left out where there is one array only), or the folder of an OME-Zarr image (version 0.4 or 0.5),
        of its labels as ``store.zarr/labels/name``, or of a Zarr array; or the address of one, such as
        ``s3://bucket/store.zarr``.
    level : int
        Which level of an OME-Zarr image to read, 0 being the finest; all other files have that one only.
    storage_options : mapping, optional
        What fsspec takes to open an address.

    Returns
    -------
    Volume
        The whole level in memory, in native byte order and C order, with its spacing and origin. The spacing comes
        from the metadata of ImageJ, OME-TIFF and OME-Zarr; it is None where the file gives none for every spatial
        axis. The origin comes from OME-Zarr, and from other files that `write` made.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, cut short, of an unknown kind, or holds no image or several, or not that level.

    Notes
    -----
    Files that do not name their axes (NPY, NPZ, plain Zarr) are taken as yx, zyx, czyx or tczyx by their
    number of axes, with colour last where the last of three or four axes has the length 3 or 4. Python
    objects in NPY and NPZ files are never loaded.
    """
    text = os.fspath(path)
    if stores.is_url(text):
        return _contiguous(stores.open_image(text, storage_options=storage_options).read(level))
    file, key = split_key(text)
    with _reading(text, file):
        if file.is_dir():
            return _contiguous(stores.open_image(file).read(level))
        return replace(_contiguous(_read_file(file, key, level)), name=key or _stem(file))


def _contiguous(volume: Volume) -> Volume:
    return replace(volume, data=_image_data(np.asarray(volume.data)))


def read_lazily(path: str | os.PathLike[str], *, storage_options: Mapping[str, Any] | None = None) -> list[Volume]:
    """Open every level of an OME-Zarr image, labels or a Zarr array, and read no voxel.

    Parameters
    ----------
    path : path
        What `read` takes. Only Zarr stores can be opened without reading them; other files are read.
    storage_options : mapping, optional
        What fsspec takes to open an address.

    Returns
    -------
    list of Volume
        The finest level first, each with its spacing and origin; the data of a store are dask arrays with its
        chunks.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ValueError
        If it is damaged, of an unknown kind, or holds no image.
    """
    if stores.is_url(path):
        return _levels(stores.open_image(path, storage_options=storage_options))
    file = Path(path)
    if not file.is_dir():
        return [read(path)]
    with _reading(os.fspath(path), file):
        return _levels(stores.open_image(file))


def _levels(image: stores.Image) -> list[Volume]:
    return [image.volume(level) for level in range(len(image.levels))]


@contextmanager
def _reading(text: str, file: Path) -> Iterator[None]:
    """Raise sentences that quote what was asked for, whatever goes wrong."""
    if not _exists(file):
        raise FileNotFoundError(f"there is no file {str(file)!r}")
    if not _readable(file):
        raise ValueError(_unknown(file))
    try:
        yield
    # The parsers of damaged files raise whatever they stumble over: struct.error, zlib.error, KeyError, ...
    except Exception as error:
        raise ValueError(f"cannot read {text!r}: {_reason(error)}") from error


def _stem(file: Path) -> str:
    return file.stem.removesuffix(".ome")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise type(error)(f"cannot look at {str(path)!r}: {error.strerror}; ask for the right to read it") from error


def _read_file(file: Path, key: str, level: int) -> Volume:
    if level != 0:
        raise ValueError(f"it has level 0 only, but level is {level!r}; levels are what OME-Zarr images have")
    return _READERS[file.suffix.lower()](file, key)


def _reason(error: Exception) -> str:
    """Return what an error says, without the number and the path that the system's errors begin and end with."""
    if isinstance(error, stores.Unreadable):
        return error.reason
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def split_key(text: str) -> tuple[Path, str]:
    match = _NPZ_KEY.fullmatch(text)
    # A path may hold a colon; one that exists is meant as it stands.
    if match is None or Path(text).exists():
        return Path(text), ""
    return Path(match["path"]), match["key"]


def _readable(path: Path) -> bool:
    return stores.holds_metadata(path) if path.is_dir() else path.suffix.lower() in _READERS


def _unknown(path: Path) -> str:
    zarr = path.suffix.lower() == ".zarr"
    if path.is_dir() and zarr:
        what = "is empty" if not any(path.iterdir()) else "has no zarr.json, .zgroup or .zarray in it"
        return f"{str(path)!r} is named as a Zarr store but {what}; copy it again, or pass a folder in it"
    if path.is_dir():
        return f"{str(path)!r} is a folder but no Zarr store; name a file in it, or a .zarr folder"
    if zarr:
        return f"{str(path)!r} is a file, but a Zarr store is a folder; unpack it if it is an archive"
    known = ", ".join(_READERS)
    return f"{str(path)!r} ends in {path.suffix!r}, which is no known kind of image; known are {known}, .zarr"


def _image_data(data: Any) -> Any:
    if data.dtype.kind not in "biufc":
        raise ValueError(f"it holds {data.dtype}, but an image holds numbers")
    return np.ascontiguousarray(data, dtype=data.dtype.newbyteorder("="))


def _read_tiff(path: Path, _key: str) -> Volume:
    from . import _tiff

    return _tiff.read(path)


def _read_npy(path: Path, _key: str) -> Volume:
    with path.open("rb") as file, _no_objects():
        return _unnamed(np.lib.format.read_array(file, allow_pickle=False))


def _read_npz(path: Path, key: str) -> Volume:
    with _archive(path) as archive, _no_objects():
        keys = list(archive.keys())
        if not key and len(keys) == 1:
            key = keys[0]
        if key not in keys:
            asked = f"it has no array {key!r}" if key else f"it holds {len(keys)} arrays"
            raise ValueError(f"{asked}; name one of {_listed(keys)} as {path.name}:key")
        return _unnamed(archive[key])


def _listed(keys: list[str], limit: int = 12) -> str:
    rest = f" and {len(keys) - limit} more" if len(keys) > limit else ""
    return (", ".join(keys[:limit]) or "none") + rest


@contextmanager
def _archive(path: Path) -> Iterator[Any]:
    # Not np.load, which takes a file that is no archive for a pickle and says so.
    with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as archive:
        yield archive


@contextmanager
def _no_objects() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise ValueError(
            "it holds Python objects, which are not loaded because they could run code; save plain numbers"
        ) from error


def _unnamed(data: Any) -> Volume:
    return Volume(data, guess_axes(data.shape))


def _read_png(path: Path, _key: str) -> Volume:
    from PIL import Image

    with Image.open(path, formats=["PNG"]) as image:
        image.load()
        # Pillow cuts these to 8 bits and does not say so.
        if _png_depth(path) in (b"\x10\x02", b"\x10\x04", b"\x10\x06"):
            raise ValueError("it has 16 bits per colour, of which 8 would be lost; save it as TIFF")
        palette = image.mode in ("P", "PA")
        data = np.asarray(image.convert("RGB") if palette else image)
        ours = unpack(image.info.get("napari_cutout"))
    volume = _unnamed(data) if data.ndim == 2 else Volume(data, "yxc")
    if ours is None:
        return volume
    spacing, origin = (tuple(ours[name]) if ours.get(name) else None for name in ("spacing", "origin"))
    return replace(volume, spacing=spacing, units=ours["units"], metadata=ours["metadata"], origin=origin)


def _png_depth(path: Path) -> bytes:
    """Return the two bytes of a PNG header that hold the bits per sample and the kind of colour."""
    with path.open("rb") as file:
        return file.read(26)[24:]


_READERS: dict[str, Callable[[Path, str], Volume]] = {
    ".tif": _read_tiff,
    ".tiff": _read_tiff,
    ".png": _read_png,
    ".npy": _read_npy,
    ".npz": _read_npz,
}


def write(path: str | os.PathLike[str], volume: Volume, *, kind: Kind = "labels", overwrite: bool = False) -> Path:
    """Write an image or labels to a file.

    The file is written under another name beside its place and renamed when it is complete, so that whatever
    goes wrong, a file that was there stays as it was.

    Parameters
    ----------
    path : path
        Where to write. The ending says how: .tif and .tiff make a compressed OME-TIFF, .png a grey picture of
        8 or 16 bits, .npy the array alone, .zarr an OME-Zarr 0.5 image with several levels.
    volume : Volume
        What to write: 2-D whole numbers from 0 to 65,535 for PNG, any numbers elsewhere. Axes, spacing, units,
        origin and metadata are stored in every format but NPY. Dask and Zarr arrays are computed and written part
        by part to OME-TIFF and OME-Zarr.
    kind : {"labels", "image"}
        What an OME-Zarr store declares itself to be: ``"labels"``, whole numbers only, or ``"image"``.
    overwrite : bool
        Replace what is there.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    FileExistsError
        If there is such a file and `overwrite` is False.
    FileNotFoundError
        If the folder does not exist.
    ValueError
        If the ending is unknown, or the format cannot hold the image.
    OSError
        If the disk is full or cannot be written to. Nothing is changed then.

    Notes
    -----
    OME-TIFF has no 64-bit integers, no 16-bit floats: they become 32 bits wide where that keeps every value, and
    `read` gives them their dtype back.
    Tuples in the metadata become lists, as in all JSON.
    """
    target = Path(path)
    writer = WRITERS.get(target.suffix.lower())
    if writer is None:
        raise ValueError(
            f"{str(target)!r} ends in {target.suffix!r}, which is no kind of file to write; "
            f"known are {', '.join(WRITERS)}"
        )
    if kind not in ("labels", "image"):
        raise ValueError(f"kind must be 'labels' or 'image', but is {kind!r}")
    if 0 in volume.data.shape:
        raise ValueError(f"an empty image, of shape {tuple(volume.data.shape)}, cannot be written")
    pack(volume)
    with replacing(target, overwrite=overwrite, folder_problem=_folder_problem) as temporary:
        writer(temporary, volume, kind)
    return target


def _folder_problem(folder: Path) -> str:
    """Say why a folder may not be replaced: only a store that is named as one is what a user means to overwrite."""
    store = folder.suffix.lower() == ".zarr" and stores.holds_metadata(folder)
    return "" if store else "it is a folder but no Zarr store"


def _write_tiff(path: Path, volume: Volume, _kind: Kind) -> None:
    from . import _tiff

    _tiff.write(path, volume)


def _write_zarr(path: Path, volume: Volume, kind: Kind) -> None:
    stores.write_volume(path, volume, kind)


def _write_npy(path: Path, volume: Volume, _kind: Kind) -> None:
    with path.open("wb") as file:
        np.lib.format.write_array(file, np.asarray(volume.data), allow_pickle=False)


def _write_png(path: Path, volume: Volume, _kind: Kind) -> None:
    from PIL import Image, PngImagePlugin

    info = PngImagePlugin.PngInfo()
    info.add_text("napari_cutout", pack(volume))
    Image.fromarray(_grey_data(volume)).save(path, format="PNG", pnginfo=info)


def _grey_data(volume: Volume) -> Any:
    data = np.asarray(volume.data)
    if volume.axes != "yx":
        raise ValueError(f"PNG holds 2-D grey images, but data have the axes {volume.axes!r}; write .tif or .zarr")
    if data.dtype.kind not in "biu" or data.min() < 0 or data.max() > 65535:
        raise ValueError(
            f"PNG holds whole numbers from 0 to 65535, but data are {data.dtype} from {data.min()} to "
            f"{data.max()}; write .tif or .zarr"
        )
    return data if data.dtype in (np.bool_, np.uint8) else data.astype(np.uint16)


WRITERS: dict[str, Callable[[Path, Volume, Kind], None]] = {
    ".tif": _write_tiff,
    ".tiff": _write_tiff,
    ".png": _write_png,
    ".npy": _write_npy,
    ".zarr": _write_zarr,
}


def inputs(source: str | os.PathLike[str]) -> list[str]:
    """List the images that a path, a folder or a pattern stands for.

    Parameters
    ----------
    source : path
        A file; a folder, which stands for the images right in it, or if there is none for those in the folders in it
        (a .zarr folder is one image; .npz files are left out, because they need a key); a pattern such as
        ``"plate/*.tif"``, ``**`` included; or a pattern for the keys of an NPZ file, such as ``"set.npz:img_*"``; or
        the address of one store, which is not looked at.

    Returns
    -------
    list of str
        What `read` takes, sorted.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or no image in the folder or under the pattern.
    ValueError
        If a .zarr folder holds no Zarr store, or an archive is damaged.
    """
    text = os.fspath(source)
    if stores.is_url(text):
        return [text]
    path, key = split_key(text)
    if key:
        return _keys(path, key)
    if path.is_dir() and not stores.holds_metadata(path):
        if path.suffix.lower() == ".zarr":
            raise ValueError(_unknown(path))
        found = _images_in(path) or [image for folder in path.iterdir() for image in _images_below(folder)]
    elif path.exists():
        return [text]
    else:
        found = glob.glob(text, recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
    if not found:
        what = "no image is in the folder" if path.is_dir() else "there is no file"
        raise FileNotFoundError(f"{what} {text!r}")
    return sorted(found)


def _images_below(folder: Path) -> list[str]:
    """Return the images of a folder in a folder that is not hidden."""
    return _images_in(folder) if folder.is_dir() and not folder.name.startswith(".") else []


def _images_in(folder: Path) -> list[str]:
    return [str(entry) for entry in folder.iterdir() if _is_image(entry)]


def _is_image(path: Path) -> bool:
    return not path.name.startswith(".") and path.suffix.lower() != ".npz" and _readable(path)


def _keys(path: Path, pattern: str) -> list[str]:
    if not path.exists():
        raise FileNotFoundError(f"there is no file {str(path)!r}")
    if not glob.has_magic(pattern):
        return [f"{path}:{pattern}"]
    try:
        with _archive(path) as archive:
            keys = list(archive.keys())
    except zipfile.BadZipFile as error:
        raise ValueError(f"cannot read {str(path)!r}: {error}") from error
    found = sorted(fnmatch.filter(keys, pattern))
    if not found:
        raise FileNotFoundError(f"no array of {str(path)!r} matches {pattern!r}; it has {_listed(keys)}")
    return [f"{path}:{key}" for key in found]
