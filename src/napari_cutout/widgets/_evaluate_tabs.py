"""The pages of Evaluate: overlap, objects, boundaries, slices, IoU against Dice, and what was evaluated before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QTabWidget, QVBoxLayout, QWidget

from ..evaluation._error_kinds import OBJECT_KINDS, ErrorKind
from ..evaluation.boundaries import BoundaryEvaluation
from . import _history, _scores
from ._access import explain
from ._agreement_page import AgreementPage
from ._boundaries_page import BoundariesPage
from ._class_names import ClassNames
from ._objects import Side
from ._objects_page import ObjectsPage
from ._pair_link import PairLink
from ._scores import rows
from ._slices_plot import SlicesPlot
from ._table import Table

__all__ = ["FADED", "EvaluateTabs", "button", "legend"]

Layer = Any
"""A napari layer."""

FADED = "color: #808080"
"""Style of scores that are not current; readable on dark themes and on light ones."""

_TABLE_HEIGHT = 110
"""Height that a table keeps, in pixels."""

_TITLES = {
    "Overlap": "IoU, Dice and their kin of every class, in voxels",
    "Objects": "Which objects were found, split, merged, missed or invented",
    "Boundaries": "How far the outlines of both sides are apart",
    "Slices": "IoU and Dice of every slice",
    "IoU against Dice": "Where the two agree, and which results they rank differently",
    "History": "Evaluations since the viewer was opened",
}
"""The tabs, and what their tooltips say."""

Export = Callable[..., Path]
"""Writes to ``(path, overwrite=...)``."""


class EvaluateTabs(QTabWidget):  # type: ignore[misc]
    """Shows one evaluation on several pages that are linked to each other and to the viewer.

    Parameters
    ----------
    viewer : napari viewer
        What the pages move and follow.
    history : History
        All evaluations.
    names : ClassNames
        What classes are called.

    Attributes
    ----------
    shown
        The evaluation that is shown; None before the first.
    past_chosen
        Emitted with the place in the history of an evaluation that was clicked.
    cleared
        Emitted when the history is to be forgotten.
    said
        Emitted with a line to show, and whether it says what is wrong.
    """

    past_chosen = Signal(int)
    cleared = Signal()
    said = Signal(str, bool)

    def __init__(self, viewer: Any, history: _history.History, names: ClassNames) -> None:
        super().__init__()
        self.history, self.names = history, names
        self.shown: _history.Past | None = None
        self._measured: dict[int, BoundaryEvaluation] = {}
        self.link = PairLink(viewer)
        self.destroyed.connect(self.link.close)
        explain(self, "results", "The scores of classes, objects and slices, and what was evaluated before.")
        self.table, self.past = Table(_scores.COLUMNS), Table(_history.COLUMNS)
        self.objects = ObjectsPage(self.link)
        self.boundaries = BoundariesPage(self.link, names.name_of)
        self.plot = SlicesPlot(viewer, names.name_of)
        self.agreement = AgreementPage(self.link, history)
        self._build()

    # Building

    def _build(self) -> None:
        for table in (self.table, self.past, self.objects.table, self.boundaries.table):
            table.setMinimumHeight(_TABLE_HEIGHT)
        self.table.edited.connect(self._name_class)
        self.table.chosen.connect(self._show_class)
        self.past.setToolTip("Evaluations since the viewer was opened; click one to see its scores again.")
        self.past.chosen.connect(lambda chosen: self.past_chosen.emit(chosen[0]) if chosen else None)
        self._build_buttons()
        self.pages = {
            "Overlap": _page(self.table, [self.csv_button, self.json_button]),
            "Objects": _page(self.objects, [self.object_errors_button, self.objects_button], _object_legend()),
            "Boundaries": _page(self.boundaries, [self.boundaries_button]),
            "Slices": _page(self.plot, [self.slices_button]),
            "IoU against Dice": self.agreement,
            "History": _page(self.past, [self.history_button, self.clear_button]),
        }
        for name, page in self.pages.items():
            self.setTabToolTip(self.addTab(page, name), _TITLES[name])
        for name in ("Objects", "Boundaries", "Slices", "IoU against Dice"):
            self.show_page(name, False)
        self.currentChanged.connect(self._fit)
        self._fit(self.currentIndex())

    def _fit(self, at: int) -> None:
        """Ask for the height of the page that is in view, and not of the highest of all."""
        for page in range(self.count()):
            policy = QSizePolicy.Policy.Preferred if page == at else QSizePolicy.Policy.Ignored
            self.widget(page).setSizePolicy(policy, policy)
        self.updateGeometry()

    def _build_buttons(self) -> None:
        self.csv_button = button("Export CSV…", partial(self._ask_and_export, "csv"))
        self.json_button = button("Export JSON…", partial(self._ask_and_export, "json"))
        self.object_errors_button = button("Add object errors", lambda: None)
        self.object_errors_button.setToolTip("Show every object as found, split, merged, missed, invented or inexact.")
        self.objects_button = button("Export CSV…", self._ask_and_export_objects)
        self.objects_button.setToolTip("Write the table of objects at this threshold.")
        self.boundaries_button = button("Export CSV…", self._ask_and_export_boundaries)
        self.boundaries_button.setToolTip("Write the table of boundaries, with everything that was counted.")
        self.slices_button = button("Export CSV…", self._ask_and_export_slices)
        self.slices_button.setToolTip("Write the scores of every class in every slice along the axis that is shown.")
        self.history_button = button("Export CSV…", self._ask_and_export_history)
        self.clear_button = button("Clear", self.cleared.emit)
        self.clear_button.setToolTip("Forget all evaluations of this session of work.")

    def show_page(self, name: str, shown: bool) -> None:
        """Show or hide a page."""
        self.setTabVisible(self.indexOf(self.pages[name]), shown)

    # What is shown

    def show_past(self, past: _history.Past, layers: Mapping[Side, Layer | None]) -> None:
        """Show an evaluation on all pages.

        Parameters
        ----------
        past : Past
            What was evaluated.
        layers : mapping of Side to napari layer or None
            The layers of it, None for one that is gone.
        """
        self.shown, score = past, past.score
        self.table.set_data(rows(score.evaluation, self.names.name_of))
        self.show_page("Slices", bool(score.slices))
        self.show_page("Objects", score.objects is not None)
        self.show_page("Boundaries", True)
        self.show_page("IoU against Dice", bool(score.agreement.items))
        self.link.follow(layers)
        self.plot.show_slices(score.slices, past.axes, layers["predicted"])
        self.objects.show_objects(score.objects, past.asked.complete)
        self.boundaries.show_for(layers["predicted"], score)
        self.boundaries.show_found(self._measured.get(past.number))
        self.agreement.show_past(past)

    def show_boundaries(self, past: _history.Past, found: BoundaryEvaluation) -> None:
        """Keep what was measured of an evaluation, and show it if that is the one that is shown."""
        self._measured[past.number] = found
        if self.shown is past:
            self.boundaries.show_found(found)

    def show_history(self) -> None:
        """Show what the history holds now."""
        self.past.set_data(self.history.columns())
        self.agreement.show_verdict()

    def set_current(self, current: bool, layers: Mapping[Side, Layer | None]) -> None:
        """Fade scores that are not current, and let be pressed what can be."""
        style, known = "" if current else FADED, self.shown is not None
        self.table.setStyleSheet(style)
        self.objects.set_style(style)
        self.boundaries.set_style(style)
        self.plot.set_faded(not current)
        self.agreement.set_faded(not current)
        if known and layers["predicted"] is None:
            self.plot.forget_layer()
        for one in (self.csv_button, self.json_button, self.slices_button, self.objects_button):
            one.setEnabled(known)
        self.boundaries_button.setEnabled(self.boundaries.found is not None)
        for one in (self.history_button, self.clear_button):
            one.setEnabled(bool(self.history.entries))

    def rename(self) -> None:
        """Show the names that classes have now."""
        if self.shown is not None:
            self.table.set_column("name", rows(self.shown.score.evaluation, self.names.name_of)["name"])
        self.boundaries.rename()
        self.plot.rename()

    def let_go(self) -> None:
        """Forget the viewer."""
        self.link.close()
        self.plot.let_go()
        self.agreement.let_go()

    def _name_class(self, row: int, _column: str, text: str) -> None:
        self.names.set(int(self.table.value(row, "class")), text)

    def _show_class(self, chosen: Sequence[int]) -> None:
        """Select the label of a class in truth, where a label stands for it, and move the viewer to its middle."""
        if not chosen or self.shown is None:
            return
        score, label = self.shown.score, int(self.table.value(chosen[0], "class"))
        labels: dict[Side, int] = {} if score.evaluation.match == "binary" or not label else {"truth": label}
        self.link.show(labels, "truth", score.class_places.get(label) if label else None, by=self.select)

    def select(self, side: Side, label: int) -> None:
        """Leave the table of classes as it is: one class may hold all objects."""

    # Exporting

    def write(self, export: Export, path: str | Path, overwrite: bool) -> None:
        """Write a file, and say so or what is wrong."""
        try:
            written = export(path, overwrite=overwrite)
        except OSError as error:
            self.said.emit(str(error), True)
        else:
            self.said.emit(f"wrote {written}", False)

    def export(self, kind: Literal["csv", "json"], path: str | Path, *, overwrite: bool = False) -> None:
        """Write the scores of classes to a file, and say so."""
        if self.shown is not None:
            evaluation = self.shown.score.evaluation
            self.write(evaluation.to_csv if kind == "csv" else evaluation.to_json, path, overwrite)

    def _ask_and_export(self, kind: Literal["csv", "json"], _: bool = False) -> None:
        if path := self._asked_path("Export scores", f"scores.{kind}"):
            self.export(kind, path, overwrite=True)

    def _ask_and_export_objects(self, _: bool = False) -> None:
        score = self.objects.score
        if score is not None and (path := self._asked_path("Export objects", "objects.csv")):
            self.write(partial(score.found.objects_to_csv, threshold=self.objects.threshold), path, overwrite=True)

    def _ask_and_export_boundaries(self, _: bool = False) -> None:
        found = self.boundaries.found
        if found is not None and (path := self._asked_path("Export boundaries", "boundaries.csv")):
            self.write(found.to_csv, path, overwrite=True)

    def _ask_and_export_slices(self, _: bool = False) -> None:
        found = self.plot.found
        if found is not None and (path := self._asked_path("Export scores of slices", "slices.csv")):
            self.write(found.to_csv, path, overwrite=True)

    def _ask_and_export_history(self, _: bool = False) -> None:
        if path := self._asked_path("Export history", "evaluations.csv"):
            self.write(self.history.to_csv, path, overwrite=True)

    def _asked_path(self, title: str, name: str) -> str:
        """Ask for a file; the dialog asks before it names one that is there."""
        path, _filter = QFileDialog.getSaveFileName(self, title, name, f"*{Path(name).suffix}")
        return str(path)


def button(text: str, press: Callable[..., Any]) -> QPushButton:
    """Return a button that does something."""
    made = QPushButton(text)
    made.clicked.connect(press)
    return made


def legend(kinds: Iterable[ErrorKind]) -> QLabel:
    """Return a line that says what the colours of a layer of errors mean."""
    words = (f'<span style="color:{kind.colour}">■</span>&nbsp;{kind.word.replace(" ", "&nbsp;")}' for kind in kinds)
    line = QLabel(" &nbsp; ".join(words))
    line.setTextFormat(Qt.TextFormat.RichText)
    line.setWordWrap(True)
    return line


def _object_legend() -> QLabel:
    return legend(OBJECT_KINDS.values())


def _page(widget: QWidget, buttons: Sequence[QPushButton], below: QWidget | None = None) -> QWidget:
    """Return a page with a widget, a row of buttons below it, and perhaps a line below those."""
    page, row = QWidget(), QHBoxLayout()
    layout = QVBoxLayout(page)
    layout.setContentsMargins(2, 4, 2, 2)
    layout.addWidget(widget, 1)
    for one in buttons:
        row.addWidget(one)
    layout.addLayout(row)
    if below is not None:
        layout.addWidget(below)
    return page
