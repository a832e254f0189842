"""Running a recipe until it fits: whole, in tiles, in smaller tiles, and on the CPU where the GPU fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import NDArray

from .. import _device, catalog
from .._memory import allowing
from ..blockwise._sweeps import free_kept
from ._run_plan import Limits, RunPlan, limits, plan_arrays, smaller
from ._steps import Run, Steps

__all__ = ["Attempts", "Outcome"]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a run gave in the end.

    Parameters
    ----------
    labels : array
        In host memory.
    steps : list of dict
        What each step did.
    choice : Choice
        Where.
    tiling : str
        In what tiles; empty if in none.
    ran_out : str
        What happened when memory ran out; empty if it did not.
    """

    labels: NDArray[Any]
    steps: Steps
    choice: _device.Choice
    tiling: str = ""
    ran_out: str = ""


@dataclass(slots=True, eq=False)
class Attempts:
    """Runs a recipe, again with less memory whenever it runs out.

    Parameters
    ----------
    run : Run
        What runs, on what.
    device : {"auto", "cpu", "gpu"}
        What was asked for.
    allowed : Limits, optional
        What it may take; by default what is free.
    """

    run: Run
    device: _device.Asked
    allowed: Limits | None = None
    told: list[str] = field(default_factory=list)

    def outcome(self) -> Outcome:
        """Run on the device that was chosen; where a GPU fails under "auto", on the CPU.

        Raises
        ------
        MemoryError
            If memory runs out even with the smallest tiles.
        ValueError
            If the device cannot be used, or a method refuses what it gets.
        """
        plan = None
        try:
            plan = self._plan(self.device)
            with _device.asking(self.device):
                return self._until_it_fits(plan, plan.reason)
        except _device.failures() as error:
            failed_on_cpu = (
                plan is not None and plan.device == "cpu" and not (self._runs_networks and _device.torch_has_gpu())
            )
            if failed_on_cpu or self.device != "auto":
                raise
            # Said aloud in the reason: a GPU that fails under "auto" costs time, never the result.
            reason = f"the GPU failed ({type(error).__name__}: {error})"
        free_kept()
        with _device.asking("cpu"):
            return self._until_it_fits(self._plan("cpu"), reason)

    @property
    def _runs_networks(self) -> bool:
        return all(catalog.find(step.method).network for step in self.run.recipe.steps)

    def _plan(self, device: _device.Asked, *, in_tiles: bool = False) -> RunPlan:
        allowed = limits() if self.allowed is None else self.allowed
        return plan_arrays(self.run.recipe, self.run.inputs, device=device, limits=allowed, in_tiles=in_tiles)

    def _until_it_fits(self, plan: RunPlan, reason: str) -> Outcome:
        """Run on one device, with less at work whenever memory runs out."""
        if plan.mode == "whole":
            try:
                return self._outcome(plan, reason, *self.run.whole(plan.device))
            except MemoryError as error:
                told = f"memory ran out for the whole ({_said(error)})"
                fewer = smaller(plan)
                if fewer is None:
                    raise
            plan = self._went_on(told, fewer)
        while True:
            try:
                return self._in_tiles(plan, reason)
            except MemoryError as error:
                told, fewer = _said(error), smaller(plan)
                told = told if told.startswith("memory ran out") else f"memory ran out ({told})"
                if fewer is None:
                    raise
            plan = self._went_on(told, fewer)

    def _went_on(self, told: str, fewer: RunPlan) -> RunPlan:
        """Take note of what happened, and give back what libraries keep."""
        self.told.append(f"{told}; went on in tiles of {_by(fewer)} voxels")
        free_kept()
        return fewer

    def _in_tiles(self, plan: RunPlan, reason: str) -> Outcome:
        from ._in_tiles import run_in_tiles

        with allowing(plan.free):
            labels, steps, facts = run_in_tiles(self.run, plan)
        for step in steps:
            facts |= {name: step["facts"].pop(name) for name in ("out_of_memory",) if name in step["facts"]}
        if "out_of_memory" in facts:
            self.told.append(facts["out_of_memory"])
        return self._outcome(plan, reason, labels, steps)

    def _outcome(self, plan: RunPlan, reason: str, labels: NDArray[Any], steps: Steps) -> Outcome:
        used: Literal["cpu", "gpu"] = plan.device
        tiling = "" if plan.mode == "whole" else f"{plan.n_tiles:,} tiles of {_by(plan)} voxels"
        return Outcome(labels, steps, _device.Choice(self.device, used, reason), tiling, ". ".join(self.told))


def _by(plan: RunPlan) -> str:
    return " x ".join(map(str, plan.tile))


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
