"""What a label image holds, object by object: size, place, shape and grey levels, from sums that add over blocks."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, dtype_name, is_lazy
from .._checks import REAL_DTYPES, check_spacing
from .._method import Image, Labels
from .._plan import Pass, Slices, reduce_passes
from .._writing import csv_text, write_text
from ._headings import headings
from ._label_sums import ChannelSums, LabelSums, block_sums, gathered, merged, pairs_of

__all__ = ["Measurements", "measure"]

Column = NDArray[Any]

AXES = "zyx"
"""What the axes of space are called."""

MAX_LINES = 40
"""Objects that the summary lists; the table holds all."""

GREY = ("mean", "std", "min", "max", "sum")
"""What is measured of the grey levels of every channel."""


@dataclass(frozen=True, slots=True, eq=False)
class Measurements:
    """What `measure` found: one row per label, and per frame where there are frames.

    Parameters
    ----------
    columns : mapping of str to 1-D array
        One entry per row in each; rows rise by frame, then by label.
    units : mapping of str to str
        The unit of each column that has one, such as ``{"volume": "µm³"}``.
    spacing : tuple of float
        World length of a voxel along each axis of space.
    unit : str
        The unit of `spacing`; empty where lengths are in voxels or the unit is not known.
    """

    columns: Mapping[str, Column]
    units: Mapping[str, str]
    spacing: tuple[float, ...]
    unit: str = ""

    def __len__(self) -> int:
        return len(self.columns["label"])

    @property
    def table(self) -> list[dict[str, Any]]:
        """One row per object, as a dict of plain numbers."""
        lists = [values.tolist() for values in self.columns.values()]
        return [dict(zip(self.columns, values, strict=True)) for values in zip(*lists, strict=True)]

    def summary(self) -> str:
        """Return the first columns as a text table."""
        shown = [name for name in self.columns if not name.startswith("bbox_")]
        heads = [f"{name} [{self.units[name]}]" if name in self.units else name for name in shown]
        widths = [max(len(head), 10) + 2 for head in heads]
        lines = ["".join(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True))]
        for row in range(min(len(self), MAX_LINES)):
            cells = [self.columns[name][row] for name in shown]
            lines.append("".join(f"{_text(cell):>{width}}" for cell, width in zip(cells, widths, strict=True)))
        if len(self) > MAX_LINES:
            lines.append(f"  ... and {len(self) - MAX_LINES} more objects")
        voxel = " x ".join(f"{length:g}" for length in self.spacing)
        lines.append(f"{len(self)} objects; voxel {voxel} {self.unit}".rstrip())
        return "\n".join(lines)

    __str__ = summary

    def to_csv(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write the table, one line per object.

        Parameters
        ----------
        path : str or path
            Where to write.
        overwrite : bool
            Replace what is there.

        Returns
        -------
        Path
            The file: the names of the columns with their units, such as ``area_um2``, then numbers in full, NaN as
            ``nan``. A column whose unit is not known has its name alone.

        Raises
        ------
        FileExistsError
            If there is such a file and `overwrite` is False.
        OSError
            If it cannot be written. Nothing is changed then.
        """
        return write_text(path, self.csv_text(), overwrite=overwrite)

    @property
    def headings(self) -> list[str]:
        """What the columns are called in a file, in their order."""
        return headings((name, self.units.get(name, "")) for name in self.columns)

    def csv_text(
        self, before: Mapping[str, Sequence[Any]] | None = None, after: Mapping[str, Sequence[Any]] | None = None
    ) -> str:
        """Return what `to_csv` writes, with more columns before and after."""
        first, last = before or {}, after or {}
        lists = [*first.values(), *(values.tolist() for values in self.columns.values()), *last.values()]
        return csv_text([*first, *self.headings, *last], zip(*lists, strict=True))


def _text(value: Any) -> str:
    return str(value) if isinstance(value, int | np.integer) else f"{value:.5g}"


def measure(
    labels: Labels,
    image: Image | Mapping[str, Image] | None = None,
    *,
    spacing: Sequence[float] | None = None,
    units: str | None = None,
    channel_axis: int | None = None,
    frame_axis: int | None = None,
) -> Measurements:
    """Measure every object of a label image: size, place, shape, and the grey levels of each channel.

    Parameters
    ----------
    labels : array of int or bool, of shape ([T,] [Z,] Y, X)
        Objects by number, 0 to 2**63 - 1; 0 is background and left out, and numbers need not be dense.
    image : array of the shape of `labels`, or mapping of str to such arrays, optional
        Grey levels, of the library of `labels`, real or boolean. A mapping names channels. NaN is left out and
        counted; infinity is not left out.
    spacing : sequence of float, optional
        World length of a voxel along each axis of space; by default 1.
    units : str, optional
        The unit of `spacing`, such as ``"µm"``; it is written beside numbers and changes none.
    channel_axis : int, optional
        The axis of `image` that counts channels; then `image` has one axis more than `labels`.
    frame_axis : int, optional
        The axis of `labels` that counts frames of time; a label is then measured in every frame by itself.

    Returns
    -------
    Measurements
        One row per label (and per frame), with these columns:

        - ``frame`` (only with `frame_axis`) and ``label``
        - ``n_voxels``, and ``area`` or ``volume``: that number times the size of a voxel
        - ``centroid_y``...: mean of the voxel centres in world lengths; the centre of the first voxel is at 0
        - ``bbox_y_start``, ``bbox_y_stop``...: the first voxel, and the one after the last
        - ``extent``: the part of the bounding box that the object fills
        - ``equivalent_diameter``: of the circle or ball of this area or volume
        - ``length_major``, ``length_middle`` (3-D), ``length_minor``: axes of the ellipse or ellipsoid whose second
          moments are those of the object
        - ``elongation``: the longest of them over the next; ``flatness`` (3-D): the next over the shortest
        - ``mean``, ``std``, ``min``, ``max``, ``sum`` of the grey levels, and ``n_nan`` for a float image; with
          several channels ``mean_0``, or ``mean_name`` for a mapping

    Raises
    ------
    TypeError
        If `labels` are not integers or booleans, an image is neither real nor boolean, or the libraries differ.
    ValueError
        If shapes do not fit each other or have the wrong number of axes, a label is negative or above 2**63 - 1,
        `spacing` is not one positive length per axis of space, or an axis does not exist.

    Notes
    -----
    One pass, block by block; dask arrays are computed chunk by chunk, never as a whole, and labels that lie in
    several blocks come out as if they lay in one. Memory: a few blocks with 4 to 30 bytes per voxel each, and about
    600 bytes per label.

    Counts, places and shapes are exact sums of whole numbers, so they are bit-identical for every tiling, library and
    device; so are sums of integers, and all grey levels of integers of up to 16 bits. Other grey levels are float64:
    mean and sum differ by at most 1e-9 of the mean and the sum of absolute values, and std by at most 1e-9 of the
    largest absolute value. std is that of the voxels themselves (``ddof=0``).

    Voxels are boxes, not points: a box of a x b voxels has the second moments of a solid rectangle, and a single voxel
    has axes that are not 0. scikit-image takes points, so that its axes are shorter; the difference is 1/12 of a
    squared voxel edge in each second moment. Perimeter and surface are not measured: a count of exposed voxel faces
    does not come nearer to the truth on finer voxels (for a ball it stays 1.5 times too large), and smoother
    estimates need the neighbours of every voxel.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.zeros((4, 6), int)
    >>> labels[1:3, 1:5] = 7
    >>> found = measure(labels, np.arange(24).reshape(4, 6), spacing=(0.5, 0.5), units="µm")
    >>> row = found.table[0]
    >>> row["label"], row["n_voxels"], row["area"], found.units["area"]
    (7, 8, 2.0, 'µm²')
    >>> row["centroid_y"], row["centroid_x"], row["elongation"], row["mean"]
    (0.75, 1.25, 2.0, 11.5)
    """
    frame = _checked_axis("frame_axis", frame_axis, labels)
    channels = _channels(labels, image, channel_axis)
    space = labels.ndim - (frame is not None)
    if space not in (2, 3):
        hint = "frame_axis=0 if the first axis is time" if labels.ndim == 4 else "one time point or channel of them"
        raise ValueError(f"labels must have 2 or 3 axes of space, got shape {tuple(labels.shape)}; pass {hint}")
    lengths = (1.0,) * space if spacing is None else check_spacing(spacing, space)
    if units is not None and spacing is None:
        raise ValueError(f"units={units!r} say what spacing is in, but there is no spacing; give both")
    arrays = [labels, *channels.values()]
    if frame:
        arrays = [array_namespace(labels).moveaxis(array, frame, 0) for array in arrays]
    sums = _summed(arrays, frames=frame is not None)
    return _measurements(sums, list(channels), lengths, units or "", frames=frame is not None)


# Checks ----------------------------------------------------------------------------------------------


def _checked_axis(name: str, axis: int | None, array: Array) -> int | None:
    if axis is None:
        return None
    if isinstance(axis, bool) or not isinstance(axis, int | np.integer):
        raise TypeError(f"{name} must be a whole number, got {axis!r}")
    if not -array.ndim <= axis < array.ndim:
        raise ValueError(f"{name} must be an axis of an array of shape {tuple(array.shape)}, got {axis}")
    return int(axis) % int(array.ndim)


def _channels(labels: Labels, image: Image | Mapping[str, Image] | None, channel_axis: int | None) -> dict[str, Array]:
    """Return every channel by what its columns are called after, all of the shape of labels."""
    array_namespace(labels)
    dtype, shape = dtype_name(labels), tuple(labels.shape)
    if not dtype.startswith(("int", "uint", "bool")):
        raise TypeError(f"labels must hold integers, got dtype {dtype}; convert it, for example with .astype(int)")
    if any(math.isnan(n) for n in shape):
        raise ValueError(f"labels have the unknown shape {shape}; call compute_chunk_sizes() on the dask array first")
    if image is None:
        channels: dict[str, Array] = {}
    elif isinstance(image, Mapping):
        channels = {f"_{name}": array for name, array in image.items()}
    elif channel_axis is None:
        channels = {"": image}
    else:
        axis = _checked_axis("channel_axis", channel_axis, image)
        moved = array_namespace(image).moveaxis(image, axis, 0)
        channels = {f"_{at}": moved[at, ...] for at in range(moved.shape[0])}
    if channel_axis is not None and (image is None or isinstance(image, Mapping)):
        raise ValueError(f"channel_axis={channel_axis} needs one image with an axis of channels; leave it out")
    for array in channels.values():
        _check_channel(array, labels)
    return channels


def _check_channel(image: Image, labels: Labels) -> None:
    array_namespace(labels, image)
    dtype = dtype_name(image)
    if isinstance(image, np.ma.MaskedArray):
        raise TypeError("image is a masked array, whose mask would be lost; pass image.filled(nan) as floats")
    if dtype not in (*REAL_DTYPES, "bool"):
        raise TypeError(f"image must hold real numbers or booleans, got dtype {dtype}; convert it, or pass abs(image)")
    if tuple(image.shape) != tuple(labels.shape):
        raise ValueError(
            f"image must have the shape of labels, {tuple(labels.shape)}, but has {tuple(image.shape)}; "
            "crop or resample it, or give channel_axis if it has an axis of channels"
        )


# Driving ---------------------------------------------------------------------------------------------


class _Places:
    """Stands beside arrays that are read in blocks, and tells of each block where it lies.

    Parameters
    ----------
    chunks : tuple of tuples of int, optional
        The chunks of a dask array.
    """

    def __init__(self, chunks: Sequence[Sequence[int]] = ()) -> None:
        self._chunks = chunks

    def __getitem__(self, region: Slices) -> tuple[int, ...]:
        return tuple(part.start for part in region)

    def to_delayed(self, optimize_graph: bool = False) -> NDArray[Any]:  # there is no graph
        """Return the place of each block, as dask returns blocks."""
        starts = [np.cumsum([0, *sizes[:-1]]).tolist() for sizes in self._chunks]
        places = np.empty([len(s) for s in starts], object)
        for at in np.ndindex(*places.shape):
            places[at] = tuple(s[i] for s, i in zip(starts, at, strict=True))
        return places


def _summed(arrays: Sequence[Array], *, frames: bool) -> LabelSums:
    """Sum all blocks; the first array holds the labels, and frames are along its first axis."""
    shape = tuple(arrays[0].shape)
    space = shape[1:] if frames else shape
    n_whole, reach = math.prod(space), max(space)

    def chunk(_: Any, labels: Array, place: tuple[int, ...], *channels: Array) -> tuple[LabelSums, ...]:
        return block_sums(labels, channels, place, n_whole, reach, frames=frames)

    if 0 in shape:
        parts: tuple[LabelSums, ...] = ()
    else:
        parts = _swept(Pass(chunk, gathered, lambda _, total: total, lambda _: True, "measuring objects"), arrays)
    return merged(parts) if parts else _no_sums(len(space), [dtype_name(array) for array in arrays[1:]])


def _swept(sweep: Pass, arrays: Sequence[Array]) -> tuple[LabelSums, ...]:
    labels, *channels = arrays
    found: tuple[LabelSums, ...]
    if not is_lazy(labels):
        found = reduce_passes(None, [sweep], labels, _Places(), *channels)
        return found
    from ..blockwise import _plans

    aligned = [channel.rechunk(labels.chunks) for channel in channels]
    with _plans.watched(sweep.name):
        found = _plans.reduce_passes(None, [sweep], [labels, _Places(labels.chunks), *aligned]).compute()
    return found  # typed above


def _no_sums(ndim: int, kinds: Sequence[str]) -> LabelSums:
    """Return the table of no labels."""
    none, place = np.zeros(0, np.int64), np.zeros((0, ndim), np.int64)
    channels = tuple(_no_channel(kind) for kind in kinds)
    return LabelSums(none, none, none, place, np.zeros((0, len(pairs_of(ndim))), np.int64), place, place, channels)


def _no_channel(kind: str) -> ChannelSums:
    counts, values = np.zeros(0, np.int64), np.zeros(0, np.float64 if kind.startswith("float") else np.int64)
    return ChannelSums(counts, values, values, values, values, not kind.startswith("float"))


# From sums to columns --------------------------------------------------------------------------------


def _measurements(
    sums: LabelSums, channels: Sequence[str], spacing: tuple[float, ...], unit: str, *, frames: bool
) -> Measurements:
    axes = AXES[-len(spacing) :]
    size = "area" if len(spacing) == 2 else "volume"
    length = _text_of_power(unit, 1)
    columns: dict[str, Column] = {"frame": sums.frame} if frames else {}
    columns |= {"label": sums.label, "n_voxels": _as_int64(sums.count)}
    count = sums.count.astype(np.float64)
    columns[size] = count * math.prod(spacing)
    units = {size: _text_of_power(unit, len(spacing))}
    mean, variance = _moments(sums)
    for at, axis in enumerate(axes):
        columns[f"centroid_{axis}"] = mean[:, at] * spacing[at]
        units[f"centroid_{axis}"] = length
    for at, axis in enumerate(axes):
        columns[f"bbox_{axis}_start"], columns[f"bbox_{axis}_stop"] = sums.low[:, at], sums.high[:, at] + 1
    shape = _shape(columns[size], variance, spacing)
    columns["extent"] = count / np.prod(sums.high - sums.low + 1, axis=1, dtype=np.float64)
    columns |= shape
    units |= {name: length for name in shape if name.startswith(("length", "equivalent"))}
    for name, channel in zip(channels, sums.channels, strict=True):
        columns |= {f"{key}{name}": values for key, values in _grey_levels(channel, count).items()}
    for values in columns.values():
        values.setflags(write=False)
    return Measurements(columns, {name: text for name, text in units.items() if text}, spacing, unit)


def _text_of_power(unit: str, power: int) -> str:
    return unit and unit + {1: "", 2: "²", 3: "³"}[power]


def _as_int64(values: NDArray[Any]) -> Column:
    """Return whole numbers as int64 where they all fit."""
    if values.dtype == object and all(abs(v) < 2**63 for v in values):
        values = values.astype(np.int64)
    return np.array(values)


def _moments(sums: LabelSums) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean coordinates, and the covariance of the voxel centres, of shape (n, d, d).

    The sums are first taken about the voxel nearest to the centre, in whole numbers, so that nothing cancels.
    """
    n, ndim = len(sums), sums.first.shape[1]
    count = sums.count
    near = (2 * sums.first + count[:, None]) // (2 * count[:, None]) if n else sums.first
    first = sums.first - near * count[:, None]
    off = first.astype(np.float64) / count.astype(np.float64)[:, None]
    covariance = np.zeros((n, ndim, ndim))
    for k, (i, j) in enumerate(pairs_of(ndim)):
        second = sums.second[:, k] - near[:, i] * first[:, j] - near[:, j] * sums.first[:, i]
        covariance[:, i, j] = second.astype(np.float64) / count.astype(np.float64) - off[:, i] * off[:, j]
        covariance[:, j, i] = covariance[:, i, j]
    return near.astype(np.float64) + off, covariance


def _shape(size: Column, covariance: NDArray[np.float64], spacing: tuple[float, ...]) -> dict[str, Column]:
    """Return the axes of the ellipsoid that has the second moments of the object, and what follows from them."""
    ndim = len(spacing)
    edges = np.asarray(spacing)
    solid = covariance * edges[:, None] * edges + np.diag(edges**2 / 12)  # a voxel is a box
    axes = 2 * np.sqrt((ndim + 2) * np.maximum(np.linalg.eigvalsh(solid)[:, ::-1], 0))
    diameter = 2 * np.sqrt(size / np.pi) if ndim == 2 else np.cbrt(6 * size / np.pi)
    names = ("length_major", "length_minor") if ndim == 2 else ("length_major", "length_middle", "length_minor")
    columns = {"equivalent_diameter": diameter} | {name: axes[:, at].copy() for at, name in enumerate(names)}
    columns["elongation"] = axes[:, 0] / axes[:, 1]
    return columns if ndim == 2 else columns | {"flatness": axes[:, 1] / axes[:, 2]}


def _grey_levels(sums: ChannelSums, count: NDArray[np.float64]) -> dict[str, Column]:
    known = sums.count.astype(np.float64)
    missing = known == 0
    divisor = np.where(missing, 1.0, known)
    mean = np.asarray(sums.total.astype(np.float64) / divisor)
    spread = (_centred_squares(sums) if sums.exact else sums.square) / divisor
    columns = dict(zip(GREY, (mean, np.sqrt(spread), sums.low, sums.high, _as_int64(sums.total)), strict=True))
    if sums.low.dtype.kind != "f":
        return columns
    gone = {name: np.where(missing, np.nan, columns[name]) for name in ("mean", "std", "min", "max")}
    return columns | gone | {"n_nan": (count - known).astype(np.int64)}


def _centred_squares(sums: ChannelSums) -> NDArray[np.float64]:
    """Return n times the variance of whole numbers: about a whole number near the mean first, so nothing cancels."""
    count = sums.count.astype(sums.total.dtype)
    near = (2 * sums.total + count) // np.maximum(2 * count, 1)
    rest = sums.total - near * count
    about = sums.square - near * (sums.total + rest)
    squares = about.astype(np.float64) - rest.astype(np.float64) ** 2 / np.maximum(count, 1).astype(np.float64)
    return np.asarray(np.maximum(squares, 0), np.float64)
