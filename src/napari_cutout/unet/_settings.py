"""What a training is asked for, as plain data: a run that goes on must have been asked for the same."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from .losses import loss_named

__all__ = ["Augmentation", "Schedule", "TrainSettings"]

Augmentation = Literal["flips", "rotations", "elastic", "intensity", "noise"]
"""What patches go through, so that a few of them teach more."""

Schedule = Literal["cosine", "poly"]
"""How the learning rate falls to 0."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """What a training is asked for.

    Parameters
    ----------
    patch : tuple of int
        Voxels of a patch along each axis.
    batch_size : int
        Patches that are learned from at a time.
    n_steps : int
        Batches at most.
    loss : str
        Such as ``"dice + cross-entropy"``.
    learning_rate : float
        The largest one.
    schedule : {"cosine", "poly"}
        How it falls.
    weight_decay : float
        How much AdamW pulls weights to 0.
    augment : tuple of str
        What patches go through.
    validation : float
        Share of the annotated voxels that is held out.
    every : int
        Batches between two validations at most.
    patience : int
        Validations without a better Dice after which it stops.
    seed : int
        Of everything that is random.
    """

    patch: tuple[int, ...]
    batch_size: int = 8
    n_steps: int = 1500
    loss: str = "dice + cross-entropy"
    learning_rate: float = 5e-3
    schedule: Schedule = "cosine"
    weight_decay: float = 1e-2
    augment: tuple[Augmentation, ...] = get_args(Augmentation)
    validation: float = 0.2
    every: int = 50
    patience: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least, most in (
            ("batch_size", 1, 4096), ("n_steps", 1, 10**9), ("every", 1, 10**9), ("patience", 1, 10**9),
            ("seed", 0, 2**31 - 1),
        ):  # fmt: skip
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                raise ValueError(f"{name} must be a whole number from {least} to {most}, got {value!r}")
        for name, low, high in (("learning_rate", 0.0, 10.0), ("weight_decay", 0.0, 10.0), ("validation", 0.0, 0.9)):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
                raise ValueError(f"{name} must be a number from {low:g} to {high:g}, got {value!r}")
        if self.schedule not in get_args(Schedule):
            raise ValueError(f"schedule must be one of {get_args(Schedule)}, got {self.schedule!r}")
        for word in self.augment:
            if word not in get_args(Augmentation):
                raise ValueError(f"augment must be some of {get_args(Augmentation)}, got {word!r}")
        if not isinstance(self.loss, str):
            raise ValueError(f"loss must be a name such as 'dice + cross-entropy', got {self.loss!r}")
        loss_named(self.loss)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def validate_every(self, n_steps: int) -> int:
        """Return the batches between two validations: a short training has a dozen of them."""
        return min(self.every, max(n_steps // 12, 5))

    def rate(self, step: int, n_steps: int) -> float:
        """Return the learning rate of a step: it rises for the first few, then falls to 0."""
        warm = min(20, max(n_steps // 20, 1))
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        done = (step - warm) / max(n_steps - warm, 1)
        return self.learning_rate * (
            0.5 * (1 + math.cos(math.pi * done)) if self.schedule == "cosine" else (1 - done) ** 0.9
        )
