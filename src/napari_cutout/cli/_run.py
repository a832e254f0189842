"""Running a recipe, on a file or a folder: the command, and what every method's command does in the end."""

from __future__ import annotations

import inspect
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from .._compiling import announced, interrupted
from ._link import LINK_OPTIONS, linking
from ._options import (
    PLAN_OPTIONS,
    RECIPE_OPTIONS,
    RUN,
    RUN_OPTIONS,
    STORE_OPTIONS,
    array_names,
    option,
    place_of,
    run_options,
    with_signature,
)
from ._plan import plan_instead
from ._said import as_options, report, report_many

if TYPE_CHECKING:
    from ..recipe import Recipe
    from ..running._execute import Result
    from ..running._run_plan import RunPlan

STOPPED = 75
"""Exit code of a run that was asked to stop and can be taken up again: EX_TEMPFAIL, by which schedulers requeue."""


def run_and_report(
    name: str,
    recipe: Recipe,
    image: str,
    output: Path | str,
    others: dict[str, str],
    options: dict[str, Any],
    also: Sequence[Callable[[Result], None] | None] = (),
) -> int:
    """Run a recipe on a file, a store or a folder, and say what came of it."""
    from .._monitor import Cancelled
    from ..running import _batch
    from ..running._execute import Result
    from ..running._parts import Waiting
    from ..running._run_plan import line
    from ..running._store_run import takes

    options = dict(options)
    if plan_instead(name, recipe, image, output, others, options):
        return 0

    def on_plan(plan: RunPlan) -> None:
        if plan.mode == "tiles":
            print(f"{name}: {line(plan)}", flush=True)

    with Progress() as show, Stopping(takes(image, output)) as stopping, warnings.catch_warnings(record=True) as heard:
        try:
            result = _batch.run(
                recipe,
                image,
                output,
                inputs=others,
                on_plan=on_plan,
                on_progress=show,
                is_cancelled=stopping.asked,
                probe=show is not None,
                **options,
            )
        except (Cancelled, Waiting) as error:
            return stopping.said(error)
    warn_once(heard, result.provenance["facts"].get("warning") if isinstance(result, Result) else None)
    if isinstance(result, Result):
        print(report(name, result))
        if options.get("table"):
            print(f"objects written to {options['table']}")
        for write in filter(None, also):
            write(result)
        if result.evaluation is not None:
            _say_scores(result, options["ignore"])
        return 0
    return report_many(name, result)


def _say_scores(result: Result, ignore: int | None) -> None:
    """Say how well the labels of one image agree with its truth."""
    from ..running import _batch

    scores = result.evaluation
    assert scores is not None
    print(f"IoU {scores.mean_iou:.4f}, Dice {scores.mean_dice:.4f} (labels matched: {scores.match})")
    if _batch.run_numbers_objects(result):
        print(_batch.said_of_objects(_batch.object_scores(scores)))
    print(_batch.how_read([scores], ignore))


def warn_once(heard: Sequence[warnings.WarningMessage], said: str | None = None) -> None:
    """Show warnings of a run once each, but for the one that `report` says."""
    for message, warning in {str(warning.message): warning for warning in heard}.items():
        if message != said and issubclass(warning.category, UserWarning):
            print(f"napari-cutout: warning: {as_options(message)}", file=sys.stderr)
        elif message != said:
            warnings.showwarning(warning.message, warning.category, warning.filename, warning.lineno)


class Stopping:
    """Lets a run that keeps a journal end in order when it is asked to, as schedulers do before they kill.

    Parameters
    ----------
    keeps : bool
        Whether the run keeps a journal; if not, signals do what they do anyway.
    """

    def __init__(self, keeps: bool) -> None:
        self.asked_by = ""
        in_main = threading.current_thread() is threading.main_thread()
        self._signals = [signal.SIGTERM, signal.SIGINT] if keeps and in_main else []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stopping:
        self._before = {number: signal.signal(number, self._ask) for number in self._signals}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _frame: object) -> None:
        if self.asked_by:  # the second time it is meant
            raise KeyboardInterrupt
        self.asked_by = signal.Signals(number).name

    def asked(self) -> bool:
        """Tell whether the run is to stop."""
        return bool(self.asked_by)

    def said(self, error: Exception) -> int:
        """Say how to go on, and return the exit code that lets a scheduler start the run again."""
        if isinstance(error, TimeoutError):  # a part of a job array that waited for others
            print(f"napari-cutout: {error}", file=sys.stderr)
            return STOPPED
        if not self.asked_by:
            raise error
        print(f"napari-cutout: {self.asked_by}: {as_options(str(error))}", file=sys.stderr)
        return STOPPED


class Progress:
    """Show on a terminal what runs; say nothing into files and pipes."""

    def __enter__(self) -> Callable[[str, float], None] | None:
        self._live, self._told = sys.stderr.isatty(), ExitStack()
        if not self._live:
            return None
        show, tell = interrupted(self._show)
        self._told.enter_context(announced(tell))
        return show

    def __exit__(self, *_: object) -> None:
        self._told.close()
        if self._live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def _show(self, stage: str, fraction: float) -> None:
        print(f"\r\033[K{stage} {fraction:4.0%}", end="", file=sys.stderr, flush=True)


def run_recipe() -> Callable[..., int]:
    """Return the command that runs a recipe from a file."""

    def run(recipe: Path, image: str, output: str, **given: Any) -> int:
        from ..recipe import Recipe

        loaded = Recipe.load(recipe)
        others = dict(_named(text) for text in given.get("input") or ())
        others |= {name: given[name] for name in array_names() if given.get(name) is not None}
        options = {
            **run_options(given),
            **{name: given.get(name, RECIPE_OPTIONS[name][1]) for name in RECIPE_OPTIONS},
        }
        loaded, tracks = linking(loaded, given, image)
        return run_and_report(str(recipe), loaded, image, place_of(output), others, options, [tracks])

    inputs = Annotated[
        list[str] | None,
        Parameter(group=RUN, help="What the recipe reads under another name: name=file. May be repeated.", negative=""),
    ]
    arrays = {
        name: (option(str | None, RUN, f"What the recipe reads as {name}: a file; for many images a folder."), None)
        for name in array_names()
    }
    options = {
        **arrays,
        "input": (inputs, None),
        **RUN_OPTIONS,
        **LINK_OPTIONS,
        **PLAN_OPTIONS,
        **STORE_OPTIONS,
        **RECIPE_OPTIONS,
    }
    made = with_signature(
        run, "run_recipe", "Run a recipe, such as the demo and every command write beside labels.", options
    )
    kinds = inspect.Parameter
    annotation = Annotated[Path, Parameter(help="A recipe, as JSON.")]
    signature = inspect.signature(made)
    recipe = kinds("recipe", kinds.POSITIONAL_ONLY, annotation=annotation)
    made.__signature__ = signature.replace(parameters=[recipe, *signature.parameters.values()])  # type: ignore[attr-defined]
    made.__annotations__ = {"recipe": annotation, **made.__annotations__}
    return made


def _named(text: str) -> tuple[str, str]:
    name, equals, file = text.partition("=")
    if not (name and equals and file):
        raise ValueError(f"--input must be name=file, got {text!r}")
    return name, file
