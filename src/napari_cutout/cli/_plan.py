"""What a run will do, on the command line: said before it runs, or instead of it."""

from __future__ import annotations

import inspect
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..recipe import Recipe


def plan_instead(
    name: str, recipe: Recipe, image: str, output: Path | str, others: dict[str, str], options: dict[str, Any]
) -> bool:
    """Print what a run would do, if that was asked for, and take out of the options what asks for it.

    Raises
    ------
    ValueError
        If a GPU is to be assumed in a run.
    """
    from ..running._planning import plan

    asked, assumed = options.pop("plan"), options.pop("assume_gpu")
    if not asked:
        if assumed is not None:
            raise ValueError(
                "--assume-gpu plans for a GPU that need not be there; give --plan with it, or leave it out"
            )
        return False
    known = inspect.signature(plan).parameters
    given = {option: value for option, value in options.items() if option in known}
    made = plan(recipe, image, inputs=others, assume_gpu=assumed, **given)
    print(f"{name} on {image}")
    print(replace(made, notes=(*made.notes, *_in_the_way(output, options))))
    return True


def _in_the_way(output: Path | str, options: dict[str, Any]) -> list[str]:
    """Say what of a target on this machine would stop the run."""
    if not isinstance(output, Path):
        return []
    if output.exists() and not (options.get("overwrite") or options.get("resume")):
        return [f"{output} exists, and the run would refuse it; give --overwrite, or another name"]
    folder = next(place for place in output.absolute().parents if place.exists())
    return [] if os.access(folder, os.W_OK) else [f"{folder} cannot be written to, and the run would refuse it"]
