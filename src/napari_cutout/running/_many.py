"""Recipes on every image of a folder or a pattern."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from .. import io
from .._monitor import Cancelled
from .._pairs import folders_of, is_many, keyed, pair, stem_of
from .._reading import Source
from .._stored import file_name
from ..evaluation._images import ERRORS, Counted, rule_for, scores_of, sentence
from ._batch import Job, check_one_each, run_one
from ._object_table import Entry, entries_of, share_of
from ._rows import Batch, Row, run_numbers_objects

__all__ = ["run_many"]


def run_many(
    job: Job,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str] | None,
    truth: Source | None,
    others: Mapping[str, Source],
) -> Batch:
    """Run a recipe on every image of a folder or pattern; one that fails is a row with its sentence."""
    images = _without_results(io.inputs(source), target)
    check_one_each(job.recipe, others, len(images))
    truths = _partners(images, truth, "truth")
    partners = {name: _partners(images, other, name) for name, other in others.items()}
    places = [None] * len(images) if target is None else _places(images, Path(target), job)
    _check_full(places, target, job)
    scores = None if target is None or truth is None else Path(target) / "scores.csv"
    if scores is not None and scores.exists() and not (job.overwrite or job.resume):
        raise FileExistsError(f"{str(scores)!r} exists already; choose another folder, or allow to overwrite it")
    rows: list[Row] = []
    for at, (image, place, entry) in enumerate(zip(images, places, entries_of(images), strict=True)):
        one = replace(job, entry=entry, on_progress=share_of(job.on_progress, at, len(images)))
        beside = {name: found[image] for name, found in partners.items()}
        with _saying_what_stays(rows, len(images)):
            rows.append(_row(one, image, place, truths, beside))
    batch = Batch(tuple(_by_one_rule(job, rows)))
    if scores is not None:
        batch.to_csv(scores, overwrite=job.overwrite or job.resume)
    return batch


@contextmanager
def _saying_what_stays(rows: Sequence[Row], n: int) -> Iterator[None]:
    """Let a run that is cancelled say how many of its images were written by then."""
    try:
        yield
    except Cancelled as error:
        if done := sum(row.target is not None for row in rows):
            raise Cancelled(f"cancelled; the labels of {done} of {n} images stay: pass resume=True to go on") from error
        raise


def _check_full(places: Sequence[Path | None], target: str | os.PathLike[str] | None, job: Job) -> None:
    """Refuse once, not image by image, a folder that holds the labels of all images already."""
    known = [place for place in places if place is not None]
    if known and not (job.overwrite or job.resume) and all(place.exists() for place in known):
        raise FileExistsError(
            f"the labels of all {len(known)} images are in {os.fspath(target or '')!r} and exist already; pass "
            "resume=True to keep them where the same recipe made them, or allow to overwrite"
        )


def _without_results(images: Sequence[str], target: str | os.PathLike[str] | None) -> Sequence[str]:
    """Leave out what lies in the folder that labels go to, where that is one of those with images."""
    if target is None:
        return images
    folder = Path(target).absolute()
    kept = [image for image in images if folder not in io.split_key(image)[0].absolute().parents]
    return kept or images


def _by_one_rule(job: Job, rows: Sequence[Row]) -> list[Row]:
    """Score all images by one rule, that of `evaluate_images`, because an image of one object looks like a class."""
    found = {at: Counted(row.evaluation.pairs, None, job.ignore) for at, row in enumerate(rows) if row.evaluation}
    rule = rule_for(list(found.values()), job.match, any(row.numbered for row in rows) or None)
    scored = {at: scores_of("", table, rule, job.ignore).evaluation for at, table in found.items()}
    return [replace(row, evaluation=scored[at]) if at in scored else row for at, row in enumerate(rows)]


def _row(
    job: Job,
    image: str,
    place: Path | None,
    truths: Mapping[str, Source | None],
    others: Mapping[str, Source | None],
) -> Row:
    try:
        if lonely := [name for name, other in others.items() if other is None]:
            raise ValueError(f"no {lonely[0]} is named like it, so it was left out; add one or take it out")
        result = run_one(job, image, place, truths.get(image), others)
    except ERRORS as error:
        if job.table is not None:
            job.table.fail(job.entry or Entry(stem_of(image)), sentence(error))
        return Row(image, error=sentence(error))
    unscored = bool(truths) and truths.get(image) is None
    return Row(
        image,
        result.labels if place is None else None,
        result.provenance,
        result.target,
        result.evaluation,
        "no truth is named like it, so it was cut but not scored; add one or take it out" if unscored else "",
        run_numbers_objects(result),
    )


def _places(images: Sequence[str], target: Path, job: Job) -> list[Path | None]:
    """Make the folder that the labels of many images go to, and in it those that the images lie in if they differ."""
    if target.suffix.lower() in io.WRITERS or (target.exists() and not target.is_dir()):
        raise ValueError(f"{len(images)} images need a folder to write to, but {str(target)!r} is the name of one file")
    folders = dict(zip(images, folders_of(images), strict=True))
    places = keyed(
        images,
        lambda image: str(target / folders[image] / f"{file_name(stem_of(image))}{job.suffix}"),
        f"would both be written to {str(target)!r} under one name; run them one folder at a time",
    )
    for place in places:
        Path(place).parent.mkdir(parents=True, exist_ok=True)
    return [Path(place) for place in places]


def _partners(images: Sequence[str], other: Source | None, what: str) -> dict[str, Source | None]:
    """Return the truth, mask or markers of every image: paired by name, or one for all."""
    if other is None:
        return {}
    if is_many(other):
        return pair(images, io.inputs(other), what)
    if what == "truth" and len(images) > 1:
        raise ValueError(f"one truth was given for {len(images)} images; give a folder or a pattern of truths")
    return dict.fromkeys(images, other)
