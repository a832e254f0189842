"""Commands that compare methods on images of one's own, and that check reports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from ._options import PART, RUN, Device, channel_of, region_of, several
from ._run import Progress
from ._said import SOME_FAILED, as_options

if TYPE_CHECKING:
    from .._wanted import Wanted
    from ..comparison.leaderboard import Leaderboard
    from ..recipe import Recipe

Metric = Literal["dice", "iou", "f1", "pq"]

WHO = Group("Who takes part", sort_key=1)
HOW = Group("How it is scored", sort_key=2)


def compare(
    image: Annotated[str, Parameter(help="An image file, file.npz:key, a folder, or a pattern in quotes.")],
    truth: Annotated[str, Parameter(help="The annotation or strokes: a file; for many images a folder or a pattern.")],
    /,
    *,
    report: Annotated[
        Path | None,
        Parameter(group=RUN, help="A folder to make: a page to send, tables for a paper, recipes, and what checks it."),
    ] = None,
    methods: Annotated[
        tuple[str, ...] | None,
        Parameter(
            group=WHO,
            help="Names of methods; by default all that apply but unet_from_strokes, which takes minutes.",
            converter=several(str),
            consume_multiple=True,
            negative="",
        ),
    ] = None,
    recipe: Annotated[
        list[str] | None,
        Parameter(group=WHO, help="A recipe of your own: name=file.json. May be repeated.", negative=""),
    ] = None,
    labels: Annotated[
        list[str] | None,
        Parameter(
            group=WHO,
            help="Labels that something else made: name=file; for many images name=folder. May be repeated.",
            negative="",
        ),
    ] = None,
    ceiling: Annotated[
        str | None, Parameter(group=WHO, help="Labels of a second annotator: what can be reached; not ranked.")
    ] = None,
    tune: Annotated[bool, Parameter(group=WHO, help="Search for the settings of each method.", negative="")] = False,
    budget: Annotated[int, Parameter(group=WHO, help="Settings that are tried for each method and fold, from 2.")] = 30,
    ignore: Annotated[
        int | None, Parameter(group=HOW, help="Value of truth that means not annotated; 0 for strokes.")
    ] = None,
    background: Annotated[
        int | None,
        Parameter(
            group=HOW,
            help="Value of truth for what is not looked for. By default 0; of strokes, the largest label.",
        ),
    ] = None,
    truth_is: Annotated[
        Literal["objects", "classes"] | None,
        Parameter(group=HOW, help="What the labels of truth mean: numbers of objects, or classes; by default a guess."),
    ] = None,
    metric: Annotated[Metric, Parameter(group=HOW, help="What rows are ranked by; f1 and pq are of objects.")] = "dice",
    folds: Annotated[int, Parameter(group=HOW, help="Parts that are held out in turn, from 2.")] = 5,
    repeats: Annotated[int, Parameter(group=HOW, help="How many times the parts are dealt anew.")] = 1,
    seed: Annotated[int, Parameter(group=HOW, help="Of the deal, the search and the bootstrap.")] = 0,
    channel: Annotated[str | None, Parameter(group=PART, help="Which channel, from 0, or 'mean'.")] = None,
    frame: Annotated[int | None, Parameter(group=PART, help="Which time point of a time series, from 0.")] = None,
    level: Annotated[
        int | None, Parameter(group=PART, help="Which level of an OME-Zarr image, 0 being the finest.")
    ] = None,
    region: Annotated[
        str | None, Parameter(group=PART, help="First index and the one after the last, such as y=0:64,x=10:90.")
    ] = None,
    each: Annotated[
        str | None, Parameter(group=PART, help="What is cut one by one: t frame by frame, z slice by slice, or tz.")
    ] = None,
    axes: Annotated[
        str | None, Parameter(group=PART, help="What the axes are, such as tyx, where the file does not say it.")
    ] = None,
    spacing: Annotated[
        tuple[float, ...] | None,
        Parameter(
            group=PART,
            help="World length of a voxel along each axis. By default that of the file.",
            converter=several(float),
            consume_multiple=True,
            negative="",
        ),
    ] = None,
    device: Annotated[Device, Parameter(group=RUN, help="Where to run.")] = "auto",
    overwrite: Annotated[
        bool, Parameter(group=RUN, help="Write into a folder that is there; only a report's files go.", negative="")
    ] = False,
) -> int:
    """Run methods on your image, score them on your annotation, and rank them."""
    from .._wanted import Wanted
    from ..recipe import Recipe

    wanted = Wanted(
        channel=channel_of(channel), frame=frame, level=level, axes=axes, each=each, region=region_of(region) or {}
    )
    asked = {
        "methods": methods,
        "tune": tune,
        "budget": budget,
        "ignore": ignore,
        "background": background,
        "metric": metric,
        "folds": folds,
        "repeats": repeats,
        "seed": seed,
        "device": device,
        "truth_is": truth_is,
    }
    recipes = {name: Recipe.load(Path(file)) for name, file in _named(recipe, "--recipe").items()}
    given = _named(labels, "--labels")
    return _compare(image, truth, report, (recipes, given, ceiling), wanted, asked, spacing, overwrite)


def _compare(
    image: str,
    truth: str,
    report: Path | None,
    others: tuple[dict[str, Recipe], dict[str, str], str | None],
    wanted: Wanted,
    asked: dict[str, Any],
    spacing: tuple[float, ...] | None,
    overwrite: bool,
) -> int:
    """Read, run, print the table, and write the report."""
    from dataclasses import replace

    from ..reporting._comparison import Origin, write_report
    from ..reporting._comparison_again import compared
    from ..reporting._files import check_folder
    from ..reporting._inputs import paired, read_inputs
    from ..reporting._paths import name_of

    if report is not None:
        check_folder(report, overwrite)
    recipes, labels, ceiling = others
    files = paired(image, truth, labels, ceiling)
    read = read_inputs(files, wanted, recipes, spacing)
    with Progress() as show:
        board = compared(read, asked, show)
    if files.left_out:
        left_out = f"left out, because they have no partner: {', '.join(map(name_of, files.left_out))}"
        board = replace(board, notes=(*board.notes, left_out))
    print(as_options(board.summary()))
    if report is not None:
        print(f"report written to {write_report(board, report, overwrite=overwrite, origin=Origin(files, wanted))}")
    return 0 if _some_ran(board) else SOME_FAILED


def _some_ran(board: Leaderboard) -> bool:
    return any(not one.row.error for one in board.standings)


def verify(
    report: Annotated[Path, Parameter(help="A report.json.")],
    /,
    *,
    image: Annotated[
        str | None, Parameter(help="Where the images are now, or the labels of an evaluation: a file or a folder.")
    ] = None,
    truth: Annotated[str | None, Parameter(help="Where the annotations are now.")] = None,
    labels: Annotated[
        list[str] | None,
        Parameter(help="Where labels that took part are now: name=file. May be repeated.", negative=""),
    ] = None,
    ceiling: Annotated[str | None, Parameter(help="Where the labels of the second annotator are now.")] = None,
    device: Annotated[Device | None, Parameter(help="Where to run; by default as it was.")] = None,
) -> int:
    """Check a report: hash what it was made of, run it again, and compare row by row; exit code 1 if it differs."""
    from ..reporting._verify import Moved
    from ..reporting._verify import verify as verified

    moved = Moved(image, truth, ceiling, _named(labels, "--labels"))
    with Progress() as show:
        found = verified(report, moved, device=device, on_progress=show)
    print(found.summary())
    return SOME_FAILED if found.differences else 0


def _named(texts: list[str] | None, option: str) -> dict[str, str]:
    """Return files by names, from ``name=file``."""
    found: dict[str, str] = {}
    for text in texts or ():
        name, equals, file = text.partition("=")
        if not (name and equals and file):
            raise ValueError(f"{option} must be name=file, got {text!r}")
        if name in found:
            raise ValueError(f"{option} names {name!r} twice; choose another name for one of them")
        found[name] = file
    return found
