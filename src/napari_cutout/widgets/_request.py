"""From what a form says to a run, and from the run to a new layer.  Plain data and functions, no Qt."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import to_numpy
from .._execute import execute
from .._method import Method, Param, check_image, check_labels
from ..recipe import Recipe, Step
from . import _layers

__all__ = ["Outcome", "Problem", "Request", "named_fields", "problems", "resolve", "summary"]

Layer = Any
"""A napari layer."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a run cannot start.

    Parameters
    ----------
    field : str
        The parameter whose field turns red.
    sentence : str
        What is wrong and what to do.
    """

    field: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished run gives.

    Parameters
    ----------
    labels : integer array
        The new layer's data.
    options : Mapping
        The new layer's name, place and metadata.
    summary : str
        One line for the user.
    """

    labels: NDArray[Any]
    options: Mapping[str, Any]
    summary: str


@dataclass(frozen=True, slots=True)
class Request:
    """What a press on Run asks for: layers were read when it was pressed.

    Parameters
    ----------
    recipe : Recipe
        One step, whose settings hold the spacing where it is known, so that the recipe alone gives these pixels.
    inputs : Mapping
        Arrays by the names of the method's parameters, NumPy or lazy.
    device : {"auto", "cpu", "gpu"}
        What the user asked for.
    name : str
        The new layer's name.
    place : Mapping
        What puts the new layer where the image lies.
    unit : str
        The symbol of the unit of the spacing; empty if it is not known.
    """

    recipe: Recipe
    inputs: Mapping[str, Any]
    device: Any
    name: str
    place: Mapping[str, Any]
    unit: str = ""

    def run(self, on_progress: Callable[[str, float], None], is_cancelled: Callable[[], bool]) -> Outcome:
        """Run the recipe; call it in a thread of its own.

        Parameters
        ----------
        on_progress : callable
            Called with a stage and the fraction of it that is done.
        is_cancelled : callable
            Polled between blocks.

        Returns
        -------
        Outcome
            The labels and all that the new layer needs.

        Raises
        ------
        Cancelled
            If `is_cancelled` returned True.
        """
        on_progress("reading", 0.0)
        inputs = {name: to_numpy(array) for name, array in self.inputs.items()}
        result = execute(
            self.recipe,
            inputs,
            device=self.device,
            on_progress=on_progress,
            is_cancelled=is_cancelled,
        )
        labels = np.asarray(result.labels)
        provenance = {**result.provenance, **({"unit": self.unit} if self.unit else {})}
        ours = {"recipe": self.recipe.to_json(), "provenance": provenance}
        options = {"name": self.name, "metadata": {"napari_cutout": ours}, **self.place}
        return Outcome(labels, options, summary(labels, self.recipe.steps[-1], result.provenance))


def problems(method: Method, layers: Mapping[str, Layer | None], settings: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Check what a form says with the method's own checks.

    Parameters
    ----------
    method : Method
        What is to run.
    layers : Mapping
        The chosen layer of every array parameter, None where nothing is chosen.
    settings : Mapping
        The value of every setting.

    Returns
    -------
    tuple of Problem
        Empty if it can run; at most one per field.
    """
    image = layers.get("image")
    found = [p for param in method.arrays if (p := _layer_problem(method, param, layers.get(param.name), image))]
    try:
        method.check_settings(settings)
    except (ValueError, TypeError) as error:
        found.append(Problem("settings", str(error)))
    return tuple(found)


def named_fields(sentence: str, fields: Collection[str]) -> tuple[str, ...]:
    """Return the fields that an error names: where it says what is wrong, else where it says what to do.

    Parameters
    ----------
    sentence : str
        The error's sentence: what is wrong, a semicolon, and the way out.
    fields : collection of str
        The names of settings and arrays to look for.

    Returns
    -------
    tuple of str
        In the order of the sentence; empty if it names none.

    Examples
    --------
    >>> named_fields("low must not exceed high, got low=9 and high=2; give both", ("image", "low", "high"))
    ('low', 'high')
    """
    for part in re.sub(r"\([^)]*\)", "", sentence).partition(";")[::2]:
        if named := tuple(dict.fromkeys(word for word in re.findall(r"\w+", part) if word in fields)):
            return named
    return ()


def _layer_problem(method: Method, param: Param, layer: Layer | None, image: Layer | None) -> Problem | None:
    try:
        if layer is None:
            if param.required:
                raise ValueError(_MISSING[_role(param)].format(method=method.name))
        elif _role(param) == "image":
            _check_image_layer(layer)
        elif image is not None and not image.rgb:
            _check_labels_layer(param, layer, image)
    except (ValueError, TypeError) as error:
        return Problem(param.name, str(error))
    return None


_MISSING = {
    "image": "there is no image layer; open an image, or a sample from the File menu",
    "markers": "{method} needs strokes; add a Labels layer, paint on it and choose it here",
}


def _role(param: Param) -> str:
    return param.role.name if param.role else ""


def _check_image_layer(layer: Layer) -> None:
    if layer.rgb:
        raise ValueError(
            f"'{layer.name}' is a colour image of shape {tuple(_layers.level_zero(layer).shape)}, and a grey one is "
            "needed; right-click it in the layer list, choose Split RGB and take one channel"
        )
    check_image(_layers.level_zero(layer))
    if problem := _layers.data_problem(layer):
        raise ValueError(problem)


def _check_labels_layer(param: Param, layer: Layer, image: Layer) -> None:
    shape = tuple(_layers.level_zero(image).shape)
    check_labels(param.name, _layers.level_zero(layer), shape, boolean=_role(param) == "mask")
    if problem := _layers.data_problem(layer):
        raise ValueError(problem)
    if not _layers.same_place(layer, image):
        raise ValueError(
            f"{param.name} '{layer.name}' has the scale {_layers.spacing(layer)} or lies elsewhere than "
            f"'{image.name}' with {_layers.spacing(image)}; copy the image's scale and transforms to it (right-click)"
        )


def resolve(
    method: Method,
    layers: Mapping[str, Layer | None],
    settings: Mapping[str, Any],
    device: str,
    voxel_size: _layers.VoxelSize | None = None,
) -> Request:
    """Turn what a form says into a request.

    Parameters
    ----------
    method : Method
        What is to run.
    layers : Mapping
        The chosen layer of every array parameter, None where nothing is chosen.
    settings : Mapping
        The value of every setting; those that are None are left to the method.
    device : {"auto", "cpu", "gpu"}
        What the user asked for.
    voxel_size : VoxelSize, optional
        Used where the image layer has no size of its own.

    Returns
    -------
    Request
        Self-contained: layers may be painted on, moved or removed while it runs.

    Raises
    ------
    ValueError
        If there is a problem; the message is its sentence.
    """
    if found := problems(method, layers, settings):
        raise ValueError(found[0].sentence)
    given = {name: layer for name, layer in layers.items() if layer is not None}
    image = given["image"]
    kept = {name: value for name, value in settings.items() if value is not None}
    size = _layers.voxel_size(image) or voxel_size
    if size is not None:
        kept["spacing"] = size.lengths
    step = Step(method.name, kept, {name: name for name in given})
    inputs = {
        name: _layers.level_zero(layer) if name == "image" else _layers.copy_of(layer) for name, layer in given.items()
    }
    return Request(
        recipe=Recipe((step,)),
        inputs=inputs,
        device=device,
        name=f"{image.name} {method.name.replace('_', ' ')}",
        place=_layers.placement(image),
        unit="" if size is None else size.unit,
    )


def summary(labels: NDArray[Any], step: Step, provenance: Mapping[str, Any]) -> str:
    """Say in one line what ran and what came out.

    Parameters
    ----------
    labels : integer array
        The result.
    step : Step
        What ran.
    provenance : Mapping
        As `recipe.execute` gives it.

    Returns
    -------
    str
        Such as ``"threshold 117 · 25 objects · CPU because it was asked for · 0.04 s"``.
    """
    return " · ".join(part for part in (_found(provenance), _came_out(labels, step), _ran_on(provenance)) if part)


def _found(provenance: Mapping[str, Any]) -> str:
    """Name the grey levels that the method chose."""
    facts = provenance["facts"]
    levels = facts.get("thresholds") or [facts[name] for name in ("threshold", "low", "high") if name in facts]
    if not levels:
        return ""
    text = ", ".join(f"{level:.5g}" for level in levels[:5]) + (", …" if len(levels) > 5 else "")
    return f"threshold{'s' if len(levels) > 1 else ''} {text}"


def _came_out(labels: NDArray[Any], step: Step) -> str:
    highest = int(labels.max(initial=0))
    if step.settings.get("one_per_object"):
        return f"{highest:,} object{'' if highest == 1 else 's'}"
    share = 100 * np.count_nonzero(labels) / max(labels.size, 1)
    return f"{share:.3g} % selected" if highest < 2 else f"{highest} classes"


def _ran_on(provenance: Mapping[str, Any]) -> str:
    device = provenance["device"]
    return f"{device['used'].upper()} because {device['reason']} · {provenance['seconds']:.2g} s"
