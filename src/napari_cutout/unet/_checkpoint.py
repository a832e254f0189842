"""A training on disk: one safetensors file, replaced as a whole, from which a killed run goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .._writing import replacing
from ._loop import State

__all__ = ["checkpoint_of", "read_checkpoint", "write_checkpoint"]

PARTS = ("weights", "optimizer", "best")
NUMBERS = (
    "step", "n_steps", "planned", "part", "scaler", "best_dice", "best_loss", "waited", "history", "seconds",
)  # fmt: skip


def checkpoint_of(model: Path) -> Path:
    """Return where the checkpoint of a model that is being trained lies: beside its folder."""
    return model.with_name(f"{model.name}.checkpoint")


def write_checkpoint(path: Path, state: State, request: Mapping[str, Any]) -> None:
    """Replace a checkpoint.

    Parameters
    ----------
    path : Path
        The file.
    state : State
        Where the training is.
    request : mapping
        What it was asked for, and on what; JSON.

    Raises
    ------
    OSError
        If the disk is full or cannot be written to; the checkpoint before it is left as it was.
    """
    from safetensors.numpy import save

    arrays = {f"{part}/{name}": a for part in PARTS for name, a in getattr(state, part).items()}
    numbers = {name: getattr(state, name) for name in NUMBERS}
    told = {"napari-cutout": "checkpoint", "numbers": json.dumps(numbers), "request": json.dumps(request)}
    # Not save_file, whose error on a full disk is none of the system's.
    written = save({name: np.asarray(a, order="C") for name, a in arrays.items()}, metadata=told)
    with replacing(path, overwrite=True) as temporary:
        temporary.write_bytes(written)


def read_checkpoint(path: Path, request: Mapping[str, Any]) -> State:
    """Return where a training was.

    Parameters
    ----------
    path : Path
        The file.
    request : mapping
        What is asked for now, which must be what was asked for then.

    Returns
    -------
    State
        To go on from.

    Raises
    ------
    ValueError
        If the file is corrupt, no checkpoint, or of another training; the message says what differs.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            told = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except SafetensorError as error:
        raise ValueError(f"{path} is not a complete checkpoint: {error}; delete it to start anew") from error
    if told.get("napari-cutout") != "checkpoint":
        raise ValueError(f"{path} is no checkpoint of this program; delete it to start anew")
    try:
        then, numbers = json.loads(told["request"]), json.loads(told["numbers"])
        state = _state(arrays, {name: numbers[name] for name in NUMBERS})
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no checkpoint of this version ({error}); delete it to start anew") from error
    if difference := _difference(then, json.loads(json.dumps(request))):
        raise ValueError(
            f"{path} is of another training: {difference}; ask for the same again, or delete it to start anew"
        )
    return state


def _state(arrays: Mapping[str, Any], numbers: Mapping[str, Any]) -> State:
    """Return a state from what was stored.

    Raises
    ------
    TypeError
        If a value is of another kind than it should be.
    """
    default = State()
    for name, value in numbers.items():
        wanted = type(getattr(default, name))
        if not isinstance(value, int | float if wanted is float else wanted):
            raise TypeError(f"{name} is {value!r}")
    parts: dict[str, Any] = {part: {} for part in PARTS}
    for name, array in arrays.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = array
    return State(**parts, **numbers)


def _difference(then: Any, now: Any, name: str = "") -> str:
    """Return the first thing that differs, and how; empty if nothing does."""
    if isinstance(then, dict) and isinstance(now, dict):
        keys = [*then, *(key for key in now if key not in then)]
        return _first(_difference(then.get(key), now.get(key), f"{name} {key}".strip()) for key in keys)
    nested = isinstance(then, list) and any(isinstance(value, dict | list) for value in then)
    if nested and isinstance(now, list) and len(then) == len(now):
        return _first(_difference(a, b, f"{name} {i}") for i, (a, b) in enumerate(zip(then, now, strict=True)))
    return "" if then == now else f"{name} was {then!r} and is {now!r}"


def _first(differences: Iterator[str]) -> str:
    return next(filter(None, differences), "")
