"""What the command line says: of one run, of many, and of what is wrong, in words of its own."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from .. import catalog
from ._options import (
    COMPARE_OPTIONS,
    IMAGES,
    IN_THE_FILE,
    PLAN_OPTIONS,
    RECIPE_OPTIONS,
    RUN_OPTIONS,
    STORE_OPTIONS,
    input_option,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..evaluation.pooled import PooledEvaluation
    from ..running._batch import Batch, Row
    from ..running._execute import Result
    from ..running._object_table import Tables

SOME_FAILED = 1
"""Exit code where some images of a folder failed and the others are done."""

MANY = 32
"""Labels above which they are counted, and no longer listed one by one."""

CHOSEN = ("beta", "scale", "contrast")
"""Settings that a method finds by itself if they are not given, under which name it also tells what it took."""

_WORDS = {
    "allow to overwrite": "give --overwrite",
    "use 'cpu'": "give --device cpu",
    "channel_axis=-1 for": "--axes yxc for",
}
"""Ways out as Python has them, and as the command line has them."""


def as_options(text: str) -> str:
    """Return a sentence with settings as the command line spells them: ``--channel 0`` for ``channel=0``.

    Parameters
    ----------
    text : str
        A sentence of the library.

    Returns
    -------
    str
        The same; names in quotes, such as those of files, stay what they are.
    """
    params = {p.name for entry in catalog.methods().values() for p in entry.params}
    known = {
        *RUN_OPTIONS,
        *PLAN_OPTIONS,
        *STORE_OPTIONS,
        *RECIPE_OPTIONS,
        *COMPARE_OPTIONS,
        *IMAGES,
        *params,
    } - IN_THE_FILE

    def spelled(found: re.Match[str]) -> str:
        way, name, value, alone, array, file = found.group("way", "name", "value", "alone", "array", "file")
        if way:
            return _WORDS[way]
        if array:
            return " ".join(input_option(array, file))
        option = f"--{(name or alone or '').replace('_', '-')}"
        return (
            (option if value == "True" else f"{option} {value}")
            if name in known
            else option
            if alone in known
            else found.group()
        )

    ways = "|".join(map(re.escape, _WORDS))
    pattern = (
        rf"\b(?P<way>{ways})(?: it\b| a file\b)?|\b(?P<name>[a-z_]+)='?(?P<value>[\w.+-]*\w)'?"
        r"|`(?P<alone>[a-z_]+)`|inputs=\{'(?P<array>[^']+)': '(?P<file>[^']+)'\}|(?<!\w)'[^']*'"
    )
    return re.sub(pattern, spelled, text)


def report(name: str, result: Result) -> str:
    """Return one line on a run: method, what was found, device and why, seconds, file.

    Parameters
    ----------
    name : str
        What was run.
    result : Result
        What it gave.

    Returns
    -------
    str
        The line.
    """
    device = result.provenance["device"]
    place = "" if result.target is None else f"; written to {result.target}"
    return (
        f"{name}: {what_was_found(result)}{_how_large(result)}; on the {device['used'].upper()} because "
        f"{device['reason']}; {_time(result.provenance['seconds'])}{place}"
    )


def _how_large(result: Result) -> str:
    """Return how many voxels and tiles there were, of a run in tiles."""
    told = result.provenance
    how = f"; {told['out_of_memory']}" if "out_of_memory" in told else ""
    again = f"; {told['resumed']}" if "resumed" in told else ""
    if told.get("plan", {}).get("mode") == "tiles":
        return f" in {'x'.join(map(str, result.labels.shape))} voxels, {told['tiling']}{how}{again}"
    return how + again


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


def what_was_found(result: Result) -> str:
    """Return the number of objects, or the share of each class, the thresholds, and what is to be known of them."""
    last = result.provenance["steps"][-1]
    if "n_tracks" in last["facts"]:
        found = (
            f"{_many(last['facts']['n_tracks'], 'linked object')}, {_many(last['facts']['n_divisions'], 'division')}"
        )
    elif last["settings"].get("one_per_object") or "n_objects" in last["facts"]:
        n = result.provenance.get("n_labels")
        n = int(result.labels.max()) if n is None else n
        found = _many(n, "object")
    elif "n_labels" in result.provenance:
        found = _shares_of_stored(result.provenance, last["method"])
    else:
        found = _shares(result.labels, last["method"])
    return found + _what_was_noted(last["facts"]) + _how_nearly(last)


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _shares(labels: NDArray[Any], method: str) -> str:
    """Return how much of the image each class has, or of regions how many there are and how large."""
    import numpy as np

    there, counts = np.unique(labels, return_counts=True)
    counts, there = counts[there != 0], there[there != 0]
    if not len(there):
        return "nothing"
    if len(there) > MANY or _numbers_regions(method):
        if len(there) == 1:
            return f"1 region, {counts[0] / labels.size:.1%}"
        largest, half = counts.max() / labels.size, np.median(counts)
        return f"{len(there):,} regions, the largest {largest:.1%}, half of them up to {half:,.0f} voxels"
    return ", ".join(f"class {k} {c / labels.size:.1%}" for k, c in zip(there, counts, strict=True))


def _shares_of_stored(told: dict[str, Any], method: str) -> str:
    """Return the same of labels in a store, which are not read for it."""
    counts = told.get("n_voxels")
    if counts is None or _numbers_regions(method):
        return f"{told['n_labels']:,} region{'' if told['n_labels'] == 1 else 's'}"
    shares = [f"class {k} {n / sum(counts):.1%}" for k, n in enumerate(counts) if k and n]
    return ", ".join(shares) or "nothing"


def _numbers_regions(method: str) -> bool:
    """Tell whether labels of a method are numbers without a meaning: it looks for nothing bright or dark."""
    entry = catalog.find(method)
    return entry.needs == "image" and all(p.name != "objects" for p in entry.settings)


def _what_was_noted(facts: dict[str, Any]) -> str:
    """Return the thresholds, the means of classes, or what was found for a setting, and what is to be known of them."""
    cuts = [facts["threshold"]] if "threshold" in facts else facts.get("thresholds", [])
    means = facts.get("means", []) if "variances" in facts else []  # of several columns they are no grey levels
    chosen = {name: facts[name] for name in CHOSEN if name in facts}
    several = ((name, of if isinstance(of, list) else [of]) for name, of in chosen.items())  # one for each channel
    known = (("cut at", cuts), ("means", means), *several)
    at = [f" ({words} {', '.join(f'{x:g}' for x in of)})" for words, of in known if of]
    left_out = [f"; left out: {', '.join(facts['left_out'])}"] if "left_out" in facts else []
    unreached = [f"; {facts['n_unreached']:,} voxels have no path to a marker"] if "n_unreached" in facts else []
    warned = [f"; {facts['warning']}"] if "warning" in facts else []
    return "".join([*at, *left_out, *unreached, *warned])


def _how_nearly(last: dict[str, Any]) -> str:
    """Return how a result is approximate, in all of it or in the first of its parts that is; empty if it is not."""
    by_part = last.get("by_part", {}).get("approximate", [])
    if found := [how for how in (last["facts"].get("approximate"), *by_part) if how]:
        where = f" in {len(found)} of {len(by_part)} parts, such as" if by_part else ""
        return f"; approximate{where}: {found[0]}"
    return ""


def report_many(name: str, batch: Batch) -> int:
    from ..evaluation._annotation import rules_taken
    from ..running._batch import how_read

    for row in batch.rows:
        if row.error:
            print(f"napari-cutout: {row.source}: {as_options(row.error)}", file=sys.stderr)
        if row.provenance or row.evaluation is not None:
            print(_line(row))
    scored = [row.evaluation for row in batch.rows if row.evaluation is not None]
    print(f"{name}: {len(batch.rows)} images, {len(batch.failed)} of them with errors")
    if batch.tables is not None:
        print(said_of_tables(batch.tables))
    if scored:
        for way, title in (("pooled", "pooled"), ("image_mean", "image-mean")):
            print(f"{title} of {len(scored)} scored images: {_main_figures(batch, way)}")
        if objects := batch.objects:
            print(
                f"sums: count error {objects['count_error']:+d}, {objects['split']} split, {objects['merged']} merged"
            )
        print(how_read(scored, scored[0].ignore))
        if different := rules_taken(scored):
            print(as_options(different))
    return SOME_FAILED if batch.failed else 0


MAIN_FIGURES = (("iou", ""), ("dice", ""), ("ap", "IoU 0.5"), ("f1", "IoU 0.5"), ("pq", "IoU 0.5"))


def _main_figures(batch: Batch, way: str) -> str:
    """Return the figures that a line has room for, taken one way: those of `evaluate` on the same labels."""
    names = {"iou": "IoU", "dice": "Dice", "ap": "AP@0.5", "f1": "F1@0.5", "pq": "PQ@0.5"}
    found = {(one.name, one.of): getattr(one, way).value for one in batch.pooled}
    return ", ".join(f"{names[key[0]]} {found[key]:.4f}" for key in MAIN_FIGURES if key in found)


def report_scores(name: str, result: PooledEvaluation) -> int:
    """Print the scores of many files, one line each and then over all; return the exit code."""
    titles = [*result.titles, *result.unpaired_predicted, *result.unpaired_truth]
    for title, row in zip(titles, result.table, strict=True):
        if row["error"]:
            print(f"napari-cutout: {title}: {as_options(row['error'])}", file=sys.stderr)
        else:
            print(f"{title}  IoU {row['mean_iou']:.4f} Dice {row['mean_dice']:.4f} ({row['match']})")
    n_lost = sum(bool(row["error"]) for row in result.table)
    print(f"{name}: {len(result.table)} images, {n_lost} of them with errors\n")
    print(as_options(result.summary()))
    return SOME_FAILED if n_lost else 0


def said_of_tables(found: Tables) -> str:
    """Return how many objects were measured, and where the tables are."""
    n = len({(row["folder"], row["image"]) for row in found.per_image})
    return (
        f"measured {found.n_objects:,} object{'' if found.n_objects == 1 else 's'} of {n} image{'' if n == 1 else 's'}"
        f"; written to {found.path} and {found.per_image_path}"
    )


def _line(row: Row) -> str:
    parts = [row.source]
    if "resumed" in row.provenance:
        parts.append("was there already, made by the same recipe")
    elif row.provenance:
        parts.append(f"{row.provenance['device']['used'].upper()} {row.provenance['seconds']:.2f} s")
        if _how_nearly(row.provenance["steps"][-1]):
            parts.append("approximate")
    if row.target is not None and "resumed" not in row.provenance:
        parts.append(f"written to {row.target}")
    if row.evaluation is not None:
        parts.append(f"IoU {row.evaluation.mean_iou:.4f} Dice {row.evaluation.mean_dice:.4f} ({row.evaluation.match})")
    return "  ".join(parts)
