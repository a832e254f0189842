"""`unet_train`: from images and annotations, sparse ones too, to a model."""

from __future__ import annotations

import inspect
import math
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import to_numpy
from .._device import Asked
from .._monitor import Cancelled, note, stage
from .._writing import check_place, scratch, sentence_of
from ._checkpoint import checkpoint_of, read_checkpoint, write_checkpoint
from ._inputs import channels_in
from ._loop import Loop, Report, State
from ._measured import GreyLevels, measured
from ._pairs import Pair
from ._patches import Patches
from ._torch import free_bytes, import_torch, torch_device
from .losses import class_weights
from .plan import UNetPlan, unet_plan
from .predict import labels_of
from .trained import UNetModel, folder_problem

__all__ = ["NotSaved", "Run", "unet_train"]

DRAWN = 32
"""Patches in which it is counted how common boundaries are."""

MOST_HELD_OUT = 32
"""Patches that are validated on at most; more would take longer than the training between two validations."""


class NotSaved(OSError):
    """The model was trained and could not be written.

    Parameters
    ----------
    message : str
        What went wrong, and the way out.
    model : UNetModel
        What was trained.
    """

    def __init__(self, message: str, model: UNetModel) -> None:
        super().__init__(message)
        self.model = model


def _with_settings_of_plan(func: Callable[..., UNetModel]) -> Callable[..., UNetModel]:
    """Give a function the settings of `unet_plan` in place of ``**settings``, signature and docstring too."""
    own, plan = inspect.signature(func), inspect.signature(unet_plan)
    kept = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
    settings = [p for p in plan.parameters.values() if p.name not in own.parameters]
    func.__signature__ = own.replace(parameters=[*kept, *settings])  # type: ignore[attr-defined]
    entries = inspect.cleandoc(unet_plan.__doc__ or "").partition("----------\n")[2].partition("\n\nReturns")[0]
    blocks = {block.partition(" :")[0]: block for block in re.split(r"\n(?=\w)", entries)}
    head, _, tail = inspect.cleandoc(func.__doc__ or "").partition("**settings")
    func.__doc__ = head + "\n".join(blocks[p.name] for p in settings) + tail[tail.index("\n\n") :] + "\n"
    return func


@_with_settings_of_plan
def unet_train(
    images: Any,
    annotations: Any,
    *,
    folder: str | os.PathLike[str] | None = None,
    max_minutes: float | None = None,
    device: Asked = "auto",
    resume: bool = False,
    overwrite: bool = False,
    example: Any = None,
    on_report: Callable[[Report], None] | None = None,
    on_step: Callable[[int, int, float], None] | None = None,
    **settings: Any,
) -> UNetModel:
    """Train a U-Net on annotated images; a few strokes are enough to begin with.

    Parameters
    ----------
    images : array, Volume, path, or a list of these
        Images of shape ([Z,] Y, X), with channels where `channel_axis` says, of any real dtype: NumPy, CuPy, dask or
        Zarr; files as `read` takes them. A folder or a pattern such as ``"raw/*.tif"`` stands for all images in it.
    annotations : array, Volume, path, or a list of these
        One for each image, of its shape without channels: integers, a label for each class. Those of a folder belong
        to the images with the same names.
    folder : str or path, optional
        Where to save the model; beside it a checkpoint is kept while it is trained.
    max_minutes : float, optional
        Time that it may take, reading included; the steps are planned so that they fit.
    device : {"auto", "cpu", "gpu"}
        Where to train.
    resume : bool
        Go on from the checkpoint beside `folder`, if there is one; the result is that of a run that was not killed.
    overwrite : bool
        Replace a model or a checkpoint that is there.
    example : array, optional
        A part of an image, such as a plane; reports then hold what the network says of it.
    on_report : callable, optional
        Told a `Report` after each validation.
    on_step : callable, optional
        Told the step, the number of steps and the loss after each batch.
    **settings : unet_plan
        As in `unet_plan`.

    Returns
    -------
    UNetModel
        The network at its best Dice on what was held out, or at the end where nothing is. If it is cancelled (`watch`,
        or Ctrl+C), the best so far, saved as well. Its `training` says how it came about.

    Raises
    ------
    ValueError
        If nothing or one class only is annotated, shapes differ, a setting is out of range, all images are constant, or
        the checkpoint is of another training.
    TypeError
        If images or annotations have the wrong dtype, or are no images.
    FileNotFoundError
        If there is no such image, or no folder to write to.
    FileExistsError
        If there is a model or a checkpoint already; nothing was read then.
    NoTorch
        If torch is not installed; the message has the line that installs it.
    NotSaved
        If the model was trained and the disk is full; the error has it as `model`, the last checkpoint stays.
    MemoryError
        If one patch does not fit into memory.
    Cancelled
        If it is cancelled before the first step.

    Notes
    -----
    The same input, settings and seed give the same weights, bit for bit, on the same machine with as many threads; with
    `max_minutes` the number of steps follows from the speed of the machine. Grey levels are scaled by mean and standard
    deviation of each image, as in prediction; of more than 134 million voxels that many are read, in blocks drawn at
    random, and `training` says which share that is. Voxels that are not finite teach nothing. A checkpoint that cannot
    be written does not stop the training; reports say so. Where memory runs out, batches are learned in smaller parts;
    that changes rounding, and with it the soft Dice and batch normalisation, which then see the parts. Memory: the plan
    says it.

    References
    ----------
    .. [1] O. Ronneberger, P. Fischer and T. Brox, "U-Net: convolutional networks for biomedical image segmentation",
       MICCAI (2015) 234-241. DOI:10.1007/978-3-319-24574-4_28
    .. [2] Ö. Çiçek, A. Abdulkadir, S. S. Lienkamp, T. Brox and O. Ronneberger, "3D U-Net: learning dense volumetric
       segmentation from sparse annotation", MICCAI (2016) 424-432. DOI:10.1007/978-3-319-46723-8_49
    """
    run = Run(
        max_minutes=max_minutes, device=device, resume=resume, overwrite=overwrite, example=example,
        on_report=on_report, on_step=on_step,
    )  # fmt: skip
    run.check(folder)
    return run.train(unet_plan(images, annotations, **settings), folder)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Run:
    """How a training is run; the parameters are those of `unet_train`."""

    max_minutes: float | None = None
    device: Asked = "auto"
    resume: bool = False
    overwrite: bool = False
    example: Any = None
    on_report: Callable[[Report], None] | None = None
    on_step: Callable[[int, int, float], None] | None = None
    started: float = field(default_factory=lambda: time.perf_counter())

    def check(self, folder: str | os.PathLike[str] | None) -> None:
        """Refuse what would fail at the end, before anything is read.

        Raises
        ------
        NoTorch, ValueError, OSError
            If torch or the device is missing, or the folder cannot be written to or may not be replaced.
        """
        import_torch()
        minutes = self.max_minutes
        if minutes is not None and (not isinstance(minutes, int | float) or not minutes > 0):
            raise ValueError(f"max_minutes must be a number of more than 0, got {minutes!r}")
        torch_device(self.device)
        if folder is None:
            if self.resume:
                raise ValueError("resume=True goes on from the checkpoint beside a model; give the folder of the model")
            return
        target = Path(folder)
        check_place(target, self.overwrite, folder_problem)
        if checkpoint_of(target).exists() and not (self.resume or self.overwrite):
            raise FileExistsError(
                f"{str(checkpoint_of(target))!r} is of a training that did not end; say resume=True to go on with it, "
                f"or overwrite=True to start anew"
            )
        try:
            with scratch(target) as temporary:
                temporary.touch()
        except OSError as error:
            raise sentence_of(error, target) from error

    def train(self, plan: UNetPlan, folder: str | os.PathLike[str] | None) -> UNetModel:
        """Train as planned, keep checkpoints beside the folder, and save the model there."""
        self.check(folder)
        target = None if folder is None else Path(folder)
        stage("measuring the spread of grey levels")
        ready = _Ready.of(plan, self)
        state = State()
        if target is not None and self.resume and checkpoint_of(target).exists():
            state = read_checkpoint(checkpoint_of(target), ready.request)
        state, why = ready.loop(target).run(state)
        if state.step == 0:
            raise Cancelled("cancelled before the first step; nothing was learned")
        model = ready.model(state, why, "" if target is None else target.stem)
        if target is not None:
            _save(model, target, self.overwrite)
        return model


def _save(model: UNetModel, target: Path, overwrite: bool) -> None:
    """Write a model, and remove its checkpoint."""
    try:
        model.save(target, overwrite=overwrite)
    except OSError as error:
        kept = checkpoint_of(target)
        left = f"; {kept.name!r} is still there, with resume=True it goes on from it" if kept.exists() else ""
        raise NotSaved(f"the model is trained, and {error}{left}", model) from error
    checkpoint_of(target).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, eq=False)
class _Ready:
    """A training whose grey levels are measured."""

    plan: UNetPlan
    run: Run
    pairs: tuple[Pair, ...]
    grey: Sequence[tuple[GreyLevels, ...]]

    @classmethod
    def of(cls, plan: UNetPlan, run: Run) -> _Ready:
        grey = measured(plan.pairs)
        pairs = tuple(p.scaled([c.scaling for c in g]) for p, g in zip(plan.pairs, grey, strict=True))
        if (share := min(c.share for g in grey for c in g)) < 1:
            note(grey_levels=f"mean and standard deviation of {share:.2%} of the largest image, in random blocks")
        return cls(plan, run, pairs, grey)

    @property
    def request(self) -> dict[str, Any]:
        """What was asked for, and on what: a run that goes on must have been asked for the same."""
        plan = self.plan
        return {
            **{k: v for k, v in plan.as_dict().items() if k not in ("images", "memory", "warnings")},
            "images": [
                {"name": name, "shape": list(shape), "annotation": known, "channels": [c.contents for c in grey]}
                for name, shape, known, grey in zip(plan.names, plan.shapes, plan.contents, self.grey, strict=True)
            ],
        }

    def loop(self, folder: Path | None) -> Loop:
        """Return what learns."""
        plan, run, settings = self.plan, self.run, self.plan.settings
        flat = len(plan.patch) - plan.architecture.ndim
        learned = Patches.of(self.pairs, plan.cells.chosen(~plan.held), plan.targets, plan.patch)
        checked = Patches.of(self.pairs, plan.cells.chosen(plan.held), plan.targets, plan.patch)
        device = torch_device(run.device)

        def batch(step: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
            return _flat(learned.batch(settings.batch_size, [settings.seed, 3, step]), flat)

        return Loop(
            plan.architecture,
            settings,
            plan.head,
            batch,
            [_flat((i[None], t[None]), flat) for i, t in checked.covering(MOST_HELD_OUT, settings.seed)],
            np.asarray(self._class_weights(learned), np.float32),
            device,
            _part(plan, device),
            plan.spacing,
            run.started,
            math.inf if run.max_minutes is None else 60 * run.max_minutes,
            None if folder is None else partial(self._keep, checkpoint_of(folder)),
            None if run.example is None else self._example(),
            run.on_report,
            run.on_step,
        )

    def _class_weights(self, learned: Patches) -> list[float]:
        """Return how much a voxel of each class counts."""
        if self.plan.head == "classes":
            return class_weights(self.plan.counts)
        _, drawn = learned.batch(DRAWN, [self.plan.settings.seed, 5])
        return class_weights(self.plan.targets.weighed(drawn))

    def _keep(self, path: Path, state: State) -> None:
        write_checkpoint(path, state, self.request)

    def _example(self) -> Callable[[Mapping[str, NDArray[Any]]], NDArray[Any]]:
        """Return a function from weights to the labels of the example, scaled as the image that it is a part of."""
        channels = channels_in(self.run.example, self.plan.channel, self.plan.channel_axis)
        scalings = self.pairs[0].scalings if len(self.pairs) == 1 else None

        def labels(weights: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
            model = UNetModel(self.plan.architecture, weights, self.plan.classes, self.plan.head)
            return to_numpy(labels_of(model, channels, self.run.device, scalings))

        return labels

    def model(self, state: State, why: str, name: str) -> UNetModel:
        """Return what was trained, with how it came about."""
        told = {
            **self.request,
            "warnings": list(self.plan.warnings),
            "grey_levels_read": min(c.share for g in self.grey for c in g),
            "steps": state.step,
            "planned_steps": state.n_steps,
            "stopped": why,
            "dice": None if state.best_dice < 0 else round(state.best_dice, 6),
            "seconds": round(state.seconds, 2),
            "parts_of_batches": state.part or self.plan.settings.batch_size,
            "versions": {name: metadata.version(name) for name in ("napari-cutout", "torch")},
            "history": state.history,
        }
        plan = self.plan
        return UNetModel(plan.architecture, dict(state.best), plan.classes, plan.head, plan.spacing, told, name)


def _part(plan: UNetPlan, device: Any) -> int:
    """Return how many patches of a batch fit into host memory, 0 if all: the system ends a program that takes more."""
    if device.type != "cpu":
        return 0
    one = plan.architecture.train_bytes(math.prod(plan.settings.patch))
    fits = free_bytes(device) // max(one, 1)
    return 0 if fits >= plan.settings.batch_size else max(int(fits), 1)


def _flat(batch: tuple[NDArray[Any], NDArray[Any]], n: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Leave out `n` axes of one plane, which a network of planes does not have."""
    image, target = batch
    return (
        image.reshape(*image.shape[:2], *image.shape[2 + n :]),
        target.reshape(target.shape[0], *target.shape[1 + n :]),
    )
