"""What Measure asks, computes and shows, as plain data and functions.  No Qt here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import is_lazy
from .._monitor import watch
from .._volume import axis_letter
from ..processing.measure import GREY, Measurements, measure
from . import _layers
from ._columns import Column
from ._request import Problem
from ._target import recalled, run_letters

__all__ = [
    "Measured",
    "Question",
    "begins_with_time",
    "channel_axes",
    "columns_of",
    "csv_of",
    "headline",
    "image_problem",
    "place_of",
    "problems",
    "resolve",
    "row_of",
    "voxel_size",
    "with_more_rows",
]

Layer = Any
"""A napari layer."""

_IN_VIEW = ("frame", "label", "name", "n_voxels", "area", "volume", "equivalent_diameter", "elongation")
"""Columns that are in view at first; of the grey levels those of `_GREY_IN_VIEW`."""

_GREY_IN_VIEW = ("mean", "max", "sum", "n_nan")

_TOOLTIPS = {
    "frame": "Index of the time point.",
    "label": "The number of the object; the square has its colour.",
    "name": "What this label is called, in all tables; double-click to change it.",
    "n_voxels": "How many voxels the object has.",
    "area": "Voxels times the area of a voxel.",
    "volume": "Voxels times the volume of a voxel.",
    "centroid": "Mean of the centres of its voxels, from the centre of the first voxel of the layer.",
    "bbox": "First voxel, and the one after the last.",
    "extent": "The part of its bounding box that the object fills.",
    "equivalent": "Diameter of the circle or ball of the same area or volume.",
    "length": "Axis of the ellipse or ellipsoid with the second moments of the object.",
    "elongation": "Longest axis over the next; 1 is round.",
    "flatness": "Middle axis over the shortest; 1 is as thick as wide.",
    "mean": "Mean grey level.",
    "std": "Standard deviation of the grey levels.",
    "min": "Smallest grey level.",
    "max": "Largest grey level.",
    "sum": "Sum of the grey levels.",
    "n_nan": "Voxels without a grey level (NaN), which are left out of the others.",
}


@dataclass(frozen=True, slots=True)
class Measured:
    """What a finished run gives.

    Parameters
    ----------
    found : Measurements
        The table.
    frames : bool
        True if the first axis of the layer counts frames.
    name : str
        What the layer was called.
    image : str
        What the image was called whose grey levels were measured; that of the labels if there was none.
    """

    found: Measurements
    frames: bool
    name: str
    image: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """What a press on Measure asks: layers were read when it was pressed.

    Parameters
    ----------
    labels : integer array
        The objects, NumPy or dask.
    channels : mapping of str to array
        The grey levels of each channel by its name.
    size : VoxelSize or None
        How large a voxel is along the axes of space; None if nobody has set it.
    frames : bool
        True if the first axis counts frames.
    name : str
        What the layer of the labels is called.
    image : str
        What the image is called; that of the labels if none is measured.
    """

    labels: Any
    channels: Mapping[str, Any]
    size: _layers.VoxelSize | None
    frames: bool
    name: str
    image: str = ""

    def answer(self, on_progress: Callable[[str, float], None], is_cancelled: Callable[[], bool]) -> Measured:
        """Measure block by block; call it in a thread of its own.

        Parameters
        ----------
        on_progress : callable
            Called with a stage and the fraction of it that is done.
        is_cancelled : callable
            Polled between blocks.

        Returns
        -------
        Measured
            The table.

        Raises
        ------
        Cancelled
            If `is_cancelled` returned True.
        """
        arrays = _of_one_library([self.labels, *self.channels.values()])
        channels: Any = dict(zip(self.channels, arrays[1:], strict=True))
        if len(channels) == 1:  # its columns need no name
            (channels,) = channels.values()
        with watch(on_progress, is_cancelled):
            found = measure(
                arrays[0],
                channels if len(self.channels) else None,
                spacing=None if self.size is None else self.size.lengths,
                units=None if self.size is None else self.size.unit or None,
                frame_axis=0 if self.frames else None,
            )
        return Measured(found, self.frames, self.name, self.image)


def _of_one_library(arrays: Sequence[Any]) -> list[Any]:
    """Return arrays that can be read together: as they are in memory, else all of dask, which reads them in parts."""
    if all(isinstance(array, np.ndarray) for array in arrays):
        return list(arrays)
    import dask.array as da

    found = []
    for array in arrays:
        chunks = getattr(array, "chunks", None) or "auto"
        found.append(array if is_lazy(array) else da.from_array(array, chunks=chunks))
    return found


# What can be measured --------------------------------------------------------------------------------


def problems(labels: Layer | None) -> tuple[Problem, ...]:
    """Say why a layer cannot be measured.

    Parameters
    ----------
    labels : napari Labels layer or None
        What is chosen.

    Returns
    -------
    tuple of Problem
        Empty if it can.
    """
    if labels is None:
        sentence = "there is no Labels layer to measure; cut an image first, or open or paint labels"
        return (Problem("labels", sentence),)
    if labels.ndim not in (2, 3, 4):
        shape = tuple(_layers.level_zero(labels).shape)
        sentence = f"'{labels.name}' has shape {shape}, and 2-D, 3-D, or frames of these are needed; take a part of it"
        return (Problem("labels", sentence),)
    return ()


def begins_with_time(labels: Layer) -> bool:
    """Tell whether the first axis of a layer is time: as was chosen, as its recipe says, or as it is called."""
    called = "" if run_letters(labels) else axis_letter(labels.axis_labels[0])
    return recalled(labels).letters.startswith("t") or called == "t"


def channel_axes(labels: Layer, image: Layer) -> tuple[int, ...]:
    """Return the axes of an image that can be those of its channels: without one of them it has the shape of labels.

    Parameters
    ----------
    labels : napari Labels layer
        The objects.
    image : napari Image layer
        Grey levels; a colour image has its channels along its last axis.

    Returns
    -------
    tuple of int
        Empty if there are none.
    """
    shape, wanted = tuple(_layers.level_zero(image).shape), tuple(_layers.level_zero(labels).shape)
    if image.rgb:
        return (len(shape) - 1,) if shape[:-1] == wanted else ()
    return tuple(axis for axis in range(len(shape)) if shape[:axis] + shape[axis + 1 :] == wanted)


def image_problem(labels: Layer, image: Layer) -> str:
    """Say why the grey levels of an image cannot be measured in the objects of labels; empty if they can.

    Parameters
    ----------
    labels : napari Labels layer
        The objects.
    image : napari Image layer
        The grey levels.

    Returns
    -------
    str
        One sentence.
    """
    shape, wanted = tuple(_layers.level_zero(image).shape), tuple(_layers.level_zero(labels).shape)
    if channel_axes(labels, image):
        return ""
    if shape != wanted:
        return f"'{image.name}' has shape {shape}, and '{labels.name}' has {wanted}; crop or resample one of them"
    if not _layers.same_place(labels, image):
        return (
            f"'{image.name}' has the scale {_layers.spacing(image)} or lies elsewhere than '{labels.name}' with "
            f"{_layers.spacing(labels)}; press the button below the list if they belong together"
        )
    return ""


def voxel_size(labels: Layer, *, frames: bool) -> _layers.VoxelSize | None:
    """Return how large a voxel is along the axes of space, or None if nobody has set it.

    Parameters
    ----------
    labels : napari Labels layer
        The objects.
    frames : bool
        True if its first axis counts frames.

    Returns
    -------
    VoxelSize or None
        With an empty unit where it is not known.
    """
    skip = int(frames)
    lengths = _layers.spacing(labels)[skip:]
    symbols = {f"{unit:~}" for unit in labels.units[skip:]}
    unit = symbols.pop() if len(symbols) == 1 else ""
    unit = "" if unit in ("pixel", "px") else unit
    if all(length == 1 for length in lengths) and not unit:
        return None
    return _layers.VoxelSize(lengths, unit)


def resolve(
    labels: Layer,
    images: Sequence[Layer],
    *,
    frames: bool,
    axis: int | None = None,
    given: _layers.VoxelSize | None = None,
) -> Question:
    """Turn what the form says into a question.

    Parameters
    ----------
    labels : napari Labels layer
        The objects.
    images : sequence of napari Image layer
        Where grey levels are measured.
    frames : bool
        True if the first axis of labels counts frames.
    axis : int, optional
        The axis of channels of images that have one more axis than labels; by default the first that fits.
    given : VoxelSize, optional
        Used where the layer has no size of its own.

    Returns
    -------
    Question
        Self-contained: layers may be painted on or removed while it runs.

    Raises
    ------
    ValueError
        If there is a problem; the message is its sentence.
    """
    sentences = [p.sentence for p in problems(labels)] or [s for i in images if (s := image_problem(labels, i))]
    if sentences:
        raise ValueError(sentences[0])
    channels: dict[str, Any] = {}
    for image in images:
        array, axes = _layers.level_zero(image), channel_axes(labels, image)
        if not axes:
            channels[image.name] = array
            continue
        along = axis if axis in axes else axes[0]
        lazy = _of_one_library([array])[0]
        for at in range(array.shape[along]):
            cut = (slice(None),) * along + (at,)
            channels[f"{image.name}_{'rgba'[at] if image.rgb else at}"] = lazy[cut]
    size = voxel_size(labels, frames=frames) or given
    image = images[0].name if images else labels.name
    return Question(_layers.copy_of(labels), channels, size, frames, labels.name, image)


# What is shown ---------------------------------------------------------------------------------------


def columns_of(found: Measurements, colour: Callable[[Any], str | None] | None = None) -> list[Column]:
    """Return how the table is shown: what is asked for most in view, the rest in the menu of its header.

    Parameters
    ----------
    found : Measurements
        The table.
    colour : callable, optional
        From a label to its colour.

    Returns
    -------
    list of Column
        The column ``name`` stands after the label.
    """
    columns = []
    for name in sorted(found.columns, key=_place_in_table):
        unit = f" {found.units[name]}" if name in found.units else ""
        spec = "" if found.columns[name].dtype.kind in "iuO" else ".4g"
        title = name.replace("_", " ").replace("equivalent", "eq.") + unit
        columns.append(
            Column(name, title, _tooltip(name), spec, _in_view(name, found), colour=colour if name == "label" else None)
        )
        if name == "label":
            columns.append(Column("name", tooltip=_TOOLTIPS["name"], editable=True))
    return columns


def _place_in_table(name: str) -> int:
    """Put sizes and grey levels first, which are asked for most, and then shapes and places."""
    if name in ("frame", "label", "n_voxels", "area", "volume"):
        return 0
    return 1 if name.partition("_")[0] in (*GREY, "n") else 3 if name.startswith(("centroid", "bbox")) else 2


def _tooltip(name: str) -> str:
    words = sorted((word for word in _TOOLTIPS if name.startswith(word)), key=len)
    return _TOOLTIPS[words[-1]] if words else ""


def _in_view(name: str, found: Measurements) -> bool:
    if name.startswith("n_nan"):
        return bool(found.columns[name].any())
    if name == "n_voxels":
        return not found.unit
    return name in _IN_VIEW or name.partition("_")[0] in _GREY_IN_VIEW


def headline(measured: Measured) -> str:
    """Say in a line or two what was measured.

    Parameters
    ----------
    measured : Measured
        What a run gave.

    Returns
    -------
    str
        Such as ``"'cells': 128 objects, 3,021 µm³ in all"``.
    """
    found = measured.found
    size = "area" if "area" in found.columns else "volume"
    frames = f" in {len(np.unique(found.columns['frame']))} frames" if measured.frames else ""
    unit = found.units.get(size, "")
    total = found.columns[size].sum() if unit else found.columns["n_voxels"].sum()
    word = unit or ("pixels" if size == "area" else "voxels")
    objects = f"{len(found):,} object{'' if len(found) == 1 else 's'}"
    return f"'{measured.name}': {objects}{frames}, {_counted(total)} {word} in all"


def _counted(total: float) -> str:
    """Return a sum in plain digits: whole where it is a count or large, with five digits elsewhere."""
    return f"{total:,.0f}" if total == int(total) or abs(total) >= 10_000 else f"{total:,.5g}"


def place_of(measured: Measured, row: int) -> tuple[float, ...]:
    """Return where an object is, as an index of the layer's data.

    Parameters
    ----------
    measured : Measured
        What a run gave.
    row : int
        Its row.

    Returns
    -------
    tuple of float
        Its centroid in voxels, after its frame if there are frames.
    """
    columns = measured.found.columns
    axes = "zyx"[-len(measured.found.spacing) :]
    centre = [columns[f"centroid_{a}"][row] / s for a, s in zip(axes, measured.found.spacing, strict=True)]
    return tuple(float(c) for c in ([columns["frame"][row]] if measured.frames else []) + centre)


def row_of(measured: Measured, label: int, position: Sequence[float]) -> int | None:
    """Return the row of a label.

    Parameters
    ----------
    measured : Measured
        What a run gave.
    label : int
        The label.
    position : sequence of float
        An index of the layer's data, whose first number is the frame if there are frames.

    Returns
    -------
    int or None
        None if it was not measured.
    """
    columns = measured.found.columns
    is_it: NDArray[np.bool_] = columns["label"] == label
    if measured.frames:
        is_it = is_it & (columns["frame"] == round(position[0]))
    rows = np.flatnonzero(is_it)
    return int(rows[0]) if len(rows) else None


def csv_of(measured: Measured, names: Sequence[str]) -> str:
    """Return the table as CSV: the image first, as in a table of many, and the names of labels if any has one.

    Parameters
    ----------
    measured : Measured
        What a run gave.
    names : sequence of str
        The name of each row.

    Returns
    -------
    str
        All columns, in view or not.
    """
    image = [measured.image or measured.name] * len(measured.found)
    return measured.found.csv_text({"image": image}, {"name": list(names)} if any(names) else None)


def with_more_rows(table: str, more: str) -> str | None:
    """Put the rows of one CSV under those of another.

    Parameters
    ----------
    table, more : str
        What `csv_of` returned.

    Returns
    -------
    str or None
        None if they have other columns.
    """
    heads, (head, _, rows) = table.splitlines()[:1], more.partition("\r\n")
    if heads != [head]:
        return None
    return table + ("" if table.endswith("\n") else "\r\n") + rows
