"""Methods of a few lines that stand in the catalog for a test."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Unpack

import numpy as np
import pytest
from numpy.typing import NDArray

import napari_cutout as nc
from napari_cutout import catalog
from napari_cutout._array import array_namespace
from napari_cutout._method import Image, Items, Labels, Mask, Range, method
from napari_cutout._plan import Pass, Reduce, run_plan
from napari_cutout.processing.segment import Options, tidy

__all__ = ["above_hundred", "channel_methods", "strongest", "strongest_by_hand", "wordy"]


@method("Toy channels", working=20.0)
def strongest(
    image: Image, mask: Mask | None = None, *, channel_axis: int | None = None, **options: Unpack[Options]
) -> Labels:
    """Tell which channel is strongest, each measured by its own maximum.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X), with `channel_axis` one axis more
        Any image.
    mask : array of the shape of one channel, optional
        Where to look.
    channel_axis : int, optional
        Which axis counts channels.
    **options : Options
        Steps before and after the cut.

    Returns
    -------
    uint8 array of the shape of one channel
        1 for the first channel, 2 for the second, and so on.
    """
    planes = [image] if channel_axis is None else _channels(image, channel_axis)

    def chunk(_: Any, *blocks: Any) -> tuple[float, ...]:
        *parts, inside = blocks
        return tuple(float(part.max() if inside is None else (part * (inside != 0)).max()) for part in parts)

    def label(most: tuple[float, ...], *blocks: Any) -> Any:
        *parts, inside = blocks
        xp = array_namespace(parts[0])
        ratios = xp.stack([part / max(m, 1.0) for part, m in zip(parts, most, strict=True)])
        found = xp.astype(xp.argmax(ratios, axis=0) + 1, xp.uint8)
        return found if inside is None else xp.where(inside != 0, found, xp.zeros_like(found))

    sweep = Pass(
        chunk, lambda a, b: tuple(map(max, a, b)), lambda _, found: found, lambda _: True, "looking for maxima"
    )
    width, n = (0,) * planes[0].ndim, len(planes)  # blocks are the smaller, the more channels there are
    return tidy(run_plan(Reduce((), [sweep], lambda most: most, label, "uint8", width, n), *planes, mask), options)


@method("Toy channels")
def above_hundred(image: Image, mask: Mask | None = None, **options: Unpack[Options]) -> Labels:
    """Cut one channel at 100.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X)
        Any image.
    mask : array of the shape of `image`, optional
        Where to look.
    **options : Options
        Steps before and after the cut.

    Returns
    -------
    uint8 array of the shape of `image`
        1 above 100, else 0.
    """
    return nc.threshold_at(image, mask, value=100.0, **options)


@method("Toy words")
def wordy(
    image: Image,
    *,
    parts: Annotated[tuple[Literal["one", "two", "three"], ...], Items(3, distinct=True)] = ("one",),
    n: Annotated[int, Range(2, 9)] | Literal["auto"] = 3,
) -> Labels:
    """Find nothing, whatever is said.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X)
        Any image.
    parts : tuple of str
        Some words.
    n : int or "auto"
        A number, or a word.

    Returns
    -------
    uint8 array of the shape of `image`
        0 everywhere.
    """
    return np.zeros(image.shape, np.uint8)


def _channels(image: Image, axis: int) -> list[Any]:
    return [image[(slice(None),) * axis + (number,)] for number in range(image.shape[axis])]


def strongest_by_hand(channels: NDArray[Any]) -> NDArray[Any]:
    """Return what `strongest` finds in channels along the first axis."""
    most = channels.reshape(len(channels), -1).max(1).astype(float)
    ratios = np.stack([channel / m for channel, m in zip(channels, most, strict=True)])
    return (ratios.argmax(0) + 1).astype(np.uint8)


@pytest.fixture(scope="module", autouse=True)
def channel_methods() -> Iterator[None]:
    """Put the methods into the catalog, as a module of their own would."""
    module: Any = types.ModuleType("napari_cutout.methods.toys_with_channels")
    module.__all__ = ["strongest", "above_hundred", "wordy"]
    module.strongest, module.above_hundred, module.wordy = strongest, above_hundred, wordy
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, module)
        patch.setattr(catalog, "MODULES", (*catalog.MODULES, "methods.toys_with_channels"))
        catalog.methods.cache_clear()
        yield
    catalog.methods.cache_clear()
