"""The page of Evaluate that lists objects, linked to both layers in the viewer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, get_args

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from ._access import explain
from ._objects import COLUMNS, ObjectScore, Side, definitions, place_of, row_of, rows, sentence, side_of
from ._pair_link import PairLink
from ._table import Table

__all__ = ["ObjectsPage"]

HELP = (
    "A row for each true object, and below them one for each predicted object without a match. Choose one to see it in "
    "the viewer, or click an object there to find its row."
)


class ObjectsPage(QWidget):  # type: ignore[misc]
    """Shows which objects were found, split, merged, missed or invented.

    Parameters
    ----------
    link : PairLink
        Through which objects are chosen, in the viewer and on other pages.

    Attributes
    ----------
    score
        What is shown; None if there is nothing.
    """

    def __init__(self, link: PairLink) -> None:
        super().__init__()
        self._link = link
        self.score: ObjectScore | None = None
        self._complete = ""
        self._columns: dict[str, list[Any]] = {}
        self.threshold_box, self.table = QDoubleSpinBox(), Table(COLUMNS)
        self.note, self.sentence = QLabel(), QLabel()
        self._build()
        link.tell(self.select)

    def _build(self) -> None:
        self.threshold_box.setRange(0.05, 1.0)
        self.threshold_box.setSingleStep(0.05)
        self.threshold_box.setValue(0.5)
        self.threshold_box.setKeyboardTracking(False)
        explain(self.threshold_box, "matched from an IoU of", "Two objects can be matched from this IoU on.")
        self.threshold_box.valueChanged.connect(self._show)
        explain(self.table, "objects", HELP)
        self.table.chosen.connect(self._show_object)
        for line in (self.note, self.sentence):
            line.setWordWrap(True)
            line.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        row = QHBoxLayout()
        row.addWidget(QLabel("matched from an IoU of"))
        row.addWidget(self.threshold_box)
        row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.note)
        layout.addLayout(row)
        layout.addWidget(self.sentence)
        layout.addWidget(self.table, 1)

    @property
    def threshold(self) -> float:
        """The IoU from which on two objects can be matched."""
        return round(float(self.threshold_box.value()), 2)

    def show_objects(self, score: ObjectScore | None, complete: str = "") -> None:
        """Show other scores; the threshold stays.

        Parameters
        ----------
        score : ObjectScore or None
            What to show; None if there is nothing.
        complete : str
            The name of the layer inside which all is annotated.
        """
        self.score, self._complete = score, complete
        self.sentence.setToolTip("" if score is None else definitions(score))
        self._show()

    def _show(self, _: float = 0.0) -> None:
        self._columns = {c.name: [] for c in COLUMNS} if self.score is None else rows(self.score.found, self.threshold)
        self.table.set_data(self._columns)
        self.sentence.setText("" if self.score is None else sentence(self.score, self.threshold, self._complete))
        self.note.setText("" if self.score is None else self.score.note)
        self.note.setVisible(bool(self.note.text()))

    def set_style(self, style: str) -> None:
        """Draw what is shown in a style, such as that of scores that are not current."""
        for widget in (self.sentence, self.table):
            widget.setStyleSheet(style)

    # The table and the viewer

    def _show_object(self, chosen: Sequence[int]) -> None:
        """Select the labels of a row in their layers, and move the viewer to the object that the row is about."""
        if not chosen or self.score is None:
            return
        row = chosen[0]
        about = side_of(self.score.found, row)
        both = {side: self._columns["true" if side == "truth" else "predicted"][row] for side in get_args(Side)}
        labels: dict[Side, int] = {side: int(label) for side, label in both.items() if not math.isnan(label)}
        self._link.show(labels, about, place_of(self.score, about, labels[about]), by=self.select)

    def select(self, side: Side, label: int) -> None:
        """Select the row of an object that was chosen elsewhere."""
        if self.score is not None:
            row = row_of(self.score.found, self._columns, side, label)
            self.table.select([] if row is None else [row])
