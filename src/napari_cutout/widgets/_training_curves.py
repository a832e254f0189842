"""What is known of a training that runs: its curves, and a line that says where it is.  Plain data, no Qt."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Curves"]

MOST_POINTS = 1000
"""Losses of batches that are drawn; more are averaged two by two."""


@dataclass(slots=True, eq=False)
class Curves:
    """Curves that grow.

    Parameters
    ----------
    steps, losses : list of float
        Batches, and the loss of each; means of several where there are many.
    validated, validation_losses, dice : list of float
        Steps after which was validated, and what was found; NaN where nothing is held out.
    n_steps : int
        How many steps there will be.
    scores : tuple of float
        Dice of each class at the last validation.
    """

    steps: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    validated: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    dice: list[float] = field(default_factory=list)
    n_steps: int = 0
    scores: tuple[float, ...] = ()
    _per_point: int = 1
    _rest: list[tuple[float, float]] = field(default_factory=list)

    def add_steps(self, batches: Sequence[tuple[int, float]], n_steps: int) -> None:
        """Add the losses of batches, each with its step."""
        self.n_steps = n_steps
        for step, loss in batches:
            self._rest.append((step, loss))
            if len(self._rest) == self._per_point:
                at, mean = (sum(values) / len(self._rest) for values in zip(*self._rest, strict=True))
                self.steps.append(at)
                self.losses.append(mean)
                self._rest = []
        while len(self.steps) > MOST_POINTS:
            self.steps, self.losses = _halved(self.steps), _halved(self.losses)
            self._per_point *= 2

    def add_report(self, report: Any) -> None:
        """Add a validation, as `unet_train` reports it."""
        self.n_steps = report.n_steps
        self.validated.append(report.step)
        self.validation_losses.append(report.validation_loss)
        self.dice.append(report.mean_dice)
        self.scores = report.dice

    @property
    def highest_loss(self) -> float:
        """The largest loss of batches; 0 if there is none.

        What is held out may have a hundred times that at first, while the normalisation has seen few batches, and
        would press all else flat.
        """
        return max((x for x in self.losses or self.validation_losses if math.isfinite(x)), default=0.0)

    @property
    def best_point(self) -> tuple[list[float], list[float]]:
        """Step and Dice of the best validation, the first of equals; empty if nothing is held out."""
        known = [(d, -s) for d, s in zip(self.dice, self.validated, strict=True) if math.isfinite(d)]
        if not known:
            return [], []
        dice, step = max(known)
        return [-step], [dice]

    def words(self, name_of: Callable[[int], str]) -> str:
        """Say in a line where the training is; `name_of` says what a class is called."""
        if not self.validated:
            return f"step {int(self.steps[-1])} of {self.n_steps}" if self.steps else ""
        said = [f"step {int(self.validated[-1])} of {self.n_steps}"]
        if math.isfinite(self.dice[-1]):
            each = ", ".join(f"{name_of(at)} {d:.2f}" for at, d in enumerate(self.scores) if math.isfinite(d))
            (step,), (best,) = self.best_point
            said += [f"Dice {self.dice[-1]:.3f} ({each})", f"best {best:.3f} at step {int(step)}"]
        else:
            said.append("nothing is held out, so there is no Dice")
        return " · ".join(said)


def _halved(values: list[float]) -> list[float]:
    """Return the means of each two; an odd last one stays."""
    pairs = [(a + b) / 2 for a, b in zip(values[::2], values[1::2], strict=False)]
    return pairs + values[len(pairs) * 2 :]
