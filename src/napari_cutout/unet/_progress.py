"""Where a training is, and what is told of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

__all__ = ["Report", "State"]


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
        True if this is the network that is kept so far.
    seconds : float
        Since the start.
    losses : tuple of float
        Of the batches since the last report.
    problem : str
        Why no checkpoint could be written, such as a full disk; empty if it was. Training goes on.
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
    losses: tuple[float, ...] = ()
    problem: str = ""
    example: NDArray[Any] | None = None

    @property
    def mean_dice(self) -> float:
        """Mean Dice of the classes that have one."""
        there = [d for d in self.dice if not math.isnan(d)]
        return sum(there) / len(there) if there else math.nan

    def as_dict(self) -> dict[str, Any]:
        """Return its numbers as plain JSON, None for NaN."""

        def plain(value: float) -> float | None:
            return round(value, 6) if math.isfinite(value) else None

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
    planned : bool
        True once it is known how many fit into the time.
    part : int
        Patches that are learned from at a time, less than a batch once memory ran out; 0 is a batch.
    weights, optimizer : mapping of str to array
        The network now, and what AdamW remembers.
    scaler : mapping
        By what losses are multiplied on a GPU, so that gradients do not vanish in 16 bits.
    best : mapping of str to array
        The network at its best.
    best_dice, best_loss : float
        Its mean Dice, -1 before the first validation, and its loss on what is held out.
    waited : int
        Validations since the last better Dice.
    history : list of dict
        All reports.
    seconds : float
        Time that it has taken.
    """

    step: int = 0
    n_steps: int = 0
    planned: bool = False
    part: int = 0
    weights: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    optimizer: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    scaler: dict[str, Any] = field(default_factory=dict)
    best: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    best_dice: float = -1.0
    best_loss: float = math.inf
    waited: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
