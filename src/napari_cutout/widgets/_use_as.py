"""What a result can be used as: markers, a mask, labels to work on, an annotation to paint, truth.  No Qt here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from .. import catalog
from . import _layers
from ._dock import docks
from ._target import recalled, remember
from .manifest import class_name, title_of

__all__ = ["Use", "opened", "uses"]

Layer = Any
"""A napari layer."""

COPY_BYTES = 2**31
"""Labels larger than this are not copied into memory behind the user's back."""

GROUPS = {
    "markers": "Markers",
    "mask": "Mask",
    "labels": "Labels to work on",
    "regions": "Regions",
    "annotation": "Annotation to correct (a copy)",
    "truth": "Truth",
    "predicted": "Labels to score",
    "recipe": "Steps of a recipe",
}
"""What a layer can be used as, in the order of the menu, and what that is called."""

_SAID = {"mask": "the mask", "predicted": "what is scored", "recipe": "what the steps are of"}


@dataclass(frozen=True, slots=True)
class Use:
    """One field of one widget that can take labels.

    Parameters
    ----------
    what : str
        One of `GROUPS`.
    row : str
        The widget, as its menu calls it.
    field : str
        The field.
    copies : bool
        Whether it gets a copy, which the user paints on.
    """

    what: str
    row: str
    field: str
    copies: bool = False

    def on(self, viewer: Any, layer: Layer, image: Layer | None) -> tuple[Any, str]:
        """Open the widget if it is not open, and choose the layer in its field.

        Parameters
        ----------
        viewer : napari viewer
            Where.
        layer : napari Labels layer
            What is used.
        image : napari Image layer or None
            What it was made of, which is chosen as well where the widget asks for an image.

        Returns
        -------
        tuple
            The widget, and a sentence on what was done.

        Raises
        ------
        ValueError
            If it is too large to be copied, or the field does not take it.
        """
        used = copy_to_paint(viewer, layer) if self.copies else layer
        widget = opened(viewer, self.row)
        if image is not None and (name := _image_field(widget)) and image in widget.boxes[name].offered:
            widget.use(name, image)
        if self.what == "annotation" and "training" in getattr(widget, "extras", {}):
            training = widget.extras["training"]
            training.box.choose(used)
            training.fold.show_content(True)
        else:
            widget.use(self.field, used)
        copied = "a copy of " if self.copies else ""
        then = "; paint on it, the result stays as it is" if self.copies else ""
        said = _SAID.get(self.what, self.what)
        return widget, f"{copied}'{layer.name}' is {said} in {self.row} now{then}"


def uses(frame_row: str = "") -> list[Use]:
    """Return all fields of all widgets that take labels, from the catalog where they are in it.

    Parameters
    ----------
    frame_row : str
        The widget that asks, which does not offer to work on its own result.
    """
    found: dict[Use, None] = {}
    for row, methods in catalog.rows().items():
        for param in (param for method in methods for param in method.arrays):
            name = param.name if param.name in GROUPS else ""
            own = row == frame_row and param.name == methods[0].source.name
            if name and not own:
                found[Use(name, row, param.name)] = None
    others = [
        Use("labels", "Measure", "labels"),
        Use("annotation", "U-Net", "markers", copies=True),
        Use("annotation", "Compare", "truth", copies=True),
        Use("truth", "Evaluate", "truth"),
        Use("predicted", "Evaluate", "predicted"),
        Use("recipe", "Recipe", "recipe"),
    ]
    order = list(GROUPS)
    return sorted([*found, *others], key=lambda use: order.index(use.what))


def opened(viewer: Any, row: str) -> Any:
    """Return the widget of that name, opened if it is not open, and in front of others.

    It has the title that the menu of napari gives it, and the menu takes it for its own; by
    `add_plugin_dock_widget` it would have another one, and the menu would open a second.

    Parameters
    ----------
    viewer : napari viewer
        Where.
    row : str
        As its menu calls it.
    """
    widget = next((dock for dock in docks(viewer) if name_of(dock) == row), None)
    if widget is None:
        widget = getattr(import_module(__package__), class_name(row))(viewer)
        viewer.window.add_dock_widget(widget, name=title_of(row))
    dock = widget.parent()
    for call in ("show", "raise_"):
        getattr(dock, call, lambda: None)()
    return widget


def name_of(dock: Any) -> str:
    """Return what the menu calls a widget."""
    return getattr(dock, "row", "") or type(dock).__name__.removesuffix("Widget")


def _image_field(widget: Any) -> str:
    """Return the name of the field of the image that a widget works on; empty if it asks for none."""
    methods: Sequence[Any] = getattr(widget, "methods", ())
    names = [methods[0].source.name] if methods else ["image"]
    return next((name for name in names if name in widget.boxes and name != "labels"), "")


def copy_to_paint(viewer: Any, layer: Layer) -> Layer:
    """Add a copy of labels that can be painted on, and that no run updates.

    Parameters
    ----------
    viewer : napari viewer
        Where.
    layer : napari Labels layer
        What is copied: of labels in a store the full resolution.

    Raises
    ------
    ValueError
        If it is too large to be held in memory twice.
    """
    array = _layers.level_zero(layer)
    n_bytes = math.prod(array.shape) * np.dtype(array.dtype).itemsize
    if n_bytes > COPY_BYTES:
        raise ValueError(
            f"'{layer.name}' holds {n_bytes / 2**30:.1f} GiB, and at most {COPY_BYTES / 2**30:g} GiB are copied to be "
            "painted on; copy a part out with Edit this region, which every widget shows for labels in a store"
        )
    copied = viewer.add_labels(np.array(array), name=f"{layer.name} annotation", **_layers.placement(layer))
    remember(copied, recalled(layer))  # a copy has no recipe that says what its axes are
    copied.mode, copied.brush_size = "paint", 10
    layer.visible = False  # what is erased in the copy would shine through
    return copied
