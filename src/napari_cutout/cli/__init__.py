"""The command line: one sub-command per method, made from the catalog, and what goes with them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from cyclopts import App, CycloptsError, Group, Parameter

from .. import __version__, catalog
from .._monitor import Cancelled
from ._cite import cite
from ._compare import compare, verify
from ._evaluation import evaluate
from ._measure import measure
from ._methods import command
from ._options import RUN_OPTIONS, STORE_OPTIONS, input_option, names
from ._others import demo, doctor, list_methods
from ._run import STOPPED, run_recipe
from ._said import SOME_FAILED, as_options
from ._unet import CANCELLED, unet_app

__all__ = [
    "BAD_INPUT",
    "CANCELLED",
    "RUN_OPTIONS",
    "SOME_FAILED",
    "STOPPED",
    "STORE_OPTIONS",
    "as_options",
    "input_option",
    "main",
    "make_app",
    "names",
]

BAD_INPUT = 2
"""Exit code where something given is not right; nothing was written then."""


def main(tokens: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    tokens : sequence of str, optional
        The words after the program's name; by default those that it was started with.

    Returns
    -------
    int
        0 if all went well, 1 if some images of a folder failed, 2 on bad input (one sentence on the error
        stream; with ``NAPARI_CUTOUT_TRACEBACK=1`` in the environment the traceback too), 75 if a run from a store to a
        store was asked to stop and can be taken up again with ``--resume``, 130 if cancelled.
    """
    try:
        found = make_app()(sys.argv[1:] if tokens is None else list(tokens), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        return _fail(error, _readable(error))
    except (KeyboardInterrupt, Cancelled):
        print("cancelled; files that were complete stay", file=sys.stderr)
        return CANCELLED
    except BrokenPipeError:  # whoever reads, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or closing it would fail again
        return 0
    except (ValueError, TypeError, OSError, MemoryError, ImportError) as error:  # the last is torch that is missing
        from ..running._batch import sentence

        return _fail(error, as_options(sentence(error)))
    return found if isinstance(found, int) else 0


def _fail(error: Exception, text: str) -> int:
    if os.environ.get("NAPARI_CUTOUT_TRACEBACK") == "1":
        import traceback

        traceback.print_exception(error)
    print(f"napari-cutout: {text}", file=sys.stderr)
    return BAD_INPUT


def _readable(error: CycloptsError) -> str:
    return " ".join(str(error).split()) + " See napari-cutout --help, or --help after the command."


def make_app() -> App:
    """Return the command line as a cyclopts app."""
    shared: dict[str, Any] = {
        "result_action": "return_value",
        "suppress_keyboard_interrupt": False,
        "default_parameter": Parameter(show_default=_typed),
    }
    app = App(
        name="napari-cutout",
        help="Cut objects out of microscopy images and volumes, and score the result.",
        version=__version__,
        **shared,
    )
    for number, row in enumerate(catalog.rows()):
        group = Group(row, sort_key=number)
        for entry in (m for m in catalog.rows()[row] if m.row == row):
            # `unet predict` is shown in its place; recipes and scripts that were made from the catalog say this one.
            app.command(command(entry), name=names(entry.name), group=group, show=entry.needs != "model")
        if row == "U-Net":
            app.command(unet_app(group=group, **shared))
    others = Group("More", sort_key=99)
    for name, function in _others().items():
        app.command(function, name=name, group=others)
    return app


def _typed(value: Any) -> str | None:
    """Return a default as one would type it; None where there is none."""
    return None if value is None else ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _others() -> dict[str, Callable[..., int]]:
    """Return the commands beside those of methods, in the order of the help."""
    return {
        "run": run_recipe(),
        "measure": measure,
        "evaluate": evaluate,
        "compare": compare,
        "verify": verify,
        "cite": cite,
        "methods": list_methods,
        "demo": demo,
        "doctor": doctor,
    }
