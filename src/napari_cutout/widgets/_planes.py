"""Previews of methods on graphs, which look as far as there is anything: on what is in view alone, and held ready.

A volume is run on the plane in view, as an image of two axes: `felzenszwalb` with the range of grey levels of all of
it, the others, whose statistics hold for what they look at, with those of the plane. What does not depend on the
settings that move is kept, such as the edges of an image in their order, so that a slider is followed at once. Plain
data, no Qt.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .. import catalog
from .._monitor import note
from .._selection import Selection
from .._statistics import alone
from ..methods._hierarchy import Hierarchy, listening

__all__ = ["COVERING", "ON_PLANES", "Kept", "Plane", "plane_of", "settings_on_a_plane"]

Arrays = Mapping[str, Any]
Settings = Mapping[str, Any]
Labels = NDArray[Any]

COVERING = frozenset({"felzenszwalb", "superpixels", "merge_regions", "normalized_cut"})
"""Methods whose regions cover the image, so that they are seen by their boundaries."""

ON_PLANES = COVERING | {"graph_cut"}
"""Methods whose previews look at what is in view alone."""

MOST_KEPT = 1 << 21
"""Voxels of the largest part of an image that is held ready; it takes about 80 bytes for each."""

MOST_SESSIONS = 2
"""How many parts of images are held ready."""


class Session(Protocol):
    """What is known of a part of an image before the settings that move are."""

    def labels(self, arrays: Arrays, settings: Settings) -> Labels:
        """Return what the method gives with these settings, and note what it would."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """How to hold ready what a method runs on.

    Parameters
    ----------
    make : callable
        From arrays and settings to a `Session`.
    free : frozenset of str
        Settings and arrays on which it does not depend.
    """

    make: Callable[[Arrays, Settings], Session]
    free: frozenset[str]


class _Edges:
    """The edges of an image in their order, for any scale."""

    def __init__(self, arrays: Arrays, settings: Settings) -> None:
        from ..methods._felzenszwalb_session import Session as Ordered

        self._ordered = Ordered(arrays["image"], arrays.get("mask"), settings)
        with alone():
            self._usual = {"scale": self._ordered.usual_scale()}

    def labels(self, arrays: Arrays, settings: Settings) -> Labels:
        """Return regions for a scale and a least size."""
        note(usual=self._usual)
        return self._ordered.labels(settings)


class _Tree:
    """The hierarchy of regions, to be cut anywhere."""

    def __init__(self, arrays: Arrays, settings: Settings) -> None:
        with alone(), listening() as heard:
            catalog.find("merge_regions")(**arrays, **settings)
        self._hierarchy: Hierarchy = heard[0]

    def labels(self, arrays: Arrays, settings: Settings) -> Labels:
        """Return what is left of them."""
        table = self._hierarchy.table(settings["n_regions"], settings.get("threshold"))
        note(n_regions=int(table.max(initial=0)))
        return np.asarray(table[self._hierarchy.regions])


class _Superpixels:
    """The superpixels that a method makes where no regions are given."""

    def __init__(self, method: str, arrays: Arrays, settings: Settings) -> None:
        self._entry = catalog.find(method)
        self._regions = None
        if arrays.get("regions") is None and settings.get("on") != "voxels":
            names = ("n_superpixels", "channel_axis", "spacing")
            taken = {name: settings[name] for name in names if name in settings}
            with alone():
                self._regions = catalog.find("superpixels")(arrays["image"], arrays.get("mask"), **taken)

    def labels(self, arrays: Arrays, settings: Settings) -> Labels:
        """Run the method on them."""
        made = {} if self._regions is None else {"regions": self._regions}
        with alone():
            return np.asarray(self._entry(**{**arrays, **made}, **settings))


class _Nothing:
    """A method of which nothing is held ready."""

    def __init__(self, method: str) -> None:
        self._entry = catalog.find(method)

    def labels(self, arrays: Arrays, settings: Settings) -> Labels:
        """Run the method."""
        with alone():
            return np.asarray(self._entry(**arrays, **settings))


def _on_superpixels(method: str, *free: str) -> _Kind:
    return _Kind(lambda arrays, settings: _Superpixels(method, arrays, settings), frozenset(free))


KINDS: Mapping[str, _Kind] = {
    "felzenszwalb": _Kind(_Edges, frozenset({"scale", "min_size"})),
    "merge_regions": _Kind(_Tree, frozenset({"n_regions", "threshold"})),
    "normalized_cut": _on_superpixels("normalized_cut", "n_regions", "threshold", "contrast"),
    "graph_cut": _on_superpixels("graph_cut", "markers", "smoothness", "contrast", "background"),
}
"""What is held ready, by method."""


@dataclass(slots=True)
class Kept:
    """The parts of images that are held ready, the most recently used; threads may share it."""

    _sessions: OrderedDict[Hashable, Session] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def session(self, method: str, arrays: Arrays, settings: Settings, tokens: Mapping[str, Hashable]) -> Session:
        """Return what is held ready for a run, made now if it is not yet.

        Parameters
        ----------
        method : str
            What runs.
        arrays : mapping of str to array
            On what.
        settings : mapping
            How.
        tokens : mapping of str to hashable
            What is equal as long as an array holds the same, by its name, and under other names what else counts.
        """
        kind = KINDS.get(method)
        if kind is None:
            return _Nothing(method)
        fixed = tuple((name, repr(value)) for name, value in sorted(settings.items()) if name not in kind.free)
        key = (method, fixed, tuple((name, token) for name, token in tokens.items() if name not in kind.free))
        with self._lock:
            if key in self._sessions:
                self._sessions.move_to_end(key)
                return self._sessions[key]
        made = kind.make(arrays, settings)
        if arrays["image"].size <= MOST_KEPT:
            with self._lock:
                self._sessions[key] = made
                while len(self._sessions) > MOST_SESSIONS:
                    self._sessions.popitem(last=False)
        return made

    def clear(self) -> None:
        """Free the memory."""
        with self._lock:
            self._sessions.clear()


# Planes -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plane:
    """How what a method sees becomes what its preview sees.

    Parameters
    ----------
    axes : str
        What the method sees, with c for channels.
    hidden : str
        Which of them are not shown: one index of each is run.
    """

    axes: str
    hidden: str

    def flat(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array without the hidden axes."""
        axes = self.axes if array.ndim == len(self.axes) else self.axes.replace("c", "")
        return array[tuple(0 if axis in self.hidden else slice(None) for axis in axes)]

    def settings(self, settings: Settings) -> dict[str, Any]:
        """Return settings for what is left: its spacing and its channels, and neighbours as in the run."""
        seen, left = self.axes.replace("c", ""), [axis for axis in self.axes if axis not in self.hidden]
        changed: dict[str, Any] = {}
        if settings.get("spacing") is not None:
            along = zip(seen, settings["spacing"], strict=True)
            changed["spacing"] = tuple(length for axis, length in along if axis not in self.hidden)
        if "c" in left:
            changed["channel_axis"] = left.index("c")
        if self.hidden and "connectivity" in settings:
            changed["connectivity"] = min(settings["connectivity"] or 1, len(seen) - len(self.hidden))
        return {**settings, **changed}


def plane_of(selection: Selection, hidden: Sequence[str]) -> Plane:
    """Return what is left of what a method sees without the axes that are not shown."""
    axes = selection.of_part.axes
    return Plane(axes, "".join(axis for axis in axes if axis in hidden))


def settings_on_a_plane(settings: Settings, whole: Sequence[float], seen: Sequence[float]) -> dict[str, Any]:
    """Return settings by which regions become as large as in the run.

    Parameters
    ----------
    settings : mapping
        Of the run.
    whole : sequence of float
        World lengths of all that the run sees at a time, along each axis.
    seen : sequence of float
        The same of what is in view, without axes that are not shown.
    """
    n = settings.get("n_superpixels")
    if n is None:
        return dict(settings)
    edge = (math.prod(whole) / n) ** (1 / len(whole))
    in_view = min(math.prod(seen) / edge ** len(seen), n)
    changed = {"n_superpixels": max(round(in_view), 1)}
    if settings.get("n_regions"):
        changed["n_regions"] = max(round(settings["n_regions"] * in_view / n), 1)
    return {**settings, **changed}
