"""Which settings a search tries, and the search itself: Optuna's TPE with successive halving."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from .._method import Param

__all__ = ["Tried", "search", "tried"]

Settings = dict[str, Any]

DIGITS = 2
"""Significant digits of what is tried: settings that a person can read, and that are met again."""

N_LEVELS = 200
"""Steps between the grey levels that are tried."""

SHARED = 2 / 3
"""Share of a search that is drawn at random and looks at no score, so that all folds try the same settings."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One setting of a step, and which of its values a search may try.

    Parameters
    ----------
    name : str
        Unique within a recipe: the number of the step, a dot, and the setting.
    param : Param
        The setting.
    low, high : float
        Smallest and largest number.
    step : float
        What numbers differ by; 0 for such as have two significant digits.
    """

    name: str
    param: Param
    low: float = 0.0
    high: float = 0.0
    step: float = 0.0

    def ask(self, trial: Any) -> Any:
        """Let a trial of Optuna choose a value."""
        typical = self.param.typical
        assert typical is not None
        if self.param.type is bool:
            return trial.suggest_categorical(self.name, [False, True])
        if self.param.choices:
            return trial.suggest_categorical(self.name, list(self.param.choices))
        if typical.off and not trial.suggest_categorical(f"{self.name}?", [False, True]):
            return self._as_type(0)
        if typical.log and not self.step:
            return self._as_type(trial.suggest_float(self.name, self.low, self.high, log=True))
        return self._as_type(trial.suggest_float(self.name, self.low, self.high))

    def told(self, value: Any) -> Settings:
        """Return the answers to `ask` that give a value, as far as there are."""
        typical = self.param.typical
        assert typical is not None
        if self.param.type is bool or self.param.choices:
            return {self.name: value}
        found: Settings = {f"{self.name}?": bool(value)} if typical.off else {}
        if isinstance(value, int | float) and self.low <= value <= self.high:
            found[self.name] = float(value)
        return found

    def _as_type(self, value: float) -> Any:
        """Round to what the setting takes: whole numbers, or steps from the smallest allowed value."""
        limits = self.param.range
        if self.step:
            value = self.low + round((value - self.low) / self.step) * self.step
        elif value and self.param.type is float:
            value = float(f"{value:.{DIGITS}g}")
            if limits is not None and limits.step is not None and limits.step >= 1:
                value = limits.min + round((value - limits.min) / limits.step) * limits.step
        return self.param.type(round(value) if self.param.type is int else value)


def tried(number: int, param: Param, longest: float, levels: tuple[float, float]) -> Tried | None:
    """Return what a search tries of a setting.

    Parameters
    ----------
    number : int
        Of the step, from 1.
    param : Param
        The setting.
    longest : float
        The longest side of the image, in edges of the smallest voxel; no length is tried that is above half of it.
    levels : (float, float)
        Grey levels between which those are tried that have no default.

    Returns
    -------
    Tried or None
        None if nothing says what is common for it: it stays as it is then.
    """
    name = f"{number}.{param.name}"
    typical = param.typical
    if typical is None:
        return None
    if param.type is bool or param.choices:
        return Tried(name, param)
    if param.grey_level:
        return None if levels[0] >= levels[1] else Tried(name, param, *levels, (levels[1] - levels[0]) / N_LEVELS)
    high = min(typical.high, longest / 2) if typical.length else typical.high
    return Tried(name, param, typical.low, high) if typical.low < high else None


def search(
    space: Sequence[Tried],
    value: Callable[[Settings, int], float],
    *,
    start: Mapping[str, Any],
    budget: int,
    n_rungs: int,
    seed: int,
) -> None:
    """Try settings, the more promising ones on more of the image.

    Parameters
    ----------
    space : sequence of Tried
        What may be tried.
    value : callable
        ``value(settings, rung)`` scores settings on part of the image (0) up to all of it (``n_rungs - 1``); it keeps
        what it finds. A trial for which it raises ValueError has failed.
    start : mapping
        The settings as given, which are tried first, whether a search would or not.
    budget : int
        How many settings are tried beside those.
    n_rungs : int
        How many parts there are.
    seed : int
        The same seed draws the same settings in the first two thirds of a search.

    Notes
    -----
    Deterministic. Scores lead the last third only: a tree-structured Parzen estimator [1]_. Successive halving [2]_
    lets a third go on to the next part.

    References
    ----------
    .. [1] J. Bergstra, R. Bardenet, Y. Bengio and B. Kegl, "Algorithms for hyper-parameter optimization", Advances in
       Neural Information Processing Systems 24 (2011) 2546-2554.
    .. [2] L. Li, K. Jamieson, A. Rostamizadeh, E. Gonina, J. Ben-tzur, M. Hardt, B. Recht and A. Talwalkar, "A system
       for massively parallel hyperparameter tuning", Proceedings of Machine Learning and Systems 2 (2020) 230-246.
    """
    import optuna

    def objective(trial: optuna.Trial) -> float:
        settings = {one.name: one.ask(trial) for one in space}
        score = math.nan
        for rung in range(n_rungs):
            score = value(settings, rung)
            trial.report(score, rung + 1)  # resources are counted from 1
            if rung < n_rungs - 1 and trial.should_prune():
                raise optuna.TrialPruned
        return score

    with suppress(ValueError):
        value({one.name: start[one.name] for one in space}, n_rungs - 1)
    if not space:
        return
    with _quiet():
        study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(1, math.ceil(budget * SHARED))),
            pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
        )
        study.enqueue_trial({key: v for one in space for key, v in one.told(start[one.name]).items()})
        study.optimize(objective, n_trials=budget, catch=(ValueError,))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from writing a line for every trial, and leave its level as it was."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
