"""A row of a comparison run on all of the image: its recipe as the request of a method's widget.  No Qt here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .. import catalog
from .._array import to_numpy
from ..comparison.leaderboard import Row
from ..recipe import Recipe, Step
from ..running._footprint import footprint
from . import _layers
from ._compare_job import Setup, whole_of
from ._preferences import name_of_result, preferences
from ._request import Request
from ._sources import source_of
from ._target import spatial

__all__ = ["request_of"]


def request_of(row: Row, setup: Setup, free: int) -> Request:
    """Return what runs the recipe of a row on all of the image.

    Parameters
    ----------
    row : Row
        With a recipe.
    setup : Setup
        What was compared; a slice or a frame of it stands for all of them, each by itself.
    free : int
        Bytes that the run may take; what is not in memory and needs more is run in blocks.

    Returns
    -------
    Request
        Its labels lie on the image, at the level that was compared.

    Raises
    ------
    ValueError
        If the row has no recipe: its labels were there already.
    """
    if row.recipe is None:
        raise ValueError(f"'{row.name}' has no recipe: its labels were there already; choose the row of a method")
    whole = whole_of(setup)
    aim, image, truth = whole.target, setup.image, setup.truth
    steps = [_with_spacing(step, whole.spacing) for step in row.recipe.steps]
    recipe = Recipe(steps, aim.selection)
    inputs: dict[str, Any] = {}
    for name, role in recipe.roles.items():
        inputs[name] = aim.array if role == "image" else to_numpy(aim.as_input(_layers.level_zero(truth))).copy()
    painted = [array.dtype.itemsize for name, array in inputs.items() if recipe.roles[name] != "image"]
    in_memory = isinstance(aim.array, np.ndarray)
    shape, itemsize = tuple(aim.array.shape), np.dtype(aim.array.dtype).itemsize
    need = footprint(recipe, shape, itemsize, in_memory=in_memory, others=painted)
    size = _layers.voxel_size(image, spatial(setup.choice.letters)) or setup.voxel_size
    return Request(
        recipe=recipe,
        inputs=inputs,
        device=setup.rules.device,
        name=name_of_result(preferences().result_name, image.name, row.name.replace("_", " ")),
        target=aim,
        unit="" if size is None else size.unit,
        whole=need <= free,
        sources={name: source_of(image if role == "image" else truth) for name, role in recipe.roles.items()},
    )


def _with_spacing(step: Step, spacing: tuple[float, ...] | None) -> Step:
    """Return a step whose settings hold the spacing, if its method has one: the recipe alone gives the labels then."""
    if spacing is None or all(p.name != "spacing" for p in catalog.find(step.method).settings):
        return step
    return replace(step, settings={**step.settings, "spacing": spacing})
