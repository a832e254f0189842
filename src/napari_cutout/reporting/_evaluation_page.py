"""The page of an evaluation: three ways of taking each score, every image, the worst of them, and how it was made."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .._array import to_numpy
from .._device import size
from .._pairs import FilePair
from .._reading import read_labels
from .._scoring import ScoredFiles
from ..comparison.leaderboard import FOR_CHOOSING
from ..evaluation._images import ERRORS, ImageScores
from ..evaluation._matching import Match
from ..evaluation._pooled_scores import PooledEvaluation
from ..evaluation.overlap import Evaluation, error_map
from ..evaluation.rank_changes import dice_of, iou_per_item
from ._evaluation import TITLES, WAYS, interval, is_for_choosing, record_of
from ._panels import Picture, png_uri, wrong
from ._plots import curve_plot, line_plot, strip_plot
from ._tables import Column

__all__ = ["page_of"]

GROUPS = {
    "overlap": "Voxels",
    "objects": "Objects",
    "regions": "Regions",
    "boundaries": "Boundaries",
}
"""What the groups of figures are called."""

MAX_IMAGES = 500
"""Images that the page lists; the CSV has all."""

MAX_PICTURES = 6
"""Worst images that are shown."""

MAX_DOTS = 2000
"""Dots of one kind that the plot of IoU against Dice shows, taken evenly."""

OF_IMAGES = (
    ("prevalence", "Prevalence", 3),
    ("mean_dice", "Dice", 3),
    ("mean_iou", "IoU", 3),
    ("mean_ap", "Mean AP", 3),
    ("AP@0.5", "AP @ 0.5", 3),
    ("F1@0.5", "F1 @ 0.5", 3),
    ("PQ@0.5", "PQ @ 0.5", 3),
    ("seg", "SEG", 3),
    ("aji", "AJI", 3),
    ("n_true", "True", None),
    ("n_predicted", "Predicted", None),
    ("count_error", "Count error", None),
    ("split", "Split", None),
    ("merged", "Merged", None),
    ("missed", "Missed", None),
    ("invented", "Invented", None),
    ("vi", "VI", 3),
    ("adapted_rand_error", "Adapted Rand error", 3),
    ("assd", "ASSD", 3),
    ("surface_dice", "Surface Dice", 3),
    ("hd95", "HD95", 3),
)
"""Columns of the table of images: entry, title, digits."""


SHORT = ("mean_dice", "mean_iou", "AP@0.5", "PQ@0.5", "n_true", "count_error", "split", "merged", "missed", "invented")
"""Columns of the table of the worst images."""

STRIPS = {"mean_dice": "Dice", "mean_iou": "IoU", "AP@0.5": "AP @ 0.5", "F1@0.5": "F1 @ 0.5", "PQ@0.5": "PQ @ 0.5"}
"""Scores of images that are plotted."""


def page_of(scored: ScoredFiles, content: Mapping[str, Any]) -> str:
    """Return the page.

    Parameters
    ----------
    scored : ScoredFiles
        The scores.
    content : mapping
        What ``report.json`` holds.

    Returns
    -------
    str
        HTML that needs nothing else.
    """
    from ._page import page

    found = scored.result
    images = found.table[: len(found.images)]
    return page(
        "evaluation.html.j2",
        title="How good are these labels?",
        created=content["created"],
        verdict=list(verdict(found)),
        warning=FOR_CHOOSING if is_for_choosing(scored) else "",
        notes=found.notes,
        not_scored=list(not_scored(found)),
        groups=list(groups(scored)),
        plots=dict(plots(found)),
        means=means(found),
        image_columns=image_columns(images),
        worst_columns=image_columns(images, SHORT),
        images=[{**row, "error": "not scored" if row["error"] else ""} for row in images[:MAX_IMAGES]],
        n_images=len(images),
        n_scored=len(found.scored),
        worst_images=found.worst_images(),
        worst_by="PQ at an IoU of 0.5" if found.numbered else "Dice",
        pictures=list(pictures(scored)),
        folder_columns=folder_columns(found),
        folders=folder_records(found),
        object_columns=object_columns(in_several(images)),
        worst_objects=[{**row, "predicted": row["predicted"] or None} for row in found.worst_objects()],
        definitions={TITLES.get(n, n.replace("_", "-").capitalize()): text for n, text in found.definitions.items()},
        made=made(scored, content),
        inputs=list(inputs(content["inputs"])),
    )


# Words -------------------------------------------------------------------------------------------------


def verdict(found: PooledEvaluation) -> Iterator[str]:
    """Yield the main figures in the ways that they have, each named."""
    if not found.scored:
        yield "No image could be scored; the reasons are below."
        return
    yield f"Dice of {len(found.scored)} image{'s' * (len(found.scored) != 1)}: {_ways(found, 'dice')}."
    if found.numbered:
        yield f"PQ of objects at an IoU of 0.5: {_ways(found, 'pq', 'IoU 0.5')}."
        yield f"AP of objects at an IoU of 0.5: {_ways(found, 'ap', 'IoU 0.5')}."


def _ways(found: PooledEvaluation, name: str, of: str = "") -> str:
    """Return a figure in the ways that it has; of one image, pooled and image-mean are the same."""
    figure = found.figure(name, of)
    words = {"pooled": " pooled", "image_mean": " as image-mean", "object_mean": " as object-mean"}
    if len(found.scored) == 1:
        words = {"image_mean": "", "object_mean": words["object_mean"]}
    ways = [(getattr(figure, way), word) for way, word in words.items()]
    return (
        "; ".join(f"{one.value:.3f}{_between(one)}{word}" for one, word in ways if one.value == one.value)
        or "not defined"
    )


def _between(one: Any) -> str:
    return f" ({interval(one)})" if interval(one) else ""


def not_scored(found: PooledEvaluation) -> Iterator[dict[str, str]]:
    """Yield every file that is in no figure, and why."""
    for row in found.table:
        if row["error"]:
            yield {"name": row["image"], "reason": row["error"]}


def groups(scored: ScoredFiles) -> Iterator[dict[str, Any]]:
    """Yield the tables of figures, one for each kind of score."""
    texts = scored.result.definitions
    for group, title in GROUPS.items():
        figures = [one for one in scored.result.figures if one.group == group]
        if figures:
            shown = [one for one in figures if not one.of.startswith("IoU ") or one.of in ("IoU 0.5", "IoU 0.75")]
            yield {
                "title": title if group != "boundaries" else f"{title}, lengths in {_unit(scored)}",
                "id": group,
                "columns": figure_columns(group, texts, len(scored.result.scored) > 1),
                "records": [record_of(one) for one in shown],
            }


def _unit(scored: ScoredFiles) -> str:
    return "the unit of the spacing" if scored.settings.spacing else scored.unit or "voxels"


def figure_columns(group: str, texts: Mapping[str, str], intervals: bool) -> list[Column]:
    """Return the columns of a table of figures, with their intervals if there are some."""
    columns = [Column("name", "Score", is_text=True)]
    for way, title in WAYS.items():
        if way != "object_mean" or group != "regions":
            columns.append(Column(way, title, 3, texts[way]))
            columns += [Column(f"{way}_interval", "95 %", about=texts["interval"])] if intervals else []
    columns += [Column("n_images", "Images"), Column("n_undefined", "Not defined in")]
    return columns + ([Column("prevalence", "Prevalence", 3, texts["prevalence"])] if group == "overlap" else [])


# Plots -------------------------------------------------------------------------------------------------


def plots(found: PooledEvaluation) -> Iterator[tuple[str, Any]]:
    """Yield the plots that there is something to show in."""
    from markupsafe import Markup

    rows = [row for row in found.table if not row["error"]]
    strips = {title: [row[key] for row in rows] for key, title in STRIPS.items() if rows and key in rows[0]}
    if len(rows) > 1:
        yield "images", Markup(strip_plot(strips, "score of an image", "Scores of each image"))
    if found.numbered and found.figures:
        limits = [one for one in found.figures if one.name == "ap"]
        x = [float(one.of.removeprefix("IoU ")) for one in limits]
        lines = {WAYS[way]: [getattr(one, way).value for one in limits] for way in ("pooled", "image_mean")}
        yield (
            "ap",
            Markup(line_plot(x, lines, ("IoU from which on objects are matched", "AP"), "AP over the threshold")),
        )
    if curves := curve(found):
        yield "curve", Markup(curve_plot(curves, "Dice over IoU of images and of objects"))


def curve(found: PooledEvaluation) -> dict[str, tuple[list[float], list[float]]]:
    """Return IoU and Dice of each class of each image, and of each true object."""
    of_images = [score for one in found.scored for score in _of_classes(one.evaluation)]
    objects = [list(iou_per_item(one.objects).values()) for one in found.scored if one.objects is not None]
    of_objects = [score for scores in objects for score in scores]
    series = {"images": of_images, "objects": of_objects}
    return {name: _on_curve(_thinned(scores)) for name, scores in series.items() if scores}


def _of_classes(evaluation: Evaluation | None) -> list[float]:
    """Return the IoU of each class that occurs in an image, without the background."""
    if evaluation is None:
        return []
    iou = evaluation.iou[evaluation.classes != 0]
    known: list[float] = iou[~np.isnan(iou)].tolist()
    return known


def _thinned(scores: Sequence[float]) -> list[float]:
    if len(scores) <= MAX_DOTS:
        return list(scores)
    order = sorted(scores)
    return [order[round(at)] for at in np.linspace(0, len(order) - 1, MAX_DOTS)]


def _on_curve(iou: Sequence[float]) -> tuple[list[float], list[float]]:
    return list(iou), dice_of(np.asarray(iou)).tolist()


def means(found: PooledEvaluation) -> str:
    """Say what happens to a mean that is converted as a single score can be."""
    if not found.figures or math.isnan(iou := found.figure("iou").image_mean.value):
        return ""
    dice = found.figure("dice").image_mean.value
    return (
        f"Here the image-mean of IoU is {iou:.4f}; the curve would make a Dice of {2 * iou / (1 + iou):.4f} of it, and "
        f"the image-mean of Dice is {dice:.4f}."
    )


# Tables ------------------------------------------------------------------------------------------------


def image_columns(images: Sequence[Mapping[str, Any]], names: Sequence[str] | None = None) -> list[Column]:
    """Return the columns of a table of images: some, or all that there is something in."""
    there = {name for row in images for name in row}.intersection(
        [key for key, *_ in OF_IMAGES] if names is None else names
    )
    scores = [Column(key, title, digits) for key, title, digits in OF_IMAGES if key in there]
    notes = [Column("error", "Note", is_text=True)] if names is None and any(row["error"] for row in images) else []
    places = [Column("folder", "Folder", is_text=True)] if in_several(images) else []
    return [Column("image", "Image", is_text=True), *places, *scores, *notes]


def in_several(images: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether images lie in several folders."""
    return len({row.get("folder", "") for row in images}) > 1


OF_FOLDERS = {"dice": "Dice", "ap": "AP @ 0.5", "pq": "PQ @ 0.5", "count_error": "Count error"}
"""What the table of folders shows."""


def folder_records(found: PooledEvaluation) -> list[dict[str, Any]]:
    """Return a line for each folder with its main figures, pooled and as image-mean; none where there is but one."""
    records: dict[str, dict[str, Any]] = {}
    for row in found.by_folder:
        if row["figure"] in OF_FOLDERS and row["of"] in ("", "IoU 0.5"):
            record = records.setdefault(row["folder"], {"folder": row["folder"]})
            record |= {f"{row['figure']}_{way}": row[way] for way in ("pooled", "image_mean")}
    for folder, record in records.items():
        record["n_images"] = sum(one.folder == folder for one in found.scored)
    return list(records.values())


def folder_columns(found: PooledEvaluation) -> list[Column]:
    """Return the columns of the table of folders, each with the way it was taken."""
    there = {figure.name for figure in found.figures}
    columns = [
        Column(f"{name}_{way}", f"{title}, {WAYS[way].lower()}", 3)
        for name, title in OF_FOLDERS.items()
        if name in there
        for way in ("pooled", "image_mean")
    ]
    return [Column("folder", "Folder", is_text=True), Column("n_images", "Images"), *columns]


def object_columns(in_folders: bool = False) -> list[Column]:
    """Return the columns of the table of objects, with their folder if images lie in several."""
    return [
        Column("image", "Image", is_text=True),
        *([Column("folder", "Folder", is_text=True)] if in_folders else []),
        Column("true", "True label"),
        Column("kind", "Fate", is_text=True),
        Column("iou", "IoU", 3),
        Column("dice", "Dice", 3),
        Column("predicted", "Lies on label"),
        Column("true_size", "True voxels"),
        Column("predicted_size", "Predicted voxels"),
    ]


# Pictures ----------------------------------------------------------------------------------------------


def pictures(scored: ScoredFiles) -> Iterator[dict[str, str]]:
    """Yield where the worst images are wrong; each is read again, in the plane in which most is wrong."""
    known = {
        (one.name, one.folder): (one, pair)
        for one, pair in zip(scored.result.images, scored.pairing.pairs, strict=True)
    }
    for row in scored.result.worst_images(MAX_PICTURES):
        one, pair = known[row["image"], row.get("folder", "")]
        try:
            picture = picture_of(one, pair)
        except ERRORS:  # the file was there when it was scored; a page without its picture is better than none
            continue
        words = ", ".join(f"{title} {row[key]:.3f}" for key, title in STRIPS.items() if key in row)
        yield {"uri": png_uri(picture), "name": one.name, "text": words, "alt": f"Errors of {one.name}: {words}"}


def picture_of(one: ImageScores, pair: FilePair) -> Picture:
    """Return the plane of an image in which most voxels are wrong, painted."""
    labels, truth = (to_numpy(read_labels(file, "labels")) for file in (pair.predicted, pair.truth))
    evaluation = one.evaluation
    assert evaluation is not None
    named = labels
    if evaluation.match == "overlap":
        known, classes = (np.asarray(list(side)) for side in (evaluation.mapping, evaluation.mapping.values()))
        named = classes[np.clip(np.searchsorted(known, labels), None, len(known) - 1)]
    match: Match = "binary" if evaluation.match == "binary" else "value"
    errors = to_numpy(error_map(named, truth, ignore=evaluation.ignore, match=match))
    if errors.ndim > 2:
        at = int((errors > 1).sum(axis=(1, 2)).argmax())
        errors, labels = errors[at], labels[at]
    return wrong(errors, labels)


# Facts -------------------------------------------------------------------------------------------------


def made(scored: ScoredFiles, content: Mapping[str, Any]) -> dict[str, str]:
    """Return how the evaluation was made, as facts for people."""
    settings, hardware = scored.settings, content["hardware"]
    ignore, memory = settings.ignore, size(hardware["memory_bytes"])
    return {
        "Made": content["created"],
        "Images": f"{len(scored.result.scored)} of {len(scored.result.images)} pairs scored",
        "Not annotated": "nothing: all voxels count" if ignore is None else f"voxels whose truth is {ignore}",
        "Labels": f"{'number objects' if content['numbered'] else 'name classes'}, matched by {content['match']}",
        "Voxel size": " x ".join(f"{n:g}" for n in settings.spacing or ()) or "that of each file",
        "Seed": f"{settings.seed}, of the bootstrap",
        "Processor": f"{hardware['cpu']}, {hardware['cores']} cores, {memory} of memory",
        "GPU": hardware["gpu"] or "none",
        "System": hardware["system"],
        "Versions": ", ".join(f"{name} {number}" for name, number in content["versions"].items()),
    }


def inputs(pairs: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    """Yield what was read: without folders, which name users and projects."""
    for pair in pairs:
        for role, title in (("predicted", "labels"), ("truth", "truth"), ("complete", "complete region")):
            if role in pair:
                name = pair[role]["path"].rpartition("/")[2]
                yield {"role": title, "name": name, "sha256": pair[role]["sha256"]}
