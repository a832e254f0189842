"""The report of an evaluation: a page to read, tables for a paper, and what it takes to check them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import io
from .._monitor import watch
from .._pairs import FilePair, Pairing
from .._scoring import ScoredFiles, Settings, score_pairs
from ..comparison.leaderboard import FOR_CHOOSING
from ..evaluation._estimates import Estimate, Figure
from ..evaluation._pooled_scores import PooledEvaluation
from ..evaluation.overlap import or_null
from . import _machine
from ._comparison import FORMAT, VERSION, as_json
from ._files import check_folder, write_folder
from ._latex import latex_table
from ._paths import path_from, place_of, places_of
from ._tables import Column, as_csv
from ._verify import Found, Moved

__all__ = ["TITLES", "is_for_choosing", "paper_figures", "record_of", "run_again", "write_report"]

TITLES = {
    "dice": "Dice",
    "iou": "IoU",
    "precision": "Precision",
    "recall": "Recall",
    "balanced_accuracy": "Balanced accuracy",
    "mcc": "MCC",
    "accuracy": "Accuracy",
    "prevalence": "Prevalence",
    "mean_ap": "Mean AP",
    "ap": "AP",
    "f1": "F1",
    "pq": "PQ",
    "sq": "SQ",
    "seg": "SEG",
    "aji": "AJI",
    "over_segmentation": "Split, share",
    "under_segmentation": "Merged, share",
    "count_error": "Count error",
    "absolute_count_error": "Absolute count error",
    "vi": "VI",
    "vi_split": "VI, split",
    "vi_merge": "VI, merge",
    "covering": "Covering",
    "adapted_rand_error": "Adapted Rand error",
    "adapted_rand_precision": "Adapted Rand precision",
    "adapted_rand_recall": "Adapted Rand recall",
    "rand_index": "Rand index",
    "adjusted_rand_index": "Adjusted Rand index",
    "assd": "ASSD",
    "surface_dice": "Surface Dice",
    "hd95": "HD95",
    "hausdorff": "Hausdorff",
    "boundary_iou": "Boundary IoU",
}
"""What figures are called in tables."""

WAYS = {"pooled": "Pooled", "image_mean": "Image-mean", "object_mean": "Object-mean"}
"""The three ways of taking a figure, which are named wherever one stands."""

FOR_A_PAPER = ("dice", "iou", "ap", "mean_ap", "f1", "pq", "seg", "aji", "vi", "adapted_rand_error")
"""What the LaTeX table shows, with all that is measured on surfaces."""


def write_report(scored: ScoredFiles, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write the report of an evaluation.

    Parameters
    ----------
    scored : ScoredFiles
        What `score_files` returned.
    folder : str or path
        The folder to make.
    overwrite : bool
        Take a folder that is there: the files of an earlier report are replaced, and all others stay.

    Returns
    -------
    Path
        The page, ``report.html``. Beside it are ``images.csv``, ``scores.csv``, ``scores.tex`` and ``report.json``,
        and ``folders.csv`` where labels lie in several folders.

    Raises
    ------
    FileExistsError
        If the folder holds something and `overwrite` is False, or a file lies in the way that no report wrote.
    OSError
        If it cannot be written. Nothing is changed then.
    """
    from ._evaluation_page import page_of

    place = check_folder(folder, overwrite)
    content = content_of(scored, place)
    files = {
        "report.html": page_of(scored, content),
        "images.csv": as_csv(scored.result.table),
        "scores.csv": scored.result.figures_csv,
        **({"folders.csv": by_folder} if (by_folder := scored.result.folders_csv) else {}),
        "scores.tex": as_latex(scored),
        "report.json": as_json(content),
    }
    return write_folder(place, files, overwrite=overwrite) / "report.html"


def is_for_choosing(scored: ScoredFiles) -> bool:
    """Tell whether truth holds strokes, which were painted where somebody chose to look."""
    return scored.settings.ignore == 0 and not any(one.complete for one in scored.pairing.pairs)


def content_of(scored: ScoredFiles, folder: Path) -> dict[str, Any]:
    """Return everything that ``report.json`` holds.

    Parameters
    ----------
    scored : ScoredFiles
        The scores.
    folder : Path
        Where the report will be, from which paths lead.

    Returns
    -------
    dict
        Plain JSON, from which the evaluation can be run again.
    """
    found, pairing = scored.result, scored.pairing
    return {
        "format": FORMAT,
        "version": VERSION,
        "kind": "evaluation",
        "created": _machine.now(),
        "versions": _machine.versions(),
        "hardware": _machine.hardware(),
        "arguments": scored.settings.as_dict(),
        "inputs": [_known(one, folder) for one in pairing.pairs],
        "unpaired_predicted": [path_from(folder, file) for file in pairing.unpaired_predicted],
        "unpaired_truth": [path_from(folder, file) for file in pairing.unpaired_truth],
        "for_choosing_only": is_for_choosing(scored),
        "match": found.match,
        "numbered": found.numbered,
        "unit": scored.unit,
        "notes": found.notes,
        "rows": rows_of(found),
        "worst_objects": [_plain(row) for row in found.worst_objects()],
        "definitions": found.definitions,
    }


def rows_of(found: PooledEvaluation) -> list[dict[str, Any]]:
    """Return the figures, and then the images, each by a name of its own; NaN becomes None."""
    figures = [{"name": f"{one.group}: {one.label}", **_plain(one.row)} for one in found.figures]
    images = [{"name": f"image: {title}", **_plain(row)} for title, row in zip(found.titles, found.table, strict=False)]
    return figures + images


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: or_null(value) for name, value in row.items()}


def _known(one: FilePair, folder: Path) -> dict[str, Any]:
    """Return a pair with the SHA-256 of its files, as paths that lead from a folder."""
    files = {"predicted": one.predicted, "truth": one.truth, "complete": one.complete}
    known = {role: _file(folder, file) for role, file in files.items() if file}
    place = {"folder": one.folder} if one.folder else {}
    return {"name": one.name, **place, **known, **({"error": one.error} if one.error else {})}


def _file(folder: Path, file: str) -> dict[str, str]:
    path = io.split_key(file)[0]
    return {"path": path_from(folder, file), "sha256": _machine.file_sha256(path) if path.exists() else ""}


# Tables ------------------------------------------------------------------------------------------------


def record_of(figure: Figure) -> dict[str, Any]:
    """Return a line of a table of figures, with its intervals in words."""
    row = figure.row
    name = f"{TITLES[figure.name]}{_of(figure)}"
    intervals = {f"{way}_interval": interval(getattr(figure, way)) for way in WAYS}
    return {**row, "name": name, **intervals}


def _of(figure: Figure) -> str:
    """Return what a figure is of, as a table says it: AP at an IoU of 0.5, Dice of class 2."""
    return (
        f" @ {figure.of.removeprefix('IoU ')}" if figure.of.startswith("IoU ") else f", {figure.of}" * bool(figure.of)
    )


def interval(estimate: Estimate) -> str | None:
    """Return the ends of an interval in words; None where there is none."""
    low, high = estimate.low, estimate.high
    return None if low != low or estimate.value != estimate.value else f"{low:.3f}\N{EN DASH}{high:.3f}"


def paper_figures(found: PooledEvaluation) -> list[Figure]:
    """Return the figures that a table in a paper has room for; AP at an IoU of 0.5."""
    return [
        one
        for one in found.figures
        if (one.name in FOR_A_PAPER or one.group == "boundaries")
        and (not one.of.startswith("IoU ") or one.of == "IoU 0.5")
    ]


def as_latex(scored: ScoredFiles) -> str:
    """Return the table for a paper, whose caption says how figures were made."""
    found = scored.result
    figures = paper_figures(found)
    there = [way for way in WAYS if any(getattr(one, way).value == getattr(one, way).value for one in figures)]
    columns = [Column("name", "Score", is_text=True)]
    for way in there:
        columns += [Column(way, WAYS[way], 3), Column(f"{way}_interval", "95 % interval")]
    columns.append(Column("n_images", "Images"))
    caption = (
        f"Scores of {len(found.scored)} images. Pooled: counts are added over all images, and then scored; image-mean: "
        "mean of the images in which the score is defined"
    )
    caption += "; object-mean: mean of the true objects of all images." if "object_mean" in there else "."
    caption += f" Intervals are 95 % bootstrap percentiles over images. {' '.join(found.notes[1:3])}"
    if scored.unit:
        caption += f" Lengths are in {scored.unit}."
    if is_for_choosing(scored):
        caption += f" {FOR_CHOOSING[0].upper()}{FOR_CHOOSING[1:]}."
    return latex_table(columns, [record_of(one) for one in figures], caption, "tab:evaluation")


# Again -------------------------------------------------------------------------------------------------


def run_again(
    content: Mapping[str, Any],
    folder: Path,
    moved: Moved,
    *,
    device: str | None = None,
    on_progress: Callable[[str, float], None] | None = None,
) -> Found:
    """Score the files of a report again.

    Parameters
    ----------
    content : mapping
        What ``report.json`` holds.
    folder : Path
        Where it is.
    moved : Moved
        Where files are now: labels as `image`, and truths.
    device : {"auto", "cpu", "gpu"}, optional
        Has no effect.
    on_progress : callable, optional
        Called with the stage and the fraction of it that is done.

    Returns
    -------
    Found
        Figures and images, and what is different in the files.

    Raises
    ------
    ValueError
        If a file is not where it was, and `moved` does not say where it is.
    """
    pairs = _pairs_again(content["inputs"], folder, moved)
    with watch(on_progress):
        scored = score_pairs(Pairing(pairs), Settings.from_dict(content["arguments"]))
    now = [_known(one, folder) for one in pairs]
    return Found(
        rows_of(scored.result),
        "name",
        {"match": scored.result.match, "numbered": scored.result.numbered, "unit": scored.unit},
        tuple(_other_files(content["inputs"], now)),
    )


def _pairs_again(inputs: Sequence[Mapping[str, Any]], folder: Path, moved: Moved) -> tuple[FilePair, ...]:
    """Return the pairs of a report, with their files where they are now."""
    places: dict[str, dict[int, str]] = {}
    for role, given, option in (("predicted", moved.image, "--image"), ("truth", moved.truth, "--truth")):
        there = {at: one[role]["path"] for at, one in enumerate(inputs) if role in one}
        files = places_of(list(there.values()), folder, given, option) if there else []
        places[role] = dict(zip(there, files, strict=True))
    return tuple(
        FilePair(
            one["name"],
            places["predicted"].get(at, ""),
            places["truth"].get(at, ""),
            place_of(one["complete"]["path"], folder, "--truth") if "complete" in one else "",
            one.get("error", ""),
            one.get("folder", ""),
        )
        for at, one in enumerate(inputs)
    )


def _other_files(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for was, now in zip(old, new, strict=True):
        for role in ("predicted", "truth", "complete"):
            if role in was and was[role]["sha256"] != now[role]["sha256"]:
                yield f"{role} {was[role]['path']!r}: the file is another one (SHA-256)"
