"""A training that was asked for: what it shows meanwhile, how it is stopped, and where its model goes.  No Qt."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._device import Asked
from .._monitor import Cancelled, watch
from . import _layers
from ._histogram_plot import preload
from ._model_files import training_at
from ._preview_layer import lies_on
from ._training_layers import PairOfLayers, Read, readable
from ._worker import Work

__all__ = ["Closed", "Example", "TrainingJob", "example_of", "time_left", "work_of"]

Layer = Any
"""A napari layer."""

EXAMPLE_EDGE = {2: 512, 3: 128}
"""Voxels along y and x that an example has at most; it is computed again and again while a network learns."""

EXAMPLE_SLICES = 24
"""Slices of an example that is a volume."""


TOLD_EVERY = 0.2
"""Seconds between two looks at the losses of batches."""


class Closed(Exception):
    """The widget was closed: the training stops where it is, and its last checkpoint stays."""


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
    image = chosen.cut(readable(aim.array), cut)
    return Example(
        image, lies_on(_layers.placement(pair.image, _kept(pair)), start, aim.factor, None), pair.image, len(kept)
    )


def _kept(pair: PairOfLayers) -> list[int]:
    """Return the axes of the layer that are no channels."""
    return [at for at, axis in enumerate(pair.form.choice.letters) if axis != "c"]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingJob:
    """A training that was asked for: layers were read when Train was pressed.

    Parameters
    ----------
    read : Read
        What to learn from.
    settings : mapping
        What the form says, as `unet_plan` takes it.
    minutes : float
        How long it may take.
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
    minutes: float
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
            with training_at(self.folder), watch(_Countdown(on_progress), is_cancelled):
                unet_train(
                    self.read.images,
                    self.read.annotations,
                    folder=self.folder,
                    resume=self.resume,
                    max_minutes=self.minutes,
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


def work_of(job: TrainingJob, stepped: Any, reported: Any, closing: threading.Event) -> Work:
    """Return the training as work for a bar; what it tells goes through signals, until the widget is closed."""

    def work(on_progress: Callable[[str, float], None], is_cancelled: Callable[[], bool]) -> Path:
        preload()
        batches: list[tuple[int, float]] = []
        last = [time.monotonic()]

        def on_step(step: int, n_steps: int, loss: float) -> None:
            batches.append((step, loss))
            if (now := time.monotonic()) - last[0] > TOLD_EVERY:
                last[0] = now
                _tell(stepped, tuple(batches), n_steps)
                batches.clear()

        def on_report(report: Any) -> None:
            _tell(stepped, tuple(batches), report.n_steps)
            batches.clear()
            _tell(reported, report)

        def stopped() -> bool:
            if closing.is_set():
                raise Closed
            return is_cancelled()

        try:
            return job.run(on_step, on_report, on_progress, stopped)
        except Closed:
            raise Cancelled("the widget was closed; its last checkpoint can be continued") from None

    return work


def _tell(signal: Any, *facts: Any) -> None:
    """Tell the window, unless the widget is gone."""
    with suppress(RuntimeError):
        signal.emit(*facts)
