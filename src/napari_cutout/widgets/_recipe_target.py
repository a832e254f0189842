"""What a recipe runs on in its layer, as the rows of the method widgets say it, and what instead.  No Qt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .._selection import Selection
from ._channels import with_channels
from ._recipe_job import Setup, names_axes_of
from ._target import Choice, Extent, factors, levels_of, n_channels, recalled, target

__all__ = ["choice_of", "region_of", "selection_of"]

Layer = Any
"""A napari layer."""

_INSIDE = 1e-6
"""Share of a voxel by which a region is taken in, so that it ends where it did at levels that are no whole fraction."""


def choice_of(chosen: Selection, layer: Layer | None = None, *, takes_channels: bool = False) -> Choice:
    """Return a selection as rows say it.

    Parameters
    ----------
    chosen : Selection
        What a recipe runs on.
    layer : napari Image or Labels layer, optional
        The layer whose rows say it.
    takes_channels : bool
        Whether the recipe can look at all channels together.

    Returns
    -------
    Choice
        Of a layer with other axes it says what it can of it, and for the rest what was last chosen for the layer.
    """
    like = Choice(chosen.axes) if layer is None else recalled(layer)
    fits = layer is None or names_axes_of(chosen, layer)
    found = replace(like, letters=chosen.axes if fits else like.letters)
    shared = set(chosen.axes) & set(found.letters)
    if "z" in shared:
        found = replace(found, depth="this" if _is_one(chosen, "z") else "each" if "z" in chosen.each else "together")
    if "t" in shared:
        found = replace(found, time="pooled" if chosen.pooled else "this" if _is_one(chosen, "t") else "each")
    if layer is None or chosen.level < len(levels_of(layer)):
        found = replace(found, level=chosen.level)
    return _with_channel(found, chosen, layer, takes_channels) if "c" in shared else found


def _is_one(chosen: Selection, axis: str) -> bool:
    """Tell whether a selection is one slice, or one frame."""
    if not chosen.box or axis not in chosen.each:
        return False
    start, stop = chosen.box[chosen.kept_axes.index(axis)]
    return stop - start == 1


def _with_channel(choice: Choice, chosen: Selection, layer: Layer | None, takes_channels: bool) -> Choice:
    channel = chosen.channel
    if layer is None:
        return choice if channel is None else replace(choice, channel=channel)
    if channel == "all":
        return replace(choice, together=True)
    if channel is None or (isinstance(channel, int) and channel >= n_channels(layer, choice.letters)):
        return choice
    return replace(choice, channel=channel, together=choice.together and not takes_channels)


def selection_of(setup: Setup, choice: Choice, shown: Extent) -> Selection:
    """Return what a recipe runs on where rows say something else.

    Parameters
    ----------
    setup : Setup
        The recipe and its layers.
    choice : Choice
        What the rows say.
    shown : Extent
        What is in view; one slice or frame that was one before stays the same, and so does a region.

    Returns
    -------
    Selection
        Of all channels where layers are channels of one image.

    Raises
    ------
    Unfit
        If the rows do not say all yet.
    """
    aim = target(setup.source, choice, _extent(setup, choice, shown))
    return (with_channels(aim, setup.channels) if setup.channels else aim).selection


def _extent(setup: Setup, choice: Choice, shown: Extent) -> Extent:
    """Return where to look: where the recipe did, as far as the rows still say so."""
    chosen, layer = setup.alone, setup.source
    if not chosen.box or choice.letters != chosen.axes or chosen.level >= len(levels_of(layer)):
        return shown
    kept = [at for at, axis in enumerate(chosen.axes) if axis != "c"]
    full, there = (tuple(levels_of(layer)[level].shape[at] for at in kept) for level in (0, chosen.level))
    was = {"z": _is_one(chosen, "z"), "t": _is_one(chosen, "t")}
    now = {"z": choice.depth == "this", "t": choice.time == "this"}
    point, box = list(shown.point), [(0.0, float(n)) for n in full]
    for at, (axis, ends, factor) in enumerate(zip(chosen.kept_axes, chosen.box, factors(full, there), strict=True)):
        if not was.get(axis, False):
            box[at] = ((ends[0] + _INSIDE) * factor, (ends[1] - _INSIDE) * factor)
        elif now[axis]:
            point[at] = int((ends[0] + 0.5) * factor)
    return replace(shown, point=tuple(point), box=tuple(box))


def region_of(chosen: Selection, layer: Layer | None) -> str:
    """Say which part of an image a recipe runs on, as its command does, such as ``"z=3, y=0:64"``; empty if all.

    Parameters
    ----------
    chosen : Selection
        What it runs on.
    layer : napari layer, optional
        Its layer; axes along which the part is all of that are left out.
    """
    sizes: tuple[int, ...] = ()
    if layer is not None and names_axes_of(chosen, layer):
        arrays = levels_of(layer)
        sizes = tuple(arrays[min(chosen.level, len(arrays) - 1)].shape)
    whole = dict(zip(chosen.axes, sizes, strict=False))
    parts = [
        f"{axis}={start}" if stop - start == 1 else f"{axis}={start}:{stop}"
        for axis, (start, stop) in zip(chosen.kept_axes, chosen.box, strict=False)
        if (start, stop) != (0, whole.get(axis))
    ]
    return ", ".join(parts)
