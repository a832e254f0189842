"""The loop that learns: batch after batch, validated, kept on disk, and able to go on where it was killed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._monitor import Cancelled, stage, tick
from ._backend import load_weights, weights_of
from ._heads import counts_of, loss_of
from ._settings import TrainSettings
from ._torch import deterministic, import_torch
from .architecture import Architecture
from .augmentation import augmented
from .model import network
from .trained import Head

__all__ = ["Loop", "Report", "State"]

Batch = tuple[NDArray[np.float32], NDArray[np.int64]]

PROBE = 8
"""Steps after which it is known how many fit into the time that is given."""


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What is known after a validation.

    Parameters
    ----------
    step, n_steps : int
        Batches learned from, and how many there will be.
    loss : float
        Mean loss of the batches since the last report.
    validation_loss : float
        Loss of what is held out; NaN if nothing is.
    dice : tuple of float
        Dice of each class on what is held out; NaN of a class that is neither there nor predicted.
    best : bool
        True if no Dice was better so far.
    seconds : float
        Since the start.
    example : labels, optional
        What it says now of the example that was given.
    """

    step: int
    n_steps: int
    loss: float
    validation_loss: float
    dice: tuple[float, ...]
    best: bool
    seconds: float
    example: NDArray[Any] | None = None

    @property
    def mean_dice(self) -> float:
        """Mean Dice of the classes that have one."""
        there = [d for d in self.dice if not math.isnan(d)]
        return sum(there) / len(there) if there else math.nan

    def as_dict(self) -> dict[str, Any]:
        """Return its numbers as plain JSON, None for NaN."""

        def plain(value: float) -> float | None:
            return None if math.isnan(value) else round(value, 6)

        return {
            "step": self.step,
            "loss": plain(self.loss),
            "validation_loss": plain(self.validation_loss),
            "dice": [plain(d) for d in self.dice],
            "seconds": round(self.seconds, 3),
        }


@dataclass(slots=True, eq=False)
class State:
    """Where a training is; all that is needed to go on.

    Parameters
    ----------
    step : int
        Batches learned from.
    n_steps : int
        How many there will be; fewer than asked for where time is short.
    weights, optimizer : mapping of str to array
        The network now, and what AdamW remembers.
    best : mapping of str to array
        The network at its best.
    best_dice : float
        Its mean Dice; -1 before the first validation.
    waited : int
        Validations since then.
    history : list of dict
        All reports.
    seconds : float
        Time that it has taken.
    losses : list of float
        Of the batches since the last report.
    """

    step: int = 0
    n_steps: int = 0
    weights: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    optimizer: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    best: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    best_dice: float = -1.0
    waited: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Loop:
    """Learns from batches.

    Parameters
    ----------
    architecture : Architecture
        Of the network.
    settings : TrainSettings
        What was asked for.
    batch : callable
        ``batch(step) -> image, target``; the same step gives the same batch.
    held_out : sequence of batches
        What is validated on; may be empty.
    weights : float32 array or None
        How much a voxel of each class counts.
    device : torch device
        Where to learn.
    spacing : sequence of float, optional
        World length of a voxel along each axis of a patch.
    on_report : callable, optional
        Told a `Report` after each validation.
    keep : callable, optional
        ``keep(state)`` writes a checkpoint.
    example : callable, optional
        ``example(network) -> labels``.
    max_seconds : float, optional
        Time that it may take.
    head : {"classes", "boundary", "distance"}
        What the network says.
    """

    architecture: Architecture
    settings: TrainSettings
    batch: Callable[[int], Batch]
    held_out: Sequence[Batch]
    class_weights: NDArray[np.float32] | None
    device: Any
    spacing: Sequence[float] | None = None
    on_report: Callable[[Report], None] | None = None
    keep: Callable[[State], None] | None = None
    example: Callable[[Any], NDArray[Any]] | None = None
    max_seconds: float = math.inf
    head: Head = "classes"

    def run(self, state: State) -> tuple[State, str]:
        """Learn until it is enough, and return where it got to and why it stopped."""
        with deterministic():
            return _Running(self, state).run()


class _Running:
    """A loop with its network on the device."""

    def __init__(self, loop: Loop, state: State) -> None:
        self.torch = torch = import_torch()
        self.loop, self.state, self.settings = loop, state, loop.settings
        self.device = loop.device
        net = network(loop.architecture, seed=loop.settings.seed)
        if state.weights:
            load_weights(net, state.weights)
        layout = torch.channels_last if loop.architecture.ndim == 2 else torch.channels_last_3d
        self.net = net.to(self.device, memory_format=layout)
        self.layout = layout
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=loop.settings.learning_rate, weight_decay=loop.settings.weight_decay
        )
        if state.optimizer:
            _load_optimizer(self.optimizer, state)
        self.loss = loss_of(loop.head, loop.settings.loss)
        self.class_weights = None
        if loop.class_weights is not None:
            self.class_weights = torch.from_numpy(loop.class_weights).to(self.device)
        self.mixed = self.device.type == "cuda"
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.mixed)
        self.state.n_steps = state.n_steps or self.settings.n_steps
        self.started = time.perf_counter() - state.seconds
        self.first = state.step

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started

    def run(self) -> tuple[State, str]:
        why = "all steps"
        stage("training")
        try:
            for image, target in self._batches():
                tick(self.state.step, self.state.n_steps)
                self._learn(image, target)
                self._fit_into_time()
                late = self.seconds > self.loop.max_seconds
                if self.state.step % self.settings.every == 0 or self.state.step >= self.state.n_steps or late:
                    self._validate()
                    if self.state.waited >= self.settings.patience:
                        why = f"no better Dice in {self.settings.patience} validations"
                        break
                if late:
                    why = "the time was up"
                    break
        except Cancelled:
            why = "cancelled"
        return self._finished(), why

    def _batches(self) -> Iterator[Batch]:
        """Yield batches, the next one being read while this one is learned from."""
        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(self.loop.batch, self.state.step)
            while self.state.step < self.state.n_steps:
                batch = ahead.result()
                ahead = pool.submit(self.loop.batch, self.state.step + 1)
                yield batch

    def _learn(self, image: NDArray[np.float32], target: NDArray[np.int64]) -> None:
        torch, settings, step = self.torch, self.settings, self.state.step
        self.net.train()
        x, y = torch.from_numpy(image).to(self.device), torch.from_numpy(target).to(self.device)
        x, y = augmented(x, y, settings.augment, [settings.seed, 4, step], spacing=self.loop.spacing)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.rate(step, self.state.n_steps)
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.float16, enabled=self.mixed):
            said = self.net(x.contiguous(memory_format=self.layout))
        loss = self.loss(said, y, self.class_weights)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.state.losses.append(float(loss.detach()))
        self.state.step += 1

    def _fit_into_time(self) -> None:
        """After a few steps, plan for as many as time allows, so that the learning rate has fallen by then."""
        if self.state.step != self.first + PROBE or not math.isfinite(self.loop.max_seconds) or self.first:
            return
        each = self.seconds / PROBE
        fits = int(0.9 * self.loop.max_seconds / max(each, 1e-9))
        self.state.n_steps = max(min(self.state.n_steps, fits), self.state.step + 1)

    def _validate(self) -> None:
        state = self.state
        loss, dice = self._held_out()
        mean = [d for d in dice if not math.isnan(d)]
        score = sum(mean) / len(mean) if mean else math.nan
        best = math.isnan(score) or score > state.best_dice
        if best:
            state.best, state.waited = weights_of(self.net), 0
            state.best_dice = state.best_dice if math.isnan(score) else score
        else:
            state.waited += 1
        state.seconds = self.seconds
        example = None if self.loop.example is None else self.loop.example(self.net)
        report = Report(
            state.step,
            state.n_steps,
            float(np.mean(state.losses or [math.nan])),
            loss,
            dice,
            best,
            state.seconds,
            example,
        )
        state.losses = []
        state.history.append(report.as_dict())
        if self.loop.keep is not None:
            self.loop.keep(self._now())
        if self.loop.on_report is not None:
            self.loop.on_report(report)

    def _held_out(self) -> tuple[float, tuple[float, ...]]:
        """Return loss and Dice of each class on what is held out."""
        torch = self.torch
        if not self.loop.held_out:
            return math.nan, ()
        self.net.eval()
        counts, losses = np.zeros((3, self.loop.architecture.n_outputs), np.int64), []
        with torch.inference_mode():
            for image, target in self.loop.held_out:
                x = torch.from_numpy(image).to(self.device).contiguous(memory_format=self.layout)
                y = torch.from_numpy(target).to(self.device)
                with torch.autocast(self.device.type, torch.float16, enabled=self.mixed):
                    said = self.net(x)
                losses.append(float(self.loss(said, y, self.class_weights)))
                counts += counts_of(self.loop.head, said.float(), y)
        both, predicted, annotated = counts
        dice = [2 * b / (p + a) if p + a else math.nan for b, p, a in zip(both, predicted, annotated, strict=True)]
        return float(np.mean(losses)), tuple(map(float, dice))

    def _now(self) -> State:
        self.state.weights = weights_of(self.net)
        self.state.optimizer = _optimizer_arrays(self.optimizer)
        self.state.seconds = self.seconds
        return self.state

    def _finished(self) -> State:
        state = self._now()
        if not state.best:
            state.best = state.weights
        return state


def _optimizer_arrays(optimizer: Any) -> dict[str, NDArray[Any]]:
    """Return what AdamW remembers of each parameter, by number and name."""
    states = optimizer.state_dict()["state"]
    return {
        f"{number}.{name}": value.detach().cpu().numpy().copy()
        for number, values in states.items()
        for name, value in values.items()
    }


def _load_optimizer(optimizer: Any, state: State) -> None:
    torch = import_torch()
    whole = optimizer.state_dict()
    found: dict[int, dict[str, Any]] = {}
    for key, value in state.optimizer.items():
        number, _, name = key.partition(".")
        found.setdefault(int(number), {})[name] = torch.from_numpy(np.array(value))
    whole["state"] = found
    optimizer.load_state_dict(whole)
