"""Objects of frames or slices linked by overlap: one number for one object, and where each begins, ends and divides."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, is_lazy, to_numpy
from .._checks import check_labels
from .._method import Labels, Range, method
from .._monitor import note, stage, tick
from .._writing import csv_text, write_text
from ..processing._links import Counts, Rule, counts_of_frames, link, mothers, relabelled

__all__ = ["Tracks", "link_frames", "link_table"]

MinOverlap = Annotated[float, Range(0.0, 1.0, 0.05)]
MaxGap = Annotated[int, Range(0, 100)]


@method("Objects", frames=True, working=12.0, tile_memory=8.0, device_memory=10.0, extras=("edit",))
def link_frames(
    labels: Labels, *, min_overlap: MinOverlap = 0.25, max_gap: MaxGap = 0, divisions: bool = True
) -> Labels:
    """Give an object one number in all frames or slices, by overlap.

    Parameters
    ----------
    labels : array of int or bool, of shape ([T or Z,] Y, X)
        Objects by number, found in every frame or slice by itself; 0 is background. The first axis of three is the one
        that is linked along; an image of two axes is one frame.
    min_overlap : float
        How much two objects must overlap to be one: the least IoU, the voxels that they share over those that at least
        one of them covers. 0 links whatever touches.
    max_gap : int
        For how many frames an object may be missing and still be the same when it comes back.
    divisions : bool
        Let an object end where it becomes two or more, which then have numbers of their own; else the one that overlaps
        most goes on with its number. Best off for the slices of a volume.

    Returns
    -------
    int32 array, same shape and library as `labels`
        0 is background. Objects are numbered from 1 without gaps, by the frame in which they appear, and in one frame
        by their first voxel in scan order. What is one object in a frame stays one, and what are two stay two.

    Raises
    ------
    TypeError
        If `labels` are neither integers nor booleans.
    ValueError
        If `labels` are empty or neither 2-D nor 3-D, or a setting is out of range.

    Notes
    -----
    Good for: objects that move by less than their size between frames.

    Fails when: they move by more, or meet others: no overlap tells which is which.

    Exact. From frame to frame, of all pairs of objects with an IoU of at least `min_overlap` the one with the greatest
    is linked first, then the greatest of those whose objects have no partner yet, and so on. Where two are equal, the
    pair whose earlier object has the smaller first voxel comes first, then the one whose later object has. Objects
    without a partner are then looked for in the frame before that, up to `max_gap` frames further back, where those
    that ended there may go on. No frame is looked at ahead: more frames change nothing in those before. The numbers of
    the input do not matter either.

    An object divides where two or more of the next frame lie for more than half of their voxels in it, each with an IoU
    of at least half of `min_overlap`, and none with an IoU of more than 0.5. `link_table` tells which came of which.

    Where frames or slices are run one by one, as by ``nc.run(..., each="t")``, it is these that are linked, volumes of
    each frame too, and it has to be the last step. With ``each="tz"`` slices are linked to objects of a frame, then
    those from frame to frame. Memory: two frames, and 80 bytes for every object of a frame and every pair.

    References
    ----------
    The greatest IoU first is the overlap tracker of TrackMate (Ershov et al., Nature Methods 19, 2022,
    https://doi.org/10.1038/s41592-022-01507-1), with the smallest overlap that Cellpose stitches slices with.

    Examples
    --------
    >>> import numpy as np
    >>> frames = np.array([[[1, 1, 1, 0, 2, 2]], [[0, 5, 5, 0, 4, 4]], [[3, 0, 0, 0, 0, 7]]])
    >>> link_frames(frames).tolist()
    [[[1, 1, 1, 0, 2, 2]], [[0, 1, 1, 0, 2, 2]], [[3, 0, 0, 0, 0, 2]]]
    """
    rule = Rule(min_overlap, max_gap, divisions)
    if is_lazy(labels):
        from ..blockwise import lazy_linked

        return lazy_linked(labels, rule)
    frames = labels if labels.ndim == 3 else labels[None, ...]
    stage("linking objects")
    found = link(_counted(frames, rule), rule)
    note(**found.facts)
    stage("numbering objects")
    xp = array_namespace(labels)
    out = xp.zeros(frames.shape, dtype=xp.int32, device=labels.device)
    for number in range(frames.shape[0]):
        tick(number, frames.shape[0])
        out[number, ...] = relabelled(frames[number, ...], *found.table(number))
    return out if labels.ndim == 3 else out[0, ...]


def _counted(frames: Array, rule: Rule) -> Counts:
    """Count the objects of all frames, with progress."""
    found, n = [Counts.none()], frames.shape[0]
    for number in range(n):
        tick(number, n)
        start = max(number - rule.max_gap - 1, 0)
        origin = (start, *(0 for _ in frames.shape[1:]))
        seen = frames[start : number + 1, ...]
        found.append(counts_of_frames(seen, rule, first=number - start, origin=origin, shape=frames.shape[1:]))
    return Counts.summed(found)


# The table ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """Where every object of linked frames begins and ends, and what it came of: one row per number.

    Parameters
    ----------
    columns : mapping of str to int64 array
        ``label``, ``begin`` and ``end`` (first and last frame, from 0), ``parent`` (0 for none), and ``n_frames``, in
        how many frames it is there. Rows rise by label.
    """

    columns: Mapping[str, NDArray[np.int64]]

    def __len__(self) -> int:
        return len(self.columns["label"])

    @property
    def table(self) -> list[dict[str, int]]:
        """One row per object, as a dict of plain numbers."""
        rows = zip(*(values.tolist() for values in self.columns.values()), strict=True)
        return [dict(zip(self.columns, row, strict=True)) for row in rows]

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
            The file.

        Raises
        ------
        FileExistsError
            If there is such a file and `overwrite` is False.
        OSError
            If it cannot be written. Nothing is changed then.
        """
        rows = zip(*(values.tolist() for values in self.columns.values()), strict=True)
        return write_text(path, csv_text(self.columns, rows), overwrite=overwrite)

    def to_ctc(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write the table as the Cell Tracking Challenge has it, such as ``res_track.txt``: a line ``L B E P`` each.

        Parameters
        ----------
        path : str or path
            Where to write.
        overwrite : bool
            Replace what is there.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        ValueError
            If an object is missing in a frame between its first and its last, which that format cannot say.
        FileExistsError
            If there is such a file and `overwrite` is False.
        OSError
            If it cannot be written. Nothing is changed then.
        """
        label, begin, end, parent, n_frames = self.columns.values()
        if len(broken := label[end - begin + 1 > n_frames]):
            raise ValueError(
                f"object {broken[0]} is missing in a frame between its first and its last, which a table of the Cell "
                "Tracking Challenge cannot say; link with max_gap=0, or write to_csv"
            )
        lines = (" ".join(map(str, row)) for row in zip(label, begin, end, parent, strict=True))
        return write_text(path, "".join(f"{line}\n" for line in lines), overwrite=overwrite)


def link_table(
    labels: Labels, *, frame_axis: int = 0, min_overlap: MinOverlap = 0.25, divisions: bool = True
) -> Tracks:
    """Tell where every object of linked frames begins and ends, and which divided into which.

    Parameters
    ----------
    labels : array of int or bool, of shape (T, [Z,] Y, X)
        What `link_frames` gave; 0 is background. A dask array is read frame by frame.
    frame_axis : int
        The axis that counts frames.
    min_overlap : float
        As `link_frames` was given it: what half of it takes to be a child.
    divisions : bool
        As `link_frames` was given it; False leaves all without a parent.

    Returns
    -------
    Tracks
        One row per number.

    Raises
    ------
    TypeError
        If `labels` are neither integers nor booleans.
    ValueError
        If there is no such axis, or there are neither two nor three others.

    Notes
    -----
    Exact, and deterministic. Memory: two frames, and 80 bytes for every object of a frame.

    Examples
    --------
    >>> import numpy as np
    >>> frames = np.array([[[1, 1, 1, 1, 1]], [[2, 2, 0, 3, 3]]])
    >>> link_table(link_frames(frames)).table[1]
    {'label': 2, 'begin': 1, 'end': 1, 'parent': 1, 'n_frames': 1}
    """
    frames = _frames_first(labels, frame_axis)
    rule = Rule(min_overlap, 0, divisions)
    counts = _counted_each(frames, rule)
    frame, label = counts.objects[:2]
    values, at = np.unique(label, return_inverse=True)
    begin, end = np.full(len(values), np.iinfo(np.int64).max), np.full(len(values), -1, np.int64)
    np.minimum.at(begin, at, frame)
    np.maximum.at(end, at, frame)
    mother = mothers(counts, rule)
    born = np.flatnonzero((mother >= 0) & (frame == begin[at]) & (label[mother] != label))
    parent = np.zeros(len(values), np.int64)
    parent[at[born]] = label[mother[born]]
    n_frames = np.bincount(at, minlength=len(values))
    return Tracks({"label": values, "begin": begin, "end": end, "parent": parent, "n_frames": n_frames})


def _frames_first(labels: Labels, frame_axis: int) -> Array:
    """Return labels whose first axis is that of frames, or raise."""
    shape = tuple(labels.shape)
    check_labels("labels", labels, shape)
    if not -len(shape) <= frame_axis < len(shape):
        raise ValueError(
            f"frame_axis must be an axis of labels of shape {shape}, got {frame_axis}; pass 0 for the first"
        )
    if len(shape) not in (3, 4) or 0 in shape:
        raise ValueError(
            f"labels must have an axis of frames and 2 or 3 of space, got shape {shape}; pass labels[None] of one frame"
        )
    moved: Any = array_namespace(labels).moveaxis(labels, frame_axis, 0)
    return moved


def _counted_each(frames: Array, rule: Rule) -> Counts:
    """Count the objects of all frames, of which two are in memory at a time."""
    found: list[Counts] = [Counts.none()]
    space, seen = tuple(map(int, frames.shape[1:])), None
    for number in range(frames.shape[0]):
        now = frames[number : number + 1, ...]
        now = to_numpy(now.compute() if is_lazy(now) else now)
        both = now if seen is None else np.concatenate([seen, now])
        origin = (number + 1 - len(both), *(0 for _ in space))
        found.append(counts_of_frames(both, rule, first=len(both) - 1, origin=origin, shape=space))
        seen = now
    return Counts.summed(found)
