"""What of an image a run is to work on: what the recipe says, and what was asked for over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from . import catalog
from ._selection import Selection
from ._volume import Volume, arrange
from .recipe import Recipe

__all__ = ["Fitted", "Wanted", "fitted", "named"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked for, over what the recipe says.

    Parameters
    ----------
    channel : int, "mean" or "all", optional
        Which channel, the mean of them, or all of them together.
    frame : int, optional
        Which time point; the labels then have no time axis.
    level : int, optional
        Which level of the image's pyramid.
    axes : str, optional
        What the axes of the image are, over what its file says.
    each : str, optional
        Axes that are run one index at a time.
    pooled : bool
        Whether these share their statistics.
    region : mapping of str to (int, int)
        First index and the one after the last along some axes.
    whole : bool
        Leave out the region that the recipe was made on.
    """

    channel: int | str | None = None
    frame: int | None = None
    level: int | None = None
    axes: str | None = None
    each: str | None = None
    pooled: bool = False
    region: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    whole: bool = False

    def level_for(self, selection: Selection | None) -> int:
        """Return the level to read.

        Raises
        ------
        ValueError
            If the recipe has a region, which lies elsewhere at another level.
        """
        own = 0 if selection is None else selection.level
        if self.level in (None, own):
            return own
        if selection is not None and selection.box and not (self.whole or self.region):
            raise ValueError(
                f"the recipe's region is one of level {own}, and level {self.level} was asked for; give a region of "
                f"that level, or whole=True"
            )
        return int(self.level or 0)


@dataclass(frozen=True, slots=True)
class Fitted:
    """An image and the selection that fits it.

    Parameters
    ----------
    volume : Volume
        The image, with the axes of the selection.
    selection : Selection
        What to run on.
    recorded : Selection
        The same for a recipe: where one time point was asked for, which one, of an image with time.
    frame : int, optional
        The time point that was taken out of the image, which has no time axis any more.
    """

    volume: Volume
    selection: Selection
    recorded: Selection
    frame: int | None = None

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """World length of a voxel along each axis that a method sees; None if the file does not say it."""
        known = zip(self.volume.spatial_axes, self.volume.spacing or (), strict=False)
        return tuple(length for axis, length in known if axis in self.selection.run_axes) or None

    def as_labels(self, labels: Any) -> Volume:
        """Return labels of the selection where they lie in the image."""
        axes, bounds = self.selection.kept_axes, self.selection.bounds(tuple(self.volume.data.shape))
        origin = self.volume.origin
        if self.volume.spacing is not None:
            starts = [start for axis, (start, _) in zip(axes, bounds, strict=True) if axis in self.volume.spatial_axes]
            first = origin or (0.0,) * len(starts)
            moved = tuple(o + n * s for o, n, s in zip(first, starts, self.volume.spacing, strict=True))
            origin = moved if origin is not None or any(starts) else None
        return replace(self.volume, data=labels, axes=axes, metadata={}, origin=origin)

    def beside(self, volume: Volume, axes: str) -> Any:
        """Return the array of a file that goes with the image, with these axes and of the same time point."""
        if self.frame is not None and "t" in volume.axes and volume.data.shape[volume.axes.index("t")] > 1:
            volume = _without(volume, "t", self.frame)
        try:
            return arrange(volume.data, volume.axes, axes)
        except ValueError:
            return volume.data  # of as many axes under other names it fits still, else it is refused by its shape


def _without(volume: Volume, axis: str, index: int) -> Volume:
    at = volume.axes.index(axis)
    data = volume.data[(slice(None),) * at + (index,)]
    return replace(volume, data=data, axes=volume.axes.replace(axis, ""))


def named(volume: Volume, axes: str) -> Volume:
    """Return a volume whose axes are what the user says.

    Parameters
    ----------
    volume : Volume
        As it was read.
    axes : str
        What they are. Where the file has these axes in another order they are moved, else they are called so one by
        one; those of length 1 may be left out.

    Returns
    -------
    Volume
        With these axes. Lengths and places are kept for the axes that keep their names, if all spatial ones do.

    Raises
    ------
    ValueError
        If there are more or fewer of them.
    """
    if set(volume.axes) == set(axes):
        return _arranged(volume, axes)
    sizes = [n for n in volume.data.shape if n != 1]
    data = volume.data
    if len(axes) != data.ndim and len(axes) == len(sizes):
        data = data[tuple(0 if n == 1 else slice(None) for n in data.shape)]
    if len(axes) != data.ndim:
        raise ValueError(
            f"axes must be one letter per axis of {volume.name or 'the image'!r}, of shape {tuple(volume.data.shape)}, "
            f"but are {axes!r}; those of length 1 may be left out"
        )
    by_name = dict(zip(volume.spatial_axes, volume.spacing or (), strict=False))
    spatial = [axis for axis in axes if axis in "zyx"]
    known = bool(by_name) and all(axis in by_name for axis in spatial)
    if known:
        at = dict(zip(volume.spatial_axes, volume.origin or (), strict=False))
        origin = tuple(at[axis] for axis in spatial) if at else None
        return replace(volume, data=data, axes=axes, spacing=tuple(by_name[a] for a in spatial), origin=origin)
    return replace(volume, data=data, axes=axes, spacing=None, units=None, origin=None)


def _arranged(volume: Volume, axes: str) -> Volume:
    """Bring a volume to axes that it has, or has not because their length would be 1."""
    if volume.axes == axes:
        return volume
    try:
        data = arrange(volume.data, volume.axes, axes)
    except ValueError as error:
        raise ValueError(
            f"the recipe runs on the axes {axes!r}, but {volume.name or 'the image'!r} has {volume.axes!r} of the "
            f"lengths {tuple(volume.data.shape)}; if the file names them wrongly, give axes={axes!r}"
        ) from error
    spatial = [axis for axis in axes if axis in "zyx"]
    lengths = dict(zip(volume.spatial_axes, volume.spacing or (), strict=False))
    places = dict(zip(volume.spatial_axes, volume.origin or (), strict=False))
    # A new axis z has one slice, whose thickness nobody knows: as thick as a voxel is high.
    spacing = tuple(lengths.get(axis, lengths["y"]) for axis in spatial) if lengths else None
    origin = tuple(places.get(axis, 0.0) for axis in spatial) if places else None
    return replace(
        volume, data=data, axes=axes, spacing=spacing, origin=origin, units=volume.units if spacing else None
    )


def fitted(volume: Volume, recipe: Recipe | None, wanted: Wanted) -> Fitted:
    """Work out what to run on.

    Parameters
    ----------
    volume : Volume
        The image, at the level that was asked for.
    recipe : Recipe or None
        What runs, and what it says of the image; None to take one grey image.
    wanted : Wanted
        What was asked for over it.

    Returns
    -------
    Fitted
        The image with the axes of the recipe, and what of it to run on: all channels where nobody has chosen, and
        every step that reads the image takes them.

    Raises
    ------
    ValueError
        If they do not fit together, or a channel or a time point must be chosen.
    """
    selection = None if recipe is None else recipe.selection
    if wanted.axes is not None:
        volume = named(volume, wanted.axes)
    if selection is not None and "c" in volume.axes and "c" not in selection.axes:  # made on one channel by itself
        if isinstance(wanted.channel, int):
            volume, wanted = _without(volume, "c", _one_channel(volume, wanted.channel)), replace(wanted, channel=None)
        elif wanted.channel == "all":
            at = volume.axes.index("c")
            selection = replace(selection, axes=f"{selection.axes[:at]}c{selection.axes[at:]}", channel="all")
    if selection is not None:
        volume = _arranged(volume, selection.axes)
    sizes = dict(zip(volume.axes, volume.data.shape, strict=True))
    if selection is None and (wanted.each, wanted.frame) == (None, None) and "t" in volume.axes and _links(recipe):
        wanted = replace(wanted, each="t")
    frame = _frame(volume, selection, wanted)
    each = "".join(axis for axis in "tz" if axis in _each(volume, selection, wanted))
    whole = Selection(
        volume.axes,
        channel=_channel(volume, recipe, wanted.channel),
        level=wanted.level_for(selection),
        each=each,
        pooled=wanted.pooled or (selection is not None and selection.pooled),
    )
    box = _box(whole, selection, wanted, sizes, frame)
    found = replace(whole, box=() if all(ends == (0, sizes[a]) for a, ends in box.items()) else tuple(box.values()))
    found.bounds(tuple(volume.data.shape))
    if frame is None:
        return Fitted(volume, found, found)
    rest = found.each.replace("t", "")
    ends = tuple(pair for axis, pair in zip(found.kept_axes, found.box, strict=False) if axis != "t")
    axes = volume.axes.replace("t", "")
    one = replace(found, axes=axes, box=ends, each=rest, pooled=found.pooled and bool(rest))
    return Fitted(_without(volume, "t", frame), one, found, frame)


def _links(recipe: Recipe | None) -> bool:
    """Tell whether a recipe ends with what links frames, which runs on all of them where nobody has chosen."""
    return recipe is not None and catalog.find(recipe.steps[-1].method).frames


def _each(volume: Volume, selection: Selection | None, wanted: Wanted) -> str:
    own = "" if selection is None else selection.each
    asked = own if wanted.each is None else wanted.each
    if missing := set(asked) - set(volume.axes) | set(asked) - set("tz"):
        raise ValueError(
            f"each={asked!r} was asked for, but {volume.name or 'the image'!r} has no {min(missing)!r} to go along; "
            f"its axes are {volume.axes!r}, and t and z can be gone along"
        )
    return asked + ("t" if "t" in volume.axes else "")


def _box(
    whole: Selection, selection: Selection | None, wanted: Wanted, sizes: Mapping[str, int], frame: int | None
) -> dict[str, tuple[int, int]]:
    box = {axis: (0, sizes[axis]) for axis in whole.kept_axes}
    if unknown := [axis for axis in wanted.region if axis not in box]:
        raise ValueError(f"the region names {unknown[0]!r}; it may name {', '.join(box)}")
    if selection is not None and selection.box and not wanted.whole:
        box |= dict(zip(selection.kept_axes, selection.box, strict=True))
    box |= dict(wanted.region)
    if frame is not None:
        box["t"] = (frame, frame + 1)
    return box


def _channel(volume: Volume, recipe: Recipe | None, wanted: int | str | None) -> Any:
    own = None if recipe is None or recipe.selection is None else recipe.selection.channel
    asked = own if wanted is None else wanted
    if isinstance(asked, str) and asked not in ("mean", "grey") and (asked != "all" or recipe is None):
        together = recipe is not None and recipe.takes_channels
        ways = "a number, 'mean' or 'all'" if together else "a number or 'mean'"
        raise ValueError(f"channel must be {ways}, got {asked!r}")
    if "c" in volume.axes and volume.data.shape[volume.axes.index("c")] > 1:
        return _of_several(volume, recipe, asked)
    chosen = _one_channel(volume, 0 if isinstance(asked, str) else asked)  # the mean of one channel is that
    return chosen if "c" in volume.axes else None


def _of_several(volume: Volume, recipe: Recipe | None, asked: int | str | None) -> Any:
    """Return which of several channels to take."""
    if asked is None and recipe is not None and recipe.takes_channels:
        return "all"
    if isinstance(asked, str):
        return "all" if asked == "all" else "grey"
    return _one_channel(volume, asked)


def _one_channel(volume: Volume, chosen: int | None) -> int:
    return _one_of(volume, "c", "channels", "channel", chosen, ", or channel='mean'")


def _frame(volume: Volume, selection: Selection | None, wanted: Wanted) -> int | None:
    """Return the one time point that was asked for, or that there is; None if all are run."""
    every = selection is not None or "t" in (wanted.each or "") or "t" in wanted.region
    if wanted.frame is None and (every or "t" not in volume.axes):
        return None
    chosen = _one_of(volume, "t", "time points", "frame", wanted.frame, ", or each='t' for one after the other")
    return chosen if "t" in volume.axes else None


def _one_of(volume: Volume, axis: str, what: str, option: str, chosen: int | None, also: str) -> int:
    """Return which channel or time point to take."""
    name = volume.name or "the image"
    if axis not in volume.axes:
        if chosen not in (None, 0):
            raise ValueError(f"{option} {chosen} was asked for, but {name!r} has no {what}")
        return 0
    n = volume.data.shape[volume.axes.index(axis)]
    if chosen is None and n > 1:
        raise ValueError(f"{name!r} has {n} {what} and a method cuts one; choose {option}=0 to {n - 1}{also}")
    if chosen is not None and not 0 <= chosen < n:
        raise ValueError(f"{option} must be between 0 and {n - 1} for {name!r}, got {chosen}")
    return chosen or 0
