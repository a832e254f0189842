"""From what a form says to a run, and from the run to a new layer.  Plain data and functions, no Qt."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import catalog
from .._array import is_lazy, to_numpy
from .._chain import Chain, Made, chained
from .._checks import check_image, check_labels, check_source_labels
from .._device import Asked, gpu_known, gpu_status, size
from .._method import Method, Param
from .._sources import Source, fingerprint
from ..recipe import Recipe, Step, one_channel_only
from ..running._execute import Result, execute
from ..running._footprint import footprint
from ..running._known_steps import KnownSteps
from ..running._linking import with_link
from . import _layers
from ._channels import Channels, with_channels
from ._found import summary
from ._model_files import model_problem
from ._points import PlantedPoints, copy_of_labels, is_points, labels_of, points_note, with_points
from ._preferences import name_of_result
from ._preview_arrays import DrawnMask
from ._sources import (
    as_provenance,
    inherited,
    parents_of,
    source_of,
    source_of_channels,
    with_contents,
    with_fingerprints,
)
from ._target import Choice, Extent, Outline, Target, levels_of, smaller_choices, spatial, target

__all__ = [
    "Form",
    "Outcome",
    "Problem",
    "Request",
    "check_labels_layer",
    "dtype_seen",
    "estimate",
    "gives_objects",
    "named_fields",
    "preview_inputs",
    "problems",
    "remarks",
    "resolve",
]

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
class Form:
    """What a form says.

    Parameters
    ----------
    method : Method
        What is to run.
    layers : mapping
        The chosen layer of every array parameter, None where nothing is chosen.
    settings : mapping
        The value of every setting; those that are None are left to the method.
    choice : Choice
        Axes, channel, level, and what is run at a time.
    extent : Extent, optional
        What is shown, and where to look; None if there is no layer to show.
    device : {"auto", "cpu", "gpu"}
        What the user asked for.
    voxel_size : VoxelSize, optional
        Used where the layer has no size of its own.
    free : int
        Bytes that a run may take.
    result_name : str
        What to call results, such as ``"{image} {method}"``.
    beside : tuple of Image layer
        Layers that are looked at together with the image, as further channels; of no account for a method that takes
        one, and beside an image that has channels of its own.
    into_store : bool
        Whether the labels go into a store, tile by tile, so that neither image nor labels need fit into memory.
    memo : dict
        What was worked out from the rest; a form is asked often while a slider moves.
    """

    method: Method
    layers: Mapping[str, Layer | None]
    settings: Mapping[str, Any]
    choice: Choice = field(default_factory=Choice)
    extent: Extent | None = None
    device: Asked = "auto"
    voxel_size: _layers.VoxelSize | None = None
    free: int = 2**62
    result_name: str = "{image} {method}"
    beside: tuple[Layer, ...] = ()
    into_store: bool = False
    memo: dict[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def source(self) -> Layer:
        """The layer that the labels will lie on."""
        return self.layers.get(self.method.source.name)

    @property
    def target(self) -> Target:
        """What the run works on.

        Raises
        ------
        ValueError
            If the axes are not named yet, or the region lies beside the layer.
        """
        if "target" not in self.memo:
            self.memo["target"] = self.target_of(self.choice)
        return self.memo["target"]  # type: ignore[no-any-return]

    @property
    def channels(self) -> tuple[Layer, ...]:
        """The layers that are the channels of one image, the image itself first; empty if it is one layer."""
        together = self.beside and self.method.takes_channels and "c" not in self.choice.letters
        return (self.source, *self.beside) if together else ()

    def target_of(self, choice: Choice) -> Target:
        """Work out what a run would work on if the rows said something else."""
        aim = target(self.source, choice, self.extent or Extent((0,) * 5))
        return with_channels(aim, self.channels) if self.channels else aim

    def spacing(self, aim: Target) -> tuple[float, ...] | None:
        """Return the world length of a voxel along the axes that the method sees, or None if nobody has set it."""
        if all(p.name != "spacing" for p in self.method.settings):
            return None
        axes = aim.selection.kept_axes.replace("t", "")
        if _layers.has_voxel_size(self.source, [self.choice.letters.index(axis) for axis in axes]):
            return aim.run_spacing
        if self.voxel_size is None or len(self.voxel_size.lengths) != len(axes):
            return None
        given = zip(axes, self.voxel_size.lengths, strict=True)
        return tuple(length for axis, length in given if axis in aim.selection.run_axes)

    @property
    def links(self) -> bool:
        """Whether objects of frames or slices are linked, once each is cut."""
        return self.choice.linked and self.choice.in_parts and gives_objects(self.method, self.settings)

    def step(self, aim: Target, inputs: Collection[str]) -> Step:
        """Return the step that a run makes of these inputs, with the spacing where it is known."""
        kept = {name: value for name, value in self.settings.items() if value is not None}
        if (spacing := self.spacing(aim)) is not None:
            kept["spacing"] = spacing
        return Step(self.method.name, kept, {name: name for name in inputs})


def gives_objects(method: Method, settings: Mapping[str, Any]) -> bool:
    """Tell whether a method with these settings numbers objects that could be linked, and does not link them itself."""
    return not method.frames and settings.get("one_per_object") is not False


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
    facts : Mapping
        What the method found out, such as its thresholds.
    painted : Mapping
        What users had painted for it, by fingerprint.
    """

    labels: NDArray[Any]
    options: Mapping[str, Any]
    summary: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    painted: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """What a press on Run asks for: layers were read when it was pressed.

    Parameters
    ----------
    recipe : Recipe
        Its settings hold the spacing where it is known, so that the recipe alone gives these pixels.
    inputs : Mapping
        Arrays by the names of the recipe's inputs, NumPy or lazy.
    device : {"auto", "cpu", "gpu"}
        What the user asked for.
    name : str
        The new layer's name.
    target : Target
        What is run on, and where the labels lie.
    unit : str
        The symbol of the unit of the spacing; empty if it is not known.
    whole : bool
        Whether an image that is not in memory fits into it; else it is run in blocks.
    sources : Mapping
        Where the inputs come from, by their names.
    parents : Mapping
        How those of them were made that a run of ours made.
    inherited : Mapping
        What users had painted for the parents, by fingerprint.
    known : KnownSteps, optional
        What steps gave in earlier runs.
    """

    recipe: Recipe
    inputs: Mapping[str, Any]
    device: Asked
    name: str
    target: Target
    unit: str = ""
    whole: bool = True
    sources: Mapping[str, Source] = field(default_factory=dict)
    parents: Mapping[str, Made] = field(default_factory=dict)
    inherited: Mapping[str, Any] = field(default_factory=dict)
    known: KnownSteps | None = None

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
        inputs = {name: self.readable(array) for name, array in self.inputs.items()}
        result = execute(
            self.recipe,
            inputs,
            device=self.device,
            on_progress=on_progress,
            is_cancelled=is_cancelled,
            known=self.known,
        )
        on_progress("remembering what was run on", 1.0)
        return self.outcome(inputs, result)

    def outcome(self, inputs: Mapping[str, Any], result: Result) -> Outcome:
        """Return what a layer needs to show a result and to say how it came about; call it in a thread.

        Parameters
        ----------
        inputs : mapping of str to array
            What was run on, readable.
        result : Result
            What came out.

        Returns
        -------
        Outcome
            With the labels themselves, not a copy.
        """
        labels = self.target.as_layer(np.asarray(result.labels))
        roles, first = self.recipe.roles, self.recipe.source
        # What is not in memory and run on in part is not read whole to know it again.
        whole = self.recipe.selection is None
        known = {name: array for name, array in inputs.items() if whole or isinstance(array, np.ndarray)}
        painted = {name: array for name, array in known.items() if name != first or roles[first] == "labels"}
        sources = with_fingerprints(self.sources, painted)
        if first not in painted:
            sources = with_contents(sources, first, self.inputs[first], self.recipe.selection)
        chain = self._chain(sources)
        provenance = {
            **result.provenance,
            **({"unit": self.unit} if self.unit else {}),
            "sources": as_provenance(chain.sources),
            "sha256": fingerprint(result.labels),
        }
        ours = {"recipe": chain.recipe.to_json(), "provenance": provenance}
        options = {"name": self.name, "metadata": {"napari_cutout": ours}, **self.target.result_place}
        line = summary(result.labels, self.recipe.steps[-1], result.provenance)
        kept = {**self.inherited, **{sources[name].sha256: array for name, array in painted.items()}}
        return Outcome(labels, options, line, result.provenance["facts"], kept)

    def _chain(self, sources: Mapping[str, Source]) -> Chain:
        """Put the steps that made the inputs before the step; a recipe of several steps is all that there is to say."""
        first, *more = self.recipe.steps
        if len(more) > 1 or (more and not catalog.find(more[0].method).frames):
            return Chain(self.recipe, sources, {})
        found = chained(first, self.recipe.selection, sources, self.parents)
        for step in more:  # what was cut part by part is linked
            output = {array: f"step_{len(found.recipe.steps)}" for array in step.inputs}
            steps = [*found.recipe.steps, replace(step, inputs=output)]
            found = replace(found, recipe=replace(found.recipe, steps=steps))
        return found

    def readable(self, array: Any) -> Any:
        """Return an array that a method takes: in memory, or where that is too small, in blocks of dask."""
        if self.recipe.selection is not None:  # only what is selected of it is read
            return array
        if self.whole or isinstance(array, np.ndarray):
            return to_numpy(array)
        if is_lazy(array):
            return array
        import dask.array as da

        return da.from_array(array)


def problems(form: Form) -> tuple[Problem, ...]:
    """Check what a form says with the method's own checks.

    Parameters
    ----------
    form : Form
        What it says.

    Returns
    -------
    tuple of Problem
        Empty if it can run; at most one per field.
    """
    found, aim = _target_problems(form)
    if aim is not None:
        others = [p for p in form.method.arrays if p is not form.method.source]
        found += [p for param in others if (p := _layer_problem(form, param, aim))]
    if sentence := model_problem(form.method, form.settings, aim) or _settings_problem(form):
        found.append(Problem("settings", sentence))
    if form.device == "gpu" and gpu_known() and not gpu_status().usable:
        found.append(Problem("device", f"device is gpu, but {gpu_status().reason}"))
    if aim is not None and not found and (sentence := _memory_problem(form, aim)):
        found.append(Problem("memory", sentence))
    return tuple(found)


def _settings_problem(form: Form) -> str:
    try:
        form.method.check_settings(form.settings)
    except (ValueError, TypeError) as error:
        return str(error)
    return ""


def remarks(form: Form) -> dict[str, str]:
    """Say what is worth knowing of a field that is right: which labels points stand for, and which are left out.

    Parameters
    ----------
    form : Form
        A form without problems.

    Returns
    -------
    dict of str to str
        A sentence by the name of the array.
    """
    held, mask = _others(form), form.layers.get("mask")
    return {name: points_note(layer, mask, form.target) for name, layer in held.items() if is_points(layer)}


def _target_problems(form: Form) -> tuple[list[Problem], Target | None]:
    """Check the layer that is cut, and what of it."""
    param, layer = form.method.source, form.source
    if layer is None:
        return [Problem(param.name, _MISSING[_role(param)].format(method=form.method.name))], None
    try:
        if form.choice.letters.endswith("c") and form.choice.letters.count("c") == 1 and _role(param) != "image":
            raise ValueError(f"{param.name} '{layer.name}' has channels, and labels have none; choose another layer")
        aim = form.target
    except ValueError as error:
        return [Problem(getattr(error, "field", "axes"), str(error))], None
    try:
        if aim.selection.channel == "all" and not form.method.takes_channels:
            raise one_channel_only(form.method.name)
        seen = np.broadcast_to(np.zeros((), dtype_seen(aim)), aim.part_shape)  # takes no memory
        check_image(seen) if _role(param) == "image" else check_source_labels(param.name, seen)
    except (ValueError, TypeError) as error:
        return [Problem(param.name, str(error))], None
    if _outline(form) is not None and not _takes_mask(form.method):
        sentence = f"{form.method.name} takes no mask, so it looks into one upright rectangle only; draw one"
        return [Problem("region", sentence)], None
    return [], aim


def _outline(form: Form) -> Outline | None:
    return form.extent.outline if form.extent is not None else None


def _takes_mask(method: Method) -> bool:
    return "mask" in {param.name for param in method.arrays}


def dtype_seen(aim: Target) -> Any:
    """Return the dtype of the image that a method will see."""
    return np.dtype(np.float32) if aim.selection.channel == "grey" else np.dtype(aim.array.dtype)


def estimate(form: Form, aim: Target) -> int:
    """Return how many bytes a run will take beyond what is in memory, where an image that is lazy is read whole."""
    step = Step(form.method.name, {k: v for k, v in form.settings.items() if v is not None})
    recipe = Recipe((step,), aim.selection)
    itemsize = np.dtype(aim.array.dtype).itemsize
    in_memory = isinstance(aim.array, np.ndarray)
    held = [labels_of(layer, aim) for layer in _others(form).values()]
    if _role(form.method.source) != "image":
        held.append(aim.array)
    copied = [np.dtype(array.dtype).itemsize for array in held if isinstance(array, np.ndarray | PlantedPoints)]
    if _outline(form) is not None:
        copied.append(1)  # what lies inside of it
    return footprint(recipe, tuple(aim.array.shape), itemsize, in_memory=in_memory, others=copied)


def _memory_problem(form: Form, aim: Target) -> str:
    """Say why a run does not fit into memory, and what would."""
    need = estimate(form, aim)
    if form.into_store or need <= form.free or _in_blocks(form, aim):
        return ""
    n_levels = len(form.source.data) if form.source.multiscale else 1
    fitting = []
    for word, choice in smaller_choices(form.choice, n_levels):
        smaller = form.target_of(choice)
        if (less := estimate(form, smaller)) <= form.free:
            fitting.append(f"{word} ({size(less)})")
            break
    fitting += _region_that_fits(form, aim, need)
    way_out = f"{' or '.join(fitting)} would fit" if fitting else "close other layers or programs"
    return f"the run needs {size(need)} and {size(form.free)} are free; {way_out}"


def _region_that_fits(form: Form, aim: Target, need: int) -> list[str]:
    """Say how much of the plane would fit, with all the slices and frames that were asked for; nothing if none does."""
    *others, (top, bottom), (left, right) = aim.selection.bounds(tuple(aim.array.shape))
    share = math.sqrt(form.free / need)
    while (height := int(share * (bottom - top))) and (width := int(share * (right - left))):
        box = (*others, (top, top + height), (left, left + width))
        less = estimate(form, replace(aim, selection=replace(aim.selection, box=box)))
        if less <= form.free:
            return [f"a region of {height} × {width} pixels ({size(less)})"]  # noqa: RUF001
        share *= 0.9
    return []


def _in_blocks(form: Form, aim: Target) -> bool:
    """Tell whether an image that is not in memory can be run block by block, which keeps only its labels."""
    if isinstance(aim.array, np.ndarray) or not aim.selection.is_whole or form.device == "gpu":
        return False
    label = 4 if form.settings.get("one_per_object", True) else 1
    return label * int(np.prod(aim.result_shape, dtype=np.int64)) <= form.free


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


def _layer_problem(form: Form, param: Param, aim: Target) -> Problem | None:
    layer = form.layers.get(param.name)
    try:
        if layer is None:
            if param.required:
                raise ValueError(_MISSING[_role(param)].format(method=form.method.name))
        elif is_points(layer):
            points_note(layer, form.layers.get("mask"), aim)
        else:
            check_labels_layer(param, layer, form.source, aim)
            _check_one_use(param, form)
    except (ValueError, TypeError) as error:
        return Problem(param.name, str(error))
    return None


_MISSING = {
    "image": "there is no image layer; open an image, or a sample from the File menu",
    "labels": "there is no Labels layer to work on; run a method first, or open labels",
    "markers": (
        "{method} needs strokes; press + beside the field, paint with the brush and choose a label per class or "
        "object, or choose a Points layer with a point per object"
    ),
}


def _role(param: Param) -> str:
    return param.role.name if param.role else ""


def _check_one_use(param: Param, form: Form) -> None:
    """Raise if another field before this one has the same layer."""
    own: Any = form.layers[param.name]
    names = [p.name for p in form.method.arrays]
    for name in names[: names.index(param.name)]:
        shared = own is form.layers.get(name)
        if shared:
            raise ValueError(
                f"{name} and {param.name} are both '{own.name}'; choose another layer, or press + beside the field"
            )


def check_labels_layer(param: Param, layer: Layer, image: Layer, aim: Target) -> None:
    """Raise ValueError or TypeError unless a Labels layer lies on an image, voxel on voxel."""
    data = _layers.level_zero(layer)
    if data.ndim == len(aim.shape):
        check_labels(param.name, data, aim.shape, boolean=_role(param) == "mask")
    else:
        raise ValueError(
            f"{param.name} must have the shape {aim.shape}, one voxel per voxel of '{image.name}' without its "
            f"channels, but '{layer.name}' has {tuple(data.shape)}; press + beside the field for a layer that fits"
        )
    if not _layers.lies_at(layer, aim.place, aim.shape):
        raise ValueError(
            f"{param.name} '{layer.name}' has the scale {_layers.spacing(layer)} or lies elsewhere than "
            f"'{image.name}' with {_layers.spacing(image)}; copy the image's scale and transforms to it (right-click)"
        )


def resolve(form: Form) -> Request:
    """Turn what a form says into a request.

    Parameters
    ----------
    form : Form
        What it says.

    Returns
    -------
    Request
        Self-contained: layers may be painted on, moved or removed while it runs.

    Raises
    ------
    ValueError
        If there is a problem; the message is its sentence.
    """
    if found := problems(form):
        raise ValueError(found[0].sentence)
    aim, source = form.target, form.source
    size_of_voxel = _layers.voxel_size(source, spatial(form.choice.letters)) or form.voxel_size
    inputs = _inputs(form, aim)
    recipe = Recipe((form.step(aim, inputs),), aim.selection)
    return Request(
        recipe=with_link(recipe, aim.selection.each) if form.links else recipe,
        inputs=inputs,
        device=form.device,
        name=name_of_result(form.result_name, source.name, form.method.name.replace("_", " ")),
        target=aim,
        unit="" if size_of_voxel is None else size_of_voxel.unit,
        whole=estimate(form, aim) <= form.free,
        sources=_sources(form, inputs),
        parents=parents_of(form.layers),
        inherited=inherited(form.layers),
    )


def _sources(form: Form, inputs: Mapping[str, Any]) -> dict[str, Source]:
    """Say where each input comes from; a mask may be drawn with shapes."""
    found = {
        name: with_points(source_of(layer), layer, form.target)
        for name, layer in form.layers.items()
        if layer is not None
    }
    if form.channels:
        found[form.method.source.name] = source_of_channels(form.channels)
    return {name: found.get(name, Source(layer="shapes")) for name in inputs}


def _inputs(form: Form, aim: Target) -> dict[str, Any]:
    """Return the arrays of a run: the image itself, and copies of what can be painted on."""
    inputs = {name: copy_of_labels(layer, aim) for name, layer in _others(form).items()}
    source = aim.array.as_input() if isinstance(aim.array, Channels) else aim.array
    if _role(form.method.source) != "image" and isinstance(source, np.ndarray):
        source = source.copy()
    return _in_outline(form, aim, {form.method.source.name: source, **inputs})


def preview_inputs(form: Form, aim: Target) -> tuple[dict[str, Any], dict[str, Layer]]:
    """Return the arrays that a preview cuts what it needs out of, and the layers that they belong to.

    Parameters
    ----------
    form : Form
        What the form says.
    aim : Target
        What the run would work on.

    Returns
    -------
    inputs : dict
        Arrays by the names of the method's parameters, none of them copied or drawn; all levels of a pyramid as a
        list.
    layers : dict
        The layers of those arrays, and under other names those of further channels.
    """
    first, source = form.method.source.name, form.source
    held: Any = list(source.data) if source.multiscale else source.data
    if form.channels:
        levels = [Channels(level) for level in zip(*map(levels_of, form.channels), strict=True)]
        held = levels if source.multiscale else levels[0]
    others = _others(form)
    inputs = {first: held} | {name: labels_of(layer, aim) for name, layer in others.items()}
    if (outline := _outline(form)) is not None:
        inputs["mask"] = DrawnMask(outline, aim.factor, _kept_shape(aim), inputs.get("mask"))
    return inputs, {first: source, **others, **{f"with {layer.name}": layer for layer in form.channels[1:]}}


def _others(form: Form) -> dict[str, Layer]:
    """Return the layers that are chosen beside the one that is cut."""
    first = form.method.source.name
    return {name: layer for name, layer in form.layers.items() if layer is not None and name != first}


def _in_outline(form: Form, aim: Target, inputs: dict[str, Any]) -> dict[str, Any]:
    """Leave out what lies outside the drawn shapes."""
    if (outline := _outline(form)) is None:
        return inputs
    inside = outline.mask(_kept_shape(aim), aim.factor)
    return {**inputs, "mask": inside if "mask" not in inputs else (inputs["mask"] != 0) & inside}


def _kept_shape(aim: Target) -> tuple[int, ...]:
    """Return the shape of the image at the selected level, along every axis but c."""
    return tuple(n for axis, n in zip(aim.selection.axes, aim.array.shape, strict=True) if axis != "c")
