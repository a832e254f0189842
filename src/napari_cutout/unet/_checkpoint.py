"""A training on disk: one safetensors file, replaced as a whole, from which a killed run goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .._writing import replacing
from ._loop import State

__all__ = ["checkpoint_of", "read_checkpoint", "write_checkpoint"]

PARTS = ("weights", "optimizer", "best")
NUMBERS = ("step", "n_steps", "best_dice", "waited", "history", "seconds", "losses")


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
    from safetensors.numpy import save_file

    arrays = {f"{part}/{name}": a for part in PARTS for name, a in getattr(state, part).items()}
    numbers = {name: getattr(state, name) for name in NUMBERS}
    with replacing(path, overwrite=True) as temporary:
        save_file(
            {name: np.asarray(a, order="C") for name, a in arrays.items()},
            temporary,
            metadata={"napari-cutout": "checkpoint", "numbers": json.dumps(numbers), "request": json.dumps(request)},
        )


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
    then = json.loads(told["request"])
    now = json.loads(json.dumps(request))
    if differing := [name for name in {**then, **now} if then.get(name) != now.get(name)]:
        name = differing[0]
        raise ValueError(
            f"{path} is of another training: {name} was {then.get(name)!r} and is {now.get(name)!r}; ask for the same "
            f"again, or delete it to start anew"
        )
    parts: dict[str, Any] = {part: {} for part in PARTS}
    for name, array in arrays.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = array
    return State(**{**parts, **json.loads(told["numbers"])})
