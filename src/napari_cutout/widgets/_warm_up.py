"""Compiling in the background what a widget will run, so that its first preview and its first run do not wait for it.

What is compiled is kept on disk, so that this takes seconds once after an installation, and nothing later on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._method import OF_THE_IMAGE, Method, Param
from .._selection import Selection
from ..recipe import Recipe, Step
from ..running._execute import execute
from ._pools import Turn
from ._request import Form, dtype_seen
from ._worker import WorkerSlot, _Worker

__all__ = ["Sample", "WarmUp", "sample_for"]

log = logging.getLogger(__name__)

EDGE = 8
"""Voxels along each axis of the sample that a method is tried on."""

MOST = 3
"""Classes, starts and iterations that a sample is tried with; more of them compile nothing else."""

_WARM: set[Hashable] = set()
"""What this process has tried to its end, or knows to be refused."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A run on a few voxels that compiles what a form's run needs.

    Parameters
    ----------
    step : Step
        The method with the settings of the form.
    inputs : mapping of str to array
        Small arrays of the dtypes of the layers.
    key : hashable
        What is equal if the same is compiled.
    selection : Selection, optional
        Where the channels are, if the method sees all of them.
    """

    step: Step
    inputs: dict[str, NDArray[Any]]
    key: Hashable
    selection: Selection | None = None

    def run(self, is_cancelled: Callable[[], bool]) -> None:
        """Run it; call it in a thread of its own. What goes wrong is of no interest to the user, and only logged."""
        try:
            execute(Recipe((self.step,), self.selection), self.inputs, device="cpu", is_cancelled=is_cancelled)
        except (ValueError, TypeError) as error:  # the settings may not suit so small an image
            log.debug("a warm-up of %s ended early", self.step.method, exc_info=error)
        _WARM.add(self.key)  # not if it was cancelled or failed to compile: then it is tried again


def sample_for(form: Form) -> Sample:
    """Return what to try for what a form says.

    Parameters
    ----------
    form : Form
        With a layer to cut; markers may be missing still.

    Returns
    -------
    Sample
        Of the dtype and the number of axes that the method will see, with the steps that are switched on.

    Raises
    ------
    ValueError
        If the axes of the layer are not named yet, or a setting is not allowed.
    """
    aim = form.target
    axes = len(aim.selection.run_axes)
    params = [p for p in form.method.arrays if p.required or form.layers.get(p.name) is not None]
    inputs = {param.name: _tiny(param, dtype_seen(aim), axes) for param in params}
    together = Selection(f"c{aim.selection.run_axes}", "all") if aim.selection.channel == "all" else None
    if together is not None:
        inputs[form.method.source.name] = np.stack([inputs[form.method.source.name]] * 2)
    step = _quick(form.step(aim, inputs), form.method)
    on = tuple(
        (p.name, value if p.choices or p.item_choices else True)
        for p in form.method.settings
        if p.name not in OF_THE_IMAGE and (value := step.settings[p.name]) != p.default
    )
    key = (form.method.name, str(dtype_seen(aim)), axes, together is not None, tuple(inputs), on)
    return Sample(step, inputs, key, together)


def _quick(step: Step, entry: Method) -> Step:
    """Return a step with no more classes than the few voxels of a sample have, and without much repetition."""
    counts = {p.name for p in entry.settings if p.name.startswith("n_") or p.name == "max_iterations"}
    fewer = {n: min(v, MOST) for n, v in step.settings.items() if n in counts and isinstance(v, int)}
    return Step(step.method, {**step.settings, **fewer}, step.inputs)


def _tiny(param: Param, dtype: Any, axes: int) -> NDArray[Any]:
    """Return a small array of the kind that a method takes: two bright blocks that touch, on a dark ground."""
    shape = (EDGE,) * axes
    role = param.role.name if param.role else ""
    if role == "mask":
        return np.ones(shape, bool)
    block = np.zeros(shape, np.uint8)
    block[(slice(1, -1),) * axes] = 1
    block[..., EDGE // 2 : -1] *= 2
    if role == "image":
        return (block * 20 + np.arange(EDGE)).astype(dtype)
    return block if role == "markers" else block.astype(dtype)


class WarmUp:
    """Tries samples in a thread, one at a time, each until it has run to its end once in a process.

    It is no Qt object, so that it outlives its widget.
    """

    def __init__(self) -> None:
        self._slot = WorkerSlot()
        self._next: Sample | None = None
        self._stopped = False

    @property
    def running(self) -> bool:
        """True while something is compiled, or waits for it."""
        return self._slot.worker is not None

    def ask(self, sample: Sample) -> None:
        """Try a sample, unless that was done; the newest waits until what runs has ended."""
        self._next = None if sample.key in _WARM else sample
        self._start()

    def stop(self, _: Any = None) -> None:
        """Start nothing any more, and end what runs as soon as it can be."""
        self._stopped, self._next = True, None
        self._slot.quit()

    def _start(self) -> None:
        if self._slot.worker is not None or self._stopped:
            return
        sample, self._next = self._next, None
        if sample is None or sample.key in _WARM:
            return
        self._slot.worker = worker = _Worker(lambda _, is_cancelled: sample.run(is_cancelled), turn=Turn.BEFOREHAND)
        worker.signals.finished.connect(lambda: self._end())  # it holds this until then
        worker.start()

    def _end(self) -> None:
        self._slot.worker = None
        self._start()
