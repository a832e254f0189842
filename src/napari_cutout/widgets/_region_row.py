"""*Edit this region*: a box of labels in a store is copied to a layer of its own, painted on, and written back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from . import _layers
from ._access import explain
from ._extent import Region, extent_of
from ._layers import ours
from ._live_layer import show_store
from ._region_edit import Changed, Taken, Written, box_problem, fitting_box, take, write_back
from ._store_levels import Box
from ._store_numbers import Held
from ._view import seen_of, view_of
from ._worker import Work, WorkerSlot, _Worker

__all__ = ["RegionRow", "are_classes", "box_of", "store_of"]

Layer = Any
"""A napari layer."""

_VIEW = "field of view"

_MOST_NAMED = 3
"""New numbers that are said one by one at most."""


def store_of(layer: Layer | None) -> str:
    """Return the store whose labels a layer shows; empty if it shows none, or a run is still writing it."""
    known = ours(layer) if layer is not None and hasattr(layer, "selected_label") else {}
    in_memory = known and isinstance(_layers.level_zero(layer), np.ndarray)
    return "" if in_memory or known.get("unfinished") else str(known.get("store", ""))


def are_classes(layer: Layer) -> bool:
    """Tell whether labels are classes, of which a new object has one like any other, for all that the layer says.

    Where nobody knows, they are numbers: a class that is written as another is said and seen, and objects that are
    joined are not.
    """
    steps = ours(layer).get("provenance", {}).get("steps") or [{}]
    return steps[-1].get("settings", {}).get("one_per_object") is False


def box_of(viewer: Any, layer: Layer, region: Region) -> Box:
    """Return the box of labels that is to be edited: what is in view or was drawn, and as many slices as may be.

    Parameters
    ----------
    viewer : napari viewer
        What is shown.
    layer : napari Labels layer
        Labels of a store.
    region : "view" or napari Shapes layer
        Where.

    Returns
    -------
    tuple of (int, int)
        Along each axis of the layer; of frames only the one that is shown.

    Raises
    ------
    ValueError
        If nothing is in view or drawn, or it is too large.
    """
    shape = _layers.level_zero(layer).shape
    view = view_of(viewer, layer)
    if isinstance(region, str):
        if view.problem:
            raise ValueError(view.problem)
        seen = seen_of(viewer, layer)
        box = tuple(seen[at] if at in view.displayed else (0, n) for at, n in enumerate(shape))
    else:
        drawn = extent_of(viewer, layer, "z" * layer.ndim, region).box or ()
        box = tuple((max(int(np.floor(a)), 0), min(int(np.ceil(b)), n)) for (a, b), n in zip(drawn, shape, strict=True))
    if any(stop <= start for start, stop in box):
        raise ValueError(f"the region lies beside '{layer.name}'; move it onto the labels")
    point = [min(max(p, 0), n - 1) for p, n in zip(view.point, shape, strict=True)]
    frames = [at for at, label in enumerate(layer.axis_labels) if label == "t"]
    box = tuple((point[at], point[at] + 1) if at in frames else one for at, one in enumerate(box))
    box = fitting_box(box, point, [at for at in range(len(box)) if at not in view.displayed])
    if problem := box_problem(box):
        raise ValueError(problem)
    return box


class RegionRow(QWidget):  # type: ignore[misc]
    """Buttons that copy a region of a store out, and write it back.

    Parameters
    ----------
    viewer : napari viewer
        Where the layers are.
    say : callable
        ``say(sentence, problem=False)`` tells the user what happened.

    Attributes
    ----------
    changed
        Emitted when something was copied out, written back, undone or discarded.
    """

    changed = Signal()

    def __init__(self, viewer: Any, say: Callable[..., None]) -> None:
        super().__init__()
        self._viewer, self._say = viewer, say
        self._slot = WorkerSlot()
        self.destroyed.connect(self._slot.quit)
        self.layer: Layer | None = None
        self.edited: Layer | None = None
        self._taken: Taken | None = None
        self._written: Written | None = None
        self._conflict = False
        self._held = Held()
        self._offered: list[Any] = []
        self._build()
        self._viewer.layers.selection.events.active.connect(self._follow)
        for event in (self._viewer.layers.events.inserted, self._viewer.layers.events.removed):
            event.connect(self._follow)
        self._follow()

    def _build(self) -> None:
        self.edit_button, self.region_box = QPushButton("Edit this region"), QComboBox()
        self.write_button, self.discard_button = QPushButton("Write back"), QPushButton("Discard")
        self.undo_button = QPushButton("Undo")
        self.numbers_box = QCheckBox("free numbers for new objects")
        explain(self.region_box, "region to edit", "What is in view, or inside the shapes of a Shapes layer.")
        self.edit_button.setToolTip("Copy the region to a layer that can be painted on")
        self.numbers_box.setToolTip(
            "A label that the region did not hold gets a number that nothing in the whole store has. Untick it to "
            "paint classes, or more of an object that lies outside the region"
        )
        self.write_button.setToolTip("Write the region into the store, at every level of its pyramid")
        self.discard_button.setToolTip("Leave the store as it is")
        self.undo_button.setToolTip("Put back what the store held before the region was written")
        self.edit_button.clicked.connect(lambda _: self.edit())
        self.write_button.clicked.connect(lambda _: self.write())
        self.discard_button.clicked.connect(lambda _: self.discard())
        self.undo_button.clicked.connect(lambda _: self.undo())
        first, second = QHBoxLayout(), QHBoxLayout()
        first.addWidget(self.edit_button, 1)
        first.addWidget(self.region_box, 1)
        for button, stretch in ((self.write_button, 1), (self.discard_button, 0), (self.undo_button, 0)):
            second.addWidget(button, stretch)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(first)
        layout.addWidget(self.numbers_box)
        layout.addLayout(second)

    @property
    def running(self) -> bool:
        """True while a region is read or written."""
        return self._slot.worker is not None

    def let_go(self) -> None:
        """Forget the viewer."""
        layers = self._viewer.layers
        layers.selection.events.active.disconnect(self._follow)
        layers.events.inserted.disconnect(self._follow)
        layers.events.removed.disconnect(self._follow)

    def show_for(self, layer: Layer) -> None:
        """Offer to edit regions of a layer."""
        self.layer = layer if store_of(layer) else self.layer
        self._follow()

    # What can be done

    def edit(self) -> None:
        """Copy the region to a layer of its own."""
        layer = self.layer
        if layer is None or self.running:
            return
        at = self.region_box.currentIndex()
        try:
            box = box_of(self._viewer, layer, self._offered[at] if at > 0 else "view")
        except ValueError as error:
            self._say(str(error), problem=True)
            return
        store, spread = store_of(layer), ours(layer).get("spread")
        inner = box if spread is None else (*box[:spread], *box[spread + 1 :])
        self._work(lambda *_: take(store, inner), lambda taken: self._show_copy(layer, taken, box, spread))

    def write(self) -> None:
        """Write the region back."""
        taken, edited = self._taken, self.edited
        if taken is None or edited is None or self.running:
            return
        labels = np.array(edited.data).reshape(taken.before.shape)
        anyway, numbers = self._conflict, self.numbers_box.isChecked()
        edited.editable = False  # what is painted meanwhile would be lost

        def work(on_progress: Callable[[str, float], None], is_cancelled: Callable[[], bool]) -> Written:
            held = partial(self._held.labels, taken.store, on_progress, is_cancelled)
            return write_back(taken, labels, held=held if numbers else None, anyway=anyway)

        self._work(work, self._show_written)

    def undo(self) -> None:
        """Put back what the store held before."""
        written = self._written
        if written is None or self.running:
            return
        self._work(lambda *_: write_back(written.taken, written.undo, undoes=True), self._show_undone)

    def discard(self) -> None:
        """Take the copy away; the store stays as it is."""
        edited, self.edited, self._taken, self._conflict = self.edited, None, None, False
        if edited is not None and edited in self._viewer.layers:
            self._viewer.layers.remove(edited)
        self._show_again()
        self._follow()
        self.changed.emit()

    # What came of it

    def _show_copy(self, layer: Layer, taken: Taken, box: Box, spread: int | None) -> None:
        if layer not in self._viewer.layers:
            return
        place = _layers.shifted(_layers.placement(layer), [start for start, _ in box], [1.0] * len(box))
        data = taken.before if spread is None else np.expand_dims(taken.before, spread)
        data = data.astype(np.int32 if data.dtype.itemsize < 4 else data.dtype)  # key M counts on, beyond 255 too
        self._taken, self._written, self._conflict = taken, None, False
        taken_to = int(ours(layer).get("provenance", {}).get("n_labels", 0))  # of the whole store, not of the region
        known = {"napari_cutout": {"highest": taken_to}}
        self.edited = edited = self._viewer.add_labels(data, name=f"{layer.name} region", metadata=known, **place)
        edited.mode, edited.brush_size = "paint", 10
        edited.selected_label = max(int(taken.before.max(initial=0)), 1)
        self.numbers_box.setChecked(not are_classes(layer))
        layer.visible = False  # what is erased in the copy would shine through
        self._say(f"copied {_by(box)} voxels; paint, then press Write back")
        self._follow()
        self.changed.emit()

    def _show_written(self, written: Written) -> None:
        self._written = written
        self.discard()
        self._show_store()
        n = written.n_changed
        wrote = f"wrote {n:,} changed voxel{'s' * (n != 1)} into the store"
        self._say(f"{wrote}{_moved(written.moved)}; Undo puts the old ones back")

    def _show_undone(self, written: Written) -> None:
        self._written = None
        self._show_store()
        self._say("the store holds again what it held before")
        self._follow()
        self.changed.emit()

    def _show_store(self) -> None:
        """Let the layers of this store show what it holds now."""
        store = self._store
        for layer in self._viewer.layers:
            if store_of(layer) == store:
                show_store(layer, store, ours(layer).get("spread"))

    def _show_again(self) -> None:
        if self.layer is not None and self.layer in self._viewer.layers:
            self.layer.visible = True
            self._viewer.layers.selection.active = self.layer

    def _failed(self, error: Exception) -> None:
        self._slot.worker = None
        if self.edited is not None:
            self.edited.editable, self.edited.mode = True, "paint"
        self._conflict = isinstance(error, Changed)
        self._say(str(error) or type(error).__name__, problem=True)
        self._follow()

    def _work(self, work: Work, show: Callable[[Any], None]) -> None:
        """Do something with files in a thread, and show what came of it."""
        self._store = store_of(self.layer) or (self._taken.store if self._taken else "")
        if self._written is not None and not self._store:
            self._store = self._written.taken.store
        self._slot.worker = worker = _Worker(lambda *told: (show, work(*told)))
        worker.signals.progressed.connect(self._show_progress)
        worker.signals.returned.connect(self._done)
        worker.signals.errored.connect(self._failed)
        self._follow()
        worker.start()

    def _show_progress(self, stage: str, fraction: float) -> None:
        self._say(f"{stage}: {fraction:.0%}")

    def _done(self, answer: tuple[Callable[[Any], None], Any]) -> None:
        show, found = answer
        self._slot.worker = None
        show(found)
        self._follow()

    # What is offered

    def _follow(self, event: Any = None) -> None:
        """Offer what can be done with the layer that is selected."""
        from napari.layers import Shapes

        layers = self._viewer.layers
        if self.edited is not None and self.edited not in layers:  # the user has removed it
            self.edited, self._taken, self._conflict = None, None, False
            self._show_again()
        active = layers.selection.active
        if store_of(active):
            self.layer = active
        elif self.layer is not None and self.layer not in layers:
            self.layer = None
        self._offered = ["view", *(layer for layer in layers if isinstance(layer, Shapes))]
        at = max(self.region_box.currentIndex(), 0)
        self.region_box.clear()
        self.region_box.addItems([_VIEW, *(f"inside '{layer.name}'" for layer in self._offered[1:])])
        self.region_box.setCurrentIndex(min(at, len(self._offered) - 1))
        editing = self.edited is not None
        for widget in (self.edit_button, self.region_box):
            widget.setVisible(not editing)
        for widget in (self.numbers_box, self.write_button, self.discard_button):
            widget.setVisible(editing)
        self.undo_button.setVisible(self._written is not None and not editing)
        self.write_button.setText("Write anyway" if self._conflict else "Write back")
        for button in (self.edit_button, self.numbers_box, self.write_button, self.discard_button, self.undo_button):
            button.setEnabled(not self.running)
        self.setVisible(self.layer is not None or editing)


def _moved(moved: Mapping[int, int]) -> str:
    """Say which labels were written as which others."""
    if not moved:
        return ""
    words = [f"{old} as {new}" for old, new in list(moved.items())[:_MOST_NAMED]]
    more = f" and {len(moved) - len(words):,} more" if len(moved) > len(words) else ""
    which = "another object has that number" if len(moved) == 1 else "other objects have those numbers"
    return f", {', '.join(words)}{more}, since {which} there"


def _by(box: Box) -> str:
    return " × ".join(f"{stop - start:,}" for start, stop in box)  # noqa: RUF001
