"""Images in stores: opened, and nothing read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from .._volume import AXES, Volume, arrange, guess_axes
from ._checked import CheckedArray
from ._metadata import KEY, Grid, factors_of, flat, grid_of, multiscales_of
from ._place import Place

if TYPE_CHECKING:
    from ._guard import Guarded

__all__ = ["Image", "Level", "Unreadable", "attributes_of", "open_image"]


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """A level of a pyramid.

    Parameters
    ----------
    array : CheckedArray
        Its voxels, with `shape`, `dtype`, `chunks` and `shards`.
    grid : Grid
        Where they lie: `scale`, `translation` and so on.
    factors : tuple of float
        How many times coarser than level 0 it is along each axis.
    """

    array: CheckedArray
    grid: Grid
    factors: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return self.array.shape


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """An image or labels in a store, of which no voxel has been read.

    Parameters
    ----------
    place : Place
        Where it is.
    levels : tuple of Level
        The finest first.
    version : str
        ``"0.4"`` or ``"0.5"`` of OME-Zarr, as it says itself; empty for a plain array.
    zarr_format : int
        2 or 3.
    name : str
        What to call it.
    metadata : mapping
        What this program stored with a result.
    attributes : mapping
        All that the group or array says of itself, with those of OME-Zarr 0.5 lifted out of ``ome``.
    """

    place: Place
    levels: tuple[Level, ...]
    version: str
    zarr_format: int
    name: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Where it is, without credentials."""
        return self.place.shown

    @property
    def axes(self) -> str:
        """A letter per axis of the arrays, as they are stored."""
        return self.levels[0].grid.axes

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """The length of a voxel of level 0 along z, y, x; None where it is not known."""
        return self.levels[0].grid.spacing

    @property
    def units(self) -> str | None:
        """The unit of `spacing`."""
        return self.levels[0].grid.units

    @property
    def origin(self) -> tuple[float, ...] | None:
        """The centre of the first voxel of level 0 along z, y, x; None where it is not known."""
        return self.levels[0].grid.origin

    def volume(self, level: int = 0) -> Volume:
        """Return a level as a volume with a dask array of its chunks, of which nothing is read yet.

        Parameters
        ----------
        level : int
            Its number, 0 being the finest.

        Returns
        -------
        Volume
            With its axes in the usual order.

        Raises
        ------
        ValueError
            If there is no such level.
        """
        from dask.array import from_array

        array = self.level(level).array
        return self.with_data(level, from_array(array, chunks=array.chunks, asarray=False))

    def read(self, level: int = 0) -> Volume:
        """Read a level.

        Parameters
        ----------
        level : int
            Its number, 0 being the finest.

        Returns
        -------
        Volume
            With the voxels in memory.

        Raises
        ------
        ValueError
            If there is no such level, or a chunk cannot be decoded.
        OSError
            If it cannot be read.
        """
        return self.with_data(level, self.level(level).array[...])

    def level(self, level: int) -> Level:
        """Return a level by its number.

        Raises
        ------
        ValueError
            If there is no such level.
        """
        if not 0 <= level < len(self.levels):
            listed = ", ".join(f"{at} of the shape {one.shape}" for at, one in enumerate(self.levels))
            raise ValueError(f"it has no level {level!r}; it has {listed}")
        return self.levels[level]

    def with_data(self, level: int, data: Any) -> Volume:
        """Return a volume of what was read from a level, or made of it.

        Parameters
        ----------
        level : int
            Its number.
        data : array
            Of the shape of the level; any library that can index and transpose.

        Returns
        -------
        Volume
            With its axes in the usual order, and the place of the level.
        """
        grid = self.levels[level].grid
        ordered = data if grid.axes == grid.wanted else arrange(data, grid.axes, grid.wanted)
        return Volume(ordered, grid.wanted, grid.spacing, grid.units, self.name, self.metadata, grid.origin)


def open_image(path: str | os.PathLike[str] | Place, *, storage_options: Mapping[str, Any] | None = None) -> Image:
    """Open an OME-Zarr image or labels, or a Zarr array, and read no voxel.

    Parameters
    ----------
    path : path
        A folder or an address that fsspec knows, such as ``s3://bucket/image.zarr``: of a group with an image, or of
        an array. An array that is a level of an image has the axes, the spacing and the origin of that level.
    storage_options : mapping, optional
        What fsspec takes to open an address.

    Returns
    -------
    Image
        All levels, the finest first.

    Raises
    ------
    FileNotFoundError
        If there is no such store.
    ValueError
        If its metadata are missing or damaged, it holds no image, its levels disagree, or it has no voxels.
    OSError
        If it cannot be read.

    Notes
    -----
    One small request per level. Consolidated metadata are not used: they may be older than the store.
    """
    place = Place.of(path, storage_options)
    try:
        store = _store(place)
        format_, attributes = _node(store, place)
        return _array(place, format_) if attributes is None else _group(store, place, format_, attributes)
    except ValueError as error:
        raise Unreadable(place, str(error)) from error


class Unreadable(ValueError):
    """A store that holds no image, or a damaged one.

    Parameters
    ----------
    place : Place
        Where it is.
    reason : str
        What is wrong with it.
    """

    def __init__(self, place: Place, reason: str) -> None:
        super().__init__(f"cannot open {place.shown!r}: {reason}")
        self.place, self.reason = place, reason

    def __reduce__(self) -> tuple[Any, ...]:
        return Unreadable, (self.place, self.reason)


def attributes_of(
    path: str | os.PathLike[str] | Place, *, storage_options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return what a group or an array says about itself.

    Parameters
    ----------
    path : path
        A folder or an address.
    storage_options : mapping, optional
        What fsspec takes to open an address.

    Returns
    -------
    dict
        Its attributes, with those of OME-Zarr 0.5 lifted out of ``ome``.

    Raises
    ------
    FileNotFoundError
        If there is no such store.
    ValueError
        If the metadata are damaged.
    """
    place = Place.of(path, storage_options)
    store = _store(place)
    format_, attributes = _node(store, place)
    return flat(_json(store, place, "zarr.json" if format_ == 3 else ".zattrs") if attributes is None else attributes)


def _store(place: Place) -> Guarded:
    from ._guard import guarded  # takes a third of a second, which reading a TIFF file need not wait for

    return guarded(place)


def _json(store: Guarded, place: Place, key: str) -> dict[str, Any]:
    try:
        found = store.read_json(key) or {}
        return dict(found.get("attributes") or {}) if key == "zarr.json" else found
    except (ValueError, TypeError, AttributeError) as error:
        raise _damaged(place, error) from error


def _damaged(place: Place, error: BaseException) -> ValueError:
    reason = str(error) or type(error).__name__
    return ValueError(f"the metadata of {place.name!r} are damaged ({reason}); copy the store again")


def _node(store: Guarded, place: Place) -> tuple[int, dict[str, Any] | None]:
    """Return the version of Zarr and the attributes of a group; None as these for an array."""
    try:
        document = store.read_json("zarr.json")
        if document is not None:
            is_group = document["node_type"] == "group"
            return 3, dict(document.get("attributes") or {}) if is_group else None
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(place, error) from error
    if store.has(".zarray"):
        return 2, None
    if not store.has(".zgroup"):
        hint = "it has no zarr.json, .zgroup or .zarray" if not place.is_local or place.path.is_dir() else "no folder"
        raise FileNotFoundError(f"there is no Zarr store {place.shown!r} ({hint}); look at the address and the name")
    return 2, _json(store, place, ".zattrs")


def _group(store: Guarded, place: Place, format_: int, attributes: Mapping[str, Any]) -> Image:
    image = _multiscale(store, place, attributes)
    ours = _ours(attributes)
    grids, arrays = [], []
    for index, level in enumerate(image["datasets"]):
        arrays.append(_member(place, level))
        if arrays[-1].ndim != arrays[0].ndim:
            raise ValueError(
                f"its levels disagree: level {level['path']!r} has the shape {arrays[-1].shape}, the finest "
                f"{arrays[0].shape}; write the pyramid again, or pass the path of one level"
            )
        grids.append(grid_of(image, index, arrays[-1].shape, ours))
    factors = factors_of(image, [array.shape for array in arrays], grids)
    levels = tuple(Level(array, grid, by) for array, grid, by in zip(arrays, grids, factors, strict=True))
    version = str(flat(attributes).get("version") or image.get("version") or ("0.5" if format_ == 3 else "0.4"))
    metadata = ours.get("metadata", {})
    return Image(place, levels, version, format_, _stem(place.name), metadata, flat(attributes))


def _ours(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    ours = attributes.get(KEY)
    return ours if isinstance(ours, Mapping) else {}


def _stem(name: str) -> str:
    return PurePath(name).stem.removesuffix(".ome")


def _multiscale(store: Guarded, place: Place, attributes: Mapping[str, Any]) -> dict[str, Any]:
    try:
        image = multiscales_of(attributes)
        listed = image.get("datasets") or ()
        if not all(isinstance(level["path"], str) for level in listed):
            raise TypeError("a level has no path")
    except (TypeError, KeyError, IndexError, ValueError, AttributeError) as error:
        raise _damaged(place, error) from error
    if not listed:
        members = _members(store) or "nothing"
        raise ValueError(f"it is a group without OME-Zarr image; it holds {members}: pass the path of one of them")
    return image


def _members(store: Guarded) -> str:
    import zarr

    try:
        return ", ".join(sorted(zarr.open_group(store=store, mode="r", use_consolidated=False).keys()))
    except Exception:  # an address that cannot be listed
        return "what cannot be listed"


def _member(place: Place, level: Mapping[str, Any]) -> CheckedArray:
    try:
        return CheckedArray(place / level["path"])
    except (FileNotFoundError, ValueError) as error:
        if isinstance(error, ValueError) and "holds numbers" in str(error):
            raise
        raise ValueError(f"its level {level['path']!r} is missing or damaged; copy the store again") from error


def _array(place: Place, format_: int) -> Image:
    array = _plain_array(place)
    if 0 in array.shape:
        raise ValueError(f"it has the shape {array.shape}, with no voxel; write it again")
    parent = _store(place.parent)
    try:
        _, above = _node(parent, place.parent)
    except (OSError, ValueError):  # an array that lies alone
        above = None
    image = multiscales_of(above or {})
    for index, level in enumerate(image.get("datasets") or ()):
        if above is not None and level.get("path") == place.name:
            ours = _ours(above)
            grid = grid_of(image, index, array.shape, ours)
            return _alone(place, array, grid, format_, ours.get("metadata", {}))
    axes = _axes_of(array)
    ones = (1.0,) * array.ndim
    return _alone(place, array, Grid(axes, ones, None, (None,) * array.ndim, None, None, None, axes), format_, {})


def _plain_array(place: Place) -> CheckedArray:
    try:
        return CheckedArray(place)
    except ValueError as error:
        if "damaged" in str(error):
            raise _damaged(place, error.__cause__ or error) from error
        raise


def _alone(place: Place, array: CheckedArray, grid: Grid, format_: int, metadata: Mapping[str, Any]) -> Image:
    level = Level(array, grid, (1.0,) * array.ndim)
    return Image(place, (level,), "", format_, _stem(place.name), metadata, dict(array.array.attrs.asdict()))


def _axes_of(array: CheckedArray) -> str:
    names = getattr(array.array.metadata, "dimension_names", None) or ()
    known = len(names) == array.ndim and all(name and name in tuple(AXES) for name in names)
    return "".join(names) if known else guess_axes(array.shape)
