"""`UNetModel`: weights and all that is needed to use them, in memory and as a folder of safetensors and JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .._writing import replacing
from .architecture import Architecture

__all__ = ["Head", "UNetModel", "load_unet"]

Head = Literal["classes", "boundary", "distance"]
"""What a network says of a voxel: its class; background, inside or boundary of an object; or how deep inside one."""

SETTINGS, WEIGHTS = "model.json", "weights.safetensors"
FORMAT = 1

N_OUTPUTS = {"boundary": 3, "distance": 3}
"""Outputs of the heads that tell objects apart: background, inside, and the boundary or the depth inside."""


@dataclass(frozen=True, slots=True, eq=False)
class UNetModel:
    """A trained U-Net.

    Parameters
    ----------
    architecture : Architecture
        What it is made of.
    weights : mapping of str to array
        All parameters and frozen statistics by torch's names for them.
    classes : tuple of int
        The label of each class, rising: what was painted. For heads that tell objects apart, (0, 1).
    head : {"classes", "boundary", "distance"}
        What it says of a voxel.
    spacing : tuple of float, optional
        World length of a voxel of the images that it was trained on.
    training : mapping
        How it came about: settings, history, seconds, versions. JSON.
    name : str
        What to call it.

    Raises
    ------
    ValueError
        If the parts do not fit each other.
    """

    architecture: Architecture
    weights: Mapping[str, NDArray[Any]]
    classes: tuple[int, ...]
    head: Head = "classes"
    spacing: tuple[float, ...] | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        if self.head not in get_args(Head):
            raise ValueError(f"head must be one of {', '.join(map(repr, get_args(Head)))}, got {self.head!r}")
        rising = all(isinstance(c, int) and c >= 0 for c in self.classes) and list(self.classes) == sorted(
            set(self.classes)
        )
        if not rising or len(self.classes) < 2:
            raise ValueError(f"classes must be two or more different labels, rising, none negative, got {self.classes}")
        wanted = N_OUTPUTS.get(self.head, len(self.classes))
        if self.architecture.n_outputs != wanted:
            raise ValueError(
                f"head {self.head!r} with the classes {self.classes} needs {wanted} outputs, and the architecture has "
                f"{self.architecture.n_outputs}"
            )

    @property
    def digest(self) -> str:
        """SHA-256 of the weights, by which provenance names the model."""
        found = sha256()
        for name in sorted(self.weights):
            found.update(name.encode())
            found.update(np.asarray(self.weights[name], order="C").tobytes())
        return found.hexdigest()

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write it as a folder that `load_unet` reads.

        Parameters
        ----------
        folder : str or path
            Where to write; the folder above it exists.
        overwrite : bool
            Replace a model that is there; anything else is never replaced.

        Returns
        -------
        Path
            The folder: ``weights.safetensors`` and ``model.json``.

        Raises
        ------
        FileExistsError
            If there is something already that may not be replaced.
        OSError
            If the disk is full or cannot be written to; what was there is left as it was.
        """
        from safetensors.numpy import save_file

        target = Path(folder)
        with replacing(target, overwrite=overwrite, folder_problem=_folder_problem) as temporary:
            temporary.mkdir()
            save_file({k: np.asarray(v, order="C") for k, v in self.weights.items()}, temporary / WEIGHTS)
            (temporary / SETTINGS).write_text(json.dumps(self._settings(), indent=1), encoding="utf-8")
        return target

    def _settings(self) -> dict[str, Any]:
        return {
            "napari-cutout": "U-Net",
            "format": FORMAT,
            "name": self.name,
            "architecture": self.architecture.as_dict(),
            "classes": list(self.classes),
            "head": self.head,
            "spacing": None if self.spacing is None else list(self.spacing),
            "sha256": self.digest,
            "training": dict(self.training),
        }


def load_unet(folder: str | os.PathLike[str]) -> UNetModel:
    """Read a model that `UNetModel.save` or `unet_train` wrote.

    Parameters
    ----------
    folder : str or path
        The folder.

    Returns
    -------
    UNetModel
        With its weights in memory. Nothing in the folder is run or unpickled.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or it holds no model.
    ValueError
        If a file is corrupt, or not what this program wrote.
    """
    place = Path(folder)
    settings = _read_settings(place)
    weights = _read_weights(place / WEIGHTS)
    try:
        architecture = Architecture.from_dict(settings["architecture"])
        spacing = settings["spacing"]
        found = UNetModel(
            architecture,
            weights,
            tuple(settings["classes"]),
            settings["head"],
            None if spacing is None else tuple(spacing),
            settings["training"],
            settings["name"] or place.stem,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{place / SETTINGS} does not describe a U-Net of this program: {error}") from error
    if found.digest != settings.get("sha256"):
        raise ValueError(f"{place / WEIGHTS} is not the file that {SETTINGS} belongs to; copy the folder again")
    return found


def read_settings(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what `model.json` of a model's folder says, without reading the weights.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or it holds no model.
    ValueError
        If the file is corrupt, or not what this program wrote.
    """
    return _read_settings(Path(folder))


def _read_settings(place: Path) -> dict[str, Any]:
    path = place / SETTINGS
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{place} holds no U-Net; a model is a folder with {SETTINGS} and {WEIGHTS}") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict) or found.get("napari-cutout") != "U-Net":
        raise ValueError(f"{path} does not describe a U-Net of this program")
    if found.get("format") != FORMAT:
        raise ValueError(f"{path} has the format {found.get('format')!r}, and this version reads {FORMAT}; update it")
    return found


def _read_weights(path: Path) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(path))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing; copy the folder again") from None
    except SafetensorError as error:
        raise ValueError(f"{path} is not a complete safetensors file: {error}; copy the folder again") from error


def _folder_problem(folder: Path) -> str:
    return (
        "" if (folder / SETTINGS).is_file() and (folder / WEIGHTS).is_file() else "it is a folder that holds no model"
    )


def labels_dtype(classes: Sequence[int]) -> str:
    """Return the dtype of labels: uint8 where the classes fit."""
    return "uint8" if max(classes) < 256 else "int32"
