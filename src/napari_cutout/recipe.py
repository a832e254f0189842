"""Recipes: what to run, as frozen data, and running it on arrays.

A recipe is a row of steps. Each names a method of the catalog and its settings, and is checked when it is
made. It goes to JSON and back, and what it gives is stored with how it came about.
"""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from . import _device, catalog
from ._array import Array, dtype_name, is_lazy, to_numpy
from ._method import Method, check_spacing
from ._monitor import watch
from .blockwise import compute
from .evaluation._export import write_text

if TYPE_CHECKING:
    from .evaluation.overlap import Evaluation

__all__ = ["Recipe", "Result", "Step", "execute"]

FORMAT = "napari-cutout recipe"
VERSION = 1
"""Version of the JSON; raised when an older program could misread it."""

_OUTPUT = re.compile(r"step_([1-9]\d*)")

DEVICE_BYTES_PER_VOXEL = 32
"""GPU memory that a run is planned with per voxel, beyond its inputs: filtered image, labels, and the blocks
in work. Not measured on a GPU yet."""


@dataclass(frozen=True, slots=True)
class Step:
    """One method with its settings, checked when it is made.

    Parameters
    ----------
    method : str
        The method's public name, such as ``"sauvola"``.
    settings : mapping
        Its settings by name; those left out are filled in with the method's defaults, all but `spacing`.
    inputs : mapping of str to str
        Where the method's arrays come from: the name of an input of the recipe, or ``"step_1"``,
        ``"step_2"``... for what an earlier step returned. Required arrays that are left out take the input
        of their own name; optional ones that are left out are not used.

    Raises
    ------
    ValueError
        If there is no such method, setting or array, or a value is not allowed.
    TypeError
        If a value is of the wrong kind.
    """

    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        entry = catalog.find(self.method)
        settings = {name: _plain_setting(value) for name, value in self.settings.items()}
        entry.check_settings(settings)
        # All of them are kept, so that a recipe means the same where a later version has other defaults. Only the
        # voxel size is not a choice of the recipe's, but a property of the image that it runs on.
        defaults = {p.name: p.default for p in entry.settings if not p.required and p.name != "spacing"}
        settings = {**defaults, **settings}
        if settings.get("spacing") is not None:
            settings["spacing"] = _spacing(settings["spacing"])
        object.__setattr__(self, "settings", MappingProxyType(settings))
        object.__setattr__(self, "inputs", MappingProxyType(_wiring(entry, self.inputs)))

    def __reduce__(self) -> tuple[Any, ...]:
        return Step, (self.method, dict(self.settings), dict(self.inputs))

    @property
    def complete_settings(self) -> dict[str, Any]:
        """All settings of the method, defaults included."""
        return {p.name: self.settings.get(p.name, p.default) for p in catalog.find(self.method).settings}


def _wiring(entry: Method, inputs: Mapping[str, str]) -> dict[str, str]:
    """Return where each array comes from, in the order of the method's parameters."""
    arrays = {p.name: p for p in entry.arrays}
    for name, source in inputs.items():
        if name not in arrays:
            raise ValueError(f"{entry.name} takes no array {name!r}; it takes: {', '.join(arrays)}")
        if not isinstance(source, str) or not source:
            raise ValueError(
                f"the source of {name!r} must be the name of an input or step_1, step_2..., got {source!r}"
            )
    return {name: inputs.get(name, name) for name, p in arrays.items() if p.required or name in inputs}


def _spacing(value: Any) -> tuple[float, ...]:
    """Return a spacing for two or three axes; which of them, only the image can tell."""
    if not isinstance(value, tuple) or len(value) not in (2, 3):
        raise ValueError(f"spacing must be one length per axis, two or three of them, got {value!r}")
    return check_spacing(value, len(value))


def _plain_setting(value: Any) -> Any:
    """Turn NumPy's numbers into Python's and lists into tuples, so that equal steps are equal."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    return tuple(_plain_setting(v) for v in value) if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class Recipe:
    """Steps that run one after the other; the last one's labels are the result.

    Parameters
    ----------
    steps : sequence of Step
        At least one. A step may read what the steps before it returned, as ``"step_1"`` and so on.

    Raises
    ------
    ValueError
        If there is no step, or one reads a step that does not come before it.
    TypeError
        If a step is not a `Step`.

    Examples
    --------
    >>> recipe = Recipe([Step("threshold", {"method": "li", "one_per_object": True})])
    >>> Recipe.from_json(recipe.to_json()) == recipe
    True
    """

    steps: Sequence[Step]

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        if not self.steps:
            raise ValueError("a recipe needs at least one step, got none")
        for number, step in enumerate(self.steps, start=1):
            if not isinstance(step, Step):
                raise TypeError(f"the steps of a recipe must be Step, got {step!r} of type {type(step).__name__}")
            for source in step.inputs.values():
                match = _OUTPUT.fullmatch(source)
                if match and int(match[1]) >= number:
                    raise ValueError(
                        f"step {number}, {step.method}, reads {source!r}, which does not come before it; "
                        "reorder the steps"
                    )

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The names of the arrays that the recipe needs, in the order in which they are first read."""
        names = (name for step in self.steps for name in step.inputs.values())
        return tuple(dict.fromkeys(name for name in names if not _OUTPUT.fullmatch(name)))

    def to_json(self) -> str:
        """Return the recipe as JSON, which `from_json` reads."""
        return json.dumps(_as_dict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read a recipe from JSON.

        Parameters
        ----------
        text : str
            What `to_json` returned; an entry ``"provenance"`` beside it is skipped.

        Returns
        -------
        Recipe
            The recipe.

        Raises
        ------
        ValueError
            If the text is no recipe, was written by a newer version, or names a method, setting or value
            that there is not.
        """
        return cls([_step(number, entry) for number, entry in enumerate(_entries(text), start=1)])

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the recipe to a JSON file.

        Parameters
        ----------
        path : path
            Where to write.
        overwrite : bool
            Replace a file that is there.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        FileExistsError
            If there is such a file and `overwrite` is False.
        OSError
            If it cannot be written; nothing is changed then.
        """
        return write_text(Path(path), self.to_json(), overwrite=overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Recipe:
        """Read a recipe from a JSON file.

        Parameters
        ----------
        path : path
            The file.

        Returns
        -------
        Recipe
            The recipe.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it holds no recipe; the message begins with the path.
        """
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise FileNotFoundError(f"there is no file {os.fspath(path)!r} to read a recipe from") from None
        except ValueError as error:  # UnicodeDecodeError is one
            raise ValueError(f"{os.fspath(path)!r}: {error}") from error


def _as_dict(recipe: Recipe) -> dict[str, Any]:
    steps = [{"method": s.method, "settings": dict(s.settings), "inputs": dict(s.inputs)} for s in recipe.steps]
    return {"format": FORMAT, "version": VERSION, "steps": steps}


def with_provenance(recipe: Recipe, provenance: Mapping[str, Any]) -> str:
    """Return the recipe as JSON, with how one result of it came about."""
    rest = {name: fact for name, fact in provenance.items() if name != "recipe"}
    return json.dumps({**_as_dict(recipe), "provenance": rest}, indent=2) + "\n"


def _entries(text: str) -> list[Any]:
    """Return the entries of the steps, or raise unless `text` is a recipe that this version can read."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"this is no recipe, because it is no JSON ({error}); write one with Recipe.save") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"this is no recipe, because it has no entry 'format': {FORMAT!r}; write one with Recipe.save")
    version = content.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(f"the recipe's version must be a whole number from 1, got {version!r}")
    if version > VERSION:
        raise ValueError(
            f"the recipe has version {version} and this program reads up to {VERSION}; update napari-cutout"
        )
    if unknown := set(content) - {"format", "version", "steps", "provenance"}:
        raise ValueError(f"the recipe has an entry {min(unknown)!r}; it may have format, version, steps, provenance")
    if not isinstance(content.get("steps"), list):
        raise ValueError(f"the recipe's steps must be a list, got {content.get('steps')!r}")
    return list(content["steps"])


def _step(number: int, entry: Any) -> Step:
    try:
        if not isinstance(entry, dict) or not {"method"} <= entry.keys() <= {"method", "settings", "inputs"}:
            raise ValueError(f"it must be an object with method, settings and inputs, got {entry!r}")
        settings, wiring = entry.get("settings", {}), entry.get("inputs", {})
        if not isinstance(settings, dict) or not isinstance(wiring, dict):
            raise ValueError(f"settings and inputs must be objects, got {settings!r} and {wiring!r}")
        return Step(str(entry["method"]), settings, wiring)
    except (TypeError, ValueError) as error:
        raise ValueError(f"step {number} of the recipe is not right: {error}") from error


# Running on arrays ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a recipe gave, and how it came about.

    Parameters
    ----------
    labels : array
        In host memory, uint8 or int32, of the shape of the image.
    provenance : dict
        JSON-able: ``recipe``, ``steps`` (all settings, and the facts of each), ``facts`` (of all steps),
        ``device``, ``versions``, ``seconds``, ``tiling``, ``inputs`` (shapes and dtypes), ``time``.
    target : Path, optional
        Where the labels were written.
    evaluation : Evaluation, optional
        The scores, where a truth was given.
    """

    labels: NDArray[Any]
    provenance: dict[str, Any]
    target: Path | None = None
    evaluation: Evaluation | None = None


def execute(
    recipe: Recipe,
    inputs: Mapping[str, Array],
    *,
    spacing: Sequence[float] | None = None,
    device: _device.Asked = "auto",
    on_progress: Callable[[str, float], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> Result:
    """Run a recipe on arrays.

    Parameters
    ----------
    recipe : Recipe
        What to run.
    inputs : mapping of str to array
        One array for every name in ``recipe.inputs``; NumPy, CuPy or dask.
    spacing : sequence of float, optional
        World length of a voxel along each axis, for all steps whose settings do not hold a ``spacing``.
    device : {"auto", "cpu", "gpu"}
        Where to run. Dask arrays stay on the CPU.
    on_progress : callable, optional
        Called with the stage's name and the fraction of it that is done, 0 to 1.
    is_cancelled : callable, optional
        Polled between blocks.

    Returns
    -------
    Result
        Labels in host memory, and their provenance.

    Raises
    ------
    ValueError
        If an input is missing or not wanted, the device cannot be used, or a method refuses what it gets.
    TypeError
        If an array has the wrong dtype.
    MemoryError
        If memory runs out.
    Cancelled
        If `is_cancelled` returned True.
    """
    _check_inputs(recipe, inputs)
    choice = _choose(inputs.values(), device)
    start = time.perf_counter()
    run_here = _Run(recipe, inputs, spacing, on_progress, is_cancelled)
    try:
        labels, steps = run_here.on(choice.used)
    except _device.failures() as error:
        if choice.used == "cpu" or device == "gpu":
            raise
        # Said aloud in the reason: a GPU that fails under "auto" costs time, never the result.
        choice = _device.Choice(device, "cpu", f"the GPU failed ({type(error).__name__}: {error})")
        _device.release()
        labels, steps = run_here.on("cpu")
    seconds = time.perf_counter() - start
    return Result(labels, _provenance(recipe, inputs, steps, choice, seconds))


def _check_inputs(recipe: Recipe, inputs: Mapping[str, Array]) -> None:
    if missing := [name for name in recipe.inputs if inputs.get(name) is None]:
        raise ValueError(f"the recipe needs the input {missing[0]!r}; it reads: {', '.join(recipe.inputs)}")
    if extra := [name for name in inputs if name not in recipe.inputs]:
        raise ValueError(
            f"the recipe does not read the input {extra[0]!r}; it reads: {', '.join(recipe.inputs)}. Leave it out, or "
            f"name it in a step's inputs"
        )
    for name, array in inputs.items():
        if not hasattr(array, "shape") or not hasattr(array, "dtype"):
            raise TypeError(
                f"the input {name!r} must be an array, got {type(array).__name__}; pass numpy.asarray of it"
            )


def _choose(arrays: Any, device: _device.Asked) -> _device.Choice:
    held = list(arrays)
    n_voxels = max(int(np.prod(a.shape, dtype=np.int64)) for a in held)
    if any(is_lazy(a) for a in held):
        if device == "gpu":
            raise ValueError("device='gpu' cannot be used on dask arrays yet; compute them first, or use 'cpu'")
        return _device.Choice(device, "cpu", "dask arrays run in blocks on the CPU")
    return _device.choose(n_voxels, sum(a.nbytes for a in held) + DEVICE_BYTES_PER_VOXEL * n_voxels, device)


@dataclass(frozen=True, slots=True)
class _Run:
    """One recipe on its inputs, to be tried on one device or two."""

    recipe: Recipe
    inputs: Mapping[str, Array]
    spacing: Sequence[float] | None
    on_progress: Callable[[str, float], None] | None
    is_cancelled: Callable[[], bool] | None

    def on(self, used: Literal["cpu", "gpu"]) -> tuple[NDArray[Any], list[dict[str, Any]]]:
        """Return the labels in host memory, and what each step did."""
        held = {name: _device.place(array, used) for name, array in self.inputs.items()}
        ran = []
        for number, step in enumerate(self.recipe.steps, start=1):
            settings = dict(step.settings)
            if self.spacing is not None:
                settings.setdefault("spacing", tuple(self.spacing))
            arrays = {name: held[source] for name, source in step.inputs.items()}
            with watch(self.on_progress, self.is_cancelled) as monitor:
                labels = held[f"step_{number}"] = catalog.find(step.method)(**arrays, **settings)
            ran.append((step.method, {**step.complete_settings, **settings}, monitor))
        if is_lazy(labels):  # only now do the steps find out what they note
            with watch(self.on_progress, self.is_cancelled):
                labels = compute(labels)
        return to_numpy(labels), [
            {"method": name, "settings": settings, "facts": {k: v for k, v in seen.facts.items() if k != "method"}}
            for name, settings, seen in ran
        ]


def _provenance(
    recipe: Recipe,
    inputs: Mapping[str, Array],
    steps: list[dict[str, Any]],
    choice: _device.Choice,
    seconds: float,
) -> dict[str, Any]:
    lazy = any(is_lazy(a) for a in inputs.values())
    provenance = {
        "recipe": _as_dict(recipe),
        "steps": steps,
        "facts": {name: fact for step in steps for name, fact in step["facts"].items()},
        "device": {
            "asked": choice.asked,
            "used": choice.used,
            "reason": choice.reason,
            "name": _device.device_name(choice.used),
        },
        "versions": versions(choice.used),
        "seconds": round(seconds, 4),
        "tiling": "blocks" if lazy else "whole",
        "inputs": {name: {"shape": tuple(a.shape), "dtype": dtype_name(a)} for name, a in inputs.items()},
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    plain: dict[str, Any] = json.loads(json.dumps(provenance, default=_json))
    return plain


def _json(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)


def versions(used: Literal["cpu", "gpu"] = "cpu") -> dict[str, str]:
    """Return the versions of the programs that a result depends on."""
    found = {"python": platform.python_version(), "napari-cutout": _own_version(), **_installed()}
    if used == "gpu":
        from sys import modules

        found["cupy"] = str(getattr(modules.get("cupy"), "__version__", "unknown"))
    return found


@cache
def _installed() -> dict[str, str]:
    found = {}
    for name in ("numpy", "scipy", "numba"):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _own_version() -> str:
    from . import __version__

    return __version__
