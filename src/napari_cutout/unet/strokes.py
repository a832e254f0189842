"""`unet_from_strokes`: a U-Net that learns from the strokes on an image, and labels the rest of that image."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from threading import Lock
from typing import Annotated, Any, Literal, Unpack

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, is_lazy, to_numpy
from .._checks import MAX_LABEL
from .._device import asked_for
from .._method import Image, Labels, Markers, Mask, Range, Seldom, method
from .._monitor import Cancelled, note, resumed, ticket
from .._sources import fingerprint, image_fingerprint
from ..processing.features import channels_of
from ..processing.segment import AfterOptions, Background, tidy
from ._torch import import_torch
from .plan import BATCH, PATCH, unet_plan
from .predict import unet_predict
from .trained import UNetModel

__all__ = ["unet_from_strokes"]

LEARNING_RATE = 1e-2
"""Larger than that of `unet_train`, whose steps are many more: with less rare labels are not found in so few."""

MOST_KEPT = 4
"""Networks that are kept, so that what changes after the training only does not train again."""


def _memory(settings: Mapping[str, Any], n_voxels: int, n_channels: int) -> float:
    """Return bytes per voxel: those of a batch, which does not grow with the image, and 4 for what is learned of."""
    ndim: int = settings.get("dimensions") or 2
    width: int = settings.get("width", 16)
    return 4.0 + 90.0 * width * BATCH[ndim] * min(PATCH[ndim], n_voxels) / max(n_voxels, 1) + n_channels


@method(
    "U-Net",
    agreement="trained anew",
    memory=_memory,
    tile_memory=_memory,
    tile_voxels=1 << 21,
    slow=True,
    network=True,
)
def unet_from_strokes(
    image: Image,
    markers: Markers,
    mask: Mask | None = None,
    *,
    n_steps: Annotated[int, Range(1, 1_000_000, 50)] = 150,
    width: Annotated[int, Range(1, 256)] = 16,
    dimensions: Literal[2, 3] | None = None,
    background: Background = 0,
    seed: Annotated[int, Range(0, 2**31 - 1), Seldom()] = 0,
    channel_axis: int | None = None,
    **options: Unpack[AfterOptions],
) -> Labels:
    """Train a U-Net on your strokes, and label the rest of the image.

    Paint strokes of two or more labels in several places, on all that differs: what is not shown is not learned. It
    takes about a minute on two cores and says then whether a network can tell your labels apart; to label other images
    too, train with `unet_train` and keep the model.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X), with channels where `channel_axis` says
        Any real dtype; grey levels are scaled by their mean and standard deviation over the whole image.
    markers : int array of the shape of a channel
        Strokes: 0 is not marked, 1 to 2147483647 are labels, two or more.
    mask : array of the shape of a channel, optional
        Where to label; voxels outside become 0, and strokes outside are left out.
    n_steps : int
        Batches to learn from: more take longer, and the borders become more even.
    width : int
        Channels of the first level of the network; half as many are learned three times as fast.
    dimensions : {2, 3}, optional
        2 to learn planes of a volume one by one, which is quicker. By default those of the image.
    background : int
        The label of strokes on what is around the objects, which becomes 0; 0 is none.
    seed : int
        Of everything that is random.
    channel_axis : int, optional
        The axis that counts channels, which are looked at together.
    **options : AfterOptions
        Steps after, on the highest label that is not `background`.

    Returns
    -------
    int32 array of the shape of a channel, same library as `image`
        The most likely label of every voxel. Numbers of objects if `one_per_object`.

    Raises
    ------
    ValueError
        If fewer than two labels are painted inside, a marker is below 0 or above 2147483647, shapes differ, or a
        setting is out of range.
    TypeError
        If the image is boolean, complex or of objects, or markers are floats.
    ImportError
        If torch is not installed; the message has the line that installs it.
    MemoryError
        If not even the smallest patch or tile fits.
    Cancelled
        If it is cancelled while it trains; nothing is kept then.

    Notes
    -----
    Good for: textures that no grey level tells apart, from strokes on all that there is in the image.

    Fails when: something has no stroke: it becomes whatever it resembles.

    Deterministic on one machine: the same strokes, settings and seed give the same labels, as long as torch has as many
    threads. Another device or library rounds differently, and a training makes much of that: labels differ where the
    network is unsure, so they are not held to those of another machine. All strokes are learned from and none is held
    out; `compare` says how good it is on strokes that it did not see. The last four networks are kept in memory, so
    that steps after the cut do not train again. Memory: that of a batch, about 200 MB at a width of 16 in 2-D, and 4
    bytes per voxel. Dask arrays give lazy labels: they are read patch by patch and tile by tile when the labels are
    computed, all in one task that holds all labels; chunks do not show.

    References
    ----------
    .. [1] O. Ronneberger, P. Fischer and T. Brox, "U-Net: convolutional networks for biomedical image segmentation",
       MICCAI (2015) 234-241. DOI:10.1007/978-3-319-24574-4_28
    .. [2] Ö. Çiçek, A. Abdulkadir, S. S. Lienkamp, T. Brox and O. Ronneberger, "3D U-Net: learning dense volumetric
       segmentation from sparse annotation", MICCAI (2016) 424-432. DOI:10.1007/978-3-319-46723-8_49
    """
    training = {"n_steps": n_steps, "width": width, "dimensions": dimensions, "seed": seed}
    given = _Given(image, markers, mask, channel_axis, options["spacing"])
    if is_lazy(image):
        return _lazy(given, training, background, options)
    return _labelled(given, training, background, options)


@dataclass(frozen=True, slots=True, eq=False)
class _Given:
    """What is learned from, and labelled."""

    image: Image
    markers: Markers
    mask: Mask | None
    channel_axis: int | None
    spacing: tuple[float, ...] | None

    @property
    def strokes(self) -> Labels:
        """The strokes inside the mask."""
        if self.mask is None:
            return self.markers
        xp = array_namespace(self.markers)
        return xp.where(self.mask != 0, self.markers, xp.zeros_like(self.markers))

    def digest(self, training: Mapping[str, Any]) -> str:
        """Return by what a training on it is known again."""
        said = repr((sorted(training.items()), self.channel_axis, self.spacing, asked_for()))
        found = sha256(said.encode())
        found.update(image_fingerprint(self.image).encode())
        found.update(fingerprint(self.strokes).encode())
        return found.hexdigest()


def _lazy(given: _Given, training: Mapping[str, Any], background: int, options: AfterOptions) -> Array:
    """Return labels of dask arrays, trained and labelled in one task."""
    import dask
    import dask.array as da

    first = channels_of(given.image, given.channel_axis)[0]
    held = dask.delayed(given, pure=False, traverse=False)
    task = dask.delayed(_in_task, pure=False)(held, training, background, dict(options), ticket())
    return da.from_delayed(task, first.shape, dtype=np.int32).rechunk(first.chunks)


def _in_task(
    given: _Given, training: Mapping[str, Any], background: int, options: AfterOptions, watcher: int | None
) -> NDArray[np.int32]:
    """Return all labels of dask arrays, in host memory."""
    import dask

    # Patches are read inside this task, so by its own threads: a cluster would wait for the worker that waits for it.
    with resumed(watcher), dask.config.set(scheduler="threads"):
        return np.asarray(_labelled(given, training, background, options))


def _labelled(given: _Given, training: Mapping[str, Any], background: int, options: AfterOptions) -> Labels:
    """Train, label, and tidy up."""
    model = _trained(given, training)
    found = unet_predict(given.image, given.mask, model=model, channel_axis=given.channel_axis)
    mask = given.mask
    if is_lazy(found):
        found, mask = to_numpy(found), None if mask is None else to_numpy(mask)
    xp = array_namespace(found)
    labels = xp.astype(found, xp.int32)
    if background:
        labels = xp.where(labels == background, xp.zeros_like(labels), labels)
    return tidy(labels, options, known=mask, choose=partial(_objects, classes=model.classes, background=background))


def _objects(_labels: Labels, *, classes: Sequence[int], background: int) -> tuple[int, int]:
    """Choose the highest label as that of the objects; what is removed becomes 0, or the lowest label."""
    left = [label for label in classes if label != background]
    return left[-1], 0 if background in classes else left[0]


# Training ----------------------------------------------------------------------------------------------

_kept: OrderedDict[str, UNetModel] = OrderedDict()
_keeping = Lock()


def _trained(given: _Given, training: Mapping[str, Any]) -> UNetModel:
    """Return the network that the strokes teach: one that was trained on the same before, if it is still there."""
    key = "" if is_lazy(given.image) else given.digest(training)
    with _keeping:
        model = _kept.pop(key, None)
    if model is None:
        model = _train(given, training)
    if key:
        with _keeping:
            _kept[key] = model
            while len(_kept) > MOST_KEPT:
                _kept.popitem(last=False)
    return model


def _train(given: _Given, training: Mapping[str, Any]) -> UNetModel:
    import_torch()
    _check_strokes(given.strokes)
    plan = unet_plan(
        given.image, given.strokes, ignore=0, validation=0.0, channel_axis=given.channel_axis, spacing=given.spacing,
        learning_rate=LEARNING_RATE, **training,
    )  # fmt: skip
    note(strokes=dict(zip(map(str, plan.classes), plan.counts, strict=True)))
    model = plan.train(device=asked_for())
    if "cancelled" in model.training["stopped"]:
        raise Cancelled("cancelled while training; nothing was changed")
    return replace(model, name="from strokes")


def _check_strokes(strokes: Labels) -> None:
    """Raise unless two labels are painted.

    Raises
    ------
    ValueError
        If they are not, or a label is none that a result can hold.
    """
    xp = array_namespace(strokes)
    low, high = (int(to_numpy(extreme(strokes))) for extreme in (xp.min, xp.max))
    if low < 0 or high > MAX_LABEL:
        raise ValueError(f"markers must be labels from 0 to {MAX_LABEL}, got {low if low < 0 else high}; renumber them")
    if high == 0:
        raise ValueError(
            "markers have no painted voxel inside, all are 0; paint strokes on the objects and, with another label, on "
            "what is around them"
        )
    least = int(to_numpy(xp.min(xp.where(strokes == 0, xp.full_like(strokes, high), strokes))))
    if least == high:
        raise ValueError(
            f"markers have one label only, {high}, which leaves nothing to tell apart; paint what is around the "
            "objects with a second label"
        )
