"""The temporary layer that shows a preview: where the result will lie, in its colours, and never saved."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _layers
from ._layers import is_preview

__all__ = ["PreviewImage", "PreviewLayer"]

Layer = Any
"""A napari layer."""

NAME = "preview"
OPACITY = 0.7
CONTOUR = 1
"""Width of the boundaries of regions that cover the image, in pixels: filled, they would hide it."""

RAREST = 0.005
"""Share of the smallest, and of the largest values of a feature that are shown black or white."""


class PreviewLayer:
    """Puts labels into a viewer's temporary layer, and takes it away.

    Parameters
    ----------
    layers : napari layer list
        The layers of the viewer.
    """

    def __init__(self, layers: Any) -> None:
        self._layers = layers
        self.layer: Layer | None = None
        self._place: dict[str, Any] = {}
        self._of: Layer | None = None
        self._contour = False
        self._stands_for: Layer | None = None
        self._hidden: Layer | None = None

    def show(
        self,
        labels: NDArray[Any],
        place: Mapping[str, Any],
        source: Layer,
        *,
        contour: bool = False,
        instead_of: Layer | None = None,
    ) -> None:
        """Show labels.

        While it lies on the same image and has the same shape and kind it is changed in place, so that no more than
        its pixels are sent to the screen.

        Parameters
        ----------
        labels : integer array
            With the axes of the layer. It is kept, and changed by the next call.
        place : mapping
            Arguments of a layer: scale, translate and so on.
        source : napari layer
            The image that it lies on.
        contour : bool
            Whether labels are shown by their boundaries; the user may change that of the layer that is there.
        instead_of : napari layer, optional
            What is out of sight until the preview goes, unless it is `source`, or the user shows it meanwhile.
        """
        layer, same = self.layer, self._of is source and self._contour == contour
        if layer is not None and (layer not in self._layers or not same or layer.ndim != labels.ndim):
            self.clear()
            layer = None
        self._contour = contour
        if layer is None:
            self._insert(labels, place, source)
        elif layer.data.shape == labels.shape and layer.data.dtype == labels.dtype:
            np.copyto(layer.data, labels)
            if not self._moved(place):
                layer.refresh(extent=False, thumbnail=False, highlight=False)
        else:
            self._moved(place)
            layer.data = labels
            layer.editable = False
        self._stand_for(None if instead_of is source else instead_of)

    def clear(self) -> None:
        """Take the layer away, if it is there, and show what it stood for."""
        self._stand_for(None)
        layer, self.layer, self._of, self._place = self.layer, None, None, {}
        if layer is not None and layer in self._layers:
            self._layers.remove(layer)

    def _stand_for(self, layer: Layer | None) -> None:
        """Hide a layer, once, and show that which was hidden before."""
        if layer is self._stands_for:
            return
        if self._hidden is not None:
            self._hidden.visible = True
        self._stands_for = layer
        self._hidden = layer if layer is not None and layer.visible else None
        if self._hidden is not None:
            self._hidden.visible = False

    def _insert(self, labels: NDArray[Any], place: Mapping[str, Any], source: Layer) -> None:
        """Put the layer on top of its image; what is selected stays selected."""
        never_saved(self._layers)
        layer = self._made(labels, metadata={"napari_cutout": {"preview": True}}, **place)
        layer.editable = False
        layer.save = _refuse
        selection = self._layers.selection
        kept = list(selection)
        self.layer, self._of, self._place = layer, source, dict(place)
        self._layers.insert(self._above(source), layer)
        selection.update(kept)
        selection.discard(layer)

    def _made(self, labels: NDArray[Any], **options: Any) -> Layer:
        """Return a layer of its kind."""
        from napari.layers import Labels

        layer = Labels(labels, name=NAME, opacity=1.0 if self._contour else OPACITY, **options)
        layer.contour = CONTOUR if self._contour else 0
        return layer

    def _above(self, source: Layer) -> int:
        """Return where in the list the layer belongs: on its image, and on the preview of a feature of it."""
        at: int = self._layers.index(source) + 1
        while at < len(self._layers) and is_preview(self._layers[at]) and not hasattr(self._layers[at], "paint"):
            at += 1
        return at

    def _moved(self, place: Mapping[str, Any]) -> bool:
        """Move the layer to its new place; tell whether it had to be."""
        assert self.layer is not None
        changed = [name for name, value in place.items() if not _equal(value, self._place.get(name))]
        for name in changed:
            setattr(self.layer, name, place[name])
        self._place = dict(place)
        return bool(changed)


class PreviewImage(PreviewLayer):
    """Puts an image into a viewer's temporary layer, right above its source, and takes it away."""

    def _made(self, labels: NDArray[Any], **options: Any) -> Layer:
        """Return a layer that shows the values in grey."""
        from napari.layers import Image

        return Image(labels, name=NAME, rgb=False, contrast_limits=limits_of(labels), **options)

    def _above(self, source: Layer) -> int:
        """Return where in the list the layer belongs: below the preview of labels."""
        return int(self._layers.index(source)) + 1


def limits_of(values: NDArray[Any]) -> tuple[float, float]:
    """Return between which values an image is shown: all but the rarest, which would leave the others dark."""
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, 1.0
    low, high = (float(found) for found in np.quantile(known, (RAREST, 1 - RAREST)))
    return (low, high) if low < high else (low, low + 1.0)


def _equal(a: Any, b: Any) -> bool:
    return a is b or (b is not None and bool(np.all(np.asarray(a) == np.asarray(b))))


def _refuse(*_: Any, **__: Any) -> list[str]:
    raise ValueError("a preview is not saved, since it shows a part of what a run gives; press Run and save its labels")


def never_saved(layers: Any) -> None:
    """Leave previews out of all that is saved from a layer list, by its menu or by a program.

    A writer is given what the list holds, and a layer cannot take itself out of that: so the list's own ``save``,
    through which napari's menus go as well, is stood in for by one that leaves previews out. It stays for the life of
    the viewer and does what napari's does where there is no preview.
    """
    if "save" in vars(layers):
        return
    napari_save = layers.save

    def save(path: str, *, selected: bool = False, **options: Any) -> list[str]:
        if not any(is_preview(layer) for layer in layers):
            saved: list[str] = napari_save(path, selected=selected, **options)
            return saved
        from napari.plugins.io import save_layers

        kept = [x for x in layers if not is_preview(x) and (not selected or x in layers.selection)]
        if not kept:
            warnings.warn("No layers selected" if selected else "No layers to save", stacklevel=2)
            return []
        written: list[str] = save_layers(path, kept, **options)
        return written

    layers.save = save


def lies_on(place: Mapping[str, Any], start: Sequence[float], factor: Sequence[float], spread: int | None) -> Any:
    """Return the place of labels that begin at `start`, and the axis of all channels where a layer has one."""
    first, span = list(start), list(factor)
    if spread is not None:
        first.insert(spread, 0)
        span.insert(spread, 1.0)
    return _layers.shifted(place, first, span)
