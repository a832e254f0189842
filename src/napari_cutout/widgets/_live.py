"""Runs that show a first answer at once and then a better one, and that know the image again after a stroke.  No Qt."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import is_lazy, to_numpy
from .._device import Choice, gpu_known, size
from .._monitor import Cancelled, watch
from ..methods._walk import MAX_VOXELS
from ..methods._walk_blocks import whole_bytes
from ..methods.random_walker import session_on
from ..processing.segment import tidy_regions
from ..running._execute import OnProgress, Result, Steps, channel_axis_of, choice_for, of_parts, provenance_of
from ._class_maps import labels_of_run
from ._request import Request
from ._results import Finished, Given, Slot, checksum

__all__ = ["SESSIONS", "Edited", "Live", "LiveRun", "Shown"]

Layer = Any
"""A napari layer."""

SESSIONS: Mapping[str, Callable[..., Any]] = {"random_walker": session_on}
"""What keeps an image of a method ready: ``(image, mask, settings)`` to what has ``updates(markers)``."""

OF_A_LABEL, OF_RESULTS = 4.0, 12.0
"""Bytes per voxel that are kept between runs: the probability of each label; labels as found and as shown."""

OF_A_STROKE, AT_PEAK = 16.0, 13.0
"""Bytes per voxel while a stroke is followed, beyond those of a run: of markers, coarse copy and labels, and of each
label, whose old probabilities are there beside the new ones.  Measured; a test holds them."""


BY_ITSELF = "each slice or frame is run by itself"
"""Why a run cannot be one of these if nothing else is in the way."""


class Edited(ValueError):
    """Somebody has edited the labels that were to be updated."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} was edited, so it is not updated; press Run for a layer of its own")


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What a run has found so far.

    Parameters
    ----------
    labels : int32 array
        With the axes of a layer.
    region : tuple of slice
        Where they lie in the layer.
    slot : Slot
        The layer; as long as it holds none, `labels` are all there are, for a new one.
    request : Request
        What runs.
    final : bool
        Whether nothing better comes.
    error : float
        The estimated error of a probability; NaN where nobody knows.
    """

    labels: NDArray[np.int32]
    region: tuple[slice, ...]
    slot: Slot
    request: Request
    final: bool
    error: float


class Live:
    """What is kept of an image between runs, for one widget.

    Attributes
    ----------
    ready
        Whether the image is known, so that other strokes need not wait for what runs.
    token
        Equal as long as the form asks for the same image to be walked on in the same way.
    n_bytes
        Memory that is kept, about.
    """

    def __init__(self) -> None:
        self.drop()

    def drop(self) -> None:
        """Forget the image, which takes memory."""
        self.ready, self.n_bytes = False, 0
        self.token: Hashable = None
        self._key: Hashable = None
        self._session: Any = None
        self._slot = Slot()
        self._found = self._shown = np.zeros(0, np.int32)

    def forget_labels(self) -> None:
        """Forget what the layer holds: it was put back to what it held before."""
        self._slot = Slot()

    def slot_of(self, given: Given | None) -> Slot:
        """Return what stands for a layer, always the same for one; None is for a new layer."""
        if given is None:
            return Slot()
        same = self._slot.given is given and self._slot.data is given.data
        return self._slot if same else Slot(given, given.data)

    def obstacle(self, request: Request, free: int) -> str:
        """Say why a run cannot be one of these: in memory, as a whole, on the CPU, with room for what is kept.

        Parameters
        ----------
        request : Request
            The run.
        free : int
            Bytes that it may take.

        Returns
        -------
        str
            A clause that fits after "because"; empty if it can be one.
        """
        recipe = request.recipe
        if recipe.steps[-1].method not in SESSIONS:
            return f"{recipe.steps[-1].method} keeps nothing of an image"
        if any(is_lazy(array) or hasattr(array, "chunks") for array in request.inputs.values()):
            return "the image, the strokes or the mask are not in memory"
        if _goes_to_the_gpu(request):
            return "it runs on the GPU"
        if math.prod(request.target.result_shape) > MAX_VOXELS:
            return f"images of more than {MAX_VOXELS:,} voxels are run in tiles"
        need = self._need(request)
        if need > free + self.n_bytes:
            return f"to keep the image ready takes {size(need)} and {size(free + self.n_bytes)} are free"
        return BY_ITSELF if recipe.selection is not None and recipe.selection.each else ""

    def _need(self, request: Request) -> int:
        """Return the bytes of a run at its peak with all that is kept."""
        n_voxels = math.prod(request.target.result_shape)
        strokes = int(request.inputs["markers"].nbytes)  # a copy
        kept = OF_RESULTS + OF_A_STROKE + AT_PEAK * len(labels_of_run(request))
        return int(whole_bytes(n_voxels) + kept * n_voxels) + strokes

    def probability_of(self, label: int) -> NDArray[np.float32] | None:
        """Return how likely a label is, as the last run has found it; call it while none runs.

        Parameters
        ----------
        label : int
            A label; one that is no longer painted has the probability 0.

        Returns
        -------
        float32 array or None
            Of the part that was run on, NaN where no stroke leads; None if nothing is kept.
        """
        kept = None if self._session is None else self._session.probabilities
        if kept is None:
            return None
        labels, values = kept
        at = np.flatnonzero(labels == label)
        found = values[at[0]] if len(at) else np.float32(0)
        return np.where(self._found == 0, np.float32(np.nan), found)

    # In a thread

    def shown_by(
        self,
        request: Request,
        token: Hashable,
        slot: Slot,
        inputs: Mapping[str, Any],
        *,
        adds: bool,
    ) -> Iterator[tuple[Shown, NDArray[np.int32]]]:
        """Yield what a run finds, and all labels as a layer should hold them then; call it in a thread.

        Parameters
        ----------
        request : Request
            What runs.
        token : hashable
            Equal as long as the form asks for the same image to be walked on in the same way.
        slot : Slot
            The layer to update, or a new one.
        inputs : mapping of str to array
            Of one part, as the method takes them.
        adds : bool
            Whether to go on with a new layer if that one was edited.

        Raises
        ------
        Edited
            If it was, and none may be added.
        """
        if slot.given is not None and not self._is_as_shown(slot):
            if not adds:
                raise Edited(slot.given.name)
            slot = Slot()
        settings = _settings(request, inputs)
        self._know(token, request.recipe.steps[-1].method, settings, inputs)
        found, painted = self._found, inputs["markers"]
        n_labels = len(np.unique(painted[painted > 0]))
        self.n_bytes = int((OF_RESULTS + OF_A_LABEL * n_labels) * found.size)
        for update in self._session.updates(painted):
            found[update.region] = update.labels
            tidied = tidy_regions(found, settings)
            everywhere = tidied is not found or self._slot is not slot
            region = tuple(slice(0, n) for n in found.shape) if everywhere else update.region
            self._shown, self._slot = tidied, slot
            labels = request.target.as_layer(np.array(tidied[region]))
            yield Shown(labels, _in_layer(region, request), slot, request, update.final, float(update.error)), tidied

    def _is_as_shown(self, slot: Slot) -> bool:
        """Tell whether a layer holds, voxel by voxel, what was put into it."""
        assert slot.given is not None
        if self._slot is not slot:
            return slot.given.untouched()
        held = slot.given.data
        return slot.given.layer.data is held and np.array_equal(held.reshape(self._shown.shape), self._shown)

    def _know(self, token: Hashable, method: str, settings: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
        """Get the image ready, unless it is."""
        mask = inputs.get("mask")  # one that is drawn has no layer to be known by
        key = (token, None if mask is None else checksum(mask))
        if self._session is not None and key == self._key:
            return
        self.drop()
        self._session = SESSIONS[method](inputs["image"], mask, settings)
        self._found = np.zeros(inputs["markers"].shape, np.int32)
        self._key, self.token, self.ready = key, token, True


@dataclass(frozen=True, slots=True, eq=False)
class LiveRun:
    """One run, as a worker takes it.

    Parameters
    ----------
    live : Live
        What is kept of the image.
    request : Request
        What runs.
    source : napari layer
        What is cut.
    token : hashable
        Equal as long as the form asks for the same image to be walked on in the same way.
    slot : Slot
        The layer to update, or a new one.
    adds : bool
        Whether to add a layer if there is none to update.
    tell : callable
        Called with every `Shown`.
    """

    live: Live
    request: Request
    source: Layer
    token: Hashable
    slot: Slot
    adds: bool
    tell: Callable[[Shown], None]

    def __call__(self, on_progress: OnProgress, is_cancelled: Callable[[], bool]) -> Finished:
        """Run it; call it in a thread of its own."""
        request, start = self.request, time.perf_counter()
        on_progress("reading", 0.0)
        inputs = {name: request.readable(array) for name, array in request.inputs.items()}
        painted = request.recipe.steps[-1].inputs["markers"]
        inputs[painted] = np.array(inputs[painted])  # once: what is run on is also what is remembered
        run = partial(self._of_part, is_cancelled)
        if request.recipe.selection is None:
            labels, steps = run(inputs, on_progress)
        else:
            shape = tuple(request.target.array.shape)
            ((_, (labels, steps)),) = of_parts(run, inputs, request.recipe.selection, shape, "cpu", on_progress)
        if is_cancelled():  # by another stroke
            raise Cancelled("cancelled; nothing was changed")
        choice = Choice(request.device, "cpu", "the image stays in memory, so that the next stroke is quick")
        seconds = time.perf_counter() - start
        result = Result(labels, provenance_of(request.recipe, inputs, steps, choice, seconds))
        outcome = request.outcome(inputs, result)
        selection = request.recipe.selection
        check, slot = checksum(labels), self.live._slot
        return Finished(outcome, self.source, check, None, selection, request, slot, adds=self.adds)

    def _of_part(
        self, is_cancelled: Callable[[], bool], held: Mapping[str, Any], on_progress: OnProgress | None
    ) -> tuple[NDArray[np.int32], Steps]:
        """Run it on what is selected of the inputs, and tell what is found on the way."""
        request = self.request
        arrays = {name: to_numpy(held[source]) for name, source in request.recipe.steps[-1].inputs.items()}
        with watch(on_progress, is_cancelled) as seen:
            for shown, labels in self.live.shown_by(request, self.token, self.slot, arrays, adds=self.adds):
                self.tell(shown)
                found = labels
        facts = {name: fact for name, fact in seen.facts.items() if name != "method"}
        settings = _settings(request, arrays)
        reached = {"estimated_error": shown.error, "converged": shown.error <= settings["tolerance"]}
        return found, [{"method": request.recipe.steps[-1].method, "settings": settings, "facts": {**facts, **reached}}]


def _settings(request: Request, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings of a run, with the axis of the channels where there are some."""
    step, selection = request.recipe.steps[-1], request.recipe.selection
    settings = dict(step.complete_settings)
    if selection is not None and (axis := channel_axis_of(selection, inputs["image"])) is not None:
        settings["channel_axis"] = axis
    return settings


def _goes_to_the_gpu(request: Request) -> bool:
    """Tell whether a run as any other would take the GPU, as far as it is known already whether there is one."""
    if request.device != "auto":
        return request.device == "gpu"
    return gpu_known() and choice_for(request.recipe, request.inputs, "auto").used == "gpu"


def _in_layer(region: tuple[slice, ...], request: Request) -> tuple[slice, ...]:
    """Return a region with the axes of a layer."""
    spread = request.target.spread
    return region if spread is None else (*region[:spread], slice(None), *region[spread:])
