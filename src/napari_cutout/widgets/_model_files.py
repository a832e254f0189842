"""Folders of trained models: what each is, as its settings say, and names for new ones.  No Qt and no weights."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..unet._checkpoint import checkpoint_of
from ..unet.trained import N_OUTPUTS, SETTINGS, read_settings
from ..unet.zoo import described as described_package

if TYPE_CHECKING:
    from .._method import Method
    from ._target import Target

__all__ = [
    "ModelInfo",
    "asked_of",
    "described",
    "free_place",
    "left_behind",
    "model_problem",
    "models_in",
    "seconds_of",
    "training_at",
]

ZOO_SETTINGS = "bioimageio.yaml"
"""What a package of the zoo is described in."""

MOST_MODELS = 200
"""Models of a folder that are listed, the newest first."""

QUIET = 300.0
"""Seconds without a new checkpoint after which a training of another program counts as interrupted."""

MOST_CLASSES = 8
"""Classes that are named one by one."""

_HEADS = {"classes": "classes", "boundary": "objects, by their boundaries", "distance": "objects, by their depth"}


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a model is, without its weights.

    Parameters
    ----------
    path : str
        Its folder.
    name : str
        What to call it.
    classes : tuple of int
        The label of each class.
    head : str
        What it says of a voxel.
    n_channels, ndim : int
        Channels and axes of the images that it takes.
    made : datetime
        When it was written.
    dice : float, optional
        Mean Dice on what was held out of its training.
    """

    path: str
    name: str
    classes: tuple[int, ...]
    head: str
    n_channels: int
    ndim: int
    made: datetime
    dice: float | None = None

    @property
    def n_outputs(self) -> int:
        """How many probabilities it gives for a voxel."""
        return N_OUTPUTS.get(self.head, len(self.classes))

    def __str__(self) -> str:
        """Say in a line what it is."""
        few = ", ".join(map(str, self.classes[:MOST_CLASSES])) + ("…" if len(self.classes) > MOST_CLASSES else "")
        said = f"classes {few}" if self.head == "classes" else _HEADS.get(self.head, self.head)
        channels = f"{self.n_channels} channel" + ("s" if self.n_channels > 1 else "")
        dice = f" · Dice {self.dice:.3f} on what was held out" if self.dice is not None else ""
        return f"{self.ndim}-D · {channels} · {said}{dice} · {self.made:%Y-%m-%d %H:%M}"


def described(path: str | Path) -> ModelInfo:
    """Say what a model is; weights of our own are not read.

    Parameters
    ----------
    path : str or path
        Its folder, or a package of the BioImage Model Zoo.

    Returns
    -------
    ModelInfo
        What it says of itself.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or it holds no model.
    ValueError
        If it is not as a model should be.
    ImportError
        If it is a package, and what reads those is not installed.
    """
    place = Path(path)
    package = _package(place)
    try:
        found = (package or place / SETTINGS).stat()
    except OSError:
        return _read(str(place), False, 0, 0.0)  # it says what is missing
    return _read(str(place), package is not None, found.st_mtime_ns, found.st_mtime)


def _package(place: Path) -> Path | None:
    """Return the file that says what a package of the zoo is, if this is one."""
    if place.suffix.lower() in (".zip", ".yaml", ".yml") and place.is_file():
        return place
    inner = place / ZOO_SETTINGS
    return inner if inner.is_file() and not (place / SETTINGS).exists() else None


@lru_cache(maxsize=512)
def _read(path: str, from_zoo: bool, version: int, seconds: float) -> ModelInfo:
    """Read it again only if its file has another date."""
    made = datetime.fromtimestamp(seconds)
    if from_zoo:
        model = described_package(path)
        return ModelInfo(path, model.name, model.classes, model.head, model.n_channels, model.ndim, made)
    return _info(path, read_settings(path), made)


def _info(path: str, settings: Mapping[str, Any], made: datetime) -> ModelInfo:
    architecture, dice = settings["architecture"], settings["training"].get("dice")
    return ModelInfo(
        path=path,
        name=str(settings["name"] or Path(path).stem),
        classes=tuple(map(int, settings["classes"])),
        head=str(settings["head"]),
        n_channels=int(architecture["n_channels"]),
        ndim=len(architecture["kernels"][0]),
        made=made,
        dice=None if dice is None else float(dice),
    )


def models_in(folder: Path) -> list[ModelInfo]:
    """Return the models of a folder, the newest first; what is no model is left out."""
    try:
        inner = [place for place in folder.iterdir() if _is_candidate(place)]
    except OSError:
        return []
    found = []
    for place in inner:
        try:
            found.append(described(place))
        except (ImportError, OSError, ValueError):  # whoever chooses it with Browse is told why
            continue
    return sorted(found, key=lambda info: info.made, reverse=True)[:MOST_MODELS]


def _is_candidate(place: Path) -> bool:
    """Tell whether something in a folder may be a model."""
    if place.name.startswith("."):  # one that is being written
        return False
    return (place / SETTINGS).is_file() or ((place.suffix == ".zip" or place.is_dir()) and _package(place) is not None)


_trained_here: dict[Path, bool] = {}
"""Where this program trains models, and whether it still does."""


@contextmanager
def training_at(place: Path) -> Iterator[None]:
    """Let it be known that a model is trained at this place, as long as it is."""
    _trained_here[place] = True
    try:
        yield
    finally:
        _trained_here[place] = False


def left_behind(folder: Path) -> list[Path]:
    """Return where models would be whose training was interrupted, the newest first: their checkpoints are there.

    One that another program may be writing still, since it has done so within the last minutes, is not among them.
    """
    now = time.time()
    try:
        found = [(place.stat().st_mtime, place) for place in folder.glob(f"*{_ENDING}") if place.is_file()]
    except OSError:
        return []
    places = [(age, place.with_name(place.name.removesuffix(_ENDING))) for age, place in sorted(found, reverse=True)]
    return [place for made, place in places if not _trained_here.get(place, now - made < QUIET)]


def seconds_of(place: Path) -> float:
    """Return how long an interrupted training had taken; 0 if its checkpoint does not say."""
    try:
        return float(json.loads(_header(place)["numbers"])["seconds"])
    except (KeyError, TypeError, ValueError):
        return 0.0


def _header(place: Path) -> dict[str, str]:
    """Return what a checkpoint says of itself; empty if it cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(checkpoint_of(place), framework="numpy") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError):
        return {}


def asked_of(place: Path) -> dict[str, Any]:
    """Return what an interrupted training was asked for, as `unet_plan` takes it, from its checkpoint's header.

    Parameters
    ----------
    place : Path
        Where its model would be.

    Returns
    -------
    dict
        Settings by name; empty if the checkpoint does not say, which the training itself complains about.
    """
    try:
        request = json.loads(_header(place)["request"])
        architecture, settings = request["architecture"], request["settings"]
        return {
            "head": request["head"],
            "ignore": request["ignore"],
            **({} if request["head"] == "classes" else {"background": request["background"]}),
            "dimensions": len(architecture["kernels"][0]),
            "depth": len(architecture["strides"]),
            **{name: architecture[name] for name in ("width", "normalisation", "residual")},
            **{name: settings[name] for name in _LOOP_SETTINGS},
        }
    except (KeyError, IndexError, TypeError, ValueError):
        return {}


_LOOP_SETTINGS = (
    "patch",
    "batch_size",
    "n_steps",
    "loss",
    "learning_rate",
    "schedule",
    "augment",
    "validation",
    "patience",
    "seed",
)

_ENDING = checkpoint_of(Path("model")).name.removeprefix("model")
"""What the name of a checkpoint ends with."""


def free_place(folder: Path, wanted: str) -> Path:
    """Return a place in a folder where nothing is, neither a model nor the checkpoint of one.

    Parameters
    ----------
    folder : Path
        The folder; it may be missing still.
    wanted : str
        What to call the model, such as the name of an image; what no file system takes is left out.

    Returns
    -------
    Path
        With a number after the name if that is taken.
    """
    name = " ".join(re.sub(r"[^\w\- .()+]+", " ", wanted).split())[:60].strip(" .") or "model"
    number, place = 1, folder / name
    while place.exists() or checkpoint_of(place).exists():
        number += 1
        place = folder / f"{name} ({number})"
    return place


# Whether a model can be used --------------------------------------------------------------------------------


def model_problem(method: Method, settings: Mapping[str, Any], aim: Target | None) -> str:
    """Say why a model that is set for a method cannot be used on an image; empty if it can, or none is asked for."""
    for param in method.settings:
        if param.folder is None:
            continue
        given = settings.get(param.name)
        if given is None:
            return f"{param.name}: none is chosen; choose one, or train one below"
        if not isinstance(given, str | Path):
            return ""
        try:
            info = described(given)
        except (ImportError, OSError, ValueError) as error:
            return f"{param.name}: {error}"
        if aim is not None and (sentence := _misfit(info, aim)):
            return sentence
    return ""


def _misfit(info: ModelInfo, aim: Target) -> str:
    """Say what of an image is not as a model needs it."""
    there, axes = aim.selection.n_channels(tuple(aim.array.shape)), aim.selection.run_axes
    if there != info.n_channels:
        return (
            f"the model '{info.name}' was trained on {info.n_channels} channel{'s' * (info.n_channels > 1)}, and "
            f"the image has {there}; choose the same channels as in its training"
        )
    if len(axes) < info.ndim:
        return f"the model '{info.name}' was trained on volumes, and what is run on is planes; choose the whole volume"
    return ""
