"""Where labels go: into memory or into a store; and what is left of a run that did not end."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ._access import explain
from ._dock import problem_line, show_sentence

__all__ = ["StoreRow"]

_CHOICES = ("labels in memory", "labels in a Zarr store…")
_WHY = (
    "In memory, or in a Zarr store that is written tile by tile: volumes of any size then fit, the labels show up "
    "while they are made, and a run that was cut off goes on where it was."
)


class StoreRow(QWidget):  # type: ignore[misc]
    """Asks where labels go, and offers to go on with a run that did not end.

    Attributes
    ----------
    changed
        Emitted when the user has chosen where labels go.
    resumed
        Emitted when the unfinished run is to go on.
    discarded
        Emitted when what is left of it is to be removed.
    """

    changed = Signal()
    resumed = Signal()
    discarded = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.chosen = False
        self.box = QComboBox()
        self.box.addItems(_CHOICES)
        self.box.activated.connect(self._choose)
        explain(self.box, "where labels go", _WHY)
        self.problem = problem_line()
        self.left = QLabel()
        self.left.setWordWrap(True)
        self.resume_button, self.discard_button = QPushButton("Resume"), QPushButton("Discard")
        self.resume_button.setToolTip("Go on where the run was cut off; what is done is not done again")
        self.discard_button.setToolTip("Remove what the run has written so far")
        self.resume_button.clicked.connect(lambda _: self.resumed.emit())
        self.discard_button.clicked.connect(lambda _: self.discarded.emit())
        self._unfinished = QWidget()
        buttons = QHBoxLayout()
        buttons.addWidget(self.resume_button, 1)
        buttons.addWidget(self.discard_button)
        inner = QVBoxLayout(self._unfinished)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addWidget(self.left)
        inner.addLayout(buttons)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self._parts = (self.box, self.problem, self._unfinished)
        for widget in self._parts:
            layout.addWidget(widget)
        self.box.setVisible(False)
        self.show_unfinished("")

    @property
    def into_store(self) -> bool:
        """Whether labels go into a store, as far as the box says."""
        return bool(self.box.currentIndex() == 1)

    def show_choice(self, *, offered: bool, into_store: bool) -> None:
        """Offer the choice, and make it unless the user has."""
        self.box.setVisible(offered)
        self._take_room()
        if not self.chosen:
            self.choose(into_store)

    def choose(self, into_store: bool) -> None:
        """Show a choice without a word to anybody."""
        self.box.blockSignals(True)
        self.box.setCurrentIndex(int(into_store))
        self.box.blockSignals(False)

    def forget(self) -> None:
        """Let the plan choose again, as for another layer."""
        self.chosen = False

    def show_unfinished(self, target: str, done: float | None = None) -> None:
        """Offer to go on with a run into a target; an empty one takes the offer away."""
        self._unfinished.setVisible(bool(target))
        share = "" if done is None else f", {100 * done:.0f} % done"
        self.left.setText(f"a run into '{Path(target).name}' did not end{share}" if target else "")
        self.left.setToolTip(target)
        self._take_room()

    def show_problem(self, sentence: str) -> None:
        """Say what is wrong with where the run would be."""
        show_sentence(self.problem, sentence)
        self._take_room()

    def _take_room(self) -> None:
        """Be there only with something to show: an empty row would still push the fields above it out of sight."""
        self.setVisible(not all(part.isHidden() for part in self._parts))

    def _choose(self, _: int) -> None:
        self.chosen = True
        self.changed.emit()
