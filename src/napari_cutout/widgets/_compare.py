"""The widget *Compare*: methods run on the layers of the viewer, scored on what was held out, and ranked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from .. import catalog
from .._method import Method
from ..comparison.leaderboard import Leaderboard, Row
from ..evaluation._annotation import Unpainted
from . import _layers
from ._access import align, explain
from ._adopt import adopt
from ._compare_apply import request_of
from ._compare_form import MethodList, RuleFields
from ._compare_job import Asked, Question, Setup, SoFar, fitting_level, headline, layer_problem, notes_of, standing
from ._compare_table import CompareTable, RowLayer
from ._dock import Dock, form, group, problem_line, sentence_line, show_sentence
from ._extent import extent_of
from ._fold import Fold
from ._image_list import ImageList
from ._layer_box import LayerBox, LayerField
from ._preferences import preferences
from ._result_bar import ResultBar
from ._results import Finished, Results
from ._score_layers import painted
from ._target import Choice, spatial
from ._target_rows import TargetRows
from ._voxel_size import VoxelSizeFields
from ._witness import Witness

__all__ = ["CompareWidget"]

Layer = Any
"""A napari layer."""

_UNPAINTED_TOOLTIP = (
    "What label 0 of the annotation means: background, if everything was annotated; not annotated, if it holds strokes."
)

_TOOLTIPS = {
    "image": "The image that methods run on.",
    "truth": (
        "What is right: every voxel, or a few strokes on objects with one label and beside them with another; of "
        "strokes the largest label is read as what is not looked for."
    ),
    "ceiling": "The labels of a second annotator: what can be reached. Shown above the others, and not ranked.",
}

_NOTICE = "border-left: 3px solid #e69f00; padding-left: 5px"
"""Style of the line that says why rows are not current."""

_SETTLED = 300
"""Milliseconds after the last stroke after which the annotation is looked at again."""

_TABLE_HEIGHT = 110
"""Height that the table keeps, in pixels."""


@dataclass(slots=True, eq=False)
class _Run:
    """What is known of a comparison before it is finished."""

    setup: Setup
    asked: Asked
    witness: Witness


class CompareWidget(Dock):
    """Scores methods on your annotation, and shows what each makes of the image, best first.

    Parameters
    ----------
    napari_viewer : napari viewer
        Where layers come from and labels go.

    Attributes
    ----------
    so_far
        The rows that are shown; None before there are any.
    """

    told = Signal(object)

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, "Compare")
        self.so_far: SoFar | None = None
        self.results = Results(self.viewer)
        self.row_layer = RowLayer(self.viewer.layers)
        self._run: _Run | None = None
        self._pair: tuple[Layer | None, Layer | None] = (None, None)
        self._sized: tuple[Layer | None, int] = (None, 0)
        self._applied: Row | None = None
        self._lines: dict[str, QLabel] = {}
        self._labels: list[QLabel] = []
        self._by_hand = False
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_SETTLED)
        self._later.timeout.connect(self._look_at_truth)
        self._build_layers()
        self._build_contest()
        self._build_result()
        self.told.connect(self._tell)
        self.listen(list(self.boxes.values()))
        self._guess_truth()
        self.refresh()

    # Building

    def _build_layers(self) -> None:
        from napari.layers import Image, Labels

        layers = self.viewer.layers
        self.boxes = {
            "image": LayerBox(layers, Image, optional=False),
            "truth": LayerBox(layers, Labels, optional=False),
            "ceiling": LayerBox(layers, Labels, optional=True),
        }
        for name, box in self.boxes.items():
            explain(box, "annotation" if name == "truth" else name, _TOOLTIPS[name])
        self.target_rows = TargetRows(layers, apart=True)
        self.target_rows.changed.connect(self.refresh)
        self.voxel, self.voxel_size = QLabel(), VoxelSizeFields()
        self.voxel.setWordWrap(True)
        self.voxel_size.changed.connect(self.refresh)
        self.truth_field = LayerField(self.boxes["truth"], can_add=True)
        self.truth_field.add_pressed.connect(self.add_layer)
        self.unpainted_box = QComboBox()
        self.unpainted_box.addItems(get_args(Unpainted))
        self.unpainted_box.currentIndexChanged.connect(lambda _: self.refresh())
        self.unpainted_box.activated.connect(lambda _: setattr(self, "_by_hand", True))
        explain(self.unpainted_box, "unpainted", _UNPAINTED_TOOLTIP)
        self._painted = QLabel()
        self.introduction = self.introduce()
        layout = form()
        self._add_row(layout, "image", self.boxes["image"])
        self._add_line(layout, "image")
        layout.addRow(self.target_rows)
        for name in ("axes", "time"):
            self._add_line(layout, name)
        self._add_row(layout, "annotation", self.truth_field, self.boxes["truth"])
        self._add_line(layout, "truth")
        self._add_row(layout, "unpainted", self.unpainted_box)
        layout.addRow("", self._painted)
        inner, folded = QWidget(), form()
        inner.setLayout(folded)
        folded.addRow(self.target_rows.where)
        self._add_line(folded, "region")
        folded.addRow(self.voxel)
        folded.addRow(self.voxel_size)
        self.place = Fold("", inner, "Where to run, and how large voxels are.")
        layout.addRow(self.place)
        self.content.addWidget(group("Layers", layout))

    def _build_contest(self) -> None:
        self.method_list, self.rules = MethodList(), RuleFields()
        self.rules.device_box.setCurrentText(preferences().device)
        self.contestants = ImageList(
            self.viewer.layers, self._contestant_problem, lambda: self.boxes["truth"].layer, kind="Labels"
        )
        explain(self.contestants, "other labels", "Labels of another program or person that are scored as well.")
        for part in (self.method_list, self.rules, self.contestants):
            part.changed.connect(self.refresh)
        inner, layout = QWidget(), form()
        layout.addRow("also score", self.contestants)
        layout.addRow("second annotator", self.boxes["ceiling"])
        inner.setLayout(layout)
        self.others = Fold("Other labels", inner, "Labels that are there already, and a second annotator.")
        outer = QVBoxLayout()
        outer.setContentsMargins(6, 4, 6, 4)
        outer.addWidget(self.method_list)
        outer.addWidget(self.others)
        self._lines["ceiling"], self._lines["metric"] = problem_line(), problem_line()
        outer.addWidget(self._lines["ceiling"])
        outer.addWidget(self.rules)
        outer.addWidget(self._lines["metric"])
        self.content.addWidget(group("Who takes part", outer))

    def _build_result(self) -> None:
        self.notice, self.headline = sentence_line(), sentence_line()
        self.notice.setStyleSheet(_NOTICE)
        self.table = CompareTable()
        self.table.setMinimumHeight(_TABLE_HEIGHT)
        self.table.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)  # it takes what is left
        explain(self.table, "rows", "The best first. Click a row to see its labels in the plane of its picture.")
        self.table.chosen.connect(lambda _: self._choose())
        self.apply_button = _button("Apply to all", self.apply)
        self.apply_button.setToolTip("Run the recipe of the row on all slices and frames, as a layer of its own.")
        self.open_button = _button("Open method", self.open_method)
        self.open_button.setToolTip("Open the widget of the method with the settings of the row.")
        self.report_button = _button("Save report…", self._ask_and_report)
        self.report_button.setToolTip("Write a page with tables, pictures and recipes into a new folder.")
        buttons = QHBoxLayout()
        for button in (self.apply_button, self.open_button, self.report_button):
            buttons.addWidget(button)
        self.noted = sentence_line()
        self.notes = Fold("What to know of these scores", self.noted, "Why they may mean less than they seem to.")
        self.notes.setVisible(False)
        for widget in (self.notice, self.headline, self.notes):
            self.content.addWidget(widget)
        self.content.addWidget(self.table, 1)
        self.layout().insertLayout(1, buttons)
        self.result_bar = ResultBar(self)
        self.layout().addWidget(self.result_bar)

    def _add_row(self, layout: Any, text: str, field: QWidget, buddy: QWidget | None = None) -> None:
        label = QLabel(text)
        label.setBuddy(buddy or field)
        label.setToolTip((buddy or field).toolTip())
        self._labels.append(label)
        layout.addRow(label, field)

    def _add_line(self, layout: Any, name: str) -> None:
        self._lines[name] = problem_line()
        layout.addRow(self._lines[name])

    def _guess_truth(self) -> None:
        """Choose the topmost layer of labels that this plugin has not made."""
        offered = [layer for layer in self.boxes["truth"].offered if layer is not None]
        if others := [layer for layer in offered if not _layers.ours(layer)]:
            self.boxes["truth"].choose(others[-1])

    # What the form says

    @property
    def unpainted(self) -> Unpainted:
        """What label 0 of the annotation means."""
        return get_args(Unpainted)[self.unpainted_box.currentIndex()]  # type: ignore[no-any-return]

    def says(self) -> Setup:
        """Return what the form says.

        Raises
        ------
        ValueError
            If nothing of the image is in view, or a Shapes layer holds no area.
        """
        image = self.boxes["image"].layer
        choice = self.target_rows.choice if image is not None else Choice()
        extent = None
        if image is not None and len(choice.letters) >= image.ndim:
            extent = extent_of(self.viewer, image, choice.letters, self.target_rows.region)
        return Setup(
            image,
            self.boxes["truth"].layer,
            choice,
            extent,
            self.unpainted,
            self.method_list.chosen,
            self.rules.rules,
            tuple(self.contestants.ticked),
            self.boxes["ceiling"].layer,
            self.voxel_size.value,
        )

    def _read(self) -> tuple[Setup | None, dict[str, str]]:
        """Return what the form says and what is wrong with it."""
        try:
            setup = self.says()
        except ValueError as error:
            return None, {"region": str(error)}
        return setup, setup.problems()

    # Reacting

    def refresh(self) -> None:
        """Check the form, mark what is wrong, and say whether the rows are those of the form as it is now."""
        if self.closed:
            return
        image, truth = self.boxes["image"].layer, self.boxes["truth"].layer
        self.target_rows.show_for(image)
        self._take_pair(image, truth)
        self._show_voxel_size(image)
        self._offer_contestants()
        setup, found = self._read()
        region = self.target_rows.region
        self.watch([image, truth, *self.contestants.offered, None if isinstance(region, str) else region])
        self.mark(found, found)
        self.bar.calm()
        self.bar.set_ready(not found)
        self._show_standing(setup if not found else None)

    def _take_pair(self, image: Layer | None, truth: Layer | None) -> None:
        """Begin anew with other layers: which level they are compared on, and what unpainted means."""
        before, self._pair = self._pair, (image, truth)
        if image is not None and self._pair != before:
            level = fitting_level(image, truth, self.target_rows.choice)
            if level != self.target_rows.choice.level:
                self.target_rows.choose(level=level)
        if truth is not before[1]:
            self._by_hand = False
            self._look_at_truth()
        else:
            self._later.start()  # it may have been painted on; to count at each stroke would take milliseconds

    def _look_at_truth(self) -> None:
        """Say how much is painted, and guess what unpainted means unless the user has said it."""
        truth = self.boxes["truth"].layer
        share = None if truth is None else painted(truth)
        if share is not None and not self._by_hand:
            self.unpainted_box.setCurrentText(share.guess)
        self._painted.setText("" if truth is None else "not looked at: large" if share is None else str(share))

    def _show_voxel_size(self, image: Layer | None) -> None:
        axes = spatial(self.target_rows.choice.letters) if image is not None else []
        known = image is not None and _layers.has_voxel_size(image, axes)
        for widget in (self.place, self.voxel):
            widget.setVisible(image is not None)
        self.voxel_size.setVisible(image is not None and not known)
        if image is None:
            return
        if self._sized != (image, len(axes)):
            self._sized = (image, len(axes))
            self.voxel_size.show_for(len(axes), _layers.length_unit(image, axes))
        self.voxel.setText(_layers.voxel_text(image, self.voxel_size.value, axes))
        self.place.set_text(f"{self.target_rows.said()} · {_layers.voxel_words(image, self.voxel_size.value, axes)}")

    def _offer_contestants(self) -> None:
        """Offer other labels that fit on the image."""
        self.contestants.blockSignals(True)  # it is read now
        self.contestants.refresh()
        self.contestants.blockSignals(False)
        n, second = len(self.contestants.ticked), self.boxes["ceiling"].layer
        words = [f"{n} ticked"] * bool(n) + ["second annotator"] * (second is not None)
        self.others.set_text("Other labels" + "".join(f" · {word}" for word in words))

    def _contestant_problem(self, layer: Layer) -> str:
        try:
            setup = self.says()
            return layer_problem(layer, setup) if setup.image is not None else "there is no image yet"
        except ValueError as error:
            return str(error)

    def list_changed(self) -> None:
        """Offer the Shapes and Labels layers that there are now."""
        if not self.target_rows.offers_all() or not self.contestants.offers_all():
            self.refresh()

    def fields(self) -> Mapping[str, QWidget]:
        """Return the fields that can turn red."""
        return {**self.target_rows.fields(), **self.boxes, "metric": self.rules.metric_box}

    def lines(self) -> Mapping[str, QLabel]:
        """Return the lines for what is wrong."""
        return self._lines

    def add_layer(self) -> None:
        """Add an empty Labels layer that fits on the image, ready to paint, and choose it."""
        setup, _ = self._read()
        if setup is None or setup.image is None:
            return
        with suppress(ValueError):  # the form shows what has to be said first
            aim = setup.target
            layer = self.viewer.add_labels(np.zeros(aim.shape, np.uint8), name="annotation", **aim.place)
            layer.mode, layer.brush_size = "paint", 10
            self.boxes["truth"].choose(layer)

    # Running

    def start(self) -> None:
        """Read the layers and start the comparison, or show what is wrong."""
        self.refresh()
        self._look_at_truth()
        setup, found = self._read()
        if setup is None or found:
            return
        question = Question.of(setup)
        self._forget()
        watch = Witness(self.viewer.layers, setup.layers, lambda: self._show_standing(self._now()))
        self._run = _Run(setup, setup.asked, watch)
        self._show_rows(None)
        self.bar.start(partial(_answer, question, self.told))
        self._column.ensureWidgetVisible(self.table)

    def _forget(self) -> None:
        """Let go of the comparison before."""
        self.row_layer.clear()
        if self._run is not None:
            self._run.witness.close()
            self._run = None

    def _tell(self, so_far: SoFar) -> None:
        if not self.closed and self._run is not None:
            self._show_rows(so_far)

    def _show_rows(self, so_far: SoFar | None) -> None:
        self.so_far = so_far
        self.table.show_rows(so_far)
        said = headline(so_far, self._run.asked) if so_far is not None and self._run is not None else ""
        show_sentence(self.headline, said)
        self.introduction.setVisible(so_far is None)  # the rows say it, and need the room
        notes = notes_of(so_far) if so_far is not None else []
        self.noted.setText("\n".join(notes))
        self.notes.setVisible(bool(notes))
        self._show_standing(self._now())

    def show_result(self, result: Any) -> None:
        """Say that all rows are there; or show the labels of a row that was applied."""
        if isinstance(result, Finished):
            layer = self.results.put(result)
            self.row_layer.clear()
            self.bar.say(result.outcome.summary)
            self.result_bar.show_for(layer, result.outcome)
        elif isinstance(result, Path):
            self.bar.say(f"wrote {result}")
        else:
            self.bar.say(f"{len(result.board)} rows; click one to see its labels")

    def _now(self) -> Setup | None:
        setup, found = self._read()
        return None if found else setup

    def _show_standing(self, now: Setup | None) -> None:
        """Say whether the rows are those of the layers and settings as they are now."""
        sentence = ""
        if self._run is not None and self.so_far is not None:
            witness = self._run.witness
            asked = None if now is None else now.asked
            sentence = standing(self._run.asked, asked, changed=witness.changed, gone=witness.gone)
        show_sentence(self.notice, sentence)
        row = self.table.chosen_row
        for button in (self.apply_button, self.open_button):
            button.setEnabled(row is not None and row.recipe is not None and not row.error)
        self.report_button.setEnabled(self.so_far is not None and len(self.so_far.board) > 0)
        solid = self._run is not None and len(self._run.setup.target.result_shape) > 2
        self.apply_button.setText("Apply to volume" if solid else "Apply to image")

    # Rows

    def _choose(self) -> None:
        """Show the labels of the row that is selected."""
        row = self.table.chosen_row
        self._show_standing(self._now())
        if row is None or row.plane is None or self._run is None or self.so_far is None:
            self.row_layer.clear()
        elif self._run.setup.image in self.viewer.layers:
            self.row_layer.show_row(self.viewer, row, self._run.setup, self.so_far)

    def apply(self) -> None:
        """Run the recipe of the row that is selected on all of the image, as the widget of its method would."""
        row = self.table.chosen_row
        if row is None or self._run is None or self.bar.running:
            return
        setup = self._run.setup
        if any(layer not in self.viewer.layers for layer in (setup.image, setup.truth)):
            self.bar.say("the image or the annotation is gone; choose others and press Compare", problem=True)
            return
        try:
            request = request_of(row, setup, self.free_memory())
        except ValueError as error:
            self.bar.say(str(error), problem=True)
            return
        self._applied = row
        read = {"image": setup.image, "truth": setup.truth}
        self.bar.start(self.results.work(request, read, setup.image, update=self.result_bar.updates))

    def open_method(self) -> None:
        """Open the widget of the method of the row that is selected, with its settings, on the same layers."""
        row = self.table.chosen_row
        if row is not None and row.recipe is not None and self._run is not None:
            adopt(self.viewer, self._run.setup.image, row.recipe.steps, self._run.setup.truth)

    def save_report(self, folder: str | Path) -> None:
        """Write the rows that there are as a report, in a thread of its own, and say so.

        Parameters
        ----------
        folder : str or path
            The folder to make; one that holds something is left alone, and the run bar says so.
        """
        if self.so_far is not None and not self.bar.running:
            board = self.so_far.board
            self.bar.start(lambda *_: _written(board, folder))

    def _ask_and_report(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save report in a new folder", "comparison")
        if path:
            self.save_report(path)

    @property
    def method(self) -> Method:
        """The method of the row that was applied last, which names its recipe."""
        recipe = None if self._applied is None else self._applied.recipe
        return catalog.find("threshold" if recipe is None else recipe.steps[-1].method)

    def showEvent(self, event: Any) -> None:
        """Put the fields below each other."""
        super().showEvent(event)
        align([*self._labels, *self.target_rows.labels])

    def let_go(self) -> None:
        """Stop what runs, take the temporary layer away, and forget the viewer."""
        super().let_go()
        self._later.stop()
        self._forget()


def _answer(question: Question, told: Any, on_progress: Any, is_cancelled: Callable[[], bool]) -> SoFar:
    """Answer in a thread of its own, and tell the window of every row."""

    def tell(so_far: SoFar) -> None:
        with suppress(RuntimeError):  # the widget was closed meanwhile
            told.emit(so_far)

    return question.answer(tell, on_progress, is_cancelled)


def _written(board: Leaderboard, folder: str | Path) -> Path:
    """Write a report; what is in its way is said in its own words."""
    try:
        return board.report(folder)
    except OSError as error:
        raise ValueError(str(error)) from error


def _button(text: str, press: Callable[[], Any]) -> QPushButton:
    button = QPushButton(text)
    button.clicked.connect(lambda _=False: press())
    return button
