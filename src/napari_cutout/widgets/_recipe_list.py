"""The steps of a recipe as a list: one row each, which can be switched off, and buttons that change the list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from .. import catalog
from .._method import OF_THE_IMAGE, Method
from .._recipe_edits import Draft, insertable, unread
from ..recipe import Step, output_number
from ._access import explain
from ._editors import caption, caption_of, value_text
from ._model_box import known_models, models_folder

__all__ = ["StepList", "needs_nothing_more", "said_of"]

_BUTTONS = (
    ("insert", "+", "Insert a step after the one that is chosen"),
    ("duplicate", "copy", "Duplicate the step that is chosen"),
    ("remove", "−", "Remove the step that is chosen"),  # noqa: RUF001
    ("up", "↑", "Move the step up"),
    ("down", "↓", "Move the step down"),
    ("show", "show", "Show what the step gives, as a layer"),
    ("undo", "↶", "Undo the last change of the recipe"),
    ("redo", "↷", "Redo what was undone"),
)
"""What the buttons ask for, what stands on them, and their tooltips."""

_MAX_ROWS = 6
"""Steps that are in view; a longer list scrolls."""


def said_of(number: int, step: Step) -> tuple[str, str]:
    """Return the two lines of a step: its method, and what of it is not as by default.

    Parameters
    ----------
    number : int
        Which step of its recipe it is.
    step : Step
        The step.

    Returns
    -------
    tuple of str
        The second tells settings, then what it reads where that is not the image or the step before.
    """
    entry = catalog.find(step.method)
    params = {p.name: p for p in entry.settings}
    chosen = {name: value for name, value in step.chosen_settings.items() if name not in OF_THE_IMAGE}
    captions = {name: caption_of(params[name], entry.describe(name)) for name in chosen}
    words = [f"{captions[name]} {value_text(value)}" for name, value in chosen.items()]
    for array, name in step.inputs.items():
        made = output_number(name)
        if made and (made != number - 1 or array != entry.source.name):
            words.append(f"{caption(array)} of step {made}")
        elif not made and name != array:
            words.append(f"{caption(array)} {name}")
    return f"{number}  {step.method.replace('_', ' ')}", " · ".join(words) or "as by default"


def needs_nothing_more(method: Method) -> bool:
    """Tell whether a step of a method can be made without asking: no setting of it must be chosen first."""
    return not any(p.required and p.folder is not None for p in method.settings)


class StepList(QWidget):  # type: ignore[misc]
    """The steps, and buttons below them.

    Parameters
    ----------
    parent : QWidget, optional
        Its parent.

    Attributes
    ----------
    chosen
        Emitted with the number of the step that was clicked, 0 if none is.
    switched
        Emitted with the number of a step and whether it was switched on.
    inserted
        Emitted with the name of a method for a step after the one that is chosen, and what is set for it.
    pressed
        Emitted with what a button asks for, such as ``"remove"``.
    """

    chosen = Signal(int)
    switched = Signal(int, bool)
    inserted = Signal(str, dict)
    pressed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._draft: Draft | None = None
        self.rows = QListWidget()
        explain(self.rows, "steps", "Click a step to change it; untick one to leave it out for a moment.")
        self.rows.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.rows.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.rows.currentRowChanged.connect(lambda at: self.chosen.emit(at + 1))
        self.rows.itemChanged.connect(self._item_changed)
        self.buttons: dict[str, QToolButton] = {}
        line = QHBoxLayout()
        line.setSpacing(2)
        for name, sign, why in _BUTTONS:
            self.buttons[name] = button = _button(sign, name, why)
            line.addWidget(button)
            if name != "insert":
                button.clicked.connect(lambda _=False, name=name: self.pressed.emit(name))
        line.addStretch(1)
        self.menu = QMenu(self)
        self.menu.aboutToShow.connect(self._fill_menu)
        self.buttons["insert"].setMenu(self.menu)
        self.buttons["insert"].setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.buttons["insert"].setStyleSheet("QToolButton::menu-indicator { image: none; }")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.rows)
        layout.addLayout(line)
        self._fit()

    @property
    def number(self) -> int:
        """The number of the step that is chosen; 0 if none is."""
        return int(self.rows.currentRow()) + 1

    def show_draft(self, draft: Draft | None, number: int, *, can_undo: bool, can_redo: bool) -> None:
        """Show the steps of a recipe, and choose one.

        Parameters
        ----------
        draft : Draft, optional
            The recipe.
        number : int
            The step to choose.
        can_undo, can_redo : bool
            Whether there is something to undo or redo.
        """
        self._draft = draft
        steps: Sequence[Step] = () if draft is None else draft.recipe.steps
        idle = set() if draft is None else {draft.number_of(n) for n in unread(draft.running)}
        self.rows.blockSignals(True)
        while self.rows.count() > len(steps):
            self.rows.takeItem(self.rows.count() - 1)
        while self.rows.count() < len(steps):
            self.rows.addItem(QListWidgetItem())
        for at, step in enumerate(steps):
            off = draft is not None and at + 1 in draft.off
            self._show_step(self.rows.item(at), at + 1, step, off=off, idle=at + 1 in idle)
        self.rows.setCurrentRow(min(number, len(steps)) - 1)
        self.rows.blockSignals(False)
        self._fit()
        self._enable(can_undo=can_undo, can_redo=can_redo)

    def _show_step(self, item: QListWidgetItem, number: int, step: Step, *, off: bool, idle: bool) -> None:
        name, settings = said_of(number, step)
        note = " · no later step reads it" if idle else ""
        item.setText(f"{name}\n{settings}{note}")
        item.setToolTip(f"{catalog.find(step.method).summary}\n{settings}{note}")
        item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
        item.setCheckState(Qt.CheckState.Unchecked if off else Qt.CheckState.Checked)

    def _enable(self, *, can_undo: bool, can_redo: bool) -> None:
        """Enable the buttons that could do something now."""
        number, n = self.number, self.rows.count()
        on = self._draft is not None and number not in self._draft.off
        able = {"remove": n > 1, "up": number > 1, "down": number < n, "show": on}
        for name, button in self.buttons.items():
            button.setEnabled(n > 0 and number > 0 and able.get(name, True))
        self.buttons["undo"].setEnabled(can_undo)
        self.buttons["redo"].setEnabled(can_redo)

    def _item_changed(self, item: QListWidgetItem) -> None:
        self.switched.emit(self.rows.row(item) + 1, item.checkState() == Qt.CheckState.Checked)

    def _fill_menu(self) -> None:
        """Offer the methods that could stand after the step that is chosen, by the widgets that they have."""
        self.menu.clear()
        if self._draft is None:
            return
        self.menu.setToolTipsVisible(True)
        menus: dict[str, Any] = {}
        for entry in insertable(self._draft.recipe, self.number + 1):
            menu = menus.get(entry.row) or menus.setdefault(entry.row, self.menu.addMenu(entry.row))
            menu.setToolTipsVisible(True)
            if needs_nothing_more(entry):
                self._add_action(menu, _words(entry), entry)
            else:
                self._add_models(menu.addMenu(_words(entry)), entry)

    def _add_models(self, menu: QMenu, entry: Method) -> None:
        """Offer a step for each of the models that a method can have."""
        menu.setToolTipsVisible(True)
        name = next(p.name for p in entry.settings if p.folder is not None)
        for path, info in known_models().items():
            self._add_action(menu, info.name, entry, f"{info}\n{path}", **{name: path})
        action = menu.addAction("A model…")
        action.setToolTip("Choose a model that lies elsewhere; to train one, open U-Net.")
        action.triggered.connect(lambda _=False: self._browse(entry, name))

    def _browse(self, entry: Method, name: str) -> None:
        if path := QFileDialog.getExistingDirectory(self, "The folder of a model", str(models_folder())):
            self.inserted.emit(entry.name, {name: path})

    def _add_action(self, menu: QMenu, words: str, entry: Method, why: str = "", **settings: Any) -> None:
        action = menu.addAction(words)
        action.setToolTip(why or entry.summary)
        action.triggered.connect(lambda _=False: self.inserted.emit(entry.name, settings))

    def _fit(self) -> None:
        """Be as high as the steps, or as some of them."""
        n, height = max(self.rows.count(), 1), max(self.rows.sizeHintForRow(0), 24)
        self.rows.setFixedHeight(min(n, _MAX_ROWS) * height + 6)


def _words(entry: Method) -> str:
    return entry.name.replace("_", " ")


def _button(sign: str, name: str, why: str) -> QToolButton:
    button = QToolButton()
    button.setText(sign)
    button.setFixedHeight(26)
    button.setMinimumWidth(28)
    explain(button, f"{name} step" if name not in ("undo", "redo") else name, why)
    return button
