"""The widget *Evaluate*: one Labels layer scored against another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from ..evaluation._annotation import Unpainted
from ..evaluation._error_kinds import ERROR_KINDS
from ..evaluation._matching import Match
from . import _history, _layers, _scores
from ._access import explain
from ._class_names import class_names
from ._dock import Dock, form, group, problem_line
from ._error_layer import show_errors
from ._histogram_plot import preload
from ._layer_box import LayerBox
from ._objects_page import ObjectsPage
from ._scores import Asked, Question, Score, headline, is_numbered, painted, problems, rows, standing
from ._slices import axis_names
from ._slices_plot import SlicesPlot
from ._table import Table
from ._witness import Witness

__all__ = ["EvaluateWidget"]

_MATCHES = {"auto": "auto", "binary": "binary", "value": "by value", "overlap": "by best overlap"}
"""What the box calls the rules of `evaluate`."""

_MATCH_TOOLTIP = (
    "How predicted labels are matched to the classes of truth.\n"
    "auto: by value where the labels of both sides agree, so that they name classes; by best overlap where predicted "
    "is a map of classes without a background, or truth holds strokes whose labels do not agree; binary everywhere "
    "else, as where labels number objects. The scores say which rule it was, and why.\n"
    "binary: any label but 0 is an object.\n"
    "by value: equal labels are the same class.\n"
    "by best overlap: each predicted label counts as the class it shares most voxels with, which favours predicted."
)

_UNPAINTED_TOOLTIP = (
    "What label 0 of the truth means: background, if everything was annotated; not annotated, if it holds strokes. "
    "Voxels that are not annotated leave every count."
)

_FADED = "color: #808080"
"""Style of scores that are not current; readable on dark themes and on light ones."""

_NOTICE = "border-left: 3px solid #e69f00; padding-left: 5px"
"""Style of the line that says why they are not."""

_TABLE_HEIGHT = 150
"""Height that a table keeps, in pixels."""

Progress = Callable[[str, float], None]

Export = Callable[..., Path]
"""Writes to ``(path, overwrite=...)``."""


@dataclass(slots=True)
class _Run:
    """What is known of an evaluation before it is finished.

    Parameters
    ----------
    asked : Asked
        What the form said.
    layers : tuple of napari layer
        Predicted and truth.
    place : dict
        Where the errors lie.
    witness : Witness
        Watches the layers since they were read.
    """

    asked: Asked
    layers: tuple[Any, Any]
    place: dict[str, Any]
    witness: Witness


class EvaluateWidget(Dock):
    """Scores predicted labels against an annotation: per class, object and slice, where they are wrong, and all so far.

    Parameters
    ----------
    napari_viewer : napari viewer
        Where layers come from and the error layer goes.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, "Evaluate")
        self.history = _history.history(napari_viewer)
        self.names = class_names(napari_viewer)
        self.shown: _history.Past | None = None
        self._fresh: _history.Past | None = None  # what this widget scored last; nothing else can be current
        self._run: _Run | None = None
        self._done: _Run | None = None
        self._truth: Any = None
        self._build_layers()
        self._build_result()
        self.listen(list(self.boxes.values()))
        self.names.changed.connect(self._rename)
        self._guess_layers()
        self._show_history()
        self.refresh()

    @property
    def score(self) -> Score | None:
        """The scores that are shown."""
        return None if self.shown is None else self.shown.score

    # Building

    def _build_layers(self) -> None:
        from napari.layers import Labels

        self.boxes = {name: LayerBox(self.viewer.layers, Labels, optional=False) for name in ("predicted", "truth")}
        self.unpainted_box, self.match_box = QComboBox(), QComboBox()
        self.unpainted_box.addItems(get_args(Unpainted))
        self.unpainted_box.setToolTip(_UNPAINTED_TOOLTIP)
        self.match_box.addItems([_MATCHES[rule] for rule in get_args(Match)])
        self.match_box.setToolTip(_MATCH_TOOLTIP)
        for box in (self.unpainted_box, self.match_box):
            box.currentIndexChanged.connect(self._show_standing)
            box.setMinimumContentsLength(8)
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._painted = QLabel()
        self._lines = {name: problem_line() for name in self.boxes}
        layout = form()
        for name, box in self.boxes.items():
            box.setToolTip("The labels that are scored." if name == "predicted" else "The labels that are right.")
            layout.addRow(name, box)
            layout.addRow(self._lines[name])
        layout.addRow("unpainted", self.unpainted_box)
        layout.addRow("", self._painted)
        layout.addRow("match", self.match_box)
        self.content.addWidget(group("Layers", layout))

    def _build_result(self) -> None:
        self.headline, self.notice = QLabel(), QLabel()
        for line in (self.notice, self.headline):
            line.setWordWrap(True)
            line.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            self.content.addWidget(line)
        self.notice.setStyleSheet(_NOTICE)
        self.notice.setVisible(False)
        self.tabs = QTabWidget()
        explain(self.tabs, "results", "The scores of classes, objects and slices, and what was evaluated before.")
        self.pages = {
            "Classes": self._build_classes(),
            "Objects": self._build_objects(),
            "Slices": self._build_slices(),
            "History": self._build_history(),
        }
        for name, page in self.pages.items():
            self.tabs.addTab(page, name)
        self._show_page("Objects", False)
        self._show_page("Slices", False)
        self.content.addWidget(self.tabs, 1)
        self.error_button = _button("Add error layer", self.add_error_layer)
        self.error_button.setToolTip("Show where labels were found, in excess, missed or of the wrong class.")
        self.content.addWidget(self.error_button)
        self.content.addWidget(_legend())

    def _build_classes(self) -> QWidget:
        self.table = Table(_scores.COLUMNS)
        self.table.setMinimumHeight(_TABLE_HEIGHT)
        self.table.edited.connect(self._name_class)
        self.csv_button = _button("Export CSV…", partial(self._ask_and_export, "csv"))
        self.json_button = _button("Export JSON…", partial(self._ask_and_export, "json"))
        return _page(self.table, [self.csv_button, self.json_button])

    def _build_objects(self) -> QWidget:
        self.objects = ObjectsPage(self.viewer)
        self.objects.table.setMinimumHeight(_TABLE_HEIGHT)
        self.objects_button = _button("Export CSV…", self._ask_and_export_objects)
        self.objects_button.setToolTip("Write the table of objects at this threshold.")
        return _page(self.objects, [self.objects_button])

    def _build_slices(self) -> QWidget:
        self.plot = SlicesPlot(self.viewer, self.names.name_of)
        self.slices_button = _button("Export CSV…", self._ask_and_export_slices)
        self.slices_button.setToolTip("Write the scores of every class in every slice along the axis that is shown.")
        return _page(self.plot, [self.slices_button])

    def _build_history(self) -> QWidget:
        self.past = Table(_history.COLUMNS)
        self.past.setMinimumHeight(_TABLE_HEIGHT)
        self.past.setToolTip("Evaluations since the viewer was opened; click one to see its scores again.")
        self.past.chosen.connect(self._choose_past)
        self.history_button = _button("Export CSV…", self._ask_and_export_history)
        self.clear_button = _button("Clear", self.clear_history)
        self.clear_button.setToolTip("Forget all evaluations of this session of work.")
        return _page(self.past, [self.history_button, self.clear_button])

    def _show_page(self, name: str, shown: bool) -> None:
        self.tabs.setTabVisible(self.tabs.indexOf(self.pages[name]), shown)

    def _guess_layers(self) -> None:
        """Choose the newest of our results as predicted, and the topmost other layer as truth."""
        labels: list[Any] = self.boxes["truth"].offered
        known = [layer for layer in labels if "napari_cutout" in layer.metadata]  # layers of errors among them
        ours = [layer for layer in known if "recipe" in layer.metadata["napari_cutout"]]
        others = [layer for layer in labels if layer not in known]
        if ours:
            self.boxes["predicted"].choose(ours[-1])
        if others:
            self.boxes["truth"].choose(others[-1])
        if len(others) > 1 and not ours:
            self.boxes["predicted"].choose(others[-2])

    # Reacting to the form

    def refresh(self) -> None:
        """Check the choice, and guess anew what unpainted means where the truth is another layer."""
        predicted, truth = (self.boxes[name].layer for name in ("predicted", "truth"))
        self.watch([predicted, truth])
        found = {problem.field: problem.sentence for problem in problems(predicted, truth)}
        self.mark(found, found)
        self.bar.calm()
        if truth is not self._truth:
            self._truth = truth
            self._guess_unpainted()
        self.bar.set_ready(not found)
        self._show_standing()

    def fields(self) -> Mapping[str, QWidget]:
        """Return the boxes of the two layers."""
        return self.boxes

    def lines(self) -> Mapping[str, QLabel]:
        """Return the line under each box."""
        return self._lines

    def let_go(self) -> None:
        """Stop what runs, and forget the viewer and its layers."""
        super().let_go()
        for run in (self._run, self._done):
            if run is not None:
                run.witness.close()
        self.plot.let_go()
        self.objects.let_go()

    def _guess_unpainted(self) -> None:
        found = None if self._truth is None else painted(self._truth)
        if found is not None:
            self.unpainted_box.setCurrentText(found.guess)
        large = "not looked at: large" if self._truth is not None else ""
        self._painted.setText(large if found is None else str(found))

    @property
    def unpainted(self) -> Unpainted:
        """What label 0 of the truth means."""
        return get_args(Unpainted)[self.unpainted_box.currentIndex()]  # type: ignore[no-any-return]

    @property
    def asked(self) -> Asked | None:
        """What the form says; None if a layer is missing."""
        predicted, truth = self.boxes["predicted"].layer, self.boxes["truth"].layer
        if predicted is None or truth is None:
            return None
        match: Match = get_args(Match)[self.match_box.currentIndex()]
        return Asked(predicted.name, truth.name, self.unpainted, match, (id(predicted), id(truth)))

    # Running

    def start(self) -> None:
        """Read the layers and start to count, or show what is wrong."""
        self.refresh()
        predicted, truth, asked = self.boxes["predicted"].layer, self.boxes["truth"].layer, self.asked
        if asked is None or problems(predicted, truth):
            return
        if self._run is not None:
            self._run.witness.close()
        witness = Witness(self.viewer.layers, (predicted, truth), self._show_standing)
        self._run = _Run(asked, (predicted, truth), _layers.placement(predicted), witness)
        arrays = _layers.copy_of(predicted), _layers.copy_of(truth)
        question = Question(*arrays, asked.unpainted, asked.match, is_numbered(predicted))
        self.bar.start(partial(_answer, question))

    def show_result(self, result: Score) -> None:
        """Show the scores, and keep them in the history."""
        if self._run is None:
            return
        if self._done is not None:
            self._done.witness.close()
        self._done, self._run = self._run, None
        predicted = self._done.layers[0]
        method, settings = _history.made_by(predicted.metadata)
        axes = tuple(axis_names(predicted))
        self._fresh = _history.Past(datetime.now(), self._done.asked, method, settings, axes, result)
        self.history.add(self._fresh)
        self._show_history()
        self._show(self._fresh)
        self.past.select([len(self.history.entries) - 1])

    def _show(self, past: _history.Past) -> None:
        self.shown = past
        evaluation = past.score.evaluation
        self.headline.setText(headline(past.asked, evaluation, past.score.objects))
        self.table.set_data(rows(evaluation, self.names.name_of))
        predicted, truth = self._layers_of(past)
        self._show_page("Slices", bool(past.score.slices))
        self._show_page("Objects", past.score.objects is not None)
        self.plot.show_slices(past.score.slices, past.axes, predicted)
        self.objects.show_objects(past.score.objects, {"predicted": predicted, "truth": truth})
        self._show_standing()

    def _layers_of(self, past: _history.Past) -> list[Any]:
        """Return the layers of predicted and truth, each None if it is no longer there."""
        there = {id(layer): layer for layer in self.viewer.layers}
        return [there.get(known) for known in past.asked.layers]

    def _show_standing(self, _: int = 0) -> None:
        """Say whether the scores are those of the layers and settings as they are now."""
        sentence = self._standing()
        self.notice.setText(sentence)
        self.notice.setVisible(bool(sentence))
        for widget in (self.headline, self.table):
            widget.setStyleSheet(_FADED if sentence else "")
        self.objects.set_style(_FADED if sentence else "")
        self.plot.set_faded(bool(sentence))
        if self.shown is not None and self._layers_of(self.shown)[0] is None:
            self.plot.forget_layer()
        for button in (self.csv_button, self.json_button, self.slices_button, self.objects_button):
            button.setEnabled(self.shown is not None)
        for button in (self.history_button, self.clear_button):
            button.setEnabled(bool(self.history.entries))
        self.error_button.setEnabled(self.shown is not None and self.shown.score.errors is not None and not sentence)

    def _standing(self) -> str:
        if self.shown is None:
            return ""
        if self.shown is not self._fresh or self._done is None:
            return f"An earlier evaluation, of {self.shown.time:%H:%M:%S}."
        witness = self._done.witness
        return standing(self.shown.asked, self.asked, changed=witness.changed, gone=witness.gone)

    # Names, history, errors

    def _name_class(self, row: int, _column: str, text: str) -> None:
        self.names.set(int(self.table.value(row, "class")), text)

    def _rename(self, *_: Any) -> None:
        if self.shown is not None:
            self.table.set_column("name", rows(self.shown.score.evaluation, self.names.name_of)["name"])
        self.plot.rename()

    def _show_history(self) -> None:
        self.past.set_data(self.history.columns())

    def _choose_past(self, chosen: Sequence[int]) -> None:
        if chosen:
            self._show(self.history.entries[chosen[0]])

    def clear_history(self) -> None:
        """Forget all evaluations but the one that is shown."""
        self.history.clear()
        self._show_history()
        self._show_standing()

    def add_error_layer(self) -> None:
        """Show where labels were found, in excess, missed or of the wrong class, in fixed colours."""
        if self._fresh is not None and self._done is not None and self._fresh.score.errors is not None:
            name = f"{self._fresh.asked.predicted} errors"
            show_errors(self.viewer, self._fresh.score.errors, name, self._done.place)

    # Exporting

    def export(self, kind: Literal["csv", "json"], path: str | Path, *, overwrite: bool = False) -> None:
        """Write the scores to a file, and say so.

        Parameters
        ----------
        kind : {"csv", "json"}
            What to write.
        path : path
            Where to write.
        overwrite : bool
            Replace what is there.
        """
        if self.score is not None:
            evaluation = self.score.evaluation
            self._write(evaluation.to_csv if kind == "csv" else evaluation.to_json, path, overwrite)

    def _write(self, export: Export, path: str | Path, overwrite: bool) -> None:
        try:
            written = export(path, overwrite=overwrite)
        except OSError as error:
            self.bar.say(str(error), problem=True)
        else:
            self.bar.say(f"wrote {written}")

    def _ask_and_export(self, kind: Literal["csv", "json"], _: bool = False) -> None:
        if path := self._asked_path("Export scores", f"scores.{kind}"):
            self.export(kind, path, overwrite=True)

    def _ask_and_export_objects(self, _: bool = False) -> None:
        score = self.objects.score
        if score is not None and (path := self._asked_path("Export objects", "objects.csv")):
            self._write(partial(score.found.objects_to_csv, threshold=self.objects.threshold), path, overwrite=True)

    def _ask_and_export_slices(self, _: bool = False) -> None:
        found = self.plot.found
        if found is not None and (path := self._asked_path("Export scores of slices", "slices.csv")):
            self._write(found.to_csv, path, overwrite=True)

    def _ask_and_export_history(self, _: bool = False) -> None:
        if path := self._asked_path("Export history", "evaluations.csv"):
            self._write(self.history.to_csv, path, overwrite=True)

    def _asked_path(self, title: str, name: str) -> str:
        """Ask for a file; the dialog asks before it names one that is there."""
        path, _filter = QFileDialog.getSaveFileName(self, title, name, f"*{Path(name).suffix}")
        return str(path)


def _answer(question: Question, on_progress: Progress, is_cancelled: Callable[[], bool]) -> Score:
    """Answer in a thread of its own, and import there what draws the plot."""
    if question.predicted.ndim > 2:
        preload()
    return question.answer(on_progress, is_cancelled)


def _button(text: str, press: Callable[..., None]) -> QPushButton:
    button = QPushButton(text)
    button.clicked.connect(press)
    return button


def _page(widget: QWidget, buttons: Sequence[QPushButton]) -> QWidget:
    """Return a page with a widget, and a row of buttons below it."""
    page, row = QWidget(), QHBoxLayout()
    layout = QVBoxLayout(page)
    layout.setContentsMargins(2, 4, 2, 2)
    layout.addWidget(widget, 1)
    for button in buttons:
        row.addWidget(button)
    layout.addLayout(row)
    return page


def _legend() -> QWidget:
    kinds = (
        f'<span style="color:{kind.colour}">■</span>&nbsp;{kind.word.replace(" ", "&nbsp;")}' for kind in ERROR_KINDS
    )
    line = QLabel(" &nbsp; ".join(kinds))
    line.setTextFormat(Qt.TextFormat.RichText)
    line.setWordWrap(True)
    return line
