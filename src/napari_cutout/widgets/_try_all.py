"""The widget *Try all*: what every method makes of the slice in view, to choose from by eye."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, get_args

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import QComboBox, QLabel, QListView, QListWidget, QListWidgetItem, QWidget

from ..comparison.try_all import Side
from ._access import align, explain
from ._adopt import adopt
from ._dock import Dock, form, group, problem_line, sentence_line, show_sentence
from ._fold import Fold
from ._layer_box import LayerBox
from ._preferences import preferences
from ._target import Unfit, axes_of
from ._target_rows import TargetRows
from ._thumbnails import EDGE, icon
from ._try_all_job import Question, Tried, question_of
from ._worker import spoken

__all__ = ["TryAllWidget"]

_FIND_OUT = "find out"
"""The choice of the box *objects* that leaves it to the image."""

_NOT_ASKED = ("run on", "level", "slices", "frames")
"""Rows that are not shown: it is always the slice in view."""

_CELL = QSize(EDGE + 12, EDGE + 58)
"""A picture with three lines below it."""

_HOW = "Click a picture to open its method with these settings. Nothing is run until you press Run there."


class TryAllWidget(Dock):
    """Shows what every method that needs no strokes makes of the slice in view; a click opens one.

    Parameters
    ----------
    napari_viewer : napari viewer
        Where layers come from.

    Attributes
    ----------
    found
        What was tried, in the order in which it finished.
    """

    tried = Signal(object)

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, "Try all")
        self.found: list[Tried] = []
        self._layer: Any = None
        self._names: dict[str, QListWidgetItem] = {}
        self._build_layers()
        self._build_grid()
        self.tried.connect(self._add)
        self.listen(list(self.boxes.values()))
        self.refresh()

    # Building

    def _build_layers(self) -> None:
        from napari.layers import Image

        self.boxes = {"image": LayerBox(self.viewer.layers, Image, optional=False)}
        explain(self.boxes["image"], "image", "The image that methods are tried on, in the slice that is in view.")
        self.target_rows = TargetRows(self.viewer.layers, left_out=_NOT_ASKED)
        self.target_rows.changed.connect(self.refresh)
        self.objects_box = QComboBox()
        self.objects_box.addItems([_FIND_OUT, *get_args(Side)])
        explain(
            self.objects_box, "objects", "What objects are; by itself, the side of Otsu's threshold that is smaller."
        )
        self._lines = {name: problem_line() for name in ("image", "axes")}
        layout = form()
        self.introduce()
        layout.addRow("image", self.boxes["image"])
        layout.addRow(self._lines["image"])
        layout.addRow(self.target_rows)
        layout.addRow(self._lines["axes"])
        layout.addRow("objects", self.objects_box)
        fields = (self.boxes["image"], self.objects_box)
        self._labels = [*(layout.labelForField(field) for field in fields), *self.target_rows.labels]
        self.content.addWidget(group("Layers", layout))

    def showEvent(self, event: Any) -> None:
        """Let the fields stand below each other."""
        super().showEvent(event)
        align(self._labels)

    def _build_grid(self) -> None:
        self.headline, self.failures = sentence_line(), sentence_line()
        self.grid = QListWidget()
        self.grid.setViewMode(QListView.ViewMode.IconMode)
        self.grid.setResizeMode(QListView.ResizeMode.Adjust)
        self.grid.setMovement(QListView.Movement.Static)
        self.grid.setWordWrap(True)
        self.grid.setUniformItemSizes(True)
        self.grid.setIconSize(QSize(EDGE, EDGE))
        self.grid.setGridSize(_CELL)
        self.grid.setMinimumHeight(_CELL.height() + 8)
        explain(self.grid, "what methods gave", _HOW)
        self.grid.itemClicked.connect(self._take)
        self.grid.itemActivated.connect(self._take)
        self.failed = Fold("failed", self.failures, "Methods that could not be tried on this slice, and why.")
        self.failed.setVisible(False)
        for widget in (self.headline, self.failed):
            self.content.addWidget(widget)
        self.content.addWidget(self.grid, 1)

    # Reacting

    @property
    def source(self) -> Any:
        """The layer that methods are tried on."""
        return self.boxes["image"].layer

    @property
    def objects(self) -> Side | None:
        """What objects are; None to find out."""
        at = self.objects_box.currentIndex()
        return get_args(Side)[at - 1] if at else None

    def refresh(self) -> None:
        """Check the form, and mark what is wrong."""
        if self.closed:
            return
        self.target_rows.show_for(self.source)
        self.watch([self.source])
        found = self._problems()
        self.mark(found, found)
        self.bar.calm()
        self.bar.set_ready(not found)

    def _problems(self) -> dict[str, str]:
        if self.source is None:
            return {"image": "there is no image layer; open an image, or a sample from the File menu"}
        try:
            axes_of(self.target_rows.choice.letters)
        except Unfit as error:
            return {"axes": str(error)}
        return {}

    def fields(self) -> Mapping[str, QWidget]:
        """Return the fields that can turn red."""
        return {"image": self.boxes["image"], "axes": self.target_rows.fields()["axes"]}

    def lines(self) -> Mapping[str, QLabel]:
        """Return the lines for what is wrong."""
        return self._lines

    # Running

    def start(self) -> None:
        """Read what is in view and run the methods, or show what is wrong."""
        self.refresh()
        if not self.bar.ready:
            return
        try:
            question = question_of(
                self.viewer, self.source, self.target_rows.choice, self.objects, preferences().device
            )
        except ValueError as error:
            self.bar.say(str(error), problem=True)
            return
        self.found, self._layer, self._names = [], self.source, {}
        self.grid.clear()
        self.failed.setVisible(False)
        show_sentence(self.headline, f"'{self.source.name}', {question.said}. {_HOW}")
        self.bar.start(self._work(question))

    def _work(self, question: Question) -> Any:
        tried = self.tried

        def work(on_progress: Any, is_cancelled: Any) -> None:
            for one in question.answer(on_progress, is_cancelled):
                with suppress(RuntimeError):  # the widget was closed meanwhile
                    tried.emit(one)

        return work

    def _add(self, one: Tried) -> None:
        """Show what a method gave: a picture of its own, or its name beside one that looks the same."""
        self.found.append(one)
        if one.error or one.picture is None:
            self._show_failures()
        elif one.like:
            self._name_beside(self._names[one.like], one)
        else:
            item = QListWidgetItem(icon(one.picture), _caption([one]))
            item.setData(Qt.ItemDataRole.UserRole, len(self.found) - 1)
            item.setToolTip(_tooltip([one]))
            item.setTextAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
            self._names[one.name] = item
            self.grid.addItem(item)

    def _show_failures(self) -> None:
        """Say in the line of a fold which methods failed, and in it why."""
        errors = {spoken(one.name): spoken(one.error) for one in self.found if one.error}
        self.failures.setText("\n".join(f"{name}: {why.removeprefix(f'{name} ')}" for name, why in errors.items()))
        self.failed.set_text(f"{len(errors)} failed: {', '.join(errors)}")
        self.failed.setVisible(bool(errors))

    def _name_beside(self, item: QListWidgetItem, one: Tried) -> None:
        first = self.found[item.data(Qt.ItemDataRole.UserRole)]
        same = [first, *(other for other in self.found if other.like == first.name)]
        item.setText(_caption(same))
        item.setToolTip(_tooltip(same))

    def show_result(self, result: Any) -> None:
        """Say how many methods were tried."""
        failed = sum(bool(one.error) for one in self.found)
        same = sum(bool(one.like) for one in self.found)
        words = f"{len(self.found)} methods, {len(self.found) - failed - same} different results"
        self.bar.say(words + (f", {failed} failed" if failed else ""))

    def _take(self, item: QListWidgetItem) -> None:
        self.adopt(self.found[item.data(Qt.ItemDataRole.UserRole)].name)

    def adopt(self, name: str) -> Any:
        """Open the widget of a method that was tried, with its settings, on the same layer.

        Parameters
        ----------
        name : str
            What the method is called in the grid.

        Returns
        -------
        MethodFrame or None
            The widget; None if the layer is gone.
        """
        if self._layer not in self.viewer.layers:
            self.bar.say("the image is gone; choose another and press Try all", problem=True)
            return None
        one = next(one for one in self.found if one.name == name)
        return adopt(self.viewer, self._layer, one.recipe.steps)


def _caption(same: list[Tried]) -> str:
    """Return the words below a picture: names, and what is seen in it."""
    first = same[0]
    names = spoken(first.name) + (f" +{len(same) - 1}" if len(same) > 1 else "")
    return f"{names}\n{first.n_objects:,} objects\n{100 * first.share:.3g} %"


def _tooltip(same: list[Tried]) -> str:
    first = same[0]
    alike = "".join(f"\nthe same, Dice ≥ 0.99: {spoken(other.name)}" for other in same[1:])
    return (
        f"{spoken(first.name)}{alike}\n{first.n_objects:,} objects cover {100 * first.share:.3g} % of this slice.\n"
        "Click to open the method with these settings."
    )
