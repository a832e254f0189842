"""Images of how likely every class or label is, for the run that has just ended.  Plain data, no Qt."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _device, catalog
from .._array import is_lazy, to_numpy
from .._class_images import Kind
from .._method import STEPS_AFTER
from .._monitor import watch
from .._selection import Selection
from ..blockwise import compute
from ..running._execute import OnProgress, channel_axis_of, of_parts
from ..running._footprint import footprint
from ._layers import with_first_axis
from ._model_files import ModelInfo, described
from ._request import Request

__all__ = ["ClassImage", "ClassMap", "Colour", "Kind", "labels_of_run"]

_COLOURS: Mapping[Kind, str] = {"probabilities": "viridis", "uncertainty": "magma"}
"""Colormaps that nobody takes for the image itself."""

_OF_SEVERAL = 0.7
"""The opacity of layers of several labels.

The lowest of them covers as much of what is below, so that their colours, whose shares sum up to 1, stay below white.
"""

Colour = tuple[float, float, float]
"""Red, green and blue, 0 to 1."""


def labels_of_run(request: Request) -> tuple[int, ...]:
    """Return the labels that users painted for a run, rising; none if its classes are numbered from 1."""
    markers = request.inputs.get(_markers_of(request))
    if markers is None or is_lazy(markers):
        return ()
    painted = np.asarray(markers)
    return tuple(int(label) for label in np.unique(painted[painted > 0]))


def _markers_of(request: Request) -> str:
    """Return the input whose labels the result has; empty if it has its own."""
    step = request.recipe.steps[-1]
    return step.inputs.get(catalog.find(step.method).labels_from, "")


class ClassImage(NamedTuple):
    """What a new layer shows.

    Parameters
    ----------
    data : float32 array
        With the axes of the layer, the classes first if it shows several.
    options : dict
        Its name, place, metadata and colours.
    label : int, optional
        Whose probability it is, if of one label alone.
    """

    data: NDArray[np.float32]
    options: dict[str, Any]
    label: int | None = None


@dataclass(frozen=True, slots=True)
class ClassMap:
    """What a run can be asked for afterwards.

    Parameters
    ----------
    kind : {"probabilities", "uncertainty"}
        One image for each class, or one of how unsure the fit is.
    request : Request
        The run.
    ours : mapping
        What this plugin stored with the labels of the run: ``recipe`` and ``provenance``.
    colours : mapping of int to tuple of float
        Of which labels there is to be a layer each, and in what colours; if there are none, all classes are in one.
    """

    kind: Kind
    request: Request
    ours: Mapping[str, Any]
    colours: Mapping[int, Colour] = field(default_factory=dict)

    @property
    def selection(self) -> Selection:
        """What was run on, and what of it at a time."""
        return self.request.target.selection

    @property
    def n_bytes(self) -> int:
        """Bytes that it takes at its peak, about: the images, and what a run of the method takes."""
        n_voxels = math.prod(self.request.target.result_shape)
        n_images = self._n_classes if self.kind == "probabilities" else 1
        n_copies = 2 if self.selection.each else 1
        array = self.request.target.array
        held = footprint(
            self.request.recipe,
            tuple(array.shape),
            np.dtype(array.dtype).itemsize,
            in_memory=isinstance(array, np.ndarray),
        )
        return 4 * n_images * n_copies * n_voxels + held

    @property
    def _n_classes(self) -> int:
        if labels := labels_of_run(self.request):
            return len(labels)
        if model := self._model:
            return model.n_outputs
        settings = self.request.recipe.steps[-1].complete_settings
        asked = settings["n_components"]
        return int(settings["max_components"] if asked == "auto" else asked)

    @property
    def _model(self) -> ModelInfo | None:
        """The trained model that ran; None if the method has none."""
        step = self.request.recipe.steps[-1]
        named = [p.name for p in catalog.find(step.method).settings if p.folder is not None]
        return described(step.settings[named[0]]) if named else None

    @property
    def _first_class(self) -> int:
        """What the first of all classes is called; where labels have gaps, classes are counted from 0."""
        if (model := self._model) is None:
            return 1
        rising = range(model.classes[0], model.classes[0] + len(model.classes))
        return model.classes[0] if model.head == "classes" and model.classes == tuple(rising) else 0

    @property
    def metadata(self) -> dict[str, Any]:
        """What a layer keeps of the run."""
        # Without the fingerprint of labels, which this image is not: nothing takes it for what the recipe gives.
        provenance = {name: value for name, value in self.ours["provenance"].items() if name != "sha256"}
        return {"napari_cutout": {"shows": self.kind, "recipe": self.ours["recipe"], "provenance": provenance}}

    def run(self, on_progress: OnProgress, is_cancelled: Callable[[], bool]) -> list[ClassImage]:
        """Compute it; call it in a thread of its own.

        Parameters
        ----------
        on_progress : callable
            Called with a stage and the fraction of it that is done.
        is_cancelled : callable
            Polled between blocks.

        Returns
        -------
        list of ClassImage
            One for each new layer.

        Raises
        ------
        Cancelled
            If `is_cancelled` returned True.
        """
        on_progress("reading", 0.0)
        inputs = {name: self.request.readable(array) for name, array in self.request.inputs.items()}
        run = partial(self._maps, inputs, on_progress, is_cancelled)
        used = self.ours["provenance"]["device"]["used"]
        try:
            labels, maps = run(used)
        except _device.failures():
            if used == "cpu":
                raise
            _device.release()
            labels, maps = run("cpu")
        spread = self.request.target.spread
        data = maps if spread is None else np.expand_dims(maps, spread + 1)
        if self.colours:
            chosen = [label for label in labels if label in self.colours]
            return [
                ClassImage(data[labels.index(label)], self._options_of(label, lowest=label == chosen[0]), label)
                for label in chosen
            ]
        return [ClassImage(data if self.kind == "probabilities" else data[0], self._options())]

    def _maps(
        self,
        inputs: Mapping[str, Any],
        on_progress: OnProgress,
        is_cancelled: Callable[[], bool],
        used: Literal["cpu", "gpu"],
    ) -> tuple[list[int], NDArray[np.float32]]:
        """Return the labels of all parts, and their images put together; what a part lacks has the probability 0."""
        shape = tuple(self.request.target.array.shape)

        def run(held: Mapping[str, Any], heard: OnProgress | None) -> _OfPart:
            with watch(heard, is_cancelled):
                return self._of_part(held)

        found = list(of_parts(run, inputs, self.selection, shape, used, on_progress))
        result_shape = self.selection.shape(shape)
        labels = sorted({label for _, (some, _) in found for label in some})
        if len(found) == 1:
            return labels, found[0][1][1].reshape(-1, *result_shape)
        maps = np.zeros((len(labels), *result_shape), np.float32)
        for place, (some, images) in found:
            for label, image in zip(some, images, strict=True):
                maps[(labels.index(label), *place)] = image
        return labels, maps

    def _of_part(self, held: Mapping[str, Any]) -> _OfPart:
        """Return the labels of one part and their images, in host memory."""
        step = self.request.recipe.steps[-1]
        arrays = {name: held[source] for name, source in step.inputs.items()}
        settings = {name: value for name, value in step.settings.items() if name not in STEPS_AFTER}
        axis = channel_axis_of(self.selection, held[self.request.recipe.source])
        if axis is not None:
            settings["channel_axis"] = axis
        made = catalog.images_of(step.method)[self.kind](**arrays, **settings)
        maps: NDArray[np.float32] = to_numpy(compute(made) if is_lazy(made) else made)
        maps = maps if self.kind == "probabilities" else maps[None]
        markers = _markers_of(self.request)
        if not markers:
            return range(1, len(maps) + 1), maps
        marked = to_numpy(held[markers])  # strokes that lie outside, where there is no probability, do not count
        return np.unique(marked[(marked > 0) & np.isfinite(maps[0])]).tolist(), maps

    def _options_of(self, label: int, *, lowest: bool) -> dict[str, Any]:
        """Return what the layer of one label needs: it lies where the labels do, and has the colour of its label."""
        from napari.utils.colormaps import Colormap

        colour, several = self.colours[label], len(self.colours) > 1
        return self._options() | {
            "name": f"{self.request.name} probability of {label}",
            "colormap": Colormap([(0, 0, 0), colour], name=f"label {label}"),
            "blending": "translucent" if several and lowest else "additive",
            "opacity": _OF_SEVERAL if several else 1.0,
            **self.request.target.result_place,
        }

    def _options(self) -> dict[str, Any]:
        place = self.request.target.result_place
        return {
            "name": f"{self.request.name} {self.kind}",
            "metadata": self.metadata,
            "contrast_limits": (0.0, 1.0),
            "colormap": _COLOURS[self.kind],
            "rgb": False,
            **(with_first_axis(place, "class", float(self._first_class)) if self.kind == "probabilities" else place),
        }


_OfPart = tuple[Sequence[int], NDArray[np.float32]]
"""Labels of a part, and an image for each."""
