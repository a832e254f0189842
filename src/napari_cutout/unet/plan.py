"""`unet_plan`: what a training would learn, of what, with what network, before anything is learned."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .._monitor import stage
from ._inputs import inputs_of
from ._pairs import Annotated, Cells, Pair, annotated_in, split
from ._settings import Augmentation, Schedule, TrainSettings
from ._targets import Targets, targets_of
from .architecture import Architecture, Normalisation, architecture_for
from .trained import Head

if TYPE_CHECKING:
    from .trained import UNetModel

__all__ = ["UNetPlan", "unet_plan"]

PATCH = {2: 16384, 3: 64000}
"""Voxels of a patch: 128 x 128, or 40 x 40 x 40."""

BATCH = {2: 8, 3: 4}

FEW_VOXELS = 100
"""Annotated voxels of a class below which it is hardly learned."""


@dataclass(frozen=True, slots=True, eq=False)
class UNetPlan:
    """What a training would learn, of what, with what network.

    Parameters
    ----------
    architecture : Architecture
        Of the network: its receptive field and how many numbers it has.
    settings : TrainSettings
        How it is trained.
    spacing : tuple of float or None
        World length of a voxel along each axis that the network sees.
    ignore : int or None
        The value that means *not annotated*.
    channel, channel_axis : int or None
        Which channel of images is learned from, and which axis of arrays counts them.
    names : tuple of str
        What the images are called.
    shapes : tuple of tuple of int
        Voxels of each along each axis, without channels.
    held_out : tuple of int
        Annotated voxels of each class that are validated on; all 0 if nothing is.
    validation : str
        What is held out, or why nothing is.
    warnings : tuple of str
        What somebody may not have meant.
    pairs : tuple of Pair
        The images with their annotations.
    targets : Targets
        What labels mean.
    cells : Cells
        Where something is annotated.
    held : bool array
        Which cells are validated on.
    contents : tuple of str
        By what the annotations are known again.
    """

    architecture: Architecture
    settings: TrainSettings
    spacing: tuple[float, ...] | None
    ignore: int | None
    channel: int | None
    channel_axis: int | None
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    held_out: tuple[int, ...]
    validation: str
    warnings: tuple[str, ...]
    pairs: tuple[Pair, ...]
    targets: Targets
    cells: Cells
    held: NDArray[np.bool_]
    contents: tuple[str, ...]

    @property
    def head(self) -> Head:
        """What the network will say of a voxel."""
        return self.targets.head

    @property
    def classes(self) -> tuple[int, ...]:
        """The label of each class; (0, 1) for heads that tell objects apart."""
        return self.targets.classes

    @property
    def counts(self) -> tuple[int, ...]:
        """Annotated voxels of each class; of background and of objects for heads that tell objects apart."""
        return self.targets.counts

    @property
    def n_voxels(self) -> int:
        """Voxels of all images."""
        return sum(map(math.prod, self.shapes))

    @property
    def memory(self) -> int:
        """About how many bytes training takes beside the images."""
        return self.architecture.train_bytes(self.settings.batch_size * math.prod(self.settings.patch))

    @property
    def patch(self) -> tuple[int, ...]:
        """Voxels of a patch along each axis of the images; 1 across planes that are learned one by one."""
        return (1,) * (len(self.shapes[0]) - self.architecture.ndim) + self.settings.patch

    def lines(self) -> list[str]:
        """Return what somebody should read before training."""
        a, n = self.architecture, len(self.names)
        voxels = ", ".join(f"{label}: {count:,}" for label, count in zip(self.classes, self.counts, strict=True))
        share = sum(self.counts) / self.n_voxels
        return [
            f"{n} image{'s' if n > 1 else ''} of {_times(self.shapes[0])} voxels"
            + (f" and other sizes, {self.n_voxels:,} voxels in all" if len(set(self.shapes)) > 1 else ""),
            f"{a.n_channels} channel{'s' if a.n_channels > 1 else ''}, {share:.3g} of the voxels annotated ({voxels})",
            f"validation: {self.validation}",
            f"{a.ndim}-D U-Net of depth {a.depth}, {a.n_parameters:,} parameters, each voxel sees "
            f"{_times(a.receptive_field)}",
            f"batches of {self.settings.batch_size} patches of {_times(self.settings.patch)} voxels, at most "
            f"{self.settings.n_steps:,} of them; about {self.memory / 1e9:.2g} GB",
            *(f"note: {warning}" for warning in self.warnings),
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "architecture": self.architecture.as_dict(),
            "receptive_field": list(self.architecture.receptive_field),
            "n_parameters": self.architecture.n_parameters,
            "memory": self.memory,
            "settings": self.settings.as_dict(),
            "head": self.head,
            "ignore": self.ignore,
            "background": self.targets.background,
            "channel": self.channel,
            "spacing": None if self.spacing is None else list(self.spacing),
            "classes": list(self.classes),
            "counts": list(self.counts),
            "images": [{"name": n, "shape": list(s)} for n, s in zip(self.names, self.shapes, strict=True)],
            "held_out": list(self.held_out),
            "validation": self.validation,
            "warnings": list(self.warnings),
        }

    def train(
        self,
        folder: str | os.PathLike[str] | None = None,
        **run: Any,
    ) -> UNetModel:
        """Train as planned.

        Parameters
        ----------
        folder : str or path, optional
            Where to save the model.
        **run
            How it is run: `max_minutes` to `on_step` as in `unet_train`.

        Returns
        -------
        UNetModel
            As `unet_train` returns.
        """
        from .train import Run

        return Run(**run).train(self, folder)


def unet_plan(
    images: Any,
    annotations: Any,
    *,
    ignore: int | None = 0,
    head: Head = "classes",
    background: int | None = None,
    dimensions: Literal[2, 3] | None = None,
    channel: int | None = None,
    channel_axis: int | None = None,
    spacing: Sequence[float] | None = None,
    n_steps: int = 1500,
    depth: int | None = None,
    width: int = 16,
    normalisation: Normalisation = "batch",
    residual: bool = False,
    patch: Sequence[int] | None = None,
    batch_size: int | None = None,
    loss: str = "dice + cross-entropy",
    learning_rate: float = 5e-3,
    schedule: Schedule = "cosine",
    augment: Sequence[Augmentation] = get_args(Augmentation),
    validation: float = 0.2,
    patience: int = 10,
    seed: int = 0,
) -> UNetPlan:
    """Say what a training would learn, with what network and how much memory, before it begins.

    Parameters
    ----------
    images : array, Volume, path, or a list of these
        Images of shape ([Z,] Y, X), with channels where `channel_axis` says, of any real dtype: NumPy, CuPy, dask or
        Zarr; files as `read` takes them. A folder or a pattern such as ``"raw/*.tif"`` stands for all images in it.
        Time points of a file are images of their own.
    annotations : array, Volume, path, or a list of these
        One for each image, of its shape without channels: integers, a label for each class. Those of a folder belong
        to the images with the same names.
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
    channel : int, optional
        Which channel to learn from; all of them by default.
    channel_axis : int, optional
        The axis of arrays that counts channels; files and Volumes say it themselves.
    spacing : sequence of float, optional
        World length of a voxel along each axis, from which the kernels follow; by default what the first file says.
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
        ``"cross-entropy"``, ``"dice"`` or ``"focal"``, or several with ``+`` between them.
    learning_rate : float
        The largest one.
    schedule : {"cosine", "poly"}
        How it falls to 0.
    augment : sequence of str
        What patches go through: some of ``"flips"``, ``"rotations"``, ``"elastic"``, ``"intensity"``, ``"noise"``.
    validation : float
        Share of the annotated voxels that is held out: whole images if there are enough, else slices or small places.
    patience : int
        Validations without a better Dice after which it stops.
    seed : int
        Of everything that is random.

    Returns
    -------
    UNetPlan
        Its `lines` are to be read, its `train` does it. No grey level has been read, and torch is not needed.

    Raises
    ------
    ValueError
        If nothing or one class only is annotated, shapes differ, or a setting is out of range.
    TypeError
        If images or annotations have the wrong dtype, or are no images.
    FileNotFoundError
        If there is no such file.
    Cancelled
        If the caller that watches asked for it.

    Notes
    -----
    Every annotation is read once, chunk by chunk. Memory: one block of 16 million voxels, and about 60 bytes for each
    box of half a patch in which something is annotated. The same input gives the same plan.
    """
    if isinstance(augment, str):
        raise TypeError(f"augment must be several words, such as ({augment!r},), got {augment!r}")
    stage("opening images")
    inputs = inputs_of(images, annotations, channel, channel_axis, spacing)
    pairs = inputs.pairs
    ndim = _dimensions(dimensions, pairs)
    lengths = None if inputs.spacing is None else inputs.spacing[-ndim:]
    smallest = tuple(min(pair.shape[axis - ndim] for pair in pairs) for axis in range(ndim))

    def network(n_outputs: int) -> Architecture:
        return architecture_for(
            smallest, n_channels=len(pairs[0].channels), n_outputs=n_outputs, spacing=lengths,
            depth=depth, width=width, normalisation=normalisation, residual=residual,
        )  # fmt: skip

    shape = patch_for(network(2), pairs, patch)
    settings = TrainSettings(
        shape, BATCH[ndim] if batch_size is None else batch_size, n_steps, loss, learning_rate, schedule,
        augment=tuple(augment), validation=validation, patience=patience, seed=seed,
    )  # fmt: skip
    _check_values(network(2), settings)
    stage("reading annotations")
    flat = (1,) * (len(pairs[0].shape) - ndim)
    annotated = annotated_in(pairs, tuple(max(n // 2, 1) for n in (*flat, *shape)), ignore)
    targets = targets_of(annotated.counts, ignore, head, background=background, spacing=lengths)
    cells = annotated.cells(targets)
    held, what = split(cells, settings.validation, settings.seed, [pair.source for pair in pairs])
    held_out = tuple(cells.counts[held].sum(0).tolist())
    architecture = network(targets.n_outputs)
    return UNetPlan(
        architecture, settings, lengths, ignore, channel, channel_axis,
        tuple(p.name for p in pairs), tuple(p.shape for p in pairs), held_out,
        _validation(cells, targets, what, sum(held_out), settings.validation),
        (*inputs.warnings, *_warnings(pairs, cells, targets, architecture), *_few_planes(annotated, pairs, ndim)),
        pairs, targets, cells, held, annotated.contents,
    )  # fmt: skip


def _validation(cells: Cells, targets: Targets, what: str, n: int, asked: float) -> str:
    """Say what is held out, or why nothing is."""
    if what:
        return f"{what}, {n / cells.counts.sum():.0%} of the annotated voxels"
    if asked == 0:
        return "none, as was asked for"
    alone = [label for label, n in zip(targets.classes, (cells.counts > 0).sum(0), strict=True) if n == 1]
    why = f"class {alone[0]} is annotated in one place only" if alone else "no places leave every class on both sides"
    return f"none, because {why}; paint every class in several places"


def _warnings(pairs: Sequence[Pair], cells: Cells, targets: Targets, architecture: Architecture) -> tuple[str, ...]:
    """Return what somebody may not have meant."""
    found = [
        f"class {label} has {n} annotated voxel{'s' if n > 1 else ''}; paint more of it"
        for label, n in zip(targets.classes, targets.counts, strict=True)
        if n < FEW_VOXELS
    ]
    bare = [pair.name for number, pair in enumerate(pairs) if not (cells.pair == number).any()]
    if bare:
        found.append(f"nothing is annotated in {', '.join(bare[:3])}" + (" and others" if len(bare) > 3 else ""))
    if architecture.depth == 0:
        found.append("the images are so small that the network does not halve them, and sees little around a voxel")
    return tuple(found)


def _few_planes(annotated: Annotated, pairs: Sequence[Pair], ndim: int) -> tuple[str, ...]:
    """Say that planes would do, where somebody painted in some of them only."""
    n, most = sum(annotated.planes), sum(pair.shape[0] for pair in pairs)
    if ndim == 2 or 2 * n > most:
        return ()
    return (f"{n} of {most} planes are annotated; dimensions=2 learns planes one by one, which is quicker",)


def _dimensions(asked: int | None, pairs: Sequence[Pair]) -> int:
    n = len(pairs[0].shape)
    if asked is None:
        return n
    if asked not in (2, 3) or asked > n:
        raise ValueError(f"dimensions must be 2{' or 3' if n == 3 else ' for planes'}, got {asked!r}")
    return asked


def patch_for(architecture: Architecture, pairs: Sequence[Pair], patch: Sequence[int] | None) -> tuple[int, ...]:
    """Return the shape of patches: about as long as wide in the world, multiples of what the network needs.

    Raises
    ------
    ValueError
        If those that were asked for are not.
    """
    ndim = architecture.ndim
    if patch is not None:
        several = isinstance(patch, Sequence) and len(patch) == ndim
        if not several or any(n < 1 or n % m for n, m in zip(patch, architecture.multiple, strict=True)):
            raise ValueError(f"patch must be {ndim} multiples of {architecture.multiple}, got {patch!r}")
        return tuple(map(int, patch))
    edge = PATCH[ndim] ** (1 / ndim)
    found = []
    for axis, m in enumerate(architecture.multiple):
        longest = max(pair.shape[axis - ndim] for pair in pairs)
        wanted = min(edge * m / max(architecture.multiple), longest) if ndim == 3 else min(edge, longest)
        found.append(max(math.ceil(wanted / m) * m, m))
    return tuple(found)


def _check_values(architecture: Architecture, settings: TrainSettings) -> None:
    """Refuse patches of which the deepest level has one value, whose mean and spread say nothing."""
    n = math.prod(p // m for p, m in zip(settings.patch, architecture.multiple, strict=True))
    n *= settings.batch_size if architecture.normalisation == "batch" else 1
    if n == 1 and architecture.normalisation in ("batch", "instance"):
        raise ValueError(
            f"patches of {_times(settings.patch)} voxels in batches of {settings.batch_size} leave one value to "
            f"normalise at depth {architecture.depth}; choose a larger patch, a smaller depth or normalisation='group'"
        )


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
