"""The loop that learns: batch after batch, validated, kept on disk, and able to go on where it was killed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._monitor import Cancelled, aside, note, stage, tick
from ._backend import load_weights, weights_of
from ._heads import counts_of, loss_of
from ._progress import Report, State
from ._settings import TrainSettings
from ._torch import deterministic, import_torch, release
from .architecture import Architecture
from .augmentation import augmented
from .model import network
from .trained import Head

__all__ = ["Loop", "Report", "State"]

Batch = tuple[NDArray[np.float32], NDArray[np.int64]]

PROBE = 8
"""Steps after which it is known how many fit into the time that is given."""

WARM_UP = 2
"""Steps that take longer than those after them, and are not timed."""

RESERVED = 0.1
"""Share of the time that is left for the last validation and for writing the model."""

MOMENTUM = 0.1
"""Share of a batch in the running mean and variance of batch normalisation."""

POLL = 0.1
"""Seconds after which somebody who waits for the disk looks whether to go on."""


@dataclass(slots=True, eq=False)
class Loop:
    """Learns from batches.

    Parameters
    ----------
    architecture : Architecture
        Of the network.
    settings : TrainSettings
        What was asked for.
    head : {"classes", "boundary", "distance"}
        What the network says.
    batch : callable
        ``batch(step) -> image, target``; the same step gives the same batch.
    held_out : sequence of batches
        What is validated on; may be empty.
    class_weights : float32 array
        How much a voxel of each class counts.
    device : torch device
        Where to learn.
    part : int
        Patches that fit into memory together; 0 is a batch.
    spacing : sequence of float, optional
        World length of a voxel along each axis of a patch.
    started : float
        When it was asked for, as `time.perf_counter` says.
    max_seconds : float
        Time that it may take since then.
    keep : callable, optional
        ``keep(state)`` writes a checkpoint.
    example : callable, optional
        ``example(weights) -> labels``.
    on_report : callable, optional
        Told a `Report` after each validation.
    on_step : callable, optional
        Told step, number of steps and loss after each batch.
    """

    architecture: Architecture
    settings: TrainSettings
    head: Head
    batch: Callable[[int], Batch]
    held_out: Sequence[Batch]
    class_weights: NDArray[np.float32]
    device: Any
    part: int = 0
    spacing: Sequence[float] | None = None
    started: float = field(default_factory=lambda: time.perf_counter())
    max_seconds: float = math.inf
    keep: Callable[[State], None] | None = None
    example: Callable[[Mapping[str, NDArray[Any]]], NDArray[Any]] | None = None
    on_report: Callable[[Report], None] | None = None
    on_step: Callable[[int, int, float], None] | None = None

    def run(self, state: State) -> tuple[State, str]:
        """Learn until it is enough, and return where it got to and why it stopped."""
        try:
            with deterministic():
                return _Running(self, state).run()
        finally:
            release(self.device)


class _Running:
    """A loop with its network on the device."""

    def __init__(self, loop: Loop, state: State) -> None:
        self.torch = torch = import_torch()
        self.loop, self.state, self.settings = loop, state, loop.settings
        self.layout = torch.channels_last if loop.architecture.ndim == 2 else torch.channels_last_3d
        net = network(loop.architecture, seed=loop.settings.seed)
        if state.weights:
            load_weights(net, state.weights)
        self.net = net.to(loop.device, memory_format=self.layout)
        self.averaging = [m for m in self.net.modules() if hasattr(m, "running_mean") and m.running_mean is not None]
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=loop.settings.learning_rate, weight_decay=loop.settings.weight_decay
        )
        if state.optimizer:
            _load_optimizer(self.optimizer, state)
        self.loss = loss_of(loop.head, loop.settings.loss)
        self.class_weights = torch.from_numpy(loop.class_weights).to(loop.device)
        self.mixed = loop.device.type == "cuda"
        self.scaler = torch.amp.GradScaler(loop.device.type, enabled=self.mixed)
        if state.scaler:
            self.scaler.load_state_dict(state.scaler)
        state.n_steps = state.n_steps or self.settings.n_steps
        state.part = state.part or loop.part
        self.started = loop.started - state.seconds
        self.first, self.timed_from, self.ready = state.step, state.step, time.perf_counter()
        self.probed = False
        self.losses: list[float] = []

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started

    @property
    def late(self) -> bool:
        return self.seconds >= self.loop.max_seconds

    def run(self) -> tuple[State, str]:
        stage("training")
        with ThreadPoolExecutor(1) as pool:  # the next batch is read while this one is learned from
            try:
                why = self._until_enough(pool)
            except (Cancelled, KeyboardInterrupt):
                why = "it was cancelled"
            pool.shutdown(cancel_futures=True)
        return self._finished(), why

    def _until_enough(self, pool: ThreadPoolExecutor) -> str:
        state = self.state
        of, ahead = state.step, pool.submit(self.loop.batch, state.step)
        while not (why := self._enough()):
            if of != state.step:  # there are more steps than were planned when the last batch was asked for
                of, ahead = state.step, pool.submit(self.loop.batch, state.step)
            batch = self._waited_for(ahead)
            if batch is not None:
                if state.step + 1 < state.n_steps:
                    of, ahead = state.step + 1, pool.submit(self.loop.batch, state.step + 1)
                self._learn(*batch)
                self._plan(last=False)
            if self._due():
                self._validate()
        return why

    def _enough(self) -> str:
        """Say why to stop; empty while there is no reason."""
        if self.state.step >= self.state.n_steps:
            return "all steps were done"
        if self.state.waited >= self.settings.patience:
            return f"Dice had not become better in {self.settings.patience} validations"
        return "the time was up" if self.late and self.state.step else ""

    def _waited_for(self, ahead: Future[Batch]) -> Batch | None:
        """Return a batch when it is read; None if time is up before."""
        tick(self.state.step, self.state.n_steps)
        while not wait([ahead], POLL).done:
            tick(self.state.step, self.state.n_steps)
            if self.late and self.state.step:
                return None
        return ahead.result()

    def _due(self) -> bool:
        """Tell whether to validate now: now and then, and at the end."""
        state = self.state
        last = state.history[-1]["step"] if state.history else 0
        at_end = state.step >= state.n_steps or self.late
        return state.step > last and (at_end or state.step - last >= self.settings.validate_every(state.n_steps))

    def _plan(self, last: bool) -> None:
        """Plan for as many steps as time allows, so that the learning rate has fallen by then.

        It is done after some steps, and for the last time at the first validation, when it is known what that takes: a
        checkpoint holds a plan that does not change any more.
        """
        state, most, done = self.state, self.loop.max_seconds, self.state.step - self.first
        if not math.isfinite(most) or state.planned or not done or (self.probed and not last):
            return
        if done == WARM_UP:  # the first steps compile and find room
            self.ready, self.timed_from = time.perf_counter(), self.state.step
            return
        spent = time.perf_counter() - self.ready
        if not last and done < PROBE and spent < RESERVED * most:
            return
        timed = max(state.step - self.timed_from, 1)
        left = (1 - RESERVED) * most - self.seconds
        state.n_steps = min(max(state.step + int(left * timed / max(spent, 1e-9)), state.step), self.settings.n_steps)
        self.probed, state.planned = True, last

    def _learn(self, image: NDArray[np.float32], target: NDArray[np.int64]) -> None:
        """Learn from a batch, in parts where it does not fit into memory."""
        state = self.state
        while True:
            part = min(state.part or len(image), len(image))
            try:
                loss = self._step(image, target, part)
                break
            except (self.torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not _is_memory(error, self.torch):
                    raise
                if part == 1:
                    raise MemoryError(
                        f"one patch of {tuple(target.shape[1:])} voxels does not fit into memory; close other "
                        f"programs, or choose a smaller patch, width or depth"
                    ) from error
            self.optimizer.zero_grad(set_to_none=True)
            release(self.loop.device)
            state.part = -(-part // 2)
            note(smaller_batches=f"memory ran out; batches are learned in parts of {state.part} patches")
        self.losses.append(loss)
        state.step += 1
        if self.loop.on_step is not None:
            self.loop.on_step(state.step, state.n_steps, loss)

    def _step(self, image: NDArray[np.float32], target: NDArray[np.int64], part: int) -> float:
        """Change the weights by what a batch says, and return its loss."""
        torch, settings, step = self.torch, self.settings, self.state.step
        self.net.train()
        for layer in self.averaging:  # the mean of the first batches, that of the last ones later; not what it began as
            layer.momentum = max(MOMENTUM, 1 / (step + 1))
        x, y = torch.from_numpy(image).to(self.loop.device), torch.from_numpy(target).to(self.loop.device)
        x, y = augmented(x, y, settings.augment, [settings.seed, 4, step], spacing=self.loop.spacing)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.rate(step, self.state.n_steps)
        self.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for xs, ys, share in self._parts(x, y, part):
            with torch.autocast(self.loop.device.type, torch.float16, enabled=self.mixed):
                said = self.net(xs.contiguous(memory_format=self.layout))
            loss = self.loss(said, ys, self.class_weights) * share
            self.scaler.scale(loss).backward()
            total += float(loss.detach())
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        if self.mixed or math.isfinite(float(norm)):  # on a GPU the scaler looks after that
            self.scaler.step(self.optimizer)
        self.scaler.update()
        return total

    def _parts(self, x: Any, y: Any, part: int) -> list[tuple[Any, Any, float]]:
        """Return parts of a batch, and what share of its annotated voxels each has."""
        if part >= len(x):
            return [(x, y, 1.0)]
        parts = list(zip(x.split(part), y.split(part), strict=True))
        known = [float(self._weight(ys)) for _, ys in parts]
        total = sum(known) or 1.0
        return [(xs, ys, k / total) for (xs, ys), k in zip(parts, known, strict=True)]

    def _weight(self, y: Any) -> Any:
        """Return how much the annotated voxels of patches count together."""
        classes = y.clamp(0, len(self.class_weights) - 1)
        return (self.class_weights[classes] * (y >= 0)).sum()

    def _validate(self) -> None:
        state = self.state
        loss, dice = self._held_out()
        there = [d for d in dice if not math.isnan(d)]
        best = self._kept(sum(there) / len(there) if there else math.nan, loss)
        said = None
        if self.loop.example is not None:
            with aside():
                said = self.loop.example(weights_of(self.net))
        state.seconds = self.seconds
        mean = float(np.mean(self.losses)) if self.losses else math.nan
        report = Report(
            state.step, state.n_steps, mean, loss, dice, best, state.seconds, tuple(self.losses), example=said
        )
        self.losses = []
        state.history.append(report.as_dict())
        self._plan(last=True)
        problem = self._checkpoint()
        if self.loop.on_report is not None:
            self.loop.on_report(replace(report, n_steps=state.n_steps, problem=problem))

    def _kept(self, dice: float, loss: float) -> bool:
        """Keep the weights if they are better, of equal ones those with the smaller loss; without validation always."""
        state = self.state
        if not math.isnan(dice):
            state.waited = 0 if dice > state.best_dice else state.waited + 1
            if (dice, -loss) <= (state.best_dice, -state.best_loss):
                return False
            state.best_dice, state.best_loss = dice, loss
        state.best = weights_of(self.net)
        return True

    def _checkpoint(self) -> str:
        """Write a checkpoint, and return why it could not be written; what was learned is worth more than that."""
        if self.loop.keep is None:
            return ""
        try:
            self.loop.keep(self._now())
        except OSError as error:
            note(checkpoint=str(error))
            return str(error)
        return ""

    def _held_out(self) -> tuple[float, tuple[float, ...]]:
        """Return loss and Dice of each class on what is held out."""
        torch, device = self.torch, self.loop.device
        if not self.loop.held_out:
            return math.nan, ()
        self.net.eval()
        counts, losses = np.zeros((3, self.loop.architecture.n_outputs), np.int64), []
        with torch.inference_mode():
            for image, target in self.loop.held_out:
                x = torch.from_numpy(image).to(device).contiguous(memory_format=self.layout)
                y = torch.from_numpy(target).to(device)
                with torch.autocast(device.type, torch.float16, enabled=self.mixed):
                    said = self.net(x)
                losses.append(float(self.loss(said, y, self.class_weights)))
                counts += counts_of(self.loop.head, said.float(), y)
        both, predicted, annotated = counts
        dice = [2 * b / (p + a) if p + a else math.nan for b, p, a in zip(both, predicted, annotated, strict=True)]
        return float(np.mean(losses)), tuple(map(float, dice))

    def _now(self) -> State:
        state = self.state
        state.weights, state.optimizer = weights_of(self.net), _optimizer_arrays(self.optimizer)
        state.scaler, state.seconds = dict(self.scaler.state_dict()), self.seconds
        return state

    def _finished(self) -> State:
        """Return where it got to; what was never validated is judged by nothing, and the last of it is kept."""
        state = self._now()
        if state.best_dice < 0:
            state.best = state.weights
        return state


def _is_memory(error: BaseException, torch: Any) -> bool:
    """Tell whether memory ran out; on a CPU torch says so with an error of no class of its own."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)


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
