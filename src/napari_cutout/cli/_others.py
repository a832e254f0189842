"""Commands that need no image of yours: the list of methods, the demo, and what this machine has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .. import catalog
from ._options import Device, channel_of


def list_methods() -> int:
    """List the methods: what each needs, how far devices agree, what it is good for."""
    from ..running._batch import columns

    lines = [("method", "row", "needs", "agreement", "what it does")]
    lines += [(m.name, m.row, m.needs, m.agreement, m.summary) for m in catalog.methods().values()]
    print("\n".join(columns(lines)))
    return 0


def demo(
    output: Annotated[Path, Parameter(help="The folder to make.")] = Path("demo-output"),
    /,
    *,
    image: Annotated[str | None, Parameter(help="Your own image; by default the annotated samples are used.")] = None,
    truth: Annotated[str | None, Parameter(help="Its annotation.")] = None,
    ignore: Annotated[int | None, Parameter(help="Value of truth that means not annotated; 0 for strokes.")] = None,
    channel: Annotated[str | None, Parameter(help="Which channel of a colour image, from 0, or 'mean'.")] = None,
    device: Annotated[Device, Parameter(help="Where to run.")] = "auto",
    overwrite: Annotated[
        bool, Parameter(help="Write into a folder that the demo did not make; what is there stays.", negative="")
    ] = False,
) -> int:
    """Compare every method on annotated samples, or on your own image, and write the reports."""
    from ..demo import demo as run_demo

    run_demo(
        output,
        image=image,
        truth=truth,
        ignore=ignore,
        channel=channel_of(channel),
        device=device,
        overwrite=overwrite,
        say=print,
    )
    return 0


def doctor(*, clear_compiled: bool = False) -> int:
    """Show what this program runs on, what is missing, and the line that mends it.

    Parameters
    ----------
    clear_compiled : bool
        Remove the compiled loops that are kept first; each is compiled anew when it is next needed.
    """
    from .._kept_code import clear_loops
    from ..doctor import diagnosis

    if clear_compiled:
        clear_loops()
    print("\n".join(diagnosis()))
    return 0
