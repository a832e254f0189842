"""`UNetModel`: weights and all that is needed to use them, in memory and as a folder of safetensors and JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .._array import Array
from .._checks import check_spacing
from .._writing import flushed, replacing
from ._files import needed, parsed_json, read_file
from ._weights import check_weights, n_bytes_of
from .architecture import Architecture

__all__ = ["Head", "UNetModel", "load_unet", "read_settings"]

Head = Literal["classes", "boundary", "distance"]
"""What a network says of a voxel: its class; background, inside or boundary of an object; or how deep inside one."""

SETTINGS, WEIGHTS = "model.json", "weights.safetensors"
FORMAT = 1

MOST_SETTINGS, MOST_HEADER = 1 << 24, 1 << 20
"""Bytes that settings may have, with the history of a long training, and that weights may have beside their numbers."""

HIGHEST_LABEL = 2**31 - 1
"""Labels are int32."""

N_OUTPUTS = {"boundary": 3, "distance": 3}
"""Outputs of the heads that tell objects apart: background, inside, and the boundary or the depth inside."""


@dataclass(frozen=True, eq=False, repr=False)
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
        _check_settings(self)
        check_weights(self.architecture, self.weights)

    def __repr__(self) -> str:
        a = self.architecture
        return (
            f"UNetModel({self.name!r}, {a.ndim}-D, {a.n_channels} channel(s), classes {self.classes}, head "
            f"{self.head!r}, {a.n_parameters:,} parameters)"
        )

    @property
    def n_channels(self) -> int:
        """Channels of the images that it takes."""
        return self.architecture.n_channels

    @property
    def n_outputs(self) -> int:
        """How many probabilities it gives each voxel."""
        return self.architecture.n_outputs

    @property
    def ndim(self) -> int:
        """Axes of the images that it takes: 2 or 3."""
        return self.architecture.ndim

    def scalings(self, channels: Sequence[Array]) -> Sequence[Any]:
        """Return how grey levels of each channel become what it sees: by their mean and spread over the whole.

        Parameters
        ----------
        channels : sequence of array
            The channels of an image.

        Returns
        -------
        sequence of callable
            One for each; delayed for dask arrays.
        """
        from ._scaling import scalings_of

        return scalings_of(channels)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the weights and of what they mean, by which provenance names the model."""
        meaning = [self.architecture.as_dict(), self.classes, self.head]
        found = sha256(json.dumps(meaning, sort_keys=True).encode())
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
        save = needed("safetensors.numpy", "writing a model", "unet").save
        target = Path(folder)
        with replacing(target, overwrite=overwrite, folder_problem=folder_problem) as temporary:
            temporary.mkdir()
            # Not save_file, whose error on a full disk is none of the system's.
            (temporary / WEIGHTS).write_bytes(save({k: np.asarray(v, order="C") for k, v in self.weights.items()}))
            (temporary / SETTINGS).write_text(json.dumps(self._settings(), indent=1), encoding="utf-8")
            for name in (WEIGHTS, SETTINGS):
                flushed(temporary / name)
        return target

    def export_onnx(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write it as a file of ONNX, which other programs run.

        Parameters
        ----------
        path : str or path
            The file, such as ``"membranes.onnx"``.
        overwrite : bool
            Replace a file that is there.

        Returns
        -------
        Path
            The file. It takes float32 of shape (n, channels, [Z,] Y, X), grey levels of each channel less their mean
            and divided by their standard deviation, both of the whole image, and Y and X, and Z, multiples of
            ``architecture.multiple``. It gives what `unet_probabilities` does. Metadata name the classes.

        Raises
        ------
        ImportError
            If onnx is not installed; the message has the line that installs it.
        FileExistsError
            If there is such a file and `overwrite` is False, or it is a folder.
        ValueError
            If the weights are too many for one file of ONNX: 2 GB.
        OSError
            If the disk is full or cannot be written to; what was there is left as it was.
        """
        from ._onnx import onnx_bytes

        target = Path(path)
        with replacing(target, overwrite=overwrite) as temporary:
            temporary.write_bytes(onnx_bytes(self))
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
    settings = read_settings(place)
    architecture = Architecture.from_dict(settings["architecture"])
    weights = _read_weights(place / WEIGHTS, n_bytes_of(architecture))
    spacing = settings["spacing"]
    try:
        found = UNetModel(
            architecture,
            weights,
            tuple(settings["classes"]),
            settings["head"],
            None if spacing is None else tuple(spacing),
            settings["training"],
            settings["name"] or place.resolve().stem,
        )
    except ValueError as error:
        raise ValueError(f"{place / WEIGHTS} does not fit {SETTINGS}: {error}") from error
    if found.digest != settings["sha256"]:
        raise ValueError(
            f"{place / WEIGHTS} and {SETTINGS} do not belong together, or were edited; copy the folder again"
        )
    return found


def read_settings(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what a model is, without its weights.

    Parameters
    ----------
    folder : str or path
        The folder of the model.

    Returns
    -------
    dict
        ``architecture``, ``classes``, ``head``, ``spacing``, ``training``, ``name``, ``sha256``, ``format``: checked.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or it holds no model.
    ValueError
        If the settings are corrupt, or not what this program wrote.
    """
    path = Path(folder) / SETTINGS
    try:
        found = parsed_json(read_file(path, MOST_SETTINGS), path)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(_no_model(Path(folder))) from None
    if not isinstance(found, dict) or found.get("napari-cutout") != "U-Net":
        raise ValueError(f"{path} does not describe a U-Net of this program; give the folder of one")
    if found.get("format") != FORMAT:
        raise ValueError(
            f"{path} has the format {found.get('format')!r}, and this version reads {FORMAT}; update napari-cutout"
        )
    try:
        _check_entries(found)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        said = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{path} does not describe a U-Net of this program: {said:.400}") from error
    return found


def _no_model(place: Path) -> str:
    if place.is_file():
        return (
            f"{str(place)!r} is a file, and a U-Net is a folder with {SETTINGS} and {WEIGHTS}; a file of torch is not "
            f"opened, because it may run anything"
        )
    what = "holds no U-Net" if place.is_dir() else "is not there"
    return f"the folder {str(place)!r} {what}; a U-Net is a folder with {SETTINGS} and {WEIGHTS}"


def _check_entries(settings: Mapping[str, Any]) -> None:
    """Raise unless the settings of a model can be those of one."""
    architecture = Architecture.from_dict(settings["architecture"])
    if not isinstance(settings["classes"], list):
        raise ValueError(f"classes must be a list of labels, got {settings['classes']!r}")
    _check_classes(settings["head"], tuple(settings["classes"]), architecture)
    if settings["spacing"] is not None:
        check_spacing(settings["spacing"], architecture.ndim)
    for name, kind in (("training", dict), ("name", str), ("sha256", str)):
        if not isinstance(settings[name], kind):
            raise ValueError(f"{name} must be {'an object' if kind is dict else 'a text'}, got {settings[name]!r:.80}")


def _check_settings(model: UNetModel) -> None:
    """Raise unless the parts of a model fit each other."""
    _check_classes(model.head, model.classes, model.architecture)
    if model.spacing is not None:
        check_spacing(model.spacing, model.architecture.ndim)


def _check_classes(head: Any, classes: tuple[Any, ...], architecture: Architecture) -> None:
    if head not in get_args(Head):
        raise ValueError(f"head must be one of {', '.join(map(repr, get_args(Head)))}, got {head!r:.80}")
    right = all(type(c) is int and 0 <= c <= HIGHEST_LABEL for c in classes)  # True is no label
    if not right or len(classes) < 2 or list(classes) != sorted(set(classes)):
        raise ValueError(
            f"classes must be two or more different labels, rising, from 0 to {HIGHEST_LABEL:,}, got {classes!r:.80}"
        )
    wanted = N_OUTPUTS.get(head, len(classes))
    if architecture.n_outputs != wanted:
        raise ValueError(
            f"head {head!r} with {len(classes)} classes needs {wanted} outputs, and the architecture has "
            f"{architecture.n_outputs}"
        )


def _read_weights(path: Path, n_bytes: int) -> dict[str, NDArray[Any]]:
    safetensors = needed("safetensors", "reading a model", "unet")
    load = needed("safetensors.numpy", "reading a model", "unet").load
    try:
        # No more than the architecture needs is read, whatever the file claims.
        return dict(load(read_file(path, n_bytes + MOST_HEADER)))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing; copy the folder again") from None
    except (safetensors.SafetensorError, KeyError, TypeError) as error:  # the last two: a dtype that NumPy has not
        raise ValueError(f"{path} is not a complete safetensors file: {error}; copy the folder again") from error


def folder_problem(folder: Path) -> str:
    """Say why a folder is not one that a model may replace; nothing if it is a model."""
    return (
        "" if (folder / SETTINGS).is_file() and (folder / WEIGHTS).is_file() else "it is a folder that holds no model"
    )


def labels_dtype(classes: Sequence[int]) -> str:
    """Return the dtype of labels: uint8 where the classes fit."""
    return "uint8" if max(classes) < 256 else "int32"
