"""Open the widget of a method with the settings of a recipe filled in, on the same layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import catalog
from ..recipe import Step
from ._use_as import opened

__all__ = ["adopt"]

Layer = Any
"""A napari layer."""


def adopt(viewer: Any, layer: Layer, steps: Sequence[Step], strokes: Layer | None = None) -> Any:
    """Open the widgets of the steps of a recipe and fill them in; nothing is run.

    Parameters
    ----------
    viewer : napari viewer
        Where they are opened, or where they are already.
    layer : napari Image layer
        What the first step reads.
    steps : sequence of Step
        Of a recipe.
    strokes : napari Labels layer, optional
        What steps read as markers.

    Returns
    -------
    MethodFrame
        The widget of the first step, which is the one to run first; it says so where another follows.
    """
    widgets = [_filled(viewer, step, strokes) for step in reversed(steps)]
    first = widgets[-1]
    first.use(catalog.find(steps[0].method).source.name, layer)
    if len(steps) > 1:
        first.bar.say(f"1. press Run here; 2. choose the labels in {widgets[0].row}, which is filled in, and run it")
    return first


def _filled(viewer: Any, step: Step, strokes: Layer | None) -> Any:
    """Return the widget of a step with its settings."""
    widget = opened(viewer, catalog.find(step.method).row)
    widget.choose_method(step.method)
    widget.set(**{name: value for name, value in step.settings.items() if name in widget.editors})
    for param in catalog.find(step.method).arrays:
        if (
            strokes is not None
            and param.role is not None
            and param.role.name == "markers"
            and param.name in step.inputs
        ):
            widget.use(param.name, strokes)
    return widget
