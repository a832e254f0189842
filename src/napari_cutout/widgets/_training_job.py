"""From layers and what a form says to a training: what is read, what is shown meanwhile, where it goes.  No Qt."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._array import is_lazy
from .._device import Asked
from .._method import Param, Role
from .._monitor import watch
from . import _layers
from ._channels import Channels
from ._points import copy_of_labels
from ._preview_layer import lies_on
from ._request import Form, check_labels_layer
from ._score_layers import painted
from ._target import Target

__all__ = [
    "SLICES",
    "Closed",
    "Example",
    "PairOfLayers",
    "Read",
    "TrainingJob",
    "Unpainted",
    "example_of",
    "guess_of",
    "plan_of",
    "read",
    "time_left",
]

Layer = Any
"""A napari layer."""

Unpainted = Literal["background", "not annotated", "background in painted slices"]
"""What label 0 of an annotation means; the last is for volumes of which some slices are annotated completely."""

SLICES: Unpainted = "background in painted slices"

IGNORED: Mapping[Unpainted, int | None] = {"background": None, "not annotated": 0, SLICES: -1}
"""The value of an annotation, as it is read, from which nothing is learned."""

ANNOTATION = Param("annotation", None, None, Role("labels"))
"""What errors call the layer that was painted on."""

EXAMPLE_EDGE = {2: 512, 3: 128}
"""Voxels along y and x that an example has at most; it is computed again and again while a network learns."""

EXAMPLE_SLICES = 24
"""Slices of an example that is a volume."""


class Closed(Exception):
    """The widget was closed: the training stops where it is, and its last checkpoint stays."""


@dataclass(frozen=True, slots=True, eq=False)
class PairOfLayers:
    """An image and what was painted on it.

    Parameters
    ----------
    form : Form
        The image layer, its axes and channels; its method and its region are of no account.
    annotation : napari Labels layer
        What was painted.
    """

    form: Form
    annotation: Layer

    @property
    def image(self) -> Layer:
        """The layer of the image."""
        return self.form.source

    @property
    def name(self) -> str:
        """Such as ``"cells · strokes"``."""
        return f"{self.image.name} · {self.annotation.name}"

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers that it needs."""
        return (self.image, *self.form.channels[1:], self.annotation)

    def is_of(self, image: Layer, annotation: Layer) -> bool:
        """Tell whether it is of these layers."""
        return self.image is image and self.annotation is annotation

    @property
    def target(self) -> Target:
        """What is learned from: the whole image, frame by frame if it is a time series.

        Raises
        ------
        ValueError
            If the axes are not named yet, or the annotation does not lie on the image.
        TypeError
            If the annotation does not hold whole numbers.
        """
        choice = replace(self.form.choice, depth="together", time="each" if "t" in self.form.choice.letters else "")
        aim = replace(self.form, extent=None).target_of(choice)
        check_labels_layer(ANNOTATION, self.annotation, self.image, aim)
        return aim

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """World length of a voxel along the axes of space; None if nobody has set it."""
        letters = self.form.choice.letters
        at = [n for n, axis in enumerate(letters) if axis in "zyx"]
        if _layers.has_voxel_size(self.image, at):
            return self.target.run_spacing
        given = self.form.voxel_size
        return given.lengths if given is not None and len(given.lengths) == len(at) else None


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """What was read of layers.

    Parameters
    ----------
    images, annotations : list of arrays
        One for each image, or for each frame of a time series: in memory, or of dask.
    options : mapping
        What follows from the layers: the axis of channels, the spacing and the value that is not annotated.
    """

    images: list[Any]
    annotations: list[Any]
    options: Mapping[str, Any]


def read(pairs: Sequence[PairOfLayers], unpainted: Unpainted) -> Read:
    """Read layers as they are now; what can be painted on is copied, and what is not in memory is not computed.

    Parameters
    ----------
    pairs : sequence of PairOfLayers
        At least one.
    unpainted : {"background", "not annotated", "background in painted slices"}
        What label 0 means. Frames without labels are left out unless it is background everywhere.

    Returns
    -------
    Read
        Arrays that a training takes.

    Raises
    ------
    ValueError, TypeError
        If an annotation does not fit, or images differ in what they are; the sentence says which.
    """
    images, annotations, seen = [], [], {}
    for pair in pairs:
        aim = pair.target
        chosen = aim.selection
        options = {"channel_axis": chosen.channel_axis, "spacing": pair.spacing, "ignore": IGNORED[unpainted]}
        facts = (chosen.run_axes, chosen.n_channels(tuple(aim.array.shape)), options["channel_axis"], pair.spacing)
        seen[facts] = pair
        if len(seen) > 1:
            raise ValueError(_differing(*seen.items()))
        array, labels = _readable(aim.array), _readable(copy_of_labels(pair.annotation, aim))
        for part in chosen.parts(tuple(aim.array.shape)):
            of_part = labels[part]
            if unpainted == "background" or not isinstance(of_part, np.ndarray) or of_part.any():
                images.append(chosen.cut(array, part))
                annotations.append(_by_slices(of_part) if unpainted == SLICES else of_part)
    if not images:
        raise ValueError(
            f"nothing is painted on '{pairs[0].annotation.name}'; paint a few strokes of two labels or more"
        )
    return Read(images, annotations, options)


def _by_slices(labels: Any) -> Any:
    """Return labels that are -1 in slices without any paint."""
    if not isinstance(labels, np.ndarray):
        raise ValueError(
            "unpainted: slices without paint are looked for in memory, and the annotation is not there; say whether "
            "unpainted is background or not annotated"
        )
    painted = labels.any(axis=tuple(range(1, labels.ndim)), keepdims=True)
    return np.where(painted, labels, -1).astype(np.int32)


def _differing(first: tuple[Any, PairOfLayers], other: tuple[Any, PairOfLayers]) -> str:
    """Say what of two images is not the same, which one network cannot learn from."""
    words = ("axes", "channels", "axis of channels", "voxel size")
    at = next(n for n, (a, b) in enumerate(zip(first[0], other[0], strict=True)) if a != b)
    return (
        f"image '{other[1].image.name}' has the {words[at]} {other[0][at]}, and '{first[1].image.name}' "
        f"{first[0][at]}; images of one training must be alike: remove one from the list"
    )


def _readable(array: Any) -> Any:
    """Return an array that parts are cut out of without reading it: NumPy as it is, all else as dask."""
    held = array.as_input() if isinstance(array, Channels) else array
    if isinstance(held, np.ndarray | Channels) or is_lazy(held):
        return held
    import dask.array as da

    return da.from_array(held)


def guess_of(annotation: Layer, *, volume: bool) -> tuple[Unpainted, str]:
    """Guess what label 0 of an annotation means, from what is painted now.

    Parameters
    ----------
    annotation : napari Labels layer
        What was painted.
    volume : bool
        Whether its third axis from the end is one of slices.

    Returns
    -------
    guess : str
        Strokes of several labels say that the rest is not annotated; one label in some of the slices, that these are
        annotated completely; anything else, that all is.
    words : str
        How much is painted, as far as that was looked at.
    """
    found = painted(annotation)
    if found is None:
        return "not annotated", "not looked at: large"
    words = f"{100 * found.share:.3g} % painted, {found.n_labels} label{'' if found.n_labels == 1 else 's'}"
    labels = _layers.level_zero(annotation)
    if found.guess == "background" and volume and found.n_labels and isinstance(labels, np.ndarray):
        slices: NDArray[np.bool_] = np.any(labels, axis=tuple(at for at in range(labels.ndim) if at != labels.ndim - 3))
        if not slices.all():
            return SLICES, f"{words}, in {np.count_nonzero(slices)} of {len(slices)} slices"
    return found.guess, words


# While it learns --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A part of an image that is labelled again and again, so that one sees what is learned.

    Parameters
    ----------
    image : array
        As a training takes it, with channels.
    place : mapping
        Where labels of it lie, as arguments of a layer.
    source : napari layer
        The image that they lie on.
    axes : int
        Axes of its labels in the viewer; those that it lacks come first and have one voxel.
    """

    image: Any
    place: Mapping[str, Any]
    source: Layer
    axes: int

    def as_layer(self, labels: Any) -> Any:
        """Return labels with the axes of the layer."""
        return labels.reshape((1,) * (self.axes - labels.ndim) + labels.shape)


def example_of(pair: PairOfLayers, point: Sequence[int], *, flat: bool) -> Example | None:
    """Return what is shown of an image, no larger than can be labelled in a moment.

    Parameters
    ----------
    pair : PairOfLayers
        Which image.
    point : sequence of int
        Index of what is shown along every axis but c, at full resolution; in the middle along those in the picture.
    flat : bool
        Whether planes are learned.

    Returns
    -------
    Example or None
        None if its labels would lie between the channels of a layer, where there is no place for them.
    """
    aim = pair.target
    chosen = aim.selection
    if aim.spread is not None:
        return None
    kept, shape = chosen.kept_axes, chosen.shape(tuple(aim.array.shape))
    volume = "z" in kept and not flat
    most = dict.fromkeys("yx", EXAMPLE_EDGE[3 if volume else 2]) | {"z": EXAMPLE_SLICES if volume else 1, "t": 1}
    part: list[Any] = []
    for axis, n, at, f in zip(kept, shape, point, aim.factor, strict=True):
        edge = min(most[axis], n)
        first = min(max(int(at / f) - edge // 2, 0), n - edge)
        part.append(slice(first, first + edge))
    start = [s.start for s in part]
    cut = [s.start if axis == "t" else s for axis, s in zip(kept, part, strict=True)]
    image = chosen.cut(_readable(aim.array), cut)
    return Example(
        image, lies_on(_layers.placement(pair.image, _kept(pair)), start, aim.factor, None), pair.image, len(kept)
    )


def _kept(pair: PairOfLayers) -> list[int]:
    """Return the axes of the layer that are no channels."""
    return [at for at, axis in enumerate(pair.form.choice.letters) if axis != "c"]


def plan_of(pairs: Sequence[PairOfLayers], unpainted: Unpainted, settings: Mapping[str, Any]) -> Callable[..., Any]:
    """Return work that says what a training would be, of layers as they are now.

    Parameters
    ----------
    pairs : sequence of PairOfLayers
        At least one.
    unpainted : str
        As `read` takes it.
    settings : mapping
        What the form says beside that, as `unet_plan` takes it.

    Returns
    -------
    callable
        Takes on_progress and is_cancelled, and returns a `UNetPlan`; call it in a thread.

    Raises
    ------
    ValueError, TypeError
        As `read`.
    """
    found = read(pairs, unpainted)

    def work(on_progress: Callable[[str, float], None], is_cancelled: Callable[[], bool]) -> Any:
        from ..unet.plan import unet_plan

        with watch(on_progress, is_cancelled):
            return unet_plan(found.images, found.annotations, **found.options, **settings)

    return work


@dataclass(frozen=True, slots=True, eq=False)
class TrainingJob:
    """A training that was asked for: layers were read when Train was pressed.

    Parameters
    ----------
    read : Read
        What to learn from.
    settings : mapping
        What the form says, as `unet_train` takes it.
    device : {"auto", "cpu", "gpu"}
        Where to train.
    folder : Path
        Where the model will be.
    resume : bool
        Whether to go on from the checkpoint that is there.
    example : Example, optional
        What to label after every validation.
    """

    read: Read
    settings: Mapping[str, Any]
    device: Asked
    folder: Path
    resume: bool = False
    example: Example | None = None

    def run(
        self,
        on_step: Callable[[int, int, float], None],
        on_report: Callable[[Any], None],
        on_progress: Callable[[str, float], None],
        is_cancelled: Callable[[], bool],
    ) -> Path:
        """Train and save the model; call it in a thread of its own.

        Parameters
        ----------
        on_step, on_report : callable
            As `unet_train` calls them.
        on_progress : callable
            Called with a stage and the fraction of it that is done.
        is_cancelled : callable
            Polled between batches; if it returns True, the best so far is saved.

        Returns
        -------
        Path
            The folder of the model.

        Raises
        ------
        Cancelled
            If it was cancelled before anything was learned.
        """
        from ..unet.train import unet_train

        self.folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            with watch(_Countdown(on_progress), is_cancelled):
                unet_train(
                    self.read.images,
                    self.read.annotations,
                    folder=self.folder,
                    resume=self.resume,
                    device=self.device,
                    example=None if self.example is None else self.example.image,
                    on_step=on_step,
                    on_report=on_report,
                    **self.read.options,
                    **self.settings,
                )
        finally:
            _hand_back()
        return self.folder


def _hand_back() -> None:
    """Give memory of a GPU back that torch holds on to, so that CuPy can have it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


@dataclass(slots=True)
class _Countdown:
    """Says how much time is left, from how long it took to get this far."""

    tell: Callable[[str, float], None]
    since: dict[str, tuple[float, float]] = field(default_factory=dict)

    def __call__(self, stage: str, fraction: float) -> None:
        now = time.monotonic()
        start, first = self.since.setdefault(stage, (now, fraction))
        left = time_left(now - start, first, fraction)
        self.tell(f"{stage}, {left}" if left and stage == "training" else stage, fraction)


def time_left(seconds: float, first: float, fraction: float) -> str:
    """Say how long something may take still.

    Parameters
    ----------
    seconds : float
        How long it took so far.
    first, fraction : float
        Which fraction of it was done at the start, and is done now.

    Returns
    -------
    str
        Such as ``"at most 3 min left"``; empty while too little is done to tell.
    """
    if fraction - first < 0.02 or seconds <= 0:
        return ""
    left = seconds * (1 - fraction) / (fraction - first)
    if left < 60:
        return f"at most {max(5 * round(left / 5), 5)} s left"
    return f"at most {round(left / 60)} min left" if left < 5400 else f"at most {left / 3600:.1f} h left"
