"""`unet_train`: from images and annotations, sparse ones too, to a model."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .. import _device
from .._array import Array
from .._checks import check_image, check_labels, check_spacing
from .._monitor import Cancelled, stage
from ..processing.features import channels_of
from ._checkpoint import checkpoint_of, read_checkpoint, write_checkpoint
from ._loop import Loop, Report, State
from ._pairs import Pair, cells_of, labels_in, split
from ._patches import Patches
from ._scaling import scalings_of
from ._settings import Augmentation, Schedule, TrainSettings
from ._targets import Targets, targets_of
from ._torch import import_torch, torch_device
from .architecture import Architecture, Normalisation, architecture_for
from .losses import class_weights
from .trained import Head, UNetModel

__all__ = ["unet_train"]

PATCH = {2: 16384, 3: 65536}
"""Voxels of a patch: 128 x 128, or 40 x 40 x 40."""

BATCH = {2: 8, 3: 4}

DRAWN = 32
"""Patches in which it is counted how common boundaries are."""

MOST_HELD_OUT = 32
"""Patches that are validated on at most; more would take longer than the training between two validations."""


def unet_train(
    images: Any,
    annotations: Any,
    *,
    folder: str | os.PathLike[str] | None = None,
    ignore: int | None = 0,
    head: Head = "classes",
    background: int | None = None,
    dimensions: Literal[2, 3] | None = None,
    channel_axis: int | None = None,
    spacing: Sequence[float] | None = None,
    max_minutes: float | None = None,
    n_steps: int = 1500,
    depth: int | None = None,
    width: int = 16,
    normalisation: Normalisation = "batch",
    residual: bool = False,
    patch: Sequence[int] | None = None,
    batch_size: int | None = None,
    loss: str = "dice + cross-entropy",
    learning_rate: float = 2e-3,
    schedule: Schedule = "cosine",
    augment: Sequence[Augmentation] = get_args(Augmentation),
    validation: float = 0.2,
    patience: int = 10,
    seed: int = 0,
    device: _device.Asked = "auto",
    resume: bool = False,
    overwrite: bool = False,
    example: Array | None = None,
    on_report: Callable[[Report], None] | None = None,
) -> UNetModel:
    """Train a U-Net on annotated images; a few strokes are enough to begin with.

    Parameters
    ----------
    images : array of shape ([Z,] Y, X), with channels where `channel_axis` says, or a sequence of them
        Any real dtype; NumPy, dask or Zarr.
    annotations : int array of the shape of a channel, or one for each image
        What was painted: a label for each class.
    folder : str or path, optional
        Where to save the model; beside it a checkpoint is kept while it is trained.
    ignore : int or None
        The value that means *not annotated*, from which nothing is learned; None if everything is annotated.
    head : {"classes", "boundary", "distance"}
        What to learn: the class of each voxel; or objects that are numbered, with the boundary of each, or with how
        deep inside one a voxel lies.
    background : int, optional
        The label around objects, for heads that tell objects apart; every other label is that of one object. By default
        0, unless that is not annotated.
    dimensions : {2, 3}, optional
        2 to learn planes of a volume one by one. By default those of the images.
    channel_axis : int, optional
        The axis that counts channels.
    spacing : sequence of float, optional
        World length of a voxel along each axis, from which the kernels follow.
    max_minutes : float, optional
        Time that it may take; the steps are planned so that they fit.
    n_steps : int
        Batches at most.
    depth : int, optional
        How often to halve; by default 4 in 2-D and 3 in 3-D, less where the image is too small.
    width : int
        Channels of the first level.
    normalisation : {"batch", "instance", "group", "none"}
        What follows each convolution.
    residual : bool
        True to add what goes into each level to what comes out.
    patch : sequence of int, optional
        Voxels of a patch along each axis.
    batch_size : int, optional
        Patches of a batch; by default 8 in 2-D and 4 in 3-D.
    loss : str
        A loss of ``LOSSES``, or several with ``+`` between them.
    learning_rate : float
        The largest one.
    schedule : {"cosine", "poly"}
        How it falls to 0.
    augment : sequence of str
        What patches go through: some of ``"flips"``, ``"rotations"``, ``"elastic"``, ``"intensity"``, ``"noise"``.
    validation : float
        Share of the annotated voxels that is held out: whole images if there are several, else slices or parts.
    patience : int
        Validations without a better Dice after which it stops.
    seed : int
        Of everything that is random.
    device : {"auto", "cpu", "gpu"}
        Where to train.
    resume : bool
        Go on from the checkpoint beside `folder`, if there is one; the result is that of a run that was not killed.
    overwrite : bool
        Replace a model that is there.
    example : array, optional
        A part of an image; reports then hold what the network says of it.
    on_report : callable, optional
        Told a `Report` after each validation.

    Returns
    -------
    UNetModel
        The network at its best Dice on what was held out. If it is cancelled (`watch`), the best so far.

    Raises
    ------
    ValueError
        If nothing or one class only is annotated, shapes differ, or a setting is out of range.
    TypeError
        If images or annotations have the wrong dtype.
    NoTorch
        If torch is not installed; the message has the line that installs it.
    OSError
        If a checkpoint or the model cannot be written; what is on disk is left as it was.
    Cancelled
        If it is cancelled before the first step.
    """
    import_torch()
    pairs = pairs_of(images, annotations, channel_axis)
    ndim = dimensions or len(pairs[0].shape)
    lengths = _lengths(spacing, pairs, ndim)
    stage("reading annotations")
    targets = targets_of(labels_in(pairs), ignore, head, background=background, spacing=lengths)
    architecture = architecture_for(
        _smallest(pairs, ndim), n_channels=len(pairs[0].channels), n_outputs=targets.n_outputs, spacing=lengths,
        depth=depth, width=width, normalisation=normalisation, residual=residual,
    )  # fmt: skip
    settings = TrainSettings(
        patch_for(architecture, pairs, patch), batch_size or BATCH[ndim], n_steps, loss, learning_rate, schedule,
        augment=tuple(augment), validation=validation, patience=patience, seed=seed,
    )  # fmt: skip
    training = _Training(pairs, targets, architecture, settings, lengths, device, max_minutes, example, on_report)
    return training.run(None if folder is None else Path(folder), resume=resume, overwrite=overwrite)


@dataclass(frozen=True, slots=True, eq=False)
class _Training:
    """A training that is ready to run."""

    pairs: Sequence[Pair]
    targets: Targets
    architecture: Architecture
    settings: TrainSettings
    spacing: tuple[float, ...] | None
    device: _device.Asked
    max_minutes: float | None
    example: Array | None
    on_report: Callable[[Report], None] | None

    def run(self, folder: Path | None, *, resume: bool, overwrite: bool) -> UNetModel:
        """Train, keep checkpoints beside the folder, and save the model there."""
        loop = self._loop(folder)
        state = State()
        if folder is not None and resume and checkpoint_of(folder).exists():
            state = read_checkpoint(checkpoint_of(folder), self._request())
        state, why = loop.run(state)
        if state.step == 0:
            raise Cancelled("cancelled before the first step; nothing was learned")
        model = self._model(state, why, "" if folder is None else folder.stem)
        if folder is not None:
            model.save(folder, overwrite=overwrite or resume)
            checkpoint_of(folder).unlink(missing_ok=True)
        return model

    def _loop(self, folder: Path | None) -> Loop:
        flat = self.pairs[0].annotation.ndim - self.architecture.ndim
        shape = (1,) * flat + self.settings.patch
        edges = tuple(max(n // 2, 1) for n in shape)
        cells = cells_of(self.pairs, edges, self.targets)
        held = split(cells, self.settings.validation, self.settings.seed)
        learned = Patches.of(self.pairs, cells.chosen(~held), self.targets, shape)
        checked = Patches.of(self.pairs, cells.chosen(held), self.targets, shape)
        settings = self.settings

        def batch(step: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
            return _flat(learned.batch(settings.batch_size, [settings.seed, 3, step]), flat)

        held_out = [_flat((i[None], t[None]), flat) for i, t in checked.covering(MOST_HELD_OUT, settings.seed)]
        return Loop(
            self.architecture,
            settings,
            batch,
            held_out,
            np.asarray(self._class_weights(learned), np.float32),
            torch_device(self.device),
            self.spacing,
            self.on_report,
            None if folder is None else partial(self._keep, checkpoint_of(folder)),
            None,
            math.inf if self.max_minutes is None else 60 * self.max_minutes,
            self.targets.head,
        )

    def _class_weights(self, learned: Patches) -> list[float]:
        """Return how much a voxel of each class counts."""
        if self.targets.head == "classes":
            return class_weights(self.targets.counts)
        _, drawn = learned.batch(DRAWN, [self.settings.seed, 5])
        return class_weights(self.targets.weighed(drawn))

    def _keep(self, path: Path, state: State) -> None:
        write_checkpoint(path, state, self._request())

    def _request(self) -> dict[str, Any]:
        """Return what was asked for, and on what."""
        return {
            "architecture": self.architecture.as_dict(),
            "settings": self.settings.as_dict(),
            "classes": list(self.targets.classes),
            "counts": list(self.targets.counts),
            "head": self.targets.head,
            "images": [
                [pair.name, list(pair.shape), [[s.shift, s.factor] for s in pair.scalings]] for pair in self.pairs
            ],
            "max_minutes": self.max_minutes,
        }

    def _model(self, state: State, why: str, name: str) -> UNetModel:
        told = {
            **self._request(),
            "steps": state.step,
            "stopped": why,
            "dice": None if state.best_dice < 0 else round(state.best_dice, 6),
            "seconds": round(state.seconds, 2),
            "history": state.history,
        }
        return UNetModel(
            self.architecture, dict(state.best), self.targets.classes, self.targets.head, self.spacing, told, name
        )


def _flat(batch: tuple[NDArray[Any], NDArray[Any]], n: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Leave out `n` axes of one plane, which a network of planes does not have."""
    image, target = batch
    return image.reshape(*image.shape[:2], *image.shape[2 + n :]), target.reshape(
        target.shape[0], *target.shape[1 + n :]
    )


def pairs_of(images: Any, annotations: Any, channel_axis: int | None) -> list[Pair]:
    """Return images with their annotations, checked, and the spread of their grey levels measured.

    Raises
    ------
    ValueError, TypeError
        If there are not as many, or shapes or dtypes are wrong.
    """
    several = isinstance(images, list | tuple)
    if several != isinstance(annotations, list | tuple):
        raise TypeError("images and annotations must both be one array, or both be lists of arrays")
    left, right = (list(images), list(annotations)) if several else ([images], [annotations])
    if not left or len(left) != len(right):
        raise ValueError(
            f"there must be one annotation for each image, got {len(left)} images, {len(right)} annotations"
        )
    return [
        _pair(f"image {n}" if several else "image", i, a, channel_axis)
        for n, (i, a) in enumerate(zip(left, right, strict=True))
    ]


def _pair(name: str, image: Array, annotation: Array, channel_axis: int | None) -> Pair:
    check_image(image, channels=channel_axis is not None)
    channels = channels_of(image, channel_axis)
    check_labels("annotations", annotation, tuple(channels[0].shape))
    return Pair(name, tuple(channels), annotation, scalings_of(channels))


def patch_for(architecture: Architecture, pairs: Sequence[Pair], patch: Sequence[int] | None) -> tuple[int, ...]:
    """Return the shape of patches: about as long as wide in the world, multiples of what the network needs."""
    ndim = architecture.ndim
    if patch is not None:
        wrong = len(patch) != ndim or any(n < 1 or n % m for n, m in zip(patch, architecture.multiple, strict=True))
        if wrong:
            raise ValueError(f"patch must be {ndim} multiples of {architecture.multiple}, got {tuple(patch)}")
        return tuple(map(int, patch))
    edge = PATCH[ndim] ** (1 / ndim)
    found = []
    for axis, m in enumerate(architecture.multiple):
        longest = max(pair.shape[axis - ndim] for pair in pairs)
        wanted = min(edge * m / max(architecture.multiple), longest) if ndim == 3 else min(edge, longest)
        found.append(max(math.ceil(wanted / m) * m, m))
    return tuple(found)


def _smallest(pairs: Sequence[Pair], ndim: int) -> tuple[int, ...]:
    return tuple(min(pair.shape[axis - ndim] for pair in pairs) for axis in range(ndim))


def _lengths(spacing: Sequence[float] | None, pairs: Sequence[Pair], ndim: int) -> tuple[float, ...] | None:
    """Return the lengths of voxels along the axes that are learned."""
    if spacing is None:
        return None
    return tuple(float(s) for s in check_spacing(spacing, len(pairs[0].shape)))[-ndim:]
