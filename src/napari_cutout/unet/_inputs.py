"""What a training is given, as pairs: arrays, volumes, files, folders; one image per time point."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import io
from .._array import Array, is_host, is_lazy
from .._checks import check_channel_axis, check_image, check_labels, check_spacing
from .._pairs import is_many, pair, stem_of
from .._reading import check_one, is_path
from .._volume import Volume
from ._pairs import Pair

__all__ = ["Inputs", "channels_in", "inputs_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """Images with their annotations.

    Parameters
    ----------
    pairs : tuple of Pair
        All of as many axes and channels.
    spacing : tuple of float or None
        World length of a voxel along each axis; None if it is not known.
    warnings : tuple of str
        What somebody may not have meant.
    """

    pairs: tuple[Pair, ...]
    spacing: tuple[float, ...] | None
    warnings: tuple[str, ...]


def inputs_of(
    images: Any, annotations: Any, channel: int | None, channel_axis: int | None, spacing: Sequence[float] | None
) -> Inputs:
    """Open images and annotations and check that they belong together.

    Parameters
    ----------
    images, annotations : array, Volume, path, or a list of these
        As in `unet_plan`.
    channel : int, optional
        Which channel to take.
    channel_axis : int, optional
        The axis of arrays that counts channels.
    spacing : sequence of float, optional
        World length of a voxel, over what files say.

    Returns
    -------
    Inputs
        OME-Zarr and other arrays in chunks are not read yet.

    Raises
    ------
    ValueError, TypeError, FileNotFoundError
        If they do not belong together, or one cannot be used; the message begins with which one.
    """
    sources, warnings = _sources(images, annotations)
    found = [
        (replace(one, source=number), length)
        for number, (name, image, annotation) in enumerate(sources)
        for one, length in _opened(name, image, annotation, channel, channel_axis)
    ]
    pairs = tuple(one for one, _ in found)
    _check_alike(pairs)
    lengths = [length for _, length in found]
    if spacing is not None:
        return Inputs(pairs, check_spacing(spacing, len(pairs[0].shape)), warnings)
    odd = [i for i, length in enumerate(lengths) if not _alike(length, lengths[0])]
    if odd:
        warnings += (
            f"voxels of {pairs[odd[0]].name} are {_length(lengths[odd[0]])} and those of {pairs[0].name} "
            f"{_length(lengths[0])}; all are learned as they are, so resample them first, or give spacing",
        )
    return Inputs(pairs, lengths[0], warnings)


def _alike(a: tuple[float, ...] | None, b: tuple[float, ...] | None) -> bool:
    """Tell whether voxels are about as long; lengths that nobody knows are."""
    return (a is None and b is None) or (a is not None and b is not None and np.allclose(a, b, rtol=0.02))


def _sources(images: Any, annotations: Any) -> tuple[list[tuple[str, Any, Any]], tuple[str, ...]]:
    """Return image and annotation by name, and warnings: lists in order, folders and patterns by their names."""
    several = [isinstance(given, list | tuple) for given in (images, annotations)]
    many = [not s and is_many(given) for s, given in zip(several, (images, annotations), strict=True)]
    if several[0] != several[1] or many[0] != many[1]:
        left, right = (_kind(g, m) for g, m in zip((images, annotations), many, strict=True))
        raise TypeError(
            f"images and annotations must both be one, both be lists, or both be folders, got {left} and {right}"
        )
    if many[0]:
        partners = pair(io.inputs(images), io.inputs(annotations), "annotation")
        alone = [stem_of(image) for image, other in partners.items() if other is None]
        left_out = f"{len(alone)} images have no annotation and are left out: {', '.join(alone[:3])}"
        kept = [(stem_of(i), i, a) for i, a in partners.items() if a is not None]
        return kept, (left_out,) if alone else ()
    if not several[0]:
        return [(stem_of(images) or "image", images, annotations)], ()
    if not images or len(images) != len(annotations):
        raise ValueError(
            f"there must be one annotation for each image, got {len(images)} images and {len(annotations)} annotations"
        )
    return [(stem_of(i) or f"image {n}", i, a) for n, (i, a) in enumerate(zip(images, annotations, strict=True))], ()


def _kind(given: Any, many: bool) -> str:
    if isinstance(given, list | tuple):
        return f"a list of {len(given)}"
    return f"the folder {os.fspath(given)!r}" if many else "one"


def _opened(
    name: str, image: Any, annotation: Any, channel: int | None, channel_axis: int | None
) -> Iterator[tuple[Pair, tuple[float, ...] | None]]:
    """Yield the pairs of one image, one for each time point, with the lengths of its voxels."""
    try:
        frames, spacing = _frames(image, channel_axis)
        labels = _label_frames(annotation)
        if len(frames) != len(labels):
            raise ValueError(
                f"the image has {len(frames)} time points and the annotation {len(labels)}; give one for each"
            )
        for at, ((array, axis), strokes) in enumerate(zip(frames, labels, strict=True)):
            channels = _chosen(_channels(array, axis), channel)
            check_labels("annotations", strokes, tuple(map(int, channels[0].shape)))
            called = f"{name}, time point {at}" if len(frames) > 1 else name
            yield Pair(called, tuple(channels), strokes), spacing
    except (ValueError, TypeError) as error:
        raise type(error)(f"{name}: {error}" if name != "image" else str(error)) from error


def channels_in(image: Any, channel: int | None, channel_axis: int | None) -> list[Array]:
    """Return the channels to learn from of one image, or of a part of one; of the first time point."""
    array, axis = _frames(image, channel_axis)[0][0]
    return _chosen(_channels(array, axis), channel)


def _frames(image: Any, channel_axis: int | None) -> tuple[list[tuple[Array, int | None]], tuple[float, ...] | None]:
    """Return the array of each time point with its axis of channels, and the lengths of voxels."""
    if not (is_path(image) or isinstance(image, Volume)):
        _check_array("images", image)
        axis = None if channel_axis is None else check_channel_axis(image, channel_axis)
        shape = tuple(n for a, n in enumerate(image.shape) if a != axis)
        check_image(image, shape if axis is not None else None, channels=True)
        return [(image, axis)], None
    volume = _flat(_volume(image))
    frames = [(_at(volume.data, volume.axes, t), volume.axes.replace("t", "")) for t in range(_length_of(volume, "t"))]
    for array, axes in frames:
        shape = tuple(n for a, n in zip(axes, array.shape, strict=True) if a != "c")
        check_image(array, shape)
    return [(array, axes.index("c") if "c" in axes else None) for array, axes in frames], volume.spacing


def _label_frames(annotation: Any) -> list[Array]:
    """Return the annotation of each time point."""
    if not (is_path(annotation) or isinstance(annotation, Volume)):
        _check_array("annotations", annotation)
        return [annotation]
    volume = _volume(annotation)
    check_one(volume, "annotations", "tyx")
    if "c" in volume.axes:
        at = volume.axes.index("c")
        data = volume.data[(slice(None),) * at + (0,)]
        volume = replace(volume, data=data, axes=volume.axes.replace("c", ""))
    volume = _flat(volume)
    return [_at(volume.data, volume.axes, t) for t in range(_length_of(volume, "t"))]


def _check_array(what: str, given: Any) -> None:
    if not (hasattr(given, "shape") and hasattr(given, "dtype")):
        raise TypeError(
            f"{what} must be arrays, Volumes, paths or lists of these, got {given!r} of type {type(given).__name__}"
        )


def _volume(source: Any) -> Volume:
    return source if isinstance(source, Volume) else io.read_lazily(source)[0]


def _flat(volume: Volume) -> Volume:
    """Return a volume without an axis z of one plane."""
    if "z" not in volume.axes or _length_of(volume, "z") > 1:
        return volume
    at = volume.axes.index("z")
    return replace(
        volume,
        data=volume.data[(slice(None),) * at + (0,)],
        axes=volume.axes.replace("z", ""),
        spacing=None if volume.spacing is None else volume.spacing[1:],
        origin=None,
    )


def _length_of(volume: Volume, axis: str) -> int:
    return int(volume.data.shape[volume.axes.index(axis)]) if axis in volume.axes else 1


def _at(data: Array, axes: str, t: int) -> Array:
    return data if "t" not in axes else data[(slice(None),) * axes.index("t") + (t,)]


def _chosen(channels: list[Array], channel: int | None) -> list[Array]:
    if channel is None:
        return channels
    if not -len(channels) <= channel < len(channels):
        raise ValueError(f"channel must be from 0 to {len(channels) - 1}, or negative from the end, got {channel}")
    return [channels[channel]]


def _channels(array: Array, axis: int | None) -> list[Array]:
    """Return the channels of an image; those of a Zarr array are read when they are asked for."""
    if axis is None:
        return [array]
    before = (slice(None),) * axis
    if is_host(array) or is_lazy(array) or not hasattr(array, "chunks"):
        return [array[(*before, channel, ...)] for channel in range(int(array.shape[axis]))]
    return [_Channel(array, axis, channel) for channel in range(int(array.shape[axis]))]


class _Channel:
    """One channel of a Zarr array, which reads what it is asked for."""

    def __init__(self, array: Array, axis: int, channel: int) -> None:
        self._array, self._axis, self._channel = array, axis, channel
        self.dtype = array.dtype
        self.shape = self._without(array.shape)
        self.chunks = self._without(getattr(array, "shards", None) or array.chunks)

    def _without(self, sizes: Sequence[int]) -> tuple[int, ...]:
        return tuple(int(n) for axis, n in enumerate(sizes) if axis != self._axis)

    def __getitem__(self, region: tuple[slice, ...]) -> Array:
        return self._array[(*region[: self._axis], self._channel, *region[self._axis :])]


def _check_alike(pairs: Sequence[Pair]) -> None:
    """Raise unless all images have as many axes and channels."""
    first = pairs[0]
    for other in pairs[1:]:
        for what, n, n_first in (
            ("axes", len(other.shape), len(first.shape)),
            ("channels", len(other.channels), len(first.channels)),
        ):
            if n != n_first:
                raise ValueError(
                    f"all images must have as many {what}: {first.name} has {n_first}, and {other.name} has {n}"
                )


def _length(spacing: tuple[float, ...] | None) -> str:
    return "of unknown length" if spacing is None else " x ".join(f"{s:g}" for s in spacing) + " long"
