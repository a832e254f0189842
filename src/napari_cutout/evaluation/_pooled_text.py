"""What is said of scores over many images: the definitions of all figures, notes, and a table as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ._annotation import how_read, rules_taken
from ._bootstrap import N_DRAWS
from ._estimates import Estimate, Figure
from ._images import ImageScores
from ._object_text import DEFINITIONS as OBJECTS
from ._partition_scores import DEFINITIONS as REGIONS

if TYPE_CHECKING:
    from ._pooled_scores import PooledEvaluation

__all__ = ["definitions_of", "notes_of", "summary_of"]

FEW = 10
"""Images below which an interval is said to be too narrow."""

WAYS = {
    "pooled": "Counts are added over all images, and the sum is scored: as if they were one image. Large images, and "
    "images with many objects, weigh more.",
    "image_mean": "Mean of the scores of the images in which the score is defined; each of them weighs the "
    "same. n_images says how many they are, n_undefined how many scored images are left out.",
    "object_mean": "Mean over the true objects of all images, each of which weighs the same; n_objects "
    "says how many they are. Not defined for scores that no single object has.",
    "interval": f"Percentiles of {N_DRAWS:,} bootstrap draws of the images, the same draws for all "
    "figures. It says how far the score would move on other images like these. One image has no interval.",
    "prevalence": "Share of the voxels that truth gives to a class, (TP + FN) / all; of several classes, to any but "
    "the background. Accuracy is high wherever one class fills most of the image, whatever was found.",
}

CLASSES = {
    "dice": "2 TP / (2 TP + FP + FN), in voxels of a class; the mean over the classes but the background, unless a "
    "class is named. Object-mean: that of each true object with the predicted object that fits it best, 0 where none "
    "touches it; one predicted object may fit several.",
    "iou": "TP / (TP + FP + FN), otherwise as dice.",
    "precision": "TP / (TP + FP), in voxels of a class, mean over classes.",
    "recall": "TP / (TP + FN), in voxels of a class, mean over classes.",
    "balanced_accuracy": "(TP / (TP + FN) + TN / (TN + FP)) / 2, in voxels of a class, mean over classes.",
    "mcc": "Matthews' correlation, (TP TN - FP FN) / sqrt((TP + FP) (TP + FN) (TN + FP) (TN + FN)), in voxels of a "
    "class, mean over classes. Not defined where a class fills nothing or everything on one side.",
    "accuracy": "(TP + TN) / all, in voxels of a class, mean over classes; read it beside prevalence.",
    "classes": "A class that is on neither side of an image is not in its mean. The background counts only where there "
    "is no other class.",
}

POOLED = {
    "mean_ap": "Pooled: mean over the thresholds of pooled AP.",
    "seg": "Pooled is the mean over true objects.",
    "over_segmentation": "Pooled is the mean over true objects.",
    "under_segmentation": "Pooled is the mean over true objects.",
    "aji": "Pooled: common voxels and unions are added over all images.",
    "count_error": "Pooled: over all images, where too many in one make up for too few in another.",
    **dict.fromkeys(("vi", "vi_split", "vi_merge", "covering"), "Pooled: each image weighs as many voxels as it has."),
    **dict.fromkeys(
        ("adapted_rand_error", "adapted_rand_precision", "adapted_rand_recall", "rand_index"),
        "Pooled: pairs of voxels of one image are added over all images.",
    ),
    "adjusted_rand_index": "Not pooled: what is expected by chance is that of one image.",
    "assd": "Pooled: over the surface voxels of all images.",
    "surface_dice": "Pooled: over the surface voxels of all images.",
    **dict.fromkeys(("hd95", "hausdorff", "boundary_iou"), "Not pooled: it is no ratio of counts."),
}
"""How a figure is pooled, where that is not plain."""

ABSOLUTE = "Mean over images of the count error without its sign."
RENAMED = {"sq": "segmentation_quality"}


def definitions_of(found: PooledEvaluation) -> dict[str, str]:
    """Return what every figure means, and how the three ways of taking it differ, in sentences for a report."""
    surfaces = _surface_texts(found.scored)
    given = {**CLASSES, **{"absolute_count_error": ABSOLUTE}} | WAYS
    texts: dict[str, str] = dict(WAYS)
    for group, own in (("overlap", given), ("objects", {**given, **OBJECTS}), ("regions", REGIONS)):
        for figure in (one for one in found.figures if one.group == group):
            name = _name(figure)
            texts[name] = _joined(own.get(RENAMED.get(figure.name, figure.name), ""), POOLED.get(figure.name, ""))
    for figure in (one for one in found.figures if one.group == "boundaries"):
        texts[figure.name] = _joined(surfaces[figure.name], POOLED[figure.name])
    texts |= {"classes": CLASSES["classes"]}
    if found.numbered:
        texts |= {"TP": OBJECTS["tp"], "FP": OBJECTS["fp"], "FN": OBJECTS["fn"], "unjudged": OBJECTS["n_unjudged"]}
        texts |= {"background": OBJECTS["background"], "empty": OBJECTS["empty"], "regions": REGIONS["regions"]}
    names = {"surface": "surface", "distance": "distance", "empty": "empty surfaces"}
    return texts | {title: surfaces[name] for name, title in names.items() if surfaces}


def _surface_texts(scored: Sequence[ImageScores]) -> dict[str, str]:
    """Return what boundary scores mean; lengths that follow the image are those of the first, with the range of all."""
    found = [one.boundaries for one in scored if one.boundaries is not None]
    if not found:
        return {}
    texts = found[0].definitions
    for name, key in (("boundary_iou", "width"), ("surface_dice", "tolerance")):
        lengths = [getattr(one, key) for one in found]
        if min(lengths) < max(lengths):
            texts[name] += f" That is of the first image; it is {min(lengths):g} to {max(lengths):g}, by the image."
    if len({one.spacing for one in found}) > 1:
        texts["distance"] += " That is of the first image; others have voxels of their own size."
    return texts


def _name(figure: Figure) -> str:
    """Return what a figure is called beside others: voxels and objects both have a precision."""
    return f"{figure.name} of objects" if figure.name in CLASSES and figure.group == "objects" else figure.name


def _joined(*texts: str) -> str:
    return " ".join(text if text.endswith(".") else f"{text}." for text in texts if text)


def notes_of(found: PooledEvaluation) -> list[str]:
    """Return what one should know before reading a figure, in sentences."""
    scored = found.scored
    notes = [_counted(found)]
    if not scored:
        return notes
    evaluations = [one.evaluation for one in scored if one.evaluation is not None]
    zones = found.ignore == 0 and any(one.objects and one.objects.n_complete is not None for one in scored)
    notes.append(
        "Unpainted voxels of the truth (0) were read as background in the region that is annotated completely, and as "
        "not annotated elsewhere."
        if zones
        else f"{how_read(evaluations, found.ignore)}."
    )
    notes.append(_matched(found))
    notes += [one for one in (rules_taken(evaluations), _nothing(scored)) if one]
    notes += sorted({one.objects.why_nan for one in scored if one.objects is not None and one.objects.why_nan})
    if len(scored) == 1:
        notes.append("One image has no interval: nothing is known of how far scores move between images.")
    elif len(scored) < FEW:
        notes.append(f"Intervals of fewer than {FEW} images tend to be too narrow.")
    return notes


def _counted(found: PooledEvaluation) -> str:
    failed = len(found.images) - len(found.scored)
    parts = [f"{len(found.scored)} of {len(found.images)} pair{'s' * (len(found.images) != 1)} scored"]
    parts += [f"{failed} not, for the reason in its row"] if failed else []
    for one, many, names in (
        ("file of labels", "files of labels", found.unpaired_predicted),
        ("truth", "truths", found.unpaired_truth),
    ):
        parts += [f"{len(names)} {one if len(names) == 1 else many} without a partner"] if names else []
    return ", ".join(parts) + "."


RULES = {
    "binary": "for scores of voxels any label but 0 is object",
    "value": "a label is the class of that number",
    "overlap": "each label counts as the class that it shares most voxels with, which favours the prediction",
    "auto": "each image was matched by a rule of its own",
}


def _matched(found: PooledEvaluation) -> str:
    kinds = "Labels number objects" if found.numbered else "Labels name what is wanted"
    return f"{kinds}; {RULES[found.match]} (matched by {found.match})."


def _nothing(scored: Sequence[ImageScores]) -> str:
    """Say how many images hold nothing on either side, where a score would be that of nothing."""
    empty = [one.name for one in scored if one.evaluation is not None and not _holds_something(one)]
    if not empty:
        return ""
    return (
        f"{len(empty)} of the images hold no object on either side, as {empty[0]!r}: their Dice and IoU, and the "
        "scores of objects, are not defined. They are not in those image-means, and add nothing to what is pooled. "
        "Whoever counts them as 1 gets a higher mean."
    )


def _holds_something(one: ImageScores) -> bool:
    assert one.evaluation is not None
    pairs = one.evaluation.pairs
    return bool(pairs.predicted.any() or pairs.truth.any())


def summary_of(found: PooledEvaluation) -> str:
    """Return the figures as a text table, with what one should know of them."""
    shown = [one for one in found.figures if not one.of.startswith("IoU") or one.of == "IoU 0.5"]
    rows = [("", "pooled", "image-mean", "object-mean", "images")]
    rows += [
        (one.label, _word(one.pooled), _word(one.image_mean), _word(one.object_mean), str(one.image_mean.n))
        for one in shown
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, "", *_folders_of(found), *found.notes])


OF_FOLDERS = (("dice", ""), ("pq", "IoU 0.5"), ("ap", "IoU 0.5"), ("f1", "IoU 0.5"))


def _folders_of(found: PooledEvaluation) -> list[str]:
    """Return the main figures of each folder as lines of text, the ways named; none where there is one folder."""
    rows = [row for row in found.by_folder if (row["figure"], row["of"]) in OF_FOLDERS]
    words = []
    for row in rows:
        ways = [f"{row[way]:.4f} {said}" for way, said in (("pooled", "pooled"), ("image_mean", "image-mean"))]
        label = f"{row['figure']} ({row['of']})" if row["of"] else row["figure"]
        words.append(f"{row['folder']}: {label} {', '.join(ways)}, of {row['n_images']} images")
    return [*words, ""] if words else []


def _word(estimate: Estimate) -> str:
    if math.isnan(estimate.value):
        return "-"
    between = "" if math.isnan(estimate.low) else f" [{estimate.low:.4f}, {estimate.high:.4f}]"
    return f"{estimate.value:.4f}{between}"
