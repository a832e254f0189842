"""What a run or a preview has found, in a few words.  Plain functions, no Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import catalog
from ..recipe import Step

__all__ = [
    "advice",
    "approximated",
    "because",
    "counted",
    "duration",
    "how_right",
    "levels_found",
    "n_labels",
    "stored_summary",
    "summary",
    "tried",
    "warnings_of",
]

_NOUNS = {
    "n_minima": ("minimum", "minima"),
    "n_objects": ("object", "objects"),
    "n_markers": ("marker", "markers"),
    "n_labels": ("label", "labels"),
    "n_regions": ("region", "regions"),
}
"""What methods count; the first that is there says most."""

DUST = 5
"""Voxels below which an object is more likely noise than what somebody looks for."""

CROWD = 5
"""Labels from which on an image that they fill is more likely full of objects than one of a few parts."""

MANY = 20
"""Objects from which on it is worth saying that most of them are dust."""


def summary(labels: NDArray[Any], step: Step, provenance: Mapping[str, Any]) -> str:
    """Say in one line what ran and what came out.

    Parameters
    ----------
    labels : integer array
        The result.
    step : Step
        What ran.
    provenance : Mapping
        As `execute` gives it.

    Returns
    -------
    str
        Such as ``"threshold 117 · 25 objects · CPU · 0.4 s"``, and on a second line what to do about a result that
        is seldom what was wanted. Why it ran there is said where a GPU was asked for in vain; else see `because`.
    """
    line = " · ".join(
        part
        for part in (
            _levels(provenance),
            _came_out(labels, step, provenance),
            tried(provenance["facts"]),
            walked(provenance["facts"]),
            approximated(provenance["steps"][-1]),
            *_warnings(provenance),
            _ran_on(provenance),
        )
        if part
    )
    return "\n".join(words for words in (line, advice(labels, step)) if words)


def stored_summary(provenance: Mapping[str, Any], name: str) -> str:
    """Say the same in a line of labels that went into a store, and where they are; they are not read for it.

    Parameters
    ----------
    provenance : Mapping
        As a run into a store gives it, which has counted its labels.
    name : str
        The name of the store.
    """
    facts = provenance["facts"]
    words = (_levels(provenance), _in_store(provenance), tried(facts), *_warnings(provenance), _ran_on(provenance))
    return " · ".join(word for word in (*words, f"in '{name}'") if word)


def because(provenance: Mapping[str, Any]) -> str:
    """Say why a run was where it was, such as ``"On the CPU because there is no NVIDIA driver."``."""
    device = provenance["device"]
    return f"On the {device['used'].upper()} because {device['reason']}."


def duration(seconds: float) -> str:
    """Say how long something took, as people would: ``"0.4 s"``, ``"3 min 20 s"``."""
    if seconds < 0.1:
        return "< 0.1 s"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def advice(labels: NDArray[Any], step: Step) -> str:
    """Say what to do about a result that is seldom what was wanted: nothing, dust, or objects without numbers.

    Parameters
    ----------
    labels : integer array
        The result.
    step : Step
        What ran.

    Returns
    -------
    str
        A sentence, empty where there is nothing to say.
    """
    can, on = {p.name for p in catalog.find(step.method).settings}, step.settings
    if labels.size and not labels.any():
        side = ", or look for dark objects" if on.get("objects") == "bright" else ""
        return f"Nothing was found: try another level or method{side}." if "objects" in can else "Nothing was found."
    if "one_per_object" in can and not on.get("one_per_object") and int(labels.max(initial=0)) == 1:
        return "To count and measure objects, tick one number per object."
    if _lacks_background(labels, step):
        return "No background is left: choose a mask, or paint a marker on the background, too."
    if not {"sigma", "min_size"} <= can or not on.get("one_per_object", True):
        return ""
    sizes = np.bincount(labels.reshape(-1))[1:] if int(labels.max(initial=0)) <= 4 * labels.size else np.empty(0)
    sizes = sizes[sizes > 0]
    dust = int(np.count_nonzero(sizes < DUST))
    if len(sizes) < MANY or 2 * dust < len(sizes):
        return ""
    return f"{dust:,} of them have fewer than {DUST} voxels: raise smoothing sigma, or remove small ones."


def _lacks_background(labels: NDArray[Any], step: Step) -> bool:
    """Tell whether objects that were grown from markers fill all of an image, none of them as the background would."""
    arrays = {p.name for p in catalog.find(step.method).arrays}
    if not {"markers", "mask"} <= arrays or "mask" in step.inputs or not labels.size or not labels.all():
        return False
    if int(labels.max(initial=0)) > labels.size or n_labels(labels) < CROWD:
        return False
    return 2 * int(np.bincount(labels.reshape(-1)).max()) < labels.size


def levels_found(facts: Mapping[str, Any]) -> str:
    """Name the grey levels that a method chose, such as ``"thresholds 10, 180"``; empty if there are none."""
    if "beta" in facts:
        betas = np.atleast_1d(facts["beta"]).tolist()  # one for each channel
        return f"beta {_listed(betas, 3)}"
    if "scale" in facts:
        return f"scale {facts['scale']:.4g}"
    if "depth" in facts:
        return f"depth {facts['depth']:.4g}"
    if facts.get("columns") == ["intensity"] and "means" in facts:
        return f"classes at {_listed(facts['means'])}"
    levels = facts.get("thresholds") or [facts[name] for name in ("threshold", "low", "high") if name in facts]
    return f"threshold{'s' if len(levels) > 1 else ''} {_listed(levels)}" if levels else ""


def tried(facts: Mapping[str, Any]) -> str:
    """Say among how many classes a fit has chosen, such as ``"chosen from 1 to 6"``; empty if their number was given.

    The criterion of each number is kept by its number, which JSON makes a word.
    """
    numbers = sorted(map(int, facts.get("criteria", ())))
    return f"chosen from {numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else ""


def walked(facts: Mapping[str, Any]) -> str:
    """Say how right the probabilities of labels are, and after how many iterations; empty where nobody knows."""
    if "estimated_error" not in facts or "approximate" in facts:  # then it is that of a part of the answer
        return ""
    n = facts.get("n_iterations", 0)
    found = (f"{n:,} iteration{'s' * (n != 1)}" if n else "", how_right(facts["estimated_error"]))
    return ", ".join(words for words in found if words)


def how_right(error: float) -> str:
    """Say how right probabilities are whose estimated largest error is known; empty if it says nothing."""
    return f"probabilities right to about {error:.1g}" if 0 < error < 1 else ""


def approximated(ran: Mapping[str, Any]) -> str:
    """Say that and how a result is approximate; empty if it is not.

    Parameters
    ----------
    ran : mapping
        What a step did, as it stands in a provenance.
    """
    if how := ran["facts"].get("approximate"):
        return f"approximate: {how}"
    by_part = ran.get("by_part", {}).get("approximate", ())
    some = [how for how in by_part if how]
    return f"approximate in {len(some)} of {len(by_part)} parts, such as: {some[0]}" if some else ""


def is_doubtful(facts: Mapping[str, Any]) -> bool:
    """Tell whether a method stopped before its result was as good as it was asked to be."""
    return "estimated_error" in facts and not facts.get("converged", True)


def warnings_of(facts: Mapping[str, Any]) -> list[str]:
    """Say what a user should know of a fit: that it did not converge, and which columns were left out."""
    left_out = ", ".join(facts.get("left_out", ()))
    doubt = is_doubtful(facts) and "the tolerance was missed: lower beta, or smooth the image"
    unreached = facts.get("n_unreached", 0)
    beyond = f"no stroke leads to {unreached:,} voxel{'s' * (unreached != 1)}" if unreached else ""
    found = (facts.get("warning", "") or doubt, left_out and f"left out: {left_out}", beyond)
    return [words for words in found if words]


def _listed(levels: Sequence[float], digits: int = 5) -> str:
    words = [f"{float(f'{level:.{digits}g}'):.12g}" for level in levels[:5]]  # 1550, and not 1.55e+03
    return ", ".join(words) + (", …" if len(levels) > 5 else "")


def _warnings(provenance: Mapping[str, Any]) -> list[str]:
    """Say the same of a run, which may have had several parts."""
    by_part = provenance["steps"][-1].get("by_part", {})
    found = warnings_of(provenance["facts"])
    for name in ("warning", "left_out"):
        warned = [fact for fact in by_part.get(name, ()) if fact]
        if warned:
            (words,) = warnings_of({name: warned[0]})
            found.append(f"in {len(warned)} of {len(by_part[name])} parts, such as: {words}")
    return found


def counted(facts: Mapping[str, Any], n_seen: int, where: str, *, whole: bool) -> str:
    """Say how many minima, objects or markers there are.

    Parameters
    ----------
    facts : mapping
        What the method found out, of all that it saw.
    n_seen : int
        How many labels are in view.
    where : str
        Where those are, such as ``"in this slice"``; empty if all of the run is in view.
    whole : bool
        Whether the method saw all that the run would see.

    Returns
    -------
    str
        Such as ``"412 minima, 38 in this slice"``; empty if the method counts nothing.
    """
    name = next((name for name in _NOUNS if name in facts), None)
    if name is None:
        return ""
    if not whole:
        return f"{_number(n_seen, name)} {where}".rstrip()
    return _number(int(facts[name]), name) + (f", {n_seen:,} {where}" if where else "")


def n_labels(labels: NDArray[Any]) -> int:
    """Return how many labels there are, 0 left out."""
    highest = int(labels.max(initial=0))
    if highest > 4 * labels.size:  # numbers that a user has painted may be large
        return int(np.count_nonzero(np.unique(labels)))
    return int(np.count_nonzero(np.bincount(labels.reshape(-1), minlength=1)[1:]))


def _number(n: int, name: str) -> str:
    return f"{n:,} {_NOUNS[name][n != 1]}"


def _levels(provenance: Mapping[str, Any]) -> str:
    """Name the grey levels that the method chose, or between which they lie in the parts that it ran on."""
    if levels := levels_found(provenance["facts"]):
        return levels
    by_part = provenance["steps"][-1].get("by_part", {}).get("threshold")
    if by_part is None or None in by_part:
        return ""
    return f"thresholds {min(by_part):.5g} to {max(by_part):.5g} over {len(by_part)} parts"


def _came_out(labels: NDArray[Any], step: Step, provenance: Mapping[str, Any]) -> str:
    if step.settings.get("one_per_object", True):
        return _numbered(n_labels(labels), provenance["steps"][-1])
    return _classes(int(labels.max(initial=0)), np.count_nonzero(labels) / max(labels.size, 1))


def _in_store(provenance: Mapping[str, Any]) -> str:
    """Say what came out of a run into a store, which counts voxels as long as there are few labels."""
    ran, n, counts = provenance["steps"][-1], int(provenance["n_labels"]), provenance.get("n_voxels") or [0]
    if ran["settings"].get("one_per_object", True):
        return _numbered(int(np.count_nonzero(counts[1:])) or n, ran)
    return _classes(n, 1 - counts[0] / max(sum(counts), 1))


def _classes(highest: int, share: float) -> str:
    return f"{100 * share:.3g} % selected" if highest < 2 else f"{highest} classes"


def _numbered(n: int, ran: Mapping[str, Any]) -> str:
    """Say how many objects there are and what they were grown from; of marks that are no objects yet, how many."""
    facts = {**ran.get("by_part", {}), **ran["facts"]}
    if "n_labels" in facts:
        return _number(n, "n_labels")
    if "n_regions" in facts:
        return _number(n, "n_regions")
    if "n_markers" not in facts:
        return _number(n, "n_minima" if "n_minima" in facts else "n_objects")
    name = "n_minima" if "n_minima" in facts else "n_markers"
    grown = "" if "n_objects" in facts or "by_part" in ran else f" from {_number(int(facts[name]), name)}"
    return _number(n, "n_objects") + grown


def _ran_on(provenance: Mapping[str, Any]) -> str:
    device = provenance["device"]
    in_vain = device.get("asked") == "gpu" != device["used"]
    where = device["used"].upper() + (f" because {device['reason']}" if in_vain else "")
    return f"{where} · {duration(provenance['seconds'])}"
