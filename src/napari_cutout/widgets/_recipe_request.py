"""From a recipe on layers to its run, its preview, and what is saved beside it.  Plain functions, no Qt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .. import catalog
from .._array import to_numpy
from .._sources import Source
from ..running._step_cache import StepCache
from . import _layers
from ._channels import Channels
from ._points import copy_of_labels, with_points
from ._preferences import name_of_result
from ._preview_job import PreviewJob
from ._recipe_job import Setup, array_of, estimate, letters_of, others_of, problems, read
from ._request import Request
from ._sources import PAINTED, parents_of, source_of, source_of_channels
from ._target import Target, levels_of, spatial
from ._view import view_of

__all__ = ["painted_of", "preview_of", "request_of"]

Layer = Any
"""A napari layer."""

NAME = "recipe"
"""What stands for the method in the name of a result: it stays the same while steps come and go."""


def request_of(setup: Setup, known: StepCache | None = None, *, name: str = NAME) -> Request:
    """Read the layers for a run.

    Parameters
    ----------
    setup : Setup
        What is to run.
    known : StepCache, optional
        What steps gave before; of no use where parts share their statistics.
    name : str
        What stands for the method in the name of the layer.

    Returns
    -------
    Request
        Self-contained.

    Raises
    ------
    ValueError
        If there is a problem; the message is its sentence.
    """
    if found := problems(setup):
        raise ValueError(next(iter(found.values())))
    aim, layer, fitted = setup.aim, setup.source, setup.fitted()
    in_run = {name: setup.name_in(fitted, name) for name in setup.recipe.inputs}
    first = in_run[setup.recipe.source]
    image = aim.array.as_input() if isinstance(aim.array, Channels) else aim.array
    inputs = {first: image if fitted.roles[first] == "image" else _copied(image)}
    sources = {first: source_of_channels(setup.channels) if setup.channels else source_of(layer)}
    for own, other in others_of(setup).items():
        inputs[in_run[own]], sources[in_run[own]] = _input(setup, own, other)
    unit = _layers.voxel_size(layer, spatial(letters_of(aim, layer)))
    pooled = fitted.selection is not None and fitted.selection.pooled
    held = {in_run[own]: other for own, other in setup.layers.items() if own in in_run}
    return Request(
        recipe=fitted,
        inputs=inputs,
        device=setup.device,
        name=name_of_result(setup.result_name, layer.name, name),
        target=aim,
        unit="" if unit is None else unit.unit,
        whole=estimate(setup) <= setup.free,
        sources=sources,
        parents=parents_of(held) if len(fitted.steps) == 1 else {},
        inherited=PAINTED.get(layer, {}),
        known=None if pooled else known,
    )


def painted_of(setup: Setup) -> dict[str, Any]:
    """Return what is painted for a recipe, by the names of the inputs of what runs, to be saved beside it.

    Parameters
    ----------
    setup : Setup
        What runs; it fits its layers.
    """
    fitted, found = setup.fitted(), {}
    for name, layer in others_of(setup).items():
        if setup.recipe.roles[name] != "image":
            held = setup.kept[name] if layer is None else copy_of_labels(layer, setup.aim)
            found[setup.name_in(fitted, name)] = to_numpy(held)
    return found


def _input(setup: Setup, name: str, layer: Layer | None) -> tuple[Any, Source]:
    """Return one of the arrays beside what is cut, and where it comes from."""
    aim = setup.aim
    if layer is None:
        return setup.kept[name], replace(setup.sources.get(name, Source()), sha256="")
    if setup.recipe.roles[name] == "image":
        return array_of(layer, aim), source_of(layer)
    return copy_of_labels(layer, aim), with_points(source_of(layer), layer, aim)


def _copied(array: Any) -> Any:
    return array.copy() if isinstance(array, np.ndarray) else array


def preview_of(setup: Setup, viewer: Any) -> tuple[PreviewJob, dict[str, Layer], Target]:
    """Return what a preview computes, of which layers, and what a run would work on.

    Parameters
    ----------
    setup : Setup
        What would run; it has no problems.
    viewer : napari viewer or ViewerModel
        What is in view.

    Raises
    ------
    ValueError
        If there can be no preview of it.
    """
    fitted, aim = setup.fitted(), setup.aim
    if slow := [step.method for step in fitted.steps if catalog.find(step.method).slow]:
        raise ValueError(f"{slow[0]} takes too long to run after every change; press Run")
    if fitted.inputs[0] != fitted.source:
        raise ValueError("its first step reads another image than the last; press Run")
    in_run = {name: setup.name_in(fitted, name) for name in setup.recipe.inputs}
    source = setup.source
    held: list[Any] = levels_of(source)
    if setup.channels:
        held = [Channels(level) for level in zip(*map(levels_of, setup.channels), strict=True)]
    inputs: dict[str, Any] = {fitted.source: held if source.multiscale else held[0]}
    layers = {fitted.source: source, **{f"with {layer.name}": layer for layer in setup.beside}}
    for name, layer in others_of(setup).items():
        inputs[in_run[name]] = read(setup, name, layer)
        if layer is not None:
            layers[in_run[name]] = layer
    return PreviewJob(fitted, inputs, view_of(viewer, source)), layers, aim
