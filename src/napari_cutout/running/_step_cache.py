"""What steps gave in the runs of a session, kept for those that differ in what comes after them."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from .. import catalog
from .._array import Array, dtype_name, from_numpy, is_host, is_lazy, to_numpy
from .._held import said
from .._monitor import Monitor
from .._sources import image_fingerprint
from ._known_steps import KnownSteps, Ran

__all__ = ["StepCache"]


@dataclass(slots=True, eq=False)
class StepCache(KnownSteps):
    """The results of steps, known again by what ran on which voxels.

    Where an input was painted on in place, its steps run again, and those after them. Results that do not fit any more
    give way to those of a newer run; within a run the first steps are kept, from which the next one begins.

    Parameters
    ----------
    limit : int
        Bytes that the labels that are kept may have together.
    reused : set of int
        The numbers of the steps that the last run took from runs before it.

    Notes
    -----
    It is for runs whose parts share no statistics: there, what a part gives depends on the others as well.
    """

    limit: int = 0
    reused: set[int] = field(default_factory=set)
    _held: OrderedDict[str, Ran] = field(default_factory=OrderedDict)
    _digests: dict[int, str] = field(default_factory=dict)
    _arrays: WeakValueDictionary[int, Any] = field(default_factory=WeakValueDictionary)
    _asked: str = ""
    _of_this_run: set[str] = field(default_factory=set)
    _of_before: set[str] = field(default_factory=set)

    @property
    def keeps_last(self) -> bool:
        """True: the last step may be followed by another in the next run."""
        return True

    @property
    def nbytes(self) -> int:
        """Bytes of the labels that are kept."""
        return sum(int(ran.labels.nbytes) for ran in self._held.values())

    def begin(self, limit: int) -> None:
        """Take note that a run begins: its inputs may hold other voxels than before.

        Parameters
        ----------
        limit : int
            Bytes that may be kept from now on.
        """
        self.limit = limit
        self.reused.clear()
        self._digests.clear()
        self._of_this_run.clear()
        self._make_room(0)
        self._of_before = set(self._held)

    def of(
        self, number: int, method: str, settings: Mapping[str, Any], arrays: Mapping[str, Array]
    ) -> tuple[Array, Monitor] | None:
        """Return the labels and notes that a step gave before, with the same settings on the same voxels.

        Parameters
        ----------
        number : int
            Which step of the run it is.
        method : str
            Its method.
        settings : mapping
            All that the method is called with, but arrays.
        arrays : mapping of str to array
            What it reads; of lazy ones nothing is known.

        Returns
        -------
        tuple of array and Monitor, or None
            A copy of the labels; None if the step must run.
        """
        self._asked = ""
        if any(is_lazy(array) for array in arrays.values()):
            return None
        self._asked = key = self._key(method, settings, arrays)
        if (ran := self._held.get(key)) is None:
            return None
        self._held.move_to_end(key)
        self._of_this_run.add(key)
        if key in self._of_before:
            self.reused.add(number)
        self.seconds += ran.seconds
        labels = from_numpy(ran.labels.copy(), like=next(iter(arrays.values())))
        self._know(labels, key)
        return labels, ran.monitor

    def keep(self, number: int, ran: Ran) -> None:
        """Remember a step that was asked for and had to run, if there is room."""
        if not self._asked:
            return
        key, self._asked = self._asked, ""
        self._know(ran.labels, key)
        if not self._make_room(int(ran.labels.nbytes)):
            return
        self._of_this_run.add(key)
        labels = to_numpy(ran.labels)
        self._held[key] = replace(ran, arrays={}, labels=labels.copy() if labels is ran.labels else labels)

    def _make_room(self, n_bytes: int) -> bool:
        """Let go of the oldest results of earlier runs, and say whether there is room then."""
        for key in [key for key in self._held if key not in self._of_this_run]:
            if self.nbytes + n_bytes <= self.limit:
                break
            del self._held[key]
        return self.nbytes + n_bytes <= self.limit

    def _key(self, method: str, settings: Mapping[str, Any], arrays: Mapping[str, Array]) -> str:
        """Return what is equal where a step gives the same."""
        read = {name: self._digest(array) for name, array in arrays.items()}
        where = "host" if all(is_host(array) for array in arrays.values()) else "device"
        asked = {name: said(value) for name, value in settings.items()}
        text = json.dumps([method, where, asked, _folders(method, settings), read], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _digest(self, array: Array) -> str:
        """Return by what an array is known again: what made it in this run, else its voxels."""
        if self._arrays.get(id(array)) is array and id(array) in self._digests:
            return self._digests[id(array)]
        found = f"{dtype_name(array)} {image_fingerprint(to_numpy(array))}"
        self._know(array, found)
        return found

    def _know(self, array: Array, digest: str) -> None:
        if is_host(array):
            self._arrays[id(array)], self._digests[id(array)] = array, digest


def _folders(method: str, settings: Mapping[str, Any]) -> list[Any]:
    """Return by what the files of models are known again that a step names by their folder."""
    names = [p.name for p in catalog.find(method).settings if p.folder and isinstance(settings.get(p.name), str)]
    files = [file for name in names for file in sorted(Path(settings[name]).rglob("*")) if file.is_file()]
    return [(str(file), (facts := file.stat()).st_size, facts.st_mtime_ns) for file in files]
