"""Labels and probabilities that a trained U-Net gives an image."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from .._array import Array
from .._device import Asked, asked_for
from .._method import Folder, Image, Labels, Mask, method, with_settings_of
from .._monitor import note
from ..processing.features import channels_of
from ..processing.segment import AfterOptions, tidy
from ._backend import Backend, TorchBackend
from ._instances import instances
from ._package import is_package
from ._run import TILE, Finish, Prediction, predict
from ._scaling import Scaling
from .architecture import Architecture
from .trained import SETTINGS, UNetModel, labels_dtype, load_unet, read_settings
from .zoo import ZooModel, load_zoo

__all__ = ["unet_predict", "unet_probabilities"]

ModelSource = Annotated[Any, Folder("a U-Net")]
"""A `UNetModel` or `ZooModel`, or the path of one."""

Model = UNetModel | ZooModel
"""What can predict."""


HELD = 4.0
"""Bytes per voxel of what tiles said that waits for their neighbours, in an image of many layers of tiles."""


def _memory(settings: Mapping[str, Any], n_voxels: int, n_channels: int) -> float:
    """Return bytes per voxel: those of a tile, which does not grow with the image, and of what waits."""
    model = settings.get("model")
    if isinstance(model, str | os.PathLike):
        model = _architecture(Path(model) / SETTINGS)
    architecture = getattr(model, "architecture", model)
    if not isinstance(architecture, Architecture):  # one of elsewhere, or none: it says so when it is opened
        return HELD
    tile = min(math.prod(TILE[architecture.ndim]), n_voxels)
    return HELD + architecture.predict_bytes(tile) / max(n_voxels, 1)


def _architecture(path: Path) -> Architecture | None:
    """Return what a model at a path is made of; None if that cannot be read."""
    try:
        return _read_architecture(path.parent, path.stat().st_mtime_ns)
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=16)
def _read_architecture(folder: Path, _written: int) -> Architecture:
    return Architecture.from_dict(read_settings(folder)["architecture"])


@method(
    "U-Net",
    agreement="tolerance(1e-3)",
    extras=("training", "probabilities"),
    memory=_memory,
    tile_memory=_memory,
    tile_voxels=math.prod(TILE[3]),
    network=True,
)
def unet_predict(
    image: Image,
    mask: Mask | None = None,
    *,
    model: ModelSource,
    flips: bool = False,
    channel_axis: int | None = None,
    **options: Unpack[AfterOptions],
) -> Labels:
    """Label every voxel by what a trained U-Net says of it.

    Train a model on a few of your own annotations with `unet_train`, then use it on any image of the same kind, of any
    size. What it was shown decides what it can find: structures that no threshold tells apart, such as membranes.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X), with channels where `channel_axis` says
        Any real dtype; grey levels are scaled by their mean and standard deviation over the whole image. A model of
        planes labels a volume plane by plane.
    mask : array of the shape of a channel, optional
        Where to label; voxels outside become 0.
    model : UNetModel, ZooModel or path
        What `unet_train` returned, or the folder that it was saved in; or a package of the BioImage Model Zoo that was
        downloaded, as a .zip or its folder.
    flips : bool
        Average over all mirror images: more even borders, for four times the time in 2-D and eight times in 3-D.
    channel_axis : int, optional
        The axis that counts channels; there must be as many as the model was trained on.
    **options : AfterOptions
        Steps after.

    Returns
    -------
    uint8 or int32 array of the shape of a channel, same library as `image`
        The most likely class of every voxel, named as it was annotated. Numbers of objects (int32) if `one_per_object`;
        a model that was trained to tell objects apart splits those that touch.

    Raises
    ------
    FileNotFoundError
        If there is no model.
    ValueError
        If the model's files are not right, or the image has other axes or channels than the model.
    ImportError
        If torch is not installed; the message has the line that installs it.
    TypeError
        If the image is boolean, complex or of objects.
    MemoryError
        If not even the smallest tile fits.

    Notes
    -----
    Good for: textures, membranes and shapes, on images taken like those that the model learnt from.

    Fails when: magnification, stain or microscope differ from these: nothing warns, so look at the result.

    Tolerance: classes of the same weights agree on more than 99.9 % of voxels between devices, which round differently.
    Images larger than a tile (1024 x 1024, or 128 x 128 x 128) are labelled in tiles that begin at multiples of the
    network's coarsest voxel. Where their halo covers the receptive field the labels are those of the whole image; where
    it would take more than a quarter of the tile, a quarter of each tile overlaps with the next and their probabilities
    are blended, weighted by a Gaussian. The provenance says which. Only the probabilities of
    a layer of tiles are held, the layer across the axis with the most tiles, in host memory, and only where they blend.
    Voxels that are NaN or infinite are the mean to the network, and become 0. Memory: one tile, about 500 bytes per
    voxel of it at a width of 16. Dask arrays give lazy ones, whose labels do not depend on chunks.

    References
    ----------
    .. [1] O. Ronneberger, P. Fischer and T. Brox, "U-Net: convolutional networks for biomedical image segmentation",
       MICCAI (2015) 234-241. DOI:10.1007/978-3-319-24574-4_28
    .. [2] Ö. Çiçek, A. Abdulkadir, S. S. Lienkamp, T. Brox and O. Ronneberger, "3D U-Net: learning dense volumetric
       segmentation from sparse annotation", MICCAI (2016) 424-432. DOI:10.1007/978-3-319-46723-8_49
    """
    found = opened(model)
    channels = _channels_for(found, image, channel_axis)
    if options["one_per_object"] and found.head != "classes":
        return instances(_prediction(found, flips, "relief"), channels, mask, options)
    labels = predict(_prediction(found, flips, "labels"), channels, mask)
    return tidy(labels, options, known=mask, choose=partial(_objects, classes=found.classes))


@with_settings_of(unet_predict, shows="probabilities")
def unet_probabilities(image: Image, mask: Mask | None = None, **settings: Any) -> Array:
    """Return how likely each class is at every voxel, as a trained U-Net says.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X), with channels where `channel_axis` says
        As in `unet_predict`.
    mask : array of the shape of a channel, optional
        Where to look; voxels outside become NaN.
    **settings : unet_predict
        As in `unet_predict`.

    Returns
    -------
    float32 array of shape (n, [Z,] Y, X), same library as `image`
        One for each class, by rising label; they sum up to 1. Of a model that tells objects apart: background, inside,
        and the boundary or how deep inside a voxel lies.

    Raises
    ------
    FileNotFoundError, ValueError, ImportError, TypeError, MemoryError
        As `unet_predict`.

    Notes
    -----
    Memory: 4 bytes per voxel and class beyond that of `unet_predict`.
    """
    found = opened(settings["model"])
    channels = _channels_for(found, image, settings["channel_axis"])
    return predict(_prediction(found, settings["flips"], "probabilities"), channels, mask)


def opened(model: Any) -> Model:
    """Return a model that was given, or read it, and tell the provenance which it is."""
    found = model if isinstance(model, Model) else _read(model)
    note(model=found.name, model_sha256=found.digest)
    return found


def _read(model: Any) -> Model:
    """Return the model at a path: a package of the BioImage Model Zoo, or one of this program."""
    if not isinstance(model, str | os.PathLike):
        raise TypeError(f"model must be a UNetModel or the path of one, got {model!r} of type {type(model).__name__}")
    place = Path(model)
    return load_zoo(place) if is_package(place) else load_unet(place)


def _channels_for(model: Model, image: Image, channel_axis: int | None) -> list[Array]:
    """Return the channels of an image that a model can look at."""
    channels = channels_of(image, channel_axis)
    if len(channels) != model.n_channels:
        raise ValueError(
            f"the model {model.name!r} was trained on {model.n_channels} channel(s), and the image has "
            f"{len(channels)}; choose the same channels as in training"
        )
    if channels[0].ndim < model.ndim:
        raise ValueError(
            f"the model {model.name!r} was trained on volumes, and the image is a plane of {tuple(channels[0].shape)} "
            f"voxels; train a model on planes"
        )
    return channels


def _prediction(model: Model, flips: bool, what: str) -> Prediction:
    """Return what to make of an image."""
    makes: dict[str, tuple[Finish, str, int | None]] = {
        "labels": (
            partial(_labels, classes=np.asarray(model.classes), head=model.head),
            labels_dtype(model.classes),
            None,
        ),
        "relief": (partial(_relief, head=model.head), "uint8", None),
        "probabilities": (_probabilities, "float32", model.n_outputs),
    }
    finish, dtype, n = makes[what]
    return Prediction(partial(backend_of, model, asked_for()), finish, dtype, n, flips, model.scalings)


def labels_of(
    model: UNetModel, channels: Sequence[Array], device: Asked, scalings: Sequence[Scaling] | None = None
) -> Array:
    """Return what a model says of a part of an image, scaled as is known of the whole."""
    prediction = replace(_prediction(model, False, "labels"), backend=partial(TorchBackend, model, device))
    if scalings is not None:
        prediction = replace(prediction, scalings=lambda _: scalings)
    return predict(prediction, channels, None)


MOST_READY = 2
"""Networks that are kept on their device: those of two models that take turns."""

_ready: dict[tuple[str, Asked], Backend] = {}
"""The networks that were used last, so that a model is not put on its device again for every tile."""

_making = threading.Lock()
"""Two threads that need the same network wait for one."""


def backend_of(model: Model, device: Asked) -> Backend:
    """Return a model ready to run on a device, and tell the provenance which."""
    key = model.digest, device
    with _making:
        made = _ready.pop(key, None)
        if made is None:
            while len(_ready) >= MOST_READY:  # before there is another one
                _ready.pop(next(iter(_ready)))
            made = (
                TorchBackend(model, device) if isinstance(model, UNetModel) else model.backend(TILE[model.ndim], device)
            )
        _ready[key] = made
    note(ran_on=made.ran_on)
    return made


def _host(probabilities: Any) -> NDArray[Any]:
    return np.asarray(probabilities if isinstance(probabilities, np.ndarray) else probabilities.cpu().numpy())


def _labels(
    probabilities: Any, known: NDArray[np.bool_] | None, *, classes: NDArray[np.int64], head: str
) -> NDArray[Any]:
    """Return the most likely class; of equals the smallest."""
    found = classes.astype(labels_dtype(classes.tolist()))[_best(probabilities, head)]
    if known is not None:
        found[~known] = 0
    return np.asarray(found)


def _best(probabilities: Any, head: str) -> NDArray[np.uint8 | np.intp]:
    """Return the most likely class of each voxel by its place; of two it takes a tenth of the time of argmax."""
    if head != "classes":
        return _host(_inside(probabilities, head)).view(np.uint8)
    if len(probabilities) == 2:
        return _host(probabilities[1] > probabilities[0]).view(np.uint8)
    return _host(probabilities.argmax(0))


def _inside(probabilities: Any, head: str) -> Any:
    """Tell which voxels belong to an object."""
    return probabilities[0] < 0.5 if head == "boundary" else probabilities[1] > 0.5


def _relief(probabilities: Any, known: NDArray[np.bool_] | None, *, head: str) -> NDArray[np.uint8]:
    """Return 0 around objects, and in them 1 to 255: low in the middle of each, high where two touch."""
    p = _host(probabilities)
    # Not what is said of boundaries: at the rim, where background is as likely, that has pits.
    height = 1 - (p[1] if head == "boundary" else p[2])
    found: NDArray[np.uint8] = (1 + np.rint(254 * np.clip(height, 0, 1))).astype(np.uint8)
    found[~_inside(p, head)] = 0
    if known is not None:
        found[~known] = 0
    return found


def _probabilities(probabilities: Any, known: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    found = _host(probabilities)
    if known is not None:
        found = np.where(known, found, np.float32(np.nan))
    return found


def _objects(_labels: Labels, *, classes: Sequence[int]) -> tuple[int, int]:
    """Choose the highest class as that of the objects; what is removed becomes the lowest."""
    return classes[-1], classes[0]
