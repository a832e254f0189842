"""Which voxels of an image a recipe runs on: channel, pyramid level, region, and what is done frame by frame."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ._array import Array
from ._volume import AXES, SPATIAL
from .processing.filters import grey

__all__ = ["Selection"]

Box = tuple[tuple[int, int], ...]
"""First index and the one after the last, along each axis."""

Part = tuple[slice | int, ...]
"""What is run at a time: an index, or a first and last one, along every axis but c."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which voxels of an image a recipe runs on, and which of them at a time.

    Parameters
    ----------
    axes : str
        One letter of ``tczyx`` per axis of the image as it is stored, such as ``"tczyx"`` or ``"yxc"``.
    channel : int, "grey", "all" or None
        Which channel; ``"grey"`` is the brightness of a colour image, ``"all"`` are all of them together, for methods
        that have a `channel_axis`. Of four colours along a last axis c, the fourth is alpha, which is left out. None if
        there is no axis c.
    level : int
        Level of the image's pyramid; 0 is full resolution.
    box : sequence of (int, int)
        First index and the one after the last along every axis but c, at that level; empty for all.
    each : str
        Axes that are run one index at a time, of ``"tz"``. Time is never run together: t must be among them.
    pooled : bool
        Whether what is run one at a time shares its statistics, such as one threshold for all frames.

    Raises
    ------
    ValueError
        If the axes, the channel, the box or `each` do not fit together.

    Examples
    --------
    >>> frames = Selection("tyx", each="t")
    >>> frames.shape((5, 64, 64))
    (5, 64, 64)
    >>> Selection("czyx", channel=1, box=((2, 3), (0, 32), (0, 32))).shape((2, 9, 64, 64))
    (1, 32, 32)
    """

    axes: str
    channel: int | Literal["grey", "all"] | None = None
    level: int = 0
    box: Box = ()
    each: str = ""
    pooled: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "box", _pairs(self.box))
        object.__setattr__(self, "channel", _plain(self.channel))
        object.__setattr__(self, "level", _plain(self.level))
        _check_axes(self.axes, self.each)
        _check_channel(self.axes, self.channel)
        if not _is_index(self.level):
            raise ValueError(f"level must be a whole number from 0, got {self.level!r}")
        if self.pooled and not self.each:
            raise ValueError("pooled=True shares statistics between frames or slices, but each is empty; name the axis")
        if self.box and len(self.box) != len(self.kept_axes):
            raise ValueError(f"box must have a pair for each of the axes {self.kept_axes!r}, but has {len(self.box)}")
        for axis, (start, stop) in zip(self.kept_axes, self.box, strict=False):
            if not 0 <= start < stop:
                raise ValueError(f"box must have 0 <= start < stop, but is {start}, {stop} along {axis!r}")

    @property
    def kept_axes(self) -> str:
        """The axes of the labels: all but c."""
        return self.axes.replace("c", "")

    @property
    def run_axes(self) -> str:
        """The axes that the method sees at a time, ``"yx"`` or ``"zyx"``."""
        return "".join(axis for axis in self.kept_axes if axis not in self.each)

    @property
    def channel_axis(self) -> int | None:
        """Where the channels stand in what the method sees; None if it sees one."""
        return self._left.index("c") if self.channel == "all" else None

    @property
    def of_part(self) -> Selection:
        """What a recipe selects that runs on one part alone, as `cut` returns it."""
        return Selection(self._left, channel="all") if self.channel == "all" else Selection(self.run_axes)

    @property
    def _left(self) -> str:
        """The axes of a part before a channel is taken out of it."""
        return "".join(axis for axis in self.axes if axis not in self.each)

    def n_channels(self, shape: Sequence[int]) -> int:
        """Return how many channels the method sees at a time, of an image of this shape as it is stored."""
        if self.channel != "all":
            return 1
        n = int(shape[self.axes.index("c")])
        return 3 if n == 4 and self.axes.endswith("c") else n

    @property
    def is_whole(self) -> bool:
        """True if it says no more than: run on the whole image at once."""
        return self.axes in ("yx", "zyx") and self == Selection(self.axes)

    def bounds(self, shape: Sequence[int]) -> Box:
        """Return first index and the one after the last, along every axis but c.

        Parameters
        ----------
        shape : sequence of int
            The shape of the image as it is stored.

        Returns
        -------
        tuple of (int, int)
            The box, or the whole.

        Raises
        ------
        ValueError
            If the image has another number of axes, or the box or the channel lies beyond it.
        """
        if len(shape) != len(self.axes):
            raise ValueError(
                f"the recipe runs on an image with the axes {self.axes!r}, but this one has the shape {tuple(shape)}"
            )
        sizes = dict(zip(self.axes, shape, strict=True))
        if isinstance(self.channel, int) and self.channel >= sizes["c"]:
            raise ValueError(f"the recipe runs on channel {self.channel}, but the image has {sizes['c']}, from 0")
        whole = tuple((0, sizes[axis]) for axis in self.kept_axes)
        for axis, (_, stop), (_, size) in zip(self.kept_axes, self.box, whole, strict=False):
            if stop > size:
                raise ValueError(
                    f"the recipe's region ends at {stop} along {axis!r}, but the image has {size} there; "
                    "run it with whole=True, which leaves the region out"
                )
        return self.box or whole

    def shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of the labels for an image of this shape."""
        return tuple(stop - start for start, stop in self.bounds(shape))

    def parts(self, shape: Sequence[int]) -> list[Part]:
        """Return where each part that is run at a time lies, as an index along every axis but c."""
        bounds = self.bounds(shape)
        choices = [
            list(range(*ends)) if axis in self.each else [slice(*ends)]
            for axis, ends in zip(self.kept_axes, bounds, strict=True)
        ]
        return list(itertools.product(*choices))

    def covered(self, image: Array) -> Array:
        """Return all of the image that is run on, as it is stored, with all channels that are needed for it."""
        along = dict(zip(self.kept_axes, self.bounds(tuple(image.shape)), strict=True))
        if isinstance(self.channel, int):
            along["c"] = (self.channel, self.channel + 1)
        return image[tuple(slice(*along.get(axis, (None,))) for axis in self.axes)]

    def cut(self, array: Array, part: Sequence[slice | int]) -> Array:
        """Return one part of the image as it is stored, with the channels that are seen, or of labels without any."""
        picked, axis = self.picked(array, part), self.channels_at(array)
        return grey(picked, channel_axis=axis) if axis is not None and self.channel == "grey" else picked

    def picked(self, array: Array, part: Sequence[slice | int]) -> Array:
        """Return the same with all channels that the grey one is the mean of."""
        if array.ndim == len(self.kept_axes) and "c" in self.axes:
            return array[tuple(part)]
        along = dict(zip(self.kept_axes, part, strict=True))
        if self.channel is None:
            return array[tuple(part)]
        together = slice(0, self.n_channels(array.shape)) if self.channel == "all" else slice(None)
        channels = self.channel if isinstance(self.channel, int) else together
        return array[tuple(along.get(axis, channels) for axis in self.axes)]

    def channels_at(self, array: Array) -> int | None:
        """Return where the channels stand in what `picked` returns of an array; None if it has none there."""
        seen = self.channel in ("grey", "all") and array.ndim == len(self.axes)
        return self._left.index("c") if seen else None

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON, without what is as it would be anyway."""
        given = {name: getattr(self, name) for name in ("axes", "channel", "level", "box", "each", "pooled")}
        return {name: value for name, value in given.items() if name == "axes" or value != _DEFAULTS[name]}

    @classmethod
    def from_dict(cls, entry: Any) -> Selection:
        """Read what `as_dict` returned.

        Raises
        ------
        ValueError
            If an entry is missing, unknown or wrong.
        """
        if not isinstance(entry, Mapping) or not {"axes"} <= entry.keys() <= {"axes", *_DEFAULTS}:
            raise ValueError(f"a selection has the entries axes, {', '.join(_DEFAULTS)}, got {entry!r}")
        try:
            return cls(**entry)
        except TypeError as error:
            raise ValueError(f"the selection {dict(entry)!r} is not right: {error}") from error


_DEFAULTS: Mapping[str, Any] = {"channel": None, "level": 0, "box": (), "each": "", "pooled": False}


def placed(part: Sequence[slice | int], bounds: Box) -> Part:
    """Return where a part lies in the labels, which begin where the box does."""
    return tuple(
        index - start if isinstance(index, int) else slice(index.start - start, index.stop - start)
        for index, (start, _) in zip(part, bounds, strict=True)
    )


def _pairs(box: Any) -> Box:
    try:
        return tuple((operator.index(start), operator.index(stop)) for start, stop in box)
    except (TypeError, ValueError) as error:
        raise ValueError(f"box must be pairs of whole numbers, got {box!r}") from error


def _plain(value: Any) -> Any:
    """Turn NumPy's numbers, which JSON does not know, into Python's."""
    return value.item() if isinstance(value, np.generic) else value


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _check_axes(axes: str, each: str) -> None:
    if not isinstance(axes, str) or not isinstance(each, str):
        raise ValueError(f"axes must be letters of {AXES!r}, got {axes if isinstance(each, str) else each!r}")
    if set(axes) - set(AXES) or len(set(axes)) != len(axes):
        raise ValueError(f"axes must be different letters of {AXES!r}, but are {axes!r}")
    if "".join(a for a in axes if a in SPATIAL) not in ("yx", "zyx"):
        raise ValueError(f"axes must hold y and x, in the order z, y, x, but are {axes!r}")
    if set(each) - (set("tz") & set(axes)) or len(set(each)) != len(each):
        raise ValueError(f"each must name axes of 'tz' that the image has, {axes!r}, got {each!r}")
    if "t" in axes and "t" not in each:
        raise ValueError(f"axes {axes!r} hold time, which is run frame by frame; put 't' into each, got {each!r}")


def _check_channel(axes: str, channel: Any) -> None:
    if ("c" in axes) != (channel is not None):
        rest = "name one, 'grey' or 'all'" if "c" in axes else "it must be None"
        raise ValueError(f"channel is {channel!r} for the axes {axes!r}; {rest}")
    if channel not in (None, "grey", "all") and not _is_index(channel):
        raise ValueError(f"channel must be a whole number from 0, 'grey' or 'all', got {channel!r}")


def where(part: Sequence[slice | int], axes: str) -> str:
    """Say which of those that are run one at a time a part is, such as ``"t=3, z=0"``."""
    return ", ".join(f"{axis}={index}" for axis, index in zip(axes, part, strict=True) if isinstance(index, int))
