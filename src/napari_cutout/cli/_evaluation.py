"""Commands that score labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ._options import Match, check_free
from ._said import report_many


def evaluate(
    predicted: Annotated[str, Parameter(help="Labels: a file, a folder, or a pattern in quotes.")],
    truth: Annotated[str, Parameter(help="The annotation: a file; for many labels a folder or a pattern.")],
    /,
    *,
    ignore: Annotated[int | None, Parameter(help="Value of truth that means not annotated; 0 for strokes.")] = None,
    match: Annotated[Match, Parameter(help="How labels are matched to the classes of truth.")] = "auto",
    csv: Annotated[Path | None, Parameter(help="Write the table to this file, too.")] = None,
    json: Annotated[Path | None, Parameter(help="Write the scores to this file, too; for one pair only.")] = None,
    objects: Annotated[
        Path | None,
        Parameter(help="Score each label as an object, and write what became of it to this file; for one pair only."),
    ] = None,
    overwrite: Annotated[bool, Parameter(help="Replace files that are there.", negative="")] = False,
) -> int:
    """Score labels against an annotation: IoU and Dice per class, and where labels number objects, each object."""
    from .._batch import how_read, is_many, score_many
    from .._reading import read_labels
    from ..evaluation import overlap

    for path in (csv, json, objects):
        if path is not None:
            check_free(path, overwrite)
    if is_many(predicted):
        if json is not None or objects is not None:
            name = "json" if json is not None else "objects"
            raise ValueError(f"--{name} holds the scores of one pair; for a folder give --csv")
        batch = score_many(predicted, truth, ignore=ignore, match=match)
        if csv is not None:
            batch.to_csv(csv, overwrite=overwrite)
        return report_many("evaluate", batch)
    found = overlap.evaluate(
        read_labels(predicted, "predicted"), read_labels(truth, "truth"), ignore=ignore, match=match
    )
    print(found.summary())
    if found.numbers_objects or objects is not None:
        print(f"\n{found.objects.summary()}\n")
    print(how_read([found], ignore))
    if csv is not None:
        found.to_csv(csv, overwrite=overwrite)
    if json is not None:
        found.to_json(json, overwrite=overwrite)
    if objects is not None:
        found.objects.objects_to_csv(objects, overwrite=overwrite)
    return 0
