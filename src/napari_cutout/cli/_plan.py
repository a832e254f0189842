"""What a run will do, on the command line: said before it runs, or instead of it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..recipe import Recipe


def plan_instead(name: str, recipe: Recipe, image: str, others: dict[str, str], options: dict[str, Any]) -> bool:
    """Print what a run would do, if that was asked for, and take out of the options what asks for it.

    Raises
    ------
    ValueError
        If a GPU is to be assumed in a run.
    """
    from .._planning import plan

    asked, assumed = options.pop("plan"), options.pop("assume_gpu")
    if not asked:
        if assumed is not None:
            raise ValueError(
                "--assume-gpu plans for a GPU that need not be there; give --plan with it, or leave it out"
            )
        return False
    known = inspect.signature(plan).parameters
    given = {option: value for option, value in options.items() if option in known}
    print(f"{name} on {image}")
    print(plan(recipe, image, inputs=others, assume_gpu=assumed, **given))
    return True
