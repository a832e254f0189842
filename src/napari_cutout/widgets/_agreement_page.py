"""The page of Evaluate on IoU against Dice: every item on the curve, and what the two means rank differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from ._access import explain
from ._agreement import COLUMNS, Agreement, item_text, items_of, kind_text, rows, sentence, verdict_of
from ._history import History, Past
from ._objects import Side
from ._pair_link import PairLink
from ._slices import go_to
from ._table import Table
from ._theme import PlotColours, ThemeListener

if TYPE_CHECKING:
    from ._agreement_canvas import AgreementCanvas

__all__ = ["AgreementPage"]

HELP = (
    "Dice over IoU of every item: all lie on one curve, D = 2 J / (1 + J), and their mean (+) below it. Click a point "
    "to see the item in the viewer, again for the next that lies there; the arrow keys go from the worst to the best."
)

TABLE_HEIGHT = 90
"""Height that the table of responsible items keeps, in pixels."""


class AgreementPage(QWidget):  # type: ignore[misc]
    """Shows objects, slices or classes on the curve, and the evaluations that IoU and Dice rank differently.

    Parameters
    ----------
    link : PairLink
        Through which objects are chosen, in the viewer and on other pages.
    history : History
        The evaluations that are compared.
    """

    def __init__(self, link: PairLink, history: History) -> None:
        super().__init__()
        self._link, self._history = link, history
        self._shown: Past | None = None
        self._keys: list[Any] = []
        self._theme: ThemeListener | None = None
        self._faded = False
        self.canvas: AgreementCanvas | None = None
        self.kind_box, self.reading, self.legend, self.sentence = QComboBox(), QLabel(), QLabel(), QLabel()
        self.table = Table(COLUMNS)
        self._build()
        link.tell(self.select)

    def _build(self) -> None:
        explain(self.kind_box, "items", "What lies on the curve, and what the means are over.")
        self.kind_box.currentIndexChanged.connect(self._redraw)
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        for line in (self.reading, self.sentence):
            line.setWordWrap(True)
            line.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        explain(self.table, "responsible items", "What makes the two means disagree; choose a row to see it.")
        self.table.setMinimumHeight(TABLE_HEIGHT)
        self.table.chosen.connect(self._show_row)
        row = QHBoxLayout()
        row.addWidget(QLabel("one point for each of the"))
        row.addWidget(self.kind_box, 1)
        self._place = QVBoxLayout()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 4, 2, 2)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.legend)
        layout.addLayout(self._place, 1)
        layout.addWidget(self.reading)
        layout.addWidget(self.sentence)
        layout.addWidget(self.table, 1)

    @property
    def kind(self) -> str:
        """The kind of item that is drawn; empty if there is none."""
        return self.kind_box.currentData() or ""

    @property
    def agreement(self) -> Agreement | None:
        """What is shown; None if there is nothing."""
        return None if self._shown is None else self._shown.score.agreement

    def show_past(self, past: Past) -> None:
        """Show another evaluation; the kind of item stays where it still has such."""
        self._shown = past
        self._make_canvas()
        before = self.kind
        self.kind_box.blockSignals(True)
        self.kind_box.clear()
        for kind in past.score.agreement.items:
            self.kind_box.addItem(kind_text(kind, past.axes), kind)
        self.kind_box.setCurrentIndex(max(self.kind_box.findData(before), 0))
        self.kind_box.blockSignals(False)
        self._redraw()

    def show_verdict(self) -> None:
        """Say anew what the history holds, after it has changed."""
        if self.agreement is None or not self.kind:
            return
        known = [entry.score.agreement for entry in self._history.entries]
        verdict = verdict_of(known, self.agreement, self.kind) if self.agreement in known else None
        self.sentence.setText(sentence(verdict, self.kind))
        columns, self._keys = rows(verdict, self.kind)
        self.table.set_data(columns)
        self.table.setVisible(bool(self._keys))

    def set_faded(self, faded: bool) -> None:
        """Draw without colour what is not current."""
        self._faded = faded
        if self.canvas is not None:
            self.canvas.set_faded(faded)

    def let_go(self) -> None:
        """Forget the viewer."""
        if self._theme is not None:
            self._theme.close()
            self._theme = None

    def _make_canvas(self) -> None:
        if self.canvas is not None:
            return
        from ._agreement_canvas import AgreementCanvas

        self.canvas = canvas = AgreementCanvas()
        canvas.setMinimumHeight(150)
        explain(canvas, "Dice over IoU", HELP)
        canvas.set_faded(self._faded)
        canvas.chosen.connect(self.show_item)
        self._place.addWidget(canvas)
        self._theme = ThemeListener(self._link.viewer, self._paint)

    def _paint(self, colours: PlotColours) -> None:
        if self.canvas is not None:
            self.canvas.set_colours(colours)
        marks = (("●", colours.data, "item"), ("+", colours.text, "mean"), ("━", colours.axis, "D = 2 J / (1 + J)"))
        words = (f'<span style="color:{colour}">{mark}</span> {word}' for mark, colour, word in marks)
        self.legend.setText(" &nbsp; ".join(words))

    def _redraw(self, _: int = 0) -> None:
        if self.agreement is None or self.canvas is None or not self.kind:
            return
        self.canvas.set_items(items_of(self.agreement, self.kind))
        self._read()
        self.show_verdict()

    def _read(self) -> None:
        """Say where the mean is, or the item that is chosen."""
        items = None if self.canvas is None else self.canvas.items_drawn
        if self.canvas is None or items is None:
            return
        iou, dice = items.means
        text = f"mean of {len(items.keys):,}: IoU {iou:.4f}, Dice {dice:.4f}"
        if (at := self.canvas.current) is not None:
            text = f"{item_text(self.kind, items.keys[at])}: IoU {items.iou[at]:.3f}, Dice {items.dice[at]:.3f}"
        self.reading.setText(text)

    # Items and the viewer

    def show_item(self, at: int) -> None:
        """Choose an item by its place among those that are drawn, and show it in the viewer."""
        if self.canvas is not None and self.canvas.items_drawn is not None:
            self._go(self.canvas.items_drawn.keys[at])

    def _show_row(self, chosen: Sequence[int]) -> None:
        if chosen:
            self._go(self._keys[chosen[0]])

    def _go(self, key: Any) -> None:
        self._ring(key)
        if self._shown is None:
            return
        score, layer = self._shown.score, self._link.layer("truth")
        if self.kind.startswith("slices"):
            if layer is not None:
                go_to(self._link.viewer, layer, int(self.kind.split()[1]), key[0])
        elif self.kind == "objects":
            self._link.show({"truth": key}, "truth", score.places["truth"].get(key), by=self.select)
        else:
            labels: dict[Side, int] = {} if score.evaluation.match == "binary" else {"truth": key}
            self._link.show(labels, "truth", score.class_places.get(key), by=self.select)

    def _ring(self, key: Any) -> None:
        """Draw a ring around an item, and read it out."""
        if self.canvas is not None and self.canvas.items_drawn is not None:
            keys = self.canvas.items_drawn.keys
            self.canvas.set_current(keys.index(key) if key in keys else None)
            self._read()

    def select(self, side: Side, label: int) -> None:
        """Find the true object that was chosen elsewhere."""
        if side == "truth" and self.kind == "objects":
            self._ring(label)
