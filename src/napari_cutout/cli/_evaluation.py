"""Commands that score labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from ._options import Match, check_free, several
from ._run import Progress
from ._said import report_scores

if TYPE_CHECKING:
    from .._scoring import ScoredFiles, Settings

READ = Group("How truth is read", sort_key=1)
SURFACES = Group("Boundaries", sort_key=2)
WRITE = Group("Files to write", sort_key=3)


def evaluate(
    predicted: Annotated[str, Parameter(help="Labels: a file, a folder, or a pattern in quotes.")],
    truth: Annotated[str, Parameter(help="The annotation: a file; for many labels a folder or a pattern.")],
    /,
    *,
    ignore: Annotated[
        int | None, Parameter(group=READ, help="Value of truth that means not annotated; 0 for strokes.")
    ] = None,
    match: Annotated[Match, Parameter(group=READ, help="How labels are matched to the classes of truth.")] = "auto",
    complete: Annotated[
        str | None,
        Parameter(
            group=READ,
            help="Where every object is annotated: a file of 0 and not 0; for many labels a folder or a pattern.",
        ),
    ] = None,
    boundaries: Annotated[
        bool, Parameter(group=SURFACES, help="Score how far surfaces are apart, too.", negative="")
    ] = False,
    tolerance: Annotated[
        float | None,
        Parameter(
            group=SURFACES,
            help="The distance up to which a surface is right. By default the largest edge of a voxel.",
        ),
    ] = None,
    spacing: Annotated[
        tuple[float, ...] | None,
        Parameter(
            group=SURFACES,
            help="World length of a voxel along each axis. By default that of the files.",
            converter=several(float),
            consume_multiple=True,
            negative="",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        Parameter(group=WRITE, help="A folder to make: a page to send, tables for a paper, and what checks them."),
    ] = None,
    csv: Annotated[Path | None, Parameter(group=WRITE, help="Write the table to this file, too.")] = None,
    json: Annotated[Path | None, Parameter(group=WRITE, help="Write the scores to this file, too.")] = None,
    objects: Annotated[
        Path | None,
        Parameter(
            group=WRITE,
            help="Score each label as an object, and write what became of it to this file; for one pair only.",
        ),
    ] = None,
    overwrite: Annotated[bool, Parameter(group=WRITE, help="Replace files that are there.", negative="")] = False,
) -> int:
    """Score labels against an annotation: overlap, and where labels number objects, each object."""
    from .._monitor import watch
    from .._pairs import is_many
    from .._scoring import Settings, score_files

    many = is_many(predicted) or is_many(truth)
    if many and objects is not None:
        raise ValueError("--objects holds the objects of one pair; for a folder give --report")
    if complete is not None and json is not None and not many:
        raise ValueError("--json has no place for the region of --complete; give --report, or --csv")
    if not boundaries and (tolerance, spacing) != (None, None):
        raise ValueError("--tolerance and --spacing are those of surfaces; give --boundaries, too")
    _check_places((csv, json, objects), report, overwrite)
    settings = Settings(
        ignore=ignore,
        match=match,
        numbered=True if objects is not None else None,
        boundaries=boundaries,
        tolerance=tolerance,
        spacing=spacing,
    )
    with Progress() as show, watch(show):
        scored = score_files(predicted, truth, complete, settings=settings)
    if many:
        code = report_scores("evaluate", scored.result)
        for path, write in ((csv, scored.result.to_csv), (json, scored.result.to_json)):
            if path is not None:
                write(path, overwrite=overwrite)
    else:
        code = _say_one(scored, settings, csv, json, objects, overwrite)
    if report is not None:
        from ..reporting._evaluation import write_report

        print(f"report written to {write_report(scored, report, overwrite=overwrite)}")
    return code


def _check_places(files: tuple[Path | None, ...], report: Path | None, overwrite: bool) -> None:
    """Refuse, before any work is done, to replace what is there."""
    for path in files:
        if path is not None:
            check_free(path, overwrite)
    if report is not None:
        from ..reporting._files import check_folder

        check_folder(report, overwrite)


def _say_one(
    scored: ScoredFiles,
    settings: Settings,
    csv: Path | None,
    json: Path | None,
    objects: Path | None,
    overwrite: bool,
) -> int:
    """Print the scores of one pair, and write what was asked for."""
    from ..running._batch import how_read

    (one,) = scored.result.images
    if one.evaluation is None:
        raise ValueError(one.error)
    print(one.evaluation.summary())
    for part in (one.objects, one.boundaries):
        if part is not None:
            print(f"\n{part.summary()}\n")
    is_zoned = any(pair.complete for pair in scored.pairing.pairs)
    print(scored.result.notes[1] if is_zoned else how_read([one.evaluation], settings.ignore))
    if csv is not None:
        one.evaluation.to_csv(csv, overwrite=overwrite)
    if json is not None:
        one.evaluation.to_json(json, overwrite=overwrite)
    if objects is not None and one.objects is not None:
        one.objects.objects_to_csv(objects, overwrite=overwrite)
    return 0
