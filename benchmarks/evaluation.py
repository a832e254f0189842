"""All overlap, object and partition scores from one table, against scikit-image's two of the partition."""

from __future__ import annotations

import numpy as np
from skimage.metrics import adapted_rand_error, variation_of_information

from _harness import Case, Target
from napari_cutout.evaluation.overlap import evaluate

PARTITION = ("vi_split", "vi_merge", "vi", "adapted_rand_error", "rand_index", "adjusted_rand_index", "covering")
OBJECTS = ("f1", "ap", "pq", "mean_ap", "seg", "aji", "over_segmentation", "under_segmentation")
OVERLAP = ("iou", "dice", "mcc", "mean_iou", "mean_dice")


def all_scores(predicted: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """Return every overlap, object and partition score, and the table of objects, from one pass."""
    found = evaluate(predicted, truth)
    objects, partition = found.objects, found.partition
    groups = ((found, OVERLAP), (objects, OBJECTS), (partition, PARTITION))
    scores = {name: np.asarray(getattr(scored, name)) for scored, names in groups for name in names}
    return scores | {"table": np.asarray(objects.object_table(0.5)["iou"])}


def of_the_partition(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return variation of information by splits and by merges, and the adapted Rand error."""
    split, merge = variation_of_information(truth, predicted)
    with np.errstate(invalid="ignore"):  # a small sample may have no region of two voxels
        return np.asarray([split, merge, adapted_rand_error(truth, predicted, ignore_labels=())[0]])


def same_partition(ours: dict[str, np.ndarray], peer: np.ndarray) -> float:
    """Compare the scores that both have."""
    found = [ours[name] for name in ("vi_split", "vi_merge", "adapted_rand_error")]
    return float(np.mean(np.isclose(found, peer, rtol=1e-9, atol=1e-12)))


CASES = [
    Case(
        f"all scores of {number} objects",
        (f"moved-objects:{kind}", f"objects:{kind}"),
        all_scores,
        of_the_partition,
        same_partition,
        target,
        rounds=3,
    )
    for number, kind, target in (
        ("400", "400", Target(ratio=10, seconds=1)),
        ("140,000", "packed", Target(seconds=10)),
    )
]
