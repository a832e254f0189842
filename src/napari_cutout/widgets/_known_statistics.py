"""The statistics of whole images that previews have asked for, until the images change.  No Qt."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._statistics import Key
from ..methods._grey_levels import Bins, Histogram
from ..recipe import Recipe
from ._planes import Kept

__all__ = ["Reach", "StatisticsCache", "Whole", "Found", "settings_before_the_cut"]

MOST = 48
"""How many wholes are remembered; the grey levels of each take up to half a megabyte."""

_FILTERS = ("background_radius", "median_radius", "sigma")
"""Options that change the image before it is looked at; they are off at 0."""


@dataclass(frozen=True, slots=True)
class Whole:
    """What statistics are of: they change if any of this does.

    Parameters
    ----------
    tokens : tuple of hashable
        What the arrays hold: the layer's identity and how often it has changed, for every input.
    axes : str
        The axes of the image: by another name an axis is cut otherwise, such as into channels.
    each : str
        The axes that are run one index at a time: pooled statistics depend on what the steps see at a time.
    channel : int, str or None
        Which channel of the image.
    level : int
        Level of the pyramid that the run works on.
    box : tuple
        The region that the run works on.
    at : tuple of int
        Which frame or slice, where each has statistics of its own; empty where all share them.
    settings : tuple of (str, object)
        The settings of the steps before the cut.
    """

    tokens: tuple[Hashable, ...]
    axes: str
    each: str
    channel: Any
    level: int
    box: tuple[tuple[int, int], ...]
    at: tuple[int, ...]
    settings: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Found:
    """Statistics that are known.

    Parameters
    ----------
    states : mapping
        From what was asked to the answer.
    approximate : str
        What they were taken from if not from the whole, such as ``"level 3"``.
    """

    states: Mapping[Key, Any]
    approximate: str = ""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far the steps of a recipe look.

    Parameters
    ----------
    width : tuple of int
        Voxels beyond the one that is labelled, along each axis that they see.
    floods : bool
        Whether they also flood, or measure distances, which lead as far as there is anything.
    """

    width: tuple[int, ...]
    floods: bool = False

    def within(self, other: Reach) -> bool:
        """Tell whether the other looks as far."""
        return self.floods <= other.floods and all(a <= b for a, b in zip(self.width, other.width, strict=True))


@dataclass(slots=True)
class StatisticsCache:
    """What is known of whole images, the most recently used; threads may share it.

    Parameters
    ----------
    most : int
        How many wholes are remembered.
    ready : Kept
        Parts of images that are held ready, which take more memory: free it when no preview is wanted.
    """

    most: int = MOST
    ready: Kept = field(default_factory=Kept)
    _found: OrderedDict[Whole, Found] = field(default_factory=OrderedDict)
    _reaches: OrderedDict[Hashable, Reach] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, whole: Whole) -> Found:
        """Return what is known of a whole; no states if nothing is."""
        with self._lock:
            if whole not in self._found:
                return Found({})
            self._found.move_to_end(whole)
            return self._found[whole]

    def put(self, whole: Whole, found: Found) -> None:
        """Remember what was found, beside what was known from the same source."""
        with self._lock:
            before = self._found.pop(whole, Found({}))
            kept = before.states if before.approximate == found.approximate else {}
            self._found[whole] = Found({**kept, **found.states}, found.approximate)
            while len(self._found) > self.most:
                self._found.popitem(last=False)

    def forget(self, identity: str) -> None:
        """Forget all that is known of a layer, whose tokens begin with its identity."""
        self.ready.clear()
        with self._lock:
            for whole in list(self._found):
                if any(isinstance(token, tuple) and token[0] == identity for token in whole.tokens):
                    del self._found[whole]

    def histogram(self, whole: Whole) -> Histogram | None:
        """Return the histogram of the raw image of a whole, inside its mask, or None if it is not known."""
        for (number, *_), state in self.get(whole).states.items():
            if number == "1" and isinstance(state, Bins) and not whole.settings:
                return state.histogram()
        return None

    def reach(self, settings: Hashable) -> Reach | None:
        """Return how far the steps with these settings look, as far as it was found out; None if it was not."""
        with self._lock:
            return self._reaches.get(settings)

    def keep_reach(self, settings: Hashable, reach: Reach) -> None:
        """Remember how far the steps with these settings look."""
        with self._lock:
            self._reaches[settings] = reach
            while len(self._reaches) > self.most:
                self._reaches.popitem(last=False)


def settings_before_the_cut(recipe: Recipe) -> tuple[tuple[str, Any], ...]:
    """Return the settings on which the statistics of a recipe depend, as hashable pairs.

    Those of a cut itself stand in what it asks for. A later step sees what the steps before it made, so that of a
    recipe of several steps all settings count.
    """
    if len(recipe.steps) > 1:
        return tuple((f"{n} {name}", value) for n, step in enumerate(recipe.steps) for name, value in _items(step))
    settings = dict(_items(recipe.steps[0]))
    on = [name for name in _FILTERS if settings.get(name)]
    names = [*on, "spacing"] if on else []
    if "background_radius" in on:
        names.append("objects")
    return tuple((name, settings.get(name)) for name in names)


def _items(step: Any) -> list[tuple[str, Any]]:
    return [("method", step.method), *sorted(step.settings.items())]
