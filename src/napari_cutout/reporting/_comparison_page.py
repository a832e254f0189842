"""The page of a comparison: who won and how sure that is, the table, pictures, plots, recipes, and how it was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._citations import cite
from .._device import size
from ..comparison._tallies import NEAR, Metric, scores_by_unit
from ..comparison.leaderboard import ALPHA, FOR_CHOOSING, Leaderboard, Row, Standing
from ..evaluation.rank_changes import RankChange, RankChanges, rank_changes
from ._comparison import NAMES, NUMBERED, as_json, record_of, shown_scores
from ._definitions import COMPARISON
from ._panels import PREDICTED, TRUTH, outlined, painted, png_uri
from ._paths import name_of
from ._plots import Dot, curve_plot, dot_plot, strip_plot
from ._tables import NOTHING, Column

__all__ = ["page_of"]

MAX_STRIPS, MAX_CURVES = 12, 4
"""Rows that plots of all units show."""

MAX_CHANGES, MAX_ITEMS = 5, 3
"""Pairs that IoU and Dice rank differently, and units of each, that the page lists; all are in the JSON of Python."""


def page_of(leaderboard: Leaderboard, content: Mapping[str, Any]) -> str:
    """Return the page.

    Parameters
    ----------
    leaderboard : Leaderboard
        The rows.
    content : mapping
        What ``report.json`` holds.

    Returns
    -------
    str
        HTML that needs nothing else.
    """
    from ._page import page

    notes = [note for note in (*leaderboard.notes, *objects_say(leaderboard)) if note != FOR_CHOOSING]
    return page(
        "comparison.html.j2",
        title="Which method works on these images?",
        created=for_people(content["created"]),
        verdict=list(verdict(leaderboard)),
        warning=FOR_CHOOSING if FOR_CHOOSING in leaderboard.notes else "",
        notes=[f"{note[0].upper()}{note[1:]}." for note in notes],
        columns=columns_of(leaderboard),
        records=[record_of(one) for one in leaderboard.standings],
        held_out=f"{leaderboard.n_units} {leaderboard.held_out}",
        metric=NAMES[leaderboard.metric],
        pictures=list(pictures(leaderboard)),
        plots=dict(plots(leaderboard)),
        changes=changes(leaderboard),
        recipes=list(recipes(leaderboard, content)),
        definitions={named(name, leaderboard): text for name, text in content["definitions"].items()},
        made=made(content),
        inputs=list(inputs(content["inputs"])),
    )


# Words -------------------------------------------------------------------------------------------------


def verdict(leaderboard: Leaderboard) -> Iterator[str]:
    """Yield who won, how sure that is, and what a second annotator reaches."""
    best = leaderboard.winner
    if best is None:
        yield "No method gave a result that can be ranked; the table has the reasons."
        return
    metric = NAMES[leaderboard.metric]
    equals = [one.row.name for one in leaderboard.standings if one.rank == 1]
    more = "" if len(equals) < 2 else " and " + (equals[1] if len(equals) == 2 else f"{len(equals) - 1} others")
    top = max(one.score for one in leaderboard.standings if one.rank is not None)
    how = "scored best" if best.score == top else f"is most like those within {NEAR} of the best score, {top:.3f}"
    yield (
        f"{best.row.name}{more} {how}: {metric} {best.score:.3f}{_interval(best)}, on {leaderboard.n_units} "
        f"{leaderboard.held_out} that were held out."
    )
    if len(equals) > 2:
        yield f"Equal to it: {', '.join(equals[1:])}."
    others = [one for one in leaderboard.standings if one.rank is not None and one.rank > 1]
    tied = [one.row.name for one in others if one.tied]
    if tied:
        why = f"the difference may be chance (p > {ALPHA}), and intervals overlap"
        yield f"Tied with it, because {why}: {', '.join(tied)}."
    elif others:
        yield "All others are worse."
    for one in leaderboard.standings:
        if one.row.is_ceiling and one.score == one.score:
            yield f"A second annotator reaches {metric} {one.score:.3f}{_interval(one)}."


def objects_say(leaderboard: Leaderboard) -> Iterator[str]:
    """Yield which row is best by its objects, where rows are ranked by voxels, which do not see what is split."""
    scored = [one for one in leaderboard.standings if one.f1 == one.f1 and one.rank is not None]
    if scored and leaderboard.metric not in NUMBERED and (best := max(scored, key=lambda one: one.f1)).f1 > 0:
        metric = NAMES[leaderboard.metric]
        yield (
            f"{metric} does not see whether touching objects are told apart; by F1 of objects {best.row.name} is best, "
            f"with {best.f1:.3f}"
        )


def _interval(one: Standing) -> str:
    return f" ({ends})" if (ends := _ends(one)) else ""


def _ends(one: Standing) -> str:
    return "" if one.low != one.low else f"95 % interval {one.low:.3f} to {one.high:.3f}"


def columns_of(leaderboard: Leaderboard) -> list[Column]:
    """Return the columns of the table, each with what it means."""
    about = COMPARISON
    first, *others = shown_scores(leaderboard)
    return [
        Column("rank", "Rank"),
        Column("name", "Method", is_text=True),
        Column(first, NAMES[first], 3, about[first]),
        Column("interval", "95 % interval", about=about["interval"]),
        Column("p", "p", 3, about["p"]),
        Column("verdict", "Verdict", about=about["tied"], is_text=True),
        *(Column(name, NAMES[name], 3, about[name]) for name in others),
        Column("seconds", "Seconds", 2, about["seconds"]),
        *([Column("tried", "Tried", about=about["tried"])] if leaderboard.facts.get("tuned") else []),
        Column("backend", "Ran on", is_text=True),
        *([Column("note", "Note", is_text=True)] if any(one.record()["note"] for one in leaderboard.standings) else []),
    ]


def named(name: str, leaderboard: Leaderboard) -> str:
    """Return what a definition is called on the page."""
    words = {
        "held_out": f"Held out: {leaderboard.held_out}",
        "interval": "95 % interval",
        "p": "p",
        "ceiling": "Second annotator",
    }
    return NAMES.get(name) or words.get(name) or name.capitalize()


# Pictures ----------------------------------------------------------------------------------------------


def pictures(leaderboard: Leaderboard) -> Iterator[dict[str, str]]:
    """Yield the image, its annotation, and what every row found, each with its caption and its words for the blind."""
    image, truth = leaderboard.given.image, leaderboard.given.truth
    if image is None or truth is None:
        return
    is_strokes = FOR_CHOOSING in leaderboard.notes
    yield {"uri": png_uri(outlined(image)), "alt": "The image", "name": "Image", "text": ""}
    known = painted(image, truth) if is_strokes else outlined(image, (truth, TRUTH))
    alt = "Strokes on the image" if is_strokes else "Outlines of the annotation on the image"
    yield {"uri": png_uri(known), "alt": alt, "name": "Annotation", "text": ""}
    metric = NAMES[leaderboard.metric]
    for one in leaderboard.standings:
        if one.row.plane is None:
            continue
        shown = classes_of(one.row)
        below = [] if is_strokes else [(truth, TRUTH)]
        score = f"{metric} {one.score:.3f}" if one.score == one.score else "not ranked"
        yield {
            "uri": png_uri(outlined(image, *below, (shown, PREDICTED))),
            "alt": f"Outlines of what {one.row.name} found on the image, {score}",
            "name": f"{one.rank}. {one.row.name}" if one.rank else one.row.name,
            "text": score,
        }


def classes_of(row: Row) -> NDArray[Any]:
    """Return the plane of a row as classes of truth where its labels stand for some, else its objects."""
    plane = np.asarray(row.plane)
    if not row.mapping:
        return plane
    found = np.full(plane.shape, -1, np.int64)
    for label, value in row.mapping.items():
        found[plane == label] = value
    return found


# Plots -------------------------------------------------------------------------------------------------


def plots(leaderboard: Leaderboard) -> Iterator[tuple[str, Any]]:
    """Yield the plots that there is something to show in."""
    from markupsafe import Markup

    metric = NAMES[leaderboard.metric]
    scored = [one for one in leaderboard.standings if one.score == one.score]
    if not scored:
        return
    dots = [Dot(one.row.name, one.score, one.low, one.high, _group(one)) for one in scored]
    yield "scores", Markup(dot_plot(dots, metric, f"{metric} of each method, with 95 % intervals"))
    units = {one.row.name: _by_unit(leaderboard, one) for one in scored if one.row.overlap is not None}
    if leaderboard.n_units > 1 and units:
        strips = {name: dice.tolist() for name, (_, dice) in list(units.items())[:MAX_STRIPS]}
        kind = leaderboard.held_out
        yield "units", Markup(strip_plot(strips, "Dice", f"Dice of each method in each of the {kind}"))
        chosen = {name: units[name] for name in _on_curve(leaderboard, list(units))}
        known = {name: (_known(iou), _known(dice)) for name, (iou, dice) in chosen.items()}
        yield "curve", Markup(curve_plot(known, f"Dice over IoU of some methods in each of the {kind}"))


def _on_curve(leaderboard: Leaderboard, names: Sequence[str]) -> list[str]:
    """Return what the curve shows: the best, and the pair that IoU and Dice rank differently; else those in front."""
    ranked = [one.row.name for one in leaderboard.standings if one.rank is not None and one.row.name in names]
    found = ranked_by_both(leaderboard)
    pair = [found.changes[0].by_iou, found.changes[0].by_dice] if found and found.changes else ranked[1:MAX_CURVES]
    return list(dict.fromkeys([*ranked[:1], *pair]))


def _known(scores: NDArray[np.float64]) -> list[float]:
    return [score for score in scores.tolist() if score == score]


def _group(one: Standing) -> Any:
    return "ceiling" if one.row.is_ceiling else "best" if one.rank == 1 else "tied" if one.tied else "worse"


def _by_unit(leaderboard: Leaderboard, one: Standing) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    assert one.row.overlap is not None
    metrics: tuple[Metric, Metric] = ("iou", "dice")
    iou, dice = (scores_by_unit(one.row.overlap, leaderboard.problem, metric) for metric in metrics)
    return iou, dice


# IoU against Dice --------------------------------------------------------------------------------------


def changes(leaderboard: Leaderboard) -> dict[str, Any]:
    """Return how mean IoU and mean Dice over units rank the rows, and what makes them differ."""
    found = ranked_by_both(leaderboard)
    if found is None:
        return {}
    unit = leaderboard.held_out.removesuffix("s")
    n_pairs = len(found.names) * (len(found.names) - 1) // 2
    return {
        "n_units": len(found.items),
        "n_pairs": n_pairs,
        "n_changes": len(found.changes),
        "records": sorted(found.table, key=lambda row: (row["iou_rank"], row["contestant"])),
        "columns": [
            Column("contestant", "Method", is_text=True),
            Column("mean_iou", "Mean IoU", 3),
            Column("iou_rank", "Rank"),
            Column("mean_dice", "Mean Dice", 3),
            Column("dice_rank", "Rank"),
        ],
        "sentences": [_change(one, unit) for one in found.changes[:MAX_CHANGES]],
    }


def ranked_by_both(leaderboard: Leaderboard) -> RankChanges | None:
    """Rank rows by the two means over the units in which all are scored; None if there are none, or no two rows."""
    scores = leaderboard.iou_by_unit()
    common = set.intersection(*(set(found) for found in scores.values())) if scores else set()
    if len(scores) < 2 or not common:
        return None
    return rank_changes({name: {unit: found[unit] for unit in common} for name, found in scores.items()})


def _change(one: RankChange, unit: str) -> str:
    items = "; ".join(
        f"{unit} {int(item.item) + 1} (IoU {item.iou[0]:.3f} against {item.iou[1]:.3f}, Dice {item.dice[0]:.3f} "  # type: ignore[call-overload]
        f"against {item.dice[1]:.3f})"
        for item in one.items[:MAX_ITEMS]
    )
    return (
        f"By mean IoU {one.by_iou} is better than {one.by_dice}, by {one.iou_difference:.4f}; by mean Dice it is the "
        f"other way round, by {-one.dice_difference:.4f}. What does most: {items}."
    )


# Recipes and facts -------------------------------------------------------------------------------------


def recipes(leaderboard: Leaderboard, content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the recipe of each row, how to run it, and what a paper says of it."""
    scored_by = ["evaluate", *(["evaluate_objects"] if leaderboard.problem.numbered else [])]
    for one, row in zip(leaderboard.standings, content["rows"], strict=True):
        if one.row.recipe is None or one.row.error:
            continue
        said = cite(one.row.recipe, evaluation=scored_by)
        others = [name for name in one.row.recipe.inputs if name != one.row.recipe.source]
        more = "".join(f" --input {name}={name}.tif" for name in others)
        yield {
            "name": one.row.name,
            "rank": one.rank,
            "file": row["recipe_file"],
            "json": as_json(row["recipe"]).rstrip(),
            "command": f'napari-cutout run "{row["recipe_file"]}" image.tif labels.tif{more}',
            "text": f"{said.text} {how_chosen(leaderboard, one)}".rstrip(),
            "references": said.references,
            "mapping": ", ".join(f"label {label} is class {found}" for label, found in one.row.mapping.items()),
        }


def how_chosen(leaderboard: Leaderboard, one: Standing) -> str:
    """Return a sentence for the methods section on how a row stood among the others; empty for one without a rank."""
    if one.rank is None:
        return ""
    n = sum(other.rank is not None for other in leaderboard.standings)
    metric, facts = NAMES[leaderboard.metric], leaderboard.facts
    searched = f", its settings searched for ({facts['budget']} tried in each fold)" if facts.get("tuned") else ""
    score = ", ".join(filter(None, (f"{one.score:.3f}", _ends(one))))
    return (
        f"Of {n} methods compared{searched}, it was number {one.rank} by {metric} ({score}) on {leaderboard.n_units} "
        f"{leaderboard.held_out} that were held out in {facts['folds']} folds"
        f"{f' ({FOR_CHOOSING})' if FOR_CHOOSING in leaderboard.notes else ''}."
    )


def made(content: Mapping[str, Any]) -> dict[str, str]:
    """Return how the comparison was made, as facts for people."""
    facts, asked, hardware = content["facts"], content["arguments"], content["hardware"]
    tuned = f"yes, {facts['budget']} settings for each method and fold" if facts["tuned"] else "no, settings as given"
    ignore = asked.get("ignore")
    memory = size(hardware["memory_bytes"])
    return {
        "Made": for_people(content["created"]),
        "Images": str(facts["n_images"]),
        "Held out": f"{content['n_units']} {content['held_out']}, {_times(facts['repeats'])} to {facts['folds']} folds",
        "Settings searched": tuned,
        "Seed": str(facts["seed"]),
        "Classes": f"{', '.join(map(str, content['classes']))}; background {content['background']}",
        "Not annotated": "nothing: all voxels count" if ignore is None else f"voxels whose annotation is {ignore}",
        "Voxel size": " x ".join(f"{n:g}" for n in asked.get("spacing") or ()) or "not set",
        "Processor": f"{hardware['cpu']}, {hardware['cores']} cores, {memory} of memory",
        "GPU": hardware["gpu"] or "none",
        "System": hardware["system"],
        "Versions": ", ".join(f"{name} {number}" for name, number in content["versions"].items()),
    }


def for_people(time: str) -> str:
    """Return a time in UTC as people write it."""
    return f"{time[:10]}, {time[11:16]} UTC"


def _times(n: int) -> str:
    return "dealt once" if n == 1 else f"dealt {n} times"


def inputs(known: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Yield what was read: without folders, which name users and projects."""
    groups: list[tuple[str, Sequence[Any]]] = [
        ("image", known.get("images") or ()),
        ("annotation", known.get("truths") or ()),
        ("second annotator", known.get("ceiling") or ()),
        *((f"labels {name}", found) for name, found in (known.get("labels") or {}).items()),
    ]
    for role, entries in groups:
        for entry in entries:
            shape = " x ".join(map(str, entry["shape"]))
            name = name_of(entry["path"]) if "path" in entry else "array"
            sha = entry.get("sha256") or entry["voxels_sha256"]
            yield {"role": role, "name": f"{name} ({shape}, {entry['dtype']})", "sha256": sha or NOTHING}
