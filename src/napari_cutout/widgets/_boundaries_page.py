"""The page of Evaluate that measures boundaries when it is asked to, linked to both layers in the viewer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ..evaluation.boundaries import BoundaryEvaluation
from . import _layers
from ._access import explain
from ._boundaries import By, class_of, columns_of, default_tolerance, definitions, rows, sentence, tool_problem
from ._objects import Side
from ._pair_link import PairLink
from ._question import Score
from ._table import Table

__all__ = ["BoundariesPage"]

Layer = Any
"""A napari layer."""

_WORDS = {"classes": "class", "objects": "matched object"}
_WAITING = "Not measured yet. It may take seconds to minutes, and can be cancelled."


class BoundariesPage(QWidget):  # type: ignore[misc]
    """Shows how far the surfaces of both sides are apart, per class or per object.

    Parameters
    ----------
    link : PairLink
        Through which objects are chosen, in the viewer and on other pages.
    name_of : callable
        From a class to its name, empty if it has none.

    Attributes
    ----------
    asked
        Emitted when the button was pressed.
    found
        What is shown; None if nothing was measured.
    """

    asked = Signal()

    def __init__(self, link: PairLink, name_of: Callable[[int], str]) -> None:
        super().__init__()
        self._link, self._name_of = link, name_of
        self.found: BoundaryEvaluation | None = None
        self._score: Score | None = None
        self._layer: Layer | None = None
        self._unit = ""
        self.by_box, self.tolerance_box, self.unit = QComboBox(), QDoubleSpinBox(), QLabel()
        self.button, self.sentence, self.table = QPushButton("Measure boundaries"), QLabel(_WAITING), Table()
        self._build()
        link.tell(self.select)

    def _build(self) -> None:
        for by in get_args(By):
            self.by_box.addItem(_WORDS[by], by)
        explain(self.by_box, "a row for each", "What is measured: all of a class, or each pair of matched objects.")
        self.tolerance_box.setRange(0.0, 1e9)
        self.tolerance_box.setDecimals(4)
        self.tolerance_box.setKeyboardTracking(False)
        self.tolerance_box.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        explain(
            self.tolerance_box,
            "tolerance",
            "Surface Dice takes a surface voxel for right up to this distance, in world units. At first the largest "
            "edge of a voxel; what two annotators differ by is better.",
        )
        explain(self.button, "Measure boundaries", "Measure the layers that were scored, as they are now.")
        self.button.clicked.connect(lambda _=False: self.asked.emit())
        explain(self.table, "boundaries", "A row for each class or object; choose one to see it in the viewer.")
        self.table.chosen.connect(self._show_row)
        self.sentence.setWordWrap(True)
        self.sentence.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        grid = QGridLayout()
        grid.addWidget(QLabel("a row for each"), 0, 0)
        grid.addWidget(self.by_box, 0, 1, 1, 2)
        grid.addWidget(QLabel("tolerance"), 1, 0)
        grid.addWidget(self.tolerance_box, 1, 1)
        grid.addWidget(self.unit, 1, 2)
        grid.setColumnStretch(1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(grid)
        layout.addWidget(self.button)
        layout.addWidget(self.sentence)
        layout.addWidget(self.table, 1)

    @property
    def by(self) -> By:
        """What a row is to be."""
        return get_args(By)[self.by_box.currentIndex()]  # type: ignore[no-any-return]

    @property
    def tolerance(self) -> float:
        """The tolerance, in world units."""
        return float(self.tolerance_box.value())

    def show_for(self, layer: Layer | None, score: Score | None) -> None:
        """Get ready for other scores: the unit of the labels, and what is proposed for them.

        Parameters
        ----------
        layer : napari layer or None
            What was scored; None if it is gone.
        score : Score or None
            The scores, which know where objects and classes are.
        """
        self._score = score
        if layer is not None and layer is not self._layer:
            self._unit = _layers.length_unit(layer)
            self.unit.setText(self._unit or "world units")
            self.tolerance_box.setValue(default_tolerance(layer))
            self.by_box.setCurrentIndex(int(score is not None and score.evaluation.numbers_objects))
        self._layer = layer
        self.show_found(None)

    def problem(self) -> str:
        """Say why these labels cannot be measured, or return an empty string."""
        return "" if self._layer is None else tool_problem(self._layer)

    def show_found(self, found: BoundaryEvaluation | None) -> None:
        """Show what was measured; None if nothing was."""
        self.found = found
        self.sentence.setToolTip("" if found is None else definitions(found))
        if found is None:
            self.sentence.setText(self.problem() or _WAITING)
            self.table.set_data({c.name: [] for c in columns_of(self.by, self._unit)}, columns_of(self.by, self._unit))
        else:
            self.sentence.setText(sentence(found, self._unit))
            self.table.set_data(rows(found, self._name_of), columns_of(found.by, self._unit))

    def rename(self) -> None:
        """Show the names that classes have now."""
        if self.found is not None and self.found.by == "classes":
            self.table.set_column("name", rows(self.found, self._name_of)["name"])

    def set_style(self, style: str) -> None:
        """Draw what is shown in a style, such as that of scores that are not current."""
        for widget in (self.sentence, self.table):
            widget.setStyleSheet(style)

    # The table and the viewer

    def _show_row(self, chosen: Sequence[int]) -> None:
        if not chosen or self.found is None or self._score is None:
            return
        predicted, truth = int(self.found.predicted[chosen[0]]), int(self.found.truth[chosen[0]])
        labels: dict[Side, int] = {"predicted": predicted, "truth": truth}
        place = self._score.places["truth"].get(truth)
        if self.found.by == "classes":  # which one label need not stand for
            labels = {} if self._score.evaluation.match == "binary" or place is None else {"truth": truth}
            place = self._score.class_places.get(truth)
        self._link.show(labels, "truth", place, by=self.select)

    def select(self, side: Side, label: int) -> None:
        """Select the row of an object or a class that was chosen elsewhere."""
        if self.found is None or self._score is None:
            return
        if self.found.by == "classes":
            label, side = class_of(self._score.evaluation, side, label), "truth"
        labels = (self.found.truth if side == "truth" else self.found.predicted).tolist()
        self.table.select([labels.index(label)] if label in labels else [])
