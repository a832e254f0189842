"""The widget *Evaluate*: one Labels layer scored against another."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from ..evaluation._annotation import Unpainted, unpainted_guess
from ..evaluation._matching import Match
from . import _layers
from ._frame import Dock, form, group, problem_line
from ._layer_box import LayerBox
from ._scores import (
    COLUMNS,
    ERRORS,
    Question,
    Score,
    cells,
    colours,
    headline,
    painted_labels,
    painted_share,
    problems,
)

__all__ = ["EvaluateWidget"]

_MATCHES = {"auto": "auto", "binary": "binary", "value": "by value", "overlap": "by best overlap"}
"""What the box calls the rules of `evaluate`."""

_MATCH_TOOLTIP = (
    "How predicted labels are matched to the classes of truth. Binary: any label but 0 is an object. By value: equal "
    "labels are the same class. By best overlap: each predicted label counts as the class it shares most voxels with."
)

_SMALL = "QHeaderView { font-size: 7.5pt; } QHeaderView::section { padding: 1px; }"
"""Style of the header: with it the scores are in view in a widget of 400 pixels."""

_SCORES_WIDTH = 366
"""Width of the columns of scores, in pixels; for the counts after them a narrow table scrolls sideways."""

_UNPAINTED_TOOLTIP = (
    "What label 0 of the truth means: background, if everything was annotated; not annotated, if it holds strokes. "
    "Voxels that are not annotated leave every count."
)


class EvaluateWidget(Dock):
    """Scores predicted labels against an annotation: a table per class, a layer of errors, CSV and JSON.

    Parameters
    ----------
    napari_viewer : napari viewer
        Where layers come from and the error layer goes.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, "Evaluate")
        self.score: Score | None = None
        self._asked: tuple[str, dict[str, Any], Unpainted, float] | None = None
        self._truth: Any = None
        self._share = 0.0
        self._build_layers()
        self._build_result()
        self.listen(list(self.boxes.values()))
        self._guess_layers()
        self.refresh()

    # Building

    def _build_layers(self) -> None:
        from napari.layers import Labels

        self.boxes = {name: LayerBox(self.viewer.layers, Labels, optional=False) for name in ("predicted", "truth")}
        self.unpainted_box, self.match_box = QComboBox(), QComboBox()
        self.unpainted_box.addItems(get_args(Unpainted))
        self.unpainted_box.setToolTip(_UNPAINTED_TOOLTIP)
        self.match_box.addItems([_MATCHES[rule] for rule in get_args(Match)])
        self.match_box.setToolTip(_MATCH_TOOLTIP)
        self._painted = QLabel()
        self._lines = {name: problem_line() for name in self.boxes}
        layout = form()
        for name, box in self.boxes.items():
            layout.addRow(name, box)
            layout.addRow(self._lines[name])
        layout.addRow("unpainted means", self.unpainted_box)
        layout.addRow("", self._painted)
        layout.addRow("match labels", self.match_box)
        self.content.addWidget(group("Layers", layout))

    def _build_result(self) -> None:
        self.headline = QLabel()
        self.headline.setWordWrap(True)
        self.headline.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setHorizontalHeaderLabels(list(COLUMNS.values()))
        self.table.verticalHeader().setVisible(False)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setMinimumSectionSize(30)
        header.setStyleSheet(_SMALL)
        self.table.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.table.setMinimumSize(_SCORES_WIDTH, 160)
        self.error_button = QPushButton("Add error layer")
        self.error_button.clicked.connect(self.add_error_layer)
        self.csv_button, self.json_button = QPushButton("Export CSV…"), QPushButton("Export JSON…")
        self.csv_button.clicked.connect(partial(self._ask_and_export, "csv"))
        self.json_button.clicked.connect(partial(self._ask_and_export, "json"))
        buttons = QHBoxLayout()
        for button in self._result_buttons:
            buttons.addWidget(button)
            button.setEnabled(False)
        self.content.addWidget(self.headline)
        self.content.addWidget(self.table, 1)
        self.content.addWidget(_legend())
        self.content.addLayout(buttons)

    @property
    def _result_buttons(self) -> tuple[QPushButton, ...]:
        return self.error_button, self.csv_button, self.json_button

    def _guess_layers(self) -> None:
        """Choose the newest of our results as predicted, and the topmost other layer as truth."""
        labels: list[Any] = self.boxes["truth"].offered
        ours = [layer for layer in labels if "napari_cutout" in layer.metadata]
        others = [layer for layer in labels if layer not in ours]
        if ours:
            self.boxes["predicted"].choose(ours[-1])
        if others:
            self.boxes["truth"].choose(others[-1])
        if len(others) > 1 and not ours:
            self.boxes["predicted"].choose(others[-2])

    # Reacting

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

    def fields(self) -> Mapping[str, QWidget]:
        """Return the boxes of the two layers."""
        return self.boxes

    def lines(self) -> Mapping[str, QLabel]:
        """Return the line under each box."""
        return self._lines

    def _guess_unpainted(self) -> None:
        truth = None if self._truth is None else _layers.level_zero(self._truth)
        self._share = 0.0 if truth is None else painted_share(truth)
        self.unpainted_box.setCurrentText(unpainted_guess(self._share, 0 if truth is None else painted_labels(truth)))
        self._painted.setText("" if self._truth is None else f"{100 * self._share:.3g} % of truth is painted")

    @property
    def unpainted(self) -> Unpainted:
        """What label 0 of the truth means."""
        return get_args(Unpainted)[self.unpainted_box.currentIndex()]  # type: ignore[no-any-return]

    def start(self) -> None:
        """Read the layers and start to count, or show what is wrong."""
        self.refresh()
        predicted, truth = self.boxes["predicted"].layer, self.boxes["truth"].layer
        if predicted is None or truth is None or problems(predicted, truth):
            return
        match = get_args(Match)[self.match_box.currentIndex()]
        question = Question(_layers.copy_of(predicted), _layers.copy_of(truth), self.unpainted, match)
        share = painted_share(question.truth)
        self._asked = (f"{predicted.name} errors", _layers.placement(predicted), self.unpainted, share)
        self.bar.start(question.answer)

    def show_result(self, result: Score) -> None:
        """Show the scores."""
        if self._asked is None:
            return
        _, _, unpainted, share = self._asked
        self.score = result
        self.headline.setText(headline(result.evaluation, unpainted, share))
        rows = cells(result.evaluation)
        self.table.setRowCount(len(rows))
        for at, row in enumerate(rows):
            for column, text in enumerate(row):
                item = QTableWidgetItem(text)
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(at, column, item)
        for button in self._result_buttons:
            button.setEnabled(True)

    def add_error_layer(self) -> None:
        """Add where labels were found, in excess, missed or of the wrong class, in fixed colours."""
        from napari.utils import DirectLabelColormap

        if self.score is None or self._asked is None:
            return
        name, place, _, _ = self._asked
        colormap = DirectLabelColormap(color_dict=colours())
        metadata = {"napari_cutout": {"meaning": {label: word for label, (word, _) in ERRORS.items()}}}
        self.viewer.add_labels(self.score.errors, name=name, colormap=colormap, metadata=metadata, **place)

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
        if self.score is None:
            return
        evaluation = self.score.evaluation
        try:
            written = (evaluation.to_csv if kind == "csv" else evaluation.to_json)(path, overwrite=overwrite)
        except OSError as error:
            self.bar.say(str(error), problem=True)
        else:
            self.bar.say(f"wrote {written}")

    def _ask_and_export(self, kind: Literal["csv", "json"], _: bool = False) -> None:
        """Ask for a file; the dialog asks before it names one that is there."""
        path, _filter = QFileDialog.getSaveFileName(self, "Export scores", f"scores.{kind}", f"*.{kind}")
        if path:
            self.export(kind, path, overwrite=True)


def _legend() -> QWidget:
    line = QLabel("   ".join(f'<span style="color:{colour}">■</span> {word}' for word, colour in ERRORS.values()))
    line.setTextFormat(Qt.TextFormat.RichText)
    return line
