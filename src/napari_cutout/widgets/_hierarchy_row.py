"""A slider below the result of a run that moves through the hierarchy of its regions, without computing it again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from typing import Any, ClassVar

import numpy as np
from qtpy.QtWidgets import QGridLayout, QLabel, QSpinBox, QWidget

from .._monitor import Cancelled
from ..methods._hierarchy import Hierarchy, listening
from ._access import explain
from ._contents import token_of
from ._dock import sentence_line, show_sentence
from ._editors import StillUnlessFocused
from ._layers import ours
from ._log_slider import LogSlider
from ._newest import Newest
from ._pools import Turn
from ._recut import Cut, Done, Recut
from ._request import Form, Request
from ._results import Finished, Given
from ._showing_row import ShowingRow
from ._view import view_of
from ._worker import Work

__all__ = ["HierarchyRow"]

Layer = Any
"""A napari layer."""

AT_ONCE = 1 << 20
"""Voxels of a result that are written at once; of a larger one what is in view, and the rest in a thread."""

_TEXT = (
    "How many regions are left, from all that the merging began with to those that do not touch. The labels follow at "
    "once, and with them the recipe of the layer. A layer that was edited or renamed is never changed."
)

_EDITED = "the result was edited, renamed or replaced, so the slider leaves it alone; press Run for a new layer"
_NONE = "there is no slider: the result was not made in memory, in one piece"


class HierarchyRow(ShowingRow):
    """Moves through the hierarchy of the regions of the last run.

    Parameters
    ----------
    frame : MethodFrame
        The form that it belongs to.

    Attributes
    ----------
    slider, box
        How many regions are left: by equal ratios, and exactly.
    cut
        Where the layer is cut now, or will be once all of it is written; None as long as there is no hierarchy.
    """

    after_result: ClassVar[bool] = True

    def __init__(self, frame: Any) -> None:
        super().__init__()
        self._frame, self._viewer = frame, frame.viewer
        self._heard: tuple[Request, list[Hierarchy]] | None = None
        self._recut: Recut | None = None
        self._given: Given | None = None
        self._token: Hashable = None
        self._method = ""
        self.cut: Cut | None = None
        # What it writes, it writes to the end, even if the widget is closed meanwhile; a run waits for it.
        self._newest = Newest(Turn.ASKED)
        self._written = threading.Event()
        self._written.set()
        self._still = StillUnlessFocused(self)
        self.slider, self.box, self._line = LogSlider(1, 2, whole=True), QSpinBox(), QLabel()
        for field, name in ((self.slider, "regions left slider"), (self.box, "regions left")):
            explain(field, name, _TEXT)
            field.installEventFilter(self._still)
        self.slider.moved.connect(lambda number: self.move(int(number)))
        self.box.valueChanged.connect(self.move)
        self.box.setKeyboardTracking(False)
        self._line.setWordWrap(True)
        self._problem = sentence_line()
        self._inner = QWidget()
        label = QLabel("regions left")
        label.setBuddy(self.box)
        layout = QGridLayout(self._inner)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget, at in ((label, (0, 0)), (self.slider, (0, 1)), (self.box, (0, 2))):
            layout.addWidget(widget, *at)
        layout.setColumnStretch(1, 1)
        layout.addWidget(self._line, 1, 0, 1, 3)
        outer = QGridLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._inner, 0, 0)
        outer.addWidget(self._problem, 1, 0)
        self._inner.setVisible(False)
        frame.ran.connect(self._show_run)

    def refresh(self, form: Form | None, facts: Mapping[str, Any]) -> None:
        """Stay as it is: the slider belongs to the last run, whatever the form says now."""

    def let_go(self) -> None:
        """Let what is being written come to its end, and offer no more."""
        self._inner.setVisible(False)

    def work(self, form: Form, request: Request, *, update: bool) -> Work:
        """Return what a worker is to do for a press on Run: the run itself, with an ear for the hierarchy.

        Parameters
        ----------
        form : Form
            What the form says.
        request : Request
            What is to run.
        update : bool
            Whether it may update the layer of an earlier run.
        """
        run = self._frame.results.work(request, form.layers, form.source, update=update)

        def work(on_progress: Callable[[str, float], None], is_cancelled: Callable[[], bool]) -> Finished:
            while not self._written.wait(0.05):  # so that a layer is what it says of itself when it is updated
                if is_cancelled():
                    raise Cancelled("cancelled; nothing was changed")
            with listening() as heard:
                finished: Finished = run(on_progress, is_cancelled)
            self._heard = (request, heard)
            return finished

        return work

    def _show_run(self, request: Request, layer: Layer) -> None:
        """Offer the hierarchy of a run."""
        if self._heard is None:  # a run of another method of the row
            return
        (ran, hierarchies), self._heard = self._heard, None
        self._recut, self.cut, self._given = None, None, self._frame.results.given_of(layer)
        data = layer.data
        one = ran is request and len(hierarchies) == 1 and hierarchies[0].regions.size == data.size
        if one and isinstance(data, np.ndarray) and data.dtype == np.int32:
            self._recut, self._method = Recut(hierarchies[0], data), request.recipe.steps[-1].method
            self._show_ends(int(data.max(initial=0)))
            self._token = token_of(layer)
        self._inner.setVisible(self._recut is not None)
        show_sentence(self._problem, "" if self._recut is not None else _NONE)

    def _show_ends(self, n_regions: int) -> None:
        """Let slider and box go over all cuts, and show where a run has cut."""
        assert self._recut is not None
        fewest, most = self._recut.fewest, self._recut.most
        self.slider.set_ends(max(fewest, 1), max(most, 1))
        self.box.blockSignals(True)
        self.box.setRange(fewest, most)
        self.box.blockSignals(False)
        self._inner.setEnabled(most > fewest)
        self._show(self._recut.at(n_regions))

    def _show(self, cut: Cut) -> None:
        """Show where the result is cut."""
        self.cut = cut
        self.slider.show_value(cut.n_regions)
        self.box.blockSignals(True)
        self.box.setValue(cut.n_regions)
        self.box.blockSignals(False)
        self._line.setText(str(cut))

    # Cutting elsewhere

    def move(self, n_regions: int) -> None:
        """Cut the result where so many regions are left, and let the layer say so."""
        given, recut = self._given, self._recut
        if given is None or recut is None or (self.cut is not None and n_regions == self.cut.n_regions):
            return
        is_ours = self._is_ours(given, recut)
        show_sentence(self._problem, "" if is_ours else _EDITED)
        if not is_ours:
            self._show(self.cut or recut.at(recut.most))
            return
        cut = recut.at(n_regions)
        self._show(cut)
        if recut.data.size <= AT_ONCE:
            self._finish(recut.finish(cut, ours(given.layer)))
            return
        self._lock(given.layer)
        self._write_view()
        stored = ours(given.layer)
        self._newest.ask(
            lambda: lambda _, is_cancelled: recut.finish(cut, stored, is_cancelled), self._finish, self._fail
        )

    def _is_ours(self, given: Given, recut: Recut) -> bool:
        """Tell whether the layer holds what was put into it, voxel by voxel if it has changed since."""
        if not self._written.is_set():
            return True  # it is locked
        if not self._frame.results.is_free(given) or given.data is not recut.data:
            return False
        return token_of(given.layer) == self._token or given.untouched()

    def _lock(self, layer: Layer) -> None:
        """Let nobody paint on what is about to be written, and show what is written first if the view moves."""
        if self._written.is_set():
            self._written.clear()
            self._mode, self._editable = layer.mode, layer.editable
            layer.editable = False
            for event in self._moves:
                event.connect(self._view_moved)

    def _unlock(self, layer: Layer) -> None:
        """Let the layer be painted on again."""
        if not self._written.is_set():
            for event in self._moves:
                event.disconnect(self._view_moved)
            layer.editable, layer.mode = self._editable, self._mode
            self._written.set()

    @property
    def _moves(self) -> tuple[Any, ...]:
        """What is heard when another slice is shown."""
        dims = self._viewer.dims.events
        return dims.point, dims.order, dims.ndisplay

    def _view_moved(self, event: Any = None) -> None:
        if not self._written.is_set():
            self._write_view()

    def _write_view(self) -> None:
        """Write and draw what is in view."""
        assert self._given is not None
        assert self._recut is not None
        assert self.cut is not None
        layer = self._given.layer
        view = view_of(self._viewer, layer)
        if not view.problem:
            whole = [(0, n) for n in self._recut.data.shape]
            box = [whole[at] if at in view.displayed else view.box[at] for at in range(len(whole))]
            self._recut.write(self.cut, box)
            layer.refresh(extent=False, thumbnail=False)

    def _finish(self, done: Done) -> None:
        """Let a layer say what it holds now, and the form what would give it."""
        given = self._given
        assert given is not None
        given.check = done.check
        given.layer.metadata = {**given.layer.metadata, "napari_cutout": dict(done.metadata)}
        given.layer.refresh(extent=False)
        self._token = token_of(given.layer)
        self._unlock(given.layer)
        if not self._frame.closed and self._frame.method.name == self._method:
            self._frame.set_quietly(n_regions=done.cut.n_regions, threshold=None)
            left = f"{done.cut.n_regions:,} region{'s' * (done.cut.n_regions != 1)}"
            self._frame.bar.say(f"{left}, from the hierarchy of the last run; the recipe of the layer follows")

    def _fail(self, error: Exception) -> None:
        """Say that not all was written, as when memory has run out; what is there is no result of ours any more."""
        assert self._given is not None
        self._given.painted = True
        self._unlock(self._given.layer)
        if not self._frame.closed:
            self._frame.bar.say(f"the layer could not be cut elsewhere: {error}; press Run", problem=True)
