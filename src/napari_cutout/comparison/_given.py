"""What a comparison was given, for its report: a picture, all arguments, and by what arrays are known again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._array import dtype_name, to_numpy
from .._pictures import stretched
from .._selection import Selection
from .._sources import image_fingerprint
from ..recipe import Recipe, as_dict

if TYPE_CHECKING:
    from ._contest import Rules

__all__ = ["Given", "arguments_of", "grey_plane", "inputs_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What a comparison was given.

    Parameters
    ----------
    arguments : mapping
        All that `compare` was asked for beside arrays, as JSON.
    inputs : mapping
        Shape, dtype and SHA-256 of every array, by ``"images"``, ``"truths"``, ``"ceiling"`` and ``"labels"``.
    image : uint8 array of shape (Y, X), optional
        The plane of the first image that pictures show, stretched from black to white.
    truth : integer array of shape (Y, X), optional
        Its annotation.
    """

    arguments: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    image: NDArray[np.uint8] | None = None
    truth: NDArray[Any] | None = None


def arguments_of(
    rules: Rules,
    *,
    methods: Sequence[str] | None,
    recipes: Mapping[str, Recipe],
    ignore: int | None,
    background: int | None,
    spacing: Sequence[float] | None,
    selection: Selection | None,
) -> dict[str, Any]:
    """Return arguments as JSON, from which the comparison can be run again."""
    return {
        **asdict(rules),
        "methods": None if methods is None else list(methods),
        "recipes": {name: as_dict(recipe) for name, recipe in recipes.items()},
        "ignore": ignore,
        "background": background,
        "spacing": None if spacing is None else [float(length) for length in spacing],
        "selection": None if selection is None else selection.as_dict(),
    }


def inputs_of(
    images: Sequence[Any],
    truths: Sequence[Any],
    labels: Mapping[str, Sequence[Any]],
    ceiling: Sequence[Any] | None,
) -> dict[str, Any]:
    """Return by what all arrays are known again."""
    return {
        "images": [_known(one) for one in images],
        "truths": [_known(one) for one in truths],
        "ceiling": None if ceiling is None else [_known(one) for one in ceiling],
        "labels": {name: [_known(one) for one in given] for name, given in labels.items()},
    }


def _known(array: Any) -> dict[str, Any]:
    shape = [int(n) for n in array.shape]
    return {"shape": shape, "dtype": dtype_name(array), "voxels_sha256": image_fingerprint(array)}


def grey_plane(image: Any, selection: Selection | None, at: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return one plane of an image for people.

    Parameters
    ----------
    image : array
        As it is stored.
    selection : Selection, optional
        What of it is cut.
    at : tuple of int
        Which plane, along all axes of the labels but the last two.

    Returns
    -------
    uint8 array of shape (Y, X)
        The mean of channels that are cut together.
    """
    if selection is None:
        return stretched(to_numpy(image[at]))
    bounds = selection.bounds(image.shape)
    ends = [(low + i, low + i + 1) for (low, _), i in zip(bounds, at, strict=False)]
    plane = replace(selection, box=(*ends, *bounds[-2:]))
    (part,) = plane.parts(image.shape)
    values = to_numpy(plane.cut(image, part))
    if plane.channel_axis is not None:
        values = values.mean(axis=plane.channel_axis)
    return stretched(values.reshape(values.shape[-2:]))
